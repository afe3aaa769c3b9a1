"""Echo, of ICMP (RFC 792) and of ICMPv6 (RFC 4443): what a host answers to whoever pings it.

A packet is a whole IP packet, and its own version says which family it is of.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from . import ipv4, ipv6
from .ipv4 import IPPROTO_ICMP, IPV4_ALEN
from .ipv6 import DROP_ICMPV6_CHECKSUM, IPPROTO_ICMPV6

__all__ = [
    "DROP_ECHO_SOURCE",
    "DROP_ECHO_TRUNCATED",
    "DROP_ICMP_CHECKSUM",
    "DROP_NOT_ECHO_REQUEST",
    "DROP_REASONS",
    "ICMPV6_ECHO_REPLY",
    "ICMPV6_ECHO_REQUEST",
    "ICMP_ECHO",
    "ICMP_ECHOREPLY",
    "EchoRequest",
    "build_echo_reply",
    "build_echo_request",
    "echo_reply",
    "parse_echo_request",
]

ICMP_ECHOREPLY: Final = 0
ICMP_ECHO: Final = 8
ICMPV6_ECHO_REQUEST: Final = 128
ICMPV6_ECHO_REPLY: Final = 129

DROP_NOT_ECHO_REQUEST: Final = "not_echo_request"
"""The packet carries something else."""

DROP_ECHO_TRUNCATED: Final = "echo_truncated"
"""The packet ends before identifier and sequence number do."""

DROP_ICMP_CHECKSUM: Final = "icmp_checksum"
"""The checksum of an ICMP message is wrong."""

DROP_ECHO_SOURCE: Final = "echo_source"
"""The source is unspecified, of 127/8, a group or broadcast: nobody on the link whom one could answer."""

DROP_REASONS: Final = (
    *ipv4.DROP_REASONS,
    *ipv6.DROP_REASONS,
    DROP_NOT_ECHO_REQUEST,
    DROP_ECHO_TRUNCATED,
    DROP_ICMP_CHECKSUM,
    DROP_ICMPV6_CHECKSUM,
    DROP_ECHO_SOURCE,
)
"""Every reason for which :func:`parse_echo_request` refuses a packet, in the order of judging."""

_SIZE: Final = 8
_UNSPECIFIED: Final = bytes(IPV4_ALEN)
_LOOPBACK_NET: Final = 127
_BROADCAST: Final = b"\xff" * IPV4_ALEN


class EchoRequest(NamedTuple):
    """What an echo request says."""

    src: bytes
    dst: bytes
    traffic_class: int
    """The octet that IPv4 calls the type of service."""

    code: int
    """0 by the RFCs; Linux answers any."""

    body: bytes
    """What follows the checksum: identifier, sequence number, data."""


def parse_echo_request(packet: bytes) -> EchoRequest | str:
    """Return what an echo request says, or the one of :data:`DROP_REASONS` that refuses the packet.

    Never raises, whatever the octets are. Whether the destination is an own address, or a group or broadcast
    whose requests are answered, is the caller's to know.
    """
    if packet[:1] and packet[0] >> 4 == 6:
        return _parse_icmpv6(packet)
    fields = ipv4.parse(packet)
    if isinstance(fields, str):
        return fields
    src, dst, protocol, message = fields
    if protocol != IPPROTO_ICMP or message[:1] != bytes((ICMP_ECHO,)):
        return DROP_NOT_ECHO_REQUEST
    if len(message) < _SIZE:
        return DROP_ECHO_TRUNCATED
    if ipv4.checksum(message):
        return DROP_ICMP_CHECKSUM
    if src in (_UNSPECIFIED, _BROADCAST) or src[0] == _LOOPBACK_NET or src[0] & 0xF0 == 0xE0:
        return DROP_ECHO_SOURCE
    return EchoRequest(src, dst, packet[1], message[1], message[4:])


def _parse_icmpv6(packet: bytes) -> EchoRequest | str:
    fields = ipv6.parse(packet)
    if isinstance(fields, str):
        return fields
    src, dst, _, protocol, _, message = fields
    if protocol != IPPROTO_ICMPV6 or message[:1] != bytes((ICMPV6_ECHO_REQUEST,)):
        return DROP_NOT_ECHO_REQUEST
    if len(message) < _SIZE:
        return DROP_ECHO_TRUNCATED
    if ipv6.checksum(src, dst, IPPROTO_ICMPV6, message):
        return DROP_ICMPV6_CHECKSUM
    if src == ipv6.UNSPECIFIED:
        return DROP_ECHO_SOURCE
    traffic_class = int.from_bytes(packet[:2], "big") >> 4 & 0xFF
    return EchoRequest(src, dst, traffic_class, message[1], message[4:])


def build_echo_reply(request: EchoRequest, *, src: bytes | None = None, hop_limit: int = 64) -> bytes:
    """Return the IP packet that answers, of the request's family: same traffic class, same code, same body.

    It goes from where the request went to, or from ``src``, packed octets, which a request to a group needs.
    As in Linux the traffic class is reflected; options of an IPv4 header are not, which Linux does.
    """
    source = request.dst if src is None else src
    return _build(
        (ICMP_ECHOREPLY, ICMPV6_ECHO_REPLY), request._replace(src=source, dst=request.src), hop_limit
    )


def build_echo_request(request: EchoRequest, *, hop_limit: int = 64) -> bytes:
    """Return the IP packet that asks, of the family that the addresses are of, checksum filled in.

    None of its fields is checked; ``body`` begins with identifier and sequence number, two octets each.
    """
    return _build((ICMP_ECHO, ICMPV6_ECHO_REQUEST), request, hop_limit)


def _build(types: tuple[int, int], echo: EchoRequest, hop_limit: int) -> bytes:
    src, dst, traffic_class, code, body = echo
    if len(src) == IPV4_ALEN:
        head = bytes((types[0], code))
        message = head + ipv4.checksum(head + b"\0\0" + body).to_bytes(2, "big") + body
        return ipv4.build(src, dst, message, protocol=IPPROTO_ICMP, ttl=hop_limit, tos=traffic_class)
    head = bytes((types[1], code))
    value = ipv6.checksum(src, dst, IPPROTO_ICMPV6, head + b"\0\0" + body)
    message = head + value.to_bytes(2, "big") + body
    return ipv6.build(src, dst, message, hop_limit=hop_limit, traffic_class=traffic_class)


def echo_reply(packet: bytes, *, src: bytes | None = None) -> bytes | None:
    """Return the IP packet that answers a packet, or None if it is no valid echo request.

    ``src`` is as in :func:`build_echo_reply`.
    """
    request = parse_echo_request(packet)
    return None if isinstance(request, str) else build_echo_reply(request, src=src)
