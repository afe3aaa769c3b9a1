"""Where the demo plays: between network namespaces whose kernels are the peers, or in memory."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Final, Protocol

import trio

from ..device import Device
from ..testing import Here, Peer, ScriptedPeer, Segment, connect

__all__ = ["ABSENT", "CONFIRMED", "EVERYBODY", "MUTED", "PROBED", "Stage", "kernel_stage", "memory_stage"]

PROBED: Final = "198.51.100.2"
CONFIRMED: Final = "198.51.100.3"
ABSENT: Final = "198.51.100.9"
MUTED: Final = "203.0.113.2"
EVERYBODY: Final = {PROBED: "eth0", CONFIRMED: "eth0", ABSENT: "eth0", MUTED: "eth1"}
"""The addresses of the demo, and the devices behind which they are, or would be."""

_OWN: Final = {"eth0": "198.51.100.1/24", "eth1": "203.0.113.1/24"}
_OWN_LLADDR: Final = {"eth0": "02:00:00:00:00:01", "eth1": "02:00:00:00:01:01"}
_PEER_LLADDR: Final = {"eth0": "02:00:00:00:00:02", "eth1": "02:00:00:00:01:02"}


class Stage(Protocol):
    """Two links with a peer at the other end of each."""

    name: str
    """Who the peers are, in a few words."""

    def devices(self) -> Sequence[str | Device]:
        """The devices to open a table on; called when trio runs."""
        ...

    def mute(self, muted: bool) -> None:
        """Have the peer behind eth1 answer nothing, or answer again."""
        ...


class _KernelStage:
    def __init__(self, peers: dict[str, Peer]) -> None:
        release = ".".join(platform.release().split(".")[:2])
        self.name: str = f"a private network, on which Linux {release} answers"
        self._peers = peers

    def devices(self) -> Sequence[str | Device]:
        return list(_OWN)

    def mute(self, muted: bool) -> None:
        self._peers["eth1"].set_link("eth1", arp=not muted)


@contextmanager
def kernel_stage() -> Iterator[Stage]:
    """Build two veth pairs from this process's network namespace, a fresh one, into two others.

    Raises:
        OSError: the kernel refused.
    """
    here = Here()
    with ExitStack() as stack:
        stack.callback(here.close)
        peers: dict[str, Peer] = {}
        for device, own in _OWN.items():
            peer = peers[device] = stack.enter_context(Peer.start())
            lladdrs = {"lladdr": _OWN_LLADDR[device], "far_lladdr": _PEER_LLADDR[device]}
            connect(here, peer, device, device, **lladdrs)
            here.add_address(device, own)
            for ip, where in EVERYBODY.items():
                if where == device and ip != ABSENT:
                    peer.add_address(device, f"{ip}/24")
        yield _KernelStage(peers)


class _MemoryStage:
    def __init__(self) -> None:
        self.name: str = "a segment in memory, on which scripted peers answer"
        self._peers: dict[str, ScriptedPeer] = {}

    def devices(self) -> Sequence[str | Device]:
        found = []
        for index, (device, own) in enumerate(_OWN.items(), 1):
            segment = Segment(trio.current_time, delay=0.0002)
            link = segment.attach(_OWN_LLADDR[device], name=device, index=index)
            ips = [ip for ip, where in EVERYBODY.items() if where == device and ip != ABSENT]
            self._peers[device] = ScriptedPeer(segment, _PEER_LLADDR[device], ips)
            found.append(Device(link, addresses=[own]))
        return found

    def mute(self, muted: bool) -> None:
        if muted:
            self._peers["eth1"].mute()
        else:
            self._peers["eth1"].unmute()


@contextmanager
def memory_stage() -> Iterator[Stage]:
    """Two segments in memory with a scripted peer each; works anywhere."""
    yield _MemoryStage()
