"""A namespace whose kernel is the other station, and what is asked of it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import trio

import neighio
from neighio import LinkAddress, NudState
from neighio.address import parse_ip
from neighio.core.constants import NUD_VALID
from neighio.kernel import requests
from neighio.kernel.rtnetlink import AddressMessage, NeighbourMessage, decode
from neighio.testing import Here, Namespace, Peer, connect

OURS = "02:00:00:00:00:0a"
KERNELS = "02:00:00:00:00:0b"
MOVED = "02:00:00:00:00:1a"
OWN = ["198.51.100.1/24", "2001:db8::1/64", "fe80::1/64"]
THEIRS = ["198.51.100.2/24", "2001:db8::2/64", "fe80::2/64"]
OURS4, OURS6, OUR_LOCAL = (address.partition("/")[0] for address in OWN)
THEIRS4, THEIRS6, THEIR_LOCAL = (address.partition("/")[0] for address in THEIRS)
PAIRS = [(OURS4, THEIRS4), (OURS6, THEIRS6)]


def packed(ip: str) -> bytes:
    return parse_ip(ip.partition("/")[0].partition("%")[0])[0]


@contextmanager
def kernel(name: str = "va") -> Iterator[Peer]:
    """A namespace in which the kernel is at THEIRS, on the other end of a device here."""
    with Peer.start() as peer:
        join(peer, name)
        yield peer


def join(peer: Peer, name: str = "va") -> None:
    """Connect the peer's ``vb``, at THEIRS, with a device here."""
    connect(Here(), peer, name, "vb", far_lladdr=KERNELS)
    for address in THEIRS:
        peer.add_address("vb", address)


def host(*addresses: str, lladdr: str = OURS, **options: Any) -> neighio.Device:
    return neighio.Device("va", "host", lladdr=lladdr, addresses=addresses, **options)


def entry(station: Namespace, ip: str, name: str = "vb") -> NeighbourMessage | None:
    """What the kernel knows of a neighbour."""
    return next((one for one in station.neighbours(name) if one.ip == packed(ip)), None)


def known(station: Namespace, ip: str, name: str = "vb") -> LinkAddress | None:
    """Where the kernel has a neighbour, if it has one."""
    found = entry(station, ip, name)
    valid = found is not None and found.state & NUD_VALID and found.lladdr is not None
    return LinkAddress(found.lladdr) if valid else None  # type: ignore[union-attr,arg-type]


def state(station: Namespace, ip: str, name: str = "vb") -> NudState | None:
    found = entry(station, ip, name)
    return None if found is None else NudState(found.state)


def flags(station: Namespace, name: str, ip: str) -> int | None:
    """The IFA_F_* flags of one of the kernel's own addresses; None when it has it not."""
    index = station.link(name).index
    for message in station.request(requests.dump_addresses()):
        found = decode(message)
        if isinstance(found, AddressMessage) and (found.index, found.local) == (index, packed(ip)):
            return found.flags
    return None


class _Echo(NamedTuple):
    family: int
    protocol: int
    request: bytes
    reply: int
    header: int


_ECHO4 = _Echo(socket.AF_INET, socket.IPPROTO_ICMP, bytes.fromhex("0800f7fe00010000"), 0, 20)
_ECHO6 = _Echo(socket.AF_INET6, socket.IPPROTO_ICMPV6, bytes.fromhex("8000000000010000"), 129, 0)


async def ping(station: Namespace, ip: str, *, seconds: float = 5.0) -> bool:
    """Whether an echo request of the kernel's is answered; ``ip`` may name its device as a zone."""
    echo = _ECHO6 if ":" in ip else _ECHO4
    ip, _, zone = ip.partition("%")
    where: Any = (ip, 0, 0, station.link(zone).index) if zone else (ip, 0)
    with station.socket(echo.family, socket.SOCK_RAW, echo.protocol) as raw:
        raw.setblocking(False)
        raw.sendto(echo.request, where)
        with trio.move_on_after(seconds):
            while True:
                await trio.lowlevel.wait_readable(raw)
                found, sender = raw.recvfrom(200)
                if found[echo.header] == echo.reply and packed(sender[0]) == packed(ip):
                    return True
    return False


def send(station: Namespace, ip: str, data: bytes = b"hello") -> None:
    """Have the kernel send a datagram to port 9."""
    with station.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(data, (ip, 9))


async def until(condition: Callable[..., object], *arguments: object) -> None:
    """Wait for what the kernel does in its own time."""
    with trio.fail_after(10):
        while not condition(*arguments):  # noqa: ASYNC110
            await trio.sleep(0.01)


async def resolved(table: neighio.NeighbourTable, ip: str) -> LinkAddress:
    """Resolve an address as soon as the wire is there again."""
    with trio.fail_after(10):
        while True:
            try:
                return await table.resolve(ip)
            except (neighio.Unreachable, neighio.DeviceGone, neighio.InvalidAddress):
                await trio.sleep(0.02)
