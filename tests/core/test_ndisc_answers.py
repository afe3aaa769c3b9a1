"""The advertisements that a host sends: to whom, from where, with which flags and options (9.3, 9.7)."""

from __future__ import annotations

import pytest

from neighio.core.constants import (
    IFA_F_DEPRECATED,
    IFA_F_OPTIMISTIC,
    IFA_F_TENTATIVE,
    NLM_F_CREATE,
    NTF_PROXY,
    NTF_ROUTER,
    NUD_NOARP,
)
from neighio.testing.simulation import Simulation
from neighio.wire.ipv6 import checksum

from .discovery import (
    ALL_NODES,
    HOST,
    SLOW,
    US,
    US_LOCAL,
    Said,
    advertisement,
    cache6,
    frame,
    group,
    neighbour_messages,
    node6,
    packed,
    said,
    solicitation,
    wanted,
)
from .helpers import OWN, PEER, hear, lines

SECOND = "2001:db8::2"
PROXIED = "2001:db8::beef"
OPTIMISTIC = IFA_F_TENTATIVE | IFA_F_OPTIMISTIC
TO_ALL = "33:33:00:00:00:01"
BROADCAST = "ff:ff:ff:ff:ff:ff"


def host(*, proxy: int | None = None, second: int | None = None, **changes: float) -> Simulation:
    """A host; with a proxy entry of these flags, or with a second address of these."""
    sim = node6(role="host", **SLOW, **changes)
    if proxy is not None:
        sim.set("va", 6, forwarding=1, proxy_ndp=1, proxy_delay=0.0)
        sim.admin(PROXIED, nlm_flags=NLM_F_CREATE, flags=NTF_PROXY | proxy)
    if second is not None:
        sim.add_address("va", f"{SECOND}/64", flags=second)
    sim.run(5.0)
    lines(sim)
    return sim


# what is heard, and what a host says to it but for R: dst, frame's destination, source, flags, TLLAO
# fmt: off
FORMS = {
    "multicast NS":                (solicitation(HOST, US),                     HOST,      PEER,   US,       "SO", OWN),
    "multicast NS, link-local":    (solicitation(HOST, US_LOCAL),               HOST,      PEER,   US_LOCAL, "SO", OWN),
    "NS to all nodes":             (solicitation(HOST, US, dst=ALL_NODES),      HOST,      PEER,   US,       "SO", OWN),
    "unicast NS":                  (solicitation(HOST, US, dst=US),             HOST,      PEER,   US,       "S",  None),
    "unicast NS to another of us": (solicitation(HOST, US, dst=US_LOCAL),       HOST,      PEER,   US,       "S",  None),
    "unicast in a broadcast":      (solicitation(HOST, US, dst=US, ether=BROADCAST), HOST, PEER,   US,       "S",  None),
    "DAD NS":                      (wanted(US),                                 ALL_NODES, TO_ALL, US,       "O",  OWN),
    "DAD NS with a nonce":         (wanted(US, nonce=b"\1\2\3\4\5\6"),          ALL_NODES, TO_ALL, US,       "O",  OWN),
}
# fmt: on


@pytest.mark.parametrize("router", [False, True], ids=["host", "router"])
@pytest.mark.parametrize("name", FORMS)
def test_the_answer_for_an_own_address(name: str, router: bool) -> None:
    heard, dst, to, source, flags, lladdr = FORMS[name]
    sim = host(forwarding=router)
    hear(sim, heard)

    assert said(sim) == [Said("NA", source, source, dst, to, lladdr, "R" * router + flags)]
    assert sim.device("va").drops == {}


@pytest.mark.parametrize("name", FORMS)
def test_a_client_says_nothing_to_any_of_them(name: str) -> None:
    sim = node6(forwarding=1)
    hear(sim, FORMS[name][0])

    assert said(sim) == []


def test_force_tllao_puts_the_address_into_answers_to_unicast_solicitations_too() -> None:
    sim = host(force_tllao=1)
    hear(sim, solicitation(HOST, US, dst=US))

    assert said(sim) == [Said("NA", US, US, HOST, PEER, OWN, "S")]


@pytest.mark.parametrize(
    ("heard", "flags", "lladdr"),
    [
        (solicitation(HOST, SECOND), "S", OWN),
        (solicitation(HOST, SECOND, dst=US), "S", None),
    ],
    ids=["multicast", "unicast"],
)
def test_an_optimistic_address_is_answered_for_without_override(
    heard: bytes, flags: str, lladdr: str | None
) -> None:
    sim = host(second=OPTIMISTIC)
    hear(sim, heard)

    assert said(sim) == [Said("NA", SECOND, SECOND, HOST, PEER, lladdr, flags)]


@pytest.mark.parametrize("tclass", [0, 0x40, 0xFF])
@pytest.mark.parametrize("name", ["multicast NS", "unicast NS", "DAD NS"])
def test_every_answer_has_hop_limit_255_the_traffic_class_that_was_set_and_a_right_checksum(
    name: str, tclass: int
) -> None:
    sim = host(ndisc_tclass=tclass)
    hear(sim, FORMS[name][0])
    (sent,) = neighbour_messages(sim)

    packet = sent[14:]
    assert int.from_bytes(packet[:4], "big") == 6 << 28 | tclass << 20
    assert packet[7] == 255
    assert checksum(packet[8:24], packet[24:40], 58, packet[40:]) == 0
    assert int.from_bytes(packet[4:6], "big") == len(packet) - 40
    assert packet[40:42] == b"\x88\x00"
    assert packet[45:48] == bytes(3)  # reserved


def test_the_octets_of_an_answer() -> None:
    sim = host(forwarding=1)
    hear(sim, solicitation(HOST, US))
    (sent,) = neighbour_messages(sim)

    assert sent.hex() == (
        "02000000000b" "02000000000a" "86dd"
        "60000000" "0020" "3a" "ff"
        "20010db8000000000000000000000001"
        "20010db8000000000000000000000007"
        "88" "00" "0a65" "e0000000"
        "20010db8000000000000000000000001"
        "02" "01" "02000000000a"
    )  # fmt: skip


def test_an_answer_to_all_nodes_makes_an_entry_of_that_group() -> None:
    sim = host()
    hear(sim, wanted(US))

    made = sim.neighbour(ALL_NODES)
    assert made is not None
    assert (made.nud_state, str(made.lladdr)) == (NUD_NOARP, TO_ALL)
    assert lines(sim) == []


# -- in another's place


# fmt: off
PROXY_FORMS = {
    "multicast NS": (solicitation(HOST, PROXIED, dst=ALL_NODES), HOST,      PEER,   "S", OWN),
    "unicast NS":   (solicitation(HOST, PROXIED, dst=US),        HOST,      PEER,   "S", None),
    "DAD NS":       (wanted(PROXIED),                            ALL_NODES, TO_ALL, "",  OWN),
}
# fmt: on


@pytest.mark.parametrize("router", [False, True], ids=["of a host", "of a router"])
@pytest.mark.parametrize("name", PROXY_FORMS)
def test_a_proxys_answer_comes_from_another_address_without_override_and_is_a_router_as_its_entry_says(
    name: str, router: bool
) -> None:
    """R141: O=0. The node itself is a router in any case."""
    heard, dst, to, flags, lladdr = PROXY_FORMS[name]
    sim = host(proxy=NTF_ROUTER if router else 0)
    hear(sim, heard)

    source = US_LOCAL if dst == ALL_NODES else US
    assert said(sim) == [Said("NA", PROXIED, source, dst, to, lladdr, "R" * router + flags)]


# the asker, further addresses of ours -> the one from which a proxy answers
SOURCES = [
    ("same scope", HOST, {}, US),
    ("link-local asker", "fe80::7", {}, US_LOCAL),
    ("longest prefix", "2001:db8:5::7", {"2001:db8:5::9/48": 0}, "2001:db8:5::9"),
    ("not beyond the prefix length", "2001:db8:5::7", {"2001:db8:5::9/32": 0}, US),
    ("not deprecated", "2001:db8:5::7", {"2001:db8:5::9/48": IFA_F_DEPRECATED}, US),
    ("not tentative", "2001:db8:5::7", {"2001:db8:5::9/48": IFA_F_TENTATIVE}, US),
]


@pytest.mark.parametrize(
    ("asker", "addresses", "source"), [row[1:] for row in SOURCES], ids=[row[0] for row in SOURCES]
)
def test_a_proxy_answers_from_the_best_address_for_the_asker(
    asker: str, addresses: dict[str, int], source: str
) -> None:
    sim = host(proxy=0)
    for address, flags in addresses.items():
        sim.add_address("va", address, flags=flags)
    lines(sim)
    hear(sim, solicitation(asker, PROXIED, dst=ALL_NODES))

    assert [one.src for one in said(sim)] == [source]


def test_without_any_address_a_proxy_cannot_answer_and_it_is_counted() -> None:
    sim = host(proxy=0)
    for address in (f"{US}/64", f"{US_LOCAL}/64"):
        sim.remove_address("va", address)
    sim.run(5.0)
    lines(sim)
    hear(sim, solicitation(HOST, PROXIED, dst=ALL_NODES))

    assert said(sim) == []
    assert sim.device("va").drops == {"ndisc_no_source": 1}


# -- unsolicited


def test_an_announcement_goes_to_all_nodes_with_override() -> None:
    for router in (False, True):
        sim = host(forwarding=router, ndisc_tclass=0x20)
        sim.engine.announce(1, packed(US), sim.now)
        sim.run(0.0)

        assert said(sim) == [Said("NA", US, US, ALL_NODES, TO_ALL, OWN, "R" * router + "O")]
        assert [sent[14:18].hex() for sent in neighbour_messages(sim)] == ["62000000"]


def test_an_optimistic_address_is_announced_without_override() -> None:
    sim = host(second=OPTIMISTIC)
    sim.engine.announce(1, packed(SECOND), sim.now)
    sim.run(0.0)

    assert said(sim) == [Said("NA", SECOND, SECOND, ALL_NODES, TO_ALL, OWN, "")]


def test_what_another_host_announces_is_no_question() -> None:
    sim = host()
    hear(sim, advertisement(HOST, "O"))
    hear(sim, frame(advertisement(HOST)[14:], dst=OWN))

    assert said(sim) == []


def test_nothing_is_answered_on_a_device_that_has_ipv6_disabled() -> None:
    sim = host(disable_ipv6=1)
    sim.device("va").drops.clear()
    hear(sim, solicitation(HOST, US))

    assert sim.outputs == []
    assert sim.device("va").drops == {"ipv6_disabled": 1}
    assert cache6(sim).entries == 0


@pytest.mark.parametrize("dst", [group(US), US])
def test_the_answer_is_only_sent_if_the_asker_can_be_known(dst: str) -> None:
    sim = host()
    cache = cache6(sim)
    cache.gc_thresh1 = cache.gc_thresh2 = cache.gc_thresh3 = 0
    held = [sim.hold("2001:db8::50")]
    hear(sim, solicitation(HOST, US, dst=dst))

    assert said(sim) == []
    assert held[0].exists
    assert sim.device("va").drops == {"neigh_createfail": 1}
