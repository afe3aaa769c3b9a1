"""The neighbour unreachability detection machine's transitions, as data.

The machine asks :func:`allowed` at the one place where it changes a state, tests walk states x stimuli
against the rows, and the documentation's diagram is drawn from them. Sources: RFC 4861 7.3.2,
__neigh_event_send, neigh_timer_handler and __neigh_update.
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

_DYNAMIC: Final = (NUD_REACHABLE, NUD_STALE, NUD_DELAY, NUD_PROBE)
_UNRESOLVED: Final = (NUD_NONE, NUD_INCOMPLETE, NUD_FAILED)


class Transition(NamedTuple):
    """One arrow: from any of ``old``, on ``stimulus`` and under ``condition``, to ``new``.

    ``event`` is the state that Linux's notification shows, or None where Linux is silent.
    """

    old: tuple[int, ...]
    stimulus: str
    condition: str
    new: int
    event: int | None


TRANSITIONS: Final = (
    # output: a packet, or the wish for an address (4.1)
    Transition((NUD_NONE, NUD_FAILED), "output", "may solicit", NUD_INCOMPLETE, None),
    Transition((NUD_NONE, NUD_FAILED), "output", "no probes configured", NUD_FAILED, None),
    Transition((NUD_STALE,), "output", "always", NUD_DELAY, None),
    # timer (4.2)
    Transition((NUD_REACHABLE,), "timer", "confirmed within reachable_time", NUD_REACHABLE, None),
    Transition((NUD_REACHABLE,), "timer", "used within delay_first_probe_time", NUD_DELAY, None),
    Transition((NUD_REACHABLE,), "timer", "otherwise", NUD_STALE, NUD_STALE),
    Transition(
        (NUD_DELAY,), "timer", "confirmed within delay_first_probe_time", NUD_REACHABLE, NUD_REACHABLE
    ),
    Transition((NUD_DELAY,), "timer", "otherwise", NUD_PROBE, NUD_PROBE),
    Transition((NUD_DELAY,), "timer", "no probes configured", NUD_FAILED, NUD_FAILED),
    Transition((NUD_DELAY,), "timer", "no probes configured, EXT_VALIDATED", NUD_STALE, NUD_STALE),
    Transition((NUD_INCOMPLETE,), "timer", "probes left", NUD_INCOMPLETE, None),
    Transition((NUD_PROBE,), "timer", "probes left", NUD_PROBE, None),
    Transition((NUD_INCOMPLETE, NUD_PROBE), "timer", "probes exhausted", NUD_FAILED, NUD_FAILED),
    Transition((NUD_PROBE,), "timer", "probes exhausted, EXT_VALIDATED", NUD_STALE, NUD_STALE),
    # evidence from the wire (4.4 to 4.6)
    Transition(_UNRESOLVED, "evidence", "solicited", NUD_REACHABLE, NUD_REACHABLE),
    Transition(_UNRESOLVED, "evidence", "unsolicited", NUD_STALE, NUD_STALE),
    Transition((NUD_REACHABLE,), "evidence", "solicited", NUD_REACHABLE, None),
    Transition(
        (NUD_STALE, NUD_DELAY, NUD_PROBE), "evidence", "solicited, not refused", NUD_REACHABLE, NUD_REACHABLE
    ),
    Transition(_DYNAMIC, "evidence", "unsolicited, other address, override", NUD_STALE, NUD_STALE),
    Transition((NUD_REACHABLE,), "evidence", "other address, weak override", NUD_STALE, NUD_STALE),
    # a caller wants proof (update to PROBE without an address)
    Transition((NUD_REACHABLE, NUD_STALE, NUD_DELAY), "verify", "always", NUD_PROBE, NUD_PROBE),
    # the entry leaves the table while somebody holds it (3)
    Transition((*_DYNAMIC, NUD_NOARP, NUD_PERMANENT), "flush", "still referenced", NUD_NOARP, None),
    Transition(_UNRESOLVED, "flush", "still referenced", NUD_NONE, None),
)
"""Every transition that is not an administrator's: those may go from any state to any other (4.7, 4.8)."""

_ALLOWED: Final = frozenset((old, row.stimulus, row.new) for row in TRANSITIONS for old in row.old)

# A caller's wish can be met in the same call in which an update empties the queue, and an update's
# evidence may keep a state; both are rows above. A state of several bits is an administrator's doing.
_SINGLE: Final = frozenset(STATES)


def allowed(old: int, stimulus: str, new: int) -> bool:
    """Whether the table has an arrow from ``old`` to ``new`` for the stimulus."""
    return stimulus == "admin" or old not in _SINGLE or (old, stimulus, new) in _ALLOWED
