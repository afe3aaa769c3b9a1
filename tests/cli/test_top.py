"""``neighio top`` as somebody at a terminal uses it: an instance's neighbours, the kernel's, those heard on a device."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from neighio.testing import in_namespace
from neighio.wire import arp

from .hosting import ADDRESSES, THEM, Running, link, ping
from .schemas import validate
from .screen import Person
from .test_top_model import change, entry

TOP = [sys.executable, "-W", "error", "-m", "neighio", "top"]
BUG = "import sys; from neighio.cli.top.drawing import Pen; del Pen._row; from neighio.cli import main; sys.exit(main())"

MANY = """
import sys, trio, neighio
from neighio.testing import Segment

async def main():
    link = Segment(trio.current_time).attach("02:00:00:00:00:0a", name="va")
    device = neighio.Device(link, addresses=["198.18.0.1/15"])
    async with neighio.open_table(device, control=sys.argv[1]) as table:
        table.arp.gc_thresh1 = table.arp.gc_thresh2 = table.arp.gc_thresh3 = 1 << 20
        for number in range(256, 100_256):
            ip = f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
            table.add(ip, lladdr=f"02:00:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}")
        print("ready", flush=True)
        await trio.to_thread.run_sync(sys.stdin.readline)
        table.delete("198.18.1.0")
        await trio.to_thread.run_sync(sys.stdin.readline)

trio.run(main)
"""


def run(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Run it without a terminal; return its exit status, its output and its errors."""
    done = subprocess.run(
        [*TOP, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **environment},
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


class Pretender:
    """Something that listens where an instance might, and says what it was told to say to those who monitor:
    to each who connects the next list, to the last ones nothing."""

    def __init__(self, path: str, *said: list[dict[str, Any]]) -> None:
        self._said = iter(said)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen()
        self._streams: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._serve)

    def _start(self, task: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=task, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            self._streams.append(stream)
            self._start(self._answer, stream)

    def _answer(self, stream: socket.socket) -> None:
        with stream, stream.makefile() as lines, suppress(BrokenPipeError, ConnectionResetError):
            self._say(stream, {"kind": "hello", "protocol": 1, "version": "0", "pid": 1, "devices": ["v1"]})
            for line in lines:
                request = json.loads(line)["request"]
                if request == "monitor":
                    for record in next(self._said, []):
                        self._say(stream, record)
                else:
                    self._say(stream, {"kind": "stats"} if request == "stats" else {"kind": "end"})

    def _say(self, stream: socket.socket, record: dict[str, Any]) -> None:
        stream.sendall(json.dumps(record).encode() + b"\n")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for stream in self._streams:
            with suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()


@contextmanager
def pretending(path: Path, *said: list[dict[str, Any]]) -> Iterator[str]:
    pretender = Pretender(str(path), *said)
    try:
        yield str(path)
    finally:
        pretender.close()


BEGUN, IDLE = {"kind": "begun", "time": 0.0, "wall": ""}, {"kind": "idle", "time": 0.0, "wall": ""}
A_FEW = [BEGUN, *(entry(f"198.51.100.{number}") for number in range(1, 51)), IDLE]


# -- whose neighbours


@in_namespace
def test_an_instances_neighbours_are_seen_sorted_and_filtered_as_they_live() -> None:
    with link() as (_, peer), Running(*ADDRESSES, "--control", "x.sock") as host:
        host.ready()
        with Person("top", "--control", "x.sock", size=(130, 30)) as person:
            person.shows("shown, by address", "q quit")
            ping(peer, "198.51.100.1")
            person.until(lambda: person.rows() == ["198.51.100.2"])
            person.until(lambda: person.rows(2) == [THEM])
            for number in (3, 4):
                host.do(f"add 198.51.100.{number} lladdr 02:00:00:00:00:0{number} nud permanent")
            host.do("add 2001:db8::9 lladdr 02:00:00:00:00:01 nud permanent")
            person.until(lambda: person.rows()[1:] == ["198.51.100.3", "198.51.100.4", "2001:db8::9"])
            person.shows("9 PERMANENT         3 ||", "IPv4       3 of 128/512/1,024 [|")
            host.do("change 198.51.100.4 lladdr 02:00:00:00:00:0c nud permanent")
            person.shows("was at 02:00:00:00:00:04 by admin")
            person.press(*"ss")
            person.until(lambda: person.rows()[0] == "2001:db8::9" and "by lladdr" in person.lines[0])
            person.press("r")
            person.until(lambda: person.rows()[0] == "198.51.100.4" and "LLADDRv" in person.lines[6])
            person.press("/", *"00:03", "enter")
            person.until(lambda: person.rows() == ["198.51.100.3"])
            host.do("del 198.51.100.3")
            person.until(lambda: person.rows() == [])
            person.press("escape", "f", "f")
            person.until(lambda: person.rows() == ["2001:db8::9"])
            person.press("q")
            assert person.end() == 0
        assert host.end() == (0, "", "")


@in_namespace
def test_ages_go_on_though_nothing_is_told_of_them() -> None:
    with link() as (_, peer), Running(*ADDRESSES, "--control", "x.sock") as host:
        host.ready()
        ping(peer, "198.51.100.1")
        host.do("change 198.51.100.2 nud reachable")
        with Person("top", "--control", "x.sock") as person:

            def seconds(column: int) -> int:
                return int(person.rows(column)[0].removesuffix("s"))

            # Later it is older; used anew, which nobody is told of, it is younger.
            person.until(lambda: seconds(5) >= 2 and seconds(6) >= 2)
            host.do("change 198.51.100.2 use")
            person.until(lambda: seconds(6) + 1 < seconds(5))
            person.until(lambda: (person.rows(3), person.rows(8)) == (["REACHABLE"], ["0"]))


@in_namespace
def test_the_kernels_neighbours_are_seen() -> None:
    with link() as (here, _):
        here.add_address("v1", "198.51.100.1/24")
        with Person("top", "--kernel") as person:
            person.shows("the kernel", "q quit", "IPv4 ")
            ping(here, "198.51.100.2")
            person.until(lambda: person.rows() == ["198.51.100.2"])
            person.until(lambda: (person.rows(2), person.rows(3)) == ([THEM], ["REACHABLE"]))
            here.set_link("v1", up=False)
            person.until(lambda: person.rows() == [])
            person.press("q")
            assert person.end() == 0


@in_namespace
def test_who_is_heard_on_a_device_is_seen_and_nothing_is_sent() -> None:
    with link(quiet=True) as (here, peer):
        here.add_address("v1", "198.51.100.1/24")
        theirs, ours = bytes.fromhex(THEM.replace(":", "")), bytes([198, 51, 100, 1])
        with peer.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
            wire.bind(("v2", 0x0806))
            with Person("top", "-I", "v1") as person:
                person.shows("heard on v1", "q quit")
                for number, target in ((2, ours), (3, bytes([198, 51, 100, 3]))):
                    # Who asks for us, and who announces itself.
                    own = bytes([198, 51, 100, number])
                    wire.send(
                        arp.build(
                            arp.ARPOP_REQUEST, own, theirs, target, bytes(6), dst=b"\xff" * 6, src=theirs
                        )
                    )
                person.until(lambda: person.rows() == ["198.51.100.2", "198.51.100.3"])
                person.until(lambda: (person.rows(2), person.rows(3)) == ([THEM] * 2, ["STALE"] * 2))
                person.press("q")
                assert person.end() == 0
            wire.setblocking(False)
            sent = []
            while True:
                try:
                    sent.append(arp.parse(wire.recv(2048)))
                except BlockingIOError:
                    break
            # The kernel has answered for its own address; nobody has asked for anything.
            assert sent and all(not isinstance(each, str) and each[0] == arp.ARPOP_REPLY for each in sent)


def test_a_hundred_thousand_are_scrolled_sorted_and_filtered(tmp_path: Path) -> None:
    path = str(tmp_path / "x.sock")
    instance = subprocess.Popen(
        [sys.executable, "-c", MANY, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )
    assert instance.stdin is not None and instance.stdout is not None
    try:
        assert instance.stdout.readline() == b"ready\n"
        with Person("top", "--control", path, size=(120, 40)) as person:
            person.shows("100,000 of 100,000 shown", "q quit")
            person.until(lambda: person.rows()[0] == "198.18.1.0")
            person.press("end")
            person.until(lambda: person.rows()[-1] == "198.19.135.159")
            person.press("page up")
            person.until(lambda: person.rows()[-1] == f"198.19.135.{159 - len(person.rows())}")
            person.press("s", "s", "r")
            person.until(lambda: person.rows(2)[0] == "02:00:00:01:87:9f")
            person.press("/", *"198.18.77.", "enter")
            person.until(lambda: {row.rpartition(".")[0] for row in person.rows()} == {"198.18.77"})
            person.press("escape", *"S" * 2)
            person.until(lambda: person.rows()[0] == "198.18.1.0")
            instance.stdin.write(b"\n")
            person.until(lambda: person.rows()[0] == "198.18.1.1")
            person.shows("99,999 of 99,999 shown", "IPv4  99,999 of 1,048,576/1,048,576/1,048,576 [|||")
            person.press("q")
            assert person.end() == 0
    finally:
        instance.kill()
        instance.wait()
        instance.stdin.close()
        instance.stdout.close()


# -- the terminal


def test_a_larger_and_a_smaller_window_is_filled(tmp_path: Path) -> None:
    with (
        pretending(tmp_path / "x.sock", A_FEW) as path,
        Person("top", "--control", path, size=(100, 30)) as person,
    ):
        person.until(lambda: len(person.rows()) == 30 - 6)
        person.resize(60, 12)
        person.until(lambda: person.lines[0].startswith("neighio top") and len(person.rows()) == 12 - 3)
        assert person.lines[1].split()[0] == "ADDRESS^" and person.lines[-1].startswith("q quit")
        person.resize(140, 60)
        person.until(lambda: len(person.rows()) == 50 and "LAST CHANGE" in person.lines[4])
        assert person.lines[-1].startswith("q quit")


@pytest.mark.parametrize(
    ("how", "status"),
    [("q", 0), ("ctrl-c", 130), (signal.SIGTERM, 0), (signal.SIGHUP, 0), (signal.SIGINT, 130)],
)
def test_however_it_ends_the_terminal_is_as_it_was(
    how: str | signal.Signals, status: int, tmp_path: Path
) -> None:
    with pretending(tmp_path / "x.sock", A_FEW) as path, Person("top", "--control", path) as person:
        person.shows("50 of 50 shown")
        if isinstance(how, signal.Signals):
            person.process.send_signal(how)
        else:
            person.press(how)
        assert person.end() == status


def test_it_ends_with_its_terminal(tmp_path: Path) -> None:
    with pretending(tmp_path / "x.sock", A_FEW) as path, Person("top", "--control", path) as person:
        person.shows("50 of 50 shown")
        # By whichever it notices first: that there are no keys any more, that nothing can be written, SIGHUP.
        assert person.hang_up() in (0, 2, -signal.SIGHUP)


@in_namespace
def test_when_the_instance_ends_that_is_said_on_the_usual_screen() -> None:
    with link(), Running(*ADDRESSES, "--control", "x.sock") as host:
        host.ready()
        with Person("top", "--control", "x.sock") as person:
            person.shows("q quit")
            host.end()
            assert person.end() == 0
            assert person.output.endswith(b"neighio top: the instance has ended\r\n")


def test_a_bug_leaves_the_terminal_as_it_was_and_its_traceback_to_be_read(tmp_path: Path) -> None:
    with (
        pretending(tmp_path / "x.sock", A_FEW) as path,
        Person("top", "--control", path, program=["-c", BUG]) as person,
    ):
        assert person.end() == 1
        assert (
            b"AttributeError: 'Pen' object has no attribute '_row'"
            in person.output.rpartition(b"\x1b[?1049l")[2]
        )


def test_it_stops_and_goes_on_as_its_shell_wants(tmp_path: Path) -> None:
    with (
        pretending(tmp_path / "x.sock", A_FEW) as path,
        Person("top", "--control", path, shell=True) as person,
    ):
        person.shows("50 of 50 shown")
        person.press("ctrl-z")
        assert person.shell.recv(8) == b"restored"
        while person.read(0):
            pass
        person.is_restored()
        drawn = len(person.output)
        person.shell.send(b"!")
        person.until(lambda: b"\x1b[?1049h" in person.output[drawn:] and len(person.rows()) == 24)
        person.press("end")
        person.until(lambda: person.rows()[-1] == "198.51.100.50")
        person.press("q")
        assert person.end() == 0


def test_it_draws_anew_when_it_was_stopped_without_a_word(tmp_path: Path) -> None:
    with (
        pretending(tmp_path / "x.sock", A_FEW) as path,
        Person("top", "--control", path, shell=True) as person,
    ):
        person.shows("50 of 50 shown")
        drawn = len(person.output)
        person.press("h")
        person.shows("any key goes back")
        job = os.tcgetpgrp(person.master)
        os.kill(job, signal.SIGSTOP)
        assert person.shell.recv(8) == b"changed!"
        person.shell.send(b"!")
        drawn = len(person.output)
        person.until(lambda: b"any key goes back" in person.output[drawn:])
        person.press("q")
        assert person.end() == 0


def test_pressing_many_keys_at_once_and_escape_alone(tmp_path: Path) -> None:
    with pretending(tmp_path / "x.sock", A_FEW) as path, Person("top", "--control", path) as person:
        person.shows("50 of 50 shown")
        person.press("".join(["/", "7", "\r", "s", "\x1b[B"]))
        person.until(lambda: person.rows() == [f"198.51.100.{n}" for n in (7, 17, 27, 37, 47)])
        person.press("escape")
        person.shows("50 of 50 shown, by device")


def test_what_stands_still_is_not_told_of_until_it_goes_on(tmp_path: Path) -> None:
    with pretending(tmp_path / "x.sock", A_FEW) as path, Person("top", "--control", path) as person:
        person.shows("50 of 50 shown")
        person.press(" ", "s", "r")
        person.shows("by device, PAUSED")
        person.press(" ")
        person.until(lambda: "PAUSED" not in person.lines[0])


def test_colours_are_for_those_who_want_them(tmp_path: Path) -> None:
    for environment, coloured in (({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False)):
        with (
            pretending(tmp_path / f"{coloured}.sock", A_FEW) as path,
            Person("top", "--control", path, environment=environment) as person,
        ):
            person.shows("50 of 50 shown")
            person.press("q")
            assert person.end() == 0
            assert (b"\x1b[33mSTALE" in person.output) is coloured
            assert bool(re.search(rb"\x1b\[[34]\dm", person.output)) is coloured


def test_nothing_that_it_is_told_reaches_the_terminal_unescaped(tmp_path: Path) -> None:
    odd = "\x1b]0;x\x07\x9b\u202e"
    said = [
        BEGUN,
        entry("198.51.100.1", device=odd, lladdr=odd, flags=[odd]),
        IDLE,
        {**change("198.51.100.1", "STALE", "DELAY", stimulus=odd), "device": odd, "time": 0.0, "wall": ""},
    ]
    with (
        pretending(tmp_path / "x.sock", said) as path,
        Person("top", "--control", path, size=(250, 30)) as person,
    ):
        person.shows(r"by \x1b]0;x\x07\x9b\u202e")
        person.press("q")
        person.end()
        assert b"\x1b]" not in person.output and b"\x07" not in person.output
        assert person.output.isascii()


# -- what an instance does


def test_where_more_happened_than_could_be_told_all_is_read_anew(tmp_path: Path) -> None:
    lost = {"kind": "error", "error": "more than 8192 changes waited to be read: some are lost"}
    again = [BEGUN, entry("198.51.100.2"), entry("198.51.100.77", state="REACHABLE"), IDLE]
    with (
        pretending(tmp_path / "x.sock", [*A_FEW, lost], again) as path,
        Person("top", "--control", path) as person,
    ):
        person.shows("2 of 2 shown", "lost 1")
        person.until(lambda: person.rows() == ["198.51.100.2", "198.51.100.77"])
        person.press("q")
        assert person.end() == 0


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([{"kind": "error", "error": "there is no \x1b[2J"}] * 3, r"there is no \x1b[2J"),
        ([BEGUN, entry("odd")], "ip: "),
        ([BEGUN, entry("198.51.100.1", state="ODD")], "state: 'ODD' makes no sense"),
        ([BEGUN, entry("198.51.100.1", used="long")], "used: 'long' makes no sense"),
        ([BEGUN, {"kind": "odd"}], "kind: 'odd' makes no sense"),
        ([{**BEGUN, "time": None}], "time: None makes no sense"),
    ],
)
def test_what_makes_no_sense_ends_it_with_a_line(
    said: list[dict[str, Any]], told: str, tmp_path: Path
) -> None:
    each = [said] * 3
    with pretending(tmp_path / "x.sock", *each) as path, Person("top", "--control", path) as person:
        assert person.end() == 2
        line = person.output.rpartition(b"\x1b[?1049l")[2].decode("ascii")
        assert line.startswith("neighio top: ") and told in line and line.count("\n") == 1


# -- without a terminal


def test_without_a_terminal_it_says_what_to_do_instead() -> None:
    status, output, errors = run()
    assert (status, output) == (2, "")
    assert errors == (
        "neighio top: standard input is no terminal; neighio show and neighio monitor print plain lines, "
        "and so do --once and --json\n"
    )
    with Person("top", "--kernel", environment={"TERM": "dumb"}) as person:
        assert person.end() == 2
        assert b"neighio top: a terminal of the type 'dumb' cannot be drawn on; neighio show" in person.output
        assert b"\x1b" not in person.output


def test_once_it_is_plain_lines(tmp_path: Path) -> None:
    with pretending(tmp_path / "x.sock", A_FEW) as path:
        status, output, errors = run("--control", path, "--once", "--sort", "last-change", COLUMNS="80")
        assert (status, errors) == (0, "")
        lines = output.splitlines()
        assert sum(line.startswith("198.51.100.") for line in lines) == 50
        assert "50 of 50 shown, by last change" in lines[0] and lines[4].startswith("ADDRESS ")
        assert "\x1b" not in output and max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--once", "--dev", "v1"], "once: on a device is heard only what is said from now on"),
        (["--once", "--control", "/nowhere/x.sock"], "control: /nowhere/x.sock: No such file or directory"),
        (["--sort", "odd"], "--sort"),
        (["--kernel", "--dev", "v1"], "--dev"),
        (["-4", "-6"], "-6"),
    ],
)
def test_what_cannot_be_is_one_line(arguments: list[str], told: str) -> None:
    status, output, errors = run(*arguments)
    assert (status, output) == (2, "")
    assert errors.startswith("neighio top: ") and told in errors and errors.count("\n") == 1


@in_namespace
def test_the_kernels_once() -> None:
    with link() as (here, _):
        here.add_address("v1", "198.51.100.1/24")
        ping(here, "198.51.100.2")
        status, output, errors = run("--kernel", "--once")
        assert (status, errors) == (0, "")
        (row,) = (line for line in output.splitlines() if line.startswith("198.51.100.2 "))
        assert row.split()[1:4] == ["v1", THEM, "REACHABLE"]


# -- for programs


def test_json_is_what_would_be_on_the_screen_an_object_each_second(tmp_path: Path) -> None:
    with pretending(tmp_path / "x.sock", A_FEW, A_FEW) as path:
        status, output, errors = run("--control", path, "--once", "--json", "--sort", "last-change", "-4")
        assert (status, errors) == (0, "") and output.count("\n") == 1
        picture = json.loads(output)
        validate("top", picture)
        assert picture["whose"] == path and picture["time"] >= 0
        assert len(picture["entries"]) == 50 and sum(picture["states"].values()) == 50

        with subprocess.Popen(
            [*TOP, "--control", path, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            first, second = (json.loads(process.stdout.readline()) for _ in range(2))
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        for picture in (first, second):
            validate("top", picture)
        assert second["time"] - first["time"] >= 1
        assert (process.returncode, errors) == (130, "")


@in_namespace
def test_the_kernels_as_json_until_nobody_reads_any_more() -> None:
    with link() as (here, _):
        here.add_address("v1", "198.51.100.1/24")
        with subprocess.Popen(
            [*TOP, "--kernel", "--json", "-4"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            before = json.loads(process.stdout.readline())
            ping(here, "198.51.100.2")
            after = before
            while not after["entries"]:
                after = json.loads(process.stdout.readline())
                validate("top", after)
            process.stdout.close()
            assert (process.stderr.read(), process.wait(60)) == ("", 0)
    validate("top", before)
    assert before["entries"] == [] and before["caches"]["ipv4"]["lookups_per_second"] is None
    (entry,) = after["entries"]
    assert (entry["address"], entry["device"], entry["lladdr"]) == ("198.51.100.2", "v1", THEM)
    assert after["states"][entry["state"]] == 1
    assert after["caches"]["ipv4"]["lookups_per_second"] >= 0 and after["caches"]["ipv4"]["gc_thresh3"] > 0


@in_namespace
def test_those_heard_on_a_device_as_json() -> None:
    with (
        link() as (here, peer),
        subprocess.Popen(
            [*TOP, "--dev", "v1", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        here.add_address("v1", "198.51.100.1/24")
        assert process.stdout is not None
        picture = json.loads(process.stdout.readline())
        assert (picture["whose"], picture["entries"]) == ("heard on v1", [])
        while not picture["entries"]:
            ping(peer, "198.51.100.1")
            picture = json.loads(process.stdout.readline())
            validate("top", picture)
        assert picture["entries"][0]["lladdr"] == THEM
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")


@in_namespace
def test_without_a_device_or_the_privilege_it_says_so_on_the_usual_screen() -> None:
    with link(), Person("top", "--dev", "nowhere") as person:
        assert person.end() == 2
        assert b"neighio top: device: there is no interface 'nowhere'" in person.output, person.output
