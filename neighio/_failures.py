"""What an exception that leaves a nursery is about."""

from __future__ import annotations

import trio

from .errors import InternalError

__all__ = ["has_cancellation", "innermost", "internal", "is_cancellation", "of_table"]


def internal(error: BaseException) -> InternalError | None:
    """The first bug report within an exception, if there is one."""
    if isinstance(error, InternalError):
        return error
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            if (found := internal(inner)) is not None:
                return found
    return None


def innermost(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What a nursery's group is about: its one exception that is no cancellation, or the group itself."""
    rest: BaseException | None = group.split(trio.Cancelled)[1]
    while isinstance(rest, BaseExceptionGroup) and len(rest.exceptions) == 1:
        rest = rest.exceptions[0]
    return group if rest is None else rest


def has_cancellation(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(trio.Cancelled) is not None
    return isinstance(error, trio.Cancelled)


def of_table(group: BaseExceptionGroup[BaseException], cancelled: BaseException | None) -> BaseException:
    """What a table's nursery has to say: its one failure, or all of them; of cancellations the body's."""
    failures = [error for error in group.exceptions if not is_cancellation(error)]
    if not failures:
        return group if cancelled is None else cancelled
    return failures[0] if len(failures) == 1 else group


def is_cancellation(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)[1] is None
    return isinstance(error, trio.Cancelled)
