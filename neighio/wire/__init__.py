"""Octets and messages, and nothing else: no clock, no socket, no table.

Each protocol has two faces. The receive path calls ``parse``, which returns the fields as a plain
tuple or the name of a drop counter, and never raises whatever the octets are. Everybody else uses
the codec, ``decode`` and ``encode``, which raises :class:`neighio.errors.MalformedFrame`.
"""
