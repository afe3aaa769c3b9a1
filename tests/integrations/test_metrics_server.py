"""Where metrics are served: what is answered, and what a client cannot do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import neighio
from neighio import NeighbourTable, NeighioError
from neighio.integrations import metrics_server
from neighio.integrations.metrics_server import open_metrics, parse_metrics_address, serve_metrics

GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def served() -> AsyncIterator[tuple[NeighbourTable, int]]:
    """A table without devices, and the port where its metrics are."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with neighio.open_table() as table, trio.open_nursery() as nursery:
        nursery.start_soon(serve_metrics, table, listeners)
        yield table, listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def ask(port: int, request: bytes, *, end: bool = False) -> tuple[str, bytes]:
    """Send a request; return the status line and the rest."""
    with trio.fail_after(20):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(request)
            if end:
                await stream.send_eof()
            answer = b""
            async for piece in stream:
                answer += piece
    status, _, rest = answer.partition(b"\r\n")
    return status.decode(), rest


async def test_metrics_are_served_as_text() -> None:
    async with served() as (_, port):
        status, rest = await ask(port, GET)
        assert status == "HTTP/1.1 200 OK"
        head, _, body = rest.partition(b"\r\n\r\n")
        assert (
            f"Content-Length: {len(body)}".encode() in head and b"Content-Type: text/plain; version=" in head
        )
        assert b'neighio_entries{family="ipv4",state="REACHABLE"} 0.0\n' in body
        assert (await ask(port, b"GET /metrics?x HTTP/1.0\n\n"))[0] == "HTTP/1.1 200 OK"
        status, rest = await ask(port, GET.replace(b"GET", b"HEAD"))
        assert status == "HTTP/1.1 200 OK" and rest.endswith(b"\r\n\r\n") and b"neighio" not in rest


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET / HTTP/1.1", "404 Not Found"),
        (b"GET /metrics/../etc/passwd HTTP/1.1", "404 Not Found"),
        (b"POST /metrics HTTP/1.1", "405 Method Not Allowed"),
        (b"GET /metrics", "400 Bad Request"),
        (b"GET /metrics SPDY/9", "400 Bad Request"),
        (b"\x16\x03\x01\x00", "400 Bad Request"),
        (b"", "400 Bad Request"),
        (
            b"GET /metrics HTTP/1.1\r\nX: " + b"x" * metrics_server.LONGEST_HEAD,
            "431 Request Header Fields Too Large",
        ),
    ],
)
async def test_other_requests_are_refused(request_line: bytes, status: str) -> None:
    async with served() as (_, port):
        assert (await ask(port, request_line + b"\r\n\r\n"))[0] == f"HTTP/1.1 {status}"
        assert (await ask(port, GET))[0] == "HTTP/1.1 200 OK"


async def test_half_a_request_is_refused_when_it_ends() -> None:
    async with served() as (_, port):
        assert (await ask(port, b"GET /met", end=True))[0] == "HTTP/1.1 400 Bad Request"


async def test_one_who_says_nothing_is_left_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "PATIENCE_SECONDS", 0.0)
    async with served() as (_, port):
        assert await ask(port, b"") == ("", b"")


async def test_there_is_an_end_to_how_many_may_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "MOST_CLIENTS", 2)
    async with served() as (_, port):
        idle = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(2)]
        await wait_all_tasks_blocked()
        assert (await ask(port, b""))[0] == "HTTP/1.1 503 Service Unavailable"
        for stream in idle:
            await stream.aclose()
        await wait_all_tasks_blocked()
        assert (await ask(port, GET))[0] == "HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("9100", ("127.0.0.1", 9100)),
        (":9100", ("127.0.0.1", 9100)),
        ("0.0.0.0:9100", ("0.0.0.0", 9100)),
        ("[::1]:65535", ("::1", 65535)),
        ("localhost:1", ("localhost", 1)),
    ],
)
def test_an_address_is_on_the_loopback_interface_unless_told_otherwise(
    text: str, found: tuple[str, int]
) -> None:
    assert parse_metrics_address(text) == found


@pytest.mark.parametrize(
    "text", ["", "x", "x:", ":0", ":65536", "::1", "::1:9100", "[::1]", "[x]:9100", "x:-1", "x:٣", ":9" * 2]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"metrics: .* is not of the form"):
        parse_metrics_address(text)


async def test_a_port_that_is_taken_or_an_address_that_is_not_ours_is_refused() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener:
        port = listener.socket.getsockname()[1]
        with pytest.raises(NeighioError) as caught:
            await open_metrics("127.0.0.1", port)
        assert str(caught.value) == f"metrics: 127.0.0.1 port {port}: Address already in use"
    with pytest.raises(NeighioError, match=r"metrics: 198\.51\.100\.1 port 9100: "):
        await open_metrics("198.51.100.1", 9100)
