"""What ``neighio top`` knows of neighbours, and in which order it has them."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from neighio.cli.top.model import Entry, Fill, Neighbours
from neighio.cli.top.order import COLUMNS, FEW, Column, Order, Wanted
from neighio.core.constants import NUD_NAMES
from neighio.errors import NeighioError

ONE, TWO = "02:00:00:00:00:01", "02:00:00:00:00:02"
BY = {column.name: column for column in COLUMNS}
ALL = Wanted(states=frozenset({"NONE", *NUD_NAMES.values()}))


def entry(address: str, **other: Any) -> dict[str, Any]:
    return {
        "kind": "entry",
        "address": address,
        "device": "v1",
        "lladdr": ONE,
        "state": "STALE",
        "flags": [],
        "probes": 0,
        "refcnt": 0,
        "used": 30.0,
        "confirmed": 20.0,
        "updated": 10.0,
        "protocol": 0,
        **other,
    }


def told(kind: str, address: str, **other: Any) -> dict[str, Any]:
    return {**entry(address), "kind": kind, **other}


def change(address: str, old: str, new: str, **other: Any) -> dict[str, Any]:
    return {
        "kind": "change",
        "address": address,
        "device": "v1",
        "stimulus": "evidence",
        "old_state": old,
        "state": new,
        "old_lladdr": ONE,
        "lladdr": ONE,
        "old_flags": [],
        "flags": [],
        "notified": True,
        **other,
    }


def only(neighbours: Neighbours) -> Entry:
    (found,) = neighbours.entries.values()
    return found


# -- what is known


def test_an_entry_that_is_shown_has_its_ages_and_no_change_yet() -> None:
    neighbours = Neighbours()
    neighbours.show(entry("198.51.100.7"), 100.0)
    found = only(neighbours)
    assert (found.used, found.confirmed, found.updated) == (70.0, 80.0, 90.0)
    assert (found.changes, found.changed, found.change) == (0, None, "")
    assert neighbours.states["STALE"] == 1 and sum(neighbours.states.values()) == 1


def test_a_transition_is_counted_once_though_it_is_told_twice() -> None:
    neighbours = Neighbours()
    neighbours.show(entry("198.51.100.7"), 100.0)
    neighbours.hear(change("198.51.100.7", "STALE", "DELAY", stimulus="output", notified=False), 101.0)
    neighbours.hear(change("198.51.100.7", "DELAY", "REACHABLE"), 102.0)
    neighbours.hear(told("new", "198.51.100.7", state="REACHABLE", probes=2), 102.0)
    found = only(neighbours)
    assert (found.changes, found.changed, found.change) == (2, 102.0, "was DELAY by evidence")
    assert (found.state, found.probes, found.updated) == ("REACHABLE", 2, 102.0)
    assert neighbours.states["REACHABLE"] == 1 and neighbours.states["STALE"] == 0


def test_another_link_layer_address_says_where_it_was() -> None:
    neighbours = Neighbours()
    neighbours.show(entry("198.51.100.7"), 100.0)
    neighbours.hear(told("new", "198.51.100.7", lladdr=TWO), 101.0)
    assert only(neighbours).change == f"was at {ONE}"
    neighbours.hear(told("new", "198.51.100.7", lladdr=TWO, flags=["router"]), 102.0)
    assert (only(neighbours).changes, only(neighbours).change) == (2, "flags or address")


def test_one_that_nobody_told_of_is_there_with_its_first_transition() -> None:
    neighbours = Neighbours()
    neighbours.hear(change("198.51.100.7", "NONE", "INCOMPLETE", old_lladdr=None, lladdr=None), 5.0)
    found = only(neighbours)
    assert (found.state, found.lladdr, found.changes, found.used) == ("INCOMPLETE", "", 1, None)


def test_one_that_is_new_has_not_changed() -> None:
    neighbours = Neighbours()
    neighbours.hear(told("new", "198.51.100.7"), 5.0)
    neighbours.hear(told("miss", "198.51.100.8"), 5.0)
    assert (only(neighbours).changes, only(neighbours).address) == (0, "198.51.100.7")


def test_one_that_is_deleted_is_gone_and_so_is_its_count() -> None:
    neighbours = Neighbours()
    neighbours.show(entry("198.51.100.7"), 100.0)
    gone = only(neighbours)
    neighbours.hear(told("del", "198.51.100.7", state="FAILED", lladdr=None), 101.0)
    neighbours.hear(told("del", "198.51.100.9"), 101.0)
    assert neighbours.entries == {} and set(neighbours.states.values()) == {0}
    assert gone.gone and gone in neighbours.touched


def test_ages_that_are_asked_for_change_nothing_else() -> None:
    neighbours = Neighbours()
    neighbours.show(entry("198.51.100.7"), 100.0)
    neighbours.hear(change("198.51.100.7", "STALE", "REACHABLE"), 101.0)
    neighbours.refresh(entry("198.51.100.7", used=1.0, confirmed=2.0, updated=3.0, probes=4), 110.0)
    neighbours.refresh(entry("198.51.100.8"), 110.0)
    found = only(neighbours)
    assert (found.state, found.probes) == ("REACHABLE", 4)
    assert (found.used, found.confirmed, found.updated) == (109.0, 108.0, 107.0)


def test_what_comes_from_the_network_or_a_device_is_escaped() -> None:
    neighbours = Neighbours()
    neighbours.show(entry("198.51.100.7", device="v\x1b[2J\ud800", lladdr="\x9b31m", flags=["\n"]), 1.0)
    neighbours.hear(told("new", "198.51.100.7", device="v\x1b[2J\ud800", lladdr="02\x1b"), 2.0)
    found = only(neighbours)
    for text in (found.device, found.lladdr, found.change):
        assert text.isascii() and text.isprintable() and text


def test_a_state_that_there_is_not_is_refused() -> None:
    with pytest.raises(NeighioError, match="state: 'ODD' makes no sense"):
        Neighbours().show(entry("198.51.100.7", state="ODD"), 1.0)
    with pytest.raises(NeighioError, match="ip: "):
        Neighbours().show(entry("odd"), 1.0)


def test_rates_are_what_was_counted_since_the_last_time() -> None:
    neighbours = Neighbours()
    neighbours.fill(4, Fill(5, (1, 2, 3), 100, 50, 7), 10.0)
    neighbours.filled(10.0)
    assert neighbours.rates == {}
    neighbours.fill(4, Fill(5, (1, 2, 3), 130, 60, 7), 12.0)
    neighbours.filled(12.0)
    assert neighbours.rates == {4: (15.0, 5.0, 0.0)}
    # Another instance has come in its place.
    neighbours.fill(4, Fill(5, (1, 2, 3), 0, 0, 0), 13.0)
    assert neighbours.rates == {4: (0.0, 0.0, 0.0)}


def test_what_is_frozen_stands_still_and_what_thawed_goes_on() -> None:
    neighbours = Neighbours()
    for number in (7, 8, 9):
        neighbours.show(entry(f"198.51.100.{number}"), 100.0)
    order = settled(neighbours, Wanted(states=frozenset({"REACHABLE"})))
    frozen = neighbours.freeze()
    for step in range(2):
        neighbours.hear(change("198.51.100.7", "STALE", "REACHABLE", lladdr=(ONE, TWO)[step]), 101.0)
        neighbours.refresh(entry("198.51.100.8", used=1.0), 102.0)
    neighbours.hear(told("del", "198.51.100.9"), 101.0)
    neighbours.hear(told("new", "198.51.100.10"), 101.0)
    # However long it stands still, nothing piles up.
    assert not neighbours.touched
    still = settled(frozen, column=BY["changes"])
    assert addresses(still) == ["198.51.100.7", "198.51.100.8", "198.51.100.9"]
    assert [(each.state, each.changes, each.used) for each in still.window(0, 9)] == [("STALE", 0, 70.0)] * 3
    assert frozen.states["STALE"] == 3
    neighbours.thaw()
    order.renew()
    order.settle()
    assert addresses(order) == ["198.51.100.7"]
    for number in (7, 8):
        neighbours.hear(change(f"198.51.100.{number}", "STALE", "REACHABLE"), 103.0)
    neighbours.hear(told("del", "198.51.100.10"), 103.0)
    order.settle()
    assert addresses(order) == ["198.51.100.7", "198.51.100.8"]
    assert [each.changes for each in order.window(0, 9)] == [3, 1]


# -- the order


def addresses(order: Order, *, reverse: bool = False) -> list[str]:
    return [each.address for each in order.window(0, len(order), reverse=reverse)]


def settled(neighbours: Neighbours, wanted: Wanted = ALL, column: Column = BY["address"]) -> Order:
    order = Order(neighbours)
    order.choose(wanted, column)
    order.settle()
    return order


def test_addresses_are_in_the_order_of_numbers_and_ipv4_comes_first() -> None:
    neighbours = Neighbours()
    for address in ("198.51.100.10", "2001:db8::a", "fe80::1", "198.51.100.9", "2001:db8::9"):
        neighbours.show(entry(address), 1.0)
    order = settled(neighbours)
    wanted = ["198.51.100.9", "198.51.100.10", "2001:db8::9", "2001:db8::a", "fe80::1"]
    assert addresses(order) == wanted
    assert addresses(order, reverse=True) == wanted[::-1]
    assert [each.address for each in order.window(1, 2)] == wanted[1:3]
    assert [each.address for each in order.window(1, 2, reverse=True)] == wanted[3:1:-1]
    assert order.window(4, 9, reverse=True)[0].address == wanted[0]
    assert order.window(7, 9, reverse=True) == []


def test_an_entry_on_two_devices_is_two() -> None:
    neighbours = Neighbours()
    neighbours.show(entry("fe80::1"), 1.0)
    neighbours.show(entry("fe80::1", device="v2"), 1.0)
    order = settled(neighbours, column=BY["device"])
    assert [each.device for each in order.window(0, 9)] == ["v1", "v2"]


def test_what_is_not_known_is_the_oldest() -> None:
    neighbours = Neighbours()
    neighbours.show(entry("198.51.100.1", used=5e9), 1.0)
    neighbours.hear(change("198.51.100.2", "NONE", "INCOMPLETE"), 1.0)
    neighbours.show(entry("198.51.100.3", used=2.0), 1.0)
    order = settled(neighbours, column=BY["used"])
    assert addresses(order) == ["198.51.100.3", "198.51.100.1", "198.51.100.2"]


def test_equal_ones_are_in_the_order_of_their_addresses() -> None:
    neighbours = Neighbours()
    for number in (3, 1, 2):
        neighbours.show(entry(f"198.51.100.{number}"), 1.0)
    neighbours.hear(change("198.51.100.3", "STALE", "REACHABLE"), 2.0)
    for name in ("changes", "last change"):
        order = settled(neighbours, column=BY[name])
        assert addresses(order) == ["198.51.100.3", "198.51.100.1", "198.51.100.2"]


def test_states_families_and_words_say_what_is_shown() -> None:
    neighbours = Neighbours()
    neighbours.show(entry("198.51.100.1"), 1.0)
    neighbours.show(entry("198.51.100.2", state="FAILED", lladdr=None), 1.0)
    neighbours.show(entry("198.51.100.3", state="NOARP"), 1.0)
    neighbours.show(entry("2001:db8::1", lladdr=TWO, flags=["router"]), 1.0)
    assert addresses(settled(neighbours, Wanted())) == ["198.51.100.1", "198.51.100.2", "2001:db8::1"]
    assert addresses(settled(neighbours, Wanted(family=6))) == ["2001:db8::1"]
    assert addresses(settled(neighbours, Wanted(states=frozenset({"NOARP"})))) == ["198.51.100.3"]
    assert addresses(settled(neighbours, Wanted(words=("v1", "00:02")))) == ["2001:db8::1"]
    assert addresses(settled(neighbours, Wanted(words=("router",)))) == ["2001:db8::1"]
    assert addresses(settled(neighbours, Wanted(words=("failed",)))) == ["198.51.100.2"]


@pytest.mark.parametrize("column", COLUMNS, ids=[column.name for column in COLUMNS])
@pytest.mark.parametrize("most", [3, 4 * FEW], ids=["one-by-one", "all-anew"])
def test_an_order_kept_through_changes_is_the_one_that_sorting_gives(column: Column, most: int) -> None:
    random = Random(f"{column.name} {most}")
    neighbours = Neighbours()
    states = [*NUD_NAMES.values()]
    wanted = Wanted(words=("198",))
    order = settled(neighbours, wanted, column)
    for step in range(20):
        for _ in range(random.randint(1, most)):
            address = f"198.18.{random.randint(0, 3)}.{random.randint(1, 250)}"
            if random.random() < 0.1:
                address = f"2001:db8::{random.randint(1, 99)}"
            state, lladdr = random.choice(states), random.choice([ONE, TWO, None])
            match random.choice(["new", "change", "del", "refresh"]):
                case "new":
                    neighbours.hear(told("new", address, state=state, lladdr=lladdr), float(step))
                case "change":
                    neighbours.hear(change(address, "STALE", state, lladdr=lladdr), float(step))
                case "del":
                    neighbours.hear(told("del", address), float(step))
                case _:
                    neighbours.refresh(entry(address, used=random.random(), probes=step), float(step))
        order.settle()
        shown = [each for each in neighbours.entries.values() if wanted.shows(each)]
        anew = sorted(shown, key=lambda each: (column.value(each), each.place))
        assert order.window(0, len(order)) == anew
    assert len(order) > 3
