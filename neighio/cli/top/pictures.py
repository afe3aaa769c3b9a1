"""What ``neighio top --json`` prints: what a screen would show, whole, as an object."""

from __future__ import annotations

from typing import Final

from ...records import Record, Stamp
from .model import Entry, Neighbours
from .order import Order
from .view import View

__all__ = ["picture_record"]

_FAMILIES: Final = {4: "ipv4", 6: "ipv6"}
_RATES: Final = ("lookups_per_second", "hits_per_second", "failed_per_second")


def picture_record(
    whose: str, neighbours: Neighbours, order: Order, view: View, stamp: Stamp, now: float
) -> Record:
    """The neighbours that are shown, in order, and how many there are in all; ages are seconds at ``now``."""
    return {
        **stamp.at(now),
        "whose": whose,
        "states": dict(neighbours.states),
        "caches": {_FAMILIES[family]: _cache(neighbours, family) for family in sorted(neighbours.fills)},
        "losses": neighbours.losses,
        "entries": [_entry(entry, now) for entry in order.window(0, len(order), reverse=view.reverse)],
    }


def _cache(neighbours: Neighbours, family: int) -> Record:
    fill = neighbours.fills[family]
    # Between two readings alone there is a rate.
    rates = neighbours.rates.get(family, (None,) * len(_RATES))
    return {
        "entries": fill.entries,
        **{f"gc_thresh{number}": threshold for number, threshold in enumerate(fill.thresholds, 1)},
        **{name: None if rate is None else round(rate, 3) for name, rate in zip(_RATES, rates, strict=True)},
    }


def _entry(entry: Entry, now: float) -> Record:
    address, device = entry.name
    return {
        "address": address,
        "device": device,
        "lladdr": entry.lladdr or None,
        "state": entry.state,
        "flags": list(entry.flags),
        "probes": entry.probes,
        "used": _ago(entry.used, now),
        "confirmed": _ago(entry.confirmed, now),
        "updated": _ago(entry.updated, now),
        "changes": entry.changes,
        "changed": _ago(entry.changed, now),
        "change": entry.change or None,
    }


def _ago(instant: float | None, now: float) -> float | None:
    return None if instant is None else round(max(now - instant, 0.0), 6)
