"""What a watcher writes: where addresses are, from when to when, and what was reported. It blocks: it is for
a thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final, NamedTuple

from ..address import LinkAddress, format_ip, parse_ip
from .database import Database, told_of
from .judge import Finding
from .lladdrs import note
from .repeats import Repeats, Topic

__all__ = ["Known", "Report", "Sighting", "Store"]

SILENCE: Final = 3600.0
"""Seconds after which an address that is heard again has been away."""

TIDYING: Final = 60.0
"""Seconds between two looks for what is too old."""

SLACK: Final = 0.1
"""By so much of the rows that are kept there may be more for a while."""

MOST_DELETED: Final = 5000
"""Rows that one transaction deletes: no commit keeps a reader, or the next one, waiting for long."""


class Sighting:
    """An address was heard at a link-layer address: ``began`` and ``ended`` are the first and the last time
    of late, seconds since 1970, ``time`` the last one by the watcher's clock. ``anew`` is whether it has not
    been there for a while."""

    __slots__ = ("anew", "began", "device", "ended", "key", "lladdr", "messages", "time")

    def __init__(self, time: float, wall: float, device: str, key: bytes, lladdr: bytes) -> None:
        self.time: float = time
        self.began: float = wall
        self.ended: float = wall
        self.device: str = device
        self.key: bytes = key
        self.lladdr: bytes = lladdr
        self.messages: int = 0
        self.anew: bool = False


class Known(NamedTuple):
    """An address was at a link-layer address until then, seconds since 1970."""

    device: str
    key: bytes
    lladdr: bytes
    ended: float


class Report(NamedTuple):
    """What is to be told: it is in the database, in the row ``id``. ``began`` and ``ended`` are seconds since
    1970, ``times`` how often it was seen since ``began``; above 1 it was reported before."""

    time: float
    id: int
    kind: str
    alarm: bool
    device: str
    address: str | None
    lladdr: str | None
    other: str | None
    began: float
    ended: float
    times: int
    note: str | None


class Store:
    """Writes to a database.

    Args:
        database: where to.
        seconds, rows: what is kept: what is younger, and so many rows of each table.
    """

    def __init__(self, database: Database, *, seconds: float, rows: int) -> None:
        self._database = database
        self._seconds = seconds
        self._rows = rows
        self._repeats = Repeats()
        self._tidy_at = 0.0
        self._added = 0
        with told_of(database.path):
            self._stays = self._count("stay")

    def known(self, limit: int) -> list[Known]:
        """The latest word on addresses that were heard of, the oldest first.

        Raises:
            DatabaseError
        """
        with told_of(self._database.path):
            found = self._database.connection.execute(
                "SELECT device, address, lladdr, max(ended) AS last FROM stay "
                "GROUP BY device, address, lladdr ORDER BY last DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return [
            Known(device, parse_ip(address)[0], LinkAddress(lladdr), ended)
            for device, address, lladdr, ended in reversed(found)
        ]

    def commit(
        self,
        time: float,
        wall: float,
        sightings: Iterable[Sighting],
        findings: Iterable[Finding],
        *,
        closing: bool = False,
    ) -> list[Report]:
        """Write what was heard and found; return what is to be told of it, which is committed.

        Args:
            time, wall: now, by the watcher's clock and since 1970.
            closing: it is the last time: tell of what was counted, too.

        Raises:
            DatabaseError: nothing of it was written.
        """
        told: list[Report] = []
        with self._database.transaction() as connection:
            found = [new for one in sightings if (new := self._see(connection, one)) is not None]
            touched: dict[int, Topic] = {}
            for finding in sorted([*found, *findings], key=lambda one: one.time):
                topic = self._repeats.take(finding)
                if not topic.told:
                    self._insert(connection, topic)
                    told.append(_report(topic, finding.time))
                    topic.told = topic.times
                else:
                    touched[topic.row] = topic
            _update(connection, touched.values())
            for topic in self._repeats.due(time, closing=closing):
                told.append(_report(topic, time))
                topic.told = topic.times
            self._tidy(connection, time, wall)
        return told

    def _see(self, connection: sqlite3.Connection, sighting: Sighting) -> Finding | None:
        """Write down that an address was heard; return a finding if it is at a station that never was."""
        device, lladdr = sighting.device, str(LinkAddress(sighting.lladdr))
        address = format_ip(sighting.key)
        stay = None
        if not sighting.anew:
            stay = connection.execute(
                "SELECT id FROM stay WHERE address = ? AND device = ? AND lladdr = ? AND ended >= ? "
                "ORDER BY ended DESC LIMIT 1",
                (address, device, lladdr, sighting.began - SILENCE),
            ).fetchone()
        if stay is not None:
            connection.execute(
                "UPDATE stay SET ended = max(ended, ?), messages = messages + ? WHERE id = ?",
                (sighting.ended, sighting.messages, stay[0]),
            )
            return None
        station = connection.execute(
            "SELECT 1 FROM stay WHERE lladdr = ? AND device = ? LIMIT 1", (lladdr, device)
        ).fetchone()
        connection.execute(
            "INSERT INTO stay (device, address, lladdr, began, ended, messages) VALUES (?, ?, ?, ?, ?, ?)",
            (device, address, lladdr, sighting.began, sighting.ended, sighting.messages),
        )
        self._added += 1
        if station is not None:
            return None
        about = note(sighting.lladdr)
        return Finding(
            sighting.time, sighting.began, "new", device, sighting.key, sighting.lladdr, None, about
        )

    def _insert(self, connection: sqlite3.Connection, topic: Topic) -> None:
        finding = topic.finding
        row = connection.execute(
            "INSERT INTO report (kind, alarm, device, address, lladdr, other, began, ended, times, note) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                finding.kind,
                finding.alarm,
                finding.device,
                *_texts(finding),
                finding.wall,
                topic.ended,
                topic.times,
                finding.note,
            ),
        ).lastrowid
        assert row is not None
        topic.row = row

    # -- what is kept

    def _count(self, table: str) -> int:
        (rows,) = self._database.connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(rows)

    def _tidy(self, connection: sqlite3.Connection, time: float, wall: float) -> None:
        """Delete what is too old, or too much."""
        full = self._stays + self._added > self._rows * (1 + SLACK)
        if time < self._tidy_at and not full:
            return
        self._tidy_at = time + TIDYING
        for table in ("stay", "report"):
            connection.execute(
                f"DELETE FROM {table} WHERE id IN "
                f"(SELECT id FROM {table} WHERE ended < ? ORDER BY ended LIMIT ?)",
                (wall - self._seconds, MOST_DELETED),
            )
        # What was heard once goes first: who makes addresses up drives nobody else out.
        for table, order in (("stay", "messages > 1, ended"), ("report", "ended")):
            surplus = self._count(table) - self._rows
            if surplus > 0:
                connection.execute(
                    f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY {order} LIMIT ?)",
                    (min(surplus, MOST_DELETED),),
                )
        self._stays, self._added = self._count("stay"), 0


def _update(connection: sqlite3.Connection, topics: Iterable[Topic]) -> None:
    connection.executemany(
        "UPDATE report SET times = ?, ended = ? WHERE id = ?",
        [(topic.times, topic.ended, topic.row) for topic in topics],
    )


def _texts(finding: Finding) -> tuple[str | None, str | None, str | None]:
    """The address and the two link-layer addresses, as they are written down."""
    return (
        None if finding.key is None else format_ip(finding.key),
        None if finding.lladdr is None else str(LinkAddress(finding.lladdr)),
        None if finding.other is None else str(LinkAddress(finding.other)),
    )


def _report(topic: Topic, time: float) -> Report:
    finding = topic.finding
    return Report(
        time,
        topic.row,
        finding.kind,
        finding.alarm,
        finding.device,
        *_texts(finding),
        finding.wall,
        topic.ended,
        topic.times,
        finding.note,
    )
