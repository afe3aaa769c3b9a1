"""The public view of an entry's state."""

from __future__ import annotations

import enum

from .core import constants

__all__ = ["NudState"]


class NudState(enum.IntFlag):
    """A neighbour's state (RFC 4861 7.3.2), with the kernel's bits: NUD_*."""

    NONE = constants.NUD_NONE
    INCOMPLETE = constants.NUD_INCOMPLETE
    REACHABLE = constants.NUD_REACHABLE
    STALE = constants.NUD_STALE
    DELAY = constants.NUD_DELAY
    PROBE = constants.NUD_PROBE
    FAILED = constants.NUD_FAILED
    NOARP = constants.NUD_NOARP
    PERMANENT = constants.NUD_PERMANENT

    IN_TIMER = constants.NUD_IN_TIMER
    VALID = constants.NUD_VALID
    CONNECTED = constants.NUD_CONNECTED
