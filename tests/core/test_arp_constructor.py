"""What ARP makes of a new entry before anybody is asked: by the device, and by the addresses of that moment (2.4)."""

from __future__ import annotations

import errno

import pytest

from neighio.address import LinkAddress, parse_ip
from neighio.core.constants import (
    IFF_BROADCAST,
    IFF_LOOPBACK,
    IFF_LOWER_UP,
    IFF_MULTICAST,
    IFF_NOARP,
    IFF_POINTOPOINT,
    IFF_RUNNING,
    IFF_UP,
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_STALE,
    RTN_BROADCAST,
    RTN_LOCAL,
    RTN_MULTICAST,
    RTN_UNICAST,
)
from neighio.core.device import Address, Device
from neighio.core.engine import Engine
from neighio.core.events import Transmit
from neighio.core.queue import Packet
from neighio.errors import AdminError
from neighio.testing.simulation import Simulation

from .helpers import ADD, OWN, PEER, REPLACE, add, alive, arp_frame, frames, hear, lines, node, packet

HOST = "198.51.100.7"
LATER = "203.0.113.255"
MAC = LinkAddress(OWN)


def only(flags: int, *, header: bool = True, hh_cache: bool = True, broadcast: bytes = b"\xff" * 6) -> Engine:
    """An engine with one device of this kind, index 3."""
    engine = Engine(now=50.0)
    device = Device("va", 3, MAC, flags=IFF_UP | flags, header=header, hh_cache=hh_cache, broadcast=broadcast)
    engine.attach(device, 50.0)
    engine.add_address(3, Address(parse_ip("198.51.100.1")[0], 24), 50.0)
    return engine


def headers(engine: Engine, ip: str) -> list[bytes]:
    """What stands before a packet to an address when it leaves at once."""
    data = packet("x")
    neighbour = engine.neighbour(3, parse_ip(ip)[0], 51.0)
    engine.send(neighbour, Packet(data, 2), 51.0)
    sent = [output.frame for output in engine.take_outputs() if isinstance(output, Transmit)]
    assert all(frame.endswith(data) for frame in sent)
    return [frame[: -len(data)] for frame in sent]


def to(lladdr: str) -> bytes:
    return LinkAddress(lladdr) + MAC + b"\x08\x00"


BROADCAST = "ff:ff:ff:ff:ff:ff"

# fmt: off
IMMEDIATE = [
    # device,                        flags,                             destination,       header of the packet
    ("Ethernet, group",              IFF_BROADCAST,                     "224.129.2.3",     to("01:00:5e:01:02:03")),
    ("Ethernet, all-ones",           IFF_BROADCAST,                     "255.255.255.255", to(BROADCAST)),
    ("Ethernet, subnet's broadcast", IFF_BROADCAST,                     "198.51.100.255",  to(BROADCAST)),
    ("NOARP, host",                  IFF_NOARP,                         HOST,              to(OWN)),
    ("NOARP, group",                 IFF_NOARP,                         "224.129.2.3",     to("01:00:5e:01:02:03")),
    ("NOARP, broadcast",             IFF_NOARP,                         "198.51.100.255",  to(OWN)),
    ("loopback, host",               IFF_LOOPBACK,                      HOST,              to(OWN)),
    ("loopback, group",              IFF_LOOPBACK,                      "224.129.2.3",     to(OWN)),
    ("point-to-point, host",         IFF_POINTOPOINT,                   HOST,              to(BROADCAST)),
    ("point-to-point, group",        IFF_POINTOPOINT,                   "224.129.2.3",     to(BROADCAST)),
    ("point-to-point NOARP, host",   IFF_POINTOPOINT | IFF_NOARP,       HOST,              to(OWN)),
]
# fmt: on


@pytest.mark.parametrize(
    ("flags", "ip", "header"), [row[1:] for row in IMMEDIATE], ids=[row[0] for row in IMMEDIATE]
)
def test_a_packet_to_an_address_that_needs_no_arp_leaves_at_once(flags: int, ip: str, header: bytes) -> None:
    assert headers(only(flags), ip) == [header]


@pytest.mark.parametrize("ip", [HOST, "224.129.2.3", "198.51.100.255"])
@pytest.mark.parametrize("flags", [0, IFF_POINTOPOINT, IFF_NOARP])
def test_without_a_link_layer_header_a_packet_leaves_as_it_is(flags: int, ip: str) -> None:
    engine = only(flags, header=False)
    assert headers(engine, ip) == [b""]

    entry = engine.neighbour(3, parse_ip(ip)[0], 51.0)
    assert entry.nud_state == NUD_NOARP
    assert entry.key == (bytes(4) if flags & IFF_POINTOPOINT else parse_ip(ip)[0])


def test_the_devices_own_broadcast_address_is_used() -> None:
    own = bytes.fromhex("0300000000ff")
    assert headers(only(IFF_BROADCAST, broadcast=own), "198.51.100.255") == [own + MAC + b"\x08\x00"]


@pytest.mark.parametrize("flags", [IFF_LOOPBACK, IFF_POINTOPOINT])
def test_every_destination_behind_a_loopback_or_point_to_point_device_is_one_silent_entry(flags: int) -> None:
    sim = Simulation(start=1000.0)
    sim.add_device("va", OWN, flags=IFF_UP | flags)
    for ip in (HOST, "203.0.113.9", "224.0.0.5"):
        sim.send(ip)

    assert alive(sim) == {"0.0.0.0"}
    assert lines(sim) == []


# -- the type, hence whether there is resolution, depends on the addresses at the moment of creation


def test_a_destination_is_a_host_while_no_address_makes_it_a_broadcast() -> None:
    sim = node()
    sim.send(LATER)
    entry = sim.neighbour(LATER)
    assert entry is not None
    assert entry.nud_state == NUD_INCOMPLETE

    sim.add_address("va", "203.0.113.1/24")  # forgets what was being tried
    lines(sim)
    sim.send(LATER)

    assert [frame[:6] for frame in frames(sim)] == [b"\xff" * 6]
    entry = sim.neighbour(LATER)
    assert entry is not None
    assert entry.nud_state == NUD_NOARP


def test_an_entry_that_had_an_answer_goes_on_as_a_host_when_its_address_becomes_a_broadcast() -> None:
    sim = node()
    sim.resolve(LATER)
    hear(sim, arp_frame(2, LATER, "198.51.100.1", tha=OWN, dst=OWN))
    sim.add_address("va", "203.0.113.1/24")
    lines(sim)
    sim.send(LATER)

    assert [LinkAddress(frame[:6]) for frame in frames(sim)] == [LinkAddress(PEER)]


def test_an_entry_made_as_a_broadcast_stays_one_when_the_address_goes() -> None:
    sim = node()
    sim.send("198.51.100.255")
    sim.remove_address("va", "198.51.100.1/24")
    lines(sim)
    sim.send("198.51.100.255")
    assert [frame[:6] for frame in frames(sim)] == [b"\xff" * 6]

    sim.send("198.51.100.254")
    assert sim.neighbour("198.51.100.254") is not None
    sim.delete("198.51.100.255")
    sim.resolve("198.51.100.255")
    entry = sim.neighbour("198.51.100.255")
    assert entry is not None
    assert entry.nud_state == NUD_INCOMPLETE


# -- an administrator may overrule the constructor


@pytest.mark.parametrize("state", [NUD_NONE, NUD_FAILED, NUD_STALE])
def test_an_administrators_state_replaces_the_constructors(state: int) -> None:
    sim = node()
    entry = add(sim, "224.0.0.9", state)

    assert entry.nud_state == state


def test_an_administrator_need_not_give_the_address_that_the_constructor_knows() -> None:
    """Of Linux: `ip neigh add 198.51.100.255 dev va nud stale` succeeds, with ff:ff:ff:ff:ff:ff."""
    sim = node()
    sim.admin("198.51.100.255", nlm_flags=0x400, state=NUD_STALE)

    assert lines(sim) == [f"198.51.100.255 lladdr {BROADCAST} STALE"]


# -- the whole table

ETHERNET = IFF_UP | IFF_RUNNING | IFF_LOWER_UP | IFF_BROADCAST | IFF_MULTICAST
KEY = bytes((198, 51, 100, 7))
TO_ALL = b"\xff" * 6


def engine_with(flags: int, **options: object) -> Engine:
    engine = Engine(now=50.0)
    device = Device("d0", 3, MAC, flags=flags, **options)  # type: ignore[arg-type]
    engine.attach(device, 50.0)
    engine.add_address(3, Address(bytes((198, 51, 100, 1)), 24), 50.0)
    return engine


OWN_SUBNET_BROADCAST = bytes((198, 51, 100, 255))
CONSTRUCTOR = [
    # device, key -> key, state, type, lladdr; the first row that matches decides
    ("no header", ETHERNET, {"header": False}, KEY, KEY, NUD_NOARP, RTN_UNICAST, bytes(6)),
    (
        "no header, multicast",
        ETHERNET,
        {"header": False},
        b"\xe0\0\0\xfb",
        b"\xe0\0\0\xfb",
        NUD_NOARP,
        RTN_MULTICAST,
        bytes(6),
    ),
    (
        "multicast",
        ETHERNET,
        {},
        b"\xe0\0\0\xfb",
        b"\xe0\0\0\xfb",
        NUD_NOARP,
        RTN_MULTICAST,
        bytes.fromhex("01005e0000fb"),
    ),
    (
        "multicast, 23 bits",
        ETHERNET,
        {},
        b"\xef\xff\x01\x02",
        b"\xef\xff\x01\x02",
        NUD_NOARP,
        RTN_MULTICAST,
        bytes.fromhex("01005e7f0102"),
    ),
    (
        "multicast on IFF_NOARP",
        ETHERNET | IFF_NOARP,
        {},
        b"\xe0\0\0\xfb",
        b"\xe0\0\0\xfb",
        NUD_NOARP,
        RTN_MULTICAST,
        bytes.fromhex("01005e0000fb"),
    ),
    ("IFF_NOARP", ETHERNET | IFF_NOARP, {}, KEY, KEY, NUD_NOARP, RTN_UNICAST, MAC),
    (
        "IFF_NOARP, broadcast key",
        ETHERNET | IFF_NOARP,
        {},
        OWN_SUBNET_BROADCAST,
        OWN_SUBNET_BROADCAST,
        NUD_NOARP,
        RTN_BROADCAST,
        MAC,
    ),
    ("loopback", ETHERNET | IFF_LOOPBACK, {}, KEY, bytes(4), NUD_NOARP, RTN_BROADCAST, MAC),
    (
        "subnet broadcast",
        ETHERNET,
        {},
        OWN_SUBNET_BROADCAST,
        OWN_SUBNET_BROADCAST,
        NUD_NOARP,
        RTN_BROADCAST,
        TO_ALL,
    ),
    (
        "subnet network",
        ETHERNET,
        {},
        bytes((198, 51, 100, 0)),
        bytes((198, 51, 100, 0)),
        NUD_NONE,
        RTN_UNICAST,
        bytes(6),
    ),
    (
        "limited broadcast",
        ETHERNET,
        {},
        b"\xff\xff\xff\xff",
        b"\xff\xff\xff\xff",
        NUD_NOARP,
        RTN_BROADCAST,
        TO_ALL,
    ),
    ("point-to-point", ETHERNET | IFF_POINTOPOINT, {}, KEY, bytes(4), NUD_NOARP, RTN_BROADCAST, TO_ALL),
    ("host", ETHERNET, {}, KEY, KEY, NUD_NONE, RTN_UNICAST, bytes(6)),
    (
        "own address",
        ETHERNET,
        {},
        bytes((198, 51, 100, 1)),
        bytes((198, 51, 100, 1)),
        NUD_NONE,
        RTN_LOCAL,
        bytes(6),
    ),
    (
        "other subnet's broadcast",
        ETHERNET,
        {},
        bytes((203, 0, 113, 255)),
        bytes((203, 0, 113, 255)),
        NUD_NONE,
        RTN_UNICAST,
        bytes(6),
    ),
]


@pytest.mark.parametrize(
    ("flags", "options", "key", "becomes", "state", "kind", "lladdr"),
    [row[1:] for row in CONSTRUCTOR],
    ids=[row[0] for row in CONSTRUCTOR],
)
def test_the_constructor(
    flags: int, options: dict[str, bool], key: bytes, becomes: bytes, state: int, kind: int, lladdr: bytes
) -> None:
    engine = engine_with(flags, **options)
    entry = engine.neighbour(3, key, 51.0)
    assert (entry.key, entry.nud_state, entry.type) == (becomes, state, kind)
    assert entry.cache.lladdr(entry.row) == lladdr


def test_the_type_is_what_the_address_was_when_the_entry_was_made() -> None:
    engine = engine_with(ETHERNET)
    late = bytes((203, 0, 113, 255))
    entry = engine.neighbour(3, late, 51.0)
    engine.new_neighbour(
        3, late, 51.0, lladdr=bytes.fromhex("02000000000b"), state=NUD_STALE, nlm_flags=REPLACE
    )
    engine.add_address(3, Address(bytes((203, 0, 113, 1)), 24), 52.0)
    assert (entry.type, entry.nud_state) == (RTN_UNICAST, NUD_STALE)


def test_every_ipv4_address_behind_a_point_to_point_device_is_one_entry() -> None:
    engine = engine_with(ETHERNET | IFF_POINTOPOINT)
    first = engine.neighbour(3, KEY, 51.0)
    second = engine.neighbour(3, bytes((203, 0, 113, 9)), 52.0)
    assert first == second
    assert first.refcnt == 3
    assert engine.caches[2].statistics.allocs == 1  # the output path looks up the one key there is


def test_an_administrators_duplicate_on_a_point_to_point_device_is_thrown_away_and_the_old_one_taken() -> (
    None
):
    """EXCL looks for the address as given, the constructor then makes it 0.0.0.0 (2.4)."""
    engine = engine_with(ETHERNET | IFF_POINTOPOINT)
    arp = engine.caches[2]
    peer = bytes.fromhex("02000000000b")
    engine.new_neighbour(3, KEY, 51.0, lladdr=peer, state=NUD_PERMANENT, nlm_flags=ADD)
    engine.new_neighbour(3, KEY, 52.0, lladdr=peer, state=NUD_STALE, nlm_flags=ADD)
    (row,) = arp.rows()
    assert arp.handle(row).nud_state == NUD_STALE
    assert (arp.entries, arp.statistics.allocs, arp.statistics.destroys) == (1, 2, 1)
    with pytest.raises(AdminError) as caught:
        engine.delete_neighbour(3, KEY, 53.0)
    assert caught.value.errno == errno.ENOENT
