"""Scripted stations on an in-memory segment: no engine, no table, no task, only what a test tells them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from ..address import IPAddress, LinkAddress, parse_ip
from ..link.base import LinkDown, LinkGone
from ..link.memory import MemoryLink as MemoryLink
from ..link.memory import Segment as Segment
from ..link.memory import SegmentFrame as SegmentFrame
from ..wire import arp
from ..wire.ethernet import BROADCAST

__all__ = ["Heard", "MemoryLink", "ScriptedPeer", "Segment", "SegmentFrame"]

_UNKNOWN = bytes(6)


class Heard(NamedTuple):
    """A frame that reached a peer, and when."""

    time: float
    frame: bytes


class ScriptedPeer:
    """A station that answers ARP requests for its addresses, and does whatever else a test says.

    It acts inside :meth:`Segment.deliver`, so it needs no loop; with a delay of 0 its answer is on the
    segment before the asker's ``send`` returns. It hears what is addressed to its link-layer address, to
    broadcast or to a group, like a station that is not promiscuous.

    Arguments:
        segment: where it is attached, under ``name``.
        lladdr: its link-layer address, 6 octets.
        ip: its IPv4 address or addresses.
        answers: False for a station that starts muted.
        delay: seconds between hearing a request and sending the answer.
        keep: how many of the last frames :attr:`heard` holds.

    Attributes:
        link: its link; ``peer.link.loss = 1.0`` makes it deaf.
        addresses: the list of packed addresses that it answers for; may be changed at any time.
        delay: may be assigned at any time.

    Raises:
        InvalidAddress: an address is none.
        ValueError: the name is taken on the segment.
    """

    def __init__(
        self,
        segment: Segment,
        lladdr: bytes | str,
        ip: IPAddress | Iterable[IPAddress],
        *,
        answers: bool = True,
        delay: float = 0.0,
        name: str | None = None,
        keep: int = 4096,
    ) -> None:
        ips = [ip] if isinstance(ip, (str, bytes, IPv4Address, IPv6Address)) else ip
        self.addresses: list[bytes] = [parse_ip(one)[0] for one in ips]
        self.delay = delay
        self.link: MemoryLink = segment.attach(
            lladdr, name=str(LinkAddress(lladdr)) if name is None else name
        )
        self.link.on_receive = self._on_receive
        self._segment = segment
        self._answers = answers
        self._heard: deque[Heard] = deque(maxlen=keep)

    def __repr__(self) -> str:
        return f"<ScriptedPeer {self.link.name}>"

    @property
    def lladdr(self) -> LinkAddress:
        """Its link-layer address; assigning is changing the network card, silently.

        Announce the change with :meth:`announce`, or do not.
        """
        return self.link.lladdr

    @lladdr.setter
    def lladdr(self, lladdr: bytes | str) -> None:
        self.link.change(lladdr=lladdr)

    @property
    def heard(self) -> deque[Heard]:
        """The last frames that reached it, oldest first."""
        self._segment.deliver()
        return self._heard

    def mute(self) -> None:
        """Answer nothing from now on, nor what it was about to answer. It still hears."""
        self._segment.deliver()
        self._answers = False

    def unmute(self) -> None:
        """Answer again."""
        self._segment.deliver()
        self._answers = True

    def send(self, frame: bytes) -> None:
        """Send any octets."""
        self.link.send(frame)

    def ask(self, target: IPAddress, *, source: IPAddress | None = None, dst: bytes = BROADCAST) -> None:
        """Send an ARP request for ``target`` from ``source`` (its first address when None)."""
        self._send_arp(arp.ARPOP_REQUEST, self._source(source), parse_ip(target)[0], _UNKNOWN, dst)

    def reply(self, to: bytes, target: IPAddress, *, source: IPAddress | None = None) -> None:
        """Send an unasked ARP reply to the station ``to``: ``source`` is at this peer's lladdr."""
        self._send_arp(arp.ARPOP_REPLY, self._source(source), parse_ip(target)[0], to, to)

    def announce(self, ip: IPAddress | None = None, *, op: int = arp.ARPOP_REQUEST) -> None:
        """Broadcast a gratuitous ARP message (its first address when None).

        A request with target = sender (RFC 5227, section 3), or with ``op`` 2 a reply whose target
        hardware address is the sender's too, which is the form that Linux's ``arp_is_garp`` demands.
        """
        spa = self._source(ip)
        tha = self.lladdr if op == arp.ARPOP_REPLY else _UNKNOWN
        self._send_arp(op, spa, spa, tha, BROADCAST)

    def _send_arp(self, op: int, spa: bytes, tpa: bytes, tha: bytes, dst: bytes) -> None:
        self.send(arp.build(op, spa, self.lladdr, tpa, tha, dst=dst, src=self.lladdr))

    def _source(self, ip: IPAddress | None) -> bytes:
        return self.addresses[0] if ip is None else parse_ip(ip)[0]

    def _on_receive(self) -> None:
        try:
            frame = self.link.receive()
        except (LinkDown, LinkGone):
            return
        if frame is None or not self._is_addressed(frame):
            return
        self._heard.append(Heard(self._segment.time(), frame))
        message = arp.parse(frame)
        if isinstance(message, str):
            return
        op, spa, sha, tpa, _ = message
        if op == arp.ARPOP_REQUEST and tpa in self.addresses:
            self._segment.call_at(self._segment.time() + self.delay, lambda: self._answer(tpa, spa, sha))

    def _is_addressed(self, frame: bytes) -> bool:
        to_a_group = bool(frame) and bool(frame[0] & 1)
        return to_a_group or frame[:6] == self.lladdr

    def _answer(self, ip: bytes, asker: bytes, asker_lladdr: bytes) -> None:
        if self._answers:
            # It acts inside somebody else's call, who has no part in the state of this station's link.
            with suppress(LinkDown, LinkGone):
                self.reply(asker_lladdr, asker, source=ip)
