"""The system, Python, optional packages and socket buffers."""

from __future__ import annotations

import importlib.util
import platform
import re
import socket
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from ... import __version__
from ...link.af_packet import RECEIVE_BUFFER, SO_RCVBUFFORCE
from ..sysctl import read_number
from .findings import Finding, Level

__all__ = ["find_buffers", "find_packages", "find_system"]

OLDEST: Final = (4, 20)
"""The first Linux that leaves what this host sends out of its packet sockets (PACKET_IGNORE_OUTGOING), and
answers strictly on rtnetlink."""

SMALL_SEND_BUFFER: Final = 64 << 10
"""Octets: some 80 requests, as the kernel counts them (832 each)."""

_PACKAGES: Final = (
    ("rich", "rich", "cli", "live tables and progress bars are plain lines without it"),
    ("scapy", "scapy", "scapy", "captures cannot be written, nor frames dissected, without it"),
    ("aiooui", "aiooui", "vendors", "vendors' names are had from other programs' lists alone without it"),
    ("prometheus_client", "prometheus-client", "metrics", "--metrics cannot serve anything without it"),
)
"""Modules, their packages, the extras that bring them, and what is missing without."""


def find_system() -> Iterator[Finding]:
    """The operating system and the versions."""
    ours = f"neighio {__version__}, Python {platform.python_version()}, trio {_version('trio')}"
    yield Finding(Level.OK, "system", "versions", ours)
    if sys.platform != "linux":
        yield Finding(
            Level.PROBLEM,
            "system",
            "kernel",
            f"this is {sys.platform}",
            "real devices need Linux; simulations, links in memory, replays and the demo work here, too",
            "run it on Linux, be it in a virtual machine",
        )
        return
    release = platform.release()
    found = re.match(r"(\d+)\.(\d+)", release)
    if found is not None and (int(found[1]), int(found[2])) < OLDEST:
        yield Finding(
            Level.WARNING,
            "system",
            "kernel",
            f"Linux {release} is older than {OLDEST[0]}.{OLDEST[1]}",
            "what this host sends itself is filtered out in a slower way, and nobody tries neighio there",
            "use a newer kernel",
        )
    else:
        yield Finding(Level.OK, "system", "kernel", f"Linux {release}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def find_packages() -> Iterator[Finding]:
    """The packages that neighio can do without."""
    for module, package, extra, without in _PACKAGES:
        if importlib.util.find_spec(module) is None:
            yield Finding(
                Level.NOTE,
                "packages",
                package,
                "not installed",
                without,
                f"pip install 'neighio[{extra}]'",
            )
        else:
            yield Finding(Level.OK, "packages", package, _version(package))


def find_buffers() -> Iterator[Finding]:
    """What a socket's buffers hold here; tried, since a limit does not bind whoever has CAP_NET_ADMIN."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
        except OSError:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        # The kernel keeps, and tells, twice what was asked for (socket(7)).
        receive = probe.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2
        send = probe.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    if receive < RECEIVE_BUFFER:
        limit = read_number("net/core/rmem_max")
        yield Finding(
            Level.WARNING,
            "buffers",
            "net.core.rmem_max",
            f"{limit if limit is not None else receive} octets, of {RECEIVE_BUFFER} that neighio asks for",
            "answers that arrive in a burst are lost when the buffer is full: scan slower, or enlarge it",
            f"sysctl -w net.core.rmem_max={RECEIVE_BUFFER}",
        )
    else:
        yield Finding(Level.OK, "buffers", "receive buffer", f"{receive} octets, as neighio asks for")
    if send < SMALL_SEND_BUFFER:
        yield Finding(
            Level.WARNING,
            "buffers",
            "net.core.wmem_default",
            f"{send} octets",
            "requests that are sent in a burst are refused when the buffer is full, and lost (tx_busy)",
            "sysctl -w net.core.wmem_default=212992",
        )
    else:
        yield Finding(Level.OK, "buffers", "send buffer", f"{send} octets")
