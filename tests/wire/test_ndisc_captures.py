"""IPv6 of real and of damaged kinds, as others captured it."""

from __future__ import annotations

from collections import Counter

import pytest
from scapy.layers.inet6 import (
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_RS,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
)
from scapy.layers.l2 import Ether

from neighio.wire import ipv6, mld, ndisc, ndisc_message
from neighio.wire.ndisc_options import (
    Mtu,
    Nonce,
    PrefixInformation,
    SourceLinkAddress,
    UnknownOption,
)

from .drafts import ip
from .test_arp_captures import CAPTURES, frames_of

pytestmark = pytest.mark.skipif(not CAPTURES.is_dir(), reason="captures not beside the project")

OUTCOMES: dict[str, dict[str, int]] = {
    # Everyday multicast of a starting host; what is not Neighbour Discovery is MLDv2 reports and the like.
    "dcb_ets.pcap": {"not_ndisc": 13, "not_ipv6": 47, "Solicitation": 4, "RouterSolicitation": 3},
    "dcb_qcn.pcap": {"not_ipv6": 14, "not_ndisc": 3, "Solicitation": 1, "RouterSolicitation": 1},
    # An advertisement of a home agent; a query and three reports.
    "icmpv6.pcap": {"RouterAdvertisement": 1, "not_ndisc": 4},
    "icmpv6-ns-nonce.pcap": {"Solicitation": 1},
    "icmpv6-ra-pref64.pcap": {"RouterAdvertisement": 4},
    "icmpv6_opt24.pcap": {"RouterAdvertisement": 2},
    # A node information query whose message is empty.
    "icmpv6-length-zero.pcapng": {"not_ndisc": 1},
    "icmpv6-rfc7112.pcap": {"not_ndisc": 1},
    "rpl-dao-oobr.pcap": {"not_ndisc": 1},
    # Two good solicitations, and two with the version changed.
    "ipv6-bad-version.pcap": {"Solicitation": 2, "ipv6_version": 2},
    # Fuzzed to be short of what its header promises; then no octets at all.
    "icmp6_mobileprefix_asan.pcap": {"ipv6_payload_length": 1, "ethernet_truncated": 1},
    "802.1ad_QinQ.pcap": {"vlan_tagged": 2},
    "arp-oobr.pcap": {"not_ipv6": 2282},
    "isakmp4500.pcap": {"not_ipv6": 35},
}


def outcome(frame: bytes) -> str:
    result = ndisc.parse(frame)
    return result if isinstance(result, str) else type(result).__name__


@pytest.mark.parametrize("name", OUTCOMES)
def test_a_capture_gives_the_outcomes_that_its_octets_call_for(name: str) -> None:
    assert Counter(map(outcome, frames_of(name))) == OUTCOMES[name]


@pytest.mark.parametrize("name", OUTCOMES)
def test_scapy_reads_the_same_fields_in_every_captured_frame_that_is_taken(name: str) -> None:
    for frame in frames_of(name):
        fields = ndisc.parse(frame)
        if isinstance(fields, str):
            continue
        packet = Ether(frame)[IPv6]
        lladdr = packet[ICMPv6NDOptSrcLLAddr].lladdr if ICMPv6NDOptSrcLLAddr in packet else None
        assert (fields.src, fields.dst) == (ip(packet.src), ip(packet.dst))
        assert (fields.lladdr.hex(":") if fields.lladdr else None) == lladdr
        if isinstance(fields, ndisc.Solicitation):
            assert fields.target == ip(packet[ICMPv6ND_NS].tgt)
        elif isinstance(fields, ndisc.RouterAdvertisement):
            message = packet[ICMPv6ND_RA]
            assert (fields.lifetime, fields.hop_limit) == (message.routerlifetime, message.chlim)
            assert fields.reachable_time == message.reachabletime / 1000
            assert fields.retrans_timer == message.retranstimer / 1000
        else:
            assert isinstance(fields, ndisc.RouterSolicitation)
            assert ICMPv6ND_RS in packet


@pytest.mark.parametrize("name", OUTCOMES)
def test_every_captured_message_that_is_taken_is_encoded_to_its_octets(name: str) -> None:
    for frame in frames_of(name):
        if isinstance(ndisc.parse(frame), str):
            continue
        src_ip, dst_ip, message = ndisc_message.decode(frame)

        again = message.encode(src_ip, dst_ip, dst=frame[:6], src=frame[6:12])

        # But for the traffic class and the flow label, which are not the message's.
        assert again[18:] == frame[18 : len(again)]


def messages_of(name: str) -> list[ndisc_message.Message]:
    return [ndisc_message.decode(frame)[2] for frame in frames_of(name)]


def test_a_duplicate_address_detection_with_a_nonce_has_it() -> None:
    (message,) = messages_of("icmpv6-ns-nonce.pcap")
    fields = ndisc.parse(frames_of("icmpv6-ns-nonce.pcap")[0])

    assert isinstance(message, ndisc_message.NeighbourSolicitation)
    assert isinstance(fields, ndisc.Solicitation)
    assert fields.src == ipv6.UNSPECIFIED
    assert fields.nonce is not None
    assert message.options == (Nonce(fields.nonce),)


def test_a_router_advertisement_has_what_tcpdump_prints_of_it() -> None:
    (first, *_) = frames_of("icmpv6.pcap")
    src_ip, dst_ip, message = ndisc_message.decode(first)

    assert (src_ip, dst_ip) == (ip("fe80::b299:28ff:fec8:d66c"), ip("ff02::1"))
    assert isinstance(message, ndisc_message.RouterAdvert)
    assert message == ndisc_message.RouterAdvert(
        hop_limit=64,
        managed=False,
        other=False,
        lifetime=15,
        reachable_time=0,
        retrans_timer=0,
        home_agent=True,
        options=(
            PrefixInformation(ip("2222:3333:4444:5555:6600::"), 72, True, True, 2592000, 604800),
            *message.options[1:3],
            Mtu(100),
            SourceLinkAddress(bytes.fromhex("b09928c8d66c")),
            UnknownOption(7, bytes.fromhex("0000 00001388")),
            UnknownOption(8, bytes.fromhex("0000 c351 000f")),
        ),
    )
    assert [option.type for option in message.options[1:3]] == [25, 31]


def test_the_captured_query_is_one_of_version_2_for_all_groups() -> None:
    results = [mld.parse(frame) for frame in frames_of("icmpv6.pcap")]

    (query,) = [result for result in results if not isinstance(result, str)]
    assert query == mld.Query(
        src=ip("fe80::b2a8:6eff:fe0c:d4e8"),
        dst=ip("ff02::1"),
        version=2,
        group=ipv6.UNSPECIFIED,
        max_response=10.0,
        sources=(),
    )


def test_every_captured_report_is_built_to_its_octets() -> None:
    reports = [
        packet
        for name in ("icmpv6.pcap", "dcb_ets.pcap", "dcb_qcn.pcap")
        for packet in (frame[14:] for frame in frames_of(name))
        if packet[48:49] == bytes((mld.MLD_V2_LISTENER_REPORT,)) and packet[6] == 0
    ]
    for packet in reports:
        # Type, no auxiliary data, no sources, group.
        records = [packet[at : at + 20] for at in range(56, 40 + int.from_bytes(packet[4:6], "big"), 20)]
        groups = [(record[0], record[4:]) for record in records]

        assert mld.build_report(packet[8:24], groups) == packet[: 56 + 20 * len(records)]

    assert len(reports) == 19
