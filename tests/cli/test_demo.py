"""The demo, played to its end: on the kernel and in memory, on a terminal and through a pipe."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from neighio.testing.isolation import require_namespaces

from .schemas import validate

COMMAND = ["-W", "error", "-m", "neighio", "demo"]
STATES = ["INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED"]
SECONDS = 60
"""How long a machine under load may take. The demo's own times are told by itself."""

TRANSITION = re.compile(r"^ *(\d+\.\d\d) s  (\S+) +(\w+) -> (\w+)  +(\S.*)$")
REMARK = re.compile(r"^ *(\d+\.\d\d) s  -- (.*)$")

MUTED, ABSENT = "203.0.113.2", "198.51.100.9"
LIVES = {
    "198.51.100.2": "INCOMPLETE REACHABLE STALE DELAY PROBE REACHABLE",
    "198.51.100.3": "INCOMPLETE REACHABLE STALE DELAY REACHABLE",
    ABSENT: "INCOMPLETE FAILED",
    MUTED: "INCOMPLETE REACHABLE STALE DELAY PROBE FAILED INCOMPLETE REACHABLE",
}
WITHOUT_NAMESPACES_AND_RICH = """
import errno, sys
import neighio.testing.namespace as namespace
namespace.Peer.start = lambda: (_ for _ in ()).throw(namespace.Unavailable("unshare", errno.EPERM))
sys.modules["rich"] = None
from neighio.cli import main
sys.exit(main(["demo", *sys.argv[1:]]))
"""


def through_a_pipe(arguments: list[str]) -> str:
    """Run with a pipe for its output; return what it wrote."""
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def on_a_terminal(arguments: list[str], rows: int = 24, **environment: str) -> str:
    """Run on a pseudo-terminal of 80 columns; return all that was written there."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**os.environ, "TERM": "xterm-256color", **environment},
    )
    os.close(follower)
    written = b""
    try:
        while piece := os.read(leader, 65536):
            written += piece
    except OSError:
        # EIO: its last writer has closed the terminal.
        pass
    os.close(leader)
    assert process.wait(SECONDS) == 0, written.decode()
    return written.decode()


def assert_complete(lines: list[str]) -> None:
    """Every address lived as the demo says, every line fits, and it was over in time."""
    lives: dict[str, list[str]] = {}
    times = []
    for line in lines:
        if found := TRANSITION.match(line):
            time, ip, old, new, _ = found.groups()
            assert old == (lives.get(ip) or ["NONE"])[-1]
            lives.setdefault(ip, []).append(new)
        elif found := REMARK.match(line):
            time = found[1]
        else:
            continue
        times.append(float(time))
    for ip, life in LIVES.items():
        assert " ".join(lives[ip]).startswith(life)
    assert {state for life in lives.values() for state in life} == set(STATES)
    assert times == sorted(times)
    assert max(map(len, lines)) <= 80


@pytest.fixture(scope="module")
def plays() -> dict[str, str]:
    """Play it four times at once; return what was written, by where that was."""
    require_namespaces()
    with ThreadPoolExecutor() as threads:
        running = {
            "pipe": threads.submit(through_a_pipe, COMMAND),
            "json": threads.submit(through_a_pipe, [*COMMAND, "--json"]),
            "terminal": threads.submit(on_a_terminal, COMMAND, rows=50),
            "bare": threads.submit(on_a_terminal, ["-W", "error", "-c", WITHOUT_NAMESPACES_AND_RICH]),
        }
        return {name: future.result() for name, future in running.items()}


def test_through_a_pipe_it_is_a_line_per_transition(plays: dict[str, str]) -> None:
    lines = plays["pipe"].splitlines()
    assert "Linux" in lines[0] and "memory" not in lines[0]
    assert "\x1b" not in plays["pipe"]
    assert_complete(lines)


@pytest.mark.skipif(importlib.util.find_spec("rich") is None, reason="needs rich")
def test_on_a_terminal_it_is_a_live_table_with_the_transitions_below(plays: dict[str, str]) -> None:
    written = plays["terminal"]
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h") == 1
    *frames, last = re.split(r"\x1b\[2K(?:\x1b\[1A\x1b\[2K)+", written)
    shown = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line).rstrip() for line in last.splitlines()]
    assert [word for word in ("address", "link-layer address", "state") if word not in shown[2]] == []
    assert {line.split()[0] for line in shown[4:8]} == set(LIVES)
    assert_complete(shown)
    assert len(frames) > 10


def test_without_namespaces_it_plays_in_memory_and_says_why_and_without_rich_in_plain_lines(
    plays: dict[str, str],
) -> None:
    lines = plays["bare"].splitlines()
    assert "Playing in memory: no private network namespace: unshare" in lines[0]
    assert "Run as root" in lines[0] and "memory" in lines[1]
    assert "\x1b" not in plays["bare"]
    assert_complete(lines[1:])


def test_it_finds_neighio_wherever_it_is_started(tmp_path: Path) -> None:
    require_namespaces()
    (tmp_path / "neighio").mkdir()
    (tmp_path / "neighio" / "__init__.py").write_text("raise RuntimeError('another neighio')")
    program = "import sys\nfrom neighio.cli import main\nsys.exit(main(['demo']))"
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=SECONDS)
    assert "Linux" in first


def test_ctrl_c_ends_it() -> None:
    process = subprocess.Popen(
        [sys.executable, *COMMAND, "--memory"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    while "REACHABLE" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (130, "")


def test_it_ends_when_nobody_reads_any_more() -> None:
    process = subprocess.Popen(
        [sys.executable, *COMMAND, "--memory"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    process.wait(SECONDS)
    assert errors == ""


def test_a_full_disk_is_told_of() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, *COMMAND],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, "neighio demo: standard output: No space left on device\n")


def test_json_is_an_object_per_event(plays: dict[str, str]) -> None:
    start, *records = (json.loads(line) for line in plays["json"].splitlines())
    for record in (start, *records):
        validate("demo", record)
    assert start["kind"] == "start" and "Linux" in start["where"]
    lives: dict[str, list[str]] = {}
    for record in records:
        if record["kind"] == "change":
            lives.setdefault(record["address"], []).append(record["state"])
    for ip, life in LIVES.items():
        assert " ".join(lives[ip]).startswith(life)
    assert sum(record["kind"] == "remark" for record in records) == plays["pipe"].count(" s  -- ")


def test_among_json_objects_no_line_says_that_it_plays_in_memory() -> None:
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", WITHOUT_NAMESPACES_AND_RICH, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    validate("demo", json.loads(process.stdout.readline()))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 130
    assert errors.startswith("Playing in memory: ") and errors.count("\n") == 1
