"""The arguments of ``neighio demo``, and its help."""

from __future__ import annotations

from typing import Final

from .command import Commands, add_command

__all__ = ["add_demo"]

_HELP: Final = """\
Watch neighbours live and die, in about ten seconds.

It makes a network namespace of its own, in which the running kernel is the peer, and needs no root. Where
there are no namespaces it plays on a segment in memory, and says why."""


def add_demo(commands: Commands) -> None:
    """Add the command ``demo``."""
    demo = add_command(commands, "demo", "demo:demo", "watch neighbours live and die", _HELP)
    demo.add_argument("--memory", action="store_true", help="play in memory even where namespaces work")
