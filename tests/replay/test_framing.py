"""From a captured record to a frame of a link, or to the reason for which there is none."""

from __future__ import annotations

import pytest

from neighio.replay.framing import UNKNOWN, Framed, unwrap
from neighio.wire.ethernet import BROADCAST

from .recording import (
    ETHERNET,
    LOOP,
    NULL,
    RAW,
    SLL,
    SLL2,
    advertisement,
    cooked,
    cooked2,
    datagram,
    ip4,
    mac,
    packet4,
    reply,
    request,
    solicitation,
    tagged,
)

ASK, ANSWER = request(1, 2), reply(2, 1)
HOST, CAST, GROUP, OTHER, OUTGOING = range(5)


@pytest.mark.parametrize("kind", [0x8100, 0x88A8, 0x9100])
@pytest.mark.parametrize("tags", [(7,), (7, 8), (1, 2, 3, 4)])
def test_tags_of_all_kinds_are_taken_off(kind: int, tags: tuple[int, ...]) -> None:
    assert unwrap(ETHERNET, tagged(ASK, *tags, kind=kind)) == Framed(tags, ASK)


@pytest.mark.parametrize(
    ("link_type", "octets", "reason"),
    [
        (ETHERNET, b"", "ethernet_truncated"),
        (ETHERNET, ASK[:13], "ethernet_truncated"),
        (ETHERNET, tagged(ASK, 7)[:17], "vlan_truncated"),
        (ETHERNET, tagged(ASK, 1, 2)[:20], "vlan_truncated"),
        (ETHERNET, tagged(ASK, 1, 2, 3, 4, 5), "vlan_depth"),
        (SLL, cooked(ASK, CAST)[:15], "cooked_truncated"),
        (SLL2, cooked2(ASK, CAST, ifindex=1)[:19], "cooked_truncated"),
        (SLL, cooked(ASK, CAST, hardware=32), "cooked_hardware_type"),
        (SLL, tagged(ASK, 7)[6:], "cooked_hardware_type"),
        (RAW, b"", "raw_not_ip"),
        (RAW, b"\x50" + bytes(40), "raw_not_ip"),
        (NULL, b"\x02\0", "raw_not_ip"),
        (129, ASK, "link_type_129"),
    ],
)
def test_a_record_without_a_frame_says_why(link_type: int, octets: bytes, reason: str) -> None:
    assert unwrap(link_type, octets) == reason


@pytest.mark.parametrize("link_type", [12, 14, RAW, 228])
def test_a_raw_packet_gets_a_header(link_type: int) -> None:
    packet = packet4(ip4(1), ip4(2))

    assert unwrap(link_type, packet) == Framed((), BROADCAST + UNKNOWN + b"\x08\0" + packet, True)


@pytest.mark.parametrize("link_type", [NULL, LOOP])
@pytest.mark.parametrize("family", [b"\x1e\0\0\0", b"\0\0\0\x18"])
def test_the_family_before_a_loopback_packet_does_not_matter(link_type: int, family: bytes) -> None:
    packet = solicitation(1, 2)[14:]

    framed = unwrap(link_type, family + packet)

    assert framed == Framed((), BROADCAST + UNKNOWN + b"\x86\xdd" + packet, True)


@pytest.mark.parametrize(
    ("frame", "kind", "destination"),
    [
        (ASK, CAST, BROADCAST),
        (ASK, OUTGOING, BROADCAST),
        (ANSWER, HOST, mac(1)),
        (ANSWER, OTHER, mac(1)),
        (solicitation(1, 2), GROUP, bytes.fromhex("3333ff000002")),
        (solicitation(1, 2), OUTGOING, bytes.fromhex("3333ff000002")),
        (advertisement(2, 1), HOST, UNKNOWN),
        (datagram(1, 2), OUTGOING, UNKNOWN),
        (datagram(1, 2, to=bytes([239, 1, 2, 3])), GROUP, bytes.fromhex("01005e010203")),
    ],
)
def test_a_cooked_frame_gets_the_destination_that_it_tells(
    frame: bytes, kind: int, destination: bytes
) -> None:
    expected = Framed((), destination + frame[6:])

    assert unwrap(SLL, cooked(frame, kind)) == expected
    assert unwrap(SLL2, cooked2(frame, kind, ifindex=9)) == expected._replace(ifindex=9)


def test_a_cooked_frame_may_have_tags() -> None:
    framed = unwrap(SLL2, cooked2(tagged(ANSWER, 7, 8), HOST, ifindex=9))

    assert framed == Framed((7, 8), ANSWER, ifindex=9)


@pytest.mark.parametrize("hardware", [512, 519, 65534, 768, 769, 776, 778, 823])
def test_a_cooked_record_of_a_tunnel_is_raw(hardware: int) -> None:
    frame = datagram(1, 2)

    framed = unwrap(SLL, cooked(frame, OUTGOING, hardware=hardware))

    assert framed == Framed((), BROADCAST + UNKNOWN + frame[12:], True)
