"""Tests that run in a private network namespace, each in a fresh process of its own.

::

    @in_namespace
    async def test_the_kernel_answers() -> None:
        with Peer.start() as peer:
            connect(Here(), peer, "va", "vb")
            ...

A fresh process, because an ordinary user can enter a namespace in no other way, and because nothing that a
test leaves behind, or loses, reaches the next one.
"""

from __future__ import annotations

import ast
import functools
import inspect
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, overload

from .namespace import available, enter_command

__all__ = ["NamespaceFailure", "in_namespace", "require_namespaces", "run_in_namespace"]

REQUIRE_KERNEL: Final = "NEIGHIO_REQUIRE_KERNEL"
BODY_ATTRIBUTE: Final = "namespace_body"
_KILL_AFTER: Final = 5.0
"""Seconds that the child has, after its time is up, to say where it hung."""

_Test: TypeAlias = "Callable[..., Awaitable[None] | None]"


class NamespaceFailure(AssertionError):
    """A function failed in its namespace. The text holds its traceback and what it printed."""


@overload
def in_namespace(test: _Test, /) -> Callable[..., None]: ...
@overload
def in_namespace(
    *, since: str | None = None, until: str | None = None, timeout: float = 60.0
) -> Callable[[_Test], Callable[..., None]]: ...
def in_namespace(
    test: _Test | None = None,
    /,
    *,
    since: str | None = None,
    until: str | None = None,
    timeout: float = 60.0,
) -> Callable[..., Any]:
    """Decorate a test, synchronous or for trio, so that it runs in a namespace of its own.

    Its parameters (pytest's parametrize) have to be literals. It is skipped where there are no namespaces,
    naming the step, the error and the cure; with NEIGHIO_REQUIRE_KERNEL=1 in the environment it fails
    there. ``since`` and ``until`` are the kernel releases that it holds for, as "6.17": the first one,
    and the first one no more. ``timeout`` in seconds.
    """
    if test is None:
        return functools.partial(_decorate, since=since, until=until, timeout=timeout)
    return _decorate(test, since=since, until=until, timeout=timeout)


def _decorate(
    test: Callable[..., Any], *, since: str | None, until: str | None, timeout: float
) -> Callable[..., None]:
    @functools.wraps(test)
    def run(**parameters: object) -> None:
        __tracebackhide__ = True
        require_namespaces()
        reason = wrong_release(platform.release(), since, until)
        if reason is not None:
            raise unittest.SkipTest(reason)
        run_in_namespace(test, timeout=timeout, **parameters)

    setattr(run, BODY_ATTRIBUTE, test)
    return run


def require_namespaces() -> None:
    """Return where namespaces can be had; the first line of a test that makes some itself.

    Raises:
        unittest.SkipTest: there are none here; the text names the step, the error and the cure.
        NamespaceFailure: instead of that, with NEIGHIO_REQUIRE_KERNEL=1 in the environment.
    """
    unavailable = available()
    if unavailable is None:
        return
    if os.environ.get(REQUIRE_KERNEL) == "1":
        raise NamespaceFailure(str(unavailable))
    raise unittest.SkipTest(str(unavailable))


def wrong_release(release: str, since: str | None, until: str | None) -> str | None:
    """Return why a kernel release is not in [since, until), or None when it is."""
    running = _release(release)
    if since is not None and running < _release(since):
        return f"holds since Linux {since}, this is {release}"
    if until is not None and running >= _release(until):
        return f"holds until Linux {until}, this is {release}"
    return None


def _release(text: str) -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", text)
    if match is None:
        raise ValueError(f"{text!r} is not a kernel release")
    return int(match[1]), int(match[2])


def run_in_namespace(function: _Test, *, timeout: float = 60.0, **parameters: object) -> None:
    """Call a module's function, by trio if it is asynchronous, in a fresh process and namespace.

    The loopback device is up there. What it prints is printed here. Parameters have to be literals.

    Raises:
        NamespaceFailure: it raised, or its process ended, or its time (seconds) was up.
        unittest.SkipTest: it asked to be skipped.
    """
    __tracebackhide__ = True
    text = repr(parameters)
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise TypeError(f"only literals can be passed into a namespace, not {text}") from None
    task = {
        "path": inspect.getsourcefile(function),
        "module": function.__module__,
        "name": function.__qualname__,
        "parameters": text,
        "sys_path": sys.path,
        "parent": os.getpid(),
        "timeout": timeout,
    }
    # Files, not pipes: no process that the function left behind can keep us waiting for an end of file.
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as result:
        process = subprocess.Popen(
            [
                *enter_command(),
                *[sys.executable, "-m", "neighio.testing._run", str(result.fileno()), json.dumps(task)],
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[result.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        try:
            process.wait(timeout + _KILL_AFTER)
        except subprocess.TimeoutExpired:
            pass
        finally:
            process.kill()
            process.wait()
        output.seek(0)
        printed = output.read().decode("utf-8", "replace")
        result.seek(0)
        outcome = json.loads(result.read() or b"{}")
    sys.stdout.write(printed)
    if "skipped" in outcome:
        raise unittest.SkipTest(outcome["skipped"])
    if "failed" in outcome:
        raise NamespaceFailure(f"in its namespace:\n{outcome['failed']}")
    if "passed" not in outcome:
        raise NamespaceFailure(
            f"in its namespace: no result within {timeout:g} s, status {process.returncode}:\n{printed}"
        )
