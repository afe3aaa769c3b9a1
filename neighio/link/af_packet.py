"""AF_PACKET sockets: made, filtered, bound and read; what the link does with them is ``packet``'s."""

from __future__ import annotations

import socket
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from ..errors import NeighioError
from ..wire.ethernet import ETH_HLEN, ETH_P_ARP
from .base import Selection
from .bpf import Program, encode, frame_filter

ETH_P_ALL: Final = 0x0003

# linux/socket.h, asm-generic/socket.h
SOL_PACKET: Final = 263
SO_ATTACH_FILTER: Final = 26
SO_RCVBUFFORCE: Final = 33

# linux/if_packet.h
PACKET_ADD_MEMBERSHIP: Final = 1
PACKET_DROP_MEMBERSHIP: Final = 2
PACKET_STATISTICS: Final = 6
PACKET_AUXDATA: Final = 8
PACKET_IGNORE_OUTGOING: Final = 23
PACKET_MR_MULTICAST: Final = 0
PACKET_MR_PROMISC: Final = 1
PACKET_MR_UNICAST: Final = 3
TP_STATUS_CSUMNOTREADY: Final = 1 << 3

RECEIVE_BUFFER: Final = 4 << 20
"""Octets of socket buffer asked for: the answers to some 5,000 ARP requests that were sent in one go."""

_MEMBERSHIP: Final = struct.Struct("=iHH8s")
_AUXDATA: Final = struct.Struct("=IIIHHHH")
_LONGEST_FRAME: Final = ETH_HLEN + 65536


class PacketSocket(Protocol):
    """The part of :class:`socket.socket` that a packet link uses."""

    def fileno(self) -> int: ...
    def setblocking(self, flag: bool, /) -> None: ...
    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None: ...
    def getsockopt(self, level: int, option: int, size: int, /) -> bytes: ...
    def bind(self, address: tuple[str, int], /) -> None: ...
    def send(self, frame: bytes, /) -> int: ...
    def recv(self, size: int, /) -> bytes: ...
    def recvmsg(
        self, size: int, ancillary_size: int, /
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, object]: ...
    def close(self) -> None: ...


SocketFactory = Callable[[], PacketSocket]
"""What makes an unbound SOCK_RAW packet socket of protocol 0."""


def open_packet_socket() -> PacketSocket:
    """Return a new AF_PACKET socket, bound to nothing: protocol 0 keeps it empty until it is bound.

    Raises:
        NeighioError: this system has no AF_PACKET.
        OSError: EPERM without CAP_NET_RAW.
    """
    if not hasattr(socket, "AF_PACKET"):
        raise NeighioError(f"packet sockets exist on Linux only, and this is {sys.platform}")
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)


class Receiver:
    """A receiving socket, and the filter on it."""

    __slots__ = (
        "_accepted",
        "_ancillary_size",
        "_other_hosts",
        "_program",
        "partial_checksum",
        "socket",
    )

    def __init__(self, packet_socket: PacketSocket, accepted: Sequence[int], *, other_hosts: bool) -> None:
        self.socket: PacketSocket = packet_socket
        self.partial_checksum: bool = False
        self._accepted = accepted
        self._other_hosts = other_hosts
        self._program: Program = ()
        self._ancillary_size = 0

    def want_auxdata(self) -> None:
        """Have the kernel say what it knows of a frame's transport checksum."""
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self._ancillary_size = socket.CMSG_SPACE(_AUXDATA.size)

    def select(self, selection: Selection) -> None:
        """Attach the selection's filter; the kernel puts it in the place of another in one step."""
        program = frame_filter(self._accepted, selection, other_hosts=self._other_hosts)
        if program != self._program:
            _attach(self.socket, program)
            self._program = program

    def receive(self) -> bytes:
        # A buffer of our own, and the octets copied out of it, take a tenth longer.
        if not self._ancillary_size:
            return self.socket.recv(_LONGEST_FRAME)
        frame, ancillary, _, _ = self.socket.recvmsg(_LONGEST_FRAME, self._ancillary_size)
        self.partial_checksum = any(
            level == SOL_PACKET and kind == PACKET_AUXDATA and _is_partial(data)
            for level, kind, data in ancillary
        )
        return frame


def _is_partial(auxdata: bytes) -> bool:
    status: int = _AUXDATA.unpack(auxdata)[0]
    return bool(status & TP_STATUS_CSUMNOTREADY)


def membership(index: int, kind: int, lladdr: bytes) -> bytes:
    return _MEMBERSHIP.pack(index, kind, len(lladdr), lladdr)


def open_sender(sockets: list[PacketSocket], socket_factory: SocketFactory, name: str) -> PacketSocket:
    sender = socket_factory()
    sockets.append(sender)
    sender.setblocking(False)
    sender.bind((name, 0))
    return sender


def open_receiver(
    sockets: list[PacketSocket],
    socket_factory: SocketFactory,
    name: str,
    accepted: Sequence[int],
    bound_to: int,
    selection: Selection,
) -> Receiver:
    packet_socket = socket_factory()
    sockets.append(packet_socket)
    packet_socket.setblocking(False)
    receiver = Receiver(packet_socket, accepted, other_hosts=bound_to == ETH_P_ALL)
    # Only ICMPv6 and what is above IP has a checksum that may be partial.
    if any(protocol != ETH_P_ARP for protocol in accepted):
        receiver.want_auxdata()
    _try_option(packet_socket, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    if not _try_option(packet_socket, socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER):
        packet_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    receiver.select(selection)
    # Last: from here on frames arrive, and none may have got past the filter.
    packet_socket.bind((name, bound_to))
    return receiver


def _try_option(packet_socket: PacketSocket, level: int, option: int, value: int | bytes) -> bool:
    try:
        packet_socket.setsockopt(level, option, value)
    except OSError:
        return False
    return True


def _attach(packet_socket: PacketSocket, program: Program) -> None:
    import ctypes

    code = ctypes.create_string_buffer(encode(program), len(program) * 8)
    packet_socket.setsockopt(
        socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code))
    )


def let_in(sender: PacketSocket, index: int, lladdr: bytes) -> None:
    unicast = membership(index, PACKET_MR_UNICAST, lladdr)
    if not _try_option(sender, SOL_PACKET, PACKET_ADD_MEMBERSHIP, unicast):
        promiscuous = membership(index, PACKET_MR_PROMISC, b"")
        sender.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, promiscuous)
