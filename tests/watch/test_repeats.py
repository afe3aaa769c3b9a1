"""Once, and then counted: Repeats."""

from __future__ import annotations

from neighio.watch.judge import Finding
from neighio.watch.repeats import EACH, LONGEST_QUIET, MOST_AT_ONCE, MOST_TOPICS, QUIET, Repeats

A, B, C = bytes(5) + b"\x0a", bytes(5) + b"\x0b", bytes(5) + b"\x0c"
IP = bytes((198, 51, 100, 7))


def finding(
    time: float = 0.0,
    kind: str = "duplicate",
    key: bytes | None = IP,
    lladdr: bytes = A,
    other: bytes | None = B,
    device: str = "eth0",
) -> Finding:
    return Finding(time, time, kind, device, key, lladdr, other, None)


def told(repeats: Repeats, time: float, *, closing: bool = False) -> list[int]:
    """Have what is due told; return how often each was seen."""
    found = []
    for topic in repeats.due(time, closing=closing):
        topic.told = topic.times
        found.append(topic.times)
    return found


def take(repeats: Repeats, one: Finding) -> bool:
    """Whether a finding is one that is told now."""
    topic = repeats.take(one)
    is_new = not topic.told
    topic.told = topic.told or topic.times
    return is_new


def test_what_is_the_same_whoever_of_two_was_first() -> None:
    repeats = Repeats()
    assert take(repeats, finding())
    assert not take(repeats, finding(lladdr=B, other=A))
    assert take(repeats, finding(lladdr=C))
    assert take(repeats, finding(kind="moved"))
    assert take(repeats, finding(device="eth1"))
    assert take(repeats, finding(key=bytes((198, 51, 100, 8))))


def test_repetitions_are_told_after_longer_and_longer_times() -> None:
    repeats = Repeats()
    take(repeats, finding())
    times, now, waits = 1, 0.0, []
    for _ in range(10):
        begun = now
        while True:
            repeats.take(finding(now))
            times += 1
            now += QUIET / 2
            if (found := told(repeats, now)) != []:
                assert found == [times]
                break
        waits.append(now - begun)
    assert waits[:4] == [QUIET, 2 * QUIET, 4 * QUIET, 8 * QUIET]
    assert waits[-1] == LONGEST_QUIET


def test_what_was_not_seen_again_is_told_as_new_when_it_is() -> None:
    repeats = Repeats()
    take(repeats, finding())
    assert told(repeats, QUIET - 1) == []
    assert not take(repeats, finding(QUIET - 1))
    assert told(repeats, QUIET) == [2]
    assert told(repeats, 3 * QUIET) == []
    assert take(repeats, finding(3 * QUIET))


def test_at_the_end_what_was_counted_is_told() -> None:
    repeats = Repeats()
    take(repeats, finding())
    take(repeats, finding(lladdr=C))
    take(repeats, finding(1.0))
    assert told(repeats, 1.0, closing=True) == [2]
    assert told(repeats, 1.0, closing=True) == []


def test_of_too_many_at_once_one_tells_of_the_rest() -> None:
    repeats = Repeats()
    many = [finding(0.0, "new", None, number.to_bytes(6, "big"), None) for number in range(MOST_AT_ONCE + 50)]
    topics = [repeats.take(one) for one in many]
    rest = topics[MOST_AT_ONCE]
    assert len(set(map(id, topics))) == MOST_AT_ONCE + 1
    assert rest.times == 50 and rest.finding.lladdr is None and rest.finding.note == "more of them"
    # Another kind has room of its own, and this one again after a while.
    assert repeats.take(finding()).finding.lladdr == A
    assert repeats.take(finding(EACH, "new", None, C, None)).finding.lladdr == C


def test_what_is_counted_is_bounded() -> None:
    repeats = Repeats()
    now = 0.0
    for number in range(MOST_TOPICS + 1):
        now += EACH
        take(repeats, finding(now, "moved", lladdr=number.to_bytes(6, "big")))
    assert take(repeats, finding(now, "moved", lladdr=bytes(6)))
    assert not take(repeats, finding(now, "moved", lladdr=MOST_TOPICS.to_bytes(6, "big")))
