"""Who takes part in each row, and how each is measured."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from . import stage
from .harness import OURS, ROOT, Contender, Setting, figures, python, whole_process

__all__ = [
    "SIZES",
    "answering",
    "cold",
    "growth",
    "hits",
    "hold",
    "imports",
    "lookups",
    "memory",
    "receiving",
    "scan16",
    "scan24",
    "sparse24",
    "timers",
    "virtual",
]

SIZES: Final = {"10^3": 10**3, "10^4": 10**4, "10^5": 10**5, "10^6": 10**6}

_PROGRAMS: Final = ROOT / "benchmarks" / "programs"
_FOUND: Final = re.compile(r"(\d+\.\d+\.\d+\.\d+)\s.*?((?:[0-9a-f]{2}:){5}[0-9a-f]{2})", re.IGNORECASE)

Measurement = Callable[[], Mapping[str, float]]


# -- who takes part


def _package(name: str) -> str | None:
    """Why a package of the group ``bench`` cannot take part; None when it can."""
    if importlib.util.find_spec(name) is not None:
        return None
    return f"not installed: {sys.executable} -m pip install {name}"


def _program(name: str, package: str) -> str | None:
    if shutil.which(name) is not None:
        return None
    return f"not installed: apt-get install {package} (or what your system has in its place) brings it"


def _if(reason: str | None, run: Measurement) -> Measurement | str:
    return run if reason is None else reason


def _script(name: str, *arguments: object) -> list[str]:
    """A program by its path: with -m, finding it would be counted."""
    return [sys.executable, str(_PROGRAMS / f"{name}.py"), *map(str, arguments)]


def _answered(count: int) -> Callable[[str], bool]:
    """Whether so many different addresses were printed, each with a link-layer address."""
    return lambda text: len({found[0] for found in _FOUND.findall(text)}) == count


def _as_nmap(count: int) -> Callable[[str], bool]:
    """As nmap prints them: a line with each address, and another with the link-layer address."""
    return lambda text: text.count("MAC Address: ") == count


# -- scans


def _our_scan(network: str, tries: int, interval: float) -> list[str]:
    options = ["--dev", stage.NEAR, "--rate", "max", "--tries", str(tries), "--interval", str(interval)]
    return [sys.executable, "-m", "neighio", "scan", network, *options]


def _scans(
    key: str, network: str, count: int, *, tries: int, interval: float, rss: str | None
) -> list[Contender]:
    """Everybody who scans, at full rate."""
    expected = _answered(count)
    ours = _our_scan(network, tries, interval)
    arp_scan = ["arp-scan", "-I", stage.NEAR, "-B", "1000M", f"--retry={tries}", "-q", "-x", network]
    nmap = ["nmap", "-sn", "-PR", "-n", "-e", stage.NEAR, "--max-retries", str(tries - 1), network]

    def whole(command: Sequence[str], judge: Callable[[str], bool] = expected) -> Measurement:
        return whole_process(command, key, expected=judge, rss=rss)

    return [
        Contender(OURS, whole(ours), "as `neighio scan`."),
        Contender(
            "scapy",
            _if(
                _package("scapy"), whole(_script("peer_scan", "scapy", network, stage.NEAR, tries, interval))
            ),
        ),
        Contender("arp-scan", _if(_program("arp-scan", "arp-scan"), whole(arp_scan))),
        Contender("nmap", _if(_program("nmap", "nmap"), whole(nmap, _as_nmap(count)))),
    ]


def _floors(key: str, network: str, count: int, rss: str | None) -> list[Contender]:
    source = stage.NEAR_ADDRESSES[0].partition("/")[0]
    return [
        Contender(
            name,
            whole_process(
                _script("floor_scan", how, network, stage.NEAR, source),
                key,
                expected=_answered(count),
                rss=rss,
            ),
        )
        for name, how in (("bare loop", "plain"), ("bare loop on trio", "trio"))
    ]


def scan16(setting: Setting) -> list[Contender]:
    network, count = ("198.18.1.0/24", 256) if setting.small else (stage.WHOLE_NETWORK, 65536)
    return [
        *_scans("scan16", network, count, tries=1, interval=1.0, rss="scan16_rss"),
        *_floors("scan16", network, count, "scan16_rss"),
    ]


def scan24(setting: Setting) -> list[Contender]:
    network = "198.18.2.0/24"
    getmac = _script("peer_scan", "getmac", "198.18.3.7")
    return [
        *_scans("scan24", network, 256, tries=1, interval=1.0, rss=None),
        *_floors("scan24", network, 256, None),
        Contender(
            "getmac, one address",
            _if(_package("getmac"), whole_process(getmac, "scan24", expected=_answered(1))),
        ),
    ]


def sparse24(setting: Setting) -> list[Contender]:
    network, count = stage.SPARSE_NETWORK, stage.ANSWERING
    kernel = _script("peer_scan", "kernel", network, stage.NEAR)
    return [
        *_scans("sparse24", network, count, tries=3, interval=0.25, rss=None),
        Contender(
            "kernel (pyroute2)",
            _if(_package("pyroute2"), whole_process(kernel, "sparse24", expected=_answered(count))),
        ),
    ]


# -- one address


def cold(setting: Setting) -> list[Contender]:
    quick, slow = setting.size(190, 20), setting.size(20, 3)

    def who(name: str, count: int, *families: str) -> Measurement:
        return figures(*(python("cold", family, name, count) for family in families))

    return [
        Contender(OURS, who("neighio", quick, "4", "6")),
        Contender("raw socket", who("plain", quick, "4", "6")),
        Contender("raw socket on trio", who("trio", quick, "4", "6")),
        Contender("scapy srp1", _if(_package("scapy"), who("scapy", slow, "4"))),
        Contender("getmac", _if(_package("getmac"), who("getmac", slow, "4"))),
        Contender("arping", _if(_program("arping", "iputils-arping"), who("arping", slow, "4"))),
    ]


def hits(setting: Setting) -> list[Contender]:
    return [Contender(OURS, figures(python("hits", setting.size(50_000, 512))))]


def lookups(setting: Setting) -> list[Contender]:
    def run() -> Mapping[str, float]:
        found: dict[str, float] = {}
        for size in ("10^3", "10^5", "10^6"):
            told = figures(python("big", setting.size(SIZES[size], 100), "lookup"))()
            found |= {f"lookup_{size}": told["lookup"], f"lookup_{size}|dict": told["lookup|dict"]}
        return found

    return [Contender(OURS, run)]


# -- frames


def receiving(setting: Setting) -> list[Contender]:
    return [
        Contender(OURS, figures(python("receive", "neighio", setting.size(400, 8)))),
        Contender(
            "scapy dissection",
            _if(_package("scapy"), figures(python("receive", "scapy", setting.size(32, 1)))),
        ),
    ]


def answering(setting: Setting) -> list[Contender]:
    seconds = 0.1 if setting.small else 1.0

    def who(name: str, *families: str) -> Measurement:
        return figures(*(python("answer", "measure", name, family, seconds) for family in families))

    no_compiler = None if any(map(shutil.which, ("cc", "gcc", "clang"))) else "there is no C compiler"
    return [
        Contender(OURS, who("neighio", "4", "6")),
        Contender("C responder", _if(no_compiler, who("c", "4"))),
        Contender("Python loop", who("plain", "4")),
        Contender("scapy", _if(_package("scapy"), who("scapy", "4"))),
    ]


# -- many entries


def memory(setting: Setting) -> list[Contender]:
    sizes = {name: setting.size(SIZES[name], 1000) for name in ("10^5", "10^6")}

    def who(program: str, *what: str) -> Measurement:
        def run() -> Mapping[str, float]:
            found: dict[str, float] = {}
            for name, n in sizes.items():
                told = dict(figures(python(program, n, *what))())
                # Of the largest it is asked what it costs the collector.
                found = {**found, **told, f"memory_{name}": told["memory"]}
            return found

        return run

    return [
        Contender(OURS, who("big", "memory", "collector")),
        Contender("slotted objects", who("slots")),
    ]


def hold(setting: Setting) -> list[Contender]:
    n = setting.size(10**6, 1000)
    return [
        Contender(
            OURS,
            figures(
                python("big", n, "insertion", "timers", "dump", "forced", "down"),
                python("big", n, "periodic"),
                python("big", n, "flush"),
                python("big", n, "gradually"),
                python("big", n, "dict"),
            ),
        )
    ]


def timers(setting: Setting) -> list[Contender]:
    n = setting.size(10**6, 1000)
    return [Contender(name, figures(python("timers", name, n))) for name in (OURS, "heapq")]


def virtual(setting: Setting) -> list[Contender]:
    n, hours = (100, 1) if setting.small else (10_000, 24)
    return [Contender(OURS, figures(python("virtual", n, hours), timeout=900.0))]


def imports(setting: Setting) -> list[Contender]:
    repeats = setting.size(5, 1)

    def seconds(statement: str) -> float:
        # The least of some: another process' turn only ever adds.
        return min(figures(_script("imports", statement))()["seconds"] for _ in range(repeats))

    def peer(statement: str) -> Measurement:
        def run() -> Mapping[str, float]:
            spent = seconds(statement)
            return {"import": spent, "import_all": spent}

        return run

    def ours() -> Mapping[str, float]:
        return {"import": seconds("import neighio"), "import_all": seconds("from neighio import open_table")}

    scapy = "import scapy.layers.l2"
    return [
        Contender(OURS, ours),
        Contender("import trio", peer("import trio")),
        Contender(scapy, _if(_package("scapy"), peer(scapy))),
    ]


def growth(setting: Setting) -> list[Contender]:
    what = ("lookup", "insertion", "memory", "timers", "dump", "down")

    def size(n: int) -> Measurement:
        def run() -> Mapping[str, float]:
            told = figures(python("big", n, *what), python("big", n, "periodic"))()
            return {f"grow_{name}": told[name] for name in what} | {"grow_periodic": told["periodic"] / n}

        return run

    return [Contender(name, size(setting.size(n, 200 + n // 2000))) for name, n in SIZES.items()]
