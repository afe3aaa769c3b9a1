"""``neighio demo``: watch neighbours live and die."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from ..testing import available, enter_command
from . import INTERRUPTED, UNUSABLE
from .demo_show import choose_show
from .output import complain, printable
from .play import play
from .running import explain, run
from .stage import Stage, kernel_stage, memory_stage

__all__ = ["demo"]

_JSON: Final = "--json"


def demo(arguments: Namespace) -> int:
    """Run the command; return its exit status. Where there are namespaces, another process takes over."""
    if not arguments.memory:
        unavailable = available()
        if unavailable is None:
            _become_private(json=arguments.json)
        _tell(f"Playing in memory: {unavailable}", json=arguments.json)
    with memory_stage() as built:
        return _perform(built, json=arguments.json)


def _tell(text: str, *, json: bool) -> None:
    """Say why it plays elsewhere; among JSON objects lines have no place."""
    print(printable(text), file=sys.stderr if json else sys.stdout)


def _become_private(*, json: bool) -> None:
    """Replace this process by the same program in a network namespace of its own.

    The new interpreter is told where this one found its modules: neither the folder that it is started in nor
    an installation needs to have them.
    """
    path = os.pathsep.join(str(Path(entry or ".").absolute()) for entry in sys.path)
    command = [*enter_command(), sys.executable, "-P", "-m", __name__, *([_JSON] if json else [])]
    sys.stdout.flush()
    os.execvpe(command[0], command, {**os.environ, "PYTHONPATH": path})


def _perform(stage: Stage, *, json: bool) -> int:
    with choose_show(stage.name, json=json) as show:
        return run("demo", lambda: play(stage, show))


def _perform_here(*, json: bool) -> int:
    """Play in the namespace that this process has to itself."""
    try:
        with ExitStack() as stack:
            try:
                built = stack.enter_context(kernel_stage())
            except OSError as error:
                _tell(f"Playing in memory: the private network could not be built: {error}", json=json)
                built = stack.enter_context(memory_stage())
            return _perform(built, json=json)
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        complain(f"neighio demo: {explain(error)}")
        return UNUSABLE


if __name__ == "__main__":
    sys.exit(_perform_here(json=_JSON in sys.argv[1:]))
