"""Scenario files (TOML): read, checked, and refused with file, line and what was expected."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from ...core.constants import AF_INET, AF_INET6
from ...core.parameters import PARAMETERS, check_parameters
from ...core.switches import SWITCHES, check_switches
from .frames import parse_peer
from .model import (
    Action,
    AddressChange,
    Carrier,
    Link,
    Lladdr,
    Scenario,
    ScenarioError,
    Set,
    Show,
    Step,
)
from .words import (
    parse_address,
    parse_admin,
    parse_confirm,
    parse_interface,
    parse_lladdr,
    parse_route,
    parse_send,
)

__all__ = ["load", "load_all"]

ADDRESSES: Final = ["198.51.100.1/24"]
GLOBAL: Final = ("interval_probe_time",)
"""Only the machine's own default counts, and it is nobody's to change."""

KEYS: Final[dict[str, type | tuple[type, ...]]] = {
    "title": str,
    "holds": list,
    "steps": list,
    "lasts": (int, float),
    "addresses": list,
    "routes": list,
    "parameters": dict,
    "since": str,
    "until": str,
    "exclusive": bool,
    "gc_thresh": list,
    "managed": bool,
    "collection": bool,
    "client": bool,
    "differs": str,
}
FILE_KEYS: Final[dict[str, type | tuple[type, ...]]] = {**KEYS, "before": list, "scenario": list}
SCENARIO_KEYS: Final[dict[str, type | tuple[type, ...]]] = {**KEYS, "name": str}

VERBS: Final = (
    "peer",
    "send",
    "confirm",
    "admin",
    "link",
    "carrier",
    "lladdr",
    "address",
    "route",
    "set",
    "show",
)
_T = TypeVar("_T")
_RELEASE: Final = re.compile(r"\d+\.\d+")


def load_all(folder: Path) -> list[Scenario]:
    """Every scenario below a folder, or of one file, in the order of paths.

    Raises:
        ScenarioError: the first mistake.
    """
    paths = [folder] if folder.is_file() else sorted(folder.rglob("*.toml"))
    return [scenario for path in paths for scenario in load(path)]


def load(path: Path) -> list[Scenario]:
    """The scenarios of one file.

    Raises:
        ScenarioError: "FILE:LINE: what is wrong and what was expected".
    """
    return _File(path).scenarios()


class _File:
    """One file's text, for the lines that tomllib does not tell."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self.lines = self.text.splitlines()

    def refuse(self, line: int, text: object) -> NoReturn:
        raise ScenarioError(f"{self.path}:{line}: {text}") from None

    def line_of(self, key: str, start: int) -> int:
        """The line from ``start`` on that assigns ``key``; ``start`` when none does."""
        pattern = re.compile(rf"(^|[\s,{{]){re.escape(key)}\s*=|^\s*\[{re.escape(key)}\]")
        for number in range(start, len(self.lines) + 1):
            if pattern.search(self.lines[number - 1]):
                return number
        return start

    def scenarios(self) -> list[Scenario]:
        try:
            data = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            place = re.search(r"at line (\d+)", str(error))
            self.refuse(int(place[1]) if place else len(self.lines), f"expected TOML: {error}")
        self.check_keys(data, FILE_KEYS, 1)
        if "scenario" not in data:
            return [self.scenario(data, {}, 1)]
        if "steps" in data:
            self.refuse(self.line_of("steps", 1), "steps: expected either steps or [[scenario]], not both")
        common = {key: value for key, value in data.items() if key != "scenario"}
        starts = [n for n, text in enumerate(self.lines, 1) if re.match(r"\s*\[\[scenario\]\]", text)]
        starts += [1] * (len(data["scenario"]) - len(starts))
        found: list[Scenario] = []
        for entry, line in zip(data["scenario"], starts, strict=False):
            if not isinstance(entry, dict):
                self.refuse(line, "scenario: expected [[scenario]] tables")
            self.check_keys(entry, SCENARIO_KEYS, line)
            name = entry.get("name", "")
            if not re.fullmatch(r"[\w.+-]+", name) or any(name == other.name for other in found):
                self.refuse(
                    self.line_of("name", line), f"name: {name!r}: expected a word that no other scenario has"
                )
            found.append(self.scenario(entry, common, line))
        return found

    def check_keys(
        self, data: Mapping[str, Any], keys: Mapping[str, type | tuple[type, ...]], line: int
    ) -> None:
        for key, value in data.items():
            where = self.line_of(key, line)
            if key not in keys:
                self.refuse(where, f"{key}: no such key; expected one of {', '.join(keys)}")
            kind = keys[key]
            wrong = not isinstance(value, kind) or (kind is not bool and isinstance(value, bool))
            if wrong:
                kinds = kind if isinstance(kind, tuple) else (kind,)
                names = {str: "text", list: "a list", dict: "a table", bool: "true or false"}
                expected = " or ".join(dict.fromkeys(names.get(one, "a number") for one in kinds))
                self.refuse(where, f"{key}: {value!r}: expected {expected}")

    def scenario(self, own: Mapping[str, Any], common: Mapping[str, Any], line: int) -> Scenario:
        data: dict[str, Any] = {**common, **own}

        def fail(key: str, text: str) -> NoReturn:
            self.refuse(self.line_of(key, line if key in own else 1), f"{key}: {text}")

        for key in ("title", "holds", "steps", "lasts"):
            if key not in data:
                self.refuse(line, f"{key}: expected; every scenario has title, holds, steps and lasts")
        parameters = self.merged(common.get("parameters", {}), own.get("parameters", {}))
        start = self.settings(parameters, lambda text: fail("parameters", text))
        addresses = tuple(self.strings(data.get("addresses", ADDRESSES), "addresses", fail, parse_interface))
        ips = tuple(parse_address(address.partition("/")[0]) for address in addresses)
        steps = self.steps(data, "before", 1, ips) + self.steps(data, "steps", line, ips)
        lasts = float(data["lasts"])
        for previous, step in pairwise(steps):
            if step.at < previous.at:
                self.refuse(step.line, f"at: {step.at:g} is before the last step's {previous.at:g}")
        if steps and lasts <= steps[-1].at:
            fail("lasts", f"{lasts:g}: expected more than the last step's {steps[-1].at:g}")
        for key in ("since", "until"):
            if key in data and not _RELEASE.fullmatch(data[key]):
                fail(key, f"{data[key]!r}: expected a kernel release, as 6.17")
        thresholds = data.get("gc_thresh")
        if thresholds is not None and not (
            len(thresholds) == 3 and all(type(n) is int and n >= 0 for n in thresholds)
        ):
            fail("gc_thresh", f"{thresholds!r}: expected three numbers")
        if (thresholds is not None) != data.get("exclusive", False):
            fail("exclusive", "expected together with gc_thresh")
        return Scenario(
            path=self.path,
            line=line,
            name=data.get("name", ""),
            title=data["title"],
            holds=tuple(self.strings(data["holds"], "holds", fail, str)),
            steps=steps,
            lasts=lasts,
            addresses=addresses,
            start=start,
            routes=tuple(self.strings(data.get("routes", []), "routes", fail, parse_route)),
            since=data.get("since"),
            until=data.get("until"),
            exclusive=data.get("exclusive", False),
            gc_thresh=None if thresholds is None else (thresholds[0], thresholds[1], thresholds[2]),
            managed=data.get("managed", False),
            collection=data.get("collection", False),
            client=data.get("client", True),
            differs=data.get("differs"),
        )

    @staticmethod
    def strings(
        values: list[object],
        key: str,
        fail: Callable[[str, str], NoReturn],
        read: Callable[[str], _T],
    ) -> Iterator[_T]:
        for value in values:
            if not isinstance(value, str):
                fail(key, f"{value!r}: expected text")
            try:
                yield read(value)
            except ValueError as error:
                fail(key, str(error))

    @staticmethod
    def merged(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
        """The file's parameters with the scenario's above them, those of IPv6 likewise."""
        merged = {**common, **own}
        ipv6 = [table["ipv6"] for table in (common, own) if isinstance(table.get("ipv6"), dict)]
        if len(ipv6) == 2:
            merged["ipv6"] = {**ipv6[0], **ipv6[1]}
        return merged

    @classmethod
    def settings(cls, values: Mapping[str, Any], fail: Callable[[str], NoReturn]) -> Set:
        """Parameters and switches, checked: IPv4's, and beside them under ``ipv6`` those of IPv6."""
        ipv6 = values.get("ipv6", {})
        if not isinstance(ipv6, dict):
            fail(f"ipv6: {ipv6!r}: expected {{parameter = value}}")
        ipv4 = {name: value for name, value in values.items() if name != "ipv6"}
        return Set(
            cls.changes(AF_INET, ipv4, fail), cls.changes(AF_INET6, ipv6, lambda text: fail(f"ipv6: {text}"))
        )

    @staticmethod
    def changes(family: int, values: Mapping[str, Any], fail: Callable[[str], NoReturn]) -> dict[str, float]:
        """Those of one family; ``reachable_time`` only in what can be drawn."""
        switches = SWITCHES[family]
        known = [name for name in (*PARAMETERS, "unres_qlen") if name not in GLOBAL]
        for name in values:
            if name not in known and name not in switches and name != "reachable_time":
                fail(f"{name}: no such parameter; expected one of {', '.join((*known, *switches))}")
        plain = {name: value for name, value in values.items() if name != "reachable_time"}
        try:
            changes: dict[str, float] = {
                **check_parameters({k: v for k, v in plain.items() if k not in switches}),
                **check_switches(family, {k: v for k, v in plain.items() if k in switches}),
            }
        except ValueError as error:
            fail(str(error))
        if "reachable_time" in values:
            drawn, base = values["reachable_time"], changes.get("base_reachable_time", -1.0)
            if not isinstance(drawn, int | float) or not 0.5 * base <= drawn < 1.5 * base:
                fail(f"reachable_time: {drawn!r}: expected 0.5 to 1.5 of the base_reachable_time beside it")
            changes["reachable_time"] = float(drawn)
        elif "base_reachable_time" in changes:
            changes["reachable_time"] = changes["base_reachable_time"]
        return changes

    # -- steps

    def steps(
        self, data: Mapping[str, Any], key: str, start: int, own: tuple[bytes, ...]
    ) -> tuple[Step, ...]:
        tables = data.get(key, [])
        places = self.places(self.line_of(key, start))
        found = []
        for number, table in enumerate(tables):
            line = places[number] if number < len(places) else self.line_of(key, start)
            if not isinstance(table, dict):
                self.refuse(line, f"{table!r}: expected {{at = seconds, verb = ...}}")
            found.append(self.step(dict(table), line, own))
        return tuple(found)

    def places(self, start: int) -> list[int]:
        """The lines on which the tables of the list that begins on line ``start`` begin."""
        found: list[int] = []
        depth = brackets = 0
        for number, line in enumerate(self.lines[start - 1 :], start):
            bare = re.sub(r'"(\\.|[^"\\])*"|\'[^\']*\'|#.*', "", line)
            for character in bare:
                if character == "{":
                    if not depth:
                        found.append(number)
                    depth += 1
                elif character == "}":
                    depth -= 1
                elif character in "[]" and not depth:
                    brackets += 1 if character == "[" else -1
            if found and not brackets:
                break
        return found

    def step(self, table: dict[str, Any], line: int, own: tuple[bytes, ...]) -> Step:
        at = table.pop("at", None)
        if isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at <= 3600:
            self.refuse(line, f"at: {at!r}: expected seconds since the beginning")
        error = table.pop("error", None)
        verbs = [verb for verb in table if verb in VERBS]
        unknown = [key for key in table if key not in VERBS]
        if unknown or len(verbs) != 1:
            wrong = unknown[0] if unknown else ", ".join(verbs) or "nothing"
            self.refuse(line, f"{wrong}: expected exactly one of {', '.join(VERBS)}")
        (verb,) = verbs
        value = table[verb]
        if error is not None and verb != "admin":
            self.refuse(line, "error: expected beside admin only")
        try:
            action = self.action(verb, value, error, own, line)
        except ValueError as mistake:
            self.refuse(line, f"{verb}: {mistake}" if not isinstance(mistake, ScenarioError) else mistake)
        return Step(float(at), action, f"{verb} {value}", line)

    def action(self, verb: str, value: Any, error: str | None, own: tuple[bytes, ...], line: int) -> Action:
        if verb == "set":
            if not isinstance(value, dict):
                raise ValueError(f"{value!r}: expected {{parameter = value}}")
            return self.settings(value, lambda text: self.refuse(line, f"set: {text}"))
        if not isinstance(value, str):
            raise ValueError(f"{value!r}: expected text")
        match verb, value.split():
            case "peer", _:
                return parse_peer(value, own)
            case "send", _:
                return parse_send(value, own)
            case "confirm", _:
                return parse_confirm(value, own)
            case "admin", _:
                return parse_admin(value, error)
            case "link", ["up" | "down" as state]:
                return Link(state == "up")
            case "carrier", ["on" | "off" as state]:
                return Carrier(state == "on")
            case "lladdr", [lladdr]:
                return Lladdr(parse_lladdr(lladdr))
            case "address", ["add" | "del" as change, address]:
                return AddressChange(change == "add", parse_interface(address))
            case "address", ["add", address, "dad" | "optimistic" as how] if ":" in parse_interface(address):
                optimistic = how == "optimistic"
                return AddressChange(True, parse_interface(address), detect=True, optimistic=optimistic)
            case "route", ["add" | "del" as change, *_]:
                return parse_route(value.removeprefix(change), add=change == "add")
            case "show", [_, *_] as ips:
                return Show(tuple(parse_address(ip) for ip in ips))
        expected = {
            "link": "up or down",
            "carrier": "on or off",
            "lladdr": "an Ethernet address",
            "address": "add or del, an address with its prefix length, and of IPv6 dad or optimistic",
            "route": "add or del, and PREFIX or PREFIX via IP",
            "show": "IP addresses",
        }
        raise ValueError(f"{value!r}: expected {expected[verb]}")
