"""What was seen: lines with their times, as files, and what a player is."""

from __future__ import annotations

import abc
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ...address import LinkAddress
from ...core.constants import NTF_EXT_VALIDATED
from ...core.events import Notification
from ...wire import arp
from ...wire.ethernet import BROADCAST, ETH_HLEN
from .model import DEVICE, Scenario

__all__ = [
    "Line",
    "Player",
    "Trace",
    "describe_frame",
    "describe_notification",
    "read_traces",
    "write_traces",
]

HOST_MARK: Final = "(host)"
UDP_HEADERS: Final = 28
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
        drawn: the reachable_time that each setting of base_reachable_time drew, seconds.
        managed, collected: when the managed work and the periodic collection ran, seconds since the
            beginning; the machine has one of each.
    """

    lines: list[Line] = field(default_factory=list)
    source: str = "engine"
    date: str = ""
    atomic: bool = False
    drawn: list[float] = field(default_factory=list)
    managed: list[float] = field(default_factory=list)
    collected: list[float] = field(default_factory=list)


class Player(abc.ABC):
    """Plays scenarios and says what was seen."""

    name: str
    parallel: bool = False
    """Whether plays in several threads go on side by side."""

    @abc.abstractmethod
    def play(self, scenario: Scenario, like: Trace | None = None) -> Trace:
        """Play one scenario; what another player's run was made of (``like``: what was drawn, the order of
        notifications, the managed work's instants) holds here too, where this player has the choice."""


def describe_notification(event: Notification) -> tuple[str, str]:
    """(neighbour, text) of a notification: as ``ip monitor neigh`` has it, and NDA_PROBES and references."""
    words = str(event).replace(f" dev {DEVICE}", "").split()
    prefix = ""
    if words[0] in ("Deleted", "miss"):
        prefix = words.pop(0) + " "
    if not event.state:
        words.append("NONE")
    if event.flags & NTF_EXT_VALIDATED:
        words.append("extern_valid")
    return words[0], f"{prefix}{' '.join(words[1:])} probes {event.probes} refcnt {event.refcnt}"


def describe_frame(frame: bytes) -> tuple[str, str] | None:
    """(neighbour, text) of a frame that the node sent: ARP, or one of the scenario's packets."""
    to = "broadcast" if frame[:6] == BROADCAST else str(LinkAddress(frame[:6]))
    fields = arp.parse(frame)
    if not isinstance(fields, str):
        op, spa, sha, tpa, tha = fields
        sender, target = (".".join(map(str, ip)) for ip in (spa, tpa))
        padding = "" if len(frame) == 42 else f" length {len(frame)}"
        if op == arp.ARPOP_REPLY or spa == tpa:
            kind = "reply" if op == arp.ARPOP_REPLY else "request"
            return target, f"arp {kind} to {to} {sender} is-at {LinkAddress(sha)}{padding} {HOST_MARK}"
        asks = "" if not any(tha) else f" tha {LinkAddress(tha)}"
        return target, f"arp request to {to} tell {sender}{asks}{padding}"
    if frame[12:14] == b"\x08\x00" and frame[ETH_HLEN + 9 : ETH_HLEN + 10] == b"\x11":
        target = ".".join(map(str, frame[ETH_HLEN + 16 : ETH_HLEN + 20]))
        payload = frame[ETH_HLEN + UDP_HEADERS :]
        return target, f"packet {payload[:4].decode('ascii', 'replace')} to {to} octets {len(payload)}"
    return None


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
