"""Neighbour Discovery at the thresholds: what messages, ours and others', may make of a table that is full (2.1, 2.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest

from neighio.core.constants import (
    NUD_DELAY,
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_STALE,
)
from neighio.errors import TableFull
from neighio.testing.simulation import Simulation

from .discovery import (
    ALL_NODES,
    HOST,
    OFF_LINK,
    ROUTER,
    SLOW,
    US,
    advertisement,
    asked,
    asked_all,
    cache6,
    entry,
    group,
    node6,
    packed,
    present,
    redirect,
    router_advertisement,
    router_solicitation,
    said,
    solicitation,
    table6,
    wanted,
)
from .helpers import add, hear, lines

GROUP = group(HOST)
TO_GROUP = "33:33:ff:00:00:07"


def thresholds6(sim: Simulation, low: int, middle: int, high: int) -> None:
    cache = cache6(sim)
    cache.gc_thresh1, cache.gc_thresh2, cache.gc_thresh3 = low, middle, high


def neighbours(first: int, count: int) -> list[str]:
    return [f"2001:db8::1:{number:x}" for number in range(first, first + count)]


# -- a solicitation that needs an entry of its group


def test_a_solicitation_whose_group_cannot_be_made_is_not_sent_and_counted_and_nothing_is_raised() -> None:
    sim = node6(retrans_time=0.5, mcast_solicit=3)
    thresholds6(sim, 1, 1, 1)
    pending = sim.resolve(HOST)
    assert not pending.done
    assert (entry(sim).nud_state, entry(sim).probes) == (NUD_INCOMPLETE, 4)
    sim.run(5.0)

    assert said(sim) == []
    assert lines(sim) == [f"{HOST} FAILED"]
    assert entry(sim).probes == 6
    assert sim.device("va").drops == {"neigh_createfail": 3}
    assert cache6(sim).statistics.table_fulls == 3
    assert cache6(sim).entries == 1


def test_once_there_is_room_the_next_probe_is_sent() -> None:
    sim = node6(retrans_time=0.5)
    thresholds6(sim, 1, 1, 1)
    sim.resolve(HOST)
    thresholds6(sim, 128, 512, 1024)
    sim.run(0.6)

    assert said(sim) == [asked_all(HOST)]


def test_a_unicast_solicitation_needs_no_room() -> None:
    sim = node6(retrans_time=0.5, ucast_solicit=2)
    thresholds6(sim, 1, 1, 1)
    add(sim, HOST, NUD_PROBE)
    sim.run(0.7)

    assert said(sim) == [asked(HOST), asked(HOST)]
    assert cache6(sim).statistics.table_fulls == 0


def test_the_entry_of_a_group_counts_as_any_other_for_a_creation_of_ones_own() -> None:
    sim = node6(**SLOW)
    thresholds6(sim, 1, 2, 2)
    sim.hold(HOST)
    sim.resolve(HOST)
    sim.hold(GROUP)
    assert cache6(sim).gc_entries == 2

    with pytest.raises(TableFull):
        sim.hold("2001:db8::8")


# -- forced collection inside a probe


@pytest.mark.parametrize(
    "state", [NUD_INCOMPLETE, NUD_PROBE, NUD_DELAY], ids=["INCOMPLETE", "PROBE", "DELAY"]
)
def test_the_collection_that_a_probes_group_forces_does_not_touch_the_entry_whose_timer_fires(
    state: int,
) -> None:
    """It is the oldest on the list, last updated long ago, and its timer is not armed again yet."""
    sim = node6(
        ucast_solicit=0, mcast_resolicit=3, mcast_solicit=3, retrans_time=20.0, delay_first_probe_time=20.0
    )
    if state == NUD_INCOMPLETE:
        sim.resolve(HOST)
    else:
        add(sim, HOST, NUD_STALE)
        sim.resolve(HOST)
        if state == NUD_PROBE:
            sim.run(20.1)
    made = entry(sim)
    assert made.nud_state == state
    if sim.neighbour(GROUP) is not None:
        sim.delete(GROUP)
    others = neighbours(0, 3)
    for ip in others:
        add(sim, ip, NUD_STALE)
    sim.run(10.0)
    cache = cache6(sim)
    thresholds6(sim, 0, 0, 1)
    cache.last_flush = sim.now - 60.0
    lines(sim)
    assert [cache.handle(row).ip for row in cache.gc_list] == [HOST, *others]
    runs = cache.statistics.forced_gc_runs
    sim.run(10.1)

    assert said(sim) == [asked_all(HOST)]
    assert cache.statistics.forced_gc_runs == runs + 1
    assert made.exists and made == sim.neighbour(HOST)
    assert made.nud_state == (NUD_PROBE if state == NUD_DELAY else state)
    assert made.refcnt == 2
    assert present(sim) == {HOST}
    assert sim.neighbour(GROUP) is not None


def test_probes_that_fire_together_leave_each_other_alone_though_each_forces_a_collection() -> None:
    """Nobody but groups can be collected: each probe's takes the last one's."""
    sim = node6(retrans_time=10.0, mcast_solicit=3)
    hosts = [f"2001:db8::{number}" for number in range(100, 120)]
    for ip in hosts:
        sim.resolve(ip)
    thresholds6(sim, 0, 0, 21)
    lines(sim)
    sim.run(10.1)

    assert {one.target for one in said(sim)} == set(hosts)
    assert present(sim) == set(hosts)
    assert [entry(sim, ip).nud_state for ip in hosts] == [NUD_INCOMPLETE] * 20
    assert sim.device("va").drops == {}


def test_the_store_may_grow_while_a_probe_makes_its_group() -> None:
    sim = node6(retrans_time=10.0)
    thresholds6(sim, 1 << 20, 1 << 20, 1 << 20)
    cache = cache6(sim)
    hosts = [f"2001:db8::{number}" for number in range(1000, 1000 + 120)]
    for ip in hosts:
        sim.resolve(ip)
    for ip in hosts:
        sim.delete(group(ip))
    for number in range(1 << 16):
        # The rows that the deleted groups left are taken first.
        add(sim, f"2001:db8::2:{number:x}", NUD_PERMANENT)
        if number >= 120 and cache.store.top == cache.store.capacity:
            break
    capacity = cache.store.capacity
    lines(sim)
    sim.run(10.1)

    assert cache.store.capacity > capacity
    assert {one.target for one in said(sim)} == set(hosts)
    assert {entry(sim, ip).nud_state for ip in hosts} == {NUD_INCOMPLETE}
    assert {entry(sim, ip).probes for ip in hosts} == {5}


def test_groups_go_first_when_a_collection_is_forced_and_that_is_told() -> None:
    """NOARP and multicast entries are garbage at any age."""
    sim = node6(**SLOW)
    sim.resolve(HOST)
    add(sim, "2001:db8::8", NUD_STALE)
    thresholds6(sim, 0, 0, 1 << 20)
    cache6(sim).last_flush = sim.now - 60.0
    lines(sim)
    sim.hold("2001:db8::9")

    assert lines(sim) == [f"Deleted {GROUP} lladdr {TO_GROUP} NOARP"]
    assert present(sim) == {HOST, "2001:db8::8", "2001:db8::9"}


@pytest.mark.parametrize("ip", ["ff02::1", "ff02::1:ff00:7", "ff05::2", "ff0e::1"])
@pytest.mark.parametrize("state", [NUD_STALE, NUD_NOARP, NUD_FAILED])
def test_a_multicast_entry_is_garbage_in_whatever_state(ip: str, state: int) -> None:
    sim = node6()
    sim.hold(ip)
    sim.admin(ip, nlm_flags=0x100, lladdr=TO_GROUP, state=state)
    made = sim.neighbour(ip)
    assert made is not None
    sim.release(made)
    thresholds6(sim, 0, 0, 1 << 20)
    cache6(sim).last_flush = sim.now - 60.0
    sim.hold("2001:db8::9")

    assert sim.neighbour(ip) is None


# -- messages of others that would make an entry

UNTRACKED = {"accept_untracked_na": 1, "forwarding": 1}
CREATORS: dict[str, tuple[bytes, str, dict[str, float]]] = {
    "solicitation": (solicitation(HOST, US), HOST, {}),
    "unicast solicitation without an address": (solicitation(HOST, US, dst=US, lladdr=None), HOST, {}),
    "router solicitation": (router_solicitation(), HOST, {"forwarding": 1}),
    "router advertisement": (router_advertisement(), ROUTER, {"accept_ra": 0}),
    "redirect": (redirect(OFF_LINK, OFF_LINK), OFF_LINK, {}),
    "untracked advertisement": (advertisement(HOST), HOST, UNTRACKED),
}


def full(role: Literal["client", "host"], **changes: float) -> Simulation:
    """No creation that counts is allowed."""
    sim = node6(role=role, **changes)
    sim.add_route("va", "::/0", ROUTER)
    thresholds6(sim, 0, 0, 0)
    for ip in [ip for _, ip in table6(sim)]:
        sim.delete(ip)
    lines(sim)
    return sim


@pytest.mark.parametrize("role", ["client", "host"])
@pytest.mark.parametrize(("message", "of", "changes"), CREATORS.values(), ids=CREATORS)
def test_a_creation_that_the_table_refuses_is_counted_and_the_wire_is_not_told(
    message: bytes, of: str, changes: dict[str, float], role: Literal["client", "host"]
) -> None:
    sim = full(role, **changes)
    fulls = cache6(sim).statistics.table_fulls
    hear(sim, message)

    assert table6(sim) == {}
    assert sim.outputs == []
    assert sim.device("va").drops == {"neigh_createfail": 1}
    assert cache6(sim).statistics.table_fulls == fulls + 1
    thresholds6(sim, 128, 512, 1024)
    hear(sim, message)
    assert of in present(sim)


@pytest.mark.parametrize("how", ["answer", "announcement", "detection"])
def test_what_a_host_wants_to_tell_a_group_is_not_sent_when_no_entry_of_the_group_can_be_made(
    how: str,
) -> None:
    sim = full("host")
    if how == "answer":
        hear(sim, wanted(US))
    elif how == "announcement":
        sim.engine.announce(1, packed(US), sim.now)
        sim.run(0.0)
    else:
        pending = sim.claim("va", "2001:db8::2/64")
        sim.run(10.0)
        assert pending.done and pending.outcome is None
    assert said(sim) == []
    assert sim.neighbour(ALL_NODES) is None
    assert sim.device("va").drops["neigh_createfail"] >= 1


ASKERS: list[Callable[[int], bytes]] = [
    lambda number: solicitation(f"2001:db8::5:{number:x}", US),
    lambda number: solicitation(f"2001:db8::5:{number:x}", US, dst=US, lladdr=None),
]


@pytest.mark.parametrize("role", ["client", "host"])
@pytest.mark.parametrize("ask", ASKERS, ids=["multicast", "unicast without an address"])
def test_a_peer_that_asks_from_ever_new_addresses_grows_nothing_beyond_gc_thresh3(
    ask: Callable[[int], bytes], role: Literal["client", "host"]
) -> None:
    sim = node6(role=role)
    cache = cache6(sim)
    thresholds6(sim, 10, 50, 100)
    capacities = set()
    for number in range(2_000):
        sim.now += 1 / 300
        sim.engine.receive(1, ask(number), sim.now)
        sim.engine.take_outputs()
        assert cache.entries <= 100
        capacities.add(cache.store.capacity)

    assert capacities == {256}
    assert len(cache.queues) <= cache.entries
    assert sum(map(len, cache.by_device[1].shards)) == cache.entries
    assert cache.statistics.table_fulls > 0
