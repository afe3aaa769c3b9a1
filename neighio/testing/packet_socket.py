"""Packet sockets for tests without privileges: descriptors that are real, an interface that is not.

``open_packet_link(interface, socket_factory=interface.socket)`` gives the real link's own code on it::

    interface = FakeInterface()
    link = open_packet_link(interface, socket_factory=interface.socket)
    interface.inject(frame, vlan=5)     # rejected by the filter that the link attached
    interface.inject_error(errno.ENETDOWN)
    interface.fail_sends(errno.ENOBUFS)
"""

from __future__ import annotations

import ctypes
import errno
import operator
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Final

from ..link import af_packet, bpf
from ..link.base import ARPHRD_ETHER, WORKING_FLAGS
from ..wire.ethernet import ETH_HLEN

__all__ = ["FakeInterface", "FakePacketSocket", "run_filter"]

PACKET_HOST: Final = 0
PACKET_BROADCAST: Final = 1
PACKET_MULTICAST: Final = 2
PACKET_OTHERHOST: Final = bpf.PACKET_OTHERHOST
PACKET_OUTGOING: Final = bpf.PACKET_OUTGOING

# What precedes each frame in the socketpair: errno (0: a frame follows), packet type, auxdata status.
_ENVELOPE: Final = struct.Struct("=iBI")
_INSTRUCTION: Final = struct.Struct("=HBBI")


class FakeInterface:
    """An interface that exists in this process alone; it is its own :class:`neighio.link.base.LinkFacts`.

    Attributes:
        sent: the frames that were sent, oldest first; the last 4096.
        sockets: every socket that was made, in order.
        refused_options: socket options that fail with ENOPROTOOPT, as on an older kernel.
    """

    type: int = ARPHRD_ETHER

    def __init__(
        self,
        *,
        name: str = "fake0",
        index: int = 1,
        lladdr: bytes = b"\x02\x00\x00\x00\x00\x01",
        mtu: int = 1500,
        flags: int = WORKING_FLAGS,
    ) -> None:
        self.name = name
        self.index = index
        self.lladdr = lladdr
        self.broadcast: bytes = b"\xff" * len(lladdr)
        self.mtu = mtu
        self.flags = flags
        self.sent: deque[bytes] = deque(maxlen=4096)
        self.sockets: list[FakePacketSocket] = []
        self.refused_options: set[int] = set()
        self.send_errors: deque[int] = deque()

    def socket(self) -> FakePacketSocket:
        """Return a new unbound socket: a :data:`neighio.link.af_packet.SocketFactory`."""
        made = FakePacketSocket(self)
        self.sockets.append(made)
        return made

    @property
    def memberships(self) -> list[tuple[int, bytes]]:
        """The memberships of every socket that is open; see :class:`FakePacketSocket`."""
        return [member for one in self.sockets for member in one.memberships]

    def inject(
        self, frame: bytes, *, packet_type: int | None = None, vlan: int | None = None, status: int = 0
    ) -> int:
        """Let a frame arrive, untagged, and return how many sockets took it.

        Arguments:
            packet_type: PACKET_*; what the destination says when None.
            vlan: the tag control information of a tag that was stripped. As in the kernel, a socket bound
                to one protocol sees no tag, but PACKET_OTHERHOST if the VLAN's id is not 0.
            status: TP_STATUS_* for the auxiliary data.
        """
        told = self._packet_type(frame) if packet_type is None else packet_type
        return sum(one._arrive(frame, told, vlan, status) for one in self.sockets)

    def inject_error(self, code: int) -> None:
        """Let every receiving socket's next ``recv`` fail, after the frames that are there already."""
        for one in self.sockets:
            one._report(code)

    def fail_sends(self, *codes: int) -> None:
        """Let the next calls of ``send`` fail with these errnos, one each."""
        self.send_errors.extend(codes)

    def _packet_type(self, frame: bytes) -> int:
        if frame[: len(self.lladdr)] == self.lladdr:
            return PACKET_HOST
        if frame[: len(self.broadcast)] == self.broadcast:
            return PACKET_BROADCAST
        return PACKET_MULTICAST if frame[:1] and frame[0] & 1 else PACKET_OTHERHOST


class FakePacketSocket:
    """A datagram socketpair with the manners of an AF_PACKET socket; made by :meth:`FakeInterface.socket`.

    It runs the classic BPF program that is attached to it.

    Attributes:
        calls: what was done to it, in order: ``("setsockopt", level, option)``, ``("bind", protocol)``,
            ``("close",)``.
        memberships: ``(kind, lladdr)`` of PACKET_ADD_MEMBERSHIP, one for each time, less those dropped.
            Closing drops them all.
    """

    def __init__(self, interface: FakeInterface) -> None:
        self.calls: list[tuple[object, ...]] = []
        self.memberships: list[tuple[int, bytes]] = []
        self._interface = interface
        self._ours, self._kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._kernels.setblocking(False)
        self._protocol: int | None = None
        self._program: bpf.Program = ()
        self._auxdata = False
        self._packets = self._drops = 0

    def fileno(self) -> int:
        return self._ours.fileno()

    def setblocking(self, flag: bool) -> None:
        self._ours.setblocking(flag)

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        self.calls.append(("setsockopt", level, option))
        if option in self._interface.refused_options:
            raise _os_error(errno.ENOPROTOOPT)
        if (level, option) == (socket.SOL_SOCKET, af_packet.SO_ATTACH_FILTER):
            assert isinstance(value, bytes)
            self._program = _read_program(value)
        elif (level, option) == (af_packet.SOL_PACKET, af_packet.PACKET_AUXDATA):
            self._auxdata = bool(value)
        elif level == af_packet.SOL_PACKET and option in _MEMBERSHIP_OPTIONS:
            assert isinstance(value, bytes)
            self._set_membership(option, value)

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        if (level, option) != (af_packet.SOL_PACKET, af_packet.PACKET_STATISTICS):
            raise _os_error(errno.ENOPROTOOPT)
        counters = struct.pack("=II", self._packets, self._drops)
        self._packets = self._drops = 0
        return counters[:size]

    def bind(self, address: tuple[str, int]) -> None:
        name, protocol = address
        self.calls.append(("bind", protocol))
        if name != self._interface.name:
            raise _os_error(errno.ENODEV)
        self._protocol = protocol

    def send(self, frame: bytes) -> int:
        if self._interface.send_errors:
            raise _os_error(self._interface.send_errors.popleft())
        if len(frame) > self._interface.mtu + ETH_HLEN:
            raise _os_error(errno.EMSGSIZE)
        self._interface.sent.append(frame)
        return len(frame)

    def recv(self, size: int) -> bytes:
        return self.recvmsg(size, 0)[0]

    def recvmsg(
        self, size: int, ancillary_size: int
    ) -> tuple[bytes, list[tuple[int, int, bytes]], int, object]:
        """As :meth:`socket.socket.recvmsg`, the address being AF_PACKET's five fields."""
        message, _, flags, _ = self._ours.recvmsg(_ENVELOPE.size + size)
        envelope, frame = message[: _ENVELOPE.size], message[_ENVELOPE.size :]
        code, packet_type, status = _ENVELOPE.unpack(envelope)
        if code:
            raise _os_error(code)
        source = frame[6:12]
        address = (
            self._interface.name,
            int.from_bytes(frame[12:14], "big"),
            packet_type,
            ARPHRD_ETHER,
            source,
        )
        ancillary = []
        if self._auxdata and ancillary_size:
            data = struct.pack("=IIIHHHH", status | 1, len(frame), len(frame), 0, ETH_HLEN, 0, 0)
            ancillary.append((af_packet.SOL_PACKET, af_packet.PACKET_AUXDATA, data))
        return frame, ancillary, flags, address

    def close(self) -> None:
        self.calls.append(("close",))
        self.memberships.clear()
        self._protocol = None
        self._ours.close()
        self._kernels.close()

    def _arrive(self, frame: bytes, packet_type: int, vlan: int | None, status: int) -> bool:
        to_all = self._protocol == af_packet.ETH_P_ALL
        if not self._protocol or not (to_all or frame[12:14] == self._protocol.to_bytes(2, "big")):
            return False
        if not to_all:
            if packet_type == PACKET_OUTGOING:
                return False
            if vlan is not None and vlan & bpf.VLAN_ID_MASK:
                packet_type = PACKET_OTHERHOST
            vlan = None
        if self._program and not run_filter(self._program, frame, packet_type=packet_type, vlan=vlan):
            return False
        self._packets += 1
        try:
            self._kernels.send(_ENVELOPE.pack(0, packet_type, status) + frame)
        except BlockingIOError:
            self._drops += 1
            return False
        return True

    def _report(self, code: int) -> None:
        if self._protocol:
            self._kernels.send(_ENVELOPE.pack(code, 0, 0))

    def _set_membership(self, option: int, value: bytes) -> None:
        index, kind, length, lladdr = struct.unpack("=iHH8s", value)
        if index != self._interface.index:
            raise _os_error(errno.ENODEV)
        member = (kind, lladdr[:length])
        if option == af_packet.PACKET_ADD_MEMBERSHIP:
            self.memberships.append(member)
        elif member in self.memberships:
            self.memberships.remove(member)


_MEMBERSHIP_OPTIONS: Final = (af_packet.PACKET_ADD_MEMBERSHIP, af_packet.PACKET_DROP_MEMBERSHIP)

_TESTS: Final[dict[int, Callable[[int, int], object]]] = {
    bpf.JUMP_EQUAL: operator.eq,
    bpf.JUMP_GREATER: operator.gt,
    bpf.JUMP_GREATER_OR_EQUAL: operator.ge,
    bpf.JUMP_SET: operator.and_,
}
_WIDTHS: Final = {bpf.LOAD_WORD: 4, bpf.LOAD_HALF: 2, bpf.LOAD_BYTE: 1}


def run_filter(program: bpf.Program, frame: bytes, *, packet_type: int = 0, vlan: int | None = None) -> int:
    """Return a classic BPF program's verdict: how many octets of the frame to keep, 0 to reject it.

    Knows the instructions that :mod:`neighio.link.bpf` uses. As in the kernel, a load beyond the frame's
    end rejects it.

    Raises:
        ValueError: an instruction that it does not know.
    """
    beside = {
        bpf.PACKET_TYPE: packet_type,
        bpf.VLAN_TAG: vlan or 0,
        bpf.VLAN_TAG_PRESENT: int(vlan is not None),
    }
    accumulator = position = 0
    while True:
        code, jump_true, jump_false, operand = program[position]
        position += 1
        if code == bpf.RETURN:
            return operand
        if code in _TESTS:
            position += jump_true if _TESTS[code](accumulator, operand) else jump_false
        elif code == bpf.LOAD_WORD and operand in beside:
            accumulator = beside[operand]
        elif code in _WIDTHS:
            loaded = frame[operand : operand + _WIDTHS[code]]
            if len(loaded) < _WIDTHS[code]:
                return 0
            accumulator = int.from_bytes(loaded, "big")
        else:
            raise ValueError(f"instruction {code:#x} at {position - 1}")


def _read_program(filter_program: bytes) -> bpf.Program:
    length, address = struct.unpack("@HP", filter_program)
    code = ctypes.string_at(address, length * _INSTRUCTION.size)
    return tuple(bpf.Instruction(*fields) for fields in _INSTRUCTION.iter_unpack(code))


def _os_error(code: int) -> OSError:
    return OSError(code, os.strerror(code))
