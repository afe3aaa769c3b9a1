"""Who is here? A presence detector: who comes and who goes, by state and age.

That an address is in a table says that it was heard once: STALE may be long gone. So whoever has not proved
to be there for a while is asked, and one who does not answer then has gone. Three stations in memory, one of
which sleeps for a while; and a network of this machine, until Ctrl-C:

    python examples/presence.py
    sudo python examples/presence.py eth0 198.51.100.0/24
"""

from __future__ import annotations

import sys

import trio

import neighio
from neighio.testing import ScriptedPeer, Segment

EVERY = 5.0
"""Seconds between two looks at the table."""

OLD = 30.0
"""Whoever proved to be there longer ago than this, seconds, is asked."""


class Presence:
    """Prints who comes and who goes; ``here`` is who is there."""

    def __init__(self, table: neighio.NeighbourTable, *, every: float = EVERY, old: float = OLD) -> None:
        self._table = table
        self._every = every
        self._old = old
        self.here: set[str] = set()
        self.changed = trio.Event()

    async def watch(self) -> None:
        """Look at each entry again and again, until cancelled."""
        while True:
            entries = [*self._table.arp.entries(), *self._table.ndisc.entries()]
            for ip in self.here - {entry.ip for entry in entries}:
                self._tell(ip, "has gone", here=False)
            async with trio.open_nursery() as nursery:
                for entry in entries:
                    nursery.start_soon(self._look, entry)
            await trio.sleep(self._every)

    async def _look(self, entry: neighio.Neighbour) -> None:
        ip, dev, lladdr = entry.ip, entry.dev, entry.lladdr
        state, age = entry.nud_state, trio.current_time() - entry.confirmed
        if state == neighio.NudState.REACHABLE or (state == neighio.NudState.STALE and age <= self._old):
            self._tell(ip, f"is at {lladdr}", here=True)
        else:
            try:
                lladdr = await self._table.resolve(ip, dev, verified=True)
            except neighio.Unreachable:
                self._tell(ip, "has gone", here=False)
            else:
                self._tell(ip, f"is at {lladdr}", here=True)
        await trio.lowlevel.checkpoint()

    def _tell(self, ip: str, text: str, *, here: bool) -> None:
        if here == (ip in self.here):
            return
        print(ip, text, flush=True)
        self.here ^= {ip}
        self.changed.set()
        self.changed = trio.Event()


async def detect(device: str, network: str) -> None:
    """Watch over a link: whoever answers at the start, and whoever is heard later."""
    async with neighio.open_table(device) as table:
        table.set(device, arp_accept=1)
        async with table.sweep(network, device, keep=True) as sweep:
            async for _ in sweep:
                pass
        await Presence(table).watch()


async def practise() -> None:
    segment = Segment(trio.current_time)
    phone = ScriptedPeer(segment, "02:00:00:00:00:08", "198.51.100.8")
    for number in (7, 9):
        ScriptedPeer(segment, f"02:00:00:00:00:0{number}", f"198.51.100.{number}")
    device = neighio.Device(segment.attach("02:00:00:00:00:01", name="eth0"), addresses=["198.51.100.1/24"])
    hurry = {"base_reachable_time": 0.2, "retrans_time": 0.1}
    async with neighio.open_table(device, parameters=hurry) as table, trio.open_nursery() as nursery:
        async with table.sweep("198.51.100.0/28", interval=0.1, keep=True) as sweep:
            async for _ in sweep:
                pass
        presence = Presence(table, every=0.05, old=0.2)
        nursery.start_soon(presence.watch)
        everybody = {"198.51.100.7", "198.51.100.8", "198.51.100.9"}
        for asleep in (False, True, False):
            if asleep:
                phone.mute()
            else:
                phone.unmute()
            while presence.here != everybody - ({"198.51.100.8"} if asleep else set()):
                await presence.changed.wait()
        nursery.cancel_scope.cancel()


async def main() -> None:
    if len(sys.argv) == 1:
        await practise()
    elif len(sys.argv) != 3:
        sys.exit(f"usage: {sys.argv[0]} [DEVICE NETWORK]")
    else:
        await detect(*sys.argv[1:])
    await trio.lowlevel.checkpoint()


if __name__ == "__main__":
    try:
        trio.run(main)
    except* KeyboardInterrupt:
        pass
