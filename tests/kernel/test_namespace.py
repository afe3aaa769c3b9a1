"""Private network namespaces: what they give, and that nothing of them stays."""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import unittest
from pathlib import Path

import pytest
import trio

from neighio.core.constants import IFF_LOWER_UP, IFF_NOARP, IFF_UP, NUD_NOARP, NUD_VALID
from neighio.kernel import requests
from neighio.kernel.netlink import RequestSocket, open_netlink
from neighio.kernel.rtnetlink import LinkMessage, decode
from neighio.kernel.uapi import IF_OPER_UP, RTNLGRP_LINK
from neighio.testing import isolation
from neighio.testing.isolation import NamespaceFailure, in_namespace, run_in_namespace, wrong_release
from neighio.testing.namespace import Here, Peer, Unavailable, connect, enter_command


def links() -> list[str]:
    with RequestSocket() as rtnetlink:
        found = [decode(reply) for reply in rtnetlink.dump(requests.dump_links())]
    return sorted(link.name for link in found if isinstance(link, LinkMessage))


def passes() -> None:
    print("said inside", os.getpid())


def fails_with(number: int, text: bytes) -> None:
    local = number + 1
    assert not text, local


async def hangs() -> None:
    print("before")
    await trio.sleep_forever()


async def dies() -> None:
    await trio.lowlevel.checkpoint()
    os._exit(3)


def asks_to_be_skipped() -> None:
    pytest.skip("not today")


def starts_a_peer_and_dies(file: str) -> None:
    peer = Peer.start()
    Path(file).write_text(str(peer.pid), encoding="ascii")
    os.kill(os.getpid(), signal.SIGKILL)


def has_ended(pid: int) -> bool:
    """Whether a process, which is no child of ours, ends within ten seconds."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], 10)[0])
    finally:
        os.close(descriptor)


@in_namespace
def test_a_namespace_begins_with_nothing_but_loopback_and_it_is_up() -> None:
    assert links() == ["lo"]
    assert Here().link("lo").flags & IFF_UP


@in_namespace
def test_connected_ends_are_up_and_carry_and_have_the_given_addresses() -> None:
    with Peer.start() as peer:
        ours, theirs = connect(
            Here(), peer, "va", "vb", lladdr="02:00:00:00:00:01", far_lladdr="02:00:00:00:00:02"
        )
        assert (ours.name, ours.lladdr.hex(":"), ours.kind) == ("va", "02:00:00:00:00:01", "veth")
        assert (theirs.name, theirs.lladdr.hex(":")) == ("vb", "02:00:00:00:00:02")
        assert ours.flags & theirs.flags & (IFF_UP | IFF_LOWER_UP) == IFF_UP | IFF_LOWER_UP
        assert ours.carrier and theirs.carrier
        assert links() == ["lo", "va"]


@in_namespace
@pytest.mark.parametrize(
    ("ours", "theirs"), [("198.51.100.1", "198.51.100.2"), ("2001:db8::1", "2001:db8::2")]
)
def test_the_two_kernels_reach_each_other(ours: str, theirs: str) -> None:
    family = socket.AF_INET6 if ":" in ours else socket.AF_INET
    length = 64 if ":" in ours else 24
    here = Here()
    with Peer.start() as peer:
        _, far = connect(here, peer, "va", "vb")
        here.add_address("va", f"{ours}/{length}")
        peer.add_address("vb", f"{theirs}/{length}")
        with peer.socket(family, socket.SOCK_DGRAM) as there, here.socket(family, socket.SOCK_DGRAM) as ours_:
            there.bind((theirs, 5000))
            there.settimeout(10)
            ours_.sendto(b"hello", (theirs, 5000))
            data, sender = there.recvfrom(100)
        assert (data, sender[0]) == (b"hello", ours)
        valid = [n for n in here.neighbours("va") if n.state & NUD_VALID & ~NUD_NOARP]
        assert [n.lladdr for n in valid] == [far.lladdr]


@in_namespace
def test_ipv6_is_silent_until_it_has_an_address() -> None:
    with Peer.start() as peer:
        with peer.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as sniffer:
            ours, _ = connect(Here(), peer, "va", "vb")
            # The mark is sent after all that the links said while they came up.
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
                sender.bind(("va", 0))
                sender.send(b"\xff" * 6 + ours.lladdr + b"\x88\xb5" + b"mark")
            sniffer.settimeout(10)
            frames = [sniffer.recv(2000)]
            while frames[-1][12:14] != b"\x88\xb5":
                frames.append(sniffer.recv(2000))
        assert [frame for frame in frames[:-1] if frame[12:14] == b"\x86\xdd"] == []


@in_namespace
def test_an_ipv6_address_is_in_use_as_soon_as_it_was_given() -> None:
    here = Here()
    with (
        Peer.start() as peer,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender,
    ):
        connect(here, peer, "va", "vb")
        receiver.bind(("::", 9000))
        receiver.setblocking(False)
        for number in range(1, 100):
            here.add_address("va", f"2001:db8::{number:x}/64")
            sender.sendto(bytes([number]), (f"2001:db8::{number:x}", 9000))
            # What goes to an own address is there when the call returns.
            assert receiver.recv(10) == bytes([number])


@in_namespace
def test_a_peer_answers_for_every_address_of_a_local_route() -> None:
    here = Here()
    with Peer.start() as peer:
        _, far = connect(here, peer, "va", "vb")
        here.add_address("va", "198.19.0.1/15")
        peer.route_local("198.18.0.0/16")
        with (
            peer.socket(socket.AF_INET, socket.SOCK_DGRAM) as there,
            here.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
        ):
            there.bind(("0.0.0.0", 9000))
            there.settimeout(10)
            for host in (1, 77, 200):
                ours.sendto(bytes([host]), (f"198.18.3.{host}", 9000))
                assert there.recv(10) == bytes([host])
        known = {n.ip[3]: n.lladdr for n in here.neighbours("va") if n.state & NUD_VALID & ~NUD_NOARP}
        assert known == dict.fromkeys((1, 77, 200), far.lladdr)


@in_namespace
def test_a_sysctl_is_that_of_the_namespace() -> None:
    here = Here()
    with Peer.start() as peer:
        connect(here, peer, "va", "vb")
        assert peer.sysctl("net/ipv4/neigh/vb/base_reachable_time_ms", 1500) == "1500"
        assert here.sysctl("net/ipv4/neigh/va/base_reachable_time_ms") == "30000"
        with pytest.raises(FileNotFoundError):
            here.sysctl("net/ipv4/neigh/vb/base_reachable_time_ms")
        with pytest.raises(FileNotFoundError):
            peer.sysctl("net/ipv4/neigh/va/base_reachable_time_ms")


@in_namespace
def test_a_link_is_renamed_readdressed_and_taken_down() -> None:
    here = Here()
    with Peer.start() as peer:
        connect(here, peer, "va", "vb")
        here.set_link("va", up=False, arp=False, lladdr="02:00:00:00:00:55", mtu=1400, rename="wan")
        link = here.link("wan")
        assert (link.lladdr.hex(":"), link.mtu, link.flags & IFF_UP, link.flags & IFF_NOARP) == (
            "02:00:00:00:00:55",
            1400,
            0,
            IFF_NOARP,
        )
        assert peer.link("vb").carrier is False
        with pytest.raises(OSError) as caught:
            here.link("va")
        assert caught.value.errno == errno.ENODEV


@in_namespace
def test_closing_a_peer_takes_its_process_and_the_link_along() -> None:
    here = Here()
    peer = Peer.start()
    connect(here, peer, "va", "vb")
    peer.close()
    peer.close()
    assert links() == ["lo"]
    with pytest.raises(ProcessLookupError):
        os.kill(peer.pid, 0)


@in_namespace
def test_three_stations_stand_in_a_row() -> None:
    with Peer.start() as middle, Peer.start() as end:
        connect(Here(), middle, "va", "vb")
        connect(middle, end, "vc", "vd")
        assert end.link("vd").operstate == middle.link("vc").operstate == IF_OPER_UP


@in_namespace
async def test_a_peer_that_is_killed_takes_the_link_along() -> None:
    here = Here()
    peer = Peer.start()
    connect(here, peer, "va", "vb")
    with open_netlink([RTNLGRP_LINK]) as rtnetlink:
        os.kill(peer.pid, signal.SIGKILL)
        peer.close()
        gone: set[str] = set()
        with trio.fail_after(30):
            while "va" not in gone:
                for message in await rtnetlink.receive():
                    link = decode(message)
                    if isinstance(link, LinkMessage) and link.deleted:
                        gone.add(link.name)
    assert links() == ["lo"]


def test_a_peer_ends_with_its_process_even_when_that_is_killed(namespaces: None, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    with pytest.raises(NamespaceFailure, match="status -9"):
        run_in_namespace(starts_a_peer_and_dies, file=str(file))
    assert has_ended(int(file.read_text(encoding="ascii")))


def test_nothing_is_seen_of_it_outside(namespaces: None, capsys: pytest.CaptureFixture[str]) -> None:
    before = links(), os.listdir("/proc/self/fd")
    run_in_namespace(passes)
    assert (links(), os.listdir("/proc/self/fd")) == before
    assert "said inside" in capsys.readouterr().out


def test_a_failure_comes_out_with_its_traceback_and_values(namespaces: None) -> None:
    with pytest.raises(NamespaceFailure) as caught:
        run_in_namespace(fails_with, number=41, text=b"bytes")
    text = str(caught.value)
    assert "AssertionError: 42" in text
    assert "assert not text, local" in text
    assert "text = b'bytes'" in text


def test_a_skip_comes_out_as_a_skip(namespaces: None) -> None:
    with pytest.raises(unittest.SkipTest, match="not today"):
        run_in_namespace(asks_to_be_skipped)


def test_what_hangs_is_ended_and_says_where(namespaces: None) -> None:
    with pytest.raises(NamespaceFailure, match=r"(?s)before.*most recent call first"):
        run_in_namespace(hangs, timeout=1.5)


def test_what_ends_its_process_has_failed(namespaces: None) -> None:
    with pytest.raises(NamespaceFailure, match="status 3"):
        run_in_namespace(dies)


def test_parameters_that_are_no_literals_are_refused() -> None:
    with pytest.raises(TypeError, match="only literals"):
        run_in_namespace(passes, something=object())


def test_a_command_is_run_in_a_namespace(namespaces: None) -> None:
    code = "import os, socket; print([name for _, name in socket.if_nameindex()], os.geteuid())"
    done = subprocess.run(
        [*enter_command(), sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['lo'] 0"


@pytest.mark.parametrize(
    ("since", "until", "holds"),
    [
        (None, None, True),
        ("6.17", None, True),
        ("6.18", None, True),
        ("6.19", None, False),
        ("7.0", None, False),
        (None, "7.0", True),
        (None, "6.18", False),
        ("5.4", "6.9", False),
    ],
)
def test_a_test_holds_from_its_first_release_to_before_its_last(
    since: str | None, until: str | None, holds: bool
) -> None:
    assert (wrong_release("6.18.44-generic", since, until) is None) is holds


@pytest.mark.parametrize("required", [True, False])
def test_without_namespaces_a_test_is_skipped_or_fails_when_they_are_required(
    monkeypatch: pytest.MonkeyPatch, required: bool
) -> None:
    monkeypatch.setattr(isolation, "available", lambda: Unavailable("unshare", errno.EPERM))
    monkeypatch.setenv("NEIGHIO_REQUIRE_KERNEL", "1" if required else "0")
    with pytest.raises(NamespaceFailure if required else unittest.SkipTest) as caught:
        in_namespace(passes)()
    text = str(caught.value)
    assert "unshare: Operation not permitted" in text
    assert "user.max_user_namespaces" in text


def test_elsewhere_than_on_linux_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(Unavailable, match="Linux only") as caught:
        Peer.start()
    assert caught.value.step == "system"


UNPRIVILEGED = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
try:
    from neighio.testing.namespace import available
except ImportError:
    sys.exit(77)
print(available())
"""


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root can become someone else")
def test_it_works_for_an_ordinary_user(namespaces: None) -> None:
    try:
        done = subprocess.run(
            [sys.executable, "-c", UNPRIVILEGED, json.dumps(sys.path)],
            capture_output=True,
            text=True,
            user=65534,
            group=65534,
            extra_groups=[],
            cwd="/",
        )
    except PermissionError:
        pytest.skip("this interpreter is not for other users")
    if done.returncode == 77:
        pytest.skip("these sources are not for other users")
    assert (done.stdout, done.stderr) == ("None\n", "")
