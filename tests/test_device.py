"""Devices: how callers name them, how a table shows them, how they come and go alone."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import neighio
from neighio.core.constants import IFF_LOWER_UP, IFF_UP
from neighio.testing import ScriptedPeer, Segment

from .shell import OTHER, OURS, PEER, THEIRS, assert_nothing_is_left, world


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"interface": ""}, neighio.InvalidAddress, "device: '' is no interface name"),
        ({"interface": "a/b"}, neighio.InvalidAddress, "device: 'a/b' is no interface name"),
        ({"interface": "a" * 16}, neighio.InvalidAddress, "is no interface name"),
        ({"interface": 5}, neighio.InvalidAddress, "device: 5 is neither an interface name nor a link"),
        (
            {"interface": "va", "addresses": "198.51.100.1/24"},
            ValueError,
            "addresses: '198.51.100.1/24' is one text",
        ),
        ({"interface": "va", "role": "proxy"}, ValueError, "role: 'proxy' is not one of 'client', 'host'"),
        ({"interface": "va", "lladdr": "02:00:00:00:00:0a"}, ValueError, "lladdr: only a host"),
        ({"interface": "va", "forwarding": True}, ValueError, "forwarding: only a host"),
        ({"interface": "va", "role": "host", "addresses": ["ff02::1/64"]}, neighio.InvalidAddress, "no station"),
        ({"interface": "va", "role": "host", "addresses": ["127.0.0.1/8"]}, neighio.InvalidAddress, "no station"),
        ({"interface": "va", "addresses": ["198.51.100.1/24"]}, ValueError, "addresses: those of va"),
        ({"interface": "va", "addresses": ["198.51.100.1"]}, neighio.InvalidAddress, "has no prefix length"),
        ({"interface": "va", "addresses": ["x/24"]}, neighio.InvalidAddress, "address: 'x' is not"),
    ],
)
def test_what_can_be_no_device_is_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        neighio.Device(**arguments)


def test_a_device_says_what_it_is() -> None:
    assert repr(neighio.Device("va")) == "<Device 'va' client>"


async def test_an_attached_device_shows_its_link(autojump_clock: MockClock) -> None:
    async with world() as w:
        device = w.table.devices["va"]
        assert (device.name, device.index, str(device.lladdr)) == ("va", 1, OURS)
        assert (device.up, device.carrier, device.mtu, dict(device.drops)) == (True, True, 1500, {})
        w.link.change(name="vx", lladdr=OTHER, mtu=9000, flags=w.link.flags & ~IFF_LOWER_UP)
        assert (device.name, str(device.lladdr), device.mtu, device.carrier) == ("vx", OTHER, 9000, False)
        assert w.table.devices == {"vx": device}
        w.link.set_down()
        assert not device.up
        assert (repr(device), repr(w.table)) == ("<AttachedDevice vx>", "<NeighbourTable open: vx>")
        await device.detach()
        assert repr(device) == "<AttachedDevice vx detached>"


async def test_a_renamed_device_is_meant_by_its_new_name(autojump_clock: MockClock) -> None:
    async with world() as w:
        await w.table.resolve(PEER, "va")
        w.link.change(name="vx")
        assert str(w.table.resolve_nowait(PEER, "vx")) == THEIRS
        with pytest.raises(neighio.InvalidAddress, match="'va' is not attached; there is vx"):
            await w.table.resolve(PEER, "va")


async def test_devices_come_and_go_while_the_table_runs(autojump_clock: MockClock) -> None:
    async with neighio.open_table() as table:
        segment = Segment(trio.current_time)
        ScriptedPeer(segment, THEIRS, PEER)
        assert dict(table.devices) == {}
        for _ in range(3):
            link = segment.attach(OURS, name="va")
            device = await table.attach(neighio.Device(link, addresses=["198.51.100.1/24"]))
            assert str(await table.resolve(PEER)) == THEIRS
            await device.detach()
            await device.detach()
            assert link.removed and dict(table.devices) == {}
        assert table.arp.statistics().entries == 0


async def test_a_device_that_comes_back_under_its_index_is_a_new_one(autojump_clock: MockClock) -> None:
    async with world() as w:
        old = w.table.devices["va"]
        w.link.remove()
        other = Segment(trio.current_time)
        ScriptedPeer(other, OTHER, PEER)
        link = other.attach("02:00:00:00:00:0e", name="vb", index=1, mtu=1400)
        device = await w.table.attach(neighio.Device(link, addresses=["203.0.113.1/24"]))
        assert (device.name, device.index, device.mtu) == ("vb", 1, 1400)
        assert str(await w.table.resolve(PEER)) == OTHER
        # It asks with its own address: the old one's are forgotten.
        assert other.frames[0].frame[28:32] == bytes([203, 0, 113, 1])
        await old.detach()
        assert w.table.devices == {"vb": device}
        # Its timers run.
        w.table.set("vb", base_reachable_time=1.0, delay_first_probe_time=0.1)
        w.table.delete(PEER)
        await w.table.resolve(PEER)
        await trio.sleep(2)
        assert w.table.lookup(PEER).nud_state == neighio.NudState.STALE  # type: ignore[union-attr]


async def test_one_name_and_one_index_is_one_device(autojump_clock: MockClock) -> None:
    made: list[neighio.Neighbour] = []
    async with world() as w:
        other = Segment(trio.current_time)
        with pytest.raises(neighio.InvalidAddress, match="va is attached already"):
            await w.table.attach(other.attach(OTHER, name="va", index=77))
        with pytest.raises(neighio.InvalidAddress, match="vb has the index 1, which is va's"):
            await w.table.attach(
                neighio.Device(other.attach(OTHER, name="vb", index=1), neigh_construct=made.append)
            )
        assert str(await w.table.resolve(PEER)) == THEIRS
        assert made == []


@pytest.mark.parametrize("how", ["removed", "detached"])
async def test_a_device_falls_alone(how: str, autojump_clock: MockClock) -> None:
    async with world(answers=False) as w, trio.open_nursery() as nursery:
        other = w.segment.attach("02:00:00:00:00:0e", name="vc")
        device = await w.table.attach(other)
        ended: list[str] = []

        async def ask(dev: str) -> None:
            try:
                await w.table.resolve(PEER, dev)
            except neighio.DeviceGone:
                ended.append(dev)

        nursery.start_soon(ask, "va")
        nursery.start_soon(ask, "vc")
        await trio.testing.wait_all_tasks_blocked()
        if how == "removed":
            other.remove()
        else:
            await device.detach()
        await trio.testing.wait_all_tasks_blocked()
        assert ended == ["vc"] and w.table.devices.keys() == {"va"}
        w.peer.unmute()
        w.peer.announce()
        await trio.testing.wait_all_tasks_blocked()
        assert_nothing_is_left(w.table)


async def test_a_detachment_that_is_cancelled_is_one_all_the_same(autojump_clock: MockClock) -> None:
    async with world() as w:
        device = w.table.devices["va"]
        with trio.CancelScope() as scope:
            scope.cancel()
            await device.detach()
        assert scope.cancelled_caught and dict(w.table.devices) == {}
        await device.detach()
        assert w.link.removed


async def test_a_link_that_goes_down_and_up_works_again(autojump_clock: MockClock) -> None:
    async with world() as w:
        for _ in range(3):
            w.link.set_down()
            await trio.testing.wait_all_tasks_blocked()
            w.link.set_up()
            assert str(await w.table.resolve(PEER)) == THEIRS
        assert w.link.flags & IFF_UP


async def test_a_link_that_is_refused_stays_its_owners(autojump_clock: MockClock) -> None:
    async with world() as w:
        link = Segment(trio.current_time).attach(OTHER, name="va", index=5)
        with pytest.raises(neighio.InvalidAddress):
            await w.table.attach(link)
        assert not link.removed
        await link.aclose()


@pytest.mark.parametrize("hook", ["neigh_construct", "neigh_setup"])
async def test_a_hook_sees_what_is_being_made(hook: str, autojump_clock: MockClock) -> None:
    seen: list[Any] = []

    def look(found: Any) -> None:
        seen.append((found.ip, found.dead) if hook == "neigh_construct" else found.ucast_solicit)

    hooks: Any = {hook: look}
    async with world(**hooks) as w:
        await w.table.resolve(PEER)
        await w.table.resolve(PEER)
    assert seen == [(PEER, True) if hook == "neigh_construct" else 3]
