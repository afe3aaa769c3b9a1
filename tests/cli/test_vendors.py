"""Vendors' names, in each form in which they come; and where there are none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from neighio import NeighioError
from neighio.cli.vendors import is_local, load_vendors

FORMS = {
    "arp-scan": "# comment\n00000C\tCisco Systems, Inc\n0055DA0\tShinko Technos\n70B3D5000\tHyper Tech\n",
    "nmap": "# $Id$\n00000C Cisco Systems, Inc\n0055DA0 Shinko Technos\n70B3D5000 Hyper Tech\n",
    "wireshark": "00:00:0C\tCisco\tCisco Systems, Inc\n0:0:0\tx\ty\n"
    "00:55:DA\tIEEERegi\tIEEE Registration Authority\n00:55:DA:00:00:00/28\tShinkoTe\tShinko Technos\n"
    "70:B3:D5:00:00:00/36\tHyperTec\tHyper Tech\n",
    "IEEE": "OUI/MA-L                Organization\r\n\r\n00-00-0C   (hex)\t\tCisco Systems, Inc\r\n"
    "00000C     (base 16)\t\tCisco Systems, Inc\r\n\t\t\t\t170 WEST TASMAN DRIVE\r\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_a_list_is_read(form: str, tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(FORMS[form].encode())
    vendor = load_vendors([str(tmp_path / "nothing"), str(tmp_path / "list")])
    assert vendor(bytes.fromhex("00000c123456")) == "Cisco Systems, Inc"
    assert vendor(bytes.fromhex("00000d123456")) is None
    if form != "IEEE":
        # Of two blocks that have an address the smaller one is its vendor's.
        assert vendor(bytes.fromhex("0055da012345")) == "Shinko Technos"
        assert vendor(bytes.fromhex("70b3d5000fff")) == "Hyper Tech"
        assert vendor(bytes.fromhex("70b3d5001fff")) is None


def test_without_a_list_it_is_the_package() -> None:
    # In a process of its own: the package keeps its file open.
    program = """
from neighio.cli.vendors import load_vendors
vendor = load_vendors([])
print(vendor(bytes.fromhex("00000c123456")), vendor(bytes.fromhex("020000000001")))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Cisco") and done.stdout.endswith(" None\n")


def test_with_neither_it_says_what_brings_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiooui", None)
    with pytest.raises(NeighioError, match=r"^vendor: there is no list .* pip install 'neighio\[vendors\]'$"):
        load_vendors([])


@pytest.mark.parametrize(
    ("lladdr", "local"), [("00000c123456", False), ("020000000001", True), ("da1234567890", True)]
)
def test_a_locally_administered_address_is_no_vendors(lladdr: str, local: bool) -> None:
    assert is_local(bytes.fromhex(lladdr)) is local
