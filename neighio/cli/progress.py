"""How far a long piece of work is, on a terminal: a bar of rich's, a line without it."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

__all__ = ["Progress"]

PATIENCE: Final = 0.7
"""Work that is done within so many seconds has no bar."""

INTERVAL: Final = 0.2
"""Seconds between two looks of it."""


class Progress:
    """Shows on standard error how far it is, if that is a terminal. Lines that are printed go above.

    ``unit`` is what is counted ("frames"). ``shown`` is False where nothing ever is.
    """

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self.shown: bool = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._began = time.monotonic()
        self._due = self._began + PATIENCE
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._rich = self.shown and importlib.util.find_spec("rich") is not None
        self._line = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        self.clear()

    def clear(self) -> None:
        """Make room for a line that is printed now."""
        if self._line:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._line = False

    def update(self, share: float | None, count: int) -> None:
        """It is at that share (0 to 1; None: unknown) and has done so many."""
        now = time.monotonic()
        if not self.shown or now < self._due:
            return
        self._due = now + INTERVAL
        seconds = now - self._began
        done = f"{count:,} {self._unit}  {count / seconds:,.0f}/s"
        if self._rich:
            self._update_bar(share, done)
            return
        part = "" if share is None else f"{share:4.0%}  "
        left = f"  {_clock(seconds / share - seconds)} left" if share else ""
        self.clear()
        print(f"{part}{done}{left}", end="", file=sys.stderr, flush=True)
        self._line = True

    def _update_bar(self, share: float | None, done: str) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[done]}"),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
                auto_refresh=False,
                redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
                redirect_stderr=False,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=None if share is None else 1.0, done=done)
        assert self._task is not None
        self._bar.update(self._task, total=None if share is None else 1.0, completed=share or 0.0, done=done)
        self._bar.refresh()


def _clock(seconds: float) -> str:
    """A time as 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
