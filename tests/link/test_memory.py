from __future__ import annotations

from math import inf, nextafter
from random import Random

import pytest
import trio
import trio.testing

from neighio.core.constants import IFF_LOWER_UP, IFF_UP
from neighio.errors import InvalidAddress
from neighio.link.base import FrameTooLong, Link, LinkBusy, LinkDown, LinkGone
from neighio.link.memory import MemoryLink, Segment

A = bytes.fromhex("02000000000a")
B = bytes.fromhex("02000000000b")
C = bytes.fromhex("02000000000c")
GROUP = bytes.fromhex("3333ff000001")
OTHER_GROUP = bytes.fromhex("01005e000001")


class Clock:
    """Virtual time without a loop."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def frame(n: int = 0, *, dst: bytes = B, src: bytes = A) -> bytes:
    return dst + src + b"\x08\x06" + n.to_bytes(4, "big")


def drain(link: MemoryLink) -> list[bytes]:
    frames = []
    while (one := link.receive()) is not None:
        frames.append(one)
    return frames


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def segment(clock: Clock) -> Segment:
    return Segment(clock)


def test_a_memory_link_is_a_link(segment: Segment) -> None:
    link = segment.attach("02:00:00:00:00:0a")
    assert isinstance(link, Link)
    assert (link.name, link.index, link.lladdr, link.mtu) == ("mem0", 1, A, 1500)
    assert link.broadcast == b"\xff" * 6
    assert link.flags & (IFF_UP | IFF_LOWER_UP) == IFF_UP | IFF_LOWER_UP


def test_names_and_indices_are_the_first_free_ones_unless_given(segment: Segment) -> None:
    links = [segment.attach(A), segment.attach(B, name="eth0", index=7), segment.attach(C)]
    assert [(link.name, link.index) for link in links] == [("mem0", 1), ("eth0", 7), ("mem1", 8)]
    links[0].remove()
    assert segment.attach(A).name == "mem0"


def test_a_name_is_given_once(segment: Segment) -> None:
    segment.attach(A, name="eth0")
    with pytest.raises(ValueError, match="eth0"):
        segment.attach(B, name="eth0")


def test_an_address_that_is_none_is_refused(segment: Segment) -> None:
    with pytest.raises(InvalidAddress):
        segment.attach("not an address")


def test_a_frame_reaches_every_other_link_whatever_its_destination(segment: Segment) -> None:
    a, b, c = segment.attach(A), segment.attach(B), segment.attach(C)
    a.send(frame(dst=B))
    assert (drain(a), drain(b), drain(c)) == ([], [frame(dst=B)], [frame(dst=B)])


def test_a_delayed_frame_arrives_when_it_is_due_and_not_before(clock: Clock, segment: Segment) -> None:
    a, b = segment.attach(A), segment.attach(B)
    segment.delay = 0.5
    clock.now = 1.0
    a.send(frame())
    assert segment.next_due() == b.next_due() == 1.5
    clock.now = nextafter(1.5, 0.0)
    assert b.receive() is None
    clock.now = 1.5
    assert b.next_due() == 1.5
    assert b.receive() == frame()
    assert segment.next_due() == b.next_due() == inf


def test_a_constant_delay_keeps_the_order(clock: Clock, segment: Segment) -> None:
    a, b = segment.attach(A), segment.attach(B)
    segment.delay = 0.25
    for n in range(100):
        a.send(frame(n))
    clock.now = 0.25
    assert drain(b) == [frame(n) for n in range(100)]


def test_drawn_delays_reorder_and_repeat_with_the_seed() -> None:
    def run(seed: int) -> list[bytes]:
        clock = Clock()
        segment = Segment(clock, random=Random(seed), delay=lambda random: random.uniform(0.0, 1.0))
        a, b = segment.attach(A), segment.attach(B)
        for n in range(20):
            a.send(frame(n))
        clock.now = 1.0
        return drain(b)

    assert run(1) == run(1) != run(2)
    assert sorted(run(1)) == [frame(n) for n in range(20)] != run(1)


def test_loss_and_duplication_are_drawn_for_each_receiver_and_counted(segment: Segment) -> None:
    a, b, c = segment.attach(A), segment.attach(B), segment.attach(C)
    segment.loss, segment.duplication = 0.25, 0.25
    for n in range(400):
        a.send(frame(n))
    heard = [drain(b), drain(c)]
    statistics = segment.statistics()
    assert statistics.sent == 400
    assert (
        statistics.delivered == len(heard[0]) + len(heard[1]) == 800 - statistics.lost + statistics.duplicated
    )
    assert 0 < statistics.lost < 400
    assert 0 < statistics.duplicated < 400
    assert heard[0] != heard[1]


def test_a_links_own_settings_replace_the_segments_for_what_arrives_there(
    clock: Clock, segment: Segment
) -> None:
    a, b, c, d = (segment.attach(lladdr) for lladdr in (A, B, C, b"\2" * 6))
    segment.loss = 1.0
    b.loss = c.loss = 0.0
    b.delay = 2.0
    c.duplication = 1.0
    a.send(frame())
    assert (drain(b), drain(c), drain(d)) == ([], [frame(), frame()], [])
    clock.now = 2.0
    assert drain(b) == [frame()]


def test_the_log_holds_the_last_frames_with_time_and_sender(clock: Clock) -> None:
    segment = Segment(clock, keep=2, loss=1.0)
    a, b = segment.attach(A, name="a"), segment.attach(B, name="b")
    for n, link in enumerate((a, b, a)):
        clock.now = float(n)
        link.send(frame(n))
    assert list(segment.frames) == [(1.0, "b", frame(1)), (2.0, "a", frame(2))]


def test_a_full_inbox_drops_the_newest_and_counts_it(segment: Segment) -> None:
    a, b = segment.attach(A), segment.attach(B, capacity=2)
    for n in range(5):
        a.send(frame(n))
    assert b.statistics().inbox == b.statistics().capacity == 2
    assert drain(b) == [frame(0), frame(1)]
    assert b.statistics().overflows == 3
    assert segment.statistics().delivered == 2


def test_on_receive_is_called_at_the_due_time_for_each_frame(clock: Clock, segment: Segment) -> None:
    a, b = segment.attach(A), segment.attach(B)
    calls: list[float] = []
    b.on_receive = lambda: calls.append(segment.time())
    a.send(frame())
    segment.delay = 1.0
    a.send(frame())
    assert calls == [0.0]
    segment.deliver(1.0)
    assert calls == [0.0, 1.0]


def test_what_follows_a_delivery_has_the_deliverys_time_however_late_it_is_performed(
    clock: Clock, segment: Segment
) -> None:
    a, b = segment.attach(A), segment.attach(B, name="b")
    segment.delay = 0.5
    arrivals: list[float] = []
    b.on_receive = lambda: b.send(frame(1))
    a.on_receive = lambda: arrivals.append(segment.time())
    a.send(frame())
    clock.now = 10.0
    segment.deliver()
    assert [one.time for one in segment.frames] == [0.0, 0.5]
    assert arrivals == [1.0]
    assert segment.time() == 10.0


def test_a_late_look_and_a_punctual_one_draw_the_same(segment: Segment) -> None:
    def run(steps: list[float]) -> list[tuple[float, str, bytes]]:
        clock = Clock()
        segment = Segment(clock, random=Random(5), delay=lambda random: random.random())
        a, b = segment.attach(A, name="a"), segment.attach(B, name="b")
        b.on_receive = lambda: b.send(frame(1))
        for n in range(5):
            segment.call_at(n * 0.3, lambda: a.send(frame(2)))
        for step in steps:
            clock.now = step
            segment.deliver()
        return list(segment.frames)

    assert run([n / 100 for n in range(400)]) == run([4.0])


def test_a_scheduled_call_happens_once_at_its_time_and_a_past_one_now(clock: Clock, segment: Segment) -> None:
    calls: list[float] = []
    segment.call_at(2.0, lambda: calls.append(segment.time()))
    clock.now = 1.0
    segment.call_at(0.5, lambda: calls.append(segment.time()))
    assert calls == [1.0]
    segment.deliver(3.0)
    segment.deliver(4.0)
    assert calls == [1.0, 2.0]


def test_an_error_in_a_hook_leaves_the_segment_usable(segment: Segment) -> None:
    a, b = segment.attach(A), segment.attach(B)

    def fail() -> None:
        raise RuntimeError("a hook's bug")

    b.on_receive = fail
    with pytest.raises(RuntimeError, match="a hook's bug"):
        a.send(frame(1))
    b.on_receive = None
    a.send(frame(2))
    assert drain(b) == [frame(1), frame(2)]


def test_an_injected_error_is_raised_once_by_the_next_call_of_its_kind(segment: Segment) -> None:
    a, b = segment.attach(A), segment.attach(B)
    a.fail_next(LinkBusy("lost"))
    b.fail_next(OSError("strange"), receive=True)
    with pytest.raises(LinkBusy):
        a.send(frame(1))
    a.send(frame(2))
    with pytest.raises(OSError, match="strange"):
        b.receive()
    assert drain(b) == [frame(2)]


def test_a_busy_link_loses_the_next_n_frames(segment: Segment) -> None:
    a, b = segment.attach(A), segment.attach(B)
    a.busy(2)
    for n in (1, 2):
        with pytest.raises(LinkBusy):
            a.send(frame(n))
    a.send(frame(3))
    assert drain(b) == [frame(3)]


def test_a_frame_over_mtu_and_header_is_refused(segment: Segment) -> None:
    a, b = segment.attach(A, mtu=100), segment.attach(B)
    a.send(bytes(114))
    with pytest.raises(FrameTooLong, match="115 octets, at most 114"):
        a.send(bytes(115))
    assert drain(b) == [bytes(114)]


def test_a_filtering_link_takes_what_a_network_card_does(segment: Segment) -> None:
    a, hub, card = segment.attach(A), segment.attach(B), segment.attach(B, filtering=True)
    destinations = [B, C, b"\xff" * 6, GROUP, OTHER_GROUP]
    card.join(GROUP)
    for dst in destinations:
        a.send(frame(dst=dst))
    assert [one[:6] for one in drain(hub)] == destinations
    assert [one[:6] for one in drain(card)] == [B, b"\xff" * 6, GROUP]
    assert card.statistics().overflows == 0


def test_a_group_is_left_as_often_as_joined(segment: Segment) -> None:
    a, card = segment.attach(A), segment.attach(B, filtering=True)
    heard = []
    for call in (card.leave, card.join, card.join, card.leave, card.leave, card.leave, card.join):
        call(GROUP)
        a.send(frame(dst=GROUP))
        heard.append(len(drain(card)))
    assert heard == [0, 1, 1, 1, 0, 0, 1]
    assert card.groups == {GROUP: 1}


def test_groups_are_those_of_the_moment_of_arrival(clock: Clock, segment: Segment) -> None:
    a, card = segment.attach(A), segment.attach(B, filtering=True)
    segment.delay = 1.0
    card.join(GROUP)
    a.send(frame(dst=GROUP))
    card.leave(GROUP)
    clock.now = 1.0
    assert drain(card) == []


@pytest.mark.parametrize("group", [B, b"", b"\x33\x33\xff", bytes(7)])
def test_a_group_that_is_none_is_neither_joined_nor_left(segment: Segment, group: bytes) -> None:
    link = segment.attach(A)
    for call in (link.join, link.leave):
        with pytest.raises(InvalidAddress, match="group: "):
            call(group)
    assert not link.groups


def test_a_memory_link_leaves_no_checksum_to_a_card(segment: Segment) -> None:
    a, b = segment.attach(A), segment.attach(B)
    a.send(frame())
    assert (b.receive(), b.partial_checksum) == (frame(), False)


def test_going_down_is_reported_once_and_frames_before_it_stay_readable(segment: Segment) -> None:
    a, b = segment.attach(A), segment.attach(B)
    a.send(frame(1))
    b.set_down()
    b.set_down()
    a.send(frame(2))
    with pytest.raises(LinkDown):
        b.receive()
    assert drain(b) == [frame(1)]
    with pytest.raises(LinkDown):
        b.send(frame(3))
    b.set_up()
    a.send(frame(4))
    b.send(frame(5))
    assert (drain(a), drain(b)) == ([frame(5)], [frame(4)])
    b.set_down()
    with pytest.raises(LinkDown):
        b.receive()


def test_a_frame_under_way_to_a_link_that_went_down_is_lost(clock: Clock, segment: Segment) -> None:
    a, b = segment.attach(A), segment.attach(B)
    segment.delay = 1.0
    a.send(frame())
    b.set_down()
    with pytest.raises(LinkDown):
        b.receive()
    clock.now = 1.0
    assert b.receive() is None


def test_without_carrier_frames_are_lost_both_ways_and_nothing_raises(segment: Segment) -> None:
    a, b = segment.attach(A), segment.attach(B)
    b.set_carrier(False)
    a.send(frame(1))
    b.send(frame(2))
    assert (drain(a), drain(b)) == ([], [])
    b.set_carrier(True)
    b.send(frame(3))
    assert drain(a) == [frame(3)]


def test_a_removed_link_is_gone_for_ever(segment: Segment) -> None:
    a, b = segment.attach(A), segment.attach(B)
    a.send(frame())
    segment.detach(b)
    for _ in range(2):
        with pytest.raises(LinkGone):
            b.receive()
        with pytest.raises(LinkGone):
            b.send(frame())
        with pytest.raises(LinkGone):
            b.join(GROUP)
        with pytest.raises(LinkGone):
            b.leave(GROUP)
    a.send(frame())
    assert segment.statistics().links == 1


def test_every_change_of_the_interface_is_told_once(segment: Segment) -> None:
    link = segment.attach(A)
    seen: list[tuple[str, bytes, int, int]] = []
    link.on_change = lambda: seen.append((link.name, link.lladdr, link.mtu, link.flags & IFF_UP))
    link.change(name="eth0")
    link.change(name="eth0")
    link.change(lladdr=B, mtu=1280)
    link.set_up()
    link.set_down()
    link.remove()
    link.remove()
    assert seen == [("eth0", A, 1500, 1), ("eth0", B, 1280, 1), ("eth0", B, 1280, 0), ("eth0", B, 1280, 0)]


async def test_waiting_ends_when_a_frame_becomes_due(autojump_clock: trio.testing.MockClock) -> None:
    segment = Segment(trio.current_time, delay=3.0)
    a, b = segment.attach(A), segment.attach(B)
    start = trio.current_time()
    a.send(frame())
    await b.wait_readable()
    assert trio.current_time() == start + 3.0
    assert b.receive() == frame()


async def test_waiting_ends_earlier_when_an_earlier_frame_is_sent_meanwhile(
    autojump_clock: trio.testing.MockClock,
) -> None:
    segment = Segment(trio.current_time)
    a, b = segment.attach(A), segment.attach(B)
    start = trio.current_time()
    segment.delay = 10.0
    a.send(frame(1))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(b.wait_readable)
        await trio.testing.wait_all_tasks_blocked()
        segment.delay = 1.0
        a.send(frame(2))
    assert trio.current_time() == start + 1.0
    assert drain(b) == [frame(2)]
    await b.wait_readable()
    assert trio.current_time() == start + 10.0
    assert drain(b) == [frame(1)]


async def test_waiting_ends_when_a_frame_is_sent_without_delay(
    autojump_clock: trio.testing.MockClock,
) -> None:
    segment = Segment(trio.current_time)
    a, b = segment.attach(A), segment.attach(B)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(b.wait_readable)
        await trio.testing.wait_all_tasks_blocked()
        assert b.statistics().tasks_waiting == 1
        a.send(frame())
    assert b.statistics().tasks_waiting == 0
    assert drain(b) == [frame()]


async def test_a_waiter_drives_what_is_due_for_others(autojump_clock: trio.testing.MockClock) -> None:
    segment = Segment(trio.current_time, delay=1.0)
    a, b = segment.attach(A), segment.attach(B)
    b.on_receive = lambda: b.send(frame(1))
    start = trio.current_time()
    a.send(frame())
    await a.wait_readable()
    assert trio.current_time() == start + 2.0
    assert drain(a) == [frame(1)]


async def test_waiting_is_a_checkpoint_also_when_readable(autojump_clock: trio.testing.MockClock) -> None:
    segment = Segment(trio.current_time)
    a, b = segment.attach(A), segment.attach(B)
    a.send(frame())
    with trio.testing.assert_checkpoints():
        await b.wait_readable()


async def test_a_cancelled_wait_leaves_nothing_behind(autojump_clock: trio.testing.MockClock) -> None:
    segment = Segment(trio.current_time)
    a, b = segment.attach(A), segment.attach(B)
    with trio.move_on_after(5) as scope:
        await b.wait_readable()
    assert scope.cancelled_caught
    assert b.statistics().tasks_waiting == 0
    a.send(frame())
    await b.wait_readable()
    assert drain(b) == [frame()]


async def test_a_second_waiter_is_refused(autojump_clock: trio.testing.MockClock) -> None:
    link = Segment(trio.current_time).attach(A)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.wait_readable)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await link.wait_readable()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("end", ["remove", "down", "close", "error"])
async def test_every_end_wakes_the_waiter(end: str, autojump_clock: trio.testing.MockClock) -> None:
    link = Segment(trio.current_time).attach(A)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.wait_readable)
        await trio.testing.wait_all_tasks_blocked()
        if end == "remove":
            link.remove()
        elif end == "down":
            link.set_down()
        elif end == "close":
            await link.aclose()
        else:
            link.fail_next(LinkDown(), receive=True)
    with pytest.raises((LinkDown, LinkGone)):
        link.receive()


async def test_closing_is_idempotent_silent_and_complete_when_cancelled(
    autojump_clock: trio.testing.MockClock,
) -> None:
    segment = Segment(trio.current_time)
    link = segment.attach(A)
    calls: list[str] = []
    link.on_receive = lambda: calls.append("receive")
    link.on_change = lambda: calls.append("change")
    with trio.CancelScope() as scope:
        scope.cancel()
        await link.aclose()
    assert scope.cancelled_caught
    assert segment.statistics().links == 0
    with pytest.raises(LinkGone):
        link.receive()
    with trio.testing.assert_checkpoints():
        await link.aclose()
        await link.wait_readable()
    assert calls == []
