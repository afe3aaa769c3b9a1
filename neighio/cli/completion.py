"""Completion by a shell: the script of ``neighio completion``, and what stands for the word under the cursor.

The script has the shell run ``neighio`` itself, which then answers and does nothing else: see argcomplete.
"""

from __future__ import annotations

import argparse
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from ..records import json_line
from . import UNUSABLE
from .neighbours import STATES
from .output import Output, complain, printable

__all__ = ["complete", "completion"]


def completion(arguments: argparse.Namespace) -> int:
    """Run the command; return its exit status."""
    try:
        from argcomplete.shell_integration import shellcode
    except ImportError:
        missing = "the package argcomplete is missing: pip install 'neighio[cli]'"
        complain(f"neighio completion: {missing}")
        return UNUSABLE
    # Where there is nothing to say a shell would offer files.
    script = shellcode(["neighio"], shell=arguments.shell, use_defaults=False)
    Output().line(json_line({"shell": arguments.shell, "script": script}) if arguments.json else script)
    return 0


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell that asks in the environment, and end the process. Without argcomplete return."""
    try:
        from argcomplete import autocomplete
    except ImportError:
        return
    for action in _actions(parser):
        metavar = action.metavar if isinstance(action.metavar, str) else ""
        if action.dest in _WORDS:
            words = _WORDS[action.dest]
            action.completer = lambda words=words, **_: words()  # type: ignore[attr-defined]  # argcomplete's
        elif action.choices is None and not metavar.startswith(_FILES):
            # What nobody knows beforehand must not be completed as a file's name.
            action.completer = lambda **_: []  # type: ignore[attr-defined]  # argcomplete's
    autocomplete(parser)


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield each argument of a parser, and of the commands in it."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)


def _devices() -> list[str]:
    """The devices that there are; a terminal is shown their names."""
    names = (name for _, name in socket.if_nameindex())
    return [name for name in names if printable(name) == name]


def _states() -> list[str]:
    return ["all", *map(str.lower, STATES)]


# By what an argument is stored as.
_WORDS: Final[Mapping[str, Callable[[], list[str]]]] = {
    "dev": _devices,
    "devices": _devices,
    "state": _states,
}
# How an argument is called whose value is a file.
_FILES: Final = ("FILE", "PATH")
