from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptRedirectedHdr,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6NDOptUnknown,
    IPv6,
    in6_chksum,
)
from scapy.packet import Packet, Raw

from neighio.wire import ethernet, ndisc

from .drafts import DRAFTS, OUR_IP, OUR_MAC, PEER_IP, PEER_MAC, REDIRECTED, ip

ips = st.binary(min_size=16, max_size=16)
# What can stand in a header on a link: scope and loopback are another test's.
unicast_ips = st.binary(min_size=14, max_size=14).map(lambda tail: b"\xfe\x80" + tail)
macs = st.binary(min_size=6, max_size=6)
optional_macs = st.none() | macs
classes = st.integers(0, 255)
# Milliseconds in 32 bits, told in seconds.
times = st.integers(0, 2**32 - 1).map(lambda ms: ms / 1000)


def text(address: bytes) -> str:
    return str(ipaddress.IPv6Address(address))


def scapy_packet(src: bytes, dst: bytes, traffic_class: int, *layers: Packet | None) -> bytes:
    packet = IPv6(src=text(src), dst=text(dst), hlim=255, tc=traffic_class)
    for layer in layers:
        if layer is not None:
            packet /= layer
    return bytes(packet)


def frame(packet: bytes) -> bytes:
    return ethernet.build(OUR_MAC, PEER_MAC, ethernet.ETH_P_IPV6, packet)


def source_option(lladdr: bytes | None) -> Packet | None:
    return None if lladdr is None else ICMPv6NDOptSrcLLAddr(lladdr=lladdr.hex(":"))


def target_option(lladdr: bytes | None) -> Packet | None:
    return None if lladdr is None else ICMPv6NDOptDstLLAddr(lladdr=lladdr.hex(":"))


@given(unicast_ips, unicast_ips, unicast_ips, optional_macs, st.none() | macs, classes)
def test_a_solicitation_is_the_one_that_scapy_builds(
    src: bytes, dst: bytes, target: bytes, lladdr: bytes | None, nonce: bytes | None, traffic_class: int
) -> None:
    packet = ndisc.build_solicitation(src, dst, target, lladdr, nonce, traffic_class=traffic_class)

    nonce_option = None if nonce is None else ICMPv6NDOptUnknown(type=14, data=nonce)
    layers = ICMPv6ND_NS(tgt=text(target)), source_option(lladdr), nonce_option
    assert packet == scapy_packet(src, dst, traffic_class, *layers)
    assert ndisc.parse(frame(packet)) == ndisc.Solicitation(src, dst, target, lladdr, nonce)


@given(
    unicast_ips, unicast_ips, unicast_ips, optional_macs, st.booleans(), st.booleans(), st.booleans(), classes
)
def test_an_advertisement_is_the_one_that_scapy_builds(
    src: bytes,
    dst: bytes,
    target: bytes,
    lladdr: bytes | None,
    router: bool,
    solicited: bool,
    override: bool,
    traffic_class: int,
) -> None:
    packet = ndisc.build_advertisement(
        src,
        dst,
        target,
        lladdr,
        router=router,
        solicited=solicited,
        override=override,
        traffic_class=traffic_class,
    )

    message = ICMPv6ND_NA(tgt=text(target), R=router, S=solicited, O=override)
    assert packet == scapy_packet(src, dst, traffic_class, message, target_option(lladdr))
    assert ndisc.parse(frame(packet)) == ndisc.Advertisement(
        src, dst, target, lladdr, router, solicited, override
    )


@given(unicast_ips, unicast_ips, optional_macs, classes)
def test_a_router_solicitation_is_the_one_that_scapy_builds(
    src: bytes, dst: bytes, lladdr: bytes | None, traffic_class: int
) -> None:
    packet = ndisc.build_router_solicitation(src, dst, lladdr, traffic_class=traffic_class)

    assert packet == scapy_packet(src, dst, traffic_class, ICMPv6ND_RS(), source_option(lladdr))
    assert ndisc.parse(frame(packet)) == ndisc.RouterSolicitation(src, dst, lladdr)


@given(
    unicast_ips,
    unicast_ips,
    optional_macs,
    st.integers(0, 0xFFFF),
    times,
    times,
    st.integers(0, 255),
    classes,
)
def test_a_router_advertisement_is_the_one_that_scapy_builds(
    src: bytes,
    dst: bytes,
    lladdr: bytes | None,
    lifetime: int,
    reachable_time: float,
    retrans_timer: float,
    hop_limit: int,
    traffic_class: int,
) -> None:
    packet = ndisc.build_router_advertisement(
        src,
        dst,
        lladdr,
        lifetime=lifetime,
        reachable_time=reachable_time,
        retrans_timer=retrans_timer,
        hop_limit=hop_limit,
        traffic_class=traffic_class,
    )

    message = ICMPv6ND_RA(
        chlim=hop_limit,
        prf=0,
        routerlifetime=lifetime,
        reachabletime=round(reachable_time * 1000),
        retranstimer=round(retrans_timer * 1000),
    )
    assert packet == scapy_packet(src, dst, traffic_class, message, source_option(lladdr))
    assert ndisc.parse(frame(packet)) == ndisc.RouterAdvertisement(
        src, dst, lladdr, lifetime, reachable_time, retrans_timer, hop_limit
    )


@given(
    unicast_ips,
    unicast_ips,
    unicast_ips,
    unicast_ips,
    optional_macs,
    st.none() | st.integers(0, 20).map(lambda units: bytes(range(8 * units))),
    classes,
)
def test_a_redirect_is_the_one_that_scapy_builds(
    src: bytes,
    dst: bytes,
    target: bytes,
    destination: bytes,
    lladdr: bytes | None,
    redirected: bytes | None,
    traffic_class: int,
) -> None:
    packet = ndisc.build_redirect(
        src, dst, target, destination, lladdr, redirected, traffic_class=traffic_class
    )

    header = None
    if redirected is not None:
        header = ICMPv6NDOptRedirectedHdr(len=1 + len(redirected) // 8, pkt=Raw(redirected))
    message = ICMPv6ND_Redirect(tgt=text(target), dst=text(destination))
    assert packet == scapy_packet(src, dst, traffic_class, message, target_option(lladdr), header)
    assert ndisc.parse(frame(packet)) == ndisc.RedirectMessage(
        src, dst, target, destination, lladdr, redirected
    )


@pytest.mark.parametrize("length", range(17))
def test_a_redirected_packet_is_filled_up_to_whole_units(length: int) -> None:
    packet = ndisc.build_redirect(PEER_IP, OUR_IP, PEER_IP, PEER_IP, None, b"\xff" * length)

    result = ndisc.parse(frame(packet))

    assert isinstance(result, ndisc.RedirectMessage)
    assert result.redirected == (b"\xff" * length).ljust(-(-length // 8) * 8, b"\0")


@pytest.mark.parametrize("addr_len", range(33))
def test_a_link_layer_address_of_any_length_is_read_back(addr_len: int) -> None:
    lladdr = bytes(range(1, addr_len + 1))
    solicitation = ndisc.build_solicitation(PEER_IP, OUR_IP, OUR_IP, lladdr)
    flags: dict[str, Any] = {"router": False, "solicited": True, "override": False}
    advertisement = ndisc.build_advertisement(PEER_IP, OUR_IP, PEER_IP, lladdr, **flags)

    for packet in (solicitation, advertisement):
        result = ndisc.parse(frame(packet), addr_len=addr_len)
        assert not isinstance(result, str)
        assert result.lladdr == lladdr
        assert len(packet) % 8 == 0


def test_what_is_built_is_octet_for_octet_the_draft() -> None:
    flags: dict[str, Any] = {"router": False, "solicited": True, "override": True}
    built = {
        "solicitation": ndisc.build_solicitation(PEER_IP, ip("ff02::1:ff00:1"), OUR_IP, PEER_MAC),
        "advertisement": ndisc.build_advertisement(PEER_IP, OUR_IP, PEER_IP, PEER_MAC, **flags),
        "router_solicitation": ndisc.build_router_solicitation(PEER_IP, ip("ff02::2"), PEER_MAC),
        "redirect": ndisc.build_redirect(
            PEER_IP, OUR_IP, ip("fe80::9"), ip("2001:db8::7"), PEER_MAC, REDIRECTED
        ),
    }

    for name, packet in built.items():
        assert packet == DRAFTS[name].packet, name


@given(ips, ips, st.integers(0, 255), st.binary(max_size=60), classes)
def test_any_message_gets_the_right_checksum_and_hop_limit(
    src: bytes, dst: bytes, kind: int, body: bytes, traffic_class: int
) -> None:
    packet = ndisc.build(src, dst, kind, body, traffic_class=traffic_class)

    header = IPv6(src=text(src), dst=text(dst), nh=58, hlim=255, tc=traffic_class, plen=4 + len(body))
    assert packet[:40] == bytes(header)
    assert packet[40:42] == bytes((kind, 0))
    assert packet[44:] == body
    zeroed = packet[40:42] + b"\0\0" + packet[44:]
    assert int.from_bytes(packet[42:44], "big") == in6_chksum(58, header, zeroed)


def test_what_a_builder_is_not_told_is_unspecified() -> None:
    advertisement = ndisc.build_router_advertisement(PEER_IP, OUR_IP, lifetime=0)
    flags: dict[str, Any] = {"router": False, "solicited": False, "override": False}
    packets = [
        ndisc.build(PEER_IP, OUR_IP, 135, bytes(20)),
        ndisc.build_solicitation(PEER_IP, OUR_IP, OUR_IP),
        ndisc.build_advertisement(PEER_IP, OUR_IP, PEER_IP, **flags),
        ndisc.build_router_solicitation(PEER_IP, OUR_IP),
        ndisc.build_redirect(PEER_IP, OUR_IP, PEER_IP, PEER_IP),
        advertisement,
    ]

    assert {packet[:4] for packet in packets} == {b"\x60\0\0\0"}
    assert ndisc.parse(frame(advertisement)) == ndisc.RouterAdvertisement(PEER_IP, OUR_IP, None, 0, 0, 0, 0)
