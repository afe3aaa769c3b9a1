"""A thousand resolutions at once, half of them cancelled, and nothing left behind.

In memory, where every third address is somebody's, and on the first thousand addresses of a real network:

    python examples/many.py
    sudo python examples/many.py eth0 198.51.100.0/22
"""

from __future__ import annotations

import ipaddress
import sys
from collections import Counter
from itertools import islice
from math import inf

import trio

import neighio
from neighio.testing import ScriptedPeer, Segment

NETWORK = "198.18.0.0/22"


def practice() -> neighio.Device:
    """Return a device in memory, at whose other end one station has every third address."""
    segment = Segment(trio.current_time, delay=0.5)
    ScriptedPeer(segment, "02:00:00:00:00:07", list(ipaddress.IPv4Network(NETWORK))[::3])
    return neighio.Device(segment.attach("02:00:00:00:00:01", name="eth0"), addresses=["198.19.255.1/15"])


async def main() -> None:
    if len(sys.argv) not in (1, 3):
        sys.exit(f"usage: {sys.argv[0]} [DEVICE NETWORK]")
    device, network = sys.argv[1:3] if len(sys.argv) > 1 else (practice(), NETWORK)
    outcomes: Counter[str] = Counter()
    async with neighio.open_table(device, parameters={"retrans_time": 0.6}) as table:
        async with trio.open_nursery() as nursery:
            for number, ip in enumerate(islice(ipaddress.IPv4Network(network).hosts(), 1000)):
                nursery.start_soon(resolve, table, str(ip), 0.5 if number % 2 else inf, outcomes)
            await trio.sleep(0.01)
            print(f"waiting: {table.statistics().tasks_waiting}")
        print(", ".join(f"{what}: {count}" for what, count in sorted(outcomes.items())))
        print(f"waiting: {table.statistics().tasks_waiting}, entries: {table.arp.statistics().entries}")
        table.flush()
        print(f"flushed: entries: {table.arp.statistics().entries}")


async def resolve(table: neighio.NeighbourTable, ip: str, patience: float, outcomes: Counter[str]) -> None:
    try:
        with trio.fail_after(patience):
            await table.resolve(ip)
    except trio.TooSlowError:
        outcomes["cancelled"] += 1
    except neighio.Unreachable:
        outcomes["unreachable"] += 1
    else:
        outcomes["resolved"] += 1
    await trio.lowlevel.checkpoint()


if __name__ == "__main__":
    trio.run(main)
