"""Calls: 256 each time."""

from __future__ import annotations

from collections.abc import Callable

from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import frames
from neighio.core.constants import AF_INET, NLM_F_CREATE, NUD_REACHABLE
from neighio.core.engine import device_scope
from neighio.core.hits import Hits
from neighio.core.store import Store
from neighio.core.timers import Timers

from .conftest import DEVICE, OURS, US, Station, station

BATCH = 256
KEYS = [frames.ipv4(18, number) for number in range(BATCH)]
NEW = [frames.ipv4(18, 4096 + number) for number in range(BATCH)]
LLADDR = frames.lladdr_of(1)


def hits(client: Station) -> Hits:
    found = client.engine.hits(DEVICE, lambda: client.now)
    assert found is not None
    return found


def on_fresh_stations(benchmark: BenchmarkFixture, call: Callable[[Station], None]) -> None:
    """Measure what changes a station, on one of its own each time."""
    benchmark.pedantic(call, setup=lambda: ((station(host=False),), {}), rounds=20)  # type: ignore[no-untyped-call]  # pytest-benchmark gives it no types


def test_find(benchmark: BenchmarkFixture, client: Station) -> None:
    find = hits(client).find
    assert benchmark(lambda: [find(key) for key in KEYS])[0]


def test_connected(benchmark: BenchmarkFixture, client: Station) -> None:
    connected = hits(client).connected
    assert benchmark(lambda: [connected(key) for key in KEYS])[0] == frames.lladdr_of(0)


def test_resolve_hit(benchmark: BenchmarkFixture, client: Station) -> None:
    resolve = client.engine.resolve
    assert benchmark(lambda: [resolve(DEVICE, key, client.now) for key in KEYS])[0][1]


def test_create(benchmark: BenchmarkFixture) -> None:
    def make(client: Station) -> None:
        for key in NEW:
            client.engine.new_neighbour(
                DEVICE, key, 0.0, lladdr=LLADDR, state=NUD_REACHABLE, nlm_flags=NLM_F_CREATE
            )

    on_fresh_stations(benchmark, make)


def test_resolve_and_answer(benchmark: BenchmarkFixture) -> None:
    """An entry from nothing to REACHABLE: the question, and the answer to it."""
    answers = [frames.arp_reply(key, LLADDR, US, OURS) for key in NEW]

    def ask(client: Station) -> None:
        for key, answer in zip(NEW, answers, strict=True):
            client.engine.resolve(DEVICE, key, 0.0)
            client.engine.take_outputs()
            client.engine.receive(DEVICE, answer, 0.0)
            client.engine.take_outputs()

    on_fresh_stations(benchmark, ask)


def test_flush(benchmark: BenchmarkFixture) -> None:
    """A device with 1,024 entries of each family is set down."""

    def flush(client: Station) -> None:
        client.engine.link_down(DEVICE, 0.0)
        for scope in tuple(client.engine.scopes()):
            while client.engine.handle_timers(scope, 0.0):
                pass
        assert not client.engine.caches[AF_INET].entries

    on_fresh_stations(benchmark, flush)


def test_expire(benchmark: BenchmarkFixture) -> None:
    """1,024 entries of each family become STALE."""

    def expire(client: Station) -> None:
        while client.engine.handle_timers(device_scope(DEVICE), 100.0):
            pass

    on_fresh_stations(benchmark, expire)


def test_arm(benchmark: BenchmarkFixture) -> None:
    store = Store(4)
    store.take_run(BATCH)
    timers = Timers(store, 0, lambda: None)

    def arm() -> None:
        for row in range(1, BATCH + 1):
            timers.arm(row, 30.0 + row / 8)

    benchmark(arm)
