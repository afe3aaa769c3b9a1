"""What happens to devices, as stimuli of the engine (neigh_ifdown, neigh_carrier_down, neigh_changeaddr,
arp_netdev_event, fib_inetaddr_event)."""

from __future__ import annotations

import errno

from ..address import format_ip
from ..errors import AdminError, InvalidAddress
from ..wire.ipv6 import ALL_ROUTERS
from .admin import remove_if_unreferenced
from .announcer import USUAL, Wording
from .base import EngineBase, family_scope
from .claims import PROBE_NUM
from .constants import (
    AF_INET,
    AF_INET6,
    IFF_LOWER_UP,
    IFF_NOARP,
    IFF_UP,
    NEIGH_UPDATE_F_ADMIN,
    NEIGH_UPDATE_F_OVERRIDE,
    NUD_FAILED,
    NUD_NONE,
    NUD_VALID,
)
from .device import Address, Device
from .events import Disowned
from .flush import begin_flush
from .node import Route
from .proxy import flush_proxies

__all__ = ["DeviceStimuli"]


class DeviceStimuli(EngineBase):
    """Attaching and detaching devices, and what the node is told of them."""

    def attach(self, device: Device, now: float) -> None:
        """Have neighbours on a device, which the node may know already.

        Raises:
            InvalidAddress: a device with this index has neighbours already.
        """
        self._at(now)
        for cache in self.caches.values():
            if device.index in cache.by_device:
                raise InvalidAddress(f"device: {device.name} is attached already")
        (self.host if device.answers else self.node).add_device(device)
        self.devices[device.index] = device
        self._follow_forwarding(device)
        for cache in self.caches.values():
            cache.attach(device)
        for group in device.groups:
            self.listener.listen(device, group, joined=True)

    def detach(self, index: int, now: float) -> None:
        """Have no neighbours on a device any more: everything goes, with its events, a large table's in
        slices of its family's scope."""
        self._at(now)
        for cache, table in self._tables(index):
            begin_flush(cache, table)
            flush_proxies(cache, index)
            cache.detach(table)
            self.services.rearmed.add(family_scope(cache.family))
        self.claims.forget_device(self.devices[index])
        self.listener.stop(self.devices[index])
        del self.devices[index]

    def _flush(self, index: int, *, proxies: bool = True, family: int = 0) -> None:
        for cache, table in self._tables(index):
            if family and cache.family != family:
                continue
            begin_flush(cache, table)
            if proxies:
                flush_proxies(cache, index)
            self.services.rearmed.add(family_scope(cache.family))

    def _follow_forwarding(self, device: Device) -> None:
        """A router listens to the group of all routers (dev_forward_change)."""
        router = bool(device.node.switch(device, AF_INET6, "forwarding"))
        if router == (ALL_ROUTERS in device.groups):
            return
        if router:
            device.groups[ALL_ROUTERS] = 1
        else:
            del device.groups[ALL_ROUTERS]
        self.listener.listen(device, ALL_ROUTERS, joined=router)

    def link_up(self, index: int, now: float) -> None:
        """The device was set up (NETDEV_UP): nothing happens to neighbours. A host detects its addresses
        anew and announces the others, if arp_notify or ndisc_notify say so."""
        self._at(now)
        device = self.device(index)
        device.flags |= IFF_UP
        device.ready = device.carrier
        if device.answers:
            self.listener.begin(device)
            self.claims.resume(device)
            self.claims.announcer.notify(device)

    def link_down(self, index: int, now: float) -> None:
        """The device was set down: everything of it goes, proxies too (NETDEV_DOWN, neigh_ifdown)."""
        self._at(now)
        device = self.device(index)
        device.flags &= ~(IFF_UP | IFF_LOWER_UP)
        device.ready = False
        self.claims.suspend(device)
        self.listener.stop(device)
        self._flush(index)

    def carrier(self, index: int, on: bool, now: float) -> None:
        """The carrier came or went (NETDEV_CHANGE, neigh_carrier_down). A host detects its addresses when it
        came, IPv6 ones only for the first time since the device was set up, and reports its groups.

        Without it PERMANENT and EXT_VALIDATED entries stay, unless arp_evict_nocarrier or
        ndisc_evict_nocarrier is off: then all of that family.
        """
        self._at(now)
        device = self.device(index)
        if on:
            device.flags |= IFF_LOWER_UP
            first, device.ready = not device.ready, True
            if device.answers:
                # It may be plugged into another switch now.
                self.listener.begin(device)
                self.claims.connect(device, first=first)
            return
        device.flags &= ~IFF_LOWER_UP
        self.claims.disconnect(device)
        for cache, table in self._tables(index):
            if not cache.protocol.switch(device, cache.protocol.evict_nocarrier):
                continue
            begin_flush(cache, table, keep_permanent=True)
            flush_proxies(cache, index, keep_permanent=True)
            self.services.rearmed.add(family_scope(cache.family))

    def set_lladdr(self, index: int, lladdr: bytes, now: float) -> None:
        """The device's address was set, be it to the same: every entry goes, proxies stay
        (NETDEV_CHANGEADDR, neigh_changeaddr)."""
        self._at(now)
        device = self.device(index)
        device.lladdr = lladdr
        self._flush(index, proxies=False)
        if device.answers:
            self.claims.announcer.notify(device)

    def set_noarp(self, index: int, on: bool, now: float) -> None:
        """IFF_NOARP was turned over: every entry goes (neigh_changeaddr)."""
        self._at(now)
        device = self.device(index)
        if device.noarp != on:
            device.flags ^= IFF_NOARP
            self._flush(index, proxies=False)

    def add_address(self, index: int, address: Address, now: float) -> None:
        """The device got an address. What was tried at its broadcast addresses while they looked like
        hosts is forgotten, unless it succeeded (arp_invalidate)."""
        self._at(now)
        self._gain(self.device(index), address)

    def _gain(self, device: Device, address: Address) -> None:
        before = set(device.groups)
        if not device.node.add_address(device, address):
            return
        for group in device.groups.keys() - before:
            self.listener.listen(device, group, joined=True)
        if AF_INET not in self.caches:
            return
        cache = self.caches[AF_INET]
        table = cache.by_device.get(device.index)
        if table is None:
            return
        for key in address.broadcasts():
            row = cache.lookup(table, key)
            if row and not cache.store.nud_state[row] & NUD_VALID:
                cache.hold(row)
                if cache.store.nud_state[row] != NUD_NONE:
                    flags = NEIGH_UPDATE_F_ADMIN | NEIGH_UPDATE_F_OVERRIDE
                    cache.nud.update(row, None, NUD_FAILED, flags, "admin")
                remove_if_unreferenced(cache, row)

    def remove_address(self, index: int, ip: bytes, prefixlen: int, now: float) -> None:
        """The device lost an address; with its last IPv4 address go all its IPv4 entries and proxies."""
        self._at(now)
        device = self.device(index)
        self.claims.announcer.forget(device, ip)
        self._lose(device, ip, prefixlen)

    def _lose(self, device: Device, ip: bytes, prefixlen: int, *, for_now: bool = False) -> None:
        before = set(device.groups)
        if not device.node.remove_address(device, ip, prefixlen):
            return
        for group in before - device.groups.keys():
            self.listener.listen(device, group, joined=False)
        if len(ip) == 4 and not for_now and next(device.own(AF_INET), None) is None:
            self._flush(device.index, family=AF_INET)

    # -- the host role: addresses of its own

    def claim_address(
        self,
        index: int,
        address: Address,
        now: float,
        *,
        transmits: int | None = None,
        optimistic: bool | None = None,
        defence: str = "none",
        notify_routers: bool = False,
    ) -> None:
        """Have an address in the host role, once it is known to be nobody else's; :class:`Claimed` or an
        :class:`AddressConflict` will tell, at once if nothing is detected.

        ``transmits`` is how many probes the detection sends: 3 for IPv4 (RFC 5227) and dad_transmits for IPv6
        when None, 0 for none. ``optimistic`` (IPv6) uses it meanwhile; as optimistic_dad says when None.

        Raises:
            AdminError: EEXIST, the device has it or wants it already; EACCES, IPv6 is disabled there.
            InvalidAddress: its family is not served.
        """
        self._at(now)
        cache, table = self._place(index, address.ip)
        device = table.device
        refusal = cache.protocol.refuses_to_add(device)
        if refusal is not None:
            raise AdminError(errno.EACCES, f"address: {refusal}")
        if self.claims.find(device, address.ip) is not None or device.address(address.ip) is not None:
            raise AdminError(errno.EEXIST, f"address: {format_ip(address.ip)} is there already")
        if len(address.ip) == 16:
            if transmits is None:
                transmits = device.node.switch(device, AF_INET6, "dad_transmits")
            if optimistic is None:
                router = device.node.switch(device, AF_INET6, "forwarding")
                optimistic = bool(device.node.switch(device, AF_INET6, "optimistic_dad") and not router)
        self.claims.claim(
            device,
            address,
            transmits=PROBE_NUM if transmits is None else transmits,
            optimistic=bool(optimistic),
            defence=defence,
            notify_routers=notify_routers,
        )

    def release_address(self, index: int, ip: bytes, now: float) -> bool:
        """Have an own address no more; False when there was no such one."""
        self._at(now)
        return self.claims.give_up(self.devices[index], ip) is not None

    def _disable_ipv6(self, device: Device) -> None:
        """IPv6 was disabled on a device: its entries go, and a host's addresses (addrconf_ifdown)."""
        self._flush(device.index, family=AF_INET6)
        for claim in self.claims.of(device):
            if len(claim.address.ip) == 16:
                self.claims.give_up(device, claim.address.ip)
                reason = self.caches[AF_INET6].protocol.refuses_to_add(device) or ""
                self.services.outputs.append(Disowned(device, claim.address.ip, reason))
        self.listener.stop(device)

    def announce(
        self,
        index: int,
        ip: bytes,
        now: float,
        *,
        count: int = 1,
        interval: float = 1.0,
        backoff: float = 1.0,
        wording: Wording = USUAL,
    ) -> None:
        """Announce an address on a device; see :meth:`Announcer.announce`.

        Raises:
            InvalidAddress: its family is not served.
        """
        self._at(now)
        device = self._place(index, ip)[1].device
        self.claims.announcer.announce(
            device, ip, count=count, interval=interval, backoff=backoff, wording=wording
        )

    def _change_address(self, device: Device, address: Address, add: bool, *, for_now: bool = False) -> None:
        """Give a host an address or take it away, with the route to its network; ``for_now`` its neighbours
        stay."""
        if add:
            self._gain(device, address)
            device.node.add_route(Route(address.ip, address.prefixlen, device))
        else:
            self._lose(device, address.ip, address.prefixlen, for_now=for_now)
            device.node.forget_network(device, address.ip, address.prefixlen)
