"""The screen of ``neighio top`` as lines: from what is known, what is looked at, and the terminal's size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from ..output import printable
from .model import STATES, Entry, Fill, Neighbours
from .order import Order
from .view import View

__all__ = ["Line", "Pen", "age", "text_of"]

Line = list[tuple[str, str]]
"""Pieces of text, each with what paints it: a state, "heading" or ""; printable ASCII alone."""

UNKNOWN: Final = "-"
LAST_CHANGE_LEAST: Final = 14
"""Columns that the last change has at least; with fewer it is left out."""

HISTOGRAM_HEIGHT: Final = 14
"""Lines of a screen that has room for the histogram; beneath, every line is for entries."""

_KEYS: Final = """\
q          quit                          s, right  sort by the next column
up, down   a line up, down (k, j)        S, left   sort by the one before
page up    a screen up                   r         the other way round
page down  a screen down                 /         filter: words to be found
home, end  the first, the last (g, G)    escape    no filter
space      stop the picture, go on       f         IPv4, IPv6, or both
h, ?       this                          1 to 9    show or hide a state
                                         0         all states, or as at first

CONF, UPD, USED  how long since it was confirmed, changed, used
PRB              probes without an answer so far
CHG              changes of its state, address or flags that were seen here
LAST CHANGE      when that was, what it was before, by what it came about
lost N           so often more happened than could be told: all was read anew"""

_FOOT: Final = "q quit  h help  s sort  r reverse  / filter  1-9 states  f family  space pause"


class _Column(NamedTuple):
    """A column of the table: its name in :data:`~neighio.cli.top.order.COLUMNS`, its heading, its least and
    its greatest width, whether it stands to the right, and what it says of an entry."""

    name: str
    heading: str
    least: int
    greatest: int
    right: bool
    text: Callable[[Entry, float], str]


_COLUMNS: Final = (
    _Column("address", "ADDRESS", 15, 39, False, lambda entry, now: entry.address),
    _Column("device", "DEVICE", 7, 15, False, lambda entry, now: entry.device),
    _Column("lladdr", "LLADDR", 17, 59, False, lambda entry, now: entry.lladdr or UNKNOWN),
    _Column("state", "STATE", 10, 10, False, lambda entry, now: entry.state),
    _Column("confirmed", "CONF", 5, 5, True, lambda entry, now: age(entry.confirmed, now)),
    _Column("updated", "UPD", 5, 5, True, lambda entry, now: age(entry.updated, now)),
    _Column("used", "USED", 5, 5, True, lambda entry, now: age(entry.used, now)),
    _Column("probes", "PRB", 4, 4, True, lambda entry, now: str(entry.probes)),
    _Column("changes", "CHG", 5, 5, True, lambda entry, now: str(entry.changes)),
    _Column("last change", "LAST CHANGE", LAST_CHANGE_LEAST, 60, False, lambda entry, now: _last(entry, now)),
)

_LEFT_OUT: Final = (
    "last change",
    "probes",
    "updated",
    "used",
    "changes",
    "confirmed",
    "device",
    "lladdr",
    "state",
)
"""Which columns are left out first when there is no room."""


def age(instant: float | None, now: float) -> str:
    """How long ago an instant was, in at most four characters up to 27 years."""
    if instant is None:
        return UNKNOWN
    seconds = max(int(now - instant), 0)
    for unit, size in (("s", 1), ("m", 60), ("h", 3600)):
        if seconds < 100 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds // 86400}d"


def _last(entry: Entry, now: float) -> str:
    return UNKNOWN if entry.changed is None else f"{age(entry.changed, now):>4} {entry.change}"


def text_of(line: Line) -> str:
    """A line without its paint, and without blanks at its end."""
    return "".join(text for text, _ in line).rstrip()


class Pen:
    """Draws. It remembers how wide columns were, so that they do not go to and fro with what is in them.

    ``title`` says whose neighbours they are.
    """

    def __init__(self, title: str) -> None:
        self._title = printable(title)
        self._widths = {column.name: column.least for column in _COLUMNS}

    def draw(
        self, neighbours: Neighbours, order: Order, view: View, width: int, height: int, now: float
    ) -> tuple[list[Line], list[Entry]]:
        """Return as many lines as the screen has, none longer than it, and the entries that are seen."""
        if view.help:
            return self._help(width, height), []
        above = self._above(neighbours, order, view, width, height)
        page = max(height - len(above) - 2, 1)
        view.fit(len(order), page)
        seen = order.window(view.first, page, reverse=view.reverse)
        columns = self._columns(seen, width, now)
        lines = [*above, self._heading(columns, view, width)]
        lines += (self._row(entry, columns, width, now) for entry in seen)
        lines += ([] for _ in range(height - len(lines) - 1))
        return [*lines[: height - 1], _cut([(_foot(neighbours, view), "")], width)], seen

    def print(self, neighbours: Neighbours, order: Order, view: View, width: int, now: float) -> list[Line]:
        """Return all there is, as lines for a printer."""
        seen = order.window(0, len(order), reverse=view.reverse)
        view.fit(len(order), len(order))
        columns = self._columns(seen, width, now)
        above = self._above(neighbours, order, view, width, HISTOGRAM_HEIGHT)
        return [
            *above,
            self._heading(columns, view, width),
            *(self._row(each, columns, width, now) for each in seen),
        ]

    # -- above the table

    def _above(self, neighbours: Neighbours, order: Order, view: View, width: int, height: int) -> list[Line]:
        total = len(neighbours.entries)
        shown = f"{len(order):,} of {total:,} shown, by {view.column.name}"
        if view.filter:
            shown = f"/{printable(view.filter)}: {shown}"
        if view.family is not None:
            shown += f", IPv{view.family}"
        if neighbours.losses:
            shown += f", lost {neighbours.losses}"
        if view.paused:
            shown += ", PAUSED"
        room = max(width - len(shown) - 2, 0)
        title = f"neighio top: {self._title}"
        lines: list[Line] = [[(_fit(title, room) if room > 12 else "", ""), ("  ", ""), (shown, "")]]
        if height >= HISTOGRAM_HEIGHT:
            lines += _histogram(neighbours, view, width)
            lines += (
                _filling(family, fill, neighbours.rates.get(family), width)
                for family, fill in sorted(neighbours.fills.items())
            )
        return [_cut(line, width) for line in lines]

    # -- the table

    def _columns(self, seen: Sequence[Entry], width: int, now: float) -> list[tuple[_Column, int]]:
        for column in _COLUMNS:
            if column.least < column.greatest:
                longest = max((len(column.text(entry, now)) for entry in seen), default=0)
                self._widths[column.name] = min(max(self._widths[column.name], longest), column.greatest)
        kept = list(_COLUMNS)
        for name in _LEFT_OUT:
            # The last change has what the others leave.
            last = kept[-1].name == "last change"
            used = sum(self._widths[column.name] + 1 for column in (kept[:-1] if last else kept)) - 1
            if last and used + 1 + LAST_CHANGE_LEAST <= width:
                return [
                    *((each, self._widths[each.name]) for each in kept[:-1]),
                    (kept[-1], width - used - 1),
                ]
            if not last and used <= width:
                break
            kept = [column for column in kept if column.name != name]
        return [(column, self._widths[column.name]) for column in kept]

    def _heading(self, columns: Sequence[tuple[_Column, int]], view: View, width: int) -> Line:
        texts = []
        for column, room in columns:
            mark = ("v" if view.descending else "^") if column.name == view.column.name else ""
            texts.append(_fit(column.heading + mark, room, right=column.right))
        return [(_fit(" ".join(texts), width), "heading")]

    def _row(self, entry: Entry, columns: Sequence[tuple[_Column, int]], width: int, now: float) -> Line:
        line: Line = []
        for column, room in columns:
            if line:
                line.append((" ", ""))
            text = _fit(column.text(entry, now), room, right=column.right)
            line.append((text, entry.state if column.name == "state" else ""))
        return _cut(line, width)

    def _help(self, width: int, height: int) -> list[Line]:
        lines: list[Line] = [[("neighio top: the keys", "heading")], []]
        lines += [[(text, "")] for text in _KEYS.splitlines()]
        lines += [[], [("any key goes back", "")]]
        lines += ([] for _ in range(height - len(lines)))
        return [_cut(line, width) for line in lines[:height]]


def _histogram(neighbours: Neighbours, view: View, width: int) -> list[Line]:
    total = max(sum(neighbours.states.values()), 1)
    room = width // 3
    cells: list[Line] = []
    for number, state in enumerate(STATES, 1):
        count = neighbours.states[state]
        name = state if state in view.states else f"({state})"
        label = f"{number} {name:<12} {count:>6}"
        bar = _bar(count, total, room - len(label) - 2)
        cells.append([(label, ""), (" ", ""), (_fit(bar, max(room - len(label) - 1, 0)), state)])
    # Down the columns, as a list is read.
    return [[piece for cell in cells[row::3] for piece in _cut(cell, room)] for row in range(3)]


def _filling(family: int, fill: Fill, rates: tuple[float, float, float] | None, width: int) -> Line:
    marks = "/".join(f"{threshold:,}" for threshold in fill.thresholds)
    text = f"IPv{family} {fill.entries:>7,} of {marks} "
    after = ""
    if rates is not None:
        after = " {:,.0f} look-ups/s {:,.0f} hits/s {:,.0f} failed/s".format(*rates)
    room = max(min(width - len(text) - len(after) - 2, 40), 0)
    most = max(fill.thresholds[2], fill.entries, 1)
    bar = list(_bar(fill.entries, most, room).ljust(room))
    for threshold in fill.thresholds[:2]:
        place = threshold * room // most
        if place < room and bar[place] == " ":
            bar[place] = ":"
    low, _, high = fill.thresholds
    state = "FAILED" if fill.entries >= high else "STALE" if fill.entries > low else "REACHABLE"
    return [(text, ""), ("[", ""), ("".join(bar), state), ("]", ""), (after, "")]


def _bar(count: int, total: int, room: int) -> str:
    """A bar: of what is there at all, something is seen."""
    return "|" * max(count * room // total, min(count, 1)) if room > 0 else ""


def _foot(neighbours: Neighbours, view: View) -> str:
    if view.editing:
        return f"filter: {printable(view.filter)}_  (enter: keep, escape: as before)"
    if not neighbours.whole:
        return f"reading: {len(neighbours.entries):,} entries so far"
    return _FOOT


def _fit(text: str, room: int, *, right: bool = False) -> str:
    """Text that takes just that room; what had to be cut off ends in "~"."""
    if len(text) > room:
        return text[: room - 1] + "~" if room else ""
    return text.rjust(room) if right else text.ljust(room)


def _cut(line: Line, width: int) -> Line:
    found: Line = []
    for text, paint in line:
        if width <= 0:
            break
        found.append((text[:width], paint))
        width -= len(text)
    return found
