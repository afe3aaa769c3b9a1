"""The lives that are kept for a picture: bounded, and still true when much is left out."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from neighio.address import LinkAddress
from neighio.core.constants import AF_INET, NUD_PROBE, NUD_REACHABLE, NUD_STALE
from neighio.core.events import Change
from neighio.plot import Mark, draw
from neighio.replay.picture import MOST_LIVES, MOST_MARKS, MOST_ROWS, MOST_STATES, Lives

from .office import PICTURE, draw_office
from .recording import ip4, mac


def change(time: float, number: int, state: int, old: int, *, at: int = 1, was: int = 1) -> Change:
    key = bytes([198, 18, *number.to_bytes(2, "big")])
    here, before = LinkAddress(mac(at)), LinkAddress(mac(was))
    return Change(time, AF_INET, key, "eth0", "evidence", old, state, before, here, 0, 0, True, number)


def flapping(lives: Lives, times: list[float], number: int = 1) -> None:
    """STALE and REACHABLE in turn."""
    states = [NUD_STALE, NUD_REACHABLE]
    for count, time in enumerate(times):
        lives.change(change(time, number, states[count % 2], states[(count + 1) % 2]))


def test_what_changes_to_and_fro_at_equal_times_still_does_when_much_is_left_out() -> None:
    lives = Lives()
    flapping(lives, [float(number) for number in range(10000)])

    (row,) = lives.rows()
    assert MOST_STATES // 4 < len(row.states) <= MOST_STATES
    times = [time for time, _ in row.states]
    assert times == sorted(times) and (times[0], times[-1]) == (0.0, 9999.0)
    # All over the time, and no longer gap than a fifth of it.
    assert max(late - early for early, late in pairwise(times)) < 2000.0
    assert {state for _, state in row.states} == {"STALE", "REACHABLE"}
    assert lives.notes() == ["of neighbours with very many changes the shortest are not shown"]


def test_the_long_states_are_kept_when_the_short_ones_go() -> None:
    lives = Lives()
    times, now = [], 0.0
    for number in range(2000):
        times.append(now)
        now += 1000.0 if number % 100 == 99 else 0.1
    flapping(lives, times)
    (row,) = lives.rows()

    for time in times[99::100]:
        assert [state for begun, state in row.states if begun <= time + 500.0][-1] == "REACHABLE"


def test_marks_are_bounded() -> None:
    lives = Lives()
    lives.change(change(0.0, 1, NUD_STALE, 0))
    for number in range(5000):
        lives.mark("eth0", bytes([198, 18, 0, 1]), Mark(float(number), "asked"))
        lives.change(change(float(number), 1, NUD_STALE, NUD_STALE, at=number % 9, was=number % 9 + 1))

    (row,) = lives.rows()
    for kind in ("asked", "moved"):
        times = [mark.time for mark in row.marks if mark.kind == kind]
        assert MOST_MARKS // 2 <= len(times) <= MOST_MARKS
        assert times[0] == 0.0 and times == sorted(times) and times[-1] > 4900
    assert "before 8 others" in row.detail


def test_lives_are_bounded_and_the_liveliest_are_shown() -> None:
    lives = Lives()
    for number in range(MOST_LIVES + 500):
        lives.change(change(float(number), number, NUD_STALE, 0))
    for number in range(100, 100 + MOST_ROWS):
        lives.change(change(5000.0, number, NUD_PROBE, NUD_STALE))

    rows = lives.rows()
    assert [row.label for row in rows] == [
        f"198.18.0.{number} dev eth0" for number in range(100, 100 + MOST_ROWS)
    ]
    assert lives.left_out == MOST_LIVES + 500 - MOST_ROWS
    assert lives.notes() == [f"{MOST_ROWS} neighbours of {MOST_LIVES + 500}, those with the most changes"]
    assert f"of {MOST_LIVES + 500}" in draw(rows, title="a", end=1.0, notes=lives.notes())


def test_who_was_never_in_the_table_has_no_row() -> None:
    lives = Lives()
    lives.mark("eth0", ip4(7), Mark(0.0, "asked"))

    assert lives.rows() == []


def test_the_picture_of_the_documentation_is_what_is_drawn(tmp_path: Path) -> None:
    drawn = tmp_path / "office.svg"
    draw_office(drawn)

    assert drawn.read_text(encoding="utf-8") == PICTURE.read_text(encoding="utf-8")
