from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6MLDMultAddrRec,
    ICMPv6MLDone,
    ICMPv6MLQuery,
    ICMPv6MLQuery2,
    ICMPv6MLReport,
    ICMPv6MLReport2,
    IPv6,
    IPv6ExtHdrHopByHop,
    PadN,
    RouterAlert,
)
from scapy.layers.l2 import Ether

from neighio.wire import ipv6, mld

from .drafts import (
    ALL_NODES,
    GLOBAL_IP,
    OUR_GROUP,
    OUR_IP,
    PADDING,
    PEER_IP,
    ROUTER_ALERT,
    UNSPECIFIED,
    Draft,
    extension,
    fragment,
    ip,
    routing,
)

HOPOPTS, ROUTING, FRAGMENT, DSTOPTS = 0, 43, 44, 60
ALERT = ((HOPOPTS, ROUTER_ALERT),)
SOURCES = (ip("2001:db8::1"), ip("2001:db8::2"))


def query(group: bytes, code: int, rest: bytes = b"", **changes: Any) -> Draft:
    body = code.to_bytes(2, "big") + bytes(2) + group
    draft = Draft(130, body, dst=ALL_NODES, options=rest, hop_limit=1, extensions=ALERT)
    return draft.but(**changes)


V1 = query(UNSPECIFIED, 10000)
V2 = query(UNSPECIFIED, 10000, bytes.fromhex("027d 0000"))
V2_SOURCES = query(OUR_GROUP, 1000, bytes.fromhex("0a7d 0002") + b"".join(SOURCES))
QUERIES = {"1": V1, "2": V2, "2 with sources": V2_SOURCES}

BREAKS: list[tuple[str, dict[str, Any]]] = [
    ("ethernet_truncated", {"frame_kept": 13}),
    ("vlan_tagged", {"ethertype": b"\x81\x00\x00\x64\x86\xdd"}),
    ("not_ipv6", {"ethertype": b"\x08\x00"}),
    ("ipv6_truncated", {"frame_kept": 53}),
    ("ipv6_version", {"first_word": 0x40000000}),
    ("ipv6_payload_length", {"length_off_by": 1}),
    ("ipv6_loopback", {"src": ip("::1")}),
    ("ipv6_multicast_scope", {"dst": ip("ff01::1")}),
    ("ipv6_source_multicast", {"src": ip("ff02::7")}),
    ("ipv6_extension", {"extensions": (*ALERT, *ALERT)}),
    ("ipv6_option", {"extensions": ((HOPOPTS, extension(b"\x5e\x04" + bytes(4))),)}),
    ("ipv6_routing_header", {"extensions": (*ALERT, (ROUTING, routing(0, 1)))}),
    ("ipv6_fragment", {"extensions": (*ALERT, (FRAGMENT, fragment(1)))}),
    *(("not_mld_query", {"kind": kind}) for kind in (0, 128, 132, 135, 143)),
    ("not_mld_query", {"protocol": 17}),
    ("not_mld_query", {"kept": 0}),
    *(("mld_length", {"kept": kept}) for kept in (1, 4, 8, 23)),
    ("icmpv6_checksum", {"checksum_off_by": 1}),
    *(("mld_source", {"src": src}) for src in (UNSPECIFIED, GLOBAL_IP, ip("fec0::1"))),
    *(("mld_hop_limit", {"hop_limit": limit}) for limit in (0, 2, 64, 255)),
    ("mld_router_alert", {"extensions": ()}),
    ("mld_router_alert", {"extensions": ((HOPOPTS, PADDING),)}),
    ("mld_router_alert", {"extensions": ((HOPOPTS, extension(b"\5\2\0\1\1\0")),)}),
    ("mld_router_alert", {"extensions": ((DSTOPTS, ROUTER_ALERT),)}),
    ("mld_router_alert", {"extensions": ((HOPOPTS, PADDING), (DSTOPTS, ROUTER_ALERT))}),
    ("mld_router_alert", {"extensions": ((HOPOPTS, extension(b"\x1e\4\5\2\0\0")),)}),
    ("mld_router_alert", {"extensions": ((HOPOPTS, extension(b"\5\2\0\0\5\2\0\1\1\4\0\0\0\0")),)}),
    *(("mld_group", {"body": bytes(4) + ip(group)}) for group in ("fe80::1", "::1", "2001:db8::1")),
]


def test_every_reason_has_frames_that_break_its_rule() -> None:
    assert list(dict.fromkeys(reason for reason, _ in BREAKS)) == list(mld.DROP_REASONS)


@pytest.mark.parametrize("version", QUERIES)
@pytest.mark.parametrize(("reason", "change"), BREAKS)
def test_a_query_that_breaks_one_rule_is_refused_for_it(
    version: str, reason: str, change: dict[str, Any]
) -> None:
    assert mld.parse(QUERIES[version].but(**change).frame) == reason


@pytest.mark.parametrize(("version", "lengths"), [("1", {24}), ("2", {24, 28}), ("2 with sources", {24, 60})])
def test_a_query_cut_at_any_length_is_refused_unless_it_is_one_of_version_1(
    version: str, lengths: set[int]
) -> None:
    for kept in range(1, len(QUERIES[version].message) + 1):
        result = mld.parse(QUERIES[version].but(kept=kept).frame)

        assert result == mld.DROP_MLD_LENGTH if kept not in lengths else not isinstance(result, str)


def test_a_query_gives_its_fields() -> None:
    assert mld.parse(V1.frame) == mld.Query(PEER_IP, ALL_NODES, 1, UNSPECIFIED, 10.0, ())
    assert mld.parse(V2.frame) == mld.Query(PEER_IP, ALL_NODES, 2, UNSPECIFIED, 10.0, ())
    assert mld.parse(V2_SOURCES.frame) == mld.Query(PEER_IP, ALL_NODES, 2, OUR_GROUP, 1.0, SOURCES)
    # More than the sources is of a later version, and ignored.
    assert mld.parse(V2.but(options=V2.options + b"more").frame) == mld.parse(V2.frame)
    assert mld.parse(V2.but(padding=bytes(6), dst=OUR_IP).frame) == mld.Query(
        PEER_IP, OUR_IP, 2, UNSPECIFIED, 10.0, ()
    )


def test_a_query_that_counts_more_sources_than_it_has_is_refused() -> None:
    for count in (3, 0x0102, 0xFFFF):
        rest = bytes.fromhex("0a7d") + count.to_bytes(2, "big") + b"".join(SOURCES)
        assert mld.parse(query(OUR_GROUP, 1000, rest).frame) == mld.DROP_MLD_LENGTH


def test_the_types_of_records_are_those_of_rfc_3810() -> None:
    assert (mld.MODE_IS_INCLUDE, mld.MODE_IS_EXCLUDE) == (1, 2)
    assert (mld.CHANGE_TO_INCLUDE, mld.CHANGE_TO_EXCLUDE) == (3, 4)


def test_router_alert_may_stand_behind_other_options() -> None:
    for octets in (
        b"\x1e\0\5\2\0\0",
        b"\1\0\5\2\0\0",
        b"\0\0\5\2\0\0",
        b"\5\2\0\0\1\0",
        b"\0\5\2\0\0\0",
        b"\x1e\6" + bytes(6) + b"\1\0\5\2\0\0",
    ):
        draft = V2.but(extensions=((HOPOPTS, extension(octets)), (DSTOPTS, PADDING)))
        assert mld.parse(draft.frame) == mld.parse(V2.frame)


@pytest.mark.parametrize(
    ("code", "seconds"),
    [
        (0x0000, 0.0),
        (0x0001, 0.001),
        (0x7FFF, 32.767),
        (0x8000, 32.768),
        (0x8001, 32.776),
        (0x8FFF, 65.528),
        (0x9000, 65.536),
        (0xF000, 4194.304),
        (0xFFFF, 8387.584),
    ],
)
def test_the_response_code_of_version_2_is_a_floating_point_number_from_2_to_the_15_on(
    code: int, seconds: float
) -> None:
    second = mld.parse(query(UNSPECIFIED, code, V2.options).frame)
    first = mld.parse(query(UNSPECIFIED, code).frame)

    assert isinstance(second, mld.Query) and second.max_response == seconds
    assert isinstance(first, mld.Query) and first.max_response == code / 1000


@given(st.binary(max_size=120) | st.binary(max_size=80).map(lambda tail: V2.frame[:70] + tail))
def test_arbitrary_octets_give_a_query_or_a_known_reason(frame: bytes) -> None:
    result = mld.parse(frame)

    assert not isinstance(result, str) or result in mld.DROP_REASONS


@given(st.integers(0, 0x7FFF), st.lists(st.binary(min_size=16, max_size=16), max_size=4))
def test_we_read_every_field_of_what_scapy_builds(delay: int, sources: list[bytes]) -> None:
    header = Ether() / IPv6(src="fe80::7", dst="ff02::1", hlim=1)
    header /= IPv6ExtHdrHopByHop(options=[RouterAlert(), PadN()])
    texts = [str(ipaddress.IPv6Address(source)) for source in sources]
    first = ICMPv6MLQuery(mrd=delay, mladdr="ff02::1:ff00:1")
    second = ICMPv6MLQuery2(mrd=delay, mladdr="ff02::1:ff00:1", sources=texts, sources_number=len(texts))

    expected = (PEER_IP, ALL_NODES, 1, OUR_GROUP, delay / 1000, ())
    assert mld.parse(bytes(header / first)) == expected
    assert mld.parse(bytes(header / second)) == (*expected[:2], 2, *expected[3:5], tuple(sources))


@given(
    st.sampled_from([PEER_IP, UNSPECIFIED]),
    st.lists(
        st.tuples(
            st.sampled_from(
                [mld.MODE_IS_INCLUDE, mld.MODE_IS_EXCLUDE, mld.CHANGE_TO_INCLUDE, mld.CHANGE_TO_EXCLUDE]
            ),
            st.binary(min_size=16, max_size=16),
        ),
        max_size=6,
    ),
)
def test_a_report_is_the_one_that_scapy_builds(src: bytes, records: list[tuple[int, bytes]]) -> None:
    packet = mld.build_report(src, records)

    assert packet == bytes(
        IPv6(src=str(ipaddress.IPv6Address(src)), dst="ff02::16", hlim=1)
        / IPv6ExtHdrHopByHop(options=[RouterAlert(), PadN()])
        / ICMPv6MLReport2(
            records_number=len(records),
            records=[
                ICMPv6MLDMultAddrRec(rtype=kind, dst=str(ipaddress.IPv6Address(group)))
                for kind, group in records
            ],
        )
    )


def test_a_report_is_an_icmpv6_message_behind_router_alert() -> None:
    packet = mld.build_report(PEER_IP, [(mld.CHANGE_TO_EXCLUDE, OUR_GROUP)])

    found = ipv6.parse(packet)
    assert not isinstance(found, str)
    src, dst, hop_limit, protocol, fragmented, message = found
    assert (src, dst, hop_limit, protocol, fragmented) == (PEER_IP, ip("ff02::16"), 1, 58, False)
    assert packet[40:48] == bytes.fromhex("3a00 0502 0000 0100")
    assert (
        message == Draft(143, bytes.fromhex("0000 0001 04 00 0000") + OUR_GROUP, dst=ip("ff02::16")).message
    )


# -- version 1

REPORT = Draft(131, bytes(4) + OUR_GROUP, dst=OUR_GROUP, hop_limit=1, extensions=ALERT)
REPORT_BREAKS: list[tuple[str, dict[str, Any]]] = [
    ("mld_length", {"kept": 23}),
    ("icmpv6_checksum", {"checksum_off_by": 1}),
    ("mld_source", {"src": GLOBAL_IP}),
]


@pytest.mark.parametrize("change", [{}, {"src": UNSPECIFIED}, {"extensions": ()}, {"padding": PADDING}])
def test_anothers_report_of_version_1_gives_its_fields(change: dict[str, Any]) -> None:
    """Of the hop limit and the router alert the kernel asks nothing."""
    found = mld.parse(REPORT.but(**change).frame)

    assert found == mld.Heard(change.get("src", PEER_IP), OUR_GROUP, OUR_GROUP)


@pytest.mark.parametrize(("reason", "change"), REPORT_BREAKS)
def test_a_report_of_version_1_that_breaks_one_rule_is_refused_for_it(
    reason: str, change: dict[str, Any]
) -> None:
    assert mld.parse(REPORT.but(**change).frame) == reason


@given(st.sampled_from([PEER_IP, UNSPECIFIED]), st.binary(min_size=15, max_size=15))
def test_version_1_is_built_as_by_scapy(src: bytes, tail: bytes) -> None:
    group = b"\xff" + tail
    text = str(ipaddress.IPv6Address(group))
    for done, dst, message in (
        (False, text, ICMPv6MLReport(mladdr=text)),
        (True, "ff02::2", ICMPv6MLDone(mladdr=text)),
    ):
        header = IPv6(src=str(ipaddress.IPv6Address(src)), dst=dst, hlim=1)
        header /= IPv6ExtHdrHopByHop(options=[RouterAlert(), PadN()])
        assert mld.build_old_report(src, group, done=done) == bytes(header / message)
