"""What is odd in a capture: each oddity, and those that last, by :mod:`.rules`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ..address import LinkAddress, format_ip
from .messages import Message
from .rules import MOST_BEFORE, WHAT, Places, Rates, Verdict

__all__ = ["WHAT", "Anomalies", "Anomaly", "Duplicate", "Storm"]

MOST_STORMS: Final = 1024
MOST_DUPLICATES: Final = 1024


class Anomaly(NamedTuple):
    """Something odd. ``time`` is seconds from the first frame.

    ``what`` is one of :data:`WHAT`; of a storm of the whole link ``lladdr`` is None. ``other`` is where the
    address was before, or who has it, too. ``number`` counts what was odd about the address; of a storm it
    is how many messages that second has seen.
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
        self._places = Places()
        self._rates = Rates()
        self._raging: dict[tuple[str, bytes | None], Storm] = {}

    @property
    def forgotten(self) -> int:
        """Addresses that were forgotten for others."""
        return self._places.forgotten

    def hear(self, time: float, device: str, source: bytes, message: Message, *, timed: bool = True) -> None:
        """A message was sent by ``source`` on a device's link, by nobody knows whom where that is empty. One
        that is not ``timed`` (its record has no time stamp) counts for no storm."""
        if timed:
            for station, sent, begins in self._rates.count(time, device, source):
                self._rage(time, device, station, sent, begins=begins)
        verdict = self._places.claim(time, device, message)
        if verdict is not None and message.claims is not None and message.lladdr is not None:
            self._differs(time, device, message.claims, message.lladdr, verdict)

    def _differs(self, time: float, device: str, key: bytes, lladdr: bytes, verdict: Verdict) -> None:
        self.counts[verdict.what] += 1
        here, there = LinkAddress(lladdr), LinkAddress(verdict.other)
        if verdict.what != "duplicate" or self._is_new_duplicate(time, device, key, here, there):
            self._tell(Anomaly(time, verdict.what, device, key, here, there, verdict.number))

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

    def _rage(self, time: float, device: str, station: bytes | None, sent: int, *, begins: bool) -> None:
        name = device, station
        lladdr = None if station is None else LinkAddress(station)
        if begins:
            self.counts["storm"] += 1
            self._raging.pop(name, None)
            if len(self.storms) < MOST_STORMS:
                storm = self._raging[name] = Storm(device, lladdr, float(int(time)))
                storm.messages = sent - 1
                self.storms.append(storm)
            self._tell(Anomaly(time, "storm", device, None, lladdr, None, sent))
        if (raging := self._raging.get(name)) is not None:
            raging.ended = time
            raging.messages += 1
            raging.peak = max(raging.peak, sent)
