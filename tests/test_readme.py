"""README's programs run as they are printed.

An HTML comment on the line above each ```python block says where it runs:

* ``<!-- run: memory -->``: anywhere, without a network and without privileges.
* ``<!-- run: namespace -->``: in a network namespace of its own whose eth0 is 198.51.100.1/24 and 2001:db8::1/64; at the other
  end answers 198.51.100.7, 2001:db8::7, whose link-layer address is 02:00:00:00:00:07.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"(?:^<!-- run: (\w+) -->\n)?^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 60

UNAVAILABLE = 77
NAMESPACE = """
    import json, os, subprocess, sys

    def step(*command):
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            give_up(" ".join(command), done.stderr.strip())

    def give_up(what, why):
        print(f"{what}: {why}", file=sys.stderr)
        sys.exit(77)

    # The peer's namespace lives as long as its only process, and that as long as this one.
    peer = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if not peer.stdout.readline():
        give_up("unshare -n", "the peer has no namespace")
    inside = ("nsenter", "-t", str(peer.pid), "-n")
    step("ip", "link", "add", "eth0", "address", "02:00:00:00:00:01", "type", "veth",
         "peer", "name", "eth0", "address", "02:00:00:00:00:07", "netns", str(peer.pid))
    for where, host in ((), 1), (inside, 7):
        setting = "/proc/sys/net/ipv6/conf/eth0/accept_dad"
        step(*where, "sh", "-c", f"echo 0 > {setting}")
        step(*where, "ip", "address", "add", f"198.51.100.{host}/24", "dev", "eth0")
        step(*where, "ip", "address", "add", f"2001:db8::{host}/64", "dev", "eth0", "nodad")
        step(*where, "ip", "link", "set", "eth0", "up")
    # The program takes this process over, pipe and all, so that whatever ends it ends the peer.
    os.set_inheritable(peer.stdin.fileno(), True)
    os.execv(sys.executable, [sys.executable, "-W", "error", "-c", json.loads(sys.argv[1])])
"""


def blocks(text: str) -> list[tuple[str, str]]:
    """Return each python block of a page with where it runs; nothing where no comment says it."""
    return [(where, program) for where, program in BLOCK.findall(text)]


def run_in_memory(program: str) -> str:
    return finish([sys.executable, "-W", "error", "-c", program])


def run_in_namespace(program: str) -> str:
    unshare = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-Urn"]
    try:
        return finish([*unshare, sys.executable, "-c", textwrap.dedent(NAMESPACE), json.dumps(program)])
    except FileNotFoundError as error:
        return unavailable(f"unshare: {error.strerror}")


def finish(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    # unshare itself ends with 1 and its own name in front when it is refused.
    if done.returncode == UNAVAILABLE or done.stderr.startswith("unshare: "):
        return unavailable(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return done.stdout


def unavailable(why: str) -> str:
    message = f"no network namespace to try it in ({why}): allow unprivileged user namespaces, or run as root on Linux"
    if os.environ.get("NEIGHIO_REQUIRE_KERNEL"):
        pytest.fail(message)
    pytest.skip(message)


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


def test_a_program_that_fails_is_told_with_its_error() -> None:
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        run_in_memory("1 / 0")


def test_the_namespace_has_the_link_and_the_peer_that_are_promised() -> None:
    program = """
        import socket, subprocess
        for peer in "198.51.100.7", "2001:db8::7":
            try:
                socket.create_connection((peer, 9)).close()
            except ConnectionRefusedError:
                print(subprocess.check_output(["ip", "neigh", "show", peer], text=True))
    """
    told = run_in_namespace(textwrap.dedent(program))
    assert told.count("dev eth0 lladdr 02:00:00:00:00:07") == 2
