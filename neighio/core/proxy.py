"""Proxy entries: addresses for which this node answers in another's place (struct pneigh_entry)."""

from __future__ import annotations

import errno
from typing import NamedTuple

from ..errors import AdminError
from .cache import NeighbourCache
from .constants import AF_INET6

__all__ = ["ProxyEntry", "add_proxy", "delete_proxy", "find_proxy", "flush_proxies"]

ANY_DEVICE = 0


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

    Raises:
        AdminError: ENOBUFS for an IPv6 proxy without a device.
    """
    if cache.family == AF_INET6 and device == ANY_DEVICE:
        raise AdminError(errno.ENOBUFS)
    old = cache.proxies.get((key, device))
    if old is not None and not protocol:
        protocol = old.protocol
    cache.proxies[key, device] = ProxyEntry(key, device, flags, protocol, permanent)


def delete_proxy(cache: NeighbourCache, key: bytes, device: int) -> None:
    """Delete the proxy entry of exactly this device.

    Raises:
        AdminError: ENOENT.
    """
    if cache.proxies.pop((key, device), None) is None:
        raise AdminError(errno.ENOENT)


def find_proxy(cache: NeighbourCache, key: bytes, device: int) -> ProxyEntry | None:
    """The entry that holds on a device: its own, or one of every device (pneigh_lookup)."""
    return cache.proxies.get((key, device)) or cache.proxies.get((key, ANY_DEVICE))


def flush_proxies(cache: NeighbourCache, device: int, *, keep_permanent: bool = False) -> None:
    """Drop a device's proxy entries; the loss of the carrier spares permanent ones."""
    for place, entry in list(cache.proxies.items()):
        if entry.device == device and not (keep_permanent and entry.permanent):
            del cache.proxies[place]
