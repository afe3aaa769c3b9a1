"""What the peer does, in words: the frames that it sends, and what it answers from now on."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from ...address import LinkAddress
from ...core.constants import AF_INET, AF_INET6
from ...wire import arp, ethernet, ipv6, ndisc
from ...wire.ethernet import BROADCAST, ETH_P_IPV6
from .model import NODE_LLADDR, PEER_LLADDR, Answer, Inject, Mute
from .words import (
    own_address,
    parse_address,
    parse_count,
    parse_lladdr,
    parse_octets,
    parse_options,
    parse_pairs,
    parse_seconds,
)

__all__ = ["PORT", "advertisement", "is_router_advertisement", "parse_peer", "udp_packet"]

ROUTER: Final = parse_address("fe80::b")
"""Who sends what only routers send, and who solicits routers: the peer, by its link-local address."""

AFTER: Final = 0.001
PORT: Final = 9
ROUTER_LIFETIME: Final = 1800


def udp_packet(source: bytes, target: bytes, payload: bytes) -> bytes:
    """An IP packet as the kernel would make it of a datagram to the discard port."""
    datagram = struct.pack("!HHHH", PORT, PORT, 8 + len(payload), 0) + payload
    if len(target) == ipv6.IPV6_ALEN:
        return ipv6.build(source, target, datagram, next_header=ipv6.IPPROTO_UDP, hop_limit=64)
    length = 20 + len(datagram)
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, length, 0, 0, 64, 17, 0, source, target) + datagram


def advertisement(asked: ndisc.Solicitation, asker: bytes, lladdr: bytes, flags: str) -> bytes:
    """The frame that tells ``asker`` the link-layer address of a target; ``flags`` are their letters."""
    packet = ndisc.build_advertisement(asked.target, asked.src, asked.target, lladdr, **_flags(flags))
    return ethernet.build(asker, lladdr, ETH_P_IPV6, packet)


def is_router_advertisement(frame: bytes) -> bool:
    """Whether a frame is a valid router advertisement: it may have a reachable_time drawn."""
    return isinstance(ndisc.parse(frame), ndisc.RouterAdvertisement)


def parse_peer(text: str, own: Iterable[bytes]) -> Inject | Answer | Mute:
    """``arp request|reply ...``, ``ns|na|rs|ra|redirect ...``, ``raw OCTETS``,
    ``answers IP [as LLADDR] [after S] [flags RSO]``, ``mute [IP]``.

    ``own`` are the node's addresses, for what is left out.
    """
    match text.split():
        case ["arp", ("request" | "reply") as op, *rest]:
            return Inject(_arp(op == "reply", rest, own))
        case [("ns" | "na" | "rs" | "ra" | "redirect") as kind, *rest]:
            return Inject(_ndisc(kind, rest, list(own)))
        case ["raw", *octets]:
            return Inject(parse_octets("".join(octets), 14))
        case ["answers", ip, *rest]:
            return _answer(parse_address(ip), rest)
        case ["mute"]:
            return Mute(None)
        case ["mute", ip]:
            return Mute(parse_address(ip))
        case _:
            raise ValueError(
                f"{text!r}: expected arp request ..., arp reply ..., ns ..., na ..., rs ..., ra ..., "
                "redirect ..., raw OCTETS, answers IP [as LLADDR] [after S] [flags RSO], mute [IP]"
            )


def _answer(ip: bytes, words: list[str]) -> Answer:
    known = ("as", "after", "flags") if len(ip) == ipv6.IPV6_ALEN else ("as", "after")
    options = parse_options(words, known)
    return Answer(
        ip,
        parse_lladdr(options["as"]) if "as" in options else PEER_LLADDR,
        parse_seconds(options.get("after", str(AFTER))),
        _letters(options.get("flags", "SO")),
    )


def _ipv4(text: str) -> bytes:
    return parse_address(text, AF_INET)


def _ipv6(text: str) -> bytes:
    return parse_address(text, AF_INET6)


def _destination(text: str) -> LinkAddress:
    if text == "unicast":
        return NODE_LLADDR
    return LinkAddress(BROADCAST) if text == "broadcast" else parse_lladdr(text)


def _arp(reply: bool, words: list[str], own: Iterable[bytes]) -> bytes:
    """``spa= sha= tpa= tha= to= src=``. Left out: ``sha`` is the peer's, ``tpa`` the node's, ``tha`` zeros in
    a request and the node's in a reply, ``to`` broadcast in a request and unicast (to the node) in a reply,
    ``src`` is ``sha``."""
    readers: dict[str, Callable[[str], bytes]] = {
        "spa": _ipv4,
        "sha": parse_lladdr,
        "tpa": _ipv4,
        "tha": parse_lladdr,
        "to": _destination,
        "src": parse_lladdr,
    }
    addresses = parse_pairs(words, readers)
    if "spa" not in addresses:
        raise ValueError(f"{' '.join(words)!r}: expected spa=, who sends")
    sha = addresses.get("sha", PEER_LLADDR)
    return arp.build(
        arp.ARPOP_REPLY if reply else arp.ARPOP_REQUEST,
        addresses["spa"],
        sha,
        addresses.get("tpa", own_address(own, addresses["spa"])),
        addresses.get("tha", NODE_LLADDR if reply else bytes(6)),
        dst=addresses.get("to", NODE_LLADDR if reply else BROADCAST),
        src=addresses.get("src", sha),
    )


# -- Neighbour Discovery


def _lladdr_or_none(text: str) -> LinkAddress | None:
    return None if text == "none" else parse_lladdr(text)


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r}: expected {' or '.join(words)}")
        return text

    return read


def _octet(text: str) -> int:
    return parse_count(text, 0, 255)


def _nonce(text: str) -> bytes:
    return parse_octets(text, 6)


def _letters(text: str) -> str:
    letters = "" if text == "none" else text
    if not set(letters) <= set("RSO") or len(set(letters)) != len(letters):
        raise ValueError(f"flags {text!r}: expected none, or letters of RSO")
    return letters


def _flags(letters: str) -> dict[str, bool]:
    return {"router": "R" in letters, "solicited": "S" in letters, "override": "O" in letters}


_EVERYWHERE: Final[Mapping[str, Callable[[str], Any]]] = {
    "src": _ipv6,
    "dst": _ipv6,
    "to": _destination,
    "from": parse_lladdr,
    "hop": _octet,
    "code": _octet,
    "options": parse_octets,
    "cut": lambda text: parse_count(text, 4, 1280),
    "checksum": _one_of("bad"),
    "fragment": _one_of("whole"),
}
_OWN: Final[Mapping[str, Mapping[str, Callable[[str], Any]]]] = {
    "ns": {"target": _ipv6, "sllao": _lladdr_or_none, "nonce": _nonce},
    "na": {"target": _ipv6, "flags": _letters, "tllao": _lladdr_or_none},
    "rs": {"sllao": _lladdr_or_none},
    "ra": {
        "lifetime": lambda text: parse_count(text, 0, 0xFFFF),
        "reachable": parse_seconds,
        "retrans": parse_seconds,
        "sllao": _lladdr_or_none,
    },
    "redirect": {
        "target": _ipv6,
        "dest": _ipv6,
        "tllao": _lladdr_or_none,
        "header": _one_of("none", "icmp", "udp"),
    },
}


def _ndisc(kind: str, words: list[str], own: list[bytes]) -> bytes:
    """One message of Neighbour Discovery; tests/scenarios/README.md says what it has unless told."""
    told = parse_pairs(words, {**_OWN[kind], **_EVERYWHERE})
    card = told.get("from") or told.get("sllao") or told.get("tllao") or PEER_LLADDR
    packet = _MESSAGES[kind](told, own, card)
    dst = packet[24:40]
    lladdr = ethernet.ipv6_multicast_lladdr(dst) if ipv6.is_multicast(dst) else NODE_LLADDR
    return ethernet.build(told.get("to", lladdr), card, ETH_P_IPV6, _distort(packet, told))


def _needed(told: Mapping[str, Any], name: str, what: str) -> bytes:
    if name not in told:
        raise ValueError(f"expected {name}=, {what}")
    ip: bytes = told[name]
    return ip


def _ns(told: Mapping[str, Any], own: list[bytes], card: bytes) -> bytes:
    src = _needed(told, "src", "who asks")
    target = told.get("target", own_address(own, src))
    dst = told.get("dst", ipv6.solicited_node(target))
    sllao = told.get("sllao", None if src == ipv6.UNSPECIFIED else card)
    return ndisc.build_solicitation(src, dst, target, sllao, told.get("nonce"))


def _na(told: Mapping[str, Any], own: list[bytes], card: bytes) -> bytes:
    target = _needed(told, "target", "whose address is told")
    src = told.get("src", target)
    flags = _flags(told.get("flags", "SO"))
    dst = told.get("dst", own_address(own, target))
    return ndisc.build_advertisement(src, dst, target, told.get("tllao", card), **flags)


def _rs(told: Mapping[str, Any], own: list[bytes], card: bytes) -> bytes:
    src = told.get("src", ROUTER)
    sllao = told.get("sllao", None if src == ipv6.UNSPECIFIED else card)
    return ndisc.build_router_solicitation(src, told.get("dst", ipv6.ALL_ROUTERS), sllao)


def _ra(told: Mapping[str, Any], own: list[bytes], card: bytes) -> bytes:
    return ndisc.build_router_advertisement(
        told.get("src", ROUTER),
        told.get("dst", ipv6.ALL_NODES),
        told.get("sllao", card),
        lifetime=told.get("lifetime", ROUTER_LIFETIME),
        reachable_time=told.get("reachable", 0.0),
        retrans_timer=told.get("retrans", 0.0),
    )


def _redirect(told: Mapping[str, Any], own: list[bytes], card: bytes) -> bytes:
    destination = _needed(told, "dest", "which destination is redirected")
    dst = told.get("dst", own_address(own, destination))
    caused = {
        "none": None,
        "icmp": ipv6.build(dst, destination, bytes((128, 0)) + bytes(14), hop_limit=64),
        "udp": udp_packet(dst, destination, b"#"),
    }[told.get("header", "none")]
    target = told.get("target", destination)
    return ndisc.build_redirect(
        told.get("src", ROUTER), dst, target, destination, told.get("tllao", card), caused
    )


_MESSAGES: Final[Mapping[str, Callable[[Mapping[str, Any], list[bytes], bytes], bytes]]] = {
    "ns": _ns,
    "na": _na,
    "rs": _rs,
    "ra": _ra,
    "redirect": _redirect,
}


def _distort(packet: bytes, told: Mapping[str, Any]) -> bytes:
    """The packet with what no honest sender does; the checksum is that of what results, unless told."""
    header, message = bytearray(packet[: ipv6.IPV6_HLEN]), bytearray(packet[ipv6.IPV6_HLEN :])
    message += told.get("options", b"")
    del message[told.get("cut", len(message)) :]
    message[1:4] = bytes((told.get("code", 0), 0, 0))
    value = ipv6.checksum(packet[8:24], packet[24:40], ipv6.IPPROTO_ICMPV6, bytes(message))
    message[2:4] = (value ^ ("checksum" in told)).to_bytes(2, "big")
    if "fragment" in told:
        # A fragment header that says: the first of one.
        header[6] = ipv6.IPPROTO_FRAGMENT
        message[:0] = bytes((ipv6.IPPROTO_ICMPV6, 0, 0, 0, 0, 0, 0, 1))
    header[4:6] = len(message).to_bytes(2, "big")
    header[7] = told.get("hop", 255)
    return bytes(header + message)
