"""What a user means who gives a host name where an address is asked for."""

from __future__ import annotations

import re
import socket
from typing import Final, NamedTuple

import trio

from ..address import parse_ip
from ..errors import InvalidAddress

__all__ = ["Given", "find_address"]

LONGEST: Final = 253
"""Characters of a host name (RFC 1123 2.1), without the dot at its end."""

_NAME: Final = re.compile(r"(?:[\w-]{1,63}\.)*(?!(?:\d+|0[xX][\da-fA-F]*)\.?$)[\w-]{1,63}\.?")
"""The last label of a name is no number: "1.2.3" and "0x7f" are faulty addresses, though getaddrinfo() takes
them."""

_FAMILIES: Final = {None: socket.AF_UNSPEC, 4: socket.AF_INET, 6: socket.AF_INET6}


class Given(NamedTuple):
    """An address that was given: itself, with its zone if it has one, and the host name that stood for it."""

    address: str
    name: str | None = None

    def __str__(self) -> str:
        return self.address if self.name is None else f"{self.name} ({self.address})"


async def find_address(text: str, family: int | None) -> Given:
    """Return the address that a text is, or the first one of the host whose name it is.

    Args:
        text: an address, with a zone or without, or a host name.
        family: 4 or 6, of which it has to be; None: either.

    Raises:
        InvalidAddress: it is neither, of the other family, or nobody knows the name.
    """
    if _NAME.fullmatch(text) is None or len(text.removesuffix(".")) > LONGEST:
        key, _ = parse_ip(text)
        await trio.lowlevel.checkpoint()
        if family is not None and (4 if len(key) == 4 else 6) != family:
            raise InvalidAddress(f"ip: {text} is no IPv{family} address")
        return Given(text)
    try:
        found = await trio.socket.getaddrinfo(text, None, family=_FAMILIES[family], type=socket.SOCK_DGRAM)
    except socket.gaierror as error:
        what = "address" if family is None else f"IPv{family} address"
        raise InvalidAddress(f"ip: no {what} of {text} is known: {error.strerror}") from None
    except UnicodeError as error:
        raise InvalidAddress(f"ip: {text!r} is no host name: {error}") from None
    where = found[0][4]
    address = str(where[0]).partition("%")[0]
    scope = where[3] if len(where) == 4 else 0
    return Given(f"{address}%{socket.if_indextoname(scope)}" if scope else address, text)
