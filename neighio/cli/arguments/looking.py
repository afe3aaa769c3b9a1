"""The arguments of the commands that look at neighbours, running instances' or the kernel's."""

from __future__ import annotations

import argparse
from typing import Final

from .command import Commands, add_command, add_family

__all__ = ["add_monitor", "add_show", "add_source", "add_watched"]

_SHOW_HELP: Final = """\
Show the neighbours of a running instance of neighio, or with --kernel the kernel's, in the columns of
iproute2's `ip neigh show`. As there, those in NONE and NOARP are shown only if asked for with --state.

An instance is a process that has a control socket: `neighio host --control`, or a program with
open_table(control=PATH). Without --control it is the one whose socket is in $XDG_RUNTIME_DIR/neighio."""

_SHOW_MORE: Final = """\
examples:
  neighio show
  neighio show --control /run/vip.sock --dev eth0 -s
  neighio show --kernel -6 --state stale --state reachable
  neighio show --kernel --state all --json

-s adds references, the seconds since the entry was used, confirmed and updated, and its probes:
  198.51.100.7 dev eth0 lladdr 02:00:00:00:00:07  ref 1 used 3/3/3probes 0 REACHABLE

one JSON object a line, with these keys (docs/schemas/entry.json):
  address    the IP address
  device     the device
  lladdr     the link-layer address, or null: the state has none
  state      NONE, INCOMPLETE, REACHABLE, STALE, DELAY, PROBE, FAILED, NOARP or PERMANENT
  flags      router, proxy, managed, extern_learn, offload, extern_valid
  probes     the probe counter
  refcnt     references beyond the table's own
  used, confirmed, updated   seconds since then
  protocol   who made the entry, a number as in /etc/iproute2/rt_protos; 0: nobody said

exit status: 0 done, 2 usage or privilege, no such instance, or several, 130 interrupted"""

_MONITOR_HELP: Final = """\
Tell of each change of the neighbours of a running instance of neighio, or with --kernel of the kernel's, as
it happens: in the form of iproute2's `ip -ts monitor neigh`, with the local time. Ctrl-C ends it.

With --trace each transition is told, those too that Linux keeps to itself ("silent")."""

_MONITOR_MORE: Final = """\
examples:
  neighio monitor
  neighio monitor --trace -6
  neighio monitor --kernel --dev eth0 --json
  neighio monitor --control /run/vip.sock

one JSON object a line (docs/schemas/change.json), of these kinds:
  begun      from here on nothing is missed
  new, del   the entry is so now (with --trace "change" says it); it has gone
  miss       an application is asked who has the address (app_solicit)
  change     a transition (--trace): old_state, state, old_lladdr, lladdr, old_flags, flags, the stimulus, and
             whether Linux tells of it (notified)
  lost       the kernel had more to tell than there was room for
all have time (seconds since the instance's, or the command's, start) and wall (the time of day, UTC); new,
del and miss have address, device, lladdr, state, flags, probes, refcnt and protocol, as `neighio show --json`

exit status: 0 the instance has ended, or nobody reads any more, 2 usage or privilege, no such instance, or
several, or changes were lost because nobody read them, 130 interrupted"""


def add_show(commands: Commands) -> None:
    """Add the command ``show``."""
    parser = add_command(
        commands,
        "show",
        "show:show",
        "show neighbours, an instance's or the kernel's",
        _SHOW_HELP,
        _SHOW_MORE,
    )
    add_source(parser)
    parser.add_argument(
        "-s", "--statistics", action="store_true", help="show references, ages and probes, too"
    )
    parser.add_argument(
        "--state",
        action="append",
        default=[],
        metavar="STATE",
        help="show those in this state, or in all; repeated",
    )
    parser.add_argument("-I", "--dev", help="show those on this device")
    add_family(parser, "show those of %s")
    parser.add_argument("-j", "--json", action="store_true", help="print JSON objects, one a line")


def add_monitor(commands: Commands) -> None:
    """Add the command ``monitor``."""
    parser = add_command(
        commands,
        "monitor",
        "monitor:monitor",
        "tell of changes of neighbours as they happen",
        _MONITOR_HELP,
        _MONITOR_MORE,
    )
    add_source(parser)
    parser.add_argument("-I", "--dev", help="tell of those on this device")
    add_family(parser, "tell of those of %s")
    parser.add_argument("--trace", action="store_true", help="tell of each transition (of an instance)")
    parser.add_argument("-j", "--json", action="store_true", help="print JSON objects, one a line")


def add_watched(parser: argparse.ArgumentParser) -> None:
    """Add the arguments by which a command that runs a table lets others look into it."""
    parser.add_argument(
        "--control",
        nargs="?",
        const="",
        metavar="PATH",
        help="let `neighio show`, `monitor` and `top` look into it, through a Unix socket there (default: "
        "$XDG_RUNTIME_DIR/neighio/PID.sock)",
    )
    parser.add_argument(
        "--metrics",
        metavar="[HOST:]PORT",
        help="serve metrics to Prometheus there, on the loopback interface unless told otherwise",
    )


def add_source(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """Add the arguments that say whose neighbours are looked at; return their group."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--kernel", action="store_true", help="the kernel's neighbours, not an instance's")
    source.add_argument(
        "--control",
        metavar="PATH",
        help="the instance that has its control socket there (default: the one in $XDG_RUNTIME_DIR/neighio)",
    )
    return source
