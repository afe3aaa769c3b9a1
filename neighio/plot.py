"""Pictures of neighbours over time, as SVG: a row for each, coloured by state, with marks.

The standard library is all that it needs. What is drawn is plain data, wherever it came from::

    rows = [
        Row(
            "198.51.100.7 dev eth0",
            states=[(0.0, "INCOMPLETE"), (0.2, "REACHABLE"), (30.0, "STALE"), (75.0, None)],
            marks=[Mark(0.0, "asked", "by 198.51.100.1"), Mark(0.2, "answered", "02:00:00:00:00:07")],
            detail="02:00:00:00:00:07",
        ),
    ]
    save("life.svg", draw(rows, title="life.pcap", end=90.0, epoch=1767225600.0))

* ``states`` are ``(time, state)`` in the order of time. Each lasts until the next, the last until ``end``;
  None is a gap, where there is no entry. The names of NUD states have their colours; any other text is a
  state with a colour of its own, so that a row may as well be coloured by link-layer address.
* ``marks`` are single moments. The kinds of :data:`MARKS` have their shapes; any other text is a kind, too.
* ``label`` stands before the row and ``detail`` below it, smaller. Whatever the texts hold, they are escaped.
* :func:`draw` draws every row that it is given: who has too many leaves some out, and says how many in
  ``left_out``. States that are too short to be seen are drawn two pixels wide, marks of one kind that would
  touch are drawn as one that tells their number.

For programs that read the picture: each row is a ``<g class="row" data-label=...>``, each state in it a
``<rect>`` with ``data-state``, ``data-start`` and ``data-end``, each mark a ``<path>`` with ``data-mark``,
``data-start``, ``data-end`` and ``data-count``; times are seconds.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from html import escape
from itertools import pairwise
from typing import Final, NamedTuple

from ._axis import clock_text, elapsed_text, moment, ticks, unit

__all__ = ["MARKS", "Mark", "Row", "draw", "save"]

WIDTH: Final = 1180
MARGIN: Final = 24
ROW_HEIGHT: Final = 34
BAR_HEIGHT: Final = 14
LONGEST_LABEL: Final = 44
"""Characters of a label; of a longer one the end is left out, and shown when one points at it."""

CHARACTER: Final = 7.3
"""Pixels of a character of a label, which is monospaced."""

THINNEST: Final = 2.0
"""Pixels of a state, however short."""

TICKS: Final = 9

TOUCHING: Final = 7.0
"""Pixels between two marks of a kind that are drawn as one."""

# State: light paper, dark paper, what is written on it.
_STATES: Final = {
    "REACHABLE": ("#2c9a5f", "#35a76a", "#ffffff"),
    "PERMANENT": ("#2b7f8f", "#3a98a8", "#ffffff"),
    "NOARP": ("#77828f", "#78838f", "#ffffff"),
    "STALE": ("#e3b23c", "#d1a02c", "#2b2205"),
    "DELAY": ("#e8803a", "#e08a4d", "#2b1503"),
    "PROBE": ("#8a5cd1", "#9d75e0", "#ffffff"),
    "INCOMPLETE": ("#58a3e4", "#4f98db", "#06223b"),
    "FAILED": ("#cf3f43", "#e0585b", "#ffffff"),
    "NONE": ("#c8ced6", "#49515c", "#2a3038"),
}
_ORDER: Final = ("INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED", "NOARP", "PERMANENT", "NONE")

# For states that are no NUD states.
_OTHERS: Final = (
    ("#3b6fb5", "#5d8fd3", "#ffffff"),
    ("#c2703d", "#d0834f", "#ffffff"),
    ("#3f8f74", "#52a98c", "#ffffff"),
    ("#a04a8c", "#bd69a9", "#ffffff"),
    ("#8a8330", "#a79f45", "#ffffff"),
    ("#5f6b7a", "#8793a3", "#ffffff"),
)

# Shapes around (0, 0), in pixels: below the bar, or across it.
_TRIANGLE: Final = "M0-4 4 3.2H-4Z"
_DOT: Final = "M-3.6 0a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0-7.2 0Z"
_DIAMOND: Final = "M0-4.4 4.4 0 0 4.4-4.4 0Z"
_SQUARE: Final = "M-3.2-3.2H3.2V3.2H-3.2Z"
_TICK: Final = "M-.9-3.6H.9V3.6H-.9Z"
_FLAG: Final = "M-1-11H1V9H-1ZM-5-12H5L0-6Z"
_CROSS: Final = "M-5-3.2-3.2-5 0-1.8 3.2-5 5-3.2 1.8 0 5 3.2 3.2 5 0 1.8-3.2 5-5 3.2-1.8 0Z"

MARKS: Final = {
    "asked": _TRIANGLE,
    "answered": _DOT,
    "announced": _DIAMOND,
    "used": _TICK,
    "moved": _FLAG,
    "duplicate": _CROSS,
}
"""The kinds of marks that have a shape of their own. Changes ("moved", "duplicate") stand across the bar,
frames below it."""

_CHANGES: Final = ("moved", "duplicate")

_STYLE: Final = """\
text{font-family:system-ui,-apple-system,"Segoe UI","Helvetica Neue","DejaVu Sans",Arial,sans-serif}
.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.title{font-size:18px;font-weight:600}.note{font-size:12px}.label{font-size:12px}.small{font-size:10.5px}
.on{font-size:10px;letter-spacing:.02em}
.moved,.duplicate{stroke-width:1.2;paint-order:stroke}
"""
_LIGHT: Final = """\
.paper{fill:#fdfdfc}.ink{fill:#1d232b}.soft{fill:#5d6875}.faint{fill:#7a8591}
.grid{stroke:#dfe3e8}.axis{stroke:#aab3bd}.lane{fill:#f0f2f4}
.mark{fill:#3a4552}.asked{fill:#2f6fb0}.answered{fill:#237a4b}.announced{fill:#b0701c}.used{fill:#7a8591}
.moved{fill:#151a20;stroke:#fdfdfc}.duplicate{fill:#b3161c;stroke:#fdfdfc}
"""
_DARK: Final = """\
.paper{fill:#15181d}.ink{fill:#e6e9ed}.soft{fill:#a2acb8}.faint{fill:#838e9a}
.grid{stroke:#2a3038}.axis{stroke:#56606c}.lane{fill:#1e2229}
.mark{fill:#b9c2cc}.asked{fill:#6ba8e6}.answered{fill:#5fc48d}.announced{fill:#e0a04a}.used{fill:#838e9a}
.moved{fill:#f4f6f8;stroke:#15181d}.duplicate{fill:#ff6a6a;stroke:#15181d}
"""


class Mark(NamedTuple):
    """A moment: ``time`` in seconds, its kind, and what is shown when one points at it."""

    time: float
    kind: str
    text: str = ""


class Row(NamedTuple):
    """A neighbour: see the module's description."""

    label: str
    states: Sequence[tuple[float, str | None]]
    marks: Sequence[Mark] = ()
    detail: str = ""


def draw(
    rows: Sequence[Row],
    *,
    title: str,
    end: float,
    start: float = 0.0,
    epoch: float | None = None,
    left_out: int = 0,
    notes: Iterable[str] = (),
) -> str:
    """Return a picture of the rows, from above, as an SVG document.

    Args:
        rows: in the order in which they are drawn; there may be none.
        title: stands above.
        start, end: the times at the left and at the right edge, seconds.
        epoch: the time 0 in seconds since 1970; then the axis shows the time of day, UTC, too.
        left_out: how many rows there were beside these, which the picture says.
        notes: further lines below the title.
    """
    return _Picture(rows, title, start, max(end, start), epoch, left_out, tuple(notes)).document()


def save(path: str | os.PathLike[str], document: str) -> None:
    """Write a document to a file: all of it, or what was there before stays as it is.

    Raises:
        OSError: it cannot be written (a full disk, a missing folder, no right to); names the file.
    """
    try:
        _write(os.path.realpath(path), document)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def _write(target: str, document: str) -> None:
    if os.path.exists(target) and not os.path.isfile(target):
        # A device or a pipe: nothing to be kept, and nothing to be put in its place.
        with open(target, "w", encoding="utf-8") as stream:
            stream.write(document)
        return
    descriptor, name = tempfile.mkstemp(prefix=".neighio-", suffix=".svg", dir=os.path.dirname(target))
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(document)
            os.fchmod(descriptor, _mode(target))
        os.replace(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def _mode(target: str) -> int:
    """The permissions of a file that is there, else those that a new one gets."""
    try:
        return os.stat(target).st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _text(text: str) -> str:
    """Return text for XML: markup escaped, and what XML or a screen cannot have as its code."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return escape(shown)


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


class _Span(NamedTuple):
    start: float
    end: float
    state: str


def _spans(row: Row, end: float) -> Iterator[_Span]:
    """The states of a row, each with its end, without the gaps."""
    for (begun, state), (until, _) in pairwise([*row.states, (end, None)]):
        if state is not None and until >= begun:
            yield _Span(begun, until, state)


class _Picture:
    """One picture: where everything is, and the lines that draw it."""

    def __init__(
        self,
        rows: Sequence[Row],
        title: str,
        start: float,
        end: float,
        epoch: float | None,
        left_out: int,
        notes: tuple[str, ...],
    ) -> None:
        self._rows = rows
        self._title = title
        self._start = start
        self._end = end
        self._epoch = epoch
        self._notes = [*notes]
        if left_out:
            self._notes.append(f"{left_out} more {'is' if left_out == 1 else 'are'} left out")
        self._states = _in_order((span.state for row in rows for span in _spans(row, end)), _ORDER)
        self._kinds = _in_order((mark.kind for row in rows for mark in row.marks), tuple(MARKS))
        others = [state for state in self._states if state not in _STATES]
        self._colours = _STATES | {
            state: _OTHERS[number % len(_OTHERS)] for number, state in enumerate(others)
        }
        longest = max([len(row.label) for row in rows] + [len(row.detail) for row in rows] + [8])
        self._left = MARGIN + min(longest, LONGEST_LABEL) * CHARACTER + 14
        # Half of a time of day stands to the right of the last tick.
        self._right = WIDTH - MARGIN - 12
        self._lines: list[str] = []

    def _x(self, time: float) -> float:
        if self._end == self._start:
            return self._left
        share = (time - self._start) / (self._end - self._start)
        return self._left + min(max(share, 0.0), 1.0) * (self._right - self._left)

    def document(self) -> str:
        """Draw from above; the height is known at the end."""
        y = MARGIN + 14.0
        self._write(MARGIN, y, self._title, "ink title")
        for note in self._notes:
            y += 19
            self._write(MARGIN, y, note, "soft note")
        y = self._legend(y + 26)
        top = y + 16
        bottom = top + max(len(self._rows), 1) * ROW_HEIGHT
        self._grid(top, bottom)
        for number, row in enumerate(self._rows):
            self._row(row, top + number * ROW_HEIGHT)
        if not self._rows:
            self._write(self._left, top + ROW_HEIGHT / 2, "no neighbours", "soft note")
        height = bottom + (40 if self._epoch is None else 54)
        return "\n".join([*self._head(height), *self._lines, "</svg>", ""])

    def _head(self, height: float) -> Iterator[str]:
        size = f'width="{WIDTH}" height="{_number(height)}" viewBox="0 0 {WIDTH} {_number(height)}"'
        yield '<?xml version="1.0" encoding="UTF-8"?>'
        yield f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
        yield f"<title>{_text(self._title)}</title>"
        yield f"<style>{_STYLE}{_LIGHT}{self._state_style(0)}"
        yield f"@media (prefers-color-scheme:dark){{\n{_DARK}{self._state_style(1)}}}</style>"
        yield (
            '<defs><pattern id="neighio-hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><path d="M0 0H2V6H0Z" fill="#fff" fill-opacity=".32"/>'
            "</pattern></defs>"
        )
        yield '<rect class="paper" width="100%" height="100%"/>'

    def _state_style(self, paper: int) -> str:
        return "".join(
            f".s{number}{{fill:{self._colours[state][paper]}}}.t{number}{{fill:{self._colours[state][2]}}}\n"
            for number, state in enumerate(self._states)
        )

    def _write(self, x: float, y: float, text: str, style: str, anchor: str = "start") -> None:
        end = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._lines.append(
            f'<text x="{_number(x)}" y="{_number(y)}" class="{style}"{end}>{_text(text)}</text>'
        )

    # -- legend and axis

    def _legend(self, y: float) -> float:
        """Draw what the colours and shapes mean, in as many lines as it takes; return where it ends."""
        x = float(MARGIN)
        entries = [(state, True) for state in self._states] + [(kind, False) for kind in self._kinds]
        for name, is_state in entries:
            width = 34 + len(name) * 6.9
            if x + width > self._right and x > MARGIN:
                x, y = float(MARGIN), y + 20
            if is_state:
                self._lines.append(self._bar(x, y - 9, 16, 10, name))
            else:
                self._lines.append(f'<g transform="translate({_number(x + 8)} {_number(y - 4)})">')
                self._lines.append(f'<path class="{_mark_style(name)}" d="{_shape(name)}"/></g>')
            self._write(x + 21, y, name, "soft small")
            x += width
        return y if entries else y - 20

    def _grid(self, top: float, bottom: float) -> None:
        span = self._end - self._start
        step, found = ticks(self._start, self._end, TICKS)
        for tick in found:
            x = self._x(tick)
            self._lines.append(f'<path class="grid" d="M{_number(x)} {_number(top - 6)}V{_number(bottom)}"/>')
            self._write(x, bottom + 18, elapsed_text(tick, step, span), "soft small", "middle")
            if self._epoch is not None:
                self._write(x, bottom + 33, clock_text(self._epoch + tick, step), "faint small", "middle")
        self._lines.append(
            f'<path class="axis" d="M{_number(self._left)} {_number(bottom)}H{_number(self._right)}"/>'
        )
        self._write(MARGIN, bottom + 18, f"time, {unit(span)}", "soft small")
        if self._epoch is not None:
            begun = moment(self._epoch + self._start)
            self._write(MARGIN, bottom + 33, f"{begun:%Y-%m-%d} UTC", "faint small")

    # -- rows

    def _row(self, row: Row, top: float) -> None:
        bar = top + 4
        self._lines.append(f'<g class="row" data-label="{_text(row.label)}">')
        shown = _shorten(row.label)
        self._write(MARGIN, bar + (11 if not row.detail else 8), shown, "ink label mono")
        if shown != row.label:
            self._lines[-1] = self._lines[-1].replace("</text>", f"<title>{_text(row.label)}</title></text>")
        if row.detail:
            self._write(MARGIN, bar + 21, _shorten(row.detail), "faint small mono")
        self._lines.append(
            f'<path class="lane" d="M{_number(self._left)} {_number(bar)}H{_number(self._right)}'
            f'v{BAR_HEIGHT}H{_number(self._left)}Z"/>'
        )
        # The short ones come last, lest the next one covers them.
        for span in sorted(_spans(row, self._end), key=self._is_thin):
            self._state(span, bar)
        marks = sorted(row.marks, key=lambda mark: mark.time)
        for kind in self._kinds:
            for group in self._touching([mark for mark in marks if mark.kind == kind]):
                self._mark(group, bar)
        self._lines.append("</g>")

    def _bar(self, x: float, y: float, width: float, height: float, state: str, extra: str = "") -> str:
        number = self._states.index(state)
        place = f'x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" height="{_number(height)}"'
        corners = ' rx="2"' if width > 6 else ""
        drawn = f'<rect class="s{number}" {place}{corners}{extra}'
        if state == "FAILED":
            return (
                f'{drawn}</rect><rect fill="url(#neighio-hatch)" {place}{corners}/>'
                if extra
                else (f'{drawn}/><rect fill="url(#neighio-hatch)" {place}{corners}/>')
            )
        return f"{drawn}</rect>" if extra else f"{drawn}/>"

    def _is_thin(self, span: _Span) -> bool:
        return self._x(span.start) + THINNEST > self._x(span.end)

    def _state(self, span: _Span, y: float) -> None:
        x = self._x(span.start)
        width = max(self._x(span.end) - x, THINNEST)
        x = min(x, self._right - width)
        lasted = f"{_seconds(span.start)} to {_seconds(span.end)} s"
        extra = (
            f' data-state="{_text(span.state)}" data-start="{span.start:.6f}" data-end="{span.end:.6f}">'
            f"<title>{_text(span.state)}, {lasted}</title>"
        )
        self._lines.append(self._bar(x, y, width, BAR_HEIGHT, span.state, extra))
        if width > len(span.state) * 6.6 + 10:
            number = self._states.index(span.state)
            self._write(x + 5, y + 10.5, span.state, f"t{number} on")

    def _touching(self, marks: Sequence[Mark]) -> Iterator[list[Mark]]:
        """The marks of one kind, in groups that would overlap each other."""
        group: list[Mark] = []
        for mark in marks:
            if group and self._x(mark.time) - self._x(group[0].time) >= TOUCHING:
                yield group
                group = []
            group.append(mark)
        if group:
            yield group

    def _mark(self, group: Sequence[Mark], bar: float) -> None:
        first, last = group[0], group[-1]
        y = bar + (BAR_HEIGHT / 2 if first.kind in _CHANGES else BAR_HEIGHT + 6)
        x = (self._x(first.time) + self._x(last.time)) / 2
        when, many = f"{_seconds(first.time)} s", ""
        if len(group) > 1:
            when, many = f"{_seconds(first.time)} to {_seconds(last.time)} s", f"{len(group)} x "
        texts = list(dict.fromkeys(mark.text for mark in group if mark.text))
        more = "" if not texts else ": " + "; ".join(texts[:3]) + ("; ..." if len(texts) > 3 else "")
        self._lines.append(
            f'<path class="{_mark_style(first.kind)}" d="{_shape(first.kind)}" '
            f'transform="translate({_number(x)} {_number(y)})" data-mark="{_text(first.kind)}" '
            f'data-start="{first.time:.6f}" data-end="{last.time:.6f}" data-count="{len(group)}">'
            f"<title>{_text(f'{many}{first.kind}, {when}{more}')}</title></path>"
        )


def _in_order(found: Iterable[str], known: Sequence[str]) -> list[str]:
    """What was found, once each: first what is known, in that order, then the others as they came."""
    names = dict.fromkeys(found)
    return [name for name in known if name in names] + [name for name in names if name not in known]


def _shape(kind: str) -> str:
    return MARKS.get(kind, _SQUARE)


def _mark_style(kind: str) -> str:
    return kind if kind in MARKS else "mark"


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


def _seconds(time: float) -> str:
    return f"{time:.3f}".rstrip("0").rstrip(".")
