"""A command as a trio program: Ctrl-C ends it in order, and what the user can mend is told in a line."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import trio

from ..errors import InternalError, NeighioError
from . import INTERRUPTED, UNUSABLE
from .output import complain

__all__ = ["explain", "run"]


def run(command: str, task: Callable[[], Awaitable[int]]) -> int:
    """Run a task that returns its exit status, until it does or is interrupted; return the status.

    A :class:`NeighioError` or :class:`OSError` that leaves the task is a line on standard error and status 2.
    What else leaves it is a bug, and is raised.
    """
    return trio.run(_interruptible, command, task)


async def _interruptible(command: str, task: Callable[[], Awaitable[int]]) -> int:
    status = INTERRUPTED
    with trio.open_signal_receiver(signal.SIGINT) as interrupts:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_when_interrupted, interrupts, nursery.cancel_scope)
            try:
                status = await task()
            except Exception as raised:
                error = _mendable(raised)
                if error is None:
                    raise
                complain(f"neighio {command}: {explain(error)}")
                status = UNUSABLE
            nursery.cancel_scope.cancel()
    return status


def _mendable(raised: Exception) -> NeighioError | OSError | None:
    """What the user is to be told of, None of a bug. From a command's own nurseries groups come."""
    if isinstance(raised, ExceptionGroup):
        found = [_mendable(one) for one in raised.exceptions]
        return None if None in found else found[0]
    return (
        raised
        if isinstance(raised, NeighioError | OSError) and not isinstance(raised, InternalError)
        else None
    )


async def _cancel_when_interrupted(interrupts: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in interrupts:
        scope.cancel()


def explain(error: Exception) -> str:
    """What an error says to people."""
    # The text of an OSError begins with its number.
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)
