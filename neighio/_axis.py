"""The time axis of a picture: where its ticks are, and what stands at them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["clock_text", "elapsed_text", "moment", "ticks", "unit"]

_HOUR: Final = 3600
_DAY: Final = 86400

_STEPS: Final = (
    *(unit * 10.0**power for power in range(-6, 0) for unit in (1, 2, 5)),
    *(1, 2, 5, 10, 15, 30),
    *(60 * minutes for minutes in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * hours for hours in (1, 2, 3, 6, 12)),
    *(_DAY * days for days in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000)),
)


def ticks(start: float, end: float, most: int) -> tuple[float, list[float]]:
    """A round step, and its multiples from ``start`` to ``end``, at most ``most`` and one."""
    span = end - start
    step = next((step for step in _STEPS if span / step <= most), _STEPS[-1])
    first = -int(-start // step)
    found: list[float] = []
    while (tick := (first + len(found)) * step) <= end and len(found) <= most:
        found.append(tick)
    return step, found


def unit(span: float) -> str:
    if span < 120:
        return "s"
    if span < 2 * _HOUR:
        return "min:s"
    return "h:min" if span < 2 * _DAY else "days and hours"


def elapsed_text(time: float, step: float, span: float) -> str:
    """A tick, in the unit that :func:`unit` tells."""
    if span < 120:
        digits = max(0, -int(f"{step:e}".partition("e")[2]))
        return f"{time:.{digits}f}"
    whole = round(time)
    if span < 2 * _HOUR:
        return f"{whole // 60}:{whole % 60:02}"
    if span < 2 * _DAY:
        return f"{whole // _HOUR}:{whole % _HOUR // 60:02}"
    days, hours = divmod(whole // _HOUR, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def moment(time: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=min(max(time, 0.0), 2.5e11))


def clock_text(time: float, step: float) -> str:
    when = moment(time)
    if step >= _DAY:
        return f"{when:%Y-%m-%d}"
    if step >= 60:
        return f"{when:%m-%d %H:%M}" if step >= 6 * _HOUR else f"{when:%H:%M}"
    return f"{when:%H:%M:%S}" if step >= 1 else f"{when:%H:%M:%S.%f}"[:-3]
