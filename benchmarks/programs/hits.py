"""Answers that are known already: resolve_nowait from text, and await resolve, each beside its floor, in
turns in one process. By thread CPU time.

hits.py LOOPS
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from statistics import median
from time import thread_time_ns

import trio

import neighio
from neighio.testing import Segment

ENTRIES = 256
REPEATS = 7


def per_call(step: Callable[[], object], calls: int) -> float:
    begin = thread_time_ns()
    step()
    return (thread_time_ns() - begin) / calls / 1e9


async def main(loops: int) -> None:
    segment = Segment(trio.current_time)
    link = segment.attach("02:00:00:00:00:0a", name="va")
    device = neighio.Device(link, addresses=["198.18.0.1/15"])
    texts = [f"198.18.1.{number}" for number in range(ENTRIES)]
    plain = {socket.inet_aton(text): b"\2\0\0\0\0\x0b" for text in texts}
    asked = (texts * (loops // ENTRIES + 1))[:loops]
    found: dict[str, list[float]] = {}

    async with neighio.open_table(device, families=(4,)) as table:
        for text in texts:
            table.add(text, "va", "02:00:00:00:00:0b")
        nowait, get, packed = table.resolve_nowait, plain.get, socket.inet_aton
        resolve, checkpoint = table.resolve, trio.lowlevel.checkpoint

        def ask() -> None:
            for text in asked:
                nowait(text, "va")

        def get_all() -> None:
            for text in asked:
                get(packed(text))

        for _ in range(REPEATS):
            for name, step in (("nowait", ask), ("nowait|inet_aton and dict", get_all)):
                found.setdefault(name, []).append(per_call(step, loops))
            begin = thread_time_ns()
            for text in asked:
                await resolve(text, "va")
            between = thread_time_ns()
            for _ in asked:
                await checkpoint()
            end = thread_time_ns()
            found.setdefault("hit", []).append((between - begin) / loops / 1e9)
            found.setdefault("hit|trio checkpoint", []).append((end - between) / loops / 1e9)
    print(json.dumps({name: median(values) for name, values in found.items()}))


if __name__ == "__main__":
    trio.run(main, int(sys.argv[1]))
