"""Lines in and out of descriptors of every kind, without ever waiting in the wrong place."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from neighio.cli import lines
from neighio.cli.lines import LineReader, LineWriter
from neighio.errors import NeighioError


@contextmanager
def pipe() -> Iterator[list[int]]:
    """A pipe's two ends; whoever closes one removes it from the list."""
    ends = list(os.pipe())
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


# -- writing


def test_a_line_is_there_at_once() -> None:
    with pipe() as (theirs, ours):
        LineWriter(ours).line("one")
        assert os.read(theirs, 100) == b"one\n"


async def test_what_a_full_pipe_does_not_take_follows_in_order_and_blocks_nobody() -> None:
    with pipe() as (theirs, ours):
        writer = LineWriter(ours)
        sent = [f"{number:06}" + "." * 200 for number in range(2000)]
        for line in sent:
            writer.line(line)
        assert writer.waiting
        assert fcntl.fcntl(ours, fcntl.F_GETFL) & os.O_NONBLOCK == 0
        got = b""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.run)
            nursery.start_soon(writer.drain)
            while len(got) < sum(len(line) + 1 for line in sent):
                await trio.lowlevel.wait_readable(theirs)
                got += os.read(theirs, 4096)
            await writer.drain()
            nursery.cancel_scope.cancel()
        assert got.decode().splitlines() == sent and writer.waiting == 0


async def test_when_nobody_reads_any_more_it_returns() -> None:
    with pipe() as ends:
        writer = LineWriter(ends[1])
        os.close(ends.pop(0))
        writer.line("to nobody")
        writer.line("nor this")
        await writer.run()
        assert writer.waiting == 0


async def test_a_reader_that_leaves_while_much_waits_is_noticed() -> None:
    with pipe() as ends:
        writer = LineWriter(ends[1])
        writer.line("." * 200_000)
        assert writer.waiting
        os.close(ends.pop(0))
        await writer.run()


async def test_too_much_that_waits_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MOST_WAITING", 1 << 20)
    with pipe() as (_, ours):
        writer = LineWriter(ours)
        for _ in range(16):
            writer.line("." * 100_000)
        with pytest.raises(NeighioError, match="nobody reads the output, of which 1 MiB wait"):
            await writer.run()


async def test_what_cannot_be_written_is_told() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        writer = LineWriter(full)
        writer.line("no room")
        with pytest.raises(OSError) as raised:
            await writer.run()
    finally:
        os.close(full)
    assert raised.value.errno == errno.ENOSPC


async def test_where_there_is_no_output_lines_go_nowhere() -> None:
    writer = LineWriter(None)
    writer.line("nothing")
    await writer.drain()
    assert writer.waiting == 0


# -- reading


async def test_lines_come_as_they_are_completed() -> None:
    with pipe() as ends:
        reader = LineReader(ends[0])
        os.write(ends[1], b"one\ntwo\nth")
        assert [await reader.read_line(), await reader.read_line()] == ["one", "two"]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_write_and_close, ends, b"ree\n\nlast")
            assert [await reader.read_line() for _ in range(5)] == ["three", "", "last", None, None]


async def _write_and_close(ends: list[int], octets: bytes) -> None:
    await trio.lowlevel.checkpoint()
    os.write(ends[1], octets)
    os.close(ends.pop())


async def test_waiting_for_a_line_can_be_cancelled_and_loses_nothing() -> None:
    with pipe() as ends:
        reader = LineReader(ends[0])
        os.write(ends[1], b"half")
        with trio.move_on_after(0.01) as scope:
            await reader.read_line()
        assert scope.cancelled_caught
        os.write(ends[1], b" and half\n")
        assert await reader.read_line() == "half and half"


async def test_a_file_and_what_is_always_ready_are_read(tmp_path: Path) -> None:
    file = tmp_path / "commands"
    file.write_bytes(b"one\ntwo")
    for path, expected in ((file, ["one", "two", None]), (Path("/dev/null"), [None])):
        with path.open("rb") as stream:
            reader = LineReader(stream.fileno())
            assert [await reader.read_line() for _ in expected] == expected


async def test_where_there_is_no_input_there_are_no_lines() -> None:
    assert await LineReader(None).read_line() is None


async def test_a_descriptor_that_cannot_be_read_has_no_lines() -> None:
    written = os.open("/dev/null", os.O_WRONLY)
    try:
        assert await LineReader(written).read_line() is None
    finally:
        os.close(written)


@pytest.mark.parametrize("octets", [65537, 300_000])
async def test_a_line_that_is_too_long_is_an_error_and_the_next_one_is_read(octets: int) -> None:
    with pipe() as ends:
        os.set_blocking(ends[1], False)
        reader = LineReader(ends[0])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_pour, ends[1], b"x" * octets + b"\nnext\n")
            with pytest.raises(ValueError, match="more than 65536 octets"):
                await reader.read_line()
            assert await reader.read_line() == "next"


async def _pour(descriptor: int, octets: bytes) -> None:
    while octets:
        await trio.lowlevel.wait_writable(descriptor)
        octets = octets[os.write(descriptor, octets) :]


async def test_what_is_no_text_is_a_line_too() -> None:
    with pipe() as (theirs, ours):
        os.write(ours, b"\xff\x80\n")
        assert await LineReader(theirs).read_line() == "\udcff\udc80"
