"""The mutation check: what it says of mutants that are caught, that survive, and that cannot be made."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

TOOL = Path(__file__).parent.parent / "tools" / "mutants.py"
SCENARIOS = Path(__file__).parent / "scenarios" / "10.1-lives"

pytestmark = pytest.mark.skipif(not TOOL.exists(), reason=f"{TOOL}: a checkout's tools are not in its wheel")

CAUGHT = """
[[mutant]]
file = "core/nud.py"
why = "a DELAY is never confirmed"
original = "if now < floor(store.confirmed[row] + parms.delay_first_probe_time):"
replacement = "if now < floor(store.confirmed[row]):"
"""
SURVIVING = """
[[mutant]]
file = "core/nud.py"
why = "nobody plays with managed work here"
original = "probe_now = immediate"
replacement = "probe_now = True"
"""


def attempt(folder: Path, mutants: str) -> subprocess.CompletedProcess[str]:
    path = folder / "mutants.toml"
    path.write_text(mutants, encoding="utf-8")
    command = [sys.executable, str(TOOL), "--mutants", str(path), "--scenarios", str(SCENARIOS)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_is_caught_and_what_survives_is_told(tmp_path: Path) -> None:
    sources = {path: path.read_bytes() for path in (TOOL.parent.parent / "neighio" / "core").glob("*.py")}
    done = attempt(tmp_path, CAUGHT + SURVIVING)
    assert done.returncode == 1, done.stderr
    head, first, second, *survivors, sums = done.stdout.splitlines()
    assert head.startswith("2 mutants against ")
    assert first.startswith(
        "  1/2 core/nud.py: a DELAY is never confirmed: 10.1-lives/j-confirm differs as a host ("
    )
    assert second == "  2/2 core/nud.py: nobody plays with managed work here: SURVIVES"
    assert survivors == [
        "survivor: core/nud.py: nobody plays with managed work here",
        "- probe_now = immediate",
        "+ probe_now = True",
    ]
    assert sums == "2 made, 1 caught"
    assert all(path.read_bytes() == text for path, text in sources.items())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("if now < floor(store.confirmed[row] +", "if now < ceiling("), "the original is there 0 times"),
        (
            ("if now < floor(store.confirmed[row] + parms.delay_first_probe_time):", "now"),
            "the original is there ",
        ),
        (("floor(store.confirmed[row]):", "floor(:"), "what results is not Python"),
        (("core/nud.py", "core/gone.py"), "there is no such file"),
        (
            ('why = "a DELAY is never confirmed"', ""),
            "mutant 1: expected the texts file, original, replacement, why",
        ),
    ],
)
def test_a_mutant_that_cannot_be_made_is_a_mistake(
    change: tuple[str, str], told: str, tmp_path: Path
) -> None:
    done = attempt(tmp_path, CAUGHT.replace(*change))
    assert done.returncode == 2
    assert told in done.stderr
    assert not done.stdout


@pytest.mark.parametrize(
    ("broken", "told"),
    [("if now < nowhere:", "names something that is not there"), ("raise_ = 1 / 0", "is not Python")],
)
def test_a_mutant_that_breaks_python_proves_nothing(broken: str, told: str, tmp_path: Path) -> None:
    done = attempt(tmp_path, CAUGHT.replace("if now < floor(store.confirmed[row]):", broken))
    assert done.returncode == 2
    assert told in done.stderr


def test_there_are_mutants_of_every_part_of_the_core() -> None:
    mutants = tomllib.loads(TOOL.with_suffix(".toml").read_text(encoding="utf-8"))["mutant"]
    files = {mutant["file"].removeprefix("core/").removesuffix(".py") for mutant in mutants}
    assert len(mutants) >= 200
    assert files >= {
        "admin",
        "arp",
        "cache",
        "collect",
        "create",
        "flush",
        "managed",
        "ndisc",
        "nud",
        "parameters",
    }
    assert files >= {"proxy", "queue", "stimuli"}
    assert files >= {"announcer", "base", "calls", "claims", "device", "node", "switches", "timers"}


def test_every_mutant_can_be_made() -> None:
    done = subprocess.run(
        [sys.executable, str(TOOL), "--name", "no mutant is called so", "--scenarios", str(SCENARIOS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("0 made, 0 caught\n")
