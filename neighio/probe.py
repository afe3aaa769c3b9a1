"""One solicitation now: is somebody there?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from ._park import Token, park
from .address import LinkAddress, format_ip
from .core.parameters import HZ_100
from .errors import Unreachable

if TYPE_CHECKING:
    from .driver import Driver

__all__ = ["Reply", "probe"]

LISTENING: Final = 0.9
"""How much of the time before a caller's deadline may go by with listening for duplicates."""


class Reply(NamedTuple):
    """An answer to a solicitation.

    ``round_trip`` is in seconds, from the last request before the answer. An answer does not say which
    request it answers: ``number`` says which this was, from 1, of those to this address. Above 1 it may be
    the answer to an earlier one, and so much later. ``others`` are further, different link-layer addresses
    that answered for the same IP address: duplicates.
    """

    ip: str
    device: str
    lladdr: LinkAddress
    round_trip: float
    others: tuple[LinkAddress, ...] = ()
    number: int = 1


async def probe(
    driver: Driver, index: int, key: bytes, *, unicast: bool, listen: float, source: bytes | None
) -> Reply:
    """Send one solicitation and wait for its answer; see :meth:`NeighbourTable.probe`."""
    engine = driver.engine
    device = engine.devices[index]
    begun = driver.clock()
    neighbour = engine.begin_probe(index, key, begun)
    retrans_time = max(engine.parameters(index, neighbour.family).retrans_time, HZ_100)
    record = driver.open_probe(index, key)
    # Before anything is sent: what the sending brings about has to find it.
    record.token = token = Token()
    try:
        engine.solicit_once(neighbour, begun, unicast=unicast, source=source)
        driver.pump()
        with trio.move_on_after(retrans_time):
            await park(token, record.forget)
        if not record.answers:
            raise Unreachable(f"{format_ip(key)} dev {device.name}: no answer in {retrans_time:g} s")
        if listen > 0:
            # Whose time is up before that wants the answer, which would go with the cancelled call.
            left = trio.current_effective_deadline() - trio.current_time()
            await trio.sleep(min(listen, max(left * LISTENING, 0.0)))
    finally:
        driver.close_probe(index, key, record)
        engine.end_probe(neighbour, index, key, driver.clock())
        driver.pump()
    first = record.answers[0]
    others = dict.fromkeys(answer.lladdr for answer in record.answers)
    del others[first.lladdr]
    return Reply(format_ip(key), device.name, first.lladdr, first.time - begun, tuple(others))
