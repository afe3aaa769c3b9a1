"""Captures, a record at a time: pcap and pcapng, plain or in gzip, read by scapy.

scapy ends quietly where a file is cut or damaged. Here its input is watched, so that whoever reads knows
whether what was read is everything.
"""

from __future__ import annotations

import gzip
import logging
import os
import sys
import zlib
from collections.abc import Iterator
from io import BufferedReader
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, cast

from ..errors import NeighioError

if TYPE_CHECKING:
    from scapy.utils import RawPcapReader

__all__ = ["Capture", "CaptureError", "Record"]

LONGEST_READ: Final = 16 << 20
"""Octets that are read at a time: a damaged length must not be asked for in memory."""

LONGEST_RECORD: Final = 0xFFFF
"""Octets of a record beyond which scapy leaves the rest out."""

_GZIP: Final = b"\x1f\x8b"
_LINK_TYPE: Final = 0x03FFFFFF
"""Above it the field tells of frame check sequences."""

_NANOSECONDS: Final = 10**9


class CaptureError(NeighioError):
    """A capture cannot be read, or not to its end; the text says why."""


class Record(NamedTuple):
    """A frame as it was captured. ``nanoseconds`` since 1970, None where it was not written down;
    ``length`` the octets that it had on the wire; ``interface`` its name, empty where the file has none."""

    nanoseconds: int | None
    octets: bytes
    length: int
    link_type: int
    interface: str


class Capture:
    """A capture that is open; iterating gives its :class:`Record`\\ s once. ``-`` is the standard input.

    Raises:
        CaptureError: it is empty, no capture, or scapy is not installed. While iterating: it is cut or
        damaged;
            the records before were given.
        OSError: it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        reader_class, ng_class, self._refusal = _scapy()
        self._stream = _Stream(path)
        self._filter = _Warnings(self._stream)
        try:
            with self._filter:
                self._reader: RawPcapReader = reader_class(self._stream)
        except self._refusal:
            self._stream.close()
            raise CaptureError(self._stream.refusal()) from None
        except BaseException:
            self._stream.close()
            raise
        self._is_ng = isinstance(self._reader, ng_class)

    @property
    def format(self) -> str:
        """ "pcap" or "pcapng"."""
        return "pcapng" if self._is_ng else "pcap"

    def progress(self) -> float | None:
        """The share of the file that was read, 0 to 1; None where its size is not known."""
        return self._stream.progress()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def __iter__(self) -> Iterator[Record]:
        with self._filter:
            yield from self._ng_records() if self._is_ng else self._pcap_records()
            self._filter.check()

    def _pcap_records(self) -> Iterator[Record]:
        reader: Any = self._reader
        link_type = reader.linktype & _LINK_TYPE
        unit = 1 if reader.nano else 1000
        for octets, about in reader:
            if len(octets) < min(about.caplen, LONGEST_RECORD):
                self._stream.was_cut = True
                return
            yield Record(
                about.sec * _NANOSECONDS + about.usec * unit,
                octets,
                max(about.wirelen, len(octets)),
                link_type,
                "",
            )

    def _ng_records(self) -> Iterator[Record]:
        reader: Any = self._reader
        names: dict[bytes | None, str] = {None: ""}
        for octets, about in reader:
            when = None
            if about.tshigh is not None:
                when = ((about.tshigh << 32) + about.tslow) * _NANOSECONDS // about.tsresol
            name = about.ifname
            if name not in names:
                names[name] = name.decode("utf-8", "backslashreplace")
            yield Record(when, octets, max(about.wirelen, len(octets)), about.linktype, names[name])


def _scapy() -> tuple[Any, type, type[Exception]]:
    """scapy's readers, and what they raise. It takes a fifth of a second, and is wanted here alone.

    Raises:
        CaptureError: it is not installed.
    """
    try:
        from scapy.error import Scapy_Exception
        from scapy.utils import RawPcapNgReader, RawPcapReader
    except ImportError:
        raise CaptureError("captures are read with scapy: pip install 'neighio[scapy]'") from None
    return RawPcapReader, RawPcapNgReader, Scapy_Exception


class _Stream:
    """The octets of a capture, out of gzip, and how their reading went. It is scapy's file object."""

    def __init__(self, path: str) -> None:
        self.name = path
        self.offset = 0
        """Octets that were read."""

        self.reads = 0
        self.was_cut = False
        self.trouble = ""
        self._raw: BufferedReader
        if path == "-":
            self._raw = cast(BufferedReader, sys.stdin.buffer)
            self._size = 0
        else:
            self._raw = open(path, "rb")  # noqa: SIM115  # closed by close()
            self._size = os.fstat(self._raw.fileno()).st_size
        self._octets: BufferedReader | gzip.GzipFile = self._raw
        if self._raw.peek(2)[:2] == _GZIP:
            self._octets = gzip.GzipFile(fileobj=self._raw)
        self._magic = b""

    def read(self, size: int) -> bytes:
        """As a file does; but whatever is wrong is the end, and remembered."""
        self.reads += 1
        if size > LONGEST_READ:
            self.trouble = f"a record of {size} octets"
            return b""
        try:
            octets = self._octets.read(size)
        except (EOFError, OSError, zlib.error) as error:
            self.trouble = str(error)
            return b""
        if len(self._magic) < 4:
            self._magic += octets[:4]
        if 0 < len(octets) < size:
            self.was_cut = True
        self.offset += len(octets)
        return octets

    def progress(self) -> float | None:
        return min(self._raw.tell() / self._size, 1.0) if self._size else None

    def refusal(self) -> str:
        """Why scapy takes it for no capture."""
        if self.trouble:
            return f"it cannot be read: {self.trouble}"
        if not self.offset:
            return "it is empty"
        known = (
            b"\xa1\xb2\xc3\xd4",
            b"\xd4\xc3\xb2\xa1",
            b"\xa1\xb2\x3c\x4d",
            b"\x4d\x3c\xb2\xa1",
            b"\n\r\r\n",
        )
        if self._magic[:4] in known:
            return f"it is cut or damaged in its header, of which there are {self.offset} octets"
        return "it is neither pcap nor pcapng"

    def close(self) -> None:
        self._octets.close()
        self._raw.close()


class _Warnings(logging.Filter):
    """scapy's warnings, which are for us and nobody else: what it says last is why it stopped."""

    def __init__(self, stream: _Stream) -> None:
        super().__init__()
        self._stream = stream
        self._logger = logging.getLogger("scapy.runtime")
        self._last = (-1, "")

    def __enter__(self) -> None:
        # Before scapy's own, which swallows what is said often.
        self._logger.filters.insert(0, self)

    def __exit__(self, *error: object) -> None:
        self._logger.removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        self._last = (self._stream.reads, record.getMessage())
        return False

    def check(self) -> None:
        """Raise why the reading stopped, unless that was at the end."""
        stream = self._stream
        read, said = self._last
        why = stream.trouble
        if not why and read == stream.reads:
            # Nothing was read since.
            why = said
        if not why and not stream.was_cut and stream.read(1):
            why = "what follows is no record"
        if why:
            raise CaptureError(f"it is damaged or cut at octet {stream.offset}: {why}")
        if stream.was_cut:
            raise CaptureError(f"it is cut: its last record ends at octet {stream.offset}, before its time")
