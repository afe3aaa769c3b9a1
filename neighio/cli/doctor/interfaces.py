"""The interfaces: who can be asked through them, and who is heard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from shlex import quote
from typing import Final

from ...address import format_ip
from ...core.constants import AF_INET, AF_INET6, IFA_F_TENTATIVE, IFF_LOOPBACK
from ...kernel.rtnetlink import AddressMessage
from ...link.base import ARPHRD_ETHER
from ...wire.ipv6 import is_link_local
from ..kernel_devices import KernelDevice
from .findings import Finding, Level, times

__all__ = ["IFA_F_DADFAILED", "find_interfaces", "is_askable"]

IFA_F_DADFAILED: Final = 0x08

MINIMUM_MTU: Final = 1280
"""Of IPv6, octets (RFC 8200 5)."""


def is_askable(device: KernelDevice) -> bool:
    """Whether there are neighbours to ask through a device, now."""
    return (
        device.up
        and device.carrier
        and not device.noarp
        and not device.link.flags & IFF_LOOPBACK
        and device.link.type == ARPHRD_ETHER
    )


def find_interfaces(
    devices: Sequence[KernelDevice], everybody: Sequence[KernelDevice], *, asked: bool
) -> Iterator[Finding]:
    """What is to be said of some devices, ``everybody`` being all; ``asked``: they were asked for by name, so
    that what keeps them from being used is a problem."""
    names = {device.link.index: device.name for device in everybody}
    for device in devices:
        if device.link.flags & IFF_LOOPBACK and not asked:
            continue
        yield from _interface(device, names, Level.PROBLEM if asked else Level.NOTE)


def _interface(device: KernelDevice, names: dict[int, str], hindrance: Level) -> Iterator[Finding]:
    name, link = device.name, device.link
    looks = [link.kind or "hardware", f"MTU {link.mtu}"]
    looks += device.texts or ["no address"]
    if is_askable(device):
        yield Finding(Level.OK, "interface", name, f"up, {', '.join(looks)}")
    elif link.flags & IFF_LOOPBACK:
        yield Finding(
            hindrance,
            "interface",
            name,
            "the loopback device",
            "nobody but this host is there",
            "choose another, or leave --dev out" if hindrance is Level.PROBLEM else None,
        )
    elif link.type != ARPHRD_ETHER:
        yield Finding(
            hindrance,
            "interface",
            name,
            f"has no Ethernet header (type {link.type}, {link.kind or 'hardware'})",
            "ARP and Neighbour Discovery are not for it, and neighio cannot open it",
            "choose another, or leave --dev out" if hindrance is Level.PROBLEM else None,
        )
    elif not device.up:
        yield Finding(
            hindrance,
            "interface",
            name,
            "down",
            "nobody is asked or heard on it",
            f"ip link set {quote(name)} up",
        )
    elif not device.carrier:
        yield Finding(
            max(hindrance, Level.WARNING, key=list(Level).index),
            "interface",
            name,
            "up, without a carrier",
            "nobody hears what is sent: the cable, the switch's port or the other end is down",
            f"ethtool {quote(name)}",
        )
    else:
        yield Finding(
            hindrance,
            "interface",
            name,
            "up, with NOARP",
            "the kernel resolves no address on it, and answers nobody who asks",
            f"ip link set {quote(name)} arp on",
        )
    if not device.up:
        return
    yield from _addresses(device)
    if device.master is not None:
        master = names.get(device.master, f"interface {device.master}")
        yield Finding(
            Level.NOTE,
            "interface",
            name,
            f"is a port of {master}",
            f"neighbours are the business of {master}, which has the addresses",
            f"neighio ... --dev {quote(master)}",
        )
    if device.promiscuity:
        yield Finding(
            Level.NOTE,
            "interface",
            name,
            f"promiscuous ({times(device.promiscuity)})",
            "somebody listens to everything on it: a bridge, a capture, a host with an address of its own",
        )
    if link.mtu < MINIMUM_MTU:
        yield Finding(
            Level.WARNING,
            "interface",
            name,
            f"has an MTU of {link.mtu}",
            f"below {MINIMUM_MTU} octets the kernel takes IPv6 away from it",
            f"ip link set {quote(name)} mtu 1500",
        )


def _addresses(device: KernelDevice) -> Iterator[Finding]:
    name = device.name
    for address in device.addresses:
        if address.flags & IFA_F_DADFAILED:
            yield _duplicate(name, address)
        elif address.flags & IFA_F_TENTATIVE:
            yield Finding(
                Level.NOTE,
                "interface",
                name,
                f"{format_ip(address.local)} is tentative",
                "it is being detected whether somebody else has it; until then it is not used",
            )
    if not is_askable(device) or device.master is not None:
        return
    if not device.own(AF_INET):
        yield Finding(
            Level.NOTE,
            "interface",
            name,
            "has no IPv4 address",
            "who is asked by ARP is asked from 0.0.0.0, which some do not answer",
            f"ip address add ADDRESS/LENGTH dev {quote(name)}",
        )
    if not any(is_link_local(ip) for ip in device.own(AF_INET6)):
        yield Finding(
            Level.NOTE,
            "interface",
            name,
            "has no link-local IPv6 address",
            "nobody can be asked by Neighbour Discovery without a source of one's own",
            f"ip link set {quote(name)} addrgenmode eui64",
        )


def _duplicate(name: str, address: AddressMessage) -> Finding:
    ip = format_ip(address.local)
    return Finding(
        Level.PROBLEM,
        "interface",
        name,
        f"{ip} is somebody else's, too (dadfailed)",
        "the kernel found a duplicate when it took the address, and does not use it",
        f"ip address del {ip}/{address.prefixlen} dev {quote(name)}",
    )
