"""What ``neighio host`` shows of its table, and does with it, when it is told to."""

from __future__ import annotations

import errno
import math
from typing import TYPE_CHECKING

import trio

from ..address import format_ip
from ..administration import FAMILIES
from ..core.events import NewNeighbour
from ..core.neighbour import Neighbour
from ..core.proxy import ProxyEntry
from ..errors import AdminError, DeviceGone
from ..records import Record, entry_record, flag_names, state_name
from .host_words import check_no_more, parse_neighbour, parse_pairs, parse_state, take_exactly
from .settings import apply_settings, parse_family, parse_setting

if TYPE_CHECKING:
    from .host_life import Host

__all__ = ["TableCommands"]


class TableCommands:
    """The commands of one host about its neighbours and their parameters. Each takes the words behind its
    verb, and raises ValueError, NeighioError or OSError for what cannot be done."""

    def __init__(self, host: Host) -> None:
        self._host = host

    # -- looking

    def show(self, words: list[str]) -> Record:
        """``show [IP]`` and ``show proxy``."""
        host = self._host
        match words:
            case []:
                entries = [*host.table.arp.entries(), *host.table.ndisc.entries()]
            case ["proxy"]:
                return {"entries": [self._proxy(one) for one in self._proxies()]}
            case [ip]:
                found = host.table.lookup(ip)
                entries = [] if found is None else [found]
            case _:
                raise ValueError("show: expected show, show IP or show proxy")
        alive = [entry for entry in entries if not entry.dead]
        alive.sort(key=lambda entry: (len(entry.key), entry.key))
        now = trio.current_time()
        return {"entries": [_entry(entry, now) for entry in alive]}

    def _proxies(self) -> list[ProxyEntry]:
        table = self._host.table
        found = [*table.arp.proxies(), *table.ndisc.proxies()]
        return sorted(found, key=lambda proxy: (len(proxy.key), proxy.key))

    def _proxy(self, proxy: ProxyEntry) -> Record:
        return {
            "address": format_ip(proxy.key),
            "device": self._host.attached.name if proxy.device else None,
            "flags": flag_names(proxy.flags),
            "protocol": proxy.protocol,
        }

    def stats(self, words: list[str]) -> Record:
        """``stats``."""
        check_no_more("stats", words)
        attached, table = self._host.attached, self._host.table
        families = FAMILIES if attached.present else ()
        return {
            "device": attached.name,
            "lladdr": str(attached.lladdr),
            "addresses": attached.addresses,
            "tentative": attached.tentative,
            "arp": table.arp.statistics()._asdict(),
            "ndisc": table.ndisc.statistics()._asdict(),
            "table": table.statistics()._asdict(),
            "parameters": {
                f"ipv{family}": dict(table.parameters(attached.name, family)) for family in families
            },
        }

    # -- as ip neigh

    def new(self, verb: str, words: list[str]) -> Record:
        """``add``, ``change``, ``replace`` and ``append``, as ``ip neigh`` has them."""
        ip, dev, lladdr, options = parse_neighbour(verb, words)
        getattr(self._host.table, verb)(ip, dev, lladdr, **options)
        return {}

    def delete(self, words: list[str]) -> Record:
        """``del``, as ``ip neigh del``."""
        ip, dev, _, options = parse_neighbour("del", words)
        self._host.table.delete(ip, dev, proxy=options.get("proxy", False))
        return {}

    def flush(self, words: list[str]) -> Record:
        """``flush [dev D] [nud STATE]``."""
        given = parse_pairs("flush", words, ("dev", "nud"))
        nud = parse_state(given["nud"]) if "nud" in given else None
        return {"count": self._host.table.flush(given.get("dev"), nud=nud)}

    # -- as an upper layer

    def use(self, words: list[str]) -> Record:
        """``use IP``: as if a packet were about to go there (neigh_event_send)."""
        (ip,) = take_exactly("use IP", words, 1)
        attached, driver = self._host.attached, self._host.table._driver
        index, key = driver.place(ip, None)
        if not attached.up:
            raise DeviceGone(f"{attached.name} is down")
        try:
            neighbour, lladdr = driver.engine.resolve(index, key, driver.clock())
            state = neighbour.nud_state
        finally:
            driver.pump()
        return {"state": state_name(state), "lladdr": None if lladdr is None else str(lladdr)}

    def confirm(self, words: list[str]) -> Record:
        """``confirm IP``: the upper layer saw progress. As in Linux no entry is made for it."""
        (ip,) = take_exactly("confirm IP", words, 1)
        table = self._host.table
        if table.lookup(ip) is None:
            raise AdminError(errno.ENOENT)
        with table.neighbour(ip) as neighbour:
            neighbour.confirm()
            return {"state": state_name(neighbour.nud_state)}

    # -- parameters

    def set(self, words: list[str]) -> Record:
        """``set NAME=VALUE ...``: all of them or none."""
        if not words:
            raise ValueError("set: expected set NAME=VALUE")
        host = self._host
        settings = [parse_setting(word) for word in words]
        apply_settings(host.table, host.attached.name, settings)
        host.settings.extend(settings)
        answer: Record = {}
        for family, name, value in settings:
            answer[f"ipv{family}.{name}"] = value
            if name == "base_reachable_time":
                drawn = host.table.parameters(host.attached.name, family)["reachable_time"]
                answer[f"ipv{family}.reachable_time"] = drawn
        return answer

    def collect(self, words: list[str]) -> Record:
        """``collect ipv4``: have the periodic collection run now."""
        (text,) = take_exactly("collect FAMILY", words, 1)
        driver = self._host.table._driver
        driver.engine.set_family_work(FAMILIES[parse_family(text)], collection=driver.clock())
        driver.pump()
        return {}

    def draw(self, words: list[str]) -> Record:
        """``draw ipv4 SECONDS``: have the last reachable_time drawn as this."""
        text, number = take_exactly("draw FAMILY SECONDS", words, 2)
        family = parse_family(text)
        try:
            seconds = float(number)
        except ValueError:
            seconds = math.nan
        if not 0 < seconds < math.inf:
            raise ValueError(f"{text}.reachable_time: {number!r} is no number of seconds above 0")
        driver = self._host.table._driver
        driver.engine.parameters(driver.index(None), FAMILIES[family]).reachable_time = seconds
        return {f"{text}.reachable_time": seconds}


def _entry(entry: Neighbour, now: float) -> Record:
    shown = entry.cache.snapshot(NewNeighbour, entry.row)
    assert isinstance(shown, NewNeighbour)
    return entry_record(shown, now)
