"""What is odd about what neighbours say: addresses that move, that two have, and storms.

What is remembered is bounded: of the addresses that were heard longest ago nothing is known any more.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from ..address import LinkAddress, format_ip
from .messages import Message

__all__ = ["ANSWERED_TOGETHER", "RETURNED_WITHIN", "STORM", "WHAT", "Anomalies", "Anomaly"]

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

MOST_STORMS: Final = 1024
MOST_DUPLICATES: Final = 1024

MOST_BEFORE: Final = 4
"""Former link-layer addresses of an address that are remembered."""

WHAT: Final = ("moved", "flip", "duplicate", "storm")
"""The kinds of :class:`Anomaly`."""

_WHOLE_LINK: Final = b""


class Anomaly(NamedTuple):
    """Something odd. ``time`` is seconds from the first frame.

    ``what``: "moved", an address is at another link-layer address than before; "flip", it is back at one
    that it had before; "duplicate", two have it at once: both answered one question, or it went there and
    back within a minute; "storm", a station, or with ``lladdr`` None the whole link, sends more messages a
    second than anybody needs. ``other`` is where the address was before, or who has it, too. ``number``
    counts what was odd about the address; of a storm it is how many messages that second has seen.
    """

    time: float
    what: str
    device: str
    key: bytes | None
    lladdr: LinkAddress | None
    other: LinkAddress | None
    number: int

    @property
    def ip(self) -> str | None:
        """The address, as text; None for a storm."""
        return None if self.key is None else format_ip(self.key)


class Storm:
    """A storm: from ``began`` to ``ended`` (seconds), how many messages, and the most of them in a second."""

    __slots__ = ("began", "device", "ended", "lladdr", "messages", "peak")

    def __init__(self, device: str, lladdr: LinkAddress | None, began: float) -> None:
        self.device: str = device
        self.lladdr: LinkAddress | None = lladdr
        self.began: float = began
        self.ended: float = began
        self.messages: int = 0
        self.peak: int = 0


class Duplicate:
    """An address that two have: who, when this was seen first and last (seconds), and how often."""

    __slots__ = ("began", "device", "ended", "key", "lladdrs", "times")

    def __init__(self, device: str, key: bytes, began: float) -> None:
        self.device: str = device
        self.key: bytes = key
        self.began: float = began
        self.ended: float = began
        self.lladdrs: dict[LinkAddress, None] = {}
        """As they were met, :data:`MOST_BEFORE` at most and one."""

        self.times: int = 0

    @property
    def ip(self) -> str:
        """The address, as text."""
        return format_ip(self.key)

    def add(self, time: float, *lladdrs: LinkAddress) -> None:
        """It was seen again."""
        self.times += 1
        self.ended = time
        for lladdr in lladdrs:
            if len(self.lladdrs) <= MOST_BEFORE:
                self.lladdrs[lladdr] = None


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


class Anomalies:
    """Listens to every message. ``tell`` is called with each oddity; of an address that two have the first
    time alone.

    Attributes:
        counts: how often each of :data:`WHAT` was seen, told or not.
        storms: the first :data:`MOST_STORMS` of them.
        duplicates: the first :data:`MOST_DUPLICATES` addresses that two had.
    """

    def __init__(self, tell: Callable[[Anomaly], None]) -> None:
        self._tell = tell
        self.counts: dict[str, int] = dict.fromkeys(WHAT, 0)
        self.storms: list[Storm] = []
        self.duplicates: dict[tuple[str, bytes], Duplicate] = {}
        self.forgotten: int = 0
        """Addresses that were forgotten for others."""

        self._places: OrderedDict[tuple[str, bytes], _Place] = OrderedDict()
        self._second: int = -1
        self._sent: dict[tuple[str, bytes], int] = {}
        self._raging: dict[tuple[str, bytes], Storm | None] = {}

    def hear(self, time: float, device: str, source: bytes, message: Message, *, timed: bool = True) -> None:
        """A message was sent by ``source`` on a device's link. One that is not ``timed`` (its record has no
        time stamp) counts for no storm."""
        if timed:
            self._count(time, device, source)
        if message.claims is not None and message.lladdr:
            self._claim(time, device, message.claims, message.lladdr, message)

    # -- where addresses are

    def _claim(self, time: float, device: str, key: bytes, lladdr: bytes, message: Message) -> None:
        places = self._places
        name = device, key
        place = places.get(name)
        if place is None:
            if len(places) >= MOST_ADDRESSES:
                places.popitem(last=False)
                self.forgotten += 1
            place = places[name] = _Place(lladdr, time)
        else:
            places.move_to_end(name)
            if lladdr != place.lladdr:
                self._differs(time, device, key, lladdr, place, message)
            place.time = time
        if message.answers:
            place.answered = message.answers, time

    def _differs(
        self, time: float, device: str, key: bytes, lladdr: bytes, place: _Place, message: Message
    ) -> None:
        other = place.lladdr
        before = place.before = place.before or {}
        left = before.pop(lladdr, None)
        before[other] = place.time
        if len(before) > MOST_BEFORE:
            del before[next(iter(before))]
        together = (
            message.answers
            and place.answered is not None
            and message.answers == place.answered[0]
            and time - place.answered[1] <= ANSWERED_TOGETHER
        )
        returned = left is not None and time - left <= RETURNED_WITHIN
        what = "duplicate" if together or returned else "moved" if left is None else "flip"
        place.lladdr = lladdr
        place.count += 1
        self.counts[what] += 1
        here, there = LinkAddress(lladdr), LinkAddress(other)
        if what != "duplicate" or self._is_new_duplicate(time, device, key, here, there):
            self._tell(Anomaly(time, what, device, key, here, there, place.count))

    def _is_new_duplicate(self, time: float, device: str, key: bytes, *lladdrs: LinkAddress) -> bool:
        name = device, key
        duplicate = self.duplicates.get(name)
        is_new = duplicate is None
        if duplicate is None:
            if len(self.duplicates) >= MOST_DUPLICATES:
                return False
            duplicate = self.duplicates[name] = Duplicate(device, key, time)
        duplicate.add(time, *lladdrs)
        return is_new

    # -- how much is said

    def _count(self, time: float, device: str, source: bytes) -> None:
        second = int(time)
        if second != self._second:
            self._next_second(second)
        for name, limit in (((device, source), STORM), ((device, _WHOLE_LINK), 10 * STORM)):
            sent = self._sent.get(name, 0) + 1
            if sent == 1 and len(self._sent) >= MOST_STATIONS:
                continue
            self._sent[name] = sent
            if sent == limit and name not in self._raging:
                self._rage(time, name, sent)
            if (storm := self._raging.get(name)) is not None:
                storm.ended = time
                storm.messages += 1
                storm.peak = max(storm.peak, sent)

    def _rage(self, time: float, name: tuple[str, bytes], sent: int) -> None:
        device, source = name
        lladdr = LinkAddress(source) if source else None
        self.counts["storm"] += 1
        storm = None
        if len(self.storms) < MOST_STORMS:
            storm = Storm(device, lladdr, float(self._second))
            storm.messages = sent - 1
            self.storms.append(storm)
        self._raging[name] = storm
        self._tell(Anomaly(time, "storm", device, None, lladdr, None, sent))

    def _next_second(self, second: int) -> None:
        """Those who sent less than a storm in the second that is over rage no more."""
        for name in list(self._raging):
            limit = STORM if name[1] else 10 * STORM
            if second != self._second + 1 or self._sent.get(name, 0) < limit:
                del self._raging[name]
        self._second = second
        self._sent.clear()
