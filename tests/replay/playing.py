"""``neighio replay``, played in this process: what it says as JSON, sorted."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from neighio.cli import main

from .recording import ETHERNET, Timed, pcap

Record = dict[str, Any]


class Played:
    """What came of a capture; every object that was printed is in ``records``."""

    def __init__(self, status: int, output: str, errors: str) -> None:
        self.status = status
        self.errors = errors
        self.records: list[Record] = [json.loads(line) for line in output.splitlines()]
        self.end: Record = self.records[-1] if self.records else {}

    def of(self, *kinds: str) -> list[Record]:
        return [record for record in self.records if record["kind"] in kinds]

    def life(self, address: str) -> list[tuple[float, str]]:
        """When an address entered which state; DELETED is none of the table's."""
        found: list[tuple[float, str]] = []
        for record in self.of("change", "new", "del"):
            if record["address"] == address:
                state = "DELETED" if record["kind"] == "del" else record["state"]
                if not found or found[-1][1] != state:
                    found.append((record["time"], state))
        return found

    def table(self) -> dict[str, tuple[str | None, str]]:
        """The table at the end: link-layer address and state by address and device."""
        return {
            f"{record['address']} dev {record['device']}": (record["lladdr"], record["state"])
            for record in self.of("entry")
        }

    def link(self, device: str) -> Record:
        (found,) = (record for record in self.of("link") if record["device"] == device)
        return found

    def odd(self) -> list[tuple[float, str, str | None, str | None, str | None]]:
        """Each anomaly: when, what, of which address, where it is, where it was or is, too."""
        return [
            (found["time"], found["anomaly"], found["address"], found["lladdr"], found["other"])
            for found in self.of("anomaly")
        ]


def replay(*arguments: str) -> Played:
    """Run the command with ``--json``."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = main(["replay", "--json", *arguments])
    return Played(status, output.getvalue(), errors.getvalue())


def play(path: Path, frames: Iterable[Timed], *arguments: str, link_type: int = ETHERNET) -> Played:
    """Write frames into a capture and play it; nothing may be wrong."""
    path.write_bytes(pcap(frames, link_type=link_type))
    played = replay(str(path), *arguments)
    assert (played.status, played.errors) == (0, "")
    return played
