"""rtnetlink into the engine: each change of a device reaches it as the stimulus that it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing

import neighio
from neighio import DelNeighbour, Idle, NewNeighbour
from neighio.kernel import netlink
from neighio.kernel.framing import Message
from neighio.testing import Here, Peer, connect, in_namespace

NEAR = "02:00:00:00:00:0a"
FAR = "02:00:00:00:00:0b"
PEER = "198.51.100.2"

# The entries of a stage, oldest first, as their deletion is told.
REACHABLE = f"Deleted {PEER} dev va lladdr {FAR} REACHABLE"
PERMANENT = f"Deleted 198.51.100.3 dev va lladdr {FAR} PERMANENT"
LEARNED = f"Deleted 198.51.100.4 dev va lladdr {FAR} extern_learn STALE"
FAILED = "Deleted 198.51.100.5 dev va FAILED"
NOARP = f"Deleted 198.51.100.6 dev va lladdr {FAR} NOARP"
VALIDATED = f"Deleted 198.51.100.7 dev va lladdr {FAR} STALE"
INCOMPLETE = "Deleted 198.51.100.8 dev va INCOMPLETE"
ALL = [INCOMPLETE, VALIDATED, NOARP, FAILED, LEARNED, PERMANENT, REACHABLE]
"""A flush is newest first."""


@dataclass
class Stage:
    here: Here
    peer: Peer
    table: neighio.NeighbourTable
    stream: neighio.EventStream
    ended: list[type] = field(default_factory=list)
    """How the call ended that waited for 198.51.100.8."""

    async def deletions(self, count: int) -> list[str]:
        found: list[str] = []
        while len(found) < count:
            event = await anext(self.stream)
            if isinstance(event, DelNeighbour):
                found.append(str(event))
        return found

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():  # noqa: ASYNC110
            await trio.lowlevel.checkpoint()

    async def quiet(self) -> None:
        """Everything that was told before an entry of our own making has been told."""
        self.table.replace("198.51.100.250", "va", FAR)
        event = await anext(self.stream)
        assert isinstance(event, NewNeighbour) and event.ip == "198.51.100.250", str(event)
        self.table.delete("198.51.100.250", "va")
        assert await self.deletions(1) == ["Deleted 198.51.100.250 dev va FAILED"]


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """A table on ``va`` that knows one entry of each kind, the newest of which is being resolved."""
    here = Here()
    with Peer.start() as peer, trio.fail_after(20):
        connect(here, peer, "va", "vb", lladdr=NEAR, far_lladdr=FAR)
        here.add_address("va", "198.51.100.1/24")
        peer.add_address("vb", "198.51.100.2/24")
        async with neighio.open_table("va") as table, trio.open_nursery() as nursery:
            await table.resolve(PEER)
            table.add("198.51.100.3", "va", FAR)
            table.add("198.51.100.4", "va", FAR, nud="stale", extern_learn=True)
            table.add("198.51.100.5", "va", nud="failed")
            table.add("198.51.100.6", "va", FAR, nud="noarp")
            table.add("198.51.100.7", "va", FAR, nud="stale", extern_valid=True)
            with table.subscribe() as stream:
                found = Stage(here, peer, table, stream)

                async def resolve() -> None:
                    try:
                        await table.resolve("198.51.100.8")
                    except neighio.NeighioError as error:
                        found.ended.append(type(error))

                nursery.start_soon(resolve)
                await found.until(lambda: table.statistics().tasks_waiting == 1)
                while not isinstance(await anext(stream), Idle):
                    pass
                yield found
            nursery.cancel_scope.cancel()


@in_namespace
async def test_a_device_that_goes_down_takes_everything_along_and_works_when_it_is_up() -> None:
    async with stage() as s:
        s.here.set_link("va", up=False)
        assert await s.deletions(7) == ALL
        assert not s.table.devices["va"].up
        await s.until(lambda: s.ended)
        assert s.ended == [neighio.DeviceGone]
        with pytest.raises(neighio.DeviceGone, match="va is down"):
            await s.table.resolve(PEER)
        s.here.set_link("va", up=True)
        await s.until(lambda: s.table.devices["va"].up and s.table.devices["va"].carrier)
        # The kernel's worker may still have to be told of the carrier: then the request is lost.
        while True:
            try:
                assert str(await s.table.resolve(PEER)) == FAR
                break
            except neighio.NeighioError:
                continue


@in_namespace
async def test_a_lost_carrier_spares_what_is_permanent_or_validated() -> None:
    async with stage() as s:
        s.peer.set_link("vb", up=False)
        assert await s.deletions(5) == [INCOMPLETE, NOARP, FAILED, LEARNED, REACHABLE]
        assert (s.table.devices["va"].up, s.table.devices["va"].carrier) == (True, False)
        assert {entry.ip for entry in s.table.arp.entries()} == {"198.51.100.3", "198.51.100.7"}
        await s.until(lambda: s.ended)
        assert s.ended == [neighio.DeviceGone]
        s.peer.set_link("vb", up=True)
        await s.until(lambda: s.table.devices["va"].carrier)
        assert {entry.ip for entry in s.table.arp.entries()} == {"198.51.100.3", "198.51.100.7"}


@in_namespace
async def test_a_new_link_layer_address_makes_every_entry_go() -> None:
    async with stage() as s:
        s.here.set_link("va", lladdr="02:00:00:00:00:1a")
        assert await s.deletions(7) == ALL
        assert str(s.table.devices["va"].lladdr) == "02:00:00:00:00:1a"
        # It asks as the new one, and is answered there.
        assert str(await s.table.resolve(PEER)) == FAR
        assert bytes.fromhex("02000000001a") in {n.lladdr for n in s.peer.neighbours("vb")}


@in_namespace
async def test_arp_switched_off_makes_every_entry_go() -> None:
    async with stage() as s:
        s.here.set_link("va", arp=False)
        assert await s.deletions(7) == ALL
        assert str(await s.table.resolve(PEER)) == NEAR
        s.here.set_link("va", arp=True)
        assert await s.deletions(1) == [f"Deleted {PEER} dev va lladdr {NEAR} NOARP"]
        assert str(await s.table.resolve(PEER)) == FAR


@in_namespace
async def test_the_last_address_takes_every_entry_along_and_no_other_does() -> None:
    async with stage() as s:
        s.here.add_address("va", "203.0.113.1/24")
        s.here.del_address("va", "198.51.100.1/24")
        # What comes after it has been told after it.
        s.here.set_link("va", mtu=1400)
        await s.until(lambda: s.table.devices["va"].mtu == 1400)
        await s.quiet()
        s.here.del_address("va", "203.0.113.1/24")
        assert await s.deletions(7) == ALL


@in_namespace
async def test_what_becomes_a_broadcast_address_is_forgotten_unless_it_is_valid() -> None:
    async with stage() as s:
        s.table.add("198.51.100.127", "va", nud="failed")
        s.table.add("198.51.100.63", "va", FAR, nud="stale")
        s.here.add_address("va", "198.51.100.65/26")
        assert await s.deletions(1) == ["Deleted 198.51.100.127 dev va FAILED"]
        s.here.add_address("va", "198.51.100.62/26")
        assert str(await s.table.resolve("198.51.100.127")) == "ff:ff:ff:ff:ff:ff"
        assert str(await s.table.resolve("198.51.100.63")) == FAR


@in_namespace
async def test_a_renamed_device_keeps_its_entries_under_the_new_name() -> None:
    async with stage() as s:
        s.here.set_link("va", rename="vx")
        await s.until(lambda: "vx" in s.table.devices)
        assert s.table.devices.keys() == {"vx"}
        assert str(await s.table.resolve(PEER, "vx", verified=True)) == FAR
        with pytest.raises(neighio.InvalidAddress, match="'va' is not attached; there is vx"):
            await s.table.resolve(PEER, "va")
        with pytest.raises(neighio.InvalidAddress, match="vx is attached already"):
            await s.table.attach("vx")


@in_namespace
async def test_a_device_that_is_removed_falls_alone_and_may_come_back() -> None:
    async with stage() as s:
        device = s.table.devices["va"]
        s.here.delete_link("va")
        assert await s.deletions(7) == ALL
        await s.until(lambda: not s.table.devices)
        assert s.ended == [neighio.DeviceGone]
        await device.detach()
        with pytest.raises(neighio.InvalidAddress, match="'va' is not attached; there is none"):
            await s.table.resolve(PEER, "va")
        with pytest.raises(neighio.InvalidAddress, match="there is no interface 'va'"):
            await s.table.attach("va")
        connect(s.here, s.peer, "va", "vb", lladdr=NEAR, far_lladdr=FAR)
        s.here.add_address("va", "198.51.100.1/24")
        s.peer.add_address("vb", "198.51.100.2/24")
        while True:
            try:
                await s.table.attach("va")
                break
            except neighio.InvalidAddress:
                continue
        assert str(await s.table.resolve(PEER, "va")) == FAR


@in_namespace
async def test_the_mtu_is_the_devices() -> None:
    async with stage() as s:
        s.here.set_link("va", mtu=1280)
        await s.until(lambda: s.table.devices["va"].mtu == 1280)
        with s.table.neighbour(PEER) as held, pytest.raises(neighio.PacketDropped):
            await held.send(b"\x45" + bytes(1280))
        await s.quiet()


@in_namespace
async def test_a_device_that_appears_can_be_attached() -> None:
    async with stage() as s:
        connect(s.here, s.peer, "vc", "vd")
        s.here.add_address("vc", "203.0.113.1/24")
        s.peer.add_address("vd", "203.0.113.2/24")
        far = s.peer.link("vd").lladdr
        while True:
            try:
                await s.table.attach("vc")
                break
            except neighio.InvalidAddress:
                continue
        await s.until(lambda: s.table.devices["vc"].carrier)
        assert await s.table.resolve("203.0.113.2", "vc") == far


@in_namespace
async def test_lost_notifications_lead_to_a_fresh_dump_and_each_difference_is_its_stimulus() -> None:
    netlink._NOTIFICATION_BUFFER = 2048
    async with stage() as s:
        connect(s.here, s.peer, "vc", "vd")
        s.here.add_route("va", "203.0.113.0/24", PEER)
        await s.until(lambda: s.table.statistics().tasks_waiting == 1)
        while await s.table.first_hop("203.0.113.7") is None:  # noqa: ASYNC110
            await trio.lowlevel.checkpoint()
        # All at once, while nobody reads: what is said of it is far more than the socket's buffer holds.
        s.here.set_link("vc", rename="vy")
        s.here.set_link("va", lladdr="02:00:00:00:00:1a")
        s.here.set_link("va", mtu=1400)
        s.here.add_address("va", "203.0.113.9/25")
        for _ in range(20):
            s.here.add_address("va", "192.0.2.1/32")
            s.here.del_address("va", "192.0.2.1/32")
        assert await s.deletions(7) == ALL
        await s.until(lambda: s.table.devices["va"].mtu == 1400)
        await s.until(lambda: s.ended)
        assert s.ended == [neighio.DeviceGone]
        # Addresses, routes and names came with the dump too.
        while await s.table.first_hop("203.0.113.7") != ("va", "203.0.113.7"):  # noqa: ASYNC110
            await trio.lowlevel.checkpoint()
        assert await s.table.first_hop("203.0.113.200") == ("va", PEER)
        await s.table.attach("vy")
        assert s.table._mirror is not None and s.table._mirror.overflows > 0
        assert str(await s.table.resolve(PEER, "va")) == FAR


@in_namespace
async def test_a_removal_that_was_not_told_is_found_by_the_fresh_dump() -> None:
    netlink._NOTIFICATION_BUFFER = 2048
    async with stage() as s:
        for _ in range(20):
            s.here.add_address("va", "192.0.2.1/32")
            s.here.del_address("va", "192.0.2.1/32")
        s.here.del_address("va", "198.51.100.1/24")
        s.here.delete_link("va")
        assert await s.deletions(7) == ALL
        await s.until(lambda: not s.table.devices)
        assert s.table._mirror is not None and s.table._mirror.overflows > 0


@in_namespace
async def test_an_answer_that_is_older_than_what_was_told_since_changes_nothing() -> None:
    async with stage() as s:
        device = s.table.devices["va"]
        assert s.table._mirror is not None and s.table._mirror._socket is not None
        rtnetlink = s.table._mirror._socket
        request, answered = rtnetlink.request, trio.Event()

        async def late(message: bytes) -> list[Message]:
            answer = await request(message)
            await s.until(lambda: not device.up)
            s.here.set_link("va", up=True)
            await s.until(lambda: device.up)
            answered.set()
            return answer

        rtnetlink.request = late  # type: ignore[method-assign]
        s.here.set_link("va", up=False)
        await answered.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert device.up
