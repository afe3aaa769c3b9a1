"""The player that has ``neighio host`` in the kernel's place, on the same wire, in real time.

The interface is the kernel's, which has no address there and is silent. What the host tells it prints as it
happens, and frames are captured as the kernel's are: the order in which they became readable is the order in
which they were made.
"""

from __future__ import annotations

import contextlib
import errno
import time
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from ...address import LinkAddress, format_ip, parse_ip
from ...core.constants import AF_INET, AF_INET6, NTF_PROXY, RTN_UNICAST
from ...core.events import DelNeighbour, Miss, NewNeighbour, Notification
from ...records import Record
from . import model
from .describe import describe_entry, describe_notification
from .engine import PINNED, admin_outcome
from .frames import is_router_advertisement
from .host_process import HostEnded, HostProcess
from .model import DEVICE, Scenario
from .nodes import METRONOME, Nodes
from .realtime import HEAD_START, LATE, Stage, play_undisturbed
from .trace import Line, Player, Trace
from .words import FLAGS, STATES, VERBS

__all__ = ["HostPlayer", "why_not_on_host"]

PATIENCE: Final = 30.0
"""Seconds that a host has to begin, or to answer."""

TAKEN_IN: Final = 0.01
"""Seconds that a host has to take in a frame."""

GLANCE: Final = 0.002
"""Seconds between looks at whether something has come."""

UNFORCED: Final = 5.1
"""Seconds after its start until which a host's table forces no collection, unless it is full."""

METRONOME_QUICK: Final = {"mcast_solicit": 1, "retrans_time": 0.1}
METRONOME_FAILS: Final = 0.4
"""Seconds after which the entry that tells of the managed work has failed."""

_VERBS: Final = {flags: verb for verb, flags in VERBS.items()}
_KINDS: Final[Mapping[str, type[NewNeighbour | DelNeighbour | Miss]]] = {
    "new": NewNeighbour,
    "del": DelNeighbour,
    "miss": Miss,
}
_Told = TypeVar("_Told", bound=NewNeighbour | DelNeighbour | Miss)
_PROTOCOLS: Final = {AF_INET: "ipv4", AF_INET6: "ipv6"}


def why_not_on_host(scenario: Scenario, like: Trace) -> str | None:
    """Why ``neighio host`` cannot be asked for what a scenario needs, or None when it can."""
    if like.atomic:
        return "a host has the order of notifications that Linux had before 7.0"
    return None


class HostPlayer(Player):
    """Plays on ``neighio host``: a process and namespaces of its own for each play."""

    name = "host"
    parallel = True

    def play(self, scenario: Scenario, like: Trace | None = None) -> Trace:
        """Play, as often as is needed to do it undisturbed.

        Raises:
            Disturbed: it never was.
            HostEnded: the host did.
            Unavailable: no namespaces here.
        """

        def open_stage(stack: contextlib.ExitStack) -> Stage:
            return stack.enter_context(_Stage(scenario, stack.enter_context(Nodes(())), like))

        return play_undisturbed(scenario, open_stage)


class _Stage(Stage):
    def __init__(self, scenario: Scenario, nodes: Nodes, like: Trace | None) -> None:
        super().__init__(scenario, nodes, like, "host")
        self.sent = 0
        self._lost: list[str] = []
        """How the host was given what goes with the link."""
        for address in scenario.addresses:
            self._note_lost(model.AddressChange(True, address))
        for route in scenario.routes:
            self._note_lost(route)
        self._numbers: dict[str, str] = {}
        """Those of our packets by those that the host has given them."""
        self._beaten = False
        self._managed = list(like.managed) if like is not None else []
        self._collected = list(like.collected) if like is not None else []
        self._expected_collections = 0
        self._began = 0.0
        """When the host's clock was 0, seconds of the monotonic clock; 0 until it is ready."""

    def _open(self, stack: contextlib.ExitStack) -> None:
        scenario = self.scenario
        arguments = [f"--dev={DEVICE}", "--no-dad", "--monitor=json"]
        arguments += [f"--address={address}" for address in scenario.addresses]
        for route in scenario.routes:
            arguments += ["--route", route.prefix, *([] if route.gateway is None else ["via", route.gateway])]
        settings = [*_settings(AF_INET6, PINNED)]
        for family in _PROTOCOLS:
            settings += _settings(family, scenario.start.of(family))
        if scenario.gc_thresh is not None:
            settings += [f"ipv4.gc_thresh{n}={value}" for n, value in enumerate(scenario.gc_thresh, 1)]
        arguments += [f"--set={setting}" for setting in settings]
        self.host = stack.enter_context(HostProcess(self.node, arguments))
        self.watch.add(self.host, self._hear_host)

    def _prepare(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._began:
            self._look(deadline)
        for family in _PROTOCOLS:
            self._draw(family, self.scenario.start)
        self._expected_collections = self._collections()

    def _collections(self) -> int:
        """How often the periodic collection has run."""
        return int(self._ask("stats")["arp"]["periodic_gc_runs"])

    def _beginning(self) -> float:
        if self.scenario.managed:
            self._await_beat()
        # No collection was forced lately, as on a machine that has long been up.
        return super()._beginning() + (0.0 if self.scenario.gc_thresh is None else UNFORCED)

    def _await_beat(self) -> None:
        """Return right after a run of the managed work: the first probe of an entry that nothing else uses
        tells of it."""
        now = self._ask("stats")["parameters"]["ipv4"]
        before = {name: now[name] for name in METRONOME_QUICK}
        # The kernel's run is late by what its timer is late: the host's is to be at the same time.
        interval = {"interval_probe_time": self._managed[0] + HEAD_START} if self._managed else {}
        self._ask(" ".join(["set", *_settings(AF_INET, {**METRONOME_QUICK, **interval})]))
        self._ask(f"add {METRONOME} nud none managed")
        self._run_until(time.monotonic() + METRONOME_FAILS)
        self._beaten = False
        deadline = time.monotonic() + PATIENCE
        while not self._beaten:
            self._look(deadline)
        self._ask(f"del {METRONOME}")
        self._ask(" ".join(["set", *_settings(AF_INET, before)]))

    def _run_until(self, when: float) -> None:
        while self.beginning and self._collected and self.beginning + self._collected[0] <= when:
            super()._run_until(self.beginning + self._collected.pop(0))
            self._tell("collect ipv4")
            self._expected_collections += 1
        super()._run_until(when)

    def _take(self, when: float, told: Notification | None, frame: tuple[str, str] | None) -> None:
        self._beaten = self._beaten or (frame is not None and frame[0] == METRONOME)
        super()._take(when, told, frame)

    def _finish(self) -> None:
        self._wait_for_answers()
        if self.scenario.collection and self._collections() != self._expected_collections:
            self.disturbance = "the periodic collection ran unasked"
        for place, line in enumerate(self.trace.lines):
            words = line.text.split(" ", 2)
            if line.kind == ">" and words[0] == "packet" and words[1] in self._numbers:
                text = f"packet {self._numbers[words[1]]} {words[2]}"
                self.trace.lines[place] = Line(line.time, line.kind, line.ip, text)

    # -- asking

    def _look(self, deadline: float) -> None:
        now = time.monotonic()
        if now > deadline:
            raise HostEnded(f"it has said nothing for {PATIENCE:g} s")
        self._run_until(now + GLANCE)

    def _wait_for_answers(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while self.host.unanswered:
            self._look(deadline)

    def _tell(self, *commands: str, then: Callable[[Record], None] | None = None) -> None:
        """Give commands at once; ``then`` is called with each answer, when it has come."""
        asked = time.monotonic()

        def answered(answer: Record) -> None:
            late = self._instant(answer) - asked
            if self.beginning and late > LATE:
                self.disturbance = f"the host was {late:.3f} s late"
            if then is not None:
                then(answer)

        self.host.tell(commands, answered)

    def _ask(self, command: str) -> Record:
        """Give a command and wait for the answer to it.

        Raises:
            HostEnded: it is refused.
        """
        answers: list[Record] = []
        self._tell(command, then=answers.append)
        self._wait_for_answers()
        (answer,) = answers
        if not answer["ok"]:
            raise HostEnded(f"{command}: {answer['error']}")
        return answer

    def _instant(self, record: Record) -> float:
        """When something was, seconds of the monotonic clock."""
        return self._began + float(record["time"])

    # -- what is seen

    def _read(self) -> None:
        """What the host says is read in its turn."""

    def _hear_host(self) -> int:
        told = 0
        for record in self.host.read():
            kind = record["kind"]
            if kind == "ready":
                self._began = float(record["monotonic"])
            elif self.beginning and kind in _KINDS:
                described = describe_notification(self._event(record, _KINDS[kind]))
                if described is not None:
                    told += 1
                    self._line(self._instant(record), "!", *described)
            elif self.beginning and kind == "failed":
                self._line(self._instant(record), "x", record["destination"], record["errno"])
        return told

    def _event(self, record: Record, kind: type[_Told]) -> _Told:
        """A record as the notification that it was made of."""
        when = self._instant(record)
        key, _ = parse_ip(record["address"])
        lladdr = record["lladdr"]
        state = flags = 0
        for name in record["state"].split():
            state |= STATES[name.lower()]
        for name in record["flags"]:
            flags |= FLAGS[name]
        return kind(
            time=when,
            family=AF_INET if len(key) == 4 else AF_INET6,
            key=key,
            device=record["device"],
            lladdr=None if lladdr is None else LinkAddress(lladdr),
            state=state,
            flags=flags,
            type=RTN_UNICAST,
            probes=record["probes"],
            confirmed=when - record.get("confirmed", 0.0),
            used=when - record.get("used", 0.0),
            updated=when - record.get("updated", 0.0),
            refcnt=record["refcnt"],
            protocol=record["protocol"],
            row=0,
        )

    # -- steps

    def _act(self, action: model.Action) -> None:
        match action:
            case model.Send():
                self._send(action)
            case model.Confirm(ip):
                # The kernel makes no entry for it, and says nothing where there is none.
                self._tell(f"confirm {format_ip(ip)}")
            case model.Admin():
                self._admin(action)
            case model.Link(up):
                self._tell(f"link {'up' if up else 'down'}")
                if not up:
                    # A host keeps what it was given; Linux loses it with the link.
                    for command in self._lost:
                        self._tell(command.replace(" add ", " del ", 1))
                    self._lost.clear()
            case model.AddressChange(add, address, detect, optimistic):
                way = " optimistic" if optimistic else " dad" if detect else ""
                self._tell(f"address {'add' if add else 'del'} {address}{way}")
                self._note_lost(action)
            case model.RouteChange(add, prefix, gateway):
                words = [
                    "route",
                    "add" if add else "del",
                    prefix,
                    *([] if gateway is None else ["via", gateway]),
                ]
                self._tell(" ".join(words))
                self._note_lost(action)
            case model.Set():
                self._set(action)

    def _note_lost(self, change: model.AddressChange | model.RouteChange) -> None:
        """Note what goes with the link: addresses of IPv6, and routes."""
        if isinstance(change, model.RouteChange):
            gateway = "" if change.gateway is None else f" via {change.gateway}"
            command = f"route add {change.prefix}{gateway}"
        elif ":" in change.address:
            command = f"address add {change.address}"
        else:
            return
        if change.add:
            self._lost.append(command)
        elif command in self._lost:
            self._lost.remove(command)

    def _send(self, action: model.Send) -> None:
        command = f"send {format_ip(action.ip)} {action.octets} from {format_ip(action.source)}"
        numbers = [f"#{self.sent + n:03}" for n in range(action.count)]
        self.sent += action.count

        def answered(answer: Record) -> None:
            number = numbers.pop(0)
            if answer["ok"]:
                self._numbers[f"#{answer['number']:03}"] = number
            elif answer["errno"] != "ENOBUFS":
                self._note(action.ip, f"sending ended with {answer['errno']}: {answer['error']}")

        self._tell(*[command + " confirm" * action.confirm] * action.count, then=answered)

    def _admin(self, action: model.Admin) -> None:
        verb = "del" if action.delete else _VERBS[action.nlm_flags]
        words = [name for name, flag in FLAGS.items() if action.flags & flag and flag != NTF_PROXY]
        words = [verb, *["proxy"] * bool(action.flags & NTF_PROXY), format_ip(action.ip), *words]
        if not action.delete:
            words += ["nud", hex(action.state), "protocol", str(action.protocol)]
            if action.lladdr is not None:
                words += ["lladdr", str(action.lladdr)]

        def answered(answer: Record) -> None:
            code = 0 if answer["ok"] else getattr(errno, answer["errno"], errno.EIO)
            if code != action.error:
                self._note(action.ip, admin_outcome(code, action.error))

        self._tell(" ".join([*words, "dev", DEVICE]), then=answered)

    def _set(self, settings: model.Set) -> None:
        words = [word for family in _PROTOCOLS for word in _settings(family, settings.of(family))]
        if words:
            self._ask(" ".join(["set", *words]))
        for family in _PROTOCOLS:
            self._draw(family, settings)

    def _draw(self, family: int, settings: model.Set) -> None:
        wanted = settings.of(family).get("reachable_time")
        if wanted is not None:
            self._note_draw(family, self.like.pop(0) if self.like else wanted)

    def _note_draw(self, family: int, drawn: float) -> None:
        if drawn:
            # Of nothing, nothing is drawn.
            self._ask(f"draw {_PROTOCOLS[family]} {drawn!r}")
        self.trace.drawn.append(drawn)

    def _inject(self, frame: bytes) -> None:
        if not (is_router_advertisement(frame) and self.like):
            # Or there is nothing left that it might have drawn.
            super()._inject(frame)
            return
        base = self._base()
        super()._inject(frame)
        deadline = time.monotonic() + TAKEN_IN
        while time.monotonic() < deadline:
            if self._base() != base:
                self._note_draw(AF_INET6, self.like.pop(0))
                break

    def _base(self) -> float:
        return float(self._ask("stats")["parameters"]["ipv6"]["base_reachable_time"])

    def _show(self, ip: bytes) -> None:
        def answered(answer: Record) -> None:
            text = "absent"
            for entry in answer["entries"]:
                if parse_ip(entry["address"])[0] == ip:
                    event = self._event(entry | {"time": answer["time"]}, NewNeighbour)
                    text = describe_entry(event, event.time)
            self._line(self._instant(answer), "=", format_ip(ip), text)

        # Of all of them: an address that no neighbour can have, it is not to be asked for.
        self._tell("show", then=answered)


def _settings(family: int, changes: Mapping[str, float]) -> list[str]:
    """Parameters and switches as the host takes them."""
    return [
        f"{_PROTOCOLS[family]}.{name}={value!r}"
        for name, value in changes.items()
        if name != "reachable_time"
    ]
