"""python -m neighio.testing.scenario.walk [--steps N] [--seed S] ...: engine and kernel, by chance."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Final

from ...namespace import Unavailable, available
from ..engine import Role
from .lanes import Lanes, Task, work
from .moves import Move
from .shrink import SURE, Finding, shrink, write
from .walk import Outcome

__all__ = ["Report", "main", "run"]

LENGTH: Final = 200
"""Steps of one walk."""

LANES: Final = 16
"""Walks at once: the kernel's tables are one for all of them, and collected from 128 entries on."""

ENOUGH: Final = 4
"""Differences after which a run ends."""

SHRUNK: Final = 2
"""How many differences are made short, the shortest ones: the others are likely the same."""

BUDGET: Final = 60.0
"""Seconds that may be spent on one."""

PROGRESS: Final = 10.0
"""Seconds between two lines of progress."""


@dataclass(slots=True)
class Report:
    """What came of a run of walks."""

    seed: str
    walks: int = 0
    steps: int = 0
    blurred: int = 0
    seconds: float = 0.0
    tried: int = 0
    disturbed: Counter[str] = field(default_factory=Counter)
    found: list[tuple[Task, Finding]] = field(default_factory=list)
    doubted: list[tuple[Task, Finding]] = field(default_factory=list)
    """What differed while something else went on that may be the reason; what comes again is found."""
    files: list[tuple[str, str]] = field(default_factory=list)
    """Of each difference that came again: its walk, and the text of a scenario file."""

    def take(self, task: Task, outcome: Outcome) -> None:
        self.walks += 1
        self.steps += outcome.compared
        self.blurred += outcome.blurred
        if outcome.disturbance:
            self.disturbed[outcome.disturbance] += 1
        if outcome.difference:
            which = self.doubted if outcome.disturbance else self.found
            which.append((task, Finding(outcome.moves, outcome.rest, outcome.difference)))

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}: {self.steps:,} steps in {self.walks} walks and {self.seconds:.0f} s",
            f"{len(self.found)} differed; of {self.tried} that were tried again {len(self.files)} did",
            f"{self.disturbed.total()} walks were broken off:",
            *(f"  {count:4} {reason}" for reason, count in self.disturbed.most_common()),
            f"{len(self.doubted)} of them differed, which did not come again",
            f"{self.blurred} steps of which the order of frames and notifications could not be told",
        ]
        return "\n".join(lines)


def run(
    seed: str,
    *,
    steps: int,
    families: Sequence[tuple[int, ...]] = ((4,), (6,), (4, 6)),
    lanes: int = LANES,
    length: int = LENGTH,
    seconds: float = float("inf"),
    tell: Callable[[str], None] = lambda line: None,
) -> Report:
    """Walk for so many steps or seconds, and shrink what differs.

    Walks of ``families`` take turns, those of IPv4 alone as a client and as a host.

    Raises:
        Unavailable: no namespaces here.
        RuntimeError: a walk broke off for a reason that no walk has.
    """
    unavailable = available()
    if unavailable is not None:
        raise unavailable
    report = Report(seed)
    began = told = time.monotonic()
    with Lanes(lanes) as side:
        pending: dict[Future[Outcome], Task] = {}
        given = 0
        while True:
            elapsed = time.monotonic() - began
            enough = report.steps >= steps or elapsed >= seconds or len(report.found) >= ENOUGH
            while not enough and len(pending) < lanes:
                kind = families[given % len(families)]
                role: Role = "client" if kind == (4,) and given // len(families) % 2 else "host"
                # What is left of the time is enough for so many steps, at twenty a second.
                most = max(int((seconds - elapsed) * 20), 10) if seconds < float("inf") else length
                task = Task(kind, role, f"{seed}/{given}", min(length, most))
                pending[side.submit(task)] = task
                given += 1
            if not pending:
                break
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                before = len(report.found)
                report.take(pending.pop(future), future.result())
                for task, found in report.found[before:]:
                    tell(f"walk {task.seed}, {len(found.moves)} steps, the last of them:")
                    tell("\n".join([*_last(found.moves), found.difference]))
            report.seconds = time.monotonic() - began
            if time.monotonic() - told >= PROGRESS:
                told = time.monotonic()
                rate = report.steps / report.seconds
                tell(
                    f"{report.seconds:6.0f} s  {report.steps:,} steps ({rate:.0f} a second), "
                    f"{report.disturbed.total()} walks broken off, {len(report.found)} differences"
                )
        for doubt in list(report.doubted):
            if _comes_again(side, *doubt):
                report.doubted.remove(doubt)
                report.found.append(doubt)
        report.found.sort(key=lambda pair: len(pair[1].moves))
        for task, found in report.found:
            if len(report.files) == SHRUNK:
                break
            tell(f"walk {task.seed}: once more")
            report.tried += 1
            smallest = shrink(found, _attempt(side, task), _after(BUDGET))
            if smallest is None:
                tell("it did not come again")
            else:
                report.files.append((task.seed, write(smallest, task.families, f"walk {task.seed}")))
    return report


def _comes_again(side: Lanes, task: Task, found: Finding) -> bool:
    """Whether what differed while the machine was disturbed differs without that: in two of four walks."""
    outcomes = _attempt(side, task)([found.moves] * SURE, found.rest)
    return sum(bool(one.difference and not one.disturbance) for one in outcomes) >= SURE / 2


def _after(seconds: float) -> Callable[[], bool]:
    """Says whether so much time has gone by since."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def _last(moves: Sequence[Move], count: int = 20) -> list[str]:
    """The last steps, as a scenario has them."""
    times = list(accumulate(move.pause for move in moves))
    return [move.line(at) for move, at in list(zip(moves, times, strict=True))[-count:]]


def _attempt(side: Lanes, task: Task) -> Callable[[Sequence[tuple[Move, ...]], float], list[Outcome]]:
    def attempt(candidates: Sequence[tuple[Move, ...]], rest: float) -> list[Outcome]:
        return side.all([Task(task.families, task.role, moves=moves, rest=rest) for moves in candidates])

    return attempt


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m neighio.testing.scenario.walk",
        description="Do the same by chance on the running kernel and on the engine; compare after each step.",
    )
    parser.add_argument("--steps", type=int, default=20_000, help="how many in all (20,000)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after so many")
    parser.add_argument("--seed", default="", help="what chance begins with; another one each time")
    parser.add_argument("--lanes", type=int, default=LANES, help=f"walks at once ({LANES})")
    parser.add_argument("--length", type=int, default=LENGTH, help=f"steps of one walk ({LENGTH})")
    parser.add_argument(
        "--families",
        nargs="+",
        choices=("4", "6", "46"),
        default=["4", "6", "46"],
        help="which walks take turns",
    )
    parser.add_argument("--keep", type=Path, default=Path(), help="where scenario files of differences go")
    parser.add_argument("--work", type=int, help=argparse.SUPPRESS)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when nothing differs, 1 when something does, 2 where there are no namespaces."""
    options = _parser().parse_args(arguments)
    if options.work:
        work(options.work)
        return 0
    try:
        report = run(
            options.seed or str(random.randrange(10**6)),
            steps=options.steps,
            seconds=options.seconds,
            lanes=options.lanes,
            length=options.length,
            families=[tuple(map(int, text)) for text in options.families],
            tell=lambda line: print(line, flush=True),
        )
    except Unavailable as error:
        print(error, file=sys.stderr)
        return 2
    for name, text in report.files:
        path = options.keep / f"walk-{name.replace('/', '-')}.toml"
        path.write_text(text, encoding="utf-8")
        print(f"{path}:\n{text}")
    print(report)
    return 1 if report.found else 0


if __name__ == "__main__":
    sys.exit(main())
