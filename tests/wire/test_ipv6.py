from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scapy.layers.inet import UDP
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
    RouterAlert,
    in6_chksum,
)
from scapy.utils6 import in6_getnsma

from neighio.wire import ipv6

from .drafts import (
    ADVERTISEMENT,
    OUR_GROUP,
    OUR_IP,
    PADDING,
    PEER_IP,
    SOLICITATION,
    Draft,
    extension,
    fragment,
    internet_checksum,
    ip,
    pseudo_header,
    routing,
)

HOPOPTS, ROUTING, FRAGMENT, DSTOPTS = 0, 43, 44, 60

ips = st.binary(min_size=16, max_size=16)
# What can stand as the source and the destination of a packet on a link.
unicast_ips = st.binary(min_size=15, max_size=15).map(lambda tail: b"\x20" + tail)

# In the order in which they are judged.
BREAKS: dict[str, Callable[[Draft], Draft]] = {
    ipv6.DROP_IPV6_TRUNCATED: lambda draft: draft.but(frame_kept=14 + 39),
    ipv6.DROP_IPV6_VERSION: lambda draft: draft.but(first_word=0x40000000),
    ipv6.DROP_IPV6_PAYLOAD_LENGTH: lambda draft: draft.but(length_off_by=1),
    ipv6.DROP_IPV6_LOOPBACK: lambda draft: draft.but(src=ip("::1")),
    ipv6.DROP_IPV6_MULTICAST_SCOPE: lambda draft: draft.but(dst=ip("ff01::1")),
    ipv6.DROP_IPV6_SOURCE_MULTICAST: lambda draft: draft.but(src=ip("ff02::7")),
    ipv6.DROP_IPV6_EXTENSION: lambda draft: draft.but(
        extensions=(*draft.extensions, (DSTOPTS, PADDING), (HOPOPTS, PADDING))
    ),
    ipv6.DROP_IPV6_OPTION: lambda draft: draft.but(
        extensions=((HOPOPTS, extension(b"\x5e\x04" + bytes(4))), *draft.extensions)
    ),
    ipv6.DROP_IPV6_ROUTING_HEADER: lambda draft: draft.but(
        extensions=(*draft.extensions, (ROUTING, routing(0, 1)))
    ),
    ipv6.DROP_IPV6_FRAGMENT: lambda draft: draft.but(extensions=(*draft.extensions, (FRAGMENT, fragment(1)))),
}


def reason_of(draft: Draft) -> str | None:
    result = ipv6.parse(draft.packet[: None if draft.frame_kept is None else draft.frame_kept - 14])
    return result if isinstance(result, str) else None


def test_every_reason_has_a_packet_that_breaks_its_rule() -> None:
    assert tuple(BREAKS) == ipv6.DROP_REASONS


@pytest.mark.parametrize("reason", ipv6.DROP_REASONS)
def test_a_packet_that_breaks_one_rule_is_refused_for_it(reason: str) -> None:
    assert reason_of(ADVERTISEMENT) is None

    assert reason_of(BREAKS[reason](ADVERTISEMENT)) == reason


@pytest.mark.parametrize("reasons", list(itertools.combinations(ipv6.DROP_REASONS[:6], 2)))
def test_a_header_that_breaks_two_rules_is_refused_for_the_first(reasons: tuple[str, str]) -> None:
    draft = ADVERTISEMENT
    for reason in reversed(reasons):
        draft = BREAKS[reason](draft)

    assert reason_of(draft) == reasons[0]


def test_a_packet_that_breaks_rules_in_two_extension_headers_is_refused_for_the_first_header() -> None:
    source_routed = BREAKS[ipv6.DROP_IPV6_ROUTING_HEADER](ADVERTISEMENT)
    fragmented = BREAKS[ipv6.DROP_IPV6_FRAGMENT](ADVERTISEMENT)

    assert reason_of(BREAKS[ipv6.DROP_IPV6_FRAGMENT](source_routed)) == ipv6.DROP_IPV6_ROUTING_HEADER
    assert reason_of(BREAKS[ipv6.DROP_IPV6_ROUTING_HEADER](fragmented)) == ipv6.DROP_IPV6_FRAGMENT


@pytest.mark.parametrize("first_word", [0x60000000, 0x6FFABCDE, 0x60012345])
def test_traffic_class_and_flow_label_are_whatever_they_are(first_word: int) -> None:
    assert reason_of(ADVERTISEMENT.but(first_word=first_word)) is None


@pytest.mark.parametrize("version", [0, 4, 5, 7, 15])
def test_any_other_version_is_refused(version: int) -> None:
    assert reason_of(ADVERTISEMENT.but(first_word=version << 28)) == ipv6.DROP_IPV6_VERSION


@pytest.mark.parametrize(
    ("field", "address", "reason"),
    [
        ("src", "::1", ipv6.DROP_IPV6_LOOPBACK),
        ("dst", "::1", ipv6.DROP_IPV6_LOOPBACK),
        ("dst", "ff00::1", ipv6.DROP_IPV6_MULTICAST_SCOPE),
        ("dst", "ff01::1", ipv6.DROP_IPV6_MULTICAST_SCOPE),
        ("dst", "ff11::1", ipv6.DROP_IPV6_MULTICAST_SCOPE),
        ("dst", "ff02::1", None),
        ("dst", "ff0e::1", None),
        ("src", "ff02::1", ipv6.DROP_IPV6_SOURCE_MULTICAST),
        ("src", "ff0e::1", ipv6.DROP_IPV6_SOURCE_MULTICAST),
        ("src", "ff00::1", ipv6.DROP_IPV6_SOURCE_MULTICAST),
        ("src", "::", None),
        ("src", "::2", None),
        ("src", "::ffff:198.51.100.7", None),
        ("src", "2001:db8::1", None),
        ("src", "fec0::1", None),
    ],
)
def test_addresses_that_are_never_on_a_link_are_refused_and_no_others(
    field: str, address: str, reason: str | None
) -> None:
    assert reason_of(ADVERTISEMENT.but(**{field: ip(address)})) == reason


@pytest.mark.parametrize("length", range(101))
def test_a_packet_cut_at_any_length_is_refused_until_it_is_whole(length: int) -> None:
    result = ipv6.parse((ADVERTISEMENT.packet + bytes(40))[:length])

    if length < 40:
        assert result == ipv6.DROP_IPV6_TRUNCATED
    elif length < 72:
        assert result == ipv6.DROP_IPV6_PAYLOAD_LENGTH
    else:
        assert result == (PEER_IP, OUR_IP, 255, 58, False, ADVERTISEMENT.message)


# What Linux 6.18 does with each (tests/wire/test_ndisc_kernel.py asks it again): the name of the reason or None.
CHAINS: dict[str, tuple[tuple[tuple[int, bytes], ...], str | None]] = {
    "hop-by-hop": (((HOPOPTS, PADDING),), None),
    "destination": (((DSTOPTS, PADDING),), None),
    "both": (((HOPOPTS, PADDING), (DSTOPTS, PADDING)), None),
    "many": (((DSTOPTS, PADDING),) * 20, None),
    "two hop-by-hop": (((HOPOPTS, PADDING),) * 2, ipv6.DROP_IPV6_EXTENSION),
    "hop-by-hop last": (((DSTOPTS, PADDING), (HOPOPTS, PADDING)), ipv6.DROP_IPV6_EXTENSION),
    "hop-by-hop behind a fragment header": (
        ((FRAGMENT, fragment(0)), (HOPOPTS, PADDING)),
        ipv6.DROP_IPV6_EXTENSION,
    ),
    "two fragment headers": (((FRAGMENT, fragment(0)),) * 2, ipv6.DROP_IPV6_EXTENSION),
    "two fragment headers, others between": (
        ((FRAGMENT, fragment(0)), (DSTOPTS, PADDING), (FRAGMENT, fragment(8))),
        ipv6.DROP_IPV6_EXTENSION,
    ),
    "routing, used up": (((ROUTING, routing(0, 0)),), None),
    "routing, longer": (((ROUTING, routing(0, 0, bytes(20))),), None),
    "routing, not used up": (((ROUTING, routing(0, 1, bytes(20))),), ipv6.DROP_IPV6_ROUTING_HEADER),
    "mobility routing, used up": (((ROUTING, routing(2, 0, bytes(20))),), None),
    "mobility routing": (((ROUTING, routing(2, 1, bytes(20))),), ipv6.DROP_IPV6_ROUTING_HEADER),
    "RPL, used up": (((ROUTING, routing(3, 0)),), ipv6.DROP_IPV6_ROUTING_HEADER),
    "segments, used up": (((ROUTING, routing(4, 0)),), ipv6.DROP_IPV6_ROUTING_HEADER),
    "experimental routing, used up": (((ROUTING, routing(253, 0)),), None),
    "experimental routing": (((ROUTING, routing(253, 1)),), ipv6.DROP_IPV6_ROUTING_HEADER),
}


@pytest.mark.parametrize("name", CHAINS)
def test_extension_headers_are_walked_over_or_are_a_reason(name: str) -> None:
    extensions, reason = CHAINS[name]

    assert reason_of(ADVERTISEMENT.but(extensions=extensions)) == reason


def test_a_routing_header_never_leads_to_a_group() -> None:
    extensions = ((ROUTING, routing(0, 0)),)

    assert reason_of(SOLICITATION.but(extensions=extensions)) == ipv6.DROP_IPV6_ROUTING_HEADER
    assert reason_of(SOLICITATION.but(extensions=extensions, dst=OUR_IP)) is None


# What the options of a hop-by-hop and of a destination header are, and whether Linux 6.18 goes on behind them.
OPTIONS: dict[str, tuple[bytes, bool]] = {
    "six Pad1": (bytes(6), True),
    "PadN": (b"\1\4" + bytes(4), True),
    "empty PadNs": (b"\1\0" * 3, True),
    "PadN with something in it": (b"\1\4\0\0\0\1", False),
    "PadN that begins with something": (b"\1\4\1\0\0\0", False),
    "7 octets of padding": (b"\1\5" + bytes(5) + b"\x1e\5" + bytes(5), True),
    "8 octets of padding": (b"\1\6" + bytes(6) + b"\x1e\4" + bytes(4), False),
    "7 octets of padding in two": (b"\1\2" + bytes(2) + bytes(3) + b"\x1e\5" + bytes(5), True),
    "8 octets of padding in two": (b"\1\2" + bytes(2) + bytes(4) + b"\x1e\4" + bytes(4), False),
    "8 octets of padding in four": (b"\1\0" * 4 + b"\x1e\4" + bytes(4), False),
    "7 octets of padding twice": (bytes(7) + b"\x1e\6" + bytes(6) + bytes(7), True),
    "unknown, to be skipped": (b"\x1e\4" + bytes(4), True),
    "unknown, may change on the way": (b"\x3e\4" + bytes(4), True),
    "unknown, to be dropped": (b"\x5e\4" + bytes(4), False),
    "unknown, to be reported": (b"\x9e\4" + bytes(4), False),
    "unknown, to be reported unless multicast": (b"\xde\4" + bytes(4), False),
    "jumbo payload": (b"\xc2\4\0\1\0\0", False),
    "home address": (b"\xc9\x10" + bytes(16) + b"\1\2" + bytes(2), False),
    "8 options": (b"\x1e\0" * 8 + b"\1\4" + bytes(4), True),
    "9 options": (b"\x1e\0" * 9 + b"\1\2" + bytes(2), False),
    "beyond the header": (b"\x1e\5" + bytes(4), False),
    "a type alone": (b"\x1e\3" + bytes(3) + b"\x1e", False),
}


@pytest.mark.parametrize("header", [HOPOPTS, DSTOPTS])
@pytest.mark.parametrize("name", OPTIONS)
def test_options_are_skipped_or_are_a_reason(name: str, header: int) -> None:
    octets, skipped = OPTIONS[name]
    draft = ADVERTISEMENT.but(extensions=((header, extension(octets)),))

    assert reason_of(draft) == (None if skipped else ipv6.DROP_IPV6_OPTION)


@pytest.mark.parametrize(
    ("octets", "right"),
    [
        (b"\5\2\0\0\1\0", True),
        (b"\5\2\xff\xff\1\0", True),
        (b"\5\4\0\0\0\0", False),
        (b"\5\1\0\1\1\0", False),
    ],
)
def test_router_alert_has_two_octets_where_it_belongs_and_is_unknown_elsewhere(
    octets: bytes, right: bool
) -> None:
    hop_by_hop = ADVERTISEMENT.but(extensions=((HOPOPTS, extension(octets)),))
    destination = ADVERTISEMENT.but(extensions=((DSTOPTS, extension(octets)),))

    assert reason_of(hop_by_hop) == (None if right else ipv6.DROP_IPV6_OPTION)
    assert reason_of(destination) is None


@pytest.mark.parametrize("header", [HOPOPTS, ROUTING, FRAGMENT, DSTOPTS])
@pytest.mark.parametrize("kept", range(8))
def test_an_extension_header_that_the_packet_cuts_off_is_refused(header: int, kept: int) -> None:
    payload = (b"\x3a" + PADDING)[:kept]

    assert ipv6.parse(ipv6.build(PEER_IP, OUR_IP, payload, next_header=header)) == ipv6.DROP_IPV6_EXTENSION


@pytest.mark.parametrize("header", [HOPOPTS, ROUTING, DSTOPTS])
def test_an_extension_header_that_claims_more_than_there_is_is_refused(header: int) -> None:
    packet = ipv6.build(PEER_IP, OUR_IP, b"\x3a\x01" + bytes(6) + bytes(7), next_header=header)

    assert ipv6.parse(packet) == ipv6.DROP_IPV6_EXTENSION
    assert ipv6.parse(packet + bytes(20)) == ipv6.DROP_IPV6_EXTENSION


@pytest.mark.parametrize(
    ("position", "partial"),
    [(0x0000, False), (0x0006, False), (0x0001, True), (0x0008, True), (0x0100, True), (0xFFF9, True)],
)
def test_the_walk_says_of_a_fragment_whether_it_is_a_part(position: int, partial: bool) -> None:
    headers = b"\x2c" + PADDING + b"\x3a" + fragment(position)

    upper = ipv6.walk(headers + b"rest", 0, len(headers) + 4, DSTOPTS, OUR_IP)

    assert upper == (58, 16, True, partial)


@pytest.mark.parametrize("header", [HOPOPTS, DSTOPTS, ROUTING, FRAGMENT])
def test_behind_the_last_header_there_may_be_nothing(header: int) -> None:
    rest = {ROUTING: routing(0, 0), FRAGMENT: fragment(0)}.get(header, PADDING)
    packet = ipv6.build(PEER_IP, OUR_IP, b"\x3b" + rest, next_header=header)

    assert ipv6.parse(packet) == (PEER_IP, OUR_IP, 255, 59, header == FRAGMENT, b"")


@pytest.mark.parametrize("header", [HOPOPTS, DSTOPTS])
def test_an_option_that_the_packet_cuts_off_is_refused(header: int) -> None:
    packet = ipv6.build(PEER_IP, OUR_IP, b"\x3b\0" + b"\x1e\3\0\0\0\x1e", next_header=header)

    assert ipv6.parse(packet) == ipv6.DROP_IPV6_OPTION


def test_the_walk_over_no_header_is_where_it_was() -> None:
    assert ipv6.walk(b"x" * 50, 40, 50, 58, OUR_IP) == (58, 40, False, False)
    assert ipv6.walk(b"x" * 50, 50, 50, 59, OUR_IP) == (59, 50, False, False)


@given(
    st.binary(max_size=120),
    st.sampled_from([HOPOPTS, ROUTING, FRAGMENT, DSTOPTS]),
    st.sampled_from([OUR_IP, OUR_GROUP]),
)
def test_the_walk_over_arbitrary_octets_ends_within_them_or_is_a_reason(
    octets: bytes, header: int, dst: bytes
) -> None:
    upper = ipv6.walk(octets, 0, len(octets), header, dst)

    if isinstance(upper, str):
        assert upper in ipv6.DROP_REASONS
    else:
        assert 0 < upper.offset <= len(octets)
        assert upper.partial or upper.protocol not in (HOPOPTS, ROUTING, FRAGMENT, DSTOPTS)
        assert upper.fragmented or not upper.partial


@given(st.binary(max_size=120) | st.binary(max_size=100).map(lambda tail: ADVERTISEMENT.packet[:8] + tail))
def test_arbitrary_octets_give_a_packet_or_a_known_reason(octets: bytes) -> None:
    result = ipv6.parse(octets)

    assert result in ipv6.DROP_REASONS if isinstance(result, str) else len(result) == 6


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"frame_kept": 13}, "ethernet_truncated"),
        ({"frame_kept": 0}, "ethernet_truncated"),
        ({"ethertype": b"\x81\x00\x00\x64\x86\xdd"}, "vlan_tagged"),
        ({"ethertype": b"\x88\xa8\x00\x64\x86\xdd"}, "vlan_tagged"),
        ({"ethertype": b"\x08\x00"}, "not_ipv6"),
        ({"ethertype": b"\x08\x06"}, "not_ipv6"),
        ({"ethertype": b"\xdd\x86"}, "not_ipv6"),
        ({"frame_kept": 14}, "ipv6_truncated"),
    ],
)
def test_a_frame_with_no_ipv6_packet_is_refused(change: dict[str, object], reason: str) -> None:
    assert ipv6.parse_frame(ADVERTISEMENT.but(**change).frame) == reason
    assert reason in ipv6.FRAME_DROP_REASONS


def test_a_frame_gives_what_its_packet_does() -> None:
    assert ipv6.parse_frame(ADVERTISEMENT.frame + bytes(9)) == ipv6.parse(ADVERTISEMENT.packet)
    assert ipv6.parse(b"prefix" + ADVERTISEMENT.packet, 6) == ipv6.parse(ADVERTISEMENT.packet)


@pytest.mark.parametrize(
    ("address", "multicast", "link_local"),
    [
        ("::", False, False),
        ("fe7f:ffff::1", False, False),
        ("fe80::1", False, True),
        ("febf:ffff::1", False, True),
        ("fec0::1", False, False),
        ("feff::1", False, False),
        ("ff02::1", True, False),
        ("ff80::1", True, False),
        ("2001:db8::1", False, False),
    ],
)
def test_groups_and_link_local_addresses_are_told_by_their_first_bits(
    address: str, multicast: bool, link_local: bool
) -> None:
    assert ipv6.is_multicast(ip(address)) is multicast is ipaddress.IPv6Address(address).is_multicast
    assert ipv6.is_link_local(ip(address)) is link_local is ipaddress.IPv6Address(address).is_link_local


@given(ips)
def test_the_solicited_node_group_is_scapys(address: bytes) -> None:
    group = ipv6.solicited_node(address)

    assert group == in6_getnsma(address)
    assert ipv6.is_solicited_node(group)
    assert ipv6.is_multicast(group)


@pytest.mark.parametrize(
    "address", ["ff02::1", "ff02::1:fe00:1", "ff02::2:ff00:1", "ff05::1:ff00:1", "fe80::1"]
)
def test_other_addresses_are_no_solicited_node_group(address: str) -> None:
    assert not ipv6.is_solicited_node(ip(address))


def test_the_groups_are_those_of_their_names() -> None:
    assert ip("::") == ipv6.UNSPECIFIED
    assert ip("::1") == ipv6.LOOPBACK
    assert ip("ff02::1") == ipv6.ALL_NODES
    assert ip("ff02::2") == ipv6.ALL_ROUTERS
    assert ip("ff02::16") == ipv6.ALL_MLDV2_ROUTERS


@given(ips, ips, st.sampled_from([17, 58]), st.binary(max_size=90))
@example(bytes(16), bytes(16), 58, b"")
@example(b"\xff" * 16, b"\xff" * 16, 58, b"\xff" * 7)
def test_the_checksum_is_scapys_and_that_of_word_by_word(
    src: bytes, dst: bytes, protocol: int, payload: bytes
) -> None:
    value = ipv6.checksum(src, dst, protocol, payload)

    assert value == in6_chksum(
        protocol, IPv6(src=str(ipaddress.IPv6Address(src)), dst=str(ipaddress.IPv6Address(dst))), payload
    )
    assert value == internet_checksum(pseudo_header(src, dst, protocol, len(payload)) + payload)


@given(ips, ips, st.binary(min_size=4, max_size=90), st.integers(0, 89), st.integers(1, 255))
def test_the_checksum_of_a_filled_packet_is_zero_and_of_a_spoilt_one_is_not(
    src: bytes, dst: bytes, payload: bytes, at: int, spoil: int
) -> None:
    at %= len(payload)
    value = ipv6.checksum(src, dst, 58, payload[:2] + b"\0\0" + payload[4:])
    filled = payload[:2] + value.to_bytes(2, "big") + payload[4:]
    spoilt = filled[:at] + bytes((filled[at] ^ spoil,)) + filled[at + 1 :]

    assert ipv6.checksum(src, dst, 58, filled) == 0
    # A word of zeros and one of ones are the same number, so that each may stand for the other.
    assert ipv6.checksum(src, dst, 58, spoilt) != 0 or {filled[at] ^ spoil, filled[at]} == {0, 255}


def test_a_packet_of_64_kilobytes_is_summed_with_all_of_its_length() -> None:
    payload = bytes(range(251)) * 300

    assert ipv6.checksum(PEER_IP, OUR_IP, 17, payload) == internet_checksum(
        pseudo_header(PEER_IP, OUR_IP, 17, len(payload)) + payload
    )


@given(ips, ips, st.binary(max_size=60), st.integers(0, 255), st.integers(0, 255))
def test_a_built_packet_is_the_one_that_scapy_builds(
    src: bytes, dst: bytes, payload: bytes, hop_limit: int, traffic_class: int
) -> None:
    header = IPv6(
        src=str(ipaddress.IPv6Address(src)),
        dst=str(ipaddress.IPv6Address(dst)),
        nh=59,
        hlim=hop_limit,
        tc=traffic_class,
    )

    assert ipv6.build(
        src, dst, payload, next_header=59, hop_limit=hop_limit, traffic_class=traffic_class
    ) == bytes(header / payload)


def test_a_packet_is_icmpv6_that_never_left_the_link_unless_told_otherwise() -> None:
    assert ipv6.build(PEER_IP, OUR_IP, b"")[:8] == bytes.fromhex("60000000 0000 3a ff")


@given(unicast_ips, unicast_ips, st.binary(max_size=60))
def test_what_was_built_is_parsed_to_the_same_fields(src: bytes, dst: bytes, payload: bytes) -> None:
    packet = ipv6.build(src, dst, payload, next_header=17, hop_limit=9)

    assert ipv6.parse(packet) == (src, dst, 9, 17, False, payload)


def test_we_walk_over_every_header_that_scapy_builds() -> None:
    packet = bytes(
        IPv6(src="fe80::7", dst="fe80::1", hlim=77)
        / IPv6ExtHdrHopByHop(options=[RouterAlert(value=1)])
        / IPv6ExtHdrDestOpt(options=[PadN(optdata=bytes(4))])
        / IPv6ExtHdrRouting(type=0, segleft=0, addresses=["2001:db8::1", "2001:db8::2"])
        / IPv6ExtHdrFragment(m=0, offset=0)
        / UDP(sport=7, dport=9)
        / b"payload"
    )

    assert ipv6.parse(packet) == (PEER_IP, OUR_IP, 77, 17, True, packet[-15:])
