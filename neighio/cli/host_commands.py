"""What ``neighio host`` is told on its standard input: a command a line, an answer each."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import trio

from ..address import format_ip, parse_ip
from ..administration import FAMILIES, EntryOptions
from ..core.constants import NUD_PERMANENT, RTN_UNICAST
from ..core.events import NewNeighbour
from ..core.neighbour import Neighbour
from ..core.proxy import ProxyEntry
from ..errors import AdminError, DeviceGone, DuplicateAddress, InvalidAddress, NeighioError
from ..records import Record, entry_record, flag_names, state_name
from ..states import parse_nud
from ..wire import udp
from ..wire.ipv6 import is_multicast
from .ip_monitor import PROTOCOLS
from .settings import apply_settings, parse_family, parse_setting

if TYPE_CHECKING:
    from ..driver import Driver
    from .host import Host

__all__ = ["Commands", "is_group"]

PORT: Final = 9
"""The discard port (RFC 863), from which and to which datagrams are sent."""

MOST_PAYLOAD: Final = {4: 65507, 16: 65527}
"""Octets that a UDP datagram carries, by the length of an address."""

FOLLOWING_SECONDS: Final = 2.0
"""How long the kernel may take to tell of what it was asked to do."""

_FLAG_WORDS: Final = frozenset({"router", "use", "managed", "extern_learn", "extern_valid"})
_PROTOCOL_NUMBERS: Final = {"unspec": 0, **{name: number for number, name in PROTOCOLS.items()}}


class Commands:
    """The commands of one host.

    Attributes:
        ended: whether the host was told to end.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self._sent = 0
        self.ended: bool = False
        self._at_once: Mapping[str, Callable[[list[str]], Record]] = {
            "add": lambda words: self._new("add", words),
            "announce": self._announce,
            "append": lambda words: self._new("append", words),
            "change": lambda words: self._new("change", words),
            "confirm": self._confirm,
            "del": self._delete,
            "draw": self._draw,
            "flush": self._flush,
            "quit": self._quit,
            "replace": lambda words: self._new("replace", words),
            "send": self._send,
            "set": self._set,
            "show": self._show,
            "stats": self._stats,
            "use": self._use,
        }

    async def perform(self, line: str) -> Record:
        """Do what a line says; return the answer to it."""
        # Here and not behind it: nothing is to come between what a command causes and its answer.
        await trio.lowlevel.checkpoint()
        word, *words = line.split()
        try:
            if word == "address":
                found = await self._address(words)
            elif word == "link":
                found = await self._link(words)
            elif word in self._at_once:
                found = self._at_once[word](words)
            else:
                known = ", ".join(sorted({*self._at_once, "address", "link"} - {"draw"}))
                raise ValueError(f"command: there is no {word!r}; there are {known}")
        except (NeighioError, OSError, ValueError) as error:
            return self.refusal(error)
        return {"ok": True, **self._host.stamp.at(), **found}

    def refusal(self, error: Exception) -> Record:
        """The answer to what went wrong."""
        text = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return {"ok": False, **self._host.stamp.at(), "error": text, "errno": _errno(error)}

    # -- looking

    def _show(self, words: list[str]) -> Record:
        """``show [proxy] [IP]``."""
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

    def _stats(self, words: list[str]) -> Record:
        _nothing("stats", words)
        host = self._host
        table = host.table
        name = host.attached.name
        held = {f"ipv{family}": dict(table.parameters(name, family)) for family in FAMILIES if host.present}
        return {
            "device": name,
            "lladdr": str(host.attached.lladdr),
            "addresses": host.attached.addresses,
            "arp": asdict(table.arp.statistics()),
            "ndisc": asdict(table.ndisc.statistics()),
            "table": asdict(table.statistics()),
            "parameters": held,
        }

    # -- as ip neigh

    def _new(self, verb: str, words: list[str]) -> Record:
        ip, dev, lladdr, options = _parse_neighbour(verb, words)
        if options.get("proxy") and is_group(parse_ip(ip)[0]):
            # Linux has an entry of no use for it.
            raise InvalidAddress(f"proxy: {ip} is a group, for which no host is a proxy")
        getattr(self._host.table, verb)(ip, dev, lladdr, **options)
        return {}

    def _delete(self, words: list[str]) -> Record:
        ip, dev, _, options = _parse_neighbour("del", words)
        self._host.table.delete(ip, dev, proxy=options.get("proxy", False))
        return {}

    def _flush(self, words: list[str]) -> Record:
        """``flush [dev D] [nud STATE]``."""
        given = _pairs("flush", words, ("dev", "nud"))
        nud = _parse_nud(given["nud"]) if "nud" in given else None
        return {"count": self._host.table.flush(given.get("dev"), nud=nud)}

    # -- packets

    def _use(self, words: list[str]) -> Record:
        """``use IP``: as if a packet were about to go there (neigh_event_send)."""
        driver, index, key = self._neighbour("use", words)
        try:
            neighbour, lladdr = driver.engine.resolve(index, key, driver.clock())
            state = neighbour.nud_state
        finally:
            driver.pump()
        return {"state": state_name(state), "lladdr": None if lladdr is None else str(lladdr)}

    def _confirm(self, words: list[str]) -> Record:
        """``confirm IP``: the upper layer saw progress. As in Linux no entry is made for it."""
        (ip,) = _exactly("confirm IP", words, 1)
        table = self._host.table
        if table.lookup(ip) is None:
            raise AdminError(errno.ENOENT)
        with table.neighbour(ip) as neighbour:
            neighbour.confirm()
            return {"state": state_name(neighbour.nud_state)}

    def _neighbour(self, verb: str, words: list[str]) -> tuple[Driver, int, bytes]:
        (ip,) = _exactly(f"{verb} IP", words, 1)
        driver = self._host.table._driver
        index, key = driver.place(ip, None)
        if not self._host.attached.up:
            raise DeviceGone(f"{self._host.attached.name} is down")
        return driver, index, key

    def _send(self, words: list[str]) -> Record:
        """``send IP [BYTES] [from IP] [confirm]``."""
        host = self._host
        confirms = words[-1:] == ["confirm"]
        if confirms:
            words = words[:-1]
        match words:
            case [ip]:
                octets, source = 0, None
            case [ip, "from", source]:
                octets = 0
            case [ip, text]:
                octets, source = _count("bytes", text), None
            case [ip, text, "from", source]:
                octets = _count("bytes", text)
            case _:
                raise ValueError("send: expected send IP [BYTES] [from IP] [confirm]")
        destination, zone = parse_ip(ip)
        device = host.attached._device
        if zone is not None and zone != device.name:
            raise InvalidAddress(f"ip: zone {zone!r} is not {device.name}")
        if octets > MOST_PAYLOAD[len(destination)]:
            raise AdminError(errno.EMSGSIZE, f"bytes: {octets} are more than a datagram carries")
        if device.node.owns(destination):
            raise InvalidAddress(f"ip: {format_ip(destination)} is an address of this host's own")
        # Groups of IPv6 are on every link.
        group = len(destination) == 16 and is_group(destination)
        hop = (device, destination) if group else device.node.first_hop(destination)
        if hop is None or not host.present:
            raise AdminError(errno.ENETUNREACH, f"ip: there is no route to {format_ip(destination)}")
        own = self._source(source, hop[1], destination)
        number = self._sent + 1
        packet = udp.build(own, destination, PORT, PORT, _payload(number, octets))
        if len(packet) > device.mtu:
            text = f"bytes: the packet would have {len(packet)} octets, and the MTU is {device.mtu}"
            raise AdminError(errno.EMSGSIZE, text)
        if confirms and device.node.address_type(destination) == RTN_UNICAST:
            with host.table.neighbour(hop[1]) as neighbour:
                neighbour.confirm()
        if group:
            with host.table.neighbour(destination) as neighbour:
                neighbour.send_nowait(packet)
        else:
            host.attached.send_nowait(packet)
        self._sent = number
        return {"number": number, "octets": len(packet), "source": format_ip(own)}

    def _source(self, given: str | None, hop: bytes, destination: bytes) -> bytes:
        """The address from which a packet leaves: the given one, or the one that Linux would choose."""
        device = self._host.attached._device
        if given is not None:
            own, _ = parse_ip(given, field="from")
            address = device.address(own)
            if len(own) != len(destination) or address is None or address.tentative:
                raise AdminError(errno.EADDRNOTAVAIL, f"from: {given} is no address of this host's to use")
            return own
        node = device.node
        found = node.source_for(hop, device, None) if len(hop) == 4 else node.ipv6_source(device, destination)
        if found is None or not any(found):
            family = "IPv4" if len(hop) == 4 else "IPv6"
            raise AdminError(errno.EADDRNOTAVAIL, f"from: this host has no {family} address")
        return found

    # -- the host itself

    def _set(self, words: list[str]) -> Record:
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

    def _draw(self, words: list[str]) -> Record:
        """``draw ipv4 SECONDS``: have the last reachable_time drawn as this."""
        text, number = _exactly("draw FAMILY SECONDS", words, 2)
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

    def _announce(self, words: list[str]) -> Record:
        """``announce [IP ...]``."""
        self._host.attached.announce(*words)
        return {}

    def _quit(self, words: list[str]) -> Record:
        _nothing("quit", words)
        self.ended = True
        return {}

    async def _address(self, words: list[str]) -> Record:
        """``address add|del ADDRESS/LENGTH``."""
        host = self._host
        match words:
            case ["add", address]:
                await host.attached.add_address(address, dad_transmits=host.dad_transmits)
            case ["del", address]:
                host.attached.remove_address(address)
                await trio.lowlevel.checkpoint()
            case _:
                raise ValueError("address: expected address add IP/LENGTH or address del IP")
        return {"addresses": host.attached.addresses}

    async def _link(self, words: list[str]) -> Record:
        """``link up`` and ``link down``: the interface, which rtnetlink is asked to set."""
        from ..kernel import requests
        from ..kernel.netlink import request_sync

        host = self._host
        (how,) = _exactly("link up|down", words, 1)
        if how not in ("up", "down"):
            raise ValueError(f"link: {how!r} is neither up nor down")
        if not host.present:
            raise DeviceGone(f"{host.attached.name} is not there")
        up = how == "up"
        try:
            request_sync(requests.set_link(host.attached.index, up=up))
        except PermissionError as error:
            text = f"link: to set {host.attached.name} {how} needs the capability CAP_NET_ADMIN"
            raise AdminError(error.errno or errno.EPERM, text) from None
        with trio.move_on_after(FOLLOWING_SECONDS):
            await host.until(lambda: not host.present or host.attached.up == up)
        return {"up": host.attached.up}


def _errno(error: Exception) -> str:
    """The name of the errno that Linux would give, or the nearest one."""
    code = error.errno if isinstance(error, OSError) else None
    if isinstance(error, DuplicateAddress):
        code = errno.EADDRINUSE
    elif isinstance(error, DeviceGone):
        code = errno.ENETDOWN
    return errno.errorcode.get(code or errno.EINVAL, str(code))


def _entry(entry: Neighbour, now: float) -> Record:
    shown = entry.cache.snapshot(NewNeighbour, entry.row)
    assert isinstance(shown, NewNeighbour)
    return entry_record(shown, now)


def is_group(ip: bytes) -> bool:
    """Whether a packed address is a multicast one."""
    return ip[0] & 0xF0 == 0xE0 if len(ip) == 4 else is_multicast(ip)


def _payload(number: int, octets: int) -> bytes:
    """So many octets, which begin with the datagram's number where there is room."""
    return f"#{number:03}".encode().ljust(octets, b".")[:octets]


# -- words


def _exactly(form: str, words: list[str], count: int) -> list[str]:
    if len(words) != count:
        raise ValueError(f"{form.split()[0]}: expected {form}")
    return words


def _nothing(verb: str, words: list[str]) -> None:
    if words:
        raise ValueError(f"{verb}: {words[0]!r} is one word too many")


def _count(field: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{field}: {text!r} is no whole number")
    return int(text)


def _pairs(verb: str, words: list[str], known: tuple[str, ...]) -> dict[str, str]:
    """Names and values in turn."""
    given: dict[str, str] = {}
    for name, value in zip(words[::2], [*words[1::2], ""], strict=False):
        if name not in known or not value:
            raise ValueError(f"{verb}: {name!r} is not one of {', '.join(known)} with a value")
        given[name] = value
    return given


def _parse_nud(text: str) -> int:
    """A state's name, or its number as C writes numbers."""
    try:
        return parse_nud(int(text, 0))
    except ValueError as error:
        if str(error).startswith("nud:"):
            raise
    return parse_nud(text)


def _parse_protocol(text: str) -> int:
    number = _PROTOCOL_NUMBERS.get(text, -1)
    if number < 0:
        try:
            number = int(text, 0)
        except ValueError:
            number = -1
    if not 0 <= number <= 0xFF:
        raise ValueError(f"protocol: {text!r} is neither a name nor 0 to 255")
    return number


def _parse_neighbour(verb: str, words: list[str]) -> tuple[str, str | None, str | None, EntryOptions]:
    """Return the address, the device, the link-layer address and the options of an ``ip neigh`` command.

    Raises:
        ValueError: a word that is none, one that is given twice, or no address; names the field.
    """
    ip: str | None = None
    dev: str | None = None
    lladdr: str | None = None
    options = EntryOptions()
    rest = iter(words)

    def value(field: str) -> str:
        found = next(rest, None)
        if found is None:
            raise ValueError(f"{field}: its value is missing")
        return found

    for word in rest:
        if word == "lladdr":
            if lladdr is not None:
                raise ValueError("lladdr: given twice")
            lladdr = value(word)
        elif word == "nud":
            options["nud"] = _parse_nud(value(word))
        elif word == "dev":
            dev = value(word)
        elif word in ("protocol", "proto"):
            options["protocol"] = _parse_protocol(value("protocol"))
        elif word in _FLAG_WORDS:
            options[word] = True  # type: ignore[literal-required]  # the words are its keys
            if word == "managed":
                # What is managed is no permanent entry, unless the words that follow want one.
                options["nud"] = int(options.get("nud", NUD_PERMANENT)) & ~NUD_PERMANENT
        elif ip is not None:
            raise ValueError(f"{verb}: {word!r} is neither a second address nor an option")
        elif word == "proxy":
            options["proxy"] = True
            ip = value(word)
        else:
            ip = value(word) if word == "to" else word
    if ip is None:
        raise ValueError(f"{verb}: the address is missing")
    # What iproute2 takes for "none".
    return ip, dev, None if lladdr == "null" else lladdr, options
