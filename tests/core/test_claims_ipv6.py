"""A host's IPv6 addresses: duplicate address detection (RFC 4862, 7527, 4429; R200 to R215)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from neighio.address import LinkAddress, format_ip
from neighio.core.constants import IFF_UP
from neighio.core.events import Transmit
from neighio.errors import DeviceGone, DuplicateAddress
from neighio.testing.simulation import Simulation
from neighio.wire import ndisc

from .discovery import (
    ALL_NODES,
    ELSEWHERE,
    HOST,
    US,
    US_LOCAL,
    Said,
    advertisement,
    asked_all,
    frame,
    group,
    neighbour_messages,
    packed,
    said,
    solicitation,
    table6,
    wanted,
)
from .helpers import OWN, PEER, hear, lines
from .hosts import BEGIN, claimed, conflicts, draws, host, link, log, owns

WANTED = "2001:db8::5"
CLAIM = f"{WANTED}/64"
GROUP = group(WANTED)
TO_GROUP = "33:33:ff:00:00:05"
TO_ALL = "33:33:00:00:00:01"
OTHER_OWN = "02:00:00:00:01:0a"
FOREIGN = bytes.fromhex("a1b2c3d4e5f6")

PROBE = f"neighbour solicitation to {TO_GROUP} src :: dst {GROUP} target {WANTED}"
ANNOUNCEMENT = f"neighbour advertisement to {TO_ALL} src {WANTED} dst {ALL_NODES} target {WANTED}"


def started(**changes: float) -> Simulation:
    """A host with a link-local address, whose claims begin 0.25 s after they are made."""
    sim = host(f"{US_LOCAL}/64")
    if changes:
        sim.set("va", 6, **changes)
    sim.run(5.0)
    log(sim)
    return sim


def since(sim: Simulation, begin: float) -> list[tuple[float, str]]:
    """The log, in seconds from an instant."""
    return [(round(time + BEGIN - begin, 3), text) for time, text in log(sim)]


def nonces(sim: Simulation) -> list[bytes | None]:
    """The nonces of the solicitations that were sent."""
    found = [ndisc.parse(one) for one in neighbour_messages(sim)]
    return [one.nonce for one in found if isinstance(one, ndisc.Solicitation)]


# -- detection: its times and its octets


def test_one_solicitation_and_retrans_time_later_the_address_is_ours() -> None:
    sim = started(retrans_time=1.5)
    begin = sim.now
    pending = sim.claim("va", CLAIM)
    sim.run(1.749)
    assert not pending.done and not owns(sim, WANTED)
    sim.run(60.0)

    assert since(sim, begin) == [(0.25, PROBE)]
    assert (pending.outcome, pending.time) == (None, begin + 1.75)
    assert owns(sim, WANTED)


def test_the_octets_of_a_solicitation_with_and_without_a_nonce() -> None:
    """RFC 4862 5.4.2: from ::, to the solicited-node group, and without our link-layer address."""
    head = "3333ff000005" "02000000000a" "86dd"  # fmt: skip
    addresses = "00000000000000000000000000000000" "ff0200000000000000000001ff000005"  # fmt: skip
    target = "20010db8000000000000000000000005"
    for enhanced in (1, 0):
        sim = started(enhanced_dad=enhanced, ndisc_tclass=0xC8)
        sim.set(None, 6, enhanced_dad=0)
        sim.claim("va", CLAIM)
        sim.run(0.3)
        (sent,) = neighbour_messages(sim)

        length = 32 if enhanced else 24
        assert sent.hex().startswith(head + f"6c800000{length:04x}3aff" + addresses + "8700")
        nonce = nonces(sim)[0]
        options = "" if nonce is None else "0e01" + nonce.hex()
        assert (nonce is not None) == bool(enhanced)
        assert sent.hex().endswith("00000000" + target + options)


@pytest.mark.parametrize("transmits", [1, 2, 3, 7])
@pytest.mark.parametrize("how", ["switch", "argument"])
def test_dad_transmits_solicitations_are_sent_retrans_time_apart(transmits: int, how: str) -> None:
    sim = started(retrans_time=0.4)
    if how == "switch":
        sim.set("va", 6, dad_transmits=transmits)
    begin = sim.now
    pending = sim.claim("va", CLAIM, transmits=None if how == "switch" else transmits)
    sim.run(60.0)

    assert since(sim, begin) == [(round(0.25 + 0.4 * n, 3), PROBE) for n in range(transmits)]
    assert pending.time == pytest.approx(begin + 0.25 + 0.4 * transmits)


@pytest.mark.parametrize(("delay", "first"), [(0, 0.0), (1, 0.25), (4, 1.0)])
def test_it_begins_at_a_random_time_within_router_solicitation_delay(delay: int, first: float) -> None:
    sim = started(router_solicitation_delay=delay)
    begin = sim.now
    pending = sim.claim("va", CLAIM)
    sim.run(60.0)

    assert since(sim, begin) == [(first, PROBE)]
    assert pending.time == pytest.approx(begin + first + 1.0)


def test_retrans_time_is_read_for_each_wait_and_is_two_jiffies_at_least() -> None:
    sim = started(retrans_time=1.0, dad_transmits=3)
    begin = sim.now
    pending = sim.claim("va", CLAIM)
    sim.run(0.5)
    sim.set("va", 6, retrans_time=0.0)
    sim.run(5.0)

    assert [time for time, _ in since(sim, begin)] == [0.25, 1.25, 1.258]
    assert pending.time == pytest.approx(begin + 1.266)


@pytest.mark.parametrize(("how", "transmits"), [("switch", None), ("argument", 0)])
def test_without_detection_it_is_ours_at_once_and_nothing_is_sent(how: str, transmits: int | None) -> None:
    """R200: off if DupAddrDetectTransmits is 0."""
    sim = started(dad_transmits=0 if how == "switch" else 1)
    pending = sim.claim("va", CLAIM, transmits=transmits)

    assert (pending.done, pending.outcome, claimed(sim)) == (True, None, 1)
    assert owns(sim, WANTED)
    sim.run(60.0)
    assert log(sim) == []


@pytest.mark.parametrize(("draw", "first"), [(0.0, 0.0), (0.5, 0.5), (0.999, 0.999)])
def test_the_first_solicitation_comes_within_a_second(draw: float, first: float) -> None:
    """R203."""
    sim = started()
    draws(sim, draw)
    begin = sim.now
    sim.claim("va", CLAIM)
    sim.run(10.0)

    assert [time for time, _ in since(sim, begin)] == [first]


def test_the_group_is_listened_to_before_the_first_solicitation_and_while_it_is_waited_for() -> None:
    """R201."""
    sim = started()
    pending = sim.claim("va", CLAIM)
    assert bytes(LinkAddress(TO_GROUP)) in link(sim).groups
    hear(sim, wanted(WANTED))

    assert isinstance(pending.outcome, DuplicateAddress)
    assert bytes(LinkAddress(TO_GROUP)) not in link(sim).groups


def test_every_address_is_detected_for_itself() -> None:
    """R200: the link-local one's success says nothing of others with the same identifier."""
    sim = started()
    local = sim.claim("va", "fe80::5/64")
    other = sim.claim("va", CLAIM)
    sim.run(0.1)
    hear(sim, advertisement(WANTED))
    sim.run(10.0)

    assert local.outcome is None
    assert isinstance(other.outcome, DuplicateAddress)
    assert bytes(LinkAddress(TO_GROUP)) in link(sim).groups


# -- what shows that somebody else has it

# fmt: off
HEARD: list[tuple[str, bytes, str | None]] = [
    ("NA, unsolicited",             advertisement(WANTED, "O"),                                   PEER),
    ("NA, solicited, to us",        advertisement(WANTED, "S", dst=US_LOCAL),                     PEER),
    ("NA without an address",       advertisement(WANTED, "O", lladdr=None),                      PEER),
    ("NA that names a third one",   advertisement(WANTED, "O", lladdr=ELSEWHERE),                 ELSEWHERE),
    ("NA from elsewhere",           advertisement(WANTED, sender=HOST),                           PEER),
    ("NA of another",               advertisement(HOST, "O"),                                     None),
    ("NS from ::",                  wanted(WANTED),                                               PEER),
    ("NS from ::, foreign nonce",   wanted(WANTED, nonce=FOREIGN),                                PEER),
    ("NS from :: for another",      wanted("2001:db8:5::5"),                                      None),
    ("NS from somebody",            solicitation(HOST, WANTED),                                   None),
    ("NS from somebody, unicast",   solicitation(HOST, WANTED, dst=WANTED),                       None),
    ("NS from itself",              solicitation(WANTED, US_LOCAL),                               None),
]
# fmt: on


@pytest.mark.parametrize("when", [0.1, 1.0, 2.2], ids=["waiting", "detecting", "after the last"])
@pytest.mark.parametrize(("heard", "where"), [row[1:] for row in HEARD], ids=[row[0] for row in HEARD])
def test_whoever_shows_that_the_address_is_his_has_it(heard: bytes, where: str | None, when: float) -> None:
    """R205, R207: from the wish to the end of the last wait."""
    sim = started(dad_transmits=2)
    pending = sim.claim("va", CLAIM)
    sim.run(when)
    sim.lines()
    hear(sim, heard)

    if where is None:
        assert conflicts(sim) == []
        assert not pending.done
    else:
        assert conflicts(sim) == [(WANTED, where, "duplicate")]
        assert isinstance(pending.outcome, DuplicateAddress)
        assert str(pending.outcome.lladdr) == where
        assert sim.device("va").address(packed(WANTED)) is None
    sim.run(60.0)
    assert owns(sim, WANTED) is (where is None)


def test_after_a_duplicate_nothing_more_is_sent_and_the_address_may_be_tried_again() -> None:
    sim = started(dad_transmits=5)
    sim.claim("va", CLAIM)
    sim.run(1.5)
    hear(sim, advertisement(WANTED))
    log(sim)
    sim.run(60.0)
    assert log(sim) == []

    again = sim.claim("va", CLAIM)
    sim.run(10.0)
    assert again.outcome is None


@pytest.mark.parametrize("transmits", [1, 3])
def test_our_own_solicitation_come_back_is_no_duplicate(transmits: int) -> None:
    """R213: it has the nonce that we know (RFC 7527 4.2)."""
    sim = started(dad_transmits=transmits)
    pending = sim.claim("va", CLAIM)
    for _ in range(30):
        sim.run(0.1)
        for sent in neighbour_messages(sim):
            hear(sim, sent)
        sim.lines()
    sim.run(10.0)

    assert pending.outcome is None
    assert sim.device("va").drops["ndisc_own_nonce"] == transmits


def test_a_foreign_nonce_is_a_duplicate_even_if_ours_was_seen_too() -> None:
    """R214."""
    sim = started()
    pending = sim.claim("va", CLAIM)
    sim.run(0.5)
    (sent,) = neighbour_messages(sim)
    hear(sim, sent)
    assert not pending.done
    hear(sim, wanted(WANTED, nonce=FOREIGN))

    assert isinstance(pending.outcome, DuplicateAddress)


def test_without_enhanced_dad_our_own_solicitation_come_back_is_taken_for_somebody_elses() -> None:
    """What the nonce is for; as in Linux."""
    sim = started(enhanced_dad=0)
    sim.set(None, 6, enhanced_dad=0)
    pending = sim.claim("va", CLAIM)
    sim.run(0.5)
    (sent,) = neighbour_messages(sim)
    assert nonces(sim) == [None]
    hear(sim, sent)

    assert isinstance(pending.outcome, DuplicateAddress)


def test_a_nonce_of_another_size_is_none() -> None:
    sim = started()
    pending = sim.claim("va", CLAIM)
    sim.run(0.5)
    (own,) = nonces(sim)
    assert own is not None
    hear(sim, wanted(WANTED, nonce=own + bytes(8)))

    assert isinstance(pending.outcome, DuplicateAddress)


@pytest.mark.parametrize(
    ("everywhere", "here", "with_nonce"), [(1, 1, True), (1, 0, True), (0, 1, True), (0, 0, False)]
)
def test_enhanced_dad_is_on_if_it_is_everywhere_or_here(everywhere: int, here: int, with_nonce: bool) -> None:
    sim = started(enhanced_dad=here)
    sim.set(None, 6, enhanced_dad=everywhere)
    sim.claim("va", CLAIM)
    sim.run(0.5)

    assert [nonce is not None for nonce in nonces(sim)] == [with_nonce]


def test_nonces_are_random_and_each_detection_has_its_own() -> None:
    sim = host(f"{US_LOCAL}/64", draw=None)
    sim.run(5.0)
    sim.lines()
    for number in range(20, 40):
        sim.claim("va", f"2001:db8::{number}/64")
    sim.run(5.0)
    found = nonces(sim)

    assert len(found) == len(set(found)) == 20
    assert {len(nonce) for nonce in found if nonce is not None} == {6}


# -- a tentative address is not used


def test_a_tentative_address_is_neither_a_source_nor_answered_for() -> None:
    """R204, R206."""
    sim = started(dad_transmits=200)
    sim.claim("va", CLAIM)
    sim.run(2.0)
    sim.lines()
    sim.device("va").drops.clear()
    for heard in (
        solicitation(HOST, WANTED),
        solicitation(HOST, US_LOCAL, dst=WANTED),
        advertisement(HOST, "S", dst=WANTED),
    ):
        before = table6(sim)
        hear(sim, heard)
        assert table6(sim) == before
    assert sim.outputs == []
    assert sim.device("va").drops == {"ndisc_target_tentative": 3}
    sim.send(HOST, b"\x60" + bytes(7) + packed(WANTED) + packed(HOST))
    assert said(sim) == [asked_all(HOST)]


def test_once_it_is_ours_it_is_answered_for() -> None:
    sim = started()
    sim.claim("va", CLAIM)
    sim.run(2.0)
    sim.lines()
    hear(sim, solicitation(HOST, WANTED))

    assert said(sim) == [Said("NA", WANTED, WANTED, HOST, PEER, OWN, "SO")]


def test_who_wants_an_address_that_is_ours_is_told_so() -> None:
    sim = started()
    sim.claim("va", CLAIM)
    sim.run(2.0)
    sim.lines()
    hear(sim, wanted(WANTED, nonce=FOREIGN))

    assert said(sim) == [Said("NA", WANTED, WANTED, ALL_NODES, TO_ALL, OWN, "O")]
    assert owns(sim, WANTED)


# -- optimistic addresses


def optimistic(**changes: float) -> Simulation:
    sim = started(dad_transmits=3, **changes)
    sim.claim("va", CLAIM, optimistic=True)
    return sim


def test_an_optimistic_address_is_detected_without_a_wait() -> None:
    sim = started(retrans_time=1.5)
    begin = sim.now
    pending = sim.claim("va", CLAIM, optimistic=True)
    sim.run(60.0)

    assert since(sim, begin) == [(0.0, PROBE)]
    assert (pending.outcome, pending.time) == (None, begin + 1.5)
    address = sim.device("va").address(packed(WANTED))
    assert address is not None and address.proven


def test_an_optimistic_address_is_answered_for_without_override_and_nobody_is_asked_from_it() -> None:
    """R210, R211."""
    sim = optimistic()
    sim.run(0.5)
    sim.lines()
    hear(sim, solicitation(HOST, WANTED))
    assert said(sim) == [Said("NA", WANTED, WANTED, HOST, PEER, OWN, "S")]
    assert lines(sim) == [f"{HOST} lladdr {PEER} STALE"]

    sim.send("2001:db8::8", b"\x60" + bytes(7) + packed(WANTED) + packed("2001:db8::8"))
    assert said(sim) == [asked_all("2001:db8::8")]


@pytest.mark.parametrize("heard", [wanted(WANTED), wanted(WANTED, nonce=FOREIGN), advertisement(WANTED, "O")])
def test_an_optimistic_address_that_somebody_else_has_goes_and_is_not_defended(heard: bytes) -> None:
    """R211."""
    sim = optimistic()
    sim.run(0.5)
    sim.lines()
    hear(sim, heard)

    assert said(sim) == []
    assert conflicts(sim) == [(WANTED, PEER, "duplicate")]
    assert sim.device("va").address(packed(WANTED)) is None


@pytest.mark.parametrize(
    ("everywhere", "here", "forwarding", "wish", "used"),
    [
        (0, 0, 0, None, False),
        (1, 0, 0, None, True),
        (0, 1, 0, None, True),
        (1, 1, 1, None, False),
        (0, 0, 0, True, True),
        (1, 1, 0, False, False),
    ],
)
def test_optimistic_dad_says_so_unless_the_caller_does_and_not_for_routers(
    everywhere: int, here: int, forwarding: int, wish: bool | None, used: bool
) -> None:
    """R212."""
    sim = started(optimistic_dad=here, forwarding=forwarding)
    sim.set(None, 6, optimistic_dad=everywhere)
    sim.claim("va", CLAIM, optimistic=wish)
    address = sim.device("va").address(packed(WANTED))

    assert address is not None
    assert (address.optimistic, address.tentative, address.proven) == (used, not used, False)


def test_without_detection_nothing_is_optimistic() -> None:
    sim = started(optimistic_dad=1)
    sim.claim("va", CLAIM, transmits=0)

    assert owns(sim, WANTED)


# -- ndisc_notify


@pytest.mark.parametrize(("everywhere", "here", "told"), [(0, 0, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1)])
def test_with_ndisc_notify_an_address_is_announced_once_its_detection_is_over(
    everywhere: int, here: int, told: int
) -> None:
    sim = started(ndisc_notify=here, retrans_time=1.5)
    sim.set(None, 6, ndisc_notify=everywhere)
    begin = sim.now
    sim.claim("va", CLAIM)
    sim.run(60.0)

    assert since(sim, begin) == [(0.25, PROBE), *[(1.75, ANNOUNCEMENT)] * told]


@pytest.mark.parametrize("forwarding", [0, 1])
def test_that_announcement_says_whether_we_are_a_router(forwarding: int) -> None:
    sim = started(ndisc_notify=1, forwarding=forwarding)
    sim.claim("va", CLAIM)
    sim.run(2.0)

    assert said(sim)[-1] == Said("NA", WANTED, WANTED, ALL_NODES, TO_ALL, OWN, "R" * forwarding + "O")


# -- later conflicts


def in_use() -> Simulation:
    sim = started()
    sim.claim("va", CLAIM, defence="always")
    sim.run(10.0)
    log(sim)
    return sim


@pytest.mark.parametrize("flags", ["", "S", "O", "SO"])
def test_an_advertisement_of_an_address_in_use_is_reported_and_nothing_else(flags: str) -> None:
    """R208: no defence, no entry, and the address stays."""
    sim = in_use()
    before = table6(sim)
    hear(sim, advertisement(WANTED, flags, lladdr=ELSEWHERE, dst=US_LOCAL if "S" in flags else None))

    assert conflicts(sim) == [(WANTED, ELSEWHERE, "reported")]
    assert (table6(sim), said(sim)) == (before, [])
    assert owns(sim, WANTED)


@pytest.mark.parametrize("lladdr", [OWN, OTHER_OWN, None])
def test_our_own_advertisement_come_back_is_no_conflict(lladdr: str | None) -> None:
    """Trap 35: it must neither be reported nor take the address away."""
    sim = in_use()
    sim.add_device("vb", OTHER_OWN, [], role="host")
    heard = advertisement(WANTED, "O", lladdr=lladdr)
    hear(sim, heard if lladdr else heard[:6] + bytes(LinkAddress(OWN)) + heard[12:])

    assert conflicts(sim) == []
    assert owns(sim, WANTED)


def test_an_address_that_nobody_claimed_is_contested_in_silence() -> None:
    """One that was given, not wanted: whose it is, is not ours to say."""
    sim = started()
    hear(sim, advertisement(US_LOCAL, "O"))

    assert conflicts(sim) == []


# -- giving back


def test_an_address_that_is_given_back_is_gone_with_its_group() -> None:
    sim = in_use()
    assert sim.engine.release_address(1, packed(WANTED), sim.now)
    sim.run(0.0)

    assert sim.device("va").address(packed(WANTED)) is None
    assert bytes(LinkAddress(TO_GROUP)) not in link(sim).groups
    assert not sim.engine.release_address(1, packed(WANTED), sim.now)
    log(sim)
    hear(sim, frame(solicitation(HOST, WANTED)[14:]))
    assert said(sim) == []


@pytest.mark.parametrize("when", [0.1, 1.0])
@pytest.mark.parametrize("wish", [False, True], ids=["tentative", "optimistic"])
def test_giving_back_while_detecting_ends_it(when: float, wish: bool) -> None:
    sim = started(dad_transmits=3)
    sim.claim("va", CLAIM, optimistic=wish)
    sim.run(when)
    log(sim)
    assert sim.engine.release_address(1, packed(WANTED), sim.now)
    sim.run(60.0)

    assert (log(sim), claimed(sim)) == ([], 0)
    assert sim.device("va").address(packed(WANTED)) is None


# -- down and up


def down_and_up(sim: Simulation, seconds: float = 3.0) -> float:
    """Returns when it was up again."""
    link(sim).set_down()
    sim.run(seconds)
    log(sim)
    link(sim).set_up()
    return sim.now


@pytest.mark.parametrize("when", [0.1, 1.0, 2.2])
def test_a_device_that_goes_down_while_detecting_detects_anew_when_it_is_up(when: float) -> None:
    sim = started(dad_transmits=2)
    pending = sim.claim("va", CLAIM)
    sim.run(when)
    begin = down_and_up(sim)
    assert not pending.done and not owns(sim, WANTED)
    sim.run(60.0)

    assert since(sim, begin) == [(0.25, PROBE), (1.25, PROBE)]
    assert (pending.outcome, pending.time) == (None, begin + 2.25)


def test_an_address_in_use_is_tentative_again_when_the_device_comes_up() -> None:
    sim = in_use()
    begin = down_and_up(sim)
    assert not owns(sim, WANTED)
    sim.run(0.5)
    assert since(sim, begin) == [(0.25, PROBE)]
    hear(sim, advertisement(WANTED))

    assert conflicts(sim) == [(WANTED, PEER, "duplicate")]
    sim.run(60.0)
    assert sim.device("va").address(packed(WANTED)) is None


def test_each_detection_after_a_pause_has_a_nonce_of_its_own() -> None:
    sim = host(f"{US_LOCAL}/64", draw=None)
    sim.claim("va", CLAIM)
    sim.run(10.0)
    first = nonces(sim)
    down_and_up(sim)
    sim.run(10.0)
    second = nonces(sim)

    assert len(first) == len(second) == 1
    assert first != second


def test_an_address_that_was_had_without_detection_stays() -> None:
    sim = started()
    sim.claim("va", CLAIM, transmits=0)
    down_and_up(sim)

    assert owns(sim, WANTED)
    sim.run(60.0)
    assert log(sim) == []


def test_what_is_wanted_while_the_device_is_down_is_detected_when_it_is_up() -> None:
    sim = started()
    link(sim).set_down()
    log(sim)
    pending = sim.claim("va", CLAIM)
    sim.run(60.0)
    assert log(sim) == [] and not pending.done
    link(sim).set_up()
    begin = sim.now
    sim.run(60.0)

    assert since(sim, begin) == [(0.25, PROBE)]
    assert pending.outcome is None


@pytest.mark.parametrize("end", [lambda sim: sim.driver.detach(1), lambda sim: link(sim).remove()])
def test_a_device_that_goes_for_good_ends_the_wait(end: Callable[[Simulation], None]) -> None:
    sim = started()
    pending = sim.claim("va", CLAIM)
    sim.run(0.5)
    log(sim)
    end(sim)
    sim.run(60.0)

    assert isinstance(pending.outcome, DeviceGone)
    assert [text for _, text in log(sim) if "neighbour" in text] == []


# -- two hosts


def test_two_hosts_that_want_the_same_address_at_once_both_fail() -> None:
    """RFC 4862 5.4.3: each hears the other's solicitation."""
    one, other = started(), started()
    other.random.seed(8)  # or their nonces were the same
    other.engine.devices[1].lladdr = bytes(LinkAddress(PEER))
    pending = [sim.claim("va", CLAIM) for sim in (one, other)]
    for sim in (one, other):
        sim.run(0.3)
    sent = [[o.frame for o in sim.outputs if isinstance(o, Transmit)] for sim in (one, other)]
    for sim, heard in ((one, sent[1]), (other, sent[0])):
        for each in heard:
            hear(sim, each)

    assert [type(each.outcome) for each in pending] == [DuplicateAddress] * 2


def test_two_hosts_that_ask_for_each_other_at_once_know_each_other_after_a_finite_number_of_frames() -> None:
    """Trap 202."""
    one, other = host(f"{US}/64", f"{US_LOCAL}/64"), host(f"{HOST}/64", "fe80::b/64")
    other.engine.devices[1].lladdr = bytes(LinkAddress(PEER))
    for sim, to in ((one, HOST), (other, US)):
        sim.run(5.0)
        log(sim)
        sim.set("va", 6, base_reachable_time=4000.0)
        sim.send(to)
    exchanged = 0
    for _ in range(20):
        for sim, peer in ((one, other), (other, one)):
            sent = neighbour_messages(sim)
            sim.lines()
            exchanged += len(sent)
            for each in sent:
                hear(peer, each)
    for sim in (one, other):
        sim.run(1.0)

    assert exchanged <= 6
    here, there = one.neighbour(HOST), other.neighbour(US)
    assert here is not None and there is not None
    assert (str(here.lladdr), str(there.lladdr)) == (PEER, OWN)


# -- routers are told (RFC 9131 6.1.2)

ALL_ROUTERS = "ff02::2"
TOLD = f"neighbour advertisement to 33:33:00:00:00:02 src {WANTED} dst {ALL_ROUTERS} target {WANTED}"


def advertisements(sim: Simulation) -> list[ndisc.Advertisement]:
    found = [ndisc.parse(one) for one in neighbour_messages(sim)]
    return [one for one in found if isinstance(one, ndisc.Advertisement)]


@pytest.mark.parametrize("router", [0, 1])
def test_routers_are_told_three_times_of_an_address_when_it_is_ours(router: int) -> None:
    sim = started(retrans_time=0.5, forwarding=router)
    begin = sim.now
    sim.claim("va", CLAIM, notify_routers=True)
    sim.run(60.0)
    told = advertisements(sim)

    assert since(sim, begin) == [(0.25, PROBE), (0.75, TOLD), (1.25, TOLD), (1.75, TOLD)]
    for one in told:
        assert (one.router, one.solicited, one.override) == (bool(router), False, False)
        assert one.lladdr == LinkAddress(OWN)


def test_they_are_told_of_an_optimistic_address_at_once_and_of_no_duplicate() -> None:
    sim = started(retrans_time=1.5)
    begin = sim.now
    sim.claim("va", CLAIM, optimistic=True, notify_routers=True)
    sim.run(1.0)
    assert since(sim, begin) == [(0.0, TOLD), (0.0, PROBE)]
    hear(sim, advertisement(WANTED, dst=ALL_NODES, lladdr=PEER))
    sim.run(60.0)
    assert [text for _, text in since(sim, begin) if text == TOLD] == []


def test_they_are_told_of_one_that_is_not_detected_and_again_when_the_device_comes_up() -> None:
    sim = started(retrans_time=0.5)
    begin = sim.now
    sim.claim("va", CLAIM, transmits=0, notify_routers=True)
    sim.run(60.0)
    assert since(sim, begin) == [(0.0, TOLD), (0.5, TOLD), (1.0, TOLD)]
    link(sim).set_down()
    sim.run(1.0)
    log(sim)
    begin = sim.now
    link(sim).set_up()
    sim.run(60.0)
    assert since(sim, begin) == [(0.0, TOLD), (0.5, TOLD), (1.0, TOLD)]


def test_they_are_told_of_no_link_local_address_and_of_none_unasked() -> None:
    sim = started(ndisc_notify=1)
    sim.claim("va", "fe80::5/64", notify_routers=True)
    sim.claim("va", CLAIM)
    sim.run(60.0)
    assert {format_ip(one.dst) for one in advertisements(sim)} == {ALL_NODES}


def test_nobody_is_told_while_the_device_is_down() -> None:
    sim = started()
    link(sim).set_down()
    sim.run(1.0)
    log(sim)
    sim.claim("va", CLAIM, transmits=0, notify_routers=True)
    sim.run(60.0)
    assert log(sim) == [] and sim.driver.counters == {}


@pytest.mark.parametrize("transmits", [0, 1])
def test_nobody_is_told_before_there_is_a_carrier(transmits: int) -> None:
    sim = started(retrans_time=0.5)
    link(sim).set_down()
    link(sim).change(flags=link(sim).flags | IFF_UP)
    sim.claim("va", CLAIM, transmits=transmits, notify_routers=True)
    sim.run(60.0)
    assert advertisements(sim) == []
    log(sim)
    link(sim).set_carrier(True)
    sim.run(60.0)
    assert [text for _, text in log(sim) if text == TOLD] == [TOLD] * 3
