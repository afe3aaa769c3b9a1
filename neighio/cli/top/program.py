"""``neighio top`` from its beginning to its end: who tells, who draws, who listens to keys and signals."""

from __future__ import annotations

import shutil
import signal
import sys
from argparse import Namespace
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import trio

from ...errors import NeighioError
from ...kernel.netlink import open_netlink
from ...records import Stamp, json_line
from ...table import open_table
from ..instances import connect, find
from ..kernel_neighbours import GROUPS
from ..lasting import LAST_LINES_SECONDS
from ..lines import LineWriter
from ..output import Output, complain
from .drawing import Pen
from .kernel_source import KernelSource
from .model import Entry, Neighbours
from .order import COLUMNS, Order
from .pictures import picture_record
from .source import InstanceSource, Source, converse
from .terminal import Terminal, check_terminal, open_terminal, painted
from .view import View

__all__ = ["Top"]

DRAW_SECONDS: Final = 0.5
"""Between two pictures that no key asked for."""

REFRESH_SECONDS: Final = 1.0
"""Between two questions for the ages of what is seen."""

PAPER_WIDTH: Final = 132
"""Of what is printed once, unless there is a terminal or $COLUMNS says otherwise."""

MOST_ASKED: Final = 512
"""Of so many entries the ages are asked for before each JSON object; of more once in a while."""

_AGES: Final = frozenset({"confirmed", "updated", "used"})
_SIGNALS: Final = ("SIGWINCH", "SIGTSTP", "SIGCONT", "SIGTERM", "SIGHUP")
_ENDED: Final = "neighio top: the instance has ended"


class Top:
    """One run of the command."""

    _scope: trio.CancelScope
    """Cancelled when it is over."""

    def __init__(self, arguments: Namespace) -> None:
        self._arguments = arguments
        self._neighbours = Neighbours()
        self._order = Order(self._neighbours)
        self._view = View(arguments.family)
        self._view.column = next(
            column for column in COLUMNS if column.name == arguments.sort.replace("-", " ")
        )
        self._frozen: tuple[Neighbours, Order, float] | None = None
        self._seen: list[Entry] = []
        self._wanted = trio.Event()
        self._whole = False
        self._over = False
        self._failure: NeighioError | OSError | None = None

    async def run(self) -> int:
        """Show neighbours until somebody has seen enough, or the instance ends; return the exit status.

        Raises:
            NeighioError, OSError: they cannot be shown, or no longer.
        """
        if self._arguments.once and self._arguments.dev is not None:
            raise NeighioError("once: on a device is heard only what is said from now on")
        if not (self._arguments.once or self._arguments.json):
            check_terminal()
        async with trio.open_nursery() as nursery:
            try:
                await self._run(nursery)
            except (NeighioError, OSError) as error:
                # Beyond the nursery, which would make a group of it.
                self._failure = error
            nursery.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure
        if self._over:
            complain(_ENDED)
        return 0

    async def _run(self, nursery: trio.Nursery) -> None:
        async with self._open(nursery) as (source, title):
            if self._arguments.json:
                await self._tell(source, title)
            elif self._arguments.once:
                await self._print(source, title)
            else:
                await self._show(source, title)

    @asynccontextmanager
    async def _open(self, nursery: trio.Nursery) -> AsyncIterator[tuple[Source, str]]:
        """Have somebody who tells of neighbours, and say whose they are."""
        device = self._arguments.dev
        if device is not None:
            async with open_table(device) as table:
                # To learn from what is said is all that it is for.
                table.set(device, 4, arp_accept=1)
                yield InstanceSource(converse(table, nursery, device)), f"heard on {device}"
        elif self._arguments.kernel:
            with open_netlink(GROUPS) as netlink:
                await trio.lowlevel.checkpoint()
                yield KernelSource(netlink), "the kernel"
        else:
            path = self._arguments.control or find()
            await trio.lowlevel.checkpoint()
            yield InstanceSource(lambda: connect(path)), path

    # -- once

    async def _print(self, source: Source, title: str) -> None:
        whole = trio.Event()
        async with trio.open_nursery() as nursery:
            self._scope = nursery.cancel_scope
            nursery.start_soon(self._guard, self._follow, source, whole.set)
            await whole.wait()
            await source.refresh(self._neighbours, (), all_ages=False)
            nursery.cancel_scope.cancel()
        self._check_whole()
        if self._failure is None:
            self._choose()
            width = shutil.get_terminal_size((PAPER_WIDTH, 0)).columns
            output = Output()
            for line in Pen(title).print(
                self._neighbours, self._order, self._view, width, trio.current_time()
            ):
                if not output.line(painted(line, output, heading=False).rstrip()):
                    break

    def _check_whole(self) -> None:
        if self._over:
            raise NeighioError("the instance ended before it had told of all its neighbours")

    # -- for programs

    async def _tell(self, source: Source, title: str) -> None:
        writer = LineWriter(sys.stdout.fileno() if hasattr(sys.stdout, "fileno") else None)
        whole = trio.Event()
        async with trio.open_nursery() as nursery:
            self._scope = nursery.cancel_scope
            nursery.start_soon(self._guard, self._follow, source, whole.set)
            nursery.start_soon(self._guard, self._write, writer)
            try:
                await whole.wait()
                await self._guard(self._tell_pictures, source, title, writer)
            finally:
                with trio.move_on_after(LAST_LINES_SECONDS, shield=True):
                    await writer.drain()
            nursery.cancel_scope.cancel()
        if not whole.is_set():
            self._check_whole()

    async def _tell_pictures(self, source: Source, title: str, writer: LineWriter) -> None:
        stamp = Stamp(trio.current_time)
        while True:
            self._choose()
            # What came, went or changed since the last picture.
            self._order.settle()
            seen = self._order.window(0, MOST_ASKED)
            await source.refresh(self._neighbours, seen, all_ages=len(self._order) > MOST_ASKED)
            self._order.settle()
            record = picture_record(
                title, self._neighbours, self._order, self._view, stamp, trio.current_time()
            )
            writer.line(json_line(record))
            if self._arguments.once:
                break
            # Whoever reads slowly has fewer of them.
            await writer.drain()
            await trio.sleep(REFRESH_SECONDS)
        await trio.lowlevel.checkpoint()

    # -- live

    async def _show(self, source: Source, title: str) -> None:
        numbers = [getattr(signal, name) for name in _SIGNALS]
        with trio.open_signal_receiver(*numbers) as signals:
            async with open_terminal() as terminal, trio.open_nursery() as nursery:
                self._scope = nursery.cancel_scope
                nursery.start_soon(self._guard, self._follow, source, self._be_whole)
                nursery.start_soon(self._guard, self._refresh, source)
                nursery.start_soon(self._guard, self._read_keys, terminal)
                nursery.start_soon(self._guard, self._write, terminal)
                nursery.start_soon(self._guard, self._hear_signals, signals, terminal)
                await self._guard(self._draw, terminal, Pen(title))
                self._scope.cancel()

    async def _guard(self, task: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """Run a task; what the user can mend ends the command and is told when the terminal is theirs."""
        try:
            await task(*arguments)
        except (NeighioError, OSError) as error:
            self._failure = self._failure or error
            self._scope.cancel()
        await trio.lowlevel.checkpoint()

    async def _follow(self, source: Source, told: Callable[[], None]) -> None:
        await source.follow(self._neighbours, told)
        self._over = True
        self._scope.cancel()

    async def _refresh(self, source: Source) -> None:
        while True:
            paused = self._view.paused
            ages = not paused and self._view.column.name in _AGES
            await source.refresh(self._neighbours, [] if paused else self._seen, all_ages=ages)
            await trio.sleep(REFRESH_SECONDS)

    async def _read_keys(self, terminal: Terminal) -> None:
        while (keys := await terminal.keys()) is not None:
            for key in keys:
                self._view.press(key)
            self._wanted.set()
        self._scope.cancel()

    async def _write(self, terminal: Terminal | LineWriter) -> None:
        await terminal.run()
        self._scope.cancel()

    async def _hear_signals(self, signals: AsyncIterator[int], terminal: Terminal) -> None:
        async for number in signals:
            if number in (signal.SIGTERM, signal.SIGHUP):
                self._scope.cancel()
            elif number == signal.SIGTSTP:
                await terminal.suspend()
            elif number == signal.SIGCONT:
                terminal.resume()
            else:
                terminal.forget()
            self._wanted.set()

    # -- drawing

    def _be_whole(self) -> None:
        self._whole = True
        self._wanted.set()

    async def _draw(self, terminal: Terminal, pen: Pen) -> None:
        await trio.lowlevel.checkpoint()
        due = 0.0
        while not self._view.ended:
            now = trio.current_time()
            if now >= due or self._whole:
                self._whole = False
                due = now + DRAW_SECONDS
                if self._frozen is None:
                    self._order.settle()
            neighbours, order, instant = self._choose() or (self._neighbours, self._order, now)
            width, height = terminal.size
            lines, self._seen = pen.draw(neighbours, order, self._view, width, height, instant)
            if not terminal.draw(lines, width):
                # It is behind, and has this picture when it has taken the last one.
                due = now + DRAW_SECONDS
            with trio.move_on_at(due):
                await self._wanted.wait()
            self._wanted = trio.Event()

    def _choose(self) -> tuple[Neighbours, Order, float] | None:
        """Have the rows as they are looked at; return what stands still, if it does."""
        if self._frozen is not None and not self._view.paused:
            self._frozen = None
            self._neighbours.thaw()
            self._order.renew()
        elif self._frozen is None and self._view.paused:
            neighbours = self._neighbours.freeze()
            self._frozen = neighbours, Order(neighbours), trio.current_time()
        order = self._order if self._frozen is None else self._frozen[1]
        order.choose(self._view.wanted, self._view.column)
        if not order.settled:
            order.settle()
        return self._frozen
