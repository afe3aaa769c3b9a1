"""The kernel's neighbours for ``neighio top``: read whole again and again, and what it tells of in between.

The kernel tells of most transitions and of no age, and can be asked for a single entry only as fast as for
some dozens; so all of them are read once a second, or less often where that takes long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import trio

from ...core.constants import AF_INET, AF_INET6
from ...kernel import requests
from ...kernel import uapi as nl
from ...kernel.framing import Message, attributes
from ...kernel.netlink import NetlinkSocket
from ...records import Stamp
from ..kernel_neighbours import KernelNeighbours
from .model import Entry, Fill, Neighbours

__all__ = ["KernelSource"]

SHARE: Final = 10
"""Between two readings there is at least so many times as long as the last one took."""

STEP: Final = 256
"""So many are taken before others have their turn."""

_FAMILIES: Final = {AF_INET: 4, AF_INET6: 6}


class KernelSource:
    """Those of the kernel, of this namespace. ``netlink`` is a member of
    :data:`~neighio.cli.kernel_neighbours.GROUPS`."""

    def __init__(self, netlink: NetlinkSocket) -> None:
        self._netlink = netlink
        self._kernel = KernelNeighbours(netlink)
        self._next = 0.0
        # Of whom something was told since the last reading began.
        self._heard: set[tuple[str, str]] = set()

    async def follow(self, neighbours: Neighbours, told: Callable[[], None]) -> None:
        """See :meth:`Source.follow`."""
        await self._kernel.read_names()
        await self._read(neighbours)
        neighbours.whole = True
        told()
        stamp = Stamp(trio.current_time)
        while True:
            for record in await self._kernel.changes(stamp):
                if record["kind"] == "lost":
                    # The next reading tells of all there is.
                    neighbours.losses += 1
                    self._next = 0.0
                else:
                    self._heard.add((record["address"], record["device"]))
                    neighbours.hear(record, trio.current_time())

    async def refresh(self, neighbours: Neighbours, seen: Sequence[Entry], *, all_ages: bool) -> None:
        """See :meth:`Source.refresh`."""
        now = trio.current_time()
        for message in await self._netlink.dump(requests.dump_neighbour_tables()):
            told = _fill(message)
            if told is not None:
                neighbours.fill(*told, now)
        neighbours.filled(now)
        if neighbours.whole and now >= self._next:
            await self._read(neighbours)

    async def _read(self, neighbours: Neighbours) -> None:
        begun = trio.current_time()
        self._heard.clear()
        before = set(neighbours.entries)
        for number, record in enumerate(await self._kernel.entries()):
            if number % STEP == 0:
                await trio.lowlevel.checkpoint()
            place = record["address"], record["device"]
            before.discard(place)
            # What was told of meanwhile may be newer than what was read.
            if place not in self._heard:
                neighbours.show(record, trio.current_time())
        for place in before - self._heard:
            neighbours.forget(place)
        now = trio.current_time()
        self._next = now + SHARE * (now - begun)


def _fill(message: Message) -> tuple[int, Fill] | None:
    """How full a family's cache is, in all namespaces together; of a device's parameters nothing."""
    (family,) = nl.NDTMSG.unpack_from(message.body)
    found = attributes(message.body, nl.NDTMSG.size)
    wanted = (nl.NDTA_THRESH1, nl.NDTA_THRESH2, nl.NDTA_THRESH3, nl.NDTA_CONFIG, nl.NDTA_STATS)
    if family not in _FAMILIES or any(kind not in found for kind in wanted):
        return None
    low, middle, high = (nl.U32.unpack(found[kind])[0] for kind in wanted[:3])
    entries = nl.NDT_CONFIG.unpack_from(found[nl.NDTA_CONFIG])[2]
    _, _, _, failed, lookups, hits, *_ = nl.NDT_STATS.unpack_from(found[nl.NDTA_STATS])
    return _FAMILIES[family], Fill(entries, (low, middle, high), lookups, hits, failed)
