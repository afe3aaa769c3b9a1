"""Whether TAP devices may be made here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

from neighio.testing.isolation import REQUIRE_KERNEL

__all__ = ["TUN", "require_tun"]

TUN: Final = Path("/dev/net/tun")


def require_tun() -> None:
    """Skip the test where there are no TAP devices; where the kernel is required it fails."""
    if not os.access(TUN, os.R_OK | os.W_OK):
        reason = f"{TUN} is not there, or not ours to open: modprobe tun, chmod 666 {TUN}; in a container --device {TUN}"
        if os.environ.get(REQUIRE_KERNEL) == "1":
            pytest.fail(reason)
        pytest.skip(reason)
