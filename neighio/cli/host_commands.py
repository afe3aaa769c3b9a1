"""What ``neighio host`` is told on its standard input: a command a line, an answer each."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Literal

import trio

from ..address import parse_network
from ..errors import AdminError, DeviceGone, NeighioError
from ..records import Record
from .host_options import AddressWay, parse_route
from .host_send import Sender
from .host_table import TableCommands
from .host_words import check_no_more, parse_count, parse_number, parse_pairs, take_exactly

if TYPE_CHECKING:
    from .host_life import Host

__all__ = ["Commands"]

FOLLOWING_SECONDS: Final = 2.0
"""How long the kernel may take to tell of what it was asked to do."""

ANNOUNCING: Final = ("repeat", "interval", "backoff", "form")
"""The words of ``announce``, each with a value."""

FOR_TESTS: Final = {"collect", "draw"}
"""Commands that nobody is told of who mistypes another."""

FORMS: Final[Mapping[str, Literal["request", "reply", "both"]]] = {
    "request": "request",
    "reply": "reply",
    "both": "both",
}

WAYS: Final = {
    "dad": AddressWay(),
    "nodad": AddressWay(transmits=0),
    "optimistic": AddressWay(optimistic=True),
}
"""The words of ``address add``."""


class Commands:
    """The commands of one host.

    Attributes:
        ended: whether the host was told to end.
    """

    def __init__(self, host: Host) -> None:
        self._host = host
        self.ended: bool = False
        table = TableCommands(host)
        self._at_once: Mapping[str, Callable[[list[str]], Record]] = {
            "add": lambda words: table.new("add", words),
            "announce": self._announce,
            "append": lambda words: table.new("append", words),
            "change": lambda words: table.new("change", words),
            "confirm": table.confirm,
            "del": table.delete,
            "collect": table.collect,
            "draw": table.draw,
            "flush": table.flush,
            "quit": self._quit,
            "replace": lambda words: table.new("replace", words),
            "route": self._route,
            "send": Sender(host).send,
            "set": table.set,
            "show": table.show,
            "stats": table.stats,
            "use": table.use,
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
                known = ", ".join(sorted({*self._at_once, "address", "link"} - FOR_TESTS))
                raise ValueError(f"command: there is no {word!r}; there are {known}")
        except (NeighioError, OSError, ValueError) as error:
            return self.refusal(error)
        return {"ok": True, **self._host.stamp.at(), **found}

    def refusal(self, error: Exception) -> Record:
        """The answer to what went wrong."""
        text = (error.strerror if isinstance(error, OSError) else None) or str(error)
        return {"ok": False, **self._host.stamp.at(), "error": text, "errno": _errno(error)}

    def _announce(self, words: list[str]) -> Record:
        """``announce [IP ...] [repeat N] [interval SECONDS] [backoff FACTOR] [form FORM]``."""
        first = next((place for place, word in enumerate(words) if word in ANNOUNCING), len(words))
        given = parse_pairs("announce", words[first:], ANNOUNCING)
        form = FORMS.get(given.get("form", "request"))
        if form is None:
            raise ValueError(f"form: {given['form']!r} is not one of {', '.join(FORMS)}")
        self._host.attached.announce(
            *words[:first],
            repeat=parse_count("repeat", given.get("repeat", "1")),
            interval=parse_number("interval", given.get("interval", "1")),
            backoff=parse_number("backoff", given.get("backoff", "1")),
            form=form,
        )
        return {}

    def _quit(self, words: list[str]) -> Record:
        check_no_more("quit", words)
        self.ended = True
        return {}

    async def _address(self, words: list[str]) -> Record:
        """``address add IP/LENGTH [dad|nodad|optimistic]``, ``address del IP``."""
        host = self._host
        match words:
            case ["add", address]:
                await host.begin_address(address, host.usual_way)
            case ["add", address, how] if how in WAYS:
                await host.begin_address(address, WAYS[how])
            case ["del", address]:
                host.attached.remove_address(address)
                await trio.lowlevel.checkpoint()
            case _:
                raise ValueError(
                    f"address: expected address add IP/LENGTH [{'|'.join(WAYS)}] or address del IP"
                )
        return {"addresses": host.attached.addresses, "tentative": host.attached.tentative}

    def _route(self, words: list[str]) -> Record:
        """``route add|del NET [via GATEWAY]``."""
        host = self._host
        match words:
            case ["add", *rest]:
                route = parse_route(rest)
                host.attached.add_route(*route)
                host.routes[parse_network(route.network)] = route
            case ["del", *rest]:
                route = parse_route(rest)
                host.attached.remove_route(*route)
                host.routes.pop(parse_network(route.network), None)
            case _:
                raise ValueError("route: expected route add NET [via GATEWAY] or route del NET [via GATEWAY]")
        return {}

    async def _link(self, words: list[str]) -> Record:
        """``link up`` and ``link down``: the interface, which rtnetlink is asked to set."""
        from ..kernel import requests
        from ..kernel.netlink import request_sync

        attached = self._host.attached
        (how,) = take_exactly("link up|down", words, 1)
        if how not in ("up", "down"):
            raise ValueError(f"link: {how!r} is neither up nor down")
        if not attached.present:
            raise DeviceGone(f"{attached.name} is not there")
        up = how == "up"
        try:
            request_sync(requests.set_link(attached.index, up=up))
        except PermissionError as error:
            text = f"link: to set {attached.name} {how} needs the capability CAP_NET_ADMIN"
            raise AdminError(error.errno or errno.EPERM, text) from None
        with trio.move_on_after(FOLLOWING_SECONDS):
            await self._host.until(lambda: not attached.present or attached.up == up)
        return {"up": attached.up}


def _errno(error: Exception) -> str:
    """The name of the errno that Linux would give, or the nearest one."""
    code = error.errno if isinstance(error, OSError) else None
    if isinstance(error, DeviceGone):
        code = errno.ENETDOWN
    return errno.errorcode.get(code or errno.EINVAL, str(code))
