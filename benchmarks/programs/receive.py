"""The way in: frames a second that a client's table takes, from its packet socket to the last of their
effects, beside a bare recvfrom_into loop on the same socket buffer; by the thread's CPU time.

receive.py neighio|scapy BATCHES

Frames are sent in batches from the other end of the link, in the same thread: what the kernel does to
deliver them is done when sending returns, and is not counted.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import thread_time_ns

import trio

import neighio
from benchmarks import frames, stage
from neighio.address import LinkAddress, parse_ip
from neighio.core.constants import AF_INET, AF_INET6, NUD_REACHABLE
from neighio.testing import Peer

KNOWN = 1024
BATCH = 128
OURS = LinkAddress(stage.NEAR_LLADDR)
US, US6 = (parse_ip(address.partition("/")[0])[0] for address in stage.NEAR_ADDRESSES[:2])


def kinds() -> dict[str, list[bytes]]:
    """What is received, by the line's key."""
    known = range(KNOWN)
    refreshing = [frames.arp_reply(frames.ipv4(18, n), frames.lladdr_of(n), US, OURS) for n in known]
    others = [
        frames.arp_request(frames.ipv4(18, n + KNOWN), frames.lladdr_of(n), frames.ipv4(18, 7)) for n in known
    ]
    return {
        "refresh": refreshing,
        "nobody": others,
        "malformed": [frames.malformed(frame) for frame in refreshing],
        "refresh6": [frames.advertisement(frames.ipv6(n), frames.lladdr_of(n), US6, OURS) for n in known],
    }


def batches(sent: Sequence[bytes], count: int) -> Iterator[Sequence[bytes]]:
    for number in range(count):
        start = number * BATCH % KNOWN
        yield sent[start : start + BATCH]


@contextmanager
def sender(peer: Peer) -> Iterator[Callable[[bytes], int]]:
    with peer.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind((stage.FAR, 0))
        yield wire.send


async def by_table(
    sent: dict[str, list[bytes]], count: int, send: Callable[[bytes], int]
) -> dict[str, float]:
    found = {}
    async with neighio.open_table(stage.NEAR) as table:
        for cache in (table.arp, table.ndisc):
            cache.gc_thresh1, cache.gc_thresh2, cache.gc_thresh3 = 2 * KNOWN, 3 * KNOWN, 4 * KNOWN
        for number in range(KNOWN):
            for ip in (frames.ipv4(18, number), frames.ipv6(number)):
                table.add(ip, stage.NEAR, frames.lladdr_of(number), nud=NUD_REACHABLE)
        driver, index = table._driver, table.devices[stage.NEAR].index
        for kind, which in sent.items():
            spent = received = 0
            for batch in batches(which, count):
                for frame in batch:
                    send(frame)
                begin = thread_time_ns()
                # What the table's own task does once it is woken.
                while driver.drain(index):  # noqa: ASYNC110  # batches
                    await trio.lowlevel.checkpoint()
                spent += thread_time_ns() - begin
                received += len(batch)
            found[kind] = received / spent * 1e9
        check(table)
    return found


def check(table: neighio.NeighbourTable) -> None:
    """Every frame has to have had the effect that its kind is for."""
    for family in (AF_INET, AF_INET6):
        cache = table._driver.engine.caches[family]
        assert cache.entries == KNOWN
        assert all(neighbour.nud_state == NUD_REACHABLE for neighbour in map(cache.handle, cache.rows()))
    (dropped,) = table.statistics().drops.values()
    assert dropped.get("arp_header") or sum(dropped.values()) > 0, dropped


def by_loop(sent: dict[str, list[bytes]], count: int, send: Callable[[bytes], int]) -> dict[str, float]:
    """recvfrom_into, and nothing else."""
    found = {}
    buffer = bytearray(2048)
    for kind, which in sent.items():
        ethertype = 0x86DD if kind.endswith("6") else 0x0806
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ethertype)) as wire:
            wire.bind((stage.NEAR, ethertype))
            wire.setblocking(False)
            wire.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
            receive = wire.recvfrom_into
            spent = received = 0
            for batch in batches(which, count):
                for frame in batch:
                    send(frame)
                begin = thread_time_ns()
                try:
                    while True:
                        receive(buffer)
                        received += 1
                except BlockingIOError:
                    pass
                spent += thread_time_ns() - begin
        # And what the kernel at the other end has to say for itself.
        assert received >= count * BATCH, (kind, received)
        found[f"{kind}|recvfrom_into"] = received / spent * 1e9
    return found


def neighio_and_floor(count: int) -> dict[str, float]:
    sent = kinds()
    with stage.link() as peer, sender(peer) as send:
        return by_loop(sent, count, send) | trio.run(by_table, sent, count, send)


def scapy(count: int) -> dict[str, float]:
    """Taking the frames apart; there is no table behind it."""
    from scapy.layers.inet6 import IPv6  # noqa: F401  # has Ether know IPv6
    from scapy.layers.l2 import Ether

    found = {}
    for kind, which in kinds().items():
        begin = thread_time_ns()
        for frame in which[: 32 * count]:
            Ether(frame)
        found[kind] = len(which[: 32 * count]) / (thread_time_ns() - begin) * 1e9
    return found


if __name__ == "__main__":
    run = {"neighio": neighio_and_floor, "scapy": scapy}[sys.argv[1]]
    print(json.dumps(run(int(sys.argv[2]))))
