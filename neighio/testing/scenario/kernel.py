"""The player that plays on the running kernel, between two anonymous namespaces, in real time."""

from __future__ import annotations

import contextlib
import errno
import platform
import re
import socket
import time
from functools import cache
from typing import Final

from ...address import format_ip, parse_ip
from ...core.constants import (
    AF_INET,
    AF_INET6,
    IFA_F_OPTIMISTIC,
    NTF_MANAGED,
    NUD_DELAY,
    NUD_NONE,
    RT_SCOPE_LINK,
    RT_SCOPE_UNIVERSE,
)
from ...core.events import NewNeighbour, Notification
from ...core.parameters import JIFFY
from ...core.switches import SWITCHES
from ...kernel import requests
from ...kernel.rtnetlink import NeighbourTableMessage, decode
from ...wire.ipv6 import is_link_local
from ..isolation import wrong_release
from . import model
from .describe import describe_entry, describe_notification
from .engine import admin_outcome, mark
from .frames import is_router_advertisement
from .model import DEVICE, PEER_LLADDR, Scenario
from .nodes import METRONOME, Nodes
from .realtime import HEAD_START, Disturbed, Stage, play_undisturbed
from .senders import Senders
from .trace import Player, Trace
from .watch import Watch, as_notification

__all__ = ["Disturbed", "KernelPlayer", "holds_here", "notifications_are_atomic", "release"]

DRAWS: Final = 20000
PROBE: Final = "198.51.100.99"


def release() -> str:
    """The running kernel's release, without what its builder added to the number."""
    return re.sub(r"[^\d.].*", "", platform.release()).rstrip(".")


def holds_here(scenario: Scenario) -> str | None:
    """Why a scenario does not hold for the running kernel, or None when it does."""
    return wrong_release(platform.release(), scenario.since, scenario.until)


@cache
def notifications_are_atomic() -> bool:
    """Whether the running kernel has the order of notifications of Linux 7.0: it is asked, for the change
    was taken into older releases too.

    An entry that is put into DELAY goes on to PROBE with the next jiffy; where that is told before the first
    probe leaves, the notification counts none.
    """
    with Nodes() as nodes:
        index = nodes.node.link(DEVICE).index
        with Watch(nodes.node, DEVICE) as watch:
            nodes.node.request(requests.new_neighbour(index, _packed(PROBE), PEER_LLADDR, state=NUD_DELAY))
            deadline = time.monotonic() + 5.0
            while time.monotonic() < deadline:
                for event in watch.poll(0.05):
                    told = event.notification
                    if told is not None and "PROBE" in str(told):
                        return told.probes == 0
    raise Disturbed("the kernel told of no PROBE")


def _packed(ip: str) -> bytes:
    return socket.inet_pton(socket.AF_INET, ip)


class KernelPlayer(Player):
    """Plays on the running kernel. Each play has namespaces of its own and mostly sleeps."""

    name = "kernel"
    parallel = True

    def play(self, scenario: Scenario, like: Trace | None = None) -> Trace:
        """Play, as often as is needed to do it undisturbed.

        Raises:
            Disturbed: it never was.
            Unavailable: no namespaces here.
            OSError: the kernel refused a step of which no error is expected.
        """
        atomic = notifications_are_atomic()

        def open_stage(stack: contextlib.ExitStack) -> Stage:
            nodes = Nodes(scenario.addresses, scenario.routes, metronome=scenario.managed)
            return stack.enter_context(_Stage(scenario, stack.enter_context(nodes), like))

        trace = play_undisturbed(scenario, open_stage)
        trace.atomic = atomic
        return trace


class _Stage(Stage):
    def __init__(self, scenario: Scenario, nodes: Nodes, like: Trace | None) -> None:
        super().__init__(scenario, nodes, like, f"kernel {release()}")
        self.sent = 0
        self._drawn: dict[int, float] = {}

    def _open(self, stack: contextlib.ExitStack) -> None:
        self.senders = stack.enter_context(Senders(self.node, self.index, self.watch.add))
        if self.scenario.managed:
            self.watch.listen_to_beats(self.node, "vm")

    def _prepare(self) -> None:
        self._set(self.scenario.start)
        given = {address.partition("/")[0] for address in self.scenario.addresses}
        for step in self.scenario.steps:
            action = step.action
            if isinstance(action, model.Send | model.Confirm) and format_ip(action.source) in given:
                self.senders.prepare(action.source)

    def _finish(self) -> None:
        if self.trace.blurred:
            self.disturbance = "frames and notifications were read too late to tell their order"
        for family, drawn in self._drawn.items():
            if abs(self._table(family).reachable_time - drawn) > 0.0005:
                self.disturbance = "reachable_time was drawn anew meanwhile"
        self.trace.managed = [beat - self.beginning for beat in self.watch.beats if beat >= self.beginning]

    def _beginning(self) -> float:
        if not self.scenario.managed:
            return super()._beginning()
        # Right after a run of the managed work, so that every play meets the next one at the same time.
        index = self.node.link("vm").index
        quick = {"mcast_solicit": 1, "retrans_time": 0.1, "locktime": 0.0}
        self.node.request(requests.set_neighbour_parameters(AF_INET, index, quick))
        add = requests.new_neighbour(index, _packed(METRONOME), state=NUD_NONE, flags=NTF_MANAGED)
        self.node.request(add)
        self._run_until(time.monotonic() + 0.4)
        self.watch.beats.clear()
        deadline = time.monotonic() + 12.0
        while not self.watch.beats and time.monotonic() < deadline:
            self._run_until(time.monotonic() + 0.02)
        return time.monotonic() + HEAD_START

    # -- what is seen

    def _take(self, when: float, told: Notification | None, frame: tuple[str, str] | None) -> None:
        if not self.beginning:
            return
        if told is not None:
            described = describe_notification(told)
            if described is not None:
                self._line(when, "!", *described)
        super()._take(when, told, frame)

    def _read(self) -> None:
        self._errors()

    def _errors(self) -> None:
        for ip, error in self.senders.errors():
            self._line(time.monotonic(), "x", ip, error)

    # -- steps

    def _act(self, action: model.Action) -> None:
        node = self.node
        match action:
            case model.Send():
                for _ in range(action.count):
                    self._send(action)
            case model.Confirm(ip, source):
                self.senders.confirm(source, ip)
            case model.Admin():
                self._admin(action)
            case model.Link(up):
                node.set_link(DEVICE, up=up)
            case model.AddressChange(detect=True):
                self._detect(action)
            case model.AddressChange(add, address):
                (node.add_address if add else node.del_address)(DEVICE, address)
            case model.RouteChange(add, prefix, gateway):
                (node.add_route if add else node.del_route)(DEVICE, prefix, gateway)
            case model.Set():
                self._set(action)

    def _detect(self, change: model.AddressChange) -> None:
        """Have an address if nobody else has it."""
        text, _, length = change.address.partition("/")
        ip, _ = parse_ip(text)
        scope = RT_SCOPE_LINK if is_link_local(ip) else RT_SCOPE_UNIVERSE
        flags = IFA_F_OPTIMISTIC if change.optimistic else 0
        self.node.request(requests.add_address(self.index, ip, int(length), scope=scope, flags=flags))

    def _inject(self, frame: bytes) -> None:
        advertised = is_router_advertisement(frame)
        base = self._table(AF_INET6).base_reachable_time if advertised else 0.0
        super()._inject(frame)
        if advertised:
            table = self._table(AF_INET6)
            if table.base_reachable_time != base:
                self._note_draw(AF_INET6, table.reachable_time)

    def _send(self, action: model.Send) -> None:
        number, self.sent = self.sent, self.sent + 1
        self._errors()
        payload = mark(number, action.octets)
        self.senders.send(action.source, action.ip, payload, confirm=action.confirm)

    def _admin(self, action: model.Admin) -> None:
        code = 0
        try:
            if action.delete:
                message = requests.del_neighbour(self.index, action.ip, flags=action.flags)
            else:
                message = requests.new_neighbour(
                    self.index,
                    action.ip,
                    action.lladdr,
                    state=action.state,
                    flags=action.flags,
                    protocol=action.protocol,
                    nlm_flags=action.nlm_flags,
                )
            self.node.request(message)
        except OSError as error:
            code = error.errno or errno.EIO
        if code != action.error:
            self._note(action.ip, admin_outcome(code, action.error))

    def _table(self, family: int) -> NeighbourTableMessage:
        replies = self.node.request(requests.dump_neighbour_tables(family))
        tables = (decode(reply) for reply in replies)
        return next(t for t in tables if isinstance(t, NeighbourTableMessage) and t.index == self.index)

    def _set(self, settings: model.Set) -> None:
        for family, protocol in ((AF_INET, "ipv4"), (AF_INET6, "ipv6")):
            changes = dict(settings.of(family))
            wanted = changes.pop("reachable_time", None)
            for name in [name for name in changes if name in SWITCHES[family]]:
                self.node.sysctl(f"net/{protocol}/conf/{DEVICE}/{name}", int(changes.pop(name)))
            if changes:
                self.node.request(requests.set_neighbour_parameters(family, self.index, changes))
            if wanted is not None:
                self._note_draw(family, self._draw(family, changes["base_reachable_time"], wanted))

    def _note_draw(self, family: int, drawn: float) -> None:
        self.trace.drawn.append(drawn)
        self._drawn[family] = drawn

    def _draw(self, family: int, base: float, wanted: float) -> float:
        """Have the kernel draw until it is what is wanted, to the jiffy: every play is then alike."""
        if self.like:
            wanted = self.like.pop(0)
        again = requests.set_neighbour_parameters(family, self.index, {"base_reachable_time": base})
        drawn = self._table(family).reachable_time
        for _ in range(DRAWS):
            if abs(drawn - wanted) < JIFFY:
                break
            self.node.request(again)
            drawn = self._table(family).reachable_time
        return drawn

    def _show(self, ip: bytes) -> None:
        now = time.monotonic()
        for entry in self.node.neighbours(DEVICE):
            if entry.ip == ip:
                event = as_notification(entry, now)
                assert isinstance(event, NewNeighbour)
                self._note(ip, describe_entry(event, now))
                return
        self._note(ip, "absent")
