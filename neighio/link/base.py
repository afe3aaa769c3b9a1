"""What the library asks of a link: where frames come from and go to."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

__all__ = ["Link", "LinkBusy", "LinkDown", "LinkGone"]


class LinkBusy(Exception):
    """The frame was not taken now (EAGAIN, ENOBUFS). It is lost; the link goes on."""


class LinkDown(Exception):
    """The device is administratively down (ENETDOWN). The link works again when it is up."""


class LinkGone(Exception):
    """The device no longer exists (ENODEV, ENXIO) or the link was closed. It never comes back."""


@runtime_checkable
class Link(Protocol):
    """A source and sink of whole Ethernet frames, header included and FCS not.

    ``send`` and ``receive`` never block. Only ``wait_readable`` and ``aclose`` are asynchronous.
    """

    @property
    def name(self) -> str:
        """The interface's name."""

    @property
    def index(self) -> int:
        """The interface's index, unique within one table."""

    @property
    def lladdr(self) -> bytes:
        """The link-layer address with which frames are to be sent, packed."""

    @property
    def broadcast(self) -> bytes:
        """The link-layer broadcast address, packed."""

    @property
    def flags(self) -> int:
        """IFF_* flags as netlink reports them (IFF_UP, IFF_LOWER_UP, IFF_NOARP, ...)."""

    @property
    def mtu(self) -> int:
        """The largest IP packet, octets."""

    def send(self, frame: bytes) -> None:
        """Hand one frame to the link.

        Raises:
            LinkBusy, LinkDown, LinkGone
        """

    def receive(self) -> bytes | None:
        """Return the next frame that has arrived, or None when there is none now.

        Raises:
            LinkDown: once for each time that the device went down.
            LinkGone
        """

    async def wait_readable(self) -> None:
        """Return when ``receive`` may have something to say; always a checkpoint."""

    async def aclose(self) -> None:
        """Give everything back. Idempotent; complete even when cancelled."""
