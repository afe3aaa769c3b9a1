"""What this process may do: capabilities, user namespaces, network namespaces of its own."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ...testing.namespace import available
from ..sysctl import read_number
from .findings import Finding, Level

__all__ = ["find_namespaces", "find_privileges", "may_open_devices"]

CAP_NET_ADMIN: Final = 12
CAP_NET_RAW: Final = 13
_EVERYBODY: Final = 4294967295
"""How many user ids the first user namespace has."""

_SETPRIV: Final = (
    "sudo setpriv --reuid=$USER --init-groups --inh-caps=+net_raw --ambient-caps=+net_raw neighio ..."
)


def may_open_devices() -> bool:
    """Whether packet sockets can be had; tried, not guessed. One of protocol 0 receives nothing."""
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except OSError:
        return False
    return True


def find_privileges() -> Iterator[Finding]:
    """The capabilities that neighio can use."""
    effective, permitted = _capabilities("CapEff"), _capabilities("CapPrm")
    if may_open_devices():
        yield Finding(Level.OK, "privileges", "CAP_NET_RAW", f"held{_by_file()}: devices can be opened")
    elif permitted >> CAP_NET_RAW & 1 and not effective >> CAP_NET_RAW & 1:
        yield Finding(
            Level.PROBLEM,
            "privileges",
            "CAP_NET_RAW",
            "permitted, but not effective",
            "no device can be opened: nobody is asked, heard or told",
            "setcap with +ep, or run it with sudo",
        )
    else:
        yield Finding(
            Level.PROBLEM,
            "privileges",
            "CAP_NET_RAW",
            "missing",
            "no device can be opened: nobody is asked, heard or told. show, monitor, replay and the demo "
            "work without",
            f"sudo neighio ..., or {_SETPRIV}",
        )
    if effective >> CAP_NET_ADMIN & 1:
        yield Finding(Level.OK, "privileges", "CAP_NET_ADMIN", "held: TAP devices, larger buffers")
    else:
        yield Finding(
            Level.NOTE,
            "privileges",
            "CAP_NET_ADMIN",
            "missing",
            "no TAP device can be made (neighio host --tap), and net.core.rmem_max limits the buffers",
            "sudo neighio host --tap tap0 ...",
        )
    if _in_user_namespace():
        yield Finding(
            Level.NOTE,
            "privileges",
            "user namespace",
            "this process is in one that is not the machine's first",
            "its capabilities hold in network namespaces that were made in it, and on no other interface",
        )


def _capabilities(field: str) -> int:
    """A set of this thread's capabilities, a bit each; none where the kernel does not say."""
    try:
        status = Path("/proc/thread-self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value, 16)
    return 0


def _by_file() -> str:
    """Where it says that a capability comes from, if that is the interpreter's file."""
    program = os.path.realpath(sys.executable)
    try:
        os.getxattr(program, "security.capability")
    except OSError:
        return ""
    return f" (by the file {program})"


def _in_user_namespace() -> bool:
    try:
        words = Path("/proc/thread-self/uid_map").read_text(encoding="ascii").split()
    except OSError:
        return False
    return words[:3] != ["0", "0", str(_EVERYBODY)]


def find_namespaces() -> Iterator[Finding]:
    """Whether private network namespaces can be had; tried, in another process."""
    unavailable = available()
    if unavailable is None:
        yield Finding(
            Level.OK, "namespaces", "network namespaces", "can be made: the demo and tests use them"
        )
        return
    yield Finding(
        Level.NOTE,
        "namespaces",
        "network namespaces",
        f"cannot be made: {unavailable.step}: {unavailable.strerror}",
        "the demo plays in memory, and tests against the kernel are skipped",
        _cure() or unavailable.cure,
    )


def _cure() -> str | None:
    """The command that lets users have namespaces, where one knob is in the way."""
    if read_number("user/max_user_namespaces") == 0:
        return "sysctl -w user.max_user_namespaces=10000"
    if read_number("kernel/unprivileged_userns_clone") == 0:
        return "sysctl -w kernel.unprivileged_userns_clone=1"
    if read_number("kernel/apparmor_restrict_unprivileged_userns") == 1:
        return "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    return None
