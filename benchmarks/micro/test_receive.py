"""Frames: 256 each time."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks import frames
from neighio.wire import arp, ndisc

from .conftest import OURS, US, US6, Station

BATCH = 256


def known(number: int) -> bytes:
    return frames.ipv4(18, number)


REFRESHING = [frames.arp_reply(known(n), frames.lladdr_of(n), US, OURS) for n in range(BATCH)]
KINDS = {
    "refresh": REFRESHING,
    "nobody": [frames.arp_request(known(n + 4096), frames.lladdr_of(n), known(7)) for n in range(BATCH)],
    "malformed": [frames.malformed(frame) for frame in REFRESHING],
    "refresh-ipv6": [
        frames.advertisement(frames.ipv6(n), frames.lladdr_of(n), US6, OURS) for n in range(BATCH)
    ],
}
REQUESTS = {
    "arp": [frames.arp_request(known(n), frames.lladdr_of(n), US) for n in range(BATCH)],
    "ndisc": [frames.solicitation(frames.ipv6(n), frames.lladdr_of(n), US6) for n in range(BATCH)],
}


@pytest.mark.parametrize("kind", KINDS)
def test_receive(benchmark: BenchmarkFixture, client: Station, kind: str) -> None:
    benchmark(client.receive, KINDS[kind])


@pytest.mark.parametrize("kind", REQUESTS)
def test_answer(benchmark: BenchmarkFixture, host: Station, kind: str) -> None:
    benchmark(host.receive, REQUESTS[kind])


def test_parse_arp(benchmark: BenchmarkFixture) -> None:
    benchmark(lambda: [arp.parse(frame) for frame in REFRESHING])


def test_parse_ndisc(benchmark: BenchmarkFixture) -> None:
    benchmark(lambda: [ndisc.parse(frame) for frame in KINDS["refresh-ipv6"]])
