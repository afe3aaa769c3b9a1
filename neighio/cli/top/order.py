"""Which neighbours are shown, and in which order, kept while they change."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from math import inf
from operator import attrgetter
from typing import Final, NamedTuple

from .model import STATES, Entry, Neighbours

__all__ = ["COLUMNS", "HIDDEN", "Column", "Order", "Wanted"]

HIDDEN: Final = frozenset({"NONE", "NOARP"})
"""What ``ip neigh show`` does not show, either."""

FEW: Final = 512
"""Up to so many entries are put into their places one by one; of more, all are sorted anew. Among
100,000 one takes some 20 us, and to sort them all 40 to 80 ms."""

_placed: Final = attrgetter("placed")
_RANKS: Final = {state: rank for rank, state in enumerate(STATES)}


class Column(NamedTuple):
    """What entries are sorted by: what of an entry, and whether the greatest comes first. Equal ones are in
    the order of their addresses, either way: what has the greatest first is negative."""

    name: str
    value: Callable[[Entry], str | float]
    descending: bool = False


def _instant(name: str) -> Callable[[Entry], float]:
    read = attrgetter(name)

    def value(entry: Entry) -> float:
        instant: float | None = read(entry)
        return inf if instant is None else -instant

    return value


COLUMNS: Final = (
    Column("address", lambda entry: 0.0),
    Column("device", lambda entry: entry.device),
    Column("lladdr", lambda entry: entry.lladdr),
    Column("state", lambda entry: _RANKS[entry.state]),
    Column("confirmed", _instant("confirmed"), True),
    Column("updated", _instant("updated"), True),
    Column("used", _instant("used"), True),
    Column("probes", lambda entry: -entry.probes, True),
    Column("changes", lambda entry: -entry.changes, True),
    Column("last change", _instant("changed"), True),
)
"""Of instants the latest comes first."""


class Wanted(NamedTuple):
    """Which entries are shown: of these states, of this family (None: both), with each of these words."""

    states: frozenset[str] = frozenset(STATES) - HIDDEN
    family: int | None = None
    words: tuple[str, ...] = ()

    def shows(self, entry: Entry) -> bool:
        """Whether an entry is shown."""
        if entry.state not in self.states or self.family not in (None, entry.family):
            return False
        return all(word in entry.text for word in self.words)


class Order:
    """The entries that are shown, in order, as they were when :meth:`settle` was called last."""

    def __init__(self, neighbours: Neighbours) -> None:
        self._neighbours = neighbours
        self._wanted = Wanted()
        self._column = COLUMNS[0]
        self._stale = True
        self._rows: list[Entry] = []

    def __len__(self) -> int:
        return len(self._rows)

    def choose(self, wanted: Wanted, column: Column) -> None:
        """Show these, sorted by that, from the next :meth:`settle` on."""
        if (wanted, column) != (self._wanted, self._column):
            self._wanted, self._column, self._stale = wanted, column, True

    def renew(self) -> None:
        """Sort all anew with the next :meth:`settle`: another order had some of the entries."""
        self._stale = True

    @property
    def settled(self) -> bool:
        """Whether it is as was chosen."""
        return not self._stale

    def settle(self) -> None:
        """Take in what has happened to the entries."""
        touched = self._neighbours.touched
        if self._stale or len(touched) > FEW:
            self._sort()
        else:
            for entry in touched:
                self._put(entry)
        touched.clear()

    def _sort(self) -> None:
        value, shows = self._column.value, self._wanted.shows
        self._rows = []
        for entry in self._neighbours.entries.values():
            if shows(entry):
                entry.placed = value(entry), entry.place
                self._rows.append(entry)
            else:
                entry.placed = None
        self._rows.sort(key=_placed)
        self._stale = False

    def _put(self, entry: Entry) -> None:
        rows, value = self._rows, self._column.value
        if entry.placed is not None:
            del rows[bisect_left(rows, entry.placed, key=_placed)]
            entry.placed = None
        if not entry.gone and self._wanted.shows(entry):
            entry.placed = value(entry), entry.place
            insort(rows, entry, key=_placed)

    def window(self, first: int, count: int, *, reverse: bool = False) -> list[Entry]:
        """Return so many entries from the first on, which is 0 or more; in reverse, from the last back."""
        if reverse:
            last = len(self._rows) - first
            return self._rows[max(last - count, 0) : max(last, 0)][::-1]
        return self._rows[first : first + count]
