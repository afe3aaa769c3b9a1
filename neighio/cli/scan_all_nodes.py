"""Which IPv6 stations are on a link? An echo request to all nodes, and whoever answers it.

It goes through the kernel, whose the addresses are (RFC 4443 4.1; ``ping ff02::1%eth0`` does the same).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import trio

from ..address import format_ip, parse_ip
from ..wire.icmp import ICMPV6_ECHO_REPLY, ICMPV6_ECHO_REQUEST
from ..wire.ipv6 import ALL_NODES, is_multicast

__all__ = ["AllNodes"]

MOST: Final = 1 << 16
"""How many stations are remembered: what a link's stations say is bounded, too."""

ICMPV6_FILTER: Final = 1
"""ICMPV6_FILTER of linux/icmpv6.h: a bit for each type that is not wanted."""

IPV6_PKTINFO: Final = 50
"""IPV6_PKTINFO of linux/in6.h, which not every Python has a name for."""

BUFFER: Final = 1 << 20
"""Octets that may wait to be read: all answers come within a moment."""

_HEADER: Final = struct.Struct("!BBHHH")
_COOKIE: Final = 8


class AllNodes:
    """The stations of a link that have answered an echo request to all nodes.

    Args:
        device: the device's name; ``index``: its index.
        sources: own addresses of the device, packed, each of which asks: a station answers from an address of
            the scope of whom it answers.

    Attributes:
        found: the addresses that answered, in the order of their answers.
        sent: how many requests were sent.
        failure: why the kernel did not send one; there were no more then.
    """

    def __init__(self, device: str, index: int, sources: Sequence[bytes]) -> None:
        self._device = device
        self._index = index
        self._sources = tuple(sources)
        self._body = os.urandom(_COOKIE)
        self._identifier = int.from_bytes(os.urandom(2), "big")
        self.found: dict[bytes, None] = {}
        self.sent: int = 0
        self.failure: OSError | None = None

    async def ask(
        self, tries: int, interval: float, tried: trio.MemorySendChannel[None] | None = None
    ) -> None:
        """Ask so often, and listen for ``interval`` seconds after each time; then tell ``tried`` of it."""
        try:
            wire = trio.socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        except OSError as error:
            self.failure = error
            await trio.lowlevel.checkpoint()
            return
        with wire:
            async with trio.open_nursery() as nursery:
                try:
                    self._prepare(wire)
                    nursery.start_soon(self._listen, wire)
                    for number in range(tries):
                        for source in self._sources:
                            await self._send(wire, source, number)
                        await trio.sleep(interval)
                        if tried is not None:
                            # Who has not read the last one yet will find these stations, too.
                            with suppress(trio.WouldBlock):
                                tried.send_nowait(None)
                except OSError as error:
                    self.failure = error
                nursery.cancel_scope.cancel()

    def _prepare(self, wire: trio.socket.SocketType) -> None:
        wanted = ICMPV6_ECHO_REPLY
        words = [
            0xFFFFFFFF & ~(1 << wanted % 32) if word == wanted // 32 else 0xFFFFFFFF for word in range(8)
        ]
        wire.setsockopt(socket.IPPROTO_ICMPV6, ICMPV6_FILTER, struct.pack("=8I", *words))
        wire.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._device.encode())
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)

    async def _send(self, wire: trio.socket.SocketType, source: bytes, number: int) -> None:
        # The checksum is the kernel's to fill in.
        message = _HEADER.pack(ICMPV6_ECHO_REQUEST, 0, 0, self._identifier, number) + self._body
        control = struct.pack("=16si", source, self._index)
        address = format_ip(ALL_NODES), 0, 0, self._index
        await wire.sendmsg([message], [(socket.IPPROTO_IPV6, IPV6_PKTINFO, control)], 0, address)
        self.sent += 1

    async def _listen(self, wire: trio.socket.SocketType) -> None:
        while True:
            data, sender = await wire.recvfrom(2048)
            answer = len(data) >= _HEADER.size and _HEADER.unpack_from(data)
            if answer and answer[3] == self._identifier and data[_HEADER.size :] == self._body:
                ip, _ = parse_ip(sender[0].partition("%")[0])
                if not is_multicast(ip) and len(self.found) < MOST:
                    self.found[ip] = None
