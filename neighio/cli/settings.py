"""``ipv4.base_reachable_time=2``: parameters, switches and thresholds, as text sets them on a host."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from ..administration import FAMILIES
from ..core.parameters import INT_MAX, check_parameters
from ..core.switches import SWITCHES, check_switches
from ..table import NeighbourTable

__all__ = ["Setting", "apply_settings", "parse_family", "parse_setting"]

THRESHOLDS: Final = ("gc_thresh1", "gc_thresh2", "gc_thresh3")
"""Those of a family's cache."""

_MILLISECONDS: Final = ("base_reachable_time_ms", "interval_probe_time_ms", "retrans_time_ms")
_PREFIXES: Final = {"ipv4": 4, "ipv6": 6}
_WHOLE: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)


class Setting(NamedTuple):
    """A checked value, in the unit of its parameter; times in seconds. ``family`` is 4 or 6."""

    family: int
    name: str
    value: float


def parse_family(text: str) -> int:
    """Return 4 or 6 for ``ipv4`` or ``ipv6``.

    Raises:
        ValueError: neither.
    """
    if text not in _PREFIXES:
        raise ValueError(f"family: {text!r} is neither ipv4 nor ipv6")
    return _PREFIXES[text]


def parse_setting(text: str) -> Setting:
    """Return what ``ipv4.NAME=VALUE`` or ``ipv6.NAME=VALUE`` sets, by its name in /proc/sys/net.

    Raises:
        ValueError: it is not of this form, there is no such name, or the value is out of range; names the
            field.
    """
    field, equals, value = (part.strip() for part in text.partition("="))
    prefix, dot, name = field.partition(".")
    if not equals or not dot or prefix not in _PREFIXES:
        raise ValueError(f"set: {text!r} is not of the form ipv4.NAME=VALUE or ipv6.NAME=VALUE")
    family = _PREFIXES[prefix]
    if name == "reachable_time":
        raise ValueError(f"{field}: it is drawn from {prefix}.base_reachable_time, and cannot be set")
    number = _number(field, value)
    if name in _MILLISECONDS:
        name, number = name.removesuffix("_ms"), number / 1000
    try:
        return _check(family, name, number)
    except ValueError as error:
        raise ValueError(f"{field}:{str(error).partition(':')[2]}") from None


def _number(field: str, value: str) -> float:
    if _WHOLE.fullmatch(value):
        return int(value)
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"{field}: {value!r} is not a number") from None


def _check(family: int, name: str, value: float) -> Setting:
    number = FAMILIES[family]
    if name in SWITCHES[number]:
        return Setting(family, name, check_switches(number, {name: value})[name])
    if name in THRESHOLDS:
        if not isinstance(value, int) or not 0 <= value <= INT_MAX:
            raise ValueError(f"{name}: {value!r} is out of range, expected 0 to {INT_MAX}")
        return Setting(family, name, value)
    ((name, value),) = check_parameters({name: value}, (*SWITCHES[number], *THRESHOLDS)).items()
    return Setting(family, name, value)


def apply_settings(table: NeighbourTable, dev: str, settings: Iterable[Setting]) -> None:
    """Have a device of a table set so; where one thing is set twice, the later value holds.

    Of ``interval_probe_time`` the value of the defaults is what counts, in Linux too; it is set there, too.

    Raises:
        InvalidAddress: the device is not attached. Nothing was changed.
    """
    changes: dict[int, dict[str, float]] = {}
    for setting in settings:
        changes.setdefault(setting.family, {})[setting.name] = setting.value
    for family, values in changes.items():
        cache = table.arp if family == 4 else table.ndisc
        thresholds = {name: values.pop(name) for name in THRESHOLDS if name in values}
        table.set(dev, family, **values)
        if "interval_probe_time" in values:
            table.set(None, family, interval_probe_time=values["interval_probe_time"])
        for name, value in thresholds.items():
            setattr(cache, name, value)
