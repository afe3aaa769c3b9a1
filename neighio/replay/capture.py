"""Captures, a record at a time: pcap and pcapng, plain or in gzip, read by scapy."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from .sections import Sections
from .stream import CaptureError, Stream, Warnings

if TYPE_CHECKING:
    from scapy.utils import RawPcapReader

__all__ = ["Capture", "CaptureError", "Record"]

LONGEST_RECORD: Final = 0xFFFF
"""Octets of a record beyond which scapy leaves the rest out."""

MOST_CAPTURED: Final = 262144
"""Octets that a record of pcap says to hold, beyond which it is damaged; libpcap's limit."""

_LINK_TYPE: Final = 0x03FFFFFF
"""Above it the field tells of frame check sequences."""

_NANOSECONDS: Final = 10**9


class Record(NamedTuple):
    """A frame as it was captured. ``nanoseconds`` since 1970, None where it was not written down;
    ``length`` the octets that it had on the wire; ``interface`` its name, empty where the file has none, and
    ``instance`` which of those with that name, from 0."""

    nanoseconds: int | None
    octets: bytes
    length: int
    link_type: int
    interface: str
    instance: int = 0


class Capture:
    """A capture that is open; iterating gives its :class:`Record`\\ s once. ``-`` is the standard input.

    Raises:
        CaptureError: it is empty, no capture, or scapy is not installed. While iterating: it is cut or
            damaged; the records before were given.
        OSError: it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        reader_class, ng_class, self._refusal = _scapy()
        self._stream = Stream(path)
        self._warnings = Warnings(self._stream)
        try:
            with self._warnings:
                self._reader: RawPcapReader = reader_class(self._stream)
        except self._refusal:
            self._stream.close()
            raise self._stream.refusal() from None
        except BaseException:
            self._stream.close()
            raise
        self._sections = Sections(self._reader, self._stream) if isinstance(self._reader, ng_class) else None

    @property
    def format(self) -> str:
        """ "pcap" or "pcapng"."""
        return "pcap" if self._sections is None else "pcapng"

    @property
    def name(self) -> str:
        """The file, for people."""
        return self._stream.name

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
        with self._warnings:
            said = ""
            try:
                if self._sections is None:
                    yield from self._pcap_records()
                else:
                    yield from self._ng_records(self._sections)
            except self._refusal as error:
                said = str(error)
            self._stream.check(said or self._warnings.last)

    def _pcap_records(self) -> Iterator[Record]:
        reader: Any = self._reader
        link_type = reader.linktype & _LINK_TYPE
        unit = 1 if reader.nano else 1000
        for octets, about in reader:
            if about.caplen > MOST_CAPTURED:
                self._stream.trouble = f"a record of {about.caplen} octets"
                return
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

    def _ng_records(self, sections: Sections) -> Iterator[Record]:
        reader: Any = self._reader
        for octets, about in reader:
            name, instance, offset = sections.interface
            when = None
            if about.tshigh is not None:
                when = ((about.tshigh << 32) + about.tslow) * _NANOSECONDS // about.tsresol
                when += offset * _NANOSECONDS
            yield Record(when, octets, max(about.wirelen, len(octets)), about.linktype, name, instance)


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
