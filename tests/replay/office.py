"""Half an hour of an office, made up: what docs/replay.rst shows a picture of.

``python -m tests.replay.office`` draws it again.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from neighio.cli import main

from .recording import (
    Timed,
    acknowledgement,
    advertisement,
    announcement,
    datagram,
    every,
    mac,
    pcap,
    reply,
    request,
    solicitation,
)

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "office.svg"
STATION, SERVER, PRINTER, NOBODY, LAPTOP, TWICE, ROUTER = 1, 2, 3, 9, 7, 8, 254


def office() -> list[Timed]:
    """The station 198.51.100.1 and its neighbours: a server, a printer that dies, a laptop whose network card
    is changed, an address that two have, a router; and an address that nobody has."""
    frames: list[Timed] = [(0.0, announcement(STATION)), (1800.0, request(SERVER, STATION))]

    def ask(time: float, whom: int, *answers: bytes) -> None:
        frames.append((time, request(STATION, whom)))
        frames.extend((time + 0.0004 * number, answer) for number, answer in enumerate(answers, 1))

    def answered(time: float, whom: int) -> None:
        ask(time, whom, reply(whom, STATION))

    answered(2.0, ROUTER)
    answered(3.0, SERVER)
    for time in [*range(6, 900, 20), *range(1100, 1700, 20)]:
        frames += [(time, datagram(STATION, SERVER)), (time + 0.01, acknowledgement(SERVER, STATION))]
    answered(5.0, PRINTER)
    for time in range(40, 500, 55):
        frames.append((time, datagram(STATION, PRINTER)))
        answered(time + 5.0, PRINTER)
    frames.append((560.0, datagram(STATION, PRINTER)))
    for time in (565.0, 566.0, 567.0, 700.0, 701.0, 702.0):
        ask(time, PRINTER)
    for time in (200.0, 800.0, 1300.0):
        for second in range(3):
            ask(time + second, NOBODY)
    answered(100.0, LAPTOP)
    there = mac(0x63)
    frames += [(640.0, announcement(LAPTOP, at=there)), (641.0, datagram(STATION, LAPTOP))]
    ask(646.0, LAPTOP, reply(LAPTOP, STATION, at=there))
    for time in (300.0, 900.0, 1200.0):
        ask(time, TWICE, reply(TWICE, STATION), reply(TWICE, STATION, at=mac(0x88)))
    frames.append((60.5, solicitation(STATION, ROUTER)))
    answers = [advertisement(ROUTER, STATION, router=True)] * 28
    frames += [(61.0 + time, answer) for time, answer in every(60.0, answers)]
    return sorted(frames, key=lambda frame: frame[0])


def draw_office(picture: Path) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "office.pcap"
        file.write_bytes(pcap(office()))
        assert (
            main(["replay", str(file), "--as", "198.51.100.1/24", "--summary", "--plot", str(picture)]) == 0
        )


if __name__ == "__main__":
    draw_office(PICTURE)
