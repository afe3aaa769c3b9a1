"""A random walk: the same steps by chance on the running kernel and on the engine, compared after each.

``python -m neighio.testing.scenario.walk --help``. What is done next is chosen by a seed and by the states
that entries are in (:mod:`.chance`). The engine follows the kernel's clock; nothing is done or compared while
a timer may or may not have fired (:mod:`.timing`, :mod:`.lockstep`). Many walks go on side by side, for they
mostly wait (:mod:`.lanes`). One that differs is done again, made as short as can be (:mod:`.shrink`), and
becomes a file that ``python -m neighio.testing.scenario play FILE --on kernel`` plays.

Steps are not hypothesis' stateful ones: each is chosen by what the kernel has just answered and waits for
real timers, so that many walks have to go on at once, and one that is done again is not quite the same, which
a shrinker that replays takes for a flaky test. Hypothesis chooses where no kernel is asked (tests/scenarios).
"""
