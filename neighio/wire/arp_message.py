"""A whole ARP message for IPv4 over Ethernet (RFC 826), checked; :mod:`.arp` is for the paths in a hurry."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from ..errors import InvalidAddress, MalformedFrame
from .arp import ARPOP_REPLY, ARPOP_REQUEST, DROP_ARP_HLN, DROP_ARP_OP, DROP_ARP_PLN, build, parse
from .ethernet import ETH_ALEN
from .ipv4 import IPV4_ALEN

__all__ = ["ArpMessage", "decode"]


@dataclass(frozen=True, slots=True)
class ArpMessage:
    """An ARP request or reply for IPv4 over Ethernet.

    ``op`` is 1 (request) or 2 (reply); ``spa`` and ``tpa`` are the sender's and the target's IPv4
    address, 4 packed octets; ``sha`` and ``tha`` their Ethernet addresses, 6 packed octets. In a request
    ``tha`` means nothing and is usually all zeros.

    Raises:
        MalformedFrame: no frame could carry these fields: ``arp_op``, ``arp_pln`` or ``arp_hln``.
    """

    op: int
    spa: bytes
    sha: bytes
    tpa: bytes
    tha: bytes

    def __post_init__(self) -> None:
        if not len(self.sha) == len(self.tha) == ETH_ALEN:
            raise MalformedFrame(DROP_ARP_HLN)
        if not len(self.spa) == len(self.tpa) == IPV4_ALEN:
            raise MalformedFrame(DROP_ARP_PLN)
        if self.op not in (ARPOP_REQUEST, ARPOP_REPLY):
            raise MalformedFrame(DROP_ARP_OP)

    def encode(self, dst: bytes, src: bytes) -> bytes:
        """Return the Ethernet frame, 42 octets, unpadded, that takes this message from ``src`` to ``dst``.

        Raises:
            InvalidAddress: ``dst`` or ``src`` is not 6 octets long.
        """
        for field, lladdr in (("dst", dst), ("src", src)):
            if len(lladdr) != ETH_ALEN:
                raise InvalidAddress(f"{field}: {len(lladdr)} octets, expected {ETH_ALEN}")
        return build(*astuple(self), dst=dst, src=src)


def decode(frame: bytes) -> ArpMessage:
    """Return the message in a whole Ethernet frame.

    Raises:
        MalformedFrame: :func:`parse` refuses the frame, for ``reason``.
    """
    fields = parse(frame)
    if isinstance(fields, str):
        raise MalformedFrame(fields)
    return ArpMessage(*fields)
