from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scapy.layers.inet6 import (
    ICMPv6ND_RA,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6NDOptUnknown,
    IPv6,
)
from scapy.layers.l2 import Ether

from neighio.errors import InvalidAddress, MalformedFrame
from neighio.wire import ndisc, ndisc_message
from neighio.wire.ndisc_message import (
    Message,
    NeighbourAdvertisement,
    NeighbourSolicitation,
    Redirect,
    RouterAdvert,
    RouterSolicit,
)
from neighio.wire.ndisc_options import (
    Mtu,
    Nonce,
    Option,
    PrefixInformation,
    RedirectedHeader,
    SourceLinkAddress,
    TargetLinkAddress,
    UnknownOption,
    decode_options,
    encode_options,
)

from .drafts import (
    DRAFTS,
    GLOBAL_IP,
    OUR_GROUP,
    OUR_IP,
    OUR_MAC,
    PEER_IP,
    PEER_MAC,
    REDIRECTED,
    SOLICITATION,
    Draft,
    ip,
    option,
)

MESSAGES: dict[str, Message] = {
    "solicitation": NeighbourSolicitation(OUR_IP, (SourceLinkAddress(PEER_MAC),)),
    "advertisement": NeighbourAdvertisement(
        PEER_IP, router=False, solicited=True, override=True, options=(TargetLinkAddress(PEER_MAC),)
    ),
    "router_solicitation": RouterSolicit((SourceLinkAddress(PEER_MAC),)),
    "router_advertisement": RouterAdvert(
        hop_limit=64,
        managed=True,
        other=True,
        lifetime=1800,
        reachable_time=30.0,
        retrans_timer=1.001,
        options=(SourceLinkAddress(PEER_MAC),),
    ),
    "redirect": Redirect(
        ip("fe80::9"), GLOBAL_IP, (TargetLinkAddress(PEER_MAC), RedirectedHeader(REDIRECTED))
    ),
}

macs = st.binary(min_size=6, max_size=6)
link_local_ips = st.binary(min_size=14, max_size=14).map(lambda tail: b"\xfe\x80" + tail)
unicast_ips = st.binary(min_size=15, max_size=15).map(lambda tail: b"\x20" + tail)
words = st.integers(0, 2**32 - 1)
times = words.map(lambda ms: ms / 1000)
data = st.sampled_from([6, 14, 22]).flatmap(lambda size: st.binary(min_size=size, max_size=size))
prefixes = st.builds(
    PrefixInformation,
    st.binary(min_size=16, max_size=16),
    st.integers(0, 255),
    st.booleans(),
    st.booleans(),
    words,
    words,
    st.booleans(),
)
# None that every message uses: a wrong one of these makes some message invalid.
harmless: list[st.SearchStrategy[Option]] = [
    prefixes,
    st.builds(Mtu, words),
    st.builds(Nonce, data),
    st.builds(UnknownOption, st.integers(15, 255) | st.just(0), data),
    st.builds(UnknownOption, st.just(3), data),
    st.builds(UnknownOption, st.just(5), data.filter(lambda octets: len(octets) != 6)),
    st.integers(0, 5).map(lambda units: RedirectedHeader(bytes(range(8 * units)))),
]
option_lists = st.lists(
    st.one_of(st.builds(SourceLinkAddress, macs), st.builds(TargetLinkAddress, macs), *harmless), max_size=5
).map(tuple)
messages: st.SearchStrategy[Message] = st.one_of(
    st.builds(NeighbourSolicitation, unicast_ips, option_lists),
    st.builds(NeighbourAdvertisement, unicast_ips, st.booleans(), st.booleans(), st.booleans(), option_lists),
    st.builds(RouterSolicit, option_lists),
    st.builds(
        RouterAdvert,
        hop_limit=st.integers(0, 255),
        managed=st.booleans(),
        other=st.booleans(),
        lifetime=st.integers(0, 0xFFFF),
        reachable_time=times,
        retrans_timer=times,
        options=option_lists,
        home_agent=st.booleans(),
        preference=st.sampled_from([-1, 0, 1]),
    ),
    st.builds(Redirect, link_local_ips, unicast_ips, option_lists),
)


@pytest.mark.parametrize("name", DRAFTS)
def test_a_message_is_encoded_to_the_octets_of_the_draft(name: str) -> None:
    draft = DRAFTS[name]

    assert MESSAGES[name].encode(draft.src, draft.dst, dst=OUR_MAC, src=PEER_MAC) == draft.frame


@pytest.mark.parametrize("name", DRAFTS)
def test_a_draft_is_decoded_to_its_message(name: str) -> None:
    draft = DRAFTS[name]

    assert ndisc_message.decode(draft.frame) == (draft.src, draft.dst, MESSAGES[name])


@pytest.mark.parametrize("name", DRAFTS)
def test_what_the_receive_path_reads_is_in_the_message(name: str) -> None:
    fields = ndisc.parse(DRAFTS[name].frame)
    assert not isinstance(fields, str)
    message = MESSAGES[name]

    for field, value in fields._asdict().items():
        if hasattr(message, field):
            assert getattr(message, field) == value
        elif field == "lladdr":
            assert isinstance(message.options[0], SourceLinkAddress | TargetLinkAddress)
            assert message.options[0].lladdr == value


@given(messages, link_local_ips, unicast_ips, macs, macs)
def test_a_message_survives_encoding_and_decoding(
    message: Message, src_ip: bytes, dst_ip: bytes, dst: bytes, src: bytes
) -> None:
    frame = message.encode(src_ip, dst_ip, dst=dst, src=src)

    assert frame[:14] == dst + src + b"\x86\xdd"
    assert ndisc_message.decode(frame) == (src_ip, dst_ip, message)


@given(st.lists(st.builds(option, st.integers(0, 255), data), max_size=6).map(b"".join))
@example(option(4, bytes(6)))
def test_options_survive_decoding_and_encoding_but_for_what_is_reserved(octets: bytes) -> None:
    options = decode_options(octets)

    encoded = encode_options(options)
    assert len(encoded) == len(octets)
    assert decode_options(encoded) == options
    if all(
        isinstance(found, UnknownOption | SourceLinkAddress | TargetLinkAddress | Nonce) for found in options
    ):
        assert encoded == octets


# Octets as they stand, and what they are. The other way round they are the same octets.
OPTIONS: dict[str, tuple[bytes, Option]] = {
    "source": (option(1, PEER_MAC), SourceLinkAddress(PEER_MAC)),
    "target": (option(2, PEER_MAC), TargetLinkAddress(PEER_MAC)),
    "source, long": (option(1, bytes(14)), UnknownOption(1, bytes(14))),
    "target, long": (option(2, bytes(14)), UnknownOption(2, bytes(14))),
    "prefix": (
        bytes.fromhex("0304 40c0 00278d00 00093a80 00000000") + ip("2001:db8::"),
        PrefixInformation(ip("2001:db8::"), 64, True, True, 2592000, 604800),
    ),
    "prefix, on-link": (
        bytes.fromhex("0304 7f80 ffffffff 00000000 00000000") + ip("2001:db8::1"),
        PrefixInformation(ip("2001:db8::1"), 127, True, False, 2**32 - 1, 0),
    ),
    "prefix, autonomous": (
        bytes.fromhex("0304 0040 00000001 00000002 00000000") + ip("::"),
        PrefixInformation(ip("::"), 0, False, True, 1, 2),
    ),
    "prefix, router address": (
        bytes.fromhex("0304 8020 00000001 00000002 00000000") + ip("2001:db8::1"),
        PrefixInformation(ip("2001:db8::1"), 128, False, False, 1, 2, router_address=True),
    ),
    "prefix, short": (option(3, bytes(22)), UnknownOption(3, bytes(22))),
    "redirected": (option(4, bytes(6) + REDIRECTED), RedirectedHeader(REDIRECTED)),
    "redirected, nothing": (option(4, bytes(6)), RedirectedHeader(b"")),
    "redirected, longest": (option(4, bytes(6) + bytes(2032)), RedirectedHeader(bytes(2032))),
    "mtu": (bytes.fromhex("0501 0000 000005dc"), Mtu(1500)),
    "mtu, long": (option(5, bytes(14)), UnknownOption(5, bytes(14))),
    "nonce": (option(14, b"nonce!"), Nonce(b"nonce!")),
    "nonce, long": (option(14, bytes(range(14))), Nonce(bytes(range(14)))),
    "unknown": (option(38, bytes(14)), UnknownOption(38, bytes(14))),
    "unknown, longest": (option(253, bytes(2038)), UnknownOption(253, bytes(2038))),
    "type 0": (option(0, bytes(6)), UnknownOption(0, bytes(6))),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_is_its_octets(name: str) -> None:
    octets, meant = OPTIONS[name]

    assert decode_options(octets) == (meant,)
    assert encode_options([meant]) == octets


def test_options_stand_in_their_order() -> None:
    octets = b"".join(each for each, _ in OPTIONS.values())
    meant = tuple(each for _, each in OPTIONS.values())

    assert decode_options(octets) == meant
    assert encode_options(meant) == octets
    assert decode_options(b"") == ()


@pytest.mark.parametrize(
    "octets",
    [b"\1", b"\0\0", option(1, PEER_MAC) + b"\1", option(253, bytes(6), 0), option(253, bytes(6), 2)],
)
def test_options_that_do_not_fit_are_refused(octets: bytes) -> None:
    with pytest.raises(MalformedFrame) as caught:
        decode_options(octets)

    assert caught.value.reason == ndisc.DROP_NDISC_OPTION_LENGTH


def test_what_is_reserved_is_ignored_in_options_and_messages() -> None:
    prefix = bytes.fromhex("0304 40df 00000001 00000002 ffffffff") + ip("2001:db8::")
    mtu = bytes.fromhex("0501 ffff 000005dc")
    redirected = bytes.fromhex("0401 ffffffffffff")
    solicitation = SOLICITATION.but(body=b"\xff" * 4 + OUR_IP)
    advertisement = DRAFTS["router_advertisement"]
    advertisement = advertisement.but(body=advertisement.body[:1] + b"\xc7" + advertisement.body[2:])

    assert decode_options(prefix + mtu + redirected) == (
        PrefixInformation(ip("2001:db8::"), 64, True, True, 1, 2),
        Mtu(1500),
        RedirectedHeader(b""),
    )
    assert ndisc_message.decode(solicitation.frame)[2] == MESSAGES["solicitation"]
    assert ndisc_message.decode(advertisement.frame)[2] == MESSAGES["router_advertisement"]


BAD_VALUES: list[tuple[type[Any], dict[str, Any], str]] = [
    (SourceLinkAddress, {"lladdr": b"short"}, "ndisc_lladdr_length"),
    (TargetLinkAddress, {"lladdr": bytes(7)}, "ndisc_lladdr_length"),
    (RedirectedHeader, {"packet": bytes(7)}, "ndisc_field_packet"),
    (RedirectedHeader, {"packet": bytes(2040)}, "ndisc_field_packet"),
    (Mtu, {"mtu": -1}, "ndisc_field_mtu"),
    (Mtu, {"mtu": 2**32}, "ndisc_field_mtu"),
    (Nonce, {"nonce": b""}, "ndisc_field_nonce"),
    (Nonce, {"nonce": bytes(7)}, "ndisc_field_nonce"),
    (Nonce, {"nonce": bytes(2046)}, "ndisc_field_nonce"),
    (UnknownOption, {"type": 256, "data": bytes(6)}, "ndisc_field_type"),
    (UnknownOption, {"type": -1, "data": bytes(6)}, "ndisc_field_type"),
    (UnknownOption, {"type": 253, "data": bytes(5)}, "ndisc_field_data"),
    (UnknownOption, {"type": 253, "data": bytes(2046)}, "ndisc_field_data"),
    (NeighbourSolicitation, {"target": OUR_IP[:4]}, "ndisc_field_target"),
    (NeighbourSolicitation, {"target": OUR_GROUP}, "ndisc_target_multicast"),
    (Redirect, {"target": b"", "destination": GLOBAL_IP}, "ndisc_field_target"),
    (Redirect, {"target": OUR_IP, "destination": OUR_IP + b"\0"}, "ndisc_field_destination"),
    (Redirect, {"target": OUR_IP, "destination": OUR_GROUP}, "ndisc_redirect_destination"),
    (Redirect, {"target": GLOBAL_IP, "destination": ip("2001:db8::9")}, "ndisc_redirect_target"),
    *(
        (
            NeighbourAdvertisement,
            {"target": target, "router": True, "solicited": True, "override": True},
            reason,
        )
        for target, reason in ((b"", "ndisc_field_target"), (OUR_GROUP, "ndisc_target_multicast"))
    ),
    *(
        (
            PrefixInformation,
            {
                "prefix": bytes(16),
                "prefix_length": 64,
                "on_link": True,
                "autonomous": True,
                "valid_lifetime": 1,
                "preferred_lifetime": 1,
                field: value,
            },
            f"ndisc_field_{field}",
        )
        for field, value in (
            ("prefix", bytes(4)),
            ("prefix_length", 256),
            ("prefix_length", -1),
            ("valid_lifetime", 2**32),
            ("valid_lifetime", -1),
            ("preferred_lifetime", 2**32),
        )
    ),
    *(
        (
            RouterAdvert,
            {
                "hop_limit": 64,
                "managed": False,
                "other": False,
                "lifetime": 1800,
                "reachable_time": 0,
                "retrans_timer": 0,
                field: value,
            },
            f"ndisc_field_{field}",
        )
        for field, value in (
            ("hop_limit", 256),
            ("hop_limit", -1),
            ("lifetime", 65536),
            ("lifetime", -1),
            ("reachable_time", -0.001),
            ("reachable_time", 4294967.296),
            ("retrans_timer", 4294967.296),
            ("reachable_time", float("nan")),
            ("reachable_time", float("inf")),
            ("retrans_timer", -1),
            ("retrans_timer", float("nan")),
            ("preference", 2),
        )
    ),
]


@pytest.mark.parametrize(("kind", "values", "reason"), BAD_VALUES)
def test_what_no_message_could_carry_is_refused_by_name(
    kind: type[Any], values: dict[str, Any], reason: str
) -> None:
    with pytest.raises(MalformedFrame) as caught:
        kind(**values)

    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("field", "address"),
    [("src_ip", PEER_IP[:4]), ("dst_ip", OUR_IP * 2), ("dst", OUR_MAC[:5]), ("src", b"")],
)
def test_encoding_for_an_address_of_the_wrong_length_is_refused(field: str, address: bytes) -> None:
    addresses = {"src_ip": PEER_IP, "dst_ip": OUR_IP, "dst": OUR_MAC, "src": PEER_MAC, field: address}

    with pytest.raises(InvalidAddress, match=rf"^{field}: {len(address)} octets"):
        RouterSolicit().encode(**addresses)


@given(
    st.sampled_from(list(DRAFTS.values())),
    st.integers(0, 100),
    st.binary(max_size=30),
    st.sampled_from([{}, {"hop_limit": 1}, {"code": 1}, {"checksum_off_by": 1}]),
)
def test_decode_agrees_with_parse_and_raises_nothing_but_malformed_frame(
    draft: Draft, kept: int, tail: bytes, change: dict[str, int]
) -> None:
    for frame in (draft.but(**change).frame, draft.but(options=tail).frame, draft.frame[:kept] + tail):
        fields = ndisc.parse(frame)

        if isinstance(fields, str):
            with pytest.raises(MalformedFrame) as caught:
                ndisc_message.decode(frame)
            assert caught.value.reason == fields
        else:
            assert ndisc_message.decode(frame)[:2] == (fields.src, fields.dst)


@pytest.mark.parametrize(("bits", "preference"), [(0x00, 0), (0x08, 1), (0x18, -1), (0x10, 0)])
def test_the_reserved_preference_is_taken_as_medium(bits: int, preference: int) -> None:
    draft = DRAFTS["router_advertisement"]
    draft = draft.but(body=draft.body[:1] + bytes((bits,)) + draft.body[2:])

    message = ndisc_message.decode(draft.frame)[2]

    assert isinstance(message, RouterAdvert)
    assert (message.preference, message.managed, message.home_agent) == (preference, False, False)


@pytest.mark.parametrize(("preference", "octet"), [(0, 0x00), (1, 0x08), (-1, 0x18)])
def test_a_preference_is_two_bits(preference: int, octet: int) -> None:
    message = RouterAdvert(0, False, False, 0, 0, 0, preference=preference)

    assert message.encode(PEER_IP, OUR_IP, dst=OUR_MAC, src=PEER_MAC)[59] == octet


def test_a_time_has_as_many_milliseconds_as_fit() -> None:
    message = RouterAdvert(0, False, False, 0, 4294967.295, 4294967.295)

    frame = message.encode(PEER_IP, OUR_IP, dst=OUR_MAC, src=PEER_MAC)
    assert frame[62:70] == b"\xff" * 8
    assert ndisc_message.decode(frame)[2] == message


@pytest.mark.parametrize("value", [*MESSAGES.values(), *(meant for _, meant in OPTIONS.values())])
def test_messages_and_options_are_values(value: Message | Option) -> None:
    field = dataclasses.fields(value)[0].name

    assert hash(value) == hash(dataclasses.replace(value))
    assert not hasattr(value, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, field, getattr(value, field))


def test_a_router_advertisement_is_the_one_that_scapy_builds() -> None:
    message = RouterAdvert(
        hop_limit=64,
        managed=True,
        other=False,
        lifetime=9000,
        reachable_time=12.345,
        retrans_timer=0.25,
        home_agent=True,
        preference=-1,
        options=(
            SourceLinkAddress(PEER_MAC),
            Mtu(1480),
            PrefixInformation(ip("2001:db8:1::"), 64, True, False, 86400, 14400, router_address=True),
            UnknownOption(25, bytes(range(22))),
        ),
    )

    assert message.encode(PEER_IP, ip("ff02::1"), dst=OUR_MAC, src=PEER_MAC) == bytes(
        Ether(dst=OUR_MAC.hex(":"), src=PEER_MAC.hex(":"))
        / IPv6(src="fe80::7", dst="ff02::1", hlim=255)
        / ICMPv6ND_RA(
            chlim=64, M=1, O=0, H=1, prf=3, routerlifetime=9000, reachabletime=12345, retranstimer=250
        )
        / ICMPv6NDOptSrcLLAddr(lladdr=PEER_MAC.hex(":"))
        / ICMPv6NDOptMTU(mtu=1480)
        / ICMPv6NDOptPrefixInfo(
            prefixlen=64, L=1, A=0, R=1, validlifetime=86400, preferredlifetime=14400, prefix="2001:db8:1::"
        )
        / ICMPv6NDOptUnknown(type=25, data=bytes(range(22)))
    )
