"""The public view of an entry's state."""

from __future__ import annotations

import enum

from .core import constants

__all__ = ["NudState", "parse_nud"]


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


def parse_nud(value: int | str) -> int:
    """Return NUD_* bits from bits or from a name as iproute2 takes it ("reachable").

    Raises:
        ValueError: no state has this name, or the bits are more than eight; the message names the field.
    """
    if isinstance(value, str):
        try:
            return int(NudState[value.upper()])
        except KeyError:
            known = ", ".join(state.name.lower() for state in NudState if state.name)
            raise ValueError(f"nud: no state {value!r}; there is none, {known}") from None
    if not 0 <= value <= 0xFF:
        raise ValueError(f"nud: {value!r} is no state")
    return int(value)
