"""The arguments of ``neighio doctor``, and its help."""

from __future__ import annotations

from typing import Final

from .command import Commands, add_command

__all__ = ["add_doctor"]

_HELP: Final = """\
Look at what neighio, and the kernel's own ARP and Neighbour Discovery, depend on, and say what is not as it
should be, why it matters and what to do about it.

It looks at capabilities and namespaces, interfaces, the switches and parameters in /proc/sys/net that are not
Linux's own, how full the kernel's tables are, socket buffers, optional packages and running instances, and it
asks each link whether somebody else has an address of this host. It changes nothing."""

_MORE: Final = """\
examples:
  neighio doctor
  neighio doctor -I eth0            is this interface fit for use?
  neighio doctor -q                 warnings and problems alone
  neighio doctor --no-probe --json  send nothing

Without privileges, too, it says what it can, and what it could not look at.

levels:
  ok       all is well
  note     good to know, or not looked at
  warning  it may surprise
  problem  it has to be mended, or something cannot work

one JSON object a line, a finding, with these keys (docs/schemas/doctor.json):
  level    ok, note, warning or problem
  topic    system, packages, privileges, namespaces, interface, sysctl, table, link, buffers or instances
  subject  which of these: a device, a name that sysctl(8) takes, a capability, a package, ...
  what     what is so
  why      why it matters, or null
  do       what to do about it, or null

exit status: 0 no problem was found, 1 one was, 2 usage or system error, 130 interrupted"""


def add_doctor(commands: Commands) -> None:
    """Add the command ``doctor``."""
    doctor = add_command(
        commands, "doctor", "doctor:doctor", "say what keeps it from working, and what to do", _HELP, _MORE
    )
    doctor.add_argument("-I", "--dev", help="look at this device alone, and take what is wrong with it amiss")
    doctor.add_argument(
        "--no-probe", action="store_true", help="send nothing: do not ask for duplicates of our addresses"
    )
    doctor.add_argument("-q", "--quiet", action="store_true", help="print warnings and problems alone")
    doctor.add_argument("-j", "--json", action="store_true", help="print JSON objects, one a line")
