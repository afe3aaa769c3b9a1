"""Listens to links, and keeps what is heard: nothing is told that is not in the database."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Protocol

import trio

from .._logger import get_logger
from ..address import LinkAddress, format_ip
from ..core.constants import IFF_LOOPBACK, IFF_UP
from ..errors import InvalidAddress, NeighioError, unknown_interface
from ..kernel.netlink import open_netlink
from ..kernel.rtnetlink import LinkMessage
from ..link.base import ARPHRD_ETHER, LinkDown, LinkGone
from ..link.closing import CLOSING_SECONDS
from ..link.packet import PacketLink, open_packet_link
from ..replay.messages import Message, read
from ..wire.ethernet import ETH_P_ARP, ETH_P_IPV6
from .database import DatabaseError
from .judge import Finding, Judge
from .own import GROUPS, OwnAddresses
from .store import Report, Sighting, Store

__all__ = ["Listener", "Watcher"]

logger: Final = get_logger("watch")

BATCH: Final = 256
"""Frames that are read of a link before others have their turn."""

INTERVAL: Final = 5.0
"""Seconds between two commits when there is nothing to tell: so much of "last heard" may a crash lose."""

LAST_COMMIT_SECONDS: Final = 10.0
"""How long a disk may be busy before the last commit."""

MOST_WAITING: Final = 65536
"""Addresses at link-layer addresses that wait to be written. If more do, frames wait in the sockets."""

MOST_KNOWN: Final = 65536
"""Addresses at link-layer addresses that are known to be in the database."""

_Place = tuple[str, bytes, bytes]


class Listener(Protocol):
    """Who is told what comes of it. None of these may block."""

    def begun(self, devices: Sequence[str]) -> None:
        """From here on everything is heard that the links of these devices deliver."""

    def report(self, report: Report) -> None:
        """Something is worth a report, and is in the database."""

    def lost(self, device: str, frames: int) -> None:
        """Frames came faster than they could be read."""

    def notice(self, text: str) -> None:
        """A device went down, was removed, or came back."""


class Watcher:
    """Listens to the links of some devices, or of all Ethernet devices that are up.

    It sends nothing. Frames are heard as far as the links deliver them: the interfaces are promiscuous. A
    device that is removed is listened to again when it returns.
    """

    def __init__(self, store: Store, devices: Sequence[str], listener: Listener) -> None:
        self._store = store
        self._wanted = tuple(dict.fromkeys(devices))
        self._listener = listener
        self._links: dict[str, PacketLink] = {}
        self._lost: dict[str, int] = {}
        self._sightings: dict[_Place, Sighting] = {}
        self._findings: list[Finding] = []
        self._known: OrderedDict[_Place, None] = OrderedDict()
        # Something is to be told; there is room for more; the kernel has told of a link.
        self._urgent = trio.Event()
        self._room = trio.Event()
        self._changed = trio.Event()
        self._failure: NeighioError | OSError | None = None
        self._own: OwnAddresses
        self._judge: Judge

    async def run(self) -> None:
        """Listen until cancelled; then write what is not written yet.

        Raises:
            DatabaseError: it cannot be written any more.
            NeighioError, OSError: there is nothing to listen to, or no right to.
        """
        with open_netlink(GROUPS) as netlink:
            self._own = OwnAddresses(netlink, self._link_changed)
            self._judge = Judge(self._own)
            await self._own.read()
            await self._remember()
            names = self._wanted or self._find_devices()
            try:
                for name in names:
                    self._open(name)
                await self._watch(names)
            except LinkGone as gone:
                raise InvalidAddress(f"device: {gone} has just been removed") from None
            finally:
                with trio.move_on_after(CLOSING_SECONDS, shield=True):
                    for link in self._links.values():
                        await link.aclose()
                if self._failure is not None:
                    # Instead of what ended it: the last commit may have failed because of that.
                    raise self._failure

    async def _watch(self, names: Sequence[str]) -> None:
        self._listener.begun(names)
        try:
            async with trio.open_nursery() as nursery:
                scope = nursery.cancel_scope
                nursery.start_soon(self._try, scope, self._own.follow)
                nursery.start_soon(self._try, scope, self._write)
                for name in names:
                    nursery.start_soon(self._try, scope, partial(self._listen, name))
        finally:
            if not isinstance(self._failure, DatabaseError):
                try:
                    with trio.move_on_after(LAST_COMMIT_SECONDS, shield=True):
                        await self._commit(closing=True)
                except DatabaseError as error:
                    self._failure = error

    async def _try(self, scope: trio.CancelScope, work: Callable[[], Awaitable[None]]) -> None:
        """Do something until it is cancelled, or fails, which ends everything."""
        try:
            await work()
        except (NeighioError, OSError) as error:
            self._failure = error
            scope.cancel()
        await trio.lowlevel.checkpoint()

    async def _remember(self) -> None:
        """Have the judge know what the database knows."""
        ahead = time.time() - trio.current_time()
        for known in await trio.to_thread.run_sync(self._store.known, MOST_KNOWN):
            self._judge.places.place(known.ended - ahead, known.device, known.key, known.lladdr)
            self._known[known.device, known.key, known.lladdr] = None
        logger.info("%d addresses are known from before", len(self._known))

    # -- devices

    def _find_devices(self) -> tuple[str, ...]:
        found = tuple(
            link.name
            for link in self._own.links.values()
            if link.type == ARPHRD_ETHER and link.flags & (IFF_UP | IFF_LOOPBACK) == IFF_UP
        )
        if not found:
            raise NeighioError("there is no Ethernet device that is up; -I names one that is not")
        return found

    def _open(self, name: str) -> PacketLink:
        facts = self._own.find(name)
        if facts is None:
            raise unknown_interface("device", name, (link.name for link in self._own.links.values()))
        link = self._links[name] = open_packet_link(
            facts, protocols=(ETH_P_ARP, ETH_P_IPV6), promiscuous=True
        )
        self._lost[name] = 0
        logger.info("listening on %s", name)
        return link

    def _link_changed(self, message: LinkMessage) -> None:
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    async def _listen(self, name: str) -> None:
        """Listen to a device's link, whenever there is one."""
        while True:
            link = self._links[name]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._cancel_when_gone, link, nursery.cancel_scope)
                await self._read(name, link)
            await link.aclose()
            self._listener.notice(f"{name} was removed")
            while not self._reopen(name):
                await self._changed.wait()
            self._listener.notice(f"{name} is back")

    def _reopen(self, name: str) -> bool:
        """Listen to a device's link that may be there again; whether it is."""
        if self._own.find(name) is None:
            return False
        try:
            self._open(name)
        except LinkGone:
            # Of which the kernel is about to tell.
            return False
        return True

    async def _cancel_when_gone(self, link: PacketLink, scope: trio.CancelScope) -> None:
        """End the reading of a link that is removed: the kernel does not say so to whom reads."""
        while link.index in self._own.links:
            await self._changed.wait()
        scope.cancel()
        await trio.lowlevel.checkpoint()

    async def _read(self, name: str, link: PacketLink) -> None:
        while True:
            await link.wait_readable()
            try:
                self._read_batch(name, link)
            except LinkDown:
                self._listener.notice(f"{name} is down")
            except LinkGone:
                # Whoever waits for the kernel's word on it knows soon.
                await trio.sleep_forever()
            while len(self._sightings) >= MOST_WAITING:
                await self._room.wait()

    def _read_batch(self, name: str, link: PacketLink) -> None:
        ahead = time.time() - trio.current_time()
        for _ in range(BATCH):
            frame = link.receive()
            if frame is None:
                return
            message = read(frame)
            if not isinstance(message, str):
                # Each has its own time: reports are told in the order of what they are about.
                now = trio.current_time()
                self._hear(now, now + ahead, name, frame[6:12], message)

    # -- what is heard

    def _hear(self, now: float, wall: float, name: str, source: bytes, message: Message) -> None:
        heard = self._judge.hear(now, wall, name, source, message)
        if heard.findings:
            self._findings += heard.findings
            self._urgent.set()
        if not heard.claims:
            return
        assert message.claims is not None and message.lladdr is not None
        place = name, message.claims, message.lladdr
        sighting = self._sightings.get(place)
        if sighting is None:
            sighting = self._sightings[place] = Sighting(now, wall, *place)
            if place in self._known:
                self._known.move_to_end(place)
            else:
                self._meet(place)
        sighting.ended = wall
        sighting.messages += 1
        sighting.anew |= heard.anew

    def _meet(self, place: _Place) -> None:
        """An address is at a station for the first time of late; whether that is new, the database knows."""
        self._known[place] = None
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        self._urgent.set()
        if logger.isEnabledFor(logging.INFO):
            device, key, lladdr = place
            logger.info("%s dev %s is at %s", format_ip(key), device, LinkAddress(lladdr))

    # -- what is kept

    async def _write(self) -> None:
        while True:
            with trio.move_on_after(INTERVAL):
                await self._urgent.wait()
            await self._commit()
            self._count_lost()

    async def _commit(self, *, closing: bool = False) -> None:
        """Write what was heard, and then tell of it.

        In a thread: a disk may take its time, and meanwhile frames are read.
        """
        sightings, self._sightings = self._sightings, {}
        findings, self._findings = self._findings, []
        self._urgent = trio.Event()
        work = partial(
            self._store.commit,
            trio.current_time(),
            time.time(),
            sightings.values(),
            findings,
            closing=closing,
        )
        with trio.CancelScope(shield=True):
            reports = await trio.to_thread.run_sync(work)
        logger.debug("written: %d sightings, %d findings", len(sightings), len(findings))
        room, self._room = self._room, trio.Event()
        room.set()
        for report in reports:
            self._listener.report(report)

    def _count_lost(self) -> None:
        for name, link in self._links.items():
            dropped = link.statistics().dropped
            if dropped > self._lost[name]:
                self._listener.lost(name, dropped - self._lost[name])
            self._lost[name] = dropped
