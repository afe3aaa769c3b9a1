"""Watch a table: what it holds, then whatever Linux would tell of, as ``ip monitor neigh`` prints it.

To see a peer in memory found, fall silent and given up; and whoever is heard on a link of this machine, until
Ctrl-C:

    python examples/watch.py
    sudo python examples/watch.py eth0
"""

from __future__ import annotations

import sys
from contextlib import suppress

import trio

import neighio
from neighio.testing import ScriptedPeer, Segment

IN_A_HURRY = {"base_reachable_time": 0.2, "delay_first_probe_time": 0.2, "retrans_time": 0.1}


async def listen(device: str) -> None:
    """Make an entry of whoever is heard on a link."""
    async with neighio.open_table(device) as table:
        table.set(device, arp_accept=1)
        with table.subscribe() as events:
            async for event in events:
                if not isinstance(event, neighio.Idle):
                    print(event, flush=True)


async def practise() -> None:
    """Have one neighbour on a segment in memory, for as long as it lives."""
    segment = Segment(trio.current_time)
    peer = ScriptedPeer(segment, "02:00:00:00:00:07", "198.51.100.7")
    device = neighio.Device(segment.attach("02:00:00:00:00:01", name="eth0"), addresses=["198.51.100.1/24"])
    async with neighio.open_table(device, parameters=IN_A_HURRY) as table, trio.open_nursery() as nursery:
        nursery.start_soon(use_until_it_fails, table, peer)
        with table.subscribe() as events:
            async for event in events:
                if isinstance(event, neighio.NewNeighbour):
                    print(event)
                    if event.state == neighio.NudState.FAILED:
                        break


async def use_until_it_fails(table: neighio.NeighbourTable, peer: ScriptedPeer) -> None:
    await table.resolve("198.51.100.7")
    peer.mute()
    with suppress(neighio.Unreachable):
        await table.resolve("198.51.100.7", verified=True)


if __name__ == "__main__":
    try:
        if len(sys.argv) > 1:
            trio.run(listen, sys.argv[1])
        else:
            trio.run(practise)
    except* KeyboardInterrupt:
        pass
