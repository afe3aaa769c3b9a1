"""Standard input and output, a line at a time, for a command that must never wait for either."""

from __future__ import annotations

import os
import select
import stat
from typing import Final

import trio

from ..errors import NeighioError

__all__ = ["LineReader", "LineWriter"]

LONGEST_LINE: Final = 65536
"""Octets of a line that is read; a longer one is refused."""

MOST_WAITING: Final = 16 << 20
"""Octets that may wait to be written: whoever reads has been asleep for some 100,000 lines."""

PIECE: Final = 4096
"""What a pipe takes without blocking when poll() says that it takes anything (PIPE_BUF)."""


class LineWriter:
    """Lines to a descriptor, in order: at once where it takes them, else as soon as it does.

    The descriptor stays as it is, blocking or not: a terminal's is the shell's, too. With None lines go
    nowhere.
    """

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._waiting = bytearray()
        self._poll = select.poll()
        self._lock = trio.Lock()
        self._wanted = trio.Event()
        self._failure: OSError | NeighioError | None = None
        if descriptor is not None:
            self._poll.register(descriptor, select.POLLOUT)

    def line(self, text: str) -> None:
        """Write a line, escaped already, now or later."""
        self.write(f"{text}\n")

    def write(self, text: str) -> None:
        """Write text as it is, escaped already, now or later."""
        if self._descriptor is None or self._failure is not None:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._fail(NeighioError(f"nobody reads the output, of which {MOST_WAITING >> 20} MiB wait"))
            return
        self._waiting += text.encode("ascii", "backslashreplace")
        self._write()

    @property
    def waiting(self) -> int:
        """How many octets wait to be written."""
        return len(self._waiting)

    def _write(self) -> None:
        """Write what is taken without blocking."""
        assert self._descriptor is not None
        try:
            while self._waiting and self._poll.poll(0):
                del self._waiting[: os.write(self._descriptor, self._waiting[:PIECE])]
        except BlockingIOError:
            pass
        except OSError as error:
            self._fail(error)
        if self._waiting:
            self._wanted.set()

    def _fail(self, error: OSError | NeighioError) -> None:
        self._failure = error
        self._waiting.clear()
        self._wanted.set()

    async def run(self) -> None:
        """Write what could not be written at once; return when nobody reads any more (``| head``).

        Raises:
            OSError: it cannot be written for another reason.
            NeighioError: too much waits to be written.
        """
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            await self.drain()
            if isinstance(self._failure, BrokenPipeError):
                return
            if self._failure is not None:
                raise self._failure

    async def drain(self) -> None:
        """Return when nothing waits to be written; a checkpoint."""
        # One task at a time may wait for a descriptor.
        async with self._lock:
            while self._waiting:
                assert self._descriptor is not None
                await trio.lowlevel.wait_writable(self._descriptor)
                self._write()


class LineReader:
    """Lines of a descriptor, read by one task; with None, or when it cannot be read, there are none."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._buffer = b""
        # epoll takes no regular file, and none has to be waited for.
        self._waits = descriptor is not None and not stat.S_ISREG(os.fstat(descriptor).st_mode)

    async def read_line(self) -> str | None:
        """Return the next line without its end, None at the end of the input; a checkpoint.

        Raises:
            ValueError: the line was longer than 65,536 octets. The next call goes on behind it.
        """
        await trio.lowlevel.checkpoint()
        too_long = False
        while True:
            line, newline, rest = self._buffer.partition(b"\n")
            if newline or self._descriptor is None:
                self._buffer = rest
                if too_long or len(line) > LONGEST_LINE:
                    raise ValueError(f"a line of more than {LONGEST_LINE} octets")
                # What stands behind the last newline is a line, if there is anything.
                return line.decode("utf-8", "surrogateescape") if newline or line else None
            if len(self._buffer) > LONGEST_LINE:
                too_long = True
                self._buffer = b""
            self._buffer += await self._read()

    async def _read(self) -> bytes:
        """Return what there is; at the end forget the descriptor."""
        assert self._descriptor is not None
        if self._waits:
            try:
                await trio.lowlevel.wait_readable(self._descriptor)
            except PermissionError:
                # Other things that need not be waited for: /dev/null.
                self._waits = False
        await trio.lowlevel.checkpoint()
        piece = b""
        try:
            piece = os.read(self._descriptor, LONGEST_LINE)
        except BlockingIOError:
            return piece
        except OSError:
            # EIO: its terminal has gone. What cannot be read has ended.
            pass
        if not piece:
            self._descriptor = None
        return piece
