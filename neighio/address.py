"""Addresses at the library's edge; inside, both kinds are packed bytes."""

from __future__ import annotations

import ipaddress
import socket
import string
from collections.abc import Iterable
from typing import Self, TypeAlias

from .errors import InvalidAddress

__all__ = [
    "IPAddress",
    "LinkAddress",
    "Network",
    "format_ip",
    "is_group_ip",
    "is_station_ip",
    "pack_plain",
    "parse_ip",
    "parse_network",
    "parse_networks",
]

IPAddress: TypeAlias = "str | bytes | ipaddress.IPv4Address | ipaddress.IPv6Address"
"""What the public face takes for an IP address: text, an :mod:`ipaddress` object or packed octets."""

Network: TypeAlias = "IPAddress | ipaddress.IPv4Network | ipaddress.IPv6Network"
"""What the public face takes for a network: "198.51.100.0/24", an :mod:`ipaddress` object, or one address."""

# Plain names and numbers: an attribute of a module and a member of an enumeration cost as much as the call.
_pton = socket.inet_pton
_AF_INET = int(socket.AF_INET)
_AF_INET6 = int(socket.AF_INET6)

MAX_ADDR_LEN = 32
"""The kernel's bound on the octets of a link-layer address."""

_HEX_DIGITS = frozenset(string.hexdigits)

_NETWORK_TYPES = (
    str,
    bytes,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
)


class LinkAddress(bytes):
    """A link-layer address: the packed octets, which print as ``aa:bb:cc:dd:ee:ff``.

    Equal to, and hashed as, the same octets in a plain :class:`bytes`.
    """

    __slots__ = ()

    def __new__(cls, value: str | bytes) -> Self:
        """Take packed octets, or text: one or two hexadecimal digits an octet, all between ``:`` or ``-``.

        Raises:
            InvalidAddress: ``value`` is not of that form, or not 1 to 32 octets long.
        """
        if isinstance(value, str):
            octets = value.split("-" if "-" in value else ":")
            # int() would take signs, blanks and the digits of other scripts as well.
            if not all(1 <= len(octet) <= 2 and _HEX_DIGITS.issuperset(octet) for octet in octets):
                raise InvalidAddress(f"lladdr: {value!r} is not a link-layer address")
            value = bytes(int(octet, 16) for octet in octets)
        elif not isinstance(value, bytes):
            raise InvalidAddress(f"lladdr: {value!r} is not a link-layer address")
        if not 1 <= len(value) <= MAX_ADDR_LEN:
            raise InvalidAddress(f"lladdr: {len(value)} octets, expected 1 to {MAX_ADDR_LEN}")
        return super().__new__(cls, value)

    def __str__(self) -> str:
        return self.hex(":")

    def __repr__(self) -> str:
        return f"LinkAddress({self.hex(':')!r})"


def parse_ip(value: IPAddress, *, field: str = "ip") -> tuple[bytes, str | None]:
    """Return the packed octets of an IP address (4 or 16) and its zone, if it names one.

    Raises:
        InvalidAddress: ``value`` is no address; the message names ``field``.
    """
    if isinstance(value, str):
        # inet_pton is several times faster than ipaddress, and as strict for both families.
        try:
            return _pton(_AF_INET, value), None
        except (OSError, ValueError):
            text, percent, zone = value.partition("%")
        try:
            packed = _pton(_AF_INET6 if ":" in text else _AF_INET, text)
        except (OSError, ValueError):
            raise InvalidAddress(f"{field}: {value!r} is not an IP address") from None
        if percent and ":" not in text:
            raise InvalidAddress(f"{field}: {value!r} has a zone, and an IPv4 address has none")
        if percent and not zone:
            raise InvalidAddress(f"{field}: {value!r} has no valid zone")
        return packed, zone or None
    if isinstance(value, bytes):
        if len(value) not in (4, 16):
            raise InvalidAddress(f"{field}: {len(value)} octets, expected 4 or 16")
        return value, None
    if isinstance(value, ipaddress.IPv4Address):
        return value.packed, None
    if isinstance(value, ipaddress.IPv6Address):
        return value.packed, value.scope_id
    raise InvalidAddress(f"{field}: {value!r} is not an IP address")


def pack_plain(value: object) -> bytes | None:
    """Return the packed octets of an address that is packed, or text without a zone: the quick case of
    :func:`parse_ip`. None for anything else, which has to be looked at more closely."""
    if type(value) is str:
        try:
            return _pton(_AF_INET, value)
        except (OSError, ValueError):
            pass
        try:
            return _pton(_AF_INET6, value)
        except (OSError, ValueError):
            return None
    return value if type(value) is bytes else None


def parse_network(value: object, *, field: str = "network") -> tuple[bytes, int]:
    """Return the packed network address and the prefix length of a network or a single address.

    Taken are text (``address``, ``address/length`` or ``address/netmask``), objects of :mod:`ipaddress`,
    and the packed octets of one address.

    Raises:
        InvalidAddress: ``value`` is no network, has host bits set, or names a zone, which a network
            has none of; the message names ``field``.
    """
    # ip_network() also takes numbers and tuples, and drops a zone without a word.
    if not isinstance(value, _NETWORK_TYPES) or (not isinstance(value, bytes) and "%" in str(value)):
        raise InvalidAddress(f"{field}: {value!r} is not an IP network")
    try:
        network = ipaddress.ip_network(value)
    except ValueError as error:
        raise InvalidAddress(f"{field}: {error}") from None
    return network.network_address.packed, network.prefixlen


def parse_networks(
    value: Network | Iterable[Network], *, field: str = "network"
) -> tuple[tuple[bytes, int], ...]:
    """Return which addresses a network, or several of one family, consist of: runs of them, each as its first
    address, packed, and how many; ascending. What is in two networks is in one run.

    Raises:
        InvalidAddress: one is no network (see :func:`parse_network`), they are of two families, or there is
            none; the message names ``field``.
    """
    several = [value] if isinstance(value, _NETWORK_TYPES) else value
    if not isinstance(several, Iterable):
        raise InvalidAddress(f"{field}: {value!r} is not an IP network")
    networks = [parse_network(one, field=field) for one in several]
    if len({len(first) for first, _ in networks}) != 1:
        raise InvalidAddress(f"{field}: {'networks of two families' if networks else 'none is given'}")
    length = len(networks[0][0])
    merged: list[tuple[int, int]] = []
    for start, last in sorted(
        (start, start + (1 << (length * 8 - prefixlen)) - 1)
        for start, prefixlen in ((int.from_bytes(first, "big"), prefixlen) for first, prefixlen in networks)
    ):
        if merged and start <= merged[-1][1] + 1:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((start, last))
    return tuple((start.to_bytes(length, "big"), last - start + 1) for start, last in merged)


def format_ip(packed: bytes) -> str:
    """Return the text form of 4 or 16 packed octets (RFC 5952 for IPv6)."""
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def is_group_ip(packed: bytes) -> bool:
    """Whether 4 or 16 packed octets are a multicast address, of 224.0.0.0/4 or ff00::/8 (RFC 5771, 4291)."""
    return packed[0] & 0xF0 == 0xE0 if len(packed) == 4 else packed[0] == 0xFF


def is_station_ip(packed: bytes) -> bool:
    """Whether 4 or 16 packed octets are an address that a station on a link can have: no group's, not the
    limited broadcast, loopback's or the unspecified one."""
    loopback = packed[0] == 127 if len(packed) == 4 else packed == bytes(15) + b"\1"
    return not (loopback or is_group_ip(packed) or packed == b"\xff" * 4) and any(packed)
