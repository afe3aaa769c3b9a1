"""ARP over the cache (RFC 826 as net/ipv4/arp.c has it), in the client role.

A client resolves and listens. It answers nobody: what Linux does with an entry because of a request for
one of its addresses is done here, what it does because of sending the answer is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..address import LinkAddress
from ..errors import NeighioError
from ..wire import arp as wire
from ..wire.ethernet import BROADCAST, ipv4_multicast_lladdr, is_group
from .constants import (
    AF_INET,
    NEIGH_UPDATE_F_OVERRIDE,
    NUD_NOARP,
    NUD_REACHABLE,
    NUD_STALE,
    NUD_VALID,
    RT_SCOPE_LINK,
    RTN_BROADCAST,
    RTN_LOCAL,
    RTN_MULTICAST,
    RTN_UNICAST,
)
from .create import create
from .events import Answer, Miss, Transmit
from .node import LIMITED_BROADCAST
from .queue import NEIGH_CREATEFAIL

if TYPE_CHECKING:
    from .cache import DeviceTable, NeighbourCache
    from .node import Device, Node
    from .queue import Packet

__all__ = ["DROP_REASONS", "Arp"]

NOBODY: Final = bytes(4)
NO_LLADDR: Final = bytes(6)

DROP_NOARP: Final = "arp_noarp_device"
DROP_OTHER_HOST: Final = "other_host"
DROP_TARGET_MULTICAST: Final = "arp_target_multicast"
DROP_TARGET_LOOPBACK: Final = "arp_target_loopback"
DROP_GRATUITOUS: Final = "drop_gratuitous_arp"

DROP_REASONS: Final = (
    DROP_NOARP,
    DROP_OTHER_HOST,
    DROP_TARGET_MULTICAST,
    DROP_TARGET_LOOPBACK,
    DROP_GRATUITOUS,
    *wire.DROP_REASONS,
)
"""Every reason for which a received frame touches nothing."""


class Arp:
    """The ARP cache's protocol."""

    family = AF_INET
    ethertype = b"\x08\x06"

    __slots__ = ("cache", "node")

    def __init__(self, cache: NeighbourCache) -> None:
        self.cache: NeighbourCache = cache
        self.node: Node = cache.services.node

    # -- what the cache asks

    def output_key(self, device: Device, key: bytes) -> bytes:
        """Behind a loopback or point-to-point device there is only one neighbour."""
        return NOBODY if device.loopback or device.point_to_point else key

    def is_multicast(self, key: bytes) -> bool:
        return key[0] & 0xF0 == 0xE0

    def construct(self, row: int, table: DeviceTable, key: bytes) -> bytes:
        """Recognise the addresses that need no ARP (arp_constructor, arp_mc_map)."""
        store = self.cache.store
        device = table.device
        key = self.output_key(device, key)
        kind = store.type[row] = self.node.address_type(key)
        if not device.header:
            store.nud_state[row] = NUD_NOARP
            return key
        if kind == RTN_MULTICAST:
            lladdr = ipv4_multicast_lladdr(key) if device.addr_len == 6 else device.broadcast
        elif device.noarp or device.loopback:
            lladdr = device.lladdr
        elif kind == RTN_BROADCAST or device.point_to_point:
            lladdr = device.broadcast
        else:
            return key
        store.nud_state[row] = NUD_NOARP
        store.set_lladdr(row, lladdr)
        return key

    def solicit(self, row: int, context: Packet | None) -> None:
        """Send the probe that the counter asks for: unicast, to user space, or broadcast (arp_solicit)."""
        cache = self.cache
        store = cache.store
        table = cache.table_of(row)
        probes = store.probes[row] - table.parms.ucast_solicit
        if probes < 0:
            self._request(row, table, context, cache.lladdr(row))
        elif probes < table.parms.app_solicit:
            cache.notify(Miss, row)
        else:
            self._request(row, table, context, BROADCAST)

    def solicit_once(self, row: int, *, unicast: bool, source: bytes | None) -> None:
        """Send one request outside the counter; unicast only to an address that is known. It comes from
        ``source``, or with None from the address that would ask anyway."""
        cache = self.cache
        known = cache.store.nud_state[row] & NUD_VALID
        dst = cache.lladdr(row) if unicast and known else BROADCAST
        self._request(row, cache.table_of(row), None, dst, source)

    def _request(
        self,
        row: int,
        table: DeviceTable,
        context: Packet | None,
        dst: bytes,
        source: bytes | None = None,
    ) -> None:
        device = table.device
        if device.noarp:
            return
        target = self.cache.store.key_of(row)
        if source is None:
            source = self.node.source_for(target, device, None if context is None else context.source)
        frame = wire.build(
            wire.ARPOP_REQUEST, source, device.lladdr, target, NO_LLADDR, dst=dst, src=device.lladdr
        )
        self.cache.outputs.append(Transmit(device, frame, None))

    # -- reception

    def receive(self, table: DeviceTable, frame: bytes) -> str | None:
        """Take one frame in (arp_rcv, arp_process); returns the reason when it was dropped."""
        device = table.device
        if device.noarp:
            return DROP_NOARP
        dst = frame[:6]
        to_us = dst == device.lladdr
        if not to_us and not is_group(dst):
            return DROP_OTHER_HOST
        fields = wire.parse(frame, addr_len=device.addr_len)
        if isinstance(fields, str):
            return fields
        op, sip, sha, tip, tha = fields
        if tip[0] & 0xF0 == 0xE0:
            return DROP_TARGET_MULTICAST
        if tip[0] == 127 and not self._switch(device, "route_localnet"):
            return DROP_TARGET_LOOPBACK
        if sip == tip and self._switch(device, "drop_gratuitous_arp"):
            return DROP_GRATUITOUS
        if sip == NOBODY:
            return None
        if op == wire.ARPOP_REPLY:
            services = self.cache.services
            if services.probed and (device.index, sip) in services.probed:
                lladdr = bytes.__new__(LinkAddress, sha)
                self.cache.outputs.append(Answer(services.now, device, sip, lladdr))
        elif self.node.address_type(tip) == RTN_LOCAL and not self._martian(device, sip):
            if self._may_answer(device, sip, tip):
                self._learn_requester(table, sip, sha)
            return None
        self._learn(table, op, sip, sha, tip, tha, to_us)
        return None

    def _switch(self, device: Device, name: str) -> int:
        return self.node.switch(device, AF_INET, name)

    def _martian(self, device: Device, sip: bytes) -> bool:
        """Whether no route back to the sender can be (ip_route_input_slow, without rp_filter)."""
        if sip[0] == 127 and not self._switch(device, "route_localnet"):
            return True
        return sip == LIMITED_BROADCAST or sip[0] & 0xF0 == 0xE0 or self.node.owns(sip)

    def _may_answer(self, device: Device, sip: bytes, tip: bytes) -> bool:
        """Whether arp_ignore and arp_filter let a request for a local address be answered. One that may
        not be answered does not touch the table either (arp_ignore, arp_filter)."""
        ignore = self._switch(device, "arp_ignore")
        if ignore in (1, 2):
            here = any(address.ip == tip for address in device.own(AF_INET))
            if not here or (ignore == 2 and not device.subnet_contains(sip, tip)):
                return False
        elif ignore == 3:
            owned = [
                self.node.scope(owner, address)
                for owner in self.node.devices.values()
                for address in owner.own(AF_INET)
                if address.ip == tip
            ]
            if not any(scope <= RT_SCOPE_LINK for scope in owned):
                return False
        elif ignore == 8:
            return False
        if self._switch(device, "arp_filter"):
            back = self.node.route(sip)
            return back is not None and back.device is device
        return True

    def _learn_requester(self, table: DeviceTable, sip: bytes, sha: bytes) -> None:
        """Somebody asks for an address of ours: know them, whatever was known before (neigh_event_ns)."""
        cache = self.cache
        row = cache.lookup(table, sip) or self._create(table, sip)
        if row:
            self._update(row, sha, NUD_STALE, NEIGH_UPDATE_F_OVERRIDE)

    def _learn(
        self, table: DeviceTable, op: int, sip: bytes, sha: bytes, tip: bytes, tha: bytes, to_us: bool
    ) -> None:
        """Any other message is evidence for an entry that exists, and with arp_accept makes one."""
        cache = self.cache
        device = table.device
        row = cache.lookup(table, sip)
        accept = self._accepts(device, sip)
        if not row and not accept:
            return
        reply = op == wire.ARPOP_REPLY
        unicast = self.node.address_type(sip) == RTN_UNICAST
        gratuitous = sip == tip and unicast and (not reply or tha == sha)
        if not row:
            if not (gratuitous or (reply and unicast)):
                return
            row = self._create(table, sip)
            if not row:
                return
        now = cache.services.now
        override = gratuitous or now > cache.store.updated[row] + table.parms.locktime
        state = NUD_REACHABLE if reply and to_us else NUD_STALE
        self._update(row, sha, state, NEIGH_UPDATE_F_OVERRIDE if override else 0)

    def _accepts(self, device: Device, sip: bytes) -> bool:
        """Whether arp_accept lets a stranger's message create an entry."""
        accept = self._switch(device, "arp_accept")
        return accept == 1 or (accept == 2 and self.node.on_link(device, sip))

    def _create(self, table: DeviceTable, key: bytes) -> int:
        """Make an entry for a sender; 0 when the table refuses, which is counted: the wire is not told."""
        try:
            return create(self.cache, table, key)
        except NeighioError:
            table.device.count_drop(NEIGH_CREATEFAIL)
            return 0

    def _update(self, row: int, lladdr: bytes, state: int, flags: int) -> None:
        cache = self.cache
        cache.hold(row)
        cache.nud.update(row, lladdr, state, flags)
        cache.release(row)
