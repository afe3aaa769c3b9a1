"""``neighio replay`` as a command: what it prints, what it draws, and how it ends."""

from __future__ import annotations

import ctypes
import gzip
import json
import os
import pty
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from neighio.cli import main

from ..replay.playing import replay
from ..replay.recording import (
    SHARED,
    Timed,
    advertisement,
    announcement,
    enhanced,
    every,
    interface,
    mac,
    pcap,
    reply,
    request,
    section,
    solicitation,
    tagged,
)
from .schemas import validate

COMMAND = [sys.executable, "-W", "error", "-m", "neighio", "replay"]
SECONDS = 60.0

OFFICE: list[Timed] = [
    (0.0, request(1, 2)),
    (0.25, reply(2, 1)),
    (1.0, solicitation(1, 2)),
    (1.5, advertisement(2, 1, router=True)),
    (9.0, tagged(announcement(3), 10)),
    (20.0, request(1, 2)),
    (20.125, reply(2, 1, at=mac(99))),
]
PR_CAPBSET_DROP = 24
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def office(tmp_path: Path) -> Path:
    file = tmp_path / "office.pcap"
    file.write_bytes(pcap(OFFICE))
    return file


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """More events than a pipe holds."""
    file = tmp_path / "large.pcap"
    file.write_bytes(
        pcap(every(0.001, [announcement(number % 250 + 1, at=mac(number)) for number in range(4000)]))
    )
    return file


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        text=True,
        timeout=SECONDS,
        check=False,
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
    )


def test_text_tells_events_the_table_and_what_was_odd(
    office: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(office)]) == 0

    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out.splitlines() == [
        f"{office}: pcap, from 2026-01-01T00:00:00.000000Z",
        "the table of an observer that learns from everything (arp_accept, accept_untracked_na, and all as if said to it)",
        "    0.000000 s  198.51.100.1 dev link lladdr 02:00:00:00:00:01 STALE",
        "    0.250000 s  198.51.100.2 dev link lladdr 02:00:00:00:00:02 REACHABLE",
        "    1.000000 s  2001:db8::1 dev link lladdr 02:00:00:00:00:01 STALE",
        "    1.500000 s  2001:db8::2 dev link lladdr 02:00:00:00:00:02 router STALE",
        "    9.000000 s  198.51.100.3 dev link.10 lladdr 02:00:00:00:00:03 STALE",
        "   20.125000 s  moved 198.51.100.2 dev link: from 02:00:00:00:00:02 to 02:00:00:00:00:63",
        "   20.125000 s  198.51.100.2 dev link lladdr 02:00:00:00:00:63 REACHABLE",
        "the table after 20.125000 s:",
        "  198.51.100.1 dev link lladdr 02:00:00:00:00:01  used 20/80/20 probes 0 STALE",
        "  198.51.100.2 dev link lladdr 02:00:00:00:00:63  ref 1 used 19/0/0 probes 0 REACHABLE",
        "  2001:db8::1 dev link lladdr 02:00:00:00:00:01  used 19/79/19 probes 0 STALE",
        "  2001:db8::2 dev link lladdr 02:00:00:00:00:02 router  used 18/78/18 probes 0 STALE",
        "  198.51.100.3 dev link.10 lladdr 02:00:00:00:00:03  used 11/71/11 probes 0 STALE",
        "dev link: 6 frames",
        "  said: 2 arp_request, 2 arp_reply, 1 neighbour_solicitation, 1 neighbour_advertisement",
        "dev link.10: 1 frames",
        "  said: 1 arp_request",
        "ipv4: 3 entries, 3 allocs, 2 hits, 5 lookups",
        "ipv6: 2 entries, 2 allocs, 2 lookups, 1 rcv_probes_mcast",
        "odd: 1 moved",
        "7 frames of 20.125000 s",
    ]


def test_an_interface_may_be_called_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, picture = tmp_path / "odd.pcapng", tmp_path / "life.svg"
    names = ["my probes\x1b[2J", 'e"><script>\n', "\u202e"]
    packets = [enhanced(announcement(number + 1), 0, number=number) for number in range(3)]
    file.write_bytes(section(*(interface(name=name) for name in names), *packets))

    assert main(["replay", str(file), "--plot", str(picture)]) == 0

    printed = capsys.readouterr().out
    assert printed.isascii() and "\x1b" not in printed
    assert r"dev my probes\x1b[2J lladdr 02:00:00:00:00:01  used 0/60/0 probes 0 STALE" in printed
    assert len(rows(picture)) == 3


def test_each_object_is_as_its_schema_says(office: Path, large: Path) -> None:
    for arguments in (
        [str(office)],
        [str(office), "--trace"],
        [str(office), "--as", "198.51.100.1"],
        [str(office), "--as", "02:00:00:00:00:02", "--trace"],
        [str(large), "--summary"],
    ):
        records = replay(*arguments).records
        assert {record["kind"] for record in records} >= {"start", "entry", "link", "statistics", "end"}
        for record in records:
            validate("replay", record)


@pytest.mark.skipif(not SHARED.is_dir(), reason="captures not beside the project")
def test_so_is_what_comes_of_captures_of_others() -> None:
    for path in sorted(SHARED.glob("*.pcap*")):
        for record in replay(str(path), "--trace").records:
            validate("replay", record)


def test_a_summary_leaves_the_events_out(office: Path) -> None:
    played = replay(str(office), "--summary")

    assert played.of("new", "anomaly") == []
    assert played.end["anomalies"]["moved"] == 1


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["{office}", "--as", "nobody"], "as: 'nobody' is neither an IP address nor a link-layer address"),
        (
            ["{office}", "--as", "ff:ff:ff:ff:ff:ff"],
            "as: 'ff:ff:ff:ff:ff:ff' is no Ethernet station's address",
        ),
        (["{office}", "--as", "224.0.0.1"], "as: '224.0.0.1' is neither"),
        (["{office}", "--as", "0.0.0.0"], "as: '0.0.0.0' is neither"),
        (["{office}", "--as", "fe80::1%eth0"], "as: 'fe80::1%eth0' is neither"),
        (["{office}", "--as", "198.51.100.1/40"], "as: '198.51.100.1/40' is neither"),
        (["{office}", "--set", "ipv4.odd=1"], "ipv4.odd: no such parameter"),
        (["{office}", "--plot", "{here}"], "{here}: Is a directory"),
        (["{office}", "--plot", "{here}/none/life.svg"], "{here}/none/life.svg: No such file or directory"),
        (["{office}", "--plot", "{office}"], "--plot: '{office}' does not end in .svg"),
        (["{office}", "--plot", "{here}/life.png"], "--plot: '{here}/life.png' does not end in .svg"),
        (["{office}", "--plot", "/proc/life.svg"], "/proc/life.svg: "),
        (["{office}", "--plot", "/dev/full"], "/dev/full: No space left on device"),
        (["{here}"], "{here}: Is a directory"),
        (["{here}/none.pcap"], "{here}/none.pcap: No such file or directory"),
        (["{here}/none\x1b[2J.pcap"], r"none\x1b[2J.pcap: No such file or directory"),
    ],
)
def test_what_cannot_be_is_one_line_that_names_it(
    office: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], names: str
) -> None:
    names_it = {"office": str(office), "here": str(office.parent)}

    assert main(["replay", *(argument.format(**names_it) for argument in arguments)]) == 2

    errors = capsys.readouterr().err
    assert errors.startswith("neighio replay: ") and errors.count("\n") == 1 and "\x1b" not in errors
    assert names.format(**names_it) in errors
    assert not (office.parent / "life.png").exists()


def test_a_picture_does_not_take_the_captures_place(office: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = office.rename(office.with_suffix(".SVG"))
    before = capture.read_bytes()
    assert main(["replay", str(capture), "--plot", str(capture)]) == 2
    assert capsys.readouterr().err == f"neighio replay: plot: {capture} is the capture\n"
    assert capture.read_bytes() == before


def test_a_capture_without_frames_says_so(tmp_path: Path) -> None:
    file = tmp_path / "idle.pcap"
    file.write_bytes(pcap([]))
    played = replay(str(file), "--plot", str(tmp_path / "life.svg"))

    assert (played.status, played.records) == (2, [])
    assert played.errors == f"neighio replay: {file}: it holds no frames\n"
    assert not (tmp_path / "life.svg").exists()


def test_of_a_cut_capture_everything_before_is_told_and_drawn(office: Path) -> None:
    picture = office.with_suffix(".svg")
    office.write_bytes(office.read_bytes()[:-7])
    played = replay(str(office), "--plot", str(picture))

    assert played.status == 2
    assert played.end["frames"] == 6
    assert played.errors == f"neighio replay: {played.end['error']}\n"
    assert played.errors.startswith(f"neighio replay: {office}: it is cut")
    assert len(rows(picture)) == 5


def without_privileges() -> None:
    """Let root be nobody special to files: drop CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH."""
    libc = ctypes.CDLL(None)
    for capability in (1, 2):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def test_what_may_not_be_read_or_written_is_named(office: Path) -> None:
    locked = office.parent / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    picture = office.with_suffix(".svg")
    picture.write_text("the one of yesterday")
    picture.chmod(0o444)
    for unwritable in (picture, locked / "new.svg"):
        done = run(office, "--plot", unwritable, preexec_fn=without_privileges)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"neighio replay: {unwritable}: Permission denied\n"
    office.chmod(0o000)
    done = run(office, preexec_fn=without_privileges)
    assert (done.returncode, done.stderr) == (2, f"neighio replay: {office}: Permission denied\n")
    assert picture.read_text() == "the one of yesterday"


# -- where it comes from and goes to


@pytest.mark.parametrize("packed", [False, True])
def test_the_standard_input(office: Path, packed: bool) -> None:
    octets, picture = office.read_bytes(), office.with_suffix(".svg")
    done = subprocess.run(
        [*COMMAND, "-", "--json", "--plot", str(picture)],
        input=gzip.compress(octets) if packed else octets,
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout.splitlines()[-1])["frames"] == 7
    title = ElementTree.parse(picture).getroot().find(f"{SVG}title")
    assert title is not None and title.text == "standard input: an observer's table"


def test_a_standard_input_that_is_closed_or_nothing() -> None:
    closed = run("-", preexec_fn=lambda: os.close(0))
    assert (closed.returncode, closed.stderr) == (2, "neighio replay: standard input: it is closed\n")
    nothing = run("-", stdin=subprocess.DEVNULL)
    assert (nothing.returncode, nothing.stderr) == (2, "neighio replay: standard input: it is empty\n")


def test_a_reader_who_has_enough_gets_the_picture_still(large: Path) -> None:
    picture = large.with_suffix(".svg")
    with subprocess.Popen(
        [*COMMAND, str(large), "--plot", str(picture)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith(bytes(large))
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(SECONDS) == 0
    assert len(rows(picture)) == 60


def test_a_reader_who_has_enough_is_told_nothing_more(large: Path) -> None:
    with subprocess.Popen(
        # A station that is not there, which the end would tell.
        [*COMMAND, str(large), "--as", "203.0.113.9"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(SECONDS) == 0


def test_a_full_disk_is_told_of_and_the_picture_is_drawn(office: Path) -> None:
    picture = office.with_suffix(".svg")
    with open("/dev/full", "w") as full:
        done = run(office, "--plot", picture, stdout=full)

    assert done.returncode == 2
    assert done.stderr == "neighio replay: standard output: No space left on device\n"
    assert len(rows(picture)) == 5


def test_without_a_standard_output_the_picture_is_drawn(office: Path) -> None:
    picture = office.with_suffix(".svg")
    done = run(office, "--plot", picture, preexec_fn=lambda: os.close(1))

    assert (done.returncode, done.stderr) == (0, "")
    assert len(rows(picture)) == 5


def test_a_full_disk_leaves_the_picture_that_was_there(office: Path) -> None:
    picture = office.with_suffix(".svg")
    picture.write_text("the one of yesterday")
    done = run(office, "--plot", picture, preexec_fn=no_room)

    assert (done.returncode, done.stderr) == (2, f"neighio replay: {picture}: File too large\n")
    assert picture.read_text() == "the one of yesterday"
    assert sorted(path.name for path in office.parent.iterdir()) == ["office.pcap", "office.svg"]
    # What came of the capture was told before.
    assert done.stdout.splitlines()[-1] == "7 frames of 20.125000 s"


def no_room() -> None:
    """Let no file of this process grow over 1,000 octets."""
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


def test_interrupted_it_tells_what_it_has(office: Path) -> None:
    picture = office.with_suffix(".svg")
    with subprocess.Popen(
        [*COMMAND, "-", "--json", "--plot", str(picture)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        # More than Python reads ahead, and the capture goes on.
        process.stdin.write(pcap(every(0.01, [announcement(7)] * 9000)))
        process.stdin.flush()
        while json.loads(process.stdout.readline())["kind"] != "new":
            pass
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=SECONDS)

    assert (process.returncode, errors) == (130, b"")
    end = json.loads(output.splitlines()[-1])
    assert end["kind"] == "end" and end["frames"] > 0
    assert end["error"] == "standard input: interrupted"
    assert len(rows(picture)) == 1


def test_on_a_terminal_a_bar_shows_how_far_it_is() -> None:
    piece = b"".join(pcap(every(0.001, [announcement(number % 250 + 1)] * 40))[24:] for number in range(100))
    leader, follower = pty.openpty()
    os.set_blocking(leader, False)
    with subprocess.Popen(
        [*COMMAND, "-", "--summary"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=follower,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
    ) as process:
        os.close(follower)
        assert process.stdin is not None
        process.stdin.write(pcap([]))
        drawn = b""
        # As long as it takes: quick work has no bar.
        while b" frames" not in drawn:
            process.stdin.write(piece)
            with suppress(BlockingIOError):
                drawn += os.read(leader, 65536)
        output, _ = process.communicate(timeout=SECONDS)
    os.close(leader)

    assert process.returncode == 0
    assert b"\x1b" not in output


# -- the picture


def rows(picture: Path) -> dict[str, ElementTree.Element]:
    """The rows of a picture, by label."""
    root = ElementTree.parse(picture).getroot()
    return {
        group.attrib["data-label"]: group for group in root.iter(f"{SVG}g") if group.get("class") == "row"
    }


def states(row: ElementTree.Element) -> list[tuple[str, float, float]]:
    found = [
        (rect.attrib["data-state"], float(rect.attrib["data-start"]), float(rect.attrib["data-end"]))
        for rect in row.iter(f"{SVG}rect")
        if "data-state" in rect.attrib
    ]
    return sorted(found, key=lambda state: state[1:])


def marks(row: ElementTree.Element) -> list[tuple[str, float, int]]:
    return [
        (path.attrib["data-mark"], float(path.attrib["data-start"]), int(path.attrib["data-count"]))
        for path in row.iter(f"{SVG}path")
        if "data-mark" in path.attrib
    ]


@pytest.mark.parametrize("view", [[], ["--as", "198.51.100.1"], ["--as", "02:00:00:00:00:02"]])
def test_the_picture_shows_the_lives_that_the_events_tell(office: Path, view: list[str]) -> None:
    picture = office.with_suffix(".svg")
    played = replay(str(office), "--trace", "--plot", str(picture), *view)
    assert played.status == 0

    lives: dict[str, list[tuple[str, float, float]]] = {}
    for record in played.of("change", "del"):
        label = f"{record['address']} dev {record['device']}"
        life = lives.setdefault(label, [])
        state = "" if record["kind"] == "del" else record["state"]
        if not life or life[-1][0] != state:
            if life:
                life[-1] = (*life[-1][:2], record["time"])
            life.append((state, record["time"], played.end["seconds"]))
    expected = {label: [state for state in life if state[0]] for label, life in lives.items()}

    assert {label: states(row) for label, row in rows(picture).items()} == expected
    assert expected


def test_the_picture_shows_frames_and_changes_as_marks(office: Path) -> None:
    picture = office.with_suffix(".svg")
    replay(str(office), "--plot", str(picture))

    found = {label: marks(row) for label, row in rows(picture).items()}
    # Who is asked before anybody knows of it has no row yet.
    assert found["198.51.100.2 dev link"] == [
        ("asked", 20.0, 1),
        ("answered", 0.25, 1),
        ("answered", 20.125, 1),
        ("moved", 20.125, 1),
    ]
    assert found["198.51.100.3 dev link.10"] == [("announced", 9.0, 1)]
