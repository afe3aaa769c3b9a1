"""What the core says: Linux's notifications, the trace behind them, and what it wants done.

The engine's outputs are one list in the order in which Linux would have acted: a frame that left
before an event stands before it.
"""

# No postponed annotations here: a field whose type is a string costs the import of the package a compilation.

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ..address import LinkAddress, format_ip
from ..errors import DeviceGone, PacketDropped, Unreachable
from .constants import NTF_EXT_LEARNED, NTF_MANAGED, NTF_OFFLOADED, NTF_PROXY, NTF_ROUTER, nud_state_name

if TYPE_CHECKING:
    from .device import Device
    from .neighbour import Neighbour
    from .queue import Packet

__all__ = [
    "AddressConflict",
    "Answer",
    "Change",
    "Claimed",
    "DelNeighbour",
    "Event",
    "Membership",
    "Miss",
    "NewNeighbour",
    "Notification",
    "Output",
    "PacketFailed",
    "Received",
    "Settled",
    "Transmit",
    "Verified",
]

_FLAG_WORDS = (
    (NTF_ROUTER, "router"),
    (NTF_PROXY, "proxy"),
    (NTF_MANAGED, "managed"),
    (NTF_EXT_LEARNED, "extern_learn"),
    (NTF_OFFLOADED, "offload"),
)


class Notification(NamedTuple):
    """A snapshot of an entry at the moment of its emission, as an RTM_*NEIGH message carries it.

    ``time``, ``confirmed``, ``used`` and ``updated`` are seconds of the table's clock. ``lladdr`` is
    None while the state has none. ``refcnt`` is the number of references beyond the table's own.
    ``row`` is the entry's place in its cache, which says whether a walk has come by it.
    """

    time: float
    family: int
    key: bytes
    device: str
    lladdr: LinkAddress | None
    state: int
    flags: int
    type: int
    probes: int
    confirmed: float
    used: float
    updated: float
    refcnt: int
    protocol: int
    row: int

    @property
    def ip(self) -> str:
        """The neighbour's IP address, as text."""
        return format_ip(self.key)

    def __str__(self) -> str:
        """The line that ``ip monitor neigh`` prints; a protocol is its number."""
        words = [self.ip, "dev", self.device]
        if self.lladdr is not None:
            words += ["lladdr", str(self.lladdr)]
        words += [word for flag, word in _FLAG_WORDS if self.flags & flag]
        if self.state:
            words.append(nud_state_name(self.state))
        if self.protocol:
            words += ["proto", str(self.protocol)]
        return " ".join(words)


class NewNeighbour(Notification):
    """RTM_NEWNEIGH: an entry changed in a way that Linux tells user space."""

    __slots__ = ()


class DelNeighbour(Notification):
    """RTM_DELNEIGH: an entry left the table; ``state`` is the one that it left in."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"Deleted {super().__str__()}"


class Miss(Notification):
    """RTM_GETNEIGH: a probe of app_solicit. Answer it with ``change`` or ``replace``."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"miss {super().__str__()}"


class Change(NamedTuple):
    """One change of an entry's state, address or flags, whether Linux tells of it or not.

    ``stimulus`` is what caused it: "output", "timer", "evidence", "verify", "admin" or "flush".
    ``notified`` says that Linux sends a notification because of it.
    """

    time: float
    family: int
    key: bytes
    device: str
    stimulus: str
    old_state: int
    state: int
    old_lladdr: LinkAddress | None
    lladdr: LinkAddress | None
    old_flags: int
    flags: int
    notified: bool
    row: int

    @property
    def ip(self) -> str:
        """The neighbour's IP address, as text."""
        return format_ip(self.key)

    def __str__(self) -> str:
        text = (
            f"{self.ip} dev {self.device} {_state(self.old_state)} -> {_state(self.state)} by {self.stimulus}"
        )
        if self.lladdr != self.old_lladdr:
            text += f" lladdr {self.old_lladdr or 'none'} -> {self.lladdr or 'none'}"
        if self.flags != self.old_flags:
            text += f" flags {self.old_flags:#x} -> {self.flags:#x}"
        return text if self.notified else f"{text} (silent)"


def _state(state: int) -> str:
    return nud_state_name(state) or "NONE"


class PacketFailed(NamedTuple):
    """A packet that a neighbour had accepted was not sent.

    ``reported`` says that Linux sends an ICMP error (host or address unreachable) to the packet's
    source; otherwise it drops the packet in silence.
    """

    time: float
    family: int
    key: bytes
    device: str
    packet: "Packet"
    error: type[Unreachable] | type[PacketDropped] | type[DeviceGone]
    reported: bool

    @property
    def ip(self) -> str:
        """The neighbour's IP address, as text."""
        return format_ip(self.key)


class Transmit(NamedTuple):
    """A frame to be handed to a device's link. ``packet`` is the caller's, None for a solicitation."""

    device: "Device"
    frame: bytes
    packet: "Packet | None"


class Claimed(NamedTuple):
    """An own address of a host is in use from now on: nobody else was found to have it."""

    device: "Device"
    key: bytes


class Disowned(NamedTuple):
    """An own address of a host was taken away from it, other than by its wish; ``reason`` says why."""

    device: "Device"
    key: bytes
    reason: str


class AddressConflict(NamedTuple):
    """Somebody else uses an own address of a host, at ``lladdr``.

    ``action`` is what was done: "duplicate" (its detection failed, it does not become ours), "reported"
    (nothing), "defended" (announced once more) or "ceased" (given up). Linux tells of none.
    """

    time: float
    family: int
    key: bytes
    device: str
    ifindex: int
    lladdr: LinkAddress
    action: str

    @property
    def ip(self) -> str:
        """The contested IP address, as text."""
        return format_ip(self.key)

    def __str__(self) -> str:
        return f"{self.ip} dev {self.device} used by {self.lladdr}: {self.action}"


class Membership(NamedTuple):
    """The device's link is to let an IPv6 group (packed) in from now on, or no longer."""

    device: "Device"
    group: bytes
    joined: bool


class Received(NamedTuple):
    """An IP packet, whole, to an own address of a host, for the stack above. ``lladdr`` is who sent the
    frame."""

    time: float
    device: "Device"
    family: int
    packet: bytes
    lladdr: LinkAddress


class Settled(NamedTuple):
    """An entry left INCOMPLETE, to an address or to the error that its waiters get. Exactly one each."""

    neighbour: "Neighbour"
    outcome: LinkAddress | type[Unreachable] | type[DeviceGone]


class Verified(NamedTuple):
    """A watched entry was confirmed at an address, or can no longer be; None: it came to rest
    without proof (a hint made it STALE) and has to be probed again."""

    neighbour: "Neighbour"
    outcome: LinkAddress | type[Unreachable] | type[DeviceGone] | None


class Answer(NamedTuple):
    """A protocol answer heard from an address that somebody probes for."""

    time: float
    device: "Device"
    key: bytes
    lladdr: LinkAddress


Event: TypeAlias = NewNeighbour | DelNeighbour | Miss
"""What Linux tells user space."""

Output: TypeAlias = (
    Transmit
    | NewNeighbour
    | DelNeighbour
    | Miss
    | Change
    | PacketFailed
    | Settled
    | Verified
    | Answer
    | Membership
    | Claimed
    | Disowned
    | AddressConflict
    | Received
)
