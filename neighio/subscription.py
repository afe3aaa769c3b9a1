"""A table's events, as an asynchronous iterator."""

from __future__ import annotations

from types import TracebackType

import trio

from ._park import Token, park
from .driver import Driver
from .publication import Published, Subscription

__all__ = ["EventStream"]


class EventStream:
    """What a subscription yields: the entries that there are, ``Idle``, then changes, in order.

    Made by :meth:`NeighbourTable.subscribe`; used as a context manager and iterated by one task.
    """

    def __init__(self, driver: Driver, subscription: Subscription) -> None:
        self._driver = driver
        self._subscription = subscription
        self._taken = False

    def __enter__(self) -> EventStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @trio.lowlevel.enable_ki_protection
    def close(self) -> None:
        """End the subscription. Idempotent."""
        self._driver.unsubscribe(self._subscription)

    def __aiter__(self) -> EventStream:
        return self

    @trio.lowlevel.enable_ki_protection
    async def __anext__(self) -> Published:
        """Return the next event; a checkpoint.

        Raises:
            SubscriberOverflow: the bounded queue ran over, after everything that it held was yielded.
            trio.ClosedResourceError: the subscription or the table was closed.
            trio.BusyResourceError: another task is iterating.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._taken:
            raise trio.BusyResourceError("another task is reading this subscription")
        self._taken = True
        subscription = self._subscription
        waited = False
        try:
            while True:
                if subscription.closed:
                    raise trio.ClosedResourceError("the subscription was closed")
                event = subscription.take()
                if event is not None:
                    if not waited:
                        await trio.lowlevel.cancel_shielded_checkpoint()
                    return event
                if subscription.walking:
                    await trio.lowlevel.checkpoint()
                    continue
                token = Token()
                subscription.token = token
                await park(token, self._forget)
                waited = True
        finally:
            self._taken = False

    def _forget(self) -> None:
        self._subscription.token = None
