"""The benchmarks: that their arithmetic is right, and that each row runs. Of times nothing is said here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from neighio.testing import require_namespaces

ROOT = Path(__file__).parent.parent

if not (ROOT / "benchmarks").is_dir():
    pytest.skip("a checkout's benchmarks are not in its wheel", allow_module_level=True)
sys.path.insert(0, str(ROOT))

from benchmarks import harness, plot, report  # noqa: E402
from benchmarks.harness import OURS, Contender, Failed, Line, Result, Row, Setting, Target  # noqa: E402
from benchmarks.rows import ROWS  # noqa: E402


def result(line: Line, **samples: list[float | None]) -> Result:
    """A row of one line, and each contender's figures, run by run; ``_`` stands for a blank in a name."""
    found = Result(Row("row", (line,), lambda setting: []))
    for name, values in samples.items():
        for run, value in enumerate(values):
            if value is not None:
                found.add(name.replace("_", " "), run, {line.key: value})
    return found


# -- arithmetic


def test_comparisons_are_made_run_by_run() -> None:
    # The machine was three times slower in the second run, for both.
    slow = result(Line("k", "t", "s"), neighio=[2.0, 6.0, 2.0], floor=[1.0, 3.0, 1.0])
    assert slow.compared("k", OURS, "floor", "ratio") == 2.0
    assert slow.compared("k", OURS, "floor", "difference") == 1.0


def test_a_run_that_failed_is_compared_with_nothing() -> None:
    # The medians alone would say 4.0 / 2.0.
    found = result(Line("k", "t", "s"), neighio=[3.0, 5.0], floor=[None, 2.0])
    assert found.compared("k", OURS, "floor", "ratio") == 2.5
    assert found.values("k", "floor") == [2.0]
    assert found.compared("k", OURS, "nobody", "ratio") is None


def test_a_figure_of_another_contender_in_the_same_process_is_that_contenders() -> None:
    found = Result(Row("row", (Line("k", "t", "s"),), lambda setting: []))
    found.add(OURS, 0, {"k": 3.0, "k|dict": 1.0})
    assert found.names("k") == [OURS, "dict"]
    assert found.compared("k", OURS, "dict", "ratio") == 3.0


@pytest.mark.parametrize(
    ("target", "neighio", "reached"),
    [
        (Target(2.0), 2.0, True),
        (Target(2.0), 2.1, False),
        (Target(2.0, at_least=True), 2.0, True),
        (Target(2.0, at_least=True), 1.9, False),
        (Target(1.5, kind="ratio"), 3.0, True),
        (Target(1.5, kind="ratio"), 3.1, False),
        (Target(1.5, kind="difference"), 3.5, True),
        (Target(1.5, kind="difference"), 3.6, False),
        (None, 1.0, None),
    ],
)
def test_a_target_is_reached_or_not(target: Target | None, neighio: float, reached: bool | None) -> None:
    line = Line("k", "t", "s", target, floor="floor")
    assert result(line, neighio=[neighio], floor=[2.0]).reached(line) is reached


def test_what_was_not_measured_reaches_nothing() -> None:
    line = Line("k", "t", "s", Target(2.0))
    found = result(line, scapy=[1.0])
    assert found.reached(line) is None
    assert report.lines_of(found)[0][-1] == "not measured"


def test_everybody_is_measured_once_a_run_and_begins_in_turn() -> None:
    assert list(harness.in_turns("abc", 3)) == [
        *[(0, "a"), (0, "b"), (0, "c")],
        *[(1, "b"), (1, "c"), (1, "a")],
        *[(2, "c"), (2, "a"), (2, "b")],
    ]


def test_a_contender_that_fails_or_is_missing_does_not_keep_the_others_from_it() -> None:
    def fail() -> dict[str, float]:
        raise Failed("it fell over")

    row = Row(
        "row",
        (Line("k", "t", "s"),),
        lambda setting: [
            Contender("broken", fail),
            Contender("absent", "not installed: get it"),
            Contender(OURS, lambda: {"k": 1.0}, remark="how it went"),
        ],
    )
    found = Result(row)
    for event in harness.measure(row, Setting(), 2):
        found.take(event)
    assert found.values("k", OURS) == [1.0, 1.0]
    assert report.remarks(found) == [
        "neighio: how it went",
        "absent: not installed: get it",
        "broken failed: it fell over",
    ]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("print('one'); import sys; sys.exit('no such luck')", "exit status 1: no such luck"),
        ("print('one')", "printed 1 lines, not what was expected"),
    ],
)
def test_a_process_that_does_not_do_its_work_has_no_time(command: str, told: str) -> None:
    run = harness.whole_process([sys.executable, "-c", command], "k", expected=lambda text: text == "two\n")
    with pytest.raises(Failed, match=re.escape(told)):
        run()


def test_a_process_that_does_not_end_is_ended() -> None:
    run = harness.figures([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.01)
    with pytest.raises(Failed, match="not done in time"):
        run()


# -- the table


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.304, "s", "1.30 s"),
        (0.06, "s", "60.0 ms"),
        (0.9996, "s", "1,000 ms"),
        (4.4e-6, "s", "4.40 µs"),
        (1.5e-7, "s", "150 ns"),
        (-2.5e-3, "s", "-2.50 ms"),
        (250_000.0, "/s", "250k/s"),
        (1_400_000.0, "/s", "1.40M/s"),
        (665.0, "/s", "665/s"),
        (216.1, "B", "216 B"),
        (64_956_000.0, "B", "65.0 MB"),
        (7.4444, "x", "7.44 x"),
        (0.0, "", "0"),
        (52_977.0, "", "52,977"),
    ],
)
def test_figures_are_written_with_three_digits(value: float, unit: harness.Unit, text: str) -> None:
    assert report.figure(value, unit) == text


def test_a_line_says_ours_the_floor_the_others_and_the_verdict() -> None:
    line = Line("k", "what it is", "s", Target(0.5), floor="bare loop")
    found = result(line, neighio=[0.4, 0.6, 0.5], bare_loop=[0.2, 0.3, 0.25], scapy=[40.0, 60.0, 50.0])
    assert report.lines_of(found) == [
        (
            "what it is",
            "500 ms (400 ms to 600 ms)",
            "250 ms bare loop",
            "2 x",
            "scapy 50.0 s (100 x)",
            "≤ 500 ms",
            "yes",
        )
    ]


def test_a_page_holds_every_row_and_every_remark() -> None:
    line = Line("k", "what it is", "s", Target(0.5))
    found = result(line, neighio=[0.7])
    found.missing["nmap"] = "not installed: get it"
    written = report.page([found], report.provenance(1), "growth.svg")
    assert "| what it is | 700 ms (1 run) |  |  |  | ≤ 500 ms | NO |" in written
    assert "* row: nmap: not installed: get it" in written
    assert "](growth.svg)" in written


def test_a_row_that_is_measured_again_takes_its_place_in_the_page_and_says_so() -> None:
    lines = [Line("k", "what it is", "s", Target(0.5)), Line("l", "what it is not", "s")]
    where = report.provenance(1)
    before = report.page([result(line, neighio=[0.7]) for line in lines], where, None)
    after = report.renewed(before, [result(lines[0], neighio=[0.3])], where)
    assert "| what it is | 300 ms (1 run) |  |  |  | ≤ 500 ms | yes |" in after
    assert "| what it is not | 700 ms (1 run) |" in after and "| what it is | 700 ms" not in after
    assert "* again: row, 20" in after and after.count("\n") == before.count("\n") + 1
    with pytest.raises(ValueError, match="no line 'another'"):
        report.renewed(before, [result(Line("k", "another", "s"), neighio=[0.3])], where)


# -- the plot


def test_an_axis_has_whole_decades_and_equal_steps() -> None:
    scale = plot.Scale([3.0, 200.0], 100.0, 400.0)
    assert scale.decades() == [1.0, 10.0, 100.0, 1000.0]
    assert [scale(value) for value in scale.decades()] == pytest.approx([100.0, 200.0, 300.0, 400.0])


@pytest.mark.parametrize("values", [[], [0.0, 1.0], [-1.0]])
def test_what_has_no_logarithm_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="values"):
        plot.Scale(values, 0.0, 1.0)


def test_a_plot_has_a_line_and_a_name_for_each_series() -> None:
    drawn = plot.loglog({"a < b": {1.0: 2.0, 10.0: 3.0}, "c": {1.0: 5.0}}, x_title="n", y_title="cost")
    picture = ElementTree.fromstring(drawn)
    texts = ["".join(text.itertext()) for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a < b", "c", "n", "cost"} <= set(texts)
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}circle"))) == 3
    assert "prefers-color-scheme:dark" in drawn


# -- the rows


def test_every_line_of_a_row_has_a_name_of_its_own() -> None:
    for row in ROWS.values():
        keys = [line.key for line in row.lines]
        assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_runs(name: str) -> None:
    row = ROWS[name]
    if row.stage is not None or row.namespace:
        require_namespaces()
    names = {OURS, *(line.ours for line in row.lines), *(line.floor for line in row.lines if line.floor)}
    command = [sys.executable, "-m", "benchmarks", "--row", name, "--small", "--runs", "1"]
    for each in sorted(names):
        command += ["--only", each]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "not measured" not in done.stdout


def test_a_row_of_which_nothing_came_is_no_success() -> None:
    command = [sys.executable, "-m", "benchmarks", "--row", "timers", "--small", "--only", "nobody"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 1
    assert "not measured" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--row", "nothing"], "no row nothing; there are scan16, "),
        (["--runs", "0"], "at least one run"),
        (["--small", "--write", "."], "what is written is whole rows"),
    ],
)
def test_what_cannot_be_asked_is_refused(arguments: list[str], told: str) -> None:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 2
    assert told in done.stderr
