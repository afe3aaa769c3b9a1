"""The scripted peer, the same for every player: what it answers to what it hears."""

from __future__ import annotations

from ...wire import arp, ndisc
from ...wire.ethernet import is_group
from .frames import advertisement
from .model import Answer, Mute

__all__ = ["Peer"]


class Peer:
    """Answers requests and solicitations for addresses that it was told to answer for."""

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
        if not isinstance(fields, str):
            op, spa, sha, target, _ = fields
            answer = self._answers.get(target)
            if op != arp.ARPOP_REQUEST or answer is None or not _reaches(frame, answer):
                return None
            lladdr = answer.lladdr
            return answer.after, arp.build(arp.ARPOP_REPLY, target, lladdr, spa, sha, dst=sha, src=lladdr)
        solicited = ndisc.parse(frame)
        if isinstance(solicited, ndisc.Solicitation):
            answer, asker = self._answers.get(solicited.target), solicited.lladdr
            if answer is not None and asker is not None and _reaches(frame, answer):
                return answer.after, advertisement(solicited, asker, answer.lladdr, answer.flags)
        return None


def _reaches(frame: bytes, answer: Answer) -> bool:
    return is_group(frame) or frame[:6] == answer.lladdr
