"""The file in which stations are kept: opened, refused, brought up to date, locked against a second watcher.

It is SQLite's, with a write-ahead log, so that it can be read while it is written. ``application_id`` says
that it is ours, ``user_version`` of which version.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final
from urllib.parse import quote

from ..errors import NeighioError

__all__ = ["APPLICATION", "VERSION", "Database", "DatabaseError", "open_to_read", "told_of"]

APPLICATION: Final = 0x6E656967
"""``PRAGMA application_id``: "neig"."""

VERSION: Final = 2

LOG_SIZE: Final = 4 << 20
"""Octets to which the write-ahead log is cut back when a reader has let it grow."""

PATIENCE: Final = 5.0
"""Seconds that SQLite's own short locks are waited for."""

_REPORT: Final = """
CREATE TABLE report (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    alarm INTEGER NOT NULL,
    device TEXT NOT NULL,
    address TEXT,
    lladdr TEXT,
    other TEXT,
    began REAL NOT NULL,
    ended REAL NOT NULL,
    times INTEGER NOT NULL,
    note TEXT
)"""

_SCHEMA: Final = (
    # An address at a link-layer address, from when to when, seconds since 1970; a long silence, or another
    # station in between, begins a new row.
    """
CREATE TABLE stay (
    id INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    address TEXT NOT NULL,
    lladdr TEXT NOT NULL,
    began REAL NOT NULL,
    ended REAL NOT NULL,
    messages INTEGER NOT NULL
)""",
    "CREATE INDEX stay_address ON stay (address, device, lladdr, ended)",
    "CREATE INDEX stay_lladdr ON stay (lladdr, device, ended)",
    "CREATE INDEX stay_ended ON stay (ended)",
    _REPORT,
    "CREATE INDEX report_address ON report (address, ended)",
    "CREATE INDEX report_lladdr ON report (lladdr, ended)",
    "CREATE INDEX report_other ON report (other, ended)",
    "CREATE INDEX report_ended ON report (ended)",
)

_FROM_1: Final = (
    # Version 1 knew of an address at a link-layer address the first and the last time alone, and of a report
    # one time.
    "ALTER TABLE report RENAME TO report1",
    *_SCHEMA,
    "INSERT INTO stay (device, address, lladdr, began, ended, messages) "
    "SELECT device, address, lladdr, first_seen, last_seen, messages FROM seen ORDER BY last_seen",
    "INSERT INTO report (id, kind, alarm, device, address, lladdr, other, began, ended, times, note) "
    "SELECT id, kind, alarm, device, address, lladdr, other, time, time, 1, note FROM report1 ORDER BY id",
    "DROP TABLE seen",
    "DROP TABLE report1",
)
_MIGRATIONS: Final = {1: _FROM_1}
"""By version, what brings it to the next."""


class DatabaseError(NeighioError):
    """The database cannot be used, or no longer; the text names the file and says why."""


@contextmanager
def told_of(path: str) -> Iterator[None]:
    """Have what goes wrong with a file told of by its name.

    Raises:
        DatabaseError
    """
    try:
        yield
    except sqlite3.Error as error:
        raise DatabaseError(f"{path}: {_explain(error)}") from None
    except OSError as error:
        raise DatabaseError(f"{path}: {error.strerror or error}") from None


def _explain(error: sqlite3.Error) -> str:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_NOTADB:
        return "it is no database of SQLite's"
    return str(error)


class Database:
    """A watcher's database, open for writing; nobody else can open it so. To be used by one thread at a time.

    It is made if it is not there. Each commit is on the disk when it returns (``synchronous=FULL``): what was
    reported survives the loss of power, too, and as commits are made in a thread, a few tenths of a
    millisecond each cost nobody anything.

    Raises:
        DatabaseError: it cannot be opened, is none of ours, of a newer version, or another watcher's.
    """

    def __init__(self, path: str) -> None:
        self.path: str = path
        # Never closed before SQLite's own: that would take back SQLite's locks (close(2) of any descriptor).
        self._lock = _lock(path)
        try:
            with told_of(path):
                self.connection: sqlite3.Connection = self._open()
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            _uri(self.path, "rw"), PATIENCE, isolation_level=None, check_same_thread=False, uri=True
        )
        try:
            version = _version(connection, self.path)
            # Only here: what is refused is left as it was.
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA journal_size_limit={LOG_SIZE}")
            if version != VERSION:
                _bring_up_to_date(connection, version)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All that is done within a block is committed at its end, or nothing is.

        Raises:
            DatabaseError: it could not be: a full disk, for one.
        """
        with told_of(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                # A full disk may have rolled it back already.
                with suppress(sqlite3.Error):
                    self.connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """Close it, and let others have it. Idempotent."""
        if self._lock < 0:
            return
        try:
            with suppress(sqlite3.Error):
                self.connection.close()
        finally:
            os.close(self._lock)
            self._lock = -1


def _lock(path: str) -> int:
    """Open a file for nobody else to watch with; return the descriptor.

    Raises:
        DatabaseError
    """
    import fcntl  # Which not every system has.

    with told_of(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise DatabaseError(f"{path}: it is no regular file")
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise DatabaseError(f"{path}: another watcher writes to it") from None
        except BaseException:
            os.close(descriptor)
            raise
    return descriptor


def _uri(path: str, mode: str) -> str:
    return f"file:{quote(os.path.abspath(path))}?mode={mode}"


def _version(connection: sqlite3.Connection, path: str) -> int:
    """Return the version of a database, 0 of one that is empty.

    Raises:
        DatabaseError: it is not ours, or of a version that is not known.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not application and not version and not tables:
        return 0
    if application != APPLICATION:
        raise DatabaseError(f"{path}: it is a database, but none of neighio's")
    if version > VERSION:
        raise DatabaseError(
            f"{path}: it is of version {version}, written by a newer neighio; this one knows up to {VERSION}"
        )
    if version < 1:
        raise DatabaseError(f"{path}: it is of version {version}, which there never was")
    return int(version)


def _bring_up_to_date(connection: sqlite3.Connection, version: int) -> None:
    """Make the tables, or change them step by step: all in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        steps = [_SCHEMA] if not version else [_MIGRATIONS[one] for one in range(version, VERSION)]
        for step in steps:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id={APPLICATION}")
        connection.execute(f"PRAGMA user_version={VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def open_to_read(path: str) -> sqlite3.Connection:
    """Open a database for reading, also while a watcher writes to it.

    Raises:
        DatabaseError: it cannot be read, is none of ours, or of another version.
    """
    with told_of(path):
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DatabaseError(f"{path}: it is no regular file")
        # Where nobody watches there is no log, and who may not make one reads the file as it is.
        ways = ["ro"] if os.path.exists(f"{path}-wal") else ["ro", "ro&immutable=1"]
        for way in ways:
            connection = sqlite3.connect(_uri(path, way), PATIENCE, isolation_level=None, uri=True)
            try:
                version = _version(connection, path)
                if version != VERSION:
                    raise DatabaseError(_unreadable(path, version))
            except sqlite3.OperationalError as error:
                connection.close()
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN or way == ways[-1]:
                    raise
            except BaseException:
                connection.close()
                raise
            else:
                return connection
    raise DatabaseError(f"{path}: {os.strerror(errno.EACCES)}")


def _unreadable(path: str, version: int) -> str:
    if not version:
        return f"{path}: it is empty"
    return f"{path}: it is of version {version}; `neighio watch --db` brings it to {VERSION}"
