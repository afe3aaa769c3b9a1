from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, IPOption_LSRR, IPOption_RR
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6, IPv6ExtHdrFragment
from scapy.packet import Packet

from neighio.wire import icmp, ipv4, ipv6

OUR_IP = bytes([198, 51, 100, 1])
PEER_IP = bytes([198, 51, 100, 7])
OUR_IP6 = ipaddress.IPv6Address("2001:db8::1").packed
PEER_IP6 = ipaddress.IPv6Address("2001:db8::7").packed
BODY = bytes.fromhex("1234 0007") + b"payload"

V4 = IP(src="198.51.100.7", dst="198.51.100.1", tos=0x10, id=77) / ICMP(type=8, id=0x1234, seq=7) / b"payload"
V6 = IPv6(src="2001:db8::7", dst="2001:db8::1", tc=0x10) / ICMPv6EchoRequest(
    id=0x1234, seq=7, data=b"payload"
)

payloads = st.binary(max_size=80)
numbers = st.integers(0, 0xFFFF)
octets = st.integers(0, 255)


def changed(packet: Packet, layer: type[Packet], **fields: object) -> bytes:
    packet = packet.copy()
    for field, value in fields.items():
        setattr(packet[layer], field, value)
    return bytes(packet)


BREAKS: list[tuple[str, bytes]] = [
    ("ipv4_truncated", b""),
    ("ipv4_truncated", bytes(V4)[:19]),
    ("ipv4_version", changed(V4, IP, version=5)),
    ("ipv4_header_length", changed(V4, IP, ihl=4)),
    ("ipv4_checksum", changed(V4, IP, chksum=0x1234)),
    ("ipv4_total_length", bytes(V4)[:-1]),
    ("ipv4_option", changed(V4, IP, options=[IPOption_LSRR(routers=["198.51.100.9"])])),
    ("ipv4_fragment", changed(V4, IP, flags="MF")),
    ("ipv4_fragment", changed(V4, IP, frag=1)),
    ("ipv6_truncated", bytes(V6)[:39]),
    ("ipv6_payload_length", bytes(V6)[:-1]),
    ("ipv6_loopback", changed(V6, IPv6, src="::1")),
    ("ipv6_source_multicast", changed(V6, IPv6, src="ff02::1")),
    (
        "ipv6_fragment",
        bytes(IPv6(src="2001:db8::7", dst="2001:db8::1") / IPv6ExtHdrFragment(m=1) / V6[ICMPv6EchoRequest]),
    ),
    ("not_echo_request", changed(V4, ICMP, type=0)),
    ("not_echo_request", changed(V4, ICMP, type=13, ts_ori=1, ts_rx=2, ts_tx=3)),
    ("not_echo_request", changed(V4, IP, proto=17)),
    ("not_echo_request", bytes(IP(src="198.51.100.7", dst="198.51.100.1", proto=1))),
    ("not_echo_request", changed(V6, IPv6, nh=17)),
    ("not_echo_request", bytes(IPv6(src="2001:db8::7", dst="2001:db8::1", nh=58))),
    ("not_echo_request", bytes(IPv6(src="2001:db8::7", dst="2001:db8::1") / ICMPv6EchoReply())),
    ("icmp_checksum", changed(V4, ICMP, chksum=0x1234)),
    ("icmpv6_checksum", changed(V6, ICMPv6EchoRequest, cksum=0x1234)),
    *(
        ("echo_source", changed(V4, IP, src=src))
        for src in ("0.0.0.0", "127.0.0.1", "224.0.0.1", "239.1.2.3", "255.255.255.255")
    ),
    ("echo_source", changed(V6, IPv6, src="::")),
]


@pytest.mark.parametrize(("reason", "packet"), BREAKS)
def test_what_is_no_valid_request_is_refused_and_not_answered(reason: str, packet: bytes) -> None:
    assert reason in icmp.DROP_REASONS
    assert icmp.parse_echo_request(packet) == reason
    assert icmp.echo_reply(packet) is None


def test_a_request_gives_its_fields() -> None:
    assert icmp.parse_echo_request(bytes(V4)) == icmp.EchoRequest(PEER_IP, OUR_IP, 0x10, 0, BODY)
    assert icmp.parse_echo_request(bytes(V6)) == icmp.EchoRequest(PEER_IP6, OUR_IP6, 0x10, 0, BODY)
    # Ethernet pads short frames.
    assert icmp.parse_echo_request(bytes(V4) + bytes(9)) == icmp.parse_echo_request(bytes(V4))
    assert icmp.parse_echo_request(bytes(V6) + bytes(9)) == icmp.parse_echo_request(bytes(V6))


@pytest.mark.parametrize(
    "src", ["0.1.2.3", "1.0.0.1", "126.0.0.1", "128.0.0.1", "223.255.255.255", "240.0.0.1", "255.255.255.254"]
)
def test_any_other_source_can_be_answered(src: str) -> None:
    request = icmp.parse_echo_request(changed(V4, IP, src=src))

    assert not isinstance(request, str)
    assert request.src == ipaddress.IPv4Address(src).packed


@pytest.mark.parametrize("length", range(1, 8))
def test_a_request_without_room_for_its_number_is_refused(length: int) -> None:
    first = ipv4.build(PEER_IP, OUR_IP, bytes(V4[ICMP])[:length], protocol=1)
    second = ipv6.build(PEER_IP6, OUR_IP6, bytes(V6[ICMPv6EchoRequest])[:length])

    assert icmp.parse_echo_request(first) == icmp.DROP_ECHO_TRUNCATED
    assert icmp.parse_echo_request(second) == icmp.DROP_ECHO_TRUNCATED


@given(octets, octets, octets, numbers, numbers, payloads)
def test_the_answer_over_ipv4_is_the_one_that_scapy_builds(
    tos: int, ttl: int, code: int, identifier: int, sequence: int, payload: bytes
) -> None:
    request = IP(src="198.51.100.7", dst="198.51.100.1", tos=tos, ttl=ttl, id=sequence)
    request /= ICMP(type=8, code=code, id=identifier, seq=sequence) / payload

    answer = IP(src="198.51.100.1", dst="198.51.100.7", tos=tos, ttl=64, id=0, flags="DF")
    answer /= ICMP(type=0, code=code, id=identifier, seq=sequence) / payload
    assert icmp.echo_reply(bytes(request)) == bytes(answer)


@given(octets, octets, octets, numbers, numbers, payloads)
def test_the_answer_over_ipv6_is_the_one_that_scapy_builds(
    traffic_class: int, hop_limit: int, code: int, identifier: int, sequence: int, payload: bytes
) -> None:
    request = IPv6(src="2001:db8::7", dst="2001:db8::1", tc=traffic_class, hlim=hop_limit, fl=sequence)
    request /= ICMPv6EchoRequest(code=code, id=identifier, seq=sequence, data=payload)

    answer = IPv6(src="2001:db8::1", dst="2001:db8::7", tc=traffic_class, hlim=64)
    answer /= ICMPv6EchoReply(code=code, id=identifier, seq=sequence, data=payload)
    assert icmp.echo_reply(bytes(request)) == bytes(answer)


@given(octets, octets, numbers, numbers, payloads)
def test_a_request_is_the_one_that_scapy_builds_and_is_read_back(
    traffic_class: int, hop_limit: int, identifier: int, sequence: int, payload: bytes
) -> None:
    body = identifier.to_bytes(2, "big") + sequence.to_bytes(2, "big") + payload
    first = icmp.EchoRequest(PEER_IP, OUR_IP, traffic_class, 0, body)
    second = icmp.EchoRequest(PEER_IP6, OUR_IP6, traffic_class, 0, body)

    packet = IP(src="198.51.100.7", dst="198.51.100.1", tos=traffic_class, ttl=hop_limit, id=0, flags="DF")
    packet /= ICMP(type=8, id=identifier, seq=sequence) / payload
    assert icmp.build_echo_request(first, hop_limit=hop_limit) == bytes(packet)
    packet = IPv6(src="2001:db8::7", dst="2001:db8::1", tc=traffic_class, hlim=hop_limit)
    packet /= ICMPv6EchoRequest(id=identifier, seq=sequence, data=payload)
    assert icmp.build_echo_request(second, hop_limit=hop_limit) == bytes(packet)
    for request in (first, second):
        assert icmp.parse_echo_request(icmp.build_echo_request(request)) == request


def test_a_request_to_many_is_answered_from_the_address_that_is_given() -> None:
    for request, src, answered in (
        (changed(V4, IP, dst="198.51.100.255"), OUR_IP, IP),
        (changed(V6, IPv6, dst="ff02::1"), OUR_IP6, IPv6),
    ):
        reply = icmp.echo_reply(request, src=src)
        assert reply is not None
        assert answered(reply).src in ("198.51.100.1", "2001:db8::1")
        assert answered(reply).dst in ("198.51.100.7", "2001:db8::7")
        # scapy fills in what it is not given, so an answer with the right checksums is what it builds again.
        rebuilt = answered(reply)
        for layer in (rebuilt, rebuilt.payload):
            for field in ("chksum", "cksum"):
                if field in layer.fields:
                    layer.delfieldval(field)
        assert bytes(rebuilt) == reply


def test_options_of_the_request_are_not_in_the_answer() -> None:
    request = IP(src="198.51.100.7", dst="198.51.100.1", options=[IPOption_RR(routers=["0.0.0.0"])])
    request /= ICMP(type=8, id=0x1234, seq=7) / b"payload"

    reply = icmp.echo_reply(bytes(request))

    assert reply is not None
    assert ipv4.parse(reply) == (OUR_IP, PEER_IP, 1, reply[20:])
    assert reply[0] == 0x45
    assert reply[24:] == BODY


def test_a_whole_packet_behind_a_fragment_header_is_answered_without_one() -> None:
    request = IPv6(src="2001:db8::7", dst="2001:db8::1") / IPv6ExtHdrFragment() / V6[ICMPv6EchoRequest]

    reply = icmp.echo_reply(bytes(request))

    assert reply is not None
    assert reply[6] == 58
    assert reply[44:] == BODY


def test_the_hop_limit_of_the_answer_is_the_callers() -> None:
    for packet, at in ((bytes(V4), 8), (bytes(V6), 7)):
        request = icmp.parse_echo_request(packet)
        assert not isinstance(request, str)
        assert icmp.build_echo_reply(request, hop_limit=9)[at] == 9


@given(
    st.binary(max_size=100)
    | st.tuples(st.sampled_from([bytes(V4), bytes(V6)]), st.integers(0, 60), st.binary(max_size=60)).map(
        lambda parts: parts[0][: parts[1]] + parts[2]
    )
)
def test_arbitrary_octets_give_a_request_or_a_known_reason(packet: bytes) -> None:
    result = icmp.parse_echo_request(packet)

    assert not isinstance(result, str) or result in icmp.DROP_REASONS
    assert (icmp.echo_reply(packet) is None) is isinstance(result, str)
