"""IPv6 Neighbour Discovery over the cache (RFC 4861 as net/ipv6/ndisc.c has it).

As in ARP, a client resolves and listens and answers nobody; a host answers for its own addresses and as a
proxy. What Neighbour Discovery sends goes through the entries itself, as any packet: an answer to somebody
who is STALE starts a DELAY, and what goes to a group makes an entry of the group. No list of routers or
prefixes is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from ..wire import mld
from ..wire import ndisc as wire
from ..wire.ethernet import ipv6_multicast_lladdr, is_group
from ..wire.ipv6 import (
    ALL_NODES,
    IPPROTO_ICMPV6,
    IPPROTO_UDP,
    IPV6_HLEN,
    UNSPECIFIED,
    is_link_local,
    is_multicast,
    solicited_node,
)
from . import upper
from .constants import (
    AF_INET6,
    NEIGH_UPDATE_F_ISROUTER,
    NEIGH_UPDATE_F_OVERRIDE,
    NEIGH_UPDATE_F_OVERRIDE_ISROUTER,
    NEIGH_UPDATE_F_WEAK_OVERRIDE,
    NTF_ROUTER,
    NUD_FAILED,
    NUD_NOARP,
    NUD_REACHABLE,
    NUD_STALE,
    RTN_LOCAL,
    RTN_MULTICAST,
    RTN_UNICAST,
)
from .events import Transmit
from .parameters import HZ_10, HZ_100
from .protocol import NeighbourProtocol
from .proxy import ProxyEntry, find_proxy
from .queue import Packet

if TYPE_CHECKING:
    from .cache import DeviceTable
    from .device import Device

__all__ = ["DROP_REASONS", "Ndisc"]

DROP_OTHER_HOST: Final = "other_host"
DROP_DISABLED: Final = "ipv6_disabled"
DROP_GROUP: Final = "ipv6_group_not_joined"
DROP_L2_MULTICAST: Final = "drop_unicast_in_l2_multicast"
DROP_NOT_OURS: Final = "ipv6_destination_not_ours"
DROP_TARGET_NOT_OURS: Final = "ndisc_target_not_ours"
DROP_TENTATIVE: Final = "ndisc_target_tentative"
DROP_OWN_NONCE: Final = "ndisc_own_nonce"
DROP_UNSOLICITED: Final = "drop_unsolicited_na"
DROP_OWN_ADVERTISED: Final = "ndisc_advertised_own_address"
DROP_OWN_PROXY: Final = "ndisc_own_proxy_advertisement"
DROP_NOT_A_ROUTER: Final = "ndisc_not_a_router"
DROP_REDIRECTS: Final = "ndisc_redirects_not_accepted"
DROP_REDIRECT_ROUTER: Final = "ndisc_redirect_not_from_first_hop"
DROP_REDIRECT_PACKET: Final = "ndisc_redirect_packet_not_ours"
NO_SOURCE: Final = "ndisc_no_source"
"""A message of ours was not sent: no address of the device's could be its source."""

DROP_REASONS: Final = (
    DROP_OTHER_HOST,
    DROP_DISABLED,
    DROP_GROUP,
    DROP_L2_MULTICAST,
    DROP_NOT_OURS,
    DROP_TARGET_NOT_OURS,
    DROP_TENTATIVE,
    DROP_OWN_NONCE,
    DROP_UNSOLICITED,
    DROP_OWN_ADVERTISED,
    DROP_OWN_PROXY,
    DROP_NOT_A_ROUTER,
    DROP_REDIRECTS,
    DROP_REDIRECT_ROUTER,
    DROP_REDIRECT_PACKET,
    *wire.DROP_REASONS,
    *(reason for reason in mld.DROP_REASONS if reason not in (*wire.DROP_REASONS, mld.DROP_NOT_MLD_QUERY)),
    upper.DROP_NOT_OURS,
    upper.DROP_NO_LISTENER,
)
"""Every reason for which a received frame touches nothing."""

_HEARSAY: Final = NEIGH_UPDATE_F_WEAK_OVERRIDE | NEIGH_UPDATE_F_OVERRIDE
"""What a solicitation, a router's message or a redirect may do: replace the address that was known."""


class Ndisc(NeighbourProtocol):
    """The Neighbour Discovery cache's protocol."""

    family = AF_INET6
    ethertype = b"\x86\xdd"
    evict_nocarrier = "ndisc_evict_nocarrier"

    __slots__ = ()

    # -- what the cache asks

    def is_multicast(self, key: bytes) -> bool:
        return key[0] == 0xFF

    def construct(self, row: int, table: DeviceTable, key: bytes) -> bytes:
        """Recognise the addresses that need no discovery (ndisc_constructor, ndisc_mc_map)."""
        store = self.cache.store
        device = table.device
        multicast = is_multicast(key)
        store.type[row] = RTN_MULTICAST if multicast else RTN_UNICAST
        if not device.header:
            store.nud_state[row] = NUD_NOARP
            return key
        if multicast:
            lladdr = ipv6_multicast_lladdr(key) if device.addr_len == 6 else device.broadcast
        elif device.noarp or device.loopback:
            lladdr = device.lladdr
            if device.loopback:
                store.type[row] = RTN_LOCAL
        elif device.point_to_point:
            lladdr = device.broadcast
        else:
            return key
        store.nud_state[row] = NUD_NOARP
        store.set_lladdr(row, lladdr)
        return key

    def refuses_to_add(self, device: Device) -> str | None:
        return "IPv6 is disabled on this device" if self.switch(device, "disable_ipv6") else None

    def solicit(self, row: int, context: Packet | None, *, unicast: bool) -> None:
        """Send one solicitation, through the entry of whom it goes to (ndisc_solicit)."""
        table = self.cache.table_of(row)
        device = table.device
        target = self.cache.store.key_of(row)
        source = device.node.source_for(target, device, None if context is None else context.source)
        if source is None:
            device.count_drop(NO_SOURCE)
            return
        dst = target if unicast else solicited_node(target)
        self.send(table, dst, self._solicitation(device, source, dst, target))

    def solicit_once(self, row: int, *, unicast: bool, source: bytes | None) -> None:
        device = self.cache.table_of(row).device
        if self._disabled(device):
            return
        target = self.cache.store.key_of(row)
        if source is None:
            source = device.node.source_for(target, device, None)
        if source is None:
            device.count_drop(NO_SOURCE)
            return
        lladdr = self.known_lladdr(row) if unicast else None
        dst = solicited_node(target) if lladdr is None else target
        packet = self._solicitation(device, source, dst, target)
        frame = (lladdr or ipv6_multicast_lladdr(dst)) + device.lladdr + self.ethertype + packet
        self.cache.outputs.append(Transmit(device, frame, None))

    def solicitations(self, table: DeviceTable, keys: Sequence[bytes]) -> list[bytes]:
        device = table.device
        frames = []
        for key in keys:
            source = device.node.source_for(key, device, None)
            if source is None:
                device.count_drop(NO_SOURCE)
                continue
            dst = solicited_node(key)
            head = ipv6_multicast_lladdr(dst) + device.lladdr + self.ethertype
            frames.append(head + self._solicitation(device, source, dst, key))
        return frames

    def _solicitation(self, device: Device, source: bytes, dst: bytes, target: bytes) -> bytes:
        lladdr = device.lladdr if source != UNSPECIFIED else None
        tclass = self.switch(device, "ndisc_tclass")
        return wire.build_solicitation(source, dst, target, lladdr, traffic_class=tclass)

    def _disabled(self, device: Device) -> bool:
        """Whether nothing may leave the device; then it is counted."""
        if self.switch(device, "disable_ipv6"):
            device.count_drop(DROP_DISABLED)
            return True
        return False

    def send(self, table: DeviceTable, dst: bytes, packet: bytes) -> None:
        """Send a message of ours to whom it goes to, through their entry (ndisc_send_skb, ip6_output)."""
        if self._disabled(table.device):
            return
        row = self.cache.find(table, dst) or self.create(table, dst)
        if row:
            self.cache.nud.output(row, Packet(packet, AF_INET6, given=False))

    # -- reception

    def receive(
        self, table: DeviceTable, frame: bytes, *, partial_checksum: bool = False, delayed: bool = False
    ) -> str | None:
        """Take one frame in (ip6_rcv_core, ip6_input, ndisc_rcv)."""
        device = table.device
        to_us = frame[:6] == device.lladdr
        if not to_us and not is_group(frame):
            return DROP_OTHER_HOST
        if self.switch(device, "disable_ipv6"):
            return DROP_DISABLED
        message = wire.parse(
            frame,
            addr_len=device.addr_len,
            checksum=not partial_checksum,
            fragments=not self.switch(device, "suppress_frag_ndisc"),
        )
        if isinstance(message, str):
            other = message == wire.DROP_NOT_NDISC and device.answers
            return self._other(device, frame) if other else message
        reason = self._misdirected(device, message, to_us)
        if reason is not None:
            return reason
        if isinstance(message, wire.Advertisement):
            return self._advertised(table, message, frame[6:12])
        if isinstance(message, wire.Solicitation):
            return self._solicited(table, message, frame, delayed or to_us)
        if isinstance(message, wire.RouterAdvertisement):
            self._router_advertised(table, message)
            return None
        if isinstance(message, wire.RouterSolicitation):
            return self._router_solicited(table, message)
        return self._redirected(table, message)

    def _other(self, device: Device, frame: bytes) -> str | None:
        """What a host receives beside Neighbour Discovery: what is said of its groups, and packets for
        above."""
        services = self.cache.services
        found = mld.parse(frame)
        if isinstance(found, mld.Query):
            services.listener.query(device, found)
            return None
        if isinstance(found, mld.Heard):
            if is_group(frame):
                services.listener.hear(device, found.group)
            return None
        return upper.deliver_ipv6(services, device, frame) if found == mld.DROP_NOT_MLD_QUERY else found

    def _misdirected(self, device: Device, message: wire.Fields, to_us: bool) -> str | None:
        """Why a message is not for this node by its destination, if it is not."""
        dst = message.dst
        if is_multicast(dst):
            return None if dst in device.groups else DROP_GROUP
        if not to_us and self.switch(device, "drop_unicast_in_l2_multicast"):
            return DROP_L2_MULTICAST
        own = device.address(dst)
        if own is not None:
            return DROP_TENTATIVE if own.tentative else None
        if device.node.owns(dst) and not is_link_local(dst):
            return None
        if isinstance(message, wire.Solicitation) and device.node.everywhere[AF_INET6]["proxy_ndp"]:
            # Addressed to whom it asks for, in whose place we answer (ip6_forward_proxy_check).
            return None if dst == message.target and self._proxied(device, dst) else DROP_NOT_OURS
        return DROP_NOT_OURS

    # -- neighbour solicitations

    def _solicited(
        self, table: DeviceTable, message: wire.Solicitation, frame: bytes, at_once: bool
    ) -> str | None:
        """Somebody asks for an address, or wants it (ndisc_recv_ns)."""
        device = table.device
        wanted = message.src == UNSPECIFIED
        own = device.address(message.target)
        router = bool(self.switch(device, "forwarding"))
        if own is not None:
            if not own.proven:
                if wanted:
                    return self._wanted_too(device, message, frame[6:12])
                if not own.optimistic:
                    return DROP_TENTATIVE
        else:
            proxy = self._proxied(device, message.target)
            if proxy is None:
                return DROP_TARGET_NOT_OURS
            if not at_once and is_multicast(message.dst) and table.parms.proxy_delay:
                self.cache.proxy_queue.push(table, frame)
                return None
            router = bool(proxy.flags & NTF_ROUTER)
        if wanted:
            if device.answers:
                self.advertise(table, ALL_NODES, message.target, router=router, override=own is not None)
            return None
        multicast = is_multicast(message.dst)
        if multicast:
            self.cache.statistics.rcv_probes_mcast += 1
        else:
            self.cache.statistics.rcv_probes_ucast += 1
        row = self.cache.lookup(table, message.src)
        if not row and (not multicast or message.lladdr or not device.addr_len):
            row = self.create(table, message.src)
        if row:
            # Whoever is answered is held until then, as an application's probe for the answer tells.
            self.cache.hold(row)
            self.cache.nud.update(row, message.lladdr, NUD_STALE, _HEARSAY)
            if device.answers:
                self.advertise(
                    table,
                    message.src,
                    message.target,
                    router=router,
                    solicited=True,
                    override=own is not None and multicast,
                    with_lladdr=multicast,
                )
            self.cache.release(row)
        return None

    def _wanted_too(self, device: Device, message: wire.Solicitation, lladdr: bytes) -> str | None:
        """Another node tries to claim an address while we do."""
        claims = self.cache.services.claims
        if message.nonce is not None and claims.is_own_nonce(device, message.target, message.nonce):
            return DROP_OWN_NONCE
        claims.duplicate(device, message.target, lladdr)
        return None

    def _proxied(self, device: Device, target: bytes) -> ProxyEntry | None:
        """The proxy entry for which a router in the host role answers, if there is one."""
        if device.answers and self.switch(device, "forwarding") and self.switch(device, "proxy_ndp"):
            return find_proxy(self.cache, target, device.index)
        return None

    def advertise(
        self,
        table: DeviceTable,
        dst: bytes,
        target: bytes,
        *,
        router: bool,
        override: bool,
        solicited: bool = False,
        with_lladdr: bool = True,
        lladdr: bytes | None = None,
    ) -> None:
        """Send an advertisement (ndisc_send_na). It comes from the target, if that is ours.

        ``lladdr`` is told in place of the device's link-layer address, and the frame comes from there; to a
        group alone."""
        device = table.device
        own = device.address(target)
        if own is not None:
            source: bytes | None = target
            override = override and not own.optimistic
            with_lladdr = with_lladdr or bool(self.switch(device, "force_tllao"))
        else:
            source = device.node.ipv6_source(device, dst)
        if source is None:
            device.count_drop(NO_SOURCE)
            return
        packet = wire.build_advertisement(
            source,
            dst,
            target,
            (lladdr or device.lladdr) if with_lladdr else None,
            router=router,
            solicited=solicited,
            override=override,
            traffic_class=self.switch(device, "ndisc_tclass"),
        )
        if lladdr is None:
            self.send(table, dst, packet)
        elif not self._disabled(device):
            # Past the entry of the group, which has the device's own address in its frames.
            frame = ipv6_multicast_lladdr(dst) + lladdr + self.ethertype + packet
            self.cache.outputs.append(Transmit(device, frame, None))

    # -- neighbour advertisements

    def _advertised(self, table: DeviceTable, message: wire.Advertisement, sender: bytes) -> str | None:
        """Somebody says where an address is (ndisc_recv_na)."""
        device = table.device
        cache = self.cache
        if not message.solicited and self.switch(device, "drop_unsolicited_na"):
            return DROP_UNSOLICITED
        own = device.address(message.target)
        found = message.lladdr or sender
        # Before all else: who asks for an address of the kernel's own asks whether another has it, too.
        self.heard(table, message.target, found)
        if own is not None:
            if device.answers:
                if own.proven:
                    cache.services.claims.conflict(device, message.target, found)
                else:
                    cache.services.claims.duplicate(device, message.target, found)
            return DROP_OWN_ADVERTISED
        row = cache.lookup(table, message.target)
        state = NUD_REACHABLE if message.solicited else NUD_STALE
        if not row:
            if message.lladdr is None or not self._accepts_untracked(device, message.src):
                return None
            row = self.create(table, message.target)
            if not row:
                return None
            state = NUD_STALE
        if cache.store.nud_state[row] & NUD_FAILED:
            return None
        everywhere = device.node.everywhere[AF_INET6]
        if (
            message.lladdr == device.lladdr
            and everywhere["forwarding"]
            and everywhere["proxy_ndp"]
            and find_proxy(cache, message.target, device.index)
        ):
            return DROP_OWN_PROXY
        flags = NEIGH_UPDATE_F_WEAK_OVERRIDE | NEIGH_UPDATE_F_OVERRIDE_ISROUTER
        if message.override:
            flags |= NEIGH_UPDATE_F_OVERRIDE
        if message.router:
            flags |= NEIGH_UPDATE_F_ISROUTER
        self.update(row, message.lladdr, state, flags)
        return None

    def _accepts_untracked(self, device: Device, source: bytes) -> bool:
        """Whether a router makes an entry of an advertisement that nobody asked for (RFC 9131 6.1.1)."""
        accept = self.switch(device, "accept_untracked_na") if self.switch(device, "forwarding") else 0
        return accept == 1 or (accept == 2 and device.subnet_contains(source))

    # -- routers

    def _router_solicited(self, table: DeviceTable, message: wire.RouterSolicitation) -> str | None:
        """Somebody looks for routers; if we are one, they are no router (ndisc_recv_rs)."""
        if not self.switch(table.device, "forwarding"):
            return DROP_NOT_A_ROUTER
        if message.src != UNSPECIFIED:
            self._learn(table, message.src, message.lladdr, NEIGH_UPDATE_F_OVERRIDE_ISROUTER)
        return None

    def _router_advertised(self, table: DeviceTable, message: wire.RouterAdvertisement) -> None:
        """A router tells of itself and of the link's times (ndisc_router_discovery, RFC 4861 6.3.4)."""
        device = table.device
        accept = self.switch(device, "accept_ra")
        if accept == 2 or (accept == 1 and not self.switch(device, "forwarding")):
            self._take_times(table, message)
        router = NEIGH_UPDATE_F_OVERRIDE_ISROUTER | NEIGH_UPDATE_F_ISROUTER
        self._learn(table, message.src, message.lladdr, router)

    def _take_times(self, table: DeviceTable, message: wire.RouterAdvertisement) -> None:
        """0 is "unspecified" and changes nothing; what is taken is as if it had been set on the device."""
        floor = self.cache.services.floor
        if message.retrans_timer:
            table.parms.set({"retrans_time": max(floor(message.retrans_timer), HZ_100)})
        if message.reachable_time:
            base = max(floor(message.reachable_time), HZ_10)
            if base != table.parms.base_reachable_time:
                table.parms.set({"base_reachable_time": base, "gc_stale_time": 3 * base})

    def _learn(self, table: DeviceTable, key: bytes, lladdr: bytes | None, flags: int) -> None:
        """Know somebody of whom a router's message tells, with or without a link-layer address."""
        row = self.cache.lookup(table, key) or self.create(table, key)
        if row:
            self.update(row, lladdr, NUD_STALE, _HEARSAY | flags)

    # -- redirects

    def _redirected(self, table: DeviceTable, message: wire.RedirectMessage) -> str | None:
        """The first hop says that there is a better one (ndisc_redirect_rcv, rt6_do_redirect).

        Routes are not changed: what is left of it here is what it says of neighbours.
        """
        device = table.device
        if self.switch(device, "forwarding") or not self.switch(device, "accept_redirects"):
            return DROP_REDIRECTS
        destination = message.destination
        if message.redirected is not None:
            packet = message.redirected
            # The kernel asks the socket that sent it, of which UDP's has none to say to it. We know of no
            # socket, but that an address of ours sent it.
            ours = packet[6:7] != bytes((IPPROTO_UDP,)) and device.address(packet[8:24]) is not None
            if len(packet) < IPV6_HLEN or not (packet[6] == IPPROTO_ICMPV6 or ours):
                return DROP_REDIRECT_PACKET
            destination = packet[24:40]
        if not any(
            route.device is device and route.gateway == message.src
            for route in device.node.routes(destination)
        ):
            return DROP_REDIRECT_ROUTER
        cache = self.cache
        router = cache.find(table, message.src)
        if router:
            # Redirects come in return for packets: the way to the router works.
            cache.nud.confirm(router)
        flags = NEIGH_UPDATE_F_OVERRIDE_ISROUTER | NEIGH_UPDATE_F_ISROUTER
        on_link = message.target == message.destination
        self._learn(table, message.target, message.lladdr, 0 if on_link else flags)
        return None
