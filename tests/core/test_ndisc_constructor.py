"""What Neighbour Discovery makes of a new entry before anybody is asked: by the address and by the device (2.4)."""

from __future__ import annotations

import pytest

from neighio.address import LinkAddress
from neighio.core.constants import (
    AF_INET6,
    IFF_BROADCAST,
    IFF_LOOPBACK,
    IFF_LOWER_UP,
    IFF_MULTICAST,
    IFF_NOARP,
    IFF_POINTOPOINT,
    IFF_RUNNING,
    IFF_UP,
    NUD_NOARP,
    NUD_NONE,
    RTN_LOCAL,
    RTN_MULTICAST,
    RTN_UNICAST,
)
from neighio.core.device import Address, Device
from neighio.core.engine import Engine
from neighio.core.events import Transmit
from neighio.core.queue import Packet

from .discovery import HOST, US, US_LOCAL, packed
from .helpers import OWN

ETHERNET = IFF_UP | IFF_RUNNING | IFF_LOWER_UP | IFF_BROADCAST | IFF_MULTICAST
MAC = bytes(LinkAddress(OWN))
BROADCAST = bytes.fromhex("fefefefefefe")
"""The device's own, unlike Ethernet's."""
NO_LLADDR = bytes(6)


def only(flags: int, **options: object) -> Engine:
    """An engine with one device of this kind, index 3."""
    engine = Engine(now=50.0)
    device = Device("d0", 3, MAC, flags=flags, broadcast=BROADCAST, **options)  # type: ignore[arg-type]
    engine.attach(device, 50.0)
    for ip in (US, US_LOCAL):
        engine.add_address(3, Address(packed(ip), 64), 50.0)
    engine.take_outputs()
    return engine


LOOPBACK, NOARP, TUNNEL = ETHERNET | IFF_LOOPBACK, ETHERNET | IFF_NOARP, ETHERNET | IFF_POINTOPOINT
HEADERLESS = {"header": False}

# The first row that matches decides; no key is rewritten, and there is no broadcast.
# fmt: off
CONSTRUCTOR = [
    # device                       flags     options     key                  state      type           lladdr
    ("no header",                  ETHERNET, HEADERLESS, HOST,                NUD_NOARP, RTN_UNICAST,   NO_LLADDR),
    ("no header, group",           ETHERNET, HEADERLESS, "ff02::fb",          NUD_NOARP, RTN_MULTICAST, NO_LLADDR),
    ("no header, loopback",        LOOPBACK, HEADERLESS, HOST,                NUD_NOARP, RTN_UNICAST,   NO_LLADDR),
    ("group",                      ETHERNET, {},         "ff02::fb",          NUD_NOARP, RTN_MULTICAST, "3333000000fb"),
    ("group, low 32 bits",         ETHERNET, {},         "ff0e:1:2:3:4:5:8687:9899", NUD_NOARP, RTN_MULTICAST,
                                                                                                        "333386879899"),
    ("solicited-node group",       ETHERNET, {},         "ff02::1:ff00:7",    NUD_NOARP, RTN_MULTICAST, "3333ff000007"),
    ("group of another scope",     ETHERNET, {},         "ff05::1:3",         NUD_NOARP, RTN_MULTICAST, "333300010003"),
    ("group, IFF_NOARP",           NOARP,    {},         "ff02::fb",          NUD_NOARP, RTN_MULTICAST, "3333000000fb"),
    ("group, loopback",            LOOPBACK, {},         "ff02::fb",          NUD_NOARP, RTN_MULTICAST, "3333000000fb"),
    ("group, point-to-point",      TUNNEL,   {},         "ff02::fb",          NUD_NOARP, RTN_MULTICAST, "3333000000fb"),
    ("IFF_NOARP",                  NOARP,    {},         HOST,                NUD_NOARP, RTN_UNICAST,   MAC),
    ("IFF_NOARP, point-to-point",  NOARP | IFF_POINTOPOINT, {}, HOST,         NUD_NOARP, RTN_UNICAST,   MAC),
    ("loopback",                   LOOPBACK, {},         HOST,                NUD_NOARP, RTN_LOCAL,     MAC),
    ("loopback, ::1",              LOOPBACK, {},         "::1",               NUD_NOARP, RTN_LOCAL,     MAC),
    ("point-to-point",             TUNNEL,   {},         HOST,                NUD_NOARP, RTN_UNICAST,   BROADCAST),
    ("host",                       ETHERNET, {},         HOST,                NUD_NONE,  RTN_UNICAST,   NO_LLADDR),
    ("link-local host",            ETHERNET, {},         "fe80::7",           NUD_NONE,  RTN_UNICAST,   NO_LLADDR),
    ("own address",                ETHERNET, {},         US,                  NUD_NONE,  RTN_UNICAST,   NO_LLADDR),
    ("last of the prefix",         ETHERNET, {},         "2001:db8::ffff:ffff:ffff:ffff", NUD_NONE, RTN_UNICAST,
                                                                                                        NO_LLADDR),
    ("first of the prefix",        ETHERNET, {},         "2001:db8::",        NUD_NONE,  RTN_UNICAST,   NO_LLADDR),
    ("::1 on a link",              ETHERNET, {},         "::1",               NUD_NONE,  RTN_UNICAST,   NO_LLADDR),
]
# fmt: on


@pytest.mark.parametrize(
    ("flags", "options", "ip", "state", "kind", "lladdr"),
    [row[1:] for row in CONSTRUCTOR],
    ids=[row[0] for row in CONSTRUCTOR],
)
def test_the_constructor(
    flags: int, options: dict[str, bool], ip: str, state: int, kind: int, lladdr: bytes | str
) -> None:
    engine = only(flags, **options)
    entry = engine.neighbour(3, packed(ip), 51.0)

    assert (entry.ip, entry.nud_state, entry.type) == (ip, state, kind)
    assert entry.cache.lladdr(entry.row) == (bytes.fromhex(lladdr) if isinstance(lladdr, str) else lladdr)
    assert engine.take_outputs() == []


@pytest.mark.parametrize("octets", [0, 4, 8])
def test_a_group_on_a_device_whose_addresses_are_no_ethernet_ones_is_at_its_broadcast_address(
    octets: int,
) -> None:
    engine = Engine(now=50.0)
    broadcast = bytes(range(0xF0, 0xF0 + octets))
    engine.attach(Device("d0", 3, bytes(octets), flags=ETHERNET, broadcast=broadcast), 50.0)
    entry = engine.neighbour(3, packed("ff02::fb"), 51.0)

    assert entry.nud_state == NUD_NOARP
    assert entry.cache.store.lladdr_of(entry.row, octets) == broadcast


@pytest.mark.parametrize("flags", [LOOPBACK, TUNNEL], ids=["loopback", "point-to-point"])
def test_every_ipv6_address_behind_a_loopback_or_point_to_point_device_is_an_entry_of_its_own(
    flags: int,
) -> None:
    """In ARP all of them are 0.0.0.0."""
    engine = only(flags)
    first, second = (engine.neighbour(3, packed(ip), 51.0) for ip in (HOST, "2001:db8::8"))

    assert first != second
    assert (first.ip, second.ip) == (HOST, "2001:db8::8")
    assert engine.resolve_nowait(3, packed(HOST), 51.0) == first.lladdr


@pytest.mark.parametrize(
    ("flags", "ip", "to"),
    [
        (ETHERNET, "ff02::fb", "3333000000fb"),
        (NOARP, HOST, OWN),
        (LOOPBACK, HOST, OWN),
        (TUNNEL, HOST, "fefefefefefe"),
    ],
    ids=["group", "IFF_NOARP", "loopback", "point-to-point"],
)
def test_a_packet_to_such_an_address_leaves_at_once_and_nobody_is_asked(flags: int, ip: str, to: str) -> None:
    engine = only(flags)
    data = b"\x60" + bytes(39)
    neighbour = engine.neighbour(3, packed(ip), 51.0)
    engine.send(neighbour, Packet(data, AF_INET6), 51.0)
    (sent,) = engine.take_outputs()

    assert isinstance(sent, Transmit)
    assert sent.frame == bytes.fromhex(to.replace(":", "")) + MAC + b"\x86\xdd" + data
