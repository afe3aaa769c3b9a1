"""Each example runs by itself, and shows what it says."""

from __future__ import annotations

import importlib.util
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import pytest
import trio
from trio.testing import MockClock

import neighio
from neighio import LinkAddress
from neighio.address import parse_ip
from neighio.testing import Here, Namespace, Peer, Segment, connect, in_namespace
from neighio.wire import arp

from .cli.hosting import ping

EXAMPLES = Path(__file__).parent.parent / "examples"
LLADDR = LinkAddress("02:00:00:00:00:07")
IP = bytes([198, 51, 100, 7])
VIRTUAL = bytes([198, 51, 100, 100])


def command(name: str, *arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments]


def run(name: str, *arguments: str) -> list[str]:
    done = subprocess.run(command(name, *arguments), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_an_example_runs_without_arguments_and_without_privileges(name: str) -> None:
    assert run(name) != []


def test_resolve_tells_the_address() -> None:
    assert run("resolve.py") == [f"198.51.100.7 is at {LLADDR}"]


@pytest.mark.parametrize(
    "name", ["resolve.py", "many.py", "userspace_host.py", "virtual_ip.py", "proxy_nd.py", "presence.py"]
)
def test_an_example_that_is_asked_wrongly_says_how_to_ask(name: str) -> None:
    done = subprocess.run(command(name, "eth0"), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("usage: ")
    assert len(done.stderr.splitlines()) == 1


def test_watch_tells_a_neighbours_life() -> None:
    about = "198.51.100.7 dev eth0"
    # The first may have been seen before it was answered.
    assert [line for line in run("watch.py") if not line.endswith("INCOMPLETE")] == [
        f"{about} lladdr {LLADDR} REACHABLE",
        f"{about} lladdr {LLADDR} PROBE",
        f"{about} FAILED",
    ]


def test_a_host_in_user_space_answers_pings_of_both_families() -> None:
    assert run("userspace_host.py") == [
        f"{ip} answered from 02:00:00:00:00:77: hello" for ip in ("198.51.100.77", "2001:db8::77", "fe80::77")
    ]


def test_the_standby_takes_the_virtual_address_over() -> None:
    has, died, taken = run("virtual_ip.py")
    assert (has, died) == ("first: has 198.51.100.100", "first: died")
    assert re.fullmatch(r"second: 198\.51\.100\.100 taken over \d\.\d s after its holder's last sign", taken)


def test_a_proxy_answers_for_what_it_was_told_of_alone() -> None:
    assert run("proxy_nd.py") == [
        "router: answers for 2001:db8::100",
        "2001:db8::100 is at 02:00:00:00:00:77",
        "nobody answers for 2001:db8::101",
    ]


def lives(svg: str) -> dict[str, list[tuple[str, float]]]:
    """The rows of a picture: the states of each neighbour, and when it entered them."""
    name = "{http://www.w3.org/2000/svg}"
    return {
        row.attrib["data-label"]: sorted(
            (
                (rect.attrib["data-state"], float(rect.attrib["data-start"]))
                for rect in row.iter(f"{name}rect")
                if "data-state" in rect.attrib
            ),
            key=lambda state: state[1],
        )
        for row in ElementTree.fromstring(svg).iter(f"{name}g")
        if row.get("class") == "row"
    }


def test_a_timeline_shows_who_fell_silent_and_who_moved() -> None:
    svg = "\n".join(run("timeline.py"))
    found = lives(svg)
    silent, mended = found["198.51.100.7 dev eth0"], found["198.51.100.8 dev eth0"]

    assert [state for state, _ in silent[:6]] == [
        "INCOMPLETE",
        "REACHABLE",
        "STALE",
        "DELAY",
        "PROBE",
        "REACHABLE",
    ]
    failed = [begun for state, begun in silent if state == "FAILED"]
    assert all(240 < begun < 425 for begun in failed) and failed
    assert silent[-1][0] == mended[-1][0] == "STALE"
    assert "FAILED" not in {state for state, _ in mended}
    assert svg.count('data-mark="moved"') == 1


def test_a_presence_detector_tells_who_comes_and_who_goes() -> None:
    came, (gone, back) = (lines := run("presence.py"))[:3], lines[3:]
    assert sorted(came) == [f"198.51.100.{number} is at 02:00:00:00:00:0{number}" for number in (7, 8, 9)]
    assert (gone, back) == ("198.51.100.8 has gone", "198.51.100.8 is at 02:00:00:00:00:08")


@in_namespace
def test_a_presence_detector_finds_who_is_on_a_real_link() -> None:
    here = Here()
    with Peer.start() as peer:
        connect(here, peer, "eth0", "eth0", far_lladdr=str(LLADDR))
        here.add_address("eth0", "198.51.100.1/24")
        peer.add_address("eth0", "198.51.100.7/24")
        presence = subprocess.Popen(
            command("presence.py", "eth0", "198.51.100.0/29"), stdout=subprocess.PIPE, text=True
        )
        assert presence.stdout is not None
        assert presence.stdout.readline() == f"198.51.100.7 is at {LLADDR}\n"
        presence.send_signal(signal.SIGINT)
        presence.communicate(timeout=20)
    here.close()
    assert presence.returncode == 0


def test_many_leaves_nothing_behind() -> None:
    waiting, outcomes, after, flushed = run("many.py")
    assert waiting == "waiting: 1000"
    assert outcomes == "cancelled: 500, resolved: 167, unreachable: 333"
    assert after == "waiting: 0, entries: 1000"
    assert flushed == "flushed: entries: 0"


@in_namespace
def test_the_examples_work_on_a_real_link() -> None:
    here = Here()
    with Peer.start() as peer:
        connect(here, peer, "eth0", "eth0", far_lladdr=str(LLADDR))
        here.add_address("eth0", "198.51.100.1/24")
        peer.add_address("eth0", "198.51.100.7/24")

        assert run("resolve.py", "198.51.100.7", "eth0") == [f"198.51.100.7 is at {LLADDR}"]
        assert "cancelled: 3, unreachable: 3" in run("many.py", "eth0", "198.51.100.8/29")[1]

        watch = subprocess.Popen(command("watch.py", "eth0"), stdout=subprocess.PIPE, text=True)
        assert watch.stdout is not None
        announcement = arp.build(arp.ARPOP_REQUEST, IP, LLADDR, IP, bytes(6), dst=b"\xff" * 6, src=LLADDR)
        with peer.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("eth0", 0))
            # Only an answer shows that it listens.
            while not select.select([watch.stdout], [], [], 0.1)[0]:
                wire.send(announcement)
        line = watch.stdout.readline()
        watch.send_signal(signal.SIGINT)
        watch.communicate(timeout=20)

        timeline = subprocess.Popen(
            command("timeline.py", "eth0"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert timeline.stderr is not None
        with peer.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("eth0", 0))
            while not select.select([timeline.stderr], [], [], 0.1)[0]:
                wire.send(announcement)
        timeline.send_signal(signal.SIGINT)
        svg, _ = timeline.communicate(timeout=20)
    here.close()
    assert line == f"198.51.100.7 dev eth0 lladdr {LLADDR} STALE\n"
    assert watch.returncode == 0
    assert timeline.returncode == 0
    assert [state for state, _ in lives(svg)["198.51.100.7 dev eth0"]] == ["STALE"]


@contextmanager
def running(name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """An example on a real link; killed in the end."""
    process = subprocess.Popen(command(name, *arguments), stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=20)


def told(process: subprocess.Popen[str]) -> str:
    """The next line that an example prints."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 30)[0], "it says nothing"
    return process.stdout.readline().rstrip("\n")


def until_known(station: Namespace, ip: str, lladdr: LinkAddress, device: str) -> None:
    """Return when a kernel has an address at a link-layer address."""
    key, _ = parse_ip(ip)
    end = time.monotonic() + 20
    while not any(one.ip == key and one.lladdr == lladdr for one in station.neighbours(device)):
        assert time.monotonic() < end, station.neighbours(device)
        time.sleep(0.01)


@in_namespace
def test_a_kernel_finds_the_host_in_user_space_and_what_a_proxy_answers_for() -> None:
    here = Here()
    with Peer.start() as peer:
        connect(here, peer, "eth0", "eth0", far_lladdr=str(LLADDR))
        peer.add_address("eth0", "2001:db8::7/64")
        ours = LinkAddress("02:00:00:00:00:77")
        with running("userspace_host.py", "eth0", "2001:db8::77/64") as example:
            assert told(example) == f"eth0: 2001:db8::77/64 at {ours}"
            assert ping(peer, "2001:db8::77") == "2001:db8::77"
            until_known(peer, "2001:db8::77", ours, "eth0")
        with running("proxy_nd.py", "eth0", "fe80::77/64", "2001:db8::100") as example:
            assert told(example) == "eth0: answers for 2001:db8::100"
            with peer.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
                sender.sendto(b"", ("2001:db8::100", 9))
            until_known(peer, "2001:db8::100", ours, "eth0")
    here.close()


SWITCH = [
    "ip link add switch type bridge",
    "ip address add 198.51.100.2/24 dev switch",
    "ip link add vip1 address 02:00:00:00:00:01 type veth peer name port1",
    "ip link add vip2 address 02:00:00:00:00:02 type veth peer name port2",
    *(f"ip link set port{number} master switch up" for number in (1, 2)),
    *(f"ip link set {name} up" for name in ("switch", "vip1", "vip2")),
]


@in_namespace
def test_a_kernel_follows_the_virtual_address_to_the_standby() -> None:
    """On a switch: the kernel, and two instances, of which the first dies."""
    if shutil.which("ip") is None:
        pytest.skip("needs iproute2")
    for line in SWITCH:
        subprocess.run(line.split(), check=True)
    here = Here()
    virtual = "198.51.100.100"
    first, second = (LinkAddress(f"02:00:00:00:00:0{number}") for number in (1, 2))
    taken = re.compile(rf"vip[12]: {virtual} taken over (\d\.\d) s after its holder's last sign")
    with running("virtual_ip.py", "vip1", f"{virtual}/24", "198.51.100.3/24") as holder:
        assert taken.fullmatch(told(holder))
        with here.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", (virtual, 9))
        until_known(here, virtual, first, "switch")
        with running("virtual_ip.py", "vip2", f"{virtual}/24", "198.51.100.4/24") as standby:
            with here.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
                wire.bind(("port2", 0x0003))
                wire.settimeout(30)
                # All that comes through a port of a bridge, until it asks.
                while arp.parse(heard := wire.recv(2048))[1:4:2] != (bytes([198, 51, 100, 4]), VIRTUAL):
                    assert heard
            holder.kill()
            found = taken.fullmatch(told(standby))
            # Three losses of 0.2 s, and up to one more since its last sign.
            assert found and float(found[1]) >= 0.6
            until_known(here, virtual, second, "switch")


async def test_of_two_who_take_the_virtual_address_at_once_one_keeps_it(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("virtual_ip", EXAMPLES / "virtual_ip.py")
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    segment = Segment(trio.current_time)
    async with trio.open_nursery() as nursery:
        for number in (1, 2):
            link = segment.attach(f"02:00:00:00:00:0{number}", name=f"vip{number}")
            device = neighio.Device(link, "host", addresses=[f"198.51.100.{number}/24"])
            nursery.start_soon(example.instance, device, link.name, "198.51.100.100/24")
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    taken = "198.51.100.100 taken over 0.6 s after its holder's last sign"
    assert sorted(capsys.readouterr().out.splitlines()) == [
        f"vip1: {taken}",
        "vip2: 198.51.100.100 given up to 02:00:00:00:00:01",
        f"vip2: {taken}",
    ]
