"""What the library asks of a link: where frames come from and go to."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol, runtime_checkable

from ..core.constants import IFF_BROADCAST, IFF_LOWER_UP, IFF_MULTICAST, IFF_RUNNING, IFF_UP

__all__ = [
    "ARPHRD_ETHER",
    "ARPHRD_LOOPBACK",
    "CLIENT",
    "WORKING_FLAGS",
    "FrameTooLong",
    "Link",
    "LinkBusy",
    "LinkDown",
    "LinkFacts",
    "LinkGone",
    "Selection",
]

ARPHRD_ETHER: Final = 1
ARPHRD_LOOPBACK: Final = 772

WORKING_FLAGS: Final = IFF_UP | IFF_BROADCAST | IFF_RUNNING | IFF_MULTICAST | IFF_LOWER_UP
"""Those of an Ethernet device that is up and has a carrier."""


class LinkBusy(Exception):
    """The frame was not taken now (EAGAIN, ENOBUFS, ENOMEM). It is lost; the link goes on."""


class FrameTooLong(LinkBusy):
    """The frame is longer than the device's MTU and header allow (EMSGSIZE): sending it again is no use."""


class LinkDown(Exception):
    """The device is administratively down (ENETDOWN). The link works again when it is up."""


class LinkGone(Exception):
    """The device no longer exists (ENODEV, ENXIO) or the link was closed. It never comes back."""


class Selection(NamedTuple):
    """Which IPv6 and IPv4 frames a link is to take. Frames of other ethertypes, ARP's too, are taken whole.

    The default is a client's: of IPv6 Neighbour Discovery, and what may hide it (extension headers, which
    ``wire`` refuses and counts); of IPv4 nothing.

    Attributes:
        ipv4: the host's own IPv4 addresses, packed: frames to others are not taken.
        host: of IPv6 also what a host answers or heeds: echo requests and replies, MLD's queries and reports
            (of version 1).
        packets: every IPv6 frame, and every IPv4 frame to ``ipv4``, of which only ICMP is taken otherwise.
    """

    ipv4: frozenset[bytes] = frozenset()
    host: bool = False
    packets: bool = False


CLIENT: Final = Selection()
"""What a client needs."""


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

    A link may have more. ``on_change``, None at first: what it is to call, without arguments, when its
    name, address, flags or MTU changed and nobody but itself can tell. ``select(selection)``: take what a
    :class:`~neighio.link.base.Selection` says from now on, so that nobody is woken for frames that nobody
    wants; a link without it hands every frame up.
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

    @property
    def partial_checksum(self) -> bool:
        """Whether the transport checksum of the frame that ``receive`` returned last is to be taken as right.

        Linux leaves it to the network card (CHECKSUM_PARTIAL), which a frame between two hosts on one
        machine never reaches.
        """
        ...

    def join(self, group: bytes) -> None:
        """Let frames to a multicast link-layer address in, packed; joining twice needs leaving twice.

        Raises:
            InvalidAddress: ``group`` is no multicast address.
            LinkGone
        """

    def leave(self, group: bytes) -> None:
        """Take back one :meth:`join`; without one, nothing happens.

        Raises:
            InvalidAddress: ``group`` is no multicast address.
            LinkGone
        """

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
