"""A host's own addresses: detected to be nobody else's before use, announced, defended.

IPv4 by RFC 5227 (Linux leaves that to others), IPv6 by RFC 4862 with the nonce of RFC 7527 and, if asked
for, the optimism of RFC 4429 (addrconf_dad_start, addrconf_dad_work, addrconf_dad_failure). An IPv4 address
is the node's from the end of its detection on, an IPv6 one from the beginning, tentative.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final, Protocol, cast

from ..address import LinkAddress
from ..wire import arp, ndisc
from ..wire.ethernet import BROADCAST
from ..wire.ipv6 import UNSPECIFIED, is_link_local, solicited_node
from .announcer import TO_ROUTERS, Announcer
from .constants import AF_INET, AF_INET6, IFA_F_OPTIMISTIC, IFA_F_TENTATIVE
from .device import UNSPECIFIED as NOBODY
from .device import Address
from .events import AddressConflict, Claimed
from .parameters import HZ_100

if TYPE_CHECKING:
    from .arp import Arp
    from .cache import NeighbourCache, Services
    from .device import Device
    from .ndisc import Ndisc

__all__ = ["DEFENCES", "Claim", "Claims"]

# RFC 5227 1.1, seconds and counts.
PROBE_WAIT: Final = 1.0
PROBE_NUM: Final = 3
PROBE_MIN: Final = 1.0
PROBE_MAX: Final = 2.0
ANNOUNCE_WAIT: Final = 2.0
ANNOUNCE_NUM: Final = 2
ANNOUNCE_INTERVAL: Final = 2.0
MAX_CONFLICTS: Final = 10
RATE_LIMIT_INTERVAL: Final = 60.0
DEFEND_INTERVAL: Final = 10.0

NONCE_LENGTH: Final = 6

MAX_NEIGHBOR_ADVERTISEMENT: Final = 3
"""How often routers are told of a new address (RFC 4861 10)."""

DEFENCES: Final = ("none", "cease", "once", "always")
"""What is done about a later conflict over an IPv4 address: nothing, as Linux; or RFC 5227 2.4 (a), (b),
(c)."""


class Claim:
    """An address of a host, from the wish for it on.

    Attributes:
        device, address: where, and which.
        transmits: how many solicitations or probes its detection sends; 0: there is none.
        optimistic: whether an IPv6 address is used meanwhile.
        defence: one of :data:`DEFENCES`.
        notify_routers: whether all routers are told of an IPv6 address that is more than the link's.
        due: when the next step of its detection is to be done, seconds; infinity when none is.
        away: whether an IPv4 address was in use, and is not while it is detected anew.
    """

    __slots__ = (
        "address",
        "away",
        "conflict_at",
        "defence",
        "defended_at",
        "device",
        "due",
        "nonce",
        "notify_routers",
        "optimistic",
        "sent",
        "transmits",
    )

    def __init__(
        self,
        device: Device,
        address: Address,
        transmits: int,
        optimistic: bool,
        defence: str,
        notify_routers: bool,
    ) -> None:
        self.device: Device = device
        self.address: Address = address
        self.transmits: int = transmits
        self.optimistic: bool = optimistic
        self.defence: str = defence
        self.notify_routers: bool = notify_routers
        self.due: float = inf
        self.away: bool = False
        self.sent: int = 0
        self.nonce: bytes | None = None
        self.conflict_at: float = -inf
        self.defended_at: float = -inf

    @property
    def wanted(self) -> Address:
        """The address without what its detection makes of it."""
        flags = self.address.flags & ~(IFA_F_TENTATIVE | IFA_F_OPTIMISTIC)
        return self.address._replace(flags=flags)

    @property
    def detecting(self) -> bool:
        """Whether its detection is under way."""
        return self.due != inf


class ChangeAddress(Protocol):
    """Gives the node an address (``add``) or takes it away, perhaps ``for_now`` only: then the neighbours
    stay that would go with the last one."""

    def __call__(self, device: Device, address: Address, add: bool, *, for_now: bool = False) -> None: ...


class Claims:
    """The own addresses of all devices in the host role, by device and address."""

    __slots__ = (
        "_caches",
        "_change_address",
        "_claims",
        "_conflicts",
        "_last_start",
        "_services",
        "announcer",
    )

    def __init__(
        self,
        services: Services,
        caches: dict[int, NeighbourCache],
        change_address: ChangeAddress,
    ) -> None:
        self._services = services
        self._change_address = change_address
        self._caches = caches
        self._claims: dict[int, dict[bytes, Claim]] = {}
        self.announcer: Announcer = Announcer(services, caches)
        self._conflicts: dict[int, int] = {}
        self._last_start: dict[int, float] = {}

    # -- the wish for an address, and its end

    def of(self, device: Device) -> tuple[Claim, ...]:
        """The claims of a device."""
        return tuple(self._claims.get(device.index, {}).values())

    def find(self, device: Device, ip: bytes) -> Claim | None:
        """The claim to an address, from :meth:`claim` on."""
        return self._claims.get(device.index, {}).get(ip)

    def claim(
        self,
        device: Device,
        address: Address,
        *,
        transmits: int,
        optimistic: bool,
        defence: str,
        notify_routers: bool,
    ) -> Claim:
        """Have an address. Without detection it is the node's at once, and :class:`Claimed` says so."""
        claim = Claim(device, address, transmits, optimistic, defence, notify_routers)
        self._claims.setdefault(device.index, {})[address.ip] = claim
        if len(address.ip) == 16 and transmits:
            flags = IFA_F_TENTATIVE | (IFA_F_OPTIMISTIC if optimistic else 0)
            claim.address = address._replace(flags=address.flags | flags)
            self._change_address(device, claim.address, True)
        self._start(claim)
        return claim

    def give_up(self, device: Device, ip: bytes) -> Claim | None:
        """Have an address no more; returns its claim, if there was one."""
        claim = self._claims.get(device.index, {}).pop(ip, None)
        if claim is not None:
            self.announcer.forget(device, ip)
            if claim.away:
                # Now it goes for good, and if it is the last one its neighbours with it.
                self._change_address(device, claim.address, True)
            self._change_address(device, claim.address, False)
        return claim

    def forget_device(self, device: Device) -> None:
        """The device is no longer attached."""
        self._claims.pop(device.index, None)
        self.announcer.forget(device)
        self._conflicts.pop(device.index, None)
        self._last_start.pop(device.index, None)

    def suspend(self, device: Device) -> None:
        """The device is down: nothing can be detected or announced."""
        for claim in self._claims.get(device.index, {}).values():
            claim.due = inf
        self.announcer.forget(device)

    def resume(self, device: Device) -> None:
        """The device is up again: whatever is to be detected is detected anew, as soon as there is a carrier
        (RFC 5227 2.1, RFC 4862 5.4)."""
        for claim in self._claims.get(device.index, {}).values():
            if claim.transmits:
                self._detect_anew(claim)
            else:
                self._notify_routers(claim)

    def disconnect(self, device: Device) -> None:
        """The carrier is lost. A detection for IPv6 goes on, as in Linux: the link was ready once."""
        for claim in self._claims.get(device.index, {}).values():
            if len(claim.address.ip) == 4:
                claim.due = inf

    def connect(self, device: Device, *, first: bool) -> None:
        """The carrier is there, for the ``first`` time since the device came up or not: IPv4 addresses are
        detected anew (RFC 5227 2.1), of IPv6 ones those whose detection waits for it (addrconf_dad_run)."""
        for claim in self._claims.get(device.index, {}).values():
            if claim.transmits and (len(claim.address.ip) == 4 or first):
                self._detect_anew(claim)
            elif first:
                self._notify_routers(claim)

    def _detect_anew(self, claim: Claim) -> None:
        if len(claim.address.ip) == 16:
            self._replace(claim, claim.address.flags | IFA_F_TENTATIVE)
        elif claim.device.address(claim.address.ip) is not None:
            claim.away = True
            self._change_address(claim.device, claim.address, False, for_now=True)
        self._start(claim)

    # -- detection

    def _start(self, claim: Claim) -> None:
        services = self._services
        device = claim.device
        claim.sent = 0
        if not claim.transmits:
            self._succeed(claim)
            return
        ipv4 = len(claim.address.ip) == 4
        if not device.up or not (device.carrier if ipv4 else device.ready):
            # Nobody would hear it.
            return
        if ipv4:
            wait = services.random.random() * PROBE_WAIT
            if self._conflicts.get(device.index, 0) >= MAX_CONFLICTS:
                earliest = self._last_start.get(device.index, -inf) + RATE_LIMIT_INTERVAL
                wait = max(wait, earliest - services.now)
            self._last_start[device.index] = services.now + wait
        else:
            wait = 0.0
            if not claim.address.optimistic:
                # Somewhere within it, as RFC 4862 5.4.2 has it (addrconf_dad_kick).
                delay = device.node.switch(device, AF_INET6, "router_solicitation_delay")
                wait = services.random.random() * delay
            claim.nonce = None
            if device.node.switch(device, AF_INET6, "enhanced_dad"):
                claim.nonce = services.random.randrange(1, 1 << 8 * NONCE_LENGTH).to_bytes(
                    NONCE_LENGTH, "big"
                )
            if claim.address.optimistic:
                self._notify_routers(claim)
        self._arm(claim, services.now + wait)

    def _arm(self, claim: Claim, due: float) -> None:
        claim.due = self._services.floor(due)
        self._services.rearmed.add(("device", claim.device.index))

    def _step(self, claim: Claim) -> None:
        """Send the next probe, or believe that nobody else has the address."""
        now = self._services.now
        device = claim.device
        ip = claim.address.ip
        if claim.sent >= claim.transmits:
            claim.due = inf
            self._succeed(claim)
            return
        claim.sent += 1
        if len(ip) == 4:
            self._arp.send(device, arp.ARPOP_REQUEST, NOBODY, ip, bytes(device.addr_len), BROADCAST)
            last = claim.sent >= claim.transmits
            spread = PROBE_MAX - PROBE_MIN
            wait = ANNOUNCE_WAIT if last else PROBE_MIN + self._services.random.random() * spread
        else:
            table = self._caches[AF_INET6].by_device[device.index]
            dst = solicited_node(ip)
            tclass = device.node.switch(device, AF_INET6, "ndisc_tclass")
            packet = ndisc.build_solicitation(UNSPECIFIED, dst, ip, None, claim.nonce, traffic_class=tclass)
            self._ndisc.send(table, dst, packet)
            wait = max(table.parms.retrans_time, HZ_100)
        self._arm(claim, now + wait)

    def _succeed(self, claim: Claim) -> None:
        device = claim.device
        ip = claim.address.ip
        detected = claim.transmits and len(ip) == 16
        optimistic = claim.address.optimistic
        if detected:
            self._replace(claim, claim.address.flags & ~(IFA_F_TENTATIVE | IFA_F_OPTIMISTIC))
        else:
            claim.away = False
            self._change_address(device, claim.address, True)
            if len(ip) == 4:
                self._put_in_turn(device, claim.address)
        self._services.outputs.append(Claimed(device, ip))
        if is_link_local(ip) and not any(
            is_link_local(other.ip) and other.proven and other.ip != ip for other in device.own(AF_INET6)
        ):
            # What was reported before came from nowhere (ipv6_lonely_lladdr).
            self._services.listener.have_source(device)
        if len(ip) == 4:
            if claim.transmits:
                self.announcer.announce(device, ip, count=ANNOUNCE_NUM, interval=ANNOUNCE_INTERVAL)
        elif detected and not optimistic and device.node.switch(device, AF_INET6, "ndisc_notify"):
            self.announcer.announce(device, ip)
        if not optimistic:
            self._notify_routers(claim)

    def _notify_routers(self, claim: Claim) -> None:
        """Tell all routers of an address that is new, so that they know it before they need it (RFC 9131
        6.1.2)."""
        device, ip = claim.device, claim.address.ip
        if claim.notify_routers and device.ready and len(ip) == 16 and not is_link_local(ip):
            retrans_time = self._caches[AF_INET6].by_device[device.index].parms.retrans_time
            self.announcer.announce(
                device,
                ip,
                count=MAX_NEIGHBOR_ADVERTISEMENT,
                interval=max(retrans_time, HZ_100),
                wording=TO_ROUTERS,
            )

    def _put_in_turn(self, device: Device, address: Address) -> None:
        """Have an IPv4 address stand where it would if nothing were detected, before those that were wanted
        later: packets leave from the first that fits."""
        turn = {ip: number for number, ip in enumerate(self._claims[device.index])}
        addresses = device.addresses
        for place, other in enumerate(addresses):
            if len(other.ip) == 4 and turn.get(other.ip, -1) > turn[address.ip]:
                addresses.remove(address)
                addresses.insert(place, address)
                break

    def _replace(self, claim: Claim, flags: int) -> None:
        claim.address = claim.address._replace(flags=flags)
        self._change_address(claim.device, claim.address, True)

    def is_own_nonce(self, device: Device, ip: bytes, nonce: bytes) -> bool:
        """Whether a solicitation is our own, come back (RFC 7527 4.2)."""
        claim = self.find(device, ip)
        return claim is not None and claim.nonce == nonce

    def duplicate(self, device: Device, ip: bytes, lladdr: bytes) -> None:
        """Somebody else has an address that is being detected: it does not become ours."""
        claim = self.find(device, ip)
        if claim is not None and claim.detecting:
            if len(ip) == 4:
                self._conflicts[device.index] = self._conflicts.get(device.index, 0) + 1
            self.give_up(device, ip)
            self._tell(claim, lladdr, "duplicate")

    # -- later conflicts

    def hear_arp(self, device: Device, op: int, sip: bytes, sha: bytes, tip: bytes) -> None:
        """See whether an ARP message contests an address of ours (RFC 5227 2.1.1, 2.4)."""
        claims = self._claims.get(device.index)
        if not claims:
            return
        claim = claims.get(sip)
        if claim is None and sip == NOBODY and op == arp.ARPOP_REQUEST:
            # Another's probe: a conflict only while we probe, too.
            claim = claims.get(tip)
            if claim is not None and not claim.detecting:
                return
        if claim is None or self._is_ours(device, sha):
            return
        if claim.detecting:
            self.duplicate(device, claim.address.ip, sha)
        else:
            self.conflict(device, claim.address.ip, sha)

    @staticmethod
    def _is_ours(device: Device, lladdr: bytes) -> bool:
        return any(lladdr == other.lladdr for other in device.node.devices.values())

    def conflict(self, device: Device, ip: bytes, lladdr: bytes) -> None:
        """Somebody else uses an address of ours. It is told; an IPv4 address is defended as its claim
        says."""
        claim = self.find(device, ip)
        if claim is None or self._is_ours(device, lladdr):
            return
        now = self._services.now
        action = "reported"
        if len(ip) == 4 and claim.defence != "none":
            again = now < claim.conflict_at + DEFEND_INTERVAL
            if claim.defence == "cease" or (claim.defence == "once" and again):
                self.give_up(device, ip)
                action = "ceased"
            elif now >= claim.defended_at + DEFEND_INTERVAL:
                claim.defended_at = now
                self.announcer.announce(device, ip)
                action = "defended"
        claim.conflict_at = now
        self._tell(claim, lladdr, action)

    def _tell(self, claim: Claim, lladdr: bytes, action: str) -> None:
        device, ip = claim.device, claim.address.ip
        family = AF_INET if len(ip) == 4 else AF_INET6
        where = bytes.__new__(LinkAddress, lladdr)
        event = AddressConflict(self._services.now, family, ip, device.name, device.index, where, action)
        self._services.outputs.append(event)

    # -- time

    @property
    def busy(self) -> bool:
        """Whether there is anything that time may do, for any device."""
        return bool(self._claims or self.announcer.busy)

    def next_deadline(self, index: int) -> float:
        """When something is to be done for a device, seconds."""
        claims = self._claims.get(index)
        first = min((claim.due for claim in claims.values()), default=inf) if claims else inf
        return min(first, self.announcer.next_deadline(index))

    def run(self, index: int) -> None:
        """Do what is due for a device."""
        now = self._services.now
        for claim in tuple(self._claims.get(index, {}).values()):
            if claim.due <= now:
                self._step(claim)
        self.announcer.run(index)

    @property
    def _arp(self) -> Arp:
        return cast("Arp", self._caches[AF_INET].protocol)

    @property
    def _ndisc(self) -> Ndisc:
        return cast("Ndisc", self._caches[AF_INET6].protocol)
