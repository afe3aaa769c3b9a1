"""``neighio host`` as a user runs it: it lives on a link at whose other end the kernel is, and ends."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest

from neighio.address import format_ip
from neighio.core.constants import NTF_ROUTER
from neighio.testing import in_namespace
from neighio.wire import arp, ipv6, ndisc
from neighio.wire.ethernet import ipv6_multicast_lladdr

from ..tun import require_tun
from .hosting import ADDRESSES, CARD, IPV4, MAC, SECONDS, THEM, Running, kernels_neighbour, link, ping, plug

ETH_P_ARP, ETH_P_IPV6 = 0x0806, 0x86DD
WITHOUT_CAPABILITY = """
import ctypes, os, sys
PR_CAPBSET_DROP = 24
if ctypes.CDLL(None, use_errno=True).prctl(PR_CAPBSET_DROP, int(sys.argv[1]), 0, 0, 0):
    raise OSError(ctypes.get_errno(), "prctl")
os.execv(sys.argv[2], sys.argv[2:])
"""
CAP_NET_ADMIN, CAP_NET_RAW = 12, 13
EVENT = [
    "kind",
    "time",
    "wall",
    "address",
    "device",
    "lladdr",
    "state",
    "flags",
    "probes",
    "refcnt",
    "protocol",
]


def without(capability: int) -> list[str]:
    return [sys.executable, "-c", WITHOUT_CAPABILITY, str(capability)]


def refusal(*arguments: str, prefix: list[str] | None = None, status: int = 2) -> str:
    """Run a host that does not begin; return what it says."""
    with Running(*arguments, prefix=prefix or []) as host:
        ended, output, errors = host.end()
    assert (ended, output) == (status, ""), errors
    assert errors.startswith("neighio host: ") and "Traceback" not in errors
    return errors


# -- answering


@in_namespace
def test_the_kernel_finds_and_pings_it_at_a_link_layer_address_of_its_own() -> None:
    with link() as (_, peer), Running("--mac", MAC, *ADDRESSES) as host:
        host.ready()
        for ip in ("198.51.100.1", "2001:db8::1", "fe80::1%v2"):
            assert ping(peer, ip) == ip.partition("%")[0]
        for ip in ("198.51.100.1", "2001:db8::1", "fe80::1"):
            found = kernels_neighbour(peer, ip)
            assert found is not None and str(found.lladdr and found.lladdr.hex(":")) == MAC
            assert not found.flags & NTF_ROUTER
        assert host.end() == (0, "", "")


@in_namespace
def test_it_has_the_interfaces_address_unless_told_otherwise_and_may_be_a_router() -> None:
    with link() as (_, peer), Running("--forwarding", *ADDRESSES) as host:
        host.ready()
        assert ping(peer, "2001:db8::1") == "2001:db8::1"
        found = kernels_neighbour(peer, "2001:db8::1")
        assert found is not None and found.lladdr is not None and found.lladdr.hex(":") == CARD
        assert found.flags & NTF_ROUTER


@in_namespace
def test_addresses_are_detected_before_it_is_ready() -> None:
    with (
        link() as (_, peer),
        Running("--address", "2001:db8::1/64", "--address", "fe80::1/64", "--monitor", "json") as host,
    ):
        with peer.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
            wire.bind(("v2", ETH_P_IPV6))
            wire.settimeout(SECONDS)
            detected: set[str] = set()
            while len(detected) < 2:
                message = ndisc.parse(wire.recv(2048))
                if isinstance(message, ndisc.Solicitation) and message.src == ipv6.UNSPECIFIED:
                    detected.add(format_ip(message.target))
        assert detected == {"2001:db8::1", "fe80::1"}
        assert host.kind("ready")["addresses"] == ["2001:db8::1/64", "fe80::1/64"]
        assert ping(peer, "2001:db8::1") == "2001:db8::1"


@in_namespace
def test_an_address_that_somebody_has_is_not_taken_and_who_has_it_is_told() -> None:
    with link():
        ipv4 = Running("--address", "198.51.100.2/24")
        ipv6 = Running("--address", "2001:db8::2/64", "--address", "2001:db8::3/64", "--monitor", "json")
        with ipv4, ipv6:
            assert ipv4.end() == (1, "", f"neighio host: 198.51.100.2 dev v1 is in use by {THEM}\n")
            conflict = ipv6.record()
            assert [conflict[key] for key in ("kind", "address", "device", "lladdr", "action")] == [
                "conflict",
                "2001:db8::2",
                "v1",
                THEM,
                "duplicate",
            ]
            assert ipv6.end() == (1, "", f"neighio host: 2001:db8::2 dev v1 is in use by {THEM}\n")


@in_namespace
def test_only_what_the_kernel_would_answer_for_itself_is_refused() -> None:
    with link() as (here, peer):
        here.add_address("v1", "198.51.100.7/24")
        here.add_address("v1", "2001:db8::7/64")
        here.add_address("lo", "198.51.100.8/32")
        here.add_address("lo", "2001:db8::8/128")
        assert "198.51.100.7 is the kernel's own, on v1" in refusal(
            "--address", "198.51.100.7/24", "--no-dad"
        )
        assert "2001:db8::7 is the kernel's own, on v1" in refusal("--address", "2001:db8::7/64", "--no-dad")
        assert "198.51.100.8 is the kernel's own, on lo" in refusal(
            "--address", "198.51.100.8/24", "--no-dad"
        )
        with Running(*ADDRESSES, "--address", "2001:db8::8/64") as host:
            host.ready()
            assert ping(peer, "2001:db8::8") == "2001:db8::8"
            assert ping(peer, "198.51.100.7") == "198.51.100.7"


# -- what is printed


@in_namespace
def test_json_tells_each_change_with_when_and_what() -> None:
    with link() as (_, peer), Running(*ADDRESSES, "--monitor", "json") as host:
        ready = host.record()
        assert list(ready) == [
            "kind",
            "time",
            "wall",
            "monotonic",
            "device",
            "lladdr",
            "addresses",
            "reachable_time",
        ]
        assert (ready["kind"], ready["device"], ready["lladdr"]) == ("ready", "v1", CARD)
        assert 15 <= ready["reachable_time"]["ipv4"] <= 45 and 15 <= ready["reachable_time"]["ipv6"] <= 45
        ping(peer, "198.51.100.1")
        heard = host.record()
        host.do("del 198.51.100.2")
        failed, gone = host.records
    assert list(heard) == list(failed) == list(gone) == EVENT
    assert [heard[key] for key in EVENT[3:]] == ["198.51.100.2", "v1", THEM, "STALE", [], 0, 1, 0]
    assert (heard["kind"], failed["kind"], gone["kind"]) == ("new", "new", "del")
    assert [gone[key] for key in EVENT[3:]] == ["198.51.100.2", "v1", None, "FAILED", [], 0, 0, 0]
    assert ready["time"] <= heard["time"] <= failed["time"] <= gone["time"]
    moments = [datetime.fromisoformat(record["wall"]).timestamp() for record in (ready, heard, gone)]
    assert moments == sorted(moments) and moments[0] > 1.7e9
    assert abs((moments[2] - moments[0]) - (gone["time"] - ready["time"])) < 0.1


@in_namespace
def test_without_a_monitor_it_says_when_it_is_ready_and_answers_and_nothing_else() -> None:
    with link() as (_, peer), Running(*ADDRESSES) as host:
        host.ready()
        ping(peer, "198.51.100.1")
        assert host.do("show 198.51.100.2")["entries"][0]["address"] == "198.51.100.2"
        assert host.end() == (0, "", "")
        assert host.records == []


@in_namespace
def test_somebody_who_uses_its_address_is_told_of() -> None:
    for monitor in ("json", "text"):
        with link() as (_, peer), Running(*ADDRESSES, "--monitor", monitor) as host:
            ready = host.line()
            with peer.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
                wire.bind(("v2", 0))
                own, theirs = bytes([198, 51, 100, 1]), bytes.fromhex(THEM.replace(":", ""))
                wire.send(
                    arp.build(arp.ARPOP_REQUEST, own, theirs, own, bytes(6), dst=b"\xff" * 6, src=theirs)
                )
            if monitor == "json":
                conflict = host.record()
                assert list(conflict) == ["kind", "time", "wall", "address", "device", "lladdr", "action"]
                assert list(conflict.values())[3:] == ["198.51.100.1", "v1", THEM, "reported"]
                assert host.end() == (0, "", "")
            else:
                assert ready == "ready"
                assert host.process.stderr is not None
                told = host.process.stderr.readline().decode()
                assert told == f"neighio host: 198.51.100.1 dev v1 used by {THEM}: reported\n"
                assert host.end() == (0, "", "")


@in_namespace
def test_an_address_is_defended_as_it_was_told_to() -> None:
    own, theirs = bytes([198, 51, 100, 1]), bytes.fromhex(THEM.replace(":", ""))
    seized = arp.build(arp.ARPOP_REQUEST, own, theirs, own, bytes(6), dst=b"\xff" * 6, src=theirs)
    with link() as (_, peer), Running(*ADDRESSES, "--defence=once", "--monitor=json") as host:
        host.kind("ready")
        with peer.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
            wire.bind(("v2", ETH_P_ARP))
            wire.settimeout(SECONDS)
            wire.send(seized)
            assert host.kind("conflict")["action"] == "defended"
            while (heard := wire.recv(2048))[6:12] == theirs:
                pass
            assert arp.parse(heard)[:2] == (arp.ARPOP_REQUEST, own)
            wire.send(seized)
            assert host.kind("conflict")["action"] == "ceased"
        assert "198.51.100.1/24" not in host.do("stats")["addresses"]


@in_namespace
def test_it_lives_on_when_nobody_hears_what_it_complains_of() -> None:
    own, theirs = bytes([198, 51, 100, 1]), bytes.fromhex(THEM.replace(":", ""))
    seized = arp.build(arp.ARPOP_REQUEST, own, theirs, own, bytes(6), dst=b"\xff" * 6, src=theirs)
    with link() as (_, peer), Running(*ADDRESSES, "--defence=cease", "--monitor=text") as host:
        host.ready()
        assert host.process.stderr is not None and host.process.stdin is not None
        host.tell(f"add 198.51.100.2 lladdr {THEM}")
        assert (host.line(), host.line()[:11]) == (
            f"198.51.100.2 dev v1 lladdr {THEM} PERMANENT ",
            '{"ok": true',
        )
        host.process.stderr.close()
        with peer.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
            wire.bind(("v2", 0))
            wire.send(seized)
        # It tells of the conflict, and has no IPv4 address any more.
        assert host.line() == "Deleted 198.51.100.2 dev v1 lladdr 02:00:00:00:00:0b PERMANENT "
        host.process.stdin.close()
        assert host.process.wait(SECONDS) == 0


# -- the interface


@in_namespace
def test_an_interface_that_goes_down_and_up_is_followed() -> None:
    with link() as (here, peer), Running(*ADDRESSES, "--monitor", "json") as host:
        host.kind("ready")
        assert ping(peer, "198.51.100.1") == "198.51.100.1"
        host.record()
        here.set_link("v1", up=False)
        down = host.record()
        assert list(down) == ["kind", "time", "wall", "device", "present", "up", "carrier"]
        assert list(down.values())[3:] == ["v1", True, False, False]
        assert host.kind("del")["address"] == "198.51.100.2"
        here.set_link("v1", up=True)
        assert host.until(lambda record: record["kind"] == "link" and record["carrier"])["up"] is True
        assert ping(peer, "198.51.100.1") == "198.51.100.1"
        peer.set_link("v2", up=False)
        unplugged = host.kind("link")
        assert (unplugged["present"], unplugged["up"], unplugged["carrier"]) == (True, True, False)
        assert host.end()[::2] == (0, "")


@in_namespace
def test_an_interface_that_is_removed_and_comes_back_is_followed() -> None:
    with (
        link() as (here, peer),
        Running(
            *ADDRESSES,
            "--address=198.18.1.1/24",
            "--set=ipv4.ucast_solicit=7",
            "--route=198.19.0.0/16 via 198.18.1.2",
            "--route=203.0.113.0/24 via 198.51.100.2",
            "--monitor=json",
        ) as host,
    ):
        host.kind("ready")
        host.do("set ipv4.ucast_solicit=8 ipv6.mcast_solicit=9")
        host.do("address del 198.18.1.1/24")
        here.delete_link("v1")
        gone = host.until(lambda record: record["kind"] == "link" and not record["present"])
        assert (gone["up"], gone["carrier"]) == (False, False)
        assert host.refusal("link up")[0] == "ENETDOWN"
        assert host.refusal("send 198.51.100.2")[0] == "ENETUNREACH"
        plug(here, peer)
        back = host.until(lambda record: record["kind"] == "link" and record["carrier"])
        assert (back["device"], back["present"], back["up"]) == ("v1", True, True)
        assert ping(peer, "198.51.100.1") == "198.51.100.1"
        assert ping(peer, "2001:db8::1") == "2001:db8::1"
        assert host.do("send 203.0.113.9")["source"] == "198.51.100.1"
        held = host.do("stats")["parameters"]
        assert (held["ipv4"]["ucast_solicit"], held["ipv6"]["mcast_solicit"]) == (8, 9)
        # Of the routes only the one whose gateway was on the link of that address is lost.
        status, _, errors = host.end()
        assert status == 0 and errors.count("\n") == 1
        assert errors.startswith("neighio host: gateway: 198.18.1.2 is not on the link of v1")


@in_namespace
def test_an_interface_that_is_down_when_it_begins_is_told_of() -> None:
    with link() as (here, peer):
        here.set_link("v1", up=False)
        with Running(*ADDRESSES, "--monitor", "json") as host:
            assert host.record()["up"] is False
            host.kind("ready")
            host.tell("link up")
            host.until(lambda record: record.get("carrier") is True)
            assert ping(peer, "198.51.100.1") == "198.51.100.1"
            assert host.end()[::2] == (0, "neighio host: v1 is down\n")


@in_namespace
def test_an_address_is_detected_when_somebody_can_hear_it() -> None:
    with link(quiet=True) as (_, peer):
        peer.set_link("v2", up=False)
        with (
            Running("--address", "2001:db8::9/64", "--monitor", "json") as host,
            peer.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire,
        ):
            # It waits, where nobody could have answered.
            begun = host.record()
            assert (begun["kind"], begun["up"], begun["carrier"]) == ("link", True, False)
            wire.bind(("v2", ETH_P_IPV6))
            wire.settimeout(SECONDS)
            # That the interface is down is said once.
            assert wire.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ENETDOWN
            peer.set_link("v2", up=True)
            assert host.kind("link")["carrier"] is True
            while not isinstance(asked := ndisc.parse(wire.recv(2048)), ndisc.Solicitation):
                pass
            theirs = bytes.fromhex(THEM.replace(":", ""))
            answer = ndisc.build_advertisement(
                asked.target,
                ipv6.ALL_NODES,
                asked.target,
                theirs,
                router=False,
                solicited=False,
                override=True,
            )
            wire.send(ipv6_multicast_lladdr(ipv6.ALL_NODES) + theirs + b"\x86\xdd" + answer)
            assert host.kind("conflict")["action"] == "duplicate"
            assert host.end() == (
                1,
                "",
                f"neighio host: v1 has no carrier\nneighio host: 2001:db8::9 dev v1 is in use by {THEM}\n",
            )


@in_namespace
def test_behind_a_tap_device_it_is_the_kernels_neighbour() -> None:
    require_tun()
    with link() as (here, _), Running("--mac", MAC, *ADDRESSES, where="--tap=tap7") as host:
        host.ready()
        here.add_address("tap7", "198.51.100.3/24")
        assert ping(here, "198.51.100.1") == "198.51.100.1"
        assert host.do("show")["entries"][0]["address"] == "198.51.100.3"
        here.delete_link("tap7")
        assert host.end() == (1, "", "neighio host: tap7 was removed\n")


# -- its end


@in_namespace
def test_json_is_what_every_command_calls_it() -> None:
    with link(), Running(*ADDRESSES, "--json") as host:
        assert host.record()["kind"] == "ready"


@in_namespace
def test_each_way_to_end_it_has_its_status() -> None:
    ways: list[tuple[str, int | None, int]] = [
        ("", None, 0),
        ("", signal.SIGTERM, 0),
        ("", signal.SIGINT, 130),
    ]
    with link():
        for _, number, status in ways:
            with Running(*ADDRESSES, "--monitor", "text") as host:
                host.ready()
                assert host.end(number) == (status, "", "")
        with Running(*ADDRESSES) as host:
            host.ready()
            assert list(host.do("quit")) == ["ok", "time", "wall"]
            assert host.process.wait(SECONDS) == 0
            assert host.end() == (0, "", "")


@in_namespace
def test_a_signal_ends_it_while_addresses_are_detected() -> None:
    with link() as (_, peer):
        for number, status in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
            with Running("--address", "198.51.100.1/24", "--monitor", "json") as host:
                with peer.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
                    wire.bind(("v2", ETH_P_ARP))
                    wire.settimeout(SECONDS)
                    # Its first probe: it is under way.
                    wire.recv(2048)
                assert host.end(number) == (status, "", "")


@in_namespace
def test_a_signal_ends_it_while_an_address_is_detected_that_it_was_told_of() -> None:
    with link():
        for number, status in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
            with Running(*ADDRESSES, "--set", "ipv6.dad_transmits=255").ready() as host:
                host.do("address add 2001:db8::9/64 dad")
                assert host.end(number) == (status, "", "")


@in_namespace
def test_it_ends_when_nobody_reads_any_more() -> None:
    with link() as (_, peer), Running(*ADDRESSES, "--monitor", "text") as host:
        host.ready()
        assert host.process.stdout is not None and host.process.stderr is not None
        host.process.stdout.close()
        ping(peer, "198.51.100.1")
        assert host.process.stderr.read() == b""
        assert host.process.wait(SECONDS) == 0


@in_namespace
def test_without_a_capability_it_says_which_and_how_to_get_it() -> None:
    with link():
        told = refusal(*ADDRESSES, prefix=without(CAP_NET_RAW))
        assert "v1" in told and "CAP_NET_RAW" in told and "sudo" in told
        with Running(*ADDRESSES, prefix=without(CAP_NET_ADMIN)) as host:
            host.ready()
            assert host.refusal("link down") == (
                "EPERM",
                "link: to set v1 down needs the capability CAP_NET_ADMIN",
            )


@in_namespace
def test_an_interface_that_is_not_there_is_refused_and_those_that_are_are_named() -> None:
    with link(), Running(where="--dev=v7") as host:
        status, output, errors = host.end()
    assert (status, output) == (2, "")
    assert errors == "neighio host: device: there is no interface 'v7'; there is lo, v1\n"


# -- its input


@in_namespace
def test_commands_come_from_a_pipe_from_a_file_or_from_nowhere() -> None:
    with link():
        with Running(*ADDRESSES) as host:
            assert host.process.stdin is not None
            # Before it is ready, and without a newline at the end.
            host.process.stdin.write(b"\n  # nothing\nshow proxy\n   \nset ipv4.locktime=0")
            status, output, errors = host.end()
            assert (status, errors) == (0, "")
            ready, proxies, setting = output.splitlines()
            assert ready == "ready" and '"entries": []' in proxies and '"ipv4.locktime": 0.0' in setting
        commands = Path("/dev/shm") / f"neighio-test-{os.getpid()}"
        commands.write_text("show\nquit\nshow\n")
        try:
            with commands.open() as stdin, Running(*ADDRESSES, stdin=stdin) as host:
                status, output, errors = host.end()
        finally:
            commands.unlink()
        assert (status, errors, len(output.splitlines())) == (0, "", 3)
        with Running(*ADDRESSES, stdin=subprocess.DEVNULL) as host:
            assert host.end() == (0, "ready\n", "")
        with Running(*ADDRESSES, prefix=["sh", "-c", 'exec "$@" <&-', "sh"]) as host:
            assert host.end() == (0, "ready\n", "")


@in_namespace
def test_a_line_without_end_is_refused_and_the_next_is_heard() -> None:
    with link(), Running(*ADDRESSES) as host:
        host.ready()
        code, text = host.refusal("x" * 200_000)
        assert code == "EINVAL" and "65536" in text
        host.do("show")


@in_namespace
def test_who_does_not_read_holds_nothing_up() -> None:
    with link() as (_, peer), Running(*ADDRESSES, "--monitor", "json") as host:
        host.kind("ready")
        assert host.process.stdin is not None
        for _ in range(400):
            host.tell("stats")
        # A pipe is full long before 400 answers.
        assert ping(peer, "198.51.100.1") == "198.51.100.1"
        assert ping(peer, "2001:db8::1") == "2001:db8::1"
        host.process.stdin.close()
        answers = 0
        while line := host.line():
            answers += '"ok": true' in line
    assert answers == 400


@in_namespace
def test_it_has_gateways_when_told_so() -> None:
    with (
        link() as (_, peer),
        Running(
            *ADDRESSES,
            *("--route", "default", "via", "198.51.100.2", "--route", "2001:db8:1::/64 via fe80::2"),
            # By a route, a gateway is on the link as well.
            *("--route", "203.0.113.1/32", "--route", "198.18.0.0/15 via 203.0.113.1"),
        ) as host,
    ):
        host.ready()
        for ip, gateway, family in (
            ("203.0.113.9", "198.51.100.2", socket.AF_INET),
            ("2001:db8:1::9", "fe80::2", socket.AF_INET6),
        ):
            with peer.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as wire:
                wire.bind(("v2", 0x0800 if family == socket.AF_INET else 0x86DD))
                wire.settimeout(SECONDS)
                assert host.do(f"send {ip} 20")["octets"] == (48 if family == socket.AF_INET else 68)
                while socket.inet_pton(family, ip) not in (packet := wire.recv(2048)):
                    pass
                assert packet.endswith(b"....") and b"#00" in packet
            assert host.do(f"show {gateway}")["entries"][0]["lladdr"] == THEM
            assert host.do(f"show {ip}")["entries"] == []


@in_namespace
def test_other_processes_look_in_through_a_control_socket_when_told_so() -> None:
    path = f"/dev/shm/neighio-test-{os.getpid()}.sock"
    with link(), Running(*ADDRESSES, f"--control={path}") as host:
        host.ready()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(SECONDS)
            client.connect(path)
            assert b'"kind": "hello"' in client.recv(4096)
        assert host.end() == (0, "", "")
        assert not Path(path).exists()
        assert "XDG_RUNTIME_DIR" in refusal(*ADDRESSES, "--control", prefix=["env", "-u", "XDG_RUNTIME_DIR"])


@in_namespace
def test_prometheus_is_served_when_told_so() -> None:
    pytest.importorskip("prometheus_client")
    with link() as (here, peer):
        here.set_link("lo", up=True)
        with Running(*ADDRESSES, "--metrics=9188", "--set=ipv4.delay_first_probe_time=60") as host:
            host.ready()
            ping(peer, "198.51.100.1")
            with socket.create_connection(("127.0.0.1", 9188), SECONDS) as client:
                client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                answer = b"".join(iter(lambda: client.recv(65536), b""))
            assert answer.startswith(b"HTTP/1.1 200 OK")
            assert b'neighio_entries{family="ipv4",state="DELAY"} 1.0' in answer
            told = refusal(*ADDRESSES, "--metrics=9188")
            assert "metrics: 127.0.0.1 port 9188: " in told and "in use" in told
        assert "metrics: 'x' is not of the form" in refusal(*ADDRESSES, "--metrics=x")


# -- what cannot be meant


@in_namespace
def test_what_is_refused_leaves_nothing_behind() -> None:
    with link() as (_, peer), peer.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.bind(("v2", 0x0003))
        wire.setblocking(False)
        assert "ipv4.locktime" in refusal(*ADDRESSES, "--set", "ipv4.locktime=-1")
        assert "given twice" in refusal(*ADDRESSES, "--address", IPV4)
        assert "gateway" in refusal(*ADDRESSES, "--route", "203.0.113.0/24 via 198.51.100.1")
        assert "gateway: 203.0.113.1" in refusal(*ADDRESSES, "--route", "default via 203.0.113.1")
        senders = set()
        with suppress(BlockingIOError):
            while True:
                senders.add(wire.recv(2048)[6:12].hex(":"))
    assert CARD not in senders
