"""``neighio doctor``: what a user must know before it works."""

from __future__ import annotations

import json
import shutil
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Final

import trio

from ...errors import NeighioError, unknown_interface
from ..kernel_devices import KernelDevice, read_devices
from ..output import Output
from ..running import run
from .findings import Finding, Level, finding_lines
from .interfaces import find_interfaces, is_askable
from .privileges import find_namespaces, find_privileges, may_open_devices
from .responders import find_responders
from .running_instances import find_instances
from .switches import find_loopback_addresses, find_switches
from .system import find_buffers, find_packages, find_system
from .tables import find_tables
from .timing import find_parameters

__all__ = ["doctor"]

WIDEST: Final = 100
"""Characters of a line, at most."""


def doctor(arguments: Namespace) -> int:
    """Run the command; return its exit status."""
    return run("doctor", Doctor(arguments).run)


class Doctor:
    """One run of the command."""

    def __init__(self, arguments: Namespace) -> None:
        self._arguments = arguments
        self._output = Output()
        self._width = WIDEST
        if sys.stdout is not None and sys.stdout.isatty():
            self._width = min(shutil.get_terminal_size().columns, WIDEST)
        self._levels: Counter[Level] = Counter()
        self._read = True
        """Whether somebody reads."""

    async def run(self) -> int:
        """Look at everything, and tell it; return the exit status.

        Raises:
            NeighioError: there is no such device.
        """
        await trio.lowlevel.checkpoint()
        linux = sys.platform == "linux"
        devices, everybody = await self._devices() if linux else ([], [])
        self._tell(find_system())
        self._tell(find_packages())
        if linux:
            await self._look(devices, everybody)
            self._tell(find_buffers())
        self._tell(await find_instances())
        self._sum_up()
        return 1 if self._levels[Level.PROBLEM] else 0

    async def _look(self, devices: list[KernelDevice], everybody: list[KernelDevice]) -> None:
        """What only Linux has."""
        asked = self._arguments.dev is not None
        used = [device for device in devices if asked or is_askable(device)]
        self._tell(find_privileges())
        # It starts a process and waits for it.
        self._tell(await trio.to_thread.run_sync(lambda: list(find_namespaces())))
        self._tell(find_interfaces(devices, everybody, asked=asked))
        self._tell(find_switches(used))
        self._tell(find_loopback_addresses(used, everybody))
        self._tell(find_parameters(used))
        self._tell(find_tables())
        if self._arguments.no_probe:
            self._tell([_unasked("--no-probe: nothing is sent")])
        elif not may_open_devices():
            self._tell([_unasked("no device can be opened without CAP_NET_RAW", "sudo neighio doctor")])
        else:
            self._tell(await find_responders(used, everybody))

    async def _devices(self) -> tuple[list[KernelDevice], list[KernelDevice]]:
        """The devices to look at, and all.

        Raises:
            InvalidAddress: there is no such one.
        """
        dev = self._arguments.dev
        try:
            found = await read_devices()
        except NeighioError:
            if dev is not None:
                raise
            await trio.lowlevel.checkpoint()
            return [], []
        wanted = [device for device in found if dev in (None, device.name)]
        if not wanted and dev is not None:
            raise unknown_interface("dev", dev, (device.name for device in found))
        return wanted, found

    # -- what is printed

    def _tell(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self._levels[finding.level] += 1
            if self._arguments.quiet and finding.level not in (Level.WARNING, Level.PROBLEM):
                continue
            if self._arguments.json:
                self._print(json.dumps(asdict(finding)))
            else:
                for line in finding_lines(finding, self._width, self._output.paint):
                    self._print(line)

    def _sum_up(self) -> None:
        if not self._arguments.json and not self._arguments.quiet:
            self._print(", ".join(_counted(self._levels[level], level) for level in reversed(Level)))

    def _print(self, line: str) -> None:
        if self._read:
            self._read = self._output.line(line)


def _counted(count: int, level: Level) -> str:
    plural = "" if count == 1 or level is Level.OK else "s"
    return f"{count} {level}{plural}"


def _unasked(reason: str, do: str | None = None) -> Finding:
    what = "not asked who else has this host's addresses"
    return Finding(Level.NOTE, "link", "duplicates", what, reason, do)
