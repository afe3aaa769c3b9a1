"""Imports point inwards only: the column "never imports" of the design, row by row, read from the sources.

What counts is every import statement wherever it stands: at the top, in a function, under TYPE_CHECKING,
relative, or by name through importlib. A module that belongs to no row (errors, address, ...) counts as part of
whatever imports it, so that nothing gets in by the side door.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import neighio

PACKAGE = Path(neighio.__file__).parent

OUTER = ("neighio.table", "neighio.cli", "neighio.testing")
# What link may know of core: the kernel's numbers, which are nobody's insides.
CORE_OUTSIDES = ("neighio.core", "neighio.core.constants")

NEVER_IMPORTS: dict[str, tuple[str, ...]] = {
    "neighio.wire": (
        "trio",
        "socket",
        "time",
        "neighio.core",
        "neighio.link",
        "neighio.driver",
        "neighio.kernel",
        *OUTER,
    ),
    "neighio.core": ("trio", "socket", "time", "neighio.link", "neighio.driver", "neighio.kernel", *OUTER),
    "neighio.link": ("neighio.core", "neighio.driver", *OUTER),
    "neighio.driver": ("trio", "time", *OUTER),
    "neighio.kernel": ("neighio.driver", *OUTER),
    "neighio.table": ("neighio.cli", "neighio.testing"),
    "neighio.cli": (),
    "neighio.testing": (),
}
ALLOWED = {"neighio.link": CORE_OUTSIDES}
# inet_pton and inet_ntop turn text into octets and back: names from socket, but no socket.
ALLOWED_BESIDE = {"neighio.address": ("socket",)}
RULES = [(layer, banned) for layer, row in NEVER_IMPORTS.items() for banned in row]


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def sources(package: Path) -> dict[str, tuple[bool, str]]:
    """Return the package's modules: dotted name -> (is it a package, its text)."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        found[".".join(parts[:-1] if is_package else parts)] = (is_package, path.read_text(encoding="utf-8"))
    return found


def imported(module: str, modules: dict[str, tuple[bool, str]]) -> Iterator[tuple[str, int]]:
    """Yield the dotted name of everything that a module imports, and the line that does."""
    is_package, text = modules[module]
    for node in ast.walk(ast.parse(text, filename=module)):
        match node:
            case ast.Import(names=names):
                for alias in names:
                    yield alias.name, node.lineno
            case ast.ImportFrom(module=source, names=names, level=level):
                parts = module.split(".") if level else []
                base = parts[: len(parts) - level + is_package] if level else []
                origin = ".".join([*base, *([source] if source else [])])
                for alias in names:
                    # `from neighio import errors` is that module and not the package's face, which has everything.
                    whole = f"{origin}.{alias.name}"
                    yield (whole if whole in modules else origin), node.lineno
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield name, node.lineno


def violations(layer: str, banned: str, modules: dict[str, tuple[bool, str]]) -> list[str]:
    """Return a line for each import by which a layer, or a rowless module that it uses, reaches what it must not."""
    pending = [name for name in modules if within(name, layer)]
    seen = set(pending)
    found = []
    while pending:
        module = pending.pop()
        for target, line in imported(module, modules):
            if within(target, banned):
                if target in ALLOWED.get(layer, ()) or target in ALLOWED_BESIDE.get(module, ()):
                    continue
                found.append(f"{module}:{line} imports {target}")
            elif (
                target in modules
                and target not in seen
                and not any(within(target, row) for row in NEVER_IMPORTS)
            ):
                seen.add(target)
                pending.append(target)
    return found


@pytest.mark.parametrize(("layer", "banned"), RULES, ids=[f"{a}-never-imports-{b}" for a, b in RULES])
def test_layer_never_imports(layer: str, banned: str) -> None:
    modules = sources(PACKAGE)
    assert any(within(name, layer) for name in modules), f"there is no {layer}: the rule checks nothing"
    assert violations(layer, banned, modules) == []


@pytest.mark.parametrize(
    ("layer", "banned", "text"),
    [
        ("neighio.core", "trio", "import trio"),
        ("neighio.core", "trio", "import trio.lowlevel as low"),
        ("neighio.core", "time", "def now():\n    from time import monotonic\n    return monotonic()"),
        ("neighio.core", "socket", "if TYPE_CHECKING:\n    import socket"),
        ("neighio.core", "trio", "import importlib\nimportlib.import_module('trio')"),
        ("neighio.core", "neighio.table", "from ..table import NeighbourTable"),
        ("neighio.core", "neighio.link", "from neighio import link"),
        ("neighio.core", "trio", "from neighio import helper"),
        ("neighio.core", "trio", "from neighio import NeighbourTable"),
        ("neighio.wire", "neighio.core", "from ..core.constants import NUD_STALE"),
        ("neighio.link", "neighio.core", "from ..core import engine"),
        ("neighio.link", "neighio.core", "from neighio.core.engine import Engine"),
        ("neighio.driver", "time", "import time"),
    ],
)
def test_a_planted_violation_is_found(layer: str, banned: str, text: str) -> None:
    modules = {
        "neighio": (True, "from .table import NeighbourTable\nimport trio"),
        "neighio.helper": (False, "import trio"),
        "neighio.core": (True, ""),
        "neighio.core.constants": (False, ""),
        "neighio.core.engine": (False, ""),
        "neighio.link": (True, ""),
        "neighio.table": (False, "class NeighbourTable: ..."),
        f"{layer}.planted": (False, text),
    }
    found = violations(layer, banned, modules)
    assert len(found) == 1, found
    assert "imports" in found[0]


@pytest.mark.parametrize(
    ("layer", "banned", "text"),
    [
        ("neighio.core", "time", "import timeit\nimport datetime"),
        ("neighio.core", "trio", "from ..errors import TableFull"),
        ("neighio.link", "neighio.core", "from ..core.constants import IFF_UP"),
        ("neighio.core", "trio", "from ..wire import arp"),
    ],
)
def test_what_is_allowed_is_let_through(layer: str, banned: str, text: str) -> None:
    modules = {
        "neighio": (True, "import trio"),
        "neighio.errors": (False, "import errno"),
        "neighio.core": (True, ""),
        "neighio.core.constants": (False, ""),
        "neighio.wire": (True, ""),
        "neighio.wire.arp": (False, ""),
        f"{layer}.planted": (False, text),
    }
    assert violations(layer, banned, modules) == []
