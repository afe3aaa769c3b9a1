"""What a command's page shows beside its recorded sessions: ``command-help NAME``, its help as it is printed;
``schema NAME``, the keys of a JSON schema; ``schemas``, those of all of them.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from docutils import nodes
from sphinx.addnodes import download_reference
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from neighio.cli import build_parser

SCHEMAS: Final = Path(__file__).with_name("schemas")
HELP_COLUMNS: Final = 110

Schema = dict[str, Any]


def help_text(command: str) -> str:
    """Return a command's help, as ``neighio COMMAND --help`` prints it.

    Raises:
        KeyError: there is no such command.
    """
    commands = next(
        found for found in build_parser()._actions if isinstance(found, argparse._SubParsersAction)
    )
    os.environ["COLUMNS"] = str(HELP_COLUMNS)
    text: str = commands.choices[command].format_help()
    return text


def read(file: str) -> Schema:
    schema: Schema = json.loads((SCHEMAS / file).read_text(encoding="utf-8"))
    return schema


class Found(NamedTuple):
    """A schema, or a part of one, with nothing to look up; ``file`` is what its own references start from."""

    schema: Schema
    file: str


def look_up(schema: Schema, file: str) -> Found:
    """Follow what a schema refers to, if it does; its own keys come before that one's."""
    reference = schema.get("$ref")
    if reference is None:
        return Found(schema, file)
    other, _, pointer = reference.partition("#/")
    target: Any = read(other or file)
    for key in pointer.split("/") if pointer else ():
        target = target[key]
    found = look_up(target, other or file)
    return Found(
        {**found.schema, **{key: value for key, value in schema.items() if key != "$ref"}}, found.file
    )


def parts(schema: Schema, file: str) -> Iterator[Found]:
    """Yield a schema, and each that it is any or one of."""
    found = look_up(schema, file)
    yield found
    for part in (*found.schema.get("oneOf", ()), *found.schema.get("anyOf", ())):
        yield from parts(part, found.file)


def type_of(schema: Schema, file: str) -> str:
    """Return in words of which type a value is."""
    types: list[str] = []
    for part, inner in parts(schema, file):
        if "enum" in part or "const" in part:
            types += map(json.dumps, part.get("enum", [part.get("const")]))
            continue
        named = part.get("type", [])
        for name in named if isinstance(named, list) else [named]:
            types.append(f"array of {type_of(part['items'], inner)}" if "items" in part else name)
    return " or ".join(dict.fromkeys(types))


def rows(schema: Schema, file: str, prefix: str = "") -> Iterator[Sequence[str]]:
    """Yield key, type and meaning of an object's properties, and of those within them."""
    for key, value in schema["properties"].items():
        meaning = look_up(value, file).schema.get("description", "")
        if key not in schema.get("required", ()):
            meaning += " May be missing."
        yield f"{prefix}{key}", type_of(value, file), meaning
        for part, inner in parts(value, file):
            if "properties" in part:
                yield from rows(part, inner, f"{prefix}{key}.")
            for item in parts(part["items"], inner) if "items" in part else ():
                if "properties" in item.schema:
                    yield from rows(*item, f"{prefix}{key}[].")


def forms(file: str) -> list[Found]:
    """Return each form that the object of a schema may have; none where it only has what others refer to."""
    return [part for part in parts(read(file), file) if "properties" in part.schema]


def table(body: Iterable[Sequence[str]]) -> nodes.table:
    """Return the table of an object's keys."""
    group = nodes.tgroup(cols=3)
    group += [nodes.colspec(colwidth=width) for width in (22, 22, 56)]
    head, rest = nodes.thead(), nodes.tbody()
    head += nodes.row(
        "", *(nodes.entry("", nodes.paragraph(text=text)) for text in ("Key", "Type", "Meaning"))
    )
    for key, kind, meaning in body:
        cells = nodes.literal(text=key), nodes.Text(kind), nodes.Text(meaning)
        rest += nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))
    group += [head, rest]
    return nodes.table("", group)


def described(file: str, page: str) -> list[nodes.Node]:
    """Return a schema as a page shows it: its title, where it is, and a table for each form."""
    link = download_reference("", "", nodes.literal(text=file), reftarget=f"/schemas/{file}", refdoc=page)
    found: list[nodes.Node] = [nodes.paragraph("", "", nodes.Text(f"{read(file)['title']}: "), link)]
    every = forms(file)
    for one in every:
        if len(every) > 1:
            found.append(nodes.paragraph("", "", nodes.strong(text=one.schema["title"])))
        found.append(table(rows(*one)))
    return found


class CommandHelp(SphinxDirective):
    """``.. command-help:: COMMAND``"""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        text = help_text(self.arguments[0])
        return [nodes.literal_block(text, text, language="text")]


class SchemaTable(SphinxDirective):
    """``.. schema:: NAME``"""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        return described(f"{self.arguments[0]}.json", self.env.docname)


class AllSchemas(SphinxDirective):
    """``.. schemas::``"""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        found: list[nodes.Node] = []
        for path in sorted(SCHEMAS.glob("*.json")):
            if forms(path.name):
                section = nodes.section(ids=[f"schema-{path.stem}"], names=[path.stem])
                section += nodes.title(text=path.stem)
                section += described(path.name, self.env.docname)
                found.append(section)
        return found


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("command-help", CommandHelp)
    app.add_directive("schema", SchemaTable)
    app.add_directive("schemas", AllSchemas)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
