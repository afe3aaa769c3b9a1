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
        (
            {"interface": "va", "role": "host", "addresses": ["ff02::1/64"]},
            neighio.InvalidAddress,
            "no station",
        ),
        (
            {"interface": "va", "role": "host", "addresses": ["127.0.0.1/8"]},
            neighio.InvalidAddress,
            "no station",
        ),
        (
            {"interface": "va", "role": "host", "addresses": ["fe80::1%va/64"]},
            neighio.InvalidAddress,
            "address: 'fe80::1%va/64' has a zone",
        ),
        (
            {"interface": "va", "role": "host", "addresses": ["198.51.100.1/24", "198.51.100.1/16"]},
            neighio.InvalidAddress,
            r"addresses: 198\.51\.100\.1 is there twice",
        ),
        ({"interface": "va", "role": "host", "lladdr": "x"}, neighio.InvalidAddress, "lladdr: 'x' is not"),
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
    device = neighio.Device(
        "va", "host", addresses=["198.51.100.1/24", "2001:db8::1/64"], lladdr=OURS, forwarding=True
    )
    assert repr(device) == "<Device 'va' host>"
    assert (str(device.lladdr), device.forwarding) == (OURS, True)
    assert device.addresses == (
        (bytes([198, 51, 100, 1]), 24),
        (bytes.fromhex("20010db8") + bytes(11) + b"\1", 64),
    )


def test_a_link_has_an_address_of_its_own() -> None:
    link = Segment(lambda: 0.0).attach(OURS, name="va")
    with pytest.raises(ValueError, match="lladdr: only a host on an interface has one of its own"):
        neighio.Device(link, "host", lladdr=OTHER)


@pytest.mark.parametrize("role", ["client", "host"])
@pytest.mark.parametrize(
    ("families", "addresses"), [([4], ["198.51.100.1/24", "2001:db8::1/64"]), ([6], ["198.51.100.1/24"])]
)
async def test_a_device_with_addresses_that_are_not_served_is_refused_and_its_link_stays_its_owners(
    families: list[int], addresses: list[str], role: Any, autojump_clock: MockClock
) -> None:
    link = Segment(trio.current_time).attach(OURS, name="va")
    async with neighio.open_table(families=families) as table:
        with pytest.raises(neighio.InvalidAddress, match=r"addresses: .* family that this table does not"):
            await table.attach(neighio.Device(link, role, addresses=addresses))
        assert table.devices == {} and table.statistics().devices == 0 and not link.removed
        device = await table.attach(neighio.Device(link, role))
        assert (device.role, device.addresses) == (role, ())


@pytest.mark.parametrize("families", [(4,), (6,), (4, 6), (6, 4)])
async def test_a_table_serves_the_families_that_it_was_opened_for(
    families: tuple[int, ...], autojump_clock: MockClock
) -> None:
    segment = Segment(trio.current_time)
    addresses = [("198.51.100.1/24", "198.51.100.2/24"), ("2001:db8::1/64", "2001:db8::2/64")]
    local = ["fe80::1/64"] if 6 in families else []
    own = [pair[0] for family, pair in zip((4, 6), addresses, strict=True) if family in families]
    us = neighio.Device(segment.attach(OURS, name="va"), "host", addresses=own + local, forwarding=True)
    them = neighio.Device(
        segment.attach(THEIRS, name="vb"), "host", addresses=[pair[1] for pair in addresses] + ["fe80::2/64"]
    )
    async with neighio.open_table(us, families=families) as table, neighio.open_table(them) as theirs:
        for family, cache in ((4, "arp"), (6, "ndisc")):
            other = "198.51.100.2" if family == 4 else "2001:db8::2"
            if family in families:
                assert str(await table.resolve(other)) == THEIRS
                assert getattr(table, cache).statistics().entries > 0
                assert table.parameters("va", family)["forwarding"] == 1
                assert str(await theirs.resolve(other[:-1] + "1")) == OURS
                async with table.sweep(other, tries=1, interval=0.1) as sweep:
                    assert [reply.ip async for reply in sweep] == [other]
            else:
                with pytest.raises(neighio.InvalidAddress, match=f"does not serve IPv{family}"):
                    getattr(table, cache)
                for call in (table.resolve, table.probe):
                    with pytest.raises(neighio.InvalidAddress, match="family that this table does not"):
                        await call(other)
                with pytest.raises(neighio.InvalidAddress, match=r"network: .* family that this table"):
                    table.sweep(other)
                # What it does not serve it does not hear either.
                with pytest.raises(neighio.Unreachable):
                    await theirs.resolve(other[:-1] + "1")


@pytest.mark.parametrize("families", [(), (5,), (4, 10), ("4",)])
def test_families_that_are_none_are_refused(families: Any) -> None:
    with pytest.raises(ValueError, match=r"^families: "):
        neighio.NeighbourTable(families=families)


async def test_a_role_is_told_and_a_client_asks_with_what_it_was_given(autojump_clock: MockClock) -> None:
    segment = Segment(trio.current_time)
    us = neighio.Device(segment.attach(OURS, name="va"), addresses=["2001:db8::1/64", "fe80::1/64"])
    them = neighio.Device(segment.attach(THEIRS, name="vb"), "host", addresses=["fe80::2/64"])
    async with neighio.open_table(us) as table, neighio.open_table(them) as theirs:
        client, host = table.devices["va"], theirs.devices["vb"]
        assert (client.role, host.role) == ("client", "host")
        assert set(client.addresses) == {"2001:db8::1/64", "fe80::1/64"}
        # With a zone and without, and asked for anew.
        for ip in ("fe80::2%va", "fe80::2"):
            assert str(await table.resolve(ip)) == THEIRS
        assert str(await table.resolve("fe80::2", "va", verified=True)) == THEIRS
        assert str((await table.probe("fe80::2%va")).lladdr) == THEIRS
        # A client answers nobody.
        with pytest.raises(neighio.Unreachable):
            await theirs.resolve("2001:db8::1")


async def test_a_host_without_a_link_local_address_asks_nobody_by_ipv6(autojump_clock: MockClock) -> None:
    segment = Segment(trio.current_time)
    us = neighio.Device(segment.attach(OURS, name="va"), "host", addresses=["2001:db8::1/64"])
    async with neighio.open_table(us) as table:
        with pytest.raises(neighio.Unreachable):
            await table.resolve("2001:db8::2")
        assert table.devices["va"].drops["ndisc_no_source"] == 3


async def test_a_hosts_own_address_is_nobody_whom_one_could_ask_for(autojump_clock: MockClock) -> None:
    segment = Segment(trio.current_time)
    us = neighio.Device(segment.attach(OURS, name="va"), "host", addresses=["198.51.100.1/24"])
    async with neighio.open_table(us) as table:
        for call in (table.resolve, table.probe):
            with pytest.raises(neighio.InvalidAddress, match="is an address of this host's own"):
                await call("198.51.100.1")
        with pytest.raises(neighio.InvalidAddress, match="is an address of this host's own"):
            table.neighbour("198.51.100.1")
        assert table.arp.statistics().entries == 0


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
