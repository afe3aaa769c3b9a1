"""Devices, as a caller names them and as a table shows them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Literal

import trio

from .address import LinkAddress, format_ip
from .core.device import Device as CoreDevice
from .core.device import parse_interface
from .core.neighbour import Neighbour
from .core.parameters import Parameters
from .errors import InvalidAddress
from .host import HostRole, check_own_address
from .link.base import Link

if TYPE_CHECKING:
    from .driver import Driver

__all__ = ["AttachedDevice", "Device"]


class Device:
    """A device to attach to a table.

    Args:
        interface: the name of a network interface of this machine, or a link of any kind.
        role: "client": resolve and listen, with the kernel's addresses as source, and never answer. "host":
            have addresses of one's own, detect duplicates, answer, defend, announce.
        addresses: each with its prefix length ("198.51.100.1/24"). In the host role the own ones, had at once
            without detecting duplicates (:meth:`AttachedDevice.add_address` detects); in the client role, for
            a link that the kernel does not know, those with which to ask.
        lladdr: in the host role on an interface, the link-layer address to have in place of its own.
        forwarding: in the host role, whether the host is a router (the switches of that name).
        neigh_construct: called with each entry of the device while it is being made. Synchronous; it must
            not use the table; an exception refuses the entry.
        neigh_setup: called likewise with the device's parameters.

    Raises:
        ValueError: an unknown role, or what does not go with the role; names the field.
        InvalidAddress: ``interface`` can be none; an address is none or has no prefix length, or a host has
            it twice.
    """

    def __init__(
        self,
        interface: str | Link,
        role: Literal["client", "host"] = "client",
        *,
        addresses: Iterable[str] = (),
        lladdr: str | bytes | None = None,
        forwarding: bool = False,
        neigh_construct: Callable[[Neighbour], None] | None = None,
        neigh_setup: Callable[[Parameters], None] | None = None,
    ) -> None:
        if role not in ("client", "host"):
            raise ValueError(f"role: {role!r} is not one of 'client', 'host'")
        if not isinstance(interface, str | Link):
            raise InvalidAddress(f"device: {interface!r} is neither an interface name nor a link")
        if isinstance(addresses, str):
            raise ValueError(f"addresses: {addresses!r} is one text, expected several")
        host = role == "host"
        if lladdr is not None and not (host and isinstance(interface, str)):
            raise ValueError("lladdr: only a host on an interface has one of its own; a link has its")
        if forwarding and not host:
            raise ValueError("forwarding: only a host is a router; a client's kernel is, or is not")
        self.interface = interface
        self.role: Literal["client", "host"] = role
        self.lladdr: LinkAddress | None = None if lladdr is None else LinkAddress(lladdr)
        self.forwarding: bool = forwarding
        read = check_own_address if host else parse_interface
        self.addresses: tuple[tuple[bytes, int], ...] = tuple(read(address) for address in addresses)
        own = [ip for ip, _ in self.addresses if host]
        for ip in own:
            if own.count(ip) > 1:
                raise InvalidAddress(f"addresses: {format_ip(ip)} is there twice")
        self.neigh_construct = neigh_construct
        self.neigh_setup = neigh_setup
        if isinstance(interface, str):
            if not interface or "/" in interface or len(interface) > 15:
                raise InvalidAddress(f"device: {interface!r} is no interface name")
            if self.addresses and not host:
                raise ValueError(f"addresses: those of {interface} are the kernel's")

    def __repr__(self) -> str:
        return f"<Device {self.interface!r} {self.role}>"


class AttachedDevice(HostRole):
    """A device of a running table. ``await device.detach()`` ends it alone.

    An interface that was named and is removed is waited for: when one of that name is there again, it is
    attached again, with the host's own addresses, and this object stands for it.
    """

    def __init__(
        self,
        device: CoreDevice,
        link: Link,
        spec: Device,
        *,
        admit: Callable[[], Driver],
        refuse: Callable[[AttachedDevice, bytes], Awaitable[None]],
        end: Callable[[AttachedDevice], None],
    ) -> None:
        self._spec = spec
        self._admit = admit
        self._refuse = refuse
        self._end = end
        self._streams = set()
        self._bind(device, link)

    def _bind(self, device: CoreDevice, link: Link) -> None:
        """Stand for this device from now on."""
        self._device = device
        self._link = link
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        self._present = True

    def __repr__(self) -> str:
        return f"<AttachedDevice {self.name}{'' if self.present else ' detached'}>"

    @property
    def present(self) -> bool:
        """Whether the table has neighbours on it now; it was neither detached nor removed."""
        return self._present

    @property
    def name(self) -> str:
        """The interface's present name."""
        return self._device.name

    @property
    def index(self) -> int:
        """The interface's index."""
        return self._device.index

    @property
    def lladdr(self) -> LinkAddress:
        """The link-layer address."""
        return LinkAddress(self._device.lladdr)

    @property
    def up(self) -> bool:
        """Whether the device is administratively up."""
        return self._device.up

    @property
    def carrier(self) -> bool:
        """Whether the device has a carrier."""
        return self._device.carrier

    @property
    def noarp(self) -> bool:
        """Whether there is no resolution on the device, IFF_NOARP; nobody is asked and nobody answered."""
        return self._device.noarp

    @property
    def mtu(self) -> int:
        """The largest IP packet, octets."""
        return self._device.mtu

    @property
    def drops(self) -> Mapping[str, int]:
        """Received frames that touched nothing, by reason."""
        return dict(self._device.drops)

    async def detach(self) -> None:
        """Give the device up. Its neighbours go, and whoever waits for one gets :class:`DeviceGone`.

        Returns when its tasks have ended and its descriptors are closed; a checkpoint. Idempotent, and done
        even when the call is cancelled, which then only does not wait.
        """
        self._end(self)
        await self._ended.wait()
