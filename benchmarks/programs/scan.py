"""Who is there? Every address of a network, by neighio's own sweep, as a program of its own.

scan.py NETWORK DEVICE TRIES INTERVAL
"""

from __future__ import annotations

import math
import sys

import trio

import neighio


async def main(network: str, device: str, tries: int, interval: float) -> None:
    async with (
        neighio.open_table(device, families=(4,)) as table,
        table.sweep(network, device, rate=math.inf, tries=tries, interval=interval) as sweep,
    ):
        while replies := await sweep.next_replies():
            sys.stdout.write("".join([f"{reply.ip}\t{reply.lladdr}\n" for reply in replies]))


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
