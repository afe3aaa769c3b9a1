from __future__ import annotations

import copy
import ipaddress
import pickle
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from neighio.address import LinkAddress, format_ip, is_group_ip, is_station_ip, parse_ip, parse_network
from neighio.errors import InvalidAddress

packed_ips = st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)


@given(st.binary(min_size=1, max_size=32))
def test_a_link_address_is_its_octets_and_its_text_leads_back(octets: bytes) -> None:
    lladdr = LinkAddress(octets)

    assert lladdr == octets
    assert hash(lladdr) == hash(octets)
    assert LinkAddress(str(lladdr)) == lladdr
    assert LinkAddress(str(lladdr).upper().replace(":", "-")) == lladdr


def test_a_link_address_prints_as_pairs_of_digits() -> None:
    lladdr = LinkAddress("2:0:5E:10:0:7")

    assert str(lladdr) == f"{lladdr}" == "02:00:5e:10:00:07"
    assert repr(lladdr) == "LinkAddress('02:00:5e:10:00:07')"


def test_a_link_address_stays_one_when_copied_or_pickled() -> None:
    lladdr = LinkAddress("02:00:00:00:00:07")

    for twin in (copy.deepcopy(lladdr), pickle.loads(pickle.dumps(lladdr)), LinkAddress(lladdr)):
        assert type(twin) is LinkAddress
        assert twin == lladdr


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "02:00:00:00:00:",
        "02::00",
        "020000000007",
        "0200.0000.0007",
        "02:00-00:00-00:07",
        "2:0:0:0:0:g",
        "+2:00:00:00:00:07",
        "02:-1:00",
        " 2:00:00:00:00:07",
        "02:00:00:00:00:7\n",
        "0x:00",
        "02:00:00:00:00:\u0661",
        "002:00",
        ":".join(["00"] * 33),
    ],
)
def test_text_of_another_form_is_no_link_address(text: str) -> None:
    with pytest.raises(InvalidAddress, match=r"^lladdr: "):
        LinkAddress(text)


@pytest.mark.parametrize("value", [b"", bytes(33), 6, None, [2, 0, 0, 0, 0, 7], bytearray(6)])
def test_a_link_address_is_1_to_32_octets_and_nothing_else(value: object) -> None:
    with pytest.raises(InvalidAddress, match=r"^lladdr: "):
        LinkAddress(value)  # type: ignore[arg-type]


@given(st.text(alphabet=string.hexdigits + ":-+ g\u0661\n", max_size=20))
def test_any_text_is_a_link_address_or_refused_as_invalid(text: str) -> None:
    try:
        lladdr = LinkAddress(text)
    except InvalidAddress:
        return
    separator = "-" if "-" in text else ":"
    assert [f"{octet:02x}" for octet in lladdr] == [pair.zfill(2).lower() for pair in text.split(separator)]


@given(packed_ips)
def test_an_ip_address_is_taken_packed_as_an_object_and_as_text(packed: bytes) -> None:
    assert parse_ip(packed) == (packed, None)
    assert parse_ip(ipaddress.ip_address(packed)) == (packed, None)
    assert parse_ip(str(ipaddress.ip_address(packed))) == (packed, None)
    assert parse_ip(format_ip(packed)) == (packed, None)


@given(st.text(alphabet="0123456789abfF:.%x ", max_size=24))
@example("198.051.100.7")
@example("198.51.100")
@example("0xc6.51.100.7")
@example("1:2:3:4:5:6:7::")
@example("1:2:3:4:5:6:7:8:9")
@example("::ffff:198.51.100.7")
@example("::198.51.100.07")
@example("fe80::1%x%x")
@example("fe80::1%")
def test_text_is_as_strictly_judged_as_by_the_standard_library(text: str) -> None:
    try:
        expected = ipaddress.ip_address(text.partition("%")[0]).packed
    except ValueError:
        with pytest.raises(InvalidAddress, match=r"^ip: "):
            parse_ip(text)
        return
    if "%" in text and (len(expected) == 4 or (text.endswith("%") and text.count("%") == 1)):
        with pytest.raises(InvalidAddress, match=r"^ip: .* zone$"):
            parse_ip(text)
    else:
        assert parse_ip(text) == (expected, text.partition("%")[2] or None)


@pytest.mark.parametrize("value", ["fe80::1%eth0", ipaddress.IPv6Address("fe80::1%eth0")])
def test_a_zone_is_told_apart_from_the_address(value: str | ipaddress.IPv6Address) -> None:
    assert parse_ip(value) == (ipaddress.IPv6Address("fe80::1").packed, "eth0")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "%eth0",
        "fe80::1%",
        "198.51.100.7%eth0",
        "198.51.100.7/32",
        "198.51.100.7\n",
        "198.51.100.7\0",
        "\ud800",
        "one",
        b"",
        b"198.51.100.7",
        bytes(5),
        7,
        None,
        3.5,
    ],
)
def test_what_is_no_ip_address_is_refused_by_the_name_of_its_field(value: object) -> None:
    with pytest.raises(InvalidAddress, match=r"^source: "):
        parse_ip(value, field="source")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "packed", "length"),
    [
        ("198.51.100.0/24", bytes([198, 51, 100, 0]), 24),
        ("198.51.100.0/255.255.255.0", bytes([198, 51, 100, 0]), 24),
        ("198.51.100.7", bytes([198, 51, 100, 7]), 32),
        ("0.0.0.0/0", bytes(4), 0),
        ("2001:db8::/32", ipaddress.IPv6Address("2001:db8::").packed, 32),
        ("2001:db8::1", ipaddress.IPv6Address("2001:db8::1").packed, 128),
        (bytes([198, 51, 100, ord("%")]), bytes([198, 51, 100, 37]), 32),
        (ipaddress.IPv4Address("198.51.100.7"), bytes([198, 51, 100, 7]), 32),
        (ipaddress.IPv4Network("203.0.113.128/25"), bytes([203, 0, 113, 128]), 25),
        (ipaddress.IPv6Network("2001:db8::/64"), ipaddress.IPv6Address("2001:db8::").packed, 64),
    ],
)
def test_a_network_is_its_packed_address_and_its_length(value: object, packed: bytes, length: int) -> None:
    assert parse_network(value) == (packed, length)


@pytest.mark.parametrize(
    "value",
    [
        "198.51.100.7/24",
        "198.51.100.0/33",
        "198.51.100.0/",
        "fe80::%eth0/64",
        "fe80::1%eth0",
        ipaddress.IPv6Address("fe80::1%eth0"),
        "",
        b"abc",
        5,
        True,
        None,
        (),
        ("198.51.100.0", 24),
        ("198.51.100.0", None),
    ],
)
def test_what_is_no_network_is_refused_by_the_name_of_its_field(value: object) -> None:
    with pytest.raises(InvalidAddress, match=r"^range: "):
        parse_network(value, field="range")


@pytest.mark.parametrize(
    "text",
    [
        "198.51.100.7",
        "::",
        "fe80::1",
        "2001:db8:0:1:1:1:1:1",
        "2001:db8::1:0:0:1",
        "2001:0:0:1::1",
        "::ffff:198.51.100.7",
    ],
)
def test_an_address_is_written_in_its_one_canonical_form(text: str) -> None:
    assert format_ip(parse_ip(text)[0]) == text


@pytest.mark.parametrize(
    ("text", "group", "station"),
    [
        ("198.51.100.7", False, True),
        ("223.255.255.255", False, True),
        ("224.0.0.0", True, False),
        ("239.255.255.255", True, False),
        ("240.0.0.1", False, True),
        ("255.255.255.255", False, False),
        ("0.0.0.0", False, False),
        ("127.0.0.1", False, False),
        ("127.255.255.254", False, False),
        ("2001:db8::7", False, True),
        ("fe80::1", False, True),
        ("ff02::1", True, False),
        ("::", False, False),
        ("::1", False, False),
        ("::2", False, True),
        # Sixteen octets of which the first four are those of the limited broadcast.
        ("ffff:ffff::", True, False),
    ],
)
def test_groups_and_stations_are_told_apart(text: str, group: bool, station: bool) -> None:
    packed = ipaddress.ip_address(text).packed
    assert (is_group_ip(packed), is_station_ip(packed)) == (group, station)
    assert group == ipaddress.ip_address(text).is_multicast
