"""For tests of neighio and of programs that use it: virtual time, an Ethernet segment in memory, scripted
peers, a fake packet socket, and namespaces in which the running kernel is the peer.

Everything here works without privileges; the namespaces need Linux.
"""

from __future__ import annotations

from ..link.memory import MemoryLink as MemoryLink
from ..link.memory import Segment as Segment
from .isolation import NamespaceFailure as NamespaceFailure
from .isolation import in_namespace as in_namespace
from .isolation import require_namespaces as require_namespaces
from .isolation import run_in_namespace as run_in_namespace
from .namespace import Here as Here
from .namespace import Namespace as Namespace
from .namespace import Peer as Peer
from .namespace import Unavailable as Unavailable
from .namespace import available as available
from .namespace import connect as connect
from .namespace import enter_command as enter_command
from .packet_socket import FakeInterface as FakeInterface
from .packet_socket import FakePacketSocket as FakePacketSocket
from .segment import ScriptedPeer as ScriptedPeer
from .simulation import Pending as Pending
from .simulation import Simulation as Simulation
