"""What ARP and Neighbour Discovery have in common: what a cache asks of its protocol, and its way to
entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..address import LinkAddress
from ..errors import NeighioError
from .constants import NUD_VALID
from .create import create
from .events import Answer
from .queue import NEIGH_CREATEFAIL

if TYPE_CHECKING:
    from .cache import DeviceTable, NeighbourCache
    from .device import Device
    from .queue import Packet

__all__ = ["NeighbourProtocol"]


class NeighbourProtocol:
    """The part of a protocol that is the same for both.

    Attributes:
        family: AF_INET or AF_INET6.
        ethertype: of the frames that are the protocol's, two octets.
        evict_nocarrier: the switch that says whether a lost carrier takes entries along.
    """

    family: int
    ethertype: bytes
    evict_nocarrier: str

    __slots__ = ("cache",)

    def __init__(self, cache: NeighbourCache) -> None:
        self.cache: NeighbourCache = cache

    # -- what the cache asks

    def output_key(self, device: Device, key: bytes) -> bytes:
        """The key under which the output path looks up a next hop on this device."""
        return key

    def is_multicast(self, key: bytes) -> bool:
        """Whether forced garbage collection may always take the key (is_multicast)."""
        raise NotImplementedError

    def construct(self, row: int, table: DeviceTable, key: bytes) -> bytes:
        """The protocol's constructor: set what is special of a new entry, return its final key."""
        raise NotImplementedError

    def refuses_to_add(self, device: Device) -> str | None:
        """Why an administrator may make no entry on a device, or None (allow_add)."""
        return None

    def solicit(self, row: int, context: Packet | None, *, unicast: bool) -> None:
        """Send one probe of the machine's, to the neighbour alone or to all who may be it.

        ``context`` is the newest packet that waits for the address: its source is the probe's, if it can be.
        """
        raise NotImplementedError

    def solicit_once(self, row: int, *, unicast: bool, source: bytes | None) -> None:
        """Send one solicitation outside the machine; unicast only to an address that is known. It comes from
        ``source``, or with None from the address that would ask anyway."""
        raise NotImplementedError

    def solicitations(self, table: DeviceTable, keys: Sequence[bytes]) -> list[bytes]:
        """Return the frames with which all these addresses are asked for, outside the machine. One for which
        there is no source is left out, and counted."""
        raise NotImplementedError

    def receive(
        self, table: DeviceTable, frame: bytes, *, partial_checksum: bool = False, delayed: bool = False
    ) -> str | None:
        """Take one frame in; returns the reason when it was dropped.

        ``partial_checksum`` says that its transport checksum is to be taken as right, ``delayed`` that it
        comes from the proxy's queue: now it is answered.
        """
        raise NotImplementedError

    # -- for the protocols

    def switch(self, device: Device, name: str) -> int:
        """The value in force of one of the family's switches."""
        return device.in_force[self.family][name]

    def known_lladdr(self, row: int) -> LinkAddress | None:
        """The neighbour's link-layer address, None while the state has none."""
        return self.cache.lladdr(row) if self.cache.store.nud_state[row] & NUD_VALID else None

    def create(self, table: DeviceTable, key: bytes) -> int:
        """Make an entry because of a message; 0 when the table refuses, which is counted: the wire is not
        told."""
        try:
            return create(self.cache, table, key)
        except NeighioError:
            table.device.count_drop(NEIGH_CREATEFAIL)
            return 0

    def update(self, row: int, lladdr: bytes | None, state: int, flags: int) -> None:
        """Apply evidence from the wire to an entry, which is referenced meanwhile, as its notification
        tells."""
        cache = self.cache
        cache.hold(row)
        cache.nud.update(row, lladdr, state, flags)
        cache.release(row)

    def heard(self, table: DeviceTable, key: bytes, lladdr: bytes) -> None:
        """An address answered; whoever probes or sweeps for it is told."""
        for targets in table.targets:
            targets.hear(key, lladdr)
        services, device = self.cache.services, table.device
        if services.probed and (device.index, key) in services.probed:
            answer = Answer(services.now, device, key, bytes.__new__(LinkAddress, lladdr))
            self.cache.outputs.append(answer)
