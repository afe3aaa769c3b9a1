"""The classic BPF filter of a packet socket: it selects, it does not judge.

Only what cannot be seen in the frame itself is decided here, from what the kernel keeps beside it: the
stripped VLAN tag and the packet type. Whether a message is valid is judged, and counted, by
:mod:`neighio.wire`.

The numbers are those of linux/filter.h and linux/if_packet.h.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

from ..errors import InvalidAddress
from ..wire.ethernet import ETH_ALEN, ETH_HLEN, ETH_P_IP, ETH_P_IPV6
from ..wire.icmp import ICMPV6_ECHO_REQUEST
from ..wire.ipv4 import IPPROTO_ICMP, IPV4_ALEN
from ..wire.ipv6 import (
    IPPROTO_DSTOPTS,
    IPPROTO_FRAGMENT,
    IPPROTO_HOPOPTS,
    IPPROTO_ICMPV6,
    IPPROTO_ROUTING,
    IPV6_HLEN,
)
from ..wire.mld import MLD_LISTENER_REPORT
from ..wire.ndisc import ND_REDIRECT, ND_ROUTER_SOLICIT
from .base import CLIENT, Selection

__all__ = ["Instruction", "Program", "encode", "frame_filter"]

LOAD_WORD: Final = 0x20
LOAD_HALF: Final = 0x28
LOAD_BYTE: Final = 0x30
JUMP_EQUAL: Final = 0x15
JUMP_GREATER: Final = 0x25
JUMP_GREATER_OR_EQUAL: Final = 0x35
JUMP_SET: Final = 0x45
RETURN: Final = 0x06

ANCILLARY: Final = 0xFFFFF000
"""SKF_AD_OFF, -4096: loads from here on read what the kernel keeps beside the frame."""
PACKET_TYPE: Final = ANCILLARY + 4
VLAN_TAG: Final = ANCILLARY + 44
VLAN_TAG_PRESENT: Final = ANCILLARY + 48

VLAN_ID_MASK: Final = 0x0FFF
PACKET_OTHERHOST: Final = 3
PACKET_OUTGOING: Final = 4
WHOLE_FRAME: Final = 0xFFFFFFFF

MOST_ADDRESSES: Final = 128
"""Above that many own addresses a frame's IPv4 destination is not looked at: a jump's width is 8 bits."""

_ETHERTYPE: Final = 2 * ETH_ALEN
_IPV4_PROTOCOL: Final = ETH_HLEN + 9
_IPV4_DESTINATION: Final = ETH_HLEN + 16
_IPV6_NEXT_HEADER: Final = ETH_HLEN + 6
_ICMPV6_TYPE: Final = ETH_HLEN + IPV6_HLEN
# Neighbour Discovery may stand behind them, and is refused there: what refuses it is to see it.
_EXTENSIONS: Final = (IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPPROTO_FRAGMENT, IPPROTO_DSTOPTS)
_REJECT: Final = -1
_ACCEPT: Final = -2


class Instruction(NamedTuple):
    """One ``struct sock_filter``: operation, jumps if true and if false, operand."""

    code: int
    jt: int
    jf: int
    k: int


Program: TypeAlias = "tuple[Instruction, ...]"


def frame_filter(protocols: Sequence[int], selection: Selection = CLIENT, *, other_hosts: bool) -> Program:
    """Return the filter that takes frames of the given ethertypes, untagged, that came from outside.

    A frame with a VLAN tag whose id is not 0 belongs to another link, though it arrives with its tag
    stripped. A socket bound to every protocol (ETH_P_ALL) is shown it before the kernel looks for the
    VLAN's device, with the tag beside it. A socket bound to one protocol is shown it afterwards if there
    is no such device, and nothing but the packet type tells any more: the tag is forgotten, and the type
    is PACKET_OTHERHOST (``__netif_receive_skb_core``). So:

    Arguments:
        protocols: the ethertypes to take.
        selection: what to take of ETH_P_IPV6 and ETH_P_IP, where they are among the protocols. A frame
            that ends before what decides is not taken.
        other_hosts: False rejects PACKET_OTHERHOST, which is right on sockets bound to one protocol as
            long as frames to the interface's own address are all that is wanted; True takes it, for
            another address than the interface's, and must be used with ETH_P_ALL alone.

    Raises:
        InvalidAddress: ``selection.ipv4`` holds what is no packed IPv4 address.
    """
    for address in selection.ipv4:
        if len(address) != IPV4_ALEN:
            raise InvalidAddress(f"ipv4: {address!r} is not {IPV4_ALEN} packed octets")
    steps: list[Instruction] = [
        Instruction(LOAD_WORD, 0, 0, VLAN_TAG_PRESENT),
        Instruction(JUMP_EQUAL, 2, 0, 0),
        Instruction(LOAD_WORD, 0, 0, VLAN_TAG),
        Instruction(JUMP_SET, _REJECT, 0, VLAN_ID_MASK),
        Instruction(LOAD_WORD, 0, 0, PACKET_TYPE),
        # PACKET_IGNORE_OUTGOING (4.20) spares the filter's run; older kernels need its verdict.
        Instruction(JUMP_EQUAL, _REJECT, 0, PACKET_OUTGOING),
    ]
    if not other_hosts:
        steps.append(Instruction(JUMP_EQUAL, _REJECT, 0, PACKET_OTHERHOST))
    steps.append(Instruction(LOAD_HALF, 0, 0, _ETHERTYPE))
    for protocol in protocols:
        within = _within(protocol, selection)
        if within:
            steps += [Instruction(JUMP_EQUAL, 0, len(within), protocol), *within]
        else:
            steps.append(Instruction(JUMP_EQUAL, _ACCEPT, 0, protocol))
    ends = {_REJECT: len(steps), _ACCEPT: len(steps) + 1}
    steps += [Instruction(RETURN, 0, 0, 0), Instruction(RETURN, 0, 0, WHOLE_FRAME)]
    return tuple(
        step._replace(
            jt=ends[step.jt] - position - 1 if step.jt in ends else step.jt,
            jf=ends[step.jf] - position - 1 if step.jf in ends else step.jf,
        )
        for position, step in enumerate(steps)
    )


def encode(program: Program) -> bytes:
    """Return a program as an array of ``struct sock_filter``."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


def _within(protocol: int, selection: Selection) -> list[Instruction]:
    """What decides about a frame of that ethertype, to its end; nothing where every such frame is taken."""
    if protocol == ETH_P_IPV6:
        return [] if selection.packets else _within_ipv6(selection)
    return _within_ipv4(selection) if protocol == ETH_P_IP else []


def _within_ipv6(selection: Selection) -> list[Instruction]:
    # Echo request and reply, the query and the first version's report are neighbours in number, as are the
    # five of Neighbour Discovery.
    host = [
        Instruction(JUMP_GREATER_OR_EQUAL, 0, _REJECT, ICMPV6_ECHO_REQUEST),
        Instruction(JUMP_GREATER, 0, _ACCEPT, MLD_LISTENER_REPORT),
    ]
    return [
        Instruction(LOAD_BYTE, 0, 0, _IPV6_NEXT_HEADER),
        *(Instruction(JUMP_EQUAL, _ACCEPT, 0, extension) for extension in _EXTENSIONS),
        Instruction(JUMP_EQUAL, 0, _REJECT, IPPROTO_ICMPV6),
        Instruction(LOAD_BYTE, 0, 0, _ICMPV6_TYPE),
        *(host if selection.host else []),
        Instruction(JUMP_GREATER_OR_EQUAL, 0, _REJECT, ND_ROUTER_SOLICIT),
        Instruction(JUMP_GREATER, _REJECT, _ACCEPT, ND_REDIRECT),
    ]


def _within_ipv4(selection: Selection) -> list[Instruction]:
    if not selection.ipv4:
        return [Instruction(RETURN, 0, 0, 0)]
    addresses = sorted(selection.ipv4) if len(selection.ipv4) <= MOST_ADDRESSES else []
    steps = []
    if not selection.packets:
        steps += [
            Instruction(LOAD_BYTE, 0, 0, _IPV4_PROTOCOL),
            Instruction(JUMP_EQUAL, 0 if addresses else _ACCEPT, _REJECT, IPPROTO_ICMP),
        ]
    if addresses:
        own = [int.from_bytes(address, "big") for address in addresses]
        steps += [
            Instruction(LOAD_WORD, 0, 0, _IPV4_DESTINATION),
            *(Instruction(JUMP_EQUAL, _ACCEPT, 0, address) for address in own[:-1]),
            Instruction(JUMP_EQUAL, _ACCEPT, _REJECT, own[-1]),
        ]
    return steps
