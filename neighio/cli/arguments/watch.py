"""The arguments of ``neighio watch``, and its help."""

from __future__ import annotations

import argparse
from typing import Final, NamedTuple

from .command import Commands, add_command, count
from .times import duration

__all__ = ["Keep", "add_watch"]

_HELP: Final = """\
Watch who is on a link over time, IPv4 and IPv6, and keep it in a database.

It listens and sends nothing: ARP and Neighbour Discovery, also between others as far as the link delivers
them. A report is a line, told when it is in the database, and once: what is seen again is counted, and told
of again after 10 minutes, then 20, at last once a day. Ctrl-C ends it. `neighio history` reads the database,
also meanwhile."""

_MORE: Final = """\
examples:
  sudo neighio watch --db lan.db
  sudo neighio watch --db lan.db -I eth0 -I eth0.5 --keep 30d --json
  sudo neighio watch --db lan.db -v 2>watch.log

reports, of which those with ! are alarms:
  new          a station was never heard before
  moved        an address is at another link-layer address than before
  flip         it is back at one that it had before
  failover     it went to a router's virtual link-layer address (VRRP, CARP, HSRP, GLBP)
  duplicate !  two have it at once: both answered one question, or within a minute it changed to and fro
  own       !  somebody else claims an address of this host
  storm     !  a station sends 100 messages in a second, or the link 1000
What routers do among themselves, a virtual link-layer address that goes from one to another, is none.

--keep DURATION[,ROWS]: what is older is deleted, and of more rows than that the oldest, of addresses first
those that were heard once (default: 90d,100000)

one JSON object a line (docs/schemas/watch.json), of these kinds:
  begun        from here on nothing is missed; devices
  a report     id (its row in the database), time (seconds since the start), wall (the time of day, UTC),
               alarm, device, address, lladdr, other (where the address was before, or who has it, too), since
               (when it was reported first), times (how often it was seen since), note
  lost         frames came faster than they could be read; device, frames

exit status: 0 nobody reads any more, or SIGTERM, 2 usage, privilege, or the database cannot be used, or no
longer, 130 interrupted"""


class Keep(NamedTuple):
    """What is kept: what is younger than so many seconds, and so many rows of each table."""

    seconds: float
    rows: int


def _keep(text: str) -> Keep:
    seconds, comma, rows = text.partition(",")
    return Keep(duration(seconds), count(rows) if comma else _DEFAULT.rows)


_DEFAULT: Final = Keep(90 * 86400.0, 100_000)


def add_watch(commands: Commands) -> None:
    """Add the command ``watch``."""
    watch: argparse.ArgumentParser = add_command(
        commands, "watch", "watch:watch", "watch who is on a link over time", _HELP, _MORE
    )
    watch.add_argument(
        "--db", required=True, metavar="FILE", help="the database; it is made if there is none"
    )
    watch.add_argument(
        "-I",
        "--dev",
        action="append",
        default=[],
        dest="devices",
        metavar="DEV",
        help="a device to listen on; repeated (default: each Ethernet device that is up)",
    )
    watch.add_argument(
        "--keep", type=_keep, default=_DEFAULT, metavar="DURATION", help="how long to keep what was heard"
    )
    watch.add_argument("-j", "--json", action="store_true", help="print JSON objects, one a line")
    watch.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="tell on standard error what is no report: each address that is met, each device",
    )
