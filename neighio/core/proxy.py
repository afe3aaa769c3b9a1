"""Proxying: addresses for which this node answers in another's place (struct pneigh_entry), and the queue of
requests that are answered after a while."""

from __future__ import annotations

import errno
from math import inf
from typing import Final, NamedTuple

from ..errors import AdminError
from ..wire.ipv6 import solicited_node
from .cache import DeviceTable, NeighbourCache
from .constants import AF_INET6
from .node import count_group

__all__ = ["ProxyEntry", "ProxyQueue", "add_proxy", "delete_proxy", "find_proxy", "flush_proxies"]

ANY_DEVICE: Final = 0

DROP_PROXY_QUEUE: Final = "proxy_queue_full"


class ProxyEntry(NamedTuple):
    """Data without a life of its own: no state, no timer, no notification.

    ``device`` is an interface index, 0 when the entry holds on every device.
    """

    key: bytes
    device: int
    flags: int
    protocol: int
    permanent: bool


def add_proxy(
    cache: NeighbourCache, key: bytes, device: int, flags: int, protocol: int, permanent: bool
) -> None:
    """Add a proxy entry, or overwrite the flags of the one that is there; EXCL and CREATE mean nothing.
    A host listens to whoever asks for a proxied IPv6 address (pndisc_constructor).

    Raises:
        AdminError: ENOBUFS for an IPv6 proxy without a device.
    """
    if cache.family == AF_INET6 and device == ANY_DEVICE:
        raise AdminError(errno.ENOBUFS)
    old = cache.proxies.get((key, device))
    if old is not None and not protocol:
        protocol = old.protocol
    cache.proxies[key, device] = ProxyEntry(key, device, flags, protocol, permanent)
    if old is None:
        _listen(cache, key, device, 1)


def delete_proxy(cache: NeighbourCache, key: bytes, device: int) -> None:
    """Delete the proxy entry of exactly this device.

    Raises:
        AdminError: ENOENT.
    """
    if cache.proxies.pop((key, device), None) is None:
        raise AdminError(errno.ENOENT)
    _listen(cache, key, device, -1)


def find_proxy(cache: NeighbourCache, key: bytes, device: int) -> ProxyEntry | None:
    """The entry that holds on a device: its own, or one of every device (pneigh_lookup)."""
    return cache.proxies.get((key, device)) or cache.proxies.get((key, ANY_DEVICE))


def flush_proxies(cache: NeighbourCache, device: int, *, keep_permanent: bool = False) -> None:
    """Drop a device's proxy entries, and all requests that wait; the loss of the carrier spares permanent
    entries (pneigh_ifdown)."""
    cache.proxy_queue.purge()
    for place, entry in list(cache.proxies.items()):
        if entry.device == device and not (keep_permanent and entry.permanent):
            del cache.proxies[place]
            _listen(cache, entry.key, device, -1)


def _listen(cache: NeighbourCache, key: bytes, device: int, step: int) -> None:
    """Have a host listen to the group of a proxied IPv6 address, or not any more."""
    table = cache.by_device.get(device)
    if cache.family != AF_INET6 or table is None or not table.device.answers:
        return
    if count_group(table.device, key, step):
        cache.services.listener.listen(table.device, solicited_node(key), joined=step > 0)


class _Delayed(NamedTuple):
    due: float
    table: DeviceTable
    frame: bytes


class ProxyQueue:
    """Requests that are taken in once more, and answered, at a random time within proxy_delay
    (pneigh_enqueue, neigh_proxy_process)."""

    __slots__ = ("_cache", "_waiting")

    def __init__(self, cache: NeighbourCache) -> None:
        self._cache = cache
        self._waiting: list[_Delayed] = []

    def push(self, table: DeviceTable, frame: bytes) -> None:
        """Have a frame taken in again later. Bounded: a device has at most proxy_qlen + 1 of them."""
        if table.qlen > table.parms.proxy_qlen:
            table.device.count_drop(DROP_PROXY_QUEUE)
            return
        services = self._cache.services
        due = services.floor(services.now + services.random.random() * table.parms.proxy_delay)
        table.qlen += 1
        self._waiting.append(_Delayed(due, table, frame))
        services.rearmed.add(("family", self._cache.family))

    def next_deadline(self) -> float:
        return min((delayed.due for delayed in self._waiting), default=inf)

    def run(self) -> None:
        """Take in what is due, in the order in which it came."""
        now = self._cache.services.now
        due = [delayed for delayed in self._waiting if delayed.due <= now]
        self._waiting = [delayed for delayed in self._waiting if delayed.due > now]
        for delayed in due:
            delayed.table.qlen -= 1
            device = delayed.table.device
            if device.up and not delayed.table.closed:
                # Its checksum was judged, or not, when it came.
                reason = self._cache.protocol.receive(
                    delayed.table, delayed.frame, partial_checksum=True, delayed=True
                )
                if reason is not None:
                    device.count_drop(reason)

    def purge(self) -> None:
        """Forget what waits, of every device (pneigh_queue_purge)."""
        for delayed in self._waiting:
            delayed.table.qlen -= 1
        self._waiting.clear()
