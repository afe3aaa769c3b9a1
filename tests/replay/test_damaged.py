"""Whatever octets a capture holds, it is played or refused in a line."""

from __future__ import annotations

import struct
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .playing import Played, replay
from .recording import (
    ETHERNET,
    LOOP,
    NULL,
    RAW,
    SHARED,
    SHARED_NAMES,
    SLL,
    SLL2,
    advertisement,
    announcement,
    cooked,
    cooked2,
    datagram,
    enhanced,
    interface,
    pcap,
    probe,
    reply,
    request,
    section,
    simple,
    solicitation,
    tagged,
)

SEEDS = [
    request(1, 2),
    reply(2, 1),
    announcement(3),
    probe(4, 1),
    solicitation(1, 2),
    advertisement(2, 1, router=True),
    datagram(1, 2),
    tagged(request(1, 2), 10, 20),
    cooked(reply(2, 1), 0),
    cooked2(solicitation(1, 2), 4, ifindex=3),
    datagram(1, 2)[14:],
]
VIEWS: list[list[str]] = [
    [],
    ["--as", "198.51.100.1/24"],
    ["--as", "02:00:00:00:00:02"],
    ["--as", "2001:db8::1"],
]
FEW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def play_octets(octets: bytes, *arguments: str) -> Played:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "damaged.pcap"
        file.write_bytes(octets)
        return replay(str(file), "--trace", "--plot", str(file.with_suffix(".svg")), *arguments)


def is_told(played: Played) -> bool:
    """Whether it went well, or ended with a line that says why."""
    if played.status == 0:
        return not played.errors and played.end["error"] is None
    line = played.errors.startswith("neighio replay: ") and played.errors.count("\n") == 1
    return played.status == 2 and line and (not played.records or played.end["error"] in played.errors)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A frame with some octets overwritten, cut or lengthened."""
    frame = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 4))):
        frame[draw(st.integers(0, len(frame) - 1))] = draw(st.integers(0, 255))
    return bytes(frame[: draw(st.integers(0, len(frame)))]) + draw(st.binary(max_size=20))


@given(
    frames=st.lists(st.tuples(st.integers(0, 0xFFFFFFFF), damaged()), min_size=1, max_size=12),
    link_type=st.sampled_from([ETHERNET, ETHERNET, SLL, SLL2, RAW, NULL, LOOP]),
    view=st.sampled_from(VIEWS),
    snap=st.sampled_from([20, 42, 65535]),
)
@FEW
def test_frames_of_all_kinds_and_times(
    frames: list[tuple[int, bytes]], link_type: int, view: list[str], snap: int
) -> None:
    octets = pcap([], link_type=link_type) + b"".join(
        struct.pack("<IIII", when, 0, len(frame[:snap]), len(frame)) + frame[:snap] for when, frame in frames
    )
    played = play_octets(octets, *view)

    assert is_told(played)
    assert played.end["frames"] == len(frames)


WHOLE = [
    pcap(list(enumerate(SEEDS[:7]))),
    section(
        interface(name="eth0", resolution=9, offset=7),
        interface(RAW),
        *(enhanced(frame, 10**9 * number) for number, frame in enumerate(SEEDS[:7])),
        enhanced(SEEDS[-1], 10**7, number=1),
        simple(SEEDS[0]),
    )
    + section(interface(order=">"), enhanced(SEEDS[0], 5, order=">"), order=">"),
]


@given(
    whole=st.sampled_from(WHOLE),
    changes=st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 255)), max_size=6),
    length=st.integers(0, 2000),
    view=st.sampled_from(VIEWS[:2]),
)
@FEW
def test_files_with_octets_overwritten_or_cut(
    whole: bytes, changes: list[tuple[int, int]], length: int, view: list[str]
) -> None:
    octets = bytearray(whole)
    for where, octet in changes:
        octets[where % len(octets)] = octet

    assert is_told(play_octets(bytes(octets[:length]), *view))


@given(
    octets=st.binary(max_size=300),
    magic=st.sampled_from([b"", WHOLE[0][:24], WHOLE[1][:28], b"\x1f\x8b\x08"]),
)
@FEW
def test_octets_that_are_no_capture(octets: bytes, magic: bytes) -> None:
    assert is_told(play_octets(magic + octets))


@pytest.mark.skipif(not SHARED.is_dir(), reason="captures not beside the project")
@pytest.mark.parametrize("name", SHARED_NAMES)
def test_captures_that_others_made(name: str) -> None:
    arcnet = name.startswith("arcnet")
    played = replay(str(SHARED / name), "--trace")
    assert is_told(played)
    # ARCNET is a link of another kind.
    assert played.status == (2 if arcnet else 0)
    links = sum(record["frames"] for record in played.of("link"))
    assert links + sum(played.end["unusable"].values()) == played.end["frames"] > 0
    for address in list(played.table())[:3]:
        assert replay(str(SHARED / name), "--as", address.split(" ")[0]).status == 0


@pytest.mark.skipif(not SHARED.is_dir(), reason="captures not beside the project")
def test_what_a_capture_of_others_shows() -> None:
    played = replay(str(SHARED / "802.1ad_QinQ.pcap"))

    assert list(played.table()) == ["172.21.79.97 dev link.200.2001", "172.21.79.100 dev link.200.2001"]
    fuzzed = replay(str(SHARED / "arp-oobr.pcap"))
    assert fuzzed.link("link")["kinds"] == {"arp_request": 1923, "arp_reply": 26}
    assert fuzzed.link("link")["malformed"] == {
        "arp_hln": 68,
        "arp_pln": 37,
        "arp_hrd": 73,
        "arp_pro": 81,
        "arp_op": 74,
    }
