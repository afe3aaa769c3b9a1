"""How chance chooses what a walk does next: verbs and words of a scenario file's, likely ones more often."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from ....core.constants import NUD_DELAY, NUD_INCOMPLETE, NUD_PROBE
from ..engine import Role
from .moves import Move, Value

__all__ = ["Chance"]

LEAST: Final = 0.008
"""Seconds between two steps: two jiffies."""

CARDS: Final = (":0b", ":0c")
ROUTER: Final = "fe80::2"
NEIGHBOURS: Final = {4: (".2", ".3", ".4"), 6: ("6.2", "2001:db8::1:0:2", ROUTER)}
"""Those of IPv6 have one solicited-node group: the machine's tables are to hold few entries."""

BEYOND: Final = "2001:db8:1::"
"""The network behind the router of IPv6."""

ROUTES: Final = {4: "203.0.113.0/24 via .4", 6: f"{BEYOND}/64 via {ROUTER}"}
"""Behind neighbours of either family; there are no others."""

GATEWAYS: Final = {4: "198.51.100.4", 6: ROUTER}

FAR: Final = {4: "203.0.113.7", 6: f"{BEYOND}ffff:1"}
"""Whom they lead to."""

LOST: Final = ("6.1/64", "fe80::a/64")
"""The node's addresses of IPv6, which go with the link."""

SECOND: Final = {4: ".22/28", 6: "6.22/64"}
"""Addresses that the node has for a while, by family."""

_T = TypeVar("_T")
_Weights = Mapping[_T, float]

TIMES: Final[Mapping[str, Sequence[float]]] = {
    "delay_first_probe_time": (0.06, 0.1, 0.16, 0.2, 0.2, 0.4, 0.0),
    "retrans_time": (0.06, 0.1, 0.16, 0.2, 0.2, 0.4, 0.0),
    "base_reachable_time": (0.16, 0.32, 0.32, 0.6, 1.0),
}
"""Whole jiffies all of them: the kernel would round others up."""

COUNTS: Final[Mapping[str, Sequence[float]]] = {
    "ucast_solicit": (1, 2, 3, 0),
    "mcast_solicit": (1, 2, 3, 0),
    "app_solicit": (0, 0, 1, 2),
    "mcast_resolicit": (0, 0, 1, 2),
    "unres_qlen_bytes": (0, 1700, 4000, 212992),
}
IPV4_ONLY: Final[Mapping[str, Sequence[float]]] = {
    "locktime": (0.0, 0.0, 0.06, 0.1, 0.3),
    "arp_accept": (0, 0, 1, 2),
    "arp_announce": (0, 1, 2),
    "arp_ignore": (0, 0, 0, 1, 2, 8),
    "arp_evict_nocarrier": (1, 0),
    "drop_gratuitous_arp": (0, 0, 1),
    "forwarding": (0, 1),
    "proxy_arp_pvlan": (0, 1),
}
IPV6_ONLY: Final[Mapping[str, Sequence[float]]] = {
    "accept_ra": (0, 1, 2),
    "accept_redirects": (1, 0),
    "accept_untracked_na": (0, 1, 2),
    "drop_unsolicited_na": (0, 0, 1),
    "force_tllao": (0, 1),
    "forwarding": (0, 1),
    "ndisc_evict_nocarrier": (1, 0),
}
FIRST: Final[Mapping[str, float]] = {
    "delay_first_probe_time": 0.2,
    "retrans_time": 0.16,
    "base_reachable_time": 0.32,
    "proxy_delay": 0.0,
}


HOST: Final = frozenset({"forwarding", "proxy_arp_pvlan"})
"""Switches that a client leaves to whoever answers."""


class Chance:
    """Chooses moves, of one seed always the same as long as what it is told of entries is the same.

    ``families``: 4, 6 or both.
    """

    def __init__(self, seed: str, families: Sequence[int], role: Role = "host") -> None:
        self._random = random.Random(seed)
        self._families = tuple(families)
        self._tables = {
            4: {**TIMES, **COUNTS, **IPV4_ONLY},
            6: {**TIMES, **COUNTS, **IPV6_ONLY},
        }
        if role == "client":
            for name in HOST & self._tables[4].keys():
                del self._tables[4][name]
        self._destinations = 0
        self._carrier = True
        self._up = True
        self._lladdr = ":0a"
        self._second: frozenset[int] = frozenset()
        self._routed = frozenset(families)
        self._missing: list[str] = []
        """Own addresses that it has not: what is sent to them gets ICMPv6 errors, which ask for whom they go
        to."""
        self._verbs: _Weights[Callable[[int, Mapping[str, int]], Move]] = {
            self._send: 18,
            self._confirm: 5,
            self._change: 18,
            self._delete: 3,
            self._evidence: 30,
            self._parameter: 6,
            self._device: 4,
        }

    def first(self) -> Move:
        """What a walk begins with: short times."""
        value: dict[str, float | Mapping[str, float]] = {**FIRST} if 4 in self._families else {}
        if 6 in self._families:
            value["ipv6"] = FIRST
        return Move(LEAST, "set", value)

    def next(self, states: Mapping[str, int]) -> Move:
        """The next move; ``states`` are those of the entries, by address."""
        if not self._carrier or not self._up:
            if self._chance(0.4):
                return self._restore()
            choose: Callable[[int, Mapping[str, int]], Move] = self._weighted(
                {self._change_quietly: 3, self._delete: 1, self._parameter: 1}
            )
            return choose(self._random.choice(self._families), states)
        if self._missing and self._chance(0.3):
            return self._move("address", f"add {self._missing.pop(0)}")
        family = self._random.choice(self._families)
        if self._missing and family == 6:
            choose = self._weighted({self._change_quietly: 2, self._delete: 1, self._evidence: 3})
        else:
            choose = self._weighted(self._verbs)
        return choose(family, states)

    # -- dice

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _weighted(self, weights: _Weights[_T]) -> _T:
        return self._random.choices(list(weights), list(weights.values()))[0]

    def _pause(self) -> float:
        kind = self._random.random()
        most = 0.02 if kind < 0.5 else 0.06 if kind < 0.85 else 0.3
        return round(self._random.uniform(LEAST, most), 3)

    def _move(self, verb: str, value: Value) -> Move:
        return Move(self._pause(), verb, value)

    def _neighbour(self, family: int) -> str:
        return self._random.choice(NEIGHBOURS[family])

    def _destination(self, family: int) -> str:
        """A neighbour, or whoever is behind one."""
        far = family in self._routed and self._chance(0.1)
        return FAR[family] if far else self._neighbour(family)

    def _card(self) -> str:
        return self._random.choice(CARDS)

    # -- the node

    def _send(self, family: int, states: Mapping[str, int]) -> Move:
        words = [self._destination(family)]
        if family == 4 and self._chance(0.06):
            words = [self._random.choice((".255", "224.0.0.9"))]
        if self._chance(0.3):
            words.append(f"count {self._random.randint(2, 3)}")
        if self._chance(0.2):
            words.append(f"octets {self._random.choice((300, 1400))}")
        if family == 4 and self._chance(0.2):
            words.append("from .21")
        if self._chance(0.15):
            words.append("confirm")
        return self._move("send", " ".join(words))

    def _confirm(self, family: int, states: Mapping[str, int]) -> Move:
        return self._move("confirm", self._destination(family))

    def _delete(self, family: int, states: Mapping[str, int]) -> Move:
        return self._move("admin", f"del {self._neighbour(family)}")

    def _change(self, family: int, states: Mapping[str, int]) -> Move:
        return self._admin(family, {"": 40, "use": 5, "managed": 1})

    def _change_quietly(self, family: int, states: Mapping[str, int]) -> Move:
        """What makes no packet or probe leave."""
        return self._admin(family, {"": 1}, ("none", "failed", "stale", "noarp", "permanent", "reachable"))

    def _admin(
        self,
        family: int,
        used: _Weights[str],
        states: Sequence[str] = (
            *("none", "incomplete", "failed", "reachable", "stale", "stale", "noarp", "permanent"),
            *("delay", "probe", "probe"),
        ),
    ) -> Move:
        words = [self._weighted({"replace": 5, "change": 2, "add": 2, "append": 1}), self._neighbour(family)]
        if self._chance(0.8):
            words.append(f"lladdr {self._card()}")
        words.append(f"nud {self._random.choice(states)}")
        if self._chance(0.04):
            words.append(f"protocol {self._random.choice((3, 17))}")
        flags = [self._weighted(used)]
        flags += [
            self._weighted({"": 12, "router": 2}),
            self._weighted({"": 14, "extern_learn": 1, "extern_valid": 2}),
        ]
        return self._move("admin", " ".join([*words, *filter(None, flags)]))

    # -- the peer

    def _evidence(self, family: int, states: Mapping[str, int]) -> Move:
        kinds: dict[Callable[[str, Mapping[str, int]], str], float]
        if family == 4:
            kinds = {self._arp_reply: 3, self._arp_request: 3}
        else:
            kinds = {
                self._solicitation: 4,
                self._advertisement: 6,
                self._router_solicitation: 1,
                self._router_advertisement: 1,
            }
            if not self._missing:
                kinds[self._redirect] = 0.5
        kind = self._weighted(kinds)
        # Whoever is asked for is likely to answer.
        asked = NUD_INCOMPLETE | NUD_DELAY | NUD_PROBE
        weights = {ip: 3 if states.get(_long(ip), 0) & asked else 1 for ip in NEIGHBOURS[family]}
        return self._move("peer", kind(self._weighted(weights), states))

    def _arp_reply(self, ip: str, states: Mapping[str, int]) -> str:
        card = self._card()
        words = ["arp reply", f"spa={ip}", f"sha={card}"]
        words.append(self._weighted({"": 6, f"tpa={ip} tha={card}": 2, f"tpa={ip}": 1, "tpa=.77": 1}))
        words.append(self._weighted({"": 8, "to=broadcast": 3, "to=:0f": 0.3, f"to={self._lladdr}": 2}))
        return " ".join(filter(None, words))

    def _arp_request(self, ip: str, states: Mapping[str, int]) -> str:
        sender = self._weighted({ip: 20, "0.0.0.0": 1, ".1": 1, "203.0.113.9": 1})
        words = ["arp request", f"spa={sender}", f"sha={self._card()}"]
        words.append(self._weighted({"": 6, f"tpa={ip}": 3, "tpa=.77": 3}))
        words.append(self._weighted({"": 8, "to=unicast": 2}))
        return " ".join(filter(None, words))

    def _link_layer(self, name: str) -> str:
        return f"{name}={self._weighted({'none': 2, ':0b': 4, ':0c': 4})}"

    def _solicitation(self, ip: str, states: Mapping[str, int]) -> str:
        words = ["ns", f"src={ip}", self._link_layer("sllao")]
        words.append(self._weighted({"": 8, "target=6.1": 2, "target=fe80::a": 2, "target=6.77": 1}))
        own = {} if self._missing else {"dst=6.1": 2, "dst=fe80::a": 2}
        words.append(self._weighted({"": 6, **own, "dst=ff02::1": 1}))
        return " ".join(filter(None, words))

    def _advertisement(self, ip: str, states: Mapping[str, int]) -> str:
        flags = "".join(letter for letter in "RSO" if self._chance(0.45)) or "none"
        words = ["na", f"target={ip}", f"flags={flags}", self._link_layer("tllao")]
        own = {} if self._missing else {"": 8, "src=6.2": 1}
        words.append(self._weighted({**own, "dst=ff02::1": 3}))
        return " ".join(filter(None, words))

    def _router_solicitation(self, ip: str, states: Mapping[str, int]) -> str:
        return f"rs src={ip} {self._link_layer('sllao')}"

    def _router_advertisement(self, ip: str, states: Mapping[str, int]) -> str:
        words = ["ra", f"src={ROUTER}", self._link_layer("sllao"), "lifetime=0"]
        words.append(self._weighted({"": 6, "reachable=0.32": 1, "reachable=0.6": 1}))
        words.append(self._weighted({"": 6, "retrans=0.1": 1, "retrans=0.2": 1}))
        return " ".join(filter(None, words))

    def _redirect(self, ip: str, states: Mapping[str, int]) -> str:
        # One that was redirected once is no longer behind the router that did.
        self._destinations += 1
        destination = f"{BEYOND}{self._destinations:x}"
        target = self._weighted({destination: 1, "fe80::3": 2})
        words = ["redirect", f"src={ROUTER}", f"dest={destination}", f"target={target}"]
        return " ".join([*words, self._link_layer("tllao")])

    # -- the device

    def _parameter(self, family: int, states: Mapping[str, int]) -> Move:
        table = self._tables[family]
        changes = {
            name: self._random.choice(table[name])
            for name in self._random.sample(list(table), self._random.randint(1, 2))
        }
        return self._move("set", changes if family == 4 else {"ipv6": changes})

    def _device(self, family: int, states: Mapping[str, int]) -> Move:
        kind = self._weighted({"carrier": 3, "link": 1, "lladdr": 1, "address": 2, "route": 2})
        if kind == "carrier":
            self._carrier = False
            return self._move(kind, "off")
        if kind == "link":
            self._up = False
            self._routed = frozenset()
            if 6 in self._families:
                self._second -= {6}
                self._missing = list(LOST)
            return self._move(kind, "down")
        if kind == "lladdr":
            # The same once more is nothing that a program sees: the kernel flushes, and tells of no change.
            self._lladdr = ":0e" if self._lladdr == ":0a" else ":0a"
            return self._move(kind, self._lladdr)
        if kind == "route" and not states.get(GATEWAYS[family], 0) & NUD_INCOMPLETE:
            # The kernel does not tell senders of packets that wait and have no longer a route.
            self._routed ^= {family}
            return self._move(kind, f"{'add' if family in self._routed else 'del'} {ROUTES[family]}")
        self._second ^= {family}
        return self._move("address", f"{'add' if family in self._second else 'del'} {SECOND[family]}")

    def _restore(self) -> Move:
        if not self._carrier:
            self._carrier = True
            return self._move("carrier", "on")
        self._up = True
        return self._move("link", "up")


def _long(ip: str) -> str:
    return (
        f"198.51.100{ip}"
        if ip.startswith(".")
        else ip.replace("6.", "2001:db8::", 1)
        if ip[:2] == "6."
        else ip
    )
