"""What scenarios of Neighbour Discovery are told with: a node with IPv6 addresses, messages to it, what it said."""

from __future__ import annotations

from typing import Literal, NamedTuple

from neighio.address import LinkAddress, format_ip, parse_ip
from neighio.core.cache import NeighbourCache
from neighio.core.constants import AF_INET6
from neighio.core.events import Transmit
from neighio.core.neighbour import Neighbour
from neighio.testing.simulation import Simulation
from neighio.wire import ndisc
from neighio.wire.ethernet import ipv6_multicast_lladdr
from neighio.wire.ipv6 import is_multicast, solicited_node

from .helpers import OWN, PEER, lines, record

US = "2001:db8::1"
US_LOCAL = "fe80::a"
HOST = "2001:db8::7"
OTHER_HOST = "2001:db8::99"
OFF_LINK = "2001:db8:ffff::7"
ROUTER = "fe80::1"
ALL_NODES = "ff02::1"
ALL_ROUTERS = "ff02::2"
ELSEWHERE = "02:00:00:00:00:0c"

ETHERTYPE = b"\x86\xdd"

# Times that are no default, and long enough to stand still in.
SLOW = {"base_reachable_time": 4000.0, "retrans_time": 900.0, "delay_first_probe_time": 700.0}


def node6(*, role: Literal["client", "host"] = "client", trace: bool = False, **changes: float) -> Simulation:
    """A node with one device "va" (2001:db8::1/64, fe80::a/64), nobody else on its segment. A host has
    reported its groups already."""
    sim = Simulation(start=1000.0, seed=7, trace=trace)
    sim.add_device("va", OWN, (f"{US}/64", f"{US_LOCAL}/64"), role=role)
    if changes:
        sim.set("va", 6, **changes)
    sim.run(5.0)
    lines(sim)
    return sim


def cache6(sim: Simulation) -> NeighbourCache:
    return sim.engine.caches[AF_INET6]


def packed(ip: str) -> bytes:
    return parse_ip(ip)[0]


def group(ip: str) -> str:
    """The solicited-node group of an address."""
    return format_ip(solicited_node(packed(ip)))


# -- messages that arrive


def frame(packet: bytes, *, dst: str | None = None, src: str = PEER) -> bytes:
    """A packet in the frame that takes it to our device, or to its group, unless another is named."""
    ip = packet[24:40]
    if dst is not None:
        to = bytes(LinkAddress(dst))
    else:
        to = ipv6_multicast_lladdr(ip) if is_multicast(ip) else bytes(LinkAddress(OWN))
    return to + bytes(LinkAddress(src)) + ETHERTYPE + packet


def _lladdr(lladdr: str | None) -> bytes | None:
    return None if lladdr is None else bytes(LinkAddress(lladdr))


def solicitation(
    sender: str,
    target: str,
    *,
    lladdr: str | None = PEER,
    dst: str | None = None,
    nonce: bytes | None = None,
    ether: str | None = None,
) -> bytes:
    """A neighbour solicitation, to the target's solicited-node group unless ``dst`` is another."""
    to = packed(group(target) if dst is None else dst)
    return frame(
        ndisc.build_solicitation(packed(sender), to, packed(target), _lladdr(lladdr), nonce), dst=ether
    )


def wanted(target: str, *, nonce: bytes | None = None) -> bytes:
    """A solicitation from ::, of somebody who wants the address for himself."""
    return solicitation("::", target, lladdr=None, nonce=nonce)


def advertisement(
    target: str,
    flags: str = "",
    *,
    lladdr: str | None = PEER,
    sender: str | None = None,
    dst: str | None = None,
    ether: str | None = None,
) -> bytes:
    """A neighbour advertisement with some of the flags "RSO", to us if it is solicited, else to all nodes."""
    to = dst or (US if "S" in flags else ALL_NODES)
    packet = ndisc.build_advertisement(
        packed(sender or target),
        packed(to),
        packed(target),
        _lladdr(lladdr),
        router="R" in flags,
        solicited="S" in flags,
        override="O" in flags,
    )
    return frame(packet, dst=ether)


def router_solicitation(sender: str = HOST, *, lladdr: str | None = PEER) -> bytes:
    return frame(ndisc.build_router_solicitation(packed(sender), packed(ALL_ROUTERS), _lladdr(lladdr)))


def router_advertisement(
    sender: str = ROUTER,
    *,
    lladdr: str | None = PEER,
    lifetime: int = 0,
    reachable_time: float = 0.0,
    retrans_timer: float = 0.0,
) -> bytes:
    packet = ndisc.build_router_advertisement(
        packed(sender),
        packed(ALL_NODES),
        _lladdr(lladdr),
        lifetime=lifetime,
        reachable_time=reachable_time,
        retrans_timer=retrans_timer,
    )
    return frame(packet)


def redirect(
    target: str,
    destination: str,
    *,
    sender: str = ROUTER,
    lladdr: str | None = PEER,
    redirected: bytes | None = None,
) -> bytes:
    packet = ndisc.build_redirect(
        packed(sender), packed(US), packed(target), packed(destination), _lladdr(lladdr), redirected
    )
    return frame(packet)


# -- what the node said


class Said(NamedTuple):
    """A solicitation or an advertisement that left the node."""

    kind: str
    """"NS" or "NA"."""
    target: str
    src: str
    dst: str
    to: str
    """The frame's destination."""
    lladdr: str | None
    flags: str
    """Those of "RSO" that are set."""


def said(sim: Simulation) -> list[Said]:
    """The messages that left since :meth:`Simulation.lines` was last called; other frames are not shown."""
    found = []
    for sent in neighbour_messages(sim):
        message = ndisc.parse(sent)
        assert isinstance(message, ndisc.Solicitation | ndisc.Advertisement)
        kind, flags = "NS", ""
        if isinstance(message, ndisc.Advertisement):
            kind = "NA"
            flags = "R" * message.router + "S" * message.solicited + "O" * message.override
        ips = (format_ip(ip) for ip in (message.target, message.src, message.dst))
        lladdr = None if message.lladdr is None else str(LinkAddress(message.lladdr))
        found.append(Said(kind, *ips, str(LinkAddress(sent[:6])), lladdr, flags))
    return found


def neighbour_messages(sim: Simulation) -> list[bytes]:
    """The frames with a solicitation or an advertisement that left."""
    kinds = ndisc.Solicitation | ndisc.Advertisement
    sent = [output.frame for output in sim.outputs if isinstance(output, Transmit)]
    return [one for one in sent if isinstance(ndisc.parse(one), kinds)]


def asked_all(target: str, src: str = US_LOCAL) -> Said:
    """The solicitation to all who may have an address."""
    to = str(LinkAddress(ipv6_multicast_lladdr(solicited_node(packed(target)))))
    return Said("NS", target, src, group(target), to, OWN, "")


def asked(target: str, src: str = US_LOCAL, to: str = PEER) -> Said:
    """The solicitation to a neighbour alone."""
    return Said("NS", target, src, target, to, OWN, "")


# -- a look inside


def table6(sim: Simulation) -> dict[tuple[str, str], dict[str, object]]:
    """Every entry, and everything that it holds."""
    cache = cache6(sim)
    entries = [cache.handle(row) for row in cache.rows()]
    return {(entry.dev, entry.ip): record(entry) for entry in entries}


def present(sim: Simulation) -> set[str]:
    """The addresses in the table, without the groups that messages went to."""
    return {ip for _, ip in table6(sim) if not is_multicast(packed(ip))}


def entry(sim: Simulation, ip: str = HOST) -> Neighbour:
    found = sim.neighbour(ip)
    assert found is not None, f"{ip} is not in the table"
    return found
