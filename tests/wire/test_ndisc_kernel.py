"""The running kernel as oracle: it takes from the wire exactly what :func:`ndisc.parse` takes.

Each frame has an address of its own by which the kernel's table tells afterwards whether the frame was taken,
and a good solicitation follows the frames, whose answer says that all of them have been judged.
"""

from __future__ import annotations

import platform
import random
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from neighio.core.constants import NUD_STALE
from neighio.kernel import requests
from neighio.testing.isolation import require_namespaces, wrong_release
from neighio.testing.namespace import Peer, connect
from neighio.wire import ndisc

from .drafts import (
    DRAFTS,
    FIXED_SIZES,
    OUR_GROUP,
    OUR_IP,
    OUR_MAC,
    PADDING,
    PEER_MAC,
    Draft,
    extension,
    fragment,
    ip,
    option,
    routing,
)
from .test_ipv6 import CHAINS, OPTIONS
from .test_ndisc import BREAKS, OWN_OPTION

HOPOPTS, ROUTING, FRAGMENT, DSTOPTS = 0, 43, 44, 60
OLD_MAC = bytes.fromhex("0200005e10ff")
ROUTER = ip("fe80::7")
# The kernel's table is one for all namespaces, and its thresholds are the machine's.
AT_ONCE = 60


class Kernel:
    """A device in a namespace, with the address fe80::1, that is sent frames from the other end of a veth pair."""

    def __init__(self, here: Peer) -> None:
        self.here = here
        ours, _ = connect(here, here, "va", "vb", lladdr=OUR_MAC.hex(":"), far_lladdr=PEER_MAC.hex(":"))
        self.index = ours.index
        self.here.add_address("va", "fe80::1/64")
        self.here.sysctl("net/ipv6/conf/va/forwarding", 0)
        self.here.sysctl("net/ipv6/conf/va/accept_redirects", 1)
        self.here.add_route("va", "2001:db8::/32", "fe80::7")
        self.sender = self.here.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
        self.sender.bind(("vb", 0x86DD))
        self.sender.settimeout(20)
        self.serial = 0

    def unique(self, name: str) -> Draft:
        """A good frame of a kind whose key no other frame has."""
        self.serial += 1
        own = ip(f"fe80::7:{self.serial:x}")
        draft = DRAFTS[name]
        match name:
            case "advertisement":
                return draft.but(body=draft.body[:4] + own)
            case "redirect":
                # Delivered through the packet in it, if there is one.
                return draft.but(
                    src=ROUTER,
                    body=bytes(4) + own + ip(f"2001:db8:1::{self.serial:x}"),
                    options=option(2, PEER_MAC),
                )
            case _:
                return draft.but(src=own)

    def key(self, draft: Draft) -> bytes:
        """The address of the neighbour that a frame is about."""
        return draft.body[4:20] if draft.kind in (ndisc.ND_NEIGHBOUR_ADVERT, ndisc.ND_REDIRECT) else draft.src

    def learnt(self, drafts: list[Draft]) -> list[bytes | None]:
        """Send the frames; return for each what it taught the kernel, the address of its key or None."""
        advertised = {self.key(draft) for draft in drafts if draft.kind == ndisc.ND_NEIGHBOUR_ADVERT}
        for target in advertised:
            self.here.request(requests.new_neighbour(self.index, target, OLD_MAC, state=NUD_STALE))
        for draft in drafts:
            self.sender.send(draft.frame)
        last = self.unique("solicitation")
        self.sender.send(last.frame)
        while self.sender.recv(2048)[38:55] != last.src + b"\x88":
            pass
        known = {entry.ip: entry.lladdr for entry in self.here.neighbours("va")}
        assert known[last.src] == PEER_MAC
        found = [known.get(self.key(draft)) for draft in drafts]
        for address in known:
            self.here.request(requests.del_neighbour(self.index, address))
        return [lladdr if lladdr == PEER_MAC else None for lladdr in found]


def disagreements(
    kernel: Kernel, cases: list[tuple[object, Draft]], *, fragments: bool = False
) -> list[object]:
    found: list[object] = []
    for start in range(0, len(cases), AT_ONCE):
        part = cases[start : start + AT_ONCE]
        for (what, draft), lladdr in zip(part, kernel.learnt([draft for _, draft in part]), strict=True):
            ours = ndisc.parse(draft.frame, fragments=fragments)
            if (None if isinstance(ours, str) else ours.lladdr) != lladdr:
                found.append((what, ours, lladdr))
    return found


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    require_namespaces()
    reason = wrong_release(platform.release(), "6.18", None)
    if reason is not None:
        pytest.skip(reason)
    with Peer.start() as here:
        kernel = Kernel(here)
        yield kernel
        kernel.sender.close()


def cases_of(kernel: Kernel, name: str) -> list[tuple[object, Draft]]:
    """Frames of a kind that break one rule each, and some that break none."""
    own, other = OWN_OPTION[name], 3 - OWN_OPTION[name]
    lladdr = option(own, PEER_MAC)
    changes: list[dict[str, Any]] = [
        {},
        {"first_word": 0x6FFABCDE},
        {"padding": bytes(20)},
        {"options": lladdr + option(own, bytes(14))},
        {"options": option(own, bytes(14)) + lladdr},
        {"options": option(other, bytes(14)) + lladdr},
        {"options": lladdr + option(253, bytes(14))},
        {"options": option(3, bytes(6)) + option(5, bytes(14)) + option(14, bytes(14)) + lladdr},
        *({"kept": kept} for kept in range(FIXED_SIZES[name] + 8)),
        *(
            change
            for reason, which, change in BREAKS
            # A socket takes no frame without a header. The kernel takes a tag off that is of no VLAN, before
            # anybody sees the frame: a frame that still has one here was not read from such a socket.
            if which == name and reason not in ("ethernet_truncated", "vlan_tagged")
        ),
    ]
    return [(change, kernel.unique(name).but(**change)) for change in changes]


@pytest.mark.parametrize("name", DRAFTS)
def test_the_kernel_takes_the_messages_that_we_take(kernel: Kernel, name: str) -> None:
    if name == "router_solicitation":
        kernel.here.sysctl("net/ipv6/conf/va/forwarding", 1)

    assert disagreements(kernel, cases_of(kernel, name)) == []


@pytest.mark.parametrize("suppressed", [0, 1])
def test_the_kernel_walks_over_the_extension_headers_that_we_walk_over(
    kernel: Kernel, suppressed: int
) -> None:
    kernel.here.sysctl("net/ipv6/conf/va/suppress_frag_ndisc", suppressed)
    chains = [extensions for extensions, _ in CHAINS.values()]
    chains += [
        ((header, extension(octets)),) for header in (HOPOPTS, DSTOPTS) for octets, _ in OPTIONS.values()
    ]
    chains += [((FRAGMENT, fragment(position)),) for position in (0, 2, 6, 1, 8, 0xFFF8)]
    chains += [((number, PADDING),) for number in (50, 51, 59, 135, 139, 140)]
    cases = [
        ((extensions, dst), kernel.unique("solicitation").but(extensions=extensions, dst=dst))
        for extensions in chains
        for dst in (OUR_IP, OUR_GROUP)
    ]

    assert disagreements(kernel, cases, fragments=not suppressed) == []


def random_options(choose: random.Random) -> bytes:
    """Hop-by-hop or destination options that fill a header, most of them as they should be."""
    octets = b""
    while not octets or choose.random() < 0.6:
        size = choose.choice([0, 1, 2, 2, 4, 6])
        match choose.randrange(6):
            case 0:
                octets += bytes(choose.randrange(1, 8))
            case 1:
                octets += bytes((1, size)) + bytes(size)
            case 2:
                octets += b"\5\2\0\0"
            case 3:
                octets += bytes((choose.choice([0x5E, 0x9E, 0xDE, 1, 5]), size)) + choose.randbytes(size)
            case _:
                octets += bytes((choose.choice([0x1E, 0x3E]), size)) + choose.randbytes(size)
    room = (6 - len(octets)) % 8
    return octets + (bytes(room) if room < 2 else bytes((1, room - 2)) + bytes(room - 2))


def random_chain(choose: random.Random) -> tuple[tuple[int, bytes], ...]:
    chain: list[tuple[int, bytes]] = []
    while choose.random() < 0.5:
        number = choose.choice([HOPOPTS, DSTOPTS, DSTOPTS, ROUTING, FRAGMENT])
        if number == ROUTING:
            kind = choose.choice([0, 1, 3, 4, 253])
            chain.append((number, routing(kind, choose.choice([0, 0, 1]), bytes(choose.choice([4, 20])))))
        elif number == FRAGMENT:
            chain.append((number, fragment(choose.choice([0, 0, 6, 1, 8]))))
        else:
            # Hop-by-hop options stand first, but for once in a while.
            place = len(chain) if number == DSTOPTS or choose.random() < 0.2 else 0
            chain.insert(place, (number, extension(random_options(choose))))
    return tuple(chain)


def random_message_options(choose: random.Random) -> bytes:
    octets = b""
    while choose.random() < 0.7:
        kind = choose.choice([0, 1, 1, 1, 2, 3, 4, 5, 14, 24, 253])
        size = choose.choice([6, 6, 6, 14, 22])
        data = PEER_MAC.ljust(size, b"\0")
        octets += option(kind, data, units=None if choose.random() < 0.95 else choose.randrange(5))
    return octets + choose.randbytes(choose.choice([0] * 9 + [1]))


@pytest.mark.parametrize("seed", range(4))
def test_the_kernel_takes_what_we_take_of_random_headers_and_options(kernel: Kernel, seed: int) -> None:
    choose = random.Random(seed)
    kernel.here.sysctl("net/ipv6/conf/va/suppress_frag_ndisc", 0)
    cases = []
    for _ in range(600):
        draft = kernel.unique("solicitation").but(
            extensions=random_chain(choose),
            options=random_message_options(choose),
            dst=choose.choice([OUR_IP, OUR_GROUP]),
        )
        cases.append(((draft.extensions, draft.options, draft.dst), draft))
    taken = [case for case in cases if not isinstance(ndisc.parse(case[1].frame, fragments=True), str)]

    assert disagreements(kernel, cases, fragments=True) == []
    assert 60 < len(taken) < 540
