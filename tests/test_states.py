"""The public view of an entry's state."""

from __future__ import annotations

import pytest

from neighio import NudState
from neighio.core import constants
from neighio.core.constants import parse_nud


def test_states_have_the_kernels_bits() -> None:
    for name in (
        "NONE",
        "INCOMPLETE",
        "REACHABLE",
        "STALE",
        "DELAY",
        "PROBE",
        "FAILED",
        "NOARP",
        "PERMANENT",
    ):
        assert NudState[name] == getattr(constants, f"NUD_{name}")
    for name in ("IN_TIMER", "VALID", "CONNECTED"):
        assert NudState[name] == getattr(constants, f"NUD_{name}")
    assert NudState.REACHABLE in NudState.CONNECTED and NudState.STALE not in NudState.CONNECTED


@pytest.mark.parametrize(
    ("value", "bits"),
    [("none", 0), ("reachable", 2), ("PERMANENT", 0x80), (0, 0), (NudState.STALE, 4), (0xFF, 0xFF)],
)
def test_a_state_is_a_name_or_bits(value: int | str, bits: int) -> None:
    assert parse_nud(value) == bits and type(parse_nud(value)) is int


@pytest.mark.parametrize("value", ["", "asleep", "reachable stale", -1, 256])
def test_anything_else_is_refused(value: int | str) -> None:
    with pytest.raises(ValueError, match=r"^nud: "):
        parse_nud(value)
