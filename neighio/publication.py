"""What a table tells those who subscribe, without any loop."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple, TypeAlias

from .address import format_ip
from .core.cache import NeighbourCache
from .core.engine import BUDGET
from .core.events import AddressConflict, Change, DelNeighbour, Miss, NewNeighbour, PacketFailed
from .errors import SubscriberOverflow

__all__ = ["AddressInUse", "DeviceChange", "Happening", "Idle", "Listener", "Published", "Subscription"]


class Idle(NamedTuple):
    """A subscription has shown every entry that there was; from here on it shows changes."""

    time: float


Published: TypeAlias = NewNeighbour | DelNeighbour | Miss | Change | PacketFailed | AddressConflict | Idle
"""What a subscription yields."""


class DeviceChange(NamedTuple):
    """A device of a table is now so: it was attached, or is no longer (``present``), or is told to be up or
    down, to have a carrier or none, or another name."""

    time: float
    device: str
    ifindex: int
    present: bool
    up: bool
    carrier: bool


class AddressInUse(NamedTuple):
    """An own address (packed) of a host's device is in use from now on: nobody else was found to have it."""

    time: float
    device: str
    ifindex: int
    key: bytes

    @property
    def ip(self) -> str:
        """The address, as text."""
        return format_ip(self.key)


Happening: TypeAlias = (
    NewNeighbour | DelNeighbour | Miss | Change | PacketFailed | AddressConflict | DeviceChange | AddressInUse
)
"""What a listener is told of."""

Listener: TypeAlias = Callable[[Happening], None]
"""Is told of everything at once, in order, before the call that caused it returns; a device's change comes
before what it does to the device's entries. It must neither raise nor use the table."""


class Subscription:
    """A bounded view of what happens: the existing entries first, then :class:`Idle`, then changes.

    The walk over the entries goes on as the consumer asks, up to 256 a step; a change to an entry that it
    has not come to is not queued, for the walk will show it.
    """

    __slots__ = (
        "_caches",
        "_capacity",
        "_clock",
        "_queue",
        "_row",
        "_shown",
        "_wake",
        "closed",
        "conflicts",
        "errors",
        "existing",
        "overflowed",
        "token",
        "trace",
    )

    def __init__(
        self,
        caches: Iterable[NeighbourCache],
        clock: Callable[[], float],
        wake: Callable[[Hashable, None], None],
        *,
        trace: bool,
        errors: bool,
        conflicts: bool,
        capacity: int,
    ) -> None:
        self._clock = clock
        self._wake = wake
        self._capacity = capacity
        self._queue: deque[Published] = deque()
        self._caches: list[NeighbourCache] = list(caches)
        self._row = 1
        # How many at the head of the queue the walk put there: the capacity is for changes.
        self._shown = 0
        self.trace: bool = trace
        self.errors: bool = errors
        self.existing: bool = False
        """Whether what was taken last is an entry that the walk came to, and nothing that happened."""
        self.conflicts: bool = conflicts
        self.overflowed: bool = False
        self.closed: bool = False
        self.token: Hashable | None = None
        """Whom to wake when there is something to take; the shell's."""

    def take(self) -> Published | None:
        """Return the next event, or None when there is none yet, or none in this step of the walk.

        Raises:
            SubscriberOverflow: the queue ran over; what it had held was yielded before.
        """
        if not self._queue and self._caches:
            self._walk()
        if self._queue:
            self.existing = self._shown > 0
            self._shown = max(self._shown - 1, 0)
            return self._queue.popleft()
        if self.overflowed:
            raise SubscriberOverflow(f"more than {self._capacity} events waited; subscribe again")
        return None

    @property
    def walking(self) -> bool:
        """Whether existing entries are still being shown: then None from :meth:`take` means "ask again"."""
        return bool(self._caches)

    def skip(self) -> None:
        """Show nothing of what is there already, nor that it was shown: changes alone, from now on."""
        self._caches.clear()

    def _walk(self) -> None:
        """Queue snapshots of what lives in the next 256 rows."""
        cache = self._caches[0]
        last = min(self._row + BUDGET, cache.store.top)
        for row in range(self._row, last):
            if not (cache.store.dead[row] or cache.store.untold[row] or cache.doomed(row)):
                self._queue.append(cache.snapshot(NewNeighbour, row))
        self._row = last
        if last == cache.store.top:
            del self._caches[0]
            self._row = 1
        if not self._caches:
            self._queue.append(Idle(self._clock()))
        self._shown = len(self._queue)

    def _walked(self, family: int, row: int) -> bool:
        for place, cache in enumerate(self._caches):
            if cache.family == family:
                return place == 0 and row < self._row
        return True

    def offer(
        self, event: NewNeighbour | DelNeighbour | Miss | Change | PacketFailed | AddressConflict
    ) -> None:
        """Queue an event that happened, if this subscription is to see it."""
        if isinstance(event, Change):
            wanted = self.trace and self._walked(event.family, event.row)
        elif isinstance(event, PacketFailed):
            wanted = self.errors
        elif isinstance(event, AddressConflict):
            wanted = self.conflicts
        else:
            wanted = self._walked(event.family, event.row)
        if not wanted or self.overflowed:
            return
        if len(self._queue) - self._shown >= self._capacity:
            self.overflowed = True
            self._caches.clear()
        else:
            self._queue.append(event)
        self.notice()

    def notice(self) -> None:
        """Wake the consumer, if it waits."""
        if self.token is not None:
            token, self.token = self.token, None
            self._wake(token, None)
