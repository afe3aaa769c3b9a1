"""The whole product of states and stimuli, against a table of this page's own and against TRANSITIONS.

After each stimulus everything that it may touch is compared: frames, events and their order, state, address,
flags, probe counter, the stamps, references and the timer.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from itertools import product
from math import inf
from typing import NamedTuple

import pytest

from neighio.core.constants import (
    NEIGH_UPDATE_F_ADMIN,
    NEIGH_UPDATE_F_EXT_LEARNED,
    NEIGH_UPDATE_F_EXT_VALIDATED,
    NEIGH_UPDATE_F_ISROUTER,
    NEIGH_UPDATE_F_MANAGED,
    NEIGH_UPDATE_F_OVERRIDE,
    NEIGH_UPDATE_F_OVERRIDE_ISROUTER,
    NEIGH_UPDATE_F_USE,
    NEIGH_UPDATE_F_WEAK_OVERRIDE,
    NTF_EXT_LEARNED,
    NTF_EXT_VALIDATED,
    NTF_MANAGED,
    NTF_ROUTER,
    NUD_DELAY,
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
    nud_state_name,
)
from neighio.core.events import DelNeighbour, NewNeighbour
from neighio.core.transitions import STATES as TABLE_STATES
from neighio.core.transitions import TRANSITIONS, allowed

from .bench import LLADDR, OTHER, PARAMETERS, REACHABLE_TIME, STATES, Bench, Facts, changes

pytestmark = pytest.mark.usefixtures("family")

N, IC, R, S, D, P, F, NA, PE = STATES

DELAY_TIME = PARAMETERS["delay_first_probe_time"]
RETRANS = PARAMETERS["retrans_time"]
LONG_AGO = 2 * PARAMETERS["base_reachable_time"]
ALL_FLAGS = NTF_EXT_LEARNED | NTF_EXT_VALIDATED | NTF_MANAGED | NTF_ROUTER

UNTOUCHED, NOW = "untouched", "now"


class Expected(NamedTuple):
    """What a stimulus does. ``timer``: seconds from now, inf for idle, or UNTOUCHED."""

    state: int
    told: list[str]
    stamps: str = ""
    """Which of (c)onfirmed, (u)sed, u(p)dated become now; the others keep their value."""
    timer: float | str = UNTOUCHED
    probes: int | str = UNTOUCHED


def check(bench: Bench, before: Facts, told: list[str], expected: Expected) -> None:
    facts = bench.facts()

    def stamp(letter: str, old: float) -> float:
        return bench.now if letter in expected.stamps else old

    timer = before.timer
    if not isinstance(expected.timer, str):
        timer = bench.now + expected.timer
    assert told == expected.told
    assert facts == before._replace(
        state=expected.state,
        probes=before.probes if isinstance(expected.probes, str) else expected.probes,
        confirmed=stamp("c", before.confirmed),
        used=stamp("u", before.used),
        updated=stamp("p", before.updated),
        timer=timer,
        refcnt=1 if timer == inf else 2,
    )


# -- output, with and without a packet, with and without probes to send

UCAST = int(PARAMETERS["ucast_solicit"])
RESOLVE = Expected(IC, ["request to all"], "up", RETRANS, UCAST + 1)

OUTPUT = {
    # state: with a packet, without one
    N: (RESOLVE, RESOLVE),
    IC: (Expected(IC, [], "u"), Expected(IC, [], "u")),
    R: (Expected(R, ["p1 to 0b"], "u"), Expected(R, [], "u")),
    S: (Expected(D, ["p1 to 0b"], "up", DELAY_TIME), Expected(D, [], "up", DELAY_TIME)),
    D: (Expected(D, ["p1 to 0b"], "u"), Expected(D, [], "u")),
    P: (Expected(P, ["p1 to 0b"], "u"), Expected(P, [], "u")),
    F: (RESOLVE, RESOLVE),
    NA: (Expected(NA, ["p1 to 0b"], "u"), Expected(NA, [], "u")),
    PE: (Expected(PE, ["p1 to 0b"], "u"), Expected(PE, [], "u")),
}
NO_PROBES = {
    N: (Expected(F, ["p1 PacketDropped"], "up"), Expected(F, [], "up")),
    F: (Expected(F, ["p1 PacketDropped"], "up"), Expected(F, [], "up")),
}


@pytest.mark.parametrize("flags", [0, ALL_FLAGS])
@pytest.mark.parametrize("with_packet", [True, False])
@pytest.mark.parametrize("state", STATES)
def test_output(state: int, with_packet: bool, flags: int) -> None:
    for parameters, table in ({}, OUTPUT), ({"mcast_solicit": 0, "app_solicit": 0}, {**OUTPUT, **NO_PROBES}):
        bench = Bench()
        bench.put(state, flags)
        bench.set(**parameters)
        before = bench.facts()
        bench.now += 0.125

        told = bench.output() if with_packet else bench.wish()
        check(bench, before, told, table[state][not with_packet])


# -- timer: state, condition -> what happens

Prepare = Callable[[Bench], None]


def nothing(bench: Bench) -> None:
    pass


def confirm_just_before(bench: Bench) -> None:
    bench.now = bench.facts().timer - 0.5
    bench.confirm()


def use_just_before(bench: Bench) -> None:
    bench.now = bench.facts().timer - 0.5
    bench.wish()


def no_probes(bench: Bench) -> None:
    bench.set(ucast_solicit=0, app_solicit=0, mcast_solicit=0, mcast_resolicit=0)


def exhaust(bench: Bench) -> None:
    while bench.facts().probes < {IC: 6, P: 3}[bench.facts().state]:
        bench.fire()


V = NTF_EXT_VALIDATED
TIMER = [
    (R, 0, confirm_just_before, Expected(R, [], timer=REACHABLE_TIME - 0.5)),
    (R, 0, use_just_before, Expected(D, [], "p", DELAY_TIME)),
    (R, 0, nothing, Expected(S, ["new STALE 0b"], "p", inf)),
    (D, 0, confirm_just_before, Expected(R, ["new REACHABLE 0b"], "p", REACHABLE_TIME - 0.5)),
    (D, 0, nothing, Expected(P, ["request to 0b", "new PROBE 0b"], "p", RETRANS, 1)),
    (D, 0, no_probes, Expected(F, ["new FAILED"], "p", inf, 0)),
    (D, V, no_probes, Expected(S, ["new STALE 0b"], "p", inf, 0)),
    (IC, 0, nothing, Expected(IC, ["request to all"], "", RETRANS, UCAST + 2)),
    (IC, 0, confirm_just_before, Expected(IC, ["request to all"], "", RETRANS, UCAST + 2)),
    (IC, 0, exhaust, Expected(F, ["new FAILED"], "p", inf)),
    (IC, V, exhaust, Expected(F, ["new FAILED"], "p", inf)),
    (P, 0, nothing, Expected(P, ["request to 0b"], "", RETRANS, 2)),
    (P, 0, confirm_just_before, Expected(P, ["request to 0b"], "", RETRANS, 2)),
    (P, 0, exhaust, Expected(F, ["new FAILED"], "p", inf)),
    (P, V, exhaust, Expected(S, ["new STALE 0b"], "p", inf)),
]


@pytest.mark.parametrize(("state", "flags", "prepare", "expected"), TIMER)
def test_timer(state: int, flags: int, prepare: Prepare, expected: Expected) -> None:
    bench = Bench()
    bench.put(state, flags)
    prepare(bench)
    before = bench.facts()
    told = bench.fire()
    if "request to 0b" in told and bench.asking():
        expected = expected._replace(stamps=expected.stamps + "u")

    check(bench, before, told, expected)


@pytest.mark.parametrize("state", [N, S, F, NA, PE])
def test_timer_of_a_state_that_has_none_is_idle(state: int) -> None:
    bench = Bench()
    bench.put(state)

    assert bench.facts().timer == inf


# -- confirmation


@pytest.mark.parametrize("flags", [0, ALL_FLAGS])
@pytest.mark.parametrize("state", STATES)
def test_confirmation(state: int, flags: int) -> None:
    bench = Bench()
    bench.put(state, flags)
    before = bench.facts()
    bench.now += 0.125

    check(bench, before, bench.confirm(), Expected(state, [], "c"))


# -- flush: of what a holder keeps an empty shell is left, of others nothing

FLUSH = {N: N, IC: N, F: N, R: NA, S: NA, D: NA, P: NA, NA: NA, PE: NA}
ADDRESS = {state: " 0b" if state in (R, S, D, P, NA, PE) else "" for state in STATES}


@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("state", STATES)
def test_flush(state: int, held: bool) -> None:
    bench = Bench()
    neighbour = bench.put(state)
    bench.output() if state == IC else None
    if held:
        bench.cache.hold(neighbour.row)
    before = neighbour.confirmed, neighbour.used, neighbour.updated
    bench.now += 0.125
    bench.engine.link_down(7, bench.now)

    told = bench.told()
    shown = FLUSH[state] if held else state
    event = f"del {nud_state_name(shown) or 'NONE'}{ADDRESS[state]}"
    purged = ["p1 DeviceGone"] if state == IC else []
    assert told == ([*purged, event] if held else [event, *purged])
    assert bench.find() is None
    assert neighbour.exists == held
    if held:
        assert (neighbour.nud_state, neighbour.dead, neighbour.refcnt) == (FLUSH[state], True, 1)
        assert (neighbour.confirmed, neighbour.used, neighbour.updated) == before
    assert bench.wait(100) == []


# -- update: state x address x new state x flags, against the rules U1 to U15 written down once more

FLAGS = (
    NEIGH_UPDATE_F_ADMIN,
    NEIGH_UPDATE_F_OVERRIDE,
    NEIGH_UPDATE_F_WEAK_OVERRIDE,
    NEIGH_UPDATE_F_OVERRIDE_ISROUTER,
    NEIGH_UPDATE_F_ISROUTER,
    NEIGH_UPDATE_F_USE,
    NEIGH_UPDATE_F_MANAGED,
)
LEARNED, VALIDATED = NEIGH_UPDATE_F_EXT_LEARNED, NEIGH_UPDATE_F_EXT_VALIDATED
EXTENDED = (0, LEARNED, VALIDATED, LEARNED | VALIDATED)
ADMINISTERED = (
    (LEARNED, NTF_EXT_LEARNED),
    (VALIDATED, NTF_EXT_VALIDATED),
    (NEIGH_UPDATE_F_MANAGED, NTF_MANAGED),
)
CONNECTED = (R, NA, PE)
VALID = (*CONNECTED, S, D, P)
IN_TIMER = (IC, R, D, P)
START = {R: REACHABLE_TIME, D: 0.004, P: 0.004}


class Outcome(NamedTuple):
    failure: int
    facts: Facts
    told: list[str]


def rules(now: float, old: Facts, lladdr: bytes | None, new: int, flags: int, queued: list[str]) -> Outcome:
    """What the update routine makes of an entry: the specification's rules, one after another."""
    admin = flags & NEIGH_UPDATE_F_ADMIN
    if not admin and old.state in (NA, PE):  # U1
        return Outcome(errno.EPERM, old, [])
    entry = old
    notify = False
    if admin:  # U2
        kept = old.flags & NTF_ROUTER
        entry = entry._replace(flags=kept | sum(ntf for asked, ntf in ADMINISTERED if flags & asked))
        notify = entry.flags != old.flags
    told: list[str] = []
    failure = 0
    router = False
    if flags & (NEIGH_UPDATE_F_USE | NEIGH_UPDATE_F_MANAGED):  # U3
        entry = entry._replace(state=N if old.state == PE else old.state)
    elif new not in VALID:  # U4
        entry = entry._replace(state=new, timer=inf)
        notify = old.state in VALID
        if old.state in (IC, P) and new == F:
            told = [f"{packet} Unreachable reported" for packet in queued]
            entry = entry._replace(updated=now)
            notify = True
    elif lladdr is None and old.state not in VALID:  # U5
        failure = errno.EINVAL
    else:
        other = old.state not in VALID or lladdr not in (None, old.lladdr)  # U5
        if new in CONNECTED:  # U6
            entry = entry._replace(confirmed=now)
        router = bool(flags & NEIGH_UPDATE_F_OVERRIDE_ISROUTER)
        refused = False
        if old.state in VALID and other and not flags & NEIGH_UPDATE_F_OVERRIDE:  # U7
            router = False
            if flags & NEIGH_UPDATE_F_WEAK_OVERRIDE and old.state in CONNECTED:
                other, new = False, S
            else:
                refused = True
        elif old.state in VALID and not other and new == S and not admin:  # U7'
            new = old.state
        if not refused:
            if new != old.state or other:  # U8
                entry = entry._replace(updated=now)
                notify = True
            if new != old.state:  # U9
                entry = entry._replace(state=new, timer=inf)
                if new == P:
                    entry = entry._replace(probes=0)
                if new in IN_TIMER:
                    used = max(entry.used, entry.confirmed)
                    entry = entry._replace(timer=now + START[new], used=used)
            if other:  # U10
                assert lladdr is not None
                entry = entry._replace(lladdr=lladdr)
                if new not in CONNECTED:
                    entry = entry._replace(confirmed=now - LONG_AGO)
            if old.state not in VALID:  # U12
                told = [f"{packet} to {entry.lladdr[-1]:02x}" for packet in queued]
                if queued:
                    entry = entry._replace(used=now)
                    if new == S:
                        entry = entry._replace(state=D, updated=now, timer=now + DELAY_TIME)
    if router:  # U13
        becomes = NTF_ROUTER if flags & NEIGH_UPDATE_F_ISROUTER else 0
        notify = notify or entry.flags & NTF_ROUTER != becomes
        entry = entry._replace(flags=entry.flags & ~NTF_ROUTER | becomes)
    if notify:  # U15
        shown = f" {entry.lladdr[-1]:02x}" if entry.state in VALID else ""
        told = [*told, f"new {nud_state_name(entry.state) or 'NONE'}{shown}"]
    return Outcome(failure, entry._replace(refcnt=1 if entry.timer == inf else 2), told)


# The states, and the two in which packets wait: INCOMPLETE, and the NONE that an administrator made of it.
START_STATES = [*((state, False) for state in STATES), (IC, True), (N, True)]


def cases() -> Iterator[tuple[bytes | None, int, int, int]]:
    """Address, new state and all combinations of flags; old flags and EXT_* flags take turns."""
    turn = 0
    for lladdr, new in product((None, LLADDR, OTHER), STATES):
        for chosen in product((False, True), repeat=len(FLAGS)):
            flags = sum(flag for flag, on in zip(FLAGS, chosen, strict=True) if on)
            turn += 1
            yield lladdr, new, flags | EXTENDED[turn * 7 // 3 % 4], (0, ALL_FLAGS, NTF_ROUTER)[turn % 3]


@pytest.mark.parametrize(("state", "queued"), START_STATES)
def test_update(state: int, queued: bool) -> None:
    bench = Bench()
    for lladdr, new, flags, old_flags in cases():
        # put() runs the clock for PROBE; keep each case within the first reachable_time.
        neighbour = bench.put(state if not (queued and state == N) else IC, old_flags)
        waiting = []
        if queued:
            bench.output()
            waiting = [f"p{bench.packets}"]
            if state == N:
                bench.update(None, N, 0, stimulus="admin")
        before = bench.facts()
        bench.now += 0.125
        row, accounted = neighbour.row, bench.cache.gc_entries

        told = bench.update(lladdr, new, flags, stimulus="admin")

        case = f"{before} given {lladdr!r} {new:#x} flags {flags:#x}"
        outcome = rules(bench.now, before, lladdr, new, flags, waiting)
        assert (bench.failure, bench.facts(), told) == outcome, case
        # U14: off the collector's list while PERMANENT or EXT_*, on the managed list while MANAGED
        facts = outcome.facts
        exempt = facts.state == PE or facts.flags & (NTF_EXT_LEARNED | NTF_EXT_VALIDATED)
        assert bench.collectable() == ([] if exempt else [row]), (case, accounted)
        assert list(bench.cache.managed_list) == ([row] if facts.flags & NTF_MANAGED else []), case
        bench.engine.link_down(7, bench.now)
        bench.outputs()
    assert (bench.cache.statistics.allocs, bench.cache.gc_entries) == (bench.cache.statistics.destroys, 0)


# -- the table that documents the machine

STIMULI = ("output", "timer", "evidence", "verify", "flush")


class Arrow(NamedTuple):
    old: int
    stimulus: str
    new: int
    event: int | None


def walk() -> Iterator[Arrow]:
    """Every change that a stimulus other than an administrator's makes."""
    for state in STATES:
        for with_packet, mcast in product((True, False), (4, 0)):
            bench = traced(state)
            bench.set(mcast_solicit=mcast, app_solicit=0)
            if with_packet:
                bench.send()
            else:
                bench.engine.services.now = bench.now
                bench.nud.event_send(bench.entry().row, None)
            yield from seen(bench)
        for held in (True, False):
            bench = traced(state)
            row = bench.entry().row
            if held:
                bench.cache.hold(row)
            bench.engine.link_down(7, bench.now)
            yield from seen(bench)
        bench = traced(state)
        bench.engine.verify(bench.entry(), bench.now)
        yield from seen(bench)
        for lladdr, new, flags, queued in product((None, LLADDR, OTHER), (R, S), range(4), (False, True)):
            bench = traced(state)
            if queued and state == IC:
                bench.send()
            bench.engine.services.now = bench.now
            bench.nud.update(bench.entry().row, lladdr, new, flags, "evidence")
            yield from seen(bench)
    for state, flags, prepare, _ in TIMER:
        bench = Bench(tracing=True)
        bench.put(state, flags)
        prepare(bench)
        bench.outputs()
        bench.now = bench.facts().timer
        while bench.facts().timer <= bench.now:
            bench.now += 1 / 256
            bench.engine.handle_timers(("device", 7), bench.now)
        yield from seen(bench)


def traced(state: int) -> Bench:
    bench = Bench(tracing=True)
    bench.put(state)
    bench.now += 0.125
    return bench


def seen(bench: Bench) -> Iterator[Arrow]:
    outputs = bench.outputs()
    events = [o.state for o in outputs if isinstance(o, NewNeighbour | DelNeighbour)]
    for change in changes(outputs):
        yield Arrow(change.old_state, change.stimulus, change.state, events[-1] if change.notified else None)


def test_the_table_names_every_arrow_that_the_machine_takes_with_its_event_and_no_other() -> None:
    taken = set(walk())
    drawn = {Arrow(old, row.stimulus, row.new, row.event) for row in TRANSITIONS for old in row.old}
    # What changes neither state nor address leaves no trace, though a flush tells that the entry went.
    loops = {arrow for arrow in drawn if arrow.old == arrow.new and arrow.event in (None, N, NA)}

    assert taken - drawn == set(), "the machine does what the table does not say"
    assert drawn - taken - loops == set(), "the table says what the machine does not do"


def test_the_table_has_one_row_for_each_timer_condition() -> None:
    drawn = sorted(
        (old, row.new, row.event or 0) for row in TRANSITIONS if row.stimulus == "timer" for old in row.old
    )
    walked = {(state, expected.state, _event(expected)) for state, _, _, expected in TIMER}

    assert set(drawn) == walked


def _event(expected: Expected) -> int:
    shown = [line.split()[1] for line in expected.told if line.startswith("new")]
    return next((state for state in STATES if [nud_state_name(state)] == shown), 0)


def test_the_table_knows_all_states_and_stimuli() -> None:
    assert TABLE_STATES == STATES == (
        NUD_NONE, NUD_INCOMPLETE, NUD_REACHABLE, NUD_STALE, NUD_DELAY, NUD_PROBE, NUD_FAILED, NUD_NOARP, NUD_PERMANENT,
    )  # fmt: skip
    assert {row.stimulus for row in TRANSITIONS} == set(STIMULI)


def test_the_machine_asks_the_table_and_only_an_administrator_may_do_anything() -> None:
    for old, new in product(STATES, STATES):
        assert allowed(old, "admin", new)
        for stimulus in STIMULI:
            drawn = any(old in row.old and row.new == new and row.stimulus == stimulus for row in TRANSITIONS)
            assert allowed(old, stimulus, new) == drawn
