"""What a received ARP message does to the sender's entry: every state, every kind of evidence (8.1, 8.6).

R1 is a reply sent to our link-layer address alone. R0 is any other message that concerns somebody else: a
reply to a group, a request for another's address, an announcement. Q is a request for an address of ours.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from neighio.address import LinkAddress
from neighio.core.constants import (
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NAMES,
    NUD_NOARP,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
    nud_state_name,
)
from neighio.core.events import NewNeighbour, Settled, Transmit
from neighio.testing.simulation import Simulation
from neighio.wire.ethernet import BROADCAST

from .helpers import CHANGE, OWN, PEER, add, alive, arp_frame, frames, hear, lines, node, packet, record

US = "198.51.100.1"
HOST = "198.51.100.7"
OTHER_HOST = "198.51.100.99"
ELSEWHERE = "02:00:00:00:00:0c"
GROUP = "01:00:5e:00:00:01"

REQUEST, REPLY = 1, 2

LOCKTIME = 2.5
LOCKED = LOCKTIME
"""An answer at this age of ``updated`` is exactly as old as locktime: not strictly after."""
FREE = LOCKTIME + 1 / 1024

BASE_REACHABLE = 4000.0
DELAY = 700.0
UCAST = 4

STATES = {name: bit for bit, name in NUD_NAMES.items()}


def r1(lladdr: str) -> list[bytes]:
    return [
        arp_frame(REPLY, HOST, US, lladdr=lladdr, tha=OWN, dst=OWN),
        arp_frame(REPLY, HOST, OTHER_HOST, lladdr=lladdr, tha=OWN, dst=OWN),
        arp_frame(REPLY, HOST, HOST, lladdr=lladdr, dst=OWN),
    ]


def r0(lladdr: str) -> list[bytes]:
    return [
        arp_frame(REPLY, HOST, US, lladdr=lladdr, tha=OWN),
        arp_frame(REPLY, HOST, US, lladdr=lladdr, tha=OWN, dst=GROUP),
        arp_frame(REPLY, HOST, HOST, lladdr=lladdr),
        arp_frame(REQUEST, HOST, OTHER_HOST, lladdr=lladdr),
        arp_frame(REQUEST, HOST, OTHER_HOST, lladdr=lladdr, dst=OWN),
    ]


def r1_gratuitous(lladdr: str) -> list[bytes]:
    return [arp_frame(REPLY, HOST, HOST, lladdr=lladdr, tha=lladdr, dst=OWN)]


def r0_gratuitous(lladdr: str) -> list[bytes]:
    return [
        arp_frame(REQUEST, HOST, HOST, lladdr=lladdr),
        arp_frame(REQUEST, HOST, HOST, lladdr=lladdr, dst=OWN),
        arp_frame(REPLY, HOST, HOST, lladdr=lladdr, tha=lladdr),
    ]


def q(lladdr: str) -> list[bytes]:
    return [
        arp_frame(REQUEST, HOST, US, lladdr=lladdr),
        arp_frame(REQUEST, HOST, US, lladdr=lladdr, dst=OWN),
        arp_frame(REQUEST, HOST, US, lladdr=lladdr, tha=OWN, dst=GROUP),
    ]


def heard(age: float, kind: Callable[[str], list[bytes]], lladdr: str) -> list[tuple[float, str, bytes]]:
    return [(age, lladdr, frame) for frame in kind(lladdr)]


# Of each kind, every form of message with the age at which it is heard: all must have the one outcome.
EVIDENCE = {
    "R1 same": heard(FREE, r1, PEER) + heard(LOCKED, r1, PEER) + heard(LOCKED, r1_gratuitous, PEER),
    "R1 diff, override": heard(FREE, r1, ELSEWHERE) + heard(LOCKED, r1_gratuitous, ELSEWHERE),
    "R1 diff, locked": heard(LOCKED, r1, ELSEWHERE),
    "R0 same": heard(FREE, r0, PEER) + heard(LOCKED, r0, PEER) + heard(LOCKED, r0_gratuitous, PEER),
    "R0 diff, override": heard(FREE, r0, ELSEWHERE) + heard(LOCKED, r0_gratuitous, ELSEWHERE),
    "R0 diff, locked": heard(LOCKED, r0, ELSEWHERE),
    "Q same": heard(FREE, q, PEER) + heard(LOCKED, q, PEER),
    "Q diff": heard(FREE, q, ELSEWHERE) + heard(LOCKED, q, ELSEWHERE),
}

NOTHING = "-"
"""Nothing at all."""
CONFIRMED = "confirmed"
"""``confirmed`` becomes now; nothing else, and no event."""
# A state's name: the entry has that state and the message's address, and one event says so.

# fmt: off
OUTCOMES = {
    # old:               R1 same      R1 diff, ovr R1 diff, lock R0 same  R0 d ovr R0 d lck Q same   Q diff
    "absent":            (NOTHING,     NOTHING,     NOTHING,     NOTHING, NOTHING, NOTHING, "STALE", "STALE"),
    "NONE":              ("REACHABLE", "REACHABLE", "REACHABLE", "STALE", "STALE", "STALE", "STALE", "STALE"),
    "INCOMPLETE":        ("REACHABLE", "REACHABLE", "REACHABLE", "STALE", "STALE", "STALE", "STALE", "STALE"),
    "INCOMPLETE, queue": ("REACHABLE", "REACHABLE", "REACHABLE", "DELAY", "DELAY", "DELAY", "DELAY", "DELAY"),
    "REACHABLE":         (CONFIRMED,   "REACHABLE", CONFIRMED,   NOTHING, "STALE", NOTHING, NOTHING, "STALE"),
    "STALE":             ("REACHABLE", "REACHABLE", CONFIRMED,   NOTHING, "STALE", NOTHING, NOTHING, "STALE"),
    "DELAY":             ("REACHABLE", "REACHABLE", CONFIRMED,   NOTHING, "STALE", NOTHING, NOTHING, "STALE"),
    "PROBE":             ("REACHABLE", "REACHABLE", CONFIRMED,   NOTHING, "STALE", NOTHING, NOTHING, "STALE"),
    "FAILED":            ("REACHABLE", "REACHABLE", "REACHABLE", "STALE", "STALE", "STALE", "STALE", "STALE"),
    "NOARP":             (NOTHING,     NOTHING,     NOTHING,     NOTHING, NOTHING, NOTHING, NOTHING, NOTHING),
    "PERMANENT":         (NOTHING,     NOTHING,     NOTHING,     NOTHING, NOTHING, NOTHING, NOTHING, NOTHING),
}
# fmt: on

CELLS = [
    pytest.param(old, kind, outcome, id=f"{old} - {kind} -> {outcome}")
    for old, outcomes in OUTCOMES.items()
    for kind, outcome in zip(EVIDENCE, outcomes, strict=True)
]


def quiet_node(**changes: float) -> Simulation:
    """A node whose timers leave the scene alone."""
    return node(
        base_reachable_time=BASE_REACHABLE,
        delay_first_probe_time=DELAY,
        retrans_time=900.0,
        ucast_solicit=UCAST,
        **{"locktime": LOCKTIME, **changes},
    )


def put(sim: Simulation, old: str) -> None:
    """Bring HOST's entry into a state at this instant, at PEER if it has an address or had one."""
    if old == "absent":
        return
    if old.startswith("INCOMPLETE"):
        if old.endswith("queue"):
            sim.send(HOST, packet("first"))
            sim.send(HOST, packet("second"))
        else:
            sim.resolve(HOST)
    elif old in ("NONE", "FAILED"):
        add(sim, HOST, NUD_STALE)
        sim.admin(HOST, nlm_flags=CHANGE, state=NUD_NONE if old == "NONE" else NUD_FAILED)
    elif old == "DELAY":
        add(sim, HOST, NUD_STALE)
        sim.resolve(HOST)
    else:
        add(sim, HOST, STATES[old])


@pytest.mark.parametrize(("old", "kind", "outcome"), CELLS)
def test_evidence_in_a_state_has_the_outcome_of_the_kernels_table(old: str, kind: str, outcome: str) -> None:
    for age, lladdr, frame in EVIDENCE[kind]:
        sim = quiet_node()
        put(sim, old)
        sim.run(age)
        entry = sim.neighbour(HOST)
        before = None if entry is None else record(entry)
        assert entry is None or nud_state_name(entry.nud_state) == old.split(",")[0].replace("NONE", "")
        lines(sim)

        hear(sim, frame)

        entry = sim.neighbour(HOST)
        if outcome == NOTHING:
            assert sim.outputs == []
            assert (None if entry is None else record(entry)) == before
            continue
        assert entry is not None
        after = record(entry)
        if outcome == CONFIRMED:
            assert sim.outputs == []
            assert before is not None
            assert after == {**before, "confirmed": sim.now}
            continue
        queued = 2 if old.endswith("queue") else 0
        assert len(frames(sim)) == queued
        assert lines(sim) == [f"{HOST} lladdr {lladdr} {outcome}"]
        started_timer = outcome == "DELAY" or (outcome == "REACHABLE" and old != "REACHABLE")
        expected = {
            "nud_state": STATES[outcome],
            "lladdr": LinkAddress(lladdr),
            "updated": sim.now,
            "refcnt": 1 if outcome == "STALE" else 2,
            "confirmed": sim.now if outcome == "REACHABLE" else sim.now - 2 * BASE_REACHABLE,
        }
        if before is None:
            assert (after["used"], after["probes"], after["flags"]) == (sim.now, 0, 0)
        elif started_timer or queued:
            expected["used"] = sim.now
        unchanged = {} if before is None else before
        assert after == {**after, **unchanged, **expected}


@pytest.mark.parametrize("old", ["NONE", "INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED"])
def test_evidence_that_makes_an_entry_stale_stops_its_probing_for_good(old: str) -> None:
    sim = quiet_node()
    put(sim, old)
    sim.run(FREE)
    hear(sim, arp_frame(REQUEST, HOST, US, lladdr=ELSEWHERE))
    lines(sim)

    sim.run(50_000.0)

    assert sim.outputs == []
    entry = sim.neighbour(HOST)
    assert entry is not None
    assert entry.nud_state == NUD_STALE


def test_a_resolution_that_evidence_ends_lets_the_queue_leave_before_the_event() -> None:
    sim = quiet_node()
    put(sim, "INCOMPLETE, queue")
    lines(sim)
    hear(sim, arp_frame(REPLY, HOST, US, tha=OWN, dst=OWN))

    kinds = [type(output) for output in sim.outputs]
    assert kinds == [Settled, Transmit, Transmit, NewNeighbour]
    assert all(frame.endswith(mark) for frame, mark in zip(frames(sim), (b"first", b"second"), strict=True))


def test_a_queue_leaves_by_the_slow_path_even_where_a_header_is_cached() -> None:
    """neigh_update() calls the output function and does not ask for the header that an earlier life cached."""
    sim = quiet_node()
    entry = add(sim, HOST, NUD_REACHABLE)
    sim.send(HOST)
    sim.admin(HOST, nlm_flags=CHANGE, state=NUD_INCOMPLETE)
    sim.send(HOST, packet("waits"))
    sim.run(0.5)

    sim.admin(HOST, nlm_flags=CHANGE, lladdr=ELSEWHERE, state=NUD_NOARP)

    assert frames(sim)[-1].startswith(LinkAddress(ELSEWHERE))
    assert entry.used == sim.now


@pytest.mark.parametrize(("dst", "references"), [(OWN, 2), (BROADCAST, 1)], ids=["REACHABLE", "STALE"])
def test_the_event_is_a_snapshot_after_the_update_and_counts_the_receive_paths_reference(
    dst: str | bytes, references: int
) -> None:
    sim = quiet_node()
    put(sim, "STALE")
    sim.run(FREE)
    lines(sim)
    hear(sim, arp_frame(REPLY, HOST, US, lladdr=ELSEWHERE, tha=OWN, dst=dst))

    (event,) = sim.outputs
    entry = sim.neighbour(HOST)
    assert isinstance(event, NewNeighbour)
    assert entry is not None
    assert (event.confirmed, event.updated, event.used) == (entry.confirmed, entry.updated, entry.used)
    assert event.refcnt == references


def test_a_refused_answer_late_in_delay_makes_the_old_address_reachable_when_delay_ends() -> None:
    sim = quiet_node()
    add(sim, HOST, NUD_STALE)
    sim.run(10.0)
    sim.set("va", locktime=2 * DELAY)
    sim.resolve(HOST)
    sim.run(DELAY / 2)
    lines(sim)
    hear(sim, arp_frame(REPLY, HOST, US, lladdr=ELSEWHERE, tha=OWN, dst=OWN))
    assert sim.outputs == []

    sim.run(DELAY)

    assert lines(sim) == [f"{HOST} lladdr {PEER} REACHABLE"]
    assert frames(sim) == []


def test_a_refused_answer_in_probe_saves_nothing() -> None:
    sim = node(locktime=100.0, retrans_time=0.5, ucast_solicit=2, base_reachable_time=4000.0)
    add(sim, HOST, NUD_PROBE)
    sim.run(0.2)
    lines(sim)
    hear(sim, arp_frame(REPLY, HOST, US, lladdr=ELSEWHERE, tha=OWN, dst=OWN))

    sim.run(2.0)

    assert lines(sim) == [f"{HOST} FAILED"]


def test_a_late_answer_revives_a_failed_entry() -> None:
    sim = node(retrans_time=0.5, mcast_solicit=2)
    pending = sim.resolve(HOST)
    sim.run(4.0)
    assert lines(sim) == [f"{HOST} FAILED"]
    assert pending.done

    hear(sim, arp_frame(REPLY, HOST, US, tha=OWN, dst=OWN))

    assert lines(sim) == [f"{HOST} lladdr {PEER} REACHABLE"]


# -- locktime (8.6)


def answer(lladdr: str) -> bytes:
    return arp_frame(REPLY, HOST, US, lladdr=lladdr, tha=OWN, dst=OWN)


@pytest.mark.parametrize(
    ("age", "taken"), [(0.0, PEER), (2.0, PEER), (2.5, PEER), (2.5 + 1 / 1024, ELSEWHERE)]
)
def test_a_different_answer_is_taken_strictly_after_updated_plus_locktime(age: float, taken: str) -> None:
    sim = quiet_node()
    sim.resolve(HOST)
    hear(sim, answer(PEER))
    sim.run(age)

    hear(sim, answer(ELSEWHERE))

    assert str(sim.resolve(HOST).outcome) == taken


def test_a_locktime_of_0_still_lets_the_first_of_two_answers_at_one_instant_win() -> None:
    sim = quiet_node(locktime=0.0)
    sim.resolve(HOST)
    hear(sim, answer(PEER))
    hear(sim, answer(ELSEWHERE))
    assert str(sim.resolve(HOST).outcome) == PEER

    sim.run(1 / 1024)
    hear(sim, answer(ELSEWHERE))

    assert str(sim.resolve(HOST).outcome) == ELSEWHERE


def test_within_one_tick_a_locktime_of_0_blocks_the_second_answer_as_within_one_jiffy() -> None:
    sim = Simulation(start=1000.0, ticks_per_second=250)
    sim.set(None, locktime=0.0)
    sim.add_device("va", OWN)
    sim.resolve(HOST)
    hear(sim, answer(PEER))
    sim.run(0.003)
    hear(sim, answer(ELSEWHERE))
    assert str(sim.resolve(HOST).outcome) == PEER

    sim.run(0.001)
    hear(sim, answer(ELSEWHERE))

    assert str(sim.resolve(HOST).outcome) == ELSEWHERE


def test_answers_that_change_nothing_do_not_prolong_the_lock() -> None:
    sim = quiet_node()
    sim.resolve(HOST)
    hear(sim, answer(PEER))
    sim.run(2.0)
    hear(sim, answer(PEER))
    hear(sim, answer(ELSEWHERE))
    sim.run(1.0)

    hear(sim, answer(ELSEWHERE))

    assert lines(sim) == [f"{HOST} lladdr {PEER} REACHABLE", f"{HOST} lladdr {ELSEWHERE} REACHABLE"]


def test_locktime_is_the_devices_own() -> None:
    sim = quiet_node(locktime=60.0)
    sim.set("va", locktime=0.5)
    add(sim, HOST, NUD_REACHABLE)
    sim.run(1.0)

    hear(sim, answer(ELSEWHERE))

    assert str(sim.resolve(HOST).outcome) == ELSEWHERE


# -- the sender's addresses are not judged


@pytest.mark.parametrize("lladdr", ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:07", OWN])
def test_any_sender_hardware_address_is_stored(lladdr: str) -> None:
    sim = quiet_node()
    hear(sim, arp_frame(REQUEST, HOST, US, lladdr=lladdr))

    assert lines(sim) == [f"{HOST} lladdr {lladdr} STALE"]


def test_the_ethernet_source_is_ignored() -> None:
    sim = quiet_node()
    frame = arp_frame(REQUEST, HOST, US)
    hear(sim, frame[:6] + bytes.fromhex("020000000077") + frame[12:])

    assert lines(sim) == [f"{HOST} lladdr {PEER} STALE"]


def test_a_requester_outside_every_subnet_is_created() -> None:
    sim = quiet_node()
    hear(sim, arp_frame(REQUEST, "203.0.113.77", US))

    assert lines(sim) == [f"203.0.113.77 lladdr {PEER} STALE"]


def test_a_requester_at_the_subnets_broadcast_address_leaves_a_silent_noarp_entry() -> None:
    sim = quiet_node()
    hear(sim, arp_frame(REQUEST, "198.51.100.255", US))

    assert sim.outputs == []
    entry = sim.neighbour("198.51.100.255")
    assert entry is not None
    assert (entry.nud_state, str(entry.lladdr)) == (NUD_NOARP, "ff:ff:ff:ff:ff:ff")


def test_a_request_for_an_address_of_another_device_is_one_for_us() -> None:
    sim = quiet_node()
    sim.add_device("vb", "02:00:00:00:01:0a", ["203.0.113.1/24"])
    hear(sim, arp_frame(REQUEST, HOST, "203.0.113.1"))

    assert lines(sim) == [f"{HOST} lladdr {PEER} STALE"]


def test_evidence_touches_the_entry_on_the_device_that_heard_it_alone() -> None:
    sim = quiet_node()
    sim.add_device("vb", "02:00:00:00:01:0a", ["203.0.113.1/24"])
    add(sim, HOST, NUD_STALE, dev="vb")
    lines(sim)

    hear(sim, answer(PEER))

    assert sim.outputs == []
    assert alive(sim) == {HOST}
    entry = sim.neighbour(HOST, "vb")
    assert entry is not None
    assert entry.nud_state == NUD_STALE


def test_a_permanent_entry_of_a_requester_is_left_alone_even_in_its_stamps() -> None:
    sim = quiet_node()
    entry = add(sim, HOST, NUD_PERMANENT)
    sim.run(FREE)
    before = record(entry)
    lines(sim)

    for frame in (answer(ELSEWHERE), arp_frame(REQUEST, HOST, US, lladdr=ELSEWHERE)):
        hear(sim, frame)

    assert sim.outputs == []
    assert record(entry) == before
