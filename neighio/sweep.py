"""Many solicitations: who of a whole network is there?"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from ._park import Token, park
from .address import LinkAddress, format_ip
from .core.base import FAMILY_OF_LENGTH
from .core.targets import Targets
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

SHORT_PAUSE: Final = 0.001
LONG_PAUSE: Final = 0.128
"""How long sending waits when the link has no room, at first and at last, seconds."""


class SweepProgress(NamedTuple):
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
        self._step = 1 / rate
        self._tries = tries
        self._interval = interval
        self._targets: Targets | None = None
        self._asked_at: dict[bytes, float] = {}
        # How often those were asked who were asked more than once.
        self._numbers: dict[bytes, int] = {}
        self._answers: dict[bytes, tuple[bytes, ...]] = {}
        # What is yielded, before anybody asks for it: address, link-layer addresses newest last, round trip,
        # and which request that is counted from.
        self._replies: deque[tuple[bytes, tuple[bytes, ...], float, int]] = deque()
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
            return self._reply()
        if self._failure is not None:
            raise self._failure
        raise StopAsyncIteration

    async def next_replies(self) -> list[Reply]:
        """Return all replies that there are, one at least, for whoever takes many at a time; a checkpoint. An
        empty list when every address has answered, or had its tries.

        Raises:
            DeviceGone, TableFull, NeighioError, trio.BusyResourceError, trio.ClosedResourceError: as when
            iterating.
        """
        try:
            found = [await anext(self)]
        except StopAsyncIteration:
            await trio.lowlevel.checkpoint()
            return []
        found += [self._reply() for _ in range(len(self._replies))]
        self._room.set()
        return found

    def _reply(self) -> Reply:
        key, lladdrs, round_trip, number = self._replies.popleft()
        others: tuple[LinkAddress, ...] = ()
        if len(lladdrs) > 1:
            others = tuple([bytes.__new__(LinkAddress, other) for other in lladdrs[:-1]])
        lladdr = bytes.__new__(LinkAddress, lladdrs[-1])
        return Reply(format_ip(key), self._device.name, lladdr, round_trip, others, number)

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
            self._check_device()
            for tried in range(1, self._tries + 1):
                if self._complete.is_set():
                    break
                self._round = tried
                await self._ask([key for key in self._keys if key not in self._answers])
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

    async def _ask(self, keys: Sequence[bytes]) -> None:
        """Ask each of these once, in batches of those whose time has come."""
        clock = self._driver.clock
        position = 0
        pause = SHORT_PAUSE
        following = clock()
        while position < len(keys) and not self._complete.is_set():
            now = clock()
            # What a busy loop kept from being sent in time is caught up with by no more than a batch.
            following = max(following, now - BATCH * self._step)
            due = now
            if self._round == 1 and not self._step:
                # None of them was asked yet, so none has answered or has to wait for its turn.
                batch = list(keys[position : position + BATCH])
                position += len(batch)
            else:
                batch = []
                while position < len(keys) and len(batch) < BATCH:
                    key = keys[position]
                    if key not in self._answers:
                        due = max(following, self._asked_at.get(key, -inf) + self._interval)
                        if due > now:
                            break
                        batch.append(key)
                        following = due + self._step
                    position += 1
            refused = self._solicit(batch, now) if batch else []
            if refused:
                # The link has no room: what it did not take is asked for later, and each time later still.
                keys = [*refused, *keys[position:]]
                position = 0
                due = clock() + pause
                pause = min(2 * pause, LONG_PAUSE)
            else:
                pause = SHORT_PAUSE
            if due > now:
                with trio.CancelScope(deadline=due):
                    await self._complete.wait()
            else:
                await trio.lowlevel.checkpoint()
            while len(self._replies) >= UNREAD:
                self._room = trio.Event()
                await self._room.wait()
        await trio.lowlevel.checkpoint()

    def _check_device(self) -> None:
        if self._driver.links.get(self._index) is not self._link:
            raise DeviceGone(f"dev {self._device.name}")
        if not self._device.up:
            raise DeviceGone(f"{self._device.name} is down")

    def _solicit(self, keys: list[bytes], now: float) -> list[bytes]:
        """Ask for these addresses; returns those whose solicitation the link did not take."""
        self._check_device()
        if self._targets is None:
            family = FAMILY_OF_LENGTH[len(keys[0])]
            self._targets = self._driver.begin_sweep(self._index, family, self._heard)
        asked_at = self._asked_at
        earlier = {key: asked_at[key] for key in keys if key in asked_at} if self._round > 1 else {}
        # Before they are sent: an answer may be there before the call returns.
        asked_at.update(dict.fromkeys(keys, now))
        if self._round > 1:
            self._numbers.update(dict.fromkeys(keys, self._round))
        refused = self._driver.ask(self._index, self._targets, keys)
        self._sent += len(keys) - refused
        if not refused:
            return []
        for key in keys[-refused:]:
            del asked_at[key]
            if key in earlier:
                asked_at[key] = earlier[key]
                self._numbers[key] = self._round - 1
        return keys[-refused:]

    def _heard(self) -> None:
        assert self._targets is not None
        answers = self._targets.answers
        for key, lladdr, when in answers:
            known = self._answers.get(key, ())
            # One that the link has not taken yet may have answered somebody else.
            if lladdr not in known and key in self._asked_at:
                self._answers[key] = known = (*known, lladdr)
                self._replies.append((key, known, when - self._asked_at[key], self._numbers.get(key, 1)))
        answers.clear()
        if len(self._answers) == len(self._keys):
            self._complete.set()
        if self._replies:
            self._wake_reader()

    # -- the end

    def end_slice(self, *, keep: bool) -> bool:
        """Stop listening, and give some of the entries that the sweep made back, newest first; True when
        there are more."""
        return self._targets is not None and self._driver.end_sweep(self._index, self._targets, keep=keep)


def check_size(count: int, swept: int) -> None:
    """Refuse what is more than a table sweeps at once.

    Raises:
        InvalidAddress, TableFull
    """
    if count > MAX_SWEEP:
        raise InvalidAddress(f"network: {count} addresses, at most {MAX_SWEEP}")
    if count + swept > MAX_SWEEP:
        raise TableFull(f"sweeps under way hold {swept} entries")
