"""How long resolutions took: from INCOMPLETE to an address, whoever wanted it."""

from __future__ import annotations

import pytest

from neighio.core.constants import NUD_PERMANENT, NUD_REACHABLE
from neighio.core.latency import BOUNDS
from neighio.testing.simulation import Simulation

from .families import host
from .helpers import CHANGE, PEER, add, cache, node, packet
from .station import Station

pytestmark = pytest.mark.usefixtures("family")


def took(sim: Simulation) -> tuple[dict[float, int], float]:
    """The histogram: by upper bound how many, where there are any, and the sum of the times."""
    latency = cache(sim).latency
    bounds = (*BOUNDS, float("inf"))
    return {b: n for b, n in zip(bounds, latency.counts, strict=True) if n}, latency.total


def test_a_resolution_counts_with_the_time_that_the_answer_took() -> None:
    sim = node()
    Station(sim.segment, PEER, host(2), delay=0.02)
    sim.resolve(host(2))
    sim.run(1)
    assert took(sim) == ({0.025: 1}, pytest.approx(0.02))


def test_what_a_packet_set_going_counts_too_and_a_second_try_is_part_of_the_time() -> None:
    sim = node()
    station = Station(sim.segment, PEER, host(2), delay=0.25, answers=False)
    sim.send(host(2), packet("a"))
    sim.run(0.5)
    station.unmute()
    sim.run(2)
    assert took(sim) == ({2.5: 1}, pytest.approx(1.25))


def test_a_time_on_a_bound_is_within_it() -> None:
    sim = node()
    Station(sim.segment, PEER, host(2), delay=0.5)
    sim.resolve(host(2))
    sim.run(1)
    assert took(sim)[0] == {0.5: 1}


def test_what_nobody_answers_or_what_is_deleted_does_not_count() -> None:
    sim = node()
    sim.resolve(host(2))
    sim.resolve(host(3))
    sim.run(0.5)
    sim.delete(host(3))
    sim.run(10)
    assert cache(sim).statistics.res_failed == 2
    assert took(sim) == ({}, 0.0)


def test_a_later_resolution_of_the_same_entry_is_timed_from_its_own_beginning() -> None:
    sim = node()
    station = Station(sim.segment, PEER, host(2), delay=0.02, answers=False)
    sim.resolve(host(2))
    sim.run(10)
    station.unmute()
    sim.resolve(host(2))
    sim.run(1)
    assert took(sim) == ({0.025: 1}, pytest.approx(0.02))


def test_an_address_that_an_administrator_gives_to_a_resolution_under_way_ends_it() -> None:
    sim = node()
    sim.resolve(host(2))
    sim.run(0.5)
    sim.admin(host(2), nlm_flags=CHANGE, lladdr=PEER, state=NUD_REACHABLE)
    assert took(sim) == ({0.5: 1}, pytest.approx(0.5))


def test_an_entry_that_never_was_incomplete_has_no_latency() -> None:
    sim = node()
    add(sim, host(2), NUD_PERMANENT)
    sim.resolve(host(2))
    sim.run(1)
    assert took(sim) == ({}, 0.0)
