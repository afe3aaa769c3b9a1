"""One scenario, played by a trio table and by the simulation: the same frames and the same events.

Instants are chosen so that no two stimuli of a scenario coincide: which of two tasks that are due at once
runs first is trio's to say.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import neighio
from neighio.core.constants import NLM_F_CREATE, NLM_F_REPLACE, NUD_PROBE, NUD_REACHABLE, NUD_STALE
from neighio.core.events import Change, DelNeighbour, Miss, NewNeighbour, PacketFailed
from neighio.errors import NeighioError
from neighio.publication import Published
from neighio.testing import MemoryLink, ScriptedPeer, Segment, Simulation

from .shell import ABSENT, OTHER, OURS, PEER, THEIRS, collect, packet

SEED = 7
SECOND = "198.51.100.3"

Step = tuple[float, str, tuple[Any, ...], dict[str, Any]]
Told = tuple[object, ...]
Sent = tuple[float, str, bytes]


def step(when: float, verb: str, *arguments: Any, **options: Any) -> Step:
    return when, verb, arguments, options


class OnSimulation:
    """The verbs of a scenario, for the simulation."""

    def __init__(self, sim: Simulation, link: MemoryLink, peer: ScriptedPeer) -> None:
        self.sim = sim
        self.link = link
        self.peer = peer
        self.held: list[Any] = []

    def resolve(self, ip: str, *, verified: bool = False) -> None:
        self.sim.resolve(ip, "va", verified=verified)

    def send(self, ip: str) -> None:
        self.sim.send(ip, packet(), "va")

    def hold(self, ip: str) -> None:
        self.held.append(self.sim.hold(ip, "va"))

    def release(self) -> None:
        self.sim.release(self.held.pop())

    def confirm(self, ip: str) -> None:
        self.sim.confirm(ip, "va")

    def replace(self, ip: str, lladdr: str | None, nud: int, flags: int = 0) -> None:
        self.sim.admin(
            ip, "va", nlm_flags=NLM_F_CREATE | NLM_F_REPLACE, lladdr=lladdr, state=nud, flags=flags
        )

    def delete(self, ip: str) -> None:
        self.sim.delete(ip, "va")

    def set(self, **changes: float) -> None:
        self.sim.set("va", **changes)


class OnTable:
    """The verbs of a scenario, for a table: what would wait does so in a task of its own."""

    def __init__(
        self, table: neighio.NeighbourTable, nursery: trio.Nursery, link: MemoryLink, peer: ScriptedPeer
    ) -> None:
        self.table = table
        self.nursery = nursery
        self.link = link
        self.peer = peer
        self.held: list[neighio.HeldNeighbour] = []

    async def _quietly(self, call: Callable[[], Any]) -> None:
        with suppress(NeighioError):
            await call()

    def resolve(self, ip: str, *, verified: bool = False) -> None:
        self.nursery.start_soon(self._quietly, lambda: self.table.resolve(ip, "va", verified=verified))

    def send(self, ip: str) -> None:
        # The simulation holds no reference beyond the call either.
        with self.table.neighbour(ip, "va") as neighbour:
            neighbour.send_nowait(packet())

    def hold(self, ip: str) -> None:
        self.held.append(self.table.neighbour(ip, "va"))

    def release(self) -> None:
        self.held.pop().release()

    def confirm(self, ip: str) -> None:
        with self.table.neighbour(ip, "va") as neighbour:
            neighbour.confirm()

    def replace(self, ip: str, lladdr: str | None, nud: int, flags: int = 0) -> None:
        words: Any = {"managed": bool(flags & 0x100), "extern_learn": bool(flags & 0x10)}
        self.table.replace(ip, "va", lladdr, nud=nud, **words)

    def delete(self, ip: str) -> None:
        self.table.delete(ip, "va")

    def set(self, **changes: float) -> None:
        self.table.set("va", **changes)


def act(world: Any, verb: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    owner, _, name = verb.rpartition(".")
    getattr(getattr(world, owner) if owner else world, name)(*arguments, **options)


FAST = {
    "base_reachable_time": 3.0,
    "delay_first_probe_time": 0.7,
    "retrans_time": 0.31,
    "ucast_solicit": 2,
    "gc_stale_time": 4.0,
}

SCENARIOS: dict[str, list[Step]] = {
    "resolved, used, stale, probed, mute, failed, revived": [
        step(0.0, "set", **FAST),
        step(0.1, "resolve", PEER),
        step(2.13, "send", PEER),
        step(9.17, "resolve", PEER),
        step(20.19, "peer.mute"),
        step(20.23, "send", PEER),
        step(31.29, "peer.unmute"),
        step(31.31, "peer.announce"),
        step(32.37, "resolve", PEER),
        step(60.0, "set"),
    ],
    "packets wait for an address that is nobody's": [
        step(0.11, "send", ABSENT),
        step(0.22, "send", ABSENT),
        step(1.33, "resolve", ABSENT),
        step(7.44, "set", unres_qlen_bytes=1700, mcast_solicit=2),
        step(7.55, "send", ABSENT),
        step(7.56, "send", ABSENT),
        step(7.57, "send", ABSENT),
        step(20.0, "set"),
    ],
    "the upper layer confirms": [
        step(0.0, "set", **FAST),
        step(0.1, "resolve", PEER),
        step(6.13, "send", PEER),
        step(6.51, "confirm", PEER),
        step(15.0, "set"),
    ],
    "administration": [
        step(0.1, "replace", PEER, THEIRS, NUD_STALE),
        step(0.2, "replace", PEER, OTHER, NUD_REACHABLE),
        step(0.3, "replace", PEER, None, NUD_PROBE),
        step(4.4, "replace", SECOND, THEIRS, 0x80),
        step(4.5, "replace", SECOND, THEIRS, NUD_STALE, 0x10),
        step(4.6, "delete", SECOND),
        step(4.7, "resolve", SECOND),
        step(4.8, "delete", SECOND),
        step(5.0, "set", app_solicit=2, mcast_solicit=0),
        step(5.1, "resolve", ABSENT),
        step(6.9, "replace", ABSENT, THEIRS, NUD_REACHABLE),
        step(50.0, "set"),
    ],
    "managed": [
        step(0.0, "set", **FAST),
        step(0.1, "replace", PEER, None, 0, 0x100),
        step(18.7, "peer.mute"),
        step(31.9, "peer.unmute"),
        step(45.0, "set"),
    ],
    "the device's own life": [
        step(0.1, "resolve", PEER),
        step(0.2, "send", ABSENT),
        step(0.3, "hold", SECOND),
        step(0.4, "replace", "198.51.100.4", THEIRS, 0x80),
        step(0.5, "link.set_carrier", False),
        step(0.6, "link.set_carrier", True),
        step(0.7, "resolve", PEER),
        step(0.8, "link.change", lladdr="02:00:00:00:00:aa"),
        step(0.9, "resolve", PEER),
        step(1.0, "resolve", ABSENT),
        step(1.1, "link.set_down"),
        step(1.2, "release"),
        step(1.3, "link.set_up"),
        step(1.4, "link.change", name="va2"),
        step(1.5, "link.change", name="va"),
        step(1.6, "resolve", PEER),
        step(1.7, "resolve", ABSENT),
        step(1.8, "link.remove"),
        step(9.0, "peer.mute"),
    ],
    "proof": [
        step(0.0, "set", **FAST),
        step(0.1, "resolve", PEER, verified=True),
        step(0.2, "resolve", PEER, verified=True),
        step(0.3, "peer.mute"),
        step(0.4, "resolve", PEER, verified=True),
        step(3.5, "peer.unmute"),
        step(3.6, "peer.ask", "198.51.100.1"),
        step(3.7, "resolve", PEER, verified=True),
        step(30.0, "set"),
    ],
    "strangers and liars": [
        step(0.1, "peer.ask", "198.51.100.1"),
        step(0.2, "peer.ask", "198.51.100.1", source=SECOND),
        step(0.3, "peer.announce", SECOND),
        step(0.4, "peer.announce", ABSENT),
        step(0.5, "resolve", SECOND),
        step(2.6, "peer.announce", PEER, op=2),
        step(2.7, "peer.ask", "198.51.100.200", source=PEER),
        step(40.0, "set"),
    ],
    "both collectors": [
        step(0.0, "set", **FAST),
        *(step(0.01 + host / 1000, "send", f"198.51.100.{host}") for host in range(2, 202)),
        step(200.0, "set"),
    ],
}


def told(event: Published) -> Told | None:
    """All that an event says, to the microsecond."""
    if isinstance(event, PacketFailed):
        return (round(event.time, 6), "failed", event.ip, event.device, event.error, event.reported)
    if isinstance(event, NewNeighbour | DelNeighbour | Miss | Change):
        facts = (round(fact, 6) if isinstance(fact, float) else fact for fact in event)
        return (type(event).__name__, *facts)
    return None


def frames(segment: Segment) -> list[Sent]:
    return [(round(sent.time, 6), sent.sender, sent.frame) for sent in segment.frames]


def play_simulation(steps: list[Step], delay: float) -> tuple[list[Told], list[Sent]]:
    sim = Simulation(seed=SEED, trace=True)
    peer = ScriptedPeer(sim.segment, THEIRS, [PEER, SECOND], delay=delay)
    world = OnSimulation(sim, sim.add_device("va", OURS), peer)
    for when, verb, arguments, options in steps:
        sim.run_until(when)
        act(world, verb, arguments, options)
    sim.run(0.001)
    events = [found for output in sim.outputs if (found := told(output)) is not None]  # type: ignore[arg-type]
    return events, frames(sim.segment)


async def play_table(steps: list[Step], delay: float) -> tuple[list[Told], list[Sent]]:
    segment = Segment(trio.current_time)
    peer = ScriptedPeer(segment, THEIRS, [PEER, SECOND], delay=delay)
    link = segment.attach(OURS, name="va")
    device = neighio.Device(link, addresses=["198.51.100.1/24"])
    events: list[Published] = []
    async with neighio.open_table(device, random=Random(SEED)) as table, trio.open_nursery() as nursery:
        with table.subscribe(trace=True, errors=True, capacity=100_000) as stream:
            nursery.start_soon(collect, stream, events)
            world = OnTable(table, nursery, link, peer)
            for when, verb, arguments, options in steps:
                await trio.sleep_until(when)
                act(world, verb, arguments, options)
            await trio.sleep(0.001)
            nursery.cancel_scope.cancel()
    return [found for event in events if (found := told(event)) is not None], frames(segment)


@pytest.mark.parametrize("delay", [0.0, 0.00123], ids=["answers at once", "answers late"])
@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_table_and_the_simulation_live_the_same_life(
    name: str, delay: float, autojump_clock: MockClock
) -> None:
    expected, expected_frames = play_simulation(SCENARIOS[name], delay)
    events, sent = await play_table(SCENARIOS[name], delay)
    assert events == expected
    assert sent == expected_frames
    assert len(events) > 5
