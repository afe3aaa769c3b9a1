"""A table's life: its nursery, its timers, its devices and their tasks."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from math import inf
from random import Random
from typing import TYPE_CHECKING, Final, NoReturn, Self

import trio

from ._failures import innermost, internal
from ._logger import get_logger
from ._park import wake
from .address import format_ip
from .administration import FAMILIES, Administration
from .core.base import FAMILY_OF_LENGTH
from .core.claims import Claim
from .core.constants import AF_INET, AF_INET6, RT_SCOPE_LINK, RT_SCOPE_UNIVERSE
from .core.device import Address
from .core.device import Device as CoreDevice
from .core.engine import Engine, Scope
from .core.hits import Hits
from .core.node import Route
from .core.switches import SWITCHES
from .device import AttachedDevice, Device
from .driver import Driver
from .errors import AdminError, InternalError, InvalidAddress, NeighioError, unknown_interface
from .link.base import Link, LinkDown, LinkGone, Selection
from .logs import log_life
from .wire.ethernet import ETH_P_ARP, ETH_P_IP, ETH_P_IPV6
from .wire.ipv6 import is_link_local

if TYPE_CHECKING:
    from .control import ControlSocket
    from .mirror import KernelMirror

__all__ = ["TableService", "protected"]

CLOSING_SECONDS: Final = 1.0
"""How long a link may take to close."""

logger: Final = get_logger("table")

# What a family's frames are, by role. Only a host takes IPv4 packets.
_ETHERTYPES: Final = {
    (AF_INET, False): (ETH_P_ARP,),
    (AF_INET, True): (ETH_P_ARP, ETH_P_IP),
    (AF_INET6, False): (ETH_P_IPV6,),
    (AF_INET6, True): (ETH_P_IPV6,),
}

# An interrupt (Ctrl-C) in the middle of a change would leave half of it behind: all that changes a table is
# protected, and the interrupt arrives where the caller waits.
protected = trio.lowlevel.enable_ki_protection


class TableService(Administration):
    """What runs, and ends, behind a :class:`neighio.NeighbourTable`."""

    def __init__(
        self,
        *devices: str | Device | Link,
        families: Iterable[int] = (4, 6),
        parameters: Mapping[str, float] | None = None,
        random: Random | None = None,
        control: str | os.PathLike[str] | None = None,
    ) -> None:
        served = tuple(families)
        if not served:
            raise ValueError("families: none is given; there are 4 and 6")
        for family in served:
            if family not in FAMILIES:
                raise ValueError(f"families: {family!r} is not served; there are 4 and 6")
        self._families = tuple(FAMILIES[family] for family in dict.fromkeys(served))
        self._initial = [_device(device) for device in devices]
        self._settings = dict(parameters or {})
        self._random = random
        self._control = None if control is None else os.fspath(control)
        if self._control is not None and (not self._control or "\0" in self._control):
            raise ValueError(f"control: {self._control!r} is no path")
        self._set_defaults(Engine(families=self._families), 0.0)
        self._state = "new"
        # Where a call may begin before it asks for anything else: see Driver.hits.
        self._hits: Mapping[str | None, Hits] = {}
        self._timers: dict[Scope, trio.CancelScope] = {}
        self._attached: dict[int, AttachedDevice] = {}
        # Those whose interfaces were removed and may come again.
        self._absent: dict[AttachedDevice, Absence] = {}
        self._mirror: KernelMirror | None = None
        self._opening = trio.Lock()
        # What a bug is to end beside the table; see open_table.
        self._on_bug: Callable[[], object] = _nothing

    def __repr__(self) -> str:
        names = ", ".join(device.name for device in self._attached.values())
        return f"<NeighbourTable {self._state}{': ' if names else ''}{names}>"

    # -- life

    @protected
    async def serve(self, *, task_status: trio.TaskStatus[Self] = trio.TASK_STATUS_IGNORED) -> NoReturn:
        """Run the table until cancelled; started when its devices are attached.

        Raises:
            NotPermitted: a device needs a capability that the process lacks.
            InvalidAddress: there is no such interface.
            NeighioError: there can be no control socket at that path.
            InternalError: a bug in neighio.
            trio.BusyResourceError, trio.ClosedResourceError: it runs already, or has run.
        """
        if self._state == "open":
            raise trio.BusyResourceError("the table is being served already")
        if self._state == "closed":
            raise trio.ClosedResourceError("the table was closed")
        # The run's own clock, without trio's three calls on the way to it.
        clock = trio.lowlevel.current_clock().current_time
        engine = Engine(now=clock(), random=self._random, families=self._families)
        self._set_defaults(engine, clock())
        self._driver = Driver(engine, clock=clock, wake=wake, arm=self._arm, trouble=self._trouble)
        self._hits = self._driver.hits
        log_life(self._driver)
        self._state = "open"
        control: ControlSocket | None = None
        failure: BaseException | None = None
        try:
            async with trio.open_nursery() as self._nursery:
                # First of all: where it is refused, nothing has been touched.
                if self._control is not None:
                    from .control import open_control

                    control = await open_control(self, self._control)
                    self._nursery.start_soon(self._guarded, control.run)
                for scope in engine.scopes():
                    self._nursery.start_soon(self._guarded, self._run_timers, scope)
                for device in self._initial:
                    await self.attach(device)
                task_status.started(self)
                await trio.sleep_forever()
        except BaseExceptionGroup as group:
            failure = innermost(group)
        finally:
            self._close()
            if control is not None:
                control.close()
            if self._mirror is not None:
                self._mirror.close()
        assert failure is not None
        try:
            raise failure
        finally:
            # Its traceback holds this frame: the two would be garbage for the collector.
            del failure

    def _set_defaults(self, engine: Engine, now: float) -> None:
        """A switch that only the other family has is no business of this one."""
        for family in self._families:
            foreign = {name for other in self._families for name in SWITCHES[other]} - SWITCHES[family].keys()
            mine = {name: value for name, value in self._settings.items() if name not in foreign}
            engine.set(None, family, mine, now)

    def _close(self) -> None:
        """Let nobody in any more, and nobody wait any longer. Idempotent."""
        if self._state == "open":
            self._state = "closed"
            self._driver.abandon(lambda: trio.ClosedResourceError("the table was closed"))

    @protected
    async def _guarded(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        """Run a background task: it ends by being cancelled, and whatever else it raises is a bug."""
        try:
            await task(*args)
        except Exception as error:
            # First of all, so that nobody is told of a device that went when it was the table that fell.
            self._on_bug()
            self._close()
            found = internal(error)
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
            while driver.timers(scope):  # noqa: ASYNC110  # slices of work
                await trio.lowlevel.checkpoint()

    # -- devices

    @property
    def devices(self) -> Mapping[str, AttachedDevice]:
        """The attached devices, by their present names."""
        return {device.name: device for device in self._attached.values()}

    @protected
    async def attach(self, device: str | Device | Link) -> AttachedDevice:
        """Have neighbours on a device too; a checkpoint.

        A link is the table's from here on, which closes it when the device is detached.

        Raises:
            NotPermitted: it needs a capability that the process lacks.
            InvalidAddress: there is no such interface, or it is attached already; or one of its addresses is
                of a family that the table does not serve, or the kernel would answer for it, too.
            AdminError: EACCES, an IPv6 address of a host's where IPv6 is disabled.
        """
        spec = _device(device)
        driver = self._check()
        for ip, _ in spec.addresses:
            if FAMILY_OF_LENGTH[len(ip)] not in driver.engine.caches:
                raise InvalidAddress(
                    f"addresses: {format_ip(ip)} is of a family that this table does not serve"
                )
        if isinstance(spec.interface, str):
            link = await self._open_interface(spec.interface, spec, [ip for ip, _ in spec.addresses])
        else:
            link = spec.interface
            # One whose other end is an interface of the kernel's goes up and down with it.
            if hasattr(link, "update"):
                mirror = await self._follow_kernel()
                if link.index in mirror.links:
                    link.update(mirror.links[link.index])
            await trio.lowlevel.checkpoint()
        try:
            core_device = self._attach_link(link, spec)
        except BaseException:
            if isinstance(spec.interface, str):
                await link.aclose()
            raise
        attached = AttachedDevice(
            core_device,
            link,
            spec,
            admit=self._check,
            refuse=self._refuse_the_kernels,
            end=self._give_up_device,
        )
        self._begin_device(attached)
        return attached

    def _attach_link(self, link: Link, spec: Device, claims: Iterable[Claim] | None = None) -> CoreDevice:
        """Have neighbours on a link; with ``claims`` with these addresses in place of those of ``spec``."""
        driver = self._check()
        host = spec.role == "host"
        device = driver.attach(
            link, neigh_construct=spec.neigh_construct, neigh_setup=spec.neigh_setup, answers=host
        )
        try:
            self._settle_in(link, device, spec, claims)
        except AdminError:
            # An IPv6 address of a host's, where IPv6 is disabled on all devices.
            driver.detach(link.index)
            device.node.forget_device(device)
            raise
        driver.pump()
        return device

    def _settle_in(
        self, link: Link, device: CoreDevice, spec: Device, claims: Iterable[Claim] | None
    ) -> None:
        """Give a device what it is to have from the beginning."""
        engine, now, host = self._driver.engine, self._driver.clock(), device.answers
        for family in self._families if spec.forwarding else ():
            engine.set(link.index, family, {"forwarding": 1}, now)
        for ip, prefixlen in spec.addresses if claims is None else ():
            address = Address(ip, prefixlen, RT_SCOPE_LINK if is_link_local(ip) else RT_SCOPE_UNIVERSE)
            if host:
                engine.claim_address(link.index, address, now, transmits=0)
            else:
                engine.add_address(link.index, address, now)
                device.node.add_route(Route(ip, prefixlen, device))
        for claim in claims or ():
            engine.claim_address(
                link.index,
                claim.wanted,
                now,
                transmits=claim.transmits,
                optimistic=claim.optimistic,
                defence=claim.defence,
                notify_routers=claim.notify_routers,
            )

    def _begin_device(self, attached: AttachedDevice) -> None:
        link = attached._link
        if hasattr(link, "on_change"):
            link.on_change = lambda: self._link_changed(link)
        self._attached[link.index] = attached
        attached._select(self._driver)
        self._nursery.start_soon(self._guarded, self._serve_device, link, attached)

    async def _refuse_the_kernels(self, attached: AttachedDevice, ip: bytes) -> None:
        """Two who answer for one address are one too many.

        Raises:
            InvalidAddress: the kernel would answer for it on this device.
        """
        if isinstance(attached._spec.interface, str) and self._mirror is not None:
            await _refuse_the_kernels(self._mirror, attached.index, ip)
        else:
            await trio.lowlevel.checkpoint()

    async def _follow_kernel(self) -> KernelMirror:
        # Imported here: of no use to a table on a segment in memory, and slow to import.
        from .mirror import KernelMirror

        async with self._opening:
            if self._mirror is None:
                mirror = KernelMirror(self._driver, gone=self._interface_gone, came=self._interface_came)
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

    async def _open_interface(self, name: str, spec: Device, addresses: Iterable[bytes]) -> Link:
        mirror = await self._follow_kernel()
        if name in self._driver.names:
            raise InvalidAddress(f"device: {name} is attached already")
        from .link.packet import open_packet_link

        host = spec.role == "host"
        protocols = [ethertype for family in self._families for ethertype in _ETHERTYPES[family, host]]
        facts = await mirror.seek(name)
        if facts is None:
            raise unknown_interface("device", name, (link.name for link in mirror.links.values()))
        for ip in addresses:
            await _refuse_the_kernels(mirror, facts.index, ip)
        # It may have changed meanwhile.
        facts = mirror.links.get(facts.index, facts)
        try:
            return open_packet_link(
                facts, lladdr=spec.lladdr, protocols=protocols, selection=Selection(host=host)
            )
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
            while driver.links.get(link.index) is link and driver.drain(link.index):  # noqa: ASYNC110  # batches
                await trio.lowlevel.checkpoint()

    def _give_up_device(self, attached: AttachedDevice) -> None:
        """The caller wants it no more, be it there or only waited for."""
        absence = self._absent.pop(attached, None)
        if absence is not None:
            absence.scope.cancel()
        self._end_device(attached)

    def _end_device(self, attached: AttachedDevice | None) -> None:
        """Have no neighbours on a device from now on; its tasks end and its link is closed soon."""
        if attached is None or self._attached.get(attached.index) is not attached:
            return
        index = attached.index
        del self._attached[index]
        attached._present = False
        device = attached._device
        self._driver.detach(index)
        if device.answers or self._mirror is None or index not in self._mirror.links:
            device.node.forget_device(device)
        for stream in attached._streams:
            stream.end()
        attached._streams.clear()
        attached._scope.cancel()

    def _interface_gone(self, index: int) -> None:
        """An interface was removed. One that was named may come again."""
        attached = self._attached.get(index)
        if attached is None:
            return
        if not isinstance(attached._spec.interface, str):
            self._end_device(attached)
            return
        # Whoever waits for an address is told that he will not have it.
        claims = [
            claim
            for claim in self._driver.engine.claims.of(attached._device)
            if not self._driver.is_awaited(index, claim.address.ip)
        ]
        self._end_device(attached)
        absence = self._absent[attached] = Absence(claims)
        self._nursery.start_soon(self._guarded, self._bring_back, attached, absence)

    def _interface_came(self, name: str) -> None:
        for attached, absence in self._absent.items():
            if attached.name == name:
                absence.came.set()

    async def _bring_back(self, attached: AttachedDevice, absence: Absence) -> None:
        """Wait until an interface is there again, and have neighbours on it and a host's addresses."""
        with absence.scope:
            await attached._ended.wait()
            while attached in self._absent:
                await absence.came.wait()
                absence.came = trio.Event()
                try:
                    await self._attach_again(attached, absence.claims)
                except (NeighioError, OSError) as error:
                    # Gone again, or somebody else's now: the next one of that name will be tried.
                    logger.warning("%s is there again, but cannot be attached: %s", attached.name, error)

    async def _attach_again(self, attached: AttachedDevice, claims: Sequence[Claim]) -> None:
        spec = attached._spec
        link = await self._open_interface(attached.name, spec, [claim.address.ip for claim in claims])
        try:
            # Between the last step and this one it may have been detached.
            if attached in self._absent:
                attached._bind(self._attach_link(link, spec, claims), link)
                del self._absent[attached]
                self._begin_device(attached)
        finally:
            if attached._link is not link:
                await link.aclose()

    def _link_changed(self, link: Link) -> None:
        if link.index in self._driver.links:
            if getattr(link, "removed", False):
                self._end_device(self._attached.get(link.index))
            else:
                self._driver.follow(link.index, link)

    def _trouble(self, index: int, error: LinkDown | LinkGone) -> None:
        """A link's errno only hurries what rtnetlink, or the link itself, has to say."""
        if isinstance(error, LinkGone):
            self._interface_gone(index)
        elif self._mirror is not None:
            self._mirror.doubt(index)


class Absence:
    """An interface that was removed and is waited for: ``came`` is set when there is one of its name,
    ``claims`` are those that a host had there."""

    def __init__(self, claims: Sequence[Claim]) -> None:
        self.claims: Sequence[Claim] = claims
        self.came: trio.Event = trio.Event()
        self.scope: trio.CancelScope = trio.CancelScope()


async def _refuse_the_kernels(mirror: KernelMirror, index: int, ip: bytes) -> None:
    where = await mirror.answers_for(index, ip)
    if where is not None:
        raise InvalidAddress(
            f"address: {format_ip(ip)} is the kernel's own, on {where}; it would answer for it, too"
        )


def _device(device: str | Device | Link) -> Device:
    return device if isinstance(device, Device) else Device(device)


def _nothing() -> None:
    """What a table that belongs to somebody else's nursery ends beside itself."""
