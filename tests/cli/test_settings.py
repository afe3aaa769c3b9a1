"""Settings from text, and events as the lines of ip monitor: what needs no process."""

from __future__ import annotations

import pytest

from neighio.address import LinkAddress
from neighio.cli.neighbours import neighbour_line
from neighio.cli.settings import Setting, parse_setting
from neighio.core.constants import (
    NTF_EXT_LEARNED,
    NTF_MANAGED,
    NTF_ROUTER,
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_REACHABLE,
    NUD_STALE,
)
from neighio.core.events import DelNeighbour, Miss, NewNeighbour, Notification
from neighio.core.parameters import PARAMETERS
from neighio.core.switches import SWITCHES
from neighio.records import Stamp, event_record

LLADDR = LinkAddress("02:00:00:00:00:0b")


def event(
    kind: type[Notification],
    state: int,
    lladdr: LinkAddress | None = LLADDR,
    flags: int = 0,
    protocol: int = 0,
    ip: bytes = bytes([198, 51, 100, 2]),
) -> Notification:
    family = 2 if len(ip) == 4 else 10
    return kind(5.0, family, ip, "va", lladdr, state, flags, 1, 3, 1.0, 2.0, 3.0, 1, protocol, 7)


def line_of(told: Notification) -> str:
    """The line by which a host tells of an event."""
    assert isinstance(told, NewNeighbour | DelNeighbour | Miss)
    return neighbour_line(event_record(told, Stamp(lambda: 5.0)), lambda text, kind: text)


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (event(NewNeighbour, NUD_REACHABLE), "198.51.100.2 dev va lladdr 02:00:00:00:00:0b REACHABLE "),
        (event(NewNeighbour, NUD_FAILED, None), "198.51.100.2 dev va FAILED "),
        (
            event(DelNeighbour, NUD_INCOMPLETE, None, NTF_MANAGED),
            "Deleted 198.51.100.2 dev va managed INCOMPLETE ",
        ),
        (
            event(DelNeighbour, NUD_STALE, flags=NTF_EXT_LEARNED),
            "Deleted 198.51.100.2 dev va lladdr 02:00:00:00:00:0b extern_learn STALE ",
        ),
        (event(Miss, NUD_INCOMPLETE, None), "miss 198.51.100.2 dev va INCOMPLETE "),
        (event(NewNeighbour, NUD_NONE, None), "198.51.100.2 dev va "),
        (
            event(NewNeighbour, NUD_PERMANENT, flags=NTF_ROUTER, protocol=4),
            "198.51.100.2 dev va lladdr 02:00:00:00:00:0b router PERMANENT proto static ",
        ),
        (event(NewNeighbour, NUD_FAILED, None, protocol=200), "198.51.100.2 dev va FAILED proto 200 "),
        (
            event(NewNeighbour, NUD_STALE, ip=bytes.fromhex("20010db8" + "0" * 23 + "2")),
            "2001:db8::2 dev va lladdr 02:00:00:00:00:0b STALE ",
        ),
    ],
)
def test_a_line_is_iproute2s(told: Notification, line: str) -> None:
    assert line_of(told) == line


def test_a_devices_name_is_not_obeyed_by_a_terminal() -> None:
    told = event(NewNeighbour, NUD_STALE)._replace(device="v\x1b[2J\x7f")
    assert all(" " <= character <= "~" for character in line_of(told))


# -- settings


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("ipv4.base_reachable_time=2", (4, "base_reachable_time", 2.0)),
        ("ipv4.base_reachable_time_ms=2500", (4, "base_reachable_time", 2.5)),
        ("ipv6.retrans_time=0.3", (6, "retrans_time", 0.3)),
        ("ipv6.retrans_time_ms=300", (6, "retrans_time", 0.3)),
        ("ipv4.interval_probe_time_ms=100", (4, "interval_probe_time", 0.1)),
        ("ipv4.unres_qlen=3", (4, "unres_qlen_bytes", 6270)),
        ("ipv4.arp_accept=1", (4, "arp_accept", 1)),
        ("ipv6.accept_untracked_na=2", (6, "accept_untracked_na", 2)),
        ("ipv6.gc_thresh3=0", (6, "gc_thresh3", 0)),
        (" ipv4.locktime = 1e-1 ", (4, "locktime", 0.1)),
    ],
)
def test_a_setting_is_checked_and_in_its_unit(text: str, setting: tuple[int, str, float]) -> None:
    assert parse_setting(text) == Setting(*setting)


@pytest.mark.parametrize("family", [4, 6])
def test_every_parameter_and_every_switch_is_taken(family: int) -> None:
    for name in [*PARAMETERS, *SWITCHES[{4: 2, 6: 10}[family]], "gc_thresh1", "gc_thresh2", "gc_thresh3"]:
        assert parse_setting(f"ipv{family}.{name}=1") == (family, name, 1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("base_reachable_time=2", "set: 'base_reachable_time=2' is not of the form"),
        ("ipv5.locktime=1", "set: 'ipv5.locktime=1' is not of the form"),
        ("ipv4.locktime", "set: 'ipv4.locktime' is not of the form"),
        ("ipv4.=1", "ipv4.: no such parameter"),
        ("ipv4.odd=1", "ipv4.odd: no such parameter; there are anycast_delay, .*arp_accept.*gc_thresh1.*"),
        ("ipv6.arp_accept=1", "ipv6.arp_accept: no such parameter; there are accept_ra"),
        ("ipv4.locktime_ms=1", "ipv4.locktime_ms: no such parameter"),
        ("ipv4.reachable_time=1", "ipv4.reachable_time: it is drawn from ipv4.base_reachable_time"),
        ("ipv4.locktime=", "ipv4.locktime: '' is not a number"),
        ("ipv4.locktime=many", "ipv4.locktime: 'many' is not a number"),
        ("ipv4.locktime=nan", "ipv4.locktime: nan is out of range, expected 0 to"),
        ("ipv4.locktime=-1", "ipv4.locktime: -1 is out of range, expected 0 to 2.14748e.09 seconds"),
        ("ipv4.ucast_solicit=1.5", "ipv4.ucast_solicit: 1.5 is not a whole number of probes"),
        ("ipv4.ucast_solicit=2147483648", "ipv4.ucast_solicit: 2147483648 is out of range"),
        ("ipv4.interval_probe_time_ms=1", "ipv4.interval_probe_time_ms: 0.001 is out of range"),
        ("ipv4.arp_ignore=9", "ipv4.arp_ignore: 9 is out of range, expected 0 to 8"),
        ("ipv4.arp_ignore=1.0", "ipv4.arp_ignore: 1.0 is out of range"),
        ("ipv6.gc_thresh1=-1", "ipv6.gc_thresh1: -1 is out of range"),
        ("ipv6.gc_thresh1=0.5", "ipv6.gc_thresh1: 0.5 is out of range"),
    ],
)
def test_what_cannot_be_set_is_refused_by_its_name(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{told}"):
        parse_setting(text)
