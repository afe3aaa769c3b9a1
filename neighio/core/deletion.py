"""Many entries deleted a few at a time, so that nothing else has to wait."""

from __future__ import annotations

from collections.abc import Iterable

from .admin import delete_neighbour
from .cache import DeviceTable, NeighbourCache
from .constants import NUD_NONE

__all__ = ["Deletion"]


class Deletion:
    """The entries of some devices that are there now, to be deleted as ``ip neigh flush`` does.

    An entry is judged by its state when its turn comes; one made later is left alone, and so is one that a
    lost carrier has spared meanwhile, and what remains of a device that was detached.
    """

    def __init__(
        self, tables: Iterable[tuple[NeighbourCache, DeviceTable]], states: int, *, nothing: bool
    ) -> None:
        """``states``: NUD_* bits; with ``nothing`` NONE, too."""
        self._states = states
        self._nothing = nothing
        self._slots: dict[NeighbourCache, dict[int, DeviceTable]] = {}
        for cache, table in tables:
            self._slots.setdefault(cache, {})[table.slot] = table
        self._newest = {cache: cache.serial for cache in self._slots}
        self._row = 0

    def run(self, budget: int) -> tuple[int, bool]:
        """Look at up to ``budget`` rows. Returns how many entries were deleted, and whether more is left."""
        if not self._slots:
            return 0, False
        cache, slots = next(iter(self._slots.items()))
        store, newest = cache.store, self._newest[cache]
        first, self._row = self._row + 1, min(self._row + budget, store.top - 1)
        count = 0
        for row in range(first, self._row + 1):
            table = slots.get(store.slot[row])
            # Younger ones may be another device's, which has taken the slot of one that was detached.
            if table is None or store.dead[row] or store.serial[row] > newest or cache.meet(row):
                continue
            state = store.nud_state[row]
            if state & self._states or (self._nothing and state == NUD_NONE):
                delete_neighbour(cache, table, store.key_of(row))
                count += 1
        if self._row == store.top - 1:
            del self._slots[cache]
            self._row = 0
        return count, bool(self._slots)
