"""``neighio watch`` as a process of its own, and stations that speak on its link."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from neighio.address import LinkAddress, parse_ip
from neighio.testing import Here, Peer, connect
from neighio.wire import arp, ethernet, ndisc
from neighio.wire.ethernet import BROADCAST, ETH_P_IPV6, ipv6_multicast_lladdr
from neighio.wire.ipv6 import ALL_NODES, solicited_node

from .program import SECONDS, Program, Record
from .schemas import validate

COMMAND = [sys.executable, "-W", "error", "-m", "neighio"]
OURS = "00:00:5e:00:53:01"
OUR_IP, OUR_IP6 = "198.51.100.1", "2001:db8::1"

SOMEBODY = {4: "198.51.100.250", 16: "2001:db8::250"}
SOMEBODY_ELSE = {4: "198.51.100.251", 16: "2001:db8::251"}


class Wire(Protocol):
    """What a speaker speaks to."""

    def send(self, frame: bytes, /) -> object: ...


def station(number: int) -> str:
    """The link-layer address of a station that nobody made up (RFC 9542, section 2.1.4)."""
    return f"00:00:5e:00:53:{number:02x}"


class Speaker:
    """Whoever speaks at the other end of the link."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def announce(self, ip: str, lladdr: str, source: str | None = None) -> None:
        """Say to all that an address is here: gratuitous ARP, perhaps sent by another ``source``, or an
        unsolicited advertisement."""
        key, lladdr_there = _packed(ip, lladdr)
        if len(key) == 4:
            self._request(key, key, lladdr_there, source)
        else:
            self._advertise(ipv6_multicast_lladdr(ALL_NODES), ALL_NODES, key, lladdr_there, solicited=False)

    def ask(self, ip: str, lladdr: str) -> None:
        """Ask for somebody, as everybody does now and then."""
        key, source = _packed(ip, lladdr)
        target = parse_ip(SOMEBODY[len(key)])[0]
        if len(key) == 4:
            self._request(key, target, source)
        else:
            group = solicited_node(target)
            packet = ndisc.build_solicitation(key, group, target, source)
            self._wire.send(ethernet.build(ipv6_multicast_lladdr(group), source, ETH_P_IPV6, packet))

    def answer(self, ip: str, lladdr: str, whom: str | None = None) -> None:
        """Answer somebody else, who is not the watcher."""
        key, source = _packed(ip, lladdr)
        asker, to = parse_ip(whom or SOMEBODY[len(key)])[0], LinkAddress(station(250))
        if len(key) == 4:
            frame = arp.build(arp.ARPOP_REPLY, key, source, asker, to, dst=to, src=source)
            self._wire.send(frame)
        else:
            self._advertise(to, asker, key, source, solicited=True)

    def probe(self, ip: str, lladdr: str) -> None:
        """Ask whether anybody has an address, before having it (RFC 5227)."""
        key, source = _packed(ip, lladdr)
        self._request(bytes(4), key, source)

    def _advertise(self, to: bytes, dst: bytes, key: bytes, source: bytes, *, solicited: bool) -> None:
        packet = ndisc.build_advertisement(
            key, dst, key, source, router=False, solicited=solicited, override=True
        )
        self._wire.send(ethernet.build(to, source, ETH_P_IPV6, packet))

    def _request(self, spa: bytes, tpa: bytes, sha: bytes, source: str | None = None) -> None:
        src = sha if source is None else bytes(LinkAddress(source))
        self._wire.send(arp.build(arp.ARPOP_REQUEST, spa, sha, tpa, bytes(6), dst=BROADCAST, src=src))


def _packed(ip: str, lladdr: str) -> tuple[bytes, bytes]:
    return parse_ip(ip)[0], bytes(LinkAddress(lladdr))


@contextmanager
def link() -> Iterator[tuple[Here, Peer, Speaker]]:
    """Build a link: eth0 here, with an address of either family; whoever speaks is at the other end."""
    here = Here()
    with Peer.start() as peer:
        connect(here, peer, "eth0", "eth0", lladdr=OURS, far_lladdr=station(0xFE))
        here.add_address("eth0", f"{OUR_IP}/24")
        here.add_address("eth0", f"{OUR_IP6}/64")
        with peer.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind(("eth0", 0))
            yield here, peer, Speaker(wire)
    here.close()


class Watching(Program):
    """A watcher that runs."""

    def __init__(self, *arguments: str, prefix: Sequence[str] = (), **options: Any) -> None:
        super().__init__([*prefix, *COMMAND, "watch", *arguments], **options)

    def record(self) -> Record:
        """The next line, which is JSON and as its schema has it."""
        line = self.line()
        assert line, self.errors()
        found: Record = json.loads(line)
        validate("watch", found)
        return found

    def begun(self) -> Watching:
        """Wait until it says that it misses nothing from now on (--json)."""
        assert self.record()["kind"] == "begun"
        return self

    def until(self, wanted: Callable[[Record], bool]) -> list[Record]:
        """Read to the first report that is wanted; return all up to it."""
        found = []
        while True:
            found.append(self.record())
            if wanted(found[-1]):
                return found

    def rest(self) -> list[Record]:
        """Read to the end; a line that was cut is none."""
        found = []
        while line := self.line(cut=True):
            found.append(json.loads(line))
            validate("watch", found[-1])
        return found

    def errors(self) -> str:
        """What it says on standard error, to its end."""
        assert self.process.stderr is not None
        text: bytes = self.process.stderr.read()
        return text.decode()

    def end(self, signal_number: int) -> tuple[int, list[Record]]:
        """End it; return its status and the reports that were still to be read."""
        self.process.send_signal(signal_number)
        rest = self.rest()
        assert self.errors() == ""
        return self.process.wait(SECONDS), rest


def short(record: Record) -> tuple[Any, ...]:
    """What a report says, without its times."""
    return tuple(record[name] for name in ("kind", "address", "lladdr", "other"))
