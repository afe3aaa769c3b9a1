"""Draws the NUD machine from its transition table: the directives ``nud-diagram`` and ``nud-transitions``.

Where a state stands is given here, since that is taste. The arrows are the table's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from neighio.core.constants import NUD_NAMES
from neighio.core.transitions import STATES, TRANSITIONS, Transition

WIDTH: Final = 880
HEIGHT: Final = 620
BOX: Final = (128, 40)
PLACES: Final = {
    "NONE": (90, 100),
    "INCOMPLETE": (430, 40),
    "FAILED": (770, 100),
    "REACHABLE": (350, 255),
    "STALE": (90, 470),
    "DELAY": (400, 470),
    "PROBE": (770, 330),
    "NOARP": (640, 590),
    "PERMANENT": (90, 590),
}
# Told apart on light and dark paper, and by people who do not see red and green apart: the dashes differ too.
STYLES: Final = {
    "output": ("#0072b2", ""),
    "timer": ("#d55e00", "7 4"),
    "evidence": ("#009e73", ""),
    "verify": ("#cc79a7", "2 3"),
    "flush": ("#808080", "1 4"),
}


def name(state: int | None) -> str:
    return "" if state is None else NUD_NAMES.get(state, "NONE")


def border(centre: tuple[float, float], towards: tuple[float, float]) -> tuple[float, float]:
    """Return where the straight line from a box's centre towards a point leaves the box."""
    dx, dy = towards[0] - centre[0], towards[1] - centre[1]
    scale = min(
        (BOX[0] / 2 + 3) / abs(dx) if dx else math.inf,
        (BOX[1] / 2 + 3) / abs(dy) if dy else math.inf,
    )
    return centre[0] + dx * scale, centre[1] + dy * scale


def arrow(old: str, new: str, stimulus: str, conditions: Sequence[str], lane: int) -> str:
    """Return one arrow; arrows between the same two states lie in lanes beside each other."""
    colour, dashes = STYLES[stimulus]
    hint = escape(f"{old} to {new} on {stimulus}: {'; '.join(conditions)}")
    (x1, y1), (x2, y2) = PLACES[old], PLACES[new]
    length = math.hypot(x2 - x1, y2 - y1)
    bend = 26 + 24 * lane
    # To the right of the way, so that there and back do not meet.
    middle = (
        (x1 + x2) / 2 - bend * (y2 - y1) / length,
        (y1 + y2) / 2 + bend * (x2 - x1) / length,
    )
    (sx, sy), (ex, ey) = border((x1, y1), middle), border((x2, y2), middle)
    return (
        f'<path d="M{sx:.0f} {sy:.0f}Q{middle[0]:.0f} {middle[1]:.0f} {ex:.0f} {ey:.0f}" fill="none" '
        f'stroke="{colour}" stroke-width="1.6" stroke-dasharray="{dashes}" marker-end="url(#nud-{stimulus})">'
        f"<title>{hint}</title></path>"
    )


def diagram(rows: Sequence[Transition]) -> str:
    """Return the rows as an SVG picture. A state that stays as it is has no arrow."""
    arrows: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        for old in row.old:
            if old != row.new:
                arrows.setdefault((name(old), name(row.new), row.stimulus), []).append(row.condition)
    lanes: dict[tuple[str, str], int] = {}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="The NUD states and their transitions; the table below says the same" '
        'font-family="sans-serif" font-size="14">'
    ]
    for stimulus, (colour, _) in STYLES.items():
        parts.append(
            f'<marker id="nud-{stimulus}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            f'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="{colour}"/></marker>'
        )
    for (before, after, stimulus), conditions in arrows.items():
        lane = lanes[before, after] = lanes.get((before, after), -1) + 1
        parts.append(arrow(before, after, stimulus, conditions, lane))
    for state in map(name, STATES):
        x, y = PLACES[state]
        parts.append(
            f'<rect x="{x - BOX[0] / 2:.0f}" y="{y - BOX[1] / 2:.0f}" width="{BOX[0]}" height="{BOX[1]}" '
            'rx="8" fill="none" stroke="currentColor" stroke-width="1.5"/>'
            f'<text x="{x}" y="{y + 5}" text-anchor="middle" fill="currentColor">{state}</text>'
        )
    for line, (stimulus, (colour, dashes)) in enumerate(STYLES.items()):
        y = 450 + 24 * line
        parts.append(
            f'<path d="M756 {y}h40" stroke="{colour}" stroke-width="1.6" stroke-dasharray="{dashes}"/>'
            f'<text x="806" y="{y + 5}" fill="currentColor">{stimulus}</text>'
        )
    return "".join([*parts, "</svg>"])


class NudDiagram(SphinxDirective):
    """``.. nud-diagram::``: the picture."""

    def run(self) -> list[nodes.Node]:
        return [nodes.raw("", diagram(TRANSITIONS), format="html")]


class NudTransitions(SphinxDirective):
    """``.. nud-transitions::``: every row, in words."""

    def run(self) -> list[nodes.Node]:
        heads = ("From", "Stimulus", "Condition", "To", "Notification")
        group = nodes.tgroup(cols=len(heads))
        group += [nodes.colspec(colwidth=1) for _ in heads]
        head, body = nodes.thead(), nodes.tbody()
        head += self.row(heads)
        for each in TRANSITIONS:
            states = ", ".join(map(name, each.old))
            body += self.row((states, each.stimulus, each.condition, name(each.new), name(each.event)))
        group += [head, body]
        return [nodes.table("", group)]

    @staticmethod
    def row(cells: Sequence[str]) -> nodes.row:
        return nodes.row("", *(nodes.entry("", nodes.paragraph(text=cell)) for cell in cells))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("nud-diagram", NudDiagram)
    app.add_directive("nud-transitions", NudTransitions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
