"""Frames that stations send each other in the rows, built once and sent many times."""

from __future__ import annotations

from neighio.wire import arp, ethernet, ndisc

__all__ = [
    "advertisement",
    "arp_reply",
    "arp_request",
    "ipv4",
    "ipv6",
    "lladdr_of",
    "malformed",
    "solicitation",
]


def ipv4(network: int, number: int) -> bytes:
    """The ``number``-th address of 198.18.0.0/16 or 198.19.0.0/16, packed."""
    return bytes((198, network)) + number.to_bytes(2, "big")


def ipv6(number: int) -> bytes:
    """The ``number``-th address of 2001:db8::1:0/112, packed."""
    return bytes.fromhex("20010db80000000000000000") + (0x10000 + number).to_bytes(4, "big")


def lladdr_of(number: int) -> bytes:
    """A locally administered address."""
    return b"\x02\x01" + number.to_bytes(4, "big")


def arp_request(ip: bytes, lladdr: bytes, target: bytes) -> bytes:
    return arp.build(arp.ARPOP_REQUEST, ip, lladdr, target, bytes(6), dst=ethernet.BROADCAST, src=lladdr)


def arp_reply(ip: bytes, lladdr: bytes, target: bytes, target_lladdr: bytes) -> bytes:
    return arp.build(arp.ARPOP_REPLY, ip, lladdr, target, target_lladdr, dst=target_lladdr, src=lladdr)


def malformed(frame: bytes) -> bytes:
    """An ARP frame whose hardware addresses are said to be 7 octets long."""
    return frame[:18] + b"\7" + frame[19:]


def solicitation(ip: bytes, lladdr: bytes, target: bytes) -> bytes:
    group = bytes.fromhex("ff0200000000000000000001ff") + target[13:]
    packet = ndisc.build_solicitation(ip, group, target, lladdr)
    return ethernet.build(ethernet.ipv6_multicast_lladdr(group), lladdr, ethernet.ETH_P_IPV6, packet)


def advertisement(ip: bytes, lladdr: bytes, target: bytes, target_lladdr: bytes) -> bytes:
    packet = ndisc.build_advertisement(ip, target, ip, lladdr, router=False, solicited=True, override=True)
    return ethernet.build(target_lladdr, lladdr, ethernet.ETH_P_IPV6, packet)
