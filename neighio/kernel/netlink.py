"""Netlink sockets: requests, dumps, and the kernel's notifications."""

from __future__ import annotations

import errno
import itertools
import os
import socket
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Final

import trio

from .framing import (
    NLM_F_DUMP_INTR,
    NLMSG_DONE,
    NLMSG_ERROR,
    Message,
    messages,
    parse_acknowledgement,
    with_sequence,
)

__all__ = ["NetlinkOverflow", "NetlinkSocket", "RequestSocket", "open_netlink", "request_sync"]

_NETLINK_ROUTE: Final = 0
_SOL_NETLINK: Final = 270
_NETLINK_ADD_MEMBERSHIP: Final = 1
_NETLINK_CAP_ACK: Final = 10
_NETLINK_EXT_ACK: Final = 11
_NETLINK_GET_STRICT_CHK: Final = 12
_SO_RCVBUFFORCE: Final = 33

_BUFFER = 65536
"""Octets of one read. The kernel fills at most 32 KiB of a dump at a time."""
_NOTIFICATION_BUFFER = 4 << 20
"""Octets of unread notifications before the kernel drops some: about 5,000 of them."""
_BATCH = 64
"""Datagrams read between two checkpoints."""
_DUMP_TRIES = 16
_ANSWER_TIMEOUT = 10.0
"""Seconds. The kernel answers before send() returns; this only keeps a broken one from hanging us."""


class NetlinkOverflow(Exception):
    """The kernel dropped notifications (ENOBUFS). What was still unread is discarded: dump afresh."""


class RequestSocket:
    """Requests to rtnetlink and their answers, in the calling thread.

    The kernel handles a request, and the first part of a dump, before ``send()`` returns, and each
    further part inside ``recv()``: there is nothing to wait for, so this is what the asynchronous face
    uses too.
    """

    def __init__(self, sock: socket.socket | None = None) -> None:
        """Use ``sock``, an unbound AF_NETLINK socket perhaps of another namespace, or open one here."""
        self._sock = _open() if sock is None else sock
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK):
            _set_if_known(self._sock, _SOL_NETLINK, option, 1)
        self._sock.settimeout(_ANSWER_TIMEOUT)
        self._sequence = itertools.count(1)

    def request(self, message: bytes) -> list[Message]:
        """Send one request; return the messages that answer it, the acknowledgement not among them.

        Raises:
            OSError: the kernel refused, with its errno and its explanation (extended acknowledgement).
        """
        return [reply for part in self.exchange(message) for reply in part]

    def dump(self, message: bytes) -> list[Message]:
        """Return a whole dump, begun anew when the kernel says that it changed meanwhile.

        Raises:
            OSError: the kernel refused; EAGAIN when the table never held still.
        """
        for _ in range(_DUMP_TRIES):
            replies = self.request(message)
            if not interrupted(replies):
                return replies
        raise unstable()

    def exchange(self, message: bytes) -> Iterator[list[Message]]:
        """Send one request; give its answers a buffer at a time. It has to be read to its end."""
        sequence = next(self._sequence) & 0xFFFFFFFF
        self._sock.sendto(with_sequence(message, sequence), (0, 0))
        while True:
            data, (port, _) = self._sock.recvfrom(_BUFFER)
            # A privileged process may write to this socket as well.
            if port != 0:
                continue
            part: list[Message] = []
            for reply in messages(data):
                if reply.sequence != sequence:
                    continue
                if reply.type != NLMSG_ERROR and reply.type != NLMSG_DONE:
                    part.append(reply)
                    continue
                code, text = parse_acknowledgement(reply)
                if code:
                    raise OSError(code, text if text is not None else os.strerror(code))
                if reply.flags & NLM_F_DUMP_INTR:
                    part.append(reply)
                yield part
                return
            yield part

    def close(self) -> None:
        """Close the socket. Idempotent."""
        self._sock.close()

    def __enter__(self) -> RequestSocket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def interrupted(replies: Iterable[Message]) -> bool:
    """Whether a dump is inconsistent because its table changed in between (NLM_F_DUMP_INTR)."""
    return any(reply.flags & NLM_F_DUMP_INTR for reply in replies)


def unstable() -> OSError:
    """The error for a dump that was interrupted each time."""
    return OSError(errno.EAGAIN, f"the table changed during each of {_DUMP_TRIES} dumps")


def request_sync(message: bytes) -> list[Message]:
    """Make one request to the calling thread's namespace; see :meth:`RequestSocket.request`."""
    with RequestSocket() as requests:
        return requests.request(message)


class NetlinkSocket:
    """rtnetlink for one namespace: requests, dumps and, when it has groups, notifications.

    Requests and notifications have a socket each, so that an overflow of the second never loses an answer
    and a task may receive while others ask.
    """

    def __init__(self, requests: RequestSocket, notifications: socket.socket | None) -> None:
        self._requests = requests
        self._notifications = notifications
        self._lock = trio.Lock()
        self._closed = False

    async def request(self, message: bytes) -> list[Message]:
        """As :meth:`RequestSocket.request`; a checkpoint. Tasks that ask at once wait for each other.

        Raises:
            trio.ClosedResourceError: the socket is closed, or was meanwhile.
        """
        async with self._lock:
            replies: list[Message] = []
            parts = self._requests.exchange(message)
            while True:
                if self._closed:
                    raise trio.ClosedResourceError
                part = next(parts, None)
                if part is None:
                    return replies
                replies.extend(part)
                # Not cancellable: a dump left half read would have the next one refused with EBUSY.
                await trio.lowlevel.cancel_shielded_checkpoint()

    async def dump(self, message: bytes) -> list[Message]:
        """As :meth:`RequestSocket.dump`; other tasks run between its parts."""
        for _ in range(_DUMP_TRIES):
            replies = await self.request(message)
            if not interrupted(replies):
                return replies
        raise unstable()

    async def receive(self) -> list[Message]:
        """Wait for notifications and return those that are there, oldest first; a checkpoint.

        Raises:
            NetlinkOverflow: some were lost. The socket goes on with what happens from now on.
            trio.ClosedResourceError: the socket was closed, or has no groups.
        """
        sock = self._notifications
        if sock is None:
            raise trio.ClosedResourceError
        await trio.lowlevel.checkpoint_if_cancelled()
        waited = False
        while True:
            found = self._read(sock)
            if found:
                break
            await trio.lowlevel.wait_readable(sock)
            waited = True
        if not waited:
            await trio.lowlevel.cancel_shielded_checkpoint()
        return found

    def _read(self, sock: socket.socket) -> list[Message]:
        found: list[Message] = []
        try:
            for _ in range(_BATCH):
                data, (port, _groups) = sock.recvfrom(_BUFFER)
                if port == 0:
                    found.extend(messages(data))
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno == errno.EBADF:
                raise trio.ClosedResourceError from None
            if error.errno != errno.ENOBUFS:
                raise
            _discard(sock)
            raise NetlinkOverflow from None
        return found

    def close(self) -> None:
        """Close both sockets; a task that uses them gets :exc:`trio.ClosedResourceError`. Idempotent."""
        self._closed = True
        sock, self._notifications = self._notifications, None
        if sock is not None:
            trio.lowlevel.notify_closing(sock)
            sock.close()
        self._requests.close()

    def __enter__(self) -> NetlinkSocket:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_netlink(groups: Iterable[int] = ()) -> NetlinkSocket:
    """Open rtnetlink in the calling thread's namespace, a member of the multicast groups (RTNLGRP_*).

    What changes after the call is notified: open first, then dump, and nothing is missed.

    Raises:
        OSError: no AF_NETLINK here, or a group was refused.
    """
    members = tuple(groups)
    notifications = _open() if members else None
    try:
        if notifications is not None:
            notifications.setblocking(False)
            try:
                notifications.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _NOTIFICATION_BUFFER)
            except PermissionError:
                notifications.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _NOTIFICATION_BUFFER)
            # A notification passes over the port that caused it; the kernel's own port is that of an unbound
            # socket, 0.
            notifications.bind((0, 0))
            for group in members:
                notifications.setsockopt(_SOL_NETLINK, _NETLINK_ADD_MEMBERSHIP, group)
        return NetlinkSocket(RequestSocket(), notifications)
    except BaseException:
        if notifications is not None:
            notifications.close()
        raise


def _open() -> socket.socket:
    family = getattr(socket, "AF_NETLINK", None)
    if family is None:
        raise OSError(errno.EAFNOSUPPORT, "netlink exists on Linux only")
    return socket.socket(family, socket.SOCK_RAW, _NETLINK_ROUTE)


def _set_if_known(sock: socket.socket, level: int, option: int, value: int) -> None:
    try:
        sock.setsockopt(level, option, value)
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT:
            raise


def _discard(sock: socket.socket) -> None:
    # What is queued is older than the loss. Applied after a fresh dump it would bring back what has gone.
    while True:
        try:
            sock.recv(_BUFFER)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
