"""Eyes on a namespace: what leaves a device and what rtnetlink tells, in the order in which it was made."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct
import time
from types import TracebackType
from typing import Final, NamedTuple

from ...address import LinkAddress
from ...core.constants import AF_INET
from ...core.events import DelNeighbour, Miss, NewNeighbour, Notification
from ...kernel.framing import messages
from ...kernel.rtnetlink import NeighbourMessage, decode
from ...kernel.uapi import RTNLGRP_NEIGH
from ..namespace import Namespace
from .model import DEVICE
from .trace import describe_frame

__all__ = ["Seen", "Watch", "as_notification"]

_ETH_P_ALL: Final = 0x0003
_SOL_NETLINK: Final = 270
_NETLINK_ADD_MEMBERSHIP: Final = 1
_SO_TIMESTAMPNS: Final = 35
_SO_RCVBUFFORCE: Final = 33
_TIMESPEC: Final = struct.Struct("=qq")
_JIFFY: Final = 0.004
_BUFFER: Final = 1 << 22


class Seen(NamedTuple):
    """A notification or a frame, and when, seconds of the monotonic clock."""

    time: float
    notification: Notification | None
    frame: tuple[str, str] | None


class Watch:
    """A capture of what a device sends, and a member of RTNLGRP_NEIGH.

    The capture sees a frame inside the call that sends it. Between the two sockets the order is that in
    which they became readable.

    Attributes:
        blurred: we came too late to see the order of some frame and notifications.
        beats: when the machine's managed work ran, seconds; see :meth:`listen_to_beats`.
    """

    def __init__(self, node: Namespace, device: str) -> None:
        self._index = node.link(device).index
        self.beats: list[float] = []
        self.blurred: bool = False
        self._clocks = time.time() - time.monotonic()
        self._others: list[socket.socket] = []
        self._stack = contextlib.ExitStack()
        self._epoll = self._stack.enter_context(select.epoll())
        self._monitor = self._stack.enter_context(node.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
        self._monitor.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self._monitor.bind((0, 0))
        self._monitor.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, RTNLGRP_NEIGH)
        self.add(self._monitor)
        self._capture = self._open_capture(node, device, _ETH_P_ALL)
        self._metronome: socket.socket | None = None

    def _open_capture(self, node: Namespace, device: str, protocol: int) -> socket.socket:
        capture = self._stack.enter_context(node.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
        capture.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        capture.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        capture.bind((device, protocol))
        self.add(capture)
        return capture

    def add(self, sock: socket.socket) -> None:
        """Have :meth:`poll` return when ``sock`` has something to read, too; its owner reads it."""
        sock.setblocking(False)
        self._epoll.register(sock.fileno(), select.EPOLLIN | select.EPOLLET)

    def listen_to_beats(self, node: Namespace, device: str) -> None:
        """Note when the first probe of an entry of this device leaves that nothing but managed work uses."""
        self._metronome = self._open_capture(node, device, _ETH_P_ALL)

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def poll(self, seconds: float) -> list[Seen]:
        """Wait at most so long for something to happen; return what did."""
        found: list[Seen] = []
        told = 0
        for descriptor, _ in self._epoll.poll(seconds):
            if descriptor == self._monitor.fileno():
                self._read_monitor(found)
                told = len(found)
            elif descriptor == self._capture.fileno():
                self._read_capture(found)
                # Which of the notifications the frame came after cannot be told any more.
                self.blurred = self.blurred or 1 < told < len(found)
            elif self._metronome is not None and descriptor == self._metronome.fileno():
                self.beats.extend(when - _JIFFY for when, _ in self._frames(self._metronome))
        return found

    def _read_monitor(self, found: list[Seen]) -> None:
        while True:
            now = time.monotonic()
            try:
                data, (port, _) = self._monitor.recvfrom(65536)
            except BlockingIOError:
                return
            if port:
                continue
            for message in messages(data):
                entry = decode(message)
                if (
                    isinstance(entry, NeighbourMessage)
                    and entry.index == self._index
                    and entry.family == AF_INET
                ):
                    found.append(Seen(now, as_notification(entry, now), None))

    def _read_capture(self, found: list[Seen]) -> None:
        for when, frame in self._frames(self._capture):
            described = describe_frame(frame)
            if described is not None:
                found.append(Seen(when, None, described))

    def _frames(self, capture: socket.socket) -> list[tuple[float, bytes]]:
        found: list[tuple[float, bytes]] = []
        while True:
            try:
                frame, control, _, address = capture.recvmsg(2048, 64)
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno != errno.ENETDOWN:
                    raise
                continue
            if address[2] == socket.PACKET_OUTGOING:
                seconds, nanoseconds = _TIMESPEC.unpack(control[0][2][: _TIMESPEC.size])
                found.append((seconds + nanoseconds / 1e9 - self._clocks, frame))


def as_notification(entry: NeighbourMessage, now: float) -> Notification:
    """A message of the kernel's as the notification that the engine makes of the same entry."""
    kind = {"new": NewNeighbour, "del": DelNeighbour, "miss": Miss}[entry.kind]
    return kind(
        time=now,
        family=entry.family,
        key=entry.ip,
        device=DEVICE,
        lladdr=None if entry.lladdr is None else LinkAddress(entry.lladdr),
        state=entry.state,
        flags=entry.flags,
        type=entry.type,
        probes=entry.probes,
        confirmed=now - entry.confirmed,
        used=now - entry.used,
        updated=now - entry.updated,
        refcnt=entry.refcnt,
        protocol=entry.protocol,
        row=0,
    )
