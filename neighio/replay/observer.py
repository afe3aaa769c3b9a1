"""The view of nobody: a table that learns from everything that is said.

It is a client of Linux's kind with arp_accept and accept_untracked_na, but no station of the network: it
hears all as if it were said to it. What went to one station it takes as its own, so that an answer to
somebody confirms; who asks for somebody has asked for it, and is thereby known. It sends nothing, so that
nothing is INCOMPLETE, DELAY, PROBE or FAILED.
"""

from __future__ import annotations

from typing import Final

from ..core.constants import AF_INET, AF_INET6
from ..core.device import Address, Device
from ..wire import ndisc
from ..wire.ethernet import ETH_HLEN, is_group
from ..wire.ipv6 import UNSPECIFIED, is_multicast, solicited_node
from .links import Link
from .messages import ARP_REPLY, ARP_REQUEST, Message
from .virtual import VirtualTable

__all__ = ["SETTINGS", "Observer"]

LLADDR: Final = b"\x02neigh"
"""Nobody's: administered locally."""

IPV4: Final = bytes((192, 0, 0, 8))
"""The IPv4 dummy address (RFC 7600), which is no host's."""

IPV6: Final = b"\x01" + bytes(14) + b"\x01"
"""Of 100::/64, which leads nowhere (RFC 6666)."""

SETTINGS: Final = {
    AF_INET: {"arp_accept": 1, "gc_thresh1": 65536, "gc_thresh2": 65536, "gc_thresh3": 131072},
    AF_INET6: {
        "accept_ra": 2,
        "accept_untracked_na": 1,
        "forwarding": 1,
        "gc_thresh1": 65536,
        "gc_thresh2": 65536,
        "gc_thresh3": 131072,
    },
}
"""What it is set to, before anybody sets it otherwise. Untracked advertisements are for routers."""

TPA: Final = ETH_HLEN + 24
"""Where the target protocol address of an ARP message is in a frame."""


class Observer:
    """Feeds a table with what it overhears."""

    def __init__(self, table: VirtualTable) -> None:
        self._table = table

    def take(self, link: Link, frame: bytes, message: Message | str) -> None:
        """A frame was seen on a link. Of those that are no messages there is nothing to be learnt."""
        if isinstance(message, str):
            return
        if message.kind == ARP_REQUEST:
            heard = _request_to_us(frame, message)
        elif message.kind == ARP_REPLY:
            heard = frame
        else:
            heard = _discovery_to_us(frame, message.fields)
        if heard is not None:
            device = link.device or self._join(link)
            # What went to one station went to us. A group's it was anyway, as all is on a raw link.
            self._table.receive(device, heard if is_group(heard) else LLADDR + heard[6:])

    def _join(self, link: Link) -> Device:
        device = link.device = self._table.add_device(link.name, b"" if link.raw else LLADDR, raw=link.raw)
        self._table.add_address(device, Address(IPV4, 32))
        self._table.add_address(device, Address(IPV6, 128))
        return device


def _request_to_us(frame: bytes, message: Message) -> bytes | None:
    """A request, for our address whomever it was for; None for a probe, of which there is nothing to
    learn."""
    if message.claims is None:
        return None
    return frame if message.asks is None else frame[:TPA] + IPV4


def _discovery_to_us(frame: bytes, fields: object) -> bytes | None:
    """A message of Neighbour Discovery, to us whomever it went to."""
    to_all = frame[:ETH_HLEN]
    if isinstance(fields, ndisc.Solicitation):
        if fields.src == UNSPECIFIED:
            return None
        # To our group: as one to our address alone it would make an entry without a link-layer address, too.
        return to_all + ndisc.build_solicitation(fields.src, solicited_node(IPV6), IPV6, fields.lladdr)
    if is_multicast(frame[ETH_HLEN + 24 :]):
        return frame
    if isinstance(fields, ndisc.Advertisement):
        return to_all + ndisc.build_advertisement(
            fields.src,
            IPV6,
            fields.target,
            fields.lladdr,
            router=fields.router,
            solicited=fields.solicited,
            override=fields.override,
        )
    if isinstance(fields, ndisc.RouterAdvertisement):
        return to_all + ndisc.build_router_advertisement(
            fields.src,
            IPV6,
            fields.lladdr,
            lifetime=fields.lifetime,
            reachable_time=fields.reachable_time,
            retrans_timer=fields.retrans_timer,
            hop_limit=fields.hop_limit,
        )
    if isinstance(fields, ndisc.RouterSolicitation):
        return to_all + ndisc.build_router_solicitation(fields.src, IPV6, fields.lladdr)
    return frame
