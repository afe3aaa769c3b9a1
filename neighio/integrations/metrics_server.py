"""Where Prometheus asks for a table's metrics: HTTP, for as much as it takes."""

from __future__ import annotations

import errno
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NoReturn

import trio

from ..errors import NeighioError
from .prometheus import TableCollector, check_installed

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from ..service import TableService

__all__ = ["open_metrics", "parse_metrics_address", "serve_metrics"]

LOOPBACK: Final = "127.0.0.1"
LONGEST_HEAD: Final = 8192
"""Octets of a request with its headers."""
MOST_CLIENTS: Final = 32
PATIENCE_SECONDS: Final = 10.0
"""How long one request may take, its client's slowness included."""

_END_OF_HEAD: Final = (b"\r\n\r\n", b"\n\n")
_PLAIN: Final = "text/plain; charset=utf-8"


def parse_metrics_address(text: str) -> tuple[str, int]:
    """Return the host and the port of ``PORT``, ``HOST:PORT`` or ``[IPV6]:PORT``; without a host 127.0.0.1.

    Raises:
        ValueError: it is of no such form.
    """
    host, _, number = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    port = int(number) if number.isascii() and number.isdigit() and len(number) <= 5 else 0
    if not 0 < port < 65536 or (":" in host) != bracketed:
        raise ValueError(f"metrics: {text!r} is not of the form HOST:PORT, [IPV6]:PORT or PORT")
    return host or LOOPBACK, port


async def open_metrics(host: str, port: int) -> list[trio.SocketListener]:
    """Listen there; then :func:`serve_metrics` is to run.

    Raises:
        NeighioError: prometheus-client is missing, or the system refuses; the message says why.
    """
    check_installed()
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        why = error.strerror or str(error)
        if error.errno == errno.EACCES:
            why += " (ports below 1024 need the capability CAP_NET_BIND_SERVICE; `sudo` has it)"
        raise NeighioError(f"metrics: {host} port {port}: {why}") from None


async def serve_metrics(table: TableService, listeners: list[trio.SocketListener]) -> NoReturn:
    """Serve a table's metrics at ``/metrics`` until cancelled; the listeners are closed then.

    Raises:
        NeighioError: prometheus-client is missing.
    """
    await trio.serve_listeners(_Server(TableCollector(table)).serve, listeners)


class _Gathered:
    """What was gathered already, as a registry."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> list[Metric]:
        return self._metrics


class _Server:
    def __init__(self, collector: TableCollector) -> None:
        self._collector = collector
        self._clients = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        """Answer one request."""
        self._clients += 1
        try:
            async with stream:
                # One that goes, or takes too long, gets no answer.
                with (
                    trio.move_on_after(PATIENCE_SECONDS),
                    suppress(trio.BrokenResourceError, trio.ClosedResourceError),
                ):
                    await stream.send_all(await self._answer(stream))
        finally:
            self._clients -= 1

    async def _answer(self, stream: trio.SocketStream) -> bytes:
        await trio.lowlevel.checkpoint()
        if self._clients > MOST_CLIENTS:
            return _response("503 Service Unavailable", _PLAIN, b"too many clients\n")
        head = await _read_head(stream)
        if head is None:
            return _response("431 Request Header Fields Too Large", _PLAIN, b"too long a request\n")
        words = head.split(b"\n", 1)[0].split()
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
            return _response("400 Bad Request", _PLAIN, b"that is no request of HTTP/1.1\n")
        method, target, _ = words
        if method not in (b"GET", b"HEAD"):
            return _response("405 Method Not Allowed", _PLAIN, b"only GET\n", "Allow: GET, HEAD\r\n")
        if target.partition(b"?")[0] != b"/metrics":
            return _response("404 Not Found", _PLAIN, b"the metrics are at /metrics\n")
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        body = generate_latest(_Gathered(await self._collector.gather()))
        whole = _response("200 OK", CONTENT_TYPE_LATEST, body)
        return whole if method == b"GET" else whole[: -len(body)]


async def _read_head(stream: trio.SocketStream) -> bytes | None:
    """Return a request up to its empty line, or as much as there is; None when it is too long."""
    head = b""
    await trio.lowlevel.checkpoint()
    while len(head) <= LONGEST_HEAD and not any(end in head for end in _END_OF_HEAD):
        piece = await stream.receive_some(LONGEST_HEAD)
        if not piece:
            break
        head += piece
    return head if len(head) <= LONGEST_HEAD else None


def _response(status: str, content_type: str, body: bytes, more: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        f"{more}Connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body
