"""The view of one station of the capture: what Linux's table would have been there.

What the station sent goes through the table: a solicitation is a question of the table's, a packet is its
output, to the neighbour at whose link-layer address it left. What reached the station is the table's input.

The table sends nothing, so it has no answers but those to what the station asked. It would fail whom it alone
asks; so an entry whose probes nobody sent rests at STALE again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from math import inf
from typing import Final

from ..address import is_group_ip
from ..core.base import FAMILY_OF_LENGTH
from ..core.constants import (
    NLM_F_CREATE,
    NLM_F_REPLACE,
    NTF_ROUTER,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_STALE,
    NUD_VALID,
    RT_SCOPE_LINK,
    RT_SCOPE_UNIVERSE,
)
from ..core.device import LIMITED_BROADCAST, Address, Device
from ..core.events import Output, Transmit
from ..core.neighbour import Neighbour
from ..core.queue import Packet
from ..wire import ndisc
from ..wire.ethernet import ETH_HLEN, is_group
from ..wire.ipv6 import is_link_local
from .framing import UNKNOWN
from .links import Link
from .messages import ARP_REQUEST, Message, read
from .virtual import VirtualTable

__all__ = ["Station"]

MOST_ADDRESSES: Final = 64
"""The station's addresses on one link that are found out."""

MOST_HEARD: Final = 4096
"""Link-layer addresses of which is remembered whose they are said to be."""

MOST_OF_ONE: Final = 4
"""IP addresses that are remembered of one link-layer address."""

MOST_LATE: Final = 0.5
"""The station's own timers may be later than the table's by so much, seconds."""

PREFIX_LENGTHS: Final = {4: 32, 16: 64}
"""Of addresses of which the prefix is not known, by their octets."""

_SOURCE: Final = {4: slice(26, 30), 16: slice(22, 38)}
_DESTINATION: Final = {4: slice(30, 34), 16: slice(38, 54)}
_SIZES: Final = {b"\x08\x00": 4, b"\x86\xdd": 16}
_SHORTEST: Final = {4: ETH_HLEN + 20, 16: ETH_HLEN + 40}

TCP: Final = 6
TCP_ACK: Final = 0x10


class _Seat:
    """The station's place on a link."""

    __slots__ = ("device", "heard", "lladdr", "own")

    def __init__(self, device: Device, lladdr: bytes) -> None:
        self.device: Device = device
        self.lladdr: bytes = lladdr
        self.own: set[bytes] = set()
        self.heard: OrderedDict[tuple[bytes, int], list[bytes]] = OrderedDict()
        """Who says to be at a link-layer address, by it and the octets of an IP address; the latest last."""


class Station:
    """Feeds a table with what a station sent and received.

    Args:
        table: the station's.
        ip: an address of the station's, packed; or
        lladdr: its link-layer address.
        prefixlen: the prefix length of ``ip``; then packets to that prefix go to neighbours.

    Attributes:
        unknown_hops: packets that left to a link-layer address of which nobody said whose it is.
        known_before: entries that the station used though the capture does not show how it came by them.
        unasked: entries that the table would have asked, and the station did not ask.
        refused: what the table had no room for.
    """

    def __init__(
        self,
        table: VirtualTable,
        *,
        ip: bytes | None = None,
        lladdr: bytes | None = None,
        prefixlen: int | None = None,
    ) -> None:
        self._table = table
        self._ip = ip
        self._lladdr = lladdr
        self._prefixlen = prefixlen
        self._seats: dict[str, _Seat] = {}
        self._asked: OrderedDict[tuple[int, bytes], float] = OrderedDict()
        self.unknown_hops: int = 0
        self.known_before: int = 0
        self.unasked: int = 0
        self.refused: int = 0

    @property
    def found(self) -> bool:
        """Whether the station was met."""
        return bool(self._seats)

    def take(self, link: Link, frame: bytes, message: Message | str) -> None:
        """A frame was seen on a link. The station is there from the first frame that it sent or was sent."""
        if link.raw:
            self._take_raw(link, frame, message)
            return
        seat = self._seats.get(link.name)
        if seat is None:
            lladdr = self._recognise(frame, message)
            if lladdr is None:
                return
            seat = self._sit(link, lladdr)
        if frame[6:12] == seat.lladdr:
            self._sent(seat, frame, message)
        else:
            self._received(seat, frame, message)

    def _take_raw(self, link: Link, frame: bytes, message: Message | str) -> None:
        """On a link without link-layer addresses the station is known by its IP address alone, and every
        neighbour is at hand: nothing is asked."""
        size = _SIZES.get(frame[12:14], 0)
        if not size or len(frame) < _SHORTEST[size]:
            return
        src, dst = frame[_SOURCE[size]], frame[_DESTINATION[size]]
        seat = self._seats.get(link.name)
        if seat is None:
            if self._ip is None or self._ip not in (src, dst):
                return
            seat = self._sit(link, b"")
        index = seat.device.index
        if src in seat.own:
            packet = Packet(frame[ETH_HLEN:], FAMILY_OF_LENGTH[size], given=False)
            self._attempt(lambda: self._send(index, dst, packet))
        elif isinstance(message, Message) and (dst in seat.own or _is_for_many(dst)):
            self._table.receive(seat.device, frame)

    # -- who it is

    def _recognise(self, frame: bytes, message: Message | str) -> bytes | None:
        """The station's link-layer address, if a frame is from it or for it."""
        if self._lladdr is not None:
            return self._lladdr if self._lladdr in (frame[:6], frame[6:12]) else None
        if isinstance(message, str):
            return None
        if message.claims == self._ip:
            return message.lladdr
        if message.src == self._ip:
            return frame[6:12]
        to_one = not is_group(frame) and frame[:6] != UNKNOWN
        return frame[:6] if message.dst == self._ip and to_one else None

    def _sit(self, link: Link, lladdr: bytes) -> _Seat:
        device = link.device = self._table.add_device(link.name, lladdr, raw=link.raw)
        seat = self._seats[link.name] = _Seat(device, lladdr)
        if self._ip is not None:
            self._own(seat, self._ip, self._prefixlen)
        if lladdr:
            # Whatever else it is called by: without one it could send no solicitation.
            self._own(seat, _link_local(lladdr))
        return seat

    def _own(self, seat: _Seat, ip: bytes, prefixlen: int | None = None) -> None:
        """An address is the station's."""
        if ip in seat.own or not any(ip) or len(seat.own) >= MOST_ADDRESSES:
            return
        seat.own.add(ip)
        length = PREFIX_LENGTHS[len(ip)] if prefixlen is None else prefixlen
        scope = RT_SCOPE_LINK if len(ip) == 16 and is_link_local(ip) else RT_SCOPE_UNIVERSE
        self._table.add_address(seat.device, Address(ip, length, scope))

    # -- what it sent

    def _sent(self, seat: _Seat, frame: bytes, message: Message | str) -> None:
        if isinstance(message, Message):
            self._learn_own(seat, message)
            if message.asks is not None:
                # On its own way a solicitation passes the entries as the table's own does.
                self._ask(seat, message.asks)
            if message.asks is not None or message.fields is None:
                return
        self._output(seat, frame)

    def _learn_own(self, seat: _Seat, message: Message) -> None:
        if message.fields is not None or message.lladdr == seat.lladdr:
            self._own(seat, message.src)
        if isinstance(message.fields, ndisc.Advertisement) and message.fields.override:
            # Who answers in another's place does not override what is known.
            self._own(seat, message.fields.target)

    def _ask(self, seat: _Seat, key: bytes) -> None:
        """The station solicits: what it knows is in doubt, what it does not know it wants to know."""
        if key in seat.own:
            return
        table, index = self._table, seat.device.index
        self._asked[index, key] = table.now
        self._asked.move_to_end((index, key))
        if len(self._asked) > MOST_HEARD:
            self._asked.popitem(last=False)
        neighbour = table.engine.lookup(index, key, table.now)
        state = 0 if neighbour is None else neighbour.nud_state
        if not state & (NUD_VALID | NUD_INCOMPLETE):
            self._attempt(lambda: table.engine.resolve(index, key, table.now))
        elif neighbour is not None and not state & (NUD_PROBE | NUD_NOARP | NUD_PERMANENT | NUD_INCOMPLETE):
            self._attempt(lambda: table.engine.verify(neighbour, table.now))

    def _output(self, seat: _Seat, frame: bytes) -> None:
        """The station sends a packet: to whom, tells the link-layer address."""
        size = _SIZES.get(frame[12:14], 0)
        if not size or len(frame) < _SHORTEST[size]:
            return
        ip, lladdr = frame[_DESTINATION[size]], frame[:6]
        table, index = self._table, seat.device.index
        if is_group(lladdr):
            if not _is_for_many(ip):
                # The broadcast address of a subnet: which, its prefix would tell.
                return
        else:
            hop = self._next_hop(seat, ip, lladdr)
            if hop is None:
                self.unknown_hops += 1
                return
            ip = hop
            neighbour = table.engine.lookup(index, ip, table.now)
            if neighbour is None or not neighbour.nud_state & NUD_VALID:
                if lladdr == UNKNOWN:
                    self.unknown_hops += 1
                    return
                self.known_before += 1
                self._enter(seat, ip, lladdr, 0)
        self._attempt(
            lambda: self._send(index, ip, Packet(frame[ETH_HLEN:], FAMILY_OF_LENGTH[size], given=False))
        )

    def _send(self, index: int, key: bytes, packet: Packet) -> None:
        engine, now = self._table.engine, self._table.now
        neighbour = engine.neighbour(index, key, now)
        engine.release(neighbour, now)
        engine.send(neighbour, packet, now)

    def _enter(self, seat: _Seat, key: bytes, lladdr: bytes, flags: int) -> None:
        """Have the entry be STALE, as the station knows an address that the table cannot prove."""
        table = self._table
        self._attempt(
            lambda: table.engine.new_neighbour(
                seat.device.index,
                key,
                table.now,
                lladdr=lladdr,
                state=NUD_STALE,
                flags=flags,
                nlm_flags=NLM_F_CREATE | NLM_F_REPLACE,
            )
        )

    def _next_hop(self, seat: _Seat, ip: bytes, lladdr: bytes) -> bytes | None:
        """The neighbour to which a packet for ``ip`` left, when it left to ``lladdr``.

        Itself, if it is there by what the table or it says; a router that says to be there; itself, if it
        is in a prefix of the station's; or nobody knows.
        """
        if lladdr == UNKNOWN or self._is_at(seat, ip, lladdr):
            return ip
        there = seat.heard.get((lladdr, len(ip)), [])
        if ip in there:
            return ip
        for other in reversed(there):
            if self._is_at(seat, other, lladdr):
                return other
        if len(ip) == 16 and is_link_local(ip):
            return ip
        if any(len(own.ip) == len(ip) and own.subnet_contains(ip) for own in seat.device.addresses):
            return ip
        return there[-1] if there else None

    def _is_at(self, seat: _Seat, key: bytes, lladdr: bytes) -> bool:
        neighbour = self._table.engine.lookup(seat.device.index, key, self._table.now)
        return neighbour is not None and neighbour.lladdr == lladdr

    # -- what reached it

    def _received(self, seat: _Seat, frame: bytes, message: Message | str) -> None:
        if isinstance(message, Message) and message.claims is not None and message.lladdr:
            self._remember(seat, message.lladdr, message.claims)
        if frame[:6] == UNKNOWN:
            if not self._is_for_us(seat, frame, message):
                return
            frame = seat.lladdr + frame[6:]
        to_us = frame[:6] == seat.lladdr
        if not to_us and not is_group(frame):
            return
        if isinstance(message, Message):
            if to_us:
                self._learn_own_as_told(seat, message)
            self._table.receive(seat.device, frame)
        elif to_us:
            self._confirm(seat, frame)

    def _remember(self, seat: _Seat, lladdr: bytes, ip: bytes) -> None:
        name = lladdr, len(ip)
        there = seat.heard.setdefault(name, [])
        if ip in there:
            there.remove(ip)
        there.append(ip)
        del there[:-MOST_OF_ONE]
        seat.heard.move_to_end(name)
        if len(seat.heard) > MOST_HEARD:
            seat.heard.popitem(last=False)

    @staticmethod
    def _is_for_us(seat: _Seat, frame: bytes, message: Message | str) -> bool:
        """Whether a frame whose destination the capture does not tell goes to the station, by its packet."""
        if isinstance(message, Message):
            return message.dst in seat.own
        size = _SIZES.get(frame[12:14], 0)
        return bool(size) and frame[_DESTINATION[size]] in seat.own

    def _learn_own_as_told(self, seat: _Seat, message: Message) -> None:
        """Others know the station by an address: whom they answer, and to whom they send what routers do not
        forward."""
        if message.kind != ARP_REQUEST and not _is_for_many(message.dst):
            self._own(seat, message.dst)

    def _confirm(self, seat: _Seat, frame: bytes) -> None:
        """TCP acknowledges what the station sent: the way to the neighbour that it came by works."""
        size = _SIZES.get(frame[12:14], 0)
        if not size or len(frame) < _SHORTEST[size] or frame[_DESTINATION[size]] not in seat.own:
            return
        protocol, offset = (frame[20], 40) if size == 16 else (frame[23], (frame[14] & 0x0F) * 4)
        flags = frame[ETH_HLEN + offset + 13 : ETH_HLEN + offset + 14]
        if protocol != TCP or not flags or not flags[0] & TCP_ACK:
            return
        hop = self._next_hop(seat, frame[_SOURCE[size]], frame[6:12])
        table = self._table
        neighbour = None if hop is None else table.engine.lookup(seat.device.index, hop, table.now)
        if neighbour is not None:
            table.engine.confirm(neighbour, table.now)

    # -- what the table wants

    def hear_output(self, output: Output) -> None:
        """Look at what the table would send: at the second probe of an entry that the station does not ask,
        have it be STALE again."""
        if not isinstance(output, Transmit) or output.packet is not None or is_group(output.frame):
            return
        message = read(output.frame)
        if isinstance(message, str) or message.asks is None:
            return
        table, index, key = self._table, output.device.index, message.asks
        neighbour = table.engine.lookup(index, key, table.now)
        if neighbour is None or neighbour.nud_state != NUD_PROBE or neighbour.probes < 2:
            return
        retrans = table.engine.parameters(index, neighbour.family).retrans_time
        if table.now - self._asked.get((index, key), -inf) > retrans + MOST_LATE:
            self.unasked += 1
            table.defer(lambda: self._rest(neighbour))

    def _rest(self, neighbour: Neighbour) -> None:
        seat = next(seat for seat in self._seats.values() if seat.device.name == neighbour.dev)
        lladdr = neighbour.lladdr
        if lladdr is not None:
            self._enter(seat, neighbour.key, lladdr, neighbour.flags & NTF_ROUTER)

    def _attempt(self, call: Callable[[], object]) -> None:
        if not self._table.attempt(call):
            self.refused += 1


def _link_local(lladdr: bytes) -> bytes:
    """The address that an Ethernet station gives itself (RFC 4862, 5.3; RFC 2464, 4)."""
    return b"\xfe\x80" + bytes(6) + bytes([lladdr[0] ^ 2]) + lladdr[1:3] + b"\xff\xfe" + lladdr[3:]


def _is_for_many(ip: bytes) -> bool:
    """Whether a packed address is a group, or the limited broadcast address."""
    return is_group_ip(ip) or ip == LIMITED_BROADCAST
