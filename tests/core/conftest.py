"""Fixtures of the core's scenarios."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import families
from .families import FAMILIES, Family


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> Iterator[Family]:
    """Each family, one after the other; :mod:`.families` and what stands on it means this one."""
    families.use(FAMILIES[request.param])
    yield families.current()
    families.use(FAMILIES["arp"])
