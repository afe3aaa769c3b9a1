"""The loop-free half of every shell: drains links, pumps the engine's outputs, keeps who waits for what.

It knows no event loop. A shell gives it two hooks: ``wake(token, outcome)`` resumes whoever waits under a
token, ``arm(scope, deadline)`` says when :meth:`Driver.timers` is to be called for a scope. The trio shell
and the simulation stand on it; an asyncio shell could.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Final

from .address import IPAddress, format_ip, parse_ip
from .core.constants import IFF_LOWER_UP, IFF_NOARP, IFF_UP
from .core.device import Device
from .core.engine import Engine, Scope, device_scope
from .core.events import (
    AddressConflict,
    Answer,
    Change,
    Claimed,
    DelNeighbour,
    Disowned,
    Membership,
    Miss,
    NewNeighbour,
    Output,
    PacketFailed,
    Received,
    Settled,
    Transmit,
    Verified,
)
from .core.hits import Hits
from .core.neighbour import Neighbour
from .core.parameters import Parameters
from .core.targets import Targets
from .errors import AdminError, DeviceGone, DuplicateAddress, InvalidAddress, PacketDropped
from .link.base import Link, LinkBusy, LinkDown, LinkFacts, LinkGone
from .publication import AddressInUse, DeviceChange, Listener, Subscription
from .waiters import Outcome, Waiters
from .wire.ethernet import ipv6_multicast_lladdr

__all__ = ["Driver"]

FRAMES: Final = 64
"""How many frames one batch takes from a link."""

_REFUSALS: Final = {LinkBusy: "tx_busy", LinkDown: "tx_down", LinkGone: "tx_gone"}


class Driver(Waiters):
    """The engine, its links, and who waits.

    Args:
        engine: the subsystem.
        clock: the present, seconds.
        wake: resumes the waiter of a token, once, with a value or an exception.
        arm: the scope's deadline is now this; seconds of the clock, in the past when it is due.
        trouble: a link (its index is given) says that it is down or gone.
        observe: is shown every output before it is done.
        trace: whether silent changes are wanted even while nobody subscribes to them.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        clock: Callable[[], float],
        wake: Callable[[Hashable, Outcome], None],
        arm: Callable[[Scope, float], None],
        trouble: Callable[[int, LinkDown | LinkGone], None] = lambda index, error: None,
        observe: Callable[[Output], None] | None = None,
        trace: bool = False,
    ) -> None:
        super().__init__(engine, clock=clock, wake=wake)
        self.arm = arm
        self.trouble = trouble
        self.observe = observe
        self.trace = trace
        self.links: dict[int, Link] = {}
        self.names: dict[str, Device] = {}
        self.subscriptions: list[Subscription] = []
        self._listeners: tuple[Listener, ...] = ()
        self.counters: dict[str, int] = {}
        """Frames that links refused, by reason: "tx_busy", "tx_down", "tx_gone"; and packets that failed."""
        self._sweeps: dict[int, list[tuple[Targets, Callable[[], None]]]] = {}
        self._packet_sinks: dict[int, tuple[Callable[[Received], None], ...]] = {}
        self._pumping = False
        self.hits: dict[str | None, Hits] = {}
        """The short way to a device's entries, by its name; by None where there is only one device."""
        self._follow_subscriptions()

    def abandon(self, error: Callable[[], BaseException]) -> None:
        """End every wait with an exception of its own, and every subscription."""
        self.hits.clear()
        self.end_all(error)
        for subscription in tuple(self.subscriptions):
            self.unsubscribe(subscription)

    # -- sweeps, and packets for the stack above

    def begin_sweep(self, index: int, family: int, heard: Callable[[], None]) -> Targets:
        """Make ready to ask many addresses; ``heard`` is called after frames were taken in, when some of them
        have answered, until :meth:`end_sweep`."""
        targets = self.engine.begin_sweep(index, family)
        self._sweeps.setdefault(index, []).append((targets, heard))
        return targets

    def ask(self, index: int, targets: Targets, keys: Sequence[bytes]) -> int:
        """Ask for addresses, in order; returns how many of the solicitations the link did not take.

        Raises:
            TableFull, NeighioError: an address could not get an entry.
        """
        try:
            frames = self.engine.ask(targets, keys, self.clock())
        finally:
            self.pump()
        link = self.links.get(index)
        sent = 0
        try:
            if link is None:
                raise LinkGone
            send = link.send
            for frame in frames:
                send(frame)
                sent += 1
        except (LinkBusy, LinkDown, LinkGone) as error:
            self._count_refusal(index, error)
        return len(frames) - sent

    def end_sweep(self, index: int, targets: Targets, *, keep: bool) -> bool:
        """Give some of a sweep's entries back; True when there are more."""
        self._sweeps[index] = [one for one in self._sweeps.get(index, ()) if one[0] is not targets]
        more = self.engine.end_sweep(targets, self.clock(), keep=keep)
        self.pump()
        return more

    def take_packets(self, index: int, sink: Callable[[Received], None]) -> None:
        """Have a sink told of every IP packet to a host's own addresses, until :meth:`leave_packets`."""
        self._packet_sinks[index] = (*self._packet_sinks.get(index, ()), sink)
        self.engine.services.listening.add(index)

    def leave_packets(self, index: int, sink: Callable[[Received], None]) -> None:
        sinks = tuple(other for other in self._packet_sinks.get(index, ()) if other != sink)
        if sinks:
            self._packet_sinks[index] = sinks
        else:
            self._end_packets(index)

    def _end_packets(self, index: int) -> None:
        self._packet_sinks.pop(index, None)
        self.engine.services.listening.discard(index)

    # -- subscriptions

    def subscribe(self, *, trace: bool, errors: bool, conflicts: bool, capacity: int) -> Subscription:
        subscription = Subscription(
            self.engine.caches.values(),
            self.clock,
            self.wake,
            trace=trace,
            errors=errors,
            conflicts=conflicts,
            capacity=capacity,
        )
        self.subscriptions.append(subscription)
        self._follow_subscriptions()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        if subscription in self.subscriptions:
            self.subscriptions.remove(subscription)
            subscription.closed = True
            self._follow_subscriptions()
            subscription.notice()

    def listen(self, listener: Listener) -> None:
        """Have a listener told of what happens, from now on until :meth:`unlisten`."""
        self._listeners = (*self._listeners, listener)
        self._follow_subscriptions()

    def unlisten(self, listener: Listener) -> None:
        self._listeners = tuple(other for other in self._listeners if other != listener)
        self._follow_subscriptions()

    def _follow_subscriptions(self) -> None:
        services = self.engine.services
        services.tracing = self.trace or any(s.trace for s in self.subscriptions)
        services.telling = self.observe is not None or bool(self.subscriptions or self._listeners)

    # -- the way in

    def drain(self, index: int, budget: int = FRAMES) -> bool:
        """Take a batch of frames from a link, let the engine have them, do what it wants.

        Returns whether more may wait. A link that is down or gone is reported as trouble.
        """
        link = self.links[index]
        receive = link.receive
        engine_receive = self.engine.receive
        now = self.clock()
        more = True
        try:
            for _ in range(budget):
                frame = receive()
                if frame is None:
                    more = False
                    break
                if link.partial_checksum:
                    engine_receive(index, frame, now, partial_checksum=True)
                else:
                    engine_receive(index, frame, now)
        except LinkDown as error:
            # It says so once, and before the frames that it still holds.
            self.trouble(index, error)
        except LinkGone as error:
            self.trouble(index, error)
            more = False
        self.pump()
        for targets, heard in self._sweeps.get(index, ()):
            if targets.answers:
                heard()
        return more

    def timers(self, scope: Scope) -> bool:
        """Do a slice of what is due for a scope, arm it again; True when more is due now."""
        more = self.engine.handle_timers(scope, self.clock())
        self.pump()
        self.arm(scope, self.engine.next_deadline(scope))
        return more

    # -- the way out

    def pump(self) -> None:
        """Do what the engine wants done: frames to links, outcomes to waiters, events to subscribers.

        To be called after every call of the engine. What the doing causes is done too.
        """
        engine = self.engine
        if self._pumping:
            return
        if engine.services.outputs:
            self._pumping = True
            try:
                while outputs := engine.take_outputs():
                    for output in outputs:
                        if self.observe is not None:
                            self.observe(output)
                        self._do(output)
            finally:
                self._pumping = False
        if engine.services.rearmed:
            for scope in engine.take_rearmed():
                self.arm(scope, engine.next_deadline(scope))

    def _do(self, output: Output) -> None:
        if isinstance(output, Transmit):
            self._transmit(output)
        elif isinstance(output, NewNeighbour | DelNeighbour | Miss | Change):
            self._publish(output)
        elif isinstance(output, Settled):
            self._settle(self._resolving.pop(output.neighbour, ()), output.neighbour, output.outcome)
        elif isinstance(output, Verified):
            self._verified(output)
        elif isinstance(output, PacketFailed):
            self._packet_failed(output)
        elif isinstance(output, Answer):
            self._answered(output)
        elif isinstance(output, Membership):
            self._listen(output)
        elif isinstance(output, Claimed):
            self._claimed(output)
        elif isinstance(output, Disowned):
            reason = output.reason
            self.end_claim(output.device.index, output.key, lambda: AdminError(errno.EACCES, reason))
        elif isinstance(output, AddressConflict):
            self._contested(output)
        else:
            for sink in self._packet_sinks.get(output.device.index, ()):
                sink(output)

    def _publish(
        self, event: NewNeighbour | DelNeighbour | Miss | Change | PacketFailed | AddressConflict
    ) -> None:
        for listener in self._listeners:
            listener(event)
        for subscription in tuple(self.subscriptions):
            subscription.offer(event)

    def _tell_device(self, device: Device, now: float, *, present: bool) -> None:
        """To be called before the outputs of what changed the device are done: it is their cause."""
        up, carrier = present and device.up, present and device.carrier
        change = DeviceChange(now, device.name, device.index, present, up, carrier)
        for listener in self._listeners:
            listener(change)

    def _transmit(self, output: Transmit) -> None:
        device, frame, packet = output
        link = self.links.get(device.index)
        try:
            if link is None:
                raise LinkGone
            link.send(frame)
        except (LinkBusy, LinkDown, LinkGone) as error:
            self._refused(output, error)
        else:
            token = self._sending.pop(packet, None) if packet is not None else None
            if token is not None:
                self.wake(token, None)

    def _refused(self, output: Transmit, error: LinkBusy | LinkDown | LinkGone) -> None:
        """The link did not take a frame: a solicitation is lost and counted, a packet has failed."""
        device, _, packet = output
        if packet is not None:
            kind = PacketDropped if isinstance(error, LinkBusy) else DeviceGone
            self._packet_failed(
                PacketFailed(self.clock(), packet.family, packet.key, device.name, packet, kind, False)
            )
        self._count_refusal(device.index, error)

    def _count_refusal(self, index: int, error: LinkBusy | LinkDown | LinkGone) -> None:
        reason = _REFUSALS[LinkBusy if isinstance(error, LinkBusy) else type(error)]
        self.counters[reason] = self.counters.get(reason, 0) + 1
        if not isinstance(error, LinkBusy):
            self.trouble(index, error)

    def _packet_failed(self, output: PacketFailed) -> None:
        self.counters["packets_failed"] = self.counters.get("packets_failed", 0) + 1
        self._publish(output)
        token = self._sending.pop(output.packet, None)
        if token is not None:
            self.wake(token, output.error(f"{output.ip} dev {output.device}"))

    def _listen(self, membership: Membership) -> None:
        index = membership.device.index
        link = self.links.get(index)
        if link is None:
            return
        change = link.join if membership.joined else link.leave
        try:
            change(ipv6_multicast_lladdr(membership.group))
        except LinkGone as error:
            self.trouble(index, error)

    def _claimed(self, claimed: Claimed) -> None:
        device, key = claimed
        used = AddressInUse(self.clock(), device.name, device.index, key)
        for listener in self._listeners:
            listener(used)
        for token in self._claiming.pop((device.index, key), ()):
            self.wake(token, None)

    def _contested(self, conflict: AddressConflict) -> None:
        self._publish(conflict)
        if conflict.action == "duplicate":
            found = conflict.ip, conflict.device, conflict.lladdr
            self.end_claim(conflict.ifindex, conflict.key, lambda: DuplicateAddress(*found))

    # -- devices

    def attach(
        self,
        link: Link,
        *,
        neigh_construct: Callable[[Neighbour], None] | None = None,
        neigh_setup: Callable[[Parameters], None] | None = None,
        answers: bool = False,
    ) -> Device:
        """Have neighbours on a link. Its device is made of what the link says, unless the node knows it;
        with ``answers`` it is a host's, which the kernel's node does not know.

        Raises:
            InvalidAddress: the link's index or name is attached already, or is another interface's.
        """
        if link.name in self.names:
            raise InvalidAddress(f"device: {link.name} is attached already")
        device = None if answers else self.engine.node.devices.get(link.index)
        if device is not None and device.name != link.name:
            raise InvalidAddress(f"device: {link.name} has the index {link.index}, which is {device.name}'s")
        if device is None:
            device = Device(
                link.name,
                link.index,
                link.lladdr,
                broadcast=link.broadcast,
                flags=link.flags & ~IFF_NOARP if answers else link.flags,
                mtu=link.mtu,
                answers=answers,
            )
        device.neigh_construct = neigh_construct
        device.neigh_setup = neigh_setup
        now = self.clock()
        self.engine.attach(device, now)
        self.links[link.index] = link
        self.names[device.name] = device
        self._find_hits()
        self._tell_device(device, now, present=True)
        self.pump()
        self.arm(device_scope(link.index), self.engine.next_deadline(device_scope(link.index)))
        return device

    def detach(self, index: int) -> None:
        """Stop driving a link; its neighbours go, and whoever waits for them gets :class:`DeviceGone`."""
        device = self.engine.devices[index]
        now = self.clock()
        self.engine.detach(index, now)
        self.names.pop(device.name, None)
        del self.links[index]
        self._find_hits()
        self._tell_device(device, now, present=False)
        self.pump()
        self._end_packets(index)
        for place in [place for place in self._claiming if place[0] == index]:
            gone = f"{device.name} was removed while {format_ip(place[1])} was being detected"
            self.end_claim(*place, partial(DeviceGone, gone))
        self._end_probes(index, f"dev {device.name}")

    def follow(self, index: int, facts: Link | LinkFacts) -> None:
        """A device is now as ``facts`` say: name, flags, address, MTU. Each change is its own stimulus.

        Of a host's device NOARP is its own, and so is a link-layer address that its link was given.
        """
        engine = self.engine
        device = engine.device(index)
        now = self.clock()
        before = device.name, device.up, device.carrier
        if facts.name != device.name:
            if self.names.pop(device.name, None) is not None:
                self.names[facts.name] = device
            device.name = facts.name
        device.mtu = facts.mtu
        device.broadcast = facts.broadcast
        falls = device.up and not facts.flags & IFF_UP
        if falls:
            engine.link_down(index, now)
        elif not device.up and facts.flags & IFF_UP:
            engine.link_up(index, now)
        flags, lladdr = facts.flags, facts.lladdr
        if device.answers:
            flags = flags & ~IFF_NOARP | device.flags & IFF_NOARP
            lladdr = self.links[index].lladdr
        if lladdr != device.lladdr:
            engine.set_lladdr(index, lladdr, now)
        engine.set_noarp(index, bool(flags & IFF_NOARP), now)
        carrier = bool(facts.flags & IFF_LOWER_UP)
        if device.up and carrier != device.carrier:
            engine.carrier(index, carrier, now)
        device.flags = flags
        self._find_hits()
        if index in self.links and (device.name, device.up, device.carrier) != before:
            self._tell_device(device, now, present=True)
        self.pump()
        if falls:
            self._end_probes(index, f"{device.name} is down")

    def _find_hits(self) -> None:
        """Devices came, went or changed. Where one has hooks, which may be running, there is no short way."""
        self.hits.clear()
        devices = self.names.values()
        if any(device.neigh_construct or device.neigh_setup for device in devices):
            return
        for device in devices:
            hits = self.engine.hits(device.index, self.clock)
            if hits is not None:
                self.hits[device.name] = hits
                if len(self.names) == 1:
                    self.hits[None] = hits

    def place(self, ip: IPAddress, dev: str | None, *, own: bool = False) -> tuple[int, bytes]:
        """Return the interface index and the packed address that a caller means.

        A zone (``fe80::1%eth0``) names the device as ``dev`` does; with one device none need be named.
        ``own``: it may be an own address of the host role. Nobody asks for one, but as in Linux there can be
        an entry of it.

        Raises:
            InvalidAddress: no address, an unknown or missing device, a zone that contradicts ``dev``, the
                unspecified address, an own address of the host role unless ``own``.
        """
        key, zone = parse_ip(ip)
        if zone is not None:
            if dev is not None and dev != zone:
                raise InvalidAddress(f"ip: zone {zone!r} contradicts device {dev!r}")
            dev = zone
        if not any(key):
            raise InvalidAddress("ip: the unspecified address is nobody's")
        index = self.index(dev)
        device = self.engine.devices[index]
        if device.answers and not own and device.node.owns(key):
            raise InvalidAddress(f"ip: {format_ip(key)} is an address of this host's own")
        return index, key

    def index(self, dev: str | None) -> int:
        """The index of an attached device, by its name; None where there is only one.

        Raises:
            InvalidAddress
        """
        if dev is None:
            if not self.names:
                raise InvalidAddress("device: none is attached")
            if len(self.names) != 1:
                raise InvalidAddress(f"device: name one of {', '.join(self.names)}")
            (device,) = self.names.values()
        elif dev not in self.names:
            raise InvalidAddress(
                f"device: {dev!r} is not attached; there is {', '.join(self.names) or 'none'}"
            )
        else:
            device = self.names[dev]
        return device.index
