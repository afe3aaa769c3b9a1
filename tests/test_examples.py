"""Each example runs by itself, and shows what it says."""

from __future__ import annotations

import re
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from neighio import LinkAddress
from neighio.testing import Here, Peer, connect, in_namespace
from neighio.wire import arp

EXAMPLES = Path(__file__).parent.parent / "examples"
LLADDR = LinkAddress("02:00:00:00:00:07")
IP = bytes([198, 51, 100, 7])


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
    "name", ["resolve.py", "many.py", "userspace_host.py", "virtual_ip.py", "proxy_nd.py"]
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
    here.close()
    assert line == f"198.51.100.7 dev eth0 lladdr {LLADDR} STALE\n"
    assert watch.returncode == 0
