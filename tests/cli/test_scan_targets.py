"""Whom a scan asks: how people write it, and how much of it a sweep takes at a time."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from neighio import InvalidAddress
from neighio.address import format_ip
from neighio.cli.scan_targets import Span, count, network_of, pieces, read_file, span_of


def spans(*texts: str) -> list[Span]:
    return [span_of(text) for text in texts]


def addresses(*texts: str) -> list[list[str]]:
    """What is asked in each piece."""
    return [
        [str(one) for network in piece for one in ipaddress.ip_network(network)]
        for piece in pieces(spans(*texts))
    ]


@pytest.mark.parametrize(
    ("text", "first", "last", "zone"),
    [
        ("198.51.100.7", "198.51.100.7", "198.51.100.7", None),
        ("198.51.100.0/24", "198.51.100.0", "198.51.100.255", None),
        ("198.51.100.5/24", "198.51.100.0", "198.51.100.255", None),
        ("198.51.100.0/255.255.255.0", "198.51.100.0", "198.51.100.255", None),
        ("198.51.100.9-198.51.101.2", "198.51.100.9", "198.51.101.2", None),
        ("198.51.100.9-12", "198.51.100.9", "198.51.100.12", None),
        ("198.51.100.9-9", "198.51.100.9", "198.51.100.9", None),
        ("2001:db8::1-ff", "2001:db8::1", "2001:db8::ff", None),
        ("2001:db8::1-2001:db8::1:0", "2001:db8::1", "2001:db8::1:0", None),
        ("2001:db8::/120", "2001:db8::", "2001:db8::ff", None),
        ("fe80::7%eth0", "fe80::7", "fe80::7", "eth0"),
        ("fe80::1-ff%my-dev", "fe80::1", "fe80::ff", "my-dev"),
        ("fe80::/120%eth0", "fe80::", "fe80::ff", "eth0"),
    ],
)
def test_an_address_a_network_and_a_range_are_runs_of_addresses(
    text: str, first: str, last: str, zone: str | None
) -> None:
    span = span_of(text)
    assert (span.text, format_ip(span.first), format_ip(span.last), span.zone) == (text, first, last, zone)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is no address, network or range"),
        ("hosts", "is no address, network or range"),
        ("198.51.100", "is no address, network or range"),
        ("198.51.100.0/33", "is no address, network or range"),
        ("198.51.100.0/", "is no address, network or range"),
        ("198.51.100.1-", "is no address, network or range"),
        ("198.51.100.1-300", "is no address, network or range"),
        ("-7", "is no address, network or range"),
        ("::1-::2-3", "is no address, network or range"),
        ("198.51.100.9-7", "is reversed"),
        ("2001:db8::9-7", "is reversed"),
        ("198.51.100.9-::ffff:198.51.100.10", "begins in one family and ends in the other"),
        ("198.51.100.9%eth0", "has a zone, and an IPv4 address has none"),
        ("fe80::7%", "has no valid zone"),
        ("fe80::%eth0/64", "has no valid zone"),
    ],
)
def test_what_is_none_of_these_is_refused_by_its_name(text: str, why: str) -> None:
    with pytest.raises(InvalidAddress) as refused:
        span_of(text)
    assert str(refused.value).startswith(f"network: {text!r} {why}")


def test_the_network_of_an_own_address_is_all_of_it() -> None:
    assert network_of("198.51.100.77/26") == span_of("198.51.100.64/26")


def test_what_is_in_two_runs_is_asked_once() -> None:
    texts = ["198.51.100.8-10", "198.51.100.9-12", "198.51.100.13", "198.51.100.16/31", "198.51.100.17"]
    assert count(spans(*texts)) == 8
    assert addresses(*texts) == [[f"198.51.100.{host}" for host in (8, 9, 10, 11, 12, 13, 16, 17)]]


def test_everything_there_is_may_be_meant_and_nothing() -> None:
    assert count(spans("0.0.0.0/0")) == 1 << 32
    assert (count([]), list(pieces([]))) == (0, [])
    assert addresses("255.255.255.255", "0.0.0.0") == [["0.0.0.0", "255.255.255.255"]]


def test_a_sweep_gets_no_more_than_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neighio.cli.scan_targets.MAX_SWEEP", 5)
    found = addresses("2001:db8::1-8", "2001:db8::10/126", "2001:db8::20")
    assert [len(piece) for piece in found] == [5, 5, 3]
    assert [one for piece in found for one in piece] == [
        f"2001:db8::{host:x}" for host in (*range(1, 9), *range(16, 20), 32)
    ]


def test_a_file_has_blanks_commas_lines_and_remarks(tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_bytes(b"# ours\n198.51.100.7, 198.51.100.9-12\t::1\r\n\n  fe80::7%eth0 # theirs\n\xff")
    assert read_file(str(file)) == ["198.51.100.7", "198.51.100.9-12", "::1", "fe80::7%eth0", r"\xff"]
    with pytest.raises(InvalidAddress, match=r"^file: .*nothing: No such file"):
        read_file(str(tmp_path / "nothing"))
    with pytest.raises(InvalidAddress, match=r"^file: .*: Is a directory"):
        read_file(str(tmp_path))
