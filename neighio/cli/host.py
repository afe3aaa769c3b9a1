"""``neighio host``: a host in user space, a peer and a device under test."""

from __future__ import annotations

import logging
from argparse import Namespace

from ..errors import NeighioError
from . import UNUSABLE
from .host_life import Host
from .host_options import HostOptions
from .output import complain
from .running import run
from .verbose import tell_log

__all__ = ["host"]


def host(arguments: Namespace) -> int:
    """Run the command; return its exit status."""
    try:
        options = HostOptions.parse(arguments)
    except (ValueError, NeighioError) as error:
        complain(f"neighio host: {error}")
        return UNUSABLE
    if arguments.verbose:
        tell_log(logging.DEBUG)
    return run("host", Host(options).run)
