"""A client announces addresses that the kernel has taken over, and asks whether another has them, too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import neighio
from neighio import AttachedDevice, LinkAddress, NeighbourTable
from neighio.core.constants import IFA_F_TENTATIVE
from neighio.core.device import Address
from neighio.testing import MemoryLink, Segment
from neighio.wire import arp, ndisc
from neighio.wire.ethernet import BROADCAST

from .hosts import LOCAL, OURS4, OURS6, OWN, packed
from .shell import OTHER, OURS

VIRTUAL = LinkAddress("00:00:5e:00:01:07")
ALL_NODES = LinkAddress("33:33:00:00:00:01")


@dataclass
class Client:
    table: NeighbourTable
    device: AttachedDevice
    link: MemoryLink
    segment: Segment

    def sent(self) -> list[bytes]:
        return [one.frame for one in self.segment.frames if one.sender == "va"]


@asynccontextmanager
async def client(*addresses: str, families: tuple[int, ...] = (4, 6)) -> AsyncIterator[Client]:
    segment = Segment(trio.current_time)
    link = segment.attach(OURS, name="va")
    async with neighio.open_table(
        neighio.Device(link, addresses=addresses or OWN), families=families
    ) as table:
        yield Client(table, table.devices["va"], link, segment)


async def test_a_client_announces_the_kernels_addresses_and_still_answers_nobody(
    autojump_clock: MockClock,
) -> None:
    async with client() as c:
        c.device.announce(repeat=2, interval=1.0, form="both")
        request, reply, *advertisements = c.sent()
        ip, own = packed(OURS4), LinkAddress(OURS)
        assert arp.parse(request) == (arp.ARPOP_REQUEST, ip, own, ip, bytes(6))
        assert arp.parse(reply) == (arp.ARPOP_REPLY, ip, own, ip, own)
        found = [ndisc.parse(frame) for frame in advertisements]
        assert [
            (one.target, one.lladdr, one.override, one.solicited, one.router)
            for one in found
            if isinstance(one, ndisc.Advertisement)
        ] == [(packed(six), own, True, False, False) for six in (OURS6, LOCAL)]
        await trio.sleep(10)
        assert len(c.sent()) == 8
        other = c.segment.attach(OTHER, name="vc")
        asker = LinkAddress(OTHER)
        other.send(
            arp.build(
                arp.ARPOP_REQUEST, packed("198.51.100.9"), asker, ip, bytes(6), dst=BROADCAST, src=asker
            )
        )
        await trio.sleep(1)
        assert len(c.sent()) == 8


async def test_a_family_that_is_not_served_is_left_out_or_refused(autojump_clock: MockClock) -> None:
    async with client(OURS4, families=(4,)) as c:
        with pytest.raises(
            neighio.InvalidAddress, match="2001:db8::7 is of a family that this table does not"
        ):
            c.device.announce("2001:db8::7", force=True)
        assert c.sent() == []
        c.device.announce()
        assert len(c.sent()) == 1


async def test_another_link_layer_address_is_told_and_sent_from(autojump_clock: MockClock) -> None:
    async with client() as c:
        c.device.announce("198.51.100.1", "2001:db8::1", form="both", lladdr=VIRTUAL, router=True)
        request, reply, advertisement = c.sent()
        ip = packed(OURS4)
        assert request[:12] == reply[:12] == BROADCAST + VIRTUAL
        assert arp.parse(request) == (arp.ARPOP_REQUEST, ip, VIRTUAL, ip, bytes(6))
        assert arp.parse(reply) == (arp.ARPOP_REPLY, ip, VIRTUAL, ip, VIRTUAL)
        assert advertisement[:12] == ALL_NODES + VIRTUAL
        found = ndisc.parse(advertisement)
        assert isinstance(found, ndisc.Advertisement)
        assert (found.target, found.lladdr, found.router) == (packed(OURS6), VIRTUAL, True)


async def test_an_address_that_is_not_had_is_announced_when_that_is_meant(autojump_clock: MockClock) -> None:
    async with client() as c:
        with pytest.raises(neighio.InvalidAddress, match=r"198.51.100.99 is not in use on va"):
            c.device.announce("198.51.100.99")
        c.device.announce("198.51.100.99", "2001:db8::99", force=True)
        request, advertisement = c.sent()
        assert request[28:32] == request[38:42] == packed("198.51.100.99")
        found = ndisc.parse(advertisement)
        assert isinstance(found, ndisc.Advertisement)
        # Of the sources that there are it is the one of the destination's scope.
        assert (found.src, found.target) == (packed(LOCAL), packed("2001:db8::99"))


@pytest.mark.parametrize(
    ("address", "options", "message"),
    [
        ("224.0.0.1", {}, "224.0.0.1 can be no station's"),
        ("ff02::1", {}, "ff02::1 can be no station's"),
        ("255.255.255.255", {}, "255.255.255.255 can be no station's"),
        ("0.0.0.0", {}, "0.0.0.0 can be no station's"),
        ("127.0.0.1", {}, "127.0.0.1 can be no station's"),
        ("198.51.100.255", {}, "198.51.100.255 is a broadcast address of va"),
        ("198.51.100.1", {"lladdr": "01:00:5e:00:00:01"}, "01:00:5e:00:00:01 is a group's"),
        ("198.51.100.1", {"lladdr": "02:00"}, "has 2 octets, va needs 6"),
    ],
)
async def test_what_no_station_can_have_is_refused_even_then(
    address: str, options: dict[str, Any], message: str, autojump_clock: MockClock
) -> None:
    async with client() as c:
        with pytest.raises(neighio.InvalidAddress, match=message):
            c.device.announce("198.51.100.1", address, force=True, **options)
        assert c.sent() == []


async def test_without_any_source_a_foreign_ipv6_address_is_refused(autojump_clock: MockClock) -> None:
    async with client(OURS4) as c:
        with pytest.raises(neighio.InvalidAddress, match="va has no IPv6 address from which to announce"):
            c.device.announce("2001:db8::99", force=True)
        assert c.sent() == []


async def test_an_address_whose_duplicates_are_being_detected_is_not_announced(
    autojump_clock: MockClock,
) -> None:
    async with client(OURS4) as c:
        tentative = Address(packed(OURS6), 64, 0, IFA_F_TENTATIVE)
        c.table._driver.engine.add_address(c.device.index, tentative, trio.current_time())
        with pytest.raises(neighio.InvalidAddress, match="2001:db8::1 is not in use"):
            c.device.announce("2001:db8::1")
        c.device.announce()
        assert [frame[12:14] for frame in c.sent()] == [b"\x08\x06"]


@pytest.mark.parametrize(("ip", "nobody"), [("198.51.100.1", "0.0.0.0"), ("2001:db8::1", "::")])
async def test_a_second_owner_of_the_kernels_address_is_found(
    ip: str, nobody: str, autojump_clock: MockClock
) -> None:
    async with client() as c:
        with pytest.raises(neighio.Unreachable):
            await c.table.probe(ip, "va", source=nobody)
        # Asking with the unspecified address enters nobody's table.
        second = neighio.Device(c.segment.attach(OTHER, name="vb"), "host", addresses=OWN)
        async with neighio.open_table(second) as other:
            reply = await c.table.probe(ip, "va", source=nobody, listen=0.5)
            assert (reply.lladdr, reply.others) == (LinkAddress(OTHER), ())
            assert [e for e in (*other.arp.entries(), *other.ndisc.entries()) if e.ip == ip] == []


async def test_an_address_that_the_kernel_has_no_more_is_announced_no_more(autojump_clock: MockClock) -> None:
    async with client() as c:
        c.device.announce("198.51.100.1", "2001:db8::1", repeat=5)
        c.table._driver.engine.remove_address(c.device.index, packed(OURS4), 24, trio.current_time())
        await trio.sleep(10)
        assert [frame[12:14] for frame in c.sent()].count(b"\x08\x06") == 1
        assert len(c.sent()) == 6
