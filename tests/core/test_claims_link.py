"""A host's addresses on a link without a carrier, and with IPv6 disabled: nobody would hear their detection."""

from __future__ import annotations

import errno
from collections.abc import Callable
from math import inf
from random import Random

import pytest

from neighio.address import format_ip
from neighio.core.constants import AF_INET, AF_INET6, IFF_UP, NTF_PROXY, NUD_PERMANENT
from neighio.errors import AdminError
from neighio.testing.simulation import Pending, Simulation

from . import test_claims_ipv4 as ipv4
from . import test_claims_ipv6 as ipv6
from .discovery import US_LOCAL, packed
from .helpers import ADD, PEER, add, hear
from .hosts import BEGIN, conflicts, host, link, log, owns


def unplugged() -> Simulation:
    """A host whose cable was pulled out."""
    sim = host(f"{US_LOCAL}/64")
    link(sim).set_carrier(False)
    sim.run(5.0)
    log(sim)
    return sim


def unplugged_from_the_start() -> Simulation:
    """A host on an interface that was set up while its cable was not plugged in."""
    sim = host(f"{US_LOCAL}/64")
    link(sim).set_down()
    set_up_without_carrier(sim)
    sim.run(5.0)
    log(sim)
    return sim


def set_up_without_carrier(sim: Simulation) -> None:
    link(sim).change(flags=link(sim).flags | IFF_UP)
    assert sim.device("va").up and not sim.device("va").carrier


# -- IPv6: as Linux (addrconf_dad_begin, addrconf_notify: IF_READY)


def test_the_detection_for_ipv6_waits_for_the_first_carrier() -> None:
    sim = unplugged_from_the_start()
    pending = sim.claim("va", ipv6.CLAIM)
    sim.run(60.0)
    assert log(sim) == [] and not pending.done and not owns(sim, ipv6.WANTED)
    link(sim).set_carrier(True)
    begin = sim.now
    sim.run(60.0)

    assert ipv6.since(sim, begin) == [(0.25, ipv6.PROBE)]
    assert (pending.outcome, pending.time) == (None, begin + 1.25)


def test_an_address_in_use_is_detected_anew_when_the_link_is_ready_not_when_it_is_up() -> None:
    sim = ipv6.in_use()
    link(sim).set_down()
    sim.run(3.0)
    set_up_without_carrier(sim)
    log(sim)
    sim.run(60.0)
    assert log(sim) == [] and not owns(sim, ipv6.WANTED)
    link(sim).set_carrier(True)
    begin = sim.now
    sim.run(60.0)

    assert ipv6.since(sim, begin) == [(0.25, ipv6.PROBE)] and owns(sim, ipv6.WANTED)


def test_a_carrier_that_goes_and_comes_again_changes_nothing_about_ipv6_addresses() -> None:
    sim = ipv6.in_use()
    link(sim).set_carrier(False)
    pending = sim.claim("va", "2001:db8::6/64")
    sim.run(3.0)
    # Linux believes what nobody could contradict, if the link was ready once.
    assert pending.outcome is None and pending.done
    link(sim).set_carrier(True)
    log(sim)
    assert owns(sim, ipv6.WANTED) and owns(sim, "2001:db8::6")
    sim.run(60.0)
    assert log(sim) == []


# -- IPv4: RFC 5227 2.1, whenever a cable is connected


@pytest.mark.parametrize("begin", [unplugged_from_the_start, unplugged])
def test_the_detection_for_ipv4_waits_for_a_carrier(begin: Callable[[], Simulation]) -> None:
    sim = begin()
    pending = sim.claim("va", ipv4.CLAIM)
    sim.run(60.0)
    assert log(sim) == [] and not pending.done and not owns(sim, ipv4.WANTED)
    link(sim).set_carrier(True)
    start = sim.now - BEGIN
    sim.run(60.0)

    assert log(sim) == [(round(start + time, 3), text) for time, text in [*ipv4.DETECTION, *ipv4.ANNOUNCED]]
    assert (pending.outcome, pending.time) == (None, BEGIN + start + ipv4.DETECTED)


@pytest.mark.parametrize("when", [0.1, 1.0, 4.7])
def test_a_carrier_that_goes_while_detecting_has_it_begin_anew(when: float) -> None:
    sim = host()
    pending = sim.claim("va", ipv4.CLAIM)
    sim.run(when)
    link(sim).set_carrier(False)
    log(sim)
    sim.run(60.0)
    assert log(sim) == [] and not pending.done
    link(sim).set_carrier(True)
    start = sim.now - BEGIN
    sim.run(60.0)

    assert log(sim)[: len(ipv4.DETECTION)] == [(round(start + t, 3), text) for t, text in ipv4.DETECTION]
    assert pending.outcome is None


def test_an_ipv4_address_in_use_is_detected_anew_when_the_cable_is_plugged_in_again() -> None:
    sim = ipv4.in_use("none")
    link(sim).set_carrier(False)
    sim.run(3.0)
    # Nobody could have taken it from us meanwhile, and nobody hears that it is ours.
    assert owns(sim, ipv4.WANTED)
    link(sim).set_carrier(True)
    assert not owns(sim, ipv4.WANTED)
    sim.run(1.0)
    hear(sim, ipv4.seized())
    sim.run(60.0)

    assert not owns(sim, ipv4.WANTED)


def test_what_outlives_the_carrier_outlives_the_detection_that_follows_too() -> None:
    """Permanent entries and proxies: they go with the last IPv4 address, which is away for a moment only."""
    sim = ipv4.in_use("none")
    add(sim, ipv4.HOST, state=NUD_PERMANENT)
    sim.admin("198.51.100.77", "va", nlm_flags=ADD, state=NUD_PERMANENT, flags=NTF_PROXY)
    link(sim).set_carrier(False)
    link(sim).set_carrier(True)
    assert not owns(sim, ipv4.WANTED)
    sim.run(60.0)

    assert owns(sim, ipv4.WANTED)
    assert sim.neighbour(ipv4.HOST) is not None
    assert len(sim.engine.caches[AF_INET].proxies) == 1


def test_an_address_that_is_lost_in_that_detection_takes_them_along() -> None:
    sim = ipv4.in_use("none")
    add(sim, ipv4.HOST, state=NUD_PERMANENT)
    link(sim).set_carrier(False)
    link(sim).set_carrier(True)
    sim.run(1.0)
    hear(sim, ipv4.seized())

    assert conflicts(sim) == [(ipv4.WANTED, PEER, "duplicate")]
    assert sim.neighbour(ipv4.HOST) is None
    assert not owns(sim, ipv4.WANTED) and sim.device("va").node.first_hop(packed(ipv4.HOST)) is None


def test_addresses_that_were_had_without_detection_are_had_without_a_carrier() -> None:
    sim = unplugged_from_the_start()
    wanted = (ipv4.CLAIM, ipv6.CLAIM)
    pending = [sim.claim("va", claim, transmits=0) for claim in wanted]
    assert [one.outcome for one in pending if one.done] == [None, None]
    link(sim).set_carrier(True)
    sim.run(60.0)

    assert owns(sim, ipv4.WANTED) and owns(sim, ipv6.WANTED)
    assert log(sim) == []


# -- IPv6 disabled (addrconf_ifdown)


def test_where_ipv6_is_disabled_no_ipv6_address_is_taken() -> None:
    sim = host()
    sim.set("va", 6, disable_ipv6=1)
    with pytest.raises(AdminError, match="IPv6 is disabled on this device") as caught:
        sim.claim("va", ipv6.CLAIM)
    assert caught.value.errno == errno.EACCES
    assert sim.claim("va", ipv4.CLAIM, transmits=0).outcome is None
    assert sim.device("va").address(packed(ipv6.WANTED)) is None


@pytest.mark.parametrize("dev", ["va", None])
def test_disabling_ipv6_takes_the_ipv6_addresses_and_their_detection_along(dev: str | None) -> None:
    sim = host()
    kept = sim.claim("va", ipv4.CLAIM, transmits=0)
    in_use = sim.claim("va", "2001:db8::6/64", transmits=0)
    detecting = sim.claim("va", ipv6.CLAIM)
    sim.run(0.5)
    log(sim)
    sim.set(dev, 6, disable_ipv6=1)
    sim.run(60.0)

    assert [text for _, text in log(sim) if not text.startswith("Deleted ")] == []
    assert kept.outcome is None and in_use.outcome is None
    assert isinstance(detecting.outcome, AdminError) and detecting.outcome.errno == errno.EACCES
    assert [len(address.ip) for address in sim.device("va").addresses] == [4]
    sim.set(dev, 6, disable_ipv6=0)
    sim.run(60.0)
    assert [len(address.ip) for address in sim.device("va").addresses] == [4]
    assert sim.claim("va", ipv6.CLAIM, transmits=0).outcome is None


# -- whatever happens


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happens_to_the_link_what_is_wanted_is_had_in_the_end_and_nothing_else_is_left(
    seed: int,
) -> None:
    chance = Random(seed)
    sim = host(f"{US_LOCAL}/64", draw=None)
    wire = link(sim)
    addresses = ["198.51.100.1/24", "198.51.100.2/24", "203.0.113.1/25", "2001:db8::1/64", "2001:db8::2/64"]
    wanted: dict[str, Pending] = {}

    def want() -> None:
        address = chance.choice(addresses)
        disabled = ":" in address and sim.device("va").switches[AF_INET6]["disable_ipv6"]
        if address not in wanted and not disabled:
            wanted[address] = sim.claim("va", address, transmits=chance.choice([None, 0, 1]))

    def give_back() -> None:
        if wanted:
            address = chance.choice(list(wanted))
            del wanted[address]
            assert sim.engine.release_address(1, packed(address.partition("/")[0]), sim.now)

    def turn_ipv6(off: int) -> None:
        sim.set("va", 6, disable_ipv6=off)
        for address in [address for address in wanted if off and ":" in address]:
            del wanted[address]

    happenings: list[Callable[[], object]] = [
        wire.set_down,
        wire.set_up,
        lambda: wire.change(flags=wire.flags | IFF_UP),
        lambda: wire.set_carrier(False),
        lambda: wire.set_carrier(True),
        lambda: turn_ipv6(1),
        lambda: turn_ipv6(0),
        want,
        want,
        give_back,
    ]
    for _ in range(60):
        chance.choice(happenings)()
        sim.run(chance.choice([0.0, 0.1, 0.5, 1.0, 3.0, 7.0, 20.0]))
    turn_ipv6(0)
    wire.set_up()
    wire.set_carrier(True)
    sim.run(120.0)

    assert all(pending.done and pending.outcome is None for pending in wanted.values())
    had = {f"{format_ip(one.ip)}/{one.prefixlen}" for one in sim.device("va").addresses if one.proven}
    assert had - {f"{US_LOCAL}/64"} == wanted.keys()
    for address in wanted:
        assert sim.device("va").node.route(packed(address.partition("/")[0])) is not None
    while wanted:
        give_back()
    assert [one.ip for one in sim.device("va").addresses if one.ip != packed(US_LOCAL)] == []
    assert sim.engine.claims.next_deadline(1) == inf
