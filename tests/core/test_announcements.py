"""Announcements of a host's addresses: on demand, and when arp_notify or ndisc_notify ask for them (8.7, 9.7)."""

from __future__ import annotations

from typing import Literal

import pytest

from neighio.address import LinkAddress
from neighio.core.announcer import Wording
from neighio.core.constants import IFA_F_OPTIMISTIC, IFA_F_SECONDARY, IFA_F_TENTATIVE
from neighio.core.events import Transmit
from neighio.testing.simulation import Simulation

from .discovery import ALL_NODES, US, US_LOCAL, packed
from .helpers import OWN
from .hosts import BEGIN, host, link, log

FOUR, SIX = "198.51.100.5", US
TO_ALL = "33:33:00:00:00:01"
NEW_MAC = bytes(LinkAddress("02:00:00:00:00:0f"))


def garp(ip: str) -> str:
    return f"arp request to broadcast spa {ip} tpa {ip}"


def reply(ip: str) -> str:
    return f"arp reply to broadcast spa {ip} tpa {ip}"


def unsolicited(ip: str) -> str:
    return f"neighbour advertisement to {TO_ALL} src {ip} dst {ALL_NODES} target {ip}"


ANNOUNCEMENT = {FOUR: garp(FOUR), SIX: unsolicited(SIX)}


def both() -> Simulation:
    """A host with addresses of both families, that has told of its groups."""
    sim = host(f"{FOUR}/24", f"{SIX}/64")
    sim.run(5.0)
    log(sim)
    return sim


# -- on demand

# count, interval, backoff -> when, seconds
# fmt: off
TIMES = [
    (1, 1.0, 1.0, [0.0]),
    (2, 1.0, 1.0, [0.0, 1.0]),
    (4, 0.5, 1.0, [0.0, 0.5, 1.0, 1.5]),
    (4, 1.0, 2.0, [0.0, 1.0, 3.0, 7.0]),
    (5, 0.1, 3.0, [0.0, 0.1, 0.4, 1.3, 4.0]),
    (3, 0.0, 1.0, [0.0, 0.0, 0.0]),
]
# fmt: on


@pytest.mark.parametrize(("count", "interval", "backoff", "times"), TIMES)
@pytest.mark.parametrize("ip", ANNOUNCEMENT)
def test_announcements_are_made_count_times_at_growing_distances(
    ip: str, count: int, interval: float, backoff: float, times: list[float]
) -> None:
    sim = both()
    begin = sim.now - BEGIN
    sim.engine.announce(1, packed(ip), sim.now, count=count, interval=interval, backoff=backoff)
    sim.run(60.0)

    assert [(round(time - begin, 3), text) for time, text in log(sim)] == [
        (time, ANNOUNCEMENT[ip]) for time in times
    ]


def test_the_two_forms_of_gratuitous_arp() -> None:
    """A request with a zero target hardware address; a reply that names the sender there too, or Linux does not
    take it for gratuitous."""
    sim = both()
    for form in (False, True):
        sim.engine.announce(1, packed(FOUR), sim.now, wording=Wording(reply=form))
    sim.run(0.0)
    sent = [output.frame.hex() for output in sim.outputs if isinstance(output, Transmit)]

    ends = ["02000000000a" "c6336405" "000000000000" "c6336405", "02000000000a" "c6336405" "02000000000a" "c6336405"]  # fmt: skip
    assert sent == [
        f"ffffffffffff02000000000a0806000108000604000{op}{end}" for op, end in zip("12", ends, strict=True)
    ]


def test_every_repetition_has_the_form_of_the_first() -> None:
    sim = both()
    sim.engine.announce(1, packed(FOUR), sim.now, count=3, wording=Wording(reply=True))
    sim.run(10.0)

    assert [text for _, text in log(sim)] == [reply(FOUR)] * 3


def test_announcements_of_several_addresses_run_side_by_side() -> None:
    sim = both()
    begin = sim.now - BEGIN
    sim.engine.announce(1, packed(FOUR), sim.now, count=3, interval=1.0)
    sim.engine.announce(1, packed(SIX), sim.now, count=2, interval=1.5)
    sim.run(10.0)

    assert [(round(time - begin, 3), text) for time, text in log(sim)] == [
        (0.0, garp(FOUR)),
        (0.0, unsolicited(SIX)),
        (1.0, garp(FOUR)),
        (1.5, unsolicited(SIX)),
        (2.0, garp(FOUR)),
    ]


def test_a_new_link_layer_address_is_in_the_announcements_that_are_still_to_come() -> None:
    sim = both()
    sim.engine.announce(1, packed(FOUR), sim.now, count=2)
    sim.engine.set_lladdr(1, NEW_MAC, sim.now)
    sim.run(10.0)
    sent = [output.frame for output in sim.outputs if isinstance(output, Transmit)]

    assert [frame[22:28] for frame in sent] == [LinkAddress(OWN), NEW_MAC]


def test_a_detached_device_announces_no_more() -> None:
    sim = both()
    sim.engine.announce(1, packed(FOUR), sim.now, count=5)
    sim.run(0.5)
    log(sim)
    sim.driver.detach(1)
    sim.run(60.0)

    assert [text for _, text in log(sim) if "request" in text] == []


# -- arp_notify and ndisc_notify

EVENTS = ["up", "address", "same address"]


def happen(sim: Simulation, event: str) -> None:
    if event == "up":
        link(sim).set_down()
        sim.run(1.0)
        log(sim)
        link(sim).set_up()
    else:
        sim.engine.set_lladdr(1, NEW_MAC if event == "address" else bytes(LinkAddress(OWN)), sim.now)
    sim.run(0.0)


def announced(sim: Simulation) -> list[str]:
    return [text for _, text in log(sim) if "arp request" in text or "advertisement" in text]


SWITCHES = [
    # arp_notify: everywhere, here; ndisc_notify: everywhere, here -> what is announced
    (0, 0, 0, 0, []),
    (1, 0, 0, 0, [FOUR]),
    (0, 1, 0, 0, [FOUR]),
    (0, 0, 1, 0, [SIX]),
    (0, 0, 0, 1, [SIX]),
    (0, 1, 0, 1, [FOUR, SIX]),
]


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize(("arp_all", "arp_here", "ndisc_all", "ndisc_here", "ips"), SWITCHES)
def test_a_switch_has_a_device_that_comes_up_or_has_another_address_announce_those_of_its_family(
    arp_all: int, arp_here: int, ndisc_all: int, ndisc_here: int, ips: list[str], event: str
) -> None:
    """Once each, IPv4's first, and never again."""
    sim = both()
    for dev, family, changes in (
        (None, 4, {"arp_notify": arp_all}),
        ("va", 4, {"arp_notify": arp_here}),
        (None, 6, {"ndisc_notify": ndisc_all}),
        ("va", 6, {"ndisc_notify": ndisc_here}),
    ):
        sim.set(dev, family, **changes)
    happen(sim, event)
    assert announced(sim) == [ANNOUNCEMENT[ip] for ip in ips]
    sim.run(600.0)
    assert announced(sim) == []


def notifying(*addresses: tuple[str, int], role: Literal["client", "host"] = "host") -> Simulation:
    sim = Simulation(start=BEGIN, seed=7)
    sim.add_device("va", OWN, [], role=role)
    sim.set("va", 4, arp_notify=1)
    sim.set("va", 6, ndisc_notify=1)
    for address, flags in addresses:
        sim.add_address("va", address, flags=flags)
    sim.run(5.0)
    log(sim)
    return sim


@pytest.mark.parametrize("event", EVENTS)
def test_every_address_that_is_in_use_is_announced_once_secondary_ones_too(event: str) -> None:
    sim = notifying(
        (f"{FOUR}/24", 0),
        ("198.51.100.6/24", IFA_F_SECONDARY),
        (f"{US_LOCAL}/64", 0),
        (f"{SIX}/64", 0),
        ("2001:db8::2/64", IFA_F_TENTATIVE),
        ("2001:db8::3/64", IFA_F_TENTATIVE | IFA_F_OPTIMISTIC),
    )
    happen(sim, event)

    told = announced(sim)
    assert told[:2] == [garp(FOUR), garp("198.51.100.6")]
    # An optimistic one is used while it is detected.
    assert sorted(told[2:]) == sorted([unsolicited(US_LOCAL), unsolicited(SIX), unsolicited("2001:db8::3")])


@pytest.mark.parametrize("event", EVENTS)
def test_a_client_announces_nothing(event: str) -> None:
    """Its addresses are the kernel's, who announces them itself."""
    sim = notifying((f"{FOUR}/24", 0), (f"{SIX}/64", 0), role="client")
    happen(sim, event)

    assert announced(sim) == []


def test_adding_an_address_never_announces_it() -> None:
    sim = notifying()
    for address in (f"{FOUR}/24", f"{SIX}/64"):
        sim.add_address("va", address)
        sim.run(60.0)

    assert announced(sim) == []


def test_the_carrier_that_comes_back_announces_nothing() -> None:
    sim = notifying((f"{FOUR}/24", 0), (f"{SIX}/64", 0))
    link(sim).set_carrier(False)
    sim.run(1.0)
    link(sim).set_carrier(True)
    sim.run(60.0)

    assert announced(sim) == []


def test_an_address_that_is_detected_anew_is_announced_when_that_is_over() -> None:
    sim = notifying()
    for address in (f"{FOUR}/24", f"{SIX}/64"):
        sim.claim("va", address)
    sim.run(60.0)
    log(sim)
    happen(sim, "up")
    assert announced(sim) == []
    sim.run(60.0)

    told = [text for text in announced(sim) if "spa 0.0.0.0" not in text]
    assert sorted(told) == sorted([garp(FOUR), garp(FOUR), unsolicited(SIX)])


def test_the_neighbours_that_go_with_the_old_address_are_told_before_the_announcement() -> None:
    sim = notifying((f"{FOUR}/24", 0))
    sim.admin("198.51.100.7", nlm_flags=0x400, lladdr="02:00:00:00:00:0b", state=4)
    log(sim)
    happen(sim, "address")

    assert [text for _, text in log(sim)][-2:] == [
        "Deleted 198.51.100.7 lladdr 02:00:00:00:00:0b STALE",
        garp(FOUR),
    ]
