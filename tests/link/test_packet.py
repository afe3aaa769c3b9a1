from __future__ import annotations

import errno
import gc
import os
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from neighio.errors import InvalidAddress, NeighioError, NotPermitted
from neighio.link import af_packet
from neighio.link.base import FrameTooLong, Link, LinkBusy, LinkDown, LinkGone, Selection
from neighio.link.packet import PacketLink, open_packet_link
from neighio.testing.packet_socket import (
    PACKET_BROADCAST,
    PACKET_OUTGOING,
    FakeInterface,
    FakePacketSocket,
)

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
ALL = (ARP, IPV6, IPV4)
OWN = bytes.fromhex("020000000001")
HOST_ROLE = bytes.fromhex("020000000077")
PEER = bytes.fromhex("020000000002")
BROADCAST = b"\xff" * 6
GROUP = bytes.fromhex("3333ff000001")
OWN_IP = bytes([198, 51, 100, 1])
HOST = Selection(ipv4=frozenset((OWN_IP,)), host=True)
PACKETS = Selection(ipv4=frozenset((OWN_IP,)), host=True, packets=True)


def frame(n: int = 0, *, dst: bytes = OWN, ethertype: int = ARP) -> bytes:
    return dst + PEER + ethertype.to_bytes(2, "big") + n.to_bytes(28, "big")


def ipv6(n: int, *, next_header: int = 58, kind: int = 135, dst: bytes = OWN) -> bytes:
    header = bytes([0x60, 0, 0, 0, 0, 8, next_header, 255]) + bytes(32)
    return dst + PEER + b"\x86\xdd" + header + bytes([kind, 0]) + n.to_bytes(6, "big")


def ipv4(n: int, *, protocol: int = 1, dst: bytes = OWN) -> bytes:
    header = bytes([0x45, *bytes(8), protocol, *bytes(6)]) + OWN_IP
    return dst + PEER + b"\x08\x00" + header + n.to_bytes(8, "big")


def opened(interface: FakeInterface, **options: Any) -> PacketLink:
    return open_packet_link(interface, socket_factory=interface.socket, **options)


def drain(link: PacketLink) -> list[bytes]:
    frames = []
    while (one := link.receive()) is not None:
        frames.append(one)
    return frames


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


class Scene:
    """Opens links, and closes them when the test is over."""

    def __init__(self) -> None:
        self.interface = FakeInterface()

    def open(self, **options: Any) -> PacketLink:
        return opened(self.interface, **options)


@pytest.fixture
def scene() -> Any:
    scene = Scene()
    yield scene
    for one in scene.interface.sockets:
        one.close()


def test_a_packet_link_is_a_link_with_the_interfaces_facts(scene: Scene) -> None:
    link = scene.open()
    assert isinstance(link, Link)
    assert (link.name, link.index, link.lladdr, link.broadcast, link.mtu, link.flags) == (
        "fake0",
        1,
        OWN,
        BROADCAST,
        1500,
        scene.interface.flags,
    )


def test_facts_are_replaced_when_rtnetlink_says_so_but_not_a_given_address(scene: Scene) -> None:
    own, given = scene.open(), scene.open(lladdr=HOST_ROLE)
    renamed = FakeInterface(name="wan0", lladdr=PEER, mtu=9000)
    own.update(renamed)
    given.update(renamed)
    assert (own.name, own.lladdr, own.mtu) == ("wan0", PEER, 9000)
    assert (given.name, given.lladdr, given.mtu) == ("wan0", HOST_ROLE, 9000)


def test_a_receiving_socket_is_bound_after_its_filter_is_attached_and_the_sender_to_nothing(
    scene: Scene,
) -> None:
    scene.open(protocols=(ARP, IPV6))
    sender, *receivers = scene.interface.sockets
    assert sender.calls == [("bind", 0)]
    assert [one.calls[-2:] for one in receivers] == [
        [("setsockopt", socket.SOL_SOCKET, af_packet.SO_ATTACH_FILTER), ("bind", protocol)]
        for protocol in (ARP, IPV6)
    ]


def test_frames_of_the_protocol_arrive_in_order(scene: Scene) -> None:
    link = scene.open()
    for n in range(5):
        assert scene.interface.inject(frame(n)) == 1
    assert scene.interface.inject(frame(ethertype=0x0800)) == 0
    assert drain(link) == [frame(n) for n in range(5)]


def test_each_frame_is_a_copy_of_its_own(scene: Scene) -> None:
    link = scene.open()
    scene.interface.inject(frame(1) + b"tail")
    scene.interface.inject(frame(2))
    assert drain(link) == [frame(1) + b"tail", frame(2)]


@pytest.mark.parametrize("lladdr", [None, HOST_ROLE])
@pytest.mark.parametrize("dst", [OWN, BROADCAST])
def test_a_frame_tagged_for_a_vlan_does_not_arrive(scene: Scene, lladdr: bytes | None, dst: bytes) -> None:
    link = scene.open(lladdr=lladdr)
    scene.interface.inject(frame(1, dst=dst), vlan=5)
    scene.interface.inject(frame(2, dst=dst), vlan=0x6000)
    assert drain(link) == [frame(2, dst=dst)]


@pytest.mark.parametrize("lladdr", [None, HOST_ROLE])
def test_what_this_host_sends_does_not_arrive(scene: Scene, lladdr: bytes | None) -> None:
    scene.interface.refused_options.add(af_packet.PACKET_IGNORE_OUTGOING)
    link = scene.open(lladdr=lladdr)
    scene.interface.inject(frame(dst=BROADCAST), packet_type=PACKET_OUTGOING)
    assert link.receive() is None


def test_frames_to_a_given_address_arrive_and_the_interface_is_told_of_it(scene: Scene) -> None:
    link = scene.open(lladdr="02:00:00:00:00:77")
    scene.interface.inject(frame(dst=HOST_ROLE))
    assert drain(link) == [frame(dst=HOST_ROLE)]
    assert scene.interface.memberships == [(af_packet.PACKET_MR_UNICAST, HOST_ROLE)]


def test_frames_to_other_hosts_do_not_arrive_on_the_interfaces_own_address(scene: Scene) -> None:
    link = scene.open()
    assert scene.interface.inject(frame(dst=HOST_ROLE)) == 0
    assert link.receive() is None
    assert scene.interface.memberships == []


def test_an_interface_that_takes_no_second_address_becomes_promiscuous(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FakePacketSocket.setsockopt

    def refuse_unicast(self: FakePacketSocket, level: int, option: int, value: int | bytes) -> None:
        if option == af_packet.PACKET_ADD_MEMBERSHIP and isinstance(value, bytes):
            kind = struct.unpack("=iHH8s", value)[1]
            if kind == af_packet.PACKET_MR_UNICAST:
                raise OSError(errno.EINVAL, "no")
        whole(self, level, option, value)

    monkeypatch.setattr(FakePacketSocket, "setsockopt", refuse_unicast)
    scene.open(lladdr=HOST_ROLE)
    assert scene.interface.memberships == [(af_packet.PACKET_MR_PROMISC, b"")]


def test_who_listens_to_everybody_hears_what_is_for_others(scene: Scene) -> None:
    link = scene.open(promiscuous=True)
    assert scene.interface.memberships == [(af_packet.PACKET_MR_PROMISC, b"")]
    assert scene.interface.inject(frame(dst=HOST_ROLE)) == 1
    assert link.receive() == frame(dst=HOST_ROLE)


def test_groups_are_joined_and_left_as_often(scene: Scene) -> None:
    link = scene.open()
    link.join(GROUP)
    link.join(GROUP)
    link.leave(GROUP)
    assert scene.interface.memberships == [(af_packet.PACKET_MR_MULTICAST, GROUP)]


def test_a_group_that_was_not_joined_can_be_left(scene: Scene) -> None:
    scene.open().leave(GROUP)
    assert scene.interface.memberships == []


@pytest.mark.parametrize("group", [OWN, b"", b"\x33\x33\xff", bytes(7)])
def test_a_group_that_is_none_is_neither_joined_nor_left(scene: Scene, group: bytes) -> None:
    link = scene.open()
    for call in (link.join, link.leave):
        with pytest.raises(InvalidAddress, match="group: "):
            call(group)
    assert scene.interface.memberships == []


async def test_closing_leaves_every_group_and_gives_the_address_back(scene: Scene) -> None:
    link = scene.open(lladdr=HOST_ROLE)
    link.join(GROUP)
    assert [len(one.memberships) for one in scene.interface.sockets] == [2, 0]
    await link.aclose()
    assert scene.interface.memberships == []


def test_joining_on_a_vanished_interface_says_gone(scene: Scene) -> None:
    link = scene.open()
    link.update(FakeInterface(index=2))
    with pytest.raises(LinkGone):
        link.join(GROUP)


def test_protocols_are_drained_in_turn(scene: Scene) -> None:
    link = scene.open(protocols=(ARP, IPV6))
    for n in range(3):
        scene.interface.inject(frame(n))
    for n in range(3):
        scene.interface.inject(frame(n, ethertype=IPV6))
    kinds = [int.from_bytes(one[12:14], "big") for one in drain(link)]
    assert kinds == [ARP, IPV6] * 3


@pytest.mark.parametrize("busy", ALL)
def test_a_flood_of_one_protocol_delays_the_others_by_a_frame_each(scene: Scene, busy: int) -> None:
    link = scene.open(protocols=ALL, selection=HOST)
    makers = {ARP: frame, IPV6: ipv6, IPV4: ipv4}
    for n in range(20):
        scene.interface.inject(makers[busy](n))
    for protocol in set(ALL) - {busy}:
        scene.interface.inject(makers[protocol](0))
    kinds = [int.from_bytes(one[12:14], "big") for one in drain(link)]
    assert set(kinds[:3]) == set(ALL)
    assert kinds[3:] == [busy] * 19


def test_a_client_hears_of_ipv6_neighbour_discovery_and_of_ipv4_nothing(scene: Scene) -> None:
    link = scene.open(protocols=ALL)
    assert link.selection == Selection()
    for one in (ipv6(1), ipv6(2, kind=128), ipv6(3, next_header=17), ipv4(4), frame(5)):
        scene.interface.inject(one)
    assert sorted(drain(link)) == sorted([ipv6(1), frame(5)])


@pytest.mark.parametrize("lladdr", [None, HOST_ROLE])
def test_a_selection_can_be_given_and_changed_and_what_both_take_goes_on_arriving(
    scene: Scene, lladdr: bytes | None
) -> None:
    dst = OWN if lladdr is None else lladdr
    link = scene.open(protocols=ALL, lladdr=lladdr, selection=HOST)
    heard = []
    for n, selection in enumerate((HOST, PACKETS, HOST, Selection(), HOST)):
        link.select(selection)
        assert link.selection == selection
        sent = [
            ipv6(n, dst=dst),
            ipv6(n, kind=128, dst=dst),
            ipv6(n, next_header=17, dst=dst),
            ipv4(n, dst=dst),
            ipv4(n, protocol=17, dst=dst),
            frame(n, dst=dst),
        ]
        for one in sent:
            scene.interface.inject(one)
        arrived = set(drain(link))
        heard.append([one in arrived for one in sent])
    host = [True, True, False, True, False, True]
    client = [True, False, False, False, False, True]
    assert heard == [host, [True] * 6, host, client, host]


def test_what_arrived_before_the_selection_changed_stays_readable(scene: Scene) -> None:
    link = scene.open(protocols=ALL, selection=PACKETS)
    scene.interface.inject(ipv6(1, next_header=17))
    link.select(Selection())
    assert drain(link) == [ipv6(1, next_header=17)]


def test_only_sockets_for_which_it_means_another_filter_are_given_one(scene: Scene) -> None:
    link = scene.open(protocols=ALL, selection=HOST)
    attach = ("setsockopt", socket.SOL_SOCKET, af_packet.SO_ATTACH_FILTER)

    def attached() -> list[int]:
        return [one.calls.count(attach) for one in scene.interface.sockets]

    seen = [attached()]
    for selection in (HOST, PACKETS, Selection(ipv4=frozenset((OWN_IP,)), packets=True)):
        link.select(selection)
        seen.append(attached())
    # The sender, then ARP, IPv6 and IPv4.
    assert seen == [[0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 2, 2], [0, 1, 2, 2]]


def test_a_partial_checksum_is_reported_with_its_frame(scene: Scene) -> None:
    link = scene.open(protocols=(ARP, IPV6))
    seen = []
    for status in (0, af_packet.TP_STATUS_CSUMNOTREADY, 0):
        scene.interface.inject(frame(ethertype=IPV6), status=status)
        link.receive()
        seen.append(link.partial_checksum)
    assert seen == [False, True, False]
    scene.interface.inject(frame(ethertype=IPV6), status=af_packet.TP_STATUS_CSUMNOTREADY)
    link.receive()
    scene.interface.inject(frame())
    link.receive()
    assert link.partial_checksum is False


def test_what_is_sent_reaches_the_interface(scene: Scene) -> None:
    link = scene.open()
    link.send(frame())
    link.send(frame(ethertype=0x0800))
    assert list(scene.interface.sent) == [frame(), frame(ethertype=0x0800)]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.EAGAIN, LinkBusy),
        (errno.ENOBUFS, LinkBusy),
        (errno.ENOMEM, LinkBusy),
        (errno.ENETDOWN, LinkDown),
        (errno.ENXIO, LinkGone),
        (errno.ENODEV, LinkGone),
    ],
)
def test_an_error_of_sending_has_the_contracts_name_and_the_next_frame_its_own_chance(
    scene: Scene, code: int, error: type[Exception]
) -> None:
    link = scene.open()
    scene.interface.fail_sends(code)
    with pytest.raises(error, match="fake0"):
        link.send(frame(1))
    link.send(frame(2))
    assert list(scene.interface.sent) == [frame(2)]


def test_a_frame_over_the_mtu_is_refused_with_both_lengths(scene: Scene) -> None:
    link = scene.open()
    link.send(bytes(1514))
    with pytest.raises(FrameTooLong, match="1515 octets, at most 1514"):
        link.send(bytes(1515))


async def test_an_error_that_the_contract_does_not_know_is_left_as_it_is(scene: Scene) -> None:
    link = scene.open()
    scene.interface.fail_sends(errno.EINVAL)
    with pytest.raises(OSError, match="Invalid argument") as sending:
        link.send(b"")
    assert sending.value.errno == errno.EINVAL
    scene.interface.inject_error(errno.EIO)
    with pytest.raises(OSError, match="error") as receiving:
        link.receive()
    assert receiving.value.errno == errno.EIO
    # The errors hold this frame, and it the link.
    await link.aclose()


@pytest.mark.parametrize("protocols", [(ARP,), (ARP, IPV6)])
def test_going_down_is_reported_once_for_each_time_however_many_sockets_say_so(
    scene: Scene, protocols: tuple[int, ...]
) -> None:
    link = scene.open(protocols=protocols)
    for n in range(3):
        scene.interface.inject_error(errno.ENETDOWN)
        with pytest.raises(LinkDown):
            link.receive()
        assert link.receive() is None
        scene.interface.inject(frame(n))
        assert drain(link) == [frame(n)]


@pytest.mark.parametrize("code", [errno.ENXIO, errno.ENODEV])
def test_an_interface_that_vanished_says_gone(scene: Scene, code: int) -> None:
    link = scene.open()
    scene.interface.inject_error(code)
    with pytest.raises(LinkGone):
        link.receive()


def test_frames_that_found_the_socket_full_are_counted(scene: Scene) -> None:
    link = scene.open()
    injected = 0
    while scene.interface.inject(frame()):
        injected += 1
    assert injected > 0
    assert (link.statistics().received, link.statistics().dropped) == (injected, 1)
    scene.interface.inject(frame())
    assert (link.statistics().received, link.statistics().dropped) == (injected, 2)


@pytest.mark.parametrize("kind", [65534, 512, 256])
def test_an_interface_without_an_ethernet_header_is_refused(scene: Scene, kind: int) -> None:
    scene.interface.type = kind
    with pytest.raises(InvalidAddress, match=f"fake0 has no Ethernet header.*{kind}"):
        scene.open()
    assert scene.interface.sockets == []


@pytest.mark.parametrize("lladdr", ["02:00", "no address", GROUP, BROADCAST, bytes(6)])
def test_an_address_that_does_not_fit_is_refused(scene: Scene, lladdr: str | bytes) -> None:
    with pytest.raises(InvalidAddress, match="lladdr: "):
        scene.open(lladdr=lladdr)
    assert scene.interface.sockets == []


def test_no_protocol_at_all_is_refused(scene: Scene) -> None:
    with pytest.raises(ValueError, match="protocols"):
        scene.open(protocols=())


def raising(code: int) -> Callable[[], FakePacketSocket]:
    def factory() -> FakePacketSocket:
        raise OSError(code, os.strerror(code))

    return factory


@pytest.mark.parametrize("code", [errno.EPERM, errno.EACCES])
def test_without_the_capability_the_error_names_it_and_two_ways_to_the_same_device(code: int) -> None:
    with pytest.raises(NotPermitted) as caught:
        open_packet_link(FakeInterface(), socket_factory=raising(code))
    text = str(caught.value)
    for needed in (
        "CAP_NET_RAW",
        "`sudo`",
        "`sudo setpriv --reuid=$USER --init-groups --inh-caps=+net_raw --ambient-caps=+net_raw",
        "`unshare -Urn`",
        "fake0",
    ):
        assert needed in text
    assert caught.value.errno == errno.EPERM


def test_off_linux_opening_says_so_and_importing_does_not_mind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_PACKET", raising=False)
    with pytest.raises(NeighioError, match="Linux only"):
        open_packet_link(FakeInterface())


def test_a_failed_opening_closes_what_it_opened(scene: Scene) -> None:
    name = scene.interface.name

    def factory() -> FakePacketSocket:
        if len(scene.interface.sockets) == 1:
            scene.interface.name = "renamed"
        return scene.interface.socket()

    with pytest.raises(LinkGone, match=name):
        open_packet_link(FakeInterface(), socket_factory=factory)
    assert [one.calls[-1] for one in scene.interface.sockets] == [("close",), ("close",)]


@pytest.mark.parametrize("protocols", [(ARP,), (ARP, IPV6)])
async def test_waiting_ends_with_a_frame_of_any_protocol(scene: Scene, protocols: tuple[int, ...]) -> None:
    link = scene.open(protocols=protocols)
    for protocol in protocols:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.wait_readable)
            await trio.testing.wait_all_tasks_blocked()
            assert link.statistics().tasks_waiting == 1
            scene.interface.inject(frame(ethertype=protocol))
        assert drain(link) == [frame(ethertype=protocol)]
    assert link.statistics().tasks_waiting == 0


@pytest.mark.parametrize("protocols", [(ARP,), (ARP, IPV6)])
async def test_waiting_is_a_checkpoint_also_when_readable(scene: Scene, protocols: tuple[int, ...]) -> None:
    link = scene.open(protocols=protocols)
    scene.interface.inject(frame())
    with trio.testing.assert_checkpoints():
        await link.wait_readable()


@pytest.mark.parametrize("protocols", [(ARP,), (ARP, IPV6)])
async def test_a_cancelled_wait_leaves_the_link_usable(scene: Scene, protocols: tuple[int, ...]) -> None:
    link = scene.open(protocols=protocols)
    with trio.CancelScope() as scope:
        scope.cancel()
        await link.wait_readable()
    assert scope.cancelled_caught
    scene.interface.inject(frame())
    await link.wait_readable()
    assert drain(link) == [frame()]


@pytest.mark.parametrize("protocols", [(ARP,), (ARP, IPV6)])
async def test_a_second_waiter_is_refused_and_the_first_goes_on(
    scene: Scene, protocols: tuple[int, ...]
) -> None:
    link = scene.open(protocols=protocols)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.wait_readable)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await link.wait_readable()
        scene.interface.inject(frame())


@pytest.mark.parametrize("protocols", [(ARP,), (ARP, IPV6)])
async def test_closing_wakes_the_waiter_and_everything_says_gone(
    scene: Scene, protocols: tuple[int, ...]
) -> None:
    link = scene.open(protocols=protocols)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.wait_readable)
        await trio.testing.wait_all_tasks_blocked()
        await link.aclose()
    calls: list[Callable[[], object]] = [
        link.receive,
        lambda: link.send(frame()),
        lambda: link.join(GROUP),
        lambda: link.leave(GROUP),
        lambda: link.select(HOST),
    ]
    for call in calls:
        with pytest.raises(LinkGone):
            call()
    with trio.testing.assert_checkpoints():
        await link.wait_readable()
    with trio.testing.assert_checkpoints():
        await link.aclose()


async def test_a_wait_that_begins_while_the_link_is_closed_ends() -> None:
    for _ in range(20):
        link = opened(FakeInterface(), protocols=(ARP, IPV6))
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(link.wait_readable)
                await trio.lowlevel.checkpoint()
                await link.aclose()


async def test_figures_stay_readable_after_closing(scene: Scene) -> None:
    link = scene.open()
    scene.interface.inject(frame())
    assert link.statistics().received == 1
    await link.aclose()
    assert link.statistics().received == 1


async def test_closing_when_cancelled_is_complete_and_no_descriptor_is_left() -> None:
    await trio.to_thread.run_sync(lambda: None)
    gc.collect()
    before = descriptors()
    for _ in range(5):
        interface = FakeInterface()
        link = opened(interface, protocols=(ARP, IPV6))
        with trio.CancelScope() as scope:
            scope.cancel()
            await link.aclose()
        assert scope.cancelled_caught
        assert [one.calls[-1] for one in interface.sockets] == [("close",)] * 3
    assert descriptors() == before


async def test_closing_does_not_wait_for_other_threads(scene: Scene) -> None:
    limiter = trio.to_thread.current_default_thread_limiter()
    link = scene.open()
    borrowers = [object() for _ in range(int(limiter.total_tokens))]
    for borrower in borrowers:
        limiter.acquire_on_behalf_of_nowait(borrower)
    try:
        await link.aclose()
    finally:
        for borrower in borrowers:
            limiter.release_on_behalf_of(borrower)
    assert [one.calls[-1] for one in scene.interface.sockets] == [("close",)] * 2


def test_a_fake_socket_receives_with_the_five_fields_of_an_address(scene: Scene) -> None:
    scene.open()
    scene.interface.inject(frame(dst=BROADCAST))
    received, _, _, address = scene.interface.sockets[1].recvmsg(2048, 0)
    assert received == frame(dst=BROADCAST)
    assert address == ("fake0", ARP, PACKET_BROADCAST, 1, PEER)
