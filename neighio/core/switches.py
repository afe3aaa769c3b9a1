"""/proc/sys/net/ipv4/conf and ipv6/conf: what the protocols ask of a device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from .constants import AF_INET, AF_INET6

__all__ = ["SWITCHES", "Switch", "check_switches"]

MOST_SECONDS: Final = (2**31 - 1) // 250
"""The largest number of seconds that fits into an int of jiffies at HZ=250 (proc_dointvec_jiffies)."""


class Switch(NamedTuple):
    """A per-device switch.

    Attributes:
        default: a device's value to begin with.
        maximum: the largest value.
        combine: what is in force where "all" says the first and the device the second; None where "all" has
            no say of its own: setting it everywhere is setting it on each device, as conf/all/forwarding
            does.
        everywhere: the value of "all" to begin with.
    """

    default: int
    maximum: int
    combine: Callable[[int, int], int] | None = None
    everywhere: int = 0


def _either(everywhere: int, here: int) -> int:
    return everywhere | here


def _first(everywhere: int, here: int) -> int:
    return everywhere or here


def _both(everywhere: int, here: int) -> int:
    return everywhere & here


SWITCHES: Final[Mapping[int, Mapping[str, Switch]]] = {
    AF_INET: {
        "arp_accept": Switch(0, 2, max),
        "arp_announce": Switch(0, 2, max),
        "arp_evict_nocarrier": Switch(1, 1, _both, 1),
        "arp_filter": Switch(0, 1, _either),
        "arp_ignore": Switch(0, 8, max),
        "arp_notify": Switch(0, 1, max),
        "drop_gratuitous_arp": Switch(0, 1, _either),
        "forwarding": Switch(0, 1),
        "proxy_arp": Switch(0, 1, _either),
        "proxy_arp_pvlan": Switch(0, 1, _either),
        "route_localnet": Switch(0, 1, _either),
    },
    AF_INET6: {
        "accept_ra": Switch(1, 2),
        "accept_redirects": Switch(1, 1),
        "accept_untracked_na": Switch(0, 2),
        "dad_transmits": Switch(1, 255),
        "disable_ipv6": Switch(0, 1),
        "drop_unicast_in_l2_multicast": Switch(0, 1),
        "drop_unsolicited_na": Switch(0, 1),
        "enhanced_dad": Switch(1, 1, _either, 1),
        "force_mld_version": Switch(0, 2, _first),
        "force_tllao": Switch(0, 1),
        "forwarding": Switch(0, 1),
        "ndisc_evict_nocarrier": Switch(1, 1, _both, 1),
        "ndisc_notify": Switch(0, 1, _either),
        "ndisc_tclass": Switch(0, 255),
        "optimistic_dad": Switch(0, 1, _either),
        "proxy_ndp": Switch(0, 1, _either),
        "router_solicitation_delay": Switch(1, MOST_SECONDS),
        "suppress_frag_ndisc": Switch(1, 1),
    },
}


def check_switches(family: int, changes: Mapping[str, object]) -> dict[str, int]:
    """Return the changes, checked.

    Raises:
        ValueError: an unknown name or a value out of range; names the field. Nothing was changed.
    """
    checked = {}
    for name, value in changes.items():
        switch = SWITCHES[family].get(name)
        if switch is None:
            raise ValueError(f"{name}: no such switch")
        if not isinstance(value, int) or not 0 <= value <= switch.maximum:
            raise ValueError(f"{name}: {value!r} is out of range, expected 0 to {switch.maximum}")
        checked[name] = int(value)
    return checked
