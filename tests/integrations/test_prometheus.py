"""A table's metrics: what is told, from which threads, and when it is not."""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path

import pytest
import trio
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import MockClock

import neighio
from neighio import NeighbourTable, NeighioError
from neighio.core.latency import BOUNDS
from neighio.integrations import prometheus
from neighio.integrations.prometheus import TableCollector
from neighio.testing import MemoryLink, ScriptedPeer, Segment

from ..shell import ABSENT, OURS, PEER, THEIRS

Samples = dict[tuple[str, ...], float]


@asynccontextmanager
async def watched(
    *, delay: float = 0.0, families: tuple[int, ...] = (4, 6)
) -> AsyncIterator[tuple[NeighbourTable, CollectorRegistry, MemoryLink]]:
    """A table with one device, a peer on its segment, and a registry that has the table's collector."""
    segment = Segment(trio.current_time)
    link = segment.attach(OURS, name="va")
    ScriptedPeer(segment, THEIRS, PEER, delay=delay)
    device = neighio.Device(link, addresses=["198.51.100.1/24"])
    async with neighio.open_table(device, families=families) as table:
        registry = CollectorRegistry()
        registry.register(TableCollector(table))
        yield table, registry, link


def samples(registry: CollectorRegistry) -> Samples:
    """Every sample: its name and its labels' values, as Prometheus reads them from the text."""
    text = generate_latest(registry).decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_entries_are_told_by_family_and_state(autojump_clock: MockClock) -> None:
    async with watched() as (table, registry, _):
        table.add("198.51.100.3", lladdr=THEIRS, nud="stale")
        table.add("198.51.100.4", lladdr=THEIRS, nud="stale")
        table.add("198.51.100.5", nud="none")
        table.add("2001:db8::3", lladdr=THEIRS)
        await table.resolve(PEER)
        found = samples(registry)
    entries = {key[1:]: value for key, value in found.items() if key[0] == "neighio_entries"}
    assert {key: value for key, value in entries.items() if value} == {
        ("ipv4", "REACHABLE"): 1,
        ("ipv4", "STALE"): 2,
        ("ipv4", "NONE"): 1,
        ("ipv6", "PERMANENT"): 1,
    }
    assert len(entries) == 2 * 9


async def test_more_rows_than_a_slice_are_counted_once_in_either_way(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(prometheus, "SLICE", 7)
    async with watched() as (table, registry, _):
        for n in range(2, 100):
            table.add(f"198.51.100.{n}", lladdr=THEIRS)
        for n in range(2, 20):
            table.delete(f"198.51.100.{n}")
        assert samples(registry)["neighio_entries", "ipv4", "PERMANENT"] == 80
        gathered = await TableCollector(table).gather()
    (entries,) = (metric for metric in gathered if metric.name == "neighio_entries")
    assert sum(sample.value for sample in entries.samples) == 80


async def test_a_table_may_grow_while_its_entries_are_counted(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(prometheus, "SLICE", 10)
    async with watched() as (table, _, _), trio.open_nursery() as nursery:
        table.arp.gc_thresh2 = table.arp.gc_thresh3 = 10_000
        for n in range(2, 200):
            table.add(f"198.51.100.{n}", lladdr=THEIRS)
        nursery.start_soon(TableCollector(table).gather)
        await trio.lowlevel.checkpoint()
        for n in range(4000):
            table.add(f"198.18.{n // 200}.{n % 200 + 1}", lladdr=THEIRS)
        assert table.arp.statistics().entries == 4198


async def test_the_fill_is_told_against_each_threshold(autojump_clock: MockClock) -> None:
    async with watched() as (table, registry, _):
        table.arp.gc_thresh1, table.arp.gc_thresh2, table.arp.gc_thresh3 = 10, 4, 2
        table.ndisc.gc_thresh1 = 0
        table.add("198.51.100.3", lladdr=THEIRS)
        for n in (4, 5):
            table.add(f"198.51.100.{n}", lladdr=THEIRS, nud="stale")
        with pytest.raises(neighio.TableFull):
            table.add("198.51.100.6", lladdr=THEIRS, nud="stale")
        found = samples(registry)
    fill = {key[1:]: value for key, value in found.items() if key[0] == "neighio_fill_ratio"}
    # The first threshold counts every entry, the others those that may be collected.
    assert fill == {
        ("ipv4", "gc_thresh1"): 0.3,
        ("ipv4", "gc_thresh2"): 0.5,
        ("ipv4", "gc_thresh3"): 1.0,
        ("ipv6", "gc_thresh1"): inf,
        ("ipv6", "gc_thresh2"): 0,
        ("ipv6", "gc_thresh3"): 0,
    }
    assert found["neighio_threshold", "ipv4", "gc_thresh3"] == 2
    assert found["neighio_gc_entries", "ipv4"] == 2
    assert found["neighio_table_fulls_total", "ipv4"] == 1


async def test_resolutions_are_a_histogram(autojump_clock: MockClock) -> None:
    async with watched(delay=0.02) as (table, registry, _):
        await table.resolve(PEER)
        with pytest.raises(neighio.Unreachable):
            await table.resolve(ABSENT)
        found = samples(registry)
    below = {
        key[2]: value
        for key, value in found.items()
        if key[:2] == ("neighio_resolution_seconds_bucket", "ipv4")
    }
    assert len(below) == len(BOUNDS) + 1
    assert {le: count for le, count in below.items() if float(le) < 0.025} == dict.fromkeys(
        list(below)[:7], 0
    )
    assert {below[le] for le in below if float(le) >= 0.025} == {1}
    assert found["neighio_resolution_seconds_count", "ipv4"] == 1
    assert found["neighio_resolution_seconds_sum", "ipv4"] == pytest.approx(0.02)
    assert found["neighio_res_failed_total", "ipv4"] == 1


async def test_every_counter_of_the_table_is_told(autojump_clock: MockClock) -> None:
    async with watched() as (table, registry, link):
        await table.resolve(PEER)
        with table.subscribe():
            found = samples(registry)
        statistics, everything = table.arp.statistics(), table.statistics()
        sent, received = link.statistics().sent, link.statistics().received
    told = {key[0] for key in found}
    gauges = {"entries", "gc_entries", "swept", "hash_buckets"}
    for name in statistics._fields:
        metric = f"neighio_{name}" if name in gauges else f"neighio_{name}_total"
        assert metric in told, name
        if name != "entries":
            assert found[metric, "ipv4"] == getattr(statistics, name), name
    assert found["neighio_devices",] == everything.devices == 1
    assert found["neighio_tasks_waiting",] == 0 and found["neighio_subscriptions",] == 1
    assert found["neighio_link_sent_total", "va"] == sent > 0
    assert found["neighio_link_received_total", "va"] == received > 0
    assert found["neighio_info", neighio.__version__] == 1


async def test_drops_and_refusals_are_told_by_reason(autojump_clock: MockClock) -> None:
    async with watched(families=(4,)) as (table, registry, link):
        for other in link._segment._links:
            if other is not link:
                other.send(bytes.fromhex(OURS.replace(":", "")) + bytes(6) + b"\x08\x06" + bytes(3))
        await trio.sleep(1)
        with pytest.raises(neighio.Unreachable), table.neighbour(ABSENT) as held:
            await held.send(b"\x45" + bytes(27))
        found = samples(registry)
        drops = table.statistics().drops["va"]
    assert drops
    for reason, count in drops.items():
        assert found["neighio_drops_total", "va", reason] == count
    assert found["neighio_packets_failed_total",] == 1
    assert {key[1] for key in found if key[0] == "neighio_refusals_total"} == {
        "tx_busy",
        "tx_down",
        "tx_gone",
    }
    assert not any("ipv6" in key for key in found)


async def test_every_metric_stands_in_the_documentation(autojump_clock: MockClock) -> None:
    async with watched() as (table, registry, _):
        await table.resolve(PEER)
        told = {
            key[0].removesuffix("_bucket").removesuffix("_count").removesuffix("_sum")
            for key in samples(registry)
        }
    page = (Path(__file__).parents[2] / "docs" / "metrics.rst").read_text(encoding="utf-8")
    documented = set(re.findall(r"``(neighio_\w+)``", page))
    assert told - documented == set()
    # What has no sample on this link.
    assert documented - told == {"neighio_drops_total", "neighio_link_dropped_total"}


async def test_another_thread_may_ask() -> None:
    async with watched() as (table, registry, _):
        table.add(PEER, lladdr=THEIRS)
        found = await trio.to_thread.run_sync(samples, registry)
    assert found["neighio_entries", "ipv4", "PERMANENT"] == 1


def test_there_is_nothing_to_say_when_the_table_has_ended() -> None:
    async def end() -> CollectorRegistry:
        async with watched() as (_, registry, _):
            pass
        assert samples(registry) == {}
        assert await trio.to_thread.run_sync(samples, registry) == {}
        return registry

    registry = trio.run(end)
    assert samples(registry) == {}


def test_a_table_that_does_not_run_has_no_collector() -> None:
    with pytest.raises(trio.ClosedResourceError):
        TableCollector(NeighbourTable())


async def test_without_the_package_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *arguments: object, **options: object) -> object:
        if name == "prometheus_client":
            raise ImportError
        return original(name, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.delitem(sys.modules, "prometheus_client")
    async with neighio.open_table() as table:
        with pytest.raises(NeighioError, match=r"pip install 'neighio\[metrics\]'"):
            TableCollector(table)
