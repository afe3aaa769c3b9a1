"""The rtnetlink codec: what we build, what we read, and what happens to damaged octets."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neighio.core.constants import (
    AF_INET,
    AF_INET6,
    NLM_F_CREATE,
    NLM_F_REPLACE,
    NTF_EXT_LEARNED,
    NTF_MANAGED,
    NTF_PROXY,
    NTF_ROUTER,
    NUD_PERMANENT,
    NUD_STALE,
    RT_SCOPE_HOST,
    RT_SCOPE_LINK,
    RTN_LOCAL,
    RTN_UNICAST,
)
from neighio.errors import MalformedFrame
from neighio.kernel import requests, uapi
from neighio.kernel.framing import (
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLMSG_DONE,
    NLMSG_ERROR,
    Acknowledgement,
    Message,
    attribute,
    attributes,
    build,
    messages,
    parse_acknowledgement,
    with_sequence,
)
from neighio.kernel.rtnetlink import (
    AddressMessage,
    LinkMessage,
    NeighbourMessage,
    NeighbourTableMessage,
    RouteMessage,
    RtMessage,
    decode,
)

IPV4 = ip_address("198.51.100.7").packed
IPV6 = ip_address("2001:db8::7").packed
MAC = bytes.fromhex("020000000007")
TYPES = [
    uapi.RTM_NEWLINK,
    uapi.RTM_DELLINK,
    uapi.RTM_NEWADDR,
    uapi.RTM_DELADDR,
    uapi.RTM_NEWROUTE,
    uapi.RTM_DELROUTE,
    uapi.RTM_NEWNEIGH,
    uapi.RTM_DELNEIGH,
    uapi.RTM_GETNEIGH,
    uapi.RTM_NEWNEIGHTBL,
]


def read(data: bytes) -> RtMessage | None:
    (message,) = messages(data)
    return decode(message)


def neighbour(**given: object) -> NeighbourMessage:
    fields = {
        "kind": "new",
        "family": AF_INET,
        "index": 3,
        "state": NUD_PERMANENT,
        "flags": 0,
        "type": 0,
        "ip": IPV4,
        "lladdr": MAC,
        "probes": 0,
        "confirmed": 0.0,
        "used": 0.0,
        "updated": 0.0,
        "refcnt": 0,
        "protocol": 0,
    }
    return NeighbourMessage(**(fields | given))  # type: ignore[arg-type]


def test_a_neighbour_is_built_with_all_that_was_given() -> None:
    built = requests.new_neighbour(
        3,
        IPV6,
        MAC,
        state=NUD_STALE,
        flags=NTF_ROUTER | NTF_EXT_LEARNED | NTF_MANAGED,
        protocol=99,
        nlm_flags=NLM_F_CREATE | NLM_F_REPLACE,
    )
    (message,) = messages(built)
    assert message.flags == 0x05 | NLM_F_CREATE | NLM_F_REPLACE
    assert decode(message) == neighbour(
        family=AF_INET6,
        ip=IPV6,
        state=NUD_STALE,
        flags=NTF_ROUTER | NTF_EXT_LEARNED | NTF_MANAGED,
        protocol=99,
    )


def test_a_neighbour_without_address_has_none() -> None:
    assert read(requests.new_neighbour(3, IPV4)) == neighbour(lladdr=None)


def test_a_deletion_names_the_key_and_whether_it_is_a_proxy_entry() -> None:
    built = requests.del_neighbour(3, IPV4, flags=NTF_PROXY)
    assert read(built) == neighbour(kind="del", state=0, flags=NTF_PROXY, lladdr=None)


def test_an_application_probe_is_a_miss_with_ages_in_seconds() -> None:
    body = uapi.NDMSG.pack(AF_INET, 3, 1, 0, RTN_UNICAST) + attribute(uapi.NDA_DST, IPV4)
    body += attribute(uapi.NDA_CACHEINFO, struct.pack("=IIII", 6000, 12, 345, 2))
    body += attribute(uapi.NDA_PROBES, struct.pack("=I", 4)) + attribute(77, b"unknown")
    assert read(build(uapi.RTM_GETNEIGH, 0, body)) == neighbour(
        kind="miss",
        state=1,
        type=RTN_UNICAST,
        lladdr=None,
        probes=4,
        confirmed=60.0,
        used=0.12,
        updated=3.45,
        refcnt=2,
    )


@pytest.mark.parametrize(("ip", "family"), [(IPV4, AF_INET), (IPV6, AF_INET6)])
def test_an_address_is_own_and_prefix_at_once(ip: bytes, family: int) -> None:
    built = requests.add_address(2, ip, 24, scope=RT_SCOPE_LINK, flags=0x202)
    assert read(built) == AddressMessage(family, 2, ip, ip, 24, None, RT_SCOPE_LINK, 0x202, False)
    removed = read(requests.del_address(2, ip, 24))
    assert isinstance(removed, AddressMessage) and removed.deleted


def test_on_a_point_to_point_link_the_own_address_is_the_local_one() -> None:
    far = ip_address("203.0.113.9").packed
    body = uapi.IFADDRMSG.pack(AF_INET, 32, 0x80, 0, 5)
    body += attribute(uapi.IFA_LOCAL, IPV4) + attribute(uapi.IFA_ADDRESS, far)
    assert read(build(uapi.RTM_NEWADDR, 0, body)) == AddressMessage(
        AF_INET, 5, far, IPV4, 32, None, 0, 0x80, False
    )


@pytest.mark.parametrize("gateway", [None, ip_address("198.51.100.1").packed, IPV6])
def test_a_route_has_no_gateway_or_one_of_either_family(gateway: bytes | None) -> None:
    dst = ip_address("203.0.113.0").packed
    built = requests.add_route(dst, 24, index=4, gateway=gateway, priority=100)
    scope = RT_SCOPE_LINK if gateway is None else 0
    assert read(built) == RouteMessage(
        AF_INET, 254, RTN_UNICAST, scope, dst, 24, gateway, 4, 100, None, 4, False, 0
    )


def test_a_local_route_is_of_the_local_table_and_the_host() -> None:
    dst = ip_address("198.18.0.0").packed
    built = requests.add_route(dst, 16, index=1, type=RTN_LOCAL)
    assert read(built) == RouteMessage(
        AF_INET, 255, RTN_LOCAL, RT_SCOPE_HOST, dst, 16, None, 1, 0, None, 4, False, 0
    )


def test_a_default_route_goes_to_zeros_and_a_multipath_one_through_its_first_hop() -> None:
    def hop(index: int, flags: int, gateway: bytes) -> bytes:
        inside = attribute(uapi.RTA_GATEWAY, gateway)
        return uapi.RTNEXTHOP.pack(uapi.RTNEXTHOP.size + len(inside), flags, 0, index) + inside

    hops = hop(7, 0x10, IPV6) + hop(8, 0, ip_address("2001:db8::8").packed)
    body = uapi.RTMSG.pack(AF_INET6, 0, 0, 0, 0, 3, 0, RTN_UNICAST, 0x4000)
    body += attribute(uapi.RTA_TABLE, struct.pack("=I", 1000)) + attribute(uapi.RTA_MULTIPATH, hops)
    assert read(build(uapi.RTM_DELROUTE, 0, body)) == RouteMessage(
        AF_INET6, 1000, RTN_UNICAST, 0, bytes(16), 0, IPV6, 7, 0, None, 3, True, 0x4010
    )


def test_a_veth_request_reads_as_the_link_that_it_asks_for() -> None:
    built = requests.create_veth("va", "vb", lladdr=MAC, peer_pid=77)
    assert read(built) == LinkMessage(0, "va", 0, 0, MAC, b"", 0, None, 0, False, "veth")


@pytest.mark.parametrize(
    ("changes", "flags", "mask"),
    [
        ({"up": True}, 0x1, 0x1),
        ({"up": False}, 0, 0x1),
        ({"arp": False}, 0x80, 0x80),
        ({"arp": True, "up": True}, 0x1, 0x81),
        ({"mtu": 1400}, 0, 0),
    ],
)
def test_only_the_flags_that_were_given_are_changed(changes: dict[str, int], flags: int, mask: int) -> None:
    (message,) = messages(requests.set_link(6, **changes))  # type: ignore[arg-type]
    assert uapi.IFINFOMSG.unpack_from(message.body) == (0, 0, 6, flags, mask)


def test_a_link_by_name_is_asked_for_with_a_terminated_name() -> None:
    (message,) = messages(requests.get_link("va\udcff"))
    assert attributes(message.body, uapi.IFINFOMSG.size) == {uapi.IFLA_IFNAME: b"va\xff\0"}
    link = decode(message._replace(type=uapi.RTM_NEWLINK))
    assert isinstance(link, LinkMessage) and link.name == "va\udcff"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (uapi.RTM_DELLINK, uapi.IFINFOMSG.pack(7, 1, 3, 0, 0)),
        (uapi.RTM_NEWLINK, uapi.IFINFOMSG.pack(0, 1, 3, 0, 0) + attribute(uapi.IFLA_WIRELESS, b"event")),
        (uapi.RTM_NEWNEIGH, uapi.NDMSG.pack(7, 3, 0, 0, 0)),
        (uapi.RTM_NEWROUTE, uapi.RTMSG.pack(128, 0, 0, 0, 0, 0, 0, 0, 0)),
        (uapi.RTM_NEWADDR, uapi.IFADDRMSG.pack(12, 0, 0, 0, 3)),
        (999, b""),
    ],
)
def test_what_is_of_no_concern_is_none(kind: int, body: bytes) -> None:
    assert read(build(kind, 0, body)) is None


def test_table_parameters_are_in_seconds() -> None:
    parameters = attribute(uapi.NDTPA_IFINDEX, struct.pack("=I", 9))
    parameters += attribute(uapi.NDTPA_BASE_REACHABLE_TIME, struct.pack("=Q", 1500))
    parameters += attribute(uapi.NDTPA_UCAST_PROBES, struct.pack("=I", 5))
    body = uapi.NDTMSG.pack(AF_INET) + attribute(uapi.NDTA_NAME, b"arp_cache\0")
    table = read(build(uapi.RTM_NEWNEIGHTBL, 0, body + attribute(uapi.NDTA_PARMS, parameters)))
    assert isinstance(table, NeighbourTableMessage)
    assert (table.name, table.index, table.base_reachable_time, table.ucast_solicit) == (
        "arp_cache",
        9,
        1.5,
        5,
    )


def test_a_buffer_holds_several_padded_messages() -> None:
    data = build(1, 2, b"abc", 4) + b"\0" + with_sequence(build(5, 6, b""), 8)
    assert list(messages(data)) == [Message(1, 2, 4, 0, b"abc"), Message(5, 6, 8, 0, b"")]


def test_the_last_message_may_lack_its_padding() -> None:
    assert [message.body for message in messages(build(1, 2, b"abc"))] == [b"abc"]


@pytest.mark.parametrize(
    "data",
    [b"\0", build(1, 0, b"")[:15], build(1, 0, b"abcd")[:-1], struct.pack("=IHHII", 15, 1, 0, 0, 0)],
)
def test_a_length_that_does_not_fit_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedFrame, match="netlink_length"):
        list(messages(data))


@pytest.mark.parametrize("kind", TYPES)
def test_a_body_shorter_than_its_fixed_header_is_refused(kind: int) -> None:
    with pytest.raises(MalformedFrame, match="netlink_length"):
        read(build(kind, 0, b"\x02\0\0"))


@pytest.mark.parametrize(
    "body",
    [
        requests.new_neighbour(3, IPV4)[16:] + b"\0",
        requests.new_neighbour(3, IPV4)[16:] + struct.pack("=HH", 3, 1),
        requests.new_neighbour(3, IPV4)[16:] + struct.pack("=HH", 5, 1),
        uapi.NDMSG.pack(AF_INET, 3, 0, 0, 0),
        uapi.NDMSG.pack(AF_INET, 3, 0, 0, 0) + attribute(uapi.NDA_DST, IPV6),
        requests.new_neighbour(3, IPV4)[16:] + attribute(uapi.NDA_PROBES, b"\0\0"),
    ],
)
def test_a_damaged_attribute_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedFrame, match="netlink_attribute"):
        read(build(uapi.RTM_NEWNEIGH, 0, body))


REQUEST = requests.new_neighbour(3, IPV4, MAC)


@pytest.mark.parametrize(
    ("kind", "flags", "body", "expected"),
    [
        (NLMSG_ERROR, NLM_F_CAPPED, struct.pack("=i", 0) + REQUEST[:16], Acknowledgement(0, None)),
        (NLMSG_ERROR, 0, struct.pack("=i", -2) + REQUEST, Acknowledgement(errno.ENOENT, None)),
        (
            NLMSG_ERROR,
            NLM_F_ACK_TLVS,
            struct.pack("=i", -22) + REQUEST + attribute(1, b"Invalid link address\0"),
            Acknowledgement(errno.EINVAL, "Invalid link address"),
        ),
        (
            NLMSG_ERROR,
            NLM_F_ACK_TLVS | NLM_F_CAPPED,
            struct.pack("=i", -22) + REQUEST[:16] + attribute(2, b"offs") + attribute(1, b"why\0"),
            Acknowledgement(errno.EINVAL, "why"),
        ),
        (NLMSG_DONE, 0, b"", Acknowledgement(0, None)),
        (
            NLMSG_DONE,
            NLM_F_ACK_TLVS,
            struct.pack("=i", -95) + attribute(1, b"no\0"),
            Acknowledgement(errno.EOPNOTSUPP, "no"),
        ),
    ],
)
def test_an_acknowledgement_gives_errno_and_text(
    kind: int, flags: int, body: bytes, expected: Acknowledgement
) -> None:
    assert parse_acknowledgement(Message(kind, flags, 1, 0, body)) == expected


def only_malformed(read_them: Callable[[], object]) -> None:
    reason = None
    try:
        read_them()
    except MalformedFrame as error:
        reason = error.reason
    assert reason in (None, "netlink_length", "netlink_attribute")


@given(st.binary(max_size=200))
def test_random_octets_raise_nothing_but_malformed_frame(data: bytes) -> None:
    only_malformed(lambda: [decode(message) for message in messages(data)])


@given(
    st.sampled_from([*TYPES, NLMSG_ERROR, NLMSG_DONE]),
    st.sampled_from([AF_INET, AF_INET6, 0]),
    st.integers(0, 0xFFFF),
    st.binary(max_size=16),
    st.lists(st.tuples(st.integers(0, 64), st.binary(max_size=40))),
)
def test_random_attributes_raise_nothing_but_malformed_frame(
    kind: int, family: int, flags: int, head: bytes, inside: list[tuple[int, bytes]]
) -> None:
    tail = b"".join(attribute(number, value) for number, value in inside)
    message = Message(kind, flags, 0, 0, bytes([family]) + head + tail)
    only_malformed(lambda: decode(message))
    only_malformed(lambda: parse_acknowledgement(message))


@given(
    st.sampled_from(
        [
            requests.new_neighbour(3, IPV6, MAC, flags=NTF_MANAGED, protocol=9),
            requests.create_veth("va", "vb", lladdr=MAC),
            requests.add_address(3, IPV4, 24, broadcast=IPV4, flags=2),
            requests.add_route(IPV4, 32, index=3, gateway=IPV6),
        ]
    ),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_flipped_octets_raise_nothing_but_malformed_frame(data: bytes, flips: list[tuple[int, int]]) -> None:
    damaged = bytearray(data)
    for place, value in flips:
        damaged[place % len(damaged)] ^= value
    only_malformed(lambda: [decode(message) for message in messages(bytes(damaged))])
