"""ARP where time goes by in ticks: an instant that is a tick's is told exactly, whatever sums of floats say."""

from __future__ import annotations

from neighio.core.constants import NUD_REACHABLE
from neighio.testing.simulation import Simulation
from neighio.wire import arp

from .helpers import ADD, OWN, PEER, arp_frame, hear

OTHER = "02:00:00:00:00:0c"


def ticking(start: float) -> Simulation:
    sim = Simulation(start=start, ticks_per_second=250)
    sim.add_device("va", OWN)
    sim.set("va", locktime=0.06, base_reachable_time=4.0)
    sim.admin("198.51.100.2", nlm_flags=ADD, lladdr=PEER, state=NUD_REACHABLE)
    return sim


def test_locktime_holds_up_to_its_last_tick() -> None:
    for tick in range(250):
        sim = ticking(1000 + tick / 250)
        neighbour = sim.neighbour("198.51.100.2")
        assert neighbour is not None
        sim.run_until(1000 + (tick + 15) / 250 + 0.001)
        hear(sim, arp_frame(arp.ARPOP_REQUEST, "198.51.100.2", "198.51.100.9", lladdr=OTHER))
        assert str(neighbour.lladdr) == PEER, tick
        sim.run(0.004)
        hear(sim, arp_frame(arp.ARPOP_REQUEST, "198.51.100.2", "198.51.100.9", lladdr=OTHER))
        assert str(neighbour.lladdr) == OTHER, tick
