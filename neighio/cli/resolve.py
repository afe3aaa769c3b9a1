"""``neighio resolve``: who has these addresses now?"""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict, dataclass, field, replace
from itertools import zip_longest
from math import inf
from statistics import median
from typing import Final

import trio

from ..address import LinkAddress, format_ip, parse_ip
from ..core.device import parse_interface
from ..errors import DeviceGone, InvalidAddress, TableFull, Unreachable
from ..kernel.netlink import open_netlink
from ..records import Stamp, json_line
from ..states import NudState
from ..table import NeighbourTable, open_table
from ..wire.ipv6 import LOOPBACK, is_link_local, is_multicast
from . import UNUSABLE
from .kernel_neighbours import KernelNeighbours
from .names import Given, find_address
from .output import Output, printable
from .running import run

__all__ = ["resolve"]

AT_ONCE: Final = 256
"""How many requests may be under way: a switch takes as many in a burst."""

_BELIEVED: Final = frozenset({"REACHABLE", "STALE", "DELAY", "PROBE", "PERMANENT"})
"""The kernel's states in which somebody else's address is worth asking at."""


@dataclass(frozen=True, slots=True)
class Question:
    """An address to ask for, as it was given and by itself, and whom that means: the neighbour ``hop`` on a
    device."""

    given: Given
    address: str
    device: str
    hop: str
    via: str | None
    """The hop, where it is a gateway."""
    patience: float
    """How long an answer is waited for, seconds."""

    def __str__(self) -> str:
        return str(self.given) if self.via is None else f"{self.given} via {self.via}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one request; ``--json`` prints these fields."""

    name: str | None
    address: str
    device: str
    via: str | None
    number: int
    lladdr: str | None = None
    round_trip_ms: float | None = None
    state: str | None = None
    others: tuple[str, ...] = ()
    error: str | None = None


@dataclass(slots=True)
class Tally:
    """What all requests for one address came to. ``told`` are those whose outcome was printed; one that
    Ctrl-C cut short is none of them, and ``answered`` of those alone."""

    asked: int = 0
    told: int = 0
    unable: int = 0
    """Those that could not be sent, as the device or the table did not allow it."""
    answered: int = 0
    round_trips: list[float] = field(default_factory=list)
    lladdrs: dict[LinkAddress, None] = field(default_factory=dict)


def resolve(arguments: Namespace) -> int:
    """Run the command; return its exit status."""
    command = Resolve(arguments)
    status = run("resolve", command.run)
    if arguments.count > 1 and not arguments.quiet and status != UNUSABLE:
        command.summarise()
    return status


class Resolve:
    """One run of the command."""

    def __init__(self, arguments: Namespace) -> None:
        self._arguments = arguments
        self._output = Output()
        self._limiter = trio.CapacityLimiter(AT_ONCE)
        self._tallies: dict[Question, Tally] = {}
        self._refused: InvalidAddress | None = None
        self._width = 0

    async def run(self) -> int:
        """Ask; return the exit status.

        Raises:
            NeighioError: something cannot be asked; nothing was.
        """
        self._stamp = Stamp(trio.current_time)
        everybody = await self._find_addresses()
        async with open_table() as table:
            for given in everybody:
                try:
                    question = await self._question(table, given)
                except InvalidAddress as error:
                    # What is wrong with an address is to be found where it was given.
                    if given.name is None or given.name in str(error):
                        raise
                    raise InvalidAddress(f"{error} ({given.name})") from None
                self._tallies.setdefault(question, Tally())
            # This command's own table has room for what was asked for.
            room = 2 * len(self._tallies)
            for cache in (table.arp, table.ndisc):
                cache.gc_thresh2 = max(cache.gc_thresh2, room)
                cache.gc_thresh3 = max(cache.gc_thresh3, room)
            if self._arguments.unicast:
                await self._take_over(table)
            self._width = max(len(printable(str(question))) for question in self._tallies)
            patience = inf if self._arguments.deadline is None else self._arguments.deadline
            with trio.move_on_after(patience) as scope:
                async with trio.open_nursery() as nursery:
                    for question in self._tallies:
                        nursery.start_soon(self._ask, table, question, nursery.cancel_scope)
            if self._refused is not None:
                raise self._refused
            if scope.cancelled_caught:
                self._tell_what_is_open(patience)
        tallies = self._tallies.values()
        if all(tally.unable == tally.told for tally in tallies):
            return UNUSABLE
        return 0 if all(tally.answered for tally in tallies) else 1

    async def _find_addresses(self) -> list[Given]:
        """What was given, in that order; of names, all are looked up at once.

        Raises:
            InvalidAddress: one is neither an address nor a known name, or of the other family.
        """
        found: dict[str, Given | InvalidAddress] = {}
        async with trio.open_nursery() as nursery:
            for text in dict.fromkeys(self._arguments.ip):
                nursery.start_soon(self._find_address, text, found)
        await trio.lowlevel.checkpoint()
        everybody = []
        for text in self._arguments.ip:
            one = found[text]
            if isinstance(one, InvalidAddress):
                raise one
            everybody.append(one)
        return everybody

    async def _find_address(self, text: str, found: dict[str, Given | InvalidAddress]) -> None:
        try:
            found[text] = await find_address(text, self._arguments.family)
        except InvalidAddress as error:
            found[text] = error
        await trio.lowlevel.checkpoint()

    async def _question(self, table: NeighbourTable, given: Given) -> Question:
        key, zone = parse_ip(given.address)
        family = 4 if len(key) == 4 else 6
        local = family == 6 and is_link_local(key)
        dev, hop, via = self._arguments.dev or zone, given.address, None
        if dev is None and local:
            raise InvalidAddress(f"ip: {given} is on every link; name one: {given.address}%DEVICE, or --dev")
        # A link-local address that is ours elsewhere may be another's here.
        found = None if local else await table.first_hop(format_ip(key))
        if dev is None:
            if found is None:
                raise InvalidAddress(f"ip: there is no route to {given}; name the device with --dev")
            dev, hop = found
            via = None if parse_ip(hop)[0] == key else hop
        if dev not in table.devices:
            await table.attach(dev)
        else:
            await trio.lowlevel.checkpoint()
        device = table.devices[dev]
        own = {parse_interface(address)[0] for address in device.addresses}
        if key in own or key == LOOPBACK:
            raise InvalidAddress(f"ip: {given} is this host's own")
        # What is wrong with an address is to be known before anybody is asked.
        table.lookup(hop, dev)
        source = self._arguments.source
        if source is not None and len(parse_ip(source, field="source")[0]) != len(key):
            raise InvalidAddress(f"source: {source} is not of the family of {given}")
        # A device that is down has no address at all; that it is down is told of each.
        askable = family == 4 or source is not None or is_multicast(key) or any(map(is_link_local, own))
        if device.up and not askable:
            raise InvalidAddress(f"ip: {dev} has no link-local address from which to ask for {given}")
        return Question(given, format_ip(key), dev, hop, via, table.parameters(dev, family)["retrans_time"])

    async def _take_over(self, table: NeighbourTable) -> None:
        """Have the addresses that the kernel knows asked for where it knows them."""
        with open_netlink() as netlink:
            kernel = KernelNeighbours(netlink)
            await kernel.read_names()
            known = {(entry["address"], entry["device"]): entry for entry in await kernel.entries()}
        for question in self._tallies:
            entry = known.get((format_ip(parse_ip(question.hop)[0]), question.device))
            if entry is not None and entry["state"] in _BELIEVED and entry["lladdr"] is not None:
                table.replace(question.hop, question.device, lladdr=entry["lladdr"], nud="stale")
            if ":" not in question.hop:
                # It was not learned just now: whoever answers from elsewhere is asked there from then on.
                table.set(question.device, 4, locktime=0.0)

    async def _ask(self, table: NeighbourTable, question: Question, scope: trio.CancelScope) -> None:
        begun = trio.current_time()
        for number in range(self._arguments.count):
            await trio.sleep_until(begun + number * self._arguments.interval)
            async with self._limiter:
                finding = await self._ask_once(table, question, number + 1)
            if self._refused is not None or not self._tell(question, finding):
                scope.cancel()
        await trio.lowlevel.checkpoint()

    async def _ask_once(self, table: NeighbourTable, question: Question, number: int) -> Finding:
        finding = Finding(question.given.name, question.address, question.device, question.via, number)
        tally = self._tallies[question]
        tally.asked += 1
        try:
            with table.neighbour(question.hop, question.device) as neighbour:
                state, lladdr = NudState(neighbour.nud_state), neighbour.lladdr
            if state & NudState.NOARP:
                finding = replace(finding, lladdr=str(lladdr or "") or None, state=state.name)
            else:
                finding = await self._probe(table, question, finding)
        except Unreachable:
            finding = replace(finding, error=f"no answer in {question.patience:g} s")
        except (DeviceGone, TableFull) as error:
            tally.unable += 1
            finding = replace(finding, error=str(error))
        except InvalidAddress as error:
            # Later on it is the device that has gone.
            if number == 1:
                self._refused = error
            finding = replace(finding, error=str(error))
        await trio.lowlevel.checkpoint()
        return finding

    async def _probe(self, table: NeighbourTable, question: Question, finding: Finding) -> Finding:
        where = question.hop, question.device
        reply = await table.probe(
            *where,
            unicast=self._arguments.unicast,
            source=self._arguments.source,
            listen=self._arguments.listen,
        )
        after = table.lookup(*where)
        milliseconds = round(reply.round_trip * 1e3, 3)
        tally = self._tallies[question]
        tally.lladdrs.update(dict.fromkeys((reply.lladdr, *reply.others)))
        return replace(
            finding,
            lladdr=str(reply.lladdr),
            round_trip_ms=milliseconds,
            state=None if after is None else NudState(after.nud_state).name,
            others=tuple(str(lladdr) for lladdr in tally.lladdrs if lladdr != reply.lladdr),
        )

    # -- what is printed

    def _tell(self, question: Question, finding: Finding) -> bool:
        """Print what became of a request; False when nobody reads any more."""
        tally = self._tallies[question]
        tally.told += 1
        tally.answered += finding.error is None
        if finding.round_trip_ms is not None:
            tally.round_trips.append(finding.round_trip_ms)
        return self._arguments.quiet or self._output.line(self._text(question, finding))

    def _tell_what_is_open(self, patience: float) -> None:
        """Print a line for what the deadline cut short, and for each address that had no turn."""
        for question, tally in self._tallies.items():
            if tally.told < max(tally.asked, 1):
                finding = Finding(
                    question.given.name, question.address, question.device, question.via, tally.told + 1
                )
                self._tell(question, replace(finding, error=f"the deadline of {patience:g} s has passed"))

    def _text(self, question: Question, finding: Finding) -> str:
        if self._arguments.json:
            return json_line({"kind": "request", **self._stamp.at(), **asdict(finding)})
        paint = self._output.paint
        words = [printable(str(question)).ljust(self._width), printable(f"dev {finding.device}")]
        if finding.error is not None:
            words.append(paint(finding.error, "error"))
        elif finding.lladdr is not None:
            words.append(printable(finding.lladdr))
        if finding.round_trip_ms is not None:
            words.append(f"{finding.round_trip_ms:8.3f} ms")
        if finding.state is not None:
            words.append(paint(finding.state, finding.state))
        if finding.others:
            words.append(paint(f"duplicate: {' '.join(finding.others)} too", "duplicate"))
        return "  ".join(words)

    def summarise(self) -> None:
        """Print, for each address that was asked for, how its requests went."""
        for question, tally in self._tallies.items():
            # One that had no turn was told of, too.
            asked = min(tally.asked, tally.told)
            if not asked:
                continue
            lost = 100 * (asked - tally.answered) / asked
            times = tally.round_trips
            trips = [min(times), round(median(times), 3), max(times)] if times else []
            if self._arguments.json:
                record = {
                    "kind": "summary",
                    "name": question.given.name,
                    "address": question.address,
                    "device": question.device,
                    "via": question.via,
                    "asked": asked,
                    "answered": tally.answered,
                    "lost_percent": round(lost, 1),
                    **dict(zip_longest(("min_ms", "median_ms", "max_ms"), trips)),
                }
                self._output.line(json_line(record))
                continue
            text = printable(str(question)).ljust(self._width)
            text += f"  {asked} asked, {tally.answered} answered, {lost:.0f} % lost"
            if trips:
                text += f"; {' / '.join(f'{trip:.3f}' for trip in trips)} ms min / median / max"
            self._output.line(text)
