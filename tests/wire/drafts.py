"""IPv6 frames for tests, put together part by part, each right unless the test says otherwise.

Nothing here is taken from what is tested but names of numbers.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass, replace
from typing import Any

from neighio.wire import ndisc

OUR_MAC = bytes.fromhex("0200005e1001")
PEER_MAC = bytes.fromhex("0200005e1007")


def ip(text: str) -> bytes:
    return ipaddress.IPv6Address(text).packed


OUR_IP = ip("fe80::1")
PEER_IP = ip("fe80::7")
OUR_GROUP = ip("ff02::1:ff00:1")
GLOBAL_IP = ip("2001:db8::7")
ALL_NODES = ip("ff02::1")
UNSPECIFIED = ip("::")


def internet_checksum(octets: bytes) -> int:
    """RFC 1071, word by word."""
    total = 0
    for at in range(0, len(octets), 2):
        total += int.from_bytes(octets[at : at + 2].ljust(2, b"\0"), "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def pseudo_header(src: bytes, dst: bytes, protocol: int, length: int) -> bytes:
    return src + dst + length.to_bytes(4, "big") + bytes((0, 0, 0, protocol))


def option(kind: int, data: bytes, units: int | None = None) -> bytes:
    """An option as it stands; its length is that of the data unless ``units`` says otherwise."""
    return bytes((kind, (len(data) + 2) // 8 if units is None else units)) + data


def extension(data: bytes) -> bytes:
    """A hop-by-hop or destination header around its options, the next header left out."""
    assert len(data) % 8 == 6
    return bytes((len(data) // 8,)) + data


PADDING = extension(bytes.fromhex("0104 00000000"))
ROUTER_ALERT = extension(bytes.fromhex("0502 0000 0100"))


def fragment(offset_and_flags: int) -> bytes:
    """A fragment header, the next header left out."""
    return b"\0" + offset_and_flags.to_bytes(2, "big") + b"\0\0\0\x01"


def routing(kind: int, segments_left: int, data: bytes = bytes(4)) -> bytes:
    """A routing header, the next header left out."""
    return bytes(((4 + len(data)) // 8 - 1, kind, segments_left)) + data


@dataclass(frozen=True)
class Draft:
    """One Ethernet frame with an ICMPv6 message, as a list of what is in it."""

    kind: int
    body: bytes
    """What stands between the checksum and the options."""

    src: bytes = PEER_IP
    dst: bytes = OUR_IP
    options: bytes = b""
    code: int = 0
    hop_limit: int = 255
    first_word: int = 0x60000000
    extensions: tuple[tuple[int, bytes], ...] = ()
    """The number of each header, and all of it but the next header."""

    protocol: int = 58
    kept: int | None = None
    """How many octets there are of the message; its checksum is that of these."""

    checksum_off_by: int = 0
    length_off_by: int = 0
    ethertype: bytes = b"\x86\xdd"
    padding: bytes = b""
    frame_kept: int | None = None

    def but(self, **changes: Any) -> Draft:
        return replace(self, **changes)

    @property
    def message(self) -> bytes:
        message = (bytes((self.kind, self.code, 0, 0)) + self.body + self.options)[: self.kept]
        value = internet_checksum(pseudo_header(self.src, self.dst, 58, len(message)) + message)
        value = (value + self.checksum_off_by) % 0x10000
        return (message[:2] + value.to_bytes(2, "big") + message[4:])[: len(message)]

    @property
    def packet(self) -> bytes:
        payload, following = self.message, self.protocol
        for number, header in reversed(self.extensions):
            payload = bytes((following,)) + header + payload
            following = number
        length = len(payload) + self.length_off_by
        header = struct.pack("!IHBB", self.first_word, length, following, self.hop_limit)
        return header + self.src + self.dst + payload

    @property
    def frame(self) -> bytes:
        return (OUR_MAC + PEER_MAC + self.ethertype + self.packet + self.padding)[: self.frame_kept]


SOLICITATION = Draft(
    ndisc.ND_NEIGHBOUR_SOLICIT, bytes(4) + OUR_IP, dst=OUR_GROUP, options=option(1, PEER_MAC)
)
ADVERTISEMENT = Draft(
    ndisc.ND_NEIGHBOUR_ADVERT, bytes.fromhex("60000000") + PEER_IP, options=option(2, PEER_MAC)
)
ROUTER_SOLICITATION = Draft(ndisc.ND_ROUTER_SOLICIT, bytes(4), dst=ip("ff02::2"), options=option(1, PEER_MAC))
ROUTER_ADVERTISEMENT = Draft(
    ndisc.ND_ROUTER_ADVERT,
    bytes.fromhex("40 c0 0708 00007530 000003e9"),
    dst=ALL_NODES,
    options=option(1, PEER_MAC),
)
REDIRECTED = bytes.fromhex("6000000000083b40") + bytes(range(56))
REDIRECT = Draft(
    ndisc.ND_REDIRECT,
    bytes(4) + ip("fe80::9") + GLOBAL_IP,
    options=option(2, PEER_MAC) + option(4, bytes(6) + REDIRECTED),
)
DRAFTS = {
    "solicitation": SOLICITATION,
    "advertisement": ADVERTISEMENT,
    "router_solicitation": ROUTER_SOLICITATION,
    "router_advertisement": ROUTER_ADVERTISEMENT,
    "redirect": REDIRECT,
}
FIXED_SIZES = {
    "solicitation": 24,
    "advertisement": 24,
    "router_solicitation": 8,
    "router_advertisement": 16,
    "redirect": 40,
}
