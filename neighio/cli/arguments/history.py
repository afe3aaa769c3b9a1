"""The arguments of ``neighio history``, and its help."""

from __future__ import annotations

from typing import Final

from .command import Commands, add_command, picture
from .times import instant

__all__ = ["add_history"]

_HELP: Final = """\
Tell what `neighio watch` has kept of an IP address, or of a station by its link-layer address: where it was,
from when to when, and what was reported of it. A watcher may be writing meanwhile."""

_MORE: Final = """\
examples:
  neighio history --db lan.db 198.51.100.7
  neighio history --db lan.db 02:00:00:00:00:07 --since 2h
  neighio history --db lan.db fe80::7 --since 2026-01-31T09:00 --json
  neighio history --db lan.db 198.51.100.7 --since 3d --plot lan.svg

one JSON object a line (docs/schemas/history.json), of these kinds:
  stay         an address at a link-layer address: device, address, lladdr, began, ended, messages (how many
               said so), note
  a report     as `neighio watch --json` prints it, without time: new, moved, flip, failover, duplicate, own,
               storm; wall is when it was seen last
in the order of their beginnings. Times of day are UTC; in text they are local.

exit status: 0 it is known, 1 it is not, or not since then, 2 usage, or the database cannot be read,
130 interrupted"""


def add_history(commands: Commands) -> None:
    """Add the command ``history``."""
    history = add_command(
        commands, "history", "history:history", "tell where a station or an address was", _HELP, _MORE
    )
    history.add_argument("who", metavar="IP|MAC", help="an IP address, or a link-layer address")
    history.add_argument(
        "--db",
        required=True,
        metavar="FILE",
        help="the database of `neighio watch`",
    )
    history.add_argument(
        "--since", type=instant, metavar="T", help="tell what was so later than this: 2h, 3d, or a time"
    )
    history.add_argument("-j", "--json", action="store_true", help="print JSON objects, one a line")
    history.add_argument("--plot", type=picture, metavar="FILE.svg", help="draw a picture, too")
