"""Multicast listening of hosts: the groups that a device joins are reported, or a switch that snoops would
keep their frames away (RFC 3810; mld_ifc_event, ipv6_mc_dad_complete, igmp6_event_query).

Version 2 alone, and no sources: whoever asks in version 1 is answered in version 2.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final, cast

from ..wire import mld
from ..wire.ipv6 import ALL_MLDV2_ROUTERS, ALL_NODES, UNSPECIFIED, is_link_local
from .constants import AF_INET6
from .events import Membership
from .parameters import HZ_100

if TYPE_CHECKING:
    from .cache import NeighbourCache, Services
    from .device import Device
    from .ndisc import Ndisc

__all__ = ["Listener"]

ROBUSTNESS: Final = 2
"""How often a change is reported (RFC 3810 9.1)."""

UNSOLICITED_REPORT_INTERVAL: Final = 1.0
"""Within how many seconds it is repeated (RFC 3810 9.11)."""


class _Reports:
    """What one device still has to report."""

    __slots__ = ("answer_at", "asked", "changes", "repeat_at")

    def __init__(self) -> None:
        self.changes: dict[bytes, tuple[int, int]] = {}
        """By group: MLD's record type, and how many reports are to carry it still."""
        self.repeat_at: float = inf
        self.asked: set[bytes] = set()
        """The groups that a querier wants to hear of."""
        self.answer_at: float = inf


class Listener:
    """The groups of all devices in the host role, as routers and switches are told of them."""

    __slots__ = ("_caches", "_reports", "_services")

    def __init__(self, services: Services, caches: dict[int, NeighbourCache]) -> None:
        self._services = services
        self._caches = caches
        self._reports: dict[int, _Reports] = {}

    def listen(self, device: Device, group: bytes, *, joined: bool) -> None:
        """Have an attached device's link let a group in, or not any more; a host tells its routers."""
        cache = self._caches.get(AF_INET6)
        if cache is not None and device.index in cache.by_device:
            self._services.outputs.append(Membership(device, group, joined))
            if device.answers:
                self._changed(device, group, joined=joined)

    def _changed(self, device: Device, group: bytes, *, joined: bool) -> None:
        """A group was joined or left: this is reported in a moment, with what else changes by then, and once
        more."""
        if group == ALL_NODES:
            # Everybody is there: nobody reports it (RFC 3810 6).
            return
        kind = mld.CHANGE_TO_EXCLUDE if joined else mld.CHANGE_TO_INCLUDE
        reports = self._reports.setdefault(device.index, _Reports())
        reports.changes[group] = kind, ROBUSTNESS
        self._repeat(device, reports, HZ_100)

    def begin(self, device: Device) -> None:
        """The device came up, has a carrier again or its first link-local address: all that is listened to is
        reported."""
        groups = [group for group in device.groups if group != ALL_NODES]
        if groups:
            reports = self._reports.setdefault(device.index, _Reports())
            reports.changes = dict.fromkeys(groups, (mld.CHANGE_TO_EXCLUDE, ROBUSTNESS))
            self._repeat(device, reports, HZ_100)

    def stop(self, device: Device) -> None:
        """The device is down or gone: nothing can be reported."""
        self._reports.pop(device.index, None)

    def query(self, device: Device, query: mld.Query) -> None:
        """Somebody asks who listens, to one group or to any: the answer comes at a random time within what
        they allow."""
        wanted = {
            group for group in device.groups if group != ALL_NODES and query.group in (UNSPECIFIED, group)
        }
        if wanted:
            services = self._services
            reports = self._reports.setdefault(device.index, _Reports())
            reports.asked |= wanted
            due = services.floor(services.now + services.random.random() * query.max_response)
            reports.answer_at = min(reports.answer_at, due)
            services.rearmed.add(("device", device.index))

    def _repeat(self, device: Device, reports: _Reports, wait: float) -> None:
        reports.repeat_at = self._services.floor(self._services.now + wait)
        self._services.rearmed.add(("device", device.index))

    def _report_changes(self, device: Device, reports: _Reports) -> None:
        self._send(device, [(kind, group) for group, (kind, _) in reports.changes.items()])
        reports.changes = {
            group: (kind, left - 1) for group, (kind, left) in reports.changes.items() if left > 1
        }
        reports.repeat_at = inf
        if reports.changes:
            self._repeat(device, reports, self._services.random.random() * UNSOLICITED_REPORT_INTERVAL)

    def _send(self, device: Device, records: list[tuple[int, bytes]]) -> None:
        cache = self._caches.get(AF_INET6)
        disabled = device.node.switch(device, AF_INET6, "disable_ipv6")
        if cache is not None and device.up and not disabled and records:
            own = [address.ip for address in device.own(AF_INET6) if address.proven]
            source = next(filter(is_link_local, reversed(own)), UNSPECIFIED)
            table = cache.by_device[device.index]
            packet = mld.build_report(source, records)
            cast("Ndisc", cache.protocol).send(table, ALL_MLDV2_ROUTERS, packet)

    # -- time

    def next_deadline(self, index: int) -> float:
        """When something is to be reported for a device, seconds."""
        reports = self._reports.get(index)
        return inf if reports is None else min(reports.repeat_at, reports.answer_at)

    def run(self, device: Device) -> None:
        """Report what is due."""
        reports = self._reports.get(device.index)
        if reports is None:
            return
        now = self._services.now
        if reports.repeat_at <= now:
            self._report_changes(device, reports)
        if reports.answer_at <= now:
            reports.answer_at = inf
            asked, reports.asked = reports.asked & device.groups.keys(), set()
            self._send(device, [(mld.MODE_IS_EXCLUDE, group) for group in sorted(asked)])
