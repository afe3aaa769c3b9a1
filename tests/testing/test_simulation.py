"""The simulation: a clock that moves only when told, and what its calls promise."""

from __future__ import annotations

import pytest

from neighio.address import LinkAddress
from neighio.core.constants import (
    AF_INET,
    AF_INET6,
    IFF_LOWER_UP,
    IFF_POINTOPOINT,
    IFF_UP,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NTF_MANAGED,
    NUD_FAILED,
    NUD_NOARP,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_REACHABLE,
    NUD_STALE,
)
from neighio.core.engine import family_scope
from neighio.core.events import NewNeighbour
from neighio.core.neighbour import Neighbour
from neighio.errors import (
    AdminError,
    DeviceGone,
    InvalidAddress,
    NeighioError,
    PacketDropped,
    TableFull,
    Unreachable,
)
from neighio.link.base import LinkBusy
from neighio.testing.segment import MemoryLink, ScriptedPeer
from neighio.testing.simulation import Simulation

PEER = "198.51.100.2"
MUTE = "198.51.100.66"
LLADDR_B = LinkAddress("02:00:00:00:00:0b")
LLADDR_C = "02:00:00:00:00:0c"

ADD = NLM_F_CREATE | NLM_F_EXCL


def scene(*, delay: float = 0.0, **arguments: float) -> tuple[Simulation, ScriptedPeer]:
    sim = Simulation(**arguments)  # type: ignore[arg-type]
    sim.add_device()
    return sim, ScriptedPeer(sim.segment, LLADDR_B, PEER, delay=delay)


def the_link(sim: Simulation) -> MemoryLink:
    link = sim.driver.links[1]
    assert isinstance(link, MemoryLink)
    return link


def state(sim: Simulation, ip: str) -> int | None:
    neighbour = sim.neighbour(ip)
    return None if neighbour is None else neighbour.nud_state


# -- time


def test_at_one_instant_frames_come_first_then_actions_in_their_order_then_timers() -> None:
    sim, peer = scene()
    sim.set("va", retrans_time=1.0)
    order: list[str] = []
    sim.resolve(MUTE)
    sim.at(3.0, lambda: order.append(f"first action sees {state(sim, MUTE):#x}, stranger {state(sim, PEER)}"))
    sim.at(3.0, lambda: order.append(f"second action sees {state(sim, MUTE):#x}"))
    sim.segment.call_at(3.0, lambda: order.append("segment"))
    sim.segment.call_at(3.0, lambda: peer.ask("198.51.100.1"))
    sim.run_until(3.0)
    assert order == [
        "segment",
        f"first action sees 0x1, stranger {NUD_STALE}",
        "second action sees 0x1",
    ]
    assert state(sim, MUTE) == NUD_FAILED


def test_an_action_may_ask_for_another_at_the_same_instant() -> None:
    sim, _ = scene()
    times: list[float] = []
    sim.at(2.0, lambda: sim.at(2.0, lambda: times.append(sim.now)))
    sim.run_until(2.0)
    assert times == [2.0]


def test_an_action_of_the_past_is_done_now() -> None:
    sim, _ = scene(start=50.0)
    times: list[float] = []
    sim.at(3.0, lambda: times.append(sim.now))
    sim.run(0.0)
    assert times == [50.0]


def test_what_is_due_later_is_not_done() -> None:
    sim, _ = scene()
    sim.at(5.0, lambda: pytest.fail("early"))
    sim.resolve(MUTE)
    sim.run_until(2.9)
    assert sim.now == 2.9
    assert state(sim, MUTE) != NUD_FAILED


def test_time_never_runs_backwards() -> None:
    sim, _ = scene(start=100.0)
    sim.run_until(40.0)
    assert sim.now == 100.0
    sim.run(0.5)
    assert sim.now == 100.5


def test_hours_pass_exactly() -> None:
    sim, _ = scene()
    sim.set("va", retrans_time=0.25)
    sim.admin(MUTE, nlm_flags=ADD, state=NUD_NONE, flags=NTF_MANAGED)
    runs = sim.engine.caches[AF_INET].statistics
    sim.run_until(3600.0)
    before = runs.periodic_gc_runs
    sim.lines()
    sim.run_until(4 * 3600.0)
    # A try every 5 s, one timer of "the next jiffy" and three of 0.25 s after the work that begins it.
    failures = [(event.time % 5.0, str(event)) for event in sim.outputs if isinstance(event, NewNeighbour)]
    assert failures == [(0.75 + 2 / 256, f"{MUTE} dev va managed FAILED")] * (3 * 720)
    assert runs.periodic_gc_runs - before == 3 * 3600 // 15


def test_an_idle_node_only_collects() -> None:
    sim = Simulation()
    sim.run_until(2 * 86400.0)
    assert sim.now == 2 * 86400.0
    assert sim.log == []


def test_start_is_the_first_instant() -> None:
    sim, _ = scene(start=1234.5)
    assert sim.now == 1234.5
    assert sim.resolve(PEER).time == 1234.5


def test_the_same_seed_lives_the_same_life_and_another_one_another() -> None:
    def life(seed: int) -> list[tuple[float, str]]:
        sim, _ = scene(seed=seed)
        sim.segment.loss = 0.3
        sim.resolve(PEER)
        sim.run(400.0)
        return sim.log

    assert life(1) == life(1)
    assert life(1) != life(2)


def test_reachable_time_is_drawn_from_half_to_one_and_a_half_of_its_base() -> None:
    drawn = set()
    for seed in range(20):
        sim, _ = scene(seed=seed)
        sim.set("va", base_reachable_time=4.0, delay_first_probe_time=0.5)
        sim.resolve(PEER)
        sim.run(7.0)
        reachable, stale = (event for event in sim.outputs if isinstance(event, NewNeighbour))
        assert (reachable.state, stale.state) == (NUD_REACHABLE, NUD_STALE)
        assert 2.0 <= stale.time <= 6.0 + 1 / 256
        drawn.add(stale.time)
    assert len(drawn) > 15


def test_ticks_round_time_down() -> None:
    sim = Simulation(ticks_per_second=250)
    sim.add_device()
    sim.run_until(1.0059)
    sim.admin(PEER, nlm_flags=ADD, lladdr=LLADDR_B, state=NUD_STALE)
    neighbour = sim.neighbour(PEER)
    assert neighbour is not None and neighbour.updated == 1.004


# -- outcomes


def test_resolving_is_done_at_once_when_the_address_is_known_or_the_answer_immediate() -> None:
    sim, peer = scene()
    first = sim.resolve(PEER)
    peer.mute()
    second = sim.resolve(PEER)
    assert (first.done, first.outcome, first.time) == (True, LLADDR_B, 0.0)
    assert (second.done, second.outcome, second.time) == (True, LLADDR_B, 0.0)
    assert repr(first) == "<Pending LinkAddress('02:00:00:00:00:0b')>"


def test_resolving_is_done_when_the_answer_comes() -> None:
    sim, _ = scene(delay=0.25)
    pending = [sim.resolve(PEER), sim.resolve(PEER)]
    assert [repr(one) for one in pending] == ["<Pending>"] * 2
    assert sim.driver.waiting() == 2
    sim.run_until(1.0)
    assert [(one.outcome, one.time) for one in pending] == [(LLADDR_B, 0.25)] * 2
    assert sim.driver.waiting() == 0


def test_resolving_nobody_ends_in_unreachable_of_ones_own() -> None:
    sim, _ = scene()
    pending = [sim.resolve(MUTE), sim.resolve(MUTE)]
    sim.run(4.0)
    errors = [one.outcome for one in pending]
    assert all(isinstance(error, Unreachable) for error in errors)
    assert errors[0] is not errors[1]


def test_what_resolving_raises_becomes_its_outcome() -> None:
    sim, _ = scene()
    sim.set("va", mcast_solicit=0)
    sim.hold(PEER)
    assert isinstance(sim.resolve(PEER).outcome, Unreachable)
    cache = sim.engine.caches[AF_INET]
    cache.gc_thresh2 = cache.gc_thresh3 = 0
    assert isinstance(sim.resolve(MUTE).outcome, TableFull)
    assert sim.driver.waiting() == 0


def test_a_wrong_place_is_no_outcome_but_an_error() -> None:
    sim, _ = scene()
    for ip, dev in (("nonsense", None), (PEER, "vx"), ("0.0.0.0", None), ("::", None)):
        with pytest.raises(InvalidAddress):
            sim.neighbour(ip, dev)
        with pytest.raises(InvalidAddress):
            sim.send(ip, dev=dev)
    assert sim.neighbour(PEER) is None


def test_verified_resolving_asks_even_when_the_address_is_known() -> None:
    sim, peer = scene()
    sim.resolve(PEER)
    sim.run(1.0)
    peer.delay = 0.5
    pending = sim.resolve(PEER, verified=True)
    sim.run(0.25)
    assert not pending.done
    sim.run(1.0)
    assert (pending.outcome, pending.time) == (LLADDR_B, pytest.approx(1.5, abs=2 / 256))


def test_verified_resolving_of_a_mute_peer_is_unreachable() -> None:
    sim, peer = scene()
    sim.resolve(PEER)
    peer.mute()
    pending = sim.resolve(PEER, verified=True)
    sim.run(10.0)
    assert isinstance(pending.outcome, Unreachable)
    assert sim.driver.waiting() == 0


def test_sending_is_done_when_the_link_took_the_packet() -> None:
    sim, peer = scene(delay=0.5)
    packet = b"\x45" + bytes(19) + b"payload"
    pending = sim.send(PEER, packet)
    assert not pending.done
    sim.run(1.0)
    assert (pending.done, pending.outcome, pending.time) == (True, None, 0.5)
    assert peer.heard[-1].frame == LLADDR_B + bytes.fromhex("02000000000a") + b"\x08\x00" + packet


def test_a_packet_that_the_queue_has_no_room_for_is_dropped_oldest_first() -> None:
    sim, _ = scene()
    sim.set("va", unres_qlen_bytes=2 * 832)
    pending = [sim.send(MUTE) for _ in range(3)]
    assert isinstance(pending[0].outcome, PacketDropped)
    assert not pending[1].done and not pending[2].done
    sim.run(4.0)
    assert [type(one.outcome) for one in pending] == [PacketDropped, Unreachable, Unreachable]


def test_the_first_packet_asks_in_the_name_of_its_source() -> None:
    sim, _ = scene()
    sim.add_address("va", "203.0.113.7/32")
    source = bytes([203, 0, 113, 7])
    sim.send(PEER, b"\x45" + bytes(11) + source + bytes(4))
    assert sim.log[0][1] == "arp request to broadcast spa 203.0.113.7 tpa 198.51.100.2"


# -- devices


def test_removal_of_a_link_ends_every_wait_and_leaves_nothing() -> None:
    sim, _ = scene()
    link = the_link(sim)
    pending = [sim.resolve(f"198.51.100.{last}") for last in range(100, 200)]
    sending = sim.send(MUTE)
    link.remove()
    assert all(isinstance(one.outcome, DeviceGone) for one in [*pending, sending])
    assert len({id(one.outcome) for one in pending}) == 100
    assert sim.driver.waiting() == 0
    assert (sim.driver.links, sim.driver.names, sim.engine.node.devices) == ({}, {}, {})
    assert list(sim.engine.scopes()) == [family_scope(AF_INET), family_scope(AF_INET6)]
    assert sim.engine.caches[AF_INET].entries == 0
    sim.run(100.0)
    with pytest.raises(InvalidAddress):
        sim.neighbour(PEER)


def test_a_device_that_is_removed_takes_its_addresses_and_routes_along() -> None:
    sim, _ = scene()
    the_link(sim).remove()
    assert sim.engine.node.route(bytes([198, 51, 100, 2])) is None
    link = sim.add_device("va")
    assert sim.engine.node.route(bytes([198, 51, 100, 2])).device.index == link.index  # type: ignore[union-attr]
    assert sim.resolve(PEER).outcome == LLADDR_B


def test_one_device_falls_alone() -> None:
    sim, peer = scene()
    link = sim.add_device("vb", "02:00:00:00:00:1a", ["203.0.113.1/24"])
    peer.addresses.append(bytes([203, 0, 113, 2]))
    assert sim.resolve("203.0.113.2", "vb").outcome == LLADDR_B
    gone = sim.resolve("203.0.113.66", "vb")
    stays = sim.resolve(MUTE, "va")
    link.remove()
    assert isinstance(gone.outcome, DeviceGone)
    assert not stays.done
    assert sim.resolve(PEER).outcome == LLADDR_B


def test_what_happens_to_a_link_reaches_the_engine_as_its_stimulus() -> None:
    sim, _ = scene()
    link = the_link(sim)
    cut = [
        ("down", lambda: link.set_down(), lambda: link.set_up()),
        ("carrier", lambda: link.set_carrier(False), lambda: link.set_carrier(True)),
        ("address", lambda: link.change(lladdr=LLADDR_C), lambda: None),
        ("noarp", lambda: link.change(flags=link.flags ^ 0x80), lambda: link.change(flags=link.flags ^ 0x80)),
    ]
    for what, do, undo in cut:
        sim.resolve(PEER)
        sim.lines()
        do()
        assert sim.lines() == [f"Deleted {PEER} dev va lladdr {LLADDR_B} REACHABLE"], what
        undo()
        sim.outputs.clear()
    sim.resolve(PEER)
    assert sim.log[-2][1] == "arp request to broadcast spa 198.51.100.1 tpa 198.51.100.2"
    assert sim.segment.frames[-2].frame[6:12] == LinkAddress(LLADDR_C)


def test_a_renamed_device_is_known_by_its_new_name() -> None:
    sim, _ = scene()
    sim.resolve(PEER)
    the_link(sim).change(name="vz")
    assert sim.neighbour(PEER, "vz") is not None
    with pytest.raises(InvalidAddress):
        sim.neighbour(PEER, "va")
    sim.delete(PEER, "vz")
    assert sim.lines()[-1] == f"Deleted {PEER} dev vz FAILED"


def test_a_device_that_is_down_takes_no_packet_and_gives_no_frame() -> None:
    sim, peer = scene()
    the_link(sim).set_down()
    peer.ask("198.51.100.1")
    sim.run(1.0)
    assert sim.neighbour(PEER) is None
    sim.admin(PEER, nlm_flags=ADD, lladdr=LLADDR_B, state=NUD_PERMANENT)
    assert isinstance(sim.send(PEER).outcome, DeviceGone)


def test_a_frame_that_arrived_before_the_device_went_down_does_not_wait_for_the_next_one() -> None:
    sim, peer = scene()
    link = the_link(sim)
    peer.ask("198.51.100.1")
    link.set_down()
    sim.run(0.0)
    assert link.receive() is None


def test_flags_of_a_device_decide_what_its_neighbours_are() -> None:
    sim = Simulation()
    sim.add_device("ppp", flags=IFF_UP | IFF_LOWER_UP | IFF_POINTOPOINT)
    assert sim.resolve(PEER).outcome == LinkAddress("ff:ff:ff:ff:ff:ff")
    assert state(sim, "0.0.0.1") is None


def test_the_hooks_of_a_device_are_asked() -> None:
    def refuse(neighbour: Neighbour) -> None:
        raise RuntimeError(neighbour.ip)

    sim = Simulation()
    setups: list[object] = []
    sim.add_device("va", neigh_construct=refuse)
    sim.add_device("vb", "02:00:00:00:00:1a", ["203.0.113.1/24"], neigh_setup=setups.append)
    with pytest.raises(NeighioError) as caught:
        sim.hold(PEER, "va")
    assert str(caught.value.__cause__) == PEER
    sim.hold("203.0.113.2", "vb")
    assert setups == [sim.engine.parameters(2, AF_INET)]


def test_the_last_address_takes_the_entries_along() -> None:
    sim, _ = scene()
    sim.add_address("va", "203.0.113.1/24")
    sim.resolve(PEER)
    sim.lines()
    sim.remove_address("va", "198.51.100.1/24")
    assert sim.lines() == []
    assert sim.engine.node.route(bytes([198, 51, 100, 2])) is None
    sim.remove_address("va", "203.0.113.1/24")
    assert sim.lines() == [f"Deleted {PEER} dev va lladdr {LLADDR_B} REACHABLE"]


def test_a_network_is_reached_as_long_as_an_address_is_of_it() -> None:
    sim, _ = scene()
    sim.add_address("va", "198.51.100.9/24")
    sim.remove_address("va", "198.51.100.1/24")
    assert sim.engine.node.route(bytes([198, 51, 100, 2])) is not None
    sim.remove_address("va", "198.51.100.9/24")
    assert sim.engine.node.route(bytes([198, 51, 100, 2])) is None


@pytest.mark.parametrize("text", ["198.51.100.1", "198.51.100.1/33", "198.51.100.1/x", "198.51.100/24"])
def test_an_interface_address_has_a_prefix_length(text: str) -> None:
    sim = Simulation()
    sim.add_device("va", addresses=())
    with pytest.raises(InvalidAddress):
        sim.add_address("va", text)
    assert sim.device("va").addresses == []


# -- neighbours


def test_a_held_entry_is_there_until_it_is_released() -> None:
    sim, _ = scene()
    held = sim.hold(PEER)
    assert (held.nud_state, held.refcnt) == (NUD_NONE, 2)
    assert sim.log == []
    sim.delete(PEER)
    assert held.exists and not held.dead and held.nud_state == NUD_FAILED
    sim.release(held)
    sim.delete(PEER)
    assert not held.exists


def test_a_sent_packet_leaves_no_reference() -> None:
    sim, _ = scene()
    sim.send(PEER)
    neighbour = sim.neighbour(PEER)
    assert neighbour is not None
    assert neighbour.refcnt == 2  # the table's and the timer's


def test_confirming_needs_an_entry() -> None:
    sim, _ = scene()
    with pytest.raises(InvalidAddress):
        sim.confirm(PEER)
    sim.resolve(PEER)
    sim.run(3.0)
    sim.confirm(PEER)
    neighbour = sim.neighbour(PEER)
    assert neighbour is not None and neighbour.confirmed == 3.0


def test_what_an_administrator_is_refused_is_raised() -> None:
    sim, _ = scene()
    with pytest.raises(FileNotFoundError):
        sim.delete(PEER)
    with pytest.raises(AdminError, match="No link layer address given"):
        sim.admin(PEER, nlm_flags=ADD, state=NUD_REACHABLE)
    assert state(sim, PEER) == NUD_NONE
    with pytest.raises(FileExistsError):
        sim.admin(PEER, nlm_flags=ADD, lladdr=LLADDR_B, state=NUD_NOARP)


def test_an_administrator_gives_a_protocol_and_the_line_shows_it() -> None:
    sim, _ = scene()
    sim.admin(PEER, nlm_flags=ADD, lladdr=LLADDR_C, protocol=186)
    assert sim.lines() == [f"{PEER} dev va lladdr {LLADDR_C} PERMANENT proto 186"]


# -- what was seen


def test_lines_are_forgotten_unless_told_otherwise() -> None:
    sim, _ = scene()
    sim.resolve(PEER)
    line = f"{PEER} dev va lladdr {LLADDR_B} REACHABLE"
    assert sim.lines(clear=False) == [line]
    assert sim.lines() == [line]
    assert (sim.lines(), sim.log, sim.outputs) == ([], [], [])


def test_the_log_tells_frames_lines_and_packets_with_their_time() -> None:
    sim, _ = scene(start=0.5)
    sim.set("va", mcast_solicit=1, retrans_time=0.5)
    sim.send(MUTE)
    sim.run(1.0)
    assert sim.log == [
        (0.5, f"arp request to broadcast spa 198.51.100.1 tpa {MUTE}"),
        (1.0, f"{MUTE} dev va packet Unreachable reported"),
        (1.0, f"{MUTE} dev va FAILED"),
    ]


def test_silent_changes_are_logged_only_when_asked_for() -> None:
    silent = f"{MUTE} dev va NONE -> INCOMPLETE by output (silent)"
    for trace in (False, True):
        sim = Simulation(trace=trace)
        sim.add_device()
        sim.driver.unsubscribe(sim.driver.subscribe(trace=False, errors=False, conflicts=False, capacity=1))
        sim.resolve(MUTE)
        assert (silent in [text for _, text in sim.log]) is trace


def test_a_lost_solicitation_is_sent_again_in_time() -> None:
    sim, _ = scene()
    the_link(sim).fail_next(LinkBusy())
    pending = sim.resolve(PEER)
    sim.run(5.0)
    assert (pending.outcome, pending.time) == (LLADDR_B, 1.0)
    assert sim.driver.counters == {"tx_busy": 1}


def test_loss_and_delay_are_the_segments() -> None:
    sim, peer = scene()
    sim.segment.delay = 0.125
    peer.link.loss = 1.0
    pending = sim.resolve(PEER)
    sim.at(0.5, lambda: setattr(peer.link, "loss", None))
    sim.run(5.0)
    assert (pending.outcome, pending.time) == (LLADDR_B, 1.25)
