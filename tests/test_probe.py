"""probe: is somebody there now, whatever the table believes?"""

from __future__ import annotations

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import neighio
from neighio import NudState
from neighio.link.base import LinkGone
from neighio.testing import ScriptedPeer
from neighio.wire import arp

from .shell import (
    ABSENT,
    OTHER,
    OURS,
    PEER,
    THEIRS,
    World,
    assert_nothing_is_left,
    collect,
    lines,
    world,
)


def requests(w: World) -> list[tuple[bytes, bytes]]:
    """To whom each of our requests went, and from which IP address."""
    sent = (frame.frame for frame in w.segment.frames if frame.sender == "va")
    return [(frame[:6], frame[28:32]) for frame in sent if not isinstance(arp.parse(frame), str)]


async def test_an_absent_address_that_answers_is_reachable_with_no_timer_before(
    autojump_clock: MockClock,
) -> None:
    async with world(delay=0.125) as w:
        reply = await w.table.probe(PEER, "va")
        assert reply == neighio.Reply(PEER, "va", neighio.LinkAddress(THEIRS), 0.125, ())
        assert w.state() is NudState.REACHABLE
        assert_nothing_is_left(w.table)


async def test_one_request_is_sent_and_waited_for_retrans_time(autojump_clock: MockClock) -> None:
    async with world(parameters={"retrans_time": 0.375}) as w:
        with pytest.raises(neighio.Unreachable, match=r"198.51.100.66 dev va: no answer in 0.375 s"):
            await w.table.probe(ABSENT)
        assert (trio.current_time(), w.frames()) == (0.375, 1)


async def test_an_entry_that_only_a_probe_made_goes_as_silently_as_it_came(autojump_clock: MockClock) -> None:
    async with world() as w, trio.open_nursery() as nursery:
        with w.table.subscribe() as stream:
            events: list[neighio.Published] = []
            nursery.start_soon(collect, stream, events)
            async with trio.open_nursery() as probing:

                async def probe() -> None:
                    with pytest.raises(neighio.Unreachable):
                        await w.table.probe(ABSENT)

                probing.start_soon(probe)
                await trio.sleep(0.25)
                probing.start_soon(probe)
                await trio.sleep(0.25)
                assert w.state(ABSENT) is NudState.NONE
                with w.table.subscribe() as later:
                    assert isinstance(await anext(later), neighio.Idle)
            assert w.table.lookup(ABSENT) is None
            assert lines(events) == []
            assert w.table.arp.statistics().entries == 0


async def test_an_entry_that_others_know_of_outlives_the_probe(autojump_clock: MockClock) -> None:
    async with world() as w, trio.open_nursery() as nursery:
        w.table.add(ABSENT, nud="none")

        async def probe(ip: str) -> None:
            with pytest.raises(neighio.Unreachable):
                await w.table.probe(ip)

        nursery.start_soon(probe, ABSENT)
        nursery.start_soon(probe, "198.51.100.67")
        nursery.start_soon(probe, "198.51.100.68")
        await trio.testing.wait_all_tasks_blocked()
        held = w.table.neighbour("198.51.100.67")
        w.table.replace("198.51.100.68", nud="none")
        await trio.sleep(2)
        assert w.state(ABSENT) is w.state("198.51.100.67") is w.state("198.51.100.68") is NudState.NONE
        held.release()
        assert_nothing_is_left(w.table)


async def test_what_a_probe_made_and_another_resolves_is_the_machines(autojump_clock: MockClock) -> None:
    async with world() as w, trio.open_nursery() as nursery:
        with w.table.subscribe() as stream:
            events: list[neighio.Published] = []
            nursery.start_soon(collect, stream, events)

            async def probe() -> None:
                with pytest.raises(neighio.Unreachable):
                    await w.table.probe(ABSENT)

            nursery.start_soon(probe)
            await trio.sleep(0.5)
            with pytest.raises(neighio.Unreachable):
                await w.table.resolve(ABSENT)
            w.table.delete(ABSENT)
            await trio.testing.wait_all_tasks_blocked()
            assert lines(events) == [f"{ABSENT} dev va FAILED", f"Deleted {ABSENT} dev va FAILED"]


async def test_duplicates_are_heard_while_listening(autojump_clock: MockClock) -> None:
    async with world(delay=0.1) as w:
        ScriptedPeer(w.segment, OTHER, PEER, delay=0.2)
        ScriptedPeer(w.segment, "02:00:00:00:00:0d", PEER, delay=0.3)
        ScriptedPeer(w.segment, "02:00:00:00:00:0e", PEER, delay=0.7)
        reply = await w.table.probe(PEER, listen=0.5)
        assert (str(reply.lladdr), reply.round_trip) == (THEIRS, 0.1)
        assert [str(other) for other in reply.others] == [OTHER, "02:00:00:00:00:0d"]
        assert trio.current_time() == 0.6
        await trio.sleep(1)
        assert (await w.table.probe(PEER)).others == ()


async def test_one_that_answers_twice_is_no_duplicate(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.link.duplication = 1.0
        assert (await w.table.probe(PEER, listen=1.0)).others == ()


@pytest.mark.parametrize(("unicast", "to"), [(True, THEIRS), (False, "ff:ff:ff:ff:ff:ff")])
async def test_unicast_asks_at_the_known_address(unicast: bool, to: str, autojump_clock: MockClock) -> None:
    async with world() as w:
        w.table.add(PEER, lladdr=THEIRS, nud="stale")
        await w.table.probe(PEER, unicast=unicast)
        assert requests(w) == [(neighio.LinkAddress(to), bytes([198, 51, 100, 1]))]


async def test_unicast_without_a_known_address_is_broadcast(autojump_clock: MockClock) -> None:
    async with world() as w:
        await w.table.probe(PEER, unicast=True)
        assert requests(w)[0][0] == b"\xff" * 6


@pytest.mark.parametrize("nud", ["reachable", "stale", "delay", "probe", "failed", "permanent", "noarp"])
async def test_a_probe_leaves_the_entrys_counter_alone(nud: str, autojump_clock: MockClock) -> None:
    async with world(answers=False) as w:
        w.table.add(PEER, lladdr=THEIRS, nud=nud)
        entry = w.table.lookup(PEER)
        assert entry is not None
        before = (entry.nud_state, entry.probes)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(w.table.probe, PEER)
            await trio.testing.wait_all_tasks_blocked()
            assert (entry.nud_state, entry.probes, w.frames()) == (*before, 1)
            nursery.cancel_scope.cancel()


async def test_an_answer_revives_a_failed_entry(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.table.add(PEER, nud="failed")
        await w.table.probe(PEER)
        assert w.state() is NudState.REACHABLE


async def test_it_asks_from_an_own_address_or_from_none(autojump_clock: MockClock) -> None:
    async with world() as w:
        await w.table.probe(PEER, source="0.0.0.0")
        assert requests(w)[-1][1] == bytes(4)
        await w.table.probe(PEER, source="198.51.100.1")
        for foreign in ("198.51.100.9", "127.0.0.1", "::1", "x"):
            with pytest.raises(neighio.InvalidAddress, match=r"^source: "):
                await w.table.probe(PEER, source=foreign)
        assert w.frames() == 2


@pytest.mark.parametrize("listen", [-1.0, float("inf"), float("nan")])
async def test_how_long_to_listen_is_a_number_of_seconds(listen: float, autojump_clock: MockClock) -> None:
    async with world() as w:
        with pytest.raises(ValueError, match="listen"):
            await w.table.probe(PEER, listen=listen)
        assert w.frames() == 0


async def test_two_who_probe_at_once_both_hear(autojump_clock: MockClock) -> None:
    async with world(delay=0.5) as w:
        heard: list[neighio.Reply] = []

        async def probe() -> None:
            heard.append(await w.table.probe(PEER))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(probe)
            await trio.sleep(0.25)
            nursery.start_soon(probe)
        assert sorted(reply.round_trip for reply in heard) == [0.25, 0.5]
        assert w.frames() == 2


@pytest.mark.parametrize("how", ["removed", "removed on sending", "detached", "down"])
async def test_a_device_that_goes_ends_the_probe(how: str, autojump_clock: MockClock) -> None:
    async with world(answers=False) as w, trio.open_nursery() as nursery:
        if how == "removed on sending":
            w.link.fail_next(LinkGone("va"))

        async def probe() -> None:
            with pytest.raises(neighio.DeviceGone):
                await w.table.probe(PEER)

        nursery.start_soon(probe)
        await trio.testing.wait_all_tasks_blocked()
        if how == "removed":
            w.link.remove()
        elif how == "detached":
            await w.table.devices["va"].detach()
        elif how == "down":
            w.link.set_down()
        await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() == 0
        assert_nothing_is_left(w.table)


async def test_a_probe_that_the_link_did_not_take_is_lost(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.link.busy(1)
        with pytest.raises(neighio.Unreachable):
            await w.table.probe(PEER)
        assert w.table.statistics().counters == {"tx_busy": 1}
        assert str((await w.table.probe(PEER)).lladdr) == THEIRS != OURS
