"""Both orders of notifications: after what goes with the change has left, and, since Linux 7.0, before."""

from __future__ import annotations

import pytest

from neighio.core.constants import (
    AF_INET,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NTF_MANAGED,
    NUD_FAILED,
    NUD_REACHABLE,
    NUD_STALE,
)
from neighio.core.events import NewNeighbour, PacketFailed, Transmit
from neighio.testing.simulation import Simulation

from .helpers import arp_frame, hear

PEER = "198.51.100.2"
OURS = "02:00:00:00:00:0a"


def node(*, atomic: bool) -> Simulation:
    sim = Simulation(start=1000.0, atomic_notifications=atomic)
    sim.add_device("va", OURS)
    sim.run(0.0)
    return sim


def seen(sim: Simulation) -> list[str]:
    """What left and what was told since the last call, in order."""
    found = []
    for output in sim.outputs:
        if isinstance(output, Transmit):
            found.append("packet" if output.packet else "probe")
        elif isinstance(output, NewNeighbour):
            state = str(output).rpartition(" ")[2]
            found.append(f"{state} probes {output.probes}")
        elif isinstance(output, PacketFailed):
            found.append("report")
    sim.lines()
    return found


@pytest.mark.parametrize(
    ("atomic", "expected"),
    [
        (False, ["probe", "packet", "packet", "DELAY probes 4"]),
        (True, ["probe", "STALE probes 4", "packet", "packet"]),
    ],
)
def test_a_resolution_by_hint_is_told_after_the_queue_or_before_it(atomic: bool, expected: list[str]) -> None:
    sim = node(atomic=atomic)
    sim.send(PEER)
    sim.send(PEER)
    hear(sim, arp_frame(1, PEER, "198.51.100.9"))
    assert seen(sim) == expected


@pytest.mark.parametrize(
    ("atomic", "expected"),
    [(False, ["packet", "probe", "PROBE probes 1"]), (True, ["packet", "PROBE probes 0", "probe"])],
)
def test_probing_is_told_after_the_first_probe_or_before_it(atomic: bool, expected: list[str]) -> None:
    sim = node(atomic=atomic)
    sim.admin(PEER, nlm_flags=NLM_F_CREATE | NLM_F_EXCL, lladdr="02:00:00:00:00:0b", state=NUD_STALE)
    sim.lines()
    sim.send(PEER)
    sim.run(5.02)
    assert seen(sim) == expected


@pytest.mark.parametrize("atomic", [False, True])
def test_failure_is_told_after_the_reports_in_both(atomic: bool) -> None:
    sim = node(atomic=atomic)
    sim.set("va", mcast_solicit=1)
    sim.send(PEER)
    sim.run(1.02)
    assert seen(sim) == ["probe", "report", "FAILED probes 4"]
    entry = sim.neighbour(PEER)
    assert entry is not None and entry.nud_state == NUD_FAILED


@pytest.mark.parametrize("atomic", [False, True])
def test_a_state_without_queue_or_probe_is_told_alike(atomic: bool) -> None:
    sim = node(atomic=atomic)
    sim.send(PEER)
    hear(sim, arp_frame(2, PEER, "198.51.100.1", dst=sim.device("va").lladdr))
    entry = sim.neighbour(PEER)
    assert entry is not None and entry.nud_state == NUD_REACHABLE
    sim.lines()
    sim.run(60.0)
    assert seen(sim) == ["STALE probes 4"]


def test_managed_work_happens_when_it_is_told_to() -> None:
    sim = node(atomic=False)
    sim.set("va", mcast_solicit=1, retrans_time=0.1)
    sim.admin(PEER, nlm_flags=NLM_F_CREATE, state=0, flags=NTF_MANAGED)
    sim.run(0.5)
    assert seen(sim)[-1] == "FAILED probes 4"
    sim.engine.set_family_work(AF_INET, managed=sim.now + 1.0)
    sim.run(0.9)
    assert seen(sim) == []
    sim.run(0.15)
    assert seen(sim) == ["probe"]


def test_a_collection_happens_when_it_is_told_to() -> None:
    sim = node(atomic=False)
    sim.engine.caches[AF_INET].gc_thresh1 = 1
    sim.admin(PEER, nlm_flags=NLM_F_CREATE, state=NUD_FAILED)
    sim.engine.set_family_work(AF_INET, collection=sim.now + 0.5)
    sim.run(0.49)
    assert sim.neighbour(PEER) is not None
    sim.run(0.02)
    assert sim.neighbour(PEER) is None
