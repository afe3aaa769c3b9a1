"""The short way to an entry, for programs that ask a million times a second.

It answers what changes next to nothing: is there an entry, and what is the address of a connected one.
Whatever else may have to be done or said (nothing found, a state to change, a flush under way) it leaves to
the long way, by answering None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..address import LinkAddress, pack_plain
from .constants import KEY_LEN, NUD_CONNECTED
from .neighbour import Neighbour
from .store import LLADDR_WIDTH

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from .cache import DeviceTable, NeighbourCache
    from .device import Device

__all__ = ["Hits"]

_new = object.__new__


class Hits:
    """One device's entries of both families, for reading. Good until the device changes.

    Addresses are those of callers: packed, or text. One with a zone, or of the host's own, is left to the
    long way.
    """

    __slots__ = ("_clock", "_length", "_own", "_tables")

    def __init__(
        self,
        device: Device,
        tables: list[tuple[NeighbourCache, DeviceTable]],
        clock: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._length = device.addr_len
        self._own: Container[bytes] | None = device.node.own_addresses if device.answers else None
        self._tables = {KEY_LEN[cache.family]: (cache, cache.store, table.shards) for cache, table in tables}

    def find(self, ip: object) -> Neighbour | None:
        """The entry of an address."""
        key = ip if type(ip) is bytes else pack_plain(ip)
        if key is not None:
            try:
                cache, store, shards = self._tables[len(key)]
            except KeyError:
                return None
            row = shards[hash(key) & 0xFF].get(key)
            if row and not cache.flushing and (self._own is None or key not in self._own):
                # What Neighbour(cache, row) does, without the call of __init__: a sixth of the look-up.
                handle = _new(Neighbour)
                handle.cache = cache
                handle.row = row
                handle.generation = store.generation[row]
                return handle
        return None

    def connected(self, ip: object) -> LinkAddress | None:
        """The link-layer address of an entry that is REACHABLE, NOARP or PERMANENT, which is thereby used."""
        key = ip if type(ip) is bytes else pack_plain(ip)
        if key is not None:
            try:
                cache, store, shards = self._tables[len(key)]
            except KeyError:
                return None
            row = shards[hash(key) & 0xFF].get(key)
            if (
                row
                and store.nud_state[row] & NUD_CONNECTED
                and not cache.flushing
                and (self._own is None or key not in self._own)
            ):
                store.used[row] = self._clock()
                start = row * LLADDR_WIDTH
                return bytes.__new__(LinkAddress, store.lladdr[start : start + self._length])
        return None
