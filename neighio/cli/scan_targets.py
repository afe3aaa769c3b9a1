"""Whom a scan asks: addresses, networks and ranges, as people write them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from ..address import Network, format_ip, pack_plain, parse_ip
from ..errors import InvalidAddress
from ..sweep import MAX_SWEEP

__all__ = ["Span", "count", "network_of", "pieces", "read_file", "span_of", "words"]

_SEPARATORS: Final = re.compile(r"[\s,]+")


class Span(NamedTuple):
    """The addresses from ``first`` to ``last``, packed; ``text`` named them, with a ``zone`` or without."""

    text: str
    first: bytes
    last: bytes
    zone: str | None = None

    @property
    def family(self) -> int:
        """4 or 6."""
        return 4 if len(self.first) == 4 else 6

    def contains(self, ip: bytes) -> bool:
        """Whether a packed address is among them."""
        return len(ip) == len(self.first) and self.first <= ip <= self.last


def span_of(text: str) -> Span:
    """Return what an address, a network or a range means, with a zone at its end or without. Host bits of a
    network do not count.

    Raises:
        InvalidAddress: it is none of these, or the range is reversed; names the field.
    """
    plain, percent, zone = text.partition("%")
    if percent and len(pack_plain(plain) or b"") == 4:
        raise InvalidAddress(f"network: {text!r} has a zone, and an IPv4 address has none")
    if percent and (not zone or "/" in zone or ":" not in plain):
        raise InvalidAddress(f"network: {text!r} has no valid zone")
    if "-" in plain:
        first, last = _ends(text, *plain.split("-", 1))
    elif "/" in plain:
        first, last = _network(text, plain)
    else:
        first = last = _address(text, plain)
    return Span(text, first, last, zone or None)


def _address(text: str, plain: str) -> bytes:
    try:
        return parse_ip(plain, field="network")[0]
    except InvalidAddress:
        raise InvalidAddress(f"network: {text!r} is no address, network or range") from None


def _network(text: str, plain: str) -> tuple[bytes, bytes]:
    address, _, length = plain.partition("/")
    try:
        network = ipaddress.ip_interface(f"{format_ip(_address(text, address))}/{length}").network
    except ValueError:
        raise InvalidAddress(f"network: {text!r} is no address, network or range") from None
    return network.network_address.packed, network.broadcast_address.packed


def _ends(text: str, begin: str, end: str) -> tuple[bytes, bytes]:
    """The ends of a range, of which the last may be given by its own last numbers alone."""
    first = _address(text, begin)
    if ":" not in end and len(first) == 16:
        end = f"{begin[: begin.rindex(':') + 1]}{end}"
    elif "." not in end and len(first) == 4:
        end = f"{begin[: begin.rindex('.') + 1]}{end}"
    last = _address(text, end)
    if len(first) != len(last):
        raise InvalidAddress(f"network: {text!r} begins in one family and ends in the other")
    if last < first:
        raise InvalidAddress(f"network: {text!r} is reversed: it ends before it begins")
    return first, last


def network_of(address: str) -> Span:
    """The network of an own address, "198.51.100.1/24"."""
    network = ipaddress.ip_interface(address).network
    return Span(str(network), network.network_address.packed, network.broadcast_address.packed)


def read_file(name: str) -> list[str]:
    """The words of a file, or of standard input ("-"), without remarks.

    Raises:
        InvalidAddress: it cannot be read.
    """
    try:
        with open(0 if name == "-" else name, "rb", closefd=name != "-") as file:
            text = file.read()
    except OSError as error:
        raise InvalidAddress(f"file: {name}: {error.strerror}") from None
    lines = text.decode("utf-8", "backslashreplace").splitlines()
    return [word for line in lines for word in words(line.partition("#")[0])]


def words(text: str) -> list[str]:
    """The parts of a list."""
    return [word for word in _SEPARATORS.split(text) if word]


def _merged(spans: Iterable[Span]) -> Iterator[tuple[int, int]]:
    """First and last numbers of what spans of one family cover, ascending, none in two."""
    begin = end = -2
    for first, last in sorted(
        (int.from_bytes(span.first, "big"), int.from_bytes(span.last, "big")) for span in spans
    ):
        if first > end + 1:
            if end >= 0:
                yield begin, end
            begin, end = first, last
        else:
            end = max(end, last)
    if end >= 0:
        yield begin, end


def count(spans: Iterable[Span]) -> int:
    """How many addresses spans of one family cover."""
    return sum(last - first + 1 for first, last in _merged(spans))


def pieces(spans: Iterable[Span]) -> Iterator[list[Network]]:
    """Yield what spans of one family cover, in networks, as many at a time as one sweep takes."""
    spans = tuple(spans)
    if not spans:
        return
    kind: type[ipaddress.IPv4Address] | type[ipaddress.IPv6Address] = ipaddress.IPv4Address
    if spans[0].family == 6:
        kind = ipaddress.IPv6Address
    piece: list[Network] = []
    room = MAX_SWEEP
    for first, last in _merged(spans):
        while first <= last:
            end = min(last, first + room - 1)
            piece += ipaddress.summarize_address_range(kind(first), kind(end))
            room -= end - first + 1
            first = end + 1
            if not room:
                yield piece
                piece, room = [], MAX_SWEEP
    if piece:
        yield piece
