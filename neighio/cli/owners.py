"""Who else has an address of ours?"""

from __future__ import annotations

from typing import Final

import trio

from ..address import LinkAddress
from ..errors import DeviceGone, Unreachable
from ..table import NeighbourTable
from .kernel_devices import KernelDevice

__all__ = ["find_owners", "lladdrs_of"]

_NOBODY: Final = {4: "0.0.0.0", 16: "::"}


async def find_owners(
    table: NeighbourTable, ip: bytes, dev: str, *, tries: int, listen: float
) -> tuple[LinkAddress, ...]:
    """Ask a link who has an address as whoever is about to use it does (RFC 5227 2.1.1, RFC 4862 5.4.2): from
    the unspecified address, which enters nobody's table and may ask for an address of this host's own.

    Args:
        table: one that has the device.
        ip: the address, packed.
        dev: the device.
        tries: how often it is asked, at most; each time the device's retrans_time is waited for an answer.
        listen: seconds that further answers are waited for.

    Returns:
        The link-layer addresses that answered, the first first.

    Raises:
        DeviceGone: the device is down, so that silence says nothing.
    """
    await trio.lowlevel.checkpoint()
    for _ in range(tries):
        try:
            reply = await table.probe(ip, dev, source=_NOBODY[len(ip)], listen=listen)
        except Unreachable:
            continue
        return (reply.lladdr, *reply.others)
    if dev not in table.devices or not table.devices[dev].up:
        raise DeviceGone(f"{dev} is down")
    return ()


def lladdrs_of(devices: list[KernelDevice]) -> dict[bytes, str]:
    """The devices' names, by their link-layer addresses."""
    return {device.link.lladdr: device.name for device in devices if device.link.lladdr}
