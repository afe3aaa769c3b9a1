"""A person at a terminal: a command on a pseudo-terminal, its picture as an emulator has it, keys, resizing."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType

import pyte

from .program import SECONDS

__all__ = ["SECONDS", "Person"]

KEYS = {
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "page up": "\x1b[5~",
    "page down": "\x1b[6~",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "enter": "\r",
    "escape": "\x1b",
    "ctrl-c": "\x03",
    "ctrl-z": "\x1a",
}

# A shell with job control, as far as it matters: its job is in a group of its own, which has the terminal. Of the
# job's stop it tells on a descriptor, and lets it go on when it reads something there.
SHELL = """
import os, signal, sys, termios
talk = int(sys.argv[1])
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
before = termios.tcgetattr(0)
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.close(talk)
    os.execv(sys.argv[2], sys.argv[2:])
while True:
    _, status = os.waitpid(job, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        break
    os.tcsetpgrp(0, os.getpgrp())
    os.write(talk, b"restored" if termios.tcgetattr(0) == before else b"changed!")
    os.read(talk, 1)
    os.tcsetpgrp(0, job)
    os.kill(job, signal.SIGCONT)
os.tcsetpgrp(0, os.getpgrp())
sys.exit(os.waitstatus_to_exitcode(status) % 256)
"""


class Person:
    """Runs ``neighio`` with these arguments on a terminal, and looks at it; with ``shell`` under one that has
    job control.

    Nothing is waited for longer than SECONDS, and never for time to pass: only for what the screen shows.
    """

    def __init__(
        self,
        *arguments: str,
        size: tuple[int, int] = (100, 30),
        program: Sequence[str] = ("-W", "error", "-m", "neighio"),
        shell: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self.screen)
        self.output = bytearray()
        """Everything that was written."""
        self.master, slave = os.openpty()
        self._set_size(*size)
        self.before = termios.tcgetattr(slave)
        self.shell, theirs = socket.socketpair()
        self.shell.settimeout(SECONDS)
        command = [sys.executable, *program, *arguments]
        if shell:
            command = [sys.executable, "-c", SHELL, str(theirs.fileno()), *command]
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "TERM": "xterm-256color", "NO_COLOR": "", **(environment or {})},
        )
        theirs.close()
        self.slave = slave

    def __enter__(self) -> Person:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.shell.close()
        os.close(self.slave)
        os.close(self.master)

    def _set_size(self, width: int, height: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def resize(self, width: int, height: int) -> None:
        """Make the window larger or smaller; the kernel sends SIGWINCH."""
        self.screen.resize(height, width)
        self._set_size(width, height)

    # -- looking

    @property
    def lines(self) -> list[str]:
        """What the screen shows."""
        return [line.rstrip() for line in self.screen.display]

    def rows(self, column: int = 0) -> list[str]:
        """That column of the table, of the rows that are seen."""
        (heading,) = (number for number, line in enumerate(self.lines) if line.startswith("ADDRESS"))
        return [line.split()[column] for line in self.lines[heading + 1 : -1] if line]

    def read(self, seconds: float) -> bool:
        """Take in what is written within that time; False when nothing is."""
        readable, _, _ = select.select([self.master], [], [], seconds)
        if not readable:
            return False
        data = os.read(self.master, 65536)
        self.output += data
        self._stream.feed(data)
        return True

    def until(self, wanted: Callable[[], bool]) -> None:
        """Wait until the screen is so."""
        deadline = time.monotonic() + SECONDS
        while not _holds(wanted):
            left = deadline - time.monotonic()
            assert left > 0 and self.read(left), "the screen stays so:\n" + "\n".join(self.lines)

    def shows(self, *texts: str) -> None:
        """Wait until each of these texts is on the screen."""
        self.until(lambda: all(any(text in line for line in self.lines) for text in texts))

    # -- pressing

    def press(self, *keys: str) -> None:
        """Press keys: characters, or names of KEYS."""
        for key in keys:
            os.write(self.master, KEYS.get(key, key).encode())

    # -- the end

    def end(self) -> int:
        """Wait for the end; return the exit status. The terminal is to be as it was."""
        deadline = time.monotonic() + SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "it does not end:\n" + "\n".join(self.lines)
            self.read(0.02)
        while self.read(0):
            pass
        self.is_restored()
        return self.process.returncode

    def hang_up(self) -> int:
        """Close the window; return the exit status."""
        os.close(self.master)
        self.master = os.open(os.devnull, os.O_RDONLY)
        return self.process.wait(SECONDS)

    def is_restored(self) -> None:
        """The terminal has its settings, its usual screen, its cursor and its way to wrap."""
        assert termios.tcgetattr(self.slave) == self.before
        for mode in (b"?1049", b"?25", b"?7"):
            if b"\x1b[" + mode not in self.output:
                continue
            last = max((b"h", b"l"), key=lambda letter: self.output.rfind(b"\x1b[" + mode + letter))
            assert last == (b"l" if mode == b"?1049" else b"h"), mode


def _holds(wanted: Callable[[], bool]) -> bool:
    try:
        return wanted()
    except (ValueError, IndexError):
        # There is no table yet.
        return False
