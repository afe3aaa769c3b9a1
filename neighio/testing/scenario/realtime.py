"""What players in real time have in common: a wire with the scripted peer at its end, and eyes on it.

The node is one namespace, the wire a veth pair, the peer a raw socket on its far end. What leaves the node is
captured on the node's end, where the kernel shows it before it goes on, so that frames and notifications are
seen in the order in which they were made.
"""

from __future__ import annotations

import abc
import contextlib
import errno
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from heapq import heappop, heappush
from types import TracebackType
from typing import Final, Self

from ...address import format_ip
from ...core.events import Notification
from ...wire.ethernet import ETH_P_ARP, ETH_P_IPV6
from . import model
from .model import DEVICE, Scenario
from .nodes import Nodes
from .peer import Peer
from .trace import Line, Trace
from .watch import Watch

__all__ = ["HEAD_START", "LATE", "Disturbed", "Stage", "play_undisturbed"]

TRIES: Final = 4
"""How often a disturbed scenario is played before it is given up."""

LATE: Final = 0.012
"""Seconds by which a step may be late: three jiffies."""

HEAD_START: Final = 0.02


class Disturbed(Exception):
    """The machine was too busy, or drew every reachable_time anew, in each of several tries."""


def play_undisturbed(scenario: Scenario, open_stage: Callable[[contextlib.ExitStack], Stage]) -> Trace:
    """Play, as often as is needed to do it undisturbed; ``open_stage`` opens what each play needs.

    Raises:
        Disturbed: it never was.
    """
    disturbance = ""
    for _ in range(TRIES):
        with contextlib.ExitStack() as stack:
            trace, disturbance = open_stage(stack).play()
            if not disturbance:
                return trace
    raise Disturbed(f"{scenario.identity}: {disturbance}")


class Stage(abc.ABC):
    """One play. A subclass has the node, and does to it what the steps say.

    Attributes:
        beginning: when the scenario began, seconds of the monotonic clock; 0 before.
        disturbance: what made the play worthless; empty when nothing did.
    """

    def __init__(self, scenario: Scenario, nodes: Nodes, like: Trace | None, source: str) -> None:
        self.scenario = scenario
        self.node = nodes.node
        self.far = nodes.far
        self.like = list(like.drawn) if like is not None else []
        self.trace = Trace(source=source, date=datetime.now(UTC).date().isoformat())
        self.index = self.node.link(DEVICE).index
        self.beginning = 0.0
        self.disturbance = ""
        self.peer = Peer()
        self._due: list[tuple[float, bytes]] = []
        with contextlib.ExitStack() as stack:
            self.watch = stack.enter_context(Watch(self.node, DEVICE))
            self.ears = [self._ear(stack, protocol) for protocol in (ETH_P_ARP, ETH_P_IPV6)]
            self.wire = self.ears[0]
            self._open(stack)
            self._stack = stack.pop_all()

    def _ear(self, stack: contextlib.ExitStack, protocol: int) -> socket.socket:
        ear = stack.enter_context(self.far.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
        ear.bind(("vb", protocol))
        self.watch.add(ear)
        return ear

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def play(self) -> tuple[Trace, str]:
        """Play once; returns the trace, and what disturbed it, if anything did."""
        self._prepare()
        self.beginning = self._beginning()
        for step in self.scenario.steps:
            self._run_until(self.beginning + step.at)
            late = time.monotonic() - self.beginning - step.at
            if late > LATE:
                return self.trace, f"the step at {step.at:g} was {late:.3f} s late"
            self._perform(step.action)
        self._run_until(self.beginning + self.scenario.lasts)
        self.trace.blurred = self.watch.blurred
        self._finish()
        return self.trace, self.disturbance

    # -- what a subclass has

    @abc.abstractmethod
    def _open(self, stack: contextlib.ExitStack) -> None:
        """Open what is needed for the play; ``stack`` closes it."""

    @abc.abstractmethod
    def _prepare(self) -> None:
        """Have the node as it is at the beginning."""

    def _beginning(self) -> float:
        """When the beginning is."""
        return time.monotonic() + HEAD_START

    @abc.abstractmethod
    def _read(self) -> None:
        """Take in what is told otherwise than by the watch."""

    @abc.abstractmethod
    def _finish(self) -> None:
        """Judge, at the end, whether the play was disturbed."""

    @abc.abstractmethod
    def _act(self, action: model.Action) -> None:
        """Do to the node what is not done to the wire."""

    def _inject(self, frame: bytes) -> None:
        self.wire.send(frame)

    @abc.abstractmethod
    def _show(self, ip: bytes) -> None:
        """Have an entry enter the trace."""

    # -- what is seen

    def _run_until(self, when: float) -> None:
        while True:
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                self.wire.send(heappop(self._due)[1])
            wait = min(when, self._due[0][0] if self._due else when) - now
            for event in self.watch.poll(max(wait, 0.0)):
                self._take(event.time, event.notification, event.frame)
            self._hear()
            self._read()
            if now >= when:
                return

    def _take(self, when: float, told: Notification | None, frame: tuple[str, str] | None) -> None:
        """Have a notification of the kernel's, or a frame, enter the trace."""
        if self.beginning and frame is not None:
            self._line(when, ">", *frame)

    def _line(self, when: float, kind: str, ip: str, text: str) -> None:
        """Have a line enter the trace; ``when``: seconds of the monotonic clock."""
        self.trace.lines.append(Line(round(max(when - self.beginning, 0.0), 3), kind, ip, text))

    def _note(self, ip: bytes, text: str) -> None:
        self._line(time.monotonic(), "=", format_ip(ip), text)

    def _hear(self) -> None:
        for ear in self.ears:
            self._listen(ear)

    def _listen(self, ear: socket.socket) -> None:
        while True:
            try:
                frame, address = ear.recvfrom(2048)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENETDOWN:
                    raise
                continue
            answer = self.peer.hear(frame)
            if answer is not None and address[2] != socket.PACKET_OUTGOING:
                heappush(self._due, (time.monotonic() + answer[0], answer[1]))

    # -- steps

    def _perform(self, action: model.Action) -> None:
        match action:
            case model.Inject(frame):
                self._inject(frame)
            case model.Answer() | model.Mute():
                self.peer.follow(action)
            case model.Carrier(on):
                self.far.set_link("vb", up=on)
            case model.Lladdr(lladdr):
                self.node.set_link(DEVICE, lladdr=str(lladdr))
            case model.Show(ips):
                # What happened before is seen before.
                self._run_until(time.monotonic())
                for ip in ips:
                    self._show(ip)
            case _:
                self._act(action)
        self._run_until(time.monotonic())
