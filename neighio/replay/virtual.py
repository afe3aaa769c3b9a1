"""The engine under the time of a capture, without links: what it would send goes nowhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from heapq import heapify, heappop, heappush
from math import inf
from random import Random
from typing import Final

from ..address import LinkAddress
from ..core.cache import NeighbourCache
from ..core.constants import (
    IFF_BROADCAST,
    IFF_LOWER_UP,
    IFF_MULTICAST,
    IFF_NOARP,
    IFF_POINTOPOINT,
    IFF_RUNNING,
    IFF_UP,
)
from ..core.device import Address, Device
from ..core.engine import Engine, Scope, device_scope
from ..core.events import Output
from ..errors import NeighioError

__all__ = ["VirtualTable"]

_FLAGS: Final = IFF_UP | IFF_MULTICAST | IFF_RUNNING | IFF_LOWER_UP
_RAW_FLAGS: Final = _FLAGS | IFF_POINTOPOINT | IFF_NOARP
"""Of a device without a link layer: a tunnel, PPP."""

PATIENCE: Final = 3600.0
"""After so many seconds without a frame, at least, only what is still due is waited for, and no periodic
work."""


class VirtualTable:
    """An engine, whose time is that of the frames it is given.

    Args:
        sink: is given each output, when the stimulus that caused it is complete. It may not call the table.
        trace: whether silent changes are outputs, too.
        seed: of the reachable times that are drawn.

    Attributes:
        now: the present, seconds from the first frame.
    """

    def __init__(self, sink: Callable[[Output], None], *, trace: bool, seed: int = 0) -> None:
        self.now = 0.0
        self.engine = Engine(now=0.0, random=Random(seed))
        self.engine.services.tracing = trace
        self._sink = sink
        self._deferred: list[Callable[[], object]] = []
        self._deadlines: dict[Scope, float] = {}
        self._heap: list[tuple[float, Scope]] = []
        self._next_index = 1
        for scope in self.engine.scopes():
            self._arm(scope)

    # -- what there is

    def caches(self) -> Iterable[NeighbourCache]:
        return self.engine.caches.values()

    def add_device(self, name: str, lladdr: bytes, *, raw: bool = False) -> Device:
        """Attach a device, whose link brings frames by :meth:`receive`; with ``raw`` one without a link
        layer."""
        flags = _RAW_FLAGS if raw else _FLAGS | IFF_BROADCAST
        device = Device(
            name, self._next_index, LinkAddress(lladdr) if lladdr else b"", flags=flags, header=not raw
        )
        self._next_index += 1
        self.engine.attach(device, self.now)
        self._arm(device_scope(device.index))
        return device

    def add_address(self, device: Device, address: Address) -> None:
        self.engine.add_address(device.index, address, self.now)
        self.settle()

    def set(self, family: int, changes: Mapping[str, float]) -> None:
        """Set parameters and switches of a family for every device, and its cache's thresholds.

        Raises:
            ValueError: names the field.
        """
        cache = self.engine.caches[family]
        thresholds = {name: value for name, value in changes.items() if name.startswith("gc_thresh")}
        rest = {name: value for name, value in changes.items() if name not in thresholds}
        self.engine.set(None, family, rest, self.now)
        for name, value in thresholds.items():
            setattr(cache, name, int(value))

    # -- time

    def run_until(self, when: float) -> None:
        """Let everything happen that is due by ``when`` (seconds). A time in the past is now."""
        while when > self.now + self._patience():
            self._run(self.now + self._patience())
            self._skip(when)
        self._run(when)

    def _run(self, when: float) -> None:
        while self._heap and self._heap[0][0] <= when:
            deadline, scope = heappop(self._heap)
            if self._deadlines.get(scope) != deadline:
                continue
            del self._deadlines[scope]
            self.now = max(self.now, deadline)
            while self.engine.handle_timers(scope, self.now):
                self.settle()
            self.settle()
            self._arm(scope)
        self.now = max(self.now, when)

    def _patience(self) -> float:
        """How long an idle table may still have entries to collect, seconds."""
        stale = (table.parms.gc_stale_time for cache in self.caches() for table in cache.by_device.values())
        return max([PATIENCE, *(2 * seconds + PATIENCE for seconds in stale)])

    def _skip(self, when: float) -> None:
        """Go on to the next deadline of an entry, or to ``when``: periodic work would find nothing new to do.

        A damaged time stamp may lie years ahead.
        """
        kinds = [deadline for (kind, _), deadline in self._deadlines.items() if kind == "device"]
        quiet = min([when, *kinds])
        for family in self.engine.caches:
            if self.engine.next_deadline(("family", family)) > self.now and quiet > self.now:
                self.engine.set_family_work(family, managed=quiet, collection=quiet)
        self._rearm()
        self.now = max(self.now, min(quiet, when))

    def _arm(self, scope: Scope) -> None:
        deadline = self.engine.next_deadline(scope)
        if self._deadlines.get(scope) != deadline:
            self._deadlines[scope] = deadline
            if deadline != inf:
                heappush(self._heap, (deadline, scope))
                if len(self._heap) > 64 + 4 * len(self._deadlines):
                    self._heap = [(when, what) for what, when in self._deadlines.items() if when != inf]
                    heapify(self._heap)

    def _rearm(self) -> None:
        for scope in self.engine.take_rearmed():
            self._arm(scope)

    # -- stimuli

    def receive(self, device: Device, frame: bytes, *, partial_checksum: bool = False) -> None:
        """Have a device receive a frame, now."""
        self.engine.receive(device.index, frame, self.now, partial_checksum=partial_checksum)
        self.settle()

    def settle(self) -> None:
        """Hand over what the last stimulus caused. To be called after each call of the engine."""
        services = self.engine.services
        if services.outputs:
            for output in self.engine.take_outputs():
                self._sink(output)
        if services.rearmed:
            self._rearm()
        while self._deferred:
            self._deferred.pop(0)()

    def defer(self, call: Callable[[], object]) -> None:
        """Have a sink's call of the table made when the present outputs are handed over."""
        self._deferred.append(call)

    def attempt(self, call: Callable[[], object]) -> bool:
        """Make a call of the engine that a table may refuse, and say whether it did not."""
        try:
            call()
        except NeighioError:
            return False
        finally:
            self.settle()
        return True
