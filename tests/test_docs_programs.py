"""The programs that the documentation's pages print run, and print what stands below them.

A comment on the line above a block of Python says where it runs, as in README: ``.. run: memory`` or
``.. run: namespace``.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

from .test_readme import RUN

DOCS = Path(__file__).parent.parent / "docs"
LINES = r"((?:    .*\n|\n)+)"
PROGRAM = re.compile(
    rf"^\.\. run: (\w+)\n\n\.\. code-block:: python\n\n{LINES}\.\. code-block:: text\n\n{LINES}", re.MULTILINE
)
PYTHON = re.compile(r"^\.\. code-block:: python$", re.MULTILINE)

PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.rst"))}
PROGRAMS = [(name, *found) for name, text in PAGES.items() for found in PROGRAM.findall(text)]


def test_every_program_says_where_it_runs_and_what_it_prints() -> None:
    assert len(PROGRAMS) == sum(len(PYTHON.findall(text)) for text in PAGES.values()) > 0


@pytest.mark.parametrize(
    ("where", "program", "printed"),
    [found[1:] for found in PROGRAMS],
    ids=[f"{found[0]}-{number}" for number, found in enumerate(PROGRAMS)],
)
def test_a_program_runs_and_prints_what_stands_below_it(where: str, program: str, printed: str) -> None:
    assert RUN[where](textwrap.dedent(program)).strip() == textwrap.dedent(printed).strip()
