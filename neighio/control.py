"""A table's control socket, by which other processes look into it: ``neighio show``, ``neighio monitor``.

A Unix socket of mode 0600. Both sides send JSON objects, one a line. Each of ours has a ``kind``; the first
one is "hello". A request is ``{"request": NAME, ...}``, and the answers come in the order of the requests:

* ``show``: "entry" for each entry, then "end".
* ``get``, ``entries`` a list of [ADDRESS, DEVICE]: "entry" for each of those that there are, then "end".
* ``monitor``, ``trace`` and ``entries`` true or false: "begun", then "new", "del" and "miss" as they happen,
  with ``trace`` "change" for every transition, too; until the client closes its side. With ``entries`` there
  is "entry" for each entry first, and "idle" when all were shown; a change to one that was shown already may
  come before that.
* ``stats``: "stats", the counters and the thresholds.
* ``parameters``, ``device`` a name or null, ``family`` 4 or 6: "parameters".

What cannot be answered is an "error", whose ``error`` says why; the connection goes on, but for one that
sends too long a line or does not read what it wants to be told. Nothing can be changed by it.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import trio

from .conversation import Conversation
from .errors import NeighioError
from .records import Stamp

if TYPE_CHECKING:
    from .service import TableService

__all__ = ["ControlSocket", "default_path", "open_control", "runtime_directory"]

MOST_CLIENTS: Final = 64
"""At a time. Each has a descriptor, and a queue if it monitors."""

BACKLOG: Final = 64
TURN_TRIES: Final = 100
"""How often a directory in others' hands is tried, TURN_SECONDS apart; they have it for microseconds."""
TURN_SECONDS: Final = 0.01


def runtime_directory() -> Path:
    """Where instances have their sockets unless told otherwise: ``$XDG_RUNTIME_DIR/neighio``.

    Raises:
        NeighioError: the variable is not set to an absolute path.
    """
    found = os.environ.get("XDG_RUNTIME_DIR", "")
    if not os.path.isabs(found):
        raise NeighioError("control: XDG_RUNTIME_DIR is not set, so there is no usual place; name a path")
    return Path(found, "neighio")


def default_path() -> Path:
    """Where this process has its socket unless told otherwise: ``$XDG_RUNTIME_DIR/neighio/PID.sock``.

    Raises:
        NeighioError: the variable is not set to an absolute path.
    """
    return runtime_directory() / f"{os.getpid()}.sock"


async def open_control(table: TableService, name: str) -> ControlSocket:
    """Open a table's control socket; then :meth:`ControlSocket.run` is to run.

    A socket that a dead process left there is replaced. The usual directory is made if need be.

    Raises:
        NeighioError: something else is there, or the system refuses; the message names the path.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise NeighioError("control: this system has no Unix sockets")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Of a process whose folder was removed there is no cwd.
        where = Path(name) if os.path.isabs(name) else Path.cwd() / name
        with suppress(NeighioError):
            if where.parent == runtime_directory():
                where.parent.mkdir(mode=0o700, exist_ok=True)
        async with _turn(where.parent):
            _make_room(name)
            sock.bind(name)
            # Nobody can connect before it listens.
            os.chmod(name, 0o600)
            sock.listen(BACKLOG)
            return ControlSocket(table, trio.SocketListener(trio.socket.from_stdlib_socket(sock)), where)
    except OSError as error:
        sock.close()
        # Of a name that is too long Python says so itself, without an errno.
        raise NeighioError(f"control: {name}: {error.strerror or error}") from None
    except BaseException:
        sock.close()
        raise


@asynccontextmanager
async def _turn(directory: Path) -> AsyncIterator[None]:
    """Have the directory to oneself among those who open control sockets there: of two who find the socket of
    a dead process, the later one must not remove what the earlier one has put in its place."""
    # Not to be had, nor needed, where there are no Unix sockets.
    import fcntl

    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for tries_left in reversed(range(TURN_TRIES)):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not tries_left:
                    raise NeighioError(f"control: somebody else holds the lock on {directory}") from None
                await trio.sleep(TURN_SECONDS)
        await trio.lowlevel.checkpoint()
        yield
    finally:
        os.close(descriptor)


def _make_room(name: str) -> None:
    """Remove the socket of a dead process.

    Raises:
        NeighioError: it is no socket, or somebody listens.
        OSError: it cannot be tried or removed.
    """
    try:
        found = os.lstat(name)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise NeighioError(f"control: {name} is there already, and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(name)
        except ConnectionRefusedError:
            os.unlink(name)
            return
        except OSError as error:
            # Its queue is full, or it is one of another kind: somebody is there.
            if error.errno not in (errno.EAGAIN, errno.EPROTOTYPE):
                raise
    raise NeighioError(f"control: {name} is in use by a process that runs")


class ControlSocket:
    """A control socket that is open; made by :func:`open_control`."""

    def __init__(self, table: TableService, listener: trio.SocketListener, path: Path) -> None:
        self._table = table
        self._listener = listener
        self._path = path
        found = os.lstat(path)
        self._identity = found.st_dev, found.st_ino
        self._stamp = Stamp(table._check().clock)
        self._clients = 0

    async def run(self) -> NoReturn:
        """Serve clients until cancelled."""
        await trio.serve_listeners(self._serve, [self._listener])

    def close(self) -> None:
        """Let nobody in any more, and remove the socket if it is still ours. Idempotent."""
        with suppress(OSError):
            found = os.lstat(self._path)
            if (found.st_dev, found.st_ino) == self._identity:
                os.unlink(self._path)
        self._listener.socket.close()

    async def _serve(self, stream: trio.SocketStream) -> None:
        # A client that goes, or a table that does, ends the conversation.
        async with stream:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                conversation = Conversation(self._table, stream, self._stamp)
                if self._clients >= MOST_CLIENTS:
                    await conversation.refuse(f"there are {MOST_CLIENTS} clients already")
                    return
                self._clients += 1
                try:
                    await conversation.run()
                finally:
                    self._clients -= 1
