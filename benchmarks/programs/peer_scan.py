"""Scans as peers do them, each a program of its own.

peer_scan.py scapy NETWORK DEVICE TRIES TIMEOUT
peer_scan.py kernel NETWORK DEVICE
peer_scan.py getmac IP
"""

from __future__ import annotations

import ipaddress
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

PATIENCE = 30.0


def scapy(network: str, device: str, tries: str, timeout: str) -> None:
    from scapy.config import conf
    from scapy.error import Scapy_Exception
    from scapy.layers.l2 import ARP, Ether, arping
    from scapy.plist import SndRcvList
    from scapy.sendrecv import srp

    conf.iface = device  # type: ignore[assignment]  # a name does as well
    how: dict[str, Any] = {"timeout": float(timeout), "verbose": 0, "retry": int(tries) - 1}
    answered: SndRcvList
    try:
        answered, _ = arping(network, **how)
    except Scapy_Exception:
        # Without libpcap there is no filter, and arping insists on one.
        answered, _ = srp(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(pdst=network), **how)
    for _, reply in answered:
        print(reply.psrc, reply.hwsrc)


def kernel(network: str, device: str) -> None:
    """Have the kernel resolve every address (NTF_USE), by pyroute2, and wait until it has an answer or given
    up."""
    from pyroute2 import IPRoute

    incomplete, valid, use = 0x01, 0xDE, 0x01
    with IPRoute() as route:
        (index,) = route.link_lookup(ifname=device)
        for ip in ipaddress.ip_network(network):
            route.neigh("replace", dst=str(ip), ifindex=index, state=0, flags=use)
        end = time.monotonic() + PATIENCE
        states: list[tuple[str, str, int]] = []
        while time.monotonic() < end:
            states = [
                (entry.get_attr("NDA_DST"), entry.get_attr("NDA_LLADDR"), entry["state"])
                for entry in route.get_neighbours(family=socket.AF_INET, ifindex=index)
            ]
            if not any(state & incomplete for _, _, state in states):
                break
            time.sleep(0.01)
    for address, lladdr, state in states:
        if state & valid:
            print(address, lladdr)


def getmac(ip: str) -> None:
    from getmac import get_mac_address

    print(ip, get_mac_address(ip=ip, network_request=True))


if __name__ == "__main__":
    scans: dict[str, Callable[..., None]] = {"scapy": scapy, "kernel": kernel, "getmac": getmac}
    scans[sys.argv[1]](*sys.argv[2:])
