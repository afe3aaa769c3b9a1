"""The work that keeps managed entries fresh."""

from __future__ import annotations

from .cache import NeighbourCache

__all__ = ["ManagedWork"]


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
