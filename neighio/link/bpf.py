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

from ..wire.ethernet import ETH_ALEN

__all__ = ["Instruction", "Program", "encode", "frame_filter"]

LOAD_WORD: Final = 0x20
LOAD_HALF: Final = 0x28
JUMP_EQUAL: Final = 0x15
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

_ETHERTYPE: Final = 2 * ETH_ALEN
_REJECT: Final = -1
_ACCEPT: Final = -2


class Instruction(NamedTuple):
    """One ``struct sock_filter``: operation, jumps if true and if false, operand."""

    code: int
    jt: int
    jf: int
    k: int


Program: TypeAlias = "tuple[Instruction, ...]"


def frame_filter(protocols: Sequence[int], *, other_hosts: bool) -> Program:
    """Return the filter that takes frames of the given ethertypes, untagged, that came from outside.

    A frame with a VLAN tag whose id is not 0 belongs to another link, though it arrives with its tag
    stripped. A socket bound to every protocol (ETH_P_ALL) is shown it before the kernel looks for the
    VLAN's device, with the tag beside it. A socket bound to one protocol is shown it afterwards if there
    is no such device, and nothing but the packet type tells any more: the tag is forgotten, and the type
    is PACKET_OTHERHOST (``__netif_receive_skb_core``). So:

    Arguments:
        protocols: the ethertypes to take.
        other_hosts: False rejects PACKET_OTHERHOST, which is right on sockets bound to one protocol as
            long as frames to the interface's own address are all that is wanted; True takes it, for
            another address than the interface's, and must be used with ETH_P_ALL alone.
    """
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
    steps += [Instruction(JUMP_EQUAL, _ACCEPT, 0, protocol) for protocol in protocols]
    ends = {_REJECT: len(steps), _ACCEPT: len(steps) + 1}
    steps += [Instruction(RETURN, 0, 0, 0), Instruction(RETURN, 0, 0, WHOLE_FRAME)]
    return tuple(
        step._replace(jt=ends[step.jt] - position - 1) if step.jt in ends else step
        for position, step in enumerate(steps)
    )


def encode(program: Program) -> bytes:
    """Return a program as an array of ``struct sock_filter``."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
