"""What rtnetlink says of links, addresses, routes, neighbours and neighbour tables (rtnetlink(7)).

:func:`decode` turns one message into a record. It passes over every attribute that it does not know, and
raises :class:`~neighio.errors.MalformedFrame` and nothing else.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from ..core.constants import AF_INET, AF_INET6, KEY_LEN, NTF_EXT_SHIFT
from ..errors import MalformedFrame
from . import uapi as nl
from .framing import Message, attributes

__all__ = [
    "AddressMessage",
    "LinkMessage",
    "NeighbourMessage",
    "NeighbourTableMessage",
    "RouteMessage",
    "RtMessage",
    "decode",
]

_USER_HZ: Final = 100.0


@dataclass(frozen=True, slots=True)
class LinkMessage:
    """RTM_NEWLINK or RTM_DELLINK (``deleted``).

    ``type`` is the ARPHRD_* number, ``flags`` are IFF_*. ``lladdr`` and ``broadcast`` are empty where the
    device has none. ``carrier`` is None where the kernel did not say. ``operstate`` is IF_OPER_*.
    ``kind`` is the driver's name ("veth", "vlan", ...), None for hardware.
    """

    index: int
    name: str
    type: int
    flags: int
    lladdr: bytes
    broadcast: bytes
    mtu: int
    carrier: bool | None
    operstate: int
    deleted: bool
    kind: str | None


@dataclass(frozen=True, slots=True)
class AddressMessage:
    """RTM_NEWADDR or RTM_DELADDR (``deleted``).

    ``local`` is the node's own address. ``ip`` differs from it on a point-to-point link alone: there it is
    the other end, and the prefix is the other end's. ``flags`` are IFA_F_*.
    """

    family: int
    index: int
    ip: bytes
    local: bytes
    prefixlen: int
    broadcast: bytes | None
    scope: int
    flags: int
    deleted: bool


@dataclass(frozen=True, slots=True)
class RouteMessage:
    """RTM_NEWROUTE or RTM_DELROUTE (``deleted``).

    ``dst`` is all zeros for a default route. ``gateway`` is None on a connected route, and of the other
    family where the kernel says RTA_VIA. ``oif`` is 0 for a route without a device. Of a multipath route
    the first next hop is given. ``flags`` are RTM_F_* and RTNH_F_*.
    """

    family: int
    table: int
    type: int
    scope: int
    dst: bytes
    prefixlen: int
    gateway: bytes | None
    oif: int
    priority: int
    prefsrc: bytes | None
    protocol: int
    deleted: bool
    flags: int


@dataclass(frozen=True, slots=True)
class NeighbourMessage:
    """RTM_NEWNEIGH ("new"), RTM_DELNEIGH ("del") or an application probe's RTM_GETNEIGH ("miss").

    ``flags`` are ndm_flags in the low eight bits and NDA_FLAGS_EXT above. ``confirmed``, ``used`` and
    ``updated`` are ages in seconds (resolution 0.01). ``refcnt`` is the kernel's number, which is
    references less one. ``lladdr`` is None unless the state is valid. Proxy entries have NTF_PROXY, and
    index 0 when they belong to no device.
    """

    kind: Literal["new", "del", "miss"]
    family: int
    index: int
    state: int
    flags: int
    type: int
    ip: bytes
    lladdr: bytes | None
    probes: int
    confirmed: float
    used: float
    updated: float
    refcnt: int
    protocol: int


@dataclass(frozen=True, slots=True)
class NeighbourTableMessage:
    """RTM_NEWNEIGHTBL: the parameters of one device in one table; index 0 is the table's default.

    Under the names of /proc/sys/net; times in seconds, ``unres_qlen_bytes`` in octets. ``reachable_time``
    is the drawn one.
    """

    family: int
    name: str
    index: int
    reachable_time: float
    base_reachable_time: float
    retrans_time: float
    gc_stale_time: float
    delay_first_probe_time: float
    interval_probe_time: float
    locktime: float
    anycast_delay: float
    proxy_delay: float
    proxy_qlen: int
    unres_qlen_bytes: int
    app_solicit: int
    ucast_solicit: int
    mcast_solicit: int
    mcast_resolicit: int


RtMessage: TypeAlias = LinkMessage | AddressMessage | RouteMessage | NeighbourMessage | NeighbourTableMessage


def decode(message: Message) -> RtMessage | None:
    """Return what the message says, or None when it is of no concern here.

    None for other message types and for other families: above all for AF_BRIDGE, whose RTM_DELLINK says
    that a port left its bridge, and for wireless extension events, which carry no link state.

    Raises:
        MalformedFrame: ``netlink_length`` or ``netlink_attribute``.
    """
    decoder = _DECODERS.get(message.type)
    return None if decoder is None else decoder(message.type, message.body)


def _link(kind: int, body: bytes) -> LinkMessage | None:
    family, hardware, index, flags, _ = _unpack(nl.IFINFOMSG, body)
    found = attributes(body, nl.IFINFOMSG.size)
    if family or nl.IFLA_WIRELESS in found:
        return None
    driver = attributes(found.get(nl.IFLA_LINKINFO, b""), 0).get(nl.IFLA_INFO_KIND)
    return LinkMessage(
        index,
        _text(found.get(nl.IFLA_IFNAME, b"")),
        hardware,
        flags,
        found.get(nl.IFLA_ADDRESS, b""),
        found.get(nl.IFLA_BROADCAST, b""),
        _number(found, nl.IFLA_MTU, nl.U32),
        bool(_number(found, nl.IFLA_CARRIER, nl.U8)) if nl.IFLA_CARRIER in found else None,
        _number(found, nl.IFLA_OPERSTATE, nl.U8),
        kind == nl.RTM_DELLINK,
        None if driver is None else _text(driver),
    )


def _address(kind: int, body: bytes) -> AddressMessage | None:
    family, prefixlen, flags, scope, index = _unpack(nl.IFADDRMSG, body)
    length = KEY_LEN.get(family)
    if length is None:
        return None
    found = attributes(body, nl.IFADDRMSG.size)
    ip = _octets(found, nl.IFA_ADDRESS, length)
    local = _octets(found, nl.IFA_LOCAL, length)
    one = ip or local
    if one is None:
        raise MalformedFrame("netlink_attribute")
    return AddressMessage(
        family,
        index,
        one,
        local or one,
        prefixlen,
        _octets(found, nl.IFA_BROADCAST, length),
        scope,
        _number(found, nl.IFA_FLAGS, nl.U32, flags),
        kind == nl.RTM_DELADDR,
    )


def _route(kind: int, body: bytes) -> RouteMessage | None:
    family, prefixlen, _, _, table, protocol, scope, route_type, flags = _unpack(nl.RTMSG, body)
    length = KEY_LEN.get(family)
    if length is None:
        return None
    found = attributes(body, nl.RTMSG.size)
    hop, oif = found, _number(found, nl.RTA_OIF, nl.U32)
    multipath = found.get(nl.RTA_MULTIPATH)
    if multipath is not None:
        hop_length, hop_flags, _, oif = _unpack(nl.RTNEXTHOP, multipath)
        if not nl.RTNEXTHOP.size <= hop_length <= len(multipath):
            raise MalformedFrame("netlink_attribute")
        hop = attributes(multipath[:hop_length], nl.RTNEXTHOP.size)
        flags |= hop_flags
    return RouteMessage(
        family,
        _number(found, nl.RTA_TABLE, nl.U32, table),
        route_type,
        scope,
        _octets(found, nl.RTA_DST, length) or bytes(length),
        prefixlen,
        _octets(hop, nl.RTA_GATEWAY, length) or _via(hop),
        oif,
        _number(found, nl.RTA_PRIORITY, nl.U32),
        _octets(found, nl.RTA_PREFSRC, length),
        protocol,
        kind == nl.RTM_DELROUTE,
        flags,
    )


def _via(found: dict[int, bytes]) -> bytes | None:
    value = found.get(nl.RTA_VIA)
    if value is None:
        return None
    (family,) = _unpack(nl.U16, value)
    gateway = value[nl.U16.size :]
    if len(gateway) != KEY_LEN.get(family):
        raise MalformedFrame("netlink_attribute")
    return gateway


_NEIGHBOUR_KINDS: Final[dict[int, Literal["new", "del", "miss"]]] = {
    nl.RTM_NEWNEIGH: "new",
    nl.RTM_DELNEIGH: "del",
    nl.RTM_GETNEIGH: "miss",
}


def _neighbour(kind: int, body: bytes) -> NeighbourMessage | None:
    family, index, state, flags, route_type = _unpack(nl.NDMSG, body)
    if family != AF_INET and family != AF_INET6:
        return None
    found = attributes(body, nl.NDMSG.size)
    ip = _octets(found, nl.NDA_DST, KEY_LEN[family])
    if ip is None:
        raise MalformedFrame("netlink_attribute")
    ages = found.get(nl.NDA_CACHEINFO)
    confirmed, used, updated, refcnt = (0, 0, 0, 0) if ages is None else _unpack(nl.NDA_CACHE_AGES, ages)
    return NeighbourMessage(
        _NEIGHBOUR_KINDS[kind],
        family,
        index,
        state,
        flags | _number(found, nl.NDA_FLAGS_EXT, nl.U32) << NTF_EXT_SHIFT,
        route_type,
        ip,
        found.get(nl.NDA_LLADDR),
        _number(found, nl.NDA_PROBES, nl.U32),
        confirmed / _USER_HZ,
        used / _USER_HZ,
        updated / _USER_HZ,
        refcnt,
        _number(found, nl.NDA_PROTOCOL, nl.U8),
    )


def _neighbour_table(kind: int, body: bytes) -> NeighbourTableMessage | None:
    (family,) = _unpack(nl.NDTMSG, body)
    found = attributes(body, nl.NDTMSG.size)
    parms = attributes(found.get(nl.NDTA_PARMS, b""), 0)

    def seconds(parameter: int) -> float:
        return _number(parms, parameter, nl.U64) / 1000.0

    return NeighbourTableMessage(
        family=family,
        name=_text(found.get(nl.NDTA_NAME, b"")),
        index=_number(parms, nl.NDTPA_IFINDEX, nl.U32),
        reachable_time=seconds(nl.NDTPA_REACHABLE_TIME),
        base_reachable_time=seconds(nl.NDTPA_BASE_REACHABLE_TIME),
        retrans_time=seconds(nl.NDTPA_RETRANS_TIME),
        gc_stale_time=seconds(nl.NDTPA_GC_STALETIME),
        delay_first_probe_time=seconds(nl.NDTPA_DELAY_PROBE_TIME),
        interval_probe_time=seconds(nl.NDTPA_INTERVAL_PROBE_TIME_MS),
        locktime=seconds(nl.NDTPA_LOCKTIME),
        anycast_delay=seconds(nl.NDTPA_ANYCAST_DELAY),
        proxy_delay=seconds(nl.NDTPA_PROXY_DELAY),
        proxy_qlen=_number(parms, nl.NDTPA_PROXY_QLEN, nl.U32),
        unres_qlen_bytes=_number(parms, nl.NDTPA_QUEUE_LENBYTES, nl.U32),
        app_solicit=_number(parms, nl.NDTPA_APP_PROBES, nl.U32),
        ucast_solicit=_number(parms, nl.NDTPA_UCAST_PROBES, nl.U32),
        mcast_solicit=_number(parms, nl.NDTPA_MCAST_PROBES, nl.U32),
        mcast_resolicit=_number(parms, nl.NDTPA_MCAST_REPROBES, nl.U32),
    )


_DECODERS: Final = {
    nl.RTM_NEWLINK: _link,
    nl.RTM_DELLINK: _link,
    nl.RTM_NEWADDR: _address,
    nl.RTM_DELADDR: _address,
    nl.RTM_NEWROUTE: _route,
    nl.RTM_DELROUTE: _route,
    nl.RTM_NEWNEIGH: _neighbour,
    nl.RTM_DELNEIGH: _neighbour,
    nl.RTM_GETNEIGH: _neighbour,
    nl.RTM_NEWNEIGHTBL: _neighbour_table,
}


def _unpack(layout: struct.Struct, body: bytes) -> tuple[int, ...]:
    if len(body) < layout.size:
        raise MalformedFrame("netlink_length")
    return layout.unpack_from(body)


def _number(found: dict[int, bytes], kind: int, layout: struct.Struct, default: int = 0) -> int:
    value = found.get(kind)
    if value is None:
        return default
    if len(value) < layout.size:
        raise MalformedFrame("netlink_attribute")
    number: int = layout.unpack_from(value)[0]
    return number


def _octets(found: dict[int, bytes], kind: int, length: int) -> bytes | None:
    value = found.get(kind)
    if value is not None and len(value) != length:
        raise MalformedFrame("netlink_attribute")
    return value


def _text(value: bytes) -> str:
    # An interface may be named with any octets but "/" and white space.
    return value.rstrip(b"\0").decode("utf-8", "surrogateescape")
