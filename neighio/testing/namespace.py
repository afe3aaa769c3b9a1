"""Private network namespaces, without the ``ip`` program and, where the system allows it, without root.

They have no names and leave nothing behind: each lives as long as a process in it. A program enters one
with :func:`enter_command` (or a test with :func:`neighio.testing.in_namespace`), starts a :class:`Peer`,
whose kernel will be the other station, and joins the two with :func:`connect`::

    here = Here()
    with Peer.start() as peer:
        connect(here, peer, "va", "vb", peer_lladdr="02:00:00:00:00:02")
        here.add_address("va", "198.51.100.1/24")
        peer.add_address("vb", "198.51.100.2/24")

Everything here blocks, for milliseconds.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final

from ..address import LinkAddress, format_ip, parse_ip
from ..core.constants import AF_INET6, IFF_UP, KEY_LEN, RT_SCOPE_LINK, RT_SCOPE_UNIVERSE, RTN_LOCAL
from ..kernel import requests
from ..kernel.framing import Message
from ..kernel.netlink import RequestSocket
from ..kernel.rtnetlink import LinkMessage, NeighbourMessage, RouteMessage, decode
from ..kernel.uapi import IF_OPER_UP

__all__ = ["Here", "Namespace", "Peer", "Unavailable", "available", "connect", "enter_command"]

_SCRIPT: Final = Path(__file__).with_name("_unshared.py")
_LOOPBACK: Final = 1
_IFA_F_NODAD: Final = 0x02
_LINK_UP_TIMEOUT: Final = 5.0
"""Seconds. The kernel takes up to one to tell a device that the other end is up."""

_ADDRESS_TIMEOUT: Final = 30.0
"""Seconds within which an IPv6 address is in use, on however busy a machine."""

_IPV6_QUIET: Final = {
    "addr_gen_mode": 1,
    "accept_ra": 0,
    "autoconf": 0,
    "router_solicitations": 0,
}

_CURES: Final = {
    "unshare": "Run as root, or let users have user namespaces: sysctl user.max_user_namespaces above 0, "
    "kernel.unprivileged_userns_clone=1 where it exists; in a container --privileged, or "
    "--cap-add=SYS_ADMIN,NET_ADMIN,NET_RAW with a seccomp profile that allows unshare.",
    "map": "User namespaces are restricted here: run as root, or on Ubuntu "
    "sysctl kernel.apparmor_restrict_unprivileged_userns=0.",
    "veth": "Load the driver (modprobe veth; CONFIG_VETH). If it is EPERM, user namespaces have no "
    "capabilities here: run as root, or on Ubuntu sysctl kernel.apparmor_restrict_unprivileged_userns=0.",
    "sysctl": "/proc/sys is read-only, as in most containers: run with --privileged, or "
    "--security-opt systempaths=unconfined.",
    "start": "The helper process ended at once; what it wrote to standard error says why.",
    "system": "Network namespaces exist on Linux only.",
}


class Unavailable(OSError):
    """No private network namespace can be had.

    Attributes:
        step: what failed: "unshare", "map", "veth", "sysctl", "start" or "system".
        cure: what to do about it, a sentence.
    """

    def __init__(self, step: str, code: int) -> None:
        super().__init__(code, os.strerror(code))
        self.step = step
        self.cure: str = _CURES[step]

    def __str__(self) -> str:
        return f"no private network namespace: {self.step}: {self.strerror}. {self.cure}"


@functools.cache
def available() -> Unavailable | None:
    """Whether namespaces work here: None, or what is in the way.

    Tried, not guessed: a namespace is entered, a veth pair created and a value under /proc/sys/net written
    in it, by another process. The answer is remembered.
    """
    step = "veth"
    try:
        with Peer.start() as peer:
            peer.request(requests.create_veth("va", "vb"))
            step = "sysctl"
            peer.sysctl("net/ipv4/neigh/va/ucast_solicit", 2)
    except Unavailable as unavailable:
        return unavailable
    except OSError as error:
        return Unavailable(step, error.errno or errno.EIO)
    return None


def enter_command() -> list[str]:
    """Return the words to put before a command so that it runs in a fresh private network namespace.

    The process becomes the command, keeping its id. Without CAP_SYS_ADMIN it also enters a user namespace
    and is uid 0 there. Its loopback device is down. Where this fails it says the step on standard error
    and exits 1; ask :func:`available` first.
    """
    return [sys.executable, "-I", "-S", str(_SCRIPT), "run"]


class Namespace:
    """A network namespace that can be worked in: the own one (:class:`Here`) or a :class:`Peer`'s.

    IP addresses are text; those with a prefix length are written "198.51.100.1/24". Every method raises
    OSError when the kernel refuses, with its errno and its explanation.
    """

    pid: int
    """A process that lives in the namespace."""

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """Open a socket of the namespace; it works from any other, too."""
        raise NotImplementedError

    def sysctl(self, path: str, value: object = None) -> str:
        """Write ``value``, unless it is None, to /proc/sys/``path``; return what stands there."""
        raise NotImplementedError

    @functools.cached_property
    def _requests(self) -> RequestSocket:
        return RequestSocket(self.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))

    def request(self, message: bytes) -> list[Message]:
        """Send one rtnetlink request (see :mod:`neighio.kernel.requests`); return the answers."""
        return self._requests.request(message)

    def link(self, name: str) -> LinkMessage:
        """Return what rtnetlink says of a device."""
        (reply,) = self.request(requests.get_link(name))
        link = decode(reply)
        assert isinstance(link, LinkMessage)
        return link

    def set_link(
        self,
        name: str,
        *,
        up: bool | None = None,
        arp: bool | None = None,
        lladdr: str | None = None,
        mtu: int | None = None,
        rename: str | None = None,
    ) -> None:
        """Change a device. Neither a new link-layer address nor the MTU needs it to be down first."""
        self.request(
            requests.set_link(
                self.link(name).index,
                up=up,
                arp=arp,
                lladdr=None if lladdr is None else LinkAddress(lladdr),
                mtu=mtu,
                name=rename,
            )
        )

    def delete_link(self, name: str) -> None:
        """Delete a device; of a veth pair both ends go."""
        self.request(requests.delete_link(self.link(name).index))

    def add_address(self, name: str, address: str) -> None:
        """Give a device an own address, usable at once: duplicates of an IPv6 one are not looked for."""
        ip, prefixlen = _parse_prefix(address)
        link = self.link(name)
        ipv6 = len(ip) == KEY_LEN[AF_INET6]
        scope = RT_SCOPE_LINK if ipv6 and ip[:2] == b"\xfe\x80" else RT_SCOPE_UNIVERSE
        flags = _IFA_F_NODAD if ipv6 else 0
        self.request(requests.add_address(link.index, ip, prefixlen, scope=scope, flags=flags))
        if ipv6 and link.flags & IFF_UP:
            self._await_address(link.index, ip)

    def _await_address(self, index: int, ip: bytes) -> None:
        """A worker of the kernel's joins an IPv6 address's group and lets in what is sent to it, some time
        later on a busy machine (addrconf_dad_work)."""
        deadline = time.monotonic() + _ADDRESS_TIMEOUT
        while time.monotonic() < deadline:
            found = (decode(reply) for reply in self._requests.dump(requests.dump_routes(AF_INET6)))
            routes = (route for route in found if isinstance(route, RouteMessage))
            if any((route.type, route.oif, route.dst) == (RTN_LOCAL, index, ip) for route in routes):
                return
            time.sleep(0.001)
        raise TimeoutError(errno.ETIMEDOUT, f"the device with index {index} does not get {format_ip(ip)}")

    def del_address(self, name: str, address: str) -> None:
        """Take an own address from a device."""
        ip, prefixlen = _parse_prefix(address)
        self.request(requests.del_address(self.link(name).index, ip, prefixlen))

    def add_route(self, name: str, prefix: str, gateway: str | None = None) -> None:
        """Route a prefix through a device."""
        dst, prefixlen = _parse_prefix(prefix)
        via = None if gateway is None else parse_ip(gateway)[0]
        self.request(requests.add_route(dst, prefixlen, index=self.link(name).index, gateway=via))

    def del_route(self, name: str, prefix: str, gateway: str | None = None) -> None:
        """Route it no more."""
        dst, prefixlen = _parse_prefix(prefix)
        via = None if gateway is None else parse_ip(gateway)[0]
        self.request(requests.del_route(dst, prefixlen, index=self.link(name).index, gateway=via))

    def route_local(self, prefix: str) -> None:
        """Make every address of a prefix an own one: the kernel will answer for them all."""
        dst, prefixlen = _parse_prefix(prefix)
        self.request(requests.add_route(dst, prefixlen, index=_LOOPBACK, type=RTN_LOCAL))

    def neighbours(self, name: str) -> list[NeighbourMessage]:
        """Return the kernel's neighbours on a device, in no order."""
        replies = self._requests.dump(requests.dump_neighbours(index=self.link(name).index))
        found = (decode(reply) for reply in replies)
        return [neighbour for neighbour in found if isinstance(neighbour, NeighbourMessage)]

    def close(self) -> None:
        """Give everything back. Idempotent."""
        if "_requests" in self.__dict__:
            self._requests.close()


class Here(Namespace):
    """The namespace of this process."""

    def __init__(self) -> None:
        self.pid: int = os.getpid()

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        return socket.socket(family, kind, protocol)

    def sysctl(self, path: str, value: object = None) -> str:
        file = Path("/proc/sys", path)
        if value is not None:
            file.write_text(str(value), encoding="ascii")
        return file.read_text(encoding="ascii").strip()


class Peer(Namespace):
    """A second process in a network namespace of its own, its loopback device up.

    It ends, and its devices vanish, with :meth:`close`, with the ``with`` block, or with this process,
    however that ends. A socket of it that is still open keeps the namespace.
    """

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self._process = process
        self._control = control
        self.pid: int = process.pid

    @classmethod
    def start(cls) -> Peer:
        """Start one.

        Raises:
            Unavailable: no namespace can be had.
        """
        if sys.platform != "linux":
            raise Unavailable("system", errno.ENOSYS)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_SCRIPT), "hold", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        peer = cls(process, ours)
        try:
            greeting = ours.recv(65536)
            if not greeting:
                raise Unavailable("start", errno.ECHILD)
            failure = json.loads(greeting)
            if failure:
                step = failure["step"]
                raise Unavailable(step if step in _CURES else "map", failure["errno"])
            peer.request(requests.set_link(_LOOPBACK, up=True))
        except BaseException:
            peer.close()
            raise
        return peer

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        _, (descriptor,) = self._ask("socket", int(family), int(kind), protocol)
        return socket.socket(fileno=descriptor)

    def sysctl(self, path: str, value: object = None) -> str:
        if value is not None:
            self._ask("write", path, str(value))
        return str(self._ask("read", path)[0])

    def _ask(self, *request: str | int) -> tuple[object, list[int]]:
        self._control.send(json.dumps(request).encode())
        data, descriptors, _, _ = socket.recv_fds(self._control, 65536, 1)
        if not data:
            raise OSError(errno.ECHILD, "the peer's process has ended")
        answer = json.loads(data)
        if "errno" in answer:
            raise OSError(answer["errno"], os.strerror(answer["errno"]), " ".join(map(str, request)))
        return answer.get("value"), descriptors

    def close(self) -> None:
        if self._process.returncode is not None:
            return
        with contextlib.suppress(OSError):
            self._delete_links()
        super().close()
        self._control.close()
        # It would end by itself, unless a fork of ours held the other end of the stream.
        self._process.kill()
        self._process.wait()

    def _delete_links(self) -> None:
        # The kernel dismantles a namespace some time after its last process. Until then the far ends of its
        # devices would be seen, and their names taken.
        for reply in self._requests.dump(requests.dump_links()):
            link = decode(reply)
            if isinstance(link, LinkMessage) and link.kind == "veth":
                self.request(requests.delete_link(link.index))

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def connect(
    near: Namespace,
    far: Namespace,
    name: str,
    far_name: str,
    *,
    lladdr: str | None = None,
    far_lladdr: str | None = None,
) -> tuple[LinkMessage, LinkMessage]:
    """Join two namespaces with a veth pair; return its ends, both up and carrying.

    IPv6 is silent on them: no link-local address, no router solicitations, router advertisements are not
    heeded. Link-layer addresses that are not given are random.

    Raises:
        OSError: the kernel refused; TimeoutError when the ends did not come up.
    """
    near.request(
        requests.create_veth(
            name,
            far_name,
            lladdr=None if lladdr is None else LinkAddress(lladdr),
            peer_lladdr=None if far_lladdr is None else LinkAddress(far_lladdr),
            peer_pid=far.pid,
        )
    )
    ends = ((near, name), (far, far_name))
    for namespace, end in ends:
        for key, value in _IPV6_QUIET.items():
            try:
                namespace.sysctl(f"net/ipv6/conf/{end}/{key}", value)
            except FileNotFoundError:
                # A kernel without IPv6.
                break
        namespace.set_link(end, up=True)
    deadline = time.monotonic() + _LINK_UP_TIMEOUT
    while True:
        here, there = (namespace.link(end) for namespace, end in ends)
        # An end that has a carrier still drops what it is to send until the kernel's worker has seen it.
        if here.operstate == there.operstate == IF_OPER_UP:
            return here, there
        if time.monotonic() > deadline:
            raise TimeoutError(errno.ETIMEDOUT, f"{name} and {far_name} did not come up")
        time.sleep(0.001)


def _parse_prefix(text: str) -> tuple[bytes, int]:
    address, slash, length = text.partition("/")
    ip, _ = parse_ip(address)
    return ip, int(length) if slash else 8 * len(ip)
