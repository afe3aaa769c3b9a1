"""A capture, played: its frames through a view into a table, and everything that is to be said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from ..address import LinkAddress
from ..core.events import Change, DelNeighbour, Miss, NewNeighbour, Output
from ..plot import Mark
from .anomalies import Anomalies, Anomaly
from .capture import Record
from .framing import unwrap
from .links import Link, Links
from .messages import NEUTRAL, Message, is_cut_short, read
from .observer import SETTINGS, Observer
from .picture import Lives
from .station import Station
from .virtual import VirtualTable

__all__ = ["Player", "Told", "View"]

SET_BACK: Final = 10**9
"""A time stamp that lies so far in the past (nanoseconds) is a clock that was set; nearer ones are
disorder."""

Told = NewNeighbour | DelNeighbour | Miss | Change | Anomaly
"""What a player tells while it plays."""


class View(Protocol):
    """Whose eyes a capture is seen with."""

    def take(self, link: Link, frame: bytes, message: Message | str) -> None:
        """A frame was seen on a link; ``message`` is what it says, or why it says nothing."""
        ...


class Player:
    """Plays the records of a capture.

    Args:
        tell: is called with each event and anomaly, in order.
        ip, lladdr, prefixlen: the station whose view it is; none for an observer. See :class:`Station`.
        settings: by family (AF_INET, AF_INET6), parameters, switches and thresholds by their names.
        trace: tell of silent changes, too.
        picture: keep the lives of neighbours for a picture.

    Raises:
        ValueError: a setting is not; names the field.

    Attributes:
        frames: how many records were played.
        began: the time stamp of the first frame, nanoseconds since 1970; None where none has one.
        unusable: frames without a link, by reason.
        set_back: how often the time stamps went back by more than a second.
        untimed: frames without a time stamp.
    """

    def __init__(
        self,
        tell: Callable[[Told], None],
        *,
        ip: bytes | None = None,
        lladdr: bytes | None = None,
        prefixlen: int | None = None,
        settings: Iterable[tuple[int, str, float]] = (),
        trace: bool = False,
        picture: bool = False,
    ) -> None:
        self._tell = tell
        self._trace = trace
        self.table: VirtualTable = VirtualTable(self._hear, trace=trace or picture)
        self.station: Station | None = None
        self.view: View
        if ip is None and lladdr is None:
            self.view = Observer(self.table)
            for family, changes in SETTINGS.items():
                self.table.set(family, changes)
        else:
            self.view = self.station = Station(self.table, ip=ip, lladdr=lladdr, prefixlen=prefixlen)
        for family, name, value in settings:
            self.table.set(family, {name: value})
        self.links: Links = Links()
        self.anomalies: Anomalies = Anomalies(self._odd)
        self.lives: Lives | None = Lives() if picture else None
        self.frames: int = 0
        self.began: int | None = None
        self.unusable: dict[str, int] = {}
        self.set_back: int = 0
        self.untimed: int = 0
        self._epoch = 0
        self._latest = 0

    @property
    def now(self) -> float:
        """Seconds from the first frame."""
        return self.table.now

    def wall(self, time: float) -> float | None:
        """The instant of the capture's clock, seconds since 1970, of a time of the table's."""
        return None if self.began is None else self._epoch / 1e9 + time

    def play(self, record: Record) -> None:
        """Play one frame, after all that is due before it."""
        self.frames += 1
        if record.nanoseconds is None:
            self.untimed += 1
        else:
            self._advance(record.nanoseconds)
        framed = unwrap(record.link_type, record.octets)
        if isinstance(framed, str):
            self._count(framed)
            return
        link = self.links.find(record, framed)
        if link is None:
            self._count("too_many_links")
            return
        link.frames += 1
        frame = framed.frame
        message = read(frame, 0 if framed.raw else 6)
        if isinstance(message, str):
            if message not in NEUTRAL:
                is_cut = len(record.octets) < record.length and is_cut_short(frame, message)
                if is_cut:
                    link.cut_short += 1
                elif is_cut is not None:
                    link.malformed[message] = link.malformed.get(message, 0) + 1
        else:
            link.messages[message.kind] += 1
            timed = record.nanoseconds is not None
            source = b"" if link.raw else frame[6:12]
            self.anomalies.hear(self.now, link.name, source, message, timed=timed)
        self.view.take(link, frame, message)
        if self.lives is not None and not isinstance(message, str):
            self._mark(self.lives, link, message)

    def _count(self, reason: str) -> None:
        self.unusable[reason] = self.unusable.get(reason, 0) + 1

    def _advance(self, nanoseconds: int) -> None:
        """It is that time now; what was due before it happens."""
        if self.began is None:
            self.began = self._epoch = self._latest = nanoseconds
        elif nanoseconds < self._latest - SET_BACK:
            # From here on that clock goes on from the present.
            self.set_back += 1
            self._epoch -= self._latest - nanoseconds
        elif nanoseconds < self._latest:
            return
        self._latest = nanoseconds
        self.table.run_until((nanoseconds - self._epoch) / 1e9)

    # -- what is to be told

    def _hear(self, output: Output) -> None:
        if isinstance(output, Change):
            if self.lives is not None:
                self.lives.change(output)
            if self._trace:
                self._tell(output)
        elif isinstance(output, NewNeighbour | DelNeighbour | Miss):
            if self.lives is not None and isinstance(output, DelNeighbour):
                self.lives.delete(output)
            self._tell(output)
        elif self.station is not None:
            self.station.hear_output(output)

    def _odd(self, anomaly: Anomaly) -> None:
        if self.lives is not None and anomaly.what == "duplicate" and anomaly.key is not None:
            text = f"{anomaly.lladdr} and {anomaly.other}"
            self.lives.mark(anomaly.device, anomaly.key, Mark(anomaly.time, "duplicate", text))
        self._tell(anomaly)

    def _mark(self, lives: Lives, link: Link, message: Message) -> None:
        if message.asks is not None:
            lives.mark(link.name, message.asks, Mark(self.now, "asked"))
        if message.claims is not None and message.answers is not None:
            kind = "answered" if message.answers else "announced"
            text = str(LinkAddress(message.lladdr)) if message.lladdr and not link.raw else ""
            lives.mark(link.name, message.claims, Mark(self.now, kind, text))

    # -- the table

    def entries(self) -> list[NewNeighbour]:
        """The entries as they are now, by device, family and address."""
        found = []
        for cache in self.table.caches():
            for row in cache.rows():
                entry = cache.snapshot(NewNeighbour, row)
                assert isinstance(entry, NewNeighbour)
                found.append(entry)
        return sorted(found, key=lambda entry: (entry.device, entry.family, entry.key))
