"""Check with pyright that everything public has a type that every type checker reads the same way.

Public is what ``neighio`` and ``neighio.testing`` export, with all its members; an import path below them is
no promise. pyright itself would count every module whose name has no underscore.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FACES = ("neighio", "neighio.testing")


def public(symbols: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the symbols that a face exports, and their members wherever those are defined."""
    modules = {symbol["name"] for symbol in symbols if symbol["category"] == "module"}
    exported = set()
    for symbol in symbols:
        names = {symbol["name"], *symbol.get("alternateNames", ())} - modules
        if any(name.rpartition(".")[0] in FACES for name in names):
            exported |= names
    prefixes = tuple(name + "." for name in exported)
    return [each for each in symbols if each["name"] in exported or each["name"].startswith(prefixes)]


def main() -> int:
    pyright = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    command = [*pyright, "--verifytypes", "neighio", "--ignoreexternal", "--outputjson"]
    # pyright does not see the checkout through an editable install.
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    try:
        report = json.loads(done.stdout)["typeCompleteness"]
    except (ValueError, KeyError):
        print(done.stdout, done.stderr, file=sys.stderr)
        return 2
    if "pyTypedPath" not in report:
        print("pyright finds no neighio with a py.typed", file=sys.stderr)
        return 1
    symbols = public(report["symbols"])
    bad = [each for each in symbols if not each["isTypeKnown"] or each["isTypeAmbiguous"]]
    for symbol in bad:
        for found in symbol["diagnostics"]:
            if found["severity"] == "error":
                start = found.get("range", {}).get("start", {}).get("line", 0) + 1
                print(f"{found['file']}:{start}: {symbol['name']}: {found['message']}")
    print(f"pyright: {len(symbols)} public symbols, {len(bad)} without a full type")
    return 1 if bad or not symbols else 0


if __name__ == "__main__":
    sys.exit(main())
