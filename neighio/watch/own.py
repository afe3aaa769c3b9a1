"""This host's own addresses and links, by rtnetlink."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import count
from typing import Final

from ..kernel import requests
from ..kernel.framing import Message
from ..kernel.netlink import NetlinkOverflow, NetlinkSocket
from ..kernel.rtnetlink import AddressMessage, LinkMessage, decode
from ..kernel.uapi import RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_LINK
from ..wire.ipv6 import is_link_local

__all__ = ["GROUPS", "OwnAddresses"]

GROUPS: Final = (RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR)
"""What :class:`OwnAddresses` has to be told of: the groups of its socket."""


class OwnAddresses:
    """This host's links and their addresses, as the kernel says; a :class:`neighio.watch.judge.Own`.

    ``told`` is called with each link that changes, or is removed.

    Attributes:
        links: the links, by index.
    """

    def __init__(self, netlink: NetlinkSocket, told: Callable[[LinkMessage], None]) -> None:
        self._netlink = netlink
        self._told = told
        self.links: dict[int, LinkMessage] = {}
        # Each with the number of the time that it was added.
        self._addresses: dict[tuple[int, bytes], int] = {}
        self._additions = count(1)
        self._lladdrs: frozenset[bytes] = frozenset()

    async def read(self) -> None:
        """Learn everything.

        Raises:
            OSError: the kernel does not tell.
        """
        links = [
            one
            for one in map(decode, await self._netlink.dump(requests.dump_links()))
            if isinstance(one, LinkMessage)
        ]
        addresses = await self._netlink.dump(requests.dump_addresses())
        present = {link.index for link in links}
        for index in self.links.keys() - present:
            self._link(replace(self.links[index], deleted=True))
        self._addresses.clear()
        for link in links:
            self._link(link)
        self._apply(addresses)

    async def follow(self) -> None:
        """Follow the kernel until cancelled."""
        while True:
            try:
                messages = await self._netlink.receive()
            except NetlinkOverflow:
                await self.read()
            else:
                self._apply(messages)

    def _apply(self, messages: Iterable[Message]) -> None:
        for message in map(decode, messages):
            if isinstance(message, LinkMessage):
                self._link(message)
            elif isinstance(message, AddressMessage):
                place = message.index, message.local
                if message.deleted:
                    self._addresses.pop(place, None)
                elif place not in self._addresses:
                    # It is told of again when its lifetime changes.
                    self._addresses[place] = next(self._additions)

    def _link(self, link: LinkMessage) -> None:
        if link.deleted:
            self.links.pop(link.index, None)
            self._addresses = {
                place: number for place, number in self._addresses.items() if place[0] != link.index
            }
        else:
            self.links[link.index] = link
        self._lladdrs = frozenset(one.lladdr for one in self.links.values())
        self._told(link)

    def find(self, name: str) -> LinkMessage | None:
        """The link of that name."""
        return next((link for link in self.links.values() if link.name == name), None)

    def holding(self, device: str, key: bytes) -> int | None:
        """For which time an address is one of this host's, a number of it, None if it is none, which is told
        of on that device's link: one of IPv4 on any link, as Linux answers for it, one of IPv6 on its own."""
        if len(key) == 16 and is_link_local(key):
            link = self.find(device)
            return None if link is None else self._addresses.get((link.index, key))
        for index in self.links:
            number = self._addresses.get((index, key))
            if number is not None:
                return number
        return None

    def is_at(self, lladdr: bytes) -> bool:
        """Whether a link-layer address is one of this host's."""
        return lladdr in self._lladdrs
