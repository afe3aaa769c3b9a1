"""How long resolutions took, for whoever watches."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

__all__ = ["BOUNDS", "Latency"]

BOUNDS: Final = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)
"""Upper bounds of the histogram, seconds: from a veth pair's round trip to the last of several tries."""


class Latency:
    """A histogram of the times from INCOMPLETE to an address, seconds.

    Attributes:
        counts: how many took at most each of :data:`BOUNDS` but more than the one before, and the rest.
        total: the sum of all these times.
    """

    __slots__ = ("_begun", "counts", "total")

    def __init__(self) -> None:
        self._begun: dict[int, float] = {}
        self.counts: list[int] = [0] * (len(BOUNDS) + 1)
        self.total: float = 0.0

    def begin(self, row: int, now: float) -> None:
        """An entry became INCOMPLETE."""
        self._begun[row] = now

    def end(self, row: int, now: float, *, resolved: bool) -> None:
        """It is so no longer. Only those that came to an address count."""
        begun = self._begun.pop(row)
        if resolved:
            self.counts[bisect_left(BOUNDS, now - begun)] += 1
            self.total += now - begun
