"""The sessions that the documentation shows: recorded as they are asked for, of commands that there are, and shown.

tools/record_commands.py records them. Their figures are not compared.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from neighio.cli import _COMMANDS, build_parser

from .cli.schemas import validate

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "commands"
TOOL = ROOT / "tools" / "record_commands.py"
if not TOOL.exists():
    pytest.skip("a checkout's tools are not in its wheel", allow_module_level=True)


def load() -> ModuleType:
    spec = spec_from_file_location("record_commands", TOOL)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    # Where a data class looks up what its annotations mean.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


TOOL_MODULE = load()
SESSIONS = TOOL_MODULE.SESSIONS
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(line: str) -> Iterator[list[str]]:
    """Yield the arguments of each ``neighio`` of a shell line."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    arguments: list[str] | None = None
    for word in words:
        if re.fullmatch(r"[|&;<>()]+", word):
            if arguments is not None:
                yield arguments
            arguments = None
        elif arguments is not None:
            arguments.append(word)
        elif word == "neighio":
            arguments = []
    if arguments is not None:
        yield arguments


def texts(lines: tuple[Any, ...]) -> list[str]:
    return [line if isinstance(line, str) else line.text for line in lines]


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.name)
def test_a_session_is_recorded_as_it_is_asked_for(session: Any) -> None:
    record = (PAGES / f"{session.name}.txt").read_text(encoding="utf-8")
    typed = [line.removeprefix("$ ") for line in record.splitlines() if line.startswith("$ ")]
    assert typed == texts(session.lines)
    assert "Traceback" not in record and "(see neighio" not in record
    assert str(ROOT) not in record and "/tmp/" not in record


def test_an_object_of_a_record_is_as_its_schema_has_it() -> None:
    seen = 0
    for path in PAGES.glob("*.txt"):
        command = path.stem.partition("-")[0]
        schema = {"show": "entry", "monitor": "change"}.get(command, command)
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("{"):
                validate(schema, json.loads(line))
                seen += 1
    assert seen > 10


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.name)
def test_every_command_of_a_session_is_one(session: Any) -> None:
    found = [arguments for line in texts((*session.lines, *session.behind)) for arguments in commands(line)]
    assert found
    for arguments in found:
        # What is no usage of it leaves by SystemExit.
        build_parser().parse_args(arguments)


def test_every_record_is_of_a_session_and_shown_on_a_page() -> None:
    names = [session.name for session in SESSIONS]
    assert sorted(names) == sorted(path.stem for path in PAGES.glob("*.txt"))
    pages = "".join(path.read_text(encoding="utf-8") for path in PAGES.glob("*.rst"))
    assert [name for name in names if f".. literalinclude:: {name}.txt\n" not in pages] == []


def test_readme_shows_what_was_recorded_and_nothing_else_behind_a_prompt() -> None:
    assert TOOL_MODULE.renew(README) == README
    shown = [found["text"] for found in TOOL_MODULE.SHOWN.finditer(README)]
    assert README.count("<!-- recorded:") == len(shown)
    assert README.count("\n$ ") == sum(f"\n{text}".count("\n$ ") for text in shown) > 0


def test_readme_shows_every_command() -> None:
    shown = "".join(found["text"] for found in TOOL_MODULE.SHOWN.finditer(README))
    typed = [line.removeprefix("$ ") for line in shown.splitlines() if line.startswith("$ ")]
    assert {arguments[0] for line in typed for arguments in commands(line)} == set(_COMMANDS)


@pytest.mark.parametrize(
    "wanted", ["resolve", "resolve 0", "resolve 99", "resolve 1 0-2", "resolve 1 2-1", "resolve 1 1-99"]
)
def test_a_piece_that_there_is_not_is_refused(wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        TOOL_MODULE.piece(wanted)


def test_of_a_piece_lines_are_left_out_visibly() -> None:
    typed, *printed = TOOL_MODULE.piece("demo 1").splitlines()
    some = TOOL_MODULE.piece(f"demo 1 2-{len(printed) - 1}").splitlines()
    assert some == [typed, "...", *printed[1:-1], "..."]
    page = "a\n<!-- recorded: demo 1; top 1 1-1 -->\n```text\nold\n```\nb\n"
    first, second = TOOL_MODULE.piece("demo 1"), TOOL_MODULE.piece("top 1 1-1")
    assert TOOL_MODULE.renew(page) == page.replace("old\n", f"{first}\n{second}")


def test_every_command_has_a_page_with_its_help() -> None:
    named = next(
        action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction)
    )
    pages = {path.stem: path.read_text(encoding="utf-8") for path in PAGES.glob("*.rst")}
    assert set(pages) == {*named.choices, "index"}
    assert [name for name in named.choices if f".. command-help:: {name}\n" not in pages[name]] == []


def test_every_schema_of_a_commands_objects_is_shown_on_its_page() -> None:
    shown = "".join(path.read_text(encoding="utf-8") for path in PAGES.glob("*.rst"))
    schemas = [path.stem for path in (ROOT / "docs" / "schemas").glob("*.json") if path.stem != "common"]
    assert [name for name in sorted(schemas) if f".. schema:: {name}\n" not in shown] == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("neighio show", [["show"]]),
        ("neighio show --json | head -1; echo $?", [["show", "--json"]]),
        ("sleep 1 && neighio scan 198.51.100.0/24 > list &", [["scan", "198.51.100.0/24"]]),
        ("neighio host < <(echo 'use 198.51.100.7')", [["host"]]),
        ("neighio a 'b c' | neighio d", [["a", "b c"], ["d"]]),
        ("ip neigh", []),
    ],
)
def test_commands_are_found_in_shell_lines(line: str, found: list[list[str]]) -> None:
    assert list(commands(line)) == found
