"""Output: what a packet, or the wish for an address, does to an entry (neigh_output, neigh_event_send)."""

from __future__ import annotations

from math import inf

import pytest

from neighio.address import parse_ip
from neighio.core.constants import (
    AF_INET,
    NEIGH_UPDATE_F_ADMIN,
    NEIGH_UPDATE_F_OVERRIDE,
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
from neighio.core.device import Address
from neighio.core.events import Transmit
from neighio.core.queue import Packet

from .bench import LLADDR, OTHER, PARAMETERS, STATES, Bench, ethernet, last
from .families import current, host, packed

pytestmark = pytest.mark.usefixtures("family")


def plain(mark: str) -> Packet:
    """A packet from nobody to nobody, with a mark."""
    octets = 4 if current().number == AF_INET else 16
    return Packet(current().packet(bytes(octets), bytes(octets), mark.encode()), current().number)


CONNECTED = [NUD_REACHABLE, NUD_NOARP, NUD_PERMANENT]
DELAY_TIME = PARAMETERS["delay_first_probe_time"]
RETRANS = PARAMETERS["retrans_time"]
UCAST = PARAMETERS["ucast_solicit"]


@pytest.mark.parametrize("state", CONNECTED)
def test_first_packet_of_a_connected_entry_takes_the_slow_path_and_refreshes_used(state: int) -> None:
    bench = Bench()
    bench.put(state)
    before = bench.facts()
    bench.now += 0.5

    assert bench.output() == ["p1 to 0b"]
    assert bench.facts() == before._replace(used=bench.now)


@pytest.mark.parametrize("state", CONNECTED)
def test_fast_path_of_a_connected_entry_touches_nothing_not_even_used(state: int) -> None:
    bench = Bench()
    bench.put(state)
    bench.output()
    before = bench.facts()
    bench.now += 0.5

    assert bench.output() == ["p2 to 0b"]
    assert bench.facts() == before


def test_fast_path_follows_a_new_address() -> None:
    bench = Bench()
    bench.put(NUD_REACHABLE)
    bench.output()
    bench.update(OTHER, NUD_REACHABLE, NEIGH_UPDATE_F_OVERRIDE)

    assert bench.output() == ["p2 to 0c"]


def test_header_cache_that_was_filled_while_stale_serves_the_fast_path_later() -> None:
    bench = Bench()
    bench.put(NUD_STALE)
    bench.output()
    bench.update(LLADDR, NUD_REACHABLE)
    before = bench.facts()
    bench.now += 0.5

    assert bench.output() == ["p2 to 0b"]
    assert bench.facts() == before


def test_connected_output_without_header_cache_touches_nothing() -> None:
    bench = Bench(device=ethernet(hh_cache=False))
    bench.put(NUD_REACHABLE)
    before = bench.facts()
    bench.now += 0.5

    assert bench.output() == ["p1 to 0b"]
    assert bench.facts() == before


def test_device_without_header_sends_the_bare_packet_and_touches_nothing() -> None:
    bench = Bench(device=ethernet(header=False))
    neighbour = bench.engine.neighbour(7, packed(), bench.now)
    before = bench.facts()
    bench.now += 0.5
    packet = plain("bare")
    bench.engine.send(neighbour, packet, bench.now)

    (transmit,) = bench.outputs()
    assert transmit.frame == packet.data and transmit.packet is packet
    assert neighbour.nud_state == NUD_NOARP
    assert bench.facts() == before


@pytest.mark.parametrize("state", [NUD_DELAY, NUD_PROBE])
def test_packet_in_delay_or_probe_is_sent_to_the_suspect_address_at_once(state: int) -> None:
    bench = Bench()
    bench.put(state)
    before = bench.facts()
    for name in ("p1", "p2"):
        bench.now += 0.01
        assert bench.output() == [f"{name} to 0b"]
        assert bench.facts() == before._replace(used=bench.now)


@pytest.mark.parametrize("with_packet", [True, False])
def test_stale_becomes_delay_silently_and_sends(with_packet: bool) -> None:
    bench = Bench()
    bench.put(NUD_STALE)
    before = bench.facts()
    bench.now += 3

    assert (bench.output() if with_packet else bench.wish()) == (["p1 to 0b"] if with_packet else [])
    assert bench.facts() == before._replace(
        state=NUD_DELAY, used=bench.now, updated=bench.now, refcnt=2, timer=bench.now + DELAY_TIME
    )


@pytest.mark.parametrize("state", [NUD_NONE, NUD_FAILED])
@pytest.mark.parametrize("with_packet", [True, False])
def test_none_and_failed_begin_to_resolve_with_a_probe_at_once_and_no_event(
    state: int, with_packet: bool
) -> None:
    bench = Bench()
    bench.put(state)
    before = bench.facts()
    bench.now += 3

    assert (bench.output() if with_packet else bench.wish()) == ["request to all"]
    assert bench.facts() == before._replace(
        state=NUD_INCOMPLETE,
        probes=UCAST + 1,
        used=bench.now,
        updated=bench.now,
        refcnt=2,
        timer=bench.now + RETRANS,
    )


@pytest.mark.parametrize(("retrans", "wait"), [(0.25, 0.25), (0.008, 0.008), (0.004, 0.008), (0.0, 0.008)])
def test_first_probe_is_repeated_after_retrans_time_but_not_before_two_jiffies(
    retrans: float, wait: float
) -> None:
    bench = Bench(retrans_time=retrans)
    bench.output()

    assert bench.facts().timer == pytest.approx(bench.now + wait, abs=1e-9)


@pytest.mark.parametrize("with_packet", [True, False])
def test_incomplete_queues_without_another_probe(with_packet: bool) -> None:
    bench = Bench()
    bench.put(NUD_INCOMPLETE)
    before = bench.facts()
    bench.now += 0.1

    assert (bench.output() if with_packet else bench.wish()) == []
    assert bench.facts() == before._replace(used=bench.now)


@pytest.mark.parametrize("state", [NUD_NONE, NUD_FAILED])
@pytest.mark.parametrize("with_packet", [True, False])
def test_without_probes_configured_the_packet_is_freed_in_silence(state: int, with_packet: bool) -> None:
    bench = Bench(mcast_solicit=0, app_solicit=0)
    bench.put(state)
    before = bench.facts()
    bench.now += 3

    assert (bench.output() if with_packet else bench.wish()) == (["p1 PacketDropped"] if with_packet else [])
    assert bench.facts() == before._replace(state=NUD_FAILED, used=bench.now, updated=bench.now)
    assert bench.cache.statistics.res_failed == 0


def test_application_probes_alone_suffice_to_begin() -> None:
    bench = Bench(mcast_solicit=0, app_solicit=1)

    assert bench.output() == ["miss INCOMPLETE"]


def test_wish_without_immediate_probe_leaves_the_first_one_to_the_next_jiffy() -> None:
    bench = Bench()
    neighbour = bench.put(NUD_FAILED)
    bench.now += 3
    bench.engine.services.now = bench.now
    bench.nud.event_send(neighbour.row, None, immediate=False)

    assert bench.told() == []
    assert bench.facts().timer == bench.now + 0.004
    assert bench.facts()[:4] == (NUD_INCOMPLETE, bytes(6), 0, UCAST)
    assert bench.fire() == ["request to all"]
    assert bench.facts().probes == UCAST + 1


def test_every_packet_to_a_failed_entry_restarts_resolution_at_once() -> None:
    bench = Bench(mcast_solicit=1)
    for round_ in range(1, 4):
        assert bench.output() == ["request to all"]
        assert [text for _, text in bench.wait(1)] == [f"p{round_} Unreachable reported", "new FAILED"]


def test_queued_packet_chooses_the_source_of_the_probe_the_last_one_first() -> None:
    bench = Bench()
    first, second = (parse_ip(text)[0] for text in (bench.family.us, host(9)))
    bench.engine.add_address(7, Address(second, 24), bench.now)
    bench.send(source=first)
    bench.send(source=second)
    probes = [asker(output.frame) for output in bench.outputs() if isinstance(output, Transmit)]
    bench.now += RETRANS
    bench.engine.handle_timers(("device", 7), bench.now)
    probes += [asker(output.frame) for output in bench.outputs() if isinstance(output, Transmit)]

    assert probes == [first, second]


def asker(frame: bytes) -> bytes:
    """The address from which a solicitation asks."""
    return frame[28:32] if current().number == AF_INET else frame[22:38]


@pytest.mark.parametrize("state", STATES)
def test_packet_to_a_flushed_entry_is_dropped_and_starts_nothing(state: int) -> None:
    bench = Bench()
    held = bench.engine.neighbour(7, packed(), bench.now)
    bench.put(state)
    bench.output()
    bench.engine.link_down(7, bench.now)
    bench.told()
    packet = plain("late")
    bench.engine.send(held, packet, bench.now + 1)

    assert bench.told() == ["late DeviceGone"]
    assert held.dead and held.refcnt == 1
    assert held.nud_state in (NUD_NOARP, NUD_NONE)
    assert bench.wait(60) == []


def test_admin_incomplete_has_no_timer_and_queues_for_ever() -> None:
    bench = Bench()
    bench.put(NUD_NONE)
    bench.update(None, NUD_INCOMPLETE, NEIGH_UPDATE_F_ADMIN, stimulus="admin")

    assert bench.output() == []
    assert bench.facts()[-2:] == (1, inf)
    assert bench.wait(3600) == []
    assert bench.update(OTHER, NUD_REACHABLE) == ["p1 to " + last(OTHER), "new REACHABLE 0c"]


@pytest.mark.parametrize("state", [NUD_NONE, NUD_FAILED])
def test_dead_entry_without_address_resolves_nothing_and_drops_the_packet(state: int) -> None:
    bench = Bench()
    held = bench.put(state)
    bench.cache.hold(held.row)
    bench.engine.link_down(7, bench.now)
    bench.told()

    assert bench.nud.event_send(held.row, plain("late"))
    assert bench.nud.event_send(held.row, None)
    assert bench.told() == ["late DeviceGone"]
    assert (held.nud_state, held.refcnt) == (NUD_NONE, 1)
