"""What administrators do with a table: netlink's requests, parameters, and reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple, TypedDict, Unpack

import trio

from .address import IPAddress, LinkAddress, format_ip, is_group_ip, parse_ip
from .core import constants as c
from .core.cache import NeighbourCache
from .core.constants import AF_INET, AF_INET6
from .core.deletion import Deletion
from .core.neighbour import Neighbour
from .core.proxy import ProxyEntry
from .errors import InvalidAddress

if TYPE_CHECKING:
    from .driver import Driver

__all__ = ["Administration", "Cache", "CacheStatistics", "TableStatistics"]

FAMILIES: Final[Mapping[int, int]] = {4: AF_INET, 6: AF_INET6}
"""The families, as the public face names them."""


class CacheStatistics(NamedTuple):
    """A family's counters: those of /proc/net/stat/arp_cache and ndisc_cache, and how full the cache is.

    ``gc_entries`` are the entries that gc_thresh2 and gc_thresh3 count; ``swept`` those of sweeps.
    """

    entries: int
    gc_entries: int
    swept: int
    hash_buckets: int
    allocs: int
    destroys: int
    destroy_refused: int
    hash_grows: int
    lookups: int
    hits: int
    res_failed: int
    periodic_gc_runs: int
    rcv_probes_mcast: int
    rcv_probes_ucast: int
    forced_gc_runs: int
    unres_discards: int
    table_fulls: int


class TableStatistics(NamedTuple):
    """What a table does now. ``drops`` are received frames that touched nothing, by device and reason;
    ``counters`` are frames that links did not take and packets that failed."""

    devices: int
    tasks_waiting: int
    subscriptions: int
    drops: Mapping[str, Mapping[str, int]]
    counters: Mapping[str, int]


class Cache:
    """One family's cache, as ``table.arp`` and ``table.ndisc`` show it."""

    def __init__(self, check: Callable[[], object], cache: NeighbourCache) -> None:
        self._check = check
        self._cache = cache

    def _threshold(self, name: str, value: object) -> None:
        self._check()
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
            raise ValueError(f"{name}: {value!r} is out of range, expected 0 to {2**31 - 1}")
        setattr(self._cache, name, value)

    @property
    def gc_thresh1(self) -> int:
        """With fewer entries than this, periodic collection removes nothing."""
        return self._cache.gc_thresh1

    @gc_thresh1.setter
    def gc_thresh1(self, value: int) -> None:
        self._threshold("gc_thresh1", value)

    @property
    def gc_thresh2(self) -> int:
        """From here on creations collect by force, at most every 5 seconds."""
        return self._cache.gc_thresh2

    @gc_thresh2.setter
    def gc_thresh2(self, value: int) -> None:
        self._threshold("gc_thresh2", value)

    @property
    def gc_thresh3(self) -> int:
        """From here on creations fail unless something can be collected."""
        return self._cache.gc_thresh3

    @gc_thresh3.setter
    def gc_thresh3(self, value: int) -> None:
        self._threshold("gc_thresh3", value)

    def statistics(self) -> CacheStatistics:
        """The counters now."""
        self._check()
        cache = self._cache
        counters = {name: getattr(cache.statistics, name) for name in cache.statistics.__slots__}
        return CacheStatistics(
            entries=cache.entries,
            gc_entries=cache.gc_entries,
            swept=cache.swept,
            hash_buckets=cache.hash_buckets,
            **counters,
        )

    def entries(self) -> Iterator[Neighbour]:
        """The entries, in no particular order. The table may change between two steps."""
        self._check()
        return (self._cache.handle(row) for row in self._cache.rows())

    def proxies(self) -> list[ProxyEntry]:
        """The proxy entries."""
        self._check()
        return list(self._cache.proxies.values())


class EntryOptions(TypedDict, total=False):
    """What ``ip neigh add`` and its like take: a state (``nud``: NUD_* bits or a name, permanent when not
    said), flags, and the originator (``protocol``: RTPROT_*)."""

    nud: int | str
    protocol: int
    router: bool
    use: bool
    managed: bool
    extern_learn: bool
    extern_valid: bool
    proxy: bool


_FLAGS: Final[Mapping[str, int]] = {
    "router": c.NTF_ROUTER,
    "use": c.NTF_USE,
    "managed": c.NTF_MANAGED,
    "extern_learn": c.NTF_EXT_LEARNED,
    "extern_valid": c.NTF_EXT_VALIDATED,
    "proxy": c.NTF_PROXY,
}


class Administration:
    """The part of a table that is synchronous: netlink's semantics and errors."""

    _driver: Driver

    def _check(self) -> Driver:
        """The driver, if callers may use it now."""
        raise trio.ClosedResourceError

    @property
    def arp(self) -> Cache:
        """The IPv4 neighbours.

        Raises:
            InvalidAddress: the table does not serve IPv4.
        """
        return self._cache(4)

    @property
    def ndisc(self) -> Cache:
        """The IPv6 neighbours.

        Raises:
            InvalidAddress: the table does not serve IPv6.
        """
        return self._cache(6)

    def _cache(self, family: int) -> Cache:
        return Cache(self._check, self._check().engine.caches[self._family(family)])

    def _family(self, family: int) -> int:
        """The number inside for 4 or 6.

        Raises:
            ValueError: neither.
            InvalidAddress: the table does not serve it.
        """
        number = FAMILIES.get(family)
        if number is None:
            raise ValueError(f"family: {family!r} is neither 4 nor 6")
        if number not in self._check().engine.caches:
            raise InvalidAddress(f"family: this table does not serve IPv{family}")
        return number

    def statistics(self) -> TableStatistics:
        """What the table does now."""
        driver = self._check()
        return TableStatistics(
            devices=len(driver.links),
            tasks_waiting=driver.waiting(),
            subscriptions=len(driver.subscriptions),
            drops={device.name: dict(device.drops) for device in driver.names.values()},
            counters=dict(driver.counters),
        )

    # -- parameters

    def parameters(self, dev: str | None = None, family: int = 4) -> Mapping[str, float]:
        """Every parameter and switch of a device, or with None the defaults and what holds everywhere, by the
        kernel's names; times in seconds.

        ``reachable_time`` is the one drawn from ``base_reachable_time``. A switch's value is what was set
        here; what is in force combines it with that of everywhere, as /proc/sys/net/ipv4/conf/all does.

        Raises:
            InvalidAddress, ValueError
        """
        driver = self._check()
        index = None if dev is None else driver.index(dev)
        number = self._family(family)
        engine = driver.engine
        switches = engine.node.everywhere if index is None else engine.devices[index].switches
        return engine.parameters(index, number).as_dict() | switches[number]

    @trio.lowlevel.enable_ki_protection
    def set(self, dev: str | None, family: int = 4, /, **changes: float) -> None:
        """Change parameters and switches of a device, or with None the defaults: all of them or none.

        Names are those of /proc/sys/net/ipv4/neigh and ipv4/conf (for 6: ipv6) without ``_ms``; times are
        seconds.

        Raises:
            ValueError: an unknown name or a value out of range; names the field.
            InvalidAddress: the device is not attached.
        """
        driver = self._check()
        index = None if dev is None else driver.index(dev)
        driver.engine.set(index, self._family(family), changes, driver.clock())
        driver.pump()

    # -- ip neigh

    def add(
        self,
        ip: IPAddress,
        dev: str | None = None,
        lladdr: str | bytes | None = None,
        **options: Unpack[EntryOptions],
    ) -> None:
        """``ip neigh add``: make an entry.

        Raises:
            AdminError: with the kernel's errno and text; EEXIST when there is one.
            TableFull: it cannot be made.
            InvalidAddress, ValueError: something cannot be meant; names the field. Nothing was changed.
        """
        self._new(ip, dev, lladdr, c.NLM_F_CREATE | c.NLM_F_EXCL, options)

    def change(
        self,
        ip: IPAddress,
        dev: str | None = None,
        lladdr: str | bytes | None = None,
        **options: Unpack[EntryOptions],
    ) -> None:
        """``ip neigh change``: change an entry that there is. Raises as :meth:`add`; ENOENT without one."""
        self._new(ip, dev, lladdr, c.NLM_F_REPLACE, options)

    def replace(
        self,
        ip: IPAddress,
        dev: str | None = None,
        lladdr: str | bytes | None = None,
        **options: Unpack[EntryOptions],
    ) -> None:
        """``ip neigh replace``: make an entry, or change the one that there is. Raises as :meth:`add`."""
        self._new(ip, dev, lladdr, c.NLM_F_CREATE | c.NLM_F_REPLACE, options)

    def append(
        self,
        ip: IPAddress,
        dev: str | None = None,
        lladdr: str | bytes | None = None,
        **options: Unpack[EntryOptions],
    ) -> None:
        """``ip neigh append``: make an entry; one that there is keeps its address. Raises as :meth:`add`."""
        self._new(ip, dev, lladdr, c.NLM_F_CREATE | c.NLM_F_APPEND, options)

    @trio.lowlevel.enable_ki_protection
    def _new(
        self,
        ip: IPAddress,
        dev: str | None,
        lladdr: str | bytes | None,
        nlm_flags: int,
        options: EntryOptions,
    ) -> None:
        driver = self._check()
        flags = 0
        for name, flag in _FLAGS.items():
            if options.get(name):
                flags |= flag
        known = _FLAGS.keys() | {"nud", "protocol"}
        if unknown := options.keys() - known:
            raise ValueError(f"{min(unknown)}: no such option; there are {', '.join(sorted(known))}")
        state = c.parse_nud(options.get("nud", c.NUD_PERMANENT))
        protocol = options.get("protocol", 0)
        if not 0 <= protocol <= 0xFF:
            raise ValueError(f"protocol: {protocol!r} is out of range, expected 0 to 255")
        index, key = self._admin_place(driver, ip, dev, proxy=bool(flags & c.NTF_PROXY))
        if flags & c.NTF_PROXY:
            _check_proxied(key)
        address = None if lladdr is None else LinkAddress(lladdr)
        try:
            driver.engine.new_neighbour(
                index,
                key,
                driver.clock(),
                lladdr=address,
                state=state,
                flags=flags,
                protocol=protocol,
                nlm_flags=nlm_flags,
            )
        finally:
            driver.pump()

    @trio.lowlevel.enable_ki_protection
    def delete(self, ip: IPAddress, dev: str | None = None, *, proxy: bool = False) -> None:
        """``ip neigh del``: an entry fails, and goes unless somebody holds it.

        Raises:
            AdminError: ENOENT when there is none.
            InvalidAddress
        """
        driver = self._check()
        index, key = self._admin_place(driver, ip, dev, proxy=proxy)
        try:
            driver.engine.delete_neighbour(index, key, driver.clock(), proxy=proxy)
        finally:
            driver.pump()

    @trio.lowlevel.enable_ki_protection
    def flush(self, dev: str | None = None, *, nud: int | str | None = None) -> int:
        """``ip neigh flush``: delete the entries of a device, or with None of all; return how many.

        Those in one of the states ``nud``; when not said, all but PERMANENT and NOARP. The event loop is held
        for some 4 us an entry: of many thousands :meth:`flush_gradually` is the better end.
        """
        driver = self._check()
        indices, states = _flushed(driver, dev, nud)
        now = driver.clock()
        count = 0
        for index in indices:
            count += driver.engine.delete_neighbours(index, states, now, nothing=nud is None)
        driver.pump()
        return count

    async def flush_gradually(self, dev: str | None = None, *, nud: int | str | None = None) -> int:
        """As :meth:`flush`, of the entries that are there now, with a checkpoint after each 256 of them.

        An entry is judged by its state when its turn comes; one that a lost carrier has spared meanwhile is
        left alone. When cancelled, what has gone is gone.

        Raises:
            trio.ClosedResourceError: the table was closed meanwhile.
        """
        driver = self._check()
        indices, states = _flushed(driver, dev, nud)
        deletion = driver.engine.deletion(indices, states, nothing=nud is None)
        count = 0
        while True:
            deleted, more = self._flush_some(deletion)
            count += deleted
            await trio.lowlevel.checkpoint()
            if not more:
                return count

    @trio.lowlevel.enable_ki_protection
    def _flush_some(self, deletion: Deletion) -> tuple[int, bool]:
        driver = self._check()
        try:
            return driver.engine.continue_deletion(deletion, driver.clock())
        finally:
            driver.pump()

    def _admin_place(
        self, driver: Driver, ip: IPAddress, dev: str | None, *, proxy: bool
    ) -> tuple[int | None, bytes]:
        if proxy and dev is None:
            return None, parse_ip(ip)[0]
        return driver.place(ip, dev, own=True)


def _flushed(driver: Driver, dev: str | None, nud: int | str | None) -> tuple[list[int], int]:
    """The devices that are flushed, by their indices, and the states, NUD_* bits."""
    indices = [device.index for device in driver.names.values()] if dev is None else [driver.index(dev)]
    return indices, 0xFF & ~(c.NUD_PERMANENT | c.NUD_NOARP) if nud is None else c.parse_nud(nud)


def _check_proxied(key: bytes) -> None:
    """Return if there can be a proxy for an address. Linux makes an entry of no use for the others."""
    group = is_group_ip(key)
    if group or not any(key):
        kind = "a group" if group else "the unspecified address"
        raise InvalidAddress(f"proxy: {format_ip(key)} is {kind}, for which no host is a proxy")
