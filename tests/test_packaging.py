"""What a package index and a type checker are told is so."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import neighio

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return table


def test_installing_brings_trio_alone(project: dict[str, Any]) -> None:
    names = [re.split(r"[^\w.-]", each)[0] for each in project["project"]["dependencies"]]
    assert names == ["trio"]


def test_scapy_stays_optional_as_its_licence_asks(project: dict[str, Any]) -> None:
    extras = project["project"]["optional-dependencies"]
    assert [name for name, needs in extras.items() if any("scapy" in each for each in needs)] == ["scapy"]


def test_the_package_says_that_it_is_typed() -> None:
    assert importlib.resources.files(neighio).joinpath("py.typed").is_file()


def test_the_version_has_its_section_in_the_changelog() -> None:
    assert f"\n## {neighio.__version__} " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_group_dev_has_every_other_group(project: dict[str, Any]) -> None:
    groups = project["dependency-groups"]
    assert {each["include-group"] for each in groups["dev"]} == set(groups) - {"dev"}


def test_what_is_installed_says_the_same(project: dict[str, Any]) -> None:
    try:
        metadata = importlib.metadata.metadata("neighio")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("neighio runs from its checkout here: make test installs it")
    assert metadata["License-Expression"] == "MIT"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert metadata["Requires-Python"] == project["project"]["requires-python"]
    needs = metadata.get_all("Requires-Dist") or []
    assert [each for each in needs if "extra ==" not in each] == project["project"]["dependencies"]
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="neighio")
    assert script.value == project["project"]["scripts"]["neighio"]
