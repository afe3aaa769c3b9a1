"""Captures are read as they were written, whoever wrote them, and a damaged one says so."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest

from neighio.replay.capture import Capture, CaptureError, Record

from .recording import (
    BEGAN,
    ETHERNET,
    RAW,
    announcement,
    block,
    enhanced,
    every,
    interface,
    pcap,
    reply,
    request,
    section,
    simple,
)

SECOND = 10**9
FIRST, NEXT = request(1, 2), reply(2, 1)


def records(path: Path) -> list[Record]:
    with Capture(str(path)) as capture:
        return list(capture)


def damage(path: Path) -> tuple[list[bytes], str]:
    """What is read of a capture, and what is then said of it."""
    found: list[bytes] = []
    with pytest.raises(CaptureError) as caught, Capture(str(path)) as capture:
        found.extend(record.octets for record in capture)
    return found, str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "office.pcap"


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_pcap_of_both_byte_orders_and_units(file: Path, order: str, nano: bool, packed: bool) -> None:
    octets = pcap([(0.0, FIRST), (1.5, NEXT)], order=order, nano=nano)
    file.write_bytes(gzip.compress(octets) if packed else octets)

    with Capture(str(file)) as capture:
        assert capture.format == "pcap"
        first, last = capture

    assert first == Record(BEGAN * SECOND, FIRST, len(FIRST), ETHERNET, "", 0)
    assert last.nanoseconds == BEGAN * SECOND + 3 * SECOND // 2
    assert last.octets == NEXT


def test_what_the_snap_length_cut_off_is_told_by_the_length(file: Path) -> None:
    file.write_bytes(pcap([(0.0, FIRST)], snap=30))

    (record,) = records(file)

    assert (record.octets, record.length) == (FIRST[:30], 42)


def test_the_bits_above_the_link_type_are_of_check_sequences(file: Path) -> None:
    file.write_bytes(pcap([(0.0, FIRST)], link_type=ETHERNET | 0x14000000))

    assert [record.link_type for record in records(file)] == [ETHERNET]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("resolution", "ticks"),
    [(None, 10**6), (6, 10**6), (9, 10**9), (3, 10**3), (0, 1), (0x80 | 10, 1 << 10)],
)
def test_pcapng_tells_time_in_units_of_the_interface(
    file: Path, order: str, resolution: int | None, ticks: int
) -> None:
    file.write_bytes(
        section(
            interface(resolution=resolution, order=order),
            enhanced(FIRST, BEGAN * ticks, order=order),
            enhanced(NEXT, (BEGAN + 2) * ticks, order=order),
            order=order,
        )
    )

    with Capture(str(file)) as capture:
        assert capture.format == "pcapng"
        assert [record.nanoseconds for record in capture] == [BEGAN * SECOND, (BEGAN + 2) * SECOND]


def test_pcapng_adds_the_offset_of_the_interface(file: Path) -> None:
    file.write_bytes(
        section(
            interface(offset=BEGAN),
            interface(offset=-1),
            enhanced(FIRST, 7),
            enhanced(FIRST, 10**6, number=1),
        )
    )

    assert [record.nanoseconds for record in records(file)] == [BEGAN * SECOND + 7000, 0]


def test_interfaces_without_a_name_or_of_one_name_are_told_apart(file: Path) -> None:
    file.write_bytes(
        section(
            *(interface(name=name) for name in ("", "eth0", "", "eth0")),
            *(enhanced(FIRST, 0, number=number) for number in (3, 2, 1, 0)),
        )
    )

    found = [(record.interface, record.instance) for record in records(file)]

    assert found == [("eth0", 1), ("", 1), ("eth0", 0), ("", 0)]


def test_each_section_numbers_its_interfaces_anew(file: Path) -> None:
    file.write_bytes(
        section(interface(ETHERNET, name="eth0"), enhanced(FIRST, 0))
        + section(interface(RAW, name="tun0", order=">"), enhanced(FIRST, 0, order=">"), order=">")
        + section(interface(ETHERNET, name="eth0"), enhanced(FIRST, 0))
    )

    found = [(record.link_type, record.interface, record.instance) for record in records(file)]

    assert found == [(ETHERNET, "eth0", 0), (RAW, "tun0", 0), (ETHERNET, "eth0", 0)]


def test_a_simple_packet_has_no_time_and_is_of_the_first_interface(file: Path) -> None:
    file.write_bytes(section(interface(name="eth0"), interface(name="eth1"), simple(FIRST)))

    (record,) = records(file)

    assert record == Record(None, FIRST, len(FIRST), ETHERNET, "eth0", 0)


def test_blocks_that_are_no_packets_are_passed_over(file: Path) -> None:
    secrets = block(10, struct.pack("<II", 0x544C534B, 4) + b"keys")
    process = block(0x80000001, struct.pack("<I", 7))
    file.write_bytes(section(secrets, interface(), process, block(0x0BAD, b"of ours"), enhanced(FIRST, 0)))

    assert [record.octets for record in records(file)] == [FIRST]


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"", "it is empty"),
        (b"\xd4\xc3", "it is neither pcap nor pcapng"),
        (b"#!/bin/sh\n" * 9, "it is neither pcap nor pcapng"),
        (pcap([])[:20], "it is cut or damaged in its header, of which there are 20 octets"),
        (section()[:20], "it is cut or damaged in its header, of which there are 20 octets"),
        (b"\x1f\x8b" + bytes(30), "it cannot be read: Not a gzipped file (b'\\x00\\x00')"),
        (gzip.compress(b"", mtime=0), "it is empty"),
        (gzip.compress(gzip.compress(pcap([]), mtime=0), mtime=0), "it cannot be read: it is in gzip twice"),
    ],
)
def test_what_is_no_capture_is_refused_by_name(file: Path, octets: bytes, why: str) -> None:
    file.write_bytes(octets)

    with pytest.raises(CaptureError) as caught:
        Capture(str(file))

    assert str(caught.value) == f"{file}: {why}"


WHOLE = pcap(every(1.0, [FIRST, NEXT]))
NG = section(interface(), enhanced(FIRST, 0), enhanced(NEXT, 10**6))


@pytest.mark.parametrize("whole", [WHOLE, NG], ids=["pcap", "pcapng"])
def test_wherever_it_is_cut_what_was_whole_is_read_and_the_cut_is_told(file: Path, whole: bytes) -> None:
    header = 24 if whole is WHOLE else len(section())
    ends = {len(whole)}
    ends |= {header, header + 16 + 42} if whole is WHOLE else {header, header + 20, header + 20 + 76}
    for length in range(header, len(whole)):
        file.write_bytes(whole[:length])
        if length in ends:
            assert len(records(file)) < 2
        else:
            read, why = damage(file)
            assert read == [FIRST, NEXT][: len(read)]
            assert why.startswith(f"{file}: it is ") and "cut" in why


def test_a_packet_of_an_interface_that_is_not_described_is_damage(file: Path) -> None:
    file.write_bytes(section(interface(), enhanced(FIRST, 0), enhanced(NEXT, 0, number=7), enhanced(NEXT, 0)))

    read, why = damage(file)

    assert read == [FIRST]
    assert why.endswith("a packet of interface 7, which is not described")


@pytest.mark.parametrize(
    "bad",
    [
        # The length behind the last block is not that before it.
        enhanced(FIRST, 0)[:-4] + bytes(4),
        # A new section whose options are cut.
        block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + bytes(8))[:-8],
        struct.pack("<II", 6, 8),
        struct.pack("<II", 6, 1 << 31) + bytes(100),
        block(6, bytes(8)),
        block(1, bytes(4)),
    ],
    ids=["behind", "section", "short", "huge", "packet", "interface"],
)
def test_a_damaged_block_is_told_of_after_what_was_good(file: Path, bad: bytes) -> None:
    file.write_bytes(section(interface(), enhanced(FIRST, 0)) + bad)

    read, why = damage(file)

    assert read == [FIRST]
    assert why.startswith(f"{file}: it is damaged or cut at octet ")


def test_a_section_of_nothing_but_interfaces_is_refused(file: Path) -> None:
    file.write_bytes(section(interface(), enhanced(FIRST, 0), interface() * 65536, enhanced(NEXT, 0)))

    read, why = damage(file)

    assert read == [FIRST]
    assert why.endswith("more than 65536 interfaces")


def test_a_record_that_says_to_be_huge_is_damage(file: Path) -> None:
    file.write_bytes(WHOLE + struct.pack("<IIII", BEGAN, 0, 1 << 30, 1 << 30) + bytes(200000))

    read, why = damage(file)

    assert read == [FIRST, NEXT]
    assert "a record of 1073741824 octets" in why


def test_a_cut_gzip_gives_what_it_holds(file: Path) -> None:
    octets = pcap(every(0.001, [announcement(number % 250) for number in range(5000)]))
    packed = gzip.compress(octets)
    file.write_bytes(packed[: len(packed) // 2])

    read, why = damage(file)

    assert 0 < len(read) < 5000
    assert "Compressed file ended before the end-of-stream marker was reached" in why


def test_progress_is_the_share_of_the_file(file: Path) -> None:
    file.write_bytes(pcap(every(0.001, [announcement(7)] * 5000)))

    with Capture(str(file)) as capture:
        shares = [capture.progress() for _ in capture]

    assert shares == sorted(share for share in shares if share is not None)
    assert shares[0] is not None and shares[0] < 0.5 and shares[-1] == 1.0
