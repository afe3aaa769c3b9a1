"""``neighio history`` as a user runs it, on databases that a watcher writes, or wrote."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from neighio.address import LinkAddress, parse_ip
from neighio.testing import in_namespace
from neighio.watch.database import Database
from neighio.watch.judge import Finding
from neighio.watch.store import Sighting, Store

from .looking import neighio, on_a_full_disk, on_a_terminal
from .schemas import validate
from .watching import COMMAND, SECONDS, Watching, link, short, station

A, B = station(0xA), station(0xB)
IP, IP6 = "198.51.100.7", "2001:db8::7"
NOW = time.time()
HOUR = 3600.0
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def db(tmp_path: Path) -> str:
    """A database: an address was at A six hours ago, and at B, which has two, until an hour and a half ago."""
    path = str(tmp_path / "lan.db")
    with closing(Database(path)) as database:
        store = Store(database, seconds=30 * 24 * HOUR, rows=1000)
        for ago, ip, lladdr, anew in (
            (6.0, IP, A, False),
            (5.5, IP, A, False),
            (3.0, IP, B, True),
            (2.5, IP6, B, True),
            (1.6, IP6, B, False),
        ):
            wall = NOW - ago * HOUR
            one = Sighting(wall, wall, "eth0", parse_ip(ip)[0], LinkAddress(lladdr))
            one.messages, one.anew = 1, anew
            store.commit(wall, wall, [one], [])
        wall = NOW - 3 * HOUR
        key = parse_ip(IP)[0]
        moved = Finding(wall, wall, "moved", "eth0", key, LinkAddress(B), LinkAddress(A), None)
        store.commit(wall, wall, [], [moved])
    return path


def told(*arguments: str) -> tuple[int, list[dict[str, Any]]]:
    status, output, errors = neighio("history", *arguments, "--json")
    assert errors == "" or status
    found = [json.loads(line) for line in output.splitlines()]
    for one in found:
        validate("history", one)
    return status, found


def refusal(*arguments: str) -> str:
    status, output, errors = neighio("history", *arguments)
    assert (status, output) == (2, "") and errors.count("\n") == 1 and errors.startswith("neighio history: ")
    return errors


def test_an_address_is_told_where_it_was(db: str) -> None:
    status, found = told("--db", db, IP)
    assert status == 0
    assert [(one["kind"], one["lladdr"], one.get("messages")) for one in found] == [
        ("stay", A, 2),
        ("new", A, None),
        ("stay", B, 1),
        ("new", B, None),
        ("moved", B, None),
    ]
    assert short(found[4]) == ("moved", IP, B, A)
    assert found[0]["began"] < found[0]["ended"] < found[2]["began"] == found[4]["wall"]


def test_a_station_is_told_which_addresses_it_had_and_lost(db: str) -> None:
    _, found = told("--db", db, A.upper())
    assert [(one["kind"], one["address"]) for one in found] == [("stay", IP), ("new", IP), ("moved", IP)]
    _, found = told("--db", db, B)
    assert [one["address"] for one in found if one["kind"] == "stay"] == [IP, IP6]


def test_since_leaves_out_what_had_ended_before(db: str) -> None:
    for since in ("4h", time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(NOW - 4 * HOUR))):
        _, found = told("--db", db, IP, "--since", since)
        assert [(one["kind"], one["lladdr"]) for one in found] == [("stay", B), ("new", B), ("moved", B)]
    status, found = told("--db", db, IP, "--since", "2h")
    assert (status, found) == (1, [])


def test_who_was_not_heard_is_told_by_the_status(db: str) -> None:
    status, output, errors = neighio("history", "--db", db, "198.51.100.8")
    assert (status, output, errors) == (1, "", "neighio history: 198.51.100.8 was not heard\n")
    _, _, errors = neighio("history", "--db", db, IP, "--since", "30m")
    assert errors.startswith(f"neighio history: {IP} was not heard since 2")
    assert neighio("history", "--db", db, "2001:db8::7%eth1")[0] == 1
    assert neighio("history", "--db", db, "2001:db8::7%eth0")[0] == 0


def test_text_is_a_line_each_and_safe(db: str) -> None:
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("UPDATE report SET note = 'no \x1b[31mred'")
        connection.commit()
    _, output, _ = neighio("history", "--db", db, IP)
    first, second, third, _, fifth = output.splitlines()
    assert f"heard     {IP} at {A} dev eth0, 2 times until " in first
    assert r"(no \x1b[31mred)" in second
    assert third.endswith(f"heard     {IP} at {B} dev eth0, once")
    assert f"moved     {IP} from {A} to {B} dev eth0" in fifth


def test_on_a_terminal_an_alarm_is_red(db: str) -> None:
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("UPDATE report SET kind = 'duplicate', alarm = 1 WHERE kind = 'moved'")
        connection.commit()
    assert "! \x1b[31mduplicate\x1b[0m" in on_a_terminal("history", "--db", db, IP, TERM="xterm", NO_COLOR="")
    assert "\x1b" not in on_a_terminal("history", "--db", db, IP, TERM="xterm", NO_COLOR="1")


@in_namespace
def test_it_is_read_while_a_watcher_writes() -> None:
    with tempfile.TemporaryDirectory(prefix="neighio") as folder, link() as (_, _, speaker):
        path = f"{folder}/lan.db"
        with Watching("--db", path, "--json") as watcher:
            watcher.begun()
            speaker.announce(IP, A)
            assert watcher.record()["kind"] == "new"
            for lladdr in (B, station(0xC)):
                speaker.announce(IP, lladdr)
                told_of = watcher.until(lambda record: record["kind"] == "moved")
                _, found = told("--db", path, IP)
                assert [one for one in found if one["kind"] == "moved"][-1]["id"] == told_of[-1]["id"]
                assert [one["lladdr"] for one in found if one["kind"] == "stay"][-1] == lladdr
            watcher.end(signal.SIGINT)


def test_a_picture_has_a_row_for_each_link_layer_address(db: str, tmp_path: Path) -> None:
    picture = tmp_path / "lan.svg"
    assert neighio("history", "--db", db, IP, "--plot", str(picture))[0] == 0
    rows = [one for one in ElementTree.parse(picture).iter(f"{SVG}g") if one.get("class") == "row"]
    assert [row.get("data-label") for row in rows] == [f"{B} dev eth0", f"{A} dev eth0"]
    bars = [[one for one in row.iter(f"{SVG}rect") if one.get("data-state")] for row in rows]
    spans = [
        [
            (one.get("data-state"), float(one.get("data-start", "")), float(one.get("data-end", "")))
            for one in some
        ]
        for some in bars
    ]
    assert spans == [
        [(B, pytest.approx(3 * HOUR), pytest.approx(3 * HOUR))],
        [(A, pytest.approx(0), pytest.approx(0.5 * HOUR))],
    ]
    marks = {one.get("data-mark") for row in rows for one in row.iter(f"{SVG}path") if one.get("data-mark")}
    assert marks == {"new", "moved"}


def test_a_picture_of_a_station_has_a_row_for_each_address(db: str, tmp_path: Path) -> None:
    picture = tmp_path / "lan.svg"
    assert neighio("history", "--db", db, B, "--plot", str(picture), "--since", "2h")[0] == 0
    (row,) = [one for one in ElementTree.parse(picture).iter(f"{SVG}g") if one.get("class") == "row"]
    (bar,) = [one for one in row.iter(f"{SVG}rect") if one.get("data-state")]
    assert row.get("data-label") == f"{IP6} dev eth0"
    assert (bar.get("data-state"), float(bar.get("data-start", ""))) == ("heard", 0.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "'nonsense' is neither an IP address nor a link-layer address"),
        ([IP, "--since", "yesterday"], "--since: 'yesterday' is neither a duration as 2h or 3d nor a time"),
        ([IP, "--since", "-2h"], "--since"),
        ([IP, "--plot", "/dev/full"], "plot: /dev/full: No space left on device"),
        ([IP, "--plot", "/nowhere/lan.png"], "--plot: '/nowhere/lan.png' does not end in .svg"),
        ([IP, "--plot", "/nowhere/lan.svg"], "plot: /nowhere/lan.svg: No such file or directory"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(arguments: list[str], words: str, db: str) -> None:
    status, _, errors = neighio("history", "--db", db, *arguments)
    assert status == 2 and words in errors and errors.count("\n") == 1


def test_a_full_disk_is_told_of(db: str) -> None:
    assert on_a_full_disk("history", "--db", db, IP) == (
        "neighio history: standard output: No space left on device\n"
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nothing", "No such file or directory"),
        (".", "it is no regular file"),
        ("text", "it is no database of SQLite's"),
        ("empty", "it is empty"),
        ("foreign", "it is a database, but none of neighio's"),
    ],
)
def test_what_is_no_database_of_ours_is_refused(name: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("These are no tables.\n" * 100)
    (tmp_path / "empty").touch()
    with closing(sqlite3.connect(tmp_path / "foreign")) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert f"{tmp_path / name}: {words}" in refusal("--db", str(tmp_path / name), IP)
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_who_may_only_read_reads_and_cannot_watch(db: str, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    # For root everything may be written but what is mounted to be read.
    script = f"""
        mount -t tmpfs none {place} && cp {db} {place} && mount -o remount,ro {place} || exit 77
        {" ".join(COMMAND)} history --db {place}/lan.db {IP} --json
        {" ".join(COMMAND)} watch --db {place}/lan.db
    """
    done = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode == 77 or done.stderr.startswith("unshare: "):
        pytest.skip(f"there are no mount namespaces here: {done.stderr}")
    assert (done.returncode, done.stderr) == (2, f"neighio watch: {place}/lan.db: Read-only file system\n")
    assert len(done.stdout.splitlines()) == 5
