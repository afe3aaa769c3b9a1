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
from typing import Any, Final, NoReturn

from .output import Output, complain

__all__ = ["INTERRUPTED", "UNUSABLE", "build_parser", "main"]

UNUSABLE: Final = 2
INTERRUPTED: Final = 130
"""128 + SIGINT, what a shell makes of a process that Ctrl-C ended."""

_COMMANDS: Final = {
    "scan": "scan",
    "resolve": "resolve",
    "show": "looking",
    "monitor": "looking",
    "top": "top",
    "watch": "watch",
    "history": "history",
    "announce": "announce",
    "host": "host",
    "replay": "replay",
    "doctor": "doctor",
    "completion": "completion",
    "demo": "demo",
}
"""In the order of the help: each command, and the module of ``arguments`` that has its ``add_NAME``."""


class _Parser(argparse.ArgumentParser):
    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Refuse what is not known here, where it is: left to whoever called, it would be refused by the
        command of all commands, whose help does not help."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        complain(f"{self.prog}: {message} (see {self.prog} --help)")
        raise SystemExit(UNUSABLE)


def build_parser(command: str | None = None) -> argparse.ArgumentParser:
    """Return what parses the command line, with each command as it stands in the help; or, sooner, with this
    command alone."""
    parser = _Parser(
        prog="neighio",
        description="Linux's neighbouring subsystem, in user space.",
        epilog="neighio COMMAND --help says more.",
        allow_abbrev=False,
    )
    parser.add_argument("-V", "--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name in _COMMANDS if command is None else (command,):
        # Imported here: a command need not wait for the arguments of all others.
        module = import_module(f".arguments.{_COMMANDS[name]}", __name__)
        getattr(module, f"add_{name}")(commands)
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
    words = sys.argv[1:] if argv is None else argv
    if "_ARGCOMPLETE" in os.environ:
        from .completion import complete

        complete(build_parser())
    parser = build_parser(words[0] if words and words[0] in _COMMANDS else None)
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else UNUSABLE
    try:
        if arguments.version:
            from .. import __version__

            Output().line(f"neighio {__version__}")
            return 0
        if arguments.command is not None:
            return _find(arguments.run, alone=argv is None)(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        # Not from the command's work, of which each command tells itself: the output's disk is full.
        from .running import explain

        name = parser.prog if arguments.command is None else f"{parser.prog} {arguments.command}"
        complain(f"{name}: {explain(error)}")
        return UNUSABLE
    parser.print_help(sys.stderr)
    return UNUSABLE
