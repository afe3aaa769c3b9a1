from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from neighio.wire import ipv6, ndisc

from .drafts import (
    ADVERTISEMENT,
    ALL_NODES,
    DRAFTS,
    FIXED_SIZES,
    GLOBAL_IP,
    OUR_GROUP,
    OUR_IP,
    PADDING,
    PEER_IP,
    PEER_MAC,
    REDIRECT,
    REDIRECTED,
    ROUTER_ADVERTISEMENT,
    ROUTER_ALERT,
    ROUTER_SOLICITATION,
    SOLICITATION,
    UNSPECIFIED,
    Draft,
    extension,
    fragment,
    ip,
    option,
    routing,
)

HOPOPTS, ROUTING, FRAGMENT, DSTOPTS = 0, 43, 44, 60
OTHER_MAC = bytes.fromhex("0200005e1009")
SLLAO, TLLAO = option(1, PEER_MAC), option(2, PEER_MAC)

FIELDS: dict[str, ndisc.Fields] = {
    "solicitation": ndisc.Solicitation(
        src=PEER_IP, dst=OUR_GROUP, target=OUR_IP, lladdr=PEER_MAC, nonce=None
    ),
    "advertisement": ndisc.Advertisement(
        src=PEER_IP,
        dst=OUR_IP,
        target=PEER_IP,
        lladdr=PEER_MAC,
        router=False,
        solicited=True,
        override=True,
    ),
    "router_solicitation": ndisc.RouterSolicitation(src=PEER_IP, dst=ip("ff02::2"), lladdr=PEER_MAC),
    "router_advertisement": ndisc.RouterAdvertisement(
        src=PEER_IP,
        dst=ALL_NODES,
        lladdr=PEER_MAC,
        lifetime=1800,
        reachable_time=30.0,
        retrans_timer=1.001,
        hop_limit=64,
    ),
    "redirect": ndisc.RedirectMessage(
        src=PEER_IP,
        dst=OUR_IP,
        target=ip("fe80::9"),
        destination=GLOBAL_IP,
        lladdr=PEER_MAC,
        redirected=REDIRECTED,
    ),
}
# The option that each message uses, and one that belongs to another.
OWN_OPTION = {name: 2 if name in ("advertisement", "redirect") else 1 for name in DRAFTS}

# Each change, to a good frame of each kind, breaks the one rule.
COMMON_BREAKS: dict[str, list[dict[str, Any]]] = {
    "ethernet_truncated": [{"frame_kept": 13}],
    "vlan_tagged": [
        {"ethertype": b"\x81\x00\x00\x64\x86\xdd"},
        {"ethertype": b"\x81\x00\x00\x00\x86\xdd"},
        {"ethertype": b"\x88\xa8\x00\x64\x86\xdd"},
    ],
    "not_ipv6": [{"ethertype": b"\x08\x06"}, {"ethertype": b"\x08\x00"}],
    "ipv6_truncated": [{"frame_kept": 53}, {"frame_kept": 14}],
    "ipv6_version": [{"first_word": 0x40000000}, {"first_word": 0x70000000}],
    "ipv6_payload_length": [{"length_off_by": 1}, {"length_off_by": 1000}],
    "ipv6_loopback": [{"src": ip("::1")}, {"dst": ip("::1")}],
    "ipv6_multicast_scope": [{"dst": ip("ff01::1")}, {"dst": ip("ff00::1:ff00:1")}],
    "ipv6_source_multicast": [{"src": ip("ff02::7")}],
    "ipv6_extension": [
        {"extensions": ((DSTOPTS, PADDING), (HOPOPTS, PADDING))},
        {"extensions": ((HOPOPTS, PADDING), (HOPOPTS, PADDING))},
        {"extensions": ((DSTOPTS, b"\xff" + PADDING[1:]),)},
    ],
    "ipv6_option": [
        {"extensions": ((HOPOPTS, extension(b"\x5e\x04" + bytes(4))),)},
        {"extensions": ((DSTOPTS, extension(b"\x5e\x04" + bytes(4))),)},
    ],
    "ipv6_routing_header": [{"extensions": ((ROUTING, routing(0, 1)),)}],
    "ipv6_fragment": [
        {"extensions": ((FRAGMENT, fragment(1)),)},
        {"extensions": ((FRAGMENT, fragment(8)),)},
    ],
    "not_ndisc": [
        {"kind": 128},
        {"kind": 132},
        {"kind": 138},
        {"kind": 0},
        {"kind": 255},
        {"kept": 0},
        {"protocol": 17},
        {"protocol": 59},
        {"protocol": 1},
    ],
    "icmpv6_checksum": [{"checksum_off_by": 1}, {"checksum_off_by": 0x8000}],
    "ndisc_fragmented": [
        {"extensions": ((FRAGMENT, fragment(0)),)},
        {"extensions": ((HOPOPTS, PADDING), (FRAGMENT, fragment(0)), (DSTOPTS, PADDING))},
    ],
    "ndisc_hop_limit": [{"hop_limit": limit} for limit in (0, 1, 64, 254)],
    "ndisc_code": [{"code": code} for code in (1, 2, 255)],
    "ndisc_option_length": [
        {"options": option(253, bytes(6), units=0)},
        {"options": option(253, bytes(6), units=2)},
        {"options": option(253, bytes(6), units=255)},
        {"options": b"\x01"},
        {"options": b"\xfd"},
        {"options": option(253, bytes(6)) + b"\x01"},
        {"options": option(253, bytes(6)) + b"\x00\x00"},
        {"options": option(253, bytes(6)) + b"\xfd\x01\x00"},
    ],
}
# The changes that only a message of some kinds can break a rule with.
OWN_BREAKS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "ndisc_target_multicast": [
        (name, {"body": DRAFTS[name].body[:4] + ip(group)})
        for name in ("solicitation", "advertisement")
        for group in ("ff02::1", "ff02::1:ff00:1", "ff0e::1")
    ],
    "ndisc_dad_destination": [
        ("solicitation", {"src": UNSPECIFIED, "options": b"", "dst": dst})
        for dst in (OUR_IP, ALL_NODES, ip("ff02::2"), ip("ff02::1:fe00:1"))
    ],
    "ndisc_solicited_multicast": [
        ("advertisement", {"dst": ALL_NODES}),
        ("advertisement", {"dst": OUR_GROUP, "body": b"\xe0" + ADVERTISEMENT.body[1:]}),
        ("advertisement", {"dst": ALL_NODES, "body": b"\x40" + ADVERTISEMENT.body[1:]}),
    ],
    "ndisc_source_not_link_local": [
        (name, {"src": src})
        for name in ("router_advertisement", "redirect")
        for src in (UNSPECIFIED, GLOBAL_IP, ip("fec0::1"), ip("fe7f::1"))
    ],
    "ndisc_redirect_destination": [
        ("redirect", {"body": bytes(4) + ip("fe80::9") + ip("ff0e::1")}),
        ("redirect", {"body": bytes(4) + ip("ff0e::1") + ip("ff0e::1")}),
    ],
    "ndisc_redirect_target": [
        ("redirect", {"body": bytes(4) + ip(target) + GLOBAL_IP})
        for target in ("2001:db8::9", "::", "ff02::1", "fec0::9")
    ],
    "ndisc_lladdr_length": [
        (name, {"options": option(kind, bytes(14))}) for name, kind in OWN_OPTION.items()
    ],
    "ndisc_unspecified_lladdr": [
        (name, {"src": UNSPECIFIED}) for name in ("solicitation", "router_solicitation")
    ],
}
OWN_BREAKS["ndisc_truncated"] = [
    (name, {"kept": kept}) for name, size in FIXED_SIZES.items() for kept in range(1, size)
]
BREAKS: list[tuple[str, str, dict[str, Any]]] = [
    *(
        (reason, name, change)
        for reason, changes in COMMON_BREAKS.items()
        for change in changes
        for name in DRAFTS
    ),
    *((reason, name, change) for reason, changes in OWN_BREAKS.items() for name, change in changes),
]


def test_every_reason_has_frames_that_break_its_rule() -> None:
    assert {reason for reason, _, _ in BREAKS} == set(ndisc.DROP_REASONS)
    assert len(set(ndisc.DROP_REASONS)) == len(ndisc.DROP_REASONS)


@pytest.mark.parametrize("name", DRAFTS)
def test_a_good_frame_gives_its_fields(name: str) -> None:
    assert ndisc.parse(DRAFTS[name].frame) == FIELDS[name]


@pytest.mark.parametrize(("reason", "name", "change"), BREAKS)
def test_a_frame_that_breaks_one_rule_is_refused_for_it(
    reason: str, name: str, change: dict[str, Any]
) -> None:
    assert ndisc.parse(DRAFTS[name].but(**change).frame) == reason


@pytest.mark.parametrize("name", DRAFTS)
def test_a_frame_that_breaks_two_rules_is_refused_for_the_first(name: str) -> None:
    last_of_each = {reason: change for reason, which, change in BREAKS if which == name}
    in_order = sorted(last_of_each, key=ndisc.DROP_REASONS.index)
    tried = 0
    for first, second in itertools.combinations(in_order, 2):
        one, other = last_of_each[first], last_of_each[second]
        if one.keys() & other.keys() or "kept" in one.keys() | other.keys():
            # They do not leave one another alone.
            continue
        assert ndisc.parse(DRAFTS[name].but(**one, **other).frame) == first, (first, second)
        tried += 1
    assert tried > 100


OPTION_STREAMS = {
    "none": (b"", None),
    "own": ("own", None),
    "foreign": ("foreign", None),
    "unknown": (option(253, bytes(14)), None),
    "no length": (option(253, bytes(6), units=0), ndisc.DROP_NDISC_OPTION_LENGTH),
}


@pytest.mark.parametrize("name", DRAFTS)
@pytest.mark.parametrize("stream", OPTION_STREAMS)
def test_every_combination_of_hop_limit_code_checksum_and_options_has_its_outcome(
    name: str, stream: str
) -> None:
    options, bad = OPTION_STREAMS[stream]
    if not isinstance(options, bytes):
        options = option(OWN_OPTION[name] if options == "own" else 3 - OWN_OPTION[name], PEER_MAC)
    for hop_limit, code, off_by, checked, fragmented, admitted in itertools.product(
        (255, 254, 0), (0, 1), (0, 1), (True, False), (False, True), (False, True)
    ):
        draft = DRAFTS[name].but(
            hop_limit=hop_limit,
            code=code,
            checksum_off_by=off_by,
            options=options,
            extensions=((FRAGMENT, fragment(0)),) if fragmented else (),
        )

        result = ndisc.parse(draft.frame, checksum=checked, fragments=admitted)

        broken = [
            (off_by and checked, ndisc.DROP_ICMPV6_CHECKSUM),
            (fragmented and not admitted, ndisc.DROP_NDISC_FRAGMENTED),
            (hop_limit != 255, ndisc.DROP_NDISC_HOP_LIMIT),
            (code, ndisc.DROP_NDISC_CODE),
            (bad is not None, bad),
        ]
        expected = next((reason for is_broken, reason in broken if is_broken), None)
        if expected is None:
            assert not isinstance(result, str)
            assert result.lladdr == (PEER_MAC if stream == "own" else None)
        else:
            assert result == expected


@pytest.mark.parametrize("name", DRAFTS)
def test_a_frame_cut_at_any_length_is_refused_until_the_packet_is_whole(name: str) -> None:
    whole = DRAFTS[name].frame
    for length in range(len(whole) + 20):
        result = ndisc.parse((whole + bytes(20))[:length])

        if length >= len(whole):
            assert result == FIELDS[name]
        elif length >= 54:
            assert result == "ipv6_payload_length"
        else:
            assert result == ("ipv6_truncated" if length >= 14 else "ethernet_truncated")


@pytest.mark.parametrize("name", DRAFTS)
def test_a_message_cut_at_any_length_is_refused_or_has_lost_whole_options_only(name: str) -> None:
    draft, size = DRAFTS[name], FIXED_SIZES[name]
    ends = {size, size + 8, len(draft.message)}
    for kept in range(len(draft.message) + 1):
        result = ndisc.parse(draft.but(kept=kept).frame)

        if kept < size:
            assert result == (ndisc.DROP_NDISC_TRUNCATED if kept else ndisc.DROP_NOT_NDISC)
        elif kept not in ends:
            assert result == ndisc.DROP_NDISC_OPTION_LENGTH
        else:
            assert not isinstance(result, str)
            assert result.lladdr == (None if kept == size else PEER_MAC)


@pytest.mark.parametrize("name", DRAFTS)
@pytest.mark.parametrize(
    "padding", [b"\0", bytes(18), b"\x01\x00" * 9, option(1, OTHER_MAC) + option(2, OTHER_MAC)]
)
def test_octets_behind_the_packet_are_padding_whatever_they_are(name: str, padding: bytes) -> None:
    assert ndisc.parse(DRAFTS[name].but(padding=padding).frame) == FIELDS[name]


@pytest.mark.parametrize("name", DRAFTS)
def test_a_payload_length_within_the_message_ends_it_there(name: str) -> None:
    draft = DRAFTS[name].but(length_off_by=-8)

    assert ndisc.parse(draft.frame) == ndisc.DROP_ICMPV6_CHECKSUM
    if name == "redirect":
        assert ndisc.parse(draft.frame, checksum=False) == ndisc.DROP_NDISC_OPTION_LENGTH
    else:
        result = ndisc.parse(draft.frame, checksum=False)
        assert not isinstance(result, str) and result.lladdr is None


@pytest.mark.parametrize("name", DRAFTS)
@pytest.mark.parametrize(
    "extensions",
    [
        ((HOPOPTS, PADDING),),
        ((HOPOPTS, ROUTER_ALERT),),
        ((DSTOPTS, PADDING),),
        ((HOPOPTS, PADDING), (DSTOPTS, PADDING), (DSTOPTS, PADDING)),
    ],
)
def test_a_message_behind_extension_headers_is_the_same_message(
    name: str, extensions: tuple[tuple[int, bytes], ...]
) -> None:
    assert ndisc.parse(DRAFTS[name].but(extensions=extensions).frame) == FIELDS[name]


@pytest.mark.parametrize("name", DRAFTS)
def test_fragments_of_several_are_refused_even_where_fragment_headers_are_admitted(name: str) -> None:
    draft = DRAFTS[name]

    for position in (1, 8, 0xFFF8):
        broken = draft.but(extensions=((FRAGMENT, fragment(position)),))
        assert ndisc.parse(broken.frame, fragments=True) == ipv6.DROP_IPV6_FRAGMENT
    whole = draft.but(extensions=((FRAGMENT, fragment(0)),))
    assert ndisc.parse(whole.frame, fragments=True) == FIELDS[name]


@pytest.mark.parametrize("name", DRAFTS)
def test_a_checksum_field_of_ones_is_as_good_as_one_of_zeros(name: str) -> None:
    draft = DRAFTS[name]
    # One reserved or free word is chosen so that the sum of the rest is that of ones.
    value = int.from_bytes(draft.message[2:4], "big")
    at = {"router_advertisement": 4, "advertisement": 2}.get(name, 0)
    word = (int.from_bytes(draft.body[at : at + 2], "big") + value - 1) % 0xFFFF + 1
    draft = draft.but(body=draft.body[:at] + word.to_bytes(2, "big") + draft.body[at + 2 :])
    frames = [
        draft.frame[:56] + checksum + draft.frame[58:]
        for checksum in (b"\0\0", b"\xff\xff", b"\0\1", b"\xff\xfe")
    ]

    results = [ndisc.parse(frame) for frame in frames]

    assert not isinstance(results[0], str)
    assert results[1] == results[0]
    assert results[2:] == [ndisc.DROP_ICMPV6_CHECKSUM] * 2


@pytest.mark.parametrize("name", DRAFTS)
def test_of_duplicate_options_the_first_counts(name: str) -> None:
    kind = OWN_OPTION[name]
    draft = DRAFTS[name]
    first, second, long = option(kind, PEER_MAC), option(kind, OTHER_MAC), option(kind, bytes(14))

    for options, expected in (
        (first + second, PEER_MAC),
        (second + first, OTHER_MAC),
        (first + long, PEER_MAC),
        (first + option(253, bytes(6)) + second, PEER_MAC),
    ):
        result = ndisc.parse(draft.but(options=options).frame)
        assert not isinstance(result, str) and result.lladdr == expected
    assert ndisc.parse(draft.but(options=long + first).frame) == ndisc.DROP_NDISC_LLADDR_LENGTH


@pytest.mark.parametrize("name", DRAFTS)
def test_options_that_are_unknown_or_anothers_are_skipped_whatever_their_size(name: str) -> None:
    own, other = OWN_OPTION[name], 3 - OWN_OPTION[name]
    skipped = (
        option(other, OTHER_MAC),
        option(other, bytes(14)),
        option(0, bytes(6)),
        option(3, bytes(6)),
        option(5, bytes(14)),
        option(253, bytes(254 * 8 + 6)),
    )
    for octets in skipped:
        for options in (octets + option(own, PEER_MAC), option(own, PEER_MAC) + octets):
            result = ndisc.parse(DRAFTS[name].but(options=options).frame)
            assert not isinstance(result, str) and result.lladdr == PEER_MAC


@pytest.mark.parametrize("name", DRAFTS)
def test_a_message_without_options_has_no_link_layer_address(name: str) -> None:
    result = ndisc.parse(DRAFTS[name].but(options=b"").frame)

    assert not isinstance(result, str)
    assert result == FIELDS[name]._replace(
        lladdr=None, **({"redirected": None} if name == "redirect" else {})
    )


@pytest.mark.parametrize("name", DRAFTS)
@pytest.mark.parametrize("addr_len", range(33))
def test_a_link_layer_address_option_has_the_room_that_the_devices_address_needs(
    name: str, addr_len: int
) -> None:
    right = (2 + addr_len + 7) // 8
    for units in range(1, 6):
        data = bytes(range(1, 8 * units - 1))
        draft = DRAFTS[name].but(options=option(OWN_OPTION[name], data))

        result = ndisc.parse(draft.frame, addr_len=addr_len)

        if units == right:
            assert not isinstance(result, str) and result.lladdr == data[:addr_len]
        else:
            assert result == ndisc.DROP_NDISC_LLADDR_LENGTH


NONCE = bytes.fromhex("a1b2c3d4e5f6")


@pytest.mark.parametrize(
    ("options", "nonce"),
    [
        (option(14, NONCE), NONCE),
        (option(14, NONCE) + option(14, bytes(6)), NONCE),
        (option(14, NONCE + bytes(8)), None),
        (option(14, NONCE + bytes(8)) + option(14, NONCE), None),
        (option(253, bytes(6)) + option(14, NONCE), NONCE),
        (b"", None),
    ],
)
def test_a_nonce_is_the_first_one_if_it_has_six_octets(options: bytes, nonce: bytes | None) -> None:
    dad = SOLICITATION.but(src=UNSPECIFIED, options=options)
    other = SOLICITATION.but(options=SLLAO + options)

    assert ndisc.parse(dad.frame) == ndisc.Solicitation(UNSPECIFIED, OUR_GROUP, OUR_IP, None, nonce)
    assert ndisc.parse(other.frame) == ndisc.Solicitation(PEER_IP, OUR_GROUP, OUR_IP, PEER_MAC, nonce)


@pytest.mark.parametrize("dst", ["fe80::1", "ff02::1", "ff02::1:ff12:3456", "2001:db8::1", "ff02::2"])
def test_where_a_solicitation_goes_need_not_match_its_target(dst: str) -> None:
    assert ndisc.parse(SOLICITATION.but(dst=ip(dst)).frame) == FIELDS["solicitation"]._replace(dst=ip(dst))


@pytest.mark.parametrize("dst", ["ff02::1:ff00:1", "ff02::1:ff12:3456"])
def test_a_solicitation_from_nobody_goes_to_any_solicited_node_group(dst: str) -> None:
    draft = SOLICITATION.but(src=UNSPECIFIED, dst=ip(dst), options=TLLAO)

    assert ndisc.parse(draft.frame) == ndisc.Solicitation(UNSPECIFIED, ip(dst), OUR_IP, None, None)


def test_a_router_solicitation_from_nobody_has_no_link_layer_address() -> None:
    draft = ROUTER_SOLICITATION.but(src=UNSPECIFIED, options=b"")

    assert ndisc.parse(draft.frame) == ndisc.RouterSolicitation(UNSPECIFIED, ip("ff02::2"), None)


@pytest.mark.parametrize("src", ["::", "2001:db8::7", "fe80::9", "fe80::1"])
def test_who_sends_an_advertisement_need_not_be_its_target(src: str) -> None:
    result = ndisc.parse(ADVERTISEMENT.but(src=ip(src)).frame)

    assert result == FIELDS["advertisement"]._replace(src=ip(src))


@pytest.mark.parametrize(
    ("router", "solicited", "override"), list(itertools.product((False, True), repeat=3))
)
def test_each_flag_of_an_advertisement_is_read_by_itself(
    router: bool, solicited: bool, override: bool
) -> None:
    flags = router << 7 | solicited << 6 | override << 5
    # What is reserved is ignored.
    for reserved in (0, 0x1F):
        body = bytes((flags | reserved, reserved, reserved, reserved)) + PEER_IP
        result = ndisc.parse(ADVERTISEMENT.but(body=body).frame)
        assert result == FIELDS["advertisement"]._replace(
            router=router, solicited=solicited, override=override
        )


def test_an_unsolicited_advertisement_goes_to_groups() -> None:
    draft = ADVERTISEMENT.but(dst=ALL_NODES, body=b"\x20" + ADVERTISEMENT.body[1:])

    result = ndisc.parse(draft.frame)

    assert result == FIELDS["advertisement"]._replace(dst=ALL_NODES, solicited=False)


@pytest.mark.parametrize("name", ["solicitation", "router_solicitation", "redirect"])
def test_what_is_reserved_is_ignored(name: str) -> None:
    draft = DRAFTS[name].but(body=b"\xff" * 4 + DRAFTS[name].body[4:])

    assert ndisc.parse(draft.frame) == FIELDS[name]


@given(
    st.integers(0, 255),
    st.integers(0, 255),
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFFFF),
    st.integers(0, 0xFFFFFFFF),
)
def test_a_router_advertisement_tells_times_in_seconds(
    hop_limit: int, flags: int, lifetime: int, reachable_ms: int, retrans_ms: int
) -> None:
    body = bytes((hop_limit, flags)) + lifetime.to_bytes(2, "big")
    body += reachable_ms.to_bytes(4, "big") + retrans_ms.to_bytes(4, "big")

    result = ndisc.parse(ROUTER_ADVERTISEMENT.but(body=body).frame)

    assert isinstance(result, ndisc.RouterAdvertisement)
    assert (result.hop_limit, result.lifetime) == (hop_limit, lifetime)
    assert (result.reachable_time, result.retrans_timer) == (reachable_ms / 1000, retrans_ms / 1000)


@pytest.mark.parametrize(("target", "destination"), [("2001:db8::7", "2001:db8::7"), ("fe80::9", "fe80::5")])
def test_a_redirect_is_to_a_router_or_to_the_destination_itself(target: str, destination: str) -> None:
    result = ndisc.parse(REDIRECT.but(body=bytes(4) + ip(target) + ip(destination)).frame)

    assert result == FIELDS["redirect"]._replace(target=ip(target), destination=ip(destination))


def test_a_redirect_holds_the_packet_of_the_first_option_that_has_one() -> None:
    options = option(4, bytes(6)) + option(4, bytes(6) + REDIRECTED)

    result = ndisc.parse(REDIRECT.but(options=options).frame)

    assert isinstance(result, ndisc.RedirectMessage)
    assert result.redirected == b""
    assert result.lladdr is None


@given(st.binary(max_size=140), st.integers(0, 32), st.booleans(), st.booleans())
def test_arbitrary_octets_give_fields_or_a_known_reason(
    frame: bytes, addr_len: int, checksum: bool, fragments: bool
) -> None:
    result = ndisc.parse(frame, addr_len=addr_len, checksum=checksum, fragments=fragments)

    assert not isinstance(result, str) or result in ndisc.DROP_REASONS


@given(
    st.sampled_from(list(DRAFTS.values())),
    st.lists(st.tuples(st.integers(12, 100), st.integers(0, 255)), max_size=4),
    st.integers(0, 200),
)
def test_spoilt_frames_give_fields_or_a_known_reason(
    draft: Draft, spoils: list[tuple[int, int]], kept: int
) -> None:
    frame = bytearray(draft.frame)
    for at, octet in spoils:
        frame[at % len(frame)] = octet

    result = ndisc.parse(bytes(frame[:kept]), checksum=False)

    assert not isinstance(result, str) or result in ndisc.DROP_REASONS


def options_by_the_book(octets: bytes) -> list[tuple[int, bytes]] | None:
    """RFC 4861, section 4.6: the options, or None where one has no length or does not fit."""
    found = []
    while octets:
        if len(octets) < 2 or octets[1] == 0 or 8 * octets[1] > len(octets):
            return None
        found.append((octets[0], octets[2 : 8 * octets[1]]))
        octets = octets[8 * octets[1] :]
    return found


streams = st.lists(
    st.builds(option, st.integers(0, 15), st.sampled_from([bytes(6), PEER_MAC, OTHER_MAC, bytes(14)])),
    max_size=8,
).map(b"".join)


@given(st.sampled_from(list(DRAFTS)), streams | st.binary(max_size=80), st.binary(max_size=3))
@example("solicitation", SLLAO, b"")
def test_random_option_streams_give_what_the_book_says(name: str, options: bytes, rest: bytes) -> None:
    options += rest
    result = ndisc.parse(DRAFTS[name].but(options=options).frame)

    found = options_by_the_book(options)
    if found is None:
        assert result == ndisc.DROP_NDISC_OPTION_LENGTH
        return
    own = next((data for kind, data in found if kind == OWN_OPTION[name]), None)
    if own is not None and len(own) != 6:
        assert result == ndisc.DROP_NDISC_LLADDR_LENGTH
    else:
        assert not isinstance(result, str) and result.lladdr == own
