"""``neighio announce`` as a user runs it, on a link at whose other end the kernel listens."""

from __future__ import annotations

import io
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import pytest

from neighio.address import LinkAddress, parse_ip
from neighio.cli import main
from neighio.core.constants import NUD_STALE
from neighio.kernel import requests
from neighio.testing import Here, Peer, connect, in_namespace
from neighio.wire import arp, ndisc

from .bridges import bridge
from .looking import on_a_terminal
from .schemas import validate

US, THEM, VIRTUAL = "02:00:00:00:00:01", "02:00:00:00:00:07", "00:00:5e:00:01:07"
COMMAND = [sys.executable, "-W", "error", "-m", "neighio", "announce"]
VIP, VIP6, LOCAL = "198.51.100.10", "2001:db8::10", "fe80::1"
WITHOUT_NET_RAW = """
import ctypes, os, sys
PR_CAPBSET_DROP, CAP_NET_RAW = 24, 13
if ctypes.CDLL(None, use_errno=True).prctl(PR_CAPBSET_DROP, CAP_NET_RAW, 0, 0, 0):
    raise OSError(ctypes.get_errno(), "prctl")
os.execv(sys.argv[1], sys.argv[1:])
"""


@contextmanager
def link() -> Iterator[tuple[Here, Peer]]:
    """Build a link: eth0 here has .1, ::1 and fe80::1 and has just taken over .10 and ::10; the kernel at the
    other end is .7, ::7 and fe80::7."""
    here = Here()
    with Peer.start() as peer:
        connect(here, peer, "eth0", "eth0", lladdr=US, far_lladdr=THEM)
        for end, host in ((here, 1), (peer, 7)):
            for address in (f"198.51.100.{host}/24", f"2001:db8::{host}/64", f"fe80::{host}/64"):
                end.add_address("eth0", address)
        here.add_address("eth0", f"{VIP}/24")
        here.add_address("eth0", f"{VIP6}/64")
        yield here, peer
    here.close()


@contextmanager
def hearing(peer: Peer) -> Iterator[socket.socket]:
    """Have what arrives at the other end."""
    with peer.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003)) as wire:
        wire.bind(("eth0", 0x0003))
        wire.setblocking(False)
        yield wire


def heard(wire: socket.socket) -> list[bytes]:
    """The announcements that arrived by now; the kernel's own frames (MLD) are not ours."""
    frames: list[bytes] = []
    while True:
        try:
            frame = wire.recv(2048)
        except BlockingIOError:
            return frames
        message = ndisc.parse(frame)
        if not isinstance(arp.parse(frame), str) or isinstance(message, ndisc.Advertisement):
            frames.append(frame)


def announce(*arguments: str) -> tuple[int, str, str]:
    """Run the command; return its exit status, its output and its errors."""
    with redirect_stdout(io.StringIO()) as printed, redirect_stderr(io.StringIO()) as told:
        status = main(["announce", *arguments])
    return status, printed.getvalue(), told.getvalue()


def announce_json(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
    status, output, errors = announce("--json", *arguments)
    assert errors == ""
    records = [json.loads(line) for line in output.splitlines()]
    for record in records:
        validate("announce", record)
    return status, records


def refusal(*arguments: str) -> str:
    """Have the command refuse, with status 2 and one line; return the line."""
    status, output, errors = announce(*arguments)
    assert (status, output) == (2, ""), errors
    assert errors.startswith("neighio announce: ") and errors.count("\n") == 1 and "\x1b" not in errors
    return errors


def lladdr_at(peer: Peer, ip: str) -> str | None:
    """Where the kernel at the other end believes an address to be."""
    key, _ = parse_ip(ip)
    found = [one.lladdr for one in peer.neighbours("eth0") if one.ip == key]
    return found[0].hex(":") if found and found[0] else None


def know(peer: Peer, ip: str, lladdr: str) -> None:
    """Have the other end believe that an address is elsewhere."""
    index, (key, _) = peer.link("eth0").index, parse_ip(ip)
    peer.request(requests.new_neighbour(index, key, LinkAddress(lladdr), state=NUD_STALE))


@in_namespace
def test_neighbours_that_know_the_former_owner_change_their_minds() -> None:
    with link() as (_, peer):
        for ip in (VIP, VIP6):
            know(peer, ip, "02:00:00:00:00:99")
        status, output, errors = announce(VIP, VIP6, "--repeat", "2", "--interval", "0.01")
        assert [lladdr_at(peer, ip) for ip in (VIP, VIP6)] == [US, US]
    assert (status, errors) == (0, "")
    assert output.splitlines() == [
        f"{VIP}  dev eth0  {US}  1/2  ARP request",
        f"{VIP6}   dev eth0  {US}  1/2  neighbour advertisement",
        f"{VIP}  dev eth0  {US}  2/2  ARP request",
        f"{VIP6}   dev eth0  {US}  2/2  neighbour advertisement",
    ]


@in_namespace
def test_each_form_is_what_goes_out_and_what_json_tells() -> None:
    with link() as (_, peer), hearing(peer) as wire:
        for words, forms, ops in (
            ([], ["request"], [1]),
            (["-U"], ["request"], [1]),
            (["-A"], ["reply"], [2]),
            (["--both"], ["request", "reply"], [1, 2]),
        ):
            status, (v4, v6) = announce_json(VIP, VIP6, "-c", "1", *words)
            frames = heard(wire)
            assert status == 0 and (v4["forms"], v6["forms"]) == (forms, ["advertisement"])
            assert {key: value for key, value in v4.items() if key not in ("time", "wall")} == {
                "kind": "announced",
                "address": VIP,
                "device": "eth0",
                "lladdr": US,
                "number": 1,
                "forms": forms,
                "error": None,
            }
            *gratuitous, advertisement = frames
            assert [frame[21] for frame in gratuitous] == ops
            for frame in gratuitous:
                assert frame[28:32] == frame[38:42] == parse_ip(VIP)[0]
            message = ndisc.parse(advertisement)
            assert isinstance(message, ndisc.Advertisement)
            assert (message.override, message.solicited, message.router) == (True, False, False)
            assert (message.target, message.lladdr) == (parse_ip(VIP6)[0], LinkAddress(US))


@in_namespace
def test_a_router_says_that_it_is_one() -> None:
    with link() as (here, peer), hearing(peer) as wire:
        here.sysctl("net/ipv6/conf/eth0/forwarding", 1)
        assert announce(VIP6, "-c", "1", "-q") == (0, "", "")
        message = ndisc.parse(heard(wire)[-1])
    assert isinstance(message, ndisc.Advertisement) and message.router


@in_namespace
def test_another_link_layer_address_is_told_and_sent_from() -> None:
    with link() as (_, peer), hearing(peer) as wire:
        status, records = announce_json(VIP, VIP6, "-c", "1", "--mac", VIRTUAL)
        frames = heard(wire)
        assert [frame[6:12] for frame in frames] == [LinkAddress(VIRTUAL)] * 2
        assert frames[0][22:28] == LinkAddress(VIRTUAL)
        advertisement = ndisc.parse(frames[1])
        assert isinstance(advertisement, ndisc.Advertisement) and advertisement.lladdr == LinkAddress(VIRTUAL)
        assert refusal(VIP, "--mac", "01:00:5e:00:00:01") == (
            "neighio announce: mac: '01:00:5e:00:00:01' is no Ethernet station's address\n"
        )
        assert heard(wire) == []
    assert (status, {record["lladdr"] for record in records}) == (0, {VIRTUAL})


@in_namespace
def test_a_second_owner_is_found_in_either_family() -> None:
    with link() as (_, peer):
        peer.add_address("eth0", f"{VIP}/24")
        peer.add_address("eth0", f"{VIP6}/64")
        status, records = announce_json(VIP, VIP6, LOCAL, "--verify", "-c", "1")
        verified = {record["address"]: record for record in records if record["kind"] == "verified"}
        said = announce(VIP, "--verify", "-c", "1")
        # Asking entered nobody's table.
        assert lladdr_at(peer, VIP) is None
    assert status == 1 and len(verified) == 3
    assert {ip: record["others"] for ip, record in verified.items()} == {VIP: [THEM], VIP6: [THEM], LOCAL: []}
    assert said[0] == 1
    assert said[1].splitlines()[1] == f"{VIP}  dev eth0  duplicate: {THEM} answers too"


@in_namespace
def test_nobody_else_has_it() -> None:
    with link():
        status, output, errors = announce(VIP, "--verify", "-c", "1")
        quiet = announce(VIP, "--verify", "-c", "1", "-q")
    assert (status, errors) == (0, "")
    assert output.splitlines()[1] == f"{VIP}  dev eth0  nobody else answers"
    assert quiet == (0, "", "")


@in_namespace
def test_an_answer_by_this_host_itself_is_no_second_owner() -> None:
    with link() as (here, peer):
        # Both ends of another pair are on one bridge with the first: the kernel answers on either for all.
        connect(here, peer, "eth1", "eth1", lladdr="02:00:00:00:00:02")
        bridge(peer, "eth0", "eth1")
        status, records = announce_json(VIP, "--verify", "-c", "1")
        _, output, _ = announce(VIP, "--verify", "-c", "1")
    verified = records[-1]
    assert (status, verified["others"], verified["own_devices"]) == (0, [], ["eth1"])
    assert "nobody else answers  this host's eth1 answers too (arp_ignore)" in output


@in_namespace
def test_what_the_device_has_not_is_announced_by_force_alone() -> None:
    with link() as (here, peer), hearing(peer) as wire:
        connect(here, peer, "eth1", "eth1")
        here.add_address("eth1", "203.0.113.1/24")
        assert "ip: 198.51.100.99 is on no device here; --dev DEVICE --force" in refusal("198.51.100.99")
        assert "ip: 203.0.113.1 is not on eth0 but on eth1; --force" in refusal("203.0.113.1", "-I", "eth0")
        assert heard(wire) == []
        status, records = announce_json("198.51.100.99", "2001:db8::99", "-I", "eth0", "--force", "-c", "1")
        assert status == 0 and [record["address"] for record in records] == ["198.51.100.99", "2001:db8::99"]
        assert len(heard(wire)) == 2


@in_namespace
def test_what_cannot_be_meant_is_refused_in_one_line_before_anything_is_sent() -> None:
    with link() as (here, peer), hearing(peer) as wire:
        connect(here, peer, "eth1", "eth1")
        here.add_address("eth1", f"{LOCAL}/64")
        for words, text in (
            ([VIP, "1.2.3"], "'1.2.3' is not an IP address"),
            ([VIP, "\x1b[31m"], r"\x1b[31m"),
            ([VIP, "224.0.0.1", "--force"], "ip: 224.0.0.1 can be no station's own address"),
            ([VIP, "ff02::1%eth0", "--force"], "ip: ff02::1 can be no station's own address"),
            ([VIP, "255.255.255.255"], "ip: 255.255.255.255 can be no station's own address"),
            ([VIP, "0.0.0.0"], "ip: 0.0.0.0 can be no station's own address"),
            ([VIP, "::"], "ip: :: can be no station's own address"),
            ([VIP, "127.0.0.1"], "ip: 127.0.0.1 can be no station's own address"),
            (
                [VIP, "198.51.100.255", "-I", "eth0", "--force"],
                "198.51.100.255 is a broadcast address of eth0",
            ),
            ([VIP, LOCAL], f"ip: {LOCAL} is on eth0 and eth1; name one of them with --dev"),
            ([f"{LOCAL}%eth0", "-I", "eth1"], f"ip: {LOCAL}%eth0 is on another device than eth1"),
            ([VIP, "-I", "eth7"], "dev: there is no interface 'eth7'; there is eth0, eth1, lo"),
            ([VIP6, "--both"], "both: gratuitous ARP has these forms, and no address is IPv4"),
            ([VIP, "--both", "-A"], "not allowed with"),
            ([VIP, "-c", "0"], "no whole number above 0"),
        ):
            assert text in refusal(*words), words
        here.set_link("eth0", arp=False)
        assert "dev: eth0 has no neighbours to tell (NOARP)" in refusal(VIP)
        here.set_link("eth0", arp=True)
        assert heard(wire) == []
        peer.set_link("eth0", up=False)
        assert "eth0 has no carrier: nobody would hear it" in refusal(VIP)
        here.set_link("eth0", up=False)
        assert "eth0 is down: ip link set eth0 up" in refusal(VIP)


@in_namespace
def test_without_the_capability_one_line_says_which_and_how_to_get_it() -> None:
    with link():
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_NET_RAW, *COMMAND, VIP], capture_output=True, text=True, timeout=30
        )
    told = done.stderr
    assert (done.returncode, done.stdout, told.count("\n")) == (2, "", 1)
    assert "eth0" in told and "CAP_NET_RAW" in told and "sudo" in told


@in_namespace
def test_a_deadline_ends_it_with_what_was_done() -> None:
    with link():
        status, records = announce_json(VIP, "-c", "1000", "--interval", "60", "-w", "0.2")
    assert (status, len(records)) == (0, 1)


@in_namespace
def test_a_device_that_goes_meanwhile_is_told() -> None:
    with link() as (here, _):
        errors = while_it_runs(lambda: here.set_link("eth0", up=False), "-c", "100000", "--interval", "0.01")
        assert errors == "neighio announce: eth0 is down\n"
        here.set_link("eth0", up=True)
        # It asks for a second, twice.
        errors = while_it_runs(lambda: here.set_link("eth0", up=False), "-c", "1", "--verify")
        assert errors == "neighio announce: eth0 is down\n"
        here.set_link("eth0", up=True)
        errors = while_it_runs(lambda: here.delete_link("eth0"), "-c", "100000", "--interval", "0.01")
        # The kernel takes it down first, and tells of that by itself.
        assert errors in ("neighio announce: eth0 is gone\n", "neighio announce: eth0 is down\n")


def while_it_runs(happens: Callable[[], None], *arguments: str) -> str:
    """Announce; when it has, let something happen; return the errors of the command, which is to fail."""
    command = subprocess.Popen(
        [*COMMAND, VIP, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert command.stdout is not None
    command.stdout.readline()
    happens()
    _, errors = command.communicate(timeout=20)
    assert command.returncode == 2, errors
    return errors


@in_namespace
def test_ctrl_c_ends_it_with_what_it_has() -> None:
    with link():
        command = subprocess.Popen(
            [*COMMAND, VIP, "--interval", "60"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert command.stdout is not None
        first = command.stdout.readline()
        command.send_signal(signal.SIGINT)
        rest, errors = command.communicate(timeout=20)
    assert (command.returncode, rest, errors) == (130, "", "")
    assert first == f"{VIP}  dev eth0  {US}  1/3  ARP request\n"


@in_namespace
def test_it_ends_when_nobody_reads_any_more() -> None:
    with link():
        command = subprocess.Popen(
            [*COMMAND, VIP, "-c", "1000000", "--interval", "0.001"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert command.stdout is not None and command.stderr is not None
        command.stdout.readline()
        command.stdout.close()
        errors = command.stderr.read()
        command.stderr.close()
        command.wait(timeout=20)
    assert (command.returncode, errors) == (0, "")


@in_namespace
def test_on_a_terminal_a_line_fits_and_a_duplicate_is_red_unless_no_color_is_set() -> None:
    with link() as (_, peer):
        peer.add_address("eth0", f"{VIP}/24")
        command = ["announce", VIP, "--both", "--verify", "-c", "1"]
        coloured = on_a_terminal(*command, status=1)
        plain = on_a_terminal(*command, status=1, NO_COLOR="1")
    assert f"\x1b[31mduplicate: {THEM} answers too\x1b[0m" in coloured
    assert "\x1b" not in plain
    assert [line for line in plain.splitlines() if len(line) > 80] == []


def test_help_has_examples_keys_and_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["announce", "--help"]) == 0
    printed = capsys.readouterr().out
    for word in ("examples:", "--verify", "announce.json", "own_devices", "exit status", "--force", "-c"):
        assert word in printed
