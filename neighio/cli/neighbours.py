"""Neighbours in the columns of iproute2's ``ip neigh``, and which of them are shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from ..core.constants import NUD_NAMES
from ..errors import NeighioError, unknown_interface
from ..records import Record
from .output import printable

__all__ = ["PROTOCOLS", "Filter", "change_line", "check", "neighbour_line", "parse_filter"]

PROTOCOLS: Final[Mapping[int, str]] = {
    1: "redirect",
    2: "kernel",
    3: "boot",
    4: "static",
    8: "gated",
    9: "ra",
    10: "mrt",
    11: "zebra",
    12: "bird",
    13: "dnrouted",
    14: "xorp",
    15: "ntk",
    16: "dhcp",
    18: "keepalived",
    42: "babel",
    99: "openr",
    186: "bgp",
    187: "isis",
    188: "ospf",
    189: "rip",
    192: "eigrp",
}
"""Those that iproute2 has names for, RTPROT_*."""

STATES: Final = ("NONE", *NUD_NAMES.values())

_HIDDEN: Final = frozenset({"NONE", "NOARP"})
_FLAGS: Final = frozenset({"router", "proxy", "managed", "extern_learn", "offload"})
_KINDS: Final = {"del": "Deleted ", "miss": "miss "}

_EVENT: Final = ("wall", "address", "device", "lladdr", "state", "flags", "probes", "refcnt", "protocol")
_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "begun": (),
    "idle": (),
    "entry": (*_EVENT[1:], "used", "confirmed", "updated"),
    "new": _EVENT,
    "del": _EVENT,
    "miss": _EVENT,
    "change": (*_EVENT[:6], "stimulus", "old_state", "old_lladdr", "old_flags", "notified"),
}


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_optional_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_list(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _is_count(value: object) -> bool:
    return isinstance(value, int)


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


# What is not here is text.
_CHECKS: Final[Mapping[str, Callable[[object], bool]]] = {
    "lladdr": _is_optional_text,
    "old_lladdr": _is_optional_text,
    "flags": _is_list,
    "old_flags": _is_list,
    "probes": _is_count,
    "refcnt": _is_count,
    "protocol": _is_count,
    "notified": _is_count,
    "used": _is_seconds,
    "confirmed": _is_seconds,
    "updated": _is_seconds,
}


def check(record: Record) -> None:
    """Make sure that what another process sent can be shown.

    Raises:
        NeighioError: it is of no known kind, lacks something, or something is of no use; names the field.
    """
    kind = record["kind"]
    if kind not in _FIELDS:
        raise NeighioError(f"kind: {kind!r} makes no sense")
    for name in _FIELDS[kind]:
        if not _CHECKS.get(name, _is_text)(record.get(name)):
            raise NeighioError(f"{name}: {record.get(name)!r} makes no sense")


class Filter(NamedTuple):
    """Which neighbours are shown. None: those of all families and devices; of the states those that
    ``ip neigh show`` shows.

    As there, what was learned outside, and proxies, are shown in any state.
    """

    family: int | None
    device: str | None
    states: frozenset[str] | None

    def check_device(self, names: Iterable[str]) -> None:
        """Make sure that the device is one of those that there are.

        Raises:
            InvalidAddress: it is not; the message names those.
        """
        known = list(names)
        if self.device is not None and self.device not in known:
            raise unknown_interface("dev", self.device, known)

    def shows(self, record: Record) -> bool:
        """Whether an entry is shown."""
        if self.family not in (None, 6 if ":" in record["address"] else 4):
            return False
        if self.device not in (None, record["device"]):
            return False
        if "extern_learn" in record["flags"] or "proxy" in record["flags"]:
            return True
        found = frozenset(record["state"].split())
        return bool(found - _HIDDEN if self.states is None else found & self.states)


def parse_filter(family: int | None, device: str | None, states: Iterable[str]) -> Filter:
    """Return the filter with these states, by their names as iproute2 takes them, "all" among them.

    Raises:
        ValueError: there is no such state.
    """
    wanted: set[str] = set()
    for state in states:
        if state == "all":
            wanted.update(STATES)
        elif state.upper() in STATES:
            wanted.add(state.upper())
        else:
            known = ", ".join(name.lower() for name in STATES)
            raise ValueError(f"state: there is no {state!r}; there are {known}, and all")
    return Filter(family, device, frozenset(wanted) or None)


def neighbour_line(
    record: Record, paint: Callable[[str, str], str], *, device: bool = True, statistics: bool = False
) -> str:
    """The very line that ``ip neigh show`` prints, or ``ip monitor neigh`` of a change, with the blank at its
    end; safe on a terminal.

    ``paint`` gives a state its colour. With ``statistics`` it is the line of ``ip -s``, where no blank stands
    before "probes".
    """
    text = f"{_KINDS.get(record.get('kind', ''), '')}{record['address']} "
    if device:
        text += f"dev {record['device']} "
    if record["lladdr"] is not None:
        text += f"lladdr {record['lladdr']} "
    text += "".join(f"{flag} " for flag in record["flags"] if flag in _FLAGS)
    if statistics:
        if record["refcnt"]:
            text += f" ref {record['refcnt']}"
        used, confirmed, updated = (int(record[name]) for name in ("used", "confirmed", "updated"))
        text += f" used {used}/{confirmed}/{updated}probes {record['probes']} "
    line = printable(text)
    if record["state"] != "NONE":
        line += f"{paint(record['state'], record['state'])} "
    if record["protocol"]:
        line += f"proto {PROTOCOLS.get(record['protocol'], record['protocol'])} "
    return line


def change_line(record: Record, paint: Callable[[str, str], str]) -> str:
    """A transition as a line, safe on a terminal: "(silent)" are those that Linux does not tell of."""
    old, new = record["old_state"], record["state"]
    line = printable(f"{record['address']} dev {record['device']} ")
    line += f"{paint(old, old)} -> {paint(new, new)} by {printable(record['stimulus'])}"
    if record["lladdr"] != record["old_lladdr"]:
        line += printable(f" lladdr {record['old_lladdr'] or 'none'} -> {record['lladdr'] or 'none'}")
    for sign, some, others in (("-", "old_flags", "flags"), ("+", "flags", "old_flags")):
        line += "".join(printable(f" {sign}{flag}") for flag in record[some] if flag not in record[others])
    return line if record["notified"] else f"{line} (silent)"
