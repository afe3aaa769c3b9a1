"""What the engine knows of its own node, and the four questions that the node answers."""

from __future__ import annotations

import pytest

from neighio.core.constants import (
    AF_INET,
    AF_INET6,
    IFA_F_SECONDARY,
    IFF_LOOPBACK,
    IFF_LOWER_UP,
    IFF_NOARP,
    IFF_POINTOPOINT,
    IFF_UP,
    RT_SCOPE_HOST,
    RT_SCOPE_LINK,
    RT_SCOPE_SITE,
    RT_SCOPE_UNIVERSE,
    RTN_BROADCAST,
    RTN_LOCAL,
    RTN_MULTICAST,
    RTN_UNICAST,
)
from neighio.core.device import Address, Device, in_prefix, parse_interface
from neighio.core.node import Node, Route
from neighio.core.switches import SWITCHES, check_switches
from neighio.errors import InvalidAddress
from neighio.testing.simulation import Simulation

from .helpers import OWN, node


def ip(text: str) -> bytes:
    return bytes(map(int, text.split(".")))


def address(
    text: str, scope: int = RT_SCOPE_UNIVERSE, flags: int = 0, broadcast: str | None = None
) -> Address:
    packed, prefixlen = parse_interface(text)
    return Address(packed, prefixlen, scope, flags, None if broadcast is None else ip(broadcast))


def device(name: str = "va", index: int = 3, flags: int = IFF_UP) -> Device:
    return Device(name, index, bytes.fromhex(OWN.replace(":", "")), flags=flags)


def known(*devices: Device) -> Node:
    made = Node()
    made.devices.update((one.index, one) for one in devices)
    return made


# -- what is an address? (asked of the kernel: an entry's type)


# fmt: off
TYPES = [
    ("198.51.100.1",    RTN_LOCAL),
    ("127.0.0.1",       RTN_LOCAL),
    ("127.1.2.3",       RTN_LOCAL),
    ("198.51.100.255",  RTN_BROADCAST),
    ("198.51.100.77",   RTN_BROADCAST),  # the explicit one
    ("255.255.255.255", RTN_BROADCAST),
    ("0.0.0.0",         RTN_BROADCAST),
    ("224.0.0.1",       RTN_MULTICAST),
    ("239.255.255.255", RTN_MULTICAST),
    ("0.1.2.3",         RTN_UNICAST),
    ("198.51.100.0",    RTN_UNICAST),
    ("198.51.100.2",    RTN_UNICAST),
    ("203.0.113.255",   RTN_UNICAST),
    ("240.1.2.3",       RTN_UNICAST),
    ("255.255.255.254", RTN_UNICAST),
    ("126.255.255.255", RTN_UNICAST),
    ("128.0.0.0",       RTN_UNICAST),
]
# fmt: on


@pytest.mark.parametrize(("text", "kind"), TYPES)
def test_the_type_of_an_address_needs_no_route(text: str, kind: int) -> None:
    made = known(va := device())
    made.add_address(va, address("198.51.100.1/24", broadcast="198.51.100.77"))

    assert made.address_type(ip(text)) == kind


def test_a_broadcast_address_of_loopback_is_broadcast_before_it_is_local() -> None:
    made = known(lo := device("lo", 1, IFF_UP | IFF_LOOPBACK))
    made.add_address(lo, address("127.0.0.1/8"))

    assert made.address_type(ip("127.255.255.255")) == RTN_BROADCAST
    assert made.address_type(ip("127.255.255.254")) == RTN_LOCAL


def test_an_address_is_local_on_whichever_device_it_is() -> None:
    made = known(device(), vb := device("vb", 5))
    made.add_address(vb, address("203.0.113.1/24"))

    assert made.address_type(ip("203.0.113.1")) == RTN_LOCAL
    assert made.owns(ip("203.0.113.1"))
    assert not made.owns(ip("127.0.0.5"))


def test_an_ipv6_address_is_local_multicast_or_unicast() -> None:
    made = known(va := device())
    made.add_address(va, address("2001:db8::1/64"))

    kinds = [
        made.address_type(parse_interface(f"{text}/128")[0]) for text in ("2001:db8::1", "ff02::1", "fe80::1")
    ]
    assert kinds == [RTN_LOCAL, RTN_MULTICAST, RTN_UNICAST]


@pytest.mark.parametrize(
    ("text", "broadcast", "found"),
    [
        ("198.51.100.1/24", None, ["198.51.100.255"]),
        ("198.51.100.1/24", "198.51.100.255", ["198.51.100.255"]),
        ("198.51.100.1/24", "203.0.113.9", ["203.0.113.9", "198.51.100.255"]),
        ("198.51.100.1/24", "255.255.255.255", ["198.51.100.255"]),
        ("198.51.100.1/24", "0.0.0.0", ["198.51.100.255"]),
        ("198.51.100.1/30", None, ["198.51.100.3"]),
        ("198.51.100.1/31", None, []),
        ("198.51.100.1/32", None, []),
        ("198.51.100.1/32", "198.51.100.9", ["198.51.100.9"]),
        ("198.18.0.1/15", None, ["198.19.255.255"]),
    ],
)
def test_an_address_brings_its_broadcast_addresses(
    text: str, broadcast: str | None, found: list[str]
) -> None:
    assert list(address(text, broadcast=broadcast).broadcasts()) == [ip(one) for one in found]


def test_an_ipv6_address_brings_no_broadcast_address() -> None:
    assert address("2001:db8::1/64").broadcasts() == ()


# -- addresses come, change and go


def test_an_address_that_two_devices_have_is_local_until_the_second_goes() -> None:
    made = known(va := device(), vb := device("vb", 5))
    for one in (va, vb):
        made.add_address(one, address("198.51.100.1/24"))

    assert made.remove_address(va, ip("198.51.100.1"), 24)
    assert made.address_type(ip("198.51.100.1")) == RTN_LOCAL
    assert made.address_type(ip("198.51.100.255")) == RTN_BROADCAST
    assert made.remove_address(vb, ip("198.51.100.1"), 24)
    assert made.address_type(ip("198.51.100.1")) == RTN_UNICAST
    assert made.address_type(ip("198.51.100.255")) == RTN_UNICAST


def test_adding_what_is_there_changes_nothing_and_says_so() -> None:
    made = known(va := device())
    assert made.add_address(va, address("198.51.100.1/24"))
    assert not made.add_address(va, address("198.51.100.1/24"))
    assert va.addresses == [address("198.51.100.1/24")]

    made.remove_address(va, ip("198.51.100.1"), 24)
    assert not made.owns(ip("198.51.100.1"))


@pytest.mark.parametrize(("text", "prefixlen"), [("198.51.100.2", 24), ("198.51.100.1", 25)])
def test_removing_what_is_not_there_changes_nothing_and_says_so(text: str, prefixlen: int) -> None:
    made = known(va := device())
    made.add_address(va, address("198.51.100.1/24"))

    assert not made.remove_address(va, ip(text), prefixlen)
    assert va.addresses == [address("198.51.100.1/24")]
    assert made.owns(ip("198.51.100.1"))


def test_a_changed_address_keeps_its_place_and_takes_its_old_broadcast_away() -> None:
    made = known(va := device())
    made.add_address(va, address("198.51.100.1/24", broadcast="198.51.100.77"))
    made.add_address(va, address("203.0.113.1/24"))
    assert made.add_address(va, address("198.51.100.1/24", flags=0x80, broadcast="198.51.100.78"))

    assert [one.ip for one in va.addresses] == [ip("198.51.100.1"), ip("203.0.113.1")]
    assert made.address_type(ip("198.51.100.77")) == RTN_UNICAST
    assert made.address_type(ip("198.51.100.78")) == RTN_BROADCAST
    made.remove_address(va, ip("198.51.100.1"), 24)
    assert made.address_type(ip("198.51.100.1")) == RTN_UNICAST


def test_the_same_address_with_two_prefix_lengths_is_two() -> None:
    made = known(va := device())
    made.add_address(va, address("198.51.100.1/24"))
    made.add_address(va, address("198.51.100.1/32"))
    made.remove_address(va, ip("198.51.100.1"), 24)

    assert va.addresses == [address("198.51.100.1/32")]
    assert made.owns(ip("198.51.100.1"))
    assert made.address_type(ip("198.51.100.255")) == RTN_UNICAST


def order(*added: tuple[str, int, int]) -> list[str]:
    """The order of a device's addresses when they are added in this one."""
    made = known(va := device())
    for text, scope, flags in added:
        made.add_address(va, address(text, scope, flags))
    return [".".join(map(str, one.ip)) for one in va.own(AF_INET)]


# What `ip addr show` of Linux 6.18 listed, after additions in this order.
ORDERS = [
    (
        "a wider scope stands behind a narrower one",
        [("198.51.100.1/24", 0, 0), ("198.18.0.1/16", RT_SCOPE_LINK, 0), ("127.7.0.1/16", RT_SCOPE_HOST, 0)],
        ["127.7.0.1", "198.18.0.1", "198.51.100.1"],
    ),
    (
        "of one scope the first added is first",
        [("198.51.100.1/24", 0, 0), ("203.0.113.1/24", 0, 0), ("198.18.0.1/16", 0, 0)],
        ["198.51.100.1", "203.0.113.1", "198.18.0.1"],
    ),
    (
        "a secondary one stands behind all",
        [
            ("198.51.100.1/24", 0, 0),
            ("198.51.100.2/24", 0, IFA_F_SECONDARY),
            ("203.0.113.200/25", 0, 0),
            ("198.51.100.3/24", 0, IFA_F_SECONDARY),
        ],
        ["198.51.100.1", "203.0.113.200", "198.51.100.2", "198.51.100.3"],
    ),
    (
        "a scope between others",
        [
            ("198.18.5.1/24", 0, 0),
            ("203.0.113.1/24", RT_SCOPE_SITE, 0),
            ("203.0.112.1/24", 150, 0),
            ("203.0.111.1/24", RT_SCOPE_SITE, 0),
        ],
        ["203.0.113.1", "203.0.111.1", "203.0.112.1", "198.18.5.1"],
    ),
]


@pytest.mark.parametrize(("added", "listed"), [row[1:] for row in ORDERS], ids=[row[0] for row in ORDERS])
def test_addresses_stand_in_the_kernels_order(added: list[tuple[str, int, int]], listed: list[str]) -> None:
    assert order(*added) == listed


def test_addresses_taken_over_in_the_kernels_order_keep_it() -> None:
    for _, added, listed in ORDERS:
        known_by_ip = {text.split("/")[0]: (text, scope, flags) for text, scope, flags in added}
        assert order(*(known_by_ip[one] for one in listed)) == listed


def test_a_secondary_address_that_is_promoted_goes_behind_the_primary_ones() -> None:
    assert order(
        ("198.18.5.1/24", 0, 0),
        ("198.51.100.3/24", 0, IFA_F_SECONDARY),
        ("198.51.100.2/24", 0, IFA_F_SECONDARY),
        ("198.51.100.2/24", 0, 0),
    ) == ["198.18.5.1", "198.51.100.2", "198.51.100.3"]


def test_forgetting_a_device_forgets_its_addresses_and_routes_alone() -> None:
    made = known(va := device(), vb := device("vb", 5))
    made.add_address(va, address("198.51.100.1/24"))
    made.add_address(vb, address("203.0.113.1/24"))
    made.add_route(Route(ip("198.18.0.0"), 15, va, metric=1))
    made.add_route(Route(ip("198.18.0.0"), 15, vb, metric=2))
    made.add_route(Route(ip("0.0.0.0"), 0, va))
    made.forget_device(va)

    assert list(made.devices) == [5]
    assert made.address_type(ip("198.51.100.1")) == RTN_UNICAST
    assert made.owns(ip("203.0.113.1"))
    assert made.route(ip("198.18.0.1")) == Route(ip("198.18.0.0"), 15, vb, metric=2)
    assert made.route(ip("192.0.2.1")) is None


# -- routes: the longest prefix, of those the lowest metric


def routed() -> tuple[Node, Device, Device]:
    made = known(va := device(), vb := device("vb", 5))
    made.add_route(Route(ip("0.0.0.0"), 0, va, ip("198.51.100.254")))
    made.add_route(Route(ip("198.51.100.0"), 24, va))
    made.add_route(Route(ip("198.51.100.128"), 25, vb))
    made.add_route(Route(ip("198.51.100.200"), 32, va, ip("198.51.100.9")))
    return made, va, vb


@pytest.mark.parametrize(
    ("target", "dev", "neighbour"),
    [
        ("192.0.2.1", "va", "198.51.100.254"),
        ("198.51.100.7", "va", "198.51.100.7"),
        ("198.51.100.127", "va", "198.51.100.127"),
        ("198.51.100.128", "vb", "198.51.100.128"),
        ("198.51.100.200", "va", "198.51.100.9"),
        ("198.51.100.201", "vb", "198.51.100.201"),
        ("255.255.255.255", "va", "198.51.100.254"),
    ],
)
def test_the_first_hop_is_that_of_the_longest_prefix(target: str, dev: str, neighbour: str) -> None:
    made, _, _ = routed()
    hop = made.first_hop(ip(target))

    assert hop is not None
    assert (hop[0].name, hop[1]) == (dev, ip(neighbour))


def test_without_a_route_there_is_no_first_hop() -> None:
    made, va, _ = routed()
    made.remove_route(Route(ip("0.0.0.0"), 0, va))

    assert made.route(ip("192.0.2.1")) is None
    assert made.first_hop(ip("192.0.2.1")) is None


def test_of_one_prefix_the_lowest_metric_wins_until_it_is_removed() -> None:
    made = known(va := device(), vb := device("vb", 5))
    made.add_route(Route(ip("198.18.0.0"), 15, va, metric=600))
    made.add_route(Route(ip("198.18.0.0"), 15, vb, metric=100))
    assert made.first_hop(ip("198.19.7.7")) == (vb, ip("198.19.7.7"))

    assert made.remove_route(Route(ip("198.18.0.0"), 15, vb, metric=100))
    assert made.first_hop(ip("198.19.7.7")) == (va, ip("198.19.7.7"))


def test_a_route_to_the_same_prefix_device_and_metric_replaces() -> None:
    made = known(va := device())
    made.add_route(Route(ip("198.18.0.0"), 15, va, ip("198.51.100.8")))
    made.add_route(Route(ip("198.18.99.0"), 15, va, ip("198.51.100.9")))  # host bits do not matter
    assert made.first_hop(ip("198.18.0.1")) == (va, ip("198.51.100.9"))

    assert made.remove_route(Route(ip("198.18.0.0"), 15, va))
    assert made.route(ip("198.18.0.1")) is None


@pytest.mark.parametrize(("prefixlen", "metric"), [(16, 5), (15, 6)])
def test_removing_a_route_that_is_not_there_says_so(prefixlen: int, metric: int) -> None:
    made = known(va := device())
    made.add_route(Route(ip("198.18.0.0"), 15, va, metric=5))

    assert not made.remove_route(Route(ip("198.18.0.0"), prefixlen, va, metric=metric))
    assert made.route(ip("198.18.0.1")) is not None


def test_families_have_routes_of_their_own() -> None:
    made = known(va := device())
    made.add_route(Route(bytes(16), 0, va))
    assert made.route(ip("198.51.100.7")) is None

    assert made.route(bytes(16)) == Route(bytes(16), 0, va)


# -- switches: how "all" and the device combine

# What is in force where "all" and then the device are set to these; None: "all" is each device, and the device
# was set last.
COMBINATIONS = {
    AF_INET: {
        "arp_accept":          [(0, 0, 0), (0, 2, 2), (1, 0, 1), (2, 1, 2)],
        "arp_announce":        [(0, 0, 0), (0, 2, 2), (1, 0, 1), (2, 1, 2)],
        "arp_evict_nocarrier": [(1, 1, 1), (0, 1, 0), (1, 0, 0), (0, 0, 0)],
        "arp_filter":          [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1)],
        "arp_ignore":          [(0, 0, 0), (0, 8, 8), (3, 1, 3), (1, 2, 2)],
        "arp_notify":          [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1)],
        "drop_gratuitous_arp": [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1)],
        "forwarding":          None,
        "proxy_arp":           [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1)],
        "proxy_arp_pvlan":     [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1)],
        "route_localnet":      [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1)],
    },
    AF_INET6: {
        "accept_ra":                    None,
        "accept_redirects":             None,
        "accept_untracked_na":          None,
        "dad_transmits":                None,
        "disable_ipv6":                 None,
        "drop_unicast_in_l2_multicast": None,
        "drop_unsolicited_na":          None,
        "enhanced_dad":                 [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1)],
        "force_mld_version":            [(0, 0, 0), (0, 2, 2), (1, 2, 1), (2, 1, 2)],
        "force_tllao":                  None,
        "forwarding":                   None,
        "ndisc_evict_nocarrier":        [(1, 1, 1), (0, 1, 0), (1, 0, 0), (0, 0, 0)],
        "ndisc_notify":                 [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1)],
        "ndisc_tclass":                 None,
        "optimistic_dad":               [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1)],
        "proxy_ndp":                    [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 1)],
        "router_solicitation_delay":    None,
        "suppress_frag_ndisc":          None,
    },
}  # fmt: skip
ON = {
    "accept_ra", "accept_redirects", "arp_evict_nocarrier", "dad_transmits", "enhanced_dad",
    "ndisc_evict_nocarrier", "router_solicitation_delay", "suppress_frag_ndisc",
}  # fmt: skip
"""The switches that are 1 to begin with; all others are 0."""

NUMBER = {AF_INET: 4, AF_INET6: 6}
EVERY_SWITCH = [(family, name) for family in COMBINATIONS for name in COMBINATIONS[family]]


def test_every_switch_is_combined() -> None:
    assert {family: set(rows) for family, rows in COMBINATIONS.items()} == {
        family: set(switches) for family, switches in SWITCHES.items()
    }


def two_devices() -> Simulation:
    sim = node()
    sim.add_device("vb", "02:00:00:00:01:0a", [])
    return sim


def in_force(sim: Simulation, family: int, name: str, dev: str = "va") -> int:
    return sim.engine.node.switch(sim.device(dev), family, name)


@pytest.mark.parametrize(("family", "name"), EVERY_SWITCH)
def test_a_switch_is_to_begin_with_what_it_is_in_the_kernel(family: int, name: str) -> None:
    assert in_force(two_devices(), family, name) == (name in ON)


@pytest.mark.parametrize(
    ("family", "name", "everywhere", "here", "found"),
    [
        (family, name, *row)
        for family, rows in COMBINATIONS.items()
        for name, combined in rows.items()
        for row in combined or ()
    ],
)
def test_a_switch_combines_what_holds_everywhere_and_here(
    family: int, name: str, everywhere: int, here: int, found: int
) -> None:
    sim = two_devices()
    sim.set("va", NUMBER[family], **{name: here})
    sim.set(None, NUMBER[family], **{name: everywhere})

    assert in_force(sim, family, name) == found


@pytest.mark.parametrize(
    ("family", "name"),
    [(family, name) for family, name in EVERY_SWITCH if COMBINATIONS[family][name] is None],
)
@pytest.mark.parametrize("new", [0, 1])
def test_a_switch_of_which_all_has_no_say_is_set_on_each_device_there_is_or_comes(
    family: int, name: str, new: int
) -> None:
    sim = two_devices()
    sim.set("va", NUMBER[family], **{name: 1 - new})
    sim.set(None, NUMBER[family], **{name: new})
    assert [in_force(sim, family, name, dev) for dev in ("va", "vb")] == [new, new]

    sim.set("va", NUMBER[family], **{name: 1 - new})
    sim.add_device("vc", "02:00:00:00:02:0a", [])
    sim.add_device("vh", "02:00:00:00:03:0a", [], role="host")

    assert [in_force(sim, family, name, dev) for dev in ("va", "vb", "vc", "vh")] == [1 - new, new, new, new]


def test_a_switch_of_one_family_leaves_its_namesake_of_the_other_alone() -> None:
    sim = two_devices()
    sim.set("va", 6, forwarding=1)
    sim.set(None, 4, forwarding=0)

    assert (in_force(sim, AF_INET, "forwarding"), in_force(sim, AF_INET6, "forwarding")) == (0, 1)


@pytest.mark.parametrize(("family", "name"), EVERY_SWITCH)
@pytest.mark.parametrize("value", ["too much", -1, 0.5, "1", None])
def test_a_switch_out_of_range_is_refused_by_name_and_nothing_changes(
    family: int, name: str, value: object
) -> None:
    if value == "too much":
        value = SWITCHES[family][name].maximum + 1
    sim = node()
    index = sim.device("va").index
    before = dict(sim.device("va").switches[family])
    locktime = sim.engine.parameters(index, family).locktime
    others = {"arp_accept": 1} if family == AF_INET else {"accept_untracked_na": 1}
    with pytest.raises(ValueError, match=f"^{name}: .* out of range"):
        sim.engine.set(index, family, {"locktime": 5.0, **others, name: value}, sim.now)

    assert sim.device("va").switches[family] == before
    assert sim.engine.parameters(index, family).locktime == locktime


@pytest.mark.parametrize(
    ("family", "name"), [(AF_INET, "rp_filter"), (AF_INET, "proxy_ndp"), (AF_INET6, "arp_accept")]
)
def test_an_unknown_switch_is_refused_by_name(family: int, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: no such switch"):
        check_switches(family, {name: 1})


def test_a_bad_parameter_leaves_the_switches_beside_it_unset() -> None:
    sim = node()
    with pytest.raises(ValueError, match=r"^locktime: "):
        sim.engine.set(None, AF_INET, {"arp_accept": 1, "locktime": -1.0}, sim.now)

    assert sim.engine.node.switch(sim.device("va"), AF_INET, "arp_accept") == 0


# -- small matters


@pytest.mark.parametrize(
    ("one", "prefix", "prefixlen", "within"),
    [
        ("198.51.100.7", "198.51.100.0", 24, True),
        ("198.51.101.7", "198.51.100.0", 24, False),
        ("198.51.101.7", "198.51.100.255", 23, True),
        ("203.0.113.7", "198.51.100.0", 0, True),
        ("198.51.100.7", "198.51.100.7", 32, True),
        ("198.51.100.6", "198.51.100.7", 32, False),
    ],
)
def test_a_prefix_contains_what_agrees_in_its_first_bits(
    one: str, prefix: str, prefixlen: int, within: bool
) -> None:
    assert in_prefix(ip(one), ip(prefix), prefixlen) is within


def test_a_devices_subnet_contains_addresses_only_of_its_family() -> None:
    va = device()
    va.addresses.append(address("198.51.100.1/0"))

    assert va.subnet_contains(ip("203.0.113.7"))
    assert not va.subnet_contains(bytes(16))


def test_one_subnet_must_contain_all_of_the_addresses() -> None:
    va = device()
    va.addresses += [address("198.51.100.1/24"), address("203.0.113.1/24")]

    assert va.subnet_contains(ip("198.51.100.7"), ip("198.51.100.8"))
    assert not va.subnet_contains(ip("198.51.100.7"), ip("203.0.113.8"))


@pytest.mark.parametrize(
    "text", ["198.51.100.1", "198.51.100.1/", "198.51.100.1/33", "198.51.100.1/-1", "198.51.100.1/٨", "x/24",
             "2001:db8::1/129", "198.51.100.1/24/24"]
)  # fmt: skip
def test_an_interface_address_without_a_proper_prefix_length_is_refused(text: str) -> None:
    with pytest.raises(InvalidAddress, match=r"^address: "):
        parse_interface(text)


@pytest.mark.parametrize(
    ("flags", "true"),
    [(IFF_UP, "up"), (IFF_LOWER_UP, "carrier"), (IFF_NOARP, "noarp"), (IFF_LOOPBACK, "loopback"),
     (IFF_POINTOPOINT, "point_to_point")],
)  # fmt: skip
def test_a_device_reads_its_flags(flags: int, true: str) -> None:
    one = device(flags=flags)
    names = ("up", "carrier", "noarp", "loopback", "point_to_point")

    assert [name for name in names if getattr(one, name)] == [true]
