"""What a scan tells: a line or a JSON object for each answer, and how it went."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Final

import trio

from ..probe import Reply
from .output import Output, printable
from .vendors import is_local

if TYPE_CHECKING:
    from ..records import Record, Stamp

__all__ = ["Report", "Tally", "Unread"]

LOCAL: Final = "(locally administered, perhaps random)"
UNKNOWN: Final = "(unknown)"
IPV4_WIDTH: Final = 15
IPV6_WIDTH: Final = 24
"""Columns of most addresses; a longer one moves the rest of its line."""


_OTHERS: Final = itemgetter(4)
"""A reply's further link-layer addresses."""
_NUMBER: Final = itemgetter(5)
"""Which request a reply's round trip is counted from."""


class Unread(Exception):
    """Nobody reads the output any more (``| head``)."""


@dataclass(slots=True)
class Tally:
    """What a scan came to.

    Attributes:
        asked: how many addresses were, or are, asked.
        answered, duplicates: how many of these answered, and further link-layer addresses of theirs.
        requests: how many were sent, to all nodes too.
        seconds: how long it took.
    """

    asked: int = 0
    answered: int = 0
    duplicates: int = 0
    requests: int = 0
    seconds: float = 0.0

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds if self.seconds else 0.0


class Report:
    """Writes to standard output, many lines at a time.

    Args:
        form: "text", "quiet" (addresses alone) or "json".
        vendor: who made the network card of a link-layer address; None when this is not wanted.
        clear: makes room on the terminal for lines.
    """

    def __init__(
        self, form: str, vendor: Callable[[bytes], str | None] | None, clear: Callable[[], None]
    ) -> None:
        self._form = form
        self._vendor = vendor
        self._clear = clear
        self._output = Output()
        self._width = IPV4_WIDTH
        self._stamp: Stamp | None = None

    def start(
        self, device: str, lladdr: str, networks: Sequence[str], asked: int, own: Sequence[str]
    ) -> None:
        """What is asked, and where.

        Raises:
            Unread
        """
        if any(":" in network for network in networks):
            self._width = IPV6_WIDTH
        if self._form == "json":
            self._json(
                [
                    {
                        "kind": "start",
                        "device": device,
                        "lladdr": lladdr,
                        "networks": list(networks),
                        "asked": asked,
                        "own": list(own),
                    }
                ]
            )
        elif self._form == "text":
            shown = ", ".join(networks[:3]) + (f" and {len(networks) - 3} more" if len(networks) > 3 else "")
            self._write(printable(f"{device}  {lladdr}  asks for {shown}"))

    def found(self, replies: Sequence[Reply]) -> None:
        """Who answered.

        Raises:
            Unread
        """
        if self._form == "json":
            self._json(map(self._found_record, replies))
            return
        # Of many thousand answers this counts: no attributes, no str(lladdr), no f-string: it takes 0.39
        # microseconds where "%" takes 0.22.
        if self._form == "quiet":
            columns = f"%-{self._width}s  %s"
            lines = [columns % (ip, lladdr.hex(":")) for ip, _, lladdr, *_ in replies]
        else:
            columns = f"%-{self._width}s  %s  %9.3f ms"
            lines = [
                columns % (ip, lladdr.hex(":"), round_trip * 1e3)
                for ip, _, lladdr, round_trip, _, _ in replies
            ]
            if self._vendor is not None or any(map(_OTHERS, replies)) or max(map(_NUMBER, replies)) > 1:
                lines = [line + self._remarks(reply) for line, reply in zip(lines, replies, strict=True)]
        self._write("\n".join(lines))

    def _remarks(self, reply: Reply) -> str:
        text = f"  try {reply.number}" if reply.number > 1 else ""
        if self._vendor is not None:
            name = LOCAL if is_local(reply.lladdr) else self._vendor(reply.lladdr) or UNKNOWN
            text += f"  {printable(name)}"
        if reply.others:
            others = " ".join(map(str, reply.others))
            text += f"  {self._output.paint(f'duplicate: {others} too', 'duplicate')}"
        return text

    def _found_record(self, reply: Reply) -> Record:
        local = is_local(reply.lladdr)
        return {
            "kind": "found",
            "address": reply.ip,
            "device": reply.device,
            "lladdr": str(reply.lladdr),
            "round_trip_ms": round(reply.round_trip * 1e3, 3),
            "number": reply.number,
            "local": local,
            "vendor": None if local or self._vendor is None else self._vendor(reply.lladdr),
            "others": [str(other) for other in reply.others],
        }

    def absent(self, device: str, addresses: Sequence[str]) -> None:
        """Who did not answer.

        Raises:
            Unread
        """
        if not addresses:
            return
        if self._form == "json":
            self._json({"kind": "absent", "address": ip, "device": device} for ip in addresses)
        else:
            word = self._output.paint("no answer", "error")
            self._write("\n".join([f"{ip:<{self._width}}  {word}" for ip in addresses]))

    def end(self, tally: Tally, *, interrupted: bool, error: str | None) -> None:
        """How it went.

        Raises:
            Unread
        """
        if self._form == "json":
            self._json(
                [
                    {
                        "kind": "end",
                        "answered": tally.answered,
                        "asked": tally.asked,
                        "requests": tally.requests,
                        "seconds": round(tally.seconds, 3),
                        "rate": round(tally.rate, 1),
                        "duplicates": tally.duplicates,
                        "interrupted": interrupted,
                        "error": error,
                    }
                ]
            )
        elif self._form == "text":
            text = f"{tally.answered:,} of {tally.asked:,} answered in {tally.seconds:.2f} s"
            text += f"; {tally.requests:,} request{'s' if tally.requests != 1 else ''}, {tally.rate:,.0f}/s"
            if tally.duplicates:
                text += f"; {tally.duplicates} duplicate{'s' if tally.duplicates > 1 else ''}"
            self._write(text + ("; interrupted" if interrupted else ""))

    def _json(self, records: Iterable[Record]) -> None:
        # Imported here: of no use to whoever reads lines.
        from ..records import Stamp, json_line

        if self._stamp is None:
            self._stamp = Stamp(trio.current_time)
        # One reading of the clocks for all that is told together.
        now = self._stamp.at()
        self._write("\n".join([json_line({"kind": record["kind"], **now, **record}) for record in records]))

    def _write(self, text: str) -> None:
        self._clear()
        if not self._output.line(text):
            raise Unread
