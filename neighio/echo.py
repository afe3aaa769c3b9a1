"""ICMP echo for a host in user space: what makes it visible to ``ping``."""

from __future__ import annotations

import trio

from .device import AttachedDevice
from .errors import NeighioError
from .wire.icmp import echo_reply

__all__ = ["answer_echo"]


async def answer_echo(
    device: AttachedDevice, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Answer echo requests (ICMP, RFC 792; ICMPv6, RFC 4443) to a host's own addresses until cancelled, or
    until the device goes or the table is closed: ``await nursery.start(answer_echo, device)``.

    The answers go through the table, which resolves whom they go to. One that has no way back is dropped.

    Raises:
        ValueError: the device is a client.
    """
    async with device.packets() as incoming:
        task_status.started()
        async for packet in incoming:
            reply = echo_reply(packet.packet)
            if reply is not None:
                try:
                    device.send_nowait(reply)
                except NeighioError:
                    # No route, or no room for its neighbour: what the kernel would not tell anybody either.
                    continue
                except trio.ClosedResourceError:
                    return
