"""What a table logs of its own life."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from ._logger import get_logger
from .core.events import AddressConflict, Change
from .publication import DeviceChange, Happening

if TYPE_CHECKING:
    from .driver import Driver

__all__ = ["CHANGES", "DEVICES", "log_life"]

DEVICES: Final = get_logger("table.devices")
CHANGES: Final = get_logger("table.changes")


def log_life(driver: Driver) -> None:
    """Log what happens in a table, where its logger wants to have it now: devices and conflicts at INFO, each
    transition at DEBUG. A logger that wants nothing costs nothing."""
    if CHANGES.isEnabledFor(logging.DEBUG):
        driver.trace = True
        driver.listen(_log_change)
    if DEVICES.isEnabledFor(logging.INFO):
        driver.listen(_log_device)


def _log_change(happening: Happening) -> None:
    if isinstance(happening, Change):
        CHANGES.debug("%s", happening)


def _log_device(happening: Happening) -> None:
    if isinstance(happening, DeviceChange):
        DEVICES.info("%s %s", happening.device, _how(happening))
    elif isinstance(happening, AddressConflict):
        DEVICES.info("%s dev %s: %s has it, too", happening.ip, happening.device, happening.lladdr)


def _how(change: DeviceChange) -> str:
    if not change.present:
        return "is detached"
    if not change.up:
        return "is down"
    return "is up" if change.carrier else "is up without a carrier"
