"""``neighio top``: a live table of neighbours, an instance's, the kernel's, or those heard on a device."""

from __future__ import annotations

from argparse import Namespace

from ..running import run
from .program import Top

__all__ = ["top"]


def top(arguments: Namespace) -> int:
    """Run the command; return its exit status."""
    return run("top", Top(arguments).run)
