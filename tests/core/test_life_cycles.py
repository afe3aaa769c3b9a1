"""Whole lives of neighbours, line for line as ``ip monitor neigh`` showed them of Linux 6.18.

Each life is written as what a capture on the wire beside ``ip -ts monitor neigh`` shows: seconds, and a frame
that we sent, a line, or what became of a packet. The times are nominal. A timer is never early, and late by at
most 1/256 s for each one that the line hangs on (the kernel's: 4 ms to 2 s, by how far off it was).
"""

from __future__ import annotations

import pytest

from neighio.core.constants import (
    AF_INET,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    NTF_EXT_LEARNED,
    NTF_EXT_VALIDATED,
    NTF_MANAGED,
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_STALE,
)
from neighio.core.events import (
    Change,
    DelNeighbour,
    Miss,
    NewNeighbour,
    Notification,
    PacketFailed,
    Transmit,
)
from neighio.errors import Unreachable
from neighio.testing.segment import ScriptedPeer
from neighio.testing.simulation import Simulation
from neighio.wire import arp

OUR_LLADDR = "02:00:00:00:00:0a"
LLADDR_B = "02:00:00:00:00:0b"
LLADDR_C = "02:00:00:00:00:0c"
US = "198.51.100.1"
PEER = "198.51.100.2"

ADD = NLM_F_CREATE | NLM_F_EXCL
REPLACE = NLM_F_CREATE | NLM_F_REPLACE

LATE = 4 / 256
"""Seconds: no line below hangs on more than four timers since the last packet."""


@pytest.fixture(params=[None, 250], ids=["any-instant", "jiffies-of-4-ms"])
def sim(request: pytest.FixtureRequest) -> Simulation:
    """A node with one device, whose reachable_time is fixed where a life's times depend on it."""
    sim = Simulation(ticks_per_second=request.param)
    sim.add_device("va", OUR_LLADDR, [f"{US}/24"])
    return sim


@pytest.fixture
def peer(sim: Simulation) -> ScriptedPeer:
    return ScriptedPeer(sim.segment, LLADDR_B, PEER)


def fix_reachable_time(sim: Simulation, seconds: float) -> None:
    """Have the next draws be ``seconds``, so that the life takes the times that were observed."""
    sim.engine.parameters(sim.device("va").index, AF_INET).reachable_time = seconds


def check(sim: Simulation, life: str) -> None:
    """Compare what happened since the last check with a life, line for line and instant for instant."""
    expected = [line.strip() for line in life.strip().splitlines()]
    happened = [(time, text) for time, text in sim.log]
    sim.log.clear()
    for place, (time, text) in enumerate(happened):
        nominal = float(expected[place].split()[0]) if place < len(expected) else time
        in_time = nominal - 1e-9 <= time <= nominal + LATE
        happened[place] = (nominal if in_time else time, text)
    assert [f"{time:.3f} {text}" for time, text in happened] == expected


def told(sim: Simulation) -> list[Notification]:
    return [event for event in sim.outputs if isinstance(event, NewNeighbour | DelNeighbour | Miss)]


def probes(sim: Simulation) -> list[int]:
    """NDA_PROBES of each notification so far."""
    return [event.probes for event in told(sim)]


def references(sim: Simulation) -> list[int]:
    """The refcnt of NDA_CACHEINFO in each notification so far."""
    return [event.refcnt for event in told(sim)]


def ages(sim: Simulation) -> list[tuple[float, float, float]]:
    """Seconds since confirmed, used and updated: the NDA_CACHEINFO of each notification so far."""
    return [
        (event.time - event.confirmed, event.time - event.used, event.time - event.updated)
        for event in told(sim)
    ]


def test_life_a_an_address_is_resolved(sim: Simulation, peer: ScriptedPeer) -> None:
    peer.delay = 0.001
    sending = sim.send(PEER)
    sim.run_until(1.0)
    check(
        sim,
        """
        0.000 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.2
        0.001 frame to 02:00:00:00:00:0b length 46
        0.001 198.51.100.2 dev va lladdr 02:00:00:00:00:0b REACHABLE
        """,
    )
    assert probes(sim) == [4]
    assert references(sim) == [2]
    assert sending.done and sending.outcome is None


def test_life_b_nobody_answers_and_each_queued_packet_is_reported_before_the_event(sim: Simulation) -> None:
    sending = [sim.send("198.51.100.66") for _ in range(5)]
    sim.run_until(3.75)
    sending.append(sim.send("198.51.100.66"))
    sim.run_until(10.0)
    check(
        sim,
        """
        0.000 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.66
        1.000 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.66
        2.000 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.66
        3.000 198.51.100.66 dev va packet Unreachable reported
        3.000 198.51.100.66 dev va packet Unreachable reported
        3.000 198.51.100.66 dev va packet Unreachable reported
        3.000 198.51.100.66 dev va packet Unreachable reported
        3.000 198.51.100.66 dev va packet Unreachable reported
        3.000 198.51.100.66 dev va FAILED
        3.750 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.66
        4.750 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.66
        5.750 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.66
        6.750 198.51.100.66 dev va packet Unreachable reported
        6.750 198.51.100.66 dev va FAILED
        """,
    )
    assert probes(sim) == [6, 6]
    assert references(sim) == [1, 1]
    assert all(isinstance(one.outcome, Unreachable) for one in sending)


def test_life_c_with_the_default_parameters(sim: Simulation, peer: ScriptedPeer) -> None:
    fix_reachable_time(sim, 32.5)
    sim.send(PEER)
    sim.run_until(32.5625)
    sim.send(PEER)
    sim.run_until(70.125)
    peer.mute()
    sim.send(PEER)
    sim.run_until(100.0)
    check(
        sim,
        """
        0.000 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.2
        0.000 frame to 02:00:00:00:00:0b length 46
        0.000 198.51.100.2 dev va lladdr 02:00:00:00:00:0b REACHABLE
        32.500 198.51.100.2 dev va lladdr 02:00:00:00:00:0b STALE
        32.562 frame to 02:00:00:00:00:0b length 46
        37.562 arp request to 02:00:00:00:00:0b spa 198.51.100.1 tpa 198.51.100.2
        37.562 198.51.100.2 dev va lladdr 02:00:00:00:00:0b PROBE
        37.562 198.51.100.2 dev va lladdr 02:00:00:00:00:0b REACHABLE
        70.062 198.51.100.2 dev va lladdr 02:00:00:00:00:0b STALE
        70.125 frame to 02:00:00:00:00:0b length 46
        75.125 arp request to 02:00:00:00:00:0b spa 198.51.100.1 tpa 198.51.100.2
        75.125 198.51.100.2 dev va lladdr 02:00:00:00:00:0b PROBE
        76.125 arp request to 02:00:00:00:00:0b spa 198.51.100.1 tpa 198.51.100.2
        77.125 arp request to 02:00:00:00:00:0b spa 198.51.100.1 tpa 198.51.100.2
        78.125 198.51.100.2 dev va FAILED
        """,
    )
    assert probes(sim) == [4, 4, 1, 1, 1, 1, 3]
    assert references(sim) == [2, 1, 2, 2, 1, 2, 1]
    assert ages(sim) == [
        pytest.approx(since, abs=LATE)
        for since in (
            (0.0, 0.0, 0.0),  # REACHABLE
            (32.5, 32.5, 0.0),  # STALE
            (37.5625, 5.0, 0.0),  # PROBE, used by the packet that found it STALE
            (0.0, 0.0, 0.0),  # REACHABLE: its timer raises "used" to "confirmed"
            (32.5, 32.5, 0.0),
            (37.5625, 5.0, 0.0),
            (40.5625, 8.0, 0.0),  # FAILED
        )
    ]


E_FRAMES = [
    # seconds to wait before it, the frame, the line that it causes
    (0.25, "unicast reply 0c", None),
    (0.25, "garp request 0c", "lladdr 02:00:00:00:00:0c STALE"),
    (0.125, "garp reply 0b, tha=sha, L2 unicast", "lladdr 02:00:00:00:00:0b REACHABLE"),
    (0.25, "reply sip=tip, tha=0, 0c", None),
    (1.25, "reply sip=tip, tha=0, 0c", "lladdr 02:00:00:00:00:0c STALE"),
    (1.25, "unicast reply 0b", "lladdr 02:00:00:00:00:0b REACHABLE"),
    (0.125, "request for us 0c", "lladdr 02:00:00:00:00:0c STALE"),
    (0.25, "request for other 0b", None),
    (1.25, "request for other 0b", "lladdr 02:00:00:00:00:0b STALE"),
]


def e_frame(name: str) -> bytes:
    sha = bytes.fromhex("0200000000" + ("0c" if "0c" in name else "0b"))
    ours = bytes.fromhex("02000000000a")
    peer, us, other = (bytes([198, 51, 100, last]) for last in (2, 1, 9))
    op, tip, tha, dst = {
        "unicast reply": (2, us, ours, ours),
        "garp request": (1, peer, bytes(6), b"\xff" * 6),
        "garp reply": (2, peer, sha, ours),
        "reply sip=tip": (2, peer, bytes(6), b"\xff" * 6),
        "request for us": (1, us, bytes(6), b"\xff" * 6),
        "request for other": (1, other, bytes(6), b"\xff" * 6),
    }[name.partition(",")[0].removesuffix(" 0b").removesuffix(" 0c")]
    return arp.build(op, peer, sha, tip, tha, dst=dst, src=sha)


def test_life_e_what_beats_locktime_and_what_does_not(sim: Simulation, peer: ScriptedPeer) -> None:
    sim.send(PEER)
    assert sim.lines() == [f"{PEER} dev va lladdr {LLADDR_B} REACHABLE"]
    happened = []
    for wait, name, _ in E_FRAMES:
        sim.run(wait)
        peer.send(e_frame(name))
        sim.run(0.0)
        happened.append((wait, name, "; ".join(sim.lines()).removeprefix(f"{PEER} dev va ") or None))
    assert happened == E_FRAMES


def test_life_e_what_is_only_a_hint_puts_the_confirmation_into_the_past(
    sim: Simulation, peer: ScriptedPeer
) -> None:
    sim.send(PEER)
    for wait, name, _ in E_FRAMES:
        sim.run(wait)
        peer.send(e_frame(name))
        sim.run(0.0)
    assert ages(sim) == [
        pytest.approx(since, abs=LATE)
        for since in (
            (0.0, 0.0, 0.0),  # the answer: REACHABLE
            (60.0, 0.5, 0.0),  # garp request: STALE, 2 x base_reachable_time ago
            (0.0, 0.0, 0.0),  # garp reply, to us: REACHABLE
            (60.0, 1.5, 0.0),  # reply, sip=tip: STALE
            (0.0, 0.0, 0.0),  # unicast reply: REACHABLE
            (60.0, 0.125, 0.0),  # request for us: STALE
            (60.0, 1.625, 0.0),  # request for other: STALE
        )
    ]


def test_life_e_a_refused_reply_confirms_the_old_address(sim: Simulation, peer: ScriptedPeer) -> None:
    sim.send(PEER)
    sim.run(0.5)
    peer.send(e_frame("unicast reply 0c"))
    sim.run(0.0)
    neighbour = sim.neighbour(PEER)
    assert neighbour is not None
    assert (str(neighbour.lladdr), neighbour.confirmed, neighbour.updated) == (LLADDR_B, 0.5, 0.0)


def test_life_e_a_stranger_that_asks_for_us_becomes_a_neighbour(sim: Simulation, peer: ScriptedPeer) -> None:
    peer.ask(US, source="198.51.100.41")
    sim.run_until(60.0)
    check(sim, "0.000 198.51.100.41 dev va lladdr 02:00:00:00:00:0b STALE")
    assert probes(sim) == [0]


def test_life_f_admin_delete(sim: Simulation, peer: ScriptedPeer) -> None:
    sim.send(PEER)
    sim.run_until(0.25)
    sim.delete(PEER)
    sim.run_until(0.5)
    sim.admin(PEER, nlm_flags=REPLACE, state=NUD_FAILED)
    sim.delete(PEER)
    sim.run_until(0.75)
    sim.admin(PEER, nlm_flags=REPLACE, state=NUD_NONE)
    sim.delete(PEER)
    sim.run_until(1.0)
    peer.mute()
    sending = sim.send(PEER)
    sim.run_until(1.5)
    sim.delete(PEER)
    sim.run_until(60.0)
    check(
        sim,
        """
        0.000 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.2
        0.000 frame to 02:00:00:00:00:0b length 46
        0.000 198.51.100.2 dev va lladdr 02:00:00:00:00:0b REACHABLE
        0.250 198.51.100.2 dev va FAILED
        0.250 Deleted 198.51.100.2 dev va FAILED
        0.500 Deleted 198.51.100.2 dev va FAILED
        0.750 Deleted 198.51.100.2 dev va FAILED
        1.000 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.2
        1.500 198.51.100.2 dev va packet Unreachable reported
        1.500 198.51.100.2 dev va FAILED
        1.500 Deleted 198.51.100.2 dev va FAILED
        """,
    )
    assert isinstance(sending.outcome, Unreachable)
    assert probes(sim) == [4, 4, 4, 0, 0, 4, 4]
    assert references(sim) == [2, 1, 0, 0, 0, 1, 0]


def test_life_g_carrier_loss_spares_permanent_and_validated_entries_and_ifdown_none(
    sim: Simulation, peer: ScriptedPeer
) -> None:
    (link,) = sim.driver.links.values()
    sim.send(PEER)
    peer.mute()
    for last, state, lladdr, flags in (
        (3, NUD_PERMANENT, LLADDR_B, 0),
        (4, NUD_STALE, LLADDR_B, NTF_EXT_LEARNED),
        (5, NUD_FAILED, None, 0),
        (6, NUD_NOARP, LLADDR_B, 0),
        (7, NUD_STALE, LLADDR_B, NTF_EXT_VALIDATED),
        (9, NUD_NONE, None, NTF_MANAGED),
    ):
        sim.admin(f"198.51.100.{last}", nlm_flags=ADD, state=state, lladdr=lladdr, flags=flags)
    sim.send("198.51.100.8")
    sim.log.clear()
    sim.outputs.clear()

    sim.run_until(0.5)
    link.set_carrier(False)
    sim.run_until(3.25)
    link.set_down()
    sim.run_until(60.0)
    check(
        sim,
        """
        0.500 Deleted 198.51.100.8 dev va INCOMPLETE
        0.500 198.51.100.8 dev va packet DeviceGone silent
        0.500 Deleted 198.51.100.9 dev va managed INCOMPLETE
        0.500 Deleted 198.51.100.6 dev va lladdr 02:00:00:00:00:0b NOARP
        0.500 Deleted 198.51.100.5 dev va FAILED
        0.500 Deleted 198.51.100.4 dev va lladdr 02:00:00:00:00:0b extern_learn STALE
        0.500 Deleted 198.51.100.2 dev va lladdr 02:00:00:00:00:0b REACHABLE
        3.250 Deleted 198.51.100.7 dev va lladdr 02:00:00:00:00:0b STALE
        3.250 Deleted 198.51.100.3 dev va lladdr 02:00:00:00:00:0b PERMANENT
        """,
    )
    assert references(sim) == [0] * 8


def test_life_h_a_managed_neighbour_is_refreshed_and_retried_for_ever(
    sim: Simulation, peer: ScriptedPeer
) -> None:
    sim.set("va", base_reachable_time=1.5, delay_first_probe_time=1.0, retrans_time=0.2)
    fix_reachable_time(sim, 2.0)
    sim.run_until(1.25)
    sim.admin(PEER, nlm_flags=ADD, state=NUD_NONE, flags=NTF_MANAGED)
    sim.run_until(9.0)
    peer.mute()
    sim.run_until(24.0)
    check(
        sim,
        """
        1.250 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.2
        1.250 198.51.100.2 dev va lladdr 02:00:00:00:00:0b managed REACHABLE
        3.250 198.51.100.2 dev va lladdr 02:00:00:00:00:0b managed STALE
        6.000 arp request to 02:00:00:00:00:0b spa 198.51.100.1 tpa 198.51.100.2
        6.000 198.51.100.2 dev va lladdr 02:00:00:00:00:0b managed PROBE
        6.000 198.51.100.2 dev va lladdr 02:00:00:00:00:0b managed REACHABLE
        8.000 198.51.100.2 dev va lladdr 02:00:00:00:00:0b managed STALE
        11.000 arp request to 02:00:00:00:00:0b spa 198.51.100.1 tpa 198.51.100.2
        11.000 198.51.100.2 dev va lladdr 02:00:00:00:00:0b managed PROBE
        11.200 arp request to 02:00:00:00:00:0b spa 198.51.100.1 tpa 198.51.100.2
        11.400 arp request to 02:00:00:00:00:0b spa 198.51.100.1 tpa 198.51.100.2
        11.600 198.51.100.2 dev va managed FAILED
        15.004 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.2
        15.204 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.2
        15.404 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.2
        15.604 198.51.100.2 dev va managed FAILED
        20.004 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.2
        20.204 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.2
        20.404 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.2
        20.604 198.51.100.2 dev va managed FAILED
        """,
    )
    assert probes(sim) == [4, 4, 1, 1, 1, 1, 3, 6, 6]
    assert references(sim) == [2, 1, 2, 2, 1, 2, 1, 1, 1]


def test_life_i_application_probes_come_before_broadcasts_and_after_unicasts(
    sim: Simulation, peer: ScriptedPeer
) -> None:
    sim.set("va", app_solicit=2, retrans_time=0.2, delay_first_probe_time=1.0)
    peer.mute()
    sim.send(PEER)
    sim.run_until(1.5)
    check(
        sim,
        """
        0.000 miss 198.51.100.2 dev va INCOMPLETE
        0.200 miss 198.51.100.2 dev va INCOMPLETE
        0.400 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.2
        0.600 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.2
        0.800 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.2
        1.000 198.51.100.2 dev va packet Unreachable reported
        1.000 198.51.100.2 dev va FAILED
        """,
    )
    assert probes(sim) == [3, 4, 8]
    assert references(sim) == [1, 2, 1]
    sim.outputs.clear()

    sim.admin(PEER, nlm_flags=REPLACE, state=NUD_STALE, lladdr=LLADDR_B)
    sim.send(PEER)
    sim.run_until(10.0)
    check(
        sim,
        """
        1.500 198.51.100.2 dev va lladdr 02:00:00:00:00:0b STALE
        1.500 frame to 02:00:00:00:00:0b length 46
        2.500 arp request to 02:00:00:00:00:0b spa 198.51.100.1 tpa 198.51.100.2
        2.500 198.51.100.2 dev va lladdr 02:00:00:00:00:0b PROBE
        2.700 arp request to 02:00:00:00:00:0b spa 198.51.100.1 tpa 198.51.100.2
        2.900 arp request to 02:00:00:00:00:0b spa 198.51.100.1 tpa 198.51.100.2
        3.100 miss 198.51.100.2 dev va lladdr 02:00:00:00:00:0b PROBE
        3.300 miss 198.51.100.2 dev va lladdr 02:00:00:00:00:0b PROBE
        3.500 198.51.100.2 dev va FAILED
        """,
    )
    assert probes(sim) == [8, 1, 3, 4, 5]
    assert references(sim) == [1, 2, 2, 2, 1]


def test_life_j_confirmed_in_delay_it_becomes_reachable_without_a_probe(
    sim: Simulation, peer: ScriptedPeer
) -> None:
    sim.set("va", base_reachable_time=2.0, delay_first_probe_time=1.0, retrans_time=0.3)
    fix_reachable_time(sim, 2.0)
    sim.admin(PEER, nlm_flags=ADD, state=NUD_STALE, lladdr=LLADDR_B)
    sim.send(PEER)
    sim.run_until(0.5)
    sim.confirm(PEER)
    sim.send(PEER)
    sim.run_until(10.0)
    check(
        sim,
        """
        0.000 198.51.100.2 dev va lladdr 02:00:00:00:00:0b STALE
        0.000 frame to 02:00:00:00:00:0b length 46
        0.500 frame to 02:00:00:00:00:0b length 46
        1.000 198.51.100.2 dev va lladdr 02:00:00:00:00:0b REACHABLE
        2.500 198.51.100.2 dev va lladdr 02:00:00:00:00:0b STALE
        """,
    )
    assert probes(sim) == [0, 0, 0]
    assert references(sim) == [1, 2, 1]


def test_life_j_confirmed_in_the_instant_that_starts_delay_it_is_probed(
    sim: Simulation, peer: ScriptedPeer
) -> None:
    # The kernel's timer is late by then: delay_first_probe_time has passed since the confirmation.
    sim.set("va", delay_first_probe_time=1.0)
    sim.admin(PEER, nlm_flags=ADD, state=NUD_STALE, lladdr=LLADDR_B)
    sim.confirm(PEER)
    sim.send(PEER)
    sim.run_until(1.5)
    check(
        sim,
        """
        0.000 198.51.100.2 dev va lladdr 02:00:00:00:00:0b STALE
        0.000 frame to 02:00:00:00:00:0b length 46
        1.000 arp request to 02:00:00:00:00:0b spa 198.51.100.1 tpa 198.51.100.2
        1.000 198.51.100.2 dev va lladdr 02:00:00:00:00:0b PROBE
        1.000 198.51.100.2 dev va lladdr 02:00:00:00:00:0b REACHABLE
        """,
    )


def test_a_busy_neighbour_of_short_reachable_time_goes_to_delay_in_silence(
    sim: Simulation, peer: ScriptedPeer
) -> None:
    sim.set("va", base_reachable_time=1.0, delay_first_probe_time=3.0, retrans_time=0.2)
    fix_reachable_time(sim, 1.0)
    sim.send(PEER)
    sim.run_until(1.5)
    sim.send(PEER)
    sim.run_until(5.0)
    peer.mute()
    sim.run_until(20.0)
    check(
        sim,
        """
        0.000 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.2
        0.000 frame to 02:00:00:00:00:0b length 46
        0.000 198.51.100.2 dev va lladdr 02:00:00:00:00:0b REACHABLE
        1.500 frame to 02:00:00:00:00:0b length 46
        4.000 arp request to 02:00:00:00:00:0b spa 198.51.100.1 tpa 198.51.100.2
        4.000 198.51.100.2 dev va lladdr 02:00:00:00:00:0b PROBE
        4.000 198.51.100.2 dev va lladdr 02:00:00:00:00:0b REACHABLE
        8.000 arp request to 02:00:00:00:00:0b spa 198.51.100.1 tpa 198.51.100.2
        8.000 198.51.100.2 dev va lladdr 02:00:00:00:00:0b PROBE
        8.200 arp request to 02:00:00:00:00:0b spa 198.51.100.1 tpa 198.51.100.2
        8.400 arp request to 02:00:00:00:00:0b spa 198.51.100.1 tpa 198.51.100.2
        8.600 198.51.100.2 dev va FAILED
        """,
    )
    assert probes(sim) == [4, 1, 1, 1, 3]


def test_broadcasts_come_after_unicasts_where_mcast_resolicit_asks_for_them(
    sim: Simulation, peer: ScriptedPeer
) -> None:
    sim.set("va", mcast_resolicit=2, retrans_time=1.0)
    peer.mute()
    sim.admin(PEER, nlm_flags=ADD, state=NUD_PROBE, lladdr=LLADDR_B)
    sim.run_until(10.0)
    check(
        sim,
        """
        0.000 198.51.100.2 dev va lladdr 02:00:00:00:00:0b PROBE
        0.004 arp request to 02:00:00:00:00:0b spa 198.51.100.1 tpa 198.51.100.2
        1.004 arp request to 02:00:00:00:00:0b spa 198.51.100.1 tpa 198.51.100.2
        2.004 arp request to 02:00:00:00:00:0b spa 198.51.100.1 tpa 198.51.100.2
        3.004 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.2
        4.004 arp request to broadcast spa 198.51.100.1 tpa 198.51.100.2
        5.004 198.51.100.2 dev va FAILED
        """,
    )
    assert probes(sim) == [0, 5]


def test_an_administrators_incomplete_waits_for_ever_and_its_queue_outlives_it(
    sim: Simulation, peer: ScriptedPeer
) -> None:
    peer.mute()
    sim.admin(PEER, nlm_flags=ADD, state=NUD_INCOMPLETE)
    sim.send(PEER)
    sim.send(PEER)
    sim.run_until(100.0)
    peer.send(e_frame("request for other 0b"))
    sim.run_until(100.5)
    peer.send(e_frame("unicast reply 0b"))
    sim.run_until(101.0)
    sim.admin(PEER, nlm_flags=NLM_F_REPLACE, state=NUD_INCOMPLETE)
    sim.send(PEER)
    sim.admin(PEER, nlm_flags=NLM_F_REPLACE, state=NUD_NONE)
    peer.send(e_frame("unicast reply 0c"))
    sim.run_until(102.0)
    check(
        sim,
        """
        100.000 frame to 02:00:00:00:00:0b length 46
        100.000 frame to 02:00:00:00:00:0b length 46
        100.000 198.51.100.2 dev va lladdr 02:00:00:00:00:0b DELAY
        100.500 198.51.100.2 dev va lladdr 02:00:00:00:00:0b REACHABLE
        101.000 198.51.100.2 dev va INCOMPLETE
        101.000 frame to 02:00:00:00:00:0c length 46
        101.000 198.51.100.2 dev va lladdr 02:00:00:00:00:0c REACHABLE
        """,
    )
    assert probes(sim) == [0] * 4


def test_what_linux_tells_nobody_is_in_the_trace_and_nowhere_else() -> None:
    sim = Simulation(trace=True)
    sim.add_device("va", OUR_LLADDR, [f"{US}/24"])
    ScriptedPeer(sim.segment, LLADDR_B, PEER)
    fix_reachable_time(sim, 20.0)
    sim.send(PEER)
    sim.run_until(20.25)
    sim.send(PEER)
    sim.run_until(26.0)
    changes = [
        (change.old_state, change.state, change.stimulus, change.notified)
        for change in sim.outputs
        if isinstance(change, Change)
    ]
    assert changes == [
        (0x00, 0x01, "output", False),
        (0x01, 0x02, "evidence", True),
        (0x02, 0x04, "timer", True),
        (0x04, 0x08, "output", False),
        (0x08, 0x10, "timer", True),
        (0x10, 0x02, "evidence", True),
    ]
    assert len(told(sim)) == sum(notified for *_, notified in changes)
    assert not any(isinstance(one, PacketFailed) for one in sim.outputs)
    assert [one.packet is None for one in sim.outputs if isinstance(one, Transmit)] == [
        True,
        False,
        False,
        True,
    ]
