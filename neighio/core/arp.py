"""ARP over the cache (RFC 826 as net/ipv4/arp.c has it).

In the client role it resolves and listens, and answers nobody: what Linux does with an entry because of a
request for one of its addresses is done, what it does because of sending the answer is not. In the host role
it answers, for its own addresses and as a proxy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ..wire import arp as wire
from ..wire.ethernet import BROADCAST, ipv4_multicast_lladdr, is_group
from .constants import (
    AF_INET,
    IFF_NOARP,
    NEIGH_UPDATE_F_OVERRIDE,
    NUD_NOARP,
    NUD_REACHABLE,
    NUD_STALE,
    RT_SCOPE_LINK,
    RTN_BROADCAST,
    RTN_LOCAL,
    RTN_MULTICAST,
    RTN_UNICAST,
)
from .device import LIMITED_BROADCAST
from .events import Transmit
from .protocol import NeighbourProtocol
from .proxy import find_proxy

if TYPE_CHECKING:
    from .cache import DeviceTable
    from .device import Device
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


class Arp(NeighbourProtocol):
    """The ARP cache's protocol."""

    family = AF_INET
    ethertype = b"\x08\x06"
    evict_nocarrier = "arp_evict_nocarrier"

    __slots__ = ()

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
        kind = store.type[row] = device.node.address_type(key)
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

    def solicit(self, row: int, context: Packet | None, *, unicast: bool) -> None:
        """Send one request (arp_solicit)."""
        cache = self.cache
        device = cache.table_of(row).device
        target = cache.store.key_of(row)
        source = device.node.source_for(target, device, None if context is None else context.source)
        self._request(device, source or NOBODY, target, cache.lladdr(row) if unicast else BROADCAST)

    def solicit_once(self, row: int, *, unicast: bool, source: bytes | None) -> None:
        cache = self.cache
        device = cache.table_of(row).device
        target = cache.store.key_of(row)
        if source is None:
            source = device.node.source_for(target, device, None)
        dst = self.known_lladdr(row) if unicast else None
        self._request(device, source or NOBODY, target, dst or BROADCAST)

    def solicitations(self, table: DeviceTable, keys: Sequence[bytes]) -> list[bytes]:
        device = table.device
        if device.noarp:
            return []
        node = device.node
        if len(list(device.own(AF_INET))) > 1:
            return [
                self._broadcast(device, node.source_for(key, device, None) or NOBODY) + key for key in keys
            ]
        # Whoever has one address asks from it, whomever.
        head = self._broadcast(device, node.source_for(keys[0], device, None) or NOBODY)
        return [head + key for key in keys]

    @staticmethod
    def _broadcast(device: Device, source: bytes) -> bytes:
        """A request to everybody, without the address that it asks for."""
        frame = wire.build(
            wire.ARPOP_REQUEST, source, device.lladdr, NOBODY, NO_LLADDR, dst=BROADCAST, src=device.lladdr
        )
        return frame[:-4]

    def _request(self, device: Device, source: bytes, target: bytes, dst: bytes) -> None:
        if not device.noarp:
            self.send(device, wire.ARPOP_REQUEST, source, target, NO_LLADDR, dst)

    def send(
        self,
        device: Device,
        op: int,
        spa: bytes,
        tpa: bytes,
        tha: bytes,
        dst: bytes,
        *,
        lladdr: bytes | None = None,
    ) -> None:
        """Send one message, from the device's link-layer address or another; ARP goes past the entries
        (arp_send_dst)."""
        own = lladdr or device.lladdr
        frame = wire.build(op, spa, own, tpa, tha, dst=dst, src=own)
        self.cache.outputs.append(Transmit(device, frame, None))

    # -- reception

    def receive(
        self, table: DeviceTable, frame: bytes, *, partial_checksum: bool = False, delayed: bool = False
    ) -> str | None:
        """Take one frame in (arp_rcv, arp_process); ``delayed`` when it comes from the proxy's queue."""
        device = table.device
        if device.flags & IFF_NOARP:
            return DROP_NOARP
        dst = frame[:6]
        to_us = dst == device.lladdr
        if not to_us and not is_group(dst):
            return DROP_OTHER_HOST
        fields = wire.parse(frame, addr_len=device.addr_len)
        if isinstance(fields, str):
            return fields
        op, sip, sha, tip, tha = fields
        first = tip[0]
        if first & 0xF0 == 0xE0:
            return DROP_TARGET_MULTICAST
        if first == 127 and not self.switch(device, "route_localnet"):
            return DROP_TARGET_LOOPBACK
        if sip == tip and self.switch(device, "drop_gratuitous_arp"):
            return DROP_GRATUITOUS
        if device.answers and not delayed:
            self.cache.services.claims.hear_arp(device, op, sip, sha, tip)
        if sip == NOBODY:
            if op == wire.ARPOP_REQUEST and device.node.address_type(tip) == RTN_LOCAL:
                self._answer(device, sip, sha, tip, heed_filter=False)
            return None
        if op == wire.ARPOP_REPLY:
            if table.targets or self.cache.services.probed:
                self.heard(table, sip, sha)
        else:
            ours = device.node.is_local(tip)
            if (ours or device.answers) and self._request_is_consumed(
                table, sip, sha, tip, frame, ours=ours, at_once=delayed or to_us
            ):
                return None
        self._learn(table, op, sip, sha, tip, tha, to_us)
        return None

    def _request_is_consumed(
        self,
        table: DeviceTable,
        sip: bytes,
        sha: bytes,
        tip: bytes,
        frame: bytes,
        *,
        ours: bool,
        at_once: bool,
    ) -> bool:
        """Whether a request is for this node, be it as a proxy; then its sender is known and answered."""
        device = table.device
        if self._martian(device, sip):
            return False
        if ours:
            if self._may_answer(device, sip, tip) and self._learn_requester(table, sip, sha):
                self._answer(device, sip, sha, tip)
            return True
        if not device.answers or not self._proxies(device, sip, tip):
            return False
        # Unlike an own address's, this answer does not depend on whether the asker can be known.
        self._learn_requester(table, sip, sha)
        if at_once or not table.parms.proxy_delay:
            self._reply(device, sip, sha, tip)
        else:
            self.cache.proxy_queue.push(table, frame)
        return True

    def _martian(self, device: Device, sip: bytes) -> bool:
        """Whether no route back to the sender can be (ip_route_input_slow, without rp_filter)."""
        first = sip[0]
        if first >= 127 and (
            sip == LIMITED_BROADCAST
            or first & 0xF0 == 0xE0
            or (first == 127 and not self.switch(device, "route_localnet"))
        ):
            return True
        return device.node.owns(sip)

    def _may_answer(self, device: Device, sip: bytes, tip: bytes) -> bool:
        """Whether arp_ignore and arp_filter let a request for a local address be answered. One that may
        not be answered does not touch the table either (arp_ignore, arp_filter)."""
        if self._ignores(device, sip, tip):
            return False
        if self.switch(device, "arp_filter"):
            back = device.node.route(sip)
            return back is not None and back.device is device
        return True

    def _ignores(self, device: Device, sip: bytes, tip: bytes) -> bool:
        ignore = self.switch(device, "arp_ignore")
        node = device.node
        if ignore in (1, 2):
            here = any(address.ip == tip for address in device.own(AF_INET))
            near = ignore == 1 or sip == NOBODY or device.subnet_contains(sip, tip)
            return not (here and near)
        if ignore == 3:
            return not any(
                node.scope(owner, address) <= RT_SCOPE_LINK
                for owner in node.devices.values()
                for address in owner.own(AF_INET)
                if address.ip == tip
            )
        return ignore == 8

    def _answer(
        self, device: Device, sip: bytes, sha: bytes, tip: bytes, *, heed_filter: bool = True
    ) -> None:
        """Answer for an address of ours, in the host role."""
        if device.answers and (heed_filter or not self._ignores(device, sip, tip)):
            self._reply(device, sip, sha, tip)

    def _reply(self, device: Device, sip: bytes, sha: bytes, tip: bytes) -> None:
        self.send(device, wire.ARPOP_REPLY, tip, sip, sha, sha)

    def _proxies(self, device: Device, sip: bytes, tip: bytes) -> bool:
        """Whether a device answers for an address that lies elsewhere (arp_fwd_proxy, arp_fwd_pvlan)."""
        if not self.switch(device, "forwarding") or device.node.address_type(tip) != RTN_UNICAST:
            return False
        there = device.node.route(tip)
        if there is None:
            return False
        if there.device is device:
            return sip != tip and bool(self.switch(device, "proxy_arp_pvlan"))
        return bool(self.switch(device, "proxy_arp")) or find_proxy(self.cache, tip, device.index) is not None

    def _learn_requester(self, table: DeviceTable, sip: bytes, sha: bytes) -> bool:
        """Somebody asks for an address of ours: know them, whatever was known before (neigh_event_ns).
        Returns whether there is an entry."""
        row = self.cache.lookup(table, sip) or self.create(table, sip)
        if row:
            self.update(row, sha, NUD_STALE, NEIGH_UPDATE_F_OVERRIDE)
        return bool(row)

    def _learn(
        self, table: DeviceTable, op: int, sip: bytes, sha: bytes, tip: bytes, tha: bytes, to_us: bool
    ) -> None:
        """Any other message is evidence for an entry that exists, and with arp_accept makes one."""
        cache = self.cache
        device = table.device
        row = cache.lookup(table, sip)
        if not row and not (device.in_force[AF_INET]["arp_accept"] and self._accepts(device, sip)):
            return
        reply = op == wire.ARPOP_REPLY
        gratuitous = sip == tip and (not reply or tha == sha) and self._is_unicast(device, sip)
        if not row:
            if not (gratuitous or (reply and self._is_unicast(device, sip))):
                return
            row = self.create(table, sip)
            if not row:
                return
        state = NUD_STALE
        if reply and to_us:
            state = NUD_REACHABLE
            if cache.nud.answer(row, sha):
                return
        services = cache.services
        locked = services.floor(cache.store.updated[row] + table.parms.locktime)
        override = gratuitous or services.now > locked
        self.update(row, sha, state, NEIGH_UPDATE_F_OVERRIDE if override else 0)

    @staticmethod
    def _is_unicast(device: Device, ip: bytes) -> bool:
        return device.node.address_type(ip) == RTN_UNICAST

    def _accepts(self, device: Device, sip: bytes) -> bool:
        """Whether arp_accept lets a stranger's message create an entry."""
        accept = self.switch(device, "arp_accept")
        return accept == 1 or (accept == 2 and device.node.on_link(device, sip))
