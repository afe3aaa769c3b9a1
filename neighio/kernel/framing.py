"""The outer shape of netlink messages: headers, attributes, acknowledgements (RFC 3549, netlink(7)).

Pure functions over octets. Numbers are in host byte order, as the kernel writes them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from ..errors import MalformedFrame

__all__ = [
    "Acknowledgement",
    "Message",
    "attribute",
    "attributes",
    "build",
    "messages",
    "parse_acknowledgement",
]

NLMSG_ERROR: Final = 2
NLMSG_DONE: Final = 3

NLM_F_REQUEST: Final = 0x01
NLM_F_MULTI: Final = 0x02
NLM_F_ACK: Final = 0x04
NLM_F_DUMP_INTR: Final = 0x10
NLM_F_DUMP: Final = 0x300
NLM_F_CAPPED: Final = 0x100
NLM_F_ACK_TLVS: Final = 0x200

NLA_F_NESTED: Final = 0x8000
_NLA_TYPE_MASK: Final = 0x3FFF
_NLMSGERR_ATTR_MSG: Final = 1

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_S32 = struct.Struct("=i")


class Message(NamedTuple):
    """One netlink message; ``body`` is what follows the header."""

    type: int
    flags: int
    sequence: int
    port: int
    body: bytes


class Acknowledgement(NamedTuple):
    """What NLMSG_ERROR and NLMSG_DONE say: an errno (0: success) and the kernel's explanation, if any."""

    errno: int
    text: str | None


def messages(data: bytes) -> Iterator[Message]:
    """Iterate over the messages of one received buffer.

    Raises:
        MalformedFrame: ``netlink_length``, a header or a body does not fit into what was received.
    """
    offset, end = 0, len(data)
    while offset < end:
        if end - offset < _HEADER.size:
            raise MalformedFrame("netlink_length")
        length, kind, flags, sequence, port = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or length > end - offset:
            raise MalformedFrame("netlink_length")
        yield Message(kind, flags, sequence, port, data[offset + _HEADER.size : offset + length])
        offset += (length + 3) & ~3


def attributes(body: bytes, offset: int) -> dict[int, bytes]:
    """Return the attributes that start at ``offset``, by type; of a repeated type the last.

    Raises:
        MalformedFrame: ``netlink_attribute``, a length does not fit.
    """
    found: dict[int, bytes] = {}
    end = len(body)
    unpack = _ATTRIBUTE.unpack_from
    while offset < end:
        if end - offset < 4:
            raise MalformedFrame("netlink_attribute")
        length, kind = unpack(body, offset)
        if length < 4 or length > end - offset:
            raise MalformedFrame("netlink_attribute")
        found[kind & _NLA_TYPE_MASK] = body[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def parse_acknowledgement(message: Message) -> Acknowledgement:
    """Read an NLMSG_ERROR or NLMSG_DONE message, with the text of an extended acknowledgement.

    Raises:
        MalformedFrame: the message is too short for what it claims to hold.
    """
    body = message.body
    if len(body) < _S32.size:
        # A dump's end carries no status in old kernels.
        if message.type == NLMSG_DONE and not body:
            return Acknowledgement(0, None)
        raise MalformedFrame("netlink_length")
    code = -_S32.unpack_from(body)[0]
    text = None
    if message.flags & NLM_F_ACK_TLVS:
        offset = _S32.size
        if message.type == NLMSG_ERROR:
            if len(body) < offset + _HEADER.size:
                raise MalformedFrame("netlink_length")
            request_length = _HEADER.unpack_from(body, offset)[0]
            capped = bool(message.flags & NLM_F_CAPPED)
            offset += _HEADER.size if capped else (request_length + 3) & ~3
        said = attributes(body, offset).get(_NLMSGERR_ATTR_MSG)
        if said is not None:
            text = said.rstrip(b"\0").decode("utf-8", "replace")
    return Acknowledgement(code, text)


def attribute(kind: int, value: bytes) -> bytes:
    """Return one attribute, padded to a multiple of four octets."""
    return _ATTRIBUTE.pack(len(value) + 4, kind) + value + bytes(-len(value) % 4)


def build(kind: int, flags: int, body: bytes, sequence: int = 0) -> bytes:
    """Return a whole message. The socket that sends it writes its own sequence number."""
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body


def with_sequence(message: bytes, sequence: int) -> bytes:
    """Return the message with another sequence number."""
    length, kind, flags, _, port = _HEADER.unpack_from(message)
    return _HEADER.pack(length, kind, flags, sequence, port) + message[_HEADER.size :]
