"""The lines of iproute2's ``ip monitor neigh``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..core.events import Notification
from .output import printable

__all__ = ["PROTOCOLS", "ip_monitor_line"]

PROTOCOLS: Final[Mapping[int, str]] = {
    1: "redirect",
    2: "kernel",
    3: "boot",
    4: "static",
    8: "gated",
    9: "ra",
    10: "mrt",
    11: "zebra",
    12: "bird",
    13: "dnrouted",
    14: "xorp",
    15: "ntk",
    16: "dhcp",
    18: "keepalived",
    42: "babel",
    99: "openr",
    186: "bgp",
    187: "isis",
    188: "ospf",
    189: "rip",
    192: "eigrp",
}
"""Those that iproute2 has names for, RTPROT_*."""


def ip_monitor_line(event: Notification) -> str:
    """The very line that iproute2's ``ip monitor neigh`` prints, with the blank at its end."""
    text = str(event._replace(protocol=0))
    if event.protocol:
        text += f" proto {PROTOCOLS.get(event.protocol, event.protocol)}"
    return f"{printable(text)} "
