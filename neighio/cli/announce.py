"""``neighio announce``: these addresses are here."""

from __future__ import annotations

from argparse import Namespace
from typing import Final, Literal, NamedTuple

import trio

from ..address import LinkAddress, format_ip, parse_ip
from ..device import AttachedDevice
from ..errors import DeviceGone, InvalidAddress, NeighioError, unknown_interface
from ..host import check_station
from ..records import Record, Stamp, json_line
from ..table import NeighbourTable, open_table
from .host_options import parse_mac
from .kernel_devices import KernelDevice, read_devices
from .output import Output, printable
from .owners import find_owners, lladdrs_of
from .running import run
from .sysctl import read_number

__all__ = ["announce"]

VERIFICATIONS: Final = 2
"""How often it is asked who has an address: one request, or its answer, may be lost."""

LISTEN: Final = 0.5
"""How long further answers are waited for, seconds."""

_WORDS: Final = {
    "request": "ARP request",
    "reply": "ARP reply",
    "advertisement": "neighbour advertisement",
}


class Announced(NamedTuple):
    """An address to announce, and where."""

    key: bytes
    device: AttachedDevice
    lladdr: LinkAddress
    router: bool
    """Whether an advertisement is a router's."""

    @property
    def dev(self) -> str:
        return self.device.name

    @property
    def ip(self) -> str:
        return format_ip(self.key)


def announce(arguments: Namespace) -> int:
    """Run the command; return its exit status."""
    return run("announce", Announce(arguments).run)


class Announce:
    """One run of the command."""

    def __init__(self, arguments: Namespace) -> None:
        self._arguments = arguments
        self._form: Literal["request", "reply", "both"] = arguments.form or "request"
        self._output = Output()
        self._width = 0
        self._flaws = 0
        """How many announcements did not get out, and how many addresses somebody else has, too."""
        self._failure: NeighioError | None = None
        """Why somebody could not be asked."""

    async def run(self) -> int:
        """Announce; return the exit status.

        Raises:
            NeighioError: something cannot be announced, and nothing was; or a device went down meanwhile.
        """
        self._stamp = Stamp(trio.current_time)
        # First of all: what is wrong with the arguments is known without the kernel.
        mac = None if self._arguments.mac is None else parse_mac(self._arguments.mac)
        wanted = self._parse()
        devices = {device.name: device for device in await read_devices()}
        places = [(key, self._place(key, zone, devices)) for key, zone in wanted]
        async with open_table(families=sorted({4 if len(key) == 4 else 6 for key, _ in wanted})) as table:
            for dev in dict.fromkeys(dev for _, dev in places):
                await table.attach(dev)
            announced = [
                _announced(table.devices[dev], key, mac, force=self._arguments.force) for key, dev in places
            ]
            self._width = max(len(one.ip) for one in announced)
            if await self._announce(table, announced) and self._arguments.verify:
                own = lladdrs_of(list(devices.values()))
                async with trio.open_nursery() as nursery:
                    for one in announced:
                        nursery.start_soon(self._verify, table, one, own)
                if self._failure is not None:
                    raise self._failure
        return 1 if self._flaws else 0

    # -- what is to be announced, and where

    def _parse(self) -> list[tuple[bytes, str | None]]:
        """The addresses, packed, with their zones.

        Raises:
            InvalidAddress
        """
        found: dict[tuple[bytes, str | None], None] = {}
        for text in self._arguments.ip:
            key, zone = parse_ip(text)
            check_station(key, "ip")
            dev = self._arguments.dev
            if dev is not None and zone not in (None, dev):
                raise InvalidAddress(f"ip: {text} is on another device than {dev}")
            found[key, zone or dev] = None
        if self._arguments.form in ("reply", "both") and all(len(key) == 16 for key, _ in found):
            raise InvalidAddress(
                f"{self._arguments.form}: gratuitous ARP has these forms, and no address is IPv4"
            )
        return list(found)

    def _place(self, key: bytes, dev: str | None, devices: dict[str, KernelDevice]) -> str:
        """The device on whose link an address is announced.

        Raises:
            InvalidAddress: it is not clear which, it has not the address, or nobody is there to tell.
            DeviceGone: it is down.
        """
        ip = format_ip(key)
        having = [device.name for device in devices.values() if device.has(key)]
        if dev is None:
            if len(having) > 1:
                raise InvalidAddress(f"ip: {ip} is on {' and '.join(having)}; name one of them with --dev")
            if not having:
                raise InvalidAddress(
                    f"ip: {ip} is on no device here; --dev DEVICE --force announces it all the same"
                )
            (dev,) = having
        device = devices.get(dev)
        if device is None:
            raise unknown_interface("dev", dev, devices)
        if dev not in having and not self._arguments.force:
            where = f" but on {' and '.join(having)}" if having else ""
            raise InvalidAddress(f"ip: {ip} is not on {dev}{where}; --force announces it there all the same")
        if device.noarp:
            raise InvalidAddress(f"dev: {dev} has no neighbours to tell (NOARP)")
        if not device.up:
            raise DeviceGone(f"{dev} is down: ip link set {dev} up")
        if not device.carrier:
            raise DeviceGone(f"{dev} has no carrier: nobody would hear it")
        return dev

    # -- what is done

    async def _announce(self, table: NeighbourTable, announced: list[Announced]) -> bool:
        """Announce each address so often; False when nobody reads any more."""
        arguments = self._arguments
        begun = trio.current_time()
        with trio.move_on_after(float("inf") if arguments.deadline is None else arguments.deadline):
            for number in range(arguments.repeat):
                await trio.sleep_until(begun + number * arguments.interval)
                for one in announced:
                    if not self._announce_once(table, one, number + 1):
                        return False
        await trio.lowlevel.checkpoint()
        return True

    def _announce_once(self, table: NeighbourTable, one: Announced, number: int) -> bool:
        _check_present(one.device)
        before = table.statistics().counters
        one.device.announce(
            one.key,
            form=self._form,
            router=one.router,
            lladdr=one.lladdr if self._arguments.mac else None,
            force=self._arguments.force,
        )
        error = None
        if table.statistics().counters != before:
            # Of a link's refusals alone the table keeps count here: it sends nothing else.
            self._flaws += 1
            error = f"{one.dev} did not take it"
        forms = ["request", "reply"] if self._form == "both" else [self._form]
        return self._tell(
            one,
            {
                "kind": "announced",
                **self._stamp.at(),
                "address": one.ip,
                "device": one.dev,
                "lladdr": str(one.lladdr),
                "number": number,
                "forms": forms if len(one.key) == 4 else ["advertisement"],
                "error": error,
            },
        )

    async def _verify(self, table: NeighbourTable, one: Announced, own: dict[bytes, str]) -> None:
        try:
            found = await find_owners(table, one.key, one.dev, tries=VERIFICATIONS, listen=LISTEN)
        except NeighioError as error:
            self._failure = error if one.device.present else _gone(one.dev)
            await trio.lowlevel.checkpoint()
            return
        # A virtual router's address is told for whoever has it, be it this host or not.
        others = [lladdr for lladdr in found if lladdr not in own and lladdr != one.lladdr]
        self._flaws += bool(others)
        self._tell(
            one,
            {
                "kind": "verified",
                **self._stamp.at(),
                "address": one.ip,
                "device": one.dev,
                "others": [str(lladdr) for lladdr in others],
                "own_devices": [own[lladdr] for lladdr in found if own.get(lladdr, one.dev) != one.dev],
            },
        )

    # -- what is printed

    def _tell(self, one: Announced, record: Record) -> bool:
        if self._arguments.json:
            return self._output.line(json_line(record))
        if self._arguments.quiet:
            return True
        return self._output.line(self._text(one, record))

    def _text(self, one: Announced, record: Record) -> str:
        paint = self._output.paint
        words = [one.ip.ljust(self._width), printable(f"dev {one.dev}")]
        if record["kind"] == "announced":
            words += [str(one.lladdr), f"{record['number']}/{self._arguments.repeat}"]
            words.append(", ".join(_WORDS[form] for form in record["forms"]))
            if record["error"] is not None:
                words.append(paint(str(record["error"]), "error"))
            return "  ".join(words)
        if record["others"]:
            words.append(paint(f"duplicate: {' '.join(record['others'])} answers too", "duplicate"))
        else:
            words.append("nobody else answers")
        words += [printable(f"this host's {dev} answers too (arp_ignore)") for dev in record["own_devices"]]
        return "  ".join(words)


def _check_present(device: AttachedDevice) -> None:
    """Return if a device has not been removed.

    Raises:
        DeviceGone
    """
    if not device.present:
        raise _gone(device.name)


def _gone(dev: str) -> DeviceGone:
    return DeviceGone(f"{dev} is gone")


def _announced(device: AttachedDevice, key: bytes, mac: LinkAddress | None, *, force: bool) -> Announced:
    """What is announced of an address on a device.

    Raises:
        InvalidAddress: it cannot be announced there.
        DeviceGone: the device has been removed meanwhile.
    """
    _check_present(device)
    device.check_announced(key, force=force)
    # What a client's table does not know of the kernel, and what neighbours believe of whoever tells them.
    forwarding = len(key) == 16 and read_number(f"net/ipv6/conf/{device.name}/forwarding")
    return Announced(key, device, mac or device.lladdr, bool(forwarding))
