"""The core's hot paths, one by one: ``python -m pytest benchmarks/micro``. No part of ``make test``."""
