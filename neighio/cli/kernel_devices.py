"""The kernel's devices and their addresses, as rtnetlink says now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from ..address import format_ip
from ..core.constants import IFA_F_OPTIMISTIC, IFA_F_TENTATIVE, IFF_LOWER_UP, IFF_NOARP, IFF_UP
from ..errors import NeighioError
from ..kernel import requests
from ..kernel.framing import attributes
from ..kernel.netlink import open_netlink
from ..kernel.rtnetlink import AddressMessage, LinkMessage, decode
from ..kernel.uapi import IFINFOMSG, U32

__all__ = ["KernelDevice", "read_devices"]


IFLA_MASTER: Final = 10
IFLA_PROMISCUITY: Final = 30


class KernelDevice(NamedTuple):
    """A device and its addresses.

    ``promiscuity`` counts those who want everything that is heard on it; ``master`` is the index of the
    bridge, bond, ... of which it is a port.
    """

    link: LinkMessage
    addresses: Sequence[AddressMessage]
    promiscuity: int
    master: int | None

    @property
    def name(self) -> str:
        return self.link.name

    @property
    def up(self) -> bool:
        """Whether it is administratively up."""
        return bool(self.link.flags & IFF_UP)

    @property
    def carrier(self) -> bool:
        """Whether somebody may hear it."""
        return bool(self.link.flags & IFF_LOWER_UP)

    @property
    def noarp(self) -> bool:
        """Whether it resolves no addresses."""
        return bool(self.link.flags & IFF_NOARP)

    def own(self, family: int | None = None) -> list[bytes]:
        """The addresses of a family (AF_*), or of all, that are in use."""
        return [
            one.local
            for one in self.addresses
            if family in (None, one.family)
            and (not one.flags & IFA_F_TENTATIVE or one.flags & IFA_F_OPTIMISTIC)
        ]

    def has(self, ip: bytes) -> bool:
        """Whether an address is one of the device's, in use or not yet."""
        return any(one.local == ip for one in self.addresses)

    @property
    def texts(self) -> list[str]:
        """The addresses with their prefix lengths."""
        return [f"{format_ip(one.local)}/{one.prefixlen}" for one in self.addresses]


async def read_devices() -> list[KernelDevice]:
    """Return the devices of this network namespace, in the order of their indexes.

    Raises:
        NeighioError: this system has no rtnetlink.
    """
    try:
        netlink = open_netlink()
    except OSError as error:
        raise NeighioError(f"no rtnetlink here ({error.strerror})") from None
    with netlink:
        links = await netlink.dump(requests.dump_links())
        addresses = [decode(one) for one in await netlink.dump(requests.dump_addresses())]
    own: dict[int, list[AddressMessage]] = {}
    for address in addresses:
        if isinstance(address, AddressMessage):
            own.setdefault(address.index, []).append(address)
    found = []
    for message in links:
        link = decode(message)
        if isinstance(link, LinkMessage):
            more = attributes(message.body, IFINFOMSG.size)
            promiscuity = U32.unpack_from(more.get(IFLA_PROMISCUITY, bytes(4)))[0]
            master = U32.unpack_from(more[IFLA_MASTER])[0] if IFLA_MASTER in more else None
            found.append(KernelDevice(link, own.get(link.index, ()), promiscuity, master))
    return sorted(found, key=lambda device: device.link.index)
