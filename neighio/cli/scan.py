"""``neighio scan``: who is there?"""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

import trio

from ..address import Network, format_ip
from ..errors import DeviceGone, NeighioError
from ..probe import Reply
from ..sweep import Sweep, SweepProgress
from ..table import NeighbourTable, open_table
from . import UNUSABLE
from .output import complain
from .progress import INTERVAL, Progress
from .running import explain, run
from .scan_all_nodes import AllNodes
from .scan_plan import Plan, given, make_plan, own_text
from .scan_report import Report, Tally, Unread
from .scan_targets import pieces
from .vendors import load_vendors

__all__ = ["scan"]

LISTEN: Final = 0.1
"""How long duplicates are listened for when all have answered, seconds."""


def scan(arguments: Namespace) -> int:
    """Run the command; return its exit status."""
    try:
        command = Scan(arguments)
    except NeighioError as error:
        complain(f"neighio scan: {error}")
        return UNUSABLE
    return run("scan", command.run)


class Scan:
    """One run of the command.

    Raises:
        NeighioError: an argument makes no sense, or a file cannot be read; names the field.
    """

    def __init__(self, arguments: Namespace) -> None:
        self._arguments = arguments
        self._spans = given(arguments)
        # Those who are asked for by name, and have not answered.
        self._missed = {format_ip(span.first) for span in self._spans if span.first == span.last}
        vendor = None
        if arguments.vendor:
            try:
                vendor = load_vendors()
            except NeighioError as error:
                complain(f"neighio scan: {error}")
        form = "json" if arguments.json else "quiet" if arguments.quiet else "text"
        self._progress = Progress("requests")
        self._report = Report(form, vendor, self._progress.clear)
        self._tally = Tally()
        self._listen: float = arguments.listen
        if arguments.listen is None:
            self._listen = LISTEN if arguments.rate < math.inf else 0.0
        self._sweep: Sweep | None = None
        self._since = 0.0
        self._to_ask = 0

    async def run(self) -> int:
        """Ask; return the exit status.

        Raises:
            NeighioError: somebody cannot be asked.
        """
        wanted = self._arguments.family
        families = {span.family for span in self._spans} or ({4, 6} if wanted is None else {wanted})
        async with open_table(families=sorted(families)) as table:
            plan = await make_plan(table, self._spans, self._arguments)
            self._missed.difference_update(plan.own)
            self._to_ask = plan.addresses
            self._remark(plan)
            try:
                await self._scan(table, plan)
            except Unread:
                await trio.lowlevel.checkpoint()
        return 0 if self._tally.answered and not self._missed else 1

    def _remark(self, plan: Plan) -> None:
        """Say what one might wonder about."""
        if self._arguments.json or self._arguments.quiet:
            return
        if plan.own:
            complain(f"neighio scan: {own_text(plan.own)}, and not asked")
        if not plan.device.carrier:
            complain(f"neighio scan: {plan.device.name} has no carrier")

    async def _scan(self, table: NeighbourTable, plan: Plan) -> None:
        """Ask everybody, and tell it, whatever ends it.

        Raises:
            NeighioError: it ended too early.
            Unread
        """
        device = plan.device
        self._report.start(device.name, str(device.lladdr), plan.networks, plan.addresses, plan.own)
        failure: NeighioError | OSError | Unread | None = None
        interrupted = True
        began = trio.current_time()
        try:
            with self._progress:
                failure = await self._work(table, plan)
            if isinstance(failure, DeviceGone) and not device.present:
                failure = DeviceGone(f"{device.name} was removed")
            interrupted = False
        finally:
            self._tally.seconds = trio.current_time() - began
            error = None if failure is None or isinstance(failure, Unread) else explain(failure)
            with suppress(Unread):
                self._report.end(self._tally, interrupted=interrupted, error=error)
        if failure is not None:
            raise failure

    async def _work(self, table: NeighbourTable, plan: Plan) -> NeighioError | OSError | Unread | None:
        """Ask everybody; return what ended it too early, if something did."""
        arguments = self._arguments
        failure: NeighioError | OSError | Unread | None = None
        nodes = AllNodes(plan.device.name, plan.device.index, plan.sources)
        telling, tried = trio.open_memory_channel[None](1)

        async def find_nodes() -> None:
            with telling:
                await nodes.ask(arguments.tries, arguments.interval, telling)

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._paint)
                if plan.sources:
                    nursery.start_soon(find_nodes)
                try:
                    for family in (4, 6):
                        for piece in pieces(plan.spans[family]):
                            await self._sweep_networks(table, plan, piece)
                    if plan.sources:
                        await self._sweep_nodes(table, plan, nodes, tried)
                except (NeighioError, OSError, Unread) as error:
                    failure = error
                nursery.cancel_scope.cancel()
        finally:
            self._tally.requests += nodes.sent
        return failure

    async def _sweep_nodes(
        self, table: NeighbourTable, plan: Plan, nodes: AllNodes, tried: trio.MemoryReceiveChannel[None]
    ) -> None:
        """Solicit who answers the request to all nodes, after each time that it was sent.

        Raises:
            NeighioError, Unread
        """
        swept = 0
        async for _ in tried:
            new = tuple(islice(nodes.found, swept, None))
            swept += len(new)
            if new:
                self._to_ask += len(new)
                await self._sweep_networks(table, plan, new)
        if nodes.failure is not None:
            # The addresses of a link that goes down are gone a moment before it is told of.
            await trio.sleep(LISTEN)
            if not plan.device.up:
                raise DeviceGone(f"{plan.device.name} is down")
            raise NeighioError(f"network: ff02::1 cannot be asked: {explain(nodes.failure)}")

    async def _sweep_networks(self, table: NeighbourTable, plan: Plan, networks: Sequence[Network]) -> None:
        arguments, device = self._arguments, plan.device.name
        async with table.sweep(
            networks, device, rate=arguments.rate, tries=arguments.tries, interval=arguments.interval
        ) as sweep:
            self._sweep, self._since = sweep, trio.current_time()
            try:
                while replies := await sweep.next_replies():
                    self._found(replies)
                if self._listen and sweep.progress().answered == sweep.progress().total:
                    await trio.sleep(self._listen)
                    self._found(await sweep.next_replies())
            finally:
                self._sweep = None
                self._tally.requests += sweep.progress().sent
                self._tally.asked += sweep.progress().total
            if arguments.absent:
                self._report.absent(device, sweep.absent)

    def _found(self, replies: Sequence[Reply]) -> None:
        if replies:
            again = sum(1 for reply in replies if reply.others)
            self._tally.duplicates += again
            self._tally.answered += len(replies) - again
            if self._missed:
                self._missed.difference_update(reply.ip for reply in replies)
            self._report.found(replies)

    # -- how far it is

    async def _paint(self) -> None:
        while self._progress.shown:
            await trio.sleep(INTERVAL)
            sent = self._tally.requests
            share = None
            if self._to_ask:
                share = self._tally.asked / self._to_ask
            if self._sweep is not None:
                progress = self._sweep.progress()
                sent += progress.sent
                share = (self._tally.asked + progress.total * self._part(progress)) / self._to_ask
            self._progress.update(share, sent)
        await trio.lowlevel.checkpoint()

    def _part(self, progress: SweepProgress) -> float:
        """How much of a sweep's time is over, if those who have not been asked yet are as those who have."""
        rate: float = self._arguments.rate
        interval: float = self._arguments.interval
        silent = progress.total * (1 - progress.answered / max(progress.asked, 1))
        whole = max(progress.total / rate, interval) + (progress.tries - 1) * max(silent / rate, interval)
        return min((trio.current_time() - self._since) / max(whole, 0.001), 0.99)
