"""``neighio host``: a host in user space, a peer and a device under test."""

from __future__ import annotations

import errno
import signal
import sys
from argparse import Namespace
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from ..address import LinkAddress, parse_ip, parse_network
from ..core.constants import AF_INET, AF_INET6, IFF_LOWER_UP, IFF_UP
from ..core.events import AddressConflict, DelNeighbour, Miss, NewNeighbour, Notification, PacketFailed
from ..device import AttachedDevice, Device
from ..echo import answer_echo
from ..errors import DeviceGone, DuplicateAddress, InvalidAddress, NeighioError, NotPermitted
from ..host import check_own_address
from ..publication import Published, Subscription
from ..records import Record, Stamp, conflict_record, event_record, failure_record, json_line
from ..table import NeighbourTable, open_table
from ..wire.ethernet import ETH_ALEN
from . import INTERRUPTED, UNUSABLE
from .host_commands import Commands, is_group
from .ip_monitor import ip_monitor_line
from .lines import LineReader, LineWriter
from .output import printable
from .running import run
from .settings import Setting, apply_settings, parse_setting

if TYPE_CHECKING:
    from ..link.tap import TapLink

__all__ = ["Host", "host"]

LAST_LINES_SECONDS: Final = 1.0
"""How long whoever reads may take for the last lines."""

_TAP_NOT_PERMITTED: Final = """\
the interface {name} is down, and to take it up needs the capability CAP_NET_ADMIN: \
`sudo ip link set {name} up`, or run the program with `sudo`"""


class Route(NamedTuple):
    """A network, and the gateway that it is reached by."""

    network: str
    gateway: str | None


def host(arguments: Namespace) -> int:
    """Run the command; return its exit status."""
    try:
        command = Host(arguments)
    except (ValueError, NeighioError) as error:
        print(printable(f"neighio host: {error}"), file=sys.stderr)
        return UNUSABLE
    return run("host", command.run)


def _parse_mac(text: str) -> LinkAddress:
    try:
        mac = LinkAddress(text)
    except InvalidAddress:
        raise InvalidAddress(f"mac: {text!r} is not a link-layer address") from None
    if len(mac) != ETH_ALEN or mac[0] & 1 or not any(mac):
        raise InvalidAddress(f"mac: {text!r} is no Ethernet station's address")
    return mac


def _parse_addresses(addresses: list[str]) -> set[bytes]:
    """Return the packed addresses."""
    found = set()
    for address in addresses:
        ip, _ = check_own_address(address)
        if ip in found:
            raise InvalidAddress(f"address: {address} is given twice")
        found.add(ip)
    return found


def _parse_route(words: list[str], own: set[bytes]) -> Route:
    """Return what ``NET`` or ``NET via GATEWAY`` means, one word or several."""
    gateway: str | None = None
    match " ".join(words).split():
        case [network]:
            pass
        case [network, "via", gateway]:
            pass
        case _:
            raise ValueError(f"route: {' '.join(words)!r} is not of the form NETWORK or NETWORK via GATEWAY")
    if network == "default":
        network = "::/0" if ":" in (gateway or "") else "0.0.0.0/0"
    prefix, _ = parse_network(network, field="route")
    if gateway is not None:
        hop, zone = parse_ip(gateway, field="gateway")
        if len(hop) != len(prefix) or zone is not None or is_group(hop) or hop in own:
            raise InvalidAddress(f"gateway: {gateway} can be no gateway of {network}")
    return Route(network, gateway)


async def _open_tap(name: str, mac: LinkAddress | None) -> TapLink:
    """Open a TAP device and take its interface up.

    Raises:
        NotPermitted, NeighioError, OSError
    """
    from ..kernel import requests
    from ..kernel.netlink import request_sync
    from ..kernel.rtnetlink import LinkMessage, decode
    from ..link.tap import open_tap

    link = open_tap(name, lladdr=mac)
    try:
        (reply,) = request_sync(requests.get_link(link.index))
        interface = decode(reply)
        if isinstance(interface, LinkMessage) and not interface.flags & IFF_UP:
            request_sync(requests.set_link(link.index, up=True))
    except OSError as error:
        with trio.CancelScope(shield=True):
            await link.aclose()
        if error.errno == errno.EPERM:
            raise NotPermitted(_TAP_NOT_PERMITTED.format(name=name)) from None
        raise
    await trio.lowlevel.checkpoint()
    return link


class _AfterEachStep(trio.abc.Instrument):
    """Calls back after each step of any task."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self._callback()


class Host:
    """One run of the command.

    Attributes:
        table, attached: the table, and its one device.
        dad_transmits: how many probes detect whether an address is somebody else's; None as usual.
        settings: what was set, for the time when a removed interface is there again.
        stamp: when something happens.
    """

    table: NeighbourTable
    attached: AttachedDevice
    stamp: Stamp
    _writer: LineWriter
    _reader: LineReader
    _events: Subscription

    def __init__(self, arguments: Namespace) -> None:
        """Raises ValueError or NeighioError for what cannot be meant; names the field."""
        self.settings: list[Setting] = [parse_setting(text) for text in arguments.settings]
        self.dad_transmits: int | None = 0 if arguments.no_dad else None
        own = _parse_addresses(arguments.address)
        self._routes = [_parse_route(words, own) for words in arguments.route]
        self._addresses: list[str] = arguments.address
        self._mac = None if arguments.mac is None else _parse_mac(arguments.mac)
        self._tap: str | None = arguments.tap
        self._forwarding: bool = arguments.forwarding
        self._device: Device | None = None
        if arguments.dev is not None:
            self._device = Device(arguments.dev, "host", lladdr=self._mac, forwarding=self._forwarding)
        self._monitor: str | None = arguments.monitor
        # Its usual place where none is named.
        self._control: str | Path | None = arguments.control
        if arguments.control == "":
            from ..control import default_path

            self._control = default_path()
        self._status = 0
        self._failure: NeighioError | OSError | None = None
        self._refusals: list[NeighioError] = []
        self._commands = Commands(self)
        self._answering = trio.Event()
        self._ready = False
        self._seen: tuple[str, int | None] = "", None
        self._changed = trio.Event()

    async def run(self) -> int:
        """Be a host until the input ends, or somebody ends it; return the exit status.

        Raises:
            NeighioError, OSError: it cannot be one.
        """
        self.stamp = Stamp(trio.current_time)
        self._writer = LineWriter(_descriptor(sys.stdout))
        self._reader = LineReader(_descriptor(sys.stdin))
        # The table is to be whole until all is told: what ends the host does not end it, too.
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with open_table(control=self._control) as self.table, trio.open_nursery() as nursery:
                scope = nursery.cancel_scope
                nursery.start_soon(self._end_when_signalled, signals, scope)
                nursery.start_soon(self._write, scope)
                try:
                    await self._serve()
                except (NeighioError, OSError) as error:
                    self._failure = error
                finally:
                    with trio.move_on_after(LAST_LINES_SECONDS, shield=True):
                        await self._writer.drain()
                scope.cancel()
        if self._failure is not None:
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

    async def _serve(self) -> None:
        device = self._device
        if device is None:
            assert self._tap is not None
            link = await _open_tap(self._tap, self._mac)
            device = Device(link, "host", forwarding=self._forwarding)
        self.attached = await self.table.attach(device)
        with self._following():
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
        if not self.attached.up and self._addresses:
            print(printable(f"neighio host: {self.attached.name} is down"), file=sys.stderr)
        async with trio.open_nursery() as nursery:
            for address in self._addresses:
                nursery.start_soon(self._take_address, address, nursery.cancel_scope)
        for error in self._refusals:
            if not isinstance(error, DuplicateAddress):
                raise error
            print(printable(f"neighio host: {error}"), file=sys.stderr)
            self._status = 1
        await trio.lowlevel.checkpoint()

    async def _take_address(self, address: str, scope: trio.CancelScope) -> None:
        try:
            await self.attached.add_address(address, dad_transmits=self.dad_transmits)
        except DeviceGone:
            gone = DeviceGone(f"{self.attached.name} was removed while {address} was being detected")
            self._refusals.append(gone)
        except NeighioError as error:
            self._refusals.append(error)
        if self._refusals:
            scope.cancel()
        await trio.lowlevel.checkpoint()

    def _add_routes(self) -> None:
        for network, gateway in self._routes:
            self.attached.add_route(network, gateway)

    # -- living

    async def _live(self) -> None:
        commands = self._commands
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._answer_echo, nursery.cancel_scope)
            await self._answering.wait()
            self._say_ready()
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
                self._catch_up()
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
            if self._tap is not None:
                gone = f"neighio host: {self.attached.name} was removed"
                print(printable(gone), file=sys.stderr)
                self._status = 1
                scope.cancel()
            await self.until(lambda: self.present)
            apply_settings(self.table, self.attached.name, self.settings)
            try:
                self._add_routes()
            except InvalidAddress as error:
                # Its gateway has become an address of our own.
                print(printable(f"neighio host: {error}"), file=sys.stderr)

    def _say_ready(self) -> None:
        self._ready = True
        if self._monitor != "json":
            self._writer.line("ready")
            return
        engine = self.table._driver.engine
        drawn = {
            name: engine.parameters(self.attached.index, family).reachable_time
            for name, family in (("ipv4", AF_INET), ("ipv6", AF_INET6))
        }
        ready = {
            "kind": "ready",
            **self.stamp.at(),
            "began": self.stamp.began,
            "device": self.attached.name,
            "lladdr": str(self.attached.lladdr),
            "addresses": self.attached.addresses,
            "reachable_time": drawn,
        }
        self._writer.line(json_line(ready))

    # -- what happens

    @property
    def present(self) -> bool:
        """Whether the table has neighbours on the interface now."""
        return self.table._driver.links.get(self.attached.index) is self.attached._link

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when the interface is as wanted; a checkpoint."""
        await trio.lowlevel.checkpoint()
        while not condition():
            await self._changed.wait()

    @contextmanager
    def _following(self) -> Iterator[None]:
        """Print what happens, from now on to the end of the block.

        A subscription's task would be told later than the one that performs a command. And of its links a
        table tells nobody. So what is new is looked for after each step of any task.
        """
        driver = self.table._driver
        self._events = driver.subscribe(trace=False, errors=True, conflicts=True, capacity=sys.maxsize)
        self._seen = self.attached.name, IFF_UP | IFF_LOWER_UP
        instrument = _AfterEachStep(self._catch_up)
        trio.lowlevel.add_instrument(instrument)
        try:
            yield
        finally:
            # What the end of the table does to its entries is nobody's concern.
            trio.lowlevel.remove_instrument(instrument)
            driver.unsubscribe(self._events)

    def _catch_up(self) -> None:
        """Print what is new: of the interface first, which is the cause of what happens to its entries."""
        device = self.attached._device
        flags = device.flags & (IFF_UP | IFF_LOWER_UP) if self.present else None
        events = []
        while (event := self._events.take()) is not None:
            events.append(event)
        if (device.name, flags) != self._seen:
            self._seen = device.name, flags
            self._changed.set()
            self._changed = trio.Event()
            self._tell_link(device.name, flags, events[0].time if events else None)
        for event in events:
            self._tell(event)

    def _tell_link(self, name: str, flags: int | None, when: float | None) -> None:
        if self._monitor == "json":
            link = {
                "kind": "link",
                **self.stamp.at(when),
                "device": name,
                "present": flags is not None,
                "up": bool((flags or 0) & IFF_UP),
                "carrier": bool((flags or 0) & IFF_LOWER_UP),
            }
            self._writer.line(json_line(link))

    def _tell(self, event: Published) -> None:
        if self._monitor == "json":
            record = self._record(event)
            if record is not None:
                self._writer.line(json_line(record))
        elif self._monitor == "text":
            if isinstance(event, Notification):
                self._writer.line(ip_monitor_line(event))
            elif isinstance(event, AddressConflict) and self._ready:
                # Until we are ready it is what we end with.
                print(printable(f"neighio host: {event}"), file=sys.stderr)

    def _record(self, event: Published) -> Record | None:
        match event:
            case NewNeighbour() | DelNeighbour() | Miss():
                return event_record(event, self.stamp)
            case AddressConflict():
                return conflict_record(event, self.stamp)
            case PacketFailed(reported=True):
                return failure_record(event, self.stamp)
            case _:
                return None


def _descriptor(stream: object) -> int | None:
    """A standard stream's descriptor; None when it was closed from the start, and others may have its
    number."""
    return stream.fileno() if hasattr(stream, "fileno") else None
