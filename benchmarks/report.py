"""The table: for people on a terminal, and as a page of the documentation."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Final

from .harness import ROOT, Line, Result, Unit, spread

__all__ = ["PEERS", "figure", "lines_of", "page", "provenance", "renewed", "table"]

PEERS: Final = ("trio", "scapy", "getmac", "pyroute2")
HEADS: Final = ("what", "neighio", "floor", "ratio", "others", "target", "reached")
WIDTHS: Final = (38, 25, 30, 9, 42, 20, 12)

_READING: Final = (
    "The *floor* is the least that can be done with the same means, measured in the same run; *ratio* is",
    "neighio's figure to it, run by run, and the median of that. The others' ratios are to neighio's figure.",
    "*CPU* is the time of the thread that works; everything else is by the clock. Traffic is between network",
    "namespaces, over veth; the other end is the kernel, or a program in C.",
)

_STEPS: Final[dict[Unit, tuple[tuple[float, float, str], ...]]] = {
    # from this on: divide by, write behind it
    "s": ((1.0, 1.0, " s"), (1e-3, 1e-3, " ms"), (1e-6, 1e-6, " µs"), (0.0, 1e-9, " ns")),
    "/s": ((1e6, 1e6, "M/s"), (1e3, 1e3, "k/s"), (0.0, 1.0, "/s")),
    "B": ((1e6, 1e6, " MB"), (1e4, 1e3, " kB"), (0.0, 1.0, " B")),
    "x": ((0.0, 1.0, " x"),),
    "": ((0.0, 1.0, ""),),
}


def figure(value: float, unit: Unit) -> str:
    """A figure with three digits that count, in the unit in which it reads best."""
    step = next((step for step in _STEPS[unit] if abs(value) >= step[0]), _STEPS[unit][-1])
    scaled = value / step[1]
    decimals = 0 if value == 0 or abs(scaled) >= 99.95 else 1 if abs(scaled) >= 9.995 else 2
    if unit == "" and scaled == int(scaled):
        decimals = 0
    return f"{scaled:,.{decimals}f}{step[2]}"


def with_spread(values: Sequence[float], unit: Unit) -> str:
    """The median, and from where to where the runs went."""
    least, middle, greatest = spread(values)
    if len(values) == 1:
        return f"{figure(middle, unit)} (1 run)"
    return f"{figure(middle, unit)} ({figure(least, unit)} to {figure(greatest, unit)})"


def target_text(line: Line) -> str:
    target = line.target
    if target is None:
        return ""
    sign = "≥" if target.at_least else "≤"
    if target.kind == "ratio":
        return f"{sign} {target.limit:g} x the floor"
    if target.kind == "difference":
        return f"floor + {figure(target.limit, line.unit)}"
    return f"{sign} {figure(target.limit, line.unit)}"


def verdict(result: Result, line: Line) -> str:
    if not result.values(line.key, line.ours):
        return "not measured"
    reached = result.reached(line)
    return "" if reached is None else "yes" if reached else "NO"


def times(value: float) -> str:
    return f"{value:.3g} x" if value < 1000 else f"{value:,.0f} x"


def lines_of(result: Result) -> list[tuple[str, ...]]:
    """A row's lines, in words, as :data:`HEADS` has them."""
    rows: list[tuple[str, ...]] = []
    for line in result.row.lines:
        ours = result.values(line.key, line.ours)
        floor, ratio = "", ""
        if line.floor is not None and (values := result.values(line.key, line.floor)):
            floor = f"{figure(median(values), line.unit)} {line.floor}"
            found = result.compared(line.key, line.ours, line.floor, "ratio")
            ratio = "" if found is None else times(found)
        others = []
        for name in result.names(line.key):
            if name not in (line.ours, line.floor):
                found = result.compared(line.key, name, line.ours, "ratio")
                beside = "" if found is None else f" ({times(found)})"
                others.append(f"{name} {figure(median(result.values(line.key, name)), line.unit)}{beside}")
        rows.append(
            (
                line.title,
                with_spread(ours, line.unit) if ours else "",
                floor,
                ratio,
                "; ".join(others),
                target_text(line),
                verdict(result, line),
            )
        )
    return rows


def table(results: Iterable[Result]) -> str:
    """All rows, for a terminal."""
    rule = "-" * (sum(WIDTHS) + 2 * len(WIDTHS) - 2)
    out = [_cells(HEADS), rule]
    for result in results:
        out += [_cells(row) for row in lines_of(result)]
        out += [
            textwrap.fill(text, len(rule), initial_indent="  ", subsequent_indent="  ")
            for text in remarks(result)
        ]
        out.append(rule)
    return "\n".join(out)


def _cells(cells: Sequence[str]) -> str:
    wrapped = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, WIDTHS, strict=True)]
    height = max(map(len, wrapped))
    return "\n".join(
        "  ".join(
            (part[at] if at < len(part) else "").ljust(width)
            for part, width in zip(wrapped, WIDTHS, strict=True)
        ).rstrip()
        for at in range(height)
    )


def remarks(result: Result) -> list[str]:
    """Under which settings, who could not take part, and who failed."""
    found = [result.row.note] if result.row.note else []
    found += [f"{name}: {text}" for name, text in (result.remarks | result.missing).items()]
    found += [f"{name} failed: {why}" for name, why in result.failures.items()]
    return found


@dataclass(frozen=True)
class Provenance:
    """Where and when figures were measured."""

    facts: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return "\n".join(f"{name}: {value}" for name, value in self.facts)


def provenance(runs: int, *, small: bool = False) -> Provenance:
    """This machine, its kernel, and the versions of all that takes part."""
    load = (
        Path("/proc/loadavg").read_text(encoding="ascii").split()[0]
        if Path("/proc/loadavg").exists()
        else "?"
    )
    facts = [
        ("date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("machine", f"{_processor()}, {os.cpu_count()} processors, load {load} at the beginning"),
        ("kernel", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("neighio", f"{_version('neighio')}{_commit()}"),
        *((name, _version(name)) for name in PEERS),
        *((name, _program_version(name)) for name in ("arp-scan", "nmap", "arping")),
        *([("sizes", "SMALL ones, to see whether it works: the titles below do not hold")] if small else []),
        ("runs", f"{runs} of each contender, in turns; medians, and in brackets the least and the greatest"),
    ]
    return Provenance(tuple(facts))


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    found = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    done = _said(["git", "-C", str(ROOT), "describe", "--always", "--dirty"])
    return f" ({done})" if done else ""


def _program_version(name: str) -> str:
    said = _said([name, "-V" if name == "arping" else "--version"])
    return said or ("of a version that it does not tell" if shutil.which(name) else "not installed")


def _said(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (done.stdout or done.stderr).splitlines() if done.returncode == 0 else []
    return lines[0].strip() if lines else ""


def renewed(text: str, results: Iterable[Result], where: Provenance) -> str:
    """A page with some rows measured anew, and a line that says which, when and of what.

    Raises:
        ValueError: the page lacks a line of these rows.
    """
    lines = text.splitlines()
    facts = dict(where.facts)
    names = []
    for result in results:
        names.append(result.row.name)
        for row in lines_of(result):
            at = next((at for at, line in enumerate(lines) if line.startswith(f"| {row[0]} |")), None)
            if at is None:
                raise ValueError(f"the page has no line {row[0]!r}")
            lines[at] = _line(row)
    last = max(at for at, line in enumerate(lines) if line.startswith(("* runs: ", "* again: ")))
    lines.insert(last + 1, f"* again: {', '.join(names)}, {facts['date']}, neighio {facts['neighio']}")
    return "\n".join(lines) + "\n"


def _line(row: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in row)} |"


def page(results: Iterable[Result], where: Provenance, picture: str | None) -> str:
    """All rows, as a page in Markdown."""
    out = [
        "# Speed and scale",
        "",
        "Made by `make bench`, which measures everything again; do not edit.",
        "",
        *(f"* {name}: {value}" for name, value in where.facts),
        "",
        *_READING,
        "",
        f"| {' | '.join(HEADS)} |",
        f"|{'---|' * len(HEADS)}",
    ]
    notes: list[str] = []
    for result in results:
        out += [_line(row) for row in lines_of(result)]
        notes += [f"* {result.row.name}: {text}" for text in remarks(result)]
    out += ["", "Settings, and who took no part:", "", *notes]
    if picture is not None:
        out += [
            "",
            "## Growth",
            "",
            "What one operation costs when there are many entries, by CPU time; memory is octets an entry.",
            "",
            f"![Costs by the number of entries, both axes logarithmic]({picture})",
        ]
    return "\n".join(out) + "\n"
