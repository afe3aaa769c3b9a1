"""The command ``neighio``.

Exit statuses: 0 all is well, 1 something that was asked for is not so (somebody did not answer), 2 it could
not be asked (usage, a missing privilege, no such device), 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Final, NoReturn

from .arguments.announce import add_announce
from .arguments.completion import add_completion
from .arguments.demo import add_demo
from .arguments.doctor import add_doctor
from .arguments.history import add_history
from .arguments.host import add_host
from .arguments.looking import add_monitor, add_show
from .arguments.replay import add_replay
from .arguments.resolve import add_resolve
from .arguments.scan import add_scan
from .arguments.watch import add_watch
from .output import printable

__all__ = ["INTERRUPTED", "UNUSABLE", "build_parser", "main"]

UNUSABLE: Final = 2
INTERRUPTED: Final = 130
"""128 + SIGINT, what a shell makes of a process that Ctrl-C ended."""

_COMMANDS: Final = (
    add_scan,
    add_resolve,
    add_show,
    add_monitor,
    add_watch,
    add_history,
    add_announce,
    add_host,
    add_replay,
    add_doctor,
    add_completion,
    add_demo,
)
"""In the order of the help."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(printable(f"{self.prog}: {message} (see {self.prog} --help)"), file=sys.stderr)
        raise SystemExit(UNUSABLE)


def build_parser() -> argparse.ArgumentParser:
    """Return what parses the command line, with each command as it stands in the help."""
    parser = _Parser(
        prog="neighio",
        description="Linux's neighbouring subsystem, in user space.",
        epilog="neighio COMMAND --help says more.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for add in _COMMANDS:
        add(commands)
    return parser


def _find(run: str, *, alone: bool) -> Callable[[argparse.Namespace], int]:
    """What runs a command. Its module is imported when it runs: the help needs neither trio nor rich.

    ``alone`` is a process that does nothing else. What its imports make is there to its end, and the
    collector need not walk it: that took a fifth of a short command's time, most of it at the exit.
    """
    if alone:
        gc.disable()
    module, _, function = run.partition(":")
    found: Callable[[argparse.Namespace], int] = getattr(import_module(f".{module}", __name__), function)
    if alone:
        gc.freeze()
        gc.enable()
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (those of the process when None); return its exit status."""
    parser = build_parser()
    if "_ARGCOMPLETE" in os.environ:
        from .completion import complete

        complete(parser)
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else UNUSABLE
    try:
        if arguments.version:
            from .. import __version__

            print(f"neighio {__version__}")
            return 0
        if arguments.command is not None:
            return _find(arguments.run, alone=argv is None)(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    parser.print_help(sys.stderr)
    return UNUSABLE
