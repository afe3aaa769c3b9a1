"""Which received frames reach the table, and which touch nothing and are counted (8.1, 8.2)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scapy.utils import RawPcapReader

from neighio.core import ndisc
from neighio.core.arp import DROP_REASONS
from neighio.core.constants import (
    NLM_F_CREATE,
    NUD_FAILED,
    NUD_NOARP,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
    RT_SCOPE_HOST,
    RT_SCOPE_LINK,
)
from neighio.core.device import Address
from neighio.core.events import Transmit
from neighio.core.node import Route
from neighio.testing.simulation import Simulation
from neighio.wire import arp

from .helpers import OWN, PEER, add, alive, arp_frame, hear, lines, node, packet, record, table
from .helpers import frames as sent

US = "198.51.100.1"
ALSO_US = "198.18.0.1"
HOST = "198.51.100.7"
OTHER_HOST = "198.51.100.99"
ELSEWHERE = "02:00:00:00:00:0c"
CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "captures"

REQUEST, REPLY = 1, 2
OWN_ADDRESS = bytes.fromhex("02000000000a")

ANSWER = arp_frame(REPLY, HOST, US, lladdr=ELSEWHERE, tha=OWN, dst=OWN)
"""Makes the entry of HOST reachable at another address."""
QUESTION = arp_frame(REQUEST, HOST, US, lladdr=ELSEWHERE)
"""Makes HOST known, whatever was known before."""


def scene() -> Simulation:
    """HOST is STALE at PEER, long enough for any evidence to replace that."""
    sim = node(base_reachable_time=4000.0)
    add(sim, HOST, NUD_STALE)
    sim.run(20.0)
    lines(sim)
    return sim


def drops(sim: Simulation) -> dict[str, int]:
    return sim.device("va").drops


def overwrite(offset: int, octets: str) -> Callable[[Simulation, bytes], bytes]:
    new = bytes.fromhex(octets)
    return lambda sim, frame: frame[:offset] + new + frame[offset + len(new) :]


def on_a_noarp_device(sim: Simulation, frame: bytes) -> bytes:
    # Before the frame, not with set_noarp(): that would flush the entry.
    sim.device("va").flags |= 0x80
    return frame


def with_gratuitous_arp_dropped(dev: str | None) -> Callable[[Simulation, bytes], bytes]:
    def breaks(sim: Simulation, frame: bytes) -> bytes:
        sim.set(dev, drop_gratuitous_arp=1)
        return frame[:38] + frame[28:32]

    return breaks


# Each breaks one rule and keeps every other.
BREAKS: list[tuple[str, str, Callable[[Simulation, bytes], bytes]]] = [
    ("arp_noarp_device", "IFF_NOARP", on_a_noarp_device),
    ("other_host", "another station's address", overwrite(0, "020000000063")),
    ("other_host", "one bit beside ours", overwrite(0, "02000000000e")),
    ("ethernet_truncated", "13 octets", lambda sim, frame: frame[:13]),
    ("ethernet_truncated", "no octets", lambda sim, frame: b""),
    ("vlan_tagged", "802.1Q", lambda sim, frame: frame[:12] + bytes.fromhex("81000064") + frame[12:]),
    ("vlan_tagged", "802.1Q, priority only", lambda sim, frame: frame[:12] + b"\x81\0\0\0" + frame[12:]),
    ("vlan_tagged", "802.1ad", lambda sim, frame: frame[:12] + bytes.fromhex("88a80064") + frame[12:]),
    ("ethertype", "RARP", overwrite(12, "8035")),
    ("arp_truncated", "41 octets", lambda sim, frame: frame[:41]),
    ("arp_truncated", "a header alone", lambda sim, frame: frame[:14]),
    ("arp_hln", "8", overwrite(18, "08")),
    ("arp_hln", "0", overwrite(18, "00")),
    ("arp_pln", "16", overwrite(19, "10")),
    ("arp_hrd", "7", overwrite(14, "0007")),
    ("arp_pro", "IPv6", overwrite(16, "86dd")),
    ("arp_op", "RARP request", overwrite(20, "0003")),
    ("arp_op", "InARP request", overwrite(20, "0008")),
    ("arp_op", "0", overwrite(20, "0000")),
    ("arp_target_multicast", "224.0.0.1", overwrite(38, "e0000001")),
    ("arp_target_multicast", "239.255.255.255", overwrite(38, "efffffff")),
    ("arp_target_loopback", "127.0.0.1", overwrite(38, "7f000001")),
    ("arp_target_loopback", "127.255.255.255", overwrite(38, "7fffffff")),
    ("drop_gratuitous_arp", "on the device", with_gratuitous_arp_dropped("va")),
    ("drop_gratuitous_arp", "everywhere", with_gratuitous_arp_dropped(None)),
]


def test_every_reason_has_a_frame_that_breaks_only_its_rule() -> None:
    # Another ethertype never comes as far as the ARP parser: the engine has no receiver for it.
    assert {reason for reason, _, _ in BREAKS} == {*DROP_REASONS, "ethertype"} - {arp.DROP_NOT_ARP}


@pytest.mark.parametrize(
    ("frame", "becomes"), [(ANSWER, "REACHABLE"), (QUESTION, "STALE")], ids=["answer", "question"]
)
def test_the_unbroken_frame_changes_the_entry_and_counts_nothing(frame: bytes, becomes: str) -> None:
    sim = scene()
    hear(sim, frame)

    assert lines(sim) == [f"{HOST} lladdr {ELSEWHERE} {becomes}"]
    assert drops(sim) == {}


@pytest.mark.parametrize("frame", [ANSWER, QUESTION], ids=["answer", "question"])
@pytest.mark.parametrize(
    ("reason", "breaks"), [(r, b) for r, _, b in BREAKS], ids=[f"{r} - {how}" for r, how, _ in BREAKS]
)
def test_a_frame_that_breaks_one_rule_changes_nothing_and_is_counted_under_its_reason(
    reason: str, breaks: Callable[[Simulation, bytes], bytes], frame: bytes
) -> None:
    sim = scene()
    if reason == "other_host" and frame is QUESTION:
        frame = OWN_ADDRESS + frame[6:]
    broken = breaks(sim, frame)
    before = table(sim)

    hear(sim, broken)
    assert drops(sim) == {reason: 1}
    hear(sim, broken)

    assert drops(sim) == {reason: 2}
    assert table(sim) == before
    assert sim.outputs == []


@pytest.mark.parametrize(
    ("name", "sim_set", "frame"),
    [
        ("padding", {}, ANSWER + bytes(18)),
        ("IEEE 802 hardware type", {}, ANSWER[:14] + b"\0\6" + ANSWER[16:]),
        ("loopback target, route_localnet", {"route_localnet": 1}, ANSWER[:38] + bytes((127, 0, 0, 5))),
        ("gratuitous", {}, ANSWER[:38] + ANSWER[28:32]),
        ("not gratuitous", {"drop_gratuitous_arp": 1}, ANSWER),
        ("target 0.0.0.0", {}, ANSWER[:38] + bytes(4)),
        ("target 255.255.255.255", {}, ANSWER[:38] + b"\xff" * 4),
        ("target 240.0.0.1", {}, ANSWER[:38] + bytes((240, 0, 0, 1))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_odd_but_no_offence_is_taken(name: str, sim_set: dict[str, float], frame: bytes) -> None:
    sim = scene()
    sim.set("va", **sim_set)
    hear(sim, frame)

    assert lines(sim) == [f"{HOST} lladdr {ELSEWHERE} REACHABLE"]
    assert drops(sim) == {}


def test_drops_are_counted_at_the_device_that_heard_the_frame() -> None:
    sim = scene()
    sim.add_device("vb", "02:00:00:00:01:0a", ["203.0.113.1/24"])
    hear(sim, ANSWER, "vb")

    assert sim.device("vb").drops == {"other_host": 1}
    assert drops(sim) == {}


def test_an_address_that_the_device_had_before_is_another_stations() -> None:
    sim = scene()
    sim.engine.set_lladdr(sim.device("va").index, bytes.fromhex("020000000055"), sim.now)
    hear(sim, ANSWER)

    assert drops(sim) == {"other_host": 1}


# -- row 8: a sender without an address


@pytest.mark.parametrize("op", [REQUEST, REPLY])
@pytest.mark.parametrize("target", [US, HOST, "0.0.0.0"])
def test_a_message_from_0_0_0_0_changes_nothing_and_is_no_offence(op: int, target: str) -> None:
    sim = scene()
    sim.set("va", arp_accept=1)
    index = sim.device("va").index
    sim.engine.new_neighbour(
        index, bytes(4), sim.now, lladdr=OWN_ADDRESS, state=NUD_STALE, nlm_flags=NLM_F_CREATE
    )
    sim.run(20.0)
    lines(sim)
    before = table(sim)
    assert ("va", "0.0.0.0") in before

    hear(sim, arp_frame(op, "0.0.0.0", target, lladdr=ELSEWHERE, dst=OWN))

    assert table(sim) == before
    assert sim.outputs == []
    assert drops(sim) == {}


# -- row 9: requests for us


@pytest.mark.parametrize(
    "sender", ["224.0.0.5", "127.0.0.9", "255.255.255.255", ALSO_US, US], ids=lambda sender: f"from {sender}"
)
def test_a_request_for_us_from_a_martian_creates_nothing(sender: str) -> None:
    sim = scene()
    sim.set("va", arp_accept=1)
    hear(sim, arp_frame(REQUEST, sender, US))

    assert alive(sim) == {HOST}
    assert sim.outputs == []


@pytest.mark.parametrize("sender", ["240.1.2.3", "0.1.2.3", "203.0.113.9", "198.51.100.0"])
def test_a_request_for_us_from_any_other_address_creates_it(sender: str) -> None:
    sim = scene()
    hear(sim, arp_frame(REQUEST, sender, US))

    assert lines(sim) == [f"{sender} lladdr {PEER} STALE"]


def test_with_route_localnet_a_loopback_sender_is_no_martian_unless_the_address_is_ours() -> None:
    sim = scene()
    sim.set("va", route_localnet=1)
    sim.engine.add_address(sim.device("va").index, Address(bytes((127, 7, 0, 1)), 16), sim.now)

    hear(sim, arp_frame(REQUEST, "127.7.0.1", US))
    assert sim.outputs == []
    hear(sim, arp_frame(REQUEST, "127.0.0.77", US))

    assert lines(sim) == [f"127.0.0.77 lladdr {PEER} STALE"]


def test_a_request_for_us_from_a_martian_is_judged_as_one_for_somebody_else() -> None:
    """Somebody claims an address of ours, for which an administrator has made an entry."""
    sim = node(locktime=2.0)
    entry = add(sim, ALSO_US, NUD_STALE)
    lines(sim)
    claim = arp_frame(REQUEST, ALSO_US, US, lladdr=ELSEWHERE)

    sim.run(1.0)
    before = record(entry)
    hear(sim, claim)
    assert record(entry) == before  # locktime holds, as it does not for requests to us
    sim.run(1.5)
    hear(sim, claim)

    assert lines(sim) == [f"{ALSO_US} lladdr {ELSEWHERE} STALE"]


# -- 8.2: what must not be answered does not touch the table

# tip is: ours here; so, but the sender is in no subnet of ours; or in another one than it; another device's;
# ours here with host scope; the same with route_localnet
ARP_IGNORE = {
    0: (True, True, True, True, True, True),
    1: (True, True, True, False, True, True),
    2: (True, False, False, False, True, True),
    3: (True, True, True, True, False, True),
    4: (True, True, True, True, True, True),
    5: (True, True, True, True, True, True),
    6: (True, True, True, True, True, True),
    7: (True, True, True, True, True, True),
    8: (False, False, False, False, False, False),
}
CASES = [
    "here",
    "sender off-subnet",
    "sender in another subnet",
    "another device's",
    "host scope",
    "host scope, route_localnet",
]
IGNORE_CELLS = [
    pytest.param(value, case, touches, id=f"arp_ignore {value} - {case}")
    for value, row in ARP_IGNORE.items()
    for case, touches in zip(CASES, row, strict=True)
]


@pytest.mark.parametrize("known", [False, True], ids=["stranger", "known sender"])
@pytest.mark.parametrize(("value", "case", "touches"), IGNORE_CELLS)
def test_arp_ignore_decides_whether_a_request_for_us_touches_the_table(
    value: int, case: str, touches: bool, known: bool
) -> None:
    sim = node()
    sim.add_device("vb", "02:00:00:00:01:0a", ["203.0.113.1/24"])
    index = sim.device("va").index
    sim.engine.add_address(index, Address(bytes((198, 51, 100, 2)), 24, RT_SCOPE_HOST), sim.now)
    sim.set("va", arp_ignore=value, route_localnet=1 if "localnet" in case else 0)
    senders = {"sender off-subnet": "203.0.113.77", "sender in another subnet": "198.18.0.77"}
    sender = senders.get(case, HOST)
    target = {"another device's": "203.0.113.1"}.get(case, "198.51.100.2" if "host" in case else US)
    if known:
        add(sim, sender, NUD_STALE, lladdr=ELSEWHERE)
        sim.run(20.0)
    lines(sim)
    before = table(sim)

    hear(sim, arp_frame(REQUEST, sender, target))

    if touches:
        assert lines(sim) == [f"{sender} lladdr {PEER} STALE"]
    else:
        assert sim.outputs == []
        assert table(sim) == before
    assert drops(sim) == {}


@pytest.mark.parametrize(("everywhere", "here", "touches"), [(0, 8, False), (8, 0, False), (3, 1, True)])
def test_of_arp_ignore_everywhere_and_here_the_greater_holds(
    everywhere: int, here: int, touches: bool
) -> None:
    sim = scene()
    sim.set(None, arp_ignore=everywhere)
    sim.set("va", arp_ignore=here)
    hear(sim, QUESTION)

    assert bool(lines(sim)) == touches


def test_arp_ignore_3_finds_the_target_on_any_device_with_more_than_host_scope() -> None:
    sim = node(arp_ignore=3)
    sim.add_device("vb", "02:00:00:00:01:0a", [])
    sim.add_address("vb", "203.0.113.1/24", scope=RT_SCOPE_LINK)
    sim.add_address("vb", "203.0.113.2/24", scope=RT_SCOPE_HOST)

    hear(sim, arp_frame(REQUEST, HOST, "203.0.113.2"))
    assert sim.outputs == []
    hear(sim, arp_frame(REQUEST, HOST, "203.0.113.1"))

    assert lines(sim) == [f"{HOST} lladdr {PEER} STALE"]


def filtering() -> Simulation:
    """Two devices; 203.0.113.0/24 is behind vb, nothing else is but what va's subnets hold."""
    sim = node()
    sim.add_device("vb", "02:00:00:00:01:0a", ["203.0.113.1/24"])
    return sim


@pytest.mark.parametrize(("dev", "value"), [("va", 1), (None, 1)], ids=["on the device", "everywhere"])
@pytest.mark.parametrize(
    ("sender", "touches"),
    [(HOST, True), ("203.0.113.77", False), ("192.0.2.9", False)],
    ids=["way back through this device", "through another", "no way back"],
)
def test_arp_filter_lets_a_request_touch_the_table_if_the_way_back_leaves_through_the_device(
    dev: str | None, value: int, sender: str, touches: bool
) -> None:
    sim = filtering()
    sim.set(dev, arp_filter=value)
    hear(sim, arp_frame(REQUEST, sender, US))

    assert lines(sim) == ([f"{sender} lladdr {PEER} STALE"] if touches else [])


def test_without_arp_filter_the_way_back_does_not_matter() -> None:
    sim = filtering()
    hear(sim, arp_frame(REQUEST, "203.0.113.77", US))

    assert lines(sim) == [f"203.0.113.77 lladdr {PEER} STALE"]


def test_arp_filter_takes_the_longest_route_back() -> None:
    sim = filtering()
    sim.set("va", arp_filter=1)
    sim.engine.node.add_route(Route(bytes((203, 0, 113, 64)), 26, sim.device("va")))

    hear(sim, arp_frame(REQUEST, "203.0.113.77", US))

    assert lines(sim) == [f"203.0.113.77 lladdr {PEER} STALE"]


def test_arp_filter_and_arp_ignore_must_both_agree() -> None:
    sim = filtering()
    sim.set("va", arp_filter=1, arp_ignore=2)
    sim.engine.node.add_route(Route(bytes(4), 0, sim.device("va"), metric=5))

    hear(sim, arp_frame(REQUEST, "192.0.2.9", US))
    assert sim.outputs == []
    hear(sim, arp_frame(REQUEST, HOST, US))

    assert lines(sim) == [f"{HOST} lladdr {PEER} STALE"]


def test_neither_concerns_a_request_for_somebody_else() -> None:
    sim = scene()
    sim.set("va", arp_filter=1, arp_ignore=8)
    hear(sim, arp_frame(REQUEST, HOST, OTHER_HOST, lladdr=ELSEWHERE))

    assert lines(sim) == [f"{HOST} lladdr {ELSEWHERE} STALE"]


# -- whatever the octets are


def crowd() -> Simulation:
    """Entries in every state, one of them with a packet waiting."""
    sim = node(base_reachable_time=4000.0, retrans_time=900.0, delay_first_probe_time=700.0)
    sim.set("va", arp_accept=1)
    states = (NUD_REACHABLE, NUD_STALE, NUD_PROBE, NUD_FAILED, NUD_NOARP, NUD_PERMANENT)
    for number, state in enumerate(states):
        add(sim, f"198.51.100.{10 + number}", state)
    sim.send("198.51.100.20", packet("waits"))
    sim.hold("198.51.100.21")
    sim.run(20.0)
    lines(sim)
    return sim


octets = st.binary(max_size=80)
ips = st.sampled_from(
    [US, ALSO_US, HOST, "0.0.0.0", "255.255.255.255", "224.0.0.1", "127.0.0.1"]
) | st.integers(10, 22).map(lambda number: f"198.51.100.{number}")
lladdrs = st.sampled_from([OWN, PEER, ELSEWHERE, "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"])
messages = st.builds(
    lambda op, sender, target, lladdr, tha, dst: arp_frame(
        op, sender, target, lladdr=lladdr, tha=tha, dst=dst
    ),
    st.integers(0, 4),
    ips,
    ips,
    lladdrs,
    lladdrs,
    lladdrs,
)
damaged = st.builds(
    lambda frame, offset, junk, end: (frame[:offset] + junk + frame[offset + len(junk) :])[:end],
    messages,
    st.integers(0, 41),
    st.binary(max_size=3),
    st.integers(30, 60),
)
frames = octets | octets.map(lambda tail: OWN_ADDRESS + bytes(6) + b"\x08\x06" + tail) | messages | damaged


@given(st.lists(frames, min_size=1, max_size=6))
@example([ANSWER, b"", ANSWER[:13], QUESTION])
def test_no_frame_raises_and_a_refused_one_changes_no_entry_and_says_nothing(heard: list[bytes]) -> None:
    sim = crowd()
    for frame in heard:
        before, count = table(sim), sum(drops(sim).values())
        hear(sim, frame)
        if sum(drops(sim).values()) > count:
            assert sum(drops(sim).values()) == count + 1
            assert table(sim) == before
            assert sim.outputs == []
        # A client answers nobody: what leaves is what waited for the answer.
        assert all(output.packet is not None for output in sim.outputs if isinstance(output, Transmit))
        lines(sim)
        sim.run(1.0)
    assert set(drops(sim)) <= {*DROP_REASONS, "ethertype"}


# -- what others captured


def played(name: str, lladdr: str = OWN, address: str = f"{US}/24") -> Simulation:
    """A capture, a frame a second, as this station would have heard it; it accepts strangers."""
    sim = Simulation(start=0.0)
    sim.add_device("va", lladdr, [address])
    sim.set("va", arp_accept=1)
    with RawPcapReader(str(CAPTURES / name)) as reader:
        for frame, _ in reader:
            hear(sim, bytes(frame))
            sim.run(1.0)
    return sim


captured = pytest.mark.skipif(not CAPTURES.is_dir(), reason="captures not beside the project")


@captured
def test_no_capture_raises_or_makes_a_client_speak_and_what_is_dropped_is_counted() -> None:
    names = sorted(path.name for path in CAPTURES.glob("*.pcap*"))
    assert names
    for name in names:
        sim = played(name)
        assert set(drops(sim)) <= {*DROP_REASONS, *ndisc.DROP_REASONS, "ethertype"}, name
        assert sent(sim) == [], name


@captured
def test_of_fuzzed_arp_only_what_is_announced_in_a_sound_message_is_believed() -> None:
    sim = played("arp-oobr.pcap")

    # 381 frames have a field wrong or another's address; the rest are sound, and nearly all ask for others.
    assert drops(sim) == {
        "arp_hln": 68,
        "arp_pln": 36,
        "arp_hrd": 73,
        "arp_pro": 79,
        "arp_op": 71,
        "other_host": 48,
        "arp_target_multicast": 1,
    }
    assert alive(sim) == {"192.168.0.35", "192.168.0.37", "170.170.170.170"}
    assert {line.split()[-1] for line in lines(sim)} == {"STALE"}


@captured
@pytest.mark.parametrize(
    ("name", "lladdr", "address", "told"),
    [
        (
            "dhcp-rfc4388.pcap",
            "74:83:ef:07:d0:a9",
            "10.40.1.1/16",
            ["10.40.2.3 lladdr a6:82:4b:c9:a1:a7 STALE"],
        ),
        (
            "dhcp-rfc4388.pcap",
            "a6:82:4b:c9:a1:a7",
            "10.40.2.3/16",
            ["10.40.1.1 lladdr 74:83:ef:07:d0:a9 REACHABLE"],
        ),
        (
            "isakmp4500.pcap",
            "10:00:00:64:64:23",
            "192.1.2.23/24",
            ["192.1.2.254 lladdr 10:00:00:de:ad:ba STALE", "192.1.2.254 lladdr 10:00:00:de:ad:ba REACHABLE"],
        ),
        ("802.1ad_QinQ.pcap", OWN, f"{US}/24", []),
        ("arcnet-rfc1051-arp-icmp-http.pcap", OWN, f"{US}/24", []),
    ],
)
def test_a_station_of_a_capture_learns_what_its_kernel_learnt(
    name: str, lladdr: str, address: str, told: list[str]
) -> None:
    """Asked, it knows the asker; answered, it knows who answers."""
    assert lines(played(name, lladdr, address))[: len(told) or None] == told
