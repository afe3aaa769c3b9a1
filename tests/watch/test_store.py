"""What is written down of what was heard, and what is kept of it: Store and Database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from neighio.address import LinkAddress, parse_ip
from neighio.watch import store as limits
from neighio.watch.database import APPLICATION, VERSION, Database, DatabaseError, open_to_read
from neighio.watch.judge import Finding
from neighio.watch.past import read_past
from neighio.watch.store import SILENCE, TIDYING, Sighting, Store

A, B = "00:00:5e:00:53:0a", "00:00:5e:00:53:0b"
IP = "198.51.100.7"
DAY = 86400.0

VERSION_1 = f"""
PRAGMA application_id={APPLICATION};
PRAGMA user_version=1;
CREATE TABLE seen (
    device TEXT NOT NULL, address TEXT NOT NULL, lladdr TEXT NOT NULL,
    first_seen REAL NOT NULL, last_seen REAL NOT NULL, messages INTEGER NOT NULL,
    PRIMARY KEY (device, address, lladdr)
);
CREATE TABLE report (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, kind TEXT NOT NULL, alarm INTEGER NOT NULL,
    device TEXT NOT NULL, address TEXT, lladdr TEXT, other TEXT, note TEXT
);
INSERT INTO seen VALUES ('eth0', '{IP}', '{A}', 1000.5, 2000.5, 7), ('eth0', '{IP}', '{B}', 2500, 3000, 1);
INSERT INTO report VALUES (3, 2500, 'moved', 0, 'eth0', '{IP}', '{B}', '{A}', 'a note'),
                          (9, 2600, 'storm', 1, 'eth0', NULL, '{B}', NULL, NULL);
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lan.db")


@pytest.fixture
def database(path: str) -> Iterator[Database]:
    with closing(Database(path)) as database:
        yield database


def sighting(
    wall: float, lladdr: str = A, ip: str = IP, *, anew: bool = False, messages: int = 1
) -> Sighting:
    one = Sighting(wall, wall, "eth0", parse_ip(ip)[0], LinkAddress(lladdr))
    one.messages, one.anew = messages, anew
    return one


def moved(wall: float) -> Finding:
    return Finding(wall, wall, "moved", "eth0", parse_ip(IP)[0], LinkAddress(B), LinkAddress(A), None)


def stays(database: Database) -> list[Any]:
    query = "SELECT address, lladdr, began, ended, messages FROM stay ORDER BY id"
    return database.connection.execute(query).fetchall()


def test_a_stay_goes_on_until_there_is_a_long_silence_or_it_begins_anew(database: Database) -> None:
    store = Store(database, seconds=DAY, rows=100)
    told = []
    for wall, anew in ((0.0, False), (SILENCE, False), (2 * SILENCE + 1, False), (2 * SILENCE + 2, True)):
        told += store.commit(wall, wall, [sighting(wall, anew=anew)], [])
    assert stays(database) == [
        (IP, A, 0.0, SILENCE, 2),
        (IP, A, 2 * SILENCE + 1, 2 * SILENCE + 1, 1),
        (IP, A, 2 * SILENCE + 2, 2 * SILENCE + 2, 1),
    ]
    assert [(report.kind, report.lladdr) for report in told] == [("new", A)]


def test_two_at_once_are_two_stays_that_overlap(database: Database) -> None:
    store = Store(database, seconds=DAY, rows=100)
    for wall in range(6):
        store.commit(wall, wall, [sighting(wall, (A, B)[wall % 2])], [])
    assert stays(database) == [(IP, A, 0.0, 4.0, 3), (IP, B, 1.0, 5.0, 3)]


def test_a_report_counts_on_in_its_row(database: Database) -> None:
    store = Store(database, seconds=DAY, rows=100)
    first = store.commit(0.0, 0.0, [], [moved(0.0)])
    assert store.commit(1.0, 1.0, [], [moved(1.0), moved(1.5)]) == []
    (last,) = store.commit(2.0, 2.0, [], [], closing=True)
    assert [report.id for report in first] == [last.id] and (last.times, last.ended) == (3, 1.5)
    assert read_past(database.path, address=IP).reports == [last._replace(time=0.0)]


def test_what_cannot_be_written_is_not_told_and_nothing_of_it_is_written(database: Database) -> None:
    store = Store(database, seconds=DAY, rows=100)
    (page_count,) = database.connection.execute("PRAGMA page_count").fetchone()
    database.connection.execute(f"PRAGMA max_page_count={page_count}")
    many = [sighting(0.0, ip=f"198.51.100.{number}") for number in range(250)]
    with pytest.raises(DatabaseError, match=r"lan\.db: database or disk is full"):
        store.commit(0.0, 0.0, many, [moved(0.0)])
    assert stays(database) == []
    assert database.connection.execute("SELECT count(*) FROM report").fetchone() == (0,)


def test_what_is_older_than_is_kept_goes(database: Database) -> None:
    store = Store(database, seconds=DAY, rows=100)
    store.commit(0.0, 0.0, [sighting(0.0)], [moved(0.0)])
    store.commit(DAY, DAY, [sighting(DAY, ip="198.51.100.8")], [])
    assert len(stays(database)) == 2
    store.commit(DAY + TIDYING, DAY + TIDYING, [], [])
    assert [stay[0] for stay in stays(database)] == ["198.51.100.8"]
    assert read_past(database.path, address=IP).reports == []


def test_of_too_many_rows_those_go_first_that_were_heard_once(database: Database) -> None:
    store = Store(database, seconds=DAY, rows=100)
    store.commit(0.0, 0.0, [sighting(0.0, messages=2)], [])
    for wall in range(1, 300):
        store.commit(wall * 1e-3, wall, [sighting(wall, B, f"198.18.{wall // 250}.{wall % 250}")], [])
        assert len(stays(database)) <= 111
    store.commit(2 * TIDYING, 300.0, [], [])
    kept = stays(database)
    assert len(kept) <= 100 and kept[0][0] == IP


def test_the_reports_are_bounded_too(database: Database) -> None:
    store = Store(database, seconds=DAY, rows=20)
    for number in range(60):
        one = moved(number)._replace(key=bytes((198, 51, 100, number)))
        store.commit(number * (TIDYING + 1), number, [], [one])
    rows = database.connection.execute("SELECT id FROM report ORDER BY id").fetchall()
    # The last one came after the look for what is too much.
    assert len(rows) <= 21 and rows[-1] == (60,)


def test_a_commit_deletes_no_more_than_some_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MOST_DELETED", 10)
    store = Store(database, seconds=DAY, rows=1000)
    store.commit(0.0, 0.0, [sighting(0.0, ip=f"198.51.100.{number}") for number in range(1, 31)], [])
    left = []
    for turn in range(1, 5):
        store.commit(turn * TIDYING, 2 * DAY, [], [])
        left.append(len(stays(database)))
    assert left == [20, 10, 0, 0]


def test_what_is_known_comes_oldest_first_and_is_the_latest_word(database: Database) -> None:
    store = Store(database, seconds=DAY, rows=100)
    store.commit(0.0, 0.0, [sighting(0.0), sighting(1.0, B), sighting(5 * SILENCE)], [])
    assert [(str(LinkAddress(one.lladdr)), one.ended) for one in store.known(10)] == [
        (B, 1.0),
        (A, 5 * SILENCE),
    ]
    assert [one.ended for one in store.known(1)] == [5 * SILENCE]


def test_a_reader_in_the_middle_of_it_holds_nobody_up(database: Database) -> None:
    store = Store(database, seconds=DAY, rows=100)
    store.commit(0.0, 0.0, [sighting(0.0)], [])
    with closing(open_to_read(database.path)) as reader:
        reader.execute("BEGIN")
        count = "SELECT count(*) FROM stay"
        assert reader.execute(count).fetchone() == (1,)
        store.commit(1.0, 1.0, [sighting(1.0, B)], [])
        # The reader sees one moment; the next one sees all.
        assert reader.execute(count).fetchone() == (1,)
    assert len(read_past(database.path, address=IP).stays) == 2
    assert database.connection.execute("PRAGMA synchronous").fetchone() == (2,)


# -- versions


def test_an_older_database_is_brought_up_to_date_with_all_that_it_knows(path: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_1)
    with pytest.raises(DatabaseError, match="of version 1; `neighio watch --db` brings it to 2"):
        read_past(path, address=IP)
    with closing(Database(path)) as database:
        (next_report,) = Store(database, seconds=DAY, rows=100).commit(3000.0, 3000.0, [], [moved(3000.0)])
        names = database.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")
        assert [name for (name,) in names] == ["report", "sqlite_sequence", "stay"]
        assert database.connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    assert next_report.id == 10
    past = read_past(path, address=IP)
    assert [tuple(stay) for stay in past.stays] == [
        ("eth0", IP, A, 1000.5, 2000.5, 7),
        ("eth0", IP, B, 2500.0, 3000.0, 1),
    ]
    assert [(one.id, one.kind, one.began, one.ended, one.times, one.note) for one in past.reports] == [
        (3, "moved", 2500.0, 2500.0, 1, "a note"),
        (10, "moved", 3000.0, 3000.0, 1, None),
    ]
    assert [one.id for one in read_past(path, lladdr=B).reports] == [3, 9, 10]


def test_a_migration_that_fails_leaves_the_old_version(path: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(VERSION_1)
        connection.execute("CREATE TABLE stay (in_the_way)")
    with pytest.raises(DatabaseError, match="table stay already exists"):
        Database(path)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM seen").fetchone() == (2,)


def test_a_migrated_database_is_like_a_new_one(tmp_path: Path) -> None:
    schemas = []
    for name, script in (("old.db", VERSION_1), ("new.db", "")):
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            connection.executescript(script)
        with closing(Database(str(tmp_path / name))) as database:
            rows = database.connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name")
            schemas.append(rows.fetchall())
    assert schemas[0] == schemas[1]


def test_one_that_was_closed_is_anothers(path: str) -> None:
    first = Database(path)
    with pytest.raises(DatabaseError, match="another watcher writes to it"):
        Database(path)
    first.close()
    first.close()
    Database(path).close()
