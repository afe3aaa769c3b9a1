"""The cells of the specification's tables, each to be held by a scenario that names it in ``holds``.

A cell is named by section, row and column: "4.5 STALE R1 diff locked". In 4.7 the row is the entry's state,
the column what is asked for and with which address: without, given (none was known), same, diff; each
scenario of them does it by add, replace, change and append.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from .model import Scenario

__all__ = ["NOT_PLAYED", "TABLES", "CellTable", "holders"]


@dataclass(frozen=True, slots=True)
class CellTable:
    """One table: its title and the names of its cells."""

    title: str
    cells: tuple[str, ...]


def _cells(*parts: str | Sequence[str]) -> tuple[str, ...]:
    """Every combination: text stands for itself, a sequence for each of its words."""
    return tuple(" ".join(words) for words in product(*([p] if isinstance(p, str) else p for p in parts)))


_INVALID: Final = ("NONE", "INCOMPLETE", "FAILED")
_CONNECTED: Final = ("REACHABLE", "NOARP", "PERMANENT")
_STATES: Final = (*_INVALID, "STALE", "DELAY", "PROBE", *_CONNECTED)
_REQUESTS: Final = (
    "none",
    "incomplete",
    "failed",
    "reachable",
    "stale",
    "noarp",
    "permanent",
    "delay",
    "probe",
)
_EVIDENCE: Final = (
    "R1 same",
    "R1 diff override",
    "R1 diff locked",
    "R0 same",
    "R0 diff override",
    "R0 diff locked",
    "Q same",
    "Q diff",
)

TABLES: Final = (
    CellTable(
        "4.1 Output of a packet, and the wish for an address without one",
        (
            *_cells("4.1", ("absent", *_STATES), ("packet", "no packet")),
            *_cells("4.1", _CONNECTED, "next packet"),
            *_cells("4.1", ("absent", "NONE", "FAILED"), ("packet,", "no packet,"), "no probes"),
            "4.1 absent packet, app_solicit alone",
            "4.1 connected without header cache",
            "4.1 packet through an IPv6 next hop",
            "4.1 dead entry, packet",
            "4.1 dead entry, no packet",
        ),
    ),
    CellTable(
        "4.2 Expiry of the timer",
        (
            *_cells("4.2 REACHABLE", ("confirmed", "used", "else")),
            *_cells("4.2 DELAY", ("confirmed", "else", "limit on entering PROBE")),
            *_cells("4.2", ("INCOMPLETE", "PROBE"), ("limit", "else")),
            "4.2 PROBE limit, EXT_VALIDATED",
            "4.2 PROBE limit, none configured",
            "4.2 DELAY limit on entering PROBE, EXT_VALIDATED",
            "4.2 INCOMPLETE limit, app_solicit alone",
            "4.2 INCOMPLETE limit, lowered",
            *_cells("4.2", ("INCOMPLETE", "PROBE", "DELAY confirmed,"), "HZ/100"),
            "4.2 REACHABLE confirmed, another reachable_time",
            "4.2 REACHABLE else, another reachable_time",
            "4.2 REACHABLE else, reachable_time 0",
            "4.2 DELAY else, delay_first_probe_time 0",
            "4.2 INCOMPLETE else, another retrans_time",
        ),
    ),
    CellTable(
        "4.2 Which probe",
        (
            *_cells("4.2 INCOMPLETE", ("app", "broadcast", "broadcast, ucast_solicit 0")),
            *_cells("4.2 PROBE", ("unicast", "app", "broadcast")),
            *_cells("4.2 PROBE", ("app,", "broadcast,"), "ucast_solicit 0"),
            "4.2 INCOMPLETE context is the last packet",
            "4.2 PROBE no context",
        ),
    ),
    CellTable(
        "4.5 Events and states, ARP",
        (
            *_cells("4.5 absent", ("R1", "R0", "Q")),
            *_cells("4.5", _STATES, _EVIDENCE),
            *_cells("4.5", _STATES[3:], ("R1", "R0"), "diff gratuitous"),
            *_cells("4.5 INCOMPLETE", ("R1", "R0", "Q"), "no queue"),
            "4.5 R1 target not checked",
            "4.5 R0 broadcast reply",
            "4.5 R0 gratuitous broadcast reply",
        ),
    ),
    CellTable(
        "4.7 RTM_NEWNEIGH",
        (
            *_cells("4.7", ("absent", "NONE", "INCOMPLETE"), _REQUESTS, ("without", "given")),
            *_cells("4.7", ("FAILED", *_STATES[3:]), _REQUESTS, ("without", "same", "diff")),
        ),
    ),
    CellTable(
        "4.7 RTM_NEWNEIGH, what is said beside the table",
        (
            *_cells("4.7 queue", _REQUESTS),
            "4.7 failed on PROBE",
            "4.7 incomplete has no timer",
            *_cells("4.7 NTF_ROUTER", ("replace", "append", "not VALID", "diff without REPLACE")),
            *_cells("4.7 EXT_LEARNED cleared by", ("update", "use", "delete")),
            *_cells("4.7 MANAGED cleared by", ("update", "use", "delete")),
            *_cells("4.7 EXT_VALIDATED cleared by", ("update", "delete")),
            *_cells("4.7 protocol", ("set", "kept")),
        ),
    ),
    CellTable(
        "4.8 NTF_USE, NTF_MANAGED, NTF_EXT_LEARNED and NTF_EXT_VALIDATED",
        (
            *_cells("4.8", ("USE", "MANAGED"), ("absent", *_STATES, "create with PERMANENT")),
            "4.8 USE state and address ignored",
            "4.8 MANAGED managed",
            *_cells("4.8 managed work", ("FAILED", "STALE", "REACHABLE", "NOARP")),
            *_cells("4.8 EXT_VALIDATED create", ("VALID", "invalid", "with USE", "with MANAGED")),
            *_cells("4.8 EXT_VALIDATED mark", ("VALID", "invalid", "with USE")),
            *_cells("4.8 EXT_VALIDATED", ("with PROXY", "no address given", "evidence", "ages")),
            *_cells("4.8 EXT_VALIDATED", ("PROBE exhausted", "carrier lost", "link down", "not collected")),
            *_cells("4.8 EXT_LEARNED", ("evidence", "ages and fails", "carrier lost", "not collected")),
        ),
    ),
    CellTable("8.2 arp_ignore", _cells("8.2 arp_ignore", tuple("012348"))),
    CellTable(
        "8.3 The source of a request",
        (
            *_cells("8.3 arp_announce", tuple("012"), ("packet", "no packet")),
            *_cells("8.3 select", ("in a subnet", "off subnet", "no address")),
        ),
    ),
    CellTable(
        "8.5 Gratuitous ARP and arp_accept",
        (
            *_cells("8.5 arp_accept", tuple("012"), ("on", "off"), "subnet"),
            *_cells("8.5", ("is_garp", "is_garp type of sender", "request for other", "entry exists")),
        ),
    ),
    CellTable(
        "8.6 locktime",
        (
            *_cells("8.6", ("first answer wins", "after locktime", "effective changes", "locktime 0")),
            *_cells("8.6", ("gratuitous", "not Q", "not VALID")),
        ),
    ),
    CellTable("10.1 Life cycles", _cells("10.1", tuple("ABCEFGHIJ"))),
)

NOT_PLAYED: Final = {
    "4.1 PERMANENT no packet": "the wish for an address takes PERMANENT away first: 4.8 USE PERMANENT",
    "4.1 connected without header cache": "no Ethernet device does without; tests/core/test_nud_output.py",
    "4.1 packet through an IPv6 next hop": "as with no header cached; routes are the host's",
    "4.1 dead entry, packet": "nobody outside the kernel holds one; tests/core/test_nud_output.py",
    "4.1 dead entry, no packet": "nobody outside the kernel holds one; tests/core/test_nud_output.py",
    "4.8 EXT_VALIDATED not collected": "tests/core/test_forced_gc.py, tests/core/test_periodic_gc.py",
}
"""Cells that no scenario holds, and why, or which tests do."""


def holders(scenarios: Iterable[Scenario]) -> dict[str, list[str]]:
    """The cells of all tables in their order, each with the identities of the scenarios that hold it."""
    found: dict[str, list[str]] = {cell: [] for table in TABLES for cell in table.cells}
    for scenario in scenarios:
        for cell in scenario.holds:
            if cell in found:
                found[cell].append(scenario.identity)
    return found
