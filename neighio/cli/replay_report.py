"""What ``neighio replay`` says: records, which are printed as JSON objects or as text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from ..core.cache import Statistics
from ..core.constants import AF_INET
from ..core.events import Change
from ..records import Record, Stamp, change_record, entry_record, event_record
from ..replay.anomalies import Anomaly
from ..replay.player import Player, Told
from .neighbours import change_line, neighbour_line
from .output import printable

__all__ = ["CaptureStamp", "closing_records", "start_record", "text_lines", "told_record"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_PROBES: Final = re.compile(r"(?<=\d)probes(?= \d+( |$))")
"""Before which `ip -s neigh` has no blank."""

OBSERVER: Final = (
    "the table of an observer that learns from everything (arp_accept, accept_untracked_na, and all as if "
    "said to it)"
)


class CaptureStamp(Stamp):
    """When something happened by the capture's clock: seconds from its first frame, and the time of day."""

    def __init__(self, player: Player) -> None:
        self._player = player

    def at(self, when: float | None = None) -> Record:
        time = self._player.now if when is None else when
        wall = self._player.wall(time)
        return {"time": round(time, 6), "wall": None if wall is None else _iso(wall)}


def _iso(wall: float) -> str | None:
    """The time of day, seconds since 1970; None where no calendar has it, as of a damaged time stamp."""
    try:
        moment = _EPOCH + timedelta(seconds=wall)
    except OverflowError:
        return None
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


# -- records


def start_record(path: str, form: str, station: str | None, began: int | None) -> Record:
    """What is played, and with whose eyes. ``began`` is the first frame's time, nanoseconds since 1970."""
    return {
        "kind": "start",
        "file": path,
        "format": form,
        "view": "observer" if station is None else "station",
        "station": station,
        "began": None if began is None else _iso(began / 1e9),
    }


def told_record(told: Told, stamp: Stamp) -> Record:
    """An event or an anomaly."""
    if isinstance(told, Change):
        return _plain(change_record(told, stamp))
    if isinstance(told, Anomaly):
        return {
            "kind": "anomaly",
            **stamp.at(told.time),
            "anomaly": told.what,
            "address": told.ip,
            "device": told.device,
            "lladdr": _text(told.lladdr),
            "other": _text(told.other),
            "number": told.number,
        }
    return _plain(event_record(told, stamp))


def _plain(record: Record) -> Record:
    """Of a link without link-layer addresses Linux tells empty ones: there are none."""
    return {name: None if value == "" and "lladdr" in name else value for name, value in record.items()}


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def closing_records(player: Player, error: str | None) -> Iterator[Record]:
    """The table at the end, the statistics, what was odd, and how it ended."""
    for entry in player.entries():
        yield {"kind": "entry", **_plain(entry_record(entry, player.now))}
    for link in player.links:
        yield {
            "kind": "link",
            "device": link.name,
            "frames": link.frames,
            "kinds": {kind: count for kind, count in link.messages.items() if count},
            "malformed": link.malformed,
            "cut_short": link.cut_short,
            "drops": {} if link.device is None else link.device.drops,
        }
    for cache in player.table.caches():
        counters = {name: getattr(cache.statistics, name) for name in Statistics.__slots__}
        family = "ipv4" if cache.family == AF_INET else "ipv6"
        yield {"kind": "statistics", "family": family, "entries": cache.entries, **counters}
    for duplicate in player.anomalies.duplicates.values():
        yield {
            "kind": "duplicate",
            "address": duplicate.ip,
            "device": duplicate.device,
            "lladdrs": [str(lladdr) for lladdr in duplicate.lladdrs],
            "times": duplicate.times,
            "first": round(duplicate.began, 6),
            "last": round(duplicate.ended, 6),
        }
    for storm in player.anomalies.storms:
        yield {
            "kind": "storm",
            "device": storm.device,
            "lladdr": _text(storm.lladdr),
            "first": round(storm.began, 6),
            "last": round(storm.ended, 6),
            "messages": storm.messages,
            "peak": storm.peak,
        }
    station = player.station
    yield {
        "kind": "end",
        "frames": player.frames,
        "seconds": round(player.now, 6),
        "unusable": player.unusable,
        "untimed": player.untimed,
        "set_back": player.set_back,
        "anomalies": player.anomalies.counts,
        "uncertain": None
        if station is None
        else {
            "unknown_hops": station.unknown_hops,
            "known_before": station.known_before,
            "unasked": station.unasked,
            "refused": station.refused,
        },
        "error": error,
    }


# -- text


def text_lines(record: Record, paint: Callable[[str, str], str]) -> Iterator[str]:
    """A record as lines, safe on a terminal."""
    kind = record["kind"]
    if kind == "start":
        yield printable(f"{record['file']}: {record['format']}, from {record['began'] or 'no time'}")
        yield printable(OBSERVER if record["station"] is None else f"the table of {record['station']}")
    elif kind in ("new", "del", "miss"):
        yield f"{record['time']:12.6f} s  {neighbour_line(record, paint).rstrip()}"
    elif kind == "change":
        yield f"{record['time']:12.6f} s  {change_line(record, paint)}"
    elif kind == "anomaly":
        yield f"{record['time']:12.6f} s  {_anomaly_text(record, paint)}"
    elif kind == "entry":
        line = neighbour_line(record, paint, statistics=True).rstrip()
        yield f"  {_PROBES.sub(' probes', line, count=1)}"
    else:
        yield from _CLOSING[kind](record)


def _anomaly_text(record: Record, paint: Callable[[str, str], str]) -> str:
    what = paint(record["anomaly"], "error" if record["anomaly"] in ("duplicate", "storm") else "STALE")
    if record["anomaly"] == "storm":
        who = record["lladdr"] or "everybody"
        return f"{what} dev {printable(record['device'])}: {record['number']} messages in a second by {who}"
    ways = {"moved": "from {other} to {lladdr}", "flip": "back from {other} to {lladdr}"}
    way = ways.get(record["anomaly"], "{lladdr} and {other}").format(**record)
    return f"{what} {record['address']} dev {printable(record['device'])}: {way}"


def _counts(counts: Mapping[str, int]) -> str:
    """What there is, with how many: ``2 arp_request, 1 arp_reply``."""
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _link_text(record: Record) -> Iterator[str]:
    yield printable(f"dev {record['device']}: {_counts({'frames': record['frames']})}")
    for name, title in (("kinds", "said"), ("malformed", "malformed"), ("drops", "refused")):
        if record[name]:
            yield printable(f"  {title}: {_counts(record[name])}")
    if record["cut_short"]:
        yield f"  cut short by the snap length: {record['cut_short']:,}"


def _statistics_text(record: Record) -> Iterator[str]:
    counters = {name: value for name, value in record.items() if name not in ("kind", "family")}
    if any(counters[name] for name in ("entries", "allocs", "lookups")):
        yield f"{record['family']}: {_counts(counters)}"
    if record["table_fulls"]:
        yield (
            f"  the table was full {_times(record['table_fulls'])}: it would have had more entries "
            f"(--set {record['family']}.gc_thresh3=N)"
        )


def _duplicate_text(record: Record) -> Iterator[str]:
    who = " and ".join(record["lladdrs"])
    yield printable(
        f"duplicate {record['address']} dev {record['device']}: {who}, {_times(record['times'])} "
        f"from {record['first']:g} s to {record['last']:g} s"
    )


def _storm_text(record: Record) -> Iterator[str]:
    who = record["lladdr"] or "everybody"
    yield printable(
        f"storm dev {record['device']} by {who}: {record['messages']:,} messages, at most {record['peak']:,} "
        f"in a second, from {record['first']:g} s to {record['last']:g} s"
    )


_STATION_TEXTS: Final = {
    "known_before": "entries that the station used, though nothing in the capture shows how it got them",
    "unasked": "entries that the table would have probed, and the station did not: STALE again",
    "unknown_hops": "packets that left to a link-layer address of which nobody said whose it is",
    "refused": "that the table had no room for",
}


def _end_text(record: Record) -> Iterator[str]:
    for name, text in _STATION_TEXTS.items():
        if record["uncertain"] and record["uncertain"][name]:
            yield f"{record['uncertain'][name]:,} {text}"
    if record["unusable"]:
        yield printable(f"of no link: {_counts(record['unusable'])}")
    if record["untimed"]:
        yield f"{record['untimed']:,} frames without a time stamp"
    if record["set_back"]:
        yield f"the capture's clock was set back {_times(record['set_back'])}; time goes on from there"
    odd = _counts(record["anomalies"])
    yield f"odd: {odd or 'nothing'}"
    yield f"{record['frames']:,} frames of {record['seconds']:,.6f} s"


_CLOSING: Final[Mapping[str, Callable[[Record], Iterator[str]]]] = {
    "link": _link_text,
    "statistics": _statistics_text,
    "duplicate": _duplicate_text,
    "storm": _storm_text,
    "end": _end_text,
}
