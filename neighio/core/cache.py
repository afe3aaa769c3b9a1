"""One family's neighbour cache (struct neigh_table): look-up, references, lists, notifications.

Creation is in :mod:`.create`, both garbage collectors in :mod:`.collect`, the flushing of a device in
:mod:`.flush`, the state machine in :mod:`.nud`, administration in :mod:`.admin`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from math import inf
from typing import TYPE_CHECKING, Final, TypeAlias

from .._logger import get_logger
from ..address import LinkAddress, format_ip
from ..errors import DeviceGone, PacketDropped, Unreachable
from .constants import (
    KEY_LEN,
    NTF_EXT_LEARNED,
    NTF_EXT_VALIDATED,
    NTF_MANAGED,
    NUD_INCOMPLETE,
    NUD_PERMANENT,
    NUD_VALID,
)
from .events import Change, DelNeighbour, Miss, NewNeighbour, Output, PacketFailed, Settled, Verified
from .latency import Latency
from .neighbour import Neighbour
from .nud import Nud
from .parameters import Parameters
from .queue import QUEUE_PURGE, Packet, ResolutionQueue
from .store import RowList, Store
from .timers import Timers

if TYPE_CHECKING:
    from .claims import Claims
    from .device import Device
    from .listener import Listener
    from .protocol import NeighbourProtocol
    from .proxy import ProxyEntry, ProxyQueue
    from .targets import Targets

__all__ = ["DeviceTable", "NeighbourCache", "Services", "Statistics"]

logger: Final = get_logger("core")

SHARDS: Final = 256
INITIAL_BUCKETS: Final = 8

EXEMPT: Final = 0
ON_GC_LIST: Final = 1
SWEPT: Final = 2

Picture: TypeAlias = "tuple[int, LinkAddress | None, int]"
"""State, valid link-layer address, flags."""


class Services:
    """What the engine lends to its caches. ``now`` is the time of the stimulus at work, seconds."""

    __slots__ = (
        "atomic_notifications",
        "claims",
        "floor",
        "in_hook",
        "listener",
        "listening",
        "now",
        "outputs",
        "probed",
        "random",
        "rearmed",
        "telling",
        "tracing",
    )

    claims: Claims
    listener: Listener

    def __init__(self, source: random.Random, floor: Callable[[float], float], now: float) -> None:
        self.now: float = now
        self.random: random.Random = source
        self.floor: Callable[[float], float] = floor
        self.outputs: list[Output] = []
        self.rearmed: set[tuple[str, int]] = set()
        self.probed: dict[tuple[int, bytes], int] = {}
        # The devices whose packets somebody above asked for.
        self.listening: set[int] = set()
        # Whether anybody listens to notifications.
        self.telling: bool = True
        self.tracing: bool = False
        self.in_hook: bool = False
        self.atomic_notifications: bool = False


class Statistics:
    """The counters of /proc/net/stat/{arp,ndisc}_cache, and ``destroy_refused``: the destructions of
    live entries that were asked for and refused."""

    __slots__ = (
        "allocs",
        "destroy_refused",
        "destroys",
        "forced_gc_runs",
        "hash_grows",
        "hits",
        "lookups",
        "periodic_gc_runs",
        "rcv_probes_mcast",
        "rcv_probes_ucast",
        "res_failed",
        "table_fulls",
        "unres_discards",
    )

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)

    allocs: int
    destroy_refused: int
    destroys: int
    forced_gc_runs: int
    hash_grows: int
    hits: int
    lookups: int
    periodic_gc_runs: int
    rcv_probes_mcast: int
    rcv_probes_ucast: int
    res_failed: int
    table_fulls: int
    unres_discards: int


class DeviceTable:
    """One device's part of a cache: its hash, its list of entries (newest first), timers, parameters."""

    __slots__ = (
        "closed",
        "count",
        "cursor",
        "device",
        "flushed_all",
        "flushed_dynamic",
        "members",
        "parms",
        "qlen",
        "rows",
        "shards",
        "slot",
        "targets",
        "timers",
    )

    def __init__(self, cache: NeighbourCache, device: Device, slot: int) -> None:
        store = cache.store
        self.device: Device = device
        self.slot: int = slot
        self.parms: Parameters = Parameters(cache.family, cache.services.random, cache.parameters)
        self.shards: list[dict[bytes, int]] = [{} for _ in range(SHARDS)]
        self.timers: Timers = Timers(
            store, slot, lambda: cache.services.rearmed.add(("device", device.index))
        )
        store.reserve()
        self.members: RowList = RowList(store, "dev", store.take())
        self.count: int = 0
        self.rows: int = 0
        # The sweeps under way.
        self.targets: list[Targets] = []
        # How many messages wait in the proxy's queue.
        self.qlen: int = 0
        self.closed: bool = False
        # What a flush that is still under way has doomed: rows up to these serials (see flush.py).
        self.flushed_all: int = 0
        self.flushed_dynamic: int = 0
        self.cursor: int = self.members.head

    @property
    def is_plain(self) -> bool:
        """Whether a unicast address is special in no way on this device."""
        device = self.device
        special = device.noarp or device.loopback or device.point_to_point or not device.header
        return not (special or device.neigh_construct or device.neigh_setup or self.parms.dead)


class NeighbourCache:
    """All neighbours of one family, with the kernel's thresholds, counters and lists.

    Rows are the currency inside the core; :class:`Neighbour` handles are what leaves it.
    """

    def __init__(self, family: int, services: Services) -> None:
        self.family = family
        self.services = services
        self.outputs: list[Output] = services.outputs
        self.parameters: Parameters = Parameters(family, services.random)
        self.store: Store = Store(KEY_LEN[family])
        self.statistics: Statistics = Statistics()
        self.latency: Latency = Latency()
        self.gc_thresh1 = 128
        self.gc_thresh2 = 512
        self.gc_thresh3 = 1024
        self.entries: int = 0
        self.gc_entries: int = 0
        self.swept: int = 0
        self.hash_buckets = INITIAL_BUCKETS
        self.last_flush: float = services.now
        self.last_rand: float = services.now + 20 * self.parameters.reachable_time
        self.gc_list: RowList = RowList(self.store, "gc")
        self.managed_list: RowList = RowList(self.store, "managed")
        self.tables: list[DeviceTable | None] = []
        self.by_device: dict[int, DeviceTable] = {}
        self.flushing: list[DeviceTable] = []
        self.queues: dict[int, ResolutionQueue] = {}
        self.proxies: dict[tuple[bytes, int], ProxyEntry] = {}
        self.serial: int = 0
        self.nud: Nud = Nud(self)

    protocol: NeighbourProtocol
    proxy_queue: ProxyQueue

    # -- devices

    def attach(self, device: Device) -> DeviceTable:
        """Make room for a device's neighbours, with the family's present defaults as parameters."""
        try:
            slot = self.tables.index(None)
        except ValueError:
            slot = len(self.tables)
            self.tables.append(None)
        table = DeviceTable(self, device, slot)
        self.tables[slot] = table
        self.by_device[device.index] = table
        return table

    def detach(self, table: DeviceTable) -> None:
        """Forget a device whose entries were flushed; entries still held keep its slot until released."""
        del self.by_device[table.device.index]
        table.parms.dead = True
        table.closed = True
        self._reclaim(table)

    def _reclaim(self, table: DeviceTable) -> None:
        """Forget a closed device's part with its last row."""
        if not table.rows:
            table.members.close()
            self.store.give_back(table.members.head)
            self.tables[table.slot] = None

    def table_of(self, row: int) -> DeviceTable:
        """The device's part to which a row belongs."""
        table = self.tables[self.store.slot[row]]
        assert table is not None  # a slot is free only when no row names it
        return table

    # -- look-up

    def find(self, table: DeviceTable, key: bytes) -> int:
        """The live row of a key, or 0. What a flush has doomed goes before it can be found."""
        row = table.shards[hash(key) & 0xFF].get(key, 0)
        if row and table.flushed_all | table.flushed_dynamic and self.meet(row):
            return 0
        return row

    def lookup(self, table: DeviceTable, key: bytes) -> int:
        """As :meth:`find`, counted as the control path counts (neigh_lookup)."""
        statistics = self.statistics
        statistics.lookups += 1
        row = table.shards[hash(key) & 0xFF].get(key, 0)
        if not row or (table.flushed_all | table.flushed_dynamic and self.meet(row)):
            return 0
        statistics.hits += 1
        return row

    def meet(self, row: int) -> bool:
        """Destroy the row if a flush has doomed it, and say whether it was."""
        table = self.table_of(row)
        if not (table.flushed_all | table.flushed_dynamic) or self.store.dead[row]:
            return False
        serial = self.store.serial[row]
        if serial > table.flushed_all:
            if serial > table.flushed_dynamic:
                return False
            if self.survives_carrier_loss(row):
                # It has been judged: what becomes of it later is no business of that flush.
                self.serial += 1
                self.store.serial[row] = self.serial
                return False
        self.flush_one(row)
        return True

    def survives_carrier_loss(self, row: int) -> bool:
        """PERMANENT and EXT_VALIDATED entries stay when the carrier goes."""
        store = self.store
        return bool(store.nud_state[row] & NUD_PERMANENT or store.flags[row] & NTF_EXT_VALIDATED)

    def rows(self) -> Iterator[int]:
        """The live rows, in no particular order; any entry may come or go between two steps."""
        row = 0
        while (row := row + 1) < self.store.top:
            if not self.store.dead[row] and not self.doomed(row):
                yield row

    def doomed(self, row: int) -> bool:
        """Whether a flush under way will destroy the row."""
        table = self.table_of(row)
        serial = self.store.serial[row]
        return serial <= table.flushed_all or (
            serial <= table.flushed_dynamic and not self.survives_carrier_loss(row)
        )

    def handle(self, row: int) -> Neighbour:
        return Neighbour(self, row)

    def lladdr(self, row: int) -> LinkAddress:
        """The stored link-layer address, whether the state makes it valid or not."""
        device = self.table_of(row).device
        return bytes.__new__(LinkAddress, self.store.lladdr_of(row, device.addr_len))

    # -- references

    def hold(self, row: int) -> None:
        self.store.refcnt[row] += 1

    def release(self, row: int) -> None:
        """Drop a reference; the last one of a dead entry destroys it (neigh_release)."""
        self.store.refcnt[row] -= 1
        if not self.store.refcnt[row]:
            self._destroy(row)

    def _destroy(self, row: int) -> None:
        store = self.store
        if not store.dead[row]:
            # The kernel leaks such an entry; here the table keeps its own reference instead.
            self.statistics.destroy_refused += 1
            logger.error("destroying alive neighbour %s: refused", format_ip(store.key_of(row)))
            store.refcnt[row] = 1
            return
        if row in self.queues:
            self.purge_queue(row, PacketDropped)
        self.free(row)

    def free(self, row: int) -> None:
        """Give the memory of a dead entry back (the end of neigh_destroy)."""
        table = self.table_of(row)
        self.statistics.destroys += 1
        self.entries -= 1
        self.store.give_back(row)
        table.rows -= 1
        if table.closed:
            self._reclaim(table)

    # -- lists

    def is_exempt(self, row: int) -> bool:
        """Whether neither collector may look at the entry, by its state and flags."""
        store = self.store
        return bool(
            store.nud_state[row] & NUD_PERMANENT or store.flags[row] & (NTF_EXT_LEARNED | NTF_EXT_VALIDATED)
        )

    def update_gc_list(self, row: int) -> None:
        """Enter the gc_list at its tail, or leave it, as state and flags now say (neigh_update_gc_list)."""
        accounted = self.store.accounted[row]
        if accounted == SWEPT:
            return
        exempt = self.is_exempt(row)
        if exempt and accounted == ON_GC_LIST:
            self._leave_gc_list(row)
        elif not exempt and accounted == EXEMPT:
            self.enter_gc_list(row)

    def enter_gc_list(self, row: int) -> None:
        self.gc_list.append(row)
        self.store.accounted[row] = ON_GC_LIST
        self.gc_entries += 1

    def _leave_gc_list(self, row: int) -> None:
        self.gc_list.remove(row)
        self.store.accounted[row] = EXEMPT
        self.gc_entries -= 1

    def end_sweep(self, row: int, *, keep: bool) -> None:
        """An entry that a sweep made goes if nobody holds it. With ``keep``, or held, it is counted as any
        other from now on; ``keep`` holds while there is room below gc_thresh2."""
        if self.store.accounted[row] != SWEPT:
            return
        timer = 1 if self.store.deadline[row] != inf else 0
        held = self.store.refcnt[row] > 1 + timer
        if not held and not (keep and self.gc_entries < self.gc_thresh2):
            self.nud.stop_timer(row)
            self.unlink(row, Unreachable)
            return
        self.swept -= 1
        self.store.accounted[row] = EXEMPT
        if not self.is_exempt(row):
            self.enter_gc_list(row)

    def update_managed_list(self, row: int) -> None:
        """NTF_MANAGED was turned over: enter the managed list, or leave it (neigh_update_managed_list)."""
        if self.store.flags[row] & NTF_MANAGED:
            self.managed_list.append(row)
        else:
            self.managed_list.remove(row)

    # -- leaving the table

    def unlink(self, row: int, reason: type[Unreachable] | type[DeviceGone]) -> None:
        """Take an entry out of the table, tell of it, and drop the table's reference.

        ``reason`` is what its waiters get. One that goes because its device does (DeviceGone) and is
        still referenced elsewhere loses its queue and its output; its memory goes with the last
        reference (neigh_mark_dead, neigh_cleanup_and_release). An untold one, which only a solicitation
        outside the machine made and nobody answered, goes as silently as it came: a sweep would otherwise
        tell of as many deletions as it has addresses. Linux has no such entries.
        """
        store = self.store
        table = self.tables[store.slot[row]]
        assert table is not None
        store.dead[row] = 1
        untold = store.untold[row]
        accounted = store.accounted[row]
        if accounted == ON_GC_LIST:
            self._leave_gc_list(row)
        elif accounted == SWEPT:
            self.swept -= 1
            store.accounted[row] = EXEMPT
        if store.flags[row] & NTF_MANAGED:
            self.managed_list.remove(row)
        key = store.key_of(row)
        del table.shards[hash(key) & 0xFF][key]
        if table.cursor == row:
            table.cursor = table.members.after(row)
        table.members.remove(row)
        table.count -= 1
        if store.nud_state[row] & NUD_INCOMPLETE:
            self.settle(row, reason)
        if store.watched[row]:
            self.unwatch(row, reason)
        alone = store.refcnt[row] == 1
        if not alone and reason is DeviceGone:
            self.purge_queue(row, DeviceGone)
            self.nud.blackhole(row)
        if not untold:
            self.notify(DelNeighbour, row)
        if alone and row in self.queues:
            self.purge_queue(row, DeviceGone if reason is DeviceGone else PacketDropped)
        self.release(row)

    def flush_one(self, row: int) -> None:
        """Destroy an entry because its device was flushed (neigh_flush_one)."""
        self.nud.stop_timer(row)
        self.unlink(row, DeviceGone)

    def purge_queue(self, row: int, error: type[PacketDropped] | type[DeviceGone]) -> None:
        """Drop what waits for the entry without an error report to the senders."""
        queue = self.queues.pop(row, None)
        if queue is not None:
            for packet in queue.packets:
                self.packet_failed(row, packet, error, QUEUE_PURGE)

    # -- outputs

    def packet_failed(
        self,
        row: int,
        packet: Packet,
        error: type[Unreachable] | type[PacketDropped] | type[DeviceGone],
        reason: str,
        *,
        reported: bool = False,
    ) -> None:
        """A packet was dropped for ``reason``, which is counted; ``reported`` to its sender or not."""
        device = self.table_of(row).device
        device.count_drop(reason)
        if packet.given:
            key = self.store.key_of(row)
            self.outputs.append(
                PacketFailed(self.services.now, self.family, key, device.name, packet, error, reported)
            )

    def notify(self, kind: type[NewNeighbour] | type[DelNeighbour] | type[Miss], row: int) -> None:
        """Emit a snapshot of the entry as it is at this moment, if anybody listens."""
        if self.services.telling:
            self.outputs.append(self.snapshot(kind, row))

    def snapshot(
        self, kind: type[NewNeighbour] | type[DelNeighbour] | type[Miss], row: int
    ) -> NewNeighbour | DelNeighbour | Miss:
        """Return the entry as it is at this moment (neigh_fill_info)."""
        store = self.store
        state = store.nud_state[row]
        return kind(
            self.services.now,
            self.family,
            store.key_of(row),
            self.table_of(row).device.name,
            self.lladdr(row) if state & NUD_VALID else None,
            state,
            store.flags[row],
            store.type[row],
            store.probes[row],
            store.confirmed[row],
            store.used[row],
            store.updated[row],
            store.refcnt[row] - 1,
            store.protocol[row],
            row,
        )

    def trace(self, row: int, stimulus: str, before: Picture | None, *, notified: bool) -> None:
        """Emit what changed since ``before`` (from :meth:`picture`), if anything did."""
        if before is None:
            return
        after = self.picture(row)
        if after is not None and after != before:
            self.outputs.append(
                Change(
                    self.services.now,
                    self.family,
                    self.store.key_of(row),
                    self.table_of(row).device.name,
                    stimulus,
                    before[0],
                    after[0],
                    before[1],
                    after[1],
                    before[2],
                    after[2],
                    notified,
                    row,
                )
            )

    def picture(self, row: int) -> Picture | None:
        """State, valid link-layer address and flags: what a trace compares; None while nobody traces."""
        if not self.services.tracing:
            return None
        state = self.store.nud_state[row]
        return state, self.lladdr(row) if state & NUD_VALID else None, self.store.flags[row]

    def settle(self, row: int, outcome: LinkAddress | type[Unreachable] | type[DeviceGone]) -> None:
        """The entry leaves INCOMPLETE: whoever waits for an address gets this."""
        self.latency.end(row, self.services.now, resolved=isinstance(outcome, LinkAddress))
        self.outputs.append(Settled(Neighbour(self, row), outcome))

    def watch(self, row: int) -> None:
        """Have the next proof of reachability, or its impossibility, emitted as :class:`Verified`."""
        self.store.watched[row] = 1

    def unwatch(self, row: int, outcome: LinkAddress | type[Unreachable] | type[DeviceGone] | None) -> None:
        if self.store.watched[row]:
            self.store.watched[row] = 0
            self.outputs.append(Verified(Neighbour(self, row), outcome))
