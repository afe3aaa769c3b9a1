"""Every cell of the specification's tables is held by a scenario, or it is said why by none."""

from __future__ import annotations

from pathlib import Path

from neighio.testing.scenario import load_all
from neighio.testing.scenario.cells import NOT_PLAYED, TABLES, holders
from neighio.testing.scenario.model import Admin

HERE = Path(__file__).parent
SCENARIOS = load_all(HERE)


def test_every_cell_is_held_by_a_scenario_or_named_as_beyond_one() -> None:
    assert {cell for cell, scenarios in holders(SCENARIOS).items() if not scenarios} == set(NOT_PLAYED)


def test_no_cell_stands_in_two_tables() -> None:
    cells = [cell for table in TABLES for cell in table.cells]
    assert len(cells) == len(set(cells))


def test_no_scenario_claims_a_cell_that_its_table_does_not_have() -> None:
    cells = holders(())
    sections = {cell.partition(" ")[0] for cell in cells}
    claimed = {
        cell for scenario in SCENARIOS for cell in scenario.holds if cell.partition(" ")[0] in sections
    }
    assert claimed <= set(cells)


def test_each_netlink_cell_is_asked_for_by_add_replace_change_and_append() -> None:
    asked = {}
    for scenario in load_all(HERE / "4.7-netlink"):
        if scenario.path.stem.startswith("on-"):
            actions = [step.action for step in scenario.steps if step.at >= 0.2]
            asked[scenario.identity] = {
                (action.nlm_flags, action.lladdr) for action in actions if isinstance(action, Admin)
            }
            assert len(asked[scenario.identity]) == 4 * len(scenario.holds), scenario.identity
    assert len(asked) == 90
