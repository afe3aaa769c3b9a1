"""A timer that is to fire at once fires with the next jiffy: what happens meanwhile finds the state that it is
to end (mod_timer)."""

from __future__ import annotations

import pytest

from neighio.core.constants import NUD_DELAY, NUD_PROBE, NUD_REACHABLE, NUD_STALE

from .families import current
from .helpers import add, node

pytestmark = pytest.mark.usefixtures("family")

JIFFY = 0.004


def test_a_delay_of_no_time_lasts_until_the_next_jiffy() -> None:
    sim = node(delay_first_probe_time=0.0, ucast_solicit=1)
    neighbour = add(sim, current().host(2), NUD_STALE)
    sim.send(current().host(2))
    sim.send(current().host(2))
    assert neighbour.nud_state == NUD_DELAY
    sim.run(0.75 * JIFFY)
    assert neighbour.nud_state == NUD_DELAY
    sim.run(1.25 * JIFFY)
    assert neighbour.nud_state == NUD_PROBE


def test_a_reachable_time_of_none_lasts_until_the_next_jiffy() -> None:
    sim = node(base_reachable_time=0.0, delay_first_probe_time=0.0)
    neighbour = add(sim, current().host(2), NUD_REACHABLE)
    assert neighbour.nud_state == NUD_REACHABLE
    sim.run(0.75 * JIFFY)
    assert neighbour.nud_state == NUD_REACHABLE
    sim.run(1.25 * JIFFY)
    assert neighbour.nud_state == NUD_STALE
