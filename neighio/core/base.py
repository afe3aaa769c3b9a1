"""What every part of the engine stands on: the node, the caches, the time, the way to an entry."""

from __future__ import annotations

import random as random_module
from math import floor
from typing import Final, TypeAlias

from ..address import format_ip
from ..errors import InvalidAddress
from .arp import Arp
from .cache import DeviceTable, NeighbourCache, Services
from .claims import Claims
from .collect import PeriodicGC
from .constants import AF_INET, AF_INET6, KEY_LEN
from .create import create
from .device import Address, Device
from .events import Output
from .listener import Listener
from .managed import ManagedWork
from .ndisc import Ndisc
from .neighbour import Neighbour
from .node import Node
from .protocol import NeighbourProtocol
from .proxy import ProxyQueue

__all__ = ["FAMILY_OF_LENGTH", "EngineBase", "Scope", "device_scope", "family_scope"]

FAMILY_OF_LENGTH: Final = {length: family for family, length in KEY_LEN.items()}
PROTOCOLS: Final[dict[int, type[NeighbourProtocol]]] = {AF_INET: Arp, AF_INET6: Ndisc}

Scope: TypeAlias = tuple[str, int]
"""What has a deadline of its own: a device's timers, or a family's periodic work."""


def device_scope(index: int) -> Scope:
    return ("device", index)


def family_scope(family: int) -> Scope:
    return ("family", family)


class EngineBase:
    """The state of an :class:`neighio.core.engine.Engine`."""

    def __init__(
        self,
        *,
        now: float = 0.0,
        random: random_module.Random | None = None,
        families: tuple[int, ...] = (AF_INET, AF_INET6),
        ticks_per_second: int | None = None,
        atomic_notifications: bool = False,
    ) -> None:
        self._ticks_per_second = ticks_per_second
        self.node: Node = Node()
        self.host: Node = Node()
        """The node whose addresses are neighio's own: devices in the host role belong to it."""
        self.devices: dict[int, Device] = {}
        """The attached devices, of both nodes, by index."""
        self.services: Services = Services(random or random_module.Random(), self._floor, self._floor(now))
        self.services.atomic_notifications = atomic_notifications
        self.caches: dict[int, NeighbourCache] = {}
        self._gc: dict[int, PeriodicGC] = {}
        self._managed: dict[int, ManagedWork] = {}
        self._receivers: dict[bytes, NeighbourProtocol] = {}
        self.listener: Listener = Listener(self.services, self.caches)
        self.services.listener = self.listener
        self.claims: Claims = Claims(self.services, self.caches, self._change_address)
        self.services.claims = self.claims
        for family in families:
            cache = self.caches[family] = NeighbourCache(family, self.services)
            cache.proxy_queue = ProxyQueue(cache)
            protocol = cache.protocol = PROTOCOLS[family](cache)
            self._receivers[protocol.ethertype] = protocol
            self._gc[family] = PeriodicGC(cache)
            self._managed[family] = ManagedWork(cache)

    def _floor(self, when: float) -> float:
        ticks = self._ticks_per_second
        return when if ticks is None else floor(when * ticks + 1e-6) / ticks

    def _at(self, now: float) -> None:
        self.services.now = now if self._ticks_per_second is None else self._floor(now)

    def take_outputs(self) -> list[Output]:
        """Return what is to be done, in order, and forget it."""
        outputs = self.services.outputs
        taken = outputs[:]
        outputs.clear()
        return taken

    @property
    def in_hook(self) -> bool:
        """Whether a device's hook is running: no other door may be used meanwhile."""
        return self.services.in_hook

    # -- for the parts

    def _change_address(self, device: Device, address: Address, add: bool, *, for_now: bool = False) -> None:
        """Give the node an address, or take it away, perhaps for now only."""
        raise NotImplementedError

    def device(self, index: int) -> Device:
        """The attached device of an index; else the one that the clients' node knows."""
        return self.devices.get(index) or self.node.devices[index]

    def _tables(self, index: int) -> list[tuple[NeighbourCache, DeviceTable]]:
        return [(cache, cache.by_device[index]) for cache in self.caches.values() if index in cache.by_device]

    def _place(self, index: int, key: bytes) -> tuple[NeighbourCache, DeviceTable]:
        family = FAMILY_OF_LENGTH.get(len(key))
        cache = self.caches.get(family) if family is not None else None
        if cache is None:
            raise InvalidAddress(f"ip: {format_ip(key)} is of a family that this table does not serve")
        table = cache.by_device.get(index)
        if table is None:
            raise InvalidAddress(f"device: no attached device has index {index}")
        return cache, table

    def _find_or_create(self, index: int, key: bytes) -> tuple[NeighbourCache, int]:
        cache, table = self._place(index, key)
        found = cache.find(table, cache.protocol.output_key(table.device, key))
        return cache, found or create(cache, table, key)

    @staticmethod
    def _held(neighbour: Neighbour) -> int:
        """The row of an entry to which the caller has a reference; a flush under way is not news to it.

        Raises:
            LookupError: the entry was destroyed; its row may be another's by now.
        """
        if not neighbour.exists:
            raise LookupError("the neighbour was destroyed")
        neighbour.cache.meet(neighbour.row)
        return neighbour.row
