"""The neighbours' timers: buckets of 1/256 s, in blocks of four seconds.

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

BLOCK_BITS: Final = 10
"""A block is 1,024 buckets, four seconds."""

_ROW: Final = struct.Struct("=I")


class Timers:
    """The timers of one device's rows.

    The store's ``deadline`` column says when a row is due (infinity: idle), its ``tick`` column which
    bucket is to look at it. A bucket may name rows that moved on; only the column is believed. A later
    deadline is thus written and nothing else: the earlier bucket moves the row when it comes up.
    """

    __slots__ = (
        "_blocks", "_earlier", "_first", "_open", "_open_tick", "_order", "_position", "_slot", "_store",
        "_ticks",
    )  # fmt: skip

    def __init__(self, store: Store, slot: int, earlier: Callable[[], None]) -> None:
        """``slot``: what the ``slot`` column says of this device's rows; ``earlier`` is called when
        :meth:`next_deadline` moves towards the present."""
        self._store = store
        self._slot = slot
        self._earlier = earlier
        # A row alone, or rows of four octets each: unlike a list or an array, neither is anything that the
        # interpreter's collector walks. Nor are a block's buckets; a heap of all their ticks would be.
        self._blocks: dict[int, dict[int, int | bytearray]] = {}
        # A heap of the blocks; the first of them, or -1; a heap of the ticks of its buckets.
        self._order: list[int] = []
        self._first = -1
        self._ticks: list[int] = []
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
        number = tick >> BLOCK_BITS
        block = self._blocks.get(number)
        if block is None:
            self._blocks[number] = {tick: row}
            heappush(self._order, number)
            if self._order[0] == number:
                self._first = number
                self._ticks = [tick]
                self._earlier()
            return
        bucket = block.get(tick)
        if bucket is None:
            block[tick] = row
            if number == self._first:
                heappush(self._ticks, tick)
                if self._ticks[0] == tick:
                    self._earlier()
        elif isinstance(bucket, int):
            block[tick] = bytearray(_ROW.pack(bucket) + _ROW.pack(row))
        else:
            bucket += _ROW.pack(row)

    def cancel(self, row: int) -> None:
        """Have the row not fire. Its bucket finds it idle."""
        self._store.deadline[row] = inf

    def next_deadline(self) -> float:
        """When :meth:`run` next has something to look at, seconds; infinity when never."""
        if self._open is not None:
            return self._open_tick / TICKS_PER_SECOND
        return self._ticks[0] / TICKS_PER_SECOND if self._ticks else inf

    def _next_block(self) -> None:
        """Leave the first block, which is empty."""
        del self._blocks[heappop(self._order)]
        self._first = self._order[0] if self._order else -1
        # What is sorted is a heap.
        self._ticks = sorted(self._blocks[self._first]) if self._order else []

    def run(self, now: float, budget: int, fire: Callable[[int], None]) -> int:
        """Call ``fire(row)`` for what is due, looking at no more than ``budget`` rows.

        Returns how many were looked at; fewer than ``budget`` means that nothing more is due.
        """
        current = int(now * TICKS_PER_SECOND)
        looked = 0
        while looked < budget:
            bucket = self._open
            if bucket is None:
                if not self._ticks or self._ticks[0] > current:
                    break
                self._open_tick = heappop(self._ticks)
                block = self._blocks[self._first]
                rows = block.pop(self._open_tick)
                if not block:
                    self._next_block()
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
