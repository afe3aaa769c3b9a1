"""The trace: every change, told or not; and what Linux tells is a filter of it."""

from __future__ import annotations

import pytest

from neighio.core.constants import (
    NEIGH_UPDATE_F_ADMIN,
    NEIGH_UPDATE_F_EXT_LEARNED,
    NEIGH_UPDATE_F_ISROUTER,
    NEIGH_UPDATE_F_OVERRIDE,
    NEIGH_UPDATE_F_OVERRIDE_ISROUTER,
    NEIGH_UPDATE_F_USE,
    NTF_EXT_LEARNED,
    NTF_ROUTER,
    NUD_DELAY,
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_REACHABLE,
    NUD_STALE,
    NUD_VALID,
)
from neighio.core.engine import device_scope
from neighio.core.events import Change, DelNeighbour, Miss, NewNeighbour, Output

from .bench import DEVICE, LLADDR, OTHER, Bench, changes, play
from .families import host, packed

pytestmark = pytest.mark.usefixtures("family")

ADMIN, OVERRIDE = NEIGH_UPDATE_F_ADMIN, NEIGH_UPDATE_F_OVERRIDE


def words(change: Change) -> str:
    """old -> new by stimulus, and what else turned over."""
    text = str(change).removeprefix(f"{host(2)} dev va ")
    return text.replace("02:00:00:00:00:", "")


def trace(bench: Bench) -> list[str]:
    return [words(change) for change in changes(bench.outputs())]


def act(
    bench: Bench, lladdr: bytes | None, new: int, flags: int = 0, stimulus: str = "evidence"
) -> list[str]:
    bench.engine.services.now = bench.now
    bench.nud.update(bench.entry().row, lladdr, new, flags, stimulus)
    return trace(bench)


def test_a_change_says_what_was_what_is_when_why_and_whether_linux_tells() -> None:
    bench = Bench(tracing=True)
    bench.put(NUD_STALE, NTF_EXT_LEARNED)
    bench.now += 0.5
    bench.send()
    (change,) = changes(bench.outputs())

    assert change == Change(
        time=1000.5,
        family=bench.family.number,
        key=packed(),
        device="va",
        stimulus="output",
        old_state=NUD_STALE,
        state=NUD_DELAY,
        old_lladdr=change.lladdr,
        lladdr=change.lladdr,
        old_flags=NTF_EXT_LEARNED,
        flags=NTF_EXT_LEARNED,
        notified=False,
        row=bench.entry().row,
    )
    assert change.lladdr == LLADDR
    assert str(change) == f"{host(2)} dev va STALE -> DELAY by output (silent)"


def test_a_whole_life_silent_changes_included() -> None:
    bench = Bench(tracing=True, ucast_solicit=1, mcast_resolicit=0)
    bench.send()
    found = trace(bench)
    found += act(bench, LLADDR, NUD_REACHABLE)
    for seconds in (12, 1):
        bench.now += seconds
        bench.engine.handle_timers(device_scope(DEVICE), bench.now)
    found += trace(bench)
    bench.send()
    for _ in range(16):
        bench.now += 0.125
        bench.engine.handle_timers(device_scope(DEVICE), bench.now)
    found += trace(bench)
    bench.engine.delete_neighbour(DEVICE, packed(), bench.now)
    found += trace(bench)

    assert found == [
        "NONE -> INCOMPLETE by output (silent)",
        "INCOMPLETE -> REACHABLE by evidence lladdr none -> 0b",
        "REACHABLE -> STALE by timer",
        "STALE -> DELAY by output (silent)",
        "DELAY -> PROBE by timer",
        "PROBE -> FAILED by timer lladdr 0b -> none",
    ]


def test_a_queue_that_makes_delay_of_stale_is_two_changes_and_one_event() -> None:
    bench = Bench(tracing=True)
    bench.send()
    bench.outputs()
    bench.engine.services.now = bench.now
    bench.nud.update(bench.entry().row, LLADDR, NUD_STALE, 0)
    outputs = bench.outputs()

    assert [words(change) for change in changes(outputs)] == [
        "INCOMPLETE -> STALE by evidence lladdr none -> 0b",
        "STALE -> DELAY by output (silent)",
    ]
    assert [o.state for o in outputs if isinstance(o, NewNeighbour)] == [NUD_DELAY]


@pytest.mark.parametrize(
    ("state", "lladdr", "new", "flags", "expected"),
    [
        (NUD_REACHABLE, LLADDR, NUD_REACHABLE, 0, []),
        (NUD_REACHABLE, OTHER, NUD_REACHABLE, 0, []),
        (NUD_REACHABLE, OTHER, NUD_REACHABLE, OVERRIDE, ["REACHABLE -> REACHABLE by admin lladdr 0b -> 0c"]),
        (NUD_STALE, LLADDR, NUD_STALE, NEIGH_UPDATE_F_OVERRIDE_ISROUTER | NEIGH_UPDATE_F_ISROUTER, ["STALE -> STALE by admin flags 0x0 -> 0x80"]),
        (NUD_FAILED, None, NUD_NONE, ADMIN, ["FAILED -> NONE by admin (silent)"]),
        (NUD_NONE, None, NUD_NONE, ADMIN | NEIGH_UPDATE_F_EXT_LEARNED, ["NONE -> NONE by admin flags 0x0 -> 0x10 (silent)"]),
        (NUD_PERMANENT, None, NUD_NONE, ADMIN | NEIGH_UPDATE_F_USE, ["PERMANENT -> NONE by admin lladdr 0b -> none (silent)"]),
        (NUD_INCOMPLETE, None, NUD_FAILED, ADMIN, ["INCOMPLETE -> FAILED by admin"]),
    ],
)  # fmt: skip
def test_updates_are_traced_if_they_change_anything(
    state: int, lladdr: bytes | None, new: int, flags: int, expected: list[str]
) -> None:
    bench = Bench(tracing=True)
    bench.put(state)

    assert act(bench, lladdr, new, flags, "admin") == expected


def test_state_address_and_router_flag_at_once_are_one_event() -> None:
    bench = Bench(tracing=True)
    bench.put(NUD_REACHABLE)
    bench.engine.services.now = bench.now
    flags = OVERRIDE | NEIGH_UPDATE_F_OVERRIDE_ISROUTER | NEIGH_UPDATE_F_ISROUTER
    bench.nud.update(bench.entry().row, OTHER, NUD_STALE, flags)
    outputs = bench.outputs()

    assert [words(change) for change in changes(outputs)] == [
        "REACHABLE -> STALE by evidence lladdr 0b -> 0c",
        "STALE -> STALE by evidence flags 0x0 -> 0x80",
    ]
    (event,) = [o for o in outputs if isinstance(o, NewNeighbour)]
    assert (event.state, event.flags) == (NUD_STALE, NTF_ROUTER)


@pytest.mark.parametrize("state", [NUD_REACHABLE, NUD_INCOMPLETE, NUD_FAILED])
def test_a_flush_traces_what_it_makes_of_a_held_entry(state: int) -> None:
    bench = Bench(tracing=True)
    bench.cache.hold(bench.put(state).row)
    bench.engine.link_down(DEVICE, bench.now)
    (change,) = changes(bench.outputs())

    assert (change.old_state, change.stimulus, change.notified) == (state, "flush", True)
    assert change.state == (NUD_NOARP if state & NUD_VALID else NUD_NONE)


def test_no_trace_unless_somebody_traces() -> None:
    bench = Bench(tracing=False)
    bench.send()

    assert changes(bench.outputs()) == []


# -- the property: play a random life with and without a trace


@pytest.mark.parametrize("seed", range(5))
def test_notifications_are_a_filter_of_the_trace(seed: int) -> None:
    """A stimulus that notifies has a change that says so, and the other way round, entry by entry."""
    silent = loud = 0
    for outputs in play(Bench(tracing=True), seed, 400):
        told = {o.key for o in outputs if isinstance(o, NewNeighbour)}
        gone = {o.key for o in outputs if isinstance(o, DelNeighbour)}
        notified = {change.key for change in changes(outputs) if change.notified}
        assert told <= notified <= told | gone
        loud += len(told)
        silent += sum(not change.notified for change in changes(outputs))
    assert loud > 50 and silent > 50


@pytest.mark.parametrize("seed", range(5))
def test_tracing_changes_nothing_else(seed: int) -> None:
    plain, traced = Bench(), Bench(tracing=True)
    for without, with_trace in zip(play(plain, seed, 400), play(traced, seed, 400), strict=True):
        assert comparable(without) == comparable([o for o in with_trace if not isinstance(o, Change)])


def comparable(outputs: list[Output]) -> list[object]:
    return [
        o if isinstance(o, NewNeighbour | DelNeighbour | Miss) else (type(o), getattr(o, "frame", None))
        for o in outputs
    ]


@pytest.mark.parametrize("seed", range(5))
def test_the_trace_has_no_gap(seed: int) -> None:
    """Each change begins where the entry's last one ended: nothing changes untraced."""
    bench = Bench(tracing=True)
    known: dict[bytes, tuple[object, ...]] = {}
    for outputs in play(bench, seed, 400):
        for output in outputs:
            if isinstance(output, Change):
                begin = (output.old_state, output.old_lladdr, output.old_flags)
                assert begin == known.get(output.key, (NUD_NONE, None, 0))
                known[output.key] = (output.state, output.lladdr, output.flags)
            elif isinstance(output, DelNeighbour):
                known.pop(output.key, None)
            elif isinstance(output, NewNeighbour):
                assert (output.state, output.lladdr, output.flags) == known[output.key]
    for key in known:
        present = bench.entry(key)
        assert (present.nud_state, present.lladdr, present.flags) == known[key]
