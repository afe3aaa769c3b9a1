"""A log-log plot as SVG, readable on light and on dark paper, from the standard library alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

__all__ = ["Scale", "loglog"]

WIDTH: Final = 820
HEIGHT: Final = 460
LEFT: Final = 70
RIGHT: Final = 190
TOP: Final = 20
BOTTOM: Final = 50
# Told apart by people who do not see red and green apart; the dashes differ too.
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#808080")
DASHES: Final = ("", "7 4", "2 3", "10 3 2 3", "1 4", "12 5", "4 2")
LABEL_HEIGHT: Final = 17


class Scale:
    """A logarithmic axis: from values to places, whole decades at both ends."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        """``begin`` and ``end`` are the places of the axis' ends.

        Raises:
            ValueError: there is no value, or one that has no logarithm.
        """
        if not values or min(values) <= 0:
            raise ValueError(f"values: {list(values)!r} cannot be drawn on a logarithmic axis")
        self.low: int = math.floor(math.log10(min(values)) + 1e-9)
        self.high: int = max(math.ceil(math.log10(max(values)) - 1e-9), self.low + 1)
        self._begin, self._end = begin, end

    def __call__(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self._begin + share * (self._end - self._begin)

    def decades(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]


def power_of_ten(value: float) -> str:
    return f'10<tspan dy="-5" font-size="9">{round(math.log10(value))}</tspan>'


def loglog(series: Mapping[str, Mapping[float, float]], *, x_title: str, y_title: str) -> str:
    """Draw each series, a mapping of x to y, all above 0, as a line with its name at its end.

    Raises:
        ValueError: nothing to draw, or a value that is not above 0.
    """
    points = [point for one in series.values() for point in one.items()]
    across = Scale([x for x, _ in points], LEFT, WIDTH - RIGHT)
    up = Scale([y for _, y in points], HEIGHT - BOTTOM, TOP)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'font-family="sans-serif" font-size="13">',
            f"<title>{escape(y_title)} by {escape(x_title)}</title>",
            "<style>.ink{fill:#1f2328}.line{stroke:#1f2328}.grid{stroke:#1f2328;stroke-opacity:.18}"
            "@media (prefers-color-scheme:dark){.ink{fill:#e6edf3}.line,.grid{stroke:#e6edf3}}</style>",
            *_axes(across, up, x_title, y_title),
            *_lines(series, across, up),
            "</svg>",
            "",
        ]
    )


def _axes(across: Scale, up: Scale, x_title: str, y_title: str) -> Iterator[str]:
    for value in across.decades():
        x = across(value)
        yield f'<path class="grid" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
        yield (
            f'<text class="ink" x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">'
            f"{power_of_ten(value)}</text>"
        )
    for value in up.decades():
        y = up(value)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield (
            f'<text class="ink" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{power_of_ten(value)}</text>'
        )
    yield f'<path class="line" fill="none" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text class="ink" x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x_title)}</text>'
    centre = (TOP + HEIGHT - BOTTOM) / 2
    yield (
        f'<text class="ink" transform="translate(18 {centre}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_title)}</text>"
    )


def _lines(series: Mapping[str, Mapping[float, float]], across: Scale, up: Scale) -> Iterator[str]:
    # Names stand where their lines end, moved down where they would cover each other.
    free = -math.inf
    ends = sorted((up(points[max(points)]), name) for name, points in series.items())
    places = {}
    for y, name in ends:
        free = max(y, free + LABEL_HEIGHT)
        places[name] = free
    for number, (name, points) in enumerate(series.items()):
        colour, dashes = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
        path = "L".join(f"{across(x):.1f} {up(y):.1f}" for x, y in sorted(points.items()))
        yield (
            f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>'
        )
        for x, y in points.items():
            yield f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="3" fill="{colour}"/>'
        end, place = up(points[max(points)]), places[name]
        edge = across(max(points))
        yield f'<path d="M{edge:.1f} {end:.1f}L{edge + 14:.1f} {place:.1f}" stroke="{colour}" fill="none"/>'
        yield f'<text class="ink" x="{edge + 18:.1f}" y="{place + 4:.1f}">{escape(name)}</text>'
