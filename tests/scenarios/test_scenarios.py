"""The kernel as oracle: every scenario on the engine against what the kernel was seen to do, some on all now."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from neighio.testing.isolation import require_namespaces
from neighio.testing.scenario import EnginePlayer, Scenario, compare_with_engine, load_all, read_traces
from neighio.testing.scenario.session import play_side_by_side

SCENARIOS = load_all(Path(__file__).parent)

QUICK = (
    "4.1-output/states/failed",
    "4.1-output/states/reachable",
    "4.2-timer/expiry/delay-confirmed",
    "4.2-timer/expiry/probe-resolicit",
    "4.2-timer/expiry/reachable-used",
    "4.5-arp/delay/r1-diff-locked",
    "4.5-arp/incomplete/r0-same",
    "4.5-arp/reachable/r1-diff-override",
    "4.5-arp/stale/q-diff",
    "4.6-ndisc/na-incomplete/same-s0",
    "4.6-ndisc/na-probe/diff-s1-o1",
    "4.6-ndisc/ns-same/incomplete",
    "4.6-ndisc/ra/diff",
    "4.6-ndisc/redirect/same",
    "4.7-netlink/new-neighbour/append-another-address",
    "4.7-netlink/new-neighbour/delay",
    "4.8-flags/flags/use-permanent",
    "9-ndisc/refusals/option-length",
    "9-ndisc/routers/reachable",
    "9-ndisc/solicitations/duplicate-detection",
    "9-ndisc/sources/no-link-local",
    "9-ndisc/untracked/accept-2",
    "10.1-lives/a-resolve",
    "10.1-lives/b-unreachable",
    "10.1-lives/c-reachability",
    "10.1-lives/d-ndisc",
    "10.1-lives/e-gratuitous",
    "10.1-lives/f-delete",
    "arp_accept/arp_accept/accept-2-off-subnet",
    "arp_announce/arp_announce/announce-1",
    "flush/ipv6/disable_ipv6",
    "proxy/arp/pvlan",
    "queue/overflow/small-packets",
)
"""One of each kind, that a run of the tests takes seconds; `make parity` plays all."""


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.identity)
def test_the_engine_does_what_the_kernel_was_seen_to_do(scenario: Scenario) -> None:
    expected = read_traces(scenario.trace_path).get(scenario.key)
    assert expected is not None and expected.lines, f"record it: {scenario.trace_path}"
    comparison = compare_with_engine(scenario, expected)
    # One that is meant to differ and no longer does is to lose its reason.
    assert comparison.identical is (scenario.differs is None), f"as a {comparison.role}\n{comparison}"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.identity)
def test_the_order_since_linux_7_has_the_same_lines_but_for_what_they_show(scenario: Scenario) -> None:
    expected = read_traces(scenario.trace_path)[scenario.key]
    classic = EnginePlayer().play(scenario, expected)
    expected.atomic = True
    atomic = EnginePlayer().play(scenario, expected)
    assert Counter((line.kind, line.ip) for line in classic.lines) == Counter(
        (line.kind, line.ip) for line in atomic.lines
    )


def test_no_trace_is_left_of_a_scenario_that_is_gone() -> None:
    names = {(scenario.trace_path, scenario.key) for scenario in SCENARIOS}
    recorded = {(path, name) for path in Path(__file__).parent.rglob("*.trace") for name in read_traces(path)}
    assert recorded == names


@pytest.mark.alone
def test_the_running_kernel_a_host_and_the_engine_do_the_same() -> None:
    require_namespaces()
    chosen = [scenario for scenario in SCENARIOS if scenario.identity in QUICK]
    assert len(chosen) == len(QUICK)
    for results in play_side_by_side(chosen):
        differing = [f"{result}\n{result.comparison}" for result in results if result.differs]
        assert not differing, "\n" + "\n".join(differing)
        assert sum(result.identical for result in results) >= len(chosen) // 2, "\n".join(map(str, results))
