"""The control socket: who may listen where, what clients are told, and what they cannot do to a table."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import neighio
from neighio import NeighbourTable, NeighioError, control, conversation
from neighio.driver import FRAMES
from neighio.testing import Segment

OURS, THEIRS, OTHER = "02:00:00:00:00:0a", "02:00:00:00:00:0b", "02:00:00:00:00:0c"
SECONDS = 20.0
"""How long anything may take on a machine under load."""
ENTRY = ["kind", "address", "device", "lladdr", "state", "flags", "probes", "refcnt"]
AGES = ["used", "confirmed", "updated", "protocol"]
EVENT = [
    "kind",
    "time",
    "wall",
    "address",
    "device",
    "lladdr",
    "state",
    "flags",
    "probes",
    "refcnt",
    "protocol",
]

DIES = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
os._exit(9)
"""

Record = dict[str, Any]


class Client:
    """One that connected. What it is told is read a line at a time."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self._unread = b""

    async def record(self) -> Record | None:
        """The next line, None at the end."""
        with trio.fail_after(SECONDS):
            while b"\n" not in self._unread:
                try:
                    piece = await self.stream.receive_some(65536)
                except trio.BrokenResourceError:
                    piece = b""
                if not piece:
                    assert self._unread == b""
                    return None
                self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        record = json.loads(line)
        assert isinstance(record, dict)
        return record

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def ask(self, **request: object) -> Record:
        """Make a request; return the first line of its answer."""
        await self.send(json.dumps(request).encode() + b"\n")
        answer = await self.record()
        assert answer is not None
        return answer

    async def until(self, kind: str) -> list[Record]:
        """The records up to the first of that kind, which is the last one."""
        found: list[Record] = []
        while not found or found[-1]["kind"] != kind:
            record = await self.record()
            assert record is not None, found
            found.append(record)
        return found


@asynccontextmanager
async def serving(path: Path, **options: Any) -> AsyncIterator[NeighbourTable]:
    """A table with one device, ``va``, on a segment of its own, that listens at the path."""
    link = Segment(trio.current_time).attach(OURS, name="va")
    device = neighio.Device(link, addresses=["198.51.100.1/24"])
    async with neighio.open_table(device, control=path, **options) as table:
        yield table


@asynccontextmanager
async def client(path: Path) -> AsyncIterator[Client]:
    """Somebody who has connected and was greeted."""
    async with await trio.open_unix_socket(str(path)) as stream:
        found = Client(stream)
        hello = await found.record()
        assert hello is not None and hello["kind"] == "hello"
        yield found


def exists(path: Path) -> bool:
    return os.path.lexists(path)


def write(path: Path, text: str) -> None:
    path.write_text(text)


def read(path: Path) -> str:
    return path.read_text()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.sock"


# -- what clients are told


async def test_a_client_is_greeted_and_shown_every_entry_with_its_ages(path: Path) -> None:
    async with serving(path) as table, await trio.open_unix_socket(str(path)) as stream:
        table.add("198.51.100.2", lladdr=THEIRS, nud="stale", router=True, protocol=4)
        table.add("2001:db8::2", nud="none")
        who = Client(stream)
        assert await who.record() == {
            "kind": "hello",
            "protocol": 1,
            "version": neighio.__version__,
            "pid": os.getpid(),
            "devices": ["va"],
        }
        await who.send(b'{"request": "show"}\n')
        ipv4, ipv6, end = await who.until("end")
    assert list(ipv4) == list(ipv6) == ENTRY + AGES
    assert [ipv4[key] for key in ENTRY] == ["entry", "198.51.100.2", "va", THEIRS, "STALE", ["router"], 0, 0]
    assert [ipv6[key] for key in ENTRY] == ["entry", "2001:db8::2", "va", None, "NONE", [], 0, 0]
    assert ipv4["protocol"] == 4 and 0 <= ipv4["used"] < SECONDS and 0 <= ipv4["updated"] < SECONDS
    assert 60 <= ipv4["confirmed"] < 60 + SECONDS
    assert list(end) == ["kind", "time", "wall", "count"] and end["count"] == 2


async def test_more_entries_than_are_sent_at_once_are_all_shown_once(path: Path) -> None:
    async with serving(path) as table:
        table.arp.gc_thresh2 = table.arp.gc_thresh3 = 4000
        wanted = [f"198.51.{100 + n // 250}.{n % 250 + 1}" for n in range(1, 1000)]
        for ip in wanted:
            table.add(ip, lladdr=THEIRS)
        async with client(path) as who:
            await who.send(b'{"request": "show"}\n')
            *entries, end = await who.until("end")
    assert sorted(entry["address"] for entry in entries) == sorted(wanted)
    assert end["count"] == 999


async def test_one_who_monitors_is_told_of_what_happens_and_not_of_what_was(path: Path) -> None:
    async with serving(path) as table, client(path) as who:
        table.add("198.51.100.2", lladdr=THEIRS, nud="stale")
        begun = await who.ask(request="monitor")
        assert list(begun) == ["kind", "time", "wall"] and begun["kind"] == "begun"
        table.replace("198.51.100.2", lladdr=OTHER, nud="reachable", protocol=11)
        table.delete("198.51.100.2")
        new, failed, gone = await who.until("del")
    assert list(new) == list(failed) == list(gone) == EVENT
    assert [new[key] for key in EVENT[3:9]] == ["198.51.100.2", "va", OTHER, "REACHABLE", [], 0]
    assert new["protocol"] == 11 and new["refcnt"] >= 1
    assert (failed["kind"], failed["state"], gone["state"], gone["lladdr"]) == (
        "new",
        "FAILED",
        "FAILED",
        None,
    )
    assert begun["time"] <= new["time"] <= failed["time"] <= gone["time"]


async def test_one_who_asks_for_the_entries_is_shown_them_and_then_told_of_what_happens(path: Path) -> None:
    async with serving(path) as table, client(path) as who:
        table.arp.gc_thresh2 = table.arp.gc_thresh3 = 4000
        wanted = [f"198.51.{100 + n // 250}.{n % 250 + 1}" for n in range(1, 1000)]
        for ip in wanted:
            table.add(ip, lladdr=THEIRS, nud="stale")
        begun = await who.ask(request="monitor", trace=True, entries=True)
        *entries, idle = await who.until("idle")
        table.replace(wanted[7], lladdr=OTHER, nud="reachable")
        change, new = await who.until("new")
    assert (begun["kind"], list(idle)) == ("begun", ["kind", "time", "wall"])
    assert {entry["kind"] for entry in entries} == {"entry"} and list(entries[0]) == ENTRY + AGES
    assert sorted(entry["address"] for entry in entries) == sorted(wanted)
    assert (change["kind"], change["address"], change["old_state"]) == ("change", wanted[7], "STALE")
    assert (new["address"], new["lladdr"]) == (wanted[7], OTHER)


async def test_what_happens_while_entries_are_shown_is_told_of_as_what_happened(path: Path) -> None:
    async with serving(path) as table, client(path) as who:
        table.arp.gc_thresh2 = table.arp.gc_thresh3 = 40000
        wanted = [f"198.18.{n // 250}.{n % 250 + 1}" for n in range(1, 20000)]
        for ip in wanted:
            table.add(ip, lladdr=THEIRS, nud="stale")
        # More than the socket holds: the walk waits for its reader, and has come by the first entry.
        await who.ask(request="monitor", entries=True)
        await wait_all_tasks_blocked()
        table.delete(wanted[0])
        *found, _ = await who.until("idle")
    kinds = [record["kind"] for record in found if record["address"] == wanted[0]]
    assert kinds == ["entry", "new", "del"]
    assert sum(record["kind"] == "entry" for record in found) == len(wanted)
    assert found[-1]["kind"] == "entry"


async def test_single_entries_are_had_by_address_and_device(path: Path) -> None:
    async with serving(path) as table, client(path) as who:
        for ip in ("198.51.100.2", "198.51.100.3", "fe80::2"):
            table.add(ip, lladdr=THEIRS, nud="stale")
        asked = [["fe80::2", "va"], ["198.51.100.2", "va"], ["198.51.100.9", "va"], ["198.51.100.3", "vb"]]
        await who.send(json.dumps({"request": "get", "entries": [*asked, ["odd", "va"]]}).encode() + b"\n")
        *entries, end = await who.until("end")
        await who.send(b'{"request": "show"}\n')
        *shown, _ = await who.until("end")
    assert [entry["address"] for entry in entries] == ["fe80::2", "198.51.100.2"]
    assert end["count"] == 2 and list(entries[0]) == ENTRY + AGES
    for entry in entries:
        (same,) = (each for each in shown if each["address"] == entry["address"])
        assert 0 <= same.pop("used") - entry.pop("used") < SECONDS
        for age in ("confirmed", "updated"):
            assert 0 <= same.pop(age) - entry.pop(age) < SECONDS
        assert entry == same


async def test_one_who_traces_is_told_of_silent_transitions_too(path: Path) -> None:
    async with serving(path) as table, client(path) as who:
        table.add("198.51.100.2", lladdr=THEIRS, nud="stale")
        await who.ask(request="monitor", trace=True)
        await table.resolve("198.51.100.2")
        (change,) = await who.until("change")
    assert list(change)[3:] == [
        *["address", "device", "stimulus", "old_state", "state"],
        *["old_lladdr", "lladdr", "old_flags", "flags", "notified"],
    ]
    assert list(change.values())[3:] == [
        *["198.51.100.2", "va", "output", "STALE", "DELAY"],
        *[THEIRS, THEIRS, [], [], False],
    ]


async def test_an_application_probe_is_a_miss(path: Path) -> None:
    async with serving(path, parameters={"app_solicit": 1, "mcast_solicit": 0}) as table, client(path) as who:
        await who.ask(request="monitor")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(table.resolve, "198.51.100.2")
            (miss,) = await who.until("miss")
            nursery.cancel_scope.cancel()
    assert (miss["address"], miss["state"], miss["lladdr"]) == ("198.51.100.2", "INCOMPLETE", None)


async def test_counters_thresholds_and_parameters_are_told(path: Path) -> None:
    async with serving(path, families=(4,)) as table, client(path) as who:
        table.add("198.51.100.2", lladdr=THEIRS)
        table.arp.gc_thresh3 = 77
        stats = await who.ask(request="stats")
        assert (stats["kind"], stats["devices"], stats["ndisc"]) == ("stats", ["va"], None)
        assert (stats["arp"]["entries"], stats["arp"]["gc_thresh3"], stats["arp"]["table_fulls"]) == (
            1,
            77,
            0,
        )
        assert stats["table"]["drops"] == {"va": {}}
        found = await who.ask(request="parameters", device="va", family=4)
        assert found["values"] == dict(table.parameters("va"))
        defaults = await who.ask(request="parameters")
        assert (defaults["device"], defaults["family"]) == (None, 4)
        assert defaults["values"] == dict(table.parameters())


async def test_many_clients_have_their_own_conversations(path: Path) -> None:
    async with serving(path) as table, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client(path)) for _ in range(20)]
        for who in clients[::2]:
            await who.ask(request="monitor")
        table.add("198.51.100.2", lladdr=THEIRS)
        for number, who in enumerate(clients):
            if number % 2:
                assert (await who.ask(request="show"))["address"] == "198.51.100.2"
            else:
                assert (await who.until("new"))[0]["address"] == "198.51.100.2"


# -- what they cannot do


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"\x00\xff\xfe nonsense", "request: that is no JSON object"),
        (b"[" * 8000, "request: that is no JSON object"),
        (b'"show"', "request: that is no JSON object"),
        (b'{"request": "show"', "request: that is no JSON object"),
        (b"{}", "request: there is no None; there are show, get, monitor, stats, parameters"),
        (
            b'{"request": ["show"]}',
            "request: there is no ['show']; there are show, get, monitor, stats, parameters",
        ),
        (
            b'{"request": "flush"}',
            "request: there is no 'flush'; there are show, get, monitor, stats, parameters",
        ),
        (b'{"request": "show", "dev": 1}', "dev: show has no such field"),
        (b'{"request": "monitor", "trace": 1}', "trace: 1 is neither true nor false"),
        (b'{"request": "monitor", "entries": []}', "entries: [] is neither true nor false"),
        (b'{"request": "get"}', "entries: that is no list of [ADDRESS, DEVICE]"),
        (b'{"request": "get", "entries": [["::1"]]}', "entries: ['::1'] is no [ADDRESS, DEVICE]"),
        (b'{"request": "get", "entries": [["::1", 4]]}', "entries: ['::1', 4] is no [ADDRESS, DEVICE]"),
        (b'{"request": "parameters", "family": 5}', "family: 5 is neither 4 nor 6"),
        (b'{"request": "parameters", "family": true}', "family: True is neither 4 nor 6"),
        (b'{"request": "parameters", "device": 7}', "device: 7 is no name"),
        (b'{"request": "parameters", "device": "vz"}', "device: 'vz' is not attached; there is va"),
    ],
)
async def test_what_makes_no_sense_is_answered_and_the_conversation_goes_on(
    path: Path, line: bytes, why: str
) -> None:
    async with serving(path), client(path) as who:
        await who.send(line + b"\n\n")
        assert await who.record() == {"kind": "error", "error": why}
        assert (await who.ask(request="show"))["kind"] == "end"


async def test_too_long_a_line_ends_the_conversation(path: Path) -> None:
    async with serving(path), client(path) as who:
        for data in (b"x" * (conversation.LONGEST_LINE + 1), b" " * conversation.LONGEST_LINE + b"{}\n"):
            async with client(path) as other:
                await other.send(data)
                assert await other.record() == {
                    "kind": "error",
                    "error": "request: a line of more than 8192 octets",
                }
                assert await other.record() is None
        assert (await who.ask(request="show"))["kind"] == "end"


async def test_a_request_may_come_in_pieces_and_without_its_last_newline(path: Path) -> None:
    async with serving(path), client(path) as who:
        for octet in b'{"request": "show"}\n{"request":':
            await who.send(bytes([octet]))
        assert (await who.until("end"))[-1]["count"] == 0
        await who.send(b' "stats"}')
        await who.stream.send_eof()
        assert (await who.until("stats"))[-1]["devices"] == ["va"]
        assert await who.record() is None


async def test_half_a_request_at_the_end_is_answered_as_what_it_is(path: Path) -> None:
    async with serving(path), client(path) as who:
        await who.send(b'{"request": "sh')
        await who.stream.send_eof()
        assert await who.record() == {"kind": "error", "error": "request: that is no JSON object"}
        assert await who.record() is None


async def test_one_who_does_not_read_loses_the_rest_and_is_told_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "MOST_WAITING", 100)
    async with serving(path) as table, client(path) as slow, client(path) as quick:
        await slow.ask(request="monitor")
        await quick.ask(request="monitor")
        count = 0
        # The socket's own buffer takes some thousands of lines.
        while table.statistics().subscriptions == 2 and count < 100_000:
            table.replace("198.51.100.2", lladdr=(THEIRS, OTHER)[count % 2])
            count += 1
            seen = await quick.record()
            assert seen is not None and seen["lladdr"] == (THEIRS, OTHER)[(count - 1) % 2]
            if any(subscription.overflowed for subscription in table._driver.subscriptions):
                break
        told = await slow.until("error")
        assert told[-1]["error"] == "more than 100 changes waited to be read: some are lost"
        assert 100 < len(told) - 1 < count
        assert [record["kind"] for record in told[:-1]] == ["new"] * (len(told) - 1)
        assert await slow.record() is None


async def test_one_who_reads_keeps_up_with_a_table_that_hears_as_much_as_it_can_at_each_turn(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "MOST_WAITING", 1000)
    rounds = 100
    async with serving(path) as table, client(path) as quick, trio.open_nursery() as nursery:
        await quick.ask(request="monitor")
        heard = 0

        async def listen() -> None:
            nonlocal heard
            while heard < rounds * FRAMES:
                piece = await quick.stream.receive_some(1 << 20)
                assert b"error" not in piece
                heard += piece.count(b"\n")

        nursery.start_soon(listen)
        for _ in range(rounds):
            for number in range(FRAMES):
                table.replace("198.51.100.2", lladdr=(THEIRS, OTHER)[number % 2])
            await trio.lowlevel.checkpoint()
    assert heard == rounds * FRAMES


async def test_a_client_that_goes_leaves_nothing_behind(path: Path) -> None:
    async with serving(path) as table:
        async with client(path) as who:
            await who.ask(request="monitor")
            assert table.statistics().subscriptions == 1
        await wait_all_tasks_blocked()
        assert table.statistics().subscriptions == 0
        # One that goes in the middle of an answer, too.
        for n in range(2, 200):
            table.add(f"198.51.100.{n}", lladdr=THEIRS)
        async with client(path) as who:
            await who.send(b'{"request": "show"}\n' * 300)
        async with client(path) as who:
            assert (await who.ask(request="show"))["kind"] == "entry"


async def test_there_is_an_end_to_how_many_may_come(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "MOST_CLIENTS", 2)
    async with serving(path):
        async with client(path), client(path), await trio.open_unix_socket(str(path)) as stream:
            third = Client(stream)
            assert await third.record() == {"kind": "error", "error": "there are 2 clients already"}
            assert await third.record() is None
        await wait_all_tasks_blocked()
        async with client(path):
            pass


# -- the socket's life


async def test_only_its_owner_may_connect_and_it_goes_with_the_table(path: Path) -> None:
    old = os.umask(0)
    try:
        async with serving(path) as table, client(path) as who:
            assert stat.S_IMODE(os.lstat(path).st_mode) == 0o600
            await who.ask(request="monitor")
            table.add("198.51.100.2", lladdr=THEIRS)
            assert (await who.until("new"))[-1]["address"] == "198.51.100.2"
    finally:
        os.umask(old)
    assert not exists(path)


async def test_clients_are_let_go_when_the_table_ends(path: Path) -> None:
    async with AsyncExitStack() as stack:
        async with serving(path):
            idle = await stack.enter_async_context(client(path))
            watching = await stack.enter_async_context(client(path))
            await watching.ask(request="monitor")
        assert await idle.record() is None and await watching.record() is None


async def refused(path: Path | str) -> str:
    """Open a table with a control socket that cannot be; return why."""
    with pytest.raises(NeighioError) as caught:
        async with neighio.open_table(control=path):
            raise AssertionError
    return str(caught.value)


async def test_a_path_that_is_in_use_is_refused_and_stays_as_it_is(path: Path) -> None:
    async with serving(path), client(path) as who:
        assert await refused(path) == f"control: {path} is in use by a process that runs"
        assert (await who.ask(request="show"))["kind"] == "end"
        async with client(path):
            pass
    datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    datagrams.bind(str(path))
    assert await refused(path) == f"control: {path} is in use by a process that runs"
    datagrams.close()


async def test_a_listener_whose_queue_is_full_is_somebody_too(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen(0)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as first:
            first.connect(str(path))
            assert await refused(path) == f"control: {path} is in use by a process that runs"


async def test_a_foreign_file_is_refused_and_stays_as_it_is(path: Path, tmp_path: Path) -> None:
    write(path, "dear diary")
    assert await refused(path) == f"control: {path} is there already, and is no socket"
    assert read(path) == "dear diary"
    assert await refused(tmp_path) == f"control: {tmp_path} is there already, and is no socket"
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    assert await refused(link) == f"control: {link} is there already, and is no socket"


async def test_the_socket_of_a_dead_process_is_taken_over(path: Path) -> None:
    done = await trio.run_process([sys.executable, "-c", DIES, str(path)], check=False)
    assert done.returncode == 9 and exists(path)
    async with serving(path), client(path) as who:
        assert (await who.ask(request="show"))["kind"] == "end"
    assert not exists(path)


async def test_what_somebody_else_has_put_in_its_place_is_not_removed(path: Path) -> None:
    async with serving(path):
        os.unlink(path)
        write(path, "mine")
    assert read(path) == "mine"
    os.unlink(path)
    async with serving(path):
        os.unlink(path)
    assert not exists(path)


async def test_a_path_that_cannot_be_is_refused_with_the_systems_reason(tmp_path: Path) -> None:
    assert await refused(tmp_path / "no" / "x") == f"control: {tmp_path}/no/x: No such file or directory"
    long = tmp_path / ("x" * 120)
    assert await refused(long) == f"control: {long}: AF_UNIX path too long"
    for name in ("", "\0abstract"):
        with pytest.raises(ValueError, match=r"control: .* is no path"):
            NeighbourTable(control=name)


async def test_a_relative_path_is_removed_wherever_the_process_is_by_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with neighio.open_table(control="x.sock"):
        assert exists(tmp_path / "x.sock")
        monkeypatch.chdir("/")
    assert not exists(tmp_path / "x.sock")


async def test_in_a_folder_that_was_removed_an_absolute_path_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, removed = tmp_path / "x.sock", tmp_path / "removed"
    removed.mkdir()
    monkeypatch.chdir(removed)
    removed.rmdir()
    async with serving(path), client(path):
        pass
    assert not exists(path)
    assert await refused("x.sock") == "control: x.sock: No such file or directory"


async def test_nothing_was_touched_where_the_socket_is_refused(path: Path) -> None:
    write(path, "mine")
    link = Segment(trio.current_time).attach(OURS, name="va")
    with pytest.raises(NeighioError, match="is no socket"):
        async with neighio.open_table(neighio.Device(link), control=path):
            raise AssertionError
    async with neighio.open_table(neighio.Device(link)) as table:
        assert list(table.devices) == ["va"]


async def test_of_two_who_open_at_once_the_second_waits_its_turn(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "TURN_SECONDS", 0.0)
    descriptor = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert await refused(path) == f"control: somebody else holds the lock on {path.parent}"
    os.close(descriptor)
    async with serving(path), client(path):
        pass


async def test_the_usual_place_is_the_users_runtime_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    usual = control.default_path()
    assert usual == tmp_path / "neighio" / f"{os.getpid()}.sock"
    async with neighio.open_table(control=usual), client(usual):
        assert stat.S_IMODE(os.lstat(usual.parent).st_mode) == 0o700
    assert os.listdir(usual.parent) == []
    for unusable in ("", "run"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", unusable)
        with pytest.raises(NeighioError, match="XDG_RUNTIME_DIR is not set"):
            control.default_path()
