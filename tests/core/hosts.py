"""What scenarios of a host's own addresses are told with: a host, draws in the test's hand, and what it said when."""

from __future__ import annotations

from neighio.address import parse_ip
from neighio.core.events import AddressConflict, Claimed
from neighio.testing.segment import MemoryLink
from neighio.testing.simulation import Simulation

from .helpers import OWN

BEGIN = 1000.0
DRAW = 0.25


def host(*addresses: str, draw: float | None = DRAW, dev: str = "va") -> Simulation:
    """A host whose every random number is ``draw`` (what its seed makes of it with None)."""
    sim = Simulation(start=BEGIN, seed=7)
    sim.add_device(dev, OWN, addresses, role="host")
    if draw is not None:
        draws(sim, draw)
    return sim


def draws(sim: Simulation, value: float) -> None:
    """Have every random number be this from now on."""
    sim.random.random = lambda: value  # type: ignore[method-assign]


def log(sim: Simulation) -> list[tuple[float, str]]:
    """What was sent and told since the last call, and when: seconds from the beginning. Reports of groups are
    left out."""
    found = [
        (round(time - BEGIN, 3), text.replace(" dev va", ""))
        for time, text in sim.log
        if not text.startswith("frame to 33:33:00:00:00:16")
    ]
    sim.lines()
    return found


def owned(sim: Simulation, dev: str = "va") -> set[bytes]:
    """The addresses that are the device's and used without reserve."""
    return {address.ip for address in sim.device(dev).addresses if address.proven}


def owns(sim: Simulation, ip: str, dev: str = "va") -> bool:
    return parse_ip(ip)[0] in owned(sim, dev)


def conflicts(sim: Simulation) -> list[tuple[str, str, str]]:
    """Who contested which address, and what was done."""
    found = [output for output in sim.outputs if isinstance(output, AddressConflict)]
    return [(one.ip, str(one.lladdr), one.action) for one in found]


def claimed(sim: Simulation) -> int:
    """How often an address came into use."""
    return sum(isinstance(output, Claimed) for output in sim.outputs)


def link(sim: Simulation, dev: str = "va") -> MemoryLink:
    found = sim.driver.links[sim.device(dev).index]
    assert isinstance(found, MemoryLink)
    return found
