"""resolve, resolve_nowait, lookup and first_hop: what they return, and what they refuse untouched."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import neighio
from neighio import NudState
from neighio.core.constants import IFF_LOWER_UP, IFF_NOARP, IFF_POINTOPOINT, IFF_RUNNING, IFF_UP

from .shell import ABSENT, OTHER, PEER, THEIRS, assert_nothing_is_left, world

SHORT = {"retrans_time": 0.5, "base_reachable_time": 3.0, "delay_first_probe_time": 0.75}


async def test_an_absent_neighbour_is_resolved_and_then_known(autojump_clock: MockClock) -> None:
    async with world(delay=0.01) as w:
        assert w.state() is None
        assert str(await w.table.resolve(PEER, "va")) == THEIRS
        assert (w.state(), w.frames(), trio.current_time()) == (NudState.REACHABLE, 1, 0.01)
        assert str(await w.table.resolve(PEER, "va")) == THEIRS
        assert (w.frames(), trio.current_time()) == (1, 0.01)


async def test_a_stale_answer_is_given_and_becomes_delay(autojump_clock: MockClock) -> None:
    async with world(parameters=SHORT) as w:
        await w.table.resolve(PEER)
        await trio.sleep(5)
        assert w.state() is NudState.STALE
        assert w.table.resolve_nowait(PEER) == w.peer.lladdr
        assert w.state() is NudState.DELAY


async def test_who_does_not_answer_is_unreachable_after_three_probes(autojump_clock: MockClock) -> None:
    async with world(parameters=SHORT) as w:
        with pytest.raises(neighio.Unreachable, match=r"198\.51\.100\.66 dev va"):
            await w.table.resolve(ABSENT)
        assert (trio.current_time(), w.frames(), w.state(ABSENT)) == (1.5, 3, NudState.FAILED)
        with pytest.raises(neighio.Unreachable):
            await w.table.resolve(ABSENT)
        assert trio.current_time() == 3.0


async def test_many_who_ask_for_one_address_send_one_request(autojump_clock: MockClock) -> None:
    async with world(delay=0.1) as w:
        found: list[neighio.LinkAddress] = []

        async def ask() -> None:
            found.append(await w.table.resolve(PEER))

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(ask)
        assert found == [w.peer.lladdr] * 50 and w.frames() == 1


@pytest.mark.parametrize("nud", ["none", "incomplete", "failed"])
async def test_without_waiting_only_what_is_valid_is_given(nud: str, autojump_clock: MockClock) -> None:
    async with world() as w:
        with pytest.raises(trio.WouldBlock):
            w.table.resolve_nowait(PEER)
        assert w.state() is None
        w.table.replace(PEER, nud=nud)
        before = w.state()
        with pytest.raises(trio.WouldBlock):
            w.table.resolve_nowait(PEER)
        assert (w.state(), w.frames()) == (before, 0)


async def test_looking_changes_nothing(autojump_clock: MockClock) -> None:
    async with world() as w:
        assert w.table.lookup(PEER, "va") is None
        w.table.add(PEER, lladdr=THEIRS, nud="stale")
        before = w.table.arp.statistics()
        found = w.table.lookup(PEER)
        assert found is not None and (found.nud_state, str(found.lladdr)) == (NudState.STALE, THEIRS)
        assert w.table.arp.statistics() == before
        w.table.delete(PEER)
        assert not found.exists
        with pytest.raises(LookupError):
            _ = found.nud_state


# -- verified


async def test_verified_means_confirmed_after_the_call(autojump_clock: MockClock) -> None:
    async with world(delay=0.25) as w:
        await w.table.resolve(PEER)
        await w.table.resolve(PEER, verified=True)
        assert trio.current_time() == pytest.approx(0.5, abs=0.008)
        entry = w.table.lookup(PEER)
        assert entry is not None and entry.confirmed == trio.current_time()


@pytest.mark.parametrize("nud", ["noarp", "permanent"])
async def test_what_needs_no_proof_is_taken_as_it_is(nud: str, autojump_clock: MockClock) -> None:
    async with world() as w:
        w.table.add(PEER, lladdr=OTHER, nud=nud)
        assert str(await w.table.resolve(PEER, verified=True)) == OTHER
        assert w.frames() == 0


async def test_no_proof_is_unreachable(autojump_clock: MockClock) -> None:
    async with world(answers=False, parameters=SHORT) as w:
        w.table.add(PEER, lladdr=THEIRS, nud="reachable")
        with pytest.raises(neighio.Unreachable):
            await w.table.resolve(PEER, verified=True)
        assert w.state() is NudState.FAILED
        assert_nothing_is_left(w.table)


async def test_the_upper_layers_progress_is_proof(autojump_clock: MockClock) -> None:
    async with world(answers=False) as w:
        w.table.add(PEER, lladdr=THEIRS, nud="reachable")
        with w.table.neighbour(PEER) as held:
            async with trio.open_nursery() as nursery:

                async def ask() -> None:
                    assert str(await w.table.resolve(PEER, verified=True)) == THEIRS

                nursery.start_soon(ask)
                await trio.sleep(0.5)
                held.confirm()
        assert trio.current_time() == 0.5


# -- addresses and devices


async def test_addresses_are_text_objects_or_octets(autojump_clock: MockClock) -> None:
    async with world() as w:
        for ip in (PEER, ipaddress.ip_address(PEER), bytes([198, 51, 100, 2])):
            assert await w.table.resolve(ip) == w.peer.lladdr
        assert w.table.arp.statistics().entries == 1


async def called(use: Callable[..., Any], arguments: dict[str, Any]) -> None:
    found = use(**arguments)
    if hasattr(found, "__await__"):
        await found


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"ip": "198.51.100"}, "ip: '198.51.100' is not an IP address"),
    ({"ip": "198.51.100.300"}, "ip: '198.51.100.300' is not an IP address"),
    ({"ip": b"\1\2\3"}, "ip: 3 octets, expected 4 or 16"),
    ({"ip": 7}, "ip: 7 is not an IP address"),
    ({"ip": None}, "ip: None is not an IP address"),
    ({"ip": "0.0.0.0"}, "ip: the unspecified address is nobody's"),
    ({"ip": "::"}, "ip: the unspecified address is nobody's"),
    ({"ip": "fe80::1%vb", "dev": "va"}, "zone 'vb' contradicts device 'va'"),
    ({"ip": "fe80::1%"}, "ip: 'fe80::1%' has no valid zone"),
    ({"ip": "198.51.100.2%va"}, "ip: '198.51.100.2%va' has a zone, and an IPv4 address has none"),
    ({"ip": PEER, "dev": "vb"}, "device: 'vb' is not attached; there is va"),
    ({"ip": PEER, "dev": ""}, "device: '' is not attached; there is va"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=[message for _, message in REFUSED])
async def test_what_cannot_be_meant_is_refused_and_changes_nothing(
    arguments: dict[str, Any], message: str, autojump_clock: MockClock
) -> None:
    await refused_by_every_call(arguments, message)


@pytest.mark.parametrize("ip", ["fe80::1", "fe80::1%va", "2001:db8::7"])
async def test_a_family_that_the_table_does_not_serve_is_refused(ip: str, autojump_clock: MockClock) -> None:
    bare = ip.partition("%")[0]
    message = f"ip: {bare} is of a family that this table does not serve"
    await refused_by_every_call({"ip": ip}, message, families=(4,))


async def refused_by_every_call(arguments: dict[str, Any], message: str, **options: Any) -> None:
    async with world(**options) as w:
        table = w.table
        before = (table.arp.statistics(), table.statistics())
        for use in (
            table.resolve,
            table.probe,
            table.resolve_nowait,
            table.lookup,
            table.neighbour,
            table.add,
            table.replace,
            table.delete,
        ):
            with pytest.raises(neighio.InvalidAddress) as caught:
                await called(use, arguments)
            assert message in str(caught.value)
        assert (table.arp.statistics(), table.statistics()) == before
        assert w.frames() == 0


async def test_with_several_devices_one_has_to_be_named(autojump_clock: MockClock) -> None:
    async with world() as w:
        await w.table.attach(w.segment.attach("02:00:00:00:00:0e", name="vc"))
        with pytest.raises(neighio.InvalidAddress, match="device: name one of va, vc"):
            await w.table.resolve(PEER)
        assert await w.table.resolve(PEER, "vc") == w.peer.lladdr
        await w.table.devices["vc"].detach()
        await w.table.devices["va"].detach()
        with pytest.raises(neighio.InvalidAddress, match="device: none is attached"):
            await w.table.resolve(PEER)


@pytest.mark.parametrize(
    ("ip", "lladdr"),
    [
        ("224.0.0.251", "01:00:5e:00:00:fb"),
        ("239.129.2.3", "01:00:5e:01:02:03"),
        ("255.255.255.255", "ff:ff:ff:ff:ff:ff"),
        ("198.51.100.255", "ff:ff:ff:ff:ff:ff"),
    ],
)
async def test_what_needs_no_arp_is_known_at_once(ip: str, lladdr: str, autojump_clock: MockClock) -> None:
    async with world() as w:
        with pytest.raises(trio.WouldBlock):
            w.table.resolve_nowait(ip)
        assert str(await w.table.resolve(ip)) == lladdr
        assert str(w.table.resolve_nowait(ip)) == lladdr
        assert w.frames() == 0


async def test_a_device_without_arp_has_its_own_address_everywhere(autojump_clock: MockClock) -> None:
    async with world() as w:
        flags = IFF_UP | IFF_RUNNING | IFF_LOWER_UP
        await w.table.attach(w.segment.attach("02:00:00:00:00:0e", name="vc", flags=flags | IFF_NOARP))
        await w.table.attach(w.segment.attach("02:00:00:00:00:0f", name="vd", flags=flags | IFF_POINTOPOINT))
        assert str(await w.table.resolve(PEER, "vc")) == "02:00:00:00:00:0e"
        assert str(await w.table.resolve(PEER, "vd")) == "ff:ff:ff:ff:ff:ff"
        assert str(await w.table.resolve(ABSENT, "vd")) == "ff:ff:ff:ff:ff:ff"


async def test_on_a_device_that_is_down_nobody_is_to_be_had(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.link.set_down()

        async def sweep() -> None:
            async with w.table.sweep("198.51.100.0/29"):
                raise AssertionError

        for use in (w.table.resolve, w.table.probe, w.table.resolve_nowait):
            with pytest.raises(neighio.DeviceGone, match="va is down"):
                await use(PEER)  # type: ignore[misc]
        with pytest.raises(neighio.DeviceGone, match="va is down"):
            await sweep()
        assert w.table.arp.statistics().allocs == 0
        w.link.set_up()
        assert await w.table.resolve(PEER) == w.peer.lladdr


async def test_a_full_table_refuses_and_says_so(autojump_clock: MockClock) -> None:
    async with world(answers=False) as w:
        w.table.arp.gc_thresh2 = w.table.arp.gc_thresh3 = 3
        for host in range(3):
            with trio.move_on_after(0.1):
                await w.table.resolve(f"198.51.100.{10 + host}")
        for use in (w.table.resolve, w.table.probe, w.table.neighbour):
            with pytest.raises(neighio.TableFull):
                await use(PEER)  # type: ignore[misc]
        assert w.table.arp.statistics().table_fulls == 3
        assert_nothing_is_left(w.table)


async def test_a_deletion_ends_the_wait(autojump_clock: MockClock) -> None:
    async with world(answers=False) as w:

        async def ask() -> None:
            with pytest.raises(neighio.Unreachable):
                await w.table.resolve(PEER)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            w.table.delete(PEER)
        assert trio.current_time() == 0


async def test_a_malformed_frame_is_counted_and_ends_nothing(autojump_clock: MockClock) -> None:
    async with world() as w:
        for frame in (b"", b"\xff" * 13, b"\xff" * 12 + b"\x08\x06", b"\xff" * 60, b"\xff" * 9000):
            w.link._take(frame)
        good = w.segment.frames
        await w.table.resolve(PEER)
        reply = good[-1].frame
        for octet in range(14, 22):
            w.link._take(reply[:octet] + bytes([reply[octet] ^ 0x55]) + reply[octet + 1 :])
        w.link._take(reply[:12] + b"\x81\x00\x00\x05" + reply[12:])
        await trio.testing.wait_all_tasks_blocked()
        drops = w.table.devices["va"].drops
        assert sum(drops.values()) == 14 and drops["vlan_tagged"] == 1
        assert w.table.statistics().drops == {"va": drops}
        assert await w.table.resolve(PEER) == w.peer.lladdr


# -- first_hop


async def test_the_first_hop_is_the_address_itself_on_the_link(autojump_clock: MockClock) -> None:
    async with world() as w:
        assert await w.table.first_hop(PEER) == ("va", PEER)
        assert await w.table.first_hop("203.0.113.1") is None
        for own in ("198.51.100.1", "0.0.0.0", "::", "nobody"):
            with pytest.raises(neighio.InvalidAddress, match=r"^ip: "):
                await w.table.first_hop(own)
    async with world(families=(4,)) as w:
        with pytest.raises(neighio.InvalidAddress, match=r"^ip: 2001:db8::1 is of a family"):
            await w.table.first_hop("2001:db8::1")
