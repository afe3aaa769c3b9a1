"""The kernel's own neighbour tables: how full they are, and whether they ever were too full."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from ...core.constants import AF_INET, AF_INET6
from ...kernel import requests
from ...kernel.framing import Message, attributes
from ...kernel.netlink import request_sync
from ...kernel.uapi import NDTA_PARMS, NDTMSG, NDTPA_IFINDEX, U32, U64
from .findings import Finding, Level, times

__all__ = ["KernelTable", "find_tables", "judge", "read_tables"]

NDTA_THRESH1: Final = 2
NDTA_THRESH2: Final = 3
NDTA_THRESH3: Final = 4
NDTA_CONFIG: Final = 5
NDTA_STATS: Final = 7
NDTA_GC_INTERVAL: Final = 8

_CONFIG: Final = struct.Struct("=HHI")
"""struct ndt_config: key_len, entry_size, entries, and more."""
_STATISTICS: Final = struct.Struct("=11Q")
"""struct ndt_stats, with table_fulls at its end."""

THRESHOLDS: Final = (128, 512, 1024)
"""Linux's own."""
GC_INTERVAL: Final = 30.0
"""Linux's own, seconds."""

_NAMES: Final = {AF_INET: ("ARP table", "ipv4"), AF_INET6: ("Neighbour Discovery table", "ipv6")}


class KernelTable(NamedTuple):
    """A family's table, which all network namespaces of the machine share.

    ``gc_interval`` is in seconds. ``table_fulls`` is how often no entry could be made since the machine
    started; None where the kernel does not say.
    """

    family: int
    entries: int
    thresholds: tuple[int, int, int]
    gc_interval: float
    table_fulls: int | None


def read_tables() -> list[KernelTable]:
    """Return the kernel's tables. /proc/net/stat has the same figures, in the first namespace alone.

    Raises:
        OSError: this system has no rtnetlink.
    """
    found = map(_decode, request_sync(requests.dump_neighbour_tables()))
    return [table for table in found if table is not None]


def _decode(message: Message) -> KernelTable | None:
    (family,) = NDTMSG.unpack_from(message.body)
    found = attributes(message.body, NDTMSG.size)
    parameters = attributes(found.get(NDTA_PARMS, b""), 0)
    # A device's parameters are a message of their own.
    if family not in _NAMES or NDTPA_IFINDEX in parameters or NDTA_CONFIG not in found:
        return None
    first, second, third = (
        U32.unpack_from(found.get(kind, bytes(4)))[0] for kind in (NDTA_THRESH1, NDTA_THRESH2, NDTA_THRESH3)
    )
    statistics = found.get(NDTA_STATS, b"")
    fulls = _STATISTICS.unpack_from(statistics)[-1] if len(statistics) >= _STATISTICS.size else None
    interval = U64.unpack_from(found.get(NDTA_GC_INTERVAL, bytes(8)))[0] / 1000
    entries = _CONFIG.unpack_from(found[NDTA_CONFIG])[2]
    return KernelTable(family, entries, (first, second, third), interval, fulls)


def find_tables() -> Iterator[Finding]:
    """How full the kernel's tables are."""
    try:
        tables = read_tables()
    except OSError as error:
        yield Finding(Level.NOTE, "table", "kernel", "not looked at", f"no rtnetlink here: {error.strerror}")
        return
    for table in tables:
        yield from judge(table)


def judge(table: KernelTable) -> Iterator[Finding]:
    """What is to be said of a table."""
    name, directory = _NAMES[table.family]
    first, second, third = table.thresholds
    entries = table.entries
    where = f"{entries} entries, thresholds {first}, {second}, {third}"
    enlarge = f"sysctl -w net.{directory}.neigh.default.gc_thresh3={max(4 * third, 4096)}"
    if entries >= third * 0.9:
        yield Finding(
            Level.PROBLEM,
            "table",
            name,
            where,
            "at gc_thresh3 no entry is made: packets to new neighbours fail with ENOBUFS, silently",
            enlarge,
        )
    elif entries > second:
        yield Finding(
            Level.WARNING,
            "table",
            name,
            where,
            "above gc_thresh2 each new entry costs an old one, and entries younger than 5 s make it wait",
            enlarge,
        )
    elif entries > first:
        yield Finding(
            Level.NOTE,
            "table",
            name,
            where,
            "above gc_thresh1 those that were not used for gc_stale_time are collected",
        )
    else:
        yield Finding(Level.OK, "table", name, where)
    yield from _collection(table)
    if table.table_fulls:
        yield Finding(
            Level.WARNING,
            "table",
            name,
            f"was full {times(table.table_fulls)} since the machine started (table_fulls)",
            "so often a packet to a new neighbour was lost, in whichever namespace",
            enlarge,
        )


def _collection(table: KernelTable) -> Iterator[Finding]:
    """What of a table's collection is not Linux's own."""
    name, directory = _NAMES[table.family]
    place = f"net.{directory}.neigh.default"
    if not table.thresholds[0] <= table.thresholds[1] <= table.thresholds[2]:
        yield Finding(
            Level.WARNING,
            "table",
            name,
            "its thresholds are not in order",
            "the lowest of them is what counts: fewer entries are kept than it seems",
            "; ".join(
                f"sysctl -w {place}.gc_thresh{number}={value}" for number, value in enumerate(THRESHOLDS, 1)
            ),
        )
    elif table.thresholds != THRESHOLDS:
        yield Finding(
            Level.NOTE,
            "table",
            name,
            "its thresholds are not Linux's own ({}, {}, {})".format(*THRESHOLDS),
            "entries are collected, and refused, at these numbers: neighio's tables have Linux's own",
        )
    if table.gc_interval != GC_INTERVAL:
        yield Finding(
            Level.NOTE,
            "table",
            f"{place}.gc_interval",
            f"{table.gc_interval:g}, where Linux has {GC_INTERVAL:g}",
            "so seldom, or often, a forced collection is looked after; the periodic one goes by "
            "base_reachable_time",
            f"sysctl -w {place}.gc_interval={GC_INTERVAL:g}",
        )
