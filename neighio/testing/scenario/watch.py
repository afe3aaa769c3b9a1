"""Eyes on a namespace: what leaves a device and what rtnetlink tells, in the order in which it was made."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from math import inf
from types import TracebackType
from typing import Final, NamedTuple, Protocol

from ...address import LinkAddress
from ...core.events import DelNeighbour, Miss, NewNeighbour, Notification
from ...kernel.framing import messages
from ...kernel.rtnetlink import NeighbourMessage, decode
from ...kernel.uapi import RTNLGRP_NEIGH
from ...link import bpf
from ...wire.ethernet import ETH_HLEN, ETH_P_ARP, ETH_P_IPV6
from ...wire.ipv6 import IPV6_HLEN
from ..namespace import Namespace
from .describe import describe_frame
from .model import DEVICE

__all__ = ["Seen", "Watch", "as_notification"]

_ETH_P_ALL: Final = 0x0003
_SOL_NETLINK: Final = 270
_NETLINK_ADD_MEMBERSHIP: Final = 1
_SO_TIMESTAMPNS: Final = 35
_SO_RCVBUFFORCE: Final = 33
_SO_ATTACH_FILTER: Final = 26
_TIMESPEC: Final = struct.Struct("=qq")
_JIFFY: Final = 0.004
_BUFFER: Final = 1 << 22
_READINGS: Final = 8

_ARP_REPLY: Final = 0x0002
_ICMPV6_OF_THE_LINK: Final = 0x3AFF
"""Next header and hop limit."""
_ADVERTISEMENT: Final = 0x8800
"""Type and code."""


def _outgoing(*, answers: bool) -> bpf.Program:
    """The filter that takes, of what leaves, answers for own addresses, or all else.

    What comes in would wake us before what it causes, and then both would be read together. And a
    notification stands between the packets that it follows and the answer that follows it: each has a
    socket of its own, and the order in which they became readable is the order in which they were made.
    """
    rest, answer, nothing = 11, 12, 13
    return tuple(
        bpf.Instruction(code, jt and jt - place - 1, jf and jf - place - 1, k)
        for place, (code, jt, jf, k) in enumerate(
            (
                (bpf.LOAD_WORD, 0, 0, bpf.PACKET_TYPE),
                (bpf.JUMP_EQUAL, 2, nothing, bpf.PACKET_OUTGOING),
                (bpf.LOAD_HALF, 0, 0, 12),
                (bpf.JUMP_EQUAL, 4, 6, ETH_P_ARP),
                (bpf.LOAD_HALF, 0, 0, ETH_HLEN + 6),
                (bpf.JUMP_EQUAL, answer, rest, _ARP_REPLY),
                (bpf.JUMP_EQUAL, 7, rest, ETH_P_IPV6),
                (bpf.LOAD_HALF, 0, 0, ETH_HLEN + 6),
                (bpf.JUMP_EQUAL, 9, rest, _ICMPV6_OF_THE_LINK),
                (bpf.LOAD_HALF, 0, 0, ETH_HLEN + IPV6_HLEN),
                (bpf.JUMP_EQUAL, answer, rest, _ADVERTISEMENT),
                (bpf.RETURN, 0, 0, 0 if answers else bpf.WHOLE_FRAME),
                (bpf.RETURN, 0, 0, bpf.WHOLE_FRAME if answers else 0),
                (bpf.RETURN, 0, 0, 0),
            )
        )
    )


class Readable(Protocol):
    """A socket, or what can be waited for like one."""

    def fileno(self) -> int: ...

    def setblocking(self, flag: bool, /) -> None: ...


class Seen(NamedTuple):
    """A notification or a frame, and when, seconds of the monotonic clock; of frames that nobody compares
    neither."""

    time: float
    notification: Notification | None
    frame: tuple[str, str] | None


class Watch:
    """Captures of what a device sends, and a member of RTNLGRP_NEIGH.

    A capture sees a frame inside the call that sends it. Between the sockets the order is that in which they
    became readable.

    Attributes:
        blurred: we came too late to see the order of some frame and notifications.
        beats: when the machine's managed work ran, seconds; see :meth:`listen_to_beats`.
        polled: when what was last found to be readable was; what is read may have come in later.
    """

    def __init__(self, node: Namespace, device: str) -> None:
        self._index = node.link(device).index
        self.beats: list[float] = []
        self.blurred: bool = False
        self.polled: float = 0.0
        self._clocks = _between_clocks()
        self._stack = contextlib.ExitStack()
        self._epoll = self._stack.enter_context(select.epoll())
        self._monitor = self._stack.enter_context(node.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
        self._monitor.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self._monitor.bind((0, 0))
        self._monitor.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, RTNLGRP_NEIGH)
        self.add(self._monitor)
        captures = [self._open_capture(node, device, answers=answers) for answers in (False, True)]
        self._captures = {capture.fileno(): capture for capture in captures}
        self._metronome: socket.socket | None = None
        self._readers: dict[int, Callable[[], int]] = {}

    def _open_capture(self, node: Namespace, device: str, *, answers: bool) -> socket.socket:
        capture = self._stack.enter_context(node.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
        capture.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        capture.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        program = _outgoing(answers=answers)
        code = ctypes.create_string_buffer(bpf.encode(program))
        place = struct.pack("@HP", len(program), ctypes.addressof(code))
        capture.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, place)
        capture.bind((device, _ETH_P_ALL))
        self.add(capture)
        return capture

    def add(self, sock: Readable, read: Callable[[], int] | None = None) -> None:
        """Have :meth:`poll` return when ``sock`` has something to read, too; its owner reads it.

        ``read`` is called when its turn is, and returns how many notifications came.
        """
        sock.setblocking(False)
        if read is not None:
            self._readers[sock.fileno()] = read
        self._epoll.register(sock.fileno(), select.EPOLLIN | select.EPOLLET)

    def listen_to_beats(self, node: Namespace, device: str) -> None:
        """Note when the first probe of an entry of this device leaves that nothing but managed work uses."""
        self._metronome = self._open_capture(node, device, answers=False)

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def poll(self, seconds: float) -> Iterator[Seen]:
        """Wait at most so long for something to happen; yield what did."""
        told = 0
        readable = self._epoll.poll(seconds)
        self.polled = time.monotonic()
        for descriptor, _ in readable:
            found: list[Seen] = []
            if descriptor == self._monitor.fileno():
                self._read_monitor(found)
                told = len(found)
            elif descriptor in self._readers:
                told = self._readers[descriptor]()
            elif descriptor in self._captures:
                self._read_capture(self._captures[descriptor], found)
                # Which of the notifications the frame came after cannot be told any more.
                self.blurred = self.blurred or (told > 1 and any(one.frame for one in found))
            elif self._metronome is not None and descriptor == self._metronome.fileno():
                self.beats.extend(when - _JIFFY for when, _ in self._frames(self._metronome))
            yield from found

    def _read_monitor(self, found: list[Seen]) -> None:
        while True:
            try:
                data, (port, _) = self._monitor.recvfrom(65536)
            except BlockingIOError:
                return
            # It was made before this instant, and after one that nobody knows.
            now = time.monotonic()
            if port:
                continue
            for message in messages(data):
                entry = decode(message)
                if isinstance(entry, NeighbourMessage) and entry.index == self._index:
                    found.append(Seen(now, as_notification(entry, now), None))

    def _read_capture(self, capture: socket.socket, found: list[Seen]) -> None:
        for when, frame in self._frames(capture):
            found.append(Seen(when, None, describe_frame(frame)))

    def _frames(self, capture: socket.socket) -> list[tuple[float, bytes]]:
        found: list[tuple[float, bytes]] = []
        while True:
            try:
                frame, control, _, _ = capture.recvmsg(2048, 64)
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno != errno.ENETDOWN:
                    raise
                continue
            seconds, nanoseconds = _TIMESPEC.unpack(control[0][2][: _TIMESPEC.size])
            found.append((seconds + nanoseconds / 1e9 - self._clocks, frame))


def _between_clocks() -> float:
    """By how much the clock of frames is ahead of the monotonic one, though we be interrupted meanwhile."""
    best = (inf, 0.0)
    for _ in range(_READINGS):
        before, other, after = time.monotonic(), time.time(), time.monotonic()
        best = min(best, (after - before, other - (before + after) / 2))
    return best[1]


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
