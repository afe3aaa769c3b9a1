"""A host's IPv4 addresses: detected before use, announced, and defended (RFC 5227; R020 to R034)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from neighio.address import LinkAddress
from neighio.core.claims import DEFENCES
from neighio.core.constants import AF_INET, AF_INET6, IFF_LOWER_UP, IFF_UP, NUD_STALE
from neighio.core.device import Address, Device
from neighio.core.engine import Engine
from neighio.core.events import Transmit
from neighio.errors import AdminError, DeviceGone, DuplicateAddress, InvalidAddress
from neighio.testing.simulation import Simulation

from .discovery import advertisement
from .helpers import OWN, PEER, add, alive, arp_frame, hear, lines
from .hosts import BEGIN, claimed, conflicts, draws, host, link, log, owns

WANTED = "198.51.100.5"
CLAIM = f"{WANTED}/24"
HOST = "198.51.100.7"
NOBODY = "0.0.0.0"
OTHER_OWN = "02:00:00:00:01:0a"
ELSEWHERE = "02:00:00:00:00:0c"
REQUEST, REPLY = 1, 2

PROBE = f"arp request to broadcast spa {NOBODY} tpa {WANTED}"
ANNOUNCEMENT = f"arp request to broadcast spa {WANTED} tpa {WANTED}"

# With every draw 0.25: a wait of 0.25 s, probes 1.25 s apart, 2 s of listening.
DETECTION = [(0.25, PROBE), (1.5, PROBE), (2.75, PROBE)]
DETECTED = 4.75
ANNOUNCED = [(DETECTED, ANNOUNCEMENT), (DETECTED + 2.0, ANNOUNCEMENT)]


def seized(sha: str = PEER) -> bytes:
    """Somebody announces that the address is theirs."""
    return arp_frame(REQUEST, WANTED, WANTED, lladdr=sha)


# -- detection: its times and its octets


def test_three_probes_two_seconds_of_listening_then_the_address_is_ours_and_announced_twice() -> None:
    sim = host()
    pending = sim.claim("va", CLAIM)
    sim.run(DETECTED - 0.001)
    assert not pending.done and not owns(sim, WANTED)
    sim.run(60.0)

    assert log(sim) == [*DETECTION, *ANNOUNCED]
    assert (pending.done, pending.outcome, pending.time) == (True, None, BEGIN + DETECTED)
    assert owns(sim, WANTED)


def test_the_octets_of_a_probe_and_of_an_announcement() -> None:
    """R021, R022: the sender's IP address and the target's link-layer address are zero in a probe."""
    sim = host()
    sim.claim("va", CLAIM)
    sim.run(DETECTED)
    sent = [output.frame.hex() for output in sim.outputs if isinstance(output, Transmit)]

    head = "ffffffffffff" "02000000000a" "0806" "0001" "0800" "06" "04" "0001" "02000000000a"  # fmt: skip
    probe, announcement = head + "00000000000000000000c6336405", head + "c6336405000000000000c6336405"
    assert sent == [probe] * 3 + [announcement]


@pytest.mark.parametrize(
    ("draw", "times"),
    [
        (0.0, [0.0, 1.0, 2.0, 4.0, 6.0]),
        (0.5, [0.5, 2.0, 3.5, 5.5, 7.5]),
        (0.999, [0.999, 2.998, 4.997, 6.997, 8.997]),
    ],
)
def test_the_random_waits_are_up_to_one_and_from_one_to_two_seconds(draw: float, times: list[float]) -> None:
    """R023: U(0, 1) before the first, U(1, 2) between two, 2 s after the last; R028: 2 s between two."""
    sim = host(draw=draw)
    sim.claim("va", CLAIM)
    sim.run(60.0)

    assert [time for time, _ in log(sim)] == times


def test_each_wait_is_a_draw_of_its_own() -> None:
    sim = host(draw=None)
    times = []
    for number in range(20, 60):
        sim.claim("va", f"198.51.100.{number}/24")
        start = sim.now - BEGIN
        sim.run(20.0)
        times.append([time - start for time, _ in log(sim)])

    firsts = [row[0] for row in times]
    gaps = [later - earlier for row in times for earlier, later in ((row[0], row[1]), (row[1], row[2]))]
    assert all(0 <= first < 1 for first in firsts) and all(1 <= gap <= 2 for gap in gaps)
    assert len({round(value, 3) for value in firsts}) > 30
    assert len({round(value, 3) for value in gaps}) > 60
    assert all(row[3] - row[2] == pytest.approx(2.0, abs=0.002) for row in times)


@pytest.mark.parametrize("transmits", [1, 2, 5])
def test_a_caller_may_say_how_many_probes(transmits: int) -> None:
    sim = host()
    sim.claim("va", CLAIM, transmits=transmits)
    sim.run(60.0)

    assert [text for _, text in log(sim)] == [PROBE] * transmits + [ANNOUNCEMENT] * 2


def test_without_detection_it_is_ours_at_once_and_nothing_is_sent() -> None:
    sim = host()
    pending = sim.claim("va", CLAIM, transmits=0)

    assert (pending.done, pending.outcome) == (True, None)
    assert owns(sim, WANTED)
    sim.run(60.0)
    assert log(sim) == []


def test_an_address_that_is_in_use_is_never_probed_for_again() -> None:
    """R020."""
    sim = host()
    sim.claim("va", CLAIM)
    sim.run(10.0)
    log(sim)
    sim.run(7 * 24 * 3600.0)

    assert log(sim) == []


def test_several_addresses_are_detected_each_by_itself() -> None:
    sim = host()
    first = sim.claim("va", CLAIM)
    sim.run(1.0)
    second = sim.claim("va", "198.51.100.6/24")
    hear(sim, seized())
    sim.run(60.0)

    assert isinstance(first.outcome, DuplicateAddress)
    assert (second.outcome, second.time) == (None, BEGIN + 1.0 + DETECTED)


# -- what is a conflict while it is being detected

# a message that is heard -> whether the address is taken
# fmt: off
HEARD: list[tuple[str, bytes, bool]] = [
    ("gratuitous request",              seized(),                                                    True),
    ("gratuitous reply",                arp_frame(REPLY, WANTED, WANTED, tha=PEER),                  True),
    ("request for somebody",            arp_frame(REQUEST, WANTED, HOST),                            True),
    ("unicast request for somebody",    arp_frame(REQUEST, WANTED, HOST, dst=OWN),                   True),
    ("reply to our probe",              arp_frame(REPLY, WANTED, NOBODY, tha=OWN, dst=OWN),          True),
    ("reply to somebody, broadcast",    arp_frame(REPLY, WANTED, HOST, tha=ELSEWHERE),               True),
    ("probe for it",                    arp_frame(REQUEST, NOBODY, WANTED),                          True),
    ("probe for another",               arp_frame(REQUEST, NOBODY, HOST),                            False),
    ("reply from nobody",               arp_frame(REPLY, NOBODY, WANTED, dst=OWN),                   False),
    ("question for it",                 arp_frame(REQUEST, HOST, WANTED),                            False),
    ("reply that names it as target",   arp_frame(REPLY, HOST, WANTED, dst=OWN),                     False),
    ("somebody else's announcement",    arp_frame(REQUEST, HOST, HOST),                              False),
    ("our own announcement, come back", seized(OWN),                                                 False),
    ("our own probe, come back",        arp_frame(REQUEST, NOBODY, WANTED, lladdr=OWN),              False),
    ("that of another device of ours",  arp_frame(REQUEST, NOBODY, WANTED, lladdr=OTHER_OWN),        False),
    ("another operation",               arp_frame(3, WANTED, WANTED),                                False),
]
# fmt: on


@pytest.mark.parametrize(
    "when", [0.1, 1.0, 2.9, 4.7], ids=["waiting", "probing", "after the last", "at the end"]
)
@pytest.mark.parametrize(("heard", "taken"), [row[1:] for row in HEARD], ids=[row[0] for row in HEARD])
def test_whoever_shows_that_the_address_is_his_has_it(heard: bytes, taken: bool, when: float) -> None:
    """R024, R025, R026: over the whole time from the first wait to the end of the listening."""
    sim = host()
    sim.add_device("vb", OTHER_OWN, [], role="host")
    pending = sim.claim("va", CLAIM)
    sim.run(when)
    sim.lines()
    hear(sim, heard)

    if taken:
        assert conflicts(sim) == [(WANTED, PEER, "duplicate")]
        assert isinstance(pending.outcome, DuplicateAddress)
        assert (pending.outcome.ip, pending.outcome.device) == (WANTED, "va")
        assert pending.outcome.lladdr == LinkAddress(PEER)
    else:
        assert conflicts(sim) == []
        assert not pending.done
    sim.run(60.0)
    assert owns(sim, WANTED) is not taken
    assert (pending.outcome is None) is not taken


def test_after_a_duplicate_nothing_more_is_sent_and_the_address_may_be_tried_again() -> None:
    sim = host()
    sim.claim("va", CLAIM)
    sim.run(0.5)
    hear(sim, seized())
    log(sim)
    sim.run(60.0)
    assert log(sim) == []
    assert sim.engine.claims.of(sim.device("va")) == ()

    again = sim.claim("va", CLAIM)
    sim.run(10.0)
    assert again.outcome is None


@pytest.mark.parametrize("op", [REQUEST, REPLY])
def test_an_address_that_is_being_detected_is_not_answered_for(op: int) -> None:
    sim = host()
    sim.claim("va", CLAIM)
    sim.run(0.5)
    sim.lines()
    hear(sim, arp_frame(op, HOST, WANTED))

    assert sim.outputs == []
    assert alive(sim) == set()


def test_from_the_first_announcement_on_requests_are_answered_probes_included() -> None:
    """R034."""
    sim = host()
    sim.claim("va", CLAIM)
    sim.run(DETECTED)
    log(sim)
    hear(sim, arp_frame(REQUEST, HOST, WANTED))
    hear(sim, arp_frame(REQUEST, NOBODY, WANTED, lladdr=ELSEWHERE))

    assert log(sim) == [
        (DETECTED, f"{HOST} lladdr {PEER} STALE"),
        (DETECTED, f"arp reply to {PEER} spa {WANTED} tpa {HOST}"),
        (DETECTED, f"arp reply to {ELSEWHERE} spa {WANTED} tpa {NOBODY}"),
    ]
    assert conflicts(sim) == []


@pytest.mark.parametrize("transmits", [None, 0])
def test_an_address_that_is_wanted_already_is_not_wanted_twice(transmits: int | None) -> None:
    sim = host()
    sim.claim("va", CLAIM, transmits=transmits)
    with pytest.raises(AdminError, match=rf"address: {WANTED} is there already") as caught:
        sim.claim("va", "198.51.100.5/16")
    assert isinstance(caught.value, FileExistsError)

    sim.run(10.0)
    assert owns(sim, WANTED)
    with pytest.raises(AdminError):
        sim.claim("va", CLAIM)


def test_an_address_that_was_given_otherwise_is_not_wanted_either() -> None:
    sim = host(CLAIM)
    with pytest.raises(AdminError, match="is there already"):
        sim.claim("va", CLAIM)


@pytest.mark.parametrize("family", [AF_INET, AF_INET6])
def test_an_address_of_a_family_that_is_not_served_is_refused_by_name(family: int) -> None:
    other = {AF_INET: AF_INET6, AF_INET6: AF_INET}[family]
    engine = Engine(families=(other,))
    engine.attach(Device("va", 1, LinkAddress(OWN), flags=IFF_UP | IFF_LOWER_UP, answers=True), 0.0)
    engine.take_outputs()
    ip = bytes((198, 51, 100, 5)) if family == AF_INET else b"\x20\x01" + bytes(13) + b"\5"
    with pytest.raises(InvalidAddress, match=r"^ip: .* is of a family that this table does not serve"):
        engine.claim_address(1, Address(ip, 24), 0.0)
    with pytest.raises(InvalidAddress, match=r"^ip: .* is of a family that this table does not serve"):
        engine.announce(1, ip, 0.0)

    assert engine.take_outputs() == []


# -- R027: after ten conflicts


def lose(sim: Simulation, times: int) -> list[float]:
    """Have so many claims fail as soon as they probe; returns when each probed first."""
    began = []
    for _ in range(times):
        sim.claim("va", CLAIM)
        while not (sent := [time for time, text in log(sim) if text == PROBE]):
            sim.run(0.05)
        began += sent
        hear(sim, seized())
        assert conflicts(sim) == [(WANTED, PEER, "duplicate")]
        log(sim)
    return began


def test_after_ten_conflicts_on_a_device_a_new_address_is_tried_once_a_minute() -> None:
    sim = host()
    first = lose(sim, 10)
    assert first[-1] - first[0] < 10.0
    further = lose(sim, 4)

    gaps = [later - earlier for earlier, later in pairwise([first[-1], *further])]
    assert gaps == pytest.approx([60.0] * 4, abs=0.01)


def test_claims_of_the_same_moment_share_that_allowance() -> None:
    sim = host()
    lose(sim, 10)
    start = sim.now - BEGIN
    for number in (20, 21, 22):
        sim.claim("va", f"198.51.100.{number}/24", transmits=1)
    sim.run(300.0)

    probes = [(time, text[-2:]) for time, text in log(sim) if NOBODY in text]
    assert [which for _, which in probes] == ["20", "21", "22"]
    gaps = [later[0] - earlier[0] for earlier, later in pairwise(probes)]
    assert gaps == pytest.approx([60.0, 60.0], abs=0.001)
    assert probes[0][0] <= start + 60.0


def test_another_device_is_not_slowed_down() -> None:
    sim = host()
    sim.add_device("vb", OTHER_OWN, [], role="host")
    lose(sim, 10)
    pending = sim.claim("vb", "203.0.113.5/24")
    sim.run(10.0)

    assert pending.outcome is None


def test_duplicates_of_ipv6_do_not_slow_ipv4_down() -> None:
    """RFC 5227's limit is about ARP; each family has a detection of its own."""
    sim = host()
    for number in range(12):
        sim.claim("va", f"2001:db8::{number:x}/64")
        hear(sim, advertisement(f"2001:db8::{number:x}"))
    assert len(conflicts(sim)) == 12
    start = sim.now - BEGIN
    log(sim)
    sim.claim("va", CLAIM)
    sim.run(10.0)

    assert [round(time - start, 3) for time, text in log(sim) if text == PROBE] == [0.25, 1.5, 2.75]


def test_the_detection_of_an_ipv6_address_uses_nothing_of_that_allowance() -> None:
    sim = host()
    last = lose(sim, 10)[-1]
    sim.run(30.0)
    sim.claim("va", "2001:db8::5/64")
    sim.claim("va", CLAIM)
    sim.run(60.0)

    assert next(time for time, text in log(sim) if text == PROBE) == pytest.approx(last + 60.0, abs=0.01)


# -- later conflicts: R029 to R033


def in_use(defence: str) -> Simulation:
    """The address has been in use for a minute."""
    sim = host()
    sim.claim("va", CLAIM, defence=defence)
    sim.run(60.0)
    log(sim)
    return sim


# when conflicts come (seconds), and what is done about each
# fmt: off
DEFENDED = {
    "none":   [(0.0, "reported"), (1.0, "reported"), (30.0, "reported")],
    "cease":  [(0.0, "ceased")],
    "once, again within 10 s":     [(0.0, "defended"), (9.9, "ceased")],
    "once, again at once":         [(0.0, "defended"), (0.0, "ceased")],
    "once, again after 10 s":      [(0.0, "defended"), (10.0, "defended"), (20.0, "defended"), (21.0, "ceased")],
    "always": [(0.0, "defended"), (1.0, "reported"), (9.9, "reported"), (10.0, "defended"), (15.0, "reported"),
               (20.0, "defended")],
}
# fmt: on


@pytest.mark.parametrize("name", DEFENDED)
def test_the_defence(name: str) -> None:
    sim = in_use(name.partition(",")[0])
    begin = sim.now
    for when, action in DEFENDED[name]:
        sim.run_until(begin + when)
        sim.lines()
        hear(sim, seized())

        assert conflicts(sim) == [(WANTED, PEER, action)]
        announced = [text for _, text in log(sim) if text == ANNOUNCEMENT]
        assert announced == ([ANNOUNCEMENT] if action == "defended" else [])
        assert owns(sim, WANTED) is (action != "ceased")
    sim.run(600.0)
    assert log(sim) == []


def test_every_defence_there_is_has_been_tried() -> None:
    assert {name.partition(",")[0] for name in DEFENDED} == set(DEFENCES)


@pytest.mark.parametrize("defence", DEFENCES)
@pytest.mark.parametrize(
    "heard",
    [
        arp_frame(REQUEST, HOST, WANTED),
        arp_frame(REQUEST, NOBODY, WANTED),
        seized(OWN),
        arp_frame(REPLY, HOST, WANTED, dst=OWN),
    ],
    ids=["a question", "a probe", "our own", "a reply to us"],
)
def test_what_is_no_conflict_is_not_defended_against(heard: bytes, defence: str) -> None:
    sim = in_use(defence)
    hear(sim, heard)

    assert conflicts(sim) == []
    assert owns(sim, WANTED)


def test_a_conflict_says_who_and_where_and_what_was_done() -> None:
    sim = in_use("none")
    hear(sim, arp_frame(REPLY, WANTED, HOST, lladdr=ELSEWHERE))

    assert [text for _, text in sim.log] == [f"{WANTED} dev va used by {ELSEWHERE}: reported"]


def test_an_address_that_was_given_up_is_answered_for_no_more_and_its_holder_is_a_neighbour() -> None:
    sim = in_use("cease")
    sim.claim("va", "198.51.100.1/24", transmits=0)
    hear(sim, seized())
    log(sim)
    hear(sim, arp_frame(REQUEST, HOST, WANTED))
    assert log(sim) == []

    hear(sim, arp_frame(REQUEST, WANTED, "198.51.100.1"))
    assert log(sim)[0][1] == f"{WANTED} lladdr {PEER} STALE"


def test_giving_up_ends_the_announcements_that_are_still_to_come() -> None:
    sim = host()
    sim.claim("va", CLAIM, defence="cease")
    sim.run(DETECTED)
    log(sim)
    hear(sim, seized())
    sim.run(60.0)

    assert log(sim) == [(DETECTED, f"{WANTED} used by {PEER}: ceased")]


def test_a_conflict_touches_no_neighbour() -> None:
    """Whoever takes our address must not become the neighbour of that name."""
    sim = in_use("always")
    hear(sim, seized())
    hear(sim, arp_frame(REPLY, WANTED, HOST))

    assert alive(sim) == set()


# -- giving back


def test_an_address_that_is_given_back_is_gone() -> None:
    sim = in_use("none")
    add(sim, HOST, NUD_STALE)
    sim.claim("va", "198.51.100.1/24", transmits=0)
    assert sim.engine.release_address(1, bytes((198, 51, 100, 5)), sim.now)
    sim.run(0.0)

    assert not owns(sim, WANTED)
    assert alive(sim) == {HOST}
    assert not sim.engine.release_address(1, bytes((198, 51, 100, 5)), sim.now)
    log(sim)
    hear(sim, arp_frame(REQUEST, HOST, WANTED))
    assert lines(sim) == []


def test_the_last_ipv4_address_takes_its_neighbours_along() -> None:
    sim = in_use("none")
    add(sim, HOST, NUD_STALE)
    lines(sim)
    sim.engine.release_address(1, bytes((198, 51, 100, 5)), sim.now)
    sim.run(0.0)

    assert lines(sim) == [f"Deleted {HOST} lladdr {PEER} STALE"]


@pytest.mark.parametrize("when", [0.1, 1.0, 4.7])
def test_giving_back_while_detecting_ends_it(when: float) -> None:
    sim = host()
    sim.claim("va", CLAIM)
    sim.run(when)
    log(sim)
    assert sim.engine.release_address(1, bytes((198, 51, 100, 5)), sim.now)
    sim.run(60.0)

    assert log(sim) == []
    assert claimed(sim) == 0
    assert not owns(sim, WANTED)


# -- down and up


def down_and_up(sim: Simulation, seconds: float = 3.0) -> None:
    link(sim).set_down()
    sim.run(seconds)
    link(sim).set_up()


@pytest.mark.parametrize("when", [0.1, 1.0, 4.7])
def test_a_device_that_goes_down_while_detecting_detects_anew_when_it_is_up(when: float) -> None:
    """RFC 5227 2.1: whenever an interface becomes active."""
    sim = host()
    pending = sim.claim("va", CLAIM)
    sim.run(when)
    log(sim)
    down_and_up(sim)
    assert log(sim) == []
    start = sim.now - BEGIN
    sim.run(60.0)

    assert log(sim) == [(round(start + time, 3), text) for time, text in [*DETECTION, *ANNOUNCED]]
    assert (pending.outcome, pending.time) == (None, BEGIN + start + DETECTED)


def test_an_address_in_use_is_detected_anew_when_the_device_comes_up_and_not_used_meanwhile() -> None:
    sim = in_use("none")
    down_and_up(sim)
    assert not owns(sim, WANTED)
    sim.run(1.0)
    hear(sim, seized())

    assert conflicts(sim) == [(WANTED, PEER, "duplicate")]
    sim.run(60.0)
    assert not owns(sim, WANTED)


def test_an_address_that_was_had_without_detection_stays() -> None:
    sim = host()
    sim.claim("va", CLAIM, transmits=0)
    down_and_up(sim)

    assert owns(sim, WANTED)
    sim.run(60.0)
    assert log(sim) == []


def test_announcements_that_were_to_come_are_dropped_when_the_device_goes_down() -> None:
    sim = host(f"{WANTED}/24")
    sim.engine.announce(1, bytes((198, 51, 100, 5)), sim.now, count=5, interval=1.0)
    sim.run(1.5)
    log(sim)
    down_and_up(sim)
    sim.run(60.0)

    assert log(sim) == []


def test_what_is_wanted_while_the_device_is_down_is_detected_when_it_is_up() -> None:
    sim = host()
    link(sim).set_down()
    pending = sim.claim("va", CLAIM)
    sim.run(60.0)
    assert log(sim) == [] and not pending.done
    link(sim).set_up()
    start = sim.now - BEGIN
    sim.run(60.0)

    assert log(sim)[0] == (round(start + 0.25, 3), PROBE)
    assert pending.outcome is None


@pytest.mark.parametrize("end", [lambda sim: sim.driver.detach(1), lambda sim: link(sim).remove()])
def test_a_device_that_goes_for_good_ends_the_wait(end: Callable[[Simulation], None]) -> None:
    sim = host()
    pending = sim.claim("va", CLAIM)
    sim.run(1.0)
    log(sim)
    end(sim)
    sim.run(60.0)

    assert isinstance(pending.outcome, DeviceGone)
    assert log(sim) == []


def test_the_waits_are_drawn_at_their_time_so_that_a_test_may_say_each() -> None:
    sim = host(draw=0.0)
    sim.claim("va", CLAIM)
    sim.run(0.0)
    draws(sim, 0.5)
    sim.run(60.0)

    # The distance to the second probe is drawn when the first leaves.
    assert [time for time, text in log(sim) if text == PROBE] == [0.0, 1.0, 2.5]
