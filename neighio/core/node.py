"""What the engine knows of its own node: devices, addresses, switches and routes.

It answers four questions: :meth:`Node.address_type`, :meth:`Node.source_for`, :meth:`Node.route` and
:meth:`Node.first_hop`. Left out on purpose: rp_filter, medium_id, VRF.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from ..address import parse_ip
from ..errors import InvalidAddress
from .constants import (
    AF_INET,
    AF_INET6,
    IFA_F_SECONDARY,
    IFF_LOOPBACK,
    IFF_LOWER_UP,
    IFF_NOARP,
    IFF_POINTOPOINT,
    IFF_UP,
    RT_SCOPE_HOST,
    RT_SCOPE_LINK,
    RT_SCOPE_UNIVERSE,
    RTN_BROADCAST,
    RTN_LOCAL,
    RTN_MULTICAST,
    RTN_UNICAST,
)

if TYPE_CHECKING:
    from .neighbour import Neighbour
    from .parameters import Parameters

__all__ = [
    "SWITCHES",
    "Address",
    "Device",
    "Node",
    "Route",
    "Switch",
    "check_switches",
    "in_prefix",
    "parse_interface",
]

LIMITED_BROADCAST: Final = b"\xff\xff\xff\xff"
UNSPECIFIED: Final = bytes(4)


class Switch(NamedTuple):
    """A per-device switch: its default, its largest value, and how "all" and the device combine."""

    default: int
    maximum: int
    combine: Callable[[int, int], int]


def _either(everywhere: int, here: int) -> int:
    return everywhere | here


def _both(everywhere: int, here: int) -> int:
    return everywhere & here


SWITCHES: Final[Mapping[int, Mapping[str, Switch]]] = {
    AF_INET: {
        "arp_accept": Switch(0, 2, max),
        "arp_announce": Switch(0, 2, max),
        "arp_evict_nocarrier": Switch(1, 1, _both),
        "arp_filter": Switch(0, 1, _either),
        "arp_ignore": Switch(0, 8, max),
        "drop_gratuitous_arp": Switch(0, 1, _either),
        "route_localnet": Switch(0, 1, _either),
    },
    AF_INET6: {},
}
"""/proc/sys/net/ipv4/conf and ipv6/conf: what the protocols ask of a device."""


def check_switches(family: int, changes: Mapping[str, object]) -> dict[str, int]:
    """Return the changes, checked.

    Raises:
        ValueError: an unknown name or a value out of range; names the field. Nothing was changed.
    """
    checked = {}
    for name, value in changes.items():
        switch = SWITCHES[family].get(name)
        if switch is None:
            raise ValueError(f"{name}: no such switch")
        if not isinstance(value, int) or not 0 <= value <= switch.maximum:
            raise ValueError(f"{name}: {value!r} is out of range, expected 0 to {switch.maximum}")
        checked[name] = int(value)
    return checked


class Address(NamedTuple):
    """An address of a device: packed, with its prefix length, RT_SCOPE_* and IFA_F_* flags."""

    ip: bytes
    prefixlen: int
    scope: int = RT_SCOPE_UNIVERSE
    flags: int = 0
    broadcast: bytes | None = None

    @property
    def secondary(self) -> bool:
        return bool(self.flags & IFA_F_SECONDARY)

    def subnet_contains(self, ip: bytes) -> bool:
        return in_prefix(ip, self.ip, self.prefixlen)

    def broadcasts(self) -> tuple[bytes, ...]:
        """The IPv4 broadcast addresses that come with the address: the explicit one, the subnet's."""
        if len(self.ip) != 4:
            return ()
        found = []
        if self.broadcast is not None and self.broadcast not in (LIMITED_BROADCAST, UNSPECIFIED):
            found.append(self.broadcast)
        if self.prefixlen < 31:
            ones = (1 << (32 - self.prefixlen)) - 1
            subnet = (int.from_bytes(self.ip, "big") | ones).to_bytes(4, "big")
            if subnet not in found:
                found.append(subnet)
        return tuple(found)


def in_prefix(ip: bytes, prefix: bytes, prefixlen: int) -> bool:
    """Whether ``ip`` lies in ``prefix``/``prefixlen``; both packed, of one family."""
    shift = len(ip) * 8 - prefixlen
    return int.from_bytes(ip, "big") >> shift == int.from_bytes(prefix, "big") >> shift


def parse_interface(address: str) -> tuple[bytes, int]:
    """Return the packed address and the prefix length of "198.51.100.1/24".

    Raises:
        InvalidAddress
    """
    text, slash, length = address.partition("/")
    ip, _ = parse_ip(text, field="address")
    if not slash or not (length.isascii() and length.isdigit()) or int(length) > len(ip) * 8:
        raise InvalidAddress(f"address: {address!r} has no prefix length")
    return ip, int(length)


class Device:
    """A network device, with its own settings and the two hooks of link drivers.

    ``neigh_construct(neighbour)`` is called with each unfinished entry, ``neigh_setup(parameters)`` with
    the device's parameters when an entry is made; both are synchronous, and an exception refuses the
    creation. ``header`` is False for devices without a link-layer header (tun), ``hh_cache`` False for
    those whose header cannot be cached. ``drops`` counts, by reason, received frames
    that touched nothing and packets to neighbours that were not sent.
    """

    __slots__ = (
        "addresses",
        "broadcast",
        "drops",
        "flags",
        "header",
        "hh_cache",
        "index",
        "lladdr",
        "mtu",
        "name",
        "neigh_construct",
        "neigh_setup",
        "switches",
    )

    def __init__(
        self,
        name: str,
        index: int,
        lladdr: bytes,
        *,
        broadcast: bytes = b"\xff\xff\xff\xff\xff\xff",
        flags: int,
        mtu: int = 1500,
        header: bool = True,
        hh_cache: bool = True,
        neigh_construct: Callable[[Neighbour], None] | None = None,
        neigh_setup: Callable[[Parameters], None] | None = None,
    ) -> None:
        self.name: str = name
        self.index: int = index
        self.lladdr: bytes = lladdr
        self.broadcast: bytes = broadcast
        self.flags: int = flags
        self.mtu: int = mtu
        self.header: bool = header
        self.hh_cache: bool = hh_cache
        self.neigh_construct: Callable[[Neighbour], None] | None = neigh_construct
        self.neigh_setup: Callable[[Parameters], None] | None = neigh_setup
        self.addresses: list[Address] = []
        self.drops: dict[str, int] = {}
        self.switches: dict[int, dict[str, int]] = {
            family: {name: s.default for name, s in SWITCHES[family].items()} for family in SWITCHES
        }

    def __repr__(self) -> str:
        return f"<Device {self.name} index {self.index} flags {self.flags:#x}>"

    def count_drop(self, reason: str) -> None:
        self.drops[reason] = self.drops.get(reason, 0) + 1

    @property
    def addr_len(self) -> int:
        return len(self.lladdr)

    @property
    def up(self) -> bool:
        return bool(self.flags & IFF_UP)

    @property
    def carrier(self) -> bool:
        return bool(self.flags & IFF_LOWER_UP)

    @property
    def noarp(self) -> bool:
        return bool(self.flags & IFF_NOARP)

    @property
    def loopback(self) -> bool:
        return bool(self.flags & IFF_LOOPBACK)

    @property
    def point_to_point(self) -> bool:
        return bool(self.flags & IFF_POINTOPOINT)

    def own(self, family: int) -> Iterator[Address]:
        """The device's addresses of one family, in the kernel's order."""
        length = 4 if family == AF_INET else 16
        return (address for address in self.addresses if len(address.ip) == length)

    def subnet_contains(self, ip: bytes, *others: bytes) -> bool:
        """Whether one subnet of this device contains all of the addresses (inet_addr_onlink)."""
        return any(
            address.subnet_contains(ip) and all(address.subnet_contains(other) for other in others)
            for address in self.addresses
            if len(address.ip) == len(ip)
        )


def _place(addresses: list[Address], new: Address) -> int:
    """Where a device's list takes an IPv4 address: a primary one behind the last primary of its scope or a
    narrower one, a secondary one at the end (__inet_insert_ifa)."""
    if new.secondary or len(new.ip) != 4:
        return len(addresses)
    place = 0
    for number, address in enumerate(addresses, 1):
        if len(address.ip) == 4 and not address.secondary and address.scope >= new.scope:
            place = number
    return place


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
            family: dict.fromkeys(SWITCHES[family], 0) for family in SWITCHES
        }
        self.everywhere[AF_INET]["arp_evict_nocarrier"] = 1
        self._local: dict[bytes, int] = {}
        self._broadcast: dict[bytes, int] = {}
        self._routes: dict[tuple[int, int], dict[int, list[Route]]] = {}

    def switch(self, device: Device, family: int, name: str) -> int:
        """The value of a switch in force: what "all" and the device say, combined as the kernel does."""
        return SWITCHES[family][name].combine(self.everywhere[family][name], device.switches[family][name])

    def add_address(self, device: Device, address: Address) -> bool:
        """Give a device an address, or change the one that it has; False when nothing changed."""
        if address in device.addresses:
            return False
        place = None
        for number, old in enumerate(device.addresses):
            if old.ip == address.ip and old.prefixlen == address.prefixlen:
                self._count(old, -1)
                del device.addresses[number]
                if (old.scope, old.secondary) == (address.scope, address.secondary):
                    place = number
                break
        device.addresses.insert(_place(device.addresses, address) if place is None else place, address)
        self._count(address, 1)
        return True

    def remove_address(self, device: Device, ip: bytes, prefixlen: int) -> bool:
        """Take an address away; False when the device has it not."""
        for address in device.addresses:
            if address.ip == ip and address.prefixlen == prefixlen:
                device.addresses.remove(address)
                self._count(address, -1)
                return True
        return False

    def _count(self, address: Address, step: int) -> None:
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

    def owns(self, ip: bytes) -> bool:
        """Whether a device has exactly this address; of 127.0.0.0/8 all are local, but few are owned."""
        return ip in self._local

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

    def source_for(self, target: bytes, device: Device, hint: bytes | None) -> bytes:
        """The IPv4 address with which to ask for ``target`` (arp_solicit, inet_select_addr).

        ``hint`` is the source of the packet that wants to go there. 0.0.0.0 when there is nothing.
        """
        if hint is not None and self.address_type(hint) == RTN_LOCAL:
            announce = self.switch(device, AF_INET, "arp_announce")
            if announce == 0 or (announce == 1 and device.subnet_contains(target, hint)):
                return hint
        return self._select(target, device)

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
        length = len(ip)
        number = int.from_bytes(ip, "big")
        for prefixlen in range(length * 8, -1, -1):
            routes = self._routes.get((length, prefixlen))
            if routes and (found := routes.get(number >> (length * 8 - prefixlen))):
                return found[0]
        return None

    def first_hop(self, ip: bytes) -> tuple[Device, bytes] | None:
        """The device and the neighbour through which a packet to ``ip`` leaves, if there is a route."""
        route = self.route(ip)
        return None if route is None else (route.device, route.gateway or ip)
