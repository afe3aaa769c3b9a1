"""The view of one station: what it sent are its table's questions and packets, what reached it is heard."""

from __future__ import annotations

from pathlib import Path

import pytest

from neighio.wire.ethernet import build

from .playing import Played, play, replay
from .recording import (
    IPV4,
    RAW,
    SLL,
    SLL2,
    Timed,
    acknowledgement,
    advertisement,
    announcement,
    cooked,
    cooked2,
    datagram,
    enhanced,
    interface,
    ip4,
    mac,
    packet4,
    pcap,
    reply,
    request,
    section,
    solicitation,
    tagged,
)

ONE, TWO, THREE = (f"02:00:00:00:00:0{number}" for number in (1, 2, 3))
STATION = ["--as", "198.51.100.1", "--trace", "--set", "ipv4.base_reachable_time=30"]
FAR = bytes([203, 0, 113, 5])
HOST, BROADCAST, OTHER, OUTGOING = 0, 1, 3, 4


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "office.pcap"


def states(played: Played, address: str) -> list[str]:
    return [state for _, state in played.life(address)]


def test_a_question_and_its_answer(file: Path) -> None:
    played = play(file, [(0.0, request(1, 2)), (0.25, reply(2, 1))], *STATION)

    assert played.life("198.51.100.2") == [(0.0, "INCOMPLETE"), (0.25, "REACHABLE")]
    assert played.table() == {"198.51.100.2 dev link": (TWO, "REACHABLE")}
    assert played.end["uncertain"] == {"unknown_hops": 0, "known_before": 0, "unasked": 0, "refused": 0}


def test_a_question_that_nobody_answers_fails(file: Path) -> None:
    asked = [(float(number), request(1, 9)) for number in range(3)]
    played = play(file, [*asked, (10.0, request(4, 5))], *STATION)

    (_, first), (failed, then) = played.life("198.51.100.9")[:2]
    assert (first, then) == ("INCOMPLETE", "FAILED")
    assert failed == pytest.approx(3.0, abs=0.01)


def test_what_others_say_to_others_does_not_reach_it(file: Path) -> None:
    frames = [(0.0, request(1, 2)), (0.1, reply(2, 1)), (0.2, reply(3, 2)), (0.3, datagram(3, 2))]
    played = play(file, frames, *STATION)

    assert list(played.table()) == ["198.51.100.2 dev link"]


def test_who_asks_for_it_is_known(file: Path) -> None:
    played = play(file, [(0.0, announcement(1)), (1.0, request(2, 1)), (1.0, reply(1, 2))], *STATION)

    assert played.life("198.51.100.2") == [(1.0, "STALE")]


def test_who_is_used_when_stale_is_delayed_and_asked_again(file: Path) -> None:
    frames: list[Timed] = [
        (0.0, announcement(1)),
        (1.0, request(2, 1)),
        (2.0, datagram(1, 2)),
        (7.0, request(1, 2)),
        (7.1, reply(2, 1)),
    ]
    played = play(file, frames, *STATION)

    times = played.life("198.51.100.2")
    assert [state for _, state in times] == ["STALE", "DELAY", "PROBE", "REACHABLE"]
    assert [time for time, _ in times] == pytest.approx([1.0, 2.0, 7.0, 7.1], abs=0.01)


def test_an_acknowledgement_confirms(file: Path) -> None:
    frames = [
        (0.0, announcement(1)),
        (1.0, request(2, 1)),
        (2.0, datagram(1, 2)),
        (3.0, acknowledgement(2, 1)),
    ]
    played = play(file, [*frames, (10.0, datagram(3, 4))], *STATION)

    *_, (confirmed, state) = played.life("198.51.100.2")
    assert state == "REACHABLE"
    assert confirmed == pytest.approx(7.0, abs=0.01)


def test_what_only_the_table_would_probe_rests_at_stale(file: Path) -> None:
    frames = [(0.0, announcement(1)), (1.0, request(2, 1)), (2.0, datagram(1, 2)), (60.0, datagram(3, 4))]
    played = play(file, frames, *STATION)

    assert states(played, "198.51.100.2") == ["STALE", "DELAY", "PROBE", "STALE"]
    assert played.end["uncertain"]["unasked"] == 1


def test_so_does_an_ipv6_neighbour_though_the_station_was_never_seen_to_have_a_link_local_address(
    file: Path,
) -> None:
    frames = [(0.0, solicitation(2, 1)), (0.5, advertisement(1, 2)), (60.0, datagram(3, 4))]
    played = play(file, frames, "--as", ONE, "--trace")

    assert states(played, "2001:db8::2") == ["STALE", "DELAY", "PROBE", "STALE"]
    assert played.end["uncertain"]["unasked"] == 1


def test_whom_it_knew_before_is_stale_and_used(file: Path) -> None:
    played = play(file, [(0.0, announcement(1)), (1.0, announcement(2)), (2.0, datagram(1, 2))], *STATION)

    assert states(played, "198.51.100.2") == ["STALE", "DELAY"]
    assert played.end["uncertain"]["known_before"] == 1


def test_a_packet_to_afar_goes_to_the_router_that_is_at_its_lladdr(file: Path) -> None:
    frames = [
        (0.0, request(1, 2)),
        (0.1, reply(2, 1)),
        (1.0, datagram(1, 0, to=FAR, via=2)),
        (100.0, datagram(1, 0, to=FAR, via=2)),
    ]
    played = play(file, frames, *STATION)

    assert list(played.table()) == ["198.51.100.2 dev link"]
    assert states(played, "198.51.100.2")[-2:] == ["STALE", "DELAY"]


def test_a_packet_to_nobody_knows_whom_is_counted(file: Path) -> None:
    frames = [(0.0, announcement(1)), (1.0, datagram(1, 0, to=FAR, via=2))]

    assert play(file, frames, *STATION).end["uncertain"]["unknown_hops"] == 1


def test_with_its_prefix_length_packets_go_to_neighbours_nobody_tells_of(file: Path) -> None:
    frames = [(0.0, announcement(1)), (1.0, datagram(1, 7))]
    played = play(file, frames, "--as", "198.51.100.1/24")

    assert played.table() == {"198.51.100.7 dev link": ("02:00:00:00:00:07", "DELAY")}


def test_by_its_lladdr_its_addresses_are_found_out(file: Path) -> None:
    frames = [
        (0.0, request(1, 2)),
        (0.1, reply(2, 1)),
        (1.0, solicitation(1, 2)),
        (1.1, advertisement(2, 1)),
        (2.0, request(3, 1)),
    ]
    played = play(file, frames, "--as", ONE)

    assert played.table() == {
        "198.51.100.2 dev link": (TWO, "REACHABLE"),
        "198.51.100.3 dev link": (THREE, "STALE"),
        "2001:db8::2 dev link": (TWO, "REACHABLE"),
        # To which its solicitation went.
        "ff02::1:ff00:2 dev link": ("33:33:ff:00:00:02", "NOARP"),
    }


def test_a_station_that_the_capture_does_not_hold(file: Path) -> None:
    file.write_bytes(pcap([(0.0, request(2, 3))]))
    played = replay(str(file), "--as", "198.51.100.77")

    assert played.status == 2
    assert played.errors == (
        f"neighio replay: {file}: as: no frame is from 198.51.100.77, or shows where it is\n"
    )
    assert played.end["error"] in played.errors


def test_it_sits_on_each_vlan_that_it_is_met_on(file: Path) -> None:
    frames = [
        (0.0, tagged(request(1, 2), 10)),
        (0.1, tagged(reply(2, 1), 10)),
        (0.2, tagged(request(1, 3), 10, 20)),
        (0.3, tagged(reply(3, 1), 10, 20)),
        (0.4, tagged(request(4, 5), 30)),
    ]

    assert play(file, frames, "--as", "198.51.100.1").table() == {
        "198.51.100.2 dev link.10": (TWO, "REACHABLE"),
        "198.51.100.3 dev link.10.20": (THREE, "REACHABLE"),
    }


def test_cooked_frames_have_no_destination_and_are_judged_by_what_they_say(file: Path) -> None:
    frames = [
        (0.0, cooked(request(1, 2), OUTGOING)),
        (0.1, cooked(reply(2, 1), HOST)),
        (0.2, cooked(reply(3, 2), OTHER)),
        (0.3, cooked(request(4, 1), BROADCAST)),
        (0.4, cooked(datagram(1, 2), OUTGOING)),
        (1.0, cooked(datagram(1, 0, to=FAR, via=2), OUTGOING)),
    ]
    played = play(file, frames, *STATION, link_type=SLL)

    assert played.table() == {
        "198.51.100.2 dev link": (TWO, "REACHABLE"),
        "198.51.100.4 dev link": ("02:00:00:00:00:04", "STALE"),
    }
    # By which router it went is not in the capture.
    assert played.end["uncertain"]["unknown_hops"] == 1


def test_the_second_cooked_form_tells_the_interface(file: Path) -> None:
    frames = [
        (0.0, cooked2(request(1, 2), OUTGOING, ifindex=2)),
        (0.1, cooked2(reply(2, 1), HOST, ifindex=2)),
        (0.2, cooked2(request(4, 1), BROADCAST, ifindex=3)),
    ]
    played = play(file, frames, link_type=SLL2)

    assert sorted(played.table()) == [
        "198.51.100.1 dev if2",
        "198.51.100.2 dev if2",
        "198.51.100.4 dev if3",
    ]


def test_on_a_link_without_lladdrs_it_is_known_by_its_address_and_asks_nobody(file: Path) -> None:
    frames = [(0.0, packet4(ip4(1), FAR)), (0.1, packet4(FAR, ip4(1))), (0.2, packet4(ip4(2), FAR))]
    played = play(file, frames, *STATION, link_type=RAW)

    # Behind a device without a link layer IPv4 has one neighbour, as in Linux.
    assert played.table() == {"0.0.0.0 dev raw": (None, "NOARP")}


def test_the_cooked_records_of_a_tunnel_are_raw(file: Path) -> None:
    tunnel = build(bytes(6), bytes(6), IPV4, packet4(ip4(1), FAR))
    frames = [
        (0.0, cooked2(request(1, 2), OUTGOING, ifindex=2)),
        (0.1, cooked2(tunnel, OUTGOING, ifindex=5, hardware=65534)),
    ]
    played = play(file, frames, "--as", "198.51.100.1", link_type=SLL2)

    assert {name: state for name, (_, state) in played.table().items()} == {
        "198.51.100.2 dev if2": "INCOMPLETE",
        "0.0.0.0 dev if5": "NOARP",
    }


def test_unnamed_interfaces_are_links_of_their_own(file: Path) -> None:
    file.write_bytes(
        section(
            interface(),
            interface(),
            interface(name="eth0"),
            enhanced(request(1, 2), 0),
            enhanced(request(3, 2), 1, number=1),
            enhanced(request(4, 2), 2, number=2),
        )
    )

    assert list(replay(str(file)).table()) == [
        "198.51.100.4 dev eth0",
        "198.51.100.1 dev link",
        "198.51.100.3 dev link#2",
    ]


def test_its_own_frames_teach_it_nothing_of_itself(file: Path) -> None:
    played = play(file, [(0.0, announcement(1)), (1.0, reply(1, 2)), (1.0, solicitation(1, 2))], "--as", ONE)

    assert not [name for name in played.table() if "100.1 " in name or "::1 " in name]


def test_two_with_one_address_are_seen_by_the_station(file: Path) -> None:
    frames = [
        (0.0, request(1, 2)),
        (0.1, reply(2, 1)),
        (0.2, reply(2, 1, at=mac(9))),
        (5.0, datagram(1, 2)),
    ]
    played = play(file, frames, *STATION)

    # The second answer came within locktime.
    assert played.table() == {"198.51.100.2 dev link": (TWO, "REACHABLE")}
    assert [odd[1] for odd in played.odd()] == ["duplicate"]
