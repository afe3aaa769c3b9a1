"""Captures made by hand, octet by octet, and the frames in them."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from neighio.wire import arp, ndisc
from neighio.wire.ethernet import BROADCAST, ETH_P_IP, build, ipv6_multicast_lladdr
from neighio.wire.ipv6 import solicited_node

SHARED = Path(__file__).resolve().parents[3] / "shared" / "captures"
"""Captures that others made."""

SHARED_NAMES = sorted(path.name for path in SHARED.glob("*.pcap*"))

ETHERNET, RAW, NULL, LOOP, SLL, SLL2 = 1, 101, 0, 108, 113, 276
BEGAN = 1767225600
"""When the captures begin: 2026-01-01, seconds since 1970."""

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
NOBODY = bytes(6)

Timed = tuple[float, bytes]
"""A frame and when it was captured, in seconds from BEGAN."""


def mac(number: int) -> bytes:
    return b"\x02\x00\x00\x00" + number.to_bytes(2, "big")


def ip4(number: int) -> bytes:
    return bytes([198, 51, 100, number])


def ip6(number: int) -> bytes:
    return bytes.fromhex("20010db8") + bytes(10) + number.to_bytes(2, "big")


# -- frames; stations are known by their number


def request(who: int, whom: int, *, at: bytes | None = None) -> bytes:
    """An ARP request, of a station that is at ``at`` if it is not where its number says."""
    lladdr = mac(who) if at is None else at
    return arp.build(arp.ARPOP_REQUEST, ip4(who), lladdr, ip4(whom), NOBODY, dst=BROADCAST, src=lladdr)


def reply(who: int, whom: int, *, at: bytes | None = None) -> bytes:
    lladdr = mac(who) if at is None else at
    return arp.build(arp.ARPOP_REPLY, ip4(who), lladdr, ip4(whom), mac(whom), dst=mac(whom), src=lladdr)


def announcement(who: int, *, at: bytes | None = None) -> bytes:
    lladdr = mac(who) if at is None else at
    return arp.build(arp.ARPOP_REQUEST, ip4(who), lladdr, ip4(who), NOBODY, dst=BROADCAST, src=lladdr)


def probe(who: int, whom: int) -> bytes:
    return arp.build(arp.ARPOP_REQUEST, bytes(4), mac(who), ip4(whom), NOBODY, dst=BROADCAST, src=mac(who))


def solicitation(who: int, whom: int) -> bytes:
    group = solicited_node(ip6(whom))
    packet = ndisc.build_solicitation(ip6(who), group, ip6(whom), mac(who))
    return build(ipv6_multicast_lladdr(group), mac(who), IPV6, packet)


def advertisement(who: int, whom: int, *, router: bool = False) -> bytes:
    packet = ndisc.build_advertisement(
        ip6(who), ip6(whom), ip6(who), mac(who), router=router, solicited=True, override=True
    )
    return build(mac(whom), mac(who), IPV6, packet)


def packet4(src: bytes, dst: bytes, *, protocol: int = 17, payload: bytes = bytes(8)) -> bytes:
    return struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0) + src + dst + payload


def datagram(who: int, whom: int, *, to: bytes | None = None, via: int | None = None) -> bytes:
    """A UDP packet: to somebody's address or any, by the station itself or by way of another."""
    hop = mac(whom if via is None else via)
    return build(hop, mac(who), ETH_P_IP, packet4(ip4(who), ip4(whom) if to is None else to))


def acknowledgement(who: int, whom: int) -> bytes:
    """A TCP segment that acknowledges."""
    header = bytes(12) + b"\x50\x10" + bytes(6)
    return build(mac(whom), mac(who), ETH_P_IP, packet4(ip4(who), ip4(whom), protocol=6, payload=header))


def tagged(frame: bytes, *tags: int, kind: int = 0x8100) -> bytes:
    """A frame with VLAN tags, the outermost first."""
    inserted = b"".join(struct.pack(">HH", kind, tag) for tag in tags)
    return frame[:12] + inserted + frame[12:]


def cooked(frame: bytes, kind: int, *, hardware: int = 1) -> bytes:
    """A frame as in a capture of Linux's "any" device; ``kind`` is PACKET_*."""
    return struct.pack(">HHH", kind, hardware, 6) + frame[6:12] + bytes(2) + frame[12:]


def cooked2(frame: bytes, kind: int, *, ifindex: int, hardware: int = 1) -> bytes:
    head = frame[12:14] + bytes(2) + struct.pack(">IHBB", ifindex, hardware, kind, 6)
    return head + frame[6:12] + bytes(2) + frame[14:]


# -- files


def pcap(
    frames: Iterable[Timed],
    *,
    link_type: int = ETHERNET,
    order: str = "<",
    nano: bool = False,
    snap: int = 65535,
    began: int = BEGAN,
) -> bytes:
    """A capture file of the old format; of frames longer than ``snap`` the rest is missing."""
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    unit = 10**9 if nano else 10**6
    written = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, snap, link_type)]
    for when, frame in frames:
        seconds, fraction = divmod(began * unit + round(when * unit), unit)
        kept = frame[:snap]
        written.append(struct.pack(f"{order}IIII", seconds, fraction, len(kept), len(frame)) + kept)
    return b"".join(written)


def block(kind: int, body: bytes, *, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(f"{order}I", len(body) + 12)
    return struct.pack(f"{order}I", kind) + length + body + length


def option(code: int, value: bytes, *, order: str = "<") -> bytes:
    return struct.pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(*blocks: bytes, order: str = "<") -> bytes:
    """A section of pcapng."""
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order=order) + b"".join(
        blocks
    )


def interface(
    link_type: int = ETHERNET,
    *,
    name: str = "",
    resolution: int | None = None,
    offset: int | None = None,
    snap: int = 0,
    order: str = "<",
) -> bytes:
    """An interface; ``resolution`` is if_tsresol, ``offset`` if_tsoffset."""
    options = option(2, name.encode(), order=order) if name else b""
    if resolution is not None:
        options += option(9, bytes([resolution]), order=order)
    if offset is not None:
        options += option(14, struct.pack(f"{order}q", offset), order=order)
    if options:
        options += option(0, b"", order=order)
    return block(1, struct.pack(f"{order}HHI", link_type, 0, snap) + options, order=order)


def enhanced(frame: bytes, ticks: int, *, number: int = 0, order: str = "<", length: int = 0) -> bytes:
    """A packet; ``ticks`` are the interface's, ``length`` what it had on the wire."""
    head = struct.pack(f"{order}IIIII", number, *divmod(ticks, 1 << 32), len(frame), length or len(frame))
    return block(6, head + frame, order=order)


def simple(frame: bytes, *, order: str = "<") -> bytes:
    return block(3, struct.pack(f"{order}I", len(frame)) + frame, order=order)


def every(seconds: float, frames: Sequence[bytes]) -> list[Timed]:
    """Frames, one each so many seconds."""
    return [(number * seconds, frame) for number, frame in enumerate(frames)]
