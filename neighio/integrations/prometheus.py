"""A table's metrics for Prometheus (extra ``metrics``).

They are read from the table when somebody asks for them: no packet and no change is counted for their sake.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import compress
from math import inf
from typing import TYPE_CHECKING, Final

import trio

from ..core.cache import NeighbourCache
from ..core.constants import AF_INET, AF_INET6, NUD_NAMES, NUD_NONE
from ..core.latency import BOUNDS
from ..errors import NeighioError

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from ..service import TableService

__all__ = ["TableCollector", "check_installed"]

SLICE: Final = 4096
"""Rows whose states are counted between two checkpoints: about a tenth of a millisecond."""

_FAMILIES: Final[Mapping[int, str]] = {AF_INET: "ipv4", AF_INET6: "ipv6"}
_STATES: Final[Mapping[int, str]] = {NUD_NONE: "NONE", **NUD_NAMES}

# The counters of a family, as /proc/net/stat/arp_cache and ndisc_cache name them.
_COUNTERS: Final[Mapping[str, str]] = {
    "allocs": "Entries that were made.",
    "destroys": "Entries whose memory was given back.",
    "destroy_refused": "Destructions of live entries that were asked for and refused.",
    "hash_grows": "How often the kernel's hash would have grown.",
    "lookups": "Look-ups by callers and administrators.",
    "hits": "Look-ups that found an entry.",
    "res_failed": "Resolutions that failed.",
    "periodic_gc_runs": "Runs of the periodic collection.",
    "rcv_probes_mcast": "Solicitations for us that came by multicast or broadcast.",
    "rcv_probes_ucast": "Solicitations for us that came by unicast.",
    "forced_gc_runs": "Runs of the forced collection.",
    "unres_discards": "Packets that fell out of a full queue while their neighbour was being resolved.",
    "table_fulls": "Entries that could not be made because the table was full.",
}
_LINK_COUNTERS: Final[Mapping[str, str]] = {
    "received": "Frames that a link took in.",
    "sent": "Frames that a link took.",
    "dropped": "Frames that the kernel dropped because they were not read in time.",
    "overflows": "Frames that a link in memory had no room for.",
}
_REFUSALS: Final = ("tx_busy", "tx_down", "tx_gone")
_THRESHOLDS: Final = ("gc_thresh1", "gc_thresh2", "gc_thresh3")


def check_installed() -> None:
    """Make sure that prometheus-client is there.

    Raises:
        NeighioError: it is not; the message says how to get it.
    """
    try:
        import prometheus_client  # noqa: F401  # whether it can be
    except ImportError:
        raise NeighioError(
            "metrics: the package prometheus-client is missing: pip install 'neighio[metrics]'"
        ) from None


class TableCollector:
    """A collector for a registry of prometheus-client: ``registry.register(TableCollector(table))``.

    To be made in the table's trio run while the table runs. It may be asked from any thread, and has nothing
    to say once the table has ended.
    """

    def __init__(self, table: TableService) -> None:
        check_installed()
        table._check()
        self._table = table
        self._thread = threading.get_ident()
        self._token = trio.lowlevel.current_trio_token()

    def describe(self) -> Iterable[Metric]:
        """Nothing: the names are not to be had without reading the table."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Return the metrics now; all states are counted in one go."""
        try:
            if threading.get_ident() == self._thread:
                return self._read()
            return trio.from_thread.run_sync(self._read, trio_token=self._token)
        except (trio.ClosedResourceError, trio.RunFinishedError):
            return []

    async def gather(self) -> list[Metric]:
        """As :meth:`collect`, but other tasks run while the states are counted; a checkpoint.

        Raises:
            trio.ClosedResourceError: the table has ended.
        """
        states = self._no_states()
        for _ in self._count(states):
            await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        return self._metrics(states)

    def _read(self) -> list[Metric]:
        states = self._no_states()
        for _ in self._count(states):
            pass
        return self._metrics(states)

    def _no_states(self) -> dict[int, Counter[int]]:
        return {family: Counter() for family in self._table._check().engine.caches}

    def _count(self, states: dict[int, Counter[int]]) -> Iterator[None]:
        """Count the states of a family's entries, a slice at a step."""
        for family, cache in self._table._check().engine.caches.items():
            row = 1
            while row < (top := cache.store.top):
                last = min(row + SLICE, top)
                # Copies: a view that outlived this step would keep the columns from growing.
                nud_states = bytes(cache.store.nud_state[row:last])
                states[family].update(nud_states)
                # This way no row costs a step of the interpreter.
                states[family].subtract(Counter(compress(nud_states, bytes(cache.store.dead[row:last]))))
                row = last
                yield

    def _metrics(self, states: dict[int, Counter[int]]) -> list[Metric]:
        from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

        from .. import __version__

        table = self._table
        statistics = table.statistics()
        caches = {_FAMILIES[family]: cache for family, cache in table._check().engine.caches.items()}
        found: list[Metric] = [
            InfoMetricFamily("neighio", "The version of neighio.", value={"version": __version__}),
            GaugeMetricFamily("neighio_devices", "Devices that are attached.", statistics.devices),
            GaugeMetricFamily(
                "neighio_tasks_waiting",
                "Tasks that wait for an address, a proof, a packet or an answer.",
                statistics.tasks_waiting,
            ),
            GaugeMetricFamily("neighio_subscriptions", "Subscriptions to events.", statistics.subscriptions),
        ]
        entries = GaugeMetricFamily("neighio_entries", "Entries by state.", labels=["family", "state"])
        for family, counts in states.items():
            for state, name in _STATES.items():
                entries.add_metric([_FAMILIES[family], name], counts[state])
        found.append(entries)
        found.extend(_of_caches(caches))
        found.append(_latency(caches))
        found.extend(self._of_devices(statistics.drops, statistics.counters))
        return found

    def _of_devices(
        self, drops: Mapping[str, Mapping[str, int]], counters: Mapping[str, int]
    ) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily

        dropped = CounterMetricFamily(
            "neighio_drops",
            "Frames and waiting packets that were dropped.",
            labels=["device", "reason"],
        )
        for device, reasons in drops.items():
            for reason, count in sorted(reasons.items()):
                dropped.add_metric([_label(device), reason], count)
        yield dropped
        refused = CounterMetricFamily(
            "neighio_refusals", "Frames that links did not take.", labels=["reason"]
        )
        for reason in _REFUSALS:
            refused.add_metric([reason], counters.get(reason, 0))
        yield refused
        yield CounterMetricFamily(
            "neighio_packets_failed",
            "Packets that were accepted and not sent.",
            counters.get("packets_failed", 0),
        )
        for name, what in _LINK_COUNTERS.items():
            of_links = CounterMetricFamily(f"neighio_link_{name}", what, labels=["device"])
            for device, attached in self._table.devices.items():
                # Each kind of link counts what it can.
                statistics = getattr(attached._link, "statistics", None)
                counted = None if statistics is None else getattr(statistics(), name, None)
                if counted is not None:
                    of_links.add_metric([_label(device)], counted)
            yield of_links


def _of_caches(caches: Mapping[str, NeighbourCache]) -> Iterator[Metric]:
    """The figures of each family's cache."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    gauges = {
        "gc_entries": "Entries that gc_thresh2 and gc_thresh3 count.",
        "swept": "Entries of sweeps under way.",
        "hash_buckets": "Buckets that the kernel's hash would have.",
    }
    for name, what in gauges.items():
        gauge = GaugeMetricFamily(f"neighio_{name}", what, labels=["family"])
        for family, cache in caches.items():
            gauge.add_metric([family], getattr(cache, name))
        yield gauge
    proxies = GaugeMetricFamily("neighio_proxies", "Proxy entries.", labels=["family"])
    limits = GaugeMetricFamily("neighio_threshold", "gc_thresh1, 2 and 3.", labels=["family", "threshold"])
    fill = GaugeMetricFamily(
        "neighio_fill_ratio",
        "How full a table is: the entries that a threshold counts, divided by it.",
        labels=["family", "threshold"],
    )
    for family, cache in caches.items():
        proxies.add_metric([family], len(cache.proxies))
        for threshold in _THRESHOLDS:
            limit = getattr(cache, threshold)
            counted = cache.entries if threshold == "gc_thresh1" else cache.gc_entries
            limits.add_metric([family, threshold], limit)
            fill.add_metric([family, threshold], counted / limit if limit else inf)
    yield from (proxies, limits, fill)
    for name, what in _COUNTERS.items():
        counter = CounterMetricFamily(f"neighio_{name}", what, labels=["family"])
        for family, cache in caches.items():
            counter.add_metric([family], getattr(cache.statistics, name))
        yield counter


def _latency(caches: Mapping[str, NeighbourCache]) -> Metric:
    from prometheus_client.core import HistogramMetricFamily

    found = HistogramMetricFamily(
        "neighio_resolution_seconds",
        "How long resolutions took, from INCOMPLETE to an address; those that failed are res_failed.",
        labels=["family"],
    )
    for family, cache in caches.items():
        below = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), cache.latency.counts, strict=True):
            below += count
            buckets.append((bound, below))
        found.add_metric([family], buckets, cache.latency.total)
    return found


def _label(device: str) -> str:
    """A device's name as UTF-8 can say it: an interface may be named with any octets."""
    return device.encode("utf-8", "backslashreplace").decode()
