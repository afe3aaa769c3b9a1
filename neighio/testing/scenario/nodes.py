"""The node, the peer and the wire between them, as namespaces of the running kernel."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Final

from ..namespace import Namespace, connect
from ..namespace import Peer as Station
from .model import DEVICE, NODE_LLADDR, PEER_LLADDR, RouteChange

__all__ = ["METRONOME", "Nodes"]

METRONOME: Final = "203.0.113.9"
"""Nobody's: an entry of it tells when managed work runs."""

_QUIET: Final = {"conf/all/rp_filter": 0, f"conf/{DEVICE}/rp_filter": 0}


class Nodes:
    """The two namespaces and the wire between them."""

    def __init__(
        self,
        addresses: tuple[str, ...] = ("198.51.100.1/24",),
        routes: tuple[RouteChange, ...] = (),
        *,
        metronome: bool = False,
    ) -> None:
        with contextlib.ExitStack() as stack:
            self.node: Namespace = stack.enter_context(Station.start())
            self.far: Namespace = stack.enter_context(Station.start())
            connect(self.node, self.far, DEVICE, "vb", lladdr=str(NODE_LLADDR), far_lladdr=str(PEER_LLADDR))
            if metronome:
                connect(self.node, self.far, "vm", "vn")
                self.node.add_address("vm", "203.0.113.1/24")
            for path, value in _QUIET.items():
                self.node.sysctl(f"net/ipv4/{path}", value)
            # The detection of duplicates begins at once, else it would at a time that is drawn.
            self.node.sysctl(f"net/ipv6/conf/{DEVICE}/router_solicitation_delay", 0)
            for address in addresses:
                self.node.add_address(DEVICE, address)
            for route in routes:
                self.node.add_route(DEVICE, route.prefix, route.gateway)
            self._stack = stack.pop_all()

    def __enter__(self) -> Nodes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
