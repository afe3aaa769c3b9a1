"""Addresses at the library's edge; inside, both kinds are packed bytes."""

from __future__ import annotations

import ipaddress
import socket
from typing import TypeAlias

from .errors import InvalidAddress

__all__ = ["IPAddress", "LinkAddress", "format_ip", "parse_ip", "parse_network"]

IPAddress: TypeAlias = "str | bytes | ipaddress.IPv4Address | ipaddress.IPv6Address"
"""What the public face takes for an IP address: text, an :mod:`ipaddress` object or packed octets."""

MAX_ADDR_LEN = 32
"""The kernel's bound on the octets of a link-layer address."""


class LinkAddress(bytes):
    """A link-layer address: the packed octets, which print as ``aa:bb:cc:dd:ee:ff``.

    Equal to, and hashed as, the same octets in a plain :class:`bytes`.
    """

    __slots__ = ()

    def __new__(cls, value: str | bytes) -> LinkAddress:
        """Take packed octets, or text in hexadecimal octets separated by ``:`` or ``-``.

        Raises:
            InvalidAddress: the text is not of that form, or not 1 to 32 octets long.
        """
        if isinstance(value, str):
            digits = value.replace("-", ":").split(":")
            try:
                if any(len(pair) not in (1, 2) for pair in digits):
                    raise ValueError
                value = bytes(int(pair, 16) for pair in digits)
            except ValueError:
                raise InvalidAddress(f"lladdr: {value!r} is not a link-layer address") from None
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
        text, percent, zone = value.partition("%")
        try:
            # inet_pton is several times faster than ipaddress, and as strict for both families.
            packed = socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
        except (OSError, ValueError):
            raise InvalidAddress(f"{field}: {value!r} is not an IP address") from None
        if percent and (not zone or ":" not in text):
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


def parse_network(value: object, *, field: str = "network") -> tuple[bytes, int]:
    """Return the packed network address and the prefix length of a network or a single address.

    Raises:
        InvalidAddress: ``value`` is no network, or has host bits set; the message names ``field``.
    """
    try:
        network = ipaddress.ip_network(value)  # type: ignore[arg-type]  # it refuses what it can't take
    except (TypeError, ValueError) as error:
        raise InvalidAddress(f"{field}: {error}") from None
    return network.network_address.packed, network.prefixlen


def format_ip(packed: bytes) -> str:
    """Return the text form of 4 or 16 packed octets (RFC 5952 for IPv6)."""
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)
