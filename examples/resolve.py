"""Who has an address? One call.

To try it on a segment in memory, and on a link of this machine:

    python examples/resolve.py
    sudo python examples/resolve.py 198.51.100.7 eth0
"""

from __future__ import annotations

import sys

import trio

import neighio
from neighio.testing import ScriptedPeer, Segment


def practice() -> tuple[str, neighio.Device]:
    """Return an address and a device, in memory, behind which somebody has it."""
    segment = Segment(trio.current_time)
    ScriptedPeer(segment, "02:00:00:00:00:07", "198.51.100.7")
    link = segment.attach("02:00:00:00:00:01", name="eth0")
    return "198.51.100.7", neighio.Device(link, addresses=["198.51.100.1/24"])


async def main() -> None:
    if len(sys.argv) not in (1, 3):
        sys.exit(f"usage: {sys.argv[0]} [IP DEVICE]")
    ip, device = sys.argv[1:3] if len(sys.argv) > 1 else practice()
    async with neighio.open_table(device) as table:
        try:
            print(ip, "is at", await table.resolve(ip))
        except neighio.Unreachable:
            sys.exit(f"nobody answers for {ip}")


if __name__ == "__main__":
    trio.run(main)
