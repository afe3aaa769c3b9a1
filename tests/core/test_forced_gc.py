"""Forced garbage collection: who goes, in which order, and when it stops (2.2)."""

from __future__ import annotations

import pytest

from neighio.address import parse_ip
from neighio.core.collect import CANDIDATES
from neighio.core.constants import (
    NTF_EXT_LEARNED,
    NTF_EXT_VALIDATED,
    NTF_MANAGED,
    NUD_DELAY,
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
)
from neighio.errors import TableFull
from neighio.testing.simulation import Simulation

from .families import current, host, many, packed
from .helpers import (
    CHANGE,
    PEER,
    REPLACE,
    add,
    alive,
    cache,
    fill,
    gc_order,
    lines,
    node,
    thresholds,
)
from .station import Station

pytestmark = pytest.mark.usefixtures("family")


def force(sim: Simulation) -> None:
    """Make one entry with gc_thresh2 at zero: everything that may go does."""
    thresholds(sim, 0, 0, 1 << 20)
    cache(sim).last_flush = float("-inf")
    sim.hold(host(200))
    assert cache(sim).statistics.forced_gc_runs == 1


CANDIDACY = [
    # state, flags, held, seconds since updated -> removed
    ("NONE, young", NUD_NONE, 0, False, 0.0, False),
    ("NONE, old", NUD_NONE, 0, False, 5.5, True),
    ("FAILED, young", NUD_FAILED, 0, False, 0.0, True),
    ("NOARP, young", NUD_NOARP, 0, False, 0.0, True),
    ("STALE, young", NUD_STALE, 0, False, 4.5, False),
    ("STALE, exactly 5 s", NUD_STALE, 0, False, 5.0, False),
    ("STALE, old", NUD_STALE, 0, False, 5.5, True),
    ("FAILED, held", NUD_FAILED, 0, True, 0.0, False),
    ("NOARP, held", NUD_NOARP, 0, True, 0.0, False),
    ("STALE, old, held", NUD_STALE, 0, True, 60.0, False),
    ("INCOMPLETE, timer-less, old", NUD_INCOMPLETE, 0, False, 60.0, True),
    ("REACHABLE, old: its timer holds it", NUD_REACHABLE, 0, False, 5.5, False),
    ("PERMANENT, old", NUD_PERMANENT, 0, False, 60.0, False),
    ("EXT_LEARNED, old", NUD_STALE, NTF_EXT_LEARNED, False, 60.0, False),
    ("EXT_LEARNED, FAILED", NUD_FAILED, NTF_EXT_LEARNED, False, 60.0, False),
    ("EXT_VALIDATED, old", NUD_STALE, NTF_EXT_VALIDATED, False, 60.0, False),
]


@pytest.mark.parametrize(
    ("state", "flags", "held", "age", "removed"),
    [row[1:] for row in CANDIDACY],
    ids=[row[0] for row in CANDIDACY],
)
def test_what_forced_collection_removes(
    state: int, flags: int, held: bool, age: float, removed: bool
) -> None:
    sim = node()
    add(sim, host(7), state, flags=flags)
    if held:
        sim.hold(host(7))
    sim.run(age)
    force(sim)
    assert (sim.neighbour(host(7)) is None) == removed


@pytest.mark.parametrize("state", [NUD_DELAY, NUD_PROBE], ids=["DELAY", "PROBE"])
def test_an_entry_with_a_running_timer_is_no_candidate(state: int) -> None:
    sim = node(delay_first_probe_time=100.0, retrans_time=100.0)
    entry = add(sim, host(7), state)
    sim.run(50.0)
    assert entry.refcnt == 2
    force(sim)
    assert sim.neighbour(host(7)) == entry


def test_a_managed_entry_is_as_collectible_as_any() -> None:
    sim = node(mcast_solicit=0)
    add(sim, host(7), NUD_STALE, lladdr=PEER)
    sim.admin(host(7), nlm_flags=CHANGE, state=NUD_FAILED)
    sim.admin(host(7), nlm_flags=CHANGE, flags=NTF_MANAGED)
    sim.admin(host(7), nlm_flags=CHANGE, state=NUD_FAILED)
    force(sim)
    assert sim.neighbour(host(7)) is None


def test_a_multicast_entry_goes_at_any_age_and_in_any_state() -> None:
    sim = node()
    sim.release(sim.hold(current().group))
    sim.admin(current().group, nlm_flags=REPLACE, lladdr=PEER, state=NUD_STALE)
    assert sim.neighbour(current().group).nud_state == NUD_STALE  # type: ignore[union-attr]
    force(sim)
    assert sim.neighbour(current().group) is None


def test_a_noarp_entry_with_another_bit_is_not_noarp_to_the_collector() -> None:
    """The kernel compares the whole state."""
    sim = node()
    add(sim, host(7), NUD_NOARP | NUD_STALE)
    force(sim)
    assert sim.neighbour(host(7)) is not None


def test_an_entry_in_daily_use_goes_when_nothing_changed_for_5_s() -> None:
    """Scenario 196: neither ``used`` nor ``confirmed`` protects, Linux looks at ``updated`` alone."""
    sim = node()
    add(sim, host(7), NUD_STALE)
    sim.run(5.5)
    sim.confirm(host(7))
    force(sim)
    assert sim.neighbour(host(7)) is None


def test_a_use_that_changes_the_state_makes_an_entry_young_and_its_timer_holds_it() -> None:
    sim = node()
    add(sim, host(7), NUD_STALE)
    sim.run(5.5)
    sim.send(host(7))  # DELAY
    force(sim)
    assert sim.neighbour(host(7)) is not None


def test_exactly_the_eligible_go_oldest_insertion_first() -> None:
    """Scenario 196."""
    sim = node(base_reachable_time=100.0)
    Station(sim.segment, PEER, host(3))
    add(sim, host(2), NUD_STALE)  # old
    sim.resolve(host(3))  # REACHABLE: its timer holds it
    add(sim, host(4), NUD_FAILED)  # at any age
    add(sim, host(5), NUD_PERMANENT)  # not on the list
    add(sim, host(6), NUD_NOARP)
    add(sim, host(7), NUD_STALE)  # held
    sim.hold(host(7))
    sim.run(6.0)
    add(sim, host(8), NUD_STALE)  # young
    sim.release(sim.hold(current().group))  # multicast
    add(sim, host(9), NUD_FAILED)
    sim.lines()
    force(sim)
    assert lines(sim) == [
        f"Deleted {host(2)} lladdr {PEER} STALE",
        f"Deleted {host(4)} FAILED",
        f"Deleted {host(6)} lladdr {PEER} NOARP",
        f"Deleted {current().group} lladdr {current().group_lladdr} NOARP",
        f"Deleted {host(9)} FAILED",
    ]


def test_it_stops_when_gc_thresh2_is_reached_again() -> None:
    sim = node()
    ips = fill(sim, 0, 10, NUD_FAILED)
    thresholds(sim, 0, 7, 9)
    sim.hold(host(200))  # ten and the new one, minus seven
    assert alive(sim) == {*ips[4:], host(200)}


def test_it_examines_one_candidate_even_when_there_is_nothing_to_remove() -> None:
    """Tested after each candidate: with max_clean <= 0 the first one decides alone."""
    sim = node()
    ips = fill(sim, 0, 2, NUD_FAILED)
    thresholds(sim, 0, 3, 2)
    sim.hold(host(200))
    assert alive(sim) == {ips[1], host(200)}


def test_it_examines_no_second_candidate_when_there_is_nothing_to_remove() -> None:
    sim = node()
    ips = [*fill(sim, 0, 1, NUD_STALE), *fill(sim, 1, 1, NUD_FAILED)]
    thresholds(sim, 0, 3, 2)
    with pytest.raises(TableFull):
        sim.hold(host(200))
    assert alive(sim) == set(ips)


def test_referenced_entries_are_passed_over_on_the_way_to_the_first_candidate() -> None:
    sim = node()
    ips = fill(sim, 0, 3, NUD_FAILED)
    sim.hold(ips[0])
    thresholds(sim, 0, 4, 3)
    sim.hold(host(200))
    assert alive(sim) == {ips[0], ips[2], host(200)}


def test_it_counts_a_run_even_if_nothing_is_removed_and_stamps_last_flush() -> None:
    sim = node()
    add(sim, host(7), NUD_STALE)
    force(sim)
    assert cache(sim).last_flush == sim.now


def test_what_is_removed_is_told_in_its_present_state_and_counts_no_failure() -> None:
    sim = node()
    add(sim, host(7), NUD_STALE)
    sim.run(6.0)
    sim.lines()
    force(sim)
    assert lines(sim) == [f"Deleted {host(7)} lladdr {PEER} STALE"]
    assert cache(sim).statistics.res_failed == 0
    assert cache(sim).statistics.destroys == 1


# -- the list's order (U14)


def test_losing_an_exemption_enters_the_list_at_its_tail_gaining_one_leaves_it() -> None:
    """Scenario 198."""
    sim = node()
    ips = fill(sim, 0, 4)
    sim.admin(ips[0], nlm_flags=CHANGE, lladdr=PEER, state=NUD_PERMANENT)
    assert gc_order(sim) == ips[1:]
    sim.admin(ips[0], nlm_flags=CHANGE, lladdr=PEER, state=NUD_STALE)
    assert gc_order(sim) == [*ips[1:], ips[0]]
    assert cache(sim).gc_entries == 4


@pytest.mark.parametrize("flag", [NTF_EXT_LEARNED, NTF_EXT_VALIDATED], ids=["EXT_LEARNED", "EXT_VALIDATED"])
def test_external_flags_move_an_entry_off_the_list_and_back_to_its_tail(flag: int) -> None:
    sim = node()
    ips = fill(sim, 0, 3)
    sim.admin(ips[0], nlm_flags=CHANGE, lladdr=PEER, state=NUD_STALE, flags=flag)
    assert (gc_order(sim), cache(sim).gc_entries) == (ips[1:], 2)
    sim.admin(ips[0], nlm_flags=CHANGE, lladdr=PEER, state=NUD_STALE)
    assert (gc_order(sim), cache(sim).gc_entries) == ([*ips[1:], ips[0]], 3)


def test_one_exemption_of_two_that_goes_changes_nothing() -> None:
    sim = node()
    add(sim, host(7), NUD_PERMANENT, flags=NTF_EXT_LEARNED)
    sim.admin(host(7), nlm_flags=CHANGE, lladdr=PEER, state=NUD_PERMANENT)
    assert gc_order(sim) == []
    sim.admin(host(7), nlm_flags=CHANGE, lladdr=PEER, state=NUD_STALE)
    assert gc_order(sim) == [host(7)]


def test_use_takes_permanent_away_and_puts_the_entry_on_the_list() -> None:
    sim = node()
    add(sim, host(7), NUD_PERMANENT)
    sim.admin(host(7), nlm_flags=CHANGE, flags=0x01)
    assert gc_order(sim) == [host(7)]


def test_a_change_of_state_or_address_alone_moves_nothing() -> None:
    sim = node()
    ips = fill(sim, 0, 3)
    sim.admin(ips[0], nlm_flags=CHANGE, lladdr="02:00:00:00:00:99", state=NUD_REACHABLE)
    sim.admin(ips[1], nlm_flags=CHANGE, state=NUD_FAILED)
    assert gc_order(sim) == ips


# -- the bound that stands for the kernel's millisecond


def test_a_collection_examines_so_many_entries_at_most_and_then_leaves_last_flush() -> None:
    sim = node()
    thresholds(sim, 0, 1 << 20, 1 << 20)
    old = fill(sim, 0, CANDIDATES + 100, NUD_FAILED)
    thresholds(sim, 0, 1, 2)
    before = cache(sim).last_flush
    sim.hold(host(200))
    assert alive(sim) == {*old[CANDIDATES:], host(200)}
    assert cache(sim).last_flush == before


def test_a_list_as_long_as_the_bound_is_examined_whole() -> None:
    sim = node()
    thresholds(sim, 0, 1 << 20, 1 << 20)
    fill(sim, 0, CANDIDATES, NUD_FAILED)
    thresholds(sim, 0, 0, 1)
    sim.run(1.0)
    sim.hold(host(200))
    assert alive(sim) == {host(200)}
    assert cache(sim).last_flush == sim.now


def test_garbage_behind_ever_so_many_entries_in_use_is_found_by_one_of_the_next_collections() -> None:
    """The kernel passes over referenced entries without end; a bounded walk has to go on where it stopped."""
    sim = node()
    thresholds(sim, 0, 1 << 20, 1 << 20)
    in_use = fill(sim, 0, 2 * CANDIDATES + 50, NUD_STALE)
    for ip in in_use:
        sim.hold(ip)
    garbage = fill(sim, 5000, 3, NUD_FAILED)
    thresholds(sim, 0, 10, 100)
    refused = 0
    for _ in range(3):
        try:
            sim.hold(host(200))
        except TableFull:
            refused += 1
    assert refused == 2
    assert alive(sim) == {*in_use, host(200)}
    assert not alive(sim) & set(garbage)


def test_the_walk_that_goes_on_keeps_the_order_of_what_it_passed() -> None:
    sim = node()
    thresholds(sim, 0, 1 << 20, 1 << 20)
    ips = fill(sim, 0, CANDIDATES + 2, NUD_STALE)  # all young
    thresholds(sim, 0, 10, 100)
    with pytest.raises(TableFull):
        sim.hold(host(200))
    assert gc_order(sim) == [*ips[CANDIDATES:], *ips[:CANDIDATES]]


def test_what_a_flush_has_doomed_does_not_press_on_the_thresholds() -> None:
    """A flush in one step would have removed it before: nobody else may have to go for it."""
    sim = node()
    thresholds(sim, 0, 1 << 20, 1 << 20)
    fill(sim, 0, 600, NUD_STALE)
    index = sim.device("va").index
    sim.engine.set_lladdr(index, b"\2\0\0\0\0\x0c", sim.now)
    young = many(2000, 3)
    for ip in young:
        sim.engine.new_neighbour(index, parse_ip(ip)[0], sim.now, state=NUD_FAILED, nlm_flags=REPLACE)
    thresholds(sim, 0, 10, 12)
    sim.engine.neighbour(index, packed(200), sim.now)
    assert cache(sim).statistics.forced_gc_runs == 0
    assert alive(sim) == {*young, host(200)}
