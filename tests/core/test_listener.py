"""A host's multicast listening, as it tells routers and switches of it (RFC 3810; MLD)."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from neighio.address import LinkAddress, format_ip
from neighio.core.constants import NLM_F_CREATE, NTF_PROXY
from neighio.core.events import Transmit
from neighio.testing.simulation import Simulation
from neighio.wire.ethernet import ipv6_multicast_lladdr
from tests.wire.drafts import ROUTER_ALERT, Draft

from .discovery import ALL_NODES, HOST, ROUTER, US, US_LOCAL, group, packed
from .helpers import OWN, PEER, hear
from .hosts import BEGIN, draws, host, link

JOINED, LEFT, LISTENS = 4, 3, 2
"""MLD's record types: change to exclude nothing, change to include nothing, mode is exclude nothing."""

TO_ROUTERS = "33:33:00:00:00:16"
LISTENED = {group(US), group(US_LOCAL)}


class Report(NamedTuple):
    time: float
    """Seconds from the beginning."""
    source: str
    records: dict[str, int]


def reports(sim: Simulation) -> list[Report]:
    """The reports that were sent since the last call."""
    found = []
    times = [time for time, text in sim.log if text.startswith(f"frame to {TO_ROUTERS}")]
    sent = [
        o.frame for o in sim.outputs if isinstance(o, Transmit) and o.frame[:6] == LinkAddress(TO_ROUTERS)
    ]
    for time, frame in zip(times, sent, strict=True):
        packet = frame[14:]
        # Hop limit 1, hop-by-hop options with a router alert, then the message.
        assert (packet[6], packet[7], packet[24:40]) == (0, 1, packed("ff02::16"))
        assert packet[40:48] == bytes.fromhex("3a00050200000100")
        message = packet[48:]
        count = int.from_bytes(message[6:8], "big")
        assert (message[0], len(message)) == (143, 8 + 20 * count)
        records = [message[at : at + 20] for at in range(8, len(message), 20)]
        assert all(record[1:4] == bytes(3) for record in records), "no sources"
        kinds = {format_ip(record[4:]): record[0] for record in records}
        found.append(Report(round(time - BEGIN, 3), format_ip(packet[8:24]), kinds))
    sim.lines()
    return found


def quiet(*addresses: str) -> Simulation:
    """A host that has told of its groups."""
    sim = host(*(addresses or (f"{US}/64", f"{US_LOCAL}/64")))
    sim.run(10.0)
    reports(sim)
    return sim


def query(of: str = "::", *, within: float = 4.0, dst: str = ALL_NODES) -> bytes:
    body = round(within * 1000).to_bytes(2, "big") + bytes(2) + packed(of)
    draft = Draft(
        130, body, packed(ROUTER), packed(dst), bytes(4), hop_limit=1, extensions=((0, ROUTER_ALERT),)
    )
    return ipv6_multicast_lladdr(packed(dst)) + LinkAddress(PEER) + draft.frame[12:]


# -- changes


def test_groups_that_are_joined_are_reported_at_once_together_and_once_more_within_a_second() -> None:
    sim = host(f"{US}/64", f"{US_LOCAL}/64")
    sim.run(10.0)

    records = dict.fromkeys(LISTENED, JOINED)
    assert reports(sim) == [Report(0.008, US_LOCAL, records), Report(0.258, US_LOCAL, records)]


@pytest.mark.parametrize(("draw", "repeated"), [(0.0, 0.0), (0.5, 0.5), (0.999, 0.999)])
def test_the_repetition_comes_at_a_random_time_within_a_second(draw: float, repeated: float) -> None:
    sim = quiet()
    draws(sim, draw)
    begin = sim.now - BEGIN
    sim.add_address("va", "2001:db8::42/64")
    sim.run(10.0)

    times = [round(one.time - begin, 3) for one in reports(sim)]
    assert times == [0.008, pytest.approx(0.008 + repeated, abs=0.002)]


def test_a_group_that_is_left_is_reported_too() -> None:
    sim = quiet()
    sim.remove_address("va", f"{US}/64")
    sim.run(10.0)

    assert [one.records for one in reports(sim)] == [{group(US): LEFT}] * 2


def test_only_what_changed_is_reported_and_a_change_back_replaces_it() -> None:
    sim = quiet()
    sim.add_address("va", "2001:db8::42/64")
    sim.run(0.1)
    sim.remove_address("va", "2001:db8::42/64")
    sim.run(10.0)

    found = [one.records for one in reports(sim)]
    assert found == [{group("2001:db8::42"): JOINED}, *[{group("2001:db8::42"): LEFT}] * 2]


def test_another_address_of_the_same_group_changes_nothing() -> None:
    sim = quiet()
    sim.add_address("va", "2001:db8:5::1/64")
    sim.run(10.0)

    assert group(US) == group("2001:db8:5::1")
    assert reports(sim) == []


def test_all_nodes_is_never_reported() -> None:
    sim = host()
    sim.run(10.0)
    hear(sim, query())
    sim.run(10.0)

    assert reports(sim) == []


@pytest.mark.parametrize(("what", "joined"), [("proxy", group("2001:db8:5::9")), ("router", "ff02::2")])
def test_groups_of_proxied_addresses_and_of_routers_are_reported(what: str, joined: str) -> None:
    sim = quiet()
    if what == "proxy":
        sim.admin("2001:db8:5::9", nlm_flags=NLM_F_CREATE, flags=NTF_PROXY)
    else:
        sim.set("va", 6, forwarding=1)
    sim.run(10.0)

    assert [one.records for one in reports(sim)] == [{joined: JOINED}] * 2


# -- from where


def test_without_a_link_local_address_reports_come_from_nowhere() -> None:
    """RFC 3590: or nobody could join before there is one."""
    sim = host(f"{US}/64")
    sim.run(10.0)

    assert {one.source for one in reports(sim)} == {"::"}


def test_the_first_link_local_address_that_is_ours_has_everything_reported_again_from_it() -> None:
    """What came from nowhere is not believed by every switch (ipv6_mc_dad_complete)."""
    sim = quiet(f"{US}/64")
    sim.claim("va", f"{US_LOCAL}/64")
    sim.run(1.0)
    tentative = reports(sim)
    assert {one.source for one in tentative} == {"::"}
    sim.run(10.0)

    found = reports(sim)
    assert {one.source for one in found} == {US_LOCAL}
    assert [one.records for one in found] == [dict.fromkeys(LISTENED, JOINED)] * 2


# -- queries


@pytest.mark.parametrize(
    ("of", "answered"), [("::", LISTENED), (group(US), {group(US)}), (group(HOST), set())]
)
@pytest.mark.parametrize(("draw", "within"), [(0.0, 4.0), (0.5, 4.0), (0.5, 1.0)])
def test_a_query_is_answered_at_a_random_time_within_what_it_allows(
    of: str, answered: set[str], draw: float, within: float
) -> None:
    sim = quiet()
    draws(sim, draw)
    begin = sim.now - BEGIN
    hear(sim, query(of, within=within, dst=of if of == group(US) else ALL_NODES))
    sim.run(10.0)

    expected = [Report(round(begin + draw * within, 3), US_LOCAL, dict.fromkeys(answered, LISTENS))]
    assert reports(sim) == (expected if answered else [])


def test_queries_that_wait_together_get_one_answer_at_the_earlier_time() -> None:
    sim = quiet()
    draws(sim, 0.5)
    begin = sim.now - BEGIN
    hear(sim, query(group(US), within=4.0, dst=group(US)))
    hear(sim, query(group(US_LOCAL), within=2.0, dst=group(US_LOCAL)))
    sim.run(10.0)

    assert reports(sim) == [Report(round(begin + 1.0, 3), US_LOCAL, dict.fromkeys(LISTENED, LISTENS))]


def test_a_group_that_is_left_before_the_answer_is_not_in_it() -> None:
    sim = quiet()
    draws(sim, 0.5)
    hear(sim, query(within=8.0))
    sim.remove_address("va", f"{US}/64")
    sim.run(10.0)

    assert reports(sim)[-1].records == {group(US_LOCAL): LISTENS}


def test_a_client_reports_nothing_and_answers_no_query() -> None:
    sim = Simulation(start=BEGIN)
    sim.add_device("va", OWN, [f"{US}/64", f"{US_LOCAL}/64"])
    hear(sim, query())
    sim.run(60.0)

    assert reports(sim) == []
    assert sim.device("va").drops == {"not_ndisc": 1}


# -- down and up


def test_a_device_that_is_down_reports_nothing_and_everything_when_it_is_up() -> None:
    sim = quiet()
    hear(sim, query(within=8.0))
    sim.add_address("va", "2001:db8::42/64")
    link(sim).set_down()
    sim.run(60.0)
    assert reports(sim) == []
    link(sim).set_up()
    begin = sim.now - BEGIN
    sim.run(60.0)

    found = reports(sim)
    assert [one.records for one in found] == [dict.fromkeys({*LISTENED, group("2001:db8::42")}, JOINED)] * 2
    assert found[0].time == round(begin + 0.008, 3)


def test_a_carrier_that_comes_again_has_everything_reported_there_may_be_another_switch() -> None:
    sim = quiet()
    link(sim).set_carrier(False)
    sim.run(60.0)
    assert reports(sim) == []
    link(sim).set_carrier(True)
    begin = sim.now - BEGIN
    sim.run(60.0)

    found = reports(sim)
    assert [one.records for one in found] == [dict.fromkeys(LISTENED, JOINED)] * 2
    assert found[0].time == round(begin + 0.008, 3)


def test_where_ipv6_is_disabled_nothing_is_reported() -> None:
    sim = quiet()
    sim.add_address("va", "2001:db8::42/64")
    hear(sim, query(within=8.0))
    sim.set("va", 6, disable_ipv6=1)
    sim.set("va", 6, forwarding=1)
    sim.run(60.0)

    assert reports(sim) == []


def test_a_detached_device_reports_nothing_more() -> None:
    sim = quiet()
    sim.add_address("va", "2001:db8::42/64")
    sim.driver.detach(1)
    sim.run(60.0)

    assert reports(sim) == []


def test_a_report_makes_an_entry_of_the_group_that_it_goes_to() -> None:
    sim = quiet()
    made = sim.neighbour("ff02::16")

    assert made is not None and str(made.lladdr) == TO_ROUTERS
