"""The filter's verdicts, by the interpreter of neighio.testing; tests/kernel asks the kernel."""

from __future__ import annotations

import struct

import pytest

from neighio.link import bpf
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
IPV6 = bytes(12) + b"\x86\xdd" + bytes(40)

OWN = bpf.frame_filter((0x0806,), other_hosts=False)
OTHER = bpf.frame_filter((0x0806, 0x86DD), other_hosts=True)


@pytest.mark.parametrize("program", [OWN, OTHER])
@pytest.mark.parametrize("packet_type", [PACKET_HOST, PACKET_BROADCAST, PACKET_MULTICAST])
def test_a_whole_frame_of_a_wanted_protocol_is_taken(program: bpf.Program, packet_type: int) -> None:
    assert run_filter(program, ARP, packet_type=packet_type) >= len(ARP)


def test_each_wanted_protocol_is_taken_and_no_other() -> None:
    verdicts = [[bool(run_filter(program, frame)) for frame in (ARP, IPV6, IPV4)] for program in (OWN, OTHER)]
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


def test_every_jump_stays_in_the_program_and_the_last_instruction_returns() -> None:
    for program in (OWN, OTHER):
        for position, instruction in enumerate(program):
            if instruction.code != bpf.RETURN:
                assert position + 1 + max(instruction.jt, instruction.jf) < len(program)
        assert program[-1].code == bpf.RETURN


def test_the_encoding_is_the_kernels_struct() -> None:
    assert bpf.encode(OWN)[:8] == struct.pack("=HBBI", 0x20, 0, 0, 0xFFFFF000 + 48)
    assert len(bpf.encode(OWN)) == 8 * len(OWN)


def test_the_interpreter_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="0x99"):
        run_filter((bpf.Instruction(0x99, 0, 0, 0),), ARP)
