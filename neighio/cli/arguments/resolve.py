"""The arguments of ``neighio resolve``, and its help."""

from __future__ import annotations

from typing import Final

from .command import Commands, add_command, count, seconds

__all__ = ["add_resolve"]

_HELP: Final = """\
Ask now who has an address, by ARP or by Neighbour Discovery: one solicitation each, all at once, whatever
any table says.

Without --dev the kernel's routes say on which link to ask; behind a gateway it is the gateway that is
asked for. Without a source of their own, requests come from the address that the kernel would take."""

_MORE: Final = """\
examples:
  neighio resolve 198.51.100.7
  neighio resolve 198.51.100.7 2001:db8::7 --dev eth0 --json
  neighio resolve fe80::7%eth0                  a link-local address names its link, or --dev does
  neighio resolve 198.51.100.7 --count 5 --interval 0.2
  neighio resolve 198.51.100.7 --listen 1       who else says that it has it?
  neighio resolve 198.51.100.7 --source 0.0.0.0 ask without entering anybody's table

one JSON object a line, with these keys:
  ip             the address, as it was given
  via            the gateway that was asked for in its place, or null
  dev            the device
  number         which of its requests this was, from 1
  lladdr         the link-layer address that answered, or null
  round_trip_ms  milliseconds, or null: nobody answered, or nobody had to be asked (state NOARP)
  state          the entry's state afterwards: REACHABLE, STALE, ... ; null without an entry
  others         further link-layer addresses that have answered for it: duplicates
  error          why there is no lladdr, or null

exit status: 0 every address answered (at least one request), 1 some did not, 2 usage or privilege,
130 interrupted"""


def add_resolve(commands: Commands) -> None:
    """Add the command ``resolve``."""
    resolve = add_command(commands, "resolve", "resolve:resolve", "ask who has an address", _HELP, _MORE)
    resolve.add_argument("ip", nargs="+", metavar="IP", help="an IPv4 or IPv6 address")
    resolve.add_argument("--dev", help="the device on whose link to ask (default: by the routes)")
    resolve.add_argument("--source", metavar="IP", help="ask from this address of ours, 0.0.0.0 or ::")
    resolve.add_argument("--count", type=count, default=1, metavar="N", help="ask N times (default 1)")
    resolve.add_argument(
        "--interval", type=seconds, default=1.0, metavar="S", help="seconds between two times (default 1)"
    )
    resolve.add_argument(
        "--listen",
        type=seconds,
        default=0.1,
        metavar="S",
        help="listen for duplicates so many seconds after an answer (default 0.1)",
    )
    resolve.add_argument("--json", action="store_true", help="print JSON objects, one a line")
