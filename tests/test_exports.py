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
NAMES = list(neighio.__all__)


def exports(package: ModuleType) -> dict[str, str]:
    """The names that a package's face imports, be it for type checkers alone, and from which of its modules."""
    tree = ast.parse(Path(str(package.__file__)).read_text(encoding="utf-8"))
    return {
        alias.asname: node.module or ""
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }


def test_type_checkers_and_programs_find_every_name_in_the_same_place() -> None:
    assert exports(neighio) == {name: home for home, names in neighio._HOMES.items() for name in names}
    assert set(exports(neighio)) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_there_and_stays_what_it_is(name: str) -> None:
    assert getattr(neighio, name) is getattr(neighio, name) is vars(neighio)[name]
    assert name in dir(neighio)


def test_another_name_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'neighio' has no attribute 'nonsense'"):
        neighio.nonsense  # noqa: B018  # asking is the test


def test_the_public_face_is_there() -> None:
    assert {
        "AdminError", "AttachedDevice", "Device", "DeviceGone", "InternalError", "InvalidAddress", "LinkAddress",
        "NeighbourTable", "NeighioError", "NotPermitted", "NudState", "PacketDropped", "SubscriberOverflow",
        "TableFull", "Unreachable", "open_table",
    } <= set(NAMES)  # fmt: skip


@pytest.mark.parametrize("package", [neighio, neighio.testing])
def test_the_reference_has_every_name(package: ModuleType) -> None:
    exported = set(exports(package))
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
