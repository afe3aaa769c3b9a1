"""What holds for every test: no descriptor is left behind, and examples are the same in every CI run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Deadlines measure the machine, not the code.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

DESCRIPTORS = next((path for path in (Path("/proc/self/fd"), Path("/dev/fd")) if path.is_dir()), None)


def open_descriptors() -> dict[int, str]:
    """Return this process's descriptors and, where the system tells, what each stands for."""
    if DESCRIPTORS is None:
        return {}
    found: dict[int, str] = {}
    for name in os.listdir(DESCRIPTORS):
        # The one that lists the folder is gone by the time that it is looked at.
        with contextlib.suppress(OSError):
            os.fstat(int(name))
            found[int(name)] = str(int(name))
            found[int(name)] = os.readlink(DESCRIPTORS / name)
    return found


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    """Fail a test that leaves a descriptor open; those of wider fixtures and of pytest were there before."""
    before = open_descriptors()
    yield
    left = {fd: what for fd, what in open_descriptors().items() if before.get(fd) != what}
    assert not left, f"descriptors left open: {left}"
