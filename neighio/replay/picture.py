"""The lives of neighbours as they are told, kept for a picture: bounded, whatever the capture holds."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from ..address import LinkAddress, format_ip
from ..core.constants import nud_state_name
from ..core.events import Change, DelNeighbour
from ..plot import Mark, Row

__all__ = ["MOST_LIVES", "MOST_MARKS", "MOST_ROWS", "MOST_STATES", "Lives"]

MOST_LIVES: Final = 1024
"""Neighbours whose lives are kept; of those that came later none is."""

MOST_OTHERS: Final = 65536
"""Those of which is known that they were left out."""

MOST_STATES: Final = 512
"""States of one neighbour; when there are more, the shorter half of them goes. A picture has some 800 pixels
for them."""

MOST_MARKS: Final = 128
"""Marks of one kind of one neighbour; when there are more, every other one goes. Those that touch
are drawn as one, so that there is room for no more."""

MOST_LLADDRS: Final = 64
"""Link-layer addresses of one neighbour that are remembered, the latest."""

MOST_ROWS: Final = 60
"""Rows of the picture."""


class _Life:
    """A neighbour's states and marks, and the link-layer addresses that it had, the latest last."""

    __slots__ = ("changes", "lladdrs", "marks", "simplified", "states")

    def __init__(self) -> None:
        self.states: list[tuple[float, str | None]] = []
        self.marks: dict[str, list[Mark]] = {}
        self.lladdrs: dict[LinkAddress, None] = {}
        self.changes: int = 0
        self.simplified: bool = False

    def enter(self, time: float, state: str | None) -> None:
        self.changes += 1
        self.states.append((time, state))
        if len(self.states) > MOST_STATES:
            self.states = _longest(self.states)
            self.simplified = True

    def mark(self, mark: Mark) -> None:
        marks = self.marks.setdefault(mark.kind, [])
        marks.append(mark)
        if len(marks) > MOST_MARKS:
            del marks[1::2]
            self.simplified = True


def _longest(states: list[tuple[float, str | None]]) -> list[tuple[float, str | None]]:
    """Leave out the shorter half of the states; each before lasts longer instead."""
    lengths = [until - begun for (begun, _), (until, _) in pairwise(states)]
    # Of equally long ones every other pair, so that what changes to and fro still does.
    by_length = sorted(range(1, len(lengths)), key=lambda number: (-lengths[number], number // 2 % 2))
    kept = [states[0]]
    for number in sorted(by_length[: len(lengths) // 2]):
        if states[number][1] != kept[-1][1]:
            kept.append(states[number])
    return [*kept, states[-1]]


class Lives:
    """What became of each neighbour, by its device's name and its address."""

    def __init__(self) -> None:
        self._lives: dict[tuple[str, bytes], _Life] = {}
        self._others: set[tuple[str, bytes]] = set()

    def change(self, change: Change) -> None:
        """An entry's state or link-layer address changed."""
        name = change.device, change.key
        life = self._lives.get(name)
        if life is None:
            if len(self._lives) >= MOST_LIVES:
                if len(self._others) < MOST_OTHERS:
                    self._others.add(name)
                return
            life = self._lives[name] = _Life()
        if change.state != change.old_state or not life.states:
            life.enter(change.time, nud_state_name(change.state) or "NONE")
        if change.lladdr is not None and change.lladdr != change.old_lladdr:
            life.lladdrs.pop(change.lladdr, None)
            life.lladdrs[change.lladdr] = None
            if change.old_lladdr is not None:
                life.changes += 1
                life.mark(Mark(change.time, "moved", f"{change.old_lladdr} to {change.lladdr}"))
            if len(life.lladdrs) > MOST_LLADDRS:
                del life.lladdrs[next(iter(life.lladdrs))]

    def delete(self, event: DelNeighbour) -> None:
        """An entry left the table."""
        life = self._lives.get((event.device, event.key))
        if life is not None:
            life.enter(event.time, None)

    def mark(self, device: str, key: bytes, mark: Mark) -> None:
        """Something happened to a neighbour; to one that was never in the table nothing can."""
        life = self._lives.get((device, key))
        if life is not None:
            life.mark(mark)

    def rows(self) -> list[Row]:
        """The rows of the picture: those with the most changes, in the order of device and address."""
        chosen = sorted(self._lives.items(), key=lambda item: -item[1].changes)[:MOST_ROWS]
        chosen.sort(key=lambda item: (item[0][0], len(item[0][1]), item[0][1]))
        return [_row(device, key, life) for (device, key), life in chosen]

    @property
    def left_out(self) -> int:
        """How many neighbours :meth:`rows` leaves out; of very many, not all are counted."""
        return max(len(self._lives) - MOST_ROWS, 0) + len(self._others)

    def notes(self) -> list[str]:
        """What is to be said of the picture beside."""
        notes = []
        if self.left_out:
            shown, of = len(self.rows()), len(self._lives) + len(self._others)
            many = "more than " if len(self._others) == MOST_OTHERS else ""
            notes.append(f"{shown} neighbours of {many}{of}, those with the most changes")
        if any(life.simplified for life in self._lives.values()):
            notes.append("of neighbours with very many changes the shortest are not shown")
        return notes


def _row(device: str, key: bytes, life: _Life) -> Row:
    *before, last = [str(lladdr) for lladdr in life.lladdrs] or [""]
    detail = f"{last}, before {before[-1]}" if before else last
    if len(before) > 1:
        detail = f"{last}, before {len(before)} others"
    marks = [mark for kind in life.marks.values() for mark in kind]
    return Row(f"{format_ip(key)} dev {device}", life.states, marks, detail)
