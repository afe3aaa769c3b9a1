"""The arguments of ``neighio announce``, and its help."""

from __future__ import annotations

from typing import Final

from .command import Commands, add_command, count, seconds

__all__ = ["add_announce"]

_HELP: Final = """\
Tell everybody on a link that an address is here: one that this host has just taken over, from a host that
failed. Neighbours that know it elsewhere change their minds, and bridges learn the way.

IPv4 addresses are announced by gratuitous ARP, IPv6 addresses by unsolicited neighbour advertisements to all
nodes, with the override flag. The link is the one of the interface that has the address."""

_MORE: Final = """\
examples:
  neighio announce 198.51.100.10
  neighio announce 198.51.100.10 2001:db8::10 --repeat 5 --both --verify
  neighio announce 198.51.100.10 -I eth0 -A -c 3 -w 5          as arping has it
  neighio announce 198.51.100.10 -I eth0 --mac 00:00:5e:00:01:07   a virtual router's
  neighio announce fe80::10%eth0 --json

Some neighbours heed gratuitous requests alone, some replies: --both sends one of each every time.

--verify then asks, as a host that wants the address would, whether somebody else answers for it: a former
owner that does not know that it has lost it. It asks twice, a second each.

one JSON object a line, of these kinds (docs/schemas/announce.json):
  announced  address, device, lladdr (what was told), number (which of its announcements, from 1), forms
             (request, reply, advertisement), error (null, or why it did not get out)
  verified   address, device, others (link-layer addresses that answer for it and are not this host's),
             own_devices (this host's that answer for it beside the announcing one: see arp_ignore)
both have time (seconds since the start) and wall (the time of day, UTC)

exit status: 0 done, 1 somebody else answers for an address too, or an announcement did not get out, 2 usage,
privilege or system error, 130 interrupted"""


def add_announce(commands: Commands) -> None:
    """Add the command ``announce``."""
    announce = add_command(
        commands, "announce", "announce:announce", "tell everybody where an address is", _HELP, _MORE
    )
    announce.add_argument("ip", nargs="+", metavar="ADDRESS", help="an address of this host")
    announce.add_argument(
        "-I", "--dev", help="the device on whose link to announce (default: the one that has the address)"
    )
    announce.add_argument(
        "-c",
        "--repeat",
        "--count",
        type=count,
        default=3,
        metavar="N",
        help="announce each N times (default: 3: one may be lost, RFC 4861 7.2.6)",
    )
    announce.add_argument(
        "--interval", type=seconds, default=1.0, metavar="S", help="seconds between two times (default: 1)"
    )
    announce.add_argument(
        "-w",
        "--deadline",
        type=seconds,
        metavar="S",
        help="announce no more after so many seconds",
    )
    form = announce.add_mutually_exclusive_group()
    form.add_argument(
        "-U",
        "--request",
        action="store_const",
        const="request",
        dest="form",
        help="gratuitous ARP as requests (the default)",
    )
    form.add_argument(
        "-A", "--reply", action="store_const", const="reply", dest="form", help="gratuitous ARP as replies"
    )
    form.add_argument(
        "--both", action="store_const", const="both", dest="form", help="gratuitous ARP as one of each"
    )
    announce.add_argument("--verify", action="store_true", help="then ask whether somebody else answers, too")
    announce.add_argument(
        "--mac", metavar="M", help="tell this link-layer address, and send from it (default: the device's)"
    )
    announce.add_argument(
        "--force", action="store_true", help="announce what the device does not have, as well"
    )
    printed = announce.add_mutually_exclusive_group()
    printed.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
    printed.add_argument("-j", "--json", action="store_true", help="print JSON objects, one a line")
