"""What the doctor finds, and how people are told."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ..output import printable

__all__ = ["Finding", "Level", "finding_lines", "times"]

_LEVEL_WIDTH: Final = 9
"""Of "problem" and two blanks."""


class Level(StrEnum):
    """How much a finding matters: all is well; good to know; it may surprise; it has to be mended."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


_COLOURS: Final = {
    Level.OK: "REACHABLE",
    Level.NOTE: "",
    Level.WARNING: "STALE",
    Level.PROBLEM: "error",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding; ``--json`` prints these fields.

    Attributes:
        topic: what was looked at: system, packages, privileges, namespaces, buffers, instances, interface,
            sysctl, table or link.
        subject: which of these: a device, an address, a name of /proc/sys with dots, a package, ...
        what: what is so.
        why: why it matters; None where all is well.
        do: what to do about it, a command or words; None where nothing is to be done.
    """

    level: Level
    topic: str
    subject: str
    what: str
    why: str | None = None
    do: str | None = None


def finding_lines(finding: Finding, width: int, paint: Callable[[str, str], str]) -> list[str]:
    """A finding as lines of at most ``width`` characters, safe on a terminal.

    What is to be done stands in a line of its own, however long: it is there to be copied.
    """
    indent = " " * _LEVEL_WIDTH
    text = printable(f"{finding.subject}: {finding.what}")
    first, *rest = _wrapped(text, width, indent)
    level = paint(finding.level, _COLOURS[finding.level]) + " " * (_LEVEL_WIDTH - len(finding.level))
    lines = [level + first.removeprefix(indent), *rest]
    if finding.why is not None:
        lines += _wrapped(printable(finding.why), width, indent + "  ")
    if finding.do is not None:
        lines.append(f"{indent}  -> {printable(finding.do)}")
    return lines


def times(count: int) -> str:
    """How often, in words."""
    return "once" if count == 1 else f"{count} times"


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
    ) or [indent]
