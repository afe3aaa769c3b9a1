"""A neighbour that the caller holds."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

import trio

from ._park import Token, park
from .core.constants import AF_INET
from .core.neighbour import Neighbour
from .core.queue import Packet

if TYPE_CHECKING:
    from .table import NeighbourTable

__all__ = ["HeldNeighbour"]


class HeldNeighbour(Neighbour):
    """An entry with a reference: it keeps its memory, and the collectors leave it alone, until released.

    Used as a context manager; :meth:`NeighbourTable.neighbour` makes one. A device that goes meanwhile
    leaves it ``dead``.
    """

    __slots__ = ("_released", "_table")

    def __init__(self, table: NeighbourTable, neighbour: Neighbour) -> None:
        super().__init__(neighbour.cache, neighbour.row)
        self._table = table
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
        if not self._released:
            self._table._release(self)
            self._released = True

    def confirm(self) -> None:
        """The upper layer saw progress: the neighbour is there (neigh_confirm)."""
        self._check()
        self._table._confirm(self)

    def send_nowait(self, packet: bytes) -> None:
        """Send an IP packet, or queue it while the address is being resolved (neigh_output).

        What becomes of it later is a :class:`PacketFailed` of ``subscribe(errors=True)``, and a counter.

        Raises:
            ValueError: no IP packet of the entry's family.
        """
        self._check()
        self._table._send(self, self._packet(packet))

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
        self._check()
        driver = self._table._check()
        ticket = self._packet(packet)
        token = Token()
        driver.await_packet(ticket, token)
        self._table._send(self, ticket)
        await park(token, lambda: driver.forget_packet(self, ticket))

    def _check(self) -> None:
        if self._released:
            raise trio.ClosedResourceError("the neighbour was released")

    def _packet(self, data: bytes) -> Packet:
        version, header = (4, 20) if self.family == AF_INET else (6, 40)
        if len(data) < header or data[0] >> 4 != version:
            raise ValueError(f"packet: not a whole IPv{version} packet")
        return Packet(bytes(data), self.family)
