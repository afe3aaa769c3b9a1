"""Become a program in the network namespace of another process. Run as a script, alone:

    python -I -S _join.py PID PROGRAM [ARGUMENT...]

Nothing of neighio is imported: only a process with one thread can enter a user namespace.
"""

from __future__ import annotations

import ctypes
import os
import sys


def _enter(libc: ctypes.CDLL, path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    if libc.setns(descriptor, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), path)
    os.close(descriptor)


def _main() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    theirs = f"/proc/{int(sys.argv[1])}/ns"
    # Whoever is in their user namespace already cannot enter it, and need not.
    if os.stat(f"{theirs}/user").st_ino != os.stat("/proc/self/ns/user").st_ino:
        _enter(libc, f"{theirs}/user")
    _enter(libc, f"{theirs}/net")
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    _main()
