"""Neighbour Discovery messages, whole, for whoever is not in a hurry (RFC 4861, section 4).

A message has the fields of its type and its options, each a value of :mod:`.ndisc_options`; the packet's
addresses are given when it is encoded and returned when it is decoded. Reserved bits are ignored when read
and zero when written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from ..errors import InvalidAddress, MalformedFrame
from . import ethernet, ipv6, ndisc
from .ethernet import ETH_ALEN, ETH_P_IPV6
from .ipv6 import IPV6_ALEN, is_link_local, is_multicast
from .ndisc_fields import (
    DROP_NDISC_REDIRECT_DESTINATION,
    DROP_NDISC_REDIRECT_TARGET,
    DROP_NDISC_TARGET_MULTICAST,
    ND_NA_FLAG_OVERRIDE,
    ND_NA_FLAG_ROUTER,
    ND_NA_FLAG_SOLICITED,
    ND_NEIGHBOUR_ADVERT,
    ND_NEIGHBOUR_SOLICIT,
    ND_REDIRECT,
    ND_ROUTER_ADVERT,
    ND_ROUTER_SOLICIT,
    ROUTER_ADVERT,
)
from .ndisc_options import Option, decode_options, encode_options, require, require_width

__all__ = [
    "Message",
    "NeighbourAdvertisement",
    "NeighbourSolicitation",
    "Redirect",
    "RouterAdvert",
    "RouterSolicit",
    "decode",
]

_MANAGED: Final = 0x80
_OTHER: Final = 0x40
_HOME_AGENT: Final = 0x20
# RFC 4191, section 2.1: two's complement in two bits; the fourth value is taken as medium.
_PREFERENCES: Final = {0: 0x00, 1: 0x08, -1: 0x18}
_PREFERENCE_OF: Final = {0x00: 0, 0x08: 1, 0x10: 0, 0x18: -1}

_LONGEST_TIME: Final = (2**32 - 1) / 1000
"""Seconds that fit in 32 bits of milliseconds."""


class _Message:
    """What all messages share."""

    __slots__ = ()

    type: int
    options: tuple[Option, ...]

    def _body(self) -> bytes:
        """Return what stands between the checksum and the options."""
        raise NotImplementedError

    def encode(self, src_ip: bytes, dst_ip: bytes, *, dst: bytes, src: bytes) -> bytes:
        """Return the Ethernet frame, unpadded, that takes this message from ``src`` to ``dst``.

        The packet goes from ``src_ip`` to ``dst_ip``, 16 packed octets each, with hop limit 255 and the
        right checksum. Whether a message of this type may go there, with these options, is not judged.

        Raises:
            InvalidAddress: an address has the wrong length; the text names it.
        """
        lengths = (("src_ip", src_ip, IPV6_ALEN), ("dst_ip", dst_ip, IPV6_ALEN))
        for field, address, length in (*lengths, ("dst", dst, ETH_ALEN), ("src", src, ETH_ALEN)):
            if len(address) != length:
                raise InvalidAddress(f"{field}: {len(address)} octets, expected {length}")
        packet = ndisc.build(src_ip, dst_ip, self.type, self._body() + encode_options(self.options))
        return ethernet.build(dst, src, ETH_P_IPV6, packet)


@dataclass(frozen=True, slots=True)
class NeighbourSolicitation(_Message):
    """The question for the link-layer address of ``target``, 16 packed octets (type 135).

    Raises:
        MalformedFrame: ``ndisc_field_target``, it has another length; ``ndisc_target_multicast``.
    """

    target: bytes
    options: tuple[Option, ...] = ()

    type = ND_NEIGHBOUR_SOLICIT

    def __post_init__(self) -> None:
        _judge_target(self.target)

    def _body(self) -> bytes:
        return bytes(4) + self.target


@dataclass(frozen=True, slots=True)
class NeighbourAdvertisement(_Message):
    """What a node says of ``target``, 16 packed octets (type 136).

    Raises:
        MalformedFrame: ``ndisc_field_target``, it has another length; ``ndisc_target_multicast``.
    """

    target: bytes
    router: bool
    solicited: bool
    override: bool
    options: tuple[Option, ...] = ()

    type = ND_NEIGHBOUR_ADVERT

    def __post_init__(self) -> None:
        _judge_target(self.target)

    def _body(self) -> bytes:
        flags = self.router * ND_NA_FLAG_ROUTER
        flags |= self.solicited * ND_NA_FLAG_SOLICITED | self.override * ND_NA_FLAG_OVERRIDE
        return bytes((flags, 0, 0, 0)) + self.target


@dataclass(frozen=True, slots=True)
class RouterSolicit(_Message):
    """The question for routers (type 133)."""

    options: tuple[Option, ...] = ()

    type = ND_ROUTER_SOLICIT

    def _body(self) -> bytes:
        return bytes(4)


@dataclass(frozen=True, slots=True)
class RouterAdvert(_Message):
    """What a router says of the link and of itself (type 134).

    ``hop_limit`` is what the hosts shall use, ``lifetime`` whole seconds for which the sender is a default
    router, below 2**16, ``reachable_time`` and ``retrans_timer`` seconds, sent in milliseconds. Zero is
    unspecified, but for the lifetime of a router that is no default router. ``preference`` is -1, 0 or 1
    (RFC 4191), ``home_agent`` RFC 6275's.

    Raises:
        MalformedFrame: ``ndisc_field_`` and the name of a field that no message could carry.
    """

    hop_limit: int
    managed: bool
    other: bool
    lifetime: int
    reachable_time: float
    retrans_timer: float
    options: tuple[Option, ...] = ()
    home_agent: bool = False
    preference: int = 0

    type = ND_ROUTER_ADVERT

    def __post_init__(self) -> None:
        require_width(self.hop_limit, 8, "hop_limit")
        require_width(self.lifetime, 16, "lifetime")
        require(0 <= self.reachable_time <= _LONGEST_TIME, "reachable_time")
        require(0 <= self.retrans_timer <= _LONGEST_TIME, "retrans_timer")
        require(self.preference in _PREFERENCES, "preference")

    def _body(self) -> bytes:
        flags = self.managed * _MANAGED | self.other * _OTHER | self.home_agent * _HOME_AGENT
        flags |= _PREFERENCES[self.preference]
        times = round(self.reachable_time * 1000), round(self.retrans_timer * 1000)
        return ROUTER_ADVERT.pack(self.hop_limit, flags, self.lifetime, *times)


@dataclass(frozen=True, slots=True)
class Redirect(_Message):
    """That ``target`` is the better first hop for ``destination``, 16 packed octets each (type 137).

    Raises:
        MalformedFrame: ``ndisc_field_target`` or ``ndisc_field_destination``, it has another length;
            ``ndisc_redirect_destination`` or ``ndisc_redirect_target``, it cannot be meant.
    """

    target: bytes
    destination: bytes
    options: tuple[Option, ...] = ()

    type = ND_REDIRECT

    def __post_init__(self) -> None:
        require(len(self.target) == IPV6_ALEN, "target")
        require(len(self.destination) == IPV6_ALEN, "destination")
        if is_multicast(self.destination):
            raise MalformedFrame(DROP_NDISC_REDIRECT_DESTINATION)
        if self.target != self.destination and not is_link_local(self.target):
            raise MalformedFrame(DROP_NDISC_REDIRECT_TARGET)

    def _body(self) -> bytes:
        return bytes(4) + self.target + self.destination


Message: TypeAlias = NeighbourSolicitation | NeighbourAdvertisement | RouterSolicit | RouterAdvert | Redirect


def _judge_target(target: bytes) -> None:
    require(len(target) == IPV6_ALEN, "target")
    if is_multicast(target):
        raise MalformedFrame(DROP_NDISC_TARGET_MULTICAST)


def decode(frame: bytes) -> tuple[bytes, bytes, Message]:
    """Return the source, the destination and the message in a whole Ethernet frame.

    Raises:
        MalformedFrame: :func:`neighio.wire.ndisc.parse` refuses the frame, for ``reason``.
    """
    refused = ndisc.parse(frame)
    if isinstance(refused, str):
        raise MalformedFrame(refused)
    packet = ipv6.parse_frame(frame)
    assert not isinstance(packet, str)
    src, dst, _, _, _, octets = packet
    return src, dst, _decode(octets)


def _decode(octets: bytes) -> Message:
    match octets[0]:
        case ndisc.ND_NEIGHBOUR_SOLICIT:
            return NeighbourSolicitation(octets[8:24], decode_options(octets[24:]))
        case ndisc.ND_NEIGHBOUR_ADVERT:
            flags = octets[4]
            return NeighbourAdvertisement(
                octets[8:24],
                flags & ND_NA_FLAG_ROUTER != 0,
                flags & ND_NA_FLAG_SOLICITED != 0,
                flags & ND_NA_FLAG_OVERRIDE != 0,
                decode_options(octets[24:]),
            )
        case ndisc.ND_ROUTER_SOLICIT:
            return RouterSolicit(decode_options(octets[8:]))
        case ndisc.ND_ROUTER_ADVERT:
            hop_limit, flags, lifetime, reachable_ms, retrans_ms = ROUTER_ADVERT.unpack_from(octets, 4)
            return RouterAdvert(
                hop_limit,
                flags & _MANAGED != 0,
                flags & _OTHER != 0,
                lifetime,
                reachable_ms / 1000,
                retrans_ms / 1000,
                decode_options(octets[16:]),
                home_agent=flags & _HOME_AGENT != 0,
                preference=_PREFERENCE_OF[flags & 0x18],
            )
        case _:
            return Redirect(octets[8:24], octets[24:40], decode_options(octets[40:]))
