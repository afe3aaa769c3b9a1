"""Whose unasked messages make an entry: arp_accept and what is gratuitous (8.5)."""

from __future__ import annotations

import pytest

from neighio.core.constants import NUD_STALE, RT_SCOPE_HOST
from neighio.testing.simulation import Simulation

from .helpers import OWN, PEER, add, alive, arp_frame, cache, hear, lines, node, thresholds

US = "198.51.100.1"
HERE = "198.51.100.7"
OFF_SUBNET = "203.0.113.7"
OTHER_HOST = "198.51.100.99"
ELSEWHERE = "02:00:00:00:00:0c"

REQUEST, REPLY = 1, 2


def messages(sender: str) -> dict[str, list[bytes]]:
    """Every unasked message about ``sender``, under the kernel's name for its kind."""
    return {
        "garp request": [arp_frame(REQUEST, sender, sender), arp_frame(REQUEST, sender, sender, dst=OWN)],
        "garp reply, broadcast": [arp_frame(REPLY, sender, sender, tha=PEER)],
        "garp reply, to us": [arp_frame(REPLY, sender, sender, tha=PEER, dst=OWN)],
        "reply, broadcast": [
            arp_frame(REPLY, sender, US, tha=OWN),
            arp_frame(REPLY, sender, sender),
            arp_frame(REPLY, sender, OTHER_HOST, tha=ELSEWHERE),
        ],
        "reply, to us": [
            arp_frame(REPLY, sender, US, tha=OWN, dst=OWN),
            arp_frame(REPLY, sender, OTHER_HOST, tha=OWN, dst=OWN),
        ],
        "request for another": [
            arp_frame(REQUEST, sender, OTHER_HOST),
            arp_frame(REQUEST, sender, OTHER_HOST, dst=OWN),
        ],
    }


# No entry yet.            arp_accept 0   1, on-link     1, off-subnet  2, on-link     2, off-subnet
ACCEPTED = {
    "garp request":          (None, "STALE", "STALE", "STALE", None),
    "garp reply, broadcast": (None, "STALE", "STALE", "STALE", None),
    "garp reply, to us":     (None, "REACHABLE", "REACHABLE", "REACHABLE", None),
    "reply, broadcast":      (None, "STALE", "STALE", "STALE", None),
    "reply, to us":          (None, "REACHABLE", "REACHABLE", "REACHABLE", None),
    "request for another":   (None, None, None, None, None),
}  # fmt: skip
SETTINGS = [(0, HERE), (1, HERE), (1, OFF_SUBNET), (2, HERE), (2, OFF_SUBNET)]
CELLS = [
    pytest.param(kind, accept, sender, becomes, id=f"{kind} - arp_accept {accept} - {sender} -> {becomes}")
    for kind, row in ACCEPTED.items()
    for (accept, sender), becomes in zip(SETTINGS, row, strict=True)
]


@pytest.mark.parametrize(("kind", "accept", "sender", "becomes"), CELLS)
def test_arp_accept_decides_whether_a_stranger_gets_an_entry(
    kind: str, accept: int, sender: str, becomes: str | None
) -> None:
    for frame in messages(sender)[kind]:
        sim = node(arp_accept=accept)
        hear(sim, frame)

        assert lines(sim) == ([] if becomes is None else [f"{sender} lladdr {PEER} {becomes}"])
        assert alive(sim) == (set() if becomes is None else {sender})
        assert sim.device("va").drops == {}


@pytest.mark.parametrize(("everywhere", "here", "accepted"), [(0, 1, True), (1, 0, True), (2, 1, False)])
def test_of_arp_accept_everywhere_and_here_the_greater_holds(
    everywhere: int, here: int, accepted: bool
) -> None:
    sim = node(arp_accept=everywhere)
    sim.set("va", arp_accept=here)
    hear(sim, arp_frame(REQUEST, OFF_SUBNET, OFF_SUBNET))

    assert alive(sim) == ({OFF_SUBNET} if accepted else set())


def test_arp_accept_2_looks_at_the_subnets_of_the_device_that_heard() -> None:
    sim = node(arp_accept=2)
    sim.add_device("vb", "02:00:00:00:01:0a", ["203.0.113.1/24"])

    hear(sim, arp_frame(REQUEST, OFF_SUBNET, OFF_SUBNET))
    assert alive(sim) == set()
    hear(sim, arp_frame(REQUEST, OFF_SUBNET, OFF_SUBNET), "vb")

    assert alive(sim) == {OFF_SUBNET}


@pytest.mark.parametrize(("localnet", "accepted"), [(0, set()), (1, {OFF_SUBNET})])
def test_arp_accept_2_takes_the_subnet_of_a_host_address_only_with_route_localnet(
    localnet: int, accepted: set[str]
) -> None:
    sim = node(arp_accept=2, route_localnet=localnet)
    sim.add_address("va", "203.0.113.1/24", scope=RT_SCOPE_HOST)

    hear(sim, arp_frame(REPLY, OFF_SUBNET, US, tha=OWN, dst=OWN))

    assert alive(sim) == accepted


@pytest.mark.parametrize(
    "sender",
    ["198.51.100.1", "198.18.0.1", "198.51.100.255", "255.255.255.255", "224.0.0.9", "127.0.0.9"],
)
@pytest.mark.parametrize("kind", messages(HERE))
def test_only_a_unicast_sender_that_is_not_ours_gets_an_entry(kind: str, sender: str) -> None:
    for frame in messages(sender)[kind]:
        sim = node(arp_accept=1)
        hear(sim, frame)

        assert alive(sim) == set()
        assert sim.outputs == []


@pytest.mark.parametrize("sender", ["240.1.2.3", "0.1.2.3", "198.51.100.0"])
def test_any_other_sender_is_unicast_without_a_route_to_it(sender: str) -> None:
    sim = node(arp_accept=1)
    hear(sim, arp_frame(REQUEST, sender, sender))

    assert lines(sim) == [f"{sender} lladdr {PEER} STALE"]


def test_a_full_table_refuses_a_stranger_in_silence_and_counts_it() -> None:
    sim = node(arp_accept=1)
    thresholds(sim, 1, 1, 1)
    add(sim, OTHER_HOST, NUD_STALE)
    lines(sim)
    hear(sim, arp_frame(REQUEST, HERE, HERE))

    assert sim.outputs == []
    assert alive(sim) == {OTHER_HOST}
    assert cache(sim).statistics.table_fulls == 1


# -- gratuitous or not: what beats locktime on an entry that is there


# fmt: off
GRATUITOUS = [
    # op, sender is target, tha,         gratuitous
    (REQUEST, True,  "00:00:00:00:00:00", True),
    (REQUEST, True,  OWN,                 True),
    (REQUEST, True,  "ff:ff:ff:ff:ff:ff", True),
    (REQUEST, False, "00:00:00:00:00:00", False),
    (REPLY,   True,  ELSEWHERE,           True),
    (REPLY,   True,  "00:00:00:00:00:00", False),
    (REPLY,   True,  OWN,                 False),
    (REPLY,   False, ELSEWHERE,           False),
]
# fmt: on


@pytest.mark.parametrize(("op", "to_itself", "tha", "gratuitous"), GRATUITOUS)
@pytest.mark.parametrize("accept", [0, 1])
def test_sender_is_target_and_in_a_reply_both_hardware_addresses_are_one(
    op: int, to_itself: bool, tha: str, gratuitous: bool, accept: int
) -> None:
    sim = node(locktime=60.0, arp_accept=accept)
    add(sim, HERE, NUD_STALE)
    lines(sim)
    hear(sim, arp_frame(op, HERE, HERE if to_itself else OTHER_HOST, lladdr=ELSEWHERE, tha=tha))

    assert lines(sim) == ([f"{HERE} lladdr {ELSEWHERE} STALE"] if gratuitous else [])


@pytest.mark.parametrize("claimed", ["198.51.100.1", "198.18.0.1"])
def test_a_claim_to_an_address_of_ours_is_not_gratuitous(claimed: str) -> None:
    sim = node(locktime=60.0)
    entry = add(sim, claimed, NUD_STALE)
    lines(sim)
    hear(sim, arp_frame(REQUEST, claimed, claimed, lladdr=ELSEWHERE))

    assert sim.outputs == []
    assert str(entry.lladdr) == PEER


def test_a_claim_to_what_became_a_broadcast_address_is_not_gratuitous() -> None:
    sim: Simulation = node(locktime=60.0)
    entry = add(sim, "203.0.113.255", NUD_STALE)
    sim.add_address("va", "203.0.113.1/24")
    lines(sim)
    hear(sim, arp_frame(REQUEST, "203.0.113.255", "203.0.113.255", lladdr=ELSEWHERE))

    assert sim.outputs == []
    assert str(entry.lladdr) == PEER
