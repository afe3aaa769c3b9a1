"""What ARP makes of a new entry before anybody is asked: by the device, and by the addresses of that moment (2.4)."""

from __future__ import annotations

import pytest

from neighio.address import LinkAddress, parse_ip
from neighio.core.constants import (
    IFF_BROADCAST,
    IFF_LOOPBACK,
    IFF_NOARP,
    IFF_POINTOPOINT,
    IFF_UP,
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_NONE,
    NUD_STALE,
)
from neighio.core.device import Address, Device
from neighio.core.engine import Engine
from neighio.core.events import Transmit
from neighio.core.queue import Packet
from neighio.testing.simulation import Simulation

from .helpers import OWN, PEER, add, alive, arp_frame, frames, hear, lines, node, packet

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
