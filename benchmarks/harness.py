"""What is measured, how often and in which order; what the figures of several runs come to.

Runs alternate: each contender once, then each once more in another order. A shared machine is slower at
times, for everybody alike: comparisons (a ratio, a difference) are therefore made run by run, and the median
of these counts.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final, Literal

from neighio.testing import Peer

__all__ = [
    "OURS",
    "ROOT",
    "Contender",
    "Failed",
    "Line",
    "Result",
    "Row",
    "Setting",
    "Target",
    "Unit",
    "figures",
    "measure",
    "python",
    "whole_process",
]

ROOT: Final = Path(__file__).parent.parent
OURS: Final = "neighio"
PATIENCE: Final = 300.0
"""Seconds that one measurement has."""

GLANCE: Final = 0.01
"""How often a process is looked at whose memory is measured, seconds."""

Unit = Literal["s", "/s", "B", "x", ""]
"""Seconds, a second, octets, times, a number."""


class Failed(Exception):
    """A contender did not do what it was to do: what went wrong."""


@dataclass(frozen=True)
class Target:
    """What a line is to reach: ``limit``, at most or at least; of the figure, or of its ``kind`` to the
    floor."""

    limit: float
    at_least: bool = False
    kind: Literal["figure", "ratio", "difference"] = "figure"

    def reached(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True)
class Line:
    """One figure of a row: ``ours`` is to be compared with ``floor`` and with whoever else has such a
    figure."""

    key: str
    title: str
    unit: Unit
    target: Target | None = None
    floor: str | None = None
    ours: str = OURS


@dataclass(frozen=True)
class Contender:
    """Somebody who takes part: ``run`` measures once, and returns figures by the lines' keys.

    A figure ``key|name`` is that of another contender, who was measured in the same process. ``run`` is a
    text when the contender cannot take part here: why, and what to do about it. ``remark`` goes below the
    table.
    """

    name: str
    run: Callable[[], Mapping[str, float]] | str
    remark: str = ""


@dataclass
class Setting:
    """Where a row is measured: ``small`` for a look at whether it works; the other station, if there is
    one."""

    small: bool = False
    peer: Peer | None = None

    def size(self, full: int, small: int) -> int:
        return small if self.small else full


@dataclass(frozen=True)
class Row:
    """Lines that are measured together.

    ``stage`` makes the network in which they are; with ``namespace`` the programs make one themselves.
    ``note`` says under which settings.
    """

    name: str
    lines: tuple[Line, ...]
    contenders: Callable[[Setting], list[Contender]]
    stage: Callable[[], AbstractContextManager[Peer]] | None = None
    namespace: bool = False
    note: str = ""


@dataclass
class Result:
    """What a row came to: ``samples[key][contender]`` has a place for each run, None where it failed."""

    row: Row
    samples: dict[str, dict[str, list[float | None]]] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def take(self, event: Mapping[str, Any]) -> None:
        """Note what :func:`measure` told."""
        name = event["contender"]
        for kind, where in (("missing", self.missing), ("remark", self.remarks), ("failed", self.failures)):
            if kind in event:
                where[name] = event[kind]
        if "figures" in event:
            self.add(name, event["run"], event["figures"])

    def add(self, contender: str, run: int, found: Mapping[str, float]) -> None:
        """Note the figures of one measurement."""
        for name, value in found.items():
            key, _, other = name.partition("|")
            runs = self.samples.setdefault(key, {}).setdefault(other or contender, [])
            runs.extend([None] * (run + 1 - len(runs)))
            runs[run] = value

    def values(self, key: str, contender: str) -> list[float]:
        """The figures of all runs that succeeded."""
        return [value for value in self.samples.get(key, {}).get(contender, ()) if value is not None]

    def names(self, key: str) -> list[str]:
        """Who has figures for a line."""
        return [name for name in self.samples.get(key, {}) if self.values(key, name)]

    def unmeasured(self) -> list[Line]:
        """The lines of which we have no figure."""
        return [line for line in self.row.lines if not self.values(line.key, line.ours)]

    def compared(self, key: str, ours: str, other: str, kind: str) -> float | None:
        """The median over the runs of our figure's ratio, or difference, to another's of the same run."""
        runs = self.samples.get(key, {})
        pairs = [
            (a, b)
            for a, b in zip(runs.get(ours, ()), runs.get(other, ()), strict=False)
            if a is not None and b is not None
        ]
        if not pairs:
            return None
        return median(a - b if kind == "difference" else a / b if b else float("inf") for a, b in pairs)

    def reached(self, line: Line) -> bool | None:
        """Whether a line reaches its target; None when it has none, or could not be measured."""
        if line.target is None or not self.values(line.key, line.ours):
            return None
        if line.target.kind == "figure":
            return line.target.reached(median(self.values(line.key, line.ours)))
        assert line.floor is not None
        found = self.compared(line.key, line.ours, line.floor, line.target.kind)
        return None if found is None else line.target.reached(found)


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """The least, the median and the greatest."""
    return min(values), median(values), max(values)


def in_turns(names: Sequence[str], runs: int) -> Iterator[tuple[int, str]]:
    """Each name once a run, each run beginning with another, so that nobody always follows the same one."""
    for run in range(runs):
        first = run % len(names) if names else 0
        for name in (*names[first:], *names[:first]):
            yield run, name


def measure(row: Row, setting: Setting, runs: int, wanted: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Measure a row in this process's namespace; yield what happens, as :meth:`Result.take` takes it.

    ``wanted`` are the contenders to have; all when empty.
    """
    with row.stage() if row.stage is not None else nullcontext(None) as setting.peer:
        contenders = [one for one in row.contenders(setting) if not wanted or one.name in wanted]
        ready = {one.name: one.run for one in contenders if not isinstance(one.run, str)}
        for one in contenders:
            if isinstance(one.run, str):
                yield {"contender": one.name, "missing": one.run}
            elif one.remark:
                yield {"contender": one.name, "remark": one.remark}
        for run, name in in_turns(tuple(ready), runs):
            try:
                yield {"contender": name, "run": run, "figures": dict(ready[name]())}
            except Failed as failed:
                yield {"contender": name, "run": run, "failed": str(failed)}


def python(program: str, *arguments: object) -> list[str]:
    """The command of one of our programs."""
    return [sys.executable, "-m", f"benchmarks.programs.{program}", *map(str, arguments)]


def figures(*commands: Sequence[str], timeout: float = PATIENCE) -> Callable[[], Mapping[str, float]]:
    """A measurement that commands make themselves: the last line that each prints is a JSON object."""

    def run() -> Mapping[str, float]:
        found: dict[str, float] = {}
        for command in commands:
            output, _, _ = _finish(command, timeout)
            if not output:
                raise Failed("printed nothing")
            found |= json.loads(output.splitlines()[-1])
        return found

    return run


def whole_process(
    command: Sequence[str],
    key: str,
    *,
    expected: Callable[[str], bool],
    rss: str | None = None,
    timeout: float = PATIENCE,
) -> Callable[[], Mapping[str, float]]:
    """A measurement of a command from its start to its end, in seconds; with ``rss`` of its memory at most,
    too.

    ``expected`` judges what it printed.
    """

    def run() -> Mapping[str, float]:
        output, seconds, octets = _finish(command, timeout, watched=rss is not None)
        if not expected(output):
            raise Failed(f"printed {len(output.splitlines())} lines, not what was expected")
        return {key: seconds} | ({rss: octets} if rss is not None else {})

    return run


def _finish(command: Sequence[str], timeout: float, *, watched: bool = False) -> tuple[str, float, float]:
    """Run a command: what it printed, how long it took (seconds) and, if it is ``watched``, its largest
    resident set (octets)."""
    # Files: a pipe would have us read, on the same two processors, while it runs.
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        begin = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, cwd=ROOT, start_new_session=True
        )
        try:
            octets = _wait(process, begin + timeout, watched)
            seconds = time.perf_counter() - begin
        finally:
            if process.poll() is None:
                # What it started goes with it.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        printed = output.read().decode("utf-8", "replace")
        errors.seek(0)
        complaint = errors.read().decode("utf-8", "replace").strip().splitlines()
    if process.returncode != 0:
        raise Failed(f"exit status {process.returncode}: {complaint[-1] if complaint else ''}")
    return printed, seconds, octets


def _wait(process: subprocess.Popen[bytes], deadline: float, watched: bool) -> float:
    """Wait for the end of a process. The system would tell its largest resident set, but takes ours, from
    which it was forked, for one of its own: a watched one is looked at meanwhile."""
    octets = 0.0
    descriptor = os.pidfd_open(process.pid)
    try:
        while (left := deadline - time.perf_counter()) > 0:
            if select.select([descriptor], [], [], min(GLANCE, left) if watched else left)[0]:
                break
            octets = max(octets, _resident(process.pid))
        else:
            raise Failed("not done in time")
    finally:
        os.close(descriptor)
    process.wait()
    return octets


def _resident(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024.0 if found else 0.0
