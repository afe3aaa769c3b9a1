"""Which received IPv6 frames reach the table, and which touch nothing and are counted (9.1 to 9.6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from neighio.address import LinkAddress
from neighio.core import arp
from neighio.core.constants import (
    IFA_F_OPTIMISTIC,
    IFA_F_TENTATIVE,
    NLM_F_CREATE,
    NTF_PROXY,
    NUD_FAILED,
    NUD_NOARP,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
)
from neighio.core.device import Address
from neighio.core.events import Membership, Transmit
from neighio.core.ndisc import DROP_REASONS
from neighio.testing.segment import MemoryLink
from neighio.testing.simulation import Simulation
from neighio.wire.ethernet import ipv6_multicast_lladdr
from tests.wire.drafts import PADDING, ROUTER_ALERT, Draft, extension, fragment, option, routing

from .discovery import (
    ALL_NODES,
    ALL_ROUTERS,
    ELSEWHERE,
    HOST,
    OFF_LINK,
    OTHER_HOST,
    ROUTER,
    SLOW,
    US,
    US_LOCAL,
    advertisement,
    cache6,
    frame,
    group,
    node6,
    packed,
    present,
    redirect,
    router_advertisement,
    router_solicitation,
    solicitation,
    table6,
    wanted,
)
from .helpers import OWN, PEER, add, hear, lines

Role = Literal["client", "host"]

BETTER = "fe80::2"
STATION = bytes(LinkAddress(OWN))
THERE = bytes(LinkAddress(ELSEWHERE))
FRAGMENT, HOPOPTS, ROUTING, DSTOPTS = 44, 0, 43, 60

SOUND = {
    "advertisement": Draft(136, b"\x60\0\0\0" + packed(HOST), packed(HOST), packed(US), option(2, THERE)),
    "solicitation": Draft(135, bytes(4) + packed(US), packed(HOST), packed(group(US)), option(1, THERE)),
    "router solicitation": Draft(133, bytes(4), packed(HOST), packed(ALL_ROUTERS), option(1, THERE)),
    "router advertisement": Draft(134, bytes(12), packed(ROUTER), packed(ALL_NODES), option(1, THERE)),
    "redirect": Draft(
        137, bytes(4) + packed(BETTER) + packed(OFF_LINK), packed(ROUTER), packed(US), option(2, THERE)
    ),
}
"""Each changes the table of :func:`scene`."""


def framed(draft: Draft) -> bytes:
    """The draft's frame, to our device or to the group's address."""
    whole = draft.frame
    to = ipv6_multicast_lladdr(draft.dst) if draft.dst[0] == 0xFF else STATION
    return (to + LinkAddress(PEER) + whole[12:])[: len(whole)]


def scene(role: Role, *, forwarding: bool = False) -> Simulation:
    """HOST and the default router are STALE at PEER, BETTER too; and a second device."""
    sim = node6(role=role, forwarding=forwarding, **SLOW)
    sim.add_device("vb", "02:00:00:00:01:0a", ["2001:db8:5::1/64", "fe80::b/64"], role=role)
    node = sim.device("va").node
    sim.add_route("va", "::/0", ROUTER)
    assert node.first_hop(packed(OFF_LINK)) is not None
    for ip in (HOST, ROUTER, BETTER):
        add(sim, ip, NUD_STALE, dev="va")
    sim.run(20.0)
    lines(sim)
    sim.device("va").drops.clear()
    return sim


def drops(sim: Simulation) -> dict[str, int]:
    return sim.device("va").drops


# -- every rule of the packet and of the message, broken by itself in each message

# fmt: off
COMMON: list[tuple[str, str, dict[str, Any]]] = [
    ("ethernet_truncated",   "13 octets",               {"frame_kept": 13}),
    ("ethernet_truncated",   "no octets",               {"frame_kept": 0}),
    ("vlan_tagged",          "802.1Q",                  {"ethertype": b"\x81\x00\x00\x64\x86\xdd"}),
    ("vlan_tagged",          "802.1ad",                 {"ethertype": b"\x88\xa8\x00\x64\x86\xdd"}),
    ("ethertype",            "another protocol",        {"ethertype": b"\x88\xcc"}),
    ("ipv6_truncated",       "53 octets",               {"frame_kept": 53}),
    ("ipv6_version",         "4",                       {"first_word": 0x40000000}),
    ("ipv6_payload_length",  "one octet too many",      {"length_off_by": 1}),
    ("ipv6_loopback",        "from ::1",                {"src": packed("::1")}),
    ("ipv6_multicast_scope", "to ff01::1",              {"dst": packed("ff01::1")}),
    ("ipv6_source_multicast", "from ff02::7",           {"src": packed("ff02::7")}),
    ("ipv6_extension",       "second hop-by-hop header", {"extensions": ((HOPOPTS, PADDING), (HOPOPTS, PADDING))}),
    ("ipv6_option",          "an option to refuse",     {"extensions": ((DSTOPTS, extension(b"\x5e\x04" + bytes(4))),)}),
    ("ipv6_routing_header",  "not used up",             {"extensions": ((ROUTING, routing(0, 1)),)}),
    ("ipv6_fragment",        "one of several",          {"extensions": ((FRAGMENT, fragment(1)),)}),
    ("ndisc_truncated",      "4 octets",                {"kept": 4}),
    ("icmpv6_checksum",      "off by one",              {"checksum_off_by": 1}),
    ("ndisc_fragmented",     "a whole packet's header", {"extensions": ((FRAGMENT, fragment(0)),)}),
    ("ndisc_hop_limit",      "254",                     {"hop_limit": 254}),
    ("ndisc_hop_limit",      "0",                       {"hop_limit": 0}),
    ("ndisc_code",           "1",                       {"code": 1}),
    ("ndisc_option_length",  "0",                       {"options": option(253, bytes(6), units=0)}),
    ("ndisc_option_length",  "beyond the packet",       {"options": option(253, bytes(6), units=2)}),
    ("ndisc_option_length",  "a single octet",          {"options": b"\1"}),
    ("ipv6_group_not_joined", "nobody's group",         {"dst": packed("ff02::1234")}),
]
NOT_UNICAST = {"redirect": "dst", "advertisement": "dst"}
# fmt: on


def sound_in(role: Role, name: str) -> Simulation:
    return scene(role, forwarding=name == "router solicitation")


@pytest.mark.parametrize("role", ["client", "host"])
@pytest.mark.parametrize("name", SOUND)
def test_the_unbroken_message_changes_an_entry_and_counts_nothing(name: str, role: Role) -> None:
    sim = sound_in(role, name)
    before = table6(sim)
    hear(sim, framed(SOUND[name]))

    assert len(lines(sim)) == 1
    assert table6(sim) != before
    assert drops(sim) == {}


@pytest.mark.parametrize("role", ["client", "host"])
@pytest.mark.parametrize("name", SOUND)
@pytest.mark.parametrize(
    ("reason", "change"), [(r, c) for r, _, c in COMMON], ids=[f"{r} - {how}" for r, how, _ in COMMON]
)
def test_a_message_that_breaks_one_rule_changes_nothing_and_is_counted_under_its_reason(
    reason: str, change: dict[str, Any], name: str, role: Role
) -> None:
    if name == "advertisement" and reason == "ipv6_group_not_joined":
        change = {**change, "body": bytes(4) + packed(HOST)}  # one to a group was not solicited
    sim = sound_in(role, name)
    assert_refused(sim, framed(SOUND[name].but(**change)), reason)


def assert_refused(sim: Simulation, broken: bytes, reason: str) -> None:
    before = table6(sim)
    parameters = sim.engine.parameters(1, 10).as_dict()
    for count in (1, 2):
        hear(sim, broken)
        assert drops(sim) == {reason: count}
    assert table6(sim) == before
    assert sim.engine.parameters(1, 10).as_dict() == parameters
    assert sim.outputs == []


# -- rules that are some messages' alone, and those of the node

Setup = Callable[[Simulation], object]


class Broken(NamedTuple):
    """A frame that is refused in the scene once ``setup`` was done; ``sound`` would not be."""

    reason: str
    how: str
    sound: bytes
    broken: bytes
    setup: Setup = lambda sim: None
    roles: tuple[Role, ...] = ("client", "host")


def switched(**changes: float) -> Setup:
    return lambda sim: (sim.set("va", 6, **changes), sim.run(5.0), lines(sim))


def with_address(address: str, flags: int) -> Setup:
    return lambda sim: (sim.add_address("va", address, flags=flags), sim.run(5.0), lines(sim))


def in_another_place(sim: Simulation) -> None:
    """OTHER_HOST is proxied, and known."""
    sim.set(None, 6, forwarding=1, proxy_ndp=1)
    sim.admin(OTHER_HOST, "va", nlm_flags=NLM_F_CREATE, flags=NTF_PROXY)
    add(sim, OTHER_HOST, NUD_STALE, dev="va")
    sim.run(5.0)
    lines(sim)


def detecting(sim: Simulation) -> None:
    """2001:db8::2 is being detected, with a nonce that is known."""
    sim.claim("va", "2001:db8::2/64")
    sim.run(1.0)
    claim = sim.engine.claims.find(sim.device("va"), packed("2001:db8::2"))
    assert claim is not None
    claim.nonce = NONCE
    lines(sim)


NONCE = bytes.fromhex("a1b2c3d4e5f6")
NA, NS, RA, RS = (
    advertisement(HOST, "SO", lladdr=ELSEWHERE),
    solicitation(HOST, US, lladdr=ELSEWHERE),
    router_advertisement(lladdr=ELSEWHERE),
    router_solicitation(lladdr=ELSEWHERE),
)
MINE = redirect(BETTER, OFF_LINK, lladdr=ELSEWHERE)
THEIR_STATION = "02:00:00:00:00:63"
BROADCAST = "ff:ff:ff:ff:ff:ff"
TO_HOST = solicitation(HOST, US, dst=US, lladdr=ELSEWHERE)
UNSOLICITED = advertisement(HOST, "O", lladdr=ELSEWHERE)


def of(name: str, **changes: Any) -> bytes:
    return framed(SOUND[name].but(**changes))


def query(**changes: Any) -> bytes:
    body = (10_000).to_bytes(2, "big") + bytes(2) + bytes(16)
    alert = ((HOPOPTS, ROUTER_ALERT),)
    draft = Draft(130, body, packed(ROUTER), packed(ALL_NODES), bytes(4), hop_limit=1, extensions=alert)
    return framed(draft.but(**changes))


ECHO = Draft(128, bytes(8), packed(HOST), packed(US))

# fmt: off
BROKEN = [
    Broken("other_host", "advertisement", NA, frame(NA[14:], dst=THEIR_STATION)),
    Broken("other_host", "one bit beside ours", TO_HOST, frame(TO_HOST[14:], dst="02:00:00:00:00:0e")),
    Broken("ipv6_disabled", "advertisement", NA, NA, switched(disable_ipv6=1)),
    Broken("ipv6_disabled", "solicitation", NS, NS, switched(disable_ipv6=1)),
    Broken("ipv6_group_not_joined", "another's solicited-node group", NS, solicitation(HOST, US, dst=group(OTHER_HOST))),
    Broken("ipv6_group_not_joined", "all routers, for a host", NS, solicitation(HOST, US, dst=ALL_ROUTERS)),
    Broken("drop_unicast_in_l2_multicast", "broadcast", frame(NA[14:], dst=BROADCAST), frame(NA[14:], dst=BROADCAST),
           switched(drop_unicast_in_l2_multicast=1)),
    Broken("drop_unicast_in_l2_multicast", "all nodes", frame(TO_HOST[14:], dst="33:33:00:00:00:01"),
           frame(TO_HOST[14:], dst="33:33:00:00:00:01"), switched(drop_unicast_in_l2_multicast=1)),
    Broken("ipv6_destination_not_ours", "advertisement", NA, advertisement(HOST, "SO", dst=OTHER_HOST)),
    Broken("ipv6_destination_not_ours", "solicitation", TO_HOST, solicitation(HOST, US, dst=OTHER_HOST)),
    Broken("ipv6_destination_not_ours", "the target's, not proxied", TO_HOST, solicitation(HOST, OTHER_HOST, dst=OTHER_HOST)),
    Broken("ipv6_destination_not_ours", "another device's link-local", TO_HOST, solicitation(HOST, US, dst="fe80::b")),
    Broken("ipv6_destination_not_ours", "unspecified", TO_HOST, solicitation(HOST, US, dst="::")),
    Broken("ndisc_target_not_ours", "somebody else's", solicitation(HOST, US, dst=ALL_NODES, lladdr=ELSEWHERE),
           solicitation(HOST, OTHER_HOST, dst=ALL_NODES)),
    Broken("ndisc_target_not_ours", "another device's", solicitation(HOST, US, dst=ALL_NODES, lladdr=ELSEWHERE),
           solicitation(HOST, "2001:db8:5::1", dst=ALL_NODES)),
    Broken("ndisc_target_tentative", "asked for", NS, solicitation(HOST, "2001:db8::2"),
           with_address("2001:db8::2/64", IFA_F_TENTATIVE)),
    Broken("ndisc_target_tentative", "a solicitation to it", TO_HOST, solicitation(HOST, US, dst="2001:db8::2"),
           with_address("2001:db8::2/64", IFA_F_TENTATIVE)),
    Broken("ndisc_target_tentative", "an advertisement to it", NA, advertisement(HOST, "SO", dst="2001:db8::2"),
           with_address("2001:db8::2/64", IFA_F_TENTATIVE)),
    Broken("ndisc_own_nonce", "come back", NS, wanted("2001:db8::2", nonce=NONCE), detecting, ("host",)),
    Broken("drop_unsolicited_na", "to all", UNSOLICITED, UNSOLICITED, switched(drop_unsolicited_na=1)),
    Broken("drop_unsolicited_na", "to us", advertisement(HOST, "O", dst=US, lladdr=ELSEWHERE),
           advertisement(HOST, "O", dst=US, lladdr=ELSEWHERE), switched(drop_unsolicited_na=1)),
    Broken("ndisc_advertised_own_address", "client", NA, advertisement(US, "SO"), roles=("client",)),
    Broken("ndisc_own_proxy_advertisement", "come back", NA, advertisement(OTHER_HOST, "SO", lladdr=OWN), in_another_place),
    Broken("ndisc_not_a_router", "to us", NA, frame(Draft(133, bytes(4), packed(HOST), packed(US), option(1, THERE)).packet)),
    Broken("ndisc_redirects_not_accepted", "accept_redirects", MINE, MINE, switched(accept_redirects=0)),
    Broken("ndisc_redirects_not_accepted", "forwarding", MINE, MINE, switched(forwarding=1)),
    Broken("ndisc_redirect_not_from_first_hop", "another router", MINE, redirect(BETTER, OFF_LINK, sender="fe80::99")),
    Broken("ndisc_redirect_packet_not_ours", "of another", MINE,
           redirect(BETTER, OFF_LINK, redirected=b"\x60" + bytes(5) + b"\x11\x40" + packed(HOST) + packed(OFF_LINK))),
    Broken("not_ndisc", "echo", NA, framed(ECHO), roles=("client",)),
    Broken("not_ndisc", "UDP", NA, framed(ECHO.but(protocol=17)), roles=("client",)),
    Broken("not_ndisc", "MLD query", NA, query(), roles=("client",)),
    Broken("ndisc_target_multicast", "solicitation", NS, of("solicitation", body=bytes(4) + packed("ff02::1"))),
    Broken("ndisc_target_multicast", "advertisement", NA, of("advertisement", body=bytes(4) + packed("ff02::1"))),
    Broken("ndisc_dad_destination", "to us", NS, of("solicitation", src=bytes(16), dst=packed(US), options=b"")),
    Broken("ndisc_dad_destination", "to all nodes", NS, of("solicitation", src=bytes(16), dst=packed(ALL_NODES), options=b"")),
    Broken("ndisc_unspecified_lladdr", "solicitation", NS, of("solicitation", src=bytes(16))),
    Broken("ndisc_unspecified_lladdr", "router solicitation", NA, of("router solicitation", src=bytes(16))),
    Broken("ndisc_solicited_multicast", "to all nodes", UNSOLICITED, of("advertisement", dst=packed(ALL_NODES))),
    Broken("ndisc_source_not_link_local", "router advertisement", RA, of("router advertisement", src=packed(HOST))),
    Broken("ndisc_source_not_link_local", "redirect", MINE, of("redirect", src=packed(HOST))),
    Broken("ndisc_redirect_destination", "a group", MINE, redirect(BETTER, "ff0e::1")),
    Broken("ndisc_redirect_target", "global, not it", MINE, redirect(HOST, OFF_LINK)),
    Broken("ndisc_lladdr_length", "advertisement", NA, of("advertisement", options=option(2, bytes(14)))),
    Broken("ndisc_lladdr_length", "solicitation", NS, of("solicitation", options=option(1, bytes(14)))),
    Broken("ndisc_lladdr_length", "router advertisement", RA, of("router advertisement", options=option(1, bytes(14)))),
    Broken("ndisc_lladdr_length", "redirect", MINE, of("redirect", options=option(2, bytes(14)))),
    # What is for a host's stack, and its multicast listening.
    Broken("ip_no_listener", "echo", NA, framed(ECHO), roles=("host",)),
    Broken("ip_destination_not_ours", "echo", NA, framed(ECHO.but(dst=packed(OTHER_HOST))), roles=("host",)),
    Broken("other_host", "echo to a group", NA, framed(ECHO.but(dst=packed(ALL_NODES))), roles=("host",)),
    Broken("mld_length", "23 octets", query(), query(kept=23), roles=("host",)),
    Broken("mld_source", "global", query(), query(src=packed(HOST)), roles=("host",)),
    Broken("mld_hop_limit", "255", query(), query(hop_limit=255), roles=("host",)),
    Broken("mld_router_alert", "none", query(), query(extensions=()), roles=("host",)),
    Broken("mld_group", "no group", query(), query(body=bytes(4) + packed(HOST)), roles=("host",)),
    Broken("icmpv6_checksum", "query", query(), query(checksum_off_by=1), roles=("host",)),
]
# fmt: on
ROWS = [
    pytest.param(row, role, id=f"{row.reason} - {row.how} - {role}") for row in BROKEN for role in row.roles
]


def test_every_reason_has_a_frame_that_breaks_only_its_rule() -> None:
    found = {row.reason for row in BROKEN} | {reason for reason, _, _ in COMMON}
    # Another ethertype never comes as far as the parser: the engine has no receiver for it.
    assert found == {*DROP_REASONS, "ethertype"} - {"not_ipv6"}
    assert len(set(DROP_REASONS)) == len(DROP_REASONS)


@pytest.mark.parametrize(("row", "role"), ROWS)
def test_what_a_node_does_not_take_changes_nothing_and_is_counted_under_its_reason(
    row: Broken, role: Role
) -> None:
    sim = scene(role)
    row.setup(sim)
    drops(sim).clear()

    assert_refused(sim, row.broken, row.reason)


@pytest.mark.parametrize(("row", "role"), ROWS)
def test_the_frame_beside_it_that_keeps_the_rule_is_taken(row: Broken, role: Role) -> None:
    sim = scene(role)
    before = table6(sim)
    hear(sim, row.sound)

    assert drops(sim) == {}
    assert table6(sim) != before or "mld" in row.reason or row.how == "query"


# -- what is odd but no offence

NA_DRAFT = SOUND["advertisement"]
ODD = [
    ("padding", NA_DRAFT.but(padding=bytes(20))),
    ("a flow label and a traffic class", NA_DRAFT.but(first_word=0x6FFABCDE)),
    ("reserved bits", NA_DRAFT.but(body=b"\x7f\xff\xff\xff" + packed(HOST))),
    ("an unknown option", NA_DRAFT.but(options=option(253, bytes(14)) + NA_DRAFT.options)),
    ("an unknown option behind", NA_DRAFT.but(options=NA_DRAFT.options + option(253, bytes(6)))),
    ("options of other messages", NA_DRAFT.but(options=option(1, bytes(6)) + option(5, bytes(6)) + NA_DRAFT.options)),
    ("the same option twice: the first counts", NA_DRAFT.but(options=NA_DRAFT.options + option(2, STATION))),
    ("hop-by-hop options", NA_DRAFT.but(extensions=((HOPOPTS, PADDING),))),
    ("destination options", NA_DRAFT.but(extensions=((DSTOPTS, PADDING),))),
    ("a routing header that is used up", NA_DRAFT.but(extensions=((ROUTING, routing(0, 0)),))),
    ("from an IPv4-mapped address", NA_DRAFT.but(src=packed("::ffff:198.51.100.7"))),
]  # fmt: skip


@pytest.mark.parametrize("role", ["client", "host"])
@pytest.mark.parametrize("draft", [row[1] for row in ODD], ids=[row[0] for row in ODD])
def test_what_is_odd_but_no_offence_is_taken(draft: Draft, role: Role) -> None:
    sim = scene(role)
    hear(sim, framed(draft))

    assert lines(sim) == [f"{HOST} lladdr {ELSEWHERE} REACHABLE"]
    assert drops(sim) == {}


def test_suppress_frag_ndisc_off_takes_a_fragment_header_of_a_whole_packet() -> None:
    """RFC 6980 5 forbids it; Linux asks."""
    fragmented = framed(NA_DRAFT.but(extensions=((FRAGMENT, fragment(0)),)))
    several = framed(NA_DRAFT.but(extensions=((FRAGMENT, fragment(1)),)))
    sim = scene("client")
    sim.set("va", 6, suppress_frag_ndisc=0)
    hear(sim, several)
    assert drops(sim) == {"ipv6_fragment": 1}
    hear(sim, fragmented)

    assert lines(sim) == [f"{HOST} lladdr {ELSEWHERE} REACHABLE"]


@pytest.mark.parametrize("name", ["advertisement", "solicitation"])
def test_a_partial_checksum_is_taken_as_right(name: str) -> None:
    """The frame never left this machine."""
    sim = scene("client")
    broken = framed(SOUND[name].but(checksum_off_by=7))
    sim.engine.receive(1, broken, sim.now, partial_checksum=True)
    sim.run(0.0)

    assert len(lines(sim)) == 1
    assert drops(sim) == {}
    hear(sim, broken)
    assert drops(sim) == {"icmpv6_checksum": 1}


def test_the_switches_are_the_devices_own() -> None:
    sim = scene("client")
    sim.set("vb", 6, disable_ipv6=1, drop_unsolicited_na=1, accept_redirects=0)
    hear(sim, NA)

    assert drops(sim) == {}
    assert sim.device("vb").drops == {}


def test_an_address_of_another_device_of_ours_is_ours_to_receive_at_unless_it_is_link_local() -> None:
    """The weak host model; whose target is asked for is another matter."""
    sim = scene("client")
    hear(sim, solicitation(HOST, US, dst="2001:db8:5::1", lladdr=ELSEWHERE))

    assert lines(sim) == [f"{HOST} lladdr {ELSEWHERE} STALE"]


# -- groups


def let_in(sim: Simulation) -> set[str]:
    """The link-layer groups that the device's link lets in."""
    link = sim.driver.links[sim.device("va").index]
    assert isinstance(link, MemoryLink)
    return {str(LinkAddress(one)) for one in link.groups}


def memberships(sim: Simulation) -> list[tuple[str, str, bool]]:
    """What links were told of groups since the last call: device, group, joined."""
    found = [output for output in sim.engine.take_outputs() if isinstance(output, Membership)]
    return [
        (one.device.name, str(LinkAddress(ipv6_multicast_lladdr(one.group))), one.joined) for one in found
    ]


def test_an_address_brings_its_group_and_the_last_of_a_group_takes_it_along() -> None:
    """R123: two addresses with the same last 24 bits share one."""
    sim = node6()
    before = let_in(sim)
    theirs = "33:33:ff:00:00:42"

    sim.add_address("va", "2001:db8::42/64")
    assert let_in(sim) == before | {theirs}
    sim.add_address("va", "2001:db8:5::42/64")
    sim.remove_address("va", "2001:db8::42/64")
    assert let_in(sim) == before | {theirs}
    hear(sim, solicitation(HOST, "2001:db8:5::42"))
    assert present(sim) == {HOST}
    sim.remove_address("va", "2001:db8:5::42/64")
    assert let_in(sim) == before


def test_a_link_is_told_of_a_group_once_however_many_addresses_share_it() -> None:
    sim = node6()
    sim.engine.take_outputs()
    index = sim.device("va").index

    for ip in ("2001:db8::42", "2001:db8:5::42", "fe80::42"):
        sim.engine.add_address(index, Address(packed(ip), 64), sim.now)
    sim.engine.add_address(index, Address(packed("fe80::42"), 64, 253, IFA_F_OPTIMISTIC), sim.now)
    assert memberships(sim) == [("va", "33:33:ff:00:00:42", True)]
    for ip in ("2001:db8::42", "2001:db8:5::42", "fe80::42"):
        sim.engine.remove_address(index, packed(ip), 64, sim.now)
    assert memberships(sim) == [("va", "33:33:ff:00:00:42", False)]


@pytest.mark.parametrize("role", ["client", "host"])
def test_a_tentative_address_already_listens(role: Role) -> None:
    """R201: before the first solicitation."""
    sim = node6(role=role)
    sim.add_address("va", "2001:db8::42/64", flags=IFA_F_TENTATIVE)

    assert "33:33:ff:00:00:42" in let_in(sim)


@pytest.mark.parametrize("role", ["client", "host"])
def test_every_device_listens_to_all_nodes_and_a_routers_to_all_routers(role: Role) -> None:
    nodes, routers = "33:33:00:00:00:01", "33:33:00:00:00:02"
    sim = node6(role=role)
    assert nodes in let_in(sim) and routers not in let_in(sim)

    sim.set("va", 6, forwarding=1)
    assert routers in let_in(sim)
    hear(sim, solicitation(HOST, US, dst=ALL_ROUTERS))
    assert present(sim) == {HOST}
    sim.set(None, 6, forwarding=0)
    assert nodes in let_in(sim) and routers not in let_in(sim)


@pytest.mark.parametrize("role", ["client", "host"])
def test_a_device_of_a_router_listens_to_all_routers_from_the_beginning(role: Role) -> None:
    sim = Simulation()
    sim.set(None, 6, forwarding=1)
    sim.add_device("va", OWN, [f"{US_LOCAL}/64"], role=role)

    assert "33:33:00:00:00:02" in let_in(sim)


# -- whatever the octets are


def crowd(role: Role) -> Simulation:
    """Entries in every state, one of them with a packet waiting; strangers are accepted."""
    sim = node6(role=role, accept_untracked_na=1, **SLOW)
    sim.add_route("va", "::/0", ROUTER)
    states = (NUD_REACHABLE, NUD_STALE, NUD_PROBE, NUD_FAILED, NUD_NOARP, NUD_PERMANENT)
    for number, state in enumerate(states):
        add(sim, f"2001:db8::{10 + number}", state)
    sim.send("2001:db8::20")
    sim.hold("2001:db8::21")
    add(sim, ROUTER, NUD_STALE)
    sim.run(20.0)
    lines(sim)
    return sim


addresses = st.sampled_from(
    [US, US_LOCAL, HOST, ROUTER, BETTER, OFF_LINK, "::", "::1", ALL_NODES, ALL_ROUTERS, group(US), "ff02::99"]
) | st.integers(10, 22).map(lambda number: f"2001:db8::{number}")
option_streams = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 3, 4, 5, 14, 253]), st.integers(0, 3), st.binary(min_size=22, max_size=22)
    ),
    max_size=3,
).map(
    lambda rows: b"".join(bytes((kind, units)) + data[: max(8 * units - 2, 0)] for kind, units, data in rows)
)
messages = st.builds(
    lambda kind, bits, target, other, src, dst, options, limit: Draft(
        kind,
        {133: bits, 134: bits + bytes(8), 137: bits + packed(target) + packed(other)}.get(
            kind, bits + packed(target)
        ),
        packed(src),
        packed(dst),
        options,
        hop_limit=limit,
    ),
    st.integers(132, 138),
    st.binary(min_size=4, max_size=4),
    addresses,
    addresses,
    addresses,
    addresses,
    option_streams,
    st.sampled_from([255, 255, 255, 1]),
).map(framed)
damaged = st.builds(
    lambda heard, offset, junk, end: (heard[:offset] + junk + heard[offset + len(junk) :])[:end],
    messages,
    st.integers(0, 90),
    st.binary(max_size=3),
    st.integers(30, 110),
)
heard_frames = (
    st.binary(max_size=120)
    | st.binary(max_size=100).map(lambda tail: STATION + bytes(6) + b"\x86\xdd" + tail)
    | messages
    | damaged
)


@pytest.mark.parametrize("role", ["client", "host"])
@given(heard=st.lists(heard_frames, min_size=1, max_size=6))
@example(heard=[NA, b"", NA[:13], NS, RA, RS, MINE, wanted(US)])
def test_no_frame_raises_and_a_refused_one_changes_no_entry_and_says_nothing(
    role: Role, heard: list[bytes]
) -> None:
    sim = crowd(role)
    for one in heard:
        before, count = table6(sim), sum(drops(sim).values())
        hear(sim, one)
        if sum(drops(sim).values()) > count:
            assert table6(sim) == before or "neigh_createfail" in drops(sim)
            assert sim.outputs == []
        if role == "client":
            # A client answers nobody: what leaves is what waited for the answer.
            assert all(o.packet is not None for o in sim.outputs if isinstance(o, Transmit))
        lines(sim)
        sim.run(1.0)
    known = {*DROP_REASONS, *arp.DROP_REASONS, "ethertype"}
    assert set(drops(sim)) <= known
    assert sum(map(len, cache6(sim).by_device[1].shards)) == cache6(sim).entries
