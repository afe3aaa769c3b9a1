"""What is worth a report, and which reports are alarms: the rules of :mod:`neighio.replay.rules`, and what is
known of networks that work as they should.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple, Protocol

from ..address import is_station_ip
from ..replay.messages import Message
from ..replay.rules import MOST_ADDRESSES, RETURNED_WITHIN, Places, Rates, Verdict
from ..wire.ethernet import BROADCAST
from .lladdrs import is_randomised, note, virtual

__all__ = ["ALARMS", "KINDS", "Finding", "Heard", "Judge", "Own"]

KINDS: Final = ("new", "moved", "flip", "failover", "duplicate", "own", "storm")
"""The kinds of findings. "new": a station that was never heard before. "moved", "flip" and "duplicate" as in
:data:`neighio.replay.rules.WHAT`. "failover": an address went to a router's virtual link-layer address.
"own": somebody claims an address of this host. "storm": a station, or the link, says too much."""

ALARMS: Final = frozenset({"duplicate", "own", "storm"})

CHANGES: Final = 3
"""So many changes of an address within :data:`RETURNED_WITHIN` are no handover any more."""

HANDOVER: Final = 3.0
"""Seconds within which an address that a virtual router takes over from this host ceases to be one of ours:
the word of the router may be heard before that of the kernel."""

_NOBODY: Final = (b"", bytes(6), BROADCAST)


class Finding(NamedTuple):
    """Something that is worth a report. ``time`` is seconds of the watcher's clock, ``wall`` since 1970.

    ``key`` is the address, packed; ``lladdr`` where it is, ``other`` where it was, or who has it, too.
    """

    time: float
    wall: float
    kind: str
    device: str
    key: bytes | None
    lladdr: bytes | None
    other: bytes | None
    note: str | None

    @property
    def alarm(self) -> bool:
        """Whether somebody should look at it."""
        return self.kind in ALARMS


class Heard(NamedTuple):
    """What came of a message: what is to be reported, whether it says that a station has an address, and
    whether that is there ``anew``, after it was somewhere else."""

    findings: list[Finding]
    claims: bool
    anew: bool


class Own(Protocol):
    """What is known of this host."""

    def holding(self, device: str, key: bytes) -> int | None:
        """A number of the time for which an address has been one of its own on that device's link, another
        one when it is lost and got back; None if it is not its own."""
        ...

    def is_at(self, lladdr: bytes) -> bool:
        """Whether a link-layer address is one of its own."""
        ...


class Judge:
    """Hears every message, and says what is to be reported.

    Attributes:
        places: where addresses are; what was known before is told to it.
    """

    def __init__(self, own: Own) -> None:
        self._own = own
        self.places: Places = Places()
        self._rates = Rates()
        # When a virtual router first claimed an address that this host has, and for which time it has it.
        self._claimed: dict[tuple[str, bytes], tuple[int, float]] = {}
        self._changes: OrderedDict[tuple[str, bytes], list[float]] = OrderedDict()

    def hear(self, time: float, wall: float, device: str, source: bytes, message: Message) -> Heard:
        """A message was sent by ``source`` on a device's link; return what comes of it."""
        found: list[Finding] = []
        for station, _, begins in self._rates.count(time, device, source):
            if begins:
                found.append(Finding(time, wall, "storm", device, None, station, None, None))
        key, lladdr = message.claims, message.lladdr
        if key is None or lladdr is None or lladdr in _NOBODY or not is_station_ip(key):
            return Heard(found, False, False)
        holding = self._own.holding(device, key)
        if holding is not None:
            ours = self._own.is_at(lladdr)
            if not ours:
                # A router may take over from us, and of one from which we have the last word may still come.
                late = virtual(lladdr) is None or self._stayed(time, device, key, holding)
                kind = "own" if late else "failover"
                found.append(Finding(time, wall, kind, device, key, lladdr, None, note(lladdr)))
            return Heard(found, not ours, False)
        verdict = self.places.claim(time, device, message)
        if verdict is None:
            return Heard(found, True, False)
        changes = self._changed(time, device, key)
        called = _kind(verdict, lladdr, announced=message.answers == b"", changes=changes)
        if called is not None:
            found.append(Finding(time, wall, called, device, key, lladdr, verdict.other, note(lladdr)))
        return Heard(found, True, verdict.what != "duplicate")

    def _stayed(self, time: float, device: str, key: bytes, holding: int) -> bool:
        """Whether an own address still is one, long after a virtual router has claimed it."""
        place = device, key
        since, first = self._claimed.get(place, (None, time))
        if since != holding:
            first = time
            own = self._own.holding
            self._claimed = {old: one for old, one in self._claimed.items() if own(*old) == one[0]}
            self._claimed[place] = holding, first
        return time - first > HANDOVER

    def _changed(self, time: float, device: str, key: bytes) -> int:
        """How often an address has changed within a minute, this time too."""
        name = device, key
        times = [one for one in self._changes.pop(name, []) if time - one <= RETURNED_WITHIN]
        self._changes[name] = [*times, time][-CHANGES:]
        if len(self._changes) > MOST_ADDRESSES:
            self._changes.popitem(last=False)
        return len(self._changes[name])


def _kind(verdict: Verdict, lladdr: bytes, *, announced: bool, changes: int) -> str | None:
    """What a change is called; None for one that is as it should be."""
    here, there = virtual(lladdr), virtual(verdict.other)
    if here is not None and there is not None:
        if here == there:
            return None
        return "duplicate" if verdict.together else "failover"
    if verdict.what != "duplicate":
        return "failover" if here is not None else verdict.what
    # Who announces that it is back has taken over, and a phone has a made-up address for each radio network
    # of one link. Neither keeps changing, and no two of them answer at once.
    handover = announced or (is_randomised(lladdr) and is_randomised(verdict.other))
    return "flip" if handover and not verdict.together and changes < CHANGES else "duplicate"
