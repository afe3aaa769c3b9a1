"""Three ways to show the demo: plain lines, a live table with rich, and JSON objects."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import trio

from ..core.events import Change
from ..records import Stamp, change_record, json_line, state_name
from .output import Output, printable
from .play import Board, Show

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

__all__ = ["choose_show"]

SECONDS_A_FRAME: Final = 0.25
"""A terminal at the far end of a slow line keeps up with this."""

_STYLES: Final = {
    "NONE": "dim",
    "INCOMPLETE": "cyan",
    "REACHABLE": "bold green",
    "STALE": "yellow",
    "DELAY": "magenta",
    "PROBE": "bold magenta",
    "FAILED": "bold red",
}
_TITLE: Final = "neighio: {}"
_TABLE_LINES: Final = 10
"""Title, table with its head and blank lines, and the line of the cursor."""


@contextmanager
def choose_show(where: str, *, json: bool) -> Iterator[Show]:
    """A live table where standard output is a terminal and rich is installed, else plain lines; or JSON.

    ``where`` says where the demo plays.
    """
    if json:
        yield _JsonShow(where)
        return
    terminal = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    if terminal and importlib.util.find_spec("rich") is not None:
        with _LiveShow(where) as live:
            yield live
    else:
        yield _PlainShow(where)


def _columns(time: float, change: Change) -> str:
    text = f"{state_name(change.old_state)} -> {state_name(change.state)}"
    return f"{time:6.2f} s  {printable(change.ip):<13}  {text:<23}"


class _LineShow:
    """Lines, until nobody reads them any more."""

    def __init__(self) -> None:
        self._output = Output()
        self._unread = trio.Event()

    def _line(self, text: str) -> None:
        if not self._output.line(text):
            self._unread.set()

    async def paint(self) -> None:
        await self._unread.wait()


class _PlainShow(_LineShow):
    def __init__(self, where: str) -> None:
        super().__init__()
        self._line(printable(_TITLE.format(where)))

    def begin(self, board: Board) -> None:
        pass

    def remark(self, time: float, text: str) -> None:
        self._line(f"{time:6.2f} s  -- {printable(text)}")

    def transition(self, time: float, change: Change, meaning: str) -> None:
        self._line(f"{_columns(time, change)}  {printable(meaning)}")


class _JsonShow(_LineShow):
    _stamp: Stamp

    def __init__(self, where: str) -> None:
        super().__init__()
        self._where = where

    def begin(self, board: Board) -> None:
        self._stamp = Stamp(trio.current_time)
        self._line(json_line({"kind": "start", **self._stamp.at(), "where": self._where}))

    def remark(self, time: float, text: str) -> None:
        self._line(json_line({"kind": "remark", **self._stamp.at(), "text": text}))

    def transition(self, time: float, change: Change, meaning: str) -> None:
        self._line(json_line({**change_record(change, self._stamp), "meaning": meaning}))


class _LiveShow:
    def __init__(self, where: str) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console: Console = Console(highlight=False)
        self._title = printable(_TITLE.format(where))
        self._board: Board | None = None
        self._lines: list[tuple[str, str, str]] = []
        self._now = 0.0
        self._ended = False
        self._live: Live = Live(
            console=self._console, auto_refresh=False, get_renderable=self._render, redirect_stderr=False
        )

    def __enter__(self) -> _LiveShow:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended = True
        self._live.stop()

    def begin(self, board: Board) -> None:
        self._board = board

    def remark(self, time: float, text: str) -> None:
        self._lines.append((f"{time:6.2f} s  -- {printable(text)}", "bold", ""))

    def transition(self, time: float, change: Change, meaning: str) -> None:
        style = _STYLES.get(state_name(change.state), "")
        self._lines.append((_columns(time, change), style, printable(meaning)))

    async def paint(self) -> None:
        while True:
            if self._board is not None:
                self._now = self._board.now()
            self._live.refresh()
            await trio.sleep(SECONDS_A_FRAME)

    def _render(self) -> RenderableType:
        from rich.box import SIMPLE_HEAD
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for name, width in (("address", 13), ("dev", 4), ("link-layer address", 18), ("state", 10)):
            table.add_column(name, min_width=width, no_wrap=True)
        table.add_column("for", justify="right", min_width=7, no_wrap=True)
        if self._board is not None:
            for row in self._board.rows.values():
                age = "" if row.state == "NONE" else f"{max(self._now - row.since, 0.0):.1f} s"
                state = Text(row.state, style=_STYLES.get(row.state, ""))
                table.add_row(printable(row.ip), printable(row.device), printable(row.lladdr), state, age)
        # At the end everything is printed; until then the last lines that there is room for.
        room = len(self._lines) if self._ended else max(self._console.height - _TABLE_LINES, 1)
        log = Text(no_wrap=True, overflow="ellipsis")
        for line, style, meaning in self._lines[-room:]:
            log.append(line, style=style)
            log.append(f"  {meaning}\n" if meaning else "\n", style="dim")
        log.right_crop(1)
        return Group(Text(self._title, style="bold"), table, log)
