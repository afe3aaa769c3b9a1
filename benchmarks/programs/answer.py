"""Answering: how many requests a second of its CPU time a responder answers, flooded; and how many it loses
at a steady rate.

answer.py measure WHO 4|6 SECONDS     WHO is neighio, plain (a loop in Python), c or scapy
answer.py respond WHO 4|6             the responder alone, until standard input ends
answer.py send DESCRIPTOR FRAMES SECONDS RATE    what traffic.c does, where there is no C compiler
"""

from __future__ import annotations

import contextlib
import json
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import process_time
from typing import Any

from benchmarks import frames, stage
from benchmarks.harness import ROOT, python
from neighio.testing import Peer

TARGET = frames.ipv4(19, 2)
TARGET6 = frames.ipv6(-1)
OWN = ((socket.AF_INET, TARGET, 15), (socket.AF_INET6, TARGET6, 64))
ASKERS = 256
STEADY = 50_000
PATIENCE = 20.0
AFTERWARDS = 0.5


# -- responders


def neighio() -> None:
    import trio

    from neighio import Device, open_table

    own = [f"{socket.inet_ntop(family, ip)}/{length}" for family, ip, length in OWN]

    async def main() -> float:
        async with open_table(Device(stage.NEAR, "host", addresses=own)):
            begin = process_time()
            print("ready", flush=True)
            await trio.lowlevel.wait_readable(sys.stdin)
            return process_time() - begin

    report(trio.run(main))


def plain() -> None:
    """A loop that knows nothing: every request is answered, nobody is remembered."""
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
    wire.bind((stage.NEAR, 0x0806))
    wire.setblocking(False)
    wire.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
    lladdr = wire.getsockname()[4]
    begin = process_time()
    print("ready", flush=True)
    while True:
        try:
            while True:
                frame = wire.recv(256)
                if frame[20:22] == b"\0\1" and frame[38:42] == TARGET:
                    asker = frame[22:32]
                    head = asker[:6] + lladdr + b"\x08\x06\0\1\x08\0\6\4\0\2"
                    wire.send(head + lladdr + TARGET + asker)
        except BlockingIOError:
            pass
        if sys.stdin in select.select([wire, sys.stdin], [], [])[0]:
            break
    report(process_time() - begin)


def scapy() -> None:
    from scapy.config import conf
    from scapy.layers.l2 import ARP_am
    from scapy.sendrecv import AsyncSniffer

    conf.iface = stage.NEAR  # type: ignore[assignment]  # a name does as well
    conf.verb = 0
    machine = ARP_am(IP_addr=socket.inet_ntoa(TARGET), ARP_addr=stage.NEAR_LLADDR, verbose=False)
    machine.optsend.update(iface=stage.NEAR, verbose=0)
    sniffer = AsyncSniffer(iface=stage.NEAR, prn=machine.reply, store=False)
    begin = process_time()
    sniffer.start()
    print("ready", flush=True)
    sys.stdin.read()
    sniffer.stop()
    report(process_time() - begin)


def report(cpu: float) -> None:
    print(json.dumps({"cpu": cpu}))


# -- the sender


def send(descriptor: int, path: str, seconds: float, rate: float) -> None:
    """As traffic.c."""
    wire = socket.socket(fileno=descriptor)
    wire.setblocking(False)
    data = Path(path).read_bytes()
    sent_frames = []
    while data:
        length = int.from_bytes(data[:2], "big")
        sent_frames.append(data[2 : 2 + length])
        data = data[2 + length :]
    sent = answers = 0

    def take() -> int:
        count = 0
        with contextlib.suppress(BlockingIOError):
            while frame := wire.recv(256):
                arp = frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\2"
                count += arp or (frame[12:14] == b"\x86\xdd" and frame[54:55] == b"\x88")
        return count

    begin = time.perf_counter()
    while (now := time.perf_counter()) < begin + seconds:
        due = int((now - begin) * rate) - sent if rate else 32
        for _ in range(min(due, 32)):
            with contextlib.suppress(BlockingIOError):
                wire.send(sent_frames[sent % len(sent_frames)])
                sent += 1
        answers += take()
    spent = time.perf_counter() - begin
    while select.select([wire], [], [], AFTERWARDS)[0]:
        answers += take()
    print(json.dumps({"sent": sent, "answers": answers, "seconds": spent}))


# -- both together


def requests(family: str) -> list[bytes]:
    if family == "4":
        return [frames.arp_request(frames.ipv4(18, n), frames.lladdr_of(n), TARGET) for n in range(ASKERS)]
    return [frames.solicitation(frames.ipv6(n), frames.lladdr_of(n), TARGET6) for n in range(ASKERS)]


@contextlib.contextmanager
def traffic() -> Iterator[list[str] | None]:
    """The command of traffic.c, compiled; None without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder, "traffic")
        subprocess.run([compiler, "-O2", "-o", program, ROOT / "benchmarks" / "traffic.c"], check=True)
        yield [str(program)]


def ask(
    peer: Peer, command: Sequence[str], responder: Sequence[str], family: str, seconds: float, rate: float
) -> tuple[dict[str, float], float]:
    """Ask a fresh responder for so long, at so many a second: what the sender says, and the responder's CPU
    time."""
    with (
        tempfile.NamedTemporaryFile() as file,
        peer.socket(
            socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806 if family == "4" else 0x86DD)
        ) as wire,
    ):
        for frame in requests(family):
            file.write(len(frame).to_bytes(2, "big") + frame)
        file.flush()
        wire.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        wire.bind((stage.FAR, 0x0806 if family == "4" else 0x86DD))
        process = subprocess.Popen(
            responder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise SystemExit("the responder did not start")
            done = subprocess.run(
                [*command, "send", str(wire.fileno()), file.name, str(seconds), str(rate)],
                pass_fds=[wire.fileno()],
                stdout=subprocess.PIPE,
                timeout=PATIENCE,
                check=True,
            )
            # Its standard input ends: it says what it has used.
            said, _ = process.communicate(timeout=2 * PATIENCE)
        finally:
            process.kill()
            process.wait()
    told: dict[str, Any] = json.loads(done.stdout)
    return told, float(json.loads(said)["cpu"])


def measure(who: str, family: str, seconds: float) -> dict[str, float]:
    key = "answer" if family == "4" else "answer6"
    with traffic() as compiled, stage.link() as peer:
        command = compiled or python("answer")
        if who == "c" and compiled is None:
            raise SystemExit("there is no C compiler")
        responder = (
            [*(compiled or ()), "answer", stage.NEAR]
            if who == "c"
            else python("answer", "respond", who, family)
        )
        told, cpu = ask(peer, command, responder, family, seconds, 0)
        if not told["answers"]:
            raise SystemExit("nothing was answered")
        found = {key: told["answers"] / cpu}
        if who == "neighio":
            told, _ = ask(peer, command, responder, family, 2 * seconds, STEADY)
            found[f"{key}_lost"] = told["sent"] - told["answers"]
            found[f"{key}_rate"] = told["sent"] / told["seconds"]
    return found


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["measure", who, family, seconds]:
            print(json.dumps(measure(who, family, float(seconds))))
        case ["respond", who, _]:
            {"neighio": neighio, "plain": plain, "scapy": scapy}[who]()
        case ["send", descriptor, path, seconds, rate]:
            send(int(descriptor), path, float(seconds), float(rate))
        case _:
            raise SystemExit(__doc__)
