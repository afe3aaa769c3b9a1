"""Solicitations for addresses of ours: what they do to who asks, and that a host answers through that entry (4.6).

A client updates as the kernel does and answers nobody: what sending the answer would do is not done.
"""

from __future__ import annotations

from typing import Literal

import pytest

from neighio.address import LinkAddress
from neighio.core.constants import (
    IFA_F_OPTIMISTIC,
    IFA_F_TENTATIVE,
    NLM_F_CREATE,
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
from neighio.core.neighbour import Neighbour
from neighio.testing.simulation import Simulation

from .discovery import (
    ALL_NODES,
    ELSEWHERE,
    HOST,
    OFF_LINK,
    OTHER_HOST,
    SLOW,
    US,
    US_LOCAL,
    Said,
    asked_all,
    cache6,
    entry,
    group,
    node6,
    packed,
    present,
    said,
    solicitation,
    table6,
)
from .helpers import CHANGE, OWN, PEER, add, hear, lines

Role = Literal["client", "host"]

ABSENT = -1
AGE = 20.0
"""How long the entry has been in its state, seconds."""
ADDRESSES = {"none": None, "same": PEER, "diff": ELSEWHERE}
MULTICAST, UNICAST = group(US), US

# What the update does and then what a host's answer does, for each source link-layer address:
# -        nothing
# S        STALE at the address of the message, and an event
# D        the same, but what waited was sent first: the event says DELAY
# S>D      S, and the answer, which goes there, makes DELAY of it in silence
# >D       the answer makes DELAY of STALE in silence
# >I       the answer waits, and resolution begins or goes on
# absent   nobody is made known, and nobody answered
# fmt: off
CLIENT = {
    #                 none       same    diff
    ABSENT:          ("absent",  "S",    "S"),
    NUD_NONE:        ("-",       "S",    "S"),
    NUD_INCOMPLETE:  ("-",       "D",    "D"),
    NUD_REACHABLE:   ("-",       "-",    "S"),
    NUD_STALE:       ("-",       "-",    "S"),
    NUD_DELAY:       ("-",       "-",    "S"),
    NUD_PROBE:       ("-",       "-",    "S"),
    NUD_FAILED:      ("-",       "S",    "S"),
    NUD_NOARP:       ("-",       "-",    "-"),
    NUD_PERMANENT:   ("-",       "-",    "-"),
}
HOST_ROLE = {
    #                 none       same    diff
    ABSENT:          ("absent",  "S>D",  "S>D"),
    NUD_NONE:        (">I",      "S>D",  "S>D"),
    NUD_INCOMPLETE:  (">I",      "D",    "D"),
    NUD_REACHABLE:   ("-",       "-",    "S>D"),
    NUD_STALE:       (">D",      ">D",   "S>D"),
    NUD_DELAY:       ("-",       "-",    "S>D"),
    NUD_PROBE:       ("-",       "-",    "S>D"),
    NUD_FAILED:      (">I",      "S>D",  "S>D"),
    NUD_NOARP:       ("-",       "-",    "-"),
    NUD_PERMANENT:   ("-",       "-",    "-"),
}
# fmt: on


def cells(table: dict[int, tuple[str, str, str]]) -> list[object]:
    found: list[object] = []
    for state, row in table.items():
        for address, happens in zip(ADDRESSES, row, strict=True):
            for how in (MULTICAST, UNICAST):
                if how == UNICAST and happens == "absent":
                    # Whoever asks an address alone is made known, so that the answer finds him.
                    happens = "made"
                name = "absent" if state == ABSENT else nud_state_name(state) or "NONE"
                to = "multicast" if how == MULTICAST else "unicast"
                found.append(
                    pytest.param(state, ADDRESSES[address], how, happens, id=f"{name} - {address} {to}")
                )
    return found


def scene(role: Role, state: int, *, router: bool = False) -> tuple[Simulation, Neighbour | None]:
    """HOST has been in this state, at PEER if the state has an address, for AGE seconds; INCOMPLETE with a
    packet that waits."""
    sim = node6(role=role, **SLOW)
    if state == ABSENT:
        return sim, None
    first = state if state & NUD_VALID and state != NUD_DELAY else NUD_STALE
    made = add(sim, HOST, first, flags=NTF_ROUTER if router else 0)
    if state in (NUD_NONE, NUD_FAILED):
        sim.admin(HOST, nlm_flags=CHANGE, state=state)
    elif state == NUD_INCOMPLETE:
        sim.admin(HOST, nlm_flags=CHANGE, state=NUD_NONE)
        sim.send(HOST)
    elif state == NUD_DELAY:
        sim.resolve(HOST)
    sim.run(AGE)
    lines(sim)
    assert made.nud_state == state
    return sim, made


def answer(to: str, how: str, target: str = US) -> Said:
    """What a host answers to a solicitation that came to its group, or to itself."""
    if how == UNICAST:
        return Said("NA", target, target, HOST, to, None, "S")
    return Said("NA", target, target, HOST, to, OWN, "SO")


@pytest.mark.parametrize("was_router", [False, True], ids=["host", "router"])
@pytest.mark.parametrize(("state", "lladdr", "how", "happens"), cells(CLIENT))
def test_a_client_learns_and_answers_nobody(
    state: int, lladdr: str | None, how: str, happens: str, was_router: bool
) -> None:
    sim, made = scene("client", state, router=was_router)
    before = table6(sim)
    hear(sim, solicitation(HOST, US, lladdr=lladdr, dst=how))

    assert said(sim) == []
    assert sim.device("va").drops == {}
    if happens in ("-", "absent"):
        assert (table6(sim), sim.outputs) == (before, [])
        return
    if happens == "made":
        assert (entry(sim).nud_state, entry(sim).refcnt, sim.outputs) == (NUD_NONE, 1, [])
        return
    becomes = NUD_DELAY if happens == "D" else NUD_STALE
    made = entry(sim)
    router = "router " if was_router and state != ABSENT else ""
    assert lines(sim) == [f"{HOST} lladdr {lladdr} {router}{nud_state_name(becomes)}"]
    assert (made.nud_state, made.updated) == (becomes, sim.now)
    assert made.confirmed == sim.now - 2 * SLOW["base_reachable_time"]


@pytest.mark.parametrize(("state", "lladdr", "how", "happens"), cells(HOST_ROLE))
def test_a_host_learns_and_then_answers_through_the_entry(
    state: int, lladdr: str | None, how: str, happens: str
) -> None:
    sim, made = scene("host", state)
    hear(sim, solicitation(HOST, US, lladdr=lladdr, dst=how))

    assert sim.device("va").drops == {}
    if happens == "absent":
        assert (present(sim), sim.outputs) == (set(), [])
        return
    told, messages = lines_and_messages(sim)
    made = entry(sim)
    if happens in (">I", "made"):
        assert (made.nud_state, told) == (NUD_INCOMPLETE, [])
        # The answer waits, and its source, which is the target, asks.
        assert messages == ([asked_all(HOST, US)] if state != NUD_INCOMPLETE else [])
        return
    where = lladdr if lladdr is not None and happens != "-" else PEER
    becomes = NUD_DELAY if happens != "-" else state
    event = {"S>D": ["STALE"], "D": ["DELAY"]}.get(happens, [])
    assert told == [f"{HOST} lladdr {where} {word}" for word in event]
    assert (made.nud_state, made.lladdr) == (becomes, LinkAddress(where))
    assert messages == [answer(where, how)]
    if happens != "-":
        assert made.refcnt == 2
        assert cache6(sim).store.deadline[made.row] == sim.now + SLOW["delay_first_probe_time"]


def lines_and_messages(sim: Simulation) -> tuple[list[str], list[Said]]:
    messages = said(sim)
    return lines(sim), messages


def test_the_answer_that_waited_leaves_when_the_asker_is_resolved() -> None:
    """RFC 4861 7.2.4: a stranger without the option has to be resolved first."""
    sim = node6(role="host", **SLOW)
    hear(sim, solicitation(HOST, US, lladdr=None, dst=US))
    assert said(sim) == [asked_all(HOST, US)]
    lines(sim)
    hear(sim, solicitation(HOST, US))

    assert said(sim) == [answer(PEER, UNICAST), answer(PEER, MULTICAST)]
    assert lines(sim) == [f"{HOST} lladdr {PEER} DELAY"]


def test_an_answer_that_waits_in_vain_is_dropped_and_nobody_waits_to_hear_of_it() -> None:
    sim = node6(role="host", retrans_time=0.5)
    hear(sim, solicitation(HOST, US, lladdr=None, dst=US))
    sim.run(5.0)

    assert [type(output).__name__ for output in sim.outputs] == [
        "Transmit", "Transmit", "Transmit", "Settled", "NewNeighbour",
    ]  # fmt: skip
    assert sim.device("va").drops == {"neigh_failed": 1}


def test_the_event_comes_before_the_answer() -> None:
    sim = node6(role="host", **SLOW)
    hear(sim, solicitation(HOST, US))

    assert [type(output).__name__ for output in sim.outputs] == ["NewNeighbour", "Transmit"]


def test_whoever_asks_us_is_probed_by_us_unless_something_confirms_him() -> None:
    """Scenario D of the reference: STALE, silent DELAY, PROBE, FAILED."""
    sim = node6(role="host", delay_first_probe_time=1.0, retrans_time=0.25, ucast_solicit=3)
    hear(sim, solicitation(HOST, US))
    sim.run(5.0)

    assert [(round(time - 1005.0, 2), text) for time, text in sim.log] == [
        (0.0, f"{HOST} dev va lladdr {PEER} STALE"),
        (0.0, f"neighbour advertisement to {PEER} src {US} dst {HOST} target {US}"),
        (1.0, f"neighbour solicitation to {PEER} src {US_LOCAL} dst {HOST} target {HOST}"),
        (1.0, f"{HOST} dev va lladdr {PEER} PROBE"),
        (1.25, f"neighbour solicitation to {PEER} src {US_LOCAL} dst {HOST} target {HOST}"),
        (1.5, f"neighbour solicitation to {PEER} src {US_LOCAL} dst {HOST} target {HOST}"),
        (1.75, f"{HOST} dev va FAILED"),
    ]


def test_a_client_does_not_probe_who_asks() -> None:
    sim = node6(delay_first_probe_time=1.0)
    hear(sim, solicitation(HOST, US))
    sim.run(60.0)

    assert lines(sim) == [f"{HOST} lladdr {PEER} STALE"]
    assert said(sim) == []


# -- what does not matter, and what does


@pytest.mark.parametrize("sender", [HOST, "fe80::7", OFF_LINK, US, US_LOCAL], ids=lambda ip: f"from {ip}")
def test_any_source_is_made_known_on_link_or_not_even_our_own_address(sender: str) -> None:
    """As on a 6.18.44; RFC 5942 would have it otherwise."""
    sim = node6()
    hear(sim, solicitation(sender, US))

    assert lines(sim) == [f"{sender} lladdr {PEER} STALE"]


@pytest.mark.parametrize("dst", [group(US), ALL_NODES, US_LOCAL, group(US_LOCAL)])
@pytest.mark.parametrize("role", ["client", "host"])
def test_where_it_went_need_not_match_whom_it_asks_for(role: Role, dst: str) -> None:
    sim = node6(role=role, **SLOW)
    hear(sim, solicitation(HOST, US, dst=dst))

    assert len(said(sim)) == (role == "host")
    assert lines(sim) == [f"{HOST} lladdr {PEER} STALE"]


@pytest.mark.parametrize("role", ["client", "host"])
@pytest.mark.parametrize(
    ("target", "why"),
    [
        (OTHER_HOST, "somebody else's"),
        ("2001:db8:5::1", "another device's"),
        ("::", "unspecified"),
    ],
    ids=lambda value: value,
)
def test_only_addresses_of_this_very_device_are_answered_for(role: Role, target: str, why: str) -> None:
    """Unlike ARP, where those of other devices are too."""
    sim = node6(role=role)
    sim.add_device("vb", "02:00:00:00:01:0a", ["2001:db8:5::1/64"], role=role)
    sim.run(5.0)
    lines(sim)
    sim.device("va").drops.clear()
    before = table6(sim)
    hear(sim, solicitation(HOST, target, dst=ALL_NODES))

    assert (table6(sim), sim.outputs) == (before, [])
    assert sim.device("va").drops == {"ndisc_target_not_ours": 1}


@pytest.mark.parametrize("role", ["client", "host"])
@pytest.mark.parametrize("known", [False, True])
def test_a_unicast_solicitation_for_a_tentative_address_is_ignored(role: Role, known: bool) -> None:
    """RFC 4862 5.4.3."""
    sim = node6(role=role)
    sim.add_address("va", "2001:db8::2/64", flags=IFA_F_TENTATIVE)
    if known:
        add(sim, HOST, NUD_STALE)
    sim.run(5.0)
    lines(sim)
    before = table6(sim)
    hear(sim, solicitation(HOST, "2001:db8::2", lladdr=ELSEWHERE))

    assert (table6(sim), sim.outputs) == (before, [])
    assert sim.device("va").drops == {"ndisc_target_tentative": 1}


def test_a_solicitation_for_an_optimistic_address_is_answered_without_override() -> None:
    """RFC 4429 3.3."""
    sim = node6(role="host", **SLOW)
    sim.add_address("va", "2001:db8::2/64", flags=IFA_F_TENTATIVE | IFA_F_OPTIMISTIC)
    sim.run(5.0)
    lines(sim)
    hear(sim, solicitation(HOST, "2001:db8::2"))

    assert said(sim) == [answer(PEER, MULTICAST, "2001:db8::2")._replace(flags="S")]
    assert lines(sim) == [f"{HOST} lladdr {PEER} STALE"]


@pytest.mark.parametrize(("how", "counters"), [(MULTICAST, (1, 0)), (UNICAST, (0, 1))])
@pytest.mark.parametrize("role", ["client", "host"])
def test_probes_for_us_are_counted_by_how_they_came(role: Role, how: str, counters: tuple[int, int]) -> None:
    sim = node6(role=role)
    statistics = cache6(sim).statistics
    hear(sim, solicitation(HOST, US, dst=how))
    hear(sim, solicitation(HOST, OTHER_HOST, dst=ALL_NODES))
    hear(sim, solicitation("::", US, lladdr=None))

    assert (statistics.rcv_probes_mcast, statistics.rcv_probes_ucast) == counters


def test_a_stranger_without_an_address_is_counted_as_a_probe_though_nobody_is_made_known() -> None:
    sim = node6()
    hear(sim, solicitation(HOST, US, lladdr=None))

    statistics = cache6(sim).statistics
    assert (statistics.rcv_probes_mcast, statistics.lookups, statistics.hits) == (1, 1, 0)
    assert table6(sim) == {}


@pytest.mark.parametrize("role", ["client", "host"])
def test_who_wants_a_proven_address_of_ours_is_not_made_known(role: Role) -> None:
    """The source is nobody's: RFC 4861 7.2.3."""
    sim = node6(role=role, **SLOW)
    sim.engine.new_neighbour(
        1, bytes(16), sim.now, lladdr=LinkAddress(PEER), state=NUD_STALE, nlm_flags=NLM_F_CREATE
    )
    sim.run(0.0)
    lines(sim)
    known = {place: facts for place, facts in table6(sim).items() if place[1] == "::"}
    hear(sim, solicitation("::", US, lladdr=None, nonce=b"\1\2\3\4\5\6"))

    assert {place: facts for place, facts in table6(sim).items() if place[1] == "::"} == known
    assert [one.dst for one in said(sim)] == [ALL_NODES] * (role == "host")
    assert lines(sim) == []


def test_a_solicitation_touches_only_who_asks() -> None:
    sim, _ = scene("client", NUD_STALE)
    add(sim, OTHER_HOST, NUD_REACHABLE, lladdr=ELSEWHERE)
    before = table6(sim)
    hear(sim, solicitation(HOST, US, lladdr=ELSEWHERE))

    after = table6(sim)
    assert after["va", OTHER_HOST] == before["va", OTHER_HOST]
    assert after["va", HOST] != before["va", HOST]


def test_an_asker_who_is_known_counts_one_look_up_and_one_hit() -> None:
    sim, _ = scene("client", NUD_STALE)
    statistics = cache6(sim).statistics
    before = (statistics.lookups, statistics.hits)
    hear(sim, solicitation(HOST, US))

    assert (statistics.lookups, statistics.hits) == (before[0] + 1, before[1] + 1)
    assert packed(HOST) in {cache6(sim).store.key_of(row) for row in cache6(sim).rows()}
