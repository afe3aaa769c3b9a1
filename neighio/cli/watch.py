"""``neighio watch``: who is on a link over time, kept in a database."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence

import trio

from ..records import Stamp, json_line
from ..watch.database import Database
from ..watch.store import Report, Store
from ..watch.watcher import Watcher
from .lasting import ENDING_SIGNALS, Lasting
from .lines import LineWriter
from .output import Output, complain
from .running import run
from .verbose import tell_log
from .watch_report import report_line, report_record

__all__ = ["watch"]


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
        self._lasting = Lasting(self._writer)
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
            with trio.open_signal_receiver(*ENDING_SIGNALS) as signals:
                watcher = Watcher(store, self._arguments.devices, self)
                await self._lasting.live(signals, lambda nursery: watcher.run())
        finally:
            database.close()
            self._lasting.check()
        return self._lasting.status

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
        complain(f"neighio watch: {text}")
