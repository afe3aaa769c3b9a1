"""``neighio completion``: shells take its script, and complete commands, options, devices and states."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import neighio as package
from neighio.core.constants import NUD_NAMES
from neighio.testing import in_namespace

from .hosting import SECONDS, link
from .looking import directory, neighio, on_a_full_disk, refusal
from .schemas import validate

PACKAGES = str(Path(package.__file__).parents[1])
"""Where the package is that is tested."""

BASH = """
eval "$(neighio completion bash)"
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9
_python_argcomplete neighio
((${#COMPREPLY[@]})) && printf '%s\\n' "${COMPREPLY[@]}"
true
"""
ZSH = """
autoload -U compinit && compinit -u -D
eval "$(neighio completion zsh)"
print -r -- ${_comps[neighio]}
"""
FISH = "neighio completion fish | source; complete -C $argv[1]"
WITHOUT = "import sys; sys.modules['argcomplete'] = None; from neighio.cli import main; sys.exit(main(sys.argv[1:]))"


@contextmanager
def shell(*command: str) -> Iterator[list[str]]:
    """Run a shell in a directory with a file in it, with ``neighio`` on its path; yield the lines it printed."""
    with directory() as place:
        program = place / "bin" / "neighio"
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -W error -m neighio "$@"\n')
        program.chmod(0o755)
        (place / "work").mkdir()
        (place / "work" / "capture.pcap").touch()
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            cwd=place / "work",
            env={
                **os.environ,
                "PATH": f"{program.parent}:{os.environ['PATH']}",
                "PYTHONPATH": os.pathsep.join(filter(None, (PACKAGES, os.environ.get("PYTHONPATH")))),
                "HOME": str(place),
            },
        )
        assert (done.returncode, done.stderr) == (0, "")
        yield done.stdout.splitlines()


def in_bash(line: str) -> list[str]:
    """What bash offers behind a line."""
    with shell("bash", "--norc", "-c", BASH, "bash", line) as printed:
        return [word.rstrip() for word in printed]


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("neighio sho", ["show"]),
        ("neighio show --sta", ["--statistics", "--state"]),
        ("neighio show --state re", ["reachable"]),
        ("neighio show --state ", ["all", "none", *(name.lower() for name in NUD_NAMES.values())]),
        ("neighio host --monitor ", ["text", "json"]),
        ("neighio completion ", ["-h", "--help", "-j", "--json", "bash", "zsh", "fish"]),
        ("neighio replay cap", ["capture.pcap"]),
        ("neighio show --control cap", ["capture.pcap"]),
        # What nobody can know is not completed as a file.
        ("neighio resolve cap", []),
        ("neighio resolve --count ", []),
    ],
)
def test_bash_completes(line: str, offered: list[str]) -> None:
    assert sorted(in_bash(line)) == sorted(offered)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_every_command_is_offered_and_no_other() -> None:
    _, text, _ = neighio("--help")
    named = text.partition("COMMAND\n")[2].partition("\n\n")[0].splitlines()
    commands = [line.split()[0] for line in named if line.startswith("    ") and line[4] != " "]
    assert "show" in commands and "completion" in commands
    assert sorted(word for word in in_bash("neighio ") if not word.startswith("-")) == sorted(commands)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@in_namespace
def test_devices_are_those_that_there_are_and_none_that_a_terminal_would_obey() -> None:
    with link() as (here, _):
        assert sorted(in_bash("neighio show --dev ")) == ["lo", "v1"]
        here.set_link("v1", up=False)
        here.set_link("v1", rename="a\x1b[2J")
        assert in_bash("neighio resolve -I ") == ["lo"]


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_takes_the_script() -> None:
    with shell("zsh", "-f", "-c", ZSH) as printed:
        assert printed == ["_python_argcomplete"]


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("neighio sho", ["show"]),
        ("neighio show --state re", ["reachable"]),
        ("neighio replay cap", ["capture.pcap"]),
        ("neighio resolve cap", []),
    ],
)
def test_fish_completes(line: str, offered: list[str]) -> None:
    with shell("fish", "--no-config", "-c", FISH, line) as printed:
        assert [word.partition("\t")[0] for word in printed] == offered


def test_without_the_package_it_says_how_to_get_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, "completion", "bash"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "neighio completion: the package argcomplete is missing: pip install 'neighio[cli]'\n"
    )


def test_without_the_package_a_shell_that_asks_gets_no_answer() -> None:
    asks = {"_ARGCOMPLETE": "1", "COMP_LINE": "neighio sh", "COMP_POINT": "10"}
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **asks},
    )
    assert done.stdout == "" and "Traceback" not in done.stderr


def test_a_full_disk_is_told_in_one_line() -> None:
    assert on_a_full_disk("completion", "zsh") == (
        "neighio completion: standard output: No space left on device\n"
    )


def test_an_unknown_shell_is_refused() -> None:
    assert "tcsh" in refusal("completion", "tcsh")


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_json_is_the_shell_and_its_script(name: str) -> None:
    plain, told = (
        subprocess.run(
            [sys.executable, "-m", "neighio", "completion", name, *more],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=True,
        ).stdout
        for more in ([], ["--json"])
    )
    record = json.loads(told)
    validate("completion", record)
    assert (record["shell"], f"{record['script']}\n") == (name, plain) and told.count("\n") == 1
