"""Virtual time: the life of N neighbours for HOURS, as fast as it goes; by CPU time.

virtual.py N HOURS

Each neighbour is sent one packet every ten minutes. Every second one is confirmed by the upper layer a tenth
of a second later; the others are probed, and answer, but for one in a hundred that is silent. gc_thresh1 to
3 are 2n, 3n,
4n: nothing is removed periodically.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from time import process_time

from neighio.address import LinkAddress
from neighio.core.constants import AF_INET
from neighio.core.queue import Packet
from neighio.link.memory import MemoryLink
from neighio.testing import Simulation
from neighio.wire import arp

EVERY = 600.0
SILENT = 100
CONFIRMED_AFTER = 0.1
LLADDR = LinkAddress("02:00:00:00:00:0b")
OURS = bytes((198, 18, 0, 1))


def key_of(number: int) -> bytes:
    return bytes((198, 18 + (number >> 16), number >> 8 & 0xFF, number & 0xFF))


def answer(link: MemoryLink, silent: frozenset[bytes]) -> Callable[[], None]:
    """A station that has every address, and is silent about some."""

    def on_receive() -> None:
        while (frame := link.receive()) is not None:
            message = arp.parse(frame)
            if not isinstance(message, str):
                op, spa, sha, tpa, _ = message
                if op == arp.ARPOP_REQUEST and tpa not in silent:
                    link.send(arp.build(arp.ARPOP_REPLY, tpa, LLADDR, spa, sha, dst=sha, src=LLADDR))

    return on_receive


class Life:
    """One neighbour's: a packet now, and again."""

    def __init__(self, simulation: Simulation, index: int, number: int) -> None:
        self.simulation, self.index, self.number = simulation, index, number
        self.key = key_of(number + 256)
        self.neighbour = simulation.engine.neighbour(index, self.key, 0.0)
        self.packet = Packet(b"\x45" + bytes(11) + OURS + self.key + bytes(12), AF_INET)

    def send(self) -> None:
        simulation = self.simulation
        simulation.engine.send(self.neighbour, self.packet, simulation.now)
        if self.number % 2:
            simulation.at(simulation.now + CONFIRMED_AFTER, self.confirm)
        simulation.at(simulation.now + EVERY, self.send)

    def confirm(self) -> None:
        self.simulation.engine.confirm(self.neighbour, self.simulation.now)


def main(n: int, hours: float) -> None:
    begin = process_time()
    simulation = Simulation(seed=1, record=False)
    simulation.add_device("va", addresses=["198.18.0.1/15"])
    cache = simulation.engine.caches[AF_INET]
    cache.gc_thresh1, cache.gc_thresh2, cache.gc_thresh3 = 2 * n, 3 * n, 4 * n
    index = simulation.device("va").index
    lives = [Life(simulation, index, number) for number in range(n)]
    silent = frozenset(life.key for life in lives[SILENT // 2 :: SILENT])
    peer = simulation.segment.attach(LLADDR, name="peer")
    peer.on_receive = answer(peer, silent)
    for life in lives:
        simulation.at(EVERY * life.number / n, life.send)
    simulation.run_until(hours * 3600)
    spent = process_time() - begin
    assert cache.entries == n
    assert cache.statistics.res_failed, "the silent ones failed"
    print(json.dumps({"virtual": spent}))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
