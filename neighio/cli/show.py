"""``neighio show``: the neighbours of a running instance, or the kernel's."""

from __future__ import annotations

from argparse import Namespace

from ..address import parse_ip
from ..errors import NeighioError
from ..kernel.netlink import open_netlink
from ..records import Record, json_line
from . import UNUSABLE
from .instances import connect, find
from .kernel_neighbours import KernelNeighbours
from .neighbours import Filter, check, neighbour_line, parse_filter
from .output import Output, complain
from .running import run

__all__ = ["show"]


def show(arguments: Namespace) -> int:
    """Run the command; return its exit status."""
    try:
        wanted = parse_filter(arguments.family, arguments.dev, arguments.state)
    except ValueError as error:
        complain(f"neighio show: {error}")
        return UNUSABLE
    command = Show(arguments, wanted)
    status = run("show", command.read)
    # Outside of any loop: one who waits for a slow reader can be interrupted.
    return status or command.print()


class Show:
    """One run of the command."""

    def __init__(self, arguments: Namespace, wanted: Filter) -> None:
        self._arguments = arguments
        self._wanted = wanted
        self._found: list[tuple[int, bytes, str, str]] = []
        self._output = Output()

    async def read(self) -> int:
        """Gather the lines; return the exit status.

        Raises:
            NeighioError, OSError: they cannot be had; nothing is to be printed.
        """
        if self._arguments.kernel:
            with open_netlink() as netlink:
                kernel = KernelNeighbours(netlink)
                await kernel.read_names()
                self._wanted.check_device(kernel.names.values())
                for entry in await kernel.entries():
                    self._take(entry)
            return 0
        async with connect(self._arguments.control or find()) as instance:
            self._wanted.check_device(instance.devices)
            await instance.ask("show")
            is_whole = False
            while not is_whole and (records := await instance.records()):
                is_whole = records[-1]["kind"] == "end"
                for record in records[:-1] if is_whole else records:
                    check(record)
                    del record["kind"]
                    self._take(record)
        if not is_whole:
            raise NeighioError("the instance ended before it had told of all its neighbours")
        return 0

    def _take(self, entry: Record) -> None:
        if not self._wanted.shows(entry):
            return
        if self._arguments.json:
            line = json_line(entry)
        else:
            line = neighbour_line(
                entry,
                self._output.paint,
                device=self._wanted.device is None,
                statistics=self._arguments.statistics,
            )
        key, _ = parse_ip(entry["address"])
        self._found.append((len(key), key, entry["device"], line))

    def print(self) -> int:
        """Print the lines, IPv4 first, by address; return the exit status."""
        self._found.sort()
        for *_, line in self._found:
            if not self._output.line(line):
                break
        return 0
