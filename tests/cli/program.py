"""A program that goes on while a test talks to it."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

SECONDS = 30.0
"""How long anything may take on a machine under load."""

Record = dict[str, Any]


class Program:
    """A program that runs, until the end of the ``with`` block at the latest.

    What it prints is read line by line; nothing is waited for longer than SECONDS.
    """

    def __init__(self, command: Sequence[str], **options: Any) -> None:
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        assert self.process.stdout is not None
        self._output = self.process.stdout
        self._unread = b""
        self.records: list[Record] = []
        """What was read on the way to something else."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()

    def line(self, *, cut: bool = False) -> str:
        """The next line of output, without its newline; "" at the end, before which one may be ``cut``."""
        deadline = time.monotonic() + SECONDS
        while b"\n" not in self._unread:
            readable, _, _ = select.select([self._output], [], [], max(deadline - time.monotonic(), 0))
            assert readable, f"nothing was printed; before that: {self.records}"
            piece = os.read(self._output.fileno(), 65536)
            if not piece:
                assert cut or self._unread == b"", self._unread
                return ""
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode("ascii")
