"""One table with many entries, no network: what entries cost when there are many of them.

big.py N WHAT..., where WHAT is some of

    insertion    making an entry with an address and a timer; the mean, and the longest
    dict         the longest insertion into a single dict, which grows in one step
    memory       resident octets an entry
    collector    what the entries add to gc.collect(); they are gone afterwards
    lookup       table.lookup of a random address by its packed octets, and a dict's in its place
    timers       a timer that fires (REACHABLE becomes STALE), in slices of 256; the mean, the longest slice
    dump         an entry shown to a new subscriber, in steps of 256; the mean, and the longest step
    periodic     the periodic collection of a table of which nothing is to go; of one that all goes
    forced       the longest creation that has to collect by force
    down         the device is set down; the mean for an entry, and the longest slice
    flush        ``ip neigh flush``, in one call
    gradually    the same, by and by

All by the CPU time of the thread. gc_thresh1 to 3 are 2n, 3n, 4n, but for the collections' sake gc_thresh1
is 0 and gc_thresh2 is n/2.
"""

from __future__ import annotations

import gc
import json
import os
import random
import sys
from array import array
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path
from time import thread_time_ns
from typing import TypeVar

import trio

import neighio
from neighio.core.constants import (
    AF_INET,
    NLM_F_CREATE,
    NUD_NOARP,
    NUD_PERMANENT,
    NUD_REACHABLE,
    NUD_STALE,
)
from neighio.core.engine import Engine, device_scope, family_scope
from neighio.publication import Subscription
from neighio.testing import Segment

T = TypeVar("T")

LLADDR = bytes.fromhex("02000000000b")
SAMPLE = 200_000
MAKING = 50
"""Seconds over which the entries of a large table are made."""


class Collector:
    """The CPU time that the interpreter's own collections have taken, nanoseconds: a row of its own."""

    def __init__(self) -> None:
        self.spent = self._begin = 0
        gc.callbacks.append(self._tell)

    def _tell(self, phase: str, _: object) -> None:
        if phase == "start":
            self._begin = thread_time_ns()
        else:
            self.spent += thread_time_ns() - self._begin


COLLECTOR = Collector()


class Stopwatch:
    """Adds up the CPU time of steps, and remembers the longest: nanoseconds, without the collector's."""

    def __init__(self) -> None:
        self.total = self.longest = 0

    def time(self, step: Callable[[], T]) -> T:
        begin = thread_time_ns() - COLLECTOR.spent
        result = step()
        spent = thread_time_ns() - COLLECTOR.spent - begin
        self.total += spent
        self.longest = max(self.longest, spent)
        return result


def key_of(number: int) -> bytes:
    """Never sent anywhere: 10^6 IPv4 addresses do not fit into the networks that are set aside for tests."""
    return (0x0A000000 + number).to_bytes(4, "big")


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Big:
    """A table on a segment in memory, and what is measured on it; ``figures`` is what came of it."""

    def __init__(self, table: neighio.NeighbourTable, n: int, wanted: set[str]) -> None:
        self.table = table
        self.engine: Engine = table._driver.engine
        self.index = table.devices["va"].index
        self.cache = self.engine.caches[AF_INET]
        self.n = n
        self.wanted = wanted
        self.now = self.engine.services.now
        self.figures: dict[str, float] = {}
        self.bare = 0
        self.cache.gc_thresh1, self.cache.gc_thresh2, self.cache.gc_thresh3 = (
            2 * self.n,
            3 * self.n,
            4 * self.n,
        )

    def fill(self, state: int) -> None:
        """Have n entries, each made a little later than the one before."""
        watch = Stopwatch()
        make, index, step = self.engine.new_neighbour, self.index, MAKING / self.n
        numbers = array("I", random.Random(2).sample(range(self.n), self.n))
        before = resident()
        for number in numbers:
            key = key_of(number)
            self.now += step
            now = self.now
            watch.time(
                lambda: make(index, key, now, lladdr=LLADDR, state=state, nlm_flags=NLM_F_CREATE)  # noqa: B023  # called at once
            )
            if self.engine.services.outputs:
                self.engine.take_outputs()
        if "memory" in self.wanted:
            self.figures["memory"] = (resident() - before) / self.n
        if "insertion" in self.wanted:
            self.note("insertion", watch, self.n)
        assert self.cache.entries == self.n

    def slices(self, scope: tuple[str, int], now: float) -> Stopwatch:
        """Do what is due by an instant, as the shell does: slice by slice."""
        watch = Stopwatch()
        self.now = now
        while watch.time(lambda: self.engine.handle_timers(scope, now)):
            self.engine.take_outputs()
        self.engine.take_outputs()
        return watch

    def note(self, name: str, watch: Stopwatch, count: int) -> None:
        self.figures[name] = watch.total / count / 1e9
        self.figures[f"{name}_longest"] = watch.longest / 1e9

    # -- the collector

    def collect(self) -> None:
        self.bare = min(collections())

    def compare_collections(self) -> None:
        """Collect with all these entries; the table is emptied for another look at it without them."""
        full = min(collections())
        self.slices(device_scope(self.index), self.now + 100)
        self.engine.link_down(self.index, self.now)
        self.slices(family_scope(AF_INET), self.now)
        # A machine that others use is slow or fast for seconds: before and after, and the better of both.
        bare = min(self.bare, *collections())
        self.figures["collector"] = (full - bare) / 1e9
        self.figures["collector|trio alone"] = bare / 1e9

    # -- one at a time

    def dict(self) -> None:
        watch = Stopwatch()
        plain: dict[bytes, int] = {}
        for number in range(self.n):
            watch.time(lambda: plain.__setitem__(key_of(number), number))  # noqa: B023  # called at once
        self.figures["insertion_longest|one dict"] = watch.longest / 1e9

    def lookup(self) -> None:
        chooser = random.Random(3)
        plain = {key_of(number): number for number in range(self.n)}
        blob = b"".join([key_of(chooser.randrange(self.n)) for _ in range(SAMPLE)])
        find, get = self.table.lookup, plain.get
        found: dict[str, list[int]] = {"ours": [], "floor": []}
        for _ in range(3):
            # Fresh objects: the hash of an address that has just arrived is not known yet.
            sample = [blob[at : at + 4] for at in range(0, len(blob), 4)]
            begin = thread_time_ns()
            for key in sample:
                find(key, "va")
            found["ours"].append(thread_time_ns() - begin)
            sample = [blob[at : at + 4] for at in range(0, len(blob), 4)]
            begin = thread_time_ns()
            for key in sample:
                get(key)
            found["floor"].append(thread_time_ns() - begin)
        self.figures["lookup"] = min(found["ours"]) / SAMPLE / 1e9
        self.figures["lookup|dict"] = min(found["floor"]) / SAMPLE / 1e9

    def timers(self) -> None:
        self.note("timers", self.slices(device_scope(self.index), self.now + 100), self.n)

    def dump(self) -> None:
        def never(*_: object) -> None: ...

        subscription = Subscription(
            self.engine.caches.values(),
            lambda: self.now,
            never,
            trace=False,
            errors=False,
            conflicts=False,
            capacity=1024,
        )
        watch = Stopwatch()
        shown = 0
        while watch.time(subscription.take) is not None:
            shown += 1
        assert shown == self.n + 1
        self.note("dump", watch, self.n)

    def periodic(self) -> None:
        self.cache.gc_thresh1 = 0
        for name, later in (("periodic", 1.0), ("periodic_all", 1000.0)):
            self.engine.set_family_work(AF_INET, managed=inf, collection=self.now + later)
            watch = self.slices(family_scope(AF_INET), self.now + later)
            self.figures[name] = watch.total / 1e9
            self.figures[f"{name}_longest"] = watch.longest / 1e9
        assert self.cache.entries == 0

    def forced(self) -> None:
        self.cache.gc_thresh2 = self.n // 2
        watch = Stopwatch()
        for number in range(self.n, self.n + 20):
            self.now += 10.0
            neighbour = watch.time(lambda: self.engine.neighbour(self.index, key_of(number), self.now))  # noqa: B023  # called at once
            self.engine.release(neighbour, self.now)
            self.engine.take_outputs()
        self.figures["forced_longest"] = watch.longest / 1e9

    def down(self) -> None:
        watch = Stopwatch()
        count = self.cache.entries
        watch.time(lambda: self.engine.link_down(self.index, self.now))
        rest = self.slices(family_scope(AF_INET), self.now)
        watch.total += rest.total
        watch.longest = max(watch.longest, rest.longest)
        assert self.cache.entries == 0
        self.note("down", watch, count)

    def flush(self) -> None:
        states = 0xFF & ~(NUD_PERMANENT | NUD_NOARP)
        watch = Stopwatch()
        count = self.cache.entries
        watch.time(lambda: self.engine.delete_neighbours(self.index, states, self.now, nothing=True))
        self.engine.take_outputs()
        assert self.cache.entries == 0
        self.note("flush", watch, count)

    def gradually(self) -> None:
        watch = Stopwatch()
        count = self.cache.entries
        deletion = self.engine.deletion([self.index], 0xFF & ~(NUD_PERMANENT | NUD_NOARP), nothing=True)
        while watch.time(lambda: self.engine.continue_deletion(deletion, self.now))[1]:
            self.engine.take_outputs()
        self.engine.take_outputs()
        assert self.cache.entries == 0
        self.note("gradually", watch, count)


def collections() -> Iterator[int]:
    for _ in range(15):
        begin = thread_time_ns()
        gc.collect()
        yield thread_time_ns() - begin


async def main(n: int, wanted: set[str]) -> None:
    segment = Segment(trio.current_time)
    link = segment.attach("02:00:00:00:00:0a", name="va")
    device = neighio.Device(link, addresses=["10.255.255.254/8"])
    async with neighio.open_table(device, families=(4,)) as table:
        big = Big(table, n, wanted)
        if "collector" in wanted:
            big.collect()
        # One in a timer's hands is never looked at by the periodic collection.
        big.fill(NUD_STALE if "periodic" in wanted else NUD_REACHABLE)
        if "collector" in wanted:
            big.compare_collections()
        for step in ("dict", "lookup", "timers", "dump", "periodic", "forced", "down", "flush", "gradually"):
            if step in wanted:
                getattr(big, step)()
    print(json.dumps(big.figures))


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]), set(sys.argv[2:]))
