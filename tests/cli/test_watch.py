"""``neighio watch`` as a user runs it, on a link at whose other end stations speak."""

from __future__ import annotations

import json
import os
import pty
import random
import resource
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from neighio.testing import in_namespace

from .schemas import validate
from .watching import (
    COMMAND,
    OUR_IP,
    OUR_IP6,
    SECONDS,
    SOMEBODY,
    SOMEBODY_ELSE,
    Record,
    Speaker,
    Watching,
    link,
    short,
    station,
)

A, B, ATTACKER, LAST = station(0xA), station(0xB), station(0xC), station(0xD)
VRRP7, VRRP8 = "00:00:5e:00:01:07", "00:00:5e:00:01:08"
IP = "198.51.100.7"


@contextmanager
def database() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="neighio") as folder:
        yield f"{folder}/lan.db"


@contextmanager
def watching(*arguments: str) -> Iterator[tuple[Watching, Speaker]]:
    """Watch a link; what the watcher hears is what the speaker says."""
    with link() as (_, _, speaker), database() as db, Watching("--db", db, "--json", *arguments) as watcher:
        yield watcher.begun(), speaker


def heard(watcher: Watching, speaker: Speaker) -> list[tuple[Any, ...]]:
    """Have a last word said; return all reports before the one of it, but those of new stations."""
    speaker.announce("198.51.100.99", LAST)
    found = watcher.until(lambda record: record["lladdr"] == LAST)
    return [(*short(record), record["alarm"]) for record in found if record["kind"] != "new"]


def rows(db: str, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(query).fetchall()


# -- what is reported


@in_namespace
def test_each_incident_is_reported_once_and_rightly() -> None:
    with watching() as (watcher, speaker):
        incidents: list[tuple[Any, ...]] = []
        for number, length, ours in ((0, 4, OUR_IP), (1, 16, OUR_IP6)):
            virtual, bare, moving, spoofed, twice = (
                f"{'198.51.100.' if length == 4 else '2001:db8::'}{10 * number + last}"
                for last in range(10, 15)
            )
            # A failover: the virtual router's link-layer address goes from one router to another.
            for router in (A, B, A, B):
                speaker.announce(virtual, VRRP7, source=router)
            # One without such an address: the standby takes over, and gives it back.
            for router in (A, B, A):
                for _ in range(5):
                    speaker.announce(bare, router)
                speaker.ask(bare, router)
            # An address becomes a virtual router's, which then changes its number.
            for router in (A, VRRP7, VRRP8):
                speaker.announce(moving, router)
            # A spoof, to its victims alone, whom the watcher is none of.
            for victim in (SOMEBODY, SOMEBODY_ELSE, SOMEBODY):
                speaker.ask(spoofed, A)
                speaker.answer(spoofed, ATTACKER, victim[length])
            # Two answer one question.
            for _ in range(3):
                speaker.answer(twice, A)
                speaker.answer(twice, B)
            speaker.announce(ours, ATTACKER)
            speaker.ask(ours, ATTACKER)
            speaker.probe(OUR_IP, B)
            incidents += [
                ("moved", bare, B, A, False),
                ("flip", bare, A, B, False),
                ("failover", moving, VRRP7, A, False),
                ("failover", moving, VRRP8, VRRP7, False),
                ("moved", spoofed, ATTACKER, A, False),
                ("duplicate", spoofed, A, ATTACKER, True),
                ("duplicate", twice, B, A, True),
                ("own", ours, ATTACKER, None, True),
            ]
        assert heard(watcher, speaker) == incidents
        status, rest = watcher.end(signal.SIGTERM)
    assert status == 0
    # What went on is told of at the end.
    assert [(record["kind"], record["address"], record["times"]) for record in rest] == [
        ("duplicate", "198.51.100.13", 4),
        ("duplicate", "198.51.100.14", 5),
        ("own", OUR_IP, 2),
        ("duplicate", "2001:db8::23", 4),
        ("duplicate", "2001:db8::24", 5),
        ("own", OUR_IP6, 2),
    ]


@in_namespace
def test_a_storm_is_an_alarm() -> None:
    with watching() as (watcher, speaker):
        # Enough for two seconds, lest it falls into two halves.
        for _ in range(400):
            speaker.ask(IP, A)
        found = watcher.until(lambda record: record["kind"] == "storm")
    assert (short(found[-1]), found[-1]["alarm"]) == (("storm", None, A, None), True)


# -- what is kept


@in_namespace
def test_what_was_known_before_is_known_to_the_next_watcher() -> None:
    with link() as (_, _, speaker), database() as db:
        with Watching("--db", db, "--json") as watcher:
            watcher.begun()
            speaker.ask(IP, A)
            assert heard(watcher, speaker) == []
            watcher.end(signal.SIGINT)
        with Watching("--db", db, "--json") as watcher:
            watcher.begun()
            speaker.announce(IP, B)
            found = watcher.until(lambda record: record["kind"] == "moved")
    assert [short(record) for record in found] == [("new", IP, B, None), ("moved", IP, B, A)]


@in_namespace
def test_a_burst_of_frames_is_heard_to_the_last() -> None:
    frames = 10_000
    with link() as (_, _, speaker), database() as db:
        with Watching("--db", db, "--json") as watcher:
            watcher.begun()
            for number in range(frames):
                speaker.ask(f"198.18.{number % 200}.{number // 200 + 1}", station(number % 200))
            speaker.announce("198.51.100.99", station(0xFF))
            found = watcher.until(lambda record: record["lladdr"] == station(0xFF))
            status, _ = watcher.end(signal.SIGINT)
        ((messages, places),) = rows(
            db, "SELECT sum(messages), count(*) FROM stay WHERE address LIKE '198.18.%'"
        )
    assert (status, messages, places) == (130, frames, frames)
    assert [record for record in found if record["kind"] == "lost"] == []


@in_namespace(timeout=120)
def test_killed_at_any_moment_it_has_kept_what_it_has_told() -> None:
    chance = random.Random(20)
    told: dict[int, Record] = {}
    with link() as (_, _, speaker), database() as db:
        for run in range(20):
            with Watching("--db", db, "--json") as watcher:
                watcher.begun()
                # Speech that goes on while reports are written and read: it is killed in the middle of it.
                enough = chance.randrange(1, 60)
                for number in range(600):
                    speaker.ask(
                        f"198.51.{run}.{number % 250 + 1}", f"00:00:5e:00:{run:02x}:{number % 251:02x}"
                    )
                    if number % 50 == 0 and len(told) < enough + 60 * run:
                        record = watcher.record()
                        told[record["id"]] = record
                    if number == 10 * enough:
                        break
                watcher.process.send_signal(signal.SIGKILL)
                for record in watcher.rest():
                    told[record["id"]] = record
                assert watcher.process.wait() == -signal.SIGKILL
            kept = {
                number: facts
                for number, *facts in rows(db, "SELECT id, kind, address, lladdr, other, times FROM report")
            }
            for number, record in told.items():
                *facts, times = kept[number]
                assert tuple(facts) == short(record)
                assert times >= record["times"]
            stays = set(rows(db, "SELECT address, lladdr FROM stay"))
            assert {(one["address"], one["lladdr"]) for one in told.values() if one["kind"] == "new"} <= stays
    assert len(told) > 20


@in_namespace
def test_a_full_disk_ends_it_and_what_was_told_is_kept() -> None:
    with link() as (_, _, speaker), database() as db:
        with Watching("--db", db, "--json") as watcher:
            watcher.begun()
            speaker.announce(IP, A)
            assert short(watcher.record()) == ("new", IP, A, None)
            watcher.end(signal.SIGINT)

        def limit() -> None:
            size = os.path.getsize(db)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

        with Watching("--db", db, "--json", preexec_fn=limit) as watcher:
            # The log takes some; then the disk is full.
            told = [record for record in speak_until_it_ends(watcher, speaker) if "id" in record]
            errors = watcher.errors()
            assert watcher.process.wait(SECONDS) == 2
        assert errors.count("\n") == 1 and errors.startswith(f"neighio watch: {db}: "), errors
        kept = {number for (number,) in rows(db, "SELECT id FROM report")}
        assert {record["id"] for record in told} <= kept
        assert rows(db, "PRAGMA integrity_check") == [("ok",)]


@in_namespace
def test_what_the_last_commit_could_not_write_is_told_also_after_ctrl_c() -> None:
    with link() as (_, _, speaker), database() as db, Watching("--db", db, "--json") as watcher:
        watcher.begun()
        # From now on the disk is full. It hears of a station and of its own end in one moment.
        resource.prlimit(watcher.process.pid, resource.RLIMIT_FSIZE, (0, 0))
        watcher.process.send_signal(signal.SIGSTOP)
        speaker.announce(IP, A)
        watcher.process.send_signal(signal.SIGINT)
        watcher.process.send_signal(signal.SIGCONT)
        assert watcher.rest() == []
        errors = watcher.errors()
        status = watcher.process.wait(SECONDS)
    assert (status, errors.count("\n")) == (2, 1) and errors.startswith(f"neighio watch: {db}: "), errors


def speak_until_it_ends(watcher: Watching, speaker: Speaker) -> list[Record]:
    found: list[Record] = []
    number = 0
    while line := watcher.line():
        found.append(json.loads(line))
        validate("watch", found[-1])
        for _ in range(50):
            number += 1
            speaker.announce(
                f"198.18.{number // 250}.{number % 250 + 1}",
                f"00:00:5e:00:{number // 250:02x}:{number % 250:02x}",
            )
    return found


# -- what is refused


def refusal(*arguments: str, prefix: tuple[str, ...] = ()) -> str:
    """Run it; it is to refuse with status 2 and one line. Return the line."""
    done = subprocess.run(
        [*prefix, *COMMAND, "watch", *arguments], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert done.stderr.startswith("neighio watch: ") and done.stderr.count("\n") == 1
    return done.stderr


def test_a_second_watcher_of_one_database_is_refused(tmp_path: Path) -> None:
    from neighio.watch.database import Database

    first = Database(str(tmp_path / "lan.db"))
    assert "lan.db: another watcher writes to it" in refusal("--db", first.path)
    first.close()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("folder", "folder: Is a directory"),
        ("nowhere/lan.db", "nowhere/lan.db: No such file or directory"),
        ("fifo", "fifo: it is no regular file"),
        ("text", "text: it is no database of SQLite's"),
        ("foreign", "foreign: it is a database, but none of neighio's"),
        ("newer", "newer: it is of version 3, written by a newer neighio; this one knows up to 2"),
    ],
)
def test_what_is_no_database_of_ours_is_refused_and_left_alone(name: str, words: str, tmp_path: Path) -> None:
    from neighio.watch.database import APPLICATION

    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "text").write_text("These are no tables.\n" * 100)
    for file, pragmas in (
        ("foreign", ""),
        ("newer", f"PRAGMA application_id={APPLICATION}; PRAGMA user_version=3;"),
    ):
        with closing(sqlite3.connect(tmp_path / file)) as connection:
            connection.executescript(f"{pragmas} CREATE TABLE theirs (a);")
    path = tmp_path / name
    before = path.read_bytes() if path.is_file() else None
    assert words in refusal("--db", str(path))
    assert before == (path.read_bytes() if path.is_file() else None)


@in_namespace
def test_a_device_that_is_not_there_is_refused_by_name() -> None:
    with link(), database() as db:
        assert "device: there is no interface 'eth9'; there is eth0, lo" in refusal("--db", db, "-I", "eth9")


@in_namespace
def test_without_a_device_that_is_up_there_is_nothing_to_watch() -> None:
    with link() as (here, _, _), database() as db:
        here.set_link("eth0", up=False)
        assert "there is no Ethernet device that is up" in refusal("--db", db)


@in_namespace
def test_without_the_privilege_it_says_how_to_get_it() -> None:
    from .test_resolve import WITHOUT_NET_RAW

    with link(), database() as db:
        assert "CAP_NET_RAW" in refusal("--db", db, prefix=(COMMAND[0], "-c", WITHOUT_NET_RAW))


@pytest.mark.parametrize("keep", ["", "90", "0d", "-1d", "nand", "1y", "1d,0", "1d,many"])
def test_a_span_that_is_none_is_refused(keep: str) -> None:
    assert "--keep" in refusal("--keep", keep)


# -- devices


@in_namespace
def test_a_device_goes_down_and_away_and_is_listened_to_again() -> None:
    with link() as (here, peer, speaker), database() as db, Watching("--db", db, "--json") as watcher:
        watcher.begun()
        assert watcher.process.stderr is not None
        here.set_link("eth0", up=False)
        assert watcher.process.stderr.readline() == b"neighio watch: eth0 is down\n"
        here.set_link("eth0", up=True)
        while peer.link("eth0").operstate != here.link("eth0").operstate:
            pass
        speaker.announce(IP, A)
        assert short(watcher.record()) == ("new", IP, A, None)
        here.delete_link("eth0")
        lines = [watcher.process.stderr.readline()]
        if lines == [b"neighio watch: eth0 is down\n"]:
            lines = [watcher.process.stderr.readline()]
        assert lines == [b"neighio watch: eth0 was removed\n"]
        with again(here, peer) as speaker:
            assert watcher.process.stderr.readline() == b"neighio watch: eth0 is back\n"
            speaker.announce(IP, B)
            found = watcher.until(lambda record: record["kind"] == "moved")
    assert short(found[-1]) == ("moved", IP, B, A)


@contextmanager
def again(here: Any, peer: Any) -> Iterator[Speaker]:
    """Plug the link in again."""
    import socket

    from neighio.testing import connect

    connect(here, peer, "eth0", "eth0")
    with peer.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("eth0", 0))
        yield Speaker(wire)


# -- for people


@in_namespace
def test_on_a_terminal_alarms_are_red_and_on_a_pipe_nothing_is() -> None:
    with link() as (_, _, speaker), database() as db:
        leader, follower = pty.openpty()
        process = subprocess.Popen(
            [*COMMAND, "watch", "--db", db, "-v"],
            stdout=follower,
            stderr=subprocess.PIPE,
            env={**os.environ, "TERM": "xterm", "NO_COLOR": ""},
        )
        os.close(follower)
        assert process.stderr is not None
        log = process.stderr.readline() + process.stderr.readline()
        speaker.announce(IP, A)
        speaker.announce(OUR_IP, ATTACKER)
        shown = b""
        while shown.count(b"\n") < 3:
            shown += os.read(leader, 65536)
        process.send_signal(signal.SIGINT)
        log += process.stderr.read()
        assert process.wait(SECONDS) == 130
        process.stderr.close()
        os.close(leader)
    first, second, third = shown.decode().replace("\r", "").splitlines()
    assert f"new       {A} has {IP} dev eth0" in first and "\x1b" not in first
    assert f"{ATTACKER} has {OUR_IP}" in second
    assert f"! \x1b[31mown      \x1b[0m {OUR_IP} of this host claimed by {ATTACKER} dev eth0" in third
    assert b"listening on eth0" in log and f"{IP} dev eth0 is at {A}".encode() in log


@in_namespace
def test_it_ends_when_nobody_reads_any_more() -> None:
    with watching() as (watcher, speaker):
        assert watcher.process.stdout is not None
        watcher.process.stdout.close()
        number = 0
        while watcher.process.poll() is None:
            number = number % 250 + 1
            speaker.announce("198.51.100.7", station(number))
        assert watcher.process.returncode == 0
        assert watcher.errors() == ""
