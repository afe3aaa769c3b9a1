"""A virtual IP address: the standby takes it over when its holder falls silent, and tells the neighbours.

Two instances in memory, the first of which dies after a second; and on a real link, one instance on each
machine:

    python examples/virtual_ip.py
    sudo python examples/virtual_ip.py eth0 198.51.100.100/24 198.51.100.3/24

The last address is the instance's own, from which it asks. The standby asks for the virtual address every
200 ms, and after three losses it is its own. Of two who take it at once, the one with the lower link-layer
address keeps it.
"""

from __future__ import annotations

import sys
from ipaddress import ip_interface

import trio

import neighio
from neighio.testing import Segment

EVERY = 0.2
LOSSES = 3


async def instance(device: neighio.Device, name: str, virtual: str) -> None:
    """Stand by until nobody has the virtual address; then have it, until it is another's."""
    # An answer that takes longer than this is a loss.
    async with neighio.open_table(device, parameters={"retrans_time": EVERY}) as table:
        while True:
            silent_since = await stand_by(table, virtual)
            await hold(table, name, virtual, silent_since)


async def stand_by(table: neighio.NeighbourTable, virtual: str) -> float:
    """Return when nobody has the virtual address: the time of its holder's last sign."""
    ip = ip_interface(virtual).ip
    heard = trio.current_time()
    losses = 0
    while losses < LOSSES:
        asked = trio.current_time()
        try:
            await table.probe(ip)
        except neighio.Unreachable:
            losses += 1
        else:
            losses = 0
            heard = trio.current_time()
        await trio.sleep_until(asked + EVERY)
    await trio.lowlevel.checkpoint()
    return heard


async def hold(table: neighio.NeighbourTable, name: str, virtual: str, silent_since: float) -> None:
    """Have the virtual address, and tell everybody; return when it has to be given up."""
    ip = ip_interface(virtual).ip
    attached = table.devices[name]
    with table.subscribe(conflicts=True) as events:
        await attached.add_address(virtual, dad_transmits=0, defence="always")
        attached.announce(ip, repeat=3, interval=1.0, form="both")
        seconds = trio.current_time() - silent_since
        print(f"{name}: {ip} taken over {seconds:.1f} s after its holder's last sign", flush=True)
        async for event in events:
            if (
                isinstance(event, neighio.AddressConflict)
                and event.ip == str(ip)
                and event.lladdr < attached.lladdr
            ):
                attached.remove_address(ip)
                print(f"{name}: {ip} given up to {event.lladdr}", flush=True)
                return


async def practise() -> None:
    segment = Segment(trio.current_time)
    virtual = "198.51.100.100/24"

    def device(name: str, number: int) -> neighio.Device:
        link = segment.attach(f"02:00:00:00:00:0{number}", name=name)
        return neighio.Device(link, "host", addresses=[f"198.51.100.{number}/24"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(instance, device("second", 2), "second", virtual)
        link = segment.attach("02:00:00:00:00:01", name="first")
        first = neighio.Device(link, "host", addresses=["198.51.100.1/24", virtual])
        async with neighio.open_table(first):
            print("first: has 198.51.100.100")
            await trio.sleep(1)
        print("first: died")
        await trio.sleep(1.5)
        nursery.cancel_scope.cancel()


async def main() -> None:
    if len(sys.argv) == 1:
        await practise()
    elif len(sys.argv) != 4:
        sys.exit(f"usage: {sys.argv[0]} [DEVICE VIRTUAL/LENGTH OWN/LENGTH]")
    else:
        name, virtual, own = sys.argv[1:]
        await instance(neighio.Device(name, "host", addresses=[own]), name, virtual)
    await trio.lowlevel.checkpoint()


if __name__ == "__main__":
    trio.run(main)
