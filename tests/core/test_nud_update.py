"""Update: everything received or administered ends here (__neigh_update). One test for each of its rules,
U0 to U15, and the table of what a VALID entry becomes."""

from __future__ import annotations

import errno
from math import inf

import pytest

from neighio.core.constants import (
    IFF_LOOPBACK,
    IFF_UP,
    NEIGH_UPDATE_F_ADMIN,
    NEIGH_UPDATE_F_EXT_LEARNED,
    NEIGH_UPDATE_F_EXT_VALIDATED,
    NEIGH_UPDATE_F_ISROUTER,
    NEIGH_UPDATE_F_MANAGED,
    NEIGH_UPDATE_F_OVERRIDE,
    NEIGH_UPDATE_F_OVERRIDE_ISROUTER,
    NEIGH_UPDATE_F_USE,
    NEIGH_UPDATE_F_WEAK_OVERRIDE,
    NLM_F_CREATE,
    NTF_EXT_LEARNED,
    NTF_EXT_VALIDATED,
    NTF_MANAGED,
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
    nud_state_name,
)

from .bench import LLADDR, OTHER, PARAMETERS, REACHABLE_TIME, Bench, ethernet
from .families import packed

pytestmark = pytest.mark.usefixtures("family")

ADMIN = NEIGH_UPDATE_F_ADMIN
OVERRIDE = NEIGH_UPDATE_F_OVERRIDE
WEAK = NEIGH_UPDATE_F_WEAK_OVERRIDE
ROUTER = NEIGH_UPDATE_F_OVERRIDE_ISROUTER | NEIGH_UPDATE_F_ISROUTER
NOT_ROUTER = NEIGH_UPDATE_F_OVERRIDE_ISROUTER
LONG_AGO = 2 * PARAMETERS["base_reachable_time"]
DELAY_TIME = PARAMETERS["delay_first_probe_time"]

UNRESOLVED = [NUD_NONE, NUD_INCOMPLETE, NUD_FAILED]
SUSPECT = [NUD_STALE, NUD_DELAY, NUD_PROBE]
DYNAMIC = [NUD_REACHABLE, *SUSPECT]
FIXED = [NUD_NOARP, NUD_PERMANENT]
VALID = [*DYNAMIC, *FIXED]


def at_rest(state: int, flags: int = 0, **parameters: float) -> Bench:
    """A bench whose entry has been in a state for 0.125 s."""
    bench = Bench(**parameters)
    bench.put(state, flags)
    bench.now += 0.125
    return bench


# -- U0, U1: who may not


@pytest.mark.parametrize("flags", [0, ADMIN | OVERRIDE, ADMIN | NEIGH_UPDATE_F_EXT_LEARNED])
def test_u0_a_dead_entry_refuses_every_update(flags: int) -> None:
    bench = Bench()
    held = bench.put(NUD_STALE)
    bench.cache.hold(held.row)
    bench.engine.link_down(7, bench.now)
    bench.told()
    bench.now += 1
    before = (held.nud_state, held.flags, held.confirmed, held.updated)

    assert bench.nud.update(held.row, OTHER, NUD_REACHABLE, flags, "admin") == errno.EPERM
    assert bench.told() == []
    assert (held.nud_state, held.flags, held.confirmed, held.updated) == before


@pytest.mark.parametrize("old", FIXED)
@pytest.mark.parametrize("lladdr", [None, LLADDR, OTHER])
@pytest.mark.parametrize("new", [NUD_REACHABLE, NUD_STALE, NUD_FAILED])
def test_u1_evidence_does_not_touch_noarp_and_permanent_not_even_confirmed(
    old: int, lladdr: bytes | None, new: int
) -> None:
    bench = at_rest(old)
    before = bench.facts()

    assert bench.update(lladdr, new, OVERRIDE | WEAK | ROUTER) == []
    assert bench.failure == errno.EPERM
    assert bench.facts() == before


# -- U2: the administrator's flags


@pytest.mark.parametrize("old", range(8))
@pytest.mark.parametrize("asked", range(8))
@pytest.mark.parametrize("state", [NUD_NONE, NUD_REACHABLE, NUD_STALE])
def test_u2_admin_flags_become_what_the_request_says_and_a_difference_is_notified(
    state: int, old: int, asked: int
) -> None:
    ours = (NTF_EXT_LEARNED, NTF_MANAGED, NTF_EXT_VALIDATED)
    theirs = (NEIGH_UPDATE_F_EXT_LEARNED, NEIGH_UPDATE_F_MANAGED, NEIGH_UPDATE_F_EXT_VALIDATED)
    old_flags = sum(flag for bit, flag in enumerate(ours) if old >> bit & 1)
    new_flags = sum(flag for bit, flag in enumerate(ours) if asked >> bit & 1)
    bench = at_rest(state, old_flags)
    before = bench.facts()
    # USE keeps the state, so that the flags alone are seen.
    request = ADMIN | NEIGH_UPDATE_F_USE | sum(flag for bit, flag in enumerate(theirs) if asked >> bit & 1)

    lines = bench.update(None, NUD_NONE, request, stimulus="admin")

    assert bench.facts() == before._replace(flags=new_flags)
    assert len(lines) == (old != asked)
    assert list(bench.cache.managed_list) == ([bench.entry().row] if new_flags & NTF_MANAGED else [])
    exempt = bool(new_flags & (NTF_EXT_LEARNED | NTF_EXT_VALIDATED))
    assert bench.collectable() == ([] if exempt else [bench.entry().row])
    assert bench.cache.gc_entries == (not exempt)


@pytest.mark.parametrize("state", DYNAMIC)
def test_u2_evidence_neither_sets_nor_clears_admin_flags(state: int) -> None:
    for flags in (0, NTF_EXT_LEARNED | NTF_EXT_VALIDATED):
        bench = at_rest(state, flags)
        asked = NEIGH_UPDATE_F_EXT_LEARNED if not flags else 0
        bench.update(OTHER, NUD_STALE, OVERRIDE | asked)

        assert bench.facts().flags == flags


def test_u2_an_update_that_fails_has_its_flags_applied_and_told() -> None:
    bench = at_rest(NUD_NONE)

    assert bench.update(None, NUD_STALE, ADMIN | NEIGH_UPDATE_F_EXT_LEARNED, stimulus="admin") == ["new NONE"]
    assert bench.failure == errno.EINVAL
    assert bench.facts().flags == NTF_EXT_LEARNED


def test_u2_managed_alone_does_not_look_at_the_gc_list() -> None:
    """Entries on a loopback device are off the list by no state or flag of theirs, until one is changed."""
    bench = Bench(device=ethernet(flags=IFF_UP | IFF_LOOPBACK))
    key = bytes(4)
    bench.engine.neighbour(7, key, bench.now)

    bench.update(None, NUD_NOARP, ADMIN | NEIGH_UPDATE_F_MANAGED, stimulus="admin", key=key)
    assert list(bench.cache.managed_list) and not bench.collectable()
    learned = ADMIN | NEIGH_UPDATE_F_USE | NEIGH_UPDATE_F_EXT_LEARNED
    bench.update(None, NUD_NOARP, learned, stimulus="admin", key=key)
    bench.update(None, NUD_NOARP, ADMIN | NEIGH_UPDATE_F_USE, stimulus="admin", key=key)
    assert len(bench.collectable()) == 1


def test_u2_a_failed_creation_of_an_exempt_entry_leaves_one_behind_that_can_be_collected() -> None:
    bench = Bench()
    with pytest.raises(OSError):
        bench.engine.new_neighbour(7, packed(), bench.now, state=NUD_PERMANENT, nlm_flags=NLM_F_CREATE)

    assert bench.facts().state == NUD_NONE
    assert bench.collectable() == [bench.entry().row]


# -- U3: USE and MANAGED


@pytest.mark.parametrize("flag", [NEIGH_UPDATE_F_USE, NEIGH_UPDATE_F_MANAGED])
@pytest.mark.parametrize("state", [*UNRESOLVED, *DYNAMIC, NUD_NOARP])
def test_u3_use_and_managed_ignore_the_state_and_the_address(state: int, flag: int) -> None:
    bench = at_rest(state, NTF_MANAGED if flag == NEIGH_UPDATE_F_MANAGED else 0)
    before = bench.facts()

    assert bench.update(OTHER, NUD_PERMANENT, ADMIN | OVERRIDE | flag, stimulus="admin") == []
    assert (bench.failure, bench.facts()) == (0, before)


def test_u3_use_takes_permanent_away_in_silence_and_the_entry_can_be_collected() -> None:
    bench = at_rest(NUD_PERMANENT)
    before = bench.facts()
    assert bench.cache.gc_entries == 0

    assert bench.update(None, NUD_STALE, ADMIN | NEIGH_UPDATE_F_USE, stimulus="admin") == []
    assert bench.facts() == before._replace(state=NUD_NONE)
    assert bench.collectable() == [bench.entry().row]


def test_u3_use_does_not_reach_the_router_flag() -> None:
    """6.18.44: ``ip neigh replace ... router use`` on a STALE entry shows DELAY without "router"."""
    for was in (0, NTF_ROUTER):
        bench = at_rest(NUD_STALE, was)
        flags = NOT_ROUTER if was else ROUTER
        bench.update(None, NUD_NONE, ADMIN | NEIGH_UPDATE_F_USE | flags, stimulus="admin")

        assert bench.facts().flags == was


# -- U4: states without an address


@pytest.mark.parametrize("new", UNRESOLVED)
@pytest.mark.parametrize("old", [*UNRESOLVED, *VALID])
def test_u4_a_state_without_address_stops_the_timer_and_is_told_of_a_valid_entry(old: int, new: int) -> None:
    bench = at_rest(old)
    before = bench.facts()
    fails = old in (NUD_INCOMPLETE, NUD_PROBE) and new == NUD_FAILED

    lines = bench.update(OTHER, new, ADMIN | OVERRIDE | ROUTER, stimulus="admin")

    assert lines == ([f"new {nud_state_name(new) or 'NONE'}"] if fails or old in VALID else [])
    assert bench.facts() == before._replace(
        state=new, refcnt=1, timer=inf, updated=bench.now if fails else before.updated
    )
    assert bench.cache.statistics.res_failed == fails


def test_u4_failing_an_incomplete_entry_reports_every_queued_packet_before_the_event() -> None:
    bench = Bench()
    bench.output()
    bench.output()

    assert bench.update(None, NUD_FAILED, ADMIN, stimulus="admin") == [
        "p1 Unreachable reported",
        "p2 Unreachable reported",
        "new FAILED",
    ]


def test_u4_a_queue_survives_from_incomplete_to_none_and_leaves_with_the_next_answer() -> None:
    bench = Bench()
    bench.output()

    assert bench.update(None, NUD_NONE, ADMIN, stimulus="admin") == []
    assert bench.output() == ["request to all"]
    assert bench.update(LLADDR, NUD_REACHABLE) == ["p1 to 0b", "p2 to 0b", "new REACHABLE 0b"]


@pytest.mark.parametrize("old", [NUD_NONE, NUD_FAILED])
def test_u4_overwrites_the_wish_to_tell_of_cleared_flags(old: int) -> None:
    bench = at_rest(old, NTF_EXT_LEARNED | NTF_EXT_VALIDATED)

    assert bench.update(None, NUD_FAILED, ADMIN, stimulus="admin") == []
    assert bench.facts().flags == 0
    assert bench.collectable() == [bench.entry().row]


def test_u4_a_connected_entry_gets_the_slow_output_again() -> None:
    bench = Bench(device=ethernet(hh_cache=False))
    bench.put(NUD_REACHABLE)
    bench.update(None, NUD_FAILED, ADMIN, stimulus="admin")

    assert bench.output() == ["request to all"]


# -- U5: which address


@pytest.mark.parametrize("old", UNRESOLVED)
@pytest.mark.parametrize("new", [NUD_REACHABLE, NUD_STALE, NUD_DELAY, NUD_PROBE, NUD_NOARP, NUD_PERMANENT])
def test_u5_no_address_given_and_none_known_is_einval_and_changes_nothing(old: int, new: int) -> None:
    bench = at_rest(old)
    before = bench.facts()

    assert bench.update(None, new, OVERRIDE | ROUTER, stimulus="admin") == []
    assert (bench.failure, bench.facts()) == (errno.EINVAL, before)


def test_u5_the_old_address_of_a_failed_entry_is_not_known() -> None:
    bench = at_rest(NUD_PROBE)
    bench.wait(10)
    assert bench.facts()[:2] == (NUD_FAILED, LLADDR)

    bench.update(None, NUD_STALE, ADMIN, stimulus="admin")
    assert bench.failure == errno.EINVAL


def test_u5_the_same_octets_are_a_new_address_to_an_entry_that_is_not_valid() -> None:
    bench = at_rest(NUD_PROBE)
    bench.wait(10)
    bench.told()

    assert bench.update(LLADDR, NUD_STALE) == ["new STALE 0b"]
    assert bench.facts().confirmed == bench.now - LONG_AGO


def test_u5_a_longer_address_is_cut() -> None:
    bench = at_rest(NUD_STALE)

    assert bench.update(LLADDR + b"\x55\x66", NUD_STALE, OVERRIDE) == []
    assert bench.update(OTHER + b"\x55\x66", NUD_STALE, OVERRIDE) == ["new STALE 0c"]


def test_u5_a_device_without_addresses_needs_none() -> None:
    bench = Bench(device=ethernet(lladdr=b"", header=False))
    bench.engine.neighbour(7, packed(), bench.now)
    assert bench.update(None, NUD_FAILED, ADMIN, stimulus="admin") == ["new FAILED"]

    assert bench.update(None, NUD_STALE, ADMIN, stimulus="admin") == ["new STALE"]
    assert (bench.failure, bench.entry().lladdr) == (0, b"")


# -- U6, U7: confirmation, and addresses that are refused


@pytest.mark.parametrize("new", [NUD_REACHABLE, NUD_NOARP, NUD_PERMANENT])
@pytest.mark.parametrize("old", SUSPECT)
def test_u6_a_refused_address_confirms_the_old_one_all_the_same(old: int, new: int) -> None:
    bench = at_rest(old)
    before = bench.facts()

    assert bench.update(OTHER, new, WEAK | ROUTER, stimulus="admin") == []
    assert bench.facts() == before._replace(confirmed=bench.now)


def test_u6_in_delay_the_old_address_ends_reachable_though_another_one_answered() -> None:
    bench = at_rest(NUD_DELAY)
    bench.update(OTHER, NUD_REACHABLE, WEAK)

    assert bench.fire() == ["new REACHABLE 0b"]


def test_u6_in_probe_the_answer_of_another_address_does_not_help() -> None:
    bench = at_rest(NUD_PROBE)
    bench.update(OTHER, NUD_REACHABLE, WEAK)

    assert [text for _, text in bench.wait(10)][-1] == "new FAILED"


@pytest.mark.parametrize("new", [NUD_STALE, NUD_DELAY, NUD_PROBE])
@pytest.mark.parametrize("old", DYNAMIC)
def test_u7_without_override_another_address_changes_nothing(old: int, new: int) -> None:
    bench = at_rest(old, NTF_ROUTER)
    before = bench.facts()

    assert bench.update(OTHER, new, NOT_ROUTER, stimulus="admin") == []
    assert (bench.failure, bench.facts()) == (0, before)


@pytest.mark.parametrize(
    ("old", "flags"), [(NUD_REACHABLE, WEAK), (NUD_NOARP, WEAK | ADMIN), (NUD_PERMANENT, WEAK | ADMIN)]
)
@pytest.mark.parametrize("new", [NUD_REACHABLE, NUD_STALE])
def test_u7_weak_override_makes_a_connected_entry_doubt_its_old_address(
    old: int, flags: int, new: int
) -> None:
    bench = at_rest(old)
    before = bench.facts()

    assert bench.update(OTHER, new, flags | ROUTER, stimulus="admin") == ["new STALE 0b"]
    assert bench.facts() == before._replace(
        state=NUD_STALE,
        updated=bench.now,
        confirmed=bench.now if new == NUD_REACHABLE else before.confirmed,
        refcnt=1,
        timer=inf,
    )


@pytest.mark.parametrize("old", DYNAMIC)
@pytest.mark.parametrize("lladdr", [None, LLADDR])
@pytest.mark.parametrize("flags", [0, OVERRIDE, WEAK, OVERRIDE | WEAK])
def test_u7_a_stale_hint_for_the_same_address_never_demotes(
    old: int, lladdr: bytes | None, flags: int
) -> None:
    bench = at_rest(old)
    before = bench.facts()

    assert bench.update(lladdr, NUD_STALE, flags) == []
    assert bench.facts() == before


@pytest.mark.parametrize("old", [NUD_REACHABLE, NUD_DELAY, NUD_PROBE, *FIXED])
@pytest.mark.parametrize("lladdr", [None, LLADDR])
def test_u7_an_administrator_demotes(old: int, lladdr: bytes | None) -> None:
    bench = at_rest(old)
    before = bench.facts()

    assert bench.update(lladdr, NUD_STALE, ADMIN, stimulus="admin") == ["new STALE 0b"]
    assert bench.facts() == before._replace(state=NUD_STALE, updated=bench.now, refcnt=1, timer=inf)


# -- U8 to U12: the change


def test_u8_trap_193_an_update_that_changes_nothing_does_not_move_updated() -> None:
    bench = at_rest(NUD_REACHABLE)
    before = bench.facts()
    for lladdr, new, flags in (
        (LLADDR, NUD_REACHABLE, OVERRIDE),
        (LLADDR, NUD_STALE, OVERRIDE),
        (OTHER, NUD_REACHABLE, 0),
    ):
        bench.now += 0.125
        bench.update(lladdr, new, flags)

    assert bench.facts().updated == before.updated


@pytest.mark.parametrize(
    ("new", "wait"), [(NUD_REACHABLE, REACHABLE_TIME), (NUD_DELAY, 0.004), (NUD_PROBE, 0.004)]
)
def test_u9_a_state_with_a_timer_starts_it_and_raises_used_to_confirmed(new: int, wait: float) -> None:
    bench = at_rest(NUD_STALE)
    bench.now += 1
    bench.confirm()
    confirmed = bench.now
    bench.now += 1
    assert bench.update(None, new, 0, stimulus="admin") == [f"new {nud_state_name(new)} 0b"]

    facts = bench.facts()
    assert (facts.timer, facts.refcnt) == (bench.now + wait, 2)
    assert facts.used == (bench.now if new == NUD_REACHABLE else confirmed)


@pytest.mark.parametrize("new", [NUD_STALE, NUD_NOARP, NUD_PERMANENT])
def test_u9_a_state_without_a_timer_stops_it(new: int) -> None:
    bench = at_rest(NUD_PROBE)
    bench.update(None, new, ADMIN, stimulus="admin")

    assert bench.facts()[-2:] == (1, inf)


def test_u9_reachable_to_reachable_does_not_touch_the_timer() -> None:
    bench = at_rest(NUD_REACHABLE)
    before = bench.facts()
    bench.now += 3

    assert bench.update(LLADDR, NUD_REACHABLE) == []
    assert bench.facts() == before._replace(confirmed=bench.now)
    assert bench.update(OTHER, NUD_REACHABLE, OVERRIDE) == ["new REACHABLE 0c"]
    assert bench.facts() == before._replace(confirmed=bench.now, updated=bench.now, lladdr=OTHER)


def test_u9_probe_begins_to_count_anew_and_its_first_probe_is_no_second_event() -> None:
    bench = Bench()
    bench.output()
    bench.update(LLADDR, NUD_STALE)
    bench.now += 9
    assert bench.facts().probes == 3

    assert bench.update(None, NUD_PROBE, ADMIN, stimulus="admin") == ["new PROBE 0b"]
    assert bench.facts().probes == 0
    assert bench.fire() == ["request to 0b"]
    assert bench.facts().probes == 1


def test_u9_reachable_keeps_the_probe_count_of_its_resolution() -> None:
    bench = Bench()
    bench.output()
    bench.update(LLADDR, NUD_REACHABLE)

    assert bench.facts().probes == PARAMETERS["ucast_solicit"] + 1


@pytest.mark.parametrize(
    ("confirmed_before", "happens"),
    [(DELAY_TIME / 2, ["new REACHABLE 0b"]), (DELAY_TIME * 2, ["request to 0b", "new PROBE 0b"])],
)
def test_u9_delay_by_an_administrator_is_judged_in_the_next_jiffy(
    confirmed_before: float, happens: list[str]
) -> None:
    bench = at_rest(NUD_STALE)
    bench.confirm()
    bench.now += confirmed_before
    bench.update(None, NUD_DELAY, ADMIN, stimulus="admin")
    asked = bench.now

    assert bench.fire() == happens
    assert bench.now - asked == pytest.approx(0.004, abs=1 / 256)


@pytest.mark.parametrize("old", [*UNRESOLVED, *DYNAMIC])
@pytest.mark.parametrize(
    ("new", "confirmed"),
    [
        (NUD_REACHABLE, 0),
        (NUD_NOARP, 0),
        (NUD_PERMANENT, 0),
        (NUD_STALE, LONG_AGO),
        (NUD_DELAY, LONG_AGO),
        (NUD_PROBE, LONG_AGO),
    ],
)
def test_u10_a_new_address_is_confirmed_by_a_connected_state_or_believed_not_at_all(
    old: int, new: int, confirmed: float
) -> None:
    bench = at_rest(old)

    assert bench.update(OTHER, new, OVERRIDE, stimulus="admin") == [f"new {nud_state_name(new)} 0c"]
    facts = bench.facts()
    assert (facts.state, facts.lladdr) == (new, OTHER)
    assert (facts.confirmed, facts.updated) == (bench.now - confirmed, bench.now)


def test_u11_the_output_follows_the_state() -> None:
    bench = Bench(device=ethernet(hh_cache=False))
    bench.put(NUD_STALE)
    bench.update(None, NUD_REACHABLE)
    used = bench.facts().used
    bench.now += 1
    bench.output()
    assert bench.facts().used == used  # connected: past the machine
    bench.update(None, NUD_STALE, ADMIN, stimulus="admin")
    bench.output()
    assert bench.facts().state == NUD_DELAY  # slow again


def test_u12_resolution_sends_the_queue_oldest_first_before_the_event() -> None:
    bench = Bench()
    bench.output()
    bench.output()

    assert bench.update(LLADDR, NUD_REACHABLE) == ["p1 to 0b", "p2 to 0b", "new REACHABLE 0b"]


def test_u12_with_stale_evidence_the_queue_makes_delay_and_the_one_event_says_so() -> None:
    bench = Bench()
    bench.output()
    bench.output()
    bench.now += 0.125

    assert bench.update(LLADDR, NUD_STALE) == ["p1 to 0b", "p2 to 0b", "new DELAY 0b"]
    assert bench.facts().timer == bench.now + DELAY_TIME


def test_u12_stale_evidence_without_a_queue_is_stale() -> None:
    bench = at_rest(NUD_INCOMPLETE)

    assert bench.update(LLADDR, NUD_STALE) == ["new STALE 0b"]


# -- U13: the router flag


@pytest.mark.parametrize(
    ("was", "flags", "becomes"),
    [
        (0, ROUTER, NTF_ROUTER),
        (0, NOT_ROUTER, 0),
        (0, NEIGH_UPDATE_F_ISROUTER, 0),
        (NTF_ROUTER, ROUTER, NTF_ROUTER),
        (NTF_ROUTER, NOT_ROUTER, 0),
        (NTF_ROUTER, 0, NTF_ROUTER),
    ],
)
@pytest.mark.parametrize("state", DYNAMIC)
def test_u13_the_router_flag_becomes_what_the_evidence_says_and_alone_is_told(
    state: int, was: int, flags: int, becomes: int
) -> None:
    bench = at_rest(state, was)
    before = bench.facts()

    lines = bench.update(LLADDR, NUD_STALE, OVERRIDE | flags)

    assert lines == ([f"new {nud_state_name(state)} 0b"] if was != becomes else [])
    assert bench.facts() == before._replace(flags=becomes)


# -- U14: the lists


def test_u14_becoming_permanent_leaves_the_gc_list_and_ceasing_to_be_enters_its_tail() -> None:
    bench = Bench()
    first = bench.put(NUD_STALE).row
    second = bench.put(NUD_STALE, key=packed(3)).row
    assert bench.collectable() == [first, second]

    bench.update(None, NUD_PERMANENT, ADMIN, stimulus="admin")
    assert bench.collectable() == [second]
    bench.update(None, NUD_STALE, ADMIN, stimulus="admin")
    assert bench.collectable() == [second, first]
    assert bench.cache.gc_entries == 2


# -- U15: one event


def test_u15_everything_that_changes_at_once_is_one_event() -> None:
    bench = at_rest(NUD_REACHABLE)
    flags = ADMIN | OVERRIDE | ROUTER | NEIGH_UPDATE_F_EXT_LEARNED

    assert bench.update(OTHER, NUD_STALE, flags, stimulus="admin") == ["new STALE 0c"]


# -- the result table: (state, given) x address -> state, address, what becomes of confirmed, told

SAME, DIFF = LLADDR, OTHER
ANY = OVERRIDE | WEAK
UNTOUCHED, NOW, PAST = "untouched", "now", "past"

RESULTS = [
    # old, given, address, flags -> state, address, confirmed, event
    (NUD_REACHABLE, NUD_REACHABLE, SAME, 0, NUD_REACHABLE, SAME, NOW, False),
    (NUD_REACHABLE, NUD_REACHABLE, DIFF, OVERRIDE, NUD_REACHABLE, DIFF, NOW, True),
    (NUD_REACHABLE, NUD_REACHABLE, DIFF, WEAK, NUD_STALE, SAME, NOW, True),
    (NUD_REACHABLE, NUD_REACHABLE, DIFF, 0, NUD_REACHABLE, SAME, NOW, False),
    (NUD_REACHABLE, NUD_STALE, SAME, ANY, NUD_REACHABLE, SAME, UNTOUCHED, False),
    (NUD_REACHABLE, NUD_STALE, SAME, ADMIN, NUD_STALE, SAME, UNTOUCHED, True),
    (NUD_REACHABLE, NUD_STALE, DIFF, OVERRIDE, NUD_STALE, DIFF, PAST, True),
    (NUD_REACHABLE, NUD_STALE, DIFF, WEAK, NUD_STALE, SAME, UNTOUCHED, True),
    (NUD_REACHABLE, NUD_STALE, DIFF, 0, NUD_REACHABLE, SAME, UNTOUCHED, False),
    *(
        row
        for old in SUSPECT
        for row in (
            (old, NUD_REACHABLE, SAME, 0, NUD_REACHABLE, SAME, NOW, True),
            (old, NUD_REACHABLE, DIFF, OVERRIDE, NUD_REACHABLE, DIFF, NOW, True),
            (old, NUD_REACHABLE, DIFF, WEAK, old, SAME, NOW, False),
            (old, NUD_REACHABLE, DIFF, 0, old, SAME, NOW, False),
            (old, NUD_STALE, SAME, ANY, old, SAME, UNTOUCHED, False),
            (old, NUD_STALE, DIFF, OVERRIDE, NUD_STALE, DIFF, PAST, True),
            (old, NUD_STALE, DIFF, WEAK, old, SAME, UNTOUCHED, False),
            (old, NUD_STALE, DIFF, 0, old, SAME, UNTOUCHED, False),
        )
    ),
]


@pytest.mark.parametrize(("old", "given", "lladdr", "flags", "state", "known", "confirmed", "event"), RESULTS)
def test_result_table_of_valid_entries(
    old: int, given: int, lladdr: bytes, flags: int, state: int, known: bytes, confirmed: str, event: bool
) -> None:
    bench = at_rest(old)
    before = bench.facts()

    lines = bench.update(lladdr, given, flags, stimulus="admin")

    facts = bench.facts()
    changed = state != old or known != SAME
    assert lines == ([f"new {nud_state_name(state)} {known[-1]:02x}"] if event else [])
    assert (facts.state, facts.lladdr) == (state, known)
    assert (
        facts.confirmed
        == {UNTOUCHED: before.confirmed, NOW: bench.now, PAST: bench.now - LONG_AGO}[confirmed]
    )
    assert facts.updated == (bench.now if changed else before.updated)


# -- traps about addresses that move


def test_trap_216_of_two_hosts_with_one_address_one_change_in_a_locktime_is_believed() -> None:
    bench = Bench(locktime=0.75)
    bench.put(NUD_REACHABLE)
    told = []
    for turn in range(100):
        bench.now += 0.01
        override = bench.now > bench.facts().updated + PARAMETERS["locktime"]
        told += bench.update((LLADDR, OTHER)[turn % 2], NUD_REACHABLE, OVERRIDE if override else 0)

    assert told == ["new REACHABLE 0c"]


def test_trap_217_after_an_override_the_next_packet_goes_to_the_new_address() -> None:
    bench = at_rest(NUD_REACHABLE)
    bench.output()
    bench.update(OTHER, NUD_STALE, OVERRIDE)

    assert bench.output() == ["p2 to 0c"]
    assert bench.facts().state == NUD_DELAY
