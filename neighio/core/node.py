"""What the engine knows of a node: devices, addresses, switches and routes.

It answers four questions: :meth:`Node.address_type`, :meth:`Node.source_for`, :meth:`Node.route` and
:meth:`Node.first_hop`. Left out on purpose: rp_filter, medium_id, VRF.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import NamedTuple

from ..wire.ipv6 import is_link_local, solicited_node
from .constants import (
    AF_INET,
    AF_INET6,
    IFA_F_DEPRECATED,
    RT_SCOPE_HOST,
    RT_SCOPE_LINK,
    RTN_BROADCAST,
    RTN_LOCAL,
    RTN_MULTICAST,
    RTN_UNICAST,
)
from .device import LIMITED_BROADCAST, UNSPECIFIED, Address, Device
from .switches import SWITCHES

__all__ = ["Node", "Route", "count_group"]


def _place(addresses: list[Address], new: Address) -> int:
    """Where a device's list takes an address.

    IPv4: a primary one behind the last primary of its scope or a narrower one, a secondary one at the end
    (__inet_insert_ifa). IPv6: before all of its scope or a narrower one (ipv6_link_dev_addr).
    """
    if len(new.ip) != 4:
        own = [number for number, address in enumerate(addresses) if len(address.ip) == 16]
        return next((n for n in own if addresses[n].scope >= new.scope), len(addresses))
    if new.secondary:
        return len(addresses)
    place = 0
    for number, address in enumerate(addresses, 1):
        if len(address.ip) == 4 and not address.secondary and address.scope >= new.scope:
            place = number
    return place


def count_group(device: Device, ip: bytes, step: int) -> bool:
    """Listen to an IPv6 address's solicited-node group once more (1) or once less (-1), and say whether that
    joined or left it (RFC 4861 7.2.1)."""
    group = solicited_node(ip)
    count = device.groups.get(group, 0) + step
    if count:
        device.groups[group] = count
    else:
        del device.groups[group]
    return count == max(step, 0)


class Route(NamedTuple):
    """A unicast route. ``gateway`` is None when the destination is on the link itself."""

    prefix: bytes
    prefixlen: int
    device: Device
    gateway: bytes | None = None
    metric: int = 0


class Node:
    """The devices, addresses and routes of one node, and the switches that hold for all of them."""

    def __init__(self) -> None:
        self.devices: dict[int, Device] = {}
        self.everywhere: dict[int, dict[str, int]] = {
            family: {
                name: switch.everywhere if switch.combine else switch.default
                for name, switch in SWITCHES[family].items()
            }
            for family in SWITCHES
        }
        self._local: dict[bytes, int] = {}
        self._broadcast: dict[bytes, int] = {}
        self._routes: dict[tuple[int, int], dict[int, list[Route]]] = {}

    def switch(self, device: Device, family: int, name: str) -> int:
        """The value of a switch in force: what "all" and the device say, combined as the kernel does."""
        return device.in_force[family][name]

    def set_here(self, device: Device, family: int, changes: Mapping[str, int]) -> None:
        """Change what a device says."""
        device.switches[family].update(changes)
        self._refresh(device, family)

    def _refresh(self, device: Device, family: int) -> None:
        everywhere, here = self.everywhere[family], device.switches[family]
        device.in_force[family] = {
            name: switch.combine(everywhere[name], here[name]) if switch.combine else here[name]
            for name, switch in SWITCHES[family].items()
        }

    def set_everywhere(self, family: int, changes: Mapping[str, int]) -> None:
        """Change what "all" says; a switch of which it has no say changes on every device, present or to
        come."""
        self.everywhere[family].update(changes)
        for device in self.devices.values():
            self._spread(device, family, changes)

    def _spread(self, device: Device, family: int, changes: Mapping[str, int]) -> None:
        alone = {name: value for name, value in changes.items() if SWITCHES[family][name].combine is None}
        self.set_here(device, family, alone)

    def add_device(self, device: Device) -> None:
        """Take a device in; one that is there already stays as it is."""
        if self.devices.get(device.index) is not device:
            self.devices[device.index] = device
            device.node = self
            for family, changes in self.everywhere.items():
                self._spread(device, family, changes)

    def add_address(self, device: Device, address: Address) -> bool:
        """Give a device an address, or change the one that it has; False when nothing changed."""
        if address in device.addresses:
            return False
        place = None
        for number, old in enumerate(device.addresses):
            if old.ip == address.ip and old.prefixlen == address.prefixlen:
                self._count(device, old, -1)
                del device.addresses[number]
                if (old.scope, old.secondary) == (address.scope, address.secondary):
                    place = number
                break
        device.addresses.insert(_place(device.addresses, address) if place is None else place, address)
        self._count(device, address, 1)
        return True

    def remove_address(self, device: Device, ip: bytes, prefixlen: int) -> bool:
        """Take an address away; False when the device has it not."""
        for address in device.addresses:
            if address.ip == ip and address.prefixlen == prefixlen:
                device.addresses.remove(address)
                self._count(device, address, -1)
                return True
        return False

    def _count(self, device: Device, address: Address, step: int) -> None:
        if len(address.ip) == 16:
            count_group(device, address.ip, step)
        for table, keys in ((self._local, (address.ip,)), (self._broadcast, address.broadcasts())):
            for key in keys:
                count = table.get(key, 0) + step
                if count:
                    table[key] = count
                else:
                    del table[key]

    def forget_device(self, device: Device) -> None:
        """Take a device away, with its addresses and routes."""
        for address in list(device.addresses):
            self.remove_address(device, address.ip, address.prefixlen)
        self.forget_routes(device)
        self.devices.pop(device.index, None)

    def add_route(self, route: Route) -> None:
        """Add a route, or replace the one to the same prefix, device and metric."""
        self.remove_route(route)
        length = len(route.prefix)
        prefix = int.from_bytes(route.prefix, "big") >> (length * 8 - route.prefixlen)
        candidates = self._routes.setdefault((length, route.prefixlen), {}).setdefault(prefix, [])
        candidates.append(route)
        candidates.sort(key=lambda candidate: candidate.metric)

    def remove_route(self, route: Route) -> bool:
        """Remove the route to the same prefix, device and metric; False when there is none."""
        length = len(route.prefix)
        routes = self._routes.get((length, route.prefixlen), {})
        prefix = int.from_bytes(route.prefix, "big") >> (length * 8 - route.prefixlen)
        for candidate in routes.get(prefix, ()):
            if candidate.device is route.device and candidate.metric == route.metric:
                routes[prefix].remove(candidate)
                if not routes[prefix]:
                    del routes[prefix]
                return True
        return False

    def forget_network(self, device: Device, ip: bytes, prefixlen: int) -> None:
        """A device has no longer this address: the route to its network goes, unless another one is of it."""
        for other in device.addresses:
            if len(other.ip) == len(ip) and other.prefixlen == prefixlen and other.subnet_contains(ip):
                return
        self.remove_route(Route(ip, prefixlen, device))

    def forget_routes(self, device: Device) -> None:
        """Forget every route through a device."""
        for routes in self._routes.values():
            for prefix, candidates in list(routes.items()):
                candidates[:] = [route for route in candidates if route.device is not device]
                if not candidates:
                    del routes[prefix]

    # -- the four questions

    def address_type(self, ip: bytes) -> int:
        """What an address is, RTN_*: local to any device, broadcast, multicast or unicast.

        No route is needed for unicast (inet_addr_type).
        """
        if ip in self._local:
            return RTN_LOCAL
        if len(ip) == 4:
            if ip in self._broadcast or ip in (UNSPECIFIED, LIMITED_BROADCAST):
                return RTN_BROADCAST
            if ip[0] == 127:
                return RTN_LOCAL
            return RTN_MULTICAST if ip[0] & 0xF0 == 0xE0 else RTN_UNICAST
        return RTN_MULTICAST if ip[0] == 0xFF else RTN_UNICAST

    def is_local(self, ip: bytes) -> bool:
        """Whether the address is the node's own (RTN_LOCAL)."""
        return ip in self._local or (ip[0] == 127 and len(ip) == 4)

    def owns(self, ip: bytes) -> bool:
        """Whether a device has exactly this address; of 127.0.0.0/8 all are local, but few are owned."""
        return ip in self._local

    @property
    def own_addresses(self) -> Container[bytes]:
        """The addresses of all devices, packed; follows what is added and removed."""
        return self._local.keys()

    def scope(self, device: Device, address: Address) -> int:
        """RT_SCOPE_* of a device's address: with route_localnet, what is the host's own is the link's too."""
        widest = RT_SCOPE_LINK if self.switch(device, AF_INET, "route_localnet") else RT_SCOPE_HOST
        return min(address.scope, widest)

    def on_link(self, device: Device, ip: bytes) -> bool:
        """Whether an IPv4 address lies in the subnet of one of the device's that is more than the host's
        own (inet_confirm_addr)."""
        return any(
            address.subnet_contains(ip) and self.scope(device, address) <= RT_SCOPE_LINK
            for address in device.own(AF_INET)
        )

    def source_for(self, target: bytes, device: Device, hint: bytes | None) -> bytes | None:
        """The address with which to ask for ``target`` (arp_solicit, inet_select_addr; ndisc_solicit).

        ``hint`` is the source of the packet that wants to go there. When there is nothing, IPv4 asks from
        0.0.0.0 and IPv6 not at all: None.
        """
        if len(target) == 16:
            own = [address.ip for address in device.own(AF_INET6) if address.proven]
            # The link-local address that the device has had longest (ipv6_get_lladdr).
            return hint if hint in own else next(filter(is_link_local, reversed(own)), None)
        if hint is not None and self.address_type(hint) == RTN_LOCAL:
            announce = self.switch(device, AF_INET, "arp_announce")
            if announce == 0 or (announce == 1 and device.subnet_contains(target, hint)):
                return hint
        return self._select(target, device)

    def ipv6_source(self, device: Device, destination: bytes) -> bytes | None:
        """The address of the device with which to send to ``destination``: of the same scope, not
        deprecated, of the longest common prefix, in this order (RFC 6724 rules 2, 3 and 8;
        ipv6_dev_get_saddr)."""
        link_local = is_link_local(destination) or destination[0] == 0xFF
        number = int.from_bytes(destination, "big")

        def worth(address: Address) -> tuple[bool, bool, int]:
            common = 128 - (number ^ int.from_bytes(address.ip, "big")).bit_length()
            same_scope = is_link_local(address.ip) == link_local
            return same_scope, not address.flags & IFA_F_DEPRECATED, min(common, address.prefixlen)

        usable = [address for address in device.own(AF_INET6) if address.proven]
        return max(usable, key=worth).ip if usable else None

    def _select(self, target: bytes, device: Device) -> bytes:
        usable = [
            address
            for address in device.own(AF_INET)
            if self.scope(device, address) <= RT_SCOPE_LINK and not address.secondary
        ]
        for address in usable:
            if address.subnet_contains(target):
                return address.ip
        if usable:
            return usable[0].ip
        for other in self.devices.values():
            for address in other.own(AF_INET):
                if address.scope < RT_SCOPE_LINK and not address.secondary:
                    return address.ip
        return UNSPECIFIED

    def route(self, ip: bytes) -> Route | None:
        """The route to ``ip``: the longest prefix, of those the lowest metric."""
        return next(self.routes(ip), None)

    def routes(self, ip: bytes) -> Iterator[Route]:
        """Every route that ``ip`` matches, best first."""
        length = len(ip)
        number = int.from_bytes(ip, "big")
        for prefixlen in range(length * 8, -1, -1):
            routes = self._routes.get((length, prefixlen))
            if routes:
                yield from routes.get(number >> (length * 8 - prefixlen), ())

    def first_hop(self, ip: bytes) -> tuple[Device, bytes] | None:
        """The device and the neighbour through which a packet to ``ip`` leaves, if there is a route."""
        route = self.route(ip)
        return None if route is None else (route.device, route.gateway or ip)
