"""Scenario files: what they mean, and that a mistake is refused with file, line and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from neighio.address import LinkAddress
from neighio.core.constants import AF_INET, AF_INET6, NLM_F_CREATE, NLM_F_REPLACE, NTF_ROUTER, NUD_STALE
from neighio.testing.scenario import Scenario, ScenarioError, load, load_all, model
from neighio.wire import arp, ipv6, ndisc

HEAD = """title = "a scenario"
holds = ["4.1"]
lasts = 1.0
"""
BOTH = 'addresses = [".1/24", "fe80::a/64", "6.1/64"]\n'

GLOBAL = bytes.fromhex("20010db8000000000000000000000001")
OTHER = bytes.fromhex("20010db8000000000000000000000002")
LOCAL = bytes.fromhex("fe80000000000000000000000000000a")
ROUTER = bytes.fromhex("fe80000000000000000000000000000b")


def written(folder: Path, text: str) -> Path:
    path = folder / "scenario.toml"
    path.write_text(text, encoding="utf-8")
    return path


def one(folder: Path, steps: str, head: str = HEAD) -> Scenario:
    (scenario,) = load(written(folder, f"{head}steps = [\n{steps}\n]\n"))
    return scenario


def action(folder: Path, verb: str, head: str = HEAD) -> model.Action:
    return one(folder, f"  {{ at = 0.5, {verb} }},", head).steps[0].action


def message(folder: Path, words: str, *, fragments: bool = False) -> tuple[bytes, ndisc.Fields | str]:
    """(Ethernet destination, what a node with addresses of both families reads) of a frame of the peer's."""
    told = action(folder, f'peer = "{words}"', HEAD + BOTH)
    assert isinstance(told, model.Inject)
    return told.frame[:6], ndisc.parse(told.frame, fragments=fragments)


def test_addresses_may_be_shortened_to_what_differs(tmp_path: Path) -> None:
    told = action(tmp_path, 'peer = "answers .7 as :0d after 0.2"')
    assert told == model.Answer(bytes((198, 51, 100, 7)), LinkAddress("02:00:00:00:00:0d"), 0.2)


def test_an_ipv6_address_may_be_shortened_too(tmp_path: Path) -> None:
    told = action(tmp_path, 'peer = "answers 6.2 flags RS"')
    assert told == model.Answer(OTHER, model.PEER_LLADDR, 0.001, "RS")
    assert action(tmp_path, 'show = "6.2 .2"') == model.Show((OTHER, bytes((198, 51, 100, 2))))


@pytest.mark.parametrize(
    ("target", "source"),
    [(".2", bytes((198, 51, 100, 1))), ("6.2", GLOBAL), ("fe80::2", LOCAL), ("ff02::2", GLOBAL)],
)
def test_a_packet_comes_from_the_address_that_fits_its_target(
    tmp_path: Path, target: str, source: bytes
) -> None:
    told = action(tmp_path, f'send = "{target}"', HEAD + BOTH)
    assert isinstance(told, model.Send) and told.source == source


def test_the_first_steps_of_a_file_know_each_scenarios_addresses(tmp_path: Path) -> None:
    text = (
        HEAD
        + BOTH
        + """before = [ { at = 0.0, send = "6.2" } ]
[[scenario]]
name = "first"
steps = []
[[scenario]]
name = "second"
addresses = ["fe80::a/64"]
steps = []
"""
    )
    first, second = load_all(written(tmp_path, text))
    sources = [step.action.source for step in (*first.steps, *second.steps)]  # type: ignore[union-attr]
    assert sources == [GLOBAL, LOCAL]


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


def test_a_solicitation_asks_for_the_node_unless_told_otherwise(tmp_path: Path) -> None:
    to, fields = message(tmp_path, "ns src=6.2")
    assert to == bytes.fromhex("3333ff000001")
    group = ipv6.solicited_node(GLOBAL)
    assert fields == ndisc.Solicitation(OTHER, group, GLOBAL, model.PEER_LLADDR, None)
    _, fields = message(tmp_path, "ns src=fe80::b")
    assert isinstance(fields, ndisc.Solicitation) and fields.target == LOCAL


def test_a_solicitation_from_nowhere_has_no_link_layer_address_unless_told_otherwise(tmp_path: Path) -> None:
    _, fields = message(tmp_path, "ns src=:: target=6.2 nonce=010203040506")
    group = ipv6.solicited_node(OTHER)
    assert fields == ndisc.Solicitation(bytes(16), group, OTHER, None, bytes((1, 2, 3, 4, 5, 6)))
    _, fields = message(tmp_path, "ns src=:: sllao=:0b")
    assert fields == ndisc.DROP_NDISC_UNSPECIFIED_LLADDR


def test_an_advertisement_answers_the_node_unless_told_otherwise(tmp_path: Path) -> None:
    to, fields = message(tmp_path, "na target=6.2 tllao=:0c")
    assert to == model.NODE_LLADDR
    assert fields == ndisc.Advertisement(
        OTHER,
        GLOBAL,
        OTHER,
        LinkAddress("02:00:00:00:00:0c"),
        router=False,
        solicited=True,
        override=True,
    )
    to, fields = message(tmp_path, "na target=fe80::b src=6.2 dst=ff02::1 flags=R tllao=none")
    assert to == bytes.fromhex("333300000001")
    assert fields == ndisc.Advertisement(
        OTHER, ipv6.ALL_NODES, ROUTER, None, router=True, solicited=False, override=False
    )


def test_what_concerns_routers_comes_from_one_unless_told_otherwise(tmp_path: Path) -> None:
    to, fields = message(tmp_path, "rs")
    assert to == bytes.fromhex("333300000002")
    assert fields == ndisc.RouterSolicitation(ROUTER, ipv6.ALL_ROUTERS, model.PEER_LLADDR)
    to, fields = message(tmp_path, "ra lifetime=60 reachable=0.4 retrans=0.25 sllao=none")
    assert to == bytes.fromhex("333300000001")
    assert fields == ndisc.RouterAdvertisement(ROUTER, ipv6.ALL_NODES, None, 60, 0.4, 0.25, 0)


@pytest.mark.parametrize(("header", "protocol"), [("none", None), ("icmp", 58), ("udp", 17)])
def test_a_redirect_quotes_what_it_is_told_to_quote(
    tmp_path: Path, header: str, protocol: int | None
) -> None:
    to, fields = message(tmp_path, f"redirect dest=2001:db8:1::5 target=fe80::c tllao=:0c header={header}")
    assert to == model.NODE_LLADDR and isinstance(fields, ndisc.RedirectMessage)
    assert (fields.src, fields.dst, fields.lladdr) == (ROUTER, GLOBAL, LinkAddress("02:00:00:00:00:0c"))
    quoted = fields.redirected
    if protocol is None:
        assert quoted is None
    else:
        assert quoted is not None and quoted[6] == protocol
        assert (quoted[8:24], quoted[24:40]) == (GLOBAL, fields.destination)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("hop=254", ndisc.DROP_NDISC_HOP_LIMIT),
        ("code=1", ndisc.DROP_NDISC_CODE),
        ("checksum=bad", ndisc.DROP_ICMPV6_CHECKSUM),
        ("options=0100000000000000", ndisc.DROP_NDISC_OPTION_LENGTH),
        ("sllao=none options=0102000000000000000000000000000000", ndisc.DROP_NDISC_OPTION_LENGTH),
        ("cut=20", ndisc.DROP_NDISC_TRUNCATED),
        ("fragment=whole", ndisc.DROP_NDISC_FRAGMENTED),
    ],
)
def test_a_message_may_be_what_is_refused(tmp_path: Path, words: str, reason: str) -> None:
    assert message(tmp_path, f"ns src=6.2 {words}")[1] == reason


def test_options_are_added_and_the_checksum_is_that_of_the_whole(tmp_path: Path) -> None:
    _, fields = message(tmp_path, "ns src=6.2 options=0e01a1a2a3a4a5a6 fragment=whole", fragments=True)
    assert isinstance(fields, ndisc.Solicitation)
    assert fields.nonce == bytes.fromhex("a1a2a3a4a5a6")


def test_a_frame_goes_where_it_is_told_to_go_on_the_wire(tmp_path: Path) -> None:
    told = action(tmp_path, 'peer = "ns src=6.2 dst=6.1 to=broadcast from=:0d"', HEAD + BOTH)
    assert isinstance(told, model.Inject)
    assert told.frame[:14] == bytes.fromhex("ffffffffffff 02000000000d 86dd")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("add 203.0.113.9/24 via .2", model.RouteChange(True, "203.0.113.0/24", "198.51.100.2")),
        ("del 2001:db8:1::/64 via fe80::b", model.RouteChange(False, "2001:db8:1::/64", "fe80::b")),
        ("add ::/0", model.RouteChange(True, "::/0", None)),
    ],
)
def test_a_route_goes_through_the_device_and_perhaps_a_gateway(
    tmp_path: Path, text: str, expected: model.RouteChange
) -> None:
    assert action(tmp_path, f'route = "{text}"') == expected
    routes = HEAD + f'routes = ["{text[4:]}"]\n'
    (route,) = one(tmp_path, "", routes).routes
    assert (route.prefix, route.gateway) == (expected.prefix, expected.gateway)


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


def test_parameters_of_ipv6_stand_beside_those_of_ipv4(tmp_path: Path) -> None:
    told = action(tmp_path, "set = { locktime = 0.5, ipv6 = { base_reachable_time = 2.0, accept_ra = 2 } }")
    assert isinstance(told, model.Set)
    assert told.of(AF_INET) == {"locktime": 0.5}
    assert told.of(AF_INET6) == {"base_reachable_time": 2.0, "reachable_time": 2.0, "accept_ra": 2}


def test_a_scenarios_parameters_of_ipv6_are_merged_with_the_files(tmp_path: Path) -> None:
    text = (
        HEAD
        + """parameters = { retrans_time = 0.3, ipv6 = { retrans_time = 0.2, accept_ra = 1 } }
[[scenario]]
name = "first"
parameters = { ipv6 = { accept_ra = 0 } }
steps = []
[[scenario]]
name = "second"
steps = []
"""
    )
    first, second = load_all(written(tmp_path, text))
    assert first.start == model.Set({"retrans_time": 0.3}, {"retrans_time": 0.2, "accept_ra": 0})
    assert second.start == model.Set({"retrans_time": 0.3}, {"retrans_time": 0.2, "accept_ra": 1})


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
        ('{ at = 0.5, send = "6.12345" }', "'6.12345': expected an IPv4 address"),
        ('{ at = 0.5, send = "fe80::1%va" }', 'an IPv6 address without zone, or "6.7" for 2001:db8::7'),
        ('{ at = 0.5, send = "6.2 from .1" }', "'.1': expected an IPv6 address without zone"),
        ('{ at = 0.5, send = "6.2 octets 1472" }', "'1472': expected a number from 4 to 1452"),
        ('{ at = 0.5, peer = "arp reply spa=6.2" }', "'6.2': expected an IPv4 address"),
        ('{ at = 0.5, peer = "ns" }', "peer: expected src=, who asks"),
        ('{ at = 0.5, peer = "ns src=.2" }', "'.2': expected an IPv6 address"),
        ('{ at = 0.5, peer = "ns src=6.2 tllao=:0b" }', "'tllao=:0b': expected each of target=, sllao=,"),
        ('{ at = 0.5, peer = "ns src=6.2 nonce=0102" }', "'0102': expected at least 6 octets"),
        ('{ at = 0.5, peer = "ns src=6.2 hop=256" }', "'256': expected a number from 0 to 255"),
        ('{ at = 0.5, peer = "ns src=6.2 checksum=good" }', "'good': expected bad"),
        ('{ at = 0.5, peer = "na" }', "peer: expected target=, whose address is told"),
        ('{ at = 0.5, peer = "na target=6.2 flags=SX" }', "flags 'SX': expected none, or letters of RSO"),
        ('{ at = 0.5, peer = "na target=6.2 flags=SS" }', "flags 'SS': expected none, or letters of RSO"),
        ('{ at = 0.5, peer = "ra lifetime=70000" }', "'70000': expected a number from 0 to 65535"),
        ('{ at = 0.5, peer = "redirect" }', "peer: expected dest=, which destination is redirected"),
        ('{ at = 0.5, peer = "redirect dest=6.2 header=tcp" }', "'tcp': expected none or icmp or udp"),
        ('{ at = 0.5, peer = "answers .2 flags SO" }', "'flags SO': expected as ..., after ..., each once"),
        ('{ at = 0.5, route = "add" }', "'': expected PREFIX or PREFIX via IP"),
        ('{ at = 0.5, route = "add 6.0" }', "'6.0': expected an address with its prefix length"),
        ('{ at = 0.5, route = "replace 6.0/64" }', "'replace 6.0/64': expected add or del, and PREFIX"),
        ("{ at = 0.5, set = { ipv6 = 1 } }", "set: ipv6: 1: expected {parameter = value}"),
        ("{ at = 0.5, set = { ipv6 = { arp_ignore = 1 } } }", "set: ipv6: arp_ignore: no such parameter"),
        ("{ at = 0.5, set = { accept_ra = 1 } }", "set: accept_ra: no such parameter"),
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
        ('{ at = 0.5, address = "add .9/24 dad" }', "and of IPv6 dad or optimistic"),
        ('{ at = 0.5, show = "" }', "'': expected IP addresses"),
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
        (HEAD + "steps = []\nclient = 'no'\n", 5, "client: 'no': expected true or false"),
        (HEAD + "steps = []\nexclusive = true\n", 5, "exclusive: expected together with gc_thresh"),
        (HEAD + "steps = []\nexclusive = true\ngc_thresh = [1]\n", 6, "gc_thresh: [1]: expected three"),
        (HEAD + "steps = []\nparameters = { colour = 1 }\n", 5, "parameters: colour: no such parameter"),
        (HEAD + "steps = []\naddresses = ['.1']\n", 5, "addresses: '.1': expected an address with"),
        (HEAD + "steps = []\nroutes = ['6.0']\n", 5, "routes: '6.0': expected an address with"),
        (HEAD + "steps = []\nparameters = { ipv6 = { x = 1 } }\n", 5, "parameters: ipv6: x: no such"),
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
