"""``neighio host`` as a process of its own, and the kernel at the other end of its link."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from neighio.address import parse_ip
from neighio.kernel.rtnetlink import NeighbourMessage
from neighio.testing import Here, Namespace, Peer, connect

from .program import SECONDS, Program, Record
from .schemas import validate

CARD, MAC, THEM = "02:00:00:00:00:01", "02:00:00:00:00:0a", "02:00:00:00:00:0b"
"""The interface's own address, the host's, the kernel's at the other end."""

COMMAND = [sys.executable, "-W", "error", "-m", "neighio", "host"]
IPV4, IPV6, LINK_LOCAL = "198.51.100.1/24", "2001:db8::1/64", "fe80::1/64"
ADDRESSES = ["--address", IPV4, "--address", IPV6, "--address", LINK_LOCAL, "--no-dad"]
LASTING = [f"--set={family}.base_reachable_time=3600" for family in ("ipv4", "ipv6")]
"""What is REACHABLE stays so, however slow the machine is: Linux's own time is over after 15 to 45 seconds."""


@contextmanager
def link(*, quiet: bool = False) -> Iterator[tuple[Here, Peer]]:
    """Build a link: v1 here, without any address; at its other end, v2, the kernel has .2, ::2 and fe80::2,
    or nothing when ``quiet``."""
    here = Here()
    with Peer.start() as peer:
        plug(here, peer, quiet=quiet)
        yield here, peer
    here.close()


def plug(here: Here, peer: Peer, *, quiet: bool = False) -> None:
    connect(here, peer, "v1", "v2", lladdr=CARD, far_lladdr=THEM)
    for address in [] if quiet else ["198.51.100.2/24", "2001:db8::2/64", "fe80::2/64"]:
        peer.add_address("v2", address)
    # It would ask after 5 s whether who spoke to it is still there, and become a neighbour by another address.
    for family in ("ipv4", "ipv6"):
        peer.sysctl(f"net/{family}/neigh/v2/delay_first_probe_time", 3600)


class Running(Program):
    """A host that runs."""

    def __init__(
        self,
        *arguments: str,
        prefix: Sequence[str] = (),
        stdin: Any = subprocess.PIPE,
        where: str = "--dev=v1",
    ) -> None:
        super().__init__([*prefix, *COMMAND, *([where] if where else []), *arguments], stdin=stdin)

    def ready(self) -> Running:
        """Wait until it says that it is ready, with --monitor text or none."""
        assert self.line() == "ready"
        return self

    def record(self) -> Record:
        """The next line, which is JSON and as the schema says."""
        line = self.line()
        assert line, "the output has ended"
        record: Record = json.loads(line)
        validate("host", record)
        return record

    def until(self, wanted: Callable[[Record], bool]) -> Record:
        """Read to the first record that is wanted; return it."""
        while True:
            record = self.record()
            if wanted(record):
                return record
            self.records.append(record)

    def kind(self, kind: str) -> Record:
        """The next record of a kind."""
        return self.until(lambda record: record.get("kind") == kind)

    def tell(self, text: str) -> None:
        """Write a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, command: str) -> Record:
        """Give a command; return its answer. With --monitor json: what was printed before it is in
        :attr:`records`."""
        self.tell(command)
        return self.until(lambda record: "ok" in record)

    def do(self, command: str) -> Record:
        """Give a command that has to succeed."""
        answer = self.ask(command)
        assert answer["ok"] is True, answer
        return answer

    def refusal(self, command: str) -> tuple[str, str]:
        """Give a command that has to be refused; return the errno's name and the text."""
        answer = self.ask(command)
        assert list(answer) == ["ok", "time", "wall", "error", "errno"] and answer["ok"] is False, answer
        return answer["errno"], answer["error"]

    def end(self, signal_number: int | None = None) -> tuple[int, str, str]:
        """End its input, or send it a signal; return its status, the rest of its output and its errors."""
        if signal_number is not None:
            self.process.send_signal(signal_number)
            assert self.process.wait(SECONDS) is not None
        output, errors = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, (self._unread + output).decode(), errors.decode()


def ping(peer: Namespace, ip: str) -> str:
    """Have the kernel at the other end send an echo request; return who answers it, without a zone."""
    key, zone = parse_ip(ip)
    ipv4 = len(key) == 4
    family, protocol = (
        (socket.AF_INET, socket.IPPROTO_ICMP) if ipv4 else (socket.AF_INET6, socket.IPPROTO_ICMPV6)
    )
    request = bytes.fromhex("0800f7fd00010001" if ipv4 else "8000000000010001")
    address: Any = (ip, 0) if zone is None else (ip.partition("%")[0], 0, 0, peer.link(zone).index)
    with peer.socket(family, socket.SOCK_RAW, protocol) as wire:
        wire.settimeout(SECONDS)
        wire.sendto(request, address)
        while True:
            data, sender = wire.recvfrom(2048)
            message = data[20:] if ipv4 else data
            if message[0] == (0 if ipv4 else 129):
                assert message[4:8] == request[4:8]
                return str(sender[0]).partition("%")[0]


def kernels_neighbour(peer: Peer, ip: str) -> NeighbourMessage | None:
    """What the kernel at the other end knows of an address."""
    key, _ = parse_ip(ip)
    return next((entry for entry in peer.neighbours("v2") if entry.ip == key), None)
