"""Administration by a table: netlink's requests and errors, parameters, and reading."""

from __future__ import annotations

import errno
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import neighio
from neighio import NudState

from .shell import ABSENT, OTHER, OURS, PEER, THEIRS, World, assert_nothing_is_left, collect, lines, world


async def heard(w: World, nursery: trio.Nursery) -> list[neighio.Published]:
    events: list[neighio.Published] = []
    nursery.start_soon(collect, w.table.subscribe(), events)
    await trio.testing.wait_all_tasks_blocked()
    return events


async def test_add_makes_one_and_permanent_is_what_it_is(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.table.add(PEER, "va", THEIRS)
        assert w.state() is NudState.PERMANENT
        with pytest.raises(neighio.AdminError) as caught:
            w.table.add(PEER, "va", OTHER)
        assert isinstance(caught.value, FileExistsError) and caught.value.errno == errno.EEXIST
        entry = w.table.lookup(PEER)
        assert entry is not None and str(entry.lladdr) == THEIRS


async def test_change_needs_one_and_replace_does_not(autojump_clock: MockClock) -> None:
    async with world() as w:
        with pytest.raises(FileNotFoundError) as caught:
            w.table.change(PEER, lladdr=THEIRS)
        assert isinstance(caught.value, neighio.AdminError) and caught.value.errno == errno.ENOENT
        assert w.state() is None
        w.table.replace(PEER, lladdr=THEIRS, nud="stale")
        w.table.change(PEER, lladdr=OTHER, nud=NudState.REACHABLE)
        entry = w.table.lookup(PEER)
        assert entry is not None and (str(entry.lladdr), w.state()) == (OTHER, NudState.REACHABLE)


async def test_append_leaves_an_address_alone(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.table.append(PEER, lladdr=THEIRS, nud="stale")
        w.table.append(PEER, lladdr=OTHER, nud="stale")
        entry = w.table.lookup(PEER)
        assert entry is not None and str(entry.lladdr) == THEIRS


async def test_delete_fails_the_entry_and_takes_it_away(autojump_clock: MockClock) -> None:
    async with world() as w, trio.open_nursery() as nursery:
        events = await heard(w, nursery)
        w.table.add(PEER, lladdr=THEIRS, nud="reachable")
        w.table.delete(PEER)
        assert w.state() is None
        with pytest.raises(FileNotFoundError):
            w.table.delete(PEER)
        await trio.testing.wait_all_tasks_blocked()
        assert lines(events) == [
            f"{PEER} dev va lladdr {THEIRS} REACHABLE",
            f"{PEER} dev va FAILED",
            f"Deleted {PEER} dev va FAILED",
        ]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("nud", "kept"),
    [
        (None, ["permanent", "noarp"]),
        ("stale", ["none", "reachable", "failed", "noarp", "permanent"]),
        (NudState.STALE | NudState.PERMANENT, ["none", "reachable", "failed", "noarp"]),
    ],
)
@pytest.mark.parametrize("gradually", [False, True])
async def test_flush_deletes_by_state(
    nud: Any, kept: list[str], gradually: bool, autojump_clock: MockClock
) -> None:
    states = ["none", "reachable", "stale", "failed", "noarp", "permanent"]
    async with world() as w:
        for host, state in enumerate(states, 10):
            w.table.add(f"198.51.100.{host}", lladdr=THEIRS, nud=state)
        if gradually:
            assert await w.table.flush_gradually("va", nud=nud) == 6 - len(kept)
        else:
            assert w.table.flush("va", nud=nud) == 6 - len(kept)
        left = {entry.nud_state for entry in w.table.arp.entries()}
        assert left == {NudState[state.upper()] for state in kept}


async def test_flush_is_of_one_device_or_of_all(autojump_clock: MockClock) -> None:
    async with world() as w:
        await w.table.attach(w.segment.attach("02:00:00:00:00:0e", name="vc"))
        for dev in ("va", "vc"):
            w.table.add(PEER, dev, THEIRS, nud="stale")
        assert w.table.flush("vc") == 1
        assert w.table.flush() == 1
        assert w.table.arp.statistics().entries == 0
        for dev in ("va", "vc"):
            w.table.add(PEER, dev, THEIRS, nud="stale")
        assert await w.table.flush_gradually("vc") == 1
        assert await w.table.flush_gradually() == 1
        assert w.table.arp.statistics().entries == 0


def add_many(w: World, count: int = 700, start: str = "198.51", dev: str = "va") -> None:
    for name in ("gc_thresh1", "gc_thresh2", "gc_thresh3"):
        setattr(w.table.arp, name, 10_000)
    for number in range(count):
        w.table.add(f"{start}.{100 + number // 250}.{number % 250 + 3}", dev, THEIRS, nud="stale")


async def test_a_gradual_flush_leaves_what_came_meanwhile_and_others_their_turn(
    autojump_clock: MockClock,
) -> None:
    async with world() as w:
        add_many(w)
        left = []

        async def meanwhile() -> None:
            add_many(w, 300, "203.0")
            while w.table.lookup("198.51.102.202", "va"):
                left.append(w.table.arp.statistics().entries)
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(meanwhile)
            assert await w.table.flush_gradually("va") == 700
        assert len(left) > 0
        assert {entry.ip[:5] for entry in w.table.arp.entries()} == {"203.0"}
        assert w.table.arp.statistics().entries == 300


async def test_a_gradual_flush_that_is_cancelled_keeps_the_rest_whole(autojump_clock: MockClock) -> None:
    async with world() as w:
        add_many(w)
        with trio.CancelScope() as scope:
            scope.cancel()
            await w.table.flush_gradually("va")
        assert scope.cancelled_caught
        left = w.table.arp.statistics().entries
        assert 0 < left < 700
        assert await w.table.flush_gradually() == left


async def test_a_gradual_flush_of_a_device_that_goes_leaves_the_one_that_takes_its_place(
    autojump_clock: MockClock,
) -> None:
    async with world() as w:
        add_many(w)

        async def replace() -> None:
            await w.table.devices["va"].detach()
            await w.table.attach(w.segment.attach("02:00:00:00:00:0e", name="vc"))
            add_many(w, dev="vc")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(replace)
            assert await w.table.flush_gradually("va") <= 700
        assert w.table.arp.statistics().entries == 700


async def test_a_gradual_flush_ends_with_the_table(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery, world() as w:
        add_many(w, 5000)
        flush = w.table.flush_gradually

        async def go_on() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await flush("va")

        nursery.start_soon(go_on)


@pytest.mark.parametrize("bad", [{"dev": "nowhere"}, {"nud": "lost"}])
async def test_a_gradual_flush_of_what_cannot_be_meant_is_refused(
    bad: dict[str, str], autojump_clock: MockClock
) -> None:
    async with world() as w:
        add_many(w, 3)
        with pytest.raises(ValueError):
            await w.table.flush_gradually(**bad)
        assert w.table.arp.statistics().entries == 3


async def test_use_starts_resolution_and_managed_keeps_it_up(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.table.add(PEER, use=True, nud="none")
        await trio.testing.wait_all_tasks_blocked()
        assert w.state() is NudState.REACHABLE
        w.table.add(ABSENT, managed=True, nud="none")
        await trio.sleep(20)
        assert w.frames() > 6 and w.state(ABSENT) in (NudState.FAILED, NudState.INCOMPLETE)


@pytest.mark.parametrize(
    ("options", "flags", "protocol"),
    [
        ({"router": True}, 0x80, 0),
        ({"extern_learn": True}, 0x10, 0),
        ({"extern_valid": True, "nud": "stale"}, 0x400, 0),
        ({"protocol": 186}, 0, 186),
        ({"router": False, "managed": False}, 0, 0),
    ],
)
async def test_options_become_what_the_kernel_calls_them(
    options: dict[str, Any], flags: int, protocol: int, autojump_clock: MockClock
) -> None:
    async with world() as w:
        w.table.add(PEER, "va", THEIRS, **options)
        entry = w.table.lookup(PEER)
        assert entry is not None and (entry.flags, entry.protocol) == (flags, protocol)


REFUSED: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"lladdr": "02:00:00:00:00"}, neighio.AdminError, "Invalid link address"),
    ({"lladdr": "nonsense"}, neighio.InvalidAddress, "lladdr: 'nonsense' is not a link-layer address"),
    ({"lladdr": None, "nud": "reachable"}, neighio.AdminError, "No link layer address given"),
    ({"nud": "asleep"}, ValueError, "nud: no state 'asleep'; there is none, incomplete, reachable"),
    ({"nud": 256}, ValueError, "nud: 256 is no state"),
    ({"nud": -1}, ValueError, "nud: -1 is no state"),
    ({"protocol": 256}, ValueError, "protocol: 256 is out of range"),
    ({"managed": True}, neighio.AdminError, "Invalid NTF_\\* flag for permanent entry"),
    ({"extern_valid": True, "nud": "none"}, neighio.AdminError, "Cannot create externally validated"),
    ({"proxy": True, "managed": True}, neighio.AdminError, "Invalid NTF_\\* flag combination"),
    ({"color": True}, ValueError, "color: no such option; there are "),
]


@pytest.mark.parametrize(("options", "error", "message"), REFUSED, ids=[row[2] for row in REFUSED])
async def test_what_netlink_refuses_is_refused_with_its_words(
    options: dict[str, Any], error: type[Exception], message: str, autojump_clock: MockClock
) -> None:
    async with world() as w:
        with pytest.raises(error, match=message):
            w.table.add(PEER, "va", **{"lladdr": THEIRS, **options})
        # The kernel leaves an entry in NONE behind when only its update failed.
        assert w.state() is (NudState.NONE if "No link layer" in message else None)


async def test_proxy_entries_are_data(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.table.add(PEER, "va", proxy=True)
        w.table.add(ABSENT, proxy=True)
        assert w.table.arp.statistics().entries == 0 and len(w.table.arp.proxies()) == 2
        w.table.delete(PEER, "va", proxy=True)
        w.table.delete(ABSENT, proxy=True)
        with pytest.raises(FileNotFoundError):
            w.table.delete(ABSENT, proxy=True)
        assert w.table.arp.proxies() == []
        with pytest.raises(OSError) as caught:
            w.table.add("2001:db8::1", proxy=True)
        assert caught.value.errno == errno.ENOBUFS
        w.table.add("2001:db8::1", "va", proxy=True)
        assert len(w.table.ndisc.proxies()) == 1
    async with world(families=(4,)) as w:
        with pytest.raises(neighio.InvalidAddress, match="family"):
            w.table.add("2001:db8::1", proxy=True)


async def test_administration_ends_the_waits_of_others(autojump_clock: MockClock) -> None:
    async with world(answers=False) as w, trio.open_nursery() as nursery:
        found: list[str] = []

        async def ask() -> None:
            found.append(str(await w.table.resolve(PEER)))

        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        w.table.change(PEER, lladdr=OTHER, nud="permanent")
        await trio.testing.wait_all_tasks_blocked()
        assert found == [OTHER]
        assert_nothing_is_left(w.table)


async def test_adding_to_a_full_table_says_so(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.table.arp.gc_thresh3 = 0
        with pytest.raises(neighio.TableFull):
            w.table.add(PEER, lladdr=THEIRS, nud="stale")
        w.table.add(PEER, lladdr=THEIRS)
        assert w.table.arp.statistics().table_fulls == 1


# -- parameters


async def test_defaults_reach_devices_that_were_not_told_otherwise(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.table.set("va", retrans_time=0.25)
        w.table.set(None, retrans_time=2.0, locktime=3.0)
        await w.table.attach(w.segment.attach("02:00:00:00:00:0e", name="vc"))
        found = {dev: w.table.parameters(dev) for dev in (None, "va", "vc")}
        assert [found[dev]["retrans_time"] for dev in found] == [2.0, 0.25, 2.0]
        assert [found[dev]["locktime"] for dev in found] == [3.0, 3.0, 3.0]
        base = found["va"]["base_reachable_time"]
        assert base / 2 <= found["va"]["reachable_time"] < base * 1.5


@pytest.mark.parametrize(
    "changes",
    [
        {"locktime": 2.0, "nonsense": 1},
        {"locktime": 2.0, "ucast_solicit": -1},
        {"locktime": 2.0, "ucast_solicit": 1.5},
        {"locktime": 2.0, "retrans_time": float("nan")},
        {"locktime": 2.0, "arp_ignore": 9},
        {"locktime": 2.0, "retrans_time": "1"},
    ],
)
async def test_all_changes_are_made_or_none(changes: dict[str, Any], autojump_clock: MockClock) -> None:
    async with world() as w:
        before = w.table.parameters("va")
        culprit = list(changes)[1]
        with pytest.raises(ValueError, match=f"^{culprit}: "):
            w.table.set("va", **changes)
        assert w.table.parameters("va") == before


async def test_parameters_are_of_a_family_and_a_device_that_there_are(autojump_clock: MockClock) -> None:
    async with world() as w:
        for use in (w.table.parameters, w.table.set):
            with pytest.raises(neighio.InvalidAddress, match="'vx' is not attached"):
                use("vx")
            with pytest.raises(ValueError, match="family: 5 is neither 4 nor 6"):
                use("va", 5)
    async with world(families=(4,)) as w:
        for use in (w.table.parameters, w.table.set):
            with pytest.raises(neighio.InvalidAddress, match="family: this table does not serve IPv6"):
                use("va", 6)
        with pytest.raises(neighio.InvalidAddress, match="family: this table does not serve IPv6"):
            w.table.ndisc.statistics()


async def test_a_shorter_time_is_in_force_from_the_next_timer_on(autojump_clock: MockClock) -> None:
    async with world(answers=False) as w, trio.open_nursery() as nursery:

        async def ask() -> None:
            with pytest.raises(neighio.Unreachable):
                await w.table.resolve(PEER)

        nursery.start_soon(ask)
        await trio.testing.wait_all_tasks_blocked()
        w.table.set("va", retrans_time=0.25)
        nursery.start_soon(trio.sleep, 0)
        await trio.sleep(1.51)
        assert w.state() is NudState.FAILED


@pytest.mark.parametrize("name", ["gc_thresh1", "gc_thresh2", "gc_thresh3"])
async def test_thresholds_are_read_and_written(name: str, autojump_clock: MockClock) -> None:
    async with world() as w:
        cache = w.table.arp
        assert getattr(cache, name) == {"gc_thresh1": 128, "gc_thresh2": 512, "gc_thresh3": 1024}[name]
        setattr(cache, name, 7)
        assert getattr(w.table.arp, name) == 7
        for refused in (-1, 2**31, 1.5, "many"):
            with pytest.raises(ValueError, match=name):
                setattr(cache, name, refused)
        assert getattr(cache, name) == 7


# -- reading


async def test_statistics_count_what_happened(autojump_clock: MockClock) -> None:
    async with world() as w:
        await w.table.resolve(PEER)
        with pytest.raises(neighio.Unreachable):
            await w.table.resolve(ABSENT)
        found = w.table.arp.statistics()
        assert (found.entries, found.gc_entries, found.allocs, found.destroys) == (2, 2, 2, 0)
        assert (found.res_failed, found.hash_buckets, found.destroy_refused) == (1, 8, 0)
        whole = w.table.statistics()
        assert (whole.devices, whole.tasks_waiting, whole.subscriptions) == (1, 0, 0)
        assert (whole.drops, whole.counters) == ({"va": {}}, {})


async def test_entries_may_come_and_go_while_they_are_walked(autojump_clock: MockClock) -> None:
    async with world() as w:
        for host in range(10, 20):
            w.table.add(f"198.51.100.{host}", lladdr=OURS)
        seen = []
        for entry in w.table.arp.entries():
            seen.append(entry.ip)
            w.table.delete(entry.ip)
        assert len(seen) == 10 and list(w.table.arp.entries()) == []


async def test_parameters_read_back_every_switch_that_set_writes(autojump_clock: MockClock) -> None:
    async with world() as w:
        w.table.set("va", arp_accept=2, locktime=0.25)
        w.table.set(None, arp_ignore=1)
        here, everywhere = w.table.parameters("va"), w.table.parameters()
        assert (here["arp_accept"], here["locktime"], here["arp_ignore"]) == (2, 0.25, 0)
        assert (everywhere["arp_accept"], everywhere["arp_ignore"]) == (0, 1)
