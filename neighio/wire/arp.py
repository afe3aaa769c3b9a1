"""ARP for IPv4 over Ethernet (RFC 826), as strict and as lenient as Linux is.

Addresses come in the order of their use, protocol address first: ``(op, spa, sha, tpa, tha)``. On
the wire it is the other way round, hardware address first.
"""

from __future__ import annotations

import struct
from typing import Final, TypeAlias

from .ethernet import (
    DROP_ETHERNET_TRUNCATED,
    DROP_VLAN_TAGGED,
    ETH_ALEN,
    ETH_HLEN,
    ETH_P_8021AD,
    ETH_P_8021Q,
    ETH_P_ARP,
    ETH_P_IP,
)
from .ipv4 import IPV4_ALEN

__all__ = [
    "ARPOP_REPLY",
    "ARPOP_REQUEST",
    "DROP_ARP_HLN",
    "DROP_ARP_HRD",
    "DROP_ARP_OP",
    "DROP_ARP_PLN",
    "DROP_ARP_PRO",
    "DROP_ARP_TRUNCATED",
    "DROP_ETHERNET_TRUNCATED",
    "DROP_NOT_ARP",
    "DROP_REASONS",
    "DROP_VLAN_TAGGED",
    "ArpFields",
    "build",
    "parse",
]

ARPOP_REQUEST: Final = 1
ARPOP_REPLY: Final = 2

ARPHRD_ETHER: Final = 1
ARPHRD_IEEE802: Final = 6

DROP_NOT_ARP: Final = "not_arp"
"""The frame carries another protocol."""

DROP_ARP_TRUNCATED: Final = "arp_truncated"
"""The frame is too short for an ARP message with the device's hardware address length."""

DROP_ARP_HLN: Final = "arp_hln"
"""The hardware address length is not the device's."""

DROP_ARP_PLN: Final = "arp_pln"
"""The protocol address length is not 4."""

DROP_ARP_HRD: Final = "arp_hrd"
"""The hardware type is neither Ethernet (1) nor IEEE 802 (6)."""

DROP_ARP_PRO: Final = "arp_pro"
"""The protocol is not IPv4."""

DROP_ARP_OP: Final = "arp_op"
"""The operation is neither request nor reply: RARP, InARP and the like."""

DROP_REASONS: Final = (
    DROP_ETHERNET_TRUNCATED,
    DROP_VLAN_TAGGED,
    DROP_NOT_ARP,
    DROP_ARP_TRUNCATED,
    DROP_ARP_HLN,
    DROP_ARP_PLN,
    DROP_ARP_HRD,
    DROP_ARP_PRO,
    DROP_ARP_OP,
)
"""Every reason for which :func:`parse` refuses a frame, in the order in which they are judged."""

ArpFields: TypeAlias = "tuple[int, bytes, bytes, bytes, bytes]"
"""``(op, spa, sha, tpa, tha)``."""

_ETHERTYPE_ARP: Final = ETH_P_ARP.to_bytes(2, "big")
_ETHERTYPES_VLAN: Final = (ETH_P_8021Q.to_bytes(2, "big"), ETH_P_8021AD.to_bytes(2, "big"))

# Index: the hardware address length, up to the kernel's MAX_ADDR_LEN.
_LAYOUTS: Final = tuple(struct.Struct(f"!HHBBH{n}s4s{n}s4s") for n in range(33))

_FRAME: Final = struct.Struct("!6s6s8sH6s4s6s4s")
_CONSTANT_PART: Final = struct.pack("!HHHBB", ETH_P_ARP, ARPHRD_ETHER, ETH_P_IP, ETH_ALEN, IPV4_ALEN)


def parse(frame: bytes, *, addr_len: int = ETH_ALEN) -> ArpFields | str:
    """Return the fields of a whole Ethernet frame, or the one of :data:`DROP_REASONS` that refuses it.

    Never raises, whatever the octets are. Octets after the message are padding and are ignored.
    ``addr_len`` is the device's link-layer address length, 0 to 32 octets. What the addresses mean
    is not judged here.

    The tests and their order are those of the kernel's ``arp_rcv`` and ``arp_process``: the room for
    the message is computed from the device's address length, before the message's own is looked at.
    """
    if len(frame) < ETH_HLEN:
        return DROP_ETHERNET_TRUNCATED
    ethertype = frame[12:14]
    if ethertype != _ETHERTYPE_ARP:
        return DROP_VLAN_TAGGED if ethertype in _ETHERTYPES_VLAN else DROP_NOT_ARP
    layout = _LAYOUTS[addr_len]
    if len(frame) < ETH_HLEN + layout.size:
        return DROP_ARP_TRUNCATED
    hrd, pro, hln, pln, op, sha, spa, tha, tpa = layout.unpack_from(frame, ETH_HLEN)
    if hln != addr_len:
        return DROP_ARP_HLN
    if pln != IPV4_ALEN:
        return DROP_ARP_PLN
    if hrd != ARPHRD_ETHER and hrd != ARPHRD_IEEE802:
        return DROP_ARP_HRD
    if pro != ETH_P_IP:
        return DROP_ARP_PRO
    if op != ARPOP_REQUEST and op != ARPOP_REPLY:
        return DROP_ARP_OP
    return op, spa, sha, tpa, tha


def build(op: int, spa: bytes, sha: bytes, tpa: bytes, tha: bytes, *, dst: bytes, src: bytes) -> bytes:
    """Return one Ethernet frame of 42 octets, unpadded, with an ARP message of hardware type 1.

    ``spa`` and ``tpa`` are 4 packed octets, ``sha``, ``tha``, ``dst`` and ``src`` 6. None is checked: the
    caller is the send path, and its addresses were checked where they came in.
    :class:`.arp_message.ArpMessage` checks.
    """
    return _FRAME.pack(dst, src, _CONSTANT_PART, op, sha, spa, tha, tpa)
