"""``neighio scan`` as a process of its own, and a link to scan, at whose other end the kernel answers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from neighio.testing import Here, Peer, connect
from neighio.wire import arp, ethernet

from .schemas import validate

US, THEM, TOO = "02:00:00:00:00:01", "00:00:0c:00:00:07", "02:00:00:00:00:08"
COMMAND = [sys.executable, "-W", "error", "-m", "neighio", "scan"]
QUICK = ["--tries", "1", "--interval", "0.2"]
ETH_P_ARP = 0x0806
HOSTS = [f"198.51.100.{host}" for host in range(10, 35)]
SECONDS = 30.0
"""How long anything may take on a machine under load."""


@contextmanager
def link(*hosts: str, ipv6: Sequence[str] = ()) -> Iterator[tuple[Here, Peer]]:
    """Build a link: we are 198.51.100.1 on eth0, and with ``ipv6`` fe80::1 and 2001:db8::1; the kernel at its
    other end has these addresses."""
    here = Here()
    with Peer.start() as peer:
        connect(here, peer, "eth0", "eth0", lladdr=US, far_lladdr=THEM)
        for address in ["198.51.100.1/24", *(["fe80::1/64", "2001:db8::1/64"] if ipv6 else [])]:
            here.add_address("eth0", address)
        for host in [*(f"{host}/24" for host in hosts), *(f"{host}/64" for host in ipv6)]:
            peer.add_address("eth0", host)
        yield here, peer
    here.close()


def scan(*arguments: str, prefix: tuple[str, ...] = (), stdin: str = "") -> tuple[int, str, str]:
    """Run the command; return its exit status, its output and its errors."""
    done = subprocess.run(
        [*prefix, *COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        input=stdin,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def scan_json(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
    """Run it with --json; return its exit status and its records, which are as the schema has them."""
    status, output, errors = scan("--json", *arguments)
    assert errors == ""
    return status, records(output)


def records(output: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in output.splitlines()]
    for one in found:
        validate("scan", one)
    assert [one["kind"] for one in (found[0], found[-1])] == ["start", "end"]
    return found


def of_kind(found: Sequence[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in found if one["kind"] == kind]


def who(found: Sequence[dict[str, Any]], kind: str = "found") -> list[str]:
    return sorted(one["address"] for one in of_kind(found, kind))


def refusal(*arguments: str, prefix: tuple[str, ...] = ()) -> str:
    """Run the command, which is to refuse with status 2 and one line; return the line."""
    status, output, errors = scan(*arguments, prefix=prefix)
    assert (status, output) == (2, ""), errors
    assert errors.startswith("neighio scan: ") and errors.count("\n") == 1 and "\x1b" not in errors
    return errors.removeprefix("neighio scan: ")


@contextmanager
def answering_twice(peer: Peer) -> Iterator[None]:
    """Have each ARP request at the peer's end answered by two stations, THEM and TOO, and not by the kernel."""
    peer.set_link("eth0", arp=False)
    with peer.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP)) as wire:
        wire.bind(("eth0", ETH_P_ARP))

        def answer() -> None:
            while True:
                message = arp.parse(wire.recv(2048))
                if isinstance(message, str) or message[3] == message[1]:
                    return
                if message[0] == arp.ARPOP_REQUEST:
                    for lladdr in (THEM, TOO):
                        sha, to = (bytes.fromhex(text.replace(":", "")) for text in (lladdr, US))
                        wire.send(
                            arp.build(arp.ARPOP_REPLY, message[3], sha, message[1], to, dst=to, src=sha)
                        )

        station = threading.Thread(target=answer)
        station.start()
        yield
        # An announcement ends it.
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as ours:
            ours.bind(("eth0", ETH_P_ARP))
            own, sha = bytes([198, 51, 100, 1]), bytes.fromhex(US.replace(":", ""))
            ours.send(arp.build(arp.ARPOP_REQUEST, own, sha, own, bytes(6), dst=ethernet.BROADCAST, src=sha))
        station.join()
