"""Cancelled means that it did not happen: at every checkpoint of every public coroutine."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import neighio

from .shell import ABSENT, OURS, PEER, THEIRS, World, assert_nothing_is_left, interrupt, packet, world

DELAY = 0.05


async def resolve_absent(w: World) -> None:
    await w.table.resolve(PEER)


async def resolve_known(w: World) -> None:
    w.table.replace(PEER, lladdr=THEIRS, nud="reachable")
    await w.table.resolve(PEER)


async def resolve_verified(w: World) -> None:
    w.table.replace(PEER, lladdr=THEIRS, nud="stale")
    await w.table.resolve(PEER, verified=True)


async def probe(w: World) -> None:
    await w.table.probe(PEER, listen=0.2)


async def probe_absent(w: World) -> None:
    with pytest.raises(neighio.Unreachable):
        await w.table.probe(ABSENT)


async def send(w: World) -> None:
    with w.table.neighbour(PEER) as neighbour:
        await neighbour.send(packet())
        await neighbour.send(packet())


async def sweep(w: World) -> None:
    async with w.table.sweep("198.51.100.0/29", tries=2, interval=0.1) as sweeping:
        async for _ in sweeping:
            pass


async def sweep_keeping(w: World) -> None:
    async with w.table.sweep("198.51.100.0/29", tries=1, interval=0.1, keep=True) as sweeping:
        async for _ in sweeping:
            pass


async def subscribe(w: World) -> None:
    w.table.replace(ABSENT, lladdr=OURS, nud="stale")
    with w.table.subscribe() as events:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(w.table.resolve, PEER)
            for _ in range(3):
                await anext(events)


async def attach_and_detach(w: World) -> None:
    device = await w.table.attach(w.segment.attach("02:00:00:00:00:0e", name="vc"))
    await device.detach()


async def first_hop(w: World) -> None:
    assert await w.table.first_hop(PEER) == ("va", PEER)


async def table_of_its_own(w: World) -> None:
    async with neighio.open_table(w.segment.attach("02:00:00:00:00:0f", name="vd")) as table:
        await trio.sleep(1)
        assert table.devices.keys() == {"vd"}


CALLS = [
    resolve_absent,
    resolve_known,
    resolve_verified,
    probe,
    probe_absent,
    send,
    sweep,
    sweep_keeping,
    subscribe,
    attach_and_detach,
    first_hop,
    table_of_its_own,
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
async def test_cancelled_at_any_checkpoint_nothing_is_left(
    call: Callable[[World], Coroutine[Any, Any, None]], autojump_clock: MockClock
) -> None:
    tasks = trio.lowlevel.current_statistics().tasks_living
    at = 0
    completed = False
    while not completed:
        async with world(delay=DELAY) as w:
            await trio.testing.wait_all_tasks_blocked()
            serving = trio.lowlevel.current_statistics().tasks_living
            with trio.CancelScope() as scope:
                completed = await interrupt(call(w), at, scope) <= at
            assert not (completed and scope.cancelled_caught)
            # A device that a call attached and did not live to detach ends by itself.
            for name in w.table.devices.keys() - {"va"}:
                assert call is attach_and_detach
                await w.table.devices[name].detach()
            await trio.testing.wait_all_tasks_blocked()
            assert trio.lowlevel.current_statistics().tasks_living == serving
            assert_nothing_is_left(w.table)
            # The machine goes on as if nobody had ever asked.
            await trio.sleep(30)
            assert_nothing_is_left(w.table)
            assert str(await w.table.resolve(PEER, verified=True)) == str(w.peer.lladdr)
        at += 1
    assert at > 1
    assert trio.lowlevel.current_statistics().tasks_living == tasks


async def test_the_probing_goes_on_without_the_one_who_asked(autojump_clock: MockClock) -> None:
    async with world(answers=False) as w:
        with trio.move_on_after(0.5):
            await w.table.resolve(PEER)
        assert_nothing_is_left(w.table)
        assert (w.state(), w.frames()) == (neighio.NudState.INCOMPLETE, 1)
        await trio.sleep(10)
        assert (w.state(), w.frames()) == (neighio.NudState.FAILED, 3)


async def test_one_that_is_cancelled_leaves_the_others_waiting(autojump_clock: MockClock) -> None:
    async with world(delay=0.5) as w:
        found: list[neighio.LinkAddress] = []

        async def wait() -> None:
            found.append(await w.table.resolve(PEER))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            nursery.start_soon(wait)
            with trio.move_on_after(0.25) as scope:
                await w.table.resolve(PEER)
            assert scope.cancelled_caught
            assert w.table.statistics().tasks_waiting == 2
        assert found == [w.peer.lladdr] * 2 and w.frames() == 1


async def test_two_hundred_pending_calls_are_cancelled_at_once(autojump_clock: MockClock) -> None:
    async with world(answers=False) as w:
        async with trio.open_nursery() as nursery:
            for host in range(200):
                nursery.start_soon(w.table.resolve, f"198.51.100.{2 + host}")
            await trio.testing.wait_all_tasks_blocked()
            assert w.table.statistics().tasks_waiting == 200
            nursery.cancel_scope.cancel()
        assert_nothing_is_left(w.table)


@pytest.mark.parametrize("how", ["removed", "down", "detached", "flushed by its carrier"])
async def test_two_hundred_pending_calls_end_when_the_device_does(
    how: str, autojump_clock: MockClock
) -> None:
    async with world(answers=False) as w:
        gone: list[neighio.DeviceGone] = []

        async def wait(host: int) -> None:
            try:
                await w.table.resolve(f"198.51.100.{2 + host}")
            except neighio.DeviceGone as error:
                gone.append(error)

        async with trio.open_nursery() as nursery:
            for host in range(200):
                nursery.start_soon(wait, host)
            await trio.testing.wait_all_tasks_blocked()
            if how == "removed":
                w.link.remove()
            elif how == "down":
                w.link.set_down()
            elif how == "detached":
                await w.table.devices["va"].detach()
            else:
                w.link.set_carrier(False)
        assert len({id(error) for error in gone}) == len(gone) == 200
        assert_nothing_is_left(w.table)
        assert list(w.table.arp.entries()) == []
        assert bool(w.table.devices) == (how in ("down", "flushed by its carrier"))
        if how in ("removed", "detached"):
            with pytest.raises(neighio.InvalidAddress, match="not attached; there is none"):
                await w.table.resolve(PEER, "va")


async def test_an_answer_from_within_send_wakes_its_caller(autojump_clock: MockClock) -> None:
    async with world() as w:
        with trio.testing.assert_checkpoints():
            assert await w.table.resolve(PEER) == w.peer.lladdr
        assert (await w.table.probe(PEER)).round_trip == 0
        w.table.replace(PEER, lladdr=THEIRS, nud="stale")
        assert await w.table.resolve(PEER, verified=True) == w.peer.lladdr


async def test_an_answer_and_a_cancellation_at_once_are_one_or_the_other(autojump_clock: MockClock) -> None:
    async with world(answers=False) as w:
        with trio.CancelScope() as scope:

            async def answer_and_cancel() -> None:
                await trio.testing.wait_all_tasks_blocked()
                w.peer.reply(w.link.lladdr, "198.51.100.1")
                await trio.testing.wait_all_tasks_blocked(0)
                scope.cancel()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer_and_cancel)
                assert await w.table.resolve(PEER) == w.peer.lladdr
        assert_nothing_is_left(w.table)


async def test_every_coroutine_is_a_checkpoint_and_no_function_is(autojump_clock: MockClock) -> None:
    async with world(delay=DELAY) as w:
        table = w.table
        with trio.testing.assert_checkpoints():
            await table.resolve(PEER)
        with trio.testing.assert_checkpoints():
            await table.resolve(PEER)
        table.replace(PEER, lladdr=THEIRS, nud="permanent")
        with trio.testing.assert_checkpoints():
            await table.resolve(PEER, verified=True)
        table.delete(PEER)
        with trio.testing.assert_checkpoints():
            await table.probe(PEER)
        with trio.testing.assert_checkpoints():
            await table.first_hop(PEER)
        with table.subscribe() as events, trio.testing.assert_checkpoints():
            await anext(events)
        with table.neighbour(PEER) as held:
            with trio.testing.assert_checkpoints():
                await held.send(packet())
            with trio.testing.assert_no_checkpoints():
                held.send_nowait(packet())
                held.confirm()
        async with table.sweep(PEER, tries=1, interval=0.2) as sweeping:
            with trio.testing.assert_checkpoints():
                await anext(sweeping)
            with trio.testing.assert_checkpoints(), pytest.raises(StopAsyncIteration):
                await anext(sweeping)
        with trio.testing.assert_checkpoints():
            device = await table.attach(w.segment.attach("02:00:00:00:00:0e", name="vc"))
        for _ in range(2):
            with trio.testing.assert_checkpoints():
                await device.detach()
        with trio.testing.assert_no_checkpoints():
            assert table.resolve_nowait(PEER) == w.peer.lladdr
            table.lookup(PEER)
            table.statistics()
            table.arp.statistics()
            table.set("va", locktime=0.5)
            table.parameters("va")
            table.replace(ABSENT, lladdr=OURS)
            table.delete(ABSENT)
            table.flush()
            table.subscribe().close()


async def test_what_leaves_a_table_is_no_cyclic_garbage(autojump_clock: MockClock) -> None:
    class Own(Exception):
        pass

    gc.collect()
    gc.disable()
    try:
        try:
            async with world():
                raise Own
        except Own as error:
            left = weakref.ref(error)
        assert left() is None
    finally:
        gc.enable()
