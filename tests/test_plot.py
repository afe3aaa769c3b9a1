"""Pictures, parsed: every state and mark is where its time is, and nothing in a text breaks them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from xml.etree import ElementTree

import pytest

from neighio._axis import clock_text, elapsed_text, ticks, unit
from neighio._palette import STATES
from neighio.plot import MARKS, Mark, Row, draw, save

SVG = "{http://www.w3.org/2000/svg}"
LIFE = Row(
    "198.51.100.7 dev eth0",
    states=[(0.0, "INCOMPLETE"), (0.2, "REACHABLE"), (30.0, "STALE"), (75.0, None), (80.0, "FAILED")],
    marks=[Mark(0.0, "asked", "by 198.51.100.1"), Mark(0.2, "answered"), Mark(50.0, "moved", "away")],
    detail="02:00:00:00:00:07",
)


class Picture:
    """A picture that was drawn: its rows, and where they put what."""

    def __init__(self, document: str) -> None:
        self.root = ElementTree.fromstring(document)
        self.rows = [group for group in self.root.iter(f"{SVG}g") if group.get("class") == "row"]

    def texts(self) -> list[str]:
        return [text.text or "" for text in self.root.iter(f"{SVG}text")]

    def states(self, row: int = 0) -> list[tuple[str, float, float]]:
        return [
            (rect.attrib["data-state"], float(rect.attrib["data-start"]), float(rect.attrib["data-end"]))
            for rect in self._bars(row)
        ]

    def places(self, row: int = 0) -> list[tuple[float, float]]:
        """Left and right of each state, in pixels."""
        found = [(float(rect.attrib["x"]), float(rect.attrib["width"])) for rect in self._bars(row)]
        return [(x, x + width) for x, width in found]

    def _bars(self, row: int) -> list[ElementTree.Element]:
        return [rect for rect in self.rows[row].iter(f"{SVG}rect") if "data-state" in rect.attrib]

    def marks(self, row: int = 0) -> list[tuple[str, float, float, int]]:
        return [
            (
                path.attrib["data-mark"],
                float(path.attrib["data-start"]),
                float(path.attrib["data-end"]),
                int(path.attrib["data-count"]),
            )
            for path in self.rows[row].iter(f"{SVG}path")
            if "data-mark" in path.attrib
        ]


def drawn(*rows: Row, end: float = 100.0, **more: object) -> Picture:
    return Picture(draw(rows, title="life.pcap", end=end, **more))  # type: ignore[arg-type]


def test_each_state_lasts_until_the_next_and_a_gap_is_none() -> None:
    picture = drawn(LIFE)

    assert [row.attrib["data-label"] for row in picture.rows] == ["198.51.100.7 dev eth0"]
    assert sorted(picture.states(), key=lambda state: state[1]) == [
        ("INCOMPLETE", 0.0, 0.2),
        ("REACHABLE", 0.2, 30.0),
        ("STALE", 30.0, 75.0),
        ("FAILED", 80.0, 100.0),
    ]


def test_width_is_time() -> None:
    row = Row("a", [(0.0, "REACHABLE"), (25.0, "STALE"), (75.0, "FAILED")])
    (left, first), (_, second), (_, right) = drawn(row).places()

    assert (first - left) / (right - left) == pytest.approx(0.25, abs=1e-3)
    assert (second - left) / (right - left) == pytest.approx(0.75, abs=1e-3)


def test_what_is_too_short_to_be_seen_is_drawn_last_and_two_pixels_wide() -> None:
    row = Row("a", [(0.0, "REACHABLE"), (50.0, "PROBE"), (50.001, "STALE"), (100.0, "FAILED")])
    picture = drawn(row)

    assert [state for state, _, _ in picture.states()] == ["REACHABLE", "STALE", "PROBE", "FAILED"]
    widths = [right - left for left, right in picture.places()]
    assert widths[2:] == pytest.approx([2.0, 2.0])
    # Also the one that begins at the end is within.
    assert picture.places()[3][1] == pytest.approx(picture.places()[1][1], abs=0.02)


def test_marks_that_would_touch_are_one_that_tells_how_many() -> None:
    marks = [Mark(10.0 + 0.01 * number, "asked", f"by {number}") for number in range(5)]
    picture = drawn(Row("a", [(0.0, "STALE")], [*marks, Mark(90.0, "asked"), Mark(10.0, "used")]))

    assert picture.marks() == [("asked", 10.0, 10.04, 5), ("asked", 90.0, 90.0, 1), ("used", 10.0, 10.0, 1)]
    titles = [title.text for title in picture.rows[0].iter(f"{SVG}title")]
    assert "5 x asked, 10 to 10.04 s: by 0; by 1; by 2; ..." in titles


def test_the_legend_names_what_there_is_and_no_more() -> None:
    texts = drawn(LIFE).texts()

    for name in ("INCOMPLETE", "REACHABLE", "STALE", "FAILED", "asked", "answered", "moved"):
        assert name in texts
    for name in ("DELAY", "PROBE", "duplicate", "used"):
        assert name not in texts


def test_states_and_marks_of_other_kinds_have_a_look_of_their_own() -> None:
    here, there = "02:00:00:00:00:07", "02:00:00:00:00:63"
    picture = drawn(Row("a", [(0.0, here), (50.0, there)], [Mark(3.0, "claimed")]))

    assert [state for state, _, _ in picture.states()] == [here, there]
    colours = {
        rect.attrib["class"] for rect in picture.rows[0].iter(f"{SVG}rect") if "data-state" in rect.attrib
    }
    assert len(colours) == 2
    assert {here, there, "claimed"} <= set(picture.texts())


HOSTILE = 'eth0"><script>alert(1)</script>&\x00\x1b[31m\ud800\u202e]]>'


def test_nothing_in_a_text_is_markup() -> None:
    document = draw(
        [Row(HOSTILE, [(0.0, HOSTILE)], [Mark(1.0, HOSTILE, HOSTILE)], HOSTILE)],
        title=HOSTILE,
        end=10.0,
        notes=[HOSTILE],
    )
    root = ElementTree.fromstring(document)

    assert [found for found in root.iter() if "script" in found.tag] == []
    assert "\x1b" not in document and "\u202e" not in document
    document.encode("utf-8")


def test_a_long_label_is_cut_and_told_whole() -> None:
    label = "2001:db8:" + "ffff:" * 12 + ":1 dev a-very-long-name"
    picture = drawn(Row(label, [(0.0, "STALE")]))

    assert picture.rows[0].attrib["data-label"] == label
    assert any(text.endswith("…") for text in picture.texts())
    assert label in [title.text for title in picture.rows[0].iter(f"{SVG}title")]


def test_no_rows_and_no_time_are_pictures_too() -> None:
    assert "no neighbours" in drawn().texts()
    assert drawn(Row("a", [(0.0, "STALE")], [Mark(0.0, "asked")]), end=0.0).states() == [("STALE", 0.0, 0.0)]
    assert drawn(Row("a", []), end=5.0).states() == []


def test_what_was_left_out_and_noted_is_told() -> None:
    texts = drawn(LIFE, left_out=3, notes=["by the rules"]).texts()

    assert "3 more are left out" in texts and "by the rules" in texts
    assert "1 more is left out" in drawn(LIFE, left_out=1).texts()


def test_a_picture_is_the_same_each_time() -> None:
    assert draw([LIFE], title="a", end=100.0) == draw([LIFE], title="a", end=100.0)


def test_it_fetches_and_runs_nothing() -> None:
    document = draw([LIFE], title="a", end=100.0, epoch=1767225600.0)

    assert "http" not in document.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in document and "href" not in document


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2)."""
    found = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in found)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("state", [state for state in STATES if state != "NONE"])
@pytest.mark.parametrize(("paper", "number"), [("#f0f2f4", 0), ("#1e2229", 1)])
def test_a_state_stands_out_from_light_and_dark_paper(state: str, paper: str, number: int) -> None:
    one, two = sorted((luminance(STATES[state][number]), luminance(paper)))

    assert (two + 0.05) / (one + 0.05) > 1.6


# -- the axis


@pytest.mark.parametrize(
    ("start", "end", "step", "first", "last"),
    [
        (0.0, 90.0, 10.0, 0.0, 90.0),
        (0.0, 0.004, 0.0005, 0.0, 0.004),
        (0.0, 3600.0, 600.0, 0.0, 3600.0),
        (95.0, 145.0, 10.0, 100.0, 140.0),
        (0.0, 86400.0, 10800.0, 0.0, 86400.0),
    ],
)
def test_ticks_are_round(start: float, end: float, step: float, first: float, last: float) -> None:
    found_step, found = ticks(start, end, 9)

    assert found_step == pytest.approx(step)
    assert (found[0], found[-1]) == pytest.approx((first, last))
    assert len(found) <= 10


@pytest.mark.parametrize("span", [0.0, 1e-9, 1e-6, 7.0, 1e5, 1e9, 2.0**64 / 1e6])
def test_any_span_has_ticks_and_few(span: float) -> None:
    _, found = ticks(0.0, span, 9)

    assert 1 <= len(found) <= 10


@pytest.mark.parametrize(
    ("time", "step", "span", "text", "of"),
    [
        (0.5, 0.1, 1.0, "0.5", "s"),
        (20.0, 10.0, 100.0, "20", "s"),
        (125.0, 60.0, 600.0, "2:05", "min:s"),
        (7500.0, 600.0, 10000.0, "2:05", "h:min"),
        (90000.0, 10800.0, 200000.0, "1 d 1 h", "days and hours"),
        (172800.0, 86400.0, 900000.0, "2 d", "days and hours"),
    ],
)
def test_time_is_told_in_the_unit_of_the_span(
    time: float, step: float, span: float, text: str, of: str
) -> None:
    assert (elapsed_text(time, step, span), unit(span)) == (text, of)


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (0.1, "10:11:12.000"),
        (1.0, "10:11:12"),
        (60.0, "10:11"),
        (21600.0, "01-02 10:11"),
        (86400.0, "2026-01-02"),
    ],
)
def test_the_time_of_day_is_told_as_finely_as_the_steps_are(step: float, text: str) -> None:
    assert clock_text(1767348672.0, step) == text


# -- the file


def test_a_new_file_gets_the_usual_permissions_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    new, old = tmp_path / "new.svg", tmp_path / "old.svg"
    old.write_text("before")
    old.chmod(0o640)
    before = os.umask(0o027)
    try:
        save(new, "<svg/>")
        save(old, "<svg/>")
    finally:
        os.umask(before)

    assert [path.read_text() for path in (new, old)] == ["<svg/>"] * 2
    assert [stat.S_IMODE(path.stat().st_mode) for path in (new, old)] == [0o640, 0o640]


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    target, link = tmp_path / "target.svg", tmp_path / "link.svg"
    target.write_text("before")
    link.symlink_to(target)

    save(link, "<svg/>")

    assert link.is_symlink() and target.read_text() == "<svg/>"


@pytest.mark.parametrize("place", ["none/life.svg", "."])
def test_what_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path, place: str) -> None:
    with pytest.raises(OSError) as caught:
        save(tmp_path / place, "<svg/>")

    assert caught.value.filename == str(tmp_path / place)
    assert list(tmp_path.iterdir()) == []


def test_every_kind_of_mark_has_a_shape() -> None:
    picture = drawn(
        Row("a", [(0.0, "STALE")], [Mark(9.0 * number, kind) for number, kind in enumerate(MARKS)])
    )

    shapes = {path.attrib["d"] for path in picture.rows[0].iter(f"{SVG}path") if "data-mark" in path.attrib}
    assert shapes == set(MARKS.values())
