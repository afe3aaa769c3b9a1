"""What a table holds and what happens to it, as JSON: one form for every command and every control socket."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from .address import format_ip
from .core.constants import (
    AF_INET,
    NTF_EXT_LEARNED,
    NTF_EXT_VALIDATED,
    NTF_MANAGED,
    NTF_OFFLOADED,
    NTF_PROXY,
    NTF_ROUTER,
    nud_state_name,
)
from .core.events import AddressConflict, Change, DelNeighbour, Event, Miss, NewNeighbour, PacketFailed

__all__ = [
    "Record",
    "Stamp",
    "change_record",
    "conflict_record",
    "entry_record",
    "event_record",
    "failure_record",
    "flag_names",
    "json_line",
    "state_name",
]

Record: TypeAlias = dict[str, Any]
"""What becomes a JSON object."""

SET_SECONDS: Final = 0.001
"""By so much the wall clock has to go away from the other one for it to have been set."""

_FLAGS: Final = (
    (NTF_ROUTER, "router"),
    (NTF_PROXY, "proxy"),
    (NTF_MANAGED, "managed"),
    (NTF_EXT_LEARNED, "extern_learn"),
    (NTF_OFFLOADED, "offload"),
    (NTF_EXT_VALIDATED, "extern_valid"),
)
_KINDS: Final = {NewNeighbour: "new", DelNeighbour: "del", Miss: "miss"}


def state_name(state: int) -> str:
    """A state's name, NONE too."""
    return nud_state_name(state) or "NONE"


def flag_names(flags: int) -> list[str]:
    """The names of NTF_* bits, as ``ip neigh`` takes them."""
    return [name for flag, name in _FLAGS if flags & flag]


class Stamp:
    """When something happened: seconds since the start, and by the wall clock.

    ``clock`` is the one of the table's times. ``began`` is the start by the system's monotonic clock, which
    every process shares.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._start = clock()
        self._ahead = time.time() - self._start
        self.began: float = time.monotonic()

    def at(self, when: float | None = None) -> Record:
        """``time`` and ``wall`` of an instant of the clock, now when none is given."""
        now = self._clock()
        ahead = time.time() - now
        if abs(ahead - self._ahead) > SET_SECONDS:
            self._ahead = ahead
        instant = now if when is None else when
        wall = datetime.fromtimestamp(instant + self._ahead, UTC)
        return {
            "time": round(instant - self._start, 6),
            "wall": wall.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }


def json_line(record: Mapping[str, Any]) -> str:
    """A record as one line of JSON that is safe on a terminal, too."""
    return json.dumps(record).replace("\x7f", "\\u007f")


def event_record(event: Event, stamp: Stamp) -> Record:
    """What Linux tells user space: ``kind`` is "new", "del" or "miss"."""
    return {
        "kind": _KINDS[type(event)],
        **stamp.at(event.time),
        "address": event.ip,
        "device": event.device,
        "lladdr": None if event.lladdr is None else str(event.lladdr),
        "state": state_name(event.state),
        "flags": flag_names(event.flags),
        "probes": event.probes,
        "refcnt": event.refcnt,
        "protocol": event.protocol,
    }


def entry_record(entry: NewNeighbour, now: float) -> Record:
    """An entry as it is: ``used``, ``confirmed`` and ``updated`` are seconds ago."""
    return {
        "address": entry.ip,
        "device": entry.device,
        "lladdr": None if entry.lladdr is None else str(entry.lladdr),
        "state": state_name(entry.state),
        "flags": flag_names(entry.flags),
        "probes": entry.probes,
        "refcnt": entry.refcnt,
        "used": round(now - entry.used, 6),
        "confirmed": round(now - entry.confirmed, 6),
        "updated": round(now - entry.updated, 6),
        "protocol": entry.protocol,
    }


def change_record(change: Change, stamp: Stamp) -> Record:
    """A transition, whether Linux tells of it (``notified``) or not."""
    return {
        "kind": "change",
        **stamp.at(change.time),
        "address": change.ip,
        "device": change.device,
        "stimulus": change.stimulus,
        "old_state": state_name(change.old_state),
        "state": state_name(change.state),
        "old_lladdr": None if change.old_lladdr is None else str(change.old_lladdr),
        "lladdr": None if change.lladdr is None else str(change.lladdr),
        "old_flags": flag_names(change.old_flags),
        "flags": flag_names(change.flags),
        "notified": change.notified,
    }


def conflict_record(conflict: AddressConflict, stamp: Stamp) -> Record:
    """Somebody else uses an own address of a host."""
    return {
        "kind": "conflict",
        **stamp.at(conflict.time),
        "address": conflict.ip,
        "device": conflict.device,
        "lladdr": str(conflict.lladdr),
        "action": conflict.action,
    }


def failure_record(failure: PacketFailed, stamp: Stamp) -> Record:
    """A packet of ours was not sent, where Linux reports it."""
    data = failure.packet.data
    return {
        "kind": "failed",
        **stamp.at(failure.time),
        "address": failure.ip,
        "device": failure.device,
        "destination": format_ip(data[16:20] if failure.packet.family == AF_INET else data[24:40]),
        "errno": "EHOSTUNREACH",
    }
