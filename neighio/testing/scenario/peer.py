"""The scripted peer, the same for every player: what it answers to what it hears."""

from __future__ import annotations

from ...address import LinkAddress
from ...wire import arp
from .model import Answer, Mute

__all__ = ["Peer"]


class Peer:
    """Answers ARP requests for addresses that it was told to answer for."""

    def __init__(self) -> None:
        self._answers: dict[bytes, Answer] = {}

    def follow(self, told: Answer | Mute) -> None:
        if isinstance(told, Answer):
            self._answers[told.ip] = told
        elif told.ip is None:
            self._answers.clear()
        else:
            self._answers.pop(told.ip, None)

    def hear(self, frame: bytes) -> tuple[float, bytes] | None:
        """(seconds to wait, frame to send) if there is an answer to give."""
        fields = arp.parse(frame)
        if isinstance(fields, str) or fields[0] != arp.ARPOP_REQUEST:
            return None
        _, spa, sha, tpa, _ = fields
        answer = self._answers.get(tpa)
        if answer is None or frame[:6] not in (b"\xff" * 6, answer.lladdr):
            return None
        lladdr: LinkAddress = answer.lladdr
        return answer.after, arp.build(arp.ARPOP_REPLY, tpa, lladdr, spa, sha, dst=sha, src=lladdr)
