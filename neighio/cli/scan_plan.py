"""Where a scan asks, and whom, found out before anybody is asked."""

from __future__ import annotations

import math
import socket
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import trio

from ..address import format_ip, is_station_ip
from ..core.device import in_prefix, parse_interface
from ..device import AttachedDevice
from ..errors import DeviceGone, InvalidAddress
from ..sweep import MAX_SWEEP
from ..table import NeighbourTable
from ..wire.ipv6 import is_link_local
from .scan_targets import Span, count, network_of, read_file, span_of, words

__all__ = ["Plan", "given", "make_plan", "own_text"]

MOST: Final = 1 << 32
"""What a scan asks at most, all that IPv4 has: more would end in nobody's life."""

_BY_DEFAULT: Final = {4: "0.0.0.1", 6: "::2"}
"""Addresses that only the default route leads to."""


class Plan(NamedTuple):
    """What a scan is to do.

    Attributes:
        device: where.
        spans: whom it asks one by one, by family.
        addresses: how many these are.
        sources: own addresses with which all IPv6 nodes are asked; none: they are not.
        own: own addresses among the spans, which are left out.
    """

    device: AttachedDevice
    spans: Mapping[int, Sequence[Span]]
    addresses: int
    sources: Sequence[bytes]
    own: Sequence[str]

    @property
    def networks(self) -> list[str]:
        """What is asked, as it was named."""
        named = [span.text for family in (4, 6) for span in self.spans[family]]
        return [*named, "ff02::1"] if self.sources else named


def own_text(addresses: Sequence[str]) -> str:
    """That these are own addresses."""
    return f"{', '.join(addresses)} {'is' if len(addresses) == 1 else 'are'} this host's own"


def given(arguments: Namespace) -> list[Span]:
    """What the command's arguments name.

    Raises:
        InvalidAddress: it makes no sense, or the file cannot be read; names the field.
    """
    texts = [word for text in arguments.networks for word in words(text)]
    if arguments.file is not None:
        texts += read_file(arguments.file)
    if not texts and not arguments.localnet:
        if arguments.file is not None:
            raise InvalidAddress(f"file: there is nothing to ask in {arguments.file}")
        raise InvalidAddress("network: none is given; -l takes the device's own")
    if texts and arguments.localnet:
        raise InvalidAddress("network: either networks are given, or -l takes the device's own")
    spans = [span_of(text) for text in dict.fromkeys(texts)]
    for span in spans:
        if arguments.family not in (None, span.family):
            raise InvalidAddress(f"network: {span.text} is not of IPv{arguments.family}")
        if not (is_station_ip(span.first) or is_station_ip(span.last)):
            raise InvalidAddress(f"network: {span.text} is nobody's on a link")
        if arguments.dev is not None and span.zone not in (None, arguments.dev):
            raise InvalidAddress(f"network: {span.text} is on another device than {arguments.dev}")
    return spans


async def make_plan(table: NeighbourTable, spans: Sequence[Span], arguments: Namespace) -> Plan:
    """Attach the device, and find out all that can be wrong.

    Raises:
        NeighioError: it makes no sense, or it is not to be done unless that is said; names the field.
    """
    dev = await _find_device(table, spans, arguments)
    device = await table.attach(dev)
    if not device.up:
        raise DeviceGone(f"{device.name} is down")
    if device.noarp:
        raise InvalidAddress(f"device: {device.name} has no neighbours to ask for (NOARP)")
    families = {4, 6} if arguments.family is None else {arguments.family}
    own = {parse_interface(address)[0]: address for address in device.addresses}
    sources: tuple[bytes, ...] = ()
    if arguments.localnet:
        has_link_local = any(map(is_link_local, own))
        if 6 in families and has_link_local:
            sources = tuple(ip for ip in own if len(ip) == 16)
        if 4 in families:
            spans = [network_of(address) for ip, address in own.items() if len(ip) == 4]
            # Two addresses of one network are one network.
            spans = [
                span for span in dict.fromkeys(spans) if span.first != span.last and is_station_ip(span.first)
            ]
        if not spans and not sources:
            wanted = " or ".join(f"IPv{family}" for family in sorted(families))
            raise InvalidAddress(f"device: {device.name} has no {wanted} network of its own to ask on")
    by_family = {family: [span for span in spans if span.family == family] for family in (4, 6)}
    if by_family[6] and not any(map(is_link_local, own)):
        raise InvalidAddress(f"device: {device.name} has no link-local address from which to ask")
    if not arguments.force:
        for span in spans:
            await _check_on_link(table, device, span)
    skipped = await _own_among(table, own, spans)
    addresses = sum(count(some) for some in by_family.values()) - len(skipped)
    if spans and not addresses:
        raise InvalidAddress(f"network: {own_text(skipped)}, and there is nobody else")
    _check_size(addresses, arguments)
    return Plan(device, by_family, addresses, sources, skipped)


async def _find_device(table: NeighbourTable, spans: Sequence[Span], arguments: Namespace) -> str:
    """The device that is meant, by its name."""
    await trio.lowlevel.checkpoint()
    if arguments.dev is not None:
        return str(arguments.dev)
    if not spans:
        return await _local_device(table, arguments.family)
    found = {span.zone: span for span in spans if span.zone is not None}
    for span in spans if not found else ():
        if span.family == 6 and is_link_local(span.first):
            raise InvalidAddress(f"network: {span.text} is on every link; name the device with --dev")
        hop = await _hop(table, span.first) or await _hop(table, span.last)
        if hop is not None:
            found.setdefault(hop[0], span)
        elif span.first != span.last or not await _is_own(table, span.first):
            raise InvalidAddress(f"network: there is no route to {span.text}; name the device with --dev")
    if not found:
        raise InvalidAddress(f"network: {own_text([span.text for span in spans])}, and there is nobody else")
    if len(found) > 1:
        (one, first), (other, second), *_ = found.items()
        raise InvalidAddress(
            f"network: {first.text} is on {one} and {second.text} on {other}; one device at a time"
        )
    return next(iter(found))


async def _local_device(table: NeighbourTable, family: int | None) -> str:
    """The device of the default route, or the only one."""
    await trio.lowlevel.checkpoint()
    for version in (4, 6) if family is None else (family,):
        if (hop := await table.first_hop(_BY_DEFAULT[version])) is not None:
            return hop[0]
    names = [name for _, name in socket.if_nameindex() if name != "lo"]
    if len(names) != 1:
        raise InvalidAddress(f"device: name one with --dev; there is {', '.join(names) or 'none'}")
    return names[0]


async def _hop(table: NeighbourTable, ip: bytes) -> tuple[str, str] | None:
    """The device and the neighbour through which a packet leaves; None for this host's own, too."""
    try:
        return await table.first_hop(ip)
    except InvalidAddress:
        await trio.lowlevel.checkpoint()
        return None


async def _is_own(table: NeighbourTable, ip: bytes) -> bool:
    """Whether an address is one of this host's, on any device."""
    try:
        await table.first_hop(ip)
    except InvalidAddress:
        await trio.lowlevel.checkpoint()
        return True
    return False


async def _check_on_link(table: NeighbourTable, device: AttachedDevice, span: Span) -> None:
    """Return if addresses are reached without a gateway.

    Raises:
        InvalidAddress
    """
    await trio.lowlevel.checkpoint()
    ends = span.first, span.last
    if span.family == 6 and all(map(is_link_local, ends)):
        return
    for address in device.addresses:
        ip, prefixlen = parse_interface(address)
        if len(ip) == len(span.first) and all(in_prefix(end, ip, prefixlen) for end in ends):
            return
    for end in ends:
        hop = await _hop(table, end)
        if hop != (device.name, format_ip(end)) and not (hop is None and await _is_own(table, end)):
            raise InvalidAddress(
                f"network: {span.text} is not on the link of {device.name}; --force asks for it all the same"
            )


async def _own_among(
    table: NeighbourTable, own: Mapping[bytes, str], spans: Sequence[Span]
) -> tuple[str, ...]:
    """The own addresses among spans: the device's, and what was named singly and is another device's."""
    await trio.lowlevel.checkpoint()
    found = {ip for ip in own if any(span.contains(ip) for span in spans)}
    for span in spans:
        # A link-local address that is ours elsewhere may be another's here.
        local = span.family == 6 and is_link_local(span.first)
        if span.first == span.last and not local and await _is_own(table, span.first):
            found.add(span.first)
    return tuple(format_ip(ip) for ip in sorted(found, key=lambda ip: (len(ip), ip)))


def _check_size(addresses: int, arguments: Namespace) -> None:
    """Refuse what takes too long, or needs to be wanted.

    Raises:
        InvalidAddress
    """
    if addresses > MOST:
        raise InvalidAddress(
            f"network: 2^{round(math.log2(addresses))} addresses are not to be asked one by one; "
            "-l -6 asks all nodes"
        )
    if addresses > MAX_SWEEP and not arguments.yes:
        rate: float = arguments.rate
        minutes = addresses / rate / 60
        hours = f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:,.0f} h"
        duration = "" if rate == math.inf else f" ({hours} at {rate:g}/s)"
        raise InvalidAddress(
            f"network: {addresses:,} addresses are more than 2^20; --yes asks them all{duration}"
        )
