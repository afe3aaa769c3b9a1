"""The flushing of a device: everything goes, or everything that a lost carrier does not spare.

Up to 256 entries it is one step, newest entry first. A larger device only gets a mark: rows that are not
younger than it are as good as gone. Whoever meets one first (:meth:`NeighbourCache.meet`) destroys it before
anything else happens to its key; the slices here meet the rest.
"""

from __future__ import annotations

from typing import Final

from .cache import DeviceTable, NeighbourCache

__all__ = ["begin_flush", "continue_flush", "finish_flush"]

ONE_STEP: Final = 256


def begin_flush(cache: NeighbourCache, table: DeviceTable, *, keep_permanent: bool = False) -> None:
    """Flush a device's entries (neigh_flush_dev).

    ``keep_permanent`` spares PERMANENT and EXT_VALIDATED ones, as the loss of the carrier does.
    """
    if table.flushed_all or table.flushed_dynamic or table.count > ONE_STEP:
        if keep_permanent:
            table.flushed_dynamic = cache.serial
        else:
            table.flushed_all = cache.serial
        table.cursor = table.members.first()
        if table not in cache.flushing:
            cache.flushing.append(table)
        if table.count <= ONE_STEP:
            finish_flush(cache, table)
        return
    for row in table.members:
        if not (keep_permanent and cache.survives_carrier_loss(row)):
            cache.flush_one(row)


def continue_flush(cache: NeighbourCache, budget: int) -> bool:
    """Destroy up to ``budget`` of the rows that flushes under way have doomed; True when more are left."""
    while cache.flushing and budget > 0:
        table = cache.flushing[0]
        budget = _walk(cache, table, budget)
        if table.cursor == table.members.head:
            cache.flushing.pop(0)
            table.flushed_all = table.flushed_dynamic = 0
    return bool(cache.flushing)


def finish_flush(cache: NeighbourCache, table: DeviceTable) -> None:
    """Destroy all that flushes under way have doomed on one device, in one step."""
    if table in cache.flushing:
        while table.cursor != table.members.head:
            _walk(cache, table, ONE_STEP)
        cache.flushing.remove(table)
        table.flushed_all = table.flushed_dynamic = 0


def _walk(cache: NeighbourCache, table: DeviceTable, budget: int) -> int:
    while table.cursor != table.members.head and budget > 0:
        row = table.cursor
        if not cache.meet(row):
            table.cursor = table.members.after(row)
        budget -= 1
    return budget
