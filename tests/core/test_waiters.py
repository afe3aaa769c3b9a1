"""Who waits for an address or a proof: exactly one outcome each, and nobody waits for ever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from neighio.address import LinkAddress, format_ip
from neighio.core.constants import (
    AF_INET,
    NEIGH_UPDATE_F_ADMIN,
    NEIGH_UPDATE_F_OVERRIDE,
    NEIGH_UPDATE_F_WEAK_OVERRIDE,
    NTF_EXT_VALIDATED,
    NUD_DELAY,
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
)
from neighio.core.events import Change, DelNeighbour, Settled, Transmit, Verified
from neighio.errors import DeviceGone, Unreachable
from neighio.testing.simulation import Simulation

from .bench import DEVICE, LLADDR, OTHER, Bench, play
from .families import current, host, many, packed
from .helpers import hear, lines, node
from .station import Station

pytestmark = pytest.mark.usefixtures("family")

ADMIN, OVERRIDE = NEIGH_UPDATE_F_ADMIN, NEIGH_UPDATE_F_OVERRIDE
HERE = LinkAddress("02:00:00:00:00:0b")
THERE = LinkAddress("02:00:00:00:00:0c")

Outcome = LinkAddress | type[Unreachable] | type[DeviceGone] | None


def outcomes(bench: Bench, kind: type[Settled] | type[Verified]) -> list[Outcome]:
    return [o.outcome for o in bench.outputs() if isinstance(o, kind)]


def act(bench: Bench, lladdr: bytes | None, new: int, flags: int = 0, stimulus: str = "admin") -> None:
    neighbour = bench.entry()
    bench.engine.services.now = bench.now
    bench.cache.hold(neighbour.row)
    bench.nud.update(neighbour.row, lladdr, new, flags, stimulus)
    bench.cache.release(neighbour.row)


def timers(bench: Bench, seconds: float) -> None:
    for _ in range(int(seconds / 0.125)):
        bench.now += 0.125
        bench.engine.handle_timers(("device", DEVICE), bench.now)


def delete(bench: Bench) -> None:
    bench.engine.delete_neighbour(DEVICE, packed(), bench.now)


# -- Settled: an entry leaves INCOMPLETE

LEAVES: dict[str, tuple[Callable[[Bench], object], Outcome]] = {
    "evidence REACHABLE": (lambda b: act(b, LLADDR, NUD_REACHABLE, 0, "evidence"), HERE),
    "evidence STALE": (lambda b: act(b, LLADDR, NUD_STALE, 0, "evidence"), HERE),
    "admin REACHABLE": (lambda b: act(b, OTHER, NUD_REACHABLE, ADMIN), THERE),
    "admin STALE": (lambda b: act(b, OTHER, NUD_STALE, ADMIN), THERE),
    "admin DELAY": (lambda b: act(b, OTHER, NUD_DELAY, ADMIN), THERE),
    "admin PROBE": (lambda b: act(b, OTHER, NUD_PROBE, ADMIN), THERE),
    "admin NOARP": (lambda b: act(b, OTHER, NUD_NOARP, ADMIN), THERE),
    "admin PERMANENT": (lambda b: act(b, OTHER, NUD_PERMANENT, ADMIN), THERE),
    "admin NONE": (lambda b: act(b, None, NUD_NONE, ADMIN), Unreachable),
    "admin FAILED": (lambda b: act(b, None, NUD_FAILED, ADMIN), Unreachable),
    "deletion": (delete, Unreachable),
    "probes exhausted": (lambda b: timers(b, 3), Unreachable),
    "device down": (lambda b: b.engine.link_down(DEVICE, b.now), DeviceGone),
    "carrier lost": (lambda b: b.engine.carrier(DEVICE, False, b.now), DeviceGone),
    "device's address changed": (lambda b: b.engine.set_lladdr(DEVICE, OTHER, b.now), DeviceGone),
    "NOARP switched on": (lambda b: b.engine.set_noarp(DEVICE, True, b.now), DeviceGone),
    "device detached": (lambda b: b.engine.detach(DEVICE, b.now), DeviceGone),
}  # fmt: skip


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("packets", [0, 2])
@pytest.mark.parametrize("way", LEAVES)
def test_leaving_incomplete_settles_exactly_once(way: str, packets: int, held: bool) -> None:
    leave, outcome = LEAVES[way]
    settles_once(leave, outcome, packets, held)


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("packets", [0, 2])
def test_the_last_address_of_a_device_is_ipv4s_alone_to_take_neighbours_along(
    packets: int, held: bool
) -> None:
    def leave(bench: Bench) -> None:
        for address in tuple(bench.device.addresses):
            bench.engine.remove_address(DEVICE, address.ip, address.prefixlen, bench.now)

    if current().number == AF_INET:
        settles_once(leave, DeviceGone, packets, held)
    else:
        bench = Bench()
        bench.put(NUD_INCOMPLETE)
        leave(bench)
        assert outcomes(bench, Settled) == []


def settles_once(leave: Callable[[Bench], object], outcome: Outcome, packets: int, held: bool) -> None:
    bench = Bench()
    neighbour = bench.put(NUD_INCOMPLETE)
    for _ in range(packets):
        bench.send()
    if held:
        bench.cache.hold(neighbour.row)
    bench.outputs()
    leave(bench)
    settled = [o for o in bench.outputs() if isinstance(o, Settled)]

    assert settled == [Settled(neighbour, outcome)]
    if outcome is not DeviceGone:
        timers(bench, 20)
        assert outcomes(bench, Settled) == []


@pytest.mark.parametrize(
    "stay",
    [
        Bench.fire,
        Bench.wish,
        Bench.confirm,
        lambda bench: act(bench, None, NUD_INCOMPLETE, ADMIN),
        lambda bench: act(bench, None, NUD_REACHABLE),
        lambda bench: bench.set(mcast_solicit=0),
    ],
)
def test_staying_incomplete_settles_nobody(stay: Callable[[Bench], object]) -> None:
    bench = Bench()
    bench.put(NUD_INCOMPLETE)
    stay(bench)

    assert [o for o in (*bench.seen, *bench.outputs()) if isinstance(o, Settled)] == []


def test_an_admins_incomplete_that_is_collected_settles_as_unreachable() -> None:
    bench = Bench()
    bench.put(NUD_NONE)
    act(bench, None, NUD_INCOMPLETE, ADMIN)
    bench.cache.gc_thresh1, bench.cache.gc_thresh2, bench.cache.gc_thresh3 = 0, 0, 1
    bench.now += 6
    bench.engine.neighbour(DEVICE, packed(3), bench.now)

    assert bench.find() is None
    assert outcomes(bench, Settled) == [Unreachable]


@pytest.mark.parametrize("seed", range(5))
def test_a_random_life_settles_once_for_each_leaving(seed: int) -> None:
    settled = 0
    for outputs in play(Bench(tracing=True), seed, 400):
        left = Counter(
            o.key for o in outputs if isinstance(o, Change) and o.old_state & 1 and not o.state & 1
        )
        left += Counter(o.key for o in outputs if isinstance(o, DelNeighbour) and o.state & 1)
        told = [o for o in outputs if isinstance(o, Settled)]
        assert len(told) == sum(left.values())
        settled += len(told)
    assert settled > 10


def test_each_waiter_gets_an_exception_of_its_own() -> None:
    sim = node()
    waiting = [sim.resolve(host(2)) for _ in range(3)]
    sim.run(10)
    errors = [pending.outcome for pending in waiting]

    assert all(type(error) is Unreachable for error in errors)
    assert len({id(error) for error in errors}) == 3


def test_trap_199_cancelling_one_waiter_leaves_the_others_and_the_probing() -> None:
    sim = node()
    waiting = [sim.resolve(host(2)) for _ in range(3)]
    neighbour = sim.neighbour(host(2))
    assert neighbour is not None
    sim.driver.forget(neighbour, waiting[0])
    sim.run(1.5)
    peer = Station(sim.segment, HERE, host(2))
    sim.run(1)

    assert [pending.outcome for pending in waiting] == [None, HERE, HERE]
    assert not waiting[0].done
    assert len(peer.heard) == 1


def test_trap_199_cancelling_the_last_waiter_lets_the_entry_end_as_it_would() -> None:
    sim = node()
    pending = sim.resolve(host(2))
    neighbour = sim.neighbour(host(2))
    assert neighbour is not None
    sim.driver.forget(neighbour, pending)
    assert sim.driver.waiting() == 0
    sim.run(10)

    assert lines(sim) == [f"{host(2)} FAILED"]
    assert not pending.done


def test_trap_203_an_answer_that_arrives_while_the_request_is_being_sent_wakes_the_waiter() -> None:
    sim = node()
    Station(sim.segment, HERE, host(2), delay=0.0)
    pending = sim.resolve(host(2))

    assert (pending.done, pending.outcome, pending.time) == (True, HERE, sim.now)


def test_trap_200_all_waiters_of_a_device_that_goes_are_told_so() -> None:
    sim = node()
    waiting = [sim.resolve(ip) for ip in many(0, 200)]
    sim.driver.detach(1)
    sim.run(1)

    assert {type(pending.outcome) for pending in waiting} == {DeviceGone}
    assert sim.driver.waiting() == 0


def test_trap_207_a_request_from_nobody_settles_nobody() -> None:
    sim = node()
    nobody = format_ip(bytes(len(packed())))
    pending = sim.resolve(host(2))
    hear(sim, current().question(nobody, LLADDR))
    sim.run(0.5)

    assert not pending.done
    assert sim.engine.lookup(1, bytes(len(packed())), sim.now) is None


# -- Verified: the first proof after the call


def verify(bench: Bench) -> LinkAddress | None:
    return bench.engine.verify(bench.entry(), bench.now)


@pytest.mark.parametrize("state", [NUD_NOARP, NUD_PERMANENT])
def test_noarp_and_permanent_need_no_proof(state: int) -> None:
    bench = Bench()
    bench.put(state)
    before = bench.facts()

    assert verify(bench) == HERE
    assert bench.outputs() == [] and bench.facts() == before


@pytest.mark.parametrize("state", [NUD_REACHABLE, NUD_STALE, NUD_DELAY])
def test_a_valid_entry_goes_to_probe_as_an_administrator_would_have_it(state: int) -> None:
    bench = Bench()
    bench.put(state, NTF_EXT_VALIDATED)
    bench.now += 0.5

    assert verify(bench) is None
    assert bench.told() == ["new PROBE 0b"]
    facts = bench.facts()
    assert (facts.state, facts.probes, facts.flags, facts.timer) == (
        NUD_PROBE,
        0,
        NTF_EXT_VALIDATED,
        bench.now + 0.004,
    )
    assert bench.fire() == ["request to 0b"]


def test_an_entry_that_is_probed_already_goes_on() -> None:
    bench = Bench()
    bench.put(NUD_PROBE)
    before = bench.facts()

    assert verify(bench) is None
    assert bench.outputs() == [] and bench.facts() == before


@pytest.mark.parametrize("state", [NUD_NONE, NUD_FAILED])
def test_an_entry_without_address_is_resolved(state: int) -> None:
    bench = Bench()
    bench.put(state)

    assert verify(bench) is None
    assert bench.told() == ["request to all"]
    act(bench, LLADDR, NUD_REACHABLE, 0, "evidence")
    assert outcomes(bench, Verified) == [HERE]


def test_what_was_confirmed_before_the_call_is_no_proof() -> None:
    bench = Bench()
    bench.put(NUD_REACHABLE)
    bench.confirm()
    verify(bench)
    timers(bench, 0.25)

    assert outcomes(bench, Verified) == []


PROOFS: dict[str, tuple[Callable[[Bench], object], Outcome]] = {
    "answer": (lambda b: act(b, LLADDR, NUD_REACHABLE, OVERRIDE, "evidence"), HERE),
    "answer from another address": (lambda b: act(b, OTHER, NUD_REACHABLE, OVERRIDE, "evidence"), THERE),
    "answer refused, which confirms the old one": (lambda b: act(b, OTHER, NUD_REACHABLE, NEIGH_UPDATE_F_WEAK_OVERRIDE, "evidence"), HERE),
    "upper layer": (lambda b: b.engine.confirm(b.entry(), b.now), HERE),
    "admin REACHABLE": (lambda b: act(b, OTHER, NUD_REACHABLE, ADMIN | OVERRIDE), THERE),
    "admin NOARP": (lambda b: act(b, OTHER, NUD_NOARP, ADMIN | OVERRIDE), THERE),
    "admin PERMANENT": (lambda b: act(b, None, NUD_PERMANENT, ADMIN), HERE),
    "a hint made it STALE": (lambda b: act(b, OTHER, NUD_STALE, OVERRIDE, "evidence"), None),
    "admin STALE": (lambda b: act(b, None, NUD_STALE, ADMIN), None),
    "probes exhausted": (lambda b: timers(b, 3), Unreachable),
    "admin FAILED": (lambda b: act(b, None, NUD_FAILED, ADMIN), Unreachable),
    "admin NONE": (lambda b: act(b, None, NUD_NONE, ADMIN), Unreachable),
    "deletion": (delete, Unreachable),
    "device down": (lambda b: b.engine.link_down(DEVICE, b.now), DeviceGone),
}  # fmt: skip


@pytest.mark.parametrize("state", [NUD_REACHABLE, NUD_STALE, NUD_DELAY, NUD_PROBE])
@pytest.mark.parametrize("way", PROOFS)
def test_verification_ends_exactly_once(way: str, state: int) -> None:
    end, outcome = PROOFS[way]
    bench = Bench()
    neighbour = bench.put(state)
    verify(bench)
    bench.outputs()
    end(bench)
    verified = [o for o in bench.outputs() if isinstance(o, Verified)]

    assert verified == [Verified(neighbour, outcome)]
    if bench.find() is not None:
        act(bench, LLADDR, NUD_REACHABLE, OVERRIDE, "evidence")
        bench.engine.confirm(neighbour, bench.now)
        assert outcomes(bench, Verified) == []


def test_unresolvable_entry_fails_its_verification_and_its_waiters() -> None:
    bench = Bench()
    bench.put(NUD_NONE)
    verify(bench)
    bench.outputs()
    timers(bench, 3)
    outputs = bench.outputs()

    assert [o.outcome for o in outputs if isinstance(o, Verified | Settled)] == [Unreachable, Unreachable]


def test_without_probes_configured_verification_fails_at_once() -> None:
    bench = Bench(mcast_solicit=0, app_solicit=0)
    bench.put(NUD_NONE)
    verify(bench)

    assert outcomes(bench, Verified) == [Unreachable]


def test_resolution_by_a_hint_is_no_proof() -> None:
    bench = Bench()
    bench.put(NUD_NONE)
    verify(bench)
    bench.send()
    bench.outputs()
    act(bench, LLADDR, NUD_STALE, 0, "evidence")

    assert outcomes(bench, Verified) == [None]


def test_exhausted_ext_validated_entry_is_stale_but_was_not_verified() -> None:
    bench = Bench()
    bench.put(NUD_REACHABLE, NTF_EXT_VALIDATED)
    verify(bench)
    bench.outputs()
    timers(bench, 3)

    assert bench.facts().state == NUD_STALE
    assert outcomes(bench, Verified) == [Unreachable]


def test_a_refused_hint_ends_nothing() -> None:
    bench = Bench()
    bench.put(NUD_PROBE)
    verify(bench)
    act(bench, OTHER, NUD_STALE, NEIGH_UPDATE_F_WEAK_OVERRIDE, "evidence")
    act(bench, LLADDR, NUD_STALE, OVERRIDE, "evidence")

    assert outcomes(bench, Verified) == []


def test_reachable_by_a_proof_that_is_older_than_the_call_is_no_proof() -> None:
    """An administrator turns PROBE into DELAY, whose timer then believes a confirmation from before."""
    bench = Bench()
    bench.put(NUD_REACHABLE)
    bench.now += 0.5
    verify(bench)
    act(bench, None, NUD_DELAY, ADMIN)
    bench.outputs()
    timers(bench, 0.125)

    assert bench.facts().state == NUD_REACHABLE
    assert outcomes(bench, Verified) == [None]


def test_a_dead_entry_cannot_be_verified() -> None:
    bench = Bench()
    held = bench.put(NUD_STALE)
    bench.cache.hold(held.row)
    bench.engine.link_down(DEVICE, bench.now)

    with pytest.raises(Unreachable):
        bench.engine.verify(held, bench.now)
    assert bench.told() == ["del NOARP 0b"]


def test_nobody_watches_unless_asked() -> None:
    bench = Bench()
    bench.put(NUD_PROBE)
    act(bench, LLADDR, NUD_REACHABLE, 0, "evidence")
    bench.engine.confirm(bench.entry(), bench.now)

    assert outcomes(bench, Verified) == []


# -- the same, waited for


def resolved() -> tuple[Simulation, Station]:
    sim = node()
    peer = Station(sim.segment, HERE, host(2))
    assert sim.resolve(host(2)).outcome == HERE
    sim.run(2)
    sim.lines()
    return sim, peer


def test_verified_resolve_probes_a_reachable_entry_and_returns_its_answer() -> None:
    sim, _ = resolved()
    pending = sim.resolve(host(2), verified=True)
    assert not pending.done
    sim.run(1)

    assert pending.outcome == HERE
    assert lines(sim) == [f"{host(2)} lladdr {HERE} {state}" for state in ("PROBE", "REACHABLE")]


def test_verified_resolve_of_a_mute_neighbour_is_unreachable() -> None:
    sim, peer = resolved()
    peer.mute()
    pending = sim.resolve(host(2), verified=True)
    sim.run(10)

    assert type(pending.outcome) is Unreachable
    assert sim.neighbour(host(2)) is not None


def test_a_hint_sends_the_verification_to_the_new_address() -> None:
    sim, peer = resolved()
    peer.mute()
    pending = sim.resolve(host(2), verified=True)
    sim.run(0.5)
    moved = Station(sim.segment, THERE, host(2))
    moved.announce()
    sim.run(0.5)

    assert pending.outcome == THERE
    assert [line.split()[-1] for line in sim.lines()] == ["PROBE", "STALE", "PROBE", "REACHABLE"]
    assert sum(frame[:6] == THERE for frame in moved.heard) == 1


def test_a_hint_from_an_address_that_then_does_not_answer_is_not_believed() -> None:
    sim, peer = resolved()
    peer.mute()
    pending = sim.resolve(host(2), verified=True)
    Station(sim.segment, THERE, host(2), answers=False).announce()
    sim.run(10)

    assert type(pending.outcome) is Unreachable


def test_verified_resolve_of_an_unknown_neighbour_is_its_resolution() -> None:
    sim = node()
    peer = Station(sim.segment, HERE, host(2))
    pending = sim.resolve(host(2), verified=True)

    assert pending.outcome == HERE
    assert len(peer.heard) == 1


def test_both_kinds_of_waiters_wait_for_the_same_resolution() -> None:
    sim = node()
    both = [sim.resolve(host(2)), sim.resolve(host(2), verified=True)]
    sim.run(0.5)
    Station(sim.segment, HERE, host(2))
    sim.run(1)

    assert [pending.outcome for pending in both] == [HERE, HERE]
    assert len([o for o in sim.outputs if isinstance(o, Transmit)]) == 2
