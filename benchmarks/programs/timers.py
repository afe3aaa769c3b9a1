"""Timers: what arming, cancelling and firing cost with N of them armed, by thread CPU time.

timers.py neighio|heapq N
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from heapq import heapify, heappop, heappush
from time import thread_time_ns

from neighio.core.store import Store
from neighio.core.timers import Timers

SLICE = 256
CANCELLED = 10
"""One of so many is cancelled before it fires."""


def deadlines(n: int) -> list[float]:
    chooser = random.Random(1)
    return [chooser.uniform(15.0, 45.0) for _ in range(n)]


def results(armed: int, cancelled: int, fired: int, n: int, longest: int) -> dict[str, float]:
    each = armed / n + cancelled / (n // CANCELLED) + fired / (n - n // CANCELLED)
    return {"timers": each / 1e9, "timers_longest": longest / 1e9}


def neighio(n: int) -> dict[str, float]:
    store = Store(4)
    store.take_run(n)
    timers = Timers(store, 0, lambda: None)
    arm, cancel = timers.arm, timers.cancel
    whens = deadlines(n)
    longest = 0

    begin = thread_time_ns()
    for row, when in enumerate(whens, 1):
        arm(row, when)
    armed = thread_time_ns() - begin
    begin = thread_time_ns()
    for row in range(1, n + 1, CANCELLED):
        cancel(row)
    cancelled = thread_time_ns() - begin

    fired: list[int] = []
    total = 0
    looked = SLICE
    while looked == SLICE:
        begin = thread_time_ns()
        looked = timers.run(100.0, SLICE, fired.append)
        spent = thread_time_ns() - begin
        total += spent
        longest = max(longest, spent)
    assert len(fired) == n - len(range(0, n, CANCELLED))
    found = results(armed, cancelled, total, n, longest)
    return found | {"timers_stale": stale(n)}


def stale(n: int) -> float:
    """How many places in buckets there are for a timer that is moved ten times, to and fro."""
    store = Store(4)
    store.take_run(n)
    timers = Timers(store, 0, lambda: None)
    chooser = random.Random(2)
    for _ in range(10):
        for row in range(1, n + 1):
            timers.arm(row, chooser.uniform(15.0, 45.0))
    return sum(places(timers)) / n


def places(timers: Timers) -> Iterator[int]:
    """How many rows each bucket names."""
    looked = SLICE
    while looked == SLICE:
        looked = timers.run(100.0, SLICE, lambda row: None)
        yield looked


def by_heap(n: int) -> dict[str, float]:
    """A heap of (when, row); a cancelled one stays until it comes up, or too many are stale: then it is
    rebuilt."""
    whens = deadlines(n)
    heap: list[tuple[float, int]] = []
    valid = [0.0] * (n + 1)
    longest = 0

    begin = thread_time_ns()
    for row, when in enumerate(whens, 1):
        valid[row] = when
        heappush(heap, (when, row))
    armed = thread_time_ns() - begin
    begin = thread_time_ns()
    for row in range(1, n + 1, CANCELLED):
        valid[row] = 0.0
    cancelled = thread_time_ns() - begin
    begin = thread_time_ns()
    heap = [one for one in heap if valid[one[1]] == one[0]]
    heapify(heap)
    longest = thread_time_ns() - begin

    fired: list[int] = []
    begin = thread_time_ns()
    while heap:
        when, row = heappop(heap)
        if valid[row] == when:
            fired.append(row)
    return results(armed, cancelled, thread_time_ns() - begin, n, longest)


if __name__ == "__main__":
    print(json.dumps({"neighio": neighio, "heapq": by_heap}[sys.argv[1]](int(sys.argv[2]))))
