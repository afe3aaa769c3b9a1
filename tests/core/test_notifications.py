"""Notifications: what Linux tells user space, what is in it, and what stands before and after it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from neighio.core.constants import (
    NEIGH_UPDATE_F_ADMIN,
    NEIGH_UPDATE_F_OVERRIDE,
    NEIGH_UPDATE_F_USE,
    NLM_F_CREATE,
    NLM_F_REPLACE,
    NTF_EXT_LEARNED,
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
    RTN_UNICAST,
)
from neighio.core.events import DelNeighbour, Miss, NewNeighbour, Transmit

from .bench import DEVICE, LLADDR, OTHER, PARAMETERS, Bench
from .families import packed

REPLACE = NLM_F_CREATE | NLM_F_REPLACE


def administer(bench: Bench, state: int, **request: object) -> None:
    bench.engine.new_neighbour(
        DEVICE, packed(), bench.now, lladdr=LLADDR, state=state, nlm_flags=REPLACE, **request  # type: ignore[arg-type]
    )  # fmt: skip


def confirm_and_fire(bench: Bench) -> list[str]:
    bench.now += 0.5
    bench.confirm()
    return bench.fire()


# -- what is told


@pytest.mark.parametrize(
    ("state", "stimulus", "told"),
    [
        # the timer tells
        (NUD_REACHABLE, Bench.fire, "new STALE 0b"),
        (NUD_DELAY, Bench.fire, "new PROBE 0b"),
        (NUD_DELAY, confirm_and_fire, "new REACHABLE 0b"),
        (NUD_PROBE, lambda bench: [text for _, text in bench.wait(9)], "new FAILED"),
        (NUD_INCOMPLETE, lambda bench: [text for _, text in bench.wait(9)], "new FAILED"),
        # updates tell
        (NUD_INCOMPLETE, lambda bench: bench.update(LLADDR, NUD_REACHABLE), "new REACHABLE 0b"),
        (NUD_REACHABLE, lambda bench: bench.update(OTHER, NUD_STALE, NEIGH_UPDATE_F_OVERRIDE), "new STALE 0c"),
        (NUD_REACHABLE, lambda bench: bench.update(None, NUD_NONE, NEIGH_UPDATE_F_ADMIN, stimulus="admin"), "new NONE"),
    ],
)  # fmt: skip
def test_told(state: int, stimulus: Callable[[Bench], list[object]], told: str) -> None:
    bench = Bench()
    bench.put(state)
    lines = [
        line for line in stimulus(bench) if isinstance(line, str) and line.startswith(("new", "del", "miss"))
    ]

    assert lines == [told]


SILENT = {
    "creation": (NUD_NONE, lambda bench: bench.engine.neighbour(DEVICE, bytes((198, 51, 100, 9)), bench.now)),
    "NONE -> INCOMPLETE": (NUD_NONE, Bench.wish),
    "FAILED -> INCOMPLETE": (NUD_FAILED, Bench.wish),
    "INCOMPLETE, another probe": (NUD_INCOMPLETE, Bench.fire),
    "PROBE, another probe": (NUD_PROBE, Bench.fire),
    "STALE -> DELAY": (NUD_STALE, Bench.output),
    "REACHABLE confirmed": (NUD_REACHABLE, lambda bench: bench.update(LLADDR, NUD_REACHABLE)),
    "upper-layer confirmation": (NUD_DELAY, Bench.confirm),
    "a stale hint": (NUD_REACHABLE, lambda bench: bench.update(LLADDR, NUD_STALE, NEIGH_UPDATE_F_OVERRIDE)),
    "USE takes PERMANENT away": (NUD_PERMANENT, lambda bench: bench.update(None, NUD_NONE, NEIGH_UPDATE_F_ADMIN | NEIGH_UPDATE_F_USE, stimulus="admin")),
    "FAILED again": (NUD_FAILED, lambda bench: bench.update(None, NUD_FAILED, NEIGH_UPDATE_F_ADMIN, stimulus="admin")),
    "NONE fails": (NUD_NONE, lambda bench: bench.update(None, NUD_FAILED, NEIGH_UPDATE_F_ADMIN, stimulus="admin")),
    "refused by PERMANENT": (NUD_PERMANENT, lambda bench: bench.update(OTHER, NUD_REACHABLE, NEIGH_UPDATE_F_OVERRIDE)),
    "a parameter": (NUD_REACHABLE, lambda bench: bench.set(base_reachable_time=3.0)),
}  # fmt: skip


@pytest.mark.parametrize("name", SILENT)
def test_silent(name: str) -> None:
    state, stimulus = SILENT[name]
    bench = Bench()
    bench.put(state)
    stimulus(bench)

    assert bench.notifications() == []


def test_silent_reachable_to_delay_by_timer() -> None:
    bench = Bench()
    bench.put(NUD_REACHABLE)
    bench.now += 11.5
    bench.wish()

    assert bench.fire() == [] and bench.facts().state == NUD_DELAY


def test_silent_failed_without_probes_configured() -> None:
    bench = Bench(mcast_solicit=0)

    assert bench.output() == ["p1 PacketDropped"] and bench.facts().state == NUD_FAILED


@pytest.mark.parametrize("key", [bytes((224, 0, 0, 251)), bytes((198, 51, 100, 255)), b"\xff" * 4])
def test_silent_noarp_of_multicast_and_broadcast(key: bytes) -> None:
    bench = Bench()
    (line,) = bench.output(key)

    assert line.startswith("p1 to") and bench.facts(key).state == NUD_NOARP


# -- what is in it


def test_a_notification_is_the_whole_entry_as_it_is_at_that_moment() -> None:
    bench = Bench()
    administer(bench, NUD_STALE, flags=NTF_ROUTER | NTF_EXT_LEARNED, protocol=3)
    bench.now += 2
    bench.confirm()
    bench.now += 2
    bench.output()
    bench.now += PARAMETERS["delay_first_probe_time"]
    row = bench.entry().row
    bench.notifications()
    bench.engine.handle_timers(("device", DEVICE), bench.now)
    (event,) = bench.notifications()

    assert event == NewNeighbour(
        time=1005.5,
        family=2,
        key=packed(),
        device="va",
        lladdr=event.lladdr,
        state=NUD_PROBE,
        flags=NTF_ROUTER | NTF_EXT_LEARNED,
        type=RTN_UNICAST,
        probes=1,
        confirmed=1002.0,
        used=1004.0,
        updated=1005.5,
        refcnt=2,
        protocol=3,
        row=row,
    )
    assert str(event.lladdr) == "02:00:00:00:00:0b"
    assert str(event) == "198.51.100.2 dev va lladdr 02:00:00:00:00:0b router extern_learn PROBE proto 3"


def test_the_link_layer_address_is_told_only_while_it_is_valid() -> None:
    bench = Bench()
    bench.put(NUD_PROBE)
    while bench.facts().state == NUD_PROBE:
        bench.now += 0.25
        bench.engine.handle_timers(("device", DEVICE), bench.now)
    (failed,) = bench.notifications()

    assert (failed.state, failed.lladdr) == (NUD_FAILED, None)
    assert bench.facts().lladdr == LLADDR


@pytest.mark.parametrize(
    ("state", "refcnt"),
    [(NUD_REACHABLE, 2), (NUD_PROBE, 2), (NUD_DELAY, 2), (NUD_STALE, 1), (NUD_NOARP, 1), (NUD_PERMANENT, 1)],
)
def test_refcnt_told_counts_the_timer_and_whoever_causes_the_change(state: int, refcnt: int) -> None:
    bench = Bench()
    administer(bench, state)
    (event,) = bench.notifications()

    assert (event.state, event.refcnt) == (state, refcnt)


def test_refcnt_told_by_the_timer() -> None:
    bench = Bench(ucast_solicit=1, mcast_resolicit=0)
    bench.put(NUD_DELAY)
    counted = {}
    while bench.entry().nud_state != NUD_FAILED:
        bench.now += 0.25
        bench.engine.handle_timers(("device", DEVICE), bench.now)
        counted.update({event.state: event.refcnt for event in bench.notifications()})

    assert counted == {NUD_PROBE: 2, NUD_FAILED: 1}


def test_refcnt_told_of_a_deletion_is_none_but_the_holders() -> None:
    for holders in (0, 1):
        bench = Bench()
        neighbour = bench.put(NUD_STALE)
        for _ in range(holders):
            bench.cache.hold(neighbour.row)
        bench.engine.link_down(DEVICE, bench.now)
        (event,) = bench.notifications()

        assert (type(event), event.refcnt) == (DelNeighbour, holders)


def test_probes_told() -> None:
    """4 after a resolution by the first probe, 6 at its failure, 3 when PROBE fails: with Linux's defaults."""
    defaults = {"ucast_solicit": 3, "mcast_solicit": 3, "mcast_resolicit": 0}
    bench = Bench(**defaults)
    bench.output()
    bench.engine.services.now = bench.now
    bench.nud.update(bench.entry().row, LLADDR, NUD_REACHABLE, 0)
    assert [event.probes for event in bench.notifications()] == [4]

    for state, probes in ((NUD_INCOMPLETE, 6), (NUD_PROBE, 3)):
        bench = Bench(**defaults)
        bench.put(state)
        while bench.entry().nud_state != NUD_FAILED:
            bench.now += 0.25
            bench.engine.handle_timers(("device", DEVICE), bench.now)
        assert [event.probes for event in bench.notifications()] == [probes]


def test_extended_flags_stand_above_the_low_eight_bits() -> None:
    bench = Bench()
    bench.put(NUD_STALE)
    administer(bench, NUD_STALE, flags=NTF_MANAGED)
    (event,) = bench.notifications()

    assert (event.state, event.flags) == (NUD_STALE, NTF_MANAGED)


def test_a_state_of_several_bits_is_told_as_it_is() -> None:
    bench = Bench()
    administer(bench, NUD_REACHABLE | NUD_STALE)
    (event,) = bench.notifications()

    assert event.state == 0x06 and event.lladdr is not None
    assert str(event).endswith("REACHABLE STALE")


@pytest.mark.parametrize(("state", "shown"), [(NUD_INCOMPLETE, []), (NUD_PROBE, ["lladdr"])])
def test_an_application_probe_is_a_miss_with_the_count_before_it(state: int, shown: list[str]) -> None:
    bench = Bench(ucast_solicit=5, app_solicit=2, mcast_solicit=0, mcast_resolicit=0)
    bench.put(NUD_STALE if state == NUD_PROBE else NUD_NONE)
    if state == NUD_PROBE:
        bench.update(None, NUD_PROBE, NEIGH_UPDATE_F_ADMIN, stimulus="admin")
    else:
        bench.engine.resolve(DEVICE, packed(), bench.now)
    found = bench.outputs()
    for _ in range(40):
        bench.now += 0.0625
        bench.engine.handle_timers(("device", DEVICE), bench.now)
        found += bench.outputs()
    misses = [o for o in found if isinstance(o, Miss)]

    assert [(miss.state, miss.probes) for miss in misses] == [(state, 5), (state, 6)]
    assert [word for word in str(misses[0]).split() if word == "lladdr"] == shown
    assert sum(isinstance(o, Transmit) for o in found) == (5 if state == NUD_PROBE else 0)


# -- the order


def test_first_unicast_probe_leaves_before_the_probe_event_which_counts_it() -> None:
    bench = Bench()
    bench.put(NUD_DELAY)

    assert bench.fire() == ["request to 0b", "new PROBE 0b"]


def test_error_reports_come_before_the_failed_event() -> None:
    bench = Bench(mcast_solicit=1)
    bench.output()
    bench.output()

    assert bench.fire() == ["p1 Unreachable reported", "p2 Unreachable reported", "new FAILED"]


def test_queued_packets_leave_before_the_event() -> None:
    bench = Bench()
    bench.output()

    assert bench.update(LLADDR, NUD_REACHABLE) == ["p1 to 0b", "new REACHABLE 0b"]


def test_stale_evidence_with_a_queue_is_told_as_delay() -> None:
    bench = Bench()
    bench.output()

    assert bench.update(LLADDR, NUD_STALE) == ["p1 to 0b", "new DELAY 0b"]


@pytest.mark.parametrize(
    ("state", "lines"),
    [
        (NUD_REACHABLE, ["new FAILED", "del FAILED"]),
        (NUD_STALE, ["new FAILED", "del FAILED"]),
        (NUD_PERMANENT, ["new FAILED", "del FAILED"]),
        (NUD_FAILED, ["del FAILED"]),
        (NUD_NONE, ["del FAILED"]),
        (NUD_INCOMPLETE, ["p1 Unreachable reported", "new FAILED", "del FAILED"]),
    ],
)
def test_deletion_tells_failed_first_and_then_that_the_entry_went(state: int, lines: list[str]) -> None:
    bench = Bench()
    bench.put(state)
    if state == NUD_INCOMPLETE:
        bench.output()
    bench.engine.delete_neighbour(DEVICE, packed(), bench.now)

    assert bench.told() == lines


def test_deletion_of_a_held_entry_leaves_it_failed_and_untold() -> None:
    bench = Bench()
    held = bench.put(NUD_REACHABLE)
    bench.cache.hold(held.row)
    bench.engine.delete_neighbour(DEVICE, packed(), bench.now)

    assert bench.told() == ["new FAILED"]
    assert bench.entry() == held and not held.dead
    assert bench.output() == ["request to all"]


def test_flush_tells_the_newest_entry_first_in_its_present_state() -> None:
    bench = Bench()
    for last, state in enumerate((NUD_REACHABLE, NUD_PERMANENT, NUD_INCOMPLETE), 3):
        bench.put(state, key=bytes((198, 51, 100, last)))
    bench.engine.link_down(DEVICE, bench.now)

    assert bench.told() == ["del INCOMPLETE", "del PERMANENT 0b", "del REACHABLE 0b"]
