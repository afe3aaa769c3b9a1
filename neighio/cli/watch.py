"""``neighio watch``: who is on a link over time, kept in a database."""

from __future__ import annotations

import signal
import sys
from argparse import Namespace
from collections.abc import AsyncIterator, Sequence
from typing import Final

import trio

from ..errors import NeighioError
from ..records import Stamp, json_line
from ..watch.database import Database
from ..watch.store import Report, Store
from ..watch.watcher import Watcher
from . import INTERRUPTED
from .lines import LineWriter
from .output import Output, printable
from .running import run
from .verbose import tell_log
from .watch_report import report_line, report_record

__all__ = ["watch"]

LAST_LINES_SECONDS: Final = 1.0
"""How long whoever reads may take for the last lines."""


def watch(arguments: Namespace) -> int:
    """Run the command; return its exit status."""
    if arguments.verbose:
        tell_log()
    return run("watch", Watch(arguments).run)


class Watch:
    """One run of the command; what its :class:`~neighio.watch.watcher.Watcher` tells."""

    def __init__(self, arguments: Namespace) -> None:
        self._arguments = arguments
        self._output = Output()
        # Closed from the start it is None.
        self._writer = LineWriter(sys.stdout.fileno() if hasattr(sys.stdout, "fileno") else None)
        self._failure: NeighioError | OSError | None = None
        self._status = 0
        self._stamp: Stamp

    async def run(self) -> int:
        """Watch until somebody ends it, or nobody reads any more; return the exit status.

        Raises:
            NeighioError, OSError: it cannot be watched, or the database not be written, any more.
        """
        self._stamp = Stamp(trio.current_time)
        # In this thread: whether it can be used at all is known before anything is opened.
        database = Database(self._arguments.db)
        try:
            store = Store(database, seconds=self._arguments.keep.seconds, rows=self._arguments.keep.rows)
            # What ends it does not end the telling of what was counted, too.
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._end_when_signalled, signals, nursery.cancel_scope)
                    nursery.start_soon(self._write, nursery.cancel_scope)
                    try:
                        await Watcher(store, self._arguments.devices, self).run()
                    except (NeighioError, OSError) as error:
                        self._failure = error
                    finally:
                        with trio.move_on_after(LAST_LINES_SECONDS, shield=True):
                            await self._writer.drain()
                    nursery.cancel_scope.cancel()
        finally:
            database.close()
            if self._failure is not None:
                # Also when it was interrupted.
                raise self._failure
        return self._status

    async def _end_when_signalled(self, signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        async for number in signals:
            self._status = INTERRUPTED if number == signal.SIGINT else 0
            scope.cancel()

    async def _write(self, scope: trio.CancelScope) -> None:
        try:
            await self._writer.run()
        except (NeighioError, OSError) as error:
            self._failure = error
        scope.cancel()
        await trio.lowlevel.checkpoint()

    # -- what is told

    def begun(self, devices: Sequence[str]) -> None:
        if self._arguments.json:
            self._writer.line(json_line({"kind": "begun", **self._stamp.at(), "devices": list(devices)}))

    def report(self, report: Report) -> None:
        if self._arguments.json:
            time = self._stamp.at(report.time)["time"]
            self._writer.line(json_line(report_record(report, time=time)))
        else:
            self._writer.line(report_line(report, self._output.paint))

    def lost(self, device: str, frames: int) -> None:
        if self._arguments.json:
            record = {"kind": "lost", **self._stamp.at(), "device": device, "frames": frames}
            self._writer.line(json_line(record))
        self.notice(f"{device}: {frames} frames were lost: they came faster than they could be read")

    def notice(self, text: str) -> None:
        print(printable(f"neighio watch: {text}"), file=sys.stderr)
