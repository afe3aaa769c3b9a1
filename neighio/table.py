"""Tables: resolving, probing, sweeping, holding, watching, for any number of trio's tasks."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from math import inf
from random import Random

import trio

from ._failures import has_cancellation, is_cancellation, of_table
from ._park import Token, park
from .address import IPAddress, LinkAddress, Network, format_ip, parse_ip, parse_networks
from .core.base import FAMILY_OF_LENGTH
from .core.constants import RTN_LOCAL, RTN_UNICAST
from .core.neighbour import Neighbour
from .device import Device
from .errors import DeviceGone, InvalidAddress
from .link.base import Link
from .probe import Reply, probe
from .publication import Listener
from .reference import HeldNeighbour
from .service import TableService, protected
from .subscription import EventStream
from .sweep import Sweep, check_size

__all__ = ["NeighbourTable", "open_table"]


class NeighbourTable(TableService):
    """The neighbours of some devices: who is where, kept true, forgotten in time.

    Made without I/O; ``await nursery.start(table.serve)`` runs it, and :func:`open_table` is both with a
    nursery of its own. Everything but :attr:`serve` needs the table to be running. All calls belong to
    one trio run; none takes a timeout: use :func:`trio.fail_after`.

    Args:
        devices: interface names, :class:`Device` or links, attached when the table starts.
        families: address families, 4 and 6.
        parameters: defaults for every device and both families, by the names of /proc/sys/net/ipv4/neigh;
            times in seconds.
        random: where reachable_time is drawn from.
        control: a path for a control socket (``neighio.control``), by which ``neighio show`` and its like
            look into the table; None for none.

    Raises:
        ValueError: a family or a parameter that is none; names the field.
        InvalidAddress: a device that cannot be one.
    """

    # -- resolving

    @protected
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
        hits = self._hits.get(dev)
        if hits is not None and not verified:
            known = hits.connected(ip)
            if known is not None:
                await trio.lowlevel.cancel_shielded_checkpoint()
                return known
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

    @protected
    def resolve_nowait(self, ip: IPAddress, dev: str | None = None) -> LinkAddress:
        """As :meth:`resolve` on a VALID entry.

        Raises:
            trio.WouldBlock: the entry is absent or not VALID; nothing has happened to it.
            DeviceGone: the device is down.
            InvalidAddress: an address or a device that cannot be meant.
        """
        hits = self._hits.get(dev)
        if hits is not None:
            lladdr = hits.connected(ip)
            if lladdr is not None:
                return lladdr
        driver = self._check()
        index, key = driver.place(ip, dev)
        self._check_up(index)
        lladdr = driver.engine.resolve_nowait(index, key, driver.clock())
        driver.pump()
        if lladdr is None:
            raise trio.WouldBlock
        return lladdr

    def _check_up(self, index: int) -> None:
        device = self._driver.engine.devices[index]
        if not device.up:
            raise DeviceGone(f"{device.name} is down")

    @protected
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
        after the first answer, to hear duplicates, but ends before the deadline of a cancel scope around
        the call does: the answer is returned. ``source`` is the address with which to ask, in place
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
        asker = None if source is None else self._asker(source, index, len(key))
        self._check_up(index)
        return await probe(driver, index, key, unicast=unicast, listen=listen, source=asker)

    def _asker(self, source: IPAddress, index: int, length: int) -> bytes:
        """Whoever hears a solicitation believes its source: it has to be ours."""
        key, zone = parse_ip(source, field="source")
        if len(key) != length or zone is not None:
            raise InvalidAddress(f"source: {source!r} is not of the asked address's family")
        node = self._driver.engine.devices[index].node
        own = node.owns(key) and not (length == 4 and key[0] == 127)
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
        engine = self._check().engine
        node = engine.node
        kind = node.address_type(key)
        if FAMILY_OF_LENGTH[len(key)] not in engine.caches:
            raise InvalidAddress(f"ip: {format_ip(key)} is of a family that this table does not serve")
        if not any(key):
            raise InvalidAddress("ip: the unspecified address is nobody's")
        if kind == RTN_LOCAL:
            raise InvalidAddress(f"ip: {format_ip(key)} is this host's own")
        hop = node.first_hop(key)
        return None if hop is None else (hop[0].name, format_ip(hop[1] if kind == RTN_UNICAST else key))

    def sweep(
        self,
        network: Network | Iterable[Network],
        dev: str | None = None,
        *,
        rate: float = 1000.0,
        tries: int = 3,
        interval: float = 1.0,
        keep: bool = False,
    ) -> AbstractAsyncContextManager[Sweep]:
        """Ask every address of a network, in random order: ``async with table.sweep(...) as sweep``.

        Args:
            network: whom to ask; several networks or addresses, of one family, are one sweep.
            rate: solicitations a second; :data:`math.inf` for as fast as it goes.
            tries: how often an address that does not answer is asked.
            interval: seconds between two tries of one address, at least; and how long the last is waited for.
            keep: hand the entries of those who answered over to the table, up to gc_thresh2, instead of
                removing them at the end.

        Broadcast addresses and the node's own are left out. If nobody reads the replies, sending stops.
        Leaving the block ends the sweep. It is over when everybody has answered or had the tries: a second
        answer for an address is heard as long as that lasts, and :meth:`probe` listens longer.

        Raises:
            InvalidAddress: no network, or more than 2^20 addresses.
            ValueError: a rate, tries or interval that is none; names the field.
            TableFull: other sweeps hold too many entries.
        """
        if not rate > 0:
            raise ValueError(f"rate: {rate!r} is not above 0")
        if tries < 1 or tries != int(tries):
            raise ValueError(f"tries: {tries!r} is no whole number of at least 1")
        if not 0 <= interval < inf:
            raise ValueError(f"interval: {interval!r} is no number of seconds")
        driver = self._check()
        index = driver.index(dev)
        self._check_up(index)
        runs = parse_networks(network)
        cache = driver.engine.caches.get(FAMILY_OF_LENGTH[len(runs[0][0])])
        if cache is None:
            raise InvalidAddress(f"network: {network} is of a family that this table does not serve")
        check_size(sum(count for _, count in runs), cache.swept)
        keys = driver.engine.sweep_keys(index, runs)
        return self._sweep(Sweep(driver, index, keys, rate=rate, tries=int(tries), interval=interval), keep)

    @asynccontextmanager
    @protected
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
                while sweep.end_slice(keep=keep):  # noqa: ASYNC110  # slices of work
                    await trio.lowlevel.checkpoint()

    # -- neighbours

    @protected
    def lookup(self, ip: IPAddress, dev: str | None = None) -> Neighbour | None:
        """Return the entry of an address, or None; looking has no effect.

        Raises:
            InvalidAddress
        """
        hits = self._hits.get(dev)
        if hits is not None:
            found = hits.find(ip)
            if found is not None:
                return found
        driver = self._check()
        index, key = driver.place(ip, dev, own=True)
        found = driver.engine.lookup(index, key, driver.clock())
        driver.pump()
        return found

    @protected
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
            return HeldNeighbour(driver, self._check, driver.engine.neighbour(index, key, driver.clock()))
        finally:
            driver.pump()

    # -- watching

    @protected
    def subscribe(
        self, *, trace: bool = False, errors: bool = False, conflicts: bool = False, capacity: int = 1024
    ) -> EventStream:
        """Return the table's events: the entries that there are, :class:`Idle`, then changes.

        Linux's notifications and nothing more; with ``trace`` every change of a state, an address or a
        flag too, with ``errors`` every packet that failed after it was accepted, with ``conflicts`` every
        :class:`AddressConflict` of the host role. ``capacity`` bounds how many may wait to be read.
        """
        if capacity < 1:
            raise ValueError(f"capacity: {capacity!r} is not at least 1")
        driver = self._check()
        subscription = driver.subscribe(trace=trace, errors=errors, conflicts=conflicts, capacity=capacity)
        return EventStream(driver, subscription)

    @contextmanager
    @protected
    def _listening(self, listener: Listener) -> Iterator[None]:
        """Have a listener told of everything for the length of a block, at once: what a call has caused is
        known before it returns, where a subscription's reader comes later."""
        driver = self._check()
        driver.listen(listener)
        try:
            yield
        finally:
            driver.unlisten(listener)


@asynccontextmanager
async def open_table(
    *devices: str | Device | Link,
    families: Sequence[int] = (4, 6),
    parameters: Mapping[str, float] | None = None,
    random: Random | None = None,
    control: str | os.PathLike[str] | None = None,
) -> AsyncIterator[NeighbourTable]:
    """Make a table and run it for the length of a block; see :class:`NeighbourTable`.

    An exception of the body leaves as itself; a bug in a background task as :class:`InternalError`; both
    together as the group.
    """
    table = NeighbourTable(*devices, families=families, parameters=parameters, random=random, control=control)
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
                if has_cancellation(error):
                    cancelled = error
                    raise
                body = error
            finally:
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        failure = of_table(group, cancelled)
    try:
        if body is not None:
            if failure is not None and not is_cancellation(failure):
                raise BaseExceptionGroup("the table failed, and so did what used it", [failure, body])
            raise body
        if failure is not None:
            raise failure
    finally:
        # A traceback that holds the frame that holds its exception would be garbage for the collector.
        del body, cancelled, failure
