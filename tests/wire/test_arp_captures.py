"""ARP of real and of damaged kinds, as others captured it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from scapy.layers.l2 import ARP, Ether
from scapy.utils import RawPcapReader

from neighio.wire import arp

CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "captures"

pytestmark = pytest.mark.skipif(not CAPTURES.is_dir(), reason="captures not beside the project")

# Fuzzed Ethernet ARP, all of 60 octets. Of the fields that have one right value (two for the type and
# the operation), 333 frames have one or more wrong, and each counts under the first that is judged.
FUZZED: dict[int | str, int] = {
    arp.ARPOP_REQUEST: 1923,
    arp.ARPOP_REPLY: 26,
    arp.DROP_ARP_HLN: 68,
    arp.DROP_ARP_PLN: 37,
    arp.DROP_ARP_HRD: 73,
    arp.DROP_ARP_PRO: 81,
    arp.DROP_ARP_OP: 74,
}

OUTCOMES: dict[str, dict[int | str, int]] = {
    "arp-oobr.pcap": FUZZED,
    # 802.1ad around a length field of 0x3030 and an ARP message that claims hln 14.
    "arp-too-long-tha.pcap": {arp.DROP_VLAN_TAGGED: 1},
    # A good request and a good reply, under two tags.
    "802.1ad_QinQ.pcap": {arp.DROP_VLAN_TAGGED: 2},
    # ARCNET's header is shorter than Ethernet's, so what stands at the ethertype is never 0x0806.
    "arcnet-rfc1051-arp-icmp-http.pcap": {arp.DROP_NOT_ARP: 26},
    "arcnet-rfc1201-arp-icmp-http.pcap": {arp.DROP_NOT_ARP: 26},
    # Everyday traffic, ARP among other protocols.
    "bgp-4byte-asn.pcap": {arp.ARPOP_REQUEST: 6, arp.ARPOP_REPLY: 6, arp.DROP_NOT_ARP: 79},
    "dhcp-rfc4388.pcap": {arp.ARPOP_REQUEST: 6, arp.ARPOP_REPLY: 6, arp.DROP_NOT_ARP: 42},
    "eapon1.pcap": {arp.ARPOP_REQUEST: 4, arp.ARPOP_REPLY: 1, arp.DROP_NOT_ARP: 109},
    "isakmp4500.pcap": {arp.ARPOP_REQUEST: 4, arp.ARPOP_REPLY: 4, arp.DROP_NOT_ARP: 27},
    # The second frame has no octets at all.
    "icmp6_mobileprefix_asan.pcap": {arp.DROP_NOT_ARP: 1, arp.DROP_ETHERNET_TRUNCATED: 1},
}


def frames_of(name: str) -> list[bytes]:
    with RawPcapReader(str(CAPTURES / name)) as reader:
        return [bytes(octets) for octets, _ in reader]


@pytest.mark.parametrize("name", OUTCOMES)
def test_a_capture_gives_the_outcomes_that_its_octets_call_for(name: str) -> None:
    results = [arp.parse(frame) for frame in frames_of(name)]

    assert Counter(result if isinstance(result, str) else result[0] for result in results) == OUTCOMES[name]


@pytest.mark.parametrize("name", OUTCOMES)
def test_scapy_reads_the_same_fields_in_every_captured_frame_that_is_taken(name: str) -> None:
    for frame in frames_of(name):
        fields = arp.parse(frame)
        if isinstance(fields, str):
            continue
        packet = Ether(frame)[ARP]
        op, spa, sha, tpa, tha = fields
        assert (packet.op, packet.hwsrc, packet.hwdst) == (op, sha.hex(":"), tha.hex(":"))
        assert (packet.psrc, packet.pdst) == (".".join(map(str, spa)), ".".join(map(str, tpa)))
