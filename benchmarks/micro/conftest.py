"""An engine with one device and some entries, and frames for it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from benchmarks import frames
from neighio.core.constants import (
    AF_INET,
    IFF_BROADCAST,
    IFF_LOWER_UP,
    IFF_MULTICAST,
    IFF_UP,
    NLM_F_CREATE,
    NUD_REACHABLE,
)
from neighio.core.device import Address, Device
from neighio.core.engine import Engine

DEVICE = 7
ENTRIES = 1024
OURS = bytes.fromhex("02000000000a")
US, US6 = frames.ipv4(19, 1), frames.ipv6(-1)


@dataclass
class Station:
    """An engine, as a client or as a host, and the time in the benchmark's hand."""

    engine: Engine
    now: float = 0.0

    def receive(self, batch: list[bytes]) -> None:
        """Take frames in, and what comes of them out, as a driver does."""
        engine, now = self.engine, self.now
        for frame in batch:
            engine.receive(DEVICE, frame, now)
        engine.take_outputs()


def station(*, host: bool) -> Station:
    engine = Engine()
    # Nobody subscribes.
    engine.services.telling = False
    flags = IFF_UP | IFF_BROADCAST | IFF_LOWER_UP | IFF_MULTICAST
    engine.attach(Device("va", DEVICE, OURS, flags=flags, answers=host), 0.0)
    for ip, length in ((US, 15), (US6, 64)):
        engine.add_address(DEVICE, Address(ip, length), 0.0)
    for cache in engine.caches.values():
        cache.gc_thresh1, cache.gc_thresh2, cache.gc_thresh3 = 2 * ENTRIES, 3 * ENTRIES, 4 * ENTRIES
    for number in range(ENTRIES):
        for ip in (frames.ipv4(18, number), frames.ipv6(number)):
            engine.new_neighbour(
                DEVICE,
                ip,
                0.0,
                lladdr=frames.lladdr_of(number),
                state=NUD_REACHABLE,
                nlm_flags=NLM_F_CREATE,
            )
    engine.take_outputs()
    assert engine.caches[AF_INET].entries == ENTRIES
    return Station(engine)


@pytest.fixture
def client() -> Station:
    return station(host=False)


@pytest.fixture
def host() -> Station:
    return station(host=True)
