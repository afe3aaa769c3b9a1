"""The running kernel as a walk's oracle, and what else goes on in its tables, one for all namespaces."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby
from math import ceil
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Final

from ....address import parse_ip
from ....core.constants import AF_INET, AF_INET6, NTF_MANAGED, NUD_NONE
from ....core.events import NewNeighbour, Notification
from ....core.parameters import JIFFY
from ....kernel import requests
from ....kernel.rtnetlink import NeighbourMessage, decode
from ....kernel.uapi import IF_OPER_UP
from .. import model
from ..frames import is_router_advertisement
from ..kernel import _Stage as KernelStage
from ..kernel import notifications_are_atomic
from ..model import DEVICE, Scenario, Set
from ..nodes import METRONOME, Nodes
from ..trace import Line
from ..watch import Watch, as_notification
from ..words import parse_address
from .lockstep import Disturbed, Entry, source
from .moves import Move, Value

__all__ = ["KernelOracle", "Metronome"]

STATISTICS: Final = tuple(Path("/proc/net/stat", name) for name in ("arp_cache", "ndisc_cache"))
GC_THRESH1: Final = 128
"""From so many entries on, in all namespaces together, the periodic collection takes some."""

LINK_WATCH: Final = 1.2
"""Seconds that the kernel takes at most to tell a device that its carrier has changed."""

NOTICED: Final = 0.05
"""Seconds after which a run of the managed work has been noticed."""

DUMPS: Final = 5
"""How often entries are asked for, until it is known to the jiffy when."""

EARLY: Final = 0.0004
LATEST: Final = 0.0024
"""Seconds after a jiffy has begun between which a step begins, that it may end before the next one."""

TAKEN_IN: Final = 0.003

METRONOME6: Final = "fe80::9"


class Metronome:
    """Notes when the managed work of either family runs: the machine has one each, for all namespaces."""

    def __init__(self) -> None:
        self._last = 0.0
        self._stop = Event()
        self._ready = Event()
        self._thread = Thread(target=self._run, name="metronome")

    def __enter__(self) -> Metronome:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        quick = {"mcast_solicit": 1, "retrans_time": 0.1}
        try:
            with Nodes(metronome=True) as nodes, Watch(nodes.node, DEVICE) as watch:
                node = nodes.node
                node.add_address("vm", "fe80::1/64")
                watch.listen_to_beats(node, "vm")
                index = node.link("vm").index
                for family, ip in ((AF_INET, METRONOME), (AF_INET6, METRONOME6)):
                    node.request(requests.set_neighbour_parameters(family, index, quick))
                    key, _ = parse_ip(ip)
                    node.request(requests.new_neighbour(index, key, state=NUD_NONE, flags=NTF_MANAGED))
                self._ready.set()
                while not self._stop.is_set():
                    list(watch.poll(0.2))
                    self._last = max([self._last, *watch.beats])
                    watch.beats.clear()
        finally:
            self._ready.set()

    def has_beaten(self, since: float) -> bool:
        """Whether it has since an instant of the monotonic clock."""
        return self._last >= since


def _counters(path: Path) -> dict[str, int]:
    """The statistics of a table; each processor has a line, the count of entries is the same on all."""
    names, *lines = [line.split() for line in path.read_text(encoding="ascii").splitlines()]
    columns = list(zip(*lines, strict=True))
    sums = {name: sum(int(text, 16) for text in column) for name, column in zip(names, columns, strict=True)}
    return {**sums, "entries": int(columns[0][0], 16)}


class _Stage(KernelStage):
    """Notes of whom things were read in an order that may not be the one in which they were made.

    Of what is read at once, all of a socket's comes together; a single one that comes first was first. And a
    frame that is read after a notification left before it, if its time is before that of the reading.
    """

    def __init__(self, start: Scenario, nodes: Nodes) -> None:
        super().__init__(start, nodes, None)
        self.blurred: set[str] = set()
        self.acted = 0.0
        """When what was last done was done; what came of it is seen later."""
        self._batch: list[Line] = []
        self._told: dict[str, float] = {}

    def _perform(self, action: model.Action) -> None:
        self.acted = 0.0
        super()._perform(action)

    def _inject(self, frame: bytes) -> None:
        if not is_router_advertisement(frame):
            super()._inject(frame)
            return
        base = self._table(AF_INET6).base_reachable_time
        self.wire.send(frame)
        self.acted = time.monotonic()
        # On a busy machine a frame is taken in some time after it was sent.
        time.sleep(TAKEN_IN)
        table = self._table(AF_INET6)
        if table.base_reachable_time != base:
            self._note_draw(AF_INET6, table.reachable_time)

    def _run_until(self, when: float) -> None:
        self.acted = self.acted or time.monotonic()
        super()._run_until(when)

    def _take(self, when: float, told: Notification | None, frame: tuple[str, str] | None) -> None:
        before = len(self.trace.lines)
        super()._take(when, told, frame)
        for line in self.trace.lines[before:]:
            self._batch.append(line)
            if told is not None:
                self._told[line.ip] = when
            elif when <= self._told.get(line.ip, 0.0):
                self.blurred.add(line.ip)

    def _hear(self) -> None:
        groups = [list(group) for _, group in groupby(self._batch, source)]
        if any(len(group) > 1 for group in groups[:-1]):
            sources: dict[str, set[str]] = {}
            for line in self._batch:
                sources.setdefault(line.ip, set()).add(source(line))
            self.blurred |= {ip for ip, found in sources.items() if len(found) > 1}
        self._batch.clear()
        super()._hear()


class KernelOracle:
    """The running kernel, between two namespaces of its own."""

    def __init__(self, start: Scenario, metronome: Metronome) -> None:
        self.atomic: bool = notifications_are_atomic()
        self._metronome = metronome
        self._draws: list[float] = []
        self._reachable: dict[int, float] = {}
        self._managed = False
        with contextlib.ExitStack() as stack:
            nodes = stack.enter_context(Nodes(start.addresses, start.routes))
            self._stage: _Stage = _Stage(start, nodes)
            stack.enter_context(self._stage)
            self._stack = stack.pop_all()
        for address in start.addresses:
            self._stage.senders.prepare(parse_address(address.partition("/")[0]))
        self._counters = [_counters(path) for path in STATISTICS]
        # Jiffies are those of the monotonic clock (Linux 6.4 and later): the engine's begin with them.
        self._judged = time.monotonic()
        self._stage.beginning = ceil(self._judged / JIFFY) * JIFFY

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
        now = self.now()
        into = now % JIFFY
        if not EARLY <= into <= LATEST:
            time.sleep((EARLY - into) % JIFFY)
            now = self.now()
        return now

    # -- what is seen

    def lines(self) -> list[Line]:
        return self._stage.trace.lines

    def blurred(self) -> set[str]:
        return self._stage.blurred

    def entries(self) -> dict[str, Entry]:
        request = requests.dump_neighbours(index=self._stage.index)
        for _ in range(DUMPS):
            began = time.monotonic()
            replies = self._stage.node.request(request)
            now = time.monotonic()
            if now - began < JIFFY:
                break
        else:
            raise Disturbed("the machine is too busy to tell when a dump was made")
        found = {}
        for reply in replies:
            message = decode(reply)
            if isinstance(message, NeighbourMessage) and message.index == self._stage.index:
                self._managed = self._managed or bool(message.flags & NTF_MANAGED)
                event = as_notification(message, now)
                assert isinstance(event, NewNeighbour)
                entry = Entry.of(event, self._stage.beginning)
                if entry is not None:
                    found[event.ip] = entry
        return found

    def disturbance(self, *, sure: bool) -> str:
        if sure:
            time.sleep(NOTICED)
        began, self._judged = self._judged, time.monotonic()
        managed, self._managed = self._managed, False
        if managed and self._metronome.has_beaten(began - NOTICED):
            return "the machine's managed work ran"
        before, self._counters = self._counters, [_counters(path) for path in STATISTICS]
        for old, new in zip(before, self._counters, strict=True):
            if new["forced_gc_runs"] != old["forced_gc_runs"]:
                return "a collection was forced"
            most = max(old["entries"], new["entries"])
            if new["periodic_gc_runs"] != old["periodic_gc_runs"] and most >= GC_THRESH1 - 8:
                return f"the periodic collection ran, over {most} entries"
        if sure and any(
            self._stage._table(family).reachable_time != drawn for family, drawn in self._reachable.items()
        ):
            return "every reachable_time was drawn anew"
        return ""

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
            case model.Carrier(on):
                stage._perform(action)
                self._await_carrier(on)
                # On a busy machine that takes a while, and timers go on until then.
                stage.acted = time.monotonic()
            case model.Inject():
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
        """Whoever asks for a device's state (6.8 and later) has it told of its carrier at once."""
        deadline = time.monotonic() + LINK_WATCH
        while (self._stage.node.link(DEVICE).operstate == IF_OPER_UP) != on:
            if time.monotonic() > deadline:
                raise Disturbed("the kernel did not notice the carrier")
            time.sleep(0.001)
