"""Times as values of arguments: how long something takes, and since when."""

from __future__ import annotations

import argparse
import math
import time
from datetime import datetime
from typing import Final

__all__ = ["duration", "instant"]

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def duration(text: str) -> float:
    """A number with a unit: 90s, 15m, 2h, 3d, 4w. Returns seconds."""
    try:
        value = float(text[:-1]) * _UNITS[text[-1:]]
    except (ValueError, KeyError):
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration as 90s, 15m, 2h, 3d or 4w")
    return value


def instant(text: str) -> float:
    """So long ago, or a time as ISO 8601 has it, local where it names no zone. Returns seconds since 1970."""
    try:
        return time.time() - duration(text)
    except argparse.ArgumentTypeError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a duration as 2h or 3d nor a time as 2026-01-31T09:00"
        ) from None
