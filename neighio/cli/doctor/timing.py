"""The parameters of the kernel's neighbours that are not as Linux has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import Final, NamedTuple

from ...core.constants import AF_INET, AF_INET6
from ...kernel import requests
from ...kernel.netlink import request_sync
from ...kernel.rtnetlink import NeighbourTableMessage, decode
from ..kernel_devices import KernelDevice
from .findings import Finding, Level
from .switches import sysctl_name

__all__ = ["find_parameters"]


class Parameter(NamedTuple):
    """A parameter of net/ipv4/neigh and net/ipv6/neigh.

    ``default`` is Linux's, seconds or a count, and ``unit`` what /proc/sys has for one of these. ``file`` is
    its name there, where that is another. ``why`` has what a value that differs does.
    """

    default: float
    unit: float
    why: str
    file: str | None = None


_PARAMETERS: Final[Mapping[str, Parameter]] = {
    "base_reachable_time": Parameter(
        30.0,
        1000,
        "an answer is believed for half to one and a half times as long before it is STALE",
        "base_reachable_time_ms",
    ),
    "retrans_time": Parameter(
        1.0, 1000, "so long an answer is waited for before it is asked again", "retrans_time_ms"
    ),
    "delay_first_probe_time": Parameter(5.0, 1, "so long a STALE neighbour that is used is not asked"),
    "gc_stale_time": Parameter(60.0, 1, "so long an entry that is not used is kept, above gc_thresh1"),
    "ucast_solicit": Parameter(3, 1, "so often a neighbour is asked by unicast before it is given up"),
    "mcast_solicit": Parameter(3, 1, "so often everybody is asked before an address is FAILED"),
    "mcast_resolicit": Parameter(0, 1, "so often everybody is asked when unicast was in vain"),
    "app_solicit": Parameter(0, 1, "so often an application is asked, by netlink, before the network is"),
    "locktime": Parameter(1.0, 100, "so long another link-layer address than the last is not believed"),
}


def find_parameters(devices: Sequence[KernelDevice]) -> Iterator[Finding]:
    """The parameters of some devices that differ from Linux's defaults."""
    try:
        messages = [decode(message) for message in request_sync(requests.dump_neighbour_tables())]
    except OSError as error:
        yield Finding(Level.NOTE, "sysctl", "neigh", "not looked at", f"no rtnetlink here: {error.strerror}")
        return
    names = {device.link.index: device.name for device in devices}
    differing = 0
    for message in messages:
        if isinstance(message, NeighbourTableMessage) and message.index in names:
            for finding in _differing(message, names[message.index]):
                differing += 1
                yield finding
    if not differing:
        yield Finding(Level.OK, "sysctl", "parameters", "those of neighbours are as Linux has them")


def _differing(message: NeighbourTableMessage, device: str) -> Iterator[Finding]:
    directory = {AF_INET: "ipv4", AF_INET6: "ipv6"}[message.family]
    for name, parameter in _PARAMETERS.items():
        value = getattr(message, name)
        default = 0.0 if name == "locktime" and message.family == AF_INET6 else parameter.default
        if value == default:
            continue
        path = sysctl_name(f"net/{directory}/neigh/{device}/{parameter.file or name}")
        level, why = Level.NOTE, parameter.why
        if name == "mcast_solicit" and not value and not message.app_solicit:
            level, why = Level.PROBLEM, "nobody is asked: no new neighbour of the kernel's can be resolved"
        yield Finding(
            level,
            "sysctl",
            path,
            f"{value * parameter.unit:g}, where Linux has {default * parameter.unit:g}",
            why,
            f"sysctl -w {quote(path)}={default * parameter.unit:g}",
        )
