"""The links of a capture: its interfaces, and each VLAN on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ..core.device import Device
from .capture import Record
from .framing import Framed
from .messages import KINDS

__all__ = ["MOST_LINKS", "Link", "Links"]

MOST_LINKS: Final = 1024
"""Links of one capture, each some 40 kB; frames of further ones are counted, and that is all."""


class Link:
    """A link, and what was counted of it. ``raw`` says that its frames have no link-layer header.

    ``device`` is the table's on this link, once there is one. ``messages`` counts ARP and Neighbour Discovery
    by kind, ``malformed`` what was refused by reason, ``cut_short`` what would have been one, had it been
    captured whole.
    """

    __slots__ = ("cut_short", "device", "frames", "malformed", "messages", "name", "raw")

    def __init__(self, name: str, *, raw: bool) -> None:
        self.name: str = name
        self.raw: bool = raw
        self.device: Device | None = None
        self.frames: int = 0
        self.messages: dict[str, int] = dict.fromkeys(KINDS, 0)
        self.malformed: dict[str, int] = {}
        self.cut_short: int = 0


class Links:
    """Finds the link of each frame: by its interface, its VLAN tags, and whether it is raw."""

    def __init__(self) -> None:
        self._links: dict[tuple[str, int, bool, int, tuple[int, ...]], Link] = {}
        self._names: set[str] = set()

    def __iter__(self) -> Iterator[Link]:
        return iter(self._links.values())

    def find(self, record: Record, framed: Framed) -> Link | None:
        """The link of a frame; None where it would be one too many."""
        key = record.interface, record.instance, framed.raw, framed.ifindex, framed.tags
        link = self._links.get(key)
        if link is None and len(self._links) < MOST_LINKS:
            link = self._links[key] = Link(self._name(record.interface, framed), raw=framed.raw)
        return link

    def _name(self, interface: str, framed: Framed) -> str:
        """As Linux would call it: ``eth0.10`` is VLAN 10 of eth0. A capture that names no interface has
        "link". A name that is there already gets a number, "eth0#2"."""
        name = interface or (f"if{framed.ifindex}" if framed.ifindex else "raw" if framed.raw else "link")
        name = ".".join((name, *map(str, framed.tags)))
        unique = name
        number = 2
        while unique in self._names:
            unique = f"{name}#{number}"
            number += 1
        self._names.add(unique)
        return unique
