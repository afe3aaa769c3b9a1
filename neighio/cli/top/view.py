"""What somebody looks at in ``neighio top``, in which order, through which filter; the keys that say so."""

from __future__ import annotations

from typing import Final

from .model import STATES
from .order import COLUMNS, HIDDEN, Column, Wanted

__all__ = ["FAMILIES", "View"]

FAMILIES: Final = (None, 4, 6)
"""What the key for families goes round."""

LONGEST_FILTER: Final = 100
_DEFAULT: Final = frozenset(STATES) - HIDDEN
_ALL: Final = frozenset(STATES)


class View:
    """What is looked at. It knows neither the terminal nor the entries.

    Attributes:
        first: the row at the top, counted from 0; at most what :meth:`fit` was told.
        column, reverse: what the rows are sorted by, and whether the other way round.
        states, family, filter: which entries are shown.
        editing: whether keys are letters of the filter.
        paused, help, ended: whether the picture stands still, the keys are explained, it is over.
    """

    def __init__(self, family: int | None = None, states: frozenset[str] = _DEFAULT) -> None:
        self.first: int = 0
        self.column: Column = COLUMNS[0]
        self.reverse: bool = False
        self.family: int | None = family
        self.states: frozenset[str] = states
        self.filter: str = ""
        self.editing: bool = False
        self.paused: bool = False
        self.help: bool = False
        self.ended: bool = False
        self._before = ""
        self._page = 1
        self._last = 0

    @property
    def wanted(self) -> Wanted:
        """Which entries are shown."""
        return Wanted(self.states, self.family, tuple(self.filter.lower().split()))

    @property
    def descending(self) -> bool:
        """Whether the greatest comes first."""
        return self.column.descending is not self.reverse

    def fit(self, rows: int, page: int) -> None:
        """There are so many rows, of which so many are seen at once."""
        self._page = max(page, 1)
        self._last = max(rows - self._page, 0)
        self.first = min(self.first, self._last)

    def press(self, key: str) -> None:
        """Obey a key, by its name of :mod:`neighio.cli.top.keys`; one without a meaning is ignored."""
        if self.editing:
            self._edit(key)
        elif key == "q":
            self.ended = True
        elif self.help:
            self.help = False
        elif key in STATES_BY_KEY:
            self.states ^= {STATES_BY_KEY[key]}
        elif not self._scroll(key):
            self._choose(key)

    def _edit(self, key: str) -> None:
        if key == "enter":
            self.editing = False
        elif key == "escape":
            self.editing, self.filter = False, self._before
        elif key == "backspace":
            self.filter = self.filter[:-1]
        elif key == "ctrl-u":
            self.filter = ""
        elif len(key) == 1 and len(self.filter) < LONGEST_FILTER:
            self.filter += key
        self.first = 0

    def _scroll(self, key: str) -> bool:
        first = {
            "up": self.first - 1,
            "k": self.first - 1,
            "down": self.first + 1,
            "j": self.first + 1,
            "page up": self.first - self._page,
            "page down": self.first + self._page,
            "home": 0,
            "g": 0,
            "end": self._last,
            "G": self._last,
        }.get(key)
        if first is None:
            return False
        self.first = min(max(first, 0), self._last)
        return True

    def _choose(self, key: str) -> None:
        match key:
            case "s" | "right":
                self._sort_by(1)
            case "S" | "left":
                self._sort_by(-1)
            case "r":
                self.reverse = not self.reverse
            case "f":
                self.family = FAMILIES[(FAMILIES.index(self.family) + 1) % len(FAMILIES)]
            case "0":
                self.states = _DEFAULT if self.states == _ALL else _ALL
            case "/":
                self.editing, self._before = True, self.filter
            case "escape":
                self.filter = ""
            case " ":
                self.paused = not self.paused
            case "h" | "?":
                self.help = True

    def _sort_by(self, step: int) -> None:
        self.column = COLUMNS[(COLUMNS.index(self.column) + step) % len(COLUMNS)]
        self.reverse = False
        self.first = 0


STATES_BY_KEY: Final = {str(number): state for number, state in enumerate(STATES, 1)}
"""The keys that show a state's entries, or hide them."""
