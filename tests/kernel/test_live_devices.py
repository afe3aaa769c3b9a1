"""Devices that go down, come up, are renamed, removed and there again, with traffic in flight."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import QueueHandler
from queue import Queue

import pytest
import trio
import trio.testing

import neighio
from neighio import LinkAddress, NudState
from neighio.testing import Here, Peer, Segment, in_namespace

from .stations import (
    KERNELS,
    OURS,
    OURS4,
    OURS6,
    OWN,
    THEIR_LOCAL,
    THEIRS,
    THEIRS4,
    THEIRS6,
    host,
    join,
    kernel,
    known,
    packed,
    ping,
    resolved,
    send,
    until,
)

THEIR_IPS = (THEIRS4, THEIRS6, THEIR_LOCAL)
ABSENT = ("198.51.100.66", "2001:db8::66")


@contextmanager
def stage(role: str) -> Iterator[tuple[Here, Peer, neighio.Device]]:
    """``va`` here, on the other end of which the kernel is, and what is to be attached."""
    here = Here()
    # What this takes is not the table's.
    here.link("lo")
    with kernel() as peer:
        if role == "host":
            yield here, peer, host(*OWN)
        else:
            give(here, "va")
            yield here, peer, neighio.Device("va")


def give(here: Here, name: str) -> None:
    """Have the kernel here be at OWN, for a client to ask with."""
    for address in OWN:
        here.add_address(name, address)


class Traffic:
    """Calls in flight: who asks for what nobody has, and how that ended."""

    def __init__(self, table: neighio.NeighbourTable) -> None:
        self.table = table
        self.ended: list[str] = []

    async def ask(self, ip: str, dev: str) -> None:
        try:
            await self.table.resolve(ip, dev)
        except (neighio.DeviceGone, neighio.Unreachable) as error:
            self.ended.append(type(error).__name__)

    async def start(self, nursery: trio.Nursery, dev: str = "va") -> None:
        """Have two ask, and wait until they wait."""
        for ip in ABSENT:
            nursery.start_soon(self.ask, ip, dev)
        await until(lambda: self.table.statistics().tasks_waiting == len(ABSENT))


async def all_answer(table: neighio.NeighbourTable, *ips: str) -> None:
    """The kernel answers for its addresses as soon as the wire is there again."""
    for ip in ips or THEIR_IPS:
        assert await resolved(table, ip) == LinkAddress(KERNELS), ip


# -- down and up


@in_namespace
@pytest.mark.parametrize("role", ["client", "host"])
async def test_who_waits_on_a_device_that_goes_down_is_told_and_it_works_when_it_is_up(role: str) -> None:
    with stage(role) as (here, _, spec):
        async with neighio.open_table(spec, parameters={"retrans_time": 60.0}) as table:
            device = table.devices["va"]
            traffic = Traffic(table)
            await all_answer(table)
            async with trio.open_nursery() as nursery:
                await traffic.start(nursery)
                here.set_link("va", up=False)
            assert traffic.ended == ["DeviceGone"] * 2
            await until(lambda: not device.up)
            assert list(table.arp.entries()) == list(table.ndisc.entries()) == []
            for ip in (THEIRS4, THEIRS6):
                with pytest.raises(neighio.DeviceGone, match="va is down"):
                    await table.resolve(ip)
            here.set_link("va", up=True)
            if role == "client":
                # The kernel has forgotten its own IPv6 addresses.
                for address in OWN[1:]:
                    here.add_address("va", address)
            await all_answer(table)
            assert device.present and table.devices == {"va": device}


@in_namespace
async def test_a_host_that_is_pinged_throughout_answers_whenever_it_is_up() -> None:
    with stage("host") as (here, peer, spec):
        async with neighio.open_table(spec) as table, trio.open_nursery() as nursery:
            device = table.devices["va"]
            await nursery.start(neighio.answer_echo, device)
            for _ in range(3):
                for ip in (OURS4, OURS6):
                    assert await ping(peer, ip)
                for ip in (OURS4, OURS6):
                    # Both on their way when it falls.
                    send(peer, ip)
                here.set_link("va", up=False)
                await until(lambda: not device.up)
                assert device.addresses == tuple(device.addresses) and len(device.addresses) == 3
                here.set_link("va", up=True)
                await until(lambda: device.up and device.carrier)
            nursery.cancel_scope.cancel()


@in_namespace
async def test_a_host_detects_anew_when_its_interface_comes_up_and_loses_what_the_kernel_took() -> None:
    with stage("host") as (here, peer, _):
        async with neighio.open_table(host()) as table:
            device = table.devices["va"]
            for address in OWN[1:]:
                await device.add_address(address)
            with table.subscribe(conflicts=True) as events:
                here.set_link("va", up=False)
                await until(lambda: not device.up)
                peer.add_address("vb", OWN[1])
                here.set_link("va", up=True)
                with trio.fail_after(10):
                    while not isinstance(event := await anext(events), neighio.AddressConflict):
                        pass
            assert (event.ip, event.action, str(event.lladdr)) == (OURS6, "duplicate", KERNELS)
            await until(lambda: device.addresses == (OWN[2],))


@in_namespace
@pytest.mark.parametrize("role", ["client", "host"])
async def test_a_carrier_that_goes_takes_the_neighbours_along_and_they_are_found_again(role: str) -> None:
    with stage(role) as (_, peer, spec):
        async with neighio.open_table(spec, parameters={"retrans_time": 60.0}) as table:
            device = table.devices["va"]
            traffic = Traffic(table)
            table.add("198.51.100.77", "va", KERNELS)
            await all_answer(table)
            async with trio.open_nursery() as nursery:
                await traffic.start(nursery)
                peer.set_link("vb", up=False)
            assert traffic.ended == ["DeviceGone"] * 2
            assert device.up and not device.carrier
            assert [entry.ip for entry in table.arp.entries()] == ["198.51.100.77"]
            peer.set_link("vb", up=True)
            for address in THEIRS[1:]:
                peer.add_address("vb", address)
            table.set("va", retrans_time=0.2)
            table.set("va", 6, retrans_time=0.2)
            await all_answer(table)


# -- renaming, and other changes


@in_namespace
@pytest.mark.parametrize("role", ["client", "host"])
async def test_a_device_that_is_renamed_goes_on_under_its_new_name(role: str) -> None:
    with stage(role) as (here, peer, spec):
        async with neighio.open_table(spec, parameters={"retrans_time": 60.0}) as table:
            device = table.devices["va"]
            traffic = Traffic(table)
            with table.neighbour(THEIRS4) as held:
                await all_answer(table)
                async with trio.open_nursery() as nursery:
                    await traffic.start(nursery)
                    # The kernel renames what is up, too.
                    here.set_link("va", rename="vz")
                    await until(lambda: "vz" in table.devices)
                    assert table.devices == {"vz": device} and device.name == "vz"
                    # Nobody was disturbed.
                    assert traffic.ended == [] and table.statistics().tasks_waiting == 2
                    assert held.nud_state & NudState.VALID and held.dev == "vz"
                    assert await table.resolve(THEIR_LOCAL, "vz") == LinkAddress(KERNELS)
                    with pytest.raises(neighio.InvalidAddress, match="'va' is not attached; there is vz"):
                        await table.resolve(THEIRS4, "va")
                    nursery.cancel_scope.cancel()
            if role == "host":
                async with trio.open_nursery() as nursery:
                    await nursery.start(neighio.answer_echo, device)
                    assert await ping(peer, OURS4) and await ping(peer, OURS6)
                    nursery.cancel_scope.cancel()


@in_namespace
@pytest.mark.parametrize("lladdr", [OURS, None])
async def test_of_an_interface_a_host_takes_what_is_the_kernels_and_keeps_what_is_its_own(
    lladdr: str | None,
) -> None:
    with stage("host") as (here, peer, _):
        spec = neighio.Device("va", "host", addresses=OWN, lladdr=lladdr)
        async with neighio.open_table(spec) as table, trio.open_nursery() as nursery:
            device = table.devices["va"]
            await nursery.start(neighio.answer_echo, device)
            await all_answer(table)
            assert await ping(peer, OURS4) and await ping(peer, OURS6)
            here.set_link("va", arp=False)
            here.set_link("va", mtu=1400)
            here.add_address("va", "203.0.113.7/24")
            await until(lambda: device.mtu == 1400)
            await all_answer(table)
            assert (str(device.lladdr) == OURS, set(device.addresses)) == (lladdr is not None, set(OWN))
            # The interface's address is a host's if it was given none of its own.
            before = device.lladdr
            here.set_link("va", lladdr="02:00:00:00:00:5a")
            here.set_link("va", mtu=1300)
            await until(lambda: device.mtu == 1300)
            assert device.lladdr == (before if lladdr else LinkAddress("02:00:00:00:00:5a"))
            device.announce()
            await all_answer(table)
            for ip in (OURS4, OURS6):
                assert await ping(peer, ip), ip
                assert known(peer, ip) == device.lladdr
            nursery.cancel_scope.cancel()


# -- removal and return


@in_namespace
@pytest.mark.parametrize("role", ["client", "host"])
async def test_who_waits_on_a_device_that_is_removed_is_told_and_it_works_when_it_returns(role: str) -> None:
    with stage(role) as (here, peer, spec):
        before = len(os.listdir("/proc/self/fd"))
        async with neighio.open_table(spec, parameters={"retrans_time": 60.0}) as table:
            device = table.devices["va"]
            opened = len(os.listdir("/proc/self/fd"))
            traffic = Traffic(table)
            for _ in range(3):
                index = device.index
                await all_answer(table)
                async with trio.open_nursery() as nursery:
                    await traffic.start(nursery)
                    here.delete_link("va")
                assert traffic.ended == ["DeviceGone"] * 2
                traffic.ended.clear()
                assert not device.present and table.devices == {}
                for ip in (THEIRS4, THEIRS6):
                    with pytest.raises(neighio.InvalidAddress, match="not attached"):
                        await table.resolve(ip, "va")
                assert table.statistics().tasks_waiting == 0
                join(peer)
                if role == "client":
                    give(here, "va")
                await until(lambda: device.present)
                assert table.devices == {"va": device} and device.index != index
                if role == "host":
                    assert set(device.addresses) == set(OWN) and str(device.lladdr) == OURS
            await all_answer(table)
            assert len(os.listdir("/proc/self/fd")) == opened
        assert len(os.listdir("/proc/self/fd")) == before


@in_namespace
async def test_a_host_returns_with_the_addresses_that_it_had_and_no_others() -> None:
    with stage("host") as (here, peer, _):
        async with neighio.open_table(host("198.51.100.8/24", "2001:db8::8/64")) as table:
            device = table.devices["va"]
            device.remove_address("198.51.100.8")
            await device.add_address("198.51.100.9/24", dad_transmits=0, defence="cease")
            await device.add_address(OWN[2], dad_transmits=1)
            gone: list[str] = []

            async def want() -> None:
                with pytest.raises(neighio.DeviceGone):
                    await device.add_address(OWN[1], dad_transmits=100)
                gone.append(OWN[1])

            async with trio.open_nursery() as nursery:
                nursery.start_soon(want)
                await until(lambda: table.statistics().tasks_waiting == 1)
                here.delete_link("va")
            # Who was told that he has it not is not given it later.
            assert gone == [OWN[1]]
            join(peer)
            await until(lambda: device.present)
            assert set(device.addresses) == {"2001:db8::8/64", "198.51.100.9/24"}
            # What was detected is detected anew.
            await until(lambda: set(device.addresses) == {"2001:db8::8/64", "198.51.100.9/24", OWN[2]})
            assert [claim.defence for claim in table._driver.engine.claims.of(device._device)] == [
                "none",
                "cease",
                "none",
            ]
            assert not any(packed(OURS6) == a.ip for a in device._device.addresses)


@in_namespace
async def test_packets_and_echo_end_with_the_interface_and_begin_anew_on_the_one_that_returned() -> None:
    with stage("host") as (here, peer, spec):
        async with neighio.open_table(spec) as table, trio.open_nursery() as nursery:
            device = table.devices["va"]
            ended = trio.Event()

            async def echo() -> None:
                await neighio.answer_echo(device)
                ended.set()

            nursery.start_soon(echo)
            await trio.testing.wait_all_tasks_blocked()
            assert await ping(peer, OURS4)
            async with device.packets() as old:
                here.delete_link("va")
                with trio.fail_after(5):
                    await ended.wait()
                    # The request of the ping came before it was opened.
                    assert [packet async for packet in old] == []
                join(peer)
                await until(lambda: device.present)
                async with device.packets() as new:
                    send(peer, OURS4)
                    with trio.fail_after(5):
                        assert (await anext(new)).packet.endswith(b"hello")
                with pytest.raises(StopAsyncIteration):
                    await anext(old)
            await nursery.start(neighio.answer_echo, device)
            assert await ping(peer, OURS6)
            nursery.cancel_scope.cancel()


@in_namespace
@pytest.mark.parametrize("role", ["client", "host"])
async def test_a_device_that_is_detached_while_it_is_away_does_not_return(role: str) -> None:
    with stage(role) as (here, peer, spec):
        async with neighio.open_table(spec) as table:
            device = table.devices["va"]
            opened = len(os.listdir("/proc/self/fd"))
            here.delete_link("va")
            await until(lambda: not device.present)
            await device.detach()
            join(peer)
            with trio.fail_after(10):
                await sees(table, here, "va")
            assert table.devices == {} and not device.present
            assert len(os.listdir("/proc/self/fd")) < opened
            assert await table.attach("va") is not device


@in_namespace
async def test_a_device_that_is_detached_at_any_step_of_its_return_does_not_return() -> None:
    here = Here()
    returned = False
    steps = 0
    with kernel() as peer:
        while not returned:
            steps += 1
            async with neighio.open_table(host(*OWN)) as table:
                device = table.devices["va"]
                here.delete_link("va")
                await device._ended.wait()
                before = len(os.listdir("/proc/self/fd"))
                countdown = After(steps, device)
                join(peer)
                trio.lowlevel.add_instrument(countdown)
                with trio.fail_after(10):
                    while not countdown.done and not device.present:  # noqa: ASYNC110
                        await trio.sleep(0.001)
                trio.lowlevel.remove_instrument(countdown)
                returned = not countdown.done
                await device.detach()
                await sees(table, here, "va")
                await trio.testing.wait_all_tasks_blocked(0.02)
                assert table.devices == {}, steps
                assert len(os.listdir("/proc/self/fd")) == before, steps
    assert steps > 5


class After(trio.abc.Instrument):
    """Detaches a device after so many steps of the tasks that bring it back."""

    def __init__(self, steps: int, device: neighio.AttachedDevice) -> None:
        self.steps = steps
        self.device = device
        self.done = False

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if "_guarded" in task.name and not self.device.present:
            self.steps -= 1
            if self.steps == 0:
                self.done = True
                self.device._end(self.device)


async def sees(table: neighio.NeighbourTable, here: Here, name: str) -> None:
    """Wait until the table knows of the interface that the kernel has."""
    index = here.link(name).index
    mirror = table._mirror
    assert mirror is not None
    await until(lambda: index in mirror.links)


@in_namespace
async def test_one_that_another_took_the_place_of_waits_for_the_next() -> None:
    with stage("host") as (here, peer, _):
        async with neighio.open_table(host(*OWN)) as table:
            device = table.devices["va"]
            # Both want the name that comes.
            here.delete_link("va")
            await until(lambda: not device.present)
            join(peer, "vx")
            other = await table.attach(neighio.Device("vx", "host", addresses=["198.51.100.9/24"]))
            here.set_link("vx", rename="va")
            await until(lambda: "va" in table.devices)
            await trio.testing.wait_all_tasks_blocked(0.02)
            # Its name is the other's now, which goes on.
            assert table.devices == {"va": other} and not device.present
            assert await table.resolve(THEIRS4) == LinkAddress(KERNELS)
            await other.detach()
            here.set_link("va", rename="vq")
            here.set_link("vq", rename="va")
            await until(lambda: device.present)
            assert table.devices == {"va": device} and set(device.addresses) == set(OWN)


@in_namespace
async def test_one_whose_address_is_the_kernels_now_waits_for_the_next() -> None:
    records: Queue[logging.LogRecord] = Queue()
    logging.getLogger("neighio.table").addHandler(QueueHandler(records))
    with stage("host") as (here, peer, _):
        async with neighio.open_table(host(OWN[1])) as table:
            device = table.devices["va"]
            await device.add_address("198.51.100.77/24", dad_transmits=0)
            here.delete_link("va")
            await until(lambda: not device.present)
            here.add_address("lo", "198.51.100.77/32")
            join(peer)
            await until(lambda: not records.empty())
            assert records.get().getMessage() == (
                "va is there again, but cannot be attached: address: 198.51.100.77 is the kernel's own, on lo; "
                "it would answer for it, too"
            )
            assert table.devices == {}
            here.del_address("lo", "198.51.100.77/32")
            here.delete_link("va")
            join(peer)
            await until(lambda: device.present)
            assert set(device.addresses) == {OWN[1], "198.51.100.77/24"}


@in_namespace
async def test_an_interface_that_is_renamed_to_a_name_that_is_waited_for_is_taken() -> None:
    with stage("client") as (here, peer, spec):
        async with neighio.open_table(spec) as table:
            device = table.devices["va"]
            here.delete_link("va")
            await until(lambda: not device.present)
            join(peer, "vx")
            give(here, "vx")
            await sees(table, here, "vx")
            assert table.devices == {}
            here.set_link("vx", rename="va")
            await until(lambda: device.present)
            await all_answer(table)


@in_namespace
async def test_a_table_that_is_closed_while_a_device_is_away_leaves_nothing() -> None:
    with stage("host") as (here, peer, spec):
        before = len(os.listdir("/proc/self/fd"))
        tasks = trio.lowlevel.current_statistics().tasks_living
        async with neighio.open_table(spec) as table:
            device = table.devices["va"]
            here.delete_link("va")
            await until(lambda: not device.present)
        join(peer)
        assert not device.present
        assert len(os.listdir("/proc/self/fd")) == before
        assert trio.lowlevel.current_statistics().tasks_living == tasks


@in_namespace
async def test_a_host_in_memory_keeps_to_itself_whatever_the_kernel_has_at_its_index() -> None:
    here = Here()
    segment = Segment(trio.current_time)
    with kernel() as peer:
        join_index = here.link("va").index
        own = neighio.Device(
            segment.attach(OURS, name="mem0", index=join_index), "host", addresses=["203.0.113.1/24"]
        )
        other = neighio.Device(segment.attach(KERNELS, name="mem1"), "host", addresses=["203.0.113.2/24"])
        async with neighio.open_table(own) as table, neighio.open_table(other):
            # Another interface has rtnetlink followed.
            await table.attach("lo")
            device = table.devices["mem0"]
            assert await table.resolve("203.0.113.2", "mem0") == LinkAddress(KERNELS)
            here.set_link("va", mtu=1400)
            here.set_link("va", up=False)
            here.add_address("va", "203.0.113.7/24")
            here.delete_link("va")
            join(peer)
            await sees(table, here, "va")
            assert (device.name, device.mtu, device.up, device.present) == ("mem0", 1500, True, True)
            assert device.addresses == ("203.0.113.1/24",)
            assert table.resolve_nowait("203.0.113.2", "mem0") == LinkAddress(KERNELS)
