"""The engine: the core's four doors.

``receive``; the calls; ``next_deadline``; ``handle_timers``. Each takes ``now``, seconds of the caller's
clock, and leaves what it wants done in :meth:`Engine.take_outputs`. Whoever drives it only sleeps until a
scope's deadline: the trio shell and the simulation do.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import inf
from typing import Final

from ..address import format_ip
from ..errors import InvalidAddress
from ..wire.ethernet import DROP_ETHERNET_TRUNCATED, DROP_VLAN_TAGGED, ETH_HLEN
from .admin import delete_neighbour, new_neighbour
from .base import FAMILY_OF_LENGTH, Scope, device_scope, family_scope
from .cache import DeviceTable, NeighbourCache
from .calls import BUDGET, NeighbourCalls
from .constants import AF_INET6, NUD_NONE, NUD_PERMANENT
from .deletion import Deletion
from .flush import continue_flush
from .hits import Hits
from .parameters import Parameters, check_parameters
from .stimuli import DeviceStimuli
from .switches import SWITCHES, check_switches
from .upper import deliver_ipv4

__all__ = ["BUDGET", "Engine", "Scope", "device_scope", "family_scope"]

DROP_ETHERTYPE: Final = "ethertype"

_IPV4: Final = b"\x08\x00"
_VLAN_TYPES: Final = (b"\x81\x00", b"\x88\xa8")


class Engine(DeviceStimuli, NeighbourCalls):
    """The neighbour subsystem of one node, without a clock, a socket or a loop.

    Args:
        now: the present, seconds; every later ``now`` is at least this.
        random: where reachable_time is drawn from; a fresh one when not given.
        families: address families, AF_INET and AF_INET6.
        ticks_per_second: when given, ``now`` and every deadline are rounded down to such ticks, as the
            kernel's jiffies do.
        atomic_notifications: have a notification say how the entry is before the packets and the probe
            that go with it leave, as Linux does since 7.0; by default it says how it is afterwards.
    """

    # -- the door of frames

    def receive(self, index: int, frame: bytes, now: float, *, partial_checksum: bool = False) -> None:
        """Take in one Ethernet frame that a device received. Never raises for what the frame holds.

        ``partial_checksum`` says that the frame never left this machine and that its transport checksum is
        to be taken as right.
        """
        self._at(now)
        device = self.devices[index]
        receiver = self._receivers.get(frame[12:14])
        if receiver is not None:
            reason = receiver.receive(
                receiver.cache.by_device[index], frame, partial_checksum=partial_checksum
            )
        elif frame[12:14] == _IPV4 and device.answers:
            reason = deliver_ipv4(self.services, device, frame)
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
            return min(
                self._gc[number].next_deadline(),
                self._managed[number].due,
                self.caches[number].proxy_queue.next_deadline(),
            )
        deadline = inf
        for cache in self.caches.values():
            table = cache.by_device.get(number)
            if table is not None and (due := table.timers.next_deadline()) < deadline:
                deadline = due
        if self.claims.busy:
            deadline = min(deadline, self.claims.next_deadline(number))
        reports = self.listener.next_deadline(number)
        return reports if reports < deadline else deadline

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
        cache.proxy_queue.run()
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
        device = self.devices.get(index)
        if device is not None:
            if self.claims.busy:
                self.claims.run(index)
            if device.answers:
                self.listener.run(device)
        for cache in self.caches.values():
            table = cache.by_device.get(index)
            if table is not None and table.timers.next_deadline() <= now:
                budget -= table.timers.run(now, budget, cache.nud.timer)
                if budget <= 0:
                    return True
        return False

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

    def deletion(self, indices: Iterable[int], states: int, *, nothing: bool) -> Deletion:
        """What :meth:`delete_neighbours` does at once, for :meth:`continue_deletion` to do by and by."""
        tables = [pair for index in indices for pair in self._tables(index)]
        return Deletion(tables, states, nothing=nothing)

    def continue_deletion(self, deletion: Deletion, now: float, budget: int = BUDGET) -> tuple[int, bool]:
        """Look at up to ``budget`` rows. Returns how many entries were deleted, and whether more is left."""
        self._at(now)
        return deletion.run(budget)

    def _admin_place(self, index: int | None, key: bytes) -> tuple[NeighbourCache, DeviceTable | None]:
        if index is not None:
            return self._place(index, key)
        family = FAMILY_OF_LENGTH.get(len(key), 0)
        if family not in self.caches:
            raise InvalidAddress(f"ip: {format_ip(key)} is of a family that this table does not serve")
        return self.caches[family], None

    def hits(self, index: int, clock: Callable[[], float]) -> Hits | None:
        """The short way to the entries of an attached device; None where all share one, or it is down."""
        device = self.devices[index]
        if device.loopback or device.point_to_point or not device.up:
            return None
        return Hits(device, self._tables(index), clock)

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
        values = check_parameters(
            {k: v for k, v in changes.items() if k not in SWITCHES[family]}, SWITCHES[family]
        )
        cache = self.caches[family]
        disabled = self._disabled() if "disable_ipv6" in switches else builtins.set()
        if index is None:
            for node in (self.node, self.host):
                node.set_everywhere(family, switches)
            cache.parameters.set(values)
            for table in cache.by_device.values():
                table.parms.inherit(values)
        else:
            device = self.devices[index]
            device.node.set_here(device, family, switches)
            cache.by_device[index].parms.set(values)
        if "disable_ipv6" in switches:
            for disabled_now in self._disabled() - disabled:
                self._disable_ipv6(self.devices[disabled_now])
        if family == AF_INET6 and "forwarding" in switches:
            for device in self.devices.values():
                self._follow_forwarding(device)

    def _disabled(self) -> builtins.set[int]:
        """The devices that have IPv6 disabled."""
        return {index for index, device in self.devices.items() if device.switches[AF_INET6]["disable_ipv6"]}
