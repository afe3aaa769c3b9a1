"""The schemas themselves: well-formed, closed, and each key explained."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from neighio.cli import build_parser

from .schemas import SCHEMAS, read, validate

COMMANDS: dict[str, argparse.ArgumentParser] = next(
    dict(action.choices)
    for action in build_parser()._actions
    if isinstance(action, argparse._SubParsersAction)
)
NAMES = sorted(path.stem for path in SCHEMAS.glob("*.json"))
ENTRY = {
    "address": "2001:db8::7",
    "device": "eth0",
    "lladdr": "02:00:00:00:00:07",
    "state": "STALE",
    "flags": ["router"],
    "probes": 0,
    "refcnt": 1,
    "used": 3.5,
    "confirmed": 3.5,
    "updated": 0.0,
    "protocol": 0,
}


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield each schema of an object within a schema."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield schema
        for inner in schema.values():
            yield from objects(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from objects(inner)


def references(schema: Any) -> Iterator[str]:
    """Yield each reference within a schema."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"]
        for inner in schema.values():
            yield from references(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from references(inner)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one_and_leaves_no_key_unexplained(name: str) -> None:
    schema = read(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"{name}.json" and schema["title"]
    for found in objects(schema):
        assert found["additionalProperties"] is False, found
        for key, value in found["properties"].items():
            assert "description" in value or value.get("$ref", "").startswith("#/$defs/"), key


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("address", "198.51.100.300"),
        ("address", "fe80::1%eth0"),
        ("device", ""),
        ("lladdr", "2:0:0:0:0:7"),
        ("state", "GONE"),
        ("flags", ["odd"]),
        ("refcnt", -1),
        ("used", "3"),
        ("more", 1),
    ],
)
def test_what_is_not_so_is_found(key: str, value: object) -> None:
    validate("entry", ENTRY)
    with pytest.raises(AssertionError, match=f"{key}|odd"):
        validate("entry", {**ENTRY, key: value})


@pytest.mark.parametrize("key", ENTRY)
def test_what_is_missing_is_found(key: str) -> None:
    with pytest.raises(AssertionError, match=key):
        validate("entry", {name: value for name, value in ENTRY.items() if name != key})


@pytest.mark.parametrize("name", NAMES)
def test_what_a_schema_refers_to_is_there(name: str) -> None:
    for reference in references(read(name)):
        file, _, pointer = reference.partition("#/$defs/")
        found = read(file.removesuffix(".json") or name)
        assert not pointer or pointer in found["$defs"], reference


COMMON = {
    "address": {"ip"},
    "device": {"device"},
    "lladdr": {"lladdr", "lladdr_or_null"},
    "state": {"state"},
    "flags": {"flags"},
    "probes": {"count"},
    "time": {"seconds"},
    "wall": {"wall"},
    # A refusal always has one.
    "error": {"error", ""},
}
"""Keys, and what in common.json a value of each is; "": nothing there."""
ELSEWHERE = {
    # /proc/net/stat has it of a cache; of a host's answer it is the entries themselves.
    "entries": {"array", "integer"},
}
"""Keys whose values are of several types."""


def defined(name: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what a schema allows beside null, each with the name of the definition that it is, or ""."""
    reference = schema.get("$ref")
    if reference is not None:
        file, _, pointer = reference.partition("#/$defs/")
        file = file.removesuffix(".json") or name
        found = read(file)
        if file == "common":
            yield pointer, found["$defs"][pointer]
        else:
            yield from defined(file, found["$defs"][pointer] if pointer else found)
    elif "anyOf" in schema:
        for one in schema["anyOf"]:
            yield from defined(name, one)
    elif schema.get("type") != "null":
        yield "", schema


def types(schema: dict[str, Any]) -> set[str]:
    """The types of JSON that a definition allows beside null."""
    if "anyOf" in schema and "type" not in schema:
        return {found for _, one in defined("common", schema) for found in types(one)}
    values = [schema["const"]] if "const" in schema else schema.get("enum", [])
    if values:
        return {"boolean" if isinstance(value, bool) else "string" for value in values}
    named = schema["type"]
    return {named} - {"null"} if isinstance(named, str) else set(named) - {"null"}


def test_a_key_has_the_same_form_and_type_whoever_prints_it() -> None:
    forms: dict[str, set[str]] = {}
    found: dict[str, set[str]] = {}
    for name in NAMES:
        for one in objects(read(name)):
            for key, value in one["properties"].items():
                for form, schema in defined(name, value):
                    forms.setdefault(key, set()).add(form)
                    found.setdefault(key, set()).update(types(schema))
    assert {key: forms[key] - allowed for key, allowed in COMMON.items() if forms[key] - allowed} == {}
    assert {key: some for key, some in found.items() if len(some) > 1} == ELSEWHERE


def test_no_key_says_in_another_word_what_a_common_one_says() -> None:
    keys = {key for name in NAMES for one in objects(read(name)) for key in one["properties"]}
    assert keys & {"ip", "dev", "mac", "interface", "nud_state", "timestamp", "date", "rtt"} == set()
    # Seconds have no suffix; milliseconds have one.
    assert {key for key in keys if key.endswith(("_s", "_seconds", "_us", "_ns"))} == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_takes_json_and_its_help_names_a_schema_that_a_test_holds_it_to(command: str) -> None:
    parser = COMMANDS[command]
    assert {"-j", "--json"} <= parser._option_string_actions.keys()
    (name,) = set(re.findall(r"docs/schemas/(\w+)\.json", parser.format_help()))
    assert name in NAMES
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*.py"))
    assert f'validate("{name}", ' in tests
