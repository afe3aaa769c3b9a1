"""A table on real devices, with the running kernel as the peer."""

from __future__ import annotations

import math
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
import trio
import trio.testing

import neighio
from neighio import NudState
from neighio.kernel import requests
from neighio.link.memory import Segment
from neighio.testing import Here, Peer, ScriptedPeer, connect, in_namespace
from neighio.wire import arp

NEAR = "02:00:00:00:00:0a"
FAR = "02:00:00:00:00:0b"
OTHER = "02:00:00:00:00:0c"
PEER = "198.51.100.2"
ABSENT = "198.51.100.66"
SHORT = {
    "base_reachable_time": 0.2,
    "delay_first_probe_time": 0.05,
    "retrans_time": 0.05,
    "ucast_solicit": 2,
}


@dataclass
class Stage:
    here: Here
    peer: Peer
    table: neighio.NeighbourTable
    wire: socket.socket
    """A raw socket at the far end."""

    def state(self, ip: str = PEER) -> NudState | None:
        found = self.table.lookup(ip, "va")
        return None if found is None else NudState(found.nud_state)


@asynccontextmanager
async def pair(parameters: Mapping[str, float] | None = None) -> AsyncIterator[Stage]:
    """``va`` here at 198.51.100.1/24, ``vb`` there at 198.51.100.2/24, and a table on ``va``."""
    here = Here()
    with Peer.start() as peer:
        connect(here, peer, "va", "vb", lladdr=NEAR, far_lladdr=FAR)
        here.add_address("va", "198.51.100.1/24")
        peer.add_address("vb", "198.51.100.2/24")
        with peer.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire, trio.fail_after(20):
            wire.bind(("vb", 0))
            async with neighio.open_table("va", parameters=parameters) as table:
                yield Stage(here, peer, table, wire)


def packed(ip: str) -> bytes:
    return socket.inet_aton(ip)


def announcement(ip: str, lladdr: str, tag: bytes = b"") -> bytes:
    """A gratuitous request from the far end, with a VLAN tag or without."""
    own = neighio.LinkAddress(lladdr)
    frame = arp.build(1, packed(ip), own, packed(ip), bytes(6), dst=b"\xff" * 6, src=own)
    return frame[:12] + tag + frame[12:]


async def line(events: neighio.EventStream) -> str:
    """The next notification, as ``ip monitor neigh`` prints it."""
    while isinstance(event := await anext(events), neighio.Idle):
        pass
    return str(event)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@in_namespace
async def test_the_kernel_answers_resolve_probe_and_proof() -> None:
    async with pair() as s:
        with pytest.raises(trio.WouldBlock):
            s.table.resolve_nowait(PEER)
        with trio.testing.assert_checkpoints():
            assert str(await s.table.resolve(PEER, "va")) == FAR
        assert str(s.table.resolve_nowait(PEER)) == FAR
        before = trio.current_time()
        assert str(await s.table.resolve(PEER, verified=True)) == FAR
        entry = s.table.lookup(PEER)
        assert entry is not None and entry.confirmed > before
        reply = await s.table.probe(PEER, unicast=True)
        assert (str(reply.lladdr), reply.others) == (FAR, ()) and reply.round_trip > 0
        s.table.set("va", retrans_time=0.05)
        with pytest.raises(neighio.Unreachable):
            await s.table.probe(ABSENT)
        with pytest.raises(neighio.Unreachable):
            await s.table.resolve(ABSENT)


@in_namespace
async def test_the_kernels_address_is_the_source() -> None:
    async with pair() as s:
        s.here.add_address("va", "203.0.113.1/24")
        s.peer.add_address("vb", "203.0.113.2/24")
        await s.table.resolve(PEER)
        # The peer's kernel believes who asks it: it knows us by the address of the same network.
        assert [n.ip for n in s.peer.neighbours("vb") if n.lladdr == bytes.fromhex("02000000000a")] == [
            packed("198.51.100.1")
        ]
        while True:
            await s.table.probe("203.0.113.2")
            known = {n.ip for n in s.peer.neighbours("vb") if n.lladdr == bytes.fromhex("02000000000a")}
            if packed("203.0.113.1") in known:
                break


@in_namespace
async def test_a_sweep_finds_all_for_whom_the_kernel_answers() -> None:
    async with pair() as s:
        s.peer.route_local("198.51.100.64/26")
        async with s.table.sweep("198.51.100.0/24", rate=math.inf, tries=2, interval=0.2) as sweeping:
            found = {reply.ip async for reply in sweeping}
        assert found == {PEER} | {f"198.51.100.{host}" for host in range(64, 128)}
        assert len(sweeping.absent) == 254 - len(found)
        assert s.table.arp.statistics().entries == 0


@in_namespace
async def test_packets_are_sent_by_the_entry() -> None:
    async with pair() as s:
        with s.peer.socket(socket.AF_INET, socket.SOCK_RAW, 253) as raw, s.table.neighbour(PEER) as held:
            raw.setblocking(False)
            header = bytes.fromhex("4500001800000000 40fd 0000") + packed("198.51.100.1") + packed(PEER)
            total = sum(int.from_bytes(header[at : at + 2], "big") for at in range(0, 20, 2))
            total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
            await held.send(header[:10] + total.to_bytes(2, "big") + header[12:] + b"data")
            await trio.lowlevel.wait_readable(raw)
            assert raw.recv(100)[20:] == b"data"


@in_namespace
async def test_a_peer_that_falls_silent_goes_its_way_to_failed() -> None:
    async with pair(SHORT) as s:
        with s.table.subscribe() as events:
            assert str(await s.table.resolve(PEER)) == FAR
            assert await line(events) == f"{PEER} dev va lladdr {FAR} REACHABLE"
            assert await line(events) == f"{PEER} dev va lladdr {FAR} STALE"
            s.peer.set_link("vb", arp=False)
            assert str(await s.table.resolve(PEER)) == FAR
            assert await line(events) == f"{PEER} dev va lladdr {FAR} PROBE"
            assert await line(events) == f"{PEER} dev va FAILED"
            with pytest.raises(neighio.Unreachable):
                await s.table.resolve(PEER)
            s.peer.set_link("vb", arp=True)
            assert str(await s.table.resolve(PEER)) == FAR


@in_namespace
async def test_frames_of_a_vlan_do_not_touch_the_table() -> None:
    async with pair() as s:
        await s.table.resolve(PEER)
        s.wire.send(announcement(PEER, OTHER, b"\x81\x00\x00\x05"))
        s.wire.send(announcement(PEER, OTHER, b"\x88\xa8\x00\x05"))
        # What is sent after them has been received after them.
        s.table.add(ABSENT, nud="none")
        s.wire.send(announcement(ABSENT, OTHER))
        with s.table.subscribe() as events:
            while await line(events) != f"{ABSENT} dev va lladdr {OTHER} STALE":
                pass
        entry = s.table.lookup(PEER)
        assert entry is not None and (str(entry.lladdr), s.state()) == (FAR, NudState.REACHABLE)


@in_namespace
async def test_malformed_frames_are_counted_and_touch_nothing() -> None:
    async with pair() as s:
        await s.table.resolve(PEER)
        good = announcement(PEER, OTHER)
        broken = [
            good[:30],
            good[:14] + b"\0\7" + good[16:],
            good[:16] + b"\x86\xdd" + good[18:],
            good[:18] + b"\5" + good[19:],
            good[:19] + b"\6" + good[20:],
            good[:20] + b"\0\x09" + good[22:],
            good[:28] + packed("224.0.0.1") + packed("224.0.0.1").rjust(10, b"\0"),
        ]
        for frame in broken:
            s.wire.send(frame)
        s.table.add(ABSENT, nud="none")
        s.wire.send(announcement(ABSENT, OTHER))
        with s.table.subscribe() as events:
            while await line(events) != f"{ABSENT} dev va lladdr {OTHER} STALE":
                pass
        drops = s.table.devices["va"].drops
        assert sum(drops.values()) == len(broken) and len(drops) >= 4, drops
        entry = s.table.lookup(PEER)
        assert entry is not None and str(entry.lladdr) == FAR


@in_namespace
async def test_two_hundred_pending_calls_end_when_the_device_is_deleted() -> None:
    async with pair() as s:
        gone: list[neighio.DeviceGone] = []

        async def wait(host: int) -> None:
            try:
                await s.table.resolve(f"198.51.100.{3 + host}")
            except neighio.DeviceGone as error:
                gone.append(error)

        async with trio.open_nursery() as nursery:
            for host in range(200):
                nursery.start_soon(wait, host)
            while s.table.statistics().tasks_waiting < 200:  # noqa: ASYNC110
                await trio.lowlevel.checkpoint()
            s.here.delete_link("va")
        assert len(gone) == 200
        found = s.table.statistics()
        assert (found.tasks_waiting, found.devices) == (0, 0)
        assert s.table.arp.statistics().entries == 0


@in_namespace
async def test_devices_are_attached_and_detached_by_name_while_the_table_runs() -> None:
    async with pair() as s:
        device = s.table.devices["va"]
        before = descriptors()
        for _ in range(2):
            await s.table.devices["va"].detach()
            assert descriptors() < before
            device = await s.table.attach("va")
            assert str(await s.table.resolve(PEER)) == FAR
        assert descriptors() == before
        for name, message in (
            ("va", "device: va is attached already"),
            ("nobody", "device: there is no interface 'nobody'; there is lo, va"),
        ):
            with pytest.raises(neighio.InvalidAddress, match=message):
                await s.table.attach(name)
        assert descriptors() == before and s.table.devices == {"va": device}


@in_namespace
async def test_an_unknown_interface_ends_the_opening() -> None:
    before = descriptors()
    with pytest.raises(neighio.InvalidAddress, match="there is no interface 'nobody'; there is lo"):
        async with neighio.open_table("nobody"):
            raise AssertionError
    assert descriptors() == before


class CancelAfter(trio.abc.Instrument):
    """Cancels a scope after so many steps of whatever tasks."""

    def __init__(self, steps: int, scope: trio.CancelScope) -> None:
        self.steps = steps
        self.scope = scope

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps -= 1
        if self.steps == 0:
            self.scope.cancel()


@in_namespace
async def test_opening_is_cancelled_at_any_step_and_leaves_no_descriptor() -> None:
    connect_here()
    steps, opened = 0, False
    before, tasks = descriptors(), trio.lowlevel.current_statistics().tasks_living
    while not opened:
        steps += 1
        with trio.CancelScope() as scope:
            countdown = CancelAfter(steps, scope)
            trio.lowlevel.add_instrument(countdown)
            async with neighio.open_table("va", "vb") as table:
                # The way out is not what is tried here.
                countdown.steps = 0
                opened = not scope.cancel_called
                assert table.devices.keys() == {"va", "vb"}
        trio.lowlevel.remove_instrument(countdown)
        assert descriptors() == before, steps
        assert trio.lowlevel.current_statistics().tasks_living == tasks
    assert steps > 10


def connect_here() -> None:
    here = Here()
    here.request(requests.create_veth("va", "vb"))
    for name in ("va", "vb"):
        here.set_link(name, up=True)


@in_namespace
async def test_a_link_in_memory_stands_beside_the_kernels_devices() -> None:
    segment = Segment(trio.current_time)
    scripted = ScriptedPeer(segment, OTHER, "203.0.113.2")
    link = segment.attach("02:00:00:00:00:0e", name="mem0", index=1)
    here = Here()
    with Peer.start() as peer, trio.fail_after(20):
        connect(here, peer, "va", "vb", lladdr=NEAR, far_lladdr=FAR)
        here.add_address("va", "198.51.100.1/24")
        peer.add_address("vb", "198.51.100.2/24")
        async with neighio.open_table(neighio.Device(link, addresses=["203.0.113.1/24"])) as table:
            # Its index is that of lo, which the table from now on knows of.
            await table.attach("va")
            assert table.devices.keys() == {"mem0", "va"}
            assert await table.resolve("203.0.113.2", "mem0") == scripted.lladdr
            assert str(await table.resolve(PEER, "va")) == FAR
            here.set_link("lo", mtu=1280)
            await table.resolve(PEER, "va", verified=True)
            assert (table.devices["mem0"].mtu, table.devices["mem0"].name) == (1500, "mem0")
            index = here.link("va").index
            with pytest.raises(neighio.InvalidAddress, match=f"mem1 has the index {index}, which is va's"):
                await table.attach(segment.attach("02:00:00:00:00:0f", name="mem1", index=index))


@in_namespace
async def test_the_first_hop_is_the_kernels_route() -> None:
    async with pair() as s:
        s.here.add_route("va", "203.0.113.0/24", PEER)
        while await s.table.first_hop("203.0.113.7") is None:  # noqa: ASYNC110
            await trio.lowlevel.checkpoint()
        assert await s.table.first_hop("203.0.113.7") == ("va", PEER)
        assert await s.table.first_hop(ABSENT) == ("va", ABSENT)
        # Of the routes that go with a device that goes down the kernel says nothing.
        s.here.set_link("va", up=False)
        while s.table.devices["va"].up:  # noqa: ASYNC110
            await trio.lowlevel.checkpoint()
        assert await s.table.first_hop("203.0.113.7") is None


OPEN_WITHOUT_CAPABILITY = """
import ctypes, trio, neighio
assert ctypes.CDLL(None).unshare(0x10000000) == 0, "unshare(CLONE_NEWUSER)"
async def main():
    async with neighio.open_table("lo"):
        raise AssertionError
try:
    trio.run(main)
except neighio.NotPermitted as error:
    print(error.errno, error)
"""


@in_namespace
def test_without_the_capability_the_error_says_which_and_how_to_get_it() -> None:
    said = subprocess.run(
        [sys.executable, "-c", OPEN_WITHOUT_CAPABILITY], capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith("1 ")
    for part in (
        "opening lo needs the capability CAP_NET_RAW",
        "`sudo`",
        "sudo setpriv --reuid=$USER --init-groups --inh-caps=+net_raw --ambient-caps=+net_raw",
        "unshare -Urn",
    ):
        assert part in said


@in_namespace
async def test_an_interface_is_attached_as_soon_as_the_kernel_has_it() -> None:
    here = Here()
    with Peer.start() as peer, trio.fail_after(20):
        async with neighio.open_table("lo") as table:
            for number in range(20):
                # rtnetlink has told of it, and nobody has read that yet.
                connect(here, peer, f"va{number}", f"vb{number}")
                await (await table.attach(f"va{number}")).detach()
            here.set_link("va7", rename="vx")
            await table.attach("vx")
            for name in ("nobody", "\N{SNOWMAN}" * 15, "va8\0"):
                with pytest.raises(neighio.InvalidAddress, match="device: there is no interface"):
                    await table.attach(name)
