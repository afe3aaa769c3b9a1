"""Scenarios of neighbour life: one file, played on the running kernel and on the engine, and compared.

::

    (scenario,) = load(Path("resolve.toml"))
    expected = KernelPlayer().play(scenario)
    print(compare_with_engine(scenario, expected))
"""

from __future__ import annotations

from .compare import Comparison as Comparison
from .compare import compare as compare
from .compare import compare_with_engine as compare_with_engine
from .engine import EnginePlayer as EnginePlayer
from .host import HostPlayer as HostPlayer
from .kernel import Disturbed as Disturbed
from .kernel import KernelPlayer as KernelPlayer
from .kernel import holds_here as holds_here
from .kernel import notifications_are_atomic as notifications_are_atomic
from .load import load as load
from .load import load_all as load_all
from .model import Scenario as Scenario
from .model import ScenarioError as ScenarioError
from .trace import Line as Line
from .trace import Player as Player
from .trace import Trace as Trace
from .trace import read_traces as read_traces
from .trace import write_traces as write_traces
