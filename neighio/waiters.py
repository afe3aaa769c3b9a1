"""Who waits for what: addresses, proofs, packets, own addresses, answers to probes. Without any loop."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeAlias

from .address import LinkAddress, format_ip
from .core.engine import Engine
from .core.events import Answer, Verified
from .core.neighbour import Neighbour
from .core.queue import Packet
from .errors import DeviceGone, Unreachable

__all__ = ["Outcome", "ProbeRecord", "Waiters"]

Outcome: TypeAlias = "LinkAddress | BaseException | None"
"""What a waiter gets: a value, or an exception of its own."""


class ProbeRecord:
    """What has answered a probe so far. ``token`` waits for the first answer."""

    __slots__ = ("answers", "token")

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.token: Hashable | None = None

    def forget(self) -> None:
        """Nobody waits any more."""
        self.token = None


class Waiters:
    """The driver's half that keeps waiters, each under a token.

    Args:
        engine: the subsystem.
        clock: the present, seconds.
        wake: resumes the waiter of a token, once, with a value or an exception.
    """

    def __init__(
        self, engine: Engine, *, clock: Callable[[], float], wake: Callable[[Hashable, Outcome], None]
    ) -> None:
        self.engine = engine
        self.clock = clock
        self.wake = wake
        self._resolving: dict[Neighbour, dict[Hashable, None]] = {}
        self._verifying: dict[Neighbour, dict[Hashable, None]] = {}
        self._sending: dict[Packet, Hashable] = {}
        self._claiming: dict[tuple[int, bytes], dict[Hashable, None]] = {}
        self._probes: dict[tuple[int, bytes], list[ProbeRecord]] = {}

    def await_address(self, neighbour: Neighbour, token: Hashable) -> None:
        """Wake ``token`` when the entry leaves INCOMPLETE."""
        self._resolving.setdefault(neighbour, {})[token] = None

    def await_proof(self, neighbour: Neighbour, token: Hashable) -> None:
        """Wake ``token`` when the entry is confirmed, or can no longer be."""
        self._verifying.setdefault(neighbour, {})[token] = None

    def await_packet(self, packet: Packet, token: Hashable) -> None:
        """Wake ``token`` when the link took the packet, or nobody will."""
        self._sending[packet] = token

    def await_claim(self, index: int, ip: bytes, token: Hashable) -> None:
        """Wake ``token`` when an own address is in use, or is found to be somebody else's."""
        self._claiming.setdefault((index, ip), {})[token] = None

    def forget_claim(self, index: int, ip: bytes, token: Hashable) -> None:
        """The waiter is gone."""
        tokens = self._claiming.get((index, ip), {})
        tokens.pop(token, None)
        if not tokens:
            self._claiming.pop((index, ip), None)

    def is_awaited(self, index: int, ip: bytes) -> bool:
        """Whether somebody waits for an own address to be in use."""
        return (index, ip) in self._claiming

    def end_claim(self, index: int, ip: bytes, error: Callable[[], BaseException]) -> None:
        """Nobody will have the address: whoever waits for it gets an exception of its own."""
        for token in self._claiming.pop((index, ip), ()):
            self.wake(token, error())

    def forget(self, waiters: Neighbour, token: Hashable) -> None:
        """The waiter is gone; the probing goes on, as in the kernel."""
        for table in (self._resolving, self._verifying):
            tokens = table.get(waiters)
            if tokens is not None:
                tokens.pop(token, None)
                if not tokens:
                    del table[waiters]

    def forget_packet(self, neighbour: Neighbour, packet: Packet) -> None:
        """The sender is gone: take the packet out of the queue."""
        self._sending.pop(packet, None)
        self.engine.withdraw(neighbour, packet)

    def waiting(self) -> int:
        """How many wait for an address, a proof, a packet or an answer."""
        return (
            sum(len(tokens) for tokens in self._resolving.values())
            + sum(len(tokens) for tokens in self._verifying.values())
            + sum(len(tokens) for tokens in self._claiming.values())
            + len(self._sending)
            + sum(len(records) for records in self._probes.values())
        )

    def end_all(self, error: Callable[[], BaseException]) -> None:
        """End every wait with an exception of its own."""
        tokens: list[Hashable] = [*self._sending.values()]
        for waiters in (*self._resolving.values(), *self._verifying.values(), *self._claiming.values()):
            tokens.extend(waiters)
        self._resolving.clear()
        self._verifying.clear()
        self._claiming.clear()
        self._sending.clear()
        for place in list(self._probes):
            self._abandon_probes(place, error)
        for token in tokens:
            self.wake(token, error())

    # -- probes

    def open_probe(self, index: int, key: bytes) -> ProbeRecord:
        """Collect what answers from an address, until :meth:`close_probe`."""
        record = ProbeRecord()
        self._probes.setdefault((index, key), []).append(record)
        return record

    def close_probe(self, index: int, key: bytes, record: ProbeRecord) -> None:
        records = self._probes[index, key]
        records.remove(record)
        if not records:
            del self._probes[index, key]

    def _answered(self, answer: Answer) -> None:
        place = (answer.device.index, answer.key)
        for record in self._probes.get(place, ()):
            record.answers.append(answer)
            if record.token is not None:
                token, record.token = record.token, None
                self.wake(token, None)

    def _end_probes(self, index: int, why: str) -> None:
        for place in [place for place in self._probes if place[0] == index]:
            self._abandon_probes(place, lambda: DeviceGone(why))

    def _abandon_probes(self, place: tuple[int, bytes], error: Callable[[], BaseException]) -> None:
        for record in self._probes.get(place, ()):
            if record.token is not None:
                token, record.token = record.token, None
                self.wake(token, error())

    # -- outcomes

    def _settle(
        self,
        tokens: Iterable[Hashable],
        neighbour: Neighbour,
        outcome: LinkAddress | type[Unreachable] | type[DeviceGone],
    ) -> None:
        for token in tokens:
            self.wake(token, outcome if isinstance(outcome, LinkAddress) else outcome(_name(neighbour)))

    def _verified(self, output: Verified) -> None:
        neighbour, outcome = output
        if outcome is not None:
            self._settle(self._verifying.pop(neighbour, ()), neighbour, outcome)
        elif neighbour in self._verifying:
            try:
                found = self.engine.verify(neighbour, self.clock())
            except Unreachable as error:
                self._settle(self._verifying.pop(neighbour), neighbour, type(error))
            else:
                if found is not None:
                    self._settle(self._verifying.pop(neighbour), neighbour, found)


def _name(neighbour: Neighbour) -> str:
    if not neighbour.exists:
        return "the neighbour was deleted"
    return f"{format_ip(neighbour.key)} dev {neighbour.dev}"
