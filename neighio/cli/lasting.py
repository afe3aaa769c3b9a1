"""Commands that last: until a signal ends them, or nobody reads any more what they print."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import trio

from ..errors import NeighioError
from . import INTERRUPTED
from .lines import LineWriter

__all__ = ["ENDING_SIGNALS", "LAST_LINES_SECONDS", "Lasting"]

ENDING_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
"""What ends a command that lasts; a command has a receiver of them open around all that is to be whole to the
end."""

LAST_LINES_SECONDS: Final = 1.0
"""How long whoever reads may take for the last lines."""


class Lasting:
    """The life of one command.

    Args:
        writer: what the command prints with; its lines are written meanwhile.

    Attributes:
        status: the exit status.
    """

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer
        self._failure: NeighioError | OSError | None = None
        self.status: int = 0

    async def live(
        self, signals: AsyncIterator[int] | None, body: Callable[[trio.Nursery], Awaitable[None]]
    ) -> None:
        """Await ``body``, which is given a nursery for what goes on beside it, until it returns or fails, one
        of the ``signals`` comes (None: others hear them), or nobody reads any more. The last lines are
        written before this returns."""
        async with trio.open_nursery() as nursery:
            if signals is not None:
                nursery.start_soon(self._end_when_signalled, signals, nursery.cancel_scope)
            nursery.start_soon(self._write, nursery.cancel_scope)
            try:
                await body(nursery)
            except (NeighioError, OSError) as error:
                self._failure = error
            finally:
                with trio.move_on_after(LAST_LINES_SECONDS, shield=True):
                    await self._writer.drain()
            nursery.cancel_scope.cancel()

    def check(self) -> None:
        """Raise the NeighioError or OSError that ended the command, also when it was interrupted."""
        if self._failure is not None:
            raise self._failure

    async def _end_when_signalled(self, signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        async for number in signals:
            self.status = INTERRUPTED if number == signal.SIGINT else 0
            scope.cancel()

    async def _write(self, scope: trio.CancelScope) -> None:
        try:
            await self._writer.run()
        except (NeighioError, OSError) as error:
            self._failure = error
        scope.cancel()
        await trio.lowlevel.checkpoint()
