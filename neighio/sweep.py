"""Many solicitations: who of a whole network is there?"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final

import trio

from ._park import Token, park
from .address import format_ip
from .core.engine import BUDGET
from .core.events import Answer
from .core.neighbour import Neighbour
from .errors import DeviceGone, InvalidAddress, NeighioError, TableFull
from .probe import Reply

if TYPE_CHECKING:
    from .driver import Driver

__all__ = ["MAX_SWEEP", "Sweep", "SweepProgress"]

MAX_SWEEP: Final = 1 << 20
"""The most addresses of a sweep, and of all sweeps of one table together."""

UNREAD: Final = 1024
"""How many replies may wait to be read; with more, sending stops."""

BATCH: Final = 64
"""How many solicitations are sent between two checkpoints."""


@dataclass(frozen=True, slots=True)
class SweepProgress:
    """How far a sweep has come: addresses asked at least once, of all; answered; solicitations sent; the
    present round of ``tries``."""

    asked: int
    total: int
    answered: int
    sent: int
    round: int
    tries: int


class Sweep:
    """A sweep under way: an asynchronous iterator of :class:`Reply`, in the order of arrival.

    An address that answers with a second link-layer address is yielded again, with the earlier ones as
    ``others``. Made by :meth:`NeighbourTable.sweep`.
    """

    def __init__(
        self,
        driver: Driver,
        index: int,
        keys: Sequence[bytes],
        *,
        rate: float,
        tries: int,
        interval: float,
    ) -> None:
        self._driver = driver
        self._index = index
        self._device = self._driver.engine.devices[index]
        self._link = self._driver.links[index]
        self._keys = keys
        self._rate = rate
        self._tries = tries
        self._interval = interval
        self._entries: dict[bytes, Neighbour] = {}
        self._asked_at: dict[bytes, float] = {}
        self._answers: dict[bytes, list[Answer]] = {}
        self._replies: deque[Reply] = deque()
        self._reader: Token | None = None
        self._room = trio.Event()
        self._complete = trio.Event()
        if not keys:
            self._complete.set()
        self._round = 0
        self._sent = 0
        self._finished = False
        self._failure: Exception | None = None

    def progress(self) -> SweepProgress:
        """How far it has come."""
        return SweepProgress(
            len(self._asked_at),
            len(self._keys),
            len(self._answers),
            self._sent,
            self._round,
            self._tries,
        )

    @property
    def absent(self) -> tuple[str, ...]:
        """The addresses that did not answer; empty until all tries are over."""
        if not self._finished:
            return ()
        return tuple(format_ip(key) for key in sorted(self._keys) if key not in self._answers)

    def __aiter__(self) -> Sweep:
        return self

    @trio.lowlevel.enable_ki_protection
    async def __anext__(self) -> Reply:
        """Return the next reply; a checkpoint.

        Raises:
            StopAsyncIteration: every address has answered, or had its tries.
            DeviceGone: the device went, or was taken down.
            TableFull, NeighioError: an address could not get an entry.
            trio.BusyResourceError: another task is iterating.
            trio.ClosedResourceError: the block was left, or the table closed.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._reader is not None:
            raise trio.BusyResourceError("another task is reading this sweep")
        if not self._replies and not self._finished and self._failure is None:
            self._reader = token = Token()
            await park(token, self._forget_reader)
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()
        if self._replies:
            if len(self._replies) <= UNREAD // 2:
                # Only now: waking the sender for each reply read would cost a task switch each.
                self._room.set()
            return self._replies.popleft()
        if self._failure is not None:
            raise self._failure
        raise StopAsyncIteration

    def _forget_reader(self) -> None:
        self._reader = None

    def _wake_reader(self) -> None:
        if self._reader is not None:
            token, self._reader = self._reader, None
            self._driver.wake(token, None)

    # -- sending

    async def run(self) -> None:  # noqa: ASYNC910  # the first line of its try is one
        """Ask everybody, round by round, until all have answered or had their tries."""
        try:
            await trio.lowlevel.checkpoint()
            for tried in range(1, self._tries + 1):
                await self._ask([key for key in self._keys if key not in self._answers], tried)
            with trio.move_on_after(self._interval):
                await self._complete.wait()
            self._check_device()
            self._finished = True
        except NeighioError as error:
            self._failure = error.with_traceback(None)
        finally:
            if not self._finished and self._failure is None:
                self._failure = trio.ClosedResourceError("the sweep has ended")
            self._wake_reader()

    async def _ask(self, keys: Sequence[bytes], tried: int) -> None:
        await trio.lowlevel.checkpoint()
        clock = self._driver.clock
        step = 1 / self._rate
        due = clock()
        for key in keys:
            # What a busy loop kept from being sent in time is caught up with by no more than a batch.
            due = max(due, clock() - BATCH * step, self._asked_at.get(key, -inf) + self._interval)
            if self._sent % BATCH == 0 or due > clock():
                with trio.CancelScope(deadline=due):
                    await self._complete.wait()
                while len(self._replies) >= UNREAD:
                    self._room = trio.Event()
                    await self._room.wait()
                    due = max(due, clock())
            if self._complete.is_set():
                return
            if key not in self._answers:
                self._round = tried
                self._solicit(key)
                due += step

    def _check_device(self) -> None:
        if self._driver.links.get(self._index) is not self._link:
            raise DeviceGone(f"dev {self._device.name}")
        if not self._device.up:
            raise DeviceGone(f"{self._device.name} is down")

    def _solicit(self, key: bytes) -> None:
        driver = self._driver
        self._check_device()
        now = driver.clock()
        neighbour = self._entries.get(key)
        if neighbour is not None and neighbour.dead:
            # The device was flushed meanwhile: of its carrier, or its own address.
            del self._entries[key]
            self._give_back(key, neighbour, now, keep=False)
            neighbour = None
        if neighbour is None:
            neighbour = driver.engine.begin_probe(self._index, key, now, swept=True)
            self._entries[key] = neighbour
            driver.listen(self._index, key, self._heard)
        self._asked_at[key] = now
        self._sent += 1
        driver.engine.solicit_once(neighbour, now)
        driver.pump()

    def _give_back(self, key: bytes, neighbour: Neighbour, now: float, *, keep: bool) -> None:
        self._driver.unlisten(self._index, key, self._heard)
        self._driver.engine.end_probe(neighbour, self._index, key, now, keep=keep)

    def _heard(self, answer: Answer) -> None:
        known = self._answers.setdefault(answer.key, [])
        if any(one.lladdr == answer.lladdr for one in known):
            return
        known.append(answer)
        if len(self._answers) == len(self._keys):
            self._complete.set()
        others = tuple(one.lladdr for one in known[:-1])
        round_trip = answer.time - self._asked_at[answer.key]
        self._replies.append(
            Reply(format_ip(answer.key), self._device.name, answer.lladdr, round_trip, others)
        )
        self._wake_reader()

    # -- the end

    def end_slice(self, *, keep: bool) -> bool:
        """Stop listening for some addresses, and give the entries that the sweep made for them back, newest
        first; True when there are more."""
        driver = self._driver
        now = driver.clock()
        for _ in range(min(BUDGET, len(self._entries))):
            key, neighbour = self._entries.popitem()
            self._give_back(key, neighbour, now, keep=keep)
        driver.pump()
        return bool(self._entries)


def check_size(count: int, swept: int) -> None:
    """Refuse what is more than a table sweeps at once.

    Raises:
        InvalidAddress, TableFull
    """
    if count > MAX_SWEEP:
        raise InvalidAddress(f"network: {count} addresses, at most {MAX_SWEEP}")
    if count + swept > MAX_SWEEP:
        raise TableFull(f"sweeps under way hold {swept} entries")
