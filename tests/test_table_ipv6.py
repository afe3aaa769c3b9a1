"""A table's calls with IPv6 addresses; the peer is another table's host on the same segment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import neighio
from neighio import NudState
from neighio.testing import MemoryLink, Segment

from .shell import OURS, THEIRS, assert_nothing_is_left, collect, lines

US, LOCAL = "2001:db8::1", "fe80::a"
PEER, PEER_LOCAL = "2001:db8::2", "fe80::b"
ABSENT = "2001:db8::66"
THEIRS_AS = neighio.LinkAddress(THEIRS)


@dataclass
class World:
    """A client's table with the device ``va``, and a host at two addresses, whose link may be cut off."""

    table: neighio.NeighbourTable
    segment: Segment
    theirs: MemoryLink

    def state(self, ip: str) -> NudState | None:
        found = self.table.lookup(ip, "va")
        return None if found is None else NudState(found.nud_state)

    def asked(self) -> list[bytes]:
        """To whom each of our solicitations went, in its frame."""
        return [frame.frame[:6] for frame in self.segment.frames if frame.sender == "va"]


@asynccontextmanager
async def world(**parameters: float) -> AsyncIterator[World]:
    segment = Segment(trio.current_time)
    ours, theirs = segment.attach(OURS, name="va"), segment.attach(THEIRS, name="vb")
    client = neighio.Device(ours, addresses=[f"{US}/64", f"{LOCAL}/64"])
    host = neighio.Device(theirs, "host", addresses=[f"{PEER}/64", f"{PEER_LOCAL}/64"])
    async with (
        neighio.open_table(host),
        neighio.open_table(client, parameters=parameters, random=Random(1)) as table,
    ):
        await trio.sleep(2.0)  # the host has told of its groups
        yield World(table, segment, theirs)


@pytest.mark.parametrize("ip", [PEER, PEER_LOCAL, f"{PEER_LOCAL}%va"])
async def test_an_address_is_resolved(ip: str, autojump_clock: MockClock) -> None:
    async with world() as w:
        assert await w.table.resolve(ip) == THEIRS_AS
        assert w.table.resolve_nowait(ip) == THEIRS_AS
        assert w.state(ip.partition("%")[0]) is NudState.REACHABLE
        assert w.asked() == [bytes.fromhex("3333ff0000" + ("02" if ip == PEER else "0b"))]
        assert_nothing_is_left(w.table)


async def test_nobody_answers_for_an_address_that_nobody_has(autojump_clock: MockClock) -> None:
    async with world(retrans_time=0.25) as w:
        begin = trio.current_time()
        with pytest.raises(neighio.Unreachable, match=f"{ABSENT} dev va"):
            await w.table.resolve(ABSENT)
        assert trio.current_time() - begin == pytest.approx(0.75, abs=0.01)
        assert w.state(ABSENT) is NudState.FAILED


async def test_a_verified_address_is_asked_for_again_and_by_unicast(autojump_clock: MockClock) -> None:
    async with world() as w:
        await w.table.resolve(PEER)
        assert await w.table.resolve(PEER, verified=True) == THEIRS_AS
        assert w.asked()[1:] == [bytes(THEIRS_AS)]


async def test_a_probe_asks_once_and_says_who_answered(autojump_clock: MockClock) -> None:
    async with world(retrans_time=0.25) as w:
        reply = await w.table.probe(PEER)
        assert (reply.ip, reply.device, reply.lladdr, reply.others) == (PEER, "va", THEIRS_AS, ())
        assert (await w.table.probe(PEER, unicast=True)).lladdr == THEIRS_AS
        assert w.asked() == [bytes.fromhex("3333ff000002"), bytes(THEIRS_AS)]
        with pytest.raises(neighio.Unreachable):
            await w.table.probe(ABSENT)
        assert w.state(ABSENT) is None
        assert_nothing_is_left(w.table)


async def test_a_probe_may_come_from_any_of_our_addresses_and_of_this_family_alone(
    autojump_clock: MockClock,
) -> None:
    async with world() as w:
        assert (await w.table.probe(PEER, source=US)).lladdr == THEIRS_AS
        assert w.segment.frames[-2].frame[22:38] == bytes.fromhex("20010db8" + "00" * 11 + "01")
        for source in (PEER, "198.51.100.1"):
            with pytest.raises(neighio.InvalidAddress, match=r"^source: "):
                await w.table.probe(PEER, source=source)


async def test_a_sweep_finds_who_is_there(autojump_clock: MockClock) -> None:
    async with world(retrans_time=0.25) as w:
        async with w.table.sweep("2001:db8::/120", tries=2, interval=0.5) as sweeping:
            found = [reply async for reply in sweeping]
            assert [(reply.ip, reply.lladdr) for reply in found] == [(PEER, THEIRS_AS)]
            assert len(sweeping.absent) == 254
        assert US not in sweeping.absent
        assert w.table.ndisc.statistics().swept == 0
        assert_nothing_is_left(w.table)


async def test_packets_wait_for_the_address_and_reach_the_neighbour(autojump_clock: MockClock) -> None:
    packet = b"\x60\0\0\0\0\0\x3b\x40" + bytes.fromhex(
        "20010db8" + "00" * 11 + "01" + "20010db8" + "00" * 11 + "02"
    )
    async with world() as w:
        with w.table.neighbour(PEER, "va") as held:
            assert w.state(PEER) is NudState.NONE
            await held.send(packet)
        assert [frame.frame for frame in w.segment.frames][-1] == bytes(THEIRS_AS) + bytes(
            neighio.LinkAddress(OURS)
        ) + b"\x86\xdd" + packet
        assert_nothing_is_left(w.table)


async def test_the_life_of_a_neighbour_is_told(autojump_clock: MockClock) -> None:
    parameters = {"base_reachable_time": 4.0, "delay_first_probe_time": 1.0, "retrans_time": 0.5}
    async with world(**parameters) as w, trio.open_nursery() as nursery:
        events: list[neighio.Published] = []
        nursery.start_soon(collect, w.table.subscribe(), events)
        await trio.testing.wait_all_tasks_blocked()
        await w.table.resolve(PEER)
        await trio.sleep(10.0)
        w.theirs.set_down()
        await w.table.resolve(PEER)
        await trio.sleep(10.0)
        at = f"{PEER} dev va lladdr {THEIRS}"
        # Whom we asked asks us back, from his link-local address: that is another neighbour's life.
        told = [line for line in lines(events) if line.startswith(PEER)]
        assert told == [f"{at} REACHABLE", f"{at} STALE", f"{at} PROBE", f"{PEER} dev va FAILED"]
        nursery.cancel_scope.cancel()


async def test_administration_is_of_both_families(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.table.add(ABSENT, "va", OURS, router=True)
        assert w.state(ABSENT) is NudState.PERMANENT
        assert [entry.ip for entry in w.table.ndisc.entries()] == [ABSENT]
        assert list(w.table.arp.entries()) == []
        w.table.set("va", 6, disable_ipv6=1)
        assert list(w.table.ndisc.entries()) == []
        with pytest.raises(neighio.AdminError, match="IPv6 is disabled on this device"):
            w.table.add(ABSENT, "va", OURS)
        assert w.table.parameters("va", 6)["disable_ipv6"] == 1


@pytest.mark.parametrize(
    ("ip", "dev", "message"),
    [
        ("fe80::1%vx", None, "device: 'vx' is not attached"),
        ("fe80::1%va", "vx", "zone 'va' contradicts device 'vx'"),
        ("::", "va", "unspecified"),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    ip: str, dev: str | None, message: str, autojump_clock: MockClock
) -> None:
    async with world() as w:
        with pytest.raises(neighio.InvalidAddress, match=message):
            await w.table.resolve(ip, dev)
        assert w.asked() == []


async def test_a_group_needs_no_resolution(autojump_clock: MockClock) -> None:
    async with world() as w:
        assert str(await w.table.resolve("ff02::fb", "va")) == "33:33:00:00:00:fb"
        assert w.asked() == []
