"""The per-device, per-family parameters: /proc/sys/net/ipv{4,6}/neigh/DEV (struct neigh_parms)."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping
from typing import Final

from .constants import AF_INET, AF_INET6

__all__ = ["HZ_10", "HZ_100", "JIFFY", "PARAMETERS", "Parameter", "Parameters", "check_parameters"]

JIFFY: Final = 0.004
"""What the kernel's "next jiffy" is here, seconds (HZ=250)."""

HZ_100: Final = 0.008
"""The shortest re-arm of a neighbour's timer, seconds: HZ/100 is two jiffies at HZ=250."""

HZ_10: Final = 0.1
"""The shortest reachable time that a router's advertisement sets, seconds."""

SKB_TRUESIZE_OF_FULL_FRAME: Final = 2090
"""What one unit of unres_qlen stands for, octets of unres_qlen_bytes."""

INT_MAX: Final = 2**31 - 1
MAX_SECONDS: Final = float(INT_MAX)


class Parameter:
    """What is known of one parameter: its unit, its smallest value, its default for ARP and for ND."""

    __slots__ = ("arp", "minimum", "name", "ndisc", "unit")

    def __init__(
        self, name: str, unit: str, arp: float, ndisc: float | None = None, minimum: float = 0
    ) -> None:
        self.name: str = name
        self.unit: str = unit
        self.arp: float = arp
        self.ndisc: float = arp if ndisc is None else ndisc
        self.minimum: float = minimum

    def check(self, value: object) -> float:
        """Return the value in the parameter's unit.

        Raises:
            ValueError: no number, not whole where a count is asked, or out of range; names the field.
        """
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{self.name}: {value!r} is not a number")
        most = MAX_SECONDS if self.unit == "seconds" else INT_MAX
        if not math.isfinite(value) or not self.minimum <= value <= most:
            raise ValueError(
                f"{self.name}: {value!r} is out of range, expected {self.minimum:g} to {most:g} {self.unit}"
            )
        if self.unit == "seconds":
            return float(value)
        if value != int(value):
            raise ValueError(f"{self.name}: {value!r} is not a whole number of {self.unit}")
        return int(value)


PARAMETERS: Final[Mapping[str, Parameter]] = {
    parameter.name: parameter
    for parameter in (
        Parameter("mcast_solicit", "probes", 3),
        Parameter("ucast_solicit", "probes", 3),
        Parameter("app_solicit", "probes", 0),
        Parameter("mcast_resolicit", "probes", 0),
        Parameter("retrans_time", "seconds", 1.0),
        Parameter("base_reachable_time", "seconds", 30.0),
        Parameter("delay_first_probe_time", "seconds", 5.0),
        Parameter("interval_probe_time", "seconds", 5.0, minimum=JIFFY),
        Parameter("gc_stale_time", "seconds", 60.0),
        Parameter("unres_qlen_bytes", "bytes", 212992),
        Parameter("proxy_qlen", "packets", 64),
        Parameter("proxy_delay", "seconds", 0.8),
        Parameter("anycast_delay", "seconds", 1.0),
        Parameter("locktime", "seconds", 1.0, ndisc=0.0),
    )
}


def check_parameters(changes: Mapping[str, object], others: Iterable[str] = ()) -> dict[str, float]:
    """Return the changes, checked and in their units; ``unres_qlen`` becomes ``unres_qlen_bytes``.

    ``others`` are names that the caller would have taken too; whoever mistypes one is told of them.

    Raises:
        ValueError: an unknown name, or a value out of range; names the field. Nothing was changed.
    """
    checked: dict[str, float] = {}
    for name, value in changes.items():
        if name == "unres_qlen":
            packets = Parameter("unres_qlen", "packets", 101).check(value)
            name, value = "unres_qlen_bytes", int(packets) * SKB_TRUESIZE_OF_FULL_FRAME
        parameter = PARAMETERS.get(name)
        if parameter is None:
            known = ", ".join(sorted({*PARAMETERS, *others}))
            raise ValueError(f"{name}: no such parameter; there are {known}")
        if name in checked:
            raise ValueError(f"{name}: given twice")
        checked[name] = parameter.check(value)
    return checked


class Parameters:
    """One device's parameters for one family, or a family's defaults (neigh_parms).

    Attributes carry the kernel's names; times are seconds. ``reachable_time`` is drawn from
    [0.5, 1.5) x ``base_reachable_time`` (RFC 4861 6.3.2, neigh_rand_reach_time).
    """

    __slots__ = (
        "anycast_delay",
        "app_solicit",
        "base_reachable_time",
        "dead",
        "delay_first_probe_time",
        "explicit",
        "family",
        "gc_stale_time",
        "interval_probe_time",
        "locktime",
        "mcast_resolicit",
        "mcast_solicit",
        "proxy_delay",
        "proxy_qlen",
        "random",
        "reachable_time",
        "retrans_time",
        "ucast_solicit",
        "unres_qlen_bytes",
    )

    mcast_solicit: int
    ucast_solicit: int
    app_solicit: int
    mcast_resolicit: int
    retrans_time: float
    base_reachable_time: float
    delay_first_probe_time: float
    interval_probe_time: float
    gc_stale_time: float
    unres_qlen_bytes: int
    proxy_qlen: int
    proxy_delay: float
    anycast_delay: float
    locktime: float

    def __init__(self, family: int, source: random.Random, template: Parameters | None = None) -> None:
        self.family: int = family
        self.random: random.Random = source
        self.dead: bool = False
        self.explicit: set[str] = set()
        for name, parameter in PARAMETERS.items():
            default = {AF_INET: parameter.arp, AF_INET6: parameter.ndisc}[family]
            setattr(self, name, default if template is None else getattr(template, name))
        self.draw_reachable_time()

    def draw_reachable_time(self) -> None:
        """Draw ``reachable_time`` anew (neigh_rand_reach_time)."""
        base = self.base_reachable_time
        self.reachable_time: float = base / 2 + self.random.random() * base

    def set(self, changes: Mapping[str, float]) -> None:
        """Take changes that :func:`check_parameters` returned. Running timers are not re-armed."""
        for name, value in changes.items():
            setattr(self, name, value)
            self.explicit.add(name)
        if "base_reachable_time" in changes:
            self.draw_reachable_time()

    def inherit(self, changes: Mapping[str, float]) -> None:
        """Take a change of the family's defaults, where this device was not told otherwise.

        The drawn ``reachable_time`` stays as it is, as in the kernel (neigh_copy_dflt_parms).
        """
        for name, value in changes.items():
            if name not in self.explicit:
                setattr(self, name, value)

    def names(self) -> Iterable[str]:
        """The parameters' names."""
        return PARAMETERS.keys()

    def as_dict(self) -> dict[str, float]:
        """Every parameter and the drawn ``reachable_time``, by name; seconds, counts or bytes."""
        values = {name: getattr(self, name) for name in PARAMETERS}
        values["reachable_time"] = self.reachable_time
        return values
