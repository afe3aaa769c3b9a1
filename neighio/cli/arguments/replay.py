"""The arguments of ``neighio replay``."""

from __future__ import annotations

from typing import Final

from .command import Commands, add_command, picture

__all__ = ["add_replay"]

_HELP: Final = """\
Play a capture (pcap, pcapng, either in gzip) through Linux's neighbour table in virtual time, and show what
the table would have been: its events, itself at the end, its statistics, and what was odd.

Without --as it is the table of an observer, no station of the network, that learns from everything: it has
arp_accept and accept_untracked_na, takes an answer to anybody as an answer to it, and whoever asks as
known. It asks nobody, so nothing in it is INCOMPLETE, DELAY, PROBE or FAILED.

With --as it is the table of a station of the capture: what that station sent are the table's questions and
packets, what reached it is what the table hears. No answer is in the capture to what the station did not
ask: an entry that only the table would have probed rests at STALE. Give an address with its prefix length
(198.51.100.1/24) where it is known: packets to that prefix then go to neighbours of whom nobody tells.

Each interface and each VLAN is a link of its own ("eth0.10"; "link.10" where the capture names no
interface). On links without link-layer addresses (tunnels) a station is known by its IP address alone.
Captures are read with scapy: pip install 'neighio[scapy]'."""

_MORE: Final = """\
examples:
  neighio replay office.pcap
  neighio replay office.pcapng --as 198.51.100.1/24 --trace
  neighio replay office.pcap --as 02:00:00:00:00:07 --plot office.svg --summary
  neighio replay office.pcap --set ipv4.base_reachable_time=15 --json
  tcpdump -w - arp | neighio replay -

--set takes what /proc/sys/net/ipv4/neigh and /proc/sys/net/ipv4/conf have (for ipv6.: ipv6) and gc_thresh1
to 3, for all links. A station's table has Linux's values to begin with, an observer's holds 131,072
neighbours of each family. The random numbers of reachable_time are the same in every run.

a neighbour at the end: "used 3/40/12" are the seconds since it was used, confirmed and updated, as in
`ip -s neigh`

what is odd:
  moved      an address is at another link-layer address than before
  flip       it is back at one that it had before
  duplicate  two have it at once: both answered one question, or it went there and back within a minute
  storm      a station sends 100 messages a second, or a whole link 1,000

one JSON object a line (docs/schemas/replay.json), of these kinds:
  start      file, format, view ("observer" or "station"), station, began (of the first frame, UTC, or null)
  new, del,  as of `neighio monitor`: time (seconds from the first frame), wall (UTC, or null), address,
  miss       device, lladdr, state, flags, probes, refcnt, protocol
  change     in place of new, with --trace: a transition, as of `neighio monitor`
  anomaly    time, wall, anomaly (moved, ...), address, device, lladdr, other (where it was, or who has it,
             too), number
  entry      each neighbour at the end, as of `neighio show`
  link       device, frames, kinds (messages by kind), malformed (by reason), cut_short (by the snap length),
             drops (what the table refused, by reason)
  statistics family ("ipv4" or "ipv6"), entries, and the counters of /proc/net/stat
  duplicate  address, device, lladdrs, times, first, last (seconds from the first frame)
  storm      device, lladdr (null: the whole link), first, last, messages, peak (in a second)
  end        frames, seconds, unusable (frames of no link, by reason), untimed, set_back (how often the
             clock was), anomalies (how many of each), uncertain (null, or unknown_hops,
             known_before, unasked, refused), error (null, or why it ends with status 2 or 130)

exit status: 0 done, 2 usage, or a capture that cannot be read (to its end), or a picture or the output
that cannot be written, 130 interrupted. What there is until then is told, and drawn."""


def add_replay(commands: Commands) -> None:
    """Add the command ``replay``."""
    parser = add_command(
        commands,
        "replay",
        "replay:replay",
        "play a capture through a table, and show what it would have been",
        _HELP,
        _MORE,
    )
    parser.add_argument("file", metavar="FILE", help="the capture; - is the standard input")
    parser.add_argument(
        "--as",
        dest="station",
        metavar="ADDRESS|MAC",
        help="the station whose table it is, by its IP address (with /LENGTH) or its link-layer address",
    )
    parser.add_argument("-j", "--json", action="store_true", help="print JSON objects, one a line")
    parser.add_argument(
        "--plot", type=picture, metavar="FILE.svg", help="draw the neighbours' lives into this file"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="NAME=VALUE",
        help="a parameter, a switch or a threshold, as ipv4.base_reachable_time=2; repeated",
    )
    parser.add_argument(
        "--trace",
        action="store_true",
        help="tell of each transition, also of those that Linux does not tell of",
    )
    parser.add_argument(
        "--summary", action="store_true", help="leave the events and anomalies out, count them"
    )
