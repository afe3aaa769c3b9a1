"""README's programs run as they are printed.

An HTML comment on the line above each ```python block says where it runs:

* ``<!-- run: memory -->``: anywhere, without a network and without privileges.
* ``<!-- run: namespace -->``: in a network namespace of its own whose eth0 is 198.51.100.1/24 and 2001:db8::1/64; at
  the other end answers 198.51.100.7, 2001:db8::7, whose link-layer address is 02:00:00:00:00:07.
"""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from neighio.testing.isolation import require_namespaces
from neighio.testing.namespace import enter_command

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"(?:^<!-- run: (\w+) -->\n)?^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 60

ON_ITS_LINK = """
    import sys
    from neighio.testing.namespace import Here, Peer, connect

    here = Here()
    with Peer.start() as peer:
        connect(here, peer, "eth0", "eth0", lladdr="02:00:00:00:00:01", far_lladdr="02:00:00:00:00:07")
        for end, host in (here, 1), (peer, 7):
            end.add_address("eth0", f"198.51.100.{host}/24")
            end.add_address("eth0", f"2001:db8::{host}/64")
        here.close()
        exec(compile(sys.argv[1], "README.md", "exec"), {"__name__": "__main__"})
"""


def blocks(text: str) -> list[tuple[str, str]]:
    """Return each python block of a page with where it runs; nothing where no comment says it."""
    return [(where, program) for where, program in BLOCK.findall(text)]


def run_in_memory(program: str) -> str:
    return finish([sys.executable, "-W", "error", "-c", program])


def run_in_namespace(program: str) -> str:
    require_namespaces()
    link = textwrap.dedent(ON_ITS_LINK)
    return finish([*enter_command(), sys.executable, "-W", "error", "-c", link, program])


def finish(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


RUN = {"memory": run_in_memory, "namespace": run_in_namespace}
PROGRAMS = blocks(README.read_text(encoding="utf-8"))


def test_every_program_of_the_readme_says_where_it_runs() -> None:
    unmarked = [program for where, program in PROGRAMS if where not in RUN]
    assert unmarked == []


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_a_program_of_the_readme_runs(number: int) -> None:
    where, program = PROGRAMS[number]
    RUN[where](program)


def test_blocks_are_found_with_and_without_their_comment() -> None:
    page = "<!-- run: memory -->\n```python\na\nb\n```\n\n```sh\nno\n```\n\n```python\nc\n```\n"
    assert blocks(page) == [("memory", "a\nb\n"), ("", "c\n")]


@pytest.mark.parametrize("where", RUN)
def test_a_program_that_fails_is_told_with_its_error(where: str) -> None:
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        RUN[where]("1 / 0")


def test_the_namespace_has_the_link_and_the_peer_that_are_promised() -> None:
    program = """
        import socket
        from neighio.testing.namespace import Here
        for peer in "198.51.100.7", "2001:db8::7":
            try:
                socket.create_connection((peer, 9)).close()
            except ConnectionRefusedError:
                pass
        here = Here()
        print([neighbour.lladdr.hex(":") for neighbour in here.neighbours("eth0") if neighbour.lladdr])
        here.close()
    """
    assert run_in_namespace(textwrap.dedent(program)).count("02:00:00:00:00:07") == 2
