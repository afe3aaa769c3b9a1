"""What callers do with neighbours: look, hold, resolve, send, confirm; and ask outside the machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from ..address import LinkAddress, format_ip
from ..errors import Unreachable
from ..wire.ipv6 import is_link_local
from .admin import remove_if_unreferenced
from .base import EngineBase
from .constants import (
    NUD_FAILED,
    NUD_NOARP,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_VALID,
    RTN_LOCAL,
    RTN_UNICAST,
)
from .create import create
from .device import Device
from .neighbour import Neighbour
from .queue import Packet
from .targets import Targets

__all__ = ["BUDGET", "NeighbourCalls"]

BUDGET: Final = 256
"""How many rows one slice of any long work looks at."""


class NeighbourCalls(EngineBase):
    """The calls about one neighbour at a time."""

    def lookup(self, index: int, key: bytes, now: float) -> Neighbour | None:
        """The entry of an address, if there is one; nothing happens to it and nothing is counted."""
        self._at(now)
        cache, table = self._place(index, key)
        row = cache.find(table, key)
        return cache.handle(row) if row else None

    def neighbour(self, index: int, key: bytes, now: float) -> Neighbour:
        """The entry of an address, made if need be, with a reference for the caller (__neigh_create).

        Raises:
            TableFull, InvalidAddress, NeighioError
        """
        self._at(now)
        cache, row = self._find_or_create(index, key)
        cache.store.untold[row] = 0
        cache.hold(row)
        return cache.handle(row)

    def release(self, neighbour: Neighbour, now: float) -> None:
        """Give a reference back (neigh_release).

        Raises:
            LookupError: the entry was destroyed: there is none to give back.
        """
        self._at(now)
        row = self._held(neighbour)
        if neighbour.exists:
            neighbour.cache.release(row)

    def resolve(self, index: int, key: bytes, now: float) -> tuple[Neighbour, LinkAddress | None]:
        """Use an address (neigh_event_send without a packet): its entry, and the link-layer address if it
        is known now; otherwise resolution is under way, and :class:`Settled` will tell.

        Raises:
            Unreachable: the parameters allow no probe.
            TableFull, InvalidAddress, NeighioError
        """
        self._at(now)
        cache, row = self._find_or_create(index, key)
        cache.nud.event_send(row, None)
        state = cache.store.nud_state[row]
        if state & NUD_VALID:
            return cache.handle(row), cache.lladdr(row)
        if state & NUD_FAILED:
            raise Unreachable(f"{format_ip(key)}: no probes are configured")
        return cache.handle(row), None

    def resolve_nowait(self, index: int, key: bytes, now: float) -> LinkAddress | None:
        """As :meth:`resolve` on a VALID entry; otherwise None, and nothing happens at all."""
        self._at(now)
        cache, table = self._place(index, key)
        row = cache.find(table, cache.protocol.output_key(table.device, key))
        if not row or not cache.store.nud_state[row] & NUD_VALID:
            return None
        cache.nud.event_send(row, None)
        return cache.lladdr(row)

    def verify(self, neighbour: Neighbour, now: float) -> LinkAddress | None:
        """Ask for proof: the next ``confirmed`` stamp, or that there can be none, becomes a
        :class:`Verified`. NOARP and PERMANENT entries need none: their address is returned.

        A VALID entry goes to PROBE, as ``ip neigh change ... nud probe`` has it; others are resolved.
        """
        self._at(now)
        cache, row = neighbour.cache, neighbour.row
        if not neighbour.exists or cache.meet(row) or cache.store.dead[row]:
            raise Unreachable("the neighbour was deleted")
        state = cache.store.nud_state[row]
        if state & (NUD_NOARP | NUD_PERMANENT):
            return cache.lladdr(row)
        cache.watch(row)
        if not state & NUD_VALID:
            cache.nud.event_send(row, None)
        elif not state & NUD_PROBE:
            cache.nud.update(row, None, NUD_PROBE, 0, "verify")
        return None

    def send(self, neighbour: Neighbour, packet: Packet, now: float) -> None:
        """Send a packet to a held neighbour, or queue it; what becomes of it is an output."""
        self._at(now)
        neighbour.cache.nud.output(self._held(neighbour), packet)

    def withdraw(self, neighbour: Neighbour, packet: Packet) -> bool:
        """Take a packet out of the queue, and say whether it was there."""
        queue = neighbour.cache.queues.get(neighbour.row) if neighbour.exists else None
        return queue is not None and queue.remove(packet)

    def confirm(self, neighbour: Neighbour, now: float) -> None:
        """The upper layer saw progress with the neighbour (neigh_confirm)."""
        self._at(now)
        neighbour.cache.nud.confirm(self._held(neighbour))

    # -- calls: solicitation outside the machine

    def begin_probe(self, index: int, key: bytes, now: float) -> Neighbour:
        """Hold the entry of an address, made in NONE without a timer if need be, and have answers from it
        emitted as :class:`Answer` until :meth:`end_probe`.

        An entry that it makes is untold until its state changes or somebody else holds it: no walk shows
        it and its end is not announced."""
        self._at(now)
        cache, table = self._place(index, key)
        row = cache.find(table, cache.protocol.output_key(table.device, key))
        if not row:
            row = create(cache, table, key)
            cache.store.untold[row] = cache.store.nud_state[row] == NUD_NONE
        cache.hold(row)
        probed = self.services.probed
        probed[index, key] = probed.get((index, key), 0) + 1
        return cache.handle(row)

    def solicit_once(
        self, neighbour: Neighbour, now: float, *, unicast: bool = False, source: bytes | None = None
    ) -> None:
        """Send one solicitation now, whatever the state, outside the entry's counter. ``source`` replaces
        the address with which the node would ask."""
        self._at(now)
        cache, row = neighbour.cache, self._held(neighbour)
        if not cache.store.dead[row]:
            cache.protocol.solicit_once(row, unicast=unicast, source=source)

    def end_probe(self, neighbour: Neighbour, index: int, key: bytes, now: float) -> None:
        """Undo :meth:`begin_probe`. The last one takes along the entry that was made for it, if it is still
        untold."""
        self._at(now)
        probed = self.services.probed
        probed[index, key] -= 1
        if not probed[index, key]:
            del probed[index, key]
        cache, row = neighbour.cache, self._held(neighbour)
        if cache.store.untold[row] and not cache.store.dead[row]:
            remove_if_unreferenced(cache, row)
        else:
            cache.release(row)

    # -- calls: sweeps

    def begin_sweep(self, index: int, family: int) -> Targets:
        """Make ready to ask many addresses of a device's link."""
        cache = self.caches[family]
        return Targets(cache, cache.by_device[index])

    def ask(self, targets: Targets, keys: Sequence[bytes], now: float) -> list[bytes]:
        """Return the frames that ask for these addresses; see :meth:`Targets.ask`."""
        self._at(now)
        return targets.ask(keys)

    def end_sweep(self, targets: Targets, now: float, *, keep: bool, budget: int = BUDGET) -> bool:
        """Give some of a sweep's entries back; True when there are more. See :meth:`Targets.give_back`."""
        self._at(now)
        return targets.give_back(budget, keep=keep)

    @staticmethod
    def _is_anothers(device: Device, key: bytes) -> bool:
        """Whether an address that is the node's own on another device may be somebody else's on this one."""
        own = device.node.address_type(key) == RTN_LOCAL
        return own and len(key) == 16 and is_link_local(key) and device.address(key) is None

    def sweep_keys(self, index: int, runs: Iterable[tuple[bytes, int]]) -> list[bytes]:
        """The addresses that may be somebody's on a device's link, in random order, of some runs: each is a
        first address and how many from there on."""
        keys: list[bytes] = []
        for first, count in runs:
            length = len(first)
            start = int.from_bytes(first, "big")
            keys += [number.to_bytes(length, "big") for number in range(start, start + count)]
        device = self.devices[index]
        kind = device.node.address_type
        keys = [key for key in keys if kind(key) == RTN_UNICAST or self._is_anothers(device, key)]
        self.services.random.shuffle(keys)
        return keys
