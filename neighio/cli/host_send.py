"""The datagrams that ``neighio host`` sends when it is told to."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from ..address import format_ip, is_group_ip, parse_ip
from ..core.constants import RTN_UNICAST
from ..errors import AdminError, InvalidAddress
from ..records import Record
from ..wire import udp
from .host_words import parse_count

if TYPE_CHECKING:
    from .host_life import Host

__all__ = ["Sender"]

PORT: Final = 9
"""The discard port (RFC 863), from which and to which datagrams are sent."""

MOST_PAYLOAD: Final = {4: 65507, 16: 65527}
"""Octets that a UDP datagram carries, by the length of an address."""


class Sender:
    """Datagrams of one host, numbered from 1 on."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._sent = 0

    def send(self, words: list[str]) -> Record:
        """``send IP [BYTES] [from IP] [confirm]``."""
        host = self._host
        confirms = words[-1:] == ["confirm"]
        if confirms:
            words = words[:-1]
        match words:
            case [ip]:
                octets, source = 0, None
            case [ip, "from", source]:
                octets = 0
            case [ip, text]:
                octets, source = parse_count("bytes", text), None
            case [ip, text, "from", source]:
                octets = parse_count("bytes", text)
            case _:
                raise ValueError("send: expected send IP [BYTES] [from IP] [confirm]")
        destination, zone = parse_ip(ip)
        device = host.attached._device
        if zone is not None and zone != device.name:
            raise InvalidAddress(f"ip: zone {zone!r} is not {device.name}")
        if octets > MOST_PAYLOAD[len(destination)]:
            raise AdminError(errno.EMSGSIZE, f"bytes: {octets} are more than a datagram carries")
        if device.node.owns(destination):
            raise InvalidAddress(f"ip: {format_ip(destination)} is an address of this host's own")
        # Groups of IPv6 are on every link.
        group = len(destination) == 16 and is_group_ip(destination)
        hop = (device, destination) if group else device.node.first_hop(destination)
        if hop is None or not host.attached.present:
            raise AdminError(errno.ENETUNREACH, f"ip: there is no route to {format_ip(destination)}")
        own = self._source(source, hop[1], destination)
        number = self._sent + 1
        packet = udp.build(own, destination, PORT, PORT, _payload(number, octets))
        if len(packet) > device.mtu:
            text = f"bytes: the packet would have {len(packet)} octets, and the MTU is {device.mtu}"
            raise AdminError(errno.EMSGSIZE, text)
        if confirms and device.node.address_type(destination) == RTN_UNICAST:
            with host.table.neighbour(hop[1]) as neighbour:
                neighbour.confirm()
        if group:
            with host.table.neighbour(destination) as neighbour:
                neighbour.send_nowait(packet)
        else:
            host.attached.send_nowait(packet)
        self._sent = number
        return {"number": number, "octets": len(packet), "source": format_ip(own)}

    def _source(self, given: str | None, hop: bytes, destination: bytes) -> bytes:
        """The address from which a packet leaves: the given one, or the one that Linux would choose."""
        device = self._host.attached._device
        if given is not None:
            own, _ = parse_ip(given, field="from")
            address = device.address(own)
            if len(own) != len(destination) or address is None or address.tentative:
                raise AdminError(errno.EADDRNOTAVAIL, f"from: {given} is no address of this host's to use")
            return own
        node = device.node
        found = node.source_for(hop, device, None) if len(hop) == 4 else node.ipv6_source(device, destination)
        if found is None or not any(found):
            family = "IPv4" if len(hop) == 4 else "IPv6"
            raise AdminError(errno.EADDRNOTAVAIL, f"from: this host has no {family} address")
        return found


def _payload(number: int, octets: int) -> bytes:
    """So many octets, which begin with the datagram's number where there is room."""
    return f"#{number:03}".encode().ljust(octets, b".")[:octets]
