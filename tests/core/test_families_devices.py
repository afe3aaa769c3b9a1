"""What happens to a device happens to both families, IPv4's first; and what happens to one family alone (3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import pytest

from neighio.address import LinkAddress
from neighio.core.constants import (
    AF_INET,
    AF_INET6,
    NLM_F_CREATE,
    NTF_EXT_LEARNED,
    NTF_EXT_VALIDATED,
    NTF_MANAGED,
    NTF_PROXY,
    NUD_INCOMPLETE,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_REACHABLE,
    NUD_STALE,
)
from neighio.core.events import DelNeighbour, Settled
from neighio.errors import AdminError, DeviceGone
from neighio.testing.segment import MemoryLink
from neighio.testing.simulation import Simulation

from .discovery import US, US_LOCAL, neighbour_messages
from .helpers import OWN, PEER, add, lines

IPV4, IPV6 = AF_INET, AF_INET6
NEW_MAC = bytes(LinkAddress("02:00:00:00:00:0f"))


class Hosts(NamedTuple):
    """One family's neighbours."""

    stale: str
    permanent: str
    learned: str
    validated: str
    reachable: str
    waiting: str
    proxied: str
    proxied_for_ever: str


FOUR = Hosts(*(f"198.51.100.{number}" for number in range(10, 18)))
SIX = Hosts(*(f"2001:db8::{number}" for number in range(10, 18)))
GROUP = "ff02::1:ff00:15"
TO_GROUP = "33:33:ff:00:00:15"


def populated(role: Literal["client", "host"] = "client") -> Simulation:
    """Neighbours of both families on va, in turns; and one of each on vb."""
    sim = Simulation(start=1000.0, seed=7)
    for dev, lladdr, four, six in (
        ("va", OWN, "198.51.100.1/24", f"{US}/64"),
        ("vb", "02:00:00:00:01:0a", "203.0.113.1/24", "2001:db8:5::1/64"),
    ):
        sim.add_device(dev, lladdr, [four, six, f"{US_LOCAL}/64"], role=role)
        for family in (4, 6):
            sim.set(dev, family, base_reachable_time=4000.0, retrans_time=900.0)
    sim.run(5.0)
    for ip, state, flags in (
        ("stale", NUD_STALE, 0),
        ("permanent", NUD_PERMANENT, 0),
        ("learned", NUD_STALE, NTF_EXT_LEARNED),
        ("validated", NUD_STALE, NTF_EXT_VALIDATED),
        ("reachable", NUD_REACHABLE, 0),
    ):
        for hosts in (SIX, FOUR):
            add(sim, getattr(hosts, ip), state, flags=flags, dev="va")
    for hosts in (SIX, FOUR):
        sim.send(hosts.waiting, dev="va")
        for ip, state in ((hosts.proxied, NUD_NONE), (hosts.proxied_for_ever, NUD_PERMANENT)):
            sim.admin(ip, "va", nlm_flags=NLM_F_CREATE, flags=NTF_PROXY, state=state)
    for ip in ("203.0.113.7", "2001:db8:5::7"):
        add(sim, ip, NUD_STALE, dev="vb")
    sim.run(1.0)
    lines(sim)
    return sim


def left(sim: Simulation, family: int) -> set[str]:
    """What is left of va's neighbours of a family."""
    cache = sim.engine.caches[family]
    handles = [cache.handle(row) for row in cache.rows()]
    return {one.ip for one in handles if one.dev == "va"}


def proxied(sim: Simulation, family: int) -> set[str]:
    hosts = FOUR if family == IPV4 else SIX
    keys = {key for key, device in sim.engine.caches[family].proxies if device == sim.device("va").index}
    return {name for name in hosts if sim.driver.place(name, "va")[1] in keys}


def dead(hosts: Hosts, *, kept: tuple[str, ...] = ()) -> list[str]:
    """The deletions of all but some, newest entry first, as they are told."""
    found = [
        f"Deleted {hosts.waiting} INCOMPLETE",
        f"Deleted {hosts.reachable} lladdr {PEER} REACHABLE",
        f"Deleted {hosts.validated} lladdr {PEER} STALE",
        f"Deleted {hosts.learned} lladdr {PEER} extern_learn STALE",
        f"Deleted {hosts.permanent} lladdr {PEER} PERMANENT",
        f"Deleted {hosts.stale} lladdr {PEER} STALE",
    ]
    if hosts is SIX:
        # The solicitation was to its group, whose entry was made after that of who was asked for.
        found.insert(0, f"Deleted {GROUP} lladdr {TO_GROUP} NOARP")
    return [line for line in found if line.split()[1] not in kept]


EVERYTHING = [*dead(FOUR), *dead(SIX)]
SPARED = [
    *dead(FOUR, kept=(FOUR.permanent, FOUR.validated)),
    *dead(SIX, kept=(SIX.permanent, SIX.validated)),
]
ALL, FOR_EVER, NO = "all", "permanent", "none"


class Trigger(NamedTuple):
    act: Callable[[Simulation], object]
    told: list[str]
    proxies: tuple[str, str]
    """Which of IPv4's and IPv6's proxies stay."""


def va(sim: Simulation) -> int:
    return sim.device("va").index


def lose_carrier(sim: Simulation) -> None:
    sim.engine.carrier(va(sim), False, sim.now)


def keeping(dev: str | None, family: int) -> Callable[[Simulation], None]:
    def act(sim: Simulation) -> None:
        name = {4: "arp_evict_nocarrier", 6: "ndisc_evict_nocarrier"}[family]
        sim.set(dev, family, **{name: 0})
        lose_carrier(sim)

    return act


TRIGGERS = {
    "down": Trigger(lambda sim: sim.engine.link_down(va(sim), sim.now), EVERYTHING, (NO, NO)),
    "carrier": Trigger(lose_carrier, SPARED, (FOR_EVER, FOR_EVER)),
    "carrier, arp_evict_nocarrier 0 here": Trigger(
        keeping("va", 4), dead(SIX, kept=(SIX.permanent, SIX.validated)), (ALL, FOR_EVER)
    ),
    "carrier, arp_evict_nocarrier 0 everywhere": Trigger(
        keeping(None, 4), dead(SIX, kept=(SIX.permanent, SIX.validated)), (ALL, FOR_EVER)
    ),
    "carrier, ndisc_evict_nocarrier 0 here": Trigger(
        keeping("va", 6), dead(FOUR, kept=(FOUR.permanent, FOUR.validated)), (FOR_EVER, ALL)
    ),
    "carrier, ndisc_evict_nocarrier 0 everywhere": Trigger(
        keeping(None, 6), dead(FOUR, kept=(FOUR.permanent, FOUR.validated)), (FOR_EVER, ALL)
    ),
    "address": Trigger(lambda sim: sim.engine.set_lladdr(va(sim), NEW_MAC, sim.now), EVERYTHING, (ALL, ALL)),
    "same address": Trigger(
        lambda sim: sim.engine.set_lladdr(va(sim), bytes(LinkAddress(OWN)), sim.now), EVERYTHING, (ALL, ALL)
    ),
    "IFF_NOARP": Trigger(lambda sim: sim.engine.set_noarp(va(sim), True, sim.now), EVERYTHING, (ALL, ALL)),
    "detached": Trigger(lambda sim: sim.driver.detach(va(sim)), EVERYTHING, (NO, NO)),
    "last IPv4 address": Trigger(
        lambda sim: sim.remove_address("va", "198.51.100.1/24"), dead(FOUR), (NO, ALL)
    ),
    "last IPv6 address": Trigger(
        lambda sim: [sim.remove_address("va", ip) for ip in (f"{US}/64", f"{US_LOCAL}/64")], [], (ALL, ALL)
    ),
    "disable_ipv6 here": Trigger(lambda sim: sim.set("va", 6, disable_ipv6=1), dead(SIX), (ALL, NO)),
    "disable_ipv6 everywhere": Trigger(
        lambda sim: sim.set(None, 6, disable_ipv6=1),
        [*dead(SIX), f"Deleted 2001:db8:5::7 dev vb lladdr {PEER} STALE"],
        (ALL, NO),
    ),
    "disable_ipv6 again": Trigger(
        lambda sim: [sim.set(dev, 6, disable_ipv6=1) for dev in ("va", "va")], dead(SIX), (ALL, NO)
    ),
    "up": Trigger(lambda sim: sim.engine.link_up(va(sim), sim.now), [], (ALL, ALL)),
    "carrier back": Trigger(lambda sim: sim.engine.carrier(va(sim), True, sim.now), [], (ALL, ALL)),
    "forwarding": Trigger(lambda sim: sim.set("va", 6, forwarding=1), [], (ALL, ALL)),
}


@pytest.mark.parametrize("role", ["client", "host"])
@pytest.mark.parametrize("trigger", TRIGGERS.values(), ids=TRIGGERS)
def test_what_happens_to_a_device_takes_along_what_the_kernel_flushes_ipv4_first(
    trigger: Trigger, role: Literal["client", "host"]
) -> None:
    sim = populated(role)
    if role == "host":
        # Its own multicast listening has made the entry of a group, the oldest.
        for hosts in ("va", "vb"):
            sim.delete("ff02::16", hosts)
        lines(sim)
    index = sim.device("va").index
    before = {family: left(sim, family) for family in (IPV4, IPV6)}
    trigger.act(sim)
    sim.run(0.0)

    assert lines(sim) == trigger.told
    gone = {line.split()[1] for line in trigger.told}
    if "va" in sim.driver.names:
        for family, stay in zip((IPV4, IPV6), trigger.proxies, strict=True):
            hosts = FOUR if family == IPV4 else SIX
            assert left(sim, family) == before[family] - gone
            both = {hosts.proxied, hosts.proxied_for_ever}
            assert proxied(sim, family) == {ALL: both, FOR_EVER: {hosts.proxied_for_ever}, NO: set()}[stay]
    else:
        assert not any(device == index for cache in sim.engine.caches.values() for _, device in cache.proxies)
    sim.run(5000.0)
    assert not [line for line in lines(sim) if "Deleted" in line]


@pytest.mark.parametrize(
    "trigger",
    [trigger for trigger in TRIGGERS.values() if trigger.told == EVERYTHING or trigger.told == SPARED],
    ids=[name for name, trigger in TRIGGERS.items() if trigger.told in (EVERYTHING, SPARED)],
)
def test_who_waits_in_either_family_is_told_that_the_device_went(trigger: Trigger) -> None:
    sim = populated()
    pending = [sim.resolve(hosts.waiting, "va") for hosts in (SIX, FOUR)]
    trigger.act(sim)
    sim.run(0.0)

    assert [type(one.outcome) for one in pending] == [DeviceGone, DeviceGone]
    outcomes = [(o.neighbour.cache.family, o.outcome) for o in sim.outputs if isinstance(o, Settled)]
    assert outcomes == [(IPV4, DeviceGone), (IPV6, DeviceGone)]
    assert sim.driver.waiting() == 0


def test_a_large_device_is_flushed_in_slices_of_each_family() -> None:
    sim = populated()
    for cache in sim.engine.caches.values():
        cache.gc_thresh1 = cache.gc_thresh2 = cache.gc_thresh3 = 1 << 20
    for number in range(300):
        add(sim, f"2001:db8::9:{number:x}", NUD_STALE, dev="va")
    lines(sim)
    sim.engine.link_down(va(sim), sim.now)
    assert [o.family for o in sim.engine.take_outputs() if isinstance(o, DelNeighbour)] == [IPV4] * 6
    assert left(sim, IPV6) == set()
    sim.run(0.001)

    assert len(lines(sim)) == 307
    assert sim.engine.caches[IPV6].entries == 1


# -- disable_ipv6


def test_an_administrator_may_make_no_ipv6_entry_on_a_disabled_device() -> None:
    sim = populated()
    sim.set("va", 6, disable_ipv6=1)
    with pytest.raises(AdminError, match="IPv6 is disabled on this device"):
        add(sim, SIX.stale, NUD_STALE, dev="va")
    assert left(sim, IPV6) == set()

    add(sim, "198.51.100.200", NUD_STALE, dev="va")
    sim.set("va", 6, disable_ipv6=0)
    add(sim, SIX.stale, NUD_STALE, dev="va")
    assert left(sim, IPV6) == {SIX.stale}


def test_a_device_that_is_disabled_already_is_not_flushed_again_by_the_switch_everywhere() -> None:
    sim = populated()
    sim.set("va", 6, disable_ipv6=1)
    made = sim.hold(SIX.stale, "va")
    lines(sim)
    sim.set(None, 6, disable_ipv6=1)

    assert not made.dead
    assert lines(sim) == [f"Deleted 2001:db8:5::7 dev vb lladdr {PEER} STALE"]


def test_enabling_flushes_nothing() -> None:
    sim = populated()
    sim.set("va", 6, disable_ipv6=1)
    sim.set("va", 6, disable_ipv6=0)
    add(sim, SIX.stale, NUD_STALE, dev="va")
    lines(sim)
    sim.set("va", 6, disable_ipv6=0)

    assert lines(sim) == []


def test_managed_entries_of_both_families_go_and_are_asked_for_no_more() -> None:
    sim = populated()
    for ip in ("198.51.100.200", "2001:db8::200"):
        add(sim, ip, NUD_NONE, flags=NTF_MANAGED, dev="va")
    sim.engine.link_down(va(sim), sim.now)
    sim.run(0.0)
    lines(sim)
    sim.run(60.0)

    assert neighbour_messages(sim) == []
    assert sim.log == []
    assert all(list(cache.managed_list) == [] for cache in sim.engine.caches.values())


def test_after_the_carrier_came_back_both_families_resolve_anew() -> None:
    sim = populated()
    link = sim.driver.links[va(sim)]
    assert isinstance(link, MemoryLink)
    link.set_carrier(False)
    sim.run(1.0)
    link.set_carrier(True)
    lines(sim)
    for hosts in (FOUR, SIX):
        sim.resolve(hosts.stale, "va")
        found = sim.neighbour(hosts.stale, "va")
        assert found is not None and found.nud_state == NUD_INCOMPLETE
    assert len(sim.log) == 2


def test_families_share_no_threshold_and_no_counter() -> None:
    sim = populated()
    four, six = (sim.engine.caches[family] for family in (IPV4, IPV6))
    assert (four.entries, six.entries) == (7, 8)
    four.gc_thresh3 = four.gc_thresh2 = 0
    with pytest.raises(OSError, match="overflow"):
        sim.hold("198.51.100.200", "va")
    sim.hold("2001:db8::200", "va")

    assert (four.statistics.table_fulls, six.statistics.table_fulls) == (1, 0)


def test_the_same_last_octets_are_no_same_entry() -> None:
    """Keys of both families never meet, whatever their bytes are."""
    sim = populated()
    sim.hold("198.51.100.99", "va")
    sim.hold("c633:6463::", "va")

    assert "198.51.100.99" in left(sim, IPV4)
    assert "c633:6463::" in left(sim, IPV6)
