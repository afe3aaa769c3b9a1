"""What is odd in a capture: addresses that move, that two have, storms, and what is malformed."""

from __future__ import annotations

from pathlib import Path

import pytest

from neighio.wire.ethernet import build
from neighio.wire.ipv6 import IPPROTO_UDP
from neighio.wire.ipv6 import build as build6

from .playing import play, replay
from .recording import (
    IPV6,
    NULL,
    announcement,
    every,
    ip6,
    mac,
    pcap,
    probe,
    reply,
    request,
    solicitation,
)

HERE, THERE = "02:00:00:00:00:02", "02:00:00:00:00:63"
ADDRESS = "198.51.100.2"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "office.pcap"


def test_an_address_that_moves(file: Path) -> None:
    played = play(file, [(0.0, announcement(2)), (100.0, announcement(2, at=mac(99)))])

    assert played.odd() == [(100.0, "moved", ADDRESS, THERE, HERE)]
    assert played.end["anomalies"] == {"moved": 1, "flip": 0, "duplicate": 0, "storm": 0}


def test_an_address_that_moves_back_after_long(file: Path) -> None:
    frames = [(0.0, announcement(2)), (100.0, announcement(2, at=mac(99))), (200.0, announcement(2))]

    assert play(file, frames).odd()[1:] == [(200.0, "flip", ADDRESS, HERE, THERE)]


def test_an_address_that_is_back_at_once_is_at_two(file: Path) -> None:
    frames = every(
        10.0, [announcement(2), announcement(2, at=mac(99)), announcement(2), announcement(2, at=mac(99))]
    )
    played = play(file, frames)

    # It is told of once, and counted.
    assert [odd[:2] for odd in played.odd()] == [(10.0, "moved"), (20.0, "duplicate")]
    (duplicate,) = played.of("duplicate")
    assert (duplicate["address"], duplicate["times"]) == (ADDRESS, 2)
    assert set(duplicate["lladdrs"]) == {HERE, THERE}
    assert (duplicate["first"], duplicate["last"]) == (20.0, 30.0)


def test_two_that_answer_one_question_have_one_address(file: Path) -> None:
    frames = [(0.0, request(1, 2)), (0.1, reply(2, 1)), (0.2, reply(2, 1, at=mac(99)))]

    assert play(file, frames).odd() == [(0.2, "duplicate", ADDRESS, THERE, HERE)]


def test_what_is_said_on_another_link_does_not_count(file: Path) -> None:
    moved = announcement(2, at=mac(99))
    other = moved[:12] + b"\x81\0\0\x07" + moved[12:]

    assert play(file, [(0.0, announcement(2)), (1.0, other)]).odd() == []


def test_a_probe_claims_nothing(file: Path) -> None:
    assert play(file, [(0.0, announcement(2)), (1.0, probe(99, 2))]).odd() == []


def test_a_station_that_storms(file: Path) -> None:
    frames = every(0.005, [request(1, number % 200 + 2) for number in range(500)])
    played = play(file, frames)

    assert played.odd() == [(0.495, "storm", None, "02:00:00:00:00:01", None)]
    (storm,) = played.of("storm")
    assert (storm["messages"], storm["peak"], storm["first"], storm["last"]) == (500, 200, 0.0, 2.495)


def test_many_that_storm_together(file: Path) -> None:
    played = play(file, every(0.0005, [request(number % 200 + 1, 250) for number in range(1500)]))

    assert [(odd[1], odd[3]) for odd in played.odd()] == [("storm", None)]


def test_stations_without_link_layer_addresses_are_no_one_station_that_storms(file: Path) -> None:
    raw = [b"\x1e\0\0\0" + solicitation(number % 200 + 1, 250)[14:] for number in range(1500)]
    calm, storm = (
        play(file, every(0.005, raw), link_type=NULL),
        play(file, every(0.0005, raw), link_type=NULL),
    )

    assert calm.link("raw")["kinds"] == {"neighbour_solicitation": 1500}
    assert calm.odd() == []
    assert [(odd[1], odd[3]) for odd in storm.odd()] == [("storm", None)]


def damaged(frame: bytes, offset: int, octet: int) -> bytes:
    return frame[:offset] + bytes([octet]) + frame[offset + 1 :]


ASK, SOLICIT = request(1, 2), solicitation(1, 2)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (ASK[:41], "arp_truncated"),
        (damaged(ASK, 15, 7), "arp_hrd"),
        (damaged(ASK, 18, 8), "arp_hln"),
        (damaged(ASK, 19, 16), "arp_pln"),
        (damaged(ASK, 21, 9), "arp_op"),
        (SOLICIT[:53], "ipv6_truncated"),
        (SOLICIT[:60], "ipv6_payload_length"),
        (damaged(SOLICIT, 14, 0x40), "ipv6_version"),
        (damaged(SOLICIT, 56, SOLICIT[56] ^ 1), "icmpv6_checksum"),
        (damaged(SOLICIT, 21, 64), "ndisc_hop_limit"),
    ],
)
def test_what_is_malformed_is_counted_by_reason_and_teaches_nothing(
    file: Path, frame: bytes, reason: str
) -> None:
    played = play(file, [(0.0, frame), (1.0, frame)])

    assert played.link("link")["malformed"] == {reason: 2}
    assert played.table() == {}


def udp6(length: int, *, protocol: int = IPPROTO_UDP, src: bytes = ip6(1), dst: bytes = ip6(2)) -> bytes:
    return build(mac(2), mac(1), IPV6, build6(src, dst, bytes(length), next_header=protocol, hop_limit=64))


@pytest.mark.parametrize(
    ("frame", "snap", "cut_short", "malformed"),
    [
        (ASK, 40, 1, {}),
        (SOLICIT, 16, 1, {}),
        (SOLICIT, 60, 1, {}),
        # What is malformed in the part that was captured is so, wherever the rest may be.
        (damaged(ASK + bytes(18), 21, 9), 50, 0, {"arp_op": 1}),
        # It is seen to be about something else.
        (udp6(100), 96, 0, {}),
        (udp6(100, protocol=6), 60, 0, {}),
    ],
)
def test_what_was_not_captured_is_not_called_malformed(
    file: Path, frame: bytes, snap: int, cut_short: int, malformed: dict[str, int]
) -> None:
    file.write_bytes(pcap([(0.0, frame)], snap=snap))

    link = replay(str(file)).link("link")

    assert (link["cut_short"], link["malformed"]) == (cut_short, malformed)


def test_what_a_host_tells_itself_and_fragments_are_not_malformed(file: Path) -> None:
    loopback = udp6(8, src=bytes(15) + b"\1", dst=bytes(15) + b"\1")[14:]
    fragment = build6(ip6(1), ip6(2), b"\x11\0\0\1" + bytes(12), next_header=44)
    played = play(file, [(0.0, b"\x1e\0\0\0" + loopback), (0.1, b"\x1e\0\0\0" + fragment)], link_type=NULL)

    assert played.link("raw")["malformed"] == {}


def test_what_the_table_refuses_is_counted_by_reason(file: Path) -> None:
    # To a loopback address: well-formed, and nothing that Linux would look at.
    answer = reply(2, 1)[:38] + bytes([127, 0, 0, 1])
    played = play(file, [(0.0, answer)])

    assert played.link("link")["malformed"] == {}
    assert list(played.link("link")["drops"].values()) == [1]
    assert played.table() == {}
