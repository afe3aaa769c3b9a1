"""The loggers under "neighio", which are quiet unless the program wants to hear them."""

from __future__ import annotations

import logging

__all__ = ["get_logger"]

# Without it what is logged as a warning would be printed where nobody has set up logging.
logging.getLogger("neighio").addHandler(logging.NullHandler())


def get_logger(name: str) -> logging.Logger:
    """Return the logger "neighio.``name``"."""
    return logging.getLogger(f"neighio.{name}")
