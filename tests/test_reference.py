"""A neighbour that the caller holds: kept, confirmed, sent to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import neighio
from neighio import NudState
from neighio.link.base import LinkGone
from neighio.wire.ethernet import ETH_HLEN

from .shell import ABSENT, PEER, THEIRS, World, assert_nothing_is_left, packet, world

SHORT = {"retrans_time": 0.5, "base_reachable_time": 3.0, "delay_first_probe_time": 0.75}


def sent(w: World) -> list[tuple[bytes, bytes]]:
    """The IP packets on the segment: destination and octets."""
    frames = (frame.frame for frame in w.segment.frames if frame.sender == "va")
    return [(frame[:6], frame[ETH_HLEN:]) for frame in frames if frame[12:14] == b"\x08\x00"]


async def test_holding_makes_an_entry_and_sends_nothing(autojump_clock: MockClock) -> None:
    async with world() as w:
        with w.table.neighbour(PEER) as held:
            assert (held.ip, held.dev, held.nud_state, held.refcnt, held.lladdr) == (
                PEER,
                "va",
                NudState.NONE,
                2,
                None,
            )
            assert w.frames() == 0 and w.table.lookup(PEER) == held
        assert w.state() is NudState.NONE
        assert_nothing_is_left(w.table)


async def test_what_is_held_survives_both_collectors_and_a_deletion(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.table.arp.gc_thresh1 = 0
        with w.table.neighbour(PEER) as held:
            await trio.sleep(600)
            w.table.delete(PEER)
            assert not held.dead and held.nud_state == NudState.FAILED
        await trio.sleep(600)
        assert not held.exists and repr(held) == "<Neighbour, destroyed>"


async def test_a_flushed_one_is_dead_until_it_is_released(autojump_clock: MockClock) -> None:
    async with world() as w:
        await w.table.resolve(PEER)
        held = w.table.neighbour(PEER)
        w.link.set_down()
        assert held.dead and held.nud_state == NudState.NOARP
        assert w.table.lookup(PEER) is None
        with pytest.raises(neighio.DeviceGone):
            await held.send(packet())
        held.confirm()
        held.send_nowait(packet())
        held.release()
        assert not held.exists
        assert_nothing_is_left(w.table)


async def test_each_holder_has_its_own_reference(autojump_clock: MockClock) -> None:
    async with world() as w:
        first, second = w.table.neighbour(PEER), w.table.neighbour(PEER)
        assert first == second and first.refcnt == 3
        first.release()
        first.release()
        assert second.refcnt == 2
        for use in (first.confirm, lambda: first.send_nowait(packet())):
            with pytest.raises(trio.ClosedResourceError, match="the neighbour was released"):
                use()
        with pytest.raises(trio.ClosedResourceError):
            await first.send(packet())
        second.release()
        assert_nothing_is_left(w.table)


async def test_a_packet_waits_for_the_address_and_is_sent(autojump_clock: MockClock) -> None:
    async with world(delay=0.25) as w:
        with w.table.neighbour(PEER) as held:
            async with trio.open_nursery() as nursery:
                for length in (28, 29, 30):
                    nursery.start_soon(held.send, packet(length))
                    await trio.testing.wait_all_tasks_blocked()
                assert held.nud_state == NudState.INCOMPLETE and sent(w) == []
            assert trio.current_time() == 0.25
            assert sent(w) == [(neighio.LinkAddress(THEIRS), packet(length)) for length in (28, 29, 30)]
            await held.send(packet(31))
            assert sent(w)[-1] == (neighio.LinkAddress(THEIRS), packet(31))


async def test_who_is_not_there_is_unreachable(autojump_clock: MockClock) -> None:
    async with world(parameters=SHORT) as w:
        with w.table.neighbour(ABSENT) as held, pytest.raises(neighio.Unreachable, match=r"198\.51\.100\.66"):
            await held.send(packet())
        assert w.table.statistics().counters == {"packets_failed": 1}
        assert_nothing_is_left(w.table)


async def test_the_oldest_packet_falls_out_of_a_full_queue(autojump_clock: MockClock) -> None:
    async with world(answers=False, parameters={"unres_qlen_bytes": 1700}) as w:
        ended: list[tuple[int, type]] = []

        async def send(length: int) -> None:
            try:
                with w.table.neighbour(PEER) as held:
                    await held.send(packet(length))
            except neighio.NeighioError as error:
                ended.append((length, type(error)))

        async with trio.open_nursery() as nursery:
            for length in (28, 29, 30):
                nursery.start_soon(send, length)
                await trio.testing.wait_all_tasks_blocked()
            assert ended == [(28, neighio.PacketDropped)]
        assert sorted(ended[1:]) == [(29, neighio.Unreachable), (30, neighio.Unreachable)]
        assert w.table.arp.statistics().unres_discards == 1
        assert_nothing_is_left(w.table)


async def test_a_cancelled_packet_is_taken_out_of_the_queue(autojump_clock: MockClock) -> None:
    async with world(delay=0.5) as w:
        with w.table.neighbour(PEER) as held:
            held.send_nowait(packet(28))
            with trio.move_on_after(0.25):
                await held.send(packet(29))
            held.send_nowait(packet(30))
            await trio.sleep(1)
            assert [data for _, data in sent(w)] == [packet(28), packet(30)]


@pytest.mark.parametrize(
    "end",
    [
        lambda w: w.link.set_carrier(False),
        lambda w: w.link.set_down(),
        lambda w: w.link.remove(),
        lambda w: w.link.change(lladdr="02:00:00:00:00:aa"),
    ],
    ids=["carrier", "down", "removed", "address"],
)
async def test_a_device_that_goes_takes_the_packets_along(
    end: Callable[[World], None], autojump_clock: MockClock
) -> None:
    async with world(answers=False) as w, trio.open_nursery() as nursery:

        async def send() -> None:
            with w.table.neighbour(PEER) as held, pytest.raises(neighio.DeviceGone):
                await held.send(packet())

        for _ in range(3):
            nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        end(w)
        await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() == 0
        assert_nothing_is_left(w.table)


@pytest.mark.parametrize(
    ("refuse", "error"),
    [
        (lambda w: w.link.busy(1), neighio.PacketDropped),
        (lambda w: w.link.fail_next(LinkGone("va")), neighio.DeviceGone),
    ],
    ids=["busy", "gone"],
)
async def test_what_the_link_did_not_take_is_said(
    refuse: Callable[[World], None], error: type[Exception], autojump_clock: MockClock
) -> None:
    async with world() as w:
        await w.table.resolve(PEER)
        with w.table.neighbour(PEER) as held:
            refuse(w)
            with pytest.raises(error):
                await held.send(packet())
        assert_nothing_is_left(w.table)


async def test_a_packet_over_the_mtu_is_dropped(autojump_clock: MockClock) -> None:
    async with world() as w:
        with w.table.neighbour(PEER) as held:
            await held.send(packet(1500))
            with pytest.raises(neighio.PacketDropped):
                await held.send(packet(1501))


@pytest.mark.parametrize("octets", [b"", b"\x45", b"\x45" + bytes(18), b"\x60" + bytes(60), bytes(60)])
async def test_what_is_no_packet_of_the_family_is_refused(octets: bytes, autojump_clock: MockClock) -> None:
    async with world() as w:
        with w.table.neighbour(PEER) as held:
            with pytest.raises(ValueError, match="packet: no IPv4 packet with its whole header"):
                held.send_nowait(octets)
            with pytest.raises(ValueError, match="packet"):
                await held.send(octets)
            assert (held.nud_state, w.frames()) == (NudState.NONE, 0)
        assert_nothing_is_left(w.table)


async def test_progress_keeps_a_neighbour_reachable_without_a_probe(autojump_clock: MockClock) -> None:
    async with world(parameters=SHORT) as w:
        with w.table.neighbour(PEER) as held:
            for _ in range(40):
                await held.send(packet())
                held.confirm()
                await trio.sleep(0.5)
            assert held.nud_state == NudState.REACHABLE
        # The one request of the beginning, and the packets.
        assert w.frames() == 41


async def test_a_queued_packets_source_is_the_probes(autojump_clock: MockClock) -> None:
    async with world(answers=False) as w:
        await w.table.attach(
            neighio.Device(w.segment.attach("02:00:00:00:00:0e", name="vc"), addresses=["203.0.113.9/24"])
        )
        data = b"\x45" + bytes(11) + bytes([203, 0, 113, 9]) + bytes(8)
        with w.table.neighbour(PEER, "va") as held:
            held.send_nowait(data)
        assert w.segment.frames[-1].frame[28:32] == bytes([203, 0, 113, 9])
