"""What rows run: each a process of its own. Those that measure themselves print one JSON object."""
