"""``neighio host`` as a process of its own, in a namespace: commands go in, records come out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

from ...records import Record
from ..namespace import Namespace

__all__ = ["HostEnded", "HostProcess"]

_SCRIPT: Final = Path(__file__).with_name("_join.py")
_PIECE: Final = 65536


class HostEnded(Exception):
    """The host ended, or did not begin; the text is what it said."""


class HostProcess:
    """A host that runs. Nothing here waits: whoever has it waits for :meth:`fileno` to be readable."""

    def __init__(self, node: Namespace, arguments: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [
                *[sys.executable, "-I", "-S", str(_SCRIPT), str(node.pid)],
                *[sys.executable, "-m", "neighio", "host", *arguments],
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._unread = b""
        self._expected: deque[Callable[[Record], None]] = deque()

    def __enter__(self) -> HostProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()

    def fileno(self) -> int:
        """The descriptor that is readable when the host has said something."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def setblocking(self, flag: bool) -> None:
        os.set_blocking(self.fileno(), flag)

    @property
    def unanswered(self) -> int:
        """How many commands have no answer yet."""
        return len(self._expected)

    def tell(self, commands: Sequence[str], answered: Callable[[Record], None]) -> None:
        """Give commands at once; ``answered`` is called, in :meth:`read`, with the answer to each.

        Raises:
            HostEnded
        """
        assert self._process.stdin is not None
        self._expected.extend([answered] * len(commands))
        try:
            self._process.stdin.write("".join(f"{command}\n" for command in commands).encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            self._explain()

    def read(self) -> Iterator[Record]:
        """What it said meanwhile, but for answers.

        Raises:
            HostEnded
        """
        while True:
            try:
                piece = os.read(self.fileno(), _PIECE)
            except BlockingIOError:
                return
            if not piece:
                self._explain()
            *lines, self._unread = (self._unread + piece).split(b"\n")
            for line in lines:
                record: Record = json.loads(line)
                if "ok" in record:
                    self._expected.popleft()(record)
                else:
                    yield record

    def _explain(self) -> None:
        assert self._process.stderr is not None
        raise HostEnded(self._process.stderr.read().decode("utf-8", "replace").strip() or "it ended")
