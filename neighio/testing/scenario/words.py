"""The words of a scenario: frames, ``ip neigh`` commands, addresses; each refused with what was expected."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Final, TypeVar

from ...address import LinkAddress, parse_ip
from ...core.constants import (
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
from ...wire import arp
from ...wire.ethernet import BROADCAST
from .model import NODE_LLADDR, PEER_LLADDR, Admin, Answer, Confirm, Inject, Mute, Send

__all__ = ["parse_admin", "parse_confirm", "parse_interface", "parse_ipv4", "parse_peer", "parse_send"]

NETWORK: Final = "198.51.100"
CARD: Final = "02:00:00:00:00"
OCTETS: Final = 32
AFTER: Final = 0.001

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


def parse_ipv4(text: str) -> bytes:
    """An IPv4 address; ".7" is 198.51.100.7."""
    try:
        ip, zone = parse_ip(NETWORK + text if text.startswith(".") else text)
    except InvalidAddress:
        ip, zone = b"", None
    if len(ip) != 4 or zone:
        raise ValueError(f'{text!r}: expected an IPv4 address, or ".7" for {NETWORK}.7')
    return ip


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
    address, slash, length = text.partition("/")
    ip = parse_ipv4(address)
    if not slash or not length.isdigit() or int(length) > 32:
        raise ValueError(f'{text!r}: expected an address with its prefix length, as ".9/24"')
    return f"{'.'.join(map(str, ip))}/{length}"


def _pairs(words: list[str], readers: dict[str, Callable[[str], _T]]) -> dict[str, _T]:
    found: dict[str, _T] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in readers or name in found:
            expected = ", ".join(f"{name}=" for name in readers)
            raise ValueError(f"{word!r}: expected each of {expected} at most once")
        found[name] = readers[name](value)
    return found


def _destination(text: str) -> LinkAddress:
    if text == "unicast":
        return NODE_LLADDR
    return LinkAddress(BROADCAST) if text == "broadcast" else parse_lladdr(text)


def parse_peer(text: str, node_ip: bytes) -> Inject | Answer | Mute:
    """``arp request|reply spa= sha= tpa= tha= to= src=``, ``answers IP [as LLADDR] [after S]``,
    ``mute [IP]``, ``raw OCTETS``.

    Left out: ``sha`` is the peer's, ``tpa`` the node's, ``tha`` zeros in a request and the node's in a
    reply, ``to`` broadcast in a request and unicast (to the node) in a reply, ``src`` is ``sha``.
    """
    match text.split():
        case ["arp", ("request" | "reply") as op, *rest]:
            reply = op == "reply"
            addresses: dict[str, bytes] = _pairs(
                rest,
                {
                    "spa": parse_ipv4,
                    "sha": parse_lladdr,
                    "tpa": parse_ipv4,
                    "tha": parse_lladdr,
                    "to": _destination,
                    "src": parse_lladdr,
                },
            )
            if "spa" not in addresses:
                raise ValueError(f"{text!r}: expected spa=, who sends")
            sha = addresses.get("sha", PEER_LLADDR)
            return Inject(
                arp.build(
                    arp.ARPOP_REPLY if reply else arp.ARPOP_REQUEST,
                    addresses["spa"],
                    sha,
                    addresses.get("tpa", node_ip),
                    addresses.get("tha", NODE_LLADDR if reply else bytes(6)),
                    dst=addresses.get("to", NODE_LLADDR if reply else BROADCAST),
                    src=addresses.get("src", sha),
                )
            )
        case ["raw", *octets]:
            return Inject(_octets("".join(octets)))
        case ["answers", ip, *rest]:
            options = _options(rest, ("as", "after"))
            lladdr = parse_lladdr(options["as"]) if "as" in options else PEER_LLADDR
            return Answer(parse_ipv4(ip), lladdr, _seconds(options.get("after", str(AFTER))))
        case ["mute"]:
            return Mute(None)
        case ["mute", ip]:
            return Mute(parse_ipv4(ip))
        case _:
            raise ValueError(
                f"{text!r}: expected arp request ..., arp reply ..., raw OCTETS, "
                "answers IP [as LLADDR] [after S], mute [IP]"
            )


def _octets(text: str) -> bytes:
    try:
        frame = bytes.fromhex(text)
    except ValueError:
        frame = b""
    if len(frame) < 14:
        raise ValueError(f"{text!r}: expected at least 14 octets in hexadecimal")
    return frame


def _options(words: list[str], known: tuple[str, ...]) -> dict[str, str]:
    """Words in pairs, name and value."""
    found = dict(zip(words[::2], words[1::2], strict=False))
    if len(words) % 2 or len(found) != len(words) // 2 or not found.keys() <= set(known):
        raise ValueError(
            f"{' '.join(words)!r}: expected {', '.join(f'{name} ...' for name in known)}, each once"
        )
    return found


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 3600:
        raise ValueError(f"{text!r}: expected seconds")
    return seconds


def _count(text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise ValueError(f"{text!r}: expected a number from {least} to {most}")
    return int(text)


def parse_send(text: str, node_ip: bytes) -> Send:
    """``IP [count N] [octets N] [from IP] [confirm]``: UDP packets from the node."""
    ip, *rest = text.split() or [""]
    confirm = rest[-1:] == ["confirm"]
    options = _options(rest[:-1] if confirm else rest, ("count", "octets", "from"))
    return Send(
        parse_ipv4(ip),
        parse_ipv4(options["from"]) if "from" in options else node_ip,
        _count(options.get("count", "1"), 1, 1000),
        _count(options.get("octets", str(OCTETS)), 4, 1472),
        confirm,
    )


def parse_confirm(text: str, node_ip: bytes) -> Confirm:
    """``IP [from IP]``."""
    ip, *rest = text.split() or [""]
    options = _options(rest, ("from",))
    return Confirm(parse_ipv4(ip), parse_ipv4(options["from"]) if "from" in options else node_ip)


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
    values = _options(options, ("lladdr", "nud", "protocol"))
    number = 0
    if error is not None:
        number = getattr(errno, error, 0)
        if not number:
            raise ValueError(f"{error!r}: expected an errno's name, as ENOENT")
    return Admin(
        parse_ipv4(ip),
        verb == "del",
        VERBS.get(verb, 0),
        parse_lladdr(values["lladdr"]) if "lladdr" in values else None,
        _state(values["nud"]) if "nud" in values else NUD_FAILED if verb == "del" else NUD_PERMANENT,
        flags,
        _count(values.get("protocol", "0"), 0, 255),
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
