"""The switches of ARP and Neighbour Discovery that are not as Linux has them, and what each then does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import Final, NamedTuple

from ...address import format_ip
from ...core.constants import AF_INET, IFF_LOOPBACK, RT_SCOPE_HOST
from ..kernel_devices import KernelDevice
from ..sysctl import read_number
from .findings import Finding, Level
from .interfaces import is_askable

__all__ = ["find_loopback_addresses", "find_switches", "sysctl_name"]


class Meaning(NamedTuple):
    """What a value that is not Linux's does."""

    level: Level
    why: str


class Switch(NamedTuple):
    """A switch of net/ipv4/conf or net/ipv6/conf.

    ``meanings`` are those of single values, ``otherwise`` that of all others. With ``everywhere`` the
    value of conf/all holds for each device, too.
    """

    default: int
    meanings: Mapping[int, Meaning]
    everywhere: bool = False
    otherwise: Meaning | None = None


def _any(level: Level, why: str, default: int = 0, *, everywhere: bool = False) -> Switch:
    return Switch(default, {}, everywhere, Meaning(level, why))


_NOTE, _WARNING = Level.NOTE, Level.WARNING

_IPV4: Final = {
    "arp_ignore": Switch(
        0,
        {
            1: Meaning(_NOTE, "only requests for the asked device's own addresses are answered"),
            2: Meaning(
                _NOTE,
                "only requests for the asked device's own addresses are answered, and only to askers of the "
                "same subnet: a probe from another finds nobody",
            ),
            3: Meaning(_NOTE, "requests for addresses of host scope are not answered"),
            8: Meaning(_WARNING, "nobody's request is answered: neighbours cannot find this host"),
        },
        True,
        Meaning(_NOTE, "it is not defined what is answered"),
    ),
    "arp_filter": _any(
        _NOTE,
        "a request is answered only on the device that the route to the asker names: with routes of several "
        "ways some askers get no answer",
        everywhere=True,
    ),
    "arp_announce": _any(
        _NOTE,
        "the kernel asks from an address of the target's subnet, not from the packet's",
        everywhere=True,
    ),
    "arp_accept": _any(
        _NOTE,
        "gratuitous ARP of strangers makes entries: good for addresses that move, and anybody can fill the "
        "table",
        everywhere=True,
    ),
    "arp_notify": _any(_NOTE, "the kernel announces its addresses when a device comes up", everywhere=True),
    "arp_evict_nocarrier": _any(_NOTE, "entries outlive the loss of the carrier, be they true or not", 1),
    "drop_gratuitous_arp": _any(
        _WARNING, "gratuitous ARP is dropped: an address that moves is noticed late", everywhere=True
    ),
    "proxy_arp": _any(
        _WARNING,
        "the kernel answers for addresses that it routes elsewhere: a scan finds this host at all of them",
        everywhere=True,
    ),
    "proxy_arp_pvlan": _any(
        _WARNING, "the kernel answers for the device's own neighbours: each seems to be this host"
    ),
    "route_localnet": _any(
        _WARNING, "127.0.0.0/8 is answered for and routed on the link: services on localhost are reachable"
    ),
    "rp_filter": Switch(
        0,
        {
            1: Meaning(_NOTE, "packets that come from where no route leads back are dropped; ARP is not"),
            2: Meaning(_NOTE, "packets from where no route at all leads back are dropped; ARP is not"),
        },
        True,
    ),
}

_IPV6: Final = {
    "disable_ipv6": _any(_WARNING, "no IPv6 on the device: nobody is solicited, and nobody is answered"),
    "forwarding": _any(
        _NOTE, "it says that it is a router, takes no router advertisements, and learns of untracked ones"
    ),
    "drop_unsolicited_na": _any(
        _WARNING, "unsolicited advertisements are dropped: an address that moves is noticed late"
    ),
    "accept_untracked_na": _any(
        _NOTE, "a router makes entries of advertisements that nobody asked for (RFC 9131)"
    ),
    "ndisc_notify": _any(
        _NOTE, "the kernel announces its addresses when a device comes up or changes its own"
    ),
    "ndisc_evict_nocarrier": _any(_NOTE, "entries outlive the loss of the carrier, be they true or not", 1),
    "ndisc_tclass": _any(_NOTE, "its messages have a traffic class of their own"),
    "suppress_frag_ndisc": _any(
        _WARNING, "fragmented messages are taken, behind which forged ones hide (RFC 6980)", 1
    ),
    "dad_transmits": Switch(
        1,
        {0: Meaning(_WARNING, "duplicates are not detected before an address is used")},
        False,
        Meaning(_NOTE, "the detection of duplicates takes longer"),
    ),
    "accept_dad": Switch(
        1,
        {
            0: Meaning(_WARNING, "duplicates are not detected before an address is used"),
            2: Meaning(_NOTE, "a duplicate of the link-local address ends IPv6 on the device"),
        },
    ),
    "optimistic_dad": _any(
        _NOTE, "addresses are used before it is known that nobody else has them (RFC 4429)"
    ),
    "enhanced_dad": _any(_NOTE, "its own solicitation, come back, seems to be a duplicate (RFC 7527)", 1),
    "proxy_ndp": _any(_NOTE, "it answers for the addresses of `ip -6 neigh show proxy`"),
    "force_tllao": _any(_NOTE, "unicast answers carry the link-layer address, too"),
}

_FAMILIES: Final = (("ipv4", _IPV4), ("ipv6", _IPV6))


def sysctl_name(path: str) -> str:
    """The name of /proc/sys/``path`` as sysctl(8) takes it: with dots, unless a device's name has some."""
    return path if "." in path else path.replace("/", ".")


def find_loopback_addresses(
    devices: Sequence[KernelDevice], everybody: Sequence[KernelDevice]
) -> Iterator[Finding]:
    """Addresses of the loopback device that the kernel answers for on the links of some devices."""
    own = [
        format_ip(address.local)
        for device in everybody
        if device.link.flags & IFF_LOOPBACK
        for address in device.addresses
        if address.family == AF_INET and address.scope < RT_SCOPE_HOST
    ]
    everywhere = read_number("net/ipv4/conf/all/arp_ignore") or 0
    answering = [
        device.name
        for device in devices
        if is_askable(device)
        and not max(everywhere, read_number(f"net/ipv4/conf/{device.name}/arp_ignore") or 0)
    ]
    if own and answering:
        yield Finding(
            Level.NOTE,
            "sysctl",
            "lo",
            f"its {', '.join(own)} {'are' if len(own) > 1 else 'is'} answered for on {', '.join(answering)}",
            "right if it is this host's alone; a real server behind a load balancer must keep silent",
            "sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2",
        )


def find_switches(devices: Sequence[KernelDevice]) -> Iterator[Finding]:
    """The switches of some devices, and of everywhere, that differ from Linux's defaults."""
    differing = seen = 0
    for directory, switches in _FAMILIES:
        for name, switch in switches.items():
            places = [device.name for device in devices]
            if switch.everywhere:
                places.insert(0, "all")
            for place in places:
                path = f"net/{directory}/conf/{place}/{name}"
                value = read_number(path)
                if value is None:
                    continue
                seen += 1
                meaning = switch.meanings.get(value, switch.otherwise)
                if value != switch.default and meaning is not None:
                    differing += 1
                    yield _differs(path, value, switch.default, meaning)
    if not seen:
        yield Finding(Level.NOTE, "sysctl", "net", "not looked at", "/proc/sys/net cannot be read here")
    elif not differing:
        yield Finding(
            Level.OK, "sysctl", "switches", "those of ARP and Neighbour Discovery are as Linux has them"
        )


def _differs(path: str, value: int, default: int, meaning: Meaning) -> Finding:
    name = sysctl_name(path)
    return Finding(
        meaning.level,
        "sysctl",
        name,
        f"{value}, where Linux has {default}",
        meaning.why,
        f"sysctl -w {quote(name)}={default}",
    )
