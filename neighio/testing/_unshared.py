"""A process in a private network namespace. Run as a script, alone:

    python -I -S _unshared.py run PROGRAM [ARGUMENT...]     become PROGRAM in there
    python -I -S _unshared.py hold DESCRIPTOR               work in there for another process

Nothing of neighio is imported: only a process with one thread can enter a user namespace, and this way a
namespace costs one bare interpreter's start.

DESCRIPTOR is a SOCK_SEQPACKET socket. First goes out one greeting, then each request is answered in turn;
the end of the stream ends the process, and the namespace with it. Requests and answers are JSON:

    ["socket", family, type, protocol]   a socket of the namespace; its descriptor comes with the answer
    ["read", path]                       the text of /proc/sys/PATH, which shows the reader's namespace
    ["write", path, text]
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000


def _unshare() -> None:
    """Leave the network namespace for a fresh one; and the user namespace too where that is needed.

    Whoever has CAP_SYS_ADMIN keeps its user namespace, so that a second process can be given devices of
    the first. Others become uid 0 of a user namespace of their own.

    Raises:
        OSError: ``filename`` names the step that failed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) == 0:
        return
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), "unshare")
    # setgroups has to be given up before an unprivileged process may map its group.
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        try:
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
        except OSError as error:
            raise OSError(error.errno, error.strerror, name) from None


def _run(command: list[str]) -> None:
    try:
        _unshare()
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}")
    os.execvp(command[0], command)


def _hold(descriptor: int) -> None:
    # Ctrl-C is for the process that we work for. When it ends, so do we.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    try:
        _unshare()
    except OSError as error:
        control.send(json.dumps({"step": error.filename, "errno": error.errno}).encode())
        return
    control.send(json.dumps({}).encode())
    try:
        while request := control.recv(65536):
            _answer(control, json.loads(request))
    except (BrokenPipeError, ConnectionResetError):
        return


def _answer(control: socket.socket, request: list[object]) -> None:
    descriptors: list[int] = []
    answer: dict[str, object] = {}
    try:
        match request:
            case ["socket", int(family), int(kind), int(protocol)]:
                descriptors.append(socket.socket(family, kind, protocol).detach())
            case ["read", str(path)]:
                with open(f"/proc/sys/{path}", encoding="ascii") as file:
                    answer["value"] = file.read().strip()
            case ["write", str(path), str(text)]:
                with open(f"/proc/sys/{path}", "w", encoding="ascii") as file:
                    file.write(text)
    except OSError as error:
        answer["errno"] = error.errno
    socket.send_fds(control, [json.dumps(answer).encode()], descriptors)
    for descriptor in descriptors:
        os.close(descriptor)


if __name__ == "__main__":
    if sys.argv[1] == "hold":
        _hold(int(sys.argv[2]))
    else:
        _run(sys.argv[2:])
