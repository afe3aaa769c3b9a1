"""What ``neighio watch`` and ``neighio history`` say of stations, as JSON objects and as text."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from ..records import Record
from ..watch.store import Report
from .output import printable

__all__ = ["local_time", "report_line", "report_record", "utc"]

_WAYS: Final = {
    "new": "{lladdr} has {address}",
    "moved": "{address} from {other} to {lladdr}",
    "flip": "{address} back from {other} to {lladdr}",
    "failover": "{address} from {other} to {lladdr}",
    "duplicate": "{address} at {lladdr} and {other}",
    "own": "{address} of this host claimed by {lladdr}",
    "storm": "of messages by {lladdr}",
}


def utc(wall: float) -> str:
    """A time of day, seconds since 1970, as RFC 3339 writes it."""
    text = datetime.fromtimestamp(wall, UTC).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")


def local_time(wall: float) -> str:
    """A time of day as people here read it."""
    return datetime.fromtimestamp(wall).isoformat(sep=" ", timespec="seconds")


def report_record(report: Report, **when: object) -> Record:
    """A report as a JSON object; ``when`` are keys of the time beside the time of day."""
    return {
        "kind": report.kind,
        "id": report.id,
        **when,
        "wall": utc(report.ended),
        "alarm": report.alarm,
        "device": report.device,
        "address": report.address,
        "lladdr": report.lladdr,
        "other": report.other,
        "since": utc(report.began),
        "times": report.times,
        "note": report.note,
    }


def report_line(report: Report, paint: Callable[[str, str], str]) -> str:
    """A report as a line, safe on a terminal."""
    mark = "!" if report.alarm else " "
    kind = paint(report.kind.ljust(9), "error" if report.alarm else report.kind)
    line = f"{local_time(report.ended)} {mark} {kind} {_what(report)} dev {printable(report.device)}"
    if report.note is not None:
        line += f" ({printable(report.note)})"
    if report.times > 1:
        line += f", {report.times} times since {local_time(report.began)}"
    return line


def _what(report: Report) -> str:
    if report.kind == "storm":
        return f"of messages by {printable(report.lladdr or 'everybody')}"
    if report.lladdr is None:
        # The report for all those of its kind that there was no room for.
        return "at several stations"
    if report.kind == "failover" and report.other is None:
        return printable(f"{report.address} of this host also at {report.lladdr}")
    return printable(_WAYS[report.kind].format(**report._asdict()))
