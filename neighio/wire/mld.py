"""Multicast Listener Discovery as a listener speaks it: queries and reports of both versions.

Switches that snoop forward a group, a solicited-node group too, only to where a listener reported it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from . import ipv6
from .ethernet import ETH_HLEN
from .ipv6 import (
    ALL_MLDV2_ROUTERS,
    ALL_ROUTERS,
    DROP_ICMPV6_CHECKSUM,
    FRAME_DROP_REASONS,
    IPPROTO_HOPOPTS,
    IPPROTO_ICMPV6,
    IPV6_HLEN,
    UNSPECIFIED,
    is_link_local,
    is_multicast,
)

__all__ = [
    "CHANGE_TO_EXCLUDE",
    "CHANGE_TO_INCLUDE",
    "DROP_MLD_GROUP",
    "DROP_MLD_HOP_LIMIT",
    "DROP_MLD_LENGTH",
    "DROP_MLD_ROUTER_ALERT",
    "DROP_MLD_SOURCE",
    "DROP_NOT_MLD_QUERY",
    "DROP_REASONS",
    "MLD_LISTENER_DONE",
    "MLD_LISTENER_QUERY",
    "MLD_LISTENER_REPORT",
    "MLD_V2_LISTENER_REPORT",
    "MODE_IS_EXCLUDE",
    "MODE_IS_INCLUDE",
    "Heard",
    "Query",
    "build_old_report",
    "build_report",
    "parse",
]

MLD_LISTENER_QUERY: Final = 130
MLD_LISTENER_REPORT: Final = 131
MLD_LISTENER_DONE: Final = 132
MLD_V2_LISTENER_REPORT: Final = 143

MODE_IS_INCLUDE: Final = 1
MODE_IS_EXCLUDE: Final = 2
"""Without sources: everything that is sent to the group is listened to. The answer to a query."""

CHANGE_TO_INCLUDE: Final = 3
"""Without sources: the group is left."""

CHANGE_TO_EXCLUDE: Final = 4
"""Without sources: the group is joined."""

DROP_NOT_MLD_QUERY: Final = "not_mld_query"
"""The packet is no ICMPv6 message of type 130 or 131."""

DROP_MLD_LENGTH: Final = "mld_length"
"""The report is shorter than 24 octets. The query is, is between 24 and 28, or shorter than its sources."""

DROP_MLD_SOURCE: Final = "mld_source"
"""The source of the query is not link-local; that of the report is neither that nor ::."""

DROP_MLD_HOP_LIMIT: Final = "mld_hop_limit"
"""The hop limit is not 1."""

DROP_MLD_ROUTER_ALERT: Final = "mld_router_alert"
"""There is no router alert option with the value 0 among the hop-by-hop options."""

DROP_MLD_GROUP: Final = "mld_group"
"""The query is for an address that is neither :: nor a group."""

DROP_REASONS: Final = (
    *FRAME_DROP_REASONS,
    DROP_NOT_MLD_QUERY,
    DROP_MLD_LENGTH,
    DROP_ICMPV6_CHECKSUM,
    DROP_MLD_SOURCE,
    DROP_MLD_HOP_LIMIT,
    DROP_MLD_ROUTER_ALERT,
    DROP_MLD_GROUP,
)
"""Every reason for which :func:`parse` refuses a frame, in the order in which they are judged."""

_PAD1: Final = 0
_ROUTER_ALERT: Final = 5
_ROUTER_ALERT_MLD: Final = bytes((_ROUTER_ALERT, 2, 0, 0))
_PADN_EMPTY: Final = b"\x01\x00"
_HOP_BY_HOP: Final = bytes((IPPROTO_ICMPV6, 0)) + _ROUTER_ALERT_MLD + _PADN_EMPTY

_V1_SIZE: Final = 24
_V2_SIZE: Final = 28
_RECORD: Final = struct.Struct("!BBH16s")


class Query(NamedTuple):
    """The question who listens to a group."""

    src: bytes
    dst: bytes
    version: int
    """1 or 2."""

    group: bytes
    """:: asks for all groups."""

    max_response: float
    """Seconds within which to answer, at a random moment."""

    sources: tuple[bytes, ...]
    """The sources of the group that are asked for, none for the group itself. Version 1 has none."""


class Heard(NamedTuple):
    """Another listener's report of version 1: somebody listens to the group."""

    src: bytes
    dst: bytes
    group: bytes


def parse(frame: bytes) -> Query | Heard | str:
    """Return the query, or another's report of version 1, in a whole Ethernet frame, or the one of
    :data:`DROP_REASONS` that refuses it.

    Never raises, whatever the octets are. Octets after the packet are padding and are ignored.

    The tests are those of RFC 3810, sections 6.2 and 8.1, as the kernel's ``__mld_query_work`` and
    ``__mld_report_work`` have them.
    """
    packet = ipv6.parse_frame(frame)
    if isinstance(packet, str):
        return packet
    src, dst, hop_limit, protocol, _, message = packet
    if protocol == IPPROTO_ICMPV6 and message[:1] == bytes((MLD_LISTENER_REPORT,)):
        return _parse_report(src, dst, message)
    if protocol != IPPROTO_ICMPV6 or message[:1] != bytes((MLD_LISTENER_QUERY,)):
        return DROP_NOT_MLD_QUERY
    code = int.from_bytes(message[4:6], "big")
    if len(message) == _V1_SIZE:
        version, sources_size, max_response_ms = 1, 0, code
    elif len(message) >= _V2_SIZE:
        version, max_response_ms = 2, _max_response_ms(code)
        sources_size = 16 * int.from_bytes(message[26:28], "big")
        if len(message) < _V2_SIZE + sources_size:
            return DROP_MLD_LENGTH
    else:
        return DROP_MLD_LENGTH
    if ipv6.checksum(src, dst, IPPROTO_ICMPV6, message):
        return DROP_ICMPV6_CHECKSUM
    if not is_link_local(src):
        return DROP_MLD_SOURCE
    if hop_limit != 1:
        return DROP_MLD_HOP_LIMIT
    if not _alerts_routers(frame):
        return DROP_MLD_ROUTER_ALERT
    group = message[8:24]
    if group != UNSPECIFIED and not is_multicast(group):
        return DROP_MLD_GROUP
    sources = tuple(message[at : at + 16] for at in range(_V2_SIZE, _V2_SIZE + sources_size, 16))
    return Query(src, dst, version, group, max_response_ms / 1000, sources)


def _parse_report(src: bytes, dst: bytes, message: bytes) -> Heard | str:
    if len(message) < _V1_SIZE:
        return DROP_MLD_LENGTH
    if ipv6.checksum(src, dst, IPPROTO_ICMPV6, message):
        return DROP_ICMPV6_CHECKSUM
    if src != UNSPECIFIED and not is_link_local(src):
        return DROP_MLD_SOURCE
    return Heard(src, dst, message[8:24])


def _max_response_ms(code: int) -> int:
    """Decode the 16 bits of RFC 3810, section 5.1.3: from 2**15 on they are a floating-point number."""
    if code < 0x8000:
        return code
    return (code & 0x0FFF | 0x1000) << (code >> 12 & 0x7) + 3


def _alerts_routers(frame: bytes) -> bool:
    """Whether the last router alert among the hop-by-hop options, whose form was judged, is for MLD."""
    if frame[ETH_HLEN + 6] != IPPROTO_HOPOPTS:
        return False
    offset = ETH_HLEN + IPV6_HLEN + 2
    end = offset + 6 + 8 * frame[offset - 1]
    alerts = False
    while offset < end:
        if frame[offset] == _ROUTER_ALERT:
            alerts = frame[offset : offset + 4] == _ROUTER_ALERT_MLD
        offset += 1 if frame[offset] == _PAD1 else 2 + frame[offset + 1]
    return alerts


def build_report(src: bytes, records: Sequence[tuple[int, bytes]]) -> bytes:
    """Return the IPv6 packet of a version 2 report, of one record per (type, group), none with sources.

    It goes to ff02::16 with hop limit 1 and router alert. ``src`` is a link-local address, or :: while there
    is none, 16 packed octets; a group is 16, too. None is checked: the caller is the send path.
    """
    body = bytes(2) + len(records).to_bytes(2, "big")
    body += b"".join(_RECORD.pack(kind, 0, 0, group) for kind, group in records)
    return _build(src, ALL_MLDV2_ROUTERS, MLD_V2_LISTENER_REPORT, body)


def build_old_report(src: bytes, group: bytes, *, done: bool = False) -> bytes:
    """Return the IPv6 packet of a version 1 report, to the group itself, or with ``done`` of the message that
    it is listened to no longer, to all routers (RFC 2710 3). See :func:`build_report`."""
    dst, kind = (ALL_ROUTERS, MLD_LISTENER_DONE) if done else (group, MLD_LISTENER_REPORT)
    return _build(src, dst, kind, bytes(4) + group)


def _build(src: bytes, dst: bytes, kind: int, body: bytes) -> bytes:
    """A message behind a router alert, of which ``body`` is what follows the checksum."""
    head = bytes((kind, 0))
    value = ipv6.checksum(src, dst, IPPROTO_ICMPV6, head + bytes(2) + body)
    payload = _HOP_BY_HOP + head + value.to_bytes(2, "big") + body
    return ipv6.build(src, dst, payload, next_header=IPPROTO_HOPOPTS, hop_limit=1)
