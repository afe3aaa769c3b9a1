"""The kernel's own neighbours, as records of the same form as an instance's."""

from __future__ import annotations

from typing import Final

import trio

from ..address import format_ip
from ..kernel import requests
from ..kernel.netlink import NetlinkOverflow, NetlinkSocket
from ..kernel.rtnetlink import LinkMessage, NeighbourMessage, decode
from ..kernel.uapi import RTNLGRP_LINK, RTNLGRP_NEIGH
from ..records import Record, Stamp, flag_names, state_name

__all__ = ["GROUPS", "KernelNeighbours"]

GROUPS: Final = (RTNLGRP_LINK, RTNLGRP_NEIGH)
"""What the socket is to be a member of for :meth:`KernelNeighbours.changes`."""


STEP: Final = 256
"""So many are read before others have their turn."""


class KernelNeighbours:
    """What rtnetlink says of neighbours, with the devices' present names.

    Attributes:
        names: the devices' names, by index.
    """

    def __init__(self, netlink: NetlinkSocket) -> None:
        self._netlink = netlink
        self.names: dict[int, str] = {}

    async def read_names(self) -> None:
        """Learn the devices' names."""
        links = await self._netlink.dump(requests.dump_links())
        self.names = {link.index: link.name for link in map(decode, links) if isinstance(link, LinkMessage)}

    async def entries(self) -> list[Record]:
        """Return the entries, as :func:`~neighio.records.entry_record` has them."""
        found = []
        for number, message in enumerate(await self._netlink.dump(requests.dump_neighbours())):
            if number % STEP == STEP - 1:
                await trio.lowlevel.checkpoint()
            entry = decode(message)
            if isinstance(entry, NeighbourMessage):
                found.append(
                    {
                        **self._who(entry),
                        "used": entry.used,
                        "confirmed": entry.confirmed,
                        "updated": entry.updated,
                        "protocol": entry.protocol,
                    }
                )
        return found

    async def changes(self, stamp: Stamp) -> list[Record]:
        """Wait for what happens, and return it, as :func:`~neighio.records.event_record` has it.

        A record of the kind "lost" says that the kernel had more to tell than there was room for.
        """
        try:
            messages = await self._netlink.receive()
        except NetlinkOverflow:
            await self.read_names()
            return [{"kind": "lost", **stamp.at()}]
        records = []
        for message in map(decode, messages):
            if isinstance(message, NeighbourMessage):
                what = {"kind": message.kind, **stamp.at(), **self._who(message)}
                records.append(what | {"protocol": message.protocol})
            elif isinstance(message, LinkMessage) and message.deleted:
                self.names.pop(message.index, None)
            elif isinstance(message, LinkMessage):
                self.names[message.index] = message.name
        return records

    def _who(self, neighbour: NeighbourMessage) -> Record:
        return {
            "address": format_ip(neighbour.ip),
            "device": self.names.get(neighbour.index, f"if{neighbour.index}"),
            "lladdr": neighbour.lladdr.hex(":") if neighbour.lladdr else None,
            "state": state_name(neighbour.state),
            "flags": flag_names(neighbour.flags),
            "probes": neighbour.probes,
            "refcnt": neighbour.refcnt,
        }
