"""Hours of neighbour life in milliseconds: the engine under virtual time, without any event loop.

The simulation drives the same engine and driver as the trio shell; a heap of scopes stands in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from random import Random
from typing import Literal

from ..address import IPAddress, LinkAddress, format_ip, parse_ip, parse_network
from ..core.base import FAMILY_OF_LENGTH
from ..core.constants import AF_INET, AF_INET6, RT_SCOPE_LINK, RT_SCOPE_UNIVERSE
from ..core.device import Address, Device, parse_interface
from ..core.engine import Engine, Scope
from ..core.events import (
    AddressConflict,
    Change,
    DelNeighbour,
    Membership,
    Miss,
    NewNeighbour,
    Output,
    PacketFailed,
    Transmit,
)
from ..core.neighbour import Neighbour
from ..core.node import Route
from ..core.queue import Packet
from ..driver import Driver
from ..errors import InvalidAddress
from ..link.memory import MemoryLink, Segment
from ..waiters import Outcome
from ..wire import arp, ndisc
from ..wire.ipv6 import is_link_local

__all__ = ["Pending", "Simulation"]


class Pending:
    """What a call that would wait is waiting for: ``outcome``, a value or an exception, once ``done``."""

    __slots__ = ("done", "outcome", "time")

    def __init__(self) -> None:
        self.done: bool = False
        self.outcome: Outcome = None
        self.time: float = inf
        """When it was done, seconds."""

    def __repr__(self) -> str:
        return f"<Pending {self.outcome!r}>" if self.done else "<Pending>"


class Simulation:
    """A node, its engine and an Ethernet segment, under a clock that moves only when told.

    Args:
        seed: of every draw: reachable_time, and the segment's losses and delays.
        start: the first instant, seconds.
        ticks_per_second: rounds time down to ticks as the kernel's jiffies do; none by default.
        atomic_notifications: Linux's order of notifications since 7.0; see :class:`Engine`.
        trace: whether :attr:`log` shows silent changes too.
        record: False for long lives of many: neither :attr:`log` nor :attr:`outputs` is kept.

    Attributes:
        now: the present, seconds.
        log: (time, text) of every frame sent, notification, failed packet and, with ``trace``, change.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        start: float = 0.0,
        ticks_per_second: int | None = None,
        atomic_notifications: bool = False,
        trace: bool = False,
        record: bool = True,
    ) -> None:
        self.now: float = start
        self.log: list[tuple[float, str]] = []
        self.outputs: list[Output] = []
        self.random: Random = Random(seed)
        self.engine: Engine = Engine(
            now=start,
            random=self.random,
            ticks_per_second=ticks_per_second,
            atomic_notifications=atomic_notifications,
        )
        self.segment: Segment = Segment(lambda: self.now, random=self.random)
        self.driver: Driver = Driver(
            self.engine,
            clock=lambda: self.now,
            wake=self._wake,
            arm=self._arm,
            observe=self._observe if record else None,
            trace=trace,
        )
        self._deadlines: dict[Scope, float] = {}
        self._heap: list[tuple[float, Scope]] = []
        self._actions: list[tuple[float, int, Callable[[], object]]] = []
        self._sequence = count()
        self._readable: dict[int, None] = {}
        for scope in self.engine.scopes():
            self._arm(scope, self.engine.next_deadline(scope))

    # -- the shell's part

    def _wake(self, token: Hashable, outcome: Outcome) -> None:
        assert isinstance(token, Pending)
        token.done = True
        token.outcome = outcome
        token.time = self.now

    def _arm(self, scope: Scope, deadline: float) -> None:
        if self._deadlines.get(scope) != deadline:
            self._deadlines[scope] = deadline
            if deadline != inf:
                heappush(self._heap, (deadline, scope))
                if len(self._heap) > 64 + 4 * len(self._deadlines):
                    self._heap = [(when, what) for what, when in self._deadlines.items() if when != inf]
                    heapify(self._heap)

    def _observe(self, output: Output) -> None:
        if isinstance(output, Membership):
            # What a link lets in shows in its ``groups``.
            return
        self.outputs.append(output)
        if isinstance(output, Transmit):
            self.log.append((self.now, describe_frame(output.frame)))
        elif isinstance(output, NewNeighbour | DelNeighbour | Miss | Change | AddressConflict):
            self.log.append((self.now, str(output)))
        elif isinstance(output, PacketFailed):
            how = "reported" if output.reported else "silent"
            self.log.append(
                (self.now, f"{output.ip} dev {output.device} packet {output.error.__name__} {how}")
            )

    # -- time

    def run_until(self, when: float) -> None:
        """Let everything happen that is due by ``when`` (seconds), in order; then it is ``when``."""
        self._settle()
        while (due := self._next()) <= when:
            self.now = max(self.now, due)
            self._step()
        self.now = max(self.now, when)

    def run(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self.run_until(self.now + seconds)

    def at(self, when: float, action: Callable[[], object]) -> None:
        """Call ``action`` at an instant, before the timers of that instant."""
        heappush(self._actions, (when, next(self._sequence), action))

    def _next(self) -> float:
        while self._heap and self._deadlines.get(self._heap[0][1]) != self._heap[0][0]:
            heappop(self._heap)
        due = self.segment.next_due()
        if self._heap and self._heap[0][0] < due:
            due = self._heap[0][0]
        if self._actions and self._actions[0][0] < due:
            due = self._actions[0][0]
        return due

    def _step(self) -> None:
        if self.segment.next_due() <= self.now:
            self.segment.deliver()
        elif self._actions and self._actions[0][0] <= self.now:
            heappop(self._actions)[2]()
        elif self._heap and self._heap[0][0] <= self.now:
            _, scope = heappop(self._heap)
            del self._deadlines[scope]
            while self.driver.timers(scope):
                pass
        self._settle()

    def _settle(self) -> None:
        """Do what the last call asked for, and take in what has arrived."""
        self.driver.pump()
        while self._readable:
            index = next(iter(self._readable))
            del self._readable[index]
            if index in self.driver.links:
                while self.driver.drain(index):
                    pass

    # -- the node

    def add_device(
        self,
        name: str = "va",
        lladdr: str | bytes = "02:00:00:00:00:0a",
        addresses: Iterable[str] = ("198.51.100.1/24",),
        *,
        neigh_construct: Callable[[Neighbour], None] | None = None,
        neigh_setup: Callable[..., None] | None = None,
        flags: int | None = None,
        role: Literal["client", "host"] = "client",
    ) -> MemoryLink:
        """Attach a new link of the segment to the engine, with addresses and the routes that they bring.

        ``flags``: IFF_*; those of a running Ethernet device when None. In the role "host" the addresses are
        answered for; they are had at once, without detecting duplicates (see :meth:`claim`). The link's own
        changes (down, up, carrier, address) reach the engine as a kernel would tell them.
        """
        if flags is None:
            link = self.segment.attach(lladdr, name=name)
        else:
            link = self.segment.attach(lladdr, name=name, flags=flags)
        device = self.driver.attach(
            link, neigh_construct=neigh_construct, neigh_setup=neigh_setup, answers=role == "host"
        )
        link.on_receive = lambda: self._readable.setdefault(link.index)
        link.on_change = lambda: self._changed(link)
        for address in addresses:
            self.add_address(name, address)
        assert device is self.driver.names[name]
        return link

    def _changed(self, link: MemoryLink) -> None:
        if link.index not in self.driver.links:
            return
        if link.removed:
            device = self.engine.devices[link.index]
            self.driver.detach(link.index)
            device.node.forget_device(device)
        else:
            self.driver.follow(link.index, link)
        self._settle()

    def device(self, dev: str) -> Device:
        """What the engine knows of a device."""
        return self.driver.names[dev]

    def add_address(self, dev: str, address: str, *, scope: int | None = None, flags: int = 0) -> None:
        """Give a device an address with its prefix ("198.51.100.1/24"), and the node the route to it."""
        ip, prefixlen = parse_interface(address)
        device = self.device(dev)
        if scope is None:
            scope = RT_SCOPE_LINK if is_link_local(ip) else RT_SCOPE_UNIVERSE
        self.engine.add_address(device.index, Address(ip, prefixlen, scope, flags), self.now)
        device.node.add_route(Route(ip, prefixlen, device))
        self._settle()

    def remove_address(self, dev: str, address: str) -> None:
        """Take an address away again, and its route, unless another address is of its network."""
        ip, prefixlen = parse_interface(address)
        device = self.device(dev)
        self.engine.remove_address(device.index, ip, prefixlen, self.now)
        device.node.forget_network(device, ip, prefixlen)
        self._settle()

    def add_route(self, dev: str, prefix: str, gateway: str | None = None) -> None:
        """Have packets to a network ("203.0.113.0/24") leave through a device, by a gateway or directly."""
        first, prefixlen = parse_network(prefix)
        device = self.device(dev)
        hop = None if gateway is None else parse_ip(gateway, field="gateway")[0]
        device.node.add_route(Route(first, prefixlen, device, hop))

    def claim(
        self,
        dev: str,
        address: str,
        *,
        transmits: int | None = None,
        optimistic: bool | None = None,
        defence: str = "none",
        notify_routers: bool = False,
    ) -> Pending:
        """Have a host's device want an address; ``outcome`` is None when it is in use, or
        :class:`DuplicateAddress`. See :meth:`neighio.AttachedDevice.add_address`."""
        ip, prefixlen = parse_interface(address)
        device = self.device(dev)
        pending = Pending()
        self.driver.await_claim(device.index, ip, pending)
        scope = RT_SCOPE_LINK if is_link_local(ip) else RT_SCOPE_UNIVERSE
        self.engine.claim_address(
            device.index,
            Address(ip, prefixlen, scope),
            self.now,
            transmits=transmits,
            optimistic=optimistic,
            defence=defence,
            notify_routers=notify_routers,
        )
        self._settle()
        return pending

    def set(self, dev: str | None, family: int = 4, /, **changes: float) -> None:
        """Set parameters and switches of a device, or of all with None, for family 4 or 6."""
        index = None if dev is None else self.driver.index(dev)
        self.engine.set(index, {4: AF_INET, 6: AF_INET6}[family], changes, self.now)
        self._settle()

    # -- neighbours

    def neighbour(self, ip: IPAddress, dev: str | None = None) -> Neighbour | None:
        """The entry of an address; looking has no effect."""
        index, key = self.driver.place(ip, dev)
        return self.engine.lookup(index, key, self.now)

    def hold(self, ip: IPAddress, dev: str | None = None) -> Neighbour:
        """The entry of an address, made if need be, with a reference; see :meth:`release`."""
        index, key = self.driver.place(ip, dev)
        neighbour = self.engine.neighbour(index, key, self.now)
        self._settle()
        return neighbour

    def release(self, neighbour: Neighbour) -> None:
        """Give the reference back."""
        self.engine.release(neighbour, self.now)
        self._settle()

    def resolve(self, ip: IPAddress, dev: str | None = None, *, verified: bool = False) -> Pending:
        """Ask for a link-layer address, as ``await table.resolve(...)`` does."""
        pending = Pending()
        index, key = self.driver.place(ip, dev)
        try:
            neighbour, lladdr = self.engine.resolve(index, key, self.now)
            if verified:
                lladdr = self.engine.verify(neighbour, self.now)
        except Exception as error:
            self._wake(pending, error)
        else:
            if lladdr is not None:
                self._wake(pending, lladdr)
            elif verified:
                self.driver.await_proof(neighbour, pending)
            else:
                self.driver.await_address(neighbour, pending)
        self._settle()
        return pending

    def send(self, ip: IPAddress, packet: bytes | None = None, dev: str | None = None) -> Pending:
        """Hand an IP packet to the neighbour; ``outcome`` is None when the link took it.

        Without a packet it is a UDP-sized one from the device's first address.
        """
        index, key = self.driver.place(ip, dev)
        family = FAMILY_OF_LENGTH[len(key)]
        if packet is None:
            own = next(self.engine.devices[index].own(family), None)
            source = own.ip if own else bytes(len(key))
            head = b"\x45" + bytes(11) if family == AF_INET else b"\x60" + bytes(7)
            packet = head + source + key + bytes(12)
        pending = Pending()
        neighbour = self.engine.neighbour(index, key, self.now)
        ticket = Packet(packet, family)
        self.driver.await_packet(ticket, pending)
        # The kernel's output path holds no reference either.
        self.engine.release(neighbour, self.now)
        self.engine.send(neighbour, ticket, self.now)
        self._settle()
        return pending

    def confirm(self, ip: IPAddress, dev: str | None = None) -> None:
        """The upper layer saw progress with an address that has an entry.

        Raises:
            InvalidAddress: it has none.
        """
        neighbour = self.neighbour(ip, dev)
        if neighbour is None:
            raise InvalidAddress(f"ip: {ip!r} has no entry")
        self.engine.confirm(neighbour, self.now)
        self._settle()

    def admin(
        self,
        ip: IPAddress,
        dev: str | None = None,
        *,
        nlm_flags: int,
        lladdr: str | bytes | None = None,
        state: int = 0x80,
        flags: int = 0,
        protocol: int = 0,
    ) -> None:
        """RTM_NEWNEIGH with the given NLM_F_*, NUD_* and NTF_* bits. Raises :class:`AdminError`."""
        index, key = self.driver.place(ip, dev)
        try:
            self.engine.new_neighbour(
                index,
                key,
                self.now,
                lladdr=None if lladdr is None else LinkAddress(lladdr),
                state=state,
                flags=flags,
                protocol=protocol,
                nlm_flags=nlm_flags,
            )
        finally:
            self._settle()

    def delete(self, ip: IPAddress, dev: str | None = None) -> None:
        """RTM_DELNEIGH. Raises :class:`AdminError`."""
        index, key = self.driver.place(ip, dev)
        try:
            self.engine.delete_neighbour(index, key, self.now)
        finally:
            self._settle()

    # -- what was seen

    def lines(self, *, clear: bool = True) -> list[str]:
        """The notifications so far, as ``ip monitor neigh`` prints them; forgotten unless told otherwise."""
        found = [str(o) for o in self.outputs if isinstance(o, NewNeighbour | DelNeighbour | Miss)]
        if clear:
            self.outputs.clear()
            self.log.clear()
        return found


def describe_frame(frame: bytes) -> str:
    """A frame that was sent, readably."""
    to = "broadcast" if frame[:6] == b"\xff" * 6 else LinkAddress(frame[:6])
    message = ndisc.parse(frame)
    if isinstance(message, ndisc.Solicitation | ndisc.Advertisement):
        what = "solicitation" if isinstance(message, ndisc.Solicitation) else "advertisement"
        return (
            f"neighbour {what} to {to} src {format_ip(message.src)} dst {format_ip(message.dst)} "
            f"target {format_ip(message.target)}"
        )
    fields = arp.parse(frame)
    if isinstance(fields, str):
        return f"frame to {to} length {len(frame)}"
    op, spa, _, tpa, _ = fields
    names = [".".join(map(str, ip)) for ip in (spa, tpa)]
    return f"arp {'request' if op == arp.ARPOP_REQUEST else 'reply'} to {to} spa {names[0]} tpa {names[1]}"
