"""Who else answers for the addresses of this host?"""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote
from typing import Final

import trio

from ...address import LinkAddress, format_ip
from ...core.constants import IFF_LOOPBACK
from ...errors import NeighioError
from ...table import NeighbourTable, open_table
from ..kernel_devices import KernelDevice
from ..owners import find_owners, lladdrs_of
from ..running import explain
from .findings import Finding, Level
from .interfaces import is_askable

__all__ = ["find_responders"]

TRIES: Final = 2
PATIENCE: Final = 0.3
"""How long an answer is waited for, each time, and further ones after it, seconds."""

MOST: Final = 256
"""So many addresses of a device are asked for; nobody waits for more."""

AT_ONCE: Final = 64

Answers = dict[bytes, tuple[LinkAddress, ...]]


async def find_responders(
    devices: Sequence[KernelDevice], everybody: Sequence[KernelDevice]
) -> list[Finding]:
    """Ask on each of some devices whether somebody else has its addresses; ``everybody`` is all devices."""
    await trio.lowlevel.checkpoint()
    askable = [device for device in devices if is_askable(device) and device.own()]
    own = lladdrs_of([device for device in everybody if not device.link.flags & IFF_LOOPBACK])
    found: list[Finding] = []
    try:
        async with open_table() as table:
            for device in askable:
                try:
                    await table.attach(device.name)
                    answers = await _ask(table, device)
                except NeighioError as error:
                    found.append(_unasked(device.name, explain(error)))
                else:
                    found += _judge(device, answers, own)
    except NeighioError as error:
        found.append(_unasked("duplicates", explain(error)))
    return found


def _unasked(subject: str, reason: str) -> Finding:
    return Finding(
        Level.NOTE,
        "link",
        subject,
        "not asked who else has its addresses",
        reason,
    )


async def _ask(table: NeighbourTable, device: KernelDevice) -> Answers:
    """Who answers for each of a device's addresses.

    Raises:
        NeighioError: it cannot be asked.
    """
    await trio.lowlevel.checkpoint()
    for family in (4, 6):
        table.set(device.name, family, retrans_time=PATIENCE)
    limiter = trio.CapacityLimiter(AT_ONCE)
    answers: Answers = {}

    async def ask(ip: bytes) -> None:
        async with limiter:
            answers[ip] = await find_owners(table, ip, device.name, tries=TRIES, listen=PATIENCE)

    failure: NeighioError | None = None
    try:
        async with trio.open_nursery() as nursery:
            for ip in device.own()[:MOST]:
                nursery.start_soon(ask, ip)
    except* NeighioError as group:
        failure = next(error for error in group.exceptions if isinstance(error, NeighioError))
    if failure is not None:
        raise failure
    return answers


def _judge(device: KernelDevice, answers: Answers, own: dict[bytes, str]) -> list[Finding]:
    found = []
    asked = [one for one in device.addresses if one.local in answers]
    for one in asked:
        address, lladdrs = format_ip(one.local), answers[one.local]
        others = [str(lladdr) for lladdr in lladdrs if lladdr not in own]
        ours = sorted({own[lladdr] for lladdr in lladdrs if own.get(lladdr, device.name) != device.name})
        if others:
            found.append(
                Finding(
                    Level.PROBLEM,
                    "link",
                    device.name,
                    f"{address} is answered for by {' and '.join(others)}, too",
                    "some neighbours send to us what is meant for the other, and some the other way round: "
                    "one of the two has to give it up",
                    f"ip address del {address}/{one.prefixlen} dev {quote(device.name)}    # here, or there",
                )
            )
        if ours:
            found.append(
                Finding(
                    Level.WARNING,
                    "link",
                    device.name,
                    f"{address} is answered for by this host's {' and '.join(ours)}, too",
                    "two of this host's devices are on one link, and the kernel answers on either for all",
                    "sysctl -w net.ipv4.conf.all.arp_ignore=1",
                )
            )
    if not found:
        own_count = len(device.own())
        count = f"its {own_count} address{'es' if own_count > 1 else ''}"
        if len(answers) < own_count:
            count = f"{len(answers)} of {count}; no more were asked for"
        found.append(Finding(Level.OK, "link", device.name, f"nobody else answers for {count}"))
    return found
