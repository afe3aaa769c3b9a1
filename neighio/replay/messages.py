"""What neighbours say: each ARP and Neighbour Discovery message as one kind of thing.

A :class:`Message` is what both protocols have in common: who claims which address, who is asked for.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ..wire import arp, ipv6, ndisc
from ..wire.ethernet import ETH_HLEN, is_group
from ..wire.ipv6 import UNSPECIFIED, is_multicast

__all__ = ["ARP_REPLY", "ARP_REQUEST", "KINDS", "NEUTRAL", "Message", "is_cut_short", "read"]

OTHER_PROTOCOL: Final = "ethertype"
NEUTRAL: Final = frozenset(
    (
        ndisc.DROP_NOT_NDISC,
        OTHER_PROTOCOL,
        ipv6.DROP_IPV6_FRAGMENT,
        ipv6.DROP_IPV6_LOOPBACK,
        ipv6.DROP_IPV6_MULTICAST_SCOPE,
    )
)
"""Reasons that say no more than that a frame is about something else: a part of a packet, or what a host
tells itself."""

_CUT: Final = frozenset((arp.DROP_ARP_TRUNCATED, ipv6.DROP_IPV6_TRUNCATED, ipv6.DROP_IPV6_PAYLOAD_LENGTH))
_EXTENSIONS: Final = frozenset((ipv6.IPPROTO_HOPOPTS, ipv6.IPPROTO_ROUTING, ipv6.IPPROTO_DSTOPTS))
_NEXT_HEADER: Final = ETH_HLEN + 6
_ICMPV6_TYPE: Final = ETH_HLEN + ipv6.IPV6_HLEN

ARP_REQUEST: Final = "arp_request"
ARP_REPLY: Final = "arp_reply"
_NDISC: Final = {
    ndisc.Solicitation: "neighbour_solicitation",
    ndisc.Advertisement: "neighbour_advertisement",
    ndisc.RouterSolicitation: "router_solicitation",
    ndisc.RouterAdvertisement: "router_advertisement",
    ndisc.RedirectMessage: "redirect",
}
KINDS: Final = (ARP_REQUEST, ARP_REPLY, *_NDISC.values())
"""The messages that are counted, by name."""

_ARP: Final = b"\x08\x06"
_IPV6: Final = b"\x86\xdd"
_NOBODY: Final = bytes(4)


class Message(NamedTuple):
    """A message of ARP or Neighbour Discovery. IP addresses are packed, 4 or 16 octets.

    ``src`` and ``dst`` are those of the packet, of ARP the sender's and the target's. ``claims`` is the
    address that the sender says to have at ``lladdr``, ``asks`` the one that it looks for; both are None
    when it wants an address that nobody is to have yet. ``answers`` is whom it answers, and empty where it
    tells everybody. ``fields`` are the fields of a message of Neighbour Discovery.
    """

    kind: str
    src: bytes
    dst: bytes
    claims: bytes | None
    lladdr: bytes | None
    asks: bytes | None
    answers: bytes | None
    fields: ndisc.Fields | None


def read(frame: bytes, addr_len: int = 6) -> Message | str:
    """Return the message in an Ethernet frame without tags, or the reason for which there is none."""
    protocol = frame[12:14]
    if protocol == _ARP:
        fields = arp.parse(frame)
        return fields if isinstance(fields, str) else _arp(frame, fields)
    if protocol == _IPV6:
        found = ndisc.parse(frame, addr_len=addr_len)
        return found if isinstance(found, str) else _ndisc(frame, found)
    return OTHER_PROTOCOL


def is_cut_short(frame: bytes, reason: str) -> bool | None:
    """Of a frame whose end was not captured: whether that is why it was refused; None where it is seen to be
    about something else."""
    if reason not in _CUT:
        return False
    if frame[12:14] == _ARP or len(frame) <= _NEXT_HEADER or frame[_NEXT_HEADER] in _EXTENSIONS:
        return True
    if frame[_NEXT_HEADER] != ipv6.IPPROTO_ICMPV6:
        return None
    kind = frame[_ICMPV6_TYPE : _ICMPV6_TYPE + 1]
    return True if not kind or ndisc.ND_ROUTER_SOLICIT <= kind[0] <= ndisc.ND_REDIRECT else None


def _arp(frame: bytes, fields: arp.ArpFields) -> Message:
    op, spa, sha, tpa, _ = fields
    claims = None if spa == _NOBODY else spa
    announced = claims is not None and spa == tpa
    if op == arp.ARPOP_REPLY:
        answers = b"" if announced or is_group(frame) else tpa
        return Message(ARP_REPLY, spa, tpa, claims, sha, None, answers, None)
    asks = None if claims is None or announced else tpa
    return Message(ARP_REQUEST, spa, tpa, claims, sha, asks, b"" if announced else None, None)


def _ndisc(frame: bytes, fields: ndisc.Fields) -> Message:
    kind = _NDISC[type(fields)]
    src, dst = fields.src, fields.dst
    if isinstance(fields, ndisc.Advertisement):
        answers = dst if fields.solicited else b""
        # Without the option it is where the frame came from.
        return Message(kind, src, dst, fields.target, fields.lladdr or frame[6:12], None, answers, fields)
    claims = src if fields.lladdr is not None and src != UNSPECIFIED else None
    if isinstance(fields, ndisc.Solicitation):
        asks = None if src == UNSPECIFIED else fields.target
        return Message(kind, src, dst, claims, fields.lladdr, asks, None, fields)
    if isinstance(fields, ndisc.RedirectMessage):
        return Message(kind, src, dst, None, None, None, None, fields)
    tells = isinstance(fields, ndisc.RouterAdvertisement) and is_multicast(dst)
    return Message(kind, src, dst, claims, fields.lladdr, None, b"" if tells else None, fields)
