"""From a walk that differs to the shortest one that still does, and from that to a scenario file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeAlias

from ....address import format_ip
from ..words import parse_address
from .moves import Move
from .walk import Outcome, beginning

__all__ = ["SURE", "Attempt", "Finding", "shrink", "write"]

SURE: Final = 4
"""How often a walk is done again, to know whether its difference comes again."""

PAUSE: Final = 0.02
"""Seconds: what is tried in place of longer pauses."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A walk and what differed after ``rest`` seconds at its end."""

    moves: tuple[Move, ...]
    rest: float
    difference: str


Attempt: TypeAlias = Callable[[Sequence[tuple[Move, ...]], float], Sequence[Outcome]]
"""Does these walks, side by side, each with a comparison so many seconds after its end."""


def shrink(found: Finding, attempt: Attempt, is_over: Callable[[], bool] = lambda: False) -> Finding | None:
    """The shortest walk that is found to differ still, until ``is_over``; None where the difference did not
    come again."""

    def differing(candidates: Sequence[tuple[Move, ...]]) -> list[Finding]:
        outcomes = attempt(candidates, found.rest)
        return [
            Finding(one.moves, one.rest, one.difference)
            for one in outcomes
            if one.difference and not one.disturbance
        ]

    best = min(differing([found.moves] * SURE), key=_size, default=None)
    if best is None:
        return None
    best = min([best, *differing(_endings(best.moves))], key=_size)
    length = len(best.moves)
    while length and not is_over():
        length = min(length, len(best.moves)) // 2
        best = _improve(best, differing, partial(_without, length=max(length, 1)), is_over)
    return _improve(best, differing, _simpler, is_over)


def _improve(
    best: Finding,
    differing: Callable[[Sequence[tuple[Move, ...]]], list[Finding]],
    candidates: Callable[[tuple[Move, ...]], Sequence[tuple[Move, ...]]],
    is_over: Callable[[], bool],
) -> Finding:
    """Better ones, as long as there are."""
    while not is_over():
        better = differing(candidates(best.moves))
        # What may go, each for itself, may often go together.
        common = _common(best.moves, [one.moves for one in better])
        together = differing([common] * 2) if len(better) > 1 else []
        smallest = min([*together, *better], key=_size, default=best)
        # Chance may have it differ once: it has to do so again.
        if _size(smallest) >= _size(best) or not differing([smallest.moves] * 2):
            break
        best = smallest
    return best


def _size(found: Finding) -> tuple[int, int, int]:
    words = sum(len(str(move.value)) for move in found.moves)
    return len(found.moves), words, sum(round(move.pause / PAUSE) for move in found.moves)


def _endings(moves: tuple[Move, ...]) -> list[tuple[Move, ...]]:
    """The last one, two, four, eight ... moves, alone and after the first."""
    found = []
    length = 1
    while length < len(moves):
        found += [moves[-length:], (moves[0], *moves[-length:])]
        length *= 2
    return found


def _without(moves: tuple[Move, ...], length: int) -> list[tuple[Move, ...]]:
    """The walk without so many moves on end, here or there."""
    cut = [moves[:start] + moves[start + length :] for start in range(0, len(moves), length)]
    return [left for left in cut if left]


def _common(moves: tuple[Move, ...], others: Sequence[tuple[Move, ...]]) -> tuple[Move, ...]:
    """What is in all of them."""
    kinds = [{(move.verb, str(move.value)) for move in other} for other in others]
    return tuple(m for m in moves if all((m.verb, str(m.value)) in kind for kind in kinds)) or moves


def _simpler(moves: tuple[Move, ...]) -> list[tuple[Move, ...]]:
    """The walk with one move simpler: a word fewer, a parameter fewer, a shorter pause."""
    own = [parse_address(address.partition("/")[0]) for address in beginning((4, 6)).addresses]
    found = []
    for place, move in enumerate(moves):
        for simpler in _simpler_moves(move):
            try:
                simpler.action(own)
            except ValueError:
                continue
            found.append((*moves[:place], simpler, *moves[place + 1 :]))
    return found


def _simpler_moves(move: Move) -> Iterator[Move]:
    if move.pause > 1.5 * PAUSE:
        yield replace(move, pause=PAUSE)
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
