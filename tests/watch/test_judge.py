"""What is reported of what stations say, and what is an alarm: Judge, fed with frames."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from neighio.address import LinkAddress, format_ip, parse_ip
from neighio.replay.messages import read
from neighio.replay.rules import RETURNED_WITHIN, STORM
from neighio.watch.judge import HANDOVER, Judge
from neighio.watch.lladdrs import is_randomised, note, virtual

from ..cli.watching import Speaker, station

A, B, C = station(0xA), station(0xB), station(0xC)
OURS = station(1)
VRRP7, VRRP8 = "00:00:5e:00:01:07", "00:00:5e:00:01:08"
HOME, GARDEN = "02:00:00:00:00:0a", "06:00:00:00:00:0b"
IPS = ["198.51.100.7", "2001:db8::7"]
OWN = ["198.51.100.1", "2001:db8::1"]


class Own:
    def __init__(self) -> None:
        self.number: int = 1

    def holding(self, device: str, key: bytes) -> int | None:
        return self.number if device == "eth0" and format_ip(key) in OWN else None

    def is_at(self, lladdr: bytes) -> bool:
        return lladdr == LinkAddress(OURS)


class Link:
    """A link, on which frames are heard when they are sent. Time passes when it is told to."""

    def __init__(self) -> None:
        self.own = Own()
        self.judge = Judge(self.own)
        self.now = 1000.0
        self.found: list[tuple[Any, ...]] = []
        self.anew: list[bool] = []
        self.claims: list[bool] = []

    def send(self, frame: bytes) -> None:
        message = read(frame)
        assert not isinstance(message, str)
        heard = self.judge.hear(self.now, self.now, "eth0", frame[6:12], message)
        self.claims.append(heard.claims)
        self.anew.append(heard.anew)
        for one in heard.findings:
            texts = [
                None if octets is None else str(LinkAddress(octets)) for octets in (one.lladdr, one.other)
            ]
            self.found.append((one.kind, None if one.key is None else format_ip(one.key), *texts, one.alarm))


@pytest.fixture
def link() -> Link:
    return Link()


@pytest.fixture
def speaker(link: Link) -> Speaker:
    return Speaker(link)


@pytest.mark.parametrize(
    ("lladdr", "text"),
    [
        ("00:00:5e:00:01:07", "VRRP 7"),
        ("00:00:5e:00:02:ff", "VRRP 255"),
        ("00:00:0c:07:ac:0a", "HSRP 10"),
        ("00:00:0c:9f:f1:23", "HSRP 291"),
        ("00:05:73:a0:01:23", "HSRP 291"),
        ("00:07:b4:00:01:02", "GLBP 1"),
        ("00:07:b4:03:ff:04", "GLBP 1023"),
    ],
)
def test_a_virtual_routers_address_is_known(lladdr: str, text: str) -> None:
    assert str(virtual(LinkAddress(lladdr))) == text
    assert note(LinkAddress(lladdr)) == f"virtual router, {text}"


@pytest.mark.parametrize(
    "lladdr",
    ["00:00:5e:00:53:07", "00:00:5e:00:03:07", "00:00:0c:9f:e1:23", "00:05:73:a0:11:23", "00:00:0c:07:ad:0a"],
)
def test_an_address_beside_them_is_none(lladdr: str) -> None:
    assert virtual(LinkAddress(lladdr)) is None and note(LinkAddress(lladdr)) is None


def test_who_made_an_address_up_is_seen_by_a_bit() -> None:
    assert [is_randomised(LinkAddress(one)) for one in (HOME, GARDEN, A, VRRP7)] == [True, True, False, False]


@pytest.mark.parametrize("ip", IPS)
def test_a_silent_address_that_comes_back_within_a_minute_had_not_left(
    ip: str, link: Link, speaker: Speaker
) -> None:
    speaker.ask(ip, A)
    speaker.ask(ip, B)
    link.now += RETURNED_WITHIN
    speaker.ask(ip, A)
    assert link.found == [("moved", ip, B, A, False), ("duplicate", ip, A, B, True)]
    # Of two that are there at once neither is there anew.
    assert link.anew == [False, True, False]


@pytest.mark.parametrize("ip", IPS)
def test_one_that_comes_back_later_has_moved_twice(ip: str, link: Link, speaker: Speaker) -> None:
    speaker.ask(ip, A)
    speaker.ask(ip, B)
    link.now += RETURNED_WITHIN + 0.1
    speaker.ask(ip, A)
    assert link.found == [("moved", ip, B, A, False), ("flip", ip, A, B, False)]
    assert link.anew == [False, True, True]


@pytest.mark.parametrize("ip", IPS)
def test_the_third_change_within_a_minute_is_an_alarm_though_each_is_announced(
    ip: str, link: Link, speaker: Speaker
) -> None:
    for router in (A, B, A, B):
        speaker.announce(ip, router)
        link.now += 5
    assert link.found == [
        ("moved", ip, B, A, False),
        ("flip", ip, A, B, False),
        ("duplicate", ip, B, A, True),
    ]


def test_handovers_minutes_apart_are_never_an_alarm(link: Link, speaker: Speaker) -> None:
    for router in (A, B) * 10:
        speaker.announce(IPS[0], router)
        link.now += 200
    assert {alarm for *_, alarm in link.found} == {False}
    assert len(link.found) == 19


def test_forwarders_that_share_a_groups_load_are_no_report(link: Link, speaker: Speaker) -> None:
    for forwarder in ("00:07:b4:00:01:01", "00:07:b4:00:01:02") * 3:
        speaker.answer(IPS[0], forwarder)
    assert link.found == []


def test_a_virtual_router_of_version_2_and_3_of_the_protocol_is_the_same(
    link: Link, speaker: Speaker
) -> None:
    speaker.announce(IPS[1], VRRP7)
    speaker.announce(IPS[1], "00:00:5e:00:02:07")
    assert link.found == []


def test_two_virtual_routers_that_answer_one_question_are_a_duplicate(link: Link, speaker: Speaker) -> None:
    speaker.answer(IPS[0], VRRP7)
    speaker.answer(IPS[0], VRRP8)
    assert link.found == [("duplicate", IPS[0], VRRP8, VRRP7, True)]


def test_a_spoof_of_a_virtual_routers_address_is_an_alarm(link: Link, speaker: Speaker) -> None:
    speaker.announce(IPS[0], VRRP7)
    speaker.answer(IPS[0], C)
    speaker.answer(IPS[0], VRRP7, "198.51.100.251")
    assert link.found == [("moved", IPS[0], C, VRRP7, False), ("duplicate", IPS[0], VRRP7, C, True)]


def test_a_phone_that_changes_its_made_up_address_is_an_alarm_if_it_keeps_doing_so(
    link: Link, speaker: Speaker
) -> None:
    for lladdr in (HOME, GARDEN, HOME, GARDEN):
        speaker.ask(IPS[0], lladdr)
    assert link.found == [
        ("moved", IPS[0], GARDEN, HOME, False),
        ("flip", IPS[0], HOME, GARDEN, False),
        ("duplicate", IPS[0], GARDEN, HOME, True),
    ]


def test_made_up_addresses_that_answer_one_question_are_a_duplicate(link: Link, speaker: Speaker) -> None:
    speaker.answer(IPS[0], HOME)
    speaker.answer(IPS[0], GARDEN)
    assert link.found == [("duplicate", IPS[0], GARDEN, HOME, True)]


@pytest.mark.parametrize("ip", OWN)
def test_an_own_address_is_claimed_by_others_alone(ip: str, link: Link, speaker: Speaker) -> None:
    speaker.announce(ip, OURS)
    speaker.announce(ip, VRRP7)
    speaker.ask(ip, C)
    assert link.found == [("failover", ip, VRRP7, None, False), ("own", ip, C, None, True)]
    assert link.claims == [False, True, True]


@pytest.mark.parametrize("ip", OWN)
def test_an_own_address_that_stays_ours_was_not_taken_over_by_a_router(
    ip: str, link: Link, speaker: Speaker
) -> None:
    taken, claimed = ("failover", ip, VRRP7, None, False), ("own", ip, VRRP7, None, True)
    speaker.announce(ip, VRRP7)
    link.now += HANDOVER
    speaker.announce(ip, VRRP7)
    assert link.found == [taken, taken]
    # However seldom, and whichever router it pretends to be.
    for lladdr in (VRRP7, VRRP7, VRRP8):
        link.now += 3600.0
        speaker.announce(ip, lladdr)
    assert link.found[2:] == [claimed, claimed, ("own", ip, VRRP8, None, True)]
    # It was given away and taken back, and goes away again.
    link.own.number += 1
    speaker.announce(ip, VRRP7)
    link.now += HANDOVER + 1.0
    speaker.announce(ip, VRRP7)
    assert link.found[5:] == [taken, claimed]


@pytest.mark.parametrize(
    ("ip", "lladdr"),
    [
        ("127.0.0.1", A),
        ("224.0.0.1", A),
        ("255.255.255.255", A),
        ("198.51.100.7", "00:00:00:00:00:00"),
        ("198.51.100.7", "ff:ff:ff:ff:ff:ff"),
    ],
)
def test_what_no_station_can_have_is_no_claim(ip: str, lladdr: str, link: Link, speaker: Speaker) -> None:
    speaker.ask("198.51.100.7", B)
    speaker.ask(ip, lladdr)
    assert (link.claims, link.found) == ([True, False], [])


def test_a_probe_is_no_claim(link: Link, speaker: Speaker) -> None:
    speaker.ask("198.51.100.7", A)
    speaker.probe("198.51.100.7", B)
    assert (link.claims, link.found) == ([True, False], [])


def test_a_storm_is_told_of_once_while_it_lasts(link: Link, speaker: Speaker) -> None:
    def second(messages: int) -> None:
        for _ in range(messages):
            speaker.ask(IPS[0], A)
        link.now += 1

    for messages in (STORM - 1, STORM, STORM, STORM - 1, 1, STORM):
        second(messages)
    assert link.found == [("storm", None, A, None, True)] * 2


def test_a_storm_of_many_is_the_links(link: Link, speaker: Speaker) -> None:
    for number in range(10 * STORM):
        speaker.ask(f"198.18.{number // 250}.{number % 250 + 1}", station(number % 200))
    assert link.found == [("storm", None, None, None, True)]


def test_what_was_known_before_is_judged_by(link: Link, speaker: Speaker) -> None:
    def remember(past: Iterable[tuple[float, str]]) -> None:
        for ago, lladdr in past:
            link.judge.places.place(link.now - ago, "eth0", parse_ip(IPS[0])[0], LinkAddress(lladdr))

    remember([(500, A), (10, B)])
    speaker.ask(IPS[0], B)
    assert link.found == []
    speaker.ask(IPS[0], A)
    assert link.found == [("flip", IPS[0], A, B, False)]
