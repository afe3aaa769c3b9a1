"""The node's sockets: one for each address that packets come from, and the errors that they get."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final

from ...address import format_ip
from ..namespace import Namespace
from .frames import PORT

__all__ = ["Senders"]

_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_MSG_CONFIRM: Final = 0x800
_MSG_PROBE: Final = 0x10


class Senders:
    """UDP sockets of a namespace, made when they are first asked for.

    ``index`` is the device through which link-local and multicast addresses are meant; ``made`` is called
    with each socket.
    """

    def __init__(self, node: Namespace, index: int, made: Callable[[socket.socket], None]) -> None:
        self._node = node
        self._index = index
        self._made = made
        self._sockets: dict[bytes, socket.socket] = {}

    def __enter__(self) -> Senders:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for sender in self._sockets.values():
            sender.close()

    def prepare(self, source: bytes) -> socket.socket:
        """Return the socket of an address."""
        sender = self._sockets.get(source)
        if sender is None:
            ipv4 = len(source) == 4
            sender = self._node.socket(socket.AF_INET if ipv4 else socket.AF_INET6, socket.SOCK_DGRAM)
            self._sockets[source] = sender
            if ipv4:
                sender.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
            else:
                sender.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            # From a port that is known: a redirect that quotes a packet has to find its socket.
            sender.bind(self._place(source))
            self._made(sender)
        return sender

    def _place(self, ip: bytes) -> tuple[str, int] | tuple[str, int, int, int]:
        return (format_ip(ip), PORT) if len(ip) == 4 else (format_ip(ip), PORT, 0, self._index)

    def send(self, source: bytes, target: bytes, payload: bytes, *, confirm: bool) -> None:
        """Send one packet; ``confirm`` is MSG_CONFIRM. ENOBUFS is no error here: others tell of it."""
        sender = self.prepare(source)
        # An error that came in meanwhile is told by the next call, whatever that is.
        sender.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        try:
            sender.sendto(payload, _MSG_CONFIRM if confirm else 0, self._place(target))
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise

    def confirm(self, source: bytes, target: bytes) -> None:
        """Confirm a neighbour without sending (MSG_CONFIRM|MSG_PROBE)."""
        self.prepare(source).sendto(b"", _MSG_CONFIRM | _MSG_PROBE, self._place(target))

    def errors(self) -> Iterator[tuple[str, str]]:
        """(to whom, the errno's name) of each packet that failed since."""
        for sender in self._sockets.values():
            while True:
                try:
                    _, control, _, address = sender.recvmsg(64, 512, socket.MSG_ERRQUEUE)
                except BlockingIOError:
                    break
                code = int.from_bytes(control[0][2][:4], "little") if control else 0
                yield address[0], errno.errorcode.get(code, str(code))
