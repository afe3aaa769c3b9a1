"""``neighio resolve`` as a user runs it, on a link at whose other end the kernel answers."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from neighio.core.constants import NUD_STALE
from neighio.kernel.requests import new_neighbour
from neighio.testing import Here, Peer, connect, in_namespace
from neighio.wire import arp

from .looking import on_a_full_disk, on_a_terminal
from .schemas import validate

US, THEM, TOO = "02:00:00:00:00:01", "02:00:00:00:00:07", "02:00:00:00:00:08"
COMMAND = [sys.executable, "-W", "error", "-m", "neighio", "resolve"]
KEYS = ["name", "address", "device", "via", "number", "lladdr", "round_trip_ms", "state", "others", "error"]
ETH_P_ARP = 0x0806
WITHOUT_NET_RAW = """
import ctypes, sys
PR_CAPBSET_DROP, CAP_NET_RAW = 24, 13
if ctypes.CDLL(None, use_errno=True).prctl(PR_CAPBSET_DROP, CAP_NET_RAW, 0, 0, 0):
    raise OSError(ctypes.get_errno(), "prctl")
import os
os.execv(sys.argv[1], sys.argv[1:])
"""


@contextmanager
def link() -> Iterator[tuple[Here, Peer]]:
    """Build a link: we are 198.51.100.1 on eth0, the kernel at its other end is 198.51.100.7."""
    here = Here()
    with Peer.start() as peer:
        connect(here, peer, "eth0", "eth0", lladdr=US, far_lladdr=THEM)
        here.add_address("eth0", "198.51.100.1/24")
        peer.add_address("eth0", "198.51.100.7/24")
        yield here, peer
    here.close()


@contextmanager
def dual_link() -> Iterator[tuple[Here, Peer]]:
    """Build the link with IPv6 addresses on either end too: ::1 and fe80::1 ours, ::7 and fe80::7 theirs."""
    with link() as (here, peer):
        for end, number in ((here, 1), (peer, 7)):
            end.add_address("eth0", f"2001:db8::{number}/64")
            end.add_address("eth0", f"fe80::{number}/64")
        yield here, peer


def resolve(*arguments: str, prefix: tuple[str, ...] = ()) -> tuple[int, str, str]:
    """Run the command; return its exit status, its output and its errors."""
    done = subprocess.run(
        [*prefix, *COMMAND, *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def resolve_json(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
    status, output, errors = resolve("--json", *arguments)
    assert errors == ""
    found = [json.loads(line) for line in output.splitlines()]
    for one in found:
        validate("resolve", one)
    return status, found


def refusal(*arguments: str, prefix: tuple[str, ...] = ()) -> str:
    """Run the command, which is to refuse with status 2 and one line; return the line."""
    status, output, errors = resolve(*arguments, prefix=prefix)
    assert (status, output) == (2, ""), errors
    assert errors.startswith("neighio resolve: ") and errors.count("\n") == 1 and "\x1b" not in errors
    return errors


def requests(wire: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """Yield the source and the target of each ARP request that a raw socket hears."""
    while True:
        message = arp.parse(wire.recv(2048))
        if not isinstance(message, str) and message[0] == arp.ARPOP_REQUEST:
            yield message[1], message[3]


@contextmanager
def raw(peer: Peer) -> Iterator[socket.socket]:
    """Open a raw socket for ARP on the peer's end, whose kernel answers no more."""
    peer.set_link("eth0", arp=False)
    with peer.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP)) as wire:
        wire.bind(("eth0", ETH_P_ARP))
        wire.settimeout(20)
        yield wire


def answer(wire: socket.socket, ip: bytes, lladdr: str) -> None:
    sha, to = (bytes.fromhex(text.replace(":", "")) for text in (lladdr, US))
    wire.send(arp.build(arp.ARPOP_REPLY, ip, sha, bytes([198, 51, 100, 1]), to, dst=to, src=sha))


@in_namespace
def test_who_answers_is_told_with_address_round_trip_and_state() -> None:
    with link():
        status, output, errors = resolve("198.51.100.7")
    assert (status, errors) == (0, "")
    ip, dev, name, lladdr, milliseconds, unit, state = output.split()
    assert (ip, dev, name, lladdr, unit, state) == ("198.51.100.7", "dev", "eth0", THEM, "ms", "REACHABLE")
    assert float(milliseconds) > 0


@in_namespace
def test_one_of_two_does_not_answer() -> None:
    with link():
        status, found = resolve_json("198.51.100.7", "198.51.100.8", "--dev", "eth0")
    assert status == 1
    there, absent = found
    assert [there["kind"], absent["kind"]] == ["request", "request"]
    # Who does not answer is told of when there was time to.
    assert absent["time"] >= 1
    assert [list(there)[3:], list(absent)[3:]] == [KEYS, KEYS]
    assert there.pop("round_trip_ms") > 0
    assert [there.get(key) for key in KEYS if key != "round_trip_ms"] == [
        None,
        "198.51.100.7",
        "eth0",
        None,
        1,
        THEM,
        "REACHABLE",
        [],
        None,
    ]
    assert [absent[key] for key in KEYS] == [
        None,
        "198.51.100.8",
        "eth0",
        None,
        1,
        None,
        None,
        None,
        [],
        "no answer in 1 s",
    ]


WITH_HOSTS = """
import ctypes, os, sys
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000
libc = ctypes.CDLL(None, use_errno=True)
hosts = sys.argv[1].encode()
if (
    libc.unshare(CLONE_NEWNS)
    or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    or libc.mount(hosts, b"/etc/hosts", None, MS_BIND, None)
):
    raise OSError(ctypes.get_errno(), "no mount namespace")
os.execv(sys.argv[2], sys.argv[2:])
"""
HOSTS = """
127.0.0.1 localhost
198.51.100.7 printer printer.example
2001:db8::7 printer printer.example
198.51.100.7 old
fe80::7 local
"""


@contextmanager
def hosts() -> Iterator[tuple[str, ...]]:
    """What a command is put behind to know the names of HOSTS, and those alone."""
    with tempfile.NamedTemporaryFile("w", prefix="hosts") as file:
        file.write(HOSTS)
        file.flush()
        yield (sys.executable, "-c", WITH_HOSTS, file.name)


@in_namespace
def test_a_host_name_is_looked_up_and_told_with_its_address() -> None:
    with dual_link(), hosts() as known:
        for words, address in (
            (["-4", "printer"], "198.51.100.7"),
            (["-6", "printer.example"], "2001:db8::7"),
            (["old"], "198.51.100.7"),
            (["local", "-I", "eth0"], "fe80::7"),
        ):
            name = next(word for word in words if not word.startswith("-"))
            status, output, errors = resolve("--json", *words, prefix=known)
            found = json.loads(output)
            validate("resolve", found)
            assert (status, errors) == (0, "")
            assert (found["name"], found["address"], found["lladdr"]) == (name, address, THEM)
        status, output, _ = resolve("old", "198.51.100.7", "-c", "2", "-i", "0", prefix=known)
        summaries = output.splitlines()[4:]
        assert status == 0 and output.startswith(
            ("old (198.51.100.7)  dev eth0  ", "198.51.100.7        dev")
        )
        assert summaries[0].startswith("old (198.51.100.7)  2 asked, 2 answered")
        # Without a family it is the address that the system would take first.
        (first,) = resolve("--json", "printer", prefix=known)[1].splitlines()
        assert json.loads(first)["address"] in ("198.51.100.7", "2001:db8::7")


@in_namespace
def test_a_name_that_is_not_known_or_of_the_other_family_is_refused_before_the_privilege_is_needed() -> None:
    with dual_link(), hosts() as known:
        without = (*known, sys.executable, "-c", WITHOUT_NET_RAW)
        assert "ip: no IPv6 address of old is known: " in refusal("-6", "printer", "old", prefix=without)
        assert "ip: no address of nowhere is known: " in refusal("old", "nowhere", prefix=without)
        assert "ip: 198.51.100.7 is no IPv6 address" in refusal("-6", "198.51.100.7", prefix=without)
        assert "ip: fe80::7%eth0 is no IPv4 address" in refusal("-4", "fe80::7%eth0", prefix=without)
        assert "ip: 127.0.0.1 is this host's own (localhost)" in refusal(
            "-I", "eth0", "-4", "localhost", prefix=known
        )
        assert "local (fe80::7) is on every link; name one: fe80::7%DEVICE, or --dev" in refusal(
            "local", prefix=known
        )
        # An address with a fault is no name, whatever getaddrinfo() makes of it.
        for faulty in ("1.2.3", "0x7f000001", "3221225985", "198.51.100.7.", "198.51.100.300"):
            assert f"ip: '{faulty}' is not an IP address" in refusal(faulty, prefix=known)


@in_namespace
def test_behind_a_gateway_it_is_the_gateway_that_is_asked_for() -> None:
    with link() as (here, _):
        here.add_route("eth0", "203.0.113.0/24", "198.51.100.7")
        status, (found,) = resolve_json("203.0.113.9")
        beyond = refusal("198.18.0.1")
    assert (status, found["address"], found["via"], found["lladdr"]) == (
        0,
        "203.0.113.9",
        "198.51.100.7",
        THEM,
    )
    assert "no route to 198.18.0.1" in beyond and "--dev" in beyond


@in_namespace
def test_both_families_are_asked_at_once() -> None:
    everybody = ["198.51.100.7", "2001:db8::7", "fe80::7%eth0", "2001:db8::8"]
    with dual_link():
        status, found = resolve_json(*everybody)
        on_a_link, (same,) = resolve_json("fe80::7", "--dev", "eth0")
    assert status == 1
    answers = {one["address"]: (one["device"], one["lladdr"], one["state"], one["error"]) for one in found}
    assert answers == {
        **dict.fromkeys(("198.51.100.7", "2001:db8::7", "fe80::7"), ("eth0", THEM, "REACHABLE", None)),
        everybody[3]: ("eth0", None, None, "no answer in 1 s"),
    }
    assert (on_a_link, same["address"], same["lladdr"]) == (0, "fe80::7", THEM)


@in_namespace
def test_an_ipv6_gateway_is_asked_for_and_its_link_local_address_suffices() -> None:
    with dual_link() as (here, _):
        here.add_route("eth0", "2001:db8:1::/64", "fe80::7")
        status, (found,) = resolve_json("2001:db8:1::9")
    assert (status, found["via"], found["device"], found["lladdr"]) == (0, "fe80::7", "eth0", THEM)


@in_namespace
def test_an_own_ipv6_address_is_refused_however_it_is_asked_for() -> None:
    with dual_link() as (here, peer):
        connect(here, peer, "eth1", "eth1")
        here.add_address("eth1", "fe80::7/64")
        for words in (
            ["2001:db8::1"],
            ["2001:db8::1", "--dev", "eth0"],
            ["fe80::1%eth0"],
            ["::1", "--dev", "eth0"],
        ):
            assert f"ip: {words[0]} is this host's own" in refusal(*words)
        assert "unspecified" in refusal("::", "--dev", "eth0")
        # Ours on another link; here it is somebody else's.
        assert resolve("fe80::7%eth0")[0] == 0


@in_namespace
def test_ipv6_is_asked_for_from_a_source_of_ones_own() -> None:
    with dual_link() as (here, _):
        for source in ("2001:db8::1", "fe80::1", "::"):
            status, (found,) = resolve_json("2001:db8::7", "--source", source)
            assert (status, found["lladdr"]) == (0, THEM)
        assert "no address of this host" in refusal("2001:db8::7", "--source", "2001:db8::99")
        mixed = refusal("198.51.100.7", "2001:db8::7", "--source", "198.51.100.1")
        assert "source: 198.51.100.1 is not of the family of 2001:db8::7" in mixed
        here.del_address("eth0", "fe80::1/64")
        assert "eth0 has no link-local address from which to ask for 2001:db8::7" in refusal("2001:db8::7")
        here.set_link("eth0", up=False)
        status, (found,) = resolve_json("2001:db8::7", "--dev", "eth0")
        assert (status, found["error"]) == (2, "eth0 is down")


@in_namespace
def test_an_address_that_needs_no_asking_is_told_without_a_round_trip() -> None:
    with link():
        status, found = resolve_json("224.0.0.1", "ff02::1%eth0", "--dev", "eth0")
    assert status == 0
    assert {one["address"]: (one["lladdr"], one["round_trip_ms"], one["state"]) for one in found} == {
        "224.0.0.1": ("01:00:5e:00:00:01", None, "NOARP"),
        "ff02::1": ("33:33:00:00:00:01", None, "NOARP"),
    }


@in_namespace
def test_two_that_have_the_same_address_are_told() -> None:
    with link() as (_, peer), raw(peer) as wire:

        def two() -> None:
            _, target = next(requests(wire))
            answer(wire, target, THEM)
            answer(wire, target, TOO)

        station = threading.Thread(target=two)
        station.start()
        status, output, _ = resolve("198.51.100.7", "--listen", "0.5")
        station.join()
    assert status == 0
    assert THEM in output and f"duplicate: {TOO} too" in output


@in_namespace
def test_a_duplicate_that_answers_another_time_is_told_too() -> None:
    with link() as (_, peer), raw(peer) as wire:

        def in_turns() -> None:
            for (_, target), lladdr in zip(requests(wire), (THEM, TOO), strict=False):
                answer(wire, target, lladdr)
                if lladdr == TOO:
                    return

        station = threading.Thread(target=in_turns)
        station.start()
        status, found = resolve_json("198.51.100.7", "--count", "2", "--interval", "0")
        station.join()
    *answers, summary = found
    assert status == 0 and summary["kind"] == "summary"
    assert [(one["number"], one["lladdr"], one["others"]) for one in answers] == [
        (1, THEM, []),
        (2, TOO, [THEM]),
    ]


@in_namespace
def test_count_repeats_and_sums_up() -> None:
    with link():
        status, output, _ = resolve("198.51.100.7", "-c", "3", "-i", "0.01")
    *lines, total = output.splitlines()
    assert status == 0 and len(lines) == 3
    assert total.startswith("198.51.100.7  3 asked, 3 answered, 0 % lost; ")
    least, middle, most = (float(text) for text in total.split("; ")[1].split(" ms")[0].split(" / "))
    assert 0 < least <= middle <= most and total.endswith(" ms min / median / max")


@in_namespace
def test_each_address_has_its_summary_and_who_never_answers_has_no_times() -> None:
    with link():
        status, found = resolve_json("198.51.100.7", "198.51.100.8", "-I", "eth0", "-c", "2", "-i", "0.01")
    there, absent = found[4:]
    assert status == 1
    trips = [one["round_trip_ms"] for one in found[:4] if one["address"] == "198.51.100.7"]
    assert there == {
        "kind": "summary",
        "name": None,
        "address": "198.51.100.7",
        "device": "eth0",
        "via": None,
        "asked": 2,
        "answered": 2,
        "lost_percent": 0.0,
        "min_ms": min(trips),
        "median_ms": round(sum(trips) / 2, 3),
        "max_ms": max(trips),
    }
    assert absent == {
        "kind": "summary",
        "name": None,
        "address": "198.51.100.8",
        "device": "eth0",
        "via": None,
        "asked": 2,
        "answered": 0,
        "lost_percent": 100.0,
        **dict.fromkeys(("min_ms", "median_ms", "max_ms")),
    }


@in_namespace
def test_who_answers_one_of_several_requests_has_answered() -> None:
    with link() as (_, peer), raw(peer) as wire:

        def the_second() -> None:
            asked = requests(wire)
            next(asked)
            _, target = next(asked)
            answer(wire, target, THEM)

        station = threading.Thread(target=the_second)
        station.start()
        status, found = resolve_json("198.51.100.7", "--count", "2", "--interval", "0")
        station.join()
    *answers, total = found
    assert status == 0
    assert [one["error"] for one in answers] == ["no answer in 1 s", None]
    assert (total["answered"], total["lost_percent"]) == (1, 50.0)


@in_namespace
def test_quiet_prints_nothing_and_says_it_by_its_status() -> None:
    with link():
        there = resolve("198.51.100.7", "-q", "-c", "2", "-i", "0")
        absent = resolve("198.51.100.7", "198.51.100.8", "--quiet")
        wrong = refusal("198.51.100.1", "--quiet")
    assert (there, absent) == ((0, "", ""), (1, "", ""))
    assert "is this host's own" in wrong


@in_namespace
def test_unicast_asks_where_the_address_was_found_or_where_the_kernel_knows_it() -> None:
    them, too = (bytes.fromhex(text.replace(":", "")) for text in (THEM, TOO))
    with link() as (here, peer), raw(peer) as wire:

        def whom(*arguments: str) -> list[bytes]:
            """Answer each request; return to which link-layer addresses they went."""
            went: list[bytes] = []

            def station() -> None:
                for _ in range(2):
                    frame = wire.recv(2048)
                    went.append(frame[:6])
                    answer(wire, bytes([198, 51, 100, 7]), THEM)

            at_the_other_end = threading.Thread(target=station)
            at_the_other_end.start()
            assert resolve("198.51.100.7", "-c", "2", "-i", "0.01", "--listen", "0", *arguments)[0] == 0
            at_the_other_end.join()
            return went

        assert whom() == [b"\xff" * 6] * 2
        assert whom("--unicast") == [b"\xff" * 6, them]
        here.request(new_neighbour(here.link("eth0").index, bytes([198, 51, 100, 7]), too, state=NUD_STALE))
        assert whom("--unicast") == [too, them]


@in_namespace
def test_the_deadline_ends_it_and_what_was_open_is_told() -> None:
    with link():
        status, found = resolve_json(
            "198.51.100.7", "198.51.100.8", "-I", "eth0", "-c", "2", "-i", "3600", "-w", "0.6"
        )
    assert status == 1
    (there,) = (one for one in found if one.get("lladdr"))
    (open_,) = (one for one in found if one.get("error"))
    assert (there["address"], there["number"]) == ("198.51.100.7", 1)
    assert (open_["address"], open_["number"], open_["error"]) == (
        "198.51.100.8",
        1,
        "the deadline of 0.6 s has passed",
    )
    assert [one["answered"] for one in found if one["kind"] == "summary"] == [1, 0]


@in_namespace
def test_who_has_answered_before_the_deadline_has_answered() -> None:
    with link():
        status, output, errors = resolve("198.51.100.7", "-c", "9", "-i", "3600", "--deadline", "0.5")
    answer_, total = output.splitlines()
    assert (status, errors) == (0, "")
    assert THEM in answer_ and total.startswith("198.51.100.7  1 asked, 1 answered, 0 % lost; ")


@in_namespace
def test_an_answer_before_the_deadline_is_told_although_duplicates_are_still_listened_for() -> None:
    with link():
        status, found = resolve_json("198.51.100.7", "-c", "2", "-i", "0", "--listen", "3600", "-w", "2")
    first, *_ = found
    assert (status, first["lladdr"], first["error"]) == (0, THEM, None)


@in_namespace
def test_requests_come_from_the_source_that_was_asked_for() -> None:
    with link() as (here, peer):
        here.add_address("eth0", "203.0.113.1/24")
        with raw(peer) as wire:
            for source, octets in (
                ("203.0.113.1", bytes([203, 0, 113, 1])),
                ("0.0.0.0", bytes(4)),
            ):
                assert resolve("198.51.100.7", "--source", source)[0] == 1
                assert next(requests(wire)) == (octets, bytes([198, 51, 100, 7]))


@in_namespace
def test_what_cannot_be_asked_is_refused_in_one_line_before_anybody_is_asked() -> None:
    with link() as (_, peer), raw(peer) as wire:
        to_whom = "198.51.100.7"
        assert "'1.2.3' is not an IP address" in refusal(to_whom, "1.2.3")
        assert r"\x1b[31m" in refusal(to_whom, "\x1b[31m")
        assert "is this host's own" in refusal("198.51.100.1")
        assert "unspecified" in refusal(to_whom, "0.0.0.0")
        assert "is this host's own" in refusal("198.51.100.1", "--dev", "eth0")
        assert "is this host's own" in refusal("127.0.0.1", "--dev", "eth0")
        assert "no route to 2001:db8::7" in refusal(to_whom, "2001:db8::7")
        assert "fe80::7%DEVICE" in refusal(to_whom, "fe80::7")
        assert "no link-local address from which to ask" in refusal(to_whom, "fe80::7%eth0")
        assert "zone 'eth0' contradicts device 'lo'" in refusal(
            "fe80::7%eth0", "--dev", "lo", "--source", "::"
        )
        assert "no interface 'eth7'; there is eth0, lo" in refusal(to_whom, "--dev", "eth7")
        assert "no address of this host" in refusal(to_whom, "--source", "198.51.100.99")
        assert "no address of this host" in refusal(to_whom, "--source", "127.0.0.1")
        assert "family" in refusal(to_whom, "--source", "2001:db8::1")
        wire.setblocking(False)
        try:
            heard = wire.recv(2048)
        except BlockingIOError:
            heard = b""
    assert heard == b""


@in_namespace
def test_a_device_that_is_down_is_told_of_each_address() -> None:
    with link() as (here, peer):
        here.set_link("eth0", up=False)
        status, (found,) = resolve_json("198.51.100.7", "--dev", "eth0")
        again = resolve("198.51.100.7", "--dev", "eth0", "-q", "-c", "2", "-i", "0")
        # Somebody else was asked.
        connect(here, peer, "eth1", "eth1")
        here.add_address("eth1", "203.0.113.1/24")
        one_of_two = resolve("203.0.113.7", "fe80::7%eth0", "-q")
    assert again == (2, "", "") and one_of_two == (1, "", "")
    assert (status, found["error"]) == (2, "eth0 is down")


@in_namespace
def test_without_the_capability_one_line_says_which_and_how_to_get_it() -> None:
    with link():
        told = refusal("198.51.100.7", prefix=(sys.executable, "-c", WITHOUT_NET_RAW))
    assert "eth0" in told and "CAP_NET_RAW" in told and "sudo" in told


@in_namespace
def test_ctrl_c_ends_it_with_what_it_has() -> None:
    with link():
        command = subprocess.Popen(
            [*COMMAND, "198.51.100.7", "--count", "2", "--interval", "60"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert command.stdout is not None
        first = command.stdout.readline()
        command.send_signal(signal.SIGINT)
        rest, errors = command.communicate(timeout=20)
    assert THEM in first
    assert (command.returncode, errors) == (130, "")
    assert rest.startswith("198.51.100.7  1 asked, 1 answered, 0 % lost; ")


@in_namespace
def test_a_request_that_ctrl_c_cuts_short_is_not_lost() -> None:
    with link() as (_, peer), raw(peer) as wire:
        command = subprocess.Popen(
            [*COMMAND, "198.51.100.7", "--count", "3", "--interval", "0", "--listen", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert command.stdout is not None
        asked = requests(wire)
        answer(wire, next(asked)[1], THEM)
        first = command.stdout.readline()
        next(asked)
        command.send_signal(signal.SIGINT)
        rest, errors = command.communicate(timeout=20)
    assert THEM in first
    assert (command.returncode, errors) == (130, "")
    assert rest.startswith("198.51.100.7  1 asked, 1 answered, 0 % lost; ")


@in_namespace
def test_it_ends_when_nobody_reads_any_more() -> None:
    with link():
        command = subprocess.Popen(
            [*COMMAND, "198.51.100.7", "--count", "1000000", "--interval", "0.001", "--listen", "0"],
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
    assert errors == ""


@in_namespace
def test_a_full_disk_is_told_in_one_line() -> None:
    with link():
        assert "No space left on device" in on_a_full_disk("resolve", "198.51.100.7", "-c", "2", "-i", "0")


@in_namespace
def test_states_are_coloured_on_a_terminal_unless_no_color_is_set() -> None:
    with link():
        coloured = on_a_terminal("resolve", "198.51.100.7", NO_COLOR="")
        plain = on_a_terminal("resolve", "198.51.100.7", NO_COLOR="1")
    assert "\x1b[32mREACHABLE\x1b[0m" in coloured
    assert "REACHABLE" in plain and "\x1b" not in plain
