"""Proxying for IPv6 addresses: for whom a host answers in another's place, and what it listens to (7, 9.2)."""

from __future__ import annotations

import itertools

import pytest

from neighio.address import LinkAddress
from neighio.core.constants import (
    NLM_F_CREATE,
    NTF_PROXY,
    NTF_ROUTER,
    NUD_DELAY,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_STALE,
)
from neighio.errors import AdminError
from neighio.testing.simulation import Simulation

from .discovery import (
    ALL_NODES,
    ELSEWHERE,
    HOST,
    US,
    US_LOCAL,
    Said,
    advertisement,
    asked_all,
    cache6,
    frame,
    group,
    packed,
    present,
    said,
    solicitation,
    table6,
    wanted,
)
from .helpers import OWN, PEER, add, hear, lines
from .hosts import BEGIN, draws, link

OTHER_OWN = "02:00:00:00:01:0a"
PROXIED = "2001:db8:5::9"
TO_GROUP = "33:33:ff:00:00:09"
BROADCAST = "ff:ff:ff:ff:ff:ff"


def router(
    *, proxied: str | None = PROXIED, flags: int = 0, state: int = NUD_PERMANENT, **changes: float
) -> Simulation:
    """A host that forwards between va, where it is asked, and vb, and proxies on va; without a delay unless there
    is to be one."""
    sim = Simulation(start=BEGIN, seed=7)
    sim.add_device("va", OWN, [f"{US}/64", f"{US_LOCAL}/64"], role="host")
    sim.add_device("vb", OTHER_OWN, ["2001:db8:5::1/64", "fe80::b/64"], role="host")
    settings = {"forwarding": 1, "proxy_ndp": 1, "proxy_delay": 0.0}
    sim.set(
        "va", 6, **{**settings, "base_reachable_time": 4000.0, "delay_first_probe_time": 700.0, **changes}
    )
    if proxied is not None:
        sim.admin(proxied, "va", nlm_flags=NLM_F_CREATE, flags=NTF_PROXY | flags, state=state)
    sim.run(10.0)
    lines(sim)
    for name in ("va", "vb"):
        sim.device(name).drops.clear()
    return sim


def delete(sim: Simulation, ip: str = PROXIED, dev: str = "va") -> None:
    sim.engine.delete_neighbour(sim.device(dev).index, packed(ip), sim.now, proxy=True)
    sim.run(0.0)


def answer(target: str = PROXIED, to: str = PEER, sender: str = HOST) -> Said:
    return Said("NA", target, US, sender, to, OWN, "S")


def drops(sim: Simulation) -> dict[str, int]:
    return sim.device("va").drops


# -- for whom


@pytest.mark.parametrize(
    ("forwarding", "everywhere", "here", "entry"), list(itertools.product((0, 1), repeat=4))
)
def test_who_is_proxied(forwarding: int, everywhere: int, here: int, entry: int) -> None:
    """Forwarding on the device, proxy_ndp everywhere or here, and an entry; routes say nothing."""
    sim = router(forwarding=forwarding, proxy_ndp=here, proxied=PROXIED if entry else None)
    sim.set(None, 6, proxy_ndp=everywhere)
    hear(sim, solicitation(HOST, PROXIED, dst=ALL_NODES))

    proxied = bool(forwarding and (everywhere or here) and entry)
    assert said(sim) == ([answer()] if proxied else [])
    assert lines(sim) == ([f"{HOST} lladdr {PEER} STALE"] if proxied else [])
    assert drops(sim) == ({} if proxied else {"ndisc_target_not_ours": 1})


def test_an_entry_holds_on_its_own_device() -> None:
    sim = router(proxied=None)
    sim.admin(PROXIED, "vb", nlm_flags=NLM_F_CREATE, flags=NTF_PROXY)
    hear(sim, solicitation(HOST, PROXIED, dst=ALL_NODES))

    assert said(sim) == []


def test_an_address_of_our_own_is_no_proxied_one() -> None:
    sim = router()
    sim.add_address("va", f"{PROXIED}/64")
    sim.run(5.0)
    lines(sim)
    hear(sim, solicitation(HOST, PROXIED))

    assert said(sim) == [Said("NA", PROXIED, PROXIED, HOST, PEER, OWN, "RSO")]


@pytest.mark.parametrize("proxied", [PROXIED, "fe80::99", "2001:db8::99"])
def test_any_address_may_be_proxied_of_the_same_link_too(proxied: str) -> None:
    sim = router(proxied=proxied)
    hear(sim, solicitation(HOST, proxied))

    assert [one.target for one in said(sim)] == [proxied]


def test_a_client_proxies_for_nobody_and_listens_to_nobodys_group() -> None:
    sim = Simulation(start=BEGIN)
    sim.add_device("va", OWN, [f"{US}/64", f"{US_LOCAL}/64"])
    sim.set(None, 6, forwarding=1, proxy_ndp=1)
    before = dict(link(sim).groups)
    sim.admin(PROXIED, "va", nlm_flags=NLM_F_CREATE, flags=NTF_PROXY)
    assert dict(link(sim).groups) == before
    hear(sim, solicitation(HOST, PROXIED, dst=ALL_NODES))
    hear(sim, wanted(PROXIED))

    assert said(sim) == []
    assert table6(sim) == {}


# -- who asked


@pytest.mark.parametrize("known", [False, True])
def test_who_asks_is_known_as_if_he_had_asked_for_us(known: bool) -> None:
    sim = router()
    if known:
        add(sim, HOST, NUD_STALE, dev="va")
        lines(sim)
    hear(sim, solicitation(HOST, PROXIED, lladdr=ELSEWHERE))

    assert said(sim) == [answer(to=ELSEWHERE)]
    assert lines(sim) == [f"{HOST} lladdr {ELSEWHERE} STALE"]
    made = sim.neighbour(HOST, "va")
    assert made is not None and made.nud_state == NUD_DELAY  # the answer went through it


def test_a_stranger_without_an_address_is_not_answered_by_multicast_and_asked_for_by_unicast() -> None:
    sim = router()
    hear(sim, solicitation(HOST, PROXIED, lladdr=None))
    assert said(sim) == []
    hear(sim, solicitation(HOST, PROXIED, lladdr=None, dst=US))

    # The answer waits; it comes from US, which asks.
    assert said(sim) == [asked_all(HOST, US)]


@pytest.mark.parametrize(("how", "counters"), [(group(PROXIED), (1, 0)), (US, (0, 1))])
def test_probes_for_a_proxied_address_are_counted_when_they_are_answered(
    how: str, counters: tuple[int, int]
) -> None:
    sim = router()
    hear(sim, solicitation(HOST, PROXIED, dst=how))

    statistics = cache6(sim).statistics
    assert (statistics.rcv_probes_mcast, statistics.rcv_probes_ucast) == counters


# -- at once or later

# destination, frame's destination -> at once
# fmt: off
TIMES = [
    ("its group",                         group(PROXIED), None,      0.8, False),
    ("all nodes",                         ALL_NODES,      None,      0.8, False),
    ("all nodes, in a broadcast",         ALL_NODES,      BROADCAST, 0.8, False),
    ("its group, to our device alone",    group(PROXIED), OWN,       0.8, True),
    ("us",                                US,             OWN,       0.8, True),
    ("us, in a broadcast",                US,             BROADCAST, 0.8, True),
    ("its group, without a delay",        group(PROXIED), None,      0.0, True),
]
# fmt: on


@pytest.mark.parametrize(
    ("dst", "ether", "delay", "at_once"), [row[1:] for row in TIMES], ids=[row[0] for row in TIMES]
)
@pytest.mark.parametrize("sender", [HOST, "::"])
def test_an_answer_comes_at_once_or_after_a_while(
    dst: str, ether: str | None, delay: float, at_once: bool, sender: str
) -> None:
    if sender == "::":
        # A solicitation from there goes to the solicited-node group alone.
        dst = group(PROXIED)
        at_once = ether == OWN or not delay
    sim = router(proxy_delay=delay)
    draws(sim, 0.5)
    heard = solicitation(sender, PROXIED, dst=dst, lladdr=None if sender == "::" else PEER)
    hear(sim, frame(heard[14:], dst=ether) if ether else heard)
    assert len(said(sim)) == at_once
    sim.run(0.39)
    assert len(said(sim)) == at_once
    sim.run(0.02)

    assert len(said(sim)) == 1


def test_nothing_happens_to_who_asks_until_he_is_answered() -> None:
    """Unlike ARP, where he is known at once."""
    sim = router(proxy_delay=0.8)
    draws(sim, 0.5)
    known = add(sim, "2001:db8::8", NUD_STALE, dev="va")
    sim.run(1.0)
    lines(sim)
    before = table6(sim)
    for sender in (HOST, "2001:db8::8"):
        hear(sim, solicitation(sender, PROXIED, lladdr=ELSEWHERE))
    assert (table6(sim), sim.outputs) == (before, [])
    assert cache6(sim).statistics.rcv_probes_mcast == 0
    sim.run(0.5)

    assert lines(sim) == [f"{ip} lladdr {ELSEWHERE} STALE" for ip in (HOST, "2001:db8::8")]
    assert known.lladdr == LinkAddress(ELSEWHERE)
    assert cache6(sim).statistics.rcv_probes_mcast == 2


# -- addressed to the proxied address itself


@pytest.mark.parametrize(("everywhere", "here", "taken"), [(1, 0, True), (1, 1, True), (0, 1, False)])
def test_a_solicitation_to_the_proxied_address_is_ours_only_with_proxy_ndp_everywhere(
    everywhere: int, here: int, taken: bool
) -> None:
    """Otherwise it is forwarded (ip6_forward_proxy_check)."""
    sim = router(proxy_ndp=here, proxy_delay=0.8)
    sim.set(None, 6, proxy_ndp=everywhere)
    hear(sim, solicitation(HOST, PROXIED, dst=PROXIED))

    # It did not go to a group: there is no delay.
    assert said(sim) == ([answer()._replace(lladdr=None)] if taken else [])
    assert drops(sim) == ({} if taken else {"ipv6_destination_not_ours": 1})


def test_other_messages_to_a_proxied_address_are_not_ours() -> None:
    sim = router()
    sim.set(None, 6, proxy_ndp=1)
    add(sim, HOST, NUD_STALE, dev="va")
    lines(sim)
    hear(sim, advertisement(HOST, "S", dst=PROXIED))
    hear(sim, solicitation(HOST, US, dst=PROXIED))

    assert drops(sim) == {"ipv6_destination_not_ours": 2}
    assert sim.outputs == []


# -- advertisements of proxied addresses


def known_there(sim: Simulation) -> None:
    """The proxied one is a neighbour, too: as where both are on one link."""
    add(sim, PROXIED, NUD_STALE, dev="va")
    lines(sim)


@pytest.mark.parametrize(
    ("forwarding", "proxy_ndp", "entry", "lladdr", "ignored"),
    [
        (1, 1, True, OWN, True),
        (0, 1, True, OWN, False),
        (1, 0, True, OWN, False),
        (1, 1, False, OWN, False),
        (1, 1, True, ELSEWHERE, False),
        (1, 1, True, None, False),
    ],
)
def test_our_own_proxy_advertisement_come_back_is_ignored(
    forwarding: int, proxy_ndp: int, entry: bool, lladdr: str | None, ignored: bool
) -> None:
    """Judged by what holds everywhere, and by our own link-layer address."""
    sim = router(proxied=PROXIED if entry else None)
    sim.set(None, 6, forwarding=forwarding, proxy_ndp=proxy_ndp)
    known_there(sim)
    hear(sim, advertisement(PROXIED, "SO", lladdr=lladdr))

    assert drops(sim) == ({"ndisc_own_proxy_advertisement": 1} if ignored else {})
    assert len(lines(sim)) == (not ignored)


# -- the group


def listens(sim: Simulation, to: str = TO_GROUP) -> bool:
    return bytes(LinkAddress(to)) in link(sim).groups


def test_a_proxied_addresss_group_is_listened_to_until_it_is_proxied_no_more() -> None:
    """R152."""
    sim = router(proxied=None)
    assert not listens(sim)
    hear(sim, solicitation(HOST, PROXIED))
    assert drops(sim) == {"ipv6_group_not_joined": 1}
    sim.admin(PROXIED, "va", nlm_flags=NLM_F_CREATE, flags=NTF_PROXY)
    assert listens(sim)
    hear(sim, solicitation(HOST, PROXIED))
    assert [one.target for one in said(sim)] == [PROXIED]
    delete(sim)

    assert not listens(sim)


def test_proxy_ndp_need_not_be_on_for_the_group() -> None:
    assert listens(router(proxy_ndp=0, forwarding=0))


def test_an_entry_that_is_overwritten_is_listened_for_once() -> None:
    sim = router()
    for flags in (NTF_ROUTER, 0):
        sim.admin(PROXIED, "va", nlm_flags=NLM_F_CREATE, flags=NTF_PROXY | flags)
    delete(sim)
    assert not listens(sim)
    with pytest.raises(AdminError):
        delete(sim)


def test_several_who_share_a_group_keep_it() -> None:
    sim = router()
    sharing = "2001:db8:6::9"
    sim.admin(sharing, "va", nlm_flags=NLM_F_CREATE, flags=NTF_PROXY)
    sim.add_address("va", "2001:db8:7::9/64")
    delete(sim)
    assert listens(sim)
    delete(sim, sharing)
    assert listens(sim)
    sim.remove_address("va", "2001:db8:7::9/64")

    assert not listens(sim)


@pytest.mark.parametrize("state", [NUD_NONE, NUD_PERMANENT], ids=["not permanent", "permanent"])
def test_a_flush_of_the_device_leaves_the_groups_of_those_that_go(state: int) -> None:
    sim = router(state=state)
    link(sim).set_carrier(False)
    assert listens(sim) is (state == NUD_PERMANENT)
    link(sim).set_carrier(True)
    link(sim).set_down()
    assert not listens(sim)
    assert cache6(sim).proxies == {}
    link(sim).set_up()

    assert not listens(sim)
    assert listens(sim, "33:33:ff:00:00:01"), "that of its own address"


def test_disable_ipv6_takes_proxies_and_their_groups_along() -> None:
    sim = router()
    sim.set("va", 6, disable_ipv6=1)

    assert cache6(sim).proxies == {}
    assert not listens(sim)


def test_a_device_that_is_attached_again_listens_to_no_proxys_group() -> None:
    sim = router()
    device = sim.device("va")
    sim.driver.detach(device.index)

    assert packed(group(US)) in device.groups
    assert packed(group(PROXIED)) not in device.groups


def test_an_ipv6_proxy_needs_a_device() -> None:
    sim = router(proxied=None)
    with pytest.raises(OSError, match="No buffer space") as caught:
        sim.engine.new_neighbour(None, packed(PROXIED), sim.now, flags=NTF_PROXY)

    assert caught.value.errno == 105
    assert cache6(sim).proxies == {}


def test_proxying_makes_no_entry_and_tells_nobody() -> None:
    sim = router(proxied=None)
    sim.run(10.0)
    lines(sim)
    sim.admin(PROXIED, "va", nlm_flags=NLM_F_CREATE, flags=NTF_PROXY)
    delete(sim)

    assert lines(sim) == []
    assert PROXIED not in present(sim)
