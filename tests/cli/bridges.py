"""A bridge at one end of the links, so that they are one."""

from __future__ import annotations

import errno
import unittest
from typing import Final

from neighio.core.constants import NLM_F_CREATE, NLM_F_EXCL
from neighio.kernel import uapi as nl
from neighio.kernel.framing import NLA_F_NESTED, NLM_F_ACK, NLM_F_REQUEST, attribute, build
from neighio.testing import Namespace

__all__ = ["bridge"]

IFLA_MASTER: Final = 10


def bridge(namespace: Namespace, *ports: str) -> None:
    """Put devices of a namespace on a bridge of its own, br0.

    Raises:
        unittest.SkipTest: this kernel has no bridges.
    """
    kind = attribute(NLA_F_NESTED | nl.IFLA_LINKINFO, attribute(nl.IFLA_INFO_KIND, b"bridge"))
    name = attribute(nl.IFLA_IFNAME, b"br0\0")
    do = NLM_F_REQUEST | NLM_F_ACK
    create = nl.IFINFOMSG.pack(0, 0, 0, 0, 0) + name + kind
    try:
        namespace.request(build(nl.RTM_NEWLINK, do | NLM_F_CREATE | NLM_F_EXCL, create))
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise
        raise unittest.SkipTest("this kernel has no bridges (CONFIG_BRIDGE)") from None
    master = attribute(IFLA_MASTER, nl.U32.pack(namespace.link("br0").index))
    for port in ports:
        body = nl.IFINFOMSG.pack(0, 0, namespace.link(port).index, 0, 0)
        namespace.request(build(nl.RTM_NEWLINK, do, body + master))
    namespace.set_link("br0", up=True)
