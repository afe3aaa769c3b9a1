"""rtnetlink's numbers and fixed headers (include/uapi/linux/{rtnetlink,if_link,if_addr,neighbour}.h)."""

from __future__ import annotations

import struct
from typing import Final

RTM_NEWLINK: Final = 16
RTM_DELLINK: Final = 17
RTM_GETLINK: Final = 18
RTM_NEWADDR: Final = 20
RTM_DELADDR: Final = 21
RTM_GETADDR: Final = 22
RTM_NEWROUTE: Final = 24
RTM_DELROUTE: Final = 25
RTM_GETROUTE: Final = 26
RTM_NEWNEIGH: Final = 28
RTM_DELNEIGH: Final = 29
RTM_GETNEIGH: Final = 30
RTM_NEWNEIGHTBL: Final = 64
RTM_GETNEIGHTBL: Final = 66
RTM_SETNEIGHTBL: Final = 67

RTNLGRP_LINK: Final = 1
RTNLGRP_NEIGH: Final = 3
RTNLGRP_IPV4_IFADDR: Final = 5
RTNLGRP_IPV4_ROUTE: Final = 7
RTNLGRP_IPV6_IFADDR: Final = 9
RTNLGRP_IPV6_ROUTE: Final = 11

IF_OPER_UP: Final = 6

IFLA_ADDRESS: Final = 1
IFLA_BROADCAST: Final = 2
IFLA_IFNAME: Final = 3
IFLA_MTU: Final = 4
IFLA_WIRELESS: Final = 11
IFLA_OPERSTATE: Final = 16
IFLA_LINKINFO: Final = 18
IFLA_NET_NS_PID: Final = 19
IFLA_CARRIER: Final = 33
IFLA_INFO_KIND: Final = 1
IFLA_INFO_DATA: Final = 2
VETH_INFO_PEER: Final = 1

IFA_ADDRESS: Final = 1
IFA_LOCAL: Final = 2
IFA_BROADCAST: Final = 4
IFA_FLAGS: Final = 8

RT_TABLE_MAIN: Final = 254
RT_TABLE_LOCAL: Final = 255
RTPROT_STATIC: Final = 4

RTA_DST: Final = 1
RTA_OIF: Final = 4
RTA_GATEWAY: Final = 5
RTA_PRIORITY: Final = 6
RTA_PREFSRC: Final = 7
RTA_MULTIPATH: Final = 9
RTA_TABLE: Final = 15
RTA_VIA: Final = 18

NDA_DST: Final = 1
NDA_LLADDR: Final = 2
NDA_CACHEINFO: Final = 3
NDA_PROBES: Final = 4
NDA_IFINDEX: Final = 8
NDA_PROTOCOL: Final = 12
NDA_FLAGS_EXT: Final = 15

NDTA_NAME: Final = 1
NDTA_THRESH1: Final = 2
NDTA_THRESH2: Final = 3
NDTA_THRESH3: Final = 4
NDTA_CONFIG: Final = 5
NDTA_PARMS: Final = 6
NDTA_STATS: Final = 7
NDTPA_IFINDEX: Final = 1
NDTPA_REACHABLE_TIME: Final = 3
NDTPA_BASE_REACHABLE_TIME: Final = 4
NDTPA_RETRANS_TIME: Final = 5
NDTPA_GC_STALETIME: Final = 6
NDTPA_DELAY_PROBE_TIME: Final = 7
NDTPA_APP_PROBES: Final = 9
NDTPA_UCAST_PROBES: Final = 10
NDTPA_MCAST_PROBES: Final = 11
NDTPA_ANYCAST_DELAY: Final = 12
NDTPA_PROXY_DELAY: Final = 13
NDTPA_PROXY_QLEN: Final = 14
NDTPA_LOCKTIME: Final = 15
NDTPA_QUEUE_LENBYTES: Final = 16
NDTPA_MCAST_REPROBES: Final = 17
NDTPA_INTERVAL_PROBE_TIME_MS: Final = 19

IFINFOMSG = struct.Struct("=BxHiII")
IFADDRMSG = struct.Struct("=BBBBi")
RTMSG = struct.Struct("=BBBBBBBBI")
NDMSG = struct.Struct("=BxxxiHBB")
NDTMSG = struct.Struct("=Bxxx")
NDT_CONFIG = struct.Struct("=HHIIIIIII")
NDT_STATS = struct.Struct("=11Q")
RTNEXTHOP = struct.Struct("=HBBi")
U8 = struct.Struct("=B")
U16 = struct.Struct("=H")
U32 = struct.Struct("=I")
U64 = struct.Struct("=Q")
NDA_CACHE_AGES = struct.Struct("=IIII")
