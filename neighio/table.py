"""The trio shell: it waits, arms, wakes and owns; everything else is the driver's and the engine's."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from math import inf
from random import Random
from typing import Final, NoReturn

import trio

from ._park import Token, park, wake
from .address import IPAddress, LinkAddress, format_ip, parse_ip, parse_network
from .administration import Administration
from .core.constants import AF_INET, RTN_LOCAL, RTN_UNICAST
from .core.engine import Engine, Scope
from .core.neighbour import Neighbour
from .core.node import Address, Route
from .core.queue import Packet
from .device import AttachedDevice, Device
from .driver import Driver
from .errors import DeviceGone, InternalError, InvalidAddress, NeighioError
from .link.base import Link, LinkDown, LinkGone
from .link.packet import open_packet_link
from .mirror import KernelMirror
from .probe import Reply, probe
from .reference import HeldNeighbour
from .subscription import EventStream
from .sweep import Sweep, check_size

__all__ = ["NeighbourTable", "open_table"]

CLOSING_SECONDS: Final = 1.0
"""How long a link may take to close."""

# An interrupt (Ctrl-C) in the middle of a change would leave half of it behind: all that changes a table is
# protected, and the interrupt arrives where the caller waits.
_protected = trio.lowlevel.enable_ki_protection


class NeighbourTable(Administration):
    """The neighbours of some devices: who is where, kept true, forgotten in time.

    Made without I/O; ``await nursery.start(table.serve)`` runs it, and :func:`open_table` is both with a
    nursery of its own. Everything but :attr:`serve` needs the table to be running. All calls belong to
    one trio run; none takes a timeout: use :func:`trio.fail_after`.

    Args:
        devices: interface names, :class:`Device` or links, attached when the table starts.
        families: address families; 4 is the one there is.
        parameters: defaults for every device, by the names of /proc/sys/net/ipv4/neigh; times in seconds.
        random: where reachable_time is drawn from.

    Raises:
        ValueError: a family or a parameter that is none; names the field.
        InvalidAddress: a device that cannot be one.
    """

    def __init__(
        self,
        *devices: str | Device | Link,
        families: Iterable[int] = (4,),
        parameters: Mapping[str, float] | None = None,
        random: Random | None = None,
    ) -> None:
        served = tuple(families)
        if not served:
            raise ValueError("families: none is given; there is 4")
        for family in served:
            if family != 4:
                raise ValueError(f"families: {family!r} is not served; there is 4")
        self._initial = [_device(device) for device in devices]
        self._settings = dict(parameters or {})
        self._random = random
        Engine().set(None, AF_INET, self._settings, 0.0)
        self._state = "new"
        self._timers: dict[Scope, trio.CancelScope] = {}
        self._attached: dict[int, AttachedDevice] = {}
        self._mirror: KernelMirror | None = None
        self._opening = trio.Lock()
        # What a bug is to end beside the table; see open_table.
        self._on_bug: Callable[[], object] = _nothing

    def __repr__(self) -> str:
        names = ", ".join(device.name for device in self._attached.values())
        return f"<NeighbourTable {self._state}{': ' if names else ''}{names}>"

    # -- life

    @_protected
    async def serve(
        self, *, task_status: trio.TaskStatus[NeighbourTable] = trio.TASK_STATUS_IGNORED
    ) -> NoReturn:
        """Run the table until cancelled; started when its devices are attached.

        Raises:
            NotPermitted: a device needs a capability that the process lacks.
            InvalidAddress: there is no such interface.
            InternalError: a bug in neighio.
            trio.BusyResourceError, trio.ClosedResourceError: it runs already, or has run.
        """
        if self._state == "open":
            raise trio.BusyResourceError("the table is being served already")
        if self._state == "closed":
            raise trio.ClosedResourceError("the table was closed")
        engine = Engine(now=trio.current_time(), random=self._random)
        engine.set(None, AF_INET, self._settings, trio.current_time())
        self._driver = Driver(
            engine, clock=trio.current_time, wake=wake, arm=self._arm, trouble=self._trouble
        )
        self._state = "open"
        failure: BaseException | None = None
        try:
            async with trio.open_nursery() as self._nursery:
                for scope in engine.scopes():
                    self._nursery.start_soon(self._guarded, self._run_timers, scope)
                for device in self._initial:
                    await self.attach(device)
                task_status.started(self)
                await trio.sleep_forever()
        except BaseExceptionGroup as group:
            failure = _innermost(group)
        finally:
            self._close()
            if self._mirror is not None:
                self._mirror.close()
        assert failure is not None
        try:
            raise failure
        finally:
            # Its traceback holds this frame: the two would be garbage for the collector.
            del failure

    def _close(self) -> None:
        """Let nobody in any more, and nobody wait any longer. Idempotent."""
        if self._state == "open":
            self._state = "closed"
            self._driver.abandon(lambda: trio.ClosedResourceError("the table was closed"))

    @_protected
    async def _guarded(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        """Run a background task: it ends by being cancelled, and whatever else it raises is a bug."""
        try:
            await task(*args)
        except Exception as error:
            # First of all, so that nobody is told of a device that went when it was the table that fell.
            self._on_bug()
            self._close()
            found = _internal(error)
            if found is None:
                raise InternalError(f"{getattr(task, '__name__', task)}: {error!r}") from error
            raise found from found.__cause__

    def _check(self) -> Driver:
        """The driver, if callers may use it now."""
        if self._state != "open":
            raise trio.ClosedResourceError(
                "the table was closed" if self._state == "closed" else "the table is not being served"
            )
        if self._driver.engine.in_hook:
            raise trio.BusyResourceError("a device's hook is running")
        return self._driver

    # -- timers

    def _arm(self, scope: Scope, deadline: float) -> None:
        timer = self._timers.get(scope)
        if timer is not None and timer.deadline != deadline:
            timer.deadline = deadline

    async def _run_timers(self, scope: Scope) -> None:
        """Sleep until the scope's deadline, wherever it moves; then work in slices."""
        driver = self._driver
        while True:
            with trio.CancelScope(deadline=driver.engine.next_deadline(scope)) as timer:
                self._timers[scope] = timer
                try:
                    await trio.sleep_forever()
                finally:
                    # A device that came back at once, under the same index, has a timer of its own there.
                    if self._timers[scope] is timer:
                        del self._timers[scope]
            while driver.timers(scope):  # noqa: ASYNC110
                await trio.lowlevel.checkpoint()

    # -- devices

    @property
    def devices(self) -> Mapping[str, AttachedDevice]:
        """The attached devices, by their present names."""
        return {device.name: device for device in self._attached.values()}

    @_protected
    async def attach(self, device: str | Device | Link) -> AttachedDevice:
        """Have neighbours on a device too; a checkpoint.

        A link is the table's from here on, which closes it when the device is detached.

        Raises:
            NotPermitted: it needs a capability that the process lacks.
            InvalidAddress: there is no such interface, or it is attached already.
        """
        spec = _device(device)
        self._check()
        if isinstance(spec.interface, str):
            link = await self._open_interface(spec.interface)
        else:
            link = spec.interface
            await trio.lowlevel.checkpoint()
        try:
            core_device = self._check().attach(
                link, neigh_construct=spec.neigh_construct, neigh_setup=spec.neigh_setup
            )
        except BaseException:
            if isinstance(spec.interface, str):
                await link.aclose()
            raise
        for ip, prefixlen in spec.addresses:
            self._driver.engine.add_address(link.index, Address(ip, prefixlen), self._driver.clock())
            self._driver.engine.node.add_route(Route(ip, prefixlen, core_device))
        if hasattr(link, "on_change"):
            link.on_change = lambda: self._link_changed(link)
        attached = AttachedDevice(core_device, self._end_device)
        self._attached[link.index] = attached
        self._nursery.start_soon(self._guarded, self._serve_device, link, attached)
        return attached

    async def _follow_kernel(self) -> KernelMirror:
        async with self._opening:
            if self._mirror is None:
                mirror = KernelMirror(self._driver, lambda index: self._end_device(self._attached.get(index)))
                try:
                    await mirror.open()
                except OSError as error:
                    mirror.close()
                    raise NeighioError(f"no rtnetlink here ({error.strerror})") from error
                except BaseException:
                    mirror.close()
                    raise
                self._mirror = mirror
                self._nursery.start_soon(self._guarded, mirror.follow)
            return self._mirror

    async def _open_interface(self, name: str) -> Link:
        mirror = await self._follow_kernel()
        if name in self._driver.names:
            raise InvalidAddress(f"device: {name} is attached already")
        facts = mirror.find(name)
        if facts is None:
            known = ", ".join(sorted(link.name for link in mirror.links.values()))
            raise InvalidAddress(f"device: there is no interface {name!r}; there is {known}")
        try:
            return open_packet_link(facts)
        except LinkGone:
            raise InvalidAddress(f"device: the interface {name!r} has just gone") from None

    async def _serve_device(self, link: Link, attached: AttachedDevice) -> None:
        """The device's own tasks; it falls alone."""
        try:
            with attached._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._guarded, self._run_timers, ("device", link.index))
                    nursery.start_soon(self._guarded, self._receive, link)
        finally:
            if trio.current_effective_deadline() == -inf:
                self._close()
            self._end_device(attached)
            # Shielded, or a cancellation would take the place of what ended the device.
            try:
                with trio.move_on_after(CLOSING_SECONDS, shield=True):
                    await link.aclose()
            finally:
                attached._ended.set()

    async def _receive(self, link: Link) -> None:
        driver = self._driver
        while True:
            await link.wait_readable()
            while driver.links.get(link.index) is link and driver.drain(link.index):  # noqa: ASYNC110
                await trio.lowlevel.checkpoint()

    def _end_device(self, attached: AttachedDevice | None) -> None:
        """Have no neighbours on a device from now on; its tasks end and its link is closed soon."""
        if attached is None or self._attached.get(attached.index) is not attached:
            return
        index = attached.index
        del self._attached[index]
        self._driver.detach(index)
        if self._mirror is None or index not in self._mirror.links:
            node = self._driver.engine.node
            node.forget_device(node.devices[index])
        attached._scope.cancel()

    def _link_changed(self, link: Link) -> None:
        if link.index in self._driver.links:
            if getattr(link, "removed", False):
                self._end_device(self._attached.get(link.index))
            else:
                self._driver.follow(link.index, link)

    def _trouble(self, index: int, error: LinkDown | LinkGone) -> None:
        """A link's errno only hurries what rtnetlink, or the link itself, has to say."""
        if isinstance(error, LinkGone):
            self._end_device(self._attached.get(index))
        elif self._mirror is not None:
            self._mirror.doubt(index)

    # -- resolving

    @_protected
    async def resolve(self, ip: IPAddress, dev: str | None = None, *, verified: bool = False) -> LinkAddress:
        """Return the link-layer address of a neighbour, resolving it if need be; always a checkpoint.

        This is the kernel's neigh_event_send: a VALID entry returns at once (STALE becomes DELAY), otherwise
        resolution starts or goes on. Cancelled, the call leaves nothing behind; the probing goes on. With
        ``verified`` the address was confirmed after this call (NOARP and PERMANENT are taken as they are).

        Raises:
            Unreachable: nobody answered.
            DeviceGone: the device is down, or went.
            TableFull: the entry cannot be made.
            InvalidAddress: an address or a device that cannot be meant; nothing was changed.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        driver = self._check()
        index, key = driver.place(ip, dev)
        self._check_up(index)
        token = Token()
        try:
            neighbour, lladdr = driver.engine.resolve(index, key, driver.clock())
            if verified:
                lladdr = driver.engine.verify(neighbour, driver.clock())
            if lladdr is None:
                if verified:
                    driver.await_proof(neighbour, token)
                else:
                    driver.await_address(neighbour, token)
        finally:
            driver.pump()
        if lladdr is not None:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return lladdr
        found = await park(token, lambda: driver.forget(neighbour, token))
        assert isinstance(found, LinkAddress)
        return found

    @_protected
    def resolve_nowait(self, ip: IPAddress, dev: str | None = None) -> LinkAddress:
        """As :meth:`resolve` on a VALID entry.

        Raises:
            trio.WouldBlock: the entry is absent or not VALID; nothing has happened to it.
            DeviceGone: the device is down.
            InvalidAddress: an address or a device that cannot be meant.
        """
        driver = self._check()
        index, key = driver.place(ip, dev)
        self._check_up(index)
        lladdr = driver.engine.resolve_nowait(index, key, driver.clock())
        driver.pump()
        if lladdr is None:
            raise trio.WouldBlock
        return lladdr

    def _check_up(self, index: int) -> None:
        device = self._driver.engine.node.devices[index]
        if not device.up:
            raise DeviceGone(f"{device.name} is down")

    @_protected
    async def probe(
        self,
        ip: IPAddress,
        dev: str | None = None,
        *,
        unicast: bool = False,
        listen: float = 0.0,
        source: IPAddress | None = None,
    ) -> Reply:
        """Ask now whether somebody is there, whatever the entry's state; outside its probe counter.

        ``unicast`` asks at the known address alone, if there is one. ``listen`` goes on for so many seconds
        after the first answer, to hear duplicates. ``source`` is the address with which to ask, in place
        of the one that arp_solicit would take: an own one of any device, or the unspecified address, which
        enters nobody's table (an ARP probe, RFC 5227 1.1).

        Raises:
            Unreachable: no answer within the device's retrans_time.
            DeviceGone, TableFull, InvalidAddress
            ValueError: ``listen`` is no number of seconds.
        """
        if not 0 <= listen < inf:
            raise ValueError(f"listen: {listen!r} is no number of seconds")
        await trio.lowlevel.checkpoint_if_cancelled()
        driver = self._check()
        index, key = driver.place(ip, dev)
        asker = None if source is None else self._asker(source, len(key))
        self._check_up(index)
        return await probe(self, index, key, unicast=unicast, listen=listen, source=asker)

    def _asker(self, source: IPAddress, length: int) -> bytes:
        """Whoever hears a solicitation believes its source: it has to be ours."""
        key, zone = parse_ip(source, field="source")
        if len(key) != length or zone is not None:
            raise InvalidAddress(f"source: {source!r} is not of the asked address's family")
        own = self._driver.engine.node.owns(key) and not (length == 4 and key[0] == 127)
        if any(key) and not own:
            raise InvalidAddress(f"source: {format_ip(key)} is no address of this host")
        return key

    async def first_hop(self, ip: IPAddress) -> tuple[str, str] | None:
        """Return the device through which a packet to ``ip`` leaves and the neighbour that takes it, which is
        the address itself or a gateway; None without a route.

        The routes are the kernel's main table's, unless the table has links that the kernel does not know.
        The device need not be attached. Multicast and broadcast go past every gateway (__mkroute_output).

        Raises:
            InvalidAddress: no address of a neighbour, or one of this host's own.
            NeighioError: this system has no rtnetlink.
        """
        key, _ = parse_ip(ip)
        driver = self._check()
        if not driver.links:
            await self._follow_kernel()
        else:
            await trio.lowlevel.checkpoint()
        node = self._check().engine.node
        kind = node.address_type(key)
        if len(key) != 4:
            raise InvalidAddress(f"ip: {format_ip(key)} is of a family that this table does not serve")
        if not any(key):
            raise InvalidAddress("ip: the unspecified address is nobody's")
        if kind == RTN_LOCAL:
            raise InvalidAddress(f"ip: {format_ip(key)} is this host's own")
        hop = node.first_hop(key)
        return None if hop is None else (hop[0].name, format_ip(hop[1] if kind == RTN_UNICAST else key))

    def sweep(
        self,
        network: str | ipaddress.IPv4Network,
        dev: str | None = None,
        *,
        rate: float = 1000.0,
        tries: int = 3,
        interval: float = 1.0,
        keep: bool = False,
    ) -> AbstractAsyncContextManager[Sweep]:
        """Ask every address of a network, in random order: ``async with table.sweep(...) as sweep``.

        Args:
            rate: solicitations a second; :data:`math.inf` for as fast as it goes.
            tries: how often an address that does not answer is asked.
            interval: seconds between two tries of one address, at least; and how long the last is waited for.
            keep: hand the entries of those who answered over to the table, up to gc_thresh2, instead of
                removing them at the end.

        Broadcast addresses and the node's own are left out. If nobody reads the replies, sending stops.
        Leaving the block ends the sweep.

        Raises:
            InvalidAddress: no network, or more than 2^20 addresses.
            ValueError: a rate, tries or interval that is none; names the field.
            TableFull: other sweeps hold too many entries.
        """
        if not rate > 0:
            raise ValueError(f"rate: {rate!r} is not above 0")
        if tries < 1:
            raise ValueError(f"tries: {tries!r} is not at least 1")
        if not 0 <= interval < inf:
            raise ValueError(f"interval: {interval!r} is no number of seconds")
        driver = self._check()
        index = driver.index(dev)
        self._check_up(index)
        first, prefixlen = parse_network(network)
        if len(first) != 4:
            raise InvalidAddress(f"network: {network} is of a family that this table does not serve")
        count = 1 << (32 - prefixlen)
        check_size(count, driver.engine.caches[AF_INET].swept)
        keys = driver.engine.sweep_keys(first, count)
        return self._sweep(Sweep(self, index, keys, rate=rate, tries=tries, interval=interval), keep)

    @asynccontextmanager
    @_protected
    async def _sweep(self, sweep: Sweep, keep: bool) -> AsyncIterator[Sweep]:
        self._check()
        # The sender runs in the table's nursery, so that what the body raises leaves as itself.
        scope = trio.CancelScope()
        ended = trio.Event()

        async def send() -> None:
            try:
                with scope:
                    await sweep.run()
            finally:
                ended.set()

        self._nursery.start_soon(self._guarded, send)
        try:
            yield sweep
        finally:
            scope.cancel()
            with trio.CancelScope(shield=True):
                await ended.wait()
                while sweep.end_slice(keep=keep):  # noqa: ASYNC110
                    await trio.lowlevel.checkpoint()

    # -- neighbours

    @_protected
    def lookup(self, ip: IPAddress, dev: str | None = None) -> Neighbour | None:
        """Return the entry of an address, or None; looking has no effect.

        Raises:
            InvalidAddress
        """
        driver = self._check()
        index, key = driver.place(ip, dev)
        found = driver.engine.lookup(index, key, driver.clock())
        driver.pump()
        return found

    @_protected
    def neighbour(self, ip: IPAddress, dev: str | None = None) -> HeldNeighbour:
        """Return an address's entry with a reference, made if need be; no frame is sent (__neigh_create).

        Raises:
            TableFull: gc_thresh3 is reached and nothing could be collected.
            InvalidAddress: nothing was changed.
            NeighioError: a hook of the device refused.
        """
        driver = self._check()
        index, key = driver.place(ip, dev)
        try:
            return HeldNeighbour(self, driver.engine.neighbour(index, key, driver.clock()))
        finally:
            driver.pump()

    @_protected
    def _release(self, neighbour: Neighbour) -> None:
        # Also when the table is closed: the reference has to go.
        if self._driver.engine.in_hook:
            raise trio.BusyResourceError("a device's hook is running")
        self._driver.engine.release(neighbour, self._driver.clock())
        self._driver.pump()

    @_protected
    def _confirm(self, neighbour: Neighbour) -> None:
        driver = self._check()
        driver.engine.confirm(neighbour, driver.clock())
        driver.pump()

    @_protected
    def _send(self, neighbour: Neighbour, packet: Packet) -> None:
        driver = self._check()
        driver.engine.send(neighbour, packet, driver.clock())
        driver.pump()

    # -- watching

    @_protected
    def subscribe(self, *, trace: bool = False, errors: bool = False, capacity: int = 1024) -> EventStream:
        """Return the table's events: the entries that there are, :class:`Idle`, then changes.

        Linux's notifications and nothing more; with ``trace`` every change of a state, an address or a
        flag too, with ``errors`` every packet that failed after it was accepted. ``capacity`` bounds how
        many may wait to be read.
        """
        if capacity < 1:
            raise ValueError(f"capacity: {capacity!r} is not at least 1")
        driver = self._check()
        return EventStream(driver, driver.subscribe(trace=trace, errors=errors, capacity=capacity))


def _device(device: str | Device | Link) -> Device:
    return device if isinstance(device, Device) else Device(device)


def _internal(error: BaseException) -> InternalError | None:
    """The first bug report within an exception, if there is one."""
    if isinstance(error, InternalError):
        return error
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            if (found := _internal(inner)) is not None:
                return found
    return None


def _innermost(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What a nursery's group is about: its one exception that is no cancellation, or the group itself."""
    rest: BaseException | None = group.split(trio.Cancelled)[1]
    while isinstance(rest, BaseExceptionGroup) and len(rest.exceptions) == 1:
        rest = rest.exceptions[0]
    return group if rest is None else rest


def _nothing() -> None:
    """What a table that belongs to somebody else's nursery ends beside itself."""


def _has_cancellation(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(trio.Cancelled) is not None
    return isinstance(error, trio.Cancelled)


def _of_table(group: BaseExceptionGroup[BaseException], cancelled: BaseException | None) -> BaseException:
    """What a table's nursery has to say: its one failure, or all of them; of cancellations the body's."""
    failures = [error for error in group.exceptions if not _is_cancellation(error)]
    if not failures:
        return group if cancelled is None else cancelled
    return failures[0] if len(failures) == 1 else group


def _is_cancellation(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)[1] is None
    return isinstance(error, trio.Cancelled)


@asynccontextmanager
async def open_table(
    *devices: str | Device | Link,
    families: Sequence[int] = (4,),
    parameters: Mapping[str, float] | None = None,
    random: Random | None = None,
) -> AsyncIterator[NeighbourTable]:
    """Make a table and run it for the length of a block; see :class:`NeighbourTable`.

    An exception of the body leaves as itself; a bug in a background task as :class:`InternalError`; both
    together as the group.
    """
    table = NeighbourTable(*devices, families=families, parameters=parameters, random=random)
    body: BaseException | None = None
    cancelled: BaseException | None = None
    failure: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            table._on_bug = nursery.cancel_scope.cancel
            await nursery.start(table.serve)
            try:
                yield table
            except BaseException as error:  # noqa: ASYNC103  # it is raised below
                # Cancellations are the nursery's to judge. What is the caller's own goes past it: a cancel
                # scope takes groups apart and builds others.
                if _has_cancellation(error):
                    cancelled = error
                    raise
                body = error
            finally:
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        failure = _of_table(group, cancelled)
    try:
        if body is not None:
            if failure is not None and not _is_cancellation(failure):
                raise BaseExceptionGroup("the table failed, and so did what used it", [failure, body])
            raise body
        if failure is not None:
            raise failure
    finally:
        # A traceback that holds the frame that holds its exception would be garbage for the collector.
        del body, cancelled, failure
