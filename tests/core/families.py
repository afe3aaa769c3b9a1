"""The two families, for scenarios that hold for both.

A module of such says ``pytestmark = pytest.mark.usefixtures("family")``: each of its tests runs once for ARP and
once for Neighbour Discovery, and what is here means the one at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from neighio.address import parse_ip
from neighio.core.constants import AF_INET, AF_INET6
from neighio.wire import arp, ndisc
from neighio.wire.ethernet import BROADCAST, ipv6_multicast_lladdr
from neighio.wire.ipv6 import solicited_node

__all__ = ["ARP_ALONE", "FAMILIES", "Family", "behind", "current", "host", "many", "packed", "use", "version"]

OURS = bytes.fromhex("02000000000a")

ARP_ALONE = pytest.mark.parametrize("family", ["arp"], indirect=True)
"""For a test of such a module that is about ARP."""


class Family(NamedTuple):
    """What scenarios need to know of a family."""

    number: int
    """AF_INET or AF_INET6."""
    version: int
    """4 or 6, as callers name it."""
    own: tuple[str, ...]
    """The addresses that a device of ours has, with their prefix lengths. The first one is packets' source."""
    wide: str
    """A further one, in the subnet of :func:`many`."""
    others: tuple[str, ...]
    """Those of another device of ours."""
    host: Callable[[int], str]
    """The neighbour of a number, 2 to 250."""
    behind: Callable[[int], str]
    """The same of the other device."""
    many: Callable[[int], str]
    """One of 60,000 further ones."""
    group: str
    """A multicast address, and where it is."""
    group_lladdr: str
    header: int
    """Octets of a packet's header."""
    ethertype: bytes
    evict_nocarrier: str

    def packet(self, source: bytes, destination: bytes, body: bytes) -> bytes:
        """A whole packet with this body."""
        if self.number == AF_INET:
            return b"\x45" + bytes(11) + source + destination + body
        return b"\x60" + bytes(7) + source + destination + body

    @property
    def us(self) -> str:
        """The first own address."""
        return self.own[0].partition("/")[0]

    def question(self, sender: str, lladdr: bytes) -> bytes:
        """The frame with which somebody asks all for our address, and says where he is."""
        src, target = parse_ip(sender)[0], parse_ip(self.us)[0]
        if self.number == AF_INET:
            return arp.build(arp.ARPOP_REQUEST, src, lladdr, target, bytes(6), dst=BROADCAST, src=lladdr)
        dst = solicited_node(target)
        packet = ndisc.build_solicitation(src, dst, target, lladdr)
        return ipv6_multicast_lladdr(dst) + lladdr + self.ethertype + packet

    def answer(self, sender: str, lladdr: bytes) -> bytes:
        """The frame with which somebody answers us: he is there."""
        src, target = parse_ip(sender)[0], parse_ip(self.us)[0]
        if self.number == AF_INET:
            return arp.build(arp.ARPOP_REPLY, src, lladdr, target, OURS, dst=OURS, src=lladdr)
        packet = ndisc.build_advertisement(
            src, target, src, lladdr, router=False, solicited=True, override=True
        )
        return OURS + lladdr + self.ethertype + packet


def _many_of_ipv4(number: int) -> str:
    return f"198.18.{1 + number // 250}.{1 + number % 250}"


FAMILIES = {
    "arp": Family(
        number=AF_INET,
        version=4,
        own=("198.51.100.1/24",),
        wide="198.18.0.1/15",
        others=("203.0.113.1/24",),
        host=lambda number: f"198.51.100.{number}",
        behind=lambda number: f"203.0.113.{number}",
        many=_many_of_ipv4,
        group="224.0.0.251",
        group_lladdr="01:00:5e:00:00:fb",
        header=20,
        ethertype=b"\x08\x00",
        evict_nocarrier="arp_evict_nocarrier",
    ),
    "ndisc": Family(
        number=AF_INET6,
        version=6,
        own=("2001:db8::1/64", "fe80::a/64"),
        wide="2001:db8:18::1/48",
        others=("2001:db8:113::1/64", "fe80::1a/64"),
        host=lambda number: f"2001:db8::{number}",
        behind=lambda number: f"2001:db8:113::{number}",
        many=lambda number: f"2001:db8:18::1:{number + 1:x}",
        group="ff02::fb",
        group_lladdr="33:33:00:00:00:fb",
        header=40,
        ethertype=b"\x86\xdd",
        evict_nocarrier="ndisc_evict_nocarrier",
    ),
}

_at_hand = FAMILIES["arp"]


def use(family: Family) -> None:
    """Mean this family from now on."""
    global _at_hand
    _at_hand = family


def current() -> Family:
    """The family at hand: ARP where nothing is said."""
    return _at_hand


def host(number: int) -> str:
    """The neighbour of a number, in the family at hand."""
    return _at_hand.host(number)


def behind(number: int) -> str:
    """The one of another device of ours."""
    return _at_hand.behind(number)


def version() -> int:
    """4 or 6."""
    return _at_hand.version


def packed(number: int = 2) -> bytes:
    """Its address, packed."""
    return parse_ip(_at_hand.host(number))[0]


def many(first: int, count: int) -> list[str]:
    """``count`` further addresses, different ones for different numbers."""
    return [_at_hand.many(number) for number in range(first, first + count)]
