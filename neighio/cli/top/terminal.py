"""The terminal of ``neighio top``: its alternate screen, its keys, and that it is as it was when we leave.

termios and the sequences of ECMA-48 that every emulator obeys, in place of curses: curses waits for the
terminal inside of C, takes over the signals that the trio loop has to see, and ends the process itself where
it does not know the terminal. What is written here waits for nobody, and is given back in one place.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from math import inf
from typing import Any, Final

import trio

from ...errors import NeighioError
from ..lines import LineWriter
from ..output import Output
from .drawing import Line
from .keys import split_keys

__all__ = ["Terminal", "check_terminal", "open_terminal", "painted"]

LAST_SECONDS: Final = 1.0
"""How long the terminal may take for what restores it."""

ESCAPE_SECONDS: Final = 0.05
"""After so long the octet of the key Escape is no beginning of another key's, even over a slow line."""

_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
_LEAVE: Final = "\x1b[?7h\x1b[?25h\x1b[?1049l"
"""The alternate screen, which has a cursor of its own; no cursor seen; no wrapping at the last column."""

_CLEAR: Final = "\x1b[2J"
_PLAIN: Final = "neighio show and neighio monitor print plain lines"


def check_terminal() -> None:
    """Return where there is a terminal to draw on and to read keys from.

    Raises:
        NeighioError: there is none; says what to do instead.
    """
    for stream, name in ((sys.stdin, "standard input"), (sys.stdout, "standard output")):
        if not hasattr(stream, "isatty") or not stream.isatty():
            raise NeighioError(f"{name} is no terminal; {_PLAIN}, and so do --once and --json")
    if os.environ.get("TERM", "dumb") == "dumb":
        raise NeighioError(
            f"a terminal of the type 'dumb' cannot be drawn on; {_PLAIN}, and so do --once and --json"
        )


def painted(line: Line, output: Output, *, heading: bool) -> str:
    """A line with its colours; its heading reversed, or as plain as the rest."""
    return "".join(
        f"\x1b[7m{text}\x1b[0m" if paint == "heading" and heading else output.paint(text, paint)
        for text, paint in line
    )


class Terminal:
    """A terminal that is drawn on; made by :func:`open_terminal`."""

    def __init__(self, keyboard: int, screen: int) -> None:
        self._keyboard = keyboard
        self._screen = _open_again(screen)
        self._output = Output()
        self._writer = LineWriter(self._screen)
        self._saved: list[Any] | None = None
        self._drawn: list[str] = []
        self._whole = True
        self._unread = b""

    @property
    def size(self) -> tuple[int, int]:
        """Its columns and lines; at least one of each."""
        width, height = os.get_terminal_size(self._screen)
        # A terminal whose size was never set says 0.
        return width or 80, height or 24

    # -- coming and going

    def enter(self) -> None:
        """Take the terminal: keys come one by one and unseen, but for Ctrl-C and Ctrl-Z, which go on being
        signals."""
        self._take_keys()
        self._writer.write(_ENTER)
        self._whole = True

    def _take_keys(self) -> None:
        # Not to be had on every system; where it is not, there is no terminal of this kind.
        import termios

        try:
            found = termios.tcgetattr(self._keyboard)
            if self._saved is None:
                self._saved = [*found[:6], list(found[6])]
            found[3] &= ~(termios.ICANON | termios.ECHO)
            found[6][termios.VMIN], found[6][termios.VTIME] = 1, 0
            termios.tcsetattr(self._keyboard, termios.TCSANOW, found)
        except termios.error as error:
            # It has gone. This is no OSError of its own.
            raise OSError(*error.args) from None

    async def leave(self) -> None:
        """Give the terminal back as it was, as far as it takes that in a second."""
        import termios

        if self._saved is not None:
            with suppress(termios.error):
                termios.tcsetattr(self._keyboard, termios.TCSANOW, self._saved)
            self._saved = None
        self._writer.write(_LEAVE)
        with trio.move_on_after(LAST_SECONDS, shield=True):
            await self._writer.drain()

    def close(self) -> None:
        """Draw no more."""
        os.close(self._screen)

    async def suspend(self) -> None:
        """Stop, as Ctrl-Z wants it, with the terminal given back; return when somebody lets us go on."""
        await self.leave()
        before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        try:
            # Where nobody could let us go on, the system does not stop us.
            os.kill(os.getpid(), signal.SIGTSTP)
        finally:
            signal.signal(signal.SIGTSTP, before)
        self.enter()

    def resume(self) -> None:
        """Somebody stopped us without a word, and let us go on: their shell has set the terminal anew."""
        self._take_keys()
        self._whole = True

    def forget(self) -> None:
        """Draw everything anew, for it may have another size."""
        self._whole = True

    # -- drawing

    def draw(self, lines: Sequence[Line], width: int) -> bool:
        """Draw those lines that have changed; False when the terminal has not taken the last ones yet,
        or is not ours."""
        if self._writer.waiting or self._saved is None:
            return False
        text = _CLEAR if self._whole else ""
        before = [] if self._whole else self._drawn
        drawn = []
        for number, line in enumerate(lines):
            # Blanks to the end in place of an erasing, which would take the last column's character.
            padding = " " * (width - sum(len(piece) for piece, _ in line))
            drawn.append(painted(line, self._output, heading=True) + padding)
            if number >= len(before) or before[number] != drawn[number]:
                text += f"\x1b[{number + 1};1H{drawn[number]}"
        self._drawn, self._whole = drawn, False
        self._writer.write(text)
        return True

    async def run(self) -> None:
        """Write what the terminal did not take at once.

        Raises:
            OSError: it has gone.
        """
        await self._writer.run()

    # -- keys

    async def keys(self) -> list[str] | None:
        """Wait for keys and return them; None when there will be no more."""
        while True:
            await trio.lowlevel.checkpoint()
            data = None
            with trio.move_on_after(ESCAPE_SECONDS if self._unread else inf):
                data = await self._read()
            if data == b"":
                return None
            found, self._unread = split_keys(self._unread + (data or b""), more=data is not None)
            if found:
                return found

    async def _read(self) -> bytes:
        """Return what was typed; b"" when the terminal has gone."""
        while True:
            await trio.lowlevel.wait_readable(self._keyboard)
            try:
                return os.read(self._keyboard, 1024)
            except BlockingIOError:
                continue
            except OSError:
                return b""


@asynccontextmanager
async def open_terminal() -> AsyncIterator[Terminal]:
    """Have the terminal for oneself; however the block ends, it is given back."""
    terminal = Terminal(sys.stdin.fileno(), sys.stdout.fileno())
    try:
        terminal.enter()
        await trio.lowlevel.checkpoint()
        yield terminal
    finally:
        with closing(terminal), trio.move_on_after(LAST_SECONDS, shield=True):
            await terminal.leave()


def _open_again(screen: int) -> int:
    """Open a terminal once more, not to be waited for: set on the descriptor that there is, that would be the
    shell's affair, too. Where we must not, a copy does."""
    try:
        return os.open(os.ttyname(screen), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return os.dup(screen)
