"""What was seen: lines with their times, as files, and what a player is."""

from __future__ import annotations

import abc
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .describe import HOST_MARK
from .model import Scenario

__all__ = ["Line", "Player", "Trace", "read_traces", "write_traces"]

_LINE: Final = re.compile(r"(\d+\.\d{3}) ([>!=x]) (\S+) ?(.*)")


@dataclass(frozen=True, slots=True)
class Line:
    """One thing seen: ``kind`` is ">" a frame that the node sent, "!" a notification, "=" an entry as it
    was, "x" an error that a sender got. ``ip`` is the neighbour; ``text`` what it is."""

    time: float
    kind: str
    ip: str
    text: str

    @property
    def host(self) -> bool:
        """Whether it is of the host role: an answer for the node's own address."""
        return self.text.endswith(HOST_MARK)

    @property
    def what(self) -> str:
        """The line without its time."""
        return f"{self.kind} {self.ip} {self.text}".rstrip()

    def __str__(self) -> str:
        return f"{self.time:.3f} {self.what}"


@dataclass(slots=True)
class Trace:
    """What one player saw of one scenario.

    Attributes:
        source: "kernel RELEASE", "engine", or "by hand" for expectations taken from the specification.
        atomic: the order of notifications that Linux has since 7.0.
        drawn: the reachable_time that each setting of base_reachable_time drew, seconds; that of IPv4 before
            that of IPv6 where both are set at once, and what a router advertisement had drawn too.
        managed, collected: when the managed work and the periodic collection ran, seconds since the
            beginning; the machine has one of each.
        blurred: frames and notifications were read too late to tell their order; no file has it.
    """

    lines: list[Line] = field(default_factory=list)
    source: str = "engine"
    date: str = ""
    atomic: bool = False
    drawn: list[float] = field(default_factory=list)
    managed: list[float] = field(default_factory=list)
    collected: list[float] = field(default_factory=list)
    blurred: bool = False


class Player(abc.ABC):
    """Plays scenarios and says what was seen."""

    name: str
    parallel: bool = False
    """Whether plays in several threads go on side by side."""

    @abc.abstractmethod
    def play(self, scenario: Scenario, like: Trace | None = None) -> Trace:
        """Play one scenario; what another player's run was made of (``like``: what was drawn, the order of
        notifications, the managed work's instants) holds here too, where this player has the choice."""


def write_traces(path: Path, traces: Mapping[str, Trace]) -> None:
    """Write the traces of a scenario file, by the scenarios' names."""
    parts = []
    for name, trace in traces.items():
        head = [f"[{name}]", f"source {trace.source}"]
        if trace.date:
            head.append(f"date {trace.date}")
        head.append(f"order {'atomic' if trace.atomic else 'classic'}")
        for word, times in (
            ("reachable_time", trace.drawn),
            ("managed", trace.managed),
            ("collected", trace.collected),
        ):
            if times:
                head.append(f"{word} {' '.join(f'{time:.3f}' for time in times)}")
        parts.append("\n".join([*head, *map(str, trace.lines)]) + "\n")
    path.write_text("\n".join(parts), encoding="utf-8")


def read_traces(path: Path) -> dict[str, Trace]:
    """The traces of a file, by the scenarios' names; none where there is no file.

    Raises:
        ValueError: "FILE:LINE: ..." a line is neither of the head nor of a trace.
    """
    if not path.exists():
        return {}
    found: dict[str, Trace] = {}
    trace = Trace()
    for number, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match text.split():
            case []:
                pass
            case [name] if name.startswith("[") and name.endswith("]"):
                trace = found[name[1:-1]] = Trace()
            case ["source", *source]:
                trace.source = " ".join(source)
            case ["date", date]:
                trace.date = date
            case ["order", "classic" | "atomic" as order]:
                trace.atomic = order == "atomic"
            case ["reachable_time", *times]:
                trace.drawn = list(map(float, times))
            case ["managed", *times]:
                trace.managed = list(map(float, times))
            case ["collected", *times]:
                trace.collected = list(map(float, times))
            case _:
                line = _LINE.fullmatch(text)
                if line is None:
                    raise ValueError(f"{path}:{number}: {text!r}: expected SECONDS >|!|=|x ADDRESS ...")
                trace.lines.append(Line(float(line[1]), line[2], line[3], line[4]))
    return found
