"""UDP datagrams over IPv4 and IPv6 (RFC 768, RFC 8200): what a packet that somebody sends may carry."""

from __future__ import annotations

import struct
from typing import Final

from . import ipv4, ipv6
from .ipv4 import IPPROTO_UDP, IPV4_ALEN

__all__ = ["UDP_HLEN", "build"]

UDP_HLEN: Final = 8
"""Octets in a UDP header."""

_HEADER: Final = struct.Struct("!HHHH")


def build(
    src: bytes,
    dst: bytes,
    src_port: int,
    dst_port: int,
    payload: bytes,
    *,
    hop_limit: int = 64,
    traffic_class: int = 0,
) -> bytes:
    """Return one IP packet with a UDP datagram, checksum filled in, of the family that the addresses are of.

    ``src`` and ``dst`` are 4 or 16 packed octets, the ports below 2**16, ``payload`` at most 65,507 octets
    (IPv6: 65,527). None is checked: the caller is the send path, and its arguments were checked where they
    came in.
    """
    length = UDP_HLEN + len(payload)
    datagram = _HEADER.pack(src_port, dst_port, length, 0) + payload
    # The pseudo-headers of both families have the same sum.
    value = ipv6.checksum(src, dst, IPPROTO_UDP, datagram)
    # Zero says that there is none; 0xffff is the same number.
    datagram = _HEADER.pack(src_port, dst_port, length, value or 0xFFFF) + payload
    if len(src) == IPV4_ALEN:
        return ipv4.build(src, dst, datagram, protocol=IPPROTO_UDP, ttl=hop_limit, tos=traffic_class)
    return ipv6.build(
        src, dst, datagram, next_header=IPPROTO_UDP, hop_limit=hop_limit, traffic_class=traffic_class
    )
