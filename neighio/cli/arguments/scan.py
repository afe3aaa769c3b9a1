"""The arguments of ``neighio scan``, and its help."""

from __future__ import annotations

import argparse
import math
from typing import Final

from .command import Commands, add_command, add_family, count, seconds

__all__ = ["add_scan"]

_HELP: Final = """\
Ask everybody on a link who is there, by ARP (IPv4) and by Neighbour Discovery (IPv6), in random order, at a
pace that networks bear.

NET is an address, a network (198.51.100.0/24), or a range: 198.51.100.1-198.51.100.99 or, for short,
198.51.100.1-99; 2001:db8::1-ff. Several may be given, with blanks or commas between them, and -f reads them
from a file, in which # begins a remark.

An IPv6 network is too large to be asked address by address. With --localnet the device's IPv6 stations are
found by an echo request to all nodes (ff02::1), and who answers is then solicited.

Without --dev it is the device that the routes name; with --localnet alone the one of the default route."""

_MORE: Final = """\
examples:
  neighio scan -l
  neighio scan -l --vendor --dev eth0
  neighio scan 198.51.100.1-99 198.51.100.200 --tries 2 --interval 0.3 --absent
  neighio scan -l -6 --json
  neighio scan -f hosts.txt -q
  neighio scan 198.18.0.0/16 --rate max         in a laboratory: it is a burst like an attack's

A line for each answer, as it comes: the address, its link-layer address, the round trip; then, with --vendor,
who made the network card, or that the address is locally administered, as virtual and random ones are.
The round trip is counted from the last request before the answer. "try 2" says that it was the second: an
answer does not say which request it answers, and if it was the first, it took an --interval longer.
An address that answers from a second link-layer address has a second line, marked as a duplicate.
-r, -t, -I, -l, -f, -q are arp-scan's letters; -t is in milliseconds, as there.

Vendors' names are read from what arp-scan, wireshark, nmap, ieee-data or hwdata brought, or from the package
aiooui: pip install 'neighio[vendors]'.

one JSON object a line, of these kinds (docs/schemas/scan.json):
  start    device, lladdr, networks, asked (how many addresses), own (those of this host's left out)
  found    address, device, lladdr, round_trip_ms, number (the request that it is counted from, from 1: above
           1 it may have answered an earlier one), local (locally administered), vendor (null: unknown, or not
           asked for), others (further link-layer addresses that answered for it: duplicates)
  absent   address, device: it did not answer (--absent)
  end      answered, asked, requests, seconds, rate (requests a second), duplicates, interrupted,
           error (null, or why it ends with status 2)
all have time (seconds since the first) and wall (the time of day, UTC)

exit status: 0 somebody answered, and every address that was given singly, 1 nobody, or one of these did not,
2 usage, privilege or system error, 130 interrupted"""


def add_scan(commands: Commands) -> None:
    """Add the command ``scan``."""
    scan = add_command(commands, "scan", "scan:scan", "ask who is there on a whole network", _HELP, _MORE)
    scan.add_argument("networks", nargs="*", metavar="NET", help="an address, a network or a range")
    scan.add_argument("-l", "--localnet", action="store_true", help="the device's own networks")
    scan.add_argument(
        "-f",
        "--file",
        metavar="FILE",
        help="read what to ask from a file, or standard input (-)",
    )
    scan.add_argument("-I", "--dev", help="the device on whose link to ask")
    add_family(scan, "ask by %s alone")
    scan.add_argument(
        "--rate",
        type=_rate,
        default=1000.0,
        metavar="PPS|max",
        help="requests a second at most, or as fast as it goes (default: 1000)",
    )
    scan.add_argument(
        "-r",
        "--tries",
        "--retry",
        type=count,
        default=3,
        metavar="N",
        help="ask whoever does not answer N times in all (default: 3)",
    )
    wait = scan.add_mutually_exclusive_group()
    wait.add_argument(
        "--interval",
        type=seconds,
        default=1.0,
        metavar="S",
        help="seconds between two tries, and after the last (default: 1)",
    )
    wait.add_argument(
        "-t",
        "--timeout",
        type=_milliseconds,
        dest="interval",
        # Of two defaults of one name the one that is not suppressed holds.
        default=argparse.SUPPRESS,
        metavar="MS",
        help="the same in milliseconds",
    )
    scan.add_argument(
        "--listen",
        type=seconds,
        metavar="S",
        help="when all have answered, listen for duplicates so long (default: 0.1; with --rate max 0)",
    )
    scan.add_argument("--vendor", action="store_true", help="name who made each network card")
    scan.add_argument("--absent", action="store_true", help="tell at the end who did not answer, too")
    scan.add_argument("--yes", action="store_true", help="scan more than 2^20 addresses")
    scan.add_argument("--force", action="store_true", help="scan a network that is not on the device's link")
    form = scan.add_mutually_exclusive_group()
    form.add_argument(
        "-q", "--quiet", action="store_true", help="print addresses and link-layer addresses alone"
    )
    form.add_argument("-j", "--json", action="store_true", help="print JSON objects, one a line")


def _rate(text: str) -> float:
    """A number of requests a second, above 0; or "max"."""
    if text == "max":
        return math.inf
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number above 0 nor max")
    return value


def _milliseconds(text: str) -> float:
    """A number of milliseconds, 0 or more; in seconds."""
    try:
        return seconds(text) / 1000
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of milliseconds") from None
