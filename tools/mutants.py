"""Break the core in small ways and play the scenarios on it: each breakage must be caught.

What is broken, and why that is one, stands in a file of data beside this one. Each mutant is the package with
one text replaced, in a temporary folder, and plays in a process of its own until the first scenario that
differs; the working tree stays as it is. A mutant that no scenario catches is a missing scenario.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
AT_ONCE = 2
PATIENCE = 60.0
"""Seconds that a mutant has. One that takes longer hangs, which is noticed, too."""

KEYS = {"file", "original", "replacement", "why"}


class MutantError(ValueError):
    """A mutant cannot be made: where it is told of, and why."""


@dataclass(frozen=True)
class Mutant:
    """``file`` of the package has ``replacement`` in place of ``original``; ``why`` says what that breaks."""

    file: str
    original: str
    replacement: str
    why: str

    def text(self, package: Path) -> str:
        """The file's text, broken."""
        path = package / self.file
        if not path.is_file():
            raise MutantError(f"{self}: there is no such file")
        whole = path.read_text(encoding="utf-8")
        if (count := whole.count(self.original)) != 1:
            raise MutantError(f"{self}: the original is there {count} times, expected once:\n{self.original}")
        broken = whole.replace(self.original, self.replacement)
        try:
            compile(broken, self.file, "exec")
        except SyntaxError as error:
            raise MutantError(f"{self}: what results is not Python: {error}") from None
        return broken

    def __str__(self) -> str:
        return f"{self.file}: {self.why}"


@dataclass(frozen=True)
class Outcome:
    """``by`` is the scenario that caught the mutant, and ``how``; empty for a survivor."""

    by: str
    how: str
    played: int
    seconds: float


def read_mutants(path: Path, package: Path) -> list[Mutant]:
    """The mutants of a file, each of which can be made.

    Raises:
        MutantError: the first that cannot.
    """
    found: list[Mutant] = []
    for number, table in enumerate(tomllib.loads(path.read_text(encoding="utf-8")).get("mutant", ()), 1):
        if table.keys() != KEYS or not all(isinstance(value, str) for value in table.values()):
            raise MutantError(f"{path}: mutant {number}: expected the texts {', '.join(sorted(KEYS))}")
        mutant = Mutant(**table)
        if mutant.original == mutant.replacement or mutant in found:
            raise MutantError(f"{path}: {mutant}: breaks nothing, or what another breaks")
        mutant.text(package)
        found.append(mutant)
    return found


# -- in a mutant's own process


def play(scenarios: Path, first: Sequence[str]) -> None:
    """Play until a scenario differs, those called ``first`` before all others; print what came of it."""
    from neighio.testing.scenario import compare_with_engine, load_all, read_traces

    order = {identity: place for place, identity in enumerate(first)}
    found = sorted(load_all(scenarios), key=lambda one: order.get(one.identity, len(order)))
    traces = {path: read_traces(path) for path in {one.trace_path for one in found}}
    print(json.dumps("ready"), flush=True)
    for number, scenario in enumerate(found, 1):
        expected = traces[scenario.trace_path].get(scenario.key)
        if expected is None or scenario.differs is not None:
            continue
        try:
            comparison = compare_with_engine(scenario, expected)
            how = "" if comparison.identical else f"differs as a {comparison.role}"
        except Exception as error:
            how = f"raises {type(error).__name__}"
        if how:
            print(json.dumps([scenario.identity, how, number]))
            return
    print(json.dumps(["", "", len(found)]))


# -- in ours


class Laboratory:
    """Makes mutants of a package and has them play scenarios."""

    def __init__(self, package: Path, scenarios: Path) -> None:
        self._package = package
        self._scenarios = scenarios
        self._killers: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def attempt(self, mutant: Mutant | None) -> Outcome:
        """Have a mutant play, or with None the package as it is.

        Raises:
            MutantError: it cannot be imported: it says nothing about the scenarios.
        """
        began = time.monotonic()
        file = mutant.file if mutant is not None else ""
        with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
            copy = Path(folder, self._package.name)
            shutil.copytree(self._package, copy)
            if mutant is not None:
                broken = copy / mutant.file
                for compiled in broken.parent.glob(f"__pycache__/{broken.stem}.*"):
                    compiled.unlink()
                broken.write_text(mutant.text(self._package), encoding="utf-8")
            # What caught others of the same file goes first.
            first = [identity for identity, _ in self._killers[file].most_common()]
            command = [sys.executable, __file__, "--play", str(self._scenarios), *first]
            environment = {**os.environ, "PYTHONPATH": folder}
            try:
                done = subprocess.run(
                    command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
                )
            except subprocess.TimeoutExpired:
                return Outcome("a scenario", f"hangs for {PATIENCE:g} s", 0, time.monotonic() - began)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        if not lines:
            raise MutantError(f"{mutant or self._package}: cannot be imported:\n{done.stderr}")
        if len(lines) < 2:
            return Outcome("a scenario", f"ends with {done.returncode}", 0, time.monotonic() - began)
        by, how, played = lines[1]
        if how == "raises NameError":
            raise MutantError(f"{mutant or self._package}: what results names something that is not there")
        self._killers[file][by] += 1
        return Outcome(by, how, played, time.monotonic() - began)

    def attempt_all(self, mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, Outcome]]:
        """Have all of them play, some side by side; in their order."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield from zip(mutants, pool.map(self.attempt, mutants), strict=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 when each mutant was caught, 1 when one survived, 2 when one cannot be made or tried."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=Path, default=Path(__file__).with_suffix(".toml"))
    parser.add_argument("--package", type=Path, default=ROOT / "neighio")
    parser.add_argument("--scenarios", type=Path, default=ROOT / "tests" / "scenarios")
    parser.add_argument("--name", default="", help="only those whose file and reason contain this")
    parser.add_argument("--play", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.play:
        play(Path(options.play[0]), options.play[1:])
        return 0
    laboratory = Laboratory(options.package, options.scenarios)
    survivors = []
    try:
        mutants = [one for one in read_mutants(options.mutants, options.package) if options.name in str(one)]
        unbroken = laboratory.attempt(None)
        if unbroken.by:
            raise MutantError(f"nothing is broken, and {unbroken.by} {unbroken.how}: repair that first")
        print(f"{len(mutants)} mutants against {unbroken.played} scenarios", flush=True)
        for number, (mutant, outcome) in enumerate(laboratory.attempt_all(mutants), 1):
            verdict = f"{outcome.by} {outcome.how} ({outcome.seconds:.1f} s)" if outcome.by else "SURVIVES"
            print(f"{number:3}/{len(mutants)} {mutant}: {verdict}", flush=True)
            if not outcome.by:
                survivors.append(mutant)
    except MutantError as error:
        print(error, file=sys.stderr)
        return 2
    for mutant in survivors:
        print(f"survivor: {mutant}\n- {mutant.original.strip()}\n+ {mutant.replacement.strip()}")
    print(f"{len(mutants)} made, {len(mutants) - len(survivors)} caught")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
