"""The command ``neighio``.

Exit statuses: 0 all is well, 1 something that was asked for is not so (somebody did not answer), 2 it could
not be asked (usage, a missing privilege, no such device), 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from typing import Final, NoReturn

from .output import printable

__all__ = ["INTERRUPTED", "UNUSABLE", "main"]

UNUSABLE: Final = 2
INTERRUPTED: Final = 130
"""128 + SIGINT, what a shell makes of a process that Ctrl-C ended."""

_RESOLVE_HELP: Final = """\
Ask now who has an address: one solicitation each, all at once, whatever any table says.

Without --dev the kernel's routes say on which link to ask; behind a gateway it is the gateway that is
asked for. Without a source of their own, requests come from the address that the kernel would take."""

_RESOLVE_MORE: Final = """\
examples:
  neighio resolve 198.51.100.7
  neighio resolve 198.51.100.7 198.51.100.8 --dev eth0 --json
  neighio resolve 198.51.100.7 --count 5 --interval 0.2
  neighio resolve 198.51.100.7 --listen 1       who else says that it has it?
  neighio resolve 198.51.100.7 --source 0.0.0.0 ask without entering anybody's table

one JSON object a line, with these keys:
  ip             the address, as it was given
  via            the gateway that was asked for in its place, or null
  dev            the device
  number         which of its requests this was, from 1
  lladdr         the link-layer address that answered, or null
  round_trip_ms  milliseconds, or null: nobody answered, or nobody had to be asked (state NOARP)
  state          the entry's state afterwards: REACHABLE, STALE, ... ; null without an entry
  others         further link-layer addresses that have answered for it: duplicates
  error          why there is no lladdr, or null

exit status: 0 every address answered (at least one request), 1 some did not, 2 usage or privilege,
130 interrupted"""

_DEMO_HELP: Final = """\
Watch neighbours live and die, in about ten seconds.

It makes a network namespace of its own, in which the running kernel is the peer, and needs no root. Where
there are no namespaces it plays on a segment in memory, and says why."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(printable(f"{self.prog}: {message} (see {self.prog} --help)"), file=sys.stderr)
        raise SystemExit(UNUSABLE)


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="neighio",
        description="Linux's neighbouring subsystem, in user space.",
        epilog="neighio COMMAND --help says more.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    layout = argparse.RawDescriptionHelpFormatter

    resolve = commands.add_parser(
        "resolve",
        help="ask who has an address",
        description=_RESOLVE_HELP,
        epilog=_RESOLVE_MORE,
        formatter_class=layout,
        allow_abbrev=False,
    )
    resolve.add_argument("ip", nargs="+", metavar="IP", help="an IPv4 address")
    resolve.add_argument("--dev", help="the device on whose link to ask (default: by the routes)")
    resolve.add_argument("--source", metavar="IP", help="ask from this address of ours, or 0.0.0.0")
    resolve.add_argument("--count", type=_count, default=1, metavar="N", help="ask N times (default 1)")
    resolve.add_argument(
        "--interval", type=_seconds, default=1.0, metavar="S", help="seconds between two times (default 1)"
    )
    resolve.add_argument(
        "--listen",
        type=_seconds,
        default=0.1,
        metavar="S",
        help="listen for duplicates so many seconds after an answer (default 0.1)",
    )
    resolve.add_argument("--json", action="store_true", help="print JSON objects, one a line")

    demo = commands.add_parser(
        "demo",
        help="watch neighbours live and die",
        description=_DEMO_HELP,
        formatter_class=layout,
        allow_abbrev=False,
    )
    demo.add_argument("--memory", action="store_true", help="play in memory even where namespaces work")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (those of the process when None); return its exit status."""
    parser = _parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else UNUSABLE
    try:
        if arguments.version:
            from .. import __version__

            print(f"neighio {__version__}")
            return 0
        if arguments.command == "resolve":
            from .resolve import resolve

            return resolve(arguments)
        if arguments.command == "demo":
            from .demo import demo

            return demo(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    parser.print_help(sys.stderr)
    return UNUSABLE
