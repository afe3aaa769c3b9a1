"""What link-layer addresses a link can be given."""

from __future__ import annotations

from ..address import LinkAddress
from ..errors import InvalidAddress
from ..wire.ethernet import ETH_ALEN, is_group

__all__ = ["check_group", "parse_station"]


def check_group(group: bytes) -> None:
    """Return if ``group`` is a multicast Ethernet address, packed.

    Raises:
        InvalidAddress: it is not.
    """
    if len(group) != ETH_ALEN or not is_group(group):
        raise InvalidAddress(f"group: {group!r} is no multicast address of {ETH_ALEN} packed octets")


def parse_station(lladdr: bytes | str, length: int, device: str) -> LinkAddress:
    """Return the address that one station is to have on ``device``, whose addresses have ``length`` octets.

    Raises:
        InvalidAddress: it is none, too long or short, a group's, or nobody's (all zeros).
    """
    own = LinkAddress(lladdr)
    if len(own) != length:
        raise InvalidAddress(f"lladdr: {own} has {len(own)} octets, {device} needs {length}")
    if is_group(own) or not any(own):
        raise InvalidAddress(
            f"lladdr: {own} is {'a group' if is_group(own) else 'nobody'}'s, not one station's"
        )
    return own
