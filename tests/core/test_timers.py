"""The neighbours' timers: never early, never twice, a later deadline is lazy, what is stale is harmless."""

from __future__ import annotations

from math import ceil, inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from neighio.core.store import Store
from neighio.core.timers import TICKS_PER_SECOND, Timers

SLOT = 5


class Clock:
    """A store with rows of one slot, its timers, and what fired when."""

    def __init__(self, rows: int = 0) -> None:
        self.now = 0.0
        self.store = Store(4, capacity=4)
        self.earlier = 0
        self.timers = Timers(self.store, SLOT, self._earlier)
        self.fired: list[tuple[int, float]] = []
        self.rows = [self.row() for _ in range(rows)]

    def _earlier(self) -> None:
        self.earlier += 1

    def row(self, slot: int = SLOT) -> int:
        self.store.reserve()
        row = self.store.take()
        self.store.slot[row] = slot
        return row

    def fire(self, row: int) -> None:
        assert self.store.deadline[row] == inf  # idle again before its handler runs
        self.fired.append((row, self.now))

    def run(self, now: float, budget: int = 1 << 20) -> int:
        self.now = now
        return self.timers.run(now, budget, self.fire)


# -- when


@given(when=st.floats(0.001, 1e9))
def test_a_timer_never_fires_before_its_deadline_and_at_most_one_bucket_late(when: float) -> None:
    clock = Clock(1)
    clock.timers.arm(clock.rows[0], when)
    due = clock.timers.next_deadline()
    assert when <= due < when + 1 / TICKS_PER_SECOND
    clock.run(due - 1 / 4096)
    assert clock.fired == []
    clock.run(due)
    assert clock.fired == [(clock.rows[0], due)]


def test_the_bucket_of_a_deadline_is_the_next_256th_of_a_second() -> None:
    for when, due in ((1.0, 1.0), (1.001, 1.00390625), (1.00390625, 1.00390625), (1.004, 1.0078125)):
        clock = Clock(1)
        clock.timers.arm(clock.rows[0], when)
        assert clock.timers.next_deadline() == due


def test_an_idle_clock_has_no_deadline() -> None:
    clock = Clock(1)
    assert clock.timers.next_deadline() == inf
    assert clock.run(1e6) == 0


def test_timers_fire_in_the_order_of_their_buckets_and_within_one_in_the_order_of_arming() -> None:
    clock = Clock(5)
    a, b, c, d, e = clock.rows
    for row, when in ((a, 3.0), (b, 1.0), (c, 2.0), (d, 1.0), (e, 0.999)):
        clock.timers.arm(row, when)
    clock.run(5.0)
    assert [row for row, _ in clock.fired] == [b, d, e, c, a]


def test_a_deadline_in_the_past_fires_at_the_next_run() -> None:
    clock = Clock(1)
    clock.run(100.0)
    clock.timers.arm(clock.rows[0], 3.0)
    assert clock.timers.next_deadline() <= 100.0
    clock.run(100.0)
    assert len(clock.fired) == 1


# -- never twice


def test_a_timer_fires_once() -> None:
    clock = Clock(1)
    clock.timers.arm(clock.rows[0], 1.0)
    for now in (1.0, 1.0, 2.0, 100.0):
        clock.run(now)
    assert len(clock.fired) == 1
    assert clock.timers.next_deadline() == inf


def test_a_timer_that_its_handler_arms_again_fires_again_and_only_then() -> None:
    clock = Clock(1)
    (row,) = clock.rows

    def handler(fired: int) -> None:
        clock.fire(fired)
        if len(clock.fired) < 3:
            clock.timers.arm(row, clock.now + 1.0)

    clock.timers.arm(row, 1.0)
    for quarter in range(1, 40):
        clock.now = quarter / 4
        clock.timers.run(clock.now, 100, handler)
    assert [now for _, now in clock.fired] == [1.0, 2.0, 3.0]


def test_a_handler_that_arms_a_past_deadline_does_not_fire_twice_from_the_open_bucket() -> None:
    clock = Clock(2)
    first, second = clock.rows

    def handler(row: int) -> None:
        clock.fire(row)
        if len(clock.fired) == 1:
            clock.timers.arm(first, 1.0)
            clock.timers.arm(second, 1.0)

    clock.timers.arm(first, 1.0)
    clock.timers.arm(second, 1.0)
    clock.now = 1.0
    clock.timers.run(1.0, 100, handler)
    assert [row for row, _ in clock.fired].count(second) == 1
    clock.now = 1.5
    clock.timers.run(1.5, 100, handler)
    assert [row for row, _ in clock.fired] == [first, second, first]


def test_re_arming_earlier_fires_at_the_earlier_time_and_not_at_the_later_again() -> None:
    clock = Clock(1)
    (row,) = clock.rows
    clock.timers.arm(row, 10.0)
    clock.timers.arm(row, 2.0)
    clock.run(2.0)
    clock.run(10.0)
    assert clock.fired == [(row, 2.0)]


# -- later is lazy


def test_a_later_deadline_is_written_and_nothing_else() -> None:
    clock = Clock(1)
    (row,) = clock.rows
    clock.timers.arm(row, 1.0)
    for step in range(10_000):
        clock.timers.arm(row, 2.0 + step / 1000)
    assert clock.timers.next_deadline() == 1.0  # the old bucket moves it when it comes up
    assert clock.run(1.0) == 1
    assert clock.fired == []
    assert clock.timers.next_deadline() == ceil(11.999 * TICKS_PER_SECOND) / TICKS_PER_SECOND
    clock.run(12.0)
    assert len(clock.fired) == 1


def test_a_row_that_flaps_for_ever_leaves_no_more_than_it_armed_earlier() -> None:
    clock = Clock(1)
    (row,) = clock.rows
    for _ in range(10_000):
        clock.timers.arm(row, 30.0)
        clock.timers.cancel(row)
        clock.timers.arm(row, 40.0)
    assert clock.run(60.0) == 2  # the bucket of 30 s, then that of 40 s
    assert len(clock.fired) == 1


# -- what is stale is harmless


def test_a_cancelled_timer_does_not_fire() -> None:
    clock = Clock(2)
    clock.timers.arm(clock.rows[0], 1.0)
    clock.timers.arm(clock.rows[1], 1.0)
    clock.timers.cancel(clock.rows[0])
    clock.run(5.0)
    assert clock.fired == [(clock.rows[1], 5.0)]


def test_a_timer_cancelled_by_the_handler_before_it_in_the_bucket_does_not_fire() -> None:
    clock = Clock(2)
    first, second = clock.rows
    clock.timers.arm(first, 1.0)
    clock.timers.arm(second, 1.0)

    def handler(row: int) -> None:
        clock.fire(row)
        clock.timers.cancel(second)

    clock.now = 1.0
    clock.timers.run(1.0, 100, handler)
    assert clock.fired == [(first, 1.0)]


def test_a_row_that_was_freed_does_not_fire_for_whoever_has_it_now() -> None:
    clock = Clock(1)
    (row,) = clock.rows
    clock.timers.arm(row, 1.0)
    clock.timers.cancel(row)
    clock.store.give_back(row)
    assert clock.row() == row
    clock.run(1.0)
    assert clock.fired == []
    clock.timers.arm(row, 3.0)
    clock.run(2.0)
    assert clock.fired == []
    clock.run(3.0)
    assert clock.fired == [(row, 3.0)]


def test_a_row_that_was_freed_and_armed_for_the_very_same_bucket_fires_once() -> None:
    clock = Clock(1)
    (row,) = clock.rows
    clock.timers.arm(row, 1.0)
    clock.timers.cancel(row)
    clock.store.give_back(row)
    assert clock.row() == row
    clock.timers.arm(row, 1.0)
    clock.run(2.0)
    assert clock.fired == [(row, 2.0)]


def test_a_row_that_moved_to_another_device_fires_there_alone() -> None:
    clock = Clock(1)
    (row,) = clock.rows
    there: list[int] = []
    other = Timers(clock.store, SLOT + 1, lambda: None)
    clock.timers.arm(row, 1.0)
    clock.timers.cancel(row)
    clock.store.give_back(row)
    assert clock.row(SLOT + 1) == row
    other.arm(row, 1.0)
    clock.run(2.0)
    other.run(2.0, 100, there.append)
    assert (clock.fired, there) == ([], [row])


# -- slices and wake-ups


def test_a_run_looks_at_no_more_than_its_budget_and_goes_on_where_it_stopped() -> None:
    clock = Clock(10)
    for row in clock.rows:
        clock.timers.arm(row, 1.0)
    assert [clock.run(1.0, 4), clock.run(1.0, 4)] == [4, 4]
    assert clock.timers.next_deadline() == 1.0  # still due
    assert clock.run(1.0, 4) == 2  # fewer than the budget: nothing more is due
    assert [row for row, _ in clock.fired] == clock.rows
    assert clock.timers.next_deadline() == inf


def test_what_is_armed_between_the_slices_of_a_bucket_waits_for_its_own() -> None:
    clock = Clock(4)
    for row in clock.rows:
        clock.timers.arm(row, 1.0)
    clock.run(1.0, 2)
    clock.timers.arm(clock.rows[0], 1.0)  # past: the first bucket after the open one
    clock.timers.arm(clock.rows[1], 9.0)
    clock.run(1.5)
    assert [row for row, _ in clock.fired] == [*clock.rows, clock.rows[0]]


def test_whoever_sleeps_is_told_when_the_next_deadline_moves_towards_the_present_and_only_then() -> None:
    clock = Clock(4)
    a, b, c, d = clock.rows
    told = []
    for row, when in ((a, 5.0), (b, 6.0), (c, 5.0), (d, 4.0)):
        clock.timers.arm(row, when)
        told.append(clock.earlier)
    assert told == [1, 1, 1, 2]
    clock.timers.arm(a, 3.0)
    assert clock.earlier == 3


class TimerMachine(RuleBasedStateMachine):
    """Timers against a plain dict of deadlines."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock(6)
        self.model: dict[int, float] = {}

    row = st.integers(0, 5)
    delay = st.one_of(st.floats(0.0, 3.0), st.sampled_from([0.0, 1 / 256, 1.0]))

    @rule(number=row, delay=delay)
    def arm(self, number: int, delay: float) -> None:
        row = self.clock.rows[number]
        self.model[row] = self.clock.now + delay
        self.clock.timers.arm(row, self.clock.now + delay)

    @rule(number=row)
    def cancel(self, number: int) -> None:
        row = self.clock.rows[number]
        self.model.pop(row, None)
        self.clock.timers.cancel(row)

    @rule(number=row)
    def free_and_take_again(self, number: int) -> None:
        row = self.clock.rows[number]
        self.model.pop(row, None)
        self.clock.timers.cancel(row)
        self.clock.store.give_back(row)
        assert self.clock.row() == row

    @rule(passes=delay, budget=st.integers(1, 4), slices=st.integers(1, 3))
    def run(self, passes: float, budget: int, slices: int) -> None:
        clock = self.clock
        clock.fired.clear()
        now = clock.now + passes
        looked = budget
        for _ in range(slices):
            looked = clock.run(now, budget)
        for row, at in clock.fired:
            assert self.model.pop(row) <= at  # armed, once, and not early
        if looked < budget:  # all that is due is done: what is left is at most a bucket late
            assert all(when > now - 2 / TICKS_PER_SECOND for when in self.model.values())

    @invariant()
    def nobody_sleeps_past_a_deadline(self) -> None:
        due = self.clock.timers.next_deadline()
        if self.model:
            first = min(self.model.values())
            assert due <= max(first, self.clock.now) + 2 / TICKS_PER_SECOND


test_timers_behave_as_a_dict_of_deadlines = TimerMachine.TestCase
test_timers_behave_as_a_dict_of_deadlines.settings = settings(
    max_examples=80, stateful_step_count=40, deadline=None
)


@pytest.mark.parametrize("count", [1, 255, 256, 257])
def test_any_number_of_timers_of_one_bucket_all_fire(count: int) -> None:
    clock = Clock(count)
    for row in clock.rows:
        clock.timers.arm(row, 1.0)
    while clock.run(2.0, 64) == 64:
        pass
    assert len(clock.fired) == count
