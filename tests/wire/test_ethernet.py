from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether, getmacbyip
from scapy.packet import Packet
from scapy.utils6 import in6_getnsmac

from neighio.wire import ethernet

lladdrs = st.binary(min_size=6, max_size=6)


@given(
    dst=lladdrs,
    src=lladdrs,
    ethertype=st.integers(0x0600, 0xFFFF),
    payload=st.binary(max_size=1500),
)
def test_a_built_frame_is_the_header_and_then_the_payload(
    dst: bytes, src: bytes, ethertype: int, payload: bytes
) -> None:
    frame = ethernet.build(dst, src, ethertype, payload)

    assert frame == bytes(Ether(dst=dst.hex(":"), src=src.hex(":"), type=ethertype)) + payload
    assert frame[ethernet.ETH_HLEN :] == payload


@pytest.mark.parametrize(
    ("ethertype", "layer"),
    [
        (ethernet.ETH_P_IP, IP),
        (ethernet.ETH_P_ARP, ARP),
        (ethernet.ETH_P_IPV6, IPv6),
        (ethernet.ETH_P_8021Q, Dot1Q),
        (ethernet.ETH_P_8021AD, Dot1AD),
    ],
)
def test_scapy_uses_the_same_ethertype_for_the_protocol(ethertype: int, layer: type[Packet]) -> None:
    frame = ethernet.build(ethernet.BROADCAST, bytes(6), ethertype, bytes(layer()))

    assert layer in Ether(frame)


@pytest.mark.parametrize(
    ("lladdr", "group"),
    [
        ("ff:ff:ff:ff:ff:ff", True),
        ("01:00:5e:00:00:01", True),
        ("33:33:00:00:00:01", True),
        ("00:00:00:00:00:00", False),
        ("fe:ff:ff:ff:ff:ff", False),
        ("02:00:00:00:00:01", False),
    ],
)
def test_a_group_address_has_the_lowest_bit_of_its_first_octet_set(lladdr: str, group: bool) -> None:
    assert ethernet.is_group(bytes.fromhex(lladdr.replace(":", ""))) is group


@pytest.mark.parametrize(
    ("ip", "lladdr"),
    [
        ("224.0.0.1", "01:00:5e:00:00:01"),
        ("239.255.255.250", "01:00:5e:7f:ff:fa"),
        ("224.128.0.5", "01:00:5e:00:00:05"),
    ],
)
def test_an_ipv4_group_keeps_its_low_23_bits(ip: str, lladdr: str) -> None:
    packed = ipaddress.IPv4Address(ip).packed

    assert ethernet.ipv4_multicast_lladdr(packed).hex(":") == lladdr
    assert getmacbyip(ip) == lladdr


@pytest.mark.parametrize(
    ("ip", "lladdr"),
    [
        ("ff02::1", "33:33:00:00:00:01"),
        ("ff02::1:ff28:9c5a", "33:33:ff:28:9c:5a"),
        ("ff3e:30:2001:db8::8000:1234", "33:33:80:00:12:34"),
    ],
)
def test_an_ipv6_group_keeps_its_low_32_bits(ip: str, lladdr: str) -> None:
    packed = ipaddress.IPv6Address(ip).packed

    assert ethernet.ipv6_multicast_lladdr(packed).hex(":") == lladdr


@given(st.binary(min_size=3, max_size=3))
def test_a_solicited_node_group_has_the_address_that_scapy_gives_it(low: bytes) -> None:
    group = ipaddress.IPv6Address("ff02::1:ff00:0").packed[:13] + low

    assert ethernet.ipv6_multicast_lladdr(group).hex(":") == in6_getnsmac(group)
