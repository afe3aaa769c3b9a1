"""The filter's verdicts, by the interpreter of neighio.testing; tests/kernel asks the kernel."""

from __future__ import annotations

import struct
from itertools import permutations, product

import pytest

from neighio.errors import InvalidAddress
from neighio.link import bpf
from neighio.link.base import Selection
from neighio.testing.packet_socket import (
    PACKET_BROADCAST,
    PACKET_HOST,
    PACKET_MULTICAST,
    PACKET_OTHERHOST,
    PACKET_OUTGOING,
    run_filter,
)

ARP = bytes(12) + b"\x08\x06" + bytes(28)
IPV4 = bytes(12) + b"\x08\x00" + bytes(28)
SOLICITATION = bytes(12) + b"\x86\xdd" + bytes(6) + b"\x3a" + bytes(33) + b"\x87" + bytes(23)
OURS, ALSO_OURS, THEIRS = bytes([198, 51, 100, 1]), bytes([198, 51, 100, 7]), bytes([198, 51, 100, 2])

OWN = bpf.frame_filter((0x0806,), other_hosts=False)
OTHER = bpf.frame_filter((0x0806, 0x86DD), other_hosts=True)

CLIENT = Selection()
HOST = Selection(ipv4=frozenset((OURS, ALSO_OURS)), host=True)
PACKETS = Selection(ipv4=frozenset((OURS, ALSO_OURS)), host=True, packets=True)
DISCOVERY = {133, 134, 135, 136, 137}
EXTENSIONS = {0, 43, 44, 60}


def ipv6(next_header: int, kind: int = 255) -> bytes:
    """Return an IPv6 frame with the octet ``kind`` where ICMPv6 has its type."""
    return (
        bytes(12)
        + b"\x86\xdd"
        + bytes([0x60, 0, 0, 0, 0, 8, next_header, 255])
        + bytes(32)
        + bytes([kind, *bytes(7)])
    )


def ipv4(protocol: int, destination: bytes) -> bytes:
    return bytes(12) + b"\x08\x00" + bytes([0x45, *bytes(8), protocol, *bytes(6)]) + destination + bytes(8)


def taken(selection: Selection, frame: bytes, *, protocol: int | None = None) -> bool:
    """Whether the one socket that a frame of the protocol (None: every protocol) may come to takes it."""
    protocols = (0x0806, 0x86DD, 0x0800) if protocol is None else (protocol,)
    program = bpf.frame_filter(protocols, selection, other_hosts=protocol is None)
    verdict = run_filter(program, frame)
    assert verdict in (0, bpf.WHOLE_FRAME)
    return bool(verdict)


@pytest.mark.parametrize("program", [OWN, OTHER])
@pytest.mark.parametrize("packet_type", [PACKET_HOST, PACKET_BROADCAST, PACKET_MULTICAST])
def test_a_whole_frame_of_a_wanted_protocol_is_taken(program: bpf.Program, packet_type: int) -> None:
    assert run_filter(program, ARP, packet_type=packet_type) >= len(ARP)


def test_each_wanted_protocol_is_taken_and_no_other() -> None:
    verdicts = [
        [bool(run_filter(program, frame)) for frame in (ARP, SOLICITATION, IPV4)] for program in (OWN, OTHER)
    ]
    assert verdicts == [[True, False, False], [True, True, False]]


@pytest.mark.parametrize("program", [OWN, OTHER])
@pytest.mark.parametrize(
    ("tag", "taken"),
    [(0x0000, True), (0xE000, True), (0x1000, True), (0x0001, False), (0x0FFF, False), (0xE005, False)],
)
def test_a_vlan_is_judged_by_its_id_and_not_by_its_priority(
    program: bpf.Program, tag: int, taken: bool
) -> None:
    assert bool(run_filter(program, ARP, vlan=tag)) is taken


def test_frames_to_other_hosts_are_taken_only_when_asked_for() -> None:
    assert [bool(run_filter(program, ARP, packet_type=PACKET_OTHERHOST)) for program in (OWN, OTHER)] == [
        False,
        True,
    ]


@pytest.mark.parametrize("program", [OWN, OTHER])
def test_our_own_frames_are_rejected(program: bpf.Program) -> None:
    assert not run_filter(program, ARP, packet_type=PACKET_OUTGOING)


@pytest.mark.parametrize("length", range(14))
def test_a_frame_without_an_ethertype_is_rejected(length: int) -> None:
    assert not run_filter(OWN, ARP[:length])


# One socket for each protocol, or one for all of them.
FORMS = [pytest.param(0x86DD, id="of-ipv6"), pytest.param(None, id="of-all")]


@pytest.mark.parametrize("protocol", FORMS)
@pytest.mark.parametrize(
    ("selection", "wanted"),
    [(CLIENT, DISCOVERY), (HOST, DISCOVERY | {128, 129, 130, 131}), (PACKETS, set(range(256)))],
    ids=["client", "host", "packets"],
)
def test_of_icmpv6_the_selected_types_are_taken(
    protocol: int | None, selection: Selection, wanted: set[int]
) -> None:
    assert {kind for kind in range(256) if taken(selection, ipv6(58, kind), protocol=protocol)} == wanted


@pytest.mark.parametrize("protocol", FORMS)
@pytest.mark.parametrize(
    ("selection", "wanted"),
    [(CLIENT, EXTENSIONS), (HOST, EXTENSIONS), (PACKETS, set(range(256)))],
    ids=["client", "host", "packets"],
)
def test_of_ipv6_extension_headers_are_taken_for_what_they_may_hide_and_other_protocols_for_packets_alone(
    protocol: int | None, selection: Selection, wanted: set[int]
) -> None:
    assert {header for header in range(256) if taken(selection, ipv6(header), protocol=protocol)} == wanted


@pytest.mark.parametrize("header", sorted(set(range(256)) - EXTENSIONS - {58}))
def test_no_other_protocol_passes_for_icmpv6(header: int) -> None:
    assert not any(taken(HOST, ipv6(header, kind)) for kind in (*DISCOVERY, 128, 129, 130, 131))


@pytest.mark.parametrize("protocol", [0x0800, None], ids=["of-ipv4", "of-all"])
@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        (CLIENT, set()),
        (Selection(packets=True), set()),
        (HOST, {(1, OURS), (1, ALSO_OURS)}),
        (PACKETS, set(product((1, 6, 17), (OURS, ALSO_OURS)))),
    ],
    ids=["client", "packets-of-nobody", "host", "packets"],
)
def test_of_ipv4_icmp_to_an_own_address_is_taken_and_for_packets_everything_to_one(
    protocol: int | None, selection: Selection, wanted: set[tuple[int, bytes]]
) -> None:
    frames = product((1, 6, 17), (OURS, ALSO_OURS, THEIRS, b"\xff" * 4, bytes(4)))
    assert {one for one in frames if taken(selection, ipv4(*one), protocol=protocol)} == wanted


@pytest.mark.parametrize("packets", [False, True])
@pytest.mark.parametrize("count", [1, bpf.MOST_ADDRESSES])
def test_each_of_many_own_addresses_is_taken(count: int, packets: bool) -> None:
    own = [bytes([198, 18, n >> 8, n & 255]) for n in range(count)]
    selection = Selection(ipv4=frozenset(own), packets=packets)
    assert all(taken(selection, ipv4(1, address)) for address in own)
    assert [taken(selection, ipv4(1, address)) for address in (THEIRS, bytes([198, 18, 255, 255]))] == [
        False,
        False,
    ]


def test_with_too_many_own_addresses_the_destination_is_left_to_the_reader() -> None:
    own = frozenset(bytes([198, 18, n >> 8, n & 255]) for n in range(bpf.MOST_ADDRESSES + 1))
    assert [
        [taken(Selection(ipv4=own, packets=packets), ipv4(protocol, THEIRS)) for protocol in (1, 17)]
        for packets in (False, True)
    ] == [[True, False], [True, True]]


@pytest.mark.parametrize("selection", [CLIENT, HOST, PACKETS], ids=["client", "host", "packets"])
@pytest.mark.parametrize("protocols", list(permutations((0x0806, 0x86DD, 0x0800))))
def test_the_order_of_the_protocols_decides_nothing(protocols: tuple[int, ...], selection: Selection) -> None:
    frames = [ARP, *(ipv6(58, kind) for kind in (127, 128, 135)), ipv6(17), *(ipv4(p, OURS) for p in (1, 17))]
    program = bpf.frame_filter(protocols, selection, other_hosts=True)
    assert [bool(run_filter(program, one)) for one in frames] == [taken(selection, one) for one in frames]


@pytest.mark.parametrize("other_hosts", [False, True])
@pytest.mark.parametrize("frame", [SOLICITATION, ipv6(128), ipv6(44), ipv4(1, OURS), ipv4(17, OURS)])
def test_selected_or_not_what_is_beside_the_frame_decides_first(frame: bytes, other_hosts: bool) -> None:
    program = bpf.frame_filter((0x0806, 0x86DD, 0x0800), PACKETS, other_hosts=other_hosts)
    assert run_filter(program, frame, vlan=0xE000)
    assert not run_filter(program, frame, vlan=0xE005)
    assert not run_filter(program, frame, packet_type=PACKET_OUTGOING)
    assert bool(run_filter(program, frame, packet_type=PACKET_OTHERHOST)) is other_hosts


@pytest.mark.parametrize("length", range(len(SOLICITATION) + 1))
def test_a_frame_is_taken_as_soon_as_what_decides_is_there(length: int) -> None:
    assert [
        taken(selection, frame[:length])
        for selection, frame in (
            (CLIENT, ARP),
            (PACKETS, SOLICITATION),
            (CLIENT, ipv6(44)),
            (CLIENT, SOLICITATION),
            (HOST, ipv4(1, OURS)),
        )
    ] == [length >= least for least in (14, 14, 21, 55, 34)]


@pytest.mark.parametrize("address", [b"", b"\x01\x02\x03", bytes(16)])
def test_an_own_address_that_is_none_is_refused(address: bytes) -> None:
    with pytest.raises(InvalidAddress, match="ipv4: "):
        bpf.frame_filter((0x0800,), Selection(ipv4=frozenset((OURS, address))), other_hosts=False)


def test_every_jump_stays_in_the_program_and_the_last_instruction_returns() -> None:
    most = frozenset(bytes([198, 18, 0, n]) for n in range(bpf.MOST_ADDRESSES))
    for selection in (CLIENT, HOST, PACKETS, Selection(ipv4=most, host=True)):
        program = bpf.frame_filter((0x0806, 0x0800, 0x86DD), selection, other_hosts=False)
        for position, instruction in enumerate(program):
            assert 0 <= instruction.jt < 256 and 0 <= instruction.jf < 256
            if instruction.code != bpf.RETURN:
                assert position + 1 + max(instruction.jt, instruction.jf) < len(program)
        assert program[-1].code == bpf.RETURN


def test_the_encoding_is_the_kernels_struct() -> None:
    assert bpf.encode(OWN)[:8] == struct.pack("=HBBI", 0x20, 0, 0, 0xFFFFF000 + 48)
    assert len(bpf.encode(OWN)) == 8 * len(OWN)


def test_the_interpreter_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="0x99"):
        run_filter((bpf.Instruction(0x99, 0, 0, 0),), ARP)
