"""The creation of a neighbour, step by step (__neigh_create, neigh_alloc).

1. allocate: count the entry, collect garbage by force near the limits, refuse above them;
2. key; 3. the protocol's constructor; 4. the device's ``neigh_construct``; 5. ``neigh_setup`` of the
parameters; 6. ``confirmed`` goes into the past; 7. grow the hash, refuse a device that went
meanwhile, and give way to an entry that is there already; 8. link it in, and only then it is no longer dead.

A failure at any step undoes the earlier ones. Creation itself is told to nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from ..errors import DeviceGone, NeighioError, TableFull
from .cache import EXEMPT, ON_GC_LIST, SWEPT, DeviceTable, NeighbourCache
from .collect import CANDIDATES, forced_gc
from .constants import NTF_MANAGED, NUD_VALID
from .flush import continue_flush
from .nud import BLACKHOLE

__all__ = ["create", "grow_hash"]

T = TypeVar("T")

FLUSH_PAUSE: Final = 5.0
"""Above gc_thresh2, forced collections are at least this far apart, seconds."""


def create(
    cache: NeighbourCache,
    table: DeviceTable,
    key: bytes,
    *,
    flags: int = 0,
    exempt: bool = False,
    swept: bool = False,
    want_ref: bool = False,
) -> int:
    """Return the row of a new entry, or of the one that has this key already.

    ``flags`` are NTF_* to begin with; ``exempt`` entries (and all on a loopback device) lie outside the
    accounting of the thresholds, ``swept`` ones have an allowance of their own; with ``want_ref`` the
    caller owns a reference.

    Raises:
        TableFull: gc_thresh3 is reached and nothing could be collected, or there is no memory.
        NeighioError: a hook of the device refused; its exception is the cause.
        DeviceGone: the device was detached meanwhile.
    """
    try:
        cache.store.reserve()
    except OSError as error:
        raise TableFull("no memory for another neighbour") from error
    accounted = SWEPT if swept else EXEMPT if exempt or table.device.loopback else ON_GC_LIST
    row = _allocate(cache, table, accounted)
    try:
        key = cache.protocol.construct(row, table, key)
        cache.store.set_key(row, key)
        _run_hooks(cache, table, row)
        _back_date(cache, table, row)
        grow_hash(cache, 0)
        if table.parms.dead:
            raise DeviceGone(f"dev {table.device.name}")
        existing = cache.find(table, key)
    except BaseException:
        _undo(cache, row, accounted)
        raise
    if existing:
        _undo(cache, row, accounted)
        row = existing
    else:
        _link(cache, table, row, key, flags, accounted)
    if want_ref:
        cache.hold(row)
    return row


def _allocate(cache: NeighbourCache, table: DeviceTable, accounted: int) -> int:
    """Count the entry and take memory for it (neigh_alloc): NONE, one reference, dead."""
    if accounted == ON_GC_LIST:
        _make_room(cache)
    store = cache.store
    row = store.take()
    store.slot[row] = table.slot
    table.rows += 1
    store.refcnt[row] = 1
    store.output[row] = BLACKHOLE
    store.used[row] = store.updated[row] = cache.services.now
    cache.statistics.allocs += 1
    cache.entries += 1
    return row


def _make_room(cache: NeighbourCache) -> None:
    """Take a place among the entries that the thresholds count, by force if need be.

    The count is sampled before the collection: freeing one entry lets this creation pass even when
    the table is still above gc_thresh3. What a flush has doomed does not press on the thresholds.
    """
    if cache.flushing and cache.gc_entries >= cache.gc_thresh2:
        continue_flush(cache, CANDIDATES)
    entries = cache.gc_entries
    cache.gc_entries += 1
    pressed = entries >= cache.gc_thresh2 and cache.services.now > cache.last_flush + FLUSH_PAUSE
    if (entries >= cache.gc_thresh3 or pressed) and not forced_gc(cache) and entries >= cache.gc_thresh3:
        cache.gc_entries -= 1
        cache.statistics.table_fulls += 1
        raise TableFull


def _run_hooks(cache: NeighbourCache, table: DeviceTable, row: int) -> None:
    device = table.device
    if device.neigh_construct is not None:
        _call(cache, "neigh_construct", device.neigh_construct, cache.handle(row))
    if device.neigh_setup is not None:
        _call(cache, "neigh_setup", device.neigh_setup, table.parms)


def _call(cache: NeighbourCache, name: str, hook: Callable[[T], None], argument: T) -> None:
    """Run foreign code inside the mutation: nobody may call in meanwhile."""
    cache.services.in_hook = True
    try:
        hook(argument)
    except Exception as error:
        raise NeighioError(f"{name} refused the neighbour") from error
    finally:
        cache.services.in_hook = False


def _back_date(cache: NeighbourCache, table: DeviceTable, row: int) -> None:
    """A new entry proves nothing: it was confirmed too long ago to be believed."""
    cache.store.confirmed[row] = cache.services.now - 2 * table.parms.base_reachable_time


def grow_hash(cache: NeighbourCache, more: int) -> None:
    """Count ``more`` entries, and double the bucket count when the entries outnumber it (neigh_hash_grow).

    The count is the kernel's arithmetic, for the statistics. The mapping itself is 256 dicts a device,
    so that no growth holds the loop: the worst takes 0.4 ms at 10^6 entries.
    """
    cache.entries += more
    while cache.entries > cache.hash_buckets:
        cache.hash_buckets *= 2
        cache.statistics.hash_grows += 1


def _link(
    cache: NeighbourCache, table: DeviceTable, row: int, key: bytes, flags: int, accounted: int
) -> None:
    store = cache.store
    store.flags[row] = flags
    store.accounted[row] = accounted
    if accounted == ON_GC_LIST:
        cache.gc_list.append(row)
    elif accounted == SWEPT:
        cache.swept += 1
    if flags & NTF_MANAGED:
        cache.managed_list.append(row)
    table.shards[hash(key) & 0xFF][key] = row
    table.members.prepend(row)
    table.count += 1
    cache.serial += 1
    store.serial[row] = cache.serial
    nud = cache.nud
    store.output[row] = nud.fast(row) if store.nud_state[row] & NUD_VALID else nud.slow(row)
    store.dead[row] = 0


def _undo(cache: NeighbourCache, row: int, accounted: int) -> None:
    """Throw an unfinished entry away: it was never in the table."""
    if accounted == ON_GC_LIST:
        cache.gc_entries -= 1
    cache.store.refcnt[row] = 0
    cache.free(row)
