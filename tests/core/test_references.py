"""References: the table's, a running timer's, each holder's; who may destroy an entry, and when."""

from __future__ import annotations

import logging

import pytest

from neighio.core.constants import (
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
from neighio.core.queue import Packet
from neighio.errors import Unreachable

from .families import behind, host
from .helpers import OWN, PEER, add, alive, cache, failures, fill, frames, lines, node, packet, thresholds
from .station import Station

pytestmark = pytest.mark.usefixtures("family")


REFERENCES = [
    ("NONE", NUD_NONE, 1),
    ("INCOMPLETE by an administrator", NUD_INCOMPLETE, 1),  # no timer (4.7)
    ("REACHABLE", NUD_REACHABLE, 2),
    ("STALE", NUD_STALE, 1),
    ("DELAY", NUD_DELAY, 2),
    ("PROBE", NUD_PROBE, 2),
    ("FAILED", NUD_FAILED, 1),
    ("NOARP", NUD_NOARP, 1),
    ("PERMANENT", NUD_PERMANENT, 1),
]


@pytest.mark.parametrize(
    ("state", "refcnt"), [row[1:] for row in REFERENCES], ids=[row[0] for row in REFERENCES]
)
def test_the_table_holds_one_reference_and_a_pending_timer_another(state: int, refcnt: int) -> None:
    sim = node()
    assert add(sim, host(7), state).refcnt == refcnt


def test_a_timer_keeps_its_one_reference_through_every_state_of_a_life() -> None:
    sim = node(retrans_time=0.5, delay_first_probe_time=2.0, base_reachable_time=4.0)
    peer = Station(sim.segment, PEER, host(7))
    seen: dict[int, set[int]] = {}

    def note() -> None:
        entry = sim.neighbour(host(7))
        assert entry is not None
        seen.setdefault(entry.nud_state, set()).add(entry.refcnt)

    peer.delay = 0.3
    sim.send(host(7))
    note()
    for step in range(200):
        sim.run(0.1)
        if step in (90, 150):
            sim.send(host(7))
        if step == 100:
            peer.mute()
        note()
    assert seen == {
        NUD_INCOMPLETE: {2},
        NUD_REACHABLE: {2},
        NUD_STALE: {1},
        NUD_DELAY: {2},
        NUD_PROBE: {2},
        NUD_FAILED: {1},
    }


def test_a_queued_packet_and_a_waiter_hold_no_reference() -> None:
    sim = node()
    sim.send(host(7))
    sim.resolve(host(7))
    entry = sim.neighbour(host(7))
    assert entry is not None
    assert entry.refcnt == 2  # the table's and the timer's


def test_each_holder_counts_and_gives_back() -> None:
    sim = node()
    first, second = sim.hold(host(7)), sim.hold(host(7))
    assert (first == second, first.refcnt) == (True, 3)
    sim.release(first)
    assert second.refcnt == 2
    sim.release(second)
    assert second.refcnt == 1
    assert sim.neighbour(host(7)) == second


def test_giving_back_the_last_reference_of_a_live_entry_destroys_nothing() -> None:
    sim = node()
    entry = sim.hold(host(7))
    sim.release(entry)
    sim.run(1000.0)
    assert entry.exists and not entry.dead
    assert sim.lines() == []


def test_a_dead_entry_is_destroyed_with_its_last_reference() -> None:
    sim = node()
    entry = sim.hold(host(7))
    sim.engine.link_down(1, sim.now)
    assert (entry.exists, entry.dead, entry.refcnt) == (True, True, 1)
    assert cache(sim).statistics.destroys == 0
    sim.release(entry)
    assert not entry.exists
    assert (cache(sim).statistics.destroys, cache(sim).entries) == (1, 0)


def test_a_dead_entry_held_twice_outlives_the_first_release() -> None:
    sim = node()
    entry = sim.hold(host(7))
    sim.hold(host(7))
    sim.engine.link_down(1, sim.now)
    sim.release(entry)
    assert entry.exists
    sim.release(entry)
    assert not entry.exists


def test_the_destruction_of_a_live_entry_is_refused_counted_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sim = node()
    entry = add(sim, host(7), NUD_STALE)
    with caplog.at_level(logging.ERROR, logger="neighio.core"):
        sim.release(entry)  # nobody had a reference to give back
    assert cache(sim).statistics.destroy_refused == 1
    assert cache(sim).statistics.destroys == 0
    assert host(7) in caplog.text
    assert (entry.refcnt, entry.nud_state, entry.dead) == (1, NUD_STALE, False)
    assert alive(sim) == {host(7)}


@pytest.mark.parametrize("state", [NUD_REACHABLE, NUD_PROBE], ids=["REACHABLE", "PROBE"])
@pytest.mark.parametrize("end", ["flush", "delete", "evidence", "time"])
def test_a_reference_given_back_twice_harms_no_entry_whatever_ends_its_timer(state: int, end: str) -> None:
    sim = node()
    entry = add(sim, host(7), state)
    sim.release(entry)  # takes the timer's
    if end == "flush":
        sim.engine.set_lladdr(1, b"\2\0\0\0\0\x0c", sim.now)
    elif end == "delete":
        sim.delete(host(7))
    elif end == "evidence":
        Station(sim.segment, "02:00:00:00:00:0e", host(7)).announce()
    sim.run(200.0)
    arp = cache(sim)
    assert arp.statistics.destroy_refused == 1
    assert arp.entries == len(alive(sim))
    assert arp.gc_entries == len(list(arp.gc_list)) == arp.entries
    if entry.exists:
        assert entry.refcnt == 1


def test_a_handle_of_a_destroyed_entry_says_so_and_nothing_else() -> None:
    sim = node()
    entry = add(sim, host(7), NUD_STALE)
    sim.delete(host(7))
    assert not entry.exists
    assert repr(entry) == "<Neighbour, destroyed>"
    for field in ("key", "ip", "dev", "lladdr", "nud_state", "flags", "refcnt", "dead", "updated"):
        with pytest.raises(LookupError):
            getattr(entry, field)


def test_handles_compare_by_entry_and_a_re_created_address_is_another_entry() -> None:
    sim = node()
    old = add(sim, host(7), NUD_STALE)
    assert old == sim.neighbour(host(7))
    assert hash(old) == hash(sim.neighbour(host(7)))
    sim.delete(host(7))
    new = add(sim, host(7), NUD_STALE)
    assert old.row == new.row
    assert old != new
    assert new != object()
    assert not old.exists and new.exists


# -- the row of a destroyed entry may be another's: nothing of the old one touches the new (scenario 209)


def test_the_old_timer_does_not_fire_on_the_entry_made_again() -> None:
    sim = node(retrans_time=1.0, mcast_solicit=3)
    sim.resolve(host(7))  # INCOMPLETE: a probe now and at 1, 2 s; FAILED at 3 s
    sim.run(0.5)
    sim.delete(host(7))
    sim.lines()
    sim.resolve(host(7))  # at 0.5: probes at 0.5, 1.5, 2.5, FAILED at 3.5
    sim.run(2.75)
    assert [round(time - 1000.0, 1) for time, text in sim.log] == [0.5, 1.5, 2.5]
    sim.run(0.5)
    assert lines(sim) == [f"{host(7)} FAILED"]


def test_the_old_timer_does_not_fire_on_another_entry_that_took_the_row() -> None:
    sim = node(base_reachable_time=10.0)
    old = add(sim, host(7), NUD_REACHABLE)
    sim.delete(host(7))
    new = add(sim, host(8), NUD_STALE)
    assert old.row == new.row
    sim.lines()
    sim.run(20.0)
    assert sim.lines() == []
    assert new.nud_state == NUD_STALE
    assert new.refcnt == 1


def test_the_old_timer_does_not_fire_on_an_entry_of_another_device_that_took_the_row() -> None:
    sim = node(base_reachable_time=10.0)
    sim.add_device("vb", "02:00:00:00:00:1a", ("203.0.113.1/24",))
    old = add(sim, host(7), NUD_REACHABLE)
    fires_at = sim.engine.next_deadline(("device", 1))
    sim.delete(host(7), "va")
    new = add(sim, behind(7), NUD_REACHABLE, dev="vb")
    assert old.row == new.row
    sim.lines()
    own = sim.engine.next_deadline(("device", 2))
    sim.run_until(max(fires_at, own) + 0.01)
    assert lines(sim) == [f"{behind(7)} dev vb lladdr 02:00:00:00:00:0b STALE"]


def test_a_late_answer_to_the_old_entry_updates_the_new_one_by_the_new_ones_rules() -> None:
    sim = node()
    peer = Station(sim.segment, PEER, host(7), delay=0.4)
    old_wait = sim.resolve(host(7))
    sim.run(0.2)
    sim.delete(host(7))
    assert isinstance(old_wait.outcome, Unreachable)
    add(sim, host(7), NUD_PERMANENT, lladdr="02:00:00:00:00:99")
    sim.lines()
    sim.run(1.0)
    assert len(peer.heard) == 1
    assert sim.lines() == []
    entry = sim.neighbour(host(7))
    assert entry is not None and str(entry.lladdr) == "02:00:00:00:00:99"


def test_the_old_waiter_does_not_get_the_new_entrys_outcome() -> None:
    sim = node()
    old = sim.resolve(host(7))
    sim.delete(host(7))
    assert isinstance(old.outcome, Unreachable)
    ended_at = old.time
    Station(sim.segment, PEER, host(7))
    new = sim.resolve(host(7))
    sim.run(0.1)
    assert str(new.outcome) == PEER
    assert (old.time, isinstance(old.outcome, Unreachable)) == (ended_at, True)


def test_a_stale_handle_is_refused_by_every_door_and_the_rows_new_entry_is_untouched() -> None:
    sim = node()
    old = add(sim, host(7), NUD_STALE)
    sim.delete(host(7))
    new = add(sim, host(8), NUD_STALE)
    assert old.row == new.row
    before = (new.nud_state, new.refcnt, new.confirmed, new.used)
    engine = sim.engine
    sim.lines()
    for call in (
        lambda: engine.send(old, Packet(packet("x"), 2), sim.now + 1),
        lambda: engine.confirm(old, sim.now + 1),
        lambda: engine.release(old, sim.now + 1),
        lambda: engine.solicit_once(old, sim.now + 1),
    ):
        with pytest.raises(LookupError):
            call()
    with pytest.raises(Unreachable):
        engine.verify(old, sim.now + 1)
    assert not engine.withdraw(old, Packet(packet("x"), 2))
    assert (new.nud_state, new.refcnt, new.confirmed, new.used) == before
    assert engine.take_outputs() == []


# -- who is safe from whom


@pytest.mark.parametrize("state", [NUD_NONE, NUD_FAILED, NUD_STALE, NUD_NOARP])
def test_no_collector_takes_an_entry_that_somebody_holds(state: int) -> None:
    sim = node(gc_stale_time=1.0)
    thresholds(sim, 0, 1, 1)
    entry = add(sim, host(7), state)
    sim.hold(host(7))
    sim.run(3600.0)
    assert cache(sim).statistics.periodic_gc_runs > 100
    with pytest.raises(OSError):
        sim.hold(host(8))
    assert alive(sim) == {host(7)}
    sim.release(entry)
    sim.run(60.0)
    assert alive(sim) == set()


def test_a_held_entry_survives_its_deletion_as_failed() -> None:
    sim = node()
    entry = add(sim, host(7), NUD_STALE)
    sim.hold(host(7))
    sim.lines()
    sim.delete(host(7))
    assert lines(sim) == [f"{host(7)} FAILED"]
    assert (entry.nud_state, entry.dead) == (NUD_FAILED, False)
    sim.delete(host(7))
    assert lines(sim) == []
    sim.release(entry)
    sim.delete(host(7))
    assert lines(sim) == [f"Deleted {host(7)} FAILED"]


def test_who_holds_a_flushed_entry_sends_into_the_void() -> None:
    sim = node()
    entry = add(sim, host(7), NUD_REACHABLE)
    sim.hold(host(7))
    sim.engine.set_lladdr(1, bytes.fromhex("02000000000c"), sim.now)
    sim.lines()
    sim.engine.send(entry, Packet(packet("late"), 2), sim.now)
    sim.run(0.1)
    assert frames(sim) == []
    assert failures(sim) == [(host(7), packet("late"), "DeviceGone", False)]
    assert sim.device("va").drops == {"neigh_dead": 1}


def test_what_happens_to_the_address_afterwards_does_not_reach_the_dead_entry() -> None:
    sim = node()
    dead = add(sim, host(7), NUD_STALE)
    sim.hold(host(7))
    sim.engine.set_lladdr(1, bytes.fromhex("02000000000c"), sim.now)
    new = add(sim, host(7), NUD_REACHABLE, lladdr="02:00:00:00:00:0d")
    assert dead != new
    assert dead.dead and dead.nud_state == NUD_NOARP
    assert sim.neighbour(host(7)) == new
    sim.release(dead)
    assert not dead.exists and new.exists


def test_a_held_dead_entry_is_outside_the_gc_accounting_but_still_an_entry() -> None:
    sim = node()
    sim.hold(host(7))
    fill(sim, 0, 2)
    sim.engine.link_down(1, sim.now)
    assert (cache(sim).entries, cache(sim).gc_entries) == (1, 0)


def test_a_device_that_is_detached_while_an_entry_is_held_leaves_room_for_the_next() -> None:
    sim = node()
    entry = sim.hold(host(7))
    sim.driver.detach(1)
    assert entry.dead and entry.dev == "va"
    sim.add_device("vb", OWN, ("203.0.113.1/24",))
    other = sim.hold(behind(7), "vb")
    assert (other.dev, entry.dev) == ("vb", "va")
    sim.release(entry)
    assert not entry.exists
    assert other.dev == "vb" and alive(sim) == {behind(7)}
