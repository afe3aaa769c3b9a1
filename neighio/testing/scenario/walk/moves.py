"""What a walk does next: one verb of a scenario's, after a pause; and how chance chooses it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from ..frames import parse_peer
from ..model import Action, AddressChange, Carrier, Link, Lladdr, Set
from ..words import parse_admin, parse_confirm, parse_interface, parse_lladdr, parse_route, parse_send

__all__ = ["Move", "Value", "toml"]

Value: TypeAlias = "str | Mapping[str, float | Mapping[str, float]]"


@dataclass(frozen=True, slots=True)
class Move:
    """``pause`` seconds after the one before, what a scenario file's ``verb = value`` says.

    ``error`` is the errno's name with which an ``ip neigh`` command ends.
    """

    pause: float
    verb: str
    value: Value
    error: str = ""

    def action(self, own: Sequence[bytes]) -> Action:
        """What it is to a player; ``own`` are the node's first addresses, for what is left out.

        Raises:
            ValueError: no scenario file may say this.
        """
        if isinstance(self.value, Mapping):
            ipv6 = self.value.get("ipv6", {})
            assert isinstance(ipv6, Mapping)
            ipv4 = {name: value for name, value in self.value.items() if not isinstance(value, Mapping)}
            return Set(ipv4, ipv6)
        read = _READERS.get(self.verb)
        return parse_admin(self.value, self.error or None) if read is None else read(self.value, own)

    def line(self, at: float) -> str:
        """The step of a scenario file."""
        error = f', error = "{self.error}"' if self.error else ""
        return f"{{ at = {at:.3f}, {self.verb} = {toml(self.value)}{error} }}"


_READERS: Final[Mapping[str, Callable[[str, Sequence[bytes]], Action]]] = {
    "peer": parse_peer,
    "send": parse_send,
    "confirm": parse_confirm,
    "link": lambda text, _: Link(text == "up"),
    "carrier": lambda text, _: Carrier(text == "on"),
    "lladdr": lambda text, _: Lladdr(parse_lladdr(text)),
    "address": lambda text, _: AddressChange(text.startswith("add "), parse_interface(text[4:])),
    "route": lambda text, _: parse_route(text[4:], add=text.startswith("add ")),
}


def toml(value: Value | float) -> str:
    """A value as TOML has it."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{name} = {toml(one)}' for name, one in value.items())} }}"
    return f'"{value}"' if isinstance(value, str) else repr(value)
