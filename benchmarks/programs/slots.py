"""The usual way, to compare with: one slotted object an entry, in one dict.

slots.py N: resident octets an entry, and what they add to gc.collect().
"""

from __future__ import annotations

import gc
import json
import sys

from benchmarks.programs.big import collections, key_of, resident

FIELDS = (
    *("key", "lladdr", "nud_state", "flags", "type", "probes", "refcnt", "ifindex", "confirmed", "used"),
    *("updated", "deadline", "before", "after"),
)


class Entry:
    __slots__ = FIELDS

    def __init__(self, number: int) -> None:
        self.key, self.lladdr = key_of(number), b"\2\0\0\0\0\x0b"
        self.nud_state, self.flags, self.type, self.probes, self.refcnt, self.ifindex = 2, 0, 1, 0, 1, 7
        self.confirmed = self.used = self.updated = float(number)
        self.deadline = number + 30.0
        self.before = self.after = None


def main(n: int) -> None:
    bare = min(collections())
    before = resident()
    entries: dict[bytes, Entry] = {}
    gc.disable()
    for number in range(n):
        entry = Entry(number)
        entries[entry.key] = entry
    gc.enable()
    octets = resident() - before
    print(json.dumps({"memory": octets / n, "collector": (min(collections()) - bare) / 1e9}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
