"""The engine: the core's four doors.

``receive``; the calls; ``next_deadline``; ``handle_timers``. Each takes ``now``, seconds of the caller's
clock, and leaves what it wants done in :meth:`Engine.take_outputs`. Whoever drives it only sleeps until a
scope's deadline: the trio shell and the simulation do.
"""

from __future__ import annotations

import random as random_module
from collections.abc import Iterator, Mapping
from math import floor, inf
from typing import Final, TypeAlias

from ..address import LinkAddress, format_ip
from ..errors import InvalidAddress, Unreachable
from ..wire.ethernet import DROP_ETHERNET_TRUNCATED, DROP_VLAN_TAGGED, ETH_HLEN
from .admin import delete_neighbour, new_neighbour, remove_if_unreferenced
from .arp import Arp
from .cache import DeviceTable, NeighbourCache, Services
from .collect import PeriodicGC
from .constants import (
    AF_INET,
    IFF_LOWER_UP,
    IFF_NOARP,
    IFF_UP,
    NEIGH_UPDATE_F_ADMIN,
    NEIGH_UPDATE_F_OVERRIDE,
    NUD_FAILED,
    NUD_NOARP,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_VALID,
    RTN_UNICAST,
)
from .create import create
from .events import Output
from .flush import begin_flush, continue_flush
from .neighbour import Neighbour
from .node import SWITCHES, Address, Device, Node, check_switches
from .parameters import Parameters, check_parameters
from .proxy import flush_proxies
from .queue import Packet

__all__ = ["BUDGET", "Engine", "Scope", "device_scope", "family_scope"]

BUDGET: Final = 256
"""How many rows one slice of any long work looks at."""

DROP_ETHERTYPE: Final = "ethertype"

_VLAN_TYPES: Final = (b"\x81\x00", b"\x88\xa8")
_FAMILY_OF_LENGTH: Final = {4: AF_INET}

Scope: TypeAlias = tuple[str, int]
"""What has a deadline of its own: a device's timers, or a family's periodic work."""


def device_scope(index: int) -> Scope:
    return ("device", index)


def family_scope(family: int) -> Scope:
    return ("family", family)


class ManagedWork:
    """Every interval_probe_time of the defaults, managed entries are used (neigh_managed_work)."""

    __slots__ = ("_cache", "due")

    def __init__(self, cache: NeighbourCache) -> None:
        self._cache = cache
        self.due: float = cache.services.now

    def run(self) -> None:
        cache = self._cache
        self.due = cache.services.now + cache.parameters.interval_probe_time
        for row in cache.managed_list:
            if not cache.meet(row):
                cache.nud.event_send(row, None, immediate=False)


class Engine:
    """The neighbour subsystem of one node, without a clock, a socket or a loop.

    Args:
        now: the present, seconds; every later ``now`` is at least this.
        random: where reachable_time is drawn from; a fresh one when not given.
        families: address families, AF_INET.
        ticks_per_second: when given, ``now`` and every deadline are rounded down to such ticks, as the
            kernel's jiffies do.
        atomic_notifications: have a notification say how the entry is before the packets and the probe
            that go with it leave, as Linux does since 7.0; by default it says how it is afterwards.
    """

    def __init__(
        self,
        *,
        now: float = 0.0,
        random: random_module.Random | None = None,
        families: tuple[int, ...] = (AF_INET,),
        ticks_per_second: int | None = None,
        atomic_notifications: bool = False,
    ) -> None:
        self._ticks_per_second = ticks_per_second
        self.node: Node = Node()
        self.services: Services = Services(
            self.node, random or random_module.Random(), self._floor, self._floor(now)
        )
        self.services.atomic_notifications = atomic_notifications
        self.caches: dict[int, NeighbourCache] = {}
        self._gc: dict[int, PeriodicGC] = {}
        self._managed: dict[int, ManagedWork] = {}
        self._receivers: dict[bytes, Arp] = {}
        for family in families:
            cache = self.caches[family] = NeighbourCache(family, self.services)
            protocol = Arp(cache)
            cache.protocol = protocol
            self._receivers[protocol.ethertype] = protocol
            self._gc[family] = PeriodicGC(cache)
            self._managed[family] = ManagedWork(cache)

    def _floor(self, when: float) -> float:
        ticks = self._ticks_per_second
        return when if ticks is None else floor(when * ticks + 1e-6) / ticks

    def _at(self, now: float) -> None:
        self.services.now = self._floor(now)

    def take_outputs(self) -> list[Output]:
        """Return what is to be done, in order, and forget it."""
        outputs = self.services.outputs
        taken = outputs[:]
        outputs.clear()
        return taken

    # -- the door of frames

    def receive(self, index: int, frame: bytes, now: float) -> None:
        """Take in one Ethernet frame that a device received. Never raises for what the frame holds."""
        self._at(now)
        device = self.node.devices[index]
        receiver = self._receivers.get(frame[12:14])
        if receiver is not None:
            reason = receiver.receive(receiver.cache.by_device[index], frame)
        elif len(frame) < ETH_HLEN:
            reason = DROP_ETHERNET_TRUNCATED
        elif frame[12:14] in _VLAN_TYPES:
            reason = DROP_VLAN_TAGGED
        else:
            reason = DROP_ETHERTYPE
        if reason is not None:
            device.count_drop(reason)

    # -- the door of time

    def scopes(self) -> Iterator[Scope]:
        """Every scope there is now."""
        yield from (family_scope(family) for family in self.caches)
        indices = {index for cache in self.caches.values() for index in cache.by_device}
        yield from (device_scope(index) for index in sorted(indices))

    def take_rearmed(self) -> set[Scope]:
        """The scopes whose deadline may have come nearer since the last call."""
        rearmed = self.services.rearmed
        if not rearmed:
            return set()
        taken = set(rearmed)
        rearmed.clear()
        return taken

    def next_deadline(self, scope: Scope) -> float:
        """When :meth:`handle_timers` has something to do for the scope, seconds; infinity when never."""
        kind, number = scope
        if kind == "family":
            if self.caches[number].flushing:
                return -inf
            return min(self._gc[number].next_deadline(), self._managed[number].due)
        return min(
            (
                cache.by_device[number].timers.next_deadline()
                for cache in self.caches.values()
                if number in cache.by_device
            ),
            default=inf,
        )

    def handle_timers(self, scope: Scope, now: float, budget: int = BUDGET) -> bool:
        """Do what is due for the scope, looking at about ``budget`` rows; True when more is due now."""
        self._at(now)
        kind, number = scope
        if kind == "device":
            return self._handle_device(number, now, budget)
        cache = self.caches[number]
        if cache.flushing:
            return continue_flush(cache, budget) or self.next_deadline(scope) <= now
        if self._managed[number].due <= now:
            self._managed[number].run()
        if self._gc[number].next_deadline() <= now:
            self._gc[number].run(budget)
        return self.next_deadline(scope) <= now

    def set_family_work(
        self, family: int, *, managed: float | None = None, collection: float | None = None
    ) -> None:
        """Have managed entries be used next, or the periodic collection run next, at this instant (seconds)
        in place of what their interval says.

        The kernel's work is one for the whole machine: whoever plays what it did needs its instants.
        """
        if managed is not None:
            self._managed[family].due = managed
        if collection is not None:
            self._gc[family].due = collection
        self.services.rearmed.add(family_scope(family))

    def _handle_device(self, index: int, now: float, budget: int) -> bool:
        for cache in self.caches.values():
            table = cache.by_device.get(index)
            if table is not None:
                budget -= table.timers.run(now, budget, cache.nud.timer)
                if budget <= 0:
                    return True
        return False

    # -- calls: devices

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

    def _tables(self, index: int) -> list[tuple[NeighbourCache, DeviceTable]]:
        return [(cache, cache.by_device[index]) for cache in self.caches.values() if index in cache.by_device]

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

    # -- calls: neighbours

    def _place(self, index: int, key: bytes) -> tuple[NeighbourCache, DeviceTable]:
        family = _FAMILY_OF_LENGTH.get(len(key))
        cache = self.caches.get(family) if family is not None else None
        if cache is None:
            raise InvalidAddress(f"ip: {format_ip(key)} is of a family that this table does not serve")
        table = cache.by_device.get(index)
        if table is None:
            raise InvalidAddress(f"device: no attached device has index {index}")
        return cache, table

    def _find_or_create(self, index: int, key: bytes, *, swept: bool = False) -> tuple[NeighbourCache, int]:
        cache, table = self._place(index, key)
        found = cache.find(table, cache.protocol.output_key(table.device, key))
        return cache, found or create(cache, table, key, swept=swept)

    def lookup(self, index: int, key: bytes, now: float) -> Neighbour | None:
        """The entry of an address, if there is one; nothing happens to it and nothing is counted."""
        self._at(now)
        cache, table = self._place(index, key)
        row = cache.find(table, key)
        return cache.handle(row) if row else None

    def neighbour(self, index: int, key: bytes, now: float) -> Neighbour:
        """The entry of an address, made if need be, with a reference for the caller (__neigh_create).

        Raises:
            TableFull, InvalidAddress, NeighioError
        """
        self._at(now)
        cache, row = self._find_or_create(index, key)
        cache.store.untold[row] = 0
        cache.hold(row)
        return cache.handle(row)

    def release(self, neighbour: Neighbour, now: float) -> None:
        """Give a reference back (neigh_release).

        Raises:
            LookupError: the entry was destroyed: there is none to give back.
        """
        self._at(now)
        row = self._held(neighbour)
        if neighbour.exists:
            neighbour.cache.release(row)

    def resolve(self, index: int, key: bytes, now: float) -> tuple[Neighbour, LinkAddress | None]:
        """Use an address (neigh_event_send without a packet): its entry, and the link-layer address if it
        is known now; otherwise resolution is under way, and :class:`Settled` will tell.

        Raises:
            Unreachable: the parameters allow no probe.
            TableFull, InvalidAddress, NeighioError
        """
        self._at(now)
        cache, row = self._find_or_create(index, key)
        cache.nud.event_send(row, None)
        state = cache.store.nud_state[row]
        if state & NUD_VALID:
            return cache.handle(row), cache.lladdr(row)
        if state & NUD_FAILED:
            raise Unreachable(f"{format_ip(key)}: no probes are configured")
        return cache.handle(row), None

    def resolve_nowait(self, index: int, key: bytes, now: float) -> LinkAddress | None:
        """As :meth:`resolve` on a VALID entry; otherwise None, and nothing happens at all."""
        self._at(now)
        cache, table = self._place(index, key)
        row = cache.find(table, cache.protocol.output_key(table.device, key))
        if not row or not cache.store.nud_state[row] & NUD_VALID:
            return None
        cache.nud.event_send(row, None)
        return cache.lladdr(row)

    def verify(self, neighbour: Neighbour, now: float) -> LinkAddress | None:
        """Ask for proof: the next ``confirmed`` stamp, or that there can be none, becomes a
        :class:`Verified`. NOARP and PERMANENT entries need none: their address is returned.

        A VALID entry goes to PROBE, as ``ip neigh change ... nud probe`` has it; others are resolved.
        """
        self._at(now)
        cache, row = neighbour.cache, neighbour.row
        if not neighbour.exists or cache.meet(row) or cache.store.dead[row]:
            raise Unreachable("the neighbour was deleted")
        state = cache.store.nud_state[row]
        if state & (NUD_NOARP | NUD_PERMANENT):
            return cache.lladdr(row)
        cache.watch(row)
        if not state & NUD_VALID:
            cache.nud.event_send(row, None)
        elif not state & NUD_PROBE:
            cache.nud.update(row, None, NUD_PROBE, 0, "verify")
        return None

    def send(self, neighbour: Neighbour, packet: Packet, now: float) -> None:
        """Send a packet to a held neighbour, or queue it; what becomes of it is an output."""
        self._at(now)
        neighbour.cache.nud.output(self._held(neighbour), packet)

    def withdraw(self, neighbour: Neighbour, packet: Packet) -> bool:
        """Take a packet out of the queue, and say whether it was there."""
        queue = neighbour.cache.queues.get(neighbour.row) if neighbour.exists else None
        return queue is not None and queue.remove(packet)

    def confirm(self, neighbour: Neighbour, now: float) -> None:
        """The upper layer saw progress with the neighbour (neigh_confirm)."""
        self._at(now)
        neighbour.cache.nud.confirm(self._held(neighbour))

    @staticmethod
    def _held(neighbour: Neighbour) -> int:
        """The row of an entry to which the caller has a reference; a flush under way is not news to it.

        Raises:
            LookupError: the entry was destroyed; its row may be another's by now.
        """
        if not neighbour.exists:
            raise LookupError("the neighbour was destroyed")
        neighbour.cache.meet(neighbour.row)
        return neighbour.row

    # -- calls: solicitation outside the machine

    def begin_probe(self, index: int, key: bytes, now: float, *, swept: bool = False) -> Neighbour:
        """Hold the entry of an address, made in NONE without a timer if need be, and have answers from it
        emitted as :class:`Answer` until :meth:`end_probe`.

        An entry that it makes is untold until its state changes or somebody else holds it: no walk shows
        it and its end is not announced. ``swept`` ones have an allowance of their own until the end."""
        self._at(now)
        cache, table = self._place(index, key)
        row = cache.find(table, cache.protocol.output_key(table.device, key))
        if not row:
            row = create(cache, table, key, swept=swept)
            cache.store.untold[row] = cache.store.nud_state[row] == NUD_NONE
        cache.hold(row)
        probed = self.services.probed
        probed[index, key] = probed.get((index, key), 0) + 1
        return cache.handle(row)

    def solicit_once(
        self, neighbour: Neighbour, now: float, *, unicast: bool = False, source: bytes | None = None
    ) -> None:
        """Send one solicitation now, whatever the state, outside the entry's counter. ``source`` replaces
        the address with which the node would ask."""
        self._at(now)
        cache, row = neighbour.cache, self._held(neighbour)
        if not cache.store.dead[row]:
            cache.protocol.solicit_once(row, unicast=unicast, source=source)

    def end_probe(
        self, neighbour: Neighbour, index: int, key: bytes, now: float, *, keep: bool = False
    ) -> None:
        """Undo :meth:`begin_probe`. The last one takes along the entry that was made for it, if it is still
        untold, or is a sweep's and nobody holds it. With ``keep`` a sweep's is counted from now on as any
        other, while there is room below gc_thresh2."""
        self._at(now)
        probed = self.services.probed
        probed[index, key] -= 1
        last = not probed[index, key]
        if last:
            del probed[index, key]
        cache, row = neighbour.cache, self._held(neighbour)
        if cache.store.untold[row] and not cache.store.dead[row]:
            remove_if_unreferenced(cache, row)
            return
        alive = not cache.store.dead[row]
        cache.release(row)
        if alive and (last or keep):
            cache.end_sweep(row, keep=keep)

    def sweep_keys(self, first: bytes, count: int) -> list[bytes]:
        """The ``count`` addresses from ``first`` on that may be somebody's, in random order."""
        length = len(first)
        start = int.from_bytes(first, "big")
        keys = [number.to_bytes(length, "big") for number in range(start, start + count)]
        kind = self.node.address_type
        keys = [key for key in keys if kind(key) == RTN_UNICAST]
        self.services.random.shuffle(keys)
        return keys

    # -- calls: administration

    def new_neighbour(
        self,
        index: int | None,
        key: bytes,
        now: float,
        *,
        lladdr: bytes | None = None,
        state: int = NUD_PERMANENT,
        flags: int = 0,
        protocol: int = 0,
        nlm_flags: int = 0,
    ) -> None:
        """RTM_NEWNEIGH: see :func:`neighio.core.admin.new_neighbour`."""
        self._at(now)
        cache, table = self._admin_place(index, key)
        new_neighbour(
            cache,
            table,
            key,
            lladdr=lladdr,
            state=state,
            flags=flags,
            protocol=protocol,
            nlm_flags=nlm_flags,
        )

    def delete_neighbour(self, index: int | None, key: bytes, now: float, *, proxy: bool = False) -> None:
        """RTM_DELNEIGH: see :func:`neighio.core.admin.delete_neighbour`."""
        self._at(now)
        cache, table = self._admin_place(index, key)
        delete_neighbour(cache, table, key, proxy=proxy)

    def delete_neighbours(self, index: int, states: int, now: float, *, nothing: bool) -> int:
        """Delete every entry of a device in one of ``states`` (NUD_* bits; with ``nothing`` NONE too), as
        ``ip neigh flush`` does: one RTM_DELNEIGH for each. Returns how many."""
        self._at(now)
        count = 0
        for cache, table in self._tables(index):
            for row in tuple(table.members):
                state = cache.store.nud_state[row]
                if not cache.meet(row) and (state & states or (nothing and state == NUD_NONE)):
                    delete_neighbour(cache, table, cache.store.key_of(row))
                    count += 1
        return count

    def _admin_place(self, index: int | None, key: bytes) -> tuple[NeighbourCache, DeviceTable | None]:
        if index is not None:
            return self._place(index, key)
        family = _FAMILY_OF_LENGTH.get(len(key), 0)
        if family not in self.caches:
            raise InvalidAddress(f"ip: {format_ip(key)} is of a family that this table does not serve")
        return self.caches[family], None

    # -- calls: parameters

    def parameters(self, index: int | None, family: int) -> Parameters:
        """A device's parameters, or with None the family's defaults."""
        cache = self.caches[family]
        return cache.parameters if index is None else cache.by_device[index].parms

    def set(self, index: int | None, family: int, changes: Mapping[str, object], now: float) -> None:
        """Change parameters and switches of a device, or with None the family's defaults and what holds
        everywhere ("all"): all of them or none.

        A changed default reaches every device that was not told otherwise.

        Raises:
            ValueError: an unknown name or a value out of range; names the field.
        """
        self._at(now)
        switches = check_switches(family, {k: v for k, v in changes.items() if k in SWITCHES[family]})
        values = check_parameters({k: v for k, v in changes.items() if k not in SWITCHES[family]})
        cache = self.caches[family]
        if index is None:
            self.node.everywhere[family].update(switches)
            cache.parameters.set(values)
            for table in cache.by_device.values():
                table.parms.inherit(values)
        else:
            self.node.devices[index].switches[family].update(switches)
            cache.by_device[index].parms.set(values)

    @property
    def in_hook(self) -> bool:
        """Whether a device's hook is running: no other door may be used meanwhile."""
        return self.services.in_hook
