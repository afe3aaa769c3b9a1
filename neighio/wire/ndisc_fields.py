"""What :func:`neighio.wire.ndisc.parse` returns: what a message says, or why it is refused.

The classes have the fields that Linux acts on and no more, with the packet's addresses.
:mod:`.ndisc_message` has the whole messages.
"""

# No postponed annotations here: a field whose type is a string costs the import of the package a compilation.

import struct
from typing import Final, NamedTuple, TypeAlias

from .ipv6 import DROP_ICMPV6_CHECKSUM, FRAME_DROP_REASONS

__all__ = [
    "DROP_ICMPV6_CHECKSUM",
    "DROP_NDISC_CODE",
    "DROP_NDISC_DAD_DESTINATION",
    "DROP_NDISC_FRAGMENTED",
    "DROP_NDISC_HOP_LIMIT",
    "DROP_NDISC_LLADDR_LENGTH",
    "DROP_NDISC_OPTION_LENGTH",
    "DROP_NDISC_REDIRECT_DESTINATION",
    "DROP_NDISC_REDIRECT_TARGET",
    "DROP_NDISC_SOLICITED_MULTICAST",
    "DROP_NDISC_SOURCE_NOT_LINK_LOCAL",
    "DROP_NDISC_TARGET_MULTICAST",
    "DROP_NDISC_TRUNCATED",
    "DROP_NDISC_UNSPECIFIED_LLADDR",
    "DROP_NOT_NDISC",
    "DROP_REASONS",
    "ND_NA_FLAG_OVERRIDE",
    "ND_NA_FLAG_ROUTER",
    "ND_NA_FLAG_SOLICITED",
    "ND_NEIGHBOUR_ADVERT",
    "ND_NEIGHBOUR_SOLICIT",
    "ND_OPT_MTU",
    "ND_OPT_NONCE",
    "ND_OPT_PREFIX_INFO",
    "ND_OPT_REDIRECT_HDR",
    "ND_OPT_SOURCE_LL_ADDR",
    "ND_OPT_TARGET_LL_ADDR",
    "ND_REDIRECT",
    "ND_ROUTER_ADVERT",
    "ND_ROUTER_SOLICIT",
    "ROUTER_ADVERT",
    "Advertisement",
    "Fields",
    "RedirectMessage",
    "RouterAdvertisement",
    "RouterSolicitation",
    "Solicitation",
]

ND_ROUTER_SOLICIT: Final = 133
ND_ROUTER_ADVERT: Final = 134
ND_NEIGHBOUR_SOLICIT: Final = 135
ND_NEIGHBOUR_ADVERT: Final = 136
ND_REDIRECT: Final = 137

ND_NA_FLAG_ROUTER: Final = 0x80
ND_NA_FLAG_SOLICITED: Final = 0x40
ND_NA_FLAG_OVERRIDE: Final = 0x20

ROUTER_ADVERT: Final = struct.Struct("!BBHII")
"""What follows the checksum of a router advertisement: hop limit, flags, lifetime in seconds, reachable time
and retransmission timer in milliseconds."""

ND_OPT_SOURCE_LL_ADDR: Final = 1
ND_OPT_TARGET_LL_ADDR: Final = 2
ND_OPT_PREFIX_INFO: Final = 3
ND_OPT_REDIRECT_HDR: Final = 4
ND_OPT_MTU: Final = 5
ND_OPT_NONCE: Final = 14

DROP_NOT_NDISC: Final = "not_ndisc"
"""The packet is no ICMPv6 message of the types 133 to 137."""

DROP_NDISC_TRUNCATED: Final = "ndisc_truncated"
"""The packet ends before the fixed part of the message does."""

DROP_NDISC_FRAGMENTED: Final = "ndisc_fragmented"
"""The message came behind a fragment header, though that of a whole packet (RFC 6980, section 5)."""

DROP_NDISC_HOP_LIMIT: Final = "ndisc_hop_limit"
"""The hop limit is not 255: the message may come from beyond the link."""

DROP_NDISC_CODE: Final = "ndisc_code"
"""The code is not 0."""

DROP_NDISC_TARGET_MULTICAST: Final = "ndisc_target_multicast"
"""The target of a neighbour solicitation or advertisement is a group."""

DROP_NDISC_DAD_DESTINATION: Final = "ndisc_dad_destination"
"""A neighbour solicitation from :: does not go to a solicited-node group."""

DROP_NDISC_SOLICITED_MULTICAST: Final = "ndisc_solicited_multicast"
"""A neighbour advertisement to a group says that it was solicited."""

DROP_NDISC_SOURCE_NOT_LINK_LOCAL: Final = "ndisc_source_not_link_local"
"""The source of a router advertisement or a redirect is not link-local."""

DROP_NDISC_REDIRECT_DESTINATION: Final = "ndisc_redirect_destination"
"""A redirect is for a group."""

DROP_NDISC_REDIRECT_TARGET: Final = "ndisc_redirect_target"
"""The target of a redirect is neither the redirected destination nor link-local."""

DROP_NDISC_OPTION_LENGTH: Final = "ndisc_option_length"
"""An option has the length 0 or goes beyond the packet, or a single octet is left behind the last."""

DROP_NDISC_LLADDR_LENGTH: Final = "ndisc_lladdr_length"
"""The link-layer address option that the message uses has not the length of the device's addresses."""

DROP_NDISC_UNSPECIFIED_LLADDR: Final = "ndisc_unspecified_lladdr"
"""A neighbour or router solicitation from :: has a source link-layer address."""

DROP_REASONS: Final = (
    *FRAME_DROP_REASONS,
    DROP_NOT_NDISC,
    DROP_NDISC_TRUNCATED,
    DROP_ICMPV6_CHECKSUM,
    DROP_NDISC_FRAGMENTED,
    DROP_NDISC_HOP_LIMIT,
    DROP_NDISC_CODE,
    DROP_NDISC_TARGET_MULTICAST,
    DROP_NDISC_DAD_DESTINATION,
    DROP_NDISC_SOLICITED_MULTICAST,
    DROP_NDISC_SOURCE_NOT_LINK_LOCAL,
    DROP_NDISC_REDIRECT_DESTINATION,
    DROP_NDISC_REDIRECT_TARGET,
    DROP_NDISC_OPTION_LENGTH,
    DROP_NDISC_LLADDR_LENGTH,
    DROP_NDISC_UNSPECIFIED_LLADDR,
)
"""Every reason for which :func:`parse` refuses a frame, in the order in which they are judged."""


class Solicitation(NamedTuple):
    """What a neighbour solicitation (type 135) says."""

    src: bytes
    dst: bytes
    target: bytes
    lladdr: bytes | None
    """The source link-layer address."""

    nonce: bytes | None
    """The 6 octets of a nonce option of one unit; None where there is none of that size (RFC 7527)."""


class Advertisement(NamedTuple):
    """What a neighbour advertisement (type 136) says."""

    src: bytes
    dst: bytes
    target: bytes
    lladdr: bytes | None
    """The target link-layer address."""

    router: bool
    solicited: bool
    override: bool


class RouterSolicitation(NamedTuple):
    """What a router solicitation (type 133) says."""

    src: bytes
    dst: bytes
    lladdr: bytes | None
    """The source link-layer address."""


class RouterAdvertisement(NamedTuple):
    """What a router advertisement (type 134) says that concerns neighbours."""

    src: bytes
    dst: bytes
    lladdr: bytes | None
    """The source link-layer address."""

    lifetime: int
    """Seconds for which the sender is a default router; 0 if it is none."""

    reachable_time: float
    """Seconds; 0 is unspecified."""

    retrans_timer: float
    """Seconds; 0 is unspecified."""

    hop_limit: int
    """0 is unspecified."""


class RedirectMessage(NamedTuple):
    """What a redirect (type 137) says."""

    src: bytes
    dst: bytes
    target: bytes
    destination: bytes
    lladdr: bytes | None
    """The target link-layer address."""

    redirected: bytes | None
    """The beginning of the packet that caused it, with the option's padding."""


Fields: TypeAlias = Solicitation | Advertisement | RouterSolicitation | RouterAdvertisement | RedirectMessage
