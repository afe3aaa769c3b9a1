"""The machine's own gc_thresh*: one for all network namespaces, hence lowered only by consent.

Lowered thresholds evict neighbours of everybody on the machine. So it is done only with HOST_SYSCTL=yes in
the environment, only where the machine's own namespace has next to no neighbours, and a process of its own
puts the values back even if this one is killed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from ...kernel import requests
from ...kernel.netlink import RequestSocket
from ...kernel.rtnetlink import NeighbourMessage, decode

__all__ = ["HostThresholds", "NotAllowed", "why_not"]

CONSENT: Final = "HOST_SYSCTL"
DEFAULTS: Final = Path("/proc/sys/net/ipv4/neigh/default")
STATISTICS: Final = Path("/proc/net/stat/arp_cache")

PAUSE: Final = 6.0
"""Seconds."""

MOST_NEIGHBOURS: Final = 8
NAMES: Final = ("gc_thresh1", "gc_thresh2", "gc_thresh3")

_WATCHDOG: Final = Path(__file__).with_name("_watchdog.py")
_LOOPBACK: Final = 1


class NotAllowed(Exception):
    """The machine's thresholds may not be lowered here; the text says why."""


def why_not(folder: Path = DEFAULTS) -> str | None:
    """Why the thresholds may not be lowered, or None when they may."""
    if os.environ.get(CONSENT) != "yes":
        return f"it changes gc_thresh* for the whole machine; {CONSENT}=yes in the environment allows it"
    if not all(os.access(folder / name, os.W_OK) for name in NAMES):
        return f"{folder} is not there, or not to be written: this is not the machine's initial namespace"
    count = _neighbours()
    if count > MOST_NEIGHBOURS:
        return f"the machine has {count} neighbours off lo; with more than {MOST_NEIGHBOURS} it may be missed"
    return None


def _neighbours() -> int:
    with RequestSocket() as rtnetlink:
        replies = rtnetlink.dump(requests.dump_neighbours())
    found = (decode(reply) for reply in replies)
    return sum(isinstance(one, NeighbourMessage) and one.index != _LOOPBACK for one in found)


def _entries() -> int:
    """How many ARP entries the machine has, in all namespaces (``/proc/net/stat/arp_cache``)."""
    text = STATISTICS.read_text(encoding="ascii").splitlines()
    return int(text[1].split()[0], 16) if len(text) > 1 else 0


def _settled_entries() -> int:
    """As :func:`_entries`, after a pause: a collection before this one must be more than 5 s ago, and the
    kernel gives the entries of namespaces that were left back some time later."""
    time.sleep(PAUSE)
    return _entries()


class HostThresholds:
    """Lowers gc_thresh1, 2 and 3 for the time of a ``with`` block.

    What the machine holds already comes on top of ``values``: they are meant for a machine that has none.

    Raises (on entry):
        NotAllowed: see :func:`why_not`.
    """

    def __init__(self, values: tuple[int, int, int], folder: Path = DEFAULTS) -> None:
        self._values = values
        self._folder = folder
        self._watchdog: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> HostThresholds:
        reason = why_not(self._folder)
        if reason is not None:
            raise NotAllowed(reason)
        paths = [self._folder / name for name in NAMES]
        before = [path.read_text(encoding="ascii").strip() for path in paths]
        # A session of its own: no key and no hang-up of our terminal reaches it.
        self._watchdog = subprocess.Popen(
            [
                *[sys.executable, "-I", "-S", str(_WATCHDOG)],
                *[f"{path}={text}" for path, text in zip(paths, before, strict=True)],
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._watchdog.stdout is not None
        if self._watchdog.stdout.readline() != b"ready\n":
            self._restore()
            raise NotAllowed("the process that would restore the thresholds did not start")
        try:
            held = _settled_entries()
            for path, value in zip(paths, self._values, strict=True):
                path.write_text(str(value + held), encoding="ascii")
        except BaseException:
            self._restore()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _restore(self) -> None:
        watchdog = self._watchdog
        assert watchdog is not None and watchdog.stdin is not None and watchdog.stdout is not None
        watchdog.stdin.close()
        watchdog.wait()
        watchdog.stdout.close()
