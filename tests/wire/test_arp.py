from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scapy.layers.l2 import ARP, Ether

from neighio.errors import InvalidAddress, MalformedFrame
from neighio.wire import arp
from neighio.wire.arp_message import ArpMessage, decode

OUR_IP = bytes([198, 51, 100, 1])
PEER_IP = bytes([198, 51, 100, 7])
OUR_MAC = bytes.fromhex("0200005e1001")
PEER_MAC = bytes.fromhex("0200005e1007")
PADDING = bytes(18)

REPLY = (arp.ARPOP_REPLY, PEER_IP, PEER_MAC, OUR_IP, OUR_MAC)
FRAME = arp.build(*REPLY, dst=OUR_MAC, src=PEER_MAC)

ops = st.sampled_from([arp.ARPOP_REQUEST, arp.ARPOP_REPLY])
ips = st.binary(min_size=4, max_size=4)
macs = st.binary(min_size=6, max_size=6)


def overwrite(offset: int, octets: bytes) -> Callable[[bytes], bytes]:
    return lambda frame: frame[:offset] + octets + frame[offset + len(octets) :]


# In the order in which they are judged. Each break leaves every other rule kept.
BREAKS: dict[str, Callable[[bytes], bytes]] = {
    arp.DROP_ETHERNET_TRUNCATED: lambda frame: frame[:13],
    arp.DROP_VLAN_TAGGED: lambda frame: frame[:12] + bytes.fromhex("81000064") + frame[12:],
    arp.DROP_NOT_ARP: overwrite(12, b"\x80\x35"),
    arp.DROP_ARP_TRUNCATED: lambda frame: frame[:41],
    arp.DROP_ARP_HLN: overwrite(18, b"\x08"),
    arp.DROP_ARP_PLN: overwrite(19, b"\x10"),
    arp.DROP_ARP_HRD: overwrite(14, b"\x00\x07"),
    arp.DROP_ARP_PRO: overwrite(16, b"\x86\xdd"),
    arp.DROP_ARP_OP: overwrite(20, b"\x00\x03"),
}


def test_every_reason_has_a_frame_that_breaks_its_rule() -> None:
    assert tuple(BREAKS) == arp.DROP_REASONS


@pytest.mark.parametrize("reason", arp.DROP_REASONS)
def test_a_frame_that_breaks_one_rule_is_refused_for_it(reason: str) -> None:
    assert arp.parse(FRAME) == REPLY

    assert arp.parse(BREAKS[reason](FRAME)) == reason


@pytest.mark.parametrize("reason", arp.DROP_REASONS)
def test_a_frame_that_breaks_several_rules_is_refused_for_the_first(reason: str) -> None:
    frame = FRAME
    for later in reversed(arp.DROP_REASONS[arp.DROP_REASONS.index(reason) :]):
        frame = BREAKS[later](frame)

    assert arp.parse(frame) == reason


@pytest.mark.parametrize("tag", ["81000001", "81000000", "88a80064", "88a8006481000064"])
def test_a_vlan_tag_of_either_kind_and_any_identifier_is_refused(tag: str) -> None:
    frame = FRAME[:12] + bytes.fromhex(tag) + FRAME[12:] + PADDING

    assert arp.parse(frame) == arp.DROP_VLAN_TAGGED


@pytest.mark.parametrize("ethertype", ["0800", "86dd", "8035", "002e", "0000", "ffff", "0608", "9100"])
def test_another_ethertype_is_not_arp(ethertype: str) -> None:
    assert arp.parse(overwrite(12, bytes.fromhex(ethertype))(FRAME)) == arp.DROP_NOT_ARP


@pytest.mark.parametrize("length", range(61))
def test_a_frame_cut_at_any_length_is_refused_until_the_message_is_whole(length: int) -> None:
    frame = (FRAME + PADDING)[:length]

    if length < 14:
        assert arp.parse(frame) == arp.DROP_ETHERNET_TRUNCATED
    elif length < 42:
        assert arp.parse(frame) == arp.DROP_ARP_TRUNCATED
    else:
        assert arp.parse(frame) == REPLY


@pytest.mark.parametrize("hln", [0, 5, 7, 255])
def test_a_hardware_length_that_lies_is_refused_whatever_room_there_is(hln: int) -> None:
    frame = overwrite(18, bytes([hln]))(FRAME)

    assert arp.parse(frame) == arp.DROP_ARP_HLN
    assert arp.parse(frame + bytes(600)) == arp.DROP_ARP_HLN


@pytest.mark.parametrize("hrd", [1, 6])
def test_ethernet_and_ieee_802_are_both_taken_as_ethernet(hrd: int) -> None:
    assert arp.parse(overwrite(14, hrd.to_bytes(2, "big"))(FRAME)) == REPLY


@pytest.mark.parametrize("hrd", [0, 2, 5, 7, 24, 0x0100, 0x0600, 0xFFFF])
def test_any_other_hardware_type_is_refused(hrd: int) -> None:
    assert arp.parse(overwrite(14, hrd.to_bytes(2, "big"))(FRAME)) == arp.DROP_ARP_HRD


@pytest.mark.parametrize("op", [0, 3, 4, 8, 9, 0x0100, 0x0200, 0xFFFF])
def test_any_operation_but_request_and_reply_is_refused(op: int) -> None:
    assert arp.parse(overwrite(20, op.to_bytes(2, "big"))(FRAME)) == arp.DROP_ARP_OP


def test_the_room_needed_follows_the_device_and_not_the_message() -> None:
    fields = (arp.ARPOP_REQUEST, PEER_IP, b"\x02peer-08", OUR_IP, bytes(8))
    op, spa, sha, tpa, tha = fields
    header = bytes.fromhex("0001 0800 08 04") + op.to_bytes(2, "big")
    frame = FRAME[:14] + header + sha + spa + tha + tpa

    assert arp.parse(frame, addr_len=8) == fields
    assert arp.parse(frame[:-1], addr_len=8) == arp.DROP_ARP_TRUNCATED
    assert arp.parse(frame) == arp.DROP_ARP_HLN
    assert arp.parse(FRAME, addr_len=8) == arp.DROP_ARP_TRUNCATED
    assert arp.parse(FRAME + PADDING, addr_len=8) == arp.DROP_ARP_HLN


@given(op=ops, spa=ips, sha=macs, tpa=ips, tha=macs, dst=macs, src=macs, padding=st.binary(max_size=40))
def test_what_was_built_is_parsed_to_the_same_fields(
    op: int, spa: bytes, sha: bytes, tpa: bytes, tha: bytes, dst: bytes, src: bytes, padding: bytes
) -> None:
    frame = arp.build(op, spa, sha, tpa, tha, dst=dst, src=src)

    assert len(frame) == 42
    assert frame[:12] == dst + src
    assert arp.parse(frame + padding) == (op, spa, sha, tpa, tha)


@given(st.binary(max_size=80), st.integers(0, 32))
def test_arbitrary_octets_give_fields_or_a_known_reason(frame: bytes, addr_len: int) -> None:
    result = arp.parse(frame, addr_len=addr_len)

    assert result in arp.DROP_REASONS if isinstance(result, str) else len(result) == 5


@given(tail=st.binary(max_size=60), kept=st.integers(12, 22))
def test_octets_that_begin_as_arp_give_fields_of_the_right_sizes_or_a_known_reason(
    tail: bytes, kept: int
) -> None:
    result = arp.parse(FRAME[:kept] + tail)

    if isinstance(result, str):
        assert result in arp.DROP_REASONS
    else:
        assert result[0] in (arp.ARPOP_REQUEST, arp.ARPOP_REPLY)
        assert [len(field) for field in result[1:]] == [4, 6, 4, 6]


@given(st.binary(max_size=80) | st.binary(max_size=60).map(lambda tail: FRAME[:14] + tail))
@example(FRAME)
def test_decode_agrees_with_parse_and_raises_nothing_but_malformed_frame(frame: bytes) -> None:
    fields = arp.parse(frame)

    if isinstance(fields, str):
        with pytest.raises(MalformedFrame) as caught:
            decode(frame)
        assert caught.value.reason == fields
    else:
        assert decode(frame) == ArpMessage(*fields)


@given(st.builds(ArpMessage, op=ops, spa=ips, sha=macs, tpa=ips, tha=macs), macs, macs)
def test_a_message_survives_encoding_and_decoding(message: ArpMessage, dst: bytes, src: bytes) -> None:
    frame = message.encode(dst, src)

    assert frame[:12] == dst + src
    assert decode(frame) == message


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ((3, PEER_IP, PEER_MAC, OUR_IP, OUR_MAC), arp.DROP_ARP_OP),
        ((2, PEER_IP[:3], PEER_MAC, OUR_IP, OUR_MAC), arp.DROP_ARP_PLN),
        ((2, PEER_IP, PEER_MAC, OUR_IP * 4, OUR_MAC), arp.DROP_ARP_PLN),
        ((2, PEER_IP, PEER_MAC + b"\0", OUR_IP, OUR_MAC), arp.DROP_ARP_HLN),
        ((2, PEER_IP, PEER_MAC, OUR_IP, b""), arp.DROP_ARP_HLN),
    ],
)
def test_a_message_that_no_frame_could_carry_is_refused(
    fields: tuple[int, bytes, bytes, bytes, bytes], reason: str
) -> None:
    with pytest.raises(MalformedFrame) as caught:
        ArpMessage(*fields)

    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("dst", "src", "field"), [(OUR_MAC[:5], PEER_MAC, "dst"), (OUR_MAC, PEER_MAC * 2, "src")]
)
def test_encoding_for_an_address_of_the_wrong_length_is_refused(dst: bytes, src: bytes, field: str) -> None:
    with pytest.raises(InvalidAddress, match=rf"^{field}: "):
        ArpMessage(*REPLY).encode(dst, src)


@given(op=ops, spa=ips, sha=macs, tpa=ips, tha=macs, dst=macs, src=macs)
def test_scapy_reads_every_field_of_what_we_build(
    op: int, spa: bytes, sha: bytes, tpa: bytes, tha: bytes, dst: bytes, src: bytes
) -> None:
    ether = Ether(arp.build(op, spa, sha, tpa, tha, dst=dst, src=src))
    packet = ether[ARP]

    assert (ether.dst, ether.src) == (dst.hex(":"), src.hex(":"))
    assert (packet.hwtype, packet.ptype, packet.hwlen, packet.plen) == (1, 0x0800, 6, 4)
    assert (packet.op, packet.hwsrc, packet.hwdst) == (op, sha.hex(":"), tha.hex(":"))
    assert (packet.psrc, packet.pdst) == (".".join(map(str, spa)), ".".join(map(str, tpa)))
    assert not packet.payload


@given(op=ops, hwtype=st.sampled_from([1, 6]), spa=ips, sha=macs, tpa=ips, tha=macs, dst=macs, src=macs)
def test_we_read_every_field_of_what_scapy_builds(
    op: int, hwtype: int, spa: bytes, sha: bytes, tpa: bytes, tha: bytes, dst: bytes, src: bytes
) -> None:
    frame = bytes(
        Ether(dst=dst.hex(":"), src=src.hex(":"))
        / ARP(
            hwtype=hwtype,
            op=op,
            hwsrc=sha,
            psrc=".".join(map(str, spa)),
            hwdst=tha,
            pdst=".".join(map(str, tpa)),
        )
    )

    assert arp.parse(frame) == (op, spa, sha, tpa, tha)
