"""Parameters: what is accepted, who inherits what, what is drawn and when, and what probes follow of them."""

from __future__ import annotations

from itertools import product
from math import inf, nan
from random import Random

import pytest

from neighio.core.constants import AF_INET, AF_INET6, NUD_DELAY, NUD_INCOMPLETE, NUD_REACHABLE
from neighio.core.engine import Engine, family_scope
from neighio.core.parameters import PARAMETERS, Parameters, check_parameters

from .bench import DEVICE, Bench, FixedRandom, ethernet

INT_MAX = 2**31 - 1

# name: default for ARP, for ND; another valid value; unit
LINUX = {
    "mcast_solicit": (3, 3, 7, "count"),
    "ucast_solicit": (3, 3, 0, "count"),
    "app_solicit": (0, 0, 2, "count"),
    "mcast_resolicit": (0, 0, 4, "count"),
    "retrans_time": (1.0, 1.0, 0.3, "seconds"),
    "base_reachable_time": (30.0, 30.0, 2.5, "seconds"),
    "delay_first_probe_time": (5.0, 5.0, 0.0, "seconds"),
    "interval_probe_time": (5.0, 5.0, 0.004, "seconds"),
    "gc_stale_time": (60.0, 60.0, 1.5, "seconds"),
    "unres_qlen_bytes": (212992, 212992, 0, "count"),
    "proxy_qlen": (64, 64, 9, "count"),
    "proxy_delay": (0.8, 0.8, 0.0, "seconds"),
    "anycast_delay": (1.0, 1.0, 0.1, "seconds"),
    "locktime": (1.0, 0.0, 0.25, "seconds"),
}


def engine(draw: float = 0.5) -> Engine:
    made = Engine(random=FixedRandom(draw))
    made.attach(ethernet(), 0.0)
    return made


def values(made: Engine, index: int | None = DEVICE) -> dict[str, float]:
    return made.parameters(index, AF_INET).as_dict()


# -- each of them


def test_the_parameters_are_linuxs() -> None:
    assert set(PARAMETERS) == set(LINUX)
    assert set(engine().parameters(DEVICE, AF_INET).names()) == set(LINUX)


@pytest.mark.parametrize("name", LINUX)
def test_default(name: str) -> None:
    arp, ndisc, _, _ = LINUX[name]

    assert Parameters(AF_INET, Random(0)).as_dict()[name] == arp
    assert Parameters(AF_INET6, Random(0)).as_dict()[name] == ndisc


@pytest.mark.parametrize("name", LINUX)
def test_set_and_read_back(name: str) -> None:
    made = engine()
    before = values(made)
    value = LINUX[name][2]
    made.set(DEVICE, AF_INET, {name: value}, 0.0)
    after = values(made)

    assert after[name] == value
    assert {**after, "reachable_time": 0} == {**before, name: value, "reachable_time": 0}


@pytest.mark.parametrize("name", LINUX)
@pytest.mark.parametrize("value", [-1, -0.001, nan, inf, -inf, INT_MAX + 1, "3", None, True, b"1"])
def test_refused_whatever_is_no_number_in_range(name: str, value: object) -> None:
    made = engine()
    before = values(made)

    with pytest.raises(ValueError, match=f"^{name}: "):
        made.set(DEVICE, AF_INET, {name: value}, 0.0)
    assert values(made) == before


@pytest.mark.parametrize("name", [name for name, facts in LINUX.items() if facts[3] == "count"])
def test_counts_are_whole_numbers(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: .* whole"):
        check_parameters({name: 1.5})
    assert check_parameters({name: 2.0}) == {name: 2}
    assert type(check_parameters({name: 2.0})[name]) is int


@pytest.mark.parametrize("name", LINUX)
def test_largest_and_smallest_values(name: str) -> None:
    smallest = 0.004 if name == "interval_probe_time" else 0

    assert check_parameters({name: INT_MAX}) == {name: INT_MAX}
    assert check_parameters({name: smallest}) == {name: smallest}


def test_interval_probe_time_is_a_jiffy_at_least() -> None:
    with pytest.raises(ValueError, match=r"^interval_probe_time: 0\.0039"):
        check_parameters({"interval_probe_time": 0.0039})


@pytest.mark.parametrize("name", ["retrans_time_ms", "reachable_time", "gc_interval", "", "MCAST_SOLICIT"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: no such parameter"):
        engine().set(DEVICE, AF_INET, {name: 1}, 0.0)


def test_who_mistypes_a_switch_is_told_of_the_switches_too() -> None:
    with pytest.raises(
        ValueError, match=r"^arp_acept: no such parameter; there are .*arp_accept.*retrans_time"
    ):
        engine().set(DEVICE, AF_INET, {"arp_acept": 1}, 0.0)


def test_unres_qlen_is_unres_qlen_bytes_in_units_of_2090() -> None:
    made = engine()
    made.set(DEVICE, AF_INET, {"unres_qlen": 3}, 0.0)

    assert values(made)["unres_qlen_bytes"] == 3 * 2090


@pytest.mark.parametrize("value", [-1, 1.5, INT_MAX])
def test_unres_qlen_is_checked(value: float) -> None:
    with pytest.raises(ValueError, match=r"^unres_qlen"):
        check_parameters({"unres_qlen": value})


def test_one_parameter_under_two_names_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^unres_qlen_bytes: given twice"):
        check_parameters({"unres_qlen_bytes": 5, "unres_qlen": 3})


@pytest.mark.parametrize(
    "changes",
    [
        {"retrans_time": 2.0, "mcast_solicit": -1},
        {"mcast_solicit": -1, "retrans_time": 2.0},
        {"retrans_time": 2.0, "nonsense": 1},
        {"retrans_time": 2.0, "arp_ignore": 99},
        {"arp_ignore": 1, "retrans_time": -2.0},
        {"base_reachable_time": 9.0, "retrans_time": nan},
    ],
)
@pytest.mark.parametrize("index", [DEVICE, None])
def test_a_set_takes_all_of_it_or_nothing(index: int | None, changes: dict[str, float]) -> None:
    made = engine()
    before = values(made), values(made, None)
    switches = dict(made.node.devices[DEVICE].switches[AF_INET]), dict(made.node.everywhere[AF_INET])

    with pytest.raises(ValueError):
        made.set(index, AF_INET, changes, 0.0)
    assert (values(made), values(made, None)) == before
    assert (made.node.devices[DEVICE].switches[AF_INET], made.node.everywhere[AF_INET]) == switches


# -- defaults and who inherits them


@pytest.mark.parametrize("name", LINUX)
def test_a_changed_default_reaches_devices_that_were_not_told_otherwise(name: str) -> None:
    made = engine()
    told = ethernet()
    told.index, told.name = 8, "vb"
    made.attach(told, 0.0)
    own = LINUX[name][0]
    made.set(8, AF_INET, {name: own}, 0.0)  # the default itself, but said explicitly
    made.set(None, AF_INET, {name: LINUX[name][2]}, 0.0)

    assert values(made, None)[name] == LINUX[name][2]
    assert values(made)[name] == LINUX[name][2]
    assert values(made, 8)[name] == own


def test_an_inherited_value_does_not_count_as_told() -> None:
    made = engine()
    for seconds in (0.5, 0.75):
        made.set(None, AF_INET, {"retrans_time": seconds}, 0.0)
        assert values(made)["retrans_time"] == seconds


def test_a_new_device_copies_the_present_defaults_and_follows_them() -> None:
    made = engine()
    made.set(None, AF_INET, {"retrans_time": 0.5}, 0.0)
    late = ethernet()
    late.index, late.name = 8, "vb"
    made.attach(late, 0.0)
    assert values(made, 8)["retrans_time"] == 0.5
    made.set(None, AF_INET, {"retrans_time": 0.25}, 0.0)

    assert values(made, 8)["retrans_time"] == 0.25


def test_a_device_does_not_change_the_defaults() -> None:
    made = engine()
    made.set(DEVICE, AF_INET, {"retrans_time": 0.5}, 0.0)

    assert values(made, None)["retrans_time"] == 1.0


# -- reachable_time


@pytest.mark.parametrize(("draw", "factor"), [(0.0, 0.5), (0.25, 0.75), (0.5, 1.0), (1 - 2**-53, 1.5)])
def test_reachable_time_is_drawn_from_half_to_one_and_a_half_of_the_base(draw: float, factor: float) -> None:
    made = engine(draw)
    made.set(DEVICE, AF_INET, {"base_reachable_time": 8.0}, 0.0)

    assert values(made)["reachable_time"] == pytest.approx(8.0 * factor)


def test_reachable_time_is_spread_over_the_whole_range() -> None:
    parameters = Parameters(AF_INET, Random(1))
    drawn = []
    for _ in range(2000):
        parameters.draw_reachable_time()
        drawn.append(parameters.reachable_time)

    assert 15.0 <= min(drawn) < 15.2 and 44.8 < max(drawn) < 45.0
    assert abs(sum(drawn) / len(drawn) - 30.0) < 1.0


def test_base_0_gives_reachable_time_0() -> None:
    made = engine()
    made.set(DEVICE, AF_INET, {"base_reachable_time": 0}, 0.0)

    assert values(made)["reachable_time"] == 0


@pytest.mark.parametrize("name", LINUX)
def test_only_writing_base_reachable_time_draws_anew(name: str) -> None:
    made = engine(0.5)
    source = made.services.random
    assert isinstance(source, FixedRandom)
    before = values(made)["reachable_time"]
    source.value = 0.25
    made.set(DEVICE, AF_INET, {name: values(made)[name]}, 0.0)

    assert values(made)["reachable_time"] == (before * 0.75 if name == "base_reachable_time" else before)


def test_a_changed_default_base_is_inherited_without_a_draw() -> None:
    made = engine()
    made.set(None, AF_INET, {"base_reachable_time": 8.0}, 0.0)

    assert values(made, None)["reachable_time"] == 8.0
    assert (values(made)["base_reachable_time"], values(made)["reachable_time"]) == (8.0, 30.0)


def test_every_reachable_time_is_drawn_anew_300_s_after_the_last_draw_even_below_gc_thresh1() -> None:
    """The first time is later by 20 reachable times, as last_rand begins that far in the future."""
    made = engine(0.5)
    source = made.services.random
    assert isinstance(source, FixedRandom)
    drawn: list[tuple[float, float, float]] = []
    now, value = 0.0, 0.5
    while now < 1700:
        now = made.next_deadline(family_scope(AF_INET))
        value = source.value = 0.75 if value == 0.25 else 0.25
        before = values(made)["reachable_time"]
        while made.handle_timers(family_scope(AF_INET), now):
            pass
        if values(made)["reachable_time"] != before:
            drawn.append((now, values(made)["reachable_time"], values(made, None)["reachable_time"]))
            value = source.value
    times = [when for when, _, _ in drawn]

    # 20 x 30 s + 300 s, strictly after; then every 300 s, strictly after: runs are 15 s apart
    assert times == [915.0, 1230.0, 1545.0]
    assert all(device == default for _, device, default in drawn)


def test_a_draw_does_not_move_a_running_timer() -> None:
    bench = Bench()
    bench.put(NUD_REACHABLE)
    timer = bench.facts().timer
    bench.set(base_reachable_time=1.0)

    assert bench.facts().timer == timer


@pytest.mark.parametrize("name", ["retrans_time", "delay_first_probe_time"])
def test_a_change_does_not_move_running_timers(name: str) -> None:
    for state in (NUD_INCOMPLETE, NUD_DELAY):
        bench = Bench()
        bench.put(state)
        timer = bench.facts().timer
        bench.set(**{name: 0.01})

        assert bench.facts().timer == timer


# -- the probes that follow


@pytest.mark.parametrize(("ucast", "app", "mcast"), list(product((0, 1, 3), (0, 1, 2), (0, 1, 3))))
def test_probes_of_resolution(ucast: int, app: int, mcast: int) -> None:
    bench = Bench(ucast_solicit=ucast, app_solicit=app, mcast_solicit=mcast, mcast_resolicit=9)
    lines = bench.output() + [text for _, text in bench.wait(30)]

    if app + mcast == 0:
        assert lines == ["p1 PacketDropped"]
    else:
        probes = ["miss INCOMPLETE"] * app + ["request to all"] * mcast
        assert lines == [*probes, "p1 Unreachable reported", "new FAILED"]
        assert bench.facts().probes == ucast + app + mcast


@pytest.mark.parametrize(("ucast", "app", "resolicit"), list(product((0, 1, 3), (0, 1, 2), (0, 1, 3))))
def test_probes_of_verification(ucast: int, app: int, resolicit: int) -> None:
    bench = Bench(ucast_solicit=ucast, app_solicit=app, mcast_solicit=9, mcast_resolicit=resolicit)
    bench.put(NUD_DELAY)
    lines = [text for _, text in bench.wait(30)]

    probes = ["request to 0b"] * ucast + ["miss PROBE 0b"] * app + ["request to all"] * resolicit
    expected = [*probes[:1], "new PROBE 0b", *probes[1:], "new FAILED"] if probes else ["new FAILED"]
    assert lines == expected
    assert bench.facts().probes == ucast + app + resolicit


@pytest.mark.parametrize(
    ("change", "left"),
    [
        ({"ucast_solicit": 0}, []),
        ({"ucast_solicit": 2}, []),
        ({"ucast_solicit": 3}, ["request to 0b"]),
        ({"app_solicit": 1}, ["request to 0b"] * 2 + ["miss PROBE 0b"]),
        ({"mcast_resolicit": 1}, ["request to 0b"] * 2 + ["request to all"]),
        ({"ucast_solicit": 0, "mcast_resolicit": 3}, ["request to all"]),
        ({"ucast_solicit": 0, "app_solicit": 3}, ["miss PROBE 0b"]),
        ({"mcast_solicit": 0}, ["request to 0b"] * 2),
    ],
)
def test_trap_214_changes_in_mid_probe_count_what_was_sent_already(
    change: dict[str, int], left: list[str]
) -> None:
    """Two of four unicast probes are out."""
    bench = Bench(ucast_solicit=4, app_solicit=0, mcast_resolicit=0)
    bench.put(NUD_DELAY)
    bench.fire()
    bench.fire()
    assert bench.facts().probes == 2
    bench.set(**change)

    assert [text for _, text in bench.wait(30)] == [*left, "new FAILED"]


@pytest.mark.parametrize(
    "change", [{"mcast_solicit": 1}, {"mcast_solicit": 0}, {"ucast_solicit": 0, "mcast_solicit": 3}]
)
def test_trap_214_resolution_that_sent_more_probes_than_it_gets_fails_at_the_next_expiry(
    change: dict[str, int],
) -> None:
    bench = Bench(ucast_solicit=2, mcast_solicit=4)
    bench.output()
    bench.fire()
    assert bench.facts().probes == 4
    bench.set(**change)

    assert bench.fire() == ["p1 Unreachable reported", "new FAILED"]
    assert bench.facts().probes == 4
