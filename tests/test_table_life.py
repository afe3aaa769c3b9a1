"""A table's life: opening, serving, closing, and what leaves it when something fails."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import neighio
from neighio import NeighbourTable
from neighio.core.engine import Engine
from neighio.link.packet import open_packet_link
from neighio.testing import FakeInterface, Segment

from .shell import ABSENT, OURS, PEER, assert_nothing_is_left, lines, packet, world

NEEDS_A_TABLE: list[tuple[str, Callable[[NeighbourTable], Any]]] = [
    ("resolve", lambda t: t.resolve(PEER)),
    ("resolve_nowait", lambda t: t.resolve_nowait(PEER)),
    ("probe", lambda t: t.probe(PEER)),
    ("first_hop", lambda t: t.first_hop(PEER)),
    ("sweep", lambda t: t.sweep("198.51.100.0/24")),
    ("lookup", lambda t: t.lookup(PEER)),
    ("neighbour", lambda t: t.neighbour(PEER)),
    ("subscribe", lambda t: t.subscribe()),
    ("attach", lambda t: t.attach("va")),
    ("add", lambda t: t.add(PEER, lladdr=OURS)),
    ("change", lambda t: t.change(PEER, lladdr=OURS)),
    ("replace", lambda t: t.replace(PEER, lladdr=OURS)),
    ("append", lambda t: t.append(PEER, lladdr=OURS)),
    ("delete", lambda t: t.delete(PEER)),
    ("flush", lambda t: t.flush()),
    ("flush_gradually", lambda t: t.flush_gradually()),
    ("set", lambda t: t.set(None, locktime=2.0)),
    ("parameters", lambda t: t.parameters()),
    ("statistics", lambda t: t.statistics()),
    ("arp", lambda t: t.arp),
    ("ndisc", lambda t: t.ndisc),
]
NAMES = [name for name, _ in NEEDS_A_TABLE]


async def call(use: Callable[[NeighbourTable], Any], table: NeighbourTable) -> None:
    found = use(table)
    if hasattr(found, "__await__"):
        await found


def call_synchronously(use: Callable[[NeighbourTable], Any], table: NeighbourTable) -> None:
    found = use(table)
    if hasattr(found, "__await__"):
        # What is refused is refused before the first wait that could be one.
        with pytest.raises(StopIteration):
            found.send(None)


def test_the_list_of_calls_is_whole() -> None:
    ours = {name for name in dir(NeighbourTable) if not name.startswith("_")}
    assert ours == {*NAMES, "devices", "serve"}


@pytest.mark.parametrize("use", [use for _, use in NEEDS_A_TABLE], ids=NAMES)
async def test_a_table_that_is_not_served_refuses(use: Callable[[NeighbourTable], Any]) -> None:
    with pytest.raises(trio.ClosedResourceError, match="not being served"):
        await call(use, NeighbourTable())


@pytest.mark.parametrize("use", [use for _, use in NEEDS_A_TABLE], ids=NAMES)
async def test_a_closed_table_refuses(
    use: Callable[[NeighbourTable], Any], autojump_clock: MockClock
) -> None:
    async with world() as w:
        await w.table.resolve(PEER)
    with pytest.raises(trio.ClosedResourceError, match="the table was closed"):
        await call(use, w.table)
    assert dict(w.table.devices) == {}
    assert repr(w.table) == "<NeighbourTable closed>"


async def test_what_was_taken_from_a_closed_table_refuses_too(autojump_clock: MockClock) -> None:
    async with world() as w:
        cache = w.table.arp
        events = w.table.subscribe()
        sweeping = w.table.sweep("198.51.100.0/24")
        held = w.table.neighbour(PEER)
    for refused in (
        cache.statistics,
        cache.entries,
        cache.proxies,
        held.confirm,
        lambda: held.send_nowait(packet()),
    ):
        with pytest.raises(trio.ClosedResourceError):
            refused()
    with pytest.raises(trio.ClosedResourceError):
        cache.gc_thresh1 = 1
    for awaitable in (held.send(packet()), anext(events), sweeping.__aenter__()):
        with pytest.raises(trio.ClosedResourceError):
            await awaitable
    events.close()
    held.release()
    held.release()
    with pytest.raises(trio.ClosedResourceError, match="the neighbour was released"):
        held.confirm()


@pytest.mark.parametrize("use", [use for _, use in NEEDS_A_TABLE], ids=NAMES)
async def test_while_a_hook_runs_every_call_is_busy(
    use: Callable[[NeighbourTable], Any], autojump_clock: MockClock
) -> None:
    caught: list[BaseException] = []

    def hook(_: object) -> None:
        try:
            call_synchronously(use, table)
        except BaseException as error:
            caught.append(error)

    async with world(neigh_construct=hook) as w:
        table = w.table
        cache, held = w.table.arp, None
        assert await w.table.resolve(PEER) == w.peer.lladdr
        (error,) = caught
        assert isinstance(error, trio.BusyResourceError) and "hook" in str(error)
        assert cache.statistics().entries == 1 and held is None
        assert_nothing_is_left(w.table)


async def test_while_a_hook_runs_nothing_can_be_released(autojump_clock: MockClock) -> None:
    refused: list[str] = []

    def hook(_: object) -> None:
        for use in (
            lambda: held[0].release(),
            lambda: held[0].confirm(),
            lambda: held[0].send(packet()).send(None),
        ):
            try:
                use()
            except trio.BusyResourceError as error:
                refused.append(str(error))

    held: list[neighio.HeldNeighbour] = []
    async with world(neigh_setup=lambda _: hook(_) if held else None) as w:
        held.append(w.table.neighbour(ABSENT))
        await w.table.resolve(PEER)
        assert refused == ["a device's hook is running"] * 3
        held[0].release()
        assert_nothing_is_left(w.table)


@pytest.mark.parametrize("hook", ["neigh_construct", "neigh_setup"])
async def test_a_hooks_exception_refuses_the_neighbour_and_is_the_cause(
    hook: str, autojump_clock: MockClock
) -> None:
    refusal = RuntimeError("no room on the card")

    def refuse(_: object) -> None:
        raise refusal

    hooks: Any = {hook: refuse}
    async with world(**hooks) as w:

        async def sweep() -> None:
            async with w.table.sweep("198.51.100.0/29") as sweeping:
                await anext(sweeping)

        for use in (
            lambda: w.table.resolve(PEER),
            lambda: w.table.probe(PEER),
            lambda: w.table.neighbour(PEER),
            lambda: w.table.add(PEER, lladdr=OURS),
            sweep,
        ):
            with pytest.raises(neighio.NeighioError, match="refused the neighbour") as caught:
                await use()  # type: ignore[misc]
            assert caught.value.__cause__ is refusal
        # A stranger's frame is refused likewise, and nobody is told but the counter.
        w.peer.ask("198.51.100.1")
        await trio.testing.wait_all_tasks_blocked()
        assert w.table.devices["va"].drops == {"neigh_createfail": 1}
        assert w.table.arp.statistics().entries == 0
        assert_nothing_is_left(w.table)


async def test_a_table_is_served_once(autojump_clock: MockClock) -> None:
    table = NeighbourTable()
    async with trio.open_nursery() as nursery:
        assert await nursery.start(table.serve) is table
        with pytest.raises(trio.BusyResourceError):
            await table.serve()
        assert table.statistics().devices == 0
        nursery.cancel_scope.cancel()
    with pytest.raises(trio.ClosedResourceError):
        await table.serve()


async def test_whoever_waits_when_the_table_closes_is_told(autojump_clock: MockClock) -> None:
    segment = Segment(trio.current_time)
    table = NeighbourTable(segment.attach(OURS, name="va"), random=Random(1))
    ended: list[str] = []

    async def wait(name: str, use: Callable[[], Any]) -> None:
        with pytest.raises(trio.ClosedResourceError):
            await use()
        ended.append(name)

    async def sweep() -> None:
        async with table.sweep("198.51.100.0/28") as sweeping:
            await anext(sweeping)

    async def send() -> None:
        with table.neighbour(ABSENT) as held:
            await held.send(packet())

    async def read() -> None:
        with table.subscribe() as events:
            while True:
                await anext(events)

    async def prove() -> None:
        table.replace("198.51.100.9", lladdr=OURS, nud="stale")
        await table.resolve("198.51.100.9", verified=True)

    waits = {
        "resolve": lambda: table.resolve(PEER),
        "prove": prove,
        "probe": lambda: table.probe("198.51.100.3"),
        "sweep": sweep,
        "send": send,
        "read": read,
    }
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as serving:
            await serving.start(table.serve)
            for name, use in waits.items():
                nursery.start_soon(wait, name, use)
            await trio.sleep(0.01)
            assert table.statistics().tasks_waiting == 4
            serving.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
    assert sorted(ended) == sorted(waits)


class Subclass(ExceptionGroup[Exception]):
    def derive(self, excs: Sequence[Exception], /) -> Subclass:
        return Subclass(self.message, excs)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("own"),
        ExceptionGroup("own", [ValueError(), KeyError()]),
        ExceptionGroup("own", [ExceptionGroup("inner", [ValueError()])]),
        Subclass("own", [ValueError()]),
        KeyboardInterrupt(),
        SystemExit(3),
        BaseExceptionGroup("own", [KeyboardInterrupt()]),
        trio.ClosedResourceError(),
        StopAsyncIteration(),
        neighio.InternalError("own"),
    ],
    ids=lambda error: f"{type(error).__name__} {error}",
)
async def test_what_the_body_raises_leaves_as_itself(error: BaseException, autojump_clock: MockClock) -> None:
    caught: BaseException | None = None
    try:
        async with world():
            raise error
    except BaseException as found:
        caught = found
    assert caught is error
    assert caught.__context__ is None and caught.__cause__ is None


async def test_a_cancellation_from_outside_passes_through(autojump_clock: MockClock) -> None:
    with trio.CancelScope() as scope:
        async with world(answers=False) as w:
            scope.cancel()
            await w.table.resolve(PEER)
    assert scope.cancelled_caught
    with trio.move_on_after(1) as scope:
        async with world(answers=False) as w, trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(w.table.resolve, PEER)
            nursery.start_soon(trio.sleep_forever)
    assert scope.cancelled_caught


async def test_beside_a_cancellation_a_bodys_own_exception_stays(autojump_clock: MockClock) -> None:
    async def fail() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("own")

    with pytest.RaisesGroup(pytest.RaisesExc(ValueError, match="own")), trio.CancelScope() as scope:
        async with world(), trio.open_nursery() as nursery:
            nursery.start_soon(fail)
            nursery.start_soon(trio.sleep_forever)
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()


def break_engine(monkeypatch: pytest.MonkeyPatch) -> ZeroDivisionError:
    bug = ZeroDivisionError("a bug")

    def receive(*_: object) -> None:
        raise bug

    monkeypatch.setattr(Engine, "receive", receive)
    return bug


async def test_a_bug_in_the_background_leaves_as_an_internal_error(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    bug = break_engine(monkeypatch)
    with pytest.raises(neighio.InternalError, match="_receive: ZeroDivisionError") as caught:
        async with world() as w:
            await w.table.resolve(PEER)
    assert caught.value.__cause__ is bug


async def test_a_bug_cancels_the_body_and_tells_it_of_nothing_else(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_engine(monkeypatch)
    seen: list[type] = []

    async def wait(table: NeighbourTable, host: int) -> None:
        try:
            await table.resolve(f"198.51.100.{host}")
        except BaseException as error:
            seen.append(type(error))
            raise

    async def use() -> None:
        async with world() as w, trio.open_nursery() as nursery:
            for host in range(2, 22):
                nursery.start_soon(wait, w.table, host)

    with pytest.raises(neighio.InternalError):
        await use()
    assert seen == [trio.Cancelled] * 20


async def test_a_bug_in_a_served_table_leaves_serve_and_closes_the_table(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_engine(monkeypatch)
    segment = Segment(trio.current_time)
    table = NeighbourTable(segment.attach(OURS, name="va"))
    other = segment.attach("02:00:00:00:00:0d")
    with pytest.RaisesGroup(neighio.InternalError):
        async with trio.open_nursery() as nursery:
            await nursery.start(table.serve)
            other.send(b"\xff" * 60)
            await trio.sleep_forever()
    with pytest.raises(trio.ClosedResourceError):
        table.statistics()


async def test_a_bug_and_the_bodys_own_exception_leave_together(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_engine(monkeypatch)
    with pytest.RaisesGroup(neighio.InternalError, pytest.RaisesExc(ValueError, match="own")):
        async with world() as w:
            try:
                await w.table.resolve(PEER)
            finally:
                raise ValueError("own")


async def test_a_bug_in_a_timer_is_one_too(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Engine, "handle_timers", fail)
    with pytest.raises(neighio.InternalError, match="_run_timers"):
        async with world(answers=False) as w:
            await w.table.resolve(PEER)


async def test_a_table_that_cannot_start_says_why_by_itself(autojump_clock: MockClock) -> None:
    segment = Segment(trio.current_time)
    first = segment.attach(OURS, name="va")
    with pytest.raises(neighio.InvalidAddress, match="va is attached already"):
        async with neighio.open_table(first, first):
            raise AssertionError
    assert first.removed


def test_a_table_checks_what_it_is_given_and_does_nothing_else() -> None:
    for refused, match in (
        ({"families": (5,)}, "families: 5 is not served"),
        ({"families": ()}, "families: none is given"),
        ({"parameters": {"nonsense": 1}}, "nonsense: no such parameter"),
        ({"parameters": {"retrans_time": -1}}, "retrans_time: -1 is out of range"),
    ):
        with pytest.raises(ValueError, match=match):
            NeighbourTable(**refused)
    with pytest.raises(neighio.InvalidAddress, match="is no interface name"):
        NeighbourTable("no/such")
    assert repr(NeighbourTable("eth0", families=iter([4]))) == "<NeighbourTable new>"


async def test_the_parameters_of_a_table_are_every_devices(autojump_clock: MockClock) -> None:
    async with world(parameters={"retrans_time": 0.25, "arp_accept": 1}) as w:
        assert w.table.parameters("va")["retrans_time"] == 0.25
        w.peer.announce(ABSENT)
        await trio.testing.wait_all_tasks_blocked()
        assert w.state(ABSENT) is neighio.NudState.STALE


async def test_two_tables_with_one_seed_live_the_same_life(autojump_clock: MockClock) -> None:
    drawn = []
    for _ in range(2):
        async with world() as w:
            drawn.append(w.table.parameters("va")["reachable_time"])
    assert drawn[0] == drawn[1]


def test_an_interrupt_does_not_reach_into_the_machine() -> None:
    """A KeyboardInterrupt waits until the mutation under way is complete."""
    reached: list[str] = []

    def hook(_: object) -> None:
        signal.raise_signal(signal.SIGINT)
        reached.append("end of the hook")

    async def main() -> None:
        async with world(neigh_construct=hook) as w:
            try:
                await w.table.resolve(PEER)
            finally:
                reached.append(f"{w.table.arp.statistics().entries} entry")

    with pytest.raises(KeyboardInterrupt):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    assert reached == ["end of the hook", "1 entry"]


async def test_a_fake_interface_is_a_device_like_any_other() -> None:
    """The packet link's own code below the table, without privileges."""
    interface = FakeInterface(name="fa", index=4711)
    link = open_packet_link(interface, socket_factory=interface.socket)
    async with neighio.open_table(neighio.Device(link, addresses=["198.51.100.1/24"])) as table:
        assert table.devices["fa"].lladdr == interface.lladdr
        with table.subscribe() as events:
            interface.inject(b"\xff" * 60)
            table.add(PEER, lladdr=OURS)
            assert lines([await anext(events), await anext(events)]) == [
                f"{PEER} dev fa lladdr {OURS} PERMANENT"
            ]
