"""What goes to a terminal: lines, escaped and perhaps coloured."""

from __future__ import annotations

import os
import sys
from typing import Final, TextIO

__all__ = ["Output", "complain", "is_coloured", "printable"]

_COLOURS: Final = {
    "REACHABLE": "32",
    "PERMANENT": "32",
    "NOARP": "32",
    "STALE": "33",
    "DELAY": "33",
    "PROBE": "33",
    "FAILED": "31",
    "duplicate": "31",
    "error": "31",
}


def printable(text: str) -> str:
    """Return text with everything escaped that is not a printable ASCII character.

    Device names and what others typed may hold what a terminal would obey.
    """
    return "".join(c if " " <= c <= "~" else c.encode("unicode_escape").decode() for c in text)


def is_coloured(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal that wants colours (https://no-color.org); None is a closed one."""
    return (
        stream is not None
        and stream.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )


def complain(text: str) -> None:
    """Print a line on standard error, if there is anybody to read it: its terminal may have gone. The text is
    escaped here."""
    if sys.stderr is None:
        return
    try:
        print(printable(text), file=sys.stderr, flush=True)
    except OSError:
        _give_up(sys.stderr)


def _give_up(stream: TextIO) -> None:
    """Have what nobody takes go nowhere, for Python flushes the stream once more when it ends."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, stream.fileno())
    os.close(nothing)


class Output:
    """Standard output, a line at a time."""

    def __init__(self) -> None:
        self._coloured = is_coloured(sys.stdout)

    def paint(self, text: str, kind: str) -> str:
        """Return text, escaped, in the colour of a state (or "duplicate", "error")."""
        text = printable(text)
        colour = _COLOURS.get(kind)
        return f"\x1b[{colour}m{text}\x1b[0m" if self._coloured and colour else text

    def line(self, text: str) -> bool:
        """Print a line at once; False when nobody reads any more (``| head``).

        The text is escaped already: by :func:`printable`, :meth:`paint` or as JSON.

        Raises:
            OSError: it cannot be written for another reason (a full disk).
        """
        try:
            print(text, flush=True)
        except OSError as error:
            _give_up(sys.stdout)
            if isinstance(error, BrokenPipeError):
                return False
            raise OSError(error.errno, error.strerror, "standard output") from None
        return True
