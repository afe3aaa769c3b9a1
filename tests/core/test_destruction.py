"""The destruction of neighbours: each trigger of section 3, what it keeps, its events and their order, and
what becomes of the packets that waited."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import NamedTuple

import pytest

from neighio.address import parse_ip
from neighio.core.constants import (
    NLM_F_CREATE,
    NTF_EXT_LEARNED,
    NTF_EXT_VALIDATED,
    NTF_MANAGED,
    NTF_PROXY,
    NTF_ROUTER,
    NUD_DELAY,
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
)
from neighio.core.device import Address
from neighio.core.events import Change, DelNeighbour, NewNeighbour, PacketFailed, Settled
from neighio.core.neighbour import Neighbour
from neighio.core.proxy import find_proxy
from neighio.errors import AdminError, DeviceGone, Unreachable
from neighio.testing.segment import MemoryLink
from neighio.testing.simulation import Simulation

from .families import ARP_ALONE, behind, current, host, packed, version
from .helpers import (
    PEER,
    add,
    alive,
    cache,
    failures,
    fill,
    frames,
    gc_order,
    lines,
    node,
    packet,
    second_device,
    settled,
)
from .station import Station

pytestmark = pytest.mark.usefixtures("family")


VA = 1
OTHER_MAC = bytes.fromhex("02000000000c")
PROXIES = {"permanent": 50, "other": 51}
"""Whom, behind another device."""


class Member(NamedTuple):
    """One entry of the population, and how its deletion is told."""

    number: int
    state: int
    flags: int
    told: str


AT = f"lladdr {PEER}"
POPULATION = [
    Member(2, NUD_NONE, 0, ""),
    Member(3, NUD_INCOMPLETE, 0, " INCOMPLETE"),
    Member(4, NUD_REACHABLE, 0, f" {AT} REACHABLE"),
    Member(5, NUD_STALE, 0, f" {AT} STALE"),
    Member(6, NUD_DELAY, 0, f" {AT} DELAY"),
    Member(7, NUD_PROBE, 0, f" {AT} PROBE"),
    Member(8, NUD_FAILED, 0, " FAILED"),
    Member(9, NUD_NOARP, 0, f" {AT} NOARP"),
    Member(10, NUD_PERMANENT, 0, f" {AT} PERMANENT"),
    Member(11, NUD_STALE, NTF_EXT_LEARNED, f" {AT} extern_learn STALE"),
    Member(12, NUD_STALE, NTF_EXT_VALIDATED, f" {AT} STALE"),
    Member(13, NUD_NONE, NTF_MANAGED, " managed INCOMPLETE"),
    Member(14, NUD_PERMANENT, NTF_ROUTER, f" {AT} router PERMANENT"),
]
NEVER_FLUSHED_WITH_THE_CARRIER = {10, 12, 14}


def populated() -> Simulation:
    """A device with an entry of every kind, made in the order of POPULATION; then the group; two proxies."""
    sim = node()
    for member in POPULATION:
        add(sim, host(member.number), member.state, flags=member.flags)
    sim.release(sim.hold(current().group))
    for name, number in PROXIES.items():
        state = NUD_PERMANENT if name == "permanent" else NUD_NONE
        sim.admin(behind(number), nlm_flags=NLM_F_CREATE, state=state, flags=NTF_PROXY)
    sim.lines()
    return sim


def entry_of(sim: Simulation, ip: str) -> Neighbour:
    found = sim.neighbour(ip)
    assert found is not None
    return found


def proxies(sim: Simulation) -> set[str]:
    return {
        name
        for name, number in PROXIES.items()
        if find_proxy(cache(sim), parse_ip(behind(number))[0], VA) is not None
    }


def set_down(sim: Simulation) -> None:
    sim.engine.link_down(VA, sim.now)


def change_lladdr(sim: Simulation) -> None:
    sim.engine.set_lladdr(VA, OTHER_MAC, sim.now)


def set_the_same_lladdr(sim: Simulation) -> None:
    sim.engine.set_lladdr(VA, sim.device("va").lladdr, sim.now)


def turn_noarp_on(sim: Simulation) -> None:
    sim.engine.set_noarp(VA, True, sim.now)


def remove_every_address(sim: Simulation) -> None:
    for address in (*current().own, current().wide):
        sim.remove_address("va", address)


def detach(sim: Simulation) -> None:
    sim.driver.detach(VA)


def lose_the_carrier(sim: Simulation) -> None:
    sim.engine.carrier(VA, False, sim.now)


class Trigger(NamedTuple):
    """What flushes a device, and what of it stays."""

    name: str
    act: Callable[[Simulation], None]
    keeps: frozenset[int]
    proxies: frozenset[str]


NOTHING: frozenset[int] = frozenset()
NONE: frozenset[str] = frozenset()
BOTH = frozenset(PROXIES)
TRIGGERS = [
    Trigger("ip link set down", set_down, NOTHING, NONE),
    Trigger("MAC address changed", change_lladdr, NOTHING, BOTH),
    Trigger("MAC address set to the same", set_the_same_lladdr, NOTHING, BOTH),
    Trigger("IFF_NOARP toggled", turn_noarp_on, NOTHING, BOTH),
    Trigger("detached", detach, NOTHING, NONE),
    Trigger(
        "carrier lost", lose_the_carrier, frozenset(NEVER_FLUSHED_WITH_THE_CARRIER), frozenset({"permanent"})
    ),
]
LAST_ADDRESS = Trigger("last IPv4 address removed", remove_every_address, NOTHING, NONE)
"""Of IPv4 alone: IPv6's neighbours stay when its addresses go."""

CELLS = [
    *(pytest.param("arp", trigger, id=f"{trigger.name} - arp") for trigger in [*TRIGGERS, LAST_ADDRESS]),
    *(pytest.param("ndisc", trigger, id=f"{trigger.name} - ndisc") for trigger in TRIGGERS),
]
EVERY_TRIGGER = pytest.mark.parametrize(("family", "trigger"), CELLS, indirect=["family"])


@EVERY_TRIGGER
def test_a_flush_tells_of_each_entry_in_its_present_state_newest_first(trigger: Trigger) -> None:
    sim = populated()
    trigger.act(sim)
    sim.run(0.001)
    told = [f"Deleted {current().group} lladdr {current().group_lladdr} NOARP"]
    told += [
        f"Deleted {host(member.number)}{member.told}"
        for member in reversed(POPULATION)
        if member.number not in trigger.keeps
    ]
    assert lines(sim) == told


@EVERY_TRIGGER
def test_a_flush_keeps_what_it_is_said_to_keep(trigger: Trigger) -> None:
    sim = populated()
    trigger.act(sim)
    sim.run(0.001)
    assert alive(sim) == {host(number) for number in trigger.keeps}
    assert proxies(sim) == trigger.proxies
    arp = cache(sim)
    assert (arp.entries, arp.gc_entries) == (len(trigger.keeps), 0)
    assert (list(arp.gc_list), list(arp.managed_list), arp.queues) == ([], [], {})
    # The managed one was asked for: of Neighbour Discovery's there is an entry of its group.
    groups = 1 + (version() == 6)
    assert arp.statistics.destroys == len(POPULATION) + groups - len(trigger.keeps)
    assert arp.statistics.res_failed == 0  # nothing failed: it went


@EVERY_TRIGGER
def test_what_a_flush_keeps_is_left_exactly_as_it_was(trigger: Trigger) -> None:
    sim = populated()
    before = {host(number): entry_of(sim, host(number)) for number in trigger.keeps}
    fields = {ip: (e.nud_state, e.lladdr, e.updated, e.refcnt) for ip, e in before.items()}
    trigger.act(sim)
    sim.run(0.001)
    for ip, entry in before.items():
        assert sim.neighbour(ip) == entry
        assert (entry.nud_state, entry.lladdr, entry.updated, entry.refcnt) == fields[ip]


@EVERY_TRIGGER
def test_a_flush_drops_queued_packets_silently_and_counts_them(trigger: Trigger) -> None:
    sim = node()
    pending = [sim.send(host(7), packet(mark)) for mark in "abc"]
    sim.lines()
    trigger.act(sim)
    sim.run(0.001)
    assert failures(sim) == [(host(7), packet(mark), "DeviceGone", False) for mark in "abc"]
    assert [type(one.outcome) for one in pending] == [DeviceGone] * 3


@pytest.mark.parametrize(
    ("family", "trigger"),
    [cell for cell in CELLS if "detached" not in str(cell.id)],
    indirect=["family"],
)
def test_each_packet_that_a_flush_drops_is_counted(trigger: Trigger) -> None:
    sim = node()
    for mark in "abc":
        sim.send(host(7), packet(mark))
    trigger.act(sim)
    assert sim.device("va").drops == {"queue_purge": 3}


@EVERY_TRIGGER
def test_a_flush_ends_every_wait_with_device_gone(trigger: Trigger) -> None:
    """Scenario 200: two hundred pending, two hundred DeviceGone, nothing left."""
    sim = node()
    waiting = [sim.resolve(ip) for ip in [host(number) for number in range(2, 202)]]
    assert sim.driver.waiting() == 200
    trigger.act(sim)
    sim.run(0.001)
    assert [type(one.outcome) for one in waiting] == [DeviceGone] * 200
    assert len({id(one.outcome) for one in waiting}) == 200  # to each an exception of its own
    assert sim.driver.waiting() == 0
    assert cache(sim).entries == 0
    sim.lines()
    sim.run(10.0)
    assert frames(sim) == []
    assert sim.lines() == []


@EVERY_TRIGGER
def test_a_flush_ends_a_wait_for_proof_with_device_gone(trigger: Trigger) -> None:
    sim = node()
    add(sim, host(7), NUD_STALE)
    pending = sim.resolve(host(7), verified=True)
    trigger.act(sim)
    sim.run(0.001)
    assert type(pending.outcome) is DeviceGone
    assert sim.driver.waiting() == 0


@EVERY_TRIGGER
def test_the_timers_of_flushed_entries_never_fire(trigger: Trigger) -> None:
    sim = node(base_reachable_time=2.0, retrans_time=0.5)
    add(sim, host(4), NUD_REACHABLE)
    add(sim, host(7), NUD_PROBE)
    sim.resolve(host(3))
    trigger.act(sim)
    sim.run(0.001)
    sim.lines()
    sim.run(30.0)
    assert frames(sim) == []
    assert sim.lines() == []


# -- a flush of entries that are referenced elsewhere

HELD = [
    # the state before -> what the holder finds, and what is told
    ("NONE", NUD_NONE, NUD_NONE, ""),
    ("INCOMPLETE", NUD_INCOMPLETE, NUD_NONE, ""),
    ("FAILED", NUD_FAILED, NUD_NONE, ""),
    ("REACHABLE", NUD_REACHABLE, NUD_NOARP, f" {AT} NOARP"),
    ("STALE", NUD_STALE, NUD_NOARP, f" {AT} NOARP"),
    ("DELAY", NUD_DELAY, NUD_NOARP, f" {AT} NOARP"),
    ("PROBE", NUD_PROBE, NUD_NOARP, f" {AT} NOARP"),
    ("NOARP", NUD_NOARP, NUD_NOARP, f" {AT} NOARP"),
    ("PERMANENT", NUD_PERMANENT, NUD_NOARP, f" {AT} NOARP"),
]


@pytest.mark.parametrize(
    ("state", "becomes", "told"), [row[1:] for row in HELD], ids=[row[0] for row in HELD]
)
def test_a_flushed_entry_that_is_held_elsewhere_becomes_noarp_or_none_and_dead(
    state: int, becomes: int, told: str
) -> None:
    sim = node()
    entry = add(sim, host(7), state)
    sim.hold(host(7))
    sim.lines()
    set_down(sim)
    sim.run(0.001)
    assert lines(sim) == [f"Deleted {host(7)}{told}"]
    assert (entry.nud_state, entry.dead, entry.refcnt) == (becomes, True, 1)
    assert sim.neighbour(host(7)) is None
    sim.release(entry)
    assert not entry.exists
    assert lines(sim) == []  # its last reference goes unheard


def test_a_held_entry_loses_its_queue_before_its_deletion_is_told_another_after_it() -> None:
    """neigh_flush_one purges what is referenced; neigh_destroy the rest, after the notification."""
    orders = []
    for held in (True, False):
        sim = node()
        sim.send(host(7), packet("a"))
        if held:
            sim.hold(host(7))
        sim.lines()
        set_down(sim)
        sim.run(0.001)
        told = [o for o in sim.outputs if isinstance(o, PacketFailed | DelNeighbour)]
        orders.append([type(o) for o in told if o.ip == host(7)])
    assert orders == [[PacketFailed, DelNeighbour], [DelNeighbour, PacketFailed]]


def test_the_trace_shows_what_becomes_of_a_held_entry() -> None:
    sim = node(trace=True)
    add(sim, host(7), NUD_STALE)
    sim.hold(host(7))
    sim.lines()
    set_down(sim)
    sim.run(0.001)
    (change,) = (output for output in sim.outputs if isinstance(output, Change))
    assert (change.stimulus, change.old_state, change.state) == ("flush", NUD_STALE, NUD_NOARP)


# -- particular rules of the triggers


def test_evict_nocarrier_off_keeps_everything_when_the_carrier_goes() -> None:
    for dev in (None, "va"):  # all AND dev
        sim = populated()
        sim.set(dev, version(), **{current().evict_nocarrier: 0})
        before = alive(sim)
        lose_the_carrier(sim)
        sim.run(0.001)
        assert alive(sim) == before
        assert proxies(sim) == BOTH
        assert lines(sim) == []


def test_every_further_change_without_carrier_flushes_again() -> None:
    sim = node()
    lose_the_carrier(sim)
    add(sim, host(7), NUD_STALE)
    sim.lines()
    lose_the_carrier(sim)
    assert lines(sim) == []
    sim.run(0.001)
    assert lines(sim) == [f"Deleted {host(7)} {AT} STALE"]


def test_the_carrier_coming_back_touches_nothing() -> None:
    sim = populated()
    before = alive(sim)
    sim.engine.carrier(VA, True, sim.now)
    sim.run(0.001)
    assert (alive(sim), lines(sim)) == (before, [])


def test_setting_a_device_up_touches_nothing() -> None:
    sim = populated()
    set_down(sim)
    sim.engine.link_up(VA, sim.now)
    add(sim, host(2), NUD_STALE)
    sim.lines()
    sim.engine.link_up(VA, sim.now)
    sim.run(0.001)
    assert (alive(sim), lines(sim)) == ({host(2)}, [])


def test_noarp_that_stays_as_it_is_touches_nothing() -> None:
    sim = populated()
    before = alive(sim)
    sim.engine.set_noarp(VA, False, sim.now)
    sim.run(0.001)
    assert alive(sim) == before


def test_noarp_flushes_when_it_is_turned_off_as_well() -> None:
    sim = node()
    turn_noarp_on(sim)
    sim.release(sim.hold(host(7)))
    sim.lines()
    sim.engine.set_noarp(VA, False, sim.now)
    sim.run(0.001)
    assert lines(sim) == [f"Deleted {host(7)} lladdr 02:00:00:00:00:0a NOARP"]


def test_removing_an_address_that_is_not_the_last_touches_nothing() -> None:
    sim = populated()
    before = alive(sim)
    sim.remove_address("va", current().wide)
    sim.run(0.001)
    assert (alive(sim), proxies(sim), lines(sim)) == (before, BOTH, [])


def test_removing_an_address_that_is_not_there_touches_nothing() -> None:
    sim = populated()
    before = alive(sim)
    sim.engine.remove_address(VA, packed(1)[:-1] + b"\x77", 24, sim.now)
    sim.run(0.001)
    assert alive(sim) == before


@EVERY_TRIGGER
def test_a_flush_is_of_one_device(trigger: Trigger) -> None:
    sim = node()
    second_device(sim)
    add(sim, behind(7), NUD_STALE, dev="vb")
    sim.admin(behind(9), "vb", nlm_flags=NLM_F_CREATE, flags=NTF_PROXY)
    sim.lines()
    trigger.act(sim)
    sim.run(0.001)
    assert alive(sim) == {behind(7)}
    assert len(cache(sim).proxies) == 1
    assert lines(sim) == []


def test_after_the_mac_address_changed_solicitations_carry_the_new_one() -> None:
    """Scenario 220."""
    sim = node()
    peer = Station(sim.segment, PEER, host(7))
    sim.resolve(host(7))
    link = sim.driver.links[VA]
    assert isinstance(link, MemoryLink)
    link.change(lladdr=OTHER_MAC)
    sim.run(0.001)
    assert alive(sim) == set()
    pending = sim.resolve(host(7))
    sim.run(0.1)
    assert [frame[6:12] for frame in peer.heard] == [bytes.fromhex("02000000000a"), OTHER_MAC]
    assert all(frame[6:12] in frame[14:] for frame in peer.heard)
    assert str(pending.outcome) == PEER


def test_after_the_carrier_came_back_what_was_flushed_resolves_anew_and_permanent_entries_still_serve() -> (
    None
):
    """Scenario 221."""
    sim = node()
    Station(sim.segment, PEER, host(7))
    add(sim, host(7), NUD_STALE, lladdr="02:00:00:00:00:99")
    add(sim, host(8), NUD_PERMANENT, lladdr="02:00:00:00:00:98")
    link = sim.driver.links[VA]
    assert isinstance(link, MemoryLink)
    link.set_carrier(False)
    sim.run(1.0)
    link.set_carrier(True)
    assert str(sim.resolve(host(8)).outcome) == "02:00:00:00:00:98"
    pending = sim.resolve(host(7))
    sim.run(0.1)
    assert str(pending.outcome) == PEER


# -- an administrator's deletion

DELETION = [
    # old state, flags -> what is told; the deletion itself always shows FAILED, without an address
    ("NONE", NUD_NONE, 0, []),
    ("FAILED", NUD_FAILED, 0, []),
    ("FAILED extern_learn", NUD_FAILED, NTF_EXT_LEARNED, []),  # even if the flags are cleared
    ("INCOMPLETE", NUD_INCOMPLETE, 0, ["FAILED"]),
    ("REACHABLE", NUD_REACHABLE, 0, ["FAILED"]),
    ("STALE", NUD_STALE, 0, ["FAILED"]),
    ("DELAY", NUD_DELAY, 0, ["FAILED"]),
    ("PROBE", NUD_PROBE, 0, ["FAILED"]),
    ("NOARP", NUD_NOARP, 0, ["FAILED"]),
    ("PERMANENT", NUD_PERMANENT, 0, ["FAILED"]),
    ("STALE extern_learn", NUD_STALE, NTF_EXT_LEARNED, ["FAILED"]),
    ("STALE extern_valid", NUD_STALE, NTF_EXT_VALIDATED, ["FAILED"]),
    ("managed INCOMPLETE", NUD_NONE, NTF_MANAGED, ["FAILED"]),
]


@pytest.mark.parametrize(
    ("state", "flags", "told"), [row[1:] for row in DELETION], ids=[row[0] for row in DELETION]
)
def test_a_deletion_fails_the_entry_and_then_takes_it_out(state: int, flags: int, told: list[str]) -> None:
    sim = node()
    add(sim, host(7), state, flags=flags)
    sim.lines()
    sim.delete(host(7))
    assert lines(sim) == [*(f"{host(7)} {word}" for word in told), f"Deleted {host(7)} FAILED"]
    assert (alive(sim), gc_order(sim)) == (set(), [])
    assert list(cache(sim).managed_list) == []


@pytest.mark.parametrize(
    ("state", "failed"),
    [
        (NUD_INCOMPLETE, 1),
        (NUD_PROBE, 1),
        (NUD_REACHABLE, 0),
        (NUD_STALE, 0),
        (NUD_DELAY, 0),
        (NUD_PERMANENT, 0),
        (NUD_NONE, 0),
        (NUD_FAILED, 0),
    ],
)
def test_res_failed_counts_the_deletion_of_incomplete_and_probe_only(state: int, failed: int) -> None:
    sim = node()
    add(sim, host(7), state)
    sim.delete(host(7))
    assert cache(sim).statistics.res_failed == failed


def test_the_deletion_of_an_incomplete_entry_tells_each_sender_oldest_first_before_it_is_told() -> None:
    sim = node()
    pending = [sim.send(host(7), packet(mark)) for mark in "abc"]
    waiter = sim.resolve(host(7))
    sim.lines()
    sim.delete(host(7))
    assert failures(sim) == [(host(7), packet(mark), "Unreachable", True) for mark in "abc"]
    kinds = [type(o) for o in sim.outputs if not isinstance(o, Settled)]
    assert kinds == [PacketFailed] * 3 + [NewNeighbour, DelNeighbour]
    assert settled(sim) == [Unreachable]
    assert [type(one.outcome) for one in [*pending, waiter]] == [Unreachable] * 4
    assert sim.device("va").drops == {"neigh_failed": 3}


def test_the_deletion_of_nothing_is_enoent() -> None:
    sim = node()
    with pytest.raises(AdminError) as caught:
        sim.delete(host(7))
    assert caught.value.errno == errno.ENOENT
    assert sim.outputs == []


def test_a_deletion_clears_what_kept_a_held_entry_from_the_collectors() -> None:
    sim = node()
    entry = add(sim, host(7), NUD_STALE, flags=NTF_EXT_LEARNED | NTF_MANAGED)
    sim.hold(host(7))
    sim.delete(host(7))
    assert (entry.nud_state, entry.flags) == (NUD_FAILED, 0)
    assert gc_order(sim) == [host(7)]
    assert list(cache(sim).managed_list) == []


# -- an IPv4 address with broadcast addresses arrives

BROADCAST_KEYS = [
    # state of the entry at a future broadcast address -> told, and whether it stays
    ("NONE", NUD_NONE, ["Deleted {}"], False),
    ("INCOMPLETE", NUD_INCOMPLETE, ["{} FAILED", "Deleted {} FAILED"], False),
    ("FAILED", NUD_FAILED, ["Deleted {} FAILED"], False),
    ("REACHABLE", NUD_REACHABLE, [], True),
    ("STALE", NUD_STALE, [], True),
    ("DELAY", NUD_DELAY, [], True),
    ("PROBE", NUD_PROBE, [], True),
    ("NOARP", NUD_NOARP, [], True),
    ("PERMANENT", NUD_PERMANENT, [], True),
]


@ARP_ALONE
@pytest.mark.parametrize(
    ("state", "told", "stays"), [row[1:] for row in BROADCAST_KEYS], ids=[row[0] for row in BROADCAST_KEYS]
)
def test_what_is_not_valid_at_a_new_broadcast_address_is_forgotten(
    state: int, told: list[str], stays: bool
) -> None:
    sim = node()
    add(sim, behind(255), state)
    sim.lines()
    sim.add_address("va", "203.0.113.1/24")
    assert lines(sim) == [line.format(behind(255)) for line in told]
    assert (sim.neighbour(behind(255)) is not None) == stays


@ARP_ALONE
def test_packets_to_a_new_broadcast_address_are_reported_to_their_senders() -> None:
    sim = node()
    sim.send(behind(255), packet("a"))
    sim.lines()
    sim.add_address("va", "203.0.113.1/24")
    assert failures(sim) == [(behind(255), packet("a"), "Unreachable", True)]


@ARP_ALONE
def test_an_explicit_broadcast_address_is_forgotten_as_well_as_the_subnets() -> None:
    sim = node()
    for ip in (behind(254), behind(255), behind(253)):
        add(sim, ip, NUD_FAILED)
    sim.lines()
    address = Address(bytes((203, 0, 113, 1)), 24, broadcast=bytes((203, 0, 113, 254)))
    sim.engine.add_address(VA, address, sim.now)
    sim.run(0.001)
    assert lines(sim) == [f"Deleted {behind(254)} FAILED", f"Deleted {behind(255)} FAILED"]


@ARP_ALONE
def test_a_new_address_touches_no_other_device() -> None:
    sim = node()
    sim.add_device("vb", "02:00:00:00:00:1a", ())
    add(sim, behind(255), NUD_FAILED, dev="vb")
    sim.lines()
    sim.add_address("va", "203.0.113.1/24")
    assert alive(sim) == {behind(255)}


# -- queues


def test_a_queue_limit_that_is_lowered_trims_at_the_next_packet_oldest_first_and_counts() -> None:
    """Scenario 215."""
    sim = node()
    for mark in "abcde":
        sim.send(host(7), packet(mark))  # 832 octets of truesize each
    sim.set("va", version(), unres_qlen_bytes=2 * 832)
    sim.lines()
    sim.run(0.1)
    assert failures(sim) == []  # a changed parameter touches no queue
    sim.send(host(7), packet("f"))
    assert failures(sim) == [(host(7), packet(mark), "PacketDropped", False) for mark in "abcd"]
    assert cache(sim).statistics.unres_discards == 4
    assert sim.device("va").drops == {"neigh_queuefull": 4}


def test_a_packet_for_an_entry_that_may_not_be_probed_is_dropped_silently_and_counted() -> None:
    sim = node(mcast_solicit=0)
    sim.send(host(7), packet("a"))
    assert failures(sim) == [(host(7), packet("a"), "PacketDropped", False)]
    assert sim.device("va").drops == {"neigh_failed": 1}


def test_packets_whose_resolution_times_out_are_reported_and_counted() -> None:
    sim = node(retrans_time=0.5)
    for mark in "ab":
        sim.send(host(7), packet(mark))
    sim.run(5.0)
    assert failures(sim) == [(host(7), packet(mark), "Unreachable", True) for mark in "ab"]
    assert sim.device("va").drops == {"neigh_failed": 2}


def test_a_queue_that_an_administrator_made_outlive_its_state_goes_with_the_entry() -> None:
    """INCOMPLETE to NONE keeps the queue (U4); the collector destroys it silently."""
    sim = node(gc_stale_time=1.0)
    cache(sim).gc_thresh1 = 0
    sim.send(host(7), packet("a"))
    sim.admin(host(7), nlm_flags=0x100, state=NUD_NONE)
    sim.lines()
    sim.run(60.0)
    assert failures(sim) == [(host(7), packet("a"), "PacketDropped", False)]
    assert lines(sim) == [f"Deleted {host(7)}"]
    assert sim.device("va").drops == {"queue_purge": 1}
    assert cache(sim).queues == {}


def test_the_rows_that_a_thousand_lives_leave_are_used_again() -> None:
    sim = node()
    for _ in range(50):
        fill(sim, 0, 20)
        set_down(sim)
        sim.run(0.001)
    assert cache(sim).store.top <= 1 + 1 + 20
    assert cache(sim).statistics.allocs == cache(sim).statistics.destroys == 1000
