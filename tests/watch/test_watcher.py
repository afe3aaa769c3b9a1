"""A watcher within a program: what it is told, slow disks, own addresses."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import trio

from neighio.address import parse_ip
from neighio.kernel.framing import Message
from neighio.kernel.netlink import NetlinkOverflow, open_netlink
from neighio.testing import Here, in_namespace
from neighio.watch import watcher as limits
from neighio.watch.database import Database
from neighio.watch.own import GROUPS, OwnAddresses
from neighio.watch.store import Report, Store
from neighio.watch.watcher import Watcher

from ..cli.watching import OURS, link, station

A = station(0xA)


class Told:
    """What a watcher told."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.lost_frames = 0
        self.began = trio.Event()
        self.again = trio.Event()

    def begun(self, devices: Sequence[str]) -> None:
        self.began.set()

    def report(self, report: Report) -> None:
        self.reports.append(report)
        self.again.set()

    def lost(self, device: str, frames: int) -> None:
        self.lost_frames += frames
        self.again.set()

    def notice(self, text: str) -> None: ...

    async def until(self, wanted: Callable[[], bool]) -> None:
        with trio.fail_after(30):
            while not wanted():
                self.again = trio.Event()
                await self.again.wait()


class SlowStore(Store):
    """A store whose disk is busy until it is let go."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, seconds=1e9, rows=10**6)
        self.go = threading.Event()
        self.busy = threading.Event()

    def commit(self, *args: Any, **options: Any) -> list[Report]:
        self.busy.set()
        assert self.go.wait(30)
        return super().commit(*args, **options)


@contextmanager
def slow_store() -> Iterator[SlowStore]:
    with (
        tempfile.TemporaryDirectory(prefix="neighio") as folder,
        closing(Database(f"{folder}/lan.db")) as database,
    ):
        store = SlowStore(database)
        yield store
        store.go.set()


@in_namespace
async def test_while_the_disk_is_busy_frames_wait_and_those_lost_are_told() -> None:
    limits.MOST_WAITING, limits.INTERVAL = 100, 0.01  # type: ignore[misc]
    told = Told()
    with link() as (_, _, speaker), slow_store() as store:
        watcher = Watcher(store, ["eth0"], told)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watcher.run)
            await told.began.wait()
            speaker.ask("198.51.100.7", A)
            await trio.to_thread.run_sync(store.busy.wait)
            # More than the sockets hold.
            for number in range(30_000):
                speaker.ask(f"198.18.{number % 250}.{number // 250}", A)
                if number % 1000 == 0:
                    await trio.lowlevel.checkpoint()
            assert len(watcher._sightings) < limits.MOST_WAITING + limits.BATCH
            store.go.set()
            await told.until(lambda: told.lost_frames > 0)
            sent, again = 30_001, 0
            # Said again while the sockets are still full.
            while not any(report.lladdr == station(0xB) for report in told.reports):
                speaker.announce("198.51.100.8", station(0xB))
                sent, again = sent + 1, again + 1
                told.again = trio.Event()
                with trio.move_on_after(0.1):
                    await told.again.wait()
            nursery.cancel_scope.cancel()
        ((heard,),) = store._database.connection.execute("SELECT sum(messages) FROM stay").fetchall()
    # Of what was said again some may still be unread.
    assert sent - again < heard + told.lost_frames <= sent


@in_namespace
async def test_own_addresses_are_followed() -> None:
    here = Here()
    changed = trio.Event()

    def told(_: object) -> None:
        changed.set()

    with link(), open_netlink(GROUPS) as netlink:
        own = OwnAddresses(netlink, told)
        await own.read()
        assert own.is_at(bytes.fromhex(OURS.replace(":", ""))) and not own.is_at(bytes(5) + b"\x09")
        for ip, prefix in (("198.51.100.1", 24), ("2001:db8::1", 64)):
            key = parse_ip(ip)[0]
            assert own.holding("eth0", key) is not None and own.holding("lo", key) is not None
            here.del_address("eth0", f"{ip}/{prefix}")
            own._apply(await netlink.receive())
            assert own.holding("eth0", key) is None
        here.add_address("eth0", "fe80::9/64")
        own._apply(await netlink.receive())
        # On another link it is somebody else's.
        key = parse_ip("fe80::9")[0]
        assert own.holding("eth0", key) is not None and own.holding("lo", key) is None
        here.delete_link("eth0")
        while own.find("eth0") is not None:
            own._apply(await netlink.receive())
        assert changed.is_set() and own.holding("eth0", key) is None
        # For how long it is ours: until it is lost, however often it is told of.
        key, held = parse_ip("198.51.100.9")[0], []
        for _ in range(2):
            here.add_address("lo", "198.51.100.9/32")
            told_of = await netlink.receive()
            for _ in range(2):
                own._apply(told_of)
                held.append(own.holding("lo", key))
            here.del_address("lo", "198.51.100.9/32")
            own._apply(await netlink.receive())
        assert held[0] == held[1] and held[2] == held[3] and len({None, *held}) == 3
    here.close()


@in_namespace
async def test_what_the_kernel_could_not_tell_is_asked_for() -> None:
    here = Here()

    class Deaf:
        """Loses what was told of, once."""

        def __init__(self, netlink: Any) -> None:
            self.dump = netlink.dump
            self.lost = False
            self.asked_again = trio.Event()

        async def receive(self) -> list[Message]:
            await trio.lowlevel.checkpoint()
            if self.lost:
                self.asked_again.set()
                await trio.sleep_forever()
            self.lost = True
            raise NetlinkOverflow

    gone: list[str] = []
    with link(), open_netlink(GROUPS) as netlink:
        deaf = Deaf(netlink)
        own = OwnAddresses(deaf, lambda one: gone.append(one.name) if one.deleted else None)  # type: ignore[arg-type]
        await own.read()
        here.add_address("lo", "198.51.100.2/32")
        here.delete_link("eth0")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(own.follow)
            with trio.fail_after(30):
                # It comes back for more when it has asked.
                await deaf.asked_again.wait()
            nursery.cancel_scope.cancel()
        assert own.holding("lo", parse_ip("198.51.100.2")[0]) is not None
        assert gone == ["eth0"] and own.find("eth0") is None
        assert own.holding("lo", parse_ip("198.51.100.1")[0]) is None
    here.close()
