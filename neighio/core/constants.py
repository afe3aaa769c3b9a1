"""The kernel's numbers, under the kernel's names (include/uapi/linux/{neighbour,rtnetlink,if}.h).

Plain integers: an :class:`enum.IntFlag` costs a microsecond for each operation, and the machine does
several for each frame. The public face shows :class:`neighio.NudState`.
"""

from __future__ import annotations

from typing import Final

AF_INET: Final = 2
AF_INET6: Final = 10
KEY_LEN: Final = {AF_INET: 4, AF_INET6: 16}

NUD_NONE: Final = 0x00
NUD_INCOMPLETE: Final = 0x01
NUD_REACHABLE: Final = 0x02
NUD_STALE: Final = 0x04
NUD_DELAY: Final = 0x08
NUD_PROBE: Final = 0x10
NUD_FAILED: Final = 0x20
NUD_NOARP: Final = 0x40
NUD_PERMANENT: Final = 0x80

NUD_IN_TIMER: Final = NUD_INCOMPLETE | NUD_REACHABLE | NUD_DELAY | NUD_PROBE
NUD_CONNECTED: Final = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE
NUD_VALID: Final = NUD_CONNECTED | NUD_STALE | NUD_DELAY | NUD_PROBE

NUD_NAMES: Final = {
    NUD_INCOMPLETE: "INCOMPLETE",
    NUD_REACHABLE: "REACHABLE",
    NUD_STALE: "STALE",
    NUD_DELAY: "DELAY",
    NUD_PROBE: "PROBE",
    NUD_FAILED: "FAILED",
    NUD_NOARP: "NOARP",
    NUD_PERMANENT: "PERMANENT",
}

# An entry's or a request's flags. The extended ones stand above the low eight bits, as inside the kernel.
NTF_USE: Final = 0x01
NTF_SELF: Final = 0x02
NTF_MASTER: Final = 0x04
NTF_PROXY: Final = 0x08
NTF_EXT_LEARNED: Final = 0x10
NTF_OFFLOADED: Final = 0x20
NTF_STICKY: Final = 0x40
NTF_ROUTER: Final = 0x80
NTF_EXT_SHIFT: Final = 8
NTF_MANAGED: Final = 0x100
NTF_EXT_LOCKED: Final = 0x200
NTF_EXT_VALIDATED: Final = 0x400

NEIGH_UPDATE_F_OVERRIDE: Final = 0x001
NEIGH_UPDATE_F_WEAK_OVERRIDE: Final = 0x002
NEIGH_UPDATE_F_OVERRIDE_ISROUTER: Final = 0x004
NEIGH_UPDATE_F_USE: Final = 0x008
NEIGH_UPDATE_F_MANAGED: Final = 0x010
NEIGH_UPDATE_F_EXT_LEARNED: Final = 0x020
NEIGH_UPDATE_F_ISROUTER: Final = 0x040
NEIGH_UPDATE_F_ADMIN: Final = 0x080
NEIGH_UPDATE_F_EXT_VALIDATED: Final = 0x100

NLM_F_REPLACE: Final = 0x100
NLM_F_EXCL: Final = 0x200
NLM_F_CREATE: Final = 0x400
NLM_F_APPEND: Final = 0x800

RTN_UNICAST: Final = 1
RTN_LOCAL: Final = 2
RTN_BROADCAST: Final = 3
RTN_MULTICAST: Final = 5

RT_SCOPE_UNIVERSE: Final = 0
RT_SCOPE_SITE: Final = 200
RT_SCOPE_LINK: Final = 253
RT_SCOPE_HOST: Final = 254

IFF_UP: Final = 0x1
IFF_BROADCAST: Final = 0x2
IFF_LOOPBACK: Final = 0x8
IFF_POINTOPOINT: Final = 0x10
IFF_RUNNING: Final = 0x40
IFF_NOARP: Final = 0x80
IFF_MULTICAST: Final = 0x1000
IFF_LOWER_UP: Final = 0x10000

IFA_F_SECONDARY: Final = 0x01
IFA_F_OPTIMISTIC: Final = 0x04
IFA_F_DEPRECATED: Final = 0x20
IFA_F_TENTATIVE: Final = 0x40


def nud_state_name(state: int) -> str:
    """Return a state as iproute2 prints it: the bits' names, lowest first, or nothing for NONE."""
    return " ".join(name for bit, name in NUD_NAMES.items() if state & bit)


def parse_nud(value: int | str) -> int:
    """Return NUD_* bits from bits or from a name as iproute2 takes it ("reachable").

    Raises:
        ValueError: no state has this name, or the bits are more than eight; the message names the field.
    """
    if isinstance(value, str):
        for bit, name in NUD_NAMES.items():
            if value.upper() == name:
                return bit
        if value.upper() == "NONE":
            return NUD_NONE
        known = ", ".join(name.lower() for name in NUD_NAMES.values())
        raise ValueError(f"nud: no state {value!r}; there is none, {known}")
    if not 0 <= value <= 0xFF:
        raise ValueError(f"nud: {value!r} is no state")
    return int(value)
