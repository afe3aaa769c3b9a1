"""The instances of neighio that run, by their control sockets."""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import trio

from ..control import runtime_directory
from ..conversation import PROTOCOL
from ..errors import NeighioError
from ..records import Record

__all__ = ["Instance", "connect", "find", "is_alive"]

GREETING_SECONDS: Final = 5.0
"""How long an instance may take to say what it is."""

LONGEST_LINE: Final = 1 << 20
"""Octets of a line that an instance sends; nothing comes near it."""

MOST_AT_ONCE: Final = 256
"""Records: they are told of before anything else is done."""

_NONE: Final = """\
no instance of neighio that can be looked into runs here; `neighio host --control ...` is one, and so is a \
program with open_table(control=PATH); --kernel looks at the kernel's neighbours"""
_NO_PLACE: Final = """\
XDG_RUNTIME_DIR is not set, so there is no usual place to look for instances; name a socket with \
--control PATH, or look at the kernel's neighbours with --kernel"""


def find() -> str:
    """Return the control socket of the one instance that runs.

    Raises:
        NeighioError: there is none, or there are several; the message says what to do.
    """
    try:
        place = runtime_directory()
    except NeighioError:
        raise NeighioError(_NO_PLACE) from None
    alive = [str(path) for path in sorted(place.glob("*.sock")) if is_alive(path)]
    if not alive:
        raise NeighioError(_NONE)
    if len(alive) > 1:
        raise NeighioError(f"{len(alive)} instances run; name one of them with --control: {', '.join(alive)}")
    return alive[0]


def is_alive(path: Path) -> bool:
    """Whether a process that we may speak to listens at a path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except OSError as error:
            # Its queue is full.
            return error.errno == errno.EAGAIN
    return True


class Instance:
    """A conversation with an instance; made by :func:`connect`.

    Attributes:
        devices: the names of those that it has neighbours on.
    """

    devices: list[str]

    def __init__(self, stream: trio.SocketStream, path: str) -> None:
        self._stream = stream
        self._path = path
        self._unread = bytearray()

    async def greet(self) -> None:
        """Hear what it is.

        Raises:
            NeighioError: no instance of neighio, or one that speaks otherwise.
        """
        hello: Record | None = None
        with trio.move_on_after(GREETING_SECONDS):
            hello = await self.record()
        devices = None if hello is None else hello.get("devices")
        if hello is None or hello["kind"] != "hello" or not isinstance(devices, list):
            raise self._stranger()
        if hello.get("protocol") != PROTOCOL:
            raise NeighioError(
                f"control: {self._path} is of another version of neighio, {hello.get('version')}"
            )
        self.devices = [str(device) for device in devices]

    async def ask(self, request: str, **fields: object) -> None:
        """Make a request; the answer is records.

        Raises:
            NeighioError: the instance has ended.
        """
        try:
            await self._stream.send_all(json.dumps({"request": request, **fields}).encode() + b"\n")
        except trio.BrokenResourceError:
            raise NeighioError(f"control: {self._path}: the instance has ended") from None

    async def record(self) -> Record | None:
        """Return the next record, None at the end.

        Raises:
            NeighioError: the instance refuses, or it is none.
        """
        found = await self.records(1)
        return found[0] if found else None

    async def records(self, most: int = MOST_AT_ONCE) -> list[Record]:
        """Return the next records, those that have come already; none at the end.

        Raises:
            NeighioError: the instance refuses, or it is none.
        """
        await trio.lowlevel.checkpoint()
        while b"\n" not in self._unread:
            if len(self._unread) > LONGEST_LINE:
                raise self._stranger()
            try:
                piece = await self._stream.receive_some(65536)
            except trio.BrokenResourceError:
                piece = b""
            if not piece:
                return []
            self._unread += piece
        found: list[Record] = []
        while len(found) < most and (end := self._unread.find(b"\n")) >= 0:
            try:
                found.append(self._parse(bytes(self._unread[:end])))
            except NeighioError:
                if found:
                    # First what came before it.
                    break
                raise
            del self._unread[: end + 1]
        return found

    def _parse(self, line: bytes) -> Record:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or not isinstance(found.get("kind"), str):
            raise self._stranger()
        if found["kind"] == "error":
            raise NeighioError(f"control: {self._path}: {found.get('error')}")
        return found

    def _stranger(self) -> NeighioError:
        return NeighioError(f"control: {self._path} is not the control socket of an instance of neighio")


@asynccontextmanager
async def connect(path: str) -> AsyncIterator[Instance]:
    """Speak to the instance that has this control socket.

    Raises:
        NeighioError: there is none, or it must not be spoken to; the message says why.
    """
    try:
        stream = await trio.open_unix_socket(path)
    except OSError as error:
        raise NeighioError(f"control: {path}: {_why(path, error)}") from None
    async with stream:
        instance = Instance(stream, path)
        await instance.greet()
        yield instance


def _why(path: str, error: OSError) -> str:
    """Why nobody can be spoken to at a path."""
    if error.errno == errno.EACCES:
        return "it belongs to somebody else: run the command as that user, or with sudo"
    if error.errno == errno.ECONNREFUSED:
        is_socket = stat.S_ISSOCK(os.stat(path).st_mode)
        return "its process has ended" if is_socket else "that is no socket"
    # Of a path that is too long Python says so itself, without an errno.
    return error.strerror or str(error)
