"""The running kernel as a walk's oracle, and what else goes on in its tables, one for all namespaces."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby
from math import ceil
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Final

from ....core.constants import AF_INET, AF_INET6, NTF_MANAGED
from ....core.events import NewNeighbour, Notification
from ....core.parameters import JIFFY
from ....kernel import requests
from ....kernel.rtnetlink import NeighbourMessage, decode
from ....kernel.uapi import IF_OPER_UP
from ....wire.ethernet import ETH_P_ARP, ETH_P_IPV6
from .. import model
from ..frames import is_router_advertisement
from ..kernel import _Stage as KernelStage
from ..kernel import notifications_are_atomic
from ..model import DEVICE, Scenario, Set
from ..nodes import Nodes
from ..trace import Line
from ..watch import as_notification
from ..words import parse_address
from .lockstep import Disturbed, Entry, source
from .metronome import Managed, Metronome
from .moves import Move, Value

__all__ = ["KernelOracle"]

STATISTICS: Final = tuple(Path("/proc/net/stat", name) for name in ("arp_cache", "ndisc_cache"))
GC_THRESH1: Final = 128
"""From so many entries on, in all namespaces together, the periodic collection takes some."""

LINK_WATCH: Final = 1.2
"""Seconds that the kernel takes at most to tell a device that its carrier has changed."""

DUMPS: Final = 20
"""How often entries are asked for, until it is known to the jiffy when."""

EARLY: Final = 0.0004
LATEST: Final = 0.0024
"""Seconds after a jiffy has begun between which a step begins, that it may end before the next one."""

TAKEN_IN: Final = 1.0
"""Seconds after which a frame has been taken in, on however busy a machine."""

JIFFIES: Final = 6
"""CLOCK_MONOTONIC_COARSE: it goes on with the kernel's jiffies, which a busy machine counts late."""

REDRAWN: Final = "every reachable_time was drawn anew"


def _counters(path: Path) -> dict[str, int]:
    """The statistics of a table; each processor has a line, the count of entries is the same on all."""
    names, *lines = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    columns = list(zip(*lines, strict=True))
    sums = {name: sum(int(text, 16) for text in column) for name, column in zip(names, columns, strict=True)}
    return {**sums, "entries": int(columns[0][0], 16)}


def _jiffy() -> int:
    """The kernel's jiffies; the monotonic clock begins them (Linux 6.4 and later)."""
    return ceil(time.clock_gettime(JIFFIES) / JIFFY)


class _Stage(KernelStage):
    """Notes of whom things were read in an order that may not be the one in which they were made.

    Of what is read at once, all of a socket's comes together; a single one that comes first was first. A
    frame that is read after a notification left before it, if its time is before that of the reading. And one
    that came in while others were read may have left after what is found to be readable next.
    """

    def __init__(self, start: Scenario, nodes: Nodes) -> None:
        super().__init__(start, nodes, None)
        self.blurred: set[str] = set()
        self.acted = 0.0
        """When what was last done was done; what came of it is seen later."""
        self._batch: list[tuple[str, str]] = []
        """Of each thing that was read at once its socket, and whom it is about."""
        self._told: dict[str, float] = {}
        self._ahead: dict[str, set[str]] = {}
        self._was_ahead: dict[str, set[str]] = {}

    def _open(self, stack: contextlib.ExitStack) -> None:
        super()._open(stack)
        # Sockets of one device and one protocol are given a frame last, after ARP or IPv6 itself.
        self._taken_in = {
            protocol: stack.enter_context(self.node.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
            for protocol in (ETH_P_ARP, ETH_P_IPV6)
        }
        for protocol, sock in self._taken_in.items():
            sock.bind((DEVICE, protocol))

    def _perform(self, action: model.Action) -> None:
        self.acted = 0.0
        super()._perform(action)

    def _inject(self, frame: bytes) -> None:
        advertised = is_router_advertisement(frame)
        base = self._table(AF_INET6).base_reachable_time if advertised else 0.0
        self._send_and_await(frame)
        self.acted = time.monotonic()
        if advertised:
            table = self._table(AF_INET6)
            if table.base_reachable_time != base:
                self._note_draw(AF_INET6, table.reachable_time)

    def _send_and_await(self, frame: bytes) -> None:
        """On a busy machine a frame is taken in some time after it was sent.

        Raises:
            Disturbed: it never was.
        """
        taken_in = self._taken_in[int.from_bytes(frame[12:14], "big")]
        taken_in.settimeout(0.0)
        while True:
            try:
                taken_in.recv(2048)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENETDOWN:
                    raise
        self.wire.send(frame)
        taken_in.settimeout(TAKEN_IN)
        try:
            while taken_in.recv(2048) != frame:
                pass
        except TimeoutError:
            raise Disturbed("a frame was not taken in") from None

    def _run_until(self, when: float) -> None:
        self.acted = self.acted or time.monotonic()
        super()._run_until(when)

    def _take(self, when: float, told: Notification | None, frame: tuple[str, str] | None) -> None:
        before = len(self.trace.lines)
        super()._take(when, told, frame)
        lines = self.trace.lines[before:]
        self._batch += [(source(line), line.ip) for line in lines]
        if not lines and told is None:
            # A frame of no interest may have made its socket the first that is readable.
            self._batch.append((">", ""))
        for line in lines:
            if told is not None:
                self._told[line.ip] = when
                continue
            if when <= self._told.get(line.ip, 0.0):
                self.blurred.add(line.ip)
            if when >= self.watch.polled:
                self._ahead.setdefault(line.ip, set()).add(source(line))

    def _hear(self) -> None:
        sources: dict[str, set[str]] = {}
        for name, ip in self._batch:
            sources.setdefault(ip, set()).add(name)
        groups = [list(group) for _, group in groupby(self._batch, itemgetter(0))]
        if any(len(group) > 1 for group in groups[:-1]):
            self.blurred |= {ip for ip, found in sources.items() if len(found) > 1}
        self.blurred |= {ip for ip, found in self._was_ahead.items() if sources.get(ip, found) != found}
        self._was_ahead, self._ahead = self._ahead, {}
        self._batch.clear()
        super()._hear()


class KernelOracle:
    """The running kernel, between two namespaces of its own."""

    def __init__(self, start: Scenario, metronome: Metronome) -> None:
        self.atomic: bool = notifications_are_atomic()
        self._metronome = metronome
        self._draws: list[float] = []
        self._reachable: dict[int, float] = {}
        with contextlib.ExitStack() as stack:
            nodes = stack.enter_context(Nodes(start.addresses, start.routes))
            self._stage: _Stage = _Stage(start, nodes)
            stack.enter_context(self._stage)
            self._stack = stack.pop_all()
        for address in start.addresses:
            self._stage.senders.prepare(parse_address(address.partition("/")[0]))
        self._counters = [_counters(path) for path in STATISTICS]
        # Jiffies are those of the monotonic clock (Linux 6.4 and later): the engine's begin with them.
        began = time.monotonic()
        self._stage.beginning = ceil(began / JIFFY) * JIFFY
        self._managed = Managed(metronome, began)

    def __enter__(self) -> KernelOracle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    # -- time

    def now(self) -> float:
        return time.monotonic() - self._stage.beginning

    def wait(self, until: float) -> None:
        self._stage._run_until(self._stage.beginning + until)

    def moment(self) -> float:
        while True:
            now = self.now()
            into = now % JIFFY
            if not EARLY <= into <= LATEST:
                time.sleep((EARLY - into) % JIFFY)
            # The engine's jiffy is to be the kernel's.
            elif _jiffy() == (self._stage.beginning + now) // JIFFY:
                return now

    # -- what is seen

    def lines(self) -> list[Line]:
        return self._stage.trace.lines

    def blurred(self) -> set[str]:
        return self._stage.blurred

    def entries(self) -> dict[str, Entry]:
        request = requests.dump_neighbours(index=self._stage.index)
        for _ in range(DUMPS):
            began = _jiffy()
            replies = self._stage.node.request(request)
            if _jiffy() == began:
                break
        else:
            raise Disturbed("the machine is too busy to tell when a dump was made")
        found = {}
        managed = False
        for reply in replies:
            message = decode(reply)
            if isinstance(message, NeighbourMessage) and message.index == self._stage.index:
                managed = managed or bool(message.flags & NTF_MANAGED)
                event = as_notification(message, began * JIFFY)
                assert isinstance(event, NewNeighbour)
                entry = Entry.of(event, self._stage.beginning)
                if entry is not None:
                    found[event.ip] = entry
        self._managed.note(managed)
        return found

    def disturbance(self, *, sure: bool) -> str:
        if sure:
            self._metronome.catch_up()
        if self._managed.has_run(time.monotonic()):
            return "the machine's managed work ran"
        before, self._counters = self._counters, [_counters(path) for path in STATISTICS]
        for old, new in zip(before, self._counters, strict=True):
            if new["forced_gc_runs"] != old["forced_gc_runs"]:
                return "a collection was forced"
            most = max(old["entries"], new["entries"])
            if new["periodic_gc_runs"] != old["periodic_gc_runs"] and most >= GC_THRESH1 - 8:
                return f"the periodic collection ran, over {most} entries"
        return REDRAWN if sure and self._is_redrawn() else ""

    def _is_redrawn(self) -> bool:
        """Whether every reachable_time was drawn anew, as the kernel does every five minutes."""
        return any(
            self._stage._table(family).reachable_time != drawn for family, drawn in self._reachable.items()
        )

    # -- what is done

    def acted(self) -> float:
        return self._stage.acted - self._stage.beginning

    def drawn(self) -> list[float]:
        drawn, self._draws = self._draws, []
        return drawn

    def perform(self, move: Move, action: model.Action) -> Move:
        try:
            return self._perform(move, action)
        except OSError as error:
            raise Disturbed(f"the kernel cannot do it: {move.verb}: {error.strerror}") from error

    def _perform(self, move: Move, action: model.Action) -> Move:
        stage = self._stage
        match action:
            case model.Set():
                value = self._set(move.value, action)
                stage.acted = time.monotonic()
                return replace(move, value=value)
            case model.Admin():
                error = self._admin(action)
                stage.acted = time.monotonic()
                return replace(move, error=error)
            case model.Carrier(on) | model.Link(True as on):
                stage._perform(action)
                self._await_carrier(on)
                # On a busy machine that takes a while, and timers go on until then.
                stage.acted = time.monotonic()
            case model.Inject(frame):
                if is_router_advertisement(frame) and self._is_redrawn():
                    raise Disturbed(REDRAWN)
                before = len(stage.trace.drawn)
                stage._perform(action)
                self._draws = stage.trace.drawn[before:]
                if self._draws:
                    self._reachable[AF_INET6] = self._draws[-1]
            case _:
                stage._perform(action)
        return move

    def _admin(self, action: model.Admin) -> str:
        """How the command ends, which no walk knows before."""
        lines = self._stage.trace.lines
        before = len(lines)
        self._stage._admin(replace(action, error=0))
        outcome = lines[before:]
        del lines[before:]
        return outcome[0].text.split()[3].rstrip(",") if outcome else ""

    def _set(self, value: Value, action: Set) -> Value:
        """Set what is asked for, and say what it had drawn."""
        assert isinstance(value, Mapping)
        if self._is_redrawn():
            raise Disturbed(REDRAWN)
        parts = [
            {k: v for k, v in action.of(family).items() if k != "reachable_time"}
            for family in (AF_INET, AF_INET6)
        ]
        self._stage._set(Set(*parts))
        drawn: dict[int, float] = {}
        for family, changes in zip((AF_INET, AF_INET6), parts, strict=True):
            if "base_reachable_time" in changes:
                drawn[family] = changes["reachable_time"] = self._stage._table(family).reachable_time
        self._reachable.update(drawn)
        ipv4, ipv6 = parts
        return {**ipv4, "ipv6": ipv6} if ipv6 else ipv4

    def _await_carrier(self, on: bool) -> None:
        """Whoever asks for a device's state (6.8 and later) has it told of its carrier at once. The peer's
        end drops what it is to send until it has been told, too."""
        stage = self._stage
        deadline = time.monotonic() + LINK_WATCH
        while (stage.node.link(DEVICE).operstate == IF_OPER_UP) != on or (
            on and stage.far.link("vb").operstate != IF_OPER_UP
        ):
            if time.monotonic() > deadline:
                raise Disturbed("the kernel did not notice the carrier")
            time.sleep(0.001)
