"""What a sweep asks, many addresses at a time."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import islice
from math import inf
from typing import Final

from ..errors import TableFull
from .cache import SWEPT, DeviceTable, NeighbourCache
from .constants import NUD_INCOMPLETE, RTN_UNICAST
from .create import create, grow_hash
from .nud import RESOLVE
from .store import KEY_WIDTH

__all__ = ["Targets"]

MANY: Final = 8
"""From so many new addresses on, entries are made all at once."""

_OWN: Final = {(2, False), (3, True)}
"""References to an entry that only its table, a sweep and perhaps a timer hold, and whether that runs."""


class Targets:
    """The addresses that one sweep has asked for, with a reference to the entry of each, and who answered.

    Attributes:
        answers: (address, link-layer address, seconds) of each answer, in order, until somebody takes them.
    """

    __slots__ = ("_cache", "_rows", "_table", "answers")

    def __init__(self, cache: NeighbourCache, table: DeviceTable) -> None:
        self._cache = cache
        self._table = table
        self._rows: dict[bytes, int] = {}
        self.answers: list[tuple[bytes, bytes, float]] = []
        table.targets.append(self)

    def __len__(self) -> int:
        return len(self._rows)

    def ask(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return one solicitation for each address; those without an entry get one.

        Raises:
            TableFull, NeighioError: an address could not get an entry. Those before it have one.
        """
        rows, dead = self._rows, self._cache.store.dead
        new = [key for key in keys if (row := rows.get(key)) is None or dead[row]]
        if new:
            self._hold(new)
        return self._cache.protocol.solicitations(self._table, keys)

    def _hold(self, keys: list[bytes]) -> None:
        """Have references to entries of these addresses."""
        cache, table, rows = self._cache, self._table, self._rows
        absent = []
        for key in keys:
            if key in rows:
                # The device was flushed meanwhile: of its carrier, or its own address.
                cache.release(rows.pop(key))
            row = cache.find(table, key)
            if row:
                cache.hold(row)
                rows[key] = row
            else:
                absent.append(key)
        if len(absent) >= MANY and table.is_plain and not cache.store.has_free:
            rows.update(zip(absent, _create_run(cache, table, absent), strict=True))
            return
        for key in absent:
            row = create(cache, table, key, swept=True, want_ref=True)
            cache.store.untold[row] = not cache.store.nud_state[row]
            rows[key] = row

    def hear(self, key: bytes, lladdr: bytes) -> None:
        """An address answered; if it is one of these, note it."""
        if key in self._rows:
            self.answers.append((key, lladdr, self._cache.services.now))

    def give_back(self, budget: int, *, keep: bool) -> bool:
        """Give up to ``budget`` references back, newest first; True when there are more. An entry that the
        sweep made goes with it, if nobody else holds it; with ``keep`` one that is worth it is counted from
        now on as any other, while there is room below gc_thresh2."""
        cache, rows = self._cache, self._rows
        store = cache.store
        if not keep and len(rows) >= MANY and self._table.targets == [self]:
            run = list(islice(reversed(rows.items()), budget))
            if _destroy_run(cache, self._table, run):
                for key, _ in run:
                    del rows[key]
                return self._end_if_empty()
        others = [targets for targets in self._table.targets if targets is not self]
        for _ in range(min(budget, len(rows))):
            key, row = rows.popitem()
            dead = store.dead[row]
            kept = keep and not store.untold[row]
            cache.release(row)
            if not dead and (kept or not any(key in other._rows for other in others)):
                cache.end_sweep(row, keep=kept)
        return self._end_if_empty()

    def _end_if_empty(self) -> bool:
        """End with the last reference; True when there are more."""
        if not self._rows and self in self._table.targets:
            self._table.targets.remove(self)
        return bool(self._rows)


def _create_run(cache: NeighbourCache, table: DeviceTable, keys: list[bytes]) -> range:
    """Make entries for addresses that have none and are special in no way: what :func:`create` does with
    each, column by column. They are in NONE, a sweep's, untold, with a reference for the caller."""
    store = cache.store
    count = len(keys)
    try:
        first = store.take_run(count)
    except OSError as error:
        raise TableFull("no memory for more neighbours") from error
    last = first + count
    now = cache.services.now
    serial = cache.serial
    cache.serial += count
    pad = bytes(KEY_WIDTH - len(keys[0]))
    store.key[first * KEY_WIDTH : last * KEY_WIDTH] = memoryview(b"".join([key + pad for key in keys]))
    for column, code, value in (
        (store.slot, "H", table.slot),
        (store.type, "B", RTN_UNICAST),
        (store.output, "B", RESOLVE),
        (store.accounted, "B", SWEPT),
        (store.untold, "B", 1),
        (store.dead, "B", 0),
        (store.refcnt, "I", 2),
    ):
        column[first:last] = memoryview(array(code, (value,)) * count)
    confirmed = now - 2 * table.parms.base_reachable_time
    for stamps, when in ((store.used, now), (store.updated, now), (store.confirmed, confirmed)):
        stamps[first:last] = memoryview(array("d", (when,)) * count)
    store.serial[first:last] = memoryview(array("Q", range(serial + 1, serial + count + 1)))
    table.members.prepend_run(first, count)
    shards = table.shards
    for row, key in enumerate(keys, first):
        shards[hash(key) & 0xFF][key] = row
    table.rows += count
    table.count += count
    cache.swept += count
    cache.statistics.allocs += count
    grow_hash(cache, count)
    return range(first, last)


def _destroy_run(cache: NeighbourCache, table: DeviceTable, run: list[tuple[bytes, int]]) -> bool:
    """Destroy entries that :func:`_create_run` made, newest first, when nobody else holds or watches them, or
    is to be told: what releasing and unlinking each does, column by column. Returns whether it was possible.
    """
    store = cache.store
    services = cache.services
    count = len(run)
    first, last = run[-1][1], run[0][1] + 1
    if [row for _, row in run] != list(range(last - 1, first - 1, -1)):
        return False
    if (
        services.telling
        or services.tracing
        or first <= table.cursor < last
        or not cache.queues.keys().isdisjoint(range(first, last))
        or any(store.watched[first:last])
        or any(store.flags[first:last])
        or any(state & NUD_INCOMPLETE for state in set(store.nud_state[first:last]))
        or store.accounted[first:last] != memoryview(bytes((SWEPT,)) * count)
        or not _OWN.issuperset(
            zip(store.refcnt[first:last], map(inf.__ne__, store.deadline[first:last]), strict=True)
        )
        or not table.members.remove_run(first, count)
    ):
        return False
    shards = table.shards
    for key, _ in run:
        del shards[hash(key) & 0xFF][key]
    table.count -= count
    table.rows -= count
    cache.swept -= count
    cache.entries -= count
    cache.statistics.destroys += count
    store.give_back_run(first, count)
    return True
