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


def query(of: str = "::", *, within: float = 4.0, dst: str = ALL_NODES, version: int = 2) -> bytes:
    # Above what 15 bits hold it is a floating-point number: 100 s.
    code = round(within * 1000) if version == 1 or within < 32.768 else 0x986A
    body = code.to_bytes(2, "big") + bytes(2) + packed(of)
    rest = bytes(4) if version == 2 else b""
    draft = Draft(130, body, packed(ROUTER), packed(dst), rest, hop_limit=1, extensions=((0, ROUTER_ALERT),))
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


def test_so_has_one_that_is_not_detected_and_a_second_one_nothing() -> None:
    sim = quiet(f"{US}/64")
    sim.claim("va", f"{US_LOCAL}/64", transmits=0)
    sim.run(10.0)
    found = reports(sim)
    assert {one.source for one in found} == {US_LOCAL}
    assert [one.records for one in found] == [dict.fromkeys(LISTENED, JOINED)] * 2

    sim.claim("va", "fe80::77/64")
    sim.run(10.0)
    assert {records for one in reports(sim) for records in one.records} == {group("fe80::77")}


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


# -- version 1 (RFC 3810 8, RFC 2710)

SOLICITED = sorted(LISTENED)


class Old(NamedTuple):
    time: float
    """Seconds from the beginning."""
    kind: int
    """131: somebody listens to the group. 132: nobody does any more."""
    group: str


def old_reports(sim: Simulation) -> list[Old]:
    """What was said in version 1 since the last call."""
    found = []
    frames = [output.frame for output in sim.outputs if isinstance(output, Transmit)]
    times = [time for time, text in sim.log if text.startswith("frame to ")]
    for time, frame in zip(times, frames, strict=True):
        message = frame[14 + 48 :]
        if frame[20] == 0 and message[0] in (131, 132):
            group = message[8:24]
            to = group if message[0] == 131 else packed("ff02::2")
            assert (frame[38:54], frame[:6]) == (to, ipv6_multicast_lladdr(to))
            assert format_ip(frame[22:38]) == US_LOCAL
            found.append(Old(round(time - BEGIN, 3), message[0], format_ip(group)))
    sim.lines()
    return found


def old(*addresses: str, draw: float = 0.25) -> Simulation:
    """A host that has answered a query of version 1."""
    sim = quiet(*addresses)
    hear(sim, query(version=1, within=1.0))
    sim.run(10.0)
    sim.lines()
    draws(sim, draw)
    return sim


def heard(of: str, source: str = HOST) -> bytes:
    """Another listener's report."""
    draft = Draft(
        131, bytes(4) + packed(of), packed(source), packed(of), hop_limit=1, extensions=((0, ROUTER_ALERT),)
    )
    return ipv6_multicast_lladdr(packed(of)) + LinkAddress(PEER) + draft.frame[12:]


@pytest.mark.parametrize("of", ["::", group(US)])
@pytest.mark.parametrize("within", [4.0, 1.0, 60.0])
def test_a_query_of_version_1_is_answered_in_it_for_each_group_at_a_random_time(
    of: str, within: float
) -> None:
    sim = quiet()
    begin = sim.now - BEGIN
    hear(sim, query(of, within=within, version=1))
    sim.run(60.0)

    groups = SOLICITED if of == "::" else [of]
    assert sorted(old_reports(sim)) == [Old(begin + within / 4, 131, one) for one in groups]


def test_what_is_to_be_answered_earlier_anyway_is_not_put_off() -> None:
    sim = quiet()
    begin = sim.now - BEGIN
    hear(sim, query(within=4.0, version=1))
    sim.run(0.5)
    hear(sim, query(within=4.0, version=1))
    hear(sim, query(group(US), within=0.4, version=1))
    sim.run(60.0)

    assert sorted(old_reports(sim)) == sorted(
        [Old(begin + 0.6, 131, group(US)), Old(begin + 1.0, 131, group(US_LOCAL))]
    )


def test_then_changes_are_told_in_version_1() -> None:
    sim = old()
    begin = sim.now - BEGIN
    sim.add_address("va", "2001:db8::42/64")
    sim.run(9.0)
    sim.remove_address("va", "2001:db8::42/64")
    sim.run(60.0)

    joined = group("2001:db8::42")
    assert old_reports(sim) == [
        Old(begin, 131, joined),
        Old(begin + 2.5, 131, joined),
        Old(begin + 9.0, 132, joined),
    ]


def test_a_group_that_is_left_before_its_time_is_reported_no_more() -> None:
    sim = old()
    sim.add_address("va", "2001:db8::42/64")
    sim.run(0.1)
    sim.remove_address("va", "2001:db8::42/64")
    sim.run(60.0)

    assert [one.kind for one in old_reports(sim)] == [131, 132]


def test_then_a_query_of_version_2_is_answered_in_version_1_too() -> None:
    sim = old()
    begin = sim.now - BEGIN
    hear(sim, query(within=100.0))
    sim.run(100.0)

    # No longer than version 1 can say.
    assert sorted(old_reports(sim)) == [Old(round(begin + 32.767 / 4, 3), 131, one) for one in SOLICITED]


def test_what_waited_to_be_said_in_version_2_is_not_said_but_asked_for() -> None:
    sim = quiet()
    sim.add_address("va", "2001:db8::42/64")
    hear(sim, query(within=8.0))
    hear(sim, query(within=1.0, version=1))
    sim.run(60.0)

    assert {one.group for one in old_reports(sim)} == {*SOLICITED, group("2001:db8::42")}
    assert reports(sim) == []


@pytest.mark.parametrize("source", ["fe80::7", "::"])
def test_what_another_has_reported_is_not_reported_and_left_in_silence(source: str) -> None:
    sim = quiet()
    hear(sim, query(within=4.0, version=1))
    hear(sim, heard(group(US), source))
    sim.run(60.0)
    assert [one.group for one in old_reports(sim)] == [group(US_LOCAL)]

    sim.remove_address("va", f"{US}/64")
    sim.run(60.0)
    assert old_reports(sim) == []


def test_a_report_that_was_sent_to_us_alone_is_not_heeded() -> None:
    sim = quiet()
    hear(sim, query(group(US), version=1))
    hear(sim, LinkAddress(OWN) + heard(group(US))[6:])
    sim.run(60.0)

    assert [one.group for one in old_reports(sim)] == [group(US)]


def test_version_2_is_spoken_again_when_version_1_was_not_heard_for_260_seconds() -> None:
    sim = quiet()
    hear(sim, query(version=1))
    sim.run(100.0)
    hear(sim, query(group(US), version=1))
    sim.run(259.0)
    sim.lines()
    sim.add_address("va", "2001:db8::42/64")
    sim.run(1.5)
    assert [one.kind for one in old_reports(sim)] == [131]
    sim.remove_address("va", "2001:db8::42/64")
    sim.run(60.0)
    assert [one.records for one in reports(sim)] == [{group("2001:db8::42"): LEFT}] * 2
    hear(sim, query())
    sim.run(60.0)
    assert [one.records for one in reports(sim)] == [dict.fromkeys(LISTENED, LISTENS)]


@pytest.mark.parametrize("what", ["down", "carrier"])
def test_version_2_is_spoken_again_when_the_link_may_be_another(what: str) -> None:
    sim = old()
    if what == "down":
        link(sim).set_down()
        link(sim).set_up()
    else:
        link(sim).set_carrier(False)
        link(sim).set_carrier(True)
    sim.run(60.0)

    assert [one.records for one in reports(sim)] == [dict.fromkeys(LISTENED, JOINED)] * 2


def test_a_link_local_address_that_is_new_has_nothing_reported_again_in_version_1() -> None:
    sim = host()
    sim.run(10.0)
    hear(sim, query(version=1))
    sim.run(60.0)
    sim.lines()
    sim.claim("va", f"{US_LOCAL}/64")
    sim.run(60.0)

    assert [text for _, text in sim.log if TO_ROUTERS in text] == []


def test_where_ipv6_is_disabled_nothing_is_said_in_version_1() -> None:
    sim = quiet()
    hear(sim, query(version=1))
    sim.set("va", 6, disable_ipv6=1)
    sim.run(60.0)

    assert old_reports(sim) == []


@pytest.mark.parametrize("how", ["here", "everywhere"])
def test_version_1_may_be_forced(how: str) -> None:
    sim = quiet()
    sim.set("va" if how == "here" else None, 6, force_mld_version=1)
    sim.add_address("va", "2001:db8::42/64")
    sim.run(10.0)
    assert [(one.kind, one.group) for one in old_reports(sim)] == [(131, group("2001:db8::42"))] * 2
    hear(sim, query())
    sim.run(10.0)
    assert {one.group for one in old_reports(sim)} == {*LISTENED, group("2001:db8::42")}
    link(sim).set_down()
    link(sim).set_up()
    sim.run(10.0)
    said = {(one.kind, one.group) for one in old_reports(sim)}
    assert said == {(131, one) for one in {*LISTENED, group("2001:db8::42")}}
    assert [text for _, text in sim.log if TO_ROUTERS in text] == []


def test_version_2_may_be_forced_and_nobody_who_asks_in_version_1_is_answered() -> None:
    sim = quiet()
    sim.set("va", 6, force_mld_version=2)
    hear(sim, query(version=1))
    sim.run(10.0)
    assert old_reports(sim) == []
    hear(sim, query())
    sim.run(10.0)
    assert [one.records for one in reports(sim)] == [dict.fromkeys(LISTENED, LISTENS)]


def test_what_is_to_be_said_when_version_1_ends_is_said_in_version_2() -> None:
    sim = quiet()
    hear(sim, query(group(US), within=4.0, version=1))
    sim.set("va", 6, force_mld_version=2)
    sim.run(10.0)
    assert [one.records for one in reports(sim)] == [{group(US): LISTENS}]
