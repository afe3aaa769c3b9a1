"""python -m neighio.testing.scenario check|play|record|parity PATH..."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .load import load_all
from .model import Scenario, ScenarioError
from .report import report
from .session import Result, play_on_engine, play_on_host, play_on_kernel, play_side_by_side, record


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m neighio.testing.scenario",
        description="Play scenarios of neighbour life on the kernel, on neighio host and on the engine.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("check", "read the files; say what is wrong with them"),
        ("play", "play, and show where the engine differs"),
        ("record", "record the expected traces on the running kernel"),
        ("parity", "play all on all players and write a report"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a file or a folder")
        if name != "parity":
            command.add_argument("--name", help="only scenarios whose identity contains this")
        if name == "play":
            command.add_argument("--on", choices=("engine", "kernel", "host"), default="engine")
            command.add_argument("--verbose", action="store_true", help="show what is identical, too")
        if name == "parity":
            command.add_argument("--write", type=Path, required=True, help="the page to write")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Return 0 when nothing differs, 1 when something does, 2 for a mistake in a scenario."""
    options = _parser().parse_args(arguments)
    try:
        scenarios = [scenario for path in options.paths for scenario in load_all(path)]
    except ScenarioError as error:
        print(error, file=sys.stderr)
        return 2
    name = getattr(options, "name", None)
    scenarios = [scenario for scenario in scenarios if name is None or name in scenario.identity]
    if options.command == "check":
        print(f"{len(scenarios)} scenarios")
        return 0
    if options.command == "parity":
        return _parity(scenarios, options.write)
    if options.command == "record":
        results = record(scenarios)
    else:
        play = {"engine": play_on_engine, "kernel": play_on_kernel, "host": play_on_host}[options.on]
        results = play(scenarios)
    return _show(results, verbose=getattr(options, "verbose", False))


def _parity(scenarios: list[Scenario], page: Path) -> int:
    engine = play_on_engine(scenarios)
    kernel, host = play_side_by_side(scenarios)
    page.write_text(report(engine, kernel, host), encoding="utf-8")
    return _show([*engine, *kernel, *host], verbose=False)


def _show(results: list[Result], *, verbose: bool) -> int:
    for result in results:
        print(result)
        if result.comparison is not None and (verbose or result.differs):
            print(result.comparison)
    differing = [result for result in results if result.differs and result.scenario.differs is None]
    identical = sum(result.identical for result in results)
    print(f"{identical} identical, {len(differing)} differing, of {len(results)}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
