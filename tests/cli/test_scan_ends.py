"""How a scan ends, and what it shows meanwhile: refusals, Ctrl-C, devices that go, pipes and terminals."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from neighio.cli import main
from neighio.testing import connect, in_namespace

from .scanning import (
    COMMAND,
    ETH_P_ARP,
    HOSTS,
    QUICK,
    SECONDS,
    THEM,
    answering_twice,
    link,
    records,
    refusal,
    scan,
    who,
)

SLOW = ["--rate", "100", "--interval", "0.2"]
WITHOUT_NET_RAW = """
import ctypes, sys
PR_CAPBSET_DROP, CAP_NET_RAW = 24, 13
if ctypes.CDLL(None, use_errno=True).prctl(PR_CAPBSET_DROP, CAP_NET_RAW, 0, 0, 0):
    raise OSError(ctypes.get_errno(), "prctl")
import os
os.execv(sys.argv[1], sys.argv[1:])
"""
WITHOUT_RICH = (
    "import sys; sys.modules['rich'] = None; from neighio.cli import main; sys.exit(main(sys.argv[1:]))"
)


# -- what cannot be meant


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "network: none is given; -l takes the device's own"),
        (["-l", "198.51.100.7"], "network: either networks are given, or -l takes the device's own"),
        (["198.51.100.9-7"], "network: '198.51.100.9-7' is reversed: it ends before it begins"),
        (["198.51.100.7", "hosts\x1b[2J"], r"network: 'hosts\x1b[2J' is no address, network or range"),
        (["224.0.0.0/24"], "network: 224.0.0.0/24 is nobody's on a link"),
        (["ff02::1"], "network: ff02::1 is nobody's on a link"),
        (["127.0.0.1"], "network: 127.0.0.1 is nobody's on a link"),
        (["0.0.0.0"], "network: 0.0.0.0 is nobody's on a link"),
        (["255.255.255.255"], "network: 255.255.255.255 is nobody's on a link"),
        (["198.51.100.7", "-6"], "network: 198.51.100.7 is not of IPv6"),
        (["2001:db8::7", "-4"], "network: 2001:db8::7 is not of IPv4"),
        (["fe80::7%eth0", "--dev", "eth1"], "network: fe80::7%eth0 is on another device than eth1"),
        (["198.51.100.7", "--rate", "0"], "argument --rate: '0' is neither a number above 0 nor max"),
        (["198.51.100.7", "--rate", "inf"], "argument --rate: 'inf' is neither a number above 0 nor max"),
        (["198.51.100.7", "--tries", "0"], "argument -r/--tries/--retry: '0' is no whole number above 0"),
        (["198.51.100.7", "--timeout", "soon"], "argument -t/--timeout: 'soon' is no number of milliseconds"),
        (
            ["198.51.100.7", "-t", "1", "--interval", "1"],
            "argument --interval: not allowed with argument -t/--timeout",
        ),
        (["198.51.100.7", "-q", "--json"], "argument -j/--json: not allowed with argument -q/--quiet"),
    ],
)
def test_what_cannot_be_meant_is_one_line_that_names_it(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["scan", *arguments]) == 2
    printed = capsys.readouterr()
    assert (
        printed.out == "" and printed.err.startswith(f"neighio scan: {why}") and printed.err.count("\n") == 1
    )


@in_namespace
def test_what_cannot_be_done_on_this_link_is_refused_before_anybody_is_asked() -> None:
    with link(ipv6=["fe80::7"]) as (here, peer):
        connect(here, peer, "eth1", "eth1")
        here.add_address("eth1", "203.0.113.1/24")
        here.add_route("eth0", "198.18.0.0/24", "198.51.100.7")
        wire = peer.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP))
        for words, why in {
            "198.51.100.7 --dev eth9": "device: there is no interface 'eth9'; there is eth0, eth1, lo",
            "198.51.100.7 --dev a/b": "device: 'a/b' is no interface name",
            "198.19.0.0/24": "network: there is no route to 198.19.0.0/24; name the device with --dev",
            "198.19.0.0/24 --dev eth0": "network: 198.19.0.0/24 is not on the link of eth0; --force asks for it",
            "198.18.0.7": "network: 198.18.0.7 is not on the link of eth0; --force asks for it",
            "198.51.100.0/23 --dev eth0": "network: 198.51.100.0/23 is not on the link of eth0",
            "198.51.100.7 203.0.113.7": "network: 198.51.100.7 is on eth0 and 203.0.113.7 on eth1; one device",
            "fe80::7": "network: fe80::7 is on every link; name the device with --dev",
            "fe80::7 --dev eth1": "device: eth1 has no link-local address from which to ask",
            "198.51.100.1": "network: 198.51.100.1 is this host's own, and there is nobody else",
            "198.51.100.1 2001:db8::1 --dev eth0": "network: 198.51.100.1, 2001:db8::1 are this host's own, and",
            "198.0.0.0/11 --dev eth0 --force": "network: 2,097,152 addresses are more than 2^20; --yes asks them all (35 min at 1000/s)",
            "2001:db8::/64 --yes": "network: 2^64 addresses are not to be asked one by one; -l -6 asks",
            "-l -6 --dev eth1": "device: eth1 has no IPv6 network of its own to ask on",
            "-l --dev lo": "device: lo has no IPv4 or IPv6 network of its own to ask on",
        }.items():
            assert refusal(*words.split()).startswith(why)
        here.set_link("eth1", arp=False)
        assert refusal("-l", "--dev", "eth1") == "device: eth1 has no neighbours to ask for (NOARP)\n"
        here.set_link("eth1", up=False)
        assert refusal("-l", "--dev", "eth1") == "eth1 is down\n"
        with wire:
            wire.setblocking(False)
            with pytest.raises(BlockingIOError):
                wire.recv(2048)


@in_namespace
def test_force_and_yes_are_taken_at_their_word() -> None:
    with link() as (here, peer):
        peer.add_address("eth0", "203.0.113.7/24")
        here.sysctl("net/ipv4/conf/eth0/rp_filter", 0)
        peer.add_route("eth0", "198.51.100.0/24")
        status, output, _ = scan("203.0.113.0/28", "--dev", "eth0", "--force", "-q", *QUICK)
        assert (status, output.split()) == (0, ["203.0.113.7", THEM])
        # Long before its end; that it begins is what --yes is for.
        with subprocess.Popen(
            [
                *COMMAND,
                "203.0.112.0-203.255.255.255",
                "198.51.100.7",
                "--dev",
                "eth0",
                "--force",
                "--yes",
                "--json",
            ],
            stdout=subprocess.PIPE,
            text=True,
        ) as command:
            assert command.stdout is not None
            begun = json.loads(command.stdout.readline())
            command.send_signal(signal.SIGINT)
            rest = command.stdout.read()
            assert command.wait(SECONDS) == 130
        assert begun["asked"] > 1 << 20
        assert json.loads(rest.splitlines()[-1])["interrupted"] is True


@in_namespace
def test_a_missing_privilege_is_told_with_what_to_do() -> None:
    with link():
        text = refusal("-l", prefix=(sys.executable, "-c", WITHOUT_NET_RAW))
    assert "CAP_NET_RAW" in text and "sudo" in text


# -- ends before its time


@in_namespace
def test_ctrl_c_ends_it_with_what_it_has() -> None:
    with link(*HOSTS):
        for form in (["--json"], []):
            with subprocess.Popen(
                [*COMMAND, "198.51.100.0/24", *SLOW, *form],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ) as command:
                assert command.stdout is not None and command.stderr is not None
                seen = [command.stdout.readline() for _ in range(3)]
                command.send_signal(signal.SIGINT)
                output, errors = "".join(seen) + command.stdout.read(), command.stderr.read()
                assert command.wait(SECONDS) == 130
            assert "Traceback" not in errors
            if form:
                *found, end = records(output)
                assert end["interrupted"] is True and end["error"] is None
                assert end["answered"] == len(who(found)) >= 2 and end["requests"] < 3 * 254
            else:
                assert output.splitlines()[-1].endswith("; interrupted")


@contextmanager
def all_nodes_have_answered() -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A scan of all nodes that goes on, and its lines so far: its start, and two who were found."""
    with subprocess.Popen(
        [*COMMAND, "-l", "-6", "--tries", "100", "--interval", "0.3", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout is not None
        watchdog = threading.Timer(SECONDS / 2, command.kill)
        watchdog.start()
        seen = [command.stdout.readline() for _ in range(3)]
        watchdog.cancel()
        yield command, seen


@in_namespace
def test_ctrl_c_while_all_nodes_are_asked_has_those_who_have_answered() -> None:
    with (
        link(ipv6=["fe80::7", "2001:db8::7"]),
        all_nodes_have_answered() as (command, seen),
    ):
        assert command.stdout is not None and command.stderr is not None
        command.send_signal(signal.SIGINT)
        output, errors = "".join(seen) + command.stdout.read(), command.stderr.read()
        assert command.wait(SECONDS) == 130
    assert "Traceback" not in errors
    *found, end = records(output)
    assert who(found) == ["2001:db8::7", "fe80::7"]
    assert (end["interrupted"], end["answered"], end["asked"]) == (True, 2, 2)


@in_namespace
def test_a_device_that_goes_down_while_all_nodes_are_asked_ends_it_with_what_it_has() -> None:
    with (
        link(ipv6=["fe80::7", "2001:db8::7"]) as (here, _),
        all_nodes_have_answered() as (command, seen),
    ):
        assert command.stdout is not None and command.stderr is not None
        here.set_link("eth0", up=False)
        output, errors = "".join(seen) + command.stdout.read(), command.stderr.read()
        assert command.wait(SECONDS) == 2
    assert errors == "neighio scan: eth0 is down\n"
    *found, end = records(output)
    assert who(found) == ["2001:db8::7", "fe80::7"]
    assert (end["error"], end["answered"]) == ("eth0 is down", 2)


@in_namespace
def test_a_device_that_goes_down_or_away_ends_it_with_what_it_has() -> None:
    for how, why in {"down": "eth0 is down", "away": "eth0 was removed"}.items():
        with link(*HOSTS) as (here, _):
            with subprocess.Popen(
                [*COMMAND, "198.51.100.0/24", *SLOW, "--json"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            ) as command:
                assert command.stdout is not None and command.stderr is not None
                seen = [command.stdout.readline() for _ in range(3)]
                if how == "down":
                    here.set_link("eth0", up=False)
                else:
                    here.delete_link("eth0")
                output, errors = "".join(seen) + command.stdout.read(), command.stderr.read()
                assert command.wait(SECONDS) == 2
            assert errors == f"neighio scan: {why}\n"
            *found, end = records(output)
            assert (end["error"], end["interrupted"]) == (why, False)
            assert end["answered"] == len(who(found)) >= 2


@in_namespace
def test_a_closed_pipe_ends_it() -> None:
    with (
        link(*HOSTS),
        subprocess.Popen(
            [*COMMAND, "198.51.100.0/24", "--rate", "100"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as command,
    ):
        assert command.stdout is not None and command.stderr is not None
        for _ in range(3):
            command.stdout.readline()
        command.stdout.close()
        assert command.wait(SECONDS) == 0
        assert "Traceback" not in command.stderr.read()


@in_namespace
def test_a_device_that_goes_down_is_told_of_when_nobody_reads_any_more() -> None:
    with (
        link(HOSTS[0]) as (here, _),
        subprocess.Popen(
            [*COMMAND, HOSTS[0], "198.51.100.9", "--interval", "1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as command,
    ):
        assert command.stdout is not None and command.stderr is not None
        for _ in range(2):
            command.stdout.readline()
        command.stdout.close()
        here.set_link("eth0", up=False)
        assert command.stderr.read() == "neighio scan: eth0 is down\n"
        assert command.wait(SECONDS) == 2


@in_namespace
def test_two_scans_of_one_device_do_not_disturb_each_other() -> None:
    with link(*HOSTS):
        words = [*COMMAND, "198.51.100.0/24", "--rate", "1000", *QUICK, "--json"]
        both = [
            subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        for command in both:
            output, errors = command.communicate(timeout=SECONDS)
            assert (command.returncode, errors) == (0, "")
            assert who(records(output)) == HOSTS


# -- terminals


def on_a_terminal(command: list[str], **environment: str) -> str:
    """Run a command with a terminal of 80 columns as its output and for its errors; return what it wrote there."""
    leader, follower = os.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    written = bytearray()

    def read() -> None:
        # EIO: nobody has the other end open any more.
        try:
            while piece := os.read(leader, 65536):
                written.extend(piece)
        except OSError:
            pass

    reader = threading.Thread(target=read)
    reader.start()
    plain = {
        name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")
    }
    done = subprocess.run(
        command,
        stdout=follower,
        stderr=follower,
        timeout=SECONDS,
        check=False,
        env={**plain, "TERM": "xterm", **environment},
    )
    os.close(follower)
    reader.join()
    os.close(leader)
    assert done.returncode == 0
    return written.decode()


def picture(written: str) -> list[str]:
    """What is left on the screen, by the few sequences of ECMA-48 that move the cursor or erase."""
    lines, row, column = [""], 0, 0
    for plain, count, final in re.findall(r"([^\x1b])|\x1b\[\??([0-9;]*)([A-Za-z])", written):
        if plain == "\r":
            column = 0
        elif plain == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif plain:
            lines[row] = lines[row][:column].ljust(column) + plain + lines[row][column + 1 :]
            column += 1
            assert column <= 80, lines[row]
        elif final == "A":
            row -= int(count or 1)
        elif final == "K":
            lines[row] = "" if count == "2" else lines[row][:column]
    return lines


TERMINAL_SCAN = ["198.51.100.0/25", "--rate", "90", "--tries", "1", "--interval", "0.2", "--dev", "eth0"]


@in_namespace
def test_a_bar_with_rate_and_time_left_is_drawn_on_a_terminal_and_erased() -> None:
    with link(*HOSTS[:4]):
        written = on_a_terminal([*COMMAND, *TERMINAL_SCAN])
    assert re.search(r"\d+%.*\d+ requests  \d+/s .*\d:\d\d:\d\d", written)
    note, head, *lines, end, last = picture(written)
    assert note.startswith("neighio scan: 198.51.100.1 is") and head.startswith("eth0")
    assert sorted(line.split()[0] for line in lines if line) == HOSTS[:4]
    assert end.startswith("4 of 127 answered in ") and last == ""


@in_namespace
def test_without_rich_it_is_a_line() -> None:
    with link(*HOSTS[:4]):
        written = on_a_terminal([sys.executable, "-c", WITHOUT_RICH, "scan", *TERMINAL_SCAN])
    assert re.search(r"\r\x1b\[K *\d+%  \d+ requests  \d+/s  0:00:\d\d left", written)
    _, _, *lines, end, last = picture(written)
    assert sorted(line.split()[0] for line in lines) == HOSTS[:4]
    assert end.startswith("4 of 127 answered in ") and last == ""


@in_namespace
def test_duplicates_are_coloured_on_a_terminal_unless_no_color_is_set() -> None:
    words = [*COMMAND, "198.51.100.7", "--dev", "eth0"]
    with link() as (_, peer), answering_twice(peer):
        assert f"\x1b[31mduplicate: {THEM} too\x1b[0m" in on_a_terminal(words)
        plain = on_a_terminal(words, NO_COLOR="1")
        assert f"duplicate: {THEM} too" in plain and "\x1b" not in plain


@in_namespace
def test_nothing_is_drawn_where_there_is_no_terminal() -> None:
    with link(*HOSTS[:4]):
        status, output, errors = scan(*TERMINAL_SCAN)
        dumb = on_a_terminal([*COMMAND, *TERMINAL_SCAN], TERM="dumb")
    assert (status, len(output.splitlines())) == (0, 6) and "\x1b" not in output + errors
    assert "\x1b" not in dumb and "/s" in dumb.splitlines()[-1]
