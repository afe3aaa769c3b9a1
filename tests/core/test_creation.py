"""The creation of a neighbour, each step on its own, and what a failure at each step leaves: nothing."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from neighio.core import create as create_module
from neighio.core.constants import (
    IFF_BROADCAST,
    IFF_LOOPBACK,
    IFF_LOWER_UP,
    IFF_MULTICAST,
    IFF_NOARP,
    IFF_POINTOPOINT,
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
    RTN_BROADCAST,
    RTN_LOCAL,
    RTN_MULTICAST,
    RTN_UNICAST,
)
from neighio.core.device import Address, Device
from neighio.core.engine import Engine
from neighio.core.queue import Packet
from neighio.errors import AdminError, DeviceGone, NeighioError, TableFull
from neighio.testing.segment import ScriptedPeer
from neighio.testing.simulation import Simulation
from neighio.wire import arp

from .helpers import ADD, OWN, PEER, REPLACE, add, alive, cache, fill, gc_order, node, packet, thresholds

ETHERNET = IFF_UP | IFF_RUNNING | IFF_LOWER_UP | IFF_BROADCAST | IFF_MULTICAST
HOST = bytes((198, 51, 100, 7))
MAC = bytes.fromhex("02000000000a")
BROADCAST = bytes.fromhex("ffffffffffff")


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
    sim.hold("198.51.100.7")
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
    entry = sim.hold("198.51.100.7")
    assert (entry.nud_state, entry.flags, entry.protocol, entry.probes) == (NUD_NONE, 0, 0, 0)
    assert (entry.type, entry.lladdr, entry.dead) == (RTN_UNICAST, None, False)
    assert (entry.used, entry.updated) == (sim.now, sim.now)
    assert entry.confirmed == sim.now - 2 * 20.0
    assert entry.refcnt == 2  # the table's, and the caller's


def test_confirmed_is_back_dated_by_the_devices_own_base_reachable_time() -> None:
    sim = node(base_reachable_time=20.0)
    sim.set("va", base_reachable_time=3.0)
    assert sim.hold("198.51.100.7").confirmed == sim.now - 6.0


def test_creation_itself_tells_nobody_and_sends_nothing() -> None:
    sim = node()
    sim.hold("198.51.100.7")
    sim.hold("224.0.0.251")
    assert sim.outputs == []


def test_a_creation_does_not_count_as_a_lookup_but_administration_does() -> None:
    sim = node()
    statistics = cache(sim).statistics
    before = statistics.lookups
    sim.resolve("198.51.100.7")
    sim.send("198.51.100.7")
    assert (statistics.lookups, statistics.hits) == (before, 0)
    add(sim, "198.51.100.8")
    sim.admin("198.51.100.8", nlm_flags=REPLACE, lladdr=PEER, state=NUD_STALE)
    assert (statistics.lookups, statistics.hits) == (before + 2, 1)


def test_without_want_ref_nobody_holds_the_entry() -> None:
    sim = node()
    sim.resolve("198.51.100.7")
    entry = sim.neighbour("198.51.100.7")
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
            sim.hold("198.51.100.7")
        assert cache(sim).statistics.forced_gc_runs == number


def test_at_gc_thresh3_with_nothing_to_collect_the_creation_is_refused_and_undone() -> None:
    sim = node()
    thresholds(sim, 1, 2, 3)
    ips = fill(sim, 0, 3)
    before = counters(sim)
    with pytest.raises(TableFull) as caught:
        sim.hold("198.51.100.7")
    assert caught.value.errno == errno.ENOBUFS
    assert cache(sim).statistics.table_fulls == 1
    assert counters(sim) == before
    assert cache(sim).statistics.allocs == 3  # refused before anything was allocated
    assert alive(sim) == set(ips)


def test_at_gc_thresh3_referenced_entries_are_safe_at_any_age() -> None:
    sim = node()
    thresholds(sim, 1, 2, 3)
    held = [sim.hold(ip) for ip in ("198.51.100.7", "198.51.100.8", "198.51.100.9")]
    sim.run(3600.0)
    with pytest.raises(TableFull):
        sim.hold("198.51.100.10")
    assert [entry.nud_state for entry in held] == [NUD_NONE] * 3
    assert cache(sim).statistics.table_fulls == 1


def test_one_collected_entry_lets_a_creation_pass_even_above_gc_thresh3() -> None:
    """The count is sampled before the collection (2.1)."""
    sim = node()
    thresholds(sim, 1, 2, 9)
    for ip in ("198.51.100.7", "198.51.100.8", "198.51.100.9", "198.51.100.10"):
        sim.hold(ip)
    add(sim, "198.51.100.11", NUD_FAILED)
    thresholds(sim, 1, 2, 3)
    sim.hold("198.51.100.12")
    assert cache(sim).gc_entries == 5  # still above gc_thresh3
    assert cache(sim).statistics.table_fulls == 0
    assert sim.neighbour("198.51.100.11") is None


def test_a_refused_creation_by_a_sender_of_the_wire_is_counted_and_changes_nothing() -> None:
    sim = node()
    thresholds(sim, 1, 1, 1)
    sim.hold("198.51.100.7")
    peer = ScriptedPeer(sim.segment, PEER, "198.51.100.2")
    peer.ask("198.51.100.1")  # would create the asker
    sim.run(0.1)
    assert sim.neighbour("198.51.100.2") is None
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
    fill(sim, 0, 1, NUD_NONE, flags=NTF_MANAGED)
    fill(sim, 1, 1, NUD_NONE, flags=NTF_USE)
    assert cache(sim).gc_entries == 2


def test_entries_of_a_loopback_device_are_exempt() -> None:
    sim = node()
    thresholds(sim, 0, 0, 0)
    sim.add_device("lo", "00:00:00:00:00:00", (), flags=ETHERNET | IFF_LOOPBACK)
    entry = sim.hold("203.0.113.5", "lo")
    assert (entry.ip, entry.nud_state) == ("0.0.0.0", NUD_NOARP)
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
    sim.hold("198.51.100.7")
    assert alive(sim) == {*ips[9:], "198.51.100.7"}
    sim.hold("198.51.100.8")
    assert len(alive(sim)) == 513
    assert cache(sim).statistics.forced_gc_runs == 1


# -- steps 2 and 3: the key and the constructor (2.4)


def engine_with(flags: int, **options: object) -> Engine:
    engine = Engine(now=50.0)
    device = Device("d0", 3, MAC, flags=flags, **options)  # type: ignore[arg-type]
    engine.attach(device, 50.0)
    engine.add_address(3, Address(bytes((198, 51, 100, 1)), 24), 50.0)
    return engine


OWN_SUBNET_BROADCAST = bytes((198, 51, 100, 255))
CONSTRUCTOR = [
    # device, key -> key, state, type, lladdr; the first row that matches decides
    ("no header", ETHERNET, {"header": False}, HOST, HOST, NUD_NOARP, RTN_UNICAST, bytes(6)),
    (
        "no header, multicast",
        ETHERNET,
        {"header": False},
        b"\xe0\0\0\xfb",
        b"\xe0\0\0\xfb",
        NUD_NOARP,
        RTN_MULTICAST,
        bytes(6),
    ),
    (
        "multicast",
        ETHERNET,
        {},
        b"\xe0\0\0\xfb",
        b"\xe0\0\0\xfb",
        NUD_NOARP,
        RTN_MULTICAST,
        bytes.fromhex("01005e0000fb"),
    ),
    (
        "multicast, 23 bits",
        ETHERNET,
        {},
        b"\xef\xff\x01\x02",
        b"\xef\xff\x01\x02",
        NUD_NOARP,
        RTN_MULTICAST,
        bytes.fromhex("01005e7f0102"),
    ),
    (
        "multicast on IFF_NOARP",
        ETHERNET | IFF_NOARP,
        {},
        b"\xe0\0\0\xfb",
        b"\xe0\0\0\xfb",
        NUD_NOARP,
        RTN_MULTICAST,
        bytes.fromhex("01005e0000fb"),
    ),
    ("IFF_NOARP", ETHERNET | IFF_NOARP, {}, HOST, HOST, NUD_NOARP, RTN_UNICAST, MAC),
    (
        "IFF_NOARP, broadcast key",
        ETHERNET | IFF_NOARP,
        {},
        OWN_SUBNET_BROADCAST,
        OWN_SUBNET_BROADCAST,
        NUD_NOARP,
        RTN_BROADCAST,
        MAC,
    ),
    ("loopback", ETHERNET | IFF_LOOPBACK, {}, HOST, bytes(4), NUD_NOARP, RTN_BROADCAST, MAC),
    (
        "subnet broadcast",
        ETHERNET,
        {},
        OWN_SUBNET_BROADCAST,
        OWN_SUBNET_BROADCAST,
        NUD_NOARP,
        RTN_BROADCAST,
        BROADCAST,
    ),
    (
        "subnet network",
        ETHERNET,
        {},
        bytes((198, 51, 100, 0)),
        bytes((198, 51, 100, 0)),
        NUD_NONE,
        RTN_UNICAST,
        bytes(6),
    ),
    (
        "limited broadcast",
        ETHERNET,
        {},
        b"\xff\xff\xff\xff",
        b"\xff\xff\xff\xff",
        NUD_NOARP,
        RTN_BROADCAST,
        BROADCAST,
    ),
    ("point-to-point", ETHERNET | IFF_POINTOPOINT, {}, HOST, bytes(4), NUD_NOARP, RTN_BROADCAST, BROADCAST),
    ("host", ETHERNET, {}, HOST, HOST, NUD_NONE, RTN_UNICAST, bytes(6)),
    (
        "own address",
        ETHERNET,
        {},
        bytes((198, 51, 100, 1)),
        bytes((198, 51, 100, 1)),
        NUD_NONE,
        RTN_LOCAL,
        bytes(6),
    ),
    (
        "other subnet's broadcast",
        ETHERNET,
        {},
        bytes((203, 0, 113, 255)),
        bytes((203, 0, 113, 255)),
        NUD_NONE,
        RTN_UNICAST,
        bytes(6),
    ),
]


@pytest.mark.parametrize(
    ("flags", "options", "key", "becomes", "state", "kind", "lladdr"),
    [row[1:] for row in CONSTRUCTOR],
    ids=[row[0] for row in CONSTRUCTOR],
)
def test_the_constructor(
    flags: int, options: dict[str, bool], key: bytes, becomes: bytes, state: int, kind: int, lladdr: bytes
) -> None:
    engine = engine_with(flags, **options)
    entry = engine.neighbour(3, key, 51.0)
    assert (entry.key, entry.nud_state, entry.type) == (becomes, state, kind)
    assert entry.cache.lladdr(entry.row) == lladdr


def test_the_type_is_what_the_address_was_when_the_entry_was_made() -> None:
    engine = engine_with(ETHERNET)
    late = bytes((203, 0, 113, 255))
    entry = engine.neighbour(3, late, 51.0)
    engine.new_neighbour(
        3, late, 51.0, lladdr=bytes.fromhex("02000000000b"), state=NUD_STALE, nlm_flags=REPLACE
    )
    engine.add_address(3, Address(bytes((203, 0, 113, 1)), 24), 52.0)
    assert (entry.type, entry.nud_state) == (RTN_UNICAST, NUD_STALE)


def test_every_ipv4_address_behind_a_point_to_point_device_is_one_entry() -> None:
    engine = engine_with(ETHERNET | IFF_POINTOPOINT)
    first = engine.neighbour(3, HOST, 51.0)
    second = engine.neighbour(3, bytes((203, 0, 113, 9)), 52.0)
    assert first == second
    assert first.refcnt == 3
    assert engine.caches[2].statistics.allocs == 1  # the output path looks up the one key there is


def test_an_administrators_duplicate_on_a_point_to_point_device_is_thrown_away_and_the_old_one_taken() -> (
    None
):
    """EXCL looks for the address as given, the constructor then makes it 0.0.0.0 (2.4)."""
    engine = engine_with(ETHERNET | IFF_POINTOPOINT)
    arp = engine.caches[2]
    peer = bytes.fromhex("02000000000b")
    engine.new_neighbour(3, HOST, 51.0, lladdr=peer, state=NUD_PERMANENT, nlm_flags=ADD)
    engine.new_neighbour(3, HOST, 52.0, lladdr=peer, state=NUD_STALE, nlm_flags=ADD)
    (row,) = arp.rows()
    assert arp.handle(row).nud_state == NUD_STALE
    assert (arp.entries, arp.statistics.allocs, arp.statistics.destroys) == (1, 2, 1)
    with pytest.raises(AdminError) as caught:
        engine.delete_neighbour(3, HOST, 53.0)
    assert caught.value.errno == errno.ENOENT


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
    add(sim, "198.51.100.7", NUD_NONE, flags=NTF_MANAGED)
    arp = cache(sim)
    assert [arp.handle(row).ip for row in arp.managed_list] == ["198.51.100.7"]


def test_the_same_address_on_two_devices_is_two_entries() -> None:
    sim = node()
    sim.add_device("vb", "02:00:00:00:00:1a", ("203.0.113.1/24",))
    here, there = sim.hold("198.51.100.7", "va"), sim.hold("198.51.100.7", "vb")
    assert here != there
    assert cache(sim).entries == 2


def test_an_entry_is_dead_until_it_is_inserted() -> None:
    seen: list[tuple[bool, int, object]] = []
    sim = Simulation()

    def construct(entry: object) -> None:
        seen.append((entry.dead, entry.refcnt, sim.neighbour("198.51.100.7")))  # type: ignore[attr-defined]

    sim.add_device("va", OWN, neigh_construct=construct)
    assert not sim.hold("198.51.100.7").dead
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
            sim.admin("198.51.100.7", nlm_flags=ADD, lladdr=PEER, state=NUD_STALE, flags=flags)
    assert counters(sim) == before
    assert cache(sim).statistics.allocs - 2 == cache(sim).statistics.destroys == 3
    assert cache(sim).store.top <= rows_in_use + 1  # the row of the first attempt is used again
    assert sim.neighbour("198.51.100.7") is None
    assert sim.outputs == []


@pytest.mark.parametrize("fail", [step[1] for step in STEPS], ids=[step[0] for step in STEPS])
def test_after_a_failure_at_this_step_the_same_creation_succeeds(
    fail: Callable[[Simulation, pytest.MonkeyPatch], None],
) -> None:
    sim = node()
    with pytest.MonkeyPatch.context() as broken:
        fail(sim, broken)
        with pytest.raises((Refused, NeighioError)):
            sim.hold("198.51.100.7")
    sim.device("va").neigh_construct = sim.device("va").neigh_setup = None
    entry = sim.hold("198.51.100.7")
    assert (entry.refcnt, entry.nud_state, counters(sim)["alive"]) == (2, NUD_NONE, 1)


def test_step_7_a_device_that_goes_meanwhile_refuses_the_creation() -> None:
    """The parameters are dead by then (2.3)."""
    sim = Simulation()

    def construct(entry: object) -> None:
        sim.engine.detach(sim.device("va").index, sim.now)

    sim.add_device("va", OWN, neigh_construct=construct)
    with pytest.raises(DeviceGone):
        sim.hold("198.51.100.7")
    assert cache(sim).entries == 0
    assert counters(sim)["alive"] == 0


def test_step_7_a_duplicate_that_appears_meanwhile_is_returned_and_the_new_entry_thrown_away() -> None:
    sim = Simulation()
    made: list[object] = []

    def construct(entry: object) -> None:
        if not made:
            made.append(None)
            made[0] = sim.engine.neighbour(sim.device("va").index, HOST, sim.now)

    sim.add_device("va", OWN, neigh_construct=construct)
    entry = sim.hold("198.51.100.7")
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
        sim.admin("198.51.100.7", nlm_flags=ADD, state=NUD_REACHABLE)
    assert caught.value.errno == errno.EINVAL
    entry = sim.neighbour("198.51.100.7")
    assert entry is not None and entry.nud_state == NUD_NONE
    assert sim.lines() == []
    assert entry.refcnt == 1


def test_what_a_failed_add_of_a_permanent_entry_leaves_behind_can_be_collected() -> None:
    """It was made outside the accounting; the update re-evaluates that by the state asked for (U14)."""
    sim = node()
    with pytest.raises(AdminError):
        sim.admin("198.51.100.7", nlm_flags=ADD, state=NUD_PERMANENT)
    assert cache(sim).gc_entries == 1
    assert gc_order(sim) == ["198.51.100.7"]


# -- who creates entries (2, 4.1): senders and administrators


def test_a_packet_to_nobody_creates_the_entry_it_needs() -> None:
    sim = node()
    sim.send("198.51.100.7")
    entry = sim.neighbour("198.51.100.7")
    assert entry is not None and entry.nud_state == NUD_INCOMPLETE


def test_a_packet_to_a_group_leaves_a_silent_noarp_entry() -> None:
    sim = node()
    for ip in ("224.0.0.251", "198.51.100.255", "255.255.255.255"):
        sim.send(ip)
        entry = sim.neighbour(ip)
        assert entry is not None and entry.nud_state == NUD_NOARP
    assert sim.lines() == []


def request_from(number: int) -> bytes:
    """A request for our address from an ever different sender."""
    sender, ip = b"\2\1" + number.to_bytes(4, "big"), bytes((198, 18)) + (256 + number).to_bytes(2, "big")
    return arp.build(
        arp.ARPOP_REQUEST, ip, sender, bytes((198, 51, 100, 1)), bytes(6), dst=b"\xff" * 6, src=sender
    )


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
    held = sim.hold("198.51.100.7")
    permanent = add(sim, "198.51.100.8", NUD_PERMANENT)
    reachable = add(sim, "198.51.100.9", NUD_REACHABLE)
    thresholds(sim, 1, 5, 10)
    for number in range(2000):
        sim.engine.receive(1, request_from(number), sim.now + number / 100)
    assert [one.dead for one in (held, permanent, reachable)] == [False] * 3


def test_looking_creates_nothing() -> None:
    sim = node()
    assert sim.neighbour("198.51.100.7") is None
    assert sim.engine.resolve_nowait(sim.device("va").index, HOST, sim.now) is None
    assert cache(sim).statistics.allocs == 0


def test_a_packet_may_use_a_new_entry_at_once() -> None:
    sim = node()
    entry = sim.hold("224.0.0.251")
    sim.engine.send(entry, Packet(packet("x"), 2), sim.now)
    (frame,) = (output.frame for output in sim.engine.take_outputs())  # type: ignore[union-attr]
    assert frame[:6] == bytes.fromhex("01005e0000fb")
