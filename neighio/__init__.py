"""Linux's neighbouring subsystem as a structured-concurrency library.

``async with neighio.open_table("eth0") as table: mac = await table.resolve("198.51.100.7", "eth0")``
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .address import IPAddress as IPAddress
    from .address import LinkAddress as LinkAddress
    from .address import Network as Network
    from .administration import Cache as Cache
    from .administration import CacheStatistics as CacheStatistics
    from .administration import EntryOptions as EntryOptions
    from .administration import TableStatistics as TableStatistics
    from .core.events import AddressConflict as AddressConflict
    from .core.events import Change as Change
    from .core.events import DelNeighbour as DelNeighbour
    from .core.events import Miss as Miss
    from .core.events import NewNeighbour as NewNeighbour
    from .core.events import PacketFailed as PacketFailed
    from .core.events import Received as Received
    from .core.neighbour import Neighbour as Neighbour
    from .core.proxy import ProxyEntry as ProxyEntry
    from .device import AttachedDevice as AttachedDevice
    from .device import Device as Device
    from .echo import answer_echo as answer_echo
    from .errors import AdminError as AdminError
    from .errors import DeviceGone as DeviceGone
    from .errors import DuplicateAddress as DuplicateAddress
    from .errors import InternalError as InternalError
    from .errors import InvalidAddress as InvalidAddress
    from .errors import MalformedFrame as MalformedFrame
    from .errors import NeighioError as NeighioError
    from .errors import NotPermitted as NotPermitted
    from .errors import PacketDropped as PacketDropped
    from .errors import SubscriberOverflow as SubscriberOverflow
    from .errors import TableFull as TableFull
    from .errors import Unreachable as Unreachable
    from .link.base import Link as Link
    from .link.tap import open_tap as open_tap
    from .packet_stream import PacketStream as PacketStream
    from .probe import Reply as Reply
    from .publication import Idle as Idle
    from .publication import Published as Published
    from .reference import HeldNeighbour as HeldNeighbour
    from .states import NudState as NudState
    from .subscription import EventStream as EventStream
    from .sweep import Sweep as Sweep
    from .sweep import SweepProgress as SweepProgress
    from .table import NeighbourTable as NeighbourTable
    from .table import open_table as open_table

__version__ = "0.1.0"

# A name is imported when it is first asked for: a program that wants an error or an address alone, and
# whoever asks a command for its help, need not wait for the whole machine.
_HOMES: Final = {
    "address": ("IPAddress", "LinkAddress", "Network"),
    "administration": ("Cache", "CacheStatistics", "EntryOptions", "TableStatistics"),
    "core.events": (
        "AddressConflict",
        "Change",
        "DelNeighbour",
        "Miss",
        "NewNeighbour",
        "PacketFailed",
        "Received",
    ),
    "core.neighbour": ("Neighbour",),
    "core.proxy": ("ProxyEntry",),
    "device": ("AttachedDevice", "Device"),
    "echo": ("answer_echo",),
    "errors": (
        "AdminError",
        "DeviceGone",
        "DuplicateAddress",
        "InternalError",
        "InvalidAddress",
        "MalformedFrame",
        "NeighioError",
        "NotPermitted",
        "PacketDropped",
        "SubscriberOverflow",
        "TableFull",
        "Unreachable",
    ),
    "link.base": ("Link",),
    "link.tap": ("open_tap",),
    "packet_stream": ("PacketStream",),
    "probe": ("Reply",),
    "publication": ("Idle", "Published"),
    "reference": ("HeldNeighbour",),
    "states": ("NudState",),
    "subscription": ("EventStream",),
    "sweep": ("Sweep", "SweepProgress"),
    "table": ("NeighbourTable", "open_table"),
}
_HOME_OF: Final = {name: home for home, names in _HOMES.items() for name in names}

__all__ = tuple(sorted(_HOME_OF))


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
