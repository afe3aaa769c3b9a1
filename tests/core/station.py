"""Another station on the segment, of either family: it answers for its addresses, or does not."""

from __future__ import annotations

from neighio.address import LinkAddress, format_ip, parse_ip
from neighio.link.memory import MemoryLink, Segment
from neighio.wire import arp, ndisc
from neighio.wire.ethernet import BROADCAST, ipv6_multicast_lladdr
from neighio.wire.ipv6 import ALL_NODES

from .families import current

__all__ = ["Station"]


class Station:
    """A station with addresses of one family or both; :class:`neighio.testing.ScriptedPeer` is one of IPv4.

    Attributes:
        delay: seconds between hearing a question and answering it.
        heard: the frames that came to it, to all, or to a group.
    """

    def __init__(
        self, segment: Segment, lladdr: str, *ips: str, delay: float = 0.0, answers: bool = True
    ) -> None:
        self.addresses = [parse_ip(ip)[0] for ip in ips]
        self.delay = delay
        self.heard: list[bytes] = []
        self.lladdr = LinkAddress(lladdr)
        self._answers = answers
        self._segment = segment
        self._link: MemoryLink = segment.attach(lladdr, name=f"station {lladdr}")
        self._link.on_receive = self._receive

    def mute(self) -> None:
        self._answers = False

    def unmute(self) -> None:
        self._answers = True

    def announce(self) -> None:
        """Say to all where the first address is: a hint, and no proof."""
        ip = self.addresses[0]
        if len(ip) == 4:
            self._link.send(
                arp.build(arp.ARPOP_REQUEST, ip, self.lladdr, ip, bytes(6), dst=BROADCAST, src=self.lladdr)
            )
        else:
            self._advertise(ip, ALL_NODES, ipv6_multicast_lladdr(ALL_NODES), solicited=False)

    def ask(self) -> None:
        """Ask for our address from the first one."""
        self._link.send(current().question(format_ip(self.addresses[0]), self.lladdr))

    def _receive(self) -> None:
        frame = self._link.receive()
        if frame is None or not (frame[0] & 1 or frame[:6] == self.lladdr):
            return
        self.heard.append(frame)
        asked = self._asked(frame)
        if asked is not None and self._answers:
            target, asker, where = asked
            self._segment.call_at(
                self._segment.time() + self.delay, lambda: self._answer(target, asker, where)
            )

    def _asked(self, frame: bytes) -> tuple[bytes, bytes, bytes] | None:
        """For which of our addresses a frame asks, who does and where he is."""
        question = arp.parse(frame)
        if not isinstance(question, str):
            op, asker, where, target, _ = question
            return (target, asker, where) if op == arp.ARPOP_REQUEST and target in self.addresses else None
        message = ndisc.parse(frame)
        if isinstance(message, ndisc.Solicitation) and message.target in self.addresses and message.lladdr:
            return message.target, message.src, message.lladdr
        return None

    def _answer(self, target: bytes, asker: bytes, where: bytes) -> None:
        if not self._answers:
            return
        if len(target) == 4:
            self._link.send(
                arp.build(arp.ARPOP_REPLY, target, self.lladdr, asker, where, dst=where, src=self.lladdr)
            )
        else:
            self._advertise(target, asker, where, solicited=True)

    def _advertise(self, target: bytes, dst: bytes, to: bytes, *, solicited: bool) -> None:
        packet = ndisc.build_advertisement(
            target, dst, target, self.lladdr, router=False, solicited=solicited, override=True
        )
        self._link.send(to + self.lladdr + b"\x86\xdd" + packet)
