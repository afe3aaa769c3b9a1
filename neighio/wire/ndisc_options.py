"""The options of Neighbour Discovery messages, a closed set (RFC 4861, section 4.6; RFC 3971, 5.3.2).

Whatever is not known, or is known but has another length, is kept raw, so that it survives decoding and
encoding. Reserved bits are ignored when read and zero when written.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from ..errors import MalformedFrame
from .ethernet import ETH_ALEN
from .ipv6 import IPV6_ALEN
from .ndisc_fields import (
    DROP_NDISC_LLADDR_LENGTH,
    DROP_NDISC_OPTION_LENGTH,
    ND_OPT_MTU,
    ND_OPT_NONCE,
    ND_OPT_PREFIX_INFO,
    ND_OPT_REDIRECT_HDR,
    ND_OPT_SOURCE_LL_ADDR,
    ND_OPT_TARGET_LL_ADDR,
)

__all__ = [
    "Mtu",
    "Nonce",
    "Option",
    "PrefixInformation",
    "RedirectedHeader",
    "SourceLinkAddress",
    "TargetLinkAddress",
    "UnknownOption",
    "decode_options",
    "encode_options",
    "require",
    "require_width",
]

_UNIT: Final = 8
"""Octets in which an option's length is counted."""

_LONGEST: Final = 255 * _UNIT

_PREFIX: Final = struct.Struct("!BBII4x16s")
_ON_LINK: Final = 0x80
_AUTONOMOUS: Final = 0x40
_ROUTER_ADDRESS: Final = 0x20

_MTU: Final = struct.Struct("!2xI")


def require(condition: bool, field: str) -> None:
    """Raise MalformedFrame, for ``ndisc_field_`` and the field's name, unless the condition holds."""
    if not condition:
        raise MalformedFrame(f"ndisc_field_{field}")


def require_width(value: int, bits: int, field: str) -> None:
    """Raise MalformedFrame as :func:`require` does unless the value is an unsigned number of so many bits."""
    require(0 <= value < 1 << bits, field)


class _Option:
    """What all options share: a type, and data that with the type and the length make a multiple of 8."""

    __slots__ = ()

    type: int

    def _data(self) -> bytes:
        raise NotImplementedError

    def encode(self) -> bytes:
        """Return the option's octets, a multiple of 8."""
        data = self._data()
        return bytes((self.type, (2 + len(data)) // _UNIT)) + data


@dataclass(frozen=True, slots=True)
class SourceLinkAddress(_Option):
    """The link-layer address of the sender (type 1), 6 packed octets.

    Raises:
        MalformedFrame: ``ndisc_lladdr_length``, it has another length.
    """

    lladdr: bytes

    type = ND_OPT_SOURCE_LL_ADDR

    def __post_init__(self) -> None:
        if len(self.lladdr) != ETH_ALEN:
            raise MalformedFrame(DROP_NDISC_LLADDR_LENGTH)

    def _data(self) -> bytes:
        return self.lladdr


@dataclass(frozen=True, slots=True)
class TargetLinkAddress(_Option):
    """The link-layer address of the target (type 2), 6 packed octets.

    Raises:
        MalformedFrame: ``ndisc_lladdr_length``, it has another length.
    """

    lladdr: bytes

    type = ND_OPT_TARGET_LL_ADDR

    def __post_init__(self) -> None:
        if len(self.lladdr) != ETH_ALEN:
            raise MalformedFrame(DROP_NDISC_LLADDR_LENGTH)

    def _data(self) -> bytes:
        return self.lladdr


@dataclass(frozen=True, slots=True)
class PrefixInformation(_Option):
    """A prefix of the link (type 3).

    ``prefix`` is 16 packed octets, of which ``prefix_length`` bits, 0 to 255, count; neither is judged. The
    lifetimes are seconds below 2**32, of which the last one is for ever. ``router_address`` says that the
    prefix is a whole address of the router (RFC 6275, section 7.2).

    Raises:
        MalformedFrame: ``ndisc_field_`` and the name of a field that no option could carry.
    """

    prefix: bytes
    prefix_length: int
    on_link: bool
    autonomous: bool
    valid_lifetime: int
    preferred_lifetime: int
    router_address: bool = False

    type = ND_OPT_PREFIX_INFO

    def __post_init__(self) -> None:
        require(len(self.prefix) == IPV6_ALEN, "prefix")
        require_width(self.prefix_length, 8, "prefix_length")
        require_width(self.valid_lifetime, 32, "valid_lifetime")
        require_width(self.preferred_lifetime, 32, "preferred_lifetime")

    def _data(self) -> bytes:
        flags = (
            self.on_link * _ON_LINK | self.autonomous * _AUTONOMOUS | self.router_address * _ROUTER_ADDRESS
        )
        lifetimes = (self.valid_lifetime, self.preferred_lifetime)
        return _PREFIX.pack(self.prefix_length, flags, *lifetimes, self.prefix)


@dataclass(frozen=True, slots=True)
class RedirectedHeader(_Option):
    """The beginning of the packet that caused a redirect (type 4), a multiple of 8 octets, at most 2,032.

    Raises:
        MalformedFrame: ``ndisc_field_packet``, it is no such multiple.
    """

    packet: bytes

    type = ND_OPT_REDIRECT_HDR

    def __post_init__(self) -> None:
        require(len(self.packet) % _UNIT == 0 and len(self.packet) <= _LONGEST - _UNIT, "packet")

    def _data(self) -> bytes:
        return bytes(6) + self.packet


@dataclass(frozen=True, slots=True)
class Mtu(_Option):
    """The MTU of the link (type 5), octets, below 2**32.

    Raises:
        MalformedFrame: ``ndisc_field_mtu``, it is no such number.
    """

    mtu: int

    type = ND_OPT_MTU

    def __post_init__(self) -> None:
        require_width(self.mtu, 32, "mtu")

    def _data(self) -> bytes:
        return _MTU.pack(self.mtu)


@dataclass(frozen=True, slots=True)
class Nonce(_Option):
    """A number that is used once (type 14): 6 octets, or more by a multiple of 8 (RFC 3971, section 5.3.2).

    Raises:
        MalformedFrame: ``ndisc_field_nonce``, it has another length.
    """

    nonce: bytes

    type = ND_OPT_NONCE

    def __post_init__(self) -> None:
        require(_fits(self.nonce), "nonce")

    def _data(self) -> bytes:
        return self.nonce


@dataclass(frozen=True, slots=True)
class UnknownOption(_Option):
    """An option as it stands: ``data`` is what follows type and length, 6 octets or more by a multiple of 8.

    ``type`` is 0 to 255. One of a known type is decoded as such if its length fits.

    Raises:
        MalformedFrame: ``ndisc_field_type`` or ``ndisc_field_data``, no option could carry it.
    """

    type: int
    data: bytes

    def __post_init__(self) -> None:
        require_width(self.type, 8, "type")
        require(_fits(self.data), "data")

    def _data(self) -> bytes:
        return self.data


Option: TypeAlias = (
    SourceLinkAddress | TargetLinkAddress | PrefixInformation | RedirectedHeader | Mtu | Nonce | UnknownOption
)


def _fits(data: bytes) -> bool:
    """Whether data fill an option of one unit or more, up to 255."""
    return len(data) % _UNIT == _UNIT - 2 and len(data) < _LONGEST


def encode_options(options: Iterable[Option]) -> bytes:
    """Return the octets of options one after the other."""
    return b"".join(option.encode() for option in options)


def decode_options(octets: bytes) -> tuple[Option, ...]:
    """Return the options that fill so many octets.

    Raises:
        MalformedFrame: ``ndisc_option_length``, a length is 0 or does not fit.
    """
    options = []
    offset = 0
    while offset < len(octets):
        if len(octets) - offset < 2:
            raise MalformedFrame(DROP_NDISC_OPTION_LENGTH)
        behind = offset + _UNIT * octets[offset + 1]
        if behind == offset or behind > len(octets):
            raise MalformedFrame(DROP_NDISC_OPTION_LENGTH)
        options.append(_decode(octets[offset], octets[offset + 2 : behind]))
        offset = behind
    return tuple(options)


def _decode(kind: int, data: bytes) -> Option:
    if kind == ND_OPT_SOURCE_LL_ADDR and len(data) == ETH_ALEN:
        return SourceLinkAddress(data)
    if kind == ND_OPT_TARGET_LL_ADDR and len(data) == ETH_ALEN:
        return TargetLinkAddress(data)
    if kind == ND_OPT_PREFIX_INFO and len(data) == _PREFIX.size:
        length, flags, valid, preferred, prefix = _PREFIX.unpack(data)
        on_link, autonomous = flags & _ON_LINK != 0, flags & _AUTONOMOUS != 0
        router_address = flags & _ROUTER_ADDRESS != 0
        return PrefixInformation(prefix, length, on_link, autonomous, valid, preferred, router_address)
    if kind == ND_OPT_REDIRECT_HDR:
        return RedirectedHeader(data[6:])
    if kind == ND_OPT_MTU and len(data) == _MTU.size:
        return Mtu(*_MTU.unpack(data))
    if kind == ND_OPT_NONCE:
        return Nonce(data)
    return UnknownOption(kind, data)
