"""Proxy entries as data: added, overwritten, found, removed, and nobody is told (7)."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest

from neighio.core.constants import (
    AF_INET6,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    NTF_EXT_VALIDATED,
    NTF_MANAGED,
    NTF_PROXY,
    NTF_ROUTER,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_STALE,
)
from neighio.core.device import Address, Device
from neighio.core.engine import Engine
from neighio.core.proxy import ProxyEntry, add_proxy, delete_proxy, find_proxy
from neighio.errors import AdminError

from .helpers import OWN

KEY = bytes((203, 0, 113, 7))
OTHER_KEY = bytes((203, 0, 113, 8))
VA, VB = 3, 5
NOW = 51.0


def engine() -> Engine:
    """Two devices; only va has an address."""
    made = Engine(now=50.0)
    for name, index in (("va", VA), ("vb", VB)):
        made.attach(Device(name, index, bytes.fromhex(OWN.replace(":", "")), flags=0x11043), 50.0)
    made.add_address(VA, Address(bytes((198, 51, 100, 1)), 24), 50.0)
    made.take_outputs()  # the groups that the devices joined
    return made


def add(
    made: Engine,
    key: bytes = KEY,
    index: int | None = VA,
    *,
    flags: int = NTF_PROXY,
    state: int = NUD_PERMANENT,
    protocol: int = 0,
    nlm_flags: int = 0,
) -> None:
    made.new_neighbour(index, key, NOW, state=state, flags=flags, protocol=protocol, nlm_flags=nlm_flags)


def found(made: Engine, key: bytes = KEY, index: int = VA) -> ProxyEntry | None:
    return find_proxy(made.caches[2], key, index)


def test_an_added_entry_has_what_the_request_said() -> None:
    made = engine()
    add(made, flags=NTF_PROXY | NTF_ROUTER, state=NUD_PERMANENT, protocol=42)

    assert found(made) == ProxyEntry(KEY, VA, NTF_PROXY | NTF_ROUTER, 42, True)


@pytest.mark.parametrize(
    ("state", "permanent"), [(NUD_NONE, False), (NUD_STALE, False), (NUD_PERMANENT | NUD_STALE, True)]
)
def test_permanent_is_the_permanent_bit_of_the_request(state: int, permanent: bool) -> None:
    made = engine()
    add(made, state=state)
    entry = found(made)

    assert entry is not None
    assert entry.permanent is permanent


@pytest.mark.parametrize(
    "nlm_flags",
    [0, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_CREATE | NLM_F_EXCL],
    ids=["-", "CREATE", "REPLACE", "EXCL"],
)
def test_create_is_not_needed_and_excl_does_not_refuse(nlm_flags: int) -> None:
    made = engine()
    add(made, nlm_flags=nlm_flags)
    add(made, nlm_flags=nlm_flags)

    assert len(made.caches[2].proxies) == 1


def test_a_second_request_overwrites_flags_and_permanent_and_the_protocol_if_it_has_one() -> None:
    made = engine()
    add(made, flags=NTF_PROXY | NTF_ROUTER, protocol=42)
    add(made, state=NUD_NONE)
    assert found(made) == ProxyEntry(KEY, VA, NTF_PROXY, 42, False)

    add(made, protocol=9)
    assert found(made) == ProxyEntry(KEY, VA, NTF_PROXY, 9, True)


def test_an_entry_holds_on_its_own_device_and_for_its_own_key() -> None:
    made = engine()
    add(made)

    assert found(made, KEY, VB) is None
    assert found(made, OTHER_KEY, VA) is None


def test_an_entry_without_a_device_holds_on_every_one() -> None:
    made = engine()
    add(made, index=None)

    assert found(made, KEY, VA) == found(made, KEY, VB) == ProxyEntry(KEY, 0, NTF_PROXY, 0, True)


def test_an_entry_of_the_device_and_one_of_every_device_stand_beside_each_other() -> None:
    made = engine()
    add(made, index=None, protocol=1)
    add(made, protocol=2)

    assert [entry and entry.protocol for entry in (found(made), found(made, KEY, VB))] == [2, 1]


def test_an_ipv6_proxy_needs_a_device() -> None:
    cache = engine().caches[AF_INET6]
    with pytest.raises(AdminError) as caught:
        add_proxy(cache, bytes(15) + b"\7", 0, NTF_PROXY, 0, True)

    assert caught.value.errno == errno.ENOBUFS
    assert cache.proxies == {}
    add_proxy(cache, bytes(15) + b"\7", VA, NTF_PROXY, 0, True)
    assert find_proxy(cache, bytes(15) + b"\7", VA) is not None


@pytest.mark.parametrize("flag", [NTF_MANAGED, NTF_EXT_VALIDATED])
def test_what_only_neighbours_can_be_is_refused(flag: int) -> None:
    made = engine()
    with pytest.raises(AdminError) as caught:
        add(made, flags=NTF_PROXY | flag)

    assert (caught.value.errno, caught.value.strerror) == (errno.EINVAL, "Invalid NTF_* flag combination")
    assert found(made) is None


def test_adding_and_deleting_makes_no_neighbour_and_tells_nobody() -> None:
    made = engine()
    add(made)
    made.delete_neighbour(VA, KEY, NOW, proxy=True)

    assert made.lookup(VA, KEY, NOW) is None
    assert made.take_outputs() == []


# -- removal


@pytest.mark.parametrize(
    ("added", "deleted", "goes"),
    [(VA, VA, True), (None, None, True), (None, VA, False), (VA, None, False), (VA, VB, False)],
)
def test_deletion_is_of_exactly_this_device(added: int | None, deleted: int | None, goes: bool) -> None:
    made = engine()
    add(made, index=added)
    if goes:
        made.delete_neighbour(deleted, KEY, NOW, proxy=True)
        assert made.caches[2].proxies == {}
        return
    with pytest.raises(FileNotFoundError) as caught:
        made.delete_neighbour(deleted, KEY, NOW, proxy=True)
    assert caught.value.strerror == os.strerror(errno.ENOENT)
    assert len(made.caches[2].proxies) == 1


def test_deletion_of_a_proxy_and_of_a_neighbour_are_two_things() -> None:
    made = engine()
    add(made)
    made.new_neighbour(VA, KEY, NOW, lladdr=bytes(6), state=NUD_STALE, nlm_flags=NLM_F_CREATE)
    delete_proxy(made.caches[2], KEY, VA)

    assert made.lookup(VA, KEY, NOW) is not None


def carrier_lost(made: Engine) -> None:
    made.carrier(VA, False, NOW)


def carrier_lost_without_eviction(made: Engine) -> None:
    made.set(None, 2, {"arp_evict_nocarrier": 0}, NOW)
    made.carrier(VA, False, NOW)


# What happens to va:                  permanent, other, of every device, of vb  stay?
REMOVALS: list[tuple[str, Callable[[Engine], object], tuple[bool, bool, bool, bool]]] = [
    ("down", lambda made: made.link_down(VA, NOW), (False, False, True, True)),
    ("carrier lost", carrier_lost, (True, False, True, True)),
    ("carrier lost, arp_evict_nocarrier off", carrier_lost_without_eviction, (True, True, True, True)),
    ("address changed", lambda made: made.set_lladdr(VA, bytes(6), NOW), (True, True, True, True)),
    ("IFF_NOARP", lambda made: made.set_noarp(VA, True, NOW), (True, True, True, True)),
    (
        "last IPv4 address removed",
        lambda made: made.remove_address(VA, bytes((198, 51, 100, 1)), 24, NOW),
        (False, False, True, True),
    ),
    ("detached", lambda made: made.detach(VA, NOW), (False, False, True, True)),
    ("up", lambda made: made.link_up(VA, NOW), (True, True, True, True)),
]


@pytest.mark.parametrize(("event", "stay"), [row[1:] for row in REMOVALS], ids=[row[0] for row in REMOVALS])
def test_what_happens_to_the_device_removes_its_proxies_or_not(
    event: Callable[[Engine], object], stay: tuple[bool, bool, bool, bool]
) -> None:
    made = engine()
    add(made, KEY, VA, state=NUD_PERMANENT)
    add(made, OTHER_KEY, VA, state=NUD_NONE)
    add(made, KEY, None, state=NUD_NONE)
    add(made, KEY, VB, state=NUD_NONE)
    event(made)

    places = [(KEY, VA), (OTHER_KEY, VA), (KEY, 0), (KEY, VB)]
    assert set(made.caches[2].proxies) == {place for place, stays in zip(places, stay, strict=True) if stays}
    assert made.take_outputs() == []


def test_removing_one_address_of_two_leaves_the_proxies() -> None:
    made = engine()
    made.add_address(VA, Address(bytes((198, 18, 0, 1)), 15), NOW)
    add(made)
    made.remove_address(VA, bytes((198, 51, 100, 1)), 24, NOW)

    assert found(made) is not None
