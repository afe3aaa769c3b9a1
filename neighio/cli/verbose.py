"""``-v``: what the library logs, on standard error."""

from __future__ import annotations

import logging
import sys

from .output import printable

__all__ = ["tell_log"]


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        # A message may name what comes from the network.
        return printable(super().format(record))


def tell_log(level: int = logging.INFO) -> None:
    """Have what is logged under "neighio" from a level on printed on standard error, a line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(name)s: %(message)s"))
    logger = logging.getLogger("neighio")
    logger.addHandler(handler)
    logger.setLevel(level)
