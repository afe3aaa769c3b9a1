"""The engine and an oracle in step: each move on both, and then what they did and what they have, compared.

The oracle's clock is the one: the engine follows it. Where lateness decides (see :mod:`.timing`) both are let
pass before anything is done or compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from ....address import format_ip
from ....core.events import NewNeighbour
from ....core.parameters import JIFFY
from .. import model
from ..describe import describe_notification
from ..engine import BEGINNING, Role
from ..engine import _Stage as EngineStage
from ..model import Scenario
from ..trace import Line, Trace
from ..words import parse_address
from .moves import Move
from .timing import PHASE, Timing

__all__ = ["Disturbed", "Entry", "Lockstep", "Oracle", "source"]

GUARD: Final = 0.008
"""Seconds that a comparison and a step may take together before the next timer may fire."""

STALL: Final = 0.04
"""Seconds that are given to a timer that is later than can be explained, before all is compared again."""

PATIENCE: Final = 2

GRAIN: Final = 0.01
"""Seconds: what a dump's ages are rounded to."""


class Disturbed(Exception):
    """A walk cannot be judged from here on: the text says why.

    Attributes:
        difference: what differed, for which this may be the reason.
    """

    def __init__(self, reason: str, difference: str = "") -> None:
        super().__init__(reason)
        self.difference = difference


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as a dump has it; the stamps are seconds since the beginning."""

    text: str
    confirmed: float
    used: float
    updated: float

    @classmethod
    def of(cls, event: NewNeighbour, beginning: float) -> Entry | None:
        """None for what nobody is told of."""
        described = describe_notification(event)
        stamps = (event.confirmed - beginning, event.used - beginning, event.updated - beginning)
        return None if described is None else cls(described[1], *stamps)


class Oracle(Protocol):
    """Whom the engine is compared with; times are seconds since the beginning.

    Attributes:
        atomic: the order of notifications that Linux has since 7.0.
    """

    atomic: bool

    def now(self) -> float: ...

    def wait(self, until: float) -> None:
        """Let time pass, and see what happens meanwhile."""

    def moment(self) -> float:
        """Wait for a moment at which a step is likely to be over within the same jiffy; returns it."""

    def perform(self, move: Move, action: model.Action) -> Move:
        """Do it; returns it with what came of it: the error that a command got, what was drawn."""

    def acted(self) -> float:
        """When the last step was over."""

    def drawn(self) -> list[float]:
        """What frames had drawn since the last call."""

    def lines(self) -> list[Line]:
        """What was seen; whoever has judged it clears the list."""

    def blurred(self) -> set[str]:
        """Of whom the order of frames and notifications among those lines cannot be told; cleared with
        them."""

    def entries(self) -> dict[str, Entry]:
        """What there is, by IP address."""

    def disturbance(self, *, sure: bool) -> str:
        """What happened to the machine since the last call that no engine can know of; empty when nothing
        did. ``sure``: something differs, and the answer is worth a wait."""


class Lockstep:
    """Walks on an oracle and on an engine.

    Attributes:
        moves: what was done so far, with pauses as they were.
        blurred: after how many steps the order of frames and notifications could not be told.
    """

    def __init__(self, oracle: Oracle, start: Scenario, role: Role) -> None:
        self._oracle = oracle
        self._stage = EngineStage(start, Trace(atomic=oracle.atomic), role)
        self._role: Role = role
        self._own = [parse_address(address.partition("/")[0]) for address in start.addresses]
        self._timing = Timing(self._stage.sim.engine)
        self._carrier = True
        self._last = oracle.now()
        self.moves: list[Move] = []
        self.blurred = 0
        self._untold = False

    # -- what may be done next

    def states(self) -> dict[str, int]:
        """The engine's entries and their NUD_* states."""
        return {
            format_ip(cache.store.key_of(row)): cache.store.nud_state[row]
            for cache in self._stage.sim.engine.caches.values()
            for row in cache.rows()
        }

    def undecided(self) -> str | None:
        """The address of an entry that lateness would decide about."""
        key = self._timing.undecided()
        return None if key is None else format_ip(key)

    # -- steps

    def step(self, move: Move) -> str:
        """Wait, compare, and unless something differs do the next move; returns what differs.

        Raises:
            Disturbed: nothing can be said any more.
        """
        while True:
            difference = self.compare(move.pause)
            if difference:
                return difference
            began = self._oracle.moment()
            if began + BEGINNING < self._timing.next_instant(self._stage.sim.now) - PHASE:
                self._perform(move, began)
                return ""

    def compare(self, pause: float) -> str:
        """Wait until so long after the last step, and compare; returns what differs.

        Raises:
            Disturbed: nothing can be said any more.
        """
        target = self._last + pause
        tries = 0
        late = ""
        while True:
            self._settle(target)
            difference = self._compare()
            target = now = self._oracle.now()
            if now + BEGINNING >= self._timing.next_instant(self._stage.sim.now) - PHASE:
                continue
            if not difference or not self._timing.fired or tries == PATIENCE:
                break
            # A timer that was late for no reason that is known is seen to have fired some time later.
            tries += 1
            late = difference
            target = now + STALL
        if late and not difference:
            # What it armed will fire nobody knows when.
            raise Disturbed("a timer was later than can be explained", late)
        if not difference:
            self._take_lines()
        return difference

    def _perform(self, move: Move, began: float) -> None:
        sim, oracle, timing = self._stage.sim, self._oracle, self._timing
        self._advance(began)
        instant = timing.next_instant(sim.now)
        done = oracle.perform(move, move.action(self._own))
        ended = oracle.acted()
        self.moves.append(replace(done, pause=round(began - self._last, 3)))
        self._last = began
        self._stage.draws.extend(oracle.drawn())
        action = done.action(self._own)
        self._stage._perform(action)
        if isinstance(action, model.Carrier):
            self._carrier = action.on
        # Where the jiffies end, they are the same on both.
        lag = ended - began if ended // JIFFY != began // JIFFY else 0.0
        timing.follow_step(sim.now, lag)
        if lag:
            instant = min(instant, timing.next_instant(sim.now))
        if ended + BEGINNING >= instant:
            raise Disturbed("a step took so long that a timer may have fired meanwhile")

    def _settle(self, target: float) -> None:
        """Let time pass until ``target``, and on until no lateness matters."""
        while True:
            self._oracle.wait(target)
            now = self._oracle.now()
            self._advance(now)
            until = self._timing.unsettled(now + BEGINNING, now + BEGINNING + GUARD)
            if until is None:
                return
            target = until - BEGINNING

    def _advance(self, now: float) -> None:
        sim = self._stage.sim
        when = now + BEGINNING
        while (due := min(map(sim.engine.next_deadline, sim.engine.scopes()))) <= when:
            key = self._timing.undecided(due)
            if key is not None:
                raise Disturbed(f"lateness decides what becomes of {format_ip(key)}")
            sim.run_until(max(due, sim.now))
            self._timing.follow_timers(sim.now)
        sim.run_until(when)

    # -- comparing

    def _compare(self) -> str:
        self._untold = False
        self._oracle.wait(self._oracle.now())
        found = self._oracle.entries()
        # What came up to the moment of the dump has been seen, too.
        self._oracle.wait(self._oracle.now())
        differing = [*self._differing_lines(), *self._differing_entries(found)]
        disturbance = self._oracle.disturbance(sure=bool(differing))
        if disturbance:
            raise Disturbed(disturbance)
        return "\n".join(differing)

    def _take_lines(self) -> None:
        self.blurred += self._untold
        self._oracle.blurred().clear()
        self._timing.fired = False
        self._oracle.lines().clear()
        self._stage.trace.lines.clear()

    def _differing_lines(self) -> list[str]:
        expected = self._by_neighbour(self._oracle.lines())
        seen = self._by_neighbour(self._stage.trace.lines)
        differing = []
        for place in dict.fromkeys([*expected, *seen]):
            ours, theirs = expected.get(place, []), seen.get(place, [])
            if [line.what for line in ours] == [line.what for line in theirs]:
                continue
            if place[1] in self._oracle.blurred() and _apart(ours) == _apart(theirs):
                self._untold = True
                continue
            differing += [f"- {line}" for line in ours] + [f"+ {line}" for line in theirs]
        return differing

    def _by_neighbour(self, lines: Iterable[Line]) -> dict[tuple[str, str], list[Line]]:
        found: dict[tuple[str, str], list[Line]] = defaultdict(list)
        for line in lines:
            if line.host and self._role == "client":
                continue
            # Without a carrier a frame goes nowhere: the kernel drops it before anybody sees it.
            if line.kind != ">" or self._carrier:
                found["x" if line.kind == "x" else "", line.ip].append(line)
        return found

    def _differing_entries(self, expected: dict[str, Entry]) -> list[str]:
        engine = self._stage.sim.engine
        seen: dict[str, Entry] = {}
        lags: dict[str, tuple[float, ...]] = {}
        for family, cache in engine.caches.items():
            for row in cache.rows():
                event = self._stage.snapshot(cache.handle(row))
                entry = Entry.of(event, BEGINNING)
                if entry is not None:
                    seen[event.ip] = entry
                    lags[event.ip] = self._timing.lags(family, event.key)
        differing = []
        for ip in dict.fromkeys([*expected, *seen]):
            ours, theirs = expected.get(ip), seen.get(ip)
            if ours is None or theirs is None or not _agree(ours, theirs, lags[ip]):
                differing += [f"- = {ip} {ours or 'absent'}", f"+ = {ip} {theirs or 'absent'}"]
        return differing


def source(line: Line) -> str:
    """Which of the sockets shows such a line: notifications, answers, and all else that leaves."""
    return "answer" if line.host else line.kind


def _apart(lines: Sequence[Line]) -> dict[str, list[str]]:
    """The lines of each socket in their order."""
    found: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        found[source(line)].append(line.what)
    return found


def _agree(ours: Entry, theirs: Entry, lags: Sequence[float]) -> bool:
    gaps = (
        ours.confirmed - theirs.confirmed,
        ours.used - theirs.used,
        ours.updated - theirs.updated,
    )
    return ours.text == theirs.text and all(
        -2 * JIFFY <= gap <= lag + GRAIN + 3 * JIFFY for gap, lag in zip(gaps, lags, strict=True)
    )
