"""IPv4 packets (RFC 791), as strict as Linux is."""

from __future__ import annotations

import struct
from typing import Final, TypeAlias

__all__ = [
    "DROP_IPV4_CHECKSUM",
    "DROP_IPV4_FRAGMENT",
    "DROP_IPV4_HEADER_LENGTH",
    "DROP_IPV4_OPTION",
    "DROP_IPV4_TOTAL_LENGTH",
    "DROP_IPV4_TRUNCATED",
    "DROP_IPV4_VERSION",
    "DROP_REASONS",
    "IPPROTO_ICMP",
    "IPPROTO_UDP",
    "IPV4_ALEN",
    "IPV4_HLEN",
    "Packet",
    "build",
    "checksum",
    "parse",
]

IPV4_ALEN: Final = 4
"""Octets in an IPv4 address."""

IPV4_HLEN: Final = 20
"""Octets in an IPv4 header without options."""

IPPROTO_ICMP: Final = 1
IPPROTO_UDP: Final = 17

DROP_IPV4_TRUNCATED: Final = "ipv4_truncated"
"""The packet ends before its IPv4 header does, options left aside."""

DROP_IPV4_VERSION: Final = "ipv4_version"
"""The version of the IP header is not 4."""

DROP_IPV4_HEADER_LENGTH: Final = "ipv4_header_length"
"""The header claims to be shorter than 20 octets, or longer than the packet."""

DROP_IPV4_CHECKSUM: Final = "ipv4_checksum"
"""The checksum of the header is wrong."""

DROP_IPV4_TOTAL_LENGTH: Final = "ipv4_total_length"
"""The header promises more octets than there are, or fewer than itself."""

DROP_IPV4_OPTION: Final = "ipv4_option"
"""An option does not fit into the header, or is a source route, which Linux refuses unless told otherwise."""

DROP_IPV4_FRAGMENT: Final = "ipv4_fragment"
"""The packet is one fragment of several. Fragments are not put together here."""

DROP_REASONS: Final = (
    DROP_IPV4_TRUNCATED,
    DROP_IPV4_VERSION,
    DROP_IPV4_HEADER_LENGTH,
    DROP_IPV4_CHECKSUM,
    DROP_IPV4_TOTAL_LENGTH,
    DROP_IPV4_OPTION,
    DROP_IPV4_FRAGMENT,
)
"""Every reason for which :func:`parse` refuses a packet, in the order in which they are judged."""

Packet: TypeAlias = "tuple[bytes, bytes, int, bytes]"
"""``(src, dst, protocol, payload)``."""

_HEADER: Final = struct.Struct("!BBHHHBBH4s4s")
_END_OF_OPTIONS: Final = 0
_NO_OPERATION: Final = 1
# Loose and strict (RFC 791, section 3.1).
_SOURCE_ROUTES: Final = (131, 137)

_DONT_FRAGMENT: Final = 0x4000
# More fragments, and the 13 bits of the offset.
_FRAGMENT: Final = 0x3FFF


def checksum(octets: bytes) -> int:
    """Return what belongs in the checksum field among these octets, where it is zero (RFC 1071).

    Over octets whose field is filled the result is 0 where the checksum is right.

    The ones' complement sum of 16-bit words is the number that all octets together make, modulo 0xffff.
    """
    if len(octets) & 1:
        octets += b"\0"
    number = int.from_bytes(octets, "big")
    # The sum of zeros alone is 0, any other multiple of 0xffff is 0xffff.
    return -number % 0xFFFF if number else 0xFFFF


def build(
    src: bytes,
    dst: bytes,
    payload: bytes,
    *,
    protocol: int,
    ttl: int = 64,
    tos: int = 0,
) -> bytes:
    """Return one IPv4 packet without options that is not to be fragmented, with identification 0.

    ``src`` and ``dst`` are 4 packed octets, ``payload`` at most 65,515; the numbers are octets. None is
    checked: the caller is the send path, and its addresses were checked where they came in. That the
    identification may be anything where nothing is fragmented is RFC 6864's.
    """
    fields = (0x45, tos, IPV4_HLEN + len(payload), 0, _DONT_FRAGMENT, ttl, protocol)
    value = checksum(_HEADER.pack(*fields, 0, src, dst))
    return _HEADER.pack(*fields, value, src, dst) + payload


def parse(packet: bytes) -> Packet | str:
    """Return what a whole IPv4 packet carries, or the one of :data:`DROP_REASONS` that refuses it.

    Never raises, whatever the octets are. Octets after the packet are padding and are ignored. What the
    addresses mean is not judged here, nor what stands in an option.

    The tests are those of the kernel's ``ip_rcv_core`` and ``ip_rcv_options``, and one for fragments.
    """
    if len(packet) < IPV4_HLEN:
        return DROP_IPV4_TRUNCATED
    first, _, total_length, _, fragment, _, protocol, _, src, dst = _HEADER.unpack_from(packet)
    if first >> 4 != 4:
        return DROP_IPV4_VERSION
    header_length = 4 * (first & 0x0F)
    if not IPV4_HLEN <= header_length <= len(packet):
        return DROP_IPV4_HEADER_LENGTH
    if checksum(packet[:header_length]):
        return DROP_IPV4_CHECKSUM
    if not header_length <= total_length <= len(packet):
        return DROP_IPV4_TOTAL_LENGTH
    if header_length > IPV4_HLEN and not _options_are_fine(packet[IPV4_HLEN:header_length]):
        return DROP_IPV4_OPTION
    if fragment & _FRAGMENT:
        return DROP_IPV4_FRAGMENT
    return src, dst, protocol, packet[header_length:total_length]


def _options_are_fine(options: bytes) -> bool:
    offset = 0
    while offset < len(options) and options[offset] != _END_OF_OPTIONS:
        if options[offset] == _NO_OPERATION:
            offset += 1
            continue
        if options[offset] in _SOURCE_ROUTES or len(options) - offset < 2 or options[offset + 1] < 2:
            return False
        offset += options[offset + 1]
    return offset <= len(options)
