"""Multicast listening of hosts: the groups that a device joins are reported, or a switch that snoops would
keep their frames away (RFC 3810; mld_ifc_event, ipv6_mc_dad_complete, igmp6_event_query).

Version 2, without sources; after a query of version 1 that version, until none was heard for a while (RFC
3810 8, RFC 2710; mld_process_v1, igmp6_join_group, igmp6_leave_group, igmp6_event_report).
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final, cast

from ..wire import mld
from ..wire.ipv6 import ALL_MLDV2_ROUTERS, ALL_NODES, ALL_ROUTERS, UNSPECIFIED, is_link_local
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


OLD_UNSOLICITED_REPORT_INTERVAL: Final = 10.0
"""The same in version 1 (RFC 2710 7.10)."""

OLDER_VERSION_QUERIER_PRESENT: Final = ROBUSTNESS * 125.0 + 10.0
"""For how many seconds after a query of version 1 that version is spoken: twice the query interval, and what
a querier gives to answer (RFC 3810 9.12)."""

LONGEST_OLD_RESPONSE: Final = 32.767
"""Of a query of version 2 that is heeded as one of version 1, seconds (MLDV1_MRD_MAX_COMPAT)."""


class _Reports:
    """What one device still has to report."""

    __slots__ = ("answer_at", "asked", "changes", "old_due", "old_last", "old_until", "repeat_at")

    def __init__(self) -> None:
        self.changes: dict[bytes, tuple[int, int]] = {}
        """By group: MLD's record type, and how many reports are to carry it still."""
        self.repeat_at: float = inf
        self.asked: set[bytes] = set()
        """The groups that a querier wants to hear of."""
        self.answer_at: float = inf
        self.old_until: float = -inf
        """Until when version 1 is spoken, seconds."""
        self.old_due: dict[bytes, float] = {}
        """When a group is to be reported in version 1, seconds."""
        self.old_last: set[bytes] = set()
        """The groups of which nobody has reported in version 1 since we did."""


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
        reports = self._reports.setdefault(device.index, _Reports())
        if self._speaks_old(device, reports):
            self._changed_old(device, reports, group, joined=joined)
            return
        kind = mld.CHANGE_TO_EXCLUDE if joined else mld.CHANGE_TO_INCLUDE
        reports.changes[group] = kind, ROBUSTNESS
        self._repeat(device, reports, HZ_100)

    def begin(self, device: Device) -> None:
        """The device came up or has a carrier again: all that is listened to is reported, in version 2 unless
        the other is forced, for there may be other routers now."""
        self.stop(device)
        self._report_all(device)

    def have_source(self, device: Device) -> None:
        """The device has its first link-local address: what was reported before came from nowhere
        (mld_send_initial_cr)."""
        if not self._speaks_old(device, self._reports.setdefault(device.index, _Reports())):
            self._report_all(device)

    def _report_all(self, device: Device) -> None:
        groups = [group for group in device.groups if group != ALL_NODES]
        reports = self._reports.setdefault(device.index, _Reports())
        if self._speaks_old(device, reports):
            for group in groups:
                self._changed_old(device, reports, group, joined=True)
        elif groups:
            reports.changes = dict.fromkeys(groups, (mld.CHANGE_TO_EXCLUDE, ROBUSTNESS))
            self._repeat(device, reports, HZ_100)

    def stop(self, device: Device) -> None:
        """The device is down or gone: nothing can be reported."""
        self._reports.pop(device.index, None)

    def query(self, device: Device, query: mld.Query) -> None:
        """Somebody asks who listens, to one group or to any: the answer comes at a random time within what
        they allow."""
        services = self._services
        reports = self._reports.setdefault(device.index, _Reports())
        wanted = {
            group for group in device.groups if group != ALL_NODES and query.group in (UNSPECIFIED, group)
        }
        if query.version == 1:
            if self._forced(device) == 2:
                return
            reports.old_until = services.now + OLDER_VERSION_QUERIER_PRESENT
        if self._speaks_old(device, reports):
            longest = inf if query.version == 1 else LONGEST_OLD_RESPONSE
            self._query_old(device, reports, wanted, min(query.max_response, longest))
        elif wanted:
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
        if records:
            self._send_packet(device, ALL_MLDV2_ROUTERS, mld.build_report(self._source(device), records))

    @staticmethod
    def _source(device: Device) -> bytes:
        own = [address.ip for address in device.own(AF_INET6) if address.proven]
        return next(filter(is_link_local, reversed(own)), UNSPECIFIED)

    def _send_packet(self, device: Device, dst: bytes, packet: bytes) -> None:
        cache = self._caches.get(AF_INET6)
        if cache is not None and device.up and not device.node.switch(device, AF_INET6, "disable_ipv6"):
            cast("Ndisc", cache.protocol).send(cache.by_device[device.index], dst, packet)

    # -- version 1

    @staticmethod
    def _forced(device: Device) -> int:
        return device.node.switch(device, AF_INET6, "force_mld_version")

    def _speaks_old(self, device: Device, reports: _Reports) -> bool:
        forced = self._forced(device)
        return forced == 1 or (forced == 0 and self._services.now < reports.old_until)

    def _query_old(self, device: Device, reports: _Reports, wanted: set[bytes], within: float) -> None:
        """Each group is reported at a random time of its own. What waited to be said in version 2 is not."""
        services = self._services
        reports.changes.clear()
        reports.asked.clear()
        reports.repeat_at = reports.answer_at = inf
        for group in sorted(wanted):
            if reports.old_due.get(group, inf) >= services.now + within:
                reports.old_due[group] = services.floor(services.now + services.random.random() * within)
        services.rearmed.add(("device", device.index))

    def _changed_old(self, device: Device, reports: _Reports, group: bytes, *, joined: bool) -> None:
        """A group that is joined is reported at once and once more; routers are told of one that is left,
        unless somebody else has reported it since."""
        services = self._services
        if joined:
            self._send_old(device, group)
            reports.old_last.add(group)
            wait = services.random.random() * OLD_UNSOLICITED_REPORT_INTERVAL
            reports.old_due[group] = services.floor(services.now + wait)
            services.rearmed.add(("device", device.index))
            return
        reports.old_due.pop(group, None)
        if group in reports.old_last:
            reports.old_last.discard(group)
            self._send_old(device, group, done=True)

    def hear(self, device: Device, group: bytes) -> None:
        """Another listener has reported a group in version 1: routers know that somebody is there."""
        reports = self._reports.get(device.index)
        if reports is not None:
            reports.old_due.pop(group, None)
            reports.old_last.discard(group)

    def _report_old(self, device: Device, reports: _Reports) -> None:
        now = self._services.now
        for group in [group for group, due in reports.old_due.items() if due <= now]:
            del reports.old_due[group]
            if group not in device.groups:
                continue
            if self._speaks_old(device, reports):
                self._send_old(device, group)
                reports.old_last.add(group)
            else:
                self._send(device, [(mld.MODE_IS_EXCLUDE, group)])

    def _send_old(self, device: Device, group: bytes, *, done: bool = False) -> None:
        packet = mld.build_old_report(self._source(device), group, done=done)
        self._send_packet(device, ALL_ROUTERS if done else group, packet)

    # -- time

    def next_deadline(self, index: int) -> float:
        """When something is to be reported for a device, seconds."""
        reports = self._reports.get(index)
        if reports is None:
            return inf
        return min(reports.repeat_at, reports.answer_at, *reports.old_due.values())

    def run(self, device: Device) -> None:
        """Report what is due."""
        reports = self._reports.get(device.index)
        if reports is None:
            return
        now = self._services.now
        if reports.old_due:
            self._report_old(device, reports)
        if reports.repeat_at <= now:
            self._report_changes(device, reports)
        if reports.answer_at <= now:
            reports.answer_at = inf
            asked, reports.asked = reports.asked & device.groups.keys(), set()
            self._send(device, [(mld.MODE_IS_EXCLUDE, group) for group in sorted(asked)])
