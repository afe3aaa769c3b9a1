"""The handle of an entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..address import LinkAddress, format_ip
from .constants import NUD_VALID, nud_state_name

if TYPE_CHECKING:
    from .cache import NeighbourCache

__all__ = ["Neighbour"]


class Neighbour:
    """An entry, named by its row and that row's generation; attributes are struct neighbour's.

    Handles are made on demand and compare by ``==``. One that outlived its entry says so by
    :attr:`exists`; reading anything else of it raises :exc:`LookupError`.
    """

    __slots__ = ("cache", "generation", "row")

    def __init__(self, cache: NeighbourCache, row: int) -> None:
        self.cache: NeighbourCache = cache
        self.row: int = row
        self.generation: int = cache.store.generation[row]

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Neighbour)
            and self.cache is other.cache
            and self.row == other.row
            and self.generation == other.generation
        )

    def __hash__(self) -> int:
        return hash((id(self.cache), self.row, self.generation))

    def __repr__(self) -> str:
        if not self.exists:
            return "<Neighbour, destroyed>"
        lladdr = f" lladdr {self.lladdr}" if self.lladdr is not None else ""
        state = nud_state_name(self.nud_state) or "NONE"
        dead = " dead" if self.dead else ""
        return f"<Neighbour {self.ip} dev {self.dev}{lladdr} {state}{dead}>"

    @property
    def exists(self) -> bool:
        """Whether the entry still has memory; a dead one has until its last reference goes."""
        return self.cache.store.generation[self.row] == self.generation

    def _row(self) -> int:
        if not self.exists:
            raise LookupError("the neighbour was destroyed")
        return self.row

    @property
    def key(self) -> bytes:
        """The packed IP address (primary_key)."""
        return self.cache.store.key_of(self._row())

    @property
    def ip(self) -> str:
        """The IP address, as text."""
        return format_ip(self.key)

    @property
    def family(self) -> int:
        """AF_INET or AF_INET6."""
        return self.cache.family

    @property
    def dev(self) -> str:
        """The device's name."""
        return self.cache.table_of(self._row()).device.name

    @property
    def lladdr(self) -> LinkAddress | None:
        """The link-layer address (ha), None while the state has none."""
        row = self._row()
        return self.cache.lladdr(row) if self.cache.store.nud_state[row] & NUD_VALID else None

    @property
    def nud_state(self) -> int:
        """NUD_* bits."""
        return self.cache.store.nud_state[self._row()]

    @property
    def flags(self) -> int:
        """NTF_* bits; the extended ones from bit 8."""
        return self.cache.store.flags[self._row()]

    @property
    def type(self) -> int:
        """What the key is, RTN_*."""
        return self.cache.store.type[self._row()]

    @property
    def protocol(self) -> int:
        """Who made the entry, RTPROT_*; 0 when nobody said."""
        return self.cache.store.protocol[self._row()]

    @property
    def probes(self) -> int:
        """The probe counter."""
        return self.cache.store.probes[self._row()]

    @property
    def refcnt(self) -> int:
        """References: the table's, a running timer's, and each holder's."""
        return self.cache.store.refcnt[self._row()]

    @property
    def dead(self) -> bool:
        """Whether the entry has left the table."""
        return bool(self.cache.store.dead[self._row()])

    @property
    def confirmed(self) -> float:
        """When reachability was last proved, seconds."""
        return self.cache.store.confirmed[self._row()]

    @property
    def used(self) -> float:
        """When the slow output path last touched the entry, seconds."""
        return self.cache.store.used[self._row()]

    @property
    def updated(self) -> float:
        """When the state or the address last changed, seconds."""
        return self.cache.store.updated[self._row()]
