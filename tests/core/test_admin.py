"""Administration: RTM_NEWNEIGH and RTM_DELNEIGH, every request on every state, and every refusal (4.7, 2.6).

Texts and errors are those that Linux 6.18 gave when asked.
"""

from __future__ import annotations

import errno
import os

import pytest

from neighio.address import LinkAddress
from neighio.core.admin import new_neighbour
from neighio.core.constants import (
    AF_INET,
    IFF_LOWER_UP,
    IFF_POINTOPOINT,
    IFF_UP,
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NTF_EXT_LEARNED,
    NTF_EXT_LOCKED,
    NTF_EXT_VALIDATED,
    NTF_MANAGED,
    NTF_MASTER,
    NTF_OFFLOADED,
    NTF_PROXY,
    NTF_SELF,
    NTF_STICKY,
    NTF_USE,
    NUD_CONNECTED,
    NUD_DELAY,
    NUD_FAILED,
    NUD_IN_TIMER,
    NUD_INCOMPLETE,
    NUD_NAMES,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
    NUD_VALID,
    nud_state_name,
)
from neighio.core.device import Address, Device
from neighio.core.engine import Engine
from neighio.errors import AdminError, InvalidAddress, Unreachable
from neighio.testing.simulation import Simulation

from .helpers import (
    ADD,
    CHANGE,
    OWN,
    PEER,
    REPLACE,
    add,
    alive,
    arp_frame,
    cache,
    failures,
    frames,
    hear,
    lines,
    node,
    packet,
    record,
    table,
)

HOST = "198.51.100.7"
KEY = bytes((198, 51, 100, 7))
ELSEWHERE = "02:00:00:00:00:0c"
APPEND = NLM_F_CREATE | NLM_F_APPEND

BASE_REACHABLE = 4000.0
DELAY = 700.0

STATES = {"none": NUD_NONE, **{name.lower(): bit for bit, name in NUD_NAMES.items()}}
OLD = ["absent", *STATES]


def quiet_node() -> Simulation:
    """A node whose timers leave the scene alone."""
    return node(
        base_reachable_time=BASE_REACHABLE,
        delay_first_probe_time=DELAY,
        retrans_time=900.0,
        ucast_solicit=4,
        locktime=60.0,
    )


def put(sim: Simulation, old: str) -> None:
    """Bring HOST's entry into a state by what brings it there in life, at PEER if it has an address."""
    if old == "incomplete":
        sim.resolve(HOST)
    elif old in ("none", "failed"):
        add(sim, HOST, NUD_STALE)
        sim.admin(HOST, nlm_flags=CHANGE, state=STATES[old])
    elif old == "delay":
        add(sim, HOST, NUD_STALE)
        sim.resolve(HOST)
    elif old != "absent":
        add(sim, HOST, STATES[old])
    sim.run(20.0)
    lines(sim)


INVALID = ("none", "incomplete", "failed")
VALID = ("reachable", "stale", "delay", "probe", "noarp", "permanent")

# What becomes of the entry:
SET = "state set"  # its address is kept or lost with the state; event iff it was VALID, or as RESOLVING says
GIVEN = "state set, address given"  # one event
KEPT = "state set, address kept"  # event iff the state changed
REFUSED = "address refused"  # the request succeeds and changes nothing; a connected state confirms
EINVAL = "EINVAL"  # absent: an entry in NONE is left behind

# request, lladdr                                  absent, not VALID   VALID, REPLACE   VALID without it
REQUESTS = [
    (INVALID, ("not given", "the same", "another"), SET, SET, SET),
    (VALID, ("not given",), EINVAL, KEPT, KEPT),
    (VALID, ("the same",), GIVEN, KEPT, KEPT),
    (VALID, ("another",), GIVEN, GIVEN, REFUSED),
]
LLADDRS = {"not given": None, "the same": PEER, "another": ELSEWHERE}


def cells() -> list[object]:
    found = []
    for requests, lladdrs, on_invalid, on_valid, without_replace in REQUESTS:
        for request in requests:
            for lladdr in lladdrs:
                for old in OLD:
                    present = [("replace", REPLACE), ("change", CHANGE), ("append", APPEND)]
                    for word, nlm_flags in [("add", ADD), *present[::2]] if old == "absent" else present:
                        outcome = on_invalid
                        if old in VALID:
                            outcome = without_replace if word == "append" else on_valid
                        name = f"{word} nud {request}, lladdr {lladdr} - on {old} -> {outcome}"
                        found.append(pytest.param(nlm_flags, request, lladdr, old, outcome, id=name))
    return found


@pytest.mark.parametrize(("nlm_flags", "request_", "lladdr", "old", "outcome"), cells())
def test_a_request_on_a_state_has_the_outcome_of_the_kernels_table(
    nlm_flags: int, request_: str, lladdr: str, old: str, outcome: str
) -> None:
    sim = quiet_node()
    put(sim, old)
    new, given = STATES[request_], LLADDRS[lladdr]
    entry = sim.neighbour(HOST)
    before = None if entry is None else record(entry)
    was = 0 if before is None else STATES[old]
    assert entry is None or entry.nud_state == was
    res_failed = cache(sim).statistics.res_failed

    if outcome == EINVAL:
        with pytest.raises(AdminError, match="No link layer address given") as caught:
            sim.admin(HOST, nlm_flags=nlm_flags, lladdr=given, state=new)
        assert caught.value.errno == errno.EINVAL
    else:
        sim.admin(HOST, nlm_flags=nlm_flags, lladdr=given, state=new)

    entry = sim.neighbour(HOST)
    assert entry is not None
    after = record(entry)
    now = sim.now
    told = lines(sim)
    if before is None:
        before = {**after, "confirmed": now - 2 * BASE_REACHABLE, "used": now, "updated": now, "nud_state": 0}
    name = nud_state_name(new)
    timer = 1 if new & NUD_IN_TIMER else 0
    if outcome == EINVAL:
        assert after == before
        assert told == []
    elif outcome == SET:
        resolving = was in (NUD_INCOMPLETE, NUD_PROBE) and new == NUD_FAILED
        assert told == ([f"{HOST} {name}".rstrip()] if was & NUD_VALID or resolving else [])
        assert cache(sim).statistics.res_failed == res_failed + resolving
        expected = {"nud_state": new, "lladdr": None, "refcnt": 1}
        if resolving:
            expected["updated"] = now
        assert after == {**before, **expected}
    elif outcome == GIVEN:
        assert told == [f"{HOST} lladdr {given} {name}"]
        assert (after["nud_state"], str(after["lladdr"]), after["updated"]) == (new, given, now)
        assert after["refcnt"] == 1 + timer
        assert after["confirmed"] == (now if new & NUD_CONNECTED else now - 2 * BASE_REACHABLE)
    elif outcome == KEPT:
        changed = new != was
        assert told == ([f"{HOST} lladdr {PEER} {name}"] if changed else [])
        expected = {"nud_state": new, "refcnt": 1 + timer}
        if new & NUD_CONNECTED:
            expected["confirmed"] = now
        if changed:
            expected["updated"] = now
            if new == NUD_PROBE:
                expected["probes"] = 0
            if new == NUD_REACHABLE:
                expected["used"] = now
            elif new in (NUD_DELAY, NUD_PROBE):
                expected["used"] = max(float(str(before["used"])), float(str(before["confirmed"])))
        assert after == {**before, **expected}
    else:
        assert told == []
        assert after == ({**before, "confirmed": now} if new & NUD_CONNECTED else before)


@pytest.mark.parametrize("request_", STATES)
def test_change_of_an_absent_entry_is_refused_and_makes_nothing(request_: str) -> None:
    sim = quiet_node()
    with pytest.raises(FileNotFoundError) as caught:
        sim.admin(HOST, nlm_flags=CHANGE, lladdr=PEER, state=STATES[request_])
    assert isinstance(caught.value, AdminError)
    assert caught.value.strerror == os.strerror(errno.ENOENT)
    assert alive(sim) == set()
    assert cache(sim).statistics.allocs == 0


@pytest.mark.parametrize("old", [old for old in OLD if old != "absent"])
@pytest.mark.parametrize("request_", STATES)
def test_add_of_a_present_entry_is_refused_and_changes_nothing(request_: str, old: str) -> None:
    sim = quiet_node()
    put(sim, old)
    before = table(sim)
    with pytest.raises(FileExistsError) as caught:
        sim.admin(HOST, nlm_flags=ADD, lladdr=ELSEWHERE, state=STATES[request_], flags=NTF_USE, protocol=9)
    assert isinstance(caught.value, AdminError)
    assert caught.value.strerror == os.strerror(errno.EEXIST)
    assert table(sim) == before
    assert sim.outputs == []


# -- what follows at the next jiffy


@pytest.mark.parametrize("old", ["absent", "stale"])
def test_delay_is_told_and_at_the_next_jiffy_becomes_probe_with_a_unicast_probe(old: str) -> None:
    sim = quiet_node()
    put(sim, old)
    sim.admin(HOST, nlm_flags=REPLACE, lladdr=PEER, state=NUD_DELAY)
    assert lines(sim) == [f"{HOST} lladdr {PEER} DELAY"]
    assert frames(sim) == []

    sim.run(0.0078125)

    assert [frame[:6].hex() for frame in frames(sim)] == ["02000000000b"]
    assert lines(sim) == [f"{HOST} lladdr {PEER} PROBE"]


def test_delay_becomes_reachable_at_the_next_jiffy_if_it_was_confirmed_within_delay_first_probe_time() -> (
    None
):
    sim = quiet_node()
    put(sim, "reachable")  # 20 s ago
    sim.admin(HOST, nlm_flags=CHANGE, state=NUD_DELAY)
    sim.run(0.0078125)

    assert frames(sim) == []
    assert lines(sim) == [f"{HOST} lladdr {PEER} DELAY", f"{HOST} lladdr {PEER} REACHABLE"]


def test_probe_is_told_once_and_at_the_next_jiffy_sends_its_first_unicast_probe() -> None:
    sim = quiet_node()
    put(sim, "stale")
    sim.admin(HOST, nlm_flags=CHANGE, state=NUD_PROBE)
    assert frames(sim) == []
    sim.run(0.0078125)

    assert [frame[:6].hex() for frame in frames(sim)] == ["02000000000b"]
    assert lines(sim) == [f"{HOST} lladdr {PEER} PROBE"]


def test_probe_begins_to_count_anew() -> None:
    sim = node(ucast_solicit=2, retrans_time=0.25)
    sim.resolve(HOST)
    hear(sim, arp_frame(2, HOST, "198.51.100.1", tha=OWN, dst=OWN))
    entry = sim.neighbour(HOST)
    assert entry is not None
    assert entry.probes == 3
    lines(sim)
    sim.admin(HOST, nlm_flags=CHANGE, state=NUD_PROBE)
    assert entry.probes == 0

    sim.run(2.0)

    assert [frame[:6].hex() for frame in frames(sim)] == ["02000000000b"] * 2


def test_probe_without_any_probe_configured_fails_at_the_next_jiffy_and_sends_nothing() -> None:
    sim = node(ucast_solicit=0, app_solicit=0, mcast_resolicit=0)
    add(sim, HOST, NUD_PROBE)
    sim.run(0.0078125)

    assert frames(sim) == []
    assert lines(sim) == [f"{HOST} lladdr {PEER} PROBE", f"{HOST} FAILED"]


def test_an_administrators_incomplete_has_no_timer_and_packets_wait_until_an_answer() -> None:
    sim = node(retrans_time=0.5)
    sim.admin(HOST, nlm_flags=ADD, state=NUD_INCOMPLETE)
    sim.run(500.0)
    pending = sim.send(HOST, packet("waits"))
    sim.run(500.0)
    assert sim.outputs == []
    assert not pending.done

    hear(sim, arp_frame(2, HOST, "198.51.100.1", tha=OWN, dst=OWN))

    assert [frame[-5:] for frame in frames(sim)] == [b"waits"]
    assert lines(sim) == [f"{HOST} lladdr {PEER} REACHABLE"]


def test_failing_a_resolution_reports_each_waiting_packet_before_the_event() -> None:
    sim = quiet_node()
    sim.send(HOST, packet("first"))
    sim.send(HOST, packet("second"))
    pending = sim.resolve(HOST)
    lines(sim)
    sim.admin(HOST, nlm_flags=CHANGE, state=NUD_FAILED)

    assert [(data[-6:].lstrip(b"\0"), error, told) for _, data, error, told in failures(sim)] == [
        (b"first", "Unreachable", True),
        (b"second", "Unreachable", True),
    ]
    assert [type(output).__name__ for output in sim.outputs] == [
        "Settled", "PacketFailed", "PacketFailed", "NewNeighbour"
    ]  # fmt: skip
    assert isinstance(pending.outcome, Unreachable)


@pytest.mark.parametrize(("request_", "told"), [(NUD_STALE, "DELAY"), (NUD_REACHABLE, "REACHABLE")])
def test_an_address_given_by_an_administrator_lets_the_queue_leave_before_the_event(
    request_: int, told: str
) -> None:
    sim = quiet_node()
    sim.send(HOST, packet("waits"))
    lines(sim)
    sim.admin(HOST, nlm_flags=REPLACE, lladdr=PEER, state=request_)

    assert [type(output).__name__ for output in sim.outputs] == ["Settled", "Transmit", "NewNeighbour"]
    assert lines(sim) == [f"{HOST} lladdr {PEER} {told}"]


def test_a_queue_survives_an_administrators_none_and_leaves_with_the_next_resolution() -> None:
    sim = quiet_node()
    sim.send(HOST, packet("first"))
    sim.admin(HOST, nlm_flags=CHANGE, state=NUD_NONE)
    assert failures(sim) == []

    sim.send(HOST, packet("second"))
    lines(sim)
    hear(sim, arp_frame(2, HOST, "198.51.100.1", tha=OWN, dst=OWN))

    assert [frame[-5:] for frame in frames(sim)] == [b"first", b"econd"]


def test_stale_by_an_administrator_demotes_at_the_same_address_as_evidence_never_does() -> None:
    sim = quiet_node()
    put(sim, "reachable")
    sim.admin(HOST, nlm_flags=APPEND, lladdr=PEER, state=NUD_STALE)

    assert lines(sim) == [f"{HOST} lladdr {PEER} STALE"]


# -- bits, lengths, protocol


def test_a_state_of_two_bits_is_stored_as_given() -> None:
    sim = quiet_node()
    entry = add(sim, HOST, NUD_REACHABLE | NUD_STALE)

    assert entry.nud_state == NUD_REACHABLE | NUD_STALE
    assert lines(sim) == [f"{HOST} lladdr {PEER} REACHABLE STALE"]


def test_of_a_state_only_the_low_8_bits_are_kept() -> None:
    sim = quiet_node()
    entry = add(sim, HOST, 0x100 | NUD_STALE)

    assert entry.nud_state == NUD_STALE


def test_a_longer_link_layer_address_is_truncated() -> None:
    sim = quiet_node()
    entry = add(sim, HOST, NUD_STALE, lladdr=PEER + ":77:77")

    assert str(entry.lladdr) == PEER
    sim.admin(HOST, nlm_flags=CHANGE, lladdr=PEER + ":88", state=NUD_STALE)
    assert lines(sim) == [f"{HOST} lladdr {PEER} STALE"]


def test_the_protocol_is_set_if_it_is_not_zero_and_otherwise_kept() -> None:
    sim = quiet_node()
    sim.admin(HOST, nlm_flags=ADD, lladdr=PEER, state=NUD_STALE, protocol=42)
    entry = sim.neighbour(HOST)
    assert entry is not None
    assert lines(sim) == [f"{HOST} lladdr {PEER} STALE proto 42"]

    sim.admin(HOST, nlm_flags=CHANGE, lladdr=ELSEWHERE, state=NUD_STALE)
    assert entry.protocol == 42
    sim.admin(HOST, nlm_flags=CHANGE, lladdr=ELSEWHERE, state=NUD_STALE, protocol=186)
    assert entry.protocol == 186


# -- refusals, with the kernel's texts

RESERVED = "reserved bit set"
NO_TEXT = os.strerror(errno.EINVAL)

# fmt: off
REFUSALS = [
    # what,                          key,          device, lladdr,      state,          flags, text
    ("unknown extended flag",        KEY,          True,  bytes(6),     NUD_STALE,      0x800, RESERVED),
    ("LOCKED is the bridge's",       KEY,          True,  bytes(6),     NUD_STALE,      NTF_EXT_LOCKED, RESERVED),
    ("LOCKED, proxy",                KEY,          True,  bytes(6),     NUD_STALE,      NTF_EXT_LOCKED | NTF_PROXY,
     RESERVED),
    ("short address",                KEY[:3],      True,  bytes(6),     NUD_STALE,      0, "Invalid network address"),
    ("short lladdr",                 KEY,          True,  bytes(5),     NUD_STALE,      0, "Invalid link address"),
    ("short lladdr and address",     KEY[:1],      True,  bytes(5),     NUD_STALE,      0, "Invalid link address"),
    ("short lladdr, proxy",          KEY,          True,  bytes(5),     NUD_STALE,      NTF_PROXY,
     "Invalid link address"),
    ("no device",                    KEY,          False, bytes(6),     NUD_STALE,      0, "Device not specified"),
    ("proxy and managed",            KEY,          True,  bytes(6),     NUD_STALE,      NTF_PROXY | NTF_MANAGED,
     "Invalid NTF_* flag combination"),
    ("proxy and validated",          KEY,          True,  bytes(6),     NUD_STALE,      NTF_PROXY | NTF_EXT_VALIDATED,
     "Invalid NTF_* flag combination"),
    ("permanent and managed",        KEY,          True,  bytes(6),     NUD_PERMANENT,  NTF_MANAGED,
     "Invalid NTF_* flag for permanent entry"),
    ("permanent, managed, validated", KEY,         True,  bytes(6),     NUD_PERMANENT,  NTF_MANAGED | NTF_EXT_VALIDATED,
     "Invalid NTF_* flag for permanent entry"),
]
# fmt: on


@pytest.mark.parametrize(
    ("key", "device", "lladdr", "state", "flags", "text"),
    [row[1:] for row in REFUSALS],
    ids=[row[0] for row in REFUSALS],
)
def test_a_refused_request_has_the_kernels_text_and_changes_nothing(
    key: bytes, device: bool, lladdr: bytes, state: int, flags: int, text: str
) -> None:
    sim = quiet_node()
    arp = cache(sim)
    place = arp.by_device[sim.device("va").index] if device else None
    with pytest.raises(AdminError) as caught:
        new_neighbour(
            arp, place, key, lladdr=lladdr, state=state, flags=flags, protocol=0, nlm_flags=NLM_F_CREATE
        )

    assert (caught.value.errno, caught.value.strerror) == (errno.EINVAL, text)
    assert alive(sim) == set()
    assert arp.proxies == {}
    assert sim.engine.take_outputs() == []


def test_excl_is_judged_before_create_is_missed() -> None:
    sim = quiet_node()
    with pytest.raises(FileNotFoundError):
        sim.admin(HOST, nlm_flags=NLM_F_EXCL, lladdr=PEER)


@pytest.mark.parametrize("device", [True, False])
def test_a_family_that_the_table_does_not_serve_is_refused_before_anything(device: bool) -> None:
    engine = Engine(families=(AF_INET,))
    engine.attach(Device("va", 3, LinkAddress(OWN), flags=IFF_UP | IFF_LOWER_UP), 0.0)
    index = 3 if device else None
    key = bytes.fromhex("20010db8" + "00" * 11 + "07")
    with pytest.raises(InvalidAddress, match=r"^ip: 2001:db8::7 is of a family"):
        engine.new_neighbour(index, key, 0.0)
    with pytest.raises(InvalidAddress, match=r"^ip: 2001:db8::7 is of a family"):
        engine.delete_neighbour(index, key, 0.0)


def test_an_unknown_device_is_refused_before_anything() -> None:
    sim = quiet_node()
    with pytest.raises(InvalidAddress, match="no attached device has index 4711"):
        sim.engine.new_neighbour(4711, KEY, sim.now, lladdr=bytes(6), nlm_flags=NLM_F_CREATE)


def test_a_full_table_refuses_an_add_with_enobufs() -> None:
    sim = quiet_node()
    arp = cache(sim)
    arp.gc_thresh2 = arp.gc_thresh3 = 1
    add(sim, "198.51.100.8")
    with pytest.raises(OSError, match="neighbour table overflow") as caught:
        sim.admin(HOST, nlm_flags=ADD, lladdr=PEER, state=NUD_STALE)
    assert caught.value.errno == errno.ENOBUFS
    assert alive(sim) == {"198.51.100.8"}


@pytest.mark.parametrize("flag", [NTF_SELF, NTF_MASTER, NTF_OFFLOADED, NTF_STICKY])
def test_a_flag_that_means_nothing_here_is_ignored(flag: int) -> None:
    sim = quiet_node()
    entry = add(sim, HOST, NUD_STALE, flags=flag | NTF_EXT_LEARNED)

    assert entry.flags == NTF_EXT_LEARNED
    assert lines(sim) == [f"{HOST} lladdr {PEER} extern_learn STALE"]


# -- deletion

# old:           events
DELETIONS = {
    "none": [f"Deleted {HOST} FAILED"],
    "incomplete": [f"{HOST} FAILED", f"Deleted {HOST} FAILED"],
    "reachable": [f"{HOST} FAILED", f"Deleted {HOST} FAILED"],
    "stale": [f"{HOST} FAILED", f"Deleted {HOST} FAILED"],
    "delay": [f"{HOST} FAILED", f"Deleted {HOST} FAILED"],
    "probe": [f"{HOST} FAILED", f"Deleted {HOST} FAILED"],
    "failed": [f"Deleted {HOST} FAILED"],
    "noarp": [f"{HOST} FAILED", f"Deleted {HOST} FAILED"],
    "permanent": [f"{HOST} FAILED", f"Deleted {HOST} FAILED"],
}


@pytest.mark.parametrize(("old", "told"), DELETIONS.items())
def test_a_deleted_entry_fails_first_and_says_so_if_it_had_an_address_or_was_resolving(
    old: str, told: list[str]
) -> None:
    sim = quiet_node()
    put(sim, old)
    sim.delete(HOST)

    assert lines(sim) == told
    assert alive(sim) == set()
    sim.run(10_000.0)
    assert sim.outputs == []
    assert cache(sim).statistics.destroys == 1


def test_the_deletion_of_an_entry_in_resolution_reports_what_waits_and_then_tells() -> None:
    sim = quiet_node()
    pending = sim.send(HOST, packet("waits"))
    lines(sim)
    sim.delete(HOST)

    assert failures(sim) == [(HOST, packet("waits"), "Unreachable", True)]
    assert [type(output).__name__ for output in sim.outputs] == [
        "Settled", "PacketFailed", "NewNeighbour", "DelNeighbour"
    ]  # fmt: skip
    assert isinstance(pending.outcome, Unreachable)


@pytest.mark.parametrize("old", DELETIONS)
def test_a_deleted_entry_that_is_held_stays_failed(old: str) -> None:
    sim = quiet_node()
    put(sim, old)
    held = sim.hold(HOST)
    sim.delete(HOST)

    assert (held.nud_state, held.dead, held.refcnt) == (NUD_FAILED, False, 2)
    assert lines(sim) == DELETIONS[old][:-1]
    assert alive(sim) == {HOST}
    sim.release(held)
    assert alive(sim) == {HOST}


def test_the_deletion_of_a_failed_entry_clears_its_flags_in_silence() -> None:
    sim = quiet_node()
    add(sim, HOST, NUD_FAILED, flags=NTF_EXT_LEARNED)
    held = sim.hold(HOST)
    lines(sim)
    sim.delete(HOST)

    assert held.flags == 0
    assert sim.outputs == []


def test_the_last_event_counts_no_reference_beyond_the_tables() -> None:
    sim = quiet_node()
    put(sim, "reachable")
    sim.delete(HOST)

    assert [(type(event).__name__, event.refcnt) for event in sim.outputs] == [  # type: ignore[union-attr]
        ("NewNeighbour", 1),
        ("DelNeighbour", 0),
    ]


def test_the_deletion_of_an_absent_entry_is_refused() -> None:
    sim = quiet_node()
    with pytest.raises(FileNotFoundError) as caught:
        sim.delete(HOST)
    assert caught.value.strerror == os.strerror(errno.ENOENT)


def test_a_deletion_without_a_device_is_refused_without_a_text() -> None:
    sim = quiet_node()
    with pytest.raises(AdminError) as caught:
        sim.engine.delete_neighbour(None, KEY, sim.now)
    assert (caught.value.errno, caught.value.strerror) == (errno.EINVAL, NO_TEXT)


def test_behind_a_point_to_point_device_an_added_key_is_not_found_again() -> None:
    """It became 0.0.0.0, under which alone it can be deleted (2.4)."""
    sim = Simulation(start=1000.0)
    sim.add_device("va", OWN, flags=IFF_UP | IFF_POINTOPOINT)
    sim.admin(HOST, nlm_flags=ADD, lladdr=PEER, state=NUD_STALE)
    sim.admin("198.51.100.8", nlm_flags=ADD, lladdr=ELSEWHERE, state=NUD_STALE)
    assert alive(sim) == {"0.0.0.0"}

    with pytest.raises(FileNotFoundError):
        sim.delete(HOST)
    sim.engine.delete_neighbour(sim.device("va").index, bytes(4), sim.now)

    assert alive(sim) == set()


# -- an address with broadcasts is added (3): what was tried there while it looked like hosts is forgotten

BROADCASTS = ["203.0.113.255", "203.0.113.77"]
ADDED = Address(bytes((203, 0, 113, 1)), 24, broadcast=bytes((203, 0, 113, 77)))
FORGOTTEN = {
    "none": ["Deleted {}"],
    "incomplete": ["{} FAILED", "Deleted {} FAILED"],
    "failed": ["Deleted {} FAILED"],
    **{state: [] for state in VALID},
}


@pytest.mark.parametrize("ip", BROADCASTS, ids=["the subnet's", "the explicit one"])
@pytest.mark.parametrize(("old", "told"), FORGOTTEN.items())
def test_an_entry_at_a_new_broadcast_address_goes_unless_it_is_valid(
    old: str, told: list[str], ip: str
) -> None:
    sim = quiet_node()
    if old == "incomplete":
        sim.send(ip, packet("waits"))
    else:
        add(sim, ip, STATES[old])
    entry = sim.neighbour(ip)
    assert entry is not None
    before = record(entry)
    lines(sim)

    sim.engine.add_address(sim.device("va").index, ADDED, sim.now)
    sim.run(0.0)

    assert failures(sim) == ([(ip, packet("waits"), "Unreachable", True)] if old == "incomplete" else [])
    assert lines(sim) == [line.format(ip) for line in told]
    assert alive(sim) == (set() if told else {ip})
    if not told:
        assert record(entry) == before


def test_entries_elsewhere_are_not_touched_by_a_new_address() -> None:
    sim = quiet_node()
    sim.add_device("vb", "02:00:00:00:01:0a", [])
    for dev, ip in (("va", "203.0.113.254"), ("va", "203.0.113.0"), ("vb", "203.0.113.255")):
        add(sim, ip, NUD_FAILED, dev=dev)
    before = table(sim)
    sim.engine.add_address(sim.device("va").index, ADDED, sim.now)

    assert table(sim) == before


@pytest.mark.parametrize("prefixlen", [31, 32])
def test_a_subnet_of_two_or_one_has_no_broadcast_address(prefixlen: int) -> None:
    sim = quiet_node()
    add(sim, "203.0.113.1", NUD_FAILED)
    sim.engine.add_address(sim.device("va").index, Address(bytes((203, 0, 113, 0)), prefixlen), sim.now)

    assert alive(sim) == {"203.0.113.1"}


def test_a_held_entry_at_a_new_broadcast_address_fails_and_stays() -> None:
    sim = quiet_node()
    sim.resolve("203.0.113.255")
    held = sim.hold("203.0.113.255")
    lines(sim)
    sim.engine.add_address(sim.device("va").index, ADDED, sim.now)
    sim.run(0.0)

    assert held.nud_state == NUD_FAILED
    assert lines(sim) == ["203.0.113.255 FAILED"]
    assert alive(sim) == {"203.0.113.255"}
