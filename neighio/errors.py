"""Every error that neighio raises on purpose.

Anything else that leaves the library is a bug. Life-cycle errors (a closed table, a busy resource,
would-block) are trio's own.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from .address import LinkAddress

__all__ = [
    "AdminError",
    "DeviceGone",
    "DuplicateAddress",
    "InternalError",
    "InvalidAddress",
    "MalformedFrame",
    "NeighioError",
    "NotPermitted",
    "PacketDropped",
    "SubscriberOverflow",
    "TableFull",
    "Unreachable",
]


class NeighioError(Exception):
    """The base of every error of this library."""


class InvalidAddress(NeighioError, ValueError):
    """An address, a zone or a device that cannot be meant: nothing was changed."""


def unknown_interface(field: str, name: str, known: Iterable[str]) -> InvalidAddress:
    """Return the error for an interface that is none of those that there are; ``field`` is what named it."""
    return InvalidAddress(
        f"{field}: there is no interface {name!r}; there is {', '.join(sorted(known)) or 'none'}"
    )


class _OwnErrno(NeighioError, OSError):
    """An OSError whose class fixes the errno: only the message is an argument."""

    def __reduce__(self) -> tuple[type[Self], tuple[str | None]]:
        # OSError's own would call the class with the errno too, so neither copy nor pickle would work.
        return type(self), (self.strerror,)


class Unreachable(_OwnErrno):
    """Nobody answered for the address, or an administrator ended the resolution (EHOSTUNREACH)."""

    def __init__(self, message: str = os.strerror(errno.EHOSTUNREACH)) -> None:
        super().__init__(errno.EHOSTUNREACH, message)


class TableFull(_OwnErrno):
    """The table is at gc_thresh3 and forced garbage collection freed nothing (ENOBUFS)."""

    def __init__(self, message: str = "neighbour table overflow") -> None:
        super().__init__(errno.ENOBUFS, message)


class DeviceGone(NeighioError):
    """The device was removed, detached, taken down or flushed while the caller waited on it."""


class PacketDropped(NeighioError):
    """A packet left the resolution queue without being sent: overflow, flush or destruction."""


class AdminError(NeighioError, OSError):
    """An administrative request was refused, with the errno and the text that netlink would give.

    ``AdminError(errno.EEXIST, ...)`` is also a :class:`FileExistsError`, ``AdminError(errno.ENOENT,
    ...)`` also a :class:`FileNotFoundError`.
    """

    def __new__(cls, code: int, text: str | None = None) -> Self:
        # OSError takes its arguments in __new__ when a subclass has one, and ignores those of __init__.
        admin_class = _ADMIN_CLASSES.get(code, cls)
        error: Self = super().__new__(admin_class, code, os.strerror(code) if text is None else text)
        return error


class _AdminExists(AdminError, FileExistsError):
    pass


class _AdminAbsent(AdminError, FileNotFoundError):
    pass


_ADMIN_CLASSES: dict[int, Any] = {
    errno.EEXIST: _AdminExists,
    errno.ENOENT: _AdminAbsent,
}


class DuplicateAddress(NeighioError):
    """Another station uses the address that was to be added.

    Attributes:
        ip: the address, as text.
        device: where it was to be.
        lladdr: at which link-layer address the other one has it.
    """

    def __init__(self, ip: str, device: str, lladdr: LinkAddress) -> None:
        super().__init__(ip, device, lladdr)
        self.ip = ip
        self.device = device
        self.lladdr = lladdr

    def __str__(self) -> str:
        return f"{self.ip} dev {self.device} is in use by {self.lladdr}"


class MalformedFrame(NeighioError):
    """Octets that are no valid message. ``reason`` is the name of the drop counter."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotPermitted(_OwnErrno, PermissionError):
    """The process lacks a capability (EPERM). The message says which, and how to get it."""

    def __init__(self, message: str) -> None:
        super().__init__(errno.EPERM, message)


class SubscriberOverflow(NeighioError):
    """A subscription fell behind its bounded queue and was ended; subscribe again to catch up."""


class InternalError(NeighioError):
    """A bug in neighio."""
