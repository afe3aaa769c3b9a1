"""The schemas themselves: well-formed, closed, and each key explained."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from .schemas import SCHEMAS, read, validate

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
