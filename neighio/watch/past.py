"""What a database has kept of an address, or of a station."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

from .database import open_to_read, told_of
from .store import Report

__all__ = ["Past", "Stay", "read_past"]


class Stay(NamedTuple):
    """An address was at a link-layer address from ``began`` to ``ended``, seconds since 1970; ``messages``
    said so."""

    device: str
    address: str
    lladdr: str
    began: float
    ended: float
    messages: int


class Past(NamedTuple):
    """What is known: stays and reports, each in the order of their beginnings."""

    stays: list[Stay]
    reports: list[Report]


def read_past(
    path: str, *, address: str | None = None, lladdr: str | None = None, since: float = 0.0
) -> Past:
    """Return what was so of an address or of a link-layer address, as text, later than ``since``, seconds
    since 1970.

    Raises:
        DatabaseError: the database cannot be read.
    """
    with told_of(path), closing(open_to_read(path)) as connection:
        # One moment's view of both tables, whatever is written meanwhile.
        connection.execute("BEGIN")
        column, value = ("address", address) if address is not None else ("lladdr", lladdr)
        stays = connection.execute(
            "SELECT device, address, lladdr, began, ended, messages FROM stay "
            f"WHERE {column} = ? AND ended >= ? ORDER BY began, id",
            (value, since),
        )
        return Past([Stay(*row) for row in stays], list(_reports(connection, column, value, since)))


def _reports(
    connection: sqlite3.Connection, column: str, value: str | None, since: float
) -> Iterator[Report]:
    where = "address = :value" if column == "address" else "(lladdr = :value OR other = :value)"
    rows = connection.execute(
        "SELECT id, kind, alarm, device, address, lladdr, other, began, ended, times, note FROM report "
        f"WHERE {where} AND ended >= :since ORDER BY began, id",
        {"value": value, "since": since},
    )
    for number, kind, alarm, *rest in rows:
        yield Report(0.0, number, kind, bool(alarm), *rest)
