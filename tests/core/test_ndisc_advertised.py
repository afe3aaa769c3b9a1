"""Advertisements on entries in every state (4.6), and those that nobody asked for (9.5, RFC 9131)."""

from __future__ import annotations

import pytest

from neighio.address import LinkAddress
from neighio.core.constants import (
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
    NUD_VALID,
    nud_state_name,
)
from neighio.core.events import Answer, Settled
from neighio.core.neighbour import Neighbour
from neighio.errors import Unreachable
from neighio.testing.simulation import Simulation

from .discovery import (
    ALL_NODES,
    ELSEWHERE,
    HOST,
    OFF_LINK,
    SLOW,
    US,
    US_LOCAL,
    advertisement,
    cache6,
    entry,
    node6,
    packed,
    present,
    table6,
)
from .helpers import CHANGE, PEER, add, frames, hear, lines

# -       nothing at all
# c       a confirmation: the stamp and nothing else
# S, R    STALE or REACHABLE, and an event, at the message's address, or where there is none at the old one
# s, sc   STALE, and an event, at the old address; and confirmed
# D       the queue is sent, which makes DELAY of STALE before the one event
# fmt: off
COLUMNS =             ["none S0", "none S1", "same S0", "same S1", "diff S0 O0", "diff S1 O0", "diff S0 O1", "diff S1 O1"]
TABLE = {
    NUD_NONE:         ["-",       "-",       "S",       "R",       "S",          "R",          "S",          "R"],
    NUD_INCOMPLETE:   ["-",       "-",       "D",       "R",       "D",          "R",          "D",          "R"],
    NUD_REACHABLE:    ["-",       "c",       "-",       "c",       "s",          "sc",         "S",          "R"],
    NUD_STALE:        ["-",       "R",       "-",       "R",       "-",          "c",          "S",          "R"],
    NUD_DELAY:        ["-",       "R",       "-",       "R",       "-",          "c",          "S",          "R"],
    NUD_PROBE:        ["-",       "R",       "-",       "R",       "-",          "c",          "S",          "R"],
    NUD_FAILED:       ["-",       "-",       "-",       "-",       "-",          "-",          "-",          "-"],
    NUD_NOARP:        ["-",       "-",       "-",       "-",       "-",          "-",          "-",          "-"],
    NUD_PERMANENT:    ["-",       "-",       "-",       "-",       "-",          "-",          "-",          "-"],
}
# fmt: on
ADDRESSES = {"none": None, "same": PEER, "diff": ELSEWHERE}
AGE = 20.0
"""How long the entry has been in its state, seconds."""


def cells() -> list[object]:
    """Every cell with its state, its message and what happens; O says nothing where the column has none."""
    found: list[object] = []
    for state, row in TABLE.items():
        for column, happens in zip(COLUMNS, row, strict=True):
            address, solicited, *override = column.split()
            for flag in override or ["O0", "O1"]:
                flags = "S" * (solicited == "S1") + "O" * (flag == "O1")
                name = f"{nud_state_name(state) or 'NONE'} - {address} {solicited} {flag} -> {happens}"
                found.append(pytest.param(state, ADDRESSES[address], flags, happens, id=name))
    return found


def scene(state: int, *, router: bool, packet: bool = True) -> tuple[Simulation, Neighbour]:
    """HOST has been in this state, at PEER if the state has an address, for AGE seconds."""
    sim = node6(**SLOW)
    first = state if state & NUD_VALID and state != NUD_DELAY else NUD_STALE
    made = add(sim, HOST, first, flags=NTF_ROUTER if router else 0)
    if state in (NUD_NONE, NUD_FAILED):
        sim.admin(HOST, nlm_flags=CHANGE, state=state)
    elif state == NUD_INCOMPLETE:
        sim.admin(HOST, nlm_flags=CHANGE, state=NUD_NONE)
        sim.send(HOST) if packet else sim.resolve(HOST)
    elif state == NUD_DELAY:
        sim.resolve(HOST)
    sim.run(AGE)
    lines(sim)
    assert (made.nud_state, made.flags) == (state, NTF_ROUTER if router else 0)
    return sim, made


def takes_router_flag(state: int, lladdr: str | None, flags: str) -> bool:
    """Whether the message is not refused: then the entry is a router as R says, whatever it was."""
    if state in (NUD_FAILED, NUD_NOARP, NUD_PERMANENT):
        return False
    if not state & NUD_VALID:
        return lladdr is not None
    return lladdr != ELSEWHERE or "O" in flags


@pytest.mark.parametrize("router", [False, True], ids=["R0", "R1"])
@pytest.mark.parametrize("was_router", [False, True], ids=["host", "router"])
@pytest.mark.parametrize(("state", "lladdr", "flags", "happens"), cells())
def test_an_advertisement(
    state: int, lladdr: str | None, flags: str, happens: str, was_router: bool, router: bool
) -> None:
    sim, made = scene(state, router=was_router)
    confirmed, updated, refcnt = made.confirmed, made.updated, made.refcnt
    hear(sim, advertisement(HOST, flags + "R" * router, lladdr=lladdr))

    becomes = {"S": NUD_STALE, "s": NUD_STALE, "R": NUD_REACHABLE, "D": NUD_DELAY}.get(happens[0], state)
    where = ADDRESSES["same"] if happens in ("s", "sc", "-", "c") or lladdr is None else lladdr
    is_router = router if takes_router_flag(state, lladdr, flags) else was_router
    valid = becomes & NUD_VALID
    assert made.nud_state == becomes
    assert made.lladdr == (LinkAddress(where) if valid and where else None)
    assert bool(made.flags & NTF_ROUTER) == is_router

    told = happens not in ("-", "c") or is_router != was_router
    words = [HOST, f"lladdr {where}" * bool(valid), "router" * is_router, nud_state_name(becomes)]
    assert lines(sim) == ([" ".join(filter(None, words))] if told else [])

    back_dated = sim.now - 2 * SLOW["base_reachable_time"]
    stamps = {"-": confirmed, "s": confirmed, "S": back_dated, "D": back_dated}
    assert made.confirmed == stamps.get(happens, sim.now)
    assert made.updated == (updated if happens in ("-", "c") else sim.now)
    timer = 1 if becomes in (NUD_REACHABLE, NUD_DELAY, NUD_PROBE, NUD_INCOMPLETE) else 0
    assert made.refcnt == (refcnt if happens in ("-", "c") else 1 + timer)


@pytest.mark.parametrize(
    ("flags", "told"), [("", "STALE"), ("O", "STALE"), ("S", "REACHABLE"), ("SO", "REACHABLE")]
)
def test_an_incomplete_entry_without_a_queue_rests_in_the_state_of_the_evidence(
    flags: str, told: str
) -> None:
    sim, made = scene(NUD_INCOMPLETE, router=False, packet=False)
    hear(sim, advertisement(HOST, flags))

    assert lines(sim) == [f"{HOST} lladdr {PEER} {told}"]
    assert nud_state_name(made.nud_state) == told


def test_a_queue_is_sent_before_the_event() -> None:
    sim, _ = scene(NUD_INCOMPLETE, router=False)
    hear(sim, advertisement(HOST, "S"))

    assert [type(output).__name__ for output in sim.outputs] == ["Settled", "Transmit", "NewNeighbour"]
    assert [frame[:6] for frame in frames(sim)] == [LinkAddress(PEER)]


def test_an_advertisement_without_an_address_ends_nobodys_wait() -> None:
    sim, _ = scene(NUD_INCOMPLETE, router=False)
    pending = sim.resolve(HOST)
    for flags in ("", "S", "SO", "RSO"):
        hear(sim, advertisement(HOST, flags, lladdr=None))
    assert not pending.done
    assert [o for o in sim.outputs if isinstance(o, Settled)] == []

    sim.run(3000.0)
    assert isinstance(pending.outcome, Unreachable)


def test_a_late_answer_does_not_revive_a_failed_entry() -> None:
    """In ARP it does (4.5)."""
    sim = node6(retrans_time=0.5)
    sim.resolve(HOST)
    sim.run(3.0)
    assert entry(sim).nud_state == NUD_FAILED
    lines(sim)
    hear(sim, advertisement(HOST, "SO"))

    assert lines(sim) == []
    assert entry(sim).nud_state == NUD_FAILED
    assert sim.device("va").drops == {}


def test_the_wrong_address_that_confirms_delay_keeps_the_old_one_reachable() -> None:
    """NA(S=1, O=0, another address) in DELAY: at expiry REACHABLE at the old one; as on a 6.18.44."""
    sim = node6(base_reachable_time=4000.0, delay_first_probe_time=2.0)
    add(sim, HOST, NUD_STALE)
    sim.resolve(HOST)
    sim.run(1.0)
    lines(sim)
    hear(sim, advertisement(HOST, "S", lladdr=ELSEWHERE))
    sim.run(2.0)

    assert lines(sim) == [f"{HOST} lladdr {PEER} REACHABLE"]


def test_the_wrong_address_does_not_save_an_entry_that_is_being_probed() -> None:
    sim = node6(base_reachable_time=4000.0, retrans_time=1.0)
    add(sim, HOST, NUD_PROBE)
    lines(sim)
    for _ in range(4):
        hear(sim, advertisement(HOST, "S", lladdr=ELSEWHERE))
        sim.run(1.0)

    assert lines(sim) == [f"{HOST} FAILED"]


def test_locktime_is_arps_alone() -> None:
    """Set, it does nothing here: two different answers in one instant, and the second one stays."""
    sim, made = scene(NUD_REACHABLE, router=False)
    sim.set("va", 6, locktime=5.0)
    hear(sim, advertisement(HOST, "SO", lladdr=ELSEWHERE))
    hear(sim, advertisement(HOST, "SO", lladdr=PEER))

    assert made.lladdr == LinkAddress(PEER)


# -- what does not matter


@pytest.mark.parametrize("sender", [HOST, "fe80::7", OFF_LINK, "::", US], ids=lambda ip: f"from {ip}")
def test_from_whom_it_comes_does_not_matter(sender: str) -> None:
    sim, _ = scene(NUD_STALE, router=False)
    hear(sim, advertisement(HOST, "SO", sender=sender, lladdr=ELSEWHERE))

    assert lines(sim) == [f"{HOST} lladdr {ELSEWHERE} REACHABLE"]


@pytest.mark.parametrize(("flags", "dst"), [("SO", US_LOCAL), ("O", US), ("O", ALL_NODES)])
def test_to_which_of_our_addresses_it_goes_does_not_matter(flags: str, dst: str) -> None:
    sim, made = scene(NUD_STALE, router=False)
    hear(sim, advertisement(HOST, flags, dst=dst, lladdr=ELSEWHERE))

    assert made.lladdr == LinkAddress(ELSEWHERE)


def test_of_the_link_layer_addresses_only_the_targets_counts() -> None:
    """A source link-layer address in an advertisement is not its business."""
    sim, made = scene(NUD_STALE, router=False)
    heard = advertisement(HOST, "SO", lladdr=ELSEWHERE)
    as_source = bytearray(heard)
    as_source[78] = 1
    # The option's type is the high octet of a word: one less there is one more in the checksum.
    check = int.from_bytes(heard[56:58], "big") + 0x100
    as_source[56:58] = (check % 0xFFFF).to_bytes(2, "big")
    hear(sim, bytes(as_source))

    assert sim.device("va").drops == {}
    assert lines(sim) == [f"{HOST} lladdr {PEER} REACHABLE"]
    assert made.lladdr == LinkAddress(PEER)


# -- without an entry


@pytest.mark.parametrize("flags", ["", "S", "O", "SO", "RSO"])
@pytest.mark.parametrize("lladdr", [None, PEER])
def test_a_stranger_is_ignored(flags: str, lladdr: str | None) -> None:
    sim = node6()
    hear(sim, advertisement(HOST, flags, lladdr=lladdr))

    assert table6(sim) == {}
    assert sim.outputs == []
    assert sim.device("va").drops == {}


IN_PREFIX, LINK_LOCAL = HOST, "fe80::7"
# fmt: off
UNTRACKED = [
    # accept_untracked_na, forwarding, sender, lladdr -> an entry is made
    (0, 0, IN_PREFIX,  PEER, False),
    (0, 1, IN_PREFIX,  PEER, False),
    (1, 0, IN_PREFIX,  PEER, False),
    (1, 1, IN_PREFIX,  PEER, True),
    (1, 1, OFF_LINK,   PEER, True),
    (1, 1, "::",       PEER, True),
    (1, 1, IN_PREFIX,  None, False),
    (2, 0, IN_PREFIX,  PEER, False),
    (2, 1, IN_PREFIX,  PEER, True),
    (2, 1, LINK_LOCAL, PEER, True),
    (2, 1, OFF_LINK,   PEER, False),
    (2, 1, "::",       PEER, False),
    (2, 1, IN_PREFIX,  None, False),
]
# fmt: on


@pytest.mark.parametrize("flags", ["", "O", "S", "SO", "R", "RSO"])
@pytest.mark.parametrize(("accept", "forwarding", "sender", "lladdr", "made"), UNTRACKED)
def test_accept_untracked_na_lets_a_router_know_who_was_not_asked_for(
    accept: int, forwarding: int, sender: str, lladdr: str | None, made: bool, flags: str
) -> None:
    """The entry is STALE even if the message says that somebody asked; R is what it says."""
    sim = node6(accept_untracked_na=accept, forwarding=forwarding)
    hear(sim, advertisement(HOST, flags, sender=sender, lladdr=lladdr))

    router = "router " * ("R" in flags)
    assert lines(sim) == ([f"{HOST} lladdr {PEER} {router}STALE"] if made else [])
    assert present(sim) == ({HOST} if made else set())


def test_it_is_the_senders_prefix_that_counts_not_the_targets() -> None:
    sim = node6(accept_untracked_na=2, forwarding=1)
    hear(sim, advertisement(OFF_LINK, sender=HOST))
    hear(sim, advertisement("2001:db8::8", sender=OFF_LINK))

    assert present(sim) == {OFF_LINK}


def test_accept_untracked_na_changes_nothing_for_who_is_known() -> None:
    sim, made = scene(NUD_STALE, router=False)
    sim.set("va", 6, accept_untracked_na=1, forwarding=1)
    hear(sim, advertisement(HOST, "S"))

    assert lines(sim) == [f"{HOST} lladdr {PEER} REACHABLE"]
    assert made.nud_state == NUD_REACHABLE


# -- drop_unsolicited_na


@pytest.mark.parametrize(
    ("drop", "accept", "forwarding", "made"),
    [
        (drop, accept, forwarding, (drop, accept, forwarding) == (0, 1, 1))
        for drop in (0, 1)
        for accept in (0, 1)
        for forwarding in (0, 1)
    ],
)
def test_the_eight_combinations_of_the_kernels_own_test(
    drop: int, accept: int, forwarding: int, made: bool
) -> None:
    """ndisc_unsolicited_na_test.sh: an entry for 0, 1, 1 alone."""
    sim = node6(drop_unsolicited_na=drop, accept_untracked_na=accept, forwarding=forwarding)
    hear(sim, advertisement(HOST, "O"))

    assert present(sim) == ({HOST} if made else set())
    assert sim.device("va").drops == ({"drop_unsolicited_na": 1} if drop else {})


def test_drop_unsolicited_na_lets_answers_through() -> None:
    sim, made = scene(NUD_STALE, router=False)
    sim.set("va", 6, drop_unsolicited_na=1)
    hear(sim, advertisement(HOST, "O", lladdr=ELSEWHERE))
    assert made.lladdr == LinkAddress(PEER)
    hear(sim, advertisement(HOST, "SO", lladdr=ELSEWHERE))

    assert lines(sim) == [f"{HOST} lladdr {ELSEWHERE} REACHABLE"]


# -- for our own addresses


@pytest.mark.parametrize("target", [US, US_LOCAL])
@pytest.mark.parametrize("flags", ["", "O", "SO", "RSO"])
def test_an_advertisement_of_an_address_of_ours_touches_nothing(target: str, flags: str) -> None:
    """RFC 4862 5.4.4: no poisoning of the cache."""
    sim = node6(accept_untracked_na=1, forwarding=1)
    made = sim.engine.neighbour(1, packed(target), sim.now)
    before = table6(sim)
    hear(sim, advertisement(target, flags))

    assert table6(sim) == before
    assert made.nud_state == NUD_NONE
    assert sim.outputs == []
    assert sim.device("va").drops == {"ndisc_advertised_own_address": 1}


def test_an_address_of_another_device_of_ours_is_as_anybodys() -> None:
    sim = node6()
    sim.add_device("vb", "02:00:00:00:01:0a", ["2001:db8:5::1/64"])
    made = sim.engine.neighbour(1, packed("2001:db8:5::1"), sim.now)
    lines(sim)
    hear(sim, advertisement("2001:db8:5::1", "S"))

    assert made.nud_state == NUD_REACHABLE


# -- whoever probes for an address is told of every answer


@pytest.mark.parametrize("flags", ["", "S", "SO"])
@pytest.mark.parametrize("state", [NUD_FAILED, NUD_STALE, NUD_PERMANENT])
@pytest.mark.parametrize("lladdr", [None, ELSEWHERE])
def test_an_answer_is_told_also_where_the_entry_ignores_it(
    state: int, flags: str, lladdr: str | None
) -> None:
    sim, _ = scene(state, router=False)
    probed = sim.engine.begin_probe(1, packed(HOST), sim.now)
    hear(sim, advertisement(HOST, flags, lladdr=lladdr))

    (answer,) = (output for output in sim.outputs if isinstance(output, Answer))
    # Without the option the frame's sender is the best that there is.
    assert (answer.key, answer.lladdr) == (packed(HOST), LinkAddress(lladdr or PEER))
    sim.engine.end_probe(probed, 1, packed(HOST), sim.now)


def test_the_answer_to_a_probe_makes_an_entry_that_it_made_reachable() -> None:
    sim = node6()
    probed = sim.engine.begin_probe(1, packed(HOST), sim.now)
    hear(sim, advertisement(HOST, "SO"))

    assert lines(sim) == [f"{HOST} lladdr {PEER} REACHABLE"]
    sim.engine.end_probe(probed, 1, packed(HOST), sim.now)
    assert entry(sim).nud_state == NUD_REACHABLE


# -- counters


def test_an_advertisement_counts_as_one_look_up_and_as_no_probe_of_ours() -> None:
    sim, _ = scene(NUD_STALE, router=False)
    statistics = cache6(sim).statistics
    before = (statistics.lookups, statistics.hits)
    hear(sim, advertisement(HOST, "S"))
    hear(sim, advertisement("2001:db8::8", "S"))

    assert (statistics.lookups, statistics.hits) == (before[0] + 2, before[1] + 1)
    assert (statistics.rcv_probes_mcast, statistics.rcv_probes_ucast) == (0, 0)


def test_a_router_that_is_one_no_more_is_told_once() -> None:
    sim, made = scene(NUD_REACHABLE, router=True)
    for _ in range(3):
        hear(sim, advertisement(HOST, "S"))

    assert lines(sim) == [f"{HOST} lladdr {PEER} REACHABLE"]
    assert not made.flags & NTF_ROUTER
