"""The TAP device that ``neighio host`` is behind."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

import trio

from ..address import LinkAddress
from ..core.constants import IFF_UP
from ..errors import NotPermitted

if TYPE_CHECKING:
    from ..link.tap import TapLink

__all__ = ["open_tap_up"]

_NOT_PERMITTED: Final = """\
the interface {name} is down, and to take it up needs the capability CAP_NET_ADMIN: \
`sudo ip link set {name} up`, or run the program with `sudo`"""


async def open_tap_up(name: str, mac: LinkAddress | None) -> TapLink:
    """Open a TAP device and take its interface up.

    Raises:
        NotPermitted, NeighioError, OSError
    """
    from ..kernel import requests
    from ..kernel.netlink import request_sync
    from ..kernel.rtnetlink import LinkMessage, decode
    from ..link.tap import open_tap

    link = open_tap(name, lladdr=mac)
    try:
        (reply,) = request_sync(requests.get_link(link.index))
        interface = decode(reply)
        if isinstance(interface, LinkMessage) and not interface.flags & IFF_UP:
            request_sync(requests.set_link(link.index, up=True))
    except OSError as error:
        with trio.CancelScope(shield=True):
            await link.aclose()
        if error.errno == errno.EPERM:
            raise NotPermitted(_NOT_PERMITTED.format(name=name)) from None
        raise
    await trio.lowlevel.checkpoint()
    return link
