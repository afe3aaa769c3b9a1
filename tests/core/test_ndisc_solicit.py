"""The solicitations that we send: their octets, to whom, from which address, and through which entry (9.4)."""

from __future__ import annotations

import pytest

from neighio.address import LinkAddress
from neighio.core.constants import (
    AF_INET6,
    IFA_F_DEPRECATED,
    IFA_F_OPTIMISTIC,
    IFA_F_TENTATIVE,
    NTF_MANAGED,
    NUD_DELAY,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
    RT_SCOPE_LINK,
)
from neighio.testing.simulation import Simulation

from .discovery import (
    ELSEWHERE,
    HOST,
    SLOW,
    US,
    US_LOCAL,
    Said,
    advertisement,
    asked,
    asked_all,
    cache6,
    entry,
    group,
    neighbour_messages,
    node6,
    packed,
    said,
)
from .helpers import OWN, PEER, add, hear, lines

GROUP = group(HOST)
OTHER_DEVICES = "2001:db8:5::1"


def ipv6_packet(source: str, mark: str = "x", destination: str = HOST) -> bytes:
    return b"\x60" + bytes(7) + packed(source) + packed(destination) + mark.encode()


# -- the octets


def test_the_first_solicitation_goes_to_the_solicited_node_group_with_our_link_layer_address() -> None:
    sim = node6(ndisc_tclass=0xC8)
    sim.resolve(HOST)

    (frame,) = neighbour_messages(sim)
    assert frame.hex() == (
        "3333ff000007" "02000000000a" "86dd"
        "6c800000" "0020" "3a" "ff"
        "fe80000000000000000000000000000a"
        "ff0200000000000000000001ff000007"
        "87" "00" "4b43" "00000000"
        "20010db8000000000000000000000007"
        "01" "01" "02000000000a"
    )  # fmt: skip


def test_a_unicast_solicitation_goes_to_the_target_at_the_cached_address_and_names_ours_too() -> None:
    sim = node6()
    add(sim, HOST, NUD_PROBE)
    sim.run(0.1)

    (frame,) = neighbour_messages(sim)
    assert frame.hex() == (
        "02000000000b" "02000000000a" "86dd"
        "60000000" "0020" "3a" "ff"
        "fe80000000000000000000000000000a"
        "20010db8000000000000000000000007"
        "87" "00" "1b8f" "00000000"
        "20010db8000000000000000000000007"
        "01" "01" "02000000000a"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("target", "to", "dst"),
    [
        ("2001:db8::7", "33:33:ff:00:00:07", "ff02::1:ff00:7"),
        ("fe80::1234:5678:9abc:def0", "33:33:ff:bc:de:f0", "ff02::1:ffbc:def0"),
        ("2001:db8:0:1:2:3:ff:ffff", "33:33:ff:ff:ff:ff", "ff02::1:ffff:ffff"),
    ],
)
def test_the_last_24_bits_of_the_target_choose_the_group(target: str, to: str, dst: str) -> None:
    sim = node6()
    sim.resolve(target)

    assert said(sim) == [Said("NS", target, US_LOCAL, dst, to, OWN, "")]


def test_it_carries_the_devices_present_link_layer_address() -> None:
    sim = node6()
    sim.engine.set_lladdr(sim.device("va").index, bytes(LinkAddress(ELSEWHERE)), sim.now)
    lines(sim)
    sim.resolve(HOST)

    assert [one.lladdr for one in said(sim)] == [ELSEWHERE]
    assert [frame[6:12] for frame in neighbour_messages(sim)] == [LinkAddress(ELSEWHERE)]


def test_probes_go_to_the_neighbour_first_and_then_to_its_group() -> None:
    sim = node6(retrans_time=0.5, ucast_solicit=2, mcast_resolicit=1)
    add(sim, HOST, NUD_PROBE)
    sim.run(5.0)

    assert said(sim) == [asked(HOST), asked(HOST), asked_all(HOST)]


# -- from which address

PROVEN = 0
# what a packet's source is to us -> from where we ask because of it
SOURCES = [
    ("ours here", US, PROVEN, US),
    ("ours here, deprecated", US, IFA_F_DEPRECATED, US),
    ("ours here, link-local", US_LOCAL, PROVEN, US_LOCAL),
    ("ours here, tentative", US, IFA_F_TENTATIVE, US_LOCAL),
    ("ours here, optimistic", US, IFA_F_TENTATIVE | IFA_F_OPTIMISTIC, US_LOCAL),
    ("another device's of ours", OTHER_DEVICES, PROVEN, US_LOCAL),
    ("nobody's", "2001:db8::1234", PROVEN, US_LOCAL),
]


@pytest.mark.parametrize(
    ("source", "flags", "asks"), [row[1:] for row in SOURCES], ids=[row[0] for row in SOURCES]
)
def test_the_source_is_the_waiting_packets_if_it_is_proven_on_this_very_device_else_the_link_local_one(
    source: str, flags: int, asks: str
) -> None:
    sim = node6()
    sim.add_device("vb", "02:00:00:00:01:0a", [f"{OTHER_DEVICES}/64"])
    if flags:
        sim.add_address("va", f"{US}/64", flags=flags)
    lines(sim)
    sim.send(HOST, ipv6_packet(source), "va")

    assert said(sim) == [asked_all(HOST, asks)]


def test_of_several_packets_that_wait_the_newest_chooses() -> None:
    sim = node6(retrans_time=0.5)
    sim.add_address("va", "2001:db8::2/64")
    lines(sim)
    sim.send(HOST, ipv6_packet("2001:db8::2"))
    sim.send(HOST, ipv6_packet(US))
    sim.run(0.7)
    sim.send(HOST, ipv6_packet(OTHER_DEVICES))
    sim.run(0.5)

    assert [one.src for one in said(sim)] == ["2001:db8::2", US, US_LOCAL]


@pytest.mark.parametrize("state", [NUD_PROBE, NUD_DELAY])
def test_in_probe_no_packet_waits_and_we_ask_from_the_link_local_address(state: int) -> None:
    sim = node6(delay_first_probe_time=0.5)
    add(sim, HOST, state)
    sim.send(HOST, ipv6_packet(US))
    sim.run(0.6)

    assert said(sim) == [asked(HOST)]


def test_a_managed_entry_is_asked_for_from_the_link_local_address() -> None:
    sim = node6()
    add(sim, HOST, NUD_NONE, flags=NTF_MANAGED)
    sim.run(0.1)

    assert said(sim) == [asked_all(HOST)]


def test_of_two_link_local_addresses_the_first_one_asks_unless_it_is_not_proven() -> None:
    for flags, asks in ((0, US_LOCAL), (IFA_F_TENTATIVE, "fe80::b"), (IFA_F_OPTIMISTIC, "fe80::b")):
        sim = node6()
        sim.add_address("va", "fe80::b/64")
        sim.add_address("va", f"{US_LOCAL}/64", scope=RT_SCOPE_LINK, flags=flags)
        lines(sim)
        sim.resolve(HOST)

        assert said(sim) == [asked_all(HOST, asks)]


def without_link_local(**changes: float) -> Simulation:
    sim = node6(**changes)
    sim.remove_address("va", f"{US_LOCAL}/64")
    lines(sim)
    return sim


def test_without_a_link_local_address_nothing_is_sent_but_every_probe_is_counted() -> None:
    """Three silent probes, then FAILED, as observed on a 6.18.44."""
    sim = without_link_local(retrans_time=0.5, mcast_solicit=3)
    sim.resolve(HOST)
    assert entry(sim).probes == 4
    sim.run(5.0)

    assert said(sim) == []
    assert lines(sim) == [f"{HOST} FAILED"]
    assert entry(sim).probes == 6
    assert sim.device("va").drops == {"ndisc_no_source": 3}
    assert cache6(sim).entries == 1, "no entry is made of a group that nothing goes to"


def test_without_a_link_local_address_unicast_probes_are_counted_too() -> None:
    sim = without_link_local(retrans_time=0.5, ucast_solicit=2)
    add(sim, HOST, NUD_PROBE)
    sim.run(3.0)

    assert said(sim) == []
    assert lines(sim) == [f"{HOST} lladdr {PEER} PROBE", f"{HOST} FAILED"]
    assert entry(sim).probes == 2
    assert sim.device("va").drops == {"ndisc_no_source": 2}


def test_without_a_link_local_address_a_packets_own_source_still_asks() -> None:
    sim = without_link_local()
    sim.send(HOST, ipv6_packet(US))

    assert said(sim) == [asked_all(HOST, US)]
    assert sim.device("va").drops == {}


# -- through which entry


def test_a_multicast_solicitation_makes_a_noarp_entry_of_its_group_in_silence() -> None:
    sim = node6()
    sim.resolve(HOST)

    made = sim.neighbour(GROUP)
    assert made is not None
    assert (made.nud_state, str(made.lladdr), made.refcnt) == (NUD_NOARP, "33:33:ff:00:00:07", 1)
    assert lines(sim) == []
    cache = cache6(sim)
    assert (cache.entries, cache.gc_entries) == (2, 2)
    assert [cache.handle(row).ip for row in cache.gc_list] == [HOST, GROUP]


def test_the_entry_of_a_group_is_made_once_and_serves_all_who_share_it() -> None:
    sim = node6(retrans_time=0.5)
    sim.resolve(HOST)
    made = sim.neighbour(GROUP)
    sim.resolve("2001:db8::ff:1:0:7")
    sim.run(0.6)

    assert sim.neighbour(GROUP) == made
    assert cache6(sim).entries == 3


def test_the_look_up_of_a_group_is_the_output_paths_and_counts_nowhere() -> None:
    sim = node6()
    statistics = cache6(sim).statistics
    sim.resolve(HOST)

    assert (statistics.lookups, statistics.hits, statistics.allocs) == (0, 0, 2)


def test_an_administrators_entry_of_the_group_says_where_solicitations_go() -> None:
    sim = node6()
    add(sim, GROUP, NUD_PERMANENT, lladdr=ELSEWHERE)
    sim.resolve(HOST)

    assert [one.to for one in said(sim)] == [ELSEWHERE]


def test_a_unicast_solicitation_passes_through_its_own_entry_and_refreshes_used() -> None:
    """Unlike ARP's, which goes past the table."""
    sim = node6(retrans_time=2.0, ucast_solicit=3)
    made = add(sim, HOST, NUD_PROBE)
    used = []
    for _ in range(6):
        sim.run(1.0)
        used.append(made.used - 1000.0)

    assert used == pytest.approx([5.004, 5.004, 7.004, 7.004, 9.004, 9.004], abs=1 / 200)
    assert made.confirmed < made.used


def test_a_multicast_solicitation_leaves_used_of_who_is_asked_for_as_it_was() -> None:
    sim = node6(retrans_time=2.0)
    sim.resolve(HOST)
    began = sim.now
    sim.run(3.0)

    assert len(said(sim)) == 2
    assert entry(sim).used == began


def test_the_first_unicast_solicitation_fills_the_header_cache_and_the_fast_path_has_it_later() -> None:
    sim = node6(**SLOW)
    made = add(sim, HOST, NUD_PROBE)
    sim.run(1.0)
    hear(sim, advertisement(HOST, "SO"))
    assert made.nud_state == NUD_REACHABLE
    answered = sim.now
    sim.run(1.0)
    sim.send(HOST)

    assert made.used == answered


def test_a_probe_event_comes_after_its_solicitation_and_shows_it_counted_and_used_refreshed() -> None:
    """6.18: "ND also used = 0" of age."""
    sim = node6(delay_first_probe_time=0.5)
    add(sim, HOST, NUD_STALE)
    sim.resolve(HOST)
    sim.lines()
    sim.run(1.0)

    sent, event = sim.outputs
    assert said(sim) == [asked(HOST)]
    assert (type(sent).__name__, type(event).__name__) == ("Transmit", "NewNeighbour")
    assert (event.state, event.probes) == (NUD_PROBE, 1)  # type: ignore[union-attr]
    assert event.used == event.time  # type: ignore[union-attr]


# -- one solicitation outside the machine


@pytest.mark.parametrize("unicast", [False, True])
@pytest.mark.parametrize("state", [NUD_NONE, NUD_INCOMPLETE, NUD_STALE, NUD_REACHABLE, NUD_PERMANENT])
def test_a_solicitation_that_a_caller_wants_goes_past_the_entries(state: int, unicast: bool) -> None:
    sim = node6(**SLOW)
    made = add(sim, HOST, state)
    lines(sim)
    before = (made.nud_state, made.probes, made.used, made.updated)
    sim.run(1.0)
    sim.engine.solicit_once(made, sim.now, unicast=unicast)
    sim.run(0.0)

    known = unicast and state not in (NUD_NONE, NUD_INCOMPLETE)
    assert said(sim) == [asked(HOST) if known else asked_all(HOST)]
    assert (made.nud_state, made.probes, made.used, made.updated) == before
    assert cache6(sim).entries == 1


def test_a_caller_may_say_from_where() -> None:
    sim = node6()
    made = sim.hold(HOST)
    sim.engine.solicit_once(made, sim.now, source=packed(US))
    sim.run(0.0)

    assert said(sim) == [asked_all(HOST, US)]


def test_from_the_unspecified_address_no_link_layer_address_is_named() -> None:
    """RFC 4861 4.3: whoever hears it must not learn anything."""
    sim = node6()
    made = sim.hold(HOST)
    sim.engine.solicit_once(made, sim.now, source=bytes(16))
    sim.run(0.0)

    assert said(sim) == [asked_all(HOST, "::")._replace(lladdr=None)]


def test_a_caller_without_a_link_local_address_sends_nothing_and_it_is_counted() -> None:
    sim = without_link_local()
    made = sim.hold(HOST)
    sim.engine.solicit_once(made, sim.now)
    sim.run(0.0)

    assert said(sim) == []
    assert sim.device("va").drops == {"ndisc_no_source": 1}


# -- a disabled device


def test_nothing_is_sent_on_a_device_that_has_ipv6_disabled() -> None:
    sim = node6(retrans_time=0.5)
    sim.set("va", 6, disable_ipv6=1)
    made = sim.hold(HOST)
    sim.resolve(HOST)
    sim.engine.solicit_once(made, sim.now)
    sim.run(5.0)

    assert neighbour_messages(sim) == []
    assert lines(sim) == [f"{HOST} FAILED"]
    assert sim.device("va").drops == {"ipv6_disabled": 4}


def test_families_have_parameters_of_their_own() -> None:
    sim = node6(retrans_time=0.25)
    sim.add_address("va", "198.51.100.1/24")
    sim.run(1.0)
    lines(sim)
    sim.resolve(HOST)
    sim.resolve("198.51.100.7")
    sim.run(0.6)

    assert len(said(sim)) == 3
    assert len(sim.log) == 4
    assert sim.engine.parameters(1, AF_INET6).retrans_time == 0.25
