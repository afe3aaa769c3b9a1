"""The kernel as judge: what was captured of it, played as its own view, gives the table that it had."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from tempfile import TemporaryDirectory

from neighio.address import format_ip
from neighio.core.constants import NUD_NOARP, nud_state_name
from neighio.testing import Here, Peer, connect, in_namespace

from .playing import play
from .recording import BEGAN, Timed

ETH_P_ALL = 3
SO_TIMESTAMPNS = 35
CARD, THEM = "02:00:00:00:00:01", "02:00:00:00:00:07"
SECONDS = 20.0


class Tap:
    """What passes an interface, as it is captured."""

    def __init__(self, here: Here, name: str) -> None:
        self._socket = here.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.bind((name, ETH_P_ALL))
        self._socket.settimeout(SECONDS)
        self.frames: list[Timed] = []

    def until(self, wanted: bytes) -> None:
        """Capture until a frame holds certain octets."""
        while True:
            frame, about, _, _ = self._socket.recvmsg(2048, 64)
            seconds, nanoseconds = struct.unpack("@ll", about[0][2])
            self.frames.append((seconds - BEGAN + nanoseconds / 1e9, frame))
            if wanted in frame:
                return

    def close(self) -> None:
        self._socket.close()


def say(end: Here | Peer, target: str, text: bytes, source: str | None = None) -> None:
    """Have a kernel send a datagram to a port of which nobody knows anything."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    with end.socket(family, socket.SOCK_DGRAM) as sender:
        if source is not None:
            sender.bind((source, 0))
        sender.sendto(text, (target, 9))


def table_of(here: Here) -> dict[str, tuple[str | None, str]]:
    return {
        f"{format_ip(message.ip)} dev link": (
            None if message.lladdr is None else message.lladdr.hex(":"),
            nud_state_name(message.state),
        )
        for message in here.neighbours("eth0")
        if not message.state & NUD_NOARP
    }


@in_namespace
def test_a_station_s_view_is_the_table_that_the_kernel_had() -> None:
    here = Here()
    with Peer.start() as peer, TemporaryDirectory() as folder:
        connect(here, peer, "eth0", "eth0", lladdr=CARD, far_lladdr=THEM)
        for end, hosts in ((here, (1,)), (peer, (7, 8))):
            for host in hosts:
                end.add_address("eth0", f"198.51.100.{host}/24")
                end.add_address("eth0", f"2001:db8::{host}/64")
        slow = []
        for family in ("ipv4", "ipv6"):
            # A machine under load is no reason to give somebody up, or to ask again.
            for name, value in (("mcast_solicit", 60), ("delay_first_probe_time", 60)):
                here.sysctl(f"net/{family}/neigh/eth0/{name}", value)
                slow += ["--set", f"{family}.{name}={value}"]
        tap = Tap(here, "eth0")
        for here_is, they_are in (("198.51.100.1", "198.51.100."), ("2001:db8::1", "2001:db8::")):
            # Asked and answered; asked, and nobody answers; asked by somebody, who is then answered.
            say(here, f"{they_are}7", b"to seven")
            tap.until(b"to seven")
            say(here, f"{they_are}9", b"to nine")
            say(peer, here_is, b"from eight", source=f"{they_are}8")
            tap.until(b"from eight")
        say(peer, "198.51.100.1", b"the end", source="198.51.100.7")
        tap.until(b"the end")
        # The refusals of what was said go out before the next frame comes in.
        say(peer, "198.51.100.1", b"the very end", source="198.51.100.7")
        tap.until(b"the very end")
        had = table_of(here)
        tap.close()
        file = Path(folder) / "kernel.pcap"
        played = play(file, tap.frames, "--as", "198.51.100.1/24", *slow)
    here.close()

    shown = {name: found for name, found in played.table().items() if found[1] != "NOARP"}
    assert {name: found for name, found in had.items() if "fe80:" not in name} == {
        name: found for name, found in shown.items() if "fe80:" not in name
    }
    assert len(shown) >= 6
