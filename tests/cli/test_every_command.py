"""Each command, run once as it is installed: that it is there with all that it needs, not all that it does."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from neighio import cli
from neighio.address import LinkAddress
from neighio.testing import Here, Peer, in_namespace
from neighio.wire import arp

from ..replay.recording import announcement, pcap
from .hosting import SECONDS, THEM, link
from .looking import Monitoring, directory

INSTALLED = str(Path(sys.executable).parent / "neighio")
"""The command beside the interpreter."""

OURS, THEIRS = "198.51.100.1", "198.51.100.2"
STATE = f"{THEIRS} dev v1 lladdr {THEM}"


def run(*arguments: str) -> str:
    """Run a command that has to succeed; return what it printed."""
    done = subprocess.run(
        [INSTALLED, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), arguments
    return done.stdout


@contextmanager
def until_interrupted(*arguments: str) -> Iterator[Monitoring]:
    """Run a command that goes on until Ctrl-C, from where it says that it has begun."""
    with Monitoring(*arguments, "--json", command=[INSTALLED]) as command:
        assert '"begun"' in command.line()
        yield command
        assert command.end(signal.SIGINT)[::2] == (cli.INTERRUPTED, "")


def announce(peer: Peer) -> None:
    """Have the station at the other end say where it is."""
    ip, lladdr = socket.inet_aton(THEIRS), LinkAddress(THEM)
    with peer.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("v2", 0))
        wire.send(arp.build(arp.ARPOP_REQUEST, ip, lladdr, ip, bytes(6), dst=b"\xff" * 6, src=lladdr))


def try_each(here: Here, peer: Peer, place: Path) -> dict[str, bool]:
    """Run each command on a link at whose other end the kernel is; tell whether it did what it is for."""
    database, capture = str(place / "lan.db"), place / "lan.pcap"
    capture.write_bytes(pcap([(0.0, announcement(7))]))
    did = {
        "scan": THEM in run("scan", THEIRS),
        "resolve": THEM in run("resolve", THEIRS),
        "announce": OURS in run("announce", OURS),
        "host": "ready" in run("host", "--dev", "v1", "--address", "198.51.100.9/24", "--no-dad"),
        "replay": "198.51.100.7" in run("replay", str(capture)),
        "completion": "neighio" in run("completion", "bash"),
        "demo": "REACHABLE" in run("demo", "--memory", "--json"),
        "doctor": "v1" in run("doctor", "--no-probe", "--dev", "v1"),
    }
    with until_interrupted("monitor", "--kernel") as monitor:
        with here.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"", (THEIRS, 9))
        did["monitor"] = THEM in monitor.line()
    did["show"] = STATE in run("show", "--kernel")
    did["top"] = THEM in run("top", "--kernel", "--once")
    with until_interrupted("watch", "--db", database, "--dev", "v1") as watch:
        announce(peer)
        did["watch"] = THEM in watch.line()
    did["history"] = THEM in run("history", "--db", database, THEIRS)
    return did


@in_namespace
def test_each_command_is_installed_and_does_what_it_is_for() -> None:
    with link() as (here, peer), directory() as place:
        here.add_address("v1", f"{OURS}/24")
        assert try_each(here, peer, place) == dict.fromkeys(cli._COMMANDS, True)
