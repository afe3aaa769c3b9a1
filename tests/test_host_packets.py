"""The packets for the stack above a host, and those that it sends."""

from __future__ import annotations

import errno

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import neighio
from neighio import LinkAddress
from neighio.testing import Segment
from neighio.wire import icmp, udp

from .hosts import LOCAL, OURS4, OURS6, OWN, PAIRS, THEIR_LOCAL, THEIR_OWN, THEIRS4, net, packed, ping
from .shell import OTHER, OURS, THEIRS

# -- to be read


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
async def test_an_echo_request_is_answered_through_the_table(
    ours: str, theirs: str, autojump_clock: MockClock
) -> None:
    async with net(ours=OWN, theirs=THEIR_OWN) as n, trio.open_nursery() as nursery:
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
    async with net(ours=OWN, theirs=THEIR_OWN) as n:
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
            # Nobody took the place of the reader who gave up.
            n.ours.send_nowait(ping(ours, theirs))
            assert (await anext(incoming)).packet == ping(ours, theirs)


async def test_every_reader_has_all_packets(autojump_clock: MockClock) -> None:
    async with net(ours=OWN, theirs=THEIR_OWN) as n:
        async with n.theirs.packets(capacity=1) as short, n.theirs.packets() as long:
            for text in (b"one", b"two"):
                n.ours.send_nowait(ping(OURS4, THEIRS4, text))
            assert (await anext(short)).packet[-3:] == b"one"
            assert [(await anext(long)).packet[-3:] for _ in range(2)] == [b"one", b"two"]
            assert n.theirs.drops["ip_overflow"] == 1
        n.ours.send_nowait(ping(OURS4, THEIRS4))
        await trio.sleep(0.1)
        assert n.theirs.drops["ip_no_listener"] == 1


async def test_one_stream_has_one_reader_at_a_time(autojump_clock: MockClock) -> None:
    async with net(ours=(OURS4,)) as n, n.ours.packets() as incoming, trio.open_nursery() as nursery:
        nursery.start_soon(anext, incoming)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError, match="another task"):
            await anext(incoming)
        nursery.cancel_scope.cancel()


async def test_a_block_that_was_left_yields_nothing_more(autojump_clock: MockClock) -> None:
    async with net(ours=OWN, theirs=THEIR_OWN) as n:
        async with n.theirs.packets() as incoming:
            n.ours.send_nowait(ping(OURS4, THEIRS4))
            await trio.sleep(0.1)
        with pytest.raises(trio.ClosedResourceError, match="no longer taken"):
            await anext(incoming)


async def test_a_reader_in_another_task_learns_that_the_block_was_left(autojump_clock: MockClock) -> None:
    async with net(ours=(OURS4,)) as n, trio.open_nursery() as nursery:

        async def read() -> None:
            with pytest.raises(trio.ClosedResourceError, match="no longer taken"):
                await anext(incoming)

        async with n.ours.packets() as incoming:
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()


async def test_packets_end_with_their_device(autojump_clock: MockClock) -> None:
    async with net(ours=OWN, theirs=THEIR_OWN) as n, trio.open_nursery() as nursery:
        ended: list[int] = []

        async def read() -> None:
            ended.append(len([packet async for packet in incoming]))

        async with n.theirs.packets() as incoming, n.theirs.packets() as unread:
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            n.ours.send_nowait(ping(OURS4, THEIRS4))
            await trio.testing.wait_all_tasks_blocked()
            await n.theirs.detach()
            await trio.testing.wait_all_tasks_blocked()
            assert ended == [1]
            # What had arrived is not lost.
            assert [packet.packet async for packet in unread] == [ping(OURS4, THEIRS4)]


async def test_packets_of_a_device_that_went_are_not_those_of_the_next_with_its_index(
    autojump_clock: MockClock,
) -> None:
    async with net(ours=(OURS4,)) as n:
        index = n.ours.index
        async with n.ours.packets() as old:
            n.link.remove()
            other = Segment(trio.current_time)
            link = other.attach(OURS, name="va", index=index)
            far = neighio.Device(other.attach(THEIRS, name="vd"), "host", addresses=(THEIRS4,))
            device = await n.a.attach(neighio.Device(link, "host", addresses=(OURS4,)))
            async with neighio.open_table(far) as table, device.packets() as new:
                table.devices["vd"].send_nowait(ping(THEIRS4, OURS4))
                assert (await anext(new)).packet == ping(THEIRS4, OURS4)
            assert [packet async for packet in old] == []
        async with device.packets():
            pass
        assert "ip_overflow" not in device.drops


async def test_packets_end_with_their_table(autojump_clock: MockClock) -> None:
    segment = Segment(trio.current_time)
    device = neighio.Device(segment.attach(OURS, name="va"), "host", addresses=(OURS4,))
    table = neighio.NeighbourTable(device)
    ended: list[str] = []

    async def read(attached: neighio.AttachedDevice) -> None:
        async with attached.packets() as incoming:
            async for _ in incoming:
                raise AssertionError
            ended.append("read")

    async def hold(attached: neighio.AttachedDevice) -> None:
        async with attached.packets():
            await trio.sleep(1)
        ended.append("held")

    async with trio.open_nursery() as outer, trio.open_nursery() as nursery:
        await nursery.start(table.serve)
        va = table.devices["va"]
        outer.start_soon(read, va)
        outer.start_soon(hold, va)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert ended == ["read", "held"]


async def test_a_cancellation_of_all_is_one_wherever_the_packets_are(autojump_clock: MockClock) -> None:
    for seed in range(8):
        with trio.CancelScope() as scope:
            async with net(ours=OWN) as n, trio.open_nursery() as nursery:
                for _ in range(seed):
                    nursery.start_soon(trio.sleep_forever)
                async with n.ours.packets() as incoming:
                    nursery.start_soon(trio.sleep_forever)
                    await trio.testing.wait_all_tasks_blocked()
                    scope.cancel()
                    await anext(incoming)
        assert scope.cancelled_caught


async def test_a_capacity_that_is_none_is_refused(autojump_clock: MockClock) -> None:
    async with net(ours=(OURS4,)) as n:
        with pytest.raises(ValueError, match="capacity: 0 is not at least 1"):
            async with n.ours.packets(capacity=0):
                raise AssertionError
        n.link.remove()
        await trio.testing.wait_all_tasks_blocked()


# -- echo


@pytest.mark.parametrize("how", ["device", "table"])
@pytest.mark.parametrize("steps", range(6))
async def test_the_echo_responder_ends_with_its_device_and_its_table(
    how: str, steps: int, autojump_clock: MockClock
) -> None:
    segment = Segment(trio.current_time)
    us = neighio.Device(segment.attach(OURS, name="va"), "host", addresses=OWN)
    them = neighio.Device(segment.attach(THEIRS, name="vb"), "host", addresses=THEIR_OWN)
    async with (
        neighio.open_table(them) as theirs,
        trio.open_nursery() as nursery,
        neighio.open_table(us) as table,
    ):
        await nursery.start(neighio.answer_echo, table.devices["va"])
        for _ in range(4):
            theirs.devices["vb"].send_nowait(ping(THEIRS4, OURS4))
        # Of the four requests some are answered by now.
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        if how == "device":
            await table.devices["va"].detach()


async def test_an_echo_that_has_no_way_back_is_not_answered_and_the_next_one_is(
    autojump_clock: MockClock,
) -> None:
    async with net(ours=(OURS4,), theirs=(THEIRS4,)) as n, trio.open_nursery() as nursery:
        await nursery.start(neighio.answer_echo, n.theirs)
        async with n.ours.packets() as incoming:
            # As if from behind us.
            n.ours.send_nowait(ping("203.0.113.9", THEIRS4))
            n.ours.send_nowait(ping(OURS4, THEIRS4, b"xyz"))
            with trio.fail_after(1):
                assert (await anext(incoming)).packet.endswith(b"xyz")
        nursery.cancel_scope.cancel()


# -- sending


async def test_a_packet_without_a_way_is_refused(autojump_clock: MockClock) -> None:
    async with net(ours=(OURS4,)) as n:
        far = udp.build(packed(OURS4), packed("203.0.113.9"), 9, 9, b"x")
        with pytest.raises(neighio.Unreachable, match=r"no route to 203\.0\.113\.9"):
            n.ours.send_nowait(far)
        for data in (b"", b"\x45", b"\x45" + bytes(18), b"\x60" + bytes(38), b"\x50" + bytes(40)):
            with pytest.raises(ValueError, match="packet: no IP packet"):
                n.ours.send_nowait(data)
        n.ours.add_route("0.0.0.0/0", "198.51.100.2")
        n.ours.send_nowait(far)
        found = n.a.lookup("198.51.100.2")
        assert found is not None and found.nud_state == neighio.NudState.INCOMPLETE


@pytest.mark.parametrize(
    ("network", "gateway", "message"),
    [
        ("0.0.0.0/0", "2001:db8::2", "gateway: 2001:db8::2 can be no gateway of 0.0.0.0/0"),
        ("0.0.0.0/0", "198.51.100.1", "gateway: 198.51.100.1 can be no gateway"),
        ("0.0.0.0/0", "198.51.100.255", "gateway: 198.51.100.255 can be no gateway"),
        ("0.0.0.0/0", "203.0.113.1", "gateway: 203.0.113.1 is not on the link of va"),
        ("::/0", "2001:db8:1::1", "gateway: 2001:db8:1::1 is not on the link of va"),
        ("::/0", "ff02::2", "gateway: ff02::2 can be no gateway"),
        ("::/0", "::", "gateway: :: can be no gateway"),
        ("::/0", "fe80::9%vb", "gateway: zone 'vb' contradicts device va"),
        ("0.0.0.0/0", "x", "gateway: 'x' is not an IP address"),
        ("198.51.100.1/24", None, "network: 198.51.100.1/24 has host bits set"),
        ("default", None, "network: "),
    ],
)
async def test_a_route_that_can_be_none_is_refused(
    network: str, gateway: str | None, message: str, autojump_clock: MockClock
) -> None:
    async with net(ours=OWN) as n:
        with pytest.raises(neighio.InvalidAddress, match=message):
            n.ours.add_route(network, gateway)
        assert not n.has_a_way_to("203.0.113.9") and not n.has_a_way_to("2001:db8:1::9")


async def test_a_gateway_may_be_on_the_link_of_an_address_that_is_still_detected(
    autojump_clock: MockClock,
) -> None:
    async with net(ours=OWN) as n, trio.open_nursery() as nursery:
        nursery.start_soon(n.ours.add_address, "203.0.113.5/24")
        await trio.testing.wait_all_tasks_blocked()
        assert "203.0.113.5/24" not in n.ours.addresses
        n.ours.add_route("198.18.0.0/15", "203.0.113.1")
        assert n.has_a_way_to("198.18.0.9")


async def test_a_route_is_removed_as_it_was_added(autojump_clock: MockClock) -> None:
    async with net(ours=OWN) as n:
        n.ours.add_route("203.0.113.0/24", "198.51.100.2")
        n.ours.add_route("203.0.112.0/22", "198.51.100.3")
        for wrong in (("203.0.113.0/24", "198.51.100.3"), ("203.0.113.0/25",), ("198.18.0.0/15",)):
            with pytest.raises(neighio.AdminError) as caught:
                n.ours.remove_route(*wrong)
            assert caught.value.errno == errno.ESRCH
        with pytest.raises(neighio.InvalidAddress, match="network: "):
            n.ours.remove_route("203.0.113.1/24")
        n.ours.remove_route("203.0.113.0/24", "198.51.100.2")
        hop = n.ours._device.node.first_hop(packed("203.0.113.9"))
        assert hop is not None and hop[1] == packed("198.51.100.3")
        n.ours.remove_route("203.0.112.0/22")
        assert not n.has_a_way_to("203.0.113.9")


async def test_a_gateway_may_be_on_the_link_by_a_route_alone(autojump_clock: MockClock) -> None:
    async with net(ours=OWN) as n:
        n.ours.add_route("203.0.113.1/32")
        n.ours.add_route("0.0.0.0/0", "203.0.113.1")
        # Behind a gateway is no gateway.
        with pytest.raises(neighio.InvalidAddress, match=r"gateway: 198\.18\.0\.1 is not on the link of va"):
            n.ours.add_route("198.18.1.0/24", "198.18.0.1")
        n.ours.add_route("::/0", "fe80::77")
        assert n.has_a_way_to("198.18.0.9") and n.has_a_way_to("2001:db8:1::9")


@pytest.mark.parametrize(
    ("destination", "lladdr"),
    [
        ("224.0.0.251", "01:00:5e:00:00:fb"),
        ("ff02::fb", "33:33:00:00:00:fb"),
        ("255.255.255.255", "ff:ff:ff:ff:ff:ff"),
        ("198.51.100.255", "ff:ff:ff:ff:ff:ff"),
    ],
)
@pytest.mark.parametrize("gateway", [True, False])
async def test_what_is_for_everybody_on_the_link_needs_no_route_and_takes_no_gateway(
    destination: str, lladdr: str, gateway: bool, autojump_clock: MockClock
) -> None:
    async with net(ours=OWN) as n:
        if gateway:
            n.ours.add_route("0.0.0.0/0", "198.51.100.2")
            n.ours.add_route("::/0", "fe80::2")
        source = OURS6 if ":" in destination else OURS4
        sent = udp.build(packed(source), packed(destination), 9, 9, b"x")
        n.ours.send_nowait(sent)
        assert bytes(LinkAddress(lladdr)) + bytes(LinkAddress(OURS)) == n.sent()[-1][:12]
        assert n.sent()[-1][14:] == sent


@pytest.mark.parametrize("destination", ["198.51.100.1", "2001:db8::1", "0.0.0.0", "::", "127.0.0.1"])
async def test_a_packet_to_nobody_or_to_ourselves_is_refused(
    destination: str, autojump_clock: MockClock
) -> None:
    async with net(ours=OWN) as n:
        n.ours.add_route("0.0.0.0/0", "198.51.100.2")
        n.ours.add_route("::/0", "fe80::2")
        source = OURS6 if ":" in destination else OURS4
        with pytest.raises(neighio.InvalidAddress, match=f"packet: {destination} is nobody's"):
            n.ours.send_nowait(udp.build(packed(source), packed(destination), 9, 9, b"x"))
        assert n.a.arp.statistics().entries == 0


async def test_a_link_local_address_is_meant_on_the_device_that_sends(autojump_clock: MockClock) -> None:
    near, far = Segment(trio.current_time), Segment(trio.current_time)
    us = [
        neighio.Device(near.attach(OURS, name="va", index=1), "host", addresses=[LOCAL]),
        neighio.Device(far.attach(OTHER, name="vx", index=2), "host", addresses=["fe80::9/64"]),
    ]
    them = neighio.Device(far.attach(THEIRS, name="vb"), "host", addresses=[THEIR_LOCAL])
    async with (
        neighio.open_table(*us) as ours,
        neighio.open_table(them) as theirs,
        trio.open_nursery() as nursery,
    ):
        await nursery.start(neighio.answer_echo, ours.devices["vx"])
        async with theirs.devices["vb"].packets() as incoming:
            theirs.devices["vb"].send_nowait(ping(THEIR_LOCAL, "fe80::9"))
            with trio.fail_after(1):
                assert (await anext(incoming)).lladdr == LinkAddress(OTHER)
        nursery.cancel_scope.cancel()


async def test_a_packet_that_does_not_get_through_is_told_and_counted(autojump_clock: MockClock) -> None:
    async with net(ours=(OURS4,)) as n:
        with n.a.subscribe(errors=True) as events:
            n.ours.send_nowait(ping(OURS4, "198.51.100.9"))
            with trio.fail_after(10):
                while not isinstance(event := await anext(events), neighio.PacketFailed):
                    pass
        assert (event.ip, event.device, event.error) == ("198.51.100.9", "va", neighio.Unreachable)
        assert n.a.statistics().counters["packets_failed"] == 1
