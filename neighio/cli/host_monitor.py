"""What ``neighio host`` prints unasked: that it is ready, and what happens to its neighbours and its link."""

from __future__ import annotations

from ..core.events import AddressConflict, DelNeighbour, Miss, NewNeighbour, PacketFailed
from ..device import AttachedDevice
from ..publication import AddressInUse, DeviceChange, Happening
from ..records import Record, Stamp, conflict_record, event_record, failure_record, json_line
from ..table import NeighbourTable
from . import output
from .lines import LineWriter
from .neighbours import neighbour_line

__all__ = ["HostMonitor", "complain"]


def complain(text: str) -> None:
    """Say something on standard error."""
    output.complain(f"neighio host: {text}")


class HostMonitor:
    """The lines between the answers, in one of two forms.

    Args:
        writer: where they go.
        stamp: when something happens.
        form: "text", as ``ip monitor neigh``; "json"; or None for none.
    """

    def __init__(self, writer: LineWriter, stamp: Stamp, form: str | None) -> None:
        self._writer = writer
        self._stamp = stamp
        self._form = form
        self._ready = False

    def say_ready(self, table: NeighbourTable, attached: AttachedDevice) -> None:
        """It answers for its addresses from now on."""
        self._ready = True
        if self._form != "json":
            self._writer.line("ready")
            return
        name = attached.name
        ready = {
            "kind": "ready",
            **self._stamp.at(),
            "monotonic": self._stamp.began,
            "device": name,
            "lladdr": str(attached.lladdr),
            "addresses": attached.addresses,
            # It may have been removed just now.
            "reachable_time": {
                f"ipv{family}": table.parameters(name, family)["reachable_time"]
                for family in (4, 6)
                if attached.present
            },
        }
        self._writer.line(json_line(ready))

    def tell(self, event: Happening) -> None:
        """Something happened."""
        if self._form == "json":
            record = self._record(event)
            if record is not None:
                self._writer.line(json_line(record))
        elif isinstance(event, AddressConflict):
            # Until we are ready it is what we end with.
            if self._ready:
                complain(str(event))
        elif self._form == "text" and isinstance(event, NewNeighbour | DelNeighbour | Miss):
            self._writer.line(neighbour_line(event_record(event, self._stamp), _plain))

    def _record(self, event: Happening) -> Record | None:
        match event:
            case NewNeighbour() | DelNeighbour() | Miss():
                return event_record(event, self._stamp)
            case AddressConflict():
                return conflict_record(event, self._stamp)
            case PacketFailed(reported=True):
                return failure_record(event, self._stamp)
            case AddressInUse() if self._ready:
                # Those before are told of with "ready".
                return {
                    "kind": "address",
                    **self._stamp.at(event.time),
                    "address": event.ip,
                    "device": event.device,
                }
            case DeviceChange():
                return {
                    "kind": "link",
                    **self._stamp.at(event.time),
                    "device": event.device,
                    "present": event.present,
                    "up": event.up,
                    "carrier": event.carrier,
                }
            case _:
                return None


def _plain(text: str, kind: str) -> str:
    """Standard output is read by programs: a state has no colour."""
    return text
