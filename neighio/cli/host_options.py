"""What ``neighio host`` is asked to be."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import NamedTuple, Self

from ..address import LinkAddress, is_group_ip, parse_ip, parse_network
from ..core.device import in_prefix
from ..device import Device
from ..errors import InvalidAddress
from ..host import Defence, check_own_address
from ..wire.ethernet import ETH_ALEN
from ..wire.ipv6 import is_link_local
from .settings import Setting, parse_setting

__all__ = ["AddressWay", "HostOptions", "Route", "parse_mac", "parse_route"]


class AddressWay(NamedTuple):
    """How an address is had.

    Attributes:
        transmits: how many probes detect whether it is somebody else's; None as usual.
        optimistic: whether one of IPv6 is used meanwhile; None as the switch optimistic_dad says.
    """

    transmits: int | None = None
    optimistic: bool | None = None


class Route(NamedTuple):
    """A network, and the gateway that it is reached by."""

    network: str
    gateway: str | None


class HostOptions(NamedTuple):
    """The arguments, checked.

    Attributes:
        device: the interface to be on; None with a TAP device.
        tap: the name of the TAP device to be behind.
        mac: the link-layer address to have; None for the interface's.
        addresses: each with its prefix length.
        dad_transmits: how many probes detect whether an address is somebody else's; None as usual.
        defence: what is done when somebody else uses an IPv4 address.
        notify_routers: whether all routers are told of new IPv6 addresses.
        monitor: "text" or "json", how each change is printed; None for not at all.
        control: where the control socket is to be; None for none.
        metrics: the host and the port at which to serve metrics.
    """

    device: Device | None
    tap: str | None
    mac: LinkAddress | None
    addresses: tuple[str, ...]
    dad_transmits: int | None
    defence: Defence
    notify_routers: bool
    routes: tuple[Route, ...]
    forwarding: bool
    settings: tuple[Setting, ...]
    monitor: str | None
    control: str | Path | None
    metrics: tuple[str, int] | None

    @classmethod
    def parse(cls, arguments: Namespace) -> Self:
        """Return what the command's arguments mean.

        Raises:
            ValueError, NeighioError: that cannot be meant; names the field.
        """
        settings = tuple(parse_setting(text) for text in arguments.settings)
        own = _parse_addresses(arguments.address)
        routes = _parse_routes(arguments.route, own)
        mac = None if arguments.mac is None else parse_mac(arguments.mac)
        device = None
        if arguments.dev is not None:
            device = Device(arguments.dev, "host", lladdr=mac, forwarding=arguments.forwarding)
        return cls(
            device=device,
            tap=arguments.tap,
            mac=mac,
            addresses=tuple(arguments.address),
            dad_transmits=0 if arguments.no_dad else None,
            defence=arguments.defence,
            notify_routers=arguments.notify_routers,
            routes=routes,
            forwarding=arguments.forwarding,
            settings=settings,
            monitor=arguments.monitor,
            control=_parse_control(arguments.control),
            metrics=_parse_metrics(arguments.metrics),
        )


def parse_mac(text: str) -> LinkAddress:
    """Return the link-layer address of an Ethernet station.

    Raises:
        InvalidAddress: it is none.
    """
    try:
        mac = LinkAddress(text)
    except InvalidAddress:
        raise InvalidAddress(f"mac: {text!r} is not a link-layer address") from None
    if len(mac) != ETH_ALEN or mac[0] & 1 or not any(mac):
        raise InvalidAddress(f"mac: {text!r} is no Ethernet station's address")
    return mac


def _parse_addresses(addresses: list[str]) -> dict[bytes, int]:
    """Return the packed addresses, with their prefix lengths."""
    found: dict[bytes, int] = {}
    for address in addresses:
        ip, prefixlen = check_own_address(address)
        if ip in found:
            raise InvalidAddress(f"address: {address} is given twice")
        found[ip] = prefixlen
    return found


def _parse_routes(routes: list[list[str]], own: dict[bytes, int]) -> tuple[Route, ...]:
    """Return what the routes mean; a gateway is to be on the link by an address or an earlier route."""
    on_link = list(own.items())
    return tuple(_check_route(words, own, on_link) for words in routes)


def parse_route(words: list[str]) -> Route:
    """Return what ``NET`` or ``NET via GATEWAY`` means, one word or several.

    Raises:
        ValueError: it is not of this form.
    """
    gateway: str | None = None
    match " ".join(words).split():
        case [network]:
            pass
        case [network, "via", gateway]:
            pass
        case _:
            raise ValueError(f"route: {' '.join(words)!r} is not of the form NETWORK or NETWORK via GATEWAY")
    if network == "default":
        network = "::/0" if ":" in (gateway or "") else "0.0.0.0/0"
    return Route(network, gateway)


def _check_route(words: list[str], own: dict[bytes, int], on_link: list[tuple[bytes, int]]) -> Route:
    """Return what a route means, checked; ``on_link`` gets a network that has no gateway."""
    network, gateway = route = parse_route(words)
    prefix, prefixlen = parse_network(network, field="route")
    if gateway is None:
        on_link.append((prefix, prefixlen))
    else:
        hop, zone = parse_ip(gateway, field="gateway")
        if len(hop) != len(prefix) or zone is not None or is_group_ip(hop) or hop in own:
            raise InvalidAddress(f"gateway: {gateway} can be no gateway of {network}")
        near = any(len(hop) == len(ip) and in_prefix(hop, ip, length) for ip, length in on_link)
        # Known before an address is taken, rather than when the device would refuse the route.
        if not near and not (len(hop) == 16 and is_link_local(hop)):
            raise InvalidAddress(
                f"gateway: {gateway} is in no network of --address, nor of an earlier --route"
            )
    return route


def _parse_control(path: str | None) -> str | Path | None:
    """Return the path that is named, or the usual one where none is."""
    if path == "":
        from ..control import default_path

        return default_path()
    return path


def _parse_metrics(text: str | None) -> tuple[str, int] | None:
    if text is None:
        return None
    from ..integrations.metrics_server import parse_metrics_address

    return parse_metrics_address(text)
