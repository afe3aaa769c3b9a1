"""The octets of a capture, and how their reading went: scapy ends quietly where a file is cut or damaged."""

from __future__ import annotations

import gzip
import logging
import os
import stat
import sys
import zlib
from io import BufferedReader
from typing import Final, cast

from ..errors import NeighioError

__all__ = ["CaptureError", "Stream", "Warnings"]

LONGEST_READ: Final = 16 << 20
"""Octets that are read at a time: a damaged length must not be asked for in memory."""

_GZIP: Final = b"\x1f\x8b"
_MAGIC: Final = (
    b"\xa1\xb2\xc3\xd4",
    b"\xd4\xc3\xb2\xa1",
    b"\xa1\xb2\x3c\x4d",
    b"\x4d\x3c\xb2\xa1",
    b"\n\r\r\n",
)


class CaptureError(NeighioError):
    """A capture cannot be read, or not to its end; the text names it and says why."""


class Stream:
    """A capture's octets, out of gzip, for scapy to read. ``-`` is the standard input.

    Raises:
        OSError: it cannot be opened.
        CaptureError: it cannot be read at all.

    Attributes:
        name: the file, for people.
        offset: how many octets were read.
        reads: how often was read.
        was_cut: a read got less than it asked for.
        has_ended: the last read found nothing more.
        trouble: why it cannot be read further, if so.
    """

    def __init__(self, path: str) -> None:
        self.name: str = "standard input" if path == "-" else path
        self.offset: int = 0
        self.reads: int = 0
        self.was_cut: bool = False
        self.has_ended: bool = False
        self.trouble: str = ""
        self._is_ours = path != "-"
        self._raw = self._open(path)
        self._octets: BufferedReader | gzip.GzipFile = self._raw
        self._magic = b""
        try:
            about = os.fstat(self._raw.fileno())
            self._size = about.st_size if stat.S_ISREG(about.st_mode) else 0
            if self._raw.peek(2)[:2] == _GZIP:
                self._octets = gzip.GzipFile(fileobj=self._raw)
        except OSError as error:
            self.close()
            raise CaptureError(f"{self.name}: it cannot be read: {error.strerror}") from None

    def _open(self, path: str) -> BufferedReader:
        if path != "-":
            return open(path, "rb")  # closed by close()
        if sys.stdin is None:
            raise CaptureError(f"{self.name}: it is closed")
        return cast(BufferedReader, sys.stdin.buffer)

    def read(self, size: int) -> bytes:
        """As a file does; but whatever is wrong is the end, and remembered."""
        self.reads += 1
        if size > LONGEST_READ:
            self.trouble = f"a record of {size} octets"
            return b""
        try:
            octets = self._octets.read(size)
        except OSError as error:
            self.trouble = error.strerror or str(error)
            return b""
        except (EOFError, zlib.error) as error:
            self.trouble = str(error)
            return b""
        if not self.offset and octets[:2] == _GZIP:
            # scapy would go back to the beginning, and take it out itself.
            self.trouble = "it is in gzip twice"
            return b""
        self.has_ended = not octets
        if len(self._magic) < 4:
            self._magic += octets[:4]
        if 0 < len(octets) < size:
            self.was_cut = True
        self.offset += len(octets)
        return octets

    def progress(self) -> float | None:
        """The share of it that was read, 0 to 1; None where its size is not known."""
        return min(self._raw.tell() / self._size, 1.0) if self._size else None

    def refusal(self) -> CaptureError:
        """Why scapy takes it for no capture."""
        why = "it is neither pcap nor pcapng"
        if self.trouble:
            why = f"it cannot be read: {self.trouble}"
        elif not self.offset:
            why = "it is empty"
        elif self._magic[:4] in _MAGIC:
            why = f"it is cut or damaged in its header, of which there are {self.offset} octets"
        return CaptureError(f"{self.name}: {why}")

    def check(self, said: str) -> None:
        """Raise why the reading stopped, unless that was at the end. ``said`` is what scapy says of it.

        Raises:
            CaptureError: it is cut or damaged.
        """
        why = self.trouble or said
        if not why and not self.was_cut and not self.has_ended:
            why = "what is there is no record"
        if why:
            raise CaptureError(f"{self.name}: it is damaged or cut at octet {self.offset}: {why}")
        if self.was_cut:
            raise CaptureError(
                f"{self.name}: it is cut: its last record ends at octet {self.offset}, before its time"
            )

    def close(self) -> None:
        """Close it, unless it is the standard input, which is not ours."""
        if self._is_ours:
            self._octets.close()
            self._raw.close()


class Warnings(logging.Filter):
    """scapy's warnings, which are for us and nobody else: what it says last is why it stopped."""

    def __init__(self, stream: Stream) -> None:
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

    @property
    def last(self) -> str:
        """What was said since the last read; empty if nothing was."""
        read, said = self._last
        return said if read == self._stream.reads else ""
