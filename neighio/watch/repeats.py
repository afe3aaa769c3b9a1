"""What is reported once, and then counted: repeated findings, and more of them than anybody reads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final, TypeAlias

from .judge import Finding

__all__ = ["Repeats", "Topic"]

QUIET: Final = 600.0
"""Seconds after a report in which the same finding is counted alone. They double as long as it goes on."""

LONGEST_QUIET: Final = 86400.0

MOST_AT_ONCE: Final = 1000
"""Reports of one kind that are told one by one when they come together."""

EACH: Final = 3.6
"""Seconds after which there may be another."""

MOST_TOPICS: Final = 4096
"""Reports that are being counted. Of the one that was told longest ago the next is told again."""

_Name: TypeAlias = "tuple[str, str, bytes | None, frozenset[bytes | None]]"


class Topic:
    """A finding that was reported, and how often it was seen: ``ended`` is when last, seconds since 1970."""

    __slots__ = ("due", "ended", "finding", "quiet", "row", "times", "told")

    def __init__(self, finding: Finding) -> None:
        self.finding: Finding = finding
        self.times: int = 1
        self.told: int = 0
        self.ended: float = finding.wall
        self.quiet: float = QUIET
        self.due: float = finding.time + QUIET
        self.row: int = 0
        """Its row in the database, once there is one."""


class Repeats:
    """Decides which findings are told."""

    def __init__(self) -> None:
        self._topics: OrderedDict[_Name, Topic] = OrderedDict()
        self._room: dict[str, tuple[float, float]] = {}

    def take(self, finding: Finding) -> Topic:
        """A finding came; return its topic, which is a new one if its ``told`` is 0."""
        name = _name(finding)
        topic = self._topics.get(name)
        if topic is None and not self._has_room(finding):
            # One report for all that there is no room for.
            finding = finding._replace(key=None, lladdr=None, other=None, note="more of them")
            name = _name(finding)
            topic = self._topics.get(name)
        if topic is not None:
            topic.times += 1
            topic.ended = finding.wall
            return topic
        topic = self._topics[name] = Topic(finding)
        if len(self._topics) > MOST_TOPICS:
            self._topics.popitem(last=False)
        return topic

    def due(self, time: float, *, closing: bool = False) -> Iterator[Topic]:
        """The topics of which it is time to say how often they were seen since the last word, or with
        ``closing`` all of which there is something to say. Those that were not seen again are forgotten."""
        for name, topic in list(self._topics.items()):
            if topic.due > time and not closing:
                continue
            if topic.times > topic.told:
                topic.quiet = min(2 * topic.quiet, LONGEST_QUIET)
                topic.due = time + topic.quiet
                self._topics.move_to_end(name)
                yield topic
            elif not closing:
                del self._topics[name]

    def _has_room(self, finding: Finding) -> bool:
        left, since = self._room.get(finding.kind, (float(MOST_AT_ONCE), finding.time))
        left = min(left + max(finding.time - since, 0.0) / EACH, float(MOST_AT_ONCE))
        has_room = left >= 1
        self._room[finding.kind] = left - has_room, finding.time
        return has_room


def _name(finding: Finding) -> _Name:
    # Which of two was heard first does not matter; where a station was met, neither.
    key = None if finding.kind == "new" else finding.key
    return finding.kind, finding.device, key, frozenset((finding.lladdr, finding.other))
