"""How a picture looks: the colours of states, the shapes of marks, on light and on dark paper."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["CHANGES", "DARK", "LIGHT", "MARKS", "ORDER", "OTHER_MARK", "STATES", "STYLE", "Ink", "colours"]


class Ink(NamedTuple):
    """A state's colour on light and on dark paper, and the one of what is written on it."""

    light: str
    dark: str
    text: str


STATES: Final = {
    "REACHABLE": Ink("#2c9a5f", "#35a76a", "#ffffff"),
    "PERMANENT": Ink("#2b7f8f", "#3a98a8", "#ffffff"),
    "NOARP": Ink("#77828f", "#78838f", "#ffffff"),
    "STALE": Ink("#e3b23c", "#d1a02c", "#2b2205"),
    "DELAY": Ink("#e8803a", "#e08a4d", "#2b1503"),
    "PROBE": Ink("#8a5cd1", "#9d75e0", "#ffffff"),
    "INCOMPLETE": Ink("#58a3e4", "#4f98db", "#06223b"),
    "FAILED": Ink("#cf3f43", "#e0585b", "#ffffff"),
    "NONE": Ink("#c8ced6", "#49515c", "#2a3038"),
}
"""Of the NUD states."""

ORDER: Final = ("INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED", "NOARP", "PERMANENT", "NONE")
"""In the legend: as a neighbour's life goes."""

_OTHERS: Final = (
    Ink("#3b6fb5", "#5d8fd3", "#ffffff"),
    Ink("#c2703d", "#d0834f", "#ffffff"),
    Ink("#3f8f74", "#52a98c", "#ffffff"),
    Ink("#a04a8c", "#bd69a9", "#ffffff"),
    Ink("#8a8330", "#a79f45", "#ffffff"),
    Ink("#5f6b7a", "#8793a3", "#ffffff"),
)
"""Of states that are no NUD states, in turn."""

# Shapes around (0, 0), in pixels.
_TRIANGLE: Final = "M0-4 4 3.2H-4Z"
_DOT: Final = "M-3.6 0a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0-7.2 0Z"
_DIAMOND: Final = "M0-4.4 4.4 0 0 4.4-4.4 0Z"
OTHER_MARK: Final = "M-3.2-3.2H3.2V3.2H-3.2Z"
_TICK: Final = "M-.9-3.6H.9V3.6H-.9Z"
_FLAG: Final = "M-1-11H1V9H-1ZM-5-12H5L0-6Z"
_CROSS: Final = "M-5-3.2-3.2-5 0-1.8 3.2-5 5-3.2 1.8 0 5 3.2 3.2 5 0 1.8-3.2 5-5 3.2-1.8 0Z"

MARKS: Final = {
    "asked": _TRIANGLE,
    "answered": _DOT,
    "announced": _DIAMOND,
    "used": _TICK,
    "moved": _FLAG,
    "duplicate": _CROSS,
}
"""The kinds of marks that have a shape of their own. Changes ("moved", "duplicate") stand across the bar,
frames below it."""

CHANGES: Final = ("moved", "duplicate")
"""The kinds of marks that stand across the bar."""

STYLE: Final = """\
text{font-family:system-ui,-apple-system,"Segoe UI","Helvetica Neue","DejaVu Sans",Arial,sans-serif}
.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
.title{font-size:18px;font-weight:600}.note{font-size:12px}.label{font-size:12px}.small{font-size:10.5px}
.on{font-size:10px;letter-spacing:.02em}
.moved,.duplicate{stroke-width:1.2;paint-order:stroke}
"""
LIGHT: Final = """\
.paper{fill:#fdfdfc}.ink{fill:#1d232b}.soft{fill:#5d6875}.faint{fill:#7a8591}
.grid{stroke:#dfe3e8}.axis{stroke:#aab3bd}.lane{fill:#f0f2f4}
.mark{fill:#3a4552}.asked{fill:#2f6fb0}.answered{fill:#237a4b}.announced{fill:#b0701c}.used{fill:#7a8591}
.moved{fill:#151a20;stroke:#fdfdfc}.duplicate{fill:#b3161c;stroke:#fdfdfc}
"""
DARK: Final = """\
.paper{fill:#15181d}.ink{fill:#e6e9ed}.soft{fill:#a2acb8}.faint{fill:#838e9a}
.grid{stroke:#2a3038}.axis{stroke:#56606c}.lane{fill:#1e2229}
.mark{fill:#b9c2cc}.asked{fill:#6ba8e6}.answered{fill:#5fc48d}.announced{fill:#e0a04a}.used{fill:#838e9a}
.moved{fill:#f4f6f8;stroke:#15181d}.duplicate{fill:#ff6a6a;stroke:#15181d}
"""


def colours(states: list[str]) -> dict[str, Ink]:
    """The colour of each state: its own, or one of those that are left over."""
    others = [state for state in states if state not in STATES]
    return STATES | {state: _OTHERS[number % len(_OTHERS)] for number, state in enumerate(others)}
