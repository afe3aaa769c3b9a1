"""TAP devices: what the running kernel sends to a host in user space, and what it hears from it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from neighio.address import parse_ip
from neighio.core.constants import IFF_LOWER_UP, IFF_UP, NUD_REACHABLE
from neighio.errors import InvalidAddress
from neighio.kernel import requests
from neighio.kernel.netlink import open_netlink
from neighio.kernel.rtnetlink import LinkMessage, NeighbourMessage, decode
from neighio.kernel.uapi import RTNLGRP_NEIGH
from neighio.link.base import FrameTooLong, LinkDown, LinkGone
from neighio.link.tap import TapLink, open_tap
from neighio.testing.isolation import in_namespace
from neighio.testing.namespace import Here
from neighio.wire import arp, ipv6, ndisc
from neighio.wire.ethernet import BROADCAST, build, ipv6_multicast_lladdr

from ..tun import require_tun

OWN = bytes.fromhex("020000000077")
GROUP = bytes.fromhex("333300abcdef")
KERNEL_IP, OWN_IP = parse_ip("198.51.100.1")[0], parse_ip("198.51.100.2")[0]
KERNEL_IP6, OWN_IP6 = parse_ip("2001:db8::1")[0], parse_ip("2001:db8::2")[0]
OURS_TO_SAY = bytes(12) + b"\x88\xb5" + bytes(46)


@pytest.fixture(autouse=True)
def tun() -> None:
    require_tun()


@asynccontextmanager
async def opened(*, up: bool = True, **options: Any) -> AsyncIterator[tuple[TapLink, Callable[[], None]]]:
    """Open a TAP link on an interface that says nothing by itself; give it, and what updates it."""
    link = open_tap(lladdr=OWN, **options)

    def update() -> None:
        (reply,) = Here().request(requests.get_link(link.index))
        facts = decode(reply)
        assert isinstance(facts, LinkMessage)
        link.update(facts)

    try:
        for key, value in (
            ("addr_gen_mode", 1),
            ("accept_ra", 0),
            ("autoconf", 0),
            ("router_solicitations", 0),
        ):
            Here().sysctl(f"net/ipv6/conf/{link.name}/{key}", value)
        if up:
            Here().set_link(link.name, up=True)
            update()
            assert downs(link) == 1
        yield link, update
    finally:
        await link.aclose()


def downs(link: TapLink) -> int:
    """Read until nothing is left, and return how often the link said that it is down."""
    found = 0
    while True:
        try:
            if link.receive() is None:
                return found
        except LinkDown:
            found += 1


async def receive(link: TapLink, wanted: Callable[[bytes], object]) -> bytes:
    """Wait for a frame of that kind; what else the kernel has to say is passed over."""
    with trio.fail_after(10):
        while True:
            frame = link.receive()
            if frame is None:
                await link.wait_readable()
            elif wanted(frame):
                return frame


async def wait_gone(link: TapLink) -> None:
    with trio.fail_after(10):
        while True:
            await link.wait_readable()
            try:
                while link.receive() is not None:
                    pass
            except LinkGone:
                return


async def wait_reachable(changes: Any, ip: bytes) -> bytes | None:
    """Wait until the kernel says that a neighbour is REACHABLE, and return its link-layer address."""
    with trio.fail_after(10):
        while True:
            for message in map(decode, await changes.receive()):
                if (
                    isinstance(message, NeighbourMessage)
                    and message.ip == ip
                    and message.state == NUD_REACHABLE
                ):
                    return message.lladdr


def is_arp(frame: bytes) -> bool:
    return frame[12:14] == b"\x08\x06"


def is_solicitation(frame: bytes) -> bool:
    return isinstance(ndisc.parse(frame), ndisc.Solicitation)


@in_namespace
async def test_the_kernel_asks_by_arp_and_an_answer_makes_the_neighbour_reachable() -> None:
    async with opened() as (link, _):
        Here().add_address(link.name, "198.51.100.1/24")
        kernels = Here().link(link.name).lladdr
        with (
            open_netlink((RTNLGRP_NEIGH,)) as changes,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker,
        ):
            asker.sendto(b"x", ("198.51.100.2", 9))
            request = await receive(link, is_arp)
            assert request[:12] == BROADCAST + kernels
            assert arp.parse(request) == (arp.ARPOP_REQUEST, KERNEL_IP, kernels, OWN_IP, bytes(6))
            link.send(arp.build(arp.ARPOP_REPLY, OWN_IP, OWN, KERNEL_IP, kernels, dst=kernels, src=OWN))
            assert await wait_reachable(changes, OWN_IP) == OWN
        packet = await receive(link, lambda frame: frame[12:14] == b"\x08\x00")
        assert packet[:12] == OWN + kernels
        assert packet.endswith(b"x")


@in_namespace
async def test_the_kernel_asks_by_neighbour_discovery_and_an_answer_makes_the_neighbour_reachable() -> None:
    async with opened() as (link, _):
        Here().add_address(link.name, "2001:db8::1/64")
        kernels = Here().link(link.name).lladdr
        with (
            open_netlink((RTNLGRP_NEIGH,)) as changes,
            socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as asker,
        ):
            asker.sendto(b"x", ("2001:db8::2", 9))
            solicitation = await receive(link, is_solicitation)
            assert solicitation[:12] == ipv6_multicast_lladdr(ipv6.solicited_node(OWN_IP6)) + kernels
            answer = ndisc.build_advertisement(
                OWN_IP6, KERNEL_IP6, OWN_IP6, OWN, router=False, solicited=True, override=True
            )
            link.send(build(kernels, OWN, 0x86DD, answer))
            assert await wait_reachable(changes, OWN_IP6) == OWN
        packet = await receive(link, lambda frame: frame[12:14] == b"\x86\xdd" and frame[20] == 17)
        assert packet[:12] == OWN + kernels
        # No checksum is left to a card: partial_checksum is right in being False.
        assert ipv6.checksum(KERNEL_IP6, OWN_IP6, 17, packet[54:]) == 0


@in_namespace
async def test_the_kernel_answers_what_it_is_asked() -> None:
    async with opened() as (link, _):
        Here().add_address(link.name, "198.51.100.1/24")
        kernels = Here().link(link.name).lladdr
        link.send(arp.build(arp.ARPOP_REQUEST, OWN_IP, OWN, KERNEL_IP, bytes(6), dst=BROADCAST, src=OWN))
        reply = await receive(link, is_arp)
        assert arp.parse(reply) == (arp.ARPOP_REPLY, KERNEL_IP, kernels, OWN_IP, OWN)


@in_namespace
async def test_whatever_the_kernel_sends_arrives_with_its_tag_in_its_place() -> None:
    async with opened() as (link, _):
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
            wire.bind((link.name, 0))
            for dst in (OWN, BROADCAST, GROUP, b"\x02" * 6):
                for tag in (b"", b"\x81\x00\x00\x05", b"\x88\xa8\x00\x05\x81\x00\x00\x07"):
                    frame = dst + OURS_TO_SAY[6:12] + tag + OURS_TO_SAY[12:]
                    wire.send(frame)
                    assert await receive(link, lambda one: one.endswith(OURS_TO_SAY[12:])) == frame


@in_namespace
async def test_what_is_sent_arrives_at_the_interface_and_not_again_at_the_link() -> None:
    async with opened() as (link, _):
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
            wire.bind((link.name, 0x88B5))
            wire.settimeout(10)
            link.send(OURS_TO_SAY)
            assert wire.recv(2048) == OURS_TO_SAY
            wire.send(OURS_TO_SAY + b"marker")
        assert (await receive(link, lambda one: one[12:14] == b"\x88\xb5")).endswith(b"marker")


@in_namespace
async def test_a_link_says_what_rtnetlink_says_but_for_its_address_and_its_first_flags() -> None:
    async with opened(name="mine", mtu=9000, up=False) as (link, update):
        facts = Here().link("mine")
        assert (facts.kind, facts.mtu, facts.flags & IFF_UP) == ("tun", 9000, 0)
        assert (link.name, link.index, link.mtu, link.broadcast) == (
            "mine",
            facts.index,
            9000,
            facts.broadcast,
        )
        assert link.flags & (IFF_UP | IFF_LOWER_UP) == IFF_UP | IFF_LOWER_UP
        update()
        assert link.flags == facts.flags
        Here().set_link("mine", rename="wan0", mtu=1280)
        Here().set_link("wan0", up=True)
        update()
        assert (link.name, link.index, link.mtu, link.lladdr) == ("wan0", facts.index, 1280, OWN)
        assert link.flags & (IFF_UP | IFF_LOWER_UP) == IFF_UP | IFF_LOWER_UP


@in_namespace
async def test_an_address_that_was_not_given_is_a_random_local_one_and_not_the_interfaces() -> None:
    links = [open_tap() for _ in range(8)]
    try:
        assert len({link.name for link in links}) == len({link.index for link in links}) == 8
        assert {link.lladdr[0] & 3 for link in links} == {2}
        interfaces = {Here().link(link.name).lladdr for link in links}
        assert len({link.lladdr for link in links} | interfaces) == 16
    finally:
        for link in links:
            await link.aclose()


@in_namespace
async def test_a_frame_over_the_mtu_is_refused_which_the_kernel_would_take() -> None:
    async with opened() as (link, _):
        link.send(OURS_TO_SAY.ljust(1514, b"\0"))
        with pytest.raises(FrameTooLong, match="1515 octets, at most 1514"):
            link.send(OURS_TO_SAY.ljust(1515, b"\0"))


@in_namespace
async def test_down_is_said_at_opening_and_once_for_each_time_and_the_link_works_when_up_again() -> None:
    async with opened(up=False) as (link, update):
        assert [downs(link), downs(link)] == [1, 0]
        for update_first in (False, True, False):
            for _ in range(2):
                with pytest.raises(LinkDown):
                    link.send(OURS_TO_SAY)
            update()
            assert downs(link) == 0
            Here().set_link(link.name, up=True)
            update()
            link.send(OURS_TO_SAY)
            Here().set_link(link.name, up=False)
            if update_first:
                update()
            else:
                with pytest.raises(LinkDown):
                    link.send(OURS_TO_SAY)
            assert [downs(link), downs(link)] == [1, 0]


@in_namespace
async def test_a_removed_interface_wakes_the_waiter_and_is_gone_for_ever() -> None:
    async with opened() as (link, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait_gone, link)
            Here().delete_link(link.name)
        for call in (link.receive, lambda: link.send(OURS_TO_SAY)):
            for _ in range(2):
                with pytest.raises(LinkGone):
                    call()
        await link.wait_readable()


@in_namespace
async def test_closing_removes_what_was_made_and_gives_the_descriptor_back() -> None:
    before = len(os.listdir("/proc/self/fd"))
    link = open_tap("mine")
    assert len(os.listdir("/proc/self/fd")) == before + 1
    with trio.CancelScope() as scope:
        scope.cancel()
        await link.aclose()
    assert scope.cancelled_caught
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(OSError, match="No such device"):
        Here().link("mine")


@in_namespace
async def test_what_cannot_be_opened_is_refused_and_leaves_nothing_behind() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(InvalidAddress, match="device: lo is there, and is no TAP device"):
        open_tap("lo")
    async with opened(name="mine") as (link, _):
        with pytest.raises(InvalidAddress, match="device: mine is in use by another program"):
            open_tap("mine")
        assert len(os.listdir("/proc/self/fd")) == before + 1
        assert link.receive() is None
    assert len(os.listdir("/proc/self/fd")) == before


# A TAP device that stays without a program, as `ip tuntap add` makes it, is one with TUNSETPERSIST.
TUNSETPERSIST = 0x400454CB


@in_namespace
async def test_a_device_that_stays_can_be_opened_again_but_not_with_its_own_address() -> None:
    import fcntl

    async with opened(name="mine") as (link, _):
        fcntl.ioctl(link._device, TUNSETPERSIST, 1)
    facts = Here().link("mine")
    with pytest.raises(InvalidAddress, match=r"lladdr: .* is the address of the other end, mine"):
        open_tap("mine", lladdr=facts.lladdr)
    again = open_tap("mine", lladdr=OWN)
    assert (again.index, again.lladdr) == (facts.index, OWN)
    # Its interface was left up.
    assert again.receive() is None
    again.send(OURS_TO_SAY)
    await again.aclose()
    Here().delete_link("mine")


# In a user namespace of its own a process has no capability over the network namespace that it came from.
OPEN_WITHOUT_CAPABILITY = """
import ctypes
assert ctypes.CDLL(None).unshare(0x10000000) == 0, "unshare(CLONE_NEWUSER)"
from neighio.errors import NotPermitted
from neighio.link.tap import open_tap
try:
    open_tap("mine")
except NotPermitted as error:
    print(error)
"""


@in_namespace
def test_without_the_capability_opening_is_not_permitted() -> None:
    said = subprocess.run(
        [sys.executable, "-c", OPEN_WITHOUT_CAPABILITY], capture_output=True, text=True, check=True
    )
    assert "opening the TAP device mine needs the capability CAP_NET_ADMIN" in said.stdout
