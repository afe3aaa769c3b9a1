"""A neighbour that the caller holds."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

import trio

from ._park import Token, park
from .core.constants import AF_INET
from .core.neighbour import Neighbour
from .core.queue import Packet
from .host import family_of_packet

if TYPE_CHECKING:
    from .driver import Driver

__all__ = ["HeldNeighbour"]


class HeldNeighbour(Neighbour):
    """An entry with a reference: it keeps its memory, and the collectors leave it alone, until released.

    Used as a context manager; :meth:`NeighbourTable.neighbour` makes one. A device that goes meanwhile
    leaves it ``dead``.
    """

    __slots__ = ("_admit", "_driver", "_released")

    def __init__(self, driver: Driver, admit: Callable[[], Driver], neighbour: Neighbour) -> None:
        super().__init__(neighbour.cache, neighbour.row)
        self._driver = driver
        # Raises while the table may not be used.
        self._admit = admit
        self._released = False

    def __enter__(self) -> HeldNeighbour:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    @trio.lowlevel.enable_ki_protection
    def release(self) -> None:
        """Give the reference back (neigh_release). Idempotent."""
        if self._released:
            return
        if self._driver.engine.in_hook:
            raise trio.BusyResourceError("a device's hook is running")
        # Also when the table is closed: the reference has to go.
        self._driver.engine.release(self, self._driver.clock())
        self._released = True
        self._driver.pump()

    @trio.lowlevel.enable_ki_protection
    def confirm(self) -> None:
        """The upper layer saw progress: the neighbour is there (neigh_confirm)."""
        driver = self._check()
        driver.engine.confirm(self, driver.clock())
        driver.pump()

    @trio.lowlevel.enable_ki_protection
    def send_nowait(self, packet: bytes) -> None:
        """Send an IP packet, or queue it while the address is being resolved (neigh_output).

        What becomes of it later is a :class:`PacketFailed` of ``subscribe(errors=True)``, and a counter.

        Raises:
            ValueError: no IP packet of the entry's family.
        """
        self._send(self._check(), self._packet(packet))

    @trio.lowlevel.enable_ki_protection
    async def send(self, packet: bytes) -> None:
        """Send an IP packet; return when the link took it. Cancelled, it is not sent.

        Raises:
            Unreachable: the address does not resolve.
            PacketDropped: it fell out of the queue, or the link did not take it.
            DeviceGone: the device went meanwhile.
            ValueError: no IP packet of the entry's family.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        driver = self._check()
        ticket = self._packet(packet)
        token = Token()
        driver.await_packet(ticket, token)
        self._send(driver, ticket)
        await park(token, lambda: driver.forget_packet(self, ticket))

    def _check(self) -> Driver:
        if self._released:
            raise trio.ClosedResourceError("the neighbour was released")
        return self._admit()

    def _send(self, driver: Driver, packet: Packet) -> None:
        driver.engine.send(self, packet, driver.clock())
        driver.pump()

    def _packet(self, data: bytes) -> Packet:
        if family_of_packet(data) != self.family:
            version = 4 if self.family == AF_INET else 6
            raise ValueError(f"packet: no IPv{version} packet with its whole header")
        return Packet(bytes(data), self.family)
