"""Neighbour unreachability detection: the state machine, one method for each stimulus.

Each follows the kernel's function that its docstring names; RFC 4861 7.3 is what both implement. A timer
of the kernel's is never on time, so "now <= deadline" in its handler reads ``now < deadline`` here.
"""

from __future__ import annotations

import errno
from math import inf
from typing import TYPE_CHECKING, Final

from ..errors import DeviceGone, InternalError, PacketDropped, Unreachable
from .constants import (
    AF_INET,
    AF_INET6,
    NEIGH_UPDATE_F_ADMIN,
    NEIGH_UPDATE_F_EXT_LEARNED,
    NEIGH_UPDATE_F_EXT_VALIDATED,
    NEIGH_UPDATE_F_ISROUTER,
    NEIGH_UPDATE_F_MANAGED,
    NEIGH_UPDATE_F_OVERRIDE,
    NEIGH_UPDATE_F_OVERRIDE_ISROUTER,
    NEIGH_UPDATE_F_USE,
    NEIGH_UPDATE_F_WEAK_OVERRIDE,
    NTF_EXT_LEARNED,
    NTF_EXT_VALIDATED,
    NTF_MANAGED,
    NTF_ROUTER,
    NUD_CONNECTED,
    NUD_DELAY,
    NUD_FAILED,
    NUD_IN_TIMER,
    NUD_INCOMPLETE,
    NUD_NOARP,
    NUD_NONE,
    NUD_PERMANENT,
    NUD_PROBE,
    NUD_REACHABLE,
    NUD_STALE,
    NUD_VALID,
)
from .events import Miss, NewNeighbour, Transmit
from .parameters import HZ_100, JIFFY
from .queue import NEIGH_DEAD, NEIGH_FAILED, NEIGH_QUEUEFULL, Packet, ResolutionQueue
from .transitions import allowed

if TYPE_CHECKING:
    from .cache import NeighbourCache, Services
    from .parameters import Parameters

__all__ = ["Nud"]

# How a packet leaves (neigh_ops): into the void, through the machine, past it, or without a header.
BLACKHOLE: Final = 0
RESOLVE: Final = 1
CONNECTED: Final = 2
DIRECT: Final = 3

_ETHERTYPES: Final = {AF_INET: b"\x08\x00", AF_INET6: b"\x86\xdd"}

_ADMIN_FLAGS: Final = (
    (NEIGH_UPDATE_F_EXT_LEARNED, NTF_EXT_LEARNED),
    (NEIGH_UPDATE_F_MANAGED, NTF_MANAGED),
    (NEIGH_UPDATE_F_EXT_VALIDATED, NTF_EXT_VALIDATED),
)


class Nud:
    """The machine over the rows of one cache."""

    __slots__ = ("cache", "services")

    def __init__(self, cache: NeighbourCache) -> None:
        self.cache: NeighbourCache = cache
        self.services: Services = cache.services

    # -- the one place that changes a state

    def _enter(self, row: int, new: int, stimulus: str) -> None:
        """Change the state; leaving INCOMPLETE settles whoever waits for the address."""
        cache = self.cache
        store = cache.store
        old = store.nud_state[row]
        if not allowed(old, stimulus, new):
            raise InternalError(f"no transition from {old:#x} to {new:#x} by {stimulus}")
        store.nud_state[row] = new
        store.untold[row] = 0
        if old & NUD_INCOMPLETE and not new & NUD_INCOMPLETE:
            cache.settle(row, cache.lladdr(row) if new & NUD_VALID else Unreachable)
        elif new & NUD_INCOMPLETE and not old & NUD_INCOMPLETE:
            cache.latency.begin(row, self.services.now)
        if store.watched[row]:
            if not new & (NUD_VALID | NUD_INCOMPLETE):
                cache.unwatch(row, Unreachable)
            elif new & (NUD_NOARP | NUD_PERMANENT):
                cache.unwatch(row, cache.lladdr(row))
            elif new == NUD_STALE or (new == NUD_REACHABLE and stimulus == "timer"):
                # It rests, and on nothing newer than the wish for a proof: that would have ended the watch.
                cache.unwatch(row, None)

    # -- timers: a pending one holds a reference

    def _arm(self, row: int, when: float) -> None:
        cache = self.cache
        if cache.store.deadline[row] == inf:
            cache.store.refcnt[row] += 1
        cache.table_of(row).timers.arm(row, cache.services.floor(when))

    def _start_timer(self, row: int, when: float) -> None:
        """Arm an idle timer: ``used`` is at least ``confirmed`` from here on (neigh_add_timer). It fires with
        the next jiffy at the earliest."""
        store = self.cache.store
        if store.used[row] < store.confirmed[row]:
            store.used[row] = store.confirmed[row]
        self._arm(row, max(when, self.services.now + JIFFY))

    def stop_timer(self, row: int) -> None:
        """Disarm, and drop the timer's reference (neigh_del_timer)."""
        store = self.cache.store
        if store.deadline[row] != inf:
            self.cache.table_of(row).timers.cancel(row)
            self.cache.release(row)

    # -- output

    def output(self, row: int, packet: Packet) -> None:
        """Send a packet to the neighbour, or queue it, or drop it (neigh_output)."""
        store = self.cache.store
        if store.nud_state[row] & NUD_CONNECTED and store.hh[row]:
            self._transmit(row, packet)
        else:
            self._call_output(row, packet)

    def _call_output(self, row: int, packet: Packet) -> None:
        """Hand a packet to the entry's output function, whether a header is cached or not (neigh->output)."""
        store = self.cache.store
        how = store.output[row]
        if how == RESOLVE:
            if not self.event_send(row, packet):
                store.hh[row] = self.cache.table_of(row).device.hh_cache
                self._transmit(row, packet)
        elif how == BLACKHOLE:
            self.cache.packet_failed(row, packet, DeviceGone, NEIGH_DEAD)
        else:
            self._transmit(row, packet)

    def _transmit(self, row: int, packet: Packet) -> None:
        cache = self.cache
        device = cache.table_of(row).device
        packet.key = cache.store.key_of(row)
        frame = packet.data
        if device.header:
            lladdr = cache.store.lladdr_of(row, device.addr_len)
            frame = lladdr + device.lladdr + _ETHERTYPES[cache.family] + frame
        cache.outputs.append(Transmit(device, frame, packet if packet.given else None))

    def event_send(self, row: int, packet: Packet | None, *, immediate: bool = True) -> bool:
        """Use the entry: start what its state asks for; True when it kept or dropped the packet.

        Without a packet this is the wish for an address. ``immediate=False`` leaves the first probe to
        the timer (neigh_event_send, __neigh_event_send).
        """
        cache = self.cache
        store = cache.store
        now = store.used[row] = self.services.now
        state = store.nud_state[row]
        if state & (NUD_CONNECTED | NUD_DELAY | NUD_PROBE):
            return False
        if store.dead[row]:
            if state & NUD_STALE:
                return False
            if packet is not None:
                cache.packet_failed(row, packet, DeviceGone, NEIGH_DEAD)
            return True
        parms = cache.table_of(row).parms
        if state & NUD_STALE:
            before = cache.picture(row)
            store.updated[row] = now
            self._enter(row, NUD_DELAY, "output")
            cache.trace(row, "output", before, notified=False)
            self._start_timer(row, now + parms.delay_first_probe_time)
            return False
        probe_now = False
        if not state & NUD_INCOMPLETE:
            before = cache.picture(row)
            store.updated[row] = now
            if not parms.mcast_solicit + parms.app_solicit:
                self._enter(row, NUD_FAILED, "output")
                cache.trace(row, "output", before, notified=False)
                if packet is not None:
                    cache.packet_failed(row, packet, PacketDropped, NEIGH_FAILED)
                return True
            store.probes[row] = parms.ucast_solicit
            self._enter(row, NUD_INCOMPLETE, "output")
            cache.trace(row, "output", before, notified=False)
            probe_now = immediate
            self._start_timer(row, now + (max(parms.retrans_time, HZ_100) if immediate else JIFFY))
        if packet is not None:
            queue = cache.queues.get(row)
            if queue is None:
                queue = cache.queues[row] = ResolutionQueue()
            for dropped in queue.push(packet, parms.unres_qlen_bytes):
                cache.statistics.unres_discards += 1
                cache.packet_failed(row, dropped, PacketDropped, NEIGH_QUEUEFULL)
        if probe_now:
            self._probe(row)
        return True

    def _probe(self, row: int) -> None:
        """Send the probe that the counter asks for: unicast, to user space, or to all who may be it; the
        newest waiting packet chooses the source (neigh_probe, arp_solicit, ndisc_solicit)."""
        cache = self.cache
        parms = cache.table_of(row).parms
        probes = cache.store.probes[row] - parms.ucast_solicit
        if 0 <= probes < parms.app_solicit:
            cache.notify(Miss, row)
        else:
            queue = cache.queues.get(row)
            context = queue.packets[-1] if queue and queue.packets else None
            cache.protocol.solicit(row, context, unicast=probes < 0)
        cache.store.probes[row] += 1

    # -- upper-layer confirmation

    def confirm(self, row: int) -> None:
        """The upper layer saw progress: a stamp, and nothing else, in any state (neigh_confirm)."""
        store = self.cache.store
        store.confirmed[row] = self.services.now
        if store.watched[row] and store.nud_state[row] & NUD_VALID:
            self.cache.unwatch(row, self.cache.lladdr(row))

    # -- timer

    def timer(self, row: int) -> None:
        """The entry's timer fired (neigh_timer_handler). Its reference lasts until the end."""
        cache = self.cache
        if cache.doomed(row):
            cache.store.refcnt[row] -= 1
            cache.flush_one(row)
        else:
            self._expire(row)
            cache.release(row)

    def _expire(self, row: int) -> None:
        cache = self.cache
        store = cache.store
        now = self.services.now
        floor = self.services.floor
        state = store.nud_state[row]
        if not state & NUD_IN_TIMER:
            return
        before = cache.picture(row)
        parms = cache.table_of(row).parms
        retrans = now + max(parms.retrans_time, HZ_100)
        notify = False
        if state & NUD_REACHABLE:
            due = floor(store.confirmed[row] + parms.reachable_time)
            if not now < due:
                store.updated[row] = now
                store.output[row] = self.slow(row)
                if now < floor(store.used[row] + parms.delay_first_probe_time):
                    due = now + parms.delay_first_probe_time
                    self._enter(row, NUD_DELAY, "timer")
                else:
                    notify = True
                    self._enter(row, NUD_STALE, "timer")
        elif state & NUD_DELAY:
            store.updated[row] = now
            if now < floor(store.confirmed[row] + parms.delay_first_probe_time):
                due = store.confirmed[row] + parms.reachable_time
                store.output[row] = self.fast(row)
                self._enter(row, NUD_REACHABLE, "timer")
            else:
                due = retrans
                store.probes[row] = 0
                self._enter(row, NUD_PROBE, "timer")
            notify = True
        else:
            due = retrans
        state = store.nud_state[row]
        if state & (NUD_INCOMPLETE | NUD_PROBE) and store.probes[row] >= self._limit(parms, state):
            if state & NUD_PROBE and store.flags[row] & NTF_EXT_VALIDATED:
                store.updated[row] = now
                cache.unwatch(row, Unreachable)
                self._enter(row, NUD_STALE, "timer")
            else:
                self._enter(row, NUD_FAILED, "timer")
                self._invalidate(row)
            notify = True
        state = store.nud_state[row]
        cache.trace(row, "timer", before, notified=notify)
        if state & NUD_IN_TIMER:
            self._arm(row, max(due, now + HZ_100))
        atomic = self.services.atomic_notifications
        if notify and atomic:
            cache.notify(NewNeighbour, row)
        if state & (NUD_INCOMPLETE | NUD_PROBE):
            self._probe(row)
        if notify and not atomic:
            cache.notify(NewNeighbour, row)

    @staticmethod
    def _limit(parms: Parameters, state: int) -> int:
        """How many probes an entry gets (neigh_max_probes)."""
        return (
            parms.ucast_solicit
            + parms.app_solicit
            + (parms.mcast_resolicit if state & NUD_PROBE else parms.mcast_solicit)
        )

    def _invalidate(self, row: int) -> None:
        """Resolution failed: tell each queued packet's sender, oldest first (neigh_invalidate)."""
        cache = self.cache
        cache.statistics.res_failed += 1
        cache.store.updated[row] = self.services.now
        queue = cache.queues.pop(row, None)
        if queue is not None:
            for packet in queue.packets:
                cache.packet_failed(row, packet, Unreachable, NEIGH_FAILED, reported=True)

    # -- how packets leave, by state

    def slow(self, row: int) -> int:
        """The output of an entry that is not connected (neigh_suspect)."""
        return RESOLVE if self.cache.table_of(row).device.header else DIRECT

    def fast(self, row: int) -> int:
        """The output of a connected entry (neigh_connect). Where headers can be cached it is the slow
        one too: it fills the cache, and then nobody asks it."""
        device = self.cache.table_of(row).device
        if not device.header:
            return DIRECT
        return RESOLVE if device.hh_cache else CONNECTED

    def blackhole(self, row: int) -> None:
        """What those who still hold a flushed entry find: no output, NOARP if it had an address."""
        store = self.cache.store
        before = self.cache.picture(row)
        store.output[row] = BLACKHOLE
        store.hh[row] = 0
        store.nud_state[row] = NUD_NOARP if store.nud_state[row] & NUD_VALID else NUD_NONE
        self.cache.trace(row, "flush", before, notified=True)

    # -- update: everything that was received or administered ends here

    def answer(self, row: int, lladdr: bytes) -> bool:
        """Take an answer to us in its two everyday cases, which end as they do in :meth:`update`. Either it
        says what is known of a REACHABLE entry, and is a stamp alone; or it is the first of an entry in NONE,
        of which nobody is to be told. Returns whether it was one of them."""
        services = self.services
        store = self.cache.store
        state = store.nud_state[row]
        if store.dead[row]:
            return False
        if state == NUD_REACHABLE:
            if lladdr != store.lladdr_of(row, len(lladdr)):
                return False
            store.confirmed[row] = services.now
            if store.watched[row]:
                self._proved(row, confirmed=True)
            return True
        cache = self.cache
        if state or services.telling or services.tracing or row in cache.queues or store.deadline[row] != inf:
            return False
        now = store.confirmed[row] = store.updated[row] = store.used[row] = services.now
        store.set_lladdr(row, lladdr)
        self._arm(row, now + max(cache.table_of(row).parms.reachable_time, JIFFY))
        self._enter(row, NUD_REACHABLE, "evidence")
        store.output[row] = self.fast(row)
        if store.watched[row]:
            self._proved(row, confirmed=True)
        return True

    def update(self, row: int, lladdr: bytes | None, new: int, flags: int, stimulus: str = "evidence") -> int:
        """Apply what is known of an entry: an address or none, a state, NEIGH_UPDATE_F_* flags.

        Returns 0, or the errno with which nothing more was done (__neigh_update): EPERM for a dead entry,
        or for one that only an administrator may touch; EINVAL for a state that needs an address where
        none is given or known.
        """
        cache = self.cache
        store = cache.store
        old = store.nud_state[row]
        admin = flags & NEIGH_UPDATE_F_ADMIN
        if store.dead[row] or (not admin and old & (NUD_NOARP | NUD_PERMANENT)):
            return errno.EPERM
        before = cache.picture(row)
        failure = 0
        router = False
        turned = self._update_admin_flags(row, flags) if admin else 0
        notify = bool(turned)
        if flags & (NEIGH_UPDATE_F_USE | NEIGH_UPDATE_F_MANAGED):
            new = old & ~NUD_PERMANENT
            if new != old:
                self._enter(row, new, stimulus)
        elif new & NUD_VALID:
            failure, changed, router = self._update_valid(row, lladdr, old, new, flags, stimulus)
            notify = notify or changed
        else:
            notify = self._update_invalid(row, old, new, stimulus)
        cache.trace(row, stimulus, before, notified=notify)
        resolved = store.nud_state[row] & NUD_VALID and not old & NUD_VALID
        atomic = self.services.atomic_notifications
        if resolved and not atomic:
            self._send_queue(row)
        if router:
            before = cache.picture(row)
            notify = self._update_router(row, flags) or notify
            cache.trace(row, stimulus, before, notified=True)
        if turned & (NTF_EXT_LEARNED | NTF_EXT_VALIDATED) or (new ^ old) & NUD_PERMANENT:
            # By the state asked for: an add that failed left an entry behind that was made exempt for it.
            cache.update_gc_list(row)
        if turned & NTF_MANAGED:
            cache.update_managed_list(row)
        if notify:
            cache.notify(NewNeighbour, row)
        if resolved and atomic:
            self._send_queue(row)
        return failure

    def _update_admin_flags(self, row: int, flags: int) -> int:
        """Set or clear what only administrators set, to match the request; returns what turned over."""
        store = self.cache.store
        old = new = store.flags[row]
        for asked, flag in _ADMIN_FLAGS:
            new = new | flag if flags & asked else new & ~flag
        store.flags[row] = new
        return new ^ old

    def _update_invalid(self, row: int, old: int, new: int, stimulus: str) -> bool:
        """A state without an address: NONE, INCOMPLETE or FAILED. True to notify."""
        store = self.cache.store
        self.stop_timer(row)
        if old & NUD_CONNECTED:
            store.output[row] = self.slow(row)
        self._enter(row, new, stimulus)
        if old & (NUD_INCOMPLETE | NUD_PROBE) and new & NUD_FAILED:
            self._invalidate(row)
            return True
        return bool(old & NUD_VALID)

    def _update_valid(
        self, row: int, lladdr: bytes | None, old: int, new: int, flags: int, stimulus: str
    ) -> tuple[int, bool, bool]:
        """A state with an address. Returns (errno, notify, the router flag may be overridden)."""
        store = self.cache.store
        table = self.cache.table_of(row)
        now = self.services.now
        length = table.device.addr_len
        if not length:
            other = False
        elif lladdr is not None:
            lladdr = lladdr[:length]
            other = not old & NUD_VALID or lladdr != store.lladdr_of(row, length)
        elif old & NUD_VALID:
            other = False
        else:
            return errno.EINVAL, False, False
        router = bool(flags & NEIGH_UPDATE_F_OVERRIDE_ISROUTER)
        confirmed = bool(new & NUD_CONNECTED)
        if confirmed:
            # Stamped before the address is judged: one that is refused below confirms the old one.
            store.confirmed[row] = now
        if old & NUD_VALID:
            if other and not flags & NEIGH_UPDATE_F_OVERRIDE:
                router = False
                if not (flags & NEIGH_UPDATE_F_WEAK_OVERRIDE and old & NUD_CONNECTED):
                    self._proved(row, confirmed)
                    return 0, False, False
                other = False
                new = NUD_STALE
            elif not other and new == NUD_STALE and not flags & NEIGH_UPDATE_F_ADMIN:
                new = old
        if new != old or other:
            store.updated[row] = now
        if other:
            assert lladdr is not None
            store.set_lladdr(row, lladdr)
        if new != old:
            self.stop_timer(row)
            if new & NUD_PROBE:
                store.probes[row] = 0
            if new & NUD_IN_TIMER:
                wait = table.parms.reachable_time if new & NUD_REACHABLE else JIFFY
                self._start_timer(row, now + wait)
            self._enter(row, new, stimulus)
            store.output[row] = self.fast(row) if new & NUD_CONNECTED else self.slow(row)
        if other and not new & NUD_CONNECTED:
            store.confirmed[row] = now - 2 * table.parms.base_reachable_time
        self._proved(row, confirmed)
        return 0, new != old or other, router

    def _proved(self, row: int, confirmed: bool) -> None:
        if confirmed and self.cache.store.watched[row]:
            self.cache.unwatch(row, self.cache.lladdr(row))

    def _send_queue(self, row: int) -> None:
        """The address is known: send what waited, oldest first, through the output function."""
        queue = self.cache.queues.pop(row, None)
        if queue is not None:
            for packet in queue.packets:
                self._call_output(row, packet)

    def _update_router(self, row: int, flags: int) -> bool:
        """Make NTF_ROUTER what the evidence says; True if that changed it (neigh_update_is_router)."""
        store = self.cache.store
        old = store.flags[row]
        new = old | NTF_ROUTER if flags & NEIGH_UPDATE_F_ISROUTER else old & ~NTF_ROUTER
        store.flags[row] = new
        return new != old
