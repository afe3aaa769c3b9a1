"""Timer: what an entry's expiry does in each state and under each condition (neigh_timer_handler)."""

from __future__ import annotations

from math import inf

import pytest

from neighio.core.constants import (
    NEIGH_UPDATE_F_OVERRIDE,
    NTF_EXT_VALIDATED,
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

from .bench import LLADDR, PARAMETERS, REACHABLE_TIME, Bench, ethernet
from .families import packed

pytestmark = pytest.mark.usefixtures("family")

DELAY_TIME = PARAMETERS["delay_first_probe_time"]
RETRANS = PARAMETERS["retrans_time"]


# -- REACHABLE


def test_confirmed_reachable_stays_and_expires_reachable_time_after_the_confirmation() -> None:
    bench = Bench()
    bench.put(NUD_REACHABLE)
    bench.now += 5
    bench.confirm()
    before = bench.facts()

    assert bench.fire() == []
    assert bench.now == 1000 + REACHABLE_TIME
    assert bench.facts() == before._replace(timer=1005 + REACHABLE_TIME)


def test_reachable_expires_to_stale_with_an_event_and_no_timer() -> None:
    bench = Bench()
    bench.put(NUD_REACHABLE)
    before = bench.facts()

    assert bench.fire() == ["new STALE 0b"]
    assert bench.now == 1000 + REACHABLE_TIME
    assert bench.facts() == before._replace(state=NUD_STALE, updated=bench.now, refcnt=1, timer=inf)


def test_reachable_that_the_slow_path_used_lately_expires_to_delay_in_silence() -> None:
    bench = Bench()
    bench.put(NUD_REACHABLE)
    bench.now += REACHABLE_TIME - DELAY_TIME + 0.5
    bench.wish()
    before = bench.facts()

    assert bench.fire() == []
    assert bench.now == 1000 + REACHABLE_TIME
    assert bench.facts() == before._replace(state=NUD_DELAY, updated=bench.now, timer=bench.now + DELAY_TIME)


@pytest.mark.parametrize(
    ("used_before_expiry", "becomes"),
    [(DELAY_TIME - 1 / 256, NUD_DELAY), (DELAY_TIME, NUD_STALE), (DELAY_TIME + 1 / 256, NUD_STALE)],
)
def test_use_counts_only_if_less_than_delay_first_probe_time_ago(
    used_before_expiry: float, becomes: int
) -> None:
    bench = Bench()
    bench.put(NUD_REACHABLE)
    bench.now += REACHABLE_TIME - used_before_expiry
    bench.wish()
    bench.fire()

    assert bench.facts().state == becomes


def test_fast_path_traffic_does_not_keep_an_entry_out_of_stale() -> None:
    bench = Bench()
    bench.put(NUD_REACHABLE)
    for _ in range(int(REACHABLE_TIME) - 1):
        bench.now += 1
        bench.output()

    assert bench.fire() == ["new STALE 0b"]


def test_confirmation_raises_used_only_when_a_timer_starts_not_when_it_is_re_armed() -> None:
    bench = Bench()
    bench.put(NUD_REACHABLE)
    bench.now += REACHABLE_TIME - 0.5
    bench.confirm()
    bench.fire()

    assert bench.facts().used == 1000
    assert bench.fire() == ["new STALE 0b"]


def test_trap_192_used_2_s_and_confirmed_30_s_before_expiry_gives_delay_and_5_s_later_probe() -> None:
    bench = Bench(base_reachable_time=30.0, draw=0.5, delay_first_probe_time=5.0)
    bench.put(NUD_REACHABLE)
    bench.now += 28
    bench.wish()

    assert bench.fire() == []
    assert bench.now == 1030 and bench.facts().state == NUD_DELAY
    assert bench.fire() == ["request to 0b", "new PROBE 0b"]
    assert bench.now == 1035


def test_reachable_time_that_was_drawn_anew_counts_at_the_next_expiry() -> None:
    bench = Bench()
    bench.put(NUD_REACHABLE)
    bench.now += 7
    bench.set(base_reachable_time=40.0)

    assert bench.fire() == []
    assert (bench.now, bench.facts().timer) == (1000 + REACHABLE_TIME, 1000 + 30)
    assert bench.fire() == ["new STALE 0b"]


def test_entry_that_expired_uses_the_slow_output_again() -> None:
    bench = Bench(device=ethernet(hh_cache=False))
    bench.put(NUD_REACHABLE)
    bench.fire()
    bench.output()

    assert bench.facts().state == NUD_DELAY


# -- DELAY


def test_trap_194_delay_that_was_confirmed_becomes_reachable_without_a_probe() -> None:
    bench = Bench()
    bench.put(NUD_DELAY)
    bench.now += 0.5
    assert bench.confirm() == []
    assert bench.facts().state == NUD_DELAY
    before = bench.facts()

    assert bench.fire() == ["new REACHABLE 0b"]
    assert bench.now == 1000 + DELAY_TIME
    assert bench.facts() == before._replace(
        state=NUD_REACHABLE, updated=bench.now, timer=1000.5 + REACHABLE_TIME
    )


def test_delay_that_became_reachable_takes_the_connected_output() -> None:
    bench = Bench(device=ethernet(hh_cache=False))
    bench.put(NUD_DELAY)
    bench.now += 0.5
    bench.confirm()
    bench.fire()
    used = bench.facts().used
    bench.output()

    assert bench.facts().used == used


def test_confirmation_in_the_very_moment_that_delay_began_is_too_old_at_its_end() -> None:
    bench = Bench()
    bench.put(NUD_STALE)
    bench.confirm()
    bench.output()

    assert bench.fire() == ["request to 0b", "new PROBE 0b"]


def test_delay_without_confirmation_probes_at_once_and_tells_afterwards() -> None:
    bench = Bench()
    bench.put(NUD_DELAY)
    before = bench.facts()

    assert bench.fire() == ["request to 0b", "new PROBE 0b"]
    assert bench.now == 1000 + DELAY_TIME
    assert bench.facts() == before._replace(
        state=NUD_PROBE, probes=1, updated=bench.now, timer=bench.now + RETRANS, **bench.asking()
    )


def test_probe_counter_of_resolution_is_reset_when_probe_begins() -> None:
    bench = Bench()
    bench.output()
    bench.wait(0.25)
    bench.update(LLADDR, NUD_STALE)
    assert bench.facts().probes == 4
    bench.fire()

    assert bench.facts()[:4] == (NUD_PROBE, LLADDR, 0, 1)


@pytest.mark.parametrize(
    ("flags", "becomes", "event", "failures"),
    [(0, NUD_FAILED, "new FAILED", 1), (NTF_EXT_VALIDATED, NUD_STALE, "new STALE 0b", 0)],
)
def test_delay_without_any_probe_configured_fails_in_one_step_with_one_event_and_no_frame(
    flags: int, becomes: int, event: str, failures: int
) -> None:
    bench = Bench(ucast_solicit=0, app_solicit=0, mcast_resolicit=0)
    bench.put(NUD_DELAY, flags)
    before = bench.facts()

    assert bench.fire() == [event]
    assert bench.facts() == before._replace(state=becomes, probes=0, updated=bench.now, refcnt=1, timer=inf)
    assert bench.cache.statistics.res_failed == failures


# -- INCOMPLETE and PROBE


def test_incomplete_repeats_broadcasts_every_retrans_time_and_fails_after_the_error_reports() -> None:
    bench = Bench()
    assert bench.output() == ["request to all"]
    assert bench.output() == []

    assert bench.wait(10) == [
        (RETRANS, "request to all"),
        (2 * RETRANS, "request to all"),
        (3 * RETRANS, "request to all"),
        (4 * RETRANS, "p1 Unreachable reported"),
        (4 * RETRANS, "p2 Unreachable reported"),
        (4 * RETRANS, "new FAILED"),
    ]
    facts = bench.facts()
    assert facts == (NUD_FAILED, bytes(6), 0, 6, 1000 - 32, 1000, 1001, 1, inf)
    assert bench.cache.statistics.res_failed == 1


def test_probe_sends_unicasts_then_resolicits_by_broadcast_and_fails() -> None:
    bench = Bench()
    bench.put(NUD_PROBE)
    began = bench.now

    assert bench.wait(10) == [
        (RETRANS, "request to 0b"),
        (2 * RETRANS, "request to all"),
        (3 * RETRANS, "new FAILED"),
    ]
    facts = bench.facts()
    assert (facts.probes, facts.updated, facts.lladdr) == (3, began + 3 * RETRANS, LLADDR)
    assert bench.cache.statistics.res_failed == 1


def test_retransmission_touches_no_stamp_but_used_where_it_passes_through_the_entry() -> None:
    for state in (NUD_INCOMPLETE, NUD_PROBE):
        bench = Bench()
        bench.put(state)
        before = bench.facts()
        bench.fire()

        stamps = bench.asking() if state == NUD_PROBE else {}
        assert bench.facts() == before._replace(probes=before.probes + 1, timer=bench.now + RETRANS, **stamps)


def test_exhausted_probe_of_an_ext_validated_entry_becomes_stale_and_nothing_failed() -> None:
    bench = Bench()
    bench.put(NUD_PROBE, NTF_EXT_VALIDATED)
    before = bench.facts()

    assert [text for _, text in bench.wait(3 * RETRANS)] == [
        "request to 0b",
        "request to all",
        "new STALE 0b",
    ]
    used = before.used + RETRANS if bench.asking() else before.used  # by the second unicast
    assert bench.facts() == before._replace(
        state=NUD_STALE, probes=3, used=used, updated=bench.now, refcnt=1, timer=inf
    )
    assert bench.cache.statistics.res_failed == 0


def test_exhausted_resolution_of_an_ext_validated_entry_fails() -> None:
    bench = Bench()
    bench.put(NUD_INCOMPLETE, NTF_EXT_VALIDATED)

    assert bench.wait(10)[-1] == (4 * RETRANS, "new FAILED")


@pytest.mark.parametrize(
    ("ucast", "app", "mcast", "frames"),
    [
        (2, 0, 4, ["request to all"] * 4),
        (0, 0, 1, ["request to all"]),
        (5, 2, 1, ["miss INCOMPLETE"] * 2 + ["request to all"]),
        (2, 3, 0, ["miss INCOMPLETE"] * 3),
    ],
)
def test_incomplete_never_unicasts_and_asks_the_application_first(
    ucast: int, app: int, mcast: int, frames: list[str]
) -> None:
    bench = Bench(ucast_solicit=ucast, app_solicit=app, mcast_solicit=mcast)
    began = bench.output()

    assert began + [text for _, text in bench.wait(10)] == [*frames, "p1 Unreachable reported", "new FAILED"]
    assert bench.facts().probes == ucast + app + mcast


@pytest.mark.parametrize(
    ("ucast", "app", "resolicit", "frames"),
    [
        (2, 0, 1, ["request to 0b"] * 2 + ["request to all"]),
        (3, 2, 0, ["request to 0b"] * 3 + ["miss PROBE 0b"] * 2),
        (0, 0, 2, ["request to all"] * 2),
        (0, 1, 0, ["miss PROBE 0b"]),
        (1, 1, 1, ["request to 0b", "miss PROBE 0b", "request to all"]),
    ],
)
def test_probe_unicasts_then_asks_the_application_then_resolicits(
    ucast: int, app: int, resolicit: int, frames: list[str]
) -> None:
    bench = Bench(ucast_solicit=ucast, app_solicit=app, mcast_resolicit=resolicit)
    bench.put(NUD_DELAY)

    assert [text for _, text in bench.wait(10)] == [frames[0], "new PROBE 0b", *frames[1:], "new FAILED"]


@pytest.mark.parametrize(("retrans", "spacing"), [(0.5, 0.5), (0.0, 0.008), (0.004, 0.008)])
def test_probes_are_spaced_by_retrans_time_and_two_jiffies_at_least(retrans: float, spacing: float) -> None:
    bench = Bench(retrans_time=retrans)
    bench.put(NUD_PROBE)
    bench.fire()

    assert bench.facts().timer - bench.now == pytest.approx(spacing, abs=1e-9)


def test_re_armed_timer_is_two_jiffies_away_at_least() -> None:
    bench = Bench()
    bench.put(NUD_DELAY)
    bench.set(base_reachable_time=0.0)
    bench.now += 0.5
    bench.confirm()
    bench.fire()

    assert bench.facts().state == NUD_REACHABLE
    assert bench.facts().timer == bench.now + 0.008


# -- traps


def test_trap_214_fewer_probes_than_were_sent_fail_at_the_next_expiry() -> None:
    bench = Bench(ucast_solicit=9)
    bench.put(NUD_PROBE)
    for _ in range(4):
        assert bench.fire() == ["request to 0b"]
    bench.set(ucast_solicit=1, mcast_resolicit=0)

    assert bench.fire() == ["new FAILED"]
    assert bench.facts().probes == 5


def test_trap_214_more_probes_in_mid_probe_are_sent() -> None:
    bench = Bench(ucast_solicit=1, mcast_resolicit=0)
    bench.put(NUD_PROBE)
    bench.set(ucast_solicit=3)

    assert [text for _, text in bench.wait(10)] == ["request to 0b"] * 2 + ["new FAILED"]


def test_trap_214_changed_ucast_solicit_in_mid_resolution_shifts_what_is_asked() -> None:
    """The counter began at the old ucast_solicit: now the next probe is counted among the unicasts."""
    bench = Bench(ucast_solicit=1)
    bench.output()
    bench.set(ucast_solicit=0)

    assert [text for _, text in bench.wait(10)] == ["request to all"] * 2 + [
        "p1 Unreachable reported",
        "new FAILED",
    ]


@pytest.mark.parametrize(
    ("state", "happens"),
    [
        (NUD_INCOMPLETE, ["request to all"]),
        (NUD_REACHABLE, ["new STALE 0b"]),
        (NUD_DELAY, ["request to 0b", "new PROBE 0b"]),
        (NUD_PROBE, ["request to 0b"]),
    ],
)
def test_trap_210_a_clock_that_jumps_an_hour_makes_one_transition_and_no_burst(
    state: int, happens: list[str]
) -> None:
    bench = Bench()
    bench.put(state)
    bench.now += 3600

    assert bench.fire() == happens
    facts = bench.facts()
    assert facts.timer in (inf, bench.now + RETRANS)


@pytest.mark.parametrize("state", [NUD_NONE, NUD_STALE, NUD_FAILED, NUD_NOARP, NUD_PERMANENT])
def test_states_without_timer_rest(state: int) -> None:
    bench = Bench()
    bench.put(state)
    before = bench.facts()

    assert bench.wait(100_000) == []
    assert bench.facts() == before


def test_trap_209_timer_of_a_destroyed_entry_does_not_touch_its_successor() -> None:
    bench = Bench()
    bench.put(NUD_PROBE)
    bench.engine.delete_neighbour(7, packed(), bench.now)
    bench.put(NUD_STALE)

    assert bench.wait(60) == []
    assert bench.facts().state == NUD_STALE


def test_timer_of_an_entry_that_a_holder_keeps_after_the_flush_is_stopped() -> None:
    bench = Bench()
    held = bench.put(NUD_PROBE)
    bench.cache.hold(held.row)
    bench.engine.link_down(7, bench.now)

    assert bench.told() == ["del NOARP 0b"]
    assert held.refcnt == 1
    assert bench.wait(60) == []


# -- ticks


def test_ticks_per_second_round_the_present_and_every_deadline_down() -> None:
    bench = Bench(now=1000.0, ticks_per_second=10, retrans_time=0.25)
    bench.now = 1000.19
    bench.output()
    facts = bench.facts()

    # now 1000.19 is tick 1000.1; 0.25 s later is 1000.35, tick 1000.3
    assert (facts.used, facts.updated) == (1000.1, 1000.1)
    assert facts.timer == 1000.3


@pytest.mark.parametrize("ticks", [100, 250, 1000])
def test_ticks_do_not_lose_one_to_binary_fractions(ticks: int) -> None:
    """0.29 x 100 is 28.999999999999996."""
    bench = Bench(now=0.0, ticks_per_second=ticks)
    for tick in range(1, 2000):
        bench.now = tick / ticks
        bench.engine.neighbour(7, packed(), bench.now)
        assert bench.engine.services.now == tick / ticks


def test_reachable_expires_at_the_tick_of_its_deadline() -> None:
    bench = Bench(now=1000.0, ticks_per_second=250, draw=0.250123)
    bench.put(NUD_REACHABLE)

    assert bench.fire() == ["new STALE 0b"]
    assert bench.facts().updated == pytest.approx(1012.0, abs=1e-9)


def test_without_ticks_time_is_not_rounded() -> None:
    bench = Bench()
    bench.now = 1000.0123456
    bench.output()

    assert bench.facts().used == 1000.0123456


# -- life cycles


def test_default_life_of_an_idle_neighbour_to_its_failure() -> None:
    """Scenario C of the reference: with a mute peer it is FAILED 5 + 3 s after the packet."""
    bench = Bench(
        base_reachable_time=30.0,
        draw=0.5,
        delay_first_probe_time=5.0,
        retrans_time=1.0,
        ucast_solicit=3,
        mcast_solicit=3,
        mcast_resolicit=0,
    )
    bench.output()
    bench.now += 0.001
    assert bench.update(LLADDR, NUD_REACHABLE, NEIGH_UPDATE_F_OVERRIDE) == ["p1 to 0b", "new REACHABLE 0b"]
    assert bench.facts().probes == 4
    assert [text for _, text in bench.wait(31)] == ["new STALE 0b"]
    bench.now = 1040.0
    assert bench.output() == ["p2 to 0b"]
    assert bench.wait(10) == [
        (5, "request to 0b"),
        (5, "new PROBE 0b"),
        (6, "request to 0b"),
        (7, "request to 0b"),
        (8, "new FAILED"),
    ]
    assert bench.facts().probes == 3
