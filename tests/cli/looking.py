"""``neighio show`` and ``neighio monitor`` as a user runs them, and instances that they look into."""

from __future__ import annotations

import json
import os
import pty
import select
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neighio.testing import Here, Peer

from .hosting import ADDRESSES, LASTING, SECONDS, Running, link
from .program import Program
from .schemas import validate

COMMAND = [sys.executable, "-W", "error", "-m", "neighio"]


def neighio(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run a command; return its exit status, its output and its errors."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env={**os.environ, **environment},
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def lines(*arguments: str, **environment: str) -> list[str]:
    """Run a command that has to succeed; return its lines, without the blanks at their ends."""
    status, output, errors = neighio(*arguments, **environment)
    assert (status, errors) == (0, "")
    return [line.rstrip() for line in output.splitlines()]


def objects(schema: str, *arguments: str) -> list[dict[str, Any]]:
    """Run a command that has to succeed with --json; return its objects, which are as the schema has them."""
    found = [json.loads(line) for line in lines(*arguments, "--json")]
    for one in found:
        validate(schema, one)
    return found


def refusal(*arguments: str, **environment: str) -> str:
    """Run a command, which is to refuse with status 2 and one line; return the line."""
    status, output, errors = neighio(*arguments, **environment)
    assert (status, output) == (2, ""), errors
    assert errors.startswith(f"neighio {arguments[0]}: ") and errors.count("\n") == 1
    assert all(" " <= character <= "~" for character in errors[:-1])
    return errors


def on_a_full_disk(*arguments: str) -> str:
    """Run a command whose output cannot be written, which it is to tell with status 2 in one line; return it."""
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.startswith(f"neighio {arguments[0]}: ") and done.stderr.count("\n") == 1
    return done.stderr


def on_a_terminal(*arguments: str, columns: int = 80, status: int = 0, **environment: str) -> str:
    """Run a command that ends, with this status, with a pseudo-terminal as its output; return what it wrote
    there."""
    leader, follower = pty.openpty()
    pieces: list[bytes] = []

    def read() -> None:
        try:
            while piece := os.read(leader, 65536):
                pieces.append(piece)
        except OSError:
            # EIO: nobody has the other end any more.
            pass

    reader = threading.Thread(target=read)
    reader.start()
    done = subprocess.run(
        [*COMMAND, *arguments],
        stdout=follower,
        check=False,
        timeout=SECONDS,
        env={**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "NO_COLOR": "", **environment},
    )
    os.close(follower)
    reader.join()
    os.close(leader)
    assert done.returncode == status
    return b"".join(pieces).decode()


class Monitoring(Running):
    """``neighio monitor``, or another command that goes on, and what it prints."""

    def __init__(self, *arguments: str, command: Sequence[str] = (*COMMAND, "monitor")) -> None:
        Program.__init__(self, [*command, *arguments], stdin=subprocess.DEVNULL)

    def record(self) -> dict[str, Any]:
        """The next line, which is as the schema has it."""
        line = self.line()
        assert line, "the output has ended"
        record: dict[str, Any] = json.loads(line)
        validate("change", record)
        return record

    def begun(self) -> Monitoring:
        """Wait until nothing is missed any more; with --json."""
        assert self.record()["kind"] == "begun"
        return self

    def has_printed(self, wait: float = 0.0) -> bool:
        """Take in what there is to read, waiting at most so many seconds for it; whether anything was printed."""
        while select.select([self._output], [], [], 0 if self._unread else wait)[0] and (
            piece := os.read(self._output.fileno(), 65536)
        ):
            self._unread += piece
        return bool(self._unread)


@contextmanager
def directory() -> Iterator[Path]:
    """A directory of one's own, whose name is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="neighio") as name:
        yield Path(name)


@contextmanager
def watched_host() -> Iterator[tuple[Running, str, Here, Peer]]:
    """A host on a link at whose other end the kernel is; return it with the path of its control socket."""
    with link() as (here, peer), directory() as place:
        path = str(place / "control.sock")
        with Running(*ADDRESSES, *LASTING, "--control", path) as host:
            yield host.ready(), path, here, peer
            status, _, errors = host.end()
            assert (status, errors) == (0, "")


@contextmanager
def stranger(path: Path, *said: str) -> Iterator[threading.Event]:
    """Listen there as somebody who says these lines to the first who connects, and then nothing; yield what is
    set when somebody has connected. With no lines the connection stays open."""
    came, over = threading.Event(), threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                came.set()
                if said:
                    connection.sendall("".join(f"{line}\n" for line in said).encode())
                    connection.shutdown(socket.SHUT_WR)
                over.wait(SECONDS)

        server = threading.Thread(target=serve)
        server.start()
        try:
            yield came
        finally:
            over.set()
            server.join()
