"""Devices, as a caller names them and as a table shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import trio

from .address import LinkAddress
from .core.device import Device as CoreDevice
from .core.device import parse_interface
from .core.neighbour import Neighbour
from .core.parameters import Parameters
from .errors import InvalidAddress
from .link.base import Link

__all__ = ["AttachedDevice", "Device"]


class Device:
    """A device to attach to a table.

    Args:
        interface: the name of a network interface of this machine, or a link of any kind.
        role: "client": resolve and listen, with the kernel's addresses as source, and never answer.
        addresses: for a link that the kernel does not know: the addresses with which to ask, each with
            its prefix length ("198.51.100.1/24").
        neigh_construct: called with each entry of the device while it is being made. Synchronous; it must
            not use the table; an exception refuses the entry.
        neigh_setup: called likewise with the device's parameters.

    Raises:
        ValueError: an unknown role, or addresses for an interface whose addresses the kernel knows.
        InvalidAddress: ``interface`` can be none, or an address is none or has no prefix length.
    """

    def __init__(
        self,
        interface: str | Link,
        role: Literal["client"] = "client",
        *,
        addresses: Iterable[str] = (),
        neigh_construct: Callable[[Neighbour], None] | None = None,
        neigh_setup: Callable[[Parameters], None] | None = None,
    ) -> None:
        if role != "client":
            raise ValueError(f"role: {role!r} is not one of 'client'")
        if not isinstance(interface, str | Link):
            raise InvalidAddress(f"device: {interface!r} is neither an interface name nor a link")
        if isinstance(addresses, str):
            raise ValueError(f"addresses: {addresses!r} is one text, expected several")
        self.interface = interface
        self.role = role
        self.addresses: tuple[tuple[bytes, int], ...] = tuple(
            parse_interface(address) for address in addresses
        )
        self.neigh_construct = neigh_construct
        self.neigh_setup = neigh_setup
        if isinstance(interface, str):
            if not interface or "/" in interface or len(interface) > 15:
                raise InvalidAddress(f"device: {interface!r} is no interface name")
            if self.addresses:
                raise ValueError(f"addresses: those of {interface} are the kernel's")

    def __repr__(self) -> str:
        return f"<Device {self.interface!r} {self.role}>"


class AttachedDevice:
    """A device of a running table. ``await device.detach()`` ends it alone."""

    def __init__(self, device: CoreDevice, end: Callable[[AttachedDevice], None]) -> None:
        self._device = device
        self._end = end
        self._scope = trio.CancelScope()
        self._ended = trio.Event()

    def __repr__(self) -> str:
        return f"<AttachedDevice {self.name}{' detached' if self._ended.is_set() else ''}>"

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
