"""Scenario files: what they mean, and that a mistake is refused with file, line and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from neighio.address import LinkAddress
from neighio.core.constants import NLM_F_CREATE, NLM_F_REPLACE, NTF_ROUTER, NUD_STALE
from neighio.testing.scenario import Scenario, ScenarioError, load, load_all, model
from neighio.wire import arp

HEAD = """title = "a scenario"
holds = ["4.1"]
lasts = 1.0
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "scenario.toml"
    path.write_text(text, encoding="utf-8")
    return path


def one(folder: Path, steps: str, head: str = HEAD) -> Scenario:
    (scenario,) = load(written(folder, f"{head}steps = [\n{steps}\n]\n"))
    return scenario


def action(folder: Path, verb: str) -> model.Action:
    return one(folder, f"  {{ at = 0.5, {verb} }},").steps[0].action


def test_addresses_may_be_shortened_to_what_differs(tmp_path: Path) -> None:
    told = action(tmp_path, 'peer = "answers .7 as :0d after 0.2"')
    assert told == model.Answer(bytes((198, 51, 100, 7)), LinkAddress("02:00:00:00:00:0d"), 0.2)


def test_a_reply_goes_to_the_node_unless_told_otherwise(tmp_path: Path) -> None:
    told = action(tmp_path, 'peer = "arp reply spa=.2"')
    assert isinstance(told, model.Inject)
    fields = arp.parse(told.frame)
    assert told.frame[:6] == model.NODE_LLADDR
    assert fields == (
        2,
        bytes((198, 51, 100, 2)),
        model.PEER_LLADDR,
        bytes((198, 51, 100, 1)),
        model.NODE_LLADDR,
    )


def test_a_request_is_broadcast_with_an_unknown_target_unless_told_otherwise(tmp_path: Path) -> None:
    told = action(tmp_path, 'peer = "arp request spa=203.0.113.2 sha=:0c tpa=.77"')
    assert isinstance(told, model.Inject)
    assert told.frame[:6] == b"\xff" * 6
    assert told.frame[-20:] == bytes.fromhex("02000000000c cb007102 000000000000 c633644d")


def test_a_command_reads_as_ip_neigh_takes_it(tmp_path: Path) -> None:
    told = action(tmp_path, 'admin = "replace .2 lladdr :0b nud stale router", error = "ENOENT"')
    assert isinstance(told, model.Admin)
    assert (told.nlm_flags, told.state, told.flags) == (NLM_F_CREATE | NLM_F_REPLACE, NUD_STALE, NTF_ROUTER)
    assert told.error == 2


def test_reachable_time_is_the_base_unless_another_draw_is_asked_for(tmp_path: Path) -> None:
    told = action(tmp_path, "set = { base_reachable_time = 2.0 }")
    assert told == model.Set({"base_reachable_time": 2.0, "reachable_time": 2.0})
    told = action(tmp_path, "set = { base_reachable_time = 2.0, reachable_time = 1.25 }")
    assert told == model.Set({"base_reachable_time": 2.0, "reachable_time": 1.25})


def test_scenarios_of_one_file_share_its_head_and_its_first_steps(tmp_path: Path) -> None:
    text = (
        HEAD
        + """parameters = { retrans_time = 0.3, ucast_solicit = 1 }
before = [
  { at = 0.0, send = ".2" },
]

[[scenario]]
name = "first"
steps = [ { at = 0.1, show = ".2" } ]

[[scenario]]
name = "second"
holds = ["4.2"]
parameters = { retrans_time = 0.5 }
steps = []
"""
    )
    first, second = load_all(written(tmp_path, text))
    assert [type(step.action) for step in first.steps] == [model.Send, model.Show]
    assert len(second.steps) == 1
    assert (first.holds, second.holds) == (("4.1",), ("4.2",))
    assert first.start.changes == {"retrans_time": 0.3, "ucast_solicit": 1}
    assert second.start.changes == {"retrans_time": 0.5, "ucast_solicit": 1}
    assert second.identity == f"{tmp_path.name}/scenario/second"


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ('{ at = 0.5, sned = ".2" }', "sned: expected exactly one of peer, send,"),
        ('{ at = 0.5, send = ".2", show = ".2" }', "send, show: expected exactly one of"),
        ('{ send = ".2" }', "at: None: expected seconds since the beginning"),
        ('{ at = "soon", send = ".2" }', "at: 'soon': expected seconds"),
        ('{ at = 0.5, send = ".2 octets 9000" }', "'9000': expected a number from 4 to 1472"),
        ('{ at = 0.5, send = "2001:db8::1" }', "'2001:db8::1': expected an IPv4 address"),
        ('{ at = 0.5, send = "" }', "send: '': expected an IPv4 address"),
        ('{ at = 0.5, peer = "arp reply sha=:0b" }', "expected spa=, who sends"),
        ('{ at = 0.5, peer = "arp reply spa=.2 sha=:zz" }', "':zz': expected an Ethernet address"),
        ('{ at = 0.5, peer = "arp reply spa=.2 colour=red" }', "'colour=red': expected each of spa=,"),
        ('{ at = 0.5, peer = "shouts" }', "'shouts': expected arp request ...,"),
        ('{ at = 0.5, peer = "answers .2 loudly" }', "'loudly': expected as ..., after ..."),
        ('{ at = 0.5, peer = "raw 00" }', "'00': expected at least 14 octets"),
        ('{ at = 0.5, admin = "remove .2" }', "'remove': expected add, change, replace, append or del"),
        ('{ at = 0.5, admin = "add" }', "'': expected an IPv4 address"),
        ('{ at = 0.5, admin = "add .2 nud fresh" }', "nud 'fresh': expected none, incomplete,"),
        ('{ at = 0.5, admin = "add .2 forever" }', "'forever': expected one of lladdr L,"),
        ('{ at = 0.5, admin = "add .2", error = "ENOPE" }', "'ENOPE': expected an errno's name"),
        ('{ at = 0.5, show = ".2", error = "ENOENT" }', "error: expected beside admin only"),
        ('{ at = 0.5, carrier = "lost" }', "'lost': expected on or off"),
        ('{ at = 0.5, link = "up down" }', "'up down': expected up or down"),
        ('{ at = 0.5, lladdr = "" }', "'': expected an Ethernet address"),
        ('{ at = 0.5, address = "add .9" }', "'.9': expected an address with its prefix length"),
        ('{ at = 0.5, show = "" }', "'': expected IPv4 addresses"),
        ("{ at = 0.5, set = { colour = 1 } }", "set: colour: no such parameter; expected one of"),
        ("{ at = 0.5, set = { interval_probe_time = 1 } }", "set: interval_probe_time: no such parameter"),
        ("{ at = 0.5, set = { retrans_time = -1 } }", "set: retrans_time: -1 is out of range"),
        ("{ at = 0.5, set = { reachable_time = 1 } }", "set: reachable_time: 1: expected 0.5 to 1.5 of"),
        ('{ at = 0.1, send = ".2" }', "at: 0.1 is before the last step's 0.2"),
        ("4", "4: expected {at = seconds, verb = ...}"),
    ],
)
def test_a_mistake_in_a_step_is_refused_with_its_line(tmp_path: Path, step: str, expected: str) -> None:
    with pytest.raises(ScenarioError) as refused:
        one(tmp_path, f'  {{ at = 0.2, show = ".2" }}, # {{ no step }}\n  {step},')
    where, _, what = str(refused.value).partition(": ")
    assert where == f"{tmp_path / 'scenario.toml'}:{6 if step != '4' else 4}"
    assert expected in what


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("title = ", 1, "expected TOML"),
        (HEAD + "steps = []\ncolour = 1\n", 5, "colour: no such key; expected one of title,"),
        (HEAD + "steps = 4\n", 4, "steps: 4: expected a list"),
        (HEAD + "steps = []\nmanaged = 1\n", 5, "managed: 1: expected true or false"),
        (HEAD.replace("1.0", "true") + "steps = []\n", 3, "lasts: True: expected a number"),
        ("holds = []\nlasts = 1\nsteps = []\n", 1, "title: expected; every scenario has"),
        (HEAD + "steps = []\nsince = '6'\n", 5, "since: '6': expected a kernel release"),
        (HEAD + "steps = []\nrole = 'guest'\n", 5, "role: 'guest': expected client or host"),
        (HEAD + "steps = []\nexclusive = true\n", 5, "exclusive: expected together with gc_thresh"),
        (HEAD + "steps = []\nexclusive = true\ngc_thresh = [1]\n", 6, "gc_thresh: [1]: expected three"),
        (HEAD + "steps = []\nparameters = { colour = 1 }\n", 5, "parameters: colour: no such parameter"),
        (HEAD + "steps = []\naddresses = ['.1']\n", 5, "addresses: '.1': expected an address with"),
        (HEAD + "steps = [ { at = 1.0, show = '.2' } ]\n", 3, "lasts: 1: expected more than"),
        (HEAD + "\n[[scenario]]\nname = ''\nsteps = []\n", 6, "name: '': expected a word"),
        (HEAD + "steps = []\n[[scenario]]\nname = 'a'\n", 4, "steps: expected either steps or"),
        (HEAD + "\n[[scenario]]\nname = 'a'\n", 5, "steps: expected; every scenario has"),
    ],
)
def test_a_mistake_in_the_head_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int, expected: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ScenarioError) as refused:
        load(path)
    assert str(refused.value).startswith(f"{path}:{line}: {expected}")
