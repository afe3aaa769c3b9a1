"""The floor under a scan: requests out, replies in, a dict; no entries, no states, no retries.

floor_scan.py plain|trio NETWORK DEVICE SOURCE
"""

from __future__ import annotations

import ipaddress
import select
import socket
import struct
import sys
from collections.abc import Iterator
from itertools import islice

BATCH = 64
PATIENCE = 1.0
HEAD = struct.Struct("!HHBBH6s4s6s4s")


def requests(network: str, lladdr: bytes, source: bytes) -> Iterator[bytes]:
    head = b"\xff" * 6 + lladdr + b"\x08\x06"
    first, count = int(ipaddress.ip_network(network)[0]), ipaddress.ip_network(network).num_addresses
    for number in range(first, first + count):
        yield head + HEAD.pack(1, 0x0800, 6, 4, 1, lladdr, source, bytes(6), number.to_bytes(4, "big"))


class Scan:
    """A socket, what is still to be asked, and who answered."""

    def __init__(self, network: str, device: str, source: str) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        self.socket.bind((device, 0x0806))
        self.lladdr = self.socket.getsockname()[4]
        self.frames = requests(network, self.lladdr, socket.inet_aton(source))
        self.count = ipaddress.ip_network(network).num_addresses
        self.found: dict[bytes, bytes] = {}
        self.buffer = bytearray(2048)

    def send(self) -> bool:
        """Send a batch; False when there is nothing left."""
        batch = list(islice(self.frames, BATCH))
        for frame in batch:
            self.socket.send(frame)
        return bool(batch)

    def receive(self) -> bool:
        """Take in a batch; False when nothing more has arrived."""
        buffer, receive = self.buffer, self.socket.recv_into
        try:
            for _ in range(BATCH):
                receive(buffer)
                if buffer[20:22] == b"\0\2":
                    self.found[bytes(buffer[28:32])] = bytes(buffer[22:28])
        except BlockingIOError:
            return False
        return True


def plain(scan: Scan) -> None:
    while scan.send():
        while scan.receive():
            pass
    while len(scan.found) < scan.count and select.select([scan.socket], [], [], PATIENCE)[0]:
        scan.receive()


async def on_trio(scan: Scan) -> None:
    import trio

    async def receive() -> None:
        with trio.move_on_after(PATIENCE) as scope:
            while len(scan.found) < scan.count:
                await trio.lowlevel.wait_readable(scan.socket)
                scope.deadline = trio.current_time() + PATIENCE
                while scan.receive():  # noqa: ASYNC110  # batches
                    await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        while scan.send():  # noqa: ASYNC110  # batches
            await trio.lowlevel.checkpoint()


if __name__ == "__main__":
    scan = Scan(*sys.argv[2:])
    if sys.argv[1] == "plain":
        plain(scan)
    else:
        import trio

        trio.run(on_trio, scan)
    sys.stdout.write(
        "".join([f"{'.'.join(map(str, ip))}\t{lladdr.hex(':')}\n" for ip, lladdr in scan.found.items()])
    )
