"""Frames of a TAP device: a link whose other end is a network interface of this machine.

What the kernel sends out of the interface is received here, and what is sent here the kernel receives on the
interface. So a host in user space stands beside the kernel, with link-layer and IP addresses of its own, and
the kernel gives it none.

The kernel's interface is down at first, and says nothing on the descriptor when it goes down: a frame that is
sent meets EIO, and rtnetlink knows (:meth:`TapLink.update`).
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from io import FileIO
from typing import Final

import trio

from ..address import LinkAddress
from ..core.constants import IFF_UP
from ..errors import InvalidAddress, NeighioError, NotPermitted
from ..kernel import requests
from ..kernel.netlink import RequestSocket
from ..kernel.rtnetlink import LinkMessage, decode
from ..wire.ethernet import ETH_ALEN, ETH_HLEN
from .base import WORKING_FLAGS, FrameTooLong, LinkBusy, LinkDown, LinkFacts, LinkGone
from .checks import check_group, parse_station
from .closing import close_in_thread

__all__ = ["TapLink", "TapLinkStatistics", "open_tap"]

TUN_DEVICE: Final = "/dev/net/tun"

# linux/if_tun.h, linux/if.h
TUNSETIFF: Final = 0x400454CA
IFF_TAP: Final = 0x0002
IFF_NO_PI: Final = 0x1000
IFNAMSIZ: Final = 16

LEAST_MTU: Final = 68
MOST_MTU: Final = 65535 - ETH_HLEN

_IFREQ: Final = struct.Struct(f"={IFNAMSIZ}sH22x")
_VLAN_HLEN: Final = 4
_LONGEST_FRAME: Final = ETH_HLEN + _VLAN_HLEN + 65536

_NOT_PERMITTED: Final = """\
opening {what} needs the capability CAP_NET_ADMIN. Run the program with `sudo`, or as yourself with that \
capability alone: `sudo setpriv --reuid=$USER --init-groups --inh-caps=+net_admin --ambient-caps=+net_admin \
COMMAND`; or have a TAP device of your own, which you then name: `sudo ip tuntap add dev NAME mode tap user \
$USER`. (`unshare -Urn` gives it without sudo in a network namespace of its own.)"""

_NOT_OPENED: Final = """\
opening a TAP device needs leave to read and write {path}, and the capability CAP_NET_ADMIN. Run the program \
with `sudo`, or let everybody open the file, as most systems do: `sudo chmod 666 {path}`. A container is to \
be started with `--device {path} --cap-add NET_ADMIN`."""

_NO_DEVICE: Final = """\
TAP devices are made through {path}, which is not there: load the driver with `sudo modprobe tun`. A \
container is to be started with `--device {path} --cap-add NET_ADMIN`."""


@dataclass(frozen=True, slots=True)
class TapLinkStatistics:
    """What a link has done so far, frames."""

    sent: int
    received: int
    tasks_waiting: int


def open_tap(name: str | None = None, *, lladdr: bytes | str | None = None, mtu: int = 1500) -> TapLink:
    """Make a TAP device, or open one that is there and in nobody's use, and return its other end.

    A device that was made vanishes with the link. Its interface is down, with a link-layer address of the
    kernel's choice; to take it up and give it addresses is the caller's or an administrator's part.

    Arguments:
        name: the interface's name; the first free one of ``tap0``, ``tap1``, ... when None.
        lladdr: the address of this end, 6 octets; a random, locally administered one when None.
        mtu: the largest IP packet, octets, 68 to 65521; the interface is told if its own is another.

    Raises:
        InvalidAddress: ``name`` is no interface name, or of an interface that is no TAP device or is in use;
            ``lladdr`` is no station's, or the interface's own.
        NotPermitted: the process lacks CAP_NET_ADMIN, or access to /dev/net/tun.
        NeighioError: this system has no TAP devices.
        LinkGone: the device was removed meanwhile.
        ValueError: ``mtu`` is outside its range.
    """
    own = None if lladdr is None else parse_station(lladdr, ETH_ALEN, "a TAP device")
    if name is not None and not _is_interface_name(name):
        raise InvalidAddress(f"device: {name!r} is no interface name")
    if not LEAST_MTU <= mtu <= MOST_MTU:
        raise ValueError(f"mtu: {mtu} octets, a TAP device takes {LEAST_MTU} to {MOST_MTU}")
    device = _open_device()
    opened = False
    try:
        facts = _facts(_attach(device, name), mtu)
        if own is None:
            own = _another_lladdr(facts.lladdr)
        elif own == facts.lladdr:
            raise InvalidAddress(f"lladdr: {own} is the address of the other end, {facts.name}")
        opened = True
    finally:
        if not opened:
            device.close()
    return TapLink(facts, own, device)


def _is_interface_name(name: str) -> bool:
    # As the kernel's dev_valid_name, and without the pattern ("tap%d") that it takes for a new one.
    return (
        0 < len(_octets(name)) < IFNAMSIZ
        and name not in (".", "..")
        and not any(character in "/:%\0" or character.isspace() for character in name)
    )


def _open_device() -> FileIO:
    try:
        return FileIO(
            TUN_DEVICE, "r+", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
        )
    except PermissionError:
        raise NotPermitted(_NOT_OPENED.format(path=TUN_DEVICE)) from None
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            raise
        if sys.platform != "linux":
            raise NeighioError(f"TAP devices exist on Linux only, and this is {sys.platform}") from None
        raise NeighioError(_NO_DEVICE.format(path=TUN_DEVICE)) from None


def _attach(device: FileIO, name: str | None) -> str:
    """Make the descriptor a TAP device's, and return the interface's name."""
    import fcntl

    wanted = b"" if name is None else _octets(name)
    try:
        answer = fcntl.ioctl(device, TUNSETIFF, _IFREQ.pack(wanted, IFF_TAP | IFF_NO_PI))
    except PermissionError:
        what = "a TAP device" if name is None else f"the TAP device {name}"
        raise NotPermitted(_NOT_PERMITTED.format(what=what)) from None
    except OSError as error:
        match error.errno:
            case errno.EBUSY:
                raise InvalidAddress(f"device: {name} is in use by another program") from None
            case errno.EINVAL:
                raise InvalidAddress(f"device: {name} is there, and is no TAP device") from None
        raise
    given: bytes = _IFREQ.unpack(answer)[0]
    return given.rstrip(b"\0").decode("utf-8", "surrogateescape")


def _facts(name: str, mtu: int) -> LinkMessage:
    """Ask rtnetlink about the interface, and have it take the MTU."""
    with RequestSocket() as rtnetlink:
        try:
            (reply,) = rtnetlink.request(requests.get_link(name))
            facts = decode(reply)
            assert isinstance(facts, LinkMessage)
            if facts.mtu != mtu:
                rtnetlink.request(requests.set_link(facts.index, mtu=mtu))
                facts = replace(facts, mtu=mtu)
        except PermissionError:
            raise NotPermitted(_NOT_PERMITTED.format(what=f"{name} with another MTU")) from None
        except OSError as error:
            if error.errno == errno.ENODEV:
                raise LinkGone(name) from None
            raise
    return facts


def _another_lladdr(lladdr: bytes) -> LinkAddress:
    """Draw an address that is not this one: unicast (I/G bit 0), locally administered (U/L bit 1)."""
    drawn = lladdr
    while drawn == lladdr:
        first, *rest = os.urandom(ETH_ALEN)
        drawn = bytes((first & 0xFC | 0x02, *rest))
    return LinkAddress(drawn)


def _octets(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


class TapLink:
    """A :class:`neighio.link.base.Link` on a TAP device; made by :func:`open_tap`.

    Everything that the kernel sends out of the interface arrives, to whomever and of whatever VLAN, with its
    tag in its place; there is nothing to join.

    Attributes:
        partial_checksum: always False: the kernel completes a checksum before it hands a frame over.
    """

    partial_checksum: Final = False

    def __init__(self, facts: LinkFacts, lladdr: LinkAddress, device: FileIO) -> None:
        self._facts = facts
        self._flags = WORKING_FLAGS
        self._lladdr = lladdr
        self._device = device
        self._buffer = memoryview(bytearray(_LONGEST_FRAME))
        self._is_down = self._owes_down = not facts.flags & IFF_UP
        self._sleep: trio.CancelScope | None = None
        self._sent = self._received = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<TapLink {self.name} {self._lladdr}{' closed' if self._closed else ''}>"

    @property
    def name(self) -> str:
        return self._facts.name

    @property
    def index(self) -> int:
        return self._facts.index

    @property
    def lladdr(self) -> LinkAddress:
        """The address of this end, not the interface's."""
        return self._lladdr

    @property
    def broadcast(self) -> bytes:
        return self._facts.broadcast

    @property
    def flags(self) -> int:
        """Those of a device that is up and has a carrier, until :meth:`update` tells the interface's."""
        return self._flags

    @property
    def mtu(self) -> int:
        return self._facts.mtu

    def update(self, facts: LinkFacts) -> None:
        """Take over what rtnetlink says of the interface now: its name, flags and MTU."""
        self._facts = facts
        self._flags = facts.flags
        if facts.flags & IFF_UP:
            self._is_down = False
        else:
            self._goes_down()

    def join(self, group: bytes) -> None:
        self._check_open(group)

    def leave(self, group: bytes) -> None:
        self._check_open(group)

    def send(self, frame: bytes) -> None:
        if self._closed:
            raise LinkGone(self.name)
        # The kernel would take it, and hand it on.
        limit = self.mtu + ETH_HLEN
        if len(frame) > limit:
            raise FrameTooLong(f"{self.name}: {len(frame)} octets, at most {limit}")
        try:
            taken = self._device.write(frame)
        except OSError as error:
            raise self._translated(error) from None
        if taken is None:
            raise LinkBusy(self.name)
        self._is_down = False
        self._sent += 1

    def receive(self) -> bytes | None:
        if self._closed:
            raise LinkGone(self.name)
        if not self._owes_down:
            try:
                length = self._device.readinto(self._buffer)
            except OSError as error:
                failure = self._translated(error)
                if not isinstance(failure, LinkDown):
                    raise failure from None
                length = None
            if length is not None:
                self._received += 1
                return bytes(self._buffer[:length])
        if self._owes_down:
            self._owes_down = False
            raise LinkDown(self.name)
        return None

    async def wait_readable(self) -> None:
        if self._sleep is not None:
            raise trio.BusyResourceError(f"another task is waiting on {self.name}")
        if self._closed or self._owes_down:
            await trio.lowlevel.checkpoint()
            return
        try:
            with trio.CancelScope() as self._sleep, suppress(trio.ClosedResourceError):
                await trio.lowlevel.wait_readable(self._device)
        finally:
            self._sleep = None
        await trio.lowlevel.checkpoint_if_cancelled()

    async def aclose(self) -> None:
        if self._closed:
            await trio.lowlevel.checkpoint()
            return
        self._closed = True
        trio.lowlevel.notify_closing(self._device)
        await close_in_thread(self._device.close)

    def statistics(self) -> TapLinkStatistics:
        """Return what the link has done so far."""
        return TapLinkStatistics(self._sent, self._received, int(self._sleep is not None))

    def _check_open(self, group: bytes) -> None:
        check_group(group)
        if self._closed:
            raise LinkGone(self.name)

    def _goes_down(self) -> None:
        if not self._is_down:
            self._is_down = self._owes_down = True
            if self._sleep is not None:
                self._sleep.cancel()

    def _translated(self, error: OSError) -> Exception:
        match error.errno:
            case errno.EIO:
                self._goes_down()
                return LinkDown(self.name)
            case errno.ENOBUFS | errno.ENOMEM:
                return LinkBusy(self.name)
            case errno.EBADFD | errno.ENODEV | errno.ENXIO:
                return LinkGone(self.name)
        return error
