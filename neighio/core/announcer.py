"""Announcements of addresses: gratuitous ARP and unsolicited neighbour advertisements, once or repeated."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from ..wire import arp
from ..wire.ethernet import BROADCAST
from ..wire.ipv6 import ALL_NODES, ALL_ROUTERS
from .constants import AF_INET, AF_INET6

if TYPE_CHECKING:
    from .arp import Arp
    from .cache import NeighbourCache, Services
    from .device import Device
    from .ndisc import Ndisc

__all__ = ["TO_ROUTERS", "USUAL", "Announcement", "Announcer", "Wording"]


class Wording(NamedTuple):
    """What an announcement says, and to whom.

    ``reply``: IPv4 as a reply instead of a request (RFC 5227 3). ``router``: IPv6 as a router's, or not; as
    the switch forwarding says when None. ``lladdr``: the address is at this link-layer address, from which
    the frame then comes, too; at the device's when None. ``to_routers``: IPv6 to all routers instead of all
    nodes, and without the override flag (RFC 9131 6.1.2).
    """

    reply: bool = False
    router: bool | None = None
    lladdr: bytes | None = None
    to_routers: bool = False


class Announcement:
    """Announcements of an address that are still to be made, at growing distances."""

    __slots__ = ("backoff", "device", "due", "interval", "ip", "left", "wording")

    def __init__(
        self,
        device: Device,
        ip: bytes,
        due: float,
        left: int,
        interval: float,
        backoff: float,
        wording: Wording,
    ) -> None:
        self.device: Device = device
        self.ip: bytes = ip
        self.due: float = due
        self.left: int = left
        self.interval: float = interval
        self.backoff: float = backoff
        self.wording: Wording = wording


USUAL: Final = Wording()
TO_ROUTERS: Final = Wording(to_routers=True)


class Announcer:
    """What is announced on all devices."""

    __slots__ = ("_announcements", "_caches", "_services")

    def __init__(self, services: Services, caches: dict[int, NeighbourCache]) -> None:
        self._services = services
        self._caches = caches
        self._announcements: list[Announcement] = []

    def announce(
        self,
        device: Device,
        ip: bytes,
        *,
        count: int = 1,
        interval: float = 1.0,
        backoff: float = 1.0,
        wording: Wording = USUAL,
    ) -> None:
        """Announce an address now, and ``count`` times in all, ``interval`` seconds apart, each distance
        ``backoff`` times the one before."""
        self._send(device, ip, wording)
        if count > 1:
            due = self._services.floor(self._services.now + interval)
            self._announcements.append(
                Announcement(device, ip, due, count - 1, interval * backoff, backoff, wording)
            )
            self._services.rearmed.add(("device", device.index))

    def forget(self, device: Device, ip: bytes | None = None) -> None:
        """Forget the announcements that are still to be made, of an address of a device or of all."""
        self._announcements = [
            one for one in self._announcements if one.device is not device or ip not in (None, one.ip)
        ]

    def notify(self, device: Device) -> None:
        """The device came up or has another link-layer address: arp_notify and ndisc_notify may ask to tell
        the neighbours (arp_netdev_event, ndisc_netdev_event)."""
        for address in tuple(device.addresses):
            family, name = (AF_INET, "arp_notify") if len(address.ip) == 4 else (AF_INET6, "ndisc_notify")
            if family in self._caches and not address.tentative and device.node.switch(device, family, name):
                self._send(device, address.ip)

    def _send(self, device: Device, ip: bytes, wording: Wording = USUAL) -> None:
        reply, router, lladdr, to_routers = wording
        if len(ip) == 4:
            own = lladdr or device.lladdr
            op, tha = (arp.ARPOP_REPLY, own) if reply else (arp.ARPOP_REQUEST, bytes(device.addr_len))
            cast("Arp", self._caches[AF_INET].protocol).send(device, op, ip, ip, tha, BROADCAST, lladdr=own)
        else:
            cache = self._caches[AF_INET6]
            table = cache.by_device[device.index]
            if router is None:
                router = bool(device.node.switch(device, AF_INET6, "forwarding"))
            ndisc = cast("Ndisc", cache.protocol)
            dst = ALL_ROUTERS if to_routers else ALL_NODES
            ndisc.advertise(table, dst, ip, router=router, override=not to_routers, lladdr=lladdr)

    # -- time

    @property
    def busy(self) -> bool:
        """Whether there is anything to announce, on any device."""
        return bool(self._announcements)

    def next_deadline(self, index: int) -> float:
        """When something is to be announced on a device, seconds."""
        return min((one.due for one in self._announcements if one.device.index == index), default=inf)

    def run(self, index: int) -> None:
        """Announce what is due on a device."""
        now = self._services.now
        for one in [one for one in self._announcements if one.device.index == index and one.due <= now]:
            self._announcements.remove(one)
            self.announce(
                one.device,
                one.ip,
                count=one.left,
                interval=one.interval,
                backoff=one.backoff,
                wording=one.wording,
            )
