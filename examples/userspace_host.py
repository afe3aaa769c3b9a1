"""A host in user space that the kernel, or anybody, can ping.

In memory, pinged by another one; and on a real link, with addresses that nobody else has, until Ctrl-C:

    python examples/userspace_host.py
    sudo python examples/userspace_host.py eth0 198.51.100.77/24 2001:db8::77/64
"""

from __future__ import annotations

import sys
from ipaddress import ip_interface

import trio

import neighio
from neighio.testing import Segment
from neighio.wire import icmp

OURS = ["198.51.100.77/24", "2001:db8::77/64", "fe80::77/64"]
THEIRS = ["198.51.100.2/24", "2001:db8::2/64", "fe80::2/64"]


async def serve(device: neighio.AttachedDevice, addresses: list[str]) -> None:
    """Have the addresses, once they are known to be nobody else's, and answer pings to them."""
    async with trio.open_nursery() as nursery:
        for address in addresses:
            nursery.start_soon(device.add_address, address)
    print(f"{device.name}: {' '.join(sorted(device.addresses))} at {device.lladdr}", flush=True)
    await neighio.answer_echo(device)


async def practise() -> None:
    segment = Segment(trio.current_time)
    us = neighio.Device(segment.attach("02:00:00:00:00:77", name="us"), "host", addresses=OURS)
    them = neighio.Device(segment.attach("02:00:00:00:00:02", name="them"), "host", addresses=THEIRS)
    async with (
        neighio.open_table(us) as ours,
        neighio.open_table(them) as theirs,
        trio.open_nursery() as nursery,
    ):
        await nursery.start(neighio.answer_echo, ours.devices["us"])
        device = theirs.devices["them"]
        async with device.packets() as incoming:
            for source, target in zip(THEIRS, OURS, strict=True):
                src, dst = (ip_interface(one).ip for one in (source, target))
                request = icmp.EchoRequest(src.packed, dst.packed, 0, 0, b"0001hello")
                device.send_nowait(icmp.build_echo_request(request))
                answer = await anext(incoming)
                print(f"{dst} answered from {answer.lladdr}: {answer.packet[-5:].decode()}")
        nursery.cancel_scope.cancel()


async def main() -> None:
    if len(sys.argv) == 1:
        await practise()
    elif len(sys.argv) == 2:
        sys.exit(f"usage: {sys.argv[0]} [DEVICE ADDRESS/LENGTH ...]")
    else:
        name, *addresses = sys.argv[1:]
        async with neighio.open_table(neighio.Device(name, "host", lladdr="02:00:00:00:00:77")) as table:
            await serve(table.devices[name], addresses)
    await trio.lowlevel.checkpoint()


if __name__ == "__main__":
    trio.run(main)
