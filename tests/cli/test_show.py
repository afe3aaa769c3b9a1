"""``neighio show``: an instance's neighbours, the kernel's, and what stands in the way of either."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from neighio.address import parse_ip
from neighio.core.constants import NTF_EXT_LEARNED, NTF_ROUTER, NUD_NOARP, NUD_REACHABLE, NUD_STALE
from neighio.kernel.requests import new_neighbour
from neighio.testing import Here, in_namespace

from .hosting import SECONDS, THEM, Running, link
from .looking import (
    COMMAND,
    directory,
    lines,
    objects,
    on_a_full_disk,
    on_a_terminal,
    refusal,
    stranger,
    watched_host,
)

PROGRAM = """
import sys, trio, neighio

async def main():
    async with neighio.open_table("v1", control=sys.argv[1]) as table:
        table.add("198.51.100.8", lladdr="02:00:00:00:00:08", nud="stale")
        await table.resolve("198.51.100.2")
        print("ready", flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)

trio.run(main)
"""
HELLO = '{"kind": "hello", "protocol": 1, "version": "9", "pid": 1, "devices": ["eth0"]}'
ENTRY = {
    "kind": "entry",
    "address": "198.51.100.7",
    "device": "eth0",
    "lladdr": "02:00:00:00:00:07",
    "state": "STALE",
    "flags": [],
    "probes": 0,
    "refcnt": 0,
    "used": 1.0,
    "confirmed": 1.0,
    "updated": 1.0,
    "protocol": 0,
}
IP = shutil.which("ip")


def furnish(host: Running) -> None:
    """Give a host neighbours in most states."""
    for command in (
        "use 198.51.100.2",
        "use 2001:db8::2",
        "add 198.51.100.8 lladdr 02:00:00:00:00:08 nud stale router",
        "add 198.51.100.10 lladdr 02:00:00:00:00:10 nud permanent protocol 186",
        "add 198.51.100.11 lladdr 02:00:00:00:00:11 nud noarp",
        "add 2001:db8::8 nud none",
    ):
        host.do(command)


@in_namespace
def test_a_hosts_neighbours_stand_in_the_columns_of_ip_neigh() -> None:
    with watched_host() as (host, path, _, _):
        furnish(host)
        found = lines("show", "--control", path)
        everything = lines("show", "--control", path, "--state", "all")
    stands = [
        f"198.51.100.2 dev v1 lladdr {THEM} REACHABLE",
        "198.51.100.8 dev v1 lladdr 02:00:00:00:00:08 router STALE",
        "198.51.100.10 dev v1 lladdr 02:00:00:00:00:10 PERMANENT proto bgp",
        f"2001:db8::2 dev v1 lladdr {THEM} REACHABLE",
    ]
    assert found == stands
    # The groups to which it spoke are neighbours, too.
    assert [line for line in everything if not line.startswith("ff02::")] == [
        *stands[:3],
        "198.51.100.11 dev v1 lladdr 02:00:00:00:00:11 NOARP",
        stands[3],
        "2001:db8::8 dev v1",
    ]


@in_namespace
def test_filters_choose_by_family_device_and_state() -> None:
    with watched_host() as (host, path, _, _):
        furnish(host)

        def shown(*arguments: str) -> list[str]:
            return [entry["address"] for entry in objects("entry", "show", "--control", path, *arguments)]

        assert shown("-4") == ["198.51.100.2", "198.51.100.8", "198.51.100.10"]
        assert shown("-6") == ["2001:db8::2"]
        assert shown("-4", "--state", "stale", "--state", "NoARP") == ["198.51.100.8", "198.51.100.11"]
        assert shown("--state", "none", "-6") == ["2001:db8::8"]
        assert shown("-I", "v1", "--state", "permanent") == ["198.51.100.10"]
        assert shown("--state", "failed") == []
        # The device stands in the lines only where it tells something.
        assert lines("show", "--control", path, "--dev", "v1", "-6") == [
            f"2001:db8::2 lladdr {THEM} REACHABLE"
        ]
        assert "dev: there is no interface 'v9'; there is v1" in refusal(
            "show", "--control", path, "--dev", "v9"
        )


@in_namespace
def test_statistics_are_references_ages_and_probes() -> None:
    with watched_host() as (host, path, _, _):
        furnish(host)
        (line,) = lines("show", "--control", path, "-s", "-4", "--state", "stale")
        (entry,) = objects("entry", "show", "--control", path, "-4", "--state", "stale")
    form = r"198\.51\.100\.8 dev v1 lladdr 02:00:00:00:00:08 router  used (\d+)/(\d+)/(\d+)probes 0 STALE"
    found = re.fullmatch(form, line)
    assert found is not None, line
    # It was made just now, as one that was confirmed long ago is.
    assert entry["updated"] < SECONDS and entry["confirmed"] >= entry["updated"]
    assert entry["flags"] == ["router"] and entry["refcnt"] == 0


@in_namespace
def test_a_programs_table_is_shown_by_its_control_socket() -> None:
    with link() as (here, _), directory() as place:
        here.add_address("v1", "198.51.100.1/24")
        path = place / "program.sock"
        with subprocess.Popen(
            [COMMAND[0], "-W", "error", "-c", PROGRAM, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as program:
            assert program.stdout is not None and program.stdout.readline() == "ready\n"
            found = lines("show", "--control", str(path))
            program.communicate()
        gone = refusal("show", "--control", str(path))
    assert program.returncode == 0
    assert found == [
        f"198.51.100.2 dev v1 lladdr {THEM} REACHABLE",
        "198.51.100.8 dev v1 lladdr 02:00:00:00:00:08 STALE",
    ]
    assert gone == f"neighio show: control: {path}: No such file or directory\n"


@in_namespace
def test_without_a_path_it_is_the_one_instance_that_runs() -> None:
    with link(), directory() as place:
        runtime = {"XDG_RUNTIME_DIR": str(place)}
        stale = place / "neighio" / "1.sock"
        stale.parent.mkdir(mode=0o700)
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(stale))
        assert "no instance of neighio" in refusal("show", **runtime)
        prefix = ("env", f"XDG_RUNTIME_DIR={place}")
        with Running("--address=198.51.100.1/24", "--no-dad", "--control", prefix=prefix) as one:
            one.ready().do("add 198.51.100.9 lladdr 02:00:00:00:00:09")
            shown = lines("show", **runtime)
            with Running("--address=198.51.100.5/24", "--no-dad", "--control", prefix=prefix) as other:
                other.ready()
                several = refusal("show", **runtime)
                paths = [str(place / "neighio" / f"{each.process.pid}.sock") for each in (one, other)]
                assert lines("show", "--control", paths[1], "--state", "permanent", **runtime) == []
    assert shown == ["198.51.100.9 dev v1 lladdr 02:00:00:00:00:09 PERMANENT"]
    assert several.startswith("neighio show: 2 instances run; name one of them with --control: ")
    assert all(path in several for path in paths) and str(stale) not in several


def test_without_a_usual_place_it_says_what_to_do() -> None:
    told = refusal("show", XDG_RUNTIME_DIR="")
    assert "XDG_RUNTIME_DIR" in told and "--control" in told and "--kernel" in told


def furnish_kernel(here: Here) -> None:
    """Give the kernel neighbours on v1."""
    index = here.link("v1").index
    mac = bytes.fromhex("020000000008")
    for key, state, flags, protocol in (
        (bytes([198, 51, 100, 8]), NUD_STALE, 0, 0),
        (bytes([198, 51, 100, 10]), NUD_REACHABLE, NTF_ROUTER, 186),
        (bytes([198, 51, 100, 11]), NUD_NOARP, 0, 0),
        (bytes([198, 51, 100, 12]), NUD_REACHABLE, NTF_EXT_LEARNED, 0),
        (bytes.fromhex("20010db8000000000000000000000008"), NUD_STALE, 0, 0),
    ):
        here.request(new_neighbour(index, key, mac, state=state, flags=flags, protocol=protocol))


@in_namespace
def test_the_kernels_neighbours_are_what_its_netlink_tells() -> None:
    with link() as (here, _):
        furnish_kernel(here)
        found = objects("entry", "show", "--kernel", "--state", "all")
        told = {entry.ip: entry for entry in here.neighbours("v1")}
    assert {parse_ip(one["address"])[0] for one in found} == set(told)
    for one in found:
        entry = told[parse_ip(one["address"])[0]]
        assert (one["device"], one["lladdr"]) == (
            "v1",
            None if entry.lladdr is None else entry.lladdr.hex(":"),
        )
        assert (one["probes"], one["refcnt"], one["protocol"]) == (entry.probes, entry.refcnt, entry.protocol)
    assert [one["address"] for one in found] == [
        "198.51.100.8",
        "198.51.100.10",
        "198.51.100.11",
        "198.51.100.12",
        "2001:db8::8",
    ]


@pytest.mark.skipif(IP is None, reason="iproute2 is not installed")
@in_namespace
def test_the_kernels_are_printed_as_iproute2_prints_them() -> None:
    assert IP is not None
    with link() as (here, _):
        furnish_kernel(here)
        for ours, theirs in (
            ("", "neigh"),
            ("-4", "-4 neigh"),
            ("-6", "-6 neigh"),
            ("--state all", "neigh show nud all"),
            ("--state stale --state reachable", "neigh show nud stale nud reachable"),
            ("--dev v1 --state noarp", "neigh show dev v1 nud noarp"),
        ):
            done = subprocess.run(
                [*COMMAND, "show", "--kernel", *ours.split()], capture_output=True, text=True, check=True
            )
            iproute2 = subprocess.run([IP, *theirs.split()], capture_output=True, text=True, check=True)
            assert sorted(done.stdout.splitlines()) == sorted(iproute2.stdout.splitlines()), ours
            assert done.stdout
        (line,) = lines("show", "--kernel", "-s", "-6")
        iproute2 = subprocess.run([IP, "-s", "-6", "neigh"], capture_output=True, text=True, check=True)
    ages = re.compile(r"\b\d+/\d+/\d+(?=probes)")
    assert ages.sub("ages", line) == ages.sub("ages", iproute2.stdout.strip()) and "ages" in ages.sub(
        "ages", line
    )


@pytest.mark.parametrize("source", [["--kernel"], []])
def test_an_unknown_state_is_named_with_those_that_there_are(source: list[str]) -> None:
    told = refusal("show", *source, "--state", "gone\x1b[31m")
    assert r"state: there is no 'gone\x1b[31m'; there are none, incomplete, reachable" in told


@in_namespace
def test_an_unknown_device_is_named_with_those_that_there_are() -> None:
    with link():
        assert refusal("show", "--kernel", "--dev", "eth9") == (
            "neighio show: dev: there is no interface 'eth9'; there is lo, v1\n"
        )


def test_a_path_that_is_no_instances_socket_is_refused() -> None:
    with directory() as place:
        file, nothing = place / "file", place / "nothing"
        file.write_text("mine")
        assert refusal("show", "--control", str(file)).endswith(f"control: {file}: that is no socket\n")
        assert refusal("show", "--control", str(nothing)).endswith(
            f"control: {nothing}: No such file or directory\n"
        )
        assert "AF_UNIX path too long" in refusal("show", "--control", "x" * 200)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
            datagrams.bind(str(place / "datagrams"))
            assert "wrong type" in refusal("show", "--control", str(place / "datagrams"))
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(place / "dead"))
        assert "its process has ended" in refusal("show", "--control", str(place / "dead"))
        assert file.read_text() == "mine" and (place / "dead").is_socket()


@in_namespace
def test_a_host_takes_no_path_that_is_in_use_or_somebody_elses() -> None:
    with watched_host() as (host, path, _, _):
        host.do("add 198.51.100.9 lladdr 02:00:00:00:00:09")
        foreign = Path(path).with_name("foreign")
        foreign.write_text("mine")
        told = [
            refusal("host", "--dev", "v1", "--no-dad", "--control", each) for each in (path, str(foreign))
        ]
        assert foreign.read_text() == "mine"
        # The one that was there first goes on.
        assert lines("show", "--control", path) == ["198.51.100.9 dev v1 lladdr 02:00:00:00:00:09 PERMANENT"]
    assert told == [
        f"neighio host: control: {path} is in use by a process that runs\n",
        f"neighio host: control: {foreign} is there already, and is no socket\n",
    ]


def without(key: str, **other: object) -> str:
    return json.dumps({name: value for name, value in {**ENTRY, **other}.items() if name != key})


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (["220 mail.example ESMTP"], "is not the control socket of an instance of neighio"),
        (['{"kind": "hello"}'], "is not the control socket of an instance of neighio"),
        (["[1]"], "is not the control socket of an instance of neighio"),
        (["[" * 100_000], "is not the control socket of an instance of neighio"),
        ([HELLO.replace('protocol": 1', 'protocol": 2')], "is of another version of neighio, 9"),
        ([HELLO], "the instance ended before it had told of all its neighbours"),
        ([HELLO, json.dumps(ENTRY)], "the instance ended before it had told of all its neighbours"),
        ([HELLO, '{"kind": "error", "error": "\\u001b[2J"}'], r"\x1b[2J"),
        ([HELLO, without("address")], "address: None makes no sense"),
        ([HELLO, json.dumps({**ENTRY, "used": "1"})], "used: '1' makes no sense"),
        ([HELLO, json.dumps({**ENTRY, "flags": "router"})], "flags: 'router' makes no sense"),
        ([HELLO, json.dumps({**ENTRY, "address": "\x1b[2J"})], "is not an IP address"),
        ([HELLO, '{"kind": "odd"}'], "kind"),
    ],
)
def test_who_is_no_instance_is_told_in_one_line(said: list[str], told: str) -> None:
    with directory() as place, stranger(place / "s", *said):
        assert told in refusal("show", "--control", str(place / "s"))


def test_what_an_instance_says_reaches_no_terminal_unescaped() -> None:
    entry = {**ENTRY, "device": "\x1b[31m", "state": "\x1b[32m", "lladdr": "\x1b[33m", "flags": ["\x9b"]}
    with directory() as place, stranger(place / "s", HELLO, json.dumps(entry), '{"kind": "end"}'):
        written = on_a_terminal("show", "--control", str(place / "s"), "--state", "all")
    assert "\x1b" not in written and "\x9b" not in written


@in_namespace
def test_states_are_coloured_on_a_terminal_unless_no_color_is_set() -> None:
    with link() as (here, _):
        furnish_kernel(here)
        coloured = on_a_terminal("show", "--kernel")
        plain = on_a_terminal("show", "--kernel", NO_COLOR="1")
        piped = lines("show", "--kernel")
    assert "198.51.100.8 dev v1 lladdr 02:00:00:00:00:08 \x1b[33mSTALE\x1b[0m \r\n" in coloured
    assert "\x1b[32mREACHABLE\x1b[0m" in coloured
    assert "\x1b" not in plain and [line.rstrip() for line in plain.splitlines()] == piped
    assert max(map(len, plain.splitlines())) <= 80


@in_namespace
def test_it_ends_when_nobody_reads_any_more() -> None:
    with link() as (here, _):
        index = here.link("v1").index
        for number in range(2, 200):
            key = bytes([198, 51, 100, number])
            here.request(new_neighbour(index, key, bytes(5) + b"\x01", state=NUD_STALE))
        with subprocess.Popen(
            [*COMMAND, "show", "--kernel"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as command:
            assert command.stdout is not None and command.stderr is not None
            command.stdout.close()
            errors = command.stderr.read()
    assert (command.returncode, errors) == (0, "")


@in_namespace
def test_a_full_disk_is_told_in_one_line() -> None:
    with link() as (here, _):
        furnish_kernel(here)
        told = on_a_full_disk("show", "--kernel")
    assert told == "neighio show: standard output: No space left on device\n"


def test_ctrl_c_ends_it_while_somebody_is_waited_for() -> None:
    with (
        directory() as place,
        stranger(place / "s") as came,
        subprocess.Popen(
            [*COMMAND, "show", "--control", str(place / "s")], stderr=subprocess.PIPE, text=True
        ) as command,
    ):
        assert came.wait(SECONDS)
        command.send_signal(signal.SIGINT)
        _, errors = command.communicate(timeout=SECONDS)
    assert (command.returncode, errors) == (130, "")
