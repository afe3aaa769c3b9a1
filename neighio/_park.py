"""How a trio task waits for the driver."""

from __future__ import annotations

from collections.abc import Callable

import outcome
import trio

from .waiters import Outcome

__all__ = ["Token", "park", "wake"]


class Token:
    """A task's place among the waiters. It may be woken before its task sleeps; the outcome is kept."""

    __slots__ = ("result", "task")

    def __init__(self) -> None:
        self.task: trio.lowlevel.Task | None = None
        self.result: outcome.Outcome[object] | None = None


def wake(token: object, result: Outcome) -> None:
    """The driver's hook: give the token's task a value, or an exception of its own."""
    assert isinstance(token, Token)
    token.result = outcome.Error(result) if isinstance(result, BaseException) else outcome.Value(result)
    if token.task is not None:
        task, token.task = token.task, None
        trio.lowlevel.reschedule(task, token.result)


async def park(token: Token, forget: Callable[[], None]) -> object:
    """Sleep until the token is woken, and return or raise what it was woken with; always a checkpoint.

    The token must be known to the driver already. ``forget`` is called when the task is cancelled
    instead, and must make the driver not know it.
    """
    if token.result is not None:
        await trio.lowlevel.cancel_shielded_checkpoint()
        return token.result.unwrap()

    def abort(_: object) -> trio.lowlevel.Abort:
        token.task = None
        forget()
        return trio.lowlevel.Abort.SUCCEEDED

    token.task = trio.lowlevel.current_task()
    return await trio.lowlevel.wait_task_rescheduled(abort)
