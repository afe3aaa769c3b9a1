"""The two hooks of link drivers: neigh_construct of a device, neigh_setup of its parameters."""

from __future__ import annotations

import pytest

from neighio.core.constants import NUD_NONE, NUD_STALE, RTN_UNICAST
from neighio.core.neighbour import Neighbour
from neighio.core.parameters import Parameters
from neighio.errors import NeighioError
from neighio.testing.segment import ScriptedPeer
from neighio.testing.simulation import Simulation

from .helpers import ADD, OWN, PEER, add, cache

HOST = "198.51.100.7"


class Hooks:
    """Both hooks of one device; each notes what it was shown, and raises what it is told to."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.shown: list[Neighbour] = []
        self.fail: dict[str, BaseException] = {}
        self.sim = Simulation(start=500.0)
        self.sim.add_device("va", OWN, neigh_construct=self.construct, neigh_setup=self.setup)

    def construct(self, entry: Neighbour) -> None:
        self.calls.append(f"construct {entry.ip} dev {entry.dev} confirmed {entry.confirmed:g}")
        self.shown.append(entry)
        assert self.sim.engine.in_hook
        if "construct" in self.fail:
            raise self.fail["construct"]

    def setup(self, parameters: Parameters) -> None:
        self.calls.append("setup")
        assert self.sim.engine.in_hook
        assert parameters is self.sim.engine.parameters(self.sim.device("va").index, 2)
        if "setup" in self.fail:
            raise self.fail["setup"]


def test_neigh_construct_comes_before_neigh_setup_and_both_before_confirmed_is_back_dated() -> None:
    hooks = Hooks()
    hooks.sim.hold(HOST)
    assert hooks.calls == ["construct 198.51.100.7 dev va confirmed 0", "setup"]


def test_neigh_construct_is_shown_the_unfinished_entry() -> None:
    hooks = Hooks()
    states: list[tuple[int, int, bool, int, int]] = []

    def look(entry: Neighbour) -> None:
        states.append((entry.nud_state, entry.type, entry.dead, entry.refcnt, entry.flags))

    hooks.sim.device("va").neigh_construct = look
    entry = hooks.sim.hold(HOST)
    assert states == [(NUD_NONE, RTN_UNICAST, True, 1, 0)]
    assert (entry.dead, entry.refcnt) == (False, 2)


def test_the_hooks_run_once_for_each_creation_and_never_for_an_entry_that_is_there() -> None:
    hooks = Hooks()
    hooks.sim.hold(HOST)
    hooks.sim.hold(HOST)
    hooks.sim.resolve(HOST)
    hooks.sim.send(HOST)
    assert len(hooks.calls) == 2
    add(hooks.sim, "198.51.100.8", NUD_STALE)
    assert len(hooks.calls) == 4


def test_the_hooks_of_one_device_do_not_see_another() -> None:
    hooks = Hooks()
    hooks.sim.add_device("vb", "02:00:00:00:00:1a", ("203.0.113.1/24",))
    hooks.sim.hold("203.0.113.7", "vb")
    assert hooks.calls == []


def test_what_neigh_setup_sets_holds_for_the_entry_at_once() -> None:
    hooks = Hooks()
    hooks.sim.device("va").neigh_setup = lambda parameters: parameters.set({"base_reachable_time": 7.0})
    entry = hooks.sim.hold(HOST)
    assert entry.confirmed == 500.0 - 2 * 7.0


@pytest.mark.parametrize("hook", ["construct", "setup"])
def test_an_exception_of_a_hook_refuses_the_creation_and_is_the_cause(hook: str) -> None:
    hooks = Hooks()
    hooks.fail[hook] = RuntimeError("no room in the switch")
    with pytest.raises(NeighioError, match=f"neigh_{hook} refused") as caught:
        hooks.sim.hold(HOST)
    assert caught.value.__cause__ is hooks.fail[hook]
    assert hooks.sim.neighbour(HOST) is None
    assert (cache(hooks.sim).entries, cache(hooks.sim).gc_entries) == (0, 0)
    assert hooks.sim.outputs == []


def test_a_neigh_construct_that_fails_keeps_neigh_setup_from_running() -> None:
    hooks = Hooks()
    hooks.fail["construct"] = ValueError()
    with pytest.raises(NeighioError):
        hooks.sim.hold(HOST)
    assert len(hooks.calls) == 1


@pytest.mark.parametrize("hook", ["construct", "setup"])
def test_what_is_no_exception_of_the_driver_passes_as_itself_and_undoes_the_creation_too(hook: str) -> None:
    hooks = Hooks()
    hooks.fail[hook] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        hooks.sim.hold(HOST)
    assert (cache(hooks.sim).entries, cache(hooks.sim).gc_entries) == (0, 0)
    assert not hooks.sim.engine.in_hook


@pytest.mark.parametrize("hook", ["construct", "setup"])
def test_the_engine_is_open_again_after_a_hook(hook: str) -> None:
    hooks = Hooks()
    hooks.fail[hook] = ValueError()
    with pytest.raises(NeighioError):
        hooks.sim.hold(HOST)
    assert not hooks.sim.engine.in_hook
    hooks.fail.clear()
    assert hooks.sim.hold(HOST).refcnt == 2


def test_the_handle_that_a_refusing_hook_kept_names_no_entry_not_even_the_next() -> None:
    hooks = Hooks()
    hooks.fail["construct"] = ValueError()
    with pytest.raises(NeighioError):
        hooks.sim.hold(HOST)
    hooks.fail.clear()
    entry = hooks.sim.hold(HOST)
    (refused, _) = hooks.shown
    assert refused.row == entry.row
    assert not refused.exists
    assert refused != entry


def test_a_hook_refuses_an_administrator_as_well() -> None:
    hooks = Hooks()
    hooks.fail["construct"] = ValueError("not here")
    with pytest.raises(NeighioError, match="neigh_construct"):
        hooks.sim.admin(HOST, nlm_flags=ADD, lladdr=PEER, state=NUD_STALE)
    assert hooks.sim.neighbour(HOST) is None


def test_a_frame_whose_sender_a_hook_refuses_touches_nothing_and_is_counted() -> None:
    hooks = Hooks()
    hooks.fail["construct"] = ValueError("not here")
    peer = ScriptedPeer(hooks.sim.segment, PEER, "198.51.100.2")
    peer.ask("198.51.100.1")
    hooks.sim.run(0.1)
    assert hooks.sim.neighbour("198.51.100.2") is None
    assert hooks.sim.device("va").drops == {"neigh_createfail": 1}
