"""subscribe: what there is, Idle, what happens; bounded, and never silently short."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import neighio
from neighio import Change, DelNeighbour, Idle, Miss, NewNeighbour, PacketFailed

from .shell import ABSENT, OTHER, PEER, THEIRS, assert_nothing_is_left, collect, lines, packet, world

SHORT = {"retrans_time": 0.5, "base_reachable_time": 3.0, "delay_first_probe_time": 0.75}


async def test_it_shows_what_there_is_then_idle_then_what_happens(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.table.add(PEER, lladdr=THEIRS, nud="stale")
        w.table.add(ABSENT, nud="none")
        await trio.sleep(1)
        with w.table.subscribe() as events:
            first, second, third = [await anext(events) for _ in range(3)]
            assert isinstance(first, NewNeighbour) and isinstance(second, NewNeighbour)
            assert {first.ip: first.state, second.ip: second.state} == {PEER: 4, ABSENT: 0}
            assert isinstance(third, Idle) and third.time == 1
            w.table.delete(PEER)
            assert lines([await anext(events), await anext(events)]) == [
                f"{PEER} dev va FAILED",
                f"Deleted {PEER} dev va FAILED",
            ]


async def test_one_who_waits_is_woken_by_an_event(autojump_clock: MockClock) -> None:
    async with world(parameters=SHORT) as w:
        with w.table.subscribe() as events:
            assert isinstance(await anext(events), Idle)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(w.table.resolve, PEER)
                event = await anext(events)
            assert isinstance(event, NewNeighbour)
            assert (event.ip, event.device, str(event.lladdr), event.state) == (PEER, "va", THEIRS, 2)
            assert isinstance(stale := await anext(events), NewNeighbour) and stale.state == 4
            assert trio.current_time() == pytest.approx(w.table.parameters("va")["reachable_time"], abs=0.01)


async def test_every_subscription_has_its_own_view(autojump_clock: MockClock) -> None:
    async with world(parameters=SHORT) as w, trio.open_nursery() as nursery:
        seen: dict[str, list[neighio.Published]] = {"linux": [], "trace": [], "errors": []}
        with (
            w.table.subscribe() as linux,
            w.table.subscribe(trace=True) as trace,
            w.table.subscribe(errors=True) as errors,
        ):
            for name, stream in (("linux", linux), ("trace", trace), ("errors", errors)):
                nursery.start_soon(collect, stream, seen[name])
            await trio.testing.wait_all_tasks_blocked()
            with w.table.neighbour(ABSENT) as held:
                held.send_nowait(packet())
            await trio.sleep(10)
            assert w.table.statistics().subscriptions == 3
        await trio.testing.wait_all_tasks_blocked()
        assert [type(event) for event in seen["linux"]] == [Idle, NewNeighbour]
        assert [type(event) for event in seen["errors"]] == [Idle, PacketFailed, NewNeighbour]
        assert [str(event) for event in seen["trace"] if isinstance(event, Change)] == [
            f"{ABSENT} dev va NONE -> INCOMPLETE by output (silent)",
            f"{ABSENT} dev va INCOMPLETE -> FAILED by timer",
        ]
        failed = seen["errors"][1]
        assert isinstance(failed, PacketFailed)
        assert (failed.error, failed.reported, failed.packet.data) == (neighio.Unreachable, True, packet())
        assert_nothing_is_left(w.table)


async def test_an_application_probe_is_a_miss_and_change_answers_it(autojump_clock: MockClock) -> None:
    async with world(answers=False) as w:
        w.table.set("va", app_solicit=3, mcast_solicit=0)

        async def answer() -> None:
            with w.table.subscribe() as events:
                async for event in events:
                    if isinstance(event, Miss) and event.probes > w.table.parameters("va")["ucast_solicit"]:
                        w.table.change(event.ip, event.device, OTHER, nud="reachable")
                        return

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            assert str(await w.table.resolve(PEER)) == OTHER
        assert (w.frames(), trio.current_time()) == (0, 1.0)
        assert_nothing_is_left(w.table)


async def test_overflow_is_loud_and_comes_after_what_was_held(autojump_clock: MockClock) -> None:
    async with world() as w:
        with w.table.subscribe(capacity=2) as events:
            assert isinstance(await anext(events), Idle)
            for host in range(4):
                w.table.add(f"198.51.100.{10 + host}", lladdr=OTHER)
            held = [await anext(events), await anext(events)]
            assert [event.ip for event in held if isinstance(event, NewNeighbour)] == [
                "198.51.100.10",
                "198.51.100.11",
            ]
            for _ in range(2):
                with pytest.raises(neighio.SubscriberOverflow, match="more than 2 events waited"):
                    await anext(events)
        assert_nothing_is_left(w.table)


async def test_a_walk_over_thousands_does_not_count_against_the_capacity(autojump_clock: MockClock) -> None:
    async with world() as w:
        for host in range(1000):
            w.table.add(f"198.18.{host // 250}.{host % 250 + 1}", lladdr=OTHER)
        with w.table.subscribe(capacity=1) as events:
            shown = 0
            async for event in events:
                if isinstance(event, Idle):
                    break
                shown += 1
            assert shown == 1000


async def test_a_cancelled_read_loses_no_event(autojump_clock: MockClock) -> None:
    async with world() as w:
        with w.table.subscribe() as events:
            assert isinstance(await anext(events), Idle)
            with trio.move_on_after(1):
                await anext(events)
            w.table.add(PEER, lladdr=THEIRS)
            with trio.CancelScope() as scope:
                scope.cancel()
                await anext(events)
            assert scope.cancelled_caught
            assert isinstance(await anext(events), NewNeighbour)


async def test_one_task_reads(autojump_clock: MockClock) -> None:
    async with world() as w, trio.open_nursery() as nursery:
        with w.table.subscribe() as events:
            await anext(events)
            nursery.start_soon(collect, events, [])
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await anext(events)


async def test_closing_wakes_the_reader(autojump_clock: MockClock) -> None:
    async with world() as w, trio.open_nursery() as nursery:
        events = w.table.subscribe()
        closed: list[neighio.Published] = []
        nursery.start_soon(collect, events, closed)
        await trio.testing.wait_all_tasks_blocked()
        events.close()
        events.close()
        await trio.testing.wait_all_tasks_blocked()
        assert [type(event) for event in closed] == [Idle]
        with pytest.raises(trio.ClosedResourceError, match="the subscription was closed"):
            await anext(events)
        assert_nothing_is_left(w.table)


@pytest.mark.parametrize("capacity", [0, -1])
async def test_a_queue_holds_something(capacity: int, autojump_clock: MockClock) -> None:
    async with world() as w:
        with pytest.raises(ValueError, match="capacity"):
            w.table.subscribe(capacity=capacity)
        assert_nothing_is_left(w.table)


async def test_a_deletion_is_told_in_the_state_that_the_entry_had(autojump_clock: MockClock) -> None:
    async with world() as w:
        await w.table.resolve(PEER)
        with w.table.subscribe() as events:
            await anext(events)
            await anext(events)
            await w.table.devices["va"].detach()
            event = await anext(events)
            assert isinstance(event, DelNeighbour) and (event.state, str(event.lladdr)) == (2, THEIRS)
