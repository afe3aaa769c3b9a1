"""The rows: what is measured, under which settings, and what is to be reached."""

from __future__ import annotations

from typing import Final

from . import contenders, stage
from .harness import Line, Row, Target, Unit

__all__ = ["GROWTH", "ROWS"]

MILLISECOND: Final = 1e-3
MICROSECOND: Final = 1e-6
LARGE: Final = "gc_thresh1 to 3 are 2n, 3n, 4n."
HELD: Final = Target(2 * MILLISECOND)

GROWTH: Final = {
    "grow_lookup": "look-up",
    "grow_insertion": "insertion",
    "grow_periodic": "periodic GC",
    "grow_timers": "timer",
    "grow_memory": "memory",
    "grow_down": "flush",
    "grow_dump": "dump",
}
"""What is asked how it grows, by its line's key."""


def _lookup(size: str, limit: float) -> Line:
    title = f"lookup(packed), {size} entries, random: CPU"
    return Line(f"lookup_{size}", title, "s", Target(limit), "dict")


def _held(key: str, by: str, floor: str | None = None) -> Line:
    return Line(key, f"loop held, 10^6 entries, by {by}: CPU", "s", HELD, floor)


def _grows(key: str) -> Line:
    # Processor caches, of which look-ups feel most.
    limit = 4.0 if key == "grow_lookup" else 2.0
    unit: Unit = "B" if key == "grow_memory" else "s"
    title = f"{GROWTH[key]}: at 10^6 against 10^3"
    return Line(key, title, unit, Target(limit, kind="ratio"), floor="10^3", ours="10^6")


_ROWS: Final = (
    Row(
        "scan16",
        (
            Line("scan16", "/16, all 65,536 answer: whole process", "s", Target(1.0), "bare loop"),
            Line("scan16_rss", "the same: its memory at most", "B", Target(100e6), "bare loop"),
        ),
        contenders.scan16,
        stage.link,
        note="One try each, as fast as it goes; the interface's prefix is /15.",
    ),
    Row(
        "scan24",
        (Line("scan24", "/24, all 256 answer: whole process", "s", Target(0.2), "bare loop"),),
        contenders.scan24,
        stage.link,
        note="One try each, as fast as it goes.",
    ),
    Row(
        "sparse24",
        (Line("sparse24", "/24, 25 of 256 answer: whole process, to the verdict", "s", Target(0.9)),),
        contenders.sparse24,
        stage.sparse,
        note="Three tries; 0.25 s between two, where that can be chosen.",
    ),
    Row(
        "cold",
        tuple(
            Line(key, title, "s", Target(60 * MICROSECOND), "raw socket on trio")
            for key, title in (
                ("cold4", "await resolve, nobody asked before"),
                ("cold6", "the same, IPv6"),
            )
        ),
        contenders.cold,
        stage.link,
        note="In process, over veth, one after the other; a run's figure is the median of its addresses. "
        "IPv6 makes two entries each time, as Linux does: the address's and that of the group that is asked.",
    ),
    Row(
        "hits",
        (
            Line(
                "nowait",
                "resolve_nowait(text), hit: CPU",
                "s",
                Target(0.8 * MICROSECOND),
                "inet_aton and dict",
            ),
            Line(
                "hit",
                "await resolve(text), hit: CPU",
                "s",
                Target(1.5 * MICROSECOND, kind="difference"),
                "trio checkpoint",
            ),
        ),
        contenders.hits,
        note="256 entries.",
    ),
    Row(
        "lookup",
        (
            _lookup("10^3", 0.4 * MICROSECOND),
            _lookup("10^5", 0.5 * MICROSECOND),
            _lookup("10^6", 1.0 * MICROSECOND),
        ),
        contenders.lookups,
        note=LARGE,
    ),
    Row(
        "receive",
        (
            Line("refresh", "frames that refresh entries: CPU", "/s", Target(250e3, True), "recvfrom_into"),
            Line("nobody", "frames for nobody here: CPU", "/s", Target(400e3, True), "recvfrom_into"),
            Line("malformed", "malformed frames: CPU", "/s", Target(300e3, True), "recvfrom_into"),
            Line("refresh6", "advertisements that refresh, IPv6: CPU", "/s", None, "recvfrom_into"),
        ),
        contenders.receiving,
        namespace=True,
        note=f"1,024 entries. {LARGE} ARP: replies to us; requests of strangers for strangers; replies with "
        "hardware addresses of 7 octets.",
    ),
    Row(
        "answer",
        (
            Line(
                "answer", "requests answered (host role): CPU", "/s", Target(100e3, True), floor="C responder"
            ),
            Line("answer_lost", "lost of 100,000 at 50,000/s", "", Target(0)),
            Line("answer6", "solicitations answered, IPv6: CPU", "/s"),
            Line("answer6_lost", "lost of 100,000 at 50,000/s, IPv6", ""),
        ),
        contenders.answering,
        namespace=True,
        note="A flood of 256 askers, by a sender in C: answers that came back, by the responder's CPU time.",
    ),
    Row(
        "memory",
        (
            Line("memory_10^5", "memory of an entry, 10^5 entries, RSS", "B", Target(300.0)),
            Line("memory_10^6", "memory of an entry, 10^6 entries, RSS", "B", Target(300.0)),
            Line(
                "collector",
                "added to a full gc.collect() by 10^6 entries: CPU",
                "s",
                Target(0.3 * MILLISECOND),
                "trio alone",
            ),
        ),
        contenders.memory,
        note=f"Entries with address and timer. {LARGE}",
    ),
    Row(
        "hold",
        (
            _held("insertion_longest", "an insertion", "one dict"),
            _held("periodic_longest", "a slice of periodic GC, nothing to go"),
            _held("periodic_all_longest", "a slice of periodic GC, all to go"),
            _held("forced_longest", "a creation with forced GC"),
            _held("down_longest", "a slice of a device's flush"),
            _held("gradually_longest", "a slice of table.flush_gradually()"),
            Line("flush_longest", "the whole of table.flush(), which is one call by choice: CPU", "s"),
            _held("dump_longest", "a step of a dump"),
            _held("timers_longest", "a slice of timers"),
            Line("periodic", "periodic GC of 10^6 entries, nothing to go: CPU", "s", Target(0.6)),
            Line("periodic_all", "the same, all to go: CPU", "s", Target(0.6)),
        ),
        contenders.hold,
        note=f"Held: the longest of all steps of a run, without the interpreter's own collections. {LARGE} "
        "Periodic GC: gc_thresh1 is 0, the entries are STALE. Forced GC: gc_thresh2 is n/2.",
    ),
    Row(
        "timers",
        (
            Line(
                "timers",
                "10^6 timers: arm, cancel and fire: CPU",
                "s",
                Target(2 * MICROSECOND),
                floor="heapq",
            ),
            Line("timers_longest", "the same: the longest step", "s", HELD, "heapq"),
            Line("timers_stale", "places in buckets of a timer that was moved ten times", ""),
        ),
        contenders.timers,
        note="Due in 15 to 45 s; one in ten is cancelled. heapq's longest step is its rebuilding.",
    ),
    Row(
        "virtual",
        (Line("virtual", "24 h of 10,000 neighbours in virtual time: CPU", "s", Target(60.0)),),
        contenders.virtual,
        note="Each is sent a packet every 10 minutes; half are confirmed by the upper layer, 1 % is silent. "
        f"{LARGE} Hence nothing is removed periodically.",
    ),
    Row(
        "import",
        tuple(
            Line(key, statement, "s", Target(1.15, kind="ratio"), "import trio")
            for key, statement in (
                ("import", "import neighio"),
                ("import_all", "from neighio import open_table"),
            )
        ),
        contenders.imports,
        note="In fresh interpreters. `import neighio` alone loads a name when it is first asked for.",
    ),
    Row(
        "growth",
        tuple(_grows(key) for key in GROWTH),
        contenders.growth,
        note=f"CPU time of one operation, octets of one entry. {LARGE}",
    ),
)

ROWS: Final = {row.name: row for row in _ROWS}
"""By their names, in the order of the table."""
