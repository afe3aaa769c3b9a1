"""An Ethernet segment in memory, with a clock that is given to it.

Two drivers share it, and neither needs a task or a thread of the segment's own:

* a loop-free simulation sleeps until ``segment.next_due()``, sets its clock and calls
  ``segment.deliver()``; ``link.on_receive`` tells it which links have something to read;
* under trio ``link.wait_readable()`` does the same with a deadline.

What is under way lies in one heap, in the order of its due time, equal times in the order of sending.
Everything that looks at the segment first performs what is due, each thing with its own due time as
the time (:meth:`Segment.time`), so that a scripted peer answers at the same instant whoever drives the
segment and however late. What is due at once is performed before ``send`` returns.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from math import inf
from random import Random
from typing import Final, NamedTuple, TypeAlias

import trio

from ..address import LinkAddress
from ..core.constants import IFF_LOWER_UP, IFF_RUNNING, IFF_UP
from ..wire.ethernet import ETH_HLEN
from .base import WORKING_FLAGS, FrameTooLong, LinkBusy, LinkDown, LinkGone
from .checks import check_group

__all__ = ["Delay", "MemoryLink", "MemoryLinkStatistics", "Segment", "SegmentFrame", "SegmentStatistics"]

Delay: TypeAlias = "float | Callable[[Random], float]"
"""Seconds from sending to arrival, or what draws them from the segment's random source."""

_WORKING: Final = IFF_UP | IFF_LOWER_UP


class SegmentFrame(NamedTuple):
    """A frame that was put on the segment: when, by which link (its name), and its octets."""

    time: float
    sender: str
    frame: bytes


@dataclass(frozen=True, slots=True)
class SegmentStatistics:
    """What a segment has done so far; copies of one frame are counted each."""

    links: int
    pending: int
    """Deliveries and scheduled calls under way now."""
    sent: int
    delivered: int
    lost: int
    duplicated: int


@dataclass(frozen=True, slots=True)
class MemoryLinkStatistics:
    """What a link has done so far, and how much of its inbox is in use."""

    inbox: int
    capacity: int
    sent: int
    received: int
    overflows: int
    """Frames that found the inbox full."""
    tasks_waiting: int


class Segment:
    """A hub: what one link sends reaches every other one, and the receiver judges the destination.

    Arguments:
        now: the clock, seconds: ``trio.current_time``, or a simulation's.
        random: the source of every draw; one with a fixed seed when None, so that a run repeats itself.
        delay: seconds until a frame arrives, or a callable that draws them for each copy. Different
            delays let frames overtake each other; a constant one keeps their order.
        loss: the probability that a copy does not arrive.
        duplication: the probability that a copy arrives twice, each with a delay of its own.
        keep: how many of the last frames :attr:`frames` holds.

    ``delay``, ``loss`` and ``duplication`` may be assigned at any time; those of a link, where set,
    replace them for what arrives at that link. Nothing is drawn for a probability of zero.
    """

    def __init__(
        self,
        now: Callable[[], float],
        *,
        random: Random | None = None,
        delay: Delay = 0.0,
        loss: float = 0.0,
        duplication: float = 0.0,
        keep: int = 4096,
    ) -> None:
        self.delay = delay
        self.loss = loss
        self.duplication = duplication
        self.frames: deque[SegmentFrame] = deque(maxlen=keep)
        self._now = now
        self._random = Random(0) if random is None else random
        self._links: dict[MemoryLink, None] = {}
        self._sleepers: set[MemoryLink] = set()
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._sequence = 0
        self._next_index = 1
        self._instant: float | None = None
        self._sent = self._delivered = self._lost = self._duplicated = 0

    def attach(
        self,
        lladdr: bytes | str,
        *,
        name: str | None = None,
        index: int | None = None,
        mtu: int = 1500,
        flags: int = WORKING_FLAGS,
        capacity: int = 1024,
        filtering: bool = False,
    ) -> MemoryLink:
        """Connect a new link.

        Arguments:
            name: the first free one of ``mem0``, ``mem1``, ... when None.
            index: counted from 1 on this segment when None; say it where one table has several segments.
            capacity: the frames that its inbox holds; further ones are dropped and counted.
            filtering: have it take, as a network card does, broadcast, what is to its own address and what
                is to a group that was joined, and nothing else.

        Raises:
            InvalidAddress: ``lladdr`` is no link-layer address.
            ValueError: the name is taken on this segment.
        """
        taken = {link.name for link in self._links}
        if name is None:
            name = next(free for n in range(len(taken) + 1) if (free := f"mem{n}") not in taken)
        elif name in taken:
            raise ValueError(f"{name} is already on the segment")
        if index is None:
            index = self._next_index
        self._next_index = max(self._next_index, index) + 1
        link = MemoryLink(self, LinkAddress(lladdr), name, index, mtu, flags, capacity)
        link.filtering = filtering
        self.deliver()
        self._links[link] = None
        return link

    def detach(self, link: MemoryLink) -> None:
        """Remove a link's device: the same as ``link.remove()``."""
        link.remove()

    def time(self) -> float:
        """The due time of what is being performed, else the clock."""
        return self._now() if self._instant is None else self._instant

    def next_due(self) -> float:
        """When something is to be performed next; ``inf`` when nothing is under way."""
        return self._heap[0][0] if self._heap else inf

    def deliver(self, now: float | None = None) -> None:
        """Perform, in order, everything due by ``now`` (the clock when None) and what follows from it.

        Does nothing when called from what it performs.
        """
        if self._instant is not None or not self._heap:
            return
        limit = self._now() if now is None else now
        try:
            while self._heap and self._heap[0][0] <= limit:
                self._instant, _, action = heappop(self._heap)
                action()
        finally:
            self._instant = None

    def call_at(self, when: float, action: Callable[[], object]) -> None:
        """Call ``action`` at a time of the segment's clock: once, synchronously, now if that is past.

        For scripted scenarios: ``segment.call_at(30.0, peer.mute)``.
        """
        self._schedule(max(when, self.time()), action)
        self.deliver()

    def statistics(self) -> SegmentStatistics:
        """Return what the segment has done so far."""
        self.deliver()
        return SegmentStatistics(
            links=len(self._links),
            pending=len(self._heap),
            sent=self._sent,
            delivered=self._delivered,
            lost=self._lost,
            duplicated=self._duplicated,
        )

    def _schedule(self, when: float, action: Callable[[], object]) -> None:
        self._sequence += 1
        heappush(self._heap, (when, self._sequence, action))
        for link in self._sleepers:
            link._wake_by(when)

    def _transmit(self, sender: MemoryLink, frame: bytes) -> None:
        # What is due already comes first: its draws precede this frame's.
        self.deliver()
        now = self.time()
        self._sent += 1
        self.frames.append(SegmentFrame(now, sender.name, frame))
        for link in self._links:
            if link is not sender:
                self._send_copies(link, frame, now)
        self.deliver()

    def _send_copies(self, link: MemoryLink, frame: bytes, now: float) -> None:
        loss = self.loss if link.loss is None else link.loss
        duplication = self.duplication if link.duplication is None else link.duplication
        delay = self.delay if link.delay is None else link.delay
        if loss and self._random.random() < loss:
            self._lost += 1
            return
        copies = 1
        if duplication and self._random.random() < duplication:
            self._duplicated += 1
            copies = 2
        for _ in range(copies):
            seconds = delay(self._random) if callable(delay) else delay
            self._schedule(now + seconds, partial(link._take, frame))


class MemoryLink:
    """One station's link to a :class:`Segment`; made by :meth:`Segment.attach`.

    It is a :class:`neighio.link.base.Link` without a descriptor.

    Attributes:
        delay, loss, duplication: for what arrives here, in place of the segment's; None means the
            segment's.
        on_receive: called without arguments each time that ``receive`` has something new to say. It may
            read this link and send on it.
        on_change: called without arguments after the name, address, flags or MTU changed and after the
            removal, as rtnetlink would tell.
        filtering: see :meth:`Segment.attach`; may be assigned at any time.
        groups: how often each multicast link-layer address is joined; those that are not are not there.
        partial_checksum: False, unless a test says otherwise.
    """

    def __init__(
        self,
        segment: Segment,
        lladdr: LinkAddress,
        name: str,
        index: int,
        mtu: int,
        flags: int,
        capacity: int,
    ) -> None:
        self.delay: Delay | None = None
        self.loss: float | None = None
        self.duplication: float | None = None
        self.on_receive: Callable[[], object] | None = None
        self.on_change: Callable[[], object] | None = None
        self.filtering: bool = False
        self.groups: Counter[bytes] = Counter()
        self.partial_checksum: bool = False
        self._segment = segment
        self._lladdr = lladdr
        self._name = name
        self._index = index
        self._mtu = mtu
        self._flags = flags
        self._capacity = capacity
        self._inbox: deque[bytes] = deque()
        self._receive_errors: deque[Exception] = deque()
        self._send_errors: deque[Exception] = deque()
        self._gone = False
        self._sleep: trio.CancelScope | None = None
        self._wake: trio.Event | None = None
        self._sent = self._received = self._overflows = 0

    def __repr__(self) -> str:
        return f"<MemoryLink {self._name} {self._lladdr}>"

    @property
    def name(self) -> str:
        return self._name

    @property
    def index(self) -> int:
        return self._index

    @property
    def lladdr(self) -> LinkAddress:
        return self._lladdr

    @property
    def broadcast(self) -> bytes:
        return b"\xff" * len(self._lladdr)

    @property
    def flags(self) -> int:
        return self._flags

    @property
    def mtu(self) -> int:
        return self._mtu

    @property
    def removed(self) -> bool:
        """Whether the device is gone for ever."""
        return self._gone

    def join(self, group: bytes) -> None:
        check_group(group)
        if self._gone:
            raise LinkGone(self._name)
        self.groups[group] += 1

    def leave(self, group: bytes) -> None:
        check_group(group)
        if self._gone:
            raise LinkGone(self._name)
        # What falls to nothing goes, and what was never joined stays away.
        self.groups -= Counter((group,))

    def send(self, frame: bytes) -> None:
        """Put a frame on the segment; see :meth:`neighio.link.base.Link.send`.

        Without carrier the frame is taken and lost, as by a device without one.
        """
        if self._gone:
            raise LinkGone(self._name)
        if self._send_errors:
            raise self._send_errors.popleft()
        if not self._flags & IFF_UP:
            raise LinkDown(self._name)
        if len(frame) > self._mtu + ETH_HLEN:
            raise FrameTooLong(f"{self._name}: {len(frame)} octets, at most {self._mtu + ETH_HLEN}")
        self._sent += 1
        if self._flags & IFF_LOWER_UP:
            self._segment._transmit(self, frame)

    def receive(self) -> bytes | None:
        self._segment.deliver()
        if self._gone:
            raise LinkGone(self._name)
        if self._receive_errors:
            raise self._receive_errors.popleft()
        if not self._inbox:
            return None
        self._received += 1
        return self._inbox.popleft()

    async def wait_readable(self) -> None:
        if self._wake is not None:
            raise trio.BusyResourceError(f"another task is waiting on {self._name}")
        if self._is_readable():
            await trio.lowlevel.checkpoint()
            return
        self._segment._sleepers.add(self)
        try:
            while True:
                self._wake = trio.Event()
                with trio.CancelScope(deadline=self._segment.next_due()) as self._sleep:
                    await self._wake.wait()
                if self._is_readable():
                    return
        finally:
            self._segment._sleepers.discard(self)
            self._wake = self._sleep = None

    async def aclose(self) -> None:
        self._leave()
        if self._wake is not None:
            self._wake.set()
        await trio.lowlevel.checkpoint()

    def next_due(self) -> float:
        """When to look at this link again: now if it is readable, else the segment's next due time."""
        return self._segment.time() if self._is_readable() else self._segment.next_due()

    def fail_next(self, error: Exception, *, receive: bool = False) -> None:
        """Let the next ``send``, or with ``receive=True`` the next ``receive``, raise ``error``."""
        if receive:
            self._receive_errors.append(error)
            self._notify()
        else:
            self._send_errors.append(error)

    def busy(self, n: int) -> None:
        """Let the next ``n`` calls of ``send`` raise LinkBusy."""
        self._send_errors.extend(LinkBusy(self._name) for _ in range(n))

    def set_down(self) -> None:
        """Take the device down: one LinkDown on ``receive``, LinkDown on each ``send``, no frames."""
        if self._flags & IFF_UP:
            self.change(flags=self._flags & ~(IFF_UP | IFF_RUNNING | IFF_LOWER_UP))

    def set_up(self) -> None:
        """Take the device up, with carrier."""
        self.change(flags=self._flags | IFF_UP | IFF_RUNNING | IFF_LOWER_UP)

    def set_carrier(self, carrier: bool) -> None:
        """Plug the cable in or out: without carrier frames are lost both ways, and nothing raises."""
        bits = IFF_RUNNING | IFF_LOWER_UP
        self.change(flags=self._flags | bits if carrier else self._flags & ~bits)

    def change(
        self,
        *,
        name: str | None = None,
        lladdr: bytes | str | None = None,
        mtu: int | None = None,
        flags: int | None = None,
    ) -> None:
        """Change what the interface says of itself, then call ``on_change`` if anything differs.

        Clearing IFF_UP is going down, as in :meth:`set_down`.
        """
        self._segment.deliver()
        before = (self._name, self._lladdr, self._mtu, self._flags)
        if name is not None:
            self._name = name
        if lladdr is not None:
            self._lladdr = LinkAddress(lladdr)
        if mtu is not None:
            self._mtu = mtu
        if flags is not None:
            goes_down = self._flags & IFF_UP and not flags & IFF_UP
            self._flags = flags
            if goes_down:
                self._receive_errors.append(LinkDown(self._name))
                self._notify()
        if before != (self._name, self._lladdr, self._mtu, self._flags) and self.on_change is not None:
            self.on_change()

    def remove(self) -> None:
        """Remove the device: LinkGone from every later call, waiters wake, ``on_change`` is called."""
        if self._gone:
            return
        self._leave()
        self._notify()
        if self.on_change is not None:
            self.on_change()

    def statistics(self) -> MemoryLinkStatistics:
        """Return what the link has done so far."""
        self._segment.deliver()
        return MemoryLinkStatistics(
            inbox=len(self._inbox),
            capacity=self._capacity,
            sent=self._sent,
            received=self._received,
            overflows=self._overflows,
            tasks_waiting=int(self._wake is not None),
        )

    def _is_readable(self) -> bool:
        self._segment.deliver()
        return bool(self._gone or self._inbox or self._receive_errors)

    def _take(self, frame: bytes) -> None:
        if self._gone or self._flags & _WORKING != _WORKING:
            return
        if self.filtering and not self._is_for_us(frame[: len(self._lladdr)]):
            return
        if len(self._inbox) >= self._capacity:
            self._overflows += 1
            return
        self._segment._delivered += 1
        self._inbox.append(frame)
        self._notify()

    def _is_for_us(self, dst: bytes) -> bool:
        return dst == self._lladdr or dst == self.broadcast or dst in self.groups

    def _notify(self) -> None:
        if self._wake is not None:
            self._wake.set()
        if self.on_receive is not None:
            self.on_receive()

    def _wake_by(self, when: float) -> None:
        if self._sleep is not None and when < self._sleep.deadline:
            self._sleep.deadline = when

    def _leave(self) -> None:
        if self._gone:
            return
        self._segment.deliver()
        self._gone = True
        self._inbox.clear()
        self._segment._links.pop(self, None)
