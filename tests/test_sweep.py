"""sweep: who of a whole network is there? Paced, shuffled, bounded, and gone when the block is left."""

from __future__ import annotations

import itertools
import math
from ipaddress import IPv4Network
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import neighio
from neighio import Network, NudState
from neighio.sweep import UNREAD
from neighio.testing import ScriptedPeer
from neighio.wire import arp

from .shell import OTHER, PEER, THEIRS, World, assert_nothing_is_left, collect, lines, world

NETWORK = "198.51.100.0/26"
HOSTS = [f"198.51.100.{host}" for host in range(64) if host != 1]


def asked(w: World) -> list[tuple[float, str]]:
    """When and for whom each request left."""
    found = []
    for frame in w.segment.frames:
        message = arp.parse(frame.frame)
        if frame.sender == "va" and not isinstance(message, str):
            found.append((frame.time, ".".join(map(str, message[3]))))
    return found


async def replies(sweeping: neighio.Sweep) -> list[neighio.Reply]:
    return [reply async for reply in sweeping]


async def test_everybody_is_asked_once_in_random_order_and_who_answers_is_yielded(
    autojump_clock: MockClock,
) -> None:
    async with world(addresses=HOSTS) as w:
        async with w.table.sweep(NETWORK) as sweeping:
            assert sweeping.absent == ()
            found = await replies(sweeping)
            assert sweeping.progress() == neighio.SweepProgress(63, 63, 63, 63, 1, 3)
            assert sweeping.absent == ()
        assert sorted(reply.ip for reply in found) == sorted(HOSTS)
        assert {(str(reply.lladdr), reply.device, reply.others) for reply in found} == {(THEIRS, "va", ())}
        order = [ip for _, ip in asked(w)]
        assert sorted(order) == sorted(HOSTS) and order != HOSTS
        assert_nothing_is_left(w.table)
        assert w.table.arp.statistics().entries == 0


async def test_own_and_broadcast_addresses_are_left_out(autojump_clock: MockClock) -> None:
    async with (
        world(answers=False) as w,
        w.table.sweep("198.51.100.0/24", tries=1, interval=0.0) as sweeping,
    ):
        assert await replies(sweeping) == []
        assert sweeping.progress().total == 254
        assert not {"198.51.100.1", "198.51.100.255"} & set(sweeping.absent)
        assert "198.51.100.0" in sweeping.absent


async def test_requests_are_paced(autojump_clock: MockClock) -> None:
    async with world(answers=False) as w:
        async with w.table.sweep(NETWORK, rate=50.0, tries=1) as sweeping:
            await replies(sweeping)
        times = [when for when, _ in asked(w)]
        assert times == pytest.approx([place / 50 for place in range(63)])
        assert trio.current_time() == pytest.approx(62 / 50 + 1.0)


async def test_a_loop_that_was_held_up_is_no_reason_for_a_burst(autojump_clock: MockClock) -> None:
    async with world(answers=False) as w:
        async with w.table.sweep("198.51.100.0/22", rate=100.0, tries=1) as sweeping:
            await trio.sleep(1.0)
            before = w.frames()
            autojump_clock.jump(5.0)
            await trio.sleep(0.001)
            assert 0 < w.frames() - before <= 66
            await replies(sweeping)
        assert len(asked(w)) == 1022


async def test_at_full_rate_others_run_in_between(autojump_clock: MockClock) -> None:
    async with world(answers=False) as w:
        async with w.table.sweep("198.18.0.0/20", rate=math.inf, tries=1, interval=0.5) as sweeping:
            seen = set()
            while sweeping.progress().sent < 4096:
                seen.add(sweeping.progress().sent)
                await trio.lowlevel.checkpoint()
            assert len(seen) > 16
            assert await replies(sweeping) == []
        assert trio.current_time() == 0.5


async def test_who_does_not_answer_is_asked_again_after_the_interval(autojump_clock: MockClock) -> None:
    async with world() as w:
        async with w.table.sweep("198.51.100.0/29", rate=1000.0, tries=3, interval=0.25) as sweeping:
            assert [reply.ip for reply in await replies(sweeping)] == [PEER]
            assert sweeping.progress() == neighio.SweepProgress(7, 7, 1, 1 + 6 * 3, 3, 3)
            assert sweeping.absent == tuple(f"198.51.100.{host}" for host in (0, 3, 4, 5, 6, 7))
        times: dict[str, list[float]] = {}
        for when, ip in asked(w):
            times.setdefault(ip, []).append(when)
        assert len(times.pop(PEER)) == 1
        for tries in times.values():
            gaps = [later - earlier for earlier, later in itertools.pairwise(tries)]
            assert gaps == pytest.approx([0.25, 0.25], abs=0.002) and min(gaps) >= 0.25 - 1e-9


async def test_a_late_answer_is_one_too(autojump_clock: MockClock) -> None:
    async with world(delay=0.3) as w:
        async with w.table.sweep(PEER, tries=2, interval=0.25) as sweeping:
            (reply,) = await replies(sweeping)
        # It could have been the answer to the second request: that it may be one to the first is said.
        assert reply.round_trip == pytest.approx(0.05) and reply.number == 2


async def test_a_duplicate_is_yielded_with_the_one_before(autojump_clock: MockClock) -> None:
    async with world() as w:
        ScriptedPeer(w.segment, OTHER, PEER, delay=0.1)
        async with w.table.sweep("198.51.100.0/30", tries=1) as sweeping:
            first, second = await replies(sweeping)
        assert (str(first.lladdr), first.others) == (THEIRS, ())
        assert (str(second.lladdr), second.others) == (OTHER, (first.lladdr,))


async def test_when_nobody_reads_sending_stops(autojump_clock: MockClock) -> None:
    network = [f"198.18.{high}.{low}" for high in range(16) for low in range(256)]
    async with world(addresses=network) as w:
        async with w.table.sweep("198.18.0.0/20", rate=10_000.0) as sweeping:
            await trio.sleep(60)
            assert UNREAD <= sweeping.progress().answered <= UNREAD + 64
            assert len(await replies(sweeping)) == 4096
        assert_nothing_is_left(w.table)


@pytest.mark.parametrize("how", ["break", "exception", "cancelled", "unread"])
async def test_leaving_the_block_ends_the_sweep(how: str, autojump_clock: MockClock) -> None:
    class Own(Exception):
        pass

    async with world() as w:
        error, left = Own(), None
        sweeping: neighio.Sweep | None = None
        try:
            with trio.CancelScope() as scope:
                async with w.table.sweep("198.51.100.0/24", rate=100.0) as sweeping:
                    if how != "unread":
                        await anext(sweeping)
                    if how == "exception":
                        raise error
                    if how == "cancelled":
                        scope.cancel()
                        await trio.sleep_forever()
        except Own as caught:
            left = caught
        assert left is (error if how == "exception" else None)
        sent = w.frames()
        assert w.table.arp.statistics().entries == 0
        assert_nothing_is_left(w.table)
        assert sweeping is not None
        with pytest.raises(trio.ClosedResourceError, match="the sweep has ended"):
            await replies(sweeping)
        assert sweeping.absent == ()
        await trio.sleep(10)
        assert w.frames() == sent


async def test_a_sweep_is_silent_about_those_who_are_not_there(autojump_clock: MockClock) -> None:
    async with world() as w, trio.open_nursery() as nursery:
        events: list[neighio.Published] = []
        with w.table.subscribe() as stream:
            nursery.start_soon(collect, stream, events)
            async with w.table.sweep("198.51.100.0/24", tries=1) as sweeping:
                await replies(sweeping)
                with w.table.subscribe() as later:
                    assert lines([await anext(later), await anext(later)]) == [
                        f"{PEER} dev va lladdr {THEIRS} REACHABLE"
                    ]
            await trio.testing.wait_all_tasks_blocked()
            assert lines(events) == [
                f"{PEER} dev va lladdr {THEIRS} REACHABLE",
                f"Deleted {PEER} dev va lladdr {THEIRS} REACHABLE",
            ]


async def test_a_device_flushed_during_a_sweep_is_silent_too_and_the_rest_is_asked(
    autojump_clock: MockClock,
) -> None:
    async with world() as w, trio.open_nursery() as nursery:
        events: list[neighio.Published] = []
        with w.table.subscribe() as stream:
            nursery.start_soon(collect, stream, events)
            async with w.table.sweep("198.51.100.0/27", rate=100.0, tries=2, interval=0.5) as sweeping:
                await trio.sleep(0.155)
                w.link.change(lladdr="02:00:00:00:00:aa")
                assert [reply.ip for reply in await replies(sweeping)] == [PEER]
                assert sweeping.progress().sent == 30 * 2 + 1
            assert all(PEER in line for line in lines(events))
        assert w.frames() == 61
        assert_nothing_is_left(w.table)


async def test_existing_entries_are_asked_and_otherwise_untouched(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.table.add(PEER, lladdr=OTHER, nud="permanent")
        w.table.add("198.51.100.3", lladdr=OTHER, nud="stale")
        async with w.table.sweep("198.51.100.0/29", tries=1) as sweeping:
            assert [reply.ip for reply in await replies(sweeping)] == [PEER]
        assert (w.state(), w.state("198.51.100.3")) == (NudState.PERMANENT, NudState.STALE)
        assert w.table.arp.statistics().entries == 2


async def test_swept_entries_have_an_allowance_of_their_own(autojump_clock: MockClock) -> None:
    async with world(addresses=HOSTS) as w:
        cache = w.table.arp
        cache.gc_thresh1, cache.gc_thresh2, cache.gc_thresh3 = 1, 4, 6
        async with w.table.sweep(NETWORK, tries=1) as sweeping:
            await replies(sweeping)
            found = cache.statistics()
            assert (found.swept, found.gc_entries, found.table_fulls, found.forced_gc_runs) == (63, 0, 0, 0)
            for host in range(6):
                w.table.add(f"198.51.100.{100 + host}", lladdr=OTHER, nud="stale")
            # Hours of periodic collection do not examine them.
            await trio.sleep(7200)
            found = cache.statistics()
            assert (found.swept, found.gc_entries) == (63, 0) and found.periodic_gc_runs > 100
        assert cache.statistics().entries == 0


@pytest.mark.parametrize(("before", "kept"), [(0, 10), (7, 3), (10, 0)])
async def test_kept_entries_are_handed_over_newest_first_up_to_gc_thresh2(
    before: int, kept: int, autojump_clock: MockClock
) -> None:
    async with world(addresses=HOSTS) as w:
        w.table.arp.gc_thresh2 = 10
        for host in range(before):
            w.table.add(f"198.51.100.{100 + host}", lladdr=OTHER, nud="stale")
        async with w.table.sweep(NETWORK, keep=True) as sweeping:
            await replies(sweeping)
        newest = {ip for _, ip in asked(w)[len(HOSTS) - kept :]}
        assert {entry.ip for entry in w.table.arp.entries() if entry.ip in HOSTS} == newest
        assert w.table.arp.statistics().gc_entries == before + kept
        assert_nothing_is_left(w.table)


async def test_what_somebody_holds_outlives_the_sweep(autojump_clock: MockClock) -> None:
    async with world() as w:
        async with w.table.sweep("198.51.100.0/29", tries=1) as sweeping:
            await replies(sweeping)
            held = [w.table.neighbour(PEER), w.table.neighbour("198.51.100.3")]
        assert (w.state(), w.state("198.51.100.3")) == (NudState.REACHABLE, NudState.NONE)
        found = w.table.arp.statistics()
        assert (found.swept, found.gc_entries) == (0, 2)
        for one in held:
            one.release()


async def test_sweeps_may_overlap(autojump_clock: MockClock) -> None:
    async with world(addresses=HOSTS, delay=0.05) as w:
        async with w.table.sweep(NETWORK, tries=1) as outer:
            async with w.table.sweep("198.51.100.0/27", tries=1) as inner:
                assert len(await replies(inner)) == 31
            assert w.table.arp.statistics().swept == 63
            assert len(await replies(outer)) == 63
            assert str((await w.table.probe(PEER)).lladdr) == THEIRS
        assert w.table.arp.statistics().entries == 0
        assert_nothing_is_left(w.table)


@pytest.mark.parametrize("how", ["removed", "detached", "down"])
@pytest.mark.parametrize("when", [0.1, 1.5])
async def test_a_device_that_goes_ends_the_sweep(how: str, when: float, autojump_clock: MockClock) -> None:
    async with world(answers=False) as w:

        async def go() -> None:
            await trio.sleep(when)
            if how == "removed":
                w.link.remove()
            elif how == "down":
                w.link.set_down()
            else:
                await w.table.devices["va"].detach()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(go)
            async with w.table.sweep("198.51.100.0/24", rate=1000.0, tries=1, interval=2.0) as sweeping:
                with pytest.raises(neighio.DeviceGone):
                    await replies(sweeping)
                with pytest.raises(neighio.DeviceGone):
                    await anext(sweeping)
                assert sweeping.absent == ()
        # Noticed when the next request is due, or when the last has been waited for.
        assert trio.current_time() == pytest.approx(when if when < 0.253 else 2.253, abs=0.002)
        assert_nothing_is_left(w.table)
        assert w.table.arp.statistics().entries == 0


async def test_one_task_reads(autojump_clock: MockClock) -> None:
    async with (
        world(answers=False) as w,
        w.table.sweep("198.51.100.0/29") as sweeping,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(replies, sweeping)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await anext(sweeping)
        nursery.cancel_scope.cancel()


async def test_a_network_may_be_empty_or_one_address(autojump_clock: MockClock) -> None:
    async with world() as w:
        async with w.table.sweep("198.51.100.1") as sweeping:
            assert await replies(sweeping) == []
            assert sweeping.progress().total == 0
        assert trio.current_time() == 0
        async with w.table.sweep(PEER) as sweeping:
            assert [reply.ip for reply in await replies(sweeping)] == [PEER]
            assert sweeping.progress().round == 1


async def test_a_late_answer_counts_while_the_link_has_no_room_for_the_next_try(
    autojump_clock: MockClock,
) -> None:
    async with world(delay=0.3) as w, w.table.sweep(PEER, tries=2, interval=0.25) as sweeping:
        await trio.sleep(0.2)
        w.link.busy(100)
        (reply,) = await replies(sweeping)
        assert reply.round_trip == pytest.approx(0.3) and reply.number == 1
        assert sweeping.progress().sent == 1


async def test_who_answers_somebody_else_before_being_asked_is_asked_all_the_same(
    autojump_clock: MockClock,
) -> None:
    async with world() as w:
        peer = ScriptedPeer(w.segment, OTHER, "198.51.100.3")
        w.link.busy(3)
        async with w.table.sweep("198.51.100.3", tries=1) as sweeping:
            await trio.sleep(0.0005)
            peer.reply(w.link.lladdr, "198.51.100.1")
            (reply,) = await replies(sweeping)
            assert (str(reply.lladdr), sweeping.progress().sent) == (OTHER, 1)


async def test_several_networks_are_one_sweep_and_what_is_in_two_is_asked_once(
    autojump_clock: MockClock,
) -> None:
    networks: list[Network] = [
        "198.51.100.8/30",
        IPv4Network("198.51.100.0/29"),
        "198.51.100.10",
        b"\xc6\x33\x64\x20",
    ]
    wanted = {f"198.51.100.{host}" for host in (0, *range(2, 12), 32)}
    async with world(addresses=HOSTS) as w:
        async with w.table.sweep(iter(networks), tries=1) as sweeping:
            found = await replies(sweeping)
        assert {reply.ip for reply in found} == wanted and len(found) == len(wanted) == w.frames()
        order = [ip for _, ip in asked(w)]
        assert order != sorted(order)


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"rate": 0}, ValueError, "rate: 0 is not above 0"),
    ({"rate": math.nan}, ValueError, "rate: nan is not above 0"),
    ({"tries": 0}, ValueError, "tries: 0 is no whole number of at least 1"),
    ({"tries": 1.5}, ValueError, "tries: 1.5 is no whole number of at least 1"),
    ({"interval": -1}, ValueError, "interval: -1 is no number of seconds"),
    ({"interval": math.inf}, ValueError, "interval: inf is no number of seconds"),
    ({"network": "198.51.100.1/24"}, neighio.InvalidAddress, "network: .* has host bits set"),
    ({"network": "198.0.0.0/11"}, neighio.InvalidAddress, "network: 2097152 addresses, at most 1048576"),
    ({"network": "2001:db8::/107"}, neighio.InvalidAddress, "network: 2097152 addresses, at most 1048576"),
    ({"network": ["198.0.0.0/13", "198.8.0.0/12"]}, neighio.InvalidAddress, "network: .* has host bits set"),
    (
        {"network": ["198.0.0.0/13", "198.16.0.0/12"]},
        neighio.InvalidAddress,
        "network: 1572864 addresses, at most",
    ),
    (
        {"network": ["198.51.100.0/24", "2001:db8::1"]},
        neighio.InvalidAddress,
        "network: networks of two families",
    ),
    ({"network": []}, neighio.InvalidAddress, "network: none is given"),
    ({"network": 5}, neighio.InvalidAddress, "network: 5 is not an IP network"),
    ({"dev": "vx"}, neighio.InvalidAddress, "device: 'vx' is not attached"),
]


@pytest.mark.parametrize(("options", "error", "message"), REFUSED, ids=[row[2] for row in REFUSED])
async def test_what_cannot_be_meant_is_refused_at_once(
    options: dict[str, Any], error: type[Exception], message: str, autojump_clock: MockClock
) -> None:
    async with world() as w:
        with pytest.raises(error, match=message):
            w.table.sweep(**{"network": NETWORK, **options})
        assert w.table.arp.statistics().allocs == 0


async def test_a_network_of_a_family_that_the_table_does_not_serve_is_refused(
    autojump_clock: MockClock,
) -> None:
    async with world(families=(4,)) as w:
        with pytest.raises(neighio.InvalidAddress, match=r"network: .* family that this table does not"):
            w.table.sweep("2001:db8::/120")


async def test_all_sweeps_together_are_bounded(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neighio.sweep.MAX_SWEEP", 64)
    async with world(answers=False) as w:
        async with w.table.sweep("198.51.100.0/27", rate=math.inf):
            await trio.sleep(0.1)
            with pytest.raises(neighio.TableFull, match="sweeps under way hold 31 entries"):
                w.table.sweep(NETWORK)
        async with w.table.sweep(NETWORK):
            pass
