"""Keys, from what a terminal sends: characters, and the sequences of ECMA-48 and DEC's VT220."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["split_keys"]

_NAMES: Final = {
    b"\r": "enter",
    b"\n": "enter",
    b"\x08": "backspace",
    b"\x7f": "backspace",
    b"\x15": "ctrl-u",
    b"\x1b": "escape",
    b"\x1b[A": "up",
    b"\x1bOA": "up",
    b"\x1b[B": "down",
    b"\x1bOB": "down",
    b"\x1b[C": "right",
    b"\x1bOC": "right",
    b"\x1b[D": "left",
    b"\x1bOD": "left",
    b"\x1b[5~": "page up",
    b"\x1b[6~": "page down",
    b"\x1b[1~": "home",
    b"\x1b[7~": "home",
    b"\x1b[H": "home",
    b"\x1bOH": "home",
    b"\x1b[4~": "end",
    b"\x1b[8~": "end",
    b"\x1b[F": "end",
    b"\x1bOF": "end",
}

# A whole sequence: CSI with its parameters to the letter that ends it, or SS3 and a letter. Or one octet.
_WHOLE: Final = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO[ -~]|[^\x1b]", re.DOTALL)
_BEGUN: Final = re.compile(rb"\x1b(\[[0-?]*[ -/]*|O)?", re.DOTALL)

LONGEST: Final = 32
"""Octets that may belong to one key; no key has as many."""


def split_keys(data: bytes, *, more: bool) -> tuple[list[str], bytes]:
    """Return the keys that were pressed, and what is left: the beginning of one whose end has not come.

    A key is its character, if that is printable ASCII, or a name: "up", "page down". What has no name is
    left out. Without ``more`` there is nothing to wait for: what has only begun was the key Escape and
    others after it.
    """
    keys: list[str] = []
    while data:
        found = _WHOLE.match(data)
        if found is None:
            begun = _BEGUN.match(data)
            if more and begun is not None and begun.end() == len(data) <= LONGEST:
                return keys, data
            piece = b"\x1b"
        else:
            piece = found.group()
        data = data[len(piece) :]
        if piece in _NAMES:
            keys.append(_NAMES[piece])
        elif len(piece) == 1 and b" " <= piece <= b"~":
            keys.append(piece.decode("ascii"))
    return keys, b""
