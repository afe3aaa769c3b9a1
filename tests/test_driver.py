"""The loop-free half of every shell: what goes in, what comes out, who waits and who is told."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Hashable
from itertools import count

import pytest

from neighio.address import LinkAddress, parse_ip
from neighio.core.constants import (
    AF_INET,
    IFF_BROADCAST,
    IFF_LOWER_UP,
    IFF_NOARP,
    IFF_RUNNING,
    IFF_UP,
    NLM_F_CREATE,
    NLM_F_REPLACE,
    NUD_DELAY,
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
)
from neighio.core.device import Address, Device
from neighio.core.engine import Engine, Scope, device_scope, family_scope
from neighio.core.events import AddressConflict, Change, DelNeighbour, NewNeighbour, PacketFailed
from neighio.core.neighbour import Neighbour
from neighio.core.queue import Packet
from neighio.driver import Driver
from neighio.errors import (
    DeviceGone,
    DuplicateAddress,
    InvalidAddress,
    PacketDropped,
    SubscriberOverflow,
    Unreachable,
)
from neighio.link.base import FrameTooLong, LinkBusy, LinkDown, LinkGone
from neighio.publication import Idle, Subscription
from neighio.waiters import Outcome
from neighio.wire import arp

OURS = LinkAddress("02:00:00:00:00:0a")
THEIRS = LinkAddress("02:00:00:00:00:0b")
US = parse_ip("198.51.100.1")[0]
PEER = parse_ip("198.51.100.2")[0]
ABSENT = parse_ip("198.51.100.66")[0]
LINK_LOCAL = parse_ip("fe80::1")[0]
BROADCAST = b"\xff" * 6
WORKING = IFF_UP | IFF_RUNNING | IFF_LOWER_UP | IFF_BROADCAST


class StubLink:
    """A link of lists: what ``receive`` and ``send`` do next, and what was sent."""

    def __init__(self, name: str = "va", index: int = 1, *, flags: int = WORKING) -> None:
        self.name = name
        self.index = index
        self.type = 1
        self.lladdr: bytes = OURS
        self.broadcast = BROADCAST
        self.flags = flags
        self.mtu = 1500
        self.partial_checksum = False
        self.groups: list[bytes] = []
        self.inbox: deque[bytes | Exception] = deque()
        self.errors: deque[Exception] = deque()
        self.sent: list[bytes] = []
        self.on_send: Callable[[bytes], object] = lambda frame: None

    def receive(self) -> bytes | None:
        if not self.inbox:
            return None
        found = self.inbox.popleft()
        if isinstance(found, Exception):
            raise found
        return found

    def send(self, frame: bytes) -> None:
        if self.errors:
            raise self.errors.popleft()
        self.sent.append(frame)
        self.on_send(frame)

    def join(self, group: bytes) -> None:
        self.groups.append(group)

    def leave(self, group: bytes) -> None:
        self.groups.remove(group)

    async def wait_readable(self) -> None:
        raise AssertionError("the driver never waits")

    async def aclose(self) -> None:
        raise AssertionError("the driver closes nothing")


class Shell:
    """What a shell gives the driver, recorded; one device ``va`` with one address."""

    def __init__(self, *, trace: bool = False) -> None:
        self.now = 100.0
        self.woken: list[tuple[Hashable, Outcome]] = []
        self.deadlines: dict[Scope, float] = {}
        self.troubles: list[tuple[int, type[Exception]]] = []
        self.engine = Engine(now=self.now)
        self.driver = Driver(
            self.engine,
            clock=lambda: self.now,
            wake=lambda token, outcome: self.woken.append((token, outcome)),
            arm=self.deadlines.__setitem__,
            trouble=lambda index, error: self.troubles.append((index, type(error))),
            trace=trace,
        )
        self.link = StubLink()
        self.driver.attach(self.link)
        self.engine.add_address(1, Address(US, 24), self.now)
        self.tokens = count()

    def run(self, seconds: float) -> None:
        """Let time pass, with every timer in its instant."""
        until = self.now + seconds
        while (due := min(self.engine.next_deadline(scope) for scope in self.engine.scopes())) <= until:
            self.now = max(self.now, due)
            for scope in tuple(self.engine.scopes()):
                while self.driver.timers(scope):
                    pass
        self.now = until

    def resolve(self, key: bytes = PEER) -> tuple[Neighbour, Hashable]:
        neighbour, lladdr = self.engine.resolve(1, key, self.now)
        token = next(self.tokens)
        if lladdr is None:
            self.driver.await_address(neighbour, token)
        else:
            self.woken.append((token, lladdr))
        self.driver.pump()
        return neighbour, token

    def verify(self, neighbour: Neighbour) -> Hashable:
        token = next(self.tokens)
        assert self.engine.verify(neighbour, self.now) is None
        self.driver.await_proof(neighbour, token)
        self.driver.pump()
        return token

    def send(self, key: bytes = PEER) -> tuple[Neighbour, Packet, Hashable]:
        neighbour = self.engine.neighbour(1, key, self.now)
        packet = Packet(b"\x45" + bytes(11) + US + key, AF_INET)
        token = next(self.tokens)
        self.driver.await_packet(packet, token)
        self.engine.release(neighbour, self.now)
        self.engine.send(neighbour, packet, self.now)
        self.driver.pump()
        return neighbour, packet, token

    def add(self, key: bytes = PEER, state: int = NUD_STALE, lladdr: bytes | None = THEIRS) -> None:
        self.engine.new_neighbour(
            1, key, self.now, lladdr=lladdr, state=state, nlm_flags=NLM_F_CREATE | NLM_F_REPLACE
        )
        self.driver.pump()

    def delete(self, key: bytes = PEER) -> None:
        self.engine.delete_neighbour(1, key, self.now)
        self.driver.pump()

    def state(self, key: bytes = PEER) -> int | None:
        neighbour = self.engine.lookup(1, key, self.now)
        return None if neighbour is None else neighbour.nud_state

    def subscribe(
        self, *, trace: bool = False, errors: bool = False, conflicts: bool = False, capacity: int = 1000
    ) -> Subscription:
        return self.driver.subscribe(trace=trace, errors=errors, conflicts=conflicts, capacity=capacity)


def answer(key: bytes = PEER, lladdr: bytes = THEIRS) -> bytes:
    return arp.build(arp.ARPOP_REPLY, key, lladdr, US, OURS, dst=OURS, src=lladdr)


def hint(key: bytes = PEER, lladdr: bytes = THEIRS) -> bytes:
    """A request for somebody else: evidence, but no proof."""
    target = parse_ip("198.51.100.9")[0]
    return arp.build(arp.ARPOP_REQUEST, key, lladdr, target, bytes(6), dst=BROADCAST, src=lladdr)


def keys(first: int, number: int) -> list[bytes]:
    return [bytes([198, 18, n // 250, 1 + n % 250]) for n in range(first, first + number)]


def taken(subscription: Subscription) -> list[object]:
    """Everything that can be taken now."""
    found: list[object] = []
    while (event := subscription.take()) is not None or subscription.walking:
        if event is not None:
            found.append(event)
    return found


def lines(subscription: Subscription) -> list[str]:
    return ["idle" if isinstance(event, Idle) else str(event) for event in taken(subscription)]


# -- the way in


def test_a_batch_takes_no_more_than_its_budget() -> None:
    shell = Shell()
    shell.link.inbox.extend([hint()] * 150)
    assert shell.driver.drain(1) is True
    assert len(shell.link.inbox) == 150 - 64
    assert shell.driver.drain(1, 80) is True
    assert shell.driver.drain(1, 80) is False
    assert not shell.link.inbox


def test_a_batch_is_done_whole_before_anything_is_sent() -> None:
    shell = Shell()
    others = keys(0, 3)
    for key in others:
        shell.send(key)
    shell.link.sent.clear()
    left: list[int] = []
    shell.link.on_send = lambda frame: left.append(len(shell.link.inbox))
    shell.link.inbox.extend(answer(key) for key in others)
    shell.driver.drain(1)
    assert left == [0, 0, 0]
    assert [frame[30:34] for frame in shell.link.sent] == others


def test_no_frame_raises_and_each_one_that_is_dropped_is_counted() -> None:
    shell = Shell()
    shell.add()
    frames = [answer()[:length] for length in range(len(answer()))] + [b"\x00" * 60, b"\xff" * 1514]
    shell.link.inbox.extend(frames)
    while shell.driver.drain(1):
        pass
    assert sum(shell.driver.names["va"].drops.values()) == len(frames)
    assert shell.state() == NUD_STALE


def test_a_link_that_went_down_is_reported_and_gives_what_it_still_holds() -> None:
    shell = Shell()
    shell.resolve()
    shell.link.inbox.extend([LinkDown(), answer()])
    assert shell.driver.drain(1) is True
    assert shell.troubles == [(1, LinkDown)]
    assert shell.driver.drain(1) is False
    assert shell.state() == NUD_REACHABLE


def test_a_link_that_is_gone_is_reported_and_drained_no_more() -> None:
    shell = Shell()
    shell.resolve()
    shell.link.inbox.extend([answer(), LinkGone(), answer()])
    assert shell.driver.drain(1) is False
    assert shell.troubles == [(1, LinkGone)]
    assert shell.state() == NUD_REACHABLE
    assert shell.woken == [(0, THEIRS)]


# -- the way out


@pytest.mark.parametrize(
    ("refusal", "counter", "outcome", "trouble"),
    [
        (LinkBusy, "tx_busy", PacketDropped, []),
        (FrameTooLong, "tx_busy", PacketDropped, []),
        (LinkDown, "tx_down", DeviceGone, [(1, LinkDown)]),
        (LinkGone, "tx_gone", DeviceGone, [(1, LinkGone)]),
    ],
)
def test_a_packet_that_a_link_refuses_is_counted_and_its_sender_told(
    refusal: type[Exception],
    counter: str,
    outcome: type[Exception],
    trouble: list[tuple[int, type[Exception]]],
) -> None:
    shell = Shell()
    shell.add(state=NUD_PERMANENT)
    shell.link.errors.append(refusal())
    _, _, token = shell.send()
    ((woken, error),) = shell.woken
    assert woken == token and type(error) is outcome
    assert shell.driver.counters == {counter: 1, "packets_failed": 1}
    assert shell.troubles == trouble
    assert shell.driver.waiting() == 0


@pytest.mark.parametrize(
    ("refusal", "counter"), [(LinkBusy, "tx_busy"), (LinkDown, "tx_down"), (LinkGone, "tx_gone")]
)
def test_a_solicitation_that_a_link_refuses_is_lost_and_the_timers_go_on(
    refusal: type[Exception], counter: str
) -> None:
    shell = Shell()
    shell.link.errors.append(refusal())
    shell.resolve()
    assert shell.link.sent == []
    assert shell.driver.counters == {counter: 1}
    assert shell.state() == NUD_INCOMPLETE
    shell.run(1.5)
    assert len(shell.link.sent) == 1
    shell.run(2.0)
    assert shell.state() == NUD_FAILED
    assert len(shell.link.sent) == 2


def test_one_refused_frame_does_not_keep_the_others_from_leaving() -> None:
    shell = Shell()
    for _ in range(3):
        shell.send()
    shell.link.sent.clear()
    shell.link.errors.append(LinkBusy())
    shell.link.inbox.append(answer())
    shell.driver.drain(1)
    assert len(shell.link.sent) == 2
    assert [type(outcome) for _, outcome in shell.woken] == [PacketDropped, type(None), type(None)]


def test_the_entry_is_complete_before_its_frame_is_sent() -> None:
    shell = Shell()
    seen: list[tuple[int, int, int]] = []

    def look(frame: bytes) -> None:
        neighbour = shell.engine.lookup(1, PEER, shell.now)
        assert neighbour is not None
        seen.append((neighbour.nud_state, neighbour.probes, neighbour.refcnt))

    shell.link.on_send = look
    shell.resolve()
    assert seen == [(NUD_INCOMPLETE, 4, 2)]


def test_an_answer_from_within_send_still_wakes_its_caller() -> None:
    shell = Shell()

    def answer_at_once(frame: bytes) -> None:
        shell.link.inbox.append(answer())
        shell.driver.drain(1)

    shell.link.on_send = answer_at_once
    _, token = shell.resolve()
    assert shell.woken == [(token, THEIRS)]
    assert shell.driver.waiting() == 0


def test_what_the_doing_causes_is_done_after_what_was_to_be_done() -> None:
    shell = Shell()
    subscription = shell.subscribe()
    taken(subscription)
    first, second = keys(0, 2)

    shell.send(first)
    shell.link.on_send = lambda frame: shell.add(second)
    shell.link.inbox.append(answer(first))
    shell.driver.drain(1)
    assert [event.key for event in taken(subscription) if isinstance(event, NewNeighbour)] == [first, second]


def test_a_deadline_that_came_nearer_is_armed() -> None:
    shell = Shell()
    scope = device_scope(1)
    assert shell.deadlines[scope] == float("inf")
    shell.resolve()
    assert shell.deadlines[scope] == 101.0
    shell.now = 101.0
    shell.driver.timers(scope)
    assert shell.deadlines[scope] == 102.0


def test_an_hour_missed_is_one_transition_and_one_frame_for_each_timer() -> None:
    shell = Shell()
    shell.resolve()
    shell.add(keys(0, 1)[0])
    shell.resolve(keys(0, 1)[0])
    shell.link.sent.clear()
    shell.now += 3600.0
    while shell.driver.timers(device_scope(1)):
        pass
    assert (shell.state(), shell.state(keys(0, 1)[0])) == (NUD_INCOMPLETE, NUD_PROBE)
    assert len(shell.link.sent) == 2
    assert shell.deadlines[device_scope(1)] == shell.now + 1.0


def test_a_flush_of_a_large_device_is_armed_as_due_and_goes_on_in_slices() -> None:
    shell = Shell()
    for key in keys(0, 600):
        shell.add(key)
    subscription = shell.subscribe()
    taken(subscription)
    shell.engine.set_lladdr(1, OURS, shell.now)
    shell.driver.pump()
    assert shell.deadlines[family_scope(AF_INET)] <= shell.now
    steps = []
    while shell.driver.timers(family_scope(AF_INET)):
        steps.append(len(taken(subscription)))
    steps.append(len(taken(subscription)))
    assert sum(steps) == 600
    assert max(steps) <= 256
    assert shell.deadlines[family_scope(AF_INET)] > shell.now


# -- waiters


def test_each_waiter_gets_one_outcome_and_an_exception_of_its_own() -> None:
    shell = Shell()
    tokens = [shell.resolve()[1] for _ in range(200)]
    assert shell.driver.waiting() == 200
    shell.run(4.0)
    assert [token for token, _ in shell.woken] == tokens
    errors = [error for _, error in shell.woken]
    assert all(isinstance(error, Unreachable) and "198.51.100.2 dev va" in str(error) for error in errors)
    assert len({id(error) for error in errors}) == 200
    assert shell.driver.waiting() == 0
    shell.link.inbox.append(answer())
    shell.driver.drain(1)
    assert len(shell.woken) == 200


def test_every_waiter_gets_the_address() -> None:
    shell = Shell()
    tokens = [shell.resolve()[1] for _ in range(3)]
    shell.link.inbox.append(answer())
    shell.driver.drain(1)
    assert shell.woken == [(token, THEIRS) for token in tokens]


def test_one_that_is_forgotten_leaves_the_others_waiting() -> None:
    shell = Shell()
    (neighbour, first), (_, second) = shell.resolve(), shell.resolve()
    shell.driver.forget(neighbour, first)
    shell.driver.forget(neighbour, first)
    assert shell.driver.waiting() == 1
    shell.link.inbox.append(answer())
    shell.driver.drain(1)
    assert shell.woken == [(second, THEIRS)]


def test_probing_goes_on_when_the_last_waiter_is_forgotten() -> None:
    shell = Shell()
    neighbour, token = shell.resolve()
    shell.driver.forget(neighbour, token)
    assert shell.driver.waiting() == 0
    shell.run(2.5)
    assert len(shell.link.sent) == 3
    shell.run(1.0)
    assert shell.state() == NUD_FAILED
    assert shell.woken == []


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (lambda shell: shell.delete(), Unreachable),
        (lambda shell: shell.add(state=NUD_NONE, lladdr=None), Unreachable),
        (lambda shell: shell.add(state=NUD_FAILED, lladdr=None), Unreachable),
        (lambda shell: shell.driver.detach(1), DeviceGone),
        (lambda shell: shell.driver.follow(1, StubLink(flags=WORKING & ~IFF_LOWER_UP)), DeviceGone),
        (lambda shell: shell.driver.follow(1, StubLink(flags=IFF_BROADCAST)), DeviceGone),
    ],
    ids=["delete", "admin-none", "admin-failed", "detach", "carrier", "down"],
)
def test_whatever_ends_incomplete_ends_the_wait(
    end: Callable[[Shell], object], error: type[Exception]
) -> None:
    shell = Shell()
    tokens = [shell.resolve()[1] for _ in range(200)]
    end(shell)
    assert [token for token, _ in shell.woken] == tokens
    assert {type(outcome) for _, outcome in shell.woken} == {error}
    assert len({id(outcome) for _, outcome in shell.woken}) == 200
    assert shell.driver.waiting() == 0


def test_a_flush_of_a_large_device_ends_every_wait_in_the_end() -> None:
    shell = Shell()
    tokens = {shell.resolve(key)[1] for key in keys(0, 700)}
    shell.driver.follow(1, StubLink(flags=IFF_BROADCAST))
    shell.run(0.0)
    assert Counter(type(outcome) for _, outcome in shell.woken) == {DeviceGone: 700}
    assert {token for token, _ in shell.woken} == tokens
    assert shell.driver.waiting() == 0


def test_one_who_waits_for_the_next_entry_of_the_same_address_is_not_told_of_the_last() -> None:
    shell = Shell()
    shell.resolve()
    shell.delete()
    shell.woken.clear()
    _, token = shell.resolve()
    assert shell.woken == []
    shell.link.inbox.append(answer())
    shell.driver.drain(1)
    assert shell.woken == [(token, THEIRS)]


def test_proof_is_the_next_confirmation() -> None:
    shell = Shell()
    shell.add()
    neighbour, _ = shell.resolve()
    shell.woken.clear()
    tokens = [shell.verify(neighbour) for _ in range(2)]
    assert shell.state() == NUD_PROBE
    shell.link.inbox.append(answer())
    shell.driver.drain(1)
    assert shell.woken == [(token, THEIRS) for token in tokens]
    assert shell.driver.waiting() == 0


def test_a_hint_is_no_proof_and_the_entry_is_probed_again() -> None:
    shell = Shell()
    shell.add()
    neighbour, _ = shell.resolve()
    shell.woken.clear()
    token = shell.verify(neighbour)
    other = LinkAddress("02:00:00:00:00:0c")
    shell.now += 2.0
    shell.link.inbox.append(hint(lladdr=other))
    shell.driver.drain(1)
    assert shell.woken == []
    assert shell.state() == NUD_PROBE
    shell.link.inbox.append(answer(lladdr=other))
    shell.driver.drain(1)
    assert shell.woken == [(token, other)]


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (lambda shell: shell.run(5.0), Unreachable),
        (lambda shell: shell.delete(), Unreachable),
        (lambda shell: shell.driver.detach(1), DeviceGone),
    ],
    ids=["mute", "delete", "detach"],
)
def test_whatever_makes_proof_impossible_ends_the_wait_for_it(
    end: Callable[[Shell], object], error: type[Exception]
) -> None:
    shell = Shell()
    shell.add()
    neighbour, _ = shell.resolve()
    shell.woken.clear()
    tokens = [shell.verify(neighbour) for _ in range(3)]
    end(shell)
    assert [(token, type(outcome)) for token, outcome in shell.woken] == [(token, error) for token in tokens]
    assert len({id(outcome) for _, outcome in shell.woken}) == 3
    assert shell.driver.waiting() == 0


def test_a_packet_that_is_forgotten_leaves_the_queue() -> None:
    shell = Shell()
    shell.send()
    neighbour, packet, _ = shell.send()
    _, _, third = shell.send()
    shell.driver.forget_packet(neighbour, packet)
    shell.link.sent.clear()
    shell.link.inbox.append(answer())
    shell.driver.drain(1)
    assert len(shell.link.sent) == 2
    assert shell.woken == [(0, None), (third, None)]
    assert shell.driver.waiting() == 0


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (lambda shell: shell.run(4.0), Unreachable),
        (lambda shell: shell.delete(), Unreachable),
        (lambda shell: shell.driver.detach(1), DeviceGone),
    ],
    ids=["mute", "delete", "detach"],
)
def test_whatever_ends_a_queue_ends_its_senders_waits(
    end: Callable[[Shell], object], error: type[Exception]
) -> None:
    shell = Shell()
    tokens = [shell.send()[2] for _ in range(3)]
    end(shell)
    assert [(token, type(outcome)) for token, outcome in shell.woken] == [(token, error) for token in tokens]
    assert len({id(outcome) for _, outcome in shell.woken}) == 3
    assert shell.driver.waiting() == 0


def test_abandoning_ends_every_wait_and_every_subscription() -> None:
    shell = Shell()
    shell.add(keys(0, 1)[0])
    neighbour, address = shell.resolve()
    _, _, packet = shell.send()
    verified, _ = shell.resolve(keys(0, 1)[0])
    proof = shell.verify(verified)
    record = shell.driver.open_probe(1, PEER)
    record.token = "probe"
    subscription = shell.subscribe()
    subscription.token = "events"
    shell.woken.clear()
    shell.driver.abandon(lambda: LookupError("closed"))
    assert {token for token, outcome in shell.woken if isinstance(outcome, LookupError)} == {
        address,
        packet,
        proof,
        "probe",
    }
    assert ("events", None) in shell.woken and subscription.closed
    assert len({id(outcome) for _, outcome in shell.woken}) == 5
    shell.driver.close_probe(1, PEER, record)
    assert shell.driver.waiting() == 0
    shell.run(5.0)
    assert len(shell.woken) == 5
    assert neighbour.nud_state == NUD_FAILED


def test_a_probe_collects_every_answer_and_wakes_for_the_first() -> None:
    shell = Shell()
    neighbour = shell.engine.begin_probe(1, PEER, shell.now)
    records = [shell.driver.open_probe(1, PEER) for _ in range(2)]
    records[0].token = "first"
    other = LinkAddress("02:00:00:00:00:0c")
    shell.link.inbox.extend([answer(), answer(lladdr=other)])
    shell.driver.drain(1)
    assert shell.woken == [("first", None)]
    assert [[found.lladdr for found in record.answers] for record in records] == [[THEIRS, other]] * 2
    shell.driver.close_probe(1, PEER, records[0])
    shell.link.inbox.append(answer())
    shell.driver.drain(1)
    assert [len(record.answers) for record in records] == [2, 3]
    shell.driver.close_probe(1, PEER, records[1])
    shell.engine.end_probe(neighbour, 1, PEER, shell.now)
    assert shell.driver.waiting() == 0


def test_a_probe_on_a_device_that_goes_is_woken() -> None:
    shell = Shell()
    record = shell.driver.open_probe(1, PEER)
    record.token = "probe"
    silent = shell.driver.open_probe(1, PEER)
    shell.driver.detach(1)
    ((token, error),) = shell.woken
    assert token == "probe" and isinstance(error, DeviceGone)
    for one in (record, silent):
        shell.driver.close_probe(1, PEER, one)
    assert shell.driver.waiting() == 0


def test_a_sweep_is_told_of_answers_once_a_batch_until_it_ends() -> None:
    shell = Shell()
    heard: list[list[LinkAddress]] = []

    def take() -> None:
        heard.append([LinkAddress(lladdr) for _, lladdr, _ in targets.answers])
        targets.answers.clear()

    targets = shell.driver.begin_sweep(1, AF_INET, take)
    assert shell.driver.ask(1, targets, [PEER, ABSENT]) == 0
    assert len(shell.link.sent) == 2
    for _ in range(3):
        shell.link.inbox.append(answer())
    shell.driver.drain(1)
    assert heard == [[THEIRS] * 3]
    shell.driver.drain(1)
    assert not shell.driver.end_sweep(1, targets, keep=False)
    shell.link.inbox.append(answer())
    shell.driver.drain(1)
    assert len(heard) == 1


def test_a_sweep_is_told_how_many_solicitations_the_link_did_not_take() -> None:
    shell = Shell()
    targets = shell.driver.begin_sweep(1, AF_INET, list)
    shell.link.errors.append(LinkBusy("va"))
    assert shell.driver.ask(1, targets, [PEER, ABSENT]) == 2
    assert shell.driver.counters == {"tx_busy": 1}


# -- groups, and addresses of a host

OWN = parse_ip("198.51.100.5")[0]
OWN6 = parse_ip("2001:db8::5")[0]


def host(shell: Shell) -> StubLink:
    """A second device, ``vh``, in the host role."""
    link = StubLink("vh", 2)
    shell.driver.attach(link, answers=True)
    return link


def want(shell: Shell, ip: bytes, defence: str = "none") -> Hashable:
    token = next(shell.tokens)
    shell.driver.await_claim(2, ip, token)
    shell.engine.claim_address(2, Address(ip, 24), shell.now, defence=defence)
    shell.driver.pump()
    return token


def conflict(ip: bytes = OWN) -> bytes:
    return arp.build(arp.ARPOP_REQUEST, ip, THEIRS, ip, bytes(6), dst=BROADCAST, src=THEIRS)


def test_a_link_lets_in_the_groups_that_its_device_listens_to() -> None:
    shell = Shell()
    nodes, solicited = bytes.fromhex("333300000001"), bytes.fromhex("3333ff000005")
    assert shell.link.groups == [nodes]
    shell.engine.add_address(1, Address(OWN6, 64), shell.now)
    assert shell.link.groups == [nodes]
    shell.driver.pump()
    assert shell.link.groups == [nodes, solicited]
    shell.engine.remove_address(1, OWN6, 64, shell.now)
    shell.driver.pump()
    assert shell.link.groups == [nodes]


def test_a_link_that_is_gone_when_it_is_told_of_a_group_is_reported() -> None:
    shell = Shell()

    def gone(group: bytes) -> None:
        raise LinkGone

    shell.link.join = gone  # type: ignore[method-assign]
    shell.engine.add_address(1, Address(OWN6, 64), shell.now)
    shell.driver.pump()
    assert shell.troubles == [(1, LinkGone)]


@pytest.mark.parametrize("ip", [OWN, OWN6])
def test_who_wants_an_address_is_woken_once_when_it_is_in_use(ip: bytes) -> None:
    shell = Shell()
    host(shell)
    tokens = [want(shell, ip)]
    shell.driver.await_claim(2, ip, tokens[0])
    assert (shell.woken, shell.driver.waiting()) == ([], 1)
    shell.run(30.0)
    assert shell.woken == [(tokens[0], None)]
    assert shell.driver.waiting() == 0


def test_who_wants_an_address_that_is_somebody_elses_is_told_whose() -> None:
    shell = Shell()
    link = host(shell)
    token = want(shell, OWN)
    link.inbox.append(conflict())
    shell.driver.drain(2)
    ((woken, error),) = shell.woken
    assert woken == token and isinstance(error, DuplicateAddress)
    assert (error.ip, error.device, error.lladdr) == ("198.51.100.5", "vh", THEIRS)
    assert shell.driver.waiting() == 0


def test_who_does_not_want_it_any_more_is_not_woken() -> None:
    shell = Shell()
    host(shell)
    token = want(shell, OWN)
    shell.driver.forget_claim(2, OWN, token)
    shell.driver.forget_claim(2, OWN, token)
    assert shell.driver.waiting() == 0
    shell.run(30.0)
    assert shell.woken == []


def test_a_device_that_goes_ends_the_wait_for_its_addresses() -> None:
    shell = Shell()
    host(shell)
    tokens = [want(shell, ip) for ip in (OWN, OWN6)]
    shell.driver.detach(2)
    assert [(token, type(error)) for token, error in shell.woken] == [(token, DeviceGone) for token in tokens]
    assert shell.driver.waiting() == 0


def test_conflicts_are_shown_to_who_asked_for_them_and_to_nobody_else() -> None:
    shell = Shell()
    link = host(shell)
    want(shell, OWN, defence="cease")
    shell.run(30.0)
    shown, plain = shell.subscribe(conflicts=True), shell.subscribe(trace=True, errors=True)
    taken(shown), taken(plain)
    link.inbox.append(conflict())
    shell.driver.drain(2)
    (event,) = taken(shown)
    assert isinstance(event, AddressConflict)
    assert (event.ip, event.device, event.lladdr, event.action) == ("198.51.100.5", "vh", THEIRS, "ceased")
    assert taken(plain) == []


# -- subscriptions


def test_a_subscription_shows_the_entries_then_idle_then_changes() -> None:
    shell = Shell()
    shell.add(keys(0, 1)[0], NUD_PERMANENT)
    shell.engine.neighbour(1, PEER, shell.now)
    subscription = shell.subscribe()
    shell.now = 107.0
    assert lines(subscription) == [
        "198.18.0.1 dev va lladdr 02:00:00:00:00:0b PERMANENT",
        "198.51.100.2 dev va",
        "idle",
    ]
    shell.add()
    shell.delete()
    assert lines(subscription) == [
        "198.51.100.2 dev va lladdr 02:00:00:00:00:0b STALE",
        "198.51.100.2 dev va FAILED",
    ]


def test_a_subscription_to_an_empty_table_is_idle_at_once() -> None:
    shell = Shell()
    assert taken(shell.subscribe()) == [Idle(100.0)]


def test_existing_entries_are_walked_256_a_step_as_the_consumer_asks() -> None:
    shell = Shell()
    everyone = keys(0, 600)
    for key in everyone:
        shell.add(key)
    subscription = shell.subscribe(capacity=3)
    first = subscription.take()
    assert isinstance(first, NewNeighbour) and first.key == everyone[0]

    shell.add(everyone[100], NUD_PERMANENT)  # walked: told
    shell.add(everyone[500], NUD_PERMANENT)  # not yet: shown by the walk
    shell.delete(everyone[599])  # not yet: never seen
    shell.delete(everyone[0])  # walked: told, twice: it fails, and goes
    events = [first, *taken(subscription)]

    assert isinstance(events[-1], Idle)
    seen = [(event.key, type(event), event.state) for event in events[:-1]]  # type: ignore[attr-defined]
    times = Counter(key for key, _, _ in seen)
    assert times.pop(everyone[0]) == 3
    assert times.pop(everyone[100]) == 2
    assert set(times.values()) == {1} and set(times) == set(everyone[1:599]) - {everyone[100]}
    assert (everyone[500], NewNeighbour, NUD_PERMANENT) in seen
    where = seen.index((everyone[100], NewNeighbour, NUD_PERMANENT))
    assert 255 <= where <= 256, (
        "a change is told after the step that showed the entry, and before the next step"
    )
    assert seen[where + 1 : where + 3] == [
        (everyone[0], NewNeighbour, NUD_FAILED),
        (everyone[0], DelNeighbour, NUD_FAILED),
    ]


def test_a_change_to_any_entry_during_the_walk_is_seen_once() -> None:
    shell = Shell()
    everyone = keys(0, 600)
    for key in everyone:
        shell.add(key)
    subscription = shell.subscribe()
    subscription.take()
    for key in everyone:
        shell.add(key, NUD_PERMANENT)
    found = [event for event in taken(subscription) if isinstance(event, NewNeighbour)]
    permanent = [event.key for event in found if event.state == NUD_PERMANENT]
    assert sorted(permanent) == sorted(everyone)


def test_an_entry_that_is_made_during_the_walk_is_seen_once() -> None:
    shell = Shell()
    for key in keys(0, 300):
        shell.add(key)
    subscription = shell.subscribe()
    subscription.take()
    shell.add(PEER)
    assert lines(subscription).count("198.51.100.2 dev va lladdr 02:00:00:00:00:0b STALE") == 1


def test_what_a_flush_under_way_has_doomed_is_not_shown() -> None:
    shell = Shell()
    for key in keys(0, 300):
        shell.add(key)
    shell.engine.set_lladdr(1, OURS, shell.now)
    shell.driver.pump()
    subscription = shell.subscribe()
    assert taken(subscription) == [Idle(100.0)]


def test_overflow_ends_a_subscription_after_it_yielded_what_it_held() -> None:
    shell = Shell()
    subscription = shell.subscribe(capacity=2)
    assert lines(subscription) == ["idle"]
    others = keys(0, 4)
    for key in others[:2]:
        shell.add(key)
    assert not subscription.overflowed
    for key in others[2:]:
        shell.add(key)
    assert [subscription.take().key for _ in range(2)] == others[:2]  # type: ignore[union-attr]
    for _ in range(2):
        with pytest.raises(SubscriberOverflow):
            subscription.take()


def test_overflow_during_the_walk_ends_the_walk() -> None:
    shell = Shell()
    everyone = keys(0, 300)
    for key in everyone:
        shell.add(key)
    subscription = shell.subscribe(capacity=1)
    subscription.take()
    for key in everyone[:2]:
        shell.add(key, NUD_PERMANENT)
    found: list[object] = []
    with pytest.raises(SubscriberOverflow):
        found.extend(iter(subscription.take, None))
    assert not any(isinstance(event, Idle) for event in found)


def test_one_subscription_overflows_alone() -> None:
    shell = Shell()
    slow, quick = shell.subscribe(capacity=1), shell.subscribe(capacity=3)
    assert lines(slow) == lines(quick) == ["idle"]
    for key in keys(0, 3):
        shell.add(key)
    assert slow.overflowed and not quick.overflowed
    assert len(taken(quick)) == 3


@pytest.mark.parametrize(
    ("trace", "errors", "expected"),
    [
        (False, False, [NewNeighbour]),
        (False, True, [PacketFailed, NewNeighbour]),
        (True, False, [Change, Change, NewNeighbour]),
        (True, True, [Change, Change, PacketFailed, NewNeighbour]),
    ],
)
def test_a_subscription_sees_what_it_asked_for(trace: bool, errors: bool, expected: list[type]) -> None:
    shell = Shell()
    other = shell.subscribe(trace=not trace, errors=not errors)
    subscription = shell.subscribe(trace=trace, errors=errors)
    taken(other), taken(subscription)
    shell.send()
    shell.run(4.0)
    found = [type(event) for event in taken(subscription)]
    assert Counter(found) == Counter(expected)
    assert found[0] is expected[0] and found[-1] is NewNeighbour


def test_silent_changes_are_traced_only_while_somebody_wants_them() -> None:
    shell = Shell()
    assert not shell.engine.services.tracing
    first, second = shell.subscribe(trace=True), shell.subscribe(trace=True)
    shell.driver.unsubscribe(first)
    assert shell.engine.services.tracing
    shell.driver.unsubscribe(second)
    assert not shell.engine.services.tracing


def test_a_driver_that_is_to_trace_traces_whoever_subscribes() -> None:
    shell = Shell(trace=True)
    shell.driver.unsubscribe(shell.subscribe(trace=False))
    assert shell.engine.services.tracing


def test_a_waiting_consumer_is_woken_once() -> None:
    shell = Shell()
    subscription = shell.subscribe()
    taken(subscription)
    subscription.token = "consumer"
    for key in keys(0, 3):
        shell.add(key)
    assert shell.woken == [("consumer", None)]


def test_a_waiting_consumer_is_not_woken_for_what_it_does_not_see() -> None:
    shell = Shell()
    subscription = shell.subscribe()
    taken(subscription)
    subscription.token = "consumer"
    shell.send()
    assert shell.woken == []


def test_overflow_wakes_the_consumer() -> None:
    shell = Shell()
    subscription = shell.subscribe(capacity=0)
    taken(subscription)
    subscription.token = "consumer"
    shell.add()
    assert shell.woken == [("consumer", None)]
    with pytest.raises(SubscriberOverflow):
        subscription.take()


def test_unsubscribing_wakes_the_consumer_and_is_told_nothing_more() -> None:
    shell = Shell()
    subscription = shell.subscribe()
    taken(subscription)
    subscription.token = "consumer"
    shell.driver.unsubscribe(subscription)
    shell.driver.unsubscribe(subscription)
    assert subscription.closed
    assert shell.woken == [("consumer", None)]
    shell.add()
    assert taken(subscription) == []


# -- devices


def test_a_device_is_what_its_link_says() -> None:
    shell = Shell()
    link = StubLink("vb", 7, flags=WORKING | IFF_NOARP)
    link.lladdr = THEIRS
    link.mtu = 9000
    device = shell.driver.attach(link)
    assert (device.name, device.index, device.lladdr, device.mtu) == ("vb", 7, THEIRS, 9000)
    assert device.noarp and shell.driver.index("vb") == 7
    assert shell.engine.node.devices[7] is device
    assert shell.deadlines[device_scope(7)] == float("inf")


def test_a_device_that_the_node_knows_stays_the_same() -> None:
    shell = Shell()
    known = Device("vk", 9, OURS, flags=WORKING, mtu=1280)
    shell.engine.node.add_device(known)
    known.addresses.append(Address(PEER, 32))
    assert shell.driver.attach(StubLink("vk", 9)) is known
    assert known.mtu == 1280


@pytest.mark.parametrize(("name", "index"), [("va", 2), ("vb", 1)], ids=["name", "index"])
def test_a_name_or_index_is_attached_once(name: str, index: int) -> None:
    shell = Shell()
    shell.add()
    with pytest.raises(InvalidAddress):
        shell.driver.attach(StubLink(name, index))
    assert list(shell.driver.links.values()) == [shell.link]
    assert list(shell.driver.names) == ["va"]
    assert shell.state() == NUD_STALE


def test_a_detached_device_is_forgotten_and_may_come_back() -> None:
    shell = Shell()
    shell.add()
    subscription = shell.subscribe()
    taken(subscription)
    shell.driver.detach(1)
    assert lines(subscription) == ["Deleted 198.51.100.2 dev va lladdr 02:00:00:00:00:0b STALE"]
    assert (shell.driver.links, shell.driver.names) == ({}, {})
    shell.driver.attach(shell.link)
    assert shell.state() is None


GONE = "Deleted 198.51.100.2 dev va lladdr 02:00:00:00:00:0b STALE"
STATIC_GONE = "Deleted 198.18.0.1 dev va lladdr 02:00:00:00:00:0b PERMANENT"


@pytest.mark.parametrize(
    ("facts", "events"),
    [
        ({}, []),
        ({"mtu": 1400}, []),
        ({"flags": WORKING & ~IFF_BROADCAST}, []),
        ({"flags": WORKING & ~(IFF_UP | IFF_LOWER_UP)}, [GONE, STATIC_GONE]),
        ({"flags": WORKING & ~IFF_LOWER_UP}, [GONE]),
        ({"lladdr": THEIRS}, [GONE, STATIC_GONE]),
        ({"flags": WORKING | IFF_NOARP}, [GONE, STATIC_GONE]),
        ({"name": "vz"}, []),
    ],
    ids=["nothing", "mtu", "other-flag", "down", "carrier", "address", "noarp", "name"],
)
def test_each_fact_that_changed_is_its_own_stimulus(facts: dict[str, object], events: list[str]) -> None:
    shell = Shell()
    shell.add(keys(0, 1)[0], NUD_PERMANENT)
    shell.add()
    subscription = shell.subscribe()
    taken(subscription)
    told = StubLink()
    for name, value in facts.items():
        setattr(told, name, value)
    shell.driver.follow(1, told)
    assert lines(subscription) == events
    device = shell.engine.node.devices[1]
    assert (device.name, device.flags, device.lladdr, device.mtu) == (
        told.name,
        told.flags,
        told.lladdr,
        told.mtu,
    )
    assert shell.driver.names == {told.name: device}
    shell.driver.follow(1, told)
    assert lines(subscription) == []


def test_up_again_without_carrier_and_with_it() -> None:
    shell = Shell()
    shell.driver.follow(1, StubLink(flags=IFF_BROADCAST))
    shell.driver.follow(1, StubLink(flags=IFF_BROADCAST | IFF_UP))
    device = shell.engine.node.devices[1]
    assert device.up and not device.carrier
    shell.add()
    subscription = shell.subscribe()
    taken(subscription)
    shell.driver.follow(1, StubLink())
    assert device.carrier
    assert lines(subscription) == []


def test_the_carrier_of_a_device_that_is_down_takes_nothing_along() -> None:
    shell = Shell()
    shell.driver.follow(1, StubLink(flags=IFF_BROADCAST | IFF_LOWER_UP))
    shell.add()
    shell.driver.follow(1, StubLink(flags=IFF_BROADCAST))
    assert shell.state() == NUD_STALE


def test_facts_of_a_device_without_a_link_are_followed_too() -> None:
    shell = Shell()
    shell.engine.node.add_device(Device("vk", 5, OURS, flags=WORKING))
    shell.driver.follow(5, StubLink("vy", 5))
    assert shell.engine.node.devices[5].name == "vy"
    assert list(shell.driver.names) == ["va"]


def test_solicitations_carry_the_new_address() -> None:
    shell = Shell()
    told = StubLink()
    told.lladdr = LinkAddress("02:00:00:00:00:1a")
    shell.driver.follow(1, told)
    shell.resolve()
    assert shell.link.sent[0][6:12] == told.lladdr
    assert shell.link.sent[0][22:28] == told.lladdr


@pytest.mark.parametrize(
    ("ip", "dev", "place"),
    [
        ("198.51.100.2", "va", (1, PEER)),
        ("fe80::1%va", None, (1, LINK_LOCAL)),
        ("fe80::1%va", "va", (1, LINK_LOCAL)),
        (PEER, "vb", (2, PEER)),
        ("fe80::1%vb", None, (2, LINK_LOCAL)),
        ("198.51.100.2", None, "name one of va, vb"),
        ("fe80::1%va", "vb", "contradicts"),
        ("198.51.100.2%va", None, "zone"),
        ("198.51.100.2", "vx", "'vx' is not attached"),
        ("fe80::1%vx", None, "'vx' is not attached"),
        ("0.0.0.0", "va", "unspecified"),
        ("::", "va", "unspecified"),
        ("198.51.100", "va", "ip"),
    ],
)
def test_a_place_is_an_address_on_an_attached_device(
    ip: str | bytes, dev: str | None, place: tuple[int, bytes] | str
) -> None:
    shell = Shell()
    shell.driver.attach(StubLink("vb", 2))
    if isinstance(place, str):
        with pytest.raises(InvalidAddress, match=place):
            shell.driver.place(ip, dev)
    else:
        assert shell.driver.place(ip, dev) == place


def test_with_one_device_none_need_be_named() -> None:
    shell = Shell()
    assert shell.driver.place("198.51.100.2", None) == (1, PEER)
    shell.driver.detach(1)
    with pytest.raises(InvalidAddress, match="none is attached"):
        shell.driver.place("198.51.100.2", None)


def test_delay_is_silent_but_traced() -> None:
    shell = Shell()
    shell.add()
    plain, traced = shell.subscribe(), shell.subscribe(trace=True)
    taken(plain), taken(traced)
    shell.resolve()
    assert taken(plain) == []
    (change,) = taken(traced)
    assert isinstance(change, Change)
    assert (change.old_state, change.state, change.notified) == (NUD_STALE, NUD_DELAY, False)


def test_a_packet_that_a_link_refuses_is_shown_to_who_asked_for_errors() -> None:
    shell = Shell()
    shell.add(state=NUD_PERMANENT)
    errors, plain = shell.subscribe(errors=True), shell.subscribe()
    taken(errors), taken(plain)
    shell.link.errors.append(LinkBusy())
    neighbour, packet, _ = shell.send()
    (failed,) = taken(errors)
    assert isinstance(failed, PacketFailed)
    assert (failed.key, failed.device, failed.packet) == (neighbour.key, neighbour.dev, packet)
    assert (failed.error, failed.reported, taken(plain)) == (PacketDropped, False, [])
