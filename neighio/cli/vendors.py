"""Who made a network card, by the first octets of its address, as the lists on this system have it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from ..errors import NeighioError

__all__ = ["LISTS", "is_local", "load_vendors"]

LISTS: Final = (
    "/usr/share/arp-scan/ieee-oui.txt",
    "/etc/arp-scan/ieee-oui.txt",
    "/usr/share/wireshark/manuf",
    "/usr/share/nmap/nmap-mac-prefixes",
    "/usr/share/ieee-data/oui.txt",
    "/var/lib/ieee-data/oui.txt",
    "/usr/share/hwdata/oui.txt",
)
"""Those with the smaller blocks (28 and 36 bits), too, come first."""

NONE_THERE: Final = """\
vendor: there is no list of vendors here: `apt-get install ieee-data` brings one, as do arp-scan, wireshark, \
nmap and hwdata; or pip install 'neighio[vendors]'"""

# "00-00-0C   (hex)\t\tCisco Systems, Inc", "00000C Cisco Systems", "00:00:0C\tCisco\tCisco Systems, Inc" and
# "00:1B:C5:00:00:00/36\tConverging\tConverging Systems Inc.": digits, how many bits of them, the name last.
_LINE: Final = (
    r"^((?:[0-9A-Fa-f]{2}[:-]?)+[0-9A-Fa-f]?)(?:/([0-9]+))?"
    r"[ \t]+(?:\(hex\)[ \t]*)?(?:[^\t\n]*\t)*([^\t\n]+?)[ \t\r]*$"
)
_DIGITS: Final = (9, 7, 6)
"""Of blocks of 36, 28 and 24 bits, the smallest first."""


def is_local(lladdr: bytes) -> bool:
    """Whether an address is no vendor's but was made up here: a virtual one, or random (IEEE 802c)."""
    return bool(lladdr[0] & 2)


def load_vendors(lists: Iterable[str] = LISTS) -> Callable[[bytes], str | None]:
    """Read the first list there is; return what gives the vendor of a link-layer address, or None.

    Without a list it is the package aiooui, where that is installed.

    Raises:
        NeighioError: there is neither.
    """
    for name in lists:
        with contextlib.suppress(OSError):
            return _reader(Path(name).read_bytes().decode("utf-8", "replace"))
    return _package()


def _reader(text: str) -> Callable[[bytes], str | None]:
    blocks: dict[str, str] = {}
    for digits, bits, name in re.findall(_LINE, text, re.MULTILINE):
        plain = digits.replace(":", "").replace("-", "").lower()
        blocks.setdefault(plain[: int(bits) // 4] if bits else plain, name)

    def vendor(lladdr: bytes) -> str | None:
        digits = lladdr.hex()
        return next((blocks[digits[:some]] for some in _DIGITS if digits[:some] in blocks), None)

    return vendor


def _package() -> Callable[[bytes], str | None]:
    try:
        import asyncio

        import aiooui
    except ImportError:
        raise NeighioError(NONE_THERE) from None
    asyncio.run(aiooui.async_load())
    return lambda lladdr: aiooui.get_vendor(lladdr.hex())
