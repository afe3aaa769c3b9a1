"""The subsystem itself: synchronous and sans-I/O.

Time and randomness are given to it, frames are handed to it, and what it wants done it returns as
outputs. It knows no event loop, no socket and no clock.
"""
