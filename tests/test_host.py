"""A host in trio: its addresses, what it announces and answers, and the packets for the stack above."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import neighio
from neighio import AddressConflict, AttachedDevice, DuplicateAddress, LinkAddress, NeighbourTable
from neighio.address import parse_ip
from neighio.core.claims import ANNOUNCE_WAIT, PROBE_MAX, PROBE_WAIT
from neighio.core.constants import NTF_PROXY
from neighio.testing import MemoryLink, Segment
from neighio.wire import arp, icmp, ndisc, udp
from neighio.wire.ethernet import BROADCAST

from .shell import OTHER, OURS, THEIRS, interrupt

OURS4, OURS6 = "198.51.100.1/24", "2001:db8::1/64"
LOCAL = "fe80::1/64"
BOTH = [OURS4, OURS6]
LONGEST = PROBE_WAIT + 2 * PROBE_MAX + ANNOUNCE_WAIT


def packed(text: str) -> bytes:
    return parse_ip(text.partition("/")[0])[0]


@dataclass
class Net:
    """Two hosts' tables on one segment: ``a`` is at OURS, ``b`` at THEIRS; and a link of nobody's."""

    segment: Segment
    a: NeighbourTable
    b: NeighbourTable
    link: MemoryLink
    wire: MemoryLink

    @property
    def ours(self) -> AttachedDevice:
        return self.a.devices["va"]

    @property
    def theirs(self) -> AttachedDevice:
        return self.b.devices["vb"]

    def sent(self, sender: str = "va") -> list[bytes]:
        return [one.frame for one in self.segment.frames if one.sender == sender]


@asynccontextmanager
async def net(ours: tuple[str, ...] = (), theirs: tuple[str, ...] = (), **options: Any) -> AsyncIterator[Net]:
    segment = Segment(trio.current_time)
    link = segment.attach(OURS, name="va")
    far = segment.attach(THEIRS, name="vb")
    wire = segment.attach(OTHER, name="vc")
    a = neighio.Device(link, "host", addresses=ours, **options)
    b = neighio.Device(far, "host", addresses=theirs)
    async with neighio.open_table(a) as table, neighio.open_table(b) as other:
        yield Net(segment, table, other, link, wire)


def nothing_is_left(n: Net) -> None:
    assert n.ours.addresses == ()
    assert n.a.statistics().tasks_waiting == 0
    assert n.ours._device.node.first_hop(packed(OURS4)) is None
    assert n.ours._device.node.first_hop(packed(OURS6)) is None
    assert n.a._driver.engine.claims.next_deadline(n.ours.index) == inf


# -- addresses


@pytest.mark.parametrize("address", BOTH)
async def test_an_address_that_nobody_has_is_ours_when_the_call_returns(
    address: str, autojump_clock: MockClock
) -> None:
    async with net() as n:
        begun = trio.current_time()
        await n.ours.add_address(address)
        assert n.ours.addresses == (address,)
        assert 1.0 <= trio.current_time() - begun <= LONGEST
        assert n.ours._device.node.first_hop(packed(address)) is not None
        with pytest.raises(neighio.InvalidAddress, match="own"):
            await n.a.resolve(packed(address))


@pytest.mark.parametrize("address", BOTH)
async def test_an_address_that_somebody_has_is_refused_with_the_holder_named(
    address: str, autojump_clock: MockClock
) -> None:
    async with net(theirs=(address,)) as n:
        with pytest.raises(DuplicateAddress) as caught:
            await n.ours.add_address(address)
        assert caught.value.lladdr == LinkAddress(THEIRS)
        assert caught.value.ip == address.partition("/")[0]
        assert THEIRS in str(caught.value)
        nothing_is_left(n)


@pytest.mark.parametrize("address", BOTH)
async def test_two_who_want_an_address_at_once_do_not_both_get_it(
    address: str, autojump_clock: MockClock
) -> None:
    async with net() as n:
        outcomes: list[str] = []

        async def want(device: AttachedDevice) -> None:
            try:
                await device.add_address(address)
            except DuplicateAddress:
                outcomes.append("duplicate")
            else:
                outcomes.append("had")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(want, n.ours)
            nursery.start_soon(want, n.theirs)
        assert outcomes.count("had") <= 1 and len(outcomes) == 2


@pytest.mark.parametrize("address", BOTH)
async def test_without_detection_it_is_ours_at_once_and_nothing_is_sent_for_it(
    address: str, autojump_clock: MockClock
) -> None:
    async with net() as n:
        begun = trio.current_time()
        await n.ours.add_address(address, dad_transmits=0)
        assert (trio.current_time(), n.ours.addresses) == (begun, (address,))
        assert not [f for f in n.sent() if f[12:14] == b"\x08\x06"]


@pytest.mark.parametrize("address", BOTH)
async def test_a_cancelled_call_leaves_nothing_wherever_it_is_cancelled(
    address: str, autojump_clock: MockClock
) -> None:
    at = 0
    while True:
        async with net() as n:
            with trio.CancelScope() as scope:
                count = await interrupt(n.ours.add_address(address), at, scope)
            if not scope.cancelled_caught:
                assert at >= count
                return
            nothing_is_left(n)
            await trio.sleep(60)
            nothing_is_left(n)
        at += 1


@pytest.mark.parametrize("address", BOTH)
async def test_what_is_removed_while_it_is_wanted_wakes_who_wants_it(
    address: str, autojump_clock: MockClock
) -> None:
    async with net() as n, trio.open_nursery() as nursery:
        ended: list[neighio.AdminError] = []

        async def want() -> None:
            with pytest.raises(neighio.AdminError) as caught:
                await n.ours.add_address(address)
            ended.append(caught.value)

        nursery.start_soon(want)
        await trio.sleep(0.01)
        n.ours.remove_address(address)
        await trio.testing.wait_all_tasks_blocked()
        assert [one.errno for one in ended] == [errno.EADDRNOTAVAIL]
        nothing_is_left(n)


async def test_a_device_that_goes_ends_the_wait(autojump_clock: MockClock) -> None:
    async with net() as n, trio.open_nursery() as nursery:

        async def want() -> None:
            with pytest.raises(neighio.DeviceGone):
                await n.ours.add_address(OURS4)

        nursery.start_soon(want)
        await trio.sleep(0.01)
        n.link.remove()


REFUSED: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("198.51.100.1", {}, neighio.InvalidAddress, "has no prefix length"),
    ("198.51.100.1/33", {}, neighio.InvalidAddress, "has no prefix length"),
    ("nonsense/24", {}, neighio.InvalidAddress, "address: 'nonsense' is not"),
    ("224.0.0.1/24", {}, neighio.InvalidAddress, "address: 224.0.0.1 can be no station's"),
    ("255.255.255.255/32", {}, neighio.InvalidAddress, "can be no station's"),
    ("0.0.0.0/0", {}, neighio.InvalidAddress, "can be no station's"),
    ("127.0.0.1/8", {}, neighio.InvalidAddress, "can be no station's"),
    ("::/64", {}, neighio.InvalidAddress, "can be no station's"),
    ("::1/128", {}, neighio.InvalidAddress, "can be no station's"),
    ("ff02::1/64", {}, neighio.InvalidAddress, "can be no station's"),
    (OURS4, {"dad_transmits": -1}, ValueError, "dad_transmits: -1 is out of range"),
    (OURS4, {"defence": "sometimes"}, ValueError, "defence: 'sometimes' is not one of"),
]


@pytest.mark.parametrize(
    ("address", "options", "error", "message"), REFUSED, ids=[r[0] + r[3] for r in REFUSED]
)
async def test_what_no_station_can_have_is_refused_and_changes_nothing(
    address: str, options: dict[str, Any], error: type[Exception], message: str, autojump_clock: MockClock
) -> None:
    async with net() as n:
        with pytest.raises(error, match=message):
            await n.ours.add_address(address, **options)
        nothing_is_left(n)
        assert n.sent() == []


async def test_an_address_that_is_there_is_refused_and_so_is_removing_another(
    autojump_clock: MockClock,
) -> None:
    async with net(ours=(OURS4,)) as n:
        with pytest.raises(FileExistsError, match=r"198\.51\.100\.1 is there already"):
            await n.ours.add_address("198.51.100.1/16")
        with pytest.raises(neighio.AdminError, match=r"198.51.100.9 is not there") as caught:
            n.ours.remove_address("198.51.100.9")
        assert caught.value.errno == errno.EADDRNOTAVAIL
        assert n.ours.addresses == (OURS4,)


async def test_the_route_goes_with_the_last_address_of_its_network(autojump_clock: MockClock) -> None:
    async with net(ours=(OURS4, "198.51.100.2/24")) as n:
        node = n.ours._device.node
        n.ours.remove_address("198.51.100.2")
        assert node.first_hop(packed("198.51.100.77")) is not None
        n.ours.remove_address(OURS4)
        assert node.first_hop(packed("198.51.100.77")) is None


async def test_a_client_has_no_addresses_of_its_own(autojump_clock: MockClock) -> None:
    segment = Segment(trio.current_time)
    device = neighio.Device(segment.attach(OURS, name="va"), addresses=[OURS4])
    async with neighio.open_table(device) as table:
        client = table.devices["va"]
        assert client.role == "client"
        with pytest.raises(ValueError, match="role: va is a client"):
            await client.add_address(OURS6)
        for call in (client.announce, lambda: client.remove_address(OURS4), lambda: client.send_nowait(b"")):
            with pytest.raises(ValueError, match="role: va is a client"):
                call()
        with pytest.raises(ValueError, match="role: va is a client"):
            async with client.packets():
                pass


# -- conflicts


def gratuitous(lladdr: str) -> bytes:
    ip, mac = packed(OURS4), LinkAddress(lladdr)
    return arp.build(arp.ARPOP_REQUEST, ip, mac, ip, bytes(6), dst=BROADCAST, src=mac)


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
            found: list[AddressConflict] = []
            with trio.move_on_after(1):
                async for event in events:
                    if isinstance(event, AddressConflict):
                        found.append(event)
        assert [one.action for one in found] == actions
        assert {(one.ip, one.lladdr) for one in found} == {("198.51.100.1", LinkAddress(OTHER))}
        assert n.ours.addresses == ((OURS4,) if kept else ())
        defended = [arp.parse(f) for f in n.sent() if f[:6] == BROADCAST and f[12:14] == b"\x08\x06"]
        assert len(defended) == actions.count("defended")


# -- announcing


async def test_one_call_announces_both_families(autojump_clock: MockClock) -> None:
    async with net(ours=(OURS4, OURS6)) as n:
        await trio.sleep(5)
        before = len(n.sent())
        n.ours.announce(repeat=3, interval=1.0, backoff=2.0, form="both")
        await trio.sleep(0.5)
        first = n.sent()[before:]
        kinds = [arp.parse(f) if f[12:14] == b"\x08\x06" else ndisc.parse(f) for f in first]
        assert [k[0] for k in kinds if isinstance(k, tuple) and not isinstance(k, ndisc.Advertisement)] == [
            1,
            2,
        ]
        (advertisement,) = [k for k in kinds if isinstance(k, ndisc.Advertisement)]
        assert (advertisement.override, advertisement.solicited) == (True, False)
        assert advertisement.lladdr == LinkAddress(OURS)
        counts = []
        for seconds in (1.0, 1.0, 1.0, 20.0):
            await trio.sleep(seconds)
            counts.append((len(n.sent()) - before) // 3)
        assert counts == [2, 2, 3, 3]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("198.51.100.9",), {}, "address: 198.51.100.9 is not in use on va"),
        ((), {"repeat": 0}, "repeat: 0 is no whole number"),
        ((), {"interval": -1.0}, "interval: -1.0 is out of range"),
        ((), {"backoff": 0.5}, "backoff: 0.5 is out of range"),
        ((), {"form": "letter"}, "form: 'letter' is not one of"),
    ],
)
async def test_an_announcement_that_cannot_be_meant_is_refused(
    arguments: tuple[str, ...], options: dict[str, Any], message: str, autojump_clock: MockClock
) -> None:
    async with net(ours=(OURS4,)) as n:
        await trio.sleep(1)
        before = n.sent()
        with pytest.raises(ValueError, match=message):
            n.ours.announce(*arguments, **options)
        assert n.sent() == before


async def test_an_announcement_moves_what_the_neighbours_know(autojump_clock: MockClock) -> None:
    async with net(
        ours=(OURS4, OURS6, LOCAL), theirs=("198.51.100.2/24", "2001:db8::2/64", "fe80::2/64")
    ) as n:
        for ip in ("198.51.100.1", "2001:db8::1"):
            assert await n.b.resolve(ip) == LinkAddress(OURS)
        n.link.change(lladdr="02:00:00:00:00:1a")
        n.ours._device.lladdr = LinkAddress("02:00:00:00:00:1a")
        n.ours.announce()
        await trio.sleep(0.1)
        for ip in ("198.51.100.1", "2001:db8::1"):
            found = n.b.lookup(ip)
            assert found is not None and found.lladdr == LinkAddress("02:00:00:00:00:1a")


# -- two hosts


async def test_two_hosts_find_each_other_with_few_frames(autojump_clock: MockClock) -> None:
    theirs = ("198.51.100.2/24", "2001:db8::2/64", "fe80::2/64")
    async with net(ours=(OURS4, OURS6, LOCAL), theirs=theirs) as n:
        async with trio.open_nursery() as nursery:
            for ip in ("198.51.100.2", "2001:db8::2", "fe80::2%va"):
                nursery.start_soon(n.a.resolve, ip)
            for ip in ("198.51.100.1", "2001:db8::1", "fe80::1%vb"):
                nursery.start_soon(n.b.resolve, ip)
        await trio.sleep(600)
        assert len(n.segment.frames) < 60
        for table in (n.a, n.b):
            assert table.statistics().tasks_waiting == 0


# -- packets


def ping(src: str, dst: str) -> bytes:
    return icmp.build_echo_request(icmp.EchoRequest(packed(src), packed(dst), 0, 0, b"\0\1\0\1abc"))


PAIRS = [("198.51.100.1/24", "198.51.100.2/24"), ("2001:db8::1/64", "2001:db8::2/64")]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
async def test_an_echo_request_is_answered_through_the_table(
    ours: str, theirs: str, autojump_clock: MockClock
) -> None:
    async with net(ours=(ours, LOCAL), theirs=(theirs, "fe80::2/64")) as n, trio.open_nursery() as nursery:
        await nursery.start(neighio.answer_echo, n.theirs)
        async with n.ours.packets() as incoming:
            n.ours.send_nowait(ping(ours, theirs))
            with trio.fail_after(1):
                answer = await anext(incoming)
            assert answer.lladdr == LinkAddress(THEIRS)
            assert answer.packet.endswith(b"abc")
            assert icmp.parse_echo_request(answer.packet) == icmp.DROP_NOT_ECHO_REQUEST
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
async def test_packets_that_nobody_reads_are_counted_and_not_kept(
    ours: str, theirs: str, autojump_clock: MockClock
) -> None:
    async with net(ours=(ours, LOCAL), theirs=(theirs, "fe80::2/64")) as n:
        n.ours.send_nowait(ping(ours, theirs))
        await trio.sleep(0.1)
        assert n.theirs.drops["ip_no_listener"] == 1
        async with n.theirs.packets(capacity=2) as incoming:
            for _ in range(5):
                n.ours.send_nowait(ping(ours, theirs))
            await trio.sleep(0.1)
            assert n.theirs.drops["ip_overflow"] == 3
            for _ in range(2):
                assert (await anext(incoming)).packet == ping(ours, theirs)
            with trio.move_on_after(1) as scope:
                await anext(incoming)
            assert scope.cancelled_caught
        with pytest.raises(trio.ClosedResourceError):
            await anext(incoming)


async def test_packets_end_with_their_device(autojump_clock: MockClock) -> None:
    async with net(ours=(OURS4,)) as n, n.ours.packets() as incoming, trio.open_nursery() as nursery:

        async def read() -> None:
            async for _ in incoming:
                raise AssertionError

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        n.link.remove()


async def test_a_packet_without_a_way_is_refused(autojump_clock: MockClock) -> None:
    async with net(ours=(OURS4,)) as n:
        far = udp.build(packed(OURS4), packed("203.0.113.9"), 9, 9, b"x")
        with pytest.raises(neighio.Unreachable, match=r"no route to 203\.0\.113\.9"):
            n.ours.send_nowait(far)
        with pytest.raises(ValueError, match="packet: no IP packet"):
            n.ours.send_nowait(b"\x45")
        with pytest.raises(neighio.InvalidAddress, match="gateway"):
            n.ours.add_route("0.0.0.0/0", "2001:db8::2")
        n.ours.add_route("0.0.0.0/0", "198.51.100.2")
        n.ours.send_nowait(far)
        found = n.a.lookup("198.51.100.2")
        assert found is not None and found.nud_state == neighio.NudState.INCOMPLETE


# -- proxies


async def test_a_router_answers_in_anothers_place_after_a_while(autojump_clock: MockClock) -> None:
    async with net(ours=(OURS6, LOCAL), theirs=("2001:db8::2/64", "fe80::2/64"), forwarding=True) as n:
        n.a.set("va", 6, proxy_ndp=1, proxy_delay=0.5)
        n.a.add("2001:db8::99", "va", proxy=True)
        assert [one.flags & NTF_PROXY for one in n.a.ndisc.proxies()] == [NTF_PROXY]
        begun = trio.current_time()
        assert await n.b.resolve("2001:db8::99") == LinkAddress(OURS)
        assert 0 <= trio.current_time() - begun <= 0.5
        n.a.delete("2001:db8::99", "va", proxy=True)
        with pytest.raises(neighio.Unreachable):
            await n.b.resolve("2001:db8::99", verified=True)


# -- down and up


@pytest.mark.parametrize("address", BOTH)
async def test_an_address_is_detected_anew_when_the_device_comes_up(
    address: str, autojump_clock: MockClock
) -> None:
    async with net() as n:
        await n.ours.add_address(address)
        n.link.set_down()
        await trio.sleep(1)
        n.link.set_up()
        await trio.sleep(0.001)
        assert n.ours.addresses == ()
        await trio.sleep(LONGEST)
        assert n.ours.addresses == (address,)
        assert n.ours._device.node.first_hop(packed(address)) is not None


@pytest.mark.parametrize("address", BOTH)
async def test_one_that_somebody_took_meanwhile_is_lost_and_told(
    address: str, autojump_clock: MockClock
) -> None:
    async with net() as n:
        await n.ours.add_address(address)
        with n.a.subscribe(conflicts=True) as events:
            n.link.set_down()
            await n.theirs.add_address(address)
            n.link.set_up()
            await trio.sleep(LONGEST)
            found = []
            with trio.move_on_after(1):
                async for event in events:
                    if isinstance(event, AddressConflict):
                        found.append(event.action)
        assert (found, n.ours.addresses) == (["duplicate"], ())
        assert n.theirs.addresses == (address,)
