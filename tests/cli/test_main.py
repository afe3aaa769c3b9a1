"""The door itself: usage, help, version, and what each of them returns."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import neighio
from neighio.cli import main
from neighio.cli.output import printable

RESOLVE = ["resolve", "198.51.100.7"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in an interpreter of its own, as a user does."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "neighio", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )


def test_python_m_neighio_is_the_command() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"neighio {neighio.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--help"], ["resolve", "demo", "--version"]),
        (["resolve", "--help"], ["examples:", "round_trip_ms", "exit status", "--source", "--listen"]),
        (["demo", "--help"], ["--memory", "kernel"]),
    ],
)
def test_help_says_what_there_is(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert [word for word in words if word not in printed] == []


def test_without_a_command_the_help_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "COMMAND" in printed.err


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["nonsense"], "nonsense"),
        (["resolve"], "IP"),
        ([*RESOLVE, "--count", "0"], "--count"),
        ([*RESOLVE, "--count", "many"], "--count"),
        ([*RESOLVE, "--interval", "-1"], "--interval"),
        ([*RESOLVE, "--interval", "nan"], "--interval"),
        ([*RESOLVE, "--listen", "inf"], "--listen"),
        ([*RESOLVE, "--cou", "3"], "--cou"),
        ([*RESOLVE, "--\x1b[31mred"], r"\x1b[31mred"),
    ],
)
def test_a_usage_error_is_one_line_that_names_what_is_wrong(
    arguments: list[str], names: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1 and names in printed.err and "\x1b" not in printed.err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("eth0 198.51.100.7", "eth0 198.51.100.7"),
        ("a\x1b[2Jb", r"a\x1b[2Jb"),
        ("a\rb\nc\x00", r"a\rb\nc\x00"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202e\udc80", r"\u202e\udc80"),
    ],
)
def test_nothing_reaches_a_terminal_that_it_would_obey(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_the_commands_help_brings_in_neither_rich_nor_the_demo() -> None:
    program = "import sys\nfrom neighio.cli import main\nmain(['--help'])\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "neighio.cli" in loaded
    assert not {"rich", "neighio.cli.demo", "neighio.cli.resolve", "neighio.testing"}.intersection(loaded)
