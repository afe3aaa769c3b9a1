"""Importing is cheap, and works on any operating system and without any extra."""

from __future__ import annotations

import functools
import json
import os
import pkgutil
import subprocess
import sys
import textwrap

import pytest

import neighio

MODULES = ["neighio", *(each.name for each in pkgutil.walk_packages(neighio.__path__, "neighio."))]
OPTIONAL = ("prometheus_client", "pyroute2", "rich", "scapy")
NEVER_BROUGHT_IN = (*OPTIONAL, "asyncio", "sqlite3")

# Trio and the standard library come first, as they choose what they are by the true platform. Then each module of
# ours is imported in a child of its own, which has seen none of the others.
ELSEWHERE = """
    import json, os, socket, sys
    import trio, trio.testing, ctypes, importlib, ipaddress, logging, mmap, subprocess, traceback

    names, blocked = json.loads(sys.argv[1])
    for name in [each for each in vars(socket) if each.startswith(("AF_PACKET", "AF_NETLINK", "PACKET_", "NETLINK_"))]:
        delattr(socket, name)
    sys.platform = "darwin"
    for name in blocked:
        sys.modules[name] = None

    results = {}
    for name in names:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                importlib.import_module(name)
                text = ""
            except BaseException:
                text = traceback.format_exc()
            os.write(writing, text.encode()[-4000:])
            os._exit(0)
        os.close(writing)
        with open(reading) as told:
            results[name] = told.read()
        os.waitpid(child, 0)
    print(json.dumps(results))
"""


def run_fresh(program: str, *arguments: str) -> str:
    """Run a program in an interpreter of its own and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@functools.cache
def import_elsewhere(blocked: tuple[str, ...] = ()) -> dict[str, str]:
    """Import every module where there is no AF_PACKET; return the traceback, or nothing, of each."""
    results: dict[str, str] = json.loads(run_fresh(ELSEWHERE, json.dumps([MODULES, blocked])))
    return results


@pytest.mark.parametrize("unwanted", NEVER_BROUGHT_IN)
def test_importing_neighio_does_not_bring_in(unwanted: str) -> None:
    everything = (
        "import neighio, sys; [getattr(neighio, name) for name in neighio.__all__]; print(*sys.modules)"
    )
    loaded = run_fresh(everything).split()
    assert "neighio.table" in loaded
    assert unwanted not in loaded


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_importable_where_there_is_no_af_packet(module: str) -> None:
    assert import_elsewhere()[module] == ""


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_importable_with_trio_alone(module: str) -> None:
    assert import_elsewhere(OPTIONAL)[module] == ""
