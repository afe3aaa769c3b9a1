"""Whose neighbours ``neighio top`` shows: an instance's, or those of a table of its own."""

from __future__ import annotations

import math
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Final, Protocol

import trio

from ...conversation import Conversation
from ...errors import NeighioError
from ...records import Record, Stamp
from ...table import NeighbourTable
from ..instances import Instance
from ..neighbours import check
from .model import Entry, Fill, Neighbours

__all__ = ["Connect", "InstanceSource", "Source", "converse"]

AT_ONCE: Final = 64
"""For so many entries one request asks, which keeps within the longest line that an instance reads."""

WALK_SECONDS: Final = 10.0
WALK_SHARE: Final = 20
"""The ages of all entries are asked for anew after ten seconds, and not before 20 times as long has passed
as it took: an instance of 100,000 entries is not kept busy by being looked at."""

MOST_TRIES: Final = 3
"""So often in a row an instance may end the conversation before it has shown all of its entries."""

_FAMILIES: Final = {"arp": 4, "ndisc": 6}
_THRESHOLDS: Final = ("gc_thresh1", "gc_thresh2", "gc_thresh3")

Connect = Callable[[], AbstractAsyncContextManager[Instance]]
"""Begins a conversation with an instance."""


class _Lost(Exception):
    """An instance tells no more, perhaps because too much happened; ``shown``: it had shown all entries."""

    def __init__(self, why: str, shown: bool) -> None:
        super().__init__(why)
        self.shown = shown


class Source(Protocol):
    """Whoever tells of neighbours."""

    async def follow(self, neighbours: Neighbours, told: Callable[[], None]) -> None:
        """Tell of all that there is, call ``told``, and tell of what happens, until that ends.

        Raises:
            NeighioError, OSError: it cannot be told of.
        """

    async def refresh(self, neighbours: Neighbours, seen: Sequence[Entry], *, all_ages: bool) -> None:
        """Tell how full the caches are, and of the ages of these entries, and once in a while of all."""


class InstanceSource:
    """Those of an instance: it shows its entries, then tells of every transition. Ages that grow without one
    are asked for."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._next_walk = -math.inf

    async def follow(self, neighbours: Neighbours, told: Callable[[], None]) -> None:
        """See :meth:`Source.follow`. Where more happened than it could be told of, it begins anew."""
        tries = 0
        while True:
            async with self._connect() as instance:
                await instance.ask("monitor", trace=True, entries=True)
                try:
                    await self._hear(instance, neighbours, told)
                    return
                except _Lost as lost:
                    tries = 1 if lost.shown else tries + 1
                    if tries == MOST_TRIES:
                        raise NeighioError(str(lost)) from None
                    neighbours.losses += 1

    async def _hear(self, instance: Instance, neighbours: Neighbours, told: Callable[[], None]) -> None:
        """Hear of everything, to the end.

        Raises:
            _Lost: the instance tells no more.
        """
        before = set(neighbours.entries)
        ahead = 0.0
        shown = False
        while True:
            try:
                record = await instance.record()
            except NeighioError as error:
                raise _Lost(str(error), shown) from None
            if record is None:
                return
            check(record)
            now = trio.current_time()
            match record["kind"]:
                case "begun":
                    ahead = now - _number(record, "time")
                case "entry":
                    before.discard((record["address"], record["device"]))
                    neighbours.show(record, now)
                case "idle":
                    # What there was when we lost the thread, and is no more.
                    for place in before:
                        neighbours.forget(place)
                    neighbours.whole = shown = True
                    told()
                case _:
                    before.discard((record["address"], record["device"]))
                    neighbours.hear(record, ahead + _number(record, "time"))

    async def refresh(self, neighbours: Neighbours, seen: Sequence[Entry], *, all_ages: bool) -> None:
        """See :meth:`Source.refresh`."""
        # Of its end, and of what is wrong with it, whoever follows it hears.
        with suppress(NeighioError):
            await self._refresh(neighbours, seen, all_ages=all_ages)
        await trio.lowlevel.checkpoint()

    async def _refresh(self, neighbours: Neighbours, seen: Sequence[Entry], *, all_ages: bool) -> None:
        async with self._connect() as instance:
            await self._fill(instance, neighbours)
            places = [entry.name for entry in seen if entry.name in neighbours.entries]
            for first in range(0, len(places), AT_ONCE):
                await instance.ask("get", entries=places[first : first + AT_ONCE])
                await _take_ages(instance, neighbours)
            begun = trio.current_time()
            if all_ages and neighbours.whole and begun >= self._next_walk:
                await instance.ask("show")
                await _take_ages(instance, neighbours)
                now = trio.current_time()
                self._next_walk = now + max(WALK_SECONDS, WALK_SHARE * (now - begun))

    async def _fill(self, instance: Instance, neighbours: Neighbours) -> None:
        await instance.ask("stats")
        record = await instance.record()
        now = trio.current_time()
        for name, family in _FAMILIES.items():
            cache = None if record is None else record.get(name)
            if isinstance(cache, dict):
                low, middle, high = (_count(cache, threshold) for threshold in _THRESHOLDS)
                entries, lookups, hits, failed = (
                    _count(cache, name) for name in ("entries", "lookups", "hits", "res_failed")
                )
                neighbours.fill(family, Fill(entries, (low, middle, high), lookups, hits, failed), now)
        neighbours.filled(now)


async def _take_ages(instance: Instance, neighbours: Neighbours) -> None:
    while (record := await instance.record()) is not None and record["kind"] != "end":
        check(record)
        neighbours.refresh(record, trio.current_time())


def _number(record: Record, name: str) -> float:
    value = record.get(name)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise NeighioError(f"{name}: {value!r} makes no sense")
    return value


def _count(cache: Record, name: str) -> int:
    value = cache.get(name)
    if not isinstance(value, int) or value < 0:
        raise NeighioError(f"{name}: {value!r} makes no sense")
    return value


def converse(table: NeighbourTable, nursery: trio.Nursery, name: str) -> Connect:
    """How to speak to a table of this very process, as others would over its control socket."""

    @asynccontextmanager
    async def connect() -> AsyncIterator[Instance]:
        ours, theirs = (trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in socket.socketpair())
        nursery.start_soon(_answer, table, theirs)
        async with ours:
            instance = Instance(ours, name)
            await instance.greet()
            yield instance

    return connect


async def _answer(table: NeighbourTable, stream: trio.SocketStream) -> None:
    async with stream:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await Conversation(table, stream, Stamp(trio.current_time)).run()
