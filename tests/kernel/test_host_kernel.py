"""A host in user space against the running kernel, both families, both directions."""

from __future__ import annotations

import os
import shutil
import socket
from contextlib import suppress
from typing import Any

import pytest
import trio

import neighio
from neighio import LinkAddress, NudState
from neighio.address import format_ip
from neighio.core.constants import IFA_F_TENTATIVE, NTF_PROXY, NUD_PERMANENT
from neighio.kernel import requests
from neighio.testing import Here, Namespace, Segment, in_namespace
from neighio.wire import arp, ipv6, mld, ndisc, udp
from neighio.wire.ethernet import ipv6_multicast_lladdr
from tests.wire.drafts import ALL_NODES, ROUTER_ALERT, Draft

from ..tun import require_tun
from .stations import (
    KERNELS,
    MOVED,
    OUR_LOCAL,
    OURS,
    OURS4,
    OURS6,
    OWN,
    PAIRS,
    THEIR_LOCAL,
    THEIRS,
    THEIRS4,
    THEIRS6,
    flags,
    host,
    kernel,
    known,
    packed,
    ping,
    send,
    state,
    until,
)

ETH_P_ALL, ETH_P_IPV6 = 3, 0x86DD
IFA_F_DADFAILED = 0x08

# -- both directions


@in_namespace
async def test_the_kernel_pings_us_and_we_resolve_the_kernel() -> None:
    with kernel() as peer:
        async with neighio.open_table(host(*OWN)) as table, trio.open_nursery() as nursery:
            device = table.devices["va"]
            # Its unicast frames reach us all the same.
            assert (device.lladdr, Here().link("va").lladdr) != (LinkAddress(OURS),) * 2
            assert str(device.lladdr) == OURS
            await nursery.start(neighio.answer_echo, device)
            for ip in (OURS4, OURS6, f"{OUR_LOCAL}%vb"):
                assert await ping(peer, ip), ip
                assert known(peer, ip.partition("%")[0]) == LinkAddress(OURS)
            for ip in (THEIRS4, THEIRS6, THEIR_LOCAL):
                assert await table.resolve(ip, verified=True) == LinkAddress(KERNELS)
                found = table.lookup(ip)
                assert found is not None and found.nud_state == NudState.REACHABLE
            nursery.cancel_scope.cancel()


@in_namespace
async def test_the_kernel_resolves_us_to_reachable_and_its_packets_arrive() -> None:
    with kernel() as peer:
        async with neighio.open_table(host(*OWN)) as table, table.devices["va"].packets() as incoming:
            for ours, theirs in PAIRS:
                send(peer, ours)
                with trio.fail_after(5):
                    packet = await anext(incoming)
                length = 4 if ":" not in ours else 16
                assert packet.packet[-5:] == b"hello"
                start = 12 if length == 4 else 8
                assert packet.packet[start : start + 2 * length] == packed(theirs) + packed(ours)
                assert packet.lladdr == LinkAddress(KERNELS)
                assert state(peer, ours) == NudState.REACHABLE


@in_namespace
async def test_our_packets_reach_the_kernels_sockets() -> None:
    with kernel() as peer:
        async with neighio.open_table(host(*OWN)) as table:
            for ours, theirs in PAIRS:
                family = socket.AF_INET6 if ":" in ours else socket.AF_INET
                with peer.socket(family, socket.SOCK_DGRAM) as received:
                    received.bind((theirs, 9))
                    received.setblocking(False)
                    packet = udp.build(packed(ours), packed(theirs), 9, 9, b"hello")
                    # Queued until the kernel has answered.
                    table.devices["va"].send_nowait(packet)
                    with trio.fail_after(5):
                        await trio.lowlevel.wait_readable(received)
                    assert received.recv(100) == b"hello"


@in_namespace
async def test_the_kernel_keeps_us_reachable_by_asking_us_directly() -> None:
    with kernel() as peer, peer.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        for family in ("ipv4", "ipv6"):
            peer.sysctl(f"net/{family}/neigh/vb/base_reachable_time_ms", 100)
            peer.sysctl(f"net/{family}/neigh/vb/delay_first_probe_time", 0)
        wire.bind(("vb", ETH_P_ALL))
        wire.setblocking(False)

        def is_reachable_in_use(ip: str) -> bool:
            # It is for a tenth of a second, which is easily slept through.
            send(peer, ip)
            return state(peer, ip) == NudState.REACHABLE

        async with neighio.open_table(host(*OWN)):
            for ip in (OURS4, OURS6):
                await until(is_reachable_in_use, ip)
                with trio.fail_after(10):
                    while not asks_us(await received(wire), ip):
                        send(peer, ip)
                await until(is_reachable_in_use, ip)
                assert known(peer, ip) == LinkAddress(OURS)


async def received(wire: socket.socket) -> bytes:
    await trio.lowlevel.wait_readable(wire)
    return wire.recv(2000)


def asks_us(frame: bytes, ip: str) -> bool:
    """Whether a frame is the kernel's question for an address, to us alone."""
    found = arp.parse(frame) if ":" not in ip else ndisc.parse(frame)
    question = isinstance(found, ndisc.Solicitation) or (not isinstance(found, str) and found[0] == 1)
    return frame[:6] == LinkAddress(OURS) and question


# -- duplicates, both ways


@in_namespace
async def test_what_the_kernel_has_does_not_become_ours() -> None:
    with kernel():
        async with neighio.open_table(host()) as table, trio.open_nursery() as nursery:
            device = table.devices["va"]

            async def want(address: str) -> None:
                with pytest.raises(neighio.DuplicateAddress) as caught:
                    await device.add_address(address)
                assert caught.value.lladdr == LinkAddress(KERNELS)

            for address in THEIRS:
                nursery.start_soon(want, address)
        assert device.addresses == ()


@in_namespace
async def test_what_nobody_has_becomes_ours_and_the_kernel_is_told() -> None:
    with kernel() as peer:
        async with neighio.open_table(host()) as table:
            device = table.devices["va"]
            peer.sysctl("net/ipv4/conf/vb/arp_accept", 1)
            peer.sysctl("net/ipv6/conf/vb/accept_untracked_na", 1)
            peer.sysctl("net/ipv6/conf/vb/forwarding", 1)
            table.set("va", 6, ndisc_notify=1)
            async with trio.open_nursery() as nursery:
                for address in OWN:
                    nursery.start_soon(device.add_address, address)
                # Before it is ours nobody answers for it.
                await until(lambda: OWN[1] in device.addresses)
                assert known(peer, OURS4) is None
            assert sorted(device.addresses) == sorted(OWN)
            # It was told, and believes what nobody asked for.
            await until(lambda: [known(peer, ip) for ip in (OURS4, OURS6)] == [LinkAddress(OURS)] * 2)


@in_namespace
async def test_a_router_knows_our_address_before_it_needs_it_when_routers_are_told() -> None:
    """RFC 9131: the kernel as the router, which enters what nobody asked for."""
    with kernel() as peer:
        peer.sysctl("net/ipv6/conf/vb/accept_untracked_na", 1)
        peer.sysctl("net/ipv6/conf/vb/forwarding", 1)
        async with neighio.open_table(host()) as table:
            device = table.devices["va"]
            await device.add_address(OWN[1], dad_transmits=0)
            await device.add_address("2001:db8::77/64", notify_routers=True)
            await until(lambda: known(peer, "2001:db8::77") == LinkAddress(OURS))
            # Of the other nobody was told.
            assert known(peer, OURS6) is None


@in_namespace
async def test_what_is_ours_does_not_become_the_kernels() -> None:
    with kernel() as peer:
        async with neighio.open_table(host(*OWN)) as table:
            index = peer.link("vb").index
            # With detection, which add_address of the namespace leaves out.
            peer.sysctl("net/ipv6/conf/vb/accept_dad", 1)
            peer.sysctl("net/ipv6/conf/vb/dad_transmits", 1)
            peer.request(requests.add_address(index, packed(OURS6), 64))
            await until(lambda: (flags(peer, "vb", OURS6) or 0) & IFA_F_DADFAILED)
            assert (flags(peer, "vb", OURS6) or 0) & IFA_F_TENTATIVE
            assert OWN[1] in table.devices["va"].addresses


@in_namespace
async def test_a_kernel_that_takes_our_address_without_asking_is_a_conflict() -> None:
    with kernel() as peer:
        async with neighio.open_table(host()) as table:
            device = table.devices["va"]
            await device.add_address(OWN[0], dad_transmits=0, defence="cease")
            await device.add_address(OWN[1], dad_transmits=0)
            with table.subscribe(conflicts=True) as events:
                peer.sysctl("net/ipv4/conf/vb/arp_notify", 1)
                peer.sysctl("net/ipv6/conf/vb/ndisc_notify", 1)
                for address in OWN[:2]:
                    peer.add_address("vb", address)
                # The kernel announces what it has when it comes up.
                peer.set_link("vb", up=False)
                for address in OWN[1:2]:
                    peer.add_address("vb", address)
                peer.set_link("vb", up=True)
                told: set[tuple[str, str, str]] = set()
                with trio.fail_after(10):
                    while len({ip for ip, _, _ in told}) < 2:
                        event = await anext(events)
                        if isinstance(event, neighio.AddressConflict):
                            told.add((event.ip, str(event.lladdr), event.action))
            assert told == {(OURS4, KERNELS, "ceased"), (OURS6, KERNELS, "reported")}
            assert device.addresses == (OWN[1],)


# -- multicast listening


@in_namespace
async def test_who_asks_in_version_1_who_listens_is_answered_in_it() -> None:
    body = (1).to_bytes(2, "big") + bytes(18)
    query = Draft(130, body, packed(THEIR_LOCAL), ALL_NODES, hop_limit=1, extensions=((0, ROUTER_ALERT),))
    report = mld.build_old_report(packed(OUR_LOCAL), ipv6.solicited_node(packed(OURS6)))
    with kernel() as peer, peer.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
        wire.bind(("vb", ETH_P_IPV6))
        wire.setblocking(False)
        async with neighio.open_table(host(*OWN)):
            wire.send(ipv6_multicast_lladdr(ALL_NODES) + query.frame[6:])

            def answered() -> bool:
                with suppress(BlockingIOError):
                    while wire.recv(2048)[14:] != report:
                        pass
                    return True
                return False

            await until(answered)


# -- announcements


@in_namespace
@pytest.mark.parametrize("form", ["request", "reply", "both"])
async def test_an_announcement_moves_the_kernels_entries_at_once(form: Any) -> None:
    with kernel() as peer:
        # Any other evidence would be too early to move them.
        peer.sysctl("net/ipv4/neigh/vb/locktime", 10000)
        first, second = host(*OWN), host(lladdr=MOVED)
        async with neighio.open_table(first) as active, neighio.open_table(second) as standby:
            async with trio.open_nursery() as nursery:
                await nursery.start(neighio.answer_echo, active.devices["va"])
                for ours, _ in PAIRS:
                    assert await ping(peer, ours)
                nursery.cancel_scope.cancel()
            assert [known(peer, ours) for ours, _ in PAIRS] == [LinkAddress(OURS)] * 2
            await active.devices["va"].detach()
            device = standby.devices["va"]
            for address in OWN:
                await device.add_address(address, dad_transmits=0)
            assert [known(peer, ours) for ours, _ in PAIRS] == [LinkAddress(OURS)] * 2
            device.announce(form=form)
            await until(lambda: [known(peer, ours) for ours, _ in PAIRS] == [LinkAddress(MOVED)] * 2)
            assert [state(peer, ours) for ours, _ in PAIRS] == [NudState.STALE] * 2
            async with trio.open_nursery() as nursery:
                await nursery.start(neighio.answer_echo, device)
                for ours, _ in PAIRS:
                    assert await ping(peer, ours)
                nursery.cancel_scope.cancel()


# -- proxies


@in_namespace
async def test_the_kernel_is_answered_in_the_place_of_others() -> None:
    with kernel() as peer:
        peer.add_route("vb", "203.0.113.0/24")
        behind = neighio.Device(
            Segment(trio.current_time).attach(MOVED, name="behind", index=99),
            "host",
            addresses=["203.0.113.1/24"],
        )
        async with neighio.open_table(host(*OWN, forwarding=True), behind) as table:
            table.set(None, 6, proxy_ndp=1)
            # By ARP only for what lies behind another device.
            for ip in ("2001:db8::99", "203.0.113.99"):
                table.set("va", 6 if ":" in ip else 4, proxy_delay=0.05)
                table.add(ip, "va", proxy=True)
                send(peer, ip)
                await until(lambda ip: known(peer, ip) == LinkAddress(OURS), ip)
                assert state(peer, ip) == NudState.REACHABLE
            for ip in ("2001:db8::98", "203.0.113.98"):
                send(peer, ip)
            for ip in ("2001:db8::98", "203.0.113.98"):
                await until(lambda ip: state(peer, ip) == NudState.FAILED, ip)


# -- a switch that snoops

SWITCH = [
    # Hundredths of a second.
    "ip link add switch type bridge mcast_snooping 1 mcast_query_response_interval 10 "
    "mcast_startup_query_interval 10 mcast_startup_query_count 1000",
    "ip link set switch type bridge mcast_querier 1",
    "ip link add va type veth peer name port",
    "ip link set port master switch",
    "ip link set far master switch",
    # To a group that nobody reported it forwards nothing here.
    "bridge link set dev port mcast_flood off",
    "ip link set port up",
    "ip link set switch up",
    "ip address add fe80::77/64 dev switch nodad",
    "ip link set va up",
]


@in_namespace
async def test_behind_a_switch_that_snoops_we_are_found_for_we_report_our_groups() -> None:
    """The kernel's bridge is the switch, and asks who listens."""
    if shutil.which("ip") is None or shutil.which("bridge") is None:
        pytest.skip("needs iproute2")
    with kernel("far") as peer, Here().socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        for line in SWITCH:
            await trio.run_process(line.split())
        wire.bind(("va", ETH_P_IPV6))
        wire.setblocking(False)
        async with neighio.open_table(host()) as table, trio.open_nursery() as nursery:
            device = table.devices["va"]
            await device.add_address(f"{OURS6}/64")
            await nursery.start(neighio.answer_echo, device)
            # Before it asks it forwards nothing to groups.
            with trio.fail_after(20):
                while not await ping(peer, OURS6, seconds=0.2):
                    forget(peer, OURS6)
            assert known(peer, OURS6) == LinkAddress(OURS)
            assert await heard_of(peer, wire, "2001:db8::99", OURS6) == {OURS6}
            nursery.cancel_scope.cancel()


def forget(station: Namespace, ip: str) -> None:
    """Have the kernel ask anew for a neighbour."""
    with suppress(FileNotFoundError):
        station.request(requests.del_neighbour(station.link("vb").index, packed(ip)))


async def heard_of(station: Namespace, wire: socket.socket, *ips: str) -> set[str]:
    """Have the kernel ask for addresses, in order; return those that it is heard to ask for by multicast, up
    to the last."""
    with suppress(BlockingIOError):
        while True:
            wire.recv(2000)
    for ip in ips:
        forget(station, ip)
        send(station, ip)
    found: set[str] = set()
    while ips[-1] not in found:
        frame = await received(wire)
        question = ndisc.parse(frame)
        if isinstance(question, ndisc.Solicitation) and frame[0] & 1:
            found.add(format_ip(question.target))
    return found


# -- what the kernel answers for itself


@in_namespace
async def test_an_address_that_the_kernel_answers_for_is_refused() -> None:
    here = Here()
    with kernel():
        here.add_address("va", OWN[0])
        here.add_address("va", OWN[1])
        here.add_address("lo", "198.51.100.77/32")
        here.add_address("lo", "2001:db8::77/128")
        index = here.link("va").index
        for ip in ("198.51.100.88", "2001:db8::88"):
            here.request(requests.new_neighbour(index, packed(ip), state=NUD_PERMANENT, flags=NTF_PROXY))
        async with neighio.open_table(host()) as table:
            device = table.devices["va"]
            for address, where in (
                ("198.51.100.1/24", "va"),
                ("2001:db8::1/64", "va"),
                ("198.51.100.77/24", "lo"),
                ("198.51.100.88/24", "va, as a proxy"),
                ("2001:db8::88/64", "va, as a proxy"),
            ):
                ip = address.partition("/")[0]
                with pytest.raises(
                    neighio.InvalidAddress, match=f"address: {ip} is the kernel's own, on {where}"
                ):
                    await device.add_address(address)
            # An IPv6 address is answered for on its own interface alone.
            for address in ("198.51.100.3/24", "2001:db8::77/64"):
                await device.add_address(address, dad_transmits=0)
            assert sorted(device.addresses) == ["198.51.100.3/24", "2001:db8::77/64"]
            # What the kernel has no more is free.
            here.del_address("va", OWN[0])
            with trio.fail_after(5):
                while OWN[0] not in device.addresses:
                    try:
                        await device.add_address(OWN[0], dad_transmits=0)
                    except neighio.InvalidAddress:
                        await trio.sleep(0.01)


@in_namespace
async def test_without_arp_the_kernel_answers_for_no_ipv4_address() -> None:
    here = Here()
    with kernel() as peer:
        here.add_address("va", OWN[0])
        here.add_address("lo", "198.51.100.77/32")
        here.set_link("va", arp=False)
        async with neighio.open_table(host(OWN[0])) as table, trio.open_nursery() as nursery:
            device = table.devices["va"]
            await device.add_address("198.51.100.77/24", dad_transmits=0)
            # NOARP is the kernel's setting, not ours.
            assert await table.resolve(THEIRS4) == LinkAddress(KERNELS)
            await nursery.start(neighio.answer_echo, device)
            assert await ping(peer, "198.51.100.77")
            nursery.cancel_scope.cancel()


@in_namespace
async def test_a_device_with_an_address_of_the_kernels_is_refused_before_anything_is_taken() -> None:
    here = Here()
    with kernel():
        here.add_address("va", OWN[0])
        before = len(os.listdir("/proc/self/fd"))
        async with neighio.open_table() as table:
            with pytest.raises(neighio.InvalidAddress, match=r"198\.51\.100\.1 is the kernel's own, on va"):
                await table.attach(host("198.51.100.3/24", OWN[0]))
            assert table.devices == {} and table.statistics().devices == 0
            await table.attach(host("198.51.100.3/24"))
            assert table.devices["va"].addresses == ("198.51.100.3/24",)
        with pytest.raises(neighio.InvalidAddress, match=r"198\.51\.100\.1 is the kernel's own, on va"):
            async with neighio.open_table(host(OWN[0])):
                raise AssertionError
        assert len(os.listdir("/proc/self/fd")) == before


@in_namespace
@pytest.mark.parametrize(
    ("lladdr", "message"),
    [("02:00:00", "lladdr: "), ("03:00:00:00:00:0a", "lladdr: "), ("00:00:00:00:00:00", "lladdr: ")],
)
async def test_a_link_layer_address_that_can_be_no_stations_is_refused(lladdr: str, message: str) -> None:
    with kernel(), pytest.raises(neighio.InvalidAddress, match=message):
        async with neighio.open_table(host(lladdr=lladdr)):
            raise AssertionError


# -- a TAP device


@in_namespace
async def test_the_kernel_pings_a_host_behind_a_tap_device() -> None:
    require_tun()
    here = Here()
    link = neighio.open_tap("tap0", lladdr=OURS)
    async with neighio.open_table() as table, trio.open_nursery() as nursery:
        device = await table.attach(neighio.Device(link, "host", addresses=OWN))
        assert (device.name, device.role, str(device.lladdr)) == ("tap0", "host", OURS)
        # The kernel's interface is down at first.
        await until(lambda: not device.up)
        await nursery.start(neighio.answer_echo, device)
        here.sysctl("net/ipv6/conf/tap0/addr_gen_mode", 1)
        here.set_link("tap0", up=True)
        for address in THEIRS:
            here.add_address("tap0", address)
        await until(lambda: device.up and device.carrier)
        for ip in (OURS4, OURS6, f"{OUR_LOCAL}%tap0"):
            assert await ping(here, ip), ip
        for ip in (THEIRS4, THEIRS6):
            assert await table.resolve(ip) == LinkAddress(here.link("tap0").lladdr)
        # What the kernel has on its side is found as anybody's would be.
        with pytest.raises(neighio.DuplicateAddress) as caught:
            await device.add_address(THEIRS[1])
        assert caught.value.lladdr == LinkAddress(here.link("tap0").lladdr)
        # It follows the interface.
        here.set_link("tap0", up=False)
        await until(lambda: not device.up)
        with pytest.raises(neighio.DeviceGone):
            await table.resolve(THEIRS4)
        here.set_link("tap0", rename="tap7", mtu=1400)
        here.set_link("tap7", up=True)
        await until(lambda: device.up and device.carrier)
        assert (device.name, device.mtu, set(table.devices)) == ("tap7", 1400, {"tap7"})
        for address in THEIRS[1:]:
            here.add_address("tap7", address)
        assert await ping(here, OURS4) and await ping(here, OURS6)
        here.delete_link("tap7")
        await until(lambda: not device.present)
        assert table.devices == {}


@in_namespace
async def test_a_tap_device_that_is_up_already_is_up_at_once_and_one_that_is_not_is_down() -> None:
    require_tun()
    here = Here()
    for up in (True, False):
        with trio.fail_after(10):
            async with neighio.open_table() as table:
                # rtnetlink is followed before there is a TAP device, or because there is one.
                if up:
                    await table.first_hop("192.0.2.1")
                link = neighio.open_tap("tap0", lladdr=OURS)
                here.set_link("tap0", up=up)
                device = await table.attach(neighio.Device(link, "host", addresses=OWN))
                if up:
                    assert device.up
                else:
                    await until(lambda device: not device.up, device)
                    with pytest.raises(neighio.DeviceGone):
                        await table.resolve(THEIRS4)
