"""neighio measured beside its peers and beside the floor under both, in one run: ``make bench``.

A row (see :mod:`.rows`) has contenders, each of which is measured several times, in turns. Every measurement
is a process of its own, in a network namespace that the row makes. What comes of it is one table.
"""
