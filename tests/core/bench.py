"""An engine with one device and a clock in the test's hand: a stimulus, and everything that it caused."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from random import Random
from typing import NamedTuple

from neighio.address import parse_ip
from neighio.core.constants import (
    AF_INET,
    AF_INET6,
    IFF_BROADCAST,
    IFF_LOWER_UP,
    IFF_MULTICAST,
    IFF_RUNNING,
    IFF_UP,
    NEIGH_UPDATE_F_ADMIN,
    NEIGH_UPDATE_F_EXT_LEARNED,
    NEIGH_UPDATE_F_EXT_VALIDATED,
    NEIGH_UPDATE_F_ISROUTER,
    NEIGH_UPDATE_F_MANAGED,
    NEIGH_UPDATE_F_OVERRIDE,
    NEIGH_UPDATE_F_OVERRIDE_ISROUTER,
    NTF_EXT_LEARNED,
    NTF_EXT_VALIDATED,
    NTF_MANAGED,
    NTF_ROUTER,
    NUD_DELAY,
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
    nud_state_name,
)
from neighio.core.device import Address, Device, parse_interface
from neighio.core.engine import Engine, device_scope
from neighio.core.events import (
    Change,
    DelNeighbour,
    Miss,
    NewNeighbour,
    Output,
    PacketFailed,
    Settled,
    Transmit,
    Verified,
)
from neighio.core.neighbour import Neighbour
from neighio.core.queue import Packet

from . import families
from .families import packed

DEVICE = 7
OURS = bytes.fromhex("02000000000a")
LLADDR = bytes.fromhex("02000000000b")
OTHER = bytes.fromhex("02000000000c")

STATES = (
    NUD_NONE,
    NUD_INCOMPLETE,
    NUD_REACHABLE,
    NUD_STALE,
    NUD_DELAY,
    NUD_PROBE,
    NUD_FAILED,
    NUD_NOARP,
    NUD_PERMANENT,
)

# None is anything's default, no two are alike, and the times are whole 1/256 s.
PARAMETERS = {
    "ucast_solicit": 2,
    "app_solicit": 0,
    "mcast_solicit": 4,
    "mcast_resolicit": 1,
    "retrans_time": 0.25,
    "base_reachable_time": 16.0,
    "delay_first_probe_time": 1.5,
    "gc_stale_time": 45.0,
    "unres_qlen_bytes": 2000,
    "locktime": 0.75,
}
DRAW = 0.25
REACHABLE_TIME = 12.0
"""What PARAMETERS and DRAW make of it: 16 s x (0.5 + 0.25)."""


class FixedRandom(Random):
    """A source whose every draw is the same."""

    def __init__(self, value: float = DRAW) -> None:
        super().__init__(0)
        self.value = value

    def random(self) -> float:
        return self.value


class Facts(NamedTuple):
    """An entry: its state and everything that a stimulus may touch beside it."""

    state: int
    lladdr: bytes
    flags: int
    probes: int
    confirmed: float
    used: float
    updated: float
    refcnt: int
    timer: float
    """When the timer fires, seconds; infinity when it is idle."""


class Bench:
    """One engine, one device ``va`` with addresses, and the entry of the family's neighbour 2.

    The clock is :attr:`now`; tests move it. Nothing but :meth:`fire` and :meth:`wait` lets timers fire.
    """

    def __init__(
        self,
        *,
        now: float = 1000.0,
        ticks_per_second: int | None = None,
        draw: float = DRAW,
        tracing: bool = False,
        device: Device | None = None,
        **parameters: float,
    ) -> None:
        self.now = now
        self.random = FixedRandom(draw)
        self.engine = Engine(now=now, random=self.random, ticks_per_second=ticks_per_second)
        self.engine.services.tracing = tracing
        self.family = families.current()
        self.cache = self.engine.caches[self.family.number]
        self.nud = self.cache.nud
        self.device = device or ethernet()
        self.engine.attach(self.device, now)
        for address in self.family.own:
            ip, prefixlen = parse_interface(address)
            self.engine.add_address(DEVICE, Address(ip, prefixlen), now)
        self.engine.set(DEVICE, self.family.number, {**PARAMETERS, **parameters}, now)
        self.packets = 0
        self.seen: list[Output] = []
        self.failure = 0
        self.engine.take_outputs()

    def set(self, **parameters: float) -> None:
        self.engine.set(DEVICE, self.family.number, parameters, self.now)

    # -- the entry

    def find(self, key: bytes | None = None) -> Neighbour | None:
        return self.engine.lookup(DEVICE, key or packed(), self.now)

    def entry(self, key: bytes | None = None) -> Neighbour:
        found = self.find(key)
        assert found is not None, "the entry is gone"
        return found

    def facts(self, key: bytes | None = None) -> Facts:
        neighbour = self.entry(key)
        store, row = self.cache.store, neighbour.row
        return Facts(
            neighbour.nud_state,
            store.lladdr_of(row, 6),
            neighbour.flags,
            neighbour.probes,
            neighbour.confirmed,
            neighbour.used,
            neighbour.updated,
            neighbour.refcnt,
            store.deadline[row],
        )

    def put(
        self, state: int, flags: int = 0, *, lladdr: bytes = LLADDR, key: bytes | None = None
    ) -> Neighbour:
        """Bring a new entry into a state by what brings one there, forget what that caused, and return it.

        INCOMPLETE and DELAY come of the wish for an address, PROBE has sent its first probe.
        """
        key = key or packed()
        neighbour = self.engine.neighbour(DEVICE, key, self.now)
        row = neighbour.row
        asked = NEIGH_UPDATE_F_ADMIN
        for flag, update_flag in (
            (NTF_EXT_LEARNED, NEIGH_UPDATE_F_EXT_LEARNED),
            (NTF_EXT_VALIDATED, NEIGH_UPDATE_F_EXT_VALIDATED),
            (NTF_MANAGED, NEIGH_UPDATE_F_MANAGED),
        ):
            asked |= update_flag if flags & flag else 0
        self.engine.services.now = self.now
        self.nud.update(row, None, NUD_NONE, asked, "admin")
        if flags & NTF_ROUTER:
            router = NEIGH_UPDATE_F_OVERRIDE_ISROUTER | NEIGH_UPDATE_F_ISROUTER
            self.nud.update(row, lladdr, NUD_STALE, router, "admin")
            self.nud.update(row, None, NUD_NONE, 0, "admin")
        start = {NUD_INCOMPLETE: NUD_NONE, NUD_DELAY: NUD_STALE}.get(state, state)
        self.nud.update(row, lladdr, start, NEIGH_UPDATE_F_OVERRIDE, "admin")
        self.engine.release(neighbour, self.now)
        if start != state:
            self.engine.resolve(DEVICE, key, self.now)
        if state == NUD_PROBE:
            self.fire()
        self.notifications()
        assert neighbour.nud_state == state
        return neighbour

    # -- stimuli; each returns what it caused

    def output(self, key: bytes | None = None, size: int = 48) -> list[str]:
        """A packet of ``size`` octets, named p1, p2 ... in the order of their sending."""
        self.send(key, size)
        return self.told()

    def send(self, key: bytes | None = None, size: int = 48, source: bytes | None = None) -> Packet:
        self.packets += 1
        key = key or packed()
        body = b"p%d" % self.packets
        body += bytes(size - self.family.header - len(body))
        packet = Packet(
            self.family.packet(source or parse_ip(self.family.us)[0], key, body), self.family.number
        )
        neighbour = self.engine.neighbour(DEVICE, key, self.now)
        self.engine.send(neighbour, packet, self.now)
        self.engine.release(neighbour, self.now)
        return packet

    def wish(self, key: bytes | None = None) -> list[str]:
        """Output without a packet."""
        self.engine.services.now = self.now
        self.nud.event_send(self.entry(key).row, None)
        return self.told()

    def confirm(self, key: bytes | None = None) -> list[str]:
        self.engine.confirm(self.entry(key), self.now)
        return self.told()

    def update(
        self,
        lladdr: bytes | None,
        new: int,
        flags: int = 0,
        *,
        stimulus: str = "evidence",
        key: bytes | None = None,
    ) -> list[str]:
        """The update routine, called with a reference as every caller does; its errno is ``failure``."""
        neighbour = self.entry(key)
        self.engine.services.now = self.now
        self.cache.hold(neighbour.row)
        self.failure = self.nud.update(neighbour.row, lladdr, new, flags, stimulus)
        self.cache.release(neighbour.row)
        return self.told()

    def fire(self, key: bytes | None = None) -> list[str]:
        """Let time pass until the entry's timer fires, and fire it."""
        due = self.facts(key).timer
        assert due != inf, "no timer is armed"
        while self.now < due or self.facts(key).timer == due:
            self._next_timers()
        return self.told()

    def _next_timers(self) -> None:
        self.now = max(self.now, self.engine.next_deadline(device_scope(DEVICE)))
        while self.engine.handle_timers(device_scope(DEVICE), self.now):
            pass

    def wait(self, seconds: float) -> list[tuple[float, str]]:
        """Let ``seconds`` pass: what happened, with how long after the beginning."""
        begin, end = self.now, self.now + seconds
        found: list[tuple[float, str]] = []
        while self.engine.next_deadline(device_scope(DEVICE)) <= end:
            self._next_timers()
            found += [(self.now - begin, text) for text in self.told()]
        self.now = end
        return found

    def asking(self) -> dict[str, float]:
        """What a unicast solicitation of our own does to the entry whose neighbour it goes to: through it, it
        is used, which ARP's is not."""
        return {} if self.family.number == AF_INET else {"used": self.now}

    # -- what came of it

    def outputs(self) -> list[Output]:
        outputs = self.engine.take_outputs()
        self.seen += outputs
        return outputs

    def notifications(self) -> list[NewNeighbour | DelNeighbour | Miss]:
        """All notifications since the last call, and since :meth:`put`."""
        self.outputs()
        found = [
            o for o in self.seen if isinstance(o, NewNeighbour | DelNeighbour | Miss) and not of_a_group(o)
        ]
        self.seen.clear()
        return found

    def collectable(self) -> list[int]:
        """The rows on the gc_list, in its order, without the groups that solicitations went to."""
        cache = self.cache
        return [row for row in cache.gc_list if not cache.protocol.is_multicast(cache.store.key_of(row))]

    def told(self) -> list[str]:
        """Frames, notifications and failed packets since the last call, in order, in words."""
        return [text for output in self.outputs() if (text := tell(output))]


def ethernet(**changes: object) -> Device:
    """A running Ethernet device, as far as nothing else is said."""
    facts: dict[str, object] = {
        "flags": IFF_UP | IFF_BROADCAST | IFF_RUNNING | IFF_MULTICAST | IFF_LOWER_UP,
        "lladdr": OURS,
        **changes,
    }
    return Device("va", DEVICE, **facts)  # type: ignore[arg-type]


def of_a_group(output: NewNeighbour | DelNeighbour | Miss | Change) -> bool:
    """Whether it tells of an entry that only a solicitation to a group made."""
    return output.family == AF_INET6 and output.key[0] == 0xFF


def tell(output: Output) -> str:
    """An output in words; none for what a caller is told (Settled, Verified, Answer), for the trace, and for
    what becomes of groups' entries."""
    match output:
        case Transmit(packet=None):
            to = output.frame[:6]
            return "request to all" if to[0] & 1 else f"request to {last(to)}"
        case Transmit():
            return f"{packet_name(output.packet)} to {last(output.frame[:6])}"
        case PacketFailed():
            return f"{packet_name(output.packet)} {output.error.__name__}{' reported' * output.reported}"
        case NewNeighbour() | DelNeighbour() | Miss():
            if of_a_group(output):
                return ""
            words = [{NewNeighbour: "new", DelNeighbour: "del", Miss: "miss"}[type(output)]]
            words.append(nud_state_name(output.state) or "NONE")
            return " ".join([*words, last(output.lladdr)] if output.lladdr else words)
        case _:
            assert isinstance(output, Settled | Verified | Change)
            return ""


def last(lladdr: bytes) -> str:
    return f"{lladdr[-1]:02x}"


def packet_name(packet: Packet | None) -> str:
    assert packet is not None
    header = {AF_INET: 20, AF_INET6: 40}[packet.family]
    return packet.data[header:].rstrip(b"\0").decode()


def changes(outputs: Iterable[Output]) -> list[Change]:
    return [output for output in outputs if isinstance(output, Change) and not of_a_group(output)]


def play(bench: Bench, seed: int, steps: int) -> list[list[Output]]:
    """A random life of three entries: what each of ``steps`` stimuli caused."""
    random = Random(seed)
    found = []
    keys = [packed(n) for n in (2, 3, 4)]
    for _ in range(steps):
        key = random.choice(keys)
        bench.now += random.choice((0.0, 0.1, 0.3, 2.0, 15.0))
        kind = random.choice(
            (
                "send",
                "send",
                "timer",
                "timer",
                "timer",
                "update",
                "update",
                "confirm",
                "admin",
                "delete",
                "flush",
            )
        )
        present = bench.find(key)
        if kind == "timer":
            bench.engine.handle_timers(device_scope(DEVICE), bench.now)
        elif kind == "send":
            bench.send(key)
        elif kind == "flush":
            if random.random() < 0.2:
                bench.engine.link_down(DEVICE, bench.now)
        elif present is None:
            bench.engine.resolve(DEVICE, key, bench.now)
        elif kind == "confirm":
            bench.engine.confirm(present, bench.now)
        elif kind == "delete":
            bench.engine.delete_neighbour(DEVICE, key, bench.now)
        else:
            admin = kind == "admin"
            flags = random.getrandbits(9) & ~NEIGH_UPDATE_F_ADMIN | (NEIGH_UPDATE_F_ADMIN if admin else 0)
            new = random.choice(STATES if admin else (NUD_REACHABLE, NUD_STALE))
            bench.engine.services.now = bench.now
            bench.cache.hold(present.row)
            bench.nud.update(
                present.row, random.choice((None, LLADDR, OTHER)), new, flags, kind if admin else "evidence"
            )
            bench.cache.release(present.row)
        found.append(bench.outputs())
    return found
