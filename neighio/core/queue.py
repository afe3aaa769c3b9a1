"""Packets, and the queue in which they wait while an entry is INCOMPLETE."""

from __future__ import annotations

from collections import deque
from typing import Final

from .constants import AF_INET, AF_INET6

__all__ = [
    "NEIGH_CREATEFAIL",
    "NEIGH_DEAD",
    "NEIGH_FAILED",
    "NEIGH_QUEUEFULL",
    "QUEUE_PURGE",
    "Packet",
    "ResolutionQueue",
    "truesize",
]

# Why a packet or a frame was dropped: the kernel's reasons (SKB_DROP_REASON_*), which name our counters.
NEIGH_CREATEFAIL: Final = "neigh_createfail"
NEIGH_DEAD: Final = "neigh_dead"
NEIGH_FAILED: Final = "neigh_failed"
NEIGH_QUEUEFULL: Final = "neigh_queuefull"
QUEUE_PURGE: Final = "queue_purge"

_SOURCE: Final = {AF_INET: slice(12, 16), AF_INET6: slice(8, 24)}
_TRUESIZES: Final = ((128, 832), (576, 1280), (1500, 2304))


def truesize(length: int) -> int:
    """What the kernel charges for a packet of ``length`` octets: a model of skb->truesize."""
    for limit, size in _TRUESIZES:
        if length <= limit:
            return size
    return length + 768


class Packet:
    """An IP packet on its way to a neighbour. Its identity is its ticket: outputs name the object.

    ``key`` is the neighbour to which it left, packed; empty before. ``given`` is False for a protocol's own
    message, of which nobody waits to hear.
    """

    __slots__ = ("data", "family", "given", "key", "source", "truesize")

    def __init__(self, data: bytes, family: int, *, given: bool = True) -> None:
        self.given: bool = given
        self.data: bytes = data
        self.family: int = family
        self.key: bytes = b""
        self.truesize: int = truesize(len(data))
        self.source: bytes = data[_SOURCE[family]]


class ResolutionQueue:
    """The packets that wait for one address (arp_queue), oldest first, bounded by their truesize."""

    __slots__ = ("octets", "packets")

    def __init__(self) -> None:
        self.packets: deque[Packet] = deque()
        self.octets: int = 0

    def push(self, packet: Packet, limit: int) -> list[Packet]:
        """Append a packet and return those that had to go, oldest first.

        A queue that holds nothing takes any packet: a limit of 0 still holds the newest one.
        """
        dropped = []
        while self.packets and self.octets + packet.truesize > limit:
            dropped.append(self.pop())
        self.packets.append(packet)
        self.octets += packet.truesize
        return dropped

    def pop(self) -> Packet:
        packet = self.packets.popleft()
        self.octets -= packet.truesize
        return packet

    def remove(self, packet: Packet) -> bool:
        """Take a packet out, and say whether it was there."""
        try:
            self.packets.remove(packet)
        except ValueError:
            return False
        self.octets -= packet.truesize
        return True
