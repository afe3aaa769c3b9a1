"""What was seen, in the words of a trace: frames of the node's, notifications, entries."""

from __future__ import annotations

from typing import Final

from ...address import LinkAddress, format_ip
from ...core.constants import NTF_EXT_VALIDATED
from ...core.events import NewNeighbour, Notification
from ...wire import arp, ipv6, ndisc
from ...wire.ethernet import BROADCAST, ETH_HLEN
from .model import DEVICE

__all__ = ["HOST_MARK", "describe_entry", "describe_frame", "describe_notification"]

HOST_MARK: Final = "(host)"
"""Ends the line of a frame that only the owner of an address sends."""

UNSEEN: Final = format_ip(ipv6.ALL_MLDV2_ROUTERS)
"""Whom a kernel tells of the groups that it has joined, at times of its own; nothing of it enters a trace."""

_IPV4: Final = b"\x08\x00"
_IPV6: Final = b"\x86\xdd"
_IPPROTO_UDP: Final = 17
_UDP_HLEN: Final = 8


def describe_notification(event: Notification) -> tuple[str, str] | None:
    """(neighbour, text) of a notification: as ``ip monitor neigh`` has it, and NDA_PROBES and references."""
    words = str(event).replace(f" dev {DEVICE}", "").split()
    prefix = ""
    if words[0] in ("Deleted", "miss"):
        prefix = words.pop(0) + " "
    if words[0] == UNSEEN:
        return None
    if not event.state:
        words.append("NONE")
    if event.flags & NTF_EXT_VALIDATED:
        words.append("extern_valid")
    return words[0], f"{prefix}{' '.join(words[1:])} probes {event.probes} refcnt {event.refcnt}"


def describe_entry(event: NewNeighbour, now: float) -> str:
    """An entry as a dump has it, with its ages."""
    described = describe_notification(event)
    text = "" if described is None else described[1]
    ages = (now - event.used, now - event.confirmed, now - event.updated)
    return f"{text} used {ages[0]:.2f} confirmed {ages[1]:.2f} updated {ages[2]:.2f}"


def describe_frame(frame: bytes) -> tuple[str, str] | None:
    """(neighbour, text) of a frame that the node sent: ARP, Neighbour Discovery, or one of the scenario's
    packets. The neighbour is who is asked for, or who is told."""
    to = "broadcast" if frame[:6] == BROADCAST else str(LinkAddress(frame[:6]))
    fields = arp.parse(frame)
    if not isinstance(fields, str):
        return _arp(fields, to, len(frame))
    ethertype = frame[12:14]
    if ethertype == _IPV4 and frame[ETH_HLEN + 9] == _IPPROTO_UDP:
        return _packet(frame[ETH_HLEN + 16 : ETH_HLEN + 20], frame[ETH_HLEN + 20 :], to)
    if ethertype == _IPV6:
        message = ndisc.parse(frame)
        if not isinstance(message, str):
            return _ndisc(frame, message, to)
        if frame[ETH_HLEN + 6] == ipv6.IPPROTO_UDP:
            return _packet(frame[ETH_HLEN + 24 : ETH_HLEN + 40], frame[ETH_HLEN + ipv6.IPV6_HLEN :], to)
    return None


def _packet(target: bytes, datagram: bytes, to: str) -> tuple[str, str]:
    payload = datagram[_UDP_HLEN:]
    text = f"packet {payload[:4].decode('ascii', 'replace')} to {to} octets {len(payload)}"
    return format_ip(target), text


def _arp(fields: tuple[int, bytes, bytes, bytes, bytes], to: str, length: int) -> tuple[str, str]:
    op, spa, sha, tpa, tha = fields
    sender, target = format_ip(spa), format_ip(tpa)
    padding = "" if length == 42 else f" length {length}"
    if op == arp.ARPOP_REPLY or spa == tpa:
        kind = "reply" if op == arp.ARPOP_REPLY else "request"
        return target, f"arp {kind} to {to} {sender} is-at {LinkAddress(sha)}{padding} {HOST_MARK}"
    asks = "" if not any(tha) else f" tha {LinkAddress(tha)}"
    return target, f"arp request to {to} tell {sender}{asks}{padding}"


def _ndisc(frame: bytes, message: ndisc.Fields, to: str) -> tuple[str, str]:
    traffic_class = int.from_bytes(frame[ETH_HLEN : ETH_HLEN + 2], "big") >> 4 & 0xFF
    ends = f"to {to} src {format_ip(message.src)} dst {format_ip(message.dst)}"
    if traffic_class:
        ends += f" tclass {traffic_class}"
    match message:
        case ndisc.Solicitation(src, _, target, lladdr, nonce):
            text = f"ns {ends} sllao {_lladdr(lladdr)}" + (" nonce" if nonce else "")
            return format_ip(target), f"{text} {HOST_MARK}" if src == ipv6.UNSPECIFIED else text
        case ndisc.Advertisement(_, dst, target, lladdr, router, solicited, override):
            letters = "R" * router + "S" * solicited + "O" * override or "none"
            text = f"na {ends} target {format_ip(target)} flags {letters} tllao {_lladdr(lladdr)} {HOST_MARK}"
            return format_ip(dst), text
        case ndisc.RouterSolicitation():
            return format_ip(message.dst), f"rs {ends} sllao {_lladdr(message.lladdr)} {HOST_MARK}"
        case ndisc.RouterAdvertisement():
            return format_ip(message.dst), f"ra {ends} {HOST_MARK}"
        case ndisc.RedirectMessage():
            return format_ip(message.dst), f"redirect {ends} {HOST_MARK}"


def _lladdr(lladdr: bytes | None) -> str:
    return "none" if lladdr is None else str(LinkAddress(lladdr))
