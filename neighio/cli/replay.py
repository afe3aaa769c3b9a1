"""``neighio replay``: what a neighbour table would have been, by a capture."""

from __future__ import annotations

import errno
import os
import signal
from argparse import Namespace
from typing import Final, Self

from ..address import LinkAddress, is_station_ip, parse_ip
from ..administration import FAMILIES
from ..core.device import parse_interface
from ..core.events import NewNeighbour
from ..errors import InvalidAddress, NeighioError
from ..plot import draw, save
from ..records import Record, json_line
from ..replay.capture import Capture, CaptureError
from ..replay.player import Player, Told
from ..wire.ethernet import ETH_ALEN, is_group
from . import INTERRUPTED, UNUSABLE
from .output import Output, complain
from .progress import Progress
from .replay_report import CaptureStamp, closing_records, start_record, text_lines, told_record
from .running import explain
from .settings import parse_setting

__all__ = ["replay"]

LOOK: Final = 2048
"""So many frames are played between two looks at the clock."""


def replay(arguments: Namespace) -> int:
    """Run the command; return its exit status."""
    try:
        return Replay(arguments).run()
    except (NeighioError, OSError, ValueError) as error:
        complain(f"neighio replay: {explain(error)}")
        return UNUSABLE


class _Interrupts:
    """Ctrl-C, which must not strike while the table is ``busy``: then it is only remembered in ``came``.

    Whoever presses it once more has enough.
    """

    def __init__(self) -> None:
        self.busy: bool = False
        self.came: bool = False
        self._before = signal.getsignal(signal.SIGINT)

    def __enter__(self) -> Self:
        # Where it is ignored (a shell's background job) it stays so.
        if self._before is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._come)
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._before)

    def _come(self, number: int, frame: object) -> None:
        if not self.busy or self.came:
            raise KeyboardInterrupt
        self.came = True


class Replay:
    """One run of the command.

    Raises:
        ValueError: an argument makes no sense; names it.
        OSError: the picture cannot be written there.
    """

    def __init__(self, arguments: Namespace) -> None:
        self._arguments = arguments
        self._file: str = arguments.file
        settings = [parse_setting(text) for text in arguments.settings]
        ip, prefixlen, lladdr = _parse_station(arguments.station)
        if arguments.plot is not None:
            _check_picture(arguments.plot, self._file)
        self._player = Player(
            self._tell,
            ip=ip,
            prefixlen=prefixlen,
            lladdr=lladdr,
            settings=[(FAMILIES[one.family], one.name, one.value) for one in settings],
            trace=arguments.trace,
            picture=arguments.plot is not None,
        )
        self._stamp = CaptureStamp(self._player)
        self._output = Output()
        self._is_read = True
        self._unwritten: OSError | None = None
        self._progress = Progress("frames")

    def run(self) -> int:
        """Play it, say what came of it, and return the exit status.

        Raises:
            CaptureError: it could not be read to its end; what could be read was played, and is told.
            OSError: it, or what is written, cannot be opened, read or written.
        """
        trouble = None
        status = 0
        with self._progress, Capture(self._file) as capture:
            try:
                self._play(capture)
            except CaptureError as damage:
                trouble = str(damage)
            except KeyboardInterrupt:
                trouble, status = f"{capture.name}: interrupted", INTERRUPTED
            name = capture.name
        # Who has enough of the output leaves before the end.
        if trouble is None and self._is_read and (nothing := self._nothing()):
            trouble = f"{name}: {nothing}"
        if self._player.frames:
            self._close(trouble)
            if self._arguments.plot is not None:
                self._draw(name)
        if self._unwritten is not None:
            raise self._unwritten
        if trouble and not status:
            raise CaptureError(trouble)
        return status

    def _play(self, capture: Capture) -> None:
        """Play all frames; those before an interruption when there is one.

        Raises:
            CaptureError: it is damaged.
            KeyboardInterrupt: it was interrupted.
        """
        player, progress = self._player, self._progress
        with _Interrupts() as interrupts:
            for record in capture:
                interrupts.busy = True
                if not player.frames:
                    station = self._arguments.station
                    self._print(start_record(self._file, capture.format, station, record.nanoseconds))
                player.play(record)
                if not player.frames % LOOK:
                    progress.update(capture.progress(), player.frames)
                interrupts.busy = False
                if interrupts.came:
                    raise KeyboardInterrupt
                if not self._is_read and self._arguments.plot is None:
                    return

    def _close(self, trouble: str | None) -> None:
        player = self._player
        for number, record in enumerate(closing_records(player, trouble)):
            if not number and not self._arguments.json:
                self._line(f"the table after {player.now:,.6f} s:")
            self._print(record)

    def _nothing(self) -> str | None:
        """Why nothing could come of it, if so."""
        player = self._player
        if not player.frames:
            return "it holds no frames"
        if sum(player.unusable.values()) == player.frames:
            return f"no frame is of a link that is known: {', '.join(player.unusable)}"
        if player.station is not None and not player.station.found:
            return f"as: no frame is from {self._arguments.station}, or shows where it is"
        return None

    def _draw(self, name: str) -> None:
        player, lives = self._player, self._player.lives
        assert lives is not None
        station = self._arguments.station
        seen = "an observer's table" if station is None else f"the table of {station}"
        document = draw(
            lives.rows(),
            title=f"{os.path.basename(name)}: {seen}",
            end=player.now,
            # A clock that was set shows no one time of day.
            epoch=None if player.set_back else player.wall(0.0),
            notes=lives.notes(),
        )
        save(self._arguments.plot, document)

    # -- output

    def _tell(self, told: Told) -> None:
        if self._arguments.summary:
            return
        # What Linux tells of a transition says nothing that the transition itself does not.
        if not (self._arguments.trace and isinstance(told, NewNeighbour)):
            self._print(told_record(told, self._stamp))

    def _print(self, record: Record) -> None:
        if not self._is_read:
            return
        if self._arguments.json:
            self._line(json_line(record))
        else:
            for line in text_lines(record, self._output.paint):
                self._line(line)

    def _line(self, line: str) -> None:
        """Print a line, unless nobody reads any more, or it could not be written before."""
        if not self._is_read:
            return
        self._progress.clear()
        try:
            self._is_read = self._output.line(line)
        except OSError as error:
            self._is_read = False
            self._unwritten = error


def _parse_station(text: str | None) -> tuple[bytes | None, int | None, bytes | None]:
    """Return an IP address, packed, with its prefix length if that is given, or a link-layer address.

    Raises:
        InvalidAddress: it is neither, or nobody's.
    """
    if text is None:
        return None, None, None
    try:
        if "/" in text:
            ip, prefixlen = parse_interface(text)
        else:
            ip, zone = parse_ip(text)
            prefixlen = None
            if zone is not None:
                raise InvalidAddress("a capture has no zones")
        if not is_station_ip(ip):
            raise InvalidAddress("it is no station's")
        return ip, prefixlen, None
    except InvalidAddress as error:
        why = error
    try:
        lladdr = LinkAddress(text)
    except InvalidAddress:
        raise InvalidAddress(f"as: {text!r} is neither an IP address nor a link-layer address") from why
    if len(lladdr) != ETH_ALEN or is_group(lladdr) or not any(lladdr):
        raise InvalidAddress(f"as: {text!r} is no Ethernet station's address")
    return None, None, bytes(lladdr)


def _check_picture(path: str, capture: str) -> None:
    """Find out before hours of work that a picture cannot be written.

    Raises:
        OSError: its folder is not there, or it is one, or may not be written.
        ValueError: it would take the capture's place.
    """
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    if os.path.exists(capture) and os.path.exists(target) and os.path.samefile(capture, target):
        raise ValueError(f"plot: {path} is the capture")
    reason = 0
    if os.path.isdir(target):
        reason = errno.EISDIR
    elif not os.path.isdir(folder):
        reason = errno.ENOENT
    elif not os.access(target if os.path.exists(target) else folder, os.W_OK):
        reason = errno.EACCES
    if reason:
        raise OSError(reason, os.strerror(reason), path)
