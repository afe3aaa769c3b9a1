"""Two traces of one scenario beside each other: what differs, and by how much times may.

The kernel's timers are late by up to the granularity of the wheel's level that their distance falls in
(``calc_index`` of kernel/time/timer.c); what hangs on a late timer is late with it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Final, TypeAlias

from .engine import EnginePlayer, Role
from .model import Carrier, Scenario
from .trace import Line, Trace

__all__ = ["Comparison", "compare", "compare_with_engine", "lateness"]

SLACK: Final = 0.016
"""Seconds: four jiffies, for the phase of each stamp and each reading."""

AT_ONCE: Final = 0.006
"""Seconds between a step and what it does in the same call."""

LINK_WATCH: Final = 1.1
"""Seconds that the kernel takes at most to tell a device that its carrier has changed."""

_CLASSES: Final = ((0.256, 0.004), (2.05, 0.032), (16.4, 0.256), (131.0, 2.05))


def lateness(distance: float) -> float:
    """How late at most a kernel timer (HZ=250) fires that was armed so many seconds before."""
    return next((late for limit, late in _CLASSES if distance < limit), 16.4)


_Row: TypeAlias = "tuple[float, float, str, Line | None, Line | None]"
"""Place among the expected lines, time, mark, expected, seen."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came of it.

    Attributes:
        rows: (mark, expected, seen): " " the same, "-" not seen, "+" not expected, "~" at another time.
        role: that of the engine which was compared.
        apart: frames were compared apart from all else; see :func:`compare`.
    """

    rows: tuple[tuple[str, Line | None, Line | None], ...]
    role: Role = "host"
    apart: bool = False

    @property
    def identical(self) -> bool:
        """Whether nothing differs."""
        return all(mark == " " for mark, _, _ in self.rows)

    def __str__(self) -> str:
        text = []
        for mark, expected, seen in self.rows:
            line = expected or seen
            assert line is not None
            note = f"   (seen at {seen.time:.3f}: {seen.text})" if mark == "~" and seen is not None else ""
            text.append(f"{mark} {line}{note}")
        return "\n".join(text)


def compare_with_engine(scenario: Scenario, expected: Trace, *, slack: float = SLACK) -> Comparison:
    """Play on the engine and compare: as a host, and where a client sees the same but for the answers, as
    one. Returns the comparison of the first that differs, else that of the host."""
    host = compare(scenario, expected, EnginePlayer("host").play(scenario, expected), slack=slack)
    if not host.identical or not scenario.client:
        return host
    others = replace(expected, lines=[line for line in expected.lines if not line.host])
    seen = EnginePlayer("client").play(scenario, expected)
    client = replace(compare(scenario, others, seen, slack=slack), role="client")
    return host if client.identical else client


def compare(
    scenario: Scenario, expected: Trace, seen: Trace, *, slack: float = SLACK, apart: bool = False
) -> Comparison:
    """Compare what was seen with what was expected.

    The lines of one neighbour have to come in the same order, and so have all deletions; those of different
    neighbours may swap as far as their times allow. What may as well come after the end is not missed.
    ``slack``: seconds beyond the timers' lateness. ``apart``: the frames of a neighbour have to come in the
    same order, and so has all else of it, but not the ones among the other: they were read too late for that.
    """
    allowed = _tolerances(scenario, expected.lines)
    allowed_seen = _tolerances(scenario, seen.lines)
    rows: list[_Row] = []
    ours, theirs = (_by_neighbour(lines, apart) for lines in (expected.lines, seen.lines))
    for key in dict.fromkeys([*ours, *theirs]):
        left, right = ours.get(key, []), theirs.get(key, [])
        matcher = SequenceMatcher(
            None,
            [_fixed(expected.lines[i]) for i in left],
            [_fixed(seen.lines[i]) for i in right],
            autojunk=False,
        )
        for tag, i1, i2, j1, j2 in matcher.get_opcodes():
            if tag == "equal":
                for i, j in zip(left[i1:i2], right[j1:j2], strict=True):
                    one, other = expected.lines[i], seen.lines[j]
                    line_tolerance, age_tolerance = allowed[i]
                    near = abs(one.time - other.time) <= line_tolerance + slack and _ages_agree(
                        one, other, age_tolerance + slack
                    )
                    rows.append((i, one.time, " " if near else "~", one, other))
                continue
            for i in left[i1:i2]:
                one = expected.lines[i]
                if one.time + allowed[i][0] + slack < scenario.lasts:
                    rows.append((i, one.time, "-", one, None))
            for j in right[j1:j2]:
                other = seen.lines[j]
                if other.time + allowed_seen[j][0] + slack >= scenario.lasts:
                    continue
                place = sum(line.time <= other.time for line in expected.lines) - 0.5
                rows.append((place, other.time, "+", None, other))
    rows.extend(_deletions_out_of_order(expected.lines, seen.lines))
    rows.sort(key=lambda row: row[:2])
    return Comparison(tuple(row[2:] for row in rows), apart=apart)


def _by_neighbour(lines: Sequence[Line], apart: bool) -> dict[tuple[str, str], list[int]]:
    """Places of the lines by neighbour. What a sender is told comes through a socket of its own."""
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, line in enumerate(lines):
        alone = line.kind == "x" or (apart and line.kind == ">")
        found[line.kind if alone else "", line.ip].append(place)
    return found


def _fixed(line: Line) -> str:
    return line.what.partition(" used ")[0]


def _ages_agree(one: Line, other: Line, tolerance: float) -> bool:
    ages = [line.text.partition(" used ")[2].split()[::2] for line in (one, other)]
    return all(abs(float(a) - float(b)) <= tolerance + 0.011 for a, b in zip(*ages, strict=True))


def _deletions_out_of_order(expected: Sequence[Line], seen: Sequence[Line]) -> list[_Row]:
    """A flush and a forced collection go through their lists in an order that is promised."""
    left, right = (
        [(place, line) for place, line in enumerate(lines) if line.text.startswith("Deleted ")]
        for lines in (expected, seen)
    )
    if sorted(line.what for _, line in left) != sorted(line.what for _, line in right):
        return []
    return [
        (place, one.time, "~", one, other)
        for (place, one), (_, other) in zip(left, right, strict=True)
        if one.what != other.what
    ]


def _tolerances(scenario: Scenario, lines: Sequence[Line]) -> list[tuple[float, float]]:
    """For each line how much its time, and the ages in it, may differ before ``slack``."""
    steps = [step.at for step in scenario.steps]
    pulled = [step.at for step in scenario.steps if isinstance(step.action, Carrier) and not step.action.on]
    last: dict[str, tuple[float, float]] = {}
    latest: dict[str, float] = defaultdict(float)
    found = []
    for line in lines:
        since, carried = last.get(line.ip, (0.0, 0.0))
        before = max((at for at in steps if at <= line.time + 0.001), default=0.0)
        at_once = line.time - before <= AT_ONCE
        tolerance = 0.0 if at_once else carried + 1.25 * lateness(line.time - since)
        if line.text.startswith("Deleted ") and any(0 <= line.time - at <= LINK_WATCH for at in pulled):
            tolerance = max(tolerance, LINK_WATCH)
        # An age goes back to any line before.
        latest[line.ip] = max(latest[line.ip], tolerance)
        found.append((tolerance, latest[line.ip]))
        # An entry that is shown is not touched, and one that is answered need not be: what follows hangs on
        # what was before.
        if line.kind != "=" and not line.host:
            last[line.ip] = (line.time, tolerance)
    return found
