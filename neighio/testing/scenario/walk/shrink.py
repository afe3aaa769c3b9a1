"""From a walk that differs to the shortest one that still does, and from that to a scenario file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from ....address import format_ip
from ..words import parse_address
from .chance import LEAST
from .moves import Move
from .walk import Outcome, beginning

__all__ = ["Attempt", "Finding", "shrink", "write"]

SURE: Final = 4
"""How often a walk is done again, to know whether its difference comes again."""

SHORT: Final = (LEAST, 0.02, 0.05)
"""Pauses that are tried in place of longer ones, seconds."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A walk and what differed after ``rest`` seconds at its end."""

    moves: tuple[Move, ...]
    rest: float
    difference: str


Attempt: TypeAlias = Callable[[Sequence[tuple[Move, ...]], float], Sequence[Outcome]]
"""Does these walks, side by side, each with a comparison so many seconds after its end."""


def shrink(found: Finding, attempt: Attempt) -> Finding | None:
    """The shortest walk that is found to differ still; None where the difference did not come again."""

    def differing(candidates: Sequence[tuple[Move, ...]]) -> list[Finding]:
        outcomes = attempt(candidates, found.rest)
        return [Finding(one.moves, one.rest, one.difference) for one in outcomes if one.difference]

    best = min(differing([found.moves] * SURE), key=_size, default=None)
    if best is None:
        return None
    for candidates in (_without, _simpler):
        while True:
            better = differing(list(candidates(best.moves)))
            # Several may go at once; where they may not, the best one goes.
            together = differing([_common(best.moves, [one.moves for one in better])] * 2) if better else []
            smallest = min([best, *better, *together], key=_size)
            if _size(smallest) >= _size(best) or not differing([smallest.moves] * 2):
                break
            best = smallest
    return best


def _size(found: Finding) -> tuple[int, int, float]:
    words = sum(len(str(move.value)) for move in found.moves)
    return len(found.moves), words, sum(move.pause for move in found.moves)


def _without(moves: tuple[Move, ...]) -> Iterator[tuple[Move, ...]]:
    """The walk without a half, a quarter, an eighth ... of it; the times of the rest stay."""
    length = max(len(moves) // 2, 1)
    while True:
        for start in range(0, len(moves), length):
            left = moves[:start] + moves[start + length :]
            if left:
                yield left
        if length == 1:
            return
        length //= 2


def _common(moves: tuple[Move, ...], others: Sequence[tuple[Move, ...]]) -> tuple[Move, ...]:
    """What is in all of them."""
    kinds = [{(move.verb, str(move.value)) for move in other} for other in others]
    return tuple(m for m in moves if all((m.verb, str(m.value)) in kind for kind in kinds)) or moves


def _simpler(moves: tuple[Move, ...]) -> Iterator[tuple[Move, ...]]:
    """The walk with one move simpler: a word fewer, a parameter fewer, a shorter pause."""
    own = [parse_address(address.partition("/")[0]) for address in beginning((4, 6)).addresses]
    for place, move in enumerate(moves):
        for simpler in _simpler_moves(move):
            try:
                simpler.action(own)
            except ValueError:
                continue
            yield (*moves[:place], simpler, *moves[place + 1 :])


def _simpler_moves(move: Move) -> Iterator[Move]:
    for pause in SHORT:
        if pause < move.pause:
            yield replace(move, pause=pause)
            break
    if isinstance(move.value, Mapping):
        for name in move.value:
            yield replace(move, value={k: v for k, v in move.value.items() if k != name})
        return
    words = move.value.split()
    for place in range(1, len(words)):
        for length in (1, 2):
            left = " ".join(words[:place] + words[place + length :])
            if left != move.value:
                yield replace(move, value=left, error="")


def write(found: Finding, families: Sequence[int], title: str) -> str:
    """A scenario file that says the same."""
    start = beginning(families)
    at = 0.0
    steps = []
    for move in found.moves:
        at += move.pause
        steps.append(f"  {move.line(at)},")
    at += found.rest
    shown = sorted({format_ip(parse_address(ip)) for ip in _addresses(found)})
    steps.append(f'  {{ at = {at:.3f}, show = "{" ".join(shown)}" }},')
    routes = [f"{route.prefix} via {route.gateway}" for route in start.routes]
    head = [
        f'title = "{title}"',
        'holds = ["a walk"]',
        f"lasts = {at + 0.1:.3f}",
        f"addresses = {_list(start.addresses)}",
        *([f"routes = {_list(routes)}"] if routes else []),
    ]
    difference = "\n".join(f"# {line}" for line in found.difference.splitlines())
    return "\n".join([difference, *head, "steps = [", *steps, "]", ""])


def _list(words: Sequence[str]) -> str:
    return f"[{', '.join(f'{chr(34)}{word}{chr(34)}' for word in words)}]"


def _addresses(found: Finding) -> set[str]:
    """Whose entries the lines of a difference are about."""
    return set(re.findall(r"^[-+] (?:\S+ )?[>!=x] (\S+)", found.difference, re.MULTILINE))
