"""Administration with netlink's semantics: RTM_NEWNEIGH and RTM_DELNEIGH (neigh_add, neigh_delete)."""

from __future__ import annotations

import errno

from ..errors import AdminError, Unreachable
from .cache import DeviceTable, NeighbourCache
from .constants import (
    NEIGH_UPDATE_F_ADMIN,
    NEIGH_UPDATE_F_EXT_LEARNED,
    NEIGH_UPDATE_F_EXT_VALIDATED,
    NEIGH_UPDATE_F_ISROUTER,
    NEIGH_UPDATE_F_MANAGED,
    NEIGH_UPDATE_F_OVERRIDE,
    NEIGH_UPDATE_F_OVERRIDE_ISROUTER,
    NEIGH_UPDATE_F_USE,
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    NTF_EXT_LEARNED,
    NTF_EXT_VALIDATED,
    NTF_MANAGED,
    NTF_PROXY,
    NTF_ROUTER,
    NTF_USE,
    NUD_FAILED,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_VALID,
)
from .create import create
from .proxy import ANY_DEVICE, add_proxy, delete_proxy

__all__ = ["delete_neighbour", "new_neighbour"]

_KNOWN_EXTENDED = NTF_MANAGED | NTF_EXT_VALIDATED

_UPDATE_FLAGS = (
    (NTF_EXT_LEARNED, NEIGH_UPDATE_F_EXT_LEARNED),
    (NTF_ROUTER, NEIGH_UPDATE_F_ISROUTER),
    (NTF_MANAGED, NEIGH_UPDATE_F_MANAGED),
    (NTF_EXT_VALIDATED, NEIGH_UPDATE_F_EXT_VALIDATED),
    (NTF_USE, NEIGH_UPDATE_F_USE),
)


def new_neighbour(
    cache: NeighbourCache,
    table: DeviceTable | None,
    key: bytes,
    *,
    lladdr: bytes | None,
    state: int,
    flags: int,
    protocol: int,
    nlm_flags: int,
) -> None:
    """Create or change an entry as RTM_NEWNEIGH does (neigh_add).

    ``state`` NUD_* (only the low 8 bits are kept); ``flags`` NTF_* with the extended ones from bit 8;
    ``nlm_flags`` NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE. A creation whose update fails leaves an entry
    in NONE behind, as the kernel does.

    Raises:
        AdminError: with the kernel's errno and text.
        TableFull: the entry cannot be created.
    """
    state &= 0xFF
    if flags & ~0xFF & ~_KNOWN_EXTENDED:
        raise AdminError(errno.EINVAL, "reserved bit set")
    if table is not None and lladdr is not None and len(lladdr) < table.device.addr_len:
        raise AdminError(errno.EINVAL, "Invalid link address")
    if len(key) < cache.store.key_len:
        raise AdminError(errno.EINVAL, "Invalid network address")
    if flags & NTF_PROXY:
        if flags & (NTF_MANAGED | NTF_EXT_VALIDATED):
            raise AdminError(errno.EINVAL, "Invalid NTF_* flag combination")
        device = ANY_DEVICE if table is None else table.device.index
        add_proxy(cache, key, device, flags, protocol, bool(state & NUD_PERMANENT))
        return
    if table is None:
        raise AdminError(errno.EINVAL, "Device not specified")
    refusal = cache.protocol.refuses_to_add(table.device)
    if refusal is not None:
        raise AdminError(errno.EINVAL, refusal)
    update_flags = NEIGH_UPDATE_F_ADMIN | NEIGH_UPDATE_F_OVERRIDE | NEIGH_UPDATE_F_OVERRIDE_ISROUTER
    row = cache.lookup(table, key)
    if row:
        if nlm_flags & NLM_F_EXCL:
            raise AdminError(errno.EEXIST)
        if not nlm_flags & NLM_F_REPLACE:
            update_flags &= ~(NEIGH_UPDATE_F_OVERRIDE | NEIGH_UPDATE_F_OVERRIDE_ISROUTER)
        becomes = cache.store.nud_state[row] & ~NUD_PERMANENT if flags & (NTF_USE | NTF_MANAGED) else state
        if flags & NTF_EXT_VALIDATED and not becomes & NUD_VALID:
            raise AdminError(
                errno.EINVAL, "Cannot mark neighbor as externally validated with an invalid state"
            )
        cache.hold(row)
    else:
        row = _create(cache, table, key, state, flags, nlm_flags)
    try:
        if protocol:
            cache.store.protocol[row] = protocol
        for asked, update_flag in _UPDATE_FLAGS:
            if flags & asked:
                update_flags |= update_flag
        failure = cache.nud.update(row, lladdr, state, update_flags, "admin")
        if failure:
            raise AdminError(failure, "No link layer address given")
        if flags & (NTF_USE | NTF_MANAGED):
            cache.nud.event_send(row, None)
    finally:
        cache.release(row)


def _create(
    cache: NeighbourCache, table: DeviceTable, key: bytes, state: int, flags: int, nlm_flags: int
) -> int:
    if not nlm_flags & NLM_F_CREATE:
        raise AdminError(errno.ENOENT)
    permanent = bool(state & NUD_PERMANENT)
    if permanent and flags & NTF_MANAGED:
        raise AdminError(errno.EINVAL, "Invalid NTF_* flag for permanent entry")
    becomes = NUD_NONE if flags & (NTF_USE | NTF_MANAGED) else state
    if flags & NTF_EXT_VALIDATED and not becomes & NUD_VALID:
        raise AdminError(errno.EINVAL, "Cannot create externally validated neighbor with an invalid state")
    return create(
        cache,
        table,
        key,
        flags=flags & (NTF_EXT_LEARNED | NTF_MANAGED | NTF_EXT_VALIDATED),
        exempt=permanent or bool(flags & (NTF_EXT_LEARNED | NTF_EXT_VALIDATED)),
        want_ref=True,
    )


def delete_neighbour(
    cache: NeighbourCache, table: DeviceTable | None, key: bytes, *, proxy: bool = False
) -> None:
    """Delete an entry as RTM_DELNEIGH does (neigh_delete): it fails, and goes if nobody holds it.

    Raises:
        AdminError: ENOENT; EINVAL without a device.
    """
    if proxy:
        delete_proxy(cache, key, ANY_DEVICE if table is None else table.device.index)
        return
    if table is None:
        raise AdminError(errno.EINVAL)
    row = cache.lookup(table, key)
    if not row:
        raise AdminError(errno.ENOENT)
    cache.hold(row)
    cache.nud.update(row, None, NUD_FAILED, NEIGH_UPDATE_F_ADMIN | NEIGH_UPDATE_F_OVERRIDE, "admin")
    remove_if_unreferenced(cache, row)


def remove_if_unreferenced(cache: NeighbourCache, row: int) -> None:
    """Drop the caller's reference, and take the entry out of the table if it was the last but the
    table's own (neigh_remove_one)."""
    cache.release(row)
    if cache.store.refcnt[row] == 1:
        cache.unlink(row, Unreachable)
