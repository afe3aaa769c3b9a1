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
  neighio top --json | jq -c '[.wall, .states.FAILED]'

keys:
  q  quit                 s, S     sort by the next column, by the one before
  h  all keys             r        the other way round
  /  filter               1 to 9   show or hide a state; 0: all, or as at first
  f  IPv4, IPv6 or both   space    stop the picture, go on

CONF, UPD and USED are how long ago the neighbour was confirmed, changed and used; CHG counts the changes of
its state, address or flags that were seen here. The kernel counts in all namespaces together how full its
caches are. A neighbour's packets are not counted: look-ups, hits and failed resolutions are, of each cache.

It needs a terminal, of another type than "dumb", or --once, or --json.

one JSON object a line, a second after the other, with these keys (docs/schemas/top.json):
  time, wall  seconds since the first object, and the time of day, UTC
  whose       whose neighbours these are, as above the live table
  states      how many there are in each state, whether they are shown or not
  caches      ipv4 and ipv6: entries, gc_thresh1 to 3, and lookups_per_second, hits_per_second and
              failed_per_second since the object before (null in the first)
  losses      how often more happened than could be told of, so that all was read anew
  entries     the neighbours that are shown, in order: address, device, lladdr, state, flags, probes; used,
              confirmed and updated, seconds since then; changes (how many of its state, address or flags were
              seen), changed (seconds since the last one, or null) and change (what it was, or null)

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
    parser.add_argument(
        "--once", action="store_true", help="print it once, as plain lines, and end (not with --dev)"
    )
    parser.add_argument(
        "-j", "--json", action="store_true", help="print JSON objects, one a line, each second or --once"
    )
