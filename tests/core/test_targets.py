"""Many addresses at a time: what a sweep makes is what creation makes of each."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from neighio.address import parse_ip
from neighio.core.cache import SWEPT
from neighio.core.constants import (
    AF_INET,
    AF_INET6,
    NLM_F_REPLACE,
    NTF_MANAGED,
    NUD_NONE,
    NUD_REACHABLE,
)
from neighio.core.create import create
from neighio.core.events import DelNeighbour, NewNeighbour
from neighio.core.neighbour import Neighbour
from neighio.core.targets import MANY, Targets
from neighio.errors import TableFull
from neighio.testing.simulation import Simulation
from neighio.wire import arp, ndisc

from .helpers import PEER, arp_frame, hear, many, node, record

IPV6 = [f"2001:db8::1:{number:x}" for number in range(1, 41)]


def keys(ips: list[str]) -> list[bytes]:
    return [parse_ip(ip)[0] for ip in ips]


def scene(family: int) -> tuple[Simulation, list[bytes]]:
    sim = node()
    sim.add_address("va", "fe80::1/64")
    return sim, keys(many(0, 40) if family == AF_INET else IPV6)


def begin(sim: Simulation, family: int = AF_INET) -> Targets:
    return sim.engine.begin_sweep(sim.device("va").index, family)


def order(sim: Simulation, family: int) -> list[bytes]:
    cache = sim.engine.caches[family]
    table = cache.by_device[sim.device("va").index]
    return [cache.store.key_of(row) for row in table.members]


@pytest.mark.parametrize("family", [AF_INET, AF_INET6])
def test_entries_made_all_at_once_are_as_if_made_one_by_one(family: int) -> None:
    at_once, targets = scene(family)
    one_by_one, _ = scene(family)
    for sim in (at_once, one_by_one):
        sim.run(7.25)
    at_once.engine.ask(begin(at_once, family), targets, at_once.now)
    one_by_one.engine.lookup(one_by_one.device("va").index, targets[0], one_by_one.now)
    cache = one_by_one.engine.caches[family]
    table = cache.by_device[one_by_one.device("va").index]
    for key in targets:
        row = create(cache, table, key, swept=True, want_ref=True)
        cache.store.untold[row] = 1

    made = at_once.engine.caches[family]
    assert order(at_once, family) == order(one_by_one, family) == targets[::-1]
    for key in targets:
        pair = []
        for sim, where in ((at_once, made), (one_by_one, cache)):
            row = where.find(where.by_device[sim.device("va").index], key)
            store = where.store
            hidden = (store.accounted[row], store.untold[row], store.output[row], store.dead[row])
            pair.append((record(Neighbour(where, row)), hidden, store.serial[row], store.deadline[row]))
        assert pair[0] == pair[1]
        assert pair[0][1][0] == SWEPT
    for name in ("entries", "gc_entries", "swept", "hash_buckets", "serial"):
        assert getattr(made, name) == getattr(cache, name), name
    assert made.statistics.allocs == cache.statistics.allocs == 40
    assert made.statistics.hash_grows == cache.statistics.hash_grows > 0


@pytest.mark.parametrize("family", [AF_INET, AF_INET6])
def test_each_address_is_asked_for_once(family: int) -> None:
    sim, targets = scene(family)
    frames = sim.engine.ask(begin(sim, family), targets, sim.now)
    asked = []
    for frame in frames:
        if family == AF_INET:
            fields = arp.parse(frame)
            assert not isinstance(fields, str)
            asked.append(fields[3])
            assert fields[:2] == (arp.ARPOP_REQUEST, parse_ip("198.18.0.1")[0])
        else:
            message = ndisc.parse(frame)
            assert isinstance(message, ndisc.Solicitation)
            asked.append(message.target)
            assert message.src == parse_ip("fe80::1")[0]
    assert asked == targets


def test_whoever_has_several_addresses_asks_from_the_one_in_the_subnet() -> None:
    sim = node()
    there = ["198.51.100.7", "198.18.3.4"]
    frames = sim.engine.ask(begin(sim), keys(there), sim.now)
    fields = [arp.parse(frame) for frame in frames]
    assert [one[1] for one in fields if not isinstance(one, str)] == keys(["198.51.100.1", "198.18.0.1"])


def test_without_a_source_nothing_is_asked_and_that_is_counted() -> None:
    sim = node()
    assert sim.engine.ask(begin(sim, AF_INET6), keys(IPV6), sim.now) == []
    assert sim.device("va").drops == {"ndisc_no_source": 40}


def test_an_answer_is_noted_and_makes_the_entry_reachable() -> None:
    sim, targets = scene(AF_INET)
    swept = begin(sim)
    sim.engine.ask(swept, targets, sim.now)
    sim.run(0.5)
    hear(sim, arp_frame(2, "198.18.1.1", "198.18.0.1", dst=sim.device("va").lladdr))
    assert swept.answers == [(targets[0], bytes.fromhex(PEER.replace(":", "")), sim.now)]
    states = {ip: sim.neighbour(ip) for ip in ("198.18.1.1", "198.18.1.2")}
    assert [found and found.nud_state for found in states.values()] == [NUD_REACHABLE, NUD_NONE]


def test_what_is_given_back_newest_first_gives_its_rows_back() -> None:
    sim, targets = scene(AF_INET)
    cache = sim.engine.caches[AF_INET]
    before = cache.store.top
    swept = begin(sim)
    sim.engine.ask(swept, targets, sim.now)
    assert cache.store.top == before + 40
    assert sim.engine.end_sweep(swept, sim.now, keep=False, budget=30)
    assert len(swept) == 10
    assert not sim.engine.end_sweep(swept, sim.now, keep=False, budget=30)
    assert (cache.store.top, cache.store.has_free, cache.entries, cache.swept) == (before, False, 0, 0)
    assert cache.statistics.destroys == 40


def test_a_row_that_was_given_back_is_another_entry_later() -> None:
    sim, targets = scene(AF_INET)
    swept = begin(sim)
    sim.engine.ask(swept, targets, sim.now)
    old = sim.neighbour("198.18.1.39")
    sim.engine.end_sweep(swept, sim.now, keep=False)
    sim.engine.ask(begin(sim), targets, sim.now)
    new = sim.neighbour("198.18.1.39")
    assert old is not None and new is not None
    assert old.row == new.row and old != new and not old.exists


def test_without_memory_nothing_has_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    sim, targets = scene(AF_INET)
    cache = sim.engine.caches[AF_INET]

    def refuse(count: int) -> int:
        raise OSError(12, "no memory")

    monkeypatch.setattr(cache.store, "take_run", refuse)
    swept = begin(sim)
    with pytest.raises(TableFull):
        sim.engine.ask(swept, targets, sim.now)
    assert (len(swept), cache.entries, cache.swept, cache.statistics.allocs) == (0, 0, 0, 0)


def test_hooks_are_run_for_each_entry() -> None:
    sim = Simulation()
    constructed: list[bytes] = []
    sim.add_device("va", addresses=["198.18.0.1/15"], neigh_construct=lambda one: constructed.append(one.key))
    targets = keys(many(0, 2 * MANY))
    sim.engine.ask(begin(sim), targets, sim.now)
    assert constructed == targets


def test_an_entry_that_was_there_is_held_and_stays() -> None:
    sim, targets = scene(AF_INET)
    entry = sim.hold("198.18.1.3")
    sim.release(entry)
    swept = begin(sim)
    sim.engine.ask(swept, targets, sim.now)
    assert entry.refcnt == 2
    assert not sim.engine.end_sweep(swept, sim.now, keep=False)
    assert entry.exists and entry.refcnt == 1
    assert sim.engine.caches[AF_INET].entries == 1


def test_a_flush_meanwhile_leaves_dead_entries_that_are_made_anew() -> None:
    sim, targets = scene(AF_INET)
    swept = begin(sim)
    sim.engine.ask(swept, targets, sim.now)
    index = sim.device("va").index
    sim.engine.carrier(index, False, sim.now)
    cache = sim.engine.caches[AF_INET]
    assert cache.swept == 0
    sim.engine.ask(swept, targets, sim.now)
    assert (cache.swept, len(swept)) == (40, 40)
    assert not sim.engine.end_sweep(swept, sim.now, keep=False)
    assert (cache.entries, cache.swept) == (0, 0)


# -- while nobody listens, the everyday is done at once


def leave_alone(sim: Simulation, targets: list[bytes]) -> None:
    """All is as the sweep left it."""


def hold_one(sim: Simulation, targets: list[bytes]) -> None:
    sim.hold("198.18.1.40")


def delete_one(sim: Simulation, targets: list[bytes]) -> None:
    sim.delete("198.18.1.20")


def hold_and_delete_one(sim: Simulation, targets: list[bytes]) -> None:
    sim.hold("198.18.1.40")
    sim.delete("198.18.1.40")


def use_one(sim: Simulation, targets: list[bytes]) -> None:
    sim.resolve("198.18.1.40")


def queue_one(sim: Simulation, targets: list[bytes]) -> None:
    """A packet waits, and an administrator sets the entry back."""
    for ip, key in (("198.18.1.35", targets[34]), ("198.18.1.40", targets[39])):
        sim.send(ip)
        administer(sim, key, None, NUD_NONE)


def verify_one(sim: Simulation, targets: list[bytes]) -> None:
    cache = sim.engine.caches[AF_INET]
    for key in (targets[19], targets[34], targets[39]):
        cache.watch(cache.find(cache.by_device[sim.device("va").index], key))


def flag_one(sim: Simulation, targets: list[bytes]) -> None:
    administer(sim, targets[19], PEER, NUD_REACHABLE, NTF_MANAGED)


def make_another(sim: Simulation, targets: list[bytes]) -> None:
    """Its row is above theirs."""
    sim.hold("198.18.9.9")


def administer(sim: Simulation, key: bytes, lladdr: str | None, state: int, flags: int = 0) -> None:
    sim.engine.new_neighbour(
        sim.device("va").index,
        key,
        sim.now,
        lladdr=None if lladdr is None else bytes.fromhex(lladdr.replace(":", "")),
        state=state,
        flags=flags,
        nlm_flags=NLM_F_REPLACE,
    )


def move_one(sim: Simulation, targets: list[bytes]) -> None:
    """A row between others is not where it was: it was deleted, and its key is asked for anew."""
    sim.delete("198.18.1.20")
    (swept,) = sim.engine.caches[AF_INET].by_device[sim.device("va").index].targets
    sim.engine.ask(swept, targets, sim.now)


DISTURBANCES = [
    leave_alone,
    hold_one,
    delete_one,
    hold_and_delete_one,
    use_one,
    queue_one,
    verify_one,
    flag_one,
    make_another,
    move_one,
]


@pytest.mark.parametrize("disturb", DISTURBANCES, ids=lambda one: one.__name__)
def test_what_nobody_is_told_of_is_done_as_what_somebody_is(
    disturb: Callable[[Simulation, list[bytes]], None],
) -> None:
    pictures = []
    for quiet in (False, True):
        sim, targets = scene(AF_INET)
        sim.device("va").hh_cache = False
        sim.engine.services.telling = not quiet
        swept = begin(sim)
        sim.engine.ask(swept, targets, sim.now)
        answer(sim, range(1, 30))
        sim.run(0.5)
        disturb(sim, targets)
        answer(sim, range(30, 40))
        cache = sim.engine.caches[AF_INET]
        store = cache.store
        table = cache.by_device[sim.device("va").index]
        picture: list[object] = []
        for key in targets:
            row = cache.find(table, key)
            hidden = store.deadline[row], store.output[row], store.untold[row]
            picture.append(row and (record(Neighbour(cache, row)), hidden))
        picture.append(swept.answers)
        while sim.engine.end_sweep(swept, sim.now, keep=False, budget=16):
            pass
        picture.append([order(sim, AF_INET), table.count, table.rows, table.targets])
        picture.append([sorted(shard) for shard in table.shards if shard])
        picture.append([cache.entries, cache.gc_entries, cache.swept, list(cache.managed_list)])
        picture.append([cache.statistics.destroys, cache.statistics.destroy_refused])
        picture.append([sorted(cache.queues), dict(sim.device("va").drops)])
        told = (NewNeighbour, DelNeighbour)
        picture.append([type(one) for one in sim.engine.take_outputs() if not isinstance(one, told)])
        picture.append([store.top, list(store.generation[: store.top]), list(store.dead[: store.top])])
        picture.append([store.take() for _ in targets])
        pictures.append(picture)
    assert pictures[0] == pictures[1]


def answer(sim: Simulation, numbers: range) -> None:
    """Some answer, at instants whose timers fall into different buckets."""
    device = sim.device("va")
    for number in numbers:
        frame = arp_frame(2, f"198.18.1.{number}", "198.18.0.1", dst=device.lladdr)
        sim.engine.receive(device.index, frame, sim.now + number / 1000)


def test_a_flush_under_way_goes_on_where_rows_were_given_back() -> None:
    sim = Simulation(record=False)
    sim.add_device("va", addresses=["198.18.0.1/15"])
    cache = sim.engine.caches[AF_INET]
    cache.gc_thresh1 = cache.gc_thresh2 = cache.gc_thresh3 = 1000
    for ip in many(1000, 300):
        sim.resolve(ip)
    sim.engine.services.telling = False
    swept = begin(sim)
    sim.engine.ask(swept, keys(many(0, 40)), sim.now)
    sim.engine.link_down(sim.device("va").index, sim.now)
    table = cache.by_device[sim.device("va").index]
    assert cache.flushing and table.cursor == table.members.first()
    while sim.engine.end_sweep(swept, sim.now, keep=False):
        pass
    assert table.cursor == table.members.first() and not cache.store.dead[table.cursor]
    sim.run(1)
    assert (table.count, cache.entries, cache.swept) == (0, 0, 0)
