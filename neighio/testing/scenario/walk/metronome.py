"""When the machine's managed work runs: it has one for each family, for all namespaces together."""

from __future__ import annotations

import time
from threading import Event, Thread
from types import TracebackType
from typing import Final, Protocol

from ....address import parse_ip
from ....core.constants import AF_INET, AF_INET6, NTF_EXT_LEARNED, NTF_MANAGED, NUD_NONE
from ....core.parameters import JIFFY
from ....kernel import requests
from ..model import DEVICE
from ..nodes import METRONOME, Nodes
from ..watch import Watch
from .lockstep import Disturbed

__all__ = ["Beats", "Managed", "Metronome"]

LISTENING: Final = 0.02
"""Seconds after which it is known, at the latest, that the managed work did not run."""

AROUND: Final = 0.05
"""Seconds that a run of it takes, and the time that is told of it may be off by."""

NOTICED: Final = 5.0
"""Seconds after which a run has been noticed, on however busy a machine."""

METRONOME6: Final = "fe80::9"


class Beats(Protocol):
    """Whoever notes when the managed work runs; seconds of the monotonic clock."""

    def has_beaten(self, since: float) -> bool:
        """Whether it has since."""

    def heard(self) -> float:
        """Up to when every run of it is known."""


class Metronome:
    """Notes when the managed work of either family runs: the machine has one each, for all namespaces."""

    def __init__(self) -> None:
        self._last = 0.0
        self._heard = 0.0
        self._stop = Event()
        self._ready = Event()
        self._thread = Thread(target=self._run, name="metronome")

    def __enter__(self) -> Metronome:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        quick = {"mcast_solicit": 1, "retrans_time": 0.1}
        try:
            with Nodes(metronome=True) as nodes, Watch(nodes.node, DEVICE) as watch:
                node = nodes.node
                node.add_address("vm", "fe80::1/64")
                watch.listen_to_beats(node, "vm")
                index = node.link("vm").index
                for family, ip in ((AF_INET, METRONOME), (AF_INET6, METRONOME6)):
                    node.request(requests.set_neighbour_parameters(family, index, quick))
                    key, _ = parse_ip(ip)
                    # What was learned elsewhere is not collected.
                    flags = NTF_MANAGED | NTF_EXT_LEARNED
                    node.request(requests.new_neighbour(index, key, state=NUD_NONE, flags=flags))
                self._ready.set()
                while not self._stop.is_set():
                    began = time.monotonic()
                    list(watch.poll(LISTENING))
                    self._last = max([self._last, *watch.beats])
                    watch.beats.clear()
                    self._heard = began
        finally:
            self._ready.set()

    def has_beaten(self, since: float) -> bool:
        """Whether it has since an instant of the monotonic clock."""
        return self._last >= since

    def heard(self) -> float:
        """Up to which instant every run of it is known."""
        return self._heard

    def catch_up(self) -> None:
        """Wait until every run up to now is known.

        Raises:
            Disturbed: it takes too long.
        """
        now = time.monotonic()
        while self._heard < now:
            if time.monotonic() > now + NOTICED:
                raise Disturbed("the machine is too busy to tell whether its managed work ran")
            time.sleep(JIFFY)


class Managed:
    """Whether a run of the managed work may have changed what a walk has.

    Runs become known a while after they were; and what was there at a dump may be gone at the next one.
    """

    def __init__(self, beats: Beats, now: float) -> None:
        self._beats = beats
        self._unheard = self._dumped = now
        self._found = [False]

    def note(self, found: bool) -> None:
        """Note of a dump whether it had managed entries."""
        self._found.append(found)

    def has_run(self, now: float) -> bool:
        """Whether it ran since it last was known that it had not, and found something then; ``now`` is after
        the last dump."""
        heard = self._beats.heard()
        if any(self._found) and self._beats.has_beaten(self._unheard - AROUND):
            return True
        if heard > self._dumped:
            self._unheard, self._found = heard, self._found[-2:]
        self._dumped = now
        return False
