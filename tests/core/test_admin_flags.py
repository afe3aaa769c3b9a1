"""What only administrators ask for: NTF_USE, NTF_MANAGED, NTF_EXT_VALIDATED, NTF_EXT_LEARNED, NTF_ROUTER (4.8, 1.7)."""

from __future__ import annotations

import errno

import pytest

from neighio.core.constants import (
    NLM_F_APPEND,
    NLM_F_CREATE,
    NTF_EXT_LEARNED,
    NTF_EXT_VALIDATED,
    NTF_MANAGED,
    NTF_ROUTER,
    NTF_USE,
    NUD_DELAY,
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NAMES,
    NUD_NOARP,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
    NUD_VALID,
)
from neighio.core.neighbour import Neighbour
from neighio.errors import AdminError
from neighio.testing.segment import ScriptedPeer
from neighio.testing.simulation import Simulation

from .helpers import (
    ADD,
    CHANGE,
    OWN,
    PEER,
    REPLACE,
    add,
    alive,
    arp_frame,
    cache,
    frames,
    gc_order,
    hear,
    lines,
    node,
    record,
)

HOST = "198.51.100.7"
US = "198.51.100.1"
ELSEWHERE = "02:00:00:00:00:0c"
APPEND = NLM_F_CREATE | NLM_F_APPEND

STATES = {"NONE": NUD_NONE, **{name: bit for bit, name in NUD_NAMES.items()}}
JIFFY = 0.004
LATE = 1 / 256


def quiet_node(**changes: float) -> Simulation:
    """A node whose timers, and whose managed work, leave the scene alone."""
    quiet = {"base_reachable_time": 4000.0, "delay_first_probe_time": 700.0, "retrans_time": 900.0}
    sim = node(**{**quiet, "ucast_solicit": 4, "interval_probe_time": 50_000.0, **changes})
    sim.run(1.0)  # the first managed work is over
    return sim


def put(sim: Simulation, old: str) -> None:
    if old == "INCOMPLETE":
        sim.resolve(HOST)
    elif old in ("NONE", "FAILED"):
        add(sim, HOST, NUD_STALE)
        sim.admin(HOST, nlm_flags=CHANGE, state=STATES[old])
    elif old == "DELAY":
        add(sim, HOST, NUD_STALE)
        sim.resolve(HOST)
    elif old != "absent":
        add(sim, HOST, STATES[old])
    sim.run(20.0)
    lines(sim)


def present(sim: Simulation) -> Neighbour:
    entry = sim.neighbour(HOST)
    assert entry is not None
    return entry


def answered(lladdr: str = PEER) -> bytes:
    return arp_frame(2, HOST, US, lladdr=lladdr, tha=OWN, dst=OWN)


# -- NTF_USE and NTF_MANAGED: the entry is used, what the request says of state and address is ignored

# old:           becomes       probe  event of NTF_MANAGED, whose snapshot is older than the use
USED = {
    "absent":     ("INCOMPLETE", True,  None),
    "NONE":       ("INCOMPLETE", True,  f"{HOST} managed"),
    "INCOMPLETE": ("INCOMPLETE", False, f"{HOST} managed INCOMPLETE"),
    "REACHABLE":  ("REACHABLE",  False, f"{HOST} lladdr {PEER} managed REACHABLE"),
    "STALE":      ("DELAY",      False, f"{HOST} lladdr {PEER} managed STALE"),
    "DELAY":      ("DELAY",      False, f"{HOST} lladdr {PEER} managed DELAY"),
    "PROBE":      ("PROBE",      False, f"{HOST} lladdr {PEER} managed PROBE"),
    "FAILED":     ("INCOMPLETE", True,  f"{HOST} managed FAILED"),
    "NOARP":      ("NOARP",      False, f"{HOST} lladdr {PEER} managed NOARP"),
    "PERMANENT":  ("INCOMPLETE", True,  f"{HOST} managed"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("state", "lladdr"), [(NUD_NONE, None), (NUD_REACHABLE, ELSEWHERE), (NUD_FAILED, ELSEWHERE)]
)
@pytest.mark.parametrize(
    "flag", [NTF_USE, NTF_MANAGED, NTF_USE | NTF_MANAGED], ids=["USE", "MANAGED", "both"]
)
@pytest.mark.parametrize(("old", "becomes", "probe", "event"), [(old, *row) for old, row in USED.items()])
def test_use_and_managed_use_the_entry_and_ignore_the_requests_state_and_address(
    old: str, becomes: str, probe: bool, event: str | None, flag: int, state: int, lladdr: str | None
) -> None:
    sim = quiet_node()
    put(sim, old)
    before = record(present(sim)) if old != "absent" else {}
    sim.admin(HOST, nlm_flags=REPLACE, state=state, lladdr=lladdr, flags=flag)

    entry = present(sim)
    managed = NTF_MANAGED if flag & NTF_MANAGED else 0
    assert entry.nud_state == STATES[becomes]
    assert (entry.flags, entry.used) == (managed, sim.now)
    assert [frame[:6] for frame in frames(sim)] == ([b"\xff" * 6] if probe else [])
    assert lines(sim) == ([event] if managed and event else [])
    if entry.nud_state & NUD_VALID:
        assert str(entry.lladdr) == PEER
    if becomes == old:
        assert record(entry) == {**before, "used": sim.now, "flags": managed}
    else:
        assert entry.updated == sim.now


def test_an_event_of_managed_precedes_the_probe_that_the_use_sends() -> None:
    sim = quiet_node()
    put(sim, "FAILED")
    sim.admin(HOST, nlm_flags=CHANGE, flags=NTF_MANAGED)

    assert [type(output).__name__ for output in sim.outputs] == ["NewNeighbour", "Transmit"]


def test_a_permanent_entry_that_is_used_fails_if_its_neighbour_is_mute() -> None:
    sim = node(retrans_time=0.5, mcast_solicit=2, ucast_solicit=3)
    add(sim, HOST, NUD_PERMANENT)
    assert gc_order(sim) == []
    lines(sim)
    sim.admin(HOST, nlm_flags=CHANGE, flags=NTF_USE)
    assert gc_order(sim) == [HOST]  # it lost what exempted it
    assert sim.lines(clear=False) == []

    sim.run(2.0)

    assert len(frames(sim)) == 2
    assert lines(sim) == [f"{HOST} FAILED"]


def test_use_goes_on_to_probe_a_stale_entry() -> None:
    sim = node(delay_first_probe_time=0.5, retrans_time=0.25, ucast_solicit=1)
    add(sim, HOST, NUD_STALE)
    lines(sim)
    sim.admin(HOST, nlm_flags=CHANGE, state=NUD_NONE, flags=NTF_USE)
    sim.run(2.0)

    assert lines(sim) == [f"{HOST} lladdr {PEER} PROBE", f"{HOST} FAILED"]


def test_use_with_no_probes_configured_fails_in_silence() -> None:
    sim = quiet_node(mcast_solicit=0)
    sim.admin(HOST, nlm_flags=ADD, state=NUD_NONE, flags=NTF_USE)

    assert present(sim).nud_state == NUD_FAILED
    assert sim.outputs == []


@pytest.mark.parametrize("flag", [NTF_USE, NTF_MANAGED])
def test_use_of_an_absent_entry_needs_create(flag: int) -> None:
    sim = quiet_node()
    with pytest.raises(FileNotFoundError):
        sim.admin(HOST, nlm_flags=CHANGE, flags=flag, state=NUD_NONE)
    assert alive(sim) == set()


@pytest.mark.parametrize("flag", [NTF_USE, NTF_MANAGED])
def test_use_of_a_present_entry_fails_with_excl(flag: int) -> None:
    sim = quiet_node()
    put(sim, "STALE")
    with pytest.raises(FileExistsError):
        sim.admin(HOST, nlm_flags=ADD, flags=flag, state=NUD_NONE)
    assert present(sim).nud_state == NUD_STALE
    assert present(sim).flags == 0


# -- the managed work: every interval_probe_time of the defaults, each managed entry is used


def managed(sim: Simulation) -> list[str]:
    arp = cache(sim)
    return [arp.handle(row).ip for row in arp.managed_list]


def test_a_managed_entry_that_failed_is_tried_again_at_every_run_for_ever() -> None:
    sim = node(retrans_time=0.25, mcast_solicit=2, interval_probe_time=3.0)  # runs at 1000, 1003, ...
    sim.run(1.0)
    sim.admin(HOST, nlm_flags=ADD, flags=NTF_MANAGED, state=NUD_NONE)
    lines(sim)
    sim.run(30.0)

    assert lines(sim) == [f"{HOST} managed FAILED"] * 11


def test_the_managed_work_leaves_the_first_probe_to_the_timer_of_the_next_jiffy() -> None:
    sim = node(retrans_time=0.25, mcast_solicit=1, interval_probe_time=3.0)
    sim.run(1.0)
    sim.admin(HOST, nlm_flags=ADD, flags=NTF_MANAGED, state=NUD_NONE)
    sim.run_until(1002.9)
    assert present(sim).nud_state == NUD_FAILED
    lines(sim)

    sim.run_until(1003.0)
    assert present(sim).nud_state == NUD_INCOMPLETE
    assert (present(sim).used, present(sim).updated) == (1003.0, 1003.0)
    assert sim.outputs == []

    sim.run(JIFFY + LATE)
    assert len(frames(sim)) == 1


def test_the_managed_work_makes_a_stale_entry_delay_in_silence() -> None:
    sim = quiet_node(interval_probe_time=3.0)
    sim.admin(HOST, nlm_flags=ADD, flags=NTF_MANAGED, state=NUD_NONE)
    hear(sim, arp_frame(1, HOST, US))
    assert present(sim).nud_state == NUD_STALE
    lines(sim)

    sim.run_until(1003.0)

    assert sim.outputs == []
    assert (present(sim).nud_state, present(sim).used, present(sim).updated) == (NUD_DELAY, 1003.0, 1003.0)


@pytest.mark.parametrize("old", ["REACHABLE", "DELAY", "PROBE", "NOARP", "INCOMPLETE"])
def test_the_managed_work_does_no_more_to_any_other_state_than_to_use_it(old: str) -> None:
    sim = quiet_node(interval_probe_time=30.0)
    put(sim, old)
    sim.admin(HOST, nlm_flags=CHANGE, flags=NTF_MANAGED)
    before = record(present(sim))
    lines(sim)

    sim.run_until(1030.0)

    assert sim.outputs == []
    assert record(present(sim)) == {**before, "used": 1030.0}


def test_the_interval_is_that_of_the_defaults_and_no_devices_own() -> None:
    sim = node(interval_probe_time=30.0)
    sim.run(1.0)
    sim.set("va", interval_probe_time=0.5)
    add(sim, HOST, NUD_NOARP)
    sim.admin(HOST, nlm_flags=CHANGE, flags=NTF_MANAGED)
    sim.run_until(1029.0)

    assert present(sim).used == 1001.0


def test_an_entry_used_by_the_managed_work_goes_from_reachable_straight_to_delay() -> None:
    """``used`` is then never older than delay_first_probe_time, so that nobody is told of STALE."""
    sim = node(base_reachable_time=20.0, delay_first_probe_time=5.0, interval_probe_time=4.0, trace=True)
    peer = ScriptedPeer(sim.segment, PEER, HOST)
    sim.admin(HOST, nlm_flags=ADD, flags=NTF_MANAGED, state=NUD_NONE)
    sim.run(120.0)

    told = lines(sim)
    assert set(told) == {f"{HOST} lladdr {PEER} managed REACHABLE", f"{HOST} lladdr {PEER} managed PROBE"}
    assert told.count(f"{HOST} lladdr {PEER} managed PROBE") >= 3
    assert len(peer.heard) >= 4


def test_an_entry_that_is_managed_no_more_is_left_alone() -> None:
    sim = node(retrans_time=0.25, mcast_solicit=1, interval_probe_time=3.0)
    sim.run(1.0)
    sim.admin(HOST, nlm_flags=ADD, flags=NTF_MANAGED, state=NUD_NONE)
    sim.run(1.0)
    assert managed(sim) == [HOST]

    sim.admin(HOST, nlm_flags=CHANGE, state=NUD_FAILED)
    assert managed(sim) == []
    lines(sim)
    sim.run(20.0)

    assert sim.outputs == []


def test_a_deleted_entry_is_managed_no_more() -> None:
    sim = quiet_node()
    sim.admin(HOST, nlm_flags=ADD, flags=NTF_MANAGED, state=NUD_NONE)
    sim.delete(HOST)

    assert managed(sim) == []


def test_managed_alone_exempts_from_no_collection() -> None:
    sim = quiet_node()
    sim.admin(HOST, nlm_flags=ADD, flags=NTF_MANAGED, state=NUD_NONE)

    assert gc_order(sim) == [HOST]


def test_managed_is_told_by_none_but_the_request_that_turns_it() -> None:
    sim = quiet_node()
    put(sim, "REACHABLE")
    sim.admin(HOST, nlm_flags=CHANGE, flags=NTF_MANAGED)
    lines(sim)
    sim.admin(HOST, nlm_flags=CHANGE, flags=NTF_MANAGED)
    assert sim.outputs == []

    sim.admin(HOST, nlm_flags=CHANGE, state=NUD_REACHABLE)
    assert lines(sim) == [f"{HOST} lladdr {PEER} REACHABLE"]


# -- NTF_EXT_VALIDATED

CREATE_TEXT = "Cannot create externally validated neighbor with an invalid state"
MARK_TEXT = "Cannot mark neighbor as externally validated with an invalid state"


@pytest.mark.parametrize(
    ("state", "also"),
    [
        (NUD_NONE, 0),
        (NUD_INCOMPLETE, 0),
        (NUD_FAILED, 0),
        (NUD_STALE, NTF_USE),
        (NUD_STALE, NTF_MANAGED),
        (NUD_PERMANENT, NTF_USE),
    ],
)
def test_a_validated_entry_is_not_created_in_a_state_without_an_address(state: int, also: int) -> None:
    sim = quiet_node()
    with pytest.raises(AdminError) as caught:
        sim.admin(HOST, nlm_flags=ADD, lladdr=PEER, state=state, flags=NTF_EXT_VALIDATED | also)

    assert (caught.value.errno, caught.value.strerror) == (errno.EINVAL, CREATE_TEXT)
    assert alive(sim) == set()


@pytest.mark.parametrize(
    ("old", "state", "also"),
    [
        ("STALE", NUD_NONE, 0),
        ("STALE", NUD_INCOMPLETE, 0),
        ("REACHABLE", NUD_FAILED, 0),
        ("FAILED", NUD_STALE, NTF_USE),
        ("NONE", NUD_STALE, NTF_MANAGED),
        ("PERMANENT", NUD_STALE, NTF_USE),
    ],
)
def test_an_entry_is_not_marked_validated_if_it_will_have_no_address(old: str, state: int, also: int) -> None:
    sim = quiet_node()
    put(sim, old)
    before = record(present(sim))
    with pytest.raises(AdminError) as caught:
        sim.admin(HOST, nlm_flags=CHANGE, lladdr=PEER, state=state, flags=NTF_EXT_VALIDATED | also)

    assert (caught.value.errno, caught.value.strerror) == (errno.EINVAL, MARK_TEXT)
    assert record(present(sim)) == before
    assert sim.outputs == []


@pytest.mark.parametrize("old", ["REACHABLE", "STALE", "DELAY", "PROBE", "NOARP"])
def test_a_present_entry_with_an_address_may_be_marked_validated_while_it_is_managed(old: str) -> None:
    sim = quiet_node()
    put(sim, old)
    sim.admin(HOST, nlm_flags=CHANGE, state=NUD_NONE, flags=NTF_EXT_VALIDATED | NTF_MANAGED)

    assert present(sim).flags == NTF_EXT_VALIDATED | NTF_MANAGED
    assert lines(sim) == [f"{HOST} lladdr {PEER} managed {old}"]
    assert gc_order(sim) == []


def test_probes_that_a_validated_entry_does_not_answer_make_it_stale() -> None:
    sim = node(retrans_time=0.25, ucast_solicit=2, delay_first_probe_time=0.5)
    add(sim, HOST, NUD_STALE, flags=NTF_EXT_VALIDATED)
    sim.resolve(HOST)
    lines(sim)
    sim.run(3.0)

    assert lines(sim) == [f"{HOST} lladdr {PEER} PROBE", f"{HOST} lladdr {PEER} STALE"]
    assert present(sim).probes == 2
    assert present(sim).refcnt == 1
    assert cache(sim).statistics.res_failed == 0


def test_a_validated_entry_survives_the_loss_of_the_carrier_but_not_the_device_going_down() -> None:
    sim = quiet_node()
    add(sim, HOST, NUD_STALE, flags=NTF_EXT_VALIDATED)
    add(sim, "198.51.100.8", NUD_STALE, flags=NTF_EXT_LEARNED)
    index = sim.device("va").index
    sim.engine.carrier(index, False, sim.now)
    assert alive(sim) == {HOST}

    sim.engine.link_down(index, sim.now)
    assert alive(sim) == set()


@pytest.mark.parametrize("flag", [NTF_EXT_VALIDATED, NTF_EXT_LEARNED])
def test_evidence_changes_an_entry_of_an_administrator_as_any_other(flag: int) -> None:
    sim = quiet_node(locktime=0.5)
    entry = add(sim, HOST, NUD_STALE, flags=flag)
    sim.run(1.0)
    hear(sim, answered(ELSEWHERE))

    assert (entry.nud_state, str(entry.lladdr), entry.flags) == (NUD_REACHABLE, ELSEWHERE, flag)


# -- set or cleared to match any administrative request

FLAGS = [NTF_EXT_LEARNED, NTF_EXT_VALIDATED]


@pytest.mark.parametrize("flag", FLAGS)
def test_a_request_that_does_not_repeat_the_flag_clears_it_and_says_so(flag: int) -> None:
    sim = quiet_node()
    add(sim, HOST, NUD_STALE, flags=flag)
    assert gc_order(sim) == []
    lines(sim)
    sim.admin(HOST, nlm_flags=CHANGE, state=NUD_STALE)

    assert present(sim).flags == 0
    assert lines(sim) == [f"{HOST} lladdr {PEER} STALE"]
    assert gc_order(sim) == [HOST]


@pytest.mark.parametrize("flag", FLAGS)
def test_a_request_that_repeats_the_flag_and_changes_nothing_says_nothing(flag: int) -> None:
    sim = quiet_node()
    add(sim, HOST, NUD_STALE, flags=flag)
    lines(sim)
    sim.admin(HOST, nlm_flags=CHANGE, state=NUD_STALE, flags=flag)

    assert present(sim).flags == flag
    assert sim.outputs == []


@pytest.mark.parametrize("flag", FLAGS)
def test_a_request_whose_address_is_refused_sets_and_tells_the_flag_all_the_same(flag: int) -> None:
    sim = quiet_node()
    put(sim, "STALE")
    sim.admin(HOST, nlm_flags=APPEND, state=NUD_REACHABLE, lladdr=ELSEWHERE, flags=flag)

    entry = present(sim)
    assert (entry.nud_state, str(entry.lladdr), entry.flags) == (NUD_STALE, PEER, flag)
    assert entry.confirmed == sim.now
    assert len(lines(sim)) == 1
    assert gc_order(sim) == []


def test_a_flag_is_cleared_and_told_even_if_the_update_then_fails() -> None:
    sim = quiet_node()
    add(sim, HOST, NUD_FAILED, flags=NTF_EXT_LEARNED)
    lines(sim)
    with pytest.raises(AdminError, match="No link layer address given"):
        sim.admin(HOST, nlm_flags=CHANGE, state=NUD_STALE)

    assert present(sim).flags == 0
    assert lines(sim) == [f"{HOST} FAILED"]


@pytest.mark.parametrize(
    ("old", "state", "told"),
    [
        (NUD_FAILED, NUD_FAILED, []),
        (NUD_FAILED, NUD_NONE, []),
        (NUD_STALE, NUD_FAILED, [f"{HOST} FAILED"]),
        (NUD_STALE, NUD_STALE, [f"{HOST} lladdr {PEER} STALE"]),
    ],
)
def test_clearing_a_flag_with_a_state_without_an_address_is_told_only_for_the_state(
    old: int, state: int, told: list[str]
) -> None:
    sim = quiet_node()
    add(sim, HOST, old, flags=NTF_EXT_LEARNED)
    lines(sim)
    sim.admin(HOST, nlm_flags=CHANGE, state=state)

    assert present(sim).flags == 0
    assert lines(sim) == told


def test_evidence_clears_no_flag_of_an_administrator() -> None:
    sim = quiet_node()
    entry = add(sim, HOST, NUD_STALE, flags=NTF_EXT_LEARNED | NTF_ROUTER)
    hear(sim, arp_frame(1, HOST, US, lladdr=ELSEWHERE))

    assert (entry.flags, str(entry.lladdr)) == (NTF_EXT_LEARNED | NTF_ROUTER, ELSEWHERE)


def test_an_externally_learned_entry_fails_like_any_other_and_stays_off_the_gc_list() -> None:
    sim = node(retrans_time=0.25, ucast_solicit=1)
    add(sim, HOST, NUD_PROBE, flags=NTF_EXT_LEARNED)
    sim.run(2.0)

    assert lines(sim)[-1] == f"{HOST} extern_learn FAILED"
    assert gc_order(sim) == []


# -- NTF_ROUTER: only with a state that has an address, and only by REPLACE or a creation

# request                          before       asked        state      after
ROUTER = [
    ("add sets it",                 None,       NTF_ROUTER, NUD_STALE,  ADD,     NTF_ROUTER),
    ("replace sets it",             0,          NTF_ROUTER, NUD_STALE,  REPLACE, NTF_ROUTER),
    ("replace without it clears",   NTF_ROUTER, 0,          NUD_STALE,  REPLACE, 0),
    ("change without it clears",    NTF_ROUTER, 0,          NUD_STALE,  CHANGE,  0),
    ("append does not set it",      0,          NTF_ROUTER, NUD_STALE,  APPEND,  0),
    ("append does not clear it",    NTF_ROUTER, 0,          NUD_STALE,  APPEND,  NTF_ROUTER),
    ("failed does not clear it",    NTF_ROUTER, 0,          NUD_FAILED, REPLACE, NTF_ROUTER),
    ("failed does not set it",      0,          NTF_ROUTER, NUD_FAILED, REPLACE, 0),
    ("use does not set it",         0,          NTF_ROUTER | NTF_USE, NUD_STALE, REPLACE, 0),
]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "asked", "state", "nlm_flags", "after"),
    [row[1:] for row in ROUTER],
    ids=[row[0] for row in ROUTER],
)
def test_the_router_flag_follows_requests_that_may_override_it(
    before: int | None, asked: int, state: int, nlm_flags: int, after: int
) -> None:
    sim = quiet_node()
    if before is not None:
        add(sim, HOST, NUD_STALE, flags=before)
    lines(sim)
    sim.admin(HOST, nlm_flags=nlm_flags, lladdr=PEER, state=state, flags=asked)

    assert present(sim).flags == after
    words = f"lladdr {PEER} " if state == NUD_STALE else ""
    told = [f"{HOST} {words}{'router ' if after else ''}{'STALE' if state == NUD_STALE else 'FAILED'}"]
    changed = before is None or before != after or state == NUD_FAILED
    assert lines(sim) == (told if changed else [])


def test_a_refused_address_leaves_the_router_flag_alone() -> None:
    sim = quiet_node()
    add(sim, HOST, NUD_STALE, flags=NTF_ROUTER)
    lines(sim)
    sim.admin(HOST, nlm_flags=APPEND, lladdr=ELSEWHERE, state=NUD_STALE)

    assert present(sim).flags == NTF_ROUTER
    assert sim.outputs == []
