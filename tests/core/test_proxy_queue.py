"""Requests that a proxy answers after a while: when, how many, in which order, and what makes it forget them (7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from neighio.core.constants import AF_INET, AF_INET6, NLM_F_CREATE, NTF_PROXY
from neighio.testing.simulation import Simulation

from .discovery import ALL_NODES, solicitation
from .helpers import OWN, arp_frame, hear
from .hosts import BEGIN, draws, link, log

OTHER_OWN = "02:00:00:00:01:0a"


class Kind(NamedTuple):
    """One family's proxying: what it is called, who is proxied, and who asks for them how."""

    number: int
    family: int
    proxied: list[str]
    asker: Callable[[int], str]
    ask: Callable[[str, str], bytes]


KINDS = {
    "arp": Kind(
        4,
        AF_INET,
        [f"203.0.113.{number}" for number in range(100, 200)],
        lambda number: f"198.51.100.{number}",
        lambda sender, target: arp_frame(1, sender, target),
    ),
    "ndisc": Kind(
        6,
        AF_INET6,
        [f"2001:db8:5::{number}" for number in range(100, 200)],
        lambda number: f"2001:db8::{number}",
        lambda sender, target: solicitation(sender, target, dst=ALL_NODES),
    ),
}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each family, one after the other."""
    found: Kind = request.param
    return found


def router(kind: Kind, **changes: float) -> Simulation:
    """A host that forwards between va and vb, and proxies on va for some who are behind vb."""
    sim = Simulation(start=BEGIN, seed=7)
    sim.add_device("va", OWN, ["198.51.100.1/24", "2001:db8::1/64", "fe80::a/64"], role="host")
    sim.add_device("vb", OTHER_OWN, ["203.0.113.1/24", "2001:db8:5::1/64", "fe80::b/64"], role="host")
    sim.set(None, 4, forwarding=1)
    sim.set(None, 6, forwarding=1, proxy_ndp=1)
    for ip in kind.proxied:
        sim.admin(ip, "va", nlm_flags=NLM_F_CREATE, flags=NTF_PROXY)
    for family in (4, 6):
        sim.set("va", family, base_reachable_time=4000.0, delay_first_probe_time=700.0)
    if changes:
        sim.set("va", kind.number, **changes)
    sim.run(10.0)
    log(sim)
    for name in ("va", "vb"):
        sim.device(name).drops.clear()
    return sim


def answers(sim: Simulation, since: float) -> list[tuple[float, str]]:
    """When whom was answered for, seconds from an instant."""
    found = []
    for time, text in log(sim):
        words = text.split()
        if text.startswith("arp reply"):
            found.append((round(time + BEGIN - since, 3), words[words.index("spa") + 1]))
        elif text.startswith("neighbour advertisement"):
            found.append((round(time + BEGIN - since, 3), words[words.index("target") + 1]))
    return found


def waiting(sim: Simulation, kind: Kind) -> int:
    return sim.engine.caches[kind.family].by_device[sim.device("va").index].qlen


# -- when


@pytest.mark.parametrize(
    ("draw", "delay", "after"), [(0.0, 0.8, 0.0), (0.25, 0.8, 0.2), (0.5, 3.0, 1.5), (0.999, 1.0, 0.999)]
)
def test_an_answer_comes_at_a_random_time_within_proxy_delay(
    kind: Kind, draw: float, delay: float, after: float
) -> None:
    sim = router(kind, proxy_delay=delay)
    draws(sim, draw)
    begin = sim.now
    hear(sim, kind.ask(kind.asker(7), kind.proxied[0]))
    assert (waiting(sim, kind) == 1) == (draw > 0)
    sim.run(10.0)

    assert answers(sim, begin) == [(after, kind.proxied[0])]
    assert waiting(sim, kind) == 0


def test_the_default_delay_is_up_to_800_ms_and_every_request_has_a_draw_of_its_own(kind: Kind) -> None:
    sim = router(kind)
    begin = sim.now
    for number in range(50):
        hear(sim, kind.ask(kind.asker(7), kind.proxied[number]))
    sim.run(10.0)
    times = [time for time, _ in answers(sim, begin)]

    assert len(times) == 50
    assert min(times) >= 0 and max(times) < 0.8
    assert len(set(times)) > 40 and max(times) - min(times) > 0.5


def test_without_a_delay_the_answer_comes_at_once(kind: Kind) -> None:
    sim = router(kind, proxy_delay=0.0)
    begin = sim.now
    hear(sim, kind.ask(kind.asker(7), kind.proxied[0]))

    assert answers(sim, begin) == [(0.0, kind.proxied[0])]


def test_requests_are_answered_in_the_order_of_their_times(kind: Kind) -> None:
    sim = router(kind, proxy_delay=1.0)
    begin = sim.now
    for draw, ip in zip((0.75, 0.25, 0.5), kind.proxied, strict=False):
        draws(sim, draw)
        hear(sim, kind.ask(kind.asker(7), ip))
    sim.run(10.0)

    first, second, third = kind.proxied[:3]
    assert answers(sim, begin) == [(0.25, second), (0.5, third), (0.75, first)]


def test_what_is_due_together_is_answered_in_the_order_in_which_it_came(kind: Kind) -> None:
    sim = router(kind, proxy_delay=1.0)
    begin = sim.now
    draws(sim, 0.75)
    for ip in kind.proxied[:3]:
        hear(sim, kind.ask(kind.asker(7), ip))
    sim.run(0.25)
    draws(sim, 0.5)
    hear(sim, kind.ask(kind.asker(7), kind.proxied[3]))
    sim.run(10.0)

    assert answers(sim, begin) == [(0.75, ip) for ip in kind.proxied[:4]]


def test_a_request_that_is_repeated_is_answered_each_time(kind: Kind) -> None:
    sim = router(kind, proxy_delay=1.0)
    draws(sim, 0.5)
    begin = sim.now
    for _ in range(3):
        hear(sim, kind.ask(kind.asker(7), kind.proxied[0]))
    sim.run(10.0)

    assert answers(sim, begin) == [(0.5, kind.proxied[0])] * 3


# -- how many


@pytest.mark.parametrize("qlen", [0, 1, 5])
def test_one_more_than_proxy_qlen_may_wait_and_further_ones_are_dropped_and_counted(
    kind: Kind, qlen: int
) -> None:
    """Trap 223."""
    sim = router(kind, proxy_qlen=qlen, proxy_delay=1.0)
    draws(sim, 0.5)
    begin = sim.now
    for ip in kind.proxied[: qlen + 4]:
        hear(sim, kind.ask(kind.asker(7), ip))
    assert waiting(sim, kind) == qlen + 1
    assert sim.device("va").drops == {"proxy_queue_full": 3}
    sim.run(10.0)

    assert answers(sim, begin) == [(0.5, ip) for ip in kind.proxied[: qlen + 1]]
    assert waiting(sim, kind) == 0
    hear(sim, kind.ask(kind.asker(7), kind.proxied[0]))
    assert waiting(sim, kind) == 1


def test_by_default_65_may_wait(kind: Kind) -> None:
    sim = router(kind)
    draws(sim, 0.5)
    for ip in kind.proxied:
        hear(sim, kind.ask(kind.asker(7), ip))

    assert waiting(sim, kind) == 65
    assert sim.device("va").drops == {"proxy_queue_full": 35}


def test_each_device_has_a_length_of_its_own(kind: Kind) -> None:
    sim = router(kind, proxy_qlen=0, proxy_delay=1.0)
    draws(sim, 0.5)
    sim.set("vb", kind.number, proxy_qlen=0, proxy_delay=1.0)
    behind = kind.asker(50)
    sim.admin(behind, "vb", nlm_flags=NLM_F_CREATE, flags=NTF_PROXY)
    sim.run(5.0)
    hear(sim, kind.ask(kind.asker(7), kind.proxied[0]))
    hear(sim, kind.ask(kind.proxied[1], behind), "vb")

    assert waiting(sim, kind) == 1
    assert sim.engine.caches[kind.family].by_device[sim.device("vb").index].qlen == 1


# -- what makes it forget


def purge_nothing(sim: Simulation) -> None:
    pass


FORGETTING: list[tuple[str, Callable[[Simulation], object], bool]] = [
    ("nothing", purge_nothing, False),
    ("down", lambda sim: link(sim, "va").set_down(), True),
    ("another device down", lambda sim: link(sim, "vb").set_down(), True),
    ("carrier", lambda sim: link(sim, "va").set_carrier(False), True),
    ("another device's carrier", lambda sim: link(sim, "vb").set_carrier(False), True),
    ("detached", lambda sim: sim.driver.detach(sim.device("va").index), True),
    ("address", lambda sim: sim.engine.set_lladdr(1, bytes.fromhex("02000000000f"), sim.now), False),
]


@pytest.mark.parametrize(
    ("act", "forgotten"), [row[1:] for row in FORGETTING], ids=[row[0] for row in FORGETTING]
)
def test_what_waits_is_forgotten_with_the_proxies_of_any_device(
    kind: Kind, act: Callable[[Simulation], object], forgotten: bool
) -> None:
    """pneigh_queue_purge: all that waits of the node, not of the device alone."""
    sim = router(kind, proxy_delay=1.0)
    draws(sim, 0.5)
    begin = sim.now
    hear(sim, kind.ask(kind.asker(7), kind.proxied[0]))
    act(sim)
    log(sim)
    sim.run(10.0)

    assert answers(sim, begin) == ([] if forgotten else [(0.5, kind.proxied[0])])
    assert sim.engine.caches[kind.family].proxy_queue.next_deadline() == float("inf")
    if "va" in sim.driver.names:
        assert waiting(sim, kind) == 0


def test_a_device_that_comes_up_again_answers_nothing_that_came_before(kind: Kind) -> None:
    sim = router(kind, proxy_delay=1.0)
    draws(sim, 0.5)
    begin = sim.now
    hear(sim, kind.ask(kind.asker(7), kind.proxied[0]))
    link(sim).set_down()
    link(sim).set_up()
    log(sim)
    sim.run(10.0)

    assert answers(sim, begin) == []


def test_a_proxy_entry_that_is_deleted_meanwhile_is_answered_for_no_more_and_that_is_counted_or_evidence(
    kind: Kind,
) -> None:
    sim = router(kind, proxy_delay=1.0)
    draws(sim, 0.5)
    begin = sim.now
    hear(sim, kind.ask(kind.asker(7), kind.proxied[0]))
    sim.engine.delete_neighbour(1, sim.driver.place(kind.proxied[0], "va")[1], sim.now, proxy=True)
    sim.run(10.0)

    assert answers(sim, begin) == []
    assert waiting(sim, kind) == 0
    assert sim.device("va").drops == ({"ndisc_target_not_ours": 1} if kind.number == 6 else {})


def test_forwarding_that_ends_meanwhile_ends_the_answers(kind: Kind) -> None:
    sim = router(kind, proxy_delay=1.0)
    draws(sim, 0.5)
    begin = sim.now
    hear(sim, kind.ask(kind.asker(7), kind.proxied[0]))
    sim.set("va", kind.number, forwarding=0)
    sim.run(10.0)

    assert answers(sim, begin) == []


def test_a_delayed_request_of_this_machine_is_not_judged_by_its_checksum_again(kind: Kind) -> None:
    """It was taken as right when it came."""
    sim = router(kind, proxy_delay=1.0)
    draws(sim, 0.5)
    begin = sim.now
    heard = bytearray(kind.ask(kind.asker(7), kind.proxied[0]))
    if kind.number == 6:
        heard[56] ^= 0xFF
    sim.engine.receive(1, bytes(heard), sim.now, partial_checksum=True)
    sim.run(10.0)

    assert answers(sim, begin) == [(0.5, kind.proxied[0])]


def test_the_queues_of_both_families_are_two() -> None:
    arp, ndisc = KINDS["arp"], KINDS["ndisc"]
    sim = router(arp, proxy_delay=1.0)
    for ip in ndisc.proxied[:3]:
        sim.admin(ip, "va", nlm_flags=NLM_F_CREATE, flags=NTF_PROXY)
    sim.set("va", 6, proxy_delay=2.0)
    sim.run(5.0)
    log(sim)
    draws(sim, 0.5)
    begin = sim.now
    for each in (arp, ndisc):
        hear(sim, each.ask(each.asker(7), each.proxied[0]))
    assert (waiting(sim, arp), waiting(sim, ndisc)) == (1, 1)
    sim.run(10.0)

    assert answers(sim, begin) == [(0.5, arp.proxied[0]), (1.0, ndisc.proxied[0])]


def test_ticks_round_the_delay_down(kind: Kind) -> None:
    sim = Simulation(start=BEGIN, ticks_per_second=250)
    sim.add_device("va", OWN, ["198.51.100.1/24", "2001:db8::1/64", "fe80::a/64"], role="host")
    sim.add_device("vb", OTHER_OWN, ["203.0.113.1/24", "2001:db8:5::1/64"], role="host")
    sim.set(None, 4, forwarding=1)
    sim.set(None, 6, forwarding=1, proxy_ndp=1)
    sim.admin(kind.proxied[0], "va", nlm_flags=NLM_F_CREATE, flags=NTF_PROXY)
    sim.set("va", kind.number, proxy_delay=0.7)
    sim.run(5.0)
    draws(sim, 0.333)
    log(sim)
    begin = sim.now
    hear(sim, kind.ask(kind.asker(7), kind.proxied[0]))
    sim.run(5.0)

    assert answers(sim, begin) == [(0.232, kind.proxied[0])]
