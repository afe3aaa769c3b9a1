"""The random walk: on an engine that is as late as a kernel, on one that is broken, and on the running kernel."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neighio.core.constants import AF_INET, AF_INET6
from neighio.core.nud import Nud
from neighio.core.timers import Timers
from neighio.testing.isolation import require_namespaces
from neighio.testing.scenario import EnginePlayer, Scenario, Trace, load, model
from neighio.testing.scenario.compare import lateness
from neighio.testing.scenario.engine import BEGINNING
from neighio.testing.scenario.engine import _Stage as EngineStage
from neighio.testing.scenario.trace import Line
from neighio.testing.scenario.walk.__main__ import Report, run
from neighio.testing.scenario.walk.chance import Chance
from neighio.testing.scenario.walk.lockstep import Disturbed, Entry, Lockstep
from neighio.testing.scenario.walk.metronome import AROUND, Managed
from neighio.testing.scenario.walk.moves import Move
from neighio.testing.scenario.walk.shrink import Finding, shrink, write
from neighio.testing.scenario.walk.timing import ELSEWHERE
from neighio.testing.scenario.walk.walk import Outcome, again, beginning, by_chance, walk
from neighio.testing.scenario.words import parse_address

JIFFY = 0.004
GRAIN = 0.01


class LateTimers(Timers):
    """Fire when a kernel's may: from one jiffy after their time to as late as their class allows."""

    clock: Callable[[], float]
    chance: random.Random

    def arm(self, row: int, when: float) -> None:
        if when != self._store.deadline[row]:
            most = lateness(max(when - self.clock(), 0.0)) + ELSEWHERE
            when = when + JIFFY * self.chance.randint(1, round(most / JIFFY))
        super().arm(row, when)


class LateEngine:
    """An oracle without a kernel: an engine whose timers are late, whose dumps are coarse, under virtual time.

    ``busy``: how likely something else goes on for a while before a step, or between the packets of one.
    """

    atomic = False

    def __init__(self, start: Scenario, seed: int = 0, busy: float = 0.0) -> None:
        self.chance = random.Random(seed)
        self.busy = busy
        self.stage = EngineStage(start, Trace(), "host")
        self.time = 0.0
        services = self.stage.sim.engine.services
        for cache in self.stage.sim.engine.caches.values():
            for table in cache.by_device.values():
                scope = ("device", table.device.index)
                late = LateTimers(cache.store, table.slot, lambda scope=scope: services.rearmed.add(scope))
                late.clock = lambda: services.now
                late.chance = self.chance
                table.timers = late

    def break_nud(self, nud: type[Nud]) -> None:
        for cache in self.stage.sim.engine.caches.values():
            cache.nud = nud(cache)

    def now(self) -> float:
        self.time += 0.0001
        self.stage.sim.run_until(BEGINNING + self.time)
        return self.time

    def wait(self, until: float) -> None:
        self.time = max(self.time, until)
        self.stage.sim.run_until(BEGINNING + self.time)

    def moment(self) -> float:
        self.wait((self.time // JIFFY + 1) * JIFFY + 0.001)
        return self.time

    def lose_time(self) -> None:
        if self.chance.random() < self.busy:
            self.wait(self.time + self.chance.uniform(0.0, 0.04))

    def perform(self, move: Move, action: model.Action) -> Move:
        lines = self.stage.trace.lines
        self.lose_time()
        if isinstance(action, model.Send):
            for _ in range(action.count):
                self.stage._perform(replace(action, count=1))
                self.lose_time()
            return move
        if isinstance(action, model.Set):
            return replace(move, value=self.set(action))
        if isinstance(action, model.Admin):
            before = len(lines)
            self.stage._perform(replace(action, error=0))
            told = [line for line in lines[before:] if line.kind == "="]
            for line in told:
                lines.remove(line)
            return replace(move, error=told[0].text.split()[3].rstrip(",") if told else "")
        self.stage._perform(action)
        return move

    def set(self, action: model.Set) -> dict[str, object]:
        parts = {}
        for family in (AF_INET, AF_INET6):
            changes = dict(action.of(family))
            changes.pop("reachable_time", None)
            base = changes.get("base_reachable_time")
            if base is not None:
                changes["reachable_time"] = JIFFY * self.chance.randrange(
                    round(base / 2 / JIFFY), round(1.5 * base / JIFFY)
                )
            parts[family] = changes
        self.stage._perform(model.Set(parts[AF_INET], parts[AF_INET6]))
        return {**parts[AF_INET], "ipv6": parts[AF_INET6]} if parts[AF_INET6] else parts[AF_INET]

    def acted(self) -> float:
        return self.time

    def drawn(self) -> list[float]:
        drawn, self.stage.trace.drawn = self.stage.trace.drawn, []
        return drawn

    def lines(self) -> list[Line]:
        return self.stage.trace.lines

    def blurred(self) -> set[str]:
        return set()

    def entries(self) -> dict[str, Entry]:
        now = self.now() + BEGINNING
        found = {}
        for cache in self.stage.sim.engine.caches.values():
            for row in cache.rows():
                event = self.stage.snapshot(cache.handle(row))
                ages = {
                    name: now - (now - getattr(event, name)) // GRAIN * GRAIN
                    for name in ("confirmed", "used", "updated")
                }
                entry = Entry.of(event._replace(**ages), BEGINNING)
                if entry is not None:
                    found[event.ip] = entry
        return found

    def disturbance(self, *, sure: bool) -> str:
        return ""


class Unconfirmed(Nud):
    """Does not hear the upper layer."""

    __slots__ = ()

    def confirm(self, row: int) -> None:
        pass


FAMILIES = ((4,), (6,), (4, 6))


@pytest.mark.parametrize("families", FAMILIES, ids=str)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_lateness_alone_makes_no_difference(families: tuple[int, ...], seed: int) -> None:
    start = beginning(families)
    outcome = walk(LateEngine(start, seed), start, "host", by_chance(Chance(str(seed), families), 80))
    assert not outcome.difference, "\n".join([*map(str, outcome.moves[-10:]), outcome.difference])
    assert outcome.disturbance.startswith("lateness decides") or outcome.compared >= 80


@pytest.mark.parametrize("families", FAMILIES, ids=str)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_nor_does_it_that_a_step_is_late(families: tuple[int, ...], seed: int) -> None:
    start = beginning(families)
    chance = Chance(str(seed), families)
    outcome = walk(LateEngine(start, seed, busy=0.2), start, "host", by_chance(chance, 80))
    assert not outcome.difference, "\n".join([*map(str, outcome.moves[-10:]), outcome.difference])
    assert outcome.disturbance.startswith(("lateness decides", "a step took so long")) or (
        outcome.compared >= 80
    )


@pytest.mark.parametrize("families", FAMILIES, ids=str)
@pytest.mark.parametrize(("busy", "least"), [(0.0, 400), (0.2, 100)])
def test_most_steps_are_compared_and_of_late_ones_many(
    families: tuple[int, ...], busy: float, least: int
) -> None:
    start = beginning(families)
    compared = 0
    for seed in range(6):
        chance = Chance(str(seed), families)
        compared += walk(LateEngine(start, seed, busy=busy), start, "host", by_chance(chance, 80)).compared
    assert compared >= least


def test_a_walk_is_the_same_of_the_same_seed() -> None:
    for families in FAMILIES:
        one, other, another = (Chance(seed, families) for seed in ("a", "a", "b"))
        moves = [[chance.next({}) for _ in range(50)] for chance in (one, other, another)]
        assert moves[0] == moves[1] != moves[2]


@pytest.mark.parametrize("families", FAMILIES, ids=str)
def test_every_kind_of_step_is_done_in_each_family(families: tuple[int, ...]) -> None:
    chance = Chance("kinds", families)
    seen = set()
    for move in [chance.first(), *(chance.next({}) for _ in range(3000))]:
        words = str(move.value).split()
        match move.verb:
            case "set":
                seen |= {("set", 6 if "ipv6" in move.value else 4)}
            case "carrier" | "link":
                seen.add((move.verb, words[0]))
            case "lladdr":
                seen.add(("lladdr", ""))
            case "address" | "route":
                seen.add((f"{move.verb} {words[0]}", 6 if ":" in words[1] or words[1][0] == "6" else 4))
            case "peer":
                seen.add((words[0], 4 if words[0] == "arp" else 6))
            case "admin":
                ip = words[1]
                seen.add((words[0], 6 if ":" in ip or ip[0] == "6" else 4))
            case _:
                seen.add((move.verb, 6 if ":" in words[0] or words[0][0] == "6" else 4))
    both = ["set", "send", "confirm", "address add", "address del", "route add", "route del"]
    both += ["replace", "change", "add", "append", "del"]
    expected = {(kind, family) for kind in both for family in families}
    expected |= {("carrier", "on"), ("carrier", "off"), ("link", "up"), ("link", "down"), ("lladdr", "")}
    expected |= {("arp", 4)} if 4 in families else set()
    expected |= {(kind, 6) for kind in ("ns", "na", "rs", "ra", "redirect")} if 6 in families else set()
    assert seen == expected


@pytest.mark.parametrize("families", FAMILIES, ids=str)
def test_whatever_chance_chooses_a_scenario_file_may_say(families: tuple[int, ...], tmp_path: Path) -> None:
    chance = Chance("words", families)
    moves = [chance.first(), *(chance.next({}) for _ in range(400))]
    moves = [move if move.verb != "set" else replace(move, value=_drawn(move.value)) for move in moves]
    path = tmp_path / "walk.toml"
    path.write_text(
        write(Finding(tuple(moves), 0.1, "- = 198.51.100.2 absent"), families, "words"), encoding="utf-8"
    )
    (scenario,) = load(path)
    assert scenario.addresses == beginning(families).addresses
    own = [parse_address(address.partition("/")[0]) for address in scenario.addresses]
    actions = [step.action for step in scenario.steps]
    assert actions == [*(move.action(own) for move in moves), model.Show((parse_address(".2"),))]


def _drawn(value: object) -> dict[str, object]:
    """What was set, with what a player would have had drawn."""
    assert isinstance(value, dict)
    drawn = {k: _drawn(v) if isinstance(v, dict) else v for k, v in value.items() if k != "ipv6" or v}
    if "base_reachable_time" in drawn:
        drawn["reachable_time"] = drawn["base_reachable_time"]
    return drawn


def attempt_on(
    nud: type[Nud], start: Scenario
) -> Callable[[Sequence[tuple[Move, ...]], float], list[Outcome]]:
    def attempt(candidates: Sequence[tuple[Move, ...]], rest: float) -> list[Outcome]:
        found = []
        for number, moves in enumerate(candidates):
            oracle = LateEngine(start, number)
            oracle.break_nud(nud)
            found.append(walk(oracle, start, "host", again(moves), rest))
        return found

    return attempt


def test_a_difference_is_found_made_short_and_written_down(tmp_path: Path) -> None:
    start = beginning((4,))
    for seed in range(20):
        oracle = LateEngine(start, seed)
        oracle.break_nud(Unconfirmed)
        outcome = walk(oracle, start, "host", by_chance(Chance(f"broken {seed}", (4,)), 80))
        if outcome.difference:
            break
    assert outcome.difference
    assert outcome.compared == len(outcome.moves) - 1
    found = shrink(Finding(outcome.moves, outcome.rest, outcome.difference), attempt_on(Unconfirmed, start))
    assert found is not None
    assert len(found.moves) <= 3 <= len(outcome.moves)
    path = tmp_path / "walk.toml"
    path.write_text(write(found, (4,), "found by a walk"), encoding="utf-8")
    (scenario,) = load(path)
    assert any(isinstance(step.action, model.Confirm) or "confirm" in step.text for step in scenario.steps)
    assert isinstance(scenario.steps[-1].action, model.Show)
    assert EnginePlayer().play(scenario).lines


def test_a_difference_that_does_not_come_again_is_none() -> None:
    start = beginning((4,))
    moves = (Move(0.02, "send", ".2"), Move(0.02, "confirm", ".2"))
    assert shrink(Finding(moves, 0.1, "- 0.1 ! 198.51.100.2 FAILED"), attempt_on(Nud, start)) is None


def pair_of(*moves: Move) -> Lockstep:
    start = beginning((4,))
    pair = Lockstep(LateEngine(start), start, "host")
    times = {"delay_first_probe_time": 0.2, "retrans_time": 0.2, "base_reachable_time": 0.32}
    for move in (Move(0.02, "set", times), *moves):
        assert pair.step(move) == ""
    return pair


def test_nothing_is_done_while_a_timer_may_or_may_not_have_fired() -> None:
    pair = pair_of(Move(0.02, "send", ".2"), Move(0.198, "send", ".3"))
    # The request for .2 is due 0.2 s after the first, up to two jiffies late, and two more are left to it.
    assert 0.2 + 3 * JIFFY <= pair.moves[-1].pause <= 0.2 + 6 * JIFFY


def test_what_lateness_would_decide_is_told() -> None:
    stale = Move(0.02, "admin", "add .2 lladdr :0b nud stale")
    at_once = pair_of(stale, Move(0.02, "send", ".2 confirm"))
    assert at_once.undecided() is None
    # Confirmed two jiffies after the DELAY began: at its end, that is within the lateness of its timer.
    soon = pair_of(stale, Move(0.02, "send", ".2"), Move(2 * JIFFY, "confirm", ".2"))
    assert soon.undecided() == "198.51.100.2"
    later = pair_of(stale, Move(0.02, "send", ".2"), Move(0.1, "confirm", ".2"))
    assert later.undecided() is None
    with pytest.raises(Disturbed, match=r"lateness decides what becomes of 198\.51\.100\.2"):
        soon.step(Move(0.3, "send", ".3"))


def test_a_walk_avoids_what_lateness_would_decide() -> None:
    start = beginning((4,))
    moves = (
        Move(0.02, "admin", "add .2 lladdr :0b nud stale"),
        Move(0.02, "send", ".2"),
        Move(2 * JIFFY, "confirm", ".2"),
        Move(0.02, "send", ".3"),
    )
    outcome = walk(
        LateEngine(start), start, "host", again((Move(0.02, "set", {"delay_first_probe_time": 0.2}), *moves))
    )
    assert not outcome.difference and not outcome.disturbance
    assert "del 198.51.100.2" in [move.value for move in outcome.moves]


class Told:
    """Runs of the managed work, which become known a while later."""

    def __init__(self) -> None:
        self.last = self.until = 0.0

    def has_beaten(self, since: float) -> bool:
        return self.last >= since

    def heard(self) -> float:
        return self.until


def test_the_managed_work_disturbs_only_what_has_managed_entries() -> None:
    told = Told()
    managed = Managed(told, 10.0)
    told.last, told.until = 10.5, 11.0
    managed.note(False)
    assert not managed.has_run(11.0)
    told.until = 12.0
    managed.note(True)
    assert not managed.has_run(12.0)
    told.last = 12.1
    managed.note(True)
    assert managed.has_run(12.2)


def test_a_run_of_the_managed_work_counts_though_it_is_known_late_and_what_it_found_is_gone() -> None:
    told = Told()
    managed = Managed(told, 10.0)
    told.until = 10.9
    for now, found in ((11.0, True), (12.0, False), (13.0, False)):
        managed.note(found)
        assert not managed.has_run(now)
    # It ran between the dump that had a managed entry and the one that had it no more.
    told.last = told.until = 11.5
    managed.note(False)
    assert managed.has_run(14.0)
    # Long after the last such entry was there it disturbs nobody.
    managed = Managed(told, 20.0)
    for now, found in ((21.0, True), (22.0, False), (23.0, False), (24.0, False)):
        told.until = now + 2 * AROUND
        managed.note(found)
        assert not managed.has_run(now)
    told.last = told.until = 24.5
    managed.note(False)
    assert not managed.has_run(25.0)


def test_an_outcome_survives_the_way_between_processes() -> None:
    moves = (Move(0.02, "set", {"ipv6": {"retrans_time": 0.2}}), Move(0.01, "admin", "del .2", "ENOENT"))
    outcome = Outcome(moves, 0.1, 1, 0, "- = 198.51.100.2 absent")
    assert Outcome.of_json(outcome.as_json()) == outcome


@pytest.mark.parametrize("families", FAMILIES, ids=str)
def test_the_running_kernel_and_the_engine_walk_together(families: tuple[int, ...]) -> None:
    require_namespaces()
    told: list[str] = []
    # Half as many lanes as usual: another part may walk at the same time.
    report: Report = run("test", steps=10**6, seconds=20.0, families=[families], lanes=8, tell=told.append)
    assert not report.found, "\n".join([*told, *(text for _, text in report.files), str(report)])
    assert report.steps >= 100, str(report)
