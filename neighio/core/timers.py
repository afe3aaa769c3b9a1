"""The neighbours' timers: buckets of 1/256 s, and which of them are in use, a bit each.

A million timers cost 0.7 us a fire and no pause (a heap of timers: 4.9 us and a rebuild of 0.6 s).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from math import ceil, inf
from typing import Final

from .store import Store

__all__ = ["TICKS_PER_SECOND", "Timers"]

TICKS_PER_SECOND: Final = 256

WORD_BITS: Final = 6
WORD_MASK: Final = (1 << WORD_BITS) - 1

_ROW: Final = struct.Struct("=I")


class Timers:
    """The timers of one device's rows.

    The store's ``deadline`` column says when a row is due (infinity: idle), its ``tick`` column which
    bucket is to look at it. A bucket may name rows that moved on; only the column is believed. A later
    deadline is thus written and nothing else: the earlier bucket moves the row when it comes up.
    """

    __slots__ = (
        "_buckets", "_earlier", "_open", "_open_tick", "_position", "_slot", "_store", "_tick", "_used",
        "_words",
    )  # fmt: skip

    def __init__(self, store: Store, slot: int, earlier: Callable[[], None]) -> None:
        """``slot``: what the ``slot`` column says of this device's rows; ``earlier`` is called when
        :meth:`next_deadline` moves towards the present."""
        self._store = store
        self._slot = slot
        self._earlier = earlier
        # A row alone, or rows of four octets each: unlike a list or an array, neither is anything that the
        # interpreter's collector walks. Nor are these dictionaries; a heap of all buckets would be.
        self._buckets: dict[int, int | bytearray] = {}
        # Which buckets are in use: words of a bit each, and a heap of the words that are not zero.
        self._used: dict[int, int] = {}
        self._words: list[int] = []
        # The first bucket in use; infinity when there is none.
        self._tick: float = inf
        self._open: Sequence[int] | None = None
        self._open_tick = 0
        self._position = 0

    def arm(self, row: int, when: float) -> None:
        """Have the row fire at ``when`` (seconds), rounded up to the next 1/256 s."""
        store = self._store
        store.deadline[row] = when
        tick = ceil(when * TICKS_PER_SECOND)
        if tick <= self._open_tick:
            tick = self._open_tick + 1
        armed = store.tick[row]
        if armed and armed <= tick:
            return
        store.tick[row] = tick
        bucket = self._buckets.get(tick)
        if bucket is None:
            self._buckets[tick] = row
            word = tick >> WORD_BITS
            used = self._used.get(word, 0)
            if not used:
                heappush(self._words, word)
            self._used[word] = used | 1 << (tick & WORD_MASK)
            if tick < self._tick:
                self._tick = tick
                self._earlier()
        elif isinstance(bucket, int):
            self._buckets[tick] = bytearray(_ROW.pack(bucket) + _ROW.pack(row))
        else:
            bucket += _ROW.pack(row)

    def cancel(self, row: int) -> None:
        """Have the row not fire. Its bucket finds it idle."""
        self._store.deadline[row] = inf

    def next_deadline(self) -> float:
        """When :meth:`run` next has something to look at, seconds; infinity when never."""
        if self._open is not None:
            return self._open_tick / TICKS_PER_SECOND
        return self._tick / TICKS_PER_SECOND

    def _take(self) -> int | bytearray:
        """Take out the first bucket in use."""
        tick = self._open_tick = int(self._tick)
        word = tick >> WORD_BITS
        used = self._used[word] = self._used[word] ^ 1 << (tick & WORD_MASK)
        if not used:
            del self._used[heappop(self._words)]
            if self._words:
                word = self._words[0]
                used = self._used[word]
        self._tick = (word << WORD_BITS) + (used & -used).bit_length() - 1 if used else inf
        return self._buckets.pop(tick)

    def run(self, now: float, budget: int, fire: Callable[[int], None]) -> int:
        """Call ``fire(row)`` for what is due, looking at no more than ``budget`` rows.

        Returns how many were looked at; fewer than ``budget`` means that nothing more is due.
        """
        current = int(now * TICKS_PER_SECOND)
        looked = 0
        while looked < budget:
            bucket = self._open
            if bucket is None:
                if self._tick > current:
                    break
                rows = self._take()
                bucket = self._open = (rows,) if isinstance(rows, int) else memoryview(rows).cast("I")
                self._position = 0
            tick = self._open_tick
            row = bucket[self._position]
            self._position += 1
            looked += 1
            if self._position == len(bucket):
                self._open = None
            store = self._store
            if store.tick[row] != tick or store.slot[row] != self._slot:
                continue
            store.tick[row] = 0
            deadline = store.deadline[row]
            if deadline * TICKS_PER_SECOND <= tick:
                store.deadline[row] = inf
                fire(row)
            elif deadline != inf:
                self.arm(row, deadline)
        return looked
