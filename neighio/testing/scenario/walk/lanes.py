"""Many walks side by side, for each mostly sleeps: a few processes, in each of which a few lanes.

A process is told tasks on its standard input, one a line, and tells what came of them on its standard output.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import traceback
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Final

from ..engine import Role
from .chance import Chance
from .metronome import Metronome
from .moves import Move
from .oracle import KernelOracle
from .walk import REST, Outcome, again, beginning, by_chance, walk

__all__ = ["Lanes", "Task", "work"]

PER_PROCESS: Final = 4
"""Lanes in a process: with more, they would wait for one another."""

SWITCH: Final = 0.0003
"""Seconds after which a lane gives way to one that wants to act within a jiffy."""


@dataclass(frozen=True, slots=True)
class Task:
    """A walk: ``steps`` moves by chance, of a seed, or ``moves`` again and a comparison after ``rest``."""

    families: tuple[int, ...]
    role: Role
    seed: str = ""
    steps: int = 0
    moves: tuple[Move, ...] = ()
    rest: float = REST

    @classmethod
    def of_json(cls, data: dict[str, Any]) -> Task:
        """Of plain data."""
        moves = tuple(Move(**move) for move in data["moves"])
        return cls(**{**data, "moves": moves, "families": tuple(data["families"])})

    def perform(self, metronome: Metronome) -> Outcome:
        """Walk on the running kernel."""
        start = beginning(self.families)
        if self.moves:
            choose = again(self.moves)
        else:
            choose = by_chance(Chance(self.seed, self.families, self.role), self.steps)
        with KernelOracle(start, metronome) as oracle:
            return walk(oracle, start, self.role, choose, self.rest)


def work(lanes: int) -> None:
    """Be such a process."""
    sys.setswitchinterval(SWITCH)
    # No priority: with one, the kernel's own workers, some of which a walk needs, would come last.
    tasks: SimpleQueue[str] = SimpleQueue()
    telling = threading.Lock()

    def lane(metronome: Metronome) -> None:
        while line := tasks.get():
            number, data = json.loads(line)
            try:
                told = [number, Task.of_json(data).perform(metronome).as_json()]
            except Exception:
                told = [number, traceback.format_exc()]
            with telling:
                print(json.dumps(told), flush=True)

    with Metronome() as metronome:
        threads = [threading.Thread(target=lane, args=(metronome,)) for _ in range(lanes)]
        for thread in threads:
            thread.start()
        for line in sys.stdin:
            tasks.put(line)
        for _ in threads:
            tasks.put("")
        for thread in threads:
            thread.join()


class Lanes:
    """So many lanes, for tasks; a context manager."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[Outcome]] = {}
        self._counts: list[int] = []
        self._processes: list[subprocess.Popen[str]] = []
        self._readers: list[threading.Thread] = []
        self._given = 0

    def __enter__(self) -> Lanes:
        left = self.number
        while left > 0:
            lanes = min(left, PER_PROCESS)
            left -= lanes
            process = subprocess.Popen(
                [sys.executable, "-m", "neighio.testing.scenario.walk", "--work", str(lanes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            place = len(self._processes)
            self._processes.append(process)
            self._counts.append(0)
            reader = threading.Thread(target=self._read, args=(place, process))
            self._readers.append(reader)
            reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
            if kind is not None:
                process.kill()
        for process, reader in zip(self._processes, self._readers, strict=True):
            reader.join()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def submit(self, task: Task) -> Future[Outcome]:
        """Have a walk done by the process that has least to do."""
        future: Future[Outcome] = Future()
        with self._lock:
            number, self._given = self._given, self._given + 1
            place = min(range(len(self._counts)), key=self._counts.__getitem__)
            self._counts[place] += 1
            self._waiting[number] = future
            stdin = self._processes[place].stdin
            assert stdin is not None
            stdin.write(json.dumps([number, asdict(task)]) + "\n")
            stdin.flush()
        return future

    def all(self, tasks: Sequence[Task]) -> list[Outcome]:
        """Have all of them done, and return what came of them."""
        return [future.result() for future in [self.submit(task) for task in tasks]]

    def _read(self, place: int, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            number, told = json.loads(line)
            with self._lock:
                future = self._waiting.pop(number)
                self._counts[place] -= 1
            if isinstance(told, str):
                future.set_exception(RuntimeError(f"a walk broke off:\n{told}"))
            else:
                future.set_result(Outcome.of_json(told))
        with self._lock:
            left, self._waiting = (self._waiting, {}) if process.wait() else ({}, self._waiting)
        for future in left.values():
            future.set_exception(RuntimeError(f"a process of walks ended with {process.returncode}"))
