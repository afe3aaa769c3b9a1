"""Run the rows, print their table, and write it into the documentation.

python -m benchmarks [--row NAME]... [--runs N] [--small] [--only CONTENDER]... [--write FOLDER]
"""

from __future__ import annotations

import argparse
import compileall
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from threading import Timer
from typing import Any, Final

from neighio.testing import available, enter_command

from .contenders import SIZES
from .harness import ROOT, Result, Row, Setting, measure
from .plot import loglog
from .report import Provenance, figure, page, provenance, renewed, table
from .rows import GROWTH, ROWS

RUNS: Final = 5
ROW_SECONDS: Final = 1800.0
"""The longest that one row may take."""


def main() -> int:
    """Run the command; return its exit status: 0 measured, 1 something could not be, 2 usage."""
    arguments = _parser().parse_args()
    if arguments.inside is not None:
        return _inside(arguments)
    if unknown := set(arguments.row) - ROWS.keys():
        print(f"bench: no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}", file=sys.stderr)
        return 2
    if arguments.runs < 1 or (arguments.write is not None and (arguments.small or arguments.only)):
        print("bench: at least one run; what is written is whole rows, at their full sizes", file=sys.stderr)
        return 2
    # Where no bytecode is written (PYTHONDONTWRITEBYTECODE), every start of ours would count as compiling.
    compileall.compile_dir(ROOT / "neighio", quiet=1)
    where = provenance(arguments.runs, small=arguments.small)
    names = arguments.row or list(ROWS)
    results = []
    begin = time.monotonic()
    for number, name in enumerate(names, 1):
        _progress(f"row {number}/{len(names)}: {name}")
        results.append(_run(ROWS[name], arguments))
    _progress(f"done in {time.monotonic() - begin:.0f} s")
    print(where)
    print()
    print(table(results))
    if arguments.write is not None:
        _write(Path(arguments.write), results, where, renew=bool(arguments.row))
    return 1 if any(result.failures or result.unmeasured() for result in results) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--row", action="append", default=[], metavar="NAME", help="only this row; repeated")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"of each contender (default {RUNS})")
    parser.add_argument(
        "--small", action="store_true", help="small sizes, to see whether it works; the figures mean little"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="CONTENDER", help="only this one; repeated"
    )
    parser.add_argument(
        "--write",
        metavar="FOLDER",
        help="write benchmarks.md and growth.svg there; with --row, renew those rows in what is there",
    )
    parser.add_argument("--inside", metavar="NAME", help=argparse.SUPPRESS)
    return parser


def _progress(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def _inside(arguments: argparse.Namespace) -> int:
    """Measure one row, here; print a line of JSON for all that happens."""
    for event in measure(ROWS[arguments.inside], Setting(arguments.small), arguments.runs, arguments.only):
        print(json.dumps(event), flush=True)
    return 0


def _run(row: Row, arguments: argparse.Namespace) -> Result:
    """Measure one row, in a process and, where it needs one, a network namespace of its own."""
    result = Result(row)
    command = [sys.executable, "-m", "benchmarks", "--inside", row.name, "--runs", str(arguments.runs)]
    command += ["--small"] * arguments.small
    for name in arguments.only:
        command += ["--only", name]
    if row.stage is not None or row.namespace:
        unavailable = available()
        if unavailable is not None:
            result.failures["all"] = str(unavailable)
            return result
        command = [*enter_command(), *command]
    for event in _events(command):
        result.take(event)
        if "figures" in event:
            units = {line.key: line.unit for line in row.lines}
            told = ", ".join(
                f"{key} {figure(value, units[key.partition('|')[0]])}"
                for key, value in event["figures"].items()
                if key.partition("|")[0] in units
            )
            _progress(f"  {event['run'] + 1}/{arguments.runs} {event['contender']}: {told}")
        elif "failed" in event or "missing" in event:
            _progress(f"  {event['contender']}: {event.get('failed') or event.get('missing')}")
    return result


def _events(command: list[str]) -> Iterator[dict[str, Any]]:
    """What a row's process tells; it ends with us, and after its time."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True)
    alarm = _kill_after(process)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)
    finally:
        alarm.cancel()
        process.terminate()
        process.communicate()
    if process.returncode not in (0, -signal.SIGTERM):
        yield {"contender": "all", "failed": f"the row's process ended with status {process.returncode}"}


def _kill_after(process: subprocess.Popen[str]) -> Timer:
    timer = Timer(ROW_SECONDS, process.kill)
    timer.daemon = True
    timer.start()
    return timer


def _write(folder: Path, results: list[Result], where: Provenance, *, renew: bool) -> None:
    picture = None
    for result in results:
        if result.row.name == "growth" and (drawn := _growth(result)):
            picture = "growth.svg"
            (folder / picture).write_text(drawn, encoding="utf-8")
    path = folder / "benchmarks.md"
    text = (
        renewed(path.read_text(encoding="utf-8"), results, where) if renew else page(results, where, picture)
    )
    path.write_text(text, encoding="utf-8")
    _progress(f"written: {path}")


def _growth(result: Result) -> str | None:
    """The picture of how costs grow; None when nothing was measured."""
    series: dict[str, dict[float, float]] = {}
    for key, title in GROWTH.items():
        unit, name_of_unit = (1.0, "B") if key == "grow_memory" else (1e-6, "µs")
        points = {
            float(SIZES[name]): median(result.values(key, name)) / unit
            for name in result.names(key)
            # What is too small to be told from the noise has no place on a logarithmic axis.
            if median(result.values(key, name)) > 0
        }
        if points:
            series[f"{title} ({name_of_unit})"] = points
    if not series:
        return None
    return loglog(series, x_title="entries", y_title="µs an operation, octets an entry")


if __name__ == "__main__":
    sys.exit(main())
