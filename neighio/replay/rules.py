"""The rules by which what neighbours say is odd: an address that moves, that two have, and storms.

A capture that is played and a link that is watched are judged by the same ones. What is remembered is
bounded: of the addresses that were heard longest ago nothing is known any more.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

from .messages import Message

__all__ = [
    "ANSWERED_TOGETHER",
    "MOST_BEFORE",
    "RETURNED_WITHIN",
    "STORM",
    "WHAT",
    "Places",
    "Rates",
    "Verdict",
]

ANSWERED_TOGETHER: Final = 1.0
"""Two that answer the same station within so many seconds answer the same question."""

RETURNED_WITHIN: Final = 60.0
"""An address that is back at a link-layer address so soon, seconds, had not left it: both have it."""

STORM: Final = 100
"""Messages of one station within a second that are a storm; of a whole link ten times as many."""

MOST_ADDRESSES: Final = 65536
"""Addresses of which is remembered where they are."""

MOST_STATIONS: Final = 65536
"""Stations whose messages of one second are counted apart."""

MOST_BEFORE: Final = 4
"""Former link-layer addresses of an address that are remembered."""

WHAT: Final = ("moved", "flip", "duplicate", "storm")
"""What can be odd. "moved": an address is at another link-layer address than before. "flip": it is back at
one that it had before. "duplicate": two have it at once: both answered one question, or it went there and
back within a minute. "storm": a station, or a whole link, sends more messages a second than anybody needs."""

_WHOLE_LINK: Final = b""


class Verdict(NamedTuple):
    """An address is not where it was.

    ``what`` is one of :data:`WHAT`, ``other`` where it was before, or who has it, too, and ``heard`` when
    that was said last, seconds. ``together`` is whether both answered one question; ``number`` counts what
    was odd about the address.
    """

    what: str
    other: bytes
    heard: float
    together: bool
    number: int


class _Place:
    """Where an address is said to be."""

    __slots__ = ("answered", "before", "count", "lladdr", "time")

    def __init__(self, lladdr: bytes, time: float) -> None:
        self.lladdr: bytes = lladdr
        self.time: float = time
        self.before: dict[bytes, float] | None = None
        """Where it was before, and until when it was said to be there; the latest last."""

        self.answered: tuple[bytes, float] | None = None
        """Whom it answered last, and when."""

        self.count: int = 0


class Places:
    """Where addresses are, by what is said. Times are seconds.

    Attributes:
        forgotten: addresses that were forgotten for others.
    """

    def __init__(self) -> None:
        self.forgotten: int = 0
        self._places: OrderedDict[tuple[str, bytes], _Place] = OrderedDict()

    def place(self, time: float, device: str, key: bytes, lladdr: bytes) -> None:
        """An address was at a link-layer address until then: a memory, which nothing is odd about. They are
        told in the order of time."""
        place = self._find(time, device, key, lladdr)
        if place.lladdr != lladdr:
            _move(place, lladdr)
        place.time = time

    def claim(self, time: float, device: str, message: Message) -> Verdict | None:
        """A message claims an address; return what is odd about that."""
        key, lladdr = message.claims, message.lladdr
        if key is None or not lladdr:
            return None
        place = self._find(time, device, key, lladdr)
        verdict = None if place.lladdr == lladdr else _judge(time, place, lladdr, message.answers)
        place.time = time
        if message.answers:
            place.answered = message.answers, time
        return verdict

    def _find(self, time: float, device: str, key: bytes, lladdr: bytes) -> _Place:
        places = self._places
        name = device, key
        place = places.get(name)
        if place is not None:
            places.move_to_end(name)
            return place
        if len(places) >= MOST_ADDRESSES:
            places.popitem(last=False)
            self.forgotten += 1
        place = places[name] = _Place(lladdr, time)
        return place


def _move(place: _Place, lladdr: bytes) -> float | None:
    """Have an address be somewhere else; return until when it was there before, if it was."""
    before = place.before = place.before or {}
    left = before.pop(lladdr, None)
    before[place.lladdr] = place.time
    if len(before) > MOST_BEFORE:
        del before[next(iter(before))]
    place.lladdr = lladdr
    return left


def _judge(time: float, place: _Place, lladdr: bytes, answers: bytes | None) -> Verdict:
    other, heard = place.lladdr, place.time
    together = (
        bool(answers)
        and place.answered is not None
        and answers == place.answered[0]
        and time - place.answered[1] <= ANSWERED_TOGETHER
    )
    left = _move(place, lladdr)
    returned = left is not None and time - left <= RETURNED_WITHIN
    what = "duplicate" if together or returned else "moved" if left is None else "flip"
    place.count += 1
    return Verdict(what, other, heard, together, place.count)


class Rates:
    """How many messages each station, and each link, sends in a second.

    Attributes:
        second: the second that is counted, by its number.
    """

    def __init__(self) -> None:
        self.second: int = -1
        self._sent: dict[tuple[str, bytes], int] = {}
        self._raging: set[tuple[str, bytes]] = set()

    def count(self, time: float, device: str, source: bytes) -> list[tuple[bytes | None, int, bool]]:
        """A station sent a message; ``source`` is empty where no link-layer addresses tell stations apart.
        Return those of whose storm it is part, the station and the link (None): how many that second has seen
        of it, and whether the storm begins with this one."""
        second = int(time)
        if second != self.second:
            self._next_second(second)
        storms: list[tuple[bytes | None, int, bool]] = []
        for station in (source, _WHOLE_LINK) if source else (_WHOLE_LINK,):
            name, limit = (device, station), STORM if station else 10 * STORM
            sent = self._sent.get(name, 0) + 1
            if sent == 1 and len(self._sent) >= MOST_STATIONS:
                continue
            self._sent[name] = sent
            begins = sent == limit and name not in self._raging
            if begins:
                self._raging.add(name)
            if name in self._raging:
                storms.append((name[1] or None, sent, begins))
        return storms

    def _next_second(self, second: int) -> None:
        """Those who sent less than a storm in the second that is over rage no more."""
        for name in list(self._raging):
            limit = STORM if name[1] else 10 * STORM
            if second != self.second + 1 or self._sent.get(name, 0) < limit:
                self._raging.discard(name)
        self.second = second
        self._sent.clear()
