"""``neighio scan`` as a user runs it: who is there?"""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
import threading

import trio

from neighio.address import format_ip, parse_ip
from neighio.cli.scan_all_nodes import AllNodes
from neighio.testing import connect, in_namespace
from neighio.wire import arp
from neighio.wire.icmp import ICMPV6_ECHO_REPLY, ICMPV6_ECHO_REQUEST

from .scanning import (
    COMMAND,
    ETH_P_ARP,
    HOSTS,
    QUICK,
    SECONDS,
    THEM,
    TOO,
    US,
    answering_twice,
    link,
    of_kind,
    records,
    refusal,
    scan,
    scan_json,
    who,
)

# -- who is there


@in_namespace
def test_a_network_is_told_line_by_line_with_a_head_and_a_sum() -> None:
    with link(*HOSTS):
        status, output, errors = scan("198.51.100.0/24", "--tries", "2", "--interval", "0.1", "--rate", "max")
    assert status == 0
    assert errors == "neighio scan: 198.51.100.1 is this host's own, and not asked\n"
    head, *lines, end = output.splitlines()
    assert head == f"eth0  {US}  asks for 198.51.100.0/24"
    for line in lines:
        _, lladdr, milliseconds, unit = line.split()
        assert (lladdr, unit) == (THEM, "ms") and float(milliseconds) > 0
    order = [line.split()[0] for line in lines]
    assert sorted(order) == HOSTS and order != HOSTS
    words = end.split()
    assert words[:5] == ["25", "of", "254", "answered", "in"] and words[6:9] == ["s;", "483", "requests,"]


@in_namespace
def test_the_devices_own_networks_are_found_by_themselves() -> None:
    with link(*HOSTS[:3]) as (here, _):
        here.add_address("eth0", "203.0.113.1/32")
        here.add_address("eth0", "198.51.100.2/24")
        status, found = scan_json("-l", "-4", *QUICK, "--rate", "5000")
        assert (status, who(found)) == (0, HOSTS[:3])
        assert found[0]["networks"] == ["198.51.100.0/24"]
        assert (found[0]["own"], found[0]["asked"]) == (["198.51.100.1", "198.51.100.2"], 254)
        connect(here, _, "eth1", "eth1")
        here.add_address("eth1", "203.0.113.9/29")
        assert "device: name one with --dev; there is eth0, eth1" in refusal("-l")
        here.add_route("eth1", "0.0.0.0/0", "203.0.113.10")
        status, found = scan_json("--localnet", *QUICK)
        assert (status, found[0]["device"], found[0]["networks"]) == (1, "eth1", ["203.0.113.8/29"])
        assert found[-1]["requests"] == 6


@in_namespace
def test_ranges_lists_and_files_are_one_scan() -> None:
    with link(*HOSTS):
        status, output, errors = scan(
            "198.51.100.9-11",
            "198.51.100.14,198.51.100.16/31",
            "-f",
            "-",
            "-q",
            *QUICK,
            stdin="# more\n198.51.100.10-12\n",
        )
        assert (status, errors) == (0, "")
        found = dict(line.split() for line in output.splitlines())
        assert found == dict.fromkeys([f"198.51.100.{host}" for host in (10, 11, 12, 14, 16, 17)], THEM)
        assert "file: nothing: No such file" in refusal("-f", "nothing")
        assert "file: there is nothing to ask in /dev/null" in refusal("-f", "/dev/null")


@in_namespace
def test_who_does_not_answer_is_told_when_asked_for() -> None:
    with link(*HOSTS[:1]):
        status, found = scan_json("198.51.100.8-12", "--absent", *QUICK)
        assert (status, who(found)) == (0, ["198.51.100.10"])
        assert who(found, "absent") == ["198.51.100.11", "198.51.100.12", "198.51.100.8", "198.51.100.9"]
        status, output, _ = scan("198.51.100.10-11", "--absent", *QUICK)
        assert status == 0
        assert output.splitlines()[2].split() == ["198.51.100.11", "no", "answer"]


@in_namespace
def test_nobody_or_not_everybody_of_those_that_were_named_is_status_1() -> None:
    with link(*HOSTS[:1]):
        assert scan("198.51.100.10", "198.51.100.11", "-q", *QUICK)[0] == 1
        assert scan("198.51.100.10-11", "-q", *QUICK)[0] == 0
        assert scan("198.51.100.11-12", "-q", *QUICK)[0] == 1
        # What is our own, and not asked, is not missed.
        status, output, errors = scan("198.51.100.1", "198.51.100.10", "-q", *QUICK)
        assert (status, output.split(), errors) == (0, ["198.51.100.10", THEM], "")


@in_namespace
def test_tries_interval_and_their_other_names() -> None:
    with link():
        for words in (
            ["--tries", "3", "--interval", "0.02"],
            ["--retry", "3", "--timeout", "20"],
            ["-r", "3", "-t", "20"],
        ):
            status, found = scan_json("198.51.100.9", *words)
            assert (status, found[-1]["requests"], found[-1]["answered"]) == (1, 3, 0)
            assert found[-1]["seconds"] >= 0.06


@in_namespace
def test_the_rate_is_kept() -> None:
    with link():
        _, found = scan_json("198.51.100.8/29", "--rate", "20", "--tries", "1", "--interval", "0")
    # Seven intervals lie between eight requests.
    assert found[-1]["seconds"] >= 7 / 20 and found[-1]["requests"] == 8


# -- IPv6


@in_namespace
def test_ipv6_stations_are_found_by_an_echo_to_all_nodes() -> None:
    with link(*HOSTS[:1], ipv6=["fe80::7", "2001:db8::7"]):
        status, found = scan_json("-l", "--tries", "2", "--interval", "0.4", "--rate", "max")
        assert (status, who(found)) == (0, [HOSTS[0], "2001:db8::7", "fe80::7"])
        assert {one["lladdr"] for one in of_kind(found, "found")} == {THEM}
        assert found[0]["networks"] == ["198.51.100.0/24", "ff02::1"]
        status, found = scan_json("-l", "-6", "--tries", "1", "--interval", "0.4")
        assert (status, who(found)) == (0, ["2001:db8::7", "fe80::7"])
        # From the link-local address and from the other one; and then who answered.
        assert (found[-1]["requests"], found[-1]["asked"], found[0]["asked"]) == (4, 2, 0)


@in_namespace
def test_nobody_answers_an_echo_to_all_nodes() -> None:
    with link(ipv6=["fe80::7"]) as (_, peer):
        peer.sysctl("net/ipv6/icmp/echo_ignore_multicast", 1)
        status, found = scan_json("-l", "-6", *QUICK)
        assert (status, who(found), found[-1]["requests"]) == (1, [], 2)


@in_namespace
def test_an_echo_that_answers_somebody_else_finds_nobody() -> None:
    sent = []
    with link(ipv6=["fe80::7", "2001:db8::7"]) as (_, peer):
        peer.sysctl("net/ipv6/icmp/echo_ignore_multicast", 1)
        with peer.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as wire:

            def answer() -> None:
                for _ in range(2):
                    while (request := wire.recvfrom(2048))[0][0] != ICMPV6_ECHO_REQUEST:
                        pass
                    message, sender = request
                    head, body = bytes([ICMPV6_ECHO_REPLY, 0, 0, 0]), message[4:]
                    for other in (bytes([body[0] ^ 1]) + body[1:], body[:-1], body + b"x", body[:2]):
                        sent.append(wire.sendto(head + other, sender))

            station = threading.Thread(target=answer)
            station.start()
            status, found = scan_json("-l", "-6", *QUICK)
            station.join()
    assert (len(sent), status, who(found), found[-1]["requests"]) == (8, 1, [], 2)


@in_namespace
async def test_all_nodes_are_the_others() -> None:
    with link(ipv6=["fe80::7", "2001:db8::7"]) as (here, _):
        ours = [parse_ip(ip)[0] for ip in ("fe80::1", "2001:db8::1")]
        nodes = AllNodes("eth0", here.link("eth0").index, ours)
        with trio.fail_after(SECONDS):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(nodes.ask, 1000, 0.1)
                while len(nodes.found) < 2:  # noqa: ASYNC110  # it has no event
                    await trio.sleep(0.01)
                nursery.cancel_scope.cancel()
        assert sorted(map(format_ip, nodes.found)) == ["2001:db8::7", "fe80::7"]
        assert nodes.sent >= 2 and nodes.failure is None


@in_namespace
async def test_that_all_nodes_cannot_be_asked_is_remembered() -> None:
    with link(ipv6=["fe80::7"]) as (here, _):
        index, ours = here.link("eth0").index, parse_ip("fe80::1")[0]
        for nodes, number in (
            (AllNodes("eth9", index, [ours]), errno.ENODEV),
            (AllNodes("eth0", index, [parse_ip("fe80::99")[0]]), errno.EINVAL),
        ):
            await nodes.ask(3, 0.0)
            assert nodes.failure is not None and nodes.failure.errno == number
            assert (nodes.sent, nodes.found) == (0, {})


@in_namespace
def test_ipv6_addresses_and_ranges_are_solicited() -> None:
    with link(ipv6=["fe80::7", "2001:db8::7", "2001:db8::1f"]):
        status, found = scan_json("2001:db8::1-1f", "fe80::7", "--dev", "eth0", *QUICK, "--rate", "max")
        assert (status, who(found)) == (0, ["2001:db8::1f", "2001:db8::7", "fe80::7"])
        assert (found[0]["own"], found[-1]["asked"]) == (["2001:db8::1"], 31)
        status, output, _ = scan("fe80::7%eth0", "-q", *QUICK)
        assert (status, output.split()) == (0, ["fe80::7", THEM])
        status, found = scan_json("198.51.100.9", "2001:db8::7", *QUICK)
        assert (status, who(found)) == (1, ["2001:db8::7"])


@in_namespace
def test_a_link_local_address_that_is_ours_elsewhere_is_another_ones_here() -> None:
    with link(ipv6=["fe80::7"]) as (here, peer):
        connect(here, peer, "eth1", "eth1")
        here.add_address("eth1", "fe80::7/64")
        status, output, _ = scan("fe80::7%eth0", "-q", *QUICK)
        assert (status, output.split()) == (0, ["fe80::7", THEM])


# -- duplicates


@in_namespace
def test_two_that_have_the_same_address_are_told() -> None:
    with link() as (_, peer), answering_twice(peer):
        status, output, _ = scan("198.51.100.7-8", "--dev", "eth0")
        assert status == 0
        _, *lines, end = output.splitlines()
        first = [line for line in lines if "duplicate" not in line]
        second = [line for line in lines if f"duplicate: {THEM} too" in line]
        assert len(first) == len(second) == 2 and all(TOO in line for line in second)
        assert end.startswith("2 of 2 answered") and end.endswith("; 2 duplicates")
        status, found = scan_json("198.51.100.7", "--dev", "eth0")
        assert [(one["lladdr"], one["others"]) for one in of_kind(found, "found")] == [
            (THEM, []),
            (TOO, [THEM]),
        ]
        assert (found[-1]["answered"], found[-1]["duplicates"]) == (1, 1)


@in_namespace
def test_a_duplicate_that_answers_later_is_heard_when_all_have_answered() -> None:
    with (
        link("198.51.100.2") as (_, peer),
        subprocess.Popen(
            [*COMMAND, "198.51.100.1-2", "--listen", "0.5", "--json"], stdout=subprocess.PIPE, text=True
        ) as command,
    ):
        assert command.stdout is not None
        seen = [command.stdout.readline() for _ in range(2)]
        with peer.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
            wire.bind(("eth0", 0))
            too, us = (bytes.fromhex(text.replace(":", "")) for text in (TOO, US))
            answer = arp.build(
                arp.ARPOP_REPLY, bytes([198, 51, 100, 2]), too, bytes([198, 51, 100, 1]), us, dst=us, src=too
            )
            wire.send(answer)
        found = records("".join(seen) + command.stdout.read())
        assert command.wait(SECONDS) == 0
    assert [(one["lladdr"], one["others"]) for one in of_kind(found, "found")] == [(THEM, []), (TOO, [THEM])]
    assert found[-1]["seconds"] >= 0.5


@in_namespace
def test_duplicates_are_listened_for_without_being_told() -> None:
    with link(*HOSTS[:1]):
        assert scan_json(HOSTS[0])[1][-1]["seconds"] >= 0.1


# -- vendors


@in_namespace
def test_vendors_and_locally_administered_addresses_are_named() -> None:
    with link() as (_, peer), answering_twice(peer):
        status, output, errors = scan("198.51.100.7-8", "--vendor", "--dev", "eth0")
        assert (status, errors) == (0, "")
        assert "Cisco" in output and "(locally administered, perhaps random)" in output
        _, found = scan_json("198.51.100.7", "--vendor", "--dev", "eth0")
        vendors = {one["lladdr"]: (one["local"], one["vendor"]) for one in of_kind(found, "found")}
        assert vendors[TOO] == (True, None)
        assert vendors[THEM][0] is False and "Cisco" in vendors[THEM][1]


WITHOUT_VENDORS = """
import sys
sys.modules["aiooui"] = None
from neighio.cli import main, vendors
vendors.load_vendors.__defaults__ = ((),)
sys.exit(main(sys.argv[1:]))
"""


@in_namespace
def test_that_no_vendors_are_known_is_said_once() -> None:
    with link(*HOSTS[:2]):
        words = ["198.51.100.10-11", "--vendor", *QUICK]
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_VENDORS, "scan", *words],
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 4)
    assert done.stderr.startswith("neighio scan: vendor: there is no list") and done.stderr.count("\n") == 1
    assert "unknown" not in done.stdout


@in_namespace
def test_an_answer_after_a_second_request_says_so() -> None:
    with link() as (_, peer):
        peer.set_link("eth0", arp=False)
        with peer.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP)) as wire:
            wire.bind(("eth0", ETH_P_ARP))
            wire.settimeout(SECONDS)

            def answer_the_second(*arguments: str) -> str:
                def station() -> None:
                    asked = 0
                    while asked < 2:
                        message = arp.parse(wire.recv(2048))
                        if isinstance(message, str) or message[0] != arp.ARPOP_REQUEST:
                            continue
                        asked += 1
                        if asked == 2:
                            sha, to = (bytes.fromhex(text.replace(":", "")) for text in (THEM, US))
                            reply = arp.build(
                                arp.ARPOP_REPLY, message[3], sha, message[1], to, dst=to, src=sha
                            )
                            wire.send(reply)

                thread = threading.Thread(target=station)
                thread.start()
                status, output, errors = scan(
                    "198.51.100.10", "--tries", "2", "--interval", "0.5", *arguments
                )
                thread.join()
                assert (status, errors) == (0, "")
                return output

            (found,) = of_kind(records(answer_the_second("--json")), "found")
            line = answer_the_second().splitlines()[1]
    assert found["number"] == 2
    assert line.endswith(" ms  try 2")


@in_namespace
def test_an_answer_to_the_only_request_is_not_marked() -> None:
    with link(*HOSTS[:1]):
        _, found = scan_json(HOSTS[0], *QUICK)
        (line,) = [line for line in scan(HOSTS[0], *QUICK)[1].splitlines() if line.startswith(HOSTS[0])]
    assert of_kind(found, "found")[0]["number"] == 1 and line.endswith(" ms")
