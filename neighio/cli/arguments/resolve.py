"""The arguments of ``neighio resolve``, and its help."""

from __future__ import annotations

from typing import Final

from .command import Commands, add_command, add_family, count, seconds

__all__ = ["add_resolve"]

_HELP: Final = """\
Ask now who has an address, by ARP or by Neighbour Discovery: one solicitation each, all at once, whatever
any table says.

A host name is looked up first; of its addresses the first is asked for, with -4 or -6 the first of these.

Without --dev the kernel's routes say on which link to ask; behind a gateway it is the gateway that is
asked for. Without a source of their own, requests come from the address that the kernel would take."""

_MORE: Final = """\
examples:
  neighio resolve 198.51.100.7
  neighio resolve 198.51.100.7 2001:db8::7 -I eth0 --json
  neighio resolve -4 printer printer.example
  neighio resolve fe80::7%eth0                  a link-local address names its link, or --dev does
  neighio resolve 198.51.100.7 -c 5 -i 0.2
  neighio resolve 198.51.100.7 -c 100000 -w 60  for a minute
  neighio resolve 198.51.100.7 -q && echo it is there
  neighio resolve 198.51.100.7 --unicast        is it still where the kernel knows it?
  neighio resolve 198.51.100.7 --listen 1       who else says that it has it?
  neighio resolve 198.51.100.7 -s 0.0.0.0       ask without entering anybody's table

one JSON object a line (docs/schemas/resolve.json), of the kind "request" for each request, with
  time, wall     seconds since the start, and the time of day, UTC
  name           the host name that was given, or null
  address        the IP address
  device         the device on whose link it was asked for
  via            the gateway that was asked for in its place, or null
  number         which of its requests this was, from 1
  lladdr         the link-layer address that answered, or null
  round_trip_ms  milliseconds, or null: nobody answered, or nobody had to be asked (state NOARP)
  state          the entry's state afterwards: REACHABLE, STALE, ... ; null without an entry
  others         further link-layer addresses that have answered for it: duplicates
  error          why there is no lladdr, or null
with --count above 1, and at Ctrl-C too, one of the kind "summary" for each address at the end: name,
address, device, via, asked, answered, lost_percent, min_ms, median_ms and max_ms (null: nobody answered)

exit status: 0 every address answered (at least one request), 1 some did not, 2 usage or privilege,
or nobody could be asked (a device that is down; no summary then), 130 interrupted"""


def add_resolve(commands: Commands) -> None:
    """Add the command ``resolve``."""
    resolve = add_command(commands, "resolve", "resolve:resolve", "ask who has an address", _HELP, _MORE)
    resolve.add_argument("ip", nargs="+", metavar="HOST", help="an IPv4 or IPv6 address, or a host name")
    resolve.add_argument("-I", "--dev", help="the device on whose link to ask (default: by the routes)")
    add_family(resolve, "ask for %s addresses alone, also of names")
    resolve.add_argument("-s", "--source", metavar="IP", help="ask from this address of ours, 0.0.0.0 or ::")
    resolve.add_argument("-c", "--count", type=count, default=1, metavar="N", help="ask N times (default: 1)")
    resolve.add_argument(
        "-i",
        "--interval",
        type=seconds,
        default=1.0,
        metavar="S",
        help="seconds between two times (default: 1)",
    )
    resolve.add_argument(
        "-w",
        "--deadline",
        type=seconds,
        metavar="S",
        help="end after so many seconds, whatever was asked and answered by then",
    )
    resolve.add_argument(
        "--unicast",
        action="store_true",
        help="ask the link-layer address alone that the kernel has for the address, or that answered before; "
        "without one it is everybody that is asked",
    )
    resolve.add_argument(
        "--listen",
        type=seconds,
        default=0.1,
        metavar="S",
        help="listen for duplicates so many seconds after an answer (default: 0.1)",
    )
    form = resolve.add_mutually_exclusive_group()
    form.add_argument("-q", "--quiet", action="store_true", help="print nothing; the exit status says it")
    form.add_argument("-j", "--json", action="store_true", help="print JSON objects, one a line")
