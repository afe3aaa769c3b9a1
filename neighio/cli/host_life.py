"""The life of ``neighio host``: its addresses, its commands, its interface's departures, its end."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final

import trio

from ..address import parse_network
from ..device import AttachedDevice, Device
from ..echo import answer_echo
from ..errors import DeviceGone, DuplicateAddress, InvalidAddress, NeighioError
from ..publication import DeviceChange, Happening
from ..records import Stamp, json_line
from ..table import NeighbourTable, open_table
from .host_commands import Commands
from .host_monitor import HostMonitor, complain
from .host_options import AddressWay, HostOptions, Route
from .host_tap import open_tap_up
from .lasting import ENDING_SIGNALS, Lasting
from .lines import LineReader, LineWriter
from .settings import Setting, apply_settings

__all__ = ["Host"]


class Host:
    """One run of the command.

    Attributes:
        table, attached: the table, and its one device.
        usual_way: how an address is had unless it is said otherwise.
        settings, routes: what was set and added, routes by network and prefix length, for the time when a
            removed interface is there again.
        stamp: when something happens.
    """

    table: NeighbourTable
    attached: AttachedDevice
    stamp: Stamp
    _writer: LineWriter
    _lasting: Lasting
    _reader: LineReader
    _monitor: HostMonitor
    _nursery: trio.Nursery
    """Of what goes on beside the commands."""

    def __init__(self, options: HostOptions) -> None:
        self._options = options
        self.settings: list[Setting] = list(options.settings)
        self.routes: dict[tuple[bytes, int], Route] = {
            parse_network(route.network): route for route in options.routes
        }
        self.usual_way: Final = AddressWay(options.dad_transmits)
        self._refusals: list[NeighioError] = []
        self._commands = Commands(self)
        self._answering = trio.Event()
        self._changed = trio.Event()

    async def run(self) -> int:
        """Be a host until the input ends, or somebody ends it; return the exit status.

        Raises:
            NeighioError, OSError: it cannot be one.
        """
        self.stamp = Stamp(trio.current_time)
        self._writer = LineWriter(_descriptor(sys.stdout))
        self._reader = LineReader(_descriptor(sys.stdin))
        self._monitor = HostMonitor(self._writer, self.stamp, self._options.monitor)
        self._lasting = Lasting(self._writer)
        # The table is to be whole until all is told: what ends the host does not end it, too.
        with trio.open_signal_receiver(*ENDING_SIGNALS) as signals:
            async with open_table(control=self._options.control) as self.table:
                await self._lasting.live(signals, self._serve)
        self._lasting.check()
        return self._lasting.status

    async def _serve_metrics(self, nursery: trio.Nursery) -> None:
        if self._options.metrics is not None:
            from ..integrations.metrics_server import open_metrics, serve_metrics

            listeners = await open_metrics(*self._options.metrics)
            nursery.start_soon(serve_metrics, self.table, listeners)
        await trio.lowlevel.checkpoint()

    async def _serve(self, nursery: trio.Nursery) -> None:
        await self._serve_metrics(nursery)
        device = self._options.device
        if device is None:
            assert self._options.tap is not None
            link = await open_tap_up(self._options.tap, self._options.mac)
            device = Device(link, "host", forwarding=self._options.forwarding)
        self.attached = await self.table.attach(device)
        self._tell_how_it_begins()
        # Only to here: what the end of the table does to its entries is nobody's concern.
        with self.table._listening(self._hear):
            apply_settings(self.table, self.attached.name, self.settings)
            await self._take_addresses()
            if not self._refusals:
                self._add_routes()
                await self._live()

    # -- addresses

    async def _take_addresses(self) -> None:
        """Have all addresses; with the first that is refused, none.

        Raises:
            NeighioError: one cannot be had.
        """
        attached = self.attached
        if self._options.addresses and not (attached.up and attached.carrier):
            missing = "has no carrier" if attached.up else "is down"
            complain(f"{attached.name} {missing}")
        try:
            async with trio.open_nursery() as nursery:
                for address in self._options.addresses:
                    # In the order given: packets leave from the first that fits.
                    await nursery.start(self._addition(address, self.usual_way))
        except* NeighioError as group:
            self._refusals = [error for error in group.exceptions if isinstance(error, NeighioError)]
        for error in self._refusals:
            if not isinstance(error, DuplicateAddress):
                raise error
            complain(str(error))
            self._lasting.status = 1
        await trio.lowlevel.checkpoint()

    def _addition(self, address: str, way: AddressWay) -> Callable[..., Awaitable[None]]:
        """What has an address, to be started."""
        return partial(
            self.attached.add_address,
            address,
            dad_transmits=way.transmits,
            optimistic=way.optimistic,
            defence=self._options.defence,
            notify_routers=self._options.notify_routers,
        )

    async def begin_address(self, address: str, way: AddressWay) -> None:
        """Have an address; return when it is had, or its detection is under way. What becomes of that is told
        in its time. Raises as the device's own."""
        await self._nursery.start(self.detect, address, way)

    async def detect(
        self, address: str, way: AddressWay, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Have an address, beside the commands. Once it has begun nothing is raised."""
        begun = False
        failure: NeighioError | None = None
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._addition(address, way))
                task_status.started()
                begun = True
        except* NeighioError as group:
            failure = next(error for error in group.exceptions if isinstance(error, NeighioError))
        if failure is not None and not begun:
            raise failure
        # A duplicate is told of as a conflict, and whoever removed the address knows.
        if isinstance(failure, DeviceGone):
            complain(str(failure))
        await trio.lowlevel.checkpoint()

    def _add_routes(self) -> None:
        for network, gateway in self.routes.values():
            self.attached.add_route(network, gateway)

    # -- living

    async def _live(self) -> None:
        commands = self._commands
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._answer_echo, nursery.cancel_scope)
            await self._answering.wait()
            self._monitor.say_ready(self.table, self.attached)
            while not commands.ended:
                try:
                    line = await self._reader.read_line()
                except ValueError as error:
                    answer = commands.refusal(error)
                else:
                    if line is None:
                        break
                    if not line.strip() or line.lstrip().startswith("#"):
                        continue
                    answer = await commands.perform(line)
                self._writer.line(json_line(answer))
                if self._writer.waiting:
                    # Whoever asks more than they read waits for the answers.
                    await self._writer.drain()
            nursery.cancel_scope.cancel()

    async def _answer_echo(self, scope: trio.CancelScope) -> None:
        """Answer echo requests, on an interface that is removed again when it is back."""
        while True:
            async with trio.open_nursery() as nursery:
                # It may be removed before we begin.
                with suppress(InvalidAddress):
                    await nursery.start(answer_echo, self.attached)
                    self._answering.set()
            if self._options.tap is not None:
                complain(f"{self.attached.name} was removed")
                self._lasting.status = 1
                scope.cancel()
            await self.until(lambda: self.attached.present)
            apply_settings(self.table, self.attached.name, self.settings)
            for network, gateway in self.routes.values():
                try:
                    self.attached.add_route(network, gateway)
                except InvalidAddress as error:
                    # Its gateway has become an address of our own, or the address of its network is none.
                    complain(str(error))

    # -- what happens

    def _tell_how_it_begins(self) -> None:
        """An interface that frames can be sent through is nothing to tell of."""
        attached = self.attached
        if not (attached.up and attached.carrier):
            now = trio.current_time()
            self._monitor.tell(
                DeviceChange(now, attached.name, attached.index, True, attached.up, attached.carrier)
            )

    def _hear(self, event: Happening) -> None:
        if isinstance(event, DeviceChange):
            self._changed.set()
            self._changed = trio.Event()
        self._monitor.tell(event)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when the interface is as wanted; a checkpoint."""
        await trio.lowlevel.checkpoint()
        while not condition():
            await self._changed.wait()


def _descriptor(stream: object) -> int | None:
    """A standard stream's descriptor; None when it was closed from the start, and others may have its
    number."""
    return stream.fileno() if hasattr(stream, "fileno") else None
