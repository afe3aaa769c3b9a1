"""A host's own addresses in trio: had when they are known to be nobody else's, and gone without a trace."""

from __future__ import annotations

import errno
import functools
from collections.abc import Callable, Hashable
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import neighio
from neighio import AdminError, AttachedDevice, DuplicateAddress, LinkAddress
from neighio.link.base import Selection
from neighio.testing import Segment
from neighio.waiters import Outcome

from .hosts import (
    BOTH,
    LOCAL,
    LONGEST,
    OURS4,
    OURS6,
    THEIR_LOCAL,
    THEIRS4,
    assert_no_address_is_left,
    conflicts,
    net,
    packed,
)
from .shell import OURS, THEIRS, interrupt

# -- detection


@pytest.mark.parametrize("address", BOTH)
async def test_an_address_that_nobody_has_is_ours_when_the_call_returns(
    address: str, autojump_clock: MockClock
) -> None:
    async with net(theirs=(THEIRS4, THEIR_LOCAL)) as n:
        begun = trio.current_time()
        with trio.testing.assert_checkpoints():
            await n.ours.add_address(address)
        assert n.ours.addresses == (address,)
        assert 1.0 <= trio.current_time() - begun <= LONGEST
        assert n.has_a_way_to(address)
        with pytest.raises(neighio.InvalidAddress, match="own"):
            await n.a.resolve(packed(address))
        assert await n.b.resolve(packed(address)) == LinkAddress(OURS)


@pytest.mark.parametrize("address", BOTH)
async def test_an_address_that_somebody_has_is_refused_with_the_holder_named(
    address: str, autojump_clock: MockClock
) -> None:
    async with net(theirs=(address,)) as n:
        with n.a.subscribe(conflicts=True) as events:
            with pytest.raises(DuplicateAddress) as caught:
                await n.ours.add_address(address)
            assert [one.action for one in await conflicts(events)] == ["duplicate"]
        ip = address.partition("/")[0]
        assert (caught.value.ip, caught.value.device) == (ip, "va")
        assert caught.value.lladdr == LinkAddress(THEIRS)
        assert str(caught.value) == f"{ip} dev va is in use by {THEIRS}"
        assert_no_address_is_left(n)
        # It may be tried again.
        n.theirs.remove_address(address)
        await n.ours.add_address(address)
        assert n.ours.addresses == (address,)


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


async def test_addresses_are_detected_side_by_side(autojump_clock: MockClock) -> None:
    async with net(theirs=("198.51.100.7/24", "2001:db8::7/64")) as n:
        begun = trio.current_time()
        refused: list[str] = []

        async def want(address: str) -> None:
            try:
                await n.ours.add_address(address)
            except DuplicateAddress as duplicate:
                refused.append(duplicate.ip)

        async with trio.open_nursery() as nursery:
            for address in (OURS4, OURS6, LOCAL, "198.51.100.7/24", "2001:db8::7/64"):
                nursery.start_soon(want, address)
        assert trio.current_time() - begun <= LONGEST
        assert sorted(refused) == ["198.51.100.7", "2001:db8::7"]
        assert sorted(n.ours.addresses) == [OURS4, OURS6, LOCAL]
        assert n.a.statistics().tasks_waiting == 0


async def test_addresses_that_are_started_in_turn_are_had_in_this_order(autojump_clock: MockClock) -> None:
    """As Linux has them: packets leave from the first that fits. IPv6 ones stand in front of older ones."""
    given = [f"198.51.100.{n}/24" for n in range(10, 20)]
    given6 = [f"2001:db8::{n}/64" for n in range(10, 20)]
    async with net() as n:
        async with trio.open_nursery() as nursery:
            for address, address6 in zip(given, given6, strict=True):
                await nursery.start(n.ours.add_address, address)
                await nursery.start(n.ours.add_address, address6)
            assert not n.ours.addresses
            assert sorted(n.ours.tentative) == sorted([*given, *given6])
            with pytest.raises(AdminError, match="is there already"):
                await nursery.start(n.ours.add_address, given[0])
            await nursery.start(functools.partial(n.ours.add_address, OURS6, dad_transmits=0))
            assert n.ours.addresses == (OURS6,)
        expected = [*given, OURS6, *reversed(given6)]
        assert list(n.ours.addresses) == expected and n.ours.tentative == ()
        # It is detected anew in its place, and one that is wanted later comes behind.
        n.link.set_down()
        n.link.set_up()
        await n.ours.add_address(OURS4, dad_transmits=0)
        await trio.sleep(LONGEST)
        assert list(n.ours.addresses) == [*given, OURS4, *expected[10:]]


@pytest.mark.parametrize("address", BOTH)
async def test_without_detection_it_is_ours_at_once_and_nothing_is_sent_for_it(
    address: str, autojump_clock: MockClock
) -> None:
    async with net() as n:
        begun = trio.current_time()
        with trio.testing.assert_checkpoints():
            await n.ours.add_address(address, dad_transmits=0)
        assert (trio.current_time(), n.ours.addresses) == (begun, (address,))
        assert not [f for f in n.sent() if f[12:14] == b"\x08\x06"]


async def test_the_switch_says_how_often_is_asked_for_an_ipv6_address(autojump_clock: MockClock) -> None:
    async with net() as n:
        n.a.set("va", 6, dad_transmits=0)
        begun = trio.current_time()
        await n.ours.add_address(OURS6)
        assert trio.current_time() == begun


async def test_an_optimistic_address_is_used_while_it_is_detected(autojump_clock: MockClock) -> None:
    async with net(theirs=(THEIR_LOCAL,)) as n, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: n.ours.add_address(OURS6, optimistic=True))
        await trio.testing.wait_all_tasks_blocked()
        assert n.ours.addresses == (OURS6,) and n.a.statistics().tasks_waiting == 1
        assert await n.b.resolve("2001:db8::1") == LinkAddress(OURS)
        await trio.sleep(2)
        assert n.ours.addresses == (OURS6,) and n.a.statistics().tasks_waiting == 0


async def test_an_ipv4_address_is_not_used_while_it_is_detected(autojump_clock: MockClock) -> None:
    async with net() as n:
        with pytest.raises(neighio.InvalidAddress, match=r"^optimistic: .* is no IPv6 address"):
            await n.ours.add_address(OURS4, optimistic=True)
        assert n.ours.addresses == n.ours.tentative == ()


@pytest.mark.parametrize("address", BOTH)
async def test_an_address_that_is_wanted_is_not_had_yet(address: str, autojump_clock: MockClock) -> None:
    async with net() as n, trio.open_nursery() as nursery:
        nursery.start_soon(n.ours.add_address, address)
        await trio.testing.wait_all_tasks_blocked()
        assert n.ours.addresses == ()
        with pytest.raises(FileExistsError, match="is there already"):
            await n.ours.add_address(address)
        with pytest.raises(neighio.InvalidAddress, match="is not in use on va"):
            n.ours.announce(address.partition("/")[0])
        assert n.a.statistics().tasks_waiting == 1


# -- what ends the wait


@pytest.mark.parametrize("address", [*BOTH, LOCAL])
async def test_a_cancelled_call_leaves_nothing_wherever_it_is_cancelled(
    address: str, autojump_clock: MockClock
) -> None:
    at = 0
    while True:
        async with net() as n:
            with trio.CancelScope() as scope:
                count = await interrupt(n.ours.add_address(address), at, scope)
            if not scope.cancelled_caught:
                assert at >= count > 1
                return
            assert_no_address_is_left(n)
            sent = len(n.sent())
            await trio.sleep(60)
            assert_no_address_is_left(n)
            # A report that a group was left is all that may follow.
            assert all(frame[:6].hex(":") == "33:33:00:00:00:16" for frame in n.sent()[sent:])
            assert n.a.ndisc.statistics().entries <= 3
            await n.ours.add_address(address)
            assert n.ours.addresses == (address,)
        at += 1


@pytest.mark.parametrize("seconds", [0.5, 2.0, 4.0])
async def test_a_call_that_is_cancelled_in_its_course_leaves_nothing(
    seconds: float, autojump_clock: MockClock
) -> None:
    for address in BOTH:
        async with net() as n:
            with trio.move_on_after(seconds) as scope:
                await n.ours.add_address(address, dad_transmits=7)
            assert scope.cancelled_caught
            assert_no_address_is_left(n)
            await trio.sleep(60)
            assert_no_address_is_left(n)


async def test_one_that_is_cancelled_leaves_the_others_their_addresses(autojump_clock: MockClock) -> None:
    async with net(ours=("198.51.100.3/24",)) as n:
        with trio.move_on_after(1):
            await n.ours.add_address(OURS4)
        assert n.ours.addresses == ("198.51.100.3/24",)
        # The network of the one that stays.
        assert n.has_a_way_to("198.51.100.77")


@pytest.mark.parametrize("first", ["answer", "cancellation"])
@pytest.mark.parametrize("address", BOTH)
async def test_the_answer_and_a_cancellation_at_once_are_one_or_the_other(
    address: str, first: str, autojump_clock: MockClock
) -> None:
    async with net() as n:
        wake = n.a._driver.wake

        def wake_and_cancel(token: Hashable, outcome: Outcome) -> None:
            if first == "answer":
                wake(token, outcome)
                scope.cancel()
            else:
                scope.cancel()
                wake(token, outcome)

        n.a._driver.wake = wake_and_cancel
        with trio.CancelScope() as scope:
            await n.ours.add_address(address)
        assert scope.cancel_called and scope.cancelled_caught == (first == "cancellation")
        if first == "answer":
            assert n.ours.addresses == (address,)
        else:
            assert_no_address_is_left(n)


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
        assert_no_address_is_left(n)


@pytest.mark.parametrize("how", ["removed", "detached"])
async def test_a_device_that_goes_ends_the_wait(how: str, autojump_clock: MockClock) -> None:
    async with net() as n:
        gone: list[str] = []

        async def want(address: str) -> None:
            with pytest.raises(neighio.DeviceGone):
                await device.add_address(address)
            gone.append(address)

        device = n.ours
        async with trio.open_nursery() as nursery:
            nursery.start_soon(want, OURS4)
            nursery.start_soon(want, OURS6)
            await trio.sleep(0.01)
            if how == "removed":
                n.link.remove()
            else:
                await device.detach()
        assert sorted(gone) == sorted(BOTH)
        assert n.a.statistics().tasks_waiting == 0 and not device.present
        with pytest.raises(neighio.InvalidAddress, match="va is not attached"):
            await device.add_address(OURS4)


@pytest.mark.parametrize("own", [True, False])
async def test_two_hundred_who_wait_end_with_their_table(own: bool, autojump_clock: MockClock) -> None:
    """``own``: the table is cancelled alone, in a nursery of its own; else with those who wait."""
    segment = Segment(trio.current_time)
    table = neighio.NeighbourTable(neighio.Device(segment.attach(OURS, name="va"), "host"))
    closed = 0

    async def want(address: str) -> None:
        nonlocal closed
        try:
            await table.devices["va"].add_address(address)
        except trio.ClosedResourceError:
            closed += 1

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as waiting, trio.open_nursery() as serving:
            await serving.start(table.serve)
            for host in range(100):
                waiting.start_soon(want, f"198.51.100.{host + 1}/24")
                waiting.start_soon(want, f"2001:db8::{host + 1:x}/64")
            await trio.sleep(0.01)
            assert table.statistics().tasks_waiting == 200
            (serving.cancel_scope if own else scope).cancel()
    assert (closed, scope.cancelled_caught) == ((200, False) if own else (0, True))


# -- what is refused

REFUSED: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    ("198.51.100.1", {}, neighio.InvalidAddress, "address: '198.51.100.1' has no prefix length"),
    ("198.51.100.1/33", {}, neighio.InvalidAddress, "address: '198.51.100.1/33': /33 is more than /32"),
    ("2001:db8::1/129", {}, neighio.InvalidAddress, "address: '2001:db8::1/129': /129 is more than /128"),
    ("nonsense/24", {}, neighio.InvalidAddress, "address: 'nonsense' is not"),
    ("fe80::1%va/64", {}, neighio.InvalidAddress, "address: 'fe80::1%va/64' has a zone"),
    (b"\xc6\x33\x64\x01", {}, neighio.InvalidAddress, "address: .* is no text"),
    ("224.0.0.1/24", {}, neighio.InvalidAddress, "address: 224.0.0.1 can be no station's"),
    ("255.255.255.255/32", {}, neighio.InvalidAddress, "address: 255.255.255.255 can be no station's"),
    ("0.0.0.0/0", {}, neighio.InvalidAddress, "address: 0.0.0.0 can be no station's"),
    ("127.0.0.1/8", {}, neighio.InvalidAddress, "address: 127.0.0.1 can be no station's"),
    ("::/64", {}, neighio.InvalidAddress, "address: :: can be no station's"),
    ("::1/128", {}, neighio.InvalidAddress, "address: ::1 can be no station's"),
    ("ff02::1/64", {}, neighio.InvalidAddress, "address: ff02::1 can be no station's"),
    (OURS4, {"dad_transmits": -1}, ValueError, "dad_transmits: -1 is out of range"),
    (OURS6, {"dad_transmits": 256}, ValueError, "dad_transmits: 256 is out of range"),
    (OURS6, {"dad_transmits": 1.5}, ValueError, "dad_transmits: 1.5 is out of range"),
    (OURS4, {"defence": "sometimes"}, ValueError, "defence: 'sometimes' is not one of"),
]


@pytest.mark.parametrize(
    ("address", "options", "error", "message"), REFUSED, ids=[f"{r[0]!r}{r[1]}" for r in REFUSED]
)
async def test_what_no_station_can_have_is_refused_and_changes_nothing(
    address: str, options: dict[str, Any], error: type[Exception], message: str, autojump_clock: MockClock
) -> None:
    async with net() as n:
        with pytest.raises(error, match=message):
            await n.ours.add_address(address, **options)
        assert_no_address_is_left(n)
        assert n.sent() == []


@pytest.mark.parametrize(
    ("families", "address", "served"), [((4,), OURS6, OURS4), ((6,), OURS4, OURS6)], ids=["4", "6"]
)
async def test_an_address_of_a_family_that_is_not_served_is_refused(
    families: tuple[int, ...], address: str, served: str, autojump_clock: MockClock
) -> None:
    async with net(theirs=(THEIRS4, THEIR_LOCAL), families=families) as n:
        with pytest.raises(
            neighio.InvalidAddress, match=r"address: .* family that this table does not serve"
        ):
            await n.ours.add_address(address)
        assert_no_address_is_left(n)
        await n.ours.add_address(served)
        assert await n.b.resolve(packed(served)) == LinkAddress(OURS)


@pytest.mark.parametrize(
    "address", ["198.51.100.9", "198.51.100.1/16", "2001:db8::9", "2001:db8::1/48", "2001:db8::9/64"]
)
async def test_an_address_that_is_there_is_refused_and_so_is_removing_another(
    address: str, autojump_clock: MockClock
) -> None:
    async with net(ours=BOTH) as n:
        for again in ("198.51.100.1/16", OURS6):
            with pytest.raises(FileExistsError, match="is there already"):
                await n.ours.add_address(again)
        with pytest.raises(neighio.AdminError, match=f"address: {address} is not there") as caught:
            n.ours.remove_address(address)
        assert caught.value.errno == errno.EADDRNOTAVAIL
        for nonsense, message in (
            ("x", "address: 'x' is not"),
            ("198.51.100.1/x", "address: '198.51.100.1/x' has no prefix length"),
            ("2001:db8::1%vb", "address: zone 'vb' contradicts device va"),
        ):
            with pytest.raises(neighio.InvalidAddress, match=message):
                n.ours.remove_address(nonsense)
        assert sorted(n.ours.addresses) == BOTH


async def test_where_ipv6_is_disabled_a_host_has_no_ipv6_address(autojump_clock: MockClock) -> None:
    async with net(theirs=(THEIRS4,)) as n:
        async with trio.open_nursery() as nursery:

            async def want() -> None:
                with pytest.raises(neighio.AdminError, match="IPv6 is disabled on this device") as caught:
                    await n.ours.add_address(OURS6)
                assert caught.value.errno == errno.EACCES

            nursery.start_soon(want)
            await trio.testing.wait_all_tasks_blocked()
            n.a.set("va", 6, disable_ipv6=1)
        assert_no_address_is_left(n)
        await want()
        assert_no_address_is_left(n)
        n.a.set("va", 6, disable_ipv6=0)
        await n.ours.add_address(OURS6)
        assert n.ours.addresses == (OURS6,)


async def test_a_host_that_cannot_have_its_ipv6_address_is_not_attached(autojump_clock: MockClock) -> None:
    segment = Segment(trio.current_time)
    link = segment.attach(OURS, name="va")
    async with neighio.open_table(parameters={"disable_ipv6": 1}) as table:
        with pytest.raises(neighio.AdminError, match="IPv6 is disabled on this device"):
            await table.attach(neighio.Device(link, "host", addresses=BOTH))
        assert table.devices == {} and table.statistics().devices == 0
        table.set(None, 6, disable_ipv6=0)
        attached = await table.attach(neighio.Device(link, "host", addresses=BOTH))
        assert sorted(attached.addresses) == BOTH


async def test_a_client_has_no_addresses_of_its_own(autojump_clock: MockClock) -> None:
    segment = Segment(trio.current_time)
    device = neighio.Device(segment.attach(OURS, name="va"), addresses=[OURS4])
    async with neighio.open_table(device) as table:
        client = table.devices["va"]
        assert client.role == "client"
        with pytest.raises(ValueError, match="role: va is a client"):
            await client.add_address(OURS6)
        calls: list[Callable[[], None]] = [
            lambda: client.remove_address(OURS4),
            lambda: client.send_nowait(b""),
            lambda: client.add_route("0.0.0.0/0"),
            lambda: client.remove_route("0.0.0.0/0"),
        ]
        for call in calls:
            with pytest.raises(ValueError, match="role: va is a client"):
                call()
        with pytest.raises(ValueError, match="role: va is a client"):
            async with client.packets():
                raise AssertionError
        with pytest.raises(ValueError, match="role: va is a client"):
            await neighio.answer_echo(client)
        assert client.addresses == (OURS4,)


# -- their routes


@pytest.mark.parametrize(
    ("kept", "given", "beyond"),
    [
        ("198.51.100.2", OURS4, "198.51.100.77"),
        ("2001:db8::2", OURS6, "2001:db8::77"),
    ],
)
@pytest.mark.parametrize("order", [0, 1])
async def test_the_route_goes_with_the_last_address_of_its_network(
    kept: str, given: str, beyond: str, order: int, autojump_clock: MockClock
) -> None:
    length = given.partition("/")[2]
    async with net(ours=(given, f"{kept}/{length}")) as n:
        first, second = [kept, given] if order else [given, kept]
        n.ours.remove_address(first)
        assert n.has_a_way_to(beyond)
        n.ours.remove_address(second)
        assert not n.has_a_way_to(beyond)


async def test_a_wider_network_stays_when_a_narrower_one_goes(autojump_clock: MockClock) -> None:
    async with net(ours=(OURS4, "198.51.101.1/16")) as n:
        n.ours.remove_address(OURS4)
        assert n.has_a_way_to("198.51.100.77")
        n.ours.remove_address("198.51.101.1/16")
        assert not n.has_a_way_to("198.51.100.77")


async def test_a_link_is_told_which_addresses_are_its_own(autojump_clock: MockClock) -> None:
    async with net() as n:
        told: list[Selection] = []
        n.link.select = told.append  # type: ignore[attr-defined]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(n.ours.add_address, OURS4)
            await trio.testing.wait_all_tasks_blocked()
            # What answers our probes is for us already.
            assert told[-1] == Selection(frozenset({packed(OURS4)}), host=True)
        await n.ours.add_address(OURS6, dad_transmits=0)
        assert told[-1].ipv4 == {packed(OURS4)}
        async with n.ours.packets():
            assert told[-1] == Selection(frozenset({packed(OURS4)}), host=True, packets=True)
        assert not told[-1].packets
        n.ours.remove_address(OURS4)
        assert told[-1] == Selection(host=True)


# -- down and up


@pytest.mark.parametrize("address", BOTH)
async def test_a_device_that_goes_down_in_between_has_the_detection_begin_anew(
    address: str, autojump_clock: MockClock
) -> None:
    async with net() as n, trio.open_nursery() as nursery:
        nursery.start_soon(n.ours.add_address, address)
        await trio.sleep(0.5)
        n.link.set_down()
        await trio.sleep(60)
        assert n.ours.addresses == () and n.a.statistics().tasks_waiting == 1
        begun = trio.current_time()
        n.link.set_up()
        while not n.ours.addresses:  # noqa: ASYNC110
            await trio.sleep(0.1)
        assert 1.0 <= trio.current_time() - begun <= LONGEST + 0.1
        assert n.a.statistics().tasks_waiting == 0


@pytest.mark.parametrize("address", BOTH)
async def test_an_address_is_detected_anew_when_the_device_comes_up(
    address: str, autojump_clock: MockClock
) -> None:
    async with net(theirs=(THEIRS4, THEIR_LOCAL)) as n:
        await n.ours.add_address(address)
        n.link.set_down()
        await trio.sleep(1)
        n.link.set_up()
        await trio.sleep(0.001)
        assert list(n.ours.addresses) == []
        await trio.sleep(LONGEST)
        assert list(n.ours.addresses) == [address]
        assert n.has_a_way_to(address)
        assert await n.b.resolve(packed(address)) == LinkAddress(OURS)


@pytest.mark.parametrize("address", BOTH)
async def test_one_that_is_removed_while_it_is_detected_anew_stays_away(
    address: str, autojump_clock: MockClock
) -> None:
    async with net() as n:
        await n.ours.add_address(address)
        n.link.set_down()
        n.link.set_up()
        await trio.sleep(0.1)
        n.ours.remove_address(address)
        assert_no_address_is_left(n)
        await trio.sleep(LONGEST)
        assert_no_address_is_left(n)


@pytest.mark.parametrize("address", BOTH)
async def test_one_that_was_had_without_detection_is_ours_throughout(
    address: str, autojump_clock: MockClock
) -> None:
    async with net(ours=(address,)) as n:
        for change in (n.link.set_down, n.link.set_up):
            change()
            await trio.sleep(0.1)
            assert n.ours.addresses == (address,) and n.has_a_way_to(address)


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
            assert [one.action for one in await conflicts(events)] == ["duplicate"]
        assert_no_address_is_left(n)
        assert n.theirs.addresses == (address,)
