"""The instances that run, and what those that ended left behind."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import trio

from ...control import runtime_directory
from ...errors import NeighioError
from ..instances import connect, is_alive
from ..running import explain
from .findings import Finding, Level

__all__ = ["find_instances"]


async def find_instances() -> list[Finding]:
    """The instances that have their control sockets in the usual place."""
    await trio.lowlevel.checkpoint()
    try:
        place = runtime_directory()
    except NeighioError:
        return [
            Finding(
                Level.NOTE,
                "instances",
                "XDG_RUNTIME_DIR",
                "not set",
                "instances' control sockets have no usual place, and have to be named with --control PATH",
                "export XDG_RUNTIME_DIR=/run/user/$(id -u)",
            )
        ]
    paths = sorted(place.glob("*.sock"))
    if not paths:
        return [Finding(Level.OK, "instances", str(place), "no instance has its control socket there")]
    return [await _instance(path) for path in paths]


async def _instance(path: Path) -> Finding:
    if not is_alive(path):
        await trio.lowlevel.checkpoint()
        return Finding(
            Level.NOTE,
            "instances",
            str(path),
            "nobody listens there to whom you may speak",
            "its process has ended without tidying up, or is somebody else's",
            f"rm {quote(str(path))}",
        )
    try:
        async with connect(str(path)) as instance:
            devices = ", ".join(instance.devices) or "no device"
    except NeighioError as error:
        await trio.lowlevel.checkpoint()
        return Finding(Level.NOTE, "instances", str(path), "is not an instance to speak to", explain(error))
    return Finding(Level.OK, "instances", str(path), f"an instance runs, with neighbours on {devices}")
