"""A table's life as a picture: an SVG on standard output, with a row for each neighbour, coloured by state.

Ten minutes of two neighbours in memory, in no time; and of whoever is heard on a link of this machine, until
Ctrl-C:

    python examples/timeline.py > life.svg
    sudo python examples/timeline.py eth0 > life.svg
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress

import trio
import trio.testing

import neighio
from neighio.plot import Mark, Row, draw
from neighio.testing import ScriptedPeer, Segment

MINUTES = 10


class Timeline:
    """What becomes of a table's neighbours, from now on; ``tell`` says so at once, too."""

    def __init__(self, *, tell: bool) -> None:
        self.tell = tell
        self.start = trio.current_time()
        self.states: dict[str, list[tuple[float, str | None]]] = {}
        self.marks: dict[str, list[Mark]] = {}

    async def follow(self, events: neighio.EventStream) -> None:
        async for event in events:
            if isinstance(event, neighio.NewNeighbour | neighio.Change | neighio.DelNeighbour):
                self.take(event)

    def take(self, event: neighio.NewNeighbour | neighio.Change | neighio.DelNeighbour) -> None:
        who = f"{event.ip} dev {event.device}"
        states, marks = self.states.setdefault(who, []), self.marks.setdefault(who, [])
        time = event.time - self.start
        state = None if isinstance(event, neighio.DelNeighbour) else neighio.NudState(event.state).name
        if not states or state != states[-1][1]:
            states.append((time, state))
            if self.tell:
                print(f"{time:10.3f} s  {who} {state or 'gone'}", file=sys.stderr, flush=True)
        before = event.old_lladdr if isinstance(event, neighio.Change) else None
        if before is not None and event.lladdr not in (None, before):
            marks.append(Mark(time, "moved", f"{before} to {event.lladdr}"))

    def picture(self, title: str) -> str:
        rows = [Row(who, self.states[who], self.marks[who]) for who in sorted(self.states)]
        return draw(rows, title=title, end=trio.current_time() - self.start)


async def listen(device: str) -> None:
    """Make an entry of whoever is heard on a link."""
    timeline = Timeline(tell=True)
    with trio.open_signal_receiver(signal.SIGINT) as interrupts:
        async with neighio.open_table(device) as table:
            table.set(device, arp_accept=1)
            # With trace=True every transition is told, also those that Linux keeps to itself.
            with table.subscribe(trace=True) as events:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(timeline.follow, events)
                    async for _ in interrupts:
                        nursery.cancel_scope.cancel()
    print(timeline.picture(f"the neighbours on {device}"), end="")


async def practise() -> None:
    """Use two neighbours: one falls silent for a while, the other one gets another network card."""
    segment = Segment(trio.current_time, delay=0.01)
    silent = ScriptedPeer(segment, "02:00:00:00:00:07", "198.51.100.7")
    mended = ScriptedPeer(segment, "02:00:00:00:00:08", "198.51.100.8")
    device = neighio.Device(segment.attach("02:00:00:00:00:01", name="eth0"), addresses=["198.51.100.1/24"])
    timeline = Timeline(tell=False)
    async with neighio.open_table(device) as table:
        with table.subscribe(trace=True) as events:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(timeline.follow, events)
                for minute in range(MINUTES):
                    if minute == 4:
                        silent.mute()
                        mended.lladdr = neighio.LinkAddress("02:00:00:00:00:63")
                        mended.announce()
                    elif minute == 7:
                        silent.unmute()
                    await use(table, "198.51.100.7", "198.51.100.8")
                    await trio.sleep(60)
                nursery.cancel_scope.cancel()
    print(timeline.picture("two neighbours in memory"), end="")


async def use(table: neighio.NeighbourTable, *ips: str) -> None:
    """What sending a packet does: who is STALE is asked again, in a while."""
    for ip in ips:
        with suppress(neighio.Unreachable):
            await table.resolve(ip)
    await trio.lowlevel.checkpoint()


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.exit(f"usage: {sys.argv[0]} [DEVICE]")
    if len(sys.argv) == 2:
        trio.run(listen, sys.argv[1])
    else:
        trio.run(practise, clock=trio.testing.MockClock(autojump_threshold=0))
