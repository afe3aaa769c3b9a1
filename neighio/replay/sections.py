"""The interfaces of a pcapng file: which of them a packet came by, and what scapy does not tell of them.

scapy numbers the interfaces of all sections on, where each section begins with number 0 again, and tells a
packet's interface by its name alone. It calls a function for each kind of block; those are put in front of.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

from .stream import Stream

__all__ = ["Interface", "Sections"]

INTERFACE: Final = 1
PACKET: Final = 2
SIMPLE_PACKET: Final = 3
ENHANCED_PACKET: Final = 6
SECRETS: Final = 10
PROCESS: Final = 0x80000001
_PACKETS: Final = {PACKET: "H", SIMPLE_PACKET: "", ENHANCED_PACKET: "I"}
"""How the number of its interface stands at the beginning of each kind of packet."""

OPTION_OFFSET: Final = 14
"""if_tsoffset: seconds that are to be added to every time stamp."""

MOST_INTERFACES: Final = 65536
"""Of a section; whatever has more is no capture but a trap."""

UNLIMITED: Final = 0xFFFFFFFF

_Read: TypeAlias = Callable[[bytes, int], Any]


class Interface(NamedTuple):
    """An interface of a section. Where several have its name, or none, ``instance`` tells them apart, from 0;
    ``offset`` is in seconds."""

    name: str
    instance: int
    offset: int


class Sections:
    """Listens to a reader of scapy's. ``interface`` is the one that the latest packet came by."""

    def __init__(self, reader: Any, stream: Stream) -> None:
        self.interface: Interface = Interface("", 0, 0)
        self._reader = reader
        self._stream = stream
        self._interfaces: list[Interface] = []
        self._names: Counter[str] = Counter()
        blocks: dict[int, _Read] = reader.blocktypes
        blocks[INTERFACE] = self._describing(blocks[INTERFACE])
        for kind, form in _PACKETS.items():
            blocks[kind] = self._reading(blocks[kind], form)
        # Keys of TLS sessions, which scapy would take for its own, and processes, of which it keeps a list.
        for kind in (SECRETS, PROCESS):
            blocks.pop(kind, None)
        self._begin = reader._read_block_shb
        reader._read_block_shb = self._next

    def _next(self) -> None:
        """A section begins."""
        self._reader.interfaces.clear()
        self._interfaces.clear()
        self._names.clear()
        self._begin()

    def _describing(self, read: _Read) -> _Read:
        def describe(block: bytes, size: int) -> None:
            if len(self._interfaces) == MOST_INTERFACES:
                self._stream.trouble = f"more than {MOST_INTERFACES} interfaces"
                raise EOFError
            read(block, size)
            interfaces = self._reader.interfaces
            link_type, snap_length, options = interfaces[-1]
            # 0 is no limit, and would leave nothing of a simple packet.
            interfaces[-1] = link_type, snap_length or UNLIMITED, options
            name = options.get("name", b"").rstrip(b"\0").decode("utf-8", "backslashreplace")
            self._interfaces.append(Interface(name, self._names[name], self._offset(block[8:])))
            self._names[name] += 1

        return describe

    def _reading(self, read: _Read, form: str) -> _Read:
        def packet(block: bytes, size: int) -> Any:
            form_here = self._reader.endian + form
            number = 0
            if form and len(block) >= struct.calcsize(form_here):
                (number,) = struct.unpack_from(form_here, block)
            if number >= len(self._interfaces):
                self._stream.trouble = f"a packet of interface {number}, which is not described"
                raise EOFError
            self.interface = self._interfaces[number]
            return read(block, size)

        return packet

    def _offset(self, options: bytes) -> int:
        endian: str = self._reader.endian
        while len(options) >= 4:
            code, length = struct.unpack_from(f"{endian}HH", options)
            if not code:
                break
            if code == OPTION_OFFSET and length == 8 and len(options) >= 12:
                return int(struct.unpack_from(f"{endian}q", options, 4)[0])
            options = options[4 + length + -length % 4 :]
        return 0
