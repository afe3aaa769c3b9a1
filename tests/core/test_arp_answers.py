"""The replies that a host sends for its own addresses: to whom, when not, and in which order with the update (8.1, 4.5)."""

from __future__ import annotations

from typing import Literal

import pytest

from neighio.address import LinkAddress
from neighio.core.constants import (
    NTF_EXT_LEARNED,
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
    RT_SCOPE_HOST,
    nud_state_name,
)
from neighio.core.events import Transmit
from neighio.testing.simulation import Simulation

from .helpers import CHANGE, OWN, PEER, add, alive, arp_frame, hear
from .hosts import BEGIN, log

US, ALSO_US, ASKER = "198.51.100.1", "198.18.0.1", "198.51.100.7"
ELSEWHERE = "02:00:00:00:00:0c"
OTHER_OWN = "02:00:00:00:01:0a"
OTHERS = "203.0.113.1"
"""An address of another device of ours."""
REQUEST, REPLY = 1, 2
ABSENT = -1


def host(role: Literal["client", "host"] = "host", **changes: float) -> Simulation:
    sim = Simulation(start=BEGIN, seed=7)
    sim.add_device("va", OWN, [f"{US}/24", f"{ALSO_US}/15"], role=role)
    sim.add_device("vb", OTHER_OWN, [f"{OTHERS}/24"], role=role)
    times = {"base_reachable_time": 4000.0, "retrans_time": 900.0, "delay_first_probe_time": 700.0}
    sim.set("va", **{**times, **changes})
    return sim


def answer(target: str = US, to: str = PEER, sender: str = ASKER) -> str:
    return f"arp reply to {to} spa {target} tpa {sender}"


def said(sim: Simulation) -> list[str]:
    return [text for _, text in log(sim)]


def test_the_octets_of_a_reply() -> None:
    """R006: op 2, own addresses as sender, the requester's as target, to the requester's hardware address."""
    sim = host()
    hear(sim, arp_frame(REQUEST, ASKER, US, lladdr=ELSEWHERE, tha="02:00:00:00:00:77"))
    (sent,) = (output.frame for output in sim.outputs if isinstance(output, Transmit))

    assert sent.hex() == (
        "02000000000c" "02000000000a" "0806"
        "0001" "0800" "06" "04" "0002"
        "02000000000a" "c6336401" "02000000000c" "c6336407"
    )  # fmt: skip


def test_it_goes_to_who_the_message_names_whoever_sent_the_frame() -> None:
    sim = host()
    heard = arp_frame(REQUEST, ASKER, US, lladdr=ELSEWHERE)
    hear(sim, heard[:6] + bytes(LinkAddress(PEER)) + heard[12:])

    assert said(sim) == [f"{ASKER} lladdr {ELSEWHERE} STALE", answer(to=ELSEWHERE)]


# old state -> the event because of a request from the same address, and from another
# fmt: off
STATES = {
    ABSENT:         ("STALE", "STALE"),
    NUD_NONE:       ("STALE", "STALE"),
    NUD_INCOMPLETE: ("DELAY", "DELAY"),  # what waited was sent
    NUD_REACHABLE:  ("",      "STALE"),
    NUD_STALE:      ("",      "STALE"),
    NUD_DELAY:      ("",      "STALE"),
    NUD_PROBE:      ("",      "STALE"),
    NUD_FAILED:     ("STALE", "STALE"),
    NUD_NOARP:      ("",      ""),
    NUD_PERMANENT:  ("",      ""),
}
# fmt: on


@pytest.mark.parametrize("lladdr", [PEER, ELSEWHERE], ids=["same", "diff"])
@pytest.mark.parametrize("state", STATES, ids=lambda state: nud_state_name(max(state, 0)) or str(state))
@pytest.mark.parametrize("role", ["client", "host"])
def test_the_asker_is_known_first_and_then_answered_past_the_entry(
    role: Literal["client", "host"], state: int, lladdr: str
) -> None:
    """Column Q of 4.5; NOARP and PERMANENT are still answered. A client answers nobody."""
    sim = host(role)
    if state != ABSENT:
        first = state if state & NUD_VALID and state != NUD_DELAY else NUD_STALE
        made = add(sim, ASKER, first, dev="va")
        if state in (NUD_NONE, NUD_FAILED, NUD_INCOMPLETE):
            sim.admin(ASKER, "va", nlm_flags=CHANGE, state=NUD_NONE if state == NUD_INCOMPLETE else state)
        if state in (NUD_INCOMPLETE, NUD_DELAY):
            sim.send(ASKER, dev="va")
        sim.run(20.0)
        assert made.nud_state == state
    log(sim)
    hear(sim, arp_frame(REQUEST, ASKER, US, lladdr=lladdr))

    event = STATES[state][lladdr == ELSEWHERE]
    told = [text for text in said(sim) if not text.startswith("frame to")]
    assert told == [f"{ASKER} lladdr {lladdr} {event}"] * bool(event) + [answer(to=lladdr)] * (role == "host")
    found = sim.neighbour(ASKER, "va")
    assert found is not None
    # The reply moves nothing: STALE stays STALE.
    assert nud_state_name(found.nud_state) == (event or nud_state_name(state))


@pytest.mark.parametrize("target", [US, ALSO_US, OTHERS], ids=["here", "another subnet", "another device's"])
def test_any_address_of_ours_is_answered_for_on_any_device(target: str) -> None:
    """The weak host model, unlike Neighbour Discovery."""
    sim = host()
    hear(sim, arp_frame(REQUEST, ASKER, target))

    assert said(sim)[-1] == answer(target)


@pytest.mark.parametrize("dst", ["ff:ff:ff:ff:ff:ff", OWN, "01:00:5e:00:00:01"])
def test_a_request_may_come_to_all_to_us_or_to_a_group(dst: str) -> None:
    sim = host()
    hear(sim, arp_frame(REQUEST, ASKER, US, dst=dst))

    assert said(sim)[-1] == answer()


@pytest.mark.parametrize(
    "heard",
    [
        arp_frame(REPLY, ASKER, US, dst=OWN),
        arp_frame(REPLY, ASKER, US),
        arp_frame(REQUEST, ASKER, "198.51.100.99"),
        arp_frame(REQUEST, ASKER, ASKER),
        arp_frame(REQUEST, ASKER, "198.51.100.255"),
        arp_frame(REQUEST, "224.0.0.5", US),
        arp_frame(REQUEST, "127.0.0.1", US),
        arp_frame(REQUEST, ALSO_US, US),
        arp_frame(REQUEST, US, US),
        arp_frame(REPLY, "0.0.0.0", US, dst=OWN),
        arp_frame(REQUEST, "0.0.0.0", ASKER),
        arp_frame(3, ASKER, US),
    ],
    ids=["reply", "reply to all", "for somebody", "gratuitous", "for broadcast", "from a group", "from loopback",
         "from us", "from what it asks for", "reply from nobody", "probe for somebody", "RARP"],
)  # fmt: skip
def test_what_is_no_question_to_us_is_not_answered(heard: bytes) -> None:
    """R005: only requests; and nobody whom no route leads back to."""
    sim = host()
    hear(sim, heard)

    assert said(sim) == []


# -- a sender without an address: duplicate detection by who is older than RFC 5227, too


def test_a_request_from_0_0_0_0_is_answered_to_who_sent_it_and_makes_nobody_known() -> None:
    """Trap 207."""
    sim = host()
    hear(sim, arp_frame(REQUEST, "0.0.0.0", US, lladdr=ELSEWHERE))

    assert said(sim) == [answer(to=ELSEWHERE, sender="0.0.0.0")]
    assert alive(sim) == set()


@pytest.mark.parametrize(("ignore", "answered"), [(0, True), (1, True), (2, True), (3, True), (8, False)])
def test_arp_ignore_holds_for_a_request_from_0_0_0_0_too(ignore: int, answered: bool) -> None:
    """Of 2 the subnet's part is waived: there is no sender to be in it."""
    sim = host(arp_ignore=ignore)
    hear(sim, arp_frame(REQUEST, "0.0.0.0", US))

    assert said(sim) == ([answer(sender="0.0.0.0")] if answered else [])


def test_arp_filter_is_not_asked_for_a_request_from_0_0_0_0() -> None:
    sim = host(arp_filter=1)
    hear(sim, arp_frame(REQUEST, "0.0.0.0", US))
    assert said(sim) == [answer(sender="0.0.0.0")]

    hear(sim, arp_frame(REQUEST, "203.0.113.77", US))
    assert said(sim) == []


# -- who must not be answered is not

# tip is: ours here; so, but the sender is in no subnet of ours; or in another one than it; another device's; ours
# here with host scope
# fmt: off
ARP_IGNORE = {
    0: (True,  True,  True,  True,  True),
    1: (True,  True,  True,  False, True),
    2: (True,  False, False, False, True),
    3: (True,  True,  True,  True,  False),
    4: (True,  True,  True,  True,  True),
    8: (False, False, False, False, False),
}
# fmt: on
CASES = {
    "here": (ASKER, US),
    "sender off-subnet": ("192.0.2.77", US),
    "sender in another subnet": ("198.18.0.77", US),
    "another device's": (ASKER, OTHERS),
    "host scope": (ASKER, "198.51.100.2"),
}


@pytest.mark.parametrize("ignore", ARP_IGNORE)
@pytest.mark.parametrize("case", CASES)
def test_arp_ignore_decides_about_update_and_answer_together(ignore: int, case: str) -> None:
    sim = host(arp_ignore=ignore)
    sim.add_address("va", "198.51.100.2/24", scope=RT_SCOPE_HOST)
    sender, target = CASES[case]
    hear(sim, arp_frame(REQUEST, sender, target))

    answered = ARP_IGNORE[ignore][list(CASES).index(case)]
    told = [f"{sender} lladdr {PEER} STALE", answer(target, sender=sender)]
    assert said(sim) == (told if answered else [])


@pytest.mark.parametrize(
    ("sender", "answered"), [(ASKER, True), ("203.0.113.77", False), ("192.0.2.9", False)]
)
def test_arp_filter_answers_only_who_is_reached_through_the_device(sender: str, answered: bool) -> None:
    sim = host(arp_filter=1)
    hear(sim, arp_frame(REQUEST, sender, US))

    assert (said(sim) != []) is answered


def test_who_cannot_be_known_is_not_answered() -> None:
    sim = host()
    cache = sim.engine.caches[2]
    cache.gc_thresh1 = cache.gc_thresh2 = cache.gc_thresh3 = 0
    hear(sim, arp_frame(REQUEST, ASKER, US))

    assert said(sim) == []
    assert sim.device("va").drops == {"neigh_createfail": 1}


def test_an_answer_carries_the_devices_present_address() -> None:
    sim = host()
    sim.engine.set_lladdr(1, bytes.fromhex("02000000000f"), sim.now)
    hear(sim, arp_frame(REQUEST, ASKER, US))
    (sent,) = (output.frame for output in sim.outputs if isinstance(output, Transmit))

    assert (sent[6:12].hex(), sent[22:28].hex()) == ("02000000000f", "02000000000f")


def test_a_noarp_device_answers_nobody() -> None:
    sim = host()
    sim.device("va").flags |= 0x80
    hear(sim, arp_frame(REQUEST, ASKER, US))

    assert said(sim) == []
    assert sim.device("va").drops == {"arp_noarp_device": 1}


def test_a_learned_entry_stays_learned() -> None:
    sim = host()
    made = add(sim, ASKER, NUD_STALE, flags=NTF_EXT_LEARNED, dev="va")
    hear(sim, arp_frame(REQUEST, ASKER, US, lladdr=ELSEWHERE))

    assert made.flags == NTF_EXT_LEARNED
    assert made.lladdr == LinkAddress(ELSEWHERE)
