"""What ``neighio top`` draws, and what keys do to it; without a terminal."""

from __future__ import annotations

import re
from typing import Any

import pytest

from neighio.cli.top.drawing import Line, Pen, age, text_of
from neighio.cli.top.keys import split_keys
from neighio.cli.top.model import STATES, Fill, Neighbours
from neighio.cli.top.order import COLUMNS, Order
from neighio.cli.top.view import View

from .test_top_model import ONE, change, entry, told

NOW = 1000.0


class Table:
    """Some neighbours, looked at."""

    def __init__(self, count: int = 0, **options: Any) -> None:
        self.neighbours = Neighbours()
        self.neighbours.whole = True
        self.order = Order(self.neighbours)
        self.view = View(**options)
        self.pen = Pen("somebody")
        for number in range(1, count + 1):
            self.neighbours.show(entry(f"198.51.100.{number}"), NOW)

    def draw(self, width: int = 100, height: int = 30) -> list[str]:
        self.order.choose(self.view.wanted, self.view.column)
        self.order.settle()
        lines, _ = self.pen.draw(self.neighbours, self.order, self.view, width, height, NOW)
        assert len(lines) == height
        assert all(sum(len(text) for text, _ in line) <= width for line in lines)
        assert all(text.isascii() and text.isprintable() for line in lines for text, _ in line if text)
        return [text_of(line) for line in lines]

    def rows(self, width: int = 100, height: int = 30) -> list[str]:
        lines = self.draw(width, height)
        heading = next(number for number, line in enumerate(lines) if line.startswith("ADDRESS"))
        return [line for line in lines[heading + 1 : -1] if line]

    def press(self, *keys: str) -> None:
        for key in keys:
            self.view.press(key)


def addresses(rows: list[str]) -> list[str]:
    return [row.split()[0] for row in rows]


# -- keys


@pytest.mark.parametrize(
    ("data", "keys", "rest"),
    [
        (b"q", ["q"], b""),
        (b"s/r", ["s", "/", "r"], b""),
        (b"\x1b[A\x1bOB\x1b[5~\x1b[6~", ["up", "down", "page up", "page down"], b""),
        (b"\x1b[H\x1b[F\x1b[1~\x1b[4~\x1bOH\x1bOF", ["home", "end"] * 3, b""),
        (b"\r\x7f\x08\x15", ["enter", "backspace", "backspace", "ctrl-u"], b""),
        (b"\x1b", [], b"\x1b"),
        (b"x\x1b[", ["x"], b"\x1b["),
        (b"\x1b[1;5", [], b"\x1b[1;5"),
        (b"\x1b[1;5Aq", ["q"], b""),
        (b"\x1b[<0;1;1Mq", ["q"], b""),
        (b"\x1b\x1b[A", ["escape", "up"], b""),
        (b"\xc3\xa9\x00\x01q", ["q"], b""),
    ],
)
def test_keys_are_told_apart(data: bytes, keys: list[str], rest: bytes) -> None:
    assert split_keys(data, more=True) == (keys, rest)
    # In whatever pieces it comes.
    found: list[str] = []
    left = b""
    for octet in data:
        more, left = split_keys(left + bytes([octet]), more=True)
        found += more
    assert (found, left) == (keys, rest)


def test_what_only_began_was_the_key_escape() -> None:
    assert split_keys(b"\x1b", more=False) == (["escape"], b"")
    assert split_keys(b"\x1b[", more=False) == (["escape", "["], b"")
    assert split_keys(b"\x1b[" + b"1;" * 40, more=True)[1] == b""


# -- the table


def test_a_row_has_everything_that_is_known() -> None:
    table = Table()
    table.neighbours.show(entry("198.51.100.7", used=30, confirmed=4000, updated=90000, probes=2), NOW)
    table.neighbours.hear(change("198.51.100.7", "STALE", "PROBE", stimulus="timer"), NOW - 250)
    *_, heading = (line for line in table.draw(120) if line.startswith("ADDRESS"))
    (row,) = table.rows(120)
    assert heading.split() == [
        "ADDRESS^",
        "DEVICE",
        "LLADDR",
        "STATE",
        "CONF",
        "UPD",
        "USED",
        "PRB",
        "CHG",
        "LAST",
        "CHANGE",
    ]
    assert row.split() == ["198.51.100.7", "v1", ONE, "PROBE", "66m", "4m", "30s", "2", "1",
                           "4m", "was", "STALE", "by", "timer"]  # fmt: skip
    for title in ("CONF", "UPD", "USED"):
        # Headings stand above what they say.
        assert row[heading.index(title) + len(title) - 1] in "smhd"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0s"), (0.9, "0s"), (99, "99s"), (100, "1m"), (5999, "99m"), (6000, "1h"), (359999, "99h"),
     (360000, "4d"), (86400.0 * 9999, "9999d")],
)  # fmt: skip
def test_ages_are_short(seconds: float, text: str) -> None:
    assert age(NOW - seconds, NOW) == text
    assert age(None, NOW) == "-"


@pytest.mark.parametrize("width", [1, 7, 20, 40, 60, 80, 100, 132, 300])
@pytest.mark.parametrize("height", [1, 2, 3, 7, 13, 14, 24, 80])
def test_every_size_of_screen_is_drawn_on(width: int, height: int) -> None:
    table = Table(50)
    table.neighbours.show(entry("2001:db8:1111:2222:3333:4444:5555:6666", device="x" * 15), NOW)
    table.neighbours.fill(4, Fill(50, (128, 512, 1024), 1, 1, 1), NOW)
    for keys in ([], ["end"], ["/", *"198"], ["enter", "h"]):
        table.press(*keys)
        table.draw(width, height)


def test_of_the_columns_those_that_say_least_are_left_out_first() -> None:
    table = Table()
    table.neighbours.show(entry("2001:db8:1111:2222:3333:4444:5555:6666", probes=3), NOW)
    for width, columns in (
        (140, "ADDRESS^ DEVICE LLADDR STATE CONF UPD USED PRB CHG LAST CHANGE"),
        (110, "ADDRESS^ DEVICE LLADDR STATE CONF UPD USED PRB CHG"),
        (100, "ADDRESS^ DEVICE LLADDR STATE CONF UPD USED CHG"),
        (90, "ADDRESS^ DEVICE LLADDR STATE CONF CHG"),
        (80, "ADDRESS^ DEVICE LLADDR STATE"),
        (70, "ADDRESS^ LLADDR STATE"),
        (40, "ADDRESS^"),
    ):
        assert (
            next(line for line in table.draw(width) if line.startswith("ADDRESS")).split() == columns.split()
        )
        assert table.rows(width)[0].startswith("2001:db8:1111:2222:3333:4444:5555:6666")


def test_what_has_no_room_ends_in_a_tilde() -> None:
    table = Table()
    table.neighbours.show(entry("2001:db8:1111:2222:3333:4444:5555:6666"), NOW)
    assert table.rows(20) == ["2001:db8:1111:2222:3"]
    table.neighbours.hear(told("new", "198.51.100.1", device="a" * 40), NOW)
    assert "a" * 14 + "~" in table.rows(140)[0]


def test_states_have_their_bars_and_caches_their_fill() -> None:
    table = Table(30)
    for number in range(1, 11):
        table.neighbours.hear(told("new", f"198.51.100.{number}", state="FAILED", lladdr=None), NOW)
    table.neighbours.fill(4, Fill(30, (10, 20, 40), 100, 50, 10), NOW)
    table.neighbours.filled(NOW)
    table.neighbours.fill(4, Fill(30, (10, 20, 40), 1200, 100, 11), NOW + 1)
    text = "\n".join(table.draw(100))
    stale, failed, none = (
        re.search(rf"\d \(?{state}\)? +(\d+) (\|*)", text) for state in ("STALE", "FAILED", "NONE")
    )
    assert stale and failed and none
    assert (stale[1], failed[1], none[1], none[2]) == ("20", "10", "0", "")
    assert len(stale[2]) == 2 * len(failed[2]) > 2
    assert "8 (NOARP)" in text and "9 PERMANENT" in text
    filled = re.search(r"IPv4 +30 of 10/20/40 \[(\|+) +\] 1,100 look-ups/s 50 hits/s 1 failed/s", text)
    assert filled and len(filled[1]) == len(filled[0].partition("[")[2].partition("]")[0]) * 30 // 40
    assert "IPv6" not in text


def test_a_few_of_many_are_seen_in_a_bar() -> None:
    table = Table(2)
    table.neighbours.hear(told("new", "198.51.100.1", state="FAILED", lladdr=None), NOW)
    table.neighbours.states["STALE"] = 99_999
    table.neighbours.fill(6, Fill(1, (2**31 - 1, 2**31 - 1, 2**31 - 1), 0, 0, 0), NOW)
    text = "\n".join(table.draw())
    assert re.search(r"FAILED +1 \|$", text, re.MULTILINE) and re.search(r"\[\| +\]", text)


# -- what keys do


def test_keys_scroll_and_stop_at_the_ends() -> None:
    table = Table(100)
    page = len(table.rows(height=25))
    first = addresses(table.rows(height=25))
    for keys, at in (
        (["up", "page up", "home"], 1),
        (["down"], 2),
        (["j", "j", "k"], 3),
        (["page down"], 3 + page),
        (["page up", "up"], 2),
        (["end"], 101 - page),
        (["down", "page down", "G"], 101 - page),
        (["g"], 1),
    ):
        table.press(*keys)
        assert addresses(table.rows(height=25))[0] == f"198.51.100.{at}", keys
    assert addresses(table.rows(height=25)) == first


def test_what_is_looked_at_stays_within_what_there_is() -> None:
    table = Table(100)
    table.rows()
    table.press("end")
    table.rows()
    for number in range(5, 101):
        table.neighbours.hear(told("del", f"198.51.100.{number}"), NOW)
    assert addresses(table.rows()) == [f"198.51.100.{number}" for number in range(1, 5)]
    table.press("down")
    assert len(table.rows()) == 4


def test_s_goes_round_the_columns_and_r_turns_the_order() -> None:
    table = Table(3)
    table.neighbours.hear(change("198.51.100.2", "STALE", "REACHABLE"), NOW)
    seen = []
    for column in COLUMNS:
        seen.append(column.name)
        assert table.view.column is column
        assert f", by {column.name}" in table.draw()[0]
        table.press("s")
    assert table.view.column is COLUMNS[0]
    table.press("S", "left")
    assert table.view.column.name == "changes"
    assert addresses(table.rows())[0] == "198.51.100.2"
    table.press("r")
    assert addresses(table.rows())[-1] == "198.51.100.2"
    table.press("right")
    assert not table.view.reverse and addresses(table.rows())[0] == "198.51.100.2"


def test_the_heading_says_what_it_is_sorted_by() -> None:
    table = Table(3)
    marks = []
    for _ in range(3):
        table.press("s")
    for _ in range(2):
        marks.append([word for word in table.draw()[4].split() if word[-1] in "^v"])
        table.press("r")
    assert marks == [["STATE^"], ["STATEv"]]


def test_digits_show_and_hide_states() -> None:
    table = Table(3)
    table.neighbours.hear(told("new", "198.51.100.9", state="NOARP"), NOW)
    assert len(table.rows()) == 3
    table.press("8")
    assert len(table.rows()) == 4
    table.press("4")
    assert addresses(table.rows()) == ["198.51.100.9"]
    table.press("0")
    assert table.view.states == frozenset(STATES)
    table.press("0")
    assert len(table.rows()) == 3


def test_f_goes_round_the_families() -> None:
    table = Table(2)
    table.neighbours.show(entry("2001:db8::1"), NOW)
    for shown in (3, 2, 1, 3):
        assert len(table.rows()) == shown
        table.press("f")
    assert len(Table(2, family=6).rows()) == 0


def test_a_filter_works_as_it_is_typed() -> None:
    table = Table(120)
    table.press("/", *"100.1", " ", "S", "T")
    assert table.draw()[-1].startswith("filter: 100.1 ST_")
    assert addresses(table.rows(height=60)) == [
        f"198.51.100.{number}" for number in range(1, 121) if str(number).startswith("1")
    ]
    table.press("backspace", "backspace", "0", "backspace")
    assert table.view.filter == "100.1 "
    table.press("q", "backspace", "enter")
    assert not table.view.editing and not table.view.ended
    assert "/100.1 : " in table.draw()[0]
    table.press("/", "ctrl-u", "x")
    assert table.rows() == []
    table.press("escape")
    assert len(table.rows(height=60)) > 1 and table.view.filter == "100.1 "
    table.press("escape")
    assert len(table.rows(height=200)) == 120
    table.press("/", *"x" * 300)
    assert len(table.view.filter) == 100


def test_help_is_left_by_any_key_and_q_quits() -> None:
    table = Table(3)
    for key in ("h", "?"):
        table.press(key)
        text = "\n".join(table.draw(80, 24))
        assert "any key goes back" in text and "the keys" in text and "~" not in text
        table.press("x")
        assert len(table.rows()) == 3
    table.press("h", "q")
    assert table.view.ended


def test_help_fits_a_screen_of_80_columns() -> None:
    table = Table()
    table.press("h")
    assert table.draw(80, 24) == table.draw(200, 24)


def test_the_last_line_says_what_goes_on() -> None:
    table = Table(3)
    table.neighbours.whole = False
    assert table.draw()[-1] == "reading: 3 entries so far"
    table.neighbours.whole = True
    assert table.draw()[-1].startswith("q quit")
    table.press(" ")
    assert "PAUSED" in table.draw()[0]
    table.neighbours.losses = 2
    assert "lost 2" in table.draw()[0]


def test_the_state_is_what_is_painted() -> None:
    table = Table(1)
    table.order.settle()
    lines, seen = table.pen.draw(table.neighbours, table.order, table.view, 100, 30, NOW)
    assert [each.address for each in seen] == ["198.51.100.1"]
    row: Line = next(line for line in lines if line and line[0][0].startswith("198"))
    assert [paint for text, paint in row if paint] == ["STALE"]


def test_paper_has_all_rows() -> None:
    table = Table(100)
    table.order.settle()
    lines = table.pen.print(table.neighbours, table.order, table.view, 132, NOW)
    assert sum(text_of(line).startswith("198.51.100.") for line in lines) == 100
