"""The host role of a device: addresses of its own, announcements, and packets for the stack above."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from math import inf
from typing import Any, Literal

import trio

from ._park import Token, park
from .address import IPAddress, format_ip, is_station_ip, parse_ip, parse_network
from .core.announcer import Wording
from .core.base import FAMILY_OF_LENGTH
from .core.claims import DEFENCES
from .core.constants import (
    AF_INET,
    AF_INET6,
    RT_SCOPE_LINK,
    RT_SCOPE_UNIVERSE,
    RTN_BROADCAST,
    RTN_LOCAL,
    RTN_MULTICAST,
    RTN_UNICAST,
)
from .core.device import LIMITED_BROADCAST, Address, in_prefix, parse_interface
from .core.device import Device as CoreDevice
from .core.node import Route
from .core.queue import Packet
from .driver import Driver
from .errors import AdminError, DeviceGone, InvalidAddress, Unreachable
from .link.base import Link, LinkGone, Selection
from .link.checks import parse_station
from .packet_stream import PacketStream
from .wire.ipv6 import ALL_NODES, is_link_local

__all__ = ["Defence", "HostRole", "check_own_address", "check_station", "family_of_packet"]

Defence = Literal["none", "cease", "once", "always"]
"""What is done when somebody else is heard to use an own IPv4 address: nothing, as Linux; or RFC 5227 2.4
(a) give it up, (b) defend it once and give it up at a second conflict within 10 s, (c) defend it, at most
every 10 s."""


def check_own_address(address: str) -> tuple[bytes, int]:
    """Return the packed address and the prefix length of an address that a host can have.

    Raises:
        InvalidAddress: it has no prefix length or a zone, or is a group, the limited broadcast, loopback or
        the unspecified address.
    """
    if not isinstance(address, str):
        raise InvalidAddress(f"address: {address!r} is no text")
    if "%" in address:
        raise InvalidAddress(f"address: {address!r} has a zone; it is its device's")
    ip, prefixlen = parse_interface(address)
    check_station(ip)
    return ip, prefixlen


def check_station(ip: bytes, field: str = "address") -> None:
    """Return if a packed address is one that a station on a link can have.

    Raises:
        InvalidAddress: it is a group's, the limited broadcast, loopback's or the unspecified one.
    """
    if not is_station_ip(ip):
        raise InvalidAddress(f"{field}: {format_ip(ip)} can be no station's own address")


def family_of_packet(data: bytes) -> int | None:
    """The family of an IP packet; None when it has no IP header, or not all of it."""
    for family, version, header in ((AF_INET, 4, 20), (AF_INET6, 6, 40)):
        if len(data) >= header and data[0] >> 4 == version:
            return family
    return None


class HostRole:
    """What a device of a table can do beside resolving, in the host role."""

    _device: CoreDevice
    _link: Link
    _admit: Callable[[], Driver]
    """The driver, or an error while the table may not be used."""
    _refuse: Callable[[Any, bytes], Awaitable[None]]
    """Raises for an address that the kernel would answer for too."""
    _streams: set[PacketStream]

    @property
    def role(self) -> Literal["client", "host"]:
        """Whether the addresses are neighio's own ("host") or the kernel's."""
        return "host" if self._device.answers else "client"

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses in use, each with its prefix length ("198.51.100.1/24")."""
        return tuple(
            f"{format_ip(one.ip)}/{one.prefixlen}" for one in self._device.addresses if not one.tentative
        )

    @property
    def tentative(self) -> tuple[str, ...]:
        """The addresses that are not in use yet, each with its prefix length, as they are being detected, or
        wait until somebody can hear it."""
        device = self._device
        driver = self._admit()
        wanted = [claim.address for claim in driver.engine.claims.of(device)]
        used = {one.ip for one in device.addresses if not one.tentative}
        there = [one for one in (wanted if device.answers else device.addresses) if one.ip not in used]
        return tuple(f"{format_ip(one.ip)}/{one.prefixlen}" for one in there)

    def _meant(self, address: IPAddress, field: str = "address") -> bytes:
        """The packed form of an address that is meant on this device."""
        ip, zone = parse_ip(address, field=field)
        if zone not in (None, self._device.name):
            raise InvalidAddress(f"{field}: zone {zone!r} contradicts device {self._device.name}")
        return ip

    def _host(self) -> Driver:
        self._admit()
        if not self._device.answers:
            raise ValueError(f"role: {self._device.name} is a client, whose addresses are the kernel's")
        return self._attached()

    def _attached(self) -> Driver:
        driver = self._admit()
        if self._device.index not in driver.links:
            raise InvalidAddress(f"device: {self._device.name} is not attached")
        return driver

    # -- addresses

    @trio.lowlevel.enable_ki_protection
    async def add_address(
        self,
        address: str,
        *,
        dad_transmits: int | None = None,
        optimistic: bool | None = None,
        defence: Defence = "none",
        notify_routers: bool = False,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Have an address of one's own; return when it is known to be nobody else's and is in use.

        IPv4 addresses are detected as RFC 5227 2.1 says (4 to 7 s, and then two announcements), IPv6 ones as
        RFC 4862 5.4 says, with the nonce of RFC 7527 (1 to 2 s); while nobody can hear, for the device is
        down or has no carrier, they wait. Cancelled, the address is not had.

        ``await nursery.start(device.add_address, address)`` returns when its detection is under way, or when
        it was had at once; what forbids to have it is raised there. Addresses that are started in turn are
        had in this order.

        Args:
            address: with its prefix length ("198.51.100.1/24", "2001:db8::1/64").
            dad_transmits: how many probes are sent; 0 takes the address at once. 3 for IPv4 and the switch
                of that name for IPv6 when None.
            optimistic: use an IPv6 address with care while it is being detected (RFC 4429); as the switch
                optimistic_dad says when None.
            defence: see :data:`Defence`.
            notify_routers: tell all routers of an IPv6 address, unless it is a link-local one, three times,
                retrans_time apart, as RFC 9131 6.1.2 wants it: they know it before the first packet for it
                arrives. Linux never does.

        Raises:
            DuplicateAddress: somebody has it; it says at which link-layer address.
            AdminError: EEXIST, it is there already; EACCES, IPv6 is disabled on the device.
            InvalidAddress: it is none that a station can have, or the kernel would answer for it, too, or it
                is of IPv4 and to be optimistic.
            DeviceGone: the device went meanwhile.
            ValueError: the device is a client, or a number or a defence is none; names the field.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        driver = self._host()
        ip, prefixlen = check_own_address(address)
        if FAMILY_OF_LENGTH[len(ip)] not in driver.engine.caches:
            raise InvalidAddress(f"address: {format_ip(ip)} is of a family that this table does not serve")
        if dad_transmits is not None and dad_transmits not in range(256):
            raise ValueError(f"dad_transmits: {dad_transmits!r} is out of range, expected 0 to 255")
        if optimistic and len(ip) == 4:
            raise InvalidAddress(f"optimistic: {address} is no IPv6 address")
        if defence not in DEFENCES:
            raise ValueError(f"defence: {defence!r} is not one of {', '.join(DEFENCES)}")
        await self._refuse(self, ip)
        driver = self._host()
        # Not before: it may have gone and come back meanwhile.
        device = self._device
        token = Token()
        scope = RT_SCOPE_LINK if is_link_local(ip) else RT_SCOPE_UNIVERSE
        driver.engine.claim_address(
            device.index,
            Address(ip, prefixlen, scope),
            driver.clock(),
            transmits=dad_transmits,
            optimistic=optimistic,
            defence=defence,
            notify_routers=notify_routers,
        )
        driver.await_claim(device.index, ip, token)
        driver.pump()
        self._select(driver)

        def forget() -> None:
            driver.forget_claim(device.index, ip, token)
            driver.engine.release_address(device.index, ip, driver.clock())
            driver.pump()

        task_status.started()
        try:
            await park(token, forget)
        finally:
            self._select(driver)

    @trio.lowlevel.enable_ki_protection
    def remove_address(self, address: IPAddress) -> None:
        """Have an address no more. Its neighbours stay; with the last IPv4 address all IPv4 ones go.

        Args:
            address: with its prefix length, or without.

        Raises:
            AdminError: EADDRNOTAVAIL, there is no such address.
            InvalidAddress: it is no address.
            ValueError: the device is a client.
        """
        driver = self._host()
        if isinstance(address, str) and "/" in address:
            ip, prefixlen = check_own_address(address)
        else:
            ip, prefixlen = self._meant(address), None
        claim = driver.engine.claims.find(self._device, ip)
        if claim is None or prefixlen not in (None, claim.address.prefixlen):
            length = "" if prefixlen is None else f"/{prefixlen}"
            raise AdminError(errno.EADDRNOTAVAIL, f"address: {format_ip(ip)}{length} is not there")
        driver.engine.release_address(self._device.index, ip, driver.clock())
        driver.pump()
        # Whoever waits for it to be in use waits in vain.
        driver.end_claim(self._device.index, ip, lambda: AdminError(errno.EADDRNOTAVAIL, "it was removed"))
        self._select(driver)

    def _select(self, driver: Driver) -> None:
        """Have the link take in what is for us."""
        device = self._device
        select = getattr(self._link, "select", None)
        if device.answers and device.index in driver.links and select is not None:
            wanted = (claim.address.ip for claim in driver.engine.claims.of(device))
            own = frozenset(ip for ip in wanted if len(ip) == 4)
            with suppress(LinkGone):
                select(Selection(ipv4=own, host=True, packets=bool(self._streams)))

    # -- routes

    @trio.lowlevel.enable_ki_protection
    def add_route(self, network: str, gateway: IPAddress | None = None) -> None:
        """Have packets to a network ("0.0.0.0/0") leave through this device, by a gateway or directly.

        Raises:
            InvalidAddress: no network, or a gateway that cannot be one, or that is not on the link by an
                address of the device (which may still be detected) or by a route without a gateway.
            ValueError: the device is a client.
        """
        driver = self._host()
        prefix, prefixlen = parse_network(network)
        hop = None
        if gateway is not None:
            hop = self._meant(gateway, "gateway")
            unicast = any(hop) and self._device.node.address_type(hop) == RTN_UNICAST
            if len(hop) != len(prefix) or not unicast:
                raise InvalidAddress(f"gateway: {format_ip(hop)} can be no gateway of {network}")
            if not self._is_neighbour(hop, driver):
                raise InvalidAddress(
                    f"gateway: {format_ip(hop)} is not on the link of {self._device.name}; "
                    "an address of its network, or a route to it, comes first"
                )
        self._device.node.add_route(Route(prefix, prefixlen, self._device, hop))

    @trio.lowlevel.enable_ki_protection
    def remove_route(self, network: str, gateway: IPAddress | None = None) -> None:
        """Have packets to a network leave through this device no more, or no more by this gateway. Those that
        wait for their neighbour stay with it.

        Raises:
            AdminError: ESRCH, there is no such route.
            InvalidAddress: no network, or no address.
            ValueError: the device is a client.
        """
        self._host()
        prefix, prefixlen = parse_network(network)
        hop = None if gateway is None else self._meant(gateway, "gateway")
        for route in self._device.node.routes(prefix):
            if (route.prefixlen, route.device) == (prefixlen, self._device) and hop in (None, route.gateway):
                self._device.node.remove_route(route)
                return
        way = "" if hop is None else f" by {format_ip(hop)}"
        raise AdminError(errno.ESRCH, f"network: there is no route to {network}{way}")

    def _is_neighbour(self, ip: bytes, driver: Driver) -> bool:
        """Whether a gateway is on the link (fib_check_nh, ip6_route_check_nh)."""
        if len(ip) == 16 and is_link_local(ip):
            return True
        device = self._device
        # An address that is detected anew, on an interface that has returned, will bring its route.
        claimed = (claim.address for claim in driver.engine.claims.of(device))
        if any(len(one.ip) == len(ip) and in_prefix(ip, one.ip, one.prefixlen) for one in claimed):
            return True
        found = next((route for route in device.node.routes(ip) if route.device is device), None)
        return found is not None and found.gateway is None

    # -- announcing

    @trio.lowlevel.enable_ki_protection
    def announce(
        self,
        *addresses: IPAddress,
        repeat: int = 1,
        interval: float = 1.0,
        backoff: float = 1.0,
        form: Literal["request", "reply", "both"] = "request",
        router: bool | None = None,
        lladdr: str | bytes | None = None,
        force: bool = False,
    ) -> None:
        """Tell all neighbours at which link-layer address own addresses are, all of them when none is named:
        IPv4 by gratuitous ARP, IPv6 by unsolicited advertisements with the override flag.

        A client announces the kernel's addresses: one that has just been taken over from another host.

        Args:
            addresses: those to announce.
            repeat: how often in all; the first time now.
            interval: seconds from the first to the second time.
            backoff: by how much each further distance is longer than the one before.
            form: of gratuitous ARP; some neighbours heed requests alone, some replies (RFC 5227 3).
            router: whether an advertisement says that it is a router's; as the device's switch forwarding
                says when None, which of a client is not the kernel's. A router that does not say so is no
                router any more to those who hear it (RFC 4861 7.2.5).
            lladdr: another link-layer address than the device's, a virtual router's; the frames come from
                there, too, so that bridges know the way.
            force: announce addresses, too, that are not in use here.

        Raises:
            InvalidAddress: an address that is not in use here, or with ``force`` one that no station can
                have, or an IPv6 one where there is none from which to send; a link-layer address that is
                none of a station.
            DeviceGone: the device is down.
            ValueError: a number that is none; names the field.
        """
        driver = self._attached()
        if not 1 <= repeat < inf or repeat != int(repeat):
            raise ValueError(f"repeat: {repeat!r} is no whole number of at least 1")
        for name, value, least in (("interval", interval, 0.0), ("backoff", backoff, 1.0)):
            if not least <= value < inf:
                raise ValueError(f"{name}: {value!r} is out of range, expected at least {least:g}")
        if form not in ("request", "reply", "both"):
            raise ValueError(f"form: {form!r} is not one of request, reply, both")
        ips = []
        for text in addresses:
            ips.append(self.check_announced(text, force=force))
        own = None if lladdr is None else parse_station(lladdr, self._device.addr_len, self._device.name)
        if not self._device.up:
            raise DeviceGone(f"{self._device.name} is down")
        for ip in ips or self._announceable(driver):
            for reply in (False, True):
                if ("reply" if reply else "request") == form or (
                    form == "both" and (len(ip) == 4 or not reply)
                ):
                    driver.engine.announce(
                        self._device.index,
                        ip,
                        driver.clock(),
                        count=int(repeat),
                        interval=interval,
                        backoff=backoff,
                        wording=Wording(reply, router, own),
                    )
        driver.pump()

    def _announceable(self, driver: Driver) -> list[bytes]:
        """The addresses in use, of the families that are served."""
        return [
            address.ip
            for address in self._device.addresses
            if not address.tentative and FAMILY_OF_LENGTH[len(address.ip)] in driver.engine.caches
        ]

    def check_announced(self, address: IPAddress, *, force: bool = False) -> bytes:
        """Return the packed form of an address that :meth:`announce` would announce.

        Raises:
            InvalidAddress: it would not.
        """
        driver = self._attached()
        device = self._device
        ip = self._meant(address)
        own = device.address(ip)
        if not force and (own is None or own.tentative):
            raise InvalidAddress(f"address: {format_ip(ip)} is not in use on {device.name}")
        if FAMILY_OF_LENGTH[len(ip)] not in driver.engine.caches:
            raise InvalidAddress(f"address: {format_ip(ip)} is of a family that this table does not serve")
        check_station(ip)
        if device.node.address_type(ip) == RTN_BROADCAST:
            raise InvalidAddress(f"address: {format_ip(ip)} is a broadcast address of {device.name}")
        if own is None and len(ip) == 16 and device.node.ipv6_source(device, ALL_NODES) is None:
            raise InvalidAddress(f"address: {device.name} has no IPv6 address from which to announce any")
        return ip

    # -- packets

    @trio.lowlevel.enable_ki_protection
    def send_nowait(self, packet: bytes) -> None:
        """Send a whole IP packet by this host's routes, through the neighbour of its first hop
        (neigh_output). What is meant on one link alone, multicast and link-local addresses, leaves through
        this device.

        What becomes of it later is a :class:`PacketFailed` of ``subscribe(errors=True)``, and a counter.

        Raises:
            Unreachable: there is no route.
            InvalidAddress: it is to nobody, or to this host itself.
            TableFull: the neighbour cannot be made.
            ValueError: the device is a client, or it is no IP packet with its whole header; names the field.
        """
        driver = self._host()
        family = family_of_packet(packet)
        if family is None:
            raise ValueError("packet: no IP packet with its whole header")
        destination = packet[16:20] if family == AF_INET else packet[24:40]
        device, key = self._first_hop(destination)
        neighbour = driver.engine.neighbour(device.index, key, driver.clock())
        # The kernel's output path holds no reference either.
        driver.engine.release(neighbour, driver.clock())
        driver.engine.send(neighbour, Packet(bytes(packet), family), driver.clock())
        driver.pump()

    def _first_hop(self, destination: bytes) -> tuple[CoreDevice, bytes]:
        """Through which device a packet leaves, and to which neighbour."""
        node = self._device.node
        kind = node.address_type(destination)
        if not any(destination) or kind == RTN_LOCAL:
            raise InvalidAddress(f"packet: {format_ip(destination)} is nobody's, or an address of ours")
        if kind == RTN_MULTICAST or destination == LIMITED_BROADCAST or is_link_local(destination):
            return self._device, destination
        hop = node.first_hop(destination)
        if hop is None:
            raise Unreachable(f"packet: no route to {format_ip(destination)}")
        # Broadcast goes past every gateway (__mkroute_output).
        return (hop[0], destination) if kind == RTN_BROADCAST else hop

    @asynccontextmanager
    @trio.lowlevel.enable_ki_protection
    async def packets(self, *, capacity: int = 1024) -> AsyncIterator[PacketStream]:
        """Have the IP packets to own addresses that neighio does not consume itself: ``async with
        device.packets() as incoming``, then ``async for packet in incoming``.

        ``capacity`` packets may wait; further ones are dropped and counted as "ip_overflow". Fragments are
        not put together, but dropped.

        Raises:
            ValueError: the device is a client, or ``capacity`` is not at least 1.
        """
        driver = self._host()
        if capacity < 1:
            raise ValueError(f"capacity: {capacity!r} is not at least 1")
        device = self._device
        stream = PacketStream(driver, device, capacity)
        driver.take_packets(device.index, stream.offer)
        self._streams.add(stream)
        self._select(driver)
        try:
            yield stream
        finally:
            stream.close()
            self._streams.discard(stream)
            driver.leave_packets(device.index, stream.offer)
            self._select(driver)
