"""Confirmation by an upper layer: one stamp, and what it does at the next expiry (neigh_confirm)."""

from __future__ import annotations

import pytest

from neighio.core.constants import NUD_INCOMPLETE, NUD_PROBE, NUD_REACHABLE, NUD_STALE

from .bench import PARAMETERS, REACHABLE_TIME, STATES, Bench

pytestmark = pytest.mark.usefixtures("family")


@pytest.mark.parametrize("state", STATES)
def test_confirmation_stamps_and_does_nothing_else_in_any_state(state: int) -> None:
    bench = Bench()
    bench.put(state)
    before = bench.facts()
    bench.now += 0.125

    assert bench.confirm() == []
    assert bench.facts() == before._replace(confirmed=bench.now)


def test_confirmations_prolong_reachable_for_ever_without_a_frame_or_an_event() -> None:
    bench = Bench()
    bench.put(NUD_REACHABLE)
    for _ in range(20):
        assert bench.wait(REACHABLE_TIME - 1) == []
        bench.confirm()

    assert bench.facts().state == NUD_REACHABLE


def test_confirmation_does_not_keep_a_stale_entry_from_delay() -> None:
    bench = Bench()
    bench.put(NUD_STALE)
    bench.now += 1
    bench.confirm()
    assert bench.facts().state == NUD_STALE
    bench.now += PARAMETERS["delay_first_probe_time"]
    bench.output()

    assert [text for _, text in bench.wait(2)][:2] == ["request to 0b", "new PROBE 0b"]


@pytest.mark.parametrize("state", [NUD_INCOMPLETE, NUD_PROBE])
def test_confirmation_does_not_save_an_entry_that_is_being_probed(state: int) -> None:
    bench = Bench()
    bench.put(state)
    bench.confirm()

    assert bench.wait(10)[-1][1] == "new FAILED"
