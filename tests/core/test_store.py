"""The columns: rows that come and go, growth, and lists that live in them."""

from __future__ import annotations

import mmap
from math import inf

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from neighio.core import store as store_module
from neighio.core.store import RowList, Store

PER_ROW = (
    "nud_state",
    "flags",
    "type",
    "protocol",
    "output",
    "hh",
    "watched",
    "accounted",
    "untold",
    "probes",
    "refcnt",
    "tick",
)


def taken(store: Store, count: int) -> list[int]:
    rows = []
    for _ in range(count):
        store.reserve()
        rows.append(store.take())
    return rows


# -- rows


def test_no_entry_ever_gets_row_0_and_no_row_is_taken_twice() -> None:
    rows = taken(Store(4), 1000)
    assert 0 not in rows
    assert len(set(rows)) == 1000


def test_a_row_is_taken_dead_and_idle() -> None:
    store = Store(4)
    (row,) = taken(store, 1)
    assert (store.dead[row], store.deadline[row]) == (1, inf)
    assert all(getattr(store, name)[row] == 0 for name in PER_ROW)


def test_a_row_that_is_used_again_is_as_a_new_one_but_for_its_generation() -> None:
    store = Store(4)
    (row,) = taken(store, 1)
    for name in PER_ROW:
        getattr(store, name)[row] = 77
    store.dead[row] = 0
    store.deadline[row] = 5.0
    store.set_lladdr(row, b"\xff" * 6)
    store.give_back(row)
    assert taken(store, 1) == [row]
    assert (store.dead[row], store.deadline[row], store.generation[row]) == (1, inf, 1)
    assert all(getattr(store, name)[row] == 0 for name in PER_ROW)
    assert store.lladdr_of(row, 8) == bytes(8)


def test_rows_that_were_given_back_are_taken_before_new_ones() -> None:
    store = Store(4)
    rows = taken(store, 10)
    top = store.top
    for row in rows[2:6]:
        store.give_back(row)
    assert set(taken(store, 4)) == set(rows[2:6])
    assert store.top == top
    assert taken(store, 1) == [top]


def test_the_generation_counts_each_giving_back_of_this_row_alone_and_wraps() -> None:
    store = Store(4)
    first, second = taken(store, 2)
    for _ in range(3):
        store.give_back(first)
        assert taken(store, 1) == [first]
    assert (store.generation[first], store.generation[second]) == (3, 0)
    store.generation[second] = 0xFFFFFFFF
    store.give_back(second)
    assert store.generation[second] == 0


def test_keys_and_link_layer_addresses_of_neighbouring_rows_do_not_touch() -> None:
    for length in (4, 16):
        store = Store(length)
        rows = taken(store, 3)
        for number, row in enumerate(rows, 1):
            store.set_key(row, bytes([number]) * length)
            store.set_lladdr(row, bytes([number]) * 6)
        assert [store.key_of(row) for row in rows] == [bytes([n]) * length for n in (1, 2, 3)]
        assert [store.lladdr_of(row, 6) for row in rows] == [bytes([n]) * 6 for n in (1, 2, 3)]


# -- growth


def test_columns_double_when_no_row_is_free_and_not_before() -> None:
    store = Store(4, capacity=4)
    sizes = []
    for _ in range(20):
        store.reserve()
        sizes.append(store.capacity)
        store.take()
    assert sizes == [4] * 3 + [8] * 4 + [16] * 8 + [32] * 5


def test_a_free_row_is_room_enough() -> None:
    store = Store(4, capacity=4)
    rows = taken(store, 3)
    store.give_back(rows[1])
    store.reserve()
    assert store.capacity == 4


@pytest.mark.parametrize("remaps", [True, False], ids=["mremap", "no mremap"])
@pytest.mark.parametrize("private", [True, False], ids=["MAP_PRIVATE", "no MAP_PRIVATE"])
def test_every_value_survives_growth(remaps: bool, private: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Unmovable(mmap.mmap):
        def resize(self, newsize: int) -> None:
            raise SystemError("mmap: resizing not available--no mremap()")

    if not remaps or not private:
        # A shared mapping dies when resized and touched: where there is no MAP_PRIVATE, none is resized.
        monkeypatch.setattr(store_module.mmap, "mmap", Unmovable)
    if not private:
        monkeypatch.setattr(store_module, "_PRIVATE", 0)
    store = Store(16, capacity=8)
    rows = taken(store, 7)
    for row in rows:
        store.set_key(row, bytes([row]) * 16)
        store.set_lladdr(row, bytes([row]) * 6)
        store.nud_state[row] = store.probes[row] = store.flags[row] = row
        store.confirmed[row] = row / 3
        store.gc_next[row] = row + 1
    more = taken(store, 500)
    assert store.capacity == 512
    for row in rows:
        assert store.key_of(row) == bytes([row]) * 16
        assert store.lladdr_of(row, 6) == bytes([row]) * 6
        assert (store.nud_state[row], store.probes[row], store.flags[row]) == (row, row, row)
        assert (store.confirmed[row], store.gc_next[row]) == (row / 3, row + 1)
    store.confirmed[more[-1]] = 2.5
    assert store.confirmed[more[-1]] == 2.5
    store.close()


def test_who_asked_is_told_of_growth_and_no_longer_when_it_said_so() -> None:
    store = Store(4, capacity=2)
    told: list[int] = []

    def listen() -> None:
        told.append(len(store.nud_state))

    store.on_grow(listen)
    taken(store, 2)
    assert told == [2, 4]
    store.forget(listen)
    taken(store, 4)
    assert told == [2, 4]


@pytest.mark.parametrize("after", [0, 1, 5, 26])
def test_a_store_that_finds_no_memory_to_grow_works_on_at_its_size(
    after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever column it is that does not grow."""
    store = Store(4, capacity=4)
    members = RowList(store, "dev")
    rows = taken(store, 3)
    for row in rows:
        members.append(row)
        store.set_key(row, bytes([row]) * 4)
    resized = store_module._resized
    calls = [0]

    def starving(old: mmap.mmap, size: int) -> mmap.mmap:
        calls[0] += 1
        if calls[0] > after:
            raise OSError(12, "Cannot allocate memory")
        return resized(old, size)

    monkeypatch.setattr(store_module, "_resized", starving)
    with pytest.raises(OSError, match="memory"):
        store.reserve()
    assert store.capacity == 4
    assert [store.key_of(row) for row in rows] == [bytes([row]) * 4 for row in rows]
    assert list(members) == rows
    members.remove(rows[1])
    store.give_back(rows[1])
    assert taken(store, 1) == [rows[1]]
    monkeypatch.setattr(store_module, "_resized", resized)
    members.append(rows[1])
    assert taken(store, 10)[-1] == 13
    assert list(members) == [rows[0], rows[2], rows[1]]


def test_memory_is_given_back_when_a_store_closes() -> None:
    store = Store(4)
    assert store.octets() > 0
    store.close()
    assert store.octets() == 0


def test_an_entry_takes_no_more_than_two_hundred_octets_of_columns() -> None:
    assert Store(16, capacity=1000).octets() / 1000 <= 200


# -- lists


def test_a_list_keeps_its_order_through_any_removal() -> None:
    store = Store(4)
    rows = taken(store, 5)
    members = RowList(store, "gc")
    for row in rows:
        members.append(row)
    members.prepend(taken(store, 1)[0])
    members.remove(rows[0])
    members.remove(rows[4])
    assert list(members) == [6, rows[1], rows[2], rows[3]]
    assert (members.first(), members.after(6)) == (6, rows[1])


def test_an_empty_list_begins_and_ends_at_its_head() -> None:
    store = Store(4)
    (head,) = taken(store, 1)
    members = RowList(store, "dev", head)
    assert (list(members), members.first()) == ([], head)


def test_two_lists_of_one_name_with_heads_of_their_own_are_two() -> None:
    store = Store(4)
    one, two, row, other = taken(store, 4)
    first, second = RowList(store, "dev", one), RowList(store, "dev", two)
    first.append(row)
    second.append(other)
    assert (list(first), list(second)) == ([row], [other])


def test_the_row_just_yielded_may_be_removed_while_walking() -> None:
    store = Store(4)
    members = RowList(store, "gc")
    rows = taken(store, 6)
    for row in rows:
        members.append(row)
    for row in members:
        if row % 2:
            members.remove(row)
            store.give_back(row)
    assert list(members) == [row for row in rows if row % 2 == 0]


@pytest.mark.parametrize("place", range(4))
def test_rotating_puts_what_stood_before_a_row_at_the_end(place: int) -> None:
    store = Store(4)
    members = RowList(store, "gc")
    rows = taken(store, 4)
    for row in rows:
        members.append(row)
    members.rotate(rows[place])
    assert list(members) == rows[place:] + rows[:place]
    for row in rows:
        members.remove(row)
    assert list(members) == []


class StoreMachine(RuleBasedStateMachine):
    """A store against a dict of what its rows should hold, two lists against lists of Python's."""

    rows = Bundle("rows")

    def __init__(self) -> None:
        super().__init__()
        self.store = Store(4, capacity=2)
        self.lists = {"gc": RowList(self.store, "gc"), "managed": RowList(self.store, "managed")}
        self.model: dict[int, tuple[bytes, int]] = {}
        self.members: dict[str, list[int]] = {"gc": [], "managed": []}
        self.generations: dict[int, int] = {}

    @rule(target=rows, key=st.binary(min_size=4, max_size=4), probes=st.integers(0, 2**32 - 1))
    def take(self, key: bytes, probes: int) -> int:
        self.store.reserve()
        row = self.store.take()
        assert row not in self.model
        assert self.store.generation[row] == self.generations.setdefault(row, 0)
        self.store.set_key(row, key)
        self.store.probes[row] = probes
        self.model[row] = (key, probes)
        return row

    @rule(row=consumes(rows))
    def give_back(self, row: int) -> None:
        for name, members in self.members.items():
            if row in members:
                members.remove(row)
                self.lists[name].remove(row)
        self.store.give_back(row)
        self.generations[row] += 1
        del self.model[row]

    @rule(row=rows, name=st.sampled_from(["gc", "managed"]), front=st.booleans())
    def enter(self, row: int, name: str, front: bool) -> None:
        if row not in self.members[name]:
            if front:
                self.lists[name].prepend(row)
                self.members[name].insert(0, row)
            else:
                self.lists[name].append(row)
                self.members[name].append(row)

    @rule(row=rows, name=st.sampled_from(["gc", "managed"]))
    def leave(self, row: int, name: str) -> None:
        if row in self.members[name]:
            self.lists[name].remove(row)
            self.members[name].remove(row)

    @rule(row=rows, name=st.sampled_from(["gc", "managed"]))
    def rotate(self, row: int, name: str) -> None:
        if row in self.members[name]:
            self.lists[name].rotate(row)
            place = self.members[name].index(row)
            self.members[name] = self.members[name][place:] + self.members[name][:place]

    @invariant()
    def rows_hold_what_was_put_there(self) -> None:
        for row, (key, probes) in self.model.items():
            assert (self.store.key_of(row), self.store.probes[row]) == (key, probes)

    @invariant()
    def lists_hold_what_entered(self) -> None:
        for name, members in self.members.items():
            assert list(self.lists[name]) == members

    def teardown(self) -> None:
        self.store.close()


test_a_store_and_its_lists_behave_as_a_dict_and_lists = StoreMachine.TestCase
test_a_store_and_its_lists_behave_as_a_dict_and_lists.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
