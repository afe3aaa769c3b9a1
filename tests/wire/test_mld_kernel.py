"""The running kernel as oracle: it heeds the queries that we take, and its reports are ours."""

from __future__ import annotations

import platform
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from neighio.testing.isolation import require_namespaces, wrong_release
from neighio.testing.namespace import Peer, connect
from neighio.wire import mld
from neighio.wire.ethernet import ETH_P_IPV6, ipv6_multicast_lladdr

from .drafts import OUR_GROUP, OUR_IP, OUR_MAC, PEER_MAC, Draft, ip
from .test_mld import ALERT, BREAKS, QUERIES, REPORT, REPORT_BREAKS, V1

# In /proc/net/igmp6: somebody waits until it is time to report the group.
TIMER_RUNNING = 0x01


@pytest.fixture
def here() -> Iterator[Peer]:
    """A namespace that has a device, va, with the address fe80::1, and the other end of its veth pair, vb."""
    require_namespaces()
    reason = wrong_release(platform.release(), "6.18", None)
    if reason is not None:
        pytest.skip(reason)
    with Peer.start() as here:
        connect(here, here, "va", "vb", lladdr=OUR_MAC.hex(":"), far_lladdr=PEER_MAC.hex(":"))
        here.add_address("va", "fe80::1/64")
        yield here


def asked_for(here: Peer) -> set[bytes]:
    """The groups that the kernel is about to report."""
    rows = (row.split() for row in Path(f"/proc/{here.pid}/net/igmp6").read_text("ascii").splitlines())
    return {bytes.fromhex(row[2]) for row in rows if row[1] == "va" and int(row[4], 16) & TIMER_RUNNING}


@pytest.mark.parametrize("version", QUERIES)
def test_the_kernel_heeds_the_queries_that_we_take(here: Peer, version: str) -> None:
    changes: list[dict[str, Any]] = [
        {},
        # A socket takes no frame without a header, and a tag that is of no VLAN the kernel takes off; what is
        # asked for is another group each time.
        *(
            change
            for reason, change in BREAKS
            if reason not in ("ethernet_truncated", "vlan_tagged", "mld_group")
        ),
        {},
    ]
    groups = [ip(f"ff02::7:{number:x}") for number in range(1, len(changes) + 1)]
    # Minutes, but the last one is answered at once.
    codes = [60000] * (len(changes) - 1) + [1]
    queries = [
        QUERIES[version].but(body=code.to_bytes(2, "big") + bytes(2) + group, **change)
        for code, group, change in zip(codes, groups, changes, strict=True)
    ]
    index = here.link("va").index
    with (
        here.socket(socket.AF_INET6, socket.SOCK_DGRAM) as listener,
        here.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IPV6)) as sender,
    ):
        for group in groups:
            membership = group + index.to_bytes(4, sys.byteorder)
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)
        sender.bind(("vb", ETH_P_IPV6))
        sender.settimeout(20)
        for query in queries:
            sender.send(query.frame)
        answer = mld.build_report(OUR_IP, [(mld.MODE_IS_EXCLUDE, groups[-1])])
        if version == "1":
            # Then it answers in kind.
            answer = Draft(
                131, bytes(4) + groups[-1], OUR_IP, groups[-1], hop_limit=1, extensions=ALERT
            ).packet
        while sender.recv(2048)[14:] != answer:
            pass
        heeded = asked_for(here)

    taken = {
        group
        for group, query in zip(groups, queries, strict=True)
        if isinstance(mld.parse(query.frame), mld.Query)
    }
    assert heeded == taken - {groups[-1]} == {groups[0]}


def test_the_kernel_reports_a_group_that_it_joins_as_we_do(here: Peer) -> None:
    group = ip("ff02::7:1")
    with (
        here.socket(socket.AF_INET6, socket.SOCK_DGRAM) as listener,
        here.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IPV6)) as receiver,
    ):
        receiver.bind(("vb", ETH_P_IPV6))
        receiver.settimeout(20)
        membership = group + here.link("va").index.to_bytes(4, sys.byteorder)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, membership)
        while group not in (frame := receiver.recv(2048)):
            pass

    packet = frame[14:]
    records = [(packet[at], packet[at + 4 : at + 20]) for at in range(56, len(packet), 20)]
    assert (mld.CHANGE_TO_EXCLUDE, group) in records
    assert packet == mld.build_report(OUR_IP, records)


def report(group: bytes, **change: Any) -> bytes:
    """Another listener's report of version 1, to the group."""
    frame = REPORT.but(body=bytes(4) + group, dst=group, **change).frame
    return ipv6_multicast_lladdr(group) + frame[6:]


def test_after_a_query_of_version_1_the_kernel_says_what_we_do_and_heeds_the_reports_that_we_take(
    here: Peer,
) -> None:
    here.sysctl("net/ipv6/conf/va/mldv1_unsolicited_report_interval", 60000)
    # The last one is heeded when all were looked at.
    changes: list[dict[str, Any]] = [*(change for _, change in REPORT_BREAKS), {}]
    groups = [ip(f"ff02::7:{number:x}") for number in range(1, len(changes) + 1)]
    index = here.link("va").index
    with (
        here.socket(socket.AF_INET6, socket.SOCK_DGRAM) as listener,
        here.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IPV6)) as wire,
    ):
        wire.bind(("vb", ETH_P_IPV6))
        wire.settimeout(20)

        def wait_for(packet: bytes) -> None:
            while wire.recv(2048)[14:] != packet:
                pass

        def change(group: bytes, option: int, answer: bytes) -> None:
            listener.setsockopt(socket.IPPROTO_IPV6, option, group + index.to_bytes(4, sys.byteorder))
            wait_for(answer)

        wire.send(V1.but(body=(1).to_bytes(2, "big") + bytes(18)).frame)
        wait_for(mld.build_old_report(OUR_IP, OUR_GROUP))
        for group in groups:
            change(group, socket.IPV6_JOIN_GROUP, mld.build_old_report(OUR_IP, group))
        assert asked_for(here) >= set(groups)
        for group, broken in zip(groups, changes, strict=True):
            wire.send(report(group, **broken))
        deadline = time.monotonic() + 20
        while groups[-1] in (waiting := asked_for(here)) and time.monotonic() < deadline:
            pass
        heeded = set(groups) - waiting
        # Of what another has reported last nothing is said when it is left.
        for group in (groups[-1], groups[0]):
            membership = group + index.to_bytes(4, sys.byteorder)
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, membership)
        done = mld.build_old_report(OUR_IP, groups[0], done=True)
        while (packet := wire.recv(2048)[14:]) != done:
            assert packet[48:49] != b"\x84", packet.hex()

    taken = {
        group
        for group, broken in zip(groups, changes, strict=True)
        if isinstance(mld.parse(report(group, **broken)), mld.Heard)
    }
    assert heeded == taken == {groups[-1]}


def test_force_mld_version_has_the_kernel_speak_it_whoever_asks(here: Peer) -> None:
    first, second = ip("ff02::7:1"), ip("ff02::7:2")
    index = here.link("va").index.to_bytes(4, sys.byteorder)
    with (
        here.socket(socket.AF_INET6, socket.SOCK_DGRAM) as listener,
        here.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IPV6)) as wire,
    ):
        wire.bind(("vb", ETH_P_IPV6))
        wire.settimeout(20)
        here.sysctl("net/ipv6/conf/va/force_mld_version", 1)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, first + index)
        while wire.recv(2048)[14:] != mld.build_old_report(OUR_IP, first):
            pass
        here.sysctl("net/ipv6/conf/va/force_mld_version", 2)
        wire.send(V1.but(body=(1).to_bytes(2, "big") + bytes(18)).frame)
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, second + index)
        while second not in (packet := wire.recv(2048)[14:]):
            pass
        assert packet[48] == 143
