"""The player that plays on the engine, under virtual time: hours in milliseconds, on any machine."""

from __future__ import annotations

import errno
from functools import partial
from math import inf
from typing import Final, Literal, TypeAlias

from ...address import LinkAddress, format_ip, parse_network
from ...core.constants import AF_INET, AF_INET6, NTF_PROXY
from ...core.engine import family_scope
from ...core.events import DelNeighbour, Miss, NewNeighbour, Output, PacketFailed, Transmit
from ...core.neighbour import Neighbour
from ...core.node import Route
from ...core.parameters import Parameters
from ...core.queue import Packet
from ...errors import NeighioError
from ...link.memory import MemoryLink
from ..simulation import Simulation
from . import model
from .describe import describe_entry, describe_frame, describe_notification
from .frames import is_router_advertisement, udp_packet
from .model import DEVICE, NODE_LLADDR, Scenario
from .peer import Peer
from .trace import Line, Player, Trace

__all__ = ["EnginePlayer", "Role"]

Role: TypeAlias = Literal["client", "host"]

HZ: Final = 250
PINNED: Final = {"accept_ra": 0, "router_solicitation_delay": 0}
"""As in the kernel's namespaces: a detection begins at once there, not at a time that is drawn."""

BEGINNING: Final = 1000.0
"""Seconds of the simulation's clock: stamps reach back before the scenario."""


def mark(number: int, octets: int) -> bytes:
    """The payload of the ``number``-th datagram: it is told by it on the wire."""
    return f"#{number:03}".encode().ljust(octets, b".")[:octets]


class EnginePlayer(Player):
    """Plays on :class:`neighio.core.engine.Engine` in :class:`~neighio.testing.Simulation`.

    ``role``: the kernel is the "host" that has its addresses; a "client" answers for none.
    """

    name = "engine"
    parallel = True

    def __init__(self, role: Role = "host") -> None:
        self._role: Role = role

    def play(self, scenario: Scenario, like: Trace | None = None) -> Trace:
        return _Stage(scenario, like or Trace(), self._role).play()


class _Stage:
    def __init__(self, scenario: Scenario, like: Trace, role: Role) -> None:
        self.scenario = scenario
        self.trace = Trace(
            source="engine",
            atomic=like.atomic,
            managed=list(like.managed),
            collected=list(like.collected),
        )
        self.draws = list(like.drawn)
        self.sim = sim = Simulation(start=BEGINNING, ticks_per_second=HZ, atomic_notifications=like.atomic)
        self.link: MemoryLink = sim.add_device(DEVICE, NODE_LLADDR, scenario.addresses, role=role)
        sim.set(DEVICE, 6, **PINNED)
        self.index = self.link.index
        self.peer = Peer()
        self.far = sim.segment.attach(model.PEER_LLADDR, name="vb")
        self.far.on_receive = self._hear
        self.sent = 0
        sim.driver.observe = self._observe
        sim.run(0.0)
        for family in sim.engine.caches:
            sim.engine.set_family_work(family, managed=inf, collection=inf)
        for route in scenario.routes:
            self._route(route)
        for when in self.trace.managed:
            sim.at(BEGINNING + when, partial(self._family_work, managed=True))
        for when in self.trace.collected:
            sim.at(BEGINNING + when, partial(self._family_work, managed=False))
        if scenario.gc_thresh is not None:
            cache = sim.engine.caches[AF_INET]
            cache.gc_thresh1, cache.gc_thresh2, cache.gc_thresh3 = scenario.gc_thresh
            # No collection was forced lately, as on a machine that has long been up.
            cache.last_flush = -inf
        self._set(scenario.start)

    def play(self) -> Trace:
        for step in self.scenario.steps:
            self.sim.run_until(BEGINNING + step.at)
            self._perform(step.action)
        self.sim.run_until(BEGINNING + self.scenario.lasts)
        return self.trace

    def _family_work(self, *, managed: bool) -> None:
        engine, now = self.sim.engine, self.sim.now
        engine.set_family_work(AF_INET, managed=now if managed else None, collection=None if managed else now)
        while engine.handle_timers(family_scope(AF_INET), now):
            pass
        engine.set_family_work(AF_INET, managed=inf, collection=inf)

    # -- what is seen

    def _note(self, kind: str, ip: str, text: str) -> None:
        self.trace.lines.append(Line(round(self.sim.now - BEGINNING, 3), kind, ip, text))

    def _observe(self, output: Output) -> None:
        if isinstance(output, Transmit):
            described = describe_frame(output.frame)
            if described is not None:
                self._note(">", *described)
        elif isinstance(output, NewNeighbour | DelNeighbour | Miss):
            described = describe_notification(output)
            if described is not None:
                self._note("!", *described)
        elif isinstance(output, PacketFailed) and output.reported:
            self._note("x", format_ip(destination(output.packet.data)), "EHOSTUNREACH")

    def _hear(self) -> None:
        frame = self.far.receive()
        answer = None if frame is None else self.peer.hear(frame)
        if answer is not None:
            after, reply = answer
            self.sim.segment.call_at(self.sim.now + after, partial(self.far.send, reply))

    # -- steps

    def _perform(self, action: model.Action) -> None:
        sim = self.sim
        match action:
            case model.Inject(frame):
                self._inject(frame)
            case model.Answer() | model.Mute():
                self.peer.follow(action)
            case model.Send():
                for _ in range(action.count):
                    self._send(action)
            case model.Confirm(ip):
                self._confirm(ip)
            case model.Admin():
                self._admin(action)
            case model.Link(up):
                self._set_link(up)
            case model.Carrier(on):
                self.link.set_carrier(on)
            case model.Lladdr(lladdr):
                self._change_lladdr(lladdr)
            case model.AddressChange(detect=True):
                sim.claim(DEVICE, action.address, optimistic=action.optimistic)
            case model.AddressChange(add, address):
                (sim.add_address if add else sim.remove_address)(DEVICE, address)
            case model.RouteChange():
                self._route(action)
            case model.Set():
                self._set(action)
            case model.Show(ips):
                for ip in ips:
                    self._show(ip)
        sim.run(0.0)

    def _inject(self, frame: bytes) -> None:
        advertised = is_router_advertisement(frame)
        base = self._parameters(AF_INET6).base_reachable_time if advertised else 0.0
        self.far.send(frame)
        self.sim.run(0.0)
        if advertised and self._parameters(AF_INET6).base_reachable_time != base:
            self._draw(AF_INET6, self._parameters(AF_INET6).reachable_time)

    def _set_link(self, up: bool) -> None:
        """With the link go the addresses of IPv6 and every route; those to IPv4's own networks come again
        with it (addrconf_ifdown, fib_disable_ip, fib_inetaddr_event)."""
        self.link.set_up() if up else self.link.set_down()
        device = self.sim.device(DEVICE)
        if up:
            for address in device.own(AF_INET):
                device.node.add_route(Route(address.ip, address.prefixlen, device))
            return
        for address in list(device.own(AF_INET6)):
            self.sim.remove_address(DEVICE, f"{format_ip(address.ip)}/{address.prefixlen}")
        device.node.forget_routes(device)

    def _change_lladdr(self, lladdr: LinkAddress) -> None:
        self.link.change(lladdr=lladdr)

    def _next_hop(self, ip: bytes) -> bytes:
        hop = self.sim.device(DEVICE).node.first_hop(ip)
        return ip if hop is None else hop[1]

    def _route(self, change: model.RouteChange) -> None:
        if change.add:
            self.sim.add_route(DEVICE, change.prefix, change.gateway)
        else:
            device = self.sim.device(DEVICE)
            device.node.remove_route(Route(*parse_network(change.prefix), device))

    def _confirm(self, ip: bytes) -> None:
        engine, now = self.sim.engine, self.sim.now
        neighbour = engine.lookup(self.index, self._next_hop(ip), now)
        if neighbour is not None:
            engine.confirm(neighbour, now)

    def _send(self, action: model.Send) -> None:
        number, self.sent = self.sent, self.sent + 1
        engine = self.sim.engine
        try:
            neighbour = engine.neighbour(self.index, self._next_hop(action.ip), self.sim.now)
        except NeighioError:
            return
        if action.confirm:
            engine.confirm(neighbour, self.sim.now)
        engine.release(neighbour, self.sim.now)
        family = AF_INET if len(action.ip) == 4 else AF_INET6
        packet = Packet(udp_packet(action.source, action.ip, mark(number, action.octets)), family)
        engine.send(neighbour, packet, self.sim.now)
        self.sim.run(0.0)

    def _admin(self, action: model.Admin) -> None:
        code = 0
        engine, now = self.sim.engine, self.sim.now
        try:
            if action.delete:
                proxy = bool(action.flags & NTF_PROXY)
                engine.delete_neighbour(self.index, action.ip, now, proxy=proxy)
            else:
                engine.new_neighbour(
                    self.index,
                    action.ip,
                    now,
                    nlm_flags=action.nlm_flags,
                    lladdr=action.lladdr,
                    state=action.state,
                    flags=action.flags,
                    protocol=action.protocol,
                )
        except NeighioError as error:
            code = getattr(error, "errno", None) or 0
        self.sim.run(0.0)
        if code != action.error:
            self._note("=", format_ip(action.ip), admin_outcome(code, action.error))

    def _parameters(self, family: int) -> Parameters:
        return self.sim.engine.parameters(self.index, family)

    def _set(self, settings: model.Set) -> None:
        for family in (AF_INET, AF_INET6):
            changes = dict(settings.of(family))
            drawn = changes.pop("reachable_time", None)
            if changes:
                self.sim.engine.set(self.index, family, changes, self.sim.now)
            if drawn is not None:
                self._draw(family, drawn)
        self.sim.run(0.0)

    def _draw(self, family: int, drawn: float) -> None:
        """Have drawn what the other player drew, or else this."""
        if self.draws:
            drawn = self.draws.pop(0)
        self._parameters(family).reachable_time = drawn
        self.trace.drawn.append(drawn)

    def _show(self, ip: bytes) -> None:
        entry = self.sim.engine.lookup(self.index, ip, self.sim.now)
        if entry is None:
            self._note("=", format_ip(ip), "absent")
        else:
            self._note("=", format_ip(ip), describe_entry(self.snapshot(entry), self.sim.now))

    @staticmethod
    def snapshot(entry: Neighbour) -> NewNeighbour:
        event = entry.cache.snapshot(NewNeighbour, entry.row)
        assert isinstance(event, NewNeighbour)
        return event


def destination(packet: bytes) -> bytes:
    """Where an IP packet goes to."""
    return packet[16:20] if packet[0] >> 4 == 4 else packet[24:40]


def admin_outcome(code: int, expected: int) -> str:
    """How an ``ip neigh`` command ended otherwise than the scenario says."""
    names = [errno.errorcode.get(number, "success") for number in (code, expected)]
    return f"command ended with {names[0]}, the scenario expects {names[1]}"
