"""The rtnetlink requests that neighio makes, as whole messages ready to be sent.

IP and link-layer addresses are packed octets. Every request but a dump asks for an acknowledgement, so
that its sender always learns how it ended.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..core.constants import (
    AF_INET,
    AF_INET6,
    IFF_NOARP,
    IFF_UP,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NTF_EXT_SHIFT,
    NTF_PROXY,
    NUD_PERMANENT,
    RT_SCOPE_HOST,
    RT_SCOPE_LINK,
    RT_SCOPE_UNIVERSE,
    RTN_LOCAL,
    RTN_UNICAST,
)
from . import uapi as nl
from .framing import NLA_F_NESTED, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, attribute, build

__all__ = [
    "add_address",
    "add_route",
    "create_veth",
    "del_address",
    "del_neighbour",
    "del_route",
    "delete_link",
    "dump_addresses",
    "dump_links",
    "dump_neighbour_tables",
    "dump_neighbours",
    "dump_routes",
    "get_link",
    "new_neighbour",
    "set_link",
    "set_neighbour_parameters",
]


_COUNTED_PARAMETERS = {
    "app_solicit": nl.NDTPA_APP_PROBES,
    "ucast_solicit": nl.NDTPA_UCAST_PROBES,
    "mcast_solicit": nl.NDTPA_MCAST_PROBES,
    "mcast_resolicit": nl.NDTPA_MCAST_REPROBES,
    "proxy_qlen": nl.NDTPA_PROXY_QLEN,
    "unres_qlen_bytes": nl.NDTPA_QUEUE_LENBYTES,
}
_TIMED_PARAMETERS = {
    "base_reachable_time": nl.NDTPA_BASE_REACHABLE_TIME,
    "retrans_time": nl.NDTPA_RETRANS_TIME,
    "gc_stale_time": nl.NDTPA_GC_STALETIME,
    "delay_first_probe_time": nl.NDTPA_DELAY_PROBE_TIME,
    "interval_probe_time": nl.NDTPA_INTERVAL_PROBE_TIME_MS,
    "anycast_delay": nl.NDTPA_ANYCAST_DELAY,
    "proxy_delay": nl.NDTPA_PROXY_DELAY,
    "locktime": nl.NDTPA_LOCKTIME,
}

_DUMP = NLM_F_REQUEST | NLM_F_DUMP
_DO = NLM_F_REQUEST | NLM_F_ACK


def dump_links() -> bytes:
    """Ask for all links of the namespace."""
    return build(nl.RTM_GETLINK, _DUMP, nl.IFINFOMSG.pack(0, 0, 0, 0, 0))


def dump_addresses(family: int = 0) -> bytes:
    """Ask for the addresses of a family, or of all."""
    return build(nl.RTM_GETADDR, _DUMP, nl.IFADDRMSG.pack(family, 0, 0, 0, 0))


def dump_routes(family: int = 0) -> bytes:
    """Ask for the routes of a family, or of all, in every table."""
    return build(nl.RTM_GETROUTE, _DUMP, nl.RTMSG.pack(family, 0, 0, 0, 0, 0, 0, 0, 0))


def dump_neighbours(family: int = 0, *, index: int = 0, proxy: bool = False) -> bytes:
    """Ask for the neighbours, or the proxy entries, of a family and a device, or of all."""
    body = nl.NDMSG.pack(family, 0, 0, NTF_PROXY if proxy else 0, 0)
    if index:
        body += attribute(nl.NDA_IFINDEX, nl.U32.pack(index))
    return build(nl.RTM_GETNEIGH, _DUMP, body)


def dump_neighbour_tables(family: int = 0) -> bytes:
    """Ask for the parameters of the neighbour tables: the defaults and each device's."""
    return build(nl.RTM_GETNEIGHTBL, _DUMP, nl.NDTMSG.pack(family))


def set_neighbour_parameters(family: int, index: int, values: Mapping[str, float]) -> bytes:
    """Set parameters of one device in one neighbour table, as RTM_NEWNEIGHTBL tells them.

    Under their names of /proc/sys/net; times are seconds, sent as whole milliseconds, which /proc does not
    take for all of them. A new ``base_reachable_time`` draws ``reachable_time`` anew.

    Raises:
        KeyError: no such parameter, or one that cannot be set so.
    """
    parameters = attribute(nl.NDTPA_IFINDEX, nl.U32.pack(index))
    for name, value in values.items():
        if name in _COUNTED_PARAMETERS:
            parameters += attribute(_COUNTED_PARAMETERS[name], nl.U32.pack(int(value)))
        else:
            parameters += attribute(_TIMED_PARAMETERS[name], nl.U64.pack(round(value * 1000)))
    table = b"arp_cache\0" if family == AF_INET else b"ndisc_cache\0"
    body = nl.NDTMSG.pack(family) + attribute(nl.NDTA_NAME, table)
    return build(nl.RTM_SETNEIGHTBL, _DO, body + attribute(NLA_F_NESTED | nl.NDTA_PARMS, parameters))


def get_link(link: int | str) -> bytes:
    """Ask for one link, by index or by name."""
    index = link if isinstance(link, int) else 0
    body = nl.IFINFOMSG.pack(0, 0, index, 0, 0)
    if isinstance(link, str):
        body += _name(link)
    return build(nl.RTM_GETLINK, _DO, body)


def new_neighbour(
    index: int,
    ip: bytes,
    lladdr: bytes | None = None,
    *,
    state: int = NUD_PERMANENT,
    flags: int = 0,
    protocol: int = 0,
    nlm_flags: int = NLM_F_CREATE | NLM_F_EXCL,
) -> bytes:
    """Add, change or replace a neighbour, or a proxy entry (NTF_PROXY).

    ``flags`` are NTF_*, the extended ones above the low eight bits. ``nlm_flags`` say what is asked:
    CREATE|EXCL adds, none changes, CREATE|REPLACE replaces, CREATE|APPEND appends.
    """
    body = nl.NDMSG.pack(_family(ip), index, state, flags & 0xFF, 0) + attribute(nl.NDA_DST, ip)
    if lladdr is not None:
        body += attribute(nl.NDA_LLADDR, lladdr)
    if flags >> NTF_EXT_SHIFT:
        body += attribute(nl.NDA_FLAGS_EXT, nl.U32.pack(flags >> NTF_EXT_SHIFT))
    if protocol:
        body += attribute(nl.NDA_PROTOCOL, nl.U8.pack(protocol))
    return build(nl.RTM_NEWNEIGH, _DO | nlm_flags, body)


def del_neighbour(index: int, ip: bytes, *, flags: int = 0) -> bytes:
    """Delete a neighbour, or a proxy entry (NTF_PROXY)."""
    body = nl.NDMSG.pack(_family(ip), index, 0, flags & 0xFF, 0) + attribute(nl.NDA_DST, ip)
    return build(nl.RTM_DELNEIGH, _DO, body)


def create_veth(
    name: str,
    peer_name: str,
    *,
    lladdr: bytes | None = None,
    peer_lladdr: bytes | None = None,
    peer_pid: int | None = None,
) -> bytes:
    """Create a veth pair, both ends down; with ``peer_pid`` its far end in that process's namespace.

    Link-layer addresses that are not given are the kernel's choice.
    """
    far = nl.IFINFOMSG.pack(0, 0, 0, 0, 0) + _name(peer_name)
    if peer_lladdr is not None:
        far += attribute(nl.IFLA_ADDRESS, peer_lladdr)
    if peer_pid is not None:
        far += attribute(nl.IFLA_NET_NS_PID, nl.U32.pack(peer_pid))
    data = attribute(NLA_F_NESTED | nl.IFLA_INFO_DATA, attribute(NLA_F_NESTED | nl.VETH_INFO_PEER, far))
    body = nl.IFINFOMSG.pack(0, 0, 0, 0, 0) + _name(name)
    if lladdr is not None:
        body += attribute(nl.IFLA_ADDRESS, lladdr)
    body += attribute(NLA_F_NESTED | nl.IFLA_LINKINFO, attribute(nl.IFLA_INFO_KIND, b"veth") + data)
    return build(nl.RTM_NEWLINK, _DO | NLM_F_CREATE | NLM_F_EXCL, body)


def set_link(
    index: int,
    *,
    up: bool | None = None,
    arp: bool | None = None,
    lladdr: bytes | None = None,
    mtu: int | None = None,
    name: str | None = None,
    pid: int | None = None,
) -> bytes:
    """Change a link: up or down, ARP or IFF_NOARP, its address, MTU (octets) or name.

    ``pid`` moves it into that process's namespace.
    """
    flags = (IFF_UP if up else 0) | (IFF_NOARP if arp is False else 0)
    change = (0 if up is None else IFF_UP) | (0 if arp is None else IFF_NOARP)
    body = nl.IFINFOMSG.pack(0, 0, index, flags, change)
    if lladdr is not None:
        body += attribute(nl.IFLA_ADDRESS, lladdr)
    if mtu is not None:
        body += attribute(nl.IFLA_MTU, nl.U32.pack(mtu))
    if name is not None:
        body += _name(name)
    if pid is not None:
        body += attribute(nl.IFLA_NET_NS_PID, nl.U32.pack(pid))
    return build(nl.RTM_NEWLINK, _DO, body)


def delete_link(index: int) -> bytes:
    """Delete a link; both ends of a veth pair go together."""
    return build(nl.RTM_DELLINK, _DO, nl.IFINFOMSG.pack(0, 0, index, 0, 0))


def add_address(
    index: int,
    ip: bytes,
    prefixlen: int,
    *,
    broadcast: bytes | None = None,
    scope: int = RT_SCOPE_UNIVERSE,
    flags: int = 0,
) -> bytes:
    """Add an own address to a device. ``flags`` are IFA_F_*."""
    body = _address(index, ip, prefixlen, scope)
    if broadcast is not None:
        body += attribute(nl.IFA_BROADCAST, broadcast)
    if flags:
        body += attribute(nl.IFA_FLAGS, nl.U32.pack(flags))
    return build(nl.RTM_NEWADDR, _DO | NLM_F_CREATE | NLM_F_EXCL, body)


def del_address(index: int, ip: bytes, prefixlen: int) -> bytes:
    """Remove an own address from a device."""
    return build(nl.RTM_DELADDR, _DO, _address(index, ip, prefixlen, RT_SCOPE_UNIVERSE))


def add_route(
    dst: bytes,
    prefixlen: int,
    *,
    index: int,
    gateway: bytes | None = None,
    type: int = RTN_UNICAST,
    priority: int = 0,
) -> bytes:
    """Add a route through a device, to the main table, or to the local one for RTN_LOCAL.

    A gateway of the other family is sent as RTA_VIA.
    """
    body = _route(dst, prefixlen, index, gateway, type)
    if priority:
        body += attribute(nl.RTA_PRIORITY, nl.U32.pack(priority))
    return build(nl.RTM_NEWROUTE, _DO | NLM_F_CREATE | NLM_F_EXCL, body)


def del_route(dst: bytes, prefixlen: int, *, index: int, gateway: bytes | None = None) -> bytes:
    """Remove a route that :func:`add_route` added to the main table, whatever its priority."""
    return build(nl.RTM_DELROUTE, _DO, _route(dst, prefixlen, index, gateway, RTN_UNICAST))


def _route(dst: bytes, prefixlen: int, index: int, gateway: bytes | None, type: int) -> bytes:
    local = type == RTN_LOCAL
    family = _family(dst)
    scope = RT_SCOPE_HOST if local else RT_SCOPE_LINK if gateway is None else RT_SCOPE_UNIVERSE
    table = nl.RT_TABLE_LOCAL if local else nl.RT_TABLE_MAIN
    body = nl.RTMSG.pack(family, prefixlen, 0, 0, table, nl.RTPROT_STATIC, scope, type, 0)
    body += attribute(nl.RTA_DST, dst) + attribute(nl.RTA_OIF, nl.U32.pack(index))
    if gateway is None:
        return body
    via = _family(gateway)
    if via == family:
        return body + attribute(nl.RTA_GATEWAY, gateway)
    return body + attribute(nl.RTA_VIA, nl.U16.pack(via) + gateway)


def _address(index: int, ip: bytes, prefixlen: int, scope: int) -> bytes:
    head = nl.IFADDRMSG.pack(_family(ip), prefixlen, 0, scope, index)
    return head + attribute(nl.IFA_LOCAL, ip) + attribute(nl.IFA_ADDRESS, ip)


def _family(ip: bytes) -> int:
    return AF_INET6 if len(ip) == 16 else AF_INET


def _name(name: str) -> bytes:
    return attribute(nl.IFLA_IFNAME, name.encode("utf-8", "surrogateescape") + b"\0")
