"""What a host tells, and what it does about those who contradict; proxies; and two hosts that talk."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import neighio
from neighio import LinkAddress, NudState
from neighio.core.constants import NTF_ROUTER
from neighio.testing import Segment
from neighio.wire import arp, mld, ndisc
from neighio.wire.ethernet import BROADCAST

from .hosts import (
    LOCAL,
    OURS4,
    OURS6,
    OWN,
    THEIR_LOCAL,
    THEIR_OWN,
    THEIRS4,
    THEIRS6,
    conflicts,
    net,
    packed,
    ping,
)
from .shell import OTHER, OURS, THEIRS
from .wire.drafts import ROUTER_ALERT, Draft

MOVED = "02:00:00:00:00:1a"

# -- conflicts


def gratuitous(lladdr: str, ip: str = OURS4) -> bytes:
    mac = LinkAddress(lladdr)
    return arp.build(arp.ARPOP_REQUEST, packed(ip), mac, packed(ip), bytes(6), dst=BROADCAST, src=mac)


@pytest.mark.parametrize(
    ("defence", "actions", "kept"),
    [
        ("none", ["reported", "reported"], True),
        ("cease", ["ceased"], False),
        ("once", ["defended", "ceased"], False),
        ("always", ["defended", "reported"], True),
    ],
)
async def test_a_later_conflict_is_told_and_met_as_was_chosen(
    defence: Any, actions: list[str], kept: bool, autojump_clock: MockClock
) -> None:
    async with net() as n:
        await n.ours.add_address(OURS4, dad_transmits=0, defence=defence)
        with n.a.subscribe(conflicts=True) as events:
            for _ in range(2):
                n.wire.send(gratuitous(OTHER))
                await trio.sleep(1)
            found = await conflicts(events)
        assert [one.action for one in found] == actions
        assert {(one.ip, one.device, one.lladdr) for one in found} == {
            ("198.51.100.1", "va", LinkAddress(OTHER))
        }
        assert n.ours.addresses == ((OURS4,) if kept else ())
        assert n.has_a_way_to("198.51.100.77") == kept
        defended = [arp.parse(f) for f in n.sent() if f[:6] == BROADCAST and f[12:14] == b"\x08\x06"]
        assert len(defended) == actions.count("defended")


async def test_conflicts_are_told_to_who_wants_them_alone(autojump_clock: MockClock) -> None:
    async with net(ours=(OURS4, OURS6)) as n:
        with n.a.subscribe() as quiet, n.a.subscribe(conflicts=True) as loud:
            n.wire.send(gratuitous(OTHER))
            advertisement = ndisc.build_advertisement(
                packed(OURS6),
                packed("ff02::1"),
                packed(OURS6),
                LinkAddress(OTHER),
                router=False,
                solicited=False,
                override=True,
            )
            n.wire.send(bytes.fromhex("333300000001") + LinkAddress(OTHER) + b"\x86\xdd" + advertisement)
            await trio.sleep(0.1)
            assert await conflicts(quiet) == []
            assert [(one.ip, one.action) for one in await conflicts(loud)] == [
                ("198.51.100.1", "reported"),
                ("2001:db8::1", "reported"),
            ]
        assert list(n.a.arp.entries()) == [] == [e for e in n.a.ndisc.entries() if e.ip == "2001:db8::1"]


# -- announcing


async def test_one_call_announces_both_families(autojump_clock: MockClock) -> None:
    async with net(ours=(OURS4, OURS6)) as n:
        await trio.sleep(5)
        before = len(n.sent())
        n.ours.announce(repeat=3, interval=1.0, backoff=2.0, form="both")
        request, reply, na = n.sent()[before:]
        ip, own = packed(OURS4), LinkAddress(OURS)
        # Linux takes a reply for gratuitous if its target's link-layer address is the sender's, too.
        assert arp.parse(request) == (arp.ARPOP_REQUEST, ip, own, ip, bytes(6))
        assert arp.parse(reply) == (arp.ARPOP_REPLY, ip, own, ip, own)
        assert request[:6] == reply[:6] == BROADCAST
        advertisement = ndisc.parse(na)
        assert isinstance(advertisement, ndisc.Advertisement)
        assert (advertisement.target, advertisement.lladdr) == (packed(OURS6), own)
        assert (advertisement.override, advertisement.solicited, advertisement.router) == (True, False, False)
        counts = []
        for seconds in (0.5, 1.0, 1.0, 1.0, 20.0):
            await trio.sleep(seconds)
            counts.append((len(n.sent()) - before) // 3)
        assert counts == [1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("form", "ops"), [("request", [1]), ("reply", [2]), ("both", [1, 2])], ids=["request", "reply", "both"]
)
async def test_gratuitous_arp_is_of_the_form_that_was_chosen(
    form: Any, ops: list[int], autojump_clock: MockClock
) -> None:
    async with net(ours=(OURS4, OURS6)) as n:
        n.ours.announce("198.51.100.1", form=form)
        assert [int.from_bytes(f[20:22], "big") for f in n.sent() if f[12:14] == b"\x08\x06"] == ops
        n.ours.announce("2001:db8::1", form=form)
        advertisements = [f for f in n.sent() if isinstance(ndisc.parse(f), ndisc.Advertisement)]
        assert len(advertisements) == 1


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("198.51.100.9",), {}, "address: 198.51.100.9 is not in use on va"),
        (("198.51.100.1", "2001:db8::9"), {}, "address: 2001:db8::9 is not in use on va"),
        (("2001:db8::1%vb",), {}, "address: zone 'vb' contradicts device va"),
        (("x",), {}, "address: 'x' is not"),
        ((), {"repeat": 0}, "repeat: 0 is no whole number"),
        ((), {"repeat": 1.5}, "repeat: 1.5 is no whole number"),
        ((), {"repeat": float("inf")}, "repeat: inf is no whole number"),
        ((), {"repeat": float("nan")}, "repeat: nan is no whole number"),
        ((), {"interval": -1.0}, "interval: -1.0 is out of range"),
        ((), {"interval": float("inf")}, "interval: inf is out of range"),
        ((), {"backoff": 0.5}, "backoff: 0.5 is out of range"),
        ((), {"form": "letter"}, "form: 'letter' is not one of"),
    ],
)
async def test_an_announcement_that_cannot_be_meant_is_refused(
    arguments: tuple[str, ...], options: dict[str, Any], message: str, autojump_clock: MockClock
) -> None:
    async with net(ours=(OURS4, OURS6)) as n:
        await trio.sleep(1)
        before = n.sent()
        with pytest.raises(ValueError, match=message):
            n.ours.announce(*arguments, **options)
        assert n.sent() == before


async def test_a_device_that_is_down_announces_nothing(autojump_clock: MockClock) -> None:
    async with net(ours=(OURS4, OURS6)) as n:
        n.ours.announce(repeat=100)
        n.link.set_down()
        sent = len(n.sent())
        with pytest.raises(neighio.DeviceGone, match="va is down"):
            n.ours.announce()
        await trio.sleep(5)
        assert len(n.sent()) == sent
        n.link.set_up()
        n.ours.announce()
        assert len([f for f in n.sent()[sent:] if f[12:14] == b"\x08\x06"]) == 1


async def test_what_is_removed_is_announced_no_more(autojump_clock: MockClock) -> None:
    async with net(ours=(OURS4, "198.51.100.7/24")) as n:
        n.ours.announce(repeat=3)
        n.ours.remove_address(OURS4)
        await trio.sleep(10)
        announced = [f[28:32] for f in n.sent() if f[12:14] == b"\x08\x06"]
        assert announced.count(packed(OURS4)) == 1 and announced.count(packed("198.51.100.7")) == 3


async def test_an_announcement_moves_what_the_neighbours_know(autojump_clock: MockClock) -> None:
    async with net(ours=OWN, theirs=THEIR_OWN) as n:
        n.b.set("vb", 4, locktime=30.0)
        ips = ("198.51.100.1", "2001:db8::1", "fe80::1")
        for ip in ips:
            assert await n.b.resolve(ip, "vb") == LinkAddress(OURS)
        # Another host takes them over, within the lock time, and tells.
        n.link.set_down()
        other = neighio.Device(n.segment.attach(MOVED, name="vd"), "host", addresses=OWN)
        async with neighio.open_table(other) as table:
            table.devices["vd"].announce()
            await trio.testing.wait_all_tasks_blocked()
            for ip in ips:
                found = n.b.lookup(ip, "vb")
                assert found is not None and found.lladdr == LinkAddress(MOVED)
                assert found.nud_state == NudState.STALE
                assert await n.b.resolve(ip, "vb", verified=True) == LinkAddress(MOVED)


# -- two hosts


async def test_two_hosts_find_each_other_with_few_frames(autojump_clock: MockClock) -> None:
    async with net(ours=OWN, theirs=THEIR_OWN) as n:
        await trio.sleep(5)
        before = len(n.segment.frames)
        async with trio.open_nursery() as nursery:
            for ip in ("198.51.100.2", "2001:db8::2", "fe80::2%va"):
                nursery.start_soon(n.a.resolve, ip)
            for ip in ("198.51.100.1", "2001:db8::1", "fe80::1%vb"):
                nursery.start_soon(n.b.resolve, ip)
        for table, ips in (
            (n.a, ("198.51.100.2", "2001:db8::2", "fe80::2")),
            (n.b, ("198.51.100.1", "2001:db8::1", "fe80::1")),
        ):
            for ip in ips:
                found = table.lookup(ip)
                assert found is not None and found.nud_state == NudState.REACHABLE, ip
        # Each asks for three addresses and answers for three.
        assert len(n.segment.frames) - before <= 12
        # Then both probe, since each has answered the other, and no further.
        await trio.sleep(600)
        settled = len(n.segment.frames)
        assert settled - before < 40
        await trio.sleep(3600)
        assert len(n.segment.frames) == settled
        for table in (n.a, n.b):
            assert table.statistics().tasks_waiting == 0


async def test_two_hosts_that_send_at_once_exchange_their_packets(autojump_clock: MockClock) -> None:
    async with (
        net(ours=OWN, theirs=THEIR_OWN) as n,
        n.ours.packets() as ours,
        n.theirs.packets() as theirs,
    ):
        pairs = list(zip(OWN, THEIR_OWN, strict=True))
        for own, other in pairs:
            n.ours.send_nowait(ping(own, other))
            n.theirs.send_nowait(ping(other, own))
        with trio.fail_after(1):  # noqa: ASYNC100
            assert {(await anext(theirs)).packet for _ in pairs} == {ping(*pair) for pair in pairs}
            assert {(await anext(ours)).packet for _ in pairs} == {ping(b, a) for a, b in pairs}


async def test_a_host_is_asked_in_every_way_that_a_table_can(autojump_clock: MockClock) -> None:
    async with net(ours=OWN, theirs=(*THEIR_OWN, "2001:db8::ff/64")) as n:
        theirs = LinkAddress(THEIRS)
        reply = await n.a.probe("2001:db8::2", source="2001:db8::1")
        assert (reply.ip, reply.lladdr, reply.others) == ("2001:db8::2", theirs, ())
        # From nobody: who has it tells everybody.
        assert (await n.a.probe("2001:db8::2", source="::")).lladdr == theirs
        assert (await n.a.probe("198.51.100.2", source="0.0.0.0")).lladdr == theirs
        assert (await n.a.probe("2001:db8::2", unicast=True)).lladdr == theirs
        assert [f[:6] for f in n.sent()][-1] == theirs
        second = neighio.Device(n.segment.attach(MOVED, name="vd"), "host", addresses=THEIR_OWN)
        async with neighio.open_table(second):
            for ip in ("198.51.100.2", "2001:db8::2"):
                reply = await n.a.probe(ip, listen=0.5)
                assert {reply.lladdr, *reply.others} == {theirs, LinkAddress(MOVED)}
                assert len(reply.others) == 1
        async with n.a.sweep("2001:db8::/120", tries=2, interval=0.5) as sweep:
            found = {reply.ip: reply.lladdr async for reply in sweep}
        assert found == {"2001:db8::2": theirs, "2001:db8::ff": theirs}
        assert n.a.ndisc.statistics().swept == 0


# -- proxies


async def test_a_router_answers_in_anothers_place_after_a_while(autojump_clock: MockClock) -> None:
    async with net(ours=(OURS6, LOCAL), theirs=(THEIRS6, THEIR_LOCAL), forwarding=True) as n:
        n.a.set("va", 6, proxy_ndp=1, proxy_delay=0.5)
        n.a.add("2001:db8::99", "va", proxy=True)
        assert [(one.key, one.device) for one in n.a.ndisc.proxies()] == [
            (packed("2001:db8::99"), n.ours.index)
        ]
        begun = trio.current_time()
        assert await n.b.resolve("2001:db8::99") == LinkAddress(OURS)
        assert 0 < trio.current_time() - begun <= 0.5
        # By unicast it is answered at once; "everywhere" says whether it is let in.
        n.a.set(None, 6, proxy_ndp=1)
        begun = trio.current_time()
        assert await n.b.resolve("2001:db8::99", verified=True) == LinkAddress(OURS)
        assert trio.current_time() - begun < 0.01
        n.a.delete("2001:db8::99", "va", proxy=True)
        with pytest.raises(neighio.Unreachable):
            await n.b.resolve("2001:db8::99", verified=True)


async def test_a_proxy_answers_so_many_at_a_time_and_drops_the_rest(autojump_clock: MockClock) -> None:
    async with net(ours=(OURS6, LOCAL), theirs=(THEIRS6, THEIR_LOCAL), forwarding=True) as n:
        n.a.set("va", 6, proxy_ndp=1, proxy_delay=0.5, proxy_qlen=3)
        n.b.set("vb", 6, mcast_solicit=1)
        for host in range(10):
            n.a.add(f"2001:db8::1:{host:x}", "va", proxy=True)
        answered: list[int] = []

        async def ask(host: int) -> None:
            try:
                await n.b.resolve(f"2001:db8::1:{host:x}")
            except neighio.Unreachable:
                return
            answered.append(host)

        async with trio.open_nursery() as nursery:
            for host in range(10):
                nursery.start_soon(ask, host)
        # proxy_qlen and one more.
        assert len(answered) == 4
        assert n.ours.drops["proxy_queue_full"] == 6


@pytest.mark.parametrize("ip", ["2001:db8::1", "198.51.100.1"])
async def test_an_own_address_may_be_proxied_and_is_answered_for_as_ones_own(
    ip: str, autojump_clock: MockClock
) -> None:
    """As in Linux, to which it makes no difference."""
    async with net(ours=OWN, theirs=THEIR_OWN, forwarding=True) as n:
        n.a.add(ip, "va", proxy=True)
        n.a.set("va", 6, proxy_delay=60)
        n.a.set("va", 4, proxy_delay=60)
        begun = trio.current_time()
        assert await n.b.resolve(ip) == LinkAddress(OURS)
        assert trio.current_time() - begun < 1.0
        n.a.delete(ip, "va", proxy=True)
        assert n.a.ndisc.proxies() == n.a.arp.proxies() == []


@pytest.mark.parametrize("dev", ["va", None])
@pytest.mark.parametrize("ip", ["224.0.0.5", "239.255.255.250", "ff02::5", "::", "0.0.0.0"])
async def test_there_is_no_proxy_for_a_group_or_for_nobody(
    ip: str, dev: str | None, autojump_clock: MockClock
) -> None:
    async with net(ours=OWN, forwarding=True) as n:
        with pytest.raises(neighio.InvalidAddress, match=rf"^(ip|proxy): .*({ip}|unspecified)"):
            n.a.add(ip, dev, proxy=True)
        assert n.a.ndisc.proxies() == n.a.arp.proxies() == []


async def test_only_a_router_is_a_proxy(autojump_clock: MockClock) -> None:
    async with net(ours=(OURS6, LOCAL), theirs=(THEIRS6, THEIR_LOCAL)) as n:
        n.a.set("va", 6, proxy_ndp=1, proxy_delay=0.0)
        n.a.add("2001:db8::99", "va", proxy=True)
        with pytest.raises(neighio.Unreachable):
            await n.b.resolve("2001:db8::99")
        n.a.set("va", 6, forwarding=1)
        assert await n.b.resolve("2001:db8::99") == LinkAddress(OURS)


async def test_a_router_says_that_it_is_one(autojump_clock: MockClock) -> None:
    async with net(ours=(OURS6, LOCAL), theirs=(THEIRS6, THEIR_LOCAL), forwarding=True) as n:
        assert n.a.parameters("va", 4)["forwarding"] == n.a.parameters("va", 6)["forwarding"] == 1
        await n.b.resolve("2001:db8::1")
        found = n.b.lookup("2001:db8::1")
        assert found is not None and found.flags & NTF_ROUTER


# -- groups


def reports(frames: list[bytes]) -> list[bytes]:
    """The groups of each MLDv2 report: of its first record."""
    return [f[74:90] for f in frames if f[:6].hex() == "333300000016"]


async def test_routers_and_switches_are_told_of_an_addresss_group_twice_and_whenever_they_ask(
    autojump_clock: MockClock,
) -> None:
    async with net(ours=(LOCAL,)) as n:
        await trio.sleep(10)
        before = len(n.sent())
        await n.ours.add_address("2001:db8::1:2345/64", dad_transmits=0)
        await trio.sleep(10)
        group = packed("ff02::1:ff01:2345")
        told = reports(n.sent()[before:])
        assert told == [group, group]
        everybody = bytes.fromhex("333300000001")
        query = Draft(
            mld.MLD_LISTENER_QUERY,
            (1000).to_bytes(2, "big") + bytes(18),
            packed("fe80::9"),
            packed("ff02::1"),
            bytes(4),
            hop_limit=1,
            extensions=((0, ROUTER_ALERT),),
        )
        n.wire.send(everybody + LinkAddress(OTHER) + query.frame[12:])
        before = len(n.sent())
        await trio.sleep(1.0)
        (answer,) = n.sent()[before:]
        assert group in answer and packed("ff02::1:ff00:1") in answer


# -- which neighbours of another segment it has


async def test_a_host_on_two_segments_asks_and_answers_on_each(autojump_clock: MockClock) -> None:
    near, far = Segment(trio.current_time), Segment(trio.current_time)
    devices = [
        neighio.Device(near.attach(OURS, name="va", index=1), "host", addresses=[OURS4, OURS6, LOCAL]),
        neighio.Device(
            far.attach(OTHER, name="vx", index=2),
            "host",
            addresses=["203.0.113.1/24", "2001:db8:1::1/64", "fe80::9/64"],
        ),
    ]
    peers = [
        neighio.Device(near.attach(THEIRS, name="vb"), "host", addresses=THEIR_OWN),
        neighio.Device(
            far.attach(MOVED, name="vb"),
            "host",
            addresses=["203.0.113.2/24", "2001:db8:1::2/64", THEIR_LOCAL],
        ),
    ]
    async with (
        neighio.open_table(*devices) as table,
        neighio.open_table(peers[0]) as first,
        neighio.open_table(peers[1]) as second,
    ):
        for dev, ips, peer, lladdr in (
            ("va", (THEIRS4, THEIRS6, THEIR_LOCAL), first, THEIRS),
            ("vx", ("203.0.113.2", "2001:db8:1::2", THEIR_LOCAL), second, MOVED),
        ):
            for ip in ips:
                assert await table.resolve(packed(ip), dev) == LinkAddress(lladdr)
            own = "va" if peer is first else "vx"
            for address in table.devices[own].addresses:
                assert await peer.resolve(packed(address), "vb") == table.devices[own].lladdr
