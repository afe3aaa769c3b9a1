"""The neighbours that ``neighio top`` shows, as they are told of: entries, their changes, their number."""

from __future__ import annotations

from copy import copy
from typing import Final

from ...address import parse_ip
from ...core.constants import NUD_NAMES
from ...errors import NeighioError
from ...records import Record
from ..output import printable

__all__ = ["STATES", "Entry", "Fill", "Neighbours"]

STATES: Final = ("NONE", *NUD_NAMES.values())
"""In the order in which they are shown."""

Place = tuple[str, str]
"""An address and a device."""

_AGES: Final = ("confirmed", "updated", "used")


class Entry:
    """A neighbour. Instants are seconds of the clock that the records are taken by.

    Attributes:
        name: its address and its device, as they were told.
        address, device, lladdr: the same, escaped; ``lladdr`` is "" without one.
        place: what puts entries in order by address: IPv4 first.
        confirmed, updated, used: when; None: not known.
        changes: how many changes of state, link-layer address or flags were seen.
        changed, change: when the last one was, and what it was; None and "" before the first.
        text: what a filter looks through.
        placed: what an order has put it by; None: it is not among what is shown.
    """

    __slots__ = (
        "address",
        "change",
        "changed",
        "changes",
        "confirmed",
        "device",
        "family",
        "flags",
        "gone",
        "lladdr",
        "name",
        "place",
        "placed",
        "probes",
        "state",
        "text",
        "updated",
        "used",
    )

    def __init__(self, address: str, device: str) -> None:
        key, _ = parse_ip(address)
        self.name: Place = (address, device)
        self.address: str = printable(address)
        self.device: str = printable(device)
        self.family: int = 4 if len(key) == 4 else 6
        self.place: bytes = bytes((self.family,)) + key + device.encode("utf-8", "surrogatepass")
        self.lladdr: str = ""
        self.state: str = "NONE"
        self.flags: tuple[str, ...] = ()
        self.probes: int = 0
        self.confirmed: float | None = None
        self.updated: float | None = None
        self.used: float | None = None
        self.changes: int = 0
        self.changed: float | None = None
        self.change: str = ""
        self.gone: bool = False
        self.placed: tuple[str | float, bytes] | None = None
        self.text: str = ""


class Fill:
    """How full a cache is: its entries, beside gc_thresh1, 2 and 3, and its look-ups, hits and failed
    resolutions so far; None where that is not told."""

    __slots__ = ("entries", "failed", "hits", "lookups", "thresholds")

    def __init__(
        self,
        entries: int,
        thresholds: tuple[int, int, int],
        lookups: int,
        hits: int,
        failed: int,
    ) -> None:
        self.entries: int = entries
        self.thresholds: tuple[int, int, int] = thresholds
        self.lookups: int = lookups
        self.hits: int = hits
        self.failed: int = failed


class Neighbours:
    """All that is known. What was told of since an order asked last is in :attr:`touched`.

    Attributes:
        entries: those that there are.
        states: how many there are in each state.
        touched: entries that came, went or changed since somebody cleared it.
        whole: whether the entries that there were at the beginning have all been told of.
        fills: by family, how full the caches are.
        rates: by family, look-ups, hits and failed resolutions a second.
        losses: how often more happened than could be told of, so that all had to be shown anew.
    """

    def __init__(self) -> None:
        self.entries: dict[Place, Entry] = {}
        self.states: dict[str, int] = dict.fromkeys(STATES, 0)
        self.touched: set[Entry] = set()
        self.whole: bool = False
        self.fills: dict[int, Fill] = {}
        self.rates: dict[int, tuple[float, float, float]] = {}
        self.losses: int = 0
        # Which entries have an object of their own, while something is frozen.
        self._own: set[Entry] | None = None
        self._filled: float = 0.0

    def freeze(self) -> Neighbours:
        """Return what is known now, which does not change any more, until :meth:`thaw`.

        The two share their entries; one that changes has a new object here. To copy all of 100,000 would
        take half a second. What changes meanwhile is not in :attr:`touched`: an order of these entries has to
        be renewed before it is used again.
        """
        found = Neighbours()
        found.entries, found.states = dict(self.entries), dict(self.states)
        found.whole, found.losses = self.whole, self.losses
        found.fills, found.rates = dict(self.fills), dict(self.rates)
        self._own = set()
        return found

    def thaw(self) -> None:
        """What was frozen is needed no more."""
        self._own = None

    def _change(self, entry: Entry) -> Entry:
        """The object of an entry that is there and changes."""
        if self._own is None:
            self.touched.add(entry)
        elif entry not in self._own:
            entry = self.entries[entry.name] = copy(entry)
            self._own.add(entry)
        return entry

    # -- what is told

    def show(self, record: Record, now: float) -> None:
        """Take an entry as it is, with its ages: one that is there already may have changed."""
        entry = self._take(record, now, None)
        for name in _AGES:
            setattr(entry, name, now - record[name])

    def refresh(self, record: Record, now: float) -> None:
        """Take the ages of an entry, and how often it was probed for, if it is there. What else it says may
        be older than what was told of changes."""
        entry = self.entries.get((record["address"], record["device"]))
        if entry is not None:
            entry = self._change(entry)
            for name in _AGES:
                setattr(entry, name, now - record[name])
            entry.probes = record["probes"]

    def hear(self, record: Record, when: float) -> None:
        """Take what happened: a record of the kind "new", "del", "change" or another, which says nothing of
        what is there."""
        kind = record["kind"]
        if kind == "del":
            self.forget((record["address"], record["device"]))
        elif kind in ("new", "change"):
            self._take(record, when, record.get("stimulus"))

    def forget(self, place: Place) -> None:
        """Take an entry out, if it is there."""
        entry = self.entries.get(place)
        if entry is not None:
            entry = self._change(entry)
            entry.gone = True
            self.states[entry.state] -= 1
            del self.entries[place]
            if self._own is not None:
                self._own.remove(entry)

    def fill(self, family: int, fill: Fill, now: float) -> None:
        """Take how full a family's cache is, and how much it was used since the last time."""
        before = self.fills.get(family)
        seconds = now - self._filled
        if before is not None and seconds > 0:
            self.rates[family] = (
                max(fill.lookups - before.lookups, 0) / seconds,
                max(fill.hits - before.hits, 0) / seconds,
                max(fill.failed - before.failed, 0) / seconds,
            )
        self.fills[family] = fill

    def filled(self, now: float) -> None:
        """All families' caches have been told of."""
        self._filled = now

    def _take(self, record: Record, when: float, stimulus: str | None) -> Entry:
        place = record["address"], record["device"]
        lladdr, state = printable(record["lladdr"] or ""), record["state"]
        if state not in self.states:
            raise NeighioError(f"state: {state!r} makes no sense")
        flags = tuple(record["flags"])
        entry = self.entries.get(place)
        if entry is None:
            entry = self.entries[place] = Entry(*place)
            self.states[state] += 1
            (self.touched if self._own is None else self._own).add(entry)
            if "old_state" in record:
                # It was there, but nobody is told of an entry that is made and not used.
                self._note(entry, when, record["old_state"], "", stimulus, state, lladdr)
        else:
            entry = self._change(entry)
            self.states[entry.state] -= 1
            self.states[state] += 1
            if (entry.state, entry.lladdr, entry.flags) != (state, lladdr, flags):
                self._note(entry, when, entry.state, entry.lladdr, stimulus, state, lladdr)
        entry.state, entry.lladdr, entry.flags = state, lladdr, flags
        # A transition alone does not tell of it.
        entry.probes = record.get("probes", entry.probes)
        entry.text = f"{entry.address} {entry.device} {lladdr} {state} {' '.join(flags)}".lower()
        return entry

    def _note(
        self,
        entry: Entry,
        when: float,
        old_state: str,
        old_lladdr: str,
        stimulus: str | None,
        state: str,
        lladdr: str,
    ) -> None:
        entry.changes += 1
        entry.changed = entry.updated = when
        by = f" by {stimulus}" if stimulus else ""
        if old_lladdr and lladdr and old_lladdr != lladdr:
            entry.change = printable(f"was at {old_lladdr}{by}")
        elif old_state != state:
            entry.change = printable(f"was {old_state}{by}")
        else:
            entry.change = printable(f"flags or address{by}")
