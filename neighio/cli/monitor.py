"""``neighio monitor``: what happens to the neighbours of a running instance, or to the kernel's."""

from __future__ import annotations

import sys
from argparse import Namespace
from datetime import datetime
from typing import Final

import trio

from ..errors import NeighioError
from ..kernel.netlink import open_netlink
from ..records import Record, Stamp, json_line
from . import UNUSABLE
from .instances import Instance, connect, find
from .kernel_neighbours import GROUPS, KernelNeighbours
from .lasting import Lasting
from .lines import LineWriter
from .neighbours import change_line, check, neighbour_line, parse_filter
from .output import Output, complain
from .running import run

__all__ = ["monitor"]

_ENDED: Final = "neighio monitor: the instance has ended"
_LOST: Final = "neighio monitor: more happened than the kernel could keep: some changes are lost"


def monitor(arguments: Namespace) -> int:
    """Run the command; return its exit status."""
    if arguments.kernel and arguments.trace:
        complain("neighio monitor: trace: the kernel keeps some transitions to itself")
        return UNUSABLE
    return run("monitor", Monitor(arguments).run)


class Monitor:
    """One run of the command."""

    def __init__(self, arguments: Namespace) -> None:
        self._arguments = arguments
        self._wanted = parse_filter(arguments.family, arguments.dev, ["all"])
        self._output = Output()
        # Closed from the start it is None.
        self._writer = LineWriter(sys.stdout.fileno() if hasattr(sys.stdout, "fileno") else None)
        self._told: list[str] = []

    async def run(self) -> int:
        """Tell of what happens until nobody reads it, or the instance ends; return the exit status.

        Raises:
            NeighioError, OSError: it cannot be told of, or no longer.
        """
        lasting = Lasting(self._writer)
        await lasting.live(None, lambda _: self._follow())
        lasting.check()
        return 0

    async def _follow(self) -> None:
        if self._arguments.kernel:
            with open_netlink(GROUPS) as netlink:
                await self._follow_kernel(KernelNeighbours(netlink))
        else:
            async with connect(self._arguments.control or find()) as instance:
                await self._follow_instance(instance)

    async def _follow_kernel(self, kernel: KernelNeighbours) -> None:
        await kernel.read_names()
        self._wanted.check_device(kernel.names.values())
        stamp = Stamp(trio.current_time)
        self._tell({"kind": "begun", **stamp.at()})
        self._write_told()
        while True:
            for record in await kernel.changes(stamp):
                self._tell(record)
            self._write_told()
            # A slow reader is waited for. The kernel keeps what happens meanwhile, or says that it cannot.
            await self._writer.drain()

    async def _follow_instance(self, instance: Instance) -> None:
        self._wanted.check_device(instance.devices)
        await instance.ask("monitor", trace=self._arguments.trace)
        while records := await instance.records():
            try:
                for record in records:
                    check(record)
                    self._tell(record)
            finally:
                self._write_told()
            await self._writer.drain()
        complain(_ENDED)

    def _tell(self, record: Record) -> None:
        kind = record["kind"]
        if "address" in record and not self._wanted.shows(record):
            return
        # What Linux tells of a transition says nothing that the transition itself does not.
        if self._arguments.trace and kind == "new":
            return
        if kind == "lost":
            complain(_LOST)
        if self._arguments.json:
            self._told.append(f"{json_line(record)}\n")
        elif kind not in ("begun", "lost"):
            line = change_line if kind == "change" else neighbour_line
            self._told.append(f"[{_local_time(record['wall'])}] {line(record, self._output.paint)}\n")

    def _write_told(self) -> None:
        self._writer.write("".join(self._told))
        self._told.clear()


def _local_time(wall: str) -> str:
    """The time of day, as ``ip -ts monitor`` has it.

    Raises:
        NeighioError: that is no time.
    """
    try:
        local = datetime.fromisoformat(wall).astimezone()
    except (ValueError, OverflowError, OSError):
        raise NeighioError(f"wall: {wall!r} makes no sense") from None
    return local.replace(tzinfo=None).isoformat(timespec="microseconds")
