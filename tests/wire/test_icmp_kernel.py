"""The running kernel as oracle: it answers exactly the requests that we answer, and as we do."""

from __future__ import annotations

import platform
import socket
from collections.abc import Iterator

import pytest
from scapy.layers.inet import ICMP, IP, IPOption_LSRR, IPOption_NOP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    RouterAlert,
)
from scapy.packet import Packet

from neighio.address import parse_ip
from neighio.kernel import requests
from neighio.testing.isolation import require_namespaces, wrong_release
from neighio.testing.namespace import Peer, connect
from neighio.wire import ethernet, icmp, ipv4

from .drafts import OUR_MAC, PEER_MAC

DATA = b"payload of an odd length!"


@pytest.fixture
def here() -> Iterator[Peer]:
    """A namespace that has a device, va, and the other end of its veth pair, vb."""
    require_namespaces()
    reason = wrong_release(platform.release(), "6.18", None)
    if reason is not None:
        pytest.skip(reason)
    with Peer.start() as here:
        ours, _ = connect(here, here, "va", "vb", lladdr=OUR_MAC.hex(":"), far_lladdr=PEER_MAC.hex(":"))
        here.add_address("va", "198.51.100.1/24")
        here.add_address("va", "2001:db8::1/64")
        for peer in ("198.51.100.7", "2001:db8::7"):
            here.request(requests.new_neighbour(ours.index, parse_ip(peer)[0], PEER_MAC))
        # Whoever is asked from elsewhere answers by way of the peer.
        here.add_route("va", "0.0.0.0/0", "198.51.100.7")
        yield here


def answers(here: Peer, family: int, packets: list[bytes]) -> dict[int, bytes]:
    """Send the requests; return the answers by sequence number. The last one is answered for certain."""
    ethertype, offset = {4: (ethernet.ETH_P_IP, 20), 6: (ethernet.ETH_P_IPV6, 40)}[family]
    found: dict[int, bytes] = {}
    with here.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ethertype)) as sender:
        sender.bind(("vb", ethertype))
        sender.settimeout(20)
        for packet in packets:
            sender.send(ethernet.build(OUR_MAC, PEER_MAC, ethertype, packet))
        while len(packets) not in found:
            frame = sender.recv(2048)
            if frame[:6] == PEER_MAC and frame[14 + offset] in (icmp.ICMP_ECHOREPLY, icmp.ICMPV6_ECHO_REPLY):
                found[int.from_bytes(frame[20 + offset : 22 + offset], "big")] = frame[14:]
    return found


def test_answers_over_ipv6_are_the_kernels(here: Peer) -> None:
    def request(sequence: int, *extensions: Packet, **fields: object) -> Packet:
        packet = IPv6(**{"src": "2001:db8::7", "dst": "2001:db8::1"} | fields)
        for extension in extensions:
            packet /= extension
        return packet / ICMPv6EchoRequest(id=0x1234, seq=sequence, data=DATA)

    wrong = request(9)
    wrong[ICMPv6EchoRequest].cksum = 0x1234
    other_code = request(10)
    other_code[ICMPv6EchoRequest].code = 7
    requested = [
        request(1),
        request(2, tc=0xB8),
        request(3, hlim=1),
        request(4, hlim=0),
        request(5, IPv6ExtHdrHopByHop(options=[RouterAlert(value=1)])),
        request(6, IPv6ExtHdrDestOpt()),
        request(7, IPv6ExtHdrFragment()),
        request(8, IPv6ExtHdrFragment(m=1)),
        wrong,
        other_code,
        request(11, src="::"),
        request(12, src="ff02::1"),
        request(13, src="::1"),
        request(14, version=5),
        request(15),
    ]
    packets = [bytes(packet) for packet in requested]

    found = answers(here, 6, packets)

    # The kernel labels a flow; ours have no label.
    without_label = {
        sequence: packet[:1] + bytes((packet[1] & 0xF0, 0, 0)) + packet[4:]
        for sequence, packet in found.items()
    }
    ours = {sequence: icmp.echo_reply(packet) for sequence, packet in enumerate(packets, 1)}
    assert without_label == {sequence: packet for sequence, packet in ours.items() if packet is not None}
    assert set(found) == {1, 2, 3, 4, 5, 6, 7, 10, 15}


def test_answers_over_ipv4_are_the_kernels(here: Peer) -> None:
    def request(sequence: int, code: int = 0, **fields: object) -> Packet:
        packet = IP(**{"src": "198.51.100.7", "dst": "198.51.100.1", "id": sequence} | fields)
        return packet / ICMP(type=8, code=code, id=0x1234, seq=sequence) / DATA

    wrong = request(5)
    wrong[ICMP].chksum = 0x1234
    requested = [
        request(1),
        request(2, tos=0xB8),
        request(3, ttl=1),
        request(4, code=7),
        wrong,
        request(6, chksum=0x1234),
        request(7, flags="MF"),
        request(8, frag=1),
        request(9, src="0.0.0.0"),
        request(10, src="224.0.0.1"),
        request(11, src="255.255.255.255"),
        request(12, version=5),
        request(13, options=[IPOption_LSRR(routers=["198.51.100.9"])]),
        request(14, flags="DF"),
        request(15, src="0.1.2.3"),
        request(16, src="127.0.0.1"),
        request(17, src="239.1.2.3"),
        request(18, src="1.0.0.1"),
        request(19, src="223.255.255.254"),
        request(20, src="240.0.0.1"),
        request(21),
    ]
    packets = [bytes(packet) for packet in requested]

    found = answers(here, 4, packets)

    def without_identification(packet: bytes) -> bytes:
        # The kernel counts its packets, and lets them be fragmented.
        assert ipv4.checksum(packet[:20]) == 0
        return packet[:4] + packet[8:10] + packet[12:]

    ours = {sequence: icmp.echo_reply(packet) for sequence, packet in enumerate(packets, 1)}
    assert {sequence: without_identification(packet) for sequence, packet in found.items()} == {
        sequence: without_identification(packet) for sequence, packet in ours.items() if packet is not None
    }
    assert set(found) == {1, 2, 3, 4, 14, 15, 18, 19, 20, 21}


def test_an_option_that_does_nothing_is_skipped_as_by_the_kernel(here: Peer) -> None:
    packet = IP(src="198.51.100.7", dst="198.51.100.1", options=[IPOption_NOP()])
    request = bytes(packet / ICMP(type=8, id=0x1234, seq=1) / DATA)

    (found,) = answers(here, 4, [request]).values()

    ours = icmp.echo_reply(request)
    assert ours is not None
    assert found[4 * (found[0] & 0x0F) :] == ours[20:]
