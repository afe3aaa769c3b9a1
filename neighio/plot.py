"""Pictures of neighbours over time, as SVG: a row for each, coloured by state, with marks.

The standard library is all that it needs. What is drawn is plain data, wherever it came from::

    rows = [
        Row(
            "198.51.100.7 dev eth0",
            states=[(0.0, "INCOMPLETE"), (0.2, "REACHABLE"), (30.0, "STALE"), (75.0, None)],
            marks=[Mark(0.0, "asked", "by 198.51.100.1"), Mark(0.2, "answered", "02:00:00:00:00:07")],
            detail="02:00:00:00:00:07",
        ),
    ]
    save("life.svg", draw(rows, title="life.pcap", end=90.0, epoch=1767225600.0))

* ``states`` are ``(time, state)`` in the order of time. Each lasts until the next, the last until ``end``;
  None is a gap, where there is no entry. The names of NUD states have their colours; any other text is a
  state with a colour of its own, so that a row may as well be coloured by link-layer address.
* ``marks`` are single moments. The kinds of :data:`MARKS` have their shapes; any other text is a kind, too.
* ``label`` stands before the row and ``detail`` below it, smaller. Whatever the texts hold, they are escaped.
* :func:`draw` draws every row that it is given: who has too many leaves some out, and says how many in
  ``left_out``. States that are too short to be seen are drawn two pixels wide, marks of one kind that would
  touch are drawn as one that tells their number.

For programs that read the picture: each row is a ``<g class="row" data-label=...>``, each state in it a
``<rect>`` with ``data-state``, ``data-start`` and ``data-end``, each mark a ``<path>`` with ``data-mark``,
``data-start``, ``data-end`` and ``data-count``; times are seconds.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from ._drawing import Drawing
from ._palette import MARKS

__all__ = ["MARKS", "Mark", "Row", "draw", "save"]


class Mark(NamedTuple):
    """A moment: ``time`` in seconds, its kind, and what is shown when one points at it."""

    time: float
    kind: str
    text: str = ""


class Row(NamedTuple):
    """A neighbour: see the module's description."""

    label: str
    states: Sequence[tuple[float, str | None]]
    marks: Sequence[Mark] = ()
    detail: str = ""


def draw(
    rows: Sequence[Row],
    *,
    title: str,
    end: float,
    start: float = 0.0,
    epoch: float | None = None,
    left_out: int = 0,
    notes: Iterable[str] = (),
) -> str:
    """Return a picture of the rows, from above, as an SVG document.

    Args:
        rows: in the order in which they are drawn; there may be none.
        title: stands above.
        start, end: the times at the left and at the right edge, seconds.
        epoch: the time 0 in seconds since 1970; then the axis shows the time of day, UTC, too.
        left_out: how many rows there were beside these, which the picture says.
        notes: further lines below the title.
    """
    return Drawing(rows, title, start, max(end, start), epoch, left_out, tuple(notes)).document()


def save(path: str | os.PathLike[str], document: str) -> None:
    """Write a document to a file: all of it, or what was there before stays as it is.

    Raises:
        OSError: it cannot be written (a full disk, a missing folder, no right to); names the file.
    """
    try:
        _write(os.path.realpath(path), document)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def _write(target: str, document: str) -> None:
    if os.path.exists(target) and not os.path.isfile(target):
        # A device or a pipe: nothing to be kept, and nothing to be put in its place.
        with open(target, "w", encoding="utf-8") as stream:
            stream.write(document)
        return
    descriptor, name = tempfile.mkstemp(prefix=".neighio-", suffix=".svg", dir=os.path.dirname(target))
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(document)
            os.fchmod(descriptor, _mode(target))
        os.replace(name, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def _mode(target: str) -> int:
    """The permissions of a file that is there, else those that a new one gets."""
    try:
        return os.stat(target).st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
