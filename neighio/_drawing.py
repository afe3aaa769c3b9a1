"""A picture, drawn from above: where everything is, and the lines of SVG that draw it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from ._axis import clock_text, elapsed_text, moment, ticks, unit
from ._palette import CHANGES, DARK, LIGHT, MARKS, ORDER, OTHER_MARK, STYLE, colours

if TYPE_CHECKING:
    from .plot import Mark, Row

__all__ = ["Drawing"]

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

QUESTIONS: Final = 5.0
ANSWERS: Final = 12.0
"""Pixels from the bar down to the marks of who asks, and of all other frames: the one follows the other too
closely for both to be seen in one line."""

TICKS: Final = 9

TOUCHING: Final = 7.0
"""Pixels between two marks of a kind that are drawn as one."""


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


class Drawing:
    """Of one picture; the arguments are those of :func:`neighio.plot.draw`."""

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
        self._states = _in_order((span.state for row in rows for span in _spans(row, end)), ORDER)
        self._kinds = _in_order((mark.kind for row in rows for mark in row.marks), tuple(MARKS))
        self._colours = colours(self._states)
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
        yield f"<style>{STYLE}{LIGHT}{self._state_style(0)}"
        yield f"@media (prefers-color-scheme:dark){{\n{DARK}{self._state_style(1)}}}</style>"
        yield (
            '<defs><pattern id="neighio-hatch" width="6" height="6" patternUnits="userSpaceOnUse" '
            'patternTransform="rotate(45)"><path d="M0 0H2V6H0Z" fill="#fff" fill-opacity=".32"/>'
            "</pattern></defs>"
        )
        yield '<rect class="paper" width="100%" height="100%"/>'

    def _state_style(self, paper: int) -> str:
        return "".join(
            f".s{number}{{fill:{self._colours[state][paper]}}}.t{number}{{fill:{self._colours[state].text}}}\n"
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

    def _bar(
        self, x: float, y: float, width: float, height: float, state: str, data: str = "", title: str = ""
    ) -> str:
        """A state's rectangle; ``data`` are further attributes, ``title`` is shown when one points at it."""
        place = f'x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" height="{_number(height)}"'
        place += ' rx="2"' if width > 6 else ""
        drawn = f'<rect class="s{self._states.index(state)}" {place}{data}'
        drawn += f"><title>{_text(title)}</title></rect>" if title else "/>"
        # Who sees no colours sees this.
        return f'{drawn}<rect fill="url(#neighio-hatch)" {place}/>' if state == "FAILED" else drawn

    def _is_thin(self, span: _Span) -> bool:
        return self._x(span.start) + THINNEST > self._x(span.end)

    def _state(self, span: _Span, y: float) -> None:
        x = self._x(span.start)
        width = max(self._x(span.end) - x, THINNEST)
        x = min(x, self._right - width)
        data = f' data-state="{_text(span.state)}" data-start="{span.start:.6f}" data-end="{span.end:.6f}"'
        title = f"{span.state}, {_seconds(span.start)} to {_seconds(span.end)} s"
        self._lines.append(self._bar(x, y, width, BAR_HEIGHT, span.state, data, title))
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
        below = QUESTIONS if first.kind == "asked" else ANSWERS
        y = bar + (BAR_HEIGHT / 2 if first.kind in CHANGES else BAR_HEIGHT + below)
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
    return MARKS.get(kind, OTHER_MARK)


def _mark_style(kind: str) -> str:
    return kind if kind in MARKS else "mark"


def _shorten(text: str) -> str:
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


def _seconds(time: float) -> str:
    return f"{time:.3f}".rstrip("0").rstrip(".")
