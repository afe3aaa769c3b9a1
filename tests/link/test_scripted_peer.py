from __future__ import annotations

import pytest

from neighio.address import LinkAddress
from neighio.errors import InvalidAddress
from neighio.link.memory import MemoryLink
from neighio.testing.segment import ScriptedPeer, Segment
from neighio.wire import arp

OWN = LinkAddress("02:00:00:00:00:01")
PEER = LinkAddress("02:00:00:00:00:02")
OWN_IP = bytes([198, 51, 100, 1])
PEER_IP = bytes([198, 51, 100, 2])
BROADCAST = b"\xff" * 6


class Scene:
    """One link that asks and one scripted peer, in virtual time."""

    def __init__(self, **peer: object) -> None:
        self.now = 0.0
        self.segment = Segment(lambda: self.now)
        self.link: MemoryLink = self.segment.attach(OWN)
        self.peer = ScriptedPeer(self.segment, PEER, "198.51.100.2", **peer)  # type: ignore[arg-type]

    def ask(self, target: bytes = PEER_IP, *, dst: bytes = BROADCAST, spa: bytes = OWN_IP) -> None:
        self.link.send(arp.build(1, spa, OWN, target, bytes(6), dst=dst, src=OWN))

    def answers(self) -> list[tuple[int, bytes, bytes, bytes, bytes]]:
        found = []
        while (frame := self.link.receive()) is not None:
            fields = arp.parse(frame)
            assert not isinstance(fields, str)
            found.append(fields)
        return found


ANSWER = (2, PEER_IP, PEER, OWN_IP, OWN)


def test_a_peer_answers_for_its_address_before_send_returns() -> None:
    scene = Scene()
    scene.ask()
    assert scene.answers() == [ANSWER]
    assert [one.sender for one in scene.segment.frames] == ["mem0", str(PEER)]


def test_a_peer_answers_for_none_but_its_addresses() -> None:
    scene = Scene()
    scene.ask(bytes([198, 51, 100, 3]))
    assert scene.answers() == []
    scene.peer.addresses.append(bytes([198, 51, 100, 3]))
    scene.ask(bytes([198, 51, 100, 3]))
    assert [answer[1] for answer in scene.answers()] == [bytes([198, 51, 100, 3])]


def test_a_peer_may_have_several_addresses() -> None:
    segment = Segment(lambda: 0.0)
    peer = ScriptedPeer(segment, PEER, ["198.51.100.2", bytes([198, 51, 100, 3])])
    assert peer.addresses == [PEER_IP, bytes([198, 51, 100, 3])]


def test_an_address_that_is_none_is_refused() -> None:
    segment = Segment(lambda: 0.0)
    with pytest.raises(InvalidAddress):
        ScriptedPeer(segment, PEER, "198.51.100")
    assert segment.statistics().links == 0


def test_a_peer_hears_unicast_to_itself_and_not_to_others() -> None:
    scene = Scene()
    scene.ask(dst=b"\x02" * 6)
    scene.ask(dst=PEER)
    assert len(scene.peer.heard) == 1
    assert scene.answers() == [ANSWER]


def test_a_delayed_answer_leaves_after_its_delay() -> None:
    scene = Scene(delay=0.25)
    scene.segment.delay = 0.5
    scene.ask()
    scene.now = 9.0
    assert scene.answers() == [ANSWER]
    assert [one.time for one in scene.segment.frames] == [0.0, 0.75]
    assert [one.time for one in scene.peer.heard] == [0.5]


def test_a_muted_peer_hears_and_does_not_answer_nor_send_what_it_had_in_mind() -> None:
    scene = Scene(delay=1.0)
    scene.ask()
    scene.peer.mute()
    scene.now = 5.0
    scene.ask()
    scene.now = 10.0
    assert scene.answers() == []
    assert len(scene.peer.heard) == 2
    scene.peer.unmute()
    scene.ask()
    scene.now = 11.0
    assert scene.answers() == [ANSWER]


def test_muting_does_not_reach_back_in_time() -> None:
    scene = Scene(delay=1.0)
    scene.ask()
    scene.now = 2.0
    scene.peer.mute()
    assert scene.answers() == [ANSWER]


def test_a_peer_can_start_muted() -> None:
    scene = Scene(answers=False)
    scene.ask()
    assert scene.answers() == []


def test_a_peer_answers_with_its_new_card_and_no_longer_hears_the_old_address() -> None:
    scene = Scene()
    new = LinkAddress("02:00:00:00:00:99")
    scene.peer.lladdr = new
    scene.ask(dst=PEER)
    assert scene.answers() == []
    scene.ask()
    assert scene.answers() == [(2, PEER_IP, new, OWN_IP, OWN)]


def test_a_peer_answers_a_duplicate_address_probe() -> None:
    scene = Scene()
    scene.ask(spa=bytes(4))
    assert scene.answers() == [(2, PEER_IP, PEER, bytes(4), OWN)]


@pytest.mark.parametrize(("op", "tha"), [(1, bytes(6)), (2, bytes(PEER))])
def test_an_announcement_is_gratuitous_as_linux_understands_it(op: int, tha: bytes) -> None:
    scene = Scene()
    scene.peer.announce(op=op)
    assert scene.answers() == [(op, PEER_IP, PEER, PEER_IP, tha)]


def test_a_peer_asks_and_replies_unasked() -> None:
    scene = Scene()
    scene.peer.ask("198.51.100.1")
    scene.peer.reply(OWN, "198.51.100.1", source="198.51.100.77")
    assert scene.answers() == [
        (1, PEER_IP, PEER, OWN_IP, bytes(6)),
        (2, bytes([198, 51, 100, 77]), PEER, OWN_IP, OWN),
    ]


@pytest.mark.parametrize("length", range(42))
def test_no_truncated_frame_troubles_a_peer(length: int) -> None:
    scene = Scene()
    scene.link.send(arp.build(1, OWN_IP, OWN, PEER_IP, bytes(6), dst=BROADCAST, src=OWN)[:length])
    assert scene.link.receive() is None


def test_a_peer_whose_link_is_down_troubles_nobody() -> None:
    scene = Scene(delay=1.0)
    scene.ask()
    scene.peer.link.set_down()
    scene.now = 1.0
    scene.ask()
    assert scene.answers() == []
    scene.peer.link.remove()
    scene.ask()
    assert scene.answers() == []


def test_two_peers_of_one_address_both_answer() -> None:
    scene = Scene()
    rival = ScriptedPeer(scene.segment, "02:00:00:00:00:03", "198.51.100.2")
    scene.ask()
    assert [answer[2] for answer in scene.answers()] == [PEER, rival.lladdr]
