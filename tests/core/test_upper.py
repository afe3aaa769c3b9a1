"""IP packets for the stack above a host: whose they are, and when they are handed up."""

from __future__ import annotations

from typing import Literal

import pytest

from neighio.address import LinkAddress
from neighio.core.constants import AF_INET, AF_INET6, IFA_F_OPTIMISTIC, IFA_F_TENTATIVE
from neighio.core.events import Received
from neighio.testing.simulation import Simulation
from neighio.wire import ipv4
from tests.wire.drafts import Draft

from .discovery import ALL_NODES, HOST, US, US_LOCAL, packed
from .helpers import OWN, PEER, hear
from .hosts import BEGIN, log

FOUR, THEIRS_FOUR = bytes((198, 51, 100, 1)), bytes((198, 51, 100, 7))
OTHERS_FOUR, OTHERS_SIX = bytes((203, 0, 113, 1)), "2001:db8:5::1"
"""Addresses of another device of ours."""
GROUP = b"\x33\x33\x00\x00\x00\x01"
UDP = 17


def node(role: Literal["client", "host"] = "host", *, listening: bool = True) -> Simulation:
    sim = Simulation(start=BEGIN)
    sim.add_device("va", OWN, ["198.51.100.1/24", f"{US}/64", f"{US_LOCAL}/64"], role=role)
    sim.add_device("vb", "02:00:00:00:01:0a", ["203.0.113.1/24", f"{OTHERS_SIX}/64", "fe80::b/64"], role=role)
    sim.run(5.0)
    log(sim)
    if listening:
        sim.engine.services.listening.add(1)
    sim.device("va").drops.clear()
    return sim


def four(dst: bytes = FOUR, *, body: bytes = bytes(8)) -> bytes:
    return ipv4.build(THEIRS_FOUR, dst, body, protocol=UDP, ttl=64, tos=0)


def six(dst: str = US, *, protocol: int = UDP) -> bytes:
    return Draft(0, bytes(8), packed(HOST), packed(dst), protocol=protocol, hop_limit=64).packet


def arrive(sim: Simulation, packet: bytes, *, dst: bytes | None = None, padding: int = 0) -> list[Received]:
    """What is handed up of a packet that arrives in a frame to us, or to ``dst``."""
    ethertype = b"\x08\x00" if packet[:1] and packet[0] >> 4 == 4 else b"\x86\xdd"
    to = bytes(LinkAddress(OWN)) if dst is None else dst
    sim.engine.receive(1, to + bytes(LinkAddress(PEER)) + ethertype + packet + bytes(padding), sim.now)
    return [output for output in sim.engine.take_outputs() if isinstance(output, Received)]


@pytest.mark.parametrize(("family", "packet"), [(AF_INET, four()), (AF_INET6, six())], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("padding", [0, 18])
def test_a_packet_to_us_is_handed_up_whole_and_without_the_frames_padding(
    family: int, packet: bytes, padding: int
) -> None:
    sim = node()
    (received,) = arrive(sim, packet, padding=padding)

    assert (received.family, received.packet, received.lladdr) == (family, packet, LinkAddress(PEER))
    assert (received.time, received.device) == (sim.now, sim.device("va"))
    assert sim.device("va").drops == {}


@pytest.mark.parametrize("packet", [four(), six()], ids=["ipv4", "ipv6"])
def test_while_nobody_above_asks_for_packets_they_are_dropped_and_counted(packet: bytes) -> None:
    sim = node(listening=False)
    assert arrive(sim, packet) == []
    assert sim.device("va").drops == {"ip_no_listener": 1}


# packet, the frame's destination -> why it is not handed up
# fmt: off
REFUSED = [
    ("another station's frame, IPv4", four(), bytes.fromhex("020000000063"), "other_host"),
    ("another station's frame, IPv6", six(),  bytes.fromhex("020000000063"), "other_host"),
    ("a broadcast frame",             four(), b"\xff" * 6,                   "other_host"),
    ("a group's frame",               six(),  GROUP,                         "other_host"),
    ("to somebody, IPv4",             four(THEIRS_FOUR), None,               "ip_destination_not_ours"),
    ("to somebody, IPv6",             six(HOST), None,                       "ip_destination_not_ours"),
    ("to a group",                    six(ALL_NODES), None,                  "ip_destination_not_ours"),
    ("to another device's link-local", six("fe80::b"), None,                 "ip_destination_not_ours"),
    ("a wrong IPv4 checksum",         four()[:10] + b"\0\0" + four()[12:], None, "ipv4_checksum"),
]
# fmt: on


@pytest.mark.parametrize(
    ("packet", "dst", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_what_is_not_for_us_is_dropped_and_counted(packet: bytes, dst: bytes | None, reason: str) -> None:
    sim = node()
    assert arrive(sim, packet, dst=dst) == []
    assert sim.device("va").drops == {reason: 1}


@pytest.mark.parametrize("packet", [four(OTHERS_FOUR), six(OTHERS_SIX)], ids=["ipv4", "ipv6"])
def test_an_address_of_another_device_of_ours_is_ours(packet: bytes) -> None:
    assert len(arrive(node(), packet)) == 1


@pytest.mark.parametrize(
    ("flags", "taken"), [(IFA_F_TENTATIVE, False), (IFA_F_TENTATIVE | IFA_F_OPTIMISTIC, True), (0, True)]
)
def test_a_tentative_address_is_not_ours_yet_an_optimistic_one_is(flags: int, taken: bool) -> None:
    """R206."""
    sim = node()
    sim.add_address("va", "2001:db8::2/64", flags=flags)
    sim.run(5.0)

    assert bool(arrive(sim, six("2001:db8::2"))) is taken


@pytest.mark.parametrize("packet", [four(), six()], ids=["ipv4", "ipv6"])
def test_a_client_hands_nothing_up(packet: bytes) -> None:
    """Its addresses are the kernel's, and so are the packets to them."""
    sim = node("client")
    assert arrive(sim, packet) == []
    assert sum(sim.device("va").drops.values()) == 1


def test_what_the_core_consumes_itself_is_not_handed_up() -> None:
    sim = node()
    sent: list[object] = []
    sim.driver.take_packets(1, sent.append)
    for kind in (133, 134, 135, 136, 137):
        hear(
            sim,
            bytes(LinkAddress(OWN))
            + bytes(6)
            + b"\x86\xdd"
            + Draft(kind, bytes(40), packed(HOST), packed(US)).packet,
        )

    assert sent == []
