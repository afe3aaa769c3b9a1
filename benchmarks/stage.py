"""The networks in which rows are measured: two namespaces, whose kernels answer for whole ranges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random
from typing import Final

from neighio.testing import Here, Peer, connect

__all__ = ["ANSWERING", "FAR", "NEAR", "REAL", "SPARSE_NETWORK", "WHOLE_NETWORK", "link", "sparse"]

NEAR: Final = "va"
FAR: Final = "vb"
NEAR_LLADDR: Final = "02:00:00:00:00:0a"
FAR_LLADDR: Final = "02:00:00:00:00:0b"
NEAR_ADDRESSES: Final = ("198.19.0.1/15", "2001:db8::1/64", "fe80::1/64")
FAR_ADDRESSES: Final = ("198.19.255.254/15", "2001:db8::2/64", "fe80::2/64")
WHOLE_NETWORK: Final = "198.18.0.0/16"
SPARSE_NETWORK: Final = "198.19.1.0/24"
ANSWERING: Final = 25
REAL: Final = 200
"""How many addresses of 2001:db8::1:0/112 answer: an IPv6 host answers for its own addresses alone."""


@contextmanager
def _joined() -> Iterator[tuple[Here, Peer]]:
    here = Here()
    try:
        here.set_link("lo", up=True)
        with Peer.start() as peer:
            connect(here, peer, NEAR, FAR, lladdr=NEAR_LLADDR, far_lladdr=FAR_LLADDR)
            for near in NEAR_ADDRESSES:
                here.add_address(NEAR, near)
            for far in FAR_ADDRESSES:
                peer.add_address(FAR, far)
            yield here, peer
    finally:
        here.close()


@contextmanager
def link() -> Iterator[Peer]:
    """Two stations; the other one's kernel answers for all of 198.18.0.0/16 and for 2001:db8::1:0 to c7."""
    with _joined() as (_, peer):
        peer.route_local(WHOLE_NETWORK)
        for number in range(REAL):
            peer.add_address(FAR, f"2001:db8::1:{number:x}/64")
        yield peer


@contextmanager
def sparse() -> Iterator[Peer]:
    """Two stations; the other one's kernel answers for 25 addresses of 198.19.1.0/24."""
    with _joined() as (_, peer):
        for number in sparse_hosts():
            peer.route_local(f"198.19.1.{number}/32")
        yield peer


def sparse_hosts() -> Sequence[int]:
    """The same ones in every run."""
    return sorted(Random(1).sample(range(256), ANSWERING))
