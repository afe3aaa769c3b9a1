"""How long a first resolution takes, in process: the median over addresses that nobody has asked for before.

cold.py 4|6 WHO COUNT, where WHO is neighio, plain (send and wait on a raw socket), trio (the same on trio),
or for IPv4 scapy, getmac or arping.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from statistics import median

from benchmarks import frames
from benchmarks.stage import NEAR, NEAR_ADDRESSES

WARM = 10


def addresses(family: str, count: int) -> list[str]:
    """Those who answer on :func:`benchmarks.stage.link`."""
    if family == "4":
        return [f"198.18.{1 + number // 250}.{1 + number % 250}" for number in range(count)]
    return [f"2001:db8::1:{number:x}" for number in range(count)]


def by_call(resolve: Callable[[str], object], ips: list[str], warm: int) -> float:
    times = []
    for ip in ips:
        begin = time.perf_counter()
        found = resolve(ip)
        times.append(time.perf_counter() - begin)
        if not found:
            raise SystemExit(f"{ip} did not answer")
    return median(times[warm:])


async def by_await(resolve: Callable[[str], Awaitable[object]], ips: list[str]) -> float:
    times = []
    for ip in ips:
        begin = time.perf_counter()
        await resolve(ip)
        times.append(time.perf_counter() - begin)
    return median(times[WARM:])


class Raw:
    """As little as can be done: one frame out, one frame in."""

    def __init__(self, family: str) -> None:
        self.ipv4 = family == "4"
        ethertype = 0x0806 if self.ipv4 else 0x86DD
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ethertype))
        self.socket.bind((NEAR, ethertype))
        self.socket.setblocking(False)
        self.lladdr = self.socket.getsockname()[4]
        source = NEAR_ADDRESSES[0 if self.ipv4 else 1].partition("/")[0]
        self.source = socket.inet_pton(socket.AF_INET if self.ipv4 else socket.AF_INET6, source)

    def frame(self, ip: str) -> bytes:
        if self.ipv4:
            return frames.arp_request(self.source, self.lladdr, socket.inet_aton(ip))
        return frames.solicitation(self.source, self.lladdr, socket.inet_pton(socket.AF_INET6, ip))

    def take(self) -> bytes:
        """The answer's link-layer address, once it is here; nothing before."""
        try:
            while frame := self.socket.recv(2048):
                if self.ipv4 and frame[20:22] == b"\0\2":
                    return frame[22:28]
                if not self.ipv4 and frame[54] == 136:
                    return frame[80:86]
        except BlockingIOError:
            pass
        return b""


def plain(family: str, ips: list[str]) -> float:
    raw = Raw(family)

    def resolve(ip: str) -> bytes:
        raw.socket.send(raw.frame(ip))
        while not (found := raw.take()):
            if not select.select([raw.socket], [], [], 1.0)[0]:
                break
        return found

    return by_call(resolve, ips, WARM)


def on_trio(family: str, ips: list[str]) -> float:
    import trio

    raw = Raw(family)

    async def resolve(ip: str) -> bytes:
        raw.socket.send(raw.frame(ip))
        with trio.fail_after(1.0):
            while True:
                await trio.lowlevel.wait_readable(raw.socket)
                if found := raw.take():
                    return found

    return trio.run(by_await, resolve, ips)


def neighio(family: str, ips: list[str]) -> float:
    import trio

    from neighio import open_table

    async def main() -> float:
        async with open_table(NEAR) as table:
            for cache in (table.arp, table.ndisc):
                cache.gc_thresh3 = cache.gc_thresh2 = 4 * len(ips)
            return await by_await(lambda ip: table.resolve(ip, NEAR), ips)

    return trio.run(main)


def scapy(_: str, ips: list[str]) -> float:
    from scapy.config import conf
    from scapy.layers.l2 import ARP, Ether
    from scapy.sendrecv import srp1

    conf.iface = NEAR  # type: ignore[assignment]  # a name does as well
    return by_call(
        lambda ip: srp1(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(pdst=ip), timeout=2, verbose=0), ips, 1
    )


def getmac(_: str, ips: list[str]) -> float:
    from getmac import get_mac_address

    return by_call(lambda ip: get_mac_address(ip=ip, network_request=True), ips, 1)


def arping(_: str, ips: list[str]) -> float:
    def resolve(ip: str) -> object:
        command = ["arping", "-c", "1", "-w", "2", "-I", NEAR, ip]
        return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0

    return by_call(resolve, ips, 1)


if __name__ == "__main__":
    family, who, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    contenders = {
        "neighio": neighio,
        "plain": plain,
        "trio": on_trio,
        "scapy": scapy,
        "getmac": getmac,
        "arping": arping,
    }
    print(json.dumps({f"cold{family}": contenders[who](family, addresses(family, count))}))
