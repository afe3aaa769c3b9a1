"""The view of nobody: what each message teaches a table that learns from everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from .playing import play
from .recording import (
    RAW,
    advertisement,
    announcement,
    datagram,
    mac,
    probe,
    reply,
    request,
    solicitation,
    tagged,
)

ONE, TWO = "02:00:00:00:00:01", "02:00:00:00:00:02"
FIXED = ["--set", "ipv4.base_reachable_time=30", "--set", "ipv6.base_reachable_time=30"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "office.pcap"


@pytest.mark.parametrize(
    ("frame", "table"),
    [
        (request(1, 2), {"198.51.100.1 dev link": (ONE, "STALE")}),
        (reply(1, 2), {"198.51.100.1 dev link": (ONE, "REACHABLE")}),
        (announcement(1), {"198.51.100.1 dev link": (ONE, "STALE")}),
        (probe(1, 2), {}),
        (datagram(1, 2), {}),
        (solicitation(1, 2), {"2001:db8::1 dev link": (ONE, "STALE")}),
        (tagged(request(1, 2), 10), {"198.51.100.1 dev link.10": (ONE, "STALE")}),
    ],
    ids=["request", "reply", "announcement", "probe", "datagram", "solicitation", "tagged"],
)
def test_what_a_message_teaches(file: Path, frame: bytes, table: dict[str, tuple[str, str]]) -> None:
    assert play(file, [(0.0, frame)]).table() == table


def test_an_answer_to_somebody_confirms_who_is_known_and_tells_a_router(file: Path) -> None:
    answer = advertisement(2, 1, router=True)
    played = play(file, [(0.0, solicitation(1, 2)), (0.001, answer), (1.0, answer)])

    # RFC 9131: who is not known yet is STALE at first.
    assert played.life("2001:db8::2") == [(0.001, "STALE"), (1.0, "REACHABLE")]
    assert played.table() == {
        "2001:db8::1 dev link": (ONE, "STALE"),
        "2001:db8::2 dev link": (TWO, "REACHABLE"),
    }
    assert [record["flags"] for record in played.of("entry")] == [[], ["router"]]
    assert played.link("link")["kinds"] == {"neighbour_solicitation": 1, "neighbour_advertisement": 2}


def test_time_passes_between_the_frames(file: Path) -> None:
    played = play(file, [(0.0, reply(1, 2)), (600.0, request(3, 4))], *FIXED)

    (begun, first), (aged, then) = played.life("198.51.100.1")
    assert (begun, first, then) == (0.0, "REACHABLE", "STALE")
    # reachable_time is drawn between half and one and a half of its base; the periodic work notices.
    assert 15.0 <= aged <= 45.0 + 15.1
    assert played.end["seconds"] == 600.0


def test_a_moved_address_is_overridden_when_its_lock_is_over(file: Path) -> None:
    there = "02:00:00:00:00:63"
    frames = [(0.0, reply(1, 2)), (0.5, reply(1, 2, at=mac(99))), (2.0, reply(1, 2, at=mac(99)))]
    played = play(file, frames)

    changes = [(record["time"], record["lladdr"]) for record in played.of("new")]
    # For a second after an update ARP believes no other (locktime).
    assert changes == [(0.0, ONE), (2.0, there)]


def test_each_vlan_is_a_link_of_its_own(file: Path) -> None:
    frame = request(1, 2)
    tags: list[tuple[int, ...]] = [(), (0,), (10,), (20,), (10, 20), (0x2000 | 10,)]
    played = play(file, [(0.1 * number, tagged(frame, *each)) for number, each in enumerate(tags)])

    # 0 is a priority and no VLAN; the upper four bits are no part of its number.
    assert {record["device"]: record["frames"] for record in played.of("link")} == {
        "link": 2,
        "link.10": 2,
        "link.20": 1,
        "link.10.20": 1,
    }
    assert [record["device"] for record in played.of("entry")] == ["link", "link.10", "link.10.20", "link.20"]


def test_without_a_link_layer_neighbours_need_no_discovery(file: Path) -> None:
    played = play(file, [(0.0, advertisement(1, 2)[14:]), (0.1, solicitation(1, 2)[14:])], link_type=RAW)

    assert {state for _, state in played.table().values()} <= {"NOARP"}
    assert played.link("raw")["kinds"] == {"neighbour_solicitation": 1, "neighbour_advertisement": 1}


def test_an_observer_asks_nobody(file: Path) -> None:
    frames = [(float(number), request(number % 20 + 1, number % 7 + 30)) for number in range(200)]
    played = play(file, frames, "--trace")

    states = {record["state"] for record in played.of("new", "del", "change", "entry")}
    assert states <= {"NONE", "STALE", "REACHABLE"}
    assert [record["res_failed"] for record in played.of("statistics")] == [0, 0]


def test_a_table_that_is_full_says_so(file: Path) -> None:
    frames = [(0.001 * number, announcement(number)) for number in range(1, 100)]
    played = play(
        file,
        frames,
        "--set",
        "ipv4.gc_thresh3=50",
        "--set",
        "ipv4.gc_thresh2=50",
        "--set",
        "ipv4.gc_thresh1=10",
    )

    (ipv4,) = (record for record in played.of("statistics") if record["family"] == "ipv4")
    assert ipv4["entries"] == 50
    assert ipv4["table_fulls"] == 49
