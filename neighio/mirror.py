"""Keeps the engine's node as the kernel says it is: links, addresses and routes, by rtnetlink.

rtnetlink is the authority on devices. A lost notification (ENOBUFS) leads to a fresh dump, whose
differences reach the engine as the changes that they are.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from typing import Final

import trio

from .core.constants import AF_INET, IFF_UP, RTN_UNICAST
from .core.device import Address, Device
from .core.engine import Engine
from .core.node import Route
from .driver import Driver
from .kernel import requests
from .kernel.framing import Message
from .kernel.netlink import NetlinkOverflow, NetlinkSocket, open_netlink
from .kernel.rtnetlink import AddressMessage, LinkMessage, NeighbourMessage, RouteMessage, decode
from .kernel.uapi import (
    RTNLGRP_IPV4_IFADDR,
    RTNLGRP_IPV4_ROUTE,
    RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV6_ROUTE,
    RTNLGRP_LINK,
)
from .link.packet import PacketLink
from .link.tap import TapLink

__all__ = ["KernelMirror"]

GROUPS: Final = (
    RTNLGRP_LINK,
    RTNLGRP_IPV4_IFADDR,
    RTNLGRP_IPV4_ROUTE,
    RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV6_ROUTE,
)
RT_TABLE_MAIN: Final = 254


class KernelMirror:
    """The kernel's links, addresses and routes in the node of a driver's engine.

    ``gone`` is called with the index of a link that was removed, before the node forgets it, and ``came``
    with the name of one that is new or has been renamed.
    """

    def __init__(self, driver: Driver, *, gone: Callable[[int], None], came: Callable[[str], None]) -> None:
        self._driver = driver
        self._came = came
        self._engine: Engine = driver.engine
        self._gone = gone
        self._socket: NetlinkSocket | None = None
        self._doubtful: set[int] = set()
        self._doubt = trio.Event()
        # How often there were notifications.
        self._heard = 0
        self.links: dict[int, LinkMessage] = {}
        """The latest word on each link, by index."""
        self.overflows: int = 0
        """How often notifications were lost and everything was asked for again."""

    async def open(self) -> None:
        """Open rtnetlink and learn everything; then :meth:`follow` is to run.

        Raises:
            OSError: this system has no rtnetlink.
        """
        self._socket = open_netlink(GROUPS)
        await self._dump()

    def close(self) -> None:
        """Close the sockets. Idempotent."""
        if self._socket is not None:
            self._socket.close()

    def find(self, name: str) -> LinkMessage | None:
        """The link of that name."""
        return next((link for link in self.links.values() if link.name == name), None)

    async def seek(self, name: str) -> LinkMessage | None:
        """The link of that name, of which the kernel may not have told yet."""
        while (found := self.find(name)) is None:
            if await self._ask(name):
                return self.find(name)
        await trio.lowlevel.checkpoint()
        return found

    async def answers_for(self, index: int, ip: bytes) -> str | None:
        """On which interface the kernel has an address that it would answer for on the link ``index``, or
        None.

        IPv4: its own on any interface, unless ARP is off on this one; IPv6: its own there; and a proxy entry
        of either.
        """
        await trio.lowlevel.checkpoint()
        here = self._engine.node.devices.get(index)
        if here is None:
            # It has just gone.
            return None
        for device in self._engine.node.devices.values():
            own = device.index in self.links and device.address(ip) is not None
            if own and (not here.noarp if len(ip) == 4 else device is here):
                return device.name
        assert self._socket is not None
        entries = await self._socket.dump(requests.dump_neighbours(index=index, proxy=True))
        proxied = any(isinstance(one, NeighbourMessage) and one.ip == ip for one in _decoded(entries))
        return f"{here.name}, as a proxy" if proxied else None

    def doubt(self, index: int) -> None:
        """A link's socket gave an error: have the kernel asked about the device, once."""
        if index in self.links:
            self._doubtful.add(index)
            self._doubt.set()

    async def follow(self) -> None:
        """Follow the kernel until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._settle_doubts)
            await self._notifications()

    async def _notifications(self) -> None:
        assert self._socket is not None
        while True:
            try:
                messages = await self._socket.receive()
            except NetlinkOverflow:
                self.overflows += 1
                await self._dump()
            else:
                self._apply(messages)
            self._heard += 1

    async def _settle_doubts(self) -> None:
        while True:
            await self._doubt.wait()
            self._doubt = trio.Event()
            while self._doubtful:
                await self._ask(self._doubtful.pop())

    async def _ask(self, link: int | str) -> bool:
        """Have the kernel say how a link is, by its index or name; False when this was overtaken by what it
        said of itself."""
        assert self._socket is not None
        heard = self._heard
        answer: list[Message] | None = None
        try:
            answer = await self._socket.request(requests.get_link(link))
        except OSError as error:
            # The last two are for what can be no interface's name.
            if error.errno not in (errno.ENODEV, errno.ENXIO, errno.EINVAL, errno.ERANGE):
                raise
            await trio.lowlevel.checkpoint()
        if heard != self._heard:
            return False
        if answer is not None:
            self._apply(answer)
        elif isinstance(link, int):
            self._remove(link)
        return True

    async def _dump(self) -> None:
        assert self._socket is not None
        links = await self._socket.dump(requests.dump_links())
        addresses = await self._socket.dump(requests.dump_addresses())
        routes = await self._socket.dump(requests.dump_routes())
        present = {link.index for link in _decoded(links) if isinstance(link, LinkMessage)}
        for index in self.links.keys() - present:
            self._remove(index)
        self._apply(links)
        self._replace_addresses(_decoded(addresses))
        self._replace_routes(_decoded(routes))

    def _replace_addresses(self, messages: Iterable[object]) -> None:
        found = [message for message in messages if isinstance(message, AddressMessage)]
        kept = {(message.index, message.local, message.prefixlen) for message in found}
        for index in self.links:
            for address in list(self._engine.node.devices[index].addresses):
                if (index, address.ip, address.prefixlen) not in kept:
                    self._lose(index, address.ip, address.prefixlen)
        # The kernel keeps a device's IPv6 addresses newest first, and asks from the oldest link-local one.
        ipv4 = [message for message in found if message.family == AF_INET]
        ipv6 = [message for message in reversed(found) if message.family != AF_INET]
        for message in ipv4 + ipv6:
            self._address(message)
        self._driver.pump()

    def _replace_routes(self, messages: Iterable[object]) -> None:
        for index in self.links:
            self._engine.node.forget_routes(self._engine.node.devices[index])
        for message in messages:
            if isinstance(message, RouteMessage):
                self._route(message)

    def _apply(self, messages: Iterable[Message]) -> None:
        for message in _decoded(messages):
            if isinstance(message, LinkMessage):
                self._link(message)
            elif isinstance(message, AddressMessage):
                self._address(message)
            elif isinstance(message, RouteMessage):
                self._route(message)
        self._driver.pump()

    def _link(self, message: LinkMessage) -> None:
        if message.deleted:
            self._remove(message.index)
            return
        node = self._engine.node
        device = node.devices.get(message.index)
        if device is not None and message.index not in self.links and device.name != message.name:
            # A link that the kernel does not know was here first.
            return
        before = self.links.get(message.index)
        self.links[message.index] = message
        if before is None or before.name != message.name:
            self._came(message.name)
        if device is None:
            device = Device(
                message.name,
                message.index,
                message.lladdr,
                broadcast=message.broadcast,
                flags=message.flags,
                mtu=message.mtu,
            )
            node.add_device(device)
        link = self._driver.links.get(message.index)
        if isinstance(link, PacketLink | TapLink):
            link.update(message)
        if device.up and not message.flags & IFF_UP:
            # The kernel drops a device's routes without a word.
            node.forget_routes(device)
        if self._is_a_hosts(message.index):
            device.name, device.flags, device.mtu = message.name, message.flags, message.mtu
            device.lladdr, device.broadcast = message.lladdr, message.broadcast
        if not self._is_in_memory(message.index):
            self._driver.follow(message.index, message)

    def _is_in_memory(self, index: int) -> bool:
        """Whether a link that the kernel does not know has the index of one that it does."""
        link = self._driver.links.get(index)
        return link is not None and not isinstance(link, PacketLink | TapLink)

    def _is_a_hosts(self, index: int) -> bool:
        """Whether an attached device has addresses of its own, beside the kernel's."""
        attached = self._engine.devices.get(index)
        return attached is not None and attached.answers

    def _remove(self, index: int) -> None:
        if self.links.pop(index, None) is not None:
            if not self._is_in_memory(index):
                self._gone(index)
            device = self._engine.node.devices.get(index)
            if device is not None:
                self._engine.node.forget_device(device)

    def _address(self, message: AddressMessage) -> None:
        if message.index not in self.links:
            return
        if message.deleted:
            self._lose(message.index, message.local, message.prefixlen)
            return
        address = Address(message.local, message.prefixlen, message.scope, message.flags, message.broadcast)
        if self._is_a_hosts(message.index):
            self._engine.node.add_address(self._engine.node.devices[message.index], address)
        else:
            self._engine.add_address(message.index, address, self._driver.clock())

    def _lose(self, index: int, ip: bytes, prefixlen: int) -> None:
        if self._is_a_hosts(index):
            self._engine.node.remove_address(self._engine.node.devices[index], ip, prefixlen)
        else:
            self._engine.remove_address(index, ip, prefixlen, self._driver.clock())

    def _route(self, message: RouteMessage) -> None:
        node = self._engine.node
        device = node.devices.get(message.oif) if message.oif in self.links else None
        if device is None or message.table != RT_TABLE_MAIN or message.type != RTN_UNICAST:
            return
        gateway = message.gateway if message.gateway and len(message.gateway) == len(message.dst) else None
        route = Route(message.dst, message.prefixlen, device, gateway, message.priority)
        if message.deleted:
            node.remove_route(route)
        else:
            node.add_route(route)


def _decoded(messages: Iterable[Message]) -> list[object]:
    return [found for found in map(decode, messages) if found is not None]
