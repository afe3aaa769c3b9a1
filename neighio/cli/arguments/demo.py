"""The arguments of ``neighio demo``, and its help."""

from __future__ import annotations

from typing import Final

from .command import Commands, add_command

__all__ = ["add_demo"]

_HELP: Final = """\
Watch neighbours live and die, in about ten seconds.

It makes a network namespace of its own, in which the running kernel is the peer, and needs no root. Where
there are no namespaces it plays on a segment in memory, and says why."""


_MORE: Final = """\
examples:
  neighio demo
  neighio demo --memory --json | jq -r 'select(.kind == "change") | [.time, .address, .state] | @tsv'

one JSON object a line (docs/schemas/demo.json), of these kinds:
  start   where (who answers)
  remark  text: what is done now
  change  a transition, as of `neighio monitor --trace`, and its meaning
all have time (seconds since the start) and wall (the time of day, UTC)

exit status: 0 it was played, or nobody reads any more, 2 usage or system error, 130 interrupted"""


def add_demo(commands: Commands) -> None:
    """Add the command ``demo``."""
    demo = add_command(commands, "demo", "demo:demo", "watch neighbours live and die", _HELP, _MORE)
    demo.add_argument("--memory", action="store_true", help="play in memory even where namespaces work")
    demo.add_argument("-j", "--json", action="store_true", help="print JSON objects, one a line")
