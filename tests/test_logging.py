"""What is logged under "neighio", at which level, and that nothing is printed unless it is asked for."""

from __future__ import annotations

import logging
import subprocess
import sys
import textwrap

import pytest

import neighio
from neighio.testing import ScriptedPeer

from .hosts import net
from .shell import THEIRS

LIFE = """
    import logging, sys, trio, neighio
    from neighio.testing import ScriptedPeer, Segment

    if len(sys.argv) > 1:
        logging.basicConfig(level=getattr(logging, sys.argv[1]), format="%(levelname)s %(name)s %(message)s")

    async def main():
        segment = Segment(trio.current_time)
        ScriptedPeer(segment, "02:00:00:00:00:07", "198.51.100.7")
        device = neighio.Device(segment.attach("02:00:00:00:00:01", name="eth0"), addresses=["198.51.100.1/24"])
        async with neighio.open_table(device) as table:
            await table.resolve("198.51.100.7")

    trio.run(main)
    logging.getLogger("neighio.core").error("what must not be printed unasked")
"""


def printed(*level: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(LIFE), *level],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
    return done.stderr.splitlines()


def test_nothing_is_printed_unless_it_is_asked_for() -> None:
    assert printed() == []


def test_devices_are_told_at_info() -> None:
    assert printed("INFO") == [
        "INFO neighio.table.devices eth0 is up",
        "INFO neighio.table.devices eth0 is detached",
        "ERROR neighio.core what must not be printed unasked",
    ]


def test_transitions_are_told_at_debug() -> None:
    found = [line for line in printed("DEBUG") if line.startswith("DEBUG")]
    about = "DEBUG neighio.table.changes 198.51.100.7 dev eth0"
    assert found[0] == f"{about} NONE -> INCOMPLETE by output (silent)"
    assert found[1] == f"{about} INCOMPLETE -> REACHABLE by evidence lladdr none -> 02:00:00:00:00:07"


async def test_a_conflict_is_told_at_info(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="neighio"):
        async with net(families=(4,)) as two:
            peer = ScriptedPeer(two.segment, THEIRS, "198.51.100.1")
            with pytest.raises(neighio.DuplicateAddress):
                await two.ours.add_address("198.51.100.1/24")
            del peer
    assert f"198.51.100.1 dev va: {THEIRS} has it, too" in caplog.messages


async def test_transitions_cost_nothing_unless_they_are_wanted(caplog: pytest.LogCaptureFixture) -> None:
    async with net() as two:
        assert not two.a._driver.trace
    with caplog.at_level(logging.DEBUG, logger="neighio"):
        async with net() as two:
            assert two.a._driver.trace
