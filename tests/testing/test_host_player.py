"""The player that has ``neighio host`` in the kernel's place: what it takes, gives, and cannot be asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from neighio.address import parse_ip
from neighio.records import Record
from neighio.testing.isolation import require_namespaces
from neighio.testing.scenario import EnginePlayer, HostPlayer, Scenario, Trace, compare, load, model, session
from neighio.testing.scenario.host import why_not_on_host
from neighio.testing.scenario.host_process import HostEnded, HostProcess
from neighio.testing.scenario.model import Set, Step
from neighio.testing.scenario.nodes import Nodes
from neighio.testing.scenario.trace import Line
from neighio.testing.scenario.watch import Watch

pytestmark = pytest.mark.alone

LIFE = """\
title = "what a host is told, and tells"
holds = ["4.2"]
lasts = 1.2
addresses = [".1/24", ".9/24", "6.1/64", "fe80::a/64"]
routes = ["203.0.113.0/24 via .5"]
parameters = { base_reachable_time = 0.3, reachable_time = 0.2, retrans_time = 0.1, ipv6 = { mcast_solicit = 1 } }
steps = [
  { at = 0.0, admin = "replace .2 lladdr :0b nud reachable" },
  { at = 0.02, send = ".2 count 2 octets 40 from .9" },
  { at = 0.04, send = "203.0.113.7" },
  { at = 0.06, admin = "change .3 nud stale", error = "ENOENT" },
  { at = 0.08, admin = "del .4", error = "EEXIST" },
  { at = 0.1, peer = "answers .5 as :0c" },
  { at = 0.12, send = "6.2" },
  { at = 0.14, admin = "add fe80::2 lladdr :0b nud permanent router extern_learn protocol 3" },
  { at = 0.16, address = "del .9/24" },
  { at = 0.3, show = ".2 .5 fe80::2 .77" },
  { at = 0.5, set = { base_reachable_time = 0.4, reachable_time = 0.5 } },
  { at = 0.6, link = "down" },
  { at = 0.7, link = "up" },
]
"""


@pytest.fixture
def life(tmp_path: Path) -> Scenario:
    path = tmp_path / "life.toml"
    path.write_text(LIFE, encoding="utf-8")
    (scenario,) = load(path)
    return scenario


def test_a_host_does_what_the_engine_does(life: Scenario) -> None:
    require_namespaces()
    like = EnginePlayer().play(life, Trace(drawn=[0.25, 0.55]))
    seen = HostPlayer().play(life, like)
    assert seen.drawn == [0.25, 0.55]
    assert str(compare(life, like, seen, slack=0.06)) == "\n".join(f"  {line}" for line in like.lines)
    # The one command that was to fail and did not, told by either.
    assert any("the scenario expects EEXIST" in line.text for line in seen.lines)
    assert {line.text.split()[1] for line in seen.lines if line.text.startswith("packet")} == {
        "#000",
        "#001",
        "#002",
    }


def test_a_host_that_does_not_begin_is_a_difference_that_says_why(life: Scenario) -> None:
    require_namespaces()
    nowhere = replace(life, addresses=("198.51.100.255/24", "224.0.0.1/24"))
    (result,) = (session._on_host(nowhere, EnginePlayer().play(life)),)
    assert result.differs and "neighio host: " in str(result.comparison)


def test_a_host_has_the_order_of_notifications_that_it_has(life: Scenario) -> None:
    assert why_not_on_host(life, Trace()) is None
    assert "before 7.0" in str(why_not_on_host(life, Trace(atomic=True)))


def test_routes_come_and_go(life: Scenario) -> None:
    require_namespaces()
    quick = replace(
        life,
        steps=(
            Step(0.02, model.RouteChange(True, "203.0.113.0/24", "198.51.100.6"), "", 1),
            Step(0.04, _packet("203.0.113.7"), "", 1),
            Step(0.06, model.RouteChange(False, "203.0.113.0/24", None), "", 1),
            Step(0.08, model.RouteChange(True, "203.0.113.0/24", None), "", 1),
            Step(0.1, _packet("203.0.113.8"), "", 1),
        ),
        lasts=0.15,
        start=Set({}),
    )
    like = EnginePlayer().play(quick)
    assert [line.ip for line in like.lines if line.kind == ">"] == ["198.51.100.6", "203.0.113.8"]
    assert compare(quick, like, HostPlayer().play(quick, like), slack=0.06).identical


def _packet(ip: str) -> model.Send:
    return model.Send(parse_ip(ip)[0], bytes([198, 51, 100, 1]), 1, 32, False)


QUICK = ["--set=ipv6.router_solicitation_delay=0", "--set=ipv6.retrans_time=0.1"]


@pytest.mark.parametrize(
    ("network", "detection"), [("198.51.100.{}/24", ["--no-dad"]), ("2001:db8::{}/64", QUICK)]
)
def test_a_host_has_its_addresses_in_the_order_given(network: str, detection: list[str]) -> None:
    """As in Linux, where those of IPv6 stand before older ones."""
    require_namespaces()
    addresses = [network.format(n) for n in (7, 3, 9, 1, 8, 2)]
    for _ in range(3):
        with Nodes(()) as nodes, Watch(nodes.node, model.DEVICE) as watch:
            arguments = ["--dev=va", "--monitor=json", *detection, *(f"--address={a}" for a in addresses)]
            with HostProcess(nodes.node, arguments) as host:
                records: list[Record] = []

                def read(host: HostProcess = host, records: list[Record] = records) -> int:
                    records.extend(host.read())
                    return 0

                watch.add(host, read)
                while not any(record["kind"] == "ready" for record in records):
                    list(watch.poll(30.0))
        assert records[-1]["addresses"] == addresses[:: 1 if "." in network else -1]


def test_a_host_that_ended_says_why() -> None:
    require_namespaces()
    with Nodes(()) as nodes, HostProcess(nodes.node, ["--dev=nothere"]) as host:
        host.setblocking(True)
        with pytest.raises(HostEnded, match="nothere"):
            list(host.read())


def test_a_draw_that_is_not_given_is_the_scenario_s(life: Scenario) -> None:
    require_namespaces()
    quick = replace(
        life, steps=(), lasts=0.05, start=Set({"base_reachable_time": 1.0, "reachable_time": 1.25})
    )
    assert HostPlayer().play(quick).drawn == [1.25]


def test_what_was_read_too_late_is_compared_apart(life: Scenario) -> None:
    told = [
        Line(0.1, "!", "198.51.100.2", "REACHABLE probes 1 refcnt 2"),
        Line(0.1, ">", "198.51.100.2", "packet"),
    ]
    expected, swapped = Trace(lines=told), Trace(lines=told[::-1])
    assert not compare(life, expected, swapped).identical
    assert compare(life, expected, swapped, apart=True).identical
    assert not compare(life, expected, Trace(lines=told[:1]), apart=True).identical
    late = Trace(lines=[told[0], replace(told[1], time=0.9)])
    assert not compare(life, expected, late, apart=True).identical
