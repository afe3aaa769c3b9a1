"""The flush of a large device: a mark first, slices after it, and whoever meets a doomed row in between.

A flush of up to 256 entries is one step (test_destruction.py has what it tells). Of a larger one every
outcome must be that of a step, but for the time at which each entry's deletion is told.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from neighio.address import format_ip, parse_ip
from neighio.core.constants import (
    NTF_EXT_VALIDATED,
    NUD_NOARP,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_REACHABLE,
    NUD_STALE,
    NUD_VALID,
)
from neighio.core.device import Address, Device, parse_interface
from neighio.core.engine import Engine, Scope, device_scope, family_scope
from neighio.core.events import DelNeighbour, NewNeighbour, Settled, Transmit
from neighio.core.queue import Packet
from neighio.errors import AdminError, DeviceGone, Unreachable

from .families import current, many
from .helpers import (
    ADD,
    CHANGE,
    OWN,
    PEER,
    REPLACE,
    alive,
    cache,
    fill,
    lines,
    node,
    packet,
    second_device,
    thresholds,
)
from .station import Station

pytestmark = pytest.mark.usefixtures("family")

ETHERNET = 0x1 | 0x2 | 0x40 | 0x1000 | 0x10000
NOW = 100.0
ONE_STEP = 256


class Doomed:
    """An engine, with one device of so many STALE entries, which is then flushed; no slice has run yet."""

    def __init__(
        self, count: int = 600, *, flush: str = "all", before: Callable[[Doomed], None] | None = None
    ) -> None:
        self.engine = Engine(now=NOW)
        self.device = Device("va", 1, bytes.fromhex("02000000000a"), flags=ETHERNET)
        self.engine.attach(self.device, NOW)
        for address in (*current().own, current().wide):
            self.engine.add_address(1, Address(*parse_interface(address)), NOW)
        self.cache = self.engine.caches[current().number]
        self.cache.gc_thresh1 = self.cache.gc_thresh2 = self.cache.gc_thresh3 = 1 << 20
        self.keys = [key(number) for number in range(count)]
        for one in self.keys:
            self.put(one)
        if before is not None:
            before(self)
        self.engine.take_outputs()
        if flush == "all":
            self.engine.set_lladdr(1, bytes.fromhex("02000000000c"), NOW)
        elif flush == "carrier":
            self.engine.carrier(1, False, NOW)

    def put(self, one: bytes, state: int = NUD_STALE, flags: int = 0, *, nlm: int = REPLACE) -> None:
        lladdr = bytes.fromhex("02000000000b") if state & NUD_VALID else None
        self.engine.new_neighbour(1, one, NOW, lladdr=lladdr, state=state, flags=flags, nlm_flags=nlm)

    def told(self) -> list[tuple[str, bytes, int]]:
        """The notifications since the last call: kind, key and state."""
        return [
            (type(output).__name__, output.key, output.state)
            for output in self.engine.take_outputs()
            if isinstance(output, NewNeighbour | DelNeighbour)
        ]

    def slices(self, budget: int = 256) -> list[int]:
        """Let every slice run; returns how many deletions each told."""
        found = []
        more = True
        while more:
            more = self.engine.handle_timers(family_work(), NOW, budget)
            found.append(len(self.told()))
        return found


def key(number: int) -> bytes:
    return parse_ip(current().many(number))[0]


def family_work() -> Scope:
    """The scope in which slices run."""
    return family_scope(current().number)


def gone(one: bytes, state: int = NUD_STALE) -> tuple[str, bytes, int]:
    return ("DelNeighbour", one, state)


# -- the mark and the slices


@pytest.mark.parametrize(("count", "at_once"), [(1, 1), (255, 255), (256, 256), (257, 0), (600, 0)])
def test_up_to_256_entries_go_in_one_step_more_are_only_marked(count: int, at_once: int) -> None:
    doomed = Doomed(count)
    assert len(doomed.told()) == at_once
    assert doomed.cache.entries == count - at_once


def test_marked_entries_are_as_good_as_gone() -> None:
    doomed = Doomed()
    assert list(doomed.cache.rows()) == []
    assert doomed.cache.entries == 600


def test_the_slices_are_due_at_once_and_destroy_newest_first() -> None:
    doomed = Doomed()
    assert doomed.engine.next_deadline(family_work()) < NOW
    order = []
    while doomed.engine.handle_timers(family_work(), NOW, 100):
        order += doomed.told()
    order += doomed.told()
    assert order == [gone(one) for one in reversed(doomed.keys)]
    assert doomed.cache.entries == 0
    assert doomed.engine.next_deadline(family_work()) > NOW


def test_no_slice_looks_at_more_than_its_budget() -> None:
    found = Doomed(1000).slices(100)
    assert found[:10] == [100] * 10
    assert len(found) <= 11


def test_a_flush_asks_for_its_familys_scope_to_be_armed() -> None:
    doomed = Doomed(flush="none")
    doomed.engine.take_rearmed()
    doomed.engine.link_down(1, NOW)
    assert family_work() in doomed.engine.take_rearmed()


def test_entries_made_after_the_mark_are_not_of_the_flush() -> None:
    doomed = Doomed()
    young = [key(number) for number in range(2000, 2010)]
    for one in young:
        doomed.put(one)
    doomed.slices()
    assert {doomed.cache.store.key_of(row) for row in doomed.cache.rows()} == set(young)


def test_the_device_is_as_any_other_once_the_slices_are_through() -> None:
    doomed = Doomed()
    doomed.slices()
    doomed.put(key(1))
    table = doomed.cache.by_device[1]
    assert (table.flushed_all, table.flushed_dynamic) == (0, 0)
    doomed.engine.set_lladdr(1, b"\2\0\0\0\0\x0d", NOW)
    assert doomed.told() == [("NewNeighbour", key(1), NUD_STALE), gone(key(1))]


# -- who meets a doomed row first

MEETINGS: list[tuple[str, Callable[[Doomed, bytes], object]]] = [
    ("look-up", lambda d, one: d.engine.lookup(1, one, NOW)),
    ("resolve_nowait", lambda d, one: d.engine.resolve_nowait(1, one, NOW)),
    ("creation by a sender", lambda d, one: d.engine.neighbour(1, one, NOW)),
    ("resolution", lambda d, one: d.engine.resolve(1, one, NOW)),
    ("probe", lambda d, one: d.engine.begin_probe(1, one, NOW)),
    ("creation by an administrator", lambda d, one: d.put(one, NUD_PERMANENT, nlm=ADD)),
    ("a frame", lambda d, one: d.engine.receive(1, frame_from(one), NOW)),
]


def frame_from(ip: bytes) -> bytes:
    """A request of ``ip`` for our address: it would create the asker, or update it."""
    return current().question(format_ip(ip), bytes.fromhex("02000000000e"))


@pytest.mark.parametrize("meet", [row[1] for row in MEETINGS], ids=[row[0] for row in MEETINGS])
@pytest.mark.parametrize("place", [0, 300, 599], ids=["oldest", "middle", "newest"])
def test_whoever_meets_a_doomed_entry_first_destroys_it_with_its_event_before_anything_else(
    meet: Callable[[Doomed, bytes], object], place: int
) -> None:
    doomed = Doomed()
    one = doomed.keys[place]
    meet(doomed, one)
    told = doomed.told()
    assert told[0] == gone(one)
    assert all(kind == "NewNeighbour" for kind, _, _ in told[1:])
    assert doomed.cache.statistics.destroys == 1
    # ... and only once: the slices do not come upon it again
    rest = [event for event in told if event != gone(one)]
    everything = [gone(one)]
    while doomed.engine.handle_timers(family_work(), NOW, 64):
        everything += doomed.told()
    everything += doomed.told()
    assert sorted(everything) == sorted(gone(k) for k in doomed.keys)
    assert len(rest) <= 1


def test_an_administrators_add_of_a_doomed_key_finds_nothing_there() -> None:
    doomed = Doomed()
    doomed.put(doomed.keys[5], NUD_PERMANENT, nlm=ADD)  # EXCL does not refuse
    doomed.slices()
    (row,) = doomed.cache.rows()
    assert doomed.cache.store.key_of(row) == doomed.keys[5]
    assert doomed.cache.store.nud_state[row] == NUD_PERMANENT


def test_an_administrators_change_and_delete_of_a_doomed_key_find_nothing_there() -> None:
    doomed = Doomed()
    with pytest.raises(AdminError):
        doomed.put(doomed.keys[5], nlm=CHANGE)
    with pytest.raises(AdminError):
        doomed.engine.delete_neighbour(1, doomed.keys[6], NOW)
    assert doomed.told() == [gone(doomed.keys[5]), gone(doomed.keys[6])]


def test_a_timer_that_meets_a_doomed_entry_does_nothing_but_destroy_it() -> None:
    doomed = Doomed(before=lambda d: d.put(d.keys[7], NUD_REACHABLE))
    doomed.engine.handle_timers(device_scope(1), NOW + 100.0)
    outputs = doomed.engine.take_outputs()
    assert [(type(o).__name__, o.state) for o in outputs] == [("DelNeighbour", NUD_REACHABLE)]  # type: ignore[union-attr]


def test_no_probe_leaves_for_a_doomed_entry() -> None:
    def resolve(doomed: Doomed) -> None:
        for number in range(5000, 5005):
            doomed.engine.resolve(1, key(number), NOW)

    doomed = Doomed(before=resolve)
    for step in range(1, 50):
        doomed.engine.handle_timers(device_scope(1), NOW + step / 10)
    outputs = doomed.engine.take_outputs()
    assert not [o for o in outputs if isinstance(o, Transmit)]
    assert [o.outcome for o in outputs if isinstance(o, Settled)] == [DeviceGone] * 5


def test_a_holder_that_sends_through_a_doomed_entry_finds_a_void() -> None:
    doomed = Doomed(flush="none")
    entry = doomed.engine.neighbour(1, doomed.keys[9], NOW)
    doomed.engine.set_lladdr(1, b"\2\0\0\0\0\x0c", NOW)
    doomed.engine.take_outputs()
    doomed.engine.send(entry, Packet(packet("x"), current().number), NOW)
    kinds = [type(o).__name__ for o in doomed.engine.take_outputs()]
    assert kinds == ["DelNeighbour", "PacketFailed"]
    assert (entry.dead, entry.nud_state) == (True, NUD_NOARP)


def test_a_holder_that_confirms_a_doomed_entry_revives_nothing() -> None:
    doomed = Doomed(flush="none")
    entry = doomed.engine.neighbour(1, doomed.keys[9], NOW)
    doomed.engine.set_lladdr(1, b"\2\0\0\0\0\x0c", NOW)
    doomed.engine.confirm(entry, NOW)
    assert entry.dead
    doomed.engine.release(entry, NOW)
    assert not entry.exists


def test_a_holder_that_gives_its_reference_back_meanwhile_leaves_as_after_a_flush_in_one_step() -> None:
    """Whoever watches is told what a holder would have found: NOARP, not STALE."""
    doomed = Doomed(flush="none")
    entry = doomed.engine.neighbour(1, doomed.keys[9], NOW)
    doomed.engine.set_lladdr(1, b"\2\0\0\0\0\x0c", NOW)
    doomed.engine.take_outputs()
    doomed.engine.release(entry, NOW)
    assert doomed.told() == [gone(doomed.keys[9], NUD_NOARP)]
    assert not entry.exists


def test_a_reference_to_a_doomed_entry_that_nobody_had_is_not_given_back() -> None:
    doomed = Doomed(flush="none")
    entry = doomed.engine.lookup(1, doomed.keys[9], NOW)
    assert entry is not None
    doomed.engine.set_lladdr(1, b"\2\0\0\0\0\x0c", NOW)
    doomed.engine.release(entry, NOW)
    assert not entry.exists
    doomed.slices()
    assert (doomed.cache.entries, doomed.cache.statistics.destroys) == (0, 600)


def test_the_wish_for_proof_of_a_doomed_entry_is_refused() -> None:
    doomed = Doomed(flush="none")
    entry = doomed.engine.neighbour(1, doomed.keys[9], NOW)
    doomed.engine.set_lladdr(1, b"\2\0\0\0\0\x0c", NOW)
    doomed.engine.take_outputs()
    with pytest.raises(Unreachable):
        doomed.engine.verify(entry, NOW)
    assert doomed.told() == [gone(doomed.keys[9], NUD_NOARP)]


@pytest.mark.parametrize("known_to_others", [False, True])
def test_a_probe_that_ends_on_a_doomed_entry_lets_it_go_as_the_flush_would(known_to_others: bool) -> None:
    doomed = Doomed(flush="none")
    one = key(7000)
    entry = doomed.engine.begin_probe(1, one, NOW)
    if known_to_others:
        doomed.engine.release(doomed.engine.neighbour(1, one, NOW), NOW)
    doomed.engine.set_lladdr(1, b"\2\0\0\0\0\x0c", NOW)
    doomed.engine.take_outputs()
    doomed.engine.end_probe(entry, 1, one, NOW)
    assert doomed.told() == ([gone(one, NUD_NONE)] if known_to_others else [])
    assert not entry.exists


def test_managed_work_does_not_use_a_doomed_entry() -> None:
    doomed = Doomed(before=lambda d: d.put(key(8000), NUD_NONE, 0x100))
    doomed.slices()
    doomed.engine.handle_timers(family_work(), NOW + 60.0)
    assert not [o for o in doomed.engine.take_outputs() if isinstance(o, Transmit)]


def test_every_waiter_of_a_large_flush_gets_device_gone_and_every_packet_is_dropped() -> None:
    sim = node()
    thresholds(sim, 1 << 20, 1 << 20, 1 << 20)
    ips = many(0, 300)
    waiting = [sim.resolve(ip) for ip in ips]
    sending = [sim.send(ip) for ip in ips]
    sim.engine.link_down(1, sim.now)
    sim.run(0.001)
    assert [type(one.outcome) for one in [*waiting, *sending]] == [DeviceGone] * 600
    assert sim.device("va").drops == {"queue_purge": 300}
    assert (cache(sim).entries, cache(sim).queues, sim.driver.waiting()) == (0, {}, 0)


def test_a_waiter_that_asks_anew_in_the_meantime_gets_the_new_answer() -> None:
    sim = node()
    thresholds(sim, 1 << 20, 1 << 20, 1 << 20)
    peer = Station(sim.segment, PEER, *many(3, 1))
    peer.mute()
    ips = many(0, 300)
    old = [sim.resolve(ip) for ip in ips]
    sim.engine.set_lladdr(1, bytes.fromhex(OWN.replace(":", "")), sim.now)
    peer.unmute()
    new = sim.resolve(ips[3])
    assert isinstance(old[3].outcome, DeviceGone)
    sim.run(0.1)
    assert str(new.outcome) == PEER
    assert {type(one.outcome) for one in old} == {DeviceGone}
    assert alive(sim) == {ips[3]}


def test_a_large_device_that_is_detached_goes_in_slices_too() -> None:
    doomed = Doomed(flush="none")
    doomed.engine.detach(1, NOW)
    assert doomed.told() == []
    assert doomed.slices(100)[:6] == [100] * 6
    assert doomed.cache.entries == 0


def test_a_device_may_come_back_under_its_index_while_the_old_ones_entries_still_go() -> None:
    doomed = Doomed(flush="none")
    doomed.engine.detach(1, NOW)
    again = Device("va", 1, bytes.fromhex("02000000000d"), flags=ETHERNET)
    doomed.engine.attach(again, NOW)
    doomed.put(doomed.keys[3])
    doomed.slices()
    (row,) = doomed.cache.rows()
    assert doomed.cache.table_of(row).device is again
    assert doomed.cache.entries == 1


# -- the carrier: PERMANENT and EXT_VALIDATED entries survive, as they were when it went


def with_survivors(doomed: Doomed) -> None:
    doomed.put(doomed.keys[10], NUD_PERMANENT)
    doomed.put(doomed.keys[20], NUD_STALE, NTF_EXT_VALIDATED)


def survivors(doomed: Doomed) -> set[bytes]:
    return {doomed.cache.store.key_of(row) for row in doomed.cache.rows()}


def test_a_lost_carrier_spares_permanent_and_validated_entries_of_a_large_device() -> None:
    doomed = Doomed(flush="carrier", before=with_survivors)
    assert survivors(doomed) == {doomed.keys[10], doomed.keys[20]}
    assert sum(doomed.slices()) == 598
    assert survivors(doomed) == {doomed.keys[10], doomed.keys[20]}


def test_a_survivor_that_loses_what_saved_it_before_the_slices_come_by_is_not_flushed_after_all() -> None:
    doomed = Doomed(flush="carrier", before=with_survivors)
    doomed.put(doomed.keys[10], NUD_STALE)
    doomed.put(doomed.keys[20], NUD_STALE)
    assert sum(doomed.slices()) == 598 + 2  # the two changes
    assert survivors(doomed) == {doomed.keys[10], doomed.keys[20]}


def test_an_entry_made_permanent_after_the_carrier_went_is_a_new_one() -> None:
    doomed = Doomed(flush="carrier")
    doomed.put(doomed.keys[10], NUD_PERMANENT)
    assert doomed.told() == [gone(doomed.keys[10]), ("NewNeighbour", doomed.keys[10], NUD_PERMANENT)]
    doomed.slices()
    assert survivors(doomed) == {doomed.keys[10]}


def test_a_survivor_may_be_used_and_looked_at_meanwhile() -> None:
    doomed = Doomed(flush="carrier", before=with_survivors)
    assert doomed.engine.resolve_nowait(1, doomed.keys[10], NOW) is not None
    assert doomed.told() == []


# -- two kinds of flush at once


def test_a_flush_of_everything_overtakes_a_lost_carriers() -> None:
    doomed = Doomed(flush="carrier", before=with_survivors)
    doomed.engine.handle_timers(family_work(), NOW, 100)
    doomed.engine.link_down(1, NOW)
    assert survivors(doomed) == set()
    doomed.slices()
    assert doomed.cache.entries == 0


def test_a_lost_carrier_after_a_flush_of_everything_saves_nothing_of_it() -> None:
    doomed = Doomed(before=with_survivors)
    doomed.engine.handle_timers(family_work(), NOW, 100)
    doomed.engine.carrier(1, False, NOW)
    doomed.slices()
    assert doomed.cache.entries == 0


def test_what_is_made_between_two_kinds_of_flush_is_judged_by_the_second_alone() -> None:
    doomed = Doomed()
    doomed.put(key(3000), NUD_PERMANENT)
    doomed.put(key(3001), NUD_STALE)
    doomed.engine.carrier(1, False, NOW)
    doomed.put(key(3002), NUD_STALE)
    doomed.slices()
    assert survivors(doomed) == {key(3000), key(3002)}


def test_a_survivor_that_was_judged_goes_with_a_later_flush_of_everything() -> None:
    doomed = Doomed(flush="carrier", before=with_survivors)
    doomed.engine.lookup(1, doomed.keys[10], NOW)  # judged
    doomed.engine.set_lladdr(1, b"\2\0\0\0\0\x0d", NOW)
    assert survivors(doomed) == set()


def test_a_later_flush_that_finds_few_entries_left_does_everything_at_once() -> None:
    doomed = Doomed(400)
    doomed.engine.handle_timers(family_work(), NOW, 200)
    doomed.told()
    doomed.engine.link_down(1, NOW)
    assert len(doomed.told()) == 200
    assert doomed.cache.entries == 0


def test_two_devices_may_be_under_a_flush_at_once() -> None:
    sim = node()
    second_device(sim)
    thresholds(sim, 1 << 20, 1 << 20, 1 << 20)
    fill(sim, 0, 300, dev="va")
    fill(sim, 0, 300, dev="vb")
    sim.lines()
    for index in (1, 2):
        sim.engine.link_down(index, sim.now)
    assert alive(sim) == set()
    sim.run(0.001)
    assert len(lines(sim)) == 600
    assert cache(sim).entries == 0
