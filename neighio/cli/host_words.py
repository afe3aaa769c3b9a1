"""The words of the commands of ``neighio host``."""

from __future__ import annotations

from typing import Final

from ..administration import EntryOptions
from ..core.constants import NUD_PERMANENT, parse_nud
from .neighbours import PROTOCOLS

__all__ = [
    "check_no_more",
    "parse_count",
    "parse_neighbour",
    "parse_number",
    "parse_pairs",
    "parse_state",
    "take_exactly",
]

_FLAG_WORDS: Final = frozenset({"router", "use", "managed", "extern_learn", "extern_valid"})
_PROTOCOL_NUMBERS: Final = {"unspec": 0, **{name: number for number, name in PROTOCOLS.items()}}


def take_exactly(form: str, words: list[str], count: int) -> list[str]:
    """Return the words of a command of the form ``VERB ...`` that has so many.

    Raises:
        ValueError: there are more or fewer.
    """
    if len(words) != count:
        raise ValueError(f"{form.split()[0]}: expected {form}")
    return words


def check_no_more(verb: str, words: list[str]) -> None:
    """Raise ValueError if a command that has no words has one."""
    if words:
        raise ValueError(f"{verb}: {words[0]!r} is one word too many")


def parse_count(field: str, text: str) -> int:
    """Return a whole number.

    Raises:
        ValueError: it is none; names the field.
    """
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{field}: {text!r} is no whole number")
    return int(text)


def parse_number(field: str, text: str) -> float:
    """Return a number.

    Raises:
        ValueError: it is none; names the field.
    """
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{field}: {text!r} is no number") from None


def parse_pairs(verb: str, words: list[str], known: tuple[str, ...]) -> dict[str, str]:
    """Return names and values that stand in turn.

    Raises:
        ValueError: a name is not known, or has no value.
    """
    given: dict[str, str] = {}
    for name, value in zip(words[::2], [*words[1::2], ""], strict=False):
        if name not in known or not value:
            raise ValueError(f"{verb}: {name!r} is not one of {', '.join(known)} with a value")
        given[name] = value
    return given


def parse_state(text: str) -> int:
    """Return what a state's name stands for, or its number as C writes numbers: as in Linux any 16 bits, of
    which eight are kept.

    Raises:
        ValueError: there is no such state; names the field.
    """
    try:
        number = int(text, 0)
    except ValueError:
        return parse_nud(text)
    return number & 0xFF if 0 <= number <= 0xFFFF else parse_nud(number)


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


def parse_neighbour(verb: str, words: list[str]) -> tuple[str, str | None, str | None, EntryOptions]:
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
            options["nud"] = parse_state(value(word))
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
