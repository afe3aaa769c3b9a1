"""Where entries live: one flat private mapping per field, a row per entry.

CPython's collector walks every slotted object: a million of them hold the event loop for 0.1 to 2.6
seconds at each full collection. Columns of plain scalars are invisible to it and take 0.2 kB an entry.
"""

from __future__ import annotations

import mmap
import sys
from array import array
from collections.abc import Callable, Iterator
from typing import Final

__all__ = ["KEY_WIDTH", "LLADDR_WIDTH", "RowList", "Store"]

KEY_WIDTH: Final = 16
LLADDR_WIDTH: Final = 8
IDLE: Final = float("inf")
NO_LLADDR: Final = bytes(LLADDR_WIDTH)

_COLUMNS: Final = (
    # name, struct code, octets of one item, items of one row
    ("key", "B", 1, KEY_WIDTH),
    ("lladdr", "B", 1, LLADDR_WIDTH),
    ("nud_state", "B", 1, 1),
    ("flags", "H", 2, 1),
    ("type", "B", 1, 1),
    ("protocol", "B", 1, 1),
    ("dead", "B", 1, 1),
    ("output", "B", 1, 1),
    ("hh", "B", 1, 1),
    ("watched", "B", 1, 1),
    ("accounted", "B", 1, 1),
    ("untold", "B", 1, 1),
    ("slot", "H", 2, 1),
    ("probes", "I", 4, 1),
    ("refcnt", "I", 4, 1),
    ("generation", "I", 4, 1),
    ("serial", "Q", 8, 1),
    ("confirmed", "d", 8, 1),
    ("used", "d", 8, 1),
    ("updated", "d", 8, 1),
    ("deadline", "d", 8, 1),
    ("tick", "q", 8, 1),
    ("gc_next", "i", 4, 1),
    ("gc_prev", "i", 4, 1),
    ("dev_next", "i", 4, 1),
    ("dev_prev", "i", 4, 1),
    ("managed_next", "i", 4, 1),
    ("managed_prev", "i", 4, 1),
)

# A shared mapping would be written through by forked children, and dies of SIGBUS when resized.
_PRIVATE: Final = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)


def _mapping(size: int) -> mmap.mmap:
    if _PRIVATE and sys.platform != "win32":
        return mmap.mmap(-1, size, flags=_PRIVATE)
    return mmap.mmap(-1, size)


def _resized(old: mmap.mmap, size: int) -> mmap.mmap:
    try:
        old.resize(size)  # mremap: moves pages, copies nothing
    except (SystemError, OSError, ValueError):
        new = _mapping(size)
        new[: len(old)] = old[:]
        old.close()
        return new
    return old


class Store:
    """Rows of one cache. Row 0 is never an entry: it heads the lists that all rows share.

    Columns are attributes, indexed by row; ``key`` and ``lladdr`` are reached through their methods.
    Growing replaces every column, so none may be kept across a call of :meth:`reserve`.
    """

    key: memoryview[int]
    lladdr: memoryview[int]
    nud_state: memoryview[int]
    flags: memoryview[int]
    type: memoryview[int]
    protocol: memoryview[int]
    dead: memoryview[int]
    output: memoryview[int]
    hh: memoryview[int]
    watched: memoryview[int]
    accounted: memoryview[int]
    untold: memoryview[int]
    slot: memoryview[int]
    probes: memoryview[int]
    refcnt: memoryview[int]
    generation: memoryview[int]
    serial: memoryview[int]
    confirmed: memoryview[float]
    used: memoryview[float]
    updated: memoryview[float]
    deadline: memoryview[float]
    tick: memoryview[int]
    gc_next: memoryview[int]
    gc_prev: memoryview[int]
    dev_next: memoryview[int]
    dev_prev: memoryview[int]
    managed_next: memoryview[int]
    managed_prev: memoryview[int]

    def __init__(self, key_len: int, capacity: int = 256) -> None:
        self.key_len = key_len
        self.capacity: int = 0
        self.top: int = 1
        self._free = 0
        # Rows from here on were never taken: all zeros.
        self._untouched = 1
        self._maps: dict[str, mmap.mmap] = {}
        self._rebind: list[Callable[[], None]] = []
        self._resize(capacity)

    def _resize(self, capacity: int) -> None:
        """Map every column anew. When memory runs out on the way, the old capacity still holds."""
        try:
            for name, code, width, count in _COLUMNS:
                size = capacity * width * count
                old = self._maps.get(name)
                if old is not None:
                    getattr(self, name).release()
                try:
                    self._maps[name] = _mapping(size) if old is None else _resized(old, size)
                finally:
                    view = memoryview(self._maps[name])
                    setattr(self, name, view.cast(code))  # type: ignore[call-overload]  # codes of a table
        finally:
            for rebind in self._rebind:
                rebind()
        self.capacity = capacity

    def on_grow(self, rebind: Callable[[], None]) -> None:
        """Have ``rebind`` called, now and after each growth, to fetch the columns anew."""
        self._rebind.append(rebind)
        rebind()

    def forget(self, rebind: Callable[[], None]) -> None:
        """Undo :meth:`on_grow`."""
        self._rebind.remove(rebind)

    def reserve(self) -> None:
        """Make sure that :meth:`take` finds a row: the one place where columns grow, by doubling.

        Raises:
            OSError: there is no memory; nothing changed.
        """
        if not self._free and self.top >= self.capacity:
            self._resize(self.capacity * 2)

    def take(self) -> int:
        """Return a free row, dead and zeroed but for its generation."""
        row = self._free
        if row:
            self._free = self.gc_next[row]
            self.gc_next[row] = 0
        else:
            row = self.top
            self.top = row + 1
        if row < self._untouched:
            self._clear(row)
        else:
            self._untouched = row + 1
        self.dead[row] = 1
        self.deadline[row] = IDLE
        return row

    def _clear(self, row: int) -> None:
        """Zero what a new entry does not set. Here and not when a row is freed: many are at once."""
        self.nud_state[row] = self.flags[row] = self.type[row] = self.protocol[row] = 0
        self.output[row] = self.hh[row] = self.watched[row] = self.accounted[row] = 0
        self.untold[row] = self.probes[row] = self.refcnt[row] = self.tick[row] = 0
        self.lladdr[row * LLADDR_WIDTH : (row + 1) * LLADDR_WIDTH] = NO_LLADDR

    @property
    def has_free(self) -> bool:
        """Whether rows were given back that lie between others."""
        return bool(self._free)

    def take_run(self, count: int) -> int:
        """Take ``count`` rows in a row, as :meth:`take` takes one; return the first.

        Raises:
            OSError: there is no memory; nothing changed.
        """
        first = self.top
        while first + count > self.capacity:
            self._resize(self.capacity * 2)
        self.top = first + count
        for row in range(first, min(self.top, self._untouched)):
            self._clear(row)
        self._untouched = max(self._untouched, self.top)
        self.deadline[first : self.top] = memoryview(array("d", (IDLE,)) * count)
        return first

    def give_back(self, row: int) -> None:
        """Free a row; handles and waiters that still name it see another generation."""
        self.dead[row] = 1
        self.deadline[row] = IDLE
        self.generation[row] = (self.generation[row] + 1) & 0xFFFFFFFF
        if row == self.top - 1:
            self.top = row
        else:
            self.gc_next[row] = self._free
            self._free = row

    def give_back_run(self, first: int, count: int) -> None:
        """Free ``count`` rows from ``first`` on, as :meth:`give_back` frees each, the last one first."""
        last = first + count
        self.dead[first:last] = memoryview(b"\x01" * count)
        self.deadline[first:last] = memoryview(array("d", (IDLE,)) * count)
        older = self.generation[first:last]
        self.generation[first:last] = memoryview(array("I", [(one + 1) & 0xFFFFFFFF for one in older]))
        if last == self.top:
            self.top = first
        else:
            self.gc_next[first:last] = memoryview(array("i", range(first + 1, last + 1)))
            self.gc_next[last - 1] = self._free
            self._free = first

    def key_of(self, row: int) -> bytes:
        """The packed IP address of a row."""
        start = row * KEY_WIDTH
        return self.key[start : start + self.key_len].tobytes()

    def set_key(self, row: int, key: bytes) -> None:
        start = row * KEY_WIDTH
        self.key[start : start + len(key)] = key

    def lladdr_of(self, row: int, length: int) -> bytes:
        """The first ``length`` octets of a row's link-layer address, valid or not."""
        start = row * LLADDR_WIDTH
        return self.lladdr[start : start + length].tobytes()

    def set_lladdr(self, row: int, lladdr: bytes) -> None:
        start = row * LLADDR_WIDTH
        self.lladdr[start : start + len(lladdr)] = lladdr

    def octets(self) -> int:
        """The octets of all columns, mapped (not necessarily touched)."""
        return sum(len(mapping) for mapping in self._maps.values())

    def close(self) -> None:
        """Give the memory back. The store is unusable afterwards."""
        for name, mapping in self._maps.items():
            getattr(self, name).release()
            mapping.close()
        self._maps.clear()


class RowList:
    """A doubly linked list of rows through two columns, circular through its head row."""

    __slots__ = ("_next", "_prev", "_store", "head", "name")

    _next: memoryview[int]
    _prev: memoryview[int]

    def __init__(self, store: Store, name: str, head: int = 0) -> None:
        self._store = store
        self.name: str = name
        self.head: int = head
        store.on_grow(self._bind)
        self._next[head] = self._prev[head] = head

    def _bind(self) -> None:
        self._next = getattr(self._store, f"{self.name}_next")
        self._prev = getattr(self._store, f"{self.name}_prev")

    def close(self) -> None:
        self._store.forget(self._bind)

    def _insert(self, row: int, before: int) -> None:
        after = self._prev[before]
        self._next[after] = row
        self._prev[row] = after
        self._next[row] = before
        self._prev[before] = row

    def append(self, row: int) -> None:
        self._insert(row, self.head)

    def prepend(self, row: int) -> None:
        self._insert(row, self._next[self.head])

    def prepend_run(self, first: int, count: int) -> None:
        """As :meth:`prepend` for each of ``count`` rows from ``first`` on."""
        last = first + count - 1
        following = self._next[self.head]
        self._next[first : last + 1] = memoryview(array("i", range(first - 1, last)))
        self._prev[first : last + 1] = memoryview(array("i", range(first + 1, last + 2)))
        self._next[first] = following
        self._prev[following] = first
        self._prev[last] = self.head
        self._next[self.head] = last

    def remove(self, row: int) -> None:
        following, previous = self._next, self._prev
        after, before = previous[row], following[row]
        following[after] = before
        previous[before] = after

    def remove_run(self, first: int, count: int) -> bool:
        """Remove ``count`` rows from ``first`` on if they stand here as :meth:`prepend_run` put them; returns
        whether they did."""
        last = first + count - 1
        following, previous = self._next, self._prev
        if following[first + 1 : last + 1] != memoryview(array("i", range(first, last))):
            return False
        after, before = previous[last], following[first]
        following[after] = before
        previous[before] = after
        return True

    def rotate(self, row: int) -> None:
        """Make a row the first one: what stood before it goes to the end."""
        self.remove(self.head)
        self._insert(self.head, row)

    def first(self) -> int:
        """The first row, or the head when the list is empty."""
        return self._next[self.head]

    def after(self, row: int) -> int:
        return self._next[row]

    def __iter__(self) -> Iterator[int]:
        """Walk the list; the row just yielded may be removed meanwhile, no other."""
        row = self._next[self.head]
        while row != self.head:
            following = self._next[row]
            yield row
            row = following
