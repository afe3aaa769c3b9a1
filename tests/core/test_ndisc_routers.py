"""Router solicitations, router advertisements and redirects: whom they make known, and which are heeded (4.6, 9.6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from neighio.address import LinkAddress
from neighio.core.constants import (
    AF_INET6,
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
from neighio.core.device import Address
from neighio.core.neighbour import Neighbour
from neighio.core.parameters import Parameters
from neighio.testing.simulation import Simulation
from neighio.wire import ndisc

from .discovery import (
    ELSEWHERE,
    HOST,
    OFF_LINK,
    ROUTER,
    SLOW,
    US,
    cache6,
    frame,
    node6,
    packed,
    present,
    redirect,
    router_advertisement,
    router_solicitation,
    table6,
)
from .helpers import CHANGE, PEER, add, frames, hear, lines

ABSENT = -1
AGE = 20.0
BETTER = "fe80::2"
"""The router that a redirect names."""
OTHER_ROUTER = "fe80::3"
ADDRESSES = {"none": None, "same": PEER, "diff": ELSEWHERE}


class Kind(NamedTuple):
    """A message, of whom it tells, and what its evidence says of NTF_ROUTER (None: nothing)."""

    message: Callable[[str | None], bytes]
    of: str
    router: bool | None


KINDS = {
    "router solicitation": Kind(lambda lladdr: router_solicitation(HOST, lladdr=lladdr), HOST, False),
    "router advertisement": Kind(lambda lladdr: router_advertisement(lladdr=lladdr), ROUTER, True),
    "redirect to a router": Kind(lambda lladdr: redirect(BETTER, OFF_LINK, lladdr=lladdr), BETTER, True),
    "redirect on link": Kind(lambda lladdr: redirect(OFF_LINK, OFF_LINK, lladdr=lladdr), OFF_LINK, None),
}

# -        nothing, but for the router flag
# S        STALE at the address of the message, and an event
# D        the same, but what waited was sent first
# NONE     a silent entry in NONE, whose router flag is not set
# refused  nothing at all
# fmt: off
TABLE = {
    #                 none       same       diff
    ABSENT:          ("NONE",    "S",       "S"),
    NUD_NONE:        ("refused", "S",       "S"),
    NUD_INCOMPLETE:  ("refused", "D",       "D"),
    NUD_REACHABLE:   ("-",       "-",       "S"),
    NUD_STALE:       ("-",       "-",       "S"),
    NUD_DELAY:       ("-",       "-",       "S"),
    NUD_PROBE:       ("-",       "-",       "S"),
    NUD_FAILED:      ("refused", "S",       "S"),
    NUD_NOARP:       ("refused", "refused", "refused"),
    NUD_PERMANENT:   ("refused", "refused", "refused"),
}
# fmt: on
CELLS = [
    pytest.param(
        state,
        ADDRESSES[address],
        happens,
        id=f"{'absent' if state == ABSENT else nud_state_name(state) or 'NONE'} - {address} -> {happens}",
    )
    for state, row in TABLE.items()
    for address, happens in zip(ADDRESSES, row, strict=True)
]


def behind(router: str = ROUTER, *, forwarding: int = 0) -> Simulation:
    """A node whose default router is this one."""
    sim = node6(accept_ra=0, forwarding=forwarding, **SLOW)
    sim.add_route("va", "::/0", router)
    return sim


def bring(sim: Simulation, ip: str, state: int, *, router: bool) -> Neighbour:
    """Have an entry in this state for AGE seconds, at PEER if it has an address; INCOMPLETE with a packet."""
    first = state if state & NUD_VALID and state != NUD_DELAY else NUD_STALE
    made = add(sim, ip, first, flags=NTF_ROUTER if router else 0)
    if state in (NUD_NONE, NUD_FAILED):
        sim.admin(ip, nlm_flags=CHANGE, state=state)
    elif state == NUD_INCOMPLETE:
        sim.admin(ip, nlm_flags=CHANGE, state=NUD_NONE)
        sim.send(ip)
    elif state == NUD_DELAY:
        sim.resolve(ip)
    sim.run(AGE)
    lines(sim)
    assert made.nud_state == state
    return made


@pytest.mark.parametrize("was_router", [False, True], ids=["host", "router"])
@pytest.mark.parametrize(("state", "lladdr", "happens"), CELLS)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_what_a_routers_message_makes_of_an_entry(
    kind: Kind, state: int, lladdr: str | None, happens: str, was_router: bool
) -> None:
    sim = behind(forwarding=kind.router is False)
    made = None if state == ABSENT else bring(sim, kind.of, state, router=was_router)
    confirmed, updated = (0.0, 0.0) if made is None else (made.confirmed, made.updated)
    hear(sim, kind.message(lladdr))

    made = sim.neighbour(kind.of)
    assert made is not None
    assert sim.device("va").drops == {}
    if happens == "NONE":
        assert (made.nud_state, made.flags, made.refcnt, lines(sim)) == (NUD_NONE, 0, 1, [])
        return
    was = was_router and state != ABSENT
    router = was if happens == "refused" or kind.router is None else kind.router
    becomes = {"S": NUD_STALE, "D": NUD_DELAY}.get(happens, state)
    where = lladdr if lladdr is not None and happens in ("S", "D") else PEER
    assert (made.nud_state, bool(made.flags & NTF_ROUTER)) == (becomes, router)
    if becomes & NUD_VALID:
        assert made.lladdr == LinkAddress(where)
    told = f"{kind.of} lladdr {where} {'router ' * router}{nud_state_name(becomes)}"
    assert lines(sim) == ([told] if happens in ("S", "D") or router != was else [])
    if happens in ("S", "D"):
        assert (made.confirmed, made.updated) == (sim.now - 8000.0, sim.now)
    else:
        assert (made.confirmed, made.updated) == (confirmed, updated)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_routers_message_sends_nothing_and_looks_up_once(kind: Kind) -> None:
    sim = behind(forwarding=kind.router is False)
    lookups = cache6(sim).statistics.lookups
    hear(sim, kind.message(PEER))

    assert frames(sim) == []
    assert cache6(sim).statistics.lookups == lookups + 1


# -- router solicitations


@pytest.mark.parametrize("lladdr", [None, PEER])
def test_a_host_drops_every_router_solicitation(lladdr: str | None) -> None:
    """R106. It does not even belong to the group; one to itself is refused for what it is."""
    sim = behind()
    hear(sim, router_solicitation(lladdr=lladdr))
    hear(sim, frame(ndisc.build_router_solicitation(packed(HOST), packed(US), None)))

    assert table6(sim) == {}
    assert sim.device("va").drops == {"ipv6_group_not_joined": 1, "ndisc_not_a_router": 1}


def test_a_router_solicitation_from_nobody_makes_nobody_known() -> None:
    sim = behind(forwarding=1)
    hear(sim, router_solicitation("::", lladdr=None))

    assert table6(sim) == {}
    assert sim.device("va").drops == {}


def test_who_asks_for_routers_is_none() -> None:
    """R170: IsRouter is FALSE."""
    sim = behind(forwarding=1)
    made = bring(sim, HOST, NUD_REACHABLE, router=True)
    hear(sim, router_solicitation())

    assert lines(sim) == [f"{HOST} lladdr {PEER} REACHABLE"]
    assert not made.flags & NTF_ROUTER


# -- router advertisements: the times


def times(sim: Simulation) -> Parameters:
    return sim.engine.parameters(1, AF_INET6)


# what an advertisement says of retransmission and reachable time (ms) -> seconds that are in force
# fmt: off
TIMES = [
    ("both",                     1500,  20000, 1.5,   20.0),
    ("only retransmission",       250,      0, 0.25,  17.0),
    ("only reachable",              0,   5000, 0.75,   5.0),
    ("neither: unspecified",        0,      0, 0.75,  17.0),
    ("retransmission, floor",       8,      0, 0.008, 17.0),
    ("retransmission, below it",    7,      0, 0.008, 17.0),
    ("retransmission, the least",   1,      0, 0.008, 17.0),
    ("reachable, floor",            0,    100, 0.75,   0.1),
    ("reachable, below it",         0,     99, 0.75,   0.1),
    ("reachable, the least",        0,      1, 0.75,   0.1),
    ("the largest",         0xFFFFFFFF, 0xFFFFFFFF, 4294967.295, 4294967.295),
]
# fmt: on


@pytest.mark.parametrize(
    ("retrans_ms", "reachable_ms", "retrans", "reachable"),
    [row[1:] for row in TIMES],
    ids=[row[0] for row in TIMES],
)
@pytest.mark.parametrize("lifetime", [0, 1800])
def test_an_accepted_advertisement_sets_the_devices_times(
    retrans_ms: int, reachable_ms: int, retrans: float, reachable: float, lifetime: int
) -> None:
    sim = node6(retrans_time=0.75, base_reachable_time=17.0, gc_stale_time=33.0)
    sim.add_device("vb", "02:00:00:00:01:0a", [])
    drawn = times(sim).reachable_time
    message = router_advertisement(
        retrans_timer=retrans_ms / 1000, reachable_time=reachable_ms / 1000, lifetime=lifetime
    )
    hear(sim, message)

    parms = times(sim)
    assert (parms.retrans_time, parms.base_reachable_time) == (retrans, reachable)
    assert parms.gc_stale_time == (3 * reachable if reachable_ms else 33.0)
    if reachable_ms:
        assert 0.5 * reachable <= parms.reachable_time < 1.5 * reachable
    else:
        assert parms.reachable_time == drawn
    others = [sim.engine.parameters(index, AF_INET6) for index in (None, sim.device("vb").index)]
    assert [(one.retrans_time, one.base_reachable_time) for one in others] == [(1.0, 30.0)] * 2


def test_the_same_reachable_time_is_not_drawn_again_and_leaves_gc_stale_time_as_it_was_set() -> None:
    """Scenario 219."""
    sim = node6(base_reachable_time=17.0, gc_stale_time=33.0)
    drawn = times(sim).reachable_time
    for _ in range(5):
        hear(sim, router_advertisement(reachable_time=17.0))
    assert (times(sim).reachable_time, times(sim).gc_stale_time) == (drawn, 33.0)

    hear(sim, router_advertisement(reachable_time=18.0))
    redrawn = times(sim).reachable_time
    assert redrawn != drawn
    hear(sim, router_advertisement(reachable_time=18.0))
    assert (times(sim).reachable_time, times(sim).gc_stale_time) == (redrawn, 54.0)


def test_what_a_router_says_counts_as_set_on_the_device() -> None:
    """NEIGH_VAR_SET: a later change of the defaults does not reach it."""
    sim = node6()
    hear(sim, router_advertisement(retrans_timer=0.25, reachable_time=5.0))
    sim.set(None, 6, retrans_time=9.0, base_reachable_time=9.0, gc_stale_time=9.0, locktime=9.0)

    parms = times(sim)
    assert (parms.retrans_time, parms.base_reachable_time, parms.gc_stale_time) == (0.25, 5.0, 15.0)
    assert parms.locktime == 9.0


def test_a_time_that_a_router_changes_is_in_force_from_the_next_timer_on() -> None:
    sim = node6(retrans_time=1.0, mcast_solicit=3)
    sim.resolve(HOST)
    sim.run(0.5)
    hear(sim, router_advertisement(retrans_timer=0.25))
    sim.lines()
    began = sim.now - 0.5
    sim.run(5.0)

    assert [round(time - began, 2) for time, _ in sim.log] == [1.0, 1.25, 1.5]


@pytest.mark.parametrize(
    ("accept_ra", "forwarding", "taken"),
    [(0, 0, False), (0, 1, False), (1, 0, True), (1, 1, False), (2, 0, True), (2, 1, True)],
)
def test_accept_ra_and_forwarding_decide_about_the_times_alone(
    accept_ra: int, forwarding: int, taken: bool
) -> None:
    """The neighbour is made known in any case."""
    sim = node6(accept_ra=accept_ra, forwarding=forwarding)
    hear(sim, router_advertisement(retrans_timer=0.25, reachable_time=5.0))

    parms = times(sim)
    assert (parms.retrans_time, parms.base_reachable_time) == ((0.25, 5.0) if taken else (1.0, 30.0))
    assert lines(sim) == [f"{ROUTER} lladdr {PEER} router STALE"]


def test_ticks_round_the_times_of_an_advertisement_down() -> None:
    """The kernel keeps them in jiffies."""
    sim = Simulation(ticks_per_second=250)
    sim.add_device("va", addresses=["fe80::a/64"])
    hear(sim, router_advertisement(retrans_timer=1.003, reachable_time=2.0059))

    assert times(sim).retrans_time == pytest.approx(1.0)
    assert times(sim).base_reachable_time == pytest.approx(2.004)


# -- redirects

GLOBAL_ROUTER = "2001:db8::fe"
# route, sender, target, destination -> taken, or why not
# fmt: off
REDIRECTS: list[tuple[str, dict[str, str | None], str, str, str, str | None]] = [
    ("from the default router",      {"::/0": ROUTER},                ROUTER,       BETTER,   OFF_LINK, None),
    ("on link",                      {"::/0": ROUTER},                ROUTER,       OFF_LINK, OFF_LINK, None),
    ("from another router",          {"::/0": ROUTER},                OTHER_ROUTER, BETTER,   OFF_LINK, "ndisc_redirect_not_from_first_hop"),
    ("from the router of a prefix",  {"::/0": ROUTER, "2001:db8:ffff::/48": OTHER_ROUTER},
                                                                      OTHER_ROUTER, BETTER,   OFF_LINK, None),
    ("from one further back",        {"::/0": ROUTER, "2001:db8:ffff::/48": OTHER_ROUTER},
                                                                      ROUTER,       BETTER,   OFF_LINK, None),
    ("from a prefix's that is not it", {"::/0": ROUTER, "2001:db8:eeee::/48": OTHER_ROUTER},
                                                                      OTHER_ROUTER, BETTER,   OFF_LINK, "ndisc_redirect_not_from_first_hop"),
    ("without any route",            {},                              ROUTER,       BETTER,   OFF_LINK, "ndisc_redirect_not_from_first_hop"),
    ("of a directly connected one",  {"::/0": None},                  ROUTER,       BETTER,   OFF_LINK, "ndisc_redirect_not_from_first_hop"),
    ("of our own subnet",            {"::/0": ROUTER},                ROUTER,       BETTER,   HOST,     None),
    ("not from a link-local one",    {"::/0": GLOBAL_ROUTER},         GLOBAL_ROUTER, BETTER,  OFF_LINK, "ndisc_source_not_link_local"),
    ("to a global router",           {"::/0": ROUTER},                ROUTER,       HOST,     OFF_LINK, "ndisc_redirect_target"),
    ("to a group",                   {"::/0": ROUTER},                ROUTER,       "ff02::5", OFF_LINK, "ndisc_redirect_target"),
    ("for a group",                  {"::/0": ROUTER},                ROUTER,       BETTER,   "ff0e::5", "ndisc_redirect_destination"),
    ("for a group, on link",         {"::/0": ROUTER},                ROUTER,       "ff0e::5", "ff0e::5", "ndisc_redirect_destination"),
]
# fmt: on


@pytest.mark.parametrize(
    ("routes", "sender", "target", "destination", "refused"),
    [row[1:] for row in REDIRECTS],
    ids=[row[0] for row in REDIRECTS],
)
def test_who_may_redirect_where(
    routes: dict[str, str | None], sender: str, target: str, destination: str, refused: str | None
) -> None:
    sim = node6(**SLOW)
    for prefix, gateway in routes.items():
        sim.add_route("va", prefix, gateway)
    hear(sim, redirect(target, destination, sender=sender))

    assert present(sim) == (set() if refused else {target})
    assert sim.device("va").drops == ({refused: 1} if refused else {})


def test_the_router_must_be_on_the_very_device() -> None:
    sim = node6(**SLOW)
    sim.add_device("vb", "02:00:00:00:01:0a", ["fe80::b/64"])
    sim.add_route("vb", "::/0", ROUTER)
    hear(sim, redirect(BETTER, OFF_LINK))

    assert present(sim) == set()
    assert sim.device("va").drops == {"ndisc_redirect_not_from_first_hop": 1}


@pytest.mark.parametrize(
    ("accept_redirects", "forwarding", "taken"), [(1, 0, True), (0, 0, False), (1, 1, False), (0, 1, False)]
)
def test_redirects_are_for_hosts_that_accept_them(
    accept_redirects: int, forwarding: int, taken: bool
) -> None:
    sim = behind(forwarding=forwarding)
    sim.set("va", 6, accept_redirects=accept_redirects)
    hear(sim, redirect(BETTER, OFF_LINK))

    assert present(sim) == ({BETTER} if taken else set())
    assert sim.device("va").drops == ({} if taken else {"ndisc_redirects_not_accepted": 1})


def test_a_redirect_confirms_the_old_router() -> None:
    sim = behind()
    old = add(sim, ROUTER, NUD_STALE, flags=NTF_ROUTER)
    sim.run(AGE)
    lines(sim)
    hear(sim, redirect(BETTER, OFF_LINK))

    assert (old.confirmed, old.nud_state) == (sim.now, NUD_STALE)
    assert lines(sim) == [f"{BETTER} lladdr {PEER} router STALE"]


def test_a_redirect_makes_no_entry_of_the_old_router_and_a_refused_one_confirms_nobody() -> None:
    sim = behind()
    hear(sim, redirect(BETTER, OFF_LINK))
    assert sim.neighbour(ROUTER) is None

    old = add(sim, OTHER_ROUTER, NUD_STALE)
    before = old.confirmed
    sim.run(AGE)
    hear(sim, redirect(BETTER, OFF_LINK, sender=OTHER_ROUTER))
    assert old.confirmed == before


def test_routes_are_not_changed_by_a_redirect() -> None:
    sim = behind()
    hear(sim, redirect(BETTER, OFF_LINK))
    hop = sim.engine.node.first_hop(packed(OFF_LINK))

    assert hop is not None and hop[1] == packed(ROUTER)


def embedded(source: str, destination: str, protocol: int) -> bytes:
    return b"\x60\0\0\0\0\x08" + bytes((protocol, 64)) + packed(source) + packed(destination) + bytes(8)


UDP, TCP, ICMPV6 = 17, 6, 58
REDIRECTED = [
    # the packet that caused it -> taken
    ("UDP from us", embedded(US, OFF_LINK, UDP), False),
    ("TCP from us", embedded(US, OFF_LINK, TCP), True),
    ("UDP from somebody else", embedded(HOST, OFF_LINK, UDP), False),
    ("ICMPv6 from us", embedded(US, OFF_LINK, ICMPV6), True),
    ("ICMPv6 from anybody", embedded(HOST, OFF_LINK, ICMPV6), True),
    ("not a whole header", embedded(US, OFF_LINK, ICMPV6)[:32], False),
    ("nothing", b"", False),
]


@pytest.mark.parametrize(
    ("redirected", "taken"), [row[1:] for row in REDIRECTED], ids=[row[0] for row in REDIRECTED]
)
def test_a_redirected_packet_must_be_one_that_we_may_have_sent(redirected: bytes, taken: bool) -> None:
    sim = behind()
    hear(sim, redirect(BETTER, OFF_LINK, redirected=redirected))

    assert present(sim) == ({BETTER} if taken else set())
    assert sim.device("va").drops == ({} if taken else {"ndisc_redirect_packet_not_ours": 1})


def test_the_redirected_packet_says_whose_first_hop_the_sender_must_be() -> None:
    """The kernel asks for the route of the embedded packet, not of the message's own destination."""
    sim = node6(**SLOW)
    sim.add_route("va", "2001:db8:ffff::/48", ROUTER)
    elsewhere = "2001:db8:eeee::7"
    hear(sim, redirect(BETTER, OFF_LINK, redirected=embedded(US, elsewhere, ICMPV6)))
    assert sim.device("va").drops == {"ndisc_redirect_not_from_first_hop": 1}

    hear(sim, redirect(BETTER, elsewhere, redirected=embedded(US, OFF_LINK, ICMPV6)))
    assert present(sim) == {BETTER}


def test_a_redirect_to_a_tentative_address_of_ours_is_dropped() -> None:
    sim = behind()
    sim.engine.add_address(1, Address(packed(US), 64, 0, 0x40), sim.now)
    hear(sim, redirect(BETTER, OFF_LINK))

    assert present(sim) == set()
    assert sim.device("va").drops == {"ndisc_target_tentative": 1}
