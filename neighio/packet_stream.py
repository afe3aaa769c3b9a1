"""The IP packets for the stack above a host, as an asynchronous iterator."""

from __future__ import annotations

from collections import deque
from typing import Final

import trio

from ._park import Token, park
from .core.device import Device
from .core.events import Received
from .driver import Driver

__all__ = ["PacketStream"]

OVERFLOW: Final = "ip_overflow"
"""Under which packets are counted that nobody read in time."""


class PacketStream:
    """The IP packets to a host's own addresses, in the order of their arrival; made by
    :meth:`AttachedDevice.packets`, and iterated by one task."""

    def __init__(self, driver: Driver, device: Device, capacity: int) -> None:
        self._driver = driver
        self._device = device
        self._capacity = capacity
        self._queue: deque[Received] = deque()
        self._reader: Token | None = None
        self._ended = False
        self._left = False

    def __aiter__(self) -> PacketStream:
        return self

    @trio.lowlevel.enable_ki_protection
    async def __anext__(self) -> Received:
        """Return the next packet; a checkpoint.

        Raises:
            StopAsyncIteration: the device went, or the table was closed, and all that had arrived was
            returned.
            trio.ClosedResourceError: the block was left.
            trio.BusyResourceError: another task is iterating.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._reader is not None:
            raise trio.BusyResourceError("another task is reading these packets")
        if not (self._queue or self._ended):
            self._reader = token = Token()
            await park(token, self._forget_reader)
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()
        if self._left:
            raise trio.ClosedResourceError("the packets are no longer taken")
        if self._queue:
            return self._queue.popleft()
        raise StopAsyncIteration

    def _forget_reader(self) -> None:
        self._reader = None

    def _wake_reader(self) -> None:
        if self._reader is not None:
            token, self._reader = self._reader, None
            self._driver.wake(token, None)

    def offer(self, packet: Received) -> None:
        """Queue a packet; one too many is dropped and counted."""
        if len(self._queue) >= self._capacity:
            self._device.count_drop(OVERFLOW)
        else:
            self._queue.append(packet)
            self._wake_reader()

    def end(self) -> None:
        """Take no more: the device has gone."""
        self._ended = True
        self._wake_reader()

    def close(self) -> None:
        """Take no more, and give nothing of what is there: the block was left."""
        self._left = True
        self.end()
