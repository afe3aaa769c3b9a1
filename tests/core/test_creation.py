"""The creation of a neighbour, each step on its own, and what a failure at each step leaves: nothing."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from neighio.address import LinkAddress
from neighio.core import create as create_module
from neighio.core.constants import (
    IFF_BROADCAST,
    IFF_LOOPBACK,
    IFF_LOWER_UP,
    IFF_MULTICAST,
    IFF_RUNNING,
    IFF_UP,
    NTF_EXT_LEARNED,
    NTF_EXT_VALIDATED,
    NTF_MANAGED,
    NTF_USE,
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_REACHABLE,
    NUD_STALE,
    RTN_UNICAST,
)
from neighio.core.queue import Packet
from neighio.errors import AdminError, DeviceGone, NeighioError, TableFull
from neighio.testing.simulation import Simulation

from .families import behind, current, host, packed, version
from .helpers import ADD, OWN, PEER, REPLACE, add, alive, cache, fill, gc_order, node, packet, thresholds
from .station import Station

pytestmark = pytest.mark.usefixtures("family")


ETHERNET = IFF_UP | IFF_RUNNING | IFF_LOWER_UP | IFF_BROADCAST | IFF_MULTICAST


def counters(sim: Simulation) -> dict[str, int]:
    """Everything that a creation counts, and the lists that it enters."""
    arp = cache(sim)
    statistics = arp.statistics
    return {
        "entries": arp.entries,
        "gc_entries": arp.gc_entries,
        "on gc_list": len(list(arp.gc_list)),
        "managed": len(list(arp.managed_list)),
        "in the table": len(list(arp.rows())),
        "alive": statistics.allocs - statistics.destroys,
    }


# -- step 1: allocation, and the counters


def test_a_creation_counts_one_entry_one_gc_entry_and_one_allocation() -> None:
    sim = node()
    sim.hold(host(7))
    assert counters(sim) == {
        "entries": 1,
        "gc_entries": 1,
        "on gc_list": 1,
        "managed": 0,
        "in the table": 1,
        "alive": 1,
    }
    assert cache(sim).statistics.allocs == 1


def test_a_new_entry_has_the_fields_of_1_1() -> None:
    sim = node(base_reachable_time=20.0)
    sim.run(2.5)
    entry = sim.hold(host(7))
    assert (entry.nud_state, entry.flags, entry.protocol, entry.probes) == (NUD_NONE, 0, 0, 0)
    assert (entry.type, entry.lladdr, entry.dead) == (RTN_UNICAST, None, False)
    assert (entry.used, entry.updated) == (sim.now, sim.now)
    assert entry.confirmed == sim.now - 2 * 20.0
    assert entry.refcnt == 2  # the table's, and the caller's


def test_confirmed_is_back_dated_by_the_devices_own_base_reachable_time() -> None:
    sim = node(base_reachable_time=20.0)
    sim.set("va", version(), base_reachable_time=3.0)
    assert sim.hold(host(7)).confirmed == sim.now - 6.0


def test_creation_itself_tells_nobody_and_sends_nothing() -> None:
    sim = node()
    sim.hold(host(7))
    sim.hold(current().group)
    assert sim.outputs == []


def test_a_creation_does_not_count_as_a_lookup_but_administration_does() -> None:
    sim = node()
    statistics = cache(sim).statistics
    before = statistics.lookups
    sim.resolve(host(7))
    sim.send(host(7))
    assert (statistics.lookups, statistics.hits) == (before, 0)
    add(sim, host(8))
    sim.admin(host(8), nlm_flags=REPLACE, lladdr=PEER, state=NUD_STALE)
    assert (statistics.lookups, statistics.hits) == (before + 2, 1)


def test_without_want_ref_nobody_holds_the_entry() -> None:
    sim = node()
    sim.resolve(host(7))
    entry = sim.neighbour(host(7))
    assert entry is not None
    assert entry.refcnt == 2  # the table's, and the timer's


# -- step 1: thresholds (2.1). Two, three and four entries stand for 128, 512 and 1024.


def test_below_gc_thresh2_no_collection_is_forced() -> None:
    sim = node()
    thresholds(sim, 1, 3, 5)
    fill(sim, 0, 2)
    sim.run(60.0)
    fill(sim, 2, 1)  # two are there before it
    assert cache(sim).statistics.forced_gc_runs == 0
    assert cache(sim).gc_entries == 3


@pytest.mark.parametrize(
    ("since_last_flush", "runs"), [(4.5, 0), (5.0, 0), (5.5, 1)], ids=["4.5 s", "exactly 5 s", "5.5 s"]
)
def test_from_gc_thresh2_on_a_collection_is_forced_strictly_after_5_s(
    since_last_flush: float, runs: int
) -> None:
    sim = node()
    thresholds(sim, 1, 3, 50)
    fill(sim, 0, 3)
    cache(sim).last_flush = sim.now
    sim.run(since_last_flush)
    fill(sim, 3, 1)
    assert cache(sim).statistics.forced_gc_runs == runs


def test_from_gc_thresh3_on_every_creation_forces_a_collection() -> None:
    sim = node()
    thresholds(sim, 1, 2, 3)
    fill(sim, 0, 3)  # the third is already at gc_thresh2, within 5 s of the last flush
    cache(sim).last_flush = sim.now
    for number in (1, 2):
        with pytest.raises(TableFull):
            sim.hold(host(7))
        assert cache(sim).statistics.forced_gc_runs == number


def test_at_gc_thresh3_with_nothing_to_collect_the_creation_is_refused_and_undone() -> None:
    sim = node()
    thresholds(sim, 1, 2, 3)
    ips = fill(sim, 0, 3)
    before = counters(sim)
    with pytest.raises(TableFull) as caught:
        sim.hold(host(7))
    assert caught.value.errno == errno.ENOBUFS
    assert cache(sim).statistics.table_fulls == 1
    assert counters(sim) == before
    assert cache(sim).statistics.allocs == 3  # refused before anything was allocated
    assert alive(sim) == set(ips)


def test_at_gc_thresh3_referenced_entries_are_safe_at_any_age() -> None:
    sim = node()
    thresholds(sim, 1, 2, 3)
    held = [sim.hold(ip) for ip in (host(7), host(8), host(9))]
    sim.run(3600.0)
    with pytest.raises(TableFull):
        sim.hold(host(10))
    assert [entry.nud_state for entry in held] == [NUD_NONE] * 3
    assert cache(sim).statistics.table_fulls == 1


def test_one_collected_entry_lets_a_creation_pass_even_above_gc_thresh3() -> None:
    """The count is sampled before the collection (2.1)."""
    sim = node()
    thresholds(sim, 1, 2, 9)
    for ip in (host(7), host(8), host(9), host(10)):
        sim.hold(ip)
    add(sim, host(11), NUD_FAILED)
    thresholds(sim, 1, 2, 3)
    sim.hold(host(12))
    assert cache(sim).gc_entries == 5  # still above gc_thresh3
    assert cache(sim).statistics.table_fulls == 0
    assert sim.neighbour(host(11)) is None


def test_a_refused_creation_by_a_sender_of_the_wire_is_counted_and_changes_nothing() -> None:
    sim = node()
    thresholds(sim, 1, 1, 1)
    sim.hold(host(7))
    peer = Station(sim.segment, PEER, host(2))
    peer.ask()  # would create the asker
    sim.run(0.1)
    assert sim.neighbour(host(2)) is None
    assert cache(sim).statistics.table_fulls == 1
    assert counters(sim)["entries"] == 1


# -- step 1: exemption

EXEMPT = [
    ("PERMANENT", NUD_PERMANENT, 0),
    ("EXT_LEARNED", NUD_STALE, NTF_EXT_LEARNED),
    ("EXT_VALIDATED", NUD_STALE, NTF_EXT_VALIDATED),
]


@pytest.mark.parametrize(("name", "state", "flags"), EXEMPT, ids=[row[0] for row in EXEMPT])
def test_exempt_entries_are_not_counted_and_are_created_beyond_gc_thresh3(
    name: str, state: int, flags: int
) -> None:
    sim = node()
    thresholds(sim, 1, 1, 1)
    fill(sim, 0, 1)
    fill(sim, 1, 4, state, flags=flags)
    assert (cache(sim).entries, cache(sim).gc_entries) == (5, 1)
    assert cache(sim).statistics.forced_gc_runs == 0


def test_managed_and_used_entries_are_not_exempt() -> None:
    sim = node()
    ips = [*fill(sim, 0, 1, NUD_NONE, flags=NTF_MANAGED), *fill(sim, 1, 1, NUD_NONE, flags=NTF_USE)]
    assert gc_order(sim) == ips


def test_entries_of_a_loopback_device_are_exempt() -> None:
    sim = node()
    thresholds(sim, 0, 0, 0)
    sim.add_device("lo", "00:00:00:00:00:00", (), flags=ETHERNET | IFF_LOOPBACK)
    entry = sim.hold(behind(5), "lo")
    # Of ARP's entries there is but one behind such a device.
    assert (entry.ip, entry.nud_state) == ("0.0.0.0" if version() == 4 else behind(5), NUD_NOARP)
    assert (cache(sim).entries, cache(sim).gc_entries) == (1, 0)


def test_the_default_thresholds_are_128_512_and_1024() -> None:
    arp = cache(node())
    assert (arp.gc_thresh1, arp.gc_thresh2, arp.gc_thresh3) == (128, 512, 1024)


def test_the_521st_creation_removes_9_of_520_old_stale_entries_and_the_next_none() -> None:
    """As seen on a 6.18.44 with the default thresholds (2.2)."""
    sim = node()
    cache(sim).last_flush = sim.now + 3600.0  # no collection while they are made
    ips = fill(sim, 0, 520)
    cache(sim).last_flush = sim.now
    sim.run(6.0)
    sim.hold(host(7))
    assert alive(sim) == {*ips[9:], host(7)}
    sim.hold(host(8))
    assert len(alive(sim)) == 513
    assert cache(sim).statistics.forced_gc_runs == 1


# -- step 6 to 8: the insertion


def test_an_entry_enters_gc_list_at_its_tail_and_the_device_list_at_its_head() -> None:
    sim = node()
    ips = fill(sim, 0, 3)
    assert gc_order(sim) == ips
    arp = cache(sim)
    table = arp.by_device[sim.device("va").index]
    assert [arp.handle(row).ip for row in table.members] == ips[::-1]


def test_an_entry_made_managed_enters_the_managed_list() -> None:
    sim = node()
    add(sim, host(7), NUD_NONE, flags=NTF_MANAGED)
    arp = cache(sim)
    assert [arp.handle(row).ip for row in arp.managed_list] == [host(7)]


def test_the_same_address_on_two_devices_is_two_entries() -> None:
    sim = node()
    sim.add_device("vb", "02:00:00:00:00:1a", ("203.0.113.1/24",))
    here, there = sim.hold(host(7), "va"), sim.hold(host(7), "vb")
    assert here != there
    assert cache(sim).entries == 2


def test_an_entry_is_dead_until_it_is_inserted() -> None:
    seen: list[tuple[bool, int, object]] = []
    sim = Simulation()

    def construct(entry: object) -> None:
        seen.append((entry.dead, entry.refcnt, sim.neighbour(host(7))))  # type: ignore[attr-defined]

    sim.add_device("va", OWN, neigh_construct=construct)
    assert not sim.hold(host(7)).dead
    assert seen == [(True, 1, None)]


# -- a failure at each step undoes the earlier ones


class Refused(Exception):
    pass


def refuse(*arguments: object, **named: object) -> None:
    raise Refused


def break_constructor(sim: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(cache(sim).protocol), "construct", refuse)


def break_neigh_construct(sim: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    sim.device("va").neigh_construct = refuse


def break_neigh_setup(sim: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    sim.device("va").neigh_setup = refuse


def break_back_dating(sim: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(create_module, "_back_date", refuse)


def break_hash_growth(sim: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(create_module, "grow_hash", refuse)


STEPS: list[tuple[str, Callable[[Simulation, pytest.MonkeyPatch], None]]] = [
    ("3 constructor", break_constructor),
    ("4 neigh_construct", break_neigh_construct),
    ("5 neigh_setup", break_neigh_setup),
    ("6 confirmed", break_back_dating),
    ("7 hash growth", break_hash_growth),
]


@pytest.mark.parametrize("flags", [0, NTF_EXT_LEARNED, NTF_MANAGED], ids=["plain", "exempt", "managed"])
@pytest.mark.parametrize("fail", [step[1] for step in STEPS], ids=[step[0] for step in STEPS])
def test_a_failure_at_this_step_undoes_the_earlier_ones(
    fail: Callable[[Simulation, pytest.MonkeyPatch], None], flags: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sim = node()
    fill(sim, 0, 2)
    sim.lines()
    before = counters(sim)
    rows_in_use = cache(sim).store.top
    fail(sim, monkeypatch)
    for _ in range(3):
        with pytest.raises((Refused, NeighioError)):
            sim.admin(host(7), nlm_flags=ADD, lladdr=PEER, state=NUD_STALE, flags=flags)
    assert counters(sim) == before
    assert cache(sim).statistics.allocs - 2 == cache(sim).statistics.destroys == 3
    assert cache(sim).store.top <= rows_in_use + 1  # the row of the first attempt is used again
    assert sim.neighbour(host(7)) is None
    assert sim.outputs == []


@pytest.mark.parametrize("fail", [step[1] for step in STEPS], ids=[step[0] for step in STEPS])
def test_after_a_failure_at_this_step_the_same_creation_succeeds(
    fail: Callable[[Simulation, pytest.MonkeyPatch], None],
) -> None:
    sim = node()
    with pytest.MonkeyPatch.context() as broken:
        fail(sim, broken)
        with pytest.raises((Refused, NeighioError)):
            sim.hold(host(7))
    sim.device("va").neigh_construct = sim.device("va").neigh_setup = None
    entry = sim.hold(host(7))
    assert (entry.refcnt, entry.nud_state, counters(sim)["alive"]) == (2, NUD_NONE, 1)


def test_step_7_a_device_that_goes_meanwhile_refuses_the_creation() -> None:
    """The parameters are dead by then (2.3)."""
    sim = Simulation()

    def construct(entry: object) -> None:
        sim.engine.detach(sim.device("va").index, sim.now)

    sim.add_device("va", OWN, neigh_construct=construct)
    with pytest.raises(DeviceGone):
        sim.hold(host(7))
    assert cache(sim).entries == 0
    assert counters(sim)["alive"] == 0


def test_step_7_a_duplicate_that_appears_meanwhile_is_returned_and_the_new_entry_thrown_away() -> None:
    sim = Simulation()
    made: list[object] = []

    def construct(entry: object) -> None:
        if not made:
            made.append(None)
            made[0] = sim.engine.neighbour(sim.device("va").index, packed(7), sim.now)

    sim.add_device("va", OWN, neigh_construct=construct)
    entry = sim.hold(host(7))
    assert entry == made[0]
    assert entry.refcnt == 3
    assert (cache(sim).entries, cache(sim).gc_entries) == (1, 1)
    assert (cache(sim).statistics.allocs, cache(sim).statistics.destroys) == (2, 1)


def test_memory_that_cannot_be_had_refuses_the_creation_and_leaves_the_table_working(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sim = node()
    fill(sim, 0, 200)
    before = counters(sim)
    with monkeypatch.context() as starved:
        starved.setattr("neighio.core.store._resized", lambda old, size: refuse_memory())
        with pytest.raises(TableFull):
            fill(sim, 200, 200)
    ips = alive(sim)
    assert counters(sim)["entries"] == len(ips) >= before["entries"]
    entry = sim.neighbour(sorted(ips)[0])
    assert entry is not None and entry.nud_state == NUD_STALE
    fill(sim, 600, 300)
    assert len(alive(sim)) == len(ips) + 300


def refuse_memory() -> None:
    raise OSError(errno.ENOMEM, "Cannot allocate memory")


# -- what a failed update leaves behind


def test_an_add_whose_update_fails_leaves_a_silent_none_entry_behind() -> None:
    sim = node()
    with pytest.raises(AdminError) as caught:
        sim.admin(host(7), nlm_flags=ADD, state=NUD_REACHABLE)
    assert caught.value.errno == errno.EINVAL
    entry = sim.neighbour(host(7))
    assert entry is not None and entry.nud_state == NUD_NONE
    assert sim.lines() == []
    assert entry.refcnt == 1


def test_what_a_failed_add_of_a_permanent_entry_leaves_behind_can_be_collected() -> None:
    """It was made outside the accounting; the update re-evaluates that by the state asked for (U14)."""
    sim = node()
    with pytest.raises(AdminError):
        sim.admin(host(7), nlm_flags=ADD, state=NUD_PERMANENT)
    assert cache(sim).gc_entries == 1
    assert gc_order(sim) == [host(7)]


# -- who creates entries (2, 4.1): senders and administrators


def test_a_packet_to_nobody_creates_the_entry_it_needs() -> None:
    sim = node()
    sim.send(host(7))
    entry = sim.neighbour(host(7))
    assert entry is not None and entry.nud_state == NUD_INCOMPLETE


def test_a_packet_to_a_group_leaves_a_silent_noarp_entry() -> None:
    sim = node()
    for ip in (current().group, *(("198.51.100.255", "255.255.255.255") if version() == 4 else ("ff02::1",))):
        sim.send(ip)
        entry = sim.neighbour(ip)
        assert entry is not None and entry.nud_state == NUD_NOARP
    assert sim.lines() == []


def request_from(number: int) -> bytes:
    """A request for our address from an ever different sender."""
    return current().question(current().many(number), b"\2\1" + number.to_bytes(4, "big"))


def test_a_peer_that_asks_from_ever_new_addresses_grows_nothing_beyond_gc_thresh3() -> None:
    """Law 6: each creation is a request addressed to us, none is answered with more than the table's limit."""
    sim = node()
    arp_cache = cache(sim)
    thresholds(sim, 10, 50, 100)
    capacities = set()
    for number in range(6_000):
        sim.engine.receive(1, request_from(number), sim.now + number / 300)
        sim.engine.take_outputs()
        assert arp_cache.entries <= 100
        capacities.add(arp_cache.store.capacity)
    assert capacities == {256}
    drops = sim.device("va").drops
    assert drops == {"neigh_createfail": arp_cache.statistics.table_fulls}
    assert arp_cache.statistics.allocs + arp_cache.statistics.table_fulls == 6_000
    assert arp_cache.statistics.allocs > 100  # those who were not updated for 5 s made room
    assert (arp_cache.queues, sim.driver.waiting()) == ({}, 0)
    assert sum(map(len, arp_cache.by_device[1].shards)) == arp_cache.entries


def test_a_peer_evicts_no_entry_that_is_in_use() -> None:
    """Law 8, as far as Linux keeps it: what is held, exempt or has a timer stays."""
    sim = node(base_reachable_time=10_000.0)
    held = sim.hold(host(7))
    permanent = add(sim, host(8), NUD_PERMANENT)
    reachable = add(sim, host(9), NUD_REACHABLE)
    thresholds(sim, 1, 5, 10)
    for number in range(2000):
        sim.engine.receive(1, request_from(number), sim.now + number / 100)
    assert [one.dead for one in (held, permanent, reachable)] == [False] * 3


def test_looking_creates_nothing() -> None:
    sim = node()
    assert sim.neighbour(host(7)) is None
    assert sim.engine.resolve_nowait(sim.device("va").index, packed(7), sim.now) is None
    assert cache(sim).statistics.allocs == 0


def test_a_packet_may_use_a_new_entry_at_once() -> None:
    sim = node()
    entry = sim.hold(current().group)
    sim.engine.send(entry, Packet(packet("x"), current().number), sim.now)
    (frame,) = (output.frame for output in sim.engine.take_outputs())  # type: ignore[union-attr]
    assert frame[:6] == LinkAddress(current().group_lladdr)
