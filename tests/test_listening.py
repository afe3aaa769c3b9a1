"""A listener is told of what happens at once, in order, and a device's change before what it does."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

import neighio
from neighio import Change, NewNeighbour
from neighio.publication import DeviceChange, Happening

from .shell import ABSENT, OTHER, OURS, PEER, THEIRS, packet, world


def in_words(events: list[Happening]) -> list[str]:
    """A device's change as "present up carrier" or what of it is so; else the event's line."""
    return [
        " ".join([event.device, *(name for name in ("present", "up", "carrier") if getattr(event, name))])
        if isinstance(event, DeviceChange)
        else str(event)
        for event in events
    ]


async def test_what_a_call_causes_is_told_before_it_returns(autojump_clock: MockClock) -> None:
    async with world() as w:
        heard: list[Happening] = []
        w.table.add(ABSENT, lladdr=THEIRS)
        with w.table._listening(heard.append):
            w.table.add(PEER, lladdr=THEIRS, nud="stale")
            assert in_words(heard) == [f"{PEER} dev va lladdr {THEIRS} STALE"]
            w.table.delete(PEER)
            assert in_words(heard[1:]) == [f"{PEER} dev va FAILED", f"Deleted {PEER} dev va FAILED"]
            assert heard[0].time == trio.current_time()
        w.table.delete(ABSENT)
        assert len(heard) == 3


async def test_a_devices_change_is_told_before_what_it_does_to_its_entries(autojump_clock: MockClock) -> None:
    async with world() as w:
        heard: list[Happening] = []
        w.table.add(PEER, lladdr=THEIRS)
        with w.table._listening(heard.append):
            w.link.set_down()
            w.link.set_up()
            w.link.set_carrier(False)
            # Nothing that a listener is told of.
            w.link.change(mtu=1400)
            w.link.change(name="vz")
            w.link.remove()
        assert in_words(heard) == [
            "va present",
            f"Deleted {PEER} dev va lladdr {THEIRS} PERMANENT",
            "va present up carrier",
            "va present up",
            "vz present up",
            "vz",
        ]


async def test_a_device_that_is_attached_and_detached_is_told_of(autojump_clock: MockClock) -> None:
    async with world() as w:
        heard: list[Happening] = []
        with w.table._listening(heard.append):
            attached = await w.table.attach(neighio.Device(w.segment.attach(OTHER, name="vd")))
            w.table.add(PEER, "vd", lladdr=OURS)
            await attached.detach()
        assert in_words(heard) == [
            "vd present up carrier",
            f"{PEER} dev vd lladdr {OURS} PERMANENT",
            "vd",
            f"Deleted {PEER} dev vd lladdr {OURS} PERMANENT",
        ]


async def test_listeners_stand_beside_each_other_and_beside_subscriptions(autojump_clock: MockClock) -> None:
    async with world() as w:
        first: list[Happening] = []
        second: list[Happening] = []
        with w.table._listening(first.append):
            with w.table._listening(second.append), w.table.subscribe(trace=True):
                w.table.add(PEER, lladdr=THEIRS)
            w.table.delete(PEER)
        # One that subscribes to every transition has the others told of them, too.
        assert [type(event) for event in second] == [Change, NewNeighbour]
        assert len(first) == 4
        assert w.table.statistics().subscriptions == 0


async def test_a_packet_that_fails_is_told_of(autojump_clock: MockClock) -> None:
    async with world() as w:
        heard: list[Happening] = []
        with (
            w.table._listening(heard.append),
            w.table.neighbour(ABSENT) as held,
            pytest.raises(neighio.Unreachable),
        ):
            await held.send(packet())
        assert any(isinstance(event, neighio.PacketFailed) for event in heard)
