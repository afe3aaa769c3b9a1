"""What a link-layer address says of itself: that routers share it, or that it was made up."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["Virtual", "is_randomised", "note", "virtual"]

LOCALLY_ADMINISTERED: Final = 0x02

# The octets with which the address begins, the protocol, its group's bits in those that follow.
_VIRTUAL: Final = (
    # RFC 9568 7.3. CARP of the BSDs has the same ones.
    (bytes.fromhex("00005e0001"), "VRRP", 0xFF),
    (bytes.fromhex("00005e0002"), "VRRP", 0xFF),
    # RFC 2281 5.3. Version 2, and that for IPv6, have 12 bits for the group, of which the upper four are
    # behind an f and a 0.
    (bytes.fromhex("00000c07ac"), "HSRP", 0xFF),
    (bytes.fromhex("00000c9f"), "HSRP", 0xFFF),
    (bytes.fromhex("000573a0"), "HSRP", 0xFFF),
    # The last octet is the forwarder's: a group has several, which share its load.
    (bytes.fromhex("0007b4"), "GLBP", 0x3FF00),
)
_FIXED: Final = {bytes.fromhex("00000c9f"): 0xF000, bytes.fromhex("000573a0"): 0x0000}


class Virtual(NamedTuple):
    """A link-layer address that moves between routers as they take over from each other."""

    protocol: str
    """VRRP (CARP, too), HSRP or GLBP."""
    group: int

    def __str__(self) -> str:
        return f"{self.protocol} {self.group}"


def virtual(lladdr: bytes) -> Virtual | None:
    """Whose virtual address that is, if it is one."""
    for prefix, protocol, group in _VIRTUAL:
        if lladdr.startswith(prefix):
            rest = int.from_bytes(lladdr[len(prefix) :], "big")
            if prefix in _FIXED and rest & 0xF000 != _FIXED[prefix]:
                return None
            shift = 8 if protocol == "GLBP" else 0
            return Virtual(protocol, (rest & group) >> shift)
    return None


def is_randomised(lladdr: bytes) -> bool:
    """Whether somebody made the address up (IEEE 802, U/L bit): a phone for each network, a container, a
    virtual machine."""
    return bool(lladdr[0] & LOCALLY_ADMINISTERED)


def note(lladdr: bytes) -> str | None:
    """What a reader should know of a link-layer address."""
    found = virtual(lladdr)
    if found is not None:
        return f"virtual router, {found}"
    return "randomised" if is_randomised(lladdr) else None
