"""``neighio history``: where an address or a station was, by the database of ``neighio watch``."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable, Iterator
from typing import Final

from ..address import LinkAddress, format_ip, parse_ip
from ..errors import InvalidAddress, NeighioError
from ..plot import MARKS, Mark, Row, draw, save
from ..records import Record, json_line
from ..watch.lladdrs import note
from ..watch.past import Past, Stay, read_past
from ..watch.store import Report
from . import UNUSABLE
from .output import Output, complain, printable
from .watch_report import local_time, report_line, report_record, utc

__all__ = ["history"]

MOST_ROWS: Final = 60
"""Rows of the picture: those that were heard last."""


def history(arguments: Namespace) -> int:
    """Run the command; return its exit status."""
    try:
        address, device, lladdr = _parse(arguments.who)
        past = read_past(arguments.db, address=address, lladdr=lladdr, since=arguments.since or 0.0)
        if device is not None:
            past = Past(
                [stay for stay in past.stays if stay.device == device],
                [report for report in past.reports if report.device == device],
            )
        if not past.stays and not past.reports:
            since = "" if arguments.since is None else f" since {local_time(arguments.since)}"
            complain(f"neighio history: {arguments.who} was not heard{since}")
            return 1
        _print(past, as_json=arguments.json)
        if arguments.plot is not None:
            _plot(arguments, past, by_lladdr=address is not None)
    except (NeighioError, OSError) as error:
        # Imported here: nothing else of this command needs trio.
        from .running import explain

        complain(f"neighio history: {explain(error)}")
        return UNUSABLE
    return 0


def _parse(text: str) -> tuple[str | None, str | None, str | None]:
    """Return an IP address as the database has it and its zone, or a link-layer address.

    Raises:
        InvalidAddress: it is neither.
    """
    try:
        key, zone = parse_ip(text)
        return format_ip(key), zone, None
    except InvalidAddress as error:
        why = error
    try:
        return None, None, str(LinkAddress(text))
    except InvalidAddress:
        raise InvalidAddress(f"{text!r} is neither an IP address nor a link-layer address") from why


def _print(past: Past, *, as_json: bool) -> None:
    output = Output()
    found: list[Stay | Report] = sorted([*past.stays, *past.reports], key=lambda one: one.began)
    for one in found:
        if as_json:
            line = json_line(report_record(one) if isinstance(one, Report) else _stay_record(one))
        elif isinstance(one, Report):
            line = report_line(one, output.paint)
        else:
            line = _stay_line(one)
        if not output.line(line):
            break


def _stay_record(stay: Stay) -> Record:
    return {
        "kind": "stay",
        "device": stay.device,
        "address": stay.address,
        "lladdr": stay.lladdr,
        "began": utc(stay.began),
        "ended": utc(stay.ended),
        "messages": stay.messages,
        "note": note(LinkAddress(stay.lladdr)),
    }


def _stay_line(stay: Stay) -> str:
    line = f"{local_time(stay.began)}   heard     {stay.address} at {stay.lladdr} dev {stay.device}"
    about = note(LinkAddress(stay.lladdr))
    if about is not None:
        line += f" ({about})"
    times = "once" if stay.messages == 1 else f"{stay.messages} times until {local_time(stay.ended)}"
    return printable(f"{line}, {times}")


# -- the picture


def _plot(arguments: Namespace, past: Past, *, by_lladdr: bool) -> None:
    """Draw a row for each link-layer address of an address, or for each address of a station."""
    known: list[Stay | Report] = [*past.stays, *past.reports]
    begins = max(min(one.began for one in known), arguments.since or 0.0)
    ends = max(one.ended for one in known)
    rows = list(_rows(past, begins, by_lladdr=by_lladdr))
    document = draw(
        rows[:MOST_ROWS],
        title=f"{arguments.who}, {os.path.basename(arguments.db)}",
        end=ends - begins,
        epoch=begins,
        left_out=max(len(rows) - MOST_ROWS, 0),
        notes=["a bar lasts from the first to the last word on it; neighbours say little"],
    )
    try:
        save(arguments.plot, document)
    except OSError as error:
        raise OSError(f"plot: {arguments.plot}: {error.strerror}") from None


def _rows(past: Past, begins: float, *, by_lladdr: bool) -> Iterator[Row]:
    """The rows, of those that were heard last first."""
    stays: dict[tuple[str, str], list[Stay]] = {}
    for stay in sorted(past.stays, key=lambda one: -one.ended):
        stays.setdefault((stay.lladdr if by_lladdr else stay.address, stay.device), []).append(stay)
    for (name, device), some in stays.items():
        reports = (one for one in past.reports if (one.lladdr if by_lladdr else one.address) == name)
        yield Row(
            f"{name} dev {device}",
            list(_states(reversed(some), begins, name if by_lladdr else "heard")),
            [_mark(one, begins) for one in reports if one.device == device],
            (note(LinkAddress(some[0].lladdr)) or "") if by_lladdr else some[0].lladdr,
        )


def _states(stays: Iterable[Stay], begins: float, state: str) -> Iterator[tuple[float, str | None]]:
    for stay in sorted(stays, key=lambda one: one.began):
        yield max(stay.began - begins, 0.0), state
        yield max(stay.ended - begins, 0.0), None


def _mark(report: Report, begins: float) -> Mark:
    kind = "moved" if report.kind in ("flip", "failover") else report.kind
    text = " ".join(filter(None, (report.kind if kind in MARKS else "", report.lladdr, report.other)))
    return Mark(max(report.began - begins, 0.0), kind, text)
