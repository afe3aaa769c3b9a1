"""The neighbour unreachability detection machine's transitions, as data.

The machine asks :func:`allowed` at the one place where it changes a state, tests walk states x stimuli
against the rows in both directions, and the documentation's diagram is drawn from them. What has no row
leaves the state as it is and is told to nobody. Sources: RFC 4861 7.3.2, __neigh_event_send,
neigh_timer_handler, __neigh_update and neigh_flush_one.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .constants import (
    NUD_DELAY,
    NUD_FAILED,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
)

__all__ = ["STATES", "TRANSITIONS", "Transition", "allowed"]

STATES: Final = (
    NUD_NONE,
    NUD_INCOMPLETE,
    NUD_REACHABLE,
    NUD_STALE,
    NUD_DELAY,
    NUD_PROBE,
    NUD_FAILED,
    NUD_NOARP,
    NUD_PERMANENT,
)

_SUSPECT: Final = (NUD_STALE, NUD_DELAY, NUD_PROBE)
_DYNAMIC: Final = (NUD_REACHABLE, *_SUSPECT)
_UNRESOLVED: Final = (NUD_NONE, NUD_INCOMPLETE, NUD_FAILED)


class Transition(NamedTuple):
    """One arrow: from any of ``old``, on ``stimulus`` and under ``condition``, to ``new``.

    The conditions of one state and stimulus are tried in the order of the rows. ``event`` is the state
    that Linux's notification shows, or None where Linux is silent; it differs from ``new`` where the
    notification, a snapshot, comes after something else has happened.
    """

    old: tuple[int, ...]
    stimulus: str
    condition: str
    new: int
    event: int | None


TRANSITIONS: Final = (
    # output: a packet, or the wish for an address
    Transition((NUD_NONE, NUD_FAILED), "output", "may solicit", NUD_INCOMPLETE, None),
    Transition((NUD_NONE, NUD_FAILED), "output", "no probes configured", NUD_FAILED, None),
    Transition((NUD_STALE,), "output", "always", NUD_DELAY, None),
    # timer; a state with probes left sends the next one
    Transition((NUD_REACHABLE,), "timer", "confirmed within reachable_time", NUD_REACHABLE, None),
    Transition((NUD_REACHABLE,), "timer", "used within delay_first_probe_time", NUD_DELAY, None),
    Transition((NUD_REACHABLE,), "timer", "otherwise", NUD_STALE, NUD_STALE),
    Transition(
        (NUD_DELAY,), "timer", "confirmed within delay_first_probe_time", NUD_REACHABLE, NUD_REACHABLE
    ),
    Transition((NUD_DELAY,), "timer", "no probes configured, EXT_VALIDATED", NUD_STALE, NUD_STALE),
    Transition((NUD_DELAY,), "timer", "no probes configured", NUD_FAILED, NUD_FAILED),
    Transition((NUD_DELAY,), "timer", "otherwise", NUD_PROBE, NUD_PROBE),
    Transition((NUD_INCOMPLETE,), "timer", "probes left", NUD_INCOMPLETE, None),
    Transition((NUD_PROBE,), "timer", "probes left", NUD_PROBE, None),
    Transition((NUD_PROBE,), "timer", "probes exhausted, EXT_VALIDATED", NUD_STALE, NUD_STALE),
    Transition((NUD_INCOMPLETE, NUD_PROBE), "timer", "probes exhausted", NUD_FAILED, NUD_FAILED),
    # evidence from the wire: an answer to us ("solicited") or anything else
    Transition(_UNRESOLVED, "evidence", "solicited", NUD_REACHABLE, NUD_REACHABLE),
    Transition((NUD_INCOMPLETE,), "evidence", "unsolicited, packets waited", NUD_STALE, NUD_DELAY),
    Transition(_UNRESOLVED, "evidence", "unsolicited", NUD_STALE, NUD_STALE),
    Transition(_DYNAMIC, "evidence", "solicited, other address, override", NUD_REACHABLE, NUD_REACHABLE),
    Transition(_DYNAMIC, "evidence", "unsolicited, other address, override", NUD_STALE, NUD_STALE),
    Transition((NUD_REACHABLE,), "evidence", "other address, weak override", NUD_STALE, NUD_STALE),
    Transition(_SUSPECT, "evidence", "solicited, same address", NUD_REACHABLE, NUD_REACHABLE),
    # a caller wants proof: an update to PROBE without an address
    Transition((NUD_REACHABLE, NUD_STALE, NUD_DELAY), "verify", "always", NUD_PROBE, NUD_PROBE),
    # the entry leaves the table while somebody holds it; DelNeighbour shows what is left of it
    Transition((*_DYNAMIC, NUD_NOARP, NUD_PERMANENT), "flush", "still referenced", NUD_NOARP, NUD_NOARP),
    Transition(_UNRESOLVED, "flush", "still referenced", NUD_NONE, NUD_NONE),
)
"""Every transition that is not an administrator's: those may go from any state to any other."""

_ALLOWED: Final = frozenset((old, row.stimulus, row.new) for row in TRANSITIONS for old in row.old)


def allowed(old: int, stimulus: str, new: int) -> bool:
    """Whether the table has an arrow from ``old`` to ``new`` for the stimulus.

    A state of several bits, which only an administrator makes (nud 0x06 is stored as it is given, as in
    the kernel), has no rows: from there everything is allowed.
    """
    return (old, stimulus, new) in _ALLOWED or stimulus == "admin" or old not in STATES
