"""The arguments of ``neighio host``, and its help."""

from __future__ import annotations

from typing import Final

from .command import Commands, add_command
from .looking import add_watched

__all__ = ["add_host"]

_HELP: Final = """\
Be a host in user space, in the foreground: a peer, and a device under test.

It has addresses of its own: it makes sure that they are nobody else's before it uses them, answers for them
and to pings, and knows the rest of the link by Linux's neighbour table. Of the interface it takes the frames
alone: the kernel need not have an address there. With --tap the kernel's interface is the other end of the
link."""

_MORE: Final = """\
examples:
  neighio host --dev v1 --address 198.51.100.1/24 --address 2001:db8::1/64 --address fe80::1/64 --no-dad
  neighio host --dev v1 --mac 02:00:00:00:00:0a --address 198.51.100.1/24 --route default via 198.51.100.254
  neighio host --dev v1 --address 198.51.100.1/24 --set ipv4.base_reachable_time=2 --set ipv4.arp_accept=1
  neighio host --tap tap0 --address 198.51.100.1/24 --monitor json
  neighio host --dev eth0 --address 198.51.100.1/24 --control --metrics 9188

--set, and the command, take what /proc/sys/net/ipv4/neigh and /proc/sys/net/ipv4/conf have (for ipv6.: ipv6)
and gc_thresh1 to 3. Times are seconds, of the names with _ms milliseconds.

standard output: "ready" when it answers for its addresses, and each change of its table:
  --monitor text   a line as iproute2's `ip monitor neigh` prints it
  --monitor json   a JSON object a line (docs/schemas/host.json): kind (ready, new, del, miss, address,
                   conflict, failed, link), time (seconds from the start), wall (the time of day), address,
                   device, lladdr, state, flags, probes, refcnt, protocol. "failed": a packet of ours was
                   not sent, where Linux reports it; "link": the interface, its present, up and carrier;
                   "address": one of its own is in use from now on; "ready": monotonic is the start by
                   CLOCK_MONOTONIC

standard input: commands, a line each. The answer is a line of JSON, {"ok": true, ...} or {"ok": false,
"error": TEXT, "errno": NAME}, and stands behind what the command caused at once. Empty lines and those that
begin with # are nothing.
  show [IP] | show proxy | stats
  add|change|replace|append|del   as `ip neigh`: IP [lladdr L] [nud STATE] [router] [use] [managed]
                                  [extern_learn] [extern_valid] [protocol P] [dev D] | proxy IP [dev D]
  flush [dev D] [nud STATE]       as `ip neigh flush`
  send IP [BYTES] [from IP] [confirm]   a UDP datagram to port 9, by the routes; confirm: as MSG_CONFIRM
  use IP | confirm IP             as if a packet were to go there; the upper layer saw progress
  link down | link up             the interface
  set NAME=VALUE ...              tells a reachable_time that was drawn because of it
  address add IP/LENGTH [dad|nodad|optimistic] | address del IP
                                  answered at once: addresses are those in use, tentative those that are not
                                  yet, for their detection is under way. How that ends is told, by --monitor
                                  json as "address" or "conflict"; "stats" knows it, too
  route add|del NET [via GATEWAY]
  announce [IP ...] [repeat N] [interval SECONDS] [backoff FACTOR] [form request|reply|both]
                                  tell the neighbours where we are; of all addresses when none is named
  draw ipv4|ipv6 SECONDS          for tests: have the last reachable_time drawn as this
  collect ipv4|ipv6               for tests: have the periodic collection run now
  quit

exit status: 0 its input ended (or quit, SIGTERM, or nobody reads what it prints), 1 somebody has one of its
addresses, or its TAP device was removed, 2 usage or privilege, 130 interrupted"""


def add_host(commands: Commands) -> None:
    """Add the command ``host``."""
    host = add_command(commands, "host", "host:host", "be a host in user space", _HELP, _MORE)
    where = host.add_mutually_exclusive_group(required=True)
    where.add_argument("-I", "--dev", help="the interface on whose link to be")
    where.add_argument("--tap", metavar="NAME", help="a TAP device to make, or to open, and be behind")
    host.add_argument("--mac", help="the link-layer address to have (default: the interface's)")
    host.add_argument(
        "--address", action="append", default=[], metavar="IP/LENGTH", help="an address to have; repeated"
    )
    host.add_argument("--no-dad", action="store_true", help="have the addresses without asking for them")
    host.add_argument(
        "--defence",
        choices=["none", "cease", "once", "always"],
        default="none",
        help="what to do when somebody else uses an IPv4 address of ours (RFC 5227 2.4): tell of it, as "
        "Linux; give it up; defend it once in 10 s; or always (default: none)",
    )
    host.add_argument(
        "--notify-routers",
        action="store_true",
        help="tell all routers of each new IPv6 address (RFC 9131 6.1.2)",
    )
    host.add_argument(
        "--route",
        action="append",
        nargs="+",
        default=[],
        metavar=("NET", "via GATEWAY"),
        help="a network beyond the link, or on it; repeated",
    )
    host.add_argument("--forwarding", action="store_true", help="be a router")
    host.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="NAME=VALUE",
        help="a parameter or a switch, as ipv4.base_reachable_time=2; repeated",
    )
    host.add_argument("--monitor", choices=["text", "json"], help="print each change of the table")
    host.add_argument(
        "-v", "--verbose", action="store_true", help="tell each transition on standard error, silent ones too"
    )
    host.add_argument(
        "-j", "--json", action="store_const", const="json", dest="monitor", help="the same as --monitor json"
    )
    add_watched(host)
