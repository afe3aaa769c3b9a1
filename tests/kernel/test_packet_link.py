"""The packet link on real devices: what the kernel hands over, and what it says when a device goes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from neighio.link import bpf
from neighio.link.base import FrameTooLong, LinkDown, LinkGone, Selection
from neighio.link.packet import PacketLink, open_packet_link
from neighio.testing.isolation import in_namespace
from neighio.testing.namespace import Here, Peer, connect
from neighio.testing.packet_socket import PACKET_HOST, PACKET_MULTICAST, PACKET_OTHERHOST, run_filter
from neighio.wire import arp

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
NEAR = bytes.fromhex("02000000000a")
FAR = bytes.fromhex("02000000000b")
HOST_ROLE = bytes.fromhex("020000000077")
BROADCAST = b"\xff" * 6
GROUP = bytes.fromhex("333300abcdef")
NEAR_IP, FAR_IP = bytes([198, 51, 100, 1]), bytes([198, 51, 100, 2])
ALL = (ARP, IPV6, IPV4)
HOST = Selection(ipv4=frozenset((NEAR_IP,)), host=True)
PACKETS = Selection(ipv4=frozenset((NEAR_IP,)), host=True, packets=True)


def request(dst: bytes, *, tag: bytes = b"", spa: bytes = FAR_IP) -> bytes:
    """Return an ARP request from the far end, with a VLAN tag or without."""
    frame = arp.build(1, spa, FAR, NEAR_IP, bytes(6), dst=dst, src=FAR)
    return frame[:12] + tag + frame[12:]


@asynccontextmanager
async def veth(**options: Any) -> AsyncIterator[tuple[PacketLink, Peer, socket.socket]]:
    """Open a packet link on one end of a pair; give it, the peer and a raw socket on the other end."""
    with Peer.start() as peer:
        here, _ = connect(Here(), peer, "va", "vb", lladdr=NEAR.hex(":"), far_lladdr=FAR.hex(":"))
        with peer.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("vb", 0))
            link = open_packet_link(here, **options)
            try:
                yield link, peer, wire
            finally:
                await link.aclose()


async def receive(link: PacketLink) -> bytes:
    with trio.fail_after(10):
        while True:
            frame = link.receive()
            if frame is not None:
                return frame
            await link.wait_readable()


async def wait_down(link: PacketLink) -> None:
    with trio.fail_after(10):
        while True:
            try:
                link.receive()
            except LinkDown:
                return
            await link.wait_readable()


async def hear_again(link: PacketLink, wire: socket.socket) -> None:
    """Send from the far end until a frame arrives: a device that comes up drops frames for a while."""
    with trio.fail_after(10):
        while link.receive() != request(NEAR):
            wire.send(request(NEAR))
            with trio.move_on_after(0.05):
                await link.wait_readable()


def drain(link: PacketLink) -> None:
    while link.receive() is not None:
        pass


@in_namespace
async def test_the_far_kernel_answers_a_request_that_was_sent() -> None:
    async with veth() as (link, peer, _):
        peer.add_address("vb", "198.51.100.2/24")
        link.send(arp.build(1, bytes(4), NEAR, FAR_IP, bytes(6), dst=BROADCAST, src=NEAR))
        assert arp.parse(await receive(link)) == (2, FAR_IP, FAR, bytes(4), NEAR)


@pytest.mark.parametrize("lladdr", [None, HOST_ROLE])
@in_namespace
async def test_no_frame_of_a_vlan_arrives_whatever_its_destination(lladdr: bytes | None) -> None:
    async with veth(lladdr=lladdr) as (link, _, wire):
        own = NEAR if lladdr is None else lladdr
        wanted = []
        for n, dst in enumerate((BROADCAST, own, b"\x01" + own[1:])):
            for tag in (
                b"\x81\x00\x00\x05",
                b"\x81\x00\xe0\x05",
                b"\x88\xa8\x00\x05",
                b"\x81\x00\x00\x00\x81\x00\x00\x05",
            ):
                wire.send(request(dst, tag=tag))
            wanted.append(request(dst, spa=bytes([198, 51, 100, 100 + n])))
            wire.send(wanted[-1])
        assert [await receive(link) for _ in wanted] == wanted
        assert link.receive() is None


@pytest.mark.parametrize("lladdr", [None, HOST_ROLE])
@in_namespace
async def test_a_priority_tag_without_a_vlan_is_no_obstacle(lladdr: bytes | None) -> None:
    async with veth(lladdr=lladdr) as (link, _, wire):
        wire.send(request(BROADCAST, tag=b"\x81\x00\x60\x00"))
        assert await receive(link) == request(BROADCAST)


@pytest.mark.parametrize("lladdr", [None, HOST_ROLE])
@in_namespace
async def test_neither_what_was_sent_here_nor_other_protocols_arrive(lladdr: bytes | None) -> None:
    async with veth(lladdr=lladdr) as (link, _, wire):
        link.send(arp.build(1, NEAR_IP, NEAR, FAR_IP, bytes(6), dst=BROADCAST, src=NEAR))
        wire.send(BROADCAST + FAR + b"\x88\xb5" + bytes(46))
        wire.send(request(BROADCAST))
        assert await receive(link) == request(BROADCAST)
        assert link.receive() is None
        assert link.statistics().received == 1


@in_namespace
async def test_another_address_than_the_interfaces_receives_its_frames() -> None:
    async with veth(lladdr=HOST_ROLE) as (link, _, wire):
        wire.send(request(HOST_ROLE))
        assert await receive(link) == request(HOST_ROLE)


@in_namespace
async def test_frames_to_others_stay_away_from_the_interfaces_own_address() -> None:
    async with veth() as (link, _, wire):
        wire.send(request(HOST_ROLE))
        wire.send(request(NEAR))
        assert await receive(link) == request(NEAR)
        assert link.receive() is None


@in_namespace
async def test_the_far_end_sees_each_frame_under_its_own_ethertype() -> None:
    async with veth() as (link, peer, _):
        with peer.socket(socket.AF_PACKET, socket.SOCK_RAW) as sniffer:
            sniffer.bind(("vb", IPV4))
            frame = FAR + NEAR + b"\x08\x00" + bytes(46)
            link.send(frame)
            sniffer.settimeout(10)
            assert sniffer.recv(2048) == frame


def ipv6(next_header: int, kind: int) -> bytes:
    """Return an IPv6 packet that is no station's here, with the octet ``kind`` where ICMPv6 has its type."""
    return bytes([0x60, 0, 0, 0, 0, 8, next_header, 255]) + bytes(32) + bytes([kind, *bytes(7)])


def ipv4(protocol: int, destination: bytes) -> bytes:
    return bytes([0x45, *bytes(8), protocol, *bytes(6)]) + destination + bytes(8)


PAYLOADS = [
    *(
        (IPV6, ipv6(58, kind))
        for kind in (1, 127, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 138, 143)
    ),
    *((IPV6, ipv6(header, 135)) for header in (0, 6, 17, 43, 44, 50, 59, 60)),
    *((IPV4, ipv4(protocol, ip)) for protocol in (1, 2, 6, 17) for ip in (NEAR_IP, FAR_IP, b"\xff" * 4)),
    (0x88B5, bytes(46)),
]
TAGS = [(b"", None), (b"\x81\x00\x00\x05", 5), (b"\x81\x00\xe0\x00", 0xE000)]


def judged(lladdr: bytes | None, selection: Selection) -> list[tuple[bytes, bytes | None]]:
    """Return frames to send, and of each what the interpreter of neighio.testing lets arrive, or None.

    A socket of one protocol is shown a stripped tag's VLAN by the packet type alone.
    """
    cases = []
    for ethertype, payload in PAYLOADS:
        for dst in (NEAR, HOST_ROLE, GROUP):
            for tag, vlan in TAGS:
                tail = FAR + ethertype.to_bytes(2, "big") + payload + len(cases).to_bytes(2, "big")
                frame = dst + tail
                kind = PACKET_HOST if dst == NEAR else PACKET_MULTICAST if dst == GROUP else PACKET_OTHERHOST
                if lladdr is None and vlan and vlan & bpf.VLAN_ID_MASK:
                    kind = PACKET_OTHERHOST
                program = bpf.frame_filter(ALL, selection, other_hosts=lladdr is not None)
                verdict = run_filter(program, frame, packet_type=kind, vlan=None if lladdr is None else vlan)
                cases.append((frame[:12] + tag + frame[12:], frame if verdict else None))
    return cases


@pytest.mark.parametrize("lladdr", [None, HOST_ROLE])
@in_namespace
async def test_the_kernel_judges_each_frame_as_the_interpreter_does_whatever_is_selected_meanwhile(
    lladdr: bytes | None,
) -> None:
    async with veth(lladdr=lladdr, protocols=ALL) as (link, _, wire):
        for selection in (Selection(), HOST, PACKETS, Selection(ipv4=HOST.ipv4), Selection()):
            link.select(selection)
            cases = judged(lladdr, selection)
            wanted = {arrives for _, arrives in cases if arrives is not None}
            assert 0 < len(wanted) < len(cases)
            for sent, _ in cases:
                wire.send(sent)
            assert {await receive(link) for _ in wanted} == wanted
            # In the same queue as what was sent before, so that nothing of that can still be under way.
            for marker in (request(BROADCAST), BROADCAST + FAR + b"\x86\xdd" + ipv6(44, 0)):
                wire.send(marker)
            assert {await receive(link), await receive(link)} == {request(BROADCAST), marker}
            assert link.receive() is None


@in_namespace
async def test_a_new_selection_loses_nothing_that_both_take() -> None:
    async with veth(protocols=ALL) as (link, _, wire):
        solicitation = NEAR + FAR + b"\x86\xdd" + ipv6(58, 135)
        for n in range(200):
            wire.send(solicitation + n.to_bytes(2, "big"))
            link.select((Selection(), PACKETS)[n & 1])
        heard = [await receive(link) for _ in range(200)]
        assert heard == [solicitation + n.to_bytes(2, "big") for n in range(200)]
        assert link.statistics().received == 200


@pytest.mark.parametrize(
    ("family", "near", "far"), [(4, "198.51.100.1", "198.51.100.2"), (6, "2001:db8::1", "2001:db8::2")]
)
@in_namespace
async def test_a_partial_checksum_of_a_local_peer_is_reported(family: int, near: str, far: str) -> None:
    async with veth(protocols=ALL, selection=PACKETS) as (link, peer, _):
        Here().add_address("va", f"{near}/{24 if family == 4 else 64}")
        peer.add_address("vb", f"{far}/{24 if family == 4 else 64}")
        with peer.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"x", (near, 9))
        partial = []
        while not (frame := await receive(link)).endswith(b"x"):
            partial.append(link.partial_checksum)
        assert link.partial_checksum
        # ARP has none, and Neighbour Discovery's is complete.
        assert partial and not any(partial)
        assert frame[12:14] == (b"\x08\x00" if family == 4 else b"\x86\xdd")


@in_namespace
async def test_a_frame_over_the_mtu_is_refused() -> None:
    async with veth() as (link, _, _):
        link.send(BROADCAST + NEAR + b"\x88\xb5" + bytes(1500))
        with pytest.raises(FrameTooLong, match="1515 octets, at most 1514"):
            link.send(BROADCAST + NEAR + b"\x88\xb5" + bytes(1501))


@pytest.mark.parametrize("protocols", [(ARP,), (ARP, IPV6, IPV4)])
@in_namespace
async def test_down_is_said_once_and_the_link_works_when_the_device_is_up_again(
    protocols: tuple[int, ...],
) -> None:
    async with veth(protocols=protocols) as (link, _, wire):
        for _ in range(2):
            Here().set_link("va", up=False)
            await wait_down(link)
            drain(link)
            with pytest.raises(LinkDown):
                link.send(request(BROADCAST))
            Here().set_link("va", up=True)
            link.send(request(BROADCAST))
            await hear_again(link, wire)


@in_namespace
async def test_a_link_opened_while_the_device_is_down_says_so_once() -> None:
    Here().set_link("lo", up=False)
    link = open_packet_link(Here().link("lo"), protocols=(ARP, IPV6))
    await wait_down(link)
    assert link.receive() is None
    await link.aclose()


@in_namespace
async def test_removal_is_said_as_down_to_the_receiver_and_as_gone_to_the_sender() -> None:
    async with veth() as (link, _, _):
        Here().delete_link("va")
        await wait_down(link)
        for _ in range(2):
            with pytest.raises(LinkGone):
                link.send(request(BROADCAST))
            with pytest.raises(LinkGone):
                link.join(GROUP)


@in_namespace
async def test_the_sockets_follow_the_interface_through_a_renaming() -> None:
    async with veth() as (link, _, wire):
        Here().set_link("va", up=False)
        await wait_down(link)
        Here().set_link("va", rename="wan0")
        Here().set_link("wan0", up=True)
        link.update(Here().link("wan0"))
        assert link.name == "wan0"
        await hear_again(link, wire)


def groups() -> bool:
    return GROUP.hex() in Path("/proc/self/net/dev_mcast").read_text(encoding="ascii")


@in_namespace
async def test_a_group_is_the_devices_until_it_is_left_as_often_as_joined_or_the_link_closed() -> None:
    async with veth() as (link, _, _):
        seen = [groups()]
        for call in (link.join, link.join, link.leave, link.leave, link.join):
            call(GROUP)
            seen.append(groups())
    assert [*seen, groups()] == [False, True, True, True, False, True, False]


@in_namespace
async def test_closing_gives_every_descriptor_back() -> None:
    before = len(os.listdir("/proc/self/fd"))
    link = open_packet_link(Here().link("lo"), protocols=ALL)
    assert len(os.listdir("/proc/self/fd")) == before + 5
    with trio.CancelScope() as scope:
        scope.cancel()
        await link.aclose()
    assert scope.cancelled_caught
    assert len(os.listdir("/proc/self/fd")) == before


@in_namespace
def test_an_interface_that_is_not_there_is_gone() -> None:
    facts = Here().link("lo")
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(LinkGone, match="absent0"):
        open_packet_link(replace(facts, name="absent0"))
    assert len(os.listdir("/proc/self/fd")) == before


# In a user namespace of its own a process has no capability over the network namespace that it came from.
OPEN_WITHOUT_CAPABILITY = """
import ctypes
assert ctypes.CDLL(None).unshare(0x10000000) == 0, "unshare(CLONE_NEWUSER)"
from neighio.errors import NotPermitted
from neighio.link.packet import open_packet_link
from neighio.testing.packet_socket import FakeInterface
try:
    open_packet_link(FakeInterface(name="lo"))
except NotPermitted as error:
    print(error)
"""


@in_namespace
def test_without_the_capability_opening_is_not_permitted() -> None:
    said = subprocess.run(
        [sys.executable, "-c", OPEN_WITHOUT_CAPABILITY], capture_output=True, text=True, check=True
    )
    assert "opening lo needs the capability CAP_NET_RAW" in said.stdout
