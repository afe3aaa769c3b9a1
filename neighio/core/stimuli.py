"""What happens to devices, as stimuli of the engine (neigh_ifdown, neigh_carrier_down, neigh_changeaddr,
arp_netdev_event, fib_inetaddr_event)."""

from __future__ import annotations

from ..errors import InvalidAddress
from .admin import remove_if_unreferenced
from .base import EngineBase, family_scope
from .constants import (
    AF_INET,
    IFF_LOWER_UP,
    IFF_NOARP,
    IFF_UP,
    NEIGH_UPDATE_F_ADMIN,
    NEIGH_UPDATE_F_OVERRIDE,
    NUD_FAILED,
    NUD_NONE,
    NUD_VALID,
)
from .flush import begin_flush
from .node import Address, Device
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
        self.node.devices[device.index] = device
        for cache in self.caches.values():
            cache.attach(device)

    def detach(self, index: int, now: float) -> None:
        """Have no neighbours on a device any more: everything goes, with its events, a large table's in
        slices of its family's scope."""
        self._at(now)
        for cache, table in self._tables(index):
            begin_flush(cache, table)
            flush_proxies(cache, index)
            cache.detach(table)
            self.services.rearmed.add(family_scope(cache.family))

    def _flush(self, index: int, *, proxies: bool = True) -> None:
        for cache, table in self._tables(index):
            begin_flush(cache, table)
            if proxies:
                flush_proxies(cache, index)
            self.services.rearmed.add(family_scope(cache.family))

    def link_up(self, index: int, now: float) -> None:
        """The device was set up (NETDEV_UP): nothing happens to neighbours."""
        self._at(now)
        self.node.devices[index].flags |= IFF_UP

    def link_down(self, index: int, now: float) -> None:
        """The device was set down: everything of it goes, proxies too (NETDEV_DOWN, neigh_ifdown)."""
        self._at(now)
        self.node.devices[index].flags &= ~(IFF_UP | IFF_LOWER_UP)
        self._flush(index)

    def carrier(self, index: int, on: bool, now: float) -> None:
        """The carrier came or went (NETDEV_CHANGE, neigh_carrier_down).

        Without it PERMANENT and EXT_VALIDATED entries stay, unless arp_evict_nocarrier is off: then all.
        """
        self._at(now)
        device = self.node.devices[index]
        if on:
            device.flags |= IFF_LOWER_UP
            return
        device.flags &= ~IFF_LOWER_UP
        for cache, table in self._tables(index):
            if cache.family == AF_INET and not self.node.switch(device, AF_INET, "arp_evict_nocarrier"):
                continue
            begin_flush(cache, table, keep_permanent=True)
            flush_proxies(cache, index, keep_permanent=True)
            self.services.rearmed.add(family_scope(cache.family))

    def set_lladdr(self, index: int, lladdr: bytes, now: float) -> None:
        """The device's address was set, be it to the same: every entry goes, proxies stay
        (NETDEV_CHANGEADDR, neigh_changeaddr)."""
        self._at(now)
        self.node.devices[index].lladdr = lladdr
        self._flush(index, proxies=False)

    def set_noarp(self, index: int, on: bool, now: float) -> None:
        """IFF_NOARP was turned over: every entry goes (neigh_changeaddr)."""
        self._at(now)
        device = self.node.devices[index]
        if device.noarp != on:
            device.flags ^= IFF_NOARP
            self._flush(index, proxies=False)

    def add_address(self, index: int, address: Address, now: float) -> None:
        """The device got an address. What was tried at its broadcast addresses while they looked like
        hosts is forgotten, unless it succeeded (arp_invalidate)."""
        self._at(now)
        if not self.node.add_address(self.node.devices[index], address) or AF_INET not in self.caches:
            return
        cache = self.caches[AF_INET]
        table = cache.by_device.get(index)
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
        device = self.node.devices[index]
        if not self.node.remove_address(device, ip, prefixlen) or len(ip) != 4:
            return
        if next(device.own(AF_INET), None) is None:
            for cache, table in self._tables(index):
                if cache.family == AF_INET:
                    begin_flush(cache, table)
                    flush_proxies(cache, index)
                    self.services.rearmed.add(family_scope(AF_INET))
