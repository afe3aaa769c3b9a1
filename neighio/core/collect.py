"""Both garbage collectors: by force, when a creation meets the thresholds, and periodic."""

from __future__ import annotations

from math import inf
from typing import Final

from ..errors import Unreachable
from .cache import SWEPT, NeighbourCache
from .constants import (
    NTF_EXT_LEARNED,
    NTF_EXT_VALIDATED,
    NUD_FAILED,
    NUD_IN_TIMER,
    NUD_NOARP,
    NUD_PERMANENT,
)

__all__ = ["PeriodicGC", "forced_gc"]

CANDIDATES: Final = 768
"""How many entries one forced collection examines at most: when all of them go, under 2 ms. The kernel stops
after a millisecond; the core has no clock."""

YOUNG: Final = 5.0
"""An entry updated within so many seconds is not collected by force."""

REDRAW_INTERVAL: Final = 300.0
"""How often every reachable_time is drawn anew, seconds."""


def forced_gc(cache: NeighbourCache) -> int:
    """Remove unreferenced entries, oldest insertion first; return how many (neigh_forced_gc).

    FAILED, NOARP and multicast ones go at any age, others when last updated more than 5 s ago. It stops
    when gc_thresh2 is reached again; that is tested after each unreferenced entry, so at least one is
    looked at. A collection that ran into its bound leaves ``last_flush`` as it was, and the next one goes
    on where it stopped: the kernel's reaches any garbage, so must ours, be it behind ever so many entries
    in use.
    """
    cache.statistics.forced_gc_runs += 1
    store = cache.store
    now = cache.services.now
    wanted = cache.gc_entries - cache.gc_thresh2
    flushing = bool(cache.flushing)
    removed = 0
    for examined, row in enumerate(cache.gc_list, 1):
        if examined > CANDIDATES:
            cache.gc_list.rotate(row)
            return removed
        if flushing and cache.meet(row):
            removed += 1
        elif store.refcnt[row] == 1:
            state = store.nud_state[row]
            if (
                state in (NUD_FAILED, NUD_NOARP)
                or not now - YOUNG <= store.updated[row] <= now
                or cache.protocol.is_multicast(store.key_of(row))
            ):
                cache.unlink(row, Unreachable)
                removed += 1
            if removed >= wanted:
                break
    cache.last_flush = now
    return removed


class PeriodicGC:
    """The work that runs every base_reachable_time/2 of the family's defaults (neigh_periodic_work).

    One run walks all rows in slices; its place is a row number, which nothing can invalidate.
    """

    __slots__ = ("_cache", "_row", "due")

    def __init__(self, cache: NeighbourCache) -> None:
        self._cache = cache
        self._row = 0
        self.due: float = cache.services.now + cache.parameters.reachable_time

    def next_deadline(self) -> float:
        return -inf if self._row else self.due

    def run(self, budget: int) -> bool:
        """Begin a run that is due, or go on with one, for ``budget`` rows; True when more is due."""
        cache = self._cache
        if not self._row:
            self._begin()
        row = self._row
        if row:
            last = min(row + budget, cache.store.top)
            while row < last:
                self._examine(row)
                row += 1
            self._row = row if row < cache.store.top else 0
        return bool(self._row)

    def _begin(self) -> None:
        cache = self._cache
        now = cache.services.now
        cache.statistics.periodic_gc_runs += 1
        self.due = now + max(cache.parameters.base_reachable_time / 2, 0.004)
        if now > cache.last_rand + REDRAW_INTERVAL:
            cache.last_rand = now
            cache.parameters.draw_reachable_time()
            for table in cache.by_device.values():
                table.parms.draw_reachable_time()
        if cache.entries >= cache.gc_thresh1:
            self._row = 1

    def _examine(self, row: int) -> None:
        cache = self._cache
        store = cache.store
        if store.dead[row] or (cache.flushing and cache.meet(row)) or store.accounted[row] == SWEPT:
            return
        state = store.nud_state[row]
        if state & (NUD_PERMANENT | NUD_IN_TIMER) or store.flags[row] & (NTF_EXT_LEARNED | NTF_EXT_VALIDATED):
            return
        now = cache.services.now
        if store.used[row] < store.confirmed[row] <= now:
            store.used[row] = store.confirmed[row]
        used = store.used[row]
        stale = cache.table_of(row).parms.gc_stale_time
        if store.refcnt[row] == 1 and (state == NUD_FAILED or not used <= now < used + stale):
            cache.unlink(row, Unreachable)
