"""Many scenarios on all players, side by side where that is allowed, and what came of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .compare import SLACK, Comparison, compare, compare_with_engine
from .engine import EnginePlayer
from .exclusive import HostThresholds, why_not
from .host import HostPlayer, why_not_on_host
from .host_process import HostEnded
from .kernel import Disturbed, KernelPlayer, holds_here
from .model import Scenario
from .trace import Line, Trace, read_traces, write_traces

__all__ = ["Result", "play_on_engine", "play_on_host", "play_on_kernel", "play_side_by_side", "record"]

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
    settled: bool = False
    """Whether it would be the same again: not where a busy machine may have made the difference."""

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


def play_on_host(scenarios: Sequence[Scenario], *, workers: int = AT_ONCE) -> list[Result]:
    """Play all on ``neighio host``, against their expected traces."""
    results: dict[int, Result] = {}

    def play(place: int) -> bool:
        results[place] = _on_host(scenarios[place], None)
        return results[place].settled

    _play_twice(range(len(scenarios)), workers, play)
    return [results[place] for place in range(len(scenarios))]


def play_side_by_side(
    scenarios: Sequence[Scenario], *, workers: int = AT_ONCE
) -> tuple[list[Result], list[Result]]:
    """Play each on the running kernel and then on ``neighio host``; return what came of it on either.

    The kernel is compared with the engine. The host is compared with the kernel, and with the expected trace
    where that does not play here; it is given the same draws.
    """
    hosts: dict[int, Result] = {}

    def beside(place: int, kernel: Result) -> bool:
        hosts[place] = _on_host(scenarios[place], kernel.expected)
        return hosts[place].settled

    kernels = _on_kernel(scenarios, workers, _against_engine, beside)
    return kernels, [hosts[place] for place in range(len(scenarios))]


def _play_twice(places: Iterable[int], workers: int, play: Callable[[int], bool]) -> None:
    """Play all side by side, and once more, few at once, those of which ``play`` returns that nothing is
    settled."""
    for at_once in (workers, FEW):
        with ThreadPoolExecutor(at_once) as pool:
            places = [place for place, settled in pool.map(lambda n: (n, play(n)), places) if not settled]


def _on_kernel(
    scenarios: Sequence[Scenario],
    workers: int,
    play: Callable[[Scenario], Result],
    beside: Callable[[int, Result], bool] | None = None,
) -> list[Result]:
    """``beside`` is called with the place and the result of each, where its turn is; it returns whether
    nothing has to be played again."""
    results: dict[int, Result] = {}

    def one(place: int) -> bool:
        if place not in results or not results[place].settled:
            reason = _why_not_on_kernel(scenarios[place])
            results[place] = (
                play(scenarios[place])
                if reason is None
                else Result(scenarios[place], KernelPlayer.name, reason=reason, settled=True)
            )
        also = beside is None or beside(place, results[place])
        return also and results[place].settled

    _play_twice(range(len(scenarios)), workers, one)
    for place, scenario in enumerate(scenarios):
        thresholds = scenario.gc_thresh
        if thresholds is not None and not scenario.collection and holds_here(scenario) is None:
            reason = why_not()
            if reason is not None:
                results[place] = Result(scenario, KernelPlayer.name, reason=reason, settled=True)
                continue
            with HostThresholds(thresholds):
                results[place] = play(scenario)
    return [results[place] for place in range(len(scenarios))]


def _why_not_on_kernel(scenario: Scenario) -> str | None:
    """Why the running kernel does not play a scenario beside others, or None when it does."""
    reason = holds_here(scenario)
    if reason is None and scenario.collection:
        reason = "the kernel does not tell when its periodic collection runs"
    if reason is None and scenario.exclusive:
        reason = "it is alone on the machine"
    return reason


def _against_engine(scenario: Scenario, *, busy: float = BUSY) -> Result:
    player = KernelPlayer()
    try:
        seen = player.play(scenario)
    except Disturbed as disturbed:
        return Result(scenario, player.name, reason=str(disturbed))
    comparison = compare_with_engine(scenario, seen, slack=SLACK + busy)
    return Result(scenario, player.name, comparison, expected=seen, settled=comparison.identical)


def _on_host(scenario: Scenario, expected: Trace | None) -> Result:
    """Play on a host, against the recorded trace where no other is given."""
    player = HostPlayer()
    expected = expected or read_traces(scenario.trace_path).get(scenario.key)
    if expected is None:
        reason: str | None = f"{scenario.trace_path.name} has no trace of it"
    else:
        reason = why_not_on_host(scenario, expected)
    if reason is not None or expected is None:
        return Result(scenario, player.name, reason=reason or "", settled=True)
    try:
        seen = player.play(scenario, expected)
    except Disturbed as disturbed:
        return Result(scenario, player.name, reason=str(disturbed))
    except HostEnded as ended:
        seen = Trace(lines=[Line(0.0, "x", "host", str(ended))])
    comparison = compare(scenario, expected, seen, slack=SLACK + BUSY)
    settled = comparison.identical and not seen.blurred
    if not settled:
        # That what is sent and what is told come in their order among each other is left to the engine.
        apart = compare(scenario, expected, seen, slack=SLACK + BUSY, apart=True)
        comparison = apart if apart.identical else comparison
    return Result(scenario, player.name, comparison, expected=expected, settled=settled)


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
