"""Proxy ARP: for whom a host answers in another's place, and what asking does to who asks (7, 8.4)."""

from __future__ import annotations

import itertools

import pytest

from neighio.address import LinkAddress, parse_ip
from neighio.core.constants import AF_INET, NLM_F_CREATE, NTF_PROXY, NUD_DELAY, NUD_PERMANENT, NUD_STALE
from neighio.core.events import Transmit
from neighio.testing.simulation import Simulation

from .helpers import OWN, PEER, add, alive, arp_frame, hear
from .hosts import BEGIN, draws, log

OTHER_OWN = "02:00:00:00:01:0a"
ELSEWHERE = "02:00:00:00:00:0c"
US, ASKER = "198.51.100.1", "198.51.100.7"
THERE = "203.0.113.9"
"""Behind the other device."""
HERE = "198.51.100.99"
"""Behind the one that hears the question."""
NOWHERE = "192.0.2.9"
"""To which there is no route."""
REQUEST, REPLY = 1, 2


def router(**changes: float) -> Simulation:
    """A host that forwards between va, where it is asked, and vb; without a delay unless there is to be one."""
    sim = Simulation(start=BEGIN, seed=7)
    sim.add_device("va", OWN, [f"{US}/24"], role="host")
    sim.add_device("vb", OTHER_OWN, ["203.0.113.1/24"], role="host")
    sim.set("va", **{"forwarding": 1, "proxy_delay": 0.0, "base_reachable_time": 4000.0, **changes})
    sim.run(5.0)
    log(sim)
    return sim


def proxy(sim: Simulation, ip: str, dev: str | None = "va") -> None:
    index = None if dev is None else sim.device(dev).index
    sim.engine.new_neighbour(index, parse_ip(ip)[0], sim.now, flags=NTF_PROXY, nlm_flags=NLM_F_CREATE)


def answer(target: str, sender: str = ASKER, to: str = PEER) -> str:
    return f"arp reply to {to} spa {target} tpa {sender}"


def said(sim: Simulation) -> list[str]:
    return [text for _, text in log(sim)]


# -- for whom

TARGETS = {"there": THERE, "here": HERE, "nowhere": NOWHERE}
CELLS = [
    pytest.param(where, forwarding, proxy_arp, pvlan, entry, id=f"{where} forwarding {forwarding} proxy_arp "
                 f"{proxy_arp} pvlan {pvlan} entry {entry}")
    for where, forwarding, proxy_arp, pvlan, entry in itertools.product(TARGETS, (0, 1), (0, 1), (0, 1), (0, 1))
]  # fmt: skip


@pytest.mark.parametrize(("where", "forwarding", "proxy_arp", "pvlan", "entry"), CELLS)
def test_who_is_proxied(where: str, forwarding: int, proxy_arp: int, pvlan: int, entry: int) -> None:
    """a) behind another device with proxy_arp; b) behind the same with proxy_arp_pvlan; c) behind another with a
    proxy entry. Never without forwarding or without a route."""
    sim = router(forwarding=forwarding, proxy_arp=proxy_arp, proxy_arp_pvlan=pvlan)
    target = TARGETS[where]
    if entry:
        proxy(sim, target)
    hear(sim, arp_frame(REQUEST, ASKER, target))

    proxied = forwarding and {"there": proxy_arp or entry, "here": pvlan, "nowhere": False}[where]
    assert said(sim) == ([f"{ASKER} lladdr {PEER} STALE", answer(target)] if proxied else [])
    assert alive(sim) == ({ASKER} if proxied else set())


@pytest.mark.parametrize("name", ["proxy_arp", "proxy_arp_pvlan"])
@pytest.mark.parametrize(("everywhere", "here", "proxied"), [(0, 0, False), (1, 0, True), (0, 1, True)])
def test_the_switches_are_on_if_they_are_everywhere_or_here(
    name: str, everywhere: int, here: int, proxied: bool
) -> None:
    sim = router(**{name: here})
    sim.set(None, **{name: everywhere})
    target = THERE if name == "proxy_arp" else HERE
    hear(sim, arp_frame(REQUEST, ASKER, target))

    assert (answer(target) in said(sim)) is proxied


@pytest.mark.parametrize(("dev", "proxied"), [("va", True), (None, True), ("vb", False)])
def test_an_entry_holds_on_its_device_or_on_every_one(dev: str | None, proxied: bool) -> None:
    sim = router()
    proxy(sim, THERE, dev)
    hear(sim, arp_frame(REQUEST, ASKER, THERE))

    assert (answer(THERE) in said(sim)) is proxied


def test_an_entry_for_one_address_says_nothing_of_the_next() -> None:
    sim = router()
    proxy(sim, THERE)
    hear(sim, arp_frame(REQUEST, ASKER, "203.0.113.10"))

    assert said(sim) == []


@pytest.mark.parametrize("pvlan", [0, 1])
def test_who_asks_for_his_own_address_gets_no_answer_from_the_same_segment(pvlan: int) -> None:
    """A gratuitous request, behind a private VLAN (arp_fwd_pvlan)."""
    sim = router(proxy_arp=1, proxy_arp_pvlan=pvlan)
    hear(sim, arp_frame(REQUEST, ASKER, ASKER))

    assert said(sim) == []


@pytest.mark.parametrize("target", ["203.0.113.255", "255.255.255.255", "203.0.113.1"])
def test_only_unicast_addresses_are_proxied(target: str) -> None:
    """203.0.113.1 is our own: that is answered for, but by another rule."""
    sim = router(proxy_arp=1)
    hear(sim, arp_frame(REQUEST, ASKER, target))

    assert said(sim) == ([f"{ASKER} lladdr {PEER} STALE", answer(target)] if target == "203.0.113.1" else [])


@pytest.mark.parametrize("sender", ["127.0.0.1", "224.0.0.5", "255.255.255.255", US])
def test_a_martian_is_not_answered(sender: str) -> None:
    sim = router(proxy_arp=1)
    hear(sim, arp_frame(REQUEST, sender, THERE))

    assert said(sim) == []
    assert alive(sim) == set()


def test_a_probe_for_a_proxied_address_is_not_answered() -> None:
    """Its sender has no address: only for our own ones does that get an answer (8.1)."""
    sim = router(proxy_arp=1)
    hear(sim, arp_frame(REQUEST, "0.0.0.0", THERE))

    assert said(sim) == []


def test_a_reply_asks_nothing() -> None:
    sim = router(proxy_arp=1)
    hear(sim, arp_frame(REPLY, ASKER, THERE, dst=OWN))

    assert said(sim) == []


def test_the_longest_route_says_through_which_device() -> None:
    sim = router(proxy_arp=1)
    sim.add_route("va", f"{THERE}/32")
    hear(sim, arp_frame(REQUEST, ASKER, THERE))
    assert said(sim) == []

    sim.add_route("vb", "192.0.2.0/24", "203.0.113.254")
    hear(sim, arp_frame(REQUEST, ASKER, NOWHERE))
    assert answer(NOWHERE) in said(sim)


def test_a_client_proxies_for_nobody() -> None:
    sim = Simulation(start=BEGIN)
    sim.add_device("va", OWN, [f"{US}/24"])
    sim.add_device("vb", OTHER_OWN, ["203.0.113.1/24"])
    sim.set(None, forwarding=1, proxy_arp=1, proxy_arp_pvlan=1)
    proxy(sim, THERE)
    hear(sim, arp_frame(REQUEST, ASKER, THERE))

    assert said(sim) == []
    assert alive(sim) == set()


# -- the answer, and who asked


def test_the_octets_of_an_answer() -> None:
    sim = router(proxy_arp=1)
    hear(sim, arp_frame(REQUEST, ASKER, THERE, lladdr=ELSEWHERE))
    (sent,) = (output.frame for output in sim.outputs if isinstance(output, Transmit))

    assert sent.hex() == (
        "02000000000c" "02000000000a" "0806"
        "0001" "0800" "06" "04" "0002"
        "02000000000a" "cb007109" "02000000000c" "c6336407"
    )  # fmt: skip


def test_who_asks_is_known_whatever_was_known_before() -> None:
    """As for an address of our own: no locktime (Q of 4.5)."""
    sim = router(proxy_arp=1, locktime=60.0)
    made = add(sim, ASKER, NUD_STALE, dev="va")
    sim.lines()
    hear(sim, arp_frame(REQUEST, ASKER, THERE, lladdr=ELSEWHERE))

    assert made.lladdr == LinkAddress(ELSEWHERE)
    assert said(sim) == [f"{ASKER} lladdr {ELSEWHERE} STALE", answer(THERE, to=ELSEWHERE)]


def test_an_answer_does_not_use_the_entry() -> None:
    sim = router(proxy_arp=1)
    made = add(sim, ASKER, NUD_STALE, dev="va")
    hear(sim, arp_frame(REQUEST, ASKER, THERE))

    assert made.nud_state == NUD_STALE != NUD_DELAY


@pytest.mark.parametrize("target", [THERE, "203.0.113.1"])
def test_a_permanent_asker_stays_as_he_is_and_is_answered(target: str) -> None:
    sim = router(proxy_arp=1)
    add(sim, ASKER, NUD_PERMANENT, dev="va")
    log(sim)
    hear(sim, arp_frame(REQUEST, ASKER, target, lladdr=ELSEWHERE))

    assert said(sim) == [answer(target, to=ELSEWHERE)]


def test_an_asker_for_whom_there_is_no_room_is_answered_for_others_but_not_for_us() -> None:
    """arp_process asks for the entry before it answers for an own address, not before it does as a proxy."""
    sim = router(proxy_arp=1)
    cache = sim.engine.caches[AF_INET]
    cache.gc_thresh1 = cache.gc_thresh2 = cache.gc_thresh3 = 0
    hear(sim, arp_frame(REQUEST, ASKER, US))
    assert said(sim) == []
    hear(sim, arp_frame(REQUEST, ASKER, THERE))

    assert said(sim) == [answer(THERE)]
    assert sim.device("va").drops == {"neigh_createfail": 2}


# -- at once or later


@pytest.mark.parametrize(
    ("delay", "dst", "at_once"),
    [(0.8, "ff:ff:ff:ff:ff:ff", False), (0.8, OWN, True), (0.0, "ff:ff:ff:ff:ff:ff", True)],
)
def test_an_answer_comes_at_once_to_a_unicast_question_or_without_a_delay(
    delay: float, dst: str, at_once: bool
) -> None:
    sim = router(proxy_arp=1, proxy_delay=delay)
    draws(sim, 0.5)
    begin = sim.now
    hear(sim, arp_frame(REQUEST, ASKER, THERE, dst=dst))
    sim.run(5.0)

    when = 0.0 if at_once else 0.4
    assert (round(begin - BEGIN + when, 3), answer(THERE)) in log(sim)


def test_who_asks_is_known_at_once_and_again_when_he_is_answered() -> None:
    sim = router(proxy_arp=1, proxy_delay=0.8)
    draws(sim, 0.5)
    hear(sim, arp_frame(REQUEST, ASKER, THERE, lladdr=ELSEWHERE))
    assert said(sim) == [f"{ASKER} lladdr {ELSEWHERE} STALE"]
    hear(sim, arp_frame(REQUEST, ASKER, US, lladdr=PEER))
    assert said(sim) == [f"{ASKER} lladdr {PEER} STALE", answer(US)]
    sim.run(5.0)

    # The request is taken in once more as it was: its sender was elsewhere.
    assert said(sim) == [f"{ASKER} lladdr {ELSEWHERE} STALE", answer(THERE, to=ELSEWHERE)]


def test_who_was_forgotten_while_he_waited_is_known_again() -> None:
    sim = router(proxy_arp=1, proxy_delay=0.8)
    draws(sim, 0.5)
    hear(sim, arp_frame(REQUEST, ASKER, THERE))
    sim.delete(ASKER, "va")
    log(sim)
    sim.run(5.0)

    assert said(sim) == [f"{ASKER} lladdr {PEER} STALE", answer(THERE)]


def test_a_request_too_many_still_makes_its_sender_known() -> None:
    sim = router(proxy_arp=1, proxy_delay=0.8, proxy_qlen=0)
    draws(sim, 0.5)
    for number in (20, 21, 22):
        hear(sim, arp_frame(REQUEST, f"198.51.100.{number}", THERE))
    sim.run(5.0)

    assert alive(sim) == {f"198.51.100.{number}" for number in (20, 21, 22)}
    assert len([text for text in said(sim) if text.startswith("arp reply")]) == 1
    assert sim.device("va").drops == {"proxy_queue_full": 2}


def test_a_request_that_is_taken_in_once_more_is_no_second_conflict() -> None:
    """RFC 5227 counts what is heard, once."""
    sim = router(proxy_arp=1, proxy_delay=0.8, proxy_arp_pvlan=1)
    draws(sim, 0.5)
    sim.claim("va", "198.51.100.5/24", transmits=0)
    sim.engine.remove_address(1, bytes((198, 51, 100, 5)), 24, sim.now)
    log(sim)
    hear(sim, arp_frame(REQUEST, "198.51.100.5", THERE))
    sim.run(5.0)

    assert [text for text in said(sim) if "used by" in text] == [f"198.51.100.5 used by {PEER}: reported"]
