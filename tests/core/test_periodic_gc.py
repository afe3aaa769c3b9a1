"""Periodic garbage collection: when it runs, whom it takes, and in what slices (5, 4.10)."""

from __future__ import annotations

from itertools import pairwise

import pytest

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
from neighio.core.engine import family_scope
from neighio.testing.simulation import Simulation

from .families import behind, current, host, version
from .helpers import CHANGE, PEER, add, alive, cache, fill, lines, node, thresholds
from .station import Station

pytestmark = pytest.mark.usefixtures("family")


STALE_TIME = 12.0


def collecting(**parameters: float) -> Simulation:
    """A node whose collector looks at everything: gc_thresh1 is zero."""
    sim = node(gc_stale_time=STALE_TIME, **parameters)
    cache(sim).gc_thresh1 = 0
    return sim


def first_run(sim: Simulation) -> float:
    """When the collector of a node that was just made runs first."""
    return sim.now + cache(sim).parameters.reachable_time


# -- when


def test_the_first_run_is_reachable_time_after_the_start_the_next_ones_base_reachable_time_halves_later() -> (
    None
):
    sim = node()
    arp = cache(sim)
    first = arp.parameters.reachable_time
    sim.run(first - 0.1)
    assert arp.statistics.periodic_gc_runs == 0
    sim.run(0.2)
    assert arp.statistics.periodic_gc_runs == 1
    sim.run(14.8)
    assert arp.statistics.periodic_gc_runs == 1
    sim.run(0.2)
    assert arp.statistics.periodic_gc_runs == 2
    sim.run(150.0)
    assert arp.statistics.periodic_gc_runs == 12


def test_the_period_follows_the_families_default_not_a_devices_value() -> None:
    sim = node()
    sim.set("va", version(), base_reachable_time=2.0)
    sim.run(50.0)
    before = cache(sim).statistics.periodic_gc_runs
    sim.set(None, version(), base_reachable_time=8.0)
    sim.run(15.0)  # the run that was armed before
    sim.run(40.0)
    assert before <= 3
    assert cache(sim).statistics.periodic_gc_runs - before in (11, 12, 13)


def test_a_run_counts_even_if_there_is_nothing_to_do() -> None:
    sim = node()
    sim.run(100.0)
    assert cache(sim).statistics.periodic_gc_runs >= 4
    assert cache(sim).entries == 0


# -- gc_thresh1


def test_below_gc_thresh1_stale_and_failed_entries_live_for_ever() -> None:
    """Scenario 197."""
    sim = node(gc_stale_time=1.0)
    thresholds(sim, 5, 512, 1024)
    ips = [*fill(sim, 0, 2, NUD_FAILED), *fill(sim, 2, 2, NUD_STALE)]
    sim.run(24 * 3600.0)
    assert alive(sim) == set(ips)


def test_from_gc_thresh1_on_they_go() -> None:
    sim = node(gc_stale_time=1.0)
    thresholds(sim, 5, 512, 1024)
    fill(sim, 0, 2, NUD_FAILED)
    fill(sim, 2, 3, NUD_STALE)
    sim.run(60.0)
    assert alive(sim) == set()


def test_gc_thresh1_counts_all_entries_exempt_and_permanent_ones_too() -> None:
    sim = node(gc_stale_time=1.0)
    thresholds(sim, 5, 512, 1024)
    kept = fill(sim, 0, 4, NUD_PERMANENT)
    fill(sim, 4, 1, NUD_FAILED)
    assert cache(sim).gc_entries == 1
    sim.run(60.0)
    assert alive(sim) == set(kept)


# -- whom

WHOM = [
    # state, flags, held -> gone by the first run, gone some time after gc_stale_time
    ("NONE", NUD_NONE, 0, False, False, True),
    ("STALE", NUD_STALE, 0, False, False, True),
    ("NOARP", NUD_NOARP, 0, False, False, True),
    ("FAILED", NUD_FAILED, 0, False, True, True),
    ("PERMANENT", NUD_PERMANENT, 0, False, False, False),
    ("timer-less INCOMPLETE", NUD_INCOMPLETE, 0, False, False, False),
    ("FAILED, EXT_LEARNED", NUD_FAILED, NTF_EXT_LEARNED, False, False, False),
    ("STALE, EXT_LEARNED", NUD_STALE, NTF_EXT_LEARNED, False, False, False),
    ("STALE, EXT_VALIDATED", NUD_STALE, NTF_EXT_VALIDATED, False, False, False),
    ("STALE, held", NUD_STALE, 0, True, False, False),
    ("FAILED, held", NUD_FAILED, 0, True, False, False),
]


@pytest.mark.parametrize(
    ("state", "flags", "held", "at_once", "in_time"), [row[1:] for row in WHOM], ids=[row[0] for row in WHOM]
)
def test_whom_the_periodic_collector_takes(
    state: int, flags: int, held: bool, at_once: bool, in_time: bool
) -> None:
    sim = collecting()
    sim.run_until(first_run(sim) - 1.0)
    add(sim, host(7), state, flags=flags)
    if held:
        sim.hold(host(7))
    sim.run(2.0)
    assert (sim.neighbour(host(7)) is None) == at_once
    sim.run(60.0)
    assert (sim.neighbour(host(7)) is None) == in_time


@pytest.mark.parametrize("state", [NUD_REACHABLE, NUD_DELAY, NUD_PROBE], ids=["REACHABLE", "DELAY", "PROBE"])
def test_an_entry_in_a_timer_state_is_not_looked_at(state: int) -> None:
    sim = collecting(base_reachable_time=10_000.0, delay_first_probe_time=10_000.0, retrans_time=10_000.0)
    sim.set(None, version(), base_reachable_time=10.0)  # the collector's period
    sim.set("va", version(), gc_stale_time=0.5)
    add(sim, host(7), state)
    sim.run(100.0)
    entry = sim.neighbour(host(7))
    assert entry is not None
    assert cache(sim).statistics.periodic_gc_runs >= 5


def test_gc_stale_time_is_the_devices() -> None:
    sim = collecting()
    sim.add_device("vb", "02:00:00:00:00:1a", ("203.0.113.1/24",))
    sim.set("vb", version(), gc_stale_time=1000.0)
    add(sim, host(7), NUD_STALE, dev="va")
    add(sim, behind(7), NUD_STALE, dev="vb")
    sim.run(100.0)
    assert alive(sim) == {behind(7)}


@pytest.mark.parametrize(("age", "gone"), [(-0.001, False), (0.0, True), (0.001, True)])
def test_an_unused_entry_goes_from_used_plus_gc_stale_time_on(age: float, gone: bool) -> None:
    """Open above: now in [used, used + gc_stale_time) stays."""
    sim = collecting()
    first = first_run(sim)
    sim.run_until(first - STALE_TIME - age)
    add(sim, host(7), NUD_STALE)
    sim.run_until(first)
    assert cache(sim).statistics.periodic_gc_runs == 1
    assert (sim.neighbour(host(7)) is None) == gone


def test_used_is_raised_to_confirmed_and_keeps_the_entry() -> None:
    sim = collecting()
    first = first_run(sim)
    sim.run_until(first - STALE_TIME - 1.0)
    entry = add(sim, host(7), NUD_STALE)
    sim.run(2.0)
    sim.confirm(host(7))
    confirmed = sim.now
    sim.run_until(first)
    assert entry.exists
    assert entry.used == entry.confirmed == confirmed
    sim.run(15.0)
    assert not entry.exists


def test_a_use_by_the_slow_path_keeps_the_entry_a_look_does_not() -> None:
    sim = collecting(delay_first_probe_time=0.5, retrans_time=0.1)
    Station(sim.segment, PEER, host(7))
    add(sim, host(7), NUD_NOARP)
    add(sim, host(8), NUD_NOARP)
    for _ in range(100):
        sim.run(1.0)
        sim.resolve(host(7))
        sim.neighbour(host(8))
    assert alive(sim) == {host(7)}


def test_the_removal_is_told_in_the_present_state() -> None:
    sim = collecting()
    add(sim, host(7), NUD_STALE)
    add(sim, host(8), NUD_NOARP)
    add(sim, host(9), NUD_FAILED)
    add(sim, host(10), NUD_NONE)
    sim.lines()
    sim.run(100.0)
    assert sorted(lines(sim)) == sorted(
        [
            f"Deleted {host(7)} lladdr {PEER} STALE",
            f"Deleted {host(8)} lladdr {PEER} NOARP",
            f"Deleted {host(9)} FAILED",
            f"Deleted {host(10)}",
        ]
    )
    assert cache(sim).entries == cache(sim).gc_entries == 0
    assert cache(sim).statistics.res_failed == 0


def test_a_managed_entry_that_rests_is_taken_and_leaves_the_managed_list() -> None:
    sim = collecting(mcast_solicit=0)
    add(sim, host(7), NUD_STALE)
    sim.admin(host(7), nlm_flags=CHANGE, state=NUD_FAILED)
    sim.admin(host(7), nlm_flags=CHANGE, flags=NTF_MANAGED)
    sim.run(100.0)
    assert sim.neighbour(host(7)) is None
    assert list(cache(sim).managed_list) == []


# -- slices


def test_a_run_looks_at_budget_rows_a_slice_and_is_due_at_once_until_it_is_through() -> None:
    sim = collecting()
    fill(sim, 0, 1000, NUD_FAILED)
    sim.engine.take_outputs()
    engine, scope = sim.engine, family_scope(current().number)
    at = first_run(sim)
    slices = []
    more = True
    while more:
        before = cache(sim).entries
        more = engine.handle_timers(scope, at, 100)
        slices.append(before - cache(sim).entries)
        assert more == (engine.next_deadline(scope) <= at)
    assert max(slices) <= 100
    assert cache(sim).entries == 0
    assert 10 <= len(slices) <= 12
    assert cache(sim).statistics.periodic_gc_runs == 1


def test_entries_that_come_and_go_between_slices_disturb_no_run() -> None:
    sim = collecting()
    old = fill(sim, 0, 500, NUD_FAILED)
    engine, scope = sim.engine, family_scope(current().number)
    at = first_run(sim)
    assert engine.handle_timers(scope, at, 100)
    sim.now = at
    gone = sorted(alive(sim) & set(old))[:50]
    for ip in gone:
        sim.delete(ip)
    young = fill(sim, 3000, 400, NUD_STALE)
    while engine.handle_timers(scope, at, 100):
        pass
    assert alive(sim) == set(young)


def test_the_store_may_grow_between_slices() -> None:
    sim = collecting()
    fill(sim, 0, 200, NUD_FAILED)
    capacity = cache(sim).store.capacity
    engine, scope = sim.engine, family_scope(current().number)
    at = first_run(sim)
    assert engine.handle_timers(scope, at, 100)
    sim.now = at
    thresholds(sim, 0, 1 << 20, 1 << 20)
    young = fill(sim, 3000, 2 * capacity, NUD_STALE)
    while engine.handle_timers(scope, at, 100):
        pass
    assert alive(sim) == set(young)


def test_the_default_lab_of_5_loses_513_of_515() -> None:
    """As seen on a 6.18.44: a permanent and a learned entry stay."""
    sim = node(gc_stale_time=1.0)
    fill(sim, 0, 513, NUD_STALE)
    kept = [*fill(sim, 600, 1, NUD_PERMANENT), *fill(sim, 601, 1, NUD_STALE, flags=NTF_EXT_LEARNED)]
    sim.run(60.0)
    assert alive(sim) == set(kept)


# -- the re-draw of reachable_time


def test_every_reachable_time_is_drawn_anew_once_300_s_have_passed_since_last_rand() -> None:
    sim = node()
    arp = cache(sim)
    own = sim.engine.parameters(1, current().number)
    first = sim.now + 20 * arp.parameters.reachable_time + 300.0  # last_rand begins in the future
    drawn = {(arp.parameters.reachable_time, own.reachable_time)}
    redraws = []
    for _ in range(4000):
        sim.run(1.0)
        if (now := (arp.parameters.reachable_time, own.reachable_time)) not in drawn:
            drawn.add(now)
            redraws.append(sim.now)
    gaps = [later - earlier for earlier, later in pairwise(redraws)]
    assert first < redraws[0] <= first + 16.0
    assert len(redraws) >= 9
    assert all(300.0 < gap <= 316.0 for gap in gaps)
    for default, device in drawn:
        assert 15.0 <= default < 45.0 and 15.0 <= device < 45.0


def test_the_re_draw_comes_below_gc_thresh1_too() -> None:
    sim = node()
    before = cache(sim).parameters.reachable_time
    assert cache(sim).entries < cache(sim).gc_thresh1
    sim.run(1300.0)
    assert cache(sim).parameters.reachable_time != before


def test_a_running_reachable_entry_follows_the_re_drawn_value_at_its_next_timer() -> None:
    """Expected after the old draw, it stays as long as the new one says (4.10)."""
    sim = node()
    own = sim.engine.parameters(1, current().number)
    entry = add(sim, host(7), NUD_REACHABLE)
    confirmed = sim.now
    old = own.reachable_time
    own.reachable_time = old + 12.0
    sim.run(old + 1.0)
    assert entry.nud_state == NUD_REACHABLE
    sim.run_until(confirmed + old + 12.0 + 0.01)
    assert entry.nud_state == NUD_STALE
