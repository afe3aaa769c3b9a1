"""Closing what the kernel takes its time over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

__all__ = ["CLOSING_SECONDS", "close_in_thread"]

CLOSING_SECONDS: Final = 1.0
"""How long closing is waited for: the kernel takes about 14 ms for each packet socket."""


async def close_in_thread(close: Callable[[], object]) -> None:
    """Call ``close`` in a thread: also when cancelled, and to its end also when that takes too long."""
    with trio.move_on_after(CLOSING_SECONDS, shield=True):
        # A limiter of its own: the default one may be full of threads that wait for us.
        await trio.to_thread.run_sync(close, abandon_on_cancel=True, limiter=trio.CapacityLimiter(1))
    await trio.lowlevel.checkpoint()
