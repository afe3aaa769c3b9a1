"""Time is that of the capture, whatever its clock did."""

from __future__ import annotations

from pathlib import Path

import pytest

from .playing import play, replay
from .recording import (
    BEGAN,
    announcement,
    enhanced,
    interface,
    pcap,
    reply,
    request,
    section,
    simple,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "office.pcap"


def test_events_are_told_with_the_time_of_day(file: Path) -> None:
    played = play(file, [(0.0, request(1, 2)), (61.25, reply(2, 1))])

    assert played.records[0]["began"] == "2026-01-01T00:00:00.000000Z"
    assert [
        (record["time"], record["wall"]) for record in played.of("new") if "100.2" in record["address"]
    ] == [(61.25, "2026-01-01T00:01:01.250000Z")]


def test_a_little_disorder_is_taken_as_it_comes(file: Path) -> None:
    frames = [(10.0, request(1, 2)), (9.5, request(3, 2)), (10.5, request(4, 2))]
    played = play(file, frames)

    assert [record["time"] for record in played.of("new")] == [0.0, 0.0, 0.5]
    assert played.end["set_back"] == 0


def test_a_clock_that_is_set_back_goes_on_from_the_present(file: Path) -> None:
    frames = [(1000.0, request(1, 2)), (1010.0, request(3, 2)), (10.0, request(4, 2)), (15.0, request(5, 2))]
    played = play(file, frames)

    assert [record["time"] for record in played.of("new")] == [0.0, 10.0, 10.0, 15.0]
    # By the capture's clock, as it was set.
    assert [record["wall"][11:19] for record in played.of("new")] == [
        "00:16:40",
        "00:16:50",
        "00:00:10",
        "00:00:15",
    ]
    assert (played.end["set_back"], played.end["seconds"]) == (1, 15.0)


def test_years_between_two_frames_pass_at_once(file: Path) -> None:
    octets = pcap([(0.0, reply(2, 1))], began=0) + pcap([(0.0, request(3, 4))], began=0xFFFFFFFF)[24:]
    file.write_bytes(octets)
    played = replay(str(file))

    assert (played.status, played.end["seconds"]) == (0, float(0xFFFFFFFF))
    assert "198.51.100.2 dev link" in played.table()


def test_frames_without_a_time_stamp_are_of_the_present(file: Path) -> None:
    file.write_bytes(
        section(
            interface(), simple(request(1, 2)), enhanced(request(3, 2), BEGAN * 10**6), simple(request(4, 2))
        )
    )
    played = replay(str(file))

    assert [(record["time"], record["wall"] is None) for record in played.of("new")] == [
        (0.0, True),
        (0.0, False),
        (0.0, False),
    ]
    assert played.end["untimed"] == 2
    assert played.records[0]["began"] is None


def test_a_flood_without_time_stamps_is_no_storm(file: Path) -> None:
    file.write_bytes(
        section(interface(), *(simple(announcement(number % 250 + 1)) for number in range(2000)))
    )

    assert replay(str(file)).odd() == []


def test_the_latest_time_that_can_be_written_is_told(file: Path) -> None:
    # 2^64 microseconds: the year 586,524, which no calendar of ours has.
    file.write_bytes(section(interface(), enhanced(request(1, 2), 0), enhanced(request(3, 2), (1 << 64) - 1)))
    played = replay(str(file))

    assert played.status == 0
    assert [record["wall"] is None for record in played.of("new")] == [False, True]
