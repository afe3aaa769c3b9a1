"""IP packets for the stack above a device in the host role."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..address import LinkAddress
from ..wire import ipv4, ipv6
from ..wire.ethernet import ETH_HLEN
from .constants import AF_INET, AF_INET6
from .events import Received

if TYPE_CHECKING:
    from .cache import Services
    from .device import Device

__all__ = ["DROP_NOT_OURS", "DROP_NO_LISTENER", "deliver_ipv4", "deliver_ipv6"]

DROP_OTHER_HOST: Final = "other_host"
DROP_NOT_OURS: Final = "ip_destination_not_ours"
DROP_NO_LISTENER: Final = "ip_no_listener"
"""Nobody above asked for packets."""


def deliver_ipv4(services: Services, device: Device, frame: bytes) -> str | None:
    """Hand an IPv4 packet in an Ethernet frame up, if it is for this host; returns the reason if not."""
    if frame[:6] != device.lladdr:
        return DROP_OTHER_HOST
    packet = frame[ETH_HLEN:]
    found = ipv4.parse(packet)
    if isinstance(found, str):
        return found
    if not device.node.owns(found[1]):
        return DROP_NOT_OURS
    length = int.from_bytes(packet[2:4], "big")
    return _deliver(services, device, AF_INET, packet[:length], frame[6:12])


def deliver_ipv6(services: Services, device: Device, frame: bytes) -> str | None:
    """Hand an IPv6 packet in an Ethernet frame up, if it is for this host; returns the reason if not."""
    if frame[:6] != device.lladdr:
        return DROP_OTHER_HOST
    found = ipv6.parse_frame(frame)
    if isinstance(found, str):
        return found
    dst = found[1]
    own = device.address(dst)
    ours = device.node.owns(dst) and not ipv6.is_link_local(dst) if own is None else not own.tentative
    if not ours:
        return DROP_NOT_OURS
    packet = frame[ETH_HLEN:]
    length = ipv6.IPV6_HLEN + int.from_bytes(packet[4:6], "big")
    return _deliver(services, device, AF_INET6, packet[:length], frame[6:12])


def _deliver(services: Services, device: Device, family: int, packet: bytes, sender: bytes) -> str | None:
    if device.index not in services.listening:
        return DROP_NO_LISTENER
    lladdr = bytes.__new__(LinkAddress, sender)
    services.outputs.append(Received(services.now, device, family, packet, lladdr))
    return None
