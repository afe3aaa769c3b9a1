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
    """Every combination: text stands for itself, a sequence for each of its words, the empty one for none."""
    words = product(*([part] if isinstance(part, str) else part for part in parts))
    return tuple(" ".join(filter(None, chosen)).replace(" ,", ",") for chosen in words)


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

_SAYS_AN_ADDRESS: Final = ("none", "same", "diff")
_ADVERTISED: Final = (
    *_cells(("none", "same"), ("S0", "S1")),
    *_cells("diff", ("S0 O0", "S1 O0", "S0 O1", "S1 O1")),
)

TABLES: Final = (
    CellTable(
        "3 Destruction, but for garbage collection",
        (
            "3 RTM_DELNEIGH",
            *_cells("3", ("carrier lost", "ip link set down", "MAC address changed")),
            *_cells("3", ("carrier lost,", "ip link set down,", "MAC address changed,"), "both families"),
            *_cells("3 carrier lost,", ("arp_evict_nocarrier", "ndisc_evict_nocarrier")),
            *_cells("3 last", ("IPv4", "IPv6"), "address removed"),
            "3 IPv4 address added with broadcast",
            "3 disable_ipv6",
        ),
    ),
    CellTable(
        "4.1 Output of a packet, and the wish for an address without one",
        (
            *_cells("4.1", ("absent", *_STATES), ("packet", "no packet")),
            *_cells("4.1", _CONNECTED, "next packet"),
            *_cells("4.1", ("absent", "NONE", "FAILED"), ("packet,", "no packet,"), "no probes"),
            "4.1 absent packet, app_solicit alone",
            "4.1 connected without header cache",
            "4.1 packet through an IPv6 next hop",
            *_cells("4.1 ND", ("unicast probe refreshes used", "multicast probe does not refresh used")),
            "4.1 ND probe without a source",
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
            "4.2 ND PROBE multicast",
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
        "4.6 Neighbour advertisements",
        (
            *_cells("4.6 NA", ("absent", *_STATES), _ADVERTISED),
            *_cells("4.6 NA INCOMPLETE", ("S0", "S1"), "no queue"),
            "4.6 NA SLLAO ignored",
        ),
    ),
    CellTable(
        "4.6 Neighbour solicitations for an own address",
        (
            *_cells("4.6 NS absent none", ("multicast", "unicast")),
            *_cells("4.6 NS absent", ("same", "diff")),
            *_cells("4.6 NS", _STATES, _SAYS_AN_ADDRESS),
            *_cells("4.6 NS evidence", _SAYS_AN_ADDRESS),
            "4.6 NS INCOMPLETE no queue",
        ),
    ),
    CellTable(
        "4.6 Router solicitations and advertisements, redirects",
        (
            *_cells("4.6", ("RS", "RA", "Redirect"), ("absent", *_STATES), _SAYS_AN_ADDRESS),
            *_cells("4.6 Redirect", ("on the link", "confirms the router")),
        ),
    ),
    CellTable(
        "4.6 The router flag",
        (
            *_cells("4.6 router", ("set by NA", "set by NA, INCOMPLETE", "cleared by NA", "cleared by RS")),
            *_cells("4.6 router not", ("when refused", "with the old address", "without an address")),
            *_cells("4.6 router", ("with another address", "set with the default route")),
            *_cells("4.6 router untouched by", ("NS", "Redirect")),
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
    CellTable(
        "1.4 Entries for others",
        (
            *_cells("1.4", ("added twice", "flags overwritten", "NLM_F_CREATE not needed")),
            *_cells("1.4", ("MANAGED refused", "delete, ENOENT", "beside an entry")),
            *_cells("1.4", ("removed by ifdown", "carrier lost", "permanent, carrier lost")),
        ),
    ),
    CellTable(
        "7 Answers for others",
        (
            *_cells("7 ARP proxy,", ("proxy_arp_pvlan", "proxy_arp_pvlan, routed", "no route", "host")),
            *_cells("7 ARP proxy,", ("L2 unicast", "gratuitous", "entry, same device")),
            *_cells("7 ARP proxy,", ("entry, another device", "delayed")),
            *_cells("7 ND proxy,", ("multicast", "L2 unicast", "source ::", "deleted")),
            *_cells("7 ND proxy,", ("host", "proxy_ndp 0", "delayed")),
        ),
    ),
    CellTable(
        "8.1 ARP messages: which are heard, which are answered",
        (
            *_cells("8.1 answer", ("", "to unicast", "to a group", "to the sender named", "of a router")),
            *_cells("8.1 answer,", ("sender's address not validated", "target's address ignored")),
            *_cells("8.1 answer,", ("nothing new", "another address", "packets waiting", "arp_accept")),
            *_cells("8.1 answer, sender", ("off the link", "routed", "the broadcast address")),
            *_cells("8.1 answer,", ("each own address", "address added", "link-layer address changed")),
            *_cells("8.1 no answer,", ("broadcast address", "network address", "0.0.0.0")),
            *_cells("8.1 no answer,", ("another's address", "address removed", "packets waiting")),
            "8.1 no answer to a reply",
            *_cells("8.1", ("answer, arp_filter", "no answer, arp_filter", "answer to 0.0.0.0, arp_filter")),
            *_cells("8.1 sender", ("0.0.0.0", "our own address", "multicast", "loopback", "255.255.255.255")),
            *_cells("8.1 target", ("multicast", "loopback", "loopback, route_localnet")),
            *_cells("8.1 L2 destination", ("of another host", "multicast")),
            *_cells(
                "8.1", ("sender 0.0.0.0, arp_ignore", "drop_gratuitous_arp", "drop_gratuitous_arp others")
            ),
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
        "8.4 Requests for others' addresses",
        (
            *_cells("8.4 proxy_arp, same device", ("", ", routed")),
            *_cells("8.4 pvlan,", ("sender 0.0.0.0", "broadcast address", "own address", "reply")),
            *_cells("8.4 pvlan, requester", ("STALE", "REACHABLE", "PERMANENT", "INCOMPLETE")),
            *_cells("8.4 pvlan,", ("target known", "arp_ignore", "arp_filter")),
            *_cells("8.4 pvlan,", ("switched off", "forwarding switched off")),
            "8.4 entry, same device, routed",
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
    CellTable(
        "8.7 arp_notify",
        (
            *_cells("8.7 arp_notify", ("0", "1, link-layer address changed", "1, device up")),
            *_cells("8.7 arp_notify", ("and ndisc_notify", "alone")),
            *_cells("8.7 arp_notify,", ("nothing changed", "twice", "no address", "switched on")),
            *_cells("8.7 arp_notify,", ("address added", "address removed", "neighbours")),
        ),
    ),
    CellTable(
        "9.1 Messages that are dropped",
        (
            *_cells("9.1", ("hop limit", "code", "checksum")),
            *_cells("9.1", ("option of length 0", "option beyond the message", "octet left over")),
            *_cells("9.1 link-layer option of another length", ("", ", unused")),
            *_cells("9.1", ("unknown option", "first of two options")),
            *_cells("9.1", ("multicast source", "loopback address", "group not joined")),
            *_cells("9.1 another host's", ("frame", "address")),
            *_cells("9.1", ("fragment header", "suppress_frag_ndisc 0")),
        ),
    ),
    CellTable(
        "9.2 Neighbour solicitations",
        (
            *_cells("9.2", ("truncated", "multicast target", "target of others")),
            *_cells("9.2", ("source ::", "source :: not to a solicited-node group", "source :: with SLLAO")),
            *_cells("9.2", ("not to the group of the target", "own source", "link-local")),
            *_cells("9.2 source off the link,", ("no route", "routed")),
            *_cells("9.2 address", ("added", "removed", "tentative")),
            "9.2 unicast to a proxied target",
        ),
    ),
    CellTable(
        "9.3 Neighbour advertisements that we send",
        (
            *_cells("9.3 answer to", ("multicast", "unicast", "source ::")),
            *_cells("9.3", ("R is forwarding", "force_tllao", "ndisc_tclass")),
            *_cells("9.3 proxy answer", ("to multicast", "to source ::")),
            *_cells("9.3 proxy answer,", ("router", "source", "own address", "no SLLAO", "force_tllao")),
            *_cells("9.3", ("answer, optimistic", "proxy answer to unicast")),
            *_cells("9.3 requester", ("absent", *_STATES)),
        ),
    ),
    CellTable(
        "9.4 Neighbour solicitations that we send",
        (
            *_cells("9.4 source", ("of the packet", "of the last packet", "added later", "no longer ours")),
            *_cells("9.4 link-local", ("without a packet", "in PROBE")),
            *_cells("9.4 detection,", ("nobody else's", "advertised meanwhile", "another detects it")),
            *_cells("9.4 detection,", ("contested later", "link-local", "retrans_time", "enhanced_dad")),
            *_cells("9.4 detection,", ("dad_transmits 0", "dad_transmits 2", "ndisc_tclass")),
            *_cells("9.4 detection,", ("optimistic", "optimistic source")),
            *_cells("9.4", ("no link-local address", "no link-local address, packet", "group entry")),
        ),
    ),
    CellTable(
        "9.5 Neighbour advertisements that we hear",
        (
            "9.5 proxied target",
            *_cells("9.5", ("truncated", "multicast target", "own target", "source does not matter")),
            *_cells("9.5", ("solicited", "unsolicited"), "to a group"),
            *_cells("9.5", ("drop_unsolicited_na", "drop_unicast_in_l2_multicast")),
            "9.5 unicast in an L2 multicast",
            *_cells("9.5 untracked", ("0,", "1,", "2,"), "router"),
            *_cells("9.5 untracked", ("1,", "2,"), "host"),
            *_cells("9.5", ("untracked without TLLAO", "untracked, FAILED")),
            *_cells("9.5 untracked", ("2, off the subnet", "1, drop_unsolicited_na")),
        ),
    ),
    CellTable(
        "9.6 Routers",
        (
            *_cells("9.6", ("RS, host", "RS, source ::", "RA, source not link-local", "RA, truncated")),
            *_cells("9.6 accept_ra", ("0, host", "1, host", "1, router", "2, router")),
            *_cells("9.6 retrans", ("", "unspecified")),
            *_cells("9.6 retrans,", ("least", "running timer")),
            *_cells("9.6 reachable", ("", "unspecified")),
            *_cells("9.6 reachable,", ("least", "the same")),
            *_cells("9.6 Redirect,", ("source not link-local", "not from the first hop")),
            *_cells("9.6 Redirect,", ("target not link-local", "multicast destination", "truncated")),
            *_cells("9.6 Redirect,", ("accept_redirects 0", "router", "header of ICMPv6")),
            *_cells("9.6 Redirect,", ("header of a socket bound to no device", "header of nobody's")),
        ),
    ),
    CellTable(
        "9.7 ndisc_notify",
        (
            *_cells("9.7 ndisc_notify 1,", ("link-layer address changed", "router", "device up")),
            "9.7 ndisc_notify 0",
            *_cells("9.7 ndisc_notify 1,", ("detected", "detected, router", "a duplicate")),
            *_cells("9.7 ndisc_notify", ("alone", ", ndisc_tclass")),
        ),
    ),
    CellTable("10.1 Life cycles", (*_cells("10.1", tuple("ABCDEFGHIJ")), "10.1 G IPv6")),
)

NOT_PLAYED: Final = {
    "4.1 PERMANENT no packet": "the wish for an address takes PERMANENT away first: 4.8 USE PERMANENT",
    "4.1 connected without header cache": "no Ethernet device does without; tests/core/test_nud_output.py",
    "4.1 packet through an IPv6 next hop": "as with no header cached; routes are the host's",
    "4.1 dead entry, packet": "nobody outside the kernel holds one; tests/core/test_nud_output.py",
    "4.1 dead entry, no packet": "nobody outside the kernel holds one; tests/core/test_nud_output.py",
    "7 ARP proxy, entry, another device": "the node has one device",
    "7 ARP proxy, delayed": "when the answer comes is drawn",
    "7 ND proxy, delayed": "when the answer comes is drawn",
    "8.7 arp_notify 1, device up": "a device that comes up sends nothing until its carrier has been noticed",
    "9.7 ndisc_notify 1, device up": "a device that comes up has no addresses of IPv6",
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
