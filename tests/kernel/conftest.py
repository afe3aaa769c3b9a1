from __future__ import annotations

import pytest

from neighio.testing.isolation import require_namespaces


@pytest.fixture
def namespaces() -> None:
    """For tests that make namespaces from outside: skipped, or failed, as those ``in_namespace`` are."""
    require_namespaces()
