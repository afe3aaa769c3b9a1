"""``neighio host -v``: what its table logs, on standard error. That of ``neighio watch`` is tried with it."""

from __future__ import annotations

from neighio.testing import in_namespace

from .hosting import ADDRESSES, Running, link


@in_namespace
def test_a_host_tells_each_transition_when_it_is_asked_to() -> None:
    with link():
        with Running(*ADDRESSES, "-v") as host:
            host.ready().do("use 198.51.100.2")
            status, _, errors = host.end()
        with Running(*ADDRESSES) as host:
            host.ready().do("use 198.51.100.2")
            quiet = host.end()[2]
    told = [line.partition(" neighio.table.")[2] for line in errors.splitlines()]
    assert (status, quiet) == (0, "")
    assert "devices: v1 is up" in told
    assert "changes: 198.51.100.2 dev v1 NONE -> INCOMPLETE by output (silent)" in told
