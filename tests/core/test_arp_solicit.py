"""The requests that we send: their octets, to whom, and from which address (8.3)."""

from __future__ import annotations

import pytest

from neighio.core.constants import (
    IFA_F_SECONDARY,
    NTF_MANAGED,
    NUD_DELAY,
    NUD_NONE,
    NUD_PROBE,
    NUD_STALE,
    RT_SCOPE_HOST,
    RT_SCOPE_LINK,
    RT_SCOPE_SITE,
)
from neighio.core.device import Address
from neighio.testing.simulation import Simulation

from .helpers import ADD, OWN, PEER, REPLACE, add, arp_frame, frames, hear, node, packet

HOST = "198.51.100.7"
US = "198.51.100.1"


def senders(sim: Simulation) -> list[str]:
    """The protocol addresses from which requests were sent, oldest first."""
    return [".".join(map(str, frame[28:32])) for frame in frames(sim)]


def bare() -> Simulation:
    """A node with a device that has no address, and another, vb."""
    sim = Simulation(start=1000.0, seed=7)
    sim.add_device("va", OWN, [])
    sim.add_device("vb", "02:00:00:00:01:0a", [])
    return sim


def give(sim: Simulation, dev: str, *addresses: tuple[str, int, int]) -> None:
    """Give a device addresses: text with its prefix length, scope, flags."""
    for text, scope, flags in addresses:
        sim.add_address(dev, text, scope=scope, flags=flags)


# -- the octets


def test_the_first_request_is_42_octets_to_broadcast_with_a_zero_target_hardware_address() -> None:
    sim = node()
    sim.resolve(HOST)

    (frame,) = frames(sim)
    assert frame.hex() == (
        "ffffffffffff" "02000000000a" "0806"
        "0001" "0800" "06" "04" "0001"
        "02000000000a" "c6336401" "000000000000" "c6336407"
    )  # fmt: skip


def test_a_unicast_request_goes_to_the_cached_address_and_still_has_a_zero_target_hardware_address() -> None:
    sim = node()
    add(sim, HOST, NUD_PROBE)
    sim.run(0.1)

    (frame,) = frames(sim)
    assert frame.hex() == (
        "02000000000b" "02000000000a" "0806"
        "0001" "0800" "06" "04" "0001"
        "02000000000a" "c6336401" "000000000000" "c6336407"
    )  # fmt: skip


def test_probes_go_to_the_cached_address_first_and_then_to_everybody() -> None:
    sim = node(retrans_time=0.5, ucast_solicit=2, mcast_resolicit=1)
    add(sim, HOST, NUD_PROBE)
    sim.run(5.0)

    assert [frame[:6].hex() for frame in frames(sim)] == ["02000000000b"] * 2 + ["ffffffffffff"]


def test_the_bytes_of_a_request_carry_the_devices_present_address() -> None:
    sim = node()
    sim.engine.set_lladdr(sim.device("va").index, bytes.fromhex("020000000055"), sim.now)
    sim.resolve(HOST)

    (frame,) = frames(sim)
    assert (frame[6:12].hex(), frame[22:28].hex()) == ("020000000055", "020000000055")


def test_no_request_leaves_a_device_that_became_noarp_but_the_probe_is_counted() -> None:
    sim = node(retrans_time=0.5, mcast_solicit=2, ucast_solicit=4)
    sim.device("va").flags |= 0x80
    sim.admin(HOST, nlm_flags=ADD, lladdr=PEER, state=NUD_PROBE)
    sim.run(3.0)

    entry = sim.neighbour(HOST)
    assert entry is not None
    assert frames(sim) == []
    assert entry.probes == 4


# -- whose address, with a packet that waits

# packet's source: local and in the target's subnet; local, in another subnet here; another device's; nobody's
SOURCES = [US, "198.18.0.1", "203.0.113.1", "203.0.113.99"]
ANNOUNCED = {
    0: [US, "198.18.0.1", "203.0.113.1", "198.51.100.1"],
    1: [US, "198.51.100.1", "198.51.100.1", "198.51.100.1"],
    2: ["198.51.100.1"] * 4,
}
SECOND = "198.51.100.200"
ANNOUNCE_CELLS = [
    pytest.param(value, source, asked, id=f"arp_announce {value} - packet from {source} -> {asked}")
    for value, row in ANNOUNCED.items()
    for source, asked in zip(SOURCES, row, strict=True)
]


def crossing() -> Simulation:
    sim = node()
    sim.add_device("vb", "02:00:00:00:01:0a", ["203.0.113.1/24"])
    sim.add_address("va", f"{SECOND}/24", flags=IFA_F_SECONDARY)
    return sim


def octets(address: str) -> bytes:
    return bytes(map(int, address.split(".")))


@pytest.mark.parametrize(("value", "source", "asked"), ANNOUNCE_CELLS)
def test_arp_announce_decides_whether_the_packets_source_asks(value: int, source: str, asked: str) -> None:
    sim = crossing()
    sim.set("va", arp_announce=value)
    sim.send(HOST, packet("x", octets(source)), "va")

    assert senders(sim) == [asked]


@pytest.mark.parametrize(("value", "asked"), [(0, SECOND), (1, SECOND), (2, US)])
def test_a_secondary_address_asks_if_it_is_the_packets_and_is_never_selected(value: int, asked: str) -> None:
    sim = crossing()
    sim.set("va", arp_announce=value)
    sim.send(HOST, packet("x", octets(SECOND)), "va")

    assert senders(sim) == [asked]


@pytest.mark.parametrize(("everywhere", "here", "asked"), [(0, 2, US), (2, 0, US), (0, 0, "203.0.113.1")])
def test_of_arp_announce_everywhere_and_here_the_greater_holds(
    everywhere: int, here: int, asked: str
) -> None:
    sim = crossing()
    sim.set(None, arp_announce=everywhere)
    sim.set("va", arp_announce=here)
    sim.send(HOST, packet("x", octets("203.0.113.1")), "va")

    assert senders(sim) == [asked]


def test_a_packet_from_127_0_0_0_8_asks_with_its_source() -> None:
    sim = node()
    sim.send(HOST, packet("x", octets("127.9.9.9")))

    assert senders(sim) == ["127.9.9.9"]


def test_the_newest_waiting_packet_chooses() -> None:
    sim = node(retrans_time=0.5, mcast_solicit=3)
    sim.send(HOST, packet("old", octets(US)))
    sim.run(0.1)
    sim.send(HOST, packet("new", octets("198.18.0.1")))
    sim.run(1.2)

    assert senders(sim) == [US, "198.18.0.1", "198.18.0.1"]


@pytest.mark.parametrize("value", [0, 1, 2])
def test_without_a_packet_arp_announce_does_not_matter(value: int) -> None:
    sim = node(arp_announce=value, ucast_solicit=1, mcast_solicit=1)
    sim.resolve("198.18.0.9")  # a wish
    add(sim, HOST, NUD_PROBE)  # an administrator's probe
    sim.admin("198.51.100.8", nlm_flags=REPLACE, state=NUD_NONE, flags=NTF_MANAGED)
    sim.run(0.1)

    assert senders(sim) == ["198.18.0.1", US, US]


def test_a_packet_sent_in_delay_is_no_context_for_the_probe_that_follows() -> None:
    sim = node(delay_first_probe_time=0.5)
    add(sim, HOST, NUD_STALE)
    sim.send(HOST, packet("x", octets("198.18.0.1")))
    entry = sim.neighbour(HOST)
    assert entry is not None
    assert entry.nud_state == NUD_DELAY
    sim.lines()
    sim.run(0.6)

    assert senders(sim) == [US]


# -- whose address, selected: (addresses of va, addresses of vb, target, who asks)

PLAIN, SECONDARY = 0, IFA_F_SECONDARY
GLOBAL, SITE, LINK, HOSTS = 0, RT_SCOPE_SITE, RT_SCOPE_LINK, RT_SCOPE_HOST

# fmt: off
SELECT = [
    ("the first in whose subnet the target lies",
     [("203.0.113.1/24", GLOBAL, PLAIN), ("198.51.100.1/24", GLOBAL, PLAIN)], [], HOST, "198.51.100.1"),
    ("of two such, the first",
     [("198.51.100.1/24", GLOBAL, PLAIN), ("198.51.100.2/25", GLOBAL, PLAIN)], [], HOST, "198.51.100.1"),
    ("else the first of the device",
     [("203.0.113.1/24", GLOBAL, PLAIN), ("198.51.100.1/24", GLOBAL, PLAIN)], [], "198.18.0.9", "203.0.113.1"),
    ("a link address counts, and comes first",
     [("203.0.113.1/24", GLOBAL, PLAIN), ("198.51.100.1/24", LINK, PLAIN)], [], "198.18.0.9", "198.51.100.1"),
    ("a host address does not",
     [("198.51.100.1/24", HOSTS, PLAIN), ("203.0.113.1/24", GLOBAL, PLAIN)], [], HOST, "203.0.113.1"),
    ("a secondary one does not",
     [("203.0.113.1/24", GLOBAL, PLAIN), ("198.51.100.1/24", GLOBAL, SECONDARY)], [], HOST, "203.0.113.1"),
    ("else another device's first",
     [], [("203.0.113.1/24", GLOBAL, PLAIN), ("203.0.113.2/24", GLOBAL, PLAIN)], HOST, "203.0.113.1"),
    ("another device's, whatever the subnets",
     [("198.51.100.1/24", HOSTS, PLAIN)],
     [("203.0.113.1/24", GLOBAL, PLAIN), ("198.51.100.2/24", GLOBAL, PLAIN)], HOST, "203.0.113.1"),
    ("a site address of another device counts",
     [], [("203.0.113.1/24", SITE, PLAIN)], HOST, "203.0.113.1"),
    ("a link address of another device does not",
     [], [("203.0.113.1/24", LINK, PLAIN)], HOST, "0.0.0.0"),
    ("nor a secondary one",
     [], [("203.0.113.1/24", GLOBAL, SECONDARY)], HOST, "0.0.0.0"),
    ("else 0.0.0.0",
     [], [], HOST, "0.0.0.0"),
]
# fmt: on


@pytest.mark.parametrize(
    ("here", "there", "target", "asked"), [row[1:] for row in SELECT], ids=[row[0] for row in SELECT]
)
def test_without_a_packet_this_address_asks(
    here: list[tuple[str, int, int]], there: list[tuple[str, int, int]], target: str, asked: str
) -> None:
    sim = bare()
    give(sim, "va", *here)
    give(sim, "vb", *there)
    sim.resolve(target, "va")

    assert senders(sim) == [asked]


def test_with_route_localnet_a_host_address_is_selected_as_a_link_address_is() -> None:
    sim = bare()
    give(sim, "va", ("203.0.113.1/24", GLOBAL, PLAIN), ("198.51.100.1/24", HOSTS, PLAIN))
    sim.set("va", route_localnet=1)
    sim.resolve(HOST, "va")

    assert senders(sim) == ["198.51.100.1"]


def test_an_address_that_was_removed_asks_no_more() -> None:
    sim = node(retrans_time=0.5)
    sim.resolve(HOST)
    sim.remove_address("va", "198.51.100.1/24")
    sim.run(0.6)

    assert senders(sim) == [US, "198.18.0.1"]


def test_an_address_that_became_secondary_is_selected_no_more() -> None:
    sim = node(retrans_time=0.5)
    sim.resolve(HOST)
    sim.engine.add_address(sim.device("va").index, Address(octets(US), 24, flags=IFA_F_SECONDARY), sim.now)
    sim.run(0.6)

    assert senders(sim) == [US, "198.18.0.1"]


def test_what_is_heard_makes_a_client_ask_or_answer_nothing() -> None:
    sim = node(arp_accept=1)
    for op in (1, 2):
        for target in (US, HOST, "198.51.100.99"):
            hear(sim, arp_frame(op, HOST, target, dst=OWN))

    assert frames(sim) == []
