"""Network devices as the engine knows them, and their addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from ..address import parse_ip
from ..errors import InvalidAddress
from ..wire.ipv6 import ALL_NODES
from .constants import (
    AF_INET,
    IFA_F_OPTIMISTIC,
    IFA_F_SECONDARY,
    IFA_F_TENTATIVE,
    IFF_LOOPBACK,
    IFF_LOWER_UP,
    IFF_NOARP,
    IFF_POINTOPOINT,
    IFF_UP,
    RT_SCOPE_UNIVERSE,
)
from .switches import SWITCHES

if TYPE_CHECKING:
    from .neighbour import Neighbour
    from .node import Node
    from .parameters import Parameters

__all__ = [
    "LIMITED_BROADCAST",
    "UNSPECIFIED",
    "Address",
    "Device",
    "in_prefix",
    "parse_interface",
]

LIMITED_BROADCAST: Final = b"\xff\xff\xff\xff"
UNSPECIFIED: Final = bytes(4)


class Address(NamedTuple):
    """An address of a device: packed, with its prefix length, RT_SCOPE_* and IFA_F_* flags."""

    ip: bytes
    prefixlen: int
    scope: int = RT_SCOPE_UNIVERSE
    flags: int = 0
    broadcast: bytes | None = None

    @property
    def secondary(self) -> bool:
        return bool(self.flags & IFA_F_SECONDARY)

    @property
    def tentative(self) -> bool:
        """Whether it is not ours yet: its duplicate detection is under way, and it is not used before."""
        return bool(self.flags & IFA_F_TENTATIVE) and not self.optimistic

    @property
    def optimistic(self) -> bool:
        """Whether it is used with care while its duplicate detection is under way (RFC 4429)."""
        return bool(self.flags & IFA_F_OPTIMISTIC)

    @property
    def proven(self) -> bool:
        """Whether no duplicate detection is under way."""
        return not self.flags & (IFA_F_TENTATIVE | IFA_F_OPTIMISTIC)

    def subnet_contains(self, ip: bytes) -> bool:
        return in_prefix(ip, self.ip, self.prefixlen)

    def broadcasts(self) -> tuple[bytes, ...]:
        """The IPv4 broadcast addresses that come with the address: the explicit one, the subnet's."""
        if len(self.ip) != 4:
            return ()
        found = []
        if self.broadcast is not None and self.broadcast not in (LIMITED_BROADCAST, UNSPECIFIED):
            found.append(self.broadcast)
        if self.prefixlen < 31:
            ones = (1 << (32 - self.prefixlen)) - 1
            subnet = (int.from_bytes(self.ip, "big") | ones).to_bytes(4, "big")
            if subnet not in found:
                found.append(subnet)
        return tuple(found)


def in_prefix(ip: bytes, prefix: bytes, prefixlen: int) -> bool:
    """Whether ``ip`` lies in ``prefix``/``prefixlen``; both packed, of one family."""
    shift = len(ip) * 8 - prefixlen
    return int.from_bytes(ip, "big") >> shift == int.from_bytes(prefix, "big") >> shift


def parse_interface(address: str) -> tuple[bytes, int]:
    """Return the packed address and the prefix length of "198.51.100.1/24".

    Raises:
        InvalidAddress
    """
    text, slash, length = address.partition("/")
    ip, _ = parse_ip(text, field="address")
    if not slash or not (length.isascii() and length.isdigit()):
        raise InvalidAddress(f"address: {address!r} has no prefix length")
    if int(length) > len(ip) * 8:
        raise InvalidAddress(f"address: {address!r}: /{length} is more than /{len(ip) * 8}")
    return ip, int(length)


class Device:
    """A network device, with its own settings and the two hooks of link drivers.

    ``neigh_construct(neighbour)`` is called with each unfinished entry, ``neigh_setup(parameters)`` with
    the device's parameters when an entry is made; both are synchronous, and an exception refuses the
    creation. ``header`` is False for devices without a link-layer header (tun), ``hh_cache`` False for
    those whose header cannot be cached. ``answers`` is True in the host role: the addresses are neighio's,
    which answers for them. ``node`` is the node that the device belongs to. ``groups`` are the IPv6 groups
    that are listened to, with how many ask for each. ``ready`` says whether it has had a carrier since it was
    last set up (IF_READY). ``drops`` counts, by reason, received frames that
    touched nothing and packets to neighbours that were not sent.
    """

    __slots__ = (
        "addresses",
        "answers",
        "broadcast",
        "drops",
        "flags",
        "groups",
        "header",
        "hh_cache",
        "in_force",
        "index",
        "lladdr",
        "mtu",
        "name",
        "neigh_construct",
        "neigh_setup",
        "node",
        "ready",
        "switches",
    )

    def __init__(
        self,
        name: str,
        index: int,
        lladdr: bytes,
        *,
        broadcast: bytes = b"\xff\xff\xff\xff\xff\xff",
        flags: int,
        mtu: int = 1500,
        header: bool = True,
        hh_cache: bool = True,
        answers: bool = False,
        neigh_construct: Callable[[Neighbour], None] | None = None,
        neigh_setup: Callable[[Parameters], None] | None = None,
    ) -> None:
        self.name: str = name
        self.index: int = index
        self.lladdr: bytes = lladdr
        self.broadcast: bytes = broadcast
        self.flags: int = flags
        self.mtu: int = mtu
        self.header: bool = header
        self.hh_cache: bool = hh_cache
        self.neigh_construct: Callable[[Neighbour], None] | None = neigh_construct
        self.neigh_setup: Callable[[Parameters], None] | None = neigh_setup
        self.answers: bool = answers
        self.addresses: list[Address] = []
        self.groups: dict[bytes, int] = {ALL_NODES: 1}
        self.ready: bool = self.up and self.carrier
        self.drops: dict[str, int] = {}
        self.switches: dict[int, dict[str, int]] = {
            family: {name: s.default for name, s in SWITCHES[family].items()} for family in SWITCHES
        }
        # What Node.refresh made of them and of "all", for whoever asks with each frame.
        self.in_force: dict[int, dict[str, int]] = {
            family: dict(own) for family, own in self.switches.items()
        }

    node: Node

    def __repr__(self) -> str:
        return f"<Device {self.name} index {self.index} flags {self.flags:#x}>"

    def count_drop(self, reason: str) -> None:
        self.drops[reason] = self.drops.get(reason, 0) + 1

    @property
    def addr_len(self) -> int:
        return len(self.lladdr)

    @property
    def up(self) -> bool:
        return bool(self.flags & IFF_UP)

    @property
    def carrier(self) -> bool:
        return bool(self.flags & IFF_LOWER_UP)

    @property
    def noarp(self) -> bool:
        return bool(self.flags & IFF_NOARP)

    @property
    def loopback(self) -> bool:
        return bool(self.flags & IFF_LOOPBACK)

    @property
    def point_to_point(self) -> bool:
        return bool(self.flags & IFF_POINTOPOINT)

    def own(self, family: int) -> Iterator[Address]:
        """The device's addresses of one family, in the kernel's order."""
        length = 4 if family == AF_INET else 16
        return (address for address in self.addresses if len(address.ip) == length)

    def address(self, ip: bytes) -> Address | None:
        """The device's own address ``ip``, if it has it."""
        return next((address for address in self.addresses if address.ip == ip), None)

    def subnet_contains(self, ip: bytes, *others: bytes) -> bool:
        """Whether one subnet of this device contains all of the addresses (inet_addr_onlink)."""
        return any(
            address.subnet_contains(ip) and all(address.subnet_contains(other) for other in others)
            for address in self.addresses
            if len(address.ip) == len(ip)
        )
