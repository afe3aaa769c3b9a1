"""Two hosts' tables on a segment in memory, and what must be left of a call that failed: nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf
from random import Random
from typing import Any

import trio

import neighio
from neighio import AddressConflict, AttachedDevice, EventStream, NeighbourTable
from neighio.address import parse_ip
from neighio.core.claims import ANNOUNCE_WAIT, PROBE_MAX, PROBE_WAIT
from neighio.testing import MemoryLink, Segment
from neighio.wire import icmp

from .shell import OTHER, OURS, THEIRS

OURS4, OURS6, LOCAL = OWN = ("198.51.100.1/24", "2001:db8::1/64", "fe80::1/64")
THEIRS4, THEIRS6, THEIR_LOCAL = THEIR_OWN = ("198.51.100.2/24", "2001:db8::2/64", "fe80::2/64")
BOTH = [OURS4, OURS6]
PAIRS = [(OURS4, THEIRS4), (OURS6, THEIRS6), (LOCAL, THEIR_LOCAL)]

LONGEST = PROBE_WAIT + 2 * PROBE_MAX + ANNOUNCE_WAIT
"""Seconds that the detection of a duplicate takes at most."""


def packed(text: str) -> bytes:
    return parse_ip(text.partition("/")[0])[0]


def ping(src: str, dst: str, text: bytes = b"abc") -> bytes:
    """A whole IP packet: an echo request."""
    return icmp.build_echo_request(icmp.EchoRequest(packed(src), packed(dst), 0, 0, b"\0\1\0\1" + text))


@dataclass
class Net:
    """Two hosts' tables on one segment, ``va`` at OURS and ``vb`` at THEIRS, and a link of nobody's."""

    segment: Segment
    a: NeighbourTable
    b: NeighbourTable
    link: MemoryLink
    wire: MemoryLink

    @property
    def ours(self) -> AttachedDevice:
        return self.a.devices["va"]

    @property
    def theirs(self) -> AttachedDevice:
        return self.b.devices["vb"]

    def sent(self, sender: str = "va") -> list[bytes]:
        return [one.frame for one in self.segment.frames if one.sender == sender]

    def has_a_way_to(self, ip: str) -> bool:
        return self.ours._device.node.first_hop(packed(ip)) is not None


@asynccontextmanager
async def net(
    ours: Sequence[str] = (), theirs: Sequence[str] = (), *, families: Sequence[int] = (4, 6), **options: Any
) -> AsyncIterator[Net]:
    segment = Segment(trio.current_time)
    link = segment.attach(OURS, name="va")
    far = segment.attach(THEIRS, name="vb")
    wire = segment.attach(OTHER, name="vc")
    a = neighio.Device(link, "host", addresses=ours, **options)
    b = neighio.Device(far, "host", addresses=theirs)
    async with (
        neighio.open_table(a, families=families, random=Random(1)) as table,
        neighio.open_table(b, random=Random(2)) as other,
    ):
        yield Net(segment, table, other, link, wire)


def assert_no_address_is_left(n: Net) -> None:
    """No address, waiter, route or timer of a host that has, and wants, no address."""
    assert n.ours.addresses == ()
    assert n.ours._device.addresses == []
    assert n.a.statistics().tasks_waiting == 0
    assert not n.has_a_way_to(OURS4) and not n.has_a_way_to(OURS6)
    assert n.a._driver.engine.claims.next_deadline(n.ours.index) == inf


async def conflicts(events: EventStream) -> list[AddressConflict]:
    """What a subscription has told of conflicts by now."""
    found = []
    with trio.move_on_after(0.001):
        async for event in events:
            if isinstance(event, AddressConflict):
                found.append(event)
    return found
