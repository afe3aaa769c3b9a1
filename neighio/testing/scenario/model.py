"""What a scenario is: a node, a wire, and what happens to them at which time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from ...address import LinkAddress
from ...core.constants import AF_INET

__all__ = [
    "DEVICE",
    "NODE_LLADDR",
    "PEER_LLADDR",
    "Action",
    "AddressChange",
    "Admin",
    "Answer",
    "Carrier",
    "Confirm",
    "Inject",
    "Link",
    "Lladdr",
    "Mute",
    "RouteChange",
    "Scenario",
    "ScenarioError",
    "Send",
    "Set",
    "Show",
    "Step",
]

DEVICE: Final = "va"
NODE_LLADDR: Final = LinkAddress("02:00:00:00:00:0a")
PEER_LLADDR: Final = LinkAddress("02:00:00:00:00:0b")


class ScenarioError(ValueError):
    """A scenario has a mistake: where, and what was expected."""


@dataclass(frozen=True, slots=True)
class Inject:
    """The peer sends a frame."""

    frame: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """From now on the peer answers requests for an address, ``after`` so many seconds.

    ``flags`` are the letters of the advertisement's flags, R, S and O; ARP has none.
    """

    ip: bytes
    lladdr: LinkAddress
    after: float
    flags: str = "SO"


@dataclass(frozen=True, slots=True)
class Mute:
    """From now on the peer answers for this address no more; None: for none."""

    ip: bytes | None


@dataclass(frozen=True, slots=True)
class Send:
    """The node sends ``count`` UDP packets with ``octets`` of payload; ``confirm`` is MSG_CONFIRM."""

    ip: bytes
    source: bytes
    count: int
    octets: int
    confirm: bool


@dataclass(frozen=True, slots=True)
class Confirm:
    """The upper layer confirms without sending (MSG_CONFIRM|MSG_PROBE)."""

    ip: bytes
    source: bytes


@dataclass(frozen=True, slots=True)
class Admin:
    """An ``ip neigh`` command: RTM_NEWNEIGH with NLM_F_*, or RTM_DELNEIGH; ``error``: the errno it gets."""

    ip: bytes
    delete: bool
    nlm_flags: int
    lladdr: LinkAddress | None
    state: int
    flags: int
    protocol: int
    error: int


@dataclass(frozen=True, slots=True)
class Link:
    """The node's device is set up or down."""

    up: bool


@dataclass(frozen=True, slots=True)
class Carrier:
    """The cable is plugged in or out."""

    on: bool


@dataclass(frozen=True, slots=True)
class Lladdr:
    """The node's device gets a link-layer address."""

    lladdr: LinkAddress


@dataclass(frozen=True, slots=True)
class AddressChange:
    """The node's device gets or loses an address with its prefix.

    ``detect``: one of IPv6, if it is nobody else's; ``optimistic``: it is used meanwhile (RFC 4429).
    """

    add: bool
    address: str
    detect: bool = False
    optimistic: bool = False


@dataclass(frozen=True, slots=True)
class RouteChange:
    """The node gets or loses a route through its device; without ``gateway`` to what is on the link."""

    add: bool
    prefix: str
    gateway: str | None


@dataclass(frozen=True, slots=True)
class Set:
    """Parameters and switches of the node's device; ``reachable_time`` is what has to be drawn.

    ``changes`` are IPv4's, ``ipv6`` those of IPv6.
    """

    changes: Mapping[str, float]
    ipv6: Mapping[str, float] = field(default_factory=dict)

    def of(self, family: int) -> Mapping[str, float]:
        """Those of one family."""
        return self.changes if family == AF_INET else self.ipv6


@dataclass(frozen=True, slots=True)
class Show:
    """The entries of these addresses enter the trace."""

    ips: tuple[bytes, ...]


Action: TypeAlias = (
    Inject
    | Answer
    | Mute
    | Send
    | Confirm
    | Admin
    | Link
    | Carrier
    | Lladdr
    | AddressChange
    | RouteChange
    | Set
    | Show
)


@dataclass(frozen=True, slots=True)
class Step:
    """What happens ``at`` so many seconds after the beginning. ``line`` is where the file says so."""

    at: float
    action: Action
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario of a file.

    Attributes:
        path, line: where it stands.
        name: unique in the file; empty where the file has only this one.
        holds: the rules that it checks, as "4.5 STALE R1 diff override".
        lasts: seconds until nothing is looked at any more.
        since, until: the kernel releases that it holds for: the first one, the first one no more.
        exclusive: it needs the machine's own gc_thresh*, which ``gc_thresh`` gives.
        managed: the machine's managed work matters; the beginning is right after one of its runs.
        collection: the periodic collection matters. Only the expected trace says when it runs: the kernel
            does not tell, so it is not played there.
        client: whether a client sees the same, but for the answers that only a host gives; not where giving
            them changes something.
        differs: why it is meant to end differently on the engine; None: it is not.
        addresses: the node's, in the order in which it gets them, with their prefixes.
        start: parameters and switches of the node's device.
        routes: those that the node has to begin with, beside the ones that its addresses bring.
    """

    path: Path
    line: int
    name: str
    title: str
    holds: tuple[str, ...]
    steps: tuple[Step, ...]
    lasts: float
    addresses: tuple[str, ...]
    start: Set
    routes: tuple[RouteChange, ...] = ()
    since: str | None = None
    until: str | None = None
    exclusive: bool = False
    gc_thresh: tuple[int, int, int] | None = None
    managed: bool = False
    collection: bool = False
    client: bool = True
    differs: str | None = None

    @property
    def identity(self) -> str:
        """Folder, file and, if it has one, name."""
        stem = f"{self.path.parent.name}/{self.path.stem}"
        return f"{stem}/{self.name}" if self.name else stem

    @property
    def key(self) -> str:
        """Its name among the traces of its file."""
        return self.name or self.path.stem

    @property
    def trace_path(self) -> Path:
        """Where its expected trace stands, with those of its file."""
        return self.path.with_suffix(".trace")
