"""Linux's neighbouring subsystem as a structured-concurrency library."""

__version__ = "0.1.0"
