"""Playing and comparing: what counts as different, how late a line may be, and the machine's thresholds."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from neighio.testing.isolation import require_namespaces
from neighio.testing.scenario import (
    EnginePlayer,
    KernelPlayer,
    Line,
    Scenario,
    Trace,
    compare,
    exclusive,
    load,
    notifications_are_atomic,
    read_traces,
    session,
    write_traces,
)
from neighio.testing.scenario.__main__ import main
from neighio.testing.scenario.compare import lateness
from neighio.testing.scenario.report import report

LIFE = """title = "an entry is probed in vain"
holds = ["4.2"]
lasts = 2.0
parameters = { base_reachable_time = 0.5, delay_first_probe_time = 0.4, retrans_time = 0.2 }
steps = [
  { at = 0.0, admin = "add .2 lladdr :0b nud stale" },
  { at = 0.1, send = ".2" },
  { at = 0.2, show = ".2" },
]
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    path = tmp_path / "life.toml"
    path.write_text(LIFE, encoding="utf-8")
    (found,) = load(path)
    return found


@pytest.fixture
def trace(scenario: Scenario) -> Trace:
    return EnginePlayer().play(scenario)


def changed(trace: Trace, place: int, **changes: object) -> Trace:
    lines = list(trace.lines)
    lines[place] = replace(lines[place], **changes)  # type: ignore[arg-type]
    return replace(trace, lines=lines)


def test_the_engine_tells_the_life(trace: Trace) -> None:
    assert [line.what for line in trace.lines] == [
        "! 198.51.100.2 lladdr 02:00:00:00:00:0b STALE probes 0 refcnt 1",
        "> 198.51.100.2 packet #000 to 02:00:00:00:00:0b octets 32",
        "= 198.51.100.2 lladdr 02:00:00:00:00:0b DELAY probes 0 refcnt 1 used 0.10 confirmed 1.20 updated 0.10",
        "> 198.51.100.2 arp request to 02:00:00:00:00:0b tell 198.51.100.1",
        "! 198.51.100.2 lladdr 02:00:00:00:00:0b PROBE probes 1 refcnt 2",
        "> 198.51.100.2 arp request to 02:00:00:00:00:0b tell 198.51.100.1",
        "> 198.51.100.2 arp request to 02:00:00:00:00:0b tell 198.51.100.1",
        "! 198.51.100.2 FAILED probes 3 refcnt 1",
    ]


def test_a_trace_is_identical_to_itself_and_survives_a_file(
    scenario: Scenario, trace: Trace, tmp_path: Path
) -> None:
    trace = replace(trace, source="kernel 6.18.44", date="2026-01-01", managed=[1.5], collected=[2.5])
    write_traces(tmp_path / "life.trace", {"life": trace})
    assert read_traces(tmp_path / "life.trace") == {"life": trace}
    assert compare(scenario, trace, trace).identical


@pytest.mark.parametrize("place", range(8))
def test_a_missing_and_an_unexpected_line_differ(scenario: Scenario, trace: Trace, place: int) -> None:
    lines = [line for number, line in enumerate(trace.lines) if number != place]
    fewer = replace(trace, lines=lines)
    assert str(compare(scenario, trace, fewer)).count("\n- ") + (place == 0) == 1
    assert not compare(scenario, trace, fewer).identical
    assert not compare(scenario, fewer, trace).identical


def test_another_text_differs(scenario: Scenario, trace: Trace) -> None:
    other = changed(trace, 4, text=trace.lines[4].text.replace("probes 1", "probes 0"))
    marks = [mark for mark, _, _ in compare(scenario, trace, other).rows]
    assert sorted(mark for mark in marks if mark != " ") == ["+", "-"]


def test_two_lines_of_one_neighbour_may_not_swap(scenario: Scenario, trace: Trace) -> None:
    lines = list(trace.lines)
    lines[3], lines[4] = replace(lines[4], time=lines[3].time), replace(lines[3], time=lines[4].time)
    assert not compare(scenario, trace, replace(trace, lines=lines)).identical


def test_lines_of_two_neighbours_may_swap_within_their_times(scenario: Scenario) -> None:
    one, two = Line(1.0, "!", "198.51.100.2", "FAILED"), Line(1.004, "!", "198.51.100.3", "FAILED")
    swapped = Trace([replace(two, time=1.0), replace(one, time=1.004)])
    assert compare(scenario, Trace([one, two]), swapped).identical


def test_deletions_may_not_swap(scenario: Scenario) -> None:
    one, two = (Line(1.0, "!", f"198.51.100.{n}", "Deleted FAILED probes 0 refcnt 0") for n in (2, 3))
    assert not compare(scenario, Trace([one, two]), Trace([two, one])).identical


@pytest.mark.parametrize(
    ("place", "late", "identical"),
    [(1, 0.01, True), (1, 0.03, False), (3, 0.04, True), (3, 0.09, False), (7, 0.2, False)],
)
def test_a_line_may_be_as_late_as_its_timer(
    scenario: Scenario, trace: Trace, place: int, late: float, identical: bool
) -> None:
    other = changed(trace, place, time=trace.lines[place].time + late)
    assert compare(scenario, trace, other).identical is identical


def test_an_age_that_is_off_differs(scenario: Scenario, trace: Trace) -> None:
    text = trace.lines[2].text
    assert compare(scenario, trace, changed(trace, 2, text=text.replace("1.20", "1.21"))).identical
    assert not compare(scenario, trace, changed(trace, 2, text=text.replace("1.20", "1.40"))).identical


def test_what_may_come_after_the_end_is_not_missed(scenario: Scenario, trace: Trace) -> None:
    late = Line(1.99, "!", "198.51.100.2", "FAILED probes 6 refcnt 1")
    longer = replace(trace, lines=[*trace.lines, late])
    assert compare(scenario, longer, trace).identical
    assert compare(scenario, trace, longer).identical


def test_lines_of_the_host_role_wait_and_do_not_differ(scenario: Scenario, trace: Trace) -> None:
    answer = Line(0.1, ">", "198.51.100.2", "arp reply to 02:00:00:00:00:0b 198.51.100.1 is-at (host)")
    expected = replace(trace, lines=[*trace.lines[:1], answer, *trace.lines[1:]])
    comparison = compare(scenario, expected, trace)
    assert comparison.identical and comparison.pending == 1
    assert "h 0.100 > 198.51.100.2 arp reply" in str(comparison)


@pytest.mark.parametrize(
    ("distance", "late"), [(0.2, 0.004), (1.0, 0.032), (5.0, 0.256), (30.0, 2.05), (200.0, 16.4)]
)
def test_lateness_follows_the_wheel(distance: float, late: float) -> None:
    assert lateness(distance) == late


def test_a_line_that_is_none_is_refused_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "life.trace"
    path.write_text("[life]\nsource engine\nyesterday\n", encoding="utf-8")
    with pytest.raises(ValueError) as refused:
        read_traces(path)
    assert str(refused.value).startswith(f"{path}:3: 'yesterday': expected SECONDS")


# -- both players


def test_the_kernel_player_and_the_engine_agree_on_the_life(scenario: Scenario) -> None:
    require_namespaces()
    (result,) = session.play_on_kernel([scenario])
    assert result.identical, f"{result}\n{result.comparison}"


def test_the_kernel_draws_until_it_has_what_another_play_had(tmp_path: Path) -> None:
    require_namespaces()
    path = tmp_path / "draw.toml"
    path.write_text(
        'title = "a draw"\nholds = []\nlasts = 0.02\nparameters = { base_reachable_time = 1.0 }\nsteps = []\n',
        encoding="utf-8",
    )
    (drawing,) = load(path)
    trace = KernelPlayer().play(drawing, Trace(drawn=[1.236]))
    assert trace.drawn == [pytest.approx(1.236, abs=0.0041)]
    assert trace.atomic is notifications_are_atomic()


def test_the_command_line_checks_plays_and_says_what_differs(
    scenario: Scenario, trace: Trace, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(scenario.path)
    assert main(["check", path]) == 0
    write_traces(scenario.trace_path, {"life": trace})
    assert main(["play", path, "--verbose"]) == 0
    write_traces(scenario.trace_path, {"life": replace(trace, lines=trace.lines[1:])})
    assert main(["play", path]) == 1
    said = capsys.readouterr().out
    assert "1 scenarios" in said and "1 identical, 0 differing, of 1" in said
    assert "+ 0.000 ! 198.51.100.2 lladdr 02:00:00:00:00:0b STALE" in said
    scenario.path.write_text("title = 1\n", encoding="utf-8")
    assert main(["play", path]) == 2


def test_the_report_lists_what_differs_and_why_what_was_not_played(scenario: Scenario, trace: Trace) -> None:
    write_traces(scenario.trace_path, {"life": replace(trace, lines=trace.lines[1:])})
    engine = session.play_on_engine([scenario])
    kernel = [session.Result(scenario, "kernel", reason="no kernel today")]
    page = report(engine, kernel)
    assert "0 identical, 1 differing, 0 not played" in page
    assert "+ 0.000 ! 198.51.100.2" in page
    assert "not played: no kernel today" in page


# -- the machine's own thresholds


@pytest.fixture
def sysctls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in zip(exclusive.NAMES, (128, 512, 1024), strict=True):
        (tmp_path / name).write_text(f"{value}\n", encoding="ascii")
    monkeypatch.setenv(exclusive.CONSENT, "yes")
    monkeypatch.setattr(exclusive, "_neighbours", lambda: 8)
    monkeypatch.setattr(exclusive, "_entries", lambda: 3)
    return tmp_path


def thresholds(folder: Path) -> list[int]:
    return [int((folder / name).read_text(encoding="ascii")) for name in exclusive.NAMES]


def test_thresholds_are_lowered_above_what_the_machine_holds_and_put_back(sysctls: Path) -> None:
    with exclusive.HostThresholds((1, 4, 6), sysctls):
        assert thresholds(sysctls) == [4, 7, 9]
    assert thresholds(sysctls) == [128, 512, 1024]


def test_thresholds_are_lowered_only_by_consent(sysctls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(exclusive.CONSENT)
    with pytest.raises(exclusive.NotAllowed, match="HOST_SYSCTL=yes"):
        exclusive.HostThresholds((1, 4, 6), sysctls).__enter__()
    assert thresholds(sysctls) == [128, 512, 1024]


def test_thresholds_are_left_alone_where_the_machine_has_neighbours(
    sysctls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exclusive, "_neighbours", lambda: 9)
    with pytest.raises(exclusive.NotAllowed, match="9 neighbours off lo"):
        exclusive.HostThresholds((1, 4, 6), sysctls).__enter__()
    assert thresholds(sysctls) == [128, 512, 1024]


def test_thresholds_are_not_there_outside_the_initial_namespace(sysctls: Path) -> None:
    (sysctls / "gc_thresh2").unlink()
    with pytest.raises(exclusive.NotAllowed, match="not the machine's initial namespace"):
        exclusive.HostThresholds((1, 4, 6), sysctls).__enter__()


def test_thresholds_are_put_back_though_the_player_is_killed(sysctls: Path) -> None:
    script = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from neighio.testing.scenario import exclusive\n"
        "exclusive._neighbours = lambda: 0\n"
        "exclusive._entries = lambda: 0\n"
        f"folder = Path({str(sysctls)!r})\n"
        "with exclusive.HostThresholds((1, 4, 6), folder):\n"
        "    print((folder / 'gc_thresh3').read_text(), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # The watchdog has inherited the error stream: its end is the watchdog's.
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout == b"6\n"
    assert thresholds(sysctls) == [128, 512, 1024]


def test_an_exclusive_scenario_is_not_played_without_consent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(exclusive.CONSENT, raising=False)
    path = tmp_path / "full.toml"
    path.write_text(LIFE + "exclusive = true\ngc_thresh = [1, 2, 3]\n", encoding="utf-8")
    (result,) = session.play_on_kernel(load(path))
    assert result.comparison is None
    assert "HOST_SYSCTL=yes" in result.reason
