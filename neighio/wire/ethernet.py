"""Ethernet II framing, and the group addresses that IP multicast maps to."""

from __future__ import annotations

from typing import Final

__all__ = [
    "BROADCAST",
    "DROP_ETHERNET_TRUNCATED",
    "DROP_VLAN_TAGGED",
    "ETH_ALEN",
    "ETH_HLEN",
    "ETH_P_8021AD",
    "ETH_P_8021Q",
    "ETH_P_ARP",
    "ETH_P_IP",
    "ETH_P_IPV6",
    "build",
    "ipv4_multicast_lladdr",
    "ipv6_multicast_lladdr",
    "is_group",
]

ETH_P_IP: Final = 0x0800
ETH_P_ARP: Final = 0x0806
ETH_P_8021Q: Final = 0x8100
ETH_P_IPV6: Final = 0x86DD
ETH_P_8021AD: Final = 0x88A8

ETH_ALEN: Final = 6
"""Octets in an Ethernet address."""

ETH_HLEN: Final = 14
"""Octets in an untagged Ethernet header: destination, source, ethertype."""

BROADCAST: Final = b"\xff" * ETH_ALEN

DROP_ETHERNET_TRUNCATED: Final = "ethernet_truncated"
"""The frame ends before its Ethernet header does."""

DROP_VLAN_TAGGED: Final = "vlan_tagged"
"""The frame belongs to a VLAN, hence to another device than the one it was read from."""


def build(dst: bytes, src: bytes, ethertype: int, payload: bytes) -> bytes:
    """Return one frame, neither padded to the minimum of 60 octets nor followed by an FCS.

    ``dst`` and ``src`` are 6 packed octets each, ``ethertype`` is below 2**16. None is checked: the
    caller is the send path, and its addresses were checked where they came in.
    """
    return dst + src + ethertype.to_bytes(2, "big") + payload


def is_group(lladdr: bytes) -> bool:
    """Whether a link-layer address of at least one octet is multicast or broadcast (IEEE 802, I/G bit)."""
    return lladdr[0] & 1 == 1


def ipv4_multicast_lladdr(ip: bytes) -> bytes:
    """Return the Ethernet address of an IPv4 multicast group, 4 packed octets (RFC 1112, section 6.4).

    The low 23 bits of the group go below 01:00:5e, so 32 groups share each address.
    """
    return bytes((0x01, 0x00, 0x5E, ip[1] & 0x7F, ip[2], ip[3]))


def ipv6_multicast_lladdr(ip: bytes) -> bytes:
    """Return the Ethernet address of an IPv6 multicast group, 16 packed octets (RFC 2464, section 7).

    The low 32 bits of the group go below 33:33.
    """
    return b"\x33\x33" + ip[12:16]
