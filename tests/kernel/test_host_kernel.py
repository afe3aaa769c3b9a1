"""A host in user space against the running kernel, both families, both directions."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import trio

import neighio
from neighio import LinkAddress
from neighio.address import format_ip, parse_ip
from neighio.core.constants import IFA_F_TENTATIVE, NUD_FAILED, NUD_INCOMPLETE, NUD_VALID
from neighio.kernel import requests
from neighio.kernel.rtnetlink import AddressMessage, decode
from neighio.testing import Here, Peer, connect, in_namespace

OURS = "02:00:00:00:00:0a"
KERNELS = "02:00:00:00:00:0b"
OWN = ["198.51.100.1/24", "2001:db8::1/64", "fe80::1/64"]
THEIRS = ["198.51.100.2/24", "2001:db8::2/64", "fe80::2/64"]
PINGS = [
    ("198.51.100.1", socket.AF_INET, socket.IPPROTO_ICMP, "0800f7fe00010000", 0),
    ("2001:db8::1", socket.AF_INET6, socket.IPPROTO_ICMPV6, "8000000000010000", 129),
]


@contextmanager
def kernel() -> Iterator[Peer]:
    """A namespace in which the kernel is at THEIRS, on the other end of ``va``."""
    with Peer.start() as peer:
        connect(Here(), peer, "va", "vb", far_lladdr=KERNELS)
        for address in THEIRS:
            peer.add_address("vb", address)
        yield peer


def host(*addresses: str) -> neighio.Device:
    return neighio.Device("va", "host", lladdr=OURS, addresses=addresses)


def known(peer: Peer, ip: str) -> LinkAddress | None:
    """Where the kernel has a neighbour, if it has one."""
    for entry in peer.neighbours("vb"):
        if entry.ip == parse_ip(ip)[0] and entry.state & NUD_VALID and entry.lladdr is not None:
            return LinkAddress(entry.lladdr)
    return None


def ping(peer: Peer, ip: str, family: int, protocol: int, message: str, answer: int) -> bool:
    with peer.socket(family, socket.SOCK_RAW, protocol) as raw:
        raw.settimeout(5)
        raw.sendto(bytes.fromhex(message), (ip, 0))
        while True:
            found, sender = raw.recvfrom(200)
            if found[20 if family == socket.AF_INET else 0] == answer:
                return sender[0] == ip


@in_namespace
async def test_the_kernel_pings_us_and_we_resolve_the_kernel() -> None:
    with kernel() as peer:
        async with neighio.open_table(host(*OWN)) as table, trio.open_nursery() as nursery:
            await nursery.start(neighio.answer_echo, table.devices["va"])
            for ip, family, protocol, message, answer in PINGS:
                found = await trio.to_thread.run_sync(ping, peer, ip, family, protocol, message, answer)
                assert found, ip
                assert known(peer, ip) == LinkAddress(OURS)
            for address in THEIRS[:2]:
                assert await table.resolve(address.partition("/")[0]) == LinkAddress(KERNELS)
            nursery.cancel_scope.cancel()


@in_namespace
async def test_what_the_kernel_has_does_not_become_ours() -> None:
    with kernel():
        async with neighio.open_table(host()) as table, trio.open_nursery() as nursery:
            device = table.devices["va"]

            async def want(address: str) -> None:
                with pytest.raises(neighio.DuplicateAddress) as caught:
                    await device.add_address(address)
                assert caught.value.lladdr == LinkAddress(KERNELS)

            for address in THEIRS:
                nursery.start_soon(want, address)
        assert device.addresses == ()


@in_namespace
async def test_what_is_ours_does_not_become_the_kernels() -> None:
    with kernel() as peer:
        async with neighio.open_table(host(*OWN)):
            index = peer.link("vb").index
            ip = parse_ip("2001:db8::1")[0]
            # With detection, which add_address of the namespace leaves out.
            peer.sysctl("net/ipv6/conf/vb/accept_dad", 1)
            peer.sysctl("net/ipv6/conf/vb/dad_transmits", 1)
            peer.request(requests.add_address(index, ip, 64))
            failed = False
            with trio.move_on_after(10):
                while not failed:
                    for message in peer.request(requests.dump_addresses(socket.AF_INET6)):
                        found = decode(message)
                        if isinstance(found, AddressMessage) and found.local == ip:
                            # IFA_F_DADFAILED
                            failed = bool(found.flags & 0x08 and found.flags & IFA_F_TENTATIVE)
                    await trio.sleep(0.02)
            assert failed


@in_namespace
async def test_an_announcement_moves_the_kernels_entries() -> None:
    with kernel() as peer:
        async with neighio.open_table(host(*OWN)) as table, trio.open_nursery() as nursery:
            await nursery.start(neighio.answer_echo, table.devices["va"])
            for case in PINGS:
                assert await trio.to_thread.run_sync(ping, peer, *case)
            nursery.cancel_scope.cancel()
        async with neighio.open_table(
            neighio.Device("va", "host", lladdr="02:00:00:00:00:1a", addresses=OWN)
        ) as table:
            table.devices["va"].announce()
            moved = [LinkAddress("02:00:00:00:00:1a")] * len(PINGS)
            await until(lambda: [known(peer, ip) for ip, *_ in PINGS] == moved)


@in_namespace
async def test_an_address_that_the_kernel_answers_for_is_refused() -> None:
    here = Here()
    with kernel():
        here.add_address("va", "198.51.100.1/24")
        here.add_address("va", "2001:db8::1/64")
        here.set_link("lo", up=True)
        here.add_address("lo", "198.51.100.77/32")
        async with neighio.open_table(host()) as table:
            for address in ("198.51.100.1/24", "2001:db8::1/64", "198.51.100.77/24"):
                with pytest.raises(neighio.InvalidAddress, match="is the kernel's own, on "):
                    await table.devices["va"].add_address(address)
            await table.devices["va"].add_address("198.51.100.3/24", dad_transmits=0)
            assert table.devices["va"].addresses == ("198.51.100.3/24",)
        with pytest.raises(
            neighio.InvalidAddress, match=r"address: 198\.51\.100\.1 is the kernel's own, on va"
        ):
            async with neighio.open_table(host("198.51.100.1/24")):
                pass


@in_namespace
async def test_a_device_that_goes_down_comes_up_is_renamed_goes_and_returns() -> None:
    here = Here()
    with kernel() as peer:
        async with neighio.open_table(host(*OWN)) as table:
            device = table.devices["va"]
            assert await table.resolve("198.51.100.2") == LinkAddress(KERNELS)
            here.set_link("va", up=False)
            await until(lambda: not device.up)
            with pytest.raises(neighio.DeviceGone):
                await table.resolve("198.51.100.2")
            here.set_link("va", up=True)
            for ip in ("198.51.100.2", "2001:db8::2"):
                with trio.fail_after(10):
                    assert await resolved(table, ip) == LinkAddress(KERNELS)
            here.set_link("va", up=False)
            here.set_link("va", rename="vz")
            here.set_link("vz", up=True)
            await until(lambda: "vz" in table.devices)
            assert device.name == "vz" and table.devices["vz"] is device
            with trio.fail_after(10):
                assert await resolved(table, "198.51.100.2") == LinkAddress(KERNELS)
            here.delete_link("vz")
            await until(lambda: not device.present)
            assert table.devices == {}
            connect(here, peer, "vz", "vb", far_lladdr=KERNELS)
            for address in THEIRS:
                peer.add_address("vb", address)
            await until(lambda: device.present)
            assert table.devices == {"vz": device}
            assert set(device.addresses) == set(OWN)
            for ip in ("198.51.100.2", "2001:db8::2"):
                with trio.fail_after(10):
                    assert await resolved(table, ip) == LinkAddress(KERNELS)


async def until(condition: Callable[[], object]) -> None:
    """Wait for what the kernel does in its own time."""
    with trio.fail_after(5):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.01)


async def resolved(table: neighio.NeighbourTable, ip: str) -> LinkAddress:
    """Resolve an address as soon as the wire is there again."""
    while True:
        try:
            return await table.resolve(ip)
        except (neighio.Unreachable, neighio.DeviceGone):
            await trio.sleep(0.02)


@in_namespace
async def test_a_client_learns_from_the_kernels_neighbour_discovery() -> None:
    here = Here()
    with kernel():
        here.add_address("va", "198.51.100.9/24")
        here.add_address("va", "2001:db8::9/64")
        here.add_address("va", "fe80::9/64")
        async with neighio.open_table("va") as table:
            assert [await table.resolve(ip) for ip in ("198.51.100.2", "2001:db8::2", "fe80::2%va")] == [
                LinkAddress(KERNELS)
            ] * 3
            reply = await table.probe("2001:db8::2", unicast=True)
            assert (reply.lladdr, reply.ip) == (LinkAddress(KERNELS), "2001:db8::2")
            async with table.sweep("2001:db8::/124", rate=1000.0, tries=2, interval=0.2) as sweep:
                found = {reply.ip async for reply in sweep}
            assert found == {"2001:db8::2"}
            with pytest.raises(neighio.Unreachable):
                await table.resolve("2001:db8::77")
            failed = table.lookup("2001:db8::77")
            assert failed is not None and failed.nud_state == NUD_FAILED
            assert not any(entry.nud_state & NUD_INCOMPLETE for entry in table.ndisc.entries())
            groups = {format_ip(entry.key) for entry in table.ndisc.entries() if entry.key[0] == 0xFF}
            assert "ff02::1:ff00:77" in groups
