"""What the library asks of a link: where frames come from and go to."""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

__all__ = [
    "ARPHRD_ETHER",
    "ARPHRD_LOOPBACK",
    "FrameTooLong",
    "Link",
    "LinkBusy",
    "LinkDown",
    "LinkFacts",
    "LinkGone",
]

ARPHRD_ETHER: Final = 1
ARPHRD_LOOPBACK: Final = 772


class LinkBusy(Exception):
    """The frame was not taken now (EAGAIN, ENOBUFS, ENOMEM). It is lost; the link goes on."""


class FrameTooLong(LinkBusy):
    """The frame is longer than the device's MTU and header allow (EMSGSIZE): sending it again is no use."""


class LinkDown(Exception):
    """The device is administratively down (ENETDOWN). The link works again when it is up."""


class LinkGone(Exception):
    """The device no longer exists (ENODEV, ENXIO) or the link was closed. It never comes back."""


class LinkFacts(Protocol):
    """What rtnetlink says of an interface; :class:`neighio.kernel.rtnetlink.LinkMessage` is one."""

    @property
    def name(self) -> str: ...
    @property
    def index(self) -> int: ...
    @property
    def type(self) -> int:
        """ARPHRD_*, the kind of link-layer header."""
        ...

    @property
    def lladdr(self) -> bytes: ...
    @property
    def broadcast(self) -> bytes: ...
    @property
    def flags(self) -> int: ...
    @property
    def mtu(self) -> int: ...


@runtime_checkable
class Link(Protocol):
    """A source and sink of whole Ethernet frames, header included and FCS not.

    ``send`` and ``receive`` never block. Only ``wait_readable`` and ``aclose`` are asynchronous.
    """

    @property
    def name(self) -> str:
        """The interface's name."""
        ...

    @property
    def index(self) -> int:
        """The interface's index, unique within one table."""
        ...

    @property
    def lladdr(self) -> bytes:
        """The link-layer address with which frames are to be sent, packed."""
        ...

    @property
    def broadcast(self) -> bytes:
        """The link-layer broadcast address, packed."""
        ...

    @property
    def flags(self) -> int:
        """IFF_* flags as netlink reports them (IFF_UP, IFF_LOWER_UP, IFF_NOARP, ...)."""
        ...

    @property
    def mtu(self) -> int:
        """The largest IP packet, octets."""
        ...

    def send(self, frame: bytes) -> None:
        """Hand one frame to the link.

        Raises:
            LinkBusy: the frame is lost (:class:`FrameTooLong` when it always will be).
            LinkDown, LinkGone
        """

    def receive(self) -> bytes | None:
        """Return the next frame that has arrived, or None when there is none now.

        Raises:
            LinkDown: once for each time that the device went down, or was down when it was opened.
            LinkGone
        """
        ...

    async def wait_readable(self) -> None:
        """Return when ``receive`` may have something to say, LinkGone included; always a checkpoint.

        Raises:
            trio.BusyResourceError: another task is waiting on this link.
        """

    async def aclose(self) -> None:
        """Give everything back. Idempotent; complete even when cancelled."""
