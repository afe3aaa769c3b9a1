"""``neighio monitor``: what happens to an instance's neighbours, and to the kernel's."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import pytest

from neighio.core.constants import NLM_F_CREATE, NLM_F_REPLACE, NUD_STALE
from neighio.kernel.requests import del_neighbour, new_neighbour
from neighio.testing import Here, in_namespace

from .hosting import SECONDS, THEM, Running, link
from .looking import COMMAND, Monitoring, directory, on_a_full_disk, refusal, stranger, watched_host

HELLO = '{"kind": "hello", "protocol": 1, "version": "9", "pid": 1, "devices": ["eth0"]}'
BEGUN = '{"kind": "begun", "time": 0.0, "wall": "2026-11-26T09:00:00.000000Z"}'
STAMPED = re.compile(r"\[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6})\] (.*)")
IP, STDBUF = shutil.which("ip"), shutil.which("stdbuf")
MAC = bytes.fromhex("020000000008")


def untimed(line: str) -> str:
    """A line of text without its time, which is of today."""
    found = STAMPED.fullmatch(line)
    assert found is not None, line
    assert abs((datetime.now() - datetime.fromisoformat(found[1])).total_seconds()) < 10 * SECONDS
    return found[2].rstrip()


@contextmanager
def following(host: Running, path: str, *arguments: str) -> Iterator[Monitoring]:
    """A monitor of a host, which has begun to listen."""
    before = host.do("stats")["table"]["subscriptions"]
    with Monitoring("--control", path, *arguments) as monitor:
        while host.do("stats")["table"]["subscriptions"] == before:
            assert monitor.process.poll() is None
        yield monitor


@in_namespace
def test_what_happens_to_a_host_is_told_as_ip_monitor_tells_it() -> None:
    with watched_host() as (host, path, _, _), following(host, path) as monitor:
        host.do("use 198.51.100.2")
        found = [untimed(monitor.line())]
        host.do("add 198.51.100.8 lladdr 02:00:00:00:00:08 nud stale router")
        host.do("change 198.51.100.8 lladdr 02:00:00:00:00:09 nud permanent")
        host.do("del 198.51.100.8")
        found += [untimed(monitor.line()) for _ in range(4)]
        assert monitor.end(signal.SIGINT) == (130, "", "")
    assert found == [
        f"198.51.100.2 dev v1 lladdr {THEM} REACHABLE",
        "198.51.100.8 dev v1 lladdr 02:00:00:00:00:08 router STALE",
        "198.51.100.8 dev v1 lladdr 02:00:00:00:00:09 PERMANENT",
        "198.51.100.8 dev v1 FAILED",
        "Deleted 198.51.100.8 dev v1 FAILED",
    ]


@in_namespace
def test_every_kind_of_object_is_as_the_schema_has_it() -> None:
    with watched_host() as (host, path, _, _), following(host, path, "--json") as monitor:
        monitor.begun()
        host.do("add 198.51.100.8 lladdr 02:00:00:00:00:08 nud stale protocol 186")
        new = monitor.record()
        host.do("del 198.51.100.8")
        failed, gone = monitor.record(), monitor.record()
        host.do("set ipv4.app_solicit=1 ipv4.mcast_solicit=0")
        host.do("use 198.51.100.99")
        miss = monitor.record()
        host.do("quit")
        assert monitor.end() == (0, "", "neighio monitor: the instance has ended\n")
    assert (new["kind"], new["address"], new["state"], new["protocol"]) == (
        "new",
        "198.51.100.8",
        "STALE",
        186,
    )
    assert (failed["kind"], failed["lladdr"], gone["kind"]) == ("new", None, "del")
    assert (miss["kind"], miss["address"], miss["device"]) == ("miss", "198.51.100.99", "v1")
    assert 0 <= new["time"] <= failed["time"] <= gone["time"] <= miss["time"]
    assert abs((datetime.now(UTC) - datetime.fromisoformat(new["wall"])).total_seconds()) < 10 * SECONDS


@in_namespace
def test_a_trace_has_the_transitions_that_linux_keeps_to_itself() -> None:
    with (
        watched_host() as (host, path, _, _),
        following(host, path, "--trace") as text,
        following(host, path, "--trace", "--json") as monitor,
    ):
        monitor.begun()
        host.do("use 198.51.100.2")
        records = [monitor.record()]
        while records[-1]["state"] != "REACHABLE":
            records.append(monitor.record())
        told = [untimed(text.line()) for _ in records]
    assert {record["kind"] for record in records} == {"change"}
    ways = [(record["old_state"], record["state"], record["notified"]) for record in records]
    assert ways[0] == ("NONE", "INCOMPLETE", False) and ways[-1] == ("INCOMPLETE", "REACHABLE", True)
    assert records[-1]["old_lladdr"] is None and records[-1]["lladdr"] == THEM
    assert told[0].startswith("198.51.100.2 dev v1 NONE -> INCOMPLETE by ") and told[0].endswith(" (silent)")
    assert f" lladdr none -> {THEM}" in told[-1] and "silent" not in told[-1]


@in_namespace
def test_filters_choose_by_family_and_device() -> None:
    with (
        watched_host() as (host, path, _, _),
        following(host, path, "-6", "--json") as ipv6,
        following(host, path, "-4", "-I", "v1", "--json") as ipv4,
    ):
        for address in ("198.51.100.8", "2001:db8::8", "198.51.100.9", "2001:db8::9"):
            host.do(f"add {address} lladdr 02:00:00:00:00:08 nud stale")
        for monitor, wanted in (
            (ipv6, ["2001:db8::8", "2001:db8::9"]),
            (ipv4, ["198.51.100.8", "198.51.100.9"]),
        ):
            assert [monitor.begun().record()["address"], monitor.record()["address"]] == wanted
        assert "dev: there is no interface 'v9'; there is v1" in refusal(
            "monitor", "--control", path, "--dev", "v9"
        )


def change(here: Here, host: int, *, state: int = NUD_STALE) -> None:
    """Make the kernel a neighbour on v1."""
    here.request(new_neighbour(here.link("v1").index, bytes([198, 51, 100, host]), MAC, state=state))


def forget(here: Here, host: int) -> None:
    here.request(del_neighbour(here.link("v1").index, bytes([198, 51, 100, host])))


@in_namespace
def test_the_kernels_changes_are_told_with_the_devices_present_names() -> None:
    with link() as (here, _), Monitoring("--kernel", "--json") as monitor:
        monitor.begun()
        change(here, 8)
        new = monitor.record()
        forget(here, 8)
        ends = [monitor.record() for _ in range(2)]
        here.set_link("v1", up=False)
        here.set_link("v1", rename="lan")
        here.set_link("lan", up=True)
        here.request(new_neighbour(here.link("lan").index, bytes([198, 51, 100, 9]), MAC, state=NUD_STALE))
        renamed = monitor.until(lambda record: record.get("address") == "198.51.100.9")
        assert monitor.end(signal.SIGINT)[0] == 130
    assert (new["kind"], new["device"], new["lladdr"], new["state"]) == ("new", "v1", MAC.hex(":"), "STALE")
    assert [(one["kind"], one["state"]) for one in ends] == [("new", "FAILED"), ("del", "FAILED")]
    assert renamed["device"] == "lan"


@pytest.mark.skipif(IP is None or STDBUF is None, reason="iproute2 or stdbuf is not installed")
@in_namespace
def test_the_kernels_changes_are_printed_as_iproute2_prints_them() -> None:
    assert IP is not None and STDBUF is not None
    with (
        link() as (here, _),
        Monitoring("--kernel") as ours,
        Monitoring(command=(STDBUF, "-oL", IP, "-ts", "monitor", "neigh")) as theirs,
    ):
        # Both are read all the time, and little happens meanwhile: who waits for a reader or for the processor
        # misses what its socket has no room for.
        while not all([ours.has_printed(0.05), theirs.has_printed(0.05)]):
            change(here, 99)
            forget(here, 99)
        change(here, 8)
        forget(here, 8)
        change(here, 100)
        told: list[list[str]] = []
        for monitor in (ours, theirs):
            found = [untimed(monitor.line())]
            while "198.51.100.100" not in found[-1]:
                found.append(untimed(monitor.line()))
            told.append([line for line in found if "198.51.100.99 " not in line])
    assert told[0] == told[1]
    assert told[0][0] == "198.51.100.8 dev v1 lladdr 02:00:00:00:00:08 STALE"


def overflow(here: Here) -> None:
    """Have the kernel tell of more than a listener who does not read has room for: 8 MiB."""
    index = here.link("v1").index
    batch = b"".join(
        new_neighbour(
            index, bytes([198, 51, 100, 8]), MAC[:5] + bytes([number]), nlm_flags=NLM_F_CREATE | NLM_F_REPLACE
        )
        for number in range(100)
    )
    with here.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as wire:
        for _ in range(120):
            wire.send(batch)
            while select.select([wire], [], [], 0)[0]:
                wire.recv(65536)


@in_namespace
def test_what_the_kernel_could_not_keep_is_said_to_be_lost() -> None:
    with link() as (here, _), Monitoring("--kernel", "--json") as monitor:
        monitor.begun()
        monitor.process.send_signal(signal.SIGSTOP)
        overflow(here)
        monitor.process.send_signal(signal.SIGCONT)
        monitor.kind("lost")
        change(here, 9)
        assert monitor.until(lambda record: record.get("address") == "198.51.100.9")["kind"] == "new"
        status, _, errors = monitor.end(signal.SIGINT)
    assert status == 130
    assert errors == "neighio monitor: more happened than the kernel could keep: some changes are lost\n"


def test_the_kernel_cannot_be_traced() -> None:
    assert "trace: the kernel keeps some transitions to itself" in refusal("monitor", "--kernel", "--trace")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (["SSH-2.0-x"], "is not the control socket of an instance of neighio"),
        (
            [HELLO, '{"kind": "error", "error": "more than 8192 changes waited"}'],
            "more than 8192 changes waited",
        ),
        ([HELLO, '{"kind": "new"}'], "wall: None makes no sense"),
        ([HELLO, BEGUN.replace("begun", "odd")], "kind: 'odd' makes no sense"),
    ],
)
def test_who_is_no_instance_is_told_in_one_line(said: list[str], told: str) -> None:
    with directory() as place, stranger(place / "s", *said):
        assert told in refusal("monitor", "--control", str(place / "s"))


def test_nothing_to_look_into_is_told_in_one_line() -> None:
    with directory() as place:
        assert "no instance of neighio" in refusal("monitor", XDG_RUNTIME_DIR=str(place))
        assert "No such file" in refusal("monitor", "--control", str(place / "s"))


@in_namespace
def test_it_ends_when_nobody_reads_any_more() -> None:
    with watched_host() as (host, path, _, _), following(host, path) as monitor:
        assert monitor.process.stdout is not None and monitor.process.stderr is not None
        monitor.process.stdout.close()
        while monitor.process.poll() is None:
            host.do("add 198.51.100.8 lladdr 02:00:00:00:00:08")
            host.do("del 198.51.100.8")
        assert (monitor.process.returncode, monitor.process.stderr.read()) == (0, b"")


@in_namespace
def test_a_full_disk_is_told_in_one_line() -> None:
    with link():
        assert "No space left on device" in on_a_full_disk("monitor", "--kernel", "--json")


def on_a_terminal(here: Here, **environment: str) -> str:
    """Monitor the kernel on a pseudo-terminal until a change is there; press Ctrl-C, and return what was seen."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "monitor", "--kernel"],
        stdout=follower,
        stderr=subprocess.PIPE,
        env={**os.environ, "TERM": "xterm", "NO_COLOR": "", **environment},
    ) as monitor:
        os.close(follower)
        os.set_blocking(leader, False)
        seen = b""
        while b"STALE" not in seen or not seen.endswith(b"\n"):
            change(here, 8)
            forget(here, 8)
            with suppress(BlockingIOError):
                seen += os.read(leader, 65536)
        monitor.send_signal(signal.SIGINT)
        _, errors = monitor.communicate(timeout=SECONDS)
    os.close(leader)
    assert (monitor.returncode, errors) == (130, b"")
    return seen.decode()


@in_namespace
def test_states_are_coloured_on_a_terminal_unless_no_color_is_set() -> None:
    with link() as (here, _):
        coloured = on_a_terminal(here)
        plain = on_a_terminal(here, NO_COLOR="1")
    assert "lladdr 02:00:00:00:00:08 \x1b[33mSTALE\x1b[0m \r\n" in coloured
    assert "lladdr 02:00:00:00:00:08 STALE \r\n" in plain and "\x1b" not in plain
