"""IPv6 packets and their extension headers (RFC 8200), as strict and as lenient as Linux is.

A packet here starts with the IPv6 header. Where a whole frame is meant, the argument is called so, and
the place of the header in it is given.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple, TypeAlias

from .ethernet import (
    DROP_ETHERNET_TRUNCATED,
    DROP_VLAN_TAGGED,
    ETH_HLEN,
    ETH_P_8021AD,
    ETH_P_8021Q,
    ETH_P_IPV6,
)

__all__ = [
    "ALL_MLDV2_ROUTERS",
    "ALL_NODES",
    "ALL_ROUTERS",
    "DROP_ICMPV6_CHECKSUM",
    "DROP_IPV6_EXTENSION",
    "DROP_IPV6_FRAGMENT",
    "DROP_IPV6_LOOPBACK",
    "DROP_IPV6_MULTICAST_SCOPE",
    "DROP_IPV6_OPTION",
    "DROP_IPV6_PAYLOAD_LENGTH",
    "DROP_IPV6_ROUTING_HEADER",
    "DROP_IPV6_SOURCE_MULTICAST",
    "DROP_IPV6_TRUNCATED",
    "DROP_IPV6_VERSION",
    "DROP_NOT_IPV6",
    "DROP_REASONS",
    "FRAME_DROP_REASONS",
    "IPPROTO_DSTOPTS",
    "IPPROTO_FRAGMENT",
    "IPPROTO_HOPOPTS",
    "IPPROTO_ICMPV6",
    "IPPROTO_ROUTING",
    "IPPROTO_UDP",
    "IPV6_ALEN",
    "IPV6_HLEN",
    "LOOPBACK",
    "UNSPECIFIED",
    "Packet",
    "Upper",
    "build",
    "checksum",
    "is_link_local",
    "is_multicast",
    "is_solicited_node",
    "parse",
    "parse_frame",
    "solicited_node",
    "walk",
]

IPV6_ALEN: Final = 16
"""Octets in an IPv6 address."""

IPV6_HLEN: Final = 40
"""Octets in an IPv6 header without extensions."""

IPPROTO_HOPOPTS: Final = 0
IPPROTO_UDP: Final = 17
IPPROTO_ROUTING: Final = 43
IPPROTO_FRAGMENT: Final = 44
IPPROTO_ICMPV6: Final = 58
IPPROTO_DSTOPTS: Final = 60

UNSPECIFIED: Final = bytes(16)
LOOPBACK: Final = bytes(15) + b"\x01"
ALL_NODES: Final = b"\xff\x02" + bytes(13) + b"\x01"
"""ff02::1, every node of the link."""

ALL_ROUTERS: Final = b"\xff\x02" + bytes(13) + b"\x02"
"""ff02::2, every router of the link."""

ALL_MLDV2_ROUTERS: Final = b"\xff\x02" + bytes(13) + b"\x16"
"""ff02::16, every router of the link that speaks MLDv2 (RFC 3810, section 5.2.14)."""

DROP_NOT_IPV6: Final = "not_ipv6"
"""The frame carries another protocol."""

DROP_IPV6_TRUNCATED: Final = "ipv6_truncated"
"""The frame ends before its IPv6 header does."""

DROP_IPV6_VERSION: Final = "ipv6_version"
"""The version of the IP header is not 6."""

DROP_IPV6_PAYLOAD_LENGTH: Final = "ipv6_payload_length"
"""The header promises more octets than the frame has."""

DROP_IPV6_LOOPBACK: Final = "ipv6_loopback"
"""The source or the destination is ::1, which is never on a link (RFC 4291, section 2.5.3)."""

DROP_IPV6_MULTICAST_SCOPE: Final = "ipv6_multicast_scope"
"""The destination is a group of a scope that never leaves the node, or of the reserved scope 0."""

DROP_IPV6_SOURCE_MULTICAST: Final = "ipv6_source_multicast"
"""The source is a group."""

DROP_IPV6_EXTENSION: Final = "ipv6_extension"
"""An extension header is cut off by the end of the packet, is a fragment header for the second time, or is
a hop-by-hop header that does not come first."""

DROP_IPV6_OPTION: Final = "ipv6_option"
"""A hop-by-hop or destination option does not fit, is of a kind that a node which does not know it must
refuse, or is more padding or one more option than Linux accepts."""

DROP_IPV6_ROUTING_HEADER: Final = "ipv6_routing_header"
"""A routing header is not used up, or is one that Linux refuses unless it is configured for it."""

DROP_IPV6_FRAGMENT: Final = "ipv6_fragment"
"""The packet is one fragment of several. Fragments are not put together here."""

DROP_ICMPV6_CHECKSUM: Final = "icmpv6_checksum"
"""The checksum of an ICMPv6 message is wrong."""

DROP_REASONS: Final = (
    DROP_IPV6_TRUNCATED,
    DROP_IPV6_VERSION,
    DROP_IPV6_PAYLOAD_LENGTH,
    DROP_IPV6_LOOPBACK,
    DROP_IPV6_MULTICAST_SCOPE,
    DROP_IPV6_SOURCE_MULTICAST,
    DROP_IPV6_EXTENSION,
    DROP_IPV6_OPTION,
    DROP_IPV6_ROUTING_HEADER,
    DROP_IPV6_FRAGMENT,
)
"""Every reason for which :func:`parse` refuses a packet. Those up to the source's are judged in this order,
those of extension headers then header by header."""

FRAME_DROP_REASONS: Final = (DROP_ETHERNET_TRUNCATED, DROP_VLAN_TAGGED, DROP_NOT_IPV6, *DROP_REASONS)
"""Every reason for which :func:`parse_frame` refuses a frame, in that order."""

Packet: TypeAlias = "tuple[bytes, bytes, int, int, bool, bytes]"
"""``(src, dst, hop_limit, protocol, fragmented, payload)``: the upper protocol and what it has behind the
extension headers; ``fragmented`` says that there was the fragment header of a whole packet (RFC 6946)."""

_HEADER: Final = struct.Struct("!IHBB16s16s")
_ETHERTYPE_IPV6: Final = ETH_P_IPV6.to_bytes(2, "big")
_ETHERTYPES_VLAN: Final = (ETH_P_8021Q.to_bytes(2, "big"), ETH_P_8021AD.to_bytes(2, "big"))

_SOLICITED_NODE: Final = b"\xff\x02" + bytes(9) + b"\x01\xff"

_EXTENSIONS: Final = frozenset((IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT, IPPROTO_DSTOPTS))

_PAD1: Final = 0
_PADN: Final = 1
_ROUTER_ALERT: Final = 5
# An option that a node does not know is skipped where these bits are zero (RFC 8200, section 4.2).
_REFUSE_UNKNOWN: Final = 0xC0
# Linux's limits: no more padding in a row than aligns to 8 octets, and max_hbh_opts_number and
# max_dst_opts_number, 8 both.
_MOST_PADDING: Final = 7
_MOST_OPTIONS: Final = 8

# RPL (3) and segment routing (4): a node that is not configured for them refuses them even when they are used
# up. No type goes to a group.
_ROUTING_REFUSED: Final = frozenset((3, 4))


def is_multicast(ip: bytes) -> bool:
    """Whether an IPv6 address, 16 packed octets, is a group (ff00::/8)."""
    return ip[0] == 0xFF


def is_link_local(ip: bytes) -> bool:
    """Whether an IPv6 address, 16 packed octets, is a link-local unicast address (fe80::/10)."""
    return ip[0] == 0xFE and ip[1] & 0xC0 == 0x80


def solicited_node(ip: bytes) -> bytes:
    """Return the solicited-node group ff02::1:ffXX:XXXX of an address, 16 packed octets (RFC 4291, 2.7.1)."""
    return _SOLICITED_NODE + ip[13:]


def is_solicited_node(ip: bytes) -> bool:
    """Whether an IPv6 address, 16 packed octets, is the solicited-node group of any address."""
    return ip.startswith(_SOLICITED_NODE)


def checksum(src: bytes, dst: bytes, next_header: int, payload: bytes) -> int:
    """Return what belongs in the checksum field of an upper-layer packet whose field is zero (RFC 8200, 8.1).

    Over a packet whose field is filled the result is 0 where the checksum is right. ``src`` and ``dst`` are
    16 packed octets, the destination that of the final station; ``payload`` is the whole upper-layer packet.

    The ones' complement sum of 16-bit words is the number that all octets together make, modulo 0xffff.
    """
    octets = src + dst + payload
    if len(octets) & 1:
        octets += b"\0"
    return -(int.from_bytes(octets, "big") + len(payload) + next_header) % 0xFFFF


def build(
    src: bytes,
    dst: bytes,
    payload: bytes,
    *,
    next_header: int = IPPROTO_ICMPV6,
    hop_limit: int = 255,
    traffic_class: int = 0,
) -> bytes:
    """Return one IPv6 packet with flow label 0.

    ``src`` and ``dst`` are 16 packed octets, ``payload`` at most 65,535; the numbers are octets. None is
    checked: the caller is the send path, and its addresses were checked where they came in.
    """
    return (
        _HEADER.pack(6 << 28 | traffic_class << 20, len(payload), next_header, hop_limit, src, dst) + payload
    )


class Upper(NamedTuple):
    """What stands behind the extension headers of a packet."""

    protocol: int
    """The next header of the last header that was walked over."""

    offset: int
    """Where it starts, in the octets that were given."""

    fragmented: bool
    """A fragment header was met, be it that of a packet which is whole (RFC 6946)."""

    partial: bool
    """It was that of one fragment of several: the rest is missing, or only the rest is there."""


def walk(frame: bytes, offset: int, end: int, next_header: int, dst: bytes) -> Upper | str:
    """Walk over the extension headers at ``offset`` and return what is behind them, or a drop reason.

    Never raises, whatever the octets are; ``end`` is where the packet ends, at most ``len(frame)``, and
    ``offset`` at most that. ``next_header`` is that of the IPv6 header and ``dst`` its destination. Known
    are hop-by-hop options, routing, fragment and destination options; anything else is an upper protocol.
    The walk ends at a fragment of several. Each header has 8 octets at least, so that the time is bounded by
    the length: one octet costs a walk no more than it costs a checksum and a call.
    """
    fragmented = False
    first = True
    while next_header in _EXTENSIONS:
        if (next_header == IPPROTO_HOPOPTS and not first) or end - offset < 8:
            return DROP_IPV6_EXTENSION
        first = False
        if next_header == IPPROTO_FRAGMENT:
            if fragmented:
                return DROP_IPV6_EXTENSION
            next_header = frame[offset]
            # 13 bits of offset, two reserved ones, and one that says that more follow.
            position = int.from_bytes(frame[offset + 2 : offset + 4], "big") & 0xFFF9
            fragmented = True
            offset += 8
            if position:
                return Upper(next_header, offset, True, True)
            continue
        behind = offset + 8 + 8 * frame[offset + 1]
        if behind > end:
            return DROP_IPV6_EXTENSION
        if next_header == IPPROTO_ROUTING:
            segments_left = frame[offset + 3]
            if segments_left or frame[offset + 2] in _ROUTING_REFUSED or is_multicast(dst):
                return DROP_IPV6_ROUTING_HEADER
        elif not _options_are_fine(frame, offset + 2, behind, next_header):
            return DROP_IPV6_OPTION
        next_header = frame[offset]
        offset = behind
    return Upper(next_header, offset, fragmented, False)


def _options_are_fine(frame: bytes, offset: int, end: int, header: int) -> bool:
    """Whether a node that implements no option but router alert goes on behind these (RFC 8200, 4.2)."""
    padding = options = 0
    while offset < end:
        kind = frame[offset]
        if kind == _PAD1:
            offset += 1
            padding += 1
        else:
            if end - offset < 2:
                return False
            behind = offset + 2 + frame[offset + 1]
            if behind > end:
                return False
            if kind == _PADN:
                padding += behind - offset
                if any(frame[offset + 2 : behind]):
                    return False
            else:
                padding = 0
                options += 1
                if options > _MOST_OPTIONS or kind & _REFUSE_UNKNOWN:
                    return False
                if kind == _ROUTER_ALERT and header == IPPROTO_HOPOPTS and behind - offset != 4:
                    return False
            offset = behind
        if padding > _MOST_PADDING:
            return False
    return True


def parse(frame: bytes, start: int = 0) -> Packet | str:
    """Return what the IPv6 packet at ``start`` carries, or the one of :data:`DROP_REASONS` that refuses it.

    Never raises, whatever the octets are. Octets after the packet are padding and are ignored. Whether the
    addresses are anybody's is not judged here.

    The tests are those of the kernel's ``ip6_rcv_core`` and of what it calls for extension headers.
    """
    if len(frame) < start + IPV6_HLEN:
        return DROP_IPV6_TRUNCATED
    first_word, payload_length, next_header, hop_limit, src, dst = _HEADER.unpack_from(frame, start)
    if first_word >> 28 != 6:
        return DROP_IPV6_VERSION
    offset = start + IPV6_HLEN
    end = offset + payload_length
    if end > len(frame):
        return DROP_IPV6_PAYLOAD_LENGTH
    if src == LOOPBACK or dst == LOOPBACK:
        return DROP_IPV6_LOOPBACK
    if dst[0] == 0xFF and dst[1] & 0x0F <= 1:
        return DROP_IPV6_MULTICAST_SCOPE
    if src[0] == 0xFF:
        return DROP_IPV6_SOURCE_MULTICAST
    if next_header not in _EXTENSIONS:
        return src, dst, hop_limit, next_header, False, frame[offset:end]
    upper = walk(frame, offset, end, next_header, dst)
    if isinstance(upper, str):
        return upper
    if upper.partial:
        return DROP_IPV6_FRAGMENT
    return src, dst, hop_limit, upper.protocol, upper.fragmented, frame[upper.offset : end]


def parse_frame(frame: bytes) -> Packet | str:
    """Return what the IPv6 packet in a whole Ethernet frame carries, or a drop reason.

    Of the Ethernet header only the length and the ethertype are judged, for ``ethernet_truncated``,
    ``vlan_tagged`` and ``not_ipv6``; then as :func:`parse`.
    """
    if len(frame) < ETH_HLEN:
        return DROP_ETHERNET_TRUNCATED
    ethertype = frame[12:14]
    if ethertype != _ETHERTYPE_IPV6:
        return DROP_VLAN_TAGGED if ethertype in _ETHERTYPES_VLAN else DROP_NOT_IPV6
    return parse(frame, ETH_HLEN)
