"""The schemas of docs/schemas, to hold a command's JSON objects against.

A schema may refer to another one by its file's name: ``{"$ref": "common.json#/$defs/lladdr"}``.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

SCHEMAS = Path(__file__).parents[2] / "docs" / "schemas"
REGISTRY: Registry[Any] = Registry().with_resources(
    (path.name, Resource.from_contents(json.loads(path.read_text(encoding="utf-8"))))
    for path in SCHEMAS.glob("*.json")
)


def read(name: str) -> dict[str, Any]:
    """Return the schema docs/schemas/``name``.json."""
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    return schema


@functools.cache
def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(
        read(name), registry=REGISTRY, format_checker=Draft202012Validator.FORMAT_CHECKER
    )


def validate(name: str, record: Mapping[str, Any]) -> None:
    """Fail unless an object is as the schema docs/schemas/``name``.json has it; every fault is named."""
    faults = [f"{fault.json_path}: {fault.message}" for fault in _validator(name).iter_errors(record)]
    assert not faults, f"{name}.json: {'; '.join(faults)}: {json.dumps(record)}"
