"""The inner half of :func:`neighio.testing.run_in_namespace`: call one function and say how it ended.

python -m neighio.testing._run DESCRIPTOR TASK
"""

from __future__ import annotations

import ast
import ctypes
import faulthandler
import functools
import importlib.util
import inspect
import json
import operator
import os
import signal
import sys
import traceback
from typing import Any, Final

import trio

from .isolation import BODY_ATTRIBUTE
from .namespace import Here

_PR_SET_PDEATHSIG: Final = 1
_LINE: Final = 300


def _main() -> None:
    result, task = int(sys.argv[1]), json.loads(sys.argv[2])
    os.set_inheritable(result, False)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != task["parent"]:
        return
    faulthandler.dump_traceback_later(task["timeout"], exit=True)
    outcome = _call(task)
    sys.stdout.flush()
    with os.fdopen(result, "w", encoding="utf-8") as file:
        json.dump(outcome, file)


def _call(task: dict[str, Any]) -> dict[str, str]:
    sys.path[:] = task["sys_path"]
    ending = {"passed": ""}
    try:
        Here().set_link("lo", up=True)
        function = operator.attrgetter(task["name"])(_load(task["module"], task["path"]))
        function = getattr(function, BODY_ATTRIBUTE, function)
        parameters = ast.literal_eval(task["parameters"])
        if inspect.iscoroutinefunction(function):
            trio.run(functools.partial(function, **parameters))
        else:
            function(**parameters)
    # All of them: the process that asked raises it again. pytest.skip() raises what is no Exception.
    except BaseException as error:  # noqa: ASYNC103
        if type(error).__name__ in ("Skipped", "SkipTest"):
            ending = {"skipped": str(error)}
        else:
            ending = {"failed": _explain(error, task["path"])}
    return ending


def _load(name: str, path: str) -> object:
    # By its path: a test's module need not be importable by its name.
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot import {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _explain(error: BaseException, path: str) -> str:
    """The traceback, with the local variables of the test's own frames: a plain assert says no values."""
    explained = traceback.TracebackException.from_exception(error, capture_locals=True)
    _forget_locals(explained, path)
    lines = "".join(explained.format()).splitlines()
    return "\n".join(line if len(line) <= _LINE else f"{line[:_LINE]} ..." for line in lines)


def _forget_locals(explained: traceback.TracebackException, path: str) -> None:
    for frame in explained.stack:
        if frame.filename != path:
            frame.locals = None
    for inner in (explained.__cause__, explained.__context__, *(explained.exceptions or ())):
        if inner is not None:
            _forget_locals(inner, path)


if __name__ == "__main__":
    _main()
