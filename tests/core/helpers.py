"""What the core's scenarios are told with: a node under virtual time, entries in any state, a look inside."""

from __future__ import annotations

from neighio.address import LinkAddress, parse_ip
from neighio.core.cache import NeighbourCache
from neighio.core.constants import AF_INET, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NUD_STALE, NUD_VALID
from neighio.core.events import PacketFailed, Settled, Transmit
from neighio.core.neighbour import Neighbour
from neighio.testing.simulation import Simulation
from neighio.wire import arp
from neighio.wire.ethernet import BROADCAST

ADD = NLM_F_CREATE | NLM_F_EXCL
CHANGE = NLM_F_REPLACE
REPLACE = NLM_F_CREATE | NLM_F_REPLACE

OWN = "02:00:00:00:00:0a"
PEER = "02:00:00:00:00:0b"


def node(*, trace: bool = False, **set_everywhere: float) -> Simulation:
    """A node with one device "va" (198.51.100.1/24, 198.18.0.1/15), nobody else on its segment."""
    sim = Simulation(start=1000.0, seed=7, trace=trace)
    if set_everywhere:
        sim.set(None, **set_everywhere)
    sim.add_device("va", OWN, ("198.51.100.1/24", "198.18.0.1/15"))
    return sim


def cache(sim: Simulation) -> NeighbourCache:
    return sim.engine.caches[AF_INET]


def thresholds(sim: Simulation, low: int, middle: int, high: int) -> None:
    """Set gc_thresh1, 2 and 3."""
    arp = cache(sim)
    arp.gc_thresh1, arp.gc_thresh2, arp.gc_thresh3 = low, middle, high


def add(
    sim: Simulation, ip: str, state: int = NUD_STALE, *, flags: int = 0, dev: str = "va", lladdr: str = PEER
) -> Neighbour:
    """``ip neigh add``: an entry in this state, at ``lladdr`` if the state has an address."""
    valid = state & NUD_VALID
    sim.admin(ip, dev, nlm_flags=ADD, lladdr=lladdr if valid else None, state=state, flags=flags)
    found = sim.neighbour(ip, dev)
    assert found is not None
    return found


def many(first: int, count: int) -> list[str]:
    """``count`` addresses of 198.18.0.0/15, different ones for different numbers."""
    return [f"198.18.{1 + number // 250}.{1 + number % 250}" for number in range(first, first + count)]


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
    arp = cache(sim)
    return {arp.handle(row).ip for row in arp.rows()}


def gc_order(sim: Simulation) -> list[str]:
    """The addresses that forced garbage collection would look at, in its order."""
    arp = cache(sim)
    return [arp.handle(row).ip for row in arp.gc_list]


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
    return [line.replace(" dev va", "") for line in sim.lines()]


def packet(mark: str, source: bytes = bytes((198, 51, 100, 1))) -> bytes:
    """An IPv4 packet with a mark in its body to tell it by."""
    return b"\x45" + bytes(11) + source + bytes(4) + mark.encode()


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
