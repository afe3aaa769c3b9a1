"""The words of a scenario: addresses, packets, ``ip neigh`` commands; each refused with what was expected."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from ...address import LinkAddress, format_ip, parse_ip
from ...core.constants import (
    AF_INET,
    AF_INET6,
    KEY_LEN,
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    NTF_EXT_LEARNED,
    NTF_EXT_VALIDATED,
    NTF_MANAGED,
    NTF_PROXY,
    NTF_ROUTER,
    NTF_USE,
    NUD_FAILED,
    NUD_NAMES,
    NUD_PERMANENT,
)
from ...errors import InvalidAddress
from ...wire.ipv6 import is_link_local
from .model import Admin, Confirm, RouteChange, Send

__all__ = [
    "own_address",
    "parse_address",
    "parse_admin",
    "parse_confirm",
    "parse_count",
    "parse_interface",
    "parse_lladdr",
    "parse_octets",
    "parse_options",
    "parse_pairs",
    "parse_route",
    "parse_seconds",
    "parse_send",
]

NETWORK: Final = "198.51.100"
NETWORK6: Final = "2001:db8::"
CARD: Final = "02:00:00:00:00"
OCTETS: Final = 32

VERBS: Final = {
    "add": NLM_F_CREATE | NLM_F_EXCL,
    "change": NLM_F_REPLACE,
    "replace": NLM_F_CREATE | NLM_F_REPLACE,
    "append": NLM_F_CREATE | NLM_F_APPEND,
}
FLAGS: Final = {
    "router": NTF_ROUTER,
    "proxy": NTF_PROXY,
    "use": NTF_USE,
    "managed": NTF_MANAGED,
    "extern_learn": NTF_EXT_LEARNED,
    "extern_valid": NTF_EXT_VALIDATED,
}
STATES: Final = {"none": 0, **{name.lower(): state for state, name in NUD_NAMES.items()}}
_T = TypeVar("_T")


_SHORT_IPV6: Final = re.compile(r"6\.([0-9a-f]{1,4})")


def parse_address(text: str, family: int | None = None) -> bytes:
    """An IP address, of one family or of either; ".7" is 198.51.100.7 and "6.7" is 2001:db8::7."""
    short = _SHORT_IPV6.fullmatch(text)
    written = NETWORK6 + short[1] if short else NETWORK + text if text.startswith(".") else text
    try:
        ip, zone = parse_ip(written)
    except InvalidAddress:
        ip, zone = b"", None
    if zone or len(ip) not in KEY_LEN.values() or (family is not None and len(ip) != KEY_LEN[family]):
        ipv4 = f'an IPv4 address, or ".7" for {NETWORK}.7'
        ipv6 = f'an IPv6 address without zone, or "6.7" for {NETWORK6}7'
        expected = {AF_INET: ipv4, AF_INET6: ipv6}.get(family or 0, f"{ipv4}; {ipv6}")
        raise ValueError(f"{text!r}: expected {expected}")
    return ip


def own_address(own: Iterable[bytes], other: bytes) -> bytes:
    """Which of the node's addresses has to do with ``other``: the first of its family, in IPv6 the first
    link-local one for a link-local address and the first global one for others; all zeros without any."""
    candidates = [ip for ip in own if len(ip) == len(other)]
    if len(other) == KEY_LEN[AF_INET6]:
        candidates.sort(key=lambda ip: is_link_local(ip) != is_link_local(other))
    return candidates[0] if candidates else bytes(len(other))


def parse_lladdr(text: str) -> LinkAddress:
    """An Ethernet address; ":0b" is 02:00:00:00:00:0b."""
    try:
        lladdr = LinkAddress(CARD + text if text.startswith(":") and len(text) == 3 else text)
    except InvalidAddress:
        lladdr = None
    if lladdr is None or len(lladdr) != 6:
        raise ValueError(f'{text!r}: expected an Ethernet address, or ":0b" for {CARD}:0b')
    return lladdr


def parse_interface(text: str) -> str:
    """An address with its prefix length, written out."""
    ip, length = _prefix(text)
    return f"{format_ip(ip)}/{length}"


def _prefix(text: str) -> tuple[bytes, int]:
    address, slash, length = text.partition("/")
    ip = parse_address(address)
    if not slash or not length.isdigit() or int(length) > 8 * len(ip):
        raise ValueError(f'{text!r}: expected an address with its prefix length, as ".9/24" or "6.9/64"')
    return ip, int(length)


def parse_route(text: str, *, add: bool = True) -> RouteChange:
    """``PREFIX [via IP]``: a route through the node's device."""
    match text.split():
        case [prefix]:
            gateway = None
        case [prefix, "via", via]:
            gateway = format_ip(parse_address(via))
        case _:
            raise ValueError(f'{text!r}: expected PREFIX or PREFIX via IP, as "203.0.113.0/24 via .9"')
    ip, length = _prefix(prefix)
    host = 8 * len(ip) - length
    network = (int.from_bytes(ip, "big") >> host << host).to_bytes(len(ip), "big")
    return RouteChange(add, f"{format_ip(network)}/{length}", gateway)


def parse_pairs(words: Iterable[str], readers: dict[str, Callable[[str], _T]]) -> dict[str, _T]:
    """Words of the form NAME=VALUE, each name at most once."""
    found: dict[str, _T] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in readers or name in found:
            expected = ", ".join(f"{name}=" for name in readers)
            raise ValueError(f"{word!r}: expected each of {expected} at most once")
        found[name] = readers[name](value)
    return found


def parse_octets(text: str, least: int = 0) -> bytes:
    """Octets in hexadecimal, at least so many."""
    try:
        octets = bytes.fromhex(text)
    except ValueError:
        octets = b""
    if len(octets) < max(least, 1):
        raise ValueError(f"{text!r}: expected at least {max(least, 1)} octets in hexadecimal")
    return octets


def parse_options(words: list[str], known: tuple[str, ...]) -> dict[str, str]:
    """Words in pairs, name and value."""
    found = dict(zip(words[::2], words[1::2], strict=False))
    if len(words) % 2 or len(found) != len(words) // 2 or not found.keys() <= set(known):
        raise ValueError(
            f"{' '.join(words)!r}: expected {', '.join(f'{name} ...' for name in known)}, each once"
        )
    return found


def parse_seconds(text: str) -> float:
    """Seconds, less than an hour."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 3600:
        raise ValueError(f"{text!r}: expected seconds")
    return seconds


def parse_count(text: str, least: int, most: int) -> int:
    """A whole number within bounds."""
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise ValueError(f"{text!r}: expected a number from {least} to {most}")
    return int(text)


def parse_send(text: str, own: Iterable[bytes]) -> Send:
    """``IP [count N] [octets N] [from IP] [confirm]``: UDP packets from the node."""
    ip, *rest = text.split() or [""]
    confirm = rest[-1:] == ["confirm"]
    options = parse_options(rest[:-1] if confirm else rest, ("count", "octets", "from"))
    target, source = _ends(ip, options.get("from"), own)
    return Send(
        target,
        source,
        parse_count(options.get("count", "1"), 1, 1000),
        parse_count(options.get("octets", str(OCTETS)), 4, 1452 if len(target) == 16 else 1472),
        confirm,
    )


def parse_confirm(text: str, own: Iterable[bytes]) -> Confirm:
    """``IP [from IP]``."""
    ip, *rest = text.split() or [""]
    return Confirm(*_ends(ip, parse_options(rest, ("from",)).get("from"), own))


def _ends(ip: str, source: str | None, own: Iterable[bytes]) -> tuple[bytes, bytes]:
    """Where a packet goes to and comes from."""
    target = parse_address(ip)
    family = AF_INET if len(target) == KEY_LEN[AF_INET] else AF_INET6
    return target, own_address(own, target) if source is None else parse_address(source, family)


def parse_admin(text: str, error: str | None) -> Admin:
    """``add|change|replace|append|del IP [lladdr L] [nud STATE] [protocol N] [router] [use] ...``."""
    words = text.split()
    verb, ip = [*words, "", ""][:2]
    if verb != "del" and verb not in VERBS:
        raise ValueError(f"{verb!r}: expected {', '.join(VERBS)} or del")
    flags = 0
    options: list[str] = []
    following = iter(words[2:])
    for word in following:
        if word in FLAGS:
            flags |= FLAGS[word]
        elif word in ("lladdr", "nud", "protocol"):
            options += [word, next(following, "")]
        else:
            expected = ", ".join(("lladdr L", "nud STATE", "protocol N", *FLAGS))
            raise ValueError(f"{word!r}: expected one of {expected}")
    values = parse_options(options, ("lladdr", "nud", "protocol"))
    number = 0
    if error is not None:
        number = getattr(errno, error, 0)
        if not number:
            raise ValueError(f"{error!r}: expected an errno's name, as ENOENT")
    return Admin(
        parse_address(ip),
        verb == "del",
        VERBS.get(verb, 0),
        parse_lladdr(values["lladdr"]) if "lladdr" in values else None,
        _state(values["nud"]) if "nud" in values else NUD_FAILED if verb == "del" else NUD_PERMANENT,
        flags,
        parse_count(values.get("protocol", "0"), 0, 255),
        number,
    )


def _state(text: str) -> int:
    if text in STATES:
        return STATES[text]
    try:
        if not text.startswith("0x"):
            raise ValueError
        return int(text, 16)
    except ValueError:
        raise ValueError(f"nud {text!r}: expected {', '.join(STATES)} or a hexadecimal number") from None
