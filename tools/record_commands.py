#!/usr/bin/env python3
"""Run the commands that the documentation shows, and keep what they print: docs/commands/NAME.txt.

README shows pieces of them, each behind a comment that says which; they are put there anew every time::

    <!-- recorded: resolve 1; top 1 1-8 -->
    ```text
    ```

are what was typed first in the session "resolve", with what it printed, and the same of "top" without what it
printed behind its eighth line.

``python tools/record_commands.py`` records every session, with names these. Each has a network namespace of
its own, as README's programs have: eth0 is 198.51.100.1/24, 2001:db8::1/64 and fe80::1/64, and its link-layer
address is 02:00:00:00:00:01; at its other end the kernel has .7, ::7 and 02:00:00:00:00:07. It needs Linux
and no root, and nothing of it touches the machine's own interfaces.

To add a session: append a :class:`Session` to SESSIONS, run ``python tools/record_commands.py NAME``, and
show it on the command's page, docs/commands/COMMAND.rst::

    .. literalinclude:: NAME.txt
       :language: console

tests/test_recorded.py holds that each session was recorded, as it stands here; that each command in it is
still one that ``neighio`` takes; that some page shows it; and that README has what was recorded, of every
command. What the commands print is not compared.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from neighio.testing import Here, Peer, connect, enter_command

ROOT: Final = Path(__file__).parents[1]
RECORDS: Final = ROOT / "docs" / "commands"
README: Final = ROOT / "README.md"

SHOWN: Final = re.compile(
    r"(?P<head>^<!-- recorded: (?P<pieces>[^>\n]+) -->\n```text\n)(?P<text>.*?)(?P<end>^```$)",
    re.MULTILINE | re.DOTALL,
)
PIECE: Final = re.compile(r"(?P<name>[a-z-]+) (?P<number>\d+)(?: (?P<first>\d+)-(?P<last>\d+))?")

SETTLE_SECONDS: Final = 1.5
"""Between the start of what goes on and what happens meanwhile, and between that and Ctrl-C."""
LONGEST_SECONDS: Final = 60.0

RUNTIME: Final = "/run/user/1000"
"""What stands in a record for the runtime directory that the sessions have."""

HOST: Final = (
    "neighio host --dev eth0 --mac 02:00:00:00:00:09 --address 198.51.100.9/24 --address 2001:db8::9/64 "
    "--address fe80::9/64 --no-dad"
)
"""A host on the link; its standard input has to stay open."""


@dataclass(frozen=True)
class Line:
    """A shell line that goes on until Ctrl-C, and what happens meanwhile."""

    text: str
    meanwhile: tuple[str, ...] = ()
    """Shell lines that are run while it goes on; they are not shown."""


@dataclass(frozen=True)
class Session:
    """What somebody types, and what is there when they do."""

    name: str
    """Of its record: COMMAND, or COMMAND-ASPECT."""
    lines: tuple[str | Line, ...]
    """Shell lines (bash), in order. A string is one that ends."""
    before: tuple[str, ...] = ()
    """Shell lines that are run first; they are not shown."""
    behind: tuple[str, ...] = ()
    """Shell lines that go on, from before the first line until after the last one; they are not shown."""
    prepare: Callable[[Here, Peer], None] | None = None
    """What is done to the two ends first."""


def _inhabit(here: Here, peer: Peer) -> None:
    """Have more than one address at the other end, and a network card of a vendor's."""
    peer.set_link("eth0", lladdr="00:00:0c:00:00:07")
    peer.add_address("eth0", "198.51.100.40/24")


def _take_over(here: Here, _: Peer) -> None:
    """Have addresses that have just been taken over from another host."""
    here.add_address("eth0", "198.51.100.10/24")
    here.add_address("eth0", "2001:db8::10/64")


def _have_twice(here: Here, peer: Peer) -> None:
    """Have an address that the other end still has, too, and a switch that is not Linux's own."""
    _take_over(here, peer)
    peer.add_address("eth0", "198.51.100.10/24")
    here.sysctl("net/ipv4/conf/eth0/drop_gratuitous_arp", 1)


CAPTURE: Final = """
from scapy.layers.l2 import ARP, Ether
from scapy.utils import wrpcap

ONE, SEVEN, OTHER = "02:00:00:00:00:01", "02:00:00:00:00:07", "02:00:00:00:00:17"

def request(time, mac, ip, target):
    frame = Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=mac, psrc=ip, pdst=target)
    frame.time = time
    return frame

def reply(time, mac, ip, to, target):
    frame = Ether(src=mac, dst=to) / ARP(op=2, hwsrc=mac, psrc=ip, hwdst=to, pdst=target)
    frame.time = time
    return frame

began = 1767261600
frames = [
    request(began, ONE, "198.51.100.1", "198.51.100.7"),
    reply(began + 0.0004, SEVEN, "198.51.100.7", ONE, "198.51.100.1"),
    request(began + 300, ONE, "198.51.100.1", "198.51.100.7"),
    reply(began + 300.0004, SEVEN, "198.51.100.7", ONE, "198.51.100.1"),
    request(began + 900, OTHER, "198.51.100.7", "198.51.100.7"),
]
wrpcap("office.pcap", frames)
"""
"""What makes a capture: an address that is asked for, and that somebody else then takes over."""


def _watch_ourselves(here: Here, peer: Peer) -> None:
    """Both ends of another link are here: who speaks at v2 is heard at v1, which is 203.0.113.1."""
    connect(here, here, "v1", "v2", lladdr="00:00:5e:00:53:01", far_lladdr="00:00:5e:00:53:02")
    here.add_address("v1", "203.0.113.1/24")


def _heard_at(mac: str, ip: str, command: str) -> str:
    """Be a host at the other end of that link for a moment, and do something."""
    host = f"neighio host --dev v2 --mac {mac} --address {ip}/24 --no-dad"
    return f"(echo {command}; sleep 0.3) | {host}"


SESSIONS: Final = (
    Session(
        "scan",
        (
            "neighio scan --localnet --interval 0.3",
            "neighio scan 198.51.100.7,198.51.100.40-42 --vendor --absent -t 200",
            "neighio scan -l -6 --interval 0.3 --json",
        ),
        prepare=_inhabit,
    ),
    Session(
        "scan-refused",
        (
            "neighio scan 198.18.0.0/15 --dev eth0; echo $?",
            "neighio scan 198.0.0.0/11 --dev eth0 --force",
            "neighio scan 2001:db8::/64",
        ),
    ),
    Session(
        "resolve",
        (
            "neighio resolve 198.51.100.7 2001:db8::7 fe80::7%eth0",
            "neighio resolve 198.51.100.7 198.51.100.8 -I eth0; echo $?",
            "neighio resolve 198.51.100.7 -c 3 -i 0.2",
            "neighio resolve 198.51.100.7 -c 3 -i 0.2 --json | tail -2",
        ),
    ),
    Session(
        "show",
        ("neighio show", "neighio show -s -6", "neighio show --state all --json | head -1"),
        behind=(f"{HOST} --control < <(printf 'use %s\\n' 198.51.100.7 198.51.100.8 2001:db8::7; sleep 99)",),
    ),
    Session(
        "show-kernel",
        ("echo > /dev/udp/198.51.100.7/9", "neighio show --kernel", "ip neigh"),
    ),
    Session(
        "monitor-kernel",
        (Line("neighio monitor --kernel", ("echo > /dev/udp/198.51.100.7/9", "ip neigh flush dev eth0")),),
    ),
    Session(
        "monitor-trace",
        (Line("neighio monitor --trace -4", ("echo use 198.51.100.7 > commands",)),),
        behind=(f"mkfifo commands; sleep 99 > commands & exec {HOST} --control < commands",),
    ),
    Session(
        "monitor-json",
        (Line("neighio monitor --json", ("echo use 198.51.100.7 > commands",)),),
        behind=(f"mkfifo commands; sleep 99 > commands & exec {HOST} --control < commands",),
    ),
    Session(
        "top",
        ("neighio top --kernel --once",),
        before=(
            "echo > /dev/udp/198.51.100.7/9; echo > /dev/udp/2001:db8::7/9; ip neigh add 198.51.100.9 "
            "lladdr 02:00:00:00:00:09 dev eth0",
        ),
    ),
    Session(
        "top-json",
        ("neighio top --kernel --once --json -4",),
        before=("echo > /dev/udp/198.51.100.7/9",),
    ),
    Session("completion", ("neighio completion bash | grep 'complete -'",)),
    Session(
        "watch",
        (
            Line(
                "neighio watch --db lan.db -I eth0",
                ("echo > /dev/udp/198.51.100.7/9", "neighio announce 198.51.100.10 --verify"),
            ),
        ),
        prepare=_have_twice,
    ),
    Session(
        "watch-incidents",
        (
            Line(
                "neighio watch --db lan.db -I v1",
                meanwhile=(
                    _heard_at("00:00:5e:00:53:07", "203.0.113.7", "announce 203.0.113.7"),
                    _heard_at("00:00:5e:00:01:09", "203.0.113.254", "announce 203.0.113.254"),
                    _heard_at("00:00:5e:00:53:08", "203.0.113.7", "announce 203.0.113.7"),
                    # The first one has not gone.
                    _heard_at("00:00:5e:00:53:07", "203.0.113.7", "use 203.0.113.8"),
                ),
            ),
            "neighio history --db lan.db 203.0.113.7",
        ),
        prepare=_watch_ourselves,
    ),
    Session(
        "history",
        ("neighio history --db lan.db 198.51.100.7", "neighio history --db lan.db 02:00:00:00:00:07 --json"),
        before=(
            "timeout -s INT 4 neighio watch --db lan.db -I eth0 & "
            "sleep 2; echo > /dev/udp/198.51.100.7/9; wait",
        ),
    ),
    Session(
        "announce",
        (
            "neighio announce 198.51.100.10 2001:db8::10 --both -c 2",
            "neighio announce 198.51.100.10 --verify -c 1 --json",
        ),
        prepare=_take_over,
    ),
    Session(
        "announce-twice",
        (
            "neighio announce 198.51.100.10 --verify; echo $?",
            "neighio announce 198.51.100.11; echo $?",
        ),
        prepare=_have_twice,
    ),
    Session("doctor", ("neighio doctor -I eth0; echo $?",)),
    Session("doctor-twice", ("neighio doctor -I eth0 --quiet; echo $?",), prepare=_have_twice),
    Session(
        "replay",
        ("neighio replay office.pcap", "neighio replay office.pcap --as 198.51.100.1/24 --trace"),
        before=(f"{sys.executable} -c {shlex.quote(CAPTURE)}",),
    ),
    Session("demo", ("neighio demo",)),
    Session(
        "host",
        (
            f"(printf '%s\\n' 'use 198.51.100.7' 'send 2001:db8::7 20' 'use 198.51.100.8'; sleep 4) | {HOST} "
            "--monitor text",
        ),
    ),
    Session(
        "host-json",
        (
            "(printf '%s\\n' 'send 198.51.100.7' 'show 198.51.100.7' 'announce 198.51.100.1'; sleep 1) | "
            f"{HOST} --monitor json",
        ),
    ),
    Session(
        "host-taken",
        (
            "neighio host --dev eth0 --mac 02:00:00:00:00:09 --address 198.51.100.7/24; echo $?",
            "neighio host --dev eth0 --address 198.51.100.1/24; echo $?",
        ),
    ),
    Session(
        "host-tap",
        (
            Line(
                "sleep 99 | neighio host --tap tap0 --mac 02:00:00:00:00:09 --address 198.18.0.9/24 --no-dad "
                "--monitor text",
                meanwhile=("ip address add 198.18.0.1/24 dev tap0", "echo > /dev/udp/198.18.0.9/9"),
            ),
        ),
    ),
)


def main(names: list[str]) -> int:
    """Record the sessions of these names, all when there are none."""
    unknown = sorted(set(names) - {session.name for session in SESSIONS})
    if unknown:
        print(f"there is no session {', '.join(unknown)}", file=sys.stderr)
        return 2
    for session in SESSIONS:
        if not names or session.name in names:
            print(session.name)
            subprocess.run([*enter_command(), sys.executable, __file__, "--inside", session.name], check=True)
    README.write_text(renew(README.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


def renew(page: str) -> str:
    """Return a page with what it shows of the sessions as it was recorded."""
    return SHOWN.sub(lambda found: f"{found['head']}{pieces(found['pieces'])}{found['end']}", page)


def pieces(wanted: str) -> str:
    """Return pieces of records, as a page asks for them, with a blank line between two.

    Raises:
        ValueError: there is no such piece.
        OSError: there is no such record.
    """
    return "\n".join(piece(one) for one in wanted.split("; "))


def piece(wanted: str) -> str:
    """Return one piece: "NAME NUMBER" or "NAME NUMBER FIRST-LAST", lines of what was printed, from 1."""
    found = PIECE.fullmatch(wanted)
    if found is None:
        raise ValueError(f"{wanted!r} is no piece of a session")
    record = (RECORDS / f"{found['name']}.txt").read_text(encoding="utf-8")
    all_pieces = re.split(r"^(?=\$ )", record, flags=re.MULTILINE)[1:]
    if not 1 <= int(found["number"]) <= len(all_pieces):
        raise ValueError(f"{wanted}: there are {len(all_pieces)} pieces")
    typed, *printed = all_pieces[int(found["number"]) - 1].splitlines()
    first, last = int(found["first"] or 1), int(found["last"] or len(printed))
    if not 1 <= first <= last <= len(printed):
        raise ValueError(f"{wanted}: {len(printed)} lines were printed")
    cut = ["..."]
    lines = [typed, *cut * (first > 1), *printed[first - 1 : last], *cut * (last < len(printed))]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def record(session: Session) -> None:
    """Play a session in this process's network namespace, and write down what was printed."""
    with ExitStack() as stack:
        here, peer = Here(), stack.enter_context(Peer.start())
        stack.callback(here.close)
        connect(here, peer, "eth0", "eth0", lladdr="02:00:00:00:00:01", far_lladdr="02:00:00:00:00:07")
        for end, host in ((here, 1), (peer, 7)):
            for address in (f"198.51.100.{host}/24", f"2001:db8::{host}/64", f"fe80::{host}/64"):
                end.add_address("eth0", address)
        if session.prepare is not None:
            session.prepare(here, peer)
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="neighio")))
        shell = Shell(place)
        for line in session.before:
            shell.type(line)
        for line in session.behind:
            stack.enter_context(shell.going_on(line))
            time.sleep(SETTLE_SECONDS)
        text = "".join(shell.type(line) for line in session.lines)
    path = RECORDS / f"{session.name}.txt"
    path.write_text(text.replace(str(shell.runtime), RUNTIME), encoding="utf-8")


class Shell:
    """Where the commands run: a home, a runtime directory, and ``neighio`` on the path."""

    def __init__(self, place: Path) -> None:
        self.runtime = place / "run"
        self._home = place / "home"
        programs = place / "bin"
        for directory in (self.runtime, self._home, programs):
            directory.mkdir()
        neighio = programs / "neighio"
        neighio.write_text(f'#!/bin/sh\nexec {sys.executable} -m neighio "$@"\n')
        neighio.chmod(0o755)
        self._environment = {
            "PATH": f"{programs}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self._home),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "XDG_STATE_HOME": str(self._home / "state"),
            "PYTHONPATH": str(RECORDS.parents[1]),
            "COLUMNS": "100",
            "LANG": "C.UTF-8",
            "TZ": "UTC",
        }

    def _start(self, line: str, output: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-c", line],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            env=self._environment,
            cwd=self._home,
            start_new_session=True,
        )

    @contextmanager
    def going_on(self, line: str) -> Iterator[None]:
        """Have a line's commands run; at the end they are interrupted."""
        process = self._start(line, subprocess.DEVNULL)
        try:
            yield
        finally:
            os.killpg(process.pid, signal.SIGINT)
            process.wait(LONGEST_SECONDS)

    def type(self, line: str | Line) -> str:
        """Run a line; return it behind a prompt, and what it printed."""
        if isinstance(line, str):
            printed, _ = self._start(line, subprocess.PIPE).communicate(timeout=LONGEST_SECONDS)
            return f"$ {line}\n{printed}"
        with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
            process = self._start(line.text, output.fileno())
            time.sleep(SETTLE_SECONDS)
            for other in line.meanwhile:
                self._start(other, subprocess.DEVNULL).wait(LONGEST_SECONDS)
            time.sleep(SETTLE_SECONDS)
            so_far = os.fstat(output.fileno()).st_size
            os.killpg(process.pid, signal.SIGINT)
            process.wait(LONGEST_SECONDS)
            if not so_far:
                raise RuntimeError(f"nothing was printed in time, which a busy machine explains: {line.text}")
            output.seek(0)
            return f"$ {line.text}\n{output.read(so_far)}^C\n{output.read()}"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        record(next(session for session in SESSIONS if session.name == sys.argv[2]))
    else:
        sys.exit(main(sys.argv[1:]))
