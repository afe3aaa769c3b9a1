"""What stands in /proc/sys: of this thread's network namespace, in /proc/sys/net. Nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["SYSCTLS", "read_number", "read_text"]

SYSCTLS: Final = Path("/proc/sys")


def read_text(path: str) -> str | None:
    """Return the value of /proc/sys/``path``; None where there is none, or it may not be read."""
    try:
        return (SYSCTLS / path).read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return None


def read_number(path: str) -> int | None:
    """Return the whole number in /proc/sys/``path``, the first where there are several; None where there is
    none."""
    text = read_text(path)
    try:
        return None if text is None else int(text.split()[0])
    except (ValueError, IndexError):
        return None
