"""Frames of a Linux interface, through AF_PACKET sockets.

A link has one socket that only sends (bound to protocol 0, which receives nothing: packet(7)) and those
that receive. The sending one lets the kernel read each frame's ethertype from its header, and is never
handed the ENETDOWN that belongs to a receiver.

For frames to the interface's own address there is one receiver for each protocol; the kernel then shows
us only frames of these. For another address, or all, it is one receiver of every protocol, for the reason
that :func:`neighio.link.bpf.frame_filter` gives.
"""

from __future__ import annotations

import errno
import select
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import trio

from ..address import LinkAddress
from ..errors import InvalidAddress, NotPermitted
from ..wire.ethernet import ETH_HLEN, ETH_P_ARP
from .af_packet import (
    ETH_P_ALL,
    PACKET_ADD_MEMBERSHIP,
    PACKET_DROP_MEMBERSHIP,
    PACKET_MR_MULTICAST,
    PACKET_MR_PROMISC,
    PACKET_STATISTICS,
    SOL_PACKET,
    PacketSocket,
    Receiver,
    SocketFactory,
    let_in,
    membership,
    open_packet_socket,
    open_receiver,
    open_sender,
)
from .base import (
    ARPHRD_ETHER,
    ARPHRD_LOOPBACK,
    CLIENT,
    FrameTooLong,
    LinkBusy,
    LinkDown,
    LinkFacts,
    LinkGone,
    Selection,
)
from .checks import check_group, parse_station
from .closing import close_in_thread

__all__ = ["PacketLink", "PacketLinkStatistics", "open_packet_link"]

_STATISTICS: Final = struct.Struct("=II")

_NOT_PERMITTED: Final = """\
opening {name} needs the capability CAP_NET_RAW. Run the program with `sudo`, or as yourself with that \
capability alone: `sudo setpriv --reuid=$USER --init-groups --inh-caps=+net_raw --ambient-caps=+net_raw \
COMMAND`. (`unshare -Urn` gives it without sudo in a network namespace of its own, to try things on a link \
that you make there; it does not reach {name}.)"""


@dataclass(frozen=True, slots=True)
class PacketLinkStatistics:
    """What the kernel counted on a link's receiving sockets, behind their filters."""

    received: int
    dropped: int
    """Frames lost because a socket's buffer was full."""
    tasks_waiting: int


def open_packet_link(
    facts: LinkFacts,
    *,
    lladdr: bytes | str | None = None,
    protocols: Sequence[int] = (ETH_P_ARP,),
    selection: Selection = CLIENT,
    promiscuous: bool = False,
    socket_factory: SocketFactory = open_packet_socket,
) -> PacketLink:
    """Open an interface for frames of the given ethertypes.

    Arguments:
        facts: what rtnetlink says of the interface.
        lladdr: the address to receive frames for and send them with, where it is not to be the
            interface's own; the interface is told to let it in, or made promiscuous if it cannot.
        protocols: the ethertypes to receive. Frames of any may be sent.
        selection: which of the IPv6 and IPv4 frames to receive, where their ethertypes are among the
            protocols; see :meth:`PacketLink.select`.
        promiscuous: receive what is meant for others, too, as far as the link delivers it.
        socket_factory: for tests; see :class:`neighio.testing.packet_socket.FakeInterface`.

    Frames tagged for a VLAN are not received, nor what this host sends itself.

    Raises:
        InvalidAddress: the interface has no Ethernet header (a tun device, PPP, ...), or ``lladdr`` is no
            station's address of the interface's length.
        NotPermitted: the process lacks CAP_NET_RAW.
        LinkGone: there is no such interface.
        NeighioError: this system has no packet sockets.
        ValueError: ``protocols`` is empty.
    """
    if facts.type not in (ARPHRD_ETHER, ARPHRD_LOOPBACK):
        raise InvalidAddress(
            f"device: {facts.name} has no Ethernet header, which a packet link needs (type {facts.type})"
        )
    if not protocols:
        raise ValueError("protocols: at least one ethertype is to be received")
    own = None if lladdr is None else parse_station(lladdr, len(facts.lladdr), facts.name)
    # What each receiver is bound to, and what it lets through.
    others = promiscuous or own is not None
    wanted = [(ETH_P_ALL, tuple(protocols))] if others else [(one, (one,)) for one in protocols]
    sockets: list[PacketSocket] = []
    opened = False
    try:
        sender = open_sender(sockets, socket_factory, facts.name)
        receivers = [
            open_receiver(sockets, socket_factory, facts.name, accepted, bound_to, selection)
            for bound_to, accepted in wanted
        ]
        if own is not None:
            let_in(sender, facts.index, own)
        if promiscuous:
            everything = membership(facts.index, PACKET_MR_PROMISC, b"")
            sender.setsockopt(SOL_PACKET, PACKET_ADD_MEMBERSHIP, everything)
        opened = True
    except PermissionError:
        raise NotPermitted(_NOT_PERMITTED.format(name=facts.name)) from None
    except OSError as error:
        if error.errno in (errno.ENODEV, errno.ENXIO):
            raise LinkGone(facts.name) from None
        raise
    finally:
        if not opened:
            for one in sockets:
                one.close()
    return PacketLink(facts, own, sender, receivers, selection)


class PacketLink:
    """A :class:`neighio.link.base.Link` on an interface; made by :func:`open_packet_link`.

    Attributes:
        partial_checksum: the frame that ``receive`` returned last comes from this host, which left the
            transport checksum to a network card that it never reached (CHECKSUM_PARTIAL): the checksum is
            to be taken as right. Never so for ARP, which has none.
    """

    def __init__(
        self,
        facts: LinkFacts,
        lladdr: LinkAddress | None,
        sender: PacketSocket,
        receivers: Sequence[Receiver],
        selection: Selection,
    ) -> None:
        self.partial_checksum: bool = False
        self._facts = facts
        self._given_lladdr = lladdr
        self._sender = sender
        self._receivers = tuple(receivers)
        # Those that have something to say; asked for anew when it is empty.
        self._ready: deque[Receiver] = deque()
        # One descriptor to wait on, be there ever so many sockets.
        self._epoll = select.epoll()
        self._receiver_of = {receiver.socket.fileno(): receiver for receiver in receivers}
        for descriptor in self._receiver_of:
            self._epoll.register(descriptor, select.EPOLLIN)
        self._selection = selection
        self._owing_down: set[Receiver] = set()
        self._received = self._dropped = 0
        self._waiting = False
        self._closed = False

    def __repr__(self) -> str:
        return f"<PacketLink {self.name} {self.lladdr.hex(':')}{' closed' if self._closed else ''}>"

    @property
    def name(self) -> str:
        return self._facts.name

    @property
    def index(self) -> int:
        return self._facts.index

    @property
    def lladdr(self) -> bytes:
        return self._facts.lladdr if self._given_lladdr is None else self._given_lladdr

    @property
    def broadcast(self) -> bytes:
        return self._facts.broadcast

    @property
    def flags(self) -> int:
        return self._facts.flags

    @property
    def mtu(self) -> int:
        return self._facts.mtu

    @property
    def selection(self) -> Selection:
        """Which IPv6 and IPv4 frames are received; see :meth:`select`."""
        return self._selection

    def select(self, selection: Selection) -> None:
        """Receive other IPv6 and IPv4 frames from now on, of the protocols that the link was opened for.

        A frame that both selections take is never lost. What has arrived already stays readable.

        Raises:
            LinkGone: the link is closed.
        """
        if self._closed:
            raise LinkGone(self.name)
        for receiver in self._receivers:
            receiver.select(selection)
        self._selection = selection

    def update(self, facts: LinkFacts) -> None:
        """Take over what rtnetlink says now; the sockets follow the interface through a renaming."""
        self._facts = facts

    def send(self, frame: bytes) -> None:
        if self._closed:
            raise LinkGone(self.name)
        try:
            self._sender.send(frame)
        except OSError as error:
            match error.errno:
                case errno.EAGAIN | errno.ENOBUFS | errno.ENOMEM:
                    raise LinkBusy(self.name) from None
                case errno.EMSGSIZE:
                    limit = self.mtu + ETH_HLEN
                    raise FrameTooLong(f"{self.name}: {len(frame)} octets, at most {limit}") from None
            raise self._translated(error) from None

    def receive(self) -> bytes | None:
        if self._closed:
            raise LinkGone(self.name)
        ready = self._ready
        while ready or self._find_ready():
            receiver = ready[0]
            try:
                frame = receiver.receive()
            except BlockingIOError:
                ready.popleft()
                continue
            except OSError as error:
                if error.errno == errno.ENETDOWN and self._was_reported(receiver):
                    continue
                raise self._translated(error) from None
            if len(ready) > 1:
                # No socket is kept waiting by another's flood.
                ready.rotate(-1)
            self.partial_checksum = receiver.partial_checksum
            return frame
        return None

    def _find_ready(self) -> bool:
        self._ready.extend([self._receiver_of[descriptor] for descriptor, _ in self._epoll.poll(0)])
        return bool(self._ready)

    async def wait_readable(self) -> None:
        if self._waiting:
            raise trio.BusyResourceError(f"another task is waiting on {self.name}")
        if self._closed or self._ready:
            await trio.lowlevel.checkpoint()
            return
        self._waiting = True
        try:
            await trio.lowlevel.wait_readable(self._epoll)
        except trio.ClosedResourceError:
            # It was closed meanwhile: receive says so.
            await trio.lowlevel.checkpoint_if_cancelled()
        finally:
            self._waiting = False

    async def aclose(self) -> None:
        if self._closed:
            await trio.lowlevel.checkpoint()
            return
        self._closed = True
        sockets = [self._sender, *(receiver.socket for receiver in self._receivers)]
        trio.lowlevel.notify_closing(self._epoll)
        self._epoll.close()

        # All at once: the kernel keeps each waiting for the same reason.
        async with trio.open_nursery() as nursery:
            for one in sockets:
                nursery.start_soon(close_in_thread, one.close)

    def join(self, group: bytes) -> None:
        self._set_membership(PACKET_ADD_MEMBERSHIP, group)

    def leave(self, group: bytes) -> None:
        self._set_membership(PACKET_DROP_MEMBERSHIP, group)

    def statistics(self) -> PacketLinkStatistics:
        """Return what the kernel counted since the link was opened; the last figures once it is closed."""
        if not self._closed:
            for receiver in self._receivers:
                # Reading sets the kernel's counters to zero. Its first one includes what it dropped.
                raw = receiver.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, _STATISTICS.size)
                packets, drops = _STATISTICS.unpack(raw)
                self._received += packets - drops
                self._dropped += drops
        return PacketLinkStatistics(self._received, self._dropped, int(self._waiting))

    def _set_membership(self, option: int, group: bytes) -> None:
        check_group(group)
        if self._closed:
            raise LinkGone(self.name)
        try:
            self._sender.setsockopt(SOL_PACKET, option, membership(self.index, PACKET_MR_MULTICAST, group))
        except OSError as error:
            raise self._translated(error) from None

    def _was_reported(self, receiver: Receiver) -> bool:
        # The kernel marks every socket when the device goes down; only the first to say so is passed on.
        if receiver in self._owing_down:
            self._owing_down.discard(receiver)
            return True
        self._owing_down = {other for other in self._receivers if other is not receiver}
        return False

    def _translated(self, error: OSError) -> Exception:
        match error.errno:
            case errno.ENETDOWN:
                return LinkDown(self.name)
            case errno.ENXIO | errno.ENODEV:
                return LinkGone(self.name)
        return error
