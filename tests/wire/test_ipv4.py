from __future__ import annotations

import ipaddress
import itertools
import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scapy.layers.inet import IP, IPOption_LSRR, IPOption_NOP, IPOption_RR, IPOption_SSRR
from scapy.utils import checksum as scapy_checksum

from neighio.wire import ipv4

from .drafts import internet_checksum

OUR_IP = bytes([198, 51, 100, 1])
PEER_IP = bytes([198, 51, 100, 7])

ips = st.binary(min_size=4, max_size=4)


def packet(
    *,
    first: int | None = None,
    options: bytes = b"",
    total: int | None = None,
    fragment: int = 0x4000,
    off_by: int = 0,
    payload: bytes = b"payload",
) -> bytes:
    header_length = 20 + len(options)
    fields = (
        0x40 | header_length // 4 if first is None else first,
        0,
        header_length + len(payload) if total is None else total,
        0,
        fragment,
        64,
        17,
    )
    header = struct.pack("!BBHHHBBH4s4s", *fields, 0, PEER_IP, OUR_IP) + options
    value = (internet_checksum(header) + off_by) % 0x10000
    return header[:10] + value.to_bytes(2, "big") + header[12:] + payload


BREAKS = {
    ipv4.DROP_IPV4_TRUNCATED: packet()[:19],
    ipv4.DROP_IPV4_VERSION: packet(first=0x65),
    ipv4.DROP_IPV4_HEADER_LENGTH: packet(first=0x44),
    ipv4.DROP_IPV4_CHECKSUM: packet(off_by=1),
    ipv4.DROP_IPV4_TOTAL_LENGTH: packet(total=28),
    ipv4.DROP_IPV4_OPTION: packet(options=b"\x07\x05\x04\x00"),
    ipv4.DROP_IPV4_FRAGMENT: packet(fragment=0x2000),
}


def test_every_reason_has_a_packet_that_breaks_its_rule() -> None:
    assert tuple(BREAKS) == ipv4.DROP_REASONS


@pytest.mark.parametrize("reason", BREAKS)
def test_a_packet_that_breaks_one_rule_is_refused_for_it(reason: str) -> None:
    assert ipv4.parse(packet()) == (PEER_IP, OUR_IP, 17, b"payload")

    assert ipv4.parse(BREAKS[reason]) == reason


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", ipv4.DROP_IPV4_TRUNCATED),
        (packet(first=0x55), ipv4.DROP_IPV4_VERSION),
        (packet(first=0x05), ipv4.DROP_IPV4_VERSION),
        (packet(first=0x40), ipv4.DROP_IPV4_HEADER_LENGTH),
        (packet(first=0x4F), ipv4.DROP_IPV4_HEADER_LENGTH),
        (packet(first=0x46, payload=b"\x55" * 9), ipv4.DROP_IPV4_CHECKSUM),
        (packet(total=19), ipv4.DROP_IPV4_TOTAL_LENGTH),
        (packet(total=0), ipv4.DROP_IPV4_TOTAL_LENGTH),
        (packet(total=0xFFFF), ipv4.DROP_IPV4_TOTAL_LENGTH),
        (packet(fragment=0x0001), ipv4.DROP_IPV4_FRAGMENT),
        (packet(fragment=0x1FFF), ipv4.DROP_IPV4_FRAGMENT),
        (packet(fragment=0x3FFF), ipv4.DROP_IPV4_FRAGMENT),
    ],
)
def test_other_ways_to_break_a_rule(octets: bytes, reason: str) -> None:
    assert ipv4.parse(octets) == reason


@pytest.mark.parametrize("fragment", [0x0000, 0x4000, 0x8000, 0xC000])
def test_a_packet_that_is_whole_is_no_fragment(fragment: int) -> None:
    assert ipv4.parse(packet(fragment=fragment)) == (PEER_IP, OUR_IP, 17, b"payload")


@pytest.mark.parametrize(
    ("options", "fine"),
    [
        (b"\x01\x01\x01\x00", True),
        (b"\x00\xff\xff\xff", True),
        (b"\x94\x04\x00\x00", True),
        (b"\x07\x07\x04\x00\x00\x00\x00\x00", True),
        (b"\x07\x03\x04\x01", True),
        (b"\x01\x01\x94\x02", True),
        (b"\x01\x01\x01\x94", False),
        (b"\x07\x00\x00\x00", False),
        (b"\x07\x01\x00\x00", False),
        (b"\x01\x07\x04\x00", False),
        (b"\x83\x03\x04\x00", False),
        (b"\x89\x03\x04\x00", False),
    ],
)
def test_options_are_skipped_unless_they_do_not_fit_or_route(options: bytes, fine: bool) -> None:
    result = ipv4.parse(packet(options=options))

    assert result == ((PEER_IP, OUR_IP, 17, b"payload") if fine else ipv4.DROP_IPV4_OPTION)


@pytest.mark.parametrize(
    ("option", "fine"),
    [
        (IPOption_RR(routers=["0.0.0.0"]), True),
        (IPOption_NOP(), True),
        (IPOption_LSRR(routers=["198.51.100.9"]), False),
        (IPOption_SSRR(routers=["198.51.100.9"]), False),
    ],
)
def test_we_judge_the_options_that_scapy_builds(option: IPOption_NOP, fine: bool) -> None:
    octets = bytes(IP(src="198.51.100.7", dst="198.51.100.1", proto=17, options=[option]) / b"payload")

    result = ipv4.parse(octets)

    assert result == ((PEER_IP, OUR_IP, 17, b"payload") if fine else ipv4.DROP_IPV4_OPTION)


@pytest.mark.parametrize("length", range(40))
def test_a_packet_cut_at_any_length_is_refused_until_it_is_whole(length: int) -> None:
    result = ipv4.parse((packet() + bytes(20))[:length])

    if length < 20:
        assert result == ipv4.DROP_IPV4_TRUNCATED
    elif length < 27:
        assert result == ipv4.DROP_IPV4_TOTAL_LENGTH
    else:
        assert result == (PEER_IP, OUR_IP, 17, b"payload")


@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda tail: packet()[:4] + tail))
def test_arbitrary_octets_give_a_packet_or_a_known_reason(octets: bytes) -> None:
    result = ipv4.parse(octets)

    assert result in ipv4.DROP_REASONS if isinstance(result, str) else len(result) == 4


@given(st.binary(max_size=90))
@example(b"")
@example(bytes(20))
@example(b"\xff" * 21)
def test_the_checksum_is_scapys_and_that_of_word_by_word(octets: bytes) -> None:
    assert ipv4.checksum(octets) == internet_checksum(octets) == scapy_checksum(octets)


@given(
    src=ips,
    dst=ips,
    payload=st.binary(max_size=60),
    protocol=st.sampled_from([1, 17, 253]),
    ttl=st.integers(0, 255),
    tos=st.integers(0, 255),
)
def test_a_built_packet_is_the_one_that_scapy_builds(
    src: bytes, dst: bytes, payload: bytes, protocol: int, ttl: int, tos: int
) -> None:
    header = IP(
        src=str(ipaddress.IPv4Address(src)),
        dst=str(ipaddress.IPv4Address(dst)),
        id=0,
        flags="DF",
        ttl=ttl,
        tos=tos,
        proto=protocol,
    )

    built = ipv4.build(src, dst, payload, protocol=protocol, ttl=ttl, tos=tos)

    assert built == bytes(header / payload)
    assert ipv4.parse(built + b"padding") == (src, dst, protocol, payload)


def test_a_packet_lives_64_hops_and_is_of_no_class_unless_told_otherwise() -> None:
    built = ipv4.build(PEER_IP, OUR_IP, b"", protocol=17)

    assert (built[1], built[8]) == (0, 64)


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(range(0, 20, 2), 2)))
def test_words_of_a_header_that_changed_places_are_not_noticed_and_changed_words_are(
    first: int, second: int
) -> None:
    header = packet()[:20]
    words = [header[at : at + 2] for at in range(0, 20, 2)]
    words[first // 2], words[second // 2] = words[second // 2], words[first // 2]
    spoilt = header[:first] + bytes((header[first] ^ 1,)) + header[first + 1 :]

    assert ipv4.checksum(b"".join(words)) == 0
    assert ipv4.checksum(spoilt) != 0
