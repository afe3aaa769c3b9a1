"""Playing and comparing: what counts as different, how late a line may be, and the machine's thresholds."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from neighio.core.constants import NLM_F_CREATE, NUD_STALE
from neighio.core.events import NewNeighbour
from neighio.testing import Simulation
from neighio.testing.isolation import require_namespaces
from neighio.testing.scenario import (
    EnginePlayer,
    KernelPlayer,
    Line,
    Scenario,
    Trace,
    compare,
    compare_with_engine,
    exclusive,
    load,
    notifications_are_atomic,
    read_traces,
    session,
    write_traces,
)
from neighio.testing.scenario.__main__ import main
from neighio.testing.scenario.compare import lateness
from neighio.testing.scenario.describe import describe_frame, describe_notification
from neighio.testing.scenario.frames import parse_peer
from neighio.testing.scenario.model import Inject
from neighio.testing.scenario.report import report
from neighio.wire import ethernet, ipv6

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


ASKED = """title = "an unknown host asks for both addresses"
holds = ["4.6"]
lasts = 0.5
addresses = [".1/24", "6.1/64"]
steps = [
  { at = 0.1, peer = "arp request spa=.2" },
  { at = 0.2, peer = "ns src=6.2" },
  { at = 0.3, show = "6.2" },
]
"""
ANSWER = Line(0.1, ">", "198.51.100.2", "arp reply to 02:00:00:00:00:0b 198.51.100.1 is-at (host)")


@pytest.fixture
def asked(tmp_path: Path) -> Scenario:
    path = tmp_path / "asked.toml"
    path.write_text(ASKED, encoding="utf-8")
    (found,) = load(path)
    return found


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


def test_an_answer_that_is_missing_differs(scenario: Scenario, trace: Trace) -> None:
    expected = replace(trace, lines=[*trace.lines[:1], ANSWER, *trace.lines[1:]])
    assert "- 0.100 > 198.51.100.2 arp reply" in str(compare(scenario, expected, trace))


def test_an_answer_that_the_engine_does_not_give_as_a_host_differs(scenario: Scenario, trace: Trace) -> None:
    expected = replace(trace, lines=[*trace.lines[:1], ANSWER, *trace.lines[1:]])
    comparison = compare_with_engine(scenario, expected)
    assert comparison.role == "host" and not comparison.identical


def test_of_a_client_no_answers_are_expected(asked: Scenario) -> None:
    expected = EnginePlayer("host").play(asked)
    assert [line.what for line in expected.lines if line.host] == [
        "> 198.51.100.2 arp reply to 02:00:00:00:00:0b 198.51.100.1 is-at 02:00:00:00:00:0a (host)",
        "> 2001:db8::2 na to 02:00:00:00:00:0b src 2001:db8::1 dst 2001:db8::2 target 2001:db8::1 flags SO "
        "tllao 02:00:00:00:00:0a (host)",
    ]
    assert not any(line.host for line in EnginePlayer("client").play(asked).lines)
    assert compare_with_engine(replace(asked, steps=asked.steps[:2]), expected).identical is False


def test_a_client_that_sees_something_else_differs_unless_it_is_meant_to(asked: Scenario) -> None:
    # A host's answer is the use of an entry of IPv6: it is DELAY, a client's is STALE.
    expected = EnginePlayer("host").play(asked)
    comparison = compare_with_engine(asked, expected)
    assert comparison.role == "client" and not comparison.identical
    assert compare_with_engine(replace(asked, client=False), expected).identical
    arp = replace(asked, steps=asked.steps[:1])
    assert compare_with_engine(arp, EnginePlayer("host").play(arp)).identical


def test_an_answer_does_not_hurry_the_timer_that_runs_meanwhile(scenario: Scenario, trace: Trace) -> None:
    answer = replace(ANSWER, time=0.4)
    expected = replace(trace, lines=[*trace.lines[:3], answer, *trace.lines[3:]])
    seen = changed(expected, 4, time=trace.lines[3].time + 0.04)
    assert compare(scenario, expected, seen).identical


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


# -- what is seen


@pytest.mark.parametrize(
    ("words", "neighbour", "text"),
    [
        (
            "ns src=:: target=6.2 nonce=010203040506",
            "2001:db8::2",
            "ns to 33:33:ff:00:00:02 src :: dst ff02::1:ff00:2 sllao none nonce (host)",
        ),
        (
            "ns src=6.1 dst=6.2 target=6.2",
            "2001:db8::2",
            "ns to 02:00:00:00:00:0a src 2001:db8::1 dst 2001:db8::2 sllao 02:00:00:00:00:0b",
        ),
        (
            "na target=6.2 dst=ff02::1 flags=RO tllao=none",
            "ff02::1",
            "na to 33:33:00:00:00:01 src 2001:db8::2 dst ff02::1 target 2001:db8::2 flags RO tllao none (host)",
        ),
        (
            "rs",
            "ff02::2",
            "rs to 33:33:00:00:00:02 src fe80::b dst ff02::2 sllao 02:00:00:00:00:0b (host)",
        ),
    ],
)
def test_a_message_is_told_with_whom_it_concerns(words: str, neighbour: str, text: str) -> None:
    told = parse_peer(words, [])
    assert isinstance(told, Inject)
    assert describe_frame(told.frame) == (neighbour, text)


def test_reports_of_groups_and_whom_they_go_to_are_left_out() -> None:
    sim = Simulation()
    sim.add_device(addresses=("2001:db8::1/64",))
    sim.admin("ff02::16", nlm_flags=NLM_F_CREATE, state=NUD_STALE, lladdr="02:00:00:00:00:0b")
    (event,) = [output for output in sim.outputs if isinstance(output, NewNeighbour)]
    assert describe_notification(event) is None
    assert describe_notification(event._replace(key=ipv6.ALL_NODES)) is not None
    report = ipv6.build(bytes(16), ipv6.ALL_MLDV2_ROUTERS, bytes((143,)) + bytes(27), hop_limit=1)
    frame = ethernet.build(bytes.fromhex("333300000016"), bytes(6), ethernet.ETH_P_IPV6, report)
    assert describe_frame(frame) is None


# -- both players


@pytest.mark.alone
def test_the_kernel_player_and_the_engine_agree_on_the_life(scenario: Scenario) -> None:
    require_namespaces()
    (result,) = session.play_on_kernel([scenario])
    assert result.identical, f"{result}\n{result.comparison}"


ROUTED = """title = "a router tells of times, and of another way; a route goes"
holds = []
lasts = 1.0
addresses = ["6.1/64", "fe80::a/64"]
routes = ["2001:db8:1::/64 via 6.2"]
parameters = { ipv6 = { base_reachable_time = 0.4, retrans_time = 0.2, delay_first_probe_time = 0.1, accept_ra = 1 } }
steps = [
  { at = 0.0, peer = "answers 6.2 as :0d flags RSO" },
  { at = 0.05, send = "2001:db8:1::7" },
  { at = 0.1, peer = "ra reachable=0.2 lifetime=0" },
  { at = 0.15, route = "add 2001:db8:2::/64 via 6.3" },
  { at = 0.2, route = "del 2001:db8:1::/64 via 6.2" },
  { at = 0.25, send = "2001:db8:2::7" },
  { at = 0.3, admin = "add 6.4 lladdr :0b nud reachable" },
]
"""


@pytest.mark.alone
def test_the_engine_takes_what_a_router_had_the_kernel_draw_and_both_follow_routes(tmp_path: Path) -> None:
    require_namespaces()
    path = tmp_path / "routed.toml"
    path.write_text(ROUTED, encoding="utf-8")
    (result,) = session.play_on_kernel(load(path))
    assert result.identical, f"{result}\n{result.comparison}"
    assert result.expected is not None
    first, second = result.expected.drawn
    assert first == pytest.approx(0.4, abs=0.0041) and 0.1 <= second <= 0.3
    said = [line.what for line in result.expected.lines]
    assert "> 2001:db8:1::7 packet #000 to 02:00:00:00:00:0d octets 32" in said
    assert "! 2001:db8::2 lladdr 02:00:00:00:00:0d router REACHABLE probes 4 refcnt 2" in said
    assert "x 2001:db8:2::7 EHOSTUNREACH" in said


@pytest.mark.alone
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
    host = [session.Result(scenario, "host", reason="no host either")]
    page = report(engine, kernel, host)
    assert "0 identical, 1 differing, 0 not played" in page
    assert "+ 0.000 ! 198.51.100.2" in page
    assert f"* on the kernel: no kernel today: `{scenario.identity}`" in page
    assert f"* on the host: no host either: `{scenario.identity}`" in page
    assert "| differs as a host | not played | not played |" in page


# -- the machine's own thresholds


@pytest.fixture
def sysctls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in zip(exclusive.NAMES, (128, 512, 1024), strict=True):
        (tmp_path / name).write_text(f"{value}\n", encoding="ascii")
    monkeypatch.setenv(exclusive.CONSENT, "yes")
    monkeypatch.setattr(exclusive, "_neighbours", lambda: 8)
    monkeypatch.setattr(exclusive, "_entries", lambda: 3)
    monkeypatch.setattr(exclusive, "PAUSE", 0.0)
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
        "exclusive.PAUSE = 0.0\n"
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
