"""A model of flushes: the same life with each of them in slices, and in one step."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from neighio.address import format_ip, parse_ip
from neighio.core.constants import (
    NTF_EXT_VALIDATED,
    NUD_DELAY,
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
    NUD_VALID,
)
from neighio.core.device import Address, Device, parse_interface
from neighio.core.engine import Engine, device_scope, family_scope
from neighio.core.events import DelNeighbour, NewNeighbour, Settled, Verified
from neighio.core.neighbour import Neighbour
from neighio.core.queue import Packet
from neighio.errors import AdminError, Unreachable

from .families import FAMILIES, Family, current, use
from .helpers import ADD, CHANGE, REPLACE, packet

ETHERNET = 0x1 | 0x2 | 0x40 | 0x1000 | 0x10000
ONE_STEP = 256


def key(number: int) -> bytes:
    return parse_ip(current().many(number))[0]


class Life:
    """An engine and the outcome of its life, per address."""

    def __init__(self, *, large: int) -> None:
        self.engine = Engine(now=0.0)
        self.device = Device("va", 1, bytes.fromhex("02000000000a"), flags=ETHERNET)
        self.engine.attach(self.device, 0.0)
        for address in (*current().own, current().wide):
            self.engine.add_address(1, Address(*parse_interface(address)), 0.0)
        self.cache = self.engine.caches[current().number]
        self.cache.gc_thresh1 = self.cache.gc_thresh2 = self.cache.gc_thresh3 = 1 << 20
        self.ballast: set[bytes] = set()
        self.large = large
        self.told: dict[bytes, list[object]] = {}
        self.held: list[Neighbour] = []
        self.errors: list[object] = []

    def load(self, now: float) -> None:
        """Entries enough for a flush in slices; they are older than nothing and nobody asks for them."""
        for _ in range(self.large):
            one = key(1000 + len(self.ballast))
            self.ballast.add(one)
            self.engine.new_neighbour(1, one, now, lladdr=bytes(6), state=NUD_STALE, nlm_flags=REPLACE)
        self.note()

    def note(self) -> None:
        for output in self.engine.take_outputs():
            if isinstance(output, NewNeighbour | DelNeighbour):
                if output.key not in self.ballast:
                    self.told.setdefault(output.key, []).append((type(output).__name__, output.state))
            elif isinstance(output, Settled | Verified):
                assert not isinstance(output, Verified)
                self.errors.append(output.outcome)

    def do(self, call: Callable[[Engine], object]) -> object:
        try:
            found = call(self.engine)
        except (AdminError, Unreachable) as error:
            found = type(error)
        self.note()
        return found

    def table(self) -> dict[bytes, tuple[object, ...]]:
        store = self.cache.store
        return {
            store.key_of(row): (
                store.nud_state[row],
                self.cache.lladdr(row),
                store.updated[row],
                store.flags[row],
            )
            for row in self.cache.rows()
            if store.key_of(row) not in self.ballast
        }


class FlushMachine(RuleBasedStateMachine):
    """One life twice: with so much ballast that each flush is sliced, and without, so that each is a step.

    What is told of each address, in order, and what the table holds must be the same once all slices ran;
    what the table is seen to hold must be the same at any time.
    """

    family: Family

    keys = st.integers(0, 7)
    states = st.sampled_from(
        [
            NUD_NONE,
            NUD_INCOMPLETE,
            NUD_REACHABLE,
            NUD_STALE,
            NUD_DELAY,
            NUD_PROBE,
            NUD_FAILED,
            NUD_NOARP,
            NUD_PERMANENT,
        ]
    )

    def __init__(self) -> None:
        super().__init__()
        use(self.family)
        self.now = 1.0
        self.sliced = Life(large=ONE_STEP + 1)
        self.stepped = Life(large=0)
        self.lives = (self.sliced, self.stepped)
        for life in self.lives:  # drawn alike
            life.engine.set(1, self.family.number, {"base_reachable_time": 0.0}, 0.0)
        self.sliced.load(self.now)

    def both(self, call: Callable[[Engine], object]) -> None:
        assert self.sliced.do(call) == self.stepped.do(call)

    @rule(number=keys, state=states, nlm=st.sampled_from([ADD, CHANGE, REPLACE]), valid=st.booleans())
    def administer(self, number: int, state: int, nlm: int, valid: bool) -> None:
        flags = NTF_EXT_VALIDATED if valid and state & NUD_VALID else 0
        self.both(
            lambda engine: engine.new_neighbour(
                1,
                key(number),
                self.now,
                lladdr=bytes.fromhex("02000000000b"),
                state=state,
                flags=flags,
                nlm_flags=nlm,
            )
        )

    @rule(number=keys)
    def delete(self, number: int) -> None:
        self.both(lambda engine: engine.delete_neighbour(1, key(number), self.now))

    @rule(number=keys)
    def resolve(self, number: int) -> None:
        self.both(lambda engine: engine.resolve(1, key(number), self.now)[1])

    @rule(number=keys)
    def look(self, number: int) -> None:
        self.both(lambda engine: (found := engine.lookup(1, key(number), self.now)) and found.nud_state)

    @rule(number=keys)
    def hold(self, number: int) -> None:
        for life in self.lives:
            life.held.append(life.engine.neighbour(1, key(number), self.now))
            life.note()

    @precondition(lambda self: self.sliced.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.sliced.held) - 1))
        for life in self.lives:
            entry = life.held.pop(place)
            life.do(lambda engine, entry=entry: engine.release(entry, self.now))

    @precondition(lambda self: self.sliced.held)
    @rule(data=st.data(), upper_layer=st.booleans())
    def use_a_held_entry(self, data: st.DataObject, upper_layer: bool) -> None:
        place = data.draw(st.integers(0, len(self.sliced.held) - 1))
        for life in self.lives:
            entry = life.held[place]
            if upper_layer:
                life.do(lambda engine, entry=entry: engine.confirm(entry, self.now))
            else:
                life.do(
                    lambda engine, entry=entry: engine.send(
                        entry, Packet(packet("x"), self.family.number), self.now
                    )
                )

    @rule(number=keys)
    def hear(self, number: int) -> None:
        frame = self.family.question(format_ip(key(number)), bytes.fromhex("02000000000e"))
        self.both(lambda engine: engine.receive(1, frame, self.now))

    @rule(passes=st.sampled_from([0.01, 0.5, 1.5]))
    def time_passes_for_the_device(self, passes: float) -> None:
        self.now += passes
        for life in self.lives:
            while life.engine.next_deadline(device_scope(1)) <= self.now:
                life.do(lambda engine: engine.handle_timers(device_scope(1), self.now))

    @rule(everything=st.booleans())
    def flush(self, everything: bool) -> None:
        self.sliced.load(self.now)
        if everything:
            self.both(lambda engine: engine.set_lladdr(1, bytes.fromhex("02000000000a"), self.now))
        else:
            self.both(lambda engine: engine.carrier(1, False, self.now))

    @precondition(lambda self: self.sliced.cache.flushing)
    @rule(budget=st.integers(1, 300))
    def slice(self, budget: int) -> None:
        self.sliced.do(
            lambda engine: engine.handle_timers(family_scope(self.family.number), self.now, budget)
        )

    @invariant()
    def the_tables_look_the_same(self) -> None:
        assert self.sliced.table() == self.stepped.table()

    def teardown(self) -> None:
        while self.sliced.cache.flushing:
            self.sliced.do(
                lambda engine: engine.handle_timers(family_scope(self.family.number), self.now, 256)
            )
        assert self.sliced.told == self.stepped.told
        for one, other in zip(self.sliced.held, self.stepped.held, strict=True):
            assert (one.dead, one.nud_state, one.refcnt) == (other.dead, other.nud_state, other.refcnt)
        assert sorted(map(str, self.sliced.errors)) == sorted(map(str, self.stepped.errors))
        for life in self.lives:
            assert life.cache.gc_entries == len(list(life.cache.gc_list))
        use(FAMILIES["arp"])


class ArpFlushes(FlushMachine):
    family = FAMILIES["arp"]


class NdiscFlushes(FlushMachine):
    family = FAMILIES["ndisc"]


MODEL = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
test_of_arp_a_flush_in_slices_is_to_every_address_a_flush_in_one_step = ArpFlushes.TestCase
test_of_arp_a_flush_in_slices_is_to_every_address_a_flush_in_one_step.settings = MODEL
test_of_ndisc_a_flush_in_slices_is_to_every_address_a_flush_in_one_step = NdiscFlushes.TestCase
test_of_ndisc_a_flush_in_slices_is_to_every_address_a_flush_in_one_step.settings = MODEL
