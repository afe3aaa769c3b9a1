"""A router that answers Neighbour Discovery in the place of addresses behind it (RFC 4389's way, RFC 4861
7.2.8).

In memory, asked by another host; and on a real link, until Ctrl-C:

    python examples/proxy_nd.py
    sudo python examples/proxy_nd.py eth0 fe80::77/64 2001:db8::100 2001:db8::101
"""

from __future__ import annotations

import sys

import trio

import neighio
from neighio.testing import Segment


def proxy(table: neighio.NeighbourTable, dev: str, targets: list[str]) -> None:
    """Answer for these addresses, at a random time within half a second, as a proxy is to."""
    table.set(dev, 6, proxy_ndp=1, proxy_delay=0.5)
    for target in targets:
        table.add(target, dev, proxy=True)
    print(f"{dev}: answers for {', '.join(targets)}", flush=True)


async def practise() -> None:
    segment = Segment(trio.current_time)
    link = segment.attach("02:00:00:00:00:77", name="router")
    router = neighio.Device(link, "host", addresses=["fe80::77/64"], forwarding=True)
    host = neighio.Device(segment.attach("02:00:00:00:00:02", name="host"), "host", addresses=["fe80::2/64"])
    async with neighio.open_table(router) as table, neighio.open_table(host) as asking:
        proxy(table, "router", ["2001:db8::100"])
        print("2001:db8::100 is at", await asking.resolve("2001:db8::100"))
        try:
            await asking.resolve("2001:db8::101")
        except neighio.Unreachable:
            print("nobody answers for 2001:db8::101")


async def main() -> None:
    if len(sys.argv) == 1:
        await practise()
    elif len(sys.argv) < 4:
        sys.exit(f"usage: {sys.argv[0]} [DEVICE OWN/LENGTH TARGET ...]")
    else:
        name, own, *targets = sys.argv[1:]
        device = neighio.Device(name, "host", lladdr="02:00:00:00:00:77", addresses=[own], forwarding=True)
        async with neighio.open_table(device) as table:
            proxy(table, name, targets)
            await trio.sleep_forever()
    await trio.lowlevel.checkpoint()


if __name__ == "__main__":
    trio.run(main)
