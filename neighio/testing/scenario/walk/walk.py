"""One walk: moves by chance, or those of another walk again, until something differs or cannot be judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from ..engine import Role
from ..model import RouteChange, Scenario, Set
from .chance import LEAST, Chance
from .lockstep import Disturbed, Lockstep, Oracle
from .moves import Move

__all__ = ["Chooser", "Outcome", "again", "beginning", "by_chance", "walk"]

REST: Final = 0.1
"""Seconds after the last step at which all is compared once more."""

ADDRESSES: Final = {
    4: ("198.51.100.1/24", "198.51.100.21/24"),
    6: ("2001:db8::1/64", "fe80::a/64"),
}
ROUTES: Final = {
    4: RouteChange(True, "203.0.113.0/24", "198.51.100.4"),
    6: RouteChange(True, "2001:db8:1::/64", "fe80::2"),
}

Chooser: TypeAlias = Callable[[Lockstep], Move | None]
"""Says what to do next; None: nothing more."""


def beginning(families: Sequence[int]) -> Scenario:
    """What every walk of these families (4, 6) begins with."""
    return Scenario(
        path=Path("walk.toml"),
        line=1,
        name="",
        title="a walk",
        holds=(),
        steps=(),
        lasts=0.0,
        addresses=tuple(address for family in families for address in ADDRESSES[family]),
        start=Set({}),
        routes=tuple(ROUTES[family] for family in families),
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a walk.

    Attributes:
        moves: what was done.
        rest: how many seconds after the last of them something differed.
        compared: after how many of them nothing did.
        blurred: after how many of those the order of frames and notifications could not be told.
        difference: what differed at the end, if anything did.
        disturbance: why it could not be judged further; of a difference, why it may be none.
    """

    moves: tuple[Move, ...]
    rest: float
    compared: int
    blurred: int
    difference: str = ""
    disturbance: str = ""

    def as_json(self) -> dict[str, Any]:
        """The same in plain data."""
        return asdict(self)

    @classmethod
    def of_json(cls, data: dict[str, Any]) -> Outcome:
        """Of what :meth:`as_json` made."""
        return cls(**{**data, "moves": tuple(Move(**move) for move in data["moves"])})


def walk(oracle: Oracle, start: Scenario, role: Role, choose: Chooser, rest: float = REST) -> Outcome:
    """Walk as ``choose`` says, and compare once more ``rest`` seconds after the end."""
    pair = Lockstep(oracle, start, role)
    difference = disturbance = ""
    move: Move | None = None
    try:
        while not difference:
            undecided = pair.undecided()
            move = choose(pair) if undecided is None else Move(LEAST, "admin", f"del {undecided}")
            if move is None:
                difference = pair.compare(rest)
                break
            difference = pair.step(move)
    except Disturbed as error:
        difference, disturbance = error.difference, str(error)
    moves = tuple(pair.moves)
    return Outcome(
        moves,
        rest if move is None else move.pause,
        max(len(moves) - bool(difference or disturbance), 0),
        pair.blurred,
        difference,
        disturbance,
    )


def by_chance(chance: Chance, steps: int) -> Chooser:
    """``steps`` moves by chance."""
    moves = iter(range(steps))

    def choose(pair: Lockstep) -> Move | None:
        number = next(moves, None)
        if number is None:
            return None
        return chance.next(pair.states()) if number else chance.first()

    return choose


def again(moves: Sequence[Move]) -> Chooser:
    """These moves."""
    following = iter(moves)
    return lambda pair: next(following, None)
