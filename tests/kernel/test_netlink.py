"""The netlink sockets, against the kernel and against a scripted one."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, cast

import pytest
import trio
import trio.testing

from neighio.core.constants import (
    AF_INET,
    AF_INET6,
    NLM_F_CREATE,
    NTF_EXT_LEARNED,
    NTF_PROXY,
    NUD_PERMANENT,
    NUD_REACHABLE,
    NUD_STALE,
    RTN_LOCAL,
)
from neighio.kernel import netlink, requests, uapi
from neighio.kernel.framing import (
    NLM_F_ACK,
    NLM_F_CAPPED,
    NLM_F_DUMP_INTR,
    NLM_F_MULTI,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    Message,
    attribute,
    build,
    messages,
)
from neighio.kernel.netlink import NetlinkOverflow, NetlinkSocket, RequestSocket, open_netlink, request_sync
from neighio.kernel.rtnetlink import (
    AddressMessage,
    LinkMessage,
    NeighbourMessage,
    NeighbourTableMessage,
    RouteMessage,
    RtMessage,
    decode,
)
from neighio.testing.isolation import in_namespace
from neighio.testing.namespace import Here, Peer, connect

MAC = bytes.fromhex("020000000007")


def ip(text: str) -> bytes:
    return ip_address(text).packed


def veth(here: Here) -> LinkMessage:
    """A pair whose two ends are here, ours with an address of each family."""
    ours, _ = connect(here, here, "va", "vb", lladdr="02:00:00:00:00:01")
    here.add_address("va", "198.51.100.1/24")
    here.add_address("va", "2001:db8::1/64")
    return ours


class Heard:
    """The notifications of a socket, one at a time."""

    def __init__(self, rtnetlink: NetlinkSocket) -> None:
        self.rtnetlink = rtnetlink
        self.pending: list[Message] = []

    async def until(self, wanted: Callable[[RtMessage], bool]) -> RtMessage:
        with trio.fail_after(20):
            while True:
                while self.pending:
                    found = decode(self.pending.pop(0))
                    if found is not None and wanted(found):
                        return found
                self.pending = await self.rtnetlink.receive()


@in_namespace
async def test_dumps_show_links_addresses_routes_and_neighbours() -> None:
    index = veth(Here()).index
    request_sync(requests.new_neighbour(index, ip("198.51.100.7"), MAC, protocol=99))
    request_sync(requests.new_neighbour(index, ip("2001:db8::7"), MAC, state=NUD_STALE))
    request_sync(requests.add_route(ip("198.18.0.0"), 16, index=1, type=RTN_LOCAL))
    request_sync(
        requests.add_route(ip("203.0.113.0"), 24, index=index, gateway=ip("2001:db8::9"), priority=7)
    )
    with open_netlink() as rtnetlink:
        links = [decode(message) for message in await rtnetlink.dump(requests.dump_links())]
        assert {link.name: link.kind for link in links if isinstance(link, LinkMessage)} == {
            "lo": None,
            "va": "veth",
            "vb": "veth",
        }
        addresses = [decode(message) for message in await rtnetlink.dump(requests.dump_addresses())]
        ours = {
            (a.local, a.prefixlen) for a in addresses if isinstance(a, AddressMessage) and a.index == index
        }
        assert ours == {(ip("198.51.100.1"), 24), (ip("2001:db8::1"), 64)}
        routes = [decode(message) for message in await rtnetlink.dump(requests.dump_routes(AF_INET))]
        found = {
            (r.dst, r.prefixlen, r.table, r.gateway, r.oif) for r in routes if isinstance(r, RouteMessage)
        }
        assert (ip("198.18.0.0"), 16, 255, None, 1) in found
        assert (ip("203.0.113.0"), 24, 254, ip("2001:db8::9"), index) in found
        assert (ip("198.51.100.0"), 24, 254, None, index) in found
        neighbours = [
            decode(message) for message in await rtnetlink.dump(requests.dump_neighbours(index=index))
        ]
        known = {n.ip: (n.state, n.lladdr, n.protocol) for n in neighbours if isinstance(n, NeighbourMessage)}
        assert known[ip("198.51.100.7")] == (NUD_PERMANENT, MAC, 99)
        assert known[ip("2001:db8::7")] == (NUD_STALE, MAC, 0)


@in_namespace(since="6.0")  # interval_probe_time
async def test_table_parameters_are_those_of_proc() -> None:
    here = Here()
    index = veth(here).index
    here.sysctl("net/ipv4/neigh/va/base_reachable_time_ms", 1500)
    here.sysctl("net/ipv4/neigh/va/locktime", 30)
    here.sysctl("net/ipv4/neigh/va/mcast_resolicit", 4)
    here.sysctl("net/ipv4/neigh/va/delay_first_probe_time", 2)
    with open_netlink() as rtnetlink:
        tables = [decode(m) for m in await rtnetlink.dump(requests.dump_neighbour_tables(AF_INET))]
    (ours,) = [t for t in tables if isinstance(t, NeighbourTableMessage) and t.index == index]
    assert (ours.name, ours.family) == ("arp_cache", AF_INET)
    assert (ours.base_reachable_time, ours.locktime, ours.delay_first_probe_time) == (1.5, 0.3, 2.0)
    # Jiffies: half of an odd number of them is rounded down.
    assert 0.74 <= ours.reachable_time < 2.25
    assert (ours.mcast_resolicit, ours.mcast_solicit, ours.app_solicit) == (4, 3, 0)
    assert ours.unres_qlen_bytes == int(here.sysctl("net/ipv4/neigh/va/unres_qlen_bytes"))


@in_namespace
async def test_proxy_entries_have_a_dump_of_their_own() -> None:
    index = veth(Here()).index
    with open_netlink() as rtnetlink:
        await rtnetlink.request(requests.new_neighbour(index, ip("198.51.100.9"), flags=NTF_PROXY))
        (entry,) = [decode(m) for m in await rtnetlink.dump(requests.dump_neighbours(AF_INET, proxy=True))]
        assert isinstance(entry, NeighbourMessage)
        assert (entry.ip, entry.index, entry.flags & NTF_PROXY) == (ip("198.51.100.9"), index, NTF_PROXY)
        await rtnetlink.request(requests.del_neighbour(index, ip("198.51.100.9"), flags=NTF_PROXY))
        assert await rtnetlink.dump(requests.dump_neighbours(AF_INET, proxy=True)) == []


NLM_F_CHANGE = 0
PRESENT = ip("198.51.100.7")
ABSENT = ip("198.51.100.8")
REFUSALS: dict[str, tuple[Callable[[int], bytes], type[OSError], int, str]] = {
    "present": (
        lambda i: requests.new_neighbour(i, PRESENT, MAC),
        FileExistsError,
        errno.EEXIST,
        "File exists",
    ),
    "absent": (
        lambda i: requests.new_neighbour(i, ABSENT, MAC, nlm_flags=NLM_F_CHANGE),
        FileNotFoundError,
        errno.ENOENT,
        "No such file",
    ),
    "delete absent": (
        lambda i: requests.del_neighbour(i, ABSENT),
        FileNotFoundError,
        errno.ENOENT,
        "No such",
    ),
    "short lladdr": (
        lambda i: requests.new_neighbour(i, ABSENT, MAC[:5]),
        OSError,
        errno.EINVAL,
        "Invalid link address",
    ),
    "no lladdr": (
        lambda i: requests.new_neighbour(i, ABSENT, state=NUD_REACHABLE),
        OSError,
        errno.EINVAL,
        "No link layer address given",
    ),
    "no device": (
        lambda i: requests.new_neighbour(999, ABSENT, MAC),
        OSError,
        errno.ENODEV,
        "No such device",
    ),
    "delete without device": (
        lambda i: requests.del_neighbour(0, ABSENT),
        OSError,
        errno.EINVAL,
        "",
    ),
    "unknown extended flag": (
        lambda i: requests.new_neighbour(i, ABSENT, MAC, flags=1 << 30),
        OSError,
        errno.EINVAL,
        "reserved bit set",
    ),
    "no link": (lambda i: requests.get_link("absent"), OSError, errno.ENODEV, "No such device"),
}


@pytest.mark.parametrize("case", list(REFUSALS))
@in_namespace(since="5.0")  # the texts
async def test_a_refusal_carries_the_kernels_errno_and_text(case: str) -> None:
    make, error, code, text = REFUSALS[case]
    index = veth(Here()).index
    with open_netlink() as rtnetlink:
        await rtnetlink.request(requests.new_neighbour(index, PRESENT, MAC))
        with pytest.raises(error) as caught:
            await rtnetlink.request(make(index))
        assert caught.value.errno == code
        assert text in (caught.value.strerror or "")
        # The socket goes on.
        await rtnetlink.request(requests.del_neighbour(index, PRESENT))


@in_namespace
async def test_changes_are_notified_whoever_made_them() -> None:
    here = Here()
    groups = [
        uapi.RTNLGRP_LINK,
        uapi.RTNLGRP_NEIGH,
        uapi.RTNLGRP_IPV4_IFADDR,
        uapi.RTNLGRP_IPV4_ROUTE,
        uapi.RTNLGRP_IPV6_IFADDR,
        uapi.RTNLGRP_IPV6_ROUTE,
    ]
    with open_netlink(groups) as rtnetlink:
        heard = Heard(rtnetlink)
        index = veth(here).index

        def is_ours(family: int) -> Callable[[RtMessage], bool]:
            return lambda m: isinstance(m, AddressMessage) and (m.family, m.index) == (family, index)

        await heard.until(lambda m: isinstance(m, LinkMessage) and m.index == index and bool(m.carrier))
        await heard.until(is_ours(AF_INET))
        await heard.until(is_ours(AF_INET6))
        await rtnetlink.request(requests.add_route(ip("203.0.113.0"), 24, index=index))
        route = await heard.until(lambda m: isinstance(m, RouteMessage) and m.prefixlen == 24)
        assert isinstance(route, RouteMessage) and not route.deleted
        await rtnetlink.request(requests.new_neighbour(index, PRESENT, MAC))
        added = await heard.until(lambda m: isinstance(m, NeighbourMessage) and m.ip == PRESENT)
        assert isinstance(added, NeighbourMessage) and (added.kind, added.lladdr) == ("new", MAC)
        request_sync(requests.del_neighbour(index, PRESENT))
        gone = await heard.until(lambda m: isinstance(m, NeighbourMessage) and m.kind == "del")
        assert isinstance(gone, NeighbourMessage) and gone.ip == PRESENT
        here.set_link("va", lladdr="02:00:00:00:00:99")
        await heard.until(lambda m: isinstance(m, LinkMessage) and m.lladdr[-1:] == b"\x99")
        here.set_link("vb", up=False)
        await heard.until(lambda m: isinstance(m, LinkMessage) and m.index == index and not m.carrier)
        here.delete_link("va")
        await heard.until(lambda m: isinstance(m, LinkMessage) and m.index == index and m.deleted)


@in_namespace
async def test_an_overflow_is_reported_once_and_what_was_queued_is_forgotten() -> None:
    netlink._NOTIFICATION_BUFFER = 2048
    index = veth(Here()).index
    with open_netlink([uapi.RTNLGRP_NEIGH]) as rtnetlink:
        for host in range(100):
            await rtnetlink.request(requests.new_neighbour(index, bytes([198, 18, 0, host]), MAC))
        with pytest.raises(NetlinkOverflow):
            await rtnetlink.receive()
        await rtnetlink.request(requests.new_neighbour(index, PRESENT, MAC))
        fresh = [decode(message) for message in await rtnetlink.receive()]
        assert [m.ip for m in fresh if isinstance(m, NeighbourMessage)] == [PRESENT]
        dumped = [decode(m) for m in await rtnetlink.dump(requests.dump_neighbours(AF_INET, index=index))]
        permanent = [m for m in dumped if isinstance(m, NeighbourMessage) and m.state == NUD_PERMANENT]
        assert len(permanent) == 101


@in_namespace
async def test_tasks_that_ask_at_once_get_their_own_answers() -> None:
    index = veth(Here()).index
    names: dict[int, str] = {}
    with open_netlink([uapi.RTNLGRP_LINK]) as rtnetlink:
        for host in range(250):
            await rtnetlink.request(
                requests.new_neighbour(
                    index, bytes([198, 18, 0, host]), MAC, flags=NTF_EXT_LEARNED, nlm_flags=NLM_F_CREATE
                )
            )
        sizes: list[int] = []

        async def dump() -> None:
            sizes.append(len(await rtnetlink.dump(requests.dump_neighbours(AF_INET, index=index))))

        async def ask(number: int) -> None:
            (reply,) = await rtnetlink.request(requests.get_link(number))
            link = decode(reply)
            assert isinstance(link, LinkMessage)
            names[link.index] = link.name

        async with trio.open_nursery() as nursery:
            for number in (1, index, index):
                nursery.start_soon(dump)
                nursery.start_soon(ask, number)
        assert sizes == [250, 250, 250]
        assert names == {1: "lo", index: "va"}


@in_namespace
async def test_a_dump_that_is_cancelled_leaves_the_socket_usable() -> None:
    index = veth(Here()).index
    with open_netlink() as rtnetlink:
        for host in range(250):
            await rtnetlink.request(
                requests.new_neighbour(index, bytes([198, 18, 0, host]), MAC, flags=NTF_EXT_LEARNED)
            )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(rtnetlink.dump, requests.dump_neighbours(index=index))
            await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert len(await rtnetlink.dump(requests.dump_neighbours(AF_INET, index=index))) == 250


@in_namespace
async def test_every_call_is_a_checkpoint() -> None:
    with open_netlink([uapi.RTNLGRP_LINK]) as rtnetlink:
        with trio.testing.assert_checkpoints():
            await rtnetlink.request(requests.get_link("lo"))
        with trio.testing.assert_checkpoints():
            await rtnetlink.dump(requests.dump_links())
        veth(Here())
        with trio.testing.assert_checkpoints():
            await rtnetlink.receive()


@in_namespace
async def test_closing_wakes_who_waits_and_refuses_who_comes_later() -> None:
    rtnetlink = open_netlink([uapi.RTNLGRP_LINK])

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await rtnetlink.receive()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        rtnetlink.close()
    rtnetlink.close()
    with pytest.raises(trio.ClosedResourceError):
        await rtnetlink.receive()
    with pytest.raises(trio.ClosedResourceError):
        await rtnetlink.request(requests.get_link("lo"))
    with open_netlink() as without_groups, pytest.raises(trio.ClosedResourceError):
        await without_groups.receive()


@in_namespace
def test_pyroute2_reads_the_kernels_messages_as_we_do() -> None:
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
    from pyroute2.netlink.rtnl.ndmsg import ndmsg
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

    def oracle(form: Any, message: Any) -> Any:
        read = form(build(message.type, message.flags, message.body))
        read.decode()
        return read

    def text(packed: bytes | None) -> str | None:
        return None if packed is None else str(ip_address(packed))

    here = Here()
    with Peer.start() as peer:
        connect(here, peer, "vc", "vd")
        index = veth(here).index
        request_sync(requests.add_route(ip("203.0.113.0"), 24, index=index, gateway=ip("198.51.100.9")))
        request_sync(requests.add_route(ip("2001:db8:1::"), 48, index=index, gateway=ip("2001:db8::9")))
        request_sync(_multipath(index))
        request_sync(
            requests.new_neighbour(
                index, ip("198.51.100.7"), MAC, state=NUD_STALE, flags=NTF_EXT_LEARNED, protocol=9
            )
        )
        request_sync(requests.new_neighbour(index, ip("2001:db8::7"), MAC))
        compared: set[type] = set()
        with RequestSocket() as rtnetlink:
            for message in rtnetlink.dump(requests.dump_links()):
                link, theirs = decode(message), oracle(ifinfmsg, message)
                assert isinstance(link, LinkMessage)
                compared.add(LinkMessage)
                assert (link.index, link.type, link.flags) == (
                    theirs["index"],
                    theirs["ifi_type"],
                    theirs["flags"],
                )
                assert (link.name, link.lladdr.hex(":"), link.broadcast.hex(":")) == (
                    theirs.get("ifname"),
                    theirs.get("address"),
                    theirs.get("broadcast"),
                )
                assert (link.mtu, link.carrier) == (theirs.get("mtu"), bool(theirs.get("carrier")))
                assert {6: "UP", 0: "UNKNOWN"}[link.operstate] == theirs.get("operstate")
                assert link.kind == theirs.get(("linkinfo", "kind"))
            for message in rtnetlink.dump(requests.dump_addresses()):
                address, theirs = decode(message), oracle(ifaddrmsg, message)
                assert isinstance(address, AddressMessage)
                compared.add(AddressMessage)
                assert (address.family, address.index, address.prefixlen, address.scope) == (
                    theirs["family"],
                    theirs["index"],
                    theirs["prefixlen"],
                    theirs["scope"],
                )
                assert (text(address.ip), address.flags) == (theirs.get("address"), theirs.get("flags"))
                assert text(address.local) == (theirs.get("local") or theirs.get("address"))
            for message in rtnetlink.dump(requests.dump_routes()):
                route, theirs = decode(message), oracle(rtmsg, message)
                assert isinstance(route, RouteMessage)
                compared.add(RouteMessage)
                hops = theirs.get("multipath")
                hop = hops[0] if hops else theirs
                assert (route.family, route.prefixlen, route.type, route.scope, route.protocol) == (
                    theirs["family"],
                    theirs["dst_len"],
                    theirs["type"],
                    theirs["scope"],
                    theirs["proto"],
                )
                assert (route.table, route.priority) == (theirs.get("table"), theirs.get("priority") or 0)
                assert text(route.dst) == (theirs.get("dst") or text(bytes(len(route.dst))))
                assert text(route.gateway) == hop.get("gateway")
                assert text(route.prefsrc) == theirs.get("prefsrc")
                assert route.oif == (hops[0]["oif"] if hops else theirs.get("oif"))
            for message in rtnetlink.dump(requests.dump_neighbours()):
                neighbour, theirs = decode(message), oracle(ndmsg, message)
                assert isinstance(neighbour, NeighbourMessage)
                compared.add(NeighbourMessage)
                assert (neighbour.family, neighbour.index, neighbour.state, neighbour.type) == (
                    theirs["family"],
                    theirs["ifindex"],
                    theirs["state"],
                    theirs["ndm_type"],
                )
                assert neighbour.flags & 0xFF == theirs["flags"]
                lladdr = neighbour.lladdr
                assert (text(neighbour.ip), None if lladdr is None else lladdr.hex(":")) == (
                    theirs.get("dst"),
                    theirs.get("lladdr"),
                )
                ages = theirs.get("cacheinfo")
                assert (neighbour.confirmed, neighbour.used, neighbour.updated, neighbour.refcnt) == (
                    ages["ndm_confirmed"] / 100,
                    ages["ndm_used"] / 100,
                    ages["ndm_updated"] / 100,
                    ages["ndm_refcnt"],
                )
                assert neighbour.probes == theirs.get("probes")
                assert neighbour.protocol == (theirs.get("protocol") or 0)
        assert compared == {LinkMessage, AddressMessage, RouteMessage, NeighbourMessage}


def _multipath(index: int) -> bytes:
    hops = b"".join(
        uapi.RTNEXTHOP.pack(uapi.RTNEXTHOP.size + 8, 0, 0, index)
        + attribute(uapi.RTA_GATEWAY, ip(f"198.51.100.{host}"))
        for host in (11, 12)
    )
    body = uapi.RTMSG.pack(AF_INET, 16, 0, 0, 254, 4, 0, 1, 0)
    body += attribute(uapi.RTA_DST, ip("198.19.0.0")) + attribute(uapi.RTA_MULTIPATH, hops)
    return build(uapi.RTM_NEWROUTE, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, body)


def test_pyroute2_reads_our_requests_as_we_meant_them() -> None:
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
    from pyroute2.netlink.rtnl.ndmsg import ndmsg

    asked = ndmsg(requests.new_neighbour(3, ip("2001:db8::7"), MAC, state=NUD_STALE, flags=0x180, protocol=9))
    asked.decode()
    assert (asked["ifindex"], asked["state"], asked["flags"]) == (3, NUD_STALE, 0x80)
    assert (asked.get("dst"), asked.get("lladdr"), asked.get("protocol")) == (
        "2001:db8::7",
        "02:00:00:00:00:07",
        9,
    )
    pair = ifinfmsg(requests.create_veth("va", "vb", lladdr=MAC, peer_lladdr=MAC[::-1], peer_pid=77))
    pair.decode()
    assert (pair.get("ifname"), pair.get("address")) == ("va", "02:00:00:00:00:07")
    assert pair.get(("linkinfo", "kind")) == "veth"
    far = pair.get(("linkinfo", "data")).get_attr("VETH_INFO_PEER")
    assert (far.get_attr("IFLA_IFNAME"), far.get_attr("IFLA_ADDRESS"), far.get_attr("IFLA_NET_NS_PID")) == (
        "vb",
        "07:00:00:00:00:02",
        77,
    )


class ScriptedSocket:
    """Stands for the kernel: each request is answered with the next list of datagrams."""

    def __init__(self, *answers: list[tuple[int, int, int, bytes]], stranger: bytes = b"") -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.queue: list[tuple[bytes, tuple[int, int]]] = []
        self.stranger = stranger

    def setsockopt(self, level: int, option: int, value: int) -> None:
        raise OSError(errno.ENOPROTOOPT, "an old kernel")

    def settimeout(self, seconds: float) -> None:
        pass

    def close(self) -> None:
        pass

    def sendto(self, data: bytes, address: tuple[int, int]) -> None:
        (message,) = messages(data)
        self.requests.append(message.body)
        if self.stranger:
            self.queue.append((self.stranger, (4711, 0)))
        for kind, flags, shift, body in self.answers.pop(0):
            self.queue.append((build(kind, flags, body, message.sequence + shift), (0, 0)))

    def recvfrom(self, size: int) -> tuple[bytes, tuple[int, int]]:
        return self.queue.pop(0)


def scripted(*answers: list[tuple[int, int, int, bytes]], stranger: bytes = b"") -> RequestSocket:
    return RequestSocket(cast("Any", ScriptedSocket(*answers, stranger=stranger)))


END = (NLMSG_DONE, NLM_F_MULTI, 0, struct.pack("=i", 0))
TORN_END = (NLMSG_DONE, NLM_F_MULTI | NLM_F_DUMP_INTR, 0, struct.pack("=i", 0))


def part(body: bytes, flags: int = 0) -> tuple[int, int, int, bytes]:
    return (uapi.RTM_NEWLINK, NLM_F_MULTI | flags, 0, body)


@pytest.mark.parametrize("torn", [[part(b"old", NLM_F_DUMP_INTR), END], [part(b"old"), TORN_END]])
def test_a_torn_dump_is_made_again(torn: list[tuple[int, int, int, bytes]]) -> None:
    kernel = scripted(torn, torn, [part(b"new"), END])
    assert [reply.body for reply in kernel.dump(requests.dump_links())] == [b"new"]


def test_a_table_that_never_holds_still_is_given_up() -> None:
    kernel = scripted(*[[TORN_END]] * 16)
    with pytest.raises(OSError, match="changed during each") as caught:
        kernel.dump(requests.dump_links())
    assert caught.value.errno == errno.EAGAIN


async def test_the_asynchronous_dump_does_both_too() -> None:
    kernel = NetlinkSocket(scripted([part(b"old"), TORN_END], [part(b"new"), END], *[[TORN_END]] * 16), None)
    assert [reply.body for reply in await kernel.dump(requests.dump_links())] == [b"new"]
    with pytest.raises(OSError, match="changed during each"):
        await kernel.dump(requests.dump_links())


def test_answers_to_somebody_else_and_from_somebody_else_are_passed_over() -> None:
    late = (uapi.RTM_NEWLINK, 0, -1, b"late")
    ours = (uapi.RTM_NEWLINK, 0, 0, b"ours")
    acknowledged = (NLMSG_ERROR, NLM_F_CAPPED, 0, bytes(20))
    kernel = scripted([late, ours, acknowledged], stranger=build(uapi.RTM_NEWLINK, 0, b"forged", 1))
    assert [reply.body for reply in kernel.request(requests.get_link(1))] == [b"ours"]


def test_an_error_without_explanation_has_the_systems_text() -> None:
    kernel = scripted([(NLMSG_ERROR, NLM_F_CAPPED, 0, struct.pack("=i", -errno.EPERM) + bytes(16))])
    with pytest.raises(PermissionError, match="Operation not permitted"):
        kernel.request(requests.get_link(1))


async def test_closing_ends_a_dump_that_is_under_way() -> None:
    class ClosedWhileItAnswers(ScriptedSocket):
        def recvfrom(self, size: int) -> tuple[bytes, tuple[int, int]]:
            rtnetlink.close()
            return super().recvfrom(size)

    sock = ClosedWhileItAnswers([part(b"first"), END])
    rtnetlink = NetlinkSocket(RequestSocket(cast("Any", sock)), None)
    with pytest.raises(trio.ClosedResourceError):
        await rtnetlink.dump(requests.dump_links())
    assert len(sock.queue) == 1
