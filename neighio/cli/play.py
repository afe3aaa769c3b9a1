"""What happens in the demo: a table, four addresses, and every state that an entry passes through."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final, Protocol

import trio

from ..core.events import Change
from ..errors import Unreachable
from ..publication import Idle, Published
from ..states import NudState
from ..subscription import EventStream
from ..table import NeighbourTable, open_table
from .stage import ABSENT, CONFIRMED, EVERYBODY, MUTED, PROBED, Stage

__all__ = ["Board", "Row", "Show", "play"]

PARAMETERS: Final = {"base_reachable_time": 2.0, "delay_first_probe_time": 1.2, "retrans_time": 0.5}
"""Seconds: Linux's own are 30, 5 and 1, and nobody would watch that long."""

SEED: Final = 3
"""With it each device draws a reachable_time not far from 2 s."""

_NONE, _INCOMPLETE, _REACHABLE = NudState.NONE, NudState.INCOMPLETE, NudState.REACHABLE
_STALE, _DELAY, _PROBE, _FAILED = NudState.STALE, NudState.DELAY, NudState.PROBE, NudState.FAILED

_MEANINGS: Final = {
    (_NONE, _INCOMPLETE): "unknown: all are asked",
    (_FAILED, _INCOMPLETE): "wanted again: all are asked",
    (_INCOMPLETE, _REACHABLE): "it answered",
    (_INCOMPLETE, _FAILED): "asked 3 times, no answer",
    (_REACHABLE, _STALE): "not confirmed for a while",
    (_STALE, _DELAY): "used again: wait for a sign",
    (_DELAY, _PROBE): "no sign of life: it is asked",
    (_DELAY, _REACHABLE): "the upper layer vouched for it",
    (_PROBE, _REACHABLE): "it answered",
    (_PROBE, _FAILED): "asked 3 times, no answer",
}


class Row:
    """What the board shows of an address."""

    __slots__ = ("device", "ip", "lladdr", "since", "state")

    def __init__(self, ip: str, device: str) -> None:
        self.ip: str = ip
        self.device: str = device
        self.lladdr: str = ""
        self.state: str = "NONE"
        self.since: float = 0.0
        """When it came into its state, seconds from the beginning."""


class Board:
    """The entries as they are now, and what has happened."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._begun = clock()
        self._changed = trio.Event()
        self.rows: dict[str, Row] = {ip: Row(ip, device) for ip, device in EVERYBODY.items()}

    def now(self) -> float:
        """Seconds from the beginning."""
        return self._clock() - self._begun

    def take(self, change: Change) -> None:
        """Enter a change."""
        row = self.rows[change.ip]
        row.lladdr = str(change.lladdr or "")
        row.state = str(NudState(change.state).name)
        row.since = change.time - self._begun
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, state: str, *ips: str) -> None:
        """Return when each of these addresses is in that state."""
        while any(self.rows[ip].state != state for ip in ips):
            await self._changed.wait()
        await trio.lowlevel.checkpoint()


class Show(Protocol):
    """Shows a board to somebody."""

    def begin(self, board: Board) -> None:
        """The board is there."""
        ...

    def remark(self, time: float, text: str) -> None:
        """Something was done."""
        ...

    def transition(self, time: float, change: Change, meaning: str) -> None:
        """An entry went from one state to another."""
        ...

    async def paint(self) -> None:
        """Keep what is shown up to date, until cancelled or until nobody looks any more."""
        ...


async def play(stage: Stage, show: Show) -> int:
    """Play it through, in about ten seconds; return the exit status."""
    async with open_table(
        *stage.devices(), families=(4,), parameters=PARAMETERS, random=Random(SEED)
    ) as table:
        board = Board(trio.current_time)
        show.begin(board)
        with table.subscribe(trace=True) as events:
            # From here on every change is told, also the first.
            assert isinstance(await anext(events), Idle)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_follow, events, board, show)
                nursery.start_soon(_paint, show, nursery.cancel_scope)
                await _act(table, board, stage, show)
                nursery.cancel_scope.cancel()
    return 0


async def _follow(events: EventStream, board: Board, show: Show) -> None:
    async for event in events:
        _tell(event, board, show)


def _tell(event: Published, board: Board, show: Show) -> None:
    if not isinstance(event, Change) or event.state == event.old_state or event.ip not in board.rows:
        return
    old, new = NudState(event.old_state), NudState(event.state)
    board.take(event)
    show.transition(board.rows[event.ip].since, event, _MEANINGS.get((old, new), event.stimulus))


async def _paint(show: Show, scope: trio.CancelScope) -> None:
    await show.paint()
    scope.cancel()


async def _act(table: NeighbourTable, board: Board, stage: Stage, show: Show) -> None:
    there = (PROBED, CONFIRMED, MUTED)

    show.remark(board.now(), f"four addresses are resolved at once; nobody has {ABSENT}")
    async with trio.open_nursery() as nursery:
        for ip, device in EVERYBODY.items():
            nursery.start_soon(_use, table, ip, device)
    await board.until("STALE", *there)
    await trio.sleep(1.2)

    stage.mute(True)
    show.remark(board.now(), f"{MUTED} falls silent; then three addresses are used again")
    async with trio.open_nursery() as nursery:
        for ip in there:
            nursery.start_soon(_use, table, ip, EVERYBODY[ip])
    with table.neighbour(CONFIRMED, EVERYBODY[CONFIRMED]) as neighbour:
        await trio.sleep(0.5)
        neighbour.confirm()
    await board.until("FAILED", MUTED)
    await trio.sleep(1.2)

    stage.mute(False)
    show.remark(board.now(), f"{MUTED} speaks again, and is resolved anew")
    await _use(table, MUTED, EVERYBODY[MUTED])
    await board.until("REACHABLE", MUTED)
    await trio.sleep(1.2)

    ours = ", ".join(f"{seconds:g}" for seconds in PARAMETERS.values())
    show.remark(board.now(), f"done; these timers: {ours} s; Linux's own: 30, 5, 1 s")


async def _use(table: NeighbourTable, ip: str, device: str) -> None:
    try:
        await table.resolve(ip, device)
    except Unreachable:
        await trio.lowlevel.checkpoint()
