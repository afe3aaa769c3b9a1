"""Packets that wait for an address: in INCOMPLETE alone, oldest dropped first, bounded by their truesize."""

from __future__ import annotations

import pytest

from neighio.core.constants import (
    NEIGH_UPDATE_F_ADMIN,
    NUD_DELAY,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
)
from neighio.core.events import PacketFailed
from neighio.core.queue import truesize

from .bench import DEVICE, LLADDR, Bench
from .families import packed

pytestmark = pytest.mark.usefixtures("family")

SMALL, MIDDLE, FULL = 100, 400, 1500


@pytest.mark.parametrize(
    ("length", "charged"),
    [(0, 832), (128, 832), (129, 1280), (576, 1280), (577, 2304), (1500, 2304), (1501, 2269), (9000, 9768)],
)
def test_truesize_is_the_kernels_charge(length: int, charged: int) -> None:
    assert truesize(length) == charged


@pytest.mark.parametrize(("size", "held"), [(SMALL, 256), (MIDDLE, 166), (FULL, 92)])
def test_default_limit_holds_256_small_or_92_full_packets(size: int, held: int) -> None:
    bench = Bench(unres_qlen_bytes=212992)
    for _ in range(held):
        bench.send(size=size)
    assert bench.cache.statistics.unres_discards == 0
    bench.told()

    assert bench.output(size=size) == ["p1 PacketDropped"]
    assert bench.cache.statistics.unres_discards == 1


def test_exactly_full_queue_drops_nothing_and_one_octet_less_drops_the_oldest() -> None:
    for limit, dropped in ((3 * 832, []), (3 * 832 - 1, ["p1 PacketDropped"])):
        bench = Bench(unres_qlen_bytes=limit)
        bench.send(size=SMALL)
        bench.send(size=SMALL)
        bench.told()

        assert bench.output(size=SMALL) == dropped


def test_a_large_packet_drops_as_many_old_ones_as_it_takes_oldest_first() -> None:
    bench = Bench(unres_qlen_bytes=4 * 832)
    for _ in range(4):
        bench.send(size=SMALL)
    bench.told()

    # 2304 of 3328 octets: one small packet may stay
    assert bench.output(size=FULL) == ["p1 PacketDropped", "p2 PacketDropped", "p3 PacketDropped"]
    assert bench.update(LLADDR, NUD_REACHABLE) == ["p4 to 0b", "p5 to 0b", "new REACHABLE 0b"]
    assert bench.cache.statistics.unres_discards == 3


@pytest.mark.parametrize("limit", [0, 1, 831])
def test_a_limit_that_is_too_small_still_holds_the_newest_packet(limit: int) -> None:
    bench = Bench(unres_qlen_bytes=limit)
    bench.send(size=SMALL)
    bench.told()

    assert bench.output(size=FULL) == ["p1 PacketDropped"]
    assert bench.output(size=SMALL) == ["p2 PacketDropped"]
    assert bench.update(LLADDR, NUD_REACHABLE) == ["p3 to 0b", "new REACHABLE 0b"]


def test_discarded_packets_are_dropped_in_silence_and_counted_by_reason() -> None:
    bench = Bench(unres_qlen_bytes=0)
    first = bench.send()
    bench.send()
    (failed,) = [o for o in bench.outputs() if isinstance(o, PacketFailed)]

    assert failed.packet is first and not failed.reported
    assert bench.device.drops == {"neigh_queuefull": 1}


def test_trap_215_a_lowered_limit_trims_at_the_next_enqueue_oldest_first() -> None:
    bench = Bench(unres_qlen_bytes=10 * 832)
    for _ in range(5):
        bench.send(size=SMALL)
    bench.told()
    bench.set(unres_qlen_bytes=2 * 832)
    assert bench.told() == []
    assert bench.cache.statistics.unres_discards == 0

    assert bench.output(size=SMALL) == [f"p{n} PacketDropped" for n in (1, 2, 3, 4)]
    assert bench.cache.statistics.unres_discards == 4
    assert bench.update(LLADDR, NUD_REACHABLE) == ["p5 to 0b", "p6 to 0b", "new REACHABLE 0b"]


@pytest.mark.parametrize("state", [NUD_REACHABLE, NUD_STALE, NUD_DELAY, NUD_PROBE, NUD_NOARP, NUD_PERMANENT])
def test_a_valid_entry_never_queues(state: int) -> None:
    bench = Bench()
    bench.put(state)

    assert bench.output() == ["p1 to 0b"]
    assert not bench.cache.queues


def test_each_entry_has_a_queue_and_a_limit_of_its_own() -> None:
    bench = Bench(unres_qlen_bytes=832)
    other = packed(9)
    bench.send(size=SMALL)
    bench.send(other, size=SMALL)
    bench.told()

    assert bench.update(LLADDR, NUD_REACHABLE, key=other) == ["p2 to 0b", "new REACHABLE 0b"]
    assert bench.update(LLADDR, NUD_REACHABLE) == ["p1 to 0b", "new REACHABLE 0b"]


def test_failure_reports_every_packet_oldest_first_and_empties_the_queue() -> None:
    bench = Bench(mcast_solicit=1, unres_qlen_bytes=9999)
    for _ in range(3):
        bench.send()
    bench.told()

    assert bench.fire() == [*(f"p{n} Unreachable reported" for n in (1, 2, 3)), "new FAILED"]
    assert not bench.cache.queues


def test_a_flush_drops_the_queue_in_silence() -> None:
    bench = Bench()
    bench.send()
    bench.told()
    bench.engine.link_down(DEVICE, bench.now)

    assert bench.told() == ["del INCOMPLETE", "p1 DeviceGone"]


def test_destruction_of_an_entry_that_kept_its_queue_drops_it_in_silence() -> None:
    """An administrator made NONE of INCOMPLETE; no failure is told of what waits there."""
    bench = Bench()
    bench.send()
    bench.update(None, NUD_NONE, NEIGH_UPDATE_F_ADMIN, stimulus="admin")
    bench.told()
    bench.engine.delete_neighbour(DEVICE, packed(), bench.now)

    assert bench.told() == ["del FAILED", "p1 PacketDropped"]
    assert not bench.cache.queues


def test_a_withdrawn_packet_is_not_sent_and_makes_room() -> None:
    bench = Bench(unres_qlen_bytes=2 * 832)
    bench.send(size=SMALL)
    second = bench.send(size=SMALL)
    bench.told()

    assert bench.engine.withdraw(bench.entry(), second)
    assert not bench.engine.withdraw(bench.entry(), second)
    assert bench.output(size=SMALL) == []
    assert bench.update(LLADDR, NUD_REACHABLE) == ["p1 to 0b", "p3 to 0b", "new REACHABLE 0b"]


def test_withdrawing_the_last_packet_leaves_the_probing_as_it_is() -> None:
    bench = Bench()
    packet = bench.send()
    bench.engine.withdraw(bench.entry(), packet)
    bench.told()

    assert bench.fire() == ["request to all"]
    assert bench.facts().state == NUD_INCOMPLETE
    assert bench.wait(10)[-1][1] == "new FAILED"


def test_a_sent_packet_can_no_longer_be_withdrawn() -> None:
    bench = Bench()
    packet = bench.send()
    bench.update(LLADDR, NUD_REACHABLE)

    assert not bench.engine.withdraw(bench.entry(), packet)
