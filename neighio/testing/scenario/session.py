"""Many scenarios on both players, side by side where that is allowed, and what came of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .compare import SLACK, Comparison, compare_with_engine
from .engine import EnginePlayer
from .exclusive import HostThresholds, why_not
from .kernel import Disturbed, KernelPlayer, holds_here
from .model import Scenario
from .trace import Trace, read_traces, write_traces

__all__ = ["Result", "play_on_engine", "play_on_kernel", "record"]

AT_ONCE: Final = 12
"""How many scenarios are in real time at once: they sleep, but each wakes up for each of its steps."""

FEW: Final = 3
"""How many are tried again at once, when the others are done: those that were disturbed, and those that
differ, for a notification that is read late may seem to follow its frame. A true difference comes again."""

CALM_TRIES: Final = 2

BUSY: Final = 0.06
"""Seconds by which notifications may be seen late on a machine that does other things too."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one scenario on one player: a comparison, or why there is none."""

    scenario: Scenario
    player: str
    comparison: Comparison | None = None
    reason: str = ""
    expected: Trace | None = None

    @property
    def identical(self) -> bool:
        return self.comparison is not None and self.comparison.identical

    @property
    def differs(self) -> bool:
        """Whether it was played and ended differently, and is not meant to."""
        return self.comparison is not None and not self.comparison.identical

    def __str__(self) -> str:
        if self.comparison is None:
            return f"{self.scenario.identity} on {self.player}: not played: {self.reason}"
        verdict = "identical" if self.identical else f"DIFFERS as a {self.comparison.role}"
        return f"{self.scenario.identity} on {self.player}: {verdict}"


def play_on_engine(scenarios: Sequence[Scenario]) -> list[Result]:
    """Play all on the engine, against their expected traces."""
    traces: dict[Path, dict[str, Trace]] = {}
    results = []
    for scenario in scenarios:
        path = scenario.trace_path
        if path not in traces:
            traces[path] = read_traces(path)
        expected = traces[path].get(scenario.key)
        if expected is None:
            reason = f"{path.name} has no trace of it"
            results.append(Result(scenario, EnginePlayer.name, reason=reason))
            continue
        comparison = compare_with_engine(scenario, expected)
        results.append(Result(scenario, EnginePlayer.name, comparison, expected=expected))
    return results


def play_on_kernel(scenarios: Sequence[Scenario], *, workers: int = AT_ONCE) -> list[Result]:
    """Play all on the running kernel and compare each with the engine, which is given the same draws."""
    return _on_kernel(scenarios, workers, _against_engine)


def _on_kernel(
    scenarios: Sequence[Scenario], workers: int, play: Callable[[Scenario], Result]
) -> list[Result]:
    results: dict[int, Result] = {}
    ordinary: list[int] = []
    exclusive: list[int] = []
    for place, scenario in enumerate(scenarios):
        reason = holds_here(scenario)
        if reason is None and scenario.collection:
            reason = "the kernel does not tell when its periodic collection runs"
        if reason is None and scenario.exclusive:
            reason = why_not()
        if reason is not None:
            results[place] = Result(scenario, KernelPlayer.name, reason=reason)
        else:
            (exclusive if scenario.exclusive else ordinary).append(place)
    for at_once in (workers, FEW):
        with ThreadPoolExecutor(at_once) as pool:
            played = pool.map(lambda place: play(scenarios[place]), ordinary)
            results.update(zip(ordinary, played, strict=True))
        ordinary = [place for place in ordinary if not results[place].identical]
    for place in exclusive:
        thresholds = scenarios[place].gc_thresh
        assert thresholds is not None
        with HostThresholds(thresholds):
            results[place] = play(scenarios[place])
    return [results[place] for place in range(len(scenarios))]


def _against_engine(scenario: Scenario, *, busy: float = BUSY) -> Result:
    player = KernelPlayer()
    try:
        seen = player.play(scenario)
    except Disturbed as disturbed:
        return Result(scenario, player.name, reason=str(disturbed))
    comparison = compare_with_engine(scenario, seen, slack=SLACK + busy)
    return Result(scenario, player.name, comparison, expected=seen)


def _calmly(scenario: Scenario) -> Result:
    """Play until the machine did not smear the times; what differs otherwise does so each time."""
    result = _against_engine(scenario, busy=0.0)
    for _ in range(CALM_TRIES):
        if not result.differs:
            break
        result = _against_engine(scenario, busy=0.0)
    return result


def record(scenarios: Sequence[Scenario], *, workers: int = 6) -> list[Result]:
    """Record the expected traces of scenarios on the running kernel, beside their files.

    Other traces of the same files stay. The results compare the engine with what was recorded.
    """
    results = _on_kernel(scenarios, workers, _calmly)
    recorded: dict[Path, dict[str, Trace]] = defaultdict(dict)
    for result in results:
        if result.expected is not None:
            name = result.scenario.key
            recorded[result.scenario.trace_path][name] = result.expected
    for path, traces in recorded.items():
        write_traces(path, {**read_traces(path), **traces})
    return results
