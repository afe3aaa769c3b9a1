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
HOST = ["host", "--dev", "v1"]


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


def test_a_version_that_cannot_be_printed_is_told_of_without_a_command() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "neighio", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, "neighio: standard output: No space left on device\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--help"], ["resolve", "host", "demo", "--version"]),
        (["resolve", "--help"], ["examples:", "round_trip_ms", "exit status", "--source", "--listen"]),
        (["resolve", "--help"], ["fe80::7%eth0", "IPv6", "Neighbour Discovery"]),
        (["resolve", "--help"], ["-w", "--unicast", "--quiet", "summary", "resolve.json"]),
        (["show", "--help"], ["examples:", "-I", "--state", "refcnt", "entry.json", "exit status"]),
        (["monitor", "--help"], ["examples:", "-I", "--trace", "begun", "change.json", "exit status"]),
        (["completion", "--help"], ["bash", "zsh", "fish", "argcomplete", "exit status"]),
        (["demo", "--help"], ["--memory", "kernel", "demo.json", "exit status"]),
        (["watch", "--help"], ["examples:", "--db", "--keep", "duplicate !", "failover", "exit status"]),
        (["history", "--help"], ["examples:", "--since", "--plot", "stay", "exit status"]),
        (
            ["host", "--help"],
            ["examples:", "--tap", "--monitor", "draw", "extern_learn", "exit status", "_ms"],
        ),
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
        (["resolve"], "HOST"),
        ([*RESOLVE, "--count", "0"], "--count"),
        ([*RESOLVE, "--count", "many"], "--count"),
        ([*RESOLVE, "--interval", "-1"], "--interval"),
        ([*RESOLVE, "--interval", "nan"], "--interval"),
        ([*RESOLVE, "--listen", "inf"], "--listen"),
        ([*RESOLVE, "-w", "soon"], "--deadline"),
        ([*RESOLVE, "-q", "--json"], "--json"),
        (
            [*RESOLVE, "--cou", "3"],
            "neighio resolve: unrecognized arguments: --cou 3 (see neighio resolve --help)",
        ),
        (["--odd"], "neighio: unrecognized arguments: --odd (see neighio --help)"),
        (["top", "--odd"], "neighio top: unrecognized arguments: --odd (see neighio top --help)"),
        ([*RESOLVE, "--\x1b[31mred"], r"\x1b[31mred"),
        (["completion"], "shell"),
        (["show", "-4", "-6"], "-6"),
        (["monitor", "--kernel", "--control", "x"], "--control"),
        (["host"], "--dev"),
        ([*HOST, "--tap", "tap0"], "--tap"),
        ([*HOST, "--monitor", "xml"], "--monitor"),
        ([*HOST, "--set", "ipv4.odd=1"], "ipv4.odd: no such parameter"),
        ([*HOST, "--set", "ipv4.reachable_time=1"], "ipv4.reachable_time"),
        ([*HOST, "--set", "ipv6.dad_transmits=256"], "ipv6.dad_transmits: 256 is out of range"),
        ([*HOST, "--address", "198.51.100.1"], "address: '198.51.100.1' has no prefix length"),
        ([*HOST, "--address", "198.51.100.1/33"], "address: '198.51.100.1/33': /33 is more than /32"),
        ([*HOST, "--address", "224.0.0.1/24"], "address: 224.0.0.1 can be no station's own address"),
        (
            [*HOST, "--address", "fe80::1/64", "--address", "fe80:0::1/10"],
            "address: fe80:0::1/10 is given twice",
        ),
        ([*HOST, "--mac", "02:00"], "mac: '02:00' is no Ethernet station's address"),
        ([*HOST, "--mac", "ff:ff:ff:ff:ff:ff"], "mac: 'ff:ff:ff:ff:ff:ff' is no Ethernet station's address"),
        ([*HOST, "--mac", "zz"], "mac: 'zz' is not a link-layer address"),
        ([*HOST, "--route", "203.0.113.1/24"], "route: "),
        ([*HOST, "--route", "203.0.113.0/24", "by", "198.51.100.2"], "route: "),
        ([*HOST, "--route", "203.0.113.0/24 via odd"], "gateway: 'odd' is not an IP address"),
        ([*HOST, "--route", "default via 224.0.0.1"], "gateway: 224.0.0.1 can be no gateway"),
        ([*HOST, "--route", "203.0.113.0/24 via fe80::1"], "gateway: fe80::1 can be no gateway"),
        ([*HOST, "--route", "default via 203.0.113.1"], "gateway: 203.0.113.1 is in no network of --address"),
        (
            [*HOST, "--address", "2001:db8::1/64", "--route", "::/0 via 2001:db8:1::1"],
            "gateway: 2001:db8:1::1 is in no network of --address",
        ),
        (["host", "--dev", "a/b"], "device: 'a/b' is no interface name"),
        (["host", "--dev", "v\x1b[2J" * 5], r"\x1b[2J"),
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


def test_a_process_of_its_own_keeps_what_it_imports_from_the_collector() -> None:
    program = (
        "import gc, sys\nfrom neighio.cli import main\nsys.argv = ['neighio', 'scan']\n"
        "print(main(['scan']), gc.get_freeze_count(), main(), gc.get_freeze_count() > 0, gc.isenabled())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "2 0 2 True True\n"


def test_a_command_waits_for_no_other_ones_arguments() -> None:
    program = "import sys\nfrom neighio.cli import main\nmain(['scan'])\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    arguments = {name for name in done.stdout.split() if name.startswith("neighio.cli.arguments.")}
    assert arguments == {"neighio.cli.arguments.command", "neighio.cli.arguments.scan"}


def test_the_commands_help_brings_in_neither_rich_nor_the_demo() -> None:
    program = "import sys\nfrom neighio.cli import main\nmain(['--help'])\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "neighio.cli" in loaded
    assert not {
        "rich",
        "trio",
        "neighio.cli.demo",
        "neighio.cli.host",
        "neighio.cli.resolve",
        "neighio.testing",
    }.intersection(loaded)


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "--state", "odd"],
        ["resolve", "198.51.100.7", "--dev", "nowhere"],
        ["history", "--db", "/none", "x"],
    ],
)
def test_what_nobody_can_be_told_any_more_has_its_status_all_the_same(arguments: list[str]) -> None:
    """Standard error is a terminal that has gone."""
    master, slave = os.openpty()
    os.close(master)
    with os.fdopen(slave, "w") as gone:
        done = subprocess.run(
            [sys.executable, "-m", "neighio", *arguments], stdout=subprocess.DEVNULL, stderr=gone, check=False
        )
    assert done.returncode == 2
