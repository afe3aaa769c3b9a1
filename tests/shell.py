"""A table on a segment in memory, and what must be left of every call: nothing."""

from __future__ import annotations

import types
from collections.abc import AsyncIterator, Coroutine, Generator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import trio

import neighio
from neighio import NeighbourTable, NudState
from neighio.publication import Published
from neighio.testing import MemoryLink, ScriptedPeer, Segment

OURS = "02:00:00:00:00:0a"
THEIRS = "02:00:00:00:00:0b"
OTHER = "02:00:00:00:00:0c"
PEER = "198.51.100.2"
ABSENT = "198.51.100.66"


def packet(octets: int = 28) -> bytes:
    """A whole IPv4 packet of that length, from our address."""
    return b"\x45" + bytes(11) + bytes([198, 51, 100, 1]) + bytes(octets - 16)


@dataclass
class World:
    """A table with one device, ``va`` at 198.51.100.1/24, and a peer at 198.51.100.2."""

    table: NeighbourTable
    segment: Segment
    link: MemoryLink
    peer: ScriptedPeer

    def state(self, ip: str = PEER) -> NudState | None:
        found = self.table.lookup(ip, "va")
        return None if found is None else NudState(found.nud_state)

    def frames(self) -> int:
        """How many frames the node has sent."""
        return sum(frame.sender == "va" for frame in self.segment.frames)


@asynccontextmanager
async def world(
    *,
    delay: float = 0.0,
    parameters: Mapping[str, float] | None = None,
    answers: bool = True,
    addresses: Iterable[str] = (PEER,),
    families: Sequence[int] = (4, 6),
    **hooks: Any,
) -> AsyncIterator[World]:
    segment = Segment(trio.current_time)
    link = segment.attach(OURS, name="va")
    peer = ScriptedPeer(segment, THEIRS, addresses, delay=delay, answers=answers)
    device = neighio.Device(link, addresses=["198.51.100.1/24"], **hooks)
    async with neighio.open_table(
        device, families=families, parameters=parameters, random=Random(1)
    ) as table:
        yield World(table, segment, link, peer)


def assert_nothing_is_left(table: NeighbourTable, *, subscriptions: int = 0) -> None:
    """No waiter, no subscription, no entry of a sweep, no reference but the table's and a running timer's."""
    found = table.statistics()
    assert (found.tasks_waiting, found.subscriptions) == (0, subscriptions)
    assert table.arp.statistics().swept == 0
    for entry in table.arp.entries():
        assert entry.refcnt == 1 + bool(entry.nud_state & NudState.IN_TIMER), entry


@types.coroutine
def interrupt(
    call: Coroutine[Any, Any, object], at: int, scope: trio.CancelScope
) -> Generator[Any, Any, int]:
    """Run a call, and cancel the scope at its checkpoint number ``at``; return how many it came to."""
    count = 0
    resume: Any = call.send
    value: Any = None
    while True:
        try:
            trap = resume(value)
        except StopIteration:
            return count
        if count == at:
            scope.cancel()
        count += 1
        try:
            value, resume = (yield trap), call.send
        except BaseException as error:
            value, resume = error, call.throw


async def collect(stream: neighio.EventStream, into: list[Published]) -> None:
    """Read a subscription until its table or its block ends."""
    try:
        async for event in stream:
            into.append(event)
    except trio.ClosedResourceError:
        pass


def lines(events: Iterable[Published]) -> list[str]:
    """The notifications, as ``ip monitor neigh`` prints them."""
    kinds = (neighio.NewNeighbour, neighio.DelNeighbour, neighio.Miss)
    return [str(event) for event in events if isinstance(event, kinds)]
