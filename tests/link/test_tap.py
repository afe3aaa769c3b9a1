"""A TAP link over a pair of sockets in the device's place; tests/kernel has the device."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from neighio.address import LinkAddress
from neighio.core.constants import IFF_LOWER_UP, IFF_UP
from neighio.errors import InvalidAddress, NeighioError, NotPermitted
from neighio.kernel.netlink import RequestSocket
from neighio.kernel.rtnetlink import LinkMessage
from neighio.link import tap
from neighio.link.base import WORKING_FLAGS, FrameTooLong, Link, LinkBusy, LinkDown, LinkGone
from neighio.link.tap import TapLink, open_tap

if sys.platform != "linux":
    pytest.skip("TAP devices exist on Linux only", allow_module_level=True)

OWN = LinkAddress("02:00:00:00:00:01")
KERNELS = LinkAddress("02:00:00:00:00:02")
BROADCAST = b"\xff" * 6
GROUP = bytes.fromhex("3333ff000001")
UP = LinkMessage(7, "tap0", 1, WORKING_FLAGS, KERNELS, BROADCAST, 1500, True, 6, False, "tun")
DOWN = replace(UP, flags=WORKING_FLAGS & ~IFF_UP)


def frame(n: int = 0, *, length: int = 60) -> bytes:
    return (OWN + KERNELS + b"\x08\x06" + n.to_bytes(4, "big")).ljust(length, b"\0")


class Device(FileIO):
    """One end of a pair of sockets, with errors on request."""

    def __init__(self, end: socket.socket) -> None:
        super().__init__(end.detach(), "r+")
        self.errors: list[int] = []

    def write(self, data: Any) -> Any:
        self._fail()
        return super().write(data)

    def readinto(self, buffer: Any) -> Any:
        self._fail()
        return super().readinto(buffer)

    def _fail(self) -> None:
        if self.errors:
            code = self.errors.pop(0)
            raise OSError(code, os.strerror(code))


class Scene:
    """A link, its device, and the kernel's side of that."""

    def __init__(self, facts: LinkMessage = UP) -> None:
        ours, self.kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.setblocking(False)
        self.kernel.setblocking(False)
        self.device = Device(ours)
        self.link = TapLink(facts, OWN, self.device)

    def close(self) -> None:
        self.device.close()
        self.kernel.close()

    def downs(self) -> int:
        """Read until nothing is left, and return how often the link said that it is down."""
        found = 0
        while True:
            try:
                if self.link.receive() is None:
                    return found
            except LinkDown:
                found += 1


@pytest.fixture
def scene() -> Iterator[Scene]:
    scene = Scene()
    yield scene
    scene.close()


def test_a_tap_link_is_a_link_with_an_address_of_its_own(scene: Scene) -> None:
    link = scene.link
    assert isinstance(link, Link)
    assert (link.name, link.index, link.lladdr, link.broadcast, link.mtu) == ("tap0", 7, OWN, BROADCAST, 1500)
    assert (link.flags, link.partial_checksum) == (WORKING_FLAGS, False)
    assert repr(link) == "<TapLink tap0 02:00:00:00:00:01>"


def test_frames_pass_both_ways_whole_and_in_order(scene: Scene) -> None:
    for n in range(3):
        scene.link.send(frame(n))
        scene.kernel.send(frame(n, length=1514 - n))
    assert [scene.kernel.recv(2048) for _ in range(3)] == [frame(n) for n in range(3)]
    assert [scene.link.receive() for _ in range(4)] == [*(frame(n, length=1514 - n) for n in range(3)), None]
    assert (scene.link.statistics().sent, scene.link.statistics().received) == (3, 3)


def test_the_facts_are_replaced_when_rtnetlink_says_so_but_not_the_address(scene: Scene) -> None:
    flags = WORKING_FLAGS & ~IFF_LOWER_UP
    scene.link.update(replace(UP, name="wan0", mtu=9000, flags=flags, lladdr=OWN))
    assert (scene.link.name, scene.link.mtu, scene.link.flags, scene.link.lladdr) == (
        "wan0",
        9000,
        flags,
        OWN,
    )
    scene.link.send(frame(length=9014))


def test_a_frame_over_the_mtu_is_refused_with_both_lengths(scene: Scene) -> None:
    scene.link.send(frame(length=1514))
    with pytest.raises(FrameTooLong, match="tap0: 1515 octets, at most 1514"):
        scene.link.send(frame(length=1515))
    assert scene.link.statistics().sent == 1


def test_a_full_device_is_busy_and_takes_frames_when_it_is_read(scene: Scene) -> None:
    with pytest.raises(LinkBusy, match="tap0"):
        deque(map(scene.link.send, map(frame, range(10000))))
    sent = scene.link.statistics().sent
    assert 0 < sent < 10000
    assert scene.kernel.recv(2048) == frame(0)
    scene.link.send(frame())
    assert scene.link.statistics().sent == sent + 1


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.EIO, LinkDown),
        (errno.ENOBUFS, LinkBusy),
        (errno.ENOMEM, LinkBusy),
        (errno.EBADFD, LinkGone),
        (errno.ENODEV, LinkGone),
        (errno.ENXIO, LinkGone),
    ],
)
def test_an_error_of_sending_has_the_contracts_name(scene: Scene, code: int, error: type[Exception]) -> None:
    scene.device.errors = [code]
    with pytest.raises(error, match="tap0"):
        scene.link.send(frame(1))
    scene.link.send(frame(2))
    assert scene.kernel.recv(2048) == frame(2)


def test_an_error_that_the_contract_does_not_know_is_left_as_it_is(scene: Scene) -> None:
    scene.device.errors = [errno.EINVAL, errno.EINVAL]
    for call in (lambda: scene.link.send(b""), scene.link.receive):
        with pytest.raises(OSError, match="Invalid argument") as caught:
            call()
        assert caught.value.errno == errno.EINVAL


def test_an_interface_that_vanished_says_gone_to_the_receiver_too(scene: Scene) -> None:
    scene.device.errors = [errno.EBADFD]
    with pytest.raises(LinkGone, match="tap0"):
        scene.link.receive()


def goes_down_by_sending(scene: Scene) -> None:
    scene.device.errors = [errno.EIO]
    with pytest.raises(LinkDown):
        scene.link.send(frame())


def goes_down_by_receiving(scene: Scene) -> None:
    scene.device.errors = [errno.EIO]


def goes_down_by_rtnetlink(scene: Scene) -> None:
    scene.link.update(DOWN)


WAYS = [goes_down_by_sending, goes_down_by_receiving, goes_down_by_rtnetlink]


@pytest.mark.parametrize("goes_down", WAYS)
def test_going_down_is_told_once_to_the_receiver_whoever_said_it_and_however_often(
    scene: Scene, goes_down: Callable[[Scene], None]
) -> None:
    for _ in range(2):
        goes_down(scene)
        assert scene.downs() == 1
        for again in WAYS:
            again(scene)
            assert scene.downs() == 0
        scene.link.update(UP)
        assert scene.downs() == 0


def test_a_frame_that_was_taken_says_that_the_device_is_up_again(scene: Scene) -> None:
    for _ in range(2):
        goes_down_by_sending(scene)
        assert scene.downs() == 1
        scene.link.send(frame())


def test_frames_from_before_it_went_down_stay_readable(scene: Scene) -> None:
    scene.kernel.send(frame(1))
    scene.link.update(DOWN)
    with pytest.raises(LinkDown):
        scene.link.receive()
    assert [scene.link.receive(), scene.link.receive()] == [frame(1), None]


def test_a_link_opened_while_the_interface_is_down_says_so_once_and_begins_with_working_flags() -> None:
    scene = Scene(DOWN)
    try:
        assert scene.link.flags == WORKING_FLAGS
        assert [scene.downs(), scene.downs()] == [1, 0]
        scene.link.update(DOWN)
        assert scene.link.flags == DOWN.flags
        assert scene.downs() == 0
    finally:
        scene.close()


def test_there_is_nothing_to_join_but_a_group_has_to_be_one(scene: Scene) -> None:
    scene.link.join(GROUP)
    scene.link.leave(GROUP)
    for call in (scene.link.join, scene.link.leave):
        with pytest.raises(InvalidAddress, match="group: "):
            call(OWN)


async def test_waiting_ends_with_a_frame(scene: Scene) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.link.wait_readable)
        await trio.testing.wait_all_tasks_blocked()
        assert scene.link.statistics().tasks_waiting == 1
        scene.kernel.send(frame())
    assert scene.link.statistics().tasks_waiting == 0
    with trio.testing.assert_checkpoints():
        await scene.link.wait_readable()
    assert scene.link.receive() == frame()


@pytest.mark.parametrize("goes_down", [goes_down_by_sending, goes_down_by_rtnetlink])
async def test_waiting_ends_when_the_device_goes_down(
    scene: Scene, goes_down: Callable[[Scene], None]
) -> None:
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.link.wait_readable)
            await trio.testing.wait_all_tasks_blocked()
            goes_down(scene)
        with trio.testing.assert_checkpoints():
            await scene.link.wait_readable()
    assert scene.downs() == 1


async def test_a_cancelled_wait_leaves_the_link_usable(scene: Scene) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await scene.link.wait_readable()
    assert scope.cancelled_caught
    scene.kernel.send(frame())
    await scene.link.wait_readable()
    assert scene.link.receive() == frame()


async def test_a_second_waiter_is_refused_and_the_first_goes_on(scene: Scene) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.link.wait_readable)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await scene.link.wait_readable()
        scene.kernel.send(frame())


async def test_closing_wakes_the_waiter_and_everything_says_gone(scene: Scene) -> None:
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scene.link.wait_readable)
            await trio.testing.wait_all_tasks_blocked()
            await scene.link.aclose()
    assert scene.device.closed
    calls: list[Callable[[], object]] = [
        scene.link.receive,
        lambda: scene.link.send(frame()),
        lambda: scene.link.join(GROUP),
        lambda: scene.link.leave(GROUP),
    ]
    for call in calls:
        with pytest.raises(LinkGone):
            call()
    for waiting in (scene.link.wait_readable, scene.link.aclose):
        with trio.testing.assert_checkpoints():
            await waiting()
    assert repr(scene.link) == "<TapLink tap0 02:00:00:00:00:01 closed>"


async def test_closing_when_cancelled_is_complete(scene: Scene) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await scene.link.aclose()
    assert scope.cancelled_caught
    assert scene.device.closed


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "a b", "a:b", "tap%d", "nul\0", "sixteen-letters-", "ä" * 8]
)
def test_a_name_that_no_interface_can_have_is_refused(name: str) -> None:
    with pytest.raises(InvalidAddress, match=r"device: .* is no interface name"):
        open_tap(name)


@pytest.mark.parametrize("lladdr", ["02:00", "no address", GROUP, BROADCAST, bytes(6), bytes(8)])
def test_an_address_that_no_station_can_have_is_refused(lladdr: str | bytes) -> None:
    with pytest.raises(InvalidAddress, match="lladdr: "):
        open_tap(lladdr=lladdr)


@pytest.mark.parametrize("mtu", [-1, 0, 67, 65522])
def test_an_mtu_outside_its_range_is_refused(mtu: int) -> None:
    with pytest.raises(ValueError, match=f"mtu: {mtu} octets, a TAP device takes 68 to 65521"):
        open_tap(mtu=mtu)


def test_where_there_are_no_tap_devices_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = str(tmp_path / "tun")
    monkeypatch.setattr(tap, "TUN_DEVICE", path)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(NeighioError, match=f"{path}, which is not there.*modprobe tun.*--device {path}"):
        open_tap()
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(NeighioError, match="Linux only, and this is darwin"):
        open_tap()


@pytest.mark.parametrize("code", [errno.EPERM, errno.EACCES])
def test_without_leave_to_open_the_device_file_the_error_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(path: str, flags: int) -> int:
        raise OSError(code, os.strerror(code), path)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(NotPermitted) as caught:
        open_tap()
    for needed in ("/dev/net/tun", "CAP_NET_ADMIN", "`sudo`", "chmod 666", "--cap-add NET_ADMIN"):
        assert needed in str(caught.value)


def opened_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, *, asking: bool) -> None:
    """Open a TAP device where attaching to it, or asking rtnetlink about it, fails."""

    def fail(*arguments: object) -> Any:
        raise OSError(code, os.strerror(code))

    def ioctl(device: FileIO, request: int, argument: bytes) -> bytes:
        return argument if asking else fail()

    path = tmp_path / "tun"
    path.touch()
    monkeypatch.setattr(tap, "TUN_DEVICE", str(path))
    monkeypatch.setattr("fcntl.ioctl", ioctl)
    monkeypatch.setattr(RequestSocket, "request", fail)
    open_tap("mine")


@pytest.mark.parametrize("asking", [False, True])
def test_without_the_capability_the_error_names_it_and_ways_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asking: bool
) -> None:
    with pytest.raises(NotPermitted) as caught:
        opened_with(monkeypatch, tmp_path, errno.EPERM, asking=asking)
    for needed in (
        "mine",
        "CAP_NET_ADMIN",
        "`sudo`",
        "`sudo setpriv --reuid=$USER --init-groups --inh-caps=+net_admin --ambient-caps=+net_admin",
        "`sudo ip tuntap add dev NAME mode tap user $USER`",
        "`unshare -Urn`",
    ):
        assert needed in str(caught.value)


@pytest.mark.parametrize(
    ("code", "asking", "error"),
    [(errno.ENODEV, True, LinkGone), (errno.ENOMEM, True, OSError), (errno.ENOMEM, False, OSError)],
)
def test_what_else_the_kernel_says_on_opening_is_left_as_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int, asking: bool, error: type[Exception]
) -> None:
    with pytest.raises(error):
        opened_with(monkeypatch, tmp_path, code, asking=asking)
