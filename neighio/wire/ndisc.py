"""Neighbour Discovery for IPv6 over Ethernet (RFC 4861), as strict and as lenient as Linux is.

This is the receive path, which has the fields that Linux acts on, and the send path, which builds packets.
:mod:`.ndisc_message` has whole messages with all their options for everybody else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from . import ipv6
from .ethernet import ETH_ALEN
from .ipv6 import IPPROTO_ICMPV6, UNSPECIFIED, is_link_local, is_multicast, is_solicited_node
from .ndisc_fields import (
    DROP_ICMPV6_CHECKSUM,
    DROP_NDISC_CODE,
    DROP_NDISC_DAD_DESTINATION,
    DROP_NDISC_FRAGMENTED,
    DROP_NDISC_HOP_LIMIT,
    DROP_NDISC_LLADDR_LENGTH,
    DROP_NDISC_OPTION_LENGTH,
    DROP_NDISC_REDIRECT_DESTINATION,
    DROP_NDISC_REDIRECT_TARGET,
    DROP_NDISC_SOLICITED_MULTICAST,
    DROP_NDISC_SOURCE_NOT_LINK_LOCAL,
    DROP_NDISC_TARGET_MULTICAST,
    DROP_NDISC_TRUNCATED,
    DROP_NDISC_UNSPECIFIED_LLADDR,
    DROP_NOT_NDISC,
    DROP_REASONS,
    ND_NA_FLAG_OVERRIDE,
    ND_NA_FLAG_ROUTER,
    ND_NA_FLAG_SOLICITED,
    ND_NEIGHBOUR_ADVERT,
    ND_NEIGHBOUR_SOLICIT,
    ND_OPT_MTU,
    ND_OPT_NONCE,
    ND_OPT_PREFIX_INFO,
    ND_OPT_REDIRECT_HDR,
    ND_OPT_SOURCE_LL_ADDR,
    ND_OPT_TARGET_LL_ADDR,
    ND_REDIRECT,
    ND_ROUTER_ADVERT,
    ND_ROUTER_SOLICIT,
    ROUTER_ADVERT,
    Advertisement,
    Fields,
    RedirectMessage,
    RouterAdvertisement,
    RouterSolicitation,
    Solicitation,
)

__all__ = [
    "DROP_ICMPV6_CHECKSUM",
    "DROP_NDISC_CODE",
    "DROP_NDISC_DAD_DESTINATION",
    "DROP_NDISC_FRAGMENTED",
    "DROP_NDISC_HOP_LIMIT",
    "DROP_NDISC_LLADDR_LENGTH",
    "DROP_NDISC_OPTION_LENGTH",
    "DROP_NDISC_REDIRECT_DESTINATION",
    "DROP_NDISC_REDIRECT_TARGET",
    "DROP_NDISC_SOLICITED_MULTICAST",
    "DROP_NDISC_SOURCE_NOT_LINK_LOCAL",
    "DROP_NDISC_TARGET_MULTICAST",
    "DROP_NDISC_TRUNCATED",
    "DROP_NDISC_UNSPECIFIED_LLADDR",
    "DROP_NOT_NDISC",
    "DROP_REASONS",
    "ND_NEIGHBOUR_ADVERT",
    "ND_NEIGHBOUR_SOLICIT",
    "ND_OPT_MTU",
    "ND_OPT_NONCE",
    "ND_OPT_PREFIX_INFO",
    "ND_OPT_REDIRECT_HDR",
    "ND_OPT_SOURCE_LL_ADDR",
    "ND_OPT_TARGET_LL_ADDR",
    "ND_REDIRECT",
    "ND_ROUTER_ADVERT",
    "ND_ROUTER_SOLICIT",
    "Advertisement",
    "Fields",
    "RedirectMessage",
    "RouterAdvertisement",
    "RouterSolicitation",
    "Solicitation",
    "build",
    "build_advertisement",
    "build_redirect",
    "build_router_advertisement",
    "build_router_solicitation",
    "build_solicitation",
    "parse",
]


def parse(
    frame: bytes, *, addr_len: int = ETH_ALEN, checksum: bool = True, fragments: bool = False
) -> Fields | str:
    """Return the fields of a whole Ethernet frame, or the one of :data:`DROP_REASONS` that refuses it.

    Never raises, whatever the octets are. Octets after the packet are padding and are ignored. ``addr_len``
    is the device's link-layer address length, 0 to 32 octets. ``checksum=False`` takes the checksum as
    right: that of a packet from the same machine may not be computed yet. ``fragments=True`` takes messages
    behind the fragment header of a whole packet, as ``suppress_frag_ndisc`` 0 does; fragments of several
    are refused either way. What the addresses mean is not judged here, beyond what RFC 4861 calls invalid.

    The tests are those of the kernel's ``ndisc_rcv`` and what it calls. Of options with the same type the
    first counts, options that do not belong to the message are skipped whatever their kind.
    """
    packet = ipv6.parse_frame(frame)
    if isinstance(packet, str):
        return packet
    src, dst, hop_limit, protocol, fragmented, message = packet
    if protocol != IPPROTO_ICMPV6 or not message or not (kind := _KINDS.get(message[0])):
        return DROP_NOT_NDISC
    size, fields = kind
    if len(message) < size:
        return DROP_NDISC_TRUNCATED
    if checksum and ipv6.checksum(src, dst, IPPROTO_ICMPV6, message):
        return DROP_ICMPV6_CHECKSUM
    if fragmented and not fragments:
        return DROP_NDISC_FRAGMENTED
    if hop_limit != 255:
        return DROP_NDISC_HOP_LIMIT
    if message[1]:
        return DROP_NDISC_CODE
    return fields(src, dst, message, addr_len)


def _solicitation(src: bytes, dst: bytes, message: bytes, addr_len: int) -> Solicitation | str:
    target = message[8:24]
    if is_multicast(target):
        return DROP_NDISC_TARGET_MULTICAST
    if src == UNSPECIFIED and not is_solicited_node(dst):
        return DROP_NDISC_DAD_DESTINATION
    options = _options(message, 24, ND_OPT_SOURCE_LL_ADDR, addr_len, ND_OPT_NONCE)
    if isinstance(options, str):
        return options
    lladdr, nonce = options
    if lladdr is not None and src == UNSPECIFIED:
        return DROP_NDISC_UNSPECIFIED_LLADDR
    return Solicitation(src, dst, target, lladdr, nonce if nonce is not None and len(nonce) == 6 else None)


def _advertisement(src: bytes, dst: bytes, message: bytes, addr_len: int) -> Advertisement | str:
    target = message[8:24]
    if is_multicast(target):
        return DROP_NDISC_TARGET_MULTICAST
    flags = message[4]
    solicited = flags & ND_NA_FLAG_SOLICITED != 0
    if solicited and is_multicast(dst):
        return DROP_NDISC_SOLICITED_MULTICAST
    options = _options(message, 24, ND_OPT_TARGET_LL_ADDR, addr_len)
    if isinstance(options, str):
        return options
    router, override = flags & ND_NA_FLAG_ROUTER != 0, flags & ND_NA_FLAG_OVERRIDE != 0
    return Advertisement(src, dst, target, options[0], router, solicited, override)


def _router_solicitation(src: bytes, dst: bytes, message: bytes, addr_len: int) -> RouterSolicitation | str:
    options = _options(message, 8, ND_OPT_SOURCE_LL_ADDR, addr_len)
    if isinstance(options, str):
        return options
    if options[0] is not None and src == UNSPECIFIED:
        return DROP_NDISC_UNSPECIFIED_LLADDR
    return RouterSolicitation(src, dst, options[0])


def _router_advertisement(src: bytes, dst: bytes, message: bytes, addr_len: int) -> RouterAdvertisement | str:
    if not is_link_local(src):
        return DROP_NDISC_SOURCE_NOT_LINK_LOCAL
    options = _options(message, 16, ND_OPT_SOURCE_LL_ADDR, addr_len)
    if isinstance(options, str):
        return options
    hop_limit, _, lifetime, reachable_ms, retrans_ms = ROUTER_ADVERT.unpack_from(message, 4)
    return RouterAdvertisement(
        src, dst, options[0], lifetime, reachable_ms / 1000, retrans_ms / 1000, hop_limit
    )


def _redirect(src: bytes, dst: bytes, message: bytes, addr_len: int) -> RedirectMessage | str:
    if not is_link_local(src):
        return DROP_NDISC_SOURCE_NOT_LINK_LOCAL
    target, destination = message[8:24], message[24:40]
    if is_multicast(destination):
        return DROP_NDISC_REDIRECT_DESTINATION
    if target != destination and not is_link_local(target):
        return DROP_NDISC_REDIRECT_TARGET
    options = _options(message, 40, ND_OPT_TARGET_LL_ADDR, addr_len, ND_OPT_REDIRECT_HDR)
    if isinstance(options, str):
        return options
    lladdr, redirected = options
    # Six reserved octets stand before the packet.
    return RedirectMessage(
        src, dst, target, destination, lladdr, redirected if redirected is None else redirected[6:]
    )


def _options(
    message: bytes, offset: int, lladdr_type: int, addr_len: int, other_type: int = -1
) -> tuple[bytes | None, bytes | None] | str:
    """Return the link-layer address of the first option of one type and the data of the first of another."""
    end = len(message)
    lladdr = other = None
    while offset < end:
        if end - offset < 2:
            return DROP_NDISC_OPTION_LENGTH
        kind = message[offset]
        behind = offset + 8 * message[offset + 1]
        if behind == offset or behind > end:
            return DROP_NDISC_OPTION_LENGTH
        if kind == lladdr_type:
            if lladdr is None:
                lladdr = message[offset + 2 : behind]
        elif kind == other_type and other is None:
            other = message[offset + 2 : behind]
        offset = behind
    if lladdr is not None:
        # With its own two octets the option is filled up to the next multiple of 8.
        if not 0 <= len(lladdr) - addr_len < 8:
            return DROP_NDISC_LLADDR_LENGTH
        lladdr = lladdr[:addr_len]
    return lladdr, other


_KINDS: Final[dict[int, tuple[int, Callable[[bytes, bytes, bytes, int], Fields | str]]]] = {
    ND_ROUTER_SOLICIT: (8, _router_solicitation),
    ND_ROUTER_ADVERT: (16, _router_advertisement),
    ND_NEIGHBOUR_SOLICIT: (24, _solicitation),
    ND_NEIGHBOUR_ADVERT: (24, _advertisement),
    ND_REDIRECT: (40, _redirect),
}


def build(src: bytes, dst: bytes, kind: int, body: bytes, *, traffic_class: int = 0) -> bytes:
    """Return the IPv6 packet of the message with this type and what stands behind its checksum.

    ``src`` and ``dst`` are 16 packed octets. As in every builder here the hop limit is 255 and the checksum
    right, and nothing is checked: the caller is the send path, and its addresses were checked where they came
    in. :mod:`.ndisc_message` checks.
    """
    value = ipv6.checksum(src, dst, IPPROTO_ICMPV6, bytes((kind, 0, 0, 0)) + body)
    message = bytes((kind, 0)) + value.to_bytes(2, "big") + body
    return ipv6.build(src, dst, message, traffic_class=traffic_class)


def build_solicitation(
    src: bytes,
    dst: bytes,
    target: bytes,
    lladdr: bytes | None = None,
    nonce: bytes | None = None,
    *,
    traffic_class: int = 0,
) -> bytes:
    """Return the IPv6 packet of a neighbour solicitation, with a source link-layer address if ``lladdr``.

    IP addresses are 16 packed octets, ``nonce`` is 6.
    """
    options = _option(ND_OPT_SOURCE_LL_ADDR, lladdr)
    if nonce is not None:
        options += _option(ND_OPT_NONCE, nonce)
    return build(src, dst, ND_NEIGHBOUR_SOLICIT, bytes(4) + target + options, traffic_class=traffic_class)


def build_advertisement(
    src: bytes,
    dst: bytes,
    target: bytes,
    lladdr: bytes | None = None,
    *,
    router: bool,
    solicited: bool,
    override: bool,
    traffic_class: int = 0,
) -> bytes:
    """Return the IPv6 packet of a neighbour advertisement, with a target link-layer address if ``lladdr``."""
    flags = router * ND_NA_FLAG_ROUTER | solicited * ND_NA_FLAG_SOLICITED | override * ND_NA_FLAG_OVERRIDE
    body = bytes((flags, 0, 0, 0)) + target + _option(ND_OPT_TARGET_LL_ADDR, lladdr)
    return build(src, dst, ND_NEIGHBOUR_ADVERT, body, traffic_class=traffic_class)


def build_router_solicitation(
    src: bytes, dst: bytes, lladdr: bytes | None = None, *, traffic_class: int = 0
) -> bytes:
    """Return the IPv6 packet of a router solicitation, with a source link-layer address if ``lladdr``."""
    body = bytes(4) + _option(ND_OPT_SOURCE_LL_ADDR, lladdr)
    return build(src, dst, ND_ROUTER_SOLICIT, body, traffic_class=traffic_class)


def build_router_advertisement(
    src: bytes,
    dst: bytes,
    lladdr: bytes | None = None,
    *,
    lifetime: int,
    reachable_time: float = 0,
    retrans_timer: float = 0,
    hop_limit: int = 0,
    traffic_class: int = 0,
) -> bytes:
    """Return the IPv6 packet of a router advertisement, with a source link-layer address if ``lladdr``.

    ``lifetime`` is whole seconds, below 2**16; ``reachable_time`` and ``retrans_timer`` are seconds, sent in
    milliseconds, below 2**32; ``hop_limit`` is what the hosts shall use. Zero is unspecified.
    """
    times = round(reachable_time * 1000), round(retrans_timer * 1000)
    body = ROUTER_ADVERT.pack(hop_limit, 0, lifetime, *times) + _option(ND_OPT_SOURCE_LL_ADDR, lladdr)
    return build(src, dst, ND_ROUTER_ADVERT, body, traffic_class=traffic_class)


def build_redirect(
    src: bytes,
    dst: bytes,
    target: bytes,
    destination: bytes,
    lladdr: bytes | None = None,
    redirected: bytes | None = None,
    *,
    traffic_class: int = 0,
) -> bytes:
    """Return the IPv6 packet of a redirect, with a target link-layer address if ``lladdr``.

    ``redirected`` is the beginning of the packet that causes it; it is filled up to a multiple of 8 octets.
    """
    body = bytes(4) + target + destination + _option(ND_OPT_TARGET_LL_ADDR, lladdr)
    if redirected is not None:
        body += _option(ND_OPT_REDIRECT_HDR, bytes(6) + redirected)
    return build(src, dst, ND_REDIRECT, body, traffic_class=traffic_class)


def _option(kind: int, data: bytes | None) -> bytes:
    if data is None:
        return b""
    units = (len(data) + 9) // 8
    return bytes((kind, units)) + data + bytes(8 * units - 2 - len(data))
