"""What the core's scenarios are told with: a node under virtual time, entries in any state, a look inside."""

from __future__ import annotations

from neighio.address import LinkAddress, parse_ip
from neighio.core.cache import NeighbourCache
from neighio.core.constants import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NUD_STALE, NUD_VALID
from neighio.core.events import PacketFailed, Settled, Transmit
from neighio.core.neighbour import Neighbour
from neighio.testing.simulation import Simulation
from neighio.wire import arp
from neighio.wire.ethernet import BROADCAST

from .families import current, many

ADD = NLM_F_CREATE | NLM_F_EXCL
CHANGE = NLM_F_REPLACE
REPLACE = NLM_F_CREATE | NLM_F_REPLACE

OWN = "02:00:00:00:00:0a"
PEER = "02:00:00:00:00:0b"


def node(*, trace: bool = False, **set_everywhere: float) -> Simulation:
    """A node with one device "va", nobody else on its segment: for ARP 198.51.100.1/24 and 198.18.0.1/15."""
    sim = Simulation(start=1000.0, seed=7, trace=trace)
    family = current()
    if set_everywhere:
        sim.set(None, family.version, **set_everywhere)
    sim.add_device("va", OWN, (*family.own, family.wide))
    return sim


def second_device(sim: Simulation, name: str = "vb", lladdr: str = "02:00:00:00:00:1a") -> None:
    """Another device of the node, in a subnet of its own: for ARP 203.0.113.1/24."""
    sim.add_device(name, lladdr, current().others)


def cache(sim: Simulation) -> NeighbourCache:
    """The cache of the family at hand."""
    return sim.engine.caches[current().number]


def only_solicited(ip: str) -> bool:
    """Whether an entry is there only because solicitations go to its group: scenarios of both families do not
    look at those."""
    return current().version == 6 and ip.startswith("ff02::1:ff")


def thresholds(sim: Simulation, low: int, middle: int, high: int) -> None:
    """Set gc_thresh1, 2 and 3."""
    found = cache(sim)
    found.gc_thresh1, found.gc_thresh2, found.gc_thresh3 = low, middle, high


def add(
    sim: Simulation, ip: str, state: int = NUD_STALE, *, flags: int = 0, dev: str = "va", lladdr: str = PEER
) -> Neighbour:
    """``ip neigh add``: an entry in this state, at ``lladdr`` if the state has an address."""
    valid = state & NUD_VALID
    sim.admin(ip, dev, nlm_flags=ADD, lladdr=lladdr if valid else None, state=state, flags=flags)
    found = sim.neighbour(ip, dev)
    assert found is not None
    return found


def fill(
    sim: Simulation, first: int, count: int, state: int = NUD_STALE, *, flags: int = 0, dev: str = "va"
) -> list[str]:
    """Add many entries, oldest first; returns their addresses in that order."""
    ips = many(first, count)
    for ip in ips:
        add(sim, ip, state, flags=flags, dev=dev)
    return ips


def alive(sim: Simulation) -> set[str]:
    """The addresses in the table."""
    found = cache(sim)
    return {ip for row in found.rows() if not only_solicited(ip := found.handle(row).ip)}


def gc_order(sim: Simulation) -> list[str]:
    """The addresses that forced garbage collection would look at, in its order."""
    found = cache(sim)
    return [ip for row in found.gc_list if not only_solicited(ip := found.handle(row).ip)]


def frames(sim: Simulation) -> list[bytes]:
    """The frames that the node sent since :meth:`Simulation.lines` was last called."""
    return [output.frame for output in sim.outputs if isinstance(output, Transmit)]


def failures(sim: Simulation) -> list[tuple[str, bytes, str, bool]]:
    """The packets that were not sent: neighbour, data, error, whether the sender is told."""
    return [
        (output.ip, output.packet.data, output.error.__name__, output.reported)
        for output in sim.outputs
        if isinstance(output, PacketFailed)
    ]


def settled(sim: Simulation) -> list[object]:
    """The outcomes of resolutions."""
    return [output.outcome for output in sim.outputs if isinstance(output, Settled)]


def lines(sim: Simulation) -> list[str]:
    """The notifications since the last call, as ``ip monitor neigh`` has them but without "dev va"."""
    found = [line.replace(" dev va", "") for line in sim.lines()]
    return [line for line in found if not only_solicited(line.removeprefix("Deleted "))]


def packet(mark: str, source: bytes | None = None) -> bytes:
    """A packet with a mark in its body to tell it by, from our first address."""
    source = source or parse_ip(current().us)[0]
    return current().packet(source, bytes(len(source)), mark.encode())


def arp_frame(
    op: int,
    sender: str,
    target: str,
    *,
    lladdr: str = PEER,
    tha: str = "00:00:00:00:00:00",
    dst: str | bytes = BROADCAST,
) -> bytes:
    """An ARP message of ``op`` (1 request, 2 reply) from ``sender``, which claims to be at ``lladdr``."""
    sha = LinkAddress(lladdr)
    spa, tpa = parse_ip(sender)[0], parse_ip(target)[0]
    return arp.build(op, spa, sha, tpa, LinkAddress(tha), dst=LinkAddress(dst), src=sha)


def hear(sim: Simulation, frame: bytes, dev: str = "va") -> None:
    """A frame arrives at a device, and what follows at once happens."""
    sim.engine.receive(sim.device(dev).index, frame, sim.now)
    sim.run(0.0)


def record(entry: Neighbour) -> dict[str, object]:
    """Everything that an entry holds."""
    names = ("nud_state", "lladdr", "flags", "type", "protocol", "probes", "refcnt")
    return {name: getattr(entry, name) for name in (*names, "confirmed", "used", "updated")}


def table(sim: Simulation) -> dict[tuple[str, str], dict[str, object]]:
    """Every entry, and everything that it holds."""
    arp_cache = cache(sim)
    entries = [arp_cache.handle(row) for row in arp_cache.rows()]
    return {(entry.dev, entry.ip): record(entry) for entry in entries}
