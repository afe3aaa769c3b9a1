from __future__ import annotations

import ipaddress

from hypothesis import example, given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6

from neighio.wire import ipv4, ipv6, udp

ports = st.integers(0, 0xFFFF)
payloads = st.binary(max_size=80)
octets = st.integers(0, 255)


@given(
    st.binary(min_size=4, max_size=4),
    st.binary(min_size=4, max_size=4),
    ports,
    ports,
    payloads,
    octets,
    octets,
)
@example(bytes(4), bytes(4), 0xFFDE, 0, b"", 64, 0)  # the sum of the rest is that of ones
def test_a_datagram_over_ipv4_is_the_one_that_scapy_builds(
    src: bytes, dst: bytes, src_port: int, dst_port: int, payload: bytes, hop_limit: int, traffic_class: int
) -> None:
    packet = udp.build(
        src, dst, src_port, dst_port, payload, hop_limit=hop_limit, traffic_class=traffic_class
    )

    header = IP(
        src=str(ipaddress.IPv4Address(src)),
        dst=str(ipaddress.IPv4Address(dst)),
        ttl=hop_limit,
        tos=traffic_class,
        id=0,
        flags="DF",
    )
    assert packet == bytes(header / UDP(sport=src_port, dport=dst_port) / payload)
    assert packet[26:28] != b"\0\0"
    assert ipv4.parse(packet) == (src, dst, 17, packet[20:])


@given(
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=16, max_size=16),
    ports,
    ports,
    payloads,
    octets,
    octets,
)
@example(bytes(16), bytes(16), 0xFFDE, 0, b"", 64, 0)
def test_a_datagram_over_ipv6_is_the_one_that_scapy_builds(
    src: bytes, dst: bytes, src_port: int, dst_port: int, payload: bytes, hop_limit: int, traffic_class: int
) -> None:
    packet = udp.build(
        src, dst, src_port, dst_port, payload, hop_limit=hop_limit, traffic_class=traffic_class
    )

    header = IPv6(
        src=str(ipaddress.IPv6Address(src)),
        dst=str(ipaddress.IPv6Address(dst)),
        hlim=hop_limit,
        tc=traffic_class,
    )
    assert packet == bytes(header / UDP(sport=src_port, dport=dst_port) / payload)
    assert packet[46:48] != b"\0\0"
    assert ipv6.checksum(src, dst, 17, packet[40:]) == 0


def test_a_datagram_lives_64_hops_and_is_of_no_class_unless_told_otherwise() -> None:
    first = udp.build(bytes(4), bytes(4), 7, 9, b"")
    second = udp.build(bytes(16), bytes(16), 7, 9, b"")

    assert (first[1], first[8]) == (0, 64)
    assert (second[:2], second[7]) == (b"\x60\x00", 64)
