"""The hash: the kernel's arithmetic of its growth, and look-ups that no growth disturbs (2.5)."""

from __future__ import annotations

import gc

import pytest

from neighio.core.constants import IFF_LOWER_UP, IFF_POINTOPOINT, IFF_UP, NUD_PERMANENT, NUD_STALE
from neighio.errors import NeighioError

from .helpers import ADD, PEER, add, alive, cache, fill, many, node

GROWTH = [
    # entries -> buckets, hash_grows
    (0, 8, 0),
    (8, 8, 0),
    (9, 16, 1),
    (16, 16, 1),
    (17, 32, 2),
    (32, 32, 2),
    (33, 64, 3),
    (257, 512, 6),
    (700, 1024, 7),
]


@pytest.mark.parametrize(("entries", "buckets", "grows"), GROWTH)
def test_the_hash_doubles_when_the_entries_with_the_new_one_outnumber_the_buckets(
    entries: int, buckets: int, grows: int
) -> None:
    sim = node()
    fill(sim, 0, entries, NUD_PERMANENT)
    arp = cache(sim)
    assert (arp.hash_buckets, arp.statistics.hash_grows) == (buckets, grows)


def test_the_hash_never_shrinks() -> None:
    sim = node()
    for ip in fill(sim, 0, 40):
        sim.delete(ip)
    arp = cache(sim)
    assert arp.entries == 0
    assert (arp.hash_buckets, arp.statistics.hash_grows) == (64, 3)
    fill(sim, 100, 40)
    assert arp.statistics.hash_grows == 3


def test_entries_of_all_devices_are_in_one_hash() -> None:
    sim = node()
    sim.add_device("vb", "02:00:00:00:00:1a", ("203.0.113.1/24",))
    fill(sim, 0, 5, dev="va")
    fill(sim, 0, 4, dev="vb")
    assert cache(sim).hash_buckets == 16


def test_an_entry_that_is_dead_but_held_still_counts() -> None:
    sim = node()
    held = [sim.hold(ip) for ip in many(0, 8)]
    sim.engine.set_lladdr(sim.device("va").index, bytes.fromhex("02000000000c"), sim.now)
    assert all(entry.dead for entry in held)
    add(sim, "198.51.100.7")
    assert cache(sim).hash_buckets == 16


def test_the_growth_for_a_duplicate_that_is_thrown_away_stays() -> None:
    """The kernel grows before it looks for a duplicate (2.3, step 7)."""
    sim = node()
    sim.add_device("p2p", "02:00:00:00:00:1a", (), flags=IFF_UP | IFF_LOWER_UP | IFF_POINTOPOINT)
    fill(sim, 0, 7, dev="va")
    for ip in ("203.0.113.7", "203.0.113.8"):  # one entry: all addresses are 0.0.0.0 there
        sim.admin(ip, "p2p", nlm_flags=ADD, lladdr=PEER, state=NUD_STALE)
    assert (cache(sim).hash_buckets, cache(sim).entries) == (16, 8)


def test_a_refused_creation_does_not_grow_the_hash() -> None:
    sim = node()
    fill(sim, 0, 8)

    def refuse(entry: object) -> None:
        raise ValueError

    sim.device("va").neigh_construct = refuse
    with pytest.raises(NeighioError):
        sim.hold("198.51.100.7")
    assert cache(sim).statistics.hash_grows == 0


def test_every_entry_is_found_among_thousands_and_none_after_its_deletion() -> None:
    sim = node()
    ips = fill(sim, 0, 3000, NUD_PERMANENT)
    found = [sim.neighbour(ip) for ip in ips]
    assert [entry.ip for entry in found if entry is not None] == ips
    for ip in ips[::2]:
        sim.delete(ip)
    assert alive(sim) == set(ips[1::2])
    assert all((sim.neighbour(ip) is None) == (place % 2 == 0) for place, ip in enumerate(ips))


def test_no_object_of_a_look_up_is_walked_by_the_collector_of_python() -> None:
    """A million entries must not hold the loop at a full collection: dicts of bytes to int are exempt."""
    sim = node()
    gc.collect()
    before = len(gc.get_objects())
    fill(sim, 0, 2000, NUD_PERMANENT)
    sim.lines()
    gc.collect()
    assert len(gc.get_objects()) - before < 500
