"""How a command is added, and what the values of its arguments may be."""

from __future__ import annotations

import argparse
import math
import os
from typing import TYPE_CHECKING, Any

__all__ = ["Commands", "add_command", "add_family", "count", "picture", "seconds"]

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[Any]
    """Where commands are added."""
else:
    Commands = Any


def add_command(
    commands: Commands, name: str, run: str, brief: str, description: str, epilog: str | None = None
) -> argparse.ArgumentParser:
    """Add a command and return its parser.

    Args:
        commands: where to.
        name: the command.
        run: what runs it, as "module:function"; the module is one of :mod:`neighio.cli`. It is given the
            arguments and returns the exit status.
        brief: a line for the list of commands.
        description: what it does.
        epilog: examples, keys of the JSON objects, exit statuses.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=brief,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    return parser


def add_family(parser: argparse.ArgumentParser, wording: str) -> None:
    """Add ``-4`` and ``-6``, which leave 4, 6 or None in ``family``.

    ``wording`` is their help, with "%s" for the name of the family.
    """
    family = parser.add_mutually_exclusive_group()
    for version in (4, 6):
        family.add_argument(
            f"-{version}",
            action="store_const",
            const=version,
            dest="family",
            help=wording % f"IPv{version}",
        )


def count(text: str) -> int:
    """A whole number above 0."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return value


def picture(text: str) -> str:
    """A file for a picture, which is SVG; or a device or a pipe, whose name promises nothing."""
    if not text.lower().endswith(".svg") and (os.path.isfile(text) or not os.path.exists(text)):
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .svg, and no other picture is drawn")
    return text


def seconds(text: str) -> float:
    """A number of seconds, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return value
