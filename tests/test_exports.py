"""What the package shows to the world."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

import neighio
import neighio.errors
import neighio.testing

REFERENCE = Path(__file__).parent.parent / "docs" / "api.rst"
PUBLIC = sorted(name for name in vars(neighio) if not name.startswith("_"))
SUBMODULES = {path.stem for path in Path(neighio.__file__).parent.iterdir()}
NAMES = [name for name in PUBLIC if name not in SUBMODULES]


def test_every_import_of_the_package_is_an_export() -> None:
    tree = ast.parse(Path(neighio.__file__).read_text(encoding="utf-8"))
    imported = {
        alias.asname for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    } - {None, "annotations"}
    assert imported == set(NAMES) - {"annotations"}


def test_the_public_face_is_there() -> None:
    assert {
        "AdminError", "AttachedDevice", "Device", "DeviceGone", "InternalError", "InvalidAddress", "LinkAddress",
        "NeighbourTable", "NeighioError", "NotPermitted", "NudState", "PacketDropped", "SubscriberOverflow",
        "TableFull", "Unreachable", "open_table",
    } <= set(NAMES)  # fmt: skip


@pytest.mark.parametrize("package", [neighio, neighio.testing])
def test_the_reference_has_every_name(package: ModuleType) -> None:
    tree = ast.parse(Path(str(package.__file__)).read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    exported = {alias.asname for node in imports for alias in node.names if alias.asname}
    text = REFERENCE.read_text(encoding="utf-8")
    assert ".. automodule:: neighio.errors\n   :members:" in text
    described = set(
        re.findall(r"^\.\. auto(?:class|function|data):: (?:neighio\.)?(\w+)$", text, re.MULTILINE)
    )
    assert exported - described - set(neighio.errors.__all__) == set()


@pytest.mark.parametrize("name", [n for n in NAMES if inspect.isclass(getattr(neighio, n))])
def test_every_public_method_is_documented_and_typed(name: str) -> None:
    found = getattr(neighio, name)
    assert inspect.getdoc(found), name
    for attribute, member in vars(found).items():
        if attribute.startswith("_") or not found.__module__.startswith("neighio"):
            continue
        function = member.fget if isinstance(member, property) else member
        if inspect.isfunction(function):
            assert inspect.getdoc(function), f"{name}.{attribute}"
            assert "return" in function.__annotations__, f"{name}.{attribute}"


@pytest.mark.parametrize(
    "name", ["NeighbourTable", "HeldNeighbour", "Sweep", "EventStream", "AttachedDevice"]
)
def test_no_public_coroutine_takes_a_timeout(name: str) -> None:
    for attribute, member in vars(getattr(neighio, name)).items():
        if inspect.iscoroutinefunction(member) and not attribute.startswith("_"):
            assert not {"timeout", "deadline"} & inspect.signature(member).parameters.keys()
