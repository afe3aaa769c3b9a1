"""When the engine's timers fire, and until when the kernel's, which are late, surely have.

Around each deadline is a time in which the two may differ with good reason: from a jiffy before it, which is
the phase of every stamp, until its class's lateness and two jiffies after it. What was armed by a timer is
late by that one's lateness too, so it adds up from one timer to the next, until a frame or a command begins
anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Final, TypeAlias

from ....core.cache import NeighbourCache
from ....core.constants import NUD_DELAY, NUD_REACHABLE
from ....core.engine import Engine
from ....core.parameters import HZ_100, JIFFY
from ..compare import lateness

__all__ = ["AFTERMATH", "PHASE", "Timing"]

PHASE: Final = JIFFY
"""Seconds by which two stamps of one instant may differ."""

AFTERMATH: Final = 2 * JIFFY
"""Seconds after the last instant at which a timer can fire, for what it does."""

ELSEWHERE: Final = JIFFY
"""Seconds by which a timer is later still when another processor has to fire it: seen for one in twelve."""


def _lateness(distance: float) -> float:
    """The classes begin a little before their round numbers: the first at 63 jiffies (LVL_START)."""
    return lateness(1.03 * distance)


_Place: TypeAlias = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class _Timer:
    """When it is due on the engine, when it was armed, by how much later the kernel may have armed it."""

    deadline: float
    armed: float
    late: float

    @property
    def lag(self) -> float:
        """By how much later the kernel may fire it, which may wait the longer for what it confirmed later."""
        return self.late + _lateness(self.deadline + self.late - self.armed) + ELSEWHERE

    @property
    def latest(self) -> float:
        return self.deadline + self.lag


@dataclass(frozen=True, slots=True)
class _Known:
    """An entry's stamps (confirmed, used, updated), by how much later the kernel's each may be, its timer."""

    stamps: tuple[float, ...]
    lags: tuple[float, ...]
    timer: _Timer | None


_NOTHING: Final = _Known((-inf, -inf, -inf), (0.0, 0.0, 0.0), None)


class Timing:
    """Follows the timers and stamps of an engine's entries; seconds of its clock.

    Attributes:
        fired: whether a timer has, since somebody said False.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[_Place, _Known] = {}
        self._settled = -inf
        self.fired: bool = False

    def _rows(self) -> Iterator[tuple[_Place, NeighbourCache, int]]:
        for family, cache in self._engine.caches.items():
            for row in cache.rows():
                yield (family, cache.store.key_of(row)), cache, row

    def _entries(self) -> Iterator[tuple[_Known, NeighbourCache, int]]:
        for place, cache, row in self._rows():
            yield self._known[place], cache, row

    def lags(self, family: int, key: bytes) -> tuple[float, ...]:
        """By how much later than the engine's the kernel's stamps of an entry may be: confirmed, used,
        updated."""
        return self._known.get((family, key), _NOTHING).lags

    def follow_step(self, now: float, lag: float) -> None:
        """Note what a step armed and stamped, which the kernel did at most ``lag`` later."""
        self._follow(now, lag, timers=False)

    def follow_timers(self, now: float) -> None:
        """Note what fired, and what it armed and stamped."""
        fired = [known.timer for known in self._known.values() if known.timer and known.timer.deadline <= now]
        self.fired = self.fired or bool(fired)
        self._settled = max([self._settled, *(timer.latest + AFTERMATH for timer in fired)])
        self._follow(now, max((timer.lag for timer in fired), default=0.0), timers=True)

    def _follow(self, now: float, lag: float, *, timers: bool) -> None:
        found: dict[_Place, _Known] = {}
        for place, cache, row in self._rows():
            store = cache.store
            before = self._known.get(place, _NOTHING)
            timer = before.timer
            deadline = store.deadline[row]
            stamps = (store.confirmed[row], store.used[row], store.updated[row])
            pairs = zip(stamps, before.stamps, before.lags, strict=True)
            lags = tuple(known if new == old else lag for new, old, known in pairs)
            if stamps[1] != before.stamps[1]:
                # A timer that starts raises used to what confirmed is, or was until now (neigh_add_timer).
                copied = [
                    late
                    for confirmed, late in ((stamps[0], lags[0]), (before.stamps[0], before.lags[0]))
                    if confirmed == stamps[1]
                ]
                lags = lags[0], max([lags[1], *copied]), lags[2]
            if deadline == inf:
                timer = None
            elif timer is None or timer.deadline != deadline:
                late = lag
                if timers:
                    late = timer.lag if timer else lag
                    # What is REACHABLE expires when its confirmation does, however late that is seen.
                    if store.nud_state[row] & NUD_REACHABLE:
                        late = lags[0] if deadline > now + late + HZ_100 else max(late, lags[0])
                timer = _Timer(deadline, now, late)
            found[place] = _Known(stamps, lags, timer)
        self._known = found

    def unsettled(self, now: float, until: float) -> float | None:
        """Until when the engine and the kernel may differ, if they may differ between now and ``until``."""
        settled = self._settled
        for known, cache, row in self._entries():
            if known.timer is not None and known.timer.deadline - PHASE <= until:
                settled = max(settled, known.timer.latest + AFTERMATH)
            locked = self._locked(known, cache, row)
            if locked is not None:
                over = locked + known.lags[2] + AFTERMATH
                if locked - PHASE <= until and now <= over:
                    settled = max(settled, over + PHASE)
        return settled if settled > now else None

    @staticmethod
    def _locked(known: _Known, cache: NeighbourCache, row: int) -> float | None:
        """The last instant at which locktime holds for an entry."""
        locktime = cache.table_of(row).parms.locktime
        return known.stamps[2] + locktime if locktime else None

    def next_instant(self, now: float) -> float:
        """When the next timer is due, or a locktime is over: what is done before and after differs."""
        instants = [inf]
        for known, cache, row in self._entries():
            if known.timer is not None:
                instants.append(known.timer.deadline)
            locked = self._locked(known, cache, row)
            if locked is not None and locked > now:
                instants.append(locked)
        return min(instants)

    def undecided(self, until: float = inf) -> bytes | None:
        """An entry of which lateness decides what its timer makes of it, due by ``until``, if there is one.

        A handler compares stamps with the instant at which it runs; where they are less apart from the
        deadline than it may be late, the kernel may do either.
        """
        for known, cache, row in self._entries():
            if (
                known.timer is not None
                and known.timer.deadline <= until
                and self._decided_late(known, cache, row)
            ):
                return cache.store.key_of(row)
        return None

    @staticmethod
    def _decided_late(known: _Known, cache: NeighbourCache, row: int) -> bool:
        store, parms, timer = cache.store, cache.table_of(row).parms, known.timer
        assert timer is not None
        due, latest = timer.deadline, timer.latest + AFTERMATH
        confirmed, state = store.confirmed[row], store.nud_state[row]
        if state & NUD_DELAY:
            proof = confirmed + parms.delay_first_probe_time
            # What was confirmed by the packet that began the DELAY is not confirmed enough. One of several
            # packets may have been another than the one that began it.
            begun = proof == due and abs(timer.armed - confirmed) < PHASE and not known.lags[0]
            return due - PHASE <= proof + known.lags[0] and proof <= latest and not begun
        if not state & NUD_REACHABLE:
            return False
        expiry = confirmed + parms.reachable_time
        if expiry > latest:
            return False
        if expiry > due + PHASE / 2:
            # It expires with this timer or with one more.
            latest = max(latest, expiry + known.lags[0] + _lateness(0.0) + ELSEWHERE + AFTERMATH)
        used = store.used[row] + parms.delay_first_probe_time
        alike = used == expiry and store.used[row] == confirmed
        return due - PHASE <= used + known.lags[1] and used <= latest and not alike
