"""Link types: from a captured record to an Ethernet frame of one link.

Each VLAN is a link of its own. Linux's cooked captures have no destination address, raw ones no addresses
at all.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ..wire.ethernet import (
    BROADCAST,
    DROP_ETHERNET_TRUNCATED,
    ETH_HLEN,
    ETH_P_8021AD,
    ETH_P_8021Q,
    ipv4_multicast_lladdr,
    ipv6_multicast_lladdr,
)

__all__ = ["UNKNOWN", "Framed", "unwrap"]

UNKNOWN: Final = bytes(6)
"""The link-layer address of somebody of whom the capture does not tell it."""

LINKTYPE_NULL: Final = 0
LINKTYPE_ETHERNET: Final = 1
LINKTYPE_LOOP: Final = 108
LINKTYPE_LINUX_SLL: Final = 113
LINKTYPE_LINUX_SLL2: Final = 276
_RAW: Final = (12, 14, 101, 228, 229)
"""LINKTYPE_RAW as some systems number it; LINKTYPE_IPV4, LINKTYPE_IPV6."""

MOST_TAGS: Final = 4
"""VLAN tags of one frame; Linux's devices nest deeper, nobody's networks do."""

DROP_VLAN_TRUNCATED: Final = "vlan_truncated"
DROP_VLAN_DEPTH: Final = "vlan_depth"
DROP_COOKED_TRUNCATED: Final = "cooked_truncated"
DROP_COOKED_TYPE: Final = "cooked_hardware_type"
"""A cooked record of a device that is neither Ethernet nor without a link layer."""

DROP_RAW: Final = "raw_not_ip"

_ARPHRD: Final = {
    1: True,
    772: True,
    512: False,
    519: False,
    65534: False,
    768: False,
    769: False,
    776: False,
    778: False,
    823: False,
}
"""Ethernet, loopback; PPP, raw IP, none, tunnels: whether there are link-layer addresses."""

_TAGS: Final = (ETH_P_8021Q.to_bytes(2, "big"), ETH_P_8021AD.to_bytes(2, "big"), b"\x91\x00")
_IPV4: Final = b"\x08\x00"
_IPV6: Final = b"\x86\xdd"
_ARP: Final = b"\x08\x06"

PACKET_BROADCAST: Final = 1
PACKET_MULTICAST: Final = 2


class Framed(NamedTuple):
    """A frame of a link: without tags, from a device without a link layer (``raw``) with a header made up."""

    tags: tuple[int, ...]
    frame: bytes
    raw: bool = False
    ifindex: int = 0
    """The interface's index, of SLL2 alone."""


def unwrap(link_type: int, octets: bytes) -> Framed | str:
    """Return the frame in a captured record, or the reason for which there is none.

    Where the destination is not in the capture it is what the message tells, else :data:`UNKNOWN`.
    """
    if link_type == LINKTYPE_ETHERNET:
        if octets[12:14] not in _TAGS:
            return Framed((), octets) if len(octets) >= ETH_HLEN else DROP_ETHERNET_TRUNCATED
        return _untag(octets)
    if link_type == LINKTYPE_LINUX_SLL:
        return _cooked(octets)
    if link_type == LINKTYPE_LINUX_SLL2:
        return _cooked2(octets)
    if link_type in _RAW:
        return _raw(octets)
    if link_type in (LINKTYPE_NULL, LINKTYPE_LOOP):
        # Four octets of an address family, numbered as the system that captured numbers it.
        return _raw(octets[4:])
    return f"link_type_{link_type}"


def _untag(frame: bytes, *, raw: bool = False, ifindex: int = 0) -> Framed | str:
    """Take the tags off. Tag 0 is a priority, and no VLAN."""
    tags: list[int] = []
    for _ in range(MOST_TAGS + 1):
        if frame[12:14] not in _TAGS:
            return Framed(tuple(tags), frame, raw, ifindex)
        if len(frame) < ETH_HLEN + 4:
            return DROP_VLAN_TRUNCATED
        vlan = int.from_bytes(frame[14:16], "big") & 0xFFF
        if vlan:
            tags.append(vlan)
        frame = frame[:12] + frame[16:]
    return DROP_VLAN_DEPTH


def _cooked(octets: bytes) -> Framed | str:
    if len(octets) < 16:
        return DROP_COOKED_TRUNCATED
    kind = octets[1]
    hardware = int.from_bytes(octets[2:4], "big")
    length = int.from_bytes(octets[4:6], "big")
    return _frame(kind, hardware, length, octets[6:12], octets[14:16], octets[16:], 0)


def _cooked2(octets: bytes) -> Framed | str:
    if len(octets) < 20:
        return DROP_COOKED_TRUNCATED
    ifindex = int.from_bytes(octets[4:8], "big")
    hardware = int.from_bytes(octets[8:10], "big")
    return _frame(octets[10], hardware, octets[11], octets[12:18], octets[:2], octets[20:], ifindex)


def _frame(
    kind: int, hardware: int, length: int, source: bytes, protocol: bytes, payload: bytes, ifindex: int
) -> Framed | str:
    """A cooked record as a frame. ``kind`` is PACKET_*, ``hardware`` ARPHRD_*."""
    has_addresses = _ARPHRD.get(hardware)
    if has_addresses is None or (has_addresses and length != 6):
        return DROP_COOKED_TYPE
    if not has_addresses:
        return Framed((), BROADCAST + UNKNOWN + protocol + payload, True, ifindex)
    framed = _untag(UNKNOWN + source + protocol + payload, ifindex=ifindex)
    if isinstance(framed, str):
        return framed
    frame = framed.frame
    return framed._replace(frame=_destination(kind, frame[12:14], frame[ETH_HLEN:]) + frame[6:])


def _destination(kind: int, protocol: bytes, payload: bytes) -> bytes:
    """To whom a frame went, by what it carries."""
    if kind == PACKET_BROADCAST:
        return BROADCAST
    if protocol == _IPV6 and payload[24:25] == b"\xff":
        return ipv6_multicast_lladdr(payload[24:40])
    if protocol == _IPV4 and payload[16:17] and payload[16] & 0xF0 == 0xE0:
        return ipv4_multicast_lladdr(payload[16:20])
    if protocol == _ARP and len(payload) >= 28:
        # Where the sender knows whom it means. Else, as it asks, it asks everybody.
        target = payload[18:24]
        return target if target not in (UNKNOWN, BROADCAST) else BROADCAST
    return BROADCAST if kind == PACKET_MULTICAST else UNKNOWN


def _raw(packet: bytes) -> Framed | str:
    version = packet[0] >> 4 if packet else 0
    if version not in (4, 6):
        return DROP_RAW
    return Framed((), BROADCAST + UNKNOWN + (_IPV4 if version == 4 else _IPV6) + packet, True)
