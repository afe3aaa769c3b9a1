"""``neighio doctor`` as a user runs it: each finding is provoked in a namespace, with a kernel at the other end."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import trio

import neighio
from neighio.address import parse_ip
from neighio.cli import main
from neighio.cli.doctor import system
from neighio.cli.doctor.findings import Finding, Level, finding_lines
from neighio.cli.doctor.interfaces import IFA_F_DADFAILED
from neighio.cli.doctor.running_instances import find_instances
from neighio.cli.doctor.tables import KernelTable, judge, read_tables
from neighio.core.constants import AF_INET, AF_INET6
from neighio.kernel import requests
from neighio.kernel.netlink import open_netlink
from neighio.kernel.rtnetlink import AddressMessage, decode
from neighio.kernel.uapi import RTNLGRP_IPV6_IFADDR
from neighio.testing import Here, Peer, Segment, connect, in_namespace

from .bridges import bridge
from .schemas import read, validate

US, THEM = "02:00:00:00:00:01", "02:00:00:00:00:07"
COMMAND = [sys.executable, "-W", "error", "-m", "neighio", "doctor"]
CAP_NET_ADMIN, CAP_NET_RAW = 12, 13
QUIET = ("--no-probe",)

WITHOUT = """
import ctypes, os, sys
PR_CAPBSET_DROP = 24
for capability in sys.argv[1].split(","):
    if ctypes.CDLL(None, use_errno=True).prctl(PR_CAPBSET_DROP, int(capability), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Run a command without some capabilities."""

IN_USER_NAMESPACE = """
import ctypes, os, sys
CLONE_NEWUSER = 0x10000000
uid = os.getuid()
if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER):
    raise OSError(ctypes.get_errno(), "unshare")
with open("/proc/self/uid_map", "w") as file:
    file.write(f"0 {uid} 1")
with open("/proc/sys/user/max_net_namespaces", "w") as file:
    file.write("0")
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Run a command in a user namespace of its own, in which no network namespace can be made."""

PROGRAM = """
import sys, trio
{}
sys.argv[0] = "neighio"
from neighio.cli import main
sys.exit(main(["doctor", *sys.argv[1:]]))
"""
"""The command in an interpreter to which something was done first."""


@contextmanager
def link() -> Iterator[tuple[Here, Peer]]:
    """Build a link: eth0 here has .1, ::1 and fe80::1, the kernel at the other end .7, ::7 and fe80::7."""
    here = Here()
    with Peer.start() as peer:
        connect(here, peer, "eth0", "eth0", lladdr=US, far_lladdr=THEM)
        for end, host in ((here, 1), (peer, 7)):
            for address in (f"198.51.100.{host}/24", f"2001:db8::{host}/64", f"fe80::{host}/64"):
                end.add_address("eth0", address)
        yield here, peer
    here.close()


def doctor(*arguments: str, command: tuple[str, ...] = ()) -> tuple[int, str, str]:
    """Run the command; return its exit status, its output and its errors."""
    if command:
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=30, check=False)
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout, done.stderr
    with redirect_stdout(io.StringIO()) as printed, redirect_stderr(io.StringIO()) as told:
        status = main(["doctor", *arguments])
    return status, printed.getvalue(), told.getvalue()


def find(*arguments: str, command: tuple[str, ...] = ()) -> tuple[int, list[dict[str, Any]]]:
    """Run the command with --json; return its exit status and its findings."""
    status, output, errors = doctor("--json", *arguments, command=command)
    assert errors == ""
    findings = [json.loads(line) for line in output.splitlines()]
    for finding in findings:
        validate("doctor", finding)
    assert status == (1 if any(one["level"] == "problem" for one in findings) else 0)
    return status, findings


def of(findings: list[dict[str, Any]], topic: str, subject: str = "") -> list[tuple[str, str, str | None]]:
    """The level, what and do of the findings of a topic, and of a subject."""
    return [
        (one["level"], one["what"], one["do"])
        for one in findings
        if one["topic"] == topic and subject in ("", one["subject"])
    ]


@in_namespace
def test_where_all_is_well_nothing_is_wrong_and_everything_was_looked_at() -> None:
    with link():
        status, findings = find()
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0):
            pass
    assert status == 0
    assert {one["topic"] for one in findings} == set(read("doctor")["properties"]["topic"]["enum"])
    assert of(findings, "interface") == [
        ("ok", "up, veth, MTU 1500, 198.51.100.1/24, 2001:db8::1/64, fe80::1/64", None)
    ]
    assert of(findings, "link") == [("ok", "nobody else answers for its 3 addresses", None)]
    assert of(findings, "sysctl") == [
        ("ok", "those of ARP and Neighbour Discovery are as Linux has them", None),
        ("ok", "those of neighbours are as Linux has them", None),
    ]
    assert of(findings, "privileges", "CAP_NET_RAW") == [("ok", "held: devices can be opened", None)]
    assert [level for level, _, _ in of(findings, "namespaces")] == ["ok"]


# -- interfaces


@in_namespace
def test_what_keeps_a_device_from_being_used_is_a_problem_if_it_was_asked_for() -> None:
    with link() as (here, peer):
        here.set_link("eth0", arp=False)
        noarp = ("up, with NOARP", "ip link set eth0 arp on")
        assert of(find(*QUIET)[1], "interface") == [("note", *noarp)]
        status, findings = find(*QUIET, "-I", "eth0")
        assert (status, of(findings, "interface")[0]) == (1, ("problem", *noarp))
        here.set_link("eth0", arp=True)
        peer.set_link("eth0", up=False)
        mute = ("up, without a carrier", "ethtool eth0")
        assert of(find(*QUIET)[1], "interface")[0] == ("warning", *mute)
        assert of(find(*QUIET, "-I", "eth0")[1], "interface")[0] == ("problem", *mute)
        here.set_link("eth0", up=False)
        down = ("down", "ip link set eth0 up")
        assert of(find(*QUIET)[1], "interface") == [("note", *down)]
        assert find(*QUIET)[0] == 0
        assert of(find(*QUIET, "-I", "eth0")[1], "interface") == [("problem", *down)]
        assert of(find(*QUIET, "-I", "lo")[1], "interface") == [
            ("problem", "the loopback device", "choose another, or leave --dev out")
        ]


@in_namespace
def test_what_is_remarkable_of_an_interface_is_noted() -> None:
    with link() as (here, peer):
        connect(here, peer, "eth1", "eth1")
        bridge(here, "eth1")
        found = of(find(*QUIET, "-I", "eth1")[1], "interface", "eth1")
        assert [what for _, what, _ in found][1:] == ["is a port of br0", "promiscuous (once)"]
        found = of(find(*QUIET, "-I", "eth0")[1], "interface")
        assert [level for level, _, _ in found] == ["ok"]
        for address in ("198.51.100.1/24", "fe80::1/64"):
            here.del_address("eth0", address)
        found = of(find(*QUIET, "-I", "eth0")[1], "interface")
        assert [(level, what) for level, what, _ in found[1:]] == [
            ("note", "has no IPv4 address"),
            ("note", "has no link-local IPv6 address"),
        ]
        here.set_link("eth0", mtu=1000)
        found = of(find(*QUIET, "-I", "eth0")[1], "interface")
        assert ("warning", "has an MTU of 1000", "ip link set eth0 mtu 1500") in found


@in_namespace
def test_a_device_without_ethernet_is_none_for_neighbours() -> None:
    IFF_TUN, IFF_NO_PI, TUNSETIFF = 1, 0x1000, 0x400454CA
    with open("/dev/net/tun", "r+b", buffering=0) as tun:
        fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH14x", b"tun0", IFF_TUN | IFF_NO_PI))
        status, findings = find(*QUIET, "-I", "tun0")
    assert status == 1
    ((level, what, _),) = of(findings, "interface")
    assert level == "problem" and what.startswith("has no Ethernet header (type 65534, tun)")


@in_namespace
async def test_an_address_that_the_kernel_found_to_be_anothers_is_a_problem() -> None:
    with link() as (here, peer):
        peer.add_address("eth0", "2001:db8::5/64")
        ip, index = parse_ip("2001:db8::5")[0], here.link("eth0").index
        with open_netlink([RTNLGRP_IPV6_IFADDR]) as netlink:
            here.request(requests.add_address(index, ip, 64))
            _, findings = await trio.to_thread.run_sync(find_anew)
            # Its detection has not ended, or has already.
            assert of(findings, "interface")[1][1].startswith("2001:db8::5 is ")
            with trio.fail_after(20):
                while not await _failed(netlink):
                    pass
        status, findings = await trio.to_thread.run_sync(find_anew)
    assert status == 1
    assert (
        "problem",
        "2001:db8::5 is somebody else's, too (dadfailed)",
        "ip address del 2001:db8::5/64 dev eth0",
    ) in of(findings, "interface")


def find_anew() -> tuple[int, list[dict[str, Any]]]:
    return find(*QUIET, command=tuple(COMMAND))


async def _failed(netlink: Any) -> bool:
    messages = [decode(message) for message in await netlink.receive()]
    return any(isinstance(one, AddressMessage) and one.flags & IFA_F_DADFAILED for one in messages)


@in_namespace
def test_an_interface_that_there_is_not_is_a_usage_error() -> None:
    with link():
        for name, shown in (("eth7", "'eth7'"), ("\x1b[31m", r"\x1b[31m")):
            status, output, errors = doctor("-I", name)
            assert (status, output, errors.count("\n")) == (2, "", 1)
            assert errors.startswith("neighio doctor: dev: there is no interface ")
            assert shown in errors and errors.endswith("; there is eth0, lo\n") and "\x1b" not in errors


# -- /proc/sys/net


@in_namespace
def test_each_switch_that_is_not_linuxs_own_is_told_with_what_it_does() -> None:
    changed = {
        "ipv4/conf/eth0/arp_ignore": (8, 0, "warning", "cannot find this host"),
        "ipv4/conf/all/arp_filter": (1, 0, "note", "the route to the asker"),
        "ipv4/conf/eth0/arp_announce": (2, 0, "note", "asks from"),
        "ipv4/conf/eth0/arp_accept": (1, 0, "note", "fill the table"),
        "ipv4/conf/eth0/arp_notify": (1, 0, "note", "announces"),
        "ipv4/conf/eth0/arp_evict_nocarrier": (0, 1, "note", "outlive"),
        "ipv4/conf/eth0/drop_gratuitous_arp": (1, 0, "warning", "late"),
        "ipv4/conf/all/proxy_arp": (1, 0, "warning", "a scan finds this host"),
        "ipv4/conf/eth0/route_localnet": (1, 0, "warning", "localhost"),
        "ipv4/conf/eth0/rp_filter": (1, 0, "note", "ARP is not"),
        "ipv6/conf/eth0/forwarding": (1, 0, "note", "router"),
        "ipv6/conf/eth0/accept_untracked_na": (1, 0, "note", "RFC 9131"),
        "ipv6/conf/eth0/drop_unsolicited_na": (1, 0, "warning", "late"),
        "ipv6/conf/eth0/ndisc_notify": (1, 0, "note", "announces"),
        "ipv6/conf/eth0/suppress_frag_ndisc": (0, 1, "warning", "RFC 6980"),
        "ipv6/conf/eth0/dad_transmits": (0, 1, "warning", "duplicates are not detected"),
        "ipv6/conf/eth0/accept_dad": (2, 1, "note", "ends IPv6"),
        "ipv6/conf/eth0/disable_ipv6": (1, 0, "warning", "no IPv6"),
    }
    with link() as (here, _):
        for path, (value, _, _, _) in changed.items():
            here.sysctl(f"net/{path}", value)
        status, findings = find(*QUIET)
    found = {
        one["subject"]: (one["level"], one["what"], one["do"], one["why"])
        for one in findings
        if one["subject"].startswith("net.")
    }
    assert status == 0 and len(found) == len(changed)
    for path, (value, default, level, why) in changed.items():
        name = "net." + path.replace("/", ".")
        assert found[name][:3] == (
            level,
            f"{value}, where Linux has {default}",
            f"sysctl -w {name}={default}",
        ), name
        assert why in found[name][3], name


@in_namespace
def test_a_virtual_address_on_the_loopback_device_is_answered_for_on_the_link() -> None:
    mend = "sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2"
    with link() as (here, _):
        assert of(find(*QUIET)[1], "sysctl", "lo") == []
        here.add_address("lo", "203.0.113.10/32")
        told = ("note", "its 203.0.113.10 is answered for on eth0", mend)
        assert of(find(*QUIET)[1], "sysctl", "lo") == [told]
        here.sysctl("net/ipv4/conf/all/arp_ignore", 1)
        assert of(find(*QUIET)[1], "sysctl", "lo") == []


@in_namespace
def test_parameters_that_are_not_linuxs_own_are_told_in_the_units_of_proc() -> None:
    with link() as (here, _):
        here.sysctl("net/ipv4/neigh/eth0/base_reachable_time_ms", 5000)
        here.sysctl("net/ipv6/neigh/eth0/retrans_time_ms", 500)
        here.sysctl("net/ipv4/neigh/eth0/locktime", 0)
        here.sysctl("net/ipv4/neigh/eth0/mcast_solicit", 0)
        status, findings = find(*QUIET)
    assert status == 1
    assert [
        (subject, *one)
        for subject in sorted({one["subject"] for one in findings if one["topic"] == "sysctl"})
        for one in of(findings, "sysctl", subject)
        if subject != "switches"
    ] == [
        (name, level, f"{value}, where Linux has {default}", f"sysctl -w {name}={default}")
        for name, level, value, default in (
            ("net.ipv4.neigh.eth0.base_reachable_time_ms", "note", 5000, 30000),
            ("net.ipv4.neigh.eth0.locktime", "note", 0, 100),
            ("net.ipv4.neigh.eth0.mcast_solicit", "problem", 0, 3),
            ("net.ipv6.neigh.eth0.retrans_time_ms", "note", 500, 1000),
        )
    ]


@in_namespace
def test_a_device_with_a_dot_is_named_as_sysctl_takes_it() -> None:
    with link() as (here, _):
        here.set_link("eth0", up=False)
        here.set_link("eth0", rename="v.7")
        here.set_link("v.7", up=True)
        here.sysctl("net/ipv4/conf/v.7/arp_notify", 1)
        _, findings = find(*QUIET, "-I", "v.7")
    name = "net/ipv4/conf/v.7/arp_notify"
    assert of(findings, "sysctl", name) == [("note", "1, where Linux has 0", f"sysctl -w {name}=0")]


# -- the link


@in_namespace
def test_another_who_answers_for_our_addresses_is_a_problem() -> None:
    with link() as (_, peer):
        peer.add_address("eth0", "198.51.100.1/24")
        peer.add_address("eth0", "2001:db8::1/64")
        status, findings = find()
    assert status == 1
    assert of(findings, "link", "eth0") == [
        (
            "problem",
            f"{ip} is answered for by {THEM}, too",
            f"ip address del {ip}/{length} dev eth0    # here, or there",
        )
        for ip, length in (("198.51.100.1", 24), ("2001:db8::1", 64))
    ]


@in_namespace
def test_of_very_many_addresses_it_says_how_many_were_asked_for() -> None:
    with link() as (here, _):
        for host in range(100):
            here.add_address("eth0", f"203.0.113.{host}/32")
            here.add_address("eth0", f"198.18.0.{host}/32")
            here.add_address("eth0", f"198.18.1.{host}/32")
        _, findings = find("-I", "eth0")
    told = "nobody else answers for 256 of its 303 addresses; no more were asked for"
    assert of(findings, "link") == [("ok", told, None)]


@in_namespace
def test_two_of_our_own_devices_on_one_link_are_a_warning() -> None:
    with link() as (here, peer):
        connect(here, peer, "eth1", "eth1")
        bridge(peer, "eth0", "eth1")
        status, findings = find("-I", "eth0")
        here.sysctl("net/ipv4/conf/all/arp_ignore", 1)
        _, mended = find("-I", "eth0")
    assert status == 0
    told = "198.51.100.1 is answered for by this host's eth1, too"
    assert ("warning", told, "sysctl -w net.ipv4.conf.all.arp_ignore=1") in of(findings, "link", "eth0")
    assert [level for level, _, _ in of(mended, "link")] == ["ok"]


# -- privileges and namespaces


@in_namespace
def test_without_the_capability_it_says_so_and_what_it_could_not_look_at() -> None:
    with link() as (here, _):
        here.sysctl("net/ipv4/conf/eth0/arp_ignore", 8)
        drop = (sys.executable, "-c", WITHOUT, f"{CAP_NET_RAW},{CAP_NET_ADMIN}", *COMMAND)
        status, findings = find(command=drop)
    assert status == 1
    ((level, what, do),) = of(findings, "privileges", "CAP_NET_RAW")
    assert (level, what) == ("problem", "missing") and do is not None and "sudo" in do
    assert of(findings, "privileges", "CAP_NET_ADMIN")[0][:2] == ("note", "missing")
    ((level, what, _),) = of(findings, "link")
    assert (level, what) == ("note", "not asked who else has this host's addresses")
    assert of(findings, "sysctl", "net.ipv4.conf.eth0.arp_ignore")[0][0] == "warning"


@in_namespace
def test_a_user_namespace_and_one_in_which_no_network_namespace_can_be_made_are_noted() -> None:
    with link():
        _, findings = find(*QUIET, command=(sys.executable, "-c", IN_USER_NAMESPACE, *COMMAND))
    assert of(findings, "privileges", "user namespace") == [
        ("note", "this process is in one that is not the machine's first", None)
    ]
    ((level, what, do),) = of(findings, "namespaces")
    assert level == "note" and what.startswith("cannot be made: unshare: ") and do


# -- what belongs to the whole machine: judged by figures, or in an interpreter of its own


def test_the_kernels_tables_are_read_by_netlink() -> None:
    if sys.platform != "linux":
        pytest.skip("rtnetlink exists on Linux only")
    tables = {table.family: table for table in read_tables()}
    assert tables.keys() == {AF_INET, AF_INET6}
    for table in tables.values():
        first, second, third = table.thresholds
        assert 0 < first <= second <= third and table.entries >= 0
        path = Path(f"/proc/net/stat/{'arp' if table.family == AF_INET else 'ndisc'}_cache")
        if path.exists():
            head, *rows = (line.split() for line in path.read_text().splitlines())
            counted = sum(int(row[head.index("table_fulls")], 16) for row in rows)
            assert table.table_fulls is not None and table.table_fulls <= counted


@pytest.mark.parametrize(
    ("entries", "fulls", "levels"),
    [
        (128, 0, ["ok"]),
        (128, None, ["ok"]),
        (129, 0, ["note"]),
        (513, 0, ["warning"]),
        (922, 3, ["problem", "warning"]),
        (2, 3, ["ok", "warning"]),
    ],
)
def test_a_table_is_judged_by_its_thresholds(entries: int, fulls: int | None, levels: list[str]) -> None:
    found = list(judge(KernelTable(AF_INET6, entries, (128, 512, 1024), 30.0, fulls)))
    assert [one.level.value for one in found] == levels
    assert f"{entries} entries, thresholds 128, 512, 1024" in found[0].what
    if fulls:
        assert found[-1].what == "was full 3 times since the machine started (table_fulls)"
    if "problem" in levels:
        assert found[0].do == "sysctl -w net.ipv6.neigh.default.gc_thresh3=4096"


def test_a_collection_that_is_not_linuxs_own_is_told() -> None:
    _, thresholds, interval = judge(KernelTable(AF_INET, 3, (1024, 4096, 8192), 60.0, 0))
    assert thresholds.level is Level.NOTE and "not Linux's own (128, 512, 1024)" in thresholds.what
    assert (interval.subject, interval.what, interval.do) == (
        "net.ipv4.neigh.default.gc_interval",
        "60, where Linux has 30",
        "sysctl -w net.ipv4.neigh.default.gc_interval=30",
    )
    _, unordered = judge(KernelTable(AF_INET, 3, (128, 4096, 1024), 30.0, 0))
    assert unordered.level is Level.WARNING and "not in order" in unordered.what


def test_a_buffer_that_is_smaller_than_what_is_asked_for_is_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(system, "RECEIVE_BUFFER", 1 << 30)
    monkeypatch.setattr(system, "SMALL_SEND_BUFFER", 1 << 30)
    receive, send = system.find_buffers()
    assert (receive.level, receive.subject) == (Level.WARNING, "net.core.rmem_max")
    assert receive.do == f"sysctl -w net.core.rmem_max={1 << 30}"
    assert (send.level, send.subject) == (Level.WARNING, "net.core.wmem_default")


def run_program(preparation: str) -> list[dict[str, Any]]:
    return find(*QUIET, command=(sys.executable, "-c", PROGRAM.format(preparation)))[1]


@in_namespace
def test_packages_that_are_not_there_are_noted_with_what_brings_them() -> None:
    findings = run_program(
        "sys.modules.update(dict.fromkeys(['rich', 'scapy', 'prometheus_client', 'aiooui']))"
    )
    assert of(findings, "packages") == [
        ("note", "not installed", f"pip install 'neighio[{extra}]'")
        for extra in ("cli", "scapy", "vendors", "metrics")
    ]


def test_off_linux_it_says_so() -> None:
    findings = run_program("sys.platform = 'darwin'")
    assert of(findings, "system", "kernel")[0][:2] == ("problem", "this is darwin")
    assert {one["topic"] for one in findings} == {"system", "packages", "instances"}


@in_namespace
def test_an_old_kernel_is_a_warning() -> None:
    findings = run_program("import platform; platform.release = lambda: '4.19.0-27-amd64'")
    assert of(findings, "system", "kernel")[0][:2] == ("warning", "Linux 4.19.0-27-amd64 is older than 4.20")


async def test_running_instances_and_what_those_that_ended_left_behind_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with tempfile.TemporaryDirectory() as runtime:
        monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
        place = Path(runtime, "neighio")
        (none,) = await find_instances()
        assert (none.level, none.subject) == (Level.OK, str(place))
        await trio.Path(place).mkdir(mode=0o700)
        alive, gone, strange = (place / f"{pid}.sock" for pid in (17, 18, 19))
        device = neighio.Device(
            Segment(trio.current_time).attach(US, name="va"), addresses=["198.51.100.1/24"]
        )
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(os.fspath(gone))
        async with neighio.open_table(device, control=alive), trio.open_nursery() as nursery:
            with socket.socket(socket.AF_UNIX) as other:
                other.bind(os.fspath(strange))
                other.listen()

                async def hang_up() -> None:
                    # The first is only looked whether there is somebody.
                    for _ in range(2):
                        await trio.lowlevel.wait_readable(other)
                        other.accept()[0].close()

                nursery.start_soon(hang_up)
                running, ended, foreign = await find_instances()
        assert (running.level, running.subject) == (Level.OK, str(alive))
        assert running.what == "an instance runs, with neighbours on va"
        assert (ended.level, ended.do) == (Level.NOTE, f"rm {gone}")
        assert (foreign.level, foreign.what) == (Level.NOTE, "is not an instance to speak to")
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        (unset,) = await find_instances()
        assert (unset.level, unset.subject) == (Level.NOTE, "XDG_RUNTIME_DIR")


# -- what people see


@in_namespace
def test_in_silence_only_warnings_and_problems_are_told() -> None:
    with link() as (here, _):
        here.sysctl("net/ipv4/conf/eth0/arp_ignore", 8)
        here.sysctl("net/ipv4/conf/eth0/arp_notify", 1)
        status, output, _ = doctor(*QUIET, "-q")
        _, everything, _ = doctor(*QUIET)
    assert status == 0
    lines = output.splitlines()
    assert lines[:3] == [
        "warning  net.ipv4.conf.eth0.arp_ignore: 8, where Linux has 0",
        "           nobody's request is answered: neighbours cannot find this host",
        "           -> sysctl -w net.ipv4.conf.eth0.arp_ignore=0",
    ]
    assert [line for line in lines if line.startswith(("ok", "note"))] == []
    counts = everything.splitlines()[-1]
    assert counts.startswith("0 problems, ") and "note" in counts and counts.endswith(" ok")


def on_a_terminal(columns: int, **environment: str) -> str:
    """Run the command with a pseudo-terminal as its output; return what it wrote there."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, 0x5414, struct.pack("HHHH", 24, columns, 0, 0))  # TIOCSWINSZ
    given = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")}
    process = subprocess.Popen(
        [*COMMAND, *QUIET], stdout=follower, env={**given, "TERM": "xterm", **environment}
    )
    os.close(follower)
    written = b""
    try:
        while piece := os.read(leader, 65536):
            written += piece
    except OSError:
        # EIO: the command has ended.
        pass
    os.close(leader)
    process.wait(timeout=30)
    return written.decode()


@in_namespace
def test_lines_fit_a_terminal_and_levels_are_coloured_unless_no_color_is_set() -> None:
    with link() as (here, _):
        here.sysctl("net/ipv4/conf/eth0/arp_ignore", 2)
        here.sysctl("net/ipv4/neigh/eth0/mcast_solicit", 0)
        plain = on_a_terminal(80, NO_COLOR="1")
        coloured = on_a_terminal(80)
    assert "\x1b" not in plain
    lines = plain.splitlines()
    assert [line for line in lines if len(line) > 80 and "->" not in line] == []
    assert len(lines) > 20 and max(map(len, lines)) > 60
    assert "\x1b[31mproblem\x1b[0m  net.ipv4.neigh.eth0.mcast_solicit" in coloured


def test_nothing_reaches_a_terminal_that_it_would_obey() -> None:
    finding = Finding(Level.NOTE, "interface", "e\x1b[2J", "w\x9b31m", "y\r", "d\x07")
    lines = finding_lines(finding, 80, lambda text, kind: text)
    assert lines == [r"note     e\x1b[2J: w\x9b31m", r"           y\r", r"           -> d\x07"]


@in_namespace
def test_ctrl_c_ends_it() -> None:
    with link():
        command = subprocess.Popen(
            COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ}
        )
        assert command.stdout is not None
        first = command.stdout.readline()
        command.send_signal(signal.SIGINT)
        _, errors = command.communicate(timeout=20)
    assert first.startswith("ok       versions: neighio ")
    assert (command.returncode, errors) == (130, "")


def test_help_has_examples_keys_and_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--help"]) == 0
    printed = capsys.readouterr().out
    for word in ("examples:", "--no-probe", "doctor.json", "warning", "exit status", "-q"):
        assert word in printed
