"""What a control socket and one of its clients say to each other; :mod:`neighio.control` describes it."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

from .address import parse_ip
from .core.events import Change, DelNeighbour, Miss, NewNeighbour
from .errors import InvalidAddress, NeighioError, SubscriberOverflow
from .publication import Idle, Published, Subscription
from .records import Record, Stamp, change_record, entry_record, event_record, json_line
from .subscription import EventStream

if TYPE_CHECKING:
    from .service import TableService

__all__ = ["PROTOCOL", "Conversation"]

PROTOCOL: Final = 1
"""Goes up when a client has to know of a change."""

LONGEST_LINE: Final = 8192
"""Octets of a request."""

MOST_WAITING: Final = 8192
"""Events that may wait for one client, beside what its socket holds."""

BATCH: Final = 256
"""Lines sent at once: about two milliseconds' work."""

# What a request may say beside its name.
_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "show": frozenset(),
    "get": frozenset({"entries"}),
    "monitor": frozenset({"trace", "entries"}),
    "stats": frozenset(),
    "parameters": frozenset({"device", "family"}),
}


class _TooLong(Exception):
    """A line that nobody means."""


class Conversation:
    """With one client, its requests one after the other."""

    def __init__(self, table: TableService, stream: trio.SocketStream, stamp: Stamp) -> None:
        self._table = table
        self._stream = stream
        self._stamp = stamp
        self._unread = bytearray()
        self._over = False
        self._requests: Mapping[str, Callable[[Record], Awaitable[None]]] = {
            "show": self._show,
            "get": self._get,
            "monitor": self._monitor,
            "stats": self._stats,
            "parameters": self._parameters,
        }

    async def run(self) -> None:
        """Answer until the client closes its side.

        Raises:
            trio.BrokenResourceError: it has gone.
        """
        from . import __version__

        hello = {
            "kind": "hello",
            "protocol": PROTOCOL,
            "version": __version__,
            "pid": os.getpid(),
            "devices": list(self._table.devices),
        }
        await self._send([hello])
        try:
            while not self._over and (line := await self._read_line()) is not None:
                if line.strip():
                    await self._answer(line)
        except _TooLong:
            await self.refuse(f"request: a line of more than {LONGEST_LINE} octets")

    async def refuse(self, why: str) -> None:
        """Say why something cannot be had."""
        await self._send([{"kind": "error", "error": why}])

    async def _send(self, records: Iterable[Mapping[str, object]]) -> None:
        # Of nothing it is a checkpoint.
        await self._stream.send_all("".join(f"{json_line(record)}\n" for record in records).encode("ascii"))

    async def _read_line(self) -> bytes | None:
        """Return the next line without its end, None when there is no more. What stands behind the last
        newline is a line, too."""
        while (end := self._unread.find(b"\n")) < 0 and len(self._unread) <= LONGEST_LINE:
            piece = await self._stream.receive_some(LONGEST_LINE)
            if not piece:
                rest = bytes(self._unread)
                self._unread.clear()
                return rest or None
            self._unread += piece
        if not 0 <= end <= LONGEST_LINE:
            raise _TooLong
        await trio.lowlevel.checkpoint()
        line = bytes(self._unread[:end])
        del self._unread[: end + 1]
        return line

    async def _answer(self, line: bytes) -> None:
        try:
            request = _parse(line)
            await self._requests[request.pop("request")](request)
        except (ValueError, NeighioError) as error:
            await self.refuse(str(error))

    # -- the requests

    async def _show(self, request: Record) -> None:
        driver = self._table._check()
        # Nobody tells it of changes: it only walks, a step at a time, over what there is.
        walk = Subscription(
            driver.engine.caches.values(),
            driver.clock,
            driver.wake,
            trace=False,
            errors=False,
            conflicts=False,
            capacity=1,
        )
        count = 0
        batch: list[Record] = []
        while not isinstance(entry := walk.take(), Idle):
            if isinstance(entry, NewNeighbour):
                batch.append({"kind": "entry", **entry_record(entry, driver.clock())})
                count += 1
            if entry is None or len(batch) == BATCH:
                await self._send(batch)
                batch.clear()
        await self._send([*batch, {"kind": "end", **self._stamp.at(), "count": count}])

    async def _get(self, request: Record) -> None:
        driver = self._table._check()
        now = driver.clock()
        found: list[Record] = []
        for address, device in _places(request):
            # Of what is no address, or on no device of the table, there is no entry.
            with suppress(InvalidAddress):
                neighbour = driver.engine.lookup(driver.index(device), parse_ip(address)[0], now)
                if neighbour is not None:
                    entry = neighbour.cache.snapshot(NewNeighbour, neighbour.row)
                    assert isinstance(entry, NewNeighbour)
                    found.append({"kind": "entry", **entry_record(entry, now)})
        driver.pump()
        await self._send([*found, {"kind": "end", **self._stamp.at(), "count": len(found)}])

    async def _monitor(self, request: Record) -> None:
        trace, entries = (_boolean(request, name) for name in ("trace", "entries"))
        driver = self._table._check()
        subscription = driver.subscribe(trace=trace, errors=False, conflicts=False, capacity=MOST_WAITING)
        if not entries:
            subscription.skip()
        with EventStream(driver, subscription) as events:
            await self._send([{"kind": "begun", **self._stamp.at()}])
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read_to_the_end, nursery.cancel_scope)
                # Caught here: what leaves a nursery is a group.
                with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                    await self._tell(events, subscription)
                nursery.cancel_scope.cancel()
        self._over = True

    async def _tell(self, events: EventStream, subscription: Subscription) -> None:
        while True:
            batch: list[Record] = []
            try:
                # What is there is taken without waiting: a busy table has as much again at each of its turns.
                while len(batch) < BATCH and (event := subscription.take()) is not None:
                    batch.extend(self._records(event, existing=subscription.existing))
                if not batch:
                    event = await anext(events)
                    batch.extend(self._records(event, existing=subscription.existing))
            except SubscriberOverflow:
                if not batch:
                    await self.refuse(f"more than {MOST_WAITING} changes waited to be read: some are lost")
                    return
            await self._send(batch)

    def _records(self, event: Published, *, existing: bool) -> Iterator[Record]:
        if isinstance(event, Change):
            yield change_record(event, self._stamp)
        elif isinstance(event, Idle):
            yield {"kind": "idle", **self._stamp.at()}
        elif existing and isinstance(event, NewNeighbour):
            yield {"kind": "entry", **entry_record(event, self._table._check().clock())}
        elif isinstance(event, NewNeighbour | DelNeighbour | Miss):
            yield event_record(event, self._stamp)

    async def _read_to_the_end(self, scope: trio.CancelScope) -> None:
        await trio.lowlevel.checkpoint()
        with suppress(trio.BrokenResourceError):
            while await self._stream.receive_some(LONGEST_LINE):
                pass
        scope.cancel()

    async def _stats(self, request: Record) -> None:
        answer: Record = {"kind": "stats", **self._stamp.at(), "devices": list(self._table.devices)}
        for name, family in (("arp", 4), ("ndisc", 6)):
            try:
                cache = self._table._cache(family)
            except InvalidAddress:
                answer[name] = None
                continue
            thresholds = {name: getattr(cache, name) for name in ("gc_thresh1", "gc_thresh2", "gc_thresh3")}
            answer[name] = cache.statistics()._asdict() | thresholds
        await self._send([answer | {"table": self._table.statistics()._asdict()}])

    async def _parameters(self, request: Record) -> None:
        device, family = request.get("device"), request.get("family", 4)
        if not isinstance(device, str | None):
            raise ValueError(f"device: {device!r} is no name")
        if type(family) is not int:
            raise ValueError(f"family: {family!r} is neither 4 nor 6")
        found = self._table.parameters(device, family)
        await self._send([{"kind": "parameters", "device": device, "family": family, "values": dict(found)}])


def _boolean(request: Record, name: str) -> bool:
    value = request.get(name, False)
    if not isinstance(value, bool):
        raise ValueError(f"{name}: {value!r} is neither true nor false")
    return value


def _places(request: Record) -> list[tuple[str, str]]:
    """Return addresses, each with its device."""
    entries = request.get("entries")
    if not isinstance(entries, list):
        raise ValueError("entries: that is no list of [ADDRESS, DEVICE]")
    found = []
    for entry in entries:
        match entry:
            case [str(address), str(device)]:
                found.append((address, device))
            case _:
                raise ValueError(f"entries: {entry!r} is no [ADDRESS, DEVICE]")
    return found


def _parse(line: bytes) -> Record:
    """Return a request whose name and fields there are.

    Raises:
        ValueError: there is no such; names the field.
    """
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        request = None
    if not isinstance(request, dict):
        raise ValueError("request: that is no JSON object")
    name = request.get("request")
    if not isinstance(name, str) or name not in _FIELDS:
        raise ValueError(f"request: there is no {name!r}; there are {', '.join(_FIELDS)}")
    for field in request:
        if field != "request" and field not in _FIELDS[name]:
            raise ValueError(f"{field}: {name} has no such field")
    return request
