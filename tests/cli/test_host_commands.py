"""Each command of ``neighio host``, given to a process on a link to the kernel."""

from __future__ import annotations

import json
import select
import shutil
import socket
import subprocess

import pytest

from neighio.core.constants import NLM_F_CREATE, NLM_F_REPLACE, NUD_STALE
from neighio.kernel import requests
from neighio.testing import Here, Peer, in_namespace
from neighio.wire import arp

from .hosting import (
    ADDRESSES,
    CARD,
    LASTING,
    MAC,
    SECONDS,
    THEM,
    Running,
    kernels_neighbour,
    link,
    ping,
    plug,
)

FIVE = "02:00:00:00:00:05"
PATIENT = "--set=ipv4.delay_first_probe_time=60"
"""What is in DELAY stays there, however slow the machine is."""
PEERS = {"198.51.100.2": "ipv4", "2001:db8::2": "ipv6"}
KEYS = [
    "address",
    "device",
    "lladdr",
    "state",
    "flags",
    "probes",
    "refcnt",
    "used",
    "confirmed",
    "updated",
    "protocol",
]


def started(*arguments: str) -> Running:
    """A host with --monitor json that is ready."""
    host = Running(*ADDRESSES, *arguments, "--monitor", "json")
    host.kind("ready")
    return host


def replug(host: Running, here: Here, peer: Peer) -> None:
    """Remove the host's interface and make it again."""
    here.delete_link("v1")
    host.until(lambda record: record.get("present") is False)
    plug(here, peer)
    host.until(lambda record: record.get("up") is True)


def told(host: Running) -> list[str]:
    """What was printed on the way to the last answers, in a few words each; forget it."""
    found = [
        " ".join(
            [
                one["kind"],
                one["address"],
                *one["flags"],
                one["state"],
                *([one["lladdr"]] if one["lladdr"] else []),
            ]
        )
        for one in host.records
    ]
    host.records.clear()
    return found


def entry(host: Running, ip: str) -> tuple[str, str | None, list[str], int]:
    """State, link-layer address, flags and protocol of an entry."""
    (found,) = host.do(f"show {ip}")["entries"]
    return found["state"], found["lladdr"], found["flags"], found["protocol"]


def states(host: Running) -> dict[str, str]:
    """The state of every entry but those of the groups to which a host reports, when it comes to it."""
    entries = host.do("show")["entries"]
    return {one["address"]: one["state"] for one in entries if not one["address"].startswith("ff02:")}


def until_state(host: Running, state: str) -> None:
    """Read events until one tells of a state, unless one has already; forget those before it."""
    while host.records:
        if host.records.pop(0).get("state") == state:
            return
    host.until(lambda record: record.get("state") == state)


# -- ip neigh


@in_namespace
def test_entries_are_administered_as_ip_neigh_does_and_the_answer_comes_behind_the_events() -> None:
    with link(), started() as host:
        host.do(f"add 198.51.100.5 lladdr {FIVE}")
        assert told(host) == [f"new 198.51.100.5 PERMANENT {FIVE}"]
        assert host.refusal(f"add 198.51.100.5 lladdr {FIVE}")[0] == "EEXIST"
        host.do(f"change 198.51.100.5 lladdr {THEM} nud stale router dev v1")
        assert told(host) == [f"new 198.51.100.5 router STALE {THEM}"]
        assert host.refusal(f"change 198.51.100.6 lladdr {FIVE}") == ("ENOENT", "No such file or directory")
        host.do(f"append to 198.51.100.5 lladdr {FIVE} nud reachable")
        host.do(f"replace 2001:db8::5 lladdr {FIVE} nud 0x02 extern_learn protocol static")
        assert told(host)[-1] == f"new 2001:db8::5 extern_learn REACHABLE {FIVE}"
        assert entry(host, "2001:db8::5") == ("REACHABLE", FIVE, ["extern_learn"], 4)
        host.do("del 2001:db8::5 dev v1")
        assert told(host) == ["new 2001:db8::5 FAILED", "del 2001:db8::5 FAILED"]
        assert host.refusal("del 2001:db8::5") == ("ENOENT", "No such file or directory")
        host.do(f"add 198.51.100.7 lladdr {FIVE} nud stale extern_valid proto 200")
        assert entry(host, "198.51.100.7") == ("STALE", FIVE, ["extern_valid"], 200)
        assert host.refusal("add 198.51.100.8 lladdr null") == ("EINVAL", "No link layer address given")
        # What netlink leaves behind of it.
        assert entry(host, "198.51.100.8") == ("NONE", None, [], 0)


@in_namespace
def test_managed_and_used_entries_are_resolved() -> None:
    with link(), started() as host:
        for ip, word, flags in (("198.51.100.2", "managed", ["managed"]), ("2001:db8::2", "use", [])):
            host.do(f"add {ip} {word}")
            until_state(host, "REACHABLE")
            assert entry(host, ip) == ("REACHABLE", THEM, flags, 0)
        host.do(f"add 198.51.100.3 nud permanent managed lladdr {FIVE}")
        code, text = host.refusal(f"add 198.51.100.4 managed nud permanent lladdr {FIVE}")
        assert (code, text) == ("EINVAL", "Invalid NTF_* flag for permanent entry")


@in_namespace
def test_proxies_are_no_entries_and_none_is_for_a_group() -> None:
    with (
        link() as (_, peer),
        started("--forwarding", "--set=ipv4.proxy_delay=0", "--set=ipv6.proxy_ndp=1") as host,
    ):
        host.do("add proxy 198.51.100.77 dev v1 protocol 7")
        host.do("add proxy 198.51.100.78")
        host.do("add proxy 2001:db8::77 dev v1")
        assert states(host) == {} and told(host) == []
        assert host.do("show proxy")["entries"] == [
            {"address": "198.51.100.77", "device": "v1", "flags": ["proxy"], "protocol": 7},
            {"address": "198.51.100.78", "device": None, "flags": ["proxy"], "protocol": 0},
            {"address": "2001:db8::77", "device": "v1", "flags": ["proxy"], "protocol": 0},
        ]
        for group in ("224.0.0.1", "ff02::1"):
            code, text = host.refusal(f"add proxy {group} dev v1")
            assert code == "EINVAL" and text.startswith("proxy: ") and group in text
        host.do("del proxy 198.51.100.77 dev v1")
        host.do("del proxy 198.51.100.78")
        assert host.refusal("del proxy 198.51.100.78")[0] == "ENOENT"
        with peer.socket(socket.AF_INET6, socket.SOCK_DGRAM, 0) as sender:
            sender.sendto(b"", ("2001:db8::77", 9))
        # Our entry of whoever asked for it.
        until_state(host, "STALE")
        host.do("del proxy 2001:db8::77 dev v1")
        assert host.do("show proxy")["entries"] == []


@in_namespace
def test_flush_deletes_what_ip_neigh_flush_does() -> None:
    with link(), started(*LASTING) as host:
        # Not "delay", which is over at once when an administrator sets it.
        for number, state in enumerate(("permanent", "noarp", "stale", "reachable", "reachable"), 11):
            host.do(f"add 198.51.100.{number} lladdr {FIVE} nud {state}")
        told(host)
        assert host.do("flush nud stale")["count"] == 1
        assert told(host) == ["new 198.51.100.13 FAILED", "del 198.51.100.13 FAILED"]
        assert host.do("flush dev v1")["count"] == 2
        assert len(told(host)) == 4
        assert states(host) == {"198.51.100.11": "PERMANENT", "198.51.100.12": "NOARP"}


# -- looking


@in_namespace
def test_show_tells_all_of_each_entry() -> None:
    with link() as (_, peer), started(PATIENT) as host:
        ping(peer, "198.51.100.1")
        ping(peer, "2001:db8::1")
        host.do(f"add 198.51.100.5 lladdr {FIVE} nud stale protocol kernel")
        entries = host.do("show")["entries"]
        assert [list(one) for one in entries] == [KEYS] * len(entries)
        found = {one["address"]: one for one in entries}
        assert list(found)[:2] == ["198.51.100.2", "198.51.100.5"] and "2001:db8::2" in found
        assert (found["198.51.100.5"]["state"], found["198.51.100.5"]["refcnt"]) == ("STALE", 0)
        assert found["198.51.100.5"]["protocol"] == 2
        # What it heard made it STALE, its answer put it into DELAY.
        assert (found["198.51.100.2"]["state"], found["198.51.100.2"]["refcnt"]) == ("DELAY", 1)
        assert 0 <= found["198.51.100.2"]["used"] < found["198.51.100.2"]["confirmed"]
        assert host.do("show 198.51.100.99")["entries"] == []
        stats = host.do("stats")
        assert (stats["device"], stats["lladdr"]) == ("v1", CARD)
        assert stats["addresses"] == ["198.51.100.1/24", "2001:db8::1/64", "fe80::1/64"]
        assert stats["arp"]["entries"] == 2 and stats["ndisc"]["allocs"] >= 1
        assert stats["table"]["devices"] == 1 and "v1" in stats["table"]["drops"]
        assert (
            stats["parameters"]["ipv4"]["locktime"] == 1
            and 15 <= stats["parameters"]["ipv6"]["reachable_time"] < 45
        )


# -- packets


@in_namespace
def test_send_is_a_datagram_through_the_table() -> None:
    with link() as (_, peer), started() as host:
        for number, ip in enumerate(PEERS, 1):
            family = socket.AF_INET if ":" not in ip else socket.AF_INET6
            own = "198.51.100.1" if ":" not in ip else "2001:db8::1"
            with peer.socket(family, socket.SOCK_DGRAM, 0) as listener:
                listener.settimeout(SECONDS)
                listener.bind((ip, 9))
                answer = host.do(f"send {ip} 10")
                assert (answer["number"], answer["source"]) == (number, own)
                assert listener.recvfrom(100)[0] == f"#{number:03}......".encode()
        assert entry(host, "198.51.100.2")[:2] == ("REACHABLE", THEM)
        host.do("send fe80::2%v1")
        host.do("send 198.51.100.255 4")
        host.do("send ff02::1 4 from 2001:db8::1")


@in_namespace
def test_routes_come_and_go_and_are_there_again_when_the_interface_is() -> None:
    with link() as (here, peer), started("--route", "198.18.0.0/15 via 198.51.100.2") as host:
        host.do("route add 203.0.113.0/24 via 198.51.100.9")
        host.do("route add 203.0.113.0/24 via 198.51.100.2")
        host.do("route add 203.0.112.0/24")
        host.do("route add default via fe80::2")
        # The second one's gateway is by the first one, which is said twice; and a network is one however spelled.
        host.do("route add 198.18.8.0/24")
        host.do("route add 198.18.9.0/24 via 198.18.8.1")
        host.do("route add 198.18.8.0/24")
        host.do("route del 198.18.0.0/255.254.0.0")
        assert host.refusal("route del 198.18.0.0/15")[0] == "ESRCH"
        assert host.refusal("route del 203.0.113.0/24 via 198.51.100.9")[0] == "ESRCH"
        for again in range(2):
            host.records.clear()
            assert host.refusal("send 198.18.0.1")[0] == "ENETUNREACH"
            for destination in ("203.0.113.7", "203.0.112.7", "2001:db8:7::7"):
                host.do(f"send {destination}")
            until_state(host, "REACHABLE")
            there = states(host)
            assert {"198.51.100.2", "203.0.112.7", "fe80::2"} <= there.keys()
            assert not {"198.51.100.9", "203.0.113.7", "2001:db8:7::7"} & there.keys()
            host.do("send 198.18.9.7")
            assert "198.18.8.1" in states(host)
            if not again:
                replug(host, here, peer)


@in_namespace
def test_send_asks_from_the_address_that_it_is_told() -> None:
    with (
        link(quiet=True) as (_, peer),
        started("--address", "198.51.100.9/24") as host,
        peer.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire,
    ):
        wire.bind(("v2", 0x0806))
        wire.settimeout(SECONDS)
        for own in ("198.51.100.9", "198.51.100.1"):
            target = f"198.51.100.{100 + len(own)}"
            assert host.do(f"send {target} from {own}")["source"] == own
            while True:
                message = arp.parse(wire.recv(2048))
                if not isinstance(message, str) and message[3] == socket.inet_aton(target):
                    break
            assert message[1] == socket.inet_aton(own)


@in_namespace
def test_a_packet_that_nobody_takes_is_told_of() -> None:
    quick = ["--set=ipv4.retrans_time_ms=20", "--set=ipv4.mcast_solicit=1", "--set=ipv6.retrans_time_ms=20"]
    with link(quiet=True), started(*quick) as host:
        for ip in ("198.51.100.66", "2001:db8::66"):
            host.do(f"send {ip} 4")
            failed = host.kind("failed")
            assert [failed[key] for key in ("address", "device", "destination", "errno")] == [
                ip,
                "v1",
                ip,
                "EHOSTUNREACH",
            ]
            until_state(host, "FAILED")


@in_namespace
def test_use_and_confirm_are_what_an_upper_layer_does() -> None:
    with link(), started(PATIENT) as host:
        answer = host.do("use 198.51.100.2")
        assert (answer["state"], answer["lladdr"]) == ("INCOMPLETE", None)
        until_state(host, "REACHABLE")
        host.do("change 198.51.100.2 nud stale")
        answer = host.do("use 198.51.100.2")
        assert (answer["state"], answer["lladdr"]) == ("DELAY", THEM)
        assert host.do("confirm 198.51.100.2")["state"] == "DELAY"
        (found,) = host.do("show 198.51.100.2")["entries"]
        assert found["confirmed"] < found["updated"]
        assert host.refusal("confirm 198.51.100.77")[0] == "ENOENT"
        host.do("link down")
        assert host.refusal("use 198.51.100.2") == ("ENETDOWN", "v1 is down")


@in_namespace
def test_an_application_is_asked_where_app_solicit_says_so() -> None:
    for monitor in ("json", "text"):
        with link(quiet=True), Running(*ADDRESSES, "--set=ipv4.app_solicit=1", "--monitor", monitor) as host:
            host.line()
            host.tell("use 198.51.100.66")
            if monitor == "json":
                miss = host.kind("miss")
                assert (miss["address"], miss["state"], miss["lladdr"]) == (
                    "198.51.100.66",
                    "INCOMPLETE",
                    None,
                )
            else:
                assert host.line() == "miss 198.51.100.66 dev v1 INCOMPLETE "


# -- the host


@in_namespace
def test_set_tells_what_was_drawn_and_changes_all_or_nothing() -> None:
    with (
        link(),
        started("--set", "ipv4.base_reachable_time_ms=2000", "--set", "ipv6.retrans_time=0.25") as host,
    ):
        answer = host.do("set ipv4.base_reachable_time=4")
        assert list(answer) == ["ok", "time", "wall", "ipv4.base_reachable_time", "ipv4.reachable_time"]
        assert answer["ipv4.base_reachable_time"] == 4 and 2 <= answer["ipv4.reachable_time"] < 6
        answer = host.do("set ipv6.gc_thresh3=9 ipv6.unres_qlen=2 ipv6.ndisc_notify=1")
        assert list(answer.values())[3:] == [9, 4180, 1]
        code, text = host.refusal("set ipv4.ucast_solicit=9 ipv4.arp_accept=3")
        assert code == "EINVAL" and text.startswith("ipv4.arp_accept: 3 is out of range")
        host.do("set ipv4.delay_first_probe_time=0.01")
        host.do("draw ipv4 0.05")
        host.do("use 198.51.100.2")
        until_state(host, "REACHABLE")
        # It is not confirmed for longer than what was drawn.
        until_state(host, "STALE")
        assert host.refusal("draw ipv5 1")[1].startswith("family: ")
        assert host.refusal("draw ipv6 nan")[1].startswith("ipv6.reachable_time: ")


@in_namespace
def test_there_may_be_an_entry_of_an_own_address_as_in_linux() -> None:
    with link() as (_, peer), started() as host:
        for own in ("198.51.100.1", "2001:db8::1"):
            host.do(f"add {own} lladdr {FIVE}")
            assert entry(host, own)[:2] == ("PERMANENT", FIVE)
            assert ping(peer, own) == own
            host.do(f"del {own}")


@in_namespace
def test_a_state_is_kept_as_far_as_there_is_room() -> None:
    with link(), started() as host:
        host.do(f"add 198.51.100.5 lladdr {FIVE} nud 0xc0")
        host.do(f"add 198.51.100.6 lladdr {FIVE} nud 0x104")
        assert states(host) == {"198.51.100.5": "NOARP PERMANENT", "198.51.100.6": "STALE"}


@in_namespace
def test_the_periodic_collection_runs_when_it_is_told_to() -> None:
    with link(), started("--set", "ipv4.gc_thresh1=1") as host:
        host.do("add 198.51.100.5 nud failed")
        host.do("add 2001:db8::5 nud failed")
        before = host.do("stats")
        host.records.clear()
        host.do("collect ipv4")
        deleted = host.until(lambda record: record.get("kind") == "del")
        assert deleted["address"] == "198.51.100.5"
        after = host.do("stats")
        runs = [[one[family]["periodic_gc_runs"] for family in ("arp", "ndisc")] for one in (before, after)]
        assert runs == [[runs[0][0], runs[0][1]], [runs[0][0] + 1, runs[0][1]]]


@in_namespace
def test_gc_thresholds_hold() -> None:
    with link(), started("--set", "ipv4.gc_thresh3=2", "--set", "ipv4.gc_thresh2=1") as host:
        host.do("use 198.51.100.61")
        host.do("use 198.51.100.62")
        assert host.refusal("use 198.51.100.63") == ("ENOBUFS", "neighbour table overflow")


@in_namespace
def test_addresses_come_and_go() -> None:
    with link() as (_, peer), started() as host:
        answer = host.do("address add 198.51.100.9/24")
        assert answer["addresses"] == ["198.51.100.1/24", "198.51.100.9/24", "2001:db8::1/64", "fe80::1/64"]
        assert ping(peer, "198.51.100.9") == "198.51.100.9"
        assert host.refusal("address add 198.51.100.9/24") == (
            "EEXIST",
            "address: 198.51.100.9 is there already",
        )
        host.do("address del 198.51.100.9/24")
        host.do("address del 2001:db8::1")
        assert host.refusal("address del 198.51.100.9")[0] == "EADDRNOTAVAIL"
        assert host.do("stats")["addresses"] == ["198.51.100.1/24", "fe80::1/64"]


QUICK = ["--set", "ipv6.router_solicitation_delay=0", "--set", "ipv6.retrans_time=0.1"]
"""Detection for IPv6 is over in a moment."""


@in_namespace
def test_commands_go_on_while_addresses_are_detected() -> None:
    with link() as (_, peer), started(*QUICK, "--set", "ipv6.dad_transmits=255") as host:
        answer = host.do("address add 2001:db8::8/64 dad")
        assert answer["tentative"] == ["2001:db8::8/64"] and "2001:db8::8/64" not in answer["addresses"]
        assert host.refusal("address add 2001:db8::8/64 dad")[0] == "EEXIST"
        assert host.refusal("send 2001:db8::2 from 2001:db8::8")[0] == "EADDRNOTAVAIL"
        answer = host.do("address add 198.51.100.8/24 dad")
        assert answer["tentative"] == ["2001:db8::8/64", "198.51.100.8/24"]
        host.do("set ipv6.dad_transmits=1")
        host.do("address add 2001:db8::9/64 dad")
        used = host.kind("address")
        assert (used["address"], used["device"]) == ("2001:db8::9", "v1")
        stats = host.do("stats")
        assert "2001:db8::9/64" in stats["addresses"] and "2001:db8::8/64" in stats["tentative"]
        assert ping(peer, "2001:db8::9") == "2001:db8::9"


@in_namespace
def test_an_address_waits_until_somebody_can_hear_its_detection() -> None:
    with link() as (_, peer), started(*QUICK) as host:
        host.do("link down")
        assert host.do("address add 2001:db8::9/64 dad")["tentative"] == ["2001:db8::9/64"]
        host.do("link up")
        assert host.kind("address")["address"] == "2001:db8::9"
        assert host.do("stats")["tentative"] == []
        assert ping(peer, "2001:db8::9") == "2001:db8::9"


@in_namespace
def test_an_address_of_somebody_else_is_not_added_later_either() -> None:
    with link(), Running(*QUICK, "--address", "fe80::1/64", "--monitor", "json") as host:
        host.kind("ready")
        assert host.do("address add 2001:db8::2/64")["addresses"] == ["fe80::1/64"]
        # The kernel may have said so before the command was answered.
        found = [record for record in host.records if record["kind"] == "conflict"]
        (conflict,) = found or [host.kind("conflict")]
        assert (conflict["address"], conflict["lladdr"], conflict["action"]) == (
            "2001:db8::2",
            THEM,
            "duplicate",
        )
        stats = host.do("stats")
        assert (stats["addresses"], stats["tentative"]) == (["fe80::1/64"], [])
        assert host.end() == (0, "", "")


@in_namespace
def test_nobody_has_to_monitor_to_be_told_that_an_address_is_somebody_elses() -> None:
    with link(), Running(*QUICK, "--address", "fe80::1/64").ready() as host:
        assert host.do("address add 2001:db8::2/64")["addresses"] == ["fe80::1/64"]
        while host.do("stats")["tentative"]:
            pass
        assert host.do("stats")["addresses"] == ["fe80::1/64"]
        text = f"neighio host: 2001:db8::2 dev v1 used by {THEM}: duplicate\n"
        assert host.end() == (0, "", text)


@in_namespace
def test_routers_are_told_of_an_address_that_is_new() -> None:
    with link() as (here, peer):
        for place in ("v2", "default"):
            peer.sysctl(f"net/ipv6/conf/{place}/accept_untracked_na", 1)
            peer.sysctl(f"net/ipv6/conf/{place}/forwarding", 1)
        with started("--mac", MAC, "--notify-routers") as host:
            host.do("address add 2001:db8::9/64")
            for again in range(2):
                for ip in ("2001:db8::1", "2001:db8::9"):
                    while (found := kernels_neighbour(peer, ip)) is None:
                        host.do("stats")
                    assert found.lladdr is not None and found.lladdr.hex(":") == MAC
                    assert found.state == NUD_STALE
                if not again:
                    replug(host, here, peer)


@in_namespace
def test_an_address_is_removed_while_it_is_detected() -> None:
    with link(), started("--set", "ipv6.dad_transmits=255") as host:
        for address in ("2001:db8::9/64", "198.51.100.9/24"):
            assert host.do(f"address add {address} dad")["tentative"] == [address]
            assert host.do(f"address del {address}")["tentative"] == []
            assert host.refusal(f"address del {address}")[0] == "EADDRNOTAVAIL"
            # Nothing is left of it.
            assert address in host.do(f"address add {address} nodad")["addresses"]
        assert [one["kind"] for one in host.records if one["kind"] in ("address", "conflict")] == [
            "address"
        ] * 2
        assert host.end() == (0, "", "")


@in_namespace
def test_an_optimistic_address_is_in_use_while_it_is_detected() -> None:
    with link() as (_, peer), started("--set", "ipv6.dad_transmits=255") as host:
        answer = host.do("address add 2001:db8::9/64 optimistic")
        assert "2001:db8::9/64" in answer["addresses"] and answer["tentative"] == []
        assert ping(peer, "2001:db8::9") == "2001:db8::9"
        assert [one for one in host.records if one["kind"] == "address"] == []


@in_namespace
def test_an_interface_that_is_removed_ends_a_detection_and_the_host_lives_on() -> None:
    with link() as (here, peer), started("--set", "ipv6.dad_transmits=255") as host:
        host.do("address add 2001:db8::9/64 dad")
        here.delete_link("v1")
        host.until(lambda record: record.get("present") is False)
        assert host.do("stats")["tentative"] == []
        plug(here, peer, quiet=True)
        host.until(lambda record: record.get("up") is True)
        assert "2001:db8::9/64" not in host.do("stats")["addresses"]
        told = "neighio host: v1 was removed while 2001:db8::9 was being detected\n"
        assert host.end()[::2] == (0, told)


@in_namespace
def test_announce_moves_what_the_kernel_knows() -> None:
    with link() as (_, peer), started("--mac", FIVE) as host:
        for ip in ("198.51.100.1", "2001:db8::1"):
            ping(peer, ip)
        for old in ("198.51.100.1", "2001:db8::1"):
            index, key = (
                peer.link("v2").index,
                socket.inet_pton(socket.AF_INET6 if ":" in old else socket.AF_INET, old),
            )
            _replace(peer, index, key)
            host.do(f"announce {old}")
            _until_known(peer, old, FIVE)
        host.do("announce")
        with peer.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
            wire.bind(("v2", 0x0806))
            wire.settimeout(SECONDS)
            host.do("announce 198.51.100.1 repeat 2 interval 0.05 form both")
            heard = [arp.parse(wire.recv(2048))[0] for _ in range(4)]
            assert heard == [arp.ARPOP_REQUEST, arp.ARPOP_REPLY] * 2
        assert host.refusal("announce 198.51.100.99")[1].startswith("address: 198.51.100.99 is not in use")


def _replace(peer: Peer, index: int, key: bytes) -> None:
    flags = NLM_F_CREATE | NLM_F_REPLACE
    peer.sysctl("net/ipv4/neigh/v2/locktime", 0)
    peer.request(
        requests.new_neighbour(index, key, bytes.fromhex("020000000099"), state=NUD_STALE, nlm_flags=flags)
    )


def _until_known(peer: Peer, ip: str, lladdr: str) -> None:
    while True:
        found = kernels_neighbour(peer, ip)
        assert found is not None and found.lladdr is not None
        if found.lladdr.hex(":") == lladdr:
            return


@in_namespace
def test_the_interface_goes_down_and_up_before_the_answer() -> None:
    with link() as (here, _), started() as host:
        host.do(f"add 198.51.100.5 lladdr {FIVE}")
        host.records.clear()
        assert host.do("link down")["up"] is False
        assert [one["kind"] for one in host.records][:2] == ["link", "del"]
        times = [one["time"] for one in host.records]
        assert times == sorted(times)
        assert not here.link("v1").flags & 1
        host.records.clear()
        assert host.do("link up")["up"] is True
        assert host.records[0]["kind"] == "link" and host.records[0]["up"] is True


# -- what cannot be meant


@in_namespace
def test_a_mistake_is_answered_and_named_and_the_next_command_is_heard() -> None:
    mistakes = {
        "nonsense": "command: there is no 'nonsense'",
        "\x1b[31m": "command: there is no '\\x1b[31m'",
        "add": "add: the address is missing",
        "add 1.2.3": "ip: '1.2.3' is not an IP address",
        "use 198.51.100.1": "ip: 198.51.100.1 is an address of this host's own",
        f"add 198.51.100.5 lladdr {FIVE} lladdr {FIVE}": "lladdr: given twice",
        "add 198.51.100.5 lladdr": "lladdr: its value is missing",
        "add 198.51.100.5 lladdr xy": "lladdr: 'xy' is not a link-layer address",
        "add 198.51.100.5 nud odd": "nud: no state 'odd'",
        "add 198.51.100.5 nud 65536": "nud: 65536 is no state",
        "add 198.51.100.5 nud -1": "nud: -1 is no state",
        "add 198.51.100.5 protocol 300": "protocol: '300' is neither a name nor 0 to 255",
        "add 198.51.100.5 protocol odd": "protocol: 'odd' is neither",
        "add 198.51.100.5 dev v9": "device: 'v9' is not attached; there is v1",
        "add 198.51.100.5 odd": "add: 'odd' is neither a second address nor an option",
        "add fe80::5%v9": "device: 'v9' is not attached",
        "show a b": "show: expected",
        "show odd": "ip: 'odd' is not an IP address",
        "stats all": "stats: 'all' is one word too many",
        "flush nud odd": "nud: no state 'odd'",
        "flush all": "flush: 'all' is not one of dev, nud with a value",
        "send": "send: expected send IP",
        "send 198.51.100.2 many": "bytes: 'many' is no whole number",
        "send 198.51.100.2 from 198.51.100.9": "from: 198.51.100.9 is no address of this host's to use",
        "send 198.51.100.2 from 2001:db8::1": "from: 2001:db8::1 is no address",
        "send 198.51.100.2 2000": "bytes: the packet would have 2028 octets, and the MTU is 1500",
        "send 198.51.100.2 65508": "bytes: 65508 are more than a datagram carries",
        "send 203.0.113.1": "ip: there is no route to 203.0.113.1",
        "send 2001:db8::1": "ip: 2001:db8::1 is an address of this host's own",
        "send fe80::2%v9": "ip: zone 'v9' is not v1",
        "use": "use: expected use IP",
        "use 0.0.0.0": "ip: the unspecified address is nobody's",
        "confirm a b": "confirm: expected confirm IP",
        "link": "link: expected link up|down",
        "link sideways": "link: 'sideways' is neither up nor down",
        "set": "set: expected set NAME=VALUE",
        "set ipv4.odd=1": "ipv4.odd: no such parameter",
        "address": "address: expected",
        "address add 198.51.100.9/24 soon": "address: expected address add IP/LENGTH [dad|nodad|optimistic] or",
        "address add 198.51.100.9/24 optimistic": "optimistic: 198.51.100.9/24 is no IPv6 address",
        "address add 198.51.100.9": "address: '198.51.100.9' has no prefix length",
        "address add 224.0.0.1/24": "address: 224.0.0.1 can be no station's own address",
        "announce odd": "address: 'odd' is not an IP address",
        "announce repeat 0": "repeat: 0 is no whole number of at least 1",
        "announce repeat": "announce: 'repeat' is not one of repeat, interval, backoff, form with a value",
        "announce interval x": "interval: 'x' is no number",
        "announce form odd": "form: 'odd' is not one of request, reply, both",
        "quit now": "quit: 'now' is one word too many",
        "draw": "draw: expected draw FAMILY SECONDS",
        "route": "route: expected route add NET [via GATEWAY] or route del",
        "route add": "route: '' is not of the form NETWORK or NETWORK via GATEWAY",
        "route add odd": "network: 'odd' does not appear to be an IPv4 or IPv6 network",
        "route add default via 203.0.113.1": "gateway: 203.0.113.1 is not on the link of v1",
        "collect": "collect: expected collect FAMILY",
        "collect ipx": "family: 'ipx' is neither ipv4 nor ipv6",
    }
    with link(), started() as host:
        for command, text in mistakes.items():
            code, error = host.refusal(command)
            assert error.startswith(text), (command, error)
            assert code in ("EINVAL", "EADDRNOTAVAIL", "EMSGSIZE", "ENETUNREACH"), (command, code)
        assert host.records == [] and states(host) == {}


# -- as the kernel's own monitor has it


@in_namespace
def test_text_is_what_ip_monitor_prints_for_the_same_on_the_kernels_table() -> None:
    if shutil.which("ip") is None:
        pytest.skip("needs iproute2")
    commands = [
        f"add 198.51.100.5 lladdr {FIVE} dev v1",
        f"change 198.51.100.5 lladdr {FIVE} nud stale router protocol static dev v1",
        f"replace 198.51.100.6 lladdr {FIVE} nud reachable extern_learn protocol 200 dev v1",
        f"add 198.51.100.7 lladdr {FIVE} nud noarp dev v1",
        f"add 2001:db8::5 lladdr {FIVE} nud stale protocol kernel dev v1",
        "add 198.51.100.8 nud none dev v1",
        "del 198.51.100.8 dev v1",
        "del 198.51.100.6 dev v1",
        "del 2001:db8::5 dev v1",
        "change 198.51.100.7 nud failed dev v1",
    ]
    with link(quiet=True), Running(*ADDRESSES, "--monitor", "text") as host:
        host.ready()
        monitor = subprocess.Popen(["ip", "monitor", "neigh"], stdout=subprocess.PIPE, text=True)
        assert monitor.stdout is not None
        _wait_for_monitor(monitor)
        lines = []
        for command in commands:
            subprocess.run(["ip", "neigh", *command.split()], check=True)
            host.tell(command)
            while not (line := host.line()).startswith("{"):
                lines.append(line)
            assert json.loads(line)["ok"] is True, line
        kernels = [monitor.stdout.readline().rstrip("\n") for _ in lines]
        monitor.kill()
        monitor.communicate()
    assert lines == kernels and len(lines) > len(commands)


def _wait_for_monitor(monitor: subprocess.Popen[str]) -> None:
    """Return when a monitor that was just started listens."""
    assert monitor.stdout is not None
    first = ["ip", "neigh", "replace", "198.51.100.250", "lladdr", FIVE, "nud", "permanent", "dev", "v1"]
    while not select.select([monitor.stdout], [], [], 0)[0]:
        subprocess.run(first, check=True)
        subprocess.run(["ip", "neigh", "del", "198.51.100.250", "dev", "v1"], check=True)
    # Ever new ones may have been told; behind this one there is nothing of them.
    subprocess.run([*first[:3], "198.51.100.251", *first[4:]], check=True)
    while not monitor.stdout.readline().startswith("198.51.100.251"):
        pass
