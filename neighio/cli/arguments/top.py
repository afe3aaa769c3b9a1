"""The arguments of ``neighio top``."""

from __future__ import annotations

from typing import Final

from .command import Commands, add_command, add_family
from .looking import add_source

__all__ = ["add_top"]

_HELP: Final = """\
A live table of the neighbours of a running instance of neighio, of the kernel's with --kernel, or with --dev
of those that are heard on a device: it learns from what is said there, and sends nothing by itself.

Above it, how many there are in each state, and how full the caches are beside gc_thresh1, 2 and 3."""

_MORE: Final = """\
examples:
  neighio top
  neighio top --control /run/vip.sock
  neighio top --kernel -4
  neighio top --dev eth0
  neighio top --kernel --once --sort changes

keys:
  q  quit                 s, S     sort by the next column, by the one before
  h  all keys             r        the other way round
  /  filter               1 to 9   show or hide a state; 0: all, or as at first
  f  IPv4, IPv6 or both   space    stop the picture, go on

CONF, UPD and USED are how long ago the neighbour was confirmed, changed and used; CHG counts the changes of
its state, address or flags that were seen here. The kernel counts in all namespaces together how full its
caches are. A neighbour's packets are not counted: look-ups, hits and failed resolutions are, of each cache.

It needs a terminal, of another type than "dumb". `neighio show --json` and `neighio monitor --json` have the
same for programs.

exit status: 0 done, or the instance has ended, 2 usage or privilege, no such instance, or several, no
terminal, 130 interrupted"""

_COLUMNS: Final = (
    "address",
    "device",
    "lladdr",
    "state",
    "confirmed",
    "updated",
    "used",
    "probes",
    "changes",
    "last-change",
)


def add_top(commands: Commands) -> None:
    """Add the command ``top``."""
    parser = add_command(
        commands, "top", "top:top", "watch a live table of neighbours, sorted and filtered", _HELP, _MORE
    )
    source = add_source(parser)
    source.add_argument("-I", "--dev", help="those that are heard on this device, by a table of its own")
    add_family(parser, "begin with those of %s")
    parser.add_argument(
        "--sort",
        choices=_COLUMNS,
        default=_COLUMNS[0],
        metavar="COLUMN",
        help=f"begin in the order of this column: {', '.join(_COLUMNS)} (default: %(default)s)",
    )
    parser.add_argument("--once", action="store_true", help="print it once, as plain lines, and end")
